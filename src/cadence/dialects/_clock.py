"""Phases on a clock that is not one of updates: they may begin and end between two of these."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from functools import partial

from cadence.algebra import Sequence
from cadence.levels import Level
from cadence.schedule import Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    Hold,
    InverseSqrt,
    Linear,
    Piecewise,
    PiecewiseCosine,
    PiecewiseLinear,
    PiecewiseRamp,
    Ramp,
)

__all__ = ["ramp", "sequence", "updates"]


def updates(amount: float, each: float) -> float:
    """An amount in updates of `each`; whole where it is but for the last digit."""
    found = amount / each
    whole = round(found)
    return whole if math.isclose(found, whole, rel_tol=1e-14) else found


def ramp(
    shape: Ramp, begin: float, end: float, start: Level, stop: Level, origin: int = 0
) -> Schedule:
    """The shape from step `begin` to step `end`, as a phase that starts at the whole `origin`.

    Of the shape the curve counts alone; its end is 0 where it is not given.
    """
    if not (float(begin).is_integer() and float(end).is_integer()):
        points = ((begin - origin, start), (end - origin, stop))
        bare = dataclasses.replace(shape, steps=None, start=None, end=0.0)
        piecewise = {Linear(): PiecewiseLinear, Cosine(): PiecewiseCosine}
        return piecewise.get(bare, partial(PiecewiseRamp, ramp=bare))(points)
    whole = dataclasses.replace(shape, steps=round(end - begin), start=start, end=stop)
    return whole if begin == origin else whole.part(round(origin - begin))


def sequence(phases: Iterable[Schedule]) -> Schedule:
    """The phases in sequence, without the levels that follow by themselves."""
    told: list[Schedule] = []
    reached: Level | None = 1.0
    for phase in phases:
        if isinstance(phase, (Ramp, InverseSqrt)) and phase.start == reached:
            phase = dataclasses.replace(phase, start=None)
        elif isinstance(phase, Constant) and phase.level == reached and phase.steps is not None:
            phase = Hold(phase.steps)
        if isinstance(phase, Constant):
            reached = phase.level
        elif isinstance(phase, Piecewise):
            reached = phase.points[-1][1]
        elif not isinstance(phase, Hold):
            reached = getattr(phase, "end", None)
        told.append(phase)
    return told[0] if len(told) == 1 else Sequence(tuple(told))
