"""torchtitan's schedule beside the plans that are read from the same config."""

import fetch
import numpy as np
import pytest
import reference
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table import compare

from cadence import parse
from cadence.dialects import from_torchtitan
from cadence.errors import ArgumentError

pytestmark = pytest.mark.peers

VERSION = fetch.SOURCES["torchtitan"].version
EXAMPLES = 200
BASE = 0.3

ARGUMENTS = {
    "total_steps": st.none() | st.integers(1, 300),
    "decay_ratio": st.none() | st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(0, 1),
    "min_lr_factor": st.sampled_from([0.0, 0.1, 1.0]) | st.floats(0, 1),
}


def theirs(config, training_steps, n):
    """The rate at each of n updates."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    container = reference.torchtitan().LRSchedulersContainer
    schedulers = container.Config(**config).build(
        optimizers=[optimizer], training_steps=training_steps
    )
    found = []
    for update in range(n):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if update < n - 1:  # where nothing decays, it raises beyond the end
            schedulers.step()
    return found


@pytest.mark.parametrize("kind", ["linear", "sqrt", "cosine"])
def test_plans_give_theirs_at_every_update(kind):
    """From the first update to well past the end, where their values leave the range."""

    @settings(deadline=None, max_examples=EXAMPLES)
    @given(
        config=st.fixed_dictionaries({}, optional=ARGUMENTS),
        warmup=st.sampled_from([0, 1, 2]) | st.integers(0, 300),
        training=st.integers(1, 300),
    )
    @example(config={}, warmup=0, training=1)
    @example(config={"decay_ratio": 0.0}, warmup=10, training=5)
    def run(config, warmup, training):
        config = {**config, "warmup_steps": warmup, "decay_type": kind}
        total = config.get("total_steps") or training
        plan = from_torchtitan(config, training_steps=training)
        assert parse(repr(plan)) == plan
        decays = plan.steps is None  # what goes on after the end
        n = int(1.5 * total) + 5 if decays else total
        expected = theirs(config, training, n)
        compare("torchtitan", VERSION, kind, plan(np.arange(n), BASE), expected)

    run()


@settings(deadline=None, max_examples=EXAMPLES)
@given(
    warmup=st.integers(0, 50),
    percent=st.none() | st.integers(0, 9).map(lambda n: 5 * n),
    kind=st.sampled_from(["linear", "sqrt", "cosine"]),
    low=st.floats(0, 1),
    total=st.integers(5, 20).map(lambda n: 20 * n),
)
def test_an_open_plan_comes_to_the_same(warmup, percent, kind, low, total):
    """A plan that waits for the run gives theirs in it, where the ratio comes out even."""
    config = {"warmup_steps": warmup, "decay_type": kind, "min_lr_factor": low}
    config["decay_ratio"] = None if percent is None else percent / 100
    plan = from_torchtitan(config).resolve(total)
    compare("torchtitan", VERSION, kind, plan(np.arange(total), BASE), theirs(config, total, total))


def test_an_object_is_read():
    """Torchtitan's own `LRSchedulersContainer.Config`."""
    container = reference.torchtitan().LRSchedulersContainer
    config = container.Config(warmup_steps=5, decay_ratio=0.1)
    expected = from_torchtitan(warmup_steps=5, decay_ratio=0.1, training_steps=100)
    assert from_torchtitan(config, training_steps=100) == expected


def test_an_unknown_decay_is_refused():
    """There it raises when the decay begins."""
    with pytest.raises(ValueError, match="Unknown lr_decay_type"):
        theirs({"warmup_steps": 0, "decay_type": "sqroot"}, 5, 5)
    with pytest.raises(ArgumentError, match="'decay_type' must be one of"):
        from_torchtitan(decay_type="sqroot")
