"""Schedulers and optimizers that others wrap: Accelerate's wrapper steps at a pace of its own.

Whatever it does, a scheduler that follows has the curve of one process; one that does not is told
of its pace. The runs are real: two processes, whose results the tests read.
"""

import itertools
import json
import warnings

import pytest
import torch
from small import Net, batches, join, optimizer_for, record, reset

import cadence as cd
from cadence.errors import CadenceWarning, PaceError

pytestmark = pytest.mark.peers

EPOCHS = 8
PER_EPOCH = 3
UPDATES = EPOCHS * PER_EPOCH
RATES = 0.1, 0.02
PLAN = cd.Warmup("25%") >> cd.Cosine(end=0.1)

CASES = {
    f"{'split' if split else 'whole'} batches, {'linked' if linked else 'free'}, "
    f"{accumulate} accumulated": {"split": split, "linked": linked, "accumulate": accumulate}
    for split, linked, accumulate in itertools.product((False, True), (True, False), (1, 4))
}
"""Every way to set the wrapper up: Accelerate's defaults are whole batches, linked."""

every_case = pytest.mark.parametrize("case", CASES)


def train(folder, *, split, linked, accumulate, follow, resume=False, strict=False):
    """The loop of Accelerate's users, saved in its middle; the last update of an epoch is short."""
    from accelerate import Accelerator, DataLoaderConfiguration

    reset()
    accelerator = Accelerator(
        cpu=True,
        gradient_accumulation_steps=accumulate,
        step_scheduler_with_optimizer=linked,
        dataloader_config=DataLoaderConfiguration(split_batches=split),
    )
    share = 1 if split else accelerator.num_processes
    loader = batches((PER_EPOCH * accumulate - accumulate // 2) * share)
    horizon = cd.Horizon.from_loader(
        loader, epochs=EPOCHS, accumulate=accumulate, world_size=share, quiet=True
    )
    model = Net()
    optimizer = optimizer_for(model)
    seen = record(optimizer)
    scheduler = cd.Scheduler(optimizer, lr=PLAN, horizon=horizon, strict=strict)
    if follow:
        scheduler.follow()
    model, optimizer, loader, wrapped = accelerator.prepare(model, optimizer, loader, scheduler)
    assert wrapped.scheduler is scheduler
    if resume:
        accelerator.load_state(str(folder))
    for epoch in range(EPOCHS // 2 if resume else 0, EPOCHS):
        for x, y in loader:
            with accelerator.accumulate(model):
                accelerator.backward(model(x, y)["loss"])
                optimizer.step()
                wrapped.step()
                optimizer.zero_grad()
        if not resume and epoch == EPOCHS // 2 - 1:
            accelerator.save_state(str(folder))
    rates = [row[::2] for row in seen]  # of both groups, without their momenta
    return {"rates": rates, "end": scheduler.get_last_lr(), "clock": scheduler.last_epoch}


def told(folder, **options):
    """What a run gives, and what is said of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train(folder, **options)
    return run | {
        "told": [str(one.message) for one in caught if issubclass(one.category, CadenceWarning)]
    }


def refused(folder, **options):
    """What a strict run is stopped with."""
    try:
        train(folder, **options, follow=False, strict=True)
    except PaceError as error:
        return str(error)


def rank_of_two(rank, folder):
    """One of two processes; it writes what it saw to a file."""
    join(rank, folder)
    saw = {}
    for i, (case, options) in enumerate(CASES.items()):
        saw[case] = {
            "whole": told(folder / str(i), **options, follow=True),
            "resumed": told(folder / str(i), **options, follow=True, resume=True),
            "stepped": told(folder / f"{i} stepped", **options, follow=False),
            "refused": refused(folder / f"{i} refused", **options),
        }
    (folder / f"rank{rank}.json").write_text(json.dumps(saw))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes saw, which is the same in both."""
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.spawn(rank_of_two, (folder,), nprocs=2)
    first, second = (json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    return first


def planned(steps):
    """The rates of both groups at steps of the plan."""
    plan = PLAN.resolve(UPDATES)
    return [[plan(step, base) for base in RATES] for step in steps]


@every_case
def test_two_processes_have_the_curve_of_one(case, two, tmp_path):
    """Following, update for update, and the plan ends with the run; nothing is said."""
    one = told(tmp_path, **CASES[case], follow=True)
    rates, [end] = planned(range(UPDATES)), planned([UPDATES])
    assert one == {"rates": rates, "end": end, "clock": UPDATES, "told": []}
    assert two[case]["whole"] == one


@every_case
def test_a_resumed_run_goes_on(case, two):
    """From a state in a fresh Accelerator, with the rates of the run that was not interrupted."""
    whole, resumed = two[case]["whole"], two[case]["resumed"]
    assert resumed == whole | {"rates": whole["rates"][UPDATES // 2 :]}


@every_case
def test_who_does_not_follow_is_told_of_the_pace(case, two):
    """The wrapper steps for each process, or unlinked for each batch: the plan ends too early."""
    accumulate, stepped = CASES[case]["accumulate"], two[case]["stepped"]
    length = PER_EPOCH * accumulate - accumulate // 2
    twice = CASES[case]["linked"] and not CASES[case]["split"]
    if CASES[case]["linked"]:
        steps = [update * (1 + twice) for update in range(UPDATES)]
    else:
        steps = [
            epoch * length + min(accumulate * update, length) - 1
            for epoch in range(EPOCHS)
            for update in range(1, PER_EPOCH + 1)
        ]
    assert stepped["rates"] == planned(steps)
    if steps == [*range(UPDATES)]:
        assert (stepped["told"], two[case]["refused"]) == ([], None)
        return
    pace, end = (2.0, 12) if twice else (3.2, 6)
    complaint = (
        f"Scheduler: stepped {pace}x per optimizer update: the plan will end at update {end} of "
        f"{UPDATES}; step() once per update, or call follow() and let the updates count"
    )
    early = (
        "Scheduler: step() was called before the first optimizer.step(), so the plan's first value "
        "is skipped; call optimizer.step() first"
    )
    assert stepped["told"] == ([] if twice else [early]) + [complaint]
    assert two[case]["refused"] == complaint


def accelerated(model, optimizer):
    from accelerate import Accelerator

    reset()
    accelerator = Accelerator(cpu=True)
    return accelerator.backward, *accelerator.prepare(model, optimizer)


def fabricated(model, optimizer):
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=1)
    return fabric.backward, *fabric.setup(model, optimizer)


@pytest.mark.parametrize("early", [True, False], ids=["inside", "wrapper"])
@pytest.mark.parametrize("wrap", [accelerated, fabricated])
def test_a_wrapped_optimizer_is_followed(wrap, early):
    """Whether the scheduler was given the optimizer before it was wrapped, or the wrapper."""
    model = Net()
    optimizer = optimizer_for(model)
    scheduler = cd.Scheduler(optimizer, lr=PLAN, total_steps=UPDATES).follow() if early else None
    backward, model, wrapper = wrap(model, optimizer)
    assert wrapper is not optimizer
    if scheduler is None:
        scheduler = cd.Scheduler(wrapper, lr=PLAN, total_steps=UPDATES).follow()
    seen = record(optimizer)
    for x, y in batches(UPDATES):
        backward(model(x, y)["loss"])
        wrapper.step()
        wrapper.zero_grad()
    assert [row[::2] for row in seen] == planned(range(UPDATES))
    assert [scheduler.get_last_lr()] == planned([UPDATES])
