"""Schedulers of timm, used as its training script uses them, beside the plans that are read."""

import inspect
import logging
import math
import types
import warnings

import numpy as np
import pytest
import reference
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table import compare

from cadence import parse
from cadence.dialects import from_timm
from cadence.errors import ArgumentError

pytestmark = pytest.mark.peers

VERSION = "1.0.31"
EXAMPLES = 150
UPDATES = 7
"""Updates of an epoch, where a schedule is stepped by them."""

BASES = st.floats(1e-3, 2.0)
LENGTHS = st.sampled_from([1, 2]) | st.integers(1, 90)
WARMUPS = st.sampled_from([0, 0, 1, 2]) | st.integers(0, 100)
RATES = st.sampled_from([0.0, 1e-5]) | st.floats(0, 1e-3)


def floats(low, high):
    return st.floats(low, high, allow_nan=False)


CYCLES = {
    "cycle_mul": st.sampled_from([1.0, 1.0, 2.0, 3.0, 1.5, 1.1, 0.5, 10.0]) | floats(0.3, 3),
    "cycle_decay": st.sampled_from([1.0, 0.5, 0.0]) | floats(0, 1.2),
    "cycle_limit": st.integers(0, 6),
}
K = st.sampled_from([1.0, 2.0]) | floats(0.3, 4)

CLASSES = {
    "CosineLRScheduler": {"t_initial": LENGTHS, "lr_min": RATES, "k_decay": K, **CYCLES},
    "PolyLRScheduler": {
        "t_initial": LENGTHS, "lr_min": RATES, "k_decay": K, "power": floats(0.1, 4), **CYCLES,
    },
    "TanhLRScheduler": {
        "t_initial": LENGTHS, "lr_min": RATES, "lb": floats(-9, -0.1), "ub": floats(0.1, 5),
        **CYCLES,
    },
    "StepLRScheduler": {
        "decay_t": LENGTHS | floats(0.5, 30), "decay_rate": st.just(1.0) | floats(0, 1.1),
    },
    "MultiStepLRScheduler": {
        "decay_t": st.lists(st.integers(0, 90) | floats(0, 90), max_size=5).map(sorted),
        "decay_rate": floats(0, 1.1),
    },
    "WSDLRScheduler": {
        "t_initial": LENGTHS,
        "decay_t": LENGTHS,
        "lr_min": RATES | floats(0, 3),
        "stable_fn": st.sampled_from(["constant", "rsqrt", "power"]),
        "stable_timescale": floats(0.1, 90),
        "stable_power": floats(0.1, 2),
        "decay_fn": st.sampled_from(["linear", "1-sqrt", "cosine", "power", "exp"]),
        "decay_power": floats(0.1, 4),
        "decay_ratio": floats(0.001, 0.999),
    },
}  # fmt: skip
"""Each class and its arguments; those that it does not need may be left out."""


def optimizer(base):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)


def course(scheduler, n, *, in_epochs):
    """The rates that feed the updates (or epochs) 0..n-1, stepped as timm's script does.

    Where timm's own formula fails, the course is cut.
    """
    (group,) = scheduler.optimizer.param_groups
    rates = [group["lr"]]
    step = scheduler.step if in_epochs else scheduler.step_update
    for tick in range(1, n):
        try:
            step(tick)
        except (ValueError, ZeroDivisionError, TypeError):
            break
        if isinstance(group["lr"], complex):
            break
        rates.append(group["lr"])
    return rates


def made(make, *args, **arguments):
    with warnings.catch_warnings(action="ignore"):
        logging.disable()
        try:
            return make(*args, **arguments)
        finally:
            logging.disable(logging.NOTSET)


def agrees(schedule, plan, base, rates):
    assert parse(repr(plan)) == plan
    compare("timm", VERSION, schedule, plan(np.arange(len(rates)), base), rates)


@st.composite
def calls(draw, name):
    kind = getattr(reference.timm(), name)
    needed = {
        key
        for key, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is parameter.empty
    }
    own = CLASSES[name]
    found = {key: draw(own[key]) for key in own if key in needed or draw(st.booleans())}
    if draw(st.booleans()):
        found |= {"warmup_t": draw(WARMUPS), "warmup_lr_init": draw(RATES)}
    if "warmup_prefix" in inspect.signature(kind).parameters and draw(st.booleans()):
        found["warmup_prefix"] = draw(st.booleans())
    if name == "WSDLRScheduler":
        found["decay_t"] = min(found["decay_t"], found["t_initial"])
        if found.get("stable_fn", "constant") != "constant" and not found.get("warmup_t"):
            found["stable_timescale"] = draw(floats(0.1, 90))
    found["t_in_epochs"] = draw(st.booleans())
    return found


def refused(given):
    """What is refused though timm does something with it."""
    return 0 < abs(given.get("cycle_mul", 1.0) - 1.0) < 1e-4


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name):
    """Every class, with any of its arguments, from the first tick to well past the end."""
    kind = getattr(reference.timm(), name)

    @settings(max_examples=EXAMPLES)
    @given(calls(name), BASES)
    def holds(given, base):
        if refused(given):
            return
        length = given.get("t_initial", 90) * (1 if "cycle_limit" not in given else 3)
        n = 3 * (length + given.get("warmup_t", 0)) // 2 + 5
        try:
            scheduler = made(kind, optimizer(base), **given)
        except ValueError:  # the tangent's warm-up aims beyond the last of ever shorter cycles
            with pytest.raises(ArgumentError, match="'warmup_t' must end before"):
                from_timm(name, **given)
            return
        plan = from_timm(name, **given)
        rates = course(scheduler, n, in_epochs=given["t_in_epochs"])
        if name == "WSDLRScheduler" and base < given.get("lr_min", 0) and not given.get("warmup_t"):
            rates[0] = plan(0, base)  # its own test below
        agrees(name, plan, base, rates)

    holds()


FACTORY = {
    "num_epochs": LENGTHS,
    "decay_epochs": LENGTHS | floats(0.5, 30) | floats(0.05, 0.95),
    "decay_milestones": st.lists(st.integers(0, 90), max_size=4).map(sorted),
    "cooldown_epochs": st.integers(0, 5),
    "decay_rate": floats(0.01, 1.1),
    "min_lr": RATES,
    "warmup_lr": RATES,
    "warmup_epochs": st.sampled_from([0, 1, 2]) | st.integers(0, 30),
    "warmup_prefix": st.booleans(),
    **CYCLES,
    "k_decay": K,
    "decay_fn": st.sampled_from([None, "linear", "1-sqrt", "cosine", "power", "exp"]),
    "stable_timescale": floats(0.1, 90),
}
NAMES = ["cosine", "tanh", "poly", "step", "multistep", "wsd", "rsqrt", "constant"]


@st.composite
def factories(draw):
    found = {key: draw(FACTORY[key]) for key in FACTORY if draw(st.booleans())}
    if draw(st.booleans()):
        found |= {"step_on_epochs": False, "updates_per_epoch": UPDATES}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_create_scheduler_v2(name):
    """The factory, by epochs and by updates; a finite plan is as long as timm says to train."""
    create = reference.timm().create_scheduler_v2

    @settings(max_examples=EXAMPLES)
    @given(factories(), BASES)
    def holds(given, base):
        if refused(given):
            return
        in_epochs = given.get("step_on_epochs", True)
        try:
            scheduler, epochs = made(create, optimizer(base), name, **given)
        except ValueError:
            with pytest.raises(ArgumentError):
                from_timm(name, **given)
            return
        plan = from_timm(name, **given)
        pace = 1 if in_epochs else UPDATES
        n = 3 * pace * min(epochs, 300) // 2 + 5
        agrees(
            f"create_scheduler_v2, {name}", plan, base, course(scheduler, n, in_epochs=in_epochs)
        )
        if plan.steps is not None and given.get("cycle_mul", 1.0) == 1.0:
            assert plan.steps == epochs * pace

    holds()


@settings(max_examples=60)
@given(
    st.integers(2, 60), st.integers(2, 5), st.integers(2, 6), st.sampled_from([2, 3, 5, 10]), BASES
)
@example(27, 1, 5, 3, 1.0)
def test_cycles_begin_where_timm_rounds_to(t_initial, limit, more, mul, base):
    """The cycle is found by a logarithm; where that is rounded down, it begins a tick late."""
    given = {"t_initial": t_initial, "cycle_mul": mul, "cycle_limit": limit, "cycle_decay": 0.5}
    n = int(t_initial * sum(mul**i for i in range(limit))) + 5
    kind = reference.timm().CosineLRScheduler
    scheduler = made(kind, optimizer(base), **given)
    plan = from_timm("CosineLRScheduler", **given)
    ticks = [tick for tick in range(n) if tick < 5000 or tick % 97 == 0]
    edges = [t_initial * (mul**i - 1) // (mul - 1) for i in range(1, limit + 1)]
    ticks = sorted({*ticks, *edges, *(edge + 1 for edge in edges)})
    rates = [scheduler._get_lr(tick)[0] for tick in ticks]
    compare("timm", VERSION, "CosineLRScheduler", plan(np.array(ticks), base), rates)


def test_a_late_cycle():
    """log(125, 5) is 3.0000000000000004, log(243, 3) is 4.999999999999999."""
    assert math.floor(math.log(243, 3)) == 4
    given = {"t_initial": 2, "cycle_mul": 3, "cycle_limit": 7, "lr_min": 0.1}
    edge = 3**5 - 1
    scheduler = made(reference.timm().CosineLRScheduler, optimizer(1.0), **given)
    plan = from_timm("CosineLRScheduler", **given)
    assert scheduler._get_lr(edge) == [pytest.approx(0.1)]
    assert plan(edge) == pytest.approx(0.1)
    assert plan(edge - 1) < plan(edge + 1)


def test_shrinking_cycles_end():
    """Where timm fails, no cycle being left, the plan holds the floor."""
    given = {"t_initial": 10, "cycle_mul": 0.5, "cycle_limit": 100, "lr_min": 0.1}
    scheduler = made(reference.timm().CosineLRScheduler, optimizer(1.0), **given)
    with pytest.raises(ValueError, match=r"math domain error|positive"):
        scheduler._get_lr(20)
    plan = from_timm("CosineLRScheduler", **given)
    assert plan(19) == pytest.approx(scheduler._get_lr(19)[0], rel=1e-12)
    assert plan(20) == plan(10**6) == 0.1


def test_a_group_below_the_floor_jumps_to_it_after_its_first_tick():
    """Without a warm-up, timm leaves the rate alone once more; the plan has the floor at once."""
    given = {"t_initial": 10, "decay_t": 5, "lr_min": 0.5}
    scheduler = made(reference.timm().WSDLRScheduler, optimizer(0.1), **given)
    assert course(scheduler, 3, in_epochs=True) == [0.1, 0.5, 0.5]
    assert from_timm("WSDLRScheduler", **given)(np.arange(3), 0.1).tolist() == [0.5, 0.5, 0.5]


SCRIPT = {
    "epochs": LENGTHS,
    "decay_epochs": LENGTHS | floats(0.5, 30),
    "decay_milestones": st.lists(st.integers(0, 90), max_size=4).map(sorted),
    "cooldown_epochs": st.integers(0, 5),
    "decay_rate": floats(0.01, 1.1),
    "min_lr": RATES,
    "warmup_lr": RATES,
    "warmup_epochs": st.integers(0, 20),
    "warmup_prefix": st.booleans(),
    "lr_cycle_mul": CYCLES["cycle_mul"],
    "lr_cycle_decay": CYCLES["cycle_decay"],
    "lr_cycle_limit": CYCLES["cycle_limit"],
    "lr_k_decay": K,
    "lr_decay_fn": FACTORY["decay_fn"],
    "sched_on_updates": st.booleans(),
    "model": st.just("resnet50"),
}


@settings(max_examples=EXAMPLES)
@given(st.data(), st.sampled_from(NAMES), BASES)
def test_arguments_of_a_script(data, name, base):
    """What `create_scheduler` takes: an object or a dict of what the script was started with."""
    own = {key: data.draw(SCRIPT[key]) for key in SCRIPT if data.draw(st.booleans())}
    if refused({"cycle_mul": own.get("lr_cycle_mul", 1.0)}):
        return
    args = types.SimpleNamespace(sched=name, **own)
    create = reference.timm().create_scheduler
    try:
        scheduler, epochs = made(create, args, optimizer(base), updates_per_epoch=UPDATES)
    except ValueError:
        with pytest.raises(ArgumentError):
            from_timm(args, updates_per_epoch=UPDATES)
        return
    plan = from_timm(args, updates_per_epoch=UPDATES)
    assert from_timm({"sched": name, **own}, updates_per_epoch=UPDATES) == plan
    in_epochs = not own.get("sched_on_updates", False)
    n = 3 * min(epochs, 200) * (1 if in_epochs else UPDATES) // 2 + 5
    agrees(f"create_scheduler_v2, {name}", plan, base, course(scheduler, n, in_epochs=in_epochs))
