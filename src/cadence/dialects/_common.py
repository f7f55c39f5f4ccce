"""What readers of more than one library share."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cadence import _checks
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.feedback import Plateau
from cadence.levels import Level, absolute
from cadence.schedule import Schedule

__all__ = ["as_level", "call", "plateau", "steps", "timeline"]

T = TypeVar("T")


def call(where: str, function: Callable[..., T], given: Mapping[str, Any]) -> T:
    """Call a function whose keywords are a library's; a wrong or a missing one is told by name."""
    parameters = inspect.signature(function).parameters
    for name in given:
        if name not in parameters:
            hint = _checks.suggest(name, parameters)
            hint = hint or f"; it takes {', '.join(parameters) or 'none'}"
            raise ArgumentTypeError(f"{where}: unknown argument {_checks.given(name)}{hint}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise ArgumentTypeError(f"{where}: '{name}' must be given")
    return function(**given)


def steps(where: str, name: str, value: Any, *, low: int = 0) -> int:
    """A whole number of steps >= `low`; libraries that divide by it take `1e3` too."""
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        whole = float(value)
        value = int(whole) if whole.is_integer() else value
    return _checks.whole(where, name, value, low=low)


def as_level(where: str, name: str, rate: Any, peak: float | None) -> Level:
    """A rate that a library is given, as a multiple of the peak; absolute where that is unknown."""
    rate = _checks.number(where, name, rate)
    return absolute(rate) if peak is None and rate else rate / (peak or 1.0)


def timeline(*phases: Schedule) -> Schedule:
    """The phases in sequence, without a warm-up to the full rate that takes no steps."""
    first, *others = phases
    if others and first.steps == 0 and first.compiled().exit == (1.0, 0.0):
        return timeline(*others)
    for phase in others:
        first = first >> phase
    return first


def plateau(
    where: str,
    *,
    mode: str = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
    min_lr: Any = 0.0,
    eps: float = 1e-8,
) -> Plateau:
    """The controller that torch's `ReduceLROnPlateau` is, given its arguments."""
    floors = set(min_lr) if isinstance(min_lr, (list, tuple)) else {min_lr}
    if len(floors) != 1:
        raise ArgumentError(
            f"{where}: 'min_lr' must be one rate for all groups (got {min_lr!r}): a controller has "
            "one floor; write Plateau(floor=...) with a fraction of each group's own rate"
        )
    (floor,) = floors
    low = _checks.number(where, "min_lr", floor, low=0)
    chosen: Any = {"mode": mode, "threshold_mode": threshold_mode}
    return Plateau(
        **chosen,
        factor=factor,
        patience=patience,
        threshold=threshold,
        cooldown=cooldown,
        floor=absolute(low) if low else 0.0,
        eps=eps,
        nan="bad",
    )
