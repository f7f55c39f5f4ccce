"""The commands between libraries: what they print, what they write, and how they fail."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import cadence as cd
from cadence.cli import app
from cadence.dialects import from_transformers

RUN = ["--warmup-steps", "500", "--total-steps", "10000"]


def run(*args, **env):
    """The command in this process, where it is quick."""
    return CliRunner().invoke(app, list(args), env={"COLUMNS": "80", **env}, prog_name="cadence")


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A DeepSpeed config in the current folder."""
    monkeypatch.chdir(tmp_path)
    params = {"warmup_max_lr": 0.001, "warmup_num_steps": 10, "total_num_steps": 100}
    section = {"type": "WarmupDecayLR", "params": params}
    Path("ds_config.json").write_text(json.dumps({"scheduler": section, "train_batch_size": 8}))
    return tmp_path


# convert.


def test_a_schedule_of_another_library_becomes_a_plan():
    """What is printed is the text of the plan, which reads back."""
    args = ["--args", '{"min_lr_rate": 0.1}', *RUN]
    result = run("convert", "--from", "transformers", "cosine_with_min_lr", *args)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "Warmup(500, start=0) >> CosineWave(19000, end=0.1)\n"
    plan = from_transformers(
        "cosine_with_min_lr", min_lr_rate=0.1, warmup_steps=500, total_steps=10_000
    )
    assert cd.parse(result.stdout) == plan
    again = run("convert", "transformers:cosine_with_min_lr(min_lr_rate=0.1)", *RUN)
    assert again.stdout == result.stdout


def test_a_config_becomes_a_plan(config):
    """A file is read by the library's own rules."""
    result = run("convert", "--from", "deepspeed", "ds_config.json")
    assert cd.parse(result.stdout)(11) == 0.001
    assert run("convert", "deepspeed:ds_config.json").stdout == result.stdout


def test_a_plan_becomes_code(config):
    """The file that is written runs, and gives the numbers of the config."""
    result = run("convert", "--from", "deepspeed", "ds_config.json", "--to", "python", "-o", "x.py")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "wrote x.py\n", "")
    names = {}
    exec(Path("x.py").read_text(), names)  # noqa: S102
    plan = cd.parse(run("convert", "deepspeed:ds_config.json").stdout)
    assert [names["schedule"](t) for t in range(120)] == pytest.approx(plan(np.arange(120)))
    assert {path.name for path in config.iterdir()} == {"ds_config.json", "x.py"}


@pytest.mark.parametrize(
    "target", ["python", "torch", "transformers", "lightning", "optax", "json", "csv"]
)
def test_every_target_is_what_export_gives(target):
    """The command prints the text; what there is to know about it goes to stderr."""
    text = "Warmup(5%) >> Cosine(end=0.1)"
    result = run(
        "convert", text, "--to", target, "--total-steps", "200", "--base-lr", "3e-4"
    )  # fmt: skip
    made = cd.parse(text)
    made = made if target == "json" else made.resolve(200)
    made = made.export(target, 200, base_lr=3e-4)
    assert result.stdout.rstrip("\n") == made.text.rstrip("\n")
    assert result.stderr == (f"cadence: {made.note}\n" if made.note else "")


def test_json_tells_all_there_is_to_know():
    """A program reads the text, the note, and whether it is exact."""
    args = ["--to", "transformers", "--total-steps", "1000", "--tolerance", "0.02", "--json"]
    result = run("convert", "Warmup(100) >> Linear()", *args)
    told = json.loads(result.stdout)
    assert (result.stderr, told["exact"], told["until"]) == ("", False, 999)
    assert told["arguments"]["lr_scheduler_type"] == "linear"
    assert told["note"] == "at most 0.01 of the peak away at step 0"
    told = json.loads(run("convert", "timm:step", "--json").stdout)
    assert told == {"source": "timm:step", "plan": "StepDecay(90)"}


# diff.


def test_two_libraries_that_mean_the_same_word():
    """The table shows where they part; the texts say why."""
    result = run("diff", "transformers:cosine", "timm:cosine(warmup_lr=0)", *RUN)
    assert (result.exit_code, result.stderr) == (0, "")
    assert (
        result.stdout
        == """\
a  Warmup(500, start=0) >> CosineWave(19000)
b  Warmup(500, start=0) >> Cosine(10000).part(500)

They part at step 500. The largest difference is 0.0466, 4.7 % of the peak, at step 3,709. \
The second's area is 4751.02, the first's 5000 (-5 %).

 step  what                                  a           b      b - a
─────  ──────────────────────────  ───────────  ──────────  ─────────
    0  first step                            0           0          0
  500  they part                             1    0.993844   -0.00616
2,500  25%                             0.89457    0.853553     -0.041
3,709  furthest apart                 0.743914    0.697276    -0.0466
5,000  50%                             0.54129         0.5    -0.0413
7,500  75%                            0.161359    0.146447    -0.0149
9,999  last difference, last step  2.73396e-08  2.4674e-08  -2.67e-09
"""
    )


def test_plans_that_are_the_same_are_said_to_be():
    """The exit code is the same: the comparison has succeeded."""
    result = run("diff", "Linear(100)", "Polynomial(100)")
    assert result.exit_code == 0
    assert "They are the same at every step, 0 to 99." in result.stdout


def test_the_difference_is_drawn(tmp_path):
    """The picture is written beside what is printed."""
    path = tmp_path / "diff.png"
    result = run("diff", "Linear(100)", "Cosine(100)", "-o", str(path))
    assert result.stdout.endswith(f"\nwrote {path}\n")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_difference_as_json():
    """A program reads what a person does, and what was asked."""
    args = ["--total-steps", "100", "--base-lr", "0.1", "--json"]
    result = run("diff", "Cosine()", "torch:CosineAnnealingLR(eta_min=0.01)", *args)
    told = json.loads(result.stdout)
    assert told["given"] == ["Cosine()", "torch:CosineAnnealingLR(eta_min=0.01)"]
    assert (told["first"], told["at"], told["base"]) == (1, 99, 0.1)
    assert told["largest"] == pytest.approx(0.01, rel=1e-3)


# Bad input.


BAD_INPUT = {
    "convert 'Linear(9)' --warmup-steps 5": """
        --warmup-steps is for another library's schedule; add --from transformers
    """,
    "convert 'Linear(9)' --args '{}x'": """
        --args must be JSON (Extra data: line 1 column 3 (char 2)); write '{"num_cycles": 1}'
    """,
    "convert 'Linear(9)' --args '[1]'": "--args must be a JSON object (got [1])",
    "convert 'Linear(9)' --to pytorch": """
        '--to' must be one of 'csv', 'json', 'lightning', 'optax', 'python', 'torch',
        'transformers' (got 'pytorch'); did you mean 'torch'?
    """,
    "convert 'wsd()' --to torch": """
        "Warmup('5%') >> Hold() >> OneMinusSqrt('20%')" has a length that is not known in steps; add
        --total-steps 10000
    """,
    "convert cosine --from timm --warmup-steps=-1": "'--warmup-steps' must be >= 0 (got -1)",
    "convert cosine --from transformers": """
        from_transformers('cosine'): 'warmup_steps' must be given; 0 is none
    """,
    "convert cosine --from hf": """
        read: unknown library 'hf'; known are composer, deepspeed, keras, megatron, mmengine, optax,
        timm, torch, torchtitan, transformers
    """,
    "convert absent.json --from deepspeed": """
        read: cannot read 'absent.json': No such file or directory
    """,
    "convert 'StepDecay(5)' --to csv": """
        'StepDecay(5)' has no length of its own; add --total-steps 10000
    """,
    "convert 'Linear(9)' -o /absent/x": "cannot write '/absent/x': No such file or directory",
    "diff 'Linear(9)' 'Linear(8)' --warmup-steps 5": """
        --warmup-steps is for another library's schedule (got two plans); write Warmup(...)
    """,
    "diff 'wsd()' 'Linear(8)'": """
        'wsd()' has a length that is not known in steps; add --total-steps 10000
    """,
    "diff 'StepDecay(5)' 'StepDecay(6)'": """
        neither plan has a length of its own; add --total-steps 10000
    """,
    "diff 'Linear(9)' 'Linear(8)' -o x.jpg": "-o must end in .png, .svg or .pdf (got 'x.jpg')",
    "diff 'Linear(9)' 'torch:StepLR(step_size=5)' --warmup-steps 5": """
        torch: 'StepLR' has no warm-up of its own (got 5 steps of it); leave it out, and write
        Warmup(...) in front of the plan
    """,
}


@pytest.mark.parametrize("command", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(command):
    """Each message says what is wrong and, where it can, what to type."""
    result = run(*shlex.split(command))
    assert result.stderr == f"cadence: {' '.join(BAD_INPUT[command].split())}\n"
    assert (result.exit_code, result.stdout) == (2, "")


def test_the_examples_of_the_help_run(config):
    """What the help shows can be typed."""
    examples = []
    for command in ("convert", "diff"):
        text = run(command, "--help", COLUMNS="250").stdout
        examples += [line.strip() for line in text.splitlines() if line.startswith(" cadence ")]
    assert len(examples) == 5
    for example in examples:
        _, *args = shlex.split(example)
        result = run(*args)
        assert result.exit_code == 0, (example, result.output)
    assert {path.suffix for path in config.iterdir()} == {".json", ".py", ".png"}


def test_neither_loads_torch():
    """Reading, writing and comparing cost no framework, but for torch's own schedulers."""
    code = """
import sys
from typer.testing import CliRunner
from cadence.cli import app
for args in (["convert", "timm:cosine", "--to", "torch"], ["diff", "timm:cosine", "Linear(9)"]):
    assert CliRunner().invoke(app, args).exit_code == 0
print(*{"torch", "matplotlib", "jax"} & {*sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split() == []
