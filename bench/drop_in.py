"""What a step of each drop-in costs: ratios against torch's class of the same name.

Everything is timed in turn in one process, so that the ratios hold on a noisy machine; quote
those, not the microseconds. Run with `make bench` or `python bench/drop_in.py [--quick]`.
People's own functions and subclasses are left out: their own time is what counts there.
"""

from __future__ import annotations

import argparse
import gc
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from step_cost import GROUPS, race, sgd
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

import cadence.lr_scheduler as ours

LONG = 1_000_000

MAKE: dict[str, Callable[[Any, torch.optim.Optimizer], Any]] = {
    "StepLR": lambda L, o: L.StepLR(o, 1000),
    "MultiStepLR": lambda L, o: L.MultiStepLR(o, [LONG]),
    "ConstantLR": lambda L, o: L.ConstantLR(o, total_iters=LONG),
    "LinearLR": lambda L, o: L.LinearLR(o, total_iters=LONG),
    "ExponentialLR": lambda L, o: L.ExponentialLR(o, 0.9999),
    "PolynomialLR": lambda L, o: L.PolynomialLR(o, LONG, power=2.0),
    "CosineAnnealingLR": lambda L, o: L.CosineAnnealingLR(o, LONG),
    "CosineAnnealingWarmRestarts": lambda L, o: L.CosineAnnealingWarmRestarts(o, 50),
    "CyclicLR": lambda L, o: L.CyclicLR(o, 0.01, 0.1),
    "CyclicLR, no momentum": lambda L, o: L.CyclicLR(o, 0.01, 0.1, cycle_momentum=False),
    "OneCycleLR": lambda L, o: L.OneCycleLR(o, 0.1, total_steps=LONG),
    "OneCycleLR, no momentum": lambda L, o: L.OneCycleLR(
        o, 0.1, total_steps=LONG, cycle_momentum=False
    ),
    "SWALR": lambda L, o: L.SWALR(o, 0.01, anneal_epochs=LONG),
    "SequentialLR": lambda L, o: L.SequentialLR(
        o, [L.LinearLR(o, total_iters=5), L.CosineAnnealingLR(o, LONG)], [5]
    ),
    "ChainedScheduler, 2": lambda L, o: L.ChainedScheduler(
        [L.LinearLR(o, total_iters=LONG), L.ExponentialLR(o, 0.9999)]
    ),
    "ChainedScheduler, 3": lambda L, o: L.ChainedScheduler(
        [
            L.LinearLR(o, total_iters=LONG),
            L.ExponentialLR(o, 0.9999),
            L.CosineAnnealingLR(o, LONG),
        ]
    ),
    "ReduceLROnPlateau": lambda L, o: L.ReduceLROnPlateau(o),
}
LIBRARIES = SimpleNamespace(**vars(theirs), SWALR=SWALR), ours

COLUMNS: dict[str, tuple[int, dict[str, bool]]] = {
    **{str(n): (n, {}) for n in GROUPS},
    **{f"{n} distinct": (n, {"distinct": True}) for n in GROUPS[1:]},
    **{f"{n} tensors": (n, {"tensor": True}) for n in (1, 100)},
}


def stepping(make: Callable[[Any, Any], Any], library: Any, groups: int, **options: bool) -> Any:
    """The step of a fresh scheduler, the first update behind it."""
    optimizer = sgd(groups, momentum=0.9, **options)
    optimizer.step()
    scheduler = make(library, optimizer)
    if isinstance(scheduler, theirs.ReduceLROnPlateau):
        return lambda: scheduler.step(1.0)
    return scheduler.step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, noisier figures")
    rounds = 4 if parser.parse_args().quick else 20
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    table = Table(
        title="One step of each drop-in: µs, and how many times as fast as torch's class",
        caption="by number of groups, at one rate, at distinct rates, with tensor rates",
    )
    for name in ("", *COLUMNS):
        table.add_column(name, justify="right" if name else "left")
    for name, make in MAKE.items():
        cells = []
        for groups, options in COLUMNS.values():
            steps = [stepping(make, library, groups, **options) for library in LIBRARIES]
            their, own = race(steps, rounds)
            cells.append(f"{own:.2f} {their / own:.1f}x")
            gc.collect()
        table.add_row(name, *cells)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
