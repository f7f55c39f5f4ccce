"""What seeds can say: paired differences, their intervals, and which of them are real.

The runs of one seed begin with the same weights and see the same batches, so plans are compared
within a seed: what the seed does to both drops out. Over the seeds, the differences have a mean and
a t interval; Holm's correction takes account of how many pairs are looked at. A run that has not
finished is counted and told, and its seed is left out of the pairs that it would belong to.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Literal

import numpy as np

from cadence import _checks
from cadence._optional import require
from cadence.compare._trial import EXTRA, Comparison, Trial
from cadence.compare._verdict import Pair, Regime, Standing, Verdict
from cadence.errors import ArgumentError

__all__ = ["curve_metric", "judge"]

BOOTSTRAP_FROM = 20
"""Seeds from which on intervals may be bootstrapped: of fewer, BCa covers clearly too little."""

RESAMPLES = 4999


def judge(
    comparison: Comparison,
    alpha: float = 0.05,
    *,
    reference: str | None = None,
    interval: Literal["t", "bootstrap"] = "t",
) -> Verdict:
    """Say which plans differ, by how much, and how sure that is.

    Differences are paired by seed: d = score of the one - score of the other, over the seeds that
    both finished. With n of them, mean m and standard deviation s, the interval is
    m ± t(1 - alpha/2, n - 1) s / √n, and the p value is that of the paired t test. Holm's
    correction keeps the chance of any wrong claim at alpha.

    Args:
        comparison: What was run.
        alpha: The chance of any wrong claim, where plans do not differ.
        reference: A plan to compare all others with. By default every pair is looked at, which
            takes more seeds.
        interval: `"bootstrap"` for BCa intervals, which need not be symmetric, where a pair has at
            least 20 seeds. Of fewer they would cover clearly too little: others have t intervals.

    Raises:
        ArgumentError: `alpha`, `interval` or `reference` is out of range, or a plan has two judged
            runs of one seed.
        MissingLibraryError: statsmodels is not installed.

    Sources: Holm, A Simple Sequentially Rejective Multiple Test Procedure (1979); Efron, Better
    Bootstrap Confidence Intervals (1987).
    """
    alpha = _checks.number("judge", "alpha", alpha, above=0, below=1)
    names = list(comparison.plans)
    if reference is not None:
        _checks.choice("judge", "reference", reference, names)
    _checks.choice("judge", "interval", interval, ("t", "bootstrap"))
    standings = {name: _standing(comparison, name, alpha) for name in names}
    sign = 1.0 if comparison.mode == "min" else -1.0
    asked = [(a, b) for a, b in combinations(names, 2) if reference is None or reference in (a, b)]
    pairs = [_pair(standings[a], standings[b], sign, alpha, interval) for a, b in asked]
    pairs = _corrected(pairs, alpha)
    # Those of which nothing is known come last.
    pairs.sort(key=lambda pair: -pair.mean if pair.seeds else math.inf)
    trials = comparison.trials
    peaks = [trial for trial in trials if trial.role == "peak"]
    chosen = {(trial.plan, trial.seed) for trial in peaks}
    return Verdict(
        metric=comparison.metric,
        mode=comparison.mode,
        alpha=alpha,
        reference=reference,
        standings=tuple(standings.values()),
        pairs=tuple(pairs),
        regime=_regime(comparison, pairs, sign),
        ended=sum(trial.status != "pending" for trial in trials),
        planned=len(trials),
        peak_failures=sum(_outcome(trial) in ("diverged", "crashed") for trial in peaks),
        reused=any((s.plan, seed) in chosen for s in standings.values() for seed in s.seeds),
        errors={
            (trial.plan, trial.seed): (trial.error.strip().splitlines() or ["no message"])[-1]
            for trial in _judged(trials)
            if trial.status == "crashed"
        },
    )


def _judged(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.role == "verdict"]


def _outcome(trial: Trial) -> str:
    """How a run ended; one whose score is no number has diverged, whatever it says."""
    if trial.status == "finished" and not math.isfinite(trial.score):
        return "diverged"
    return trial.status


def _standing(comparison: Comparison, name: str, alpha: float) -> Standing:
    own = [trial for trial in comparison.trials if trial.plan == name]
    judged = sorted(_judged(own), key=lambda trial: trial.seed)
    twice = [seed for seed, n in Counter(trial.seed for trial in judged).items() if n > 1]
    if twice:
        raise ArgumentError(
            f"judge: plan {name!r} must have one judged run for each seed (got several for seed "
            f"{twice[0]}); runs that choose a peak have role='peak'"
        )
    finished = [trial for trial in judged if _outcome(trial) == "finished"]
    scores = np.array([trial.score for trial in finished])
    half = math.nan
    if len(scores) > 1:
        # Not SciPy's interval: of equal scores it is NaN, with a warning.
        half = _t(1 - alpha / 2, len(scores) - 1) * scores.std(ddof=1) / math.sqrt(len(scores))
    grid = tuple(sorted({trial.peak for trial in own if trial.peak is not None}))
    peak = judged[0].peak if judged else None
    edge: Literal["low", "high"] | None = None
    if len(grid) > 1 and peak in (grid[0], grid[-1]):
        edge = "low" if peak == grid[0] else "high"
    failed = {
        how: tuple(trial.seed for trial in judged if _outcome(trial) == how)
        for how in ("diverged", "crashed", "stopped")
    }
    return Standing(
        plan=name,
        text=own[0].text if own else repr(comparison.plans[name]),
        peak=peak,
        grid=grid,
        edge=edge,
        seeds=tuple(trial.seed for trial in finished),
        scores=tuple(scores.tolist()),
        outcomes=dict(Counter(map(_outcome, judged))),
        failed={how: seeds for how, seeds in failed.items() if seeds},
        mean=float(scores.mean()) if len(scores) else math.nan,
        half=float(half),
    )


def _t(quantile: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(quantile, freedom))


def _pair(a: Standing, b: Standing, sign: float, alpha: float, how: str) -> Pair:
    """Two plans compared, before the correction."""
    of_a, of_b = (
        dict(zip(a.seeds, a.scores, strict=True)),
        dict(zip(b.seeds, b.scores, strict=True)),
    )
    seeds = tuple(sorted(of_a.keys() & of_b.keys()))
    first = np.array([of_a[seed] for seed in seeds])
    second = np.array([of_b[seed] for seed in seeds])
    better, worse, differences = a.plan, b.plan, sign * (second - first)
    if seeds and differences.mean() < 0:
        better, worse, differences = b.plan, a.plan, -differences
    planned = max(sum(a.outcomes.values()), sum(b.outcomes.values()))
    mean = float(differences.mean()) if seeds else math.nan
    pair = Pair(better, worse, seeds, planned, tuple(differences.tolist()), mean)
    if len(seeds) < 2:
        return pair
    size = max(np.abs(first).max(), np.abs(second).max())
    if _constant(differences, size):
        return _of_equal(
            pair, size, depend=not (_constant(first, size) and _constant(second, size))
        )
    from scipy import stats

    tested: Any = stats.ttest_1samp(differences, 0.0)
    interval, basis = tested.confidence_interval(1 - alpha), "t"
    if how == "bootstrap" and len(seeds) >= BOOTSTRAP_FROM:
        interval, basis = _bootstrapped(differences, alpha), "bootstrap"
    return replace(
        pair,
        low=float(interval.low),
        high=float(interval.high),
        basis=basis,
        p=float(tested.pvalue),
    )


def _constant(values: np.ndarray, size: float) -> bool:
    """Whether values are equal, but for what rounding does to numbers of this size."""
    return float(np.ptp(values)) <= 1e-12 * float(size)


def _of_equal(pair: Pair, size: float, *, depend: bool) -> Pair:
    """A pair whose differences are all the same, which leaves no spread to measure them by.

    If the runs depend on their seeds, as those with a coarse metric do, the signs are tested. If
    they do not, there is one experiment, however often it was repeated.
    """
    if abs(pair.mean) <= 1e-12 * float(size) or not depend:
        return pair
    from scipy.stats import binomtest

    n = len(pair.seeds)
    return replace(pair, basis="signs", p=float(binomtest(n, n).pvalue))


def _bootstrapped(differences: np.ndarray, alpha: float) -> Any:
    from scipy import stats

    # Its own generator: the same runs give the same verdict.
    return stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=1 - alpha,
        n_resamples=RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval


def _corrected(pairs: list[Pair], alpha: float) -> list[Pair]:
    """The pairs with Holm's correction."""
    if not pairs:
        return []
    tests = require("statsmodels.stats.multitest", EXTRA)
    rejected, corrected, _, _ = tests.multipletests(
        [pair.p for pair in pairs], alpha=alpha, method="holm"
    )
    places = np.argsort(np.argsort([pair.p for pair in pairs], kind="stable"))
    return [
        replace(
            pair,
            corrected=float(p),
            resolved=bool(resolved),
            level=alpha / (len(pairs) - int(place)),
        )
        for pair, p, resolved, place in zip(pairs, corrected, rejected, places, strict=True)
    ]


def curve_metric(comparison: Comparison) -> str:
    """The metric whose course tells that of the judged one.

    That is itself, where it was logged along the way. A loss that was only measured at the end is
    stood for by another loss, since those are of one scale.
    """
    metric = comparison.metric
    counts = Counter[str]()
    for trial in _judged(comparison.trials):
        counts.update({name: int(np.isfinite(row).sum()) for name, row in trial.metrics.items()})
    others = [name for name in counts if "loss" in name.lower()]
    if counts[metric] > 2 * len(comparison.trials) or "loss" not in metric.lower() or not others:
        return metric
    return max(others, key=lambda name: counts[name])


def _regime(comparison: Comparison, pairs: Sequence[Pair], sign: float) -> Regime:
    gap = max((pair.mean for pair in pairs if pair.seeds), default=math.nan)
    metric = curve_metric(comparison)
    total = comparison.total_steps
    runs = [trial for trial in _judged(comparison.trials) if _outcome(trial) == "finished"]
    if total is None:
        lengths = {int(trial.steps[-1]) + 1 for trial in runs if len(trial.steps)}
        total = lengths.pop() if len(lengths) == 1 else None
    by_plan: dict[str, list[tuple[float, float]]] = {}
    for trial in runs:
        found = _second_half(trial, metric, sign)
        if found is not None:
            by_plan.setdefault(trial.plan, []).append(found)
    if not by_plan:
        return Regime(total, metric, math.nan, math.nan, gap, None)
    means = np.array([np.mean(found, axis=0) for found in by_plan.values()])
    gained, share = (float(value) for value in np.median(means, axis=0))
    return Regime(total, metric, gained, share, gap, None if math.isnan(gap) else gained > gap)


def _second_half(trial: Trial, metric: str, sign: float) -> tuple[float, float] | None:
    """What the second half of a run gained, and its share of all; None where it was not logged."""
    values = np.asarray(trial.metrics.get(metric, ()), dtype=np.float64)
    steps = np.asarray(trial.steps, dtype=np.float64)[: len(values)]
    steps, values = steps[np.isfinite(values)], values[np.isfinite(values)]
    if len(steps) < 2:
        return None
    end = steps[-1]
    # Means over a tenth of the run each, since a training loss is noisy.
    middle = values[np.abs(steps - end / 2) <= end / 20]
    last = values[steps >= 0.9 * end]
    if not len(middle):
        return None
    gained = sign * float(middle.mean() - last.mean())
    whole = sign * float(values[0] - last.mean())
    return gained, gained / whole if whole > 0 else math.nan
