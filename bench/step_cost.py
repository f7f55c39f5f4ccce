"""What a scheduler step costs: ratios against torch's schedulers and against a bare loop.

Everything is timed in turn in one process, so that the ratios hold on a noisy machine; quote
those, not the microseconds. Run with `make bench` or `python bench/step_cost.py [--quick]`.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.optim import lr_scheduler as theirs

import cadence as cd

TOTAL = 1_000_000
GROUPS = (1, 10, 100, 1000)


def sgd(
    groups: int, *, tensor: bool = False, distinct: bool = False, momentum: float = 0.0
) -> torch.optim.SGD:
    """An optimizer with one tiny parameter per group."""

    def rate(i: int) -> float | torch.Tensor:
        value = 0.1 * (1 + i / groups) if distinct else 0.1
        return torch.tensor(value) if tensor else value

    return torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate(i)} for i in range(groups)],
        lr=0.1,
        momentum=momentum,
    )


def cosine(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    return cd.Scheduler(optimizer, lr=cd.Cosine(), total_steps=TOTAL).step


def warmup_cosine(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    return cd.Scheduler(optimizer, lr=cd.Warmup(10) >> cd.Cosine(), total_steps=TOTAL).step


def their_cosine(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    return theirs.CosineAnnealingLR(optimizer, TOTAL).step


def their_warmup_cosine(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    warmup = theirs.LinearLR(optimizer, 0.1, total_iters=10)
    decay = theirs.CosineAnnealingLR(optimizer, TOTAL - 10)
    return theirs.SequentialLR(optimizer, [warmup, decay], [10]).step


def bare_loop(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    groups, base, factor = optimizer.param_groups, 0.1, 0.5

    def step() -> None:
        for group in groups:
            group["lr"] = base * factor

    return step


def bare_fill(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    groups = optimizer.param_groups

    def step() -> None:
        for group in groups:
            group["lr"].fill_(0.05)

    return step


def race(steps: list[Callable[[], None]], rounds: int) -> list[float]:
    """The best time of one call of each, in microseconds, all measured in turn."""
    counts = []
    for step in steps:
        for _ in range(20):
            step()
        start = time.perf_counter()
        for _ in range(20):
            step()
        each = (time.perf_counter() - start) / 20
        counts.append(max(5, int(2e-3 / each)))
    best = [math.inf] * len(steps)
    gc.disable()
    for _ in range(rounds):
        for i, (step, count) in enumerate(zip(steps, counts, strict=True)):
            repeat = range(count)
            start = time.perf_counter()
            for _ in repeat:
                step()
            best[i] = min(best[i], (time.perf_counter() - start) / count)
    gc.enable()
    return [1e6 * seconds for seconds in best]


def step_table(rounds: int) -> Table:
    table = Table(title="One scheduler step: Cadence against torch and against a bare loop")
    for name in ("groups", "rates", "µs", "torch cosine", "torch warm-up + cosine", "bare loop"):
        table.add_column(name, justify="right")
    cases = [(n, "float", {}) for n in GROUPS]
    cases += [(n, "float, all distinct", {"distinct": True}) for n in GROUPS[1:]]
    for n, label, options in cases:
        kinds = (cosine, warmup_cosine, their_cosine, their_warmup_cosine, bare_loop)
        own, both, cos, warm, bare = race([kind(sgd(n, **options)) for kind in kinds], rounds)
        faster = f"{cos / own:.1f}x", f"{warm / both:.1f}x"
        table.add_row(str(n), label, f"{own:.2f}", *faster, f"{own / bare:.2f} of its time")
    for n in (1, 100):
        kinds = (cosine, their_cosine, bare_fill)
        own, cos, fill = race([kind(sgd(n, tensor=True)) for kind in kinds], rounds)
        beside = f"{own / fill:.2f} of fill_'s time"
        table.add_row(str(n), "tensor", f"{own:.2f}", f"{cos / own:.1f}x", "", beside)
    return table


def curve_table(rounds: int) -> Table:
    """A million steps of warm-up and cosine at once."""
    steps, warm = np.arange(TOTAL), 10_000
    plan = (cd.Warmup(warm) >> cd.Cosine(end=0.1)).resolve(TOTAL)

    def by_hand() -> np.ndarray:
        rise = 1 / warm + (1 - 1 / warm) * steps / warm
        fall = 0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * (steps - warm) / (TOTAL - warm)))
        return np.where(steps < warm, rise, fall)

    assert np.allclose(by_hand(), plan(steps), rtol=1e-12, atol=0)
    best = {"Cadence": math.inf, "NumPy by hand": math.inf}
    for _ in range(rounds):
        for name, run in (("Cadence", lambda: plan(steps)), ("NumPy by hand", by_hand)):
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    part = TOTAL // 10
    for name, updates in (("torch, scheduler.step() alone", False), ("torch, its loop", True)):
        optimizer = sgd(1)
        step = their_warmup_cosine(optimizer)
        start = time.perf_counter()
        for _ in range(part):
            if updates:
                optimizer.step()
            step()
        best[name] = (time.perf_counter() - start) * TOTAL / part
    table = Table(
        title="A million steps of warm-up and cosine",
        caption="torch's loop is optimizer.step(); scheduler.step(); a tenth is timed, times 10",
    )
    for name in ("", "ms", "Cadence is"):
        table.add_column(name, justify="right")
    for name, seconds in best.items():
        ratio = seconds / best["Cadence"]
        table.add_row(name, f"{1e3 * seconds:.1f}", f"{ratio:.2f}x as fast" if ratio != 1 else "")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, noisier figures")
    rounds = 5 if parser.parse_args().quick else 30
    torch.set_num_threads(1)
    # Nothing is trained here, which both libraries would remark on.
    warnings.simplefilter("ignore")
    console = Console()
    console.print(step_table(rounds))
    console.print(curve_table(rounds))


if __name__ == "__main__":
    main()
