"""`Greedy` beside GreedyLR of transformers: the same decisions and rates in random runs."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cadence import absolute
from cadence.feedback import Greedy

pytestmark = pytest.mark.peers


@st.composite
def runs(draw):
    """Arguments for their class, the controller that they mean, bases, and metrics."""
    shared = {
        "mode": draw(st.sampled_from(["min", "max"])),
        "threshold_mode": draw(st.sampled_from(["rel", "abs"])),
        "factor": draw(st.floats(0.3, 0.97)),
        "patience": draw(st.integers(0, 3)),
        "threshold": draw(st.sampled_from([0.0, 1e-6, 0.125])),
        "cooldown": draw(st.integers(0, 3)),
        "warmup": draw(st.integers(0, 3)),
    }
    window, reset = draw(st.none() | st.integers(1, 5)), draw(st.integers(1, 3))
    if draw(st.booleans()):
        # Their limits are rates: as multiples they are the same for one group alone, or equal ones.
        bases = [draw(st.floats(1e-4, 1.0))] * 2
        floor, ceiling = draw(st.floats(0.05, 0.9)), draw(st.floats(1.0, 8.0))
        limits = {"min_lr": floor * bases[0], "max_lr": ceiling * bases[0], "reset_start": reset}
        ours = {"floor": floor, "ceiling": ceiling, "reset": reset}
    else:
        bases = draw(st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=3))
        floor, ceiling = draw(st.floats(0.0, 0.1)), draw(st.floats(0.1, 2.0))
        limits = {"min_lr": floor, "max_lr": ceiling, "reset_start": 10**9}
        ours = {"floor": absolute(floor), "ceiling": absolute(ceiling)}
    theirs = {"smooth": window is not None, "window_size": window or 1, "eps": 0.0}
    # Quarters, whose sums are exact: a running sum that rounds would decide ties otherwise.
    metrics = draw(st.lists(st.integers(-12, 40).map(lambda k: k / 4), min_size=1, max_size=80))
    return shared | limits | theirs, Greedy(**shared, **ours, window=window), bases, metrics


@settings(max_examples=1000)
@given(runs())
def test_greedy_decides_as_theirs_does(case):
    """Every counter is theirs after every metric, every rate to 1e-12."""
    from transformers.optimization import GreedyLR

    arguments, greedy, bases, metrics = case
    optimizer = torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": base} for base in bases]
    )
    theirs = GreedyLR(optimizer, **arguments)
    held, state = bases, greedy.start()
    for metric in metrics:
        theirs.step(metric)
        state, factor = greedy.update(json.loads(json.dumps(state)), metric)
        held = [greedy.limited(rate, factor, base) for rate, base in zip(held, bases, strict=True)]
        assert held == pytest.approx([group["lr"] for group in optimizer.param_groups], rel=1e-12)
        assert (state["good"], state["bad"]) == (theirs.num_good_epochs, theirs.num_bad_epochs)
        assert (state["cooldown"], state["warmup"]) == (
            theirs.cooldown_counter,
            theirs.warmup_counter,
        )


@pytest.mark.parametrize("factor", [0.5, 0.95])
def test_their_reset_needs_a_rate_at_the_floor(factor):
    """With their default `eps`, a rate may stop above the floor, and the reset never comes."""
    from transformers.optimization import GreedyLR

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    floor = 0.1 * factor**3 - 5e-9
    theirs = GreedyLR(optimizer, factor=factor, patience=0, min_lr=floor, reset_start=2)
    greedy = Greedy(factor=factor, patience=0, floor=floor / 0.1, reset=2)
    state, rate, resets = greedy.start(), 0.1, 0
    for _ in range(20):
        theirs.step(1.0)
        state, factor = greedy.update(state, 1.0)
        rate = greedy.limited(rate, factor, 0.1)
        resets += factor > 1 and state["best"] is None
    assert theirs.reset_start == 2
    assert resets > 1
