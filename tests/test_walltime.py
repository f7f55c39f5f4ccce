"""Runs of a given time, by a simulated clock."""

import copy
import json
import math
import os
import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cadence as cd
from cadence import walltime
from cadence.errors import ArgumentError, MismatchError

WSD = "Warmup(10) >> Hold() >> Linear(100)"


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    simulated = Clock()
    monkeypatch.setattr(walltime, "TIMER", simulated)
    return simulated


def timed(lr, wall_time=1_000, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    horizon = cd.Horizon(wall_time=wall_time)
    return cd.Scheduler(optimizer, lr=lr, horizon=horizon, **options)


def update(scheduler):
    scheduler.optimizer.step()
    scheduler.step()


def trained(scheduler, clock, take=1.0, most=100_000):
    """Train to the end; the rate of each update, and the time at which it was chosen."""
    used = []
    while not scheduler.finished:
        used.append((scheduler.get_last_lr()[0], scheduler.elapsed))
        clock.now += take(len(used)) if callable(take) else take
        update(scheduler)
        assert len(used) < most
    return used


class TestShares:
    """A percentage is one of the time."""

    def test_the_plan_goes_by_the_time(self, clock):
        plan = cd.Warmup("10%", start=0) >> cd.Hold() >> cd.Linear("20%")
        used = trained(timed(plan), clock, take=7.0)
        for rate, elapsed in used:
            assert rate == pytest.approx(plan.resolve(1_000)(elapsed), abs=1e-6)
        assert len(used) == math.ceil(1_000 / 7)

    def test_slow_updates_take_larger_strides(self, clock):
        """The plan is through when the time is over, however the updates change."""
        scheduler = timed(cd.Linear())
        used = trained(scheduler, clock, take=lambda n: 1.0 if n < 100 else 90.0)
        assert used[100][0] == pytest.approx(0.811, abs=1e-6)
        assert [rate for rate, _ in used] == sorted((rate for rate, _ in used), reverse=True)
        assert scheduler.get_last_lr() == [0.0]

    def test_several_hyperparameters_go_by_one_watch(self, clock):
        scheduler = timed(cd.Linear(), momentum=cd.Linear(end=0.5))
        clock.now += 500
        update(scheduler)
        group = scheduler.optimizer.param_groups[0]
        assert (group["lr"], group["momentum"]) == (
            pytest.approx(0.5),
            pytest.approx(0.675),
        )


class TestSteps:
    """Lengths in steps, at the beginning and at the end, are updates."""

    def test_a_warm_up_of_steps(self, clock):
        scheduler = timed(WSD)
        plan = cd.Warmup(10)
        for step in range(15):
            assert scheduler.get_last_lr() == [plan(step)]
            clock.now += 3
            update(scheduler)

    @settings(deadline=None, max_examples=60)
    @given(
        n=st.integers(1, 300),
        mean=st.floats(0.1, 3.0),
        noise=st.lists(st.floats(0.9, 1.1), min_size=5, max_size=50),
        first=st.floats(1, 30),
    )
    def test_the_last_steps_begin_in_time(self, n, mean, noise, first):
        """No later than the budget less 1.2 times their number times the time of an update."""
        clock = Clock()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(walltime, "TIMER", clock)
            scheduler = timed(f"Warmup(5) >> Hold() >> Linear({n}, end=0.1)")
            used = trained(
                scheduler, clock, take=lambda i: first if i == 1 else mean * noise[i % len(noise)]
            )
        held = [elapsed for rate, elapsed in used[5:] if rate == 1.0]
        # Where the budget is short of the tail, nothing can be done but begin at once.
        if len(held) > 2:
            slowest, fastest = mean * max(noise), mean * min(noise)
            begun = held[-1]  # the level at which the tail begins is the one that was held
            assert begun <= 1_000 - 1.2 * fastest * n + slowest
            assert scheduler.elapsed <= 1_000
            assert scheduler.get_last_lr() == [pytest.approx(0.1)]
            # No more than the spare time, and what the first update was slower, is left over.
            assert scheduler.elapsed >= 1_000 - 0.45 * slowest * n - 3 * slowest

    def test_the_tail_takes_its_number_of_updates(self, clock):
        used = trained(timed(WSD), clock)
        falling = [rate for rate, _ in used if rate < 1.0][10:]
        assert falling == pytest.approx([1 - i / 100 for i in range(1, 100)])
        begun = next(t for rate, t in used[10:] if rate < 1.0)
        assert begun == pytest.approx(1_000 - 1.2 * 100, abs=2)

    def test_an_evaluation_that_takes_long_is_allowed_for(self, clock):
        """What comes round now and then is part of the time of an update."""
        scheduler = timed(WSD)
        trained(scheduler, clock, take=lambda n: 6.0 if n % 50 == 0 else 1.0)
        assert scheduler.elapsed <= 1_000
        assert scheduler.get_last_lr() == [0.0]

    def test_a_plan_of_steps_alone_does_not_look_at_the_time(self, clock):
        scheduler = timed("Warmup(10) >> Linear(20)")
        plan = cd.parse("Warmup(10) >> Linear(20)")
        for step in range(40):
            assert scheduler.get_last_lr() == [plan(step)]
            clock.now += 10
            update(scheduler)


class TestPauses:
    def test_a_pause_does_not_count(self, clock):
        scheduler = timed(cd.Linear())
        clock.now += 100
        update(scheduler)
        with scheduler.paused():
            clock.now += 5_000
        clock.now += 100
        update(scheduler)
        assert scheduler.elapsed == 200
        assert scheduler.get_last_lr() == [pytest.approx(0.8)]

    def test_time_before_a_pause_counts(self, clock):
        scheduler = timed(cd.Linear())
        clock.now += 100
        with scheduler.paused():
            clock.now += 5_000
        update(scheduler)
        assert scheduler.elapsed == 100

    def test_a_step_within_a_pause_takes_no_time(self, clock):
        scheduler = timed(cd.Linear())
        with scheduler.paused():
            clock.now += 5_000
            update(scheduler)
        assert scheduler.elapsed == 0

    @pytest.mark.parametrize("again", [json.dumps, pickle.dumps], ids=["json", "pickle"])
    def test_what_passes_between_two_processes_does_not_count(self, clock, again):
        """A resumed run goes on exactly, whenever it was stopped."""
        whole = timed(WSD)
        expected = [rate for rate, _ in trained(whole, clock)]
        found, scheduler = [], timed(WSD)
        while not scheduler.finished:
            found.append(scheduler.get_last_lr()[0])
            clock.now += 1.0
            update(scheduler)
            if len(found) % 37 == 0:
                state = again(scheduler.state_dict())
                clock.now += 900
                scheduler = timed(WSD)
                clock.now += 9
                read = json.loads if again is json.dumps else pickle.loads
                scheduler.load_state_dict(read(state))
        assert found == expected

    def test_a_copy_does_not_count_until_it_is_used(self, clock):
        scheduler = timed(cd.Linear())
        clock.now += 100
        update(scheduler)
        other = copy.deepcopy(scheduler)
        clock.now += 100
        update(scheduler)
        assert (scheduler.elapsed, other.elapsed) == (200, 100)
        assert other.get_last_lr() == [pytest.approx(0.9)]


class TestChanges:
    def test_more_time(self, clock):
        """The constructor's budget, with the time that the checkpoint has used."""
        first = timed(cd.Linear())
        clock.now += 500
        update(first)
        second = timed(cd.Linear(), 2_000, on_mismatch="constructor")
        second.load_state_dict(first.state_dict())
        clock.now += 500
        update(second)
        assert second.elapsed == 1_000
        assert second.get_last_lr() == [pytest.approx(0.5)]
        with pytest.raises(MismatchError, match=r"wall_time: checkpoint 1000\.0, constructor 2000"):
            timed(cd.Linear(), 2_000).load_state_dict(first.state_dict())
        third = timed(cd.Linear(), 2_000, on_mismatch="checkpoint")
        third.load_state_dict(first.state_dict())
        assert third.horizon == cd.Horizon(wall_time=1_000)
        clock.now += 250
        update(third)
        assert third.get_last_lr() == [pytest.approx(0.25)]

    def test_a_change_by_others_is_kept(self, clock):
        scheduler = timed(cd.Linear())
        clock.now += 500
        update(scheduler)
        scheduler.optimizer.param_groups[0]["lr"] = 0.25
        clock.now += 250
        with pytest.warns(cd.errors.ExternalChangeWarning, match="base 1 -> 0.5"):
            update(scheduler)
        assert scheduler.get_last_lr() == [pytest.approx(0.125)]

    def test_an_adjustment(self, clock):
        scheduler = timed(cd.Linear())
        clock.now += 500
        update(scheduler)
        scheduler.adjust(0.5)
        assert scheduler.get_last_lr() == [pytest.approx(0.25)]
        assert scheduler.value_at(1) == scheduler.get_last_lr()[0]

    def test_the_updates_are_followed(self, clock):
        scheduler = timed(cd.Linear()).follow()
        for _ in range(4):
            clock.now += 100
            scheduler.optimizer.step()
            scheduler.step()
        assert scheduler.last_epoch == 4
        assert scheduler.get_last_lr() == [pytest.approx(0.6)]

    def test_other_values_follow_too(self, clock):
        seen = []
        scheduler = timed(cd.Linear(), also={"dropout": (seen.append, cd.Linear(start=0.3, end=0))})
        clock.now += 500
        update(scheduler)
        assert seen == [0.3, pytest.approx(0.15)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("plan", "options"),
        [
            (cd.ExponentialDecay(0.9), {}),
            (cd.sgdr(100), {}),
            (cd.Hold("50%") >> cd.Linear(100) >> cd.Hold(), {}),
            ((cd.Warmup(50) >> cd.Linear()) * 0.5, {}),
        ],
        ids=repr,
    )
    def test_steps_where_time_is_measured(self, clock, plan, options):
        with pytest.raises(ArgumentError, match="counts steps in a part that takes a share"):
            timed(plan, **options)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"clock": "epoch"}, "leave clock='epoch' out"),
            ({"past_end": "repeat"}, "must be without past_end="),
            ({"capturable": True}, "must be without capturable="),
        ],
    )
    def test_options_that_count_steps(self, clock, options, match):
        with pytest.raises(ArgumentError, match=match):
            timed(cd.Linear(), **options)

    def test_questions_about_steps_to_come(self, clock):
        scheduler = timed(cd.Linear())
        for ask in (
            lambda: scheduler.value_at(7),
            lambda: scheduler.preview(3),
            lambda: scheduler.seek(7),
            lambda: scheduler.extend(100),
            lambda: scheduler.cooldown(100),
        ):
            with pytest.raises(ArgumentError, match="given time"):
                ask()

    def test_both_lengths(self):
        with pytest.raises(ArgumentError, match="not both"):
            cd.Horizon(100, wall_time="2h")

    @pytest.mark.parametrize("text", ["", "2", "2x", "h", -1, math.nan, True])
    def test_what_is_no_time(self, text):
        with pytest.raises((ArgumentError, TypeError), match="wall_time"):
            cd.Horizon(wall_time=text)

    def test_a_state_of_a_run_in_steps(self, clock):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        other = cd.Scheduler(optimizer, lr=cd.Linear(), total_steps=100)
        for choice in ("raise", "checkpoint", "constructor"):
            scheduler = timed(cd.Linear(), on_mismatch=choice)
            with pytest.raises(MismatchError, match="given time"):
                scheduler.load_state_dict(other.state_dict())
        with pytest.raises(MismatchError, match="wall_time"):
            other.load_state_dict(timed(cd.Linear()).state_dict())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7_200), ("90min", 5_400), ("1h30min", 5_400), ("1.5 d", 129_600), (45, 45)],
)
def test_times_are_read(text, seconds):
    assert cd.Horizon(wall_time=text).wall_time == seconds


def test_the_picture_is_of_the_time(clock):
    scheduler = timed(WSD)
    clock.now += 500
    update(scheduler)
    (axes,) = scheduler.plot()
    assert "time" in axes.get_xlabel()


def run_of_a_process(folder):
    """Train in one of several processes, whose watches go at different speeds; print the rates."""
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    walltime.TIMER = clock = Clock()
    store = torch.distributed.FileStore(str(Path(folder) / f"store{world}"), world)
    torch.distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=60)
    )
    scheduler = timed(WSD)
    used = trained(scheduler, clock, take=lambda n: (1 + rank) * (1.0 + 0.1 * (n % 7)))
    torch.distributed.destroy_process_group()
    sys.stdout.write(json.dumps([rate for rate, _ in used]))


@pytest.mark.slow
def test_all_processes_go_by_the_watch_of_the_first(tmp_path):
    found = {}
    for world in (1, 2):
        processes = [
            subprocess.Popen(
                [sys.executable, __file__, str(tmp_path)],
                env={
                    **os.environ,
                    "RANK": str(rank),
                    "WORLD_SIZE": str(world),
                    "OMP_NUM_THREADS": "1",
                },
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]
        found[world] = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert found[2] == found[1] * 2


if __name__ == "__main__":
    run_of_a_process(sys.argv[1])
