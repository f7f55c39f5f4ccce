"""Plans with one thing changed: what the checker's fixes are made of.

Plans are edited as they were written, so that a fix keeps its percentages and open phases. The
phases of a timeline are reached through factors and bounds, `(a >> b).clip(low=0.1) * 0.5`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from cadence import algebra
from cadence.algebra import Clip, Part, Product, Stairs
from cadence.horizon import Duration
from cadence.levels import Absolute
from cadence.schedule import Schedule
from cadence.shapes import Constant, Decay, Hold, Piecewise, Ramp

__all__ = [
    "as_rates",
    "holds",
    "in_epochs",
    "longer",
    "not_negative",
    "opened",
    "phases",
    "replaced",
    "timeline",
]

LENGTHS = {"steps", "every", "per", "period", "timescale", "over", "milestones"}
"""The fields of a plan that hold lengths."""

LEVELS = {"start", "end", "level", "low", "high"}
"""The fields of a plan that hold levels."""


def timeline(plan: Schedule) -> Schedule:
    """The plan without the levels that multiply and bound it."""
    while True:
        if isinstance(plan, Product) and not isinstance(plan.right, Schedule):
            plan = plan.left
        elif isinstance(plan, Clip):
            plan = plan.plan
        else:
            return plan


def phases(plan: Schedule) -> tuple[Schedule, ...]:
    """The phases of a timeline; any other plan is its own only phase."""
    inner = timeline(plan)
    return inner.parts if isinstance(inner, algebra.Sequence) else (inner,)


def _rebuilt(plan: Schedule, parts: Sequence[Schedule]) -> Schedule:
    """The plan with other phases."""
    if isinstance(plan, Product) and not isinstance(plan.right, Schedule):
        return dataclasses.replace(plan, left=_rebuilt(plan.left, parts))
    if isinstance(plan, Clip):
        return dataclasses.replace(plan, plan=_rebuilt(plan.plan, parts))
    return parts[0] if len(parts) == 1 else algebra.Sequence(tuple(parts))


def replaced(plan: Schedule, index: int, *parts: Schedule) -> Schedule:
    """The plan with one phase replaced, by as many as are given."""
    own = list(phases(plan))
    own[index : index + 1] = parts
    return _rebuilt(plan, own)


def holds(plan: Any, kind: type[Schedule] | tuple[type[Schedule], ...]) -> bool:
    """Whether the plan is of this kind (or one of these), or any that it is made of."""
    if isinstance(plan, tuple):
        return any(holds(item, kind) for item in plan)
    if not isinstance(plan, Schedule):
        return False
    fields = dataclasses.fields(plan)  # pyright: ignore[reportArgumentType]
    return isinstance(plan, kind) or any(holds(getattr(plan, f.name), kind) for f in fields)


def opened(plan: Schedule) -> Schedule | None:
    """The plan whose last moving phase takes the rest of the run, or goes on; None: no such."""
    own = list(phases(plan))
    while len(own) > 1 and isinstance(own[-1], (Hold, Constant)):
        own.pop()
    last = own[-1]
    if not isinstance(last, (Ramp, Decay)) or last.steps is None:
        return None
    own[-1] = dataclasses.replace(last, steps=None)
    return _rebuilt(plan, own)


OTHERS = (Part, Stairs)
"""Plans whose steps may be those of another clock: one that holds such a plan is left alone."""


def in_epochs(plan: Schedule) -> Schedule | None:
    """The plan with each length in steps taken for one in epochs; None where there is none."""

    def epochs(value: float) -> Any:
        return Duration(Fraction(str(value)), "ep") if value > 0 else value

    if holds(plan, OTHERS):
        return None
    changed = _mapped(plan, LENGTHS, epochs)
    return None if changed == plan else changed


def longer(plan: Schedule, times: int) -> Schedule | None:
    """The plan with each length in steps multiplied."""
    return None if holds(plan, OTHERS) else _mapped(plan, LENGTHS, lambda value: value * times)


def not_negative(plan: Schedule) -> Schedule | None:
    """The plan with 0 for each negative level."""
    return None if holds(plan, OTHERS) else _mapped(plan, LEVELS, lambda value: max(0.0, value))


def as_rates(plan: Schedule) -> Schedule | None:
    """The plan with each level taken for a rate; None where no level can be meant."""

    def rate(value: float) -> Any:
        return Absolute(value) if value else value

    return None if holds(plan, OTHERS) else _mapped(plan, LEVELS, rate)


def _mapped(
    value: Any, names: set[str], change: Callable[[float], Any], *, on: bool = False
) -> Any:
    """The plan with `change` made to every plain number in a field of these names."""
    if isinstance(value, Piecewise):
        at = 0 if names is LENGTHS else 1
        points = [list(point) for point in value.points]
        for point in points:
            point[at] = _mapped(point[at], names, change, on=True)
        return dataclasses.replace(value, points=tuple(map(tuple, points)))  # pyright: ignore[reportArgumentType]
    if isinstance(value, Schedule):
        own = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}  # pyright: ignore[reportArgumentType]
        changes = {name: _mapped(it, names, change, on=name in names) for name, it in own.items()}
        return dataclasses.replace(value, **changes)  # pyright: ignore[reportArgumentType]
    if isinstance(value, tuple):
        return tuple(_mapped(item, names, change, on=on) for item in value)
    return change(value) if on and isinstance(value, (int, float)) else value
