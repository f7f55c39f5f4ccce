"""What convex theory says of a schedule, without any run: the last iterate's bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cadence import _checks
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.horizon import Horizon
from cadence.schedule import Schedule

__all__ = ["ConvexBound", "check_schedule", "convex_bound"]


@dataclass(frozen=True, eq=False)
class ConvexBound:
    """The bound of a schedule; made by :func:`convex_bound`.

    Args:
        plan: The plan, resolved.
        total_steps: Length of the run.
        rate: The rate at which the bound is least: what the plan's level 1 should stand for.
        bound: The bound at that rate.
    """

    plan: Schedule
    total_steps: int
    rate: float
    bound: float
    _shape: np.ndarray = field(repr=False)
    _squares: np.ndarray = field(repr=False)
    _distance: float = field(repr=False)

    def at(self, rate: float) -> float:
        """The bound at another rate."""
        rate = _checks.number("at", "rate", rate, above=0)
        return 0.5 * self.bound * (self.rate / rate + rate / self.rate)

    def after(self, step: int) -> float:
        """The bound of the iterate after `step` updates of this run, at its own rate."""
        step = _checks.whole("after", "step", step, low=1)
        shape = self._shape[:step]
        if not shape.any():
            return math.inf
        far, near = _terms(shape, self._squares[:step], self._distance)
        return float(far / self.rate + near * self.rate)

    def ratio(self, other: ConvexBound) -> float:
        """How many times the other's best rate this one's is."""
        return self.rate / other.rate


def convex_bound(
    plan: Schedule,
    total_steps: int | Horizon,
    *,
    distance: float = 1.0,
    gradients: Any = 1.0,
) -> ConvexBound:
    """How far from the optimum the last iterate of SGD can be on a convex function, at most.

    For rates `e_t = rate * u_t`, gradients of norm `g_t` and the distance `D` at the beginning::

        D**2 / (2 * sum e_t) + sum e_t**2 * g_t**2 / (2 * sum e_t)
          + 1/2 * sum_(k<T) e_k / (sum_(t>k) e_t) * (sum_(t>=k) e_t**2 * g_t**2) / (sum_(t>=k) e_t)

    It is `a / rate + b * rate`, so the best rate is `sqrt(a / b)` and the bound there
    `2 * sqrt(a * b)`. Networks are not convex; ratios between schedules were within a quarter of
    what was measured on language models, the rates themselves mean nothing there.

    Args:
        plan: The plan; its levels are the `u_t`.
        total_steps: Steps of the run, or a horizon.
        distance: `D`.
        gradients: `g_t`: one number, or one for each step.

    Raises:
        ArgumentError: A level is negative, or all are 0; a distance or a gradient is not positive.

    >>> from cadence import Cosine, Linear, wsd
    >>> found = convex_bound(Linear(), 4000)
    >>> round(found.rate * 4000**0.5, 3), round(found.bound * 4000**0.5, 3)
    (0.999, 2.002)
    >>> cosine = convex_bound(Cosine(), 4000)
    >>> round(cosine.ratio(convex_bound(wsd(0, "20%", shape="Linear"), 4000)), 2)
    1.89

    Defazio et al., When, Why and How Much? (2023), theorem 10; Schaipp et al., The Surprising
    Agreement Between Convex Optimization Theory and Learning-Rate Scheduling (ICML 2025).
    """
    where = "convex_bound"
    check_schedule(where, "plan", plan)
    horizon = Horizon.of(total_steps)
    total = _checks.whole(where, "total_steps", horizon.total_steps, low=1)
    distance = _checks.number(where, "distance", distance, above=0)
    norms = np.asarray(gradients, dtype=np.float64)
    if norms.shape not in ((), (total,)) or not np.all(np.isfinite(norms)) or np.any(norms <= 0):
        raise ArgumentError(
            f"{where}: 'gradients' must be one number > 0, or one for each of {total} steps (got "
            f"{_checks.given(gradients)})"
        )
    plan = plan.resolve(horizon)
    shape = plan.values(total)
    if not np.all(np.isfinite(shape)) or shape.min() < 0 or shape.max() == 0:
        raise ArgumentError(f"{where}: the levels of {plan!r} must be >= 0 and not all 0")
    squares = np.broadcast_to(norms**2, shape.shape)
    far, near = _terms(shape, squares, distance)
    return ConvexBound(
        plan, total, math.sqrt(far / near), 2.0 * math.sqrt(far * near), shape, squares, distance
    )


def check_schedule(where: str, name: str, value: object) -> None:
    """Refuse what is no plan, such as the text of one."""
    if not isinstance(value, Schedule):
        raise ArgumentTypeError(
            f"{where}: '{name}' must be a schedule (got {_checks.given(value)}); write "
            "cadence.parse(text) for a text"
        )


def _terms(shape: np.ndarray, squares: np.ndarray, distance: float) -> tuple[float, float]:
    """What is divided by the rate, and what is multiplied by it."""
    # A step at rate 0 moves nothing; where a run ends in some, what is left is 0.
    moving = shape > 0
    shape, squares = shape[moving], squares[moving]
    energy = shape**2 * squares
    left = np.cumsum(shape[::-1])[::-1]
    spent = np.cumsum(energy[::-1])[::-1]
    last = float(np.sum(shape[:-1] / left[1:] * (spent[:-1] / left[:-1])))
    return distance**2 / (2.0 * left[0]), float(spent[0] / (2.0 * left[0]) + 0.5 * last)
