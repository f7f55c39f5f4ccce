"""Logging: what each update used, whoever schedules it and wherever the call stands."""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import pytest
import torch
from PIL import Image

import cadence as cd
import cadence.lr_scheduler
from cadence import Scheduler, read_run, walltime
from cadence._optional import require
from cadence.errors import (
    ArgumentError,
    ArgumentTypeError,
    ExternalChangeWarning,
    LogWarning,
    MismatchError,
    MissingLibraryError,
)
from cadence.logs import CSV, JSONL, LogSink, ScheduleLogger, TensorBoard
from loops import Kept, check, model, present, train, two_groups
from optimizers import adamw, groups, sgd

PLAN = cd.Warmup("20%") >> cd.Cosine(end=0.1)


def files(folder):
    """A sink of each kind that the default environment has, and where to read it back."""
    return {
        folder / "run.csv": CSV(folder / "run.csv"),
        folder / "run.jsonl": JSONL(folder / "run.jsonl"),
        folder / "tb": TensorBoard(folder / "tb"),
    }


def check_all(folder, used, **options):
    for path in files(folder):
        check(read_run(path), used, single=path.name == "tb", **options)


# The value used, in every loop.


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("log_first", [False, True])
def test_the_values_are_those_that_the_update_used(follow, log_first, tmp_path):
    """Before or after the scheduler's step, and where it follows: at every update, in all sinks."""
    net = model()
    optimizer = two_groups(net)
    scheduler = Scheduler(
        optimizer,
        lr={"backbone": PLAN, "head": cd.Linear()},
        momentum=cd.Linear("50%", end=0.5) >> cd.Linear(end=0.95),
        total_steps=30,
    )
    tick = (lambda *_: None) if follow else (lambda *_: scheduler.step())
    if follow:
        scheduler.follow()
    keys = ("lr", "momentum")
    with ScheduleLogger(scheduler, files(tmp_path).values()) as logger:
        used = train(net, optimizer, logger, 30, tick=tick, log_first=log_first, keys=keys)
    assert len({row["lr/head"] for row in used}) == 30
    check_all(tmp_path, used)
    run = read_run(tmp_path / "run.jsonl")
    for name in ("backbone", "head"):
        expected = scheduler.value_at(run.steps, "lr", name)
        assert run.values[f"lr/{name}"].tolist() == expected.tolist()
        assert run.values[f"plan/lr/{name}"].tolist() == expected.tolist()


@pytest.mark.parametrize("fused", [False, True])
def test_an_update_that_amp_skips_is_none(fused, tmp_path):
    """Nothing is logged of it, neither where step() is not called nor where it is in vain."""
    net = model()
    optimizer = two_groups(net, torch.optim.AdamW, fused=fused)
    scheduler = Scheduler(optimizer, lr=PLAN, total_steps=12).follow()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    used = []
    with ScheduleLogger(scheduler, files(tmp_path).values()) as logger:
        for batch in range(12):
            loss = net(torch.randn(8, 4)).square().mean()
            if batch in (0, 3, 4):
                loss = loss * float("inf")
            scaler.scale(loss).backward()
            before = present(optimizer, ["lr"]) | {"loss": loss.item()}
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            assert logger.log(loss=loss) == (batch not in (0, 3, 4))
            if batch not in (0, 3, 4):
                used.append(before)
    assert scheduler.last_epoch == len(used) == 9
    check_all(tmp_path, used)


def test_micro_batches_are_no_updates(tmp_path):
    """A call for each micro-batch writes one row for each update, with the last one's loss."""
    net = model()
    optimizer = two_groups(net)
    scheduler = Scheduler(optimizer, lr=PLAN, total_steps=5).follow()
    used = []
    with ScheduleLogger(scheduler, files(tmp_path).values()) as logger:
        for batch in range(1, 21):
            loss = net(torch.randn(8, 4)).square().mean()
            (loss / 4).backward()
            if batch % 4 == 0:
                used.append(present(optimizer, ["lr"]) | {"loss": loss.item()})
                optimizer.step()
                optimizer.zero_grad()
            assert logger.log(loss=loss) == (batch % 4 == 0)
    check_all(tmp_path, used)
    assert len((tmp_path / "run.csv").read_text().splitlines()) == 6


def test_a_plateau_leaves_the_plan_where_it_is(tmp_path):
    """The used rate drops by the decision, the reference does not, and the text says why."""
    net = model()
    optimizer = two_groups(net)
    plateau = cd.Plateau(patience=2, factor=0.5)
    scheduler = Scheduler(optimizer, lr=cd.Warmup(4) >> cd.Hold(), feedback=plateau)
    with ScheduleLogger(scheduler, files(tmp_path).values()) as logger:
        used = train(
            net, optimizer, logger, 12, tick=lambda update, _: scheduler.step(max(5 - update, 1.0))
        )
    decisions = scheduler.decisions
    assert len(decisions) == 2
    check_all(tmp_path, used)
    for path in files(tmp_path):
        run = read_run(path)
        told = [(text.step, text.text) for text in run.texts if text.key == "decisions"]
        assert [step for step, _ in told] == [decision.step for decision in decisions]
        assert told[0][1] == "rates x 0.5 (metric 1): no better than 1 for 3 metrics"
        plan = (cd.Warmup(4) >> cd.Hold()).resolve(12)(run.steps, 0.1).astype("float32")
        assert run.values["plan/lr/head"].astype("float32").tolist() == plan.tolist()


def test_what_happens_to_a_run_is_told():
    """Adjustments, changes by others, and another length with its plan and picture."""
    net, sink = model(), Kept()
    optimizer = two_groups(net)
    scheduler = Scheduler(optimizer, lr=cd.Linear(), weight_decay=1.0, total_steps=20)

    def tick(update, _):
        if update == 4:
            scheduler.adjust(0.5, group="head", reason="noisy")
        if update == 9:
            scheduler.extend(40, "stretch")
        if update == 14:
            optimizer.param_groups[0]["lr"] *= 0.5
        scheduler.step()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger = ScheduleLogger(scheduler, sink)
        used = train(net, optimizer, logger, 20, tick=tick)
        logger.close()
    assert [warning.category for warning in caught] == [ExternalChangeWarning]
    assert [row["lr/head"] for row in used] == list(sink.series("lr/head").values())
    plan, adjusted, extended, changed = sink.texts
    assert plan[:2] == (0, "plan")
    assert "lr of head, base 0.1: Linear(20)" in plan[2]
    assert "Decay linearly over 20 steps from the full rate (0.1) to 0." in plan[2]
    assert "weight_decay of backbone, head, base 0.0: Constant(1, 20)" in plan[2]
    assert adjusted == (4, "adjustments", "lr of head x 0.5: noisy")
    assert extended[:2] == (9, "plan")
    assert (
        "lr of head, base 0.1: Linear(20).part(0, 9) >> Linear(20).part(9, 20, steps=31)"
        in (extended[2])
    )
    assert changed[:2] == (14, "changes")
    assert changed[2].startswith("base of lr/backbone: 0.05 -> 0.025")
    assert [(step, key) for step, key, _ in sink.pictures] == [(0, "plan"), (9, "plan")]
    for _, _, png in sink.pictures:
        with Image.open(io.BytesIO(png)) as image:
            assert image.width > 400
            assert len(image.convert("RGB").getcolors(1 << 24)) > 10
    # The reference is of the plan, whatever has been made of it.
    for step, value in sink.series("plan/lr/backbone").items():
        assert value == scheduler._slot("", "lr", 0).plan(step, 0.05)


def test_what_follows_the_clock_beside_the_groups_is_logged():
    """A value that a setter was given is logged as the update found it."""
    for follow in (False, True):
        dropout, sink, optimizer = torch.nn.Dropout(0.3), Kept(), sgd(0.5)
        plan = cd.Linear(start=0.3, end=0)
        also = {"dropout": (lambda p, dropout=dropout: setattr(dropout, "p", p), plan)}
        scheduler = Scheduler(optimizer, lr=cd.Constant(1), also=also, total_steps=5)
        if follow:
            scheduler.follow()
        logger, found = ScheduleLogger(scheduler, sink), []
        for _ in range(5):
            found.append(dropout.p)
            optimizer.step()
            scheduler.step()
            logger.log()
        assert list(sink.series("also/dropout").values()) == found
        assert "dropout: Linear(5, start=0.3)" in sink.texts[0][2]


# Who schedules.

THEIRS = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("CosineAnnealingLR", {"T_max": 6}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 13}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.9**epoch}),
]


@pytest.mark.parametrize("library", [torch.optim.lr_scheduler, cadence.lr_scheduler])
@pytest.mark.parametrize(("name", "options"), THEIRS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_schedulers_of_torch_protocol(library, name, options, kind):
    """Torch's own and the drop-in: the rates, and the momentum where it is cycled."""
    net, sink = model(), Kept()
    optimizer = two_groups(net, kind)
    scheduler = getattr(library, name)(optimizer, **options)
    key = "momentum" if kind is torch.optim.SGD else "beta1"
    cycled = name in ("OneCycleLR", "CyclicLR")
    with ScheduleLogger(scheduler, sink) as logger:
        keys = ["lr", key] if cycled else ["lr"]
        used = train(net, optimizer, logger, 12, tick=lambda *_: scheduler.step(), keys=keys)
    assert [row for _, row in sink.rows] == used
    assert [step for step, _ in sink.rows] == list(range(12))
    assert [text[:2] for text in sink.texts] == [(0, "plan")]
    assert sink.texts[0][2].startswith(f"{name}(")
    assert not sink.pictures


@pytest.mark.parametrize("library", [torch.optim.lr_scheduler, cadence.lr_scheduler])
def test_composites_and_plateaus_of_torch(library):
    """A sequence, whose leaves are told, and a scheduler that is stepped with a metric."""
    net, sink = model(), Kept()
    optimizer = two_groups(net)
    warmup = library.LinearLR(optimizer, start_factor=0.1, total_iters=3)
    cycle = library.OneCycleLR(optimizer, 0.5, total_steps=20)
    scheduler = library.SequentialLR(optimizer, [warmup, cycle], milestones=[3])
    with ScheduleLogger(scheduler, sink) as logger:
        keys = ["lr", "momentum"]
        used = train(net, optimizer, logger, 8, tick=lambda *_: scheduler.step(), keys=keys)
    assert [row for _, row in sink.rows] == used
    assert "LinearLR(start_factor=0.1" in sink.texts[0][2]
    net, sink = model(), Kept()
    optimizer = two_groups(net)
    plateau = library.ReduceLROnPlateau(optimizer, patience=1)
    with ScheduleLogger(plateau, sink) as logger:
        used = train(net, optimizer, logger, 8, tick=lambda *_: plateau.step(1.0))
    assert [row for _, row in sink.rows] == used
    assert used[-1]["lr/head"] < 0.1


def test_an_optimizer_alone():
    """Whoever writes its rates by hand, what its updates used is logged; any key may be chosen."""
    net, sink = model(), Kept()
    optimizer = two_groups(net, torch.optim.AdamW)

    def tick(update, _):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (update + 2)
            group["betas"] = (0.9 - 0.01 * update, 0.99)

    keys = ["lr", "beta1", "weight_decay"]
    with ScheduleLogger(optimizer, sink, keys=keys) as logger:
        used = train(net, optimizer, logger, 6, tick=tick, keys=keys)
    assert [row for _, row in sink.rows] == used
    assert not sink.texts


def test_a_wrapped_scheduler_and_optimizer_are_found():
    """What a framework has wrapped is logged as what it is."""

    class Wrapper:
        def __init__(self, scheduler):
            self.scheduler = scheduler

    class WrappedOptimizer(torch.optim.Optimizer):
        def __init__(self, optimizer):
            self.optimizer = optimizer
            self.param_groups = optimizer.param_groups
            self.defaults = optimizer.defaults

        def step(self, closure=None):
            self.optimizer.step(closure)

    optimizer, sink = sgd(0.5), Kept()
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=4)
    logger = ScheduleLogger(Wrapper(scheduler), sink)
    wrapped, other = WrappedOptimizer(optimizer), Kept()
    by_optimizer = ScheduleLogger(wrapped, other)
    for _ in range(4):
        wrapped.step()
        scheduler.step()
        logger.log()
        by_optimizer.log()
    assert list(sink.series("lr/group0").values()) == [0.5, 0.375, 0.25, 0.125]
    assert sink.series("lr/group0") == other.series("lr/group0")


def test_several_optimizers():
    """Optimizers with one clock make one row for each round, their groups counted through."""
    first, second, sink = sgd(0.5, 0.25), adamw(0.1, names=["head"]), Kept()
    scheduler = Scheduler([first, second], lr=cd.Linear(), total_steps=6).follow()
    logger, used = ScheduleLogger(scheduler, sink), []
    for _ in range(6):
        rates = [group["lr"] for o in (first, second) for group in o.param_groups]
        used.append(dict(zip(["lr/group0", "lr/group1", "lr/head"], rates, strict=True)))
        first.step()
        assert not logger.due
        second.step()
        assert logger.due
        assert logger.log()
    rows = [{k: v for k, v in row.items() if not k.startswith("plan/")} for _, row in sink.rows]
    assert rows == used
    assert len(sink.rows) == 6


def test_the_slower_of_two_sets_the_pace():
    """In a GAN under one clock a row has what each has used last; two loggers share a sink."""
    generator, critic, sink = sgd(1.0, names=["g"]), sgd(0.5, names=["c"]), Kept()
    scheduler = Scheduler([generator, critic], lr=cd.Linear(), total_steps=4).follow()
    with ScheduleLogger(scheduler, sink) as logger:
        for update in range(1, 13):
            critic.step()
            logger.log()
            if update % 3 == 0:
                generator.step()
                logger.log()
    assert sink.series("lr/g") == {0: 1.0, 1: 0.75, 2: 0.5, 3: 0.25}
    assert sink.series("lr/c") == {0: 0.5, 1: 0.375, 2: 0.25, 3: 0.125}
    sink = Kept()
    for_g = ScheduleLogger(generator, sink, prefix="generator/")
    for_c = ScheduleLogger(critic, sink, prefix="critic/")
    critic.step()
    for_c.log()
    generator.step()
    for_g.log(loss=1.0)
    assert sink.rows == [(0, {"critic/lr/c": 0.0}), (0, {"loss": 1.0, "generator/lr/g": 0.0})]


def test_tensor_rates_are_copied():
    """A rate that is written in place is logged as it was, in its own precision."""
    for dtype in (torch.float32, torch.float64):
        optimizer, sink = sgd(0.1, 0.05, dtype=dtype), Kept()
        scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=7).follow()
        logger, used = ScheduleLogger(scheduler, sink), []
        for _ in range(7):
            used.append(optimizer.param_groups[1]["lr"].item())
            optimizer.step()
            logger.log(loss=torch.tensor(1.0, requires_grad=True))
        assert list(sink.series("lr/group1").values()) == used
        assert len(set(used)) == 7


def test_an_epoch_is_many_updates():
    """A clock of epochs ticks rarely: the log counts updates, the reference is of the epoch."""
    optimizer, sink = sgd(1.0), Kept()
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=4, clock="epoch")
    logger = ScheduleLogger(scheduler, sink)
    for _ in range(4):
        for _ in range(3):
            optimizer.step()
            logger.log()
        scheduler.step()
    expected = {step: 1 - 0.25 * (step // 3) for step in range(12)}
    assert sink.series("lr/group0") == sink.series("plan/lr/group0") == expected


def test_a_run_of_a_given_time(monkeypatch):
    """The reference is the plan at the time of the update, and steps are updates."""
    now = [0.0]
    monkeypatch.setattr(walltime, "TIMER", lambda: now[0])
    optimizer, sink, used = sgd(0.5), Kept(), []
    scheduler = Scheduler(
        optimizer,
        lr="Warmup(3) >> Hold() >> Linear('40%')",
        horizon=cd.Horizon(wall_time=60),
        feedback=cd.Plateau(patience=0, factor=0.5),
    )
    with ScheduleLogger(scheduler, sink) as logger:
        while not scheduler.finished:
            used.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            now[0] += 1 + len(used) % 3
            scheduler.step(1.0 if len(used) == 1 or len(used) == 12 else None)
            logger.log()
    assert list(sink.series("lr/group0").values()) == used
    expected = [rate if step < 12 else 2 * rate for step, rate in enumerate(used)]
    assert list(sink.series("plan/lr/group0").values()) == pytest.approx(expected)
    assert sink.texts[0][2].splitlines() == [
        "A run of 60 s.",
        "lr of group0, base 0.5: Warmup(3) >> Hold() >> Linear('40%')",
    ]
    assert len(sink.pictures) == 1


# What is written when.


def test_one_in_many():
    """With `every`, updates at its multiples are written, with what was given along with them."""
    optimizer, sink = sgd(1.0), Kept()
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=20).follow()
    logger = ScheduleLogger(scheduler, sink, every=5)

    class Costly:
        """A loss whose value takes the device to wait."""

        def __init__(self):
            self.read = False

        def __float__(self):
            self.read = True
            return 1.0

    for update in range(20):
        loss = Costly()
        optimizer.step()
        assert logger.due == (update % 5 == 0)
        assert logger.log(loss=loss) == loss.read == (update % 5 == 0)
        assert not logger.log(loss=1.0)
    assert [step for step, _ in sink.rows] == [0, 5, 10, 15]
    assert list(sink.series("lr/group0").values()) == [1.0, 0.75, 0.5, 0.25]


def test_one_in_many_where_the_loop_logs_rarely():
    """The update just made is written once another multiple is passed, not the one at it."""
    optimizer, sink = sgd(1.0), Kept()
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=100).follow()
    logger = ScheduleLogger(scheduler, sink, every=10)
    for update in range(60):
        optimizer.step()
        if update % 7 == 6:
            logger.log(loss=float(update))
    assert sink.series("loss") == {6: 6, 13: 13, 20: 20, 34: 34, 41: 41, 55: 55}
    assert sink.series("lr/group0") == {s: 1 - s / 100 for s in (6, 13, 20, 34, 41, 55)}


def test_a_validation_loss_belongs_to_the_last_update():
    """Numbers that come later are written under it, each once, whatever `every` is."""
    optimizer, sink = sgd(1.0), Kept()
    logger = ScheduleLogger(optimizer, sink, every=4)
    assert not logger.log(val_loss=9.0)
    for update in range(6):
        optimizer.step()
        logger.log(loss=float(update))
    assert logger.log(val_loss=2.0)
    assert not logger.log(val_loss=3.0)
    assert not logger.log(loss=3.0)
    assert logger.log({"val/accuracy": 0.5}, loss=3.0)
    assert not logger.log()
    assert sink.rows == [
        (0, {"loss": 0.0, "lr/group0": 1.0}),
        (4, {"loss": 4.0, "lr/group0": 1.0}),
        (5, {"val_loss": 2.0}),
        (5, {"val/accuracy": 0.5}),
    ]


def test_a_step_of_your_own():
    """Where the loop counts otherwise, its number is the step of everything."""
    optimizer, sink = sgd(1.0), Kept()
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=20)
    with ScheduleLogger(scheduler, sink) as logger:
        for update in range(3):
            optimizer.step()
            if update == 1:
                scheduler.adjust(0.5)
            scheduler.step()
            logger.log(step=100 + 8 * update)
    assert sink.series("lr/group0") == {100: 1.0, 108: 0.95, 116: 0.45}
    assert [text[:2] for text in sink.texts] == [(100, "plan"), (108, "adjustments")]


def test_what_happens_after_the_last_row_is_told_at_the_end():
    """Closing tells what has not been told, and closes every sink, also where one fails."""

    class Failing(Kept):
        def close(self):
            super().close()
            raise OSError("disk full")

    optimizer, failing, sink = sgd(1.0), Failing(), Kept()
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=20)
    logger = ScheduleLogger(scheduler, [sink, failing])
    optimizer.step()
    logger.log()
    scheduler.step()
    scheduler.adjust(0.5, reason="last")
    with pytest.raises(OSError, match="disk full"):
        logger.close()
    logger.close()
    assert (sink.closed, failing.closed) == (1, 1)
    assert sink.texts[-1] == failing.texts[-1] == (1, "adjustments", "lr x 0.5: last")
    with pytest.raises(ArgumentError, match="the logger must not be closed"):
        logger.log()


def test_going_back_after_a_spike(tmp_path):
    """The log follows the clock back, decisions too, and is read as the run that went on."""
    net, kept = model(), Kept()
    optimizer = two_groups(net)
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=20)
    with ScheduleLogger(scheduler, [kept, *files(tmp_path).values()]) as logger:
        used = train(net, optimizer, logger, 8, tick=lambda *_: scheduler.step())
        scheduler.adjust(0.9, reason="gone")
        logger.log(val_loss=1.0)
        scheduler.seek(3)
        used[3:] = train(net, optimizer, logger, 9, tick=lambda *_: scheduler.step())
    assert [step for step, _ in kept.rows] == [*range(8), 7, *range(3, 12)]
    assert [key for _, key, _ in kept.texts] == ["plan", "adjustments"]
    check_all(tmp_path, used)
    for path in files(tmp_path):
        run = read_run(path)
        # Of val_loss, at the last step, TensorBoard alone says that it was left behind.
        assert run.replaced == 5 * 5 + (path.name == "tb")
        assert ("val_loss" in run.series) == (path.name != "tb")
        assert "plan" in [text.key for text in run.texts]


def test_names_stay_what_they_are():
    """Groups that join are named in turn, and two of one name are told apart."""
    optimizer = sgd(0.5, 0.25, 0.125, names=["body", "body"])
    sink = Kept()
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=10)
    logger = ScheduleLogger(scheduler, sink)
    for update in range(4):
        optimizer.step()
        logger.log()
        if update == 1:
            optimizer.add_param_group({**groups([0.1])[0], "name": "late"})
            optimizer.add_param_group(groups([0.2])[0])
        scheduler.step()
    names = ["lr/body", "lr/body.1", "lr/group2"]
    assert [key for key in sink.rows[0][1] if "plan" not in key] == names
    assert [key for key in sink.rows[3][1] if "plan" not in key] == [*names, "lr/late", "lr/group4"]
    expected = {step: cd.Linear(10)(step, 0.1) for step in (2, 3)}
    assert sink.series("lr/late") == sink.series("plan/lr/late") == expected


def test_nothing_but_the_values():
    """Without the plan there is neither its text nor its picture nor a reference."""
    optimizer, sink = sgd(0.5), Kept()
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=10)
    logger = ScheduleLogger(scheduler, sink, plan=False)
    optimizer.step()
    logger.log()
    assert (sink.rows, sink.texts, sink.pictures) == ([(0, {"lr/group0": 0.5})], [], [])
    quiet = ScheduleLogger(scheduler, [])
    optimizer.step()
    assert quiet.log(loss=1.0)


# Lifetime and state.


def test_a_logger_that_is_gone_is_gone():
    """Its hooks keep neither it nor the scheduler alive, and leave with it; so does close()."""
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=10)
    hooks = len(optimizer._optimizer_step_post_hooks), len(optimizer._optimizer_step_pre_hooks)

    def now():
        optimizer.step()
        return len(optimizer._optimizer_step_post_hooks), len(optimizer._optimizer_step_pre_hooks)

    logger = ScheduleLogger(scheduler, Kept())
    assert now() == (hooks[0] + 1, hooks[1] + 1)
    reference = weakref.ref(logger)
    del logger
    gc.collect()
    assert reference() is None
    assert now() == hooks
    logger = ScheduleLogger(scheduler, Kept())
    logger.close()
    assert now() == hooks


def test_resume_goes_on_with_the_log(tmp_path):
    """In one process: the clock says where, the state says what was told."""

    def run(updates, first, states):
        net = model()
        optimizer = two_groups(net)
        scheduler = Scheduler(
            optimizer, lr=PLAN, total_steps=20, feedback=cd.Plateau(patience=1, factor=0.5)
        )
        with ScheduleLogger(scheduler, files(tmp_path).values()) as logger:
            if states:
                scheduler.load_state_dict(states[0])
                logger.load_state_dict(states[1])
            used = train(
                net, optimizer, logger, updates, tick=lambda update, _: scheduler.step(1.0)
            )
            file = io.BytesIO()
            torch.save((scheduler.state_dict(), logger.state_dict()), file)
        file.seek(0)
        return used, torch.load(file, weights_only=True)

    used, states = run(8, 0, None)
    more, _ = run(12, 8, states)
    check_all(tmp_path, used + more)
    for path in files(tmp_path):
        run_ = read_run(path)
        assert [text.step for text in run_.texts if text.key == "plan"] == [0]
        decisions = [text.step for text in run_.texts if text.key == "decisions"]
        assert decisions == [2, 4, 6, 8, 10, 12, 14, 16, 18]
        plan = PLAN.resolve(20)(run_.steps, 0.1).astype("float32").tolist()
        assert run_.values["plan/lr/head"].astype("float32").tolist() == plan


def test_resume_without_the_logger_s_state(tmp_path):
    """The steps go on all the same; the plan is told again, and what happened before is not."""
    optimizer, sink = sgd(0.5), Kept()
    options = {"lr": cd.Linear(), "total_steps": 10, "feedback": cd.Plateau(patience=0)}
    scheduler = Scheduler(optimizer, **options)
    for _ in range(4):
        optimizer.step()
        scheduler.step(1.0)
    assert [decision.step for decision in scheduler.decisions] == [1, 2, 3]
    optimizer = sgd(0.5)
    resumed = Scheduler(optimizer, **options)
    with ScheduleLogger(resumed, sink) as logger:
        resumed.load_state_dict(scheduler.state_dict())
        optimizer.step()
        resumed.step(1.0)
        logger.log()
    assert [step for step, _ in sink.rows] == [4]
    assert sink.rows[0][1]["lr/group0"] == pytest.approx(0.5e-3 * 0.6)
    assert sink.rows[0][1]["plan/lr/group0"] == pytest.approx(0.5 * 0.6)
    assert [text[:2] for text in sink.texts] == [(4, "plan"), (4, "decisions")]


def test_resume_of_a_scheduler_that_does_not_count_updates():
    """An optimizer's own logger goes on from its state, and `every` keeps its rhythm."""
    sink, state = Kept(), None
    for _ in range(2):
        optimizer = sgd(0.5)
        logger = ScheduleLogger(optimizer, sink, every=4)
        if state:
            logger.load_state_dict(state)
        for _ in range(6):
            optimizer.step()
            logger.log()
        state = json.loads(json.dumps(logger.state_dict()))
    assert [step for step, _ in sink.rows] == [0, 4, 8]
    assert state["updates"] == 12
    for wrong in ({}, {**state, "version": 2}, {**state, "updates": -1}, []):
        with pytest.raises((MismatchError, ArgumentError)):
            logger.load_state_dict(wrong)
    assert logger.state_dict() == state


SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
import cadence as cd
from cadence.logs import CSV, JSONL, ScheduleLogger, TensorBoard
from loops import model, present, two_groups

folder, last = Path(sys.argv[1]), int(sys.argv[2])
net = model()
optimizer = two_groups(net)
scheduler = cd.Scheduler(
    optimizer,
    lr={"backbone": cd.Warmup(5) >> cd.Cosine(), "head": cd.Linear()},
    momentum=cd.Linear(end=0.5),
    total_steps=20,
).follow()
sinks = [CSV(folder / "run.csv"), JSONL(folder / "run.jsonl"), TensorBoard(folder / "tb")]
logger = ScheduleLogger(scheduler, sinks)
if (folder / "state.pt").exists():
    state = torch.load(folder / "state.pt")
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    logger.load_state_dict(state["logger"])
with open(folder / "used.jsonl", "a") as file:
    while scheduler.last_epoch < last:
        step = scheduler.last_epoch
        loss = net(torch.randn(8, 4)).square().mean()
        loss.backward()
        used = present(optimizer, ["lr", "momentum"]) | {"loss": loss.item()}
        file.write(json.dumps([step, used]) + "\\n")
        file.flush()
        optimizer.step()
        optimizer.zero_grad()
        logger.log(loss=loss)
        if step == 7:
            state = {"optimizer": optimizer, "scheduler": scheduler, "logger": logger}
            state = {name: one.state_dict() for name, one in state.items()}
            torch.save(state, folder / "state.pt")
        if step == 11 and last == 13:
            sinks[2]._writer.flush()
            os._exit(9)
logger.close()
"""


def python(script, *arguments, **options):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        env=environment, text=True, **options,
    )  # fmt: skip


@pytest.mark.slow
def test_resume_in_a_second_process(tmp_path):
    """A run that dies, and goes on from an earlier checkpoint, is read as one run."""
    assert python(SCRIPT, tmp_path, 13).wait() == 9
    assert python(SCRIPT, tmp_path, 20).wait() == 0
    rows = [json.loads(line) for line in (tmp_path / "used.jsonl").read_text().splitlines()]
    assert [step for step, _ in rows] == [*range(12), *range(8, 20)]
    used = dict(rows)
    check_all(tmp_path, [used[step] for step in range(20)])
    for path in files(tmp_path):
        assert [text.key for text in read_run(path).texts] == ["plan"]


@pytest.mark.slow
def test_a_killed_process_loses_no_line(tmp_path):
    """All lines that were written are in the files, whole, when a process is killed."""
    script = """
import sys
from pathlib import Path
from cadence.logs import CSV, JSONL
sinks = [CSV(Path(sys.argv[1], "run.csv")), JSONL(Path(sys.argv[1], "run.jsonl"))]
step = 0
while True:
    for sink in sinks:
        sink.scalars(step, {"lr/head": 0.1 * step, "loss": 1 / (step + 1)})
    print(step, flush=True)
    step += 1
"""
    with python(script, tmp_path, stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            if int(line) >= 300:
                process.send_signal(signal.SIGKILL)
                break
        told = max([300, *map(int, process.stdout.read().split())])
    for name in ("run.csv", "run.jsonl"):
        run = read_run(tmp_path / name)
        assert run.steps.tolist() == list(range(len(run.steps)))
        assert len(run.steps) in (told + 1, told + 2)
        assert run["lr/head"].values.tolist() == [0.1 * step for step in run.steps]


# Bad calls.


def bad(call, message, kind=ArgumentError):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_bad_calls_say_what_is_wrong(tmp_path):
    """A logger that cannot log says so at construction, and leaves no hook behind."""
    optimizer, sink = sgd(0.5), Kept()

    class Hookless(torch.optim.Optimizer):
        def __init__(self):
            self.param_groups = groups([0.1])
            self.defaults = {}

        def step(self, closure=None):
            pass

    bad(
        lambda: ScheduleLogger("run", sink),
        "ScheduleLogger: 'source' must be a scheduler, an optimizer, or a list of optimizers (got "
        "'run')",
        ArgumentTypeError,
    )
    bad(
        lambda: ScheduleLogger(optimizer, "run.jsonl"),
        "ScheduleLogger: 'sinks' must be sinks, with scalars(), text(), picture() and close() (got "
        "'run.jsonl'); write JSONL('run.jsonl') or TensorBoard('runs')",
        ArgumentTypeError,
    )
    bad(
        lambda: ScheduleLogger(optimizer, [sink, None]),
        "ScheduleLogger: 'sinks' must be sinks, with scalars(), text(), picture() and close() (got "
        "None); write JSONL('run.jsonl') or TensorBoard('runs')",
        ArgumentTypeError,
    )
    bad(
        lambda: ScheduleLogger(optimizer, sink, every=0),
        "ScheduleLogger: 'every' must be >= 1 (got 0)",
    )
    bad(
        lambda: ScheduleLogger(optimizer, sink, keys="lr"),
        "ScheduleLogger: 'keys' must be a list of names (got 'lr'); write ['lr']",
        ArgumentTypeError,
    )
    bad(
        lambda: ScheduleLogger(optimizer, sink, keys=["lr", "momentun"]),
        "ScheduleLogger: param_groups[0] must have a number 'momentun' (it has lr, momentum, "
        "dampening, weight_decay); did you mean 'momentum'?",
    )
    bad(
        lambda: ScheduleLogger([optimizer, Hookless()], sink),
        "ScheduleLogger: the optimizers must have hooks (got SGD, Hookless); give the optimizer "
        "that is wrapped",
    )
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    logger = ScheduleLogger(optimizer, [sink, JSONL(tmp_path / "run.jsonl")])
    optimizer.step()
    bad(
        lambda: logger.log(loss="1.0"),
        "ScheduleLogger.log: 'loss' must be a number (got '1.0')",
        ArgumentTypeError,
    )
    bad(
        lambda: logger.log({"step": 1}),
        "ScheduleLogger.log: 'step' is the step itself; write log(..., step=...)",
    )
    bad(lambda: logger.log(step=-1), "ScheduleLogger.log: 'step' must be >= 0 (got -1)")
    assert logger.log(loss=1.0)
    assert sink.rows == [(0, {"loss": 1.0, "lr/group0": 0.5})]
    bad(
        lambda: JSONL(tmp_path),
        f"JSONL: 'path' must be a file (got the directory {str(tmp_path)!r})",
    )
    bad(
        lambda: CSV(tmp_path / "a.csv").scalars(0, {"step": 1.0}),
        "CSV: 'step' is the key of the step itself; choose another",
    )
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    bad(
        lambda: CSV(tmp_path / "other.csv"),
        f"CSV: 'path' must be a new file or one with a column 'step' (got "
        f"{str(tmp_path / 'other.csv')!r}, which has a, b)",
    )
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2\n"
    bad(
        lambda: TensorBoard(3),
        "TensorBoard: 'where' must be a directory or a SummaryWriter (got 3)",
        ArgumentTypeError,
    )


def test_a_logger_that_sees_nothing_says_so():
    """Where another optimizer is stepped than the one given, the log would be empty in silence."""
    logger = ScheduleLogger(sgd(0.5), sink := Kept())
    sgd(0.5).step()
    logger.log(loss=1.0)
    with pytest.warns(LogWarning, match="no update of the optimizers was seen"):
        logger.close()
    assert sink.rows == []
    ScheduleLogger(sgd(0.5), sink).close()


def hide(monkeypatch, *libraries):
    """Make libraries look as if they were not installed."""
    for name in [*libraries, *(m for m in sys.modules if m.split(".")[0] in libraries)]:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(
    ("code", "library"),
    [
        ("from cadence.logs import TensorBoard; TensorBoard('x')", "tensorboard"),
        ("from cadence.logs import WandB; WandB()", "wandb"),
        ("from cadence.logs import MLflow; MLflow()", "mlflow"),
        ("from cadence import read_run; read_run('events.out.tfevents.1')", "tensorboard"),
        ("from cadence import read_run; read_run('run.wandb')", "wandb"),
    ],
)
def test_a_library_that_is_not_installed(code, library, monkeypatch, tmp_path):
    """The message says what to install."""
    monkeypatch.chdir(tmp_path)
    for name in ("events.out.tfevents.1", "run.wandb"):
        (tmp_path / name).touch()
    hide(monkeypatch, "tensorboard", "tensorboardX", "wandb", "mlflow")
    with pytest.raises(MissingLibraryError) as caught:
        exec(code, {})  # noqa: S102
    assert str(caught.value) == (
        f"{library} must be installed for this; write pip install 'cadence[{library}]'"
    )
    assert isinstance(caught.value, ImportError)


def test_an_error_within_a_library_is_not_hidden(monkeypatch, tmp_path):
    """Where an optional library is there but lacks something itself, that is what is said."""
    (tmp_path / "broken_library.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        require("broken_library", "broken")
    with pytest.raises(MissingLibraryError, match="no_such_library must be installed"):
        require("no_such_library.part", "none")


# Sinks by themselves.


def test_a_sink_is_four_methods():
    """Any object with them is one; what is shipped closes itself after a with block, twice too."""
    assert isinstance(Kept(), LogSink)
    assert not isinstance(object(), LogSink)


def test_sinks_close_themselves(tmp_path):
    """Each is a context manager, and to close it twice is allowed."""
    for sink in files(tmp_path).values():
        with sink as same:
            assert same is sink
            sink.scalars(0, {"a": 1.0})
            sink.text(0, "note", "two\nlines")
        sink.close()
    for path in files(tmp_path):
        run = read_run(path)
        assert run["a"].values.tolist() == [1.0]
        assert [tuple(text) for text in run.texts] == [(0, "note", "two\nlines")]


def test_pictures_lie_beside_the_file(tmp_path):
    """A PNG for each picture, whose name no key can lead elsewhere, and no temporary file."""
    file = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(file, "png")
    for sink in files(tmp_path / "new").values():
        with sink:
            sink.picture(5, "../plan", file.getvalue())
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"run..._plan.5.png", "tb"}
    assert (tmp_path / "new" / "run..._plan.5.png").read_bytes() == file.getvalue()


def test_a_writer_of_your_own(tmp_path):
    """TensorBoard's writer may be yours: it is written to and not closed."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        sink = TensorBoard(writer)
        sink.scalars(0, {"a": 1.0})
        sink.close()
        writer.add_scalar("b", 2.0, 0)
    assert list(read_run(tmp_path).series) == ["a", "b"]


def test_tensorboard_x_stands_in(monkeypatch, tmp_path):
    """Where only tensorboardX is installed it writes the same, over resumes and steps back."""
    with monkeypatch.context() as patched:
        hide(patched, "tensorboard")
        for first in (0, 3):
            with TensorBoard(tmp_path) as sink:
                assert sink._library.writer.__module__.startswith("tensorboardX")
                for step in range(first, first + 5):
                    sink.scalars(step, {"lr/head": first + step})
                sink.text(first + 4, "note", "two\nlines")
    run = read_run(tmp_path)
    assert run["lr/head"].steps.tolist() == list(range(8))
    assert run["lr/head"].values.tolist() == [0, 1, 2, 6, 7, 8, 9, 10]
    assert [tuple(text) for text in run.texts] == [(7, "note", "two\nlines")]


def test_a_clock_on_the_device_is_asked_when_something_is_written():
    """With a captured scheduler no hook is needed, and the values are those of the device."""
    optimizer, sink = sgd(0.5, 0.25, names=["a", "b"]), Kept()
    scheduler = Scheduler(
        optimizer, lr=cd.Cosine(), total_steps=12, capturable=True, feedback=cd.Plateau(patience=2)
    )
    logger, used, thinned = ScheduleLogger(scheduler, sink), [], Kept()
    rare = ScheduleLogger(scheduler, thinned, every=4)
    assert not logger.log(loss=1.0)
    for update in range(12):
        used.append(present(optimizer, ["lr"]))
        optimizer.step()
        scheduler.step()
        assert logger.due
        assert logger.log(loss=float(update))
        assert not logger.log(loss=float(update))
        assert rare.due == (update % 4 == 0)
        assert rare.log(loss=float(update)) == (update % 4 == 0)
        if update > 4:
            scheduler.observe(1.0)
    assert [{k: row[k] for k in used[0]} for _, row in sink.rows] == used
    assert [step for step, _ in sink.rows] == list(range(12))
    assert [row["lr/a"] for _, row in thinned.rows] == [used[step]["lr/a"] for step in (0, 4, 8)]
    assert thinned.series("loss") == {0: 0.0, 4: 4.0, 8: 8.0}
    assert [key for _, key, _ in sink.texts] == ["plan", "decisions"]


@pytest.mark.slow
def test_a_compiled_step_is_logged():
    """Hooks of a compiled step see its rates, and it is one graph all the same."""
    from torch._dynamo.utils import counters

    counters.clear()
    net, sink = model(), Kept()
    optimizer = torch.optim.SGD(net.parameters(), lr=torch.tensor(0.1))
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=30).follow()
    logger = ScheduleLogger(scheduler, sink)
    step, used = torch.compile(optimizer.step, backend="eager"), []
    for _ in range(30):
        net(torch.randn(8, 4)).square().mean().backward()
        used.append(optimizer.param_groups[0]["lr"].item())
        step()
        logger.log()
    assert list(sink.series("lr/group0").values()) == used
    assert len(set(used)) == 30
    assert counters["stats"]["unique_graphs"] == 1
