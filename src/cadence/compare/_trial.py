"""What a comparison has found: one `Trial` for each run, and all of them as a `Comparison`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cadence.schedule import Schedule

if TYPE_CHECKING:
    from cadence.compare._verdict import Verdict

__all__ = ["EXTRA", "Comparison", "Peak", "Trial", "best_peak"]

EXTRA = "compare"
"""Cadence's extra that brings the libraries of comparisons and searches."""

Role = Literal["verdict", "peak"]
Status = Literal["finished", "diverged", "crashed", "stopped", "pending"]


def _no_steps() -> np.ndarray:
    return np.array([], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Trial:
    """One run of a comparison: one plan with one seed, and one peak rate if there is a grid.

    Args:
        plan: The plan's name.
        text: The plan as text.
        peak: The rate that was put into the optimizer; None where the user's own was used.
        seed: The seed, the same for all plans: trials of one seed are a pair.
        role: `"verdict"`, or `"peak"` for a run that only chooses the peak.
        status: `"finished"`; `"diverged"`, with a metric that is not finite; `"crashed"`, with an
            error; `"stopped"` by successive halving; or `"pending"`.
        steps: The steps at which anything was logged, in rising order.
        metrics: What `run.log` was given, by its names, each at all of `steps`; NaN where it was
            not logged.
        values: The scheduled values that were logged, such as `"lr/group0"`, in the same form.
        score: The judged metric at the end. The worst there is (inf, or -inf where more is better)
            for a run that diverged; NaN for one that crashed or is pending.
        error: The traceback of a run that crashed.
        folder: Where the run was written.
        seconds: How long it took.
    """

    plan: str
    text: str
    peak: float | None
    seed: int
    role: Role = "verdict"
    status: Status = "pending"
    steps: np.ndarray = field(default_factory=_no_steps)
    metrics: Mapping[str, np.ndarray] = field(default_factory=dict)
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    score: float = math.nan
    error: str = ""
    folder: Path | None = None
    seconds: float = 0.0

    def row(self) -> dict[str, Any]:
        """What the table of a comparison says of it: plain values that any machine repeats."""
        last = int(self.steps[-1]) if len(self.steps) else None
        return {
            "plan": self.plan,
            "peak": self.peak,
            "seed": self.seed,
            "role": self.role,
            "status": self.status,
            "last_step": last,
            "score": self.score,
        }


@dataclass(frozen=True)
class Peak:
    """The peak that a plan has got, and what it was chosen from.

    Args:
        peak: The rate.
        scores: The mean score of each peak of the grid; NaN where no run has ended.
        edge: `"low"` or `"high"` where it lies on the grid's edge, so that a better one may lie
            beyond; None where it lies inside.
    """

    peak: float
    scores: Mapping[float, float]
    edge: Literal["low", "high"] | None


def best_peak(tried: Sequence[Trial], mode: Literal["min", "max"]) -> Peak:
    """The peak with the best mean score; of equals, and where nothing is known, the lowest.

    A run that diverged counts with the worst score there is; of one that crashed or was stopped
    nothing is known, and a peak is only compared where all its runs have ended.
    """
    grid = sorted({trial.peak for trial in tried if trial.peak is not None})
    scores = {peak: _mean([trial for trial in tried if trial.peak == peak]) for peak in grid}
    sign = 1 if mode == "min" else -1
    best = min(grid, key=lambda p: math.inf if math.isnan(scores[p]) else sign * scores[p])
    edge: Literal["low", "high"] | None = None
    if len(grid) > 1 and best in (grid[0], grid[-1]):
        edge = "low" if best == grid[0] else "high"
    return Peak(best, scores, edge)


def _mean(trials: Sequence[Trial]) -> float:
    if any(trial.status not in ("finished", "diverged") for trial in trials):
        return math.nan
    return math.fsum(trial.score for trial in trials) / len(trials)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Several plans, trained with the same seeds; made by :func:`cadence.compare`.

    Args:
        title: What was compared, in a few words.
        plans: The plans by their names, in the order in which they were given.
        total_steps: The length of each run; None where the plans have a length of their own.
        metric: The name of the judged metric.
        mode: `"min"` or `"max"`: which is better.
        trials: All runs, those that crashed or diverged included.
        settings: Everything to reproduce it: seeds, peaks, versions, the machine, the command.
        folder: Where the runs were written.
    """

    title: str
    plans: Mapping[str, Schedule]
    total_steps: int | None
    metric: str
    mode: Literal["min", "max"]
    trials: tuple[Trial, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    def verdict(
        self,
        alpha: float = 0.05,
        *,
        reference: str | None = None,
        interval: Literal["t", "bootstrap"] = "t",
    ) -> Verdict:
        """What the seeds can say: intervals of the paired differences, and the words for them.

        With n seeds, the interval of a difference with mean m and standard deviation s is
        m ± t(1 - alpha/2, n - 1) s / √n; Holm's correction takes account of all pairs.

        Args:
            alpha: The chance of any wrong claim, where plans do not differ.
            reference: A plan to compare all others with; by default every pair is looked at, which
                takes more seeds.
            interval: `"bootstrap"` for BCa intervals of pairs with at least 20 seeds.

        Raises:
            ArgumentError: An argument is out of range.
            MissingLibraryError: statsmodels is not installed.
        """
        from cadence.compare._evidence import judge

        return judge(self, alpha, reference=reference, interval=interval)

    def report(self, path: str | os.PathLike[str], *, verdict: Verdict | None = None) -> Path:
        """Write `report.html`, one page that opens offline, and `report.png`.

        They show the schedules, the losses, the differences, the verdict and the settings.

        Args:
            path: A folder, or the name of the page; the picture lies beside it.
            verdict: The verdict to tell, where one has been made; by default `self.verdict()`.

        Returns:
            The page.
        """
        from cadence.compare._report import write

        return write(self, path, verdict)

    def peaks(self) -> dict[str, Peak]:
        """The peak of each plan, where there was a grid to choose from."""
        tried = [trial for trial in self.trials if trial.role == "peak"]
        return {
            name: best_peak([trial for trial in tried if trial.plan == name], self.mode)
            for name in self.plans
            if any(trial.plan == name for trial in tried)
        }

    def table(self) -> list[dict[str, Any]]:
        """One row for each trial: by plan in the order given, then by role, peak and seed.

        The rows hold nothing that differs from one machine or one engine to the next, such as
        times, so that two comparisons can be compared bit for bit.
        """
        order = {name: place for place, name in enumerate(self.plans)}
        trials = sorted(
            self.trials,
            key=lambda t: (order[t.plan], t.role, -math.inf if t.peak is None else t.peak, t.seed),
        )
        return [trial.row() for trial in trials]

    def __str__(self) -> str:
        rows = [[_cell(value) for value in row.values()] for row in self.table()]
        heads = ["plan", "peak", "seed", "for", "status", "last step", self.metric]
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if place in (0, 3, 4) else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()
            for cells in [heads, *rows]
        ]
        for name, peak in self.peaks().items():
            told = f"{name}: peak {peak.peak:g} of {', '.join(f'{p:g}' for p in peak.scores)}"
            where = {"low": ", the lowest: try lower", "high": ", the highest: try higher"}
            lines.append(told + where.get(peak.edge or "", ""))
        return "\n".join([self.title, *lines])

    def __repr__(self) -> str:
        ended = sum(trial.status != "pending" for trial in self.trials)
        return f"Comparison({self.title!r}, {len(self.plans)} plans, {ended} trials)"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
