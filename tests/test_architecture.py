"""The floors: a module imports only from below, and what reaches up is named here."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import cadence

SOURCE = Path(cadence.__file__).parent
DOCUMENT = Path(__file__).parents[1] / "docs" / "architecture.md"

# From the ground up. Within a floor, a module may import from those before it, never after it.
# Some are planned: a module that exists must be listed, not the other way round.
FLOORS = [
    ["_version", "errors", "_checks", "_warn", "_array", "_optional", "_files", "_wording"],
    ["horizon", "_program", "levels"],
    ["schedule", "algebra"],
    ["shapes"],
    ["recipes", "feedback", "text"],
    [
        "binding",
        "captured",
        "ownership",
        "updates",
        "ranks",
        "walltime",
        "revisions",
        "state",
        "given",
        "rivals",
        "scheduler",
        "param_groups",
    ],
    [
        *("outline", "explain", "catalogue", "plot", "edits", "view", "rules", "check"),
        *("differences", "lr_scheduler", "runs", "range_finder", "forecast"),
    ],
    ["dialects", "logs", "integrations", "compare", "search"],
    ["cli", "__main__", "__init__"],
]

# The conveniences that reach up: in which function, to which module. They import when called.
LATE = {
    ("schedule", "Schedule.__rshift__", "algebra"),
    ("schedule", "Schedule.__mul__", "algebra"),
    ("schedule", "Schedule.__add__", "algebra"),
    ("schedule", "Schedule.clip", "algebra"),
    ("schedule", "Schedule.repeat", "algebra"),
    ("schedule", "Schedule.part", "algebra"),
    ("schedule", "Schedule.check", "check"),
    ("schedule", "Schedule.stairs", "algebra"),
    ("schedule", "Schedule.plot", "plot"),
    ("schedule", "Schedule.export", "dialects"),
    ("schedule", "Schedule._repr_html_", "plot"),
    ("scheduler", "Scheduler.__init__", "check"),
    ("scheduler", "Asked.plot", "plot"),
    ("revisions", "Change.plot", "plot"),
    ("rivals", "refuse_rivals", "dialects"),
}

# For annotations alone: never executed.
TYPES_ONLY = {
    ("schedule", "algebra"),
    ("schedule", "check"),
    ("schedule", "dialects"),
    ("ownership", "scheduler"),
    ("state", "scheduler"),
}

# Who may import what is not the standard library nor NumPy while being imported itself.
OUTSIDE = {
    "torch": {
        *("binding", "captured", "updates", "ranks", "given", "ownership", "state", "scheduler"),
        *("lr_scheduler", "range_finder", "dialects", "logs", "integrations"),
    },
    "typer": {"cli"},
    "rich": {"cli"},
}
HEAVY = [
    *("torch", "matplotlib", "uniplot", "typer", "rich", "jax", "pandas", "scipy", "sklearn"),
    *("statsmodels", "optuna", "jinja2", "markupsafe"),
    *("tensorboard", "tensorboardX", "wandb", "mlflow", "PIL"),
    *("transformers", "accelerate", "lightning", "pytorch_lightning", "ignite", "jsonargparse"),
]

PLACES = {
    name: (floor, place) for floor, names in enumerate(FLOORS) for place, name in enumerate(names)
}


@dataclass(frozen=True)
class Import:
    """One import: by whom, of what, inside which function, and whether for annotations alone."""

    importer: str
    target: str
    function: str
    types_only: bool


def imports_of(importer: str, source: str, modules: set[str]) -> list[Import]:
    """All imports in a module's source, those inside functions too.

    A target inside Cadence is told as `cadence.shapes`, another one as its top-level package.
    """
    found: list[Import] = []

    def targets(node: ast.Import | ast.ImportFrom) -> list[str]:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.level or node.module == "cadence":
            # `from cadence import shapes` means the module, `from cadence import Cosine` the door.
            base = node.module or "" if node.level else ""
            names = [
                f"cadence.{base or (alias.name if alias.name in modules else '__init__')}"
                for alias in node.names
            ]
        else:
            names = [str(node.module)]
        return [
            ".".join(name.split(".")[: 2 if name.startswith("cadence.") else 1])
            if name != "cadence"
            else "cadence.__init__"
            for name in names
        ]

    def walk(node: ast.AST, function: str, *, types_only: bool) -> None:
        for child in ast.iter_child_nodes(node):
            inside, only = function, types_only
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                inside = f"{function}.{child.name}".lstrip(".")
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                found.extend(
                    Import(importer, target, function, types_only) for target in targets(child)
                )
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                only = True
            walk(child, inside, types_only=only)

    walk(ast.parse(source), "", types_only=False)
    return found


def name_of(path: Path) -> str:
    """The module as the floors call it; all of a package is on one floor."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def all_imports() -> list[Import]:
    """The imports of every module of Cadence."""
    paths = sorted(SOURCE.rglob("*.py"))
    modules = {name_of(path) for path in paths}
    return [
        found
        for path in paths
        for found in imports_of(name_of(path), path.read_text(encoding="utf-8"), modules)
    ]


def offences(imports: list[Import]) -> list[str]:
    """The imports that the floors do not allow, as sentences."""
    told = []
    for found in imports:
        importer, function = found.importer, found.function
        if not found.target.startswith("cadence."):
            allowed = importer in OUTSIDE.get(found.target, ())
            if found.target in HEAVY and not (allowed or function or found.types_only):
                told.append(f"{importer} imports {found.target} while being imported")
            continue
        target = found.target.removeprefix("cadence.")
        if target not in PLACES:
            told.append(f"{importer} imports {target}, which is on no floor")
        elif PLACES[target] >= PLACES[importer] and target != importer:
            late = function and (importer, function, target) in LATE
            types = found.types_only and (importer, target) in TYPES_ONLY
            if not (late or types):
                told.append(f"{importer} imports {target} in {function or 'the module'}")
    return told


def test_every_module_is_on_a_floor():
    """A new module must be given a floor, here and in docs/architecture.md."""
    assert {name_of(path) for path in SOURCE.rglob("*.py")} <= set(PLACES)


def test_modules_import_only_from_below():
    """No module imports from its own floor's later modules, from above, or from the door."""
    assert offences(all_imports()) == []


@pytest.mark.parametrize(
    ("importer", "source", "offence"),
    [
        ("errors", "import cadence.schedule", "errors imports schedule in the module"),
        ("shapes", "from cadence.recipes import wsd", "shapes imports recipes in the module"),
        ("shapes", "from cadence import recipes", "shapes imports recipes in the module"),
        ("recipes", "from cadence import Cosine", "recipes imports __init__ in the module"),
        ("recipes", "import cadence", "recipes imports __init__ in the module"),
        ("levels", "from . import schedule", "levels imports schedule in the module"),
        ("levels", "from .schedule import Leaf", "levels imports schedule in the module"),
        ("schedule", "def f():\n  from cadence.plot import plot", "schedule imports plot in f"),
        (
            "shapes",
            "class A:\n  def f(self):\n    if True:\n      import cadence.text",
            "shapes imports text in A.f",
        ),
        ("binding", "from cadence.state import packed", "binding imports state in the module"),
        (
            "shapes",
            "if TYPE_CHECKING:\n  from cadence.recipes import wsd",
            "shapes imports recipes in the module",
        ),
        ("shapes", "try:\n  import torch\nexcept ImportError: ...", "shapes imports torch while"),
        ("plot", "import matplotlib.pyplot as plt", "plot imports matplotlib while"),
        ("horizon", "from cadence import novelty", "horizon imports __init__ in the module"),
        ("horizon", "import cadence.novelty", "horizon imports novelty, which is on no floor"),
    ],
)
def test_an_import_from_above_is_caught(importer, source, offence):
    """The check above can fail: planted imports of every form are reported."""
    planted = imports_of(importer, source, set(PLACES))
    assert [told.startswith(offence) for told in offences(planted)] == [True]


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("shapes", "from cadence.schedule import Leaf"),
        ("scheduler", "import torch\nfrom cadence.state import packed"),
        ("plot", "def draw():\n  from matplotlib.figure import Figure"),
        ("algebra", "from cadence import _checks, horizon"),
        ("integrations", "from cadence.integrations import other"),
    ],
)
def test_an_import_from_below_is_let_through(importer, source):
    """The check above is about direction alone."""
    assert offences(imports_of(importer, source, set(PLACES))) == []


def test_permissions_are_needed():
    """An exception for a function that no longer reaches up is taken off the list."""
    imports = all_imports()
    used = {
        (found.importer, found.function, found.target.removeprefix("cadence.")) for found in imports
    }
    for importer, function, target in LATE - used:
        source = (SOURCE / f"{importer}.py").read_text(encoding="utf-8")
        defined = re.search(rf"def {function.rsplit('.', maxsplit=1)[-1]}\(", source)
        assert not defined, f"{importer}.{function} does not import {target}"
    typed = {(f.importer, f.target.removeprefix("cadence.")) for f in imports if f.types_only}
    assert typed >= TYPES_ONLY


def test_the_document_tells_the_same_floors():
    """docs/architecture.md lists every module on its floor, in this order."""
    rows = re.findall(
        r"^\| (\d) \| `(\w+)(?:\.py|/)` ", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    existing = {name_of(path) for path in SOURCE.rglob("*.py")} - {"_version", "__init__"}
    told = [(int(floor), name) for floor, name in rows]
    expected = [
        (floor, name) for floor, names in enumerate(FLOORS) for name in names if name in existing
    ]
    assert [row for row in told if row[1] in existing] == expected
