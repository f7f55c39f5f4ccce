"""A sweep's curve: the loss at each rate, smoothed as the stop and the rules see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["DIVERGED", "END", "NOT_FINITE", "Curve", "Smoothed", "smoothed"]

DIVERGED, NOT_FINITE, END = "diverged", "not finite", "end"
"""Why a sweep stopped."""


class Smoothed:
    """The debiased exponential moving average of losses, one at a time.

    `m = beta * m + (1 - beta) * loss`, told as `m / (1 - beta**n)` after n losses.

    >>> smoothed = Smoothed(0.98)
    >>> [round(smoothed(loss), 4) for loss in (3.0, 3.0, 1.0)]
    [3.0, 3.0, 2.3198]
    """

    def __init__(self, beta: float) -> None:
        self.beta, self._mean, self._count = beta, 0.0, 0

    def __call__(self, loss: float) -> float:
        self._count += 1
        self._mean = self.beta * self._mean + (1 - self.beta) * loss
        return self._mean / (1 - self.beta**self._count)


def smoothed(losses: np.ndarray, beta: float) -> np.ndarray:
    """The same of all losses."""
    average = Smoothed(beta)
    return np.array([average(loss) for loss in losses.tolist()])


@dataclass(frozen=True, eq=False)
class Curve:
    """What one sweep has seen.

    Args:
        seed: The seed of the repeat.
        rates: The rate of each update.
        losses: The loss before each update, as it was measured.
        beta: The weight of the past in the moving average.
        planned: How many updates the sweep would have had.
        stopped: Why it ended: `"diverged"`, `"not finite"` or `"end"`.
    """

    seed: int
    rates: np.ndarray
    losses: np.ndarray
    beta: float
    planned: int
    stopped: str
    smooth: np.ndarray = field(init=False, repr=False)
    """The losses, smoothed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rates", _frozen(self.rates))
        object.__setattr__(self, "losses", _frozen(self.losses))
        object.__setattr__(self, "smooth", _frozen(smoothed(self.losses, self.beta)))

    def __len__(self) -> int:
        return len(self.rates)

    @property
    def noise(self) -> float:
        """The standard deviation of a loss around the course of the losses.

        From the differences of neighbours before the smoothed curve's minimum, where the course
        changes little from one update to the next.
        """
        until = int(self.smooth.argmin()) + 1 if len(self) else 0
        steps = np.diff(self.losses[: max(until, 10)])
        return float(np.median(np.abs(steps)) / (0.6745 * math.sqrt(2))) if len(steps) else math.nan

    @property
    def drop(self) -> float:
        """How far the smoothed loss falls below where it was, once the average has settled."""
        settled = self.smooth[self.planned // 10 :]
        if not len(settled):
            return 0.0
        lowest = int(settled.argmin())
        return float(settled[: lowest + 1].max() - settled[lowest])

    def to_dict(self) -> dict[str, Any]:
        """The curve as plain values."""
        return {
            "seed": self.seed,
            "stopped": self.stopped,
            "rates": self.rates.tolist(),
            "losses": self.losses.tolist(),
            "smooth": self.smooth.tolist(),
        }


def _frozen(values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
