"""Megatron's parameter scheduler beside the plans that are read from the same arguments."""

import math

import fetch
import numpy as np
import pytest
import reference
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from table import compare

from cadence import parse
from cadence.dialects import from_megatron

pytestmark = pytest.mark.peers

VERSION = fetch.SOURCES["megatron-core"].version
EXAMPLES = 150
BASE = 0.3

BATCHES = st.sampled_from([1, 2, 8]) | st.integers(1, 50)
LENGTHS = st.sampled_from([1, 2, 3]) | st.integers(1, 2000)
WARMUPS = st.sampled_from([0, 1, 2]) | st.integers(0, 600)
FRACTIONS = st.sampled_from([0.0, 0.1, 0.5]) | st.floats(0, 0.999)
STYLES = ["constant", "linear", "cosine", "inverse-square-root"]
ANNEALS = ["linear", "cosine", "exponential", "minus_sqrt"]


def theirs(arguments, n, increment):
    """The rate and the weight decay at each of n updates; a group without `max_lr` is their own."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    others = {"start_wd": 0.0, "end_wd": 0.0, "wd_incr_steps": 1, "wd_incr_style": "constant"}
    scheduler = reference.megatron().OptimizerParamScheduler(optimizer, **{**others, **arguments})
    found = []
    for _ in range(n):
        group = optimizer.param_groups[0]
        found.append((group["lr"], group["weight_decay"]))
        scheduler.step(increment)
    return np.array(found).T


def shown(arguments):
    style = arguments["lr_decay_style"]
    return f"WSD, {arguments['lr_wsd_decay_style']}" if style == "WSD" else style


@st.composite
def constructors(draw, kind):
    """What `OptimizerParamScheduler` is called with, and the global batch size."""
    style = kind.removeprefix("WSD ")
    low, high = sorted([draw(st.floats(0, 1)), draw(st.floats(0.001, 1))])
    high = max(high, 0.001)
    warmup = draw(WARMUPS)
    decay = warmup + draw(LENGTHS)
    given = {
        "init_lr": high * draw(st.sampled_from([0.0, 1.0]) | st.floats(0, 1)),
        "max_lr": high,
        "min_lr": draw(st.sampled_from([0.0, low])),
        "lr_warmup_steps": warmup,
        "lr_decay_steps": decay,
        "lr_decay_style": style,
    }
    if kind != style:
        given |= {
            "lr_decay_style": "WSD",
            "lr_wsd_decay_style": style,
            "wsd_decay_steps": draw(st.integers(0, 1 + int(1.2 * decay))),
        }
    return given, draw(BATCHES)


@pytest.mark.parametrize("kind", [*STYLES, *(f"WSD {style}" for style in ANNEALS)])
def test_plans_give_theirs_at_every_update(kind):
    """Whether or not the batch divides the phases, from the first update to well past the end."""

    @settings(deadline=None, max_examples=EXAMPLES)
    @given(drawn=constructors(kind))
    def check(drawn):
        arguments, batch = drawn
        n = math.ceil(1.5 * arguments["lr_decay_steps"] / batch) + 5
        rates, _ = theirs(arguments, n, batch)
        plan = from_megatron(**arguments, global_batch_size=batch)
        assert parse(repr(plan)) == plan
        compare("Megatron", VERSION, shown(arguments), plan(np.arange(n), BASE), rates)

    check()


@pytest.mark.parametrize("style", ["constant", "linear", "cosine"])
def test_weight_decays_are_theirs_at_every_update(style):
    """The weight decay on the same clock."""

    @settings(deadline=None, max_examples=EXAMPLES)
    @given(levels=st.lists(st.floats(0, 1), min_size=2, max_size=2), length=LENGTHS, batch=BATCHES)
    def check(levels, length, batch):
        start, end = sorted(levels)
        arguments = {
            "start_wd": end if style == "constant" else start,
            "end_wd": end,
            "wd_incr_steps": length,
            "wd_incr_style": style,
        }
        others = {"init_lr": 0.0, "max_lr": 1.0, "min_lr": 0.0, "lr_decay_style": "constant"}
        others |= {"lr_warmup_steps": 0, "lr_decay_steps": 1}
        n = math.ceil(1.5 * length / batch) + 5
        _, decays = theirs({**others, **arguments}, n, batch)
        plan = from_megatron(key="weight_decay", **arguments, global_batch_size=batch)
        assert parse(repr(plan)) == plan
        ours = plan(np.arange(n), BASE)
        compare("Megatron", VERSION, f"weight decay, {style}", ours, decays)

    check()


def of_command(args):
    """What Megatron-LM's `get_optimizer_param_scheduler` makes of its command line."""
    unit = "iters" if args.get("train_iters") else "samples"
    scale = args["global_batch_size"] if unit == "iters" else 1
    decay = args.get(f"lr_decay_{unit}", args[f"train_{unit}"]) * scale
    warmup = args.get(f"lr_warmup_{unit}", 0) * scale
    if "lr_warmup_fraction" in args:
        warmup = args["lr_warmup_fraction"] * decay
    anneal = args.get(f"lr_wsd_decay_{unit}")
    return {
        "init_lr": args.get("lr_warmup_init", 0.0),
        "max_lr": args["lr"],
        "min_lr": args.get("min_lr", 0.0),
        "lr_warmup_steps": warmup,
        "lr_decay_steps": decay,
        "lr_decay_style": args.get("lr_decay_style", "linear"),
        "wsd_decay_steps": None if anneal is None else anneal * scale,
        "lr_wsd_decay_style": args.get("lr_wsd_decay_style", "exponential"),
    }


@st.composite
def commands(draw):
    """A command line, in iterations or in samples."""
    unit = draw(st.sampled_from(["iters", "samples"]))
    args = {"lr": 0.1, f"train_{unit}": draw(LENGTHS), "global_batch_size": draw(BATCHES)}
    options = {
        "min_lr": st.floats(0, 0.1),
        "lr_decay_style": st.sampled_from([*STYLES, "WSD"]),
        f"lr_decay_{unit}": LENGTHS,
        "lr_warmup_init": st.floats(0, 0.1),
    }
    args |= {name: draw(values) for name, values in options.items() if draw(st.booleans())}
    if draw(st.booleans()):
        args["lr_warmup_fraction"] = draw(FRACTIONS)
    else:
        args[f"lr_warmup_{unit}"] = draw(WARMUPS)
    if args.get("lr_decay_style") == "WSD":
        args[f"lr_wsd_decay_{unit}"] = draw(st.integers(0, 600))
        if draw(st.booleans()):
            args["lr_wsd_decay_style"] = draw(st.sampled_from(ANNEALS))
    return args


@settings(deadline=None, max_examples=3 * EXAMPLES)
@given(args=commands())
def test_commands_mean_what_they_mean_there(args):
    """Lengths in iterations or samples, and a warm-up that is a fraction of a sample longer."""
    arguments = of_command(args)
    assume(arguments["lr_warmup_steps"] < arguments["lr_decay_steps"])
    batch = args["global_batch_size"]
    n = math.ceil(1.5 * arguments["lr_decay_steps"] / batch) + 5
    rates, _ = theirs(arguments, n, batch)
    command = " ".join(f"--{name.replace('_', '-')} {value!r}" for name, value in args.items())
    plan = from_megatron(command.replace("'", ""))
    assert plan == from_megatron(args)
    compare("Megatron", VERSION, shown(arguments), plan(np.arange(n), BASE), rates)


@settings(deadline=None, max_examples=EXAMPLES)
@given(args=commands(), peak=st.floats(0.1, 2.0))
def test_without_a_peak_the_group_has_it(args, peak):
    """A group's own `max_lr` is the base of a plan that is given none."""
    arguments = of_command(args) | {"max_lr": peak}
    assume(arguments["lr_warmup_steps"] < arguments["lr_decay_steps"])
    batch = args["global_batch_size"]
    n = math.ceil(1.5 * arguments["lr_decay_steps"] / batch) + 5
    rates, _ = theirs(arguments, n, batch)
    del args["lr"]
    ours = from_megatron(args)(np.arange(n), peak)
    compare("Megatron", VERSION, shown(arguments), ours, rates)
