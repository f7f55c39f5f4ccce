"""What a forecast says of the plans in longer runs: would one that lost here win there?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from cadence._wording import listed
from cadence.compare._trial import Comparison, Trial
from cadence.errors import CadenceError
from cadence.forecast import Forecast, Logged, Ranking, fit, logged
from cadence.forecast._choose import ranking

__all__ = ["Outlook", "outlook"]

TIMES = (2, 3)
"""How much longer; beyond three times the runs that were fitted, forecasts are not worth it."""

ENOUGH = 20
"""Losses in each run: with fewer a forecast is refused."""


@dataclass(frozen=True, eq=False)
class Outlook:
    """The forecast of all plans in longer runs, or why there is none.

    Args:
        metric: The loss that the runs have logged and the law was fitted to.
        law: The law, and why it was taken.
        rankings: The plans at each length.
        cautions: What speaks against it.
        refused: Why there is no forecast; empty where there is one.
    """

    metric: str
    law: str = ""
    rankings: Mapping[int, Ranking] | None = None
    cautions: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """For each length, whether one plan is ahead by more than the band."""
        return [_sentence(steps, ranked) for steps, ranked in (self.rankings or {}).items()]

    def rows(self) -> list[tuple[str, list[Forecast]]]:
        """Each plan with its forecasts, in the order of the longest runs."""
        by_length = [
            {f.label: f for f in ranked.forecasts} for ranked in (self.rankings or {}).values()
        ]
        return [(plan, [told[plan] for told in by_length]) for plan in by_length[-1]]


def outlook(comparison: Comparison) -> Outlook | None:
    """Fit the finished runs, and predict each plan at its own peak in runs 2 and 3 times as long.

    None where no loss was logged along the way often enough, or more is better: there is nothing
    that a law could be fitted to.
    """
    runs: dict[str, list[Trial]] = {}
    for trial in comparison.trials:
        if trial.role == "verdict" and trial.status == "finished":
            runs.setdefault(trial.plan, []).append(trial)
    metric = _fitted(comparison, [trial for of_plan in runs.values() for trial in of_plan])
    if metric is None or comparison.total_steps is None:
        return None
    try:
        law = fit([_logged(trials, metric) for trials in runs.values()])
        rankings = {
            steps: ranking(
                [
                    replace(
                        law.predict(comparison.plans[plan], steps, trials[0].peak, force=True),
                        label=plan,
                    )
                    for plan, trials in runs.items()
                ]
            )
            for steps in (times * comparison.total_steps for times in TIMES)
        }
    except CadenceError as error:
        return Outlook(metric, refused=(str(error),))
    told = [forecast for ranked in rankings.values() for forecast in ranked.forecasts]
    found = dict.fromkeys(finding for forecast in told for finding in forecast.verdict.findings)
    refused = tuple(finding.message for finding in found if finding.severity == "refuse")
    if refused:
        return Outlook(metric, refused=refused)
    cautions = tuple(finding.message for finding in found)
    return Outlook(metric, f"{law.law.name} law, {law.reason}", rankings, cautions)


def _fitted(comparison: Comparison, trials: list[Trial]) -> str | None:
    """The judged loss where every run has enough of it, or else the loss that was logged most."""
    if comparison.mode != "min" or not trials:
        return None

    def least(name: str) -> int:
        none = np.array([])
        return min(int(np.isfinite(trial.metrics.get(name, none)).sum()) for trial in trials)

    names = dict.fromkeys([comparison.metric, *(n for t in trials for n in t.metrics)])
    losses = [name for name in names if "loss" in name.lower() and least(name) >= ENOUGH]
    if any(_rate(trial) is None for trial in trials) or not losses:
        return None
    return losses[0] if losses[0] == comparison.metric else max(losses, key=least)


def _rate(trial: Trial) -> np.ndarray | None:
    """The logged rate; of several groups', that of the first."""
    named = (name for name in trial.values if name == "lr" or name.startswith("lr/"))
    name = next(named, None)
    return None if name is None else trial.values[name]


def _logged(trials: list[Trial], metric: str) -> Logged:
    """The mean course of a plan over its seeds: a law is of the schedule, not of a seed."""
    steps = reduce(np.intersect1d, [trial.steps for trial in trials])
    rows = [trial.metrics[metric][np.isin(trial.steps, steps)] for trial in trials]
    first, rates = trials[0], _rate(trials[0])
    assert rates is not None
    return logged(
        steps, np.mean(rows, axis=0), rates[np.isin(first.steps, steps)], label=first.plan
    )


def _sentence(steps: int, ranked: Ranking) -> str:
    first, *others = ranked.forecasts
    where = f"In runs of {steps:,} updates"
    if ranked.resolved:
        return f"{where} {first.label} is predicted ahead of all others, by more than the band."
    told = [f.label for f in ranked.forecasts if f.label in ranked.ties]
    if len(told) == 1 + len(others):
        return f"{where} no plan is resolved from another: the band is wider than what is between."
    return f"{where} {listed(told)} are not resolved from each other; the rest is predicted behind."
