"""mmengine's parameter schedulers as plans, by hand, and what is refused; without mmengine."""

import pickle

import pytest

import cadence as cd
from cadence import parse
from cadence.dialects import from_mmengine
from cadence.errors import ArgumentError

WARMUP = {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "begin": 0, "end": 500}


def by_iter(kind, **own):
    return {"type": kind, "by_epoch": False, **own}


TEXTS = [
    ([WARMUP], "Linear(499, start=0.001, end=1)"),
    ([by_iter("StepLR", step_size=30)], "StepDecay(30)"),
    ([by_iter("StepLR", step_size=30, end=90)], "StepDecay(30, steps=89)"),
    (
        [by_iter("MultiStepLR", milestones=[80, 30], begin=10)],
        "Hold(10) >> MultiStepDecay((30, 80))",
    ),
    ([by_iter("ConstantLR", factor=0.5, end=5)], "Constant(0.5, 4) >> Constant(1, 0)"),
    ([by_iter("ConstantLR", factor=0.5, end=1)], "Constant(0.5, 0)"),
    ([by_iter("ConstantLR", factor=1)], "Constant(1)"),
    ([by_iter("ExponentialLR", gamma=0.9, end=100)], "ExponentialDecay(0.9, steps=99)"),
    ([by_iter("CosineAnnealingLR", T_max=100, end=101)], "Cosine(100)"),
    (
        [by_iter("CosineAnnealingLR", end=100, eta_min=0.01)],
        "Cosine(100, end=absolute(0.01)).part(0, 99)",
    ),
    (
        [by_iter("CosineAnnealingLR", T_max=100, eta_min_ratio=0.1)],
        "Cosine(100, end=0.1) >> CosineWave(200, start=0.1, end=1)",
    ),
    ([by_iter("PolyLR", end=101, power=0.9)], "Polynomial(100, power=0.9)"),
    (
        [by_iter("CosineRestartLR", periods=[10, 20], restart_weights=[1, 0.5], eta_min=0.0)],
        "(Cosine(10) >> Cosine(20, start=0.5)).part(0, 29)",
    ),
    (
        [by_iter("OneCycleLR", eta_max=0.5, total_steps=100, end=100)],
        "PiecewiseCosine(((0, absolute(0.02)), (29, absolute(0.5)), (99, absolute(2e-06))))",
    ),
    (
        [WARMUP, by_iter("MultiStepLR", milestones=[800, 1100])],
        "Linear(499, start=0.001, end=1) * MultiStepDecay((800, 1100))",
    ),
    (
        [WARMUP, by_iter("PolyLR", begin=500, end=1001, eta_min=0.01)],
        "Linear(499, start=0.001, end=1) >> Hold(1) >> Polynomial(500, end=absolute(0.01))",
    ),
    (
        [
            by_iter("LinearLR", start_factor=0.5, end_factor=0.5, end=3),
            by_iter("StepLR", step_size=4, begin=9),
        ],
        "Linear(2, start=0.5, end=0.5) * (Hold(9) >> StepDecay(4))",
    ),
    (
        [
            {
                "type": "CosineAnnealingLR",
                "by_epoch": True,
                "begin": 5,
                "end": 20,
                "T_max": 15,
                "convert_to_iter_based": True,
                "epoch_length": 100,
            }
        ],
        "Hold(500) >> Cosine(1500).part(0, 1499)",
    ),
]


@pytest.mark.parametrize(("listed", "text"), TEXTS, ids=[text[:50] for _, text in TEXTS])
def test_schedulers_are_these_plans(listed, text):
    """Each is an ordinary plan: it prints, reads back equal, is stored and pickled."""
    plan = from_mmengine(listed)
    assert repr(plan) == text
    assert parse(text) == plan
    assert cd.from_json(cd.to_json(plan)) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_a_least_value_after_another_goes_on_from_a_mixture():
    """A value that is partly the group's own and partly absolute is the sum of two plans."""
    first = by_iter("CosineAnnealingLR", end=2, eta_min=0.1)
    plan = from_mmengine([first, by_iter("PolyLR", begin=2, end=13, eta_min=0.05)])
    assert parse(repr(plan)) == plan
    for base in (1.0, 0.3):
        halved = 0.5 * base + 0.05
        values = [plan(step, base) for step in (0, 1, 2, 7, 12, 99)]
        expected = [base, halved, halved, (halved + 0.05) / 2, 0.05, 0.05]
        assert values == pytest.approx(expected)


BY_EPOCH = [
    ({"type": "StepLR", "step_size": 3}, "StepDecay(3)", "StepDecay(300)"),
    (
        {"type": "CosineAnnealingLR", "end": 12},
        "Cosine(12).part(0, 11)",
        "Cosine(12).part(0, 11).stairs(100, each=1)",
    ),
    ({"type": "ExponentialLR", "gamma": 0.9}, "ExponentialDecay(0.9)", "StepDecay(100, 0.9)"),
]


@pytest.mark.parametrize(("config", "in_epochs", "in_updates"), BY_EPOCH)
def test_schedulers_by_epoch_count_epochs_or_keep_their_values(config, in_epochs, in_updates):
    """Without the length of an epoch the plan is one of epochs; with it, it moves once an epoch."""
    assert repr(from_mmengine(config)) == in_epochs
    assert repr(from_mmengine(config, epoch_length=100)) == in_updates


def test_a_whole_config_brings_the_ends():
    """Mmengine's Runner puts the length of the run where a scheduler has no `end`."""
    scheduler = {"type": "CosineAnnealingLR", "by_epoch": True}
    config = {"param_scheduler": scheduler, "train_cfg": {"type": "Loop", "max_epochs": 12}}
    expected = from_mmengine({**scheduler, "end": 12})
    assert from_mmengine(config) == expected
    assert from_mmengine(scheduler, max_epochs=12) == expected
    poly = by_iter("PolyLR")
    assert from_mmengine(poly, max_iters=101) == from_mmengine({**poly, "end": 101})


def test_a_type_may_be_a_class_or_have_a_scope():
    """As mmengine's registry takes them."""
    step_size = {"step_size": 3}
    named = type("StepLR", (), {})
    expected = from_mmengine({"type": "StepLR", **step_size})
    for kind in ("mmengine.StepLR", named):
        assert from_mmengine({"type": kind, **step_size, "_scope_": "mmdet"}) == expected
    general = {"type": "StepParamScheduler", "param_name": "lr", **step_size}
    assert from_mmengine(general) == expected


def test_rates_and_momenta_are_read_apart():
    """Of a list, the schedulers of one key."""
    listed = [{"type": "StepLR", "step_size": 3}, {"type": "StepMomentum", "step_size": 5}]
    assert from_mmengine(listed) == cd.StepDecay(3)
    assert from_mmengine(listed, key="momentum") == cd.StepDecay(5)


REFUSED = [
    (
        {"type": "StepsLR", "step_size": 3},
        "from_mmengine: param_scheduler[0]: 'type' must be one of mmengine's (got 'StepsLR'); did "
        "you mean 'StepLR'?",
    ),
    ({"type": "StepLR"}, "from_mmengine: param_scheduler[0] (StepLR): 'step_size' must be given"),
    (
        {"type": "StepLR", "step": 3},
        "from_mmengine: param_scheduler[0] (StepLR): unknown argument 'step'; did you mean "
        "'step_size'?",
    ),
    (
        {"generator": {"type": "StepLR"}},
        "from_mmengine: 'param_scheduler' must be a config with its 'type', or a list of them (got "
        "['generator']); of several optimizers, read one at a time",
    ),
    (
        "StepLR",
        "from_mmengine: 'param_scheduler' must be a config or a list of them (got 'StepLR')",
    ),
    ([5], "from_mmengine: param_scheduler[0] must be a dict with its 'type' (got 5)"),
    (
        {"type": "StepMomentum", "step_size": 3},
        "from_mmengine: no scheduler must be for 'lr' (got 1 others)",
    ),
    (
        {"type": "CosineAnnealingLR"},
        "from_mmengine: param_scheduler[0] (CosineAnnealingLR): 'end' must be given; mmengine's "
        "Runner puts the length of the run for it: give max_epochs=... or max_iters=...",
    ),
    (
        {"type": "PolyLR", "begin": 5, "end": 5},
        "from_mmengine: param_scheduler[0] (PolyLR): 'end' must be > 'begin' (got 5 and 5)",
    ),
    (
        {"type": "StepLR", "step_size": 3, "last_step": 5},
        "from_mmengine: param_scheduler[0] (StepLR): 'last_step' must be left out",
    ),
    (
        {"type": "LinearLR", "start_factor": 0, "end": 5},
        "from_mmengine: param_scheduler[0] (LinearLR): 'start_factor' must be > 0 (got 0)",
    ),
    (
        {"type": "ConstantLR", "factor": 0, "end": 5},
        "from_mmengine: param_scheduler[0] (ConstantLR): 'factor' must be > 0 (got 0)",
    ),
    (
        {"type": "CosineAnnealingLR", "end": 5, "eta_min": 0.1, "eta_min_ratio": 0.1},
        "from_mmengine: param_scheduler[0] (CosineAnnealingLR): 'eta_min' and 'eta_min_ratio' must",
    ),
    (
        {"type": "CosineRestartLR", "periods": [5, 5], "eta_min": 0},
        "from_mmengine: param_scheduler[0] (CosineRestartLR): 'periods' and 'restart_weights' must "
        "be of one length (got 2 and 1)",
    ),
    (
        {"type": "CosineRestartLR", "periods": [5]},
        "from_mmengine: param_scheduler[0] (CosineRestartLR): 'eta_min' or 'eta_min_ratio' must be",
    ),
    (
        {"type": "OneCycleLR", "eta_max": [0.1, 0.2], "end": 9},
        "from_mmengine: param_scheduler[0] (OneCycleLR): 'eta_max' must be one number (got [0.1, "
        "0.2]); read one plan for each group",
    ),
    (
        {"type": "OneCycleLR", "eta_max": 1, "end": 9, "total_steps": 8},
        "from_mmengine: param_scheduler[0] (OneCycleLR): 'total_steps' must be >= end - begin (got "
        "8 and 9)",
    ),
    (
        {"type": "OneCycleLR", "eta_max": 1, "end": 10, "pct_start": 0.1},
        "from_mmengine: param_scheduler[0] (OneCycleLR): 'pct_start' must not be 1 / total_steps",
    ),
    (
        [{"type": "OneCycleLR", "end": 9}, {"type": "OneCycleLR", "begin": 9, "end": 20}],
        "from_mmengine: param_scheduler[1] (OneCycleLR): there must be one cycle: mmengine keeps",
    ),
    (
        {"type": "ReduceOnPlateauLR", "monitor": "acc", "rule": "greater", "patience": 3},
        "from_mmengine: param_scheduler[0] (ReduceOnPlateauLR): a scheduler that listens to a "
        "metric is no plan; give the Scheduler feedback=Plateau(mode='max'",
    ),
    (
        {"type": "StepLR", "step_size": 3, "convert_to_iter_based": True},
        "from_mmengine: param_scheduler[0] (StepLR): 'convert_to_iter_based' must come with "
        "by_epoch=True, and with epoch_length=...",
    ),
    (
        [WARMUP, {"type": "StepLR", "step_size": 3}],
        "from_mmengine: 'epoch_length' must be given where some schedulers are by epoch and others",
    ),
    (
        [WARMUP, by_iter("PolyLR", end=900, eta_min=0.1)],
        "from_mmengine: param_scheduler[1] (PolyLR) must not act while param_scheduler[0] "
        "(LinearLR) does (from step 0 to 500): what mmengine's recursion comes to there is no "
        "plan; let one end where the other begins, or give it no least value",
    ),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=[m[15:75] for _, m in REFUSED])
def test_what_cannot_be_read_is_refused(given, message):
    """The message says where, what is demanded, what was given and, where it can, what to type."""
    with pytest.raises(ArgumentError) as caught:
        from_mmengine(given)
    assert str(caught.value).startswith(message)
