"""Runs that change: feedback, changes by hand, other lengths, and values beside the groups'."""

from __future__ import annotations

import copy
import json
import math
import pickle
from contextlib import suppress
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cadence as cd
from cadence import Plateau, Scheduler, SpikeGuard, absolute
from cadence.errors import (
    ArgumentError,
    ArgumentTypeError,
    ExternalChangeError,
    ExternalChangeWarning,
    MismatchError,
    PastEndError,
    SupersededError,
)
from optimizers import adamw, advance, groups, held, sgd, snapshot


def through_json(value):
    return json.loads(json.dumps(value))


def scheduled(*bases, lr=None, **options):
    """A scheduler of `len(bases)` groups over 20 steps; a straight line by default."""
    optimizer = sgd(*(bases or [1.0]))
    return Scheduler(optimizer, lr=lr or cd.Linear(), **{"total_steps": 20, **options})


def curve(scheduler, upto=22, **which):
    return [scheduler.value_at(step, **which) for step in range(upto)]


def tick(scheduler, metric):
    """An update, and a step that brings a metric."""
    scheduler.optimizer.step()
    scheduler.step(metric)


def everything(scheduler):
    return snapshot(*scheduler.optimizers), scheduler.state_dict(), repr(scheduler)


# Feedback.


@dataclass(frozen=True)
class Obey(cd.Controller):
    """Takes the metric for the factor."""

    def start(self):
        return {"seen": 0}

    def update(self, state, metric):
        return {"seen": state["seen"] + 1}, metric


def test_a_group_that_joins_while_the_rates_are_lowered():
    """What is undone for all has been done to it, too."""
    guard = SpikeGuard(burn_in=2, updates=3)
    scheduler = scheduled(1.0, lr=cd.Constant(1), feedback=guard)
    for metric in (1.0, 1.0, 1.0, 9.0):
        tick(scheduler, metric)
    assert scheduler.get_last_lr() == [0.1]
    group = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.5}
    scheduler.optimizer.add_param_group(group)
    tick(scheduler, 1.0)
    assert scheduler.get_last_lr() == [0.1, 0.05]
    for _ in range(2):
        tick(scheduler, 1.0)
    assert scheduler.get_last_lr() == [1.0, 0.5]


def test_a_factor_scales_the_rest_of_the_plan():
    """What the feedback decides holds from this step on, for all groups, and is recorded."""
    scheduler = scheduled(1.0, 0.5, feedback=Obey())
    advance(scheduler, 4)
    assert scheduler.observe(1.0) is None
    decision = scheduler.observe(0.5)
    assert decision == (4, 0.5, 0.5, "the metric is 0.5")
    assert held(scheduler.optimizer) == [0.5 * 0.8, 0.25 * 0.8]
    assert curve(scheduler, group=1) == [cd.Linear(20)(step, 0.25) for step in range(22)]
    scheduler.step(2.0)  # observe, then step
    assert held(scheduler.optimizer) == [0.75, 0.375]
    assert scheduler.decisions == [decision, (4, 2.0, 2.0, "the metric is 2")]
    scheduler.decisions.clear()  # a copy
    assert len(scheduler.decisions) == 2


def test_a_reduction_in_the_warm_up_is_not_lost():
    """Where the plan is 0 a factor shows nothing yet, and scales what follows."""
    scheduler = scheduled(
        lr=cd.Constant(0, 2) >> cd.Warmup(4, start=0) >> cd.Hold(), feedback=Obey()
    )
    scheduler.observe(0.5)
    assert held(scheduler.optimizer) == [0.0]
    assert scheduler.value_at(6) == 0.5


def test_absolute_levels_stay():
    """A factor scales the multiples of the base; a plan without any is refused."""
    scheduler = scheduled(lr=cd.Linear(10, end=absolute(0.1)), feedback=Obey())
    scheduler.observe(0.5)
    assert (scheduler.value_at(0), scheduler.value_at(10)) == (0.5, 0.1)
    with pytest.raises(ArgumentError, match="multiples of it; all of them are absolute"):
        scheduled(lr=cd.Linear(10, start=absolute(1), end=absolute(0.1)), feedback=Obey())


def test_a_floor_holds_at_every_base():
    """The floor is a fraction of the own base, however often the rate was cut before."""
    plateau = Plateau(patience=0, factor=0.5, floor=0.3)
    scheduler = scheduled(1.0, 0.1, lr=cd.Constant(1), feedback=plateau)
    for expected in (1.0, 0.5, 0.3, 0.3):
        tick(scheduler, 1.0)
        assert held(scheduler.optimizer) == [expected, 0.1 * expected]


def test_warm_up_then_plateau_then_floor():
    """Feedback composes with a plan: the warm-up is the plan's, the cuts are the feedback's."""
    plateau = Plateau(patience=1, factor=0.5, floor=0.25)
    scheduler = scheduled(lr=cd.Warmup(3, start=0.25) >> cd.Hold(), feedback=plateau)
    rates = []
    for metric in (9, 8, 7, 7, 7, 7, 7, 7, 7):
        rates.append(held(scheduler.optimizer)[0])
        tick(scheduler, metric)
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_the_state_of_the_feedback_is_resumed():
    """A controller in the midst of its patience goes on there."""
    feedback = SpikeGuard(burn_in=2, updates=2)
    one = scheduled(lr=cd.Constant(1), feedback=feedback)
    for metric in (1.0, 1.0, math.nan, 1.0):
        tick(one, metric)
    assert held(one.optimizer) == [0.1]
    other = scheduled(lr=cd.Constant(1), feedback=feedback)
    other.load_state_dict(through_json(one.state_dict()))
    assert [d.reason for d in other.decisions] == ["the metric is nan"]
    tick(other, 1.0)
    assert held(other.optimizer) == [1.0]


def test_a_hand_on_a_rate_that_feedback_moves():
    """A foreign change is kept below the feedback: the floor moves with it."""
    plateau = Plateau(patience=0, factor=0.5, floor=0.3)
    scheduler = scheduled(lr=cd.Constant(1), feedback=plateau)
    tick(scheduler, 1.0)
    tick(scheduler, 1.0)
    scheduler.optimizer.param_groups[0]["lr"] = 5.0
    with pytest.warns(ExternalChangeWarning, match=r"kept: base 0.5 -> 5"):
        tick(scheduler, 1.0)
    assert held(scheduler.optimizer) == [3.0]


def test_a_failed_observation_changes_nothing():
    """Where the value cannot be written, the metric counts as not judged."""
    scheduler = scheduled(feedback=Obey(), external="error", reduce=None)
    advance(scheduler, 2)
    before = scheduler.state_dict()
    scheduler.optimizer.param_groups[0]["lr"] = 5.0
    with pytest.raises(ExternalChangeError):
        scheduler.observe(0.5)
    scheduler.optimizer.param_groups[0]["lr"] = scheduler.value_at(2)
    assert scheduler.state_dict() == before
    for metric in ("high", None, torch.zeros(2)):
        with pytest.raises(ArgumentTypeError, match="'metric' must be a number"):
            scheduler.observe(metric)
    for metric in (-1.0, math.inf):
        with pytest.raises(ArgumentError, match="'factor' must be"):
            scheduler.observe(metric)
    assert scheduler.state_dict() == before


def test_a_refused_step_has_judged_nothing():
    """A step beyond the end raises before its metric is judged."""
    scheduler = scheduled(feedback=Obey(), past_end="raise", total_steps=2)
    advance(scheduler, 2)
    with pytest.raises(PastEndError):
        scheduler.step(0.5)
    assert scheduler.state_dict()["feedback"]["state"] == {"seen": 0}


def test_metrics_may_be_tensors():
    """A loss of one element is a metric."""
    scheduler = scheduled(feedback=Obey())
    tick(scheduler, torch.tensor([0.5], requires_grad=True))
    assert scheduler.decisions[0].metric == 0.5
    assert type(scheduler.decisions[0].metric) is float


def test_another_feedback_is_a_difference():
    """A checkpoint with another controller is refused; "constructor" takes the new one."""
    one = scheduled(feedback=Plateau(patience=3))
    tick(one, 1.0)
    state = one.state_dict()
    for other in (Plateau(patience=4), None):
        with pytest.raises(MismatchError, match=r"\n    checkpoint:  Plateau\(.*patience=3"):
            scheduled(feedback=other).load_state_dict(state)
        with pytest.raises(MismatchError, match="the checkpoint's feedback cannot be taken from"):
            scheduled(feedback=other, on_mismatch="checkpoint").load_state_dict(state)
        chosen = scheduled(feedback=other, on_mismatch="constructor")
        chosen.load_state_dict(state)
        assert chosen.last_epoch == 1
    with pytest.raises(MismatchError, match="the state of the feedback must have the keys"):
        one.load_state_dict({**state, "feedback": {**state["feedback"], "state": {"bad": 0}}})


class Plain(cd.Controller):
    """A controller that is no dataclass."""

    def start(self):
        return {}

    def update(self, state, metric):
        return {}, 1.0


def test_a_controller_without_a_repr_resumes():
    """An address in memory is no part of a controller's name."""
    one, other = scheduled(feedback=Plain()), scheduled(feedback=Plain())
    other.load_state_dict(one.state_dict())
    assert one.state_dict()["feedback"]["controller"] == "Plain"


def test_what_feedback_needs():
    """Feedback acts on lr, is a controller, and is what makes metrics welcome."""
    with pytest.raises(ArgumentTypeError, match=r"'feedback' must be a controller .*Plateau\(\)"):
        scheduled(feedback=Plateau)
    with pytest.raises(ArgumentError, match="'feedback' must have a plan for lr to act on"):
        Scheduler(sgd(momentum=0.9), momentum=0.9, feedback=Plateau())
    with pytest.raises(ArgumentError, match="the scheduler must have feedback"):
        scheduled().observe(1.0)
    with pytest.raises(ArgumentError, match="'reduce' must be one of 'mean', 'max', 'rank0', None"):
        scheduled(reduce="sum")


# By hand.


def test_adjusting_by_a_factor():
    """All groups, or one by its name, and what follows."""
    optimizer = sgd(1.0, 0.5, names=["body", "head"])
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=20)
    advance(scheduler, 10)
    assert scheduler.adjust(0.5, reason="noisy") == (10, "lr", None, 0.5, None, "noisy")
    assert held(optimizer) == [0.25, 0.125]
    assert scheduler.adjust(4, group="head") == (10, "lr", "head", 4.0, None, "")
    assert held(optimizer) == [0.25, 0.5]
    scheduler.adjust(2, group=0)
    assert held(optimizer) == [0.5, 0.5]
    assert scheduler.value_at(15, group=1) == 0.25
    assert [one.group for one in scheduler.adjustments] == [None, "head", 0]


def test_adjusting_to_a_level():
    """A multiple is of the own base, whatever was done before; an absolute level is a value."""
    scheduler = scheduled(1.0, 0.5, lr=cd.Constant(1))
    scheduler.adjust(0.125)
    assert scheduler.adjust(level=0.5).level == 0.5
    assert held(scheduler.optimizer) == [0.5, 0.25]
    scheduler.adjust(level=absolute(0.3))
    assert held(scheduler.optimizer) == [0.3, 0.3]
    scheduler.adjust(level=0)
    assert held(scheduler.optimizer) == [0.0, 0.0]
    scheduler.adjust(level=1)
    assert held(scheduler.optimizer) == [1.0, 0.5]


def test_adjusting_other_keys():
    """Any scheduled value can be adjusted, betas too."""
    optimizer = adamw(0.1, weight_decay=0.2)
    scheduler = Scheduler(optimizer, weight_decay=cd.Constant(1), beta1=cd.Constant(1))
    scheduler.adjust(0.5, key="weight_decay")
    scheduler.adjust(level=absolute(0.5), key="beta1")
    assert (held(optimizer, "weight_decay"), held(optimizer, "beta1")) == ([0.1], [0.5])


def test_adjusting_reaches_a_group_that_was_just_added():
    """A group that no step has seen yet is adjusted with the others."""
    scheduler = scheduled(1.0)
    scheduler.optimizer.add_param_group(groups([0.5])[0])
    scheduler.adjust(0.5)
    assert held(scheduler.optimizer) == [0.5, 0.25]


REFUSED = [
    ({}, "either 'factor' or 'level' must be given"),
    ({"factor": 0.5, "level": 1}, "either 'factor' or 'level' must be given"),
    ({"factor": -1}, "'factor' must be >= 0"),
    ({"factor": 0.5, "key": "lrr"}, "'key' must be one of lr, dropout .*did you mean 'lr'"),
    ({"factor": 0.5, "key": "dropout"}, "'key' must be a value of the groups"),
    ({"factor": 0.5, "group": 7}, "'group' must be an index below 2"),
    ({"level": 0.5}, r"must be a multiple of its base to be brought from 0 to 0.5 for good"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_a_refused_adjustment_changes_nothing(arguments, message):
    """Wrong arguments, and levels that no base explains, leave all as it was."""
    also = {"dropout": (lambda value: None, cd.Linear())}
    scheduler = scheduled(1.0, 0.5, lr=cd.Cosine(), also=also)
    advance(scheduler, 20)
    before = everything(scheduler)
    with pytest.raises(ArgumentError, match=f"^Scheduler.adjust: .*{message}"):
        scheduler.adjust(**arguments)
    assert everything(scheduler) == before


def test_absolute_plans_cannot_be_adjusted():
    """A plan without a multiple of the base has nothing that a factor could scale."""
    scheduler = scheduled(lr=cd.Constant(absolute(0.1)))
    with pytest.raises(ArgumentError, match=r"it is 0 of the base plus 0\.1"):
        scheduler.adjust(0.5)
    mixed = scheduled(lr=cd.Linear(end=absolute(0.5)))
    advance(mixed, 10)
    with pytest.raises(ArgumentError, match=r"it is 0\.5 of the base plus 0\.25"):
        mixed.adjust(level=absolute(0.1))  # no base from 0 on gives it


def test_setting_the_bases_is_a_new_beginning():
    """Bases that are set are the own ones."""
    scheduler = scheduled(lr=cd.Constant(1), feedback=Plateau(patience=0, factor=0.5, floor=0.4))
    scheduler.adjust(0.5)
    scheduler.base_lrs = [2.0]
    tick(scheduler, 1.0)
    for expected in (1.0, 0.8):
        tick(scheduler, 1.0)
        assert held(scheduler.optimizer) == [expected]


# Other lengths.


def test_holding_on():
    """Added steps hold the plan's end."""
    scheduler = scheduled(lr=cd.Linear(end=0.5))
    advance(scheduler, 5)
    before = curve(scheduler, 21)
    scheduler.extend(30)
    assert curve(scheduler, 32) == before + [0.5] * 11
    assert scheduler.horizon.total_steps == 30
    assert len(scheduler.preview()) == 25


def test_stretching_takes_all_plans_along():
    """What is left of every plan is stretched to the new end."""
    scheduler = Scheduler(
        sgd(1.0, momentum=0.5), lr=cd.Linear(), momentum=cd.Linear(), total_steps=20
    )
    advance(scheduler, 10)
    scheduler.extend(50, "stretch")
    for key, base in (("lr", 1.0), ("momentum", 0.5)):
        expected = [base * (1 - t / 20) for t in range(11)]
        expected += [base * (0.5 - (t - 10) / 80) for t in range(11, 51)]
        assert curve(scheduler, 51, key=key) == pytest.approx(expected, abs=1e-15)


def test_cooling_down_at_the_new_end():
    """The present value is held, and then comes down; other plans stay as they were."""
    scheduler = Scheduler(
        sgd(1.0, momentum=0.5), lr=cd.Linear(), momentum=cd.Linear(), total_steps=20
    )
    advance(scheduler, 10)
    scheduler.extend(30, "cooldown", steps=4)
    decay = [0.5 * (1 - math.sqrt(i / 4)) for i in range(5)]
    assert curve(scheduler, 31)[10:] == pytest.approx([0.5] * 16 + decay)
    assert curve(scheduler, 21, key="momentum") == [cd.Linear(20)(t, 0.5) for t in range(21)]


def test_warming_up_again():
    """After the old end the plan rises to its peak, and comes down as before."""
    scheduler = scheduled(lr=cd.Warmup(4) >> cd.Linear())
    advance(scheduler, 8)
    scheduler.extend(40, "rewarm", steps=4)
    expected = [t / 4 for t in range(5)] + [1 - t / 16 for t in range(1, 17)]
    assert curve(scheduler, 41)[20:] == pytest.approx(expected)


def test_branching_a_decay_off():
    """A cool-down begins at this step and ends the run; it can be resumed, and continued."""
    scheduler = scheduled(1.0, 0.5, lr=cd.Constant(1), total_steps=1000)
    advance(scheduler, 10)
    change = scheduler.cooldown(5, shape=cd.Linear, end=absolute(0.1))
    assert (change.step, change.total_steps, change.base) == (10, 15, 1.0)
    expected = [1 - 0.9 * i / 5 for i in range(6)]
    assert [scheduler.value_at(10 + i) for i in range(6)] == pytest.approx(expected)
    assert scheduler.value_at(15, group=1) == 0.1
    advance(scheduler, 2)
    other = scheduled(1.0, 0.5, lr=cd.Constant(1), total_steps=1000)
    other.load_state_dict(through_json(scheduler.state_dict()))
    assert everything(other)[1:] == everything(scheduler)[1:]
    for _ in range(6):
        assert held(other.optimizer) == held(scheduler.optimizer)
        advance(other)
        advance(scheduler)


def test_a_preview_changes_nothing():
    """With apply=False the change is only shown, as values and as a picture."""
    scheduler = scheduled(lr=cd.Linear(end=0.5))
    advance(scheduler, 5)
    before = everything(scheduler)
    change = scheduler.extend(40, "stretch", apply=False)
    scheduler.cooldown(3, apply=False)
    assert everything(scheduler) == before
    assert (change.before(20), change.after(40)) == (0.5, 0.5)
    assert len(change.plot().lines) >= 2
    scheduler.extend(40, "stretch")
    assert curve(scheduler, 41) == [change.after(step) for step in range(41)]


@pytest.mark.parametrize("how", ["hold", "stretch", "cooldown", "rewarm"])
@pytest.mark.parametrize("moment", [0, 7, 20, 25])
def test_what_was_stays(how, moment):
    """Up to the present step no change of the length changes anything, functions included."""
    for plan in (cd.Warmup(4) >> cd.Cosine(), lambda step: 1 / (1 + step)):
        scheduler = scheduled(lr=plan)
        scheduler.seek(moment)
        before = curve(scheduler, moment + 1)
        scheduler.extend(60, how)
        assert curve(scheduler, moment + 1) == before
        other = scheduled(lr=plan)
        other.load_state_dict(through_json(scheduler.state_dict()))
        assert curve(other, 70) == curve(scheduler, 70)


def test_groups_to_come_have_the_changed_plan():
    """A group that is added after a change follows the changed plan, resumed or not."""
    scheduler, other = scheduled(1.0), scheduled(1.0)
    advance(scheduler, 10)
    scheduler.extend(30, "stretch")
    other.load_state_dict(scheduler.state_dict())
    for one in (scheduler, other):
        one.optimizer.add_param_group(groups([0.5])[0])
        advance(one)
        assert held(one.optimizer) == pytest.approx([0.475, 0.2375])


def test_the_new_end_is_the_end():
    """past_end="raise" means the new end, before and after a resume."""
    scheduler = scheduled(past_end="raise")
    advance(scheduler, 10)
    scheduler.extend(12, "stretch")
    other = scheduled(past_end="raise")
    other.load_state_dict(scheduler.state_dict())
    for one in (scheduler, other):
        advance(one, 2)
        with pytest.raises(PastEndError, match="the plan ends at step 12"):
            one.step()


IMPOSSIBLE = [
    (lambda s: s.extend(9), "'total_steps' must be >= 10, the present step"),
    (lambda s: s.extend(10, "stretch"), "'total_steps' must be > 10, the present step"),
    (lambda s: s.extend(20, "rewarm"), "'total_steps' must be > 20, the old end, after which it"),
    (lambda s: s.extend(30, "shrink"), "'how' must be one of 'hold', 'stretch'"),
    (lambda s: s.extend(30, "cooldown", steps=21), "'steps' must be <= 20, what is left"),
    (lambda s: s.extend(30, "cooldown", steps="2ep"), "'steps' must be in steps or a percentage"),
    (lambda s: s.cooldown(0), "'steps' must be >= 1"),
    (lambda s: s.cooldown(5, shape="Hold"), "'shape' must be a ramp's class or its name"),
]


@pytest.mark.parametrize(("change", "message"), IMPOSSIBLE)
def test_an_impossible_change_changes_nothing(change, message):
    """What cannot be meant is refused with the numbers."""
    scheduler = scheduled()
    advance(scheduler, 10)
    before = everything(scheduler)
    with pytest.raises(ArgumentError, match=f"^Scheduler.(extend|cooldown): {message}"):
        change(scheduler)
    assert everything(scheduler) == before


def test_runs_without_an_end_to_move():
    """A run that repeats, or that never ends, cannot be extended; a cool-down ends the latter."""
    with pytest.raises(ArgumentError, match="a run that repeats its plan has no end to move"):
        scheduled(past_end="repeat").extend(30)
    endless = Scheduler(sgd(1.0), lr=cd.InverseSqrt(1))
    with pytest.raises(ArgumentError, match="the run must have an end"):
        endless.extend(30)
    endless.cooldown(4, shape="Linear")
    assert curve(endless, 6) == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def test_changing_a_run_deals_with_strangers():
    """A foreign value is treated as on a step: kept, or an error that changes nothing."""
    scheduler = scheduled(lr=cd.Constant(1))
    scheduler.optimizer.param_groups[0]["lr"] = 0.5
    with pytest.warns(ExternalChangeWarning):
        scheduler.extend(40, "cooldown")
    assert held(scheduler.optimizer) == [0.5]
    strict = scheduled(lr=cd.Constant(1), external="error")
    strict.optimizer.param_groups[0]["lr"] = 0.5
    for change in (lambda: strict.extend(40), lambda: strict.adjust(0.5)):
        with pytest.raises(ExternalChangeError):
            change()
    assert (strict.state_dict()["revisions"], strict.adjustments) == ([], [])


def test_who_is_superseded_changes_nothing():
    """Only the scheduler in charge may change the run."""
    first = scheduled(feedback=Obey())
    Scheduler(first.optimizer, lr=cd.Constant(1))
    for call in (
        lambda: first.extend(40),
        lambda: first.cooldown(3),
        lambda: first.adjust(0.5),
        lambda: first.observe(0.5),
    ):
        with pytest.raises(SupersededError):
            call()


# Values beside the groups'.


class Model:
    """Something with values to set."""

    def __init__(self):
        self.dropout, self.calls = None, []

    def set_dropout(self, value):
        if value is not None and value > 0.99:
            raise RuntimeError("too much")
        self.dropout = value
        self.calls.append(value)


def test_anything_follows_the_clock():
    """A function is called with the plan's value at construction and wherever it changes."""
    model = Model()
    plan = cd.Constant(0.5, 3) >> cd.Linear(4, end=0)
    scheduler = scheduled(also={"dropout": (model.set_dropout, plan)})
    assert model.calls == [0.5]
    for step in range(1, 10):
        advance(scheduler)
        assert model.dropout == plan(step)
    assert model.calls == [0.5, 0.375, 0.25, 0.125, 0.0]  # not where it stays the same
    scheduler.seek(5)
    assert model.dropout == plan(5) == scheduler.value_at(5, "dropout")
    assert list(scheduler.preview(3, "dropout")) == [plan(5), plan(6), plan(7)]
    assert len(scheduler.plot()) == 2


def test_what_follows_is_resumed():
    """Loading sets the values, whatever the model holds; another plan is a difference."""

    def build(model, plan="Linear(start=0.5, end=0)", **options):
        return scheduled(also={"dropout": (model.set_dropout, plan)}, **options)

    one, model = build(Model()), Model()
    advance(one, 8)
    other = build(model)
    other.load_state_dict(through_json(one.state_dict()))
    assert model.dropout == one.value_at(8, "dropout") == 0.3
    model.dropout = None
    other.load_state_dict(through_json(one.state_dict()))
    assert model.dropout == 0.3
    with pytest.raises(MismatchError, match="dropout of"):
        build(Model(), "Linear(start=0.4, end=0)").load_state_dict(one.state_dict())
    with pytest.raises(MismatchError, match=r"has \[1\] groups and lr, dropout; the "):
        scheduled().load_state_dict(one.state_dict())


def test_what_follows_is_extended():
    """A stretch takes it along, and it survives a resume."""
    model = Model()
    scheduler = scheduled(also={"dropout": (model.set_dropout, cd.Linear(start=0.8, end=0))})
    advance(scheduler, 10)
    scheduler.extend(30, "stretch")
    advance(scheduler, 10)
    assert model.dropout == pytest.approx(0.2)
    other = scheduled(also={"dropout": (model.set_dropout, cd.Linear(start=0.8, end=0))})
    other.load_state_dict(scheduler.state_dict())
    assert curve(other, 32, key="dropout") == curve(scheduler, 32, key="dropout")


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_have_what_follows(clone):
    """A copied scheduler goes on with the function, bound to the copied model."""
    scheduler = scheduled(also={"dropout": (Model().set_dropout, cd.Linear(start=0.5, end=0))})
    advance(scheduler, 4)
    other = clone(scheduler)
    advance(other, 4)
    found = other._others["dropout"].setter.__self__
    assert found.dropout == other.value_at(8, "dropout")
    assert scheduler._others["dropout"].setter.__self__.dropout == scheduler.value_at(4, "dropout")


def test_a_setter_that_raises():
    """The clock stays, so that the step can be made again; a construction leaves the optimizer."""
    optimizer = sgd(1.0)
    before = snapshot(optimizer)
    with pytest.raises(RuntimeError, match="too much"):
        Scheduler(optimizer, lr=0.5, also={"d": (Model().set_dropout, cd.Constant(1))})
    assert snapshot(optimizer) == before
    model = Model()
    scheduler = scheduled(also={"d": (model.set_dropout, cd.Linear(4, start=0, end=1))})
    advance(scheduler, 3)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="too much"):
            scheduler.step()
        assert scheduler.last_epoch == 3
    model.set_dropout = None
    scheduler._others["d"] = scheduler._others["d"]._replace(setter=model.calls.append)
    scheduler.step()
    assert (scheduler.last_epoch, model.calls[-1]) == (4, 1.0)
    assert held(scheduler.optimizer) == [0.8]


def test_what_cannot_follow():
    """It takes a function and a plan, under a name of its own."""
    for also, message in (
        ({"dropout": cd.Linear()}, r"also\['dropout'\] must be a pair of a function and a plan"),
        ({"dropout": (cd.Linear(), None)}, r"must be a"),
        ({"lr": (print, cd.Linear())}, r"also\['lr'\] must have a name of its own"),
        ([("dropout", print)], "'also' must be a dict"),
    ):
        with pytest.raises(ArgumentError, match=message):
            scheduled(also=also)


# All of it at once.


def build_run():
    model = Model()
    optimizer = torch.optim.SGD(
        [
            {"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.5},
            {"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.03},
        ],
        momentum=0.9,
    )
    scheduler = Scheduler(
        optimizer,
        lr=cd.Warmup(5) >> cd.Cosine(end=0.1),
        momentum=cd.Linear(end=0.5),
        feedback=Plateau(patience=1, factor=0.7, floor=0.05, ema=0.5, nan="ignore"),
        also={"dropout": (model.set_dropout, cd.Linear(start=0.5, end=0))},
        total_steps=40,
    ).follow()
    return optimizer, scheduler, torch.amp.GradScaler("cpu", init_scale=8.0), model


def act(run, event):
    """One event of the loop; events are drawn beforehand, as a data loader would give them."""
    optimizer, scheduler, scaler, _ = run
    name, value = event
    if name == "micro-batch":
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        scaler.scale(sum(p.sum() for p in parameters) * value).backward()
    elif name == "update":
        if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    elif name == "metric":
        scheduler.observe(value)
    elif name == "adjust":
        scheduler.adjust(value, reason="by hand")
    elif name == "level":
        scheduler.adjust(level=value, group=1)
    elif name == "extend":
        scheduler.extend(max(scheduler.horizon.total_steps, scheduler.last_epoch) + 7, value)
    elif name == "seek":
        scheduler.seek(value)


EVENTS = st.one_of(
    st.tuples(st.just("micro-batch"), st.sampled_from([1.0, 0.25, math.inf])),
    st.tuples(st.just("update"), st.none()),
    st.tuples(st.just("update"), st.none()),
    st.tuples(st.just("metric"), st.floats(0, 4) | st.just(math.nan)),
    st.tuples(st.just("adjust"), st.sampled_from([0.5, 0.9, 1.3])),
    st.tuples(st.just("level"), st.sampled_from([0.3, absolute(0.01)])),
    st.tuples(st.just("extend"), st.sampled_from(["hold", "stretch", "cooldown", "rewarm"])),
    st.tuples(st.just("seek"), st.integers(0, 30)),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(EVENTS, st.booleans()), min_size=5, max_size=50))
def test_a_run_that_is_killed_again_and_again(events):
    """Resumed at any points, a run with all of this sees the same rates to the bit."""
    whole, killed = build_run(), build_run()
    for event, kill in events:
        for run in (whole, killed):
            # A refusal is a level that no base can give just there.
            with suppress(ArgumentError):
                act(run, event)
        grads = [p.grad for group in killed[0].param_groups for p in group["params"]]
        if kill and grads == [None] * len(grads):
            saved = [copy.deepcopy(part.state_dict()) for part in killed[:3]]
            saved[1] = through_json(saved[1])
            killed = build_run()
            for part, state in zip(killed[:3], saved, strict=True):
                part.load_state_dict(state)
        (optimizer, scheduler, _, model), (other, resumed, _, its) = whole, killed
        for key in ("lr", "momentum"):
            assert held(other, key) == held(optimizer, key)
        assert its.dropout == model.dropout
        assert str(resumed.state_dict()) == str(scheduler.state_dict())
