"""Logged runs as a fit needs them: losses at some steps, and the rate of every step."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cadence import _checks
from cadence.errors import ArgumentError, ArgumentTypeError, LogError
from cadence.forecast._walk import as_rates, warmup_end
from cadence.runs import Run, read_run

__all__ = ["Logged", "Names", "all_logged", "logged", "one_logged"]

POINTS = 250
"""A fit looks at about this many points of a run; of more, medians of neighbours are taken."""

FEWEST = 8
"""Fewer points than a law has parameters cannot be fitted at all."""

BEGINNING = 0.1
"""The part of a run that is not fitted: the fall from the first loss follows no law of these."""

GENERIC = {"metrics", "trainer_state", "log", "logs", "history"}
"""Names of files that tell nothing of the run; its directory does."""


class Names(NamedTuple):
    """How logs are to be read: the keys of loss and rate, and the warm-up that they leave out."""

    loss: str | None = None
    rate: str | None = None
    warmup: int | None = None


@dataclass(frozen=True, eq=False)
class Logged:
    """A run to fit or to predict; made by :func:`logged`.

    Args:
        label: What to call it.
        steps: The steps at which the loss is known, after the warm-up and the first tenth.
        losses: The losses there.
        rates: The rate of every step from 0.
        points: How many losses were logged there.
        begin: The first step at which anything was logged.
        stairs: Steps between the logged changes of a rate that moves once an epoch; 0 otherwise.
        end: The last step of the log, where its losses stop long before that; 0 otherwise.
    """

    label: str
    steps: np.ndarray
    losses: np.ndarray
    rates: np.ndarray
    points: int
    begin: int = 0
    stairs: int = 0
    end: int = 0

    @property
    def peak(self) -> float:
        """The highest rate."""
        return float(self.rates.max())

    @property
    def warmup(self) -> int:
        """The step at which the warm-up ends."""
        return warmup_end(self.rates)

    @property
    def last(self) -> int:
        """The last step that has a loss."""
        return int(self.steps[-1])

    def until(self, step: int) -> Logged:
        """The run as it was at a step."""
        kept = self.steps <= step
        return replace(self, steps=self.steps[kept], losses=self.losses[kept])

    def after(self, step: int) -> Logged:
        """The run without what was logged up to a step; the rates stay."""
        kept = self.steps > step
        return replace(self, steps=self.steps[kept], losses=self.losses[kept])

    def same_schedule(self, other: Logged) -> bool:
        """Whether another run had these rates too, as one from another seed has."""
        n = min(len(self.rates), len(other.rates))
        if n < 0.98 * max(len(self.rates), len(other.rates)):
            return False
        gap = np.abs(self.rates[:n] - other.rates[:n])
        return bool(np.mean(gap) <= 0.005 * max(self.peak, other.peak))

    @property
    def drop(self) -> float:
        """The fall of the rate after its peak, as a fraction of the peak."""
        after = self.rates[int(np.argmax(self.rates)) : self.last + 1]
        return 1.0 - float(after.min()) / self.peak if after.size else 0.0

    @property
    def held(self) -> float:
        """The fraction of the steps after the warm-up that were spent near the peak."""
        after = self.rates[self.warmup : self.last + 1]
        return float(np.mean(after >= 0.98 * self.peak)) if after.size else 1.0


def logged(
    steps: Any, losses: Any, rates: Any, *, warmup: int | None = None, label: str = "run"
) -> Logged:
    """A run from arrays.

    Args:
        steps: Whole steps in rising order, counted from 0.
        losses: The loss at each; those that are not finite are left out.
        rates: The rate at each of the steps; or of every step of the run from 0, such as
            `plan.resolve(10_000).values(10_000, 3e-4)`. Between logged rates a straight line is
            drawn, but for a jump, which is put in the middle.
        warmup: Steps of a linear warm-up from 0 that the log leaves out. By default the first rate
            that was logged is taken for all before it.
        label: What to call the run.

    Raises:
        ArgumentError: The arrays do not fit together, a loss is not positive, or fewer than 8 are
            left after the warm-up and the first tenth of the run, which are not fitted.

    >>> import numpy as np
    >>> steps = np.arange(100, 1000, 100)
    >>> run = logged(steps, 2 + 3 / np.sqrt(steps), np.full(9, 1e-3), warmup=100)
    >>> len(run.rates), float(run.rates[50]), run.peak, run.warmup
    (901, 0.0005, 0.001, 100)
    """
    where = f"logged: {label}"
    steps = np.asarray(steps)
    losses, given = (np.asarray(values, dtype=np.float64) for values in (losses, rates))
    if steps.ndim != 1 or losses.shape != steps.shape or steps.size == 0:
        raise ArgumentError(
            f"{where}: 'steps' and 'losses' must be two lists of one length (got shapes "
            f"{steps.shape} and {losses.shape})"
        )
    if np.any(steps != np.floor(steps)) or np.any(np.diff(steps) <= 0) or steps[0] < 0:
        raise ArgumentError(f"{where}: 'steps' must be whole numbers >= 0 in rising order")
    steps = steps.astype(np.int64)
    if (
        given.ndim == 1
        and len(given) == len(steps)
        and not np.array_equal(steps, range(len(steps)))
    ):
        series = (steps, given)
    else:
        as_rates(where, given)
        if len(given) <= steps[-1]:
            raise ArgumentError(
                f"{where}: 'rates' must be one for each of the {len(steps)} steps, or one for "
                f"every step from 0 to {steps[-1]} (got {len(given)})"
            )
        series = (np.arange(len(given)), given)
    return _made(where, label, (steps, losses), series, warmup)


def _made(
    where: str,
    label: str,
    loss: tuple[np.ndarray, np.ndarray],
    rate: tuple[np.ndarray, np.ndarray],
    warmup: int | None,
) -> Logged:
    finite = np.isfinite(loss[1])
    steps, losses = loss[0][finite].astype(np.int64), loss[1][finite]
    if steps.size and losses.min() <= 0:
        raise ArgumentError(
            f"{where}: 'losses' must be > 0, since the laws are of the loss's logarithm (got "
            f"{losses.min():g})"
        )
    rates = _every_step(where, *rate, int(steps[-1]) if steps.size else 0, warmup)
    begin = 0 if warmup is not None else int(rate[0][0])
    after = steps >= max(warmup_end(rates), BEGINNING * (steps[-1] if steps.size else 0))
    points = int(after.sum())
    if points < FEWEST:
        raise ArgumentError(
            f"{where}: at least {FEWEST} losses must be given after the warm-up and the first "
            f"tenth of the run (got {points})"
        )
    stairs = _stairs(rate[0], rate[1], len(steps))
    thinned = _thinned(steps[after], losses[after])
    end = int(max(loss[0][-1], rate[0][-1]))
    # A loss that is logged now and then ends a little before the rates do.
    usual = 2 * max(np.diff(steps).max(), 0.02 * end)
    return Logged(
        label, *thinned, rates, points, begin, stairs, end if end > steps[-1] + usual else 0
    )


def _every_step(
    where: str, steps: np.ndarray, values: np.ndarray, last: int, warmup: int | None
) -> np.ndarray:
    """The rate of every step from what was logged of it."""
    known = np.isfinite(values)
    steps, values = steps[known].astype(np.int64), values[known]
    as_rates(where, values)
    every = np.arange(max(last, int(steps[-1])) + 1)
    rates = np.interp(every, steps, values)
    slopes = np.abs(np.diff(values)) / np.maximum(np.diff(steps), 1)
    around = np.maximum(np.append(slopes[1:], 0.0), np.insert(slopes[:-1], 0, 0.0))
    for i in np.flatnonzero(
        (slopes > 4.0 * around) & (np.abs(np.diff(values)) > 0.02 * values.max())
    ):
        middle = (steps[i] + steps[i + 1] + 1) // 2
        rates[steps[i] : middle] = values[i]
        rates[middle : steps[i + 1]] = values[i + 1]
    if warmup is not None:
        warmup = _checks.whole(where, "warmup", warmup)
        if warmup > last:
            raise ArgumentError(f"{where}: 'warmup' must end within the run (got {warmup})")
        top = rates[warmup]
        rates[:warmup] = np.arange(warmup) * (top / max(warmup, 1))
    return rates


def _thinned(steps: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """About `POINTS` points: medians of neighbours, which a spike does not move."""
    if len(steps) <= POINTS:
        return steps, losses
    parts = np.array_split(np.arange(len(steps)), POINTS)
    middles = np.array([steps[(part[0] + part[-1]) // 2] for part in parts])
    return middles, np.array([np.median(losses[part]) for part in parts])


def _stairs(steps: np.ndarray, values: np.ndarray, losses: int) -> int:
    """How far apart the changes of a rate lie that moves far more rarely than the loss was logged.

    Either the log holds the rate once an epoch, or it holds it often and it moves in equal stairs.
    """
    moved = np.flatnonzero(np.diff(values) != 0)
    moved = moved[moved >= np.argmax(values)]  # a warm-up may move at every step
    if len(moved) and len(values) * 5 <= losses:
        return int(np.median(np.diff(steps)))
    if len(moved) < 4:
        return 0
    apart = np.diff(steps[moved + 1])
    rows = np.diff(moved)
    even = rows.min() >= 2 and rows.max() - rows.min() <= 1 + 0.1 * rows.max()
    return int(np.median(apart)) if even else 0


def all_logged(runs: Any, names: Names) -> list[Logged]:
    """Runs of any form as :class:`Logged`: read runs, paths, or what :func:`logged` made."""
    if isinstance(runs, (Run, Logged, str, os.PathLike)):
        runs = [runs]
    if isinstance(runs, Mapping):
        return [replace(one_logged(run, names), label=str(k)) for k, run in runs.items()]
    if not isinstance(runs, Iterable):
        raise ArgumentTypeError(
            f"fit: 'runs' must be runs of cadence.read_run, paths of logs, or what "
            f"cadence.forecast.logged makes (got {_checks.given(runs)})"
        )
    found = [one_logged(one, names) for run in runs for one in _of_a_comparison(run)]
    if not found:
        raise ArgumentError("fit: 'runs' must hold at least one run (got none)")
    return found


def one_logged(run: Any, names: Names, where: str = "fit") -> Logged:
    if isinstance(run, Logged):
        return run
    if isinstance(run, (str, os.PathLike)):
        run = read_run(run, loss=names.loss)
    if not isinstance(run, Run):
        raise ArgumentTypeError(
            f"{where}: a run must be one of cadence.read_run, the path of a log, or what "
            f"cadence.forecast.logged makes (got {_checks.given(run)})"
        )
    key = names.loss or run.loss_key
    if key is None:
        _ = run.loss  # raises, and says what the log has
    assert key is not None
    rates = _rate_of(run, names.rate, where)
    return _made(f"{where}: {run.path}", _name(run.path), run[key], rates, names.warmup)


def _of_a_comparison(run: Any) -> list[Any]:
    """The logs of all runs of a comparison, where that is what lies at a path; else the run."""
    if isinstance(run, (str, os.PathLike)) and (Path(run) / "comparison.json").is_file():
        return sorted(Path(run).glob("runs/*/seed-*/metrics.jsonl"))
    return [run]


def _name(path: Path) -> str:
    if re.fullmatch(r"seed-\d+", path.parent.name):
        return f"{path.parents[1].name}/{path.parent.name}"
    return path.parent.name if path.stem.casefold() in GENERIC and path.parent.name else path.stem


def _rate_of(run: Run, key: str | None, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The series of the rate; of several groups', any, if they differ by a factor alone."""
    if key is not None:
        return run[key]
    if not run.rates:
        raise LogError(
            f"{where}: the log must hold the learning rate ({run.path} has none under a name like "
            "'lr'); write rate=..., or give arrays to cadence.forecast.logged"
        )
    (first, chosen), *others = run.rates.items()
    for name, series in others:
        same = np.array_equal(series.steps, chosen.steps)
        if not same or not np.allclose(
            series.values * chosen.values.max(), chosen.values * series.values.max(), rtol=1e-3
        ):
            raise LogError(
                f"{where}: the groups of {run.path} have rates of other shapes ({first} and "
                f"{name}); write rate={first!r}"
            )
    return chosen
