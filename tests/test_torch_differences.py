"""Each entry of docs/torch-differences.md: what torch does, and what Cadence does, side by side.

A test here fails when Cadence breaks its promise, and also when torch changes its ways: then the
entry is out of date. A test is named after the heading of its entry.
"""

import copy
import functools
import inspect
import math
import re
import sys
import warnings
from collections import Counter
from itertools import pairwise
from math import inf, nan
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.optim.swa_utils import SWALR

import cadence.lr_scheduler as ours
from cadence.errors import CadenceError, MismatchError

PAGE = Path(__file__).parents[1] / "docs" / "torch-differences.md"

theirs = ModuleType("theirs")
vars(theirs).update(vars(torch.optim.lr_scheduler), SWALR=SWALR)


def sgd(*rates, tensor=None):
    """An optimizer with one group for each rate."""
    groups = [
        {
            "params": [torch.nn.Parameter(torch.zeros(1))],
            "lr": rate if tensor is None else torch.tensor(rate, dtype=tensor),
        }
        for rate in rates or (0.1,)
    ]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def step(scheduler, metric=1.0):
    """Update the optimizer, then step the scheduler."""
    scheduler.optimizer.step()
    if isinstance(scheduler, theirs.ReduceLROnPlateau):
        scheduler.step(metric)
    else:
        scheduler.step()


def rate(scheduler, group=0, key="lr"):
    """What a group holds now."""
    return float(scheduler.optimizer.param_groups[group][key])


def follow(scheduler, n, group=0):
    """The present rate and those after each of n steps."""
    found = [rate(scheduler, group)]
    for _ in range(n):
        step(scheduler)
        found.append(rate(scheduler, group))
    return found


def held(optimizer):
    """All that the groups hold but the parameters."""
    return [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]


def near(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-15)


def sequence(lib, optimizer):
    warmup = lib.LinearLR(optimizer, 0.1, total_iters=5)
    return lib.SequentialLR(optimizer, [warmup, lib.CosineAnnealingLR(optimizer, 10)], [5])


def chain(lib, optimizer):
    warmup = lib.LinearLR(optimizer, 0.1, total_iters=10)
    return lib.ChainedScheduler([warmup, lib.ExponentialLR(optimizer, 0.9)])


def decay(epoch):
    return 0.9**epoch


def slower(epoch):
    return 0.99**epoch


# One of each class; the second entry says what torch does with a group that is added later.
CLASSES = {
    "LambdaLR": (lambda lib, o: lib.LambdaLR(o, decay), ValueError),
    "MultiplicativeLR": (lambda lib, o: lib.MultiplicativeLR(o, lambda e: 0.9), ValueError),
    "StepLR": (lambda lib, o: lib.StepLR(o, 2, 0.5), "its own way"),
    "MultiStepLR": (lambda lib, o: lib.MultiStepLR(o, [2, 4], 0.5), "its own way"),
    "ConstantLR": (lambda lib, o: lib.ConstantLR(o, 0.5, 8), "its own way"),
    "LinearLR": (lambda lib, o: lib.LinearLR(o, 0.1, total_iters=10), "its own way"),
    "ExponentialLR": (lambda lib, o: lib.ExponentialLR(o, 0.9), "its own way"),
    "PolynomialLR": (lambda lib, o: lib.PolynomialLR(o, 12, 2), "its own way"),
    "CosineAnnealingLR": (lambda lib, o: lib.CosineAnnealingLR(o, 10), "its own way"),
    "CosineAnnealingWarmRestarts": (
        lambda lib, o: lib.CosineAnnealingWarmRestarts(o, 4),
        ValueError,
    ),
    "CyclicLR": (lambda lib, o: lib.CyclicLR(o, 0.1, 0.5, 3), ValueError),
    "OneCycleLR": (lambda lib, o: lib.OneCycleLR(o, 2.5, 20), KeyError),
    "SWALR": (lambda lib, o: lib.SWALR(o, 0.01), KeyError),
    "SequentialLR": (sequence, ValueError),
    "ChainedScheduler": (chain, "its own way"),
    "ReduceLROnPlateau": (lambda lib, o: lib.ReduceLROnPlateau(o, patience=1), "the same"),
}


# The numbers.


def test_no_drift_with_tensor_rates():
    """A recursion in float32 loses digits at every step; a closed form rounds once."""
    found = {}
    for lib in (theirs, ours):
        scheduler = lib.ExponentialLR(sgd(0.1, tensor=torch.float32), 0.99999)
        scheduler.optimizer.step()
        for _ in range(20_000):
            scheduler.step()
        found[lib] = abs(rate(scheduler) / (0.1 * 0.99999**20_000) - 1)
    assert found[theirs] > 1e-5
    assert found[ours] < 2e-7


def test_cosineannealinglr_past_t_max():
    """Both climb and compound by default; `hold=True` stays."""
    for lib in (theirs, ours):
        assert follow(lib.CosineAnnealingLR(sgd(), 3), 6)[3:] == near([0, 0.025, 0.075, 0.1])
        optimizer = sgd()
        cosine, decay = lib.CosineAnnealingLR(optimizer, 4), lib.ExponentialLR(optimizer, 0.5)
        last = follow(lib.ChainedScheduler([cosine, decay]), 5)[-1]
        assert last == near(0.1 * (1 - math.cos(math.pi / 4)) / 2 * 0.5)
    with pytest.raises(TypeError, match="hold"):
        theirs.CosineAnnealingLR(sgd(), 3, hold=True)
    held = ours.CosineAnnealingLR(sgd(), 3, eta_min=0.01, hold=True)
    assert follow(held, 6)[3:] == [0.01] * 4


def test_warm_restarts_at_a_given_epoch():
    """Torch finds the cycle of an epoch by a logarithm that rounds: the restart comes late."""
    for epoch, length in ((121, 243), (40, 81)):  # the cycles of 1, 3, 9, 27, 81, 243, ...
        found = {}
        for lib in (theirs, ours):
            scheduler = lib.CosineAnnealingWarmRestarts(sgd(), 1, T_mult=3)
            scheduler.optimizer.step()
            scheduler.step(epoch)
            found[lib] = scheduler.T_cur, scheduler.T_i, rate(scheduler)
        assert found[ours] == (0, length, 0.1)
        assert found[theirs] == (found[ours] if epoch == 40 else (81, 81, 0))

    def late(lib):
        optimizer = sgd()
        restarts = lib.CosineAnnealingWarmRestarts(optimizer, 4)
        sequence = lib.SequentialLR(optimizer, [lib.ConstantLR(optimizer, 1.0), restarts], [1])
        restarts.T_cur = 3
        return follow(sequence, 1)[1]

    assert late(theirs) < 0.02
    assert late(ours) == 0.1


def test_constantlr_and_linearlr_of_no_length():
    """Torch never ends what has no length."""
    for make, expected in (
        (lambda lib: lib.ConstantLR(sgd(), 0.5, total_iters=0), 0.05),
        (lambda lib: lib.LinearLR(sgd(), 0.5, total_iters=0), 0.05),
    ):
        assert follow(make(theirs), 3) == near([expected] * 4)
        assert follow(make(ours), 3) == [0.1] * 4


def test_constantlr_from_zero():
    """Torch divides by the factor to undo it."""
    scheduler = theirs.ConstantLR(sgd(), factor=0, total_iters=2)
    assert follow(scheduler, 1) == [0, 0]
    with pytest.raises(ZeroDivisionError):
        step(scheduler)
    assert follow(ours.ConstantLR(sgd(), factor=0, total_iters=2), 3) == [0, 0, 0.1, 0.1]


def test_onecyclelr_past_its_end():
    """Torch climbs by one step, then raises with its clock advanced."""
    scheduler = theirs.OneCycleLR(sgd(), 0.1, total_steps=5)
    found = follow(scheduler, 5)
    assert found[4] == near(4e-7)
    assert found[5] > 0.01
    with pytest.raises(ValueError, match="Tried to step 6 times"):
        step(scheduler)
    assert scheduler.last_epoch == 6

    scheduler = ours.OneCycleLR(sgd(), 0.1, total_steps=5)
    assert follow(scheduler, 5)[:5] == near(found[:5])
    assert rate(scheduler) == near(4e-7)
    assert rate(scheduler, key="momentum") == 0.95
    with pytest.warns(UserWarning, match="stepped 6 times, though total_steps is 5"):
        step(scheduler)
    assert follow(scheduler, 3) == near([4e-7] * 4)


def test_onecyclelr_of_few_steps():
    """Torch extrapolates a first phase of negative length, and divides by one of none."""
    for options in ({"pct_start": 0.05}, {"pct_start": 0.0}, {"pct_start": 0.02}):
        assert rate(theirs.OneCycleLR(sgd(), 0.1, 10, **options)) < 0.0995
        found = follow(ours.OneCycleLR(sgd(), 0.1, 10, **options), 9)
        assert found[0] == 0.1  # the way up is over before it begins
        assert found[-1] == near(4e-7)
        assert all(a > b for a, b in pairwise(found))
    assert rate(theirs.OneCycleLR(sgd(), 0.1, total_steps=2)) == pytest.approx(0.0811746)
    assert follow(ours.OneCycleLR(sgd(), 0.1, total_steps=2), 1) == near([0.1, 4e-7])
    assert follow(theirs.OneCycleLR(sgd(), 0.1, total_steps=1), 1)[1] > 0.06
    assert follow(ours.OneCycleLR(sgd(), 0.1, total_steps=1), 1) == near([4e-7, 4e-7])

    # What divides by zero is refused, by name.
    with pytest.raises(ZeroDivisionError):
        theirs.OneCycleLR(sgd(), 0.1, total_steps=10, pct_start=0.1)
    scheduler = theirs.OneCycleLR(sgd(), 0.1, total_steps=10, pct_start=1.0)
    follow(scheduler, 9)
    with pytest.raises(ZeroDivisionError):
        step(scheduler)
    for pct_start in (0.1, 1.0):
        with pytest.raises(ValueError, match=r"OneCycleLR: 'pct_start' must .*got"):
            ours.OneCycleLR(sgd(), 0.1, total_steps=10, pct_start=pct_start)

    with pytest.raises(ValueError, match="between 0 and 1"):
        theirs.OneCycleLR(sgd(), 0.1, total_steps=10, pct_start=0)
    assert rate(ours.OneCycleLR(sgd(), 0.1, total_steps=10, pct_start=0)) == 0.1


# Composition.


def test_composites_nest():
    """Torch raises at the milestone, or is one step early in silence."""

    def half_then_fifth(lib, optimizer):
        parts = [lib.ConstantLR(optimizer, 0.5, 99), lib.ConstantLR(optimizer, 0.2, 99)]
        return lib.SequentialLR(optimizer, parts, [2])

    def second(lib):
        optimizer = sgd()
        first = lib.ConstantLR(optimizer, 0.9, 99)
        return lib.SequentialLR(optimizer, [first, half_then_fifth(lib, optimizer)], [2])

    scheduler = second(theirs)
    step(scheduler)
    with pytest.raises(NotImplementedError):
        step(scheduler)
    assert follow(second(ours), 5) == near([0.09, 0.09, 0.05, 0.05, 0.02, 0.02])

    def only(lib):
        optimizer = sgd()
        return lib.SequentialLR(optimizer, [half_then_fifth(lib, optimizer)], [])

    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler = only(theirs)
    assert follow(scheduler, 3) == near([0.05, 0.02, 0.02, 0.02])
    assert follow(only(ours), 3) == near([0.05, 0.05, 0.02, 0.02])

    def warmup_then_chain(lib):
        optimizer = sgd()
        warmup = lib.LinearLR(optimizer, 0.5, total_iters=2)
        both = [lib.ExponentialLR(optimizer, 0.5), lib.CosineAnnealingLR(optimizer, 4)]
        return lib.SequentialLR(optimizer, [warmup, lib.ChainedScheduler(both)], [2])

    scheduler = warmup_then_chain(theirs)
    step(scheduler)
    with pytest.raises(NotImplementedError):
        step(scheduler)
    expected = [0.05, 0.075] + [
        0.1 * 0.5**t * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)
    ]
    assert follow(warmup_then_chain(ours), 6) == near(expected)

    def deep(lib):
        optimizer = sgd()
        inner = half_then_fifth(lib, optimizer)
        middle = lib.ChainedScheduler([inner, lib.ExponentialLR(optimizer, 0.5)])
        return lib.SequentialLR(optimizer, [lib.ConstantLR(optimizer, 0.9, 9), middle], [1])

    assert follow(deep(ours), 4) == near([0.09, 0.05, 0.025, 0.005, 0.0025])


def test_a_plateau_in_a_composite():
    """Torch refuses it; here the metric is passed on to the one in charge."""

    def sequence(lib):
        optimizer = sgd()
        warmup = lib.LinearLR(optimizer, 0.5, total_iters=2)
        plateau = lib.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        return lib.SequentialLR(optimizer, [warmup, plateau], [2])

    def chain(lib):
        optimizer = sgd()
        plateau = lib.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        return lib.ChainedScheduler([lib.ExponentialLR(optimizer, 0.9), plateau])

    for make in (sequence, chain):
        with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
            make(theirs)
    scheduler, found = sequence(ours), []
    for _ in range(7):
        found.append(rate(scheduler))
        scheduler.optimizer.step()
        scheduler.step(1.0)
    assert found == near([0.05, 0.075, 0.1, 0.1, 0.1, 0.05, 0.05])

    scheduler = chain(ours)
    scheduler.optimizer.step()
    scheduler.step(1.0)
    scheduler.step(1.0)
    assert rate(scheduler) == near(0.1 * 0.9**2 * 0.5)
    with pytest.raises(TypeError, match="needs the metric"):
        scheduler.step()


def test_a_sequence_within_a_chain():
    """At a milestone torch forgets what the other schedulers of the chain have done."""

    def make(lib):
        optimizer = sgd()
        warmup = lib.LinearLR(optimizer, 0.1, total_iters=3)
        cosine = lib.CosineAnnealingLR(optimizer, 5)
        parts = lib.SequentialLR(optimizer, [warmup, cosine], [3])
        return lib.ChainedScheduler([parts, lib.ExponentialLR(optimizer, 0.9)])

    assert follow(make(theirs), 3) == near([0.01, 0.036, 0.0567, 0.09])
    factors = [0.1, 0.4, 0.7] + [(1 + math.cos(math.pi * t / 5)) / 2 for t in range(6)]
    expected = [0.1 * factor * 0.9**t for t, factor in enumerate(factors)]
    assert follow(make(ours), 8) == near(expected)

    # In any place of the chain, and at any depth.
    def second(lib, *, deeper):
        optimizer = sgd()
        warmup = lib.LinearLR(optimizer, 0.25, total_iters=3)
        parts = [lib.ConstantLR(optimizer, 0.5, 99), lib.ExponentialLR(optimizer, 0.9)]
        pair = lib.ChainedScheduler([warmup, lib.SequentialLR(optimizer, parts, [5])])
        return lib.ChainedScheduler([pair]) if deeper else pair

    parts = [0.5] * 5 + [0.9**t for t in range(4)]
    expected = [0.1 * min(1, 0.25 * (t + 1)) * part for t, part in enumerate(parts)]
    assert follow(second(theirs, deeper=False), 8) != near(expected)
    for deeper in (False, True):
        assert follow(second(ours, deeper=deeper), 8) == near(expected)

    def alone(lib):
        return follow(sequence(lib, sgd()), 12)

    assert alone(ours) == near(alone(theirs))


def test_sequentiallr_from_a_last_epoch():
    """Torch's begins with the first scheduler's value, wherever it is told to be."""

    def make(lib, last_epoch):
        optimizer = sgd()
        parts = [lib.ConstantLR(optimizer, 0.1, 99), lib.ExponentialLR(optimizer, 0.9)]
        return lib.SequentialLR(optimizer, parts, [3], last_epoch=last_epoch)

    assert rate(make(theirs, 4)) == near(0.01)
    through = follow(make(ours, -1), 8)
    assert through == near(follow(make(theirs, -1), 8))
    resumed = make(ours, 4)
    assert resumed.last_epoch == 5
    assert follow(resumed, 3) == near(through[5:])


# Groups.


@pytest.mark.parametrize("name", CLASSES)
def test_groups_added_later(name):
    """The new group goes on as if it had been there, with its own rate as its base."""
    make, torchs = CLASSES[name]

    def added(lib, *, rate_at_first=0.2):
        scheduler = make(lib, sgd())
        follow(scheduler, 2)
        group = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate_at_first}
        scheduler.optimizer.add_param_group(group)
        return scheduler

    def two(lib):
        """Both groups from the beginning; the bases of cycles are double, too."""
        if name == "CyclicLR":
            return lib.CyclicLR(sgd(0.1, 0.2), [0.1, 0.2], [0.5, 1.0], 3)
        if name == "OneCycleLR":
            return lib.OneCycleLR(sgd(0.1, 0.2), [2.5, 5.0], 20)
        return make(lib, sgd(0.1, 0.2))

    expected = follow(two(theirs), 8, group=1)[3:]
    if name == "MultiplicativeLR":  # a product has no base to go back to
        expected = [0.2 * 0.9**t for t in range(1, 7)]

    scheduler = added(theirs)
    if isinstance(torchs, str):
        found = follow(scheduler, 6, group=1)[1:]
        assert (found == near(expected)) is (torchs == "the same"), found
    else:
        with pytest.raises(torchs):
            follow(scheduler, 6)

    scheduler = added(ours)
    first = follow(copy.deepcopy(scheduler), 6)
    assert follow(scheduler, 6, group=1)[1:] == near(expected)
    assert first == near(follow(make(theirs, sgd()), 8)[2:])
    assert len(scheduler.get_last_lr()) == 2

    if name == "ChainedScheduler":
        optimizer = sgd()
        parts = sequence(ours, optimizer)
        scheduler = ours.ChainedScheduler([parts, ours.ExponentialLR(optimizer, 0.9)])
        follow(scheduler, 2)
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.2})
        alone = follow(sequence(ours, sgd(0.2)), 9)
        expected = [rate * 0.9**t for t, rate in enumerate(alone)]
        assert follow(scheduler, 7, group=1)[1:] == near(expected[3:])

    if name in ("LambdaLR", "MultiplicativeLR"):
        scheduler = getattr(ours, name)(sgd(0.1, 0.1), [decay, slower])
        group = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.2}
        scheduler.optimizer.add_param_group(group)
        scheduler.optimizer.step()
        with pytest.raises(ValueError, match="append one for the group that was added"):
            scheduler.step()
        assert [rate(scheduler, i) for i in range(3)] == [0.1, 0.1, 0.2]
        scheduler.lr_lambdas.append(decay)
        step(scheduler)
        assert rate(scheduler, 2) == near(0.2 * 0.9)

    # `initial_lr`, where the group brings one, is its base.
    if name in ("StepLR", "CosineAnnealingLR", "LambdaLR", "LinearLR"):
        scheduler = make(ours, sgd())
        follow(scheduler, 2)
        group = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 9.0, "initial_lr": 0.2}
        scheduler.optimizer.add_param_group(group)
        assert follow(scheduler, 6, group=1)[1:] == near(expected)


# Checkpoints.

# What torch resumes wrongly when the optimizer is loaded before the scheduler is built.
WRONG = {
    *("LambdaLR", "ConstantLR", "LinearLR", "CosineAnnealingWarmRestarts", "OneCycleLR"),
    *("CyclicLR", "SequentialLR", "ChainedScheduler"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_any_order_of_building_and_loading(name):
    """Here a state can be loaded in any order, and twice."""
    make, _ = CLASSES[name]

    def resumed(lib, order, source=None):
        scheduler = make(source or lib, sgd())
        follow(scheduler, 3)
        saved = copy.deepcopy((scheduler.optimizer.state_dict(), scheduler.state_dict()))
        rest = follow(scheduler, 8)
        optimizer, again = sgd(), None
        for what in order.split():
            if what == "optimizer":
                optimizer.load_state_dict(copy.deepcopy(saved[0]))
            elif what == "build":
                again = make(lib, optimizer)
            else:
                again.load_state_dict(copy.deepcopy(saved[1]))
        return rest, follow(again, 8)

    rest, found = resumed(theirs, "optimizer build scheduler")
    assert (found == near(rest)) is (name not in WRONG)
    for order in (
        "optimizer build scheduler",
        "build optimizer scheduler",
        "build scheduler optimizer",
        "build scheduler",
        "optimizer build scheduler scheduler",
        "optimizer build optimizer scheduler optimizer",
    ):
        for source in (ours, theirs):
            rest, found = resumed(ours, order, source)
            assert found == near(rest), (order, source)


def test_loading_writes_the_rates():
    """In torch the scheduler then claims a rate that the optimizer does not have."""
    for lib, expected in ((theirs, 0.1), (ours, 0.05)):
        scheduler = lib.CosineAnnealingLR(sgd(), 10)
        follow(scheduler, 5)
        state = scheduler.state_dict()
        again = lib.CosineAnnealingLR(sgd(), 10)
        again.load_state_dict(state)
        assert again.get_last_lr() == near([0.05])
        assert rate(again) == near(expected)


def test_states_are_checked():
    """Torch takes any dict for a state; here a foreign one changes nothing."""
    step_state = theirs.StepLR(sgd(), 3).state_dict()
    cosine = theirs.CosineAnnealingLR(sgd(), 7)
    cosine.load_state_dict(step_state)
    cosine.load_state_dict({})
    assert cosine.step_size == 3
    cosine.load_state_dict({"step": 3})
    assert cosine.step == 3  # no longer a method
    theirs.StepLR(sgd(0.1, 0.2), 3).load_state_dict(step_state)

    for make in (lambda lib: lib.StepLR(sgd(), 3), lambda lib: sequence(lib, sgd())):
        for bad in (
            ours.CosineAnnealingLR(sgd(), 7).state_dict(),
            theirs.CosineAnnealingLR(sgd(), 7).state_dict(),
            ours.ExponentialLR(sgd(), 0.9).state_dict(),
            {},
            make(ours).state_dict() | {"step": 3},
            make(theirs).state_dict() | {"nonsense": 1},
        ):
            scheduler = make(ours)
            step(scheduler)
            before, groups = scheduler.state_dict(), copy.deepcopy(held(scheduler.optimizer))
            with pytest.raises(MismatchError, match=r"load_state_dict: the state must be"):
                scheduler.load_state_dict(bad)
            assert scheduler.state_dict() == before
            assert held(scheduler.optimizer) == groups
    with pytest.raises(MismatchError, match="2 groups"):
        ours.StepLR(sgd(0.1, 0.2), 3).load_state_dict(ours.StepLR(sgd(), 3).state_dict())

    # What older versions of torch stored is accepted.
    scheduler = ours.StepLR(sgd(), 3)
    scheduler.load_state_dict(step_state | {"verbose": False})
    assert "verbose" not in vars(scheduler)

    class Own(ours.StepLR):
        def __init__(self, optimizer):
            self.mine = 1
            super().__init__(optimizer, 3)

    scheduler = Own(sgd())
    scheduler.load_state_dict(Own(sgd()).state_dict() | {"mine": 2, "another": 3})
    assert (scheduler.mine, scheduler.another) == (2, 3)


@pytest.mark.parametrize("name", CLASSES)
def test_states_are_copies(name):
    """A state that was taken does not change any more, nor does changing it reach back."""
    make, _ = CLASSES[name]

    def spoil(value):
        for key in value if isinstance(value, dict) else range(len(value)):
            if isinstance(value[key], (dict, list)):
                spoil(value[key])
        value.clear()

    scheduler = make(ours, sgd(0.1, tensor=torch.float64))
    follow(scheduler, 2)
    state = scheduler.state_dict()
    kept = copy.deepcopy(state)
    follow(scheduler, 2)
    assert state == kept
    now = scheduler.state_dict()
    spoil(scheduler.state_dict())
    assert scheduler.state_dict() == now
    loaded = make(ours, sgd(0.1, tensor=torch.float64))
    loaded.load_state_dict(state)
    spoil(state)
    assert loaded.state_dict() == kept

    if name == "StepLR":
        scheduler = theirs.StepLR(sgd(), 3)
        scheduler.state_dict()["base_lrs"][0] = 99
        assert scheduler.base_lrs == [99]


def test_loading_leaves_the_state_alone():
    """Torch's CyclicLR takes a key out of the state that it is given."""
    state = theirs.CyclicLR(sgd(), 0.1, 0.5).state_dict()
    theirs.CyclicLR(sgd(), 0.1, 0.5).load_state_dict(state)
    with pytest.raises(KeyError):
        theirs.CyclicLR(sgd(), 0.1, 0.5).load_state_dict(state)
    for make, _ in CLASSES.values():
        for state in (make(theirs, sgd()).state_dict(), make(ours, sgd()).state_dict()):
            before = copy.deepcopy(state)
            for _ in range(2):
                make(ours, sgd()).load_state_dict(state)
                assert state == before


def test_functions_are_stored_by_name():
    """Torch goes on with another function in silence; here it is said."""
    for name in ("LambdaLR", "MultiplicativeLR"):
        kind = getattr(theirs, name)
        scheduler = kind(sgd(), slower)
        scheduler.load_state_dict(kind(sgd(), decay).state_dict())
        kind = getattr(ours, name)
        state = kind(sgd(), decay).state_dict()
        assert state["lr_lambdas"] == [None]  # as torch has it
        assert state["cadence"]["functions"] == [f"{__name__}.decay"]
        with pytest.warns(UserWarning, match=r"made with the function .*decay.* has .*slower"):
            kind(sgd(), slower).load_state_dict(state)
        kind(sgd(), decay).load_state_dict(state)
        kind(sgd(), slower).load_state_dict(kind(sgd(), lambda epoch: 1).state_dict())

    with pytest.raises(AttributeError, match="__dict__"):
        theirs.LambdaLR(sgd(), math.cos).state_dict()
    assert ours.LambdaLR(sgd(), math.cos).state_dict()["cadence"]["functions"] == ["math.cos"]
    ours.LambdaLR(sgd(), functools.partial(decay)).state_dict()

    def cyclic(lib, function):
        return lib.CyclicLR(sgd(), 0.1, 0.5, scale_fn=function)

    cyclic(theirs, slower).load_state_dict(cyclic(theirs, decay).state_dict())
    state = cyclic(ours, decay).state_dict()
    assert state["_scale_fn_custom"] is None  # as torch has it
    with pytest.warns(UserWarning, match=r"made with the function .*decay.* has .*slower"):
        cyclic(ours, slower).load_state_dict(state)


def test_edits_after_the_last_step():
    """A rate set by hand after the last step is part of our states; of torch's it is not."""

    def edited(lib):
        scheduler = lib.StepLR(sgd(), 2, 0.5)
        follow(scheduler, 3)
        scheduler.optimizer.param_groups[0]["lr"] = 0.08
        return scheduler

    def rest(lib, saved):
        optimizer = sgd()
        scheduler = lib.StepLR(optimizer, 2, 0.5)
        optimizer.load_state_dict(saved.optimizer.state_dict())
        scheduler.load_state_dict(saved.state_dict())
        return follow(scheduler, 1)

    assert rest(theirs, edited(theirs)) == near([0.08, 0.04])  # the optimizer has it
    assert rest(ours, edited(ours)) == near([0.08, 0.04])
    assert rest(ours, edited(theirs)) == near([0.05, 0.025])  # the price of loading in any order

    again = ours.StepLR(sgd(), 2, 0.5)
    again.load_state_dict(edited(ours).state_dict())  # without the optimizer's
    assert follow(again, 1) == near([0.08, 0.04])


def test_a_key_of_our_own_in_states():
    """States hold torch's keys and one more, which torch carries along."""
    for name, (make, _) in CLASSES.items():
        scheduler = make(ours, sgd())
        follow(scheduler, 3)
        state, torchs = scheduler.state_dict(), make(theirs, sgd()).state_dict()
        assert state.keys() - torchs.keys() == {"cadence"}, name
        assert torchs.keys() <= state.keys(), name
        again = make(theirs, sgd())
        again.optimizer.load_state_dict(scheduler.optimizer.state_dict())
        again.load_state_dict(copy.deepcopy(state))
        assert follow(again, 6) == near(follow(scheduler, 6)), name


# Building.


def broken(epoch):
    raise RuntimeError("broken")


FAILURES = {
    "LambdaLR": lambda lib, o: lib.LambdaLR(o, broken),
    "CyclicLR": lambda lib, o: lib.CyclicLR(o, 0.01, 0.5, scale_fn=broken),
    "CyclicLR(step_size_up=0)": lambda lib, o: lib.CyclicLR(o, 0.01, 0.5, step_size_up=0),
    "OneCycleLR(pct_start)": lambda lib, o: lib.OneCycleLR(o, 0.5, 10, pct_start=1.5),
    "OneCycleLR(div_factor=0)": lambda lib, o: lib.OneCycleLR(o, 0.5, 10, div_factor=0),
    "a subclass": lambda lib, o: type("Own", (lib.LRScheduler,), {})(o),
}


def test_failed_construction():
    """Torch leaves keys, rates and momenta behind."""
    left = set()
    for name, make in FAILURES.items():
        for lib in (theirs, ours):
            optimizer = sgd()
            before = copy.deepcopy(held(optimizer))
            with pytest.raises((RuntimeError, ValueError, ZeroDivisionError, NotImplementedError)):
                make(lib, optimizer)
            if lib is ours:
                assert held(optimizer) == before, name
            elif held(optimizer) != before:
                left.add(name)
    assert left == FAILURES.keys() - {"OneCycleLR(pct_start)", "OneCycleLR(div_factor=0)"}

    optimizer = sgd(0.1, tensor=torch.float64)
    given = optimizer.param_groups[0]["lr"]
    with pytest.raises(RuntimeError):
        ours.CyclicLR(optimizer, 0.01, 0.5, scale_fn=broken)
    assert optimizer.param_groups[0]["lr"] is given
    assert given == 0.1


def test_a_scheduler_that_died_unused():
    """A cell that is run twice multiplies twice in torch, or leaves another base behind."""

    def warmup(lib, optimizer):
        return lib.LinearLR(optimizer, 0.1, total_iters=10)

    def again(lib, first, second):
        optimizer = sgd()
        dead = first(lib, optimizer)
        del dead
        return second(lib, optimizer)

    assert rate(again(theirs, warmup, warmup)) == near(0.001)
    scheduler = again(ours, warmup, warmup)
    assert rate(scheduler) == near(0.01)
    with pytest.warns(UserWarning, match="dropped without a step"):
        step(scheduler)
    step(scheduler)

    def cycle(lib, optimizer):
        return lib.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)

    def stairs(lib, optimizer):
        return lib.StepLR(optimizer, 3)

    assert again(theirs, cycle, stairs).base_lrs == [0.04]
    scheduler = again(ours, cycle, stairs)
    assert scheduler.base_lrs == [0.1]
    with pytest.warns(UserWarning, match="dropped without a step"):
        step(scheduler)

    assert rate(again(theirs, sequence, sequence)) == near(0.01)
    assert rate(again(theirs, chain, chain)) == near(0.001)
    for composite in (sequence, chain):
        scheduler = again(ours, composite, composite)
        with pytest.warns(UserWarning, match="dropped without a step"):
            step(scheduler)
        one = composite(ours, sgd())
        step(one)
        assert rate(scheduler) == near(rate(one))

    # Two that live compound, as in torch, and so does one that was stepped.
    for lib in (theirs, ours):
        optimizer = sgd()
        first, second = warmup(lib, optimizer), warmup(lib, optimizer)
        assert rate(second) == near(0.001)
        optimizer.step()
        first.step()
        second.step()
        optimizer = sgd()
        step(warmup(lib, optimizer))
        second = lib.StepLR(optimizer, 3)
        assert second.base_lrs == [0.1]
        assert rate(second) == near(0.019)
        step(second)


def test_the_optimizers_step_is_not_replaced():
    """Torch puts a function in its place, which knows the optimizer by a weak reference."""
    optimizer = sgd()
    theirs.StepLR(optimizer, 3)
    assert "step" in vars(optimizer)
    call = optimizer.step
    del optimizer
    with pytest.raises(AttributeError):
        call()

    optimizer = sgd()
    ours.StepLR(optimizer, 3)
    assert "step" not in vars(optimizer)
    call = optimizer.step
    assert call.__self__ is optimizer
    del optimizer
    call()

    copied = copy.deepcopy(theirs.StepLR(sgd(), 3))
    with pytest.warns(UserWarning, match="has been overridden"):
        step(copied)
    step(copy.deepcopy(ours.StepLR(sgd(), 3)))


def test_amp_may_skip_the_first_update():
    """Torch takes an update that was skipped for infinite gradients for a wrong order of calls."""

    def skipped(lib):
        optimizer = sgd()
        scheduler = lib.StepLR(optimizer, 3)
        (parameter,) = optimizer.param_groups[0]["params"]
        scaler = torch.amp.GradScaler("cpu")
        scaler.scale(parameter.sum() * inf).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()

    with pytest.warns(UserWarning, match="before `optimizer.step"):
        skipped(theirs)
    skipped(ours)
    for lib in (theirs, ours):  # a wrong order is told by both
        with pytest.warns(UserWarning, match="before `optimizer.step"):
            lib.StepLR(sgd(), 3).step()


VERBOSE = [
    name
    for name in CLASSES
    if name not in ("SWALR", "ChainedScheduler")  # never had it
]


def test_the_old_verbose(capsys):
    """The last argument of older versions is accepted, and prints the old line."""
    for name in VERBOSE:
        for kind in (getattr(theirs, name), getattr(ours, name)):
            accepted = "verbose" in inspect.signature(kind).parameters
            assert accepted is (kind.__module__.startswith("cadence")), name

    with pytest.raises(TypeError, match="verbose"):
        theirs.StepLR(sgd(), 1, 0.5, verbose=True)
    with pytest.warns(DeprecationWarning, match="verbose parameter is deprecated"):
        scheduler = ours.StepLR(sgd(), 1, 0.5, -1, True)
    step(scheduler)
    scheduler.optimizer.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(7)
    assert capsys.readouterr().out.splitlines() == [
        "Adjusting learning rate of group 0 to 1.0000e-01.",
        "Adjusting learning rate of group 0 to 5.0000e-02.",
        "Epoch 00007: adjusting learning rate of group 0 to 7.8125e-04.",
    ]
    with pytest.warns(DeprecationWarning, match="verbose parameter is deprecated"):
        step(ours.StepLR(sgd(), 1, verbose=False))
    with pytest.warns(DeprecationWarning, match="verbose parameter is deprecated"):
        plateau = ours.ReduceLROnPlateau(sgd(), patience=0, verbose=True)
    follow(plateau, 2)
    expected = "Epoch 00002: reducing learning rate of group 0 to 1.0000e-02.\n"
    assert capsys.readouterr().out == expected

    def own(lib):
        class Own(lib._LRScheduler):
            def __init__(self, optimizer, last_epoch=-1, verbose=False):
                super().__init__(optimizer, last_epoch, verbose)

            def get_lr(self):
                return [base / (1 + self.last_epoch) for base in self.base_lrs]

        return Own(sgd())

    with pytest.raises(TypeError):
        own(theirs)
    with pytest.warns(DeprecationWarning, match="verbose parameter is deprecated"):
        scheduler = own(ours)
    assert follow(scheduler, 2) == near([0.1, 0.05, 0.1 / 3])


# Asking.


@pytest.mark.parametrize("name", CLASSES)
def test_get_lr_outside_of_step(name):
    """It gives the present rates, and changes nothing."""
    make, _ = CLASSES[name]
    scheduler = make(ours, sgd())
    follow(scheduler, 3)
    before = copy.deepcopy(held(scheduler.optimizer))
    assert scheduler.get_lr() == [rate(scheduler)] == scheduler.get_last_lr()
    assert held(scheduler.optimizer) == before

    if name == "CosineAnnealingLR":
        scheduler = make(theirs, sgd())
        follow(scheduler, 3)
        with pytest.warns(UserWarning, match="get_last_lr"):
            assert scheduler.get_lr() != near([rate(scheduler)])
    if name == "OneCycleLR":
        scheduler = make(theirs, sgd())
        optimizer = scheduler.optimizer
        follow(scheduler, 3)
        optimizer.param_groups[0]["momentum"] = 0.5
        with pytest.warns(UserWarning, match="get_last_lr"):
            scheduler.get_lr()
        assert optimizer.param_groups[0]["momentum"] != 0.5
    if name in ("ReduceLROnPlateau", "SequentialLR", "ChainedScheduler"):
        with pytest.raises((NotImplementedError, AttributeError)):
            make(theirs, sgd()).get_lr()


# Refusals.

# Each is accepted by torch, or fails half-way with an error about something else.
NONSENSE = {
    "StepLR(o, step_size=0)": "step_size",
    "StepLR(o, step_size=-1)": "step_size",
    "StepLR(o, step_size=2.5)": "step_size",
    "StepLR(o, step_size=nan)": "step_size",
    "StepLR(o, step_size='3')": "step_size",
    "StepLR(o, 2, gamma=nan)": "gamma",
    "StepLR(o, 2, gamma=-1)": "gamma",
    "StepLR(o, 2, gamma=inf)": "gamma",
    "StepLR(o, 2, gamma='x')": "gamma",
    "StepLR(o, 2, gamma=None)": "gamma",
    "MultiStepLR(o, [2.5])": "milestones",
    "MultiStepLR(o, [-1, 2])": "milestones",
    "MultiStepLR(o, ['2'])": "milestones",
    "MultiStepLR(o, '23')": "milestones",
    "MultiStepLR(o, None)": "milestones",
    "ExponentialLR(o, nan)": "gamma",
    "ExponentialLR(o, -0.5)": "gamma",
    "ExponentialLR(o, inf)": "gamma",
    "ConstantLR(o, nan)": "factor",
    "ConstantLR(o, 0.5, -2)": "total_iters",
    "ConstantLR(o, 0.5, 2.5)": "total_iters",
    "ConstantLR(o, 0.5, nan)": "total_iters",
    "LinearLR(o, nan)": "start_factor",
    "LinearLR(o, end_factor=nan)": "end_factor",
    "LinearLR(o, total_iters=-2)": "total_iters",
    "LinearLR(o, total_iters=2.5)": "total_iters",
    "LinearLR(o, total_iters=nan)": "total_iters",
    "PolynomialLR(o, 0)": "total_iters",
    "PolynomialLR(o, -2)": "total_iters",
    "PolynomialLR(o, 2.5)": "total_iters",
    "PolynomialLR(o, nan)": "total_iters",
    "PolynomialLR(o, 3, nan)": "power",
    "PolynomialLR(o, 3, -1)": "power",
    "CosineAnnealingLR(o, 0)": "T_max",
    "CosineAnnealingLR(o, -3)": "T_max",
    "CosineAnnealingLR(o, 2.5)": "T_max",
    "CosineAnnealingLR(o, nan)": "T_max",
    "CosineAnnealingLR(o, inf)": "T_max",
    "CosineAnnealingLR(o, '3')": "T_max",
    "CosineAnnealingLR(o, 3, -1)": "eta_min",
    "CosineAnnealingLR(o, 3, nan)": "eta_min",
    "CosineAnnealingLR(o, 3, [0.1])": "eta_min",
    "CosineAnnealingWarmRestarts(o, True)": "T_0",
    "CosineAnnealingWarmRestarts(o, 3, eta_min=-1)": "eta_min",
    "CosineAnnealingWarmRestarts(o, 3, eta_min=nan)": "eta_min",
    "CyclicLR(o, 0.01, 0.1, step_size_up=0)": "step_size_up",
    "CyclicLR(o, 0.01, 0.1, step_size_up=-2)": "step_size_up",
    "CyclicLR(o, 0.01, 0.1, step_size_up=2.5)": "step_size_up",
    "CyclicLR(o, 0.01, 0.1, step_size_up=nan)": "step_size_up",
    "CyclicLR(o, 0.01, 0.1, 2, step_size_down=0.5)": "step_size_down",
    "CyclicLR(o, nan, 0.1)": "base_lr",
    "CyclicLR(o, 0.01, -1)": "max_lr",
    "CyclicLR(o, 0.01, 0.1, mode='exp_range', gamma=nan)": "gamma",
    "CyclicLR(o, 0.01, 0.1, scale_fn=decay, scale_mode='x')": "scale_mode",
    "OneCycleLR(o, 0.1, total_steps=True)": "total_steps",
    "OneCycleLR(o, 0.1, 10, pct_start=nan)": "pct_start",
    "OneCycleLR(o, 0.1, 10, pct_start=0.6, three_phase=True)": "pct_start",
    "OneCycleLR(o, 0.1, 10, div_factor=0)": "div_factor",
    "OneCycleLR(o, 0.1, 10, div_factor=-1)": "div_factor",
    "OneCycleLR(o, 0.1, 10, div_factor=nan)": "div_factor",
    "OneCycleLR(o, 0.1, 10, final_div_factor=0)": "final_div_factor",
    "OneCycleLR(o, -1, 10)": "max_lr",
    "OneCycleLR(o, nan, 10)": "max_lr",
    "LambdaLR(o, 0.5)": "lr_lambda",
    "LambdaLR(o, lambda e: nan)": "lr_lambda",
    "LambdaLR(o, lambda e: None)": "lr_lambda",
    "ReduceLROnPlateau(o, factor=-0.5)": "factor",
    "ReduceLROnPlateau(o, factor=nan)": "factor",
    "ReduceLROnPlateau(o, patience=-1)": "patience",
    "ReduceLROnPlateau(o, patience=nan)": "patience",
    "ReduceLROnPlateau(o, threshold=-1)": "threshold",
    "ReduceLROnPlateau(o, threshold=2.0)": "threshold",
    "ReduceLROnPlateau(o, cooldown=-3)": "cooldown",
    "ReduceLROnPlateau(o, eps=nan)": "eps",
    "ReduceLROnPlateau(o, min_lr=nan)": "min_lr",
    "SWALR(o, nan)": "swa_lr",
    "SWALR(o, -1.0)": "swa_lr",
    "SequentialLR(o, [ConstantLR(o), ExponentialLR(o, 0.9)], [2.5])": "milestones",
    "SequentialLR(o, [ConstantLR(o), ExponentialLR(o, 0.9)], [-1])": "milestones",
    "SequentialLR(o, [ConstantLR(o), StepLR(o, 2), StepLR(o, 3)], [4, 2])": "milestones",
    "StepLR(o, 2, last_epoch=1.5)": "last_epoch",
}


def evaluate(lib, call, optimizer):
    names = vars(lib) | {"o": optimizer, "nan": nan, "inf": inf, "decay": decay}
    return eval(call, names)  # noqa: S307


@pytest.mark.parametrize("call", NONSENSE)
def test_nonsense_arguments(call):
    """They are refused where they are given, and the message names the argument."""
    optimizer = sgd()
    optimizer.param_groups[0]["initial_lr"] = 0.1
    with pytest.raises((CadenceError, ValueError, TypeError)) as caught:
        evaluate(ours, call, optimizer)
    name = call.partition("(")[0]
    assert re.match(rf"{name}: .*{NONSENSE[call]}", str(caught.value)), str(caught.value)
    assert "(got " in str(caught.value) or "is nan" in str(caught.value)

    # torch's own refusals never name both.
    try:
        scheduler = evaluate(theirs, call, optimizer)
    except (ValueError, TypeError, ZeroDivisionError, AttributeError) as refused:
        assert not re.match(rf"{name}: .*{NONSENSE[call]}", str(refused))  # noqa: PT017
    else:
        assert isinstance(scheduler, getattr(theirs, name))


LEGITIMATE = [
    "StepLR(o, 2, gamma=2)",
    "StepLR(o, 2, gamma=0)",
    "MultiStepLR(o, [4, 2, 2])",
    "MultiStepLR(o, [])",
    "MultiStepLR(o, [0], 0.5)",
    "ExponentialLR(o, 1.5)",
    "ExponentialLR(o, 0)",
    "PolynomialLR(o, 3, 0)",
    "CosineAnnealingLR(o, 3, eta_min=1.0)",
    "CosineAnnealingWarmRestarts(o, 3, eta_min=5.0)",
    "CyclicLR(o, 0.1, 0.01, 2)",
    "OneCycleLR(o, 0.1, 20, final_div_factor=0.5)",
    "ReduceLROnPlateau(o, factor=0)",
    "ReduceLROnPlateau(o, min_lr=1.0)",
    "SWALR(o, 0.05, anneal_epochs=0)",
    "SequentialLR(o, [ConstantLR(o), ExponentialLR(o, 0.9)], [0])",
    "SequentialLR(o, [ConstantLR(o), StepLR(o, 2), ExponentialLR(o, 0.9)], [2, 2])",
]


@pytest.mark.parametrize("call", LEGITIMATE)
def test_oddities_that_make_sense_are_accepted(call):
    """What is odd but has a meaning gives torch's numbers."""
    found = [follow(evaluate(lib, call, sgd()), 8) for lib in (theirs, ours)]
    assert found[1] == near(found[0])


def test_a_metric_that_is_nan():
    """Torch counts it as a bad epoch and lowers the rate."""
    scheduler = theirs.ReduceLROnPlateau(sgd(), patience=0)
    for metric in (1.0, nan):
        step(scheduler, metric)
    assert rate(scheduler) == near(0.01)

    scheduler = ours.ReduceLROnPlateau(sgd(), patience=0)
    step(scheduler, 1.0)
    before = scheduler.state_dict()
    for metric in (nan, torch.tensor(nan)):
        with pytest.raises(ValueError, match=r"'metrics' must not be NaN \(got .*nan"):
            scheduler.step(metric)
    assert scheduler.state_dict() == before
    assert rate(scheduler) == 0.1


def test_epochs_below_zero():
    """Torch follows the formula to where it has no meaning."""
    for lib in (theirs, ours):
        scheduler = lib.ExponentialLR(sgd(), 0.5)
        scheduler.optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            if lib is theirs:
                scheduler.step(-2)
                assert rate(scheduler) == 0.4
                continue
            for epoch in (-2, nan):
                with pytest.raises(ValueError, match="non-negative epoch"):
                    scheduler.step(epoch)
        assert rate(scheduler) == 0.1
        assert scheduler.last_epoch == 0


def test_one_scheduler_twice():
    """Torch steps it twice each time."""

    def make(lib):
        scheduler = lib.ExponentialLR(sgd(), 0.5)
        return lib.ChainedScheduler([scheduler, scheduler])

    assert follow(make(theirs), 2) == near([0.1, 0.025, 0.00625])
    with pytest.raises(ValueError, match="each scheduler once"):
        make(ours)


@pytest.mark.parametrize("groups", [3, 8, 12])
def test_levels_of_one_group_changed_in_mid_run(groups):
    """Torch sees it at once; Cadence, of many groups, when it is the group's turn or when told."""

    def changed(lib, *, told):
        scheduler = lib.OneCycleLR(sgd(*[0.1] * groups), 1.0, total_steps=40)
        follow(scheduler, 4)
        scheduler.optimizer.param_groups[2]["max_lr"] = 2.0
        if told:
            scheduler.last_epoch = scheduler.last_epoch
        return follow(scheduler, 20, group=2)[1:]

    expected = changed(theirs, told=False)
    assert changed(ours, told=True) == near(expected)
    found = changed(ours, told=False)
    late = 0 if groups <= 8 else groups
    assert found[late:] == near(expected[late:])
    assert (found == near(expected)) is (late == 0)


def test_edits_that_nothing_announces():
    """Each has a plain form that is seen."""

    def data(scheduler):
        scheduler.optimizer.param_groups[0]["lr"].data.mul_(0.5)

    def plain(scheduler):
        scheduler.optimizer.param_groups[0]["lr"].mul_(0.5)

    def run(lib, make, change, optimizer):
        scheduler = make(lib, optimizer)
        follow(scheduler, 3)
        change(scheduler)
        return follow(scheduler, 4)[1:]

    def exponential(lib, optimizer):
        return lib.ExponentialLR(optimizer, 0.9)

    for change, seen in ((data, False), (plain, True)):
        expected, found = (
            run(lib, exponential, change, sgd(0.1, tensor=torch.float64)) for lib in (theirs, ours)
        )
        assert (found == near(expected)) is seen

    def add(scheduler):
        scheduler.milestones[5] += 1

    def assign(scheduler):
        scheduler.milestones = scheduler.milestones + Counter([5])

    def drops(lib, optimizer):
        return lib.MultiStepLR(optimizer, [2, 20], 0.5)

    for change, seen in ((add, False), (assign, True)):
        expected, found = (run(lib, drops, change, sgd()) for lib in (theirs, ours))
        assert (found == near(expected)) is seen

    def exchange(scheduler):
        groups = scheduler.optimizer.param_groups
        groups[0] = dict(groups[0])

    expected, found = (run(lib, exponential, exchange, sgd(0.1, 0.2)) for lib in (theirs, ours))
    assert found != near(expected)


def test_wrappers_that_never_step():
    """What Ignite's handler does instead of stepping."""

    def asked(lib, make):
        scheduler = make(lib, sgd())
        found = []
        for _ in range(4):
            scheduler._get_lr_called_within_step = True
            found.append(scheduler.get_lr()[0])
            scheduler._get_lr_called_within_step = False
            scheduler.last_epoch += 1
            scheduler.optimizer.param_groups[0]["lr"] = found[-1]
        return found

    for make in (
        lambda lib, o: lib.ExponentialLR(o, 0.5),
        lambda lib, o: lib.CosineAnnealingLR(o, 8),
        lambda lib, o: lib.PolynomialLR(o, 8),
    ):
        stepped = follow(make(theirs, sgd()), 3)
        assert asked(ours, make) == near(stepped)
        assert asked(theirs, make) != near(stepped)
    for lib in (theirs, ours):
        with pytest.raises(NotImplementedError):
            asked(lib, sequence)


# The page.


def test_every_entry_has_its_test_and_every_test_its_entry():
    """The page and this file list the same differences."""
    headings = re.findall(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {re.sub(r"\W+", "_", heading.replace("'", "").lower()) for heading in headings}
    assert len(named) == len(headings)
    tests = {name for name in vars(sys.modules[__name__]) if name.startswith("test_")}
    own = {test_every_entry_has_its_test_and_every_test_its_entry.__name__}
    assert {f"test_{name}" for name in named} == tests - own
