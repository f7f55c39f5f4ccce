"""Reading timm's schedulers, without timm: what is written in documents, and what is refused."""

import pickle
import types

import numpy as np
import pytest

from cadence import Horizon, absolute, parse
from cadence.dialects import from_timm
from cadence.errors import ArgumentError
from cases import close

READ = [
    ({}, "Cosine(300)"),
    (
        {"sched": "cosine", "num_epochs": 300, "warmup_epochs": 5, "min_lr": 1e-6},
        "Warmup(5, start=absolute(1e-05)) >> Cosine(300, end=absolute(1e-06)).part(5)",
    ),
    (
        {"num_epochs": 300, "warmup_epochs": 5, "warmup_prefix": True, "cooldown_epochs": 10},
        "Warmup(5, start=absolute(1e-05)) >> Cosine(300) >> Hold(10)",
    ),
    (
        {"num_epochs": 30, "step_on_epochs": False, "updates_per_epoch": 100, "k_decay": 1.5},
        "Cosine(3000, k=1.5)",
    ),
    ({"num_epochs": 30, "cycle_limit": 3}, "Cosine(30).repeat(3, peak_mult=0.1)"),
    (
        {"num_epochs": 30, "cycle_limit": 2, "min_lr": 0.01},
        "Cosine(30, end=absolute(0.01)) >> Cosine(30, start=0.1, end=absolute(0.01))",
    ),
    ({"num_epochs": 5, "warmup_epochs": 8}, "Warmup(8, start=absolute(1e-05)) >> Constant(0)"),
    ({"cycle_limit": 0}, "Hold(1) >> Constant(0)"),
    ({"sched": "poly", "num_epochs": 30, "decay_rate": 2}, "Polynomial(30, power=2)"),
    (
        {"sched": "tanh", "num_epochs": 30},
        "Hold(1) >> (Tanh(30, start=0.9999991684719723, end=0.002472623156634768, lower=-7) >> "
        "Constant(0, 0)).part(1)",
    ),
    ({"sched": "step"}, "StepDecay(90)"),
    ({"sched": "step", "decay_epochs": 2.4, "decay_rate": 0.97}, "StepDecay(2.4, 0.97)"),
    (
        {"sched": "step", "warmup_epochs": 5, "warmup_prefix": True},
        "Warmup(5, start=absolute(1e-05)) >> StepDecay(90)",
    ),
    ({"sched": "multistep"}, "MultiStepDecay((89, 179, 269))"),
    ({"sched": "multistep", "decay_milestones": [1]}, "Hold(1) >> MultiStepDecay((0,)).part(1)"),
    ({"sched": "wsd", "num_epochs": 100}, "Hold(80) >> OneMinusSqrt(20)"),
    (
        {
            "sched": "wsd",
            "num_epochs": 100,
            "warmup_epochs": 10,
            "decay_epochs": 30,
            "min_lr": 1e-5,
        },
        "Warmup(10, start=absolute(1e-05)) >> "
        "(Hold(60) >> OneMinusSqrt(30, end=absolute(1e-05))).clip(low=absolute(1e-05))",
    ),
    (
        {"sched": "rsqrt", "num_epochs": 100, "warmup_epochs": 10},
        "Warmup(10, start=absolute(1e-05)) >> PowerLaw(10, steps=90) * (Hold(72) >> Linear(18))",
    ),
    ({"sched": "constant"}, "Constant(1)"),
    (
        {"sched": "constant", "warmup_epochs": 5},
        "Warmup(5, start=absolute(1e-05)) >> Constant(1)",
    ),
    ({"sched": "none", "warmup_epochs": 5}, "Constant(1)"),
]


@pytest.mark.parametrize(("arguments", "text"), READ, ids=[text[:60] for _, text in READ])
def test_calls_of_the_factory_are_read(arguments, text):
    """The arguments of `create_scheduler_v2` give this plan, which is stored like any other."""
    plan = from_timm(**arguments)
    assert repr(plan) == text
    assert parse(text) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
    arguments = dict(arguments)
    assert from_timm(arguments.pop("sched", "cosine"), **arguments) == plan


CLASSES = [
    ("CosineLRScheduler", {"t_initial": 10}, "Cosine(10)"),
    (
        "CosineLRScheduler",
        {"t_initial": 10, "cycle_mul": 1.5, "cycle_limit": 3, "lr_min": 0.1},
        "Cosine(10, end=absolute(0.1)) >> Cosine(15, start=1, end=absolute(0.1)) >> "
        "PiecewiseCosine(((0, 1), (22.5, absolute(0.1))))",
    ),
    (
        "PolyLRScheduler",
        {"t_initial": 10, "cycle_mul": 0.5, "cycle_limit": 9, "k_decay": 2},
        "Polynomial(10, power=0.5, k=2) >> Polynomial(5, start=1, power=0.5, k=2) >> "
        "PiecewiseRamp(((0, 1), (2.5, 0)), Polynomial(power=0.5, k=2)) >> "
        "PiecewiseRamp(((-0.5, 1), (0.75, 0)), Polynomial(power=0.5, k=2)) >> "
        "PiecewiseRamp(((-0.25, 1), (0.375, 0)), Polynomial(power=0.5, k=2))",
    ),
    ("StepLRScheduler", {"decay_t": 30, "decay_rate": 0.5}, "StepDecay(30, 0.5)"),
    ("StepLRScheduler", {"decay_t": 30}, "Constant(1)"),
    ("MultiStepLRScheduler", {"decay_t": []}, "Constant(1)"),
    (
        "WSDLRScheduler",
        {"t_initial": 10, "decay_t": 4, "decay_fn": "power", "decay_power": 2},
        "Hold(6) >> Polynomial(4, k=2)",
    ),
    (
        "WSDLRScheduler",
        {"t_initial": 10, "decay_t": 10, "decay_fn": "exp", "stable_fn": "power", "warmup_t": 5,
         "stable_power": 0.3},
        "Warmup(5, start=0) >> PowerLaw(5, steps=10, exponent=0.3) * Exponential(10)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "text"), CLASSES, ids=[c[2][:60] for c in CLASSES])
def test_classes_are_read(name, arguments, text):
    """A class is read by its name and its arguments; whether ticks are epochs changes nothing."""
    plan = from_timm(name, **arguments)
    assert repr(plan) == text
    assert parse(text) == plan
    assert from_timm(name, **arguments, t_in_epochs=False, initialize=False, noise_pct=0.5) == plan


def test_arguments_of_a_script_are_read():
    """An object or a dict with a script's names, whatever else it holds, and its defaults."""
    args = {"sched": "cosine", "epochs": 100, "min_lr": 1e-6, "model": "vit", "lr_cycle_limit": 2}
    told = (
        "Warmup(5, start=absolute(1e-05)) >> (Cosine(100, end=absolute(1e-06)) >> "
        "Cosine(100, start=0.1, end=absolute(1e-06))).part(5)"
    )
    assert repr(from_timm(args)) == told
    assert from_timm(types.SimpleNamespace(**args)) == from_timm(args)
    args |= {"sched_on_updates": True}
    assert from_timm(args, updates_per_epoch=10).steps == 2000
    told = "Warmup(5, start=absolute(1e-05)) >> MultiStepDecay((29, 59)).part(5)"
    assert repr(from_timm({"sched": "multistep"})) == told


def test_levels_are_absolute():
    """`min_lr` and `warmup_lr` are rates; the rest is a multiple of the group's."""
    plan = from_timm(num_epochs=100, warmup_epochs=10, min_lr=1e-3, warmup_lr=1e-4)
    for base in (0.1, 0.5):
        assert plan(0, base) == 1e-4
        assert plan(10, base) == pytest.approx(
            1e-3 + 0.5 * (base - 1e-3) * (1 + np.cos(np.pi / 10))
        )
        assert plan(100, base) == plan(10**6, base) == 1e-3


def test_a_plan_of_epochs_moves_once_an_epoch():
    """In stairs, a plan that was written for epochs runs on a clock of updates."""
    plan = from_timm(num_epochs=30, warmup_epochs=3)
    slow = plan.part(0, 30, steps="30ep").stairs("1ep").resolve(Horizon(3000, steps_per_epoch=100))
    for update in (0, 99, 100, 250, 1234, 2999):
        assert close(slow(update), plan(update // 100))
    assert slow(3000) == 0.0


def test_a_late_cycle_is_written_out():
    """Where timm's logarithm is rounded down, the cycle before holds its end for one tick."""
    plan = from_timm("CosineLRScheduler", t_initial=2, cycle_mul=3, cycle_limit=6, lr_min=0.1)
    assert plan(3**5 - 2) > plan(3**5 - 1) == 0.1
    assert plan(3**5) == pytest.approx(1.0, abs=1e-4)


def test_cycles_end_where_steps_cannot_be_counted():
    """A limit that nobody reaches costs nothing."""
    assert from_timm("CosineLRScheduler", t_initial=10, cycle_limit=10**15).steps <= 2**53
    plan = from_timm("CosineLRScheduler", t_initial=10, cycle_limit=10**15, cycle_mul=2)
    assert plan(10 * (2**40 - 1)) == 1.0
    assert len(plan.parts) < 60


REFUSED = [
    (
        ("plateau",),
        {"warmup_epochs": 3, "min_lr": 1e-5, "patience_epochs": 4},
        "from_timm('PlateauLRScheduler'): it answers a metric, so it is no plan but a controller; "
        "write Scheduler(optimizer, lr=Warmup(3, start=absolute(1e-05)) >> Hold(), clock='epoch', "
        "feedback=Plateau(mode='max', patience=4, nan='bad', floor=absolute(1e-05))), and "
        "observe(metric) after the warm-up",
    ),
    (
        ("cosine",),
        {"noise": [0.4, 0.9]},
        "from_timm('cosine'): 'noise' cannot be expressed (got [0.4, 0.9]): timm draws its noise "
        "from torch's generator at every tick; leave it out, or multiply the plan by a function of "
        "your own, plan * Function(...)",
    ),
    (("cosin",), {}, "did you mean 'cosine'?"),
    (("cosine",), {"sched": "step"}, "from_timm: the name and 'sched' are the same; give one"),
    (("cosine",), {"epochs": 5}, "from_timm('cosine'): unknown argument 'epochs'; did you mean"),
    (("cosine",), {"optimizer": None}, "from_timm('cosine'): unknown argument 'optimizer'"),
    (("CosineLRScheduler",), {}, "from_timm('CosineLRScheduler'): 't_initial' must be given"),
    (
        ("cosine",),
        {"step_on_epochs": False},
        "from_timm('cosine'): 'updates_per_epoch' must be >= 1 (got 0)",
    ),
    (
        ("cosine",),
        {"warmup_epochs": 0.5, "step_on_epochs": False, "updates_per_epoch": 1251},
        "from_timm('cosine'): 'warmup_epochs' must come to whole ticks (got 0.5 epochs of 1251 "
        "updates, 625.5 ticks)",
    ),
    (("cosine",), {"num_epochs": 2.5}, "'num_epochs' must come to whole ticks (got 2.5 epochs,"),
    (("cosine",), {"min_lr": -1e-5}, "from_timm('cosine'): 'min_lr' must be >= 0 (got -1e-05)"),
    (("cosine",), {"cycle_mul": 0}, "from_timm('cosine'): 'cycle_mul' must be > 0 (got 0)"),
    (("cosine",), {"cycle_mul": 1.00001}, "'cycle_mul' must be 1 or differ from it by 1e-4"),
    (("cosine",), {"k_decay": 0}, "from_timm('cosine'): 'k_decay' must be > 0 (got 0)"),
    (
        ("CosineLRScheduler",),
        {"t_initial": 10, "lr_min": 0.1, "cycle_decay": 0.99, "cycle_limit": 5000},
        "'cycle_limit' must be <= 1000 for cycles that differ (got 5000)",
    ),
    (("poly",), {"decay_rate": 0.0}, "from_timm('poly'): 'decay_rate' must be > 0 (got 0.0)"),
    (
        ("TanhLRScheduler",),
        {"t_initial": 10, "lb": 2, "ub": 1},
        "'lb' and 'ub' must span at least 0.001 of the tangent's range (got 2 and 1)",
    ),
    (
        ("TanhLRScheduler",),
        {"t_initial": 10, "cycle_mul": 0.5, "warmup_t": 30},
        "'warmup_t' must end before the cycles do, which get ever shorter (got 30)",
    ),
    (("step",), {"decay_epochs": 0}, "'decay_epochs' must be > 0 (got 0)"),
    (("MultiStepLRScheduler",), {"decay_t": 5}, "'decay_t' must be a list of milestones (got 5)"),
    (("multistep",), {"decay_milestones": [5, 3]}, "'decay_milestones' must be in rising order"),
    (("wsd",), {"decay_epochs": 400}, "'decay_epochs' must come to at least 1 of the 300 ticks"),
    (("wsd",), {"decay_fn": "expo"}, "'decay_fn' must be one of 'linear', '1-sqrt', 'cosine',"),
    (("wsd",), {"decay_fn": lambda x: 1 - x}, "'decay_fn' must be a name (got <function"),
    (("rsqrt",), {}, "'stable_timescale' must be given without a warm-up"),
    (
        ("WSDLRScheduler",),
        {"t_initial": 5, "decay_t": 6},
        "'decay_t' must be <= 't_initial' (got 6 and 5)",
    ),
    (("cosine",), {"warmup_prefix": "yes"}, "'warmup_prefix' must be one of True, False"),
    (({"num_epochs": 5, "sched": "step"},), {}, "from_timm: the scheduler must be a name such as"),
    (({"epochs": 5},), {}, "from_timm: the scheduler must be a name such as 'cosine', or the"),
    ((42,), {}, "from_timm: the scheduler must be a name such as 'cosine', or the arguments of"),
    (
        ({"sched": "step"},),
        {"decay_rate": 0.1},
        "from_timm: only 'updates_per_epoch' may be given beside the arguments of a script (got "
        "'decay_rate')",
    ),
]


@pytest.mark.parametrize(("placed", "arguments", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused(placed, arguments, message):
    """The message says which argument, what is demanded, and what to write where there is a way."""
    with pytest.raises(ArgumentError) as caught:
        from_timm(*placed, **arguments)
    assert message in str(caught.value)


def test_the_plan_that_a_refusal_names_can_be_typed():
    """What the message about a plateau says to write is a plan."""
    with pytest.raises(ArgumentError, match="feedback=") as caught:
        from_timm("PlateauLRScheduler", warmup_t=3, warmup_lr_init=1e-5)
    text = str(caught.value).split("lr=")[1].split(", clock")[0]
    assert parse(text)(0, 0.1) == 1e-5
    assert parse(text)(3, 0.1) == 0.1
    assert absolute(1e-5) == parse(text).parts[0].start
