"""The command line: what it prints, what it writes, and how it fails."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cadence as cd
from cadence.catalogue import catalogue
from cadence.cli import app

WSD = "Warmup(500) >> Hold() >> OneMinusSqrt(2000)"


def run(*args, **env):
    """The command in this process, where it is quick."""
    return CliRunner().invoke(app, list(args), env={"COLUMNS": "80", **env}, prog_name="cadence")


def process(*args, text=True, **env):
    """The command as a process of its own, as a shell starts it."""
    return subprocess.run(
        [sys.executable, "-m", "cadence", *args],
        capture_output=True,
        text=text,
        check=False,
        env={**os.environ, "COLUMNS": "80", **env},
    )


# Bad input.


BAD_INPUT = {
    "explain 'wsd()'": "'wsd()' has a length that is not known in steps; add --total-steps 10000",
    "values 'Warmup(5%) >> Cosine()'": """
        'Warmup(5%) >> Cosine()' has a length that is not known in steps; add --total-steps
        10000
    """,
    "plot 'Warmup(3ep) >> Cosine()' --total-steps 900": """
        'Warmup(3ep) >> Cosine()' has a length that is not known in steps; add --steps-per-epoch
        500
    """,
    "plot 'Warmup(2Ktok) >> Cosine(9ep)'": """
        'Warmup(2Ktok) >> Cosine(9ep)' has a length that is not known in steps; add
        --total-steps 10000 --steps-per-epoch 500 --tokens-per-step 500000
    """,
    "plot 'Linear(1Ksamples)' --total-steps 9": """
        'Linear(1Ksamples)' has a length that is not known in steps; add --samples-per-step 256
    """,
    "values 'StepDecay(10)'": "'StepDecay(10)' has no length of its own; add --total-steps 10000",
    "plot 'wsd()' --total-steps 0": "--total-steps must be >= 1 (got 0)",
    "plot 'wsd()' --total-steps=-5": "--total-steps must be >= 1 (got -5)",
    "plot 'wsd()' --total-steps 1.5": "--total-steps must be a whole number of steps (got '1.5')",
    "plot 'wsd()' --total-steps 1e999": """
        --total-steps must be a whole number of steps (got '1e999')
    """,
    "plot 'wsd()' --total-steps many": """
        --total-steps must be a whole number of steps or a duration such as '5%', '3ep',
        '4Ksamples' or '2Btok' (got 'many')
    """,
    "plot 'wsd()' --total-steps 50%": "--total-steps must not be a percentage (got '50%')",
    "plot 'wsd()' --total-steps 3ep": "--total-steps 3ep needs more; add --steps-per-epoch 500",
    "plot 'wsd()' --total-steps 3ep --steps-per-epoch 0": "--steps-per-epoch must be >= 1 (got 0)",
    "plot 'Linear(9)' --tokens-per-step=-1": "--tokens-per-step must be > 0 (got -1.0)",
    "plot 'Linear(9)' --epochs": "--epochs needs more; add --steps-per-epoch 500",
    "plot 'Linear(9)' --base-lr 0": "'--base-lr' must be > 0 (got 0.0)",
    "plot 'Linear(9)' --base-lr nan": "'--base-lr' must be finite (got nan)",
    "plot 'Linear(9)' -o x.jpg": "-o must end in .png, .svg or .pdf (got 'x.jpg')",
    "plot 'Linear(9)' -o /absent/x.png": "cannot write '/absent/x.png': No such file or directory",
    "plot 'Constant(0)' --log": "plot: there must be a positive value to draw (got none)",
    "values 'Linear(9)' --every 0": "'--every' must be >= 1 (got 0)",
    "values 'Linear(9)' --format jsn": """
        '--format' must be one of 'csv', 'json', 'table' (got 'jsn'); did you mean 'json'?
    """,
    "check 'wsd()'": "'wsd()' has a length that is not known in steps; add --total-steps 10000",
    "check 'wsd()' --base 0": "'--base-lr' must be > 0 (got 0.0)",
    "explain 'Warmup(5000) >> Cosine()' --total-steps 100": """
        Warmup(5000) >> Cosine(): the phases must fit into the run (they need 5000 steps of
        100); shorten them or lengthen the run
    """,
}


@pytest.mark.parametrize("command", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(command):
    """Each message says what is wrong and, where it can, what to type."""
    result = run(*shlex.split(command))
    assert result.stderr == f"cadence: {' '.join(BAD_INPUT[command].split())}\n"
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["plto"], "'plto'"),
        (["plot"], "'PLAN'"),
        (["shapes", "extra"], "(extra)"),
        (["plot", "Linear(9)", "--colour"], "--colour"),
        (["values", "Linear(9)", "--every", "often"], "'--every'"),
    ],
)
def test_bad_options_are_one_line_too(args, word):
    """What typer finds wrong is told in its words, with the help to ask for."""
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("cadence: ")
    assert result.stderr.count("\n") == 1
    assert word in result.stderr
    command = "cadence" if args == ["plto"] else f"cadence {args[0]}"
    assert result.stderr.endswith(f". Try '{command} --help'.\n") or args == ["plto"]


@pytest.mark.parametrize(
    "text", ["Warmup(5%", "Cosin(100)", "", "Cosine(-9)", "1 >> 2", "x" * 9000]
)
@pytest.mark.parametrize("command", ["plot", "explain", "values", "check"])
def test_a_text_that_is_no_plan_is_refused(command, text):
    """The parser's own message comes in one line, with the place in words."""
    result = run(command, text, "--total-steps", "100")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("cadence: ")
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 1000


def test_the_place_in_a_text_is_named():
    """A caret needs a second line; words do not."""
    assert run("plot", "Cosin(100)").stderr == (
        "cadence: unknown schedule 'Cosin'; did you mean 'Cosine'? (at character 1)\n"
    )


def test_a_process_fails_without_a_traceback():
    """The real command exits with 2 and writes one line to stderr alone."""
    result = process("explain", "Cosin(100)")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1


# explain.


def test_explain_tells_a_sentence_and_the_key_steps():
    """First the sentence, then a curve, then a table."""
    result = run("explain", WSD, "--total-steps", "10000", "--base-lr", "3e-4")
    assert result.exit_code == 0
    told, curve, header, rule, *rows = filter(None, result.stdout.split("\n"))
    assert told == (
        "Warm up linearly over 500 steps to the full rate (0.0003), hold it for 7,500 steps, then "
        "cool down as 1 - sqrt over 2,000 steps to 0."
    )
    assert len(curve) == 60
    assert header.split() == ["step", "what", "value", "rate", "(base", "0.0003)"]
    assert set(rule) == {"─", " "}
    assert [row.split()[0] for row in rows] == [
        "0", "499", "500", "2,500", "5,000", "7,500", "7,999", "8,000", "9,999", "10,000",
    ]  # fmt: skip
    assert rows[0].split()[-2:] == ["0.002", "6e-07"]
    assert max(map(len, rows)) <= 80


def test_explain_prints_json():
    """A program gets the same, with the plan as it was written and as it was resolved."""
    told = json.loads(run("explain", WSD, "--total-steps", "10000", "--json").stdout)
    assert told["written"] == WSD
    assert told["plan"] == "Warmup(500) >> Hold(7500) >> OneMinusSqrt(2000)"
    assert told["sentence"].startswith("Warm up linearly over 500 steps")
    assert told["steps"][1] == {
        "step": 499, "what": "warm-up ends", "value": 0.998004, "rate": 0.998004,
    }  # fmt: skip


def test_json_has_no_infinities():
    """What JSON has no number for is null."""
    told = json.loads(
        run("explain", "ExponentialDecay(10)", "--total-steps", "1000", "--json").stdout
    )
    assert told["steps"][-1]["value"] is None


def test_lengths_may_be_epochs_and_tokens():
    """A run may be given in epochs, and a plan in anything."""
    args = ["--total-steps", "3ep", "--steps-per-epoch", "100", "--tokens-per-step", "1000"]
    told = json.loads(run("explain", "Warmup(50Ktok) >> Cosine()", *args, "--json").stdout)
    assert told["plan"] == "Warmup(50) >> Cosine(250)"


@pytest.mark.parametrize("total", ["10000", "10_000", "10,000", "1e4", " 10000 "])
def test_a_number_of_steps_may_be_written_in_many_ways(total):
    """Separators and powers of ten are understood."""
    told = json.loads(run("explain", "Cosine()", "--total-steps", total, "--json").stdout)
    assert told["total_steps"] == 10_000


def test_explain_is_light():
    """It loads neither torch nor matplotlib nor uniplot; NumPy and Typer are a good part of it."""
    code = (
        "import sys\n"
        "from cadence.cli import app\n"
        "try: app(['explain', 'wsd()', '--total-steps', '1000'], prog_name='cadence')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'matplotlib', 'uniplot', 'rich.table'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    # What the processor spends, beside the same of a process that does nothing else than to load
    # these two: a busy machine, and a slow one, slow both down.
    explain = [sys.executable, "-m", "cadence", "explain", WSD, "--total-steps", "10000"]
    bare = [sys.executable, "-c", "import numpy, typer.main"]
    assert any(cost(explain) < 4 * cost(bare) for _ in range(5))


def cost(command):
    """Seconds that the processor spends on a process."""
    before = os.times()
    subprocess.run(command, capture_output=True, check=True)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


# check.


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Warmup(5) >> Cosine(85)", 1),
        ("Warmup(30%) >> Cosine()", 0),
        ("Cosine(end=0.3)", 0),
        ("wsd()", 0),
    ],
)
def test_check_fails_where_there_are_errors(text, code):
    """A script may stop there; warnings and hints do not stop it."""
    for form in ([], ["--json"]):
        result = run("check", text, "--total-steps", "45000", *form)
        assert (result.exit_code, result.stderr) == (code, "")
    assert process("check", text, "--total-steps", "45000").returncode == code


def test_check_tabulates_what_it_finds():
    """The code, how bad it is, where, the numbers, what to write, and how many there are."""
    result = run("check", "Warmup(30%) >> Cosine(end=0.3)", "--total-steps", "10000")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "CD008 warning step 0 the warm-up takes 3,000 of 10,000 steps, 30 % of",
        "the run",
        "write Warmup('5%') >> Cosine(end=0.3)",
        "CD010 hint step 10,000 the rate ends at 0.3, 30 % of its peak, 1",
        "write Warmup('30%') >> Cosine()",
        "",
        "1 warning, 1 hint",
    ]
    assert run("check", "wsd()", "--total-steps", "10000").stdout == "nothing found\n"
    # What cannot be written as text has no fix; without a step there is no place to name.
    assert "write" not in run("check", "Constant(0)", "--total-steps", "100").stdout


def test_check_prints_json():
    """A program gets each finding as it is, with the plan as written and as resolved."""
    plan = "Warmup(5ep) >> ExponentialDecay(10)"
    options = ["--total-steps", "90ep", "--steps-per-epoch", "100", "--json"]
    result = run("check", plan, *options)
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert told["written"] == "Warmup('5ep') >> ExponentialDecay(10)"
    assert told["plan"] == "Warmup(500) >> ExponentialDecay(10)"
    assert told["total_steps"] == 9000
    findings = cd.parse(plan).check(cd.Horizon("90ep", steps_per_epoch=100))
    # JSON has no number for what is infinite.
    expected = [{**f.as_dict(), "numbers": {**f.numbers, "value": None}} for f in findings[:1]]
    assert told["findings"][:1] == expected
    assert len(told["findings"]) == len(findings)


@pytest.mark.parametrize("flag", ["--base-lr", "--base"])
def test_check_judges_absolute_levels_at_the_base(flag):
    """The same end is high for a small rate and low for a large one."""
    plan = ["check", "Cosine(end=absolute(1e-4))", "--total-steps", "1000", flag]
    assert "CD010" in run(*plan, "2e-4").stdout
    assert run(*plan, "0.1").stdout == "nothing found\n"


# values.


@pytest.mark.parametrize("every", [1, 7, 200])
def test_values_are_exact(every):
    """Every number survives the way through the text."""
    args = ["values", "Cosine(100, end=0.1)", "--base-lr", "0.3", "--every", str(every)]
    plan = cd.Cosine(100, end=0.1)
    expected = [(step, plan(step), plan(step, 0.3)) for step in range(0, 100, every)]
    rows = list(csv.DictReader(io.StringIO(run(*args).stdout)))
    assert [(int(r["step"]), float(r["value"]), float(r["rate"])) for r in rows] == expected
    for form in (["--format", "json"], ["--json"]):
        told = json.loads(run(*args, *form).stdout)
        assert [tuple(row.values()) for row in told["values"]] == expected
        assert (told["plan"], told["total_steps"], told["base"]) == (repr(plan), 100, 0.3)
    table = run(*args, "--format", "table").stdout.splitlines()
    assert table[0].split() == ["step", "value", "rate"]
    assert len(table) == len(expected) + 1


def test_many_values_come_in_parts():
    """More values than are computed at once join without a seam."""
    lines = run("values", "Linear(40000)", "--every", "2").stdout.splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(0, 40_000, 2))


# plot.


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot_writes_a_picture(tmp_path, suffix):
    """The suffix says which kind."""
    path = tmp_path / f"plans.{suffix}"
    result = run("plot", WSD, "warmup_cosine(5%)", "--total-steps", "10000", "-o", str(path))
    assert (result.exit_code, result.stdout) == (0, f"wrote {path}\n")
    head = path.read_bytes()[:5]
    if suffix == "svg":
        assert ET.fromstring(path.read_text()).tag.endswith("svg")  # noqa: S314 - our own
    else:
        assert head == (b"%PDF-" if suffix == "pdf" else b"\x89PNG\r")


def test_plot_draws_in_the_terminal():
    """Without a file the curve is text, with a line that describes it."""
    result = run("plot", WSD, "--total-steps", "10000", "--base-lr", "3e-4")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in lines[:-1])
    assert lines[-1].startswith(f"{WSD}: starts at 6e-07, peaks at 0.0003 (step 500)")


def test_plot_draws_several_plans_to_one_length():
    """Plans of different lengths share the longest; they are told apart without colour."""
    result = run("plot", "Linear(100)", "Cosine(1000)", "ExponentialDecay(0.99)", "--log")
    assert result.exit_code == 0
    assert "\033" not in result.stdout
    assert [line[:2] for line in result.stdout.splitlines()[-3:]] == ["+ ", "x ", "o "]
    assert "1,000 steps" in result.stdout


def test_plot_may_count_epochs():
    """The x axis is in epochs where that is asked for."""
    args = ["plot", "Warmup(1ep) >> Cosine()", "--total-steps", "9ep", "--steps-per-epoch", "50"]
    assert "8 epochs" in run(*args, "--epochs").stdout


# shapes.


def test_shapes_lists_everything():
    """Every shape and recipe has a line with its curve and its formula, in 80 columns."""
    result = run("shapes")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    firsts = {line.split(" ")[0] for line in result.stdout.splitlines() if line.strip()}
    for entry in catalogue():
        assert entry.name in firsts
    assert "curve(u) = (1 - cos(pi * u**k)) / 2" in result.stdout


def test_shapes_prints_json():
    """A program gets the signature, the source and the values of an example too."""
    entries = {entry["name"]: entry for entry in json.loads(run("shapes", "--json").stdout)}
    assert entries["Cosine"]["kind"] == "shape"
    assert entries["wsd"]["kind"] == "recipe"
    assert entries["Linear"]["values"][::16] == [1.0, 0.5, 0.0]
    for entry in entries.values():
        assert entry["name"] == "Function" or cd.parse(entry["example"])


# The rest.


def test_the_version_and_the_help():
    """`--version` names it, and each command has help with examples."""
    assert run("--version").stdout == f"cadence {cd.__version__}\n"
    assert "Examples" in run("--help").stdout
    assert run().stdout == run("--help").stdout
    for command in ("plot", "explain", "values", "shapes"):
        result = run(command, "-h")
        assert result.exit_code == 0
        assert f"cadence {command}" in result.stdout
        assert "Examples" in result.stdout


def test_the_examples_of_the_help_run(tmp_path, monkeypatch):
    """What the help shows can be typed."""
    monkeypatch.chdir(tmp_path)
    wide = {"COLUMNS": "200"}
    examples = set()
    for command in ([], ["plot"], ["explain"], ["values"], ["shapes"]):
        text = run(*command, "--help", **wide).stdout
        examples |= {line.strip() for line in text.splitlines() if line.startswith(" cadence ")}
    assert len(examples) == 12
    for example in examples:
        _, *args = shlex.split(example)
        result = run(*args)
        assert result.exit_code == 0, (example, result.output)
    assert {path.suffix for path in Path().iterdir()} == {".png", ".pdf"}


@pytest.mark.parametrize(
    "args",
    [
        ["values", "Cosine(1000000)"],
        ["values", "Cosine(1000000)", "--json"],
        ["explain", WSD, "--total-steps", "10000"],
        ["shapes"],
    ],
    ids=" ".join,
)
def test_a_reader_that_leaves_early_is_no_error(args):
    """`cadence ... | head -1` prints a line and nothing on stderr."""
    command = subprocess.Popen(
        [sys.executable, "-m", "cadence", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with command:
        assert command.stdout.readline()
        command.stdout.close()
        assert command.stderr.read() == b""
    assert command.returncode in (0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line():
    """Where nothing can be written, the command says so without a traceback."""
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "cadence", "explain", "Cosine(9)"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert result.stderr == b"cadence: cannot write: No space left on device\n"
    assert result.returncode == 2


@pytest.mark.parametrize(
    "args", [["shapes"], ["plot", "wsd()", "sgdr(10)", "--total-steps", "100"]]
)
def test_no_color_is_respected_on_a_terminal(args):
    """On a terminal there are colours; with NO_COLOR there is no escape sequence at all."""
    pytest.importorskip("pty", reason="needs pseudo-terminals")
    environment = {"TERM": "xterm-256color", "COLUMNS": "80"}
    assert "\033[" in on_a_terminal(args, environment)
    assert "\033[" not in on_a_terminal(args, {**environment, "NO_COLOR": "1"})


def on_a_terminal(args, environment):
    """What the command prints when its stdout is a terminal."""
    import pty

    plain = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "cadence", *args], stdout=slave, env={**plain, **environment}
    ):
        os.close(slave)
        printed = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # what Linux says when the other end is closed
                break
            if not part:
                break
            printed += part
    os.close(master)
    return printed.decode()


@pytest.mark.parametrize(
    "args", [["shapes"], ["plot", "Linear(9)"], ["explain", "Linear(9)"]], ids=" ".join
)
def test_a_terminal_without_unicode_gets_ascii(args):
    """Blocks and frames are drawn with ASCII where stdout has nothing else."""
    result = process(*args, text=False, PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.isascii()


def test_the_command_is_installed():
    """`cadence` on the path is the same program."""
    command = Path(sys.executable).with_name("cadence")
    if not command.exists():
        pytest.skip("the package is not installed")
    result = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"cadence {cd.__version__}\n"
