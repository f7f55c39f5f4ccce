"""What a scheduler is given, checked and brought into one form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from cadence import _checks
from cadence.binding import Group
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.horizon import Horizon
from cadence.levels import Absolute
from cadence.recipes import OneCycle
from cadence.schedule import Schedule
from cadence.shapes import Constant, Function
from cadence.state import horizon_state
from cadence.text import parse

__all__ = ["Plan", "by_name", "each", "horizon", "normalized", "one", "optimizers"]

Plan = Schedule | str | float | Callable[[int], float]
"""What a plan may be given as: a schedule, its text, a multiple of the base, or a function."""


def optimizers(given: Any) -> tuple[torch.optim.Optimizer, ...]:
    """One optimizer, or several, each once."""
    if isinstance(given, torch.optim.Optimizer):
        return (given,)
    found = tuple(given) if isinstance(given, Iterable) else ()
    if not found or not all(isinstance(item, torch.optim.Optimizer) for item in found):
        raise ArgumentTypeError(
            "Scheduler: 'optimizer' must be an optimizer or a list of them (got "
            f"{_checks.given(given)})"
        )
    if len({id(item) for item in found}) < len(found):
        raise ArgumentError("Scheduler: 'optimizer' must not name one optimizer twice")
    return found


def horizon(total_steps: int | str | None, horizon: Horizon | None, clock: str) -> Horizon:
    """The run in ticks of the clock."""
    if horizon is not None and not isinstance(horizon, Horizon):
        raise ArgumentTypeError(f"Scheduler: 'horizon' must be a Horizon (got {horizon!r})")
    known = horizon or Horizon()
    if clock == "epoch":
        if known.wall_time is not None:
            raise ArgumentError(
                "Scheduler: a run of a given time (wall_time) goes by its updates; leave "
                "clock='epoch' out"
            )
        known = known.in_epochs()
    if total_steps is None:
        return known
    if known.total_steps is not None:
        raise ArgumentError(
            f"Scheduler: 'total_steps' must not be given twice (got {total_steps!r} and "
            f"{horizon!r})"
        )
    others = {name: value for name, value in horizon_state(known).items() if name != "total_steps"}
    return Horizon(total_steps, **others)


def normalized(key: str, plan: Any) -> Any:
    """A plan as a Schedule, or a list or a dict of them."""
    if isinstance(plan, Mapping):
        return {name: one(key, its) for name, its in plan.items()}
    if isinstance(plan, OneCycle):
        raise ArgumentTypeError(
            f"Scheduler: {key!r} must be a schedule (got the pair of one_cycle); write "
            "cycle = one_cycle(...), then lr=cycle.lr, momentum=cycle.momentum"
        )
    if isinstance(plan, Sequence) and not isinstance(plan, (str, bytes)):
        return [one(key, its) for its in plan]
    return one(key, plan)


def one(key: str, plan: Any) -> Schedule:
    """A plan as a Schedule."""
    if isinstance(plan, Schedule):
        return plan
    if isinstance(plan, str):
        return parse(plan)
    if isinstance(plan, Absolute) or (
        isinstance(plan, (int, float, np.number)) and not isinstance(plan, bool)
    ):
        return Constant(plan)  # pyright: ignore[reportArgumentType]
    if isinstance(plan, type) and issubclass(plan, Schedule):
        raise ArgumentTypeError(
            f"Scheduler: {key!r} must be a schedule (got the class); write {plan.__name__}()"
        )
    if callable(plan):
        return Function(plan)  # pyright: ignore[reportArgumentType]
    raise ArgumentTypeError(
        f"Scheduler: {key!r} must be a schedule, its text, a number or a function (got "
        f"{_checks.given(plan)})"
    )


def each(given: Any) -> list[Schedule]:
    """The plans that were given for one hyperparameter, however they were given."""
    if isinstance(given, dict):
        return list(given.values())
    return given if isinstance(given, list) else [given]


def by_name(key: str, plans: Mapping[str, Schedule], group: Group, label: str) -> Schedule:
    """The plan of a group, by the name of that group."""
    name = group.get("name")
    if name is None:
        raise ArgumentError(
            f"Scheduler: {label} must have a 'name', since {key!r} is given by name; write "
            "{'params': ..., 'name': 'head'}"
        )
    if name not in plans:
        raise ArgumentError(
            f"Scheduler: {key!r} must have a plan for {label}, named {name!r} (it has "
            f"{', '.join(map(repr, plans))}){_checks.suggest(name, plans)}"
        )
    return plans[name]
