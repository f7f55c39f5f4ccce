"""Schedules of other libraries by a line of text."""

import json

import numpy as np
import pytest

from cadence import dialects, parse
from cadence.dialects import read
from cadence.dialects.specs import LIBRARIES, is_spec
from cadence.errors import ArgumentError, ArgumentTypeError

RUN = {"warmup_steps": 100, "total_steps": 1000, "base_lr": 0.001}

READ = {
    "transformers:cosine": "Warmup(100, start=0) >> CosineWave(1800)",
    "transformers : polynomial(power=2, lr_end=0.0)": (
        "Warmup(100, start=0) >> Polynomial(900, power=2)"
    ),
    "Timm:cosine(warmup_lr=0, min_lr=1e-6)": (
        "Warmup(100, start=0) >> Cosine(1000, end=absolute(1e-06)).part(100)"
    ),
    "timm:CosineLRScheduler(warmup_prefix=True)": "Warmup(100, start=0) >> Cosine(1000)",
    "timm:StepLRScheduler(decay_t=300, decay_rate=0.5)": (
        "Warmup(100, start=0) >> StepDecay(300, 0.5)"
    ),
    "optax:warmup_cosine_decay_schedule(init_value=0)": "Warmup(100, start=0) >> Cosine(900)",
    "keras:CosineDecay": "Warmup(100, start=0, end=absolute(0.001)) >> Cosine(900)",
    "deepspeed:WarmupDecayLR(warmup_max_lr=0.1, warmup_type='linear')": (
        "Constant(absolute(0), 1) >> Linear(100, end=absolute(0.1)) >> Linear(900, end=absolute(0))"
    ),
    "megatron:cosine(min_lr=0.0001)": (
        "Linear(100, start=absolute(0), end=absolute(0.001)) >> Cosine(900, end=absolute(0.0001))"
    ),
    "composer:CosineAnnealingWithWarmupScheduler(alpha_f=0.1)": (
        "Linear(100, start=0, end=1) >> Cosine(900, end=0.1)"
    ),
    "torchtitan:cosine(decay_ratio=0.2, min_lr_factor=0.1)": (
        "Linear(99, start=0.01, end=1) >> Hold(701) >> Cosine(200, end=0.1) >> "
        "CosineWave(400, start=0.1, end=1)"
    ),
}
"""What takes a warm-up, a length and, where it wants to know it, the rate."""

WITHOUT_WARMUP = {
    "transformers:constant": "Constant(1)",
    "timm:poly(decay_rate=2)": "Polynomial(1000, power=2)",
    "optax:cosine_decay_schedule(alpha=0.1)": "Cosine(1000, end=0.1)",
    "optax:exponential_decay(transition_steps=9, decay_rate=0.5)": "ExponentialDecay(0.5, per=9)",
    "keras:PolynomialDecay(end_learning_rate=0)": "Linear(1000)",
    "keras:CosineDecay": "Cosine(1000)",
    "composer:LinearScheduler(alpha_f=0.1)": "Linear(1000, end=0.1)",
    "mmengine:MultiStepLR(by_epoch=False, milestones=[30, 60])": (
        "MultiStepDecay((30, 60), steps=999)"
    ),
    "torch:StepLR(step_size=30)": "StepDecay(30)",
    "torch:OneCycleLR": "PiecewiseCosine(((0, 0.04), (299, 1), (999, 4e-06)))",
    "deepspeed:LRRangeTest(lr_range_test_min_lr=0.1, lr_range_test_step_rate=0)": (
        "Constant(absolute(0.1))"
    ),
}


@pytest.mark.parametrize("spec", READ)
def test_what_is_known_of_the_run_is_passed_on(spec):
    """Each library is told the warm-up, the length and the rate as it calls and counts them."""
    assert repr(read(spec, **RUN)) == repr(parse(READ[spec]))


@pytest.mark.parametrize("spec", WITHOUT_WARMUP)
def test_a_schedule_without_a_warmup_is_read(spec):
    """What a schedule has no use for is left out, as a length of one that has none."""
    assert repr(read(spec, total_steps=1000)) == repr(parse(WITHOUT_WARMUP[spec]))


@pytest.mark.parametrize(
    "spec",
    [spec for spec in WITHOUT_WARMUP if not spec.startswith(("timm", "transf", "keras:Cosine"))],
)
def test_a_warmup_is_not_passed_over(spec):
    """A warm-up that the schedule does not have is refused: it would be missing unnoticed."""
    with pytest.raises(ArgumentError, match="no warm-up of its own"):
        read(spec, **RUN)
    assert read(spec, total_steps=1000, warmup_steps=0) == read(spec, total_steps=1000)


def test_every_library_is_read_by_its_own_reader():
    """Each reader that takes names has its line; Lightning's takes live objects alone."""
    readers = {name.removeprefix("from_") for name in dialects.__all__ if name != "read"}
    assert {*LIBRARIES} == readers - {"lightning"}
    assert {spec.split(":")[0].strip().lower() for spec in {**READ, **WITHOUT_WARMUP}} == {
        *LIBRARIES
    }


def test_what_the_text_says_comes_first():
    """Arguments in the text win over those beside it, and those over what is known of the run."""
    plan = read("transformers:linear(warmup_steps=5)", total_steps=100, warmup_steps=50)
    assert repr(plan) == "Warmup(5, start=0) >> Linear(95)"
    plan = read("transformers:linear", arguments={"warmup_steps": 5}, total_steps=9, warmup_steps=1)
    assert repr(plan) == "Warmup(5, start=0) >> Linear(4)"
    plan = read("torch:StepLR(step_size=3)", arguments={"step_size": 5, "gamma": 0.5})
    assert repr(plan) == "StepDecay(3, 0.5)"


CONFIGS = {
    "deepspeed": (
        {"scheduler": {"type": "WarmupCosineLR", "params": {"warmup_num_steps": 9}}},
        {"total_num_steps": 100, "warmup_type": "linear"},
    ),
    "keras": ({"class_name": "CosineDecay", "config": {"decay_steps": 9, "alpha": 0.1}}, {}),
    "mmengine": ([{"type": "StepLR", "by_epoch": False, "step_size": 30}], {}),
    "timm": ({"sched": "cosine", "epochs": 90, "warmup_epochs": 5}, {}),
    "torchtitan": ({"warmup_steps": 10}, {"decay_ratio": 0.2}),
    "transformers": ({"lr_scheduler_type": "cosine", "warmup_steps": 10, "max_steps": 100}, {}),
    "megatron": (
        {"lr": 0.1, "min_lr": 0.0, "lr_decay_style": "cosine", "train_iters": 90},
        {"lr_warmup_iters": 9},
    ),
}


@pytest.mark.parametrize("library", CONFIGS)
def test_a_file_is_what_its_reader_makes_of_it(library, tmp_path):
    """A config in JSON is given to the library's reader, with what is said beside it."""
    config, given = CONFIGS[library]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    reader = getattr(dialects, f"from_{library}")
    assert read(f"{library}:{path}", arguments=given) == reader(config, **given)


def test_a_file_goes_by_what_is_known_of_the_run(tmp_path):
    """The length of a run that a config leaves open is passed on."""
    path = tmp_path / "args.json"
    path.write_text('{"lr_scheduler_type": "linear", "warmup_steps": 10}')
    assert repr(read(f"transformers:{path}", total_steps=100)) == (
        "Warmup(10, start=0) >> Linear(90)"
    )
    path.write_text('{"type": "StepLR", "step_size": 2}')
    plan = read(f"mmengine:{path}", total_steps=100, steps_per_epoch=10)
    assert [plan(step) for step in (0, 19, 20)] == [1.0, 1.0, 0.1]


def test_what_a_config_of_deepspeed_leaves_open_is_filled_in(tmp_path):
    """`"auto"` is what the run is known by, as with transformers; a number stays what it is."""
    path = tmp_path / "ds_config.json"
    rates = {"warmup_min_lr": "auto", "warmup_max_lr": "auto", "warmup_type": "linear"}
    lengths = {"warmup_num_steps": "auto", "total_num_steps": "auto"}
    section = {"type": "WarmupDecayLR", "params": {**rates, **lengths}}
    path.write_text(json.dumps({"scheduler": section}))
    filled = (
        "Constant(absolute(0), 1) >> Linear(100, end=absolute(0.001)) >> Linear(900, "
        "end=absolute(0))"
    )
    assert repr(read(f"deepspeed:{path}", **RUN)) == filled
    with pytest.raises(ArgumentError, match=r"filled in.*warmup_max_lr \(the learning rate\)"):
        read(f"deepspeed:{path}", warmup_steps=100, total_steps=1000)
    section["params"] |= {"warmup_num_steps": 10, "total_num_steps": 50}
    path.write_text(json.dumps(section))
    assert read(f"deepspeed:{path}", **RUN)(np.array([11, 51])).tolist() == [0.001, 0.0]
    section = {"type": "OneCycle", "params": {"cycle_min_lr": 0.1, "cycle_max_lr": 1}}
    path.write_text(json.dumps({"scheduler": section}))
    with pytest.raises(ArgumentError, match="no warm-up of its own"):
        read(f"deepspeed:{path}", **RUN)


WRONG = {
    "cosine": "'spec' must be a library and a schedule of it .*write 'transformers:cosine'",
    "hf:cosine": "unknown library 'hf'; known are composer, deepspeed, keras",
    "transfomers:cosine": "unknown library 'transfomers'; did you mean 'transformers'",
    "timm:": "'spec' must be a library and a schedule of it",
    "timm:cosine(": r"plain values \(got 'cosine\('\); write cosine\(num_cycles=1\)",
    "timm:cosine(5)": "plain values",
    "timm:cosine(min_lr=abs(1))": "plain values",
    "timm:cosine(**{'min_lr': 1})": "plain values",
    "timm:cosine(min_lr=1).part(1)": "plain values",
    "timm:a.b()": "plain values",
    "timm:cosine(minlr=1)": "unknown argument 'minlr'; did you mean 'min_lr'",
    "transformers:cosin": "did you mean 'cosine'",
    "transformers:reduce_lr_on_plateau": "answers a metric and is no plan.*feedback=Plateau",
    "composer:plan.json": "composer is not configured by files .*write composer:name",
    "deepspeed:absent.json": "cannot read 'absent.json': No such file",
}


@pytest.mark.parametrize("spec", WRONG)
def test_a_text_that_is_wrong_is_told_so(spec):
    """Each message says what was given and what to write."""
    with pytest.raises(ArgumentError, match=WRONG[spec]):
        read(spec, warmup_steps=0, total_steps=9)


def test_a_file_that_is_no_config_is_told_so(tmp_path):
    """Neither broken JSON nor a bare number is taken for a config."""
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(ArgumentError, match="must hold JSON"):
        read(f"timm:{path}")
    path.write_text("3")
    with pytest.raises(ArgumentTypeError, match="must hold a config"):
        read(f"timm:{path}")


def test_a_plan_is_no_spec():
    """The text of a plan holds no colon, so the two are told apart."""
    assert is_spec("timm:cosine")
    assert is_spec(" hf : x")
    assert not is_spec("Warmup('5%') >> Cosine()")
    assert not is_spec("Function('a:b')")
