"""The sweep itself: one update at each rate of a geometric plan, until the loss diverges."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cadence import _checks
from cadence._warn import warn
from cadence.errors import ArgumentError, ArgumentTypeError, RangeTestWarning
from cadence.levels import absolute, canonical, one_of, optional, param, real, whole
from cadence.range_finder._curve import DIVERGED, END, NOT_FINITE, Curve, Smoothed
from cadence.range_finder._result import RangeResult
from cadence.ranks import agreed
from cadence.shapes import Geometric

__all__ = ["RangeTest", "as_seeds"]


@dataclass(frozen=True)
class RangeTest:
    """The learning-rate range test over a step of your own.

    The rate of update k is `start * (end / start)**(k / (steps - 1))`. A sweep stops where the
    debiased moving average of the losses exceeds `divergence` times the lowest it has been since
    the first tenth of the sweep, or where a loss is not finite; where that lowest is not above 0,
    only the latter stops it. Use :func:`find_lr` where it serves: this class puts nothing back by
    itself.

    Args:
        step_fn: Called with a rate, makes one update at it, and returns the loss before it: a
            number or a tensor of one.
        start: The first rate, > 0.
        end: The last rate, > `start`.
        steps: Updates of a sweep, at least 40.
        beta: The weight of the past in the moving average. By default its memory, `1 / (1 - beta)`
            updates, is a decade of rates: a longer one shifts the curve to the right, a shorter
            one leaves more noise.
        divergence: How many times the lowest average is too much, > 1.
        reduce: In a distributed run, what the processes make of their losses, so that all stop at
            the same step: their `"mean"`, their `"max"` or that of `"rank0"`.

    Raises:
        ArgumentError: An argument is out of its range.

    >>> weight = 4.0
    >>> def step(rate):  # gradient descent on the square of the weight
    ...     global weight
    ...     loss, weight = weight**2, weight - rate * 2 * weight
    ...     return loss
    >>> curve = RangeTest(step, start=1e-4, end=10).sweep()
    >>> curve.stopped, len(curve), f"{curve.rates[-1]:.2g}"
    ('diverged', 193, '6.7')

    Smith, Cyclical Learning Rates for Training Neural Networks (2015), arXiv:1506.01186.
    """

    step_fn: Callable[[float], object]
    start: float = param(real(above=0), default=1e-7)
    end: float = param(real(above=0), default=10.0)
    steps: int = param(whole(40), default=200)
    beta: float | None = param(optional(real(low=0, below=1)), default=None)
    divergence: float = param(real(above=1), default=4.0)
    reduce: str = param(one_of("mean", "max", "rank0"), default="mean")

    def __post_init__(self) -> None:
        canonical(self, "RangeTest")
        if not callable(self.step_fn):
            raise ArgumentTypeError(
                f"RangeTest: 'step_fn' must be a function (got {_checks.given(self.step_fn)}); "
                "write def step_fn(rate): ... return loss"
            )
        if self.end <= self.start:
            raise ArgumentError(f"RangeTest: 'end' must be > {self.start:g} (got {self.end!r})")
        if self.beta is None:
            decades = math.log10(self.end / self.start)
            object.__setattr__(self, "beta", max(0.0, 1 - decades / self.steps))

    @property
    def plan(self) -> Geometric:
        """The plan of the rates.

        >>> RangeTest(print, start=1e-6, end=1.0, steps=61).plan
        Geometric(60, start=absolute(1e-06), end=absolute(1))
        """
        return Geometric(self.steps - 1, start=absolute(self.start), end=absolute(self.end))

    def sweep(self, seed: int = 0) -> Curve:
        """Make one sweep; `seed` only names it."""
        assert self.beta is not None
        program, smoothed, best = self.plan, Smoothed(self.beta), math.inf
        rates: list[float] = []
        losses: list[float] = []
        stopped = END
        for k in range(self.steps):
            rate = program(k)
            loss = agreed(_as_loss(self.step_fn(rate)), self.reduce)
            if not math.isfinite(loss):
                stopped = NOT_FINITE
                break
            rates.append(rate)
            losses.append(loss)
            smooth = smoothed(loss)
            if k < self.steps // 10:
                continue  # a single lucky loss would be the lowest average there
            if smooth > self.divergence * best > 0:
                stopped = DIVERGED
                break
            best = min(best, smooth)
        return Curve(seed, np.array(rates), np.array(losses), self.beta, self.steps, stopped)

    def run(
        self, seeds: int | Iterable[int] = 3, reset: Callable[[int], object] | None = None
    ) -> RangeResult:
        """Repeat the sweep, and read the curves.

        Args:
            seeds: How many repeats, with the seeds 0, 1, ...; or the seeds themselves.
            reset: Called with the seed before each repeat: it has to put model and optimizer back
                to where they began, and to seed what is random. Without it there can be one repeat.

        Raises:
            ArgumentError: There are several seeds and no `reset`.
        """
        each = as_seeds("RangeTest.run", seeds)
        if reset is None and len(each) > 1:
            raise ArgumentError(
                "RangeTest.run: 'reset' must be given where there are several seeds, since each "
                "sweep has to begin at the same weights; write run(seeds=1), or use find_lr"
            )
        curves = []
        for seed in each:
            if reset is not None:
                reset(seed)
            curves.append(self.sweep(seed))
        found = RangeResult(tuple(curves), self.start, self.end)
        if found.warnings:
            warn("; ".join(("range test", *found.warnings)), RangeTestWarning)
        return found


def as_seeds(where: str, seeds: int | Iterable[int]) -> tuple[int, ...]:
    """The seeds of the repeats; at least one, and no two the same."""
    if isinstance(seeds, Iterable) and not isinstance(seeds, str):
        each = tuple(_checks.whole(where, "seeds", seed) for seed in seeds)
    else:
        each = tuple(range(_checks.whole(where, "seeds", seeds, low=1)))
    if not each or len(set(each)) < len(each):
        raise ArgumentError(
            f"{where}: 'seeds' must be a number of repeats or different seeds (got {each!r})"
        )
    return each


def _as_loss(value: Any) -> float:
    if value is None:
        raise ArgumentTypeError(
            "RangeTest: 'step_fn' must return the loss (got None); end it with return loss"
        )
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentTypeError(
            f"RangeTest: 'step_fn' must return one number (got {_checks.given(value)})"
        ) from None
