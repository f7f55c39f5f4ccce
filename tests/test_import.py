"""The door: what `import cadence` gives, and what it does not cost."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import cadence
from cadence import recipes, shapes, text

HEAVY = ("torch", "matplotlib", "jax", "pandas", "typer", "rich", "uniplot", "scipy", "IPython")
MODULES = sorted(
    path.stem
    for path in Path(cadence.__file__).parent.glob("*.py")
    if path.stem not in {"__init__", "__main__", "_version"}
)


def loaded_by(code: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after running the code."""
    report = f"import json, sys; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{report}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(done.stdout))


def test_importing_cadence_is_light():
    """`import cadence` loads neither torch nor matplotlib nor any other heavy package."""
    assert loaded_by("import cadence") == set()


def test_importing_cadence_leaves_late_names_alone():
    """Their modules are imported when they are asked for, and not before."""
    code = f"import cadence, sys; print({set(cadence._LATE.values())!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_using_plans_is_light():
    """Writing, reading, resolving and evaluating plans does not load them either."""
    code = """
import cadence, numpy
plan = cadence.parse("wsd(5%)").resolve(100)
assert plan == cadence.from_json(cadence.to_json(plan))
plan(3), plan(numpy.arange(100)), plan.phases(), plan.area(0, 10), repr(plan), dir(cadence)
"""
    assert loaded_by(code) == set()


@pytest.mark.parametrize(
    ("code", "package"),
    [
        ("import cadence.scheduler", "torch"),
        ("from cadence import *", "torch"),
        ("import cadence, matplotlib", "matplotlib"),
    ],
)
def test_a_heavy_import_is_noticed(code, package):
    """The two tests above can fail: where a package is loaded, it is reported."""
    assert package in loaded_by(code)


def test_the_list_of_names_is_sorted_and_real():
    """Every name in `cadence.__all__` is there, once, in order."""
    assert cadence.__all__ == sorted(set(cadence.__all__))
    for name in cadence.__all__:
        assert getattr(cadence, name) is not None


def test_dir_is_the_list():
    """Completion in a notebook offers the public names and nothing else."""
    assert dir(cadence) == cadence.__all__


def test_a_star_import_gives_the_list():
    """`from cadence import *` binds exactly the names in the list."""
    names: dict[str, object] = {}
    exec("from cadence import *", names)  # noqa: S102 - the one way to try a star import
    assert set(names) - {"__builtins__"} == set(cadence.__all__)


def test_no_public_name_is_missing_from_the_door():
    """What the door imports is listed, and all shapes, recipes and text functions come through."""
    own = {
        name
        for name, value in vars(cadence).items()
        if getattr(value, "__module__", "").startswith("cadence.") and not name.startswith("_")
    }
    assert own <= set(cadence.__all__)
    assert {*shapes.__all__, *recipes.__all__, *text.__all__} <= set(cadence.__all__)


def test_every_public_name_has_an_owner():
    """The module that defines a public name lists it too."""
    for name in set(cadence.__all__) - {"__version__"}:
        value = getattr(cadence, name)
        owner = importlib.import_module(value.__module__)
        assert name in owner.__all__, f"{owner.__name__} does not list {name}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_owns_a_list(module):
    """Each module has a sorted `__all__` whose names exist and are documented."""
    loaded = importlib.import_module(f"cadence.{module}")
    assert len(loaded.__all__) == len(set(loaded.__all__))
    assert loaded.__doc__
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if callable(value) and getattr(value, "__module__", "") == loaded.__name__:
            assert value.__doc__, f"{module}.{name} has no docstring"


def test_unknown_names_raise_what_python_expects():
    """A name that is not there raises AttributeError, so that `hasattr` and imports work."""
    assert not hasattr(cadence, "Cosin")
    with pytest.raises(AttributeError, match="module 'cadence' has no attribute 'Cosin'"):
        _ = cadence.Cosin
    with pytest.raises(ImportError):
        exec("from cadence import Cosin")  # noqa: S102 - as a user writes it


def test_the_version_is_one_version():
    """`cadence.__version__` is what the package's metadata says."""
    from importlib.metadata import version

    assert cadence.__version__ == version("cadence")
