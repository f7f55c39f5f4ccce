"""What is written runs: the fences of the README and the docs, and the doctests of the code."""

import ast
import doctest
import importlib
import os
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import matplotlib as mpl
import pytest
import torch
from torch import distributed

import cadence
import cadence.dialects
import cadence.lr_scheduler

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = [m.name for m in pkgutil.walk_packages(cadence.__path__, prefix="cadence.")]
GUIDES = [ROOT / "docs" / "guide.md", ROOT / "docs" / "guide.zh.md"]
PICTURES = ROOT / "docs" / "_static" / "guide"
# A comment above a fence names the group of dependencies that it needs beyond the usual ones.
FENCE = re.compile(
    r"^( *)(?:<!-- environment: (\w+) -->\n\1)?```(python|console)\n(.*?)^\1```$",
    re.MULTILINE | re.DOTALL,
)


class Fence(NamedTuple):
    """A piece of code in a page, with the line that it begins on."""

    page: str
    line: int
    language: str
    text: str
    environment: str | None = None


def fences(page: Path) -> list[Fence]:
    """Find the fences of a page that are promised to run."""
    text = page.read_text(encoding="utf-8")
    return [
        Fence(page.name, text[: found.start(4)].count("\n"), found[3], dedent(found[4]), found[2])
        for found in FENCE.finditer(text)
    ]


def run_python(fence: Fence, namespace: dict[str, object]) -> None:
    """Execute a fence; one that begins with a prompt is a doctest, output included."""
    if not fence.text.startswith(">>>"):
        # The blank lines make a traceback name the line of the page.
        exec(compile("\n" * fence.line + fence.text, fence.page, "exec"), namespace)  # noqa: S102
        return
    parser, report = doctest.DocTestParser(), []
    test = parser.get_doctest(fence.text, namespace, fence.page, fence.page, fence.line)
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        test, out=report.append, clear_globs=False
    )
    assert not report, "".join(report)
    namespace.update(test.globs)


def run_console(fence: Fence) -> None:
    """Execute each `$ cadence ...` of a fence and compare what it prints, where that is shown."""
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "80", "MPLBACKEND": "agg"}
    for part in re.split(r"^\$ ", fence.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        words = shlex.split(command)
        if words[0] != "cadence":
            continue
        done = subprocess.run(
            [sys.executable, "-m", "cadence", *words[1:]],
            capture_output=True, text=True, check=False, env=environment, encoding="utf-8",
        )  # fmt: skip
        where = f"{fence.page}, line {fence.line}: {command}"
        assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"
        if expected.strip():
            assert tidy(done.stdout) == tidy(expected), where


def tidy(text: str) -> list[str]:
    """Split into lines, without the spaces and empty lines at their ends."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n").splitlines()


def run_page(page: Path, environment: str | None = None) -> None:
    """Run a page from top to bottom, with the fences that need this environment."""
    mpl.use("agg")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for fence in fences(page):
        if fence.environment not in (None, environment):
            continue
        if fence.language == "python":
            run_python(fence, namespace)
        else:
            run_console(fence)


@pytest.fixture
def single(monkeypatch):
    """What `torchrun` tells a process that is the only one; the group is gone afterwards."""
    told = {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "localhost", "MASTER_PORT": 0}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs(page, tmp_path, monkeypatch, single):
    """A reader who types a page from top to bottom gets what it says."""
    monkeypatch.chdir(tmp_path)
    run_page(page)


@pytest.mark.slow
def test_page_runs_in_two_processes(tmp_path):
    """The page on training loops does what it says under `torchrun`, too, in each process."""
    program = "import test_docs; test_docs.run_page(test_docs.ROOT / 'docs' / 'training-loop.md')"
    (tmp_path / "train.py").write_text(program)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*launch, "train.py"],
        cwd=tmp_path, capture_output=True, encoding="utf-8", check=False,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    # Each has half of the 80 batches that one process has.
    assert done.stdout.count("40 batches / 2 accumulated = 20 updates an epoch") == 2


def test_fences_of_another_environment(tmp_path):
    """A fence that needs more is run where that is installed, as a part of its page."""
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nx = 1\n```\n\n<!-- environment: peers -->\n```python\n1 / (x - 1)\n```\n"
    )
    run_page(page)
    with pytest.raises(ZeroDivisionError):
        run_page(page, "peers")


def test_environments_are_known():
    """No fence is left out everywhere because its environment is misspelt or unread."""
    for page in PAGES:
        comments = page.read_text(encoding="utf-8").count("<!-- environment:")
        found = [fence.environment for fence in fences(page) if fence.environment]
        assert found == ["peers"] * comments, page.name


def test_wrong_page_fails():
    """The test above can fail: a wrong output and an error are both seen."""
    with pytest.raises(AssertionError, match="Expected"):
        run_python(Fence("page.md", 1, "python", ">>> 1 + 1\n3\n"), {})
    with pytest.raises(ZeroDivisionError):
        run_python(Fence("page.md", 1, "python", "1 / 0\n"), {})
    with pytest.raises(AssertionError, match="no-such-command"):
        run_console(Fence("page.md", 1, "console", "$ cadence no-such-command\n"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """A link to a file of the repository leads to one that is there."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("module", MODULES)
def test_doctests(module):
    """The examples in the docstrings give what they show."""
    mpl.use("agg")
    failed, _ = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_every_public_name_is_documented():
    """A name that users may import has its place in the docs."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    documented = set(re.findall(r"^\.\. auto\w+:: (?:[\w.]+\.)?(\w+)$", pages, re.MULTILINE))
    assert {name for name in cadence.__all__ if not name.startswith("_")} <= documented
    assert set(cadence.lr_scheduler.__all__) <= documented
    assert set(cadence.dialects.__all__) <= documented
    index = (ROOT / "docs" / "dialects.md").read_text(encoding="utf-8")
    for reader in {*cadence.dialects.__all__} - {"read"}:  # which goes by the others
        assert f"](from-{reader.removeprefix('from_')}.md)" in index, f"no page of {reader}"


def torch_rows(page: str) -> list[tuple[str, str]]:
    """Read a page's table of torch's schedulers and the plans that they stand for."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^\| `(\w+\(.*optimizer.*?\))` \| `(.+?)` \|$", text, re.MULTILINE)


TABLES = {"README.md": 10, "docs/lr_scheduler.md": 14}
ROWS = [row for page in TABLES for row in torch_rows(page)]


@pytest.mark.parametrize(("theirs", "ours"), ROWS, ids=lambda text: text.split("(")[0])
def test_table_of_torch_schedulers(theirs, ours):
    """A row of a table gives the same rates as torch, and as the drop-in, over 100 steps."""
    plan = eval(ours, vars(cadence) | {"__builtins__": {}}).resolve(100)  # noqa: S307
    for module in (torch.optim.lr_scheduler, cadence.lr_scheduler):
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
        names = vars(torch.optim.swa_utils) | vars(module) | {"optimizer": optimizer}
        scheduler = eval(theirs, names)  # noqa: S307
        for step in range(100):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(plan(step, base=0.1), abs=1e-12)
            optimizer.step()
            scheduler.step()


@pytest.mark.parametrize(("page", "rows"), TABLES.items())
def test_table_of_torch_schedulers_is_read(page, rows):
    """The rows are found, so the test above does test them."""
    assert len(torch_rows(page)) >= rows


def without_words(source: str) -> str:
    """A program as its statements alone: comments and docstrings may be in any language."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            node.body[0] = ast.Pass()
    return ast.unparse(tree)


def test_both_guides_have_the_same_programs():
    """The guide in each language shows the same code; only its words differ."""
    english, chinese = ([without_words(fence.text) for fence in fences(page)] for page in GUIDES)
    assert len(english) > 30
    assert english == chinese
    differing = zip(*(fences(page) for page in GUIDES), strict=True)
    assert any(ours.text != theirs.text for ours, theirs in differing)


def test_both_guides_have_the_same_shape():
    """The same headings of the same depth, pictures, links to pages, tables, and other blocks."""
    english, chinese = (page.read_text(encoding="utf-8") for page in GUIDES)
    for pattern in (
        r"^(#+) ",
        r"^#+ (\w+LR|\w+Restarts|\w+Plateau|\w+Scheduler)$",
        r"\]\((_static/[^)]+)\)",
        r"\]\(((?!guide)[\w-]+\.md)",
        r"^\| (\w+(?:LR|Restarts|Plateau|Scheduler)) \|",
        r"^```(\w*)$",
    ):
        found = re.findall(pattern, english, re.MULTILINE)
        assert found, pattern
        assert re.findall(pattern, chinese, re.MULTILINE) == found


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_guide_is_complete(page):
    """Each scheduler has a heading, a picture below it, and a row in the table."""
    text = page.read_text(encoding="utf-8")
    for name in cadence.lr_scheduler.__all__:
        if name.endswith("LRScheduler") or name == "EPOCH_DEPRECATION_WARNING":
            continue
        _, found, section = text.partition(f"\n### {name}\n")
        assert found, f"no heading: {name}"
        section = section.partition("\n### ")[0]
        assert re.search(r"(^|`)lr(\(t\) =| ←|  )", section, re.MULTILINE), f"no formula: {name}"
        assert "](_static/guide/" in section, f"no picture: {name}"
        assert f"\n| {name} |" in text, f"not in the table: {name}"


def test_pictures_of_the_guide():
    """The pictures in the docs are those that the schedulers give, and each is shown."""
    drawn = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))["pictures"]()
    assert {path.name for path in PICTURES.iterdir()} == drawn.keys()
    for name, text in drawn.items():
        committed = (PICTURES / name).read_text(encoding="utf-8")
        assert committed == text, f"{name}: run python docs/make_pictures.py"
        assert ET.fromstring(text).find("{http://www.w3.org/2000/svg}title") is not None  # noqa: S314
        assert f"_static/guide/{name}" in GUIDES[0].read_text(encoding="utf-8"), f"{name} is unused"


def test_changelog_has_this_version():
    """The newest entry of the changelog is this version's."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = [v for v in re.findall(r"^## \[(.+?)\]", text, re.MULTILINE) if v != "Unreleased"]
    assert versions[0] == cadence.__version__


def test_outside_references_are_found(tmp_path):
    """`make docs` would fail if a page fetched something from, or led to, another host."""
    check = [sys.executable, str(ROOT / "docs" / "check_offline.py"), str(tmp_path)]
    page = tmp_path / "page.html"
    page.write_text('<a href="local.html">http://localhost is only text here</a>')
    assert subprocess.run(check, check=False, capture_output=True).returncode == 0
    for reference in (
        '<script async src="https://cdn.example/x.js">',
        "<img alt='x' src='//cdn.example/x.png'>",
        '<link rel="stylesheet" href="http://fonts.example/x.css">',
        "<style>@import 'https://fonts.example/x.css';</style>",
        "<style>a { background: url(https://cdn.example/x.png) }</style>",
    ):
        page.write_text(reference)
        assert subprocess.run(check, check=False, capture_output=True).returncode == 1, reference


@pytest.mark.slow
def test_quickstart(tmp_path):
    """The main example trains, resumes bit for bit in a fresh process, and draws its picture."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "quickstart.py")],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The same, bit for bit." in done.stdout
    assert (tmp_path / "quickstart.png").stat().st_size > 50_000
