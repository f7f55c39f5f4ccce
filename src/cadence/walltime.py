"""Runs of a given time: how far they are is read from a watch, not counted in updates.

The plan is laid out on an axis of its own. Phases with a length in steps, at its beginning and at
its end, take as many updates; all between is a share of the time, so that a percentage is one of
the time budget. The last steps begin while there is surely time for them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from cadence.algebra import Sequence as Phases
from cadence.algebra import share_of_whole
from cadence.errors import ArgumentError
from cadence.horizon import Horizon
from cadence.ranks import of_rank0
from cadence.schedule import Schedule

__all__ = ["Watch", "layout"]

TIMER = time.monotonic
"""What is read. Every use looks it up, so that a simulation can put another in its place."""

SPAN = 10**9
"""The middle of the axis, which stands for the time. Any length does that hides the whole steps."""

SPARE = 1.2
"""By what factor the last steps may be slower than those before."""

SMOOTH = 0.02
"""The weight of an update's time in the running mean."""


@dataclass
class Watch:
    """Where a run stands: the time that it has trained, and the place on the axis.

    Paused time is none: only what passes between two readings counts, and none passes while the
    watch is stopped, or in no process.
    """

    budget: float
    """Seconds."""
    head: int
    tail: int
    """Steps at the axis' beginning and end that are updates."""
    elapsed: float = 0.0
    place: float = 0.0
    mean: float = math.nan
    """The running mean of an update's time."""
    updates: int = 0
    first: float = 0.0
    """The time of the first update, in which much is set up."""
    since: float = 0.0
    """The time at which the head was done."""
    last: int = -1
    """The update before which the tail began; -1 before that."""
    read: float | None = field(default=None, repr=False)

    @property
    def total(self) -> int:
        """The length of the axis."""
        return self.head + SPAN + self.tail

    def start(self) -> None:
        """Count the time from now on."""
        self.read = TIMER()

    def stop(self) -> None:
        """Take in the time up to now, and count none from now on."""
        if self.read is not None:
            self.elapsed += TIMER() - self.read
            self.read = None

    def tick(self, step: int) -> Watch:
        """The watch when the clock comes to `step`; this one is left as it is.

        In a distributed run all processes go by the time of the first.
        """
        now = TIMER()
        passed = 0.0 if self.read is None else now - self.read
        elapsed = of_rank0(self.elapsed + passed)
        after = replace(self, elapsed=elapsed, read=None if self.read is None else now)
        after._measure(elapsed - self.elapsed)
        after.place = max(self.place, min(after._moved(step), self.total))
        return after

    def _measure(self, passed: float) -> None:
        self.updates += 1
        if self.updates == 1:
            self.first = passed
        else:
            # The mean of all at first, and then of the latest.
            weight = max(SMOOTH, 1 / (self.updates - 1))
            self.mean = (
                passed if math.isnan(self.mean) else self.mean + weight * (passed - self.mean)
            )

    @property
    def each(self) -> float:
        """The time of an update: that of the latest or of all, whichever is longer."""
        if self.updates < 2:
            return self.first
        return max(self.mean, (self.elapsed - self.first) / (self.updates - 1))

    @property
    def expected(self) -> int:
        """The steps of the whole run, if the updates go on taking what they took."""
        fixed = self.head + self.tail
        if not self.updates or self.each <= 0:
            return fixed + 1_000
        rest = max(0.0, self.budget - self.elapsed)
        return max(fixed + 1, self.updates + math.ceil(rest / self.each))

    def _moved(self, step: int) -> float:
        latest = self.budget - SPARE * self.each * self.tail
        if self.last >= 0:
            return self.head + SPAN + (step - self.last)
        if self.tail and self.elapsed + self.each > latest:  # the next time would be too late
            self.last = step
            return self.head + SPAN
        if step <= self.head:
            self.since = self.elapsed
            return step
        left = latest - self.since
        share = (self.elapsed - self.since) / left if left > 0 else 1.0
        return self.head + SPAN * min(max(share, 0.0), 1.0)

    def state(self) -> list[float]:
        """What a resumed run needs, as plain numbers."""
        return [getattr(self, name) for name in STATE]

    def resumed(self, state: Iterable[float]) -> Watch:
        """The watch with a saved state, running."""
        values: dict[str, Any] = dict(zip(STATE, state, strict=True))
        values.update(updates=int(values["updates"]), last=int(values["last"]))
        after = replace(self, **values)
        after.start()
        return after


STATE = ("elapsed", "place", "mean", "updates", "first", "since", "last")


def layout(plans: Sequence[tuple[str, Schedule]], horizon: Horizon) -> tuple[Watch, Horizon]:
    """The watch for a run of the horizon's `wall_time`, and the axis as a horizon.

    Args:
        plans: Each with the name of what it is of.
        horizon: Of the run, for the phases that count in epochs, samples or tokens.
    """
    assert horizon.wall_time is not None
    ends = [_ends(name, plan, horizon) for name, plan in plans]
    head, tail = (max(each) for each in zip(*ends, strict=True))
    watch = Watch(horizon.wall_time, head, tail)
    for name, plan in plans:
        _check_scale(name, plan, horizon, head, tail)
    return watch, horizon.counting(watch.total)


def _ends(name: str, plan: Schedule, horizon: Horizon) -> tuple[int, int]:
    """The steps of the phases with a length in steps, before the first other and after the last."""
    parts = plan.parts if isinstance(plan, Phases) else (plan,)
    fixed = [_fixed(part, horizon) for part in parts]
    if None not in fixed:
        return math.ceil(sum(filter(None, fixed))), 0
    first, last = fixed.index(None), len(fixed) - fixed[::-1].index(None)
    if any(fixed[first:last]):
        raise _mixed(name, plan)
    return tuple(math.ceil(sum(filter(None, some))) for some in (fixed[:first], fixed[last:]))  # pyright: ignore[reportReturnType]


def _fixed(part: Schedule, horizon: Horizon) -> Fraction | None:
    """A phase's length in steps; None where it is a share of the run, or takes the rest."""
    if share_of_whole(part) != 0:
        return None
    return part._share(horizon)  # pyright: ignore[reportReturnType]


def _check_scale(name: str, plan: Schedule, horizon: Horizon, head: int, tail: int) -> None:
    """Raise where the plan looks otherwise on an axis of twice the span: it counts steps there."""
    near, far = (plan.resolve(horizon.counting(head + n + tail)) for n in (SPAN, 2 * SPAN))
    steps = [0.5 * 10**k for k in range(8)]  # near either end, where few steps would be lost
    steps += [share * SPAN for share in (0.1234, 0.3141, 0.5772, 0.7071, 0.9196)]
    for place in [*steps, *(SPAN - step for step in steps)]:
        values = near(head + place, 1.0), far(head + 2 * place, 1.0)
        if not math.isclose(*values, rel_tol=1e-4, abs_tol=1e-6):
            raise _mixed(name, plan)


def _mixed(name: str, plan: Schedule) -> ArgumentError:
    return ArgumentError(
        f"Scheduler: {name}={plan!r} counts steps in a part that takes a share of the time "
        "(wall_time); give lengths in percent there, and in steps to the first and the last "
        "phases alone"
    )
