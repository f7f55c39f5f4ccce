"""torchtitan's schedule as a plan, by hand, and what is refused; without torchtitan."""

import dataclasses
import pickle

import pytest

import cadence as cd
from cadence import parse
from cadence.dialects import from_torchtitan
from cadence.errors import ArgumentError

TEXTS = [
    ({}, "Linear(199, start=0.005, end=1) >> Hold(1) >> Linear()"),
    ({"warmup_steps": 0}, "Linear()"),
    ({"warmup_steps": 0, "decay_ratio": 0}, "Hold()"),
    (
        {"warmup_steps": 10, "decay_ratio": 0.15, "decay_type": "sqrt", "min_lr_factor": 0.1},
        "Linear(9, start=0.1, end=1) >> Hold() >> OneMinusSqrt('15%', end=0.1)",
    ),
    (
        {"warmup_steps": 10, "decay_ratio": 0.1, "training_steps": 100},
        "Linear(9, start=0.1, end=1) >> Hold(81) >> Linear(10) >> "
        "PowerLaw(10, start=-1, exponent=-1) + 1",
    ),
    (
        {"warmup_steps": 1, "total_steps": 100, "training_steps": 10, "decay_type": "cosine"},
        "Hold(1) >> Cosine(99) >> CosineWave(198, start=0, end=1)",
    ),
    (
        {"warmup_steps": 20, "training_steps": 10},
        "Linear(9, start=0.1, end=1) >> Hold(1)",
    ),
]


@pytest.mark.parametrize(("arguments", "text"), TEXTS, ids=[text[:60] for _, text in TEXTS])
def test_configs_are_these_plans(arguments, text):
    """Each is an ordinary plan: it prints, reads back equal, is stored and pickled."""
    plan = from_torchtitan(**arguments)
    assert repr(plan) == text
    assert parse(text) == plan
    assert cd.from_json(cd.to_json(plan)) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_the_peak_is_a_step_early_and_the_end_is_never_reached():
    """Update t of the warm-up has t + 1 parts, and the last update is one short of the end."""
    plan = from_torchtitan(warmup_steps=4, decay_ratio=0.5, training_steps=20)
    assert [plan(update) for update in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert (plan(10), plan(19)) == (1.0, pytest.approx(0.1))


def test_after_the_end_the_values_leave_the_range():
    """Torchtitan computes on; a bound keeps a run that is longer than its schedule out of it."""
    for kind, beyond in (("linear", -1.0), ("sqrt", 1 - 2**0.5), ("cosine", 1.0)):
        plan = from_torchtitan(warmup_steps=0, training_steps=10, decay_type=kind)
        assert plan(20) == pytest.approx(beyond)
        assert plan.clip(low=0.0)(20) == max(0.0, plan(20))


def test_a_section_a_config_an_object_and_a_call_are_the_same():
    """The section alone, the config that has it, and the object that torchtitan makes of it."""

    @dataclasses.dataclass
    class Config:
        warmup_steps: int = 5
        decay_ratio: float = 0.1

    section = dataclasses.asdict(Config())
    expected = from_torchtitan(warmup_steps=5, decay_ratio=0.1, training_steps=100)
    assert from_torchtitan(section, training_steps=100) == expected
    assert from_torchtitan(Config(), training_steps=100) == expected
    whole = {"lr_scheduler": section, "training": {"steps": 100}, "optimizer": {"lr": 3e-4}}
    assert from_torchtitan(whole) == expected
    assert from_torchtitan(whole, warmup_steps=7) != expected
    assert from_torchtitan({"training": {"steps": 300}}) == from_torchtitan(training_steps=300)


REFUSED = [
    ({"warmup": 5}, "unknown argument 'warmup'; did you mean 'warmup_steps'?"),
    ({"warmup_steps": -1}, "'warmup_steps' must be >= 0 (got -1)"),
    ({"decay_ratio": 1.5}, "'decay_ratio' must be <= 1 (got 1.5)"),
    ({"decay_type": "sqroot"}, "'decay_type' must be one of 'linear', 'sqrt', 'cosine' (got 'sq"),
    ({"total_steps": 0}, "'total_steps' must be >= 1 (got 0)"),
    ({"training_steps": 0}, "'training_steps' must be >= 1 (got 0)"),
    ({"config": 5}, "'config' must be the section 'lr_scheduler' (got 5)"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_what_cannot_be_read_is_refused(arguments, message):
    """The message says where, what is demanded, what was given and, where it can, what to type."""
    with pytest.raises(ArgumentError) as caught:
        from_torchtitan(**arguments)
    assert str(caught.value).startswith(f"from_torchtitan: {message}")
