"""Composer's schedulers as plans, by hand, and what is refused; without Composer."""

import pickle

import pytest

import cadence as cd
from cadence import parse
from cadence.dialects import from_composer
from cadence.errors import ArgumentError

RUN = {"max_duration": "10ep", "batches_per_epoch": 101}
COSINE = "CosineAnnealingWithWarmupScheduler"

TEXTS = [
    ("StepScheduler", {"step_size": "30ep"}, "StepDecay('30ep')"),
    ("StepScheduler", {"step_size": "2ep", "gamma": 0.5, **RUN}, "StepDecay(202, 0.5)"),
    (
        "MultiStepScheduler",
        {"milestones": ["0.8dur", "0.5dur"]},
        "MultiStepDecay(('50%', '80%'))",
    ),
    (
        "MultiStepScheduler",
        {"milestones": ["0.8dur", "50ba", "1ep"], **RUN},
        "MultiStepDecay((50, 101, 808))",
    ),
    ("ConstantScheduler", {}, "Constant(1)"),
    (
        "ConstantScheduler",
        {"alpha": 0.1, "t_max": "5ep", **RUN},
        "Constant(0.1, 505) >> Constant(1, 0)",
    ),
    ("LinearScheduler", {}, "Linear()"),
    (
        "LinearScheduler",
        {"alpha_i": 0.5, "alpha_f": 0.1, **RUN},
        "Linear(1010, start=0.5, end=0.1)",
    ),
    ("ExponentialScheduler", {"gamma": 0.9}, "ExponentialDecay(0.9, per='1ep')"),
    ("CosineAnnealingScheduler", {"t_max": "0.5dur"}, "Cosine('50%')"),
    (
        "CosineAnnealingWarmRestartsScheduler",
        {"t_0": "10ba", "t_mult": 2},
        "Cosine(10).repeat(length_mult=2)",
    ),
    (
        "CosineAnnealingWarmRestartsScheduler",
        {"t_0": "3ba", "t_mult": 1.5, "max_duration": "10ba"},
        "Cosine(3) >> Cosine(4, start=1) >> Cosine(6, start=1) >> Cosine(9, start=1)",
    ),
    (
        "CosineAnnealingWarmRestartsScheduler",
        {"t_0": "10ba", "t_mult": 1.05},
        "Cosine(10, start=1).repeat()",
    ),
    ("PolynomialScheduler", {"power": 2, "alpha_f": 0.1}, "Polynomial(end=0.1, power=2)"),
    (COSINE, {"t_warmup": "0.05dur"}, "Linear('5%', start=0, end=1) >> Cosine()"),
    (COSINE, {"t_warmup": "0ba"}, "Cosine()"),
    (
        COSINE,
        {"t_warmup": "0.05dur", "alpha_f": 0.1, **RUN},
        "Linear(50, start=0, end=1) >> Cosine(960, end=0.1)",
    ),
    (
        COSINE,
        {"t_warmup": "1ep", "t_max": "5ep"},
        "Linear('1ep', start=0, end=1) >> Cosine('4ep')",
    ),
    (
        COSINE,
        {"t_warmup": "10ba", "max_duration": "100ba", "ssr": 0.5},
        "Linear(10, start=0, end=1) >> Cosine(40)",
    ),
    (
        COSINE,
        {"t_warmup": "10ba", "max_duration": "100ba", "ssr": 0.5, "scale_warmup": True},
        "Linear(5, start=0, end=1) >> Hold(5) >> Cosine(40)",
    ),
    (
        COSINE,
        {"t_warmup": "10ba", "max_duration": "100ba", "ssr": 2, "scale_warmup": True},
        "Linear(20, start=0, end=1).part(0, 10) >> Cosine(190, start=1)",
    ),
    (
        COSINE,
        {"t_warmup": "1e3tok", "max_duration": "1e4tok", "tokens_per_batch": 400},
        "PiecewiseLinear(((0, 0), (2.5, 1))) >> PiecewiseCosine(((-0.5, 1), (22, 0)))",
    ),
    (
        "MultiStepWithWarmupScheduler",
        {"t_warmup": "10ba", "milestones": ["50ba", "80ba"]},
        "Linear(10, start=0, end=1) >> MultiStepDecay((40, 70))",
    ),
    (
        "MultiStepWithWarmupScheduler",
        {"t_warmup": "10ba", "milestones": ["5ba", "80ba"], "gamma": 0.5},
        "Linear(10, start=0, end=1) >> MultiStepDecay((70,), 0.5, start=0.5)",
    ),
    (
        "ConstantWithWarmupScheduler",
        {"t_warmup": "10ba", "alpha": 0.5, "max_duration": "50ba"},
        "Linear(10, start=0, end=0.5)",
    ),
    (
        "PolynomialWithWarmupScheduler",
        {"t_warmup": "60ba", "t_max": "50ba", "max_duration": "50ba"},
        "Linear(60, start=0, end=1)",
    ),
]


@pytest.mark.parametrize(
    ("name", "arguments", "text"), TEXTS, ids=[f"{name}-{text[:30]}" for name, _, text in TEXTS]
)
def test_schedulers_are_these_plans(name, arguments, text):
    """Each is an ordinary plan: it prints, reads back equal, is stored and pickled."""
    plan = from_composer(name, **arguments)
    assert repr(plan) == text
    assert parse(text) == plan
    assert cd.from_json(cd.to_json(plan)) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_a_time_may_be_an_object():
    """Composer's own `Time` is read by its text."""

    class Time:
        def to_timestring(self):
            return "10ba"

    assert from_composer(COSINE, t_warmup=Time()) == from_composer(COSINE, t_warmup="10ba")


def test_several_schedulers_multiply():
    """As in a Trainer that is given a list."""
    warmup = from_composer("LinearScheduler", alpha_i=0.0, alpha_f=1.0, t_max="10ba")
    plan = warmup * from_composer("StepScheduler", step_size="50ba")
    assert [plan(batch) for batch in (0, 5, 10, 50)] == [0.0, 0.5, 1.0, 0.1]


REFUSED = [
    (
        ("CosineScheduler", {}),
        "from_composer: 'name' must be a scheduler of Composer (got 'CosineScheduler'); did you",
    ),
    ((COSINE, {}), f"from_composer: {COSINE}: 't_warmup' must be given"),
    (
        (COSINE, {"t_warmup": "5ba", "warmup": 5}),
        f"from_composer: {COSINE}: unknown argument 'warmup'; did you mean 't_warmup'?",
    ),
    (
        (COSINE, {"t_warmup": 100}),
        f"from_composer: {COSINE}: 't_warmup' must be a time such as '10ep', '100ba', '5e9tok' or "
        "'0.5dur' (got 100)",
    ),
    (
        (COSINE, {"t_warmup": "1.5ba"}),
        f"from_composer: {COSINE}: 't_warmup' must be a time such as '10ep', '100ba', '5e9tok' or "
        "'0.5dur' (got '1.5ba')",
    ),
    (
        (COSINE, {"t_warmup": "30sec"}),
        f"from_composer: {COSINE}: 't_warmup' must be in batches, or in what a number of batches "
        "has (got '30sec')",
    ),
    (
        (COSINE, {"t_warmup": "1ep", "t_max": "500ba"}),
        f"from_composer: {COSINE}: 't_warmup' and 't_max' must come to the same unit (got 'ep' "
        "and 'ba'); tell the run by max_duration=...",
    ),
    (
        (COSINE, {"t_warmup": "1ep", "t_max": "5ep", **RUN}),
        f"from_composer: {COSINE}: 't_max' must not be less than the run (got 505 and 1010), or "
        "Composer refuses to train",
    ),
    (
        (COSINE, {"t_warmup": "1ep", "t_max": "0.5dur"}),
        f"from_composer: {COSINE}: 't_max' must not be less than the run (got 50% and 100%)",
    ),
    (
        (COSINE, {"t_warmup": "1ep", "t_max": "1.5dur"}),
        f"from_composer: {COSINE}: 'max_duration' must be given for a time beyond the end of the",
    ),
    (
        (COSINE, {"t_warmup": "1ep", "t_max": "1ep", "ssr": 0.5}),
        f"from_composer: {COSINE}: 'batches_per_epoch' must be given for a time that is scaled",
    ),
    (
        (COSINE, {"t_warmup": "5tok", "tokens_per_batch": 10}),
        f"from_composer: {COSINE}: 'max_duration' must be given for a warm-up that ends within",
    ),
    (
        (COSINE, {"t_warmup": "1ba", "max_duration": "1ba", "scale_warmup": True, "ssr": 0}),
        "from_composer: 'ssr' must be > 0 (got 0)",
    ),
    (
        ("LinearScheduler", {"max_duration": "0.5dur"}),
        "from_composer: 'max_duration' must be in epochs, batches, samples or tokens (got "
        "'0.5dur')",
    ),
    (
        ("LinearScheduler", {"t_max": "0.001dur", "max_duration": "9ba"}),
        "from_composer: LinearScheduler: 't_max' must not come to nothing (got '0.001dur')",
    ),
    (
        ("StepScheduler", {"step_size": "5sp", "samples_per_batch": 2}),
        "from_composer: StepScheduler: 'step_size' must be a whole number of batches (got '5sp', "
        "which comes to 2.5)",
    ),
    (
        ("MultiStepScheduler", {"milestones": "5ep"}),
        "from_composer: MultiStepScheduler: 'milestones' must be a list of times such as",
    ),
    (
        ("MultiStepScheduler", {"milestones": ["5ep", "10ba"]}),
        "from_composer: MultiStepScheduler: 'batches_per_epoch' must be given for milestones in",
    ),
    (
        ("CosineAnnealingWarmRestartsScheduler", {"t_0": "0.1dur"}),
        "from_composer: CosineAnnealingWarmRestartsScheduler: 'max_duration' must be given for "
        "cycles that are a part of the run",
    ),
    (
        ("CosineAnnealingWarmRestartsScheduler", {"t_0": "10ba", "t_mult": 1.5}),
        "from_composer: CosineAnnealingWarmRestartsScheduler: 'max_duration' must be given for "
        "cycles that grow and are truncated",
    ),
    (
        (
            "CosineAnnealingWarmRestartsScheduler",
            {"t_0": "8ba", "t_mult": 0.5, "max_duration": "99ba"},
        ),
        "from_composer: CosineAnnealingWarmRestartsScheduler: 't_mult' lets the cycles come to an "
        "end after 15 of 99 batches",
    ),
    (
        ("PolynomialScheduler", {"power": 0}),
        "from_composer: PolynomialScheduler: 'power' must be > 0 (got 0)",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[m[15:70] for _, m in REFUSED])
def test_what_cannot_be_read_is_refused(call, message):
    """The message says where, what is demanded, what was given and, where it can, what to type."""
    name, arguments = call
    with pytest.raises(ArgumentError) as caught:
        from_composer(name, **arguments)
    assert str(caught.value).startswith(message)
