"""Counting updates: a clock that follows them, and the audit of one that is stepped by hand."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

import cadence as cd
from cadence import Horizon, Scheduler
from cadence.errors import (
    ArgumentError,
    MismatchError,
    PaceError,
    PaceWarning,
    PastEndError,
    SupersededError,
    TakeoverWarning,
)
from optimizers import adamw, advance, groups, held, sgd


def linear(optimizer=None, **options):
    return Scheduler(optimizer or sgd(1.0), lr=cd.Linear(), **{"total_steps": 100, **options})


# Following.


def test_an_update_is_a_tick():
    """Each update advances the clock, and a framework that steps as well changes nothing."""
    scheduler = linear().follow()
    for update in range(1, 20):
        scheduler.optimizer.step()
        for _ in range(update % 4):
            scheduler.step()
        assert scheduler.last_epoch == update
        assert held(scheduler.optimizer) == [cd.Linear(100)(update)]


def test_following_twice_is_following():
    """To follow again, or to stop twice, changes nothing."""
    scheduler = linear()
    assert scheduler.follow() is scheduler
    scheduler.follow()
    scheduler.optimizer.step()
    assert scheduler.last_epoch == 1
    scheduler.unfollow()
    scheduler.unfollow()
    scheduler.optimizer.step()
    assert scheduler.last_epoch == 1
    scheduler.step()
    assert scheduler.last_epoch == 2
    scheduler.follow()
    scheduler.optimizer.step()
    assert scheduler.last_epoch == 3


@pytest.mark.parametrize("accumulate", [1, 4])
def test_accumulation_ends_where_the_plan_ends(accumulate):
    """Micro-batches are no ticks, although the loop steps the scheduler at each of them."""
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = linear(optimizer, total_steps=10).follow()
    rates = []
    for batch in range(1, 10 * accumulate + 1):
        model(torch.ones(2, 3)).mean().backward()
        if batch % accumulate == 0:
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            optimizer.zero_grad()
        scheduler.step()
    assert rates == [cd.Linear(10)(step) for step in range(10)]
    assert held(optimizer) == [0.0]


fused_or_not = pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])


@fused_or_not
@pytest.mark.parametrize("clip", [False, True], ids=["", "clipped"])
@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "Adagrad"])
def test_updates_that_amp_skips_are_no_ticks(kind, fused, clip):
    """An infinite gradient is no update, also where a fused optimizer is called all the same."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = getattr(torch.optim, kind)([parameter], lr=1.0, fused=fused)
    scheduler = linear(optimizer).follow()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=3)
    updates = 0
    for step in range(12):
        bad = step in (0, 3, 4, 9)
        before = parameter.detach().clone()
        for micro_batch in range(2):
            loss = (parameter * (float("inf") if bad and micro_batch else 1.0)).sum()
            scaler.scale(loss).backward()
        if clip:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([parameter], 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        updates += not bad
        assert torch.equal(before, parameter) == bad
        assert scheduler.last_epoch == updates
        assert held(optimizer) == [cd.Linear(100)(updates)]


@fused_or_not
def test_amp_skips_one_side_of_a_round(fused):
    """A round is done when each has really made an update, though one scaler serves them both."""
    parameters = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    both = [torch.optim.AdamW([p], lr=1.0, fused=fused) for p in parameters]
    scheduler = Scheduler(both, lr=cd.Linear(100)).follow()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    made = [0, 0]
    clocks = []
    for bad in [(), (0,), (1,), (), (0, 1), (0,), (0,), (), (1,), ()]:
        for i, (parameter, optimizer) in enumerate(zip(parameters, both, strict=True)):
            scaler.scale((parameter * (float("inf") if i in bad else 1.0)).sum()).backward()
            scaler.step(optimizer)
            optimizer.zero_grad()
            made[i] += i not in bad
        scaler.update()
        clocks.append(scheduler.last_epoch)
    # An update of one side alone leaves the round open for the other.
    assert clocks == [1, 1, 2, 3, 3, 3, 3, 4, 5, 6]
    assert made == [6, 7]


def test_each_side_of_a_gan_has_a_clock_of_its_own():
    """Two schedulers count the updates of their own optimizers, saved at any point of a round."""

    def build():
        critic, generator = sgd(1.0), adamw(0.5)
        for_critic = Scheduler(critic, lr=cd.Linear(40)).follow()
        return for_critic, Scheduler(generator, lr=cd.Cosine(10)).follow()

    pair = build()
    for update in range(1, 31):
        critic, generator = pair
        critic.optimizer.step()
        if update % 3 == 0:
            generator.optimizer.step()
        assert (critic.last_epoch, generator.last_epoch) == (update, update // 3)
        assert held(critic.optimizer) == [cd.Linear(40)(update)]
        assert held(generator.optimizer) == [cd.Cosine(10)(update // 3, 0.5)]
        if update % 5 == 0:
            states = [side.state_dict() for side in pair]
            pair = build()
            for side, state in zip(pair, states, strict=True):
                side.load_state_dict(state)


def test_two_followers_of_one_optimizer():
    """Schedulers of different values of one optimizer each tick once for each of its updates."""
    optimizer = adamw(1.0, weight_decay=0.2)
    first = Scheduler(optimizer, lr=cd.Linear(10)).follow()
    second = Scheduler(optimizer, weight_decay=cd.Cosine(10)).follow()
    for update in range(1, 8):
        optimizer.step()
        assert (first.last_epoch, second.last_epoch) == (update, update)
        assert held(optimizer, "weight_decay") == [cd.Cosine(10)(update, 0.2)]


def test_a_step_that_evaluates_often_is_one_update():
    """An optimizer with a closure may call the model many times; its step is one tick."""
    parameter = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = torch.optim.LBFGS([parameter], lr=0.5, max_iter=5)
    scheduler = Scheduler(optimizer, lr=cd.Linear(10)).follow()
    calls = []

    def closure():
        calls.append(scheduler.last_epoch)
        optimizer.zero_grad()
        loss = parameter.pow(4).sum()
        loss.backward()
        return loss

    for update in range(3):
        optimizer.step(closure)
        assert held(optimizer) == [cd.Linear(10)(update + 1, 0.5)]
    assert calls.count(0) == calls.count(2) == 5


def test_optimizers_that_step_in_the_backward_pass():
    """One optimizer for each parameter, stepped as soon as its gradient is there: one tick."""
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
    each = {p: torch.optim.SGD([p], lr=0.1) for p in net.parameters()}
    scheduler = Scheduler(each.values(), lr=cd.Linear(10)).follow()

    def step(parameter):
        each[parameter].step()
        each[parameter].zero_grad()

    for parameter in each:
        parameter.register_post_accumulate_grad_hook(step)
    for update in range(1, 8):
        net(torch.ones(2, 3)).sum().backward()
        assert scheduler.last_epoch == update
        assert {held(one)[0] for one in each.values()} == {cd.Linear(10)(update, 0.1)}


@pytest.mark.parametrize("kept", ["float", "tensor", "captured"])
@pytest.mark.parametrize("plan", [cd.Linear(), cd.Constant(0.5), cd.Warmup(4, start=0)], ids=repr)
@pytest.mark.parametrize("stateless", [False, True], ids=["adamw", "sgd"])
def test_a_rehearsal_of_a_distributed_checkpoint_is_no_update(kept, plan, stateless):
    """To create a fresh optimizer's state, torch steps it with rates of 0: nothing has happened.

    It does so on saving and on loading; an optimizer without state is fresh every time.
    """

    def build():
        net = torch.nn.Linear(3, 1)
        kind = torch.optim.SGD if stateless else torch.optim.AdamW
        rate = 1.0 if kept == "float" else torch.tensor(1.0, dtype=torch.float64)
        optimizer = kind(net.parameters(), lr=rate, foreach=False)
        captured = kept == "captured"
        scheduler = Scheduler(optimizer, lr=plan, total_steps=100, capturable=captured)
        return net, optimizer, scheduler.follow()

    def update(net, optimizer):
        net(torch.ones(2, 3)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    net, optimizer, scheduler = build()
    for clock in range(5):
        saved = get_state_dict(net, optimizer)
        assert scheduler.last_epoch == clock
        assert held(optimizer) == [plan.resolve(100)(clock)]
        update(net, optimizer)
    state = scheduler.state_dict()
    assert state["bases"] == build()[2].state_dict()["bases"]
    for first in ("scheduler", "optimizer"):
        net, optimizer, resumed = build()
        if first == "scheduler":
            resumed.load_state_dict(state)
        set_state_dict(net, optimizer, model_state_dict=saved[0], optim_state_dict=saved[1])
        if first == "optimizer":
            resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        update(net, optimizer)
        assert held(optimizer) == [plan.resolve(100)(6)]


def test_a_device_is_not_waited_for_without_need():
    """Only who follows asks whether AMP has skipped an update: the answer lies on the device."""

    class Flag:
        asked = 0

        def __bool__(self):
            Flag.asked += 1
            return True

    class Fused(torch.optim.SGD):
        def step(self, closure=None):
            """Leave it to the device."""

    optimizer = Fused(groups([1.0]))
    scheduler = linear(optimizer)
    optimizer.found_inf = Flag()
    advance(scheduler, 3)
    assert Flag.asked == 0
    scheduler.follow()
    optimizer.step()
    assert (Flag.asked, scheduler.last_epoch) == (1, 3)


def test_the_slower_of_two_sets_the_pace():
    """Of a GAN with several updates of one side, a tick is a round in which both have moved."""
    critic, generator = sgd(1.0), adamw(0.5)
    scheduler = Scheduler([critic, generator], lr=cd.Linear(10)).follow()
    for tick in range(1, 6):
        for _ in range(3):
            critic.step()
            assert scheduler.last_epoch == tick - 1
        generator.step()
        assert scheduler.last_epoch == tick
        assert [*held(critic), *held(generator)] == [cd.Linear(10)(tick, b) for b in (1.0, 0.5)]


@pytest.mark.parametrize("way", ["state", "pickle", "copy"])
def test_a_round_that_has_begun_is_kept(way):
    """Saved between the two updates of a round, a run ticks at the same places as before."""

    def build():
        return Scheduler([sgd(1.0), sgd(0.5)], lr=cd.Linear(10)).follow()

    one = build()
    one.optimizers[0].step()
    if way == "state":
        other = build()
        other.load_state_dict(one.state_dict())
    else:
        other = copy.deepcopy(one) if way == "copy" else pickle.loads(pickle.dumps(one))
    for which in (1, 0, 1, 0, 0, 1):
        for scheduler in (one, other):
            scheduler.optimizers[which].step()
        assert other.last_epoch == one.last_epoch
    assert one.last_epoch == 3


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_follow_their_own_optimizer(clone):
    """A copy of a following scheduler follows the copied optimizer, and leaves the other alone."""
    scheduler = linear().follow()
    scheduler.optimizer.step()
    other = clone(scheduler)
    other.optimizer.step()
    assert (scheduler.last_epoch, other.last_epoch) == (1, 2)
    scheduler.optimizer.step()
    scheduler.optimizer.step()
    assert (scheduler.last_epoch, other.last_epoch) == (3, 2)
    other.unfollow()
    other.optimizer.step()
    assert other.last_epoch == 2


def test_a_follower_lives_and_dies_with_its_optimizer():
    """The optimizer keeps a following scheduler alive, and nothing keeps them both."""
    optimizer = sgd(1.0)
    linear(optimizer).follow()
    gc.collect()
    optimizer.step()
    assert held(optimizer) == [0.99]
    reference = weakref.ref(optimizer)
    del optimizer
    gc.collect()
    assert reference() is None


def test_a_superseded_follower_follows_no_more():
    """A newer scheduler has the values for itself; the older one says so when it is stepped."""
    optimizer = sgd(1.0)
    first = linear(optimizer).follow()
    optimizer.step()
    with pytest.warns(TakeoverWarning):
        second = linear(optimizer)
    optimizer.step()
    assert (first.last_epoch, second.last_epoch) == (1, 0)
    assert held(optimizer) == [1.0]
    for call in (first.step, first.follow):
        with pytest.raises(SupersededError):
            call()


def test_what_cannot_be_followed():
    """A clock of epochs has no updates to follow, whether from the start or from a checkpoint."""
    epochs = linear(clock="epoch")
    with pytest.raises(ArgumentError, match=r"must count updates \(got clock='epoch'\)"):
        epochs.follow()
    scheduler = linear(on_mismatch="checkpoint").follow()
    with pytest.raises(MismatchError, match="counts epochs, and the scheduler follows updates"):
        scheduler.load_state_dict(epochs.state_dict())
    scheduler.optimizer.step()
    assert scheduler.last_epoch == 1


def test_a_follower_can_be_moved_and_resumed():
    """Seeking and loading set the clock, and the updates go on from there."""
    scheduler = linear().follow()
    scheduler.seek(40)
    scheduler.optimizer.step()
    assert held(scheduler.optimizer) == [cd.Linear(100)(41)]
    other = linear().follow()
    other.load_state_dict(scheduler.state_dict())
    other.optimizer.step()
    assert held(other.optimizer) == [cd.Linear(100)(42)]


def test_a_follower_picks_up_new_groups():
    """A group that is added is written at the next update."""
    scheduler = linear().follow()
    scheduler.optimizer.add_param_group(groups([0.5])[0])
    scheduler.optimizer.step()
    assert held(scheduler.optimizer) == [cd.Linear(100)(1, base) for base in (1.0, 0.5)]


def test_the_end_of_a_follower():
    """Past the end the same happens as on a step by hand: here it repeats, there it raises."""
    repeating = linear(total_steps=3, past_end="repeat").follow()
    for update in range(1, 9):
        repeating.optimizer.step()
        assert held(repeating.optimizer) == [cd.Linear(3)(update % 3)]
    raising = linear(total_steps=2, past_end="raise").follow()
    raising.optimizer.step()
    raising.optimizer.step()
    with pytest.raises(PastEndError, match="the plan ends at step 2"):
        raising.optimizer.step()


@given(st.lists(st.sampled_from(["update", "step", "follow", "unfollow"]), max_size=40))
def test_only_one_of_both_counts(actions):
    """In any order of updates, steps and switches, the clock is the count of those that count."""
    scheduler, clock, follows = linear(total_steps=50), 0, False
    scheduler.optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PaceWarning)
        for action in actions:
            if action == "update":
                scheduler.optimizer.step()
                clock += follows
            elif action == "step":
                scheduler.step()
                clock += not follows
            else:
                getattr(scheduler, action)()
                follows = action == "follow"
            assert scheduler.last_epoch == clock
            assert held(scheduler.optimizer) == [cd.Linear(50)(clock)]


# The audit of the pace.


def run(scheduler, updates, *, steps=1, every=1):
    """Make updates, and that many steps after each, or after every so many."""
    for update in range(1, updates + 1):
        scheduler.optimizer.step()
        if update % every == 0:
            for _ in range(steps):
                scheduler.step()


def told(scheduler, updates, **pace):
    """What is said of a pace, if anything."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(scheduler, updates, **pace)
    assert all(issubclass(one.category, PaceWarning) for one in caught)
    return [str(one.message) for one in caught]


def test_a_step_for_each_micro_batch():
    """Four steps for each update are told once, with the update at which the plan will end."""
    assert told(linear(total_steps=10_000), 400, steps=4) == [
        "Scheduler: stepped 4.0x per optimizer update: the plan will end at update 2,500 of "
        "10,000; step() once per update, or call follow() and let the updates count"
    ]


def test_a_step_for_each_epoch():
    """A plan of updates that is stepped once per epoch would hardly get anywhere.

    The numbers are an estimate: in the 169 updates that were looked at, three steps were seen.
    """
    assert told(linear(total_steps=10_000), 600, every=50) == [
        "Scheduler: stepped once per 56 optimizer updates: the plan will end at update 563,340 of "
        "10,000; step() once per update; if a tick is an epoch, write clock='epoch'"
    ]


@pytest.mark.parametrize("horizon", [None, Horizon("30ep", steps_per_epoch=20)])
def test_an_epoch_for_each_batch(horizon):
    """A plan of epochs that is stepped at every update is over far too early."""
    total = {"total_steps": 30} if horizon is None else {"horizon": horizon, "total_steps": None}
    assert told(linear(clock="epoch", **total), 100) == [
        "Scheduler: stepped 1.0x per optimizer update: the plan will end at update 30; step() "
        "once per epoch, or write clock='update'"
    ]


def test_an_endless_plan_has_no_end_to_tell():
    """Without an end the message has the pace alone."""
    scheduler = Scheduler(sgd(1.0), lr=cd.InverseSqrt(10))
    assert told(scheduler, 100, steps=3) == [
        "Scheduler: stepped 3.0x per optimizer update; step() once per update, or call follow() "
        "and let the updates count"
    ]


def test_the_end_is_told_in_updates_of_the_whole_run():
    """After a resume, the updates that were made before count as well."""
    scheduler = linear(total_steps=10_000)
    scheduler.seek(5_000)
    assert told(scheduler, 100, steps=4) == [
        "Scheduler: stepped 4.0x per optimizer update: the plan will end at update 6,250 of "
        "10,000; step() once per update, or call follow() and let the updates count"
    ]


@pytest.mark.parametrize(
    ("options", "pace"),
    [
        ({}, {}),
        ({"clock": "epoch"}, {"every": 2}),
        ({"clock": "epoch"}, {"every": 90}),
        ({"clock": "epoch", "horizon": Horizon("100ep", steps_per_epoch=20)}, {"every": 20}),
    ],
)
def test_the_right_pace_is_not_mentioned(options, pace):
    """A clock that ticks as it says is left in peace."""
    if "horizon" in options:
        options = {**options, "total_steps": None}
    assert told(linear(**options), 1_000, **pace) == []


def test_skipped_updates_are_no_other_pace():
    """AMP that skips many updates at first, and some later on, is not mentioned."""
    scheduler = linear(total_steps=10_000)
    scheduler.optimizer.step()
    for _ in range(12):
        scheduler.step()  # the updates of these were skipped
    for i in range(1_000):
        if i % 20:
            scheduler.optimizer.step()
        scheduler.step()


def test_following_and_seeking_have_no_pace():
    """Neither updates that count themselves nor a clock that is set are judged."""
    scheduler = linear(total_steps=10_000).follow()
    run(scheduler, 200, steps=3)
    scheduler = linear(total_steps=10_000)
    for _ in range(100):
        run(scheduler, 5)
        scheduler.seek(scheduler.last_epoch + 70)


def test_the_warning_leads_to_the_loop():
    """What is told is told at the line of the loop, not inside the library."""
    scheduler = linear(total_steps=10_000)
    with pytest.warns(PaceWarning) as caught:
        run(scheduler, 100, steps=4)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_strict_raises():
    """With strict=True another pace is an error, raised where the update is made."""
    scheduler = linear(total_steps=10_000, strict=True)
    with pytest.raises(
        PaceError, match=r"^Scheduler: stepped 4\.0x per optimizer update: the plan "
    ):
        run(scheduler, 100, steps=4)
    run(linear(total_steps=10_000, strict=True), 300)
