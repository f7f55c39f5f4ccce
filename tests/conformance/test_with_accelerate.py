"""Schedules under Accelerate: real runs, in one process and in two."""

import itertools
import json

import pytest
import torch
from small import PLANS, UPDATES, Net, batches, join, named, planned, record, reset, used

import cadence as cd
from cadence.errors import ArgumentError
from cadence.integrations.accelerate import prepare, schedule

pytestmark = pytest.mark.peers


def run(folder, *, resume=False, late=False, steps=1, save=4, **options):
    """The loop of Accelerate's users, two batches to an update; what the optimizer is told.

    Args:
        folder: Where the state is saved after some updates.
        resume: Whether to begin with that state.
        late: Whether the scheduler is made of what was prepared, or prepared with it.
        steps: How often the loop steps the scheduler.
        save: After how many updates the state is saved.
        **options: As for the Accelerator.
    """
    from accelerate import Accelerator

    reset()
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2, **options)
    model = Net()
    optimizer = named(model)
    seen = record(optimizer)
    share = 1 if accelerator.split_batches else accelerator.num_processes
    loader = batches(2 * UPDATES * share)
    if late:
        model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        scheduler = schedule(accelerator, optimizer, loader, **PLANS)
    else:
        scheduler = cd.Scheduler(optimizer, total_steps=UPDATES, **PLANS)
        scheduler, model, optimizer, loader = prepare(
            accelerator, scheduler, model, optimizer, loader
        )
    assert type(scheduler) is cd.Scheduler
    if resume:
        accelerator.load_state(str(folder))
        loader = accelerator.skip_first_batches(loader, 2 * save)
    for i, (x, y) in enumerate(loader, start=1):
        with accelerator.accumulate(model):
            accelerator.backward(model(x, y)["loss"])
            optimizer.step()
            for _ in range(steps):
                scheduler.step()
            optimizer.zero_grad()
        if not resume and i == 2 * save:
            accelerator.save_state(str(folder))
    assert scheduler.last_epoch == UPDATES
    return used(seen)


@pytest.mark.parametrize("late", [False, True], ids=["prepared", "of what was prepared"])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_every_update_uses_the_plan(steps, late, tmp_path):
    """However often the loop steps the scheduler, whole and resumed from a saved state."""
    assert run(tmp_path, late=late, steps=steps) == planned()
    assert run(tmp_path, late=late, steps=steps, resume=True) == planned()[4:]


def test_the_length_is_printed(tmp_path, capsys):
    """With the arithmetic that led to it."""
    run(tmp_path, late=True)
    assert "16 batches / 2 accumulated = 8 updates an epoch" in capsys.readouterr().out


def test_the_state_is_that_of_any_scheduler(tmp_path):
    """It lies under Accelerate's own name, and is plain values."""
    run(tmp_path)
    state = torch.load(tmp_path / "scheduler.bin", weights_only=True)
    assert state["step"] == 4


@pytest.mark.parametrize("fused", [False, True])
def test_a_skipped_update_is_no_tick(fused):
    """Gradients that overflow: the real scaler skips the update, and the plan waits."""
    from accelerate import Accelerator

    reset()
    accelerator = Accelerator(cpu=True)
    # What mixed precision does on a GPU; on the CPU Accelerate would not choose it.
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, fused=fused)
    scheduler = cd.Scheduler(optimizer, lr=cd.Linear(), total_steps=8)
    model, optimizer, loader, scheduler = prepare(
        accelerator, model, optimizer, batches(), scheduler
    )
    weights, rates = [], []
    for i, (x, y) in enumerate(loader):
        rates.append(scheduler.get_last_lr()[0])
        accelerator.backward(model(x, y)["loss"] * (float("inf") if i in (2, 3) else 1.0))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        weights.append(model.layer.weight.detach().clone())
    assert torch.equal(weights[1], weights[3])
    assert not torch.equal(weights[3], weights[4])
    steps = [0, 1, 2, 2, 2, 3, 4, 5]
    assert rates == [scheduler.value_at(step) for step in steps]
    assert scheduler.last_epoch == 6


CASES = [*itertools.product((False, True), (False, True), (False, True))]


def rank_of_two(rank, folder):
    """One of two processes, which share each update; it writes what it saw to a file."""
    from accelerate import DataLoaderConfiguration

    join(rank, folder)
    saw = []
    for i, (split, with_optimizer, late) in enumerate(CASES):
        for resume in (False, True):
            config = DataLoaderConfiguration(split_batches=split)
            saw += [
                run(
                    folder / str(i),
                    resume=resume,
                    late=late,
                    dataloader_config=config,
                    step_scheduler_with_optimizer=with_optimizer,
                )
            ]
    (folder / f"rank{rank}.json").write_text(json.dumps(saw))
    torch.distributed.destroy_process_group()


def test_two_processes_make_one_tick_an_update(tmp_path):
    """Batches split or not, stepped with the optimizer or not: no tick for each process."""
    torch.multiprocessing.spawn(rank_of_two, (tmp_path,), nprocs=2)
    for rank in (0, 1):
        saw = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert saw == [planned(), planned()[4:]] * len(CASES)


def test_one_object_comes_back_alone():
    """As from `accelerator.prepare`, whose order is kept."""
    from accelerate import Accelerator

    reset()
    accelerator = Accelerator(cpu=True)
    scheduler = cd.Scheduler(named(Net()), lr=cd.Linear(5))
    assert prepare(accelerator, scheduler) is scheduler
    assert prepare(accelerator, scheduler.optimizer).optimizer is scheduler.optimizer


def test_a_loader_must_be_prepared():
    """Its length would be that of all processes together."""
    from accelerate import Accelerator

    reset()
    optimizer = named(Net())
    with pytest.raises(ArgumentError, match="'loader' must be prepared"):
        schedule(Accelerator(cpu=True), optimizer, batches(), lr=cd.Linear())
    scheduler = schedule(Accelerator(cpu=True), optimizer, lr=cd.Linear(), total_steps=5)
    assert scheduler.value_at(5) == 0.0
