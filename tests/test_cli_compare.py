"""`cadence compare`: which function it finds, what it prints, and how it fails."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cadence.cli import app

TRAIN = """
def train(run):
    for step in range(run.total_steps):
        run.log(step, loss=run.plan.resolve(run.total_steps)(step) + run.seed)

def other(run):
    return {"accuracy": run.seed}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command in a folder with a script, which is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my-train.py").write_text(TRAIN)
    (tmp_path / "tidy_train.py").write_text(TRAIN)

    def call(*args):
        command = ["compare", *args, "--engine", "inline"]
        return CliRunner().invoke(app, command, env={"COLUMNS": "80"}, prog_name="cadence")

    yield call
    for name in ("my-train", "tidy_train"):
        sys.modules.pop(name, None)


PLANS = ("--plan", "Constant(1)", "--plan", "down=Linear(end=0.5)", "--total-steps", "4")


def test_a_script_is_compared_under_each_plan(run):
    """It prints the table; plans without a name are called by their text."""
    done = run("my-train.py", *PLANS, "--seeds", "1", "-o", "out")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[2:4] == [
        "Constant(1)     -     0  verdict  finished          3      1",
        "down            -     0  verdict  finished          3  0.625",
    ]
    assert done.stdout.splitlines()[-1] == "wrote out/report.html"
    assert "[2/2] down, seed 0: loss 0.625" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["inline", "processes"])
def test_what_the_function_prints_is_not_in_the_json(engine, tmp_path):
    """It goes to stderr, from whichever process it comes."""
    (tmp_path / "talks.py").write_text(
        "print('imported')\ndef train(run):\n    print('trained', flush=True)\n    return 1.0\n"
    )
    words = ["compare", "talks.py", *PLANS, "--seeds", "1", "--engine", engine, "--json"]
    command = [sys.executable, "-m", "cadence", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["trials"]) == 2
    assert "imported" in done.stderr
    assert done.stderr.count("trained") == 2


def test_a_function_of_a_module_as_json(run):
    """`--json` prints the trials; `:` names another function."""
    args = ("tidy_train:other", *PLANS, "--metric", "accuracy", "--mode", "max", "--json")
    done = run(*args, "--seeds", "3,5", "--peaks", "0.1,0.2", "--peak-seeds", "1", "-o", "out")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["folder"] == "out"
    final = [row for row in told["trials"] if row["role"] == "verdict"]
    assert [(row["plan"], row["seed"], row["score"]) for row in final] == [
        ("Constant(1)", 3, 3.0),
        ("Constant(1)", 5, 5.0),
        ("down", 3, 3.0),
        ("down", 5, 5.0),
    ]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("gone.py", *PLANS), "TRAIN must be a file that is there (got 'gone.py')"),
        (("gone:train", *PLANS), "TRAIN must be FILE.py or module:function (got 'gone:train')"),
        (("my-train.py:tarin", *PLANS), "my-train.py must have a function 'tarin'; did you mean"),
        (("my-train.py", *PLANS, "--seeds", "few"), "--seeds must be a number, or several"),
        (("my-train.py", *PLANS, "--peaks", "1e-3,high"), "--peaks must be rates such as"),
        (("my-train.py", *PLANS, "--plan", "down=Cosine()"), "names that differ (got 'down' twi"),
        (("my-train.py", "--plan", "Cosin()", "--total-steps", "3"), "did you mean 'Cosine'"),
        (("my-train.py", *PLANS, "--mode", "most"), "'mode' must be one of"),
    ],
)
def test_bad_input_ends_with_one_line(run, args, message):
    """One line on stderr, exit code 2, and nothing is trained."""
    done = run(*args)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.startswith("cadence: ")
    assert len(done.stderr.splitlines()) == 1
