"""Ranking plans by what is predicted for them, and proposing one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cadence import _checks
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.forecast._walk import Walk
from cadence.schedule import Schedule
from cadence.shapes import Cosine, Hold, Linear, PiecewiseLinear, Polynomial, Warmup

if TYPE_CHECKING:
    from cadence.forecast._predict import Forecast, Forecaster

__all__ = ["FAMILIES", "Proposal", "Ranking", "proposal", "ranking"]

FLAT = 1e-3
"""Members of a family within this part of the loss are as good as the best."""

KNOTS = 16
"""Points of a free schedule."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Plans by their predicted final losses; made by :meth:`Forecaster.rank`.

    Args:
        forecasts: Of each plan, the lowest predicted final loss first.
        places: The place of each: those that are not resolved from the first of their place share
            it, whatever their numbers.
    """

    forecasts: tuple[Forecast, ...]
    places: tuple[int, ...]

    @property
    def ties(self) -> tuple[str, ...]:
        """The plans that are not resolved from the best; with itself alone it is the winner."""
        return tuple(
            f.label for f, place in zip(self.forecasts, self.places, strict=True) if place == 1
        )

    @property
    def resolved(self) -> bool:
        """Whether one plan is better than every other by more than the bands."""
        return len(self.ties) == 1

    def __str__(self) -> str:
        rows = [
            f"{place:>3}  {f.final:.4f}  {f.low[-1]:.4f} to {f.high[-1]:.4f}  {f.label}"
            for f, place in zip(self.forecasts, self.places, strict=True)
        ]
        return "\n".join(rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [
            {"place": place, **f.as_dict()}
            for f, place in zip(self.forecasts, self.places, strict=True)
        ]
        return {"resolved": self.resolved, "ties": list(self.ties), "plans": rows}


def ranking(forecasts: Sequence[Forecast]) -> Ranking:
    """The forecasts in order, with their places."""
    ordered = sorted(forecasts, key=lambda forecast: forecast.final)
    places: list[int] = []
    first = ordered[0]
    for i, forecast in enumerate(ordered):
        if i and forecast.resolved(first):
            first = forecast
            places.append(i + 1)
        else:
            places.append(places[-1] if places else 1)
    return Ranking(tuple(ordered), tuple(places))


def named_plans(plans: Any) -> list[tuple[str, Schedule]]:
    """Plans with what to call them."""
    if isinstance(plans, Schedule):
        plans = [plans]
    if not isinstance(plans, Iterable) or isinstance(plans, str):
        raise ArgumentTypeError(
            f"rank: 'plans' must be several schedules (got {_checks.given(plans)})"
        )
    pairs = list(plans.items()) if isinstance(plans, Mapping) else [(repr(p), p) for p in plans]
    if not pairs:
        raise ArgumentError("rank: 'plans' must hold at least one plan (got none)")
    for _, plan in pairs:
        if not isinstance(plan, Schedule):
            raise ArgumentTypeError(
                f"rank: a plan must be a schedule (got {_checks.given(plan)}); write "
                "cadence.parse(text) for a text"
            )
    return [(str(name), plan) for name, plan in pairs]


@dataclass(frozen=True, eq=False)
class Proposal:
    """The member of a family for which the laws predict the least loss, in their mean.

    Such gains were predicted 1.3 to 3.3 times as large as they were measured, and the optimum is
    flat: `as_good` tells how flat.

    Args:
        plan: The member.
        forecast: What is predicted for it.
        against: What is predicted for the plan that it is compared with.
        as_good: The range of the cooldown's fraction of the run, or of the end for families without
            one, within which a member is predicted to be within 0.1 % of the best loss.
    """

    plan: Schedule
    forecast: Forecast
    against: Forecast
    as_good: tuple[float, float]

    @property
    def gain(self) -> float:
        """How much lower its predicted final loss is."""
        return self.against.final - self.forecast.final

    @property
    def gains(self) -> tuple[float, float]:
        """The least and the largest gain that any of the laws predicts."""
        every = [
            float(self.against.laws[name][-1] - self.forecast.laws[name][-1])
            for name in self.forecast.laws
        ]
        return min(every), max(every)

    @property
    def resolved(self) -> bool:
        """Whether it is better by more than the bands."""
        return self.gain > 0 and self.forecast.resolved(self.against)

    def __repr__(self) -> str:
        word = "resolved" if self.resolved else "not resolved"
        gain = f"{abs(self.gain):.4f} {'better' if self.gain > 0 else 'worse'}"
        return (
            f"Proposal({self.plan!r}: {self.forecast.final:.4f}, {gain} than "
            f"{self.against.label}, {word})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "plan": repr(self.plan),
            "gain": self.gain,
            "gains": list(self.gains),
            "resolved": self.resolved,
            "as_good": list(self.as_good),
            "forecast": self.forecast.as_dict(),
            "against": self.against.as_dict(),
        }


def _wsd(warmup: int, total: int, member: Sequence[float]) -> Schedule:
    fraction, end, power = member
    steps = max(1, round(fraction * total))
    return Warmup(warmup) >> Hold() >> Polynomial(steps, end=end, power=power)


def _cosine(warmup: int, total: int, member: Sequence[float]) -> Schedule:
    del total
    return Warmup(warmup) >> Cosine(end=member[0])


def _linear(warmup: int, total: int, member: Sequence[float]) -> Schedule:
    del total
    return Warmup(warmup) >> Linear(end=member[0])


Family = tuple[Callable[[int, int, Sequence[float]], Schedule], list[tuple[float, ...]]]
ENDS = (0.0, 0.05, 0.1, 0.2)
FAMILIES: dict[str, Family] = {
    "wsd": (
        _wsd,
        list(
            itertools.product(
                (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8), ENDS[:3], (0.5, 1.0, 1.5, 2.0)
            )
        ),
    ),
    "cosine": (_cosine, [(end,) for end in ENDS]),
    "linear": (_linear, [(end,) for end in ENDS]),
}
"""Of each family how a member is made of its numbers, and the members to look at first."""

LIMITS = {"wsd": ((0.05, 0.95), (0.0, 0.5), (0.5, 2.0))}


def proposal(
    of: Forecaster,
    total_steps: int,
    family: str,
    *,
    peak: float,
    against: Schedule | None,
    force: bool,
) -> Proposal:
    """The best member of a family."""
    _checks.choice("optimize", "family", family, [*FAMILIES, "piecewise"])
    warmup = max(1, round(of.warmup * min(1.0, total_steps / max(of.total_steps, 1))))
    if warmup + 2 > total_steps:
        raise ArgumentError(
            f"optimize: 'total_steps' must be longer than the warm-up of {warmup} (got "
            f"{total_steps})"
        )
    last = np.array([total_steps - 1])

    def loss(plan: Schedule) -> float:
        rates = plan.resolve(total_steps).values(total_steps, peak)
        walk = Walk(rates, last)
        # The mean over the laws: what is best for one alone exploits the fault of that one.
        return float(np.mean([law.of(walk)[0] for law in of.ensemble.values()]))

    if family == "piecewise":
        plan, as_good = _free(loss, warmup, total_steps), (math.nan, math.nan)
    else:
        make, members = FAMILIES[family]
        limits = LIMITS.get(family, ((0.0, 0.5),))
        plan, as_good = _best(
            lambda member: loss(make(warmup, total_steps, member)),
            lambda member: make(warmup, total_steps, member),
            members,
            limits,
        )
    baseline = against if against is not None else Warmup(warmup) >> Cosine(end=0.1)
    return Proposal(
        plan,
        of.predict(plan, total_steps, peak, force=force),
        of.predict(baseline, total_steps, peak, force=force),
        as_good,
    )


def _best(
    loss: Callable[[Sequence[float]], float],
    make: Callable[[Sequence[float]], Schedule],
    members: Sequence[tuple[float, ...]],
    limits: Sequence[tuple[float, float]],
) -> tuple[Schedule, tuple[float, float]]:
    from scipy.optimize import minimize

    losses = np.array([loss(member) for member in members])
    start = members[int(np.argmin(losses))]
    found = minimize(
        loss, start, method="Nelder-Mead", bounds=limits, options={"maxfev": 120, "fatol": 1e-5}
    )
    tuned = tuple(round(float(x), 2) for x in found.x)
    best = tuned if loss(tuned) <= losses.min() else start
    good = [
        m[0] for m, value in zip(members, losses, strict=True) if value <= (1 + FLAT) * loss(best)
    ]
    firsts = [best[0], *good]
    return make(best), (min(firsts), max(firsts))


def _free(loss: Callable[[Schedule], float], warmup: int, total: int) -> Schedule:
    """A schedule that never rises, through points at equal distances."""
    from scipy.optimize import minimize

    steps = np.unique(np.linspace(0, total - warmup, KNOTS + 1).round()).astype(int).tolist()

    def plan(point: np.ndarray, digits: int = 12) -> Schedule:
        levels = np.exp(-np.cumsum(np.exp(point))).round(digits)
        points = tuple(zip(steps, [1.0, *levels.tolist()], strict=True))
        return Warmup(warmup) >> PiecewiseLinear(points)

    starts = (np.linspace(-6.0, 1.0, len(steps) - 1), np.full(len(steps) - 1, -2.0))
    found = [
        minimize(
            lambda point: loss(plan(point)), start, method="Powell",
            bounds=[(-12.0, 2.5)] * len(start), options={"maxfev": 600, "ftol": 1e-6},
        )
        for start in starts
    ]  # fmt: skip
    return plan(min(found, key=lambda one: one.fun).x, 4)
