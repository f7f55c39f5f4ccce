"""torch's schedulers beside the plans that are read from them, from their arguments and states."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rig import TORCH, Groups, Make
from table import compare
from test_torch import SUBJECTS, chains, makes, sequences

from cadence import Plateau, parse
from cadence.dialects import from_torch
from cadence.dialects.torch import _NOT_IN_STATES
from cadence.errors import ArgumentError

pytestmark = pytest.mark.peers

VERSION = torch.__version__.partition("+")[0]
OWN = {"Recursive", "Closed", "Delayed", "Floored"}
LEAVES = [name for name in SUBJECTS if name not in OWN | {"ReduceLROnPlateau"}]
MANY = st.integers(0, 25)
STEPS = 45


def build(make, rates):
    optimizer = Groups(torch.optim.SGD, tuple(rates), None).build()
    with warnings.catch_warnings(action="ignore"):
        return make.build(TORCH, optimizer)


def step(scheduler, n):
    with warnings.catch_warnings(action="ignore"):
        for _ in range(n):
            scheduler.optimizer.step()
            scheduler.step()


def values(scheduler, n, key="lr"):
    """The groups' values of a key at the first n steps; fewer where torch raises."""
    found = []
    for _ in range(n):
        groups = scheduler.optimizer.param_groups
        found.append([float(group[key]) for group in groups])
        try:
            step(scheduler, 1)
        except ValueError:  # OneCycleLR past its end; the rate before was no more one of its run
            return np.array(found[:-1]).T
    return np.array(found).T


def last(make):
    """How many steps a OneCycleLR has; torch sets one rate more, and then raises."""
    given = make.arguments
    return given.get("total_steps") or given["epochs"] * given["steps_per_epoch"]


def is_function(plan):
    return "<" in repr(plan)


@pytest.mark.parametrize("name", LEAVES)
def test_a_plan_gives_torchs_rates_at_every_step(name):
    """Read from a live scheduler anywhere in its run, which goes on as if nobody had looked."""

    @settings(max_examples=100)
    @given(st.lists(st.floats(1e-3, 0.5), min_size=1, max_size=3), MANY, st.data())
    def holds(rates, before, data):
        make = data.draw(makes(name, len(rates)))
        n = STEPS if name != "OneCycleLR" else last(make)
        theirs, live = values(build(make, rates), n), build(make, rates)
        step(live, min(before, n - 1))
        for i, base in enumerate(rates):
            plan = from_torch(live, group=i)
            compare("torch", VERSION, name, plan(np.arange(n), base), theirs[i])
            assert is_function(plan) or parse(repr(plan)) == plan
        now = min(before, n - 1)
        assert values(live, 3)[:, : n - now].tolist() == theirs[:, now : now + 3].tolist()

    holds()


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_so_does_the_plan_of_the_momentum(name):
    @settings(max_examples=100)
    @given(st.lists(st.floats(1e-3, 0.5), min_size=1, max_size=3), st.data())
    def holds(rates, data):
        make = data.draw(makes(name, len(rates)))
        n = STEPS if name != "OneCycleLR" else last(make)
        live = build(make, rates)
        if not make.arguments.get("cycle_momentum", True):
            with pytest.raises(ArgumentError, match="'key' must be one of 'lr'"):
                from_torch(live, key="momentum", group=0)
            return
        theirs = values(build(make, rates), n, "momentum")
        for i in range(len(rates)):
            plan = from_torch(live, key="momentum", group=i)
            compare("torch", VERSION, f"{name}, momentum", plan(np.arange(n), 7.0), theirs[i])

    holds()


@pytest.mark.parametrize("name", LEAVES)
def test_a_call_by_name_and_a_state_mean_the_same_plan(name):
    @settings(max_examples=50)
    @given(st.floats(1e-3, 0.5), st.integers(0, 10), st.data())
    def holds(rate, before, data):
        make = data.draw(makes(name, 1))
        live = build(make, [rate])
        plan = from_torch(live)
        assert repr(from_torch(name, **make.arguments)) == repr(plan)
        assert repr(from_torch(type(live), **make.arguments)) == repr(plan)
        if name in _NOT_IN_STATES:
            with pytest.raises(ArgumentError, match="does not tell its plan"):
                from_torch(name, state_dict=live.state_dict())
        elif make.arguments.get("scale_fn") is None:
            step(live, before)
            assert from_torch(name, state_dict=live.state_dict()) == plan

    holds()


@settings(max_examples=100)
@given(makes("ReduceLROnPlateau", 1), st.lists(st.floats(-1, 1), max_size=40))
def test_reduce_on_plateau_is_its_controller(make, metrics):
    live = build(make, [0.3])
    controller = from_torch(live)
    assert isinstance(controller, Plateau)
    assert from_torch("ReduceLROnPlateau", **make.arguments) == controller
    assert from_torch("ReduceLROnPlateau", state_dict=live.state_dict()) == controller
    state, rate, ours, theirs = controller.start(), 0.3, [0.3], [0.3]
    for metric in metrics:
        state, factor = controller.update(state, metric)
        rate = controller.limited(rate, factor, 0.3)
        live.step(metric)
        ours.append(rate)
        theirs.append(live.optimizer.param_groups[0]["lr"])
    compare("torch", VERSION, "ReduceLROnPlateau", ours, theirs)


REFUSED = ("no plan begins", "is no product of plans", "must be built on one rate")
ONES = st.sampled_from(LEAVES).flatmap(lambda name: makes(name, 1))
KINDS = {
    "SequentialLR": sequences(1, ONES),
    "ChainedScheduler": chains(ONES),
    "chains in chains": chains(ONES | chains(ONES)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_composition_is_read_exactly_or_refused(kind):
    @settings(max_examples=200)
    @given(KINDS[kind], st.floats(1e-3, 0.5), MANY)
    def holds(make, rate, before):
        try:
            live = build(make, [rate])
            theirs = values(live, STEPS)[0]
        except (NotImplementedError, ZeroDivisionError):
            assume(False)
        fresh = build(make, [rate])
        base = fresh.optimizer.param_groups[0]["initial_lr"]
        try:
            plan = from_torch(fresh)
        except ArgumentError as error:
            assume(not any(words in str(error) for words in REFUSED))
            raise
        n = len(theirs)
        compare("torch", VERSION, kind, plan(np.arange(n), base), theirs)
        assert is_function(plan) or parse(repr(plan)) == plan

    holds()


WHOLE = st.integers(1, 8)
PLAIN = {
    "StepLR": {"step_size": WHOLE, "gamma": st.floats(0.1, 1.0)},
    "MultiStepLR": {"milestones": st.lists(st.integers(0, 12), max_size=4)},
    "ConstantLR": {"factor": st.floats(0.1, 1.0), "total_iters": st.integers(0, 8)},
    "LinearLR": {"start_factor": st.floats(0.1, 1.0), "total_iters": st.integers(0, 8)},
    "ExponentialLR": {"gamma": st.floats(0.5, 1.0)},
    "PolynomialLR": {"total_iters": WHOLE, "power": st.floats(0.5, 3.0)},
    "CosineAnnealingLR": {"T_max": WHOLE},
}
"""Those that people compose: all multiply what they find."""
PLAINS = st.sampled_from(sorted(PLAIN)).flatmap(
    lambda name: st.fixed_dictionaries(PLAIN[name]).map(lambda given: Make(name, given))
)


@pytest.mark.parametrize("kind", ["SequentialLR", "ChainedScheduler"])
def test_most_compositions_can_be_read(kind):
    """The test above is not about refusals: of what people compose, few are refused."""
    read = refused = 0

    @settings(max_examples=300)
    @given(sequences(1, PLAINS) if kind == "SequentialLR" else chains(PLAINS))
    def holds(make):
        nonlocal read, refused
        live = build(make, [0.3])
        try:
            plan = from_torch(live)
        except ArgumentError:
            refused += 1
            return
        read += 1
        try:
            theirs = values(live, STEPS)[0]
        except ZeroDivisionError:
            return
        compare("torch", VERSION, kind, plan(np.arange(STEPS), 0.3), theirs)

    holds()
    assert read > 2 * refused
