"""What the range test says on two real tasks, against the best rate of a grid and other libraries.

For each seed: a network is drawn, `find_lr` is called with its defaults, each other library's rule
reads the one sweep that its library would make, and the network is trained at every rate of a grid.
The network, its data's order and the grid's runs of a seed begin alike. Nothing is tuned to a task.

What is measured is written as it comes, and a run that was stopped goes on where it was:
`python bench/range_test.py [--seeds 10] [--task digits] [--data range_test.jsonl]`. The whole takes
about a quarter of an hour of one core; with `--report` only the tables are printed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import cadence as cd
from cadence.range_finder._rules import OTHERS, read_all

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import quickstart

PLAN = cd.Warmup("5%") >> cd.Hold() >> cd.Linear("20%", end=0)
UPDATES = 600
CLOSE = 3.0
FIRST = 100
"""The first seed by default: the library's defaults were chosen on sweeps of the seeds 0 to 9."""


class Digits:
    """scikit-learn's 1,797 digits, 64-128-128-10, SGD with momentum."""

    rates = tuple(float(rate) for rate in 10 ** np.arange(-2, 0.01, 0.25))

    def __init__(self, seed: int) -> None:
        (x, y), self.held_out = digits()
        torch.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        order = torch.Generator().manual_seed(seed)
        self.loader = DataLoader(
            TensorDataset(x, y), batch_size=64, shuffle=True, drop_last=True, generator=order
        )
        self.loss_fn = functional.cross_entropy

    def loss(self, batch: list[Tensor]) -> Tensor:
        return self.loss_fn(self.model(batch[0]), batch[1])

    @torch.no_grad()
    def validate(self) -> float:
        return float(self.loss_fn(self.model(self.held_out[0]), self.held_out[1]))


@cache
def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)
    shuffled = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, held_out = shuffled[:1437], shuffled[1437:]
    return (x[train], y[train]), (x[held_out], y[held_out])


class Windows:
    """Batches of text, without end, in an order of their own."""

    def __init__(self, text: Tensor, seed: int) -> None:
        self.text, self.generator = text, torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            seed = int(torch.randint(2**62, (), generator=self.generator))
            yield quickstart.windows(self.text, quickstart.BATCH, seed)


class Characters:
    """The quickstart's transformer on the standard library's source, AdamW."""

    rates = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)

    def __init__(self, seed: int) -> None:
        text, self.held_out, alphabet = quickstart.load_text()
        torch.manual_seed(seed)
        self.model = quickstart.CharGPT(alphabet)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.loader = Windows(text, seed)
        self.loss_fn = None

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return self.model(*batch)

    @torch.no_grad()
    def validate(self) -> float:
        return float(self.model(*quickstart.windows(self.held_out, 256, seed=0)))


TASKS = {"digits": Digits, "characters": Characters}
SWEEPS = {
    "fastai": (1e-7, 10.0, OTHERS[:4]),
    "torch-lr-finder": (None, 10.0, ("torch-lr-finder",)),  # from the optimizer's own rate
    "Lightning": (1e-8, 1.0, ("Lightning",)),
}
"""The sweep that each library makes by default, of 100 updates, and the rules that read it."""


def measure(kind: type[Digits | Characters], seed: int) -> dict:
    """All that is measured for a seed."""
    found = find(kind(seed))
    told = found.to_dict()
    del told["curves"]
    others = {}
    for start, end, rules in SWEEPS.values():
        # The optimizer's own rate has to be low for that: a tutorial's 1e-7.
        swept = find(kind(seed), start=start or 1e-7, end=end, steps=100, seeds=[seed])
        read = read_all(swept.curves[0])
        others |= {rule: read[rule] for rule in rules}
    grid = {rate: train(kind(seed), rate) for rate in kind.rates}
    return {"seed": seed, "found": told, "others": others, "grid": grid}


def find(task: Digits | Characters, **options) -> cd.RangeResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are in the result
        return cd.find_lr(task.model, task.optimizer, task.loss_fn, task.loader, **options)


def train(task: Digits | Characters, rate: float) -> float:
    """The loss on held-out data after a run at a peak rate; infinite where it diverged."""
    for group in task.optimizer.param_groups:
        group["lr"] = rate
    scheduler = cd.Scheduler(task.optimizer, lr=PLAN, total_steps=UPDATES)
    batches = iter(task.loader)
    while not scheduler.finished:
        batch = next(batches, None)
        if batch is None:
            batches = iter(task.loader)
            continue
        task.optimizer.zero_grad()
        task.loss(batch).backward()
        task.optimizer.step()
        scheduler.step()
    loss = task.validate()
    return loss if math.isfinite(loss) else math.inf


def report(name: str, rows: list[dict], console: Console) -> None:
    """The tables of a task."""
    rates = [float(rate) for rate in rows[0]["grid"]]
    losses = np.array([list(row["grid"].values()) for row in rows])
    best = rates[int(losses.mean(axis=0).argmin())]
    own = [rates[int(line.argmin())] for line in losses]
    console.print(f"\n[bold]{name}[/]: {len(rows)} seeds, {UPDATES} updates of {PLAN}")
    grid = Table("peak rate", *(f"{rate:.2g}" for rate in rates))
    grid.add_row("mean loss", *(f"{loss:.4g}" for loss in losses.mean(axis=0)))
    grid.add_row("best for", *(str(own.count(rate)) for rate in rates))
    console.print(grid)
    brackets = [row["found"]["bracket"] for row in rows]
    lows, highs = [one["low"] for one in brackets], [one["high"] for one in brackets]
    widths = [one["width"] for one in brackets]
    inside = sum(low <= best <= high for low, high in zip(lows, highs, strict=True))
    each = sum(low <= rate <= high for low, high, rate in zip(lows, highs, own, strict=True))
    console.print(
        f"bracket: contains {best:.2g}, the best on average, for {inside} of {len(rows)} seeds, "
        f"and the seed's own best for {each}; a factor of {min(widths):.0f} to {max(widths):.0f}, "
        f"lower end {min(lows):.2g} to {max(lows):.2g}, upper end {min(highs):.2g} to "
        f"{max(highs):.2g}"
    )
    table = Table("suggestion", "mean", "least", "most", "within 3x", "of own best", "off by")
    told = {"Cadence": [row["found"]["suggestion"] for row in rows]}
    told |= {rule: [row["others"][rule] for row in rows] for rule in OTHERS}
    for rule, values in told.items():
        found = np.array(values)
        off = np.maximum(found / best, best / found)
        of_own = np.maximum(found / own, own / found)
        table.add_row(
            rule,
            *(f"{value:.2g}" for value in (np.exp(np.log(found).mean()), found.min(), found.max())),
            f"{(off <= CLOSE).sum()} of {len(rows)}",
            f"{(of_own <= CLOSE).sum()} of {len(rows)}",
            f"{np.exp(np.log(off).mean()):.2g}x",
        )
    console.print(table)
    doubts = [text.partition(":")[0] for row in rows for text in row["found"]["warnings"]]
    if doubts:
        console.print(f"warnings: { {word: doubts.count(word) for word in sorted(set(doubts))} }")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=FIRST, help="the first seed")
    parser.add_argument("--task", choices=TASKS, action="append", help="by default both")
    parser.add_argument("--data", type=Path, default=Path("range_test.jsonl"))
    parser.add_argument("--report", action="store_true", help="measure nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    for name in given.task or TASKS:
        for seed in range(given.first, given.first + (0 if given.report else given.seeds)):
            if any(row["seed"] == seed for row in records(given.data, name)):
                continue
            row = {"task": name, **measure(TASKS[name], seed)}
            with given.data.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            console.print(f"{name}, seed {seed}: {row['found']['suggestion']:.2g}")
        rows = sorted(records(given.data, name), key=lambda row: row["seed"])
        if rows:
            report(name, rows, console)


def records(path: Path, task: str) -> list[dict]:
    """What is measured already."""
    if not path.exists():
        return []
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["task"] == task]


if __name__ == "__main__":
    main()
