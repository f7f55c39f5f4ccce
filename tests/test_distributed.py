"""Runs of two real processes: one clock, one decision, one checkpoint."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.distributed import checkpoint as dcp
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import cadence as cd

pytestmark = pytest.mark.slow

PLAN = "Warmup(3) >> Cosine(end=0.1)"
UPDATES = 12
TIMEOUT = 20.0

HERE = Path(__file__)


def model(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def scheduled(parameters, kind=torch.optim.AdamW, **options):
    optimizer = kind(parameters, lr=0.01)
    return cd.Scheduler(optimizer, lr=PLAN, total_steps=UPDATES, **options)


def update(net, scheduler, accumulate=1):
    """One update; the rate that it used."""
    used = float(scheduler.optimizer.param_groups[0]["lr"])
    for _ in range(accumulate):
        net(torch.randn(8, 4)).square().mean().backward()
    scheduler.optimizer.step()
    scheduler.step()
    scheduler.optimizer.zero_grad()
    return used


def launched(task, folder, world=2, **environment):
    """Start a task of this file in processes of its own; the processes."""
    (folder / "rendezvous").unlink(missing_ok=True)
    common = {**os.environ, "RENDEZVOUS": str(folder / "rendezvous"), "WORLD_SIZE": str(world)}
    return [
        subprocess.Popen(
            [sys.executable, str(HERE), task, str(folder)],
            env={**common, "RANK": str(rank), "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]


def outputs(processes):
    """What they printed; all must have ended well."""
    done = [process.communicate(timeout=120) for process in processes]
    for process, (_, errors) in zip(processes, done, strict=True):
        assert process.returncode == 0, errors
    return [out.splitlines() for out, _ in done]


# What the processes do; each prints its lines.


def curve_of(wrap, rank, **kind):
    net = wrap(model())
    follow = os.environ.get("FOLLOW") == "1"
    scheduler = scheduled(net.parameters(), **kind)
    if follow:
        scheduler.follow()
    accumulate = int(os.environ.get("ACCUMULATE", "1"))
    for _ in range(UPDATES):
        print(repr(update(net, scheduler, accumulate)))


def ddp(folder, rank):
    curve_of(DistributedDataParallel, rank)


def zero(folder, rank):
    """Each rank's optimizer wraps one that has a part of the parameters."""
    from torch.distributed.optim import ZeroRedundancyOptimizer

    kind = partial(ZeroRedundancyOptimizer, optimizer_class=torch.optim.AdamW)
    curve_of(DistributedDataParallel, rank, kind=kind)


def fsdp(folder, rank):
    mesh = distributed.device_mesh.init_device_mesh("cpu", (distributed.get_world_size(),))

    def wrap(net):
        return fully_shard(net, mesh=mesh)

    curve_of(wrap, rank)


def metrics(folder, rank):
    """Each rank brings another metric."""
    scheduler = scheduled(
        model().parameters(),
        feedback=cd.Plateau(patience=1, factor=0.5),
        reduce=os.environ.get("REDUCE") or None,
    )
    for epoch in range(6):
        scheduler.observe(1.0 / (epoch + 1) if rank == 0 else 2.0)
        print(repr(scheduler.get_last_lr()[0]))


def killed(folder, rank):
    """The second rank dies; the first waits for its metric."""
    scheduler = scheduled(model().parameters(), feedback=cd.Plateau())
    scheduler.observe(1.0)
    if rank == 1:
        os._exit(9)
    start = time.monotonic()
    try:
        scheduler.observe(1.0)
    except RuntimeError as error:
        print(type(error).__name__, time.monotonic() - start)


def save(folder, rank):
    net = fully_shard(
        model(),
        mesh=distributed.device_mesh.init_device_mesh("cpu", (distributed.get_world_size(),)),
    )
    scheduler = scheduled(net.parameters(), feedback=cd.Plateau(patience=0, factor=0.5))
    for _ in range(5):
        update(net, scheduler)
    scheduler.observe(1.0)
    scheduler.observe(1.0)
    scheduler.extend(2 * UPDATES, "stretch")
    dcp.save({"scheduler": scheduler}, checkpoint_id=folder / "checkpoint")
    print(repr(scheduler.get_last_lr()[0]))
    for _ in range(5):
        print(repr(update(net, scheduler)))


def load(folder, rank):
    net = model()
    scheduler = scheduled(net.parameters(), feedback=cd.Plateau(patience=0, factor=0.5))
    dcp.load({"scheduler": scheduler}, checkpoint_id=folder / "checkpoint")
    print(repr(scheduler.get_last_lr()[0]))
    for _ in range(5):
        print(repr(update(net, scheduler)))


def main(task, folder):
    rank = int(os.environ["RANK"])
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{os.environ['RENDEZVOUS']}",
        rank=rank,
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=timedelta(seconds=TIMEOUT),
    )
    globals()[task](Path(folder), rank)
    if task != "killed":
        distributed.destroy_process_group()


# The tests.


def alone():
    """The rates of a run in one process."""
    net = model()
    scheduler = scheduled(net.parameters())
    return [update(net, scheduler) for _ in range(UPDATES)]


@pytest.mark.parametrize("task", ["ddp", "zero", "fsdp"])
@pytest.mark.parametrize("follow", ["0", "1"])
@pytest.mark.parametrize("accumulate", ["1", "4"])
def test_two_processes_have_the_curve_of_one(task, follow, accumulate, tmp_path):
    """Update for update, stepped or followed, accumulated or not; the plan ends with the run."""
    options = {"FOLLOW": follow, "ACCUMULATE": accumulate}
    curves = outputs(launched(task, tmp_path, **options))
    expected = [repr(rate) for rate in alone()]
    assert curves == [expected, expected]


@pytest.mark.parametrize("reduce", ["mean", "max", "rank0", ""])
def test_ranks_with_different_metrics_agree(reduce, tmp_path):
    """Unless they are told not to."""
    first, second = outputs(launched("metrics", tmp_path, REDUCE=reduce))
    assert (first == second) is bool(reduce)
    lowered = [float(rate) < float(first[0]) for rate in first]
    assert any(lowered) is (reduce == "max")


def test_a_rank_that_is_gone_is_an_error_in_time(tmp_path):
    first, second = launched("killed", tmp_path)
    out, errors = first.communicate(timeout=120)
    second.communicate(timeout=10)
    assert second.returncode == 9
    assert out, errors
    assert float(out.split()[1]) < TIMEOUT + 5


@pytest.mark.parametrize("world", [1, 2])
def test_a_distributed_checkpoint_loads_exactly(world, tmp_path):
    """Also where the number of ranks has changed."""
    saved = outputs(launched("save", tmp_path))
    loaded = outputs(launched("load", tmp_path, world))
    assert saved[0] == saved[1]
    assert loaded == [saved[0]] * world


if __name__ == "__main__":
    main(*sys.argv[1:])
