"""One writer: what happens when others write too, when groups join, and to tensors."""

from __future__ import annotations

import copy
import math
import re
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cadence as cd
from cadence import Scheduler
from cadence.errors import ArgumentError, ExternalChangeError, ExternalChangeWarning
from optimizers import adamw, advance, groups, held, sgd, snapshot
from strategies import resolved

PLAN = cd.Warmup(4) >> cd.Linear(8, end=0.2) >> cd.Hold(5) >> cd.Cosine(8)
FLATS = [
    cd.Linear(10, end=0.5) >> cd.Constant(0.95, 5) >> cd.Linear(5),
    cd.Constant(1, 3) >> cd.Linear(6, end=0.2) >> cd.Constant(1, 4),
    cd.StepDecay(3, 0.5),
    cd.Warmup(3).repeat(4),
]
EXTERNAL = ["rebase", "override", "error"]


def replace(key, make):
    """Put another object into the first group."""

    def change(optimizer, value):
        optimizer.param_groups[0][key] = make(value)

    return change


def in_place(optimizer, value):
    with torch.no_grad():
        optimizer.param_groups[0]["lr"].fill_(value)


def new_betas(optimizer, value):
    group = optimizer.param_groups[0]
    group["betas"] = (value, group["betas"][1])


def float_rates():
    return sgd(0.5)


def many_rates():
    return sgd(0.5, *[0.1 * i for i in range(1, 20)])


def equal_rates():
    return sgd(*[0.5] * 20)


def tensor_rates():
    return sgd(0.5, 0.25, dtype=torch.float64)


def inference_rates():
    with torch.inference_mode():
        return sgd(0.5, 0.25, dtype=torch.float64)


# How someone else may change the first group's value: the key, the optimizer, the change.
CHANGES = {
    "float": ("lr", float_rates, replace("lr", float)),
    "float by int": ("lr", float_rates, lambda o, v: o.param_groups[0].update(lr=math.ceil(v))),
    "one of many": ("lr", many_rates, replace("lr", float)),
    "one of many equal": ("lr", equal_rates, replace("lr", float)),
    "float by tensor": ("lr", float_rates, replace("lr", torch.tensor)),
    "tensor in place": ("lr", tensor_rates, in_place),
    "tensor by tensor": ("lr", tensor_rates, replace("lr", lambda v: torch.tensor(v).double())),
    "tensor by float": ("lr", tensor_rates, replace("lr", float)),
    "inference tensor by tensor": ("lr", inference_rates, replace("lr", torch.tensor)),
    "momentum": ("momentum", lambda: sgd(0.5, momentum=0.9), replace("momentum", float)),
    "beta": ("beta1", adamw, new_betas),
}


def changes(function):
    table = [pytest.param(*row, id=name) for name, row in CHANGES.items()]
    return pytest.mark.parametrize(("key", "make", "change"), table)(function)


def close(found, expected):
    return found == pytest.approx(expected, rel=1e-6)


@changes
def test_rebase_keeps_the_change(key, make, change):
    """By default the rest of the plan is scaled by the change, and one warning says how."""
    optimizer = make()
    bases = held(optimizer, key)
    scheduler = Scheduler(optimizer, **{key: PLAN})
    advance(scheduler, 6)
    change(optimizer, 0.6 * held(optimizer, key)[0])
    found = held(optimizer, key)[0]
    base = found / PLAN(6)
    message = (
        f"Scheduler: {key!r} of param_groups[0] was changed to {found:g} by someone else; kept: "
        f"base {bases[0]:g} -> {base:g}. Further changes are handled without a warning"
    )
    with pytest.warns(ExternalChangeWarning, match=f"^{re.escape(message)}$") as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    for step in range(7, 30):
        expected = [PLAN(step, b) for b in [base, *bases[1:]]]
        assert close(held(optimizer, key), expected), step
        advance(scheduler)


@changes
def test_override_writes_the_plan(key, make, change):
    """With external="override" the plan's value is back at the next step, flat or not."""
    for at in (6, 14):
        optimizer = make()
        bases = held(optimizer, key)
        scheduler = Scheduler(optimizer, external="override", **{key: PLAN})
        advance(scheduler, at)
        change(optimizer, 0.6 * held(optimizer, key)[0])
        with pytest.warns(ExternalChangeWarning, match=f"overridden: the base stays {bases[0]:g}"):
            advance(scheduler)
        assert close(held(optimizer, key), [PLAN(at + 1, base) for base in bases])


@changes
def test_error_leaves_everything(key, make, change):
    """With external="error" the step raises, and neither groups nor clock have moved."""
    for at in (6, 14):
        optimizer = make()
        bases = held(optimizer, key)
        scheduler = Scheduler(optimizer, external="error", **{key: PLAN})
        advance(scheduler, at)
        state, was = scheduler.state_dict(), held(optimizer, key)[0]
        change(optimizer, 0.6 * was)
        before, found = snapshot(optimizer), held(optimizer, key)[0]
        message = (
            f"Scheduler: {key!r} of param_groups[0] was changed from {was:g} to {found:g} by "
            f"someone else since step {at}"
        )
        for attempt, arguments in (
            (scheduler.step, ()),
            (scheduler.step, ()),
            (scheduler.seek, (3,)),
        ):
            with pytest.raises(ExternalChangeError) as caught:
                attempt(*arguments)
            assert str(caught.value) == message
            assert (snapshot(optimizer), scheduler.last_epoch) == (before, at)
        assert scheduler.state_dict() == state
        change(optimizer, was)
        if held(optimizer, key)[0] == was:  # rounding to int cannot be undone
            advance(scheduler)
            assert close(held(optimizer, key), [PLAN(at + 1, base) for base in bases])


@pytest.mark.parametrize("external", EXTERNAL)
def test_an_equal_object_is_no_change(external):
    """A group whose value was replaced by an equal one was not changed."""
    optimizer = sgd(0.5, 0.25)
    scheduler = Scheduler(optimizer, lr=PLAN, external=external)
    for step in range(30):
        assert held(optimizer) == [PLAN(step, base) for base in (0.5, 0.25)]
        for group in optimizer.param_groups:
            group["lr"] = float(str(group["lr"]))
        advance(scheduler)


def test_an_equal_write_into_a_tensor_is_no_change():
    """A tensor that was written with the value that it has was not changed."""
    optimizer = sgd(0.5, 0.25, dtype=torch.float32)
    scheduler = Scheduler(optimizer, lr=PLAN, external="error")
    for _ in range(20):
        for group in optimizer.param_groups:
            group["lr"].mul_(1)
        advance(scheduler)
    optimizer.param_groups[0]["lr"] = optimizer.param_groups[0]["lr"].clone()
    advance(scheduler)
    assert held(optimizer)[0] == pytest.approx(PLAN(21, 0.5))


@pytest.mark.parametrize("external", EXTERNAL)
def test_a_plan_that_is_nan_is_not_a_stranger(external):
    """A NaN that a plan's own function gave is what was written, not a foreign change."""
    optimizer = sgd(0.5, dtype=torch.float32)
    other = sgd(0.5)
    plan = cd.Function(lambda step: math.nan if step in (2, 3) else 1 / (step + 1))
    for one in (optimizer, other):
        scheduler = Scheduler(one, lr=plan, external=external)
        advance(scheduler, 3)
        scheduler.state_dict()
        advance(scheduler, 2)
        assert held(one) == [pytest.approx(0.5 / 6)]


def test_warned_once_per_key():
    """The second change of a key is handled in silence; another key has its own warning."""
    optimizer = sgd(0.5, weight_decay=0.1)
    scheduler = Scheduler(optimizer, lr=PLAN, weight_decay=PLAN)
    advance(scheduler, 5)
    group = optimizer.param_groups[0]
    group["lr"] *= 0.5
    with pytest.warns(ExternalChangeWarning, match="'lr'.*base 0.5 -> 0.25"):
        advance(scheduler)
    group["lr"] *= 0.5
    advance(scheduler)
    assert close(held(optimizer), [PLAN(7, 0.125)])
    group["weight_decay"] *= 2
    with pytest.warns(ExternalChangeWarning, match=r"'weight_decay'.*base 0.1 -> 0.2"):
        advance(scheduler)


def test_where_the_base_is_invisible_the_plan_wins():
    """Below a hundredth no base can be told from the value, so the change is overridden."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=cd.Warmup(1000))
    advance(scheduler, 3)
    optimizer.param_groups[0]["lr"] = 0.3
    with pytest.warns(ExternalChangeWarning, match="overridden: the base stays 0.5"):
        advance(scheduler)
    assert held(optimizer) == [cd.Warmup(1000)(4, 0.5)]
    assert scheduler.base_lrs == [0.5]


@pytest.mark.parametrize("found", [math.nan, math.inf])
def test_a_rate_that_is_no_number_is_overridden(found):
    """NaN or inf, found in a group, are never taken into a base."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=PLAN)
    advance(scheduler, 6)
    optimizer.param_groups[0]["lr"] = found
    with pytest.warns(ExternalChangeWarning, match="overridden: the base stays 0.5"):
        advance(scheduler)
    assert held(optimizer) == [PLAN(7, 0.5)]


@pytest.mark.parametrize("dtype", [None, torch.float64], ids=["float", "tensor"])
def test_a_change_in_a_flat_phase_survives_it(dtype):
    """While the plan is flat nothing is written, and the next ramp starts from the change."""
    optimizer = sgd(0.5, 0.25, dtype=dtype)
    scheduler = Scheduler(optimizer, lr=PLAN)
    advance(scheduler, 14)
    in_place(optimizer, 0.3) if dtype else optimizer.param_groups[0].update(lr=0.3)
    for _ in range(15, 17):
        advance(scheduler)
        assert held(optimizer) == [0.3, 0.05]
    with pytest.warns(ExternalChangeWarning, match="base 0.5 -> 1.5"):
        advance(scheduler)
    for step in range(17, 22):
        assert close(held(optimizer), [PLAN(step, 1.5), PLAN(step, 0.25)])
        advance(scheduler)


def test_an_absolute_level_is_not_scaled_by_a_change():
    """With an absolute part the base that explains the found value is solved for."""
    plan = cd.Linear(10, end=cd.absolute(0.1))
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=plan)
    advance(scheduler, 4)
    base = (0.5 - plan(4, 0.0)) / (plan(4) - plan(4, 0.0))
    optimizer.param_groups[0]["lr"] = 0.5
    with pytest.warns(ExternalChangeWarning, match=f"base 0.5 -> {base:g}"):
        advance(scheduler)
    assert close(held(optimizer), [plan(5, base)])
    advance(scheduler, 10)
    assert held(optimizer) == [0.1]


def test_what_data_hides_is_found_with_the_value():
    """An edit through `.data` leaves no trace but the value: it is found where values are read."""
    optimizer = sgd(0.5, dtype=torch.float64)
    rate = optimizer.param_groups[0]["lr"]
    scheduler = Scheduler(optimizer, lr=PLAN)
    advance(scheduler, 5)
    rate.data.fill_(0.1)
    advance(scheduler)  # the next write does not notice, and overrides it
    assert held(optimizer) == [PLAN(6, 0.5)]
    rate.data.fill_(PLAN(6, 0.25))
    with pytest.warns(ExternalChangeWarning, match="base 0.5 -> 0.25"):
        scheduler.state_dict()
    advance(scheduler)
    assert close(held(optimizer), [PLAN(7, 0.25)])


@pytest.mark.parametrize(
    "ask",
    [
        Scheduler.state_dict,
        lambda s: s.base_lrs,
        lambda s: s.value_at(0),
        lambda s: s.preview(1),
        lambda s: s.seek(6),
    ],
    ids=["state_dict", "base_lrs", "value_at", "preview", "seek"],
)
def test_every_question_sees_the_change(ask):
    """Whoever asks about the future hears of the changed base, at the line that asked."""
    optimizer = sgd(0.5, 0.25)
    scheduler = Scheduler(optimizer, lr=PLAN)
    advance(scheduler, 6)
    optimizer.param_groups[0]["lr"] *= 0.5
    with pytest.warns(ExternalChangeWarning, match="base 0.5 -> 0.25") as caught:
        ask(scheduler)
    assert caught[0].filename == __file__
    assert scheduler.base_lrs == [0.25, 0.25]
    assert held(optimizer) == [PLAN(6, 0.25)] * 2
    advance(scheduler)
    assert held(optimizer) == [PLAN(7, 0.25)] * 2


@pytest.mark.filterwarnings("ignore::cadence.errors.ScheduleWarning")  # plans at random
@settings(max_examples=60)
@given(resolved(max_depth=2, mixed_clips=False, only_relative=True), st.data())
def test_the_clock_and_the_others_do_not_feel_a_change(plans, data):
    """Whatever is done to one group at whatever steps, the other groups follow the plan."""
    _, exact, _ = plans
    dtype = data.draw(st.sampled_from([None, torch.float64]))
    optimizer = sgd(0.5, 0.3, 0.5, 0.7, dtype=dtype)
    scheduler = Scheduler(optimizer, lr=exact)
    which = data.draw(st.integers(0, 3))
    edits = data.draw(st.dictionaries(st.integers(0, 30), st.floats(0.01, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExternalChangeWarning)
        for step in range(30):
            found = held(optimizer)
            for i, base in enumerate((0.5, 0.3, 0.5, 0.7)):
                assert i == which or found[i] == exact(step, base)
            if step in edits:
                value = edits[step] if dtype is None else torch.tensor(edits[step], dtype=dtype)
                optimizer.param_groups[which]["lr"] = value
            advance(scheduler)


# Loading the optimizer.


@pytest.mark.parametrize("external", EXTERNAL)
@pytest.mark.parametrize("dtype", [None, torch.float32], ids=["float", "tensor"])
@pytest.mark.parametrize("at", [6, 14, 40], ids=["ramp", "hold", "past the end"])
def test_loading_the_optimizer_is_no_foreign_change(at, dtype, external):
    """After the optimizer was loaded the next step writes the plan's value, flat or not."""
    optimizer = sgd(0.5, 0.25, dtype=dtype, momentum=0.9)
    scheduler = Scheduler(optimizer, lr=PLAN, momentum=PLAN, external=external)
    advance(scheduler, at)
    optimizer.load_state_dict(sgd(3.0, 4.0, dtype=dtype, momentum=0.5).state_dict())
    assert held(optimizer) == [3.0, 4.0]
    scheduler.state_dict()
    scheduler.value_at(3)
    assert held(optimizer) == [3.0, 4.0]
    advance(scheduler)
    assert close(held(optimizer), [PLAN(at + 1, base) for base in (0.5, 0.25)])
    assert close(held(optimizer, "momentum"), [PLAN(at + 1, 0.9)] * 2)


# Groups that are added later.


@pytest.mark.parametrize("external", EXTERNAL)
@pytest.mark.parametrize("dtype", [None, torch.float32], ids=["float", "tensor"])
@pytest.mark.parametrize("own", [True, False], ids=["own rate", "default rate"])
def test_an_added_group_follows_from_its_own_base(own, dtype, external):
    """A group that is added, with a rate or the default, is scheduled from the next step on."""
    optimizer = torch.optim.SGD(
        groups([0.5], dtype), lr=0.25 if dtype is None else torch.tensor(0.25, dtype=dtype)
    )
    scheduler = Scheduler(optimizer, lr=PLAN, external=external)
    advance(scheduler, 6)
    (new,) = groups([2.0], dtype)
    if not own:
        del new["lr"]
    optimizer.add_param_group(new)
    bases = [0.5, 2.0 if own else 0.25]
    advance(scheduler)
    assert scheduler.base_lrs == bases
    for step in range(7, 29):
        assert close(held(optimizer), [PLAN(step, base) for base in bases])
        advance(scheduler)


@pytest.mark.parametrize("loaded", [False, True], ids=["running", "resumed"])
def test_the_default_rate_stays_the_base(loaded):
    """A tensor that is the optimizer's default is not scheduled along, so later groups find it."""
    rate = torch.tensor(0.5)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = Scheduler(optimizer, lr=PLAN)
    assert optimizer.param_groups[0]["lr"] is rate
    assert optimizer.defaults["lr"] == 0.5
    advance(scheduler, 3)
    if loaded:
        optimizer.load_state_dict(optimizer.state_dict())
    for count in (2, 3):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
        advance(scheduler)
        assert scheduler.base_lrs == [0.5] * count
    assert close(held(optimizer), [PLAN(5, 0.5)] * 3)


def test_an_added_group_is_in_the_state():
    """A state that is saved right after a group was added resumes with the group."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=PLAN)
    advance(scheduler, 6)
    optimizer.add_param_group(groups([2.0])[0])
    state = scheduler.state_dict()
    assert held(optimizer) == [PLAN(6, 0.5), PLAN(6, 2.0)]
    for order in ("add load", "add step load"):
        other = sgd(0.5)
        resumed = Scheduler(other, lr=PLAN)
        for word in order.split():
            if word == "add":
                other.add_param_group(groups([7.0])[0])
            elif word == "step":
                advance(resumed)
            else:
                resumed.load_state_dict(state)
        assert held(other) == held(optimizer)
        assert resumed.base_lrs == [0.5, 2.0]
    advance(scheduler)
    advance(resumed)
    assert held(other) == held(optimizer) == [PLAN(7, 0.5), PLAN(7, 2.0)]


def test_a_group_added_while_another_was_changed():
    """A foreign change and a new group at the same step are both taken up."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=PLAN)
    advance(scheduler, 6)
    optimizer.param_groups[0]["lr"] *= 0.5
    optimizer.add_param_group(groups([2.0])[0])
    with pytest.warns(ExternalChangeWarning, match="base 0.5 -> 0.25"):
        advance(scheduler)
    assert held(optimizer) == [PLAN(7, 0.25), PLAN(7, 2.0)]


def test_an_added_group_finds_its_plan_by_name():
    """With plans by name a new group takes the one of its name; an unknown name is refused."""
    optimizer = sgd(0.5, names=["body"])
    plans = {"body": PLAN, "head": cd.Linear(20)}
    scheduler = Scheduler(optimizer, lr=plans, weight_decay=0.5)
    advance(scheduler, 6)
    optimizer.add_param_group(groups([2.0], names=["head"])[0])
    advance(scheduler)
    assert held(optimizer) == [PLAN(7, 0.5), cd.Linear(20)(7, 2.0)]
    optimizer.add_param_group(groups([1.0], names=["haed"])[0])
    before = snapshot(optimizer)
    message = (
        "Scheduler: 'lr' must have a plan for param_groups[2], named 'haed' (it has 'body', "
        "'head'); did you mean 'head'?"
    )
    for attempt in (
        scheduler.step,
        scheduler.step,
        scheduler.state_dict,
        lambda: scheduler.seek(1),
    ):
        with pytest.raises(ArgumentError) as caught:
            attempt()
        assert str(caught.value) == message
        assert (snapshot(optimizer), scheduler.last_epoch) == (before, 7)
    optimizer.param_groups[2]["name"] = "head"
    advance(scheduler)
    expected = [PLAN(8, 0.5), cd.Linear(20)(8, 2.0), cd.Linear(20)(8, 1.0)]
    assert held(optimizer) == expected


def test_a_list_of_plans_has_none_for_an_added_group():
    """With plans by list a new group is refused, and the message names the other form."""
    optimizer = sgd(0.5, 0.25)
    scheduler = Scheduler(optimizer, lr=[PLAN, PLAN])
    advance(scheduler)
    optimizer.add_param_group(groups([2.0])[0])
    before = snapshot(optimizer)
    with pytest.raises(ArgumentError) as caught:
        advance(scheduler)
    assert str(caught.value) == (
        "Scheduler: 'lr' must give one plan for each of 3 groups (got 2); a dict by group name "
        "also covers groups added later"
    )
    assert (snapshot(optimizer), scheduler.last_epoch) == (before, 1)


def test_groups_must_not_go():
    """A group that was taken out of the optimizer cannot be followed."""
    optimizer = sgd(0.5, 0.25)
    scheduler = Scheduler(optimizer, lr=PLAN)
    advance(scheduler)
    group = optimizer.param_groups.pop()
    message = (
        r"^Scheduler: the optimizer must keep its groups \(it had 2, it has 1\); build a new "
        r"scheduler$"
    )
    for attempt in (scheduler.step, scheduler.state_dict, lambda: scheduler.seek(1)):
        with pytest.raises(ArgumentError, match=message):
            attempt()
    optimizer.param_groups.append(group)
    advance(scheduler)
    assert held(optimizer) == [PLAN(2, 0.5), PLAN(2, 0.25)]


# Tensors.

TENSORS = {
    "float32": lambda: torch.tensor(0.5),
    "float64": lambda: torch.tensor(0.5, dtype=torch.float64),
    "bfloat16": lambda: torch.tensor(0.5, dtype=torch.bfloat16),
    "one element": lambda: torch.tensor([0.5]),
    "matrix": lambda: torch.tensor([[0.5]]),
    "gradient": lambda: torch.tensor(0.5, requires_grad=True),
    "view": lambda: torch.tensor([0.5, 0.25])[0],
}


@pytest.mark.parametrize("make", TENSORS.values(), ids=TENSORS)
@pytest.mark.parametrize("key", ["lr", "beta1", "weight_decay"])
def test_a_tensor_is_written_in_place(key, make):
    """The tensor in the group stays the same object, of its shape and type, to the end."""
    optimizer, tensor = adamw(0.5), make()
    group = optimizer.param_groups[0]
    if key == "beta1":
        group["betas"] = (tensor, 0.99)
    else:
        group[key] = tensor
    before = tensor.shape, tensor.dtype, tensor.requires_grad
    scheduler = Scheduler(optimizer, **{key: PLAN})
    for step in range(28):
        assert (group["betas"][0] if key == "beta1" else group[key]) is tensor
        expected = torch.tensor(PLAN(step, 0.5), dtype=torch.float64).to(tensor.dtype)
        assert torch.equal(tensor.detach().reshape(()), expected)
        advance(scheduler)
        if step == 9:
            scheduler.load_state_dict(scheduler.state_dict())
        if step == 12:
            scheduler.seek(13)
    assert (tensor.shape, tensor.dtype, tensor.requires_grad) == before


def test_tensors_of_many_kinds_side_by_side():
    """Groups with floats and tensors of every kind follow one plan together."""
    optimizer = sgd(*[0.5] * (len(TENSORS) + 2))
    for group, make in zip(optimizer.param_groups, TENSORS.values(), strict=False):
        group["lr"] = make()
    scheduler = Scheduler(optimizer, lr=PLAN)
    for step in range(28):
        assert held(optimizer) == pytest.approx([PLAN(step, 0.5)] * 9, rel=1e-2)
        advance(scheduler)


def test_one_tensor_for_groups_that_agree():
    """A tensor that groups with one plan and base share stays shared, and is written once."""
    rate = torch.tensor(0.5)
    optimizer = torch.optim.SGD(groups([1, 1, 1]), lr=0.1)
    for group in optimizer.param_groups:
        group["lr"] = rate
    scheduler = Scheduler(optimizer, lr=PLAN)
    version = rate._version
    advance(scheduler)
    assert rate._version == version + 1
    assert all(group["lr"] is rate for group in optimizer.param_groups)
    rate.mul_(0.5)
    with pytest.warns(ExternalChangeWarning, match="base 0.5 -> 0.25"):
        advance(scheduler)
    assert close(held(optimizer), [PLAN(2, 0.25)] * 3)


def test_one_tensor_for_groups_that_differ():
    """A tensor that is shared by groups with different plans is given to the first of them."""
    rate = torch.tensor(0.5)
    optimizer = torch.optim.SGD(groups([1, 1, 1], names="abc"), lr=0.1)
    for group in optimizer.param_groups:
        group["lr"] = rate
    fast = cd.Linear(6)
    scheduler = Scheduler(optimizer, lr={"a": PLAN, "b": fast, "c": fast})
    assert optimizer.param_groups[0]["lr"] is rate
    for step in range(9):
        expected = [PLAN(step, 0.5), fast(step, 0.5), fast(step, 0.5)]
        assert close(held(optimizer), expected)
        advance(scheduler)


def test_one_tensor_for_two_keys():
    """A tensor that two hyperparameters share is not written by both."""
    value = torch.tensor(0.5)
    optimizer = adamw(0.5)
    optimizer.param_groups[0].update(lr=value, weight_decay=value)
    scheduler = Scheduler(optimizer, lr=PLAN, weight_decay=PLAN, external="error")
    advance(scheduler, 3)
    assert close(held(optimizer), [PLAN(3, 0.5)])
    assert close(held(optimizer, "weight_decay"), [PLAN(3, 0.5)])


def test_nothing_is_written_into_tensors_where_the_plan_is_flat():
    """In a flat stretch the tensors' versions stand still."""
    optimizer = sgd(0.5, 0.25, dtype=torch.float32)
    scheduler = Scheduler(optimizer, lr=PLAN)
    advance(scheduler, 12)
    versions = [group["lr"]._version for group in optimizer.param_groups]
    advance(scheduler, 4)
    assert [group["lr"]._version for group in optimizer.param_groups] == versions


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_inference_tensors(inside, mixed):
    """Inference tensors, which have no version and a mode of their own, are written as others."""
    optimizer = inference_rates()
    if mixed:
        optimizer.param_groups[1]["lr"] = torch.tensor(0.25, dtype=torch.float64)
    tensors = [group["lr"] for group in optimizer.param_groups]
    with torch.inference_mode(inside):
        scheduler = Scheduler(optimizer, lr=PLAN)
        for step in range(28):
            assert held(optimizer) == [PLAN(step, 0.5), PLAN(step, 0.25)]
            advance(scheduler)
    assert all(
        group["lr"] is tensor for group, tensor in zip(optimizer.param_groups, tensors, strict=True)
    )


def test_an_inference_tensor_is_recognised_by_its_value():
    """A change inside an inference tensor is found without a version."""
    optimizer = inference_rates()
    scheduler = Scheduler(optimizer, lr=PLAN)
    advance(scheduler, 6)
    with torch.inference_mode():
        optimizer.param_groups[0]["lr"].mul_(0.5)
    with pytest.warns(ExternalChangeWarning, match="base 0.5 -> 0.25"):
        advance(scheduler)
    assert close(held(optimizer), [PLAN(7, 0.25), PLAN(7, 0.25)])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_on_another_device():
    """A rate that lives on the GPU is written there."""
    optimizer = torch.optim.SGD(groups([1, 1]), lr=0.1)
    for group, base in zip(optimizer.param_groups, (0.5, 0.25), strict=True):
        group["lr"] = torch.tensor(base, device="cuda")
    scheduler = Scheduler(optimizer, lr=PLAN)
    for step in range(28):
        assert close(held(optimizer), [PLAN(step, 0.5), PLAN(step, 0.25)])
        scheduler.seek(step + 1)


# Everything together.

EVENTS = [
    *["step"] * 3, "seek", "add", "edit", "equal", "load", "reload", "resume", "copy", "rebase",
    "question",
]  # fmt: skip


@settings(max_examples=100)
@given(st.data(), st.lists(st.sampled_from(EVENTS), max_size=12))
def test_any_history_ends_where_the_plan_is(data, history):
    """After any steps, edits, loads, copies and new groups the values are the plan's."""
    dtype = data.draw(st.sampled_from([None, torch.float64]))
    plan = data.draw(st.sampled_from([PLAN, *FLATS]))
    bases = data.draw(st.lists(st.sampled_from([0.5, 0.3, 1.7]), min_size=1, max_size=4))
    options = {"weight_decay": cd.Linear(9), "external": data.draw(st.sampled_from(EXTERNAL))}

    def build():
        optimizer = sgd(*bases, dtype=dtype, weight_decay=0.1)
        scheduler = Scheduler(optimizer, lr=plan, **options)
        optimizer.step()
        return optimizer, scheduler

    optimizer, scheduler = build()
    # Until the next write an edit cannot be told from what was loaded.
    step, loaded = 0, False
    for event in history:
        visible = options["external"] == "rebase" and plan(step) >= 0.01 and not loaded
        if event == "step":
            advance(scheduler)
            step += 1
        elif event == "seek":
            step = data.draw(st.integers(0, 30))
            scheduler.seek(step)
        elif event == "add":
            bases.append(data.draw(st.sampled_from([0.5, 0.9])))
            optimizer.add_param_group(groups(bases[-1:], dtype)[0] | {"weight_decay": 0.1})
            scheduler.state_dict()
        elif event == "equal" or (event == "edit" and visible):
            i, factor = data.draw(st.integers(0, len(bases) - 1)), 0.5 if event == "edit" else 1.0
            group = optimizer.param_groups[i]
            if dtype is not None and data.draw(st.booleans()):
                group["lr"].mul_(factor)
            else:
                group["lr"] = group["lr"] * factor
            if event == "edit":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExternalChangeWarning)
                    found = scheduler.base_lrs
                assert close(found[i], bases[i] * factor)
                bases[i] = found[i]
        elif event == "load":
            optimizer.load_state_dict(optimizer.state_dict())
        elif event == "reload":
            scheduler.load_state_dict(scheduler.state_dict())
        elif event == "resume":
            state = scheduler.state_dict()
            optimizer, scheduler = build()
            scheduler.load_state_dict(state)
        elif event == "copy":
            optimizer, scheduler = copy.deepcopy((optimizer, scheduler))
        elif event == "rebase":
            bases = [data.draw(st.sampled_from([0.5, 0.2])) for _ in bases]
            scheduler.base_lrs = bases
        elif event == "question":
            assert scheduler.value_at(9, group=-1) == plan(9, bases[-1])
        loaded = event == "load" or (loaded and event in ("edit", "equal", "copy", "question"))
        assert scheduler.last_epoch == step
        assert held(optimizer) == [plan(step, base) for base in bases], event
        assert held(optimizer, "weight_decay") == [cd.Linear(9)(step, 0.1)] * len(bases)
