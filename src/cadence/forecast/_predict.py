"""A fitted law: what it predicts, with which band, and what speaks against it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from cadence import _checks
from cadence.errors import ArgumentError, ForecastError
from cadence.forecast._choose import Proposal, Ranking, named_plans, proposal, ranking
from cadence.forecast._laws import LAWS, Law
from cadence.forecast._logged import FEWEST, Logged, Names, one_logged
from cadence.forecast._solve import Solution, solve
from cadence.forecast._verdict import (
    FLOOR,
    Finding,
    Verdict,
    about_logs,
    about_target,
    floor_of,
    undetermined,
)
from cadence.forecast._walk import Walk, as_rates, warmup_end
from cadence.runs import Run, read_run
from cadence.schedule import Schedule

__all__ = ["Forecast", "Forecaster", "LeftOut", "left_out", "tail"]

TELLING = ("L0", "log alpha", "drop", "log response")
"""At the bounds of these a fit has found no minimum; the other bounds are limits of the laws."""

LAST = 0.05
"""The part of a run whose mean error is that of its end."""

SHOWN = 0.7
"""The part of a single run that is shown to a law, to judge it on the rest."""


class LeftOut(NamedTuple):
    """How far a law was off on a schedule that it was not shown, as fractions of the loss."""

    label: str
    mean: float
    final: float


def left_out(kind: type[Law], groups: Sequence[Sequence[Logged]]) -> tuple[LeftOut, ...]:
    """The errors of a law on each schedule in turn, fitted to the others.

    A schedule without which the others would leave open what a drop gains is not left out: a fit to
    those is refused, so it judges nothing.
    """
    found = []
    for i, group in enumerate(groups):
        rest = [log for j, other in enumerate(groups) if j != i for log in other]
        if not rest or undetermined(rest):
            continue
        found.extend(_off(solve(kind, rest).law, log, log.label) for log in group)
    return tuple(found)


def tail(kind: type[Law], logs: Sequence[Logged]) -> tuple[LeftOut, ...]:
    """The errors of a law on the last part of each run, fitted to what came before."""
    cuts = [int(SHOWN * log.last) for log in logs]
    shown = [log.until(cut) for log, cut in zip(logs, cuts, strict=True)]
    if min(len(log.steps) for log in shown) < FEWEST:
        return ()
    law = solve(kind, shown).law
    return tuple(
        _off(law, log.after(cut), f"{log.label}, its last {1 - SHOWN:.0%}")
        for log, cut in zip(logs, cuts, strict=True)
    )


def _off(law: Law, log: Logged, label: str) -> LeftOut:
    errors = law.of(Walk(log.rates, log.steps)) / log.losses - 1.0
    end = errors[log.steps > log.last * (1 - LAST)]
    return LeftOut(label, float(np.mean(np.abs(errors))), float(abs(np.mean(end))))


@dataclass(frozen=True, eq=False)
class Forecast:
    """A predicted curve; made by :meth:`Forecaster.predict`.

    The band from `low` to `high` is the widest of three: how far the laws are apart, how far they
    were off on what they were not shown, and a least width. It has no level: it is not a confidence
    interval.

    Args:
        label: The plan.
        steps: The steps.
        loss: The predicted losses there.
        low: The band's lower edge.
        high: Its upper edge.
        rates: The rates there.
        total_steps: Length of the run.
        laws: What each of the laws predicts.
        parts: What the band's half-width at the end is the widest of, as fractions of the loss.
        verdict: What speaks against it.
    """

    label: str
    steps: np.ndarray
    loss: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rates: np.ndarray
    total_steps: int
    laws: Mapping[str, np.ndarray]
    parts: Mapping[str, float]
    verdict: Verdict

    @property
    def final(self) -> float:
        """The predicted loss at the end."""
        return float(self.loss[-1])

    @property
    def width(self) -> float:
        """The band's half-width at the end, as a fraction of the loss."""
        return max(self.parts.values())

    def resolved(self, other: Forecast) -> bool:
        """Whether the ends differ by more than either band's half-width, for every law alike."""
        gaps = [float(self.laws[law][-1] - other.laws[law][-1]) for law in self.laws]
        gap = self.final - other.final
        wide = max(self.width * self.final, other.width * other.final)
        return abs(gap) > wide and all(g * gap > 0 for g in gaps)

    def __repr__(self) -> str:
        return (
            f"Forecast({self.label}: {self.final:.4f} at step {int(self.steps[-1]):,}, band "
            f"{self.low[-1]:.4f} to {self.high[-1]:.4f}, {self.verdict.word})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "plan": self.label,
            "total_steps": self.total_steps,
            "final": self.final,
            "low": float(self.low[-1]),
            "high": float(self.high[-1]),
            "width": self.width,
            "parts": dict(self.parts),
            "laws": {name: float(loss[-1]) for name, loss in self.laws.items()},
            **self.verdict.as_dict(),
        }


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A law that is fitted to some runs; made by :func:`cadence.forecast.fit`.

    Args:
        logs: The runs.
        groups: The same by their schedules.
        solution: The law that was chosen, as it was found.
        reason: Why this law.
    """

    logs: Sequence[Logged]
    groups: Sequence[Sequence[Logged]]
    solution: Solution
    reason: str
    _left_out: dict[str, tuple[LeftOut, ...]] = field(default_factory=dict, repr=False)
    _names: Names = field(default=Names(), repr=False)

    @property
    def law(self) -> Law:
        """The law with its parameters."""
        return self.solution.law

    @property
    def peak(self) -> float:
        """The highest rate of the fitted runs."""
        return max(log.peak for log in self.logs)

    @property
    def total_steps(self) -> int:
        """Steps of the longest fitted run."""
        return max(log.last for log in self.logs)

    @property
    def warmup(self) -> int:
        """Steps of the fitted runs' warm-up, the middle one's."""
        return int(np.median([log.warmup for log in self.logs]))

    @cached_property
    def ensemble(self) -> dict[str, Law]:
        """Every law, fitted to the same runs."""
        fitted = {self.law.name: self.law}
        for name, kind in LAWS.items():
            fitted.setdefault(name, solve(kind, self.logs).law)
        return fitted

    @cached_property
    def left_out(self) -> tuple[LeftOut, ...]:
        """How far the law was off on what it was not shown.

        That is each schedule in turn, but for those without which a fit would be refused; where
        none is left, the last 30 % of each run.
        """
        name = self.law.name
        if name in self._left_out:
            return self._left_out[name]
        return left_out(type(self.law), self.groups) or tail(type(self.law), self.logs)

    @cached_property
    def verdict(self) -> Verdict:
        """What the runs and the fit say against any forecast from them."""
        found = about_logs(self.logs)
        if len(self.groups) == 1:
            found.append(
                Finding(
                    "one-schedule",
                    "warn",
                    "from one schedule the laws cannot be judged on another",
                )
            )
        bounds = [told for told in self.solution.at_bounds if told.startswith(TELLING)]
        if bounds:
            found.append(
                Finding(
                    "at-bound",
                    "warn",
                    f"the fit of the {self.law.name} law has {', '.join(bounds)}, so the runs do "
                    "not determine it",
                )
            )
        worst = max(self.left_out, key=lambda one: max(one.mean, one.final), default=None)
        if worst is not None and max(worst.mean, worst.final) > FLOOR:
            found.append(
                Finding(
                    "hold-out",
                    "warn",
                    f"on {worst.label}, which it was not shown, the law was off by "
                    f"{worst.mean:.1%} on average and {worst.final:.1%} at the end",
                )
            )
        return Verdict(tuple(found))

    def predict(
        self,
        plan: Schedule | Run | Logged | Any,
        total_steps: int | None = None,
        peak: float | None = None,
        *,
        force: bool = False,
        points: int = 400,
    ) -> Forecast:
        """The loss of a run under a plan, or at the rates of a logged run.

        Args:
            plan: A plan, a logged run, or the path of a log, which is read as the fitted ones were:
                by the same keys, where it has them, and with the same warm-up.
            total_steps: Steps of the run; by default those of the longest fitted run.
            peak: The rate that the plan's level 1 stands for; by default the fitted runs' peak.
            force: Give the forecast even if the verdict refuses it.
            points: At about how many steps the loss is predicted.

        Raises:
            ForecastError: The verdict refuses it.
            ArgumentError: The plan cannot be resolved to these steps, or its rates are not >= 0.
        """
        if isinstance(plan, Schedule):
            total = _checks.whole(
                "predict", "total_steps", self.total_steps if total_steps is None else total_steps,
                low=2,
            )  # fmt: skip
            base = self.peak if peak is None else _checks.number("predict", "peak", peak, above=0)
            label, rates = repr(plan), plan.resolve(total).values(total, base)
            if not np.all(np.isfinite(rates)) or rates.min() < 0 or rates.max() <= 0:
                raise ArgumentError(f"predict: the rates of {label} must be >= 0 and not all 0")
        else:
            if total_steps is not None or peak is not None:
                raise ArgumentError(
                    "predict: a logged run has its own length and rates; leave out 'total_steps' "
                    "and 'peak'"
                )
            log = self._logged(plan)
            label, rates = log.label, log.rates[: log.last + 1]
        return self.at_rates(rates, label, force=force, points=points)

    def _logged(self, run: Any) -> Logged:
        """A run as the fitted ones were read; its losses do not matter, so others will do."""
        names = self._names
        if isinstance(run, (str, os.PathLike)):
            run = read_run(run)
        if isinstance(run, Run):
            loss, rate = (key if key in run.series else None for key in (names.loss, names.rate))
            names = names._replace(loss=loss, rate=rate)
        return one_logged(run, names, "predict")

    def at_rates(
        self, rates: Any, label: str = "rates", *, force: bool = False, points: int = 400
    ) -> Forecast:
        """The loss at the rates of every step from 0; the rest as :meth:`predict`."""
        points = _checks.whole("predict", "points", points, low=2)
        rates = as_rates("at_rates", rates)
        last = len(rates) - 1
        begin = min(warmup_end(rates), last)
        steps = np.unique(np.linspace(max(begin, last // 100), last, points).round().astype(int))
        walk = Walk(rates, steps)
        laws = {name: law.of(walk) for name, law in self.ensemble.items()}
        loss = laws[self.law.name]
        found = [*self.verdict.findings, *about_target(self.logs, rates, last, label)]
        if loss.min() <= 0:
            found.append(
                Finding(
                    "below-zero",
                    "refuse",
                    f"the {self.law.name} law predicts a loss of {loss.min():.3g} for {label}",
                )
            )
        verdict = Verdict(tuple(found))
        if verdict.refused and not force:
            reasons = "; ".join(f.message for f in found if f.severity == "refuse")
            raise ForecastError(f"predict: {reasons}. To see it all the same, write force=True")
        every = np.stack(list(laws.values()))
        floor = floor_of(self.logs)
        off = max((max(one.mean, one.final) for one in self.left_out), default=0.0)
        spread = np.abs(every / loss - 1.0).max(0)
        half = np.maximum(spread, max(off, floor)) * np.abs(loss)
        parts = {"laws": float(spread[-1]), "left out": off, "least": floor}
        return Forecast(
            label,
            steps,
            loss,
            loss - half,
            loss + half,
            rates[steps],
            last + 1,
            laws,
            parts,
            verdict,
        )

    def rank(
        self,
        plans: Iterable[Schedule] | Mapping[str, Schedule],
        total_steps: int | None = None,
        peak: float | None = None,
        *,
        force: bool = False,
    ) -> Ranking:
        """Plans by their predicted final losses, with ties where the band does not resolve them.

        Args:
            plans: The plans; a mapping gives them names.
            total_steps: As for :meth:`predict`.
            peak: As for :meth:`predict`.
            force: As for :meth:`predict`.

        Raises:
            ForecastError: The verdict refuses one of them.
        """
        return ranking(
            [
                replace(self.predict(plan, total_steps, peak, force=force), label=name)
                for name, plan in named_plans(plans)
            ]
        )

    def optimize(
        self,
        total_steps: int | None = None,
        family: str = "wsd",
        *,
        peak: float | None = None,
        against: Schedule | None = None,
        force: bool = False,
    ) -> Proposal:
        """The member of a family of plans for which the laws predict the least final loss.

        Args:
            total_steps: As for :meth:`predict`.
            family: `"wsd"`: warm up, hold, come down, with a fraction, an end and an exponent;
                `"cosine"` or `"linear"`, with an end; or `"piecewise"`, a free line through 17
                points that never rises.
            peak: As for :meth:`predict`.
            against: The plan to compare it with; by default a cosine to a tenth of the peak.
            force: As for :meth:`predict`.

        Raises:
            ForecastError: The verdict refuses it.
        """
        total = self.total_steps if total_steps is None else total_steps
        total = _checks.whole("optimize", "total_steps", total, low=2)
        base = self.peak if peak is None else _checks.number("optimize", "peak", peak, above=0)
        return proposal(self, total, family, peak=base, against=against, force=force)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.law.name,
            "parameters": {p.name: getattr(self.law, p.name) for p in self.law.parameters},
            "reason": self.reason,
            "runs": [log.label for log in self.logs],
            "left_out": [one._asdict() for one in self.left_out],
            **self.verdict.as_dict(),
        }

    def __repr__(self) -> str:
        told = ", ".join(f"{p.name}={getattr(self.law, p.name):.4g}" for p in self.law.parameters)
        names = ", ".join(log.label for log in self.logs)
        return f"Forecaster({self.law.name}: {told}; from {names}; {self.reason})"
