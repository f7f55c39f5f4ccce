"""Functions of the user's own: how the commands that are given one find it, and how they fail."""

import re
import sys

import pytest
from typer.testing import CliRunner

from cadence.cli import app

COMMANDS = {
    "compare": ("TRAIN", ["--plan", "Linear()", "--total-steps", "4", "--engine", "inline"]),
    "search": ("TRAIN", ["wsd()", "--range", "peak=1..2", "--budget", "1", "--total-steps", "4"]),
    "find-lr": ("MODULE", []),
}


@pytest.fixture(params=COMMANDS)
def command(request, tmp_path, monkeypatch):
    """What a command calls the module, and the command in a folder that is its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    argument, more = COMMANDS[request.param]
    yield (
        argument,
        lambda target: CliRunner().invoke(app, [request.param, target, *more], prog_name="cadence"),
    )
    sys.modules.pop("here", None)


def told(done):
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("target", ["absent_train.py:train", "absent_train:train"])
def test_what_the_module_imports_is_missed_by_its_own_name(command, tmp_path, target):
    """Also where the user's module bears a name that begins with that of the missing one."""
    (tmp_path / "absent_train.py").write_text("import absent\n\ndef train(run): ...\n")
    done = command[1](target)
    assert isinstance(done.exception, ModuleNotFoundError)
    assert done.exception.name == "absent"


@pytest.mark.parametrize("target", ["absent.inner:train", "here.absent:train", "here.a.b:train"])
def test_a_module_inside_another_is_missed_as_the_users(command, tmp_path, target):
    """The package may be missing, or the module in it, or it may be no package."""
    (tmp_path / "here.py").write_text("")
    argument, call = command
    assert told(call(target)).startswith(f"cadence: {argument} must be ")


@pytest.mark.parametrize(("name", "place"), [("json", r"/json/__init__\.py"), ("sys", "built-in")])
def test_a_file_whose_name_is_taken_must_be_renamed(command, tmp_path, name, place):
    """Python imports one module of a name: another than the file is not taken for it."""
    (tmp_path / f"{name}.py").write_text("def train(run): ...\n")
    argument, call = command
    message = f"{argument} must have a name of its own: '{name}' is .*{place}.*; rename it"
    assert re.search(message, told(call(f"{name}.py:train")))


@pytest.mark.parametrize("target", [".py:train", ".inner:train"])
def test_what_cannot_be_a_name_is_told(command, tmp_path, target):
    """A relative name has nothing that it is relative to."""
    (tmp_path / ".py").write_text("")
    argument, call = command
    assert told(call(target)).startswith(f"cadence: {argument} must be ")
