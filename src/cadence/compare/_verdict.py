"""What a comparison has shown, as values: plans by themselves, pairs, the regime, the verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from cadence._optional import require
from cadence.compare._trial import EXTRA

__all__ = ["Pair", "Regime", "Standing", "Verdict", "seeds_needed"]

POWER = 0.8
MOST_SEEDS = 1000

Basis = Literal["t", "bootstrap", "signs", "none"]


@dataclass(frozen=True)
class Standing:
    """One plan by itself.

    Args:
        plan: Its name.
        text: Its text.
        peak: The rate of its judged runs; None where it was the training function's own.
        grid: The peaks that were tried, in rising order.
        edge: `"low"` or `"high"` where the peak is the first or last of several, else None.
        seeds: The seeds whose judged runs finished, in rising order.
        scores: The scores of those runs.
        outcomes: How many of the judged runs ended in which way.
        failed: The seeds of the judged runs that diverged, crashed or were stopped.
        mean: The mean of the scores; NaN if there are none.
        half: Half the width of the t interval of the mean. It holds the spread of the seeds, which
            drops out of paired differences: two plans may overlap here and differ for sure.
    """

    plan: str
    text: str
    peak: float | None
    grid: tuple[float, ...]
    edge: Literal["low", "high"] | None
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    outcomes: Mapping[str, int]
    failed: Mapping[str, tuple[int, ...]]
    mean: float
    half: float


@dataclass(frozen=True)
class Pair:
    """Two plans, compared on the seeds that both finished.

    Args:
        better: The plan that is better on average; of two that are equal, the first.
        worse: The other one.
        seeds: The seeds that both finished, in rising order.
        planned: How many seeds there would be, had every run finished.
        differences: By how much `better` was better in each of `seeds`.
        mean: Their mean, not negative; NaN if there are none.
        low: The lower end of the interval of the mean.
        high: Its upper end.
        basis: What the interval rests on: `"t"` or `"bootstrap"`. `"signs"` where
            all differences are equal, so that only their signs can be tested; `"none"` where
            nothing can be said.
        p: The two-sided p value, before the correction; 1 where nothing can be said.
        corrected: The p value with Holm's correction over all pairs of the verdict.
        resolved: Whether the difference is claimed: `corrected` is at most alpha.
        level: What `p` had to be at most for that, as Holm's correction steps through the pairs.
    """

    better: str
    worse: str
    seeds: tuple[int, ...]
    planned: int
    differences: tuple[float, ...]
    mean: float
    low: float = math.nan
    high: float = math.nan
    basis: Basis = "none"
    p: float = 1.0
    corrected: float = 1.0
    resolved: bool = False
    level: float = 0.05

    @cached_property
    def needed(self) -> float | None:
        """How many seeds would resolve a difference of just this size with a power of 80 %.

        `inf` for more than 1,000. None where it is resolved, or where there is no telling.
        """
        if self.resolved or self.basis not in ("t", "bootstrap"):
            return None
        effect = self.mean / float(np.std(self.differences, ddof=1))
        return max(seeds_needed(effect, self.level), len(self.seeds) + 1)

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def conditional(self) -> bool:
        """Whether seeds are missing, so that the result holds for runs that finish alone."""
        return len(self.seeds) < self.planned


@dataclass(frozen=True)
class Regime:
    """How far the runs had come when they were judged.

    Args:
        updates: The length of the runs; None where they differ.
        metric: The metric that tells it: the judged one, or a loss that was logged in its stead.
        gained: What the second half of the run gained, as the median of the plans: how much better
            the metric is over the last tenth than around the middle. NaN if the curves do not tell.
        share: The same as a part of all that was gained since the first value.
        gap: The largest difference between two plans.
        moving: Whether the last doubling of the run moved the plans by more than what is between
            them, so that the next one may change their order. None if the curves do not tell.
    """

    updates: int | None
    metric: str
    gained: float
    share: float
    gap: float
    moving: bool | None


@dataclass(frozen=True)
class Verdict:
    """What a comparison has shown; made by `judge`. `str()` tells it in words.

    Args:
        metric: The judged metric.
        mode: `"min"` or `"max"`: which is better.
        alpha: The chance of any wrong claim in the whole verdict, where plans do not differ.
        reference: The plan that all others were compared with; None for all pairs.
        standings: The plans by themselves, in the order in which they were given.
        pairs: The pairs, those with the largest differences first.
        regime: How far the runs had come.
        ended: How many of all runs have ended, those that chose peaks included.
        planned: How many runs there are.
        peak_failures: How many of the runs that chose peaks diverged or crashed.
        reused: Whether peaks were chosen on seeds that are judged as well.
        errors: The last line of the error of each judged run that crashed, by plan and seed.
    """

    metric: str
    mode: Literal["min", "max"]
    alpha: float
    reference: str | None
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    regime: Regime
    ended: int
    planned: int
    peak_failures: int
    reused: bool
    errors: Mapping[tuple[str, int], str]

    @property
    def claims(self) -> tuple[Pair, ...]:
        """The pairs whose difference is claimed."""
        return tuple(pair for pair in self.pairs if pair.resolved)

    @property
    def best(self) -> str | None:
        """The plan that beats every other one; None where there is no such plan.

        A plan with a run that has not finished is never the best: its failures are in no average.
        Failures of the others do not keep it from being so.
        """
        beaten = Counter(pair.better for pair in self.claims)
        whole = [s.plan for s in self.standings if set(s.outcomes) == {"finished"}]
        others = len(self.standings) - 1
        return next((plan for plan in whole if others and beaten[plan] == others), None)

    def standing(self, plan: str) -> Standing:
        """One plan by itself."""
        return next(standing for standing in self.standings if standing.plan == plan)

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """The verdict in words, failures first, then what is claimed and what is not."""
        from cadence.compare._words import sentences

        return tuple(sentences(self))

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        from cadence.compare._words import headline

        return headline(self)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        errors = [{"plan": p, "seed": s, "error": e} for (p, s), e in self.errors.items()]
        pairs = [asdict(pair) | {"half": pair.half, "needed": pair.needed} for pair in self.pairs]
        words = {"best": self.best, "headline": self.headline, "sentences": list(self.sentences)}
        told = asdict(replace(self, errors={})) | {"pairs": pairs, "errors": errors}
        return told | words

    def __str__(self) -> str:
        return "\n".join(self.sentences)


def seeds_needed(effect: float, alpha: float = 0.05, power: float = POWER) -> float:
    """The fewest seeds with which a paired t test finds a difference with the given power.

    Args:
        effect: The mean difference divided by the standard deviation of the differences.
        alpha: The chance of a wrong claim.
        power: The chance of a right one.

    Returns:
        A whole number, at least 2; inf where it would be more than 1,000.

    >>> seeds_needed(1.0), seeds_needed(0.5), seeds_needed(0.01)
    (10, 34, inf)
    """
    test = require("statsmodels.stats.power", EXTRA).TTestPower()

    def enough(seeds: int) -> bool:
        # A claim of the right direction: the two-sided power adds almost nothing, or NaN.
        found = test.power(abs(effect), seeds, alpha / 2, alternative="larger")
        return float(found) >= power

    low, high = 1, 2
    while not enough(high):
        if high >= MOST_SEEDS:
            return math.inf
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
