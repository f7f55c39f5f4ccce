"""A plan and its run, as the rules of the checker see them: evaluated once, phase by phase."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from cadence import edits
from cadence.horizon import Horizon
from cadence.outline import viewed
from cadence.schedule import Schedule
from cadence.shapes import Constant, Hold

__all__ = ["Stage", "View"]


@dataclass(frozen=True)
class Stage:
    """One phase: as it was written, resolved, its place, and its levels at both ends."""

    index: int
    written: Any
    plan: Any
    begin: int
    steps: float
    start: float
    end: float

    @property
    def flat(self) -> bool:
        """Whether the phase says that one level is to be kept."""
        return isinstance(self.plan, (Hold, Constant))


@dataclass(frozen=True, eq=False)
class View:
    """A plan and its run, as the rules see them.

    Args:
        written: The plan as it was written.
        horizon: The run.
        base: The group's own rate.
        most: How many steps are evaluated at most; a longer run is sampled.
        plan: The plan, resolved.
    """

    written: Schedule
    horizon: Horizon
    base: float
    most: int
    plan: Schedule = field(default=None)  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        if self.plan is None:
            object.__setattr__(self, "plan", self.written.resolve(self.horizon))

    @property
    def run(self) -> int | None:
        """Steps of the run, where they are known."""
        return self.horizon.total_steps

    @cached_property
    def steps(self) -> int:
        """How many steps are looked at: those of the run, or of the plan."""
        return self.run or viewed(self.plan)

    @cached_property
    def at(self) -> np.ndarray:
        """The steps that are evaluated: all, or some everywhere, more of them early."""
        if self.steps <= self.most:
            return np.arange(self.steps, dtype=np.float64)
        last, third = self.steps - 1, self.most // 3
        begins = [
            b + d for b in self.plan.compiled(self.base).begins[: third // 2] for d in (-1, 0)
        ]
        some = np.concatenate(
            [np.linspace(0, last, third), np.geomspace(1, last, third), np.asarray(begins)]
        )
        return np.unique(np.clip(some.round(), 0, last))

    @cached_property
    def values(self) -> np.ndarray:
        return self.plan(self.at, self.base)

    @cached_property
    def peak(self) -> float:
        return float(self.values.max())

    @cached_property
    def sound(self) -> bool:
        """Whether the values are rates: finite, none negative, and not all 0."""
        return bool(np.isfinite(self.values).all() and self.values.min() >= 0 and self.peak > 0)

    @cached_property
    def after(self) -> float:
        """The value that follows the last step."""
        return float(self.plan(self.steps, self.base))

    @cached_property
    def cut(self) -> bool:
        """Whether the run ends before the plan."""
        return None not in (self.run, self.plan.steps) and self.plan.steps > self.steps

    @cached_property
    def multiples(self) -> np.ndarray | None:
        """The values as multiples of the base; None where a level is absolute."""
        if self.plan.compiled(1.0).uses_base or np.any(self.plan(self.at, 0.0)):
            return None
        return self.plan(self.at, 1.0)

    def since(self, holds: Callable[[Any], Any]) -> int:
        """The first step from which on, up to the last, the condition holds."""
        fails = np.flatnonzero(~holds(self.values))
        if not len(fails):
            return 0
        low = int(self.at[fails[-1]])
        high = int(self.at[fails[-1] + 1]) if fails[-1] + 1 < len(self.at) else self.steps
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(self.plan(middle, self.base)) else (middle, high)
        return high

    @cached_property
    def stages(self) -> list[Stage]:
        """The phases of the plan, through the levels that multiply and bound it."""
        found = []
        timeline = edits.timeline(self.plan)._timeline(self.base)
        pairs = zip(edits.phases(self.written), timeline, strict=True)
        for index, (written, (part, begin, program)) in enumerate(pairs):
            steps = math.inf if part.steps is None else part.steps
            start = program.value(0, math, self.base)
            end = program.value(steps, math, self.base) if steps < math.inf else math.nan
            found.append(Stage(index, written, part, begin, steps, start, end))
        return found

    def holds(self, kind: type[Schedule]) -> bool:
        """Whether any part of the plan is of this kind."""
        return edits.holds(self.plan, kind)
