"""The scheduler: which value is where at which step, and what it refuses."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import warnings
import weakref
from collections import UserDict, UserList

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import LRScheduler

import cadence as cd
from cadence import Horizon, Scheduler, absolute
from cadence.errors import (
    ArgumentError,
    ArgumentTypeError,
    CallOrderWarning,
    PastEndError,
    SupersededError,
    TakeoverWarning,
    UnresolvedError,
)
from cadence.ownership import OWNERS
from optimizers import adamw, advance, groups, held, sgd, snapshot
from strategies import resolved

BASES = st.lists(
    st.sampled_from([0.0, 1e-8, 0.1, 0.3, 1.0, 7.5]) | st.floats(0, 10), min_size=1, max_size=12
)


def halved(step):
    return 0.5**step


def same(found, expected):
    """Equality to the bit, in which NaN equals itself."""
    return found == expected or (math.isnan(found) and math.isnan(expected))


def visits(plan, draw):
    """A few starting steps, near the joints of the plan and anywhere else."""
    joints = [b for b in plan.compiled().begins if b < 1e9]
    around = st.sampled_from(joints).map(lambda b: max(0, math.floor(b) - 2))
    return draw(st.lists(around | st.integers(0, 200_000), min_size=1, max_size=3))


# Every step is the plan's value at that step.


@pytest.mark.filterwarnings("ignore::cadence.errors.ScheduleWarning")  # plans at random
@settings(max_examples=150)
@given(st.data(), resolved(max_depth=3), BASES)
def test_floats_are_the_plan_to_the_bit(data, plans, bases):
    """At every step, however it was reached, a float is exactly the resolved plan's value."""
    plan, exact, horizon = plans
    optimizer = sgd(*bases)
    scheduler = Scheduler(optimizer, lr=plan, horizon=horizon)
    optimizer.step()
    for start in [0, *visits(exact, data.draw)]:
        scheduler.seek(start)
        for step in range(start, start + 6):
            expected = [exact(step, base) for base in bases]
            assert all(map(same, held(optimizer), expected)), step
            assert all(type(group["lr"]) is float for group in optimizer.param_groups)
            scheduler.step()


@pytest.mark.filterwarnings("ignore::cadence.errors.ScheduleWarning")  # plans at random
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str
)
@settings(max_examples=30)
@given(
    st.data(),
    resolved(max_depth=2),
    st.lists(st.floats(2**-10, 4, width=16), min_size=1, max_size=4),
)
def test_tensors_are_the_plan_rounded_once(dtype, data, plans, bases):
    """A tensor holds the float64 value, rounded once to the tensor's own precision."""
    plan, exact, horizon = plans
    optimizer = sgd(*bases, dtype=dtype)
    bases = held(optimizer)
    scheduler = Scheduler(optimizer, lr=plan, horizon=horizon)
    optimizer.step()
    tensors = [group["lr"] for group in optimizer.param_groups]
    for start in [0, *visits(exact, data.draw)]:
        scheduler.seek(start)
        for step in range(start, start + 4):
            values = [exact(step, base) for base in bases]
            expected = torch.tensor(values, dtype=torch.float64).to(dtype)
            assert torch.equal(torch.stack(tensors), expected), step
            assert all(g["lr"] is t for g, t in zip(optimizer.param_groups, tensors, strict=True))
            scheduler.step()


FLATS = [
    # A flat level that a ramp began with, just before, must be written again.
    cd.Linear(10, end=0.5) >> cd.Constant(0.95, 5) >> cd.Linear(5),
    cd.Constant(1, 3) >> cd.Linear(6, end=0.2) >> cd.Constant(1, 4) >> cd.Linear(6, end=0.2),
    cd.Constant(1, 3) >> cd.Constant(0.5, 3) >> cd.Hold(3) >> cd.Constant(1, 3),
    cd.Linear(4, end=0.5) * cd.StepDecay(3, 0.5),
    cd.Linear(4, end=absolute(0.01)) >> cd.Constant(absolute(0.01), 3) >> cd.Constant(0, 2),
    cd.Linear(5).repeat(3) >> cd.Constant(1, 4),
    cd.Warmup(3) >> cd.Linear(6, start=1, end=0.1) >> cd.Constant(1, 4),
]


@pytest.mark.parametrize("external", ["rebase", "override", "error"])
@pytest.mark.parametrize("bases", [[0.5], [0.5, 0.25], [0.5] * 20], ids=["one", "two", "twenty"])
@pytest.mark.parametrize("plan", FLATS, ids=repr)
def test_flat_and_moving_stretches_alternate(plan, bases, external):
    """Leaving values alone where a plan is flat never leaves a wrong one behind."""
    optimizer = sgd(*bases)
    scheduler = Scheduler(optimizer, lr=plan, external=external)
    for step in range(40):
        assert held(optimizer) == [plan(step, base) for base in bases], step
        advance(scheduler)


def test_nothing_is_written_where_the_plan_is_flat():
    """In a flat stretch the group keeps the very object that was written at its first step."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=cd.Linear(2, end=0.3) >> cd.Hold(50) >> cd.Linear(9))
    advance(scheduler, 2)
    first = optimizer.param_groups[0]["lr"]
    for _ in range(49):
        advance(scheduler)
        assert optimizer.param_groups[0]["lr"] is first


@pytest.mark.parametrize("dtype", [None, torch.float64], ids=["float", "tensor"])
def test_growth_without_end_leaves_a_base_of_zero_at_zero(dtype):
    """Where a multiple has overflowed to inf, a base of 0 stays 0, as it does in the plan."""
    plan = cd.ExponentialDecay(factor=10)
    optimizer = sgd(0.0, 0.5, 0.25, dtype=dtype)
    scheduler = Scheduler(optimizer, lr=plan)
    for step in [3, 400, 5000]:
        scheduler.seek(step - 1)
        advance(scheduler)
        assert held(optimizer) == [plan(step, base) for base in (0.0, 0.5, 0.25)]
    assert held(optimizer) == [0.0, math.inf, math.inf]


@pytest.mark.parametrize("kind", ["equal", "few", "distinct", "mixed clip"])
@pytest.mark.parametrize("count", [1, 2, 7, 9, 16, 17, 40])
def test_any_number_of_groups(count, kind):
    """However many groups share however many bases, each follows the plan from its own."""
    distinct = [0.1 * (i + 1) for i in range(count)]
    bases = {"equal": [0.3] * count, "few": [0.1 * (1 + i % 2) for i in range(count)]}.get(
        kind, distinct
    )
    plan = cd.Warmup(3) >> cd.Cosine(9, end=0.1) >> cd.Hold(2) >> cd.Linear(4)
    if kind == "mixed clip":
        plan = plan.clip(low=absolute(0.05), high=0.8)
    optimizer = sgd(*bases)
    scheduler = Scheduler(optimizer, lr=plan)
    for step in range(22):
        assert held(optimizer) == [plan(step, base) for base in bases]
        advance(scheduler)


class WithOwnBeta(torch.optim.SGD):
    """An optimizer that keeps `beta1` and a number of its own in the group."""

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        for group in self.param_groups:
            group.update(beta1=0.8, temperature=4)


KEYS = [
    (sgd, "lr"),
    (lambda *b: sgd(*b, momentum=0.9), "momentum"),
    (lambda *b: sgd(*b, momentum=0.9, dampening=0.5), "dampening"),
    (lambda *b: sgd(*b, weight_decay=0.01), "weight_decay"),
    (adamw, "lr"),
    (adamw, "beta1"),
    (adamw, "beta2"),
    (adamw, "eps"),
    (adamw, "weight_decay"),
    (lambda *b: WithOwnBeta(groups(b)), "temperature"),
    (lambda *b: WithOwnBeta(groups(b)), "beta1"),
]


@pytest.mark.parametrize(("make", "key"), KEYS, ids=[f"{i}-{k}" for i, (_, k) in enumerate(KEYS)])
def test_any_number_in_a_group_can_be_scheduled(make, key):
    """Every numeric hyperparameter follows its plan, and the others are left alone."""
    optimizer = make(0.5, 0.25)
    bases, before = held(optimizer, key), snapshot(optimizer)
    plan = cd.Linear(5, end=0.2) >> cd.Hold(2) >> cd.Cosine(4)
    scheduler = Scheduler(optimizer, **{key: plan})
    for step in range(14):
        assert held(optimizer, key) == [plan(step, base) for base in bases]
        advance(scheduler)
    own = "betas" if key in ("beta1", "beta2") and "betas" in before[0][0] else key
    after = snapshot(optimizer)
    assert [{**g, own: 0} for g in after[0]] == [{**g, own: 0} for g in before[0]]


def test_both_betas_and_more_at_once():
    """Plans for several keys run side by side, and `betas` stays a tuple."""
    optimizer = adamw(0.5, 0.25)
    plans = {
        "lr": cd.Warmup(4) >> cd.Cosine(6),
        "beta1": cd.Linear(8, end=absolute(0.5)),
        "beta2": cd.Constant(0.5, 3) >> cd.Constant(1),
        "weight_decay": cd.Linear(9),
    }
    bases = {key: held(optimizer, key) for key in plans}
    scheduler = Scheduler(optimizer, **plans)
    for step in range(12):
        for key, plan in plans.items():
            assert held(optimizer, key) == [plan(step, base) for base in bases[key]]
        assert all(type(group["betas"]) is tuple for group in optimizer.param_groups)
        advance(scheduler)


FORMS = [
    (cd.Linear(8), cd.Linear(8)),
    ("linear(8) >> hold(2) >> cosine()", cd.Linear(8) >> cd.Hold(2) >> cd.Cosine()),
    (0.5, cd.Constant(0.5)),
    (2, cd.Constant(2)),
    (np.float32(0.5), cd.Constant(0.5)),
    (absolute(1e-3), cd.Constant(absolute(1e-3))),
    (halved, cd.Function(halved)),
    (lambda step: 1 / (step + 1), cd.InverseTime(1)),
]


@pytest.mark.parametrize(("form", "plan"), FORMS, ids=[str(i) for i in range(len(FORMS))])
def test_forms_of_a_plan(form, plan):
    """A schedule, its text, a number, an absolute level and a function are all plans."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=form, total_steps=20)
    exact = plan.resolve(20)
    for step in range(22):
        assert held(optimizer) == [pytest.approx(exact(step, 0.5), rel=1e-15)]
        advance(scheduler)


def test_plans_by_list_and_by_name():
    """A list gives the plans in the order of the groups, a dict by the groups' names."""
    slow, fast = cd.Linear(10), cd.Cosine(4, end=0.5)
    one = sgd(0.5, 0.25, names=["head", "backbone"])
    two = sgd(0.5, 0.25)
    by_name = Scheduler(one, lr={"backbone": slow, "head": fast, "unused": 3})
    by_list = Scheduler(two, lr=[fast, "linear(10)"])
    for step in range(12):
        assert held(one) == held(two) == [fast(step, 0.5), slow(step, 0.25)]
        advance(by_name)
        advance(by_list)


def test_plans_from_a_configuration():
    """Its lists and dicts are no lists and dicts of Python, and serve as these do."""
    optimizer = sgd(0.5, 0.25, names=["head", "backbone"])
    scheduler = Scheduler(optimizer, lr=UserList(["Linear(10)", 1]))
    assert (scheduler.value_at(5), scheduler.value_at(5, group="backbone")) == (0.25, 0.25)
    scheduler = Scheduler(optimizer, lr=UserDict({"backbone": "Linear(10)", "head": 1}))
    assert (scheduler.value_at(5), scheduler.value_at(5, group="backbone")) == (0.5, 0.125)
    with pytest.raises(ArgumentError, match="must be a schedule, its text, a number or a function"):
        Scheduler(optimizer, lr=b"Linear(10)")


def test_whole_rates():
    """An int rate is a base like any other; what is written is a float."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2)
    Scheduler(optimizer, lr=cd.Constant(1))
    assert optimizer.param_groups[0]["lr"] == 2.0
    assert type(optimizer.param_groups[0]["lr"]) is float


# The clock.


def test_several_optimizers_share_one_clock():
    """Optimizers given as a list move together, each group from its own base."""
    one, two = sgd(0.5, 0.25), adamw(0.1)
    plan = cd.Warmup(3) >> cd.Linear(7)
    scheduler = Scheduler([one, two], lr=plan)
    assert scheduler.optimizer is one
    assert scheduler.base_lrs == [0.5, 0.25, 0.1]
    for step in range(12):
        assert held(one) + held(two) == [plan(step, base) for base in (0.5, 0.25, 0.1)]
        assert scheduler.get_last_lr() == held(one) + held(two)
        advance(scheduler)


@pytest.mark.parametrize("which", [0, 1])
def test_a_group_added_to_one_of_several_optimizers(which):
    """Whichever optimizer grows, the new group follows, and the others keep their plans."""
    optimizers = [
        sgd(0.5, names=["a"]),
        sgd(0.25, 0.125, names=["b", "c"]),
    ]
    plans = {name: cd.Linear(10, end=i / 10) for i, name in enumerate("abcd")}
    scheduler = Scheduler(optimizers, lr=plans)
    advance(scheduler, 3)
    optimizers[which].add_param_group(groups([2.0], names=["d"])[0])
    advance(scheduler)
    found = dict(zip("adbc" if which == 0 else "abcd", scheduler.get_last_lr(), strict=True))
    bases = {"a": 0.5, "b": 0.25, "c": 0.125, "d": 2.0}
    assert found == {name: plan(4, bases[name]) for name, plan in plans.items()}
    state = scheduler.state_dict()
    assert state["groups"] == ([2, 2] if which == 0 else [1, 3])


@pytest.mark.parametrize(
    "options",
    [
        {"total_steps": 10},
        {"total_steps": "10ep"},
        {"total_steps": 10, "horizon": Horizon(steps_per_epoch=250)},
        {"total_steps": "10ep", "horizon": Horizon(steps_per_epoch=250)},
        {"horizon": Horizon(2500, steps_per_epoch=250)},
        {"total_steps": "10Ksamples", "horizon": Horizon(steps_per_epoch=250, samples_per_step=4)},
    ],
    ids=str,
)
def test_a_clock_of_epochs(options):
    """With clock="epoch" a tick is an epoch, in whatever unit the run's length is told."""
    optimizer = sgd(0.5)
    plan = cd.Warmup("3ep") >> cd.Hold("20%") >> cd.Linear()
    scheduler = Scheduler(optimizer, lr=plan, clock="epoch", **options)
    exact = cd.Warmup(3) >> cd.Hold(2) >> cd.Linear(5)
    assert len(scheduler.preview()) == 10
    for step in range(12):
        assert held(optimizer) == [exact(step, 0.5)]
        advance(scheduler)


def test_past_the_end_hold():
    """By default the last value is held for ever."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=cd.Linear(end=0.2), total_steps=4)
    advance(scheduler, 9)
    assert held(optimizer) == [0.1]


@pytest.mark.parametrize("count", [1, 3])
def test_past_the_end_repeat(count):
    """With past_end="repeat" the plan begins again at the end of the run, as often as it takes."""
    plan = cd.Warmup(2) >> cd.Hold(1) >> cd.Linear(2)
    optimizer = sgd(*[0.5] * count)
    scheduler = Scheduler(optimizer, lr=plan, past_end="repeat")
    for step in range(18):
        assert held(optimizer) == [plan(step % 5, 0.5)] * count
        assert scheduler.value_at(step) == plan(step % 5, 0.5)
        advance(scheduler)
    scheduler.seek(13)
    assert held(optimizer) == [plan(3, 0.5)] * count
    around = np.array([[0, 4, 5], [7, 11, 1000]])
    assert np.array_equal(scheduler.value_at(around), plan(around % 5, 0.5))
    assert torch.equal(scheduler.value_at(torch.tensor([6])), plan(torch.tensor([1]), 0.5))
    with pytest.raises(ArgumentError, match="'step' must be finite and >= 0"):
        scheduler.value_at(np.array([-1]))


def test_past_the_end_raise():
    """With past_end="raise" the step to the end is allowed, and the next one changes nothing."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=cd.Linear(end=0.2), total_steps=4, past_end="raise")
    advance(scheduler, 4)
    before = snapshot(optimizer), scheduler.state_dict()
    message = (
        r"^Scheduler: the plan ends at step 4 \(asked for step 5\); give total_steps the real "
        r"length, or past_end='hold'$"
    )
    for attempt in (
        scheduler.step,
        scheduler.step,
        lambda: scheduler.seek(5),
        lambda: scheduler.value_at(5),
        lambda: scheduler.preview(2),
    ):
        with pytest.raises(PastEndError, match=message.replace("step 5", r"step 5(\.0)?")):
            attempt()
    assert (snapshot(optimizer), scheduler.state_dict()) == before
    scheduler.seek(1)
    assert held(optimizer) == [0.4]


def test_endless_plans_need_no_length():
    """A plan that goes on for ever does so without total_steps; only its preview needs a number."""
    plan = cd.Warmup(3) >> cd.InverseSqrt(10)
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=plan)
    scheduler.seek(10**9)
    assert held(optimizer) == [plan(10**9, 0.5)]
    assert repr(scheduler) == f"Scheduler(SGD, lr={plan!r}, step=1000000000)"
    with pytest.raises(ArgumentError, match="'n' must be given where the plan is endless"):
        scheduler.preview()


def test_step_takes_no_metric():
    """A metric, or an epoch, given to step() is refused and changes nothing."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=cd.Linear(9))
    with pytest.raises(ArgumentTypeError, match=r"^Scheduler.step: takes no metric \(got 0.3\)"):
        scheduler.step(0.3)
    assert scheduler.last_epoch == 0
    assert held(optimizer) == [0.5]


@pytest.mark.filterwarnings("ignore::cadence.errors.ScheduleWarning")  # plans at random
@settings(max_examples=60)
@given(resolved(max_depth=3), st.lists(st.integers(0, 400), min_size=1, max_size=6), st.data())
def test_seek_equals_single_steps(plans, targets, data):
    """Jumping to a step, forwards or backwards, is the same as walking there."""
    plan, _, horizon = plans
    past_end = data.draw(st.sampled_from(["hold", "repeat"]))
    seeking = sgd(0.5, 0.3)
    seeker = Scheduler(seeking, lr=plan, horizon=horizon, past_end=past_end)
    seeking.step()
    for target in targets:
        walking = sgd(0.5, 0.3)
        walker = Scheduler(walking, lr=plan, horizon=horizon, past_end=past_end)
        walking.step()
        for _ in range(target):
            walker.step()
        seeker.seek(target)
        for step in (target, target + 1, target + 2):
            assert seeker.last_epoch == walker.last_epoch == step
            assert held(seeking) == held(walking)
            seeker.step()
            walker.step()


# What torch's own interface promises.


def test_it_is_one_of_torchs_schedulers():
    """Trainers that serve torch's schedulers find what they look for."""
    optimizer = sgd(0.5, 0.25)
    scheduler = Scheduler(optimizer, lr=cd.Linear(10))
    assert isinstance(scheduler, LRScheduler)
    assert scheduler.optimizer is optimizer
    assert scheduler.base_lrs == [0.5, 0.25]
    advance(scheduler, 3)
    assert scheduler.last_epoch == 3
    assert scheduler.get_last_lr() == scheduler.get_lr() == scheduler._last_lr == held(optimizer)
    scheduler._step_count = 99
    assert scheduler._step_count == 4
    scheduler.last_epoch = 5
    assert held(optimizer) == [0.25, 0.125]
    assert optimizer.step.__self__ is optimizer
    assert "initial_lr" not in optimizer.param_groups[0]


def test_bases_can_be_set():
    """Setting base_lrs writes the values of the present step from the new bases."""
    optimizer = sgd(0.5, 0.25)
    scheduler = Scheduler(optimizer, lr=cd.Linear(10))
    advance(scheduler, 5)
    scheduler.base_lrs = [1, 2.0]
    assert held(optimizer) == [0.5, 1.0]
    optimizer.load_state_dict(optimizer.state_dict())
    scheduler.base_lrs = [2, 4]
    assert held(optimizer) == [1.0, 2.0]
    for wrong, message in (([1], "must give one base for each of 2 groups"), ([1, "x"], "number")):
        with pytest.raises(ArgumentError, match=message):
            scheduler.base_lrs = wrong
    assert scheduler.base_lrs == [2.0, 4.0]


def test_the_last_rates_are_copies():
    """What get_last_lr() returns can be changed without changing the optimizer."""
    optimizer = sgd(0.5, dtype=torch.float32)
    scheduler = Scheduler(optimizer, lr=cd.Linear(10))
    scheduler.get_last_lr()[0].fill_(9)
    assert held(optimizer) == [0.5]


def test_asking_about_any_step():
    """value_at and preview know every key and group by index and name, and do not move."""
    optimizer = adamw(0.5, 0.25, names=["body", "head"])
    rate, decay = cd.Warmup(4) >> cd.Linear(6), cd.Cosine(10)
    scheduler = Scheduler(optimizer, lr=rate, weight_decay=decay)
    advance(scheduler, 2)
    before = snapshot(optimizer)
    assert scheduler.value_at(7) == rate(7, 0.5)
    for group, base in ((1, 0.25), ("head", 0.25), (-1, 0.25), ("body", 0.5), (0, 0.5)):
        assert scheduler.value_at(7, group=group) == rate(7, base)
    assert scheduler.value_at(7, "weight_decay") == decay(7, 0.01)
    steps = np.arange(12).reshape(3, 4)
    assert np.array_equal(scheduler.value_at(steps, group=1), rate(steps, 0.25))
    assert torch.equal(scheduler.value_at(torch.arange(12)), torch.tensor(rate(np.arange(12), 0.5)))
    assert np.array_equal(scheduler.preview(), rate(np.arange(2, 10), 0.5))
    assert np.array_equal(scheduler.preview(3, "weight_decay"), decay(np.arange(2, 5), 0.01))
    assert scheduler.preview(0).shape == (0,)
    assert (scheduler.last_epoch, snapshot(optimizer)) == (2, before)


ASKED_WRONG = [
    (
        lambda s: s.value_at(0, "lrr"),
        "Scheduler.value_at: 'key' must be one of lr (got 'lrr'); did you mean 'lr'?",
    ),
    (
        lambda s: s.value_at(0, group=2),
        "Scheduler.value_at: 'group' must be an index below 2 or a group's name (got 2)",
    ),
    (
        lambda s: s.value_at(0, group="tail"),
        "Scheduler.value_at: 'group' must be an index below 2 or a group's name (got 'tail')",
    ),
    (
        lambda s: s.value_at(0, group=None),
        "Scheduler.value_at: 'group' must be an index below 2 or a group's name (got None)",
    ),
    (lambda s: s.value_at(-1), "plan: 'step' must be finite and >= 0 (got -1)"),
    (lambda s: s.preview(-1), "Scheduler.preview: 'n' must be >= 0 (got -1)"),
    (lambda s: s.seek(-1), "Scheduler.seek: 'step' must be >= 0 (got -1)"),
    (lambda s: s.seek(1.0), "Scheduler.seek: 'step' must be a whole number (got 1.0); write 1"),
]


@pytest.mark.parametrize(("ask", "message"), ASKED_WRONG, ids=[m for _, m in ASKED_WRONG])
def test_wrong_questions(ask, message):
    """A question that has no answer says what can be asked, and nothing moves."""
    scheduler = Scheduler(sgd(0.5, 0.25), lr=cd.Linear(10))
    with pytest.raises(ArgumentError) as caught:
        ask(scheduler)
    assert str(caught.value) == message
    assert scheduler.last_epoch == 0


def test_repr():
    """The printed form names the optimizers, the plans as they run, and the position."""
    scheduler = Scheduler(
        [sgd(0.5, 0.25), adamw()], lr=[cd.Linear(), cd.Cosine(), cd.Linear()], total_steps=40
    )
    advance(scheduler, 3)
    assert repr(scheduler) == "Scheduler(SGD, AdamW, lr=Linear(40) | Cosine(40), step=3/40)"


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("dtype", [None, torch.float32], ids=["float", "tensor"])
@pytest.mark.parametrize("moment", ["plain", "group added", "optimizer loaded"])
def test_copies_go_their_own_way(clone, dtype, moment):
    """A copy of optimizer and scheduler goes on alike, and neither disturbs the other."""
    optimizer = sgd(0.5, 0.25, dtype=dtype, weight_decay=0.1)
    plan = cd.Warmup(3) >> cd.Linear(9)
    scheduler = Scheduler(optimizer, lr=plan, weight_decay=cd.Linear(8))
    advance(scheduler, 4)
    if moment == "group added":
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
    if moment == "optimizer loaded":
        other = sgd(3.0, 4.0, dtype=dtype, weight_decay=0.2)
        optimizer.load_state_dict(other.state_dict())
    optimizer2, scheduler2 = clone((optimizer, scheduler))
    assert scheduler2.optimizer is optimizer2
    assert held(optimizer2) == held(optimizer)
    advance(scheduler)
    first = held(optimizer), held(optimizer, "weight_decay")
    advance(scheduler, 3)
    advance(scheduler2)
    assert (held(optimizer2), held(optimizer2, "weight_decay")) == first
    advance(scheduler2, 3)
    assert held(optimizer2) == held(optimizer)
    assert held(optimizer2)[:2] == [pytest.approx(plan(8, base)) for base in (0.5, 0.25)]


# Order of calls.

ORDER = "plan's first value is skipped; call optimizer.step"


def with_gradients(optimizer, value):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, value)


@pytest.mark.parametrize("gradient", [None, 1.0])
def test_a_step_before_the_first_update_warns_once(gradient):
    """The first step without an update warns, at the caller's line; the next ones are silent."""
    optimizer = sgd(0.5)
    if gradient is not None:
        with_gradients(optimizer, gradient)
    scheduler = Scheduler(optimizer, lr=cd.Linear(9))
    with pytest.warns(CallOrderWarning, match=ORDER) as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    scheduler.step()
    assert held(optimizer) == [cd.Linear(9)(2, 0.5)]


def test_a_warning_of_the_order_that_is_an_error_moves_nothing():
    """Where warnings are errors, the step did not happen and can be made again."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=cd.Linear(10))
    with pytest.raises(CallOrderWarning):
        scheduler.step()
    assert (scheduler.last_epoch, held(optimizer)) == (0, [0.5])
    advance(scheduler)
    assert held(optimizer) == [0.45]


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_an_update_that_amp_skipped_is_no_wrong_order(bad):
    """A first update that was skipped for infinite gradients is not taken for a wrong order."""
    optimizer = sgd(0.5, 0.25)
    with_gradients(optimizer, 1.0)
    optimizer.param_groups[1]["params"][0].grad.fill_(bad)
    Scheduler(optimizer, lr=cd.Linear(9)).step()


def test_the_order_is_told_with_sparse_gradients_too():
    """Sparse gradients are looked into as dense ones are."""
    embedding = torch.nn.Embedding(3, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    optimizer = torch.optim.SparseAdam(embedding.parameters(), lr=0.1)
    with pytest.warns(CallOrderWarning, match=ORDER):
        Scheduler(optimizer, lr=cd.Linear(9)).step()


def test_no_order_to_keep_in_the_middle_of_a_run():
    """After loading or seeking to a later step, stepping first is what a resumed loop may do."""
    state = Scheduler(sgd(0.5), lr=cd.Linear(9))
    state.seek(4)
    resumed = Scheduler(sgd(0.5), lr=cd.Linear(9))
    resumed.load_state_dict(state.state_dict())
    resumed.step()
    state.step()


def hooks(optimizer):
    return len(optimizer._optimizer_step_post_hooks)


def test_the_hook_lives_as_long_as_the_scheduler_is_in_charge():
    """Updates are counted, for the audit of the pace, until it is superseded or is no more."""
    optimizer = sgd(0.5)
    first = Scheduler(optimizer, lr=cd.Linear(9))
    assert hooks(optimizer) == 1
    second = Scheduler(optimizer, lr=cd.Linear(9))
    assert hooks(optimizer) == 1  # the first one's is gone
    advance(second)
    assert hooks(optimizer) == 1
    third = Scheduler(optimizer, weight_decay=0.5)
    with pytest.warns(CallOrderWarning, match=ORDER):
        third.step()
    assert hooks(optimizer) == 2
    del third
    assert hooks(optimizer) == 1
    del first, second
    assert hooks(optimizer) == 0


def test_other_hooks_are_not_disturbed():
    """Several schedulers and the user's own hooks live together."""
    optimizer = sgd(0.5, weight_decay=0.1)
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append("before"))
    schedulers = [Scheduler(optimizer, lr=0.5), Scheduler(optimizer, weight_decay=0.5)]
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    for _ in range(2):
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert calls == ["before", "after"] * 2
    assert hooks(optimizer) == 4  # the schedulers count updates as long as they live
    del schedulers, scheduler
    assert hooks(optimizer) == 2
    optimizer.step()
    assert calls == ["before", "after"] * 3


class Wrapper(torch.optim.Optimizer):
    """A wrapper in the manner of Accelerate's: an optimizer by name, without hooks of its own."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @property
    def defaults(self):
        return self.optimizer.defaults

    def step(self):
        self.optimizer.step()


def test_a_wrapped_optimizer():
    """Through a wrapper that has no hooks, the updates of the optimizer inside are counted."""
    optimizer = sgd(0.5)
    wrapper = Wrapper(optimizer)
    scheduler = Scheduler(wrapper, lr=cd.Linear(10))
    with pytest.warns(CallOrderWarning, match=ORDER):
        scheduler.step()
    assert held(optimizer) == [0.45]
    scheduler.follow()
    wrapper.step()
    assert held(optimizer) == [0.4]


class Lookahead(torch.optim.Optimizer):
    """A wrapper with hooks of its own, as people write them; it shares the groups."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.param_groups = optimizer.param_groups
        self.slow = [p.detach().clone() for group in self.param_groups for p in group["params"]]

    def step(self):
        self.optimizer.step()
        fast = [p for group in self.param_groups for p in group["params"]]
        for slow, quick in zip(self.slow, fast, strict=True):
            slow.lerp_(quick.detach(), 0.5)
            quick.data.copy_(slow)


WRAPPERS = {
    "twice": lambda optimizer: Wrapper(Wrapper(optimizer)),
    "hooks": Lookahead,
    "hooks within": lambda optimizer: Wrapper(Lookahead(optimizer)),
    "hooks around": lambda optimizer: Lookahead(Wrapper(optimizer)),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_an_update_of_a_wrapped_optimizer_is_one_tick(wrap):
    """However it is wrapped, and whichever of them the scheduler is given."""
    for outside in (False, True):
        optimizer = sgd(0.5, 0.25)
        wrapper = wrap(optimizer)
        scheduler = Scheduler(wrapper if outside else optimizer, lr=cd.Linear(10)).follow()
        for update in range(1, 12):
            wrapper.step()
            assert scheduler.last_epoch == update
            assert held(optimizer) == [cd.Linear(10)(update, base) for base in (0.5, 0.25)]


class Sealed(Wrapper):
    """A wrapper that does not say what it wraps."""

    def __init__(self, optimizer):
        self._inside = optimizer

    @property
    def param_groups(self):
        return self._inside.param_groups

    @property
    def defaults(self):
        return self._inside.defaults


def test_a_wrapper_without_anything_to_hook():
    """It can be scheduled; it is only that order and pace are not watched, nor followed."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(Sealed(optimizer), lr=cd.Linear(10))
    scheduler.step()
    assert held(optimizer) == [0.45]
    expected = (
        r"^Scheduler.follow: the optimizers must have hooks \(got Sealed\); give the scheduler the "
        r"optimizer that is wrapped$"
    )
    with pytest.raises(ArgumentError, match=expected):
        scheduler.follow()
    scheduler.step()
    assert held(optimizer) == [0.4]


# A second scheduler on one optimizer.


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("gone", [False, True], ids=["alive", "collected"])
def test_a_second_scheduler_takes_over_the_base(dtype, gone):
    """The value that an earlier scheduler wrote is not taken for a base."""
    optimizer = sgd(0.5, 0.25, dtype=dtype)
    first = Scheduler(optimizer, lr=cd.Linear(8))
    advance(first, 4)
    expected = (
        r"^Scheduler: an earlier scheduler has written 'lr' of this optimizer; this one takes "
        r"over. Its value is 0.25 now; the new plan is a multiple of the earlier base 0.5; set "
        r"group\['lr'\] first to choose another.$"
    )
    if gone:
        del first
        gc.collect()
    with pytest.warns(TakeoverWarning, match=expected) as caught:
        second = Scheduler(optimizer, lr=cd.Linear(10))
    assert caught[0].filename == __file__
    assert len(caught) == 1
    assert second.base_lrs == [0.5, 0.25]
    assert held(optimizer) == [0.5, 0.25]


def test_a_second_scheduler_leaves_a_rate_that_the_user_set():
    """A rate that was set by hand after the earlier scheduler's last write is the new base."""
    optimizer = sgd(0.5, 0.25)
    advance(Scheduler(optimizer, lr=cd.Linear(10)), 3)
    first = OWNERS[optimizer]["lr"].scheduler  # gone already
    assert first() is None
    optimizer.param_groups[0]["lr"] = 0.01
    with pytest.warns(TakeoverWarning, match="base 0.25"):
        second = Scheduler(optimizer, lr=cd.Linear(10))
    assert second.base_lrs == [0.01, 0.25]


def test_a_takeover_without_a_base_to_tell():
    """Where the earlier scheduler was stepped but every rate was set anew, that alone is told."""
    optimizer = sgd(0.5)
    first = Scheduler(optimizer, lr=cd.Linear(10))
    advance(first, 3)
    optimizer.param_groups[0]["lr"] = 0.01
    with pytest.warns(TakeoverWarning, match="this one takes over.$"):
        second = Scheduler(optimizer, lr=cd.Linear(10))
    assert second.base_lrs == [0.01]


def test_a_notebook_cell_that_is_run_twice():
    """A scheduler that was never stepped is replaced without a word and without scaling twice."""
    optimizer = sgd(0.5)
    for _ in range(3):
        scheduler = Scheduler(optimizer, lr=cd.Warmup(10) >> cd.Linear(10))
        assert held(optimizer) == [0.05]
    advance(scheduler, 10)
    assert held(optimizer) == [0.5]


def test_the_earlier_scheduler_is_out_of_work():
    """A scheduler that another has replaced refuses to write, and can still be asked."""
    optimizer = sgd(0.5)
    first = Scheduler(optimizer, lr=cd.Linear(10), weight_decay=0.5)
    state = first.state_dict()
    second = Scheduler(optimizer, lr=cd.Warmup(10))
    message = r"^Scheduler: a newer scheduler writes 'lr' of this optimizer; step that one$"
    before = snapshot(optimizer)
    for attempt in (
        first.step,
        lambda: first.seek(3),
        lambda: setattr(first, "last_epoch", 3),
        lambda: setattr(first, "base_lrs", [1.0]),
        lambda: first.load_state_dict(state),
    ):
        with pytest.raises(SupersededError, match=message):
            attempt()
    advance(second, 2)
    assert first.state_dict() == state
    assert first.base_lrs == [0.5]
    assert first.value_at(5) == 0.25
    assert len(first.preview()) == 10
    second.seek(0)
    assert snapshot(optimizer) == before
    with pytest.raises(SupersededError, match=message):
        copy.deepcopy((optimizer, first))[1].step()


def test_schedulers_for_different_keys_live_together():
    """One scheduler for the rate and one for the decay do not take each other for a stranger."""
    optimizer = sgd(0.5, weight_decay=0.1)
    rate = Scheduler(optimizer, lr=cd.Linear(10))
    decay = Scheduler(optimizer, weight_decay=cd.Cosine(10))
    for step in range(1, 12):
        optimizer.step()
        rate.step()
        decay.step()
        assert held(optimizer) == [cd.Linear(10)(step, 0.5)]
        assert held(optimizer, "weight_decay") == [cd.Cosine(10)(step, 0.1)]


def test_a_takeover_that_is_an_error_touches_nothing():
    """Where warnings are errors, the refused second scheduler leaves the first one in charge."""
    optimizer = sgd(0.5)
    first = Scheduler(optimizer, lr=cd.Linear(10))
    advance(first, 3)
    before = snapshot(optimizer)
    with pytest.raises(TakeoverWarning):
        Scheduler(optimizer, lr=cd.Warmup(10))
    assert snapshot(optimizer) == before
    advance(first)
    assert held(optimizer) == [cd.Linear(10)(4, 0.5)]


def test_nothing_keeps_the_optimizer_alive():
    """Optimizer and scheduler vanish with their last names, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        optimizer = sgd(0.5, momentum=0.9)
        scheduler = Scheduler(optimizer, lr=cd.Linear(10), momentum=0.5)
        advance(scheduler, 3)
        scheduler.state_dict()
        scheduler.seek(1)
        watched = weakref.ref(optimizer), weakref.ref(scheduler)
        before = len(OWNERS)
        del scheduler
        assert watched[1]() is None
        assert gc.get_referrers(optimizer) == []
        del optimizer
        assert watched[0]() is None
        assert len(OWNERS) == before - 1
    finally:
        gc.enable()


# What is refused at construction.


def plain():
    return sgd(0.5, 0.25, names=["body", "head"])


def unnamed():
    return sgd(0.5, 0.25)


def raising(step):
    raise RuntimeError(f"no value at step {step}")


def with_value(key, value):
    def make():
        optimizer = sgd(0.5)
        optimizer.param_groups[0][key] = value
        return optimizer

    return make


PLAN = cd.Linear(10)
BAD = [
    (plain, {}, "Scheduler: at least one plan must be given, such as lr=Cosine() (got none)"),
    (
        plain,
        {"lr": PLAN, "momentun": PLAN},
        "Scheduler: param_groups[0] must have a number 'momentun' (it has lr, momentum, dampening, "
        "weight_decay); did you mean 'momentum'?",
    ),
    (
        plain,
        {"LR": PLAN},
        "Scheduler: param_groups[0] must have a number 'LR' (it has lr, momentum, dampening, "
        "weight_decay); did you mean 'lr'?",
    ),
    (
        adamw,
        {"momentum": PLAN},
        "Scheduler: param_groups[0] must have a number 'momentum' (it has lr, eps, weight_decay, "
        "beta1, beta2); this optimizer keeps its momentum in 'betas': write beta1=...",
    ),
    (
        plain,
        {"beta1": PLAN},
        "Scheduler: param_groups[0] must have a number 'beta1' (it has lr, momentum, dampening, "
        "weight_decay)",
    ),
    (
        plain,
        {"nesterov": PLAN},
        "Scheduler: param_groups[0]['nesterov'] must be a number (got False)",
    ),
    (
        adamw,
        {"betas": PLAN},
        "Scheduler: param_groups[0]['betas'] must be a number (got (0.9, 0.999))",
    ),
    (
        with_value("lr", torch.tensor(1)),
        {"lr": PLAN},
        "Scheduler: param_groups[0]['lr'] must be a floating-point tensor (got torch.int64)",
    ),
    (
        with_value("lr", torch.tensor([0.1, 0.2])),
        {"lr": PLAN},
        "Scheduler: param_groups[0]['lr'] must be a number (got tensor([0.1000, 0.2000]))",
    ),
    (
        with_value("lr", math.nan),
        {"lr": PLAN},
        "Scheduler: param_groups[0]['lr'] must be finite (got nan)",
    ),
    (
        plain,
        {"lr": cd.Cosine},
        "Scheduler: 'lr' must be a schedule (got the class); write Cosine()",
    ),
    (
        plain,
        {"lr": cd.one_cycle()},
        "Scheduler: 'lr' must be a schedule (got the pair of one_cycle); write cycle = "
        "one_cycle(...), then lr=cycle.lr, momentum=cycle.momentum",
    ),
    (
        plain,
        {"lr": True},
        "Scheduler: 'lr' must be a schedule, its text, a number or a function (got True)",
    ),
    (
        plain,
        {"lr": None},
        "Scheduler: 'lr' must be a schedule, its text, a number or a function (got None)",
    ),
    (
        plain,
        {"lr": [PLAN]},
        "Scheduler: 'lr' must give one plan for each of 2 groups (got 1); a dict by group name "
        "also covers groups added later",
    ),
    (
        plain,
        {"lr": [PLAN, PLAN, PLAN]},
        "Scheduler: 'lr' must give one plan for each of 2 groups (got 3); a dict by group name "
        "also covers groups added later",
    ),
    (
        unnamed,
        {"lr": {"body": PLAN}},
        "Scheduler: param_groups[0] must have a 'name', since 'lr' is given by name; write "
        "{'params': ..., 'name': 'head'}",
    ),
    (
        plain,
        {"lr": {"body": PLAN, "haed": PLAN}},
        "Scheduler: 'lr' must have a plan for param_groups[1], named 'head' (it has 'body', "
        "'haed'); did you mean 'haed'?",
    ),
    (
        lambda: [plain(), unnamed()],
        {"lr": {"body": PLAN, "head": PLAN}},
        "Scheduler: param_groups[0] of optimizer 1 must have a 'name', since 'lr' is given by "
        "name; write {'params': ..., 'name': 'head'}",
    ),
    (
        plain,
        {"lr": PLAN, "clock": "batch"},
        "Scheduler: 'clock' must be one of 'update', 'epoch' (got 'batch')",
    ),
    (
        plain,
        {"lr": PLAN, "past_end": "holds"},
        "Scheduler: 'past_end' must be one of 'hold', 'repeat', 'raise' (got 'holds'); did you "
        "mean 'hold'?",
    ),
    (
        plain,
        {"lr": PLAN, "external": None},
        "Scheduler: 'external' must be one of 'rebase', 'override', 'error' (got None)",
    ),
    (
        plain,
        {"lr": PLAN, "on_mismatch": "ignore"},
        "Scheduler: 'on_mismatch' must be one of 'raise', 'checkpoint', 'constructor' (got "
        "'ignore')",
    ),
    (
        plain,
        {"lr": cd.Cosine()},
        "Scheduler: lr: Cosine() is not resolved: a phase without a length takes the rest of the "
        "run, whose length is not known; write plan.resolve(10_000) or Scheduler(..., "
        "total_steps=10_000)",
    ),
    (
        plain,
        {"lr": cd.Warmup("5%") >> cd.Hold()},
        "Scheduler: lr: '5%' needs the length of the run; write plan.resolve(10_000)",
    ),
    (
        plain,
        {"lr": PLAN >> cd.Hold(), "total_steps": 5},
        "Scheduler: lr: Linear(10) >> Hold(): the phases must fit into the run (they need 10 "
        "steps of 5); shorten them or lengthen the run",
    ),
    (
        plain,
        {"lr": cd.Cosine(), "total_steps": 5, "horizon": Horizon(5)},
        "Scheduler: 'total_steps' must not be given twice (got 5 and Horizon(5))",
    ),
    (
        plain,
        {"lr": cd.Cosine(), "horizon": 5},
        "Scheduler: 'horizon' must be a Horizon (got 5)",
    ),
    (
        plain,
        {"lr": cd.Cosine(), "total_steps": 0},
        "Horizon: 'total_steps' must be >= 1 (got 0)",
    ),
    (
        plain,
        {"lr": cd.Cosine(), "clock": "epoch", "horizon": Horizon(50)},
        "Horizon(50) cannot be counted in epochs: it needs steps_per_epoch",
    ),
    (
        plain,
        {"lr": cd.InverseSqrt(10), "past_end": "repeat"},
        "Scheduler: past_end='repeat' must have an end; give total_steps",
    ),
    (
        plain,
        {"lr": cd.Constant(0.5), "past_end": "raise"},
        "Scheduler: past_end='raise' must have an end; give total_steps",
    ),
    (
        list,
        {"lr": PLAN},
        "Scheduler: 'optimizer' must be an optimizer or a list of them (got [])",
    ),
    (
        lambda: "sgd",
        {"lr": PLAN},
        "Scheduler: 'optimizer' must be an optimizer or a list of them (got 'sgd')",
    ),
    (
        lambda: [plain()] * 2,
        {"lr": PLAN},
        "Scheduler: 'optimizer' must not name one optimizer twice",
    ),
    (plain, {"lr": PLAN, "momentum": raising}, "no value at step 0"),
    (lambda: sgd(0.5, dtype=torch.float32), {"lr": raising}, "no value at step 0"),
]


@pytest.mark.parametrize(("make", "arguments", "message"), BAD, ids=[m[:60] for *_, m in BAD])
def test_a_refused_construction_touches_nothing(make, arguments, message):
    """The error says what to write, and every optimizer is as it was."""
    made = make()
    optimizers = [o for o in (made if isinstance(made, list) else [made]) if not isinstance(o, str)]
    before = snapshot(*optimizers)
    defaults = [repr(optimizer.defaults) for optimizer in optimizers]
    with pytest.raises((ArgumentError, UnresolvedError, RuntimeError)) as caught:
        Scheduler(made, **arguments)
    assert str(caught.value) == message
    assert snapshot(*optimizers) == before
    assert [repr(optimizer.defaults) for optimizer in optimizers] == defaults
    assert not any(map(hooks, optimizers))
    assert not any(optimizer in OWNERS for optimizer in optimizers)


def test_text_that_is_no_plan():
    """A plan's text that cannot be read is refused with the reader's own message."""
    with pytest.raises(ArgumentError, match="did you mean 'Cosine'"):
        Scheduler(plain(), lr="Cosin(10)")


def test_construction_can_be_tried_again():
    """After a refused construction a right one finds the bases untouched."""
    optimizer = sgd(0.5)
    with pytest.raises(ArgumentError):
        Scheduler(optimizer, lr=cd.Warmup(10), past_end="never")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Scheduler(optimizer, lr=cd.Warmup(10)).base_lrs == [0.5]
