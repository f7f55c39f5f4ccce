"""Runs that change their length: what a plan becomes when it is extended or cooled down.

A revision is a pure function from a resolved plan to another one that agrees with it up to the
present step. It is stored as plain values and applied again on resume, so plans that cannot be
written as text can be revised too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from cadence import _checks
from cadence.errors import ArgumentError, ArgumentTypeError, MismatchError
from cadence.horizon import Duration, Horizon, as_length
from cadence.levels import Absolute, Level, absolute
from cadence.schedule import Schedule
from cadence.shapes import Hold, Linear, Ramp

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HOW", "Change", "Revision", "revised"]

HOW = ("hold", "stretch", "cooldown", "rewarm")


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One change of a run's length, made at `step` of a run that had `before` steps.

    Args:
        how: `"hold"` the plan's end for the added steps; `"stretch"` what is left of the plan to
            the new end; hold the present value, then `"cooldown"` over the last `steps`; or
            `"rewarm"`: after the old end rise to the plan's peak again over `steps`, and come down
            from there as before, in the time that is left.
        shape: The ramp of a cooldown, by its name.
        end: The level at which a cooldown ends; an absolute one as a dict.
    """

    step: int
    before: int
    total_steps: int
    how: str
    steps: int = 0
    shape: str = "OneMinusSqrt"
    end: Any = 0.0
    keys: Sequence[str] = ("lr",)
    """The hyperparameters whose plans are revised."""

    @classmethod
    def of(
        cls,
        where: str,
        *,
        step: int,
        before: float,
        total_steps: Any,
        how: str,
        steps: Any = None,
        shape: Any = "OneMinusSqrt",
        end: Level = 0.0,
        keys: Sequence[str] = ("lr",),
    ) -> Revision:
        """Check the arguments of a verb."""
        _checks.choice(where, "how", how, HOW)
        total = _checks.whole(where, "total_steps", total_steps, low=1)
        if before == math.inf:
            raise ArgumentError(
                f"{where}: the run must have an end; give the scheduler total_steps first"
            )
        begin = max(step, int(before)) if how == "rewarm" else step
        if total < begin or (total == begin and how != "hold"):
            sign = ">=" if how == "hold" else ">"
            what = "present step" if begin == step else "old end, after which it rises again"
            raise ArgumentError(
                f"{where}: 'total_steps' must be {sign} {begin}, the {what} (got {total})"
            )
        kind = _ramp(shape)
        if kind is None:
            raise ArgumentTypeError(
                f"{where}: 'shape' must be a ramp's class or its name (got {shape!r}); write "
                "OneMinusSqrt"
            )
        default = "5%" if how == "rewarm" else "20%"
        length = _steps(where, default if steps is None else steps, total - begin)
        if how in ("cooldown", "rewarm") and length > total - begin:
            raise ArgumentError(
                f"{where}: 'steps' must be <= {total - begin}, what is left of the run "
                f"(got {length})"
            )
        return cls(
            step=step,
            before=int(before),
            total_steps=total,
            how=how,
            steps=length if how in ("cooldown", "rewarm") else 0,
            shape=kind.__name__,
            end={"absolute": end.value} if isinstance(end, Absolute) else end,
            keys=list(keys),
        )

    def state(self) -> dict[str, Any]:
        """The revision as plain values."""
        return asdict(self)

    @classmethod
    def read(cls, state: Mapping[str, Any]) -> Revision:
        """The revision of a state."""
        where = "Scheduler.load_state_dict"
        names = [field.name for field in fields(cls)]
        if not isinstance(state, Mapping) or set(state) != set(names):
            raise MismatchError(
                f"{where}: a revision must have the keys {', '.join(names)} (got {state!r})"
            )
        _checks.choice(where, "how", state["how"], HOW)
        for name in ("step", "before", "total_steps", "steps"):
            _checks.whole(where, name, state[name])
        if _ramp(state["shape"]) is None:
            raise MismatchError(
                f"{where}: the checkpoint's cool-down is a {state['shape']!r}, which must be a "
                "known ramp; import its module first"
            )
        return cls(**{**state, "keys": list(state["keys"])})

    def apply(self, plan: Schedule) -> Schedule:
        """The revised plan; up to the present step it is the given one."""
        now, total = self.step, self.total_steps
        if self.how == "hold":
            return plan
        if self.how == "stretch":
            rest = plan.part(now, max(now, self.before), steps=total - now)
        elif self.how == "cooldown":
            kind: Any = Schedule.known[self.shape]
            rest = Hold(total - now - self.steps) >> kind(self.steps, end=_read_level(self.end))
        else:
            now = max(now, self.before)
            peak = _last_peak(plan, self.before)
            left = total - now - self.steps
            rest = Linear(self.steps, end=_level(plan, peak)) >> plan.part(
                peak, self.before, steps=left
            )
        return plan.part(0, now) >> rest


def revised(plan: Schedule, key: str, revisions: Sequence[Revision]) -> Schedule:
    """A resolved plan after all revisions of its hyperparameter, in their order."""
    for revision in revisions:
        if key in revision.keys:
            plan = revision.apply(plan)
    return plan


def _ramp(shape: Any) -> type[Ramp] | None:
    """A ramp's class, by itself or by its name."""
    kind = Schedule.known.get(shape) if isinstance(shape, str) else shape
    return kind if isinstance(kind, type) and issubclass(kind, Ramp) else None


def _steps(where: str, value: Any, left: int) -> int:
    """A length in steps; a percentage is of what is left of the run."""
    length = as_length(where, "steps", value)
    if isinstance(length, Duration) and length.unit != "%":
        raise ArgumentError(
            f"{where}: 'steps' must be in steps or a percentage of what is left (got {value!r})"
        )
    return Horizon(left).steps(length) if left else 0


def _last_peak(plan: Schedule, end: int) -> int:
    """The last step at which a plan is at its highest."""
    values = plan(np.arange(end + 1, dtype=np.float64))
    return int(end - np.argmax(values[::-1]))


def _level(plan: Schedule, step: int) -> Level:
    """The level of a plan at a step, which must be of one kind."""
    p, q = plan.compiled().at(step)
    if p and q:
        raise ArgumentError(
            f"Scheduler.extend: how='rewarm' must find a peak that is a multiple of the base or an "
            f"absolute level (at step {step} it is {p:g} of the base plus {q:g})"
        )
    return p if p or not q else absolute(q)


def _read_level(stored: Any) -> Level:
    return absolute(stored["absolute"]) if isinstance(stored, Mapping) else stored


@dataclass(frozen=True)
class Change:
    """What a revision does to a plan: before, after, and a picture of both."""

    before: Schedule
    after: Schedule
    step: int
    total_steps: int
    """Of the revised run."""
    base: float = 1.0

    def plot(self, **options: Any) -> Axes:
        """Draw both plans, the present step marked; see :func:`cadence.plot.plot`."""
        from cadence.plot import plot

        plans = {"before": self.before, "after": self.after}
        return plot(plans, self.total_steps, base=self.base, mark=self.step, **options)
