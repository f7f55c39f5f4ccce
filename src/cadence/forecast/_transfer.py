"""Carrying a tuned rate over: to another schedule, a longer run, or the rest of a longer run.

Every answer is a range with its source. None is a fact: what was measured scatters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cadence import _checks
from cadence.errors import ArgumentError
from cadence.forecast._bound import _terms, check_schedule, convex_bound
from cadence.horizon import Horizon
from cadence.schedule import Schedule

__all__ = ["Range", "Transfer", "transfer"]

SHAPE_ERROR = 0.25
"""How far ratios between schedules were from those of the bound, measured on a 124M model."""

HORIZON_EXPONENTS = (-0.5, -0.32, -0.2)
"""Of the growth of the run: the convex bound's, Bjorck's, and a weaker one.

Single measurements went from -0.08 to -0.6, on coarse grids.
"""

NEAR_BEST = 0.01
"""A way to go on whose bound is within this part of the best one's is as good."""


@dataclass(frozen=True)
class Range:
    """A number that is known roughly: from `low` to `high`, about `value`; and who says so."""

    what: str
    low: float
    value: float
    high: float
    source: str

    def __str__(self) -> str:
        span = f"{self.low:.3g} to {self.high:.3g}, about {self.value:.3g}"
        return f"{self.what}: {span} ({self.source})"


@dataclass(frozen=True)
class Transfer:
    """A rate carried over; made by :func:`transfer`.

    Args:
        rate: The range of the rate.
        factors: The factors that it is the product of.
        ways: Of a run that goes on, the ways to do it; each is enough.
    """

    rate: Range
    factors: tuple[Range, ...]
    ways: tuple[Range, ...] = ()

    def __str__(self) -> str:
        return "\n".join(map(str, (self.rate, *self.factors, *self.ways)))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "rate": vars(self.rate),
            "factors": [vars(one) for one in self.factors],
            "ways": [vars(one) for one in self.ways],
        }


def transfer(
    rate: float,
    plan: Schedule,
    total_steps: int | Horizon,
    *,
    to: Schedule | None = None,
    to_steps: int | None = None,
    continuing: bool = False,
) -> Transfer:
    """What a rate that is good for one plan and length says of another.

    - To another plan, it is multiplied by the ratio of the convex bound's best rates, give or take
      a quarter.
    - To a run `n` times as long, by `n**-0.5` to `n**-0.2`, about `n**-0.32`.
    - A run that goes on beyond its end from where it held its rate can keep it and cool down for
      longer, or lower it and cool down for as long as was planned: `ways` has both.

    Args:
        rate: The rate that is good: what level 1 of the plan stands for.
        plan: The plan that it is good for.
        total_steps: The length that it is good for.
        to: The other plan; by default the same.
        to_steps: The other length; by default the same.
        continuing: The run is already under way at `rate`, and is to be `to_steps` long.

    Raises:
        ArgumentError: The rate is not positive; or a run that goes on is not longer, or is not of a
            plan that holds its peak and then cools down.

    >>> from cadence import Cosine, wsd
    >>> found = transfer(1e-3, wsd(0, "20%", shape="Linear"), 4000, to=Cosine())
    >>> print(found.rate)
    rate: 0.00142 to 0.00236, about 0.00189 (the product of the factors)

    Schaipp et al. (ICML 2025), arXiv 2501.18965; Bjorck et al., Scaling Optimal LR Across Token
    Horizons (2024), arXiv 2409.19913.
    """
    where = "transfer"
    rate = _checks.number(where, "rate", rate, above=0)
    check_schedule(where, "plan", plan)
    if to is not None:
        check_schedule(where, "to", to)
    total = _checks.whole(where, "total_steps", Horizon.of(total_steps).total_steps, low=2)
    longer = _checks.whole(where, "to_steps", total if to_steps is None else to_steps, low=2)
    if continuing:
        if to is not None:
            raise ArgumentError(f"{where}: a run that goes on keeps its plan; leave out 'to'")
        if longer <= total:
            raise ArgumentError(
                f"{where}: 'to_steps' must be > 'total_steps' for a run that goes on (got "
                f"{longer} and {total})"
            )
        return _continued(rate, plan, total, longer)
    factors = []
    if to is not None:
        ratio = convex_bound(to, longer).rate / convex_bound(plan, longer).rate
        factors.append(
            Range(
                "factor for the plan",
                (1 - SHAPE_ERROR) * ratio,
                ratio,
                (1 + SHAPE_ERROR) * ratio,
                "convex bound, Schaipp et al. 2025; on a 124M model within 25 %",
            )
        )
    if longer != total:
        growth = longer / total
        low, middle, high = (growth**e for e in HORIZON_EXPONENTS)
        factors.append(
            Range(
                "factor for the length",
                min(low, high),
                middle,
                max(low, high),
                "Bjorck et al. 2024, exponent -0.32; the convex bound has -0.5, and -0.08 to -0.6 "
                "were measured",
            )
        )
    low, value, high = (
        rate * math.prod(getattr(one, name) for one in factors) for name in ("low", "value", "high")
    )
    return Transfer(Range("rate", low, value, high, "the product of the factors"), tuple(factors))


def _continued(rate: float, plan: Schedule, total: int, longer: int) -> Transfer:
    """The two ways to go on, from the bound at the rate that was best for the planned length."""
    before = convex_bound(plan, total)
    shape = before._shape
    held = int(np.flatnonzero(shape >= 0.98 * shape.max())[-1]) + 1
    if held < 0.3 * total or held == total:
        raise ArgumentError(
            f"transfer: a run that goes on must be of a plan that holds its peak and then cools "
            f"down, such as wsd('5%', '20%') (got {plan!r})"
        )
    planned = 1 - held / total

    def bound(factor: float, fraction: float) -> float:
        """Of going on at a factor of the rate and cooling down over a fraction of the run."""
        steps = max(1, round(fraction * longer))
        rest = np.full(longer - held, factor * shape.max())
        steps = min(steps, len(rest))
        rest[len(rest) - steps :] *= np.arange(steps, 0, -1) / steps
        whole = np.concatenate([shape[:held], rest])
        far, near = _terms(whole, np.ones(longer), 1.0)
        return far / before.rate + near * before.rate

    fractions = np.linspace(0.02, 1 - held / longer, 120)
    factors = np.geomspace(0.05, 1.0, 120)
    return Transfer(
        Range("rate", rate, rate, rate, "given; it was used already"),
        (),
        (
            _near_best(
                "keep the rate, and cool down over a fraction of the whole run",
                fractions,
                [bound(1.0, fraction) for fraction in fractions],
            ),
            _near_best(
                f"cool down over {planned:.0%} of the whole run, and go on at a factor of the rate",
                factors,
                [bound(factor, planned) for factor in factors],
            ),
        ),
    )


def _near_best(what: str, values: np.ndarray, bounds: list[float]) -> Range:
    good = values[np.array(bounds) <= (1 + NEAR_BEST) * min(bounds)]
    best = float(values[int(np.argmin(bounds))])
    return Range(
        what,
        float(good.min()),
        best,
        float(good.max()),
        "convex bound within 1 % of its least, Schaipp et al. 2025",
    )
