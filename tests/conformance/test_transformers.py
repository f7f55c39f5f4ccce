"""Schedules of transformers beside the plans that are read from the same arguments."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from table import compare, version

from cadence import parse
from cadence.dialects import from_torch, from_transformers
from cadence.errors import ArgumentError

pytestmark = pytest.mark.peers

VERSION = version("transformers")
EXAMPLES = 150

WARMUPS = st.sampled_from([0, 1, 2]) | st.integers(0, 60)
TOTALS = st.sampled_from([0, 1, 2]) | st.integers(0, 200)
BASES = st.floats(1e-5, 2.0)


def floats(low, high):
    return st.floats(low, high, allow_nan=False)


CYCLES = st.sampled_from([0, 0.5, 1, 2, -0.5]) | floats(1e-6, 4) | floats(-4, -1e-6)
FLOORS = st.sampled_from([0.0, 0.1, 1.0]) | floats(0, 1.5)
KINDS = st.sampled_from(["linear", "cosine", "1-sqrt"])

OWN = {
    "linear": {},
    "cosine": {"num_cycles": CYCLES},
    "cosine_with_restarts": {
        "num_cycles": st.integers(0, 7) | st.integers(0, 20).map(lambda k: k / 4)
    },
    "polynomial": {
        "lr_end": st.sampled_from([0.0, 1e-7]) | floats(0, 9e-6),
        "power": st.sampled_from([0, 1, 2]) | floats(0.1, 4),
    },
    "constant": {},
    "constant_with_warmup": {},
    "inverse_sqrt": {"timescale": st.integers(1, 300)},
    "cosine_with_min_lr": {"num_cycles": CYCLES},
    "cosine_warmup_with_min_lr": {"num_cycles": CYCLES, "warmup_lr_rate": FLOORS},
    "warmup_stable_decay": {
        "warmup_type": KINDS,
        "decay_type": KINDS,
        "min_lr_ratio": FLOORS,
        "num_cycles": CYCLES,
        "num_stable_steps": st.integers(0, 60),
    },
}
"""Each schedule, and what it takes beside the two lengths; any may be left out."""

NEEDED = {
    "cosine_with_min_lr": {"min_lr_rate": FLOORS} | {"min_lr": floats(0, 1e-5)},
    "cosine_warmup_with_min_lr": {"min_lr_rate": FLOORS} | {"min_lr": floats(0, 1e-5)},
}
"""Of these one has to be given, and only one."""


@st.composite
def calls(draw, name):
    """What `get_scheduler` is called with."""
    given = {key: draw(values) for key, values in OWN[name].items() if draw(st.booleans())}
    if name in NEEDED:
        key = draw(st.sampled_from(sorted(NEEDED[name])))
        given[key] = draw(NEEDED[name][key])
    if name == "warmup_stable_decay":
        given["num_decay_steps"] = draw(st.integers(0, 60))
    return draw(WARMUPS), draw(TOTALS), given


def rates(name, warmup, total, given, bases, n):
    """The rates of the groups at each of n steps; the optimizer's own rate is the first's."""
    from transformers.optimization import get_scheduler

    optimizer = torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": base} for base in bases],
        lr=bases[0],
    )
    with warnings.catch_warnings(action="ignore"):
        scheduler = get_scheduler(name, optimizer, warmup, total, given)
        found = []
        for _ in range(n):
            found.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            scheduler.step()
    return np.array(found).T


def late_restarts(total, warmup, cycles):
    """The steps at which a restart is due and theirs, rounding the cycles done, has none."""
    length = max(1, total - warmup)
    return {
        warmup + step
        for step in range(1, length)
        if step * cycles % length == 0 and (float(cycles) * (step / length)) % 1.0 != 0
    }


@pytest.mark.parametrize("name", OWN)
def test_plans_give_theirs_at_every_step(name):
    """For a group of the optimizer's own rate, and for another one if the rate is told."""

    @settings(max_examples=EXAMPLES)
    @given(calls(name), BASES, BASES)
    def holds(call, base, other):
        warmup, total, own = call
        if name == "polynomial" and total == warmup:
            return  # theirs divides by zero; refused below
        waves = abs(own.get("num_cycles", 0.5)) / max(1, total - warmup)
        # Their phase is not brought back into one period: after many it has lost digits.
        most = warmup + 16 / waves if waves else math.inf
        steps = np.arange(min(3 * max(total, warmup) // 2 + 50, most))
        theirs = rates(name, warmup, total, own, [base, other], len(steps))
        arguments = {"num_warmup_steps": warmup, "num_training_steps": total, **own}
        plan = from_transformers(name, **arguments)
        relative = from_transformers(name, learning_rate=base, **arguments)
        assert parse(repr(plan)) == plan
        kept = np.ones(len(steps), dtype=bool)
        if name == "cosine_with_restarts":
            kept[list(late_restarts(total, warmup, own.get("num_cycles", 1)))] = False
        for read, rate, rates_there in (
            (plan, base, theirs[0]),
            (relative, base, theirs[0]),
            (relative, other, theirs[1]),
        ):
            course = read(steps, rate)
            compare("transformers", VERSION, name, course[kept], rates_there[kept])

    holds()


def test_a_restart_is_late_only_where_theirs_rounds():
    """49 * (1 / 49) is less than 1, so theirs spends that step at the end of the cycle before."""
    assert 2 in late_restarts(98, 0, 49)
    theirs = rates("cosine_with_restarts", 0, 98, {"num_cycles": 49}, [1.0], 4)[0]
    plan = from_transformers("cosine_with_restarts", warmup_steps=0, total_steps=98, num_cycles=49)
    assert (theirs[2], plan(2)) == (pytest.approx(0, abs=1e-12), 1.0)
    assert theirs[3] == pytest.approx(plan(3))


@pytest.mark.parametrize("name", OWN)
def test_an_open_plan_gives_theirs_up_to_the_end_of_the_run(name):
    """Where a plan can be open, the run that it is bound to takes the place of theirs."""
    steps = {"warmup_stable_decay": {"num_decay_steps": 20}}.get(name, {})
    own = steps | ({"min_lr_rate": 0.1} if "min_lr" in name else {})
    plan = from_transformers(name, warmup_steps=10, **own)
    for total in (31, 100, 257):
        bound = plan.resolve(total)
        theirs = rates(name, 10, total, own, [0.3], total)[0]
        compare("transformers", VERSION, name, bound(np.arange(total), 0.3), theirs)


@settings(max_examples=100)
@given(
    st.sampled_from(sorted(OWN)),
    st.sampled_from([0, 0.0, 0.03, 0.5, 0.999, 1, 1.0, 2.7, 40, 40.0]) | floats(0, 3),
    st.integers(1, 200),
    floats(1e-5, 1.0),
    st.booleans(),
)
def test_training_arguments_are_read_as_the_trainer_does(name, warmup, total, rate, as_dict):
    """The real class, and its `to_dict`."""
    from transformers import TrainingArguments

    own = {"warmup_stable_decay": {"num_decay_steps": 5}}.get(name, {})
    own = own | ({"min_lr": rate / 10} if "min_lr" in name else {})
    args = TrainingArguments(
        lr_scheduler_type=name,
        lr_scheduler_kwargs=own,
        warmup_steps=warmup,
        max_steps=total,
        learning_rate=rate,
        report_to="none",
    )
    w = args.get_warmup_steps(total)
    if name == "polynomial" and w == total:
        return
    plan = from_transformers(args.to_dict() if as_dict else args)
    steps = np.arange(3 * total // 2 + 5)
    theirs = rates(name, w, total, own, [rate], len(steps))[0]
    compare("transformers", VERSION, name, plan(steps, rate), theirs, tolerance=1e-11)


def test_every_name_and_every_function_of_theirs_is_known():
    """A schedule that a newer version brings is noticed here."""
    from transformers import optimization
    from transformers.trainer_utils import SchedulerType

    from cadence.dialects import transformers as ours

    assert {kind.value for kind in SchedulerType} == set(ours._SCHEDULES)
    for kind, function in optimization.TYPE_TO_SCHEDULER_FUNCTION.items():
        assert ours._FUNCTIONS[function.__name__] == kind.value
    assert from_transformers(SchedulerType.CONSTANT) == from_transformers("constant")


def test_no_field_of_training_arguments_is_taken_for_a_slip():
    """Whatever a real dict of arguments holds beside what is read is left alone."""
    from transformers import TrainingArguments

    fields = [field.name for field in dataclasses.fields(TrainingArguments)]
    for without in ("warmup_steps", "max_steps", "learning_rate", "num_train_epochs"):
        given = {name: None for name in fields if name != without}
        given |= {"lr_scheduler_type": "constant"}
        from_transformers(given)


def test_where_theirs_divides_by_zero_the_plan_is_refused():
    with pytest.raises(ZeroDivisionError):
        rates("polynomial", 5, 5, {}, [1.0], 10)
    with pytest.raises(ArgumentError, match="transformers divides by what is left of the run"):
        from_transformers("polynomial", warmup_steps=5, total_steps=5)
    with pytest.raises(ZeroDivisionError):
        rates("polynomial", 0, 5, {"power": -1}, [1.0], 10)
    with pytest.raises(ArgumentError, match="'power' must be >= 0"):
        from_transformers("polynomial", warmup_steps=0, total_steps=5, power=-1)


METRICS = st.lists(st.integers(-12, 40).map(lambda k: k / 4), min_size=1, max_size=60)


def controlled(controller, base, metrics):
    """The rates that a controller gives."""
    state, rate, found = controller.start(), base, []
    for metric in metrics:
        state, factor = controller.update(state, metric)
        rate = controller.limited(rate, factor, base)
        found.append(rate)
    return found


def stepped(scheduler, metrics):
    """The rates that a scheduler of theirs gives."""
    found = []
    for metric in metrics:
        scheduler.step(metric)
        found.append(scheduler.optimizer.param_groups[0]["lr"])
    return found


@settings(max_examples=EXAMPLES)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "mode": st.sampled_from(["min", "max"]),
            "factor": floats(0.1, 0.9),
            "patience": st.integers(0, 3),
            "threshold": st.sampled_from([0.0, 0.125]),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 2),
            "min_lr": st.sampled_from([0.0, 1e-3, [1e-2]]),
            "eps": st.sampled_from([0.0, 1e-3]),
        },
    ),
    METRICS,
)
def test_reduce_on_plateau_is_its_controller(own, metrics):
    from transformers.optimization import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = stepped(
        get_scheduler("reduce_lr_on_plateau", optimizer, scheduler_specific_kwargs=own), metrics
    )
    ours = controlled(from_transformers("reduce_lr_on_plateau", **own), 0.5, metrics)
    compare("transformers", VERSION, "reduce_lr_on_plateau", ours, theirs)


@settings(max_examples=EXAMPLES)
@given(
    st.fixed_dictionaries(
        {"min_lr": floats(0.01, 0.4), "max_lr": floats(0.5, 4.0), "eps": st.just(0.0)},
        optional={
            "mode": st.sampled_from(["min", "max"]),
            "factor": floats(0.3, 0.9),
            "patience": st.integers(0, 3),
            "threshold": st.sampled_from([0.0, 0.125]),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 2),
            "warmup": st.integers(0, 2),
            "smooth": st.booleans(),
            "window_size": st.integers(1, 4),
            "reset_start": st.integers(1, 3),
        },
    ),
    METRICS,
)
def test_greedy_is_its_controller(own, metrics):
    """With their `eps` at 0; the controller has none."""
    from transformers.optimization import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = stepped(get_scheduler("greedy", optimizer, scheduler_specific_kwargs=own), metrics)
    ours = controlled(from_transformers("greedy", learning_rate=0.5, **own), 0.5, metrics)
    compare("transformers", VERSION, "greedy", ours, theirs)


@settings(max_examples=100)
@given(
    st.sampled_from(sorted(OWN)).flatmap(lambda name: st.tuples(st.just(name), calls(name))), BASES
)
def test_a_live_scheduler_is_read_by_the_function_that_it_holds(made, base):
    """Their schedulers are torch's `LambdaLR` with a function of their module."""
    from transformers.optimization import get_scheduler

    name, (warmup, total, own) = made
    if name == "polynomial" and total == warmup:
        return
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    with warnings.catch_warnings(action="ignore"):
        plan = from_torch(get_scheduler(name, optimizer, warmup, total, own))
    arguments = {"num_warmup_steps": warmup, "num_training_steps": total, **own}
    expected = from_transformers(name, learning_rate=base, **arguments)
    steps = np.arange(3 * max(total, warmup) // 2 + 5)
    assert "Function" not in repr(plan)
    assert plan(steps) == pytest.approx(expected(steps), rel=1e-12, abs=1e-15)
