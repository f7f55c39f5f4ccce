"""Checks of the arguments that torch's schedulers take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from cadence import _checks
from cadence.binding import copied
from cadence.errors import ArgumentError, ArgumentTypeError

__all__ = [
    "Factor",
    "choice",
    "epochs",
    "function",
    "functions",
    "metric_of",
    "milestones_of",
    "number",
    "per_group",
    "period",
    "returning",
]

Factor = Callable[[int], float]


def scalar(value: Any) -> Any:
    """What a tensor or an array holds that is one number; anything else as it is."""
    if isinstance(value, torch.Tensor):
        return value.item() if value.numel() == 1 else value
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def number(
    where: str,
    name: str,
    value: Any,
    *,
    endless: bool = False,
    **bounds: float | None,
) -> float:
    """A finite number within bounds, as in :mod:`cadence._checks`; or infinity if allowed."""
    value = scalar(value)
    if endless and isinstance(value, float) and value == math.inf:
        return value
    return _checks.number(where, name, value, **bounds)


def choice(where: str, name: str, value: str, allowed: tuple[str, ...]) -> Any:
    """One of the words."""
    try:
        return _checks.choice(where, name, value, allowed)
    except ArgumentError as error:
        if isinstance(value, str):
            raise
        raise ArgumentTypeError(*error.args) from None


def period(where: str, name: str, value: Any, *, low: int = 1) -> int:
    """A whole number of epochs >= `low`; `1e5` is one too."""
    value = epochs(value)
    if isinstance(value, (float, np.floating)) and not math.isfinite(value):
        raise ArgumentError(f"{where}: '{name}' must be finite (got {value!r})")
    return _checks.whole(where, name, value, low=low)


def epochs(value: Any) -> Any:
    """A whole float as an int; whatever else is no number of epochs is refused elsewhere."""
    value = scalar(value)
    whole = isinstance(value, (float, np.floating)) and value.is_integer()
    return int(value) if whole else value


def per_group(where: str, name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One number >= 0 for each group, given as one for all or as a list."""
    groups = optimizer.param_groups
    values = list(value) if isinstance(value, (list, tuple)) else [value] * len(groups)
    if len(values) != len(groups):
        raise ArgumentError(
            f"{where}: {name} must have the same length as optimizer.param_groups (got "
            f"{len(values)} values for {len(groups)} groups)"
        )
    for one in values:
        number(where, name, one, low=0)
    return [copied(one) if isinstance(one, torch.Tensor) else scalar(one) for one in values]


def functions(where: str, name: str, optimizer: Optimizer, value: Any) -> list[Factor]:
    """One function for each group, given as one for all or as a list."""
    groups = optimizer.param_groups
    given = list(value) if isinstance(value, (list, tuple)) else [value] * len(groups)
    if len(given) != len(groups):
        raise ArgumentError(f"{where}: Expected {len(groups)} {name}s, but got {len(given)}")
    return [function(where, name, one) for one in given]


def function(where: str, name: str, value: Any) -> Any:
    """A function, or any other callable."""
    if not callable(value):
        raise ArgumentTypeError(
            f"{where}: '{name}' must be a function (got {_checks.given(value)})"
        )
    return value


def returning(where: str, name: str, given: Factor, **bounds: Any) -> Factor:
    """The function, with a check of what it returns; a bool counts as 0 or 1."""

    def checked(epoch: int) -> float:
        value = scalar(given(epoch))
        value = int(value) if isinstance(value, (bool, np.bool_)) else value
        return number(where, f"{name}({epoch})", value, **bounds)

    return checked


def milestones_of(where: str, value: Any) -> list[int]:
    """Whole numbers >= 0, in any order."""
    try:
        if isinstance(value, (str, bytes, Mapping)) and not isinstance(value, Counter):
            raise TypeError
        found = list(value.elements() if isinstance(value, Counter) else value)
    except TypeError:
        raise ArgumentTypeError(
            f"{where}: 'milestones' must be a list of epochs (got {_checks.given(value)})"
        ) from None
    return [period(where, "milestones", one, low=0) for one in found]


def metric_of(where: str, value: Any) -> float:
    """A metric, which may be infinite."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        metric = float(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"{where}: 'metrics' must be a number (got {_checks.given(value)})"
        ) from None
    if math.isnan(metric):
        raise ArgumentError(f"{where}: 'metrics' must not be NaN (got {_checks.given(value)})")
    return metric
