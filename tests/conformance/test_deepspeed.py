"""DeepSpeed's schedulers beside the plans that are read from the same arguments."""

import fetch
import numpy as np
import pytest
import reference
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table import compare

import cadence as cd
from cadence import parse
from cadence.dialects import from_deepspeed
from cadence.errors import ArgumentError

pytestmark = pytest.mark.peers

VERSION = fetch.SOURCES["deepspeed"].version
EXAMPLES = 150
BASE = 0.3

RATES = st.sampled_from([0.0, 0.1]) | st.floats(1e-6, 2.0)
LENGTHS = st.sampled_from([1, 2, 3]) | st.integers(1, 90)
TOTALS = st.sampled_from([0, 1, 2]) | st.integers(0, 150)
RATIOS = st.sampled_from([0.0, 0.1, 1.0]) | st.floats(-0.5, 1.5)
DECAYS = st.sampled_from([0, 1, 10]) | st.floats(0.1, 50)
COUNTS = st.sampled_from([-1, 0, 1, 2]) | st.integers(1, 40)
KINDS = st.sampled_from(["log", "linear"])

WARMUP = {
    "warmup_min_lr": RATES,
    "warmup_max_lr": RATES | st.none(),
    "warmup_num_steps": LENGTHS,
    "warmup_type": KINDS,
}
ARGUMENTS = {
    "LRRangeTest": {
        "lr_range_test_min_lr": RATES,
        "lr_range_test_step_size": LENGTHS,
        "lr_range_test_step_rate": RATES,
        "lr_range_test_staircase": st.booleans(),
    },
    "OneCycle": {
        "decay_lr_rate": RATES,
        "cycle_second_step_size": st.integers(0, 90) | st.none(),
        "cycle_first_stair_count": COUNTS,
        "cycle_second_stair_count": COUNTS | st.none(),
        "decay_step_size": DECAYS,
        "cycle_min_mom": st.floats(0, 1),
        "cycle_max_mom": st.floats(0, 1),
        "decay_mom_rate": RATES,
    },
    "WarmupLR": WARMUP,
    "WarmupDecayLR": WARMUP,
    "WarmupCosineLR": {
        "warmup_min_ratio": RATIOS,
        "warmup_num_steps": LENGTHS,
        "cos_min_ratio": RATIOS,
        "warmup_type": KINDS,
    },
}
"""Each scheduler and the arguments that may be left out."""

NEEDED = {
    "OneCycle": {"cycle_min_lr": RATES, "cycle_max_lr": RATES, "cycle_first_step_size": LENGTHS},
    "WarmupDecayLR": {"total_num_steps": TOTALS},
    "WarmupCosineLR": {"total_num_steps": TOTALS},
}


@st.composite
def calls(draw, name):
    """The keyword arguments of a scheduler."""
    own = ARGUMENTS[name].items()
    given = {key: draw(values) for key, values in own if draw(st.booleans())}
    given |= {key: draw(values) for key, values in NEEDED.get(name, {}).items()}
    if "warmup_num_steps" in ARGUMENTS[name]:
        given.setdefault("warmup_num_steps", draw(LENGTHS))  # a thousand by default
    return given


def build(name, given):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    return optimizer, getattr(reference.deepspeed(), name)(optimizer, **given)


def theirs(name, given, n):
    """The rate and the betas at each of n updates."""
    optimizer, scheduler = build(name, given)
    found = []
    for _ in range(n):
        group = optimizer.param_groups[0]
        found.append((float(group["lr"]), *group["betas"]))
        optimizer.step()
        scheduler.step()
    return np.array(found).T


def halves(given):
    """The steps of both halves of a cycle."""
    first, second = given["cycle_first_step_size"], given.get("cycle_second_step_size")
    return first, first if second is None else second


def tolerance(name, given):
    """How far a value may be off, relative.

    A cycle's scale is, in DeepSpeed, the last digits of a number near 1 divided by the share that
    a half has of the cycle; the smaller the half, the fewer of its digits are right.
    """
    if name != "OneCycle":
        return 1e-12
    first, second = halves(given)
    return 1e-12 * (first + second) / min(first, second or first)


def span(name, given):
    """One and a half times what the schedule takes, and some more."""
    if name == "LRRangeTest":
        return 3 * given.get("lr_range_test_step_size", 2000) + 5
    if name == "OneCycle":
        return int(1.5 * sum(halves(given))) + 60
    return int(1.5 * max(given["warmup_num_steps"], given.get("total_num_steps", 0))) + 10


@pytest.mark.parametrize("name", ARGUMENTS)
def test_plans_give_theirs_at_every_step(name):
    """The rate, and of a cycle both betas, from the first update to well past the end."""

    @settings(deadline=None, max_examples=EXAMPLES)
    @given(arguments=calls(name))
    def check(arguments):
        n = span(name, arguments)
        rates, *betas = theirs(name, arguments, n)
        plan = from_deepspeed(name, **arguments)
        assert parse(repr(plan)) == plan
        near = tolerance(name, arguments)
        compare("DeepSpeed", VERSION, name, plan(np.arange(n), BASE), rates, tolerance=near)
        if name == "OneCycle":
            for key, expected in zip(("momentum", "beta2"), betas, strict=True):
                plan = from_deepspeed(name, key=key, **arguments)
                ours = plan(np.arange(n), BASE)
                shown = f"OneCycle, {key}"
                compare("DeepSpeed", VERSION, shown, ours, expected, tolerance=near)

    check()


@pytest.mark.parametrize("kind", ["log", "linear"])
def test_a_long_run_agrees(kind):
    """Over a hundred thousand updates nothing adds up."""
    given = {"total_num_steps": 100_000, "warmup_num_steps": 5_000, "warmup_type": kind}
    for name in ("WarmupDecayLR", "WarmupCosineLR"):
        rates, *_ = theirs(name, given, 110_000)
        plan = from_deepspeed(name, **given)
        compare("DeepSpeed", VERSION, name, plan(np.arange(110_000), BASE), rates)


@settings(deadline=None, max_examples=EXAMPLES)
@given(first=st.integers(1, 400), second=st.integers(0, 400), up=COUNTS, down=COUNTS | st.none())
@example(first=10, second=7, up=3, down=None)
@example(first=3, second=3, up=40, down=1)
def test_stairs_are_theirs(first, second, up, down):
    """Each stair is as long as theirs, whatever divides what."""
    given = {
        "cycle_min_lr": 0.0,
        "cycle_max_lr": 1.0,
        "cycle_first_step_size": first,
        "cycle_second_step_size": second,
        "cycle_first_stair_count": up,
        "cycle_second_stair_count": down,
    }
    n = first + second + 5
    rates, *_ = theirs("OneCycle", given, n)
    plan = from_deepspeed("OneCycle", **given)
    ours = plan(np.arange(n))
    compare("DeepSpeed", VERSION, "OneCycle", ours, rates, tolerance=tolerance("OneCycle", given))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("WarmupLR", {"warmup_num_steps": 0}),
        ("WarmupLR", {"warmup_num_steps": 1e3}),
        ("WarmupCosineLR", {"total_num_steps": 9, "warmup_num_steps": -1}),
        ("LRRangeTest", {"lr_range_test_step_size": 0}),
        ("OneCycle", {"cycle_min_lr": 0.1, "cycle_max_lr": 1.0, "cycle_first_step_size": 0}),
        ("WarmupDecayLR", {}),
        ("WarmupLR", {"warmup_steps": 5}),
    ],
)
def test_what_they_refuse_is_refused(name, arguments):
    """What raises in DeepSpeed raises here."""
    with pytest.raises((ValueError, TypeError)):
        build(name, arguments)
    with pytest.raises(ArgumentError):
        from_deepspeed(name, **arguments)


def test_the_refusal_sees_the_plugin_of_a_real_accelerate():
    """Accelerate's own state and `DeepSpeedPlugin`, which can be made without DeepSpeed."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DeepSpeedPlugin, DistributedType

    section = {"type": "WarmupDecayLR", "params": {"total_num_steps": 9, "warmup_num_steps": 3}}
    config = {"train_batch_size": 8, "zero_optimization": {"stage": 2}, "scheduler": section}
    plugin = DeepSpeedPlugin(hf_ds_config=config)
    assert plugin.deepspeed_config["scheduler"] == section
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    try:
        state = Accelerator(cpu=True).state
        cd.Scheduler(optimizer, lr=cd.Linear(9))
        # What `Accelerator(deepspeed_plugin=plugin)` does where DeepSpeed is installed.
        plugin._set_selected(True)
        state.deepspeed_plugins = {"one": plugin}
        state.distributed_type = DistributedType.DEEPSPEED
        assert state.deepspeed_plugin is plugin
        with pytest.raises(ArgumentError, match="delete the section 'scheduler'") as caught:
            cd.Scheduler(optimizer, lr=cd.Linear(9))
        assert repr(from_deepspeed(config)) in str(caught.value)
        plugin.deepspeed_config.pop("scheduler")
        cd.Scheduler(optimizer, lr=cd.Linear(9))
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        assert not PartialState._shared_state
