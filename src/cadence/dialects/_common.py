"""What readers of more than one library share."""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from cadence import _checks
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.feedback import Plateau
from cadence.levels import Absolute, Level, absolute
from cadence.schedule import Schedule
from cadence.shapes import (
    Cosine,
    Linear,
    PiecewiseCosine,
    PiecewiseLinear,
    PiecewiseRamp,
    Ramp,
    Warmup,
)

__all__ = [
    "as_level",
    "call",
    "flag",
    "named",
    "plateau",
    "rate_or_own",
    "steps",
    "stretched",
    "timeline",
    "times",
]

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


def named(
    where: str, function: Callable[..., Any], placed: Iterable[Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments by name; those without one are in the order of the function's keywords."""
    names, values = list(inspect.signature(function).parameters), list(placed)
    if len(values) > len(names):
        raise ArgumentTypeError(
            f"{where}: at most {len(names)} arguments may be given (got {len(values)})"
        )
    found = dict(zip(names, values, strict=False))
    for name in given:
        if name in found:
            raise ArgumentTypeError(f"{where}: {name!r} must be given only once")
    return {**found, **given}


def steps(where: str, name: str, value: Any, *, low: int = 0) -> int:
    """A whole number of steps >= `low`; libraries that divide by it take `1e3` too."""
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        whole = float(value)
        value = int(whole) if whole.is_integer() else value
    return _checks.whole(where, name, value, low=low)


def flag(where: str, name: str, value: Any) -> bool:
    """True or False."""
    return _checks.choice(where, name, value, (True, False))


def stretched(
    ramp: Ramp,
    a: float,
    b: float,
    start: Level,
    end: Level,
    steps: int | None = None,
    *,
    continues: bool = False,
) -> Schedule:
    """A ramp from step `a` to step `b` for the steps from 0 on; neither need be whole.

    Args:
        ramp: The curve.
        a: Where the curve begins; below 0, only the rest of it is taken.
        b: Where it ends.
        start: The level at `a`.
        end: The level at `b`.
        steps: How long the phase is; by default up to the first step from `b` on.
        continues: Whether `start` is where the phase before ends, or 1.0 at the beginning of a
            plan, so that it need not be said.
    """
    a, b = _whole(a), _whole(b)
    if a == 0 and isinstance(b, int) and steps in (None, b):
        return dataclasses.replace(ramp, steps=b, start=None if continues else start, end=end)
    points = [(a, start), (b, end)]
    if steps is not None and steps > math.ceil(b):
        points.append((steps, end))
    if ramp in (Linear(), Warmup()):
        return PiecewiseLinear(tuple(points))
    return (
        PiecewiseCosine(tuple(points)) if ramp == Cosine() else PiecewiseRamp(tuple(points), ramp)
    )


def _whole(step: float) -> float:
    """The step as an int, where it is one but for rounding."""
    near = round(step)
    return near if math.isclose(step, near, rel_tol=1e-12, abs_tol=1e-9) else step


def as_level(where: str, name: str, rate: Any, peak: float | None) -> Level:
    """A rate that a library is given, as a multiple of the peak; absolute where that is unknown."""
    rate = _checks.number(where, name, rate)
    return absolute(rate) if peak is None and rate else rate / (peak or 1.0)


def rate_or_own(where: str, name: str, rate: Any) -> Level:
    """A rate, which is absolute; the group's own, where it is left out."""
    return 1.0 if rate is None else as_level(where, name, rate, None)


def times(level: Level, factor: float) -> Level:
    """A multiple of a level."""
    if not isinstance(level, Absolute):
        return level * factor
    return absolute(level.value * factor) if level.value * factor else 0.0


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
