"""Composites in composites, which torch cannot: each value is that of the formula."""

import copy
import json
import math
from bisect import bisect_right

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cadence.lr_scheduler as ours

FACTORS = st.integers(2, 10).map(lambda k: k / 8)
LENGTHS = st.integers(1, 6)

# A leaf as the name of its class, its arguments, and its multiple of the rate at epoch t.
LEAVES = st.one_of(
    st.builds(lambda g: ("ExponentialLR", {"gamma": g}, lambda t: g**t), FACTORS),
    st.builds(
        lambda n, g: ("StepLR", {"step_size": n, "gamma": g}, lambda t: g ** (t // n)),
        LENGTHS,
        FACTORS,
    ),
    st.builds(
        lambda n, f: (
            "ConstantLR",
            {"total_iters": n, "factor": f},
            lambda t: f if t < n else 1.0,
        ),
        LENGTHS,
        FACTORS.filter(lambda f: f <= 1),
    ),
    st.builds(
        lambda n, a: (
            "LinearLR",
            {"total_iters": n, "start_factor": a},
            lambda t: a + (1 - a) * min(t, n) / n,
        ),
        LENGTHS,
        FACTORS.filter(lambda f: f <= 1),
    ),
)


def sequences(children):
    def of(parts):
        count = len(parts) - 1
        milestones = st.lists(st.integers(0, 9), min_size=count, max_size=count).map(sorted)
        return milestones.map(lambda given: ("SequentialLR", given, parts))

    return st.lists(children, min_size=1, max_size=3).flatmap(of)


def chains(children):
    parts = st.lists(children, min_size=1, max_size=3)
    return parts.map(lambda given: ("ChainedScheduler", None, given))


def composites(depth):
    below = LEAVES if depth == 1 else LEAVES | composites(depth - 1)
    return sequences(below) | chains(below)


def build(tree, optimizer):
    name, arguments, rest = tree
    if isinstance(arguments, dict):
        return getattr(ours, name)(optimizer, **arguments)
    children = [build(child, optimizer) for child in rest]
    if name == "SequentialLR":
        return ours.SequentialLR(optimizer, children, arguments)
    return ours.ChainedScheduler(children, optimizer)


def value(tree, t):
    """The multiple of the rate at epoch t."""
    name, arguments, rest = tree
    if isinstance(arguments, dict):
        return rest(t)
    if name == "ChainedScheduler":
        return math.prod(value(child, t) for child in rest)
    i = bisect_right(arguments, t)
    return value(rest[i], t - (arguments[i - 1] if i else 0))


def sgd():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.3)]
    return torch.optim.SGD(groups, lr=0.1)


def tick(scheduler):
    scheduler.optimizer.step()
    scheduler.step()
    return [group["lr"] for group in scheduler.optimizer.param_groups]


@given(tree=composites(3), stop=st.integers(0, 12), how=st.sampled_from(["state", "json", "copy"]))
def test_composites_nest_to_any_depth(tree, stop, how):
    """Stepped, previewed, and resumed at any point, into schedulers built before or after."""
    scheduler = build(tree, sgd())
    # The first rate of a sequence that begins with a milestone at 0 is that of its next child.
    expected = [[lr * value(tree, t) for lr in (0.1, 0.3)] for t in range(16)]
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == pytest.approx(expected[0])
    assert scheduler.preview(16) == pytest.approx([rates[0] for rates in expected])
    for t in range(1, stop + 1):
        assert tick(scheduler) == pytest.approx(expected[t], rel=1e-11)
    if how == "copy":
        scheduler = copy.deepcopy(scheduler)
    else:
        states = scheduler.optimizer.state_dict(), scheduler.state_dict()
        if how == "json":
            states = states[0], json.loads(json.dumps(states[1]))
        scheduler = build(tree, sgd())
        scheduler.load_state_dict(states[1])
        scheduler.optimizer.load_state_dict(states[0])
    for t in range(stop + 1, 16):
        assert tick(scheduler) == pytest.approx(expected[t], rel=1e-11)
