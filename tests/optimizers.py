"""Small optimizers to schedule, and a look at what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cadence import Scheduler


def groups(
    bases: Sequence[float], dtype: torch.dtype | None = None, names: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """A group with one parameter for each base; with a dtype, the rates are tensors of it."""
    made: list[dict[str, Any]] = [
        {
            "params": [torch.nn.Parameter(torch.zeros(1))],
            "lr": base if dtype is None else torch.tensor(base, dtype=dtype),
        }
        for base in bases
    ]
    for group, name in zip(made, names, strict=False):
        group["name"] = name
    return made


def sgd(
    *bases: float, dtype: torch.dtype | None = None, names: Sequence[str] = (), **options: Any
) -> torch.optim.SGD:
    return torch.optim.SGD(groups(bases or [0.5], dtype, names), lr=0.25, **options)


def adamw(
    *bases: float, dtype: torch.dtype | None = None, names: Sequence[str] = (), **options: Any
) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups(bases or [0.5], dtype, names), lr=0.25, **options)


def held(optimizer: torch.optim.Optimizer, key: str = "lr") -> list[float]:
    """What the groups hold under `key`, as floats."""
    place = {"beta1": 0, "beta2": 1}
    values = [
        group[key] if key in group else group["betas"][place[key]]
        for group in optimizer.param_groups
    ]
    return [float(v.detach()) if isinstance(v, torch.Tensor) else v for v in values]


def advance(scheduler: Scheduler, ticks: int = 1) -> None:
    """Make that many updates, each followed by a step of the scheduler."""
    for _ in range(ticks):
        for optimizer in scheduler.optimizers:
            optimizer.step()
        scheduler.step()


def snapshot(*optimizers: torch.optim.Optimizer) -> list[list[dict[str, Any]]]:
    """All that the groups hold but the parameters, with the identity of every tensor."""

    def frozen(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return id(value), value.dtype, value.detach().clone().tolist()
        return tuple(map(frozen, value)) if isinstance(value, tuple) else value

    return [
        [
            {name: frozen(value) for name, value in group.items() if name != "params"}
            for group in optimizer.param_groups
        ]
        for optimizer in optimizers
    ]
