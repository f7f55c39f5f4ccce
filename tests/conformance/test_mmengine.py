"""mmengine's parameter schedulers beside the plans that are read from the same configs."""

import warnings

import numpy as np
import pytest
import reference
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from table import compare, version

from cadence import parse
from cadence.dialects import from_mmengine
from cadence.errors import ArgumentError

pytestmark = pytest.mark.peers

VERSION = version("mmengine")
EXAMPLES = 150
BASE = 0.3
MOST = 120

FACTORS = st.sampled_from([0.1, 0.5, 1.0]) | st.floats(0.01, 1.0)
LEVELS = st.sampled_from([0.0, 0.01]) | st.floats(0, 0.5)
SIZES = st.integers(1, 40)
LEAST = {"eta_min": LEVELS} | {"eta_min_ratio": st.floats(0, 1)}

ARGUMENTS = {
    "Step": {"step_size": SIZES, "gamma": FACTORS},
    "MultiStep": {
        "milestones": st.lists(st.integers(0, 60), max_size=4),
        "gamma": FACTORS,
    },
    "Constant": {"factor": FACTORS},
    "Exponential": {"gamma": st.floats(0.5, 1.1)},
    "Linear": {"start_factor": FACTORS, "end_factor": st.just(0.0) | FACTORS},
    "CosineAnnealing": {"T_max": SIZES},
    "Poly": {"eta_min": LEVELS, "power": st.sampled_from([0, 1, 2, 0.9]) | st.floats(0.2, 4)},
    "OneCycle": {
        "eta_max": st.floats(0.01, 2),
        "total_steps": st.integers(2, 80),
        "pct_start": st.sampled_from([0.0, 0.3, 0.5, 1.0]) | st.floats(0, 1),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "div_factor": st.floats(1, 50),
        "final_div_factor": st.floats(1, 1e4),
        "three_phase": st.booleans(),
    },
    "CosineRestart": {},
}
"""Each scheduler and the arguments that may be left out."""

NEEDED = {"step_size", "milestones", "gamma", "eta_max"}


@st.composite
def configs(draw, kind, *, begin=0, by_epoch=False, finite=True, suffix="LR"):
    """A scheduler's config, which begins at a step."""
    config = {"type": f"{kind}{suffix}", "begin": begin, "by_epoch": by_epoch}
    own = {k: draw(v) for k, v in ARGUMENTS[kind].items() if k in NEEDED or draw(st.booleans())}
    if kind in ("CosineAnnealing", "CosineRestart"):
        which = draw(st.sampled_from(sorted(LEAST)))
        if kind == "CosineRestart" or draw(st.booleans()):
            own[which] = draw(LEAST[which])
    if kind == "CosineRestart":
        own["periods"] = draw(st.lists(st.integers(1, 30), min_size=1, max_size=4))
        count = len(own["periods"])
        own["restart_weights"] = draw(st.lists(FACTORS, min_size=count, max_size=count))
    endless = {"Step", "MultiStep", "Constant", "Exponential"}
    if "T_max" in own or "periods" in own:
        endless.add(kind)
    if kind not in endless or finite or draw(st.booleans()):
        # Of a cycle of one step only the least value is seen, to which theirs rounds from the peak.
        config["end"] = begin + draw(st.integers(2 if kind == "OneCycle" else 1, 60))
    return config | own


def built(listed, optimizer, epoch_length):
    """The schedulers as mmengine's Runner builds them."""
    reference.mmengine()
    from mmengine.registry import PARAM_SCHEDULERS

    more = {"optimizer": optimizer, "epoch_length": epoch_length}
    return [PARAM_SCHEDULERS.build(dict(config), default_args=more) for config in listed]


def theirs(listed, n, epoch_length=10, *, kind=torch.optim.SGD, key="lr"):
    """The value at each of n updates, stepped as the hook does it."""
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind([torch.nn.Parameter(torch.zeros(1))], lr=BASE, **options)
    found = []
    with warnings.catch_warnings(action="ignore"):
        schedulers = built(listed, optimizer, epoch_length)
        for update in range(1, n + 1):
            group = optimizer.param_groups[0]
            found.append(group["betas"][0] if key == "beta1" else group[key])
            optimizer.step()
            over = update % epoch_length == 0
            for by_epoch in (False, True) if over else (False,):
                for scheduler in schedulers:
                    if scheduler.by_epoch == by_epoch:
                        scheduler.step()
    return found


def attempt(error, call, *args, **kwargs):
    """What a call gives, and the message of the error that it raises instead."""
    try:
        return call(*args, **kwargs), ""
    except error as raised:
        return None, str(raised)


def check(shown, listed, *, n=MOST, epoch_length=None, base=BASE, **options):
    """Compare; where the plan is refused, mmengine raises too. Whether there was a plan."""
    plan, refused = attempt(ArgumentError, from_mmengine, listed, epoch_length=epoch_length)
    if "steps out of the cycle" in refused:  # a step too far does not raise yet
        return False
    if plan is None:
        with pytest.raises((ValueError, ZeroDivisionError, AssertionError)):
            theirs(listed, n, epoch_length or 10, **options)
        return False
    assert parse(repr(plan)) == plan
    expected = theirs(listed, n, epoch_length or 10, **options)
    compare("mmengine", VERSION, shown, plan(np.arange(n), base), expected)
    return True


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_one_scheduler(kind):
    """From any beginning, by iteration and once an epoch, with an end or without."""
    compared = 0

    @settings(deadline=None, max_examples=EXAMPLES)
    @given(data=st.data(), begin=st.sampled_from([0, 0, 1, 7]), by_epoch=st.booleans())
    def run(data, begin, by_epoch):
        nonlocal compared
        config = data.draw(configs(kind, begin=begin, by_epoch=by_epoch, finite=False))
        if by_epoch and data.draw(st.booleans()):
            config["convert_to_iter_based"] = True
            config["end"] = config.get("end", 60)
        length = 3 if by_epoch else None
        n = 3 * MOST if by_epoch else MOST
        compared += check(f"{kind}LR", [config], n=n, epoch_length=length)

    run()
    assert compared >= EXAMPLES // 4  # the rest is refused, here and there


@settings(deadline=None, max_examples=3 * EXAMPLES)
@given(data=st.data())
def test_one_after_the_other(data):
    """Schedulers that take turns go on from where the one before has left the value."""
    listed, begin = [], 0
    kinds = sorted(ARGUMENTS)
    for _ in range(data.draw(st.integers(2, 4))):
        kind = data.draw(st.sampled_from(kinds))
        if kind == "OneCycle":
            kinds.remove(kind)
        config = data.draw(configs(kind, begin=begin))
        config["end"] = min(config["end"], begin + 40)
        if "T_max" in config:
            config["T_max"] = min(config["T_max"], 40)
        listed.append(config)
        begin = config["end"] + data.draw(st.sampled_from([0, 0, 3]))
    check("one after the other", listed, n=begin + 20)


MULTIPLYING = ["Step", "MultiStep", "Constant", "Exponential", "Linear"]


@settings(deadline=None, max_examples=2 * EXAMPLES)
@given(data=st.data(), length=st.integers(1, 6))
def test_several_at_the_same_time(data, length):
    """Schedulers that only multiply may overlap, by iteration and by epoch."""
    listed = []
    for _ in range(data.draw(st.integers(2, 4))):
        kind = data.draw(st.sampled_from([*MULTIPLYING, "CosineAnnealing", "Poly"]))
        begin = data.draw(st.integers(0, 20))
        by_epoch = data.draw(st.booleans())
        config = data.draw(configs(kind, begin=begin, by_epoch=by_epoch))
        config |= {"eta_min": 0.0} if kind in ("CosineAnnealing", "Poly") else {}
        config.pop("eta_min_ratio", None)
        if "T_max" in config:
            config["T_max"] = max(config["T_max"], config["end"] - begin)
        listed.append(config)
    assert check("several at the same time", listed, n=60 * length, epoch_length=length)


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data(), warmup=st.integers(1, 40), epochs=st.integers(3, 9))
def test_usual_configs(data, warmup, epochs):
    """A warm-up by iteration, then what takes the run, by epoch or converted to iterations."""
    length = data.draw(st.integers(20, 40))
    by_epoch, converts = data.draw(st.sampled_from([(True, True), (True, False), (False, False)]))
    kind = data.draw(st.sampled_from(["MultiStep", "CosineAnnealing", "Poly", "Exponential"]))
    begin = 2 if by_epoch else 2 * length
    main = data.draw(configs(kind, begin=begin, by_epoch=by_epoch))
    main |= {"end": begin + (epochs if by_epoch else 3 * length)}
    if converts:
        main["convert_to_iter_based"] = True
    start = {"type": "LinearLR", "by_epoch": False, "end": warmup, "start_factor": 0.001}
    shown = "a warm-up, then the run"
    assert check(shown, [start, main], n=(epochs + 5) * length, epoch_length=length)


@pytest.mark.parametrize(
    ("kind", "key"), [(torch.optim.SGD, "momentum"), (torch.optim.Adam, "beta1")]
)
def test_momentum(kind, key):
    """Momentum schedulers, of SGD and as Adam's first beta."""

    @settings(deadline=None, max_examples=EXAMPLES)
    @given(data=st.data())
    def run(data):
        name = data.draw(st.sampled_from(sorted(set(ARGUMENTS) - {"OneCycle"})))
        config = data.draw(configs(name, suffix="Momentum"))
        plan, _ = attempt(ArgumentError, from_mmengine, config, key="momentum")
        assume(plan is not None)
        expected = theirs([config], MOST, kind=kind, key=key)
        ours = plan(np.arange(MOST), 0.9)
        compare("mmengine", VERSION, f"{name}Momentum", ours, expected)

    run()


@example(begin=3, first=5, second=5)
@settings(deadline=None, max_examples=EXAMPLES)
@given(begin=st.integers(0, 15), first=st.integers(1, 20), second=st.integers(1, 20))
def test_what_has_no_closed_form_is_refused(begin, first, second):
    """A least value while something else multiplies: refused just where the ranges overlap."""
    poly = {"type": "PolyLR", "begin": begin, "end": begin + second, "eta_min": 0.1}
    listed = [{"type": "LinearLR", "end": first, "start_factor": 0.5}, poly]
    listed = [{**config, "by_epoch": False} for config in listed]
    plan, refused = attempt(ArgumentError, from_mmengine, listed)
    if begin < first and second > 1:
        assert "must not act while" in refused
    else:
        compare("mmengine", VERSION, "PolyLR", plan(np.arange(50), BASE), theirs(listed, 50))
