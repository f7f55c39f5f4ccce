"""Schedules of transformers as plans: how they read, and what is refused in which words."""

import enum
import pickle
import subprocess
import sys
from types import SimpleNamespace

import pytest

import cadence as cd
from cadence import absolute, parse
from cadence.dialects import from_transformers
from cadence.errors import ArgumentError

PLANS = [
    ("linear", (10, 100), {}, "Warmup(10, start=0) >> Linear(90)"),
    ("linear", (0, 100), {}, "Linear(100)"),
    ("linear", (100, 100), {}, "Warmup(100, start=0) >> Constant(0)"),
    ("cosine", (10, 110), {}, "Warmup(10, start=0) >> CosineWave(200)"),
    (
        "cosine",
        (10, 109),
        {"num_cycles": 2},
        "Warmup(10, start=0) >> CosineWave(49.5)",
    ),
    ("cosine", (10, 110), {"num_cycles": 0}, "Warmup(10, start=0) >> Hold()"),
    ("cosine_with_restarts", (10, 110), {}, "Warmup(10, start=0) >> Cosine(100)"),
    (
        "cosine_with_restarts",
        (10, 110),
        {"num_cycles": 4},
        "Warmup(10, start=0) >> Cosine(25).repeat(4)",
    ),
    (
        "cosine_with_restarts",
        (0, 5),
        {"num_cycles": 2},
        "PiecewiseCosine(((0, 1), (2.5, 0), (2.5, 1), (5, 0)))",
    ),
    (
        "cosine_with_restarts",
        (0, 6),
        {"num_cycles": 1.5},
        "PiecewiseCosine(((0, 1), (4, 0), (4, 1), (8, 0))).part(0, 6) >> Constant(0)",
    ),
    ("polynomial", (10, 110), {}, "Warmup(10, start=0) >> Polynomial(100, end=absolute(1e-07))"),
    (
        "polynomial",
        (10, 110),
        {"power": 2, "lr_end": 0.01, "learning_rate": 0.1},
        "Warmup(10, start=0) >> Polynomial(100, end=0.09999999999999999, power=2)",
    ),
    ("constant", (None, None), {}, "Constant(1)"),
    ("constant_with_warmup", (10, None), {}, "Warmup(10, start=0) >> Hold()"),
    ("inverse_sqrt", (10, None), {}, "Warmup(10, start=0) >> InverseSqrt(10)"),
    ("inverse_sqrt", (0, None), {}, "InverseSqrt(10000)"),
    (
        "cosine_with_min_lr",
        (10, 110),
        {"min_lr_rate": 0.1},
        "Warmup(10, start=0) >> CosineWave(200, end=0.1)",
    ),
    (
        "cosine_with_min_lr",
        (10, 110),
        {"min_lr": 1e-5},
        "Warmup(10, start=0) >> CosineWave(200, end=absolute(1e-05))",
    ),
    (
        "cosine_warmup_with_min_lr",
        (10, 110),
        {"min_lr_rate": 0.1},
        "Warmup(9, start=0.1) >> CosineWave(200, end=0.1)",
    ),
    (
        "warmup_stable_decay",
        (10, 110),
        {"num_decay_steps": 20, "min_lr_ratio": 0.1, "decay_type": "1-sqrt"},
        "Warmup(10, start=0.1) >> Hold(80) >> OneMinusSqrt(20, end=0.1)",
    ),
    (
        "warmup_stable_decay",
        (10, 20),
        {"num_decay_steps": 20},
        "Warmup(10, start=0) >> Cosine(20).part(10)",
    ),
]
OPEN = [
    ("linear", {}, "Warmup(10, start=0) >> Linear()"),
    ("cosine", {}, "Warmup(10, start=0) >> Cosine()"),
    ("polynomial", {}, "Warmup(10, start=0) >> Polynomial(end=absolute(1e-07))"),
    ("cosine_warmup_with_min_lr", {"min_lr": 0}, "Warmup(9, start=0.1) >> Cosine() >> Hold(1)"),
    (
        "warmup_stable_decay",
        {"num_decay_steps": 20, "num_cycles": 2},
        "Warmup(10, start=0) >> Hold() >> CosineWave(10, steps=20) >> Constant(0, 0)",
    ),
]


@pytest.mark.parametrize(("name", "lengths", "own", "text"), PLANS, ids=lambda x: str(x)[:30])
def test_a_schedule_is_an_ordinary_plan(name, lengths, own, text):
    """It prints as one would type it, reads back, and can be stored."""
    warmup, total = lengths
    plan = from_transformers(name, num_warmup_steps=warmup, num_training_steps=total, **own)
    assert repr(plan) == text
    assert parse(text) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert plan == from_transformers(name, warmup_steps=warmup, total_steps=total, **own)


@pytest.mark.parametrize(("name", "own", "text"), OPEN, ids=lambda x: str(x)[:30])
def test_without_the_length_of_the_run_a_plan_is_open(name, own, text):
    plan = from_transformers(name, warmup_steps=10, **own)
    assert repr(plan) == text
    assert parse(text) == plan


class Kind(enum.StrEnum):
    """As their enumeration is."""

    COSINE = "cosine"


def test_training_arguments_are_read_from_objects_and_dicts():
    """Epochs leave the plan open; a part of the run is rounded up; the rate makes multiples."""
    read = from_transformers
    args = SimpleNamespace(
        lr_scheduler_type=Kind.COSINE, warmup_steps=0, max_steps=-1, learning_rate=5e-5, seed=1
    )
    assert repr(read(args)) == "Cosine()"
    args.max_steps, args.warmup_steps = 1001, 0.01
    assert repr(read(args)) == "Warmup(11, start=0) >> CosineWave(1980)"
    older = {"lr_scheduler_type": "linear", "warmup_ratio": 0.1, "warmup_steps": 0}
    assert repr(read(older | {"max_steps": 95})) == "Warmup(10, start=0) >> Linear(85)"
    assert repr(read(older, total_steps=50)) == "Warmup(5, start=0) >> Linear(45)"
    floor = {
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": '{"min_lr": 1e-5}',
        "learning_rate": 4e-5,
        "max_steps": 10,
    }
    assert repr(read(floor)) == "CosineWave(20, end=0.25)"
    floor["lr_scheduler_kwargs"] = {"min_lr_rate": 0.5}
    assert repr(read(floor, warmup_steps=2)) == "Warmup(2, start=0) >> CosineWave(16, end=0.5)"
    assert repr(read({"num_train_epochs": 3})) == "Linear()"


def test_functions_and_enumerations_name_schedules_too():
    """People call `get_scheduler`, or one of the functions behind it."""
    plan = from_transformers(
        "get_wsd_schedule", num_warmup_steps=5, num_decay_steps=5, num_training_steps=20
    )
    assert repr(plan) == "Warmup(5, start=0) >> Hold(10) >> Cosine(5)"
    assert from_transformers(
        "cosine_with_restarts",
        num_warmup_steps=0,
        num_training_steps=20,
        scheduler_specific_kwargs={"num_cycles": 2},
    ) == cd.Cosine(10).repeat(2)
    assert repr(from_transformers(Kind.COSINE, warmup_steps=0, total_steps=5)) == "CosineWave(10)"


def test_what_answers_metrics_is_a_controller():
    """Not a plan: it goes to `feedback=`."""
    plateau = from_transformers("reduce_lr_on_plateau", factor=0.5, min_lr=1e-6)
    assert plateau == cd.Plateau(factor=0.5, floor=absolute(1e-6), nan="bad")
    greedy = from_transformers("greedy", learning_rate=0.1, smooth=True, patience=5)
    assert greedy == cd.Greedy(patience=5, floor=0.01, ceiling=10, window=50, reset=500, nan="bad")


BAD = [
    (("cosin",), {}, "'name' must be one of 'linear', "),
    (("cosin",), {}, r"did you mean 'cosine'\?"),
    ((None,), {}, "must be a name such as 'cosine', or TrainingArguments"),
    (({},), {}, "must be a name such as 'cosine', or TrainingArguments"),
    (({"warmup_step": 5},), {}, r"unknown argument 'warmup_step'; did you mean 'warmup_steps'\?"),
    (({"lr_scheduler_kwargs": "cosine"},), {}, "'lr_scheduler_kwargs' must be a dict, or one in"),
    (({"max_steps": "many"},), {}, "'max_steps' must be a whole number"),
    (({"warmup_ratio": 0.1},), {}, "'total_steps' must be given where the warm-up is a part"),
    (("cosine",), {}, r"from_transformers\('cosine'\): 'warmup_steps' must be given; 0 is none"),
    (("cosine",), {"warmup_steps": 1, "num_cycle": 1}, "unknown argument 'num_cycle'; did you"),
    (("linear",), {"warmup_steps": 1, "zzz": 1}, "unknown argument 'zzz'; it takes none"),
    (("linear",), {"warmup_steps": 1, "num_warmup_steps": 1}, "are the same; give only one"),
    (("linear",), {"total_steps": 1, "num_training_steps": 1}, "are the same; give only one"),
    (("linear",), {"warmup_steps": -1}, "'warmup_steps' must be >= 0"),
    (("linear",), {"num_warmup_steps": 0.5}, "'num_warmup_steps' must be a whole number"),
    (("linear",), {"warmup_steps": 1, "total_steps": 9.5}, "'total_steps' must be a whole number"),
    (("linear",), {"warmup_steps": 1, "learning_rate": 0}, "'learning_rate' must be > 0"),
    (("cosine",), {"warmup_steps": 1, "num_cycles": 2}, "'total_steps' must be given for num_c"),
    (("cosine_with_restarts",), {"warmup_steps": 1, "num_cycles": 2}, "'total_steps' must be give"),
    (
        ("cosine_with_restarts",),
        {"warmup_steps": 1, "total_steps": 9, "num_cycles": -1},
        "'num_cycles' must be >= 0",
    ),
    (("polynomial",), {"warmup_steps": 5, "total_steps": 5}, "must not be the steps of the warm-"),
    (("polynomial",), {"warmup_steps": 5, "power": -1}, "'power' must be >= 0"),
    (
        ("polynomial",),
        {"warmup_steps": 5, "lr_end": 0.1, "learning_rate": 0.1},
        "'lr_end' must be smaller than the learning rate",
    ),
    (("inverse_sqrt",), {"warmup_steps": 5, "timescale": 0}, "'timescale' must be >= 1"),
    (("cosine_with_min_lr",), {"warmup_steps": 5}, r"must be given \(got neither\)"),
    (
        ("cosine_with_min_lr",),
        {"warmup_steps": 5, "min_lr": 0, "min_lr_rate": 0},
        r"must be given \(got both\)",
    ),
    (("cosine_with_min_lr",), {"warmup_steps": 5, "min_lr_rate": -1}, "'min_lr_rate' must be >= 0"),
    (
        ("cosine_warmup_with_min_lr",),
        {"warmup_steps": 1, "min_lr": 0, "warmup_lr_rate": 0.5},
        "'total_steps' must be given for a warm-up of one step",
    ),
    (("warmup_stable_decay",), {"warmup_steps": 5}, "'num_decay_steps' must be given"),
    (
        ("warmup_stable_decay",),
        {"warmup_steps": 5, "num_decay_steps": 5, "decay_type": "sqrt"},
        r"'decay_type' must be one of 'linear', 'cosine', '1-sqrt' \(got 'sqrt'\)",
    ),
    (("reduce_lr_on_plateau",), {"patient": 3}, r"unknown argument 'patient'; did you mean 'pat"),
    (("reduce_lr_on_plateau",), {"min_lr": [0, 1e-6]}, "'min_lr' must be one rate for all groups"),
    (("greedy",), {}, "'learning_rate' must be given: the reset"),
    (("greedy",), {"learning_rate": 0.1, "eps": 0.1}, "'eps' must be at most 1e-8"),
]


@pytest.mark.parametrize(("arguments", "keywords", "message"), BAD, ids=str)
def test_what_cannot_be_meant_is_refused_by_name(arguments, keywords, message):
    with pytest.raises(ArgumentError, match=message):
        from_transformers(*arguments, **keywords)


def test_neither_library_is_needed():
    """A plan can be had on a machine without transformers, and without loading torch."""
    code = (
        "import sys; from cadence.dialects import from_transformers; "
        "from_transformers('cosine', warmup_steps=0); "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
