"""What the laws are made of: sums over a run's rates, at some of its steps.

A law's drop term is a sum over all changes of the rate. Neighbouring changes of one sign, at
consecutive steps, may be taken together as one; changes on two sides of a gap, of a sign, of a jump
or of a step that is asked for may not, since what lies between would be counted on the wrong side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from cadence import _checks
from cadence.errors import ArgumentError

__all__ = ["Walk", "as_rates", "as_steps", "warmup_end"]

JUMP = 2.0
"""A change this many times its neighbour is not taken together with it."""


def as_rates(where: str, rates: Any) -> np.ndarray:
    """Rates as float64, one for each step from 0, checked."""
    array = np.asarray(rates, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ArgumentError(
            f"{where}: 'rates' must be one number for each step (got shape {array.shape})"
        )
    if not np.all(np.isfinite(array)) or array.min() < 0:
        raise ArgumentError(f"{where}: 'rates' must be finite and >= 0")
    if array.max() == 0:
        raise ArgumentError(f"{where}: 'rates' must not all be 0")
    return array


def as_steps(where: str, steps: Any, total: int) -> np.ndarray:
    """Steps as whole numbers in rising order, within a run, checked."""
    array = np.asarray(steps)
    whole = np.asarray(array, dtype=np.int64)
    if array.ndim != 1 or array.size == 0 or not np.all(whole == array):
        raise ArgumentError(
            f"{where}: 'steps' must be whole numbers (got {_checks.given(array.tolist())})"
        )
    if np.any(np.diff(whole) <= 0) or whole[0] < 0 or whole[-1] >= total:
        raise ArgumentError(
            f"{where}: 'steps' must rise within 0..{total - 1}, the steps that have a rate "
            f"(got {whole[0]}..{whole[-1]})"
        )
    return whole


def warmup_end(rates: np.ndarray) -> int:
    """The step at which the rate has risen as far as it does before it first falls."""
    falls = np.flatnonzero(np.diff(rates) < 0)
    top = int(falls[0]) if falls.size else len(rates) - 1
    return int(np.argmax(rates[: top + 1] >= rates[top]))


@dataclass(frozen=True, eq=False)
class Walk:
    """The sums of some rates at some steps.

    Args:
        rates: The rate of every step from 0.
        steps: The steps at which the loss is asked for.
        most: About how many changes the drop terms sum over; with fewer, the sums are exact.
    """

    rates: np.ndarray
    steps: np.ndarray
    most: int = 2048
    _second: dict[float, np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def cumulative(self) -> np.ndarray:
        """`S1`: the sum of the rates up to and including each step of the run."""
        return np.cumsum(self.rates)

    @cached_property
    def sums(self) -> np.ndarray:
        """`S1` at the steps asked for; positive, so that a power of it is finite."""
        return np.maximum(self.cumulative[self.steps], self._tiny)

    @cached_property
    def _tiny(self) -> float:
        return 1e-9 * float(self.rates.max())

    @cached_property
    def begin(self) -> int:
        """Where the warm-up ends."""
        return warmup_end(self.rates)

    @cached_property
    def _changes(self) -> tuple[np.ndarray, ...]:
        """Of each change: its size (positive: a drop), its rate, `S1` before and at it, its step.

        Where there are very many, some neighbours are one change, at their mean place, weighted by
        their sizes.
        """
        drops = -np.diff(self.rates[: self.steps[-1] + 1])
        at = np.flatnonzero(drops) + 1
        if at.size == 0:
            empty = np.zeros(0)
            return empty, empty, empty, empty, at
        sizes = drops[at - 1]
        larger = np.maximum(np.abs(sizes[1:]), np.abs(sizes[:-1]))
        smaller = np.minimum(np.abs(sizes[1:]), np.abs(sizes[:-1]))
        apart = (
            (np.diff(at) != 1)
            | (np.sign(sizes[1:]) != np.sign(sizes[:-1]))
            | (larger > JUMP * smaller)
            | (np.diff(np.searchsorted(self.steps, at)) != 0)
            | (np.diff((at > self.begin).astype(int)) != 0)
        )
        starts = np.concatenate([[0], np.flatnonzero(apart) + 1])
        lengths = np.diff(np.append(starts, at.size))
        together = -(-at.size // self.most)
        place = np.arange(at.size) - np.repeat(starts, lengths)
        starts = np.flatnonzero(place % together == 0)
        total = np.add.reduceat(sizes, starts)

        def mean(values: np.ndarray) -> np.ndarray:
            return np.add.reduceat(values * sizes, starts) / total

        # A rate of 0 would leave 0 * inf in the multi-power law; the limit is the same.
        levels = np.maximum(mean(self.rates[at]), self._tiny)
        sums = self.cumulative
        return total, levels, mean(sums[at - 1]), mean(sums[at]), at[starts]

    def changes(self, *, warmup: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Sizes, rates, `S1` before, `S1` at the changes; those of the warm-up only if asked."""
        *arrays, at = self._changes
        chosen = slice(0 if warmup else int(np.searchsorted(at, self.begin, side="right")), None)
        sizes, levels, before, reached = (array[chosen] for array in arrays)
        return sizes, levels, before, reached

    def second(self, decay: float) -> np.ndarray:
        """`S2`: the sum of the momenta `m_i = decay * m_(i-1) + (rate_(i-1) - rate_i)`.

        The warm-up is left out: all that it adds, after its memory is over, is a constant.
        """
        if decay not in self._second:
            from scipy.signal import lfilter

            drops = np.zeros(int(self.steps[-1]) + 1)
            drops[self.begin + 1 :] = -np.diff(self.rates[self.begin : len(drops)])
            momenta = np.asarray(lfilter([1.0], [1.0, -decay], drops))
            self._second[decay] = np.cumsum(momenta)[self.steps]
        return self._second[decay]
