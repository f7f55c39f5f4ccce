"""Small training loops that are logged, and what they really used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from cadence.binding import read
from cadence.logs import ScheduleLogger
from cadence.runs import Run


class Kept:
    """A sink that keeps what it is given; it has the four methods and no base class."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.texts: list[tuple[int, str, str]] = []
        self.pictures: list[tuple[int, str, bytes]] = []
        self.closed = 0

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((step, dict(values)))

    def text(self, step: int, key: str, text: str) -> None:
        self.texts.append((step, key, text))

    def picture(self, step: int, key: str, png: bytes) -> None:
        self.pictures.append((step, key, png))

    def close(self) -> None:
        self.closed += 1

    def series(self, key: str) -> dict[int, float]:
        """What was written of one key, by its step."""
        return {step: row[key] for step, row in self.rows if key in row}


def model() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))


def two_groups(
    net: torch.nn.Sequential, kind: type = torch.optim.SGD, **options: Any
) -> torch.optim.Optimizer:
    """A backbone and a head, each with its rate."""
    if kind is torch.optim.SGD:
        options = {"momentum": 0.9, **options}
    return kind(
        [
            {"params": net[0].parameters(), "lr": 0.05, "name": "backbone"},
            {"params": net[1].parameters(), "lr": 0.1, "name": "head"},
        ],
        lr=0.1,
        **options,
    )


def present(optimizer: torch.optim.Optimizer, keys: Iterable[str]) -> dict[str, float]:
    """What the groups hold, under the keys of a log."""
    return {
        f"{key}/{group.get('name', f'group{i}')}": float(read(group, key))
        for key in keys
        for i, group in enumerate(optimizer.param_groups)
    }


def train(
    net: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    logger: ScheduleLogger,
    updates: int,
    *,
    tick: Callable[[int, float], object] = lambda update, loss: None,
    log_first: bool = False,
    keys: Iterable[str] = ("lr",),
) -> list[dict[str, float]]:
    """Train, and return what each update used, read from the groups just before it."""
    used = []
    for update in range(updates):
        loss = net(torch.randn(8, 4)).square().mean()
        loss.backward()
        used.append(present(optimizer, keys) | {"loss": loss.item()})
        optimizer.step()
        optimizer.zero_grad()
        if log_first:
            logger.log(loss=loss)
        tick(update, loss.item())
        if not log_first:
            logger.log(loss=loss)
    return used


def check(run: Run, used: list[dict[str, float]], *, single: bool = False, first: int = 0) -> None:
    """Compare a log with what was used at every update; `single` where it holds float32."""
    steps = list(range(first, first + len(used)))
    for key in used[0]:
        expected = [row[key] for row in used]
        if single:
            expected = torch.tensor(expected, dtype=torch.float32).tolist()
        assert run[key].steps.tolist() == steps, key
        found = run[key].values.tolist()
        assert all(
            a == b or (math.isnan(a) and math.isnan(b))
            for a, b in zip(found, expected, strict=True)
        ), key
