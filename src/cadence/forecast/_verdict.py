"""How far a forecast is to be trusted: what speaks against it, and whether it is refused.

The limits are those at which published and own forecasts were seen to fail; the page on forecasts
tells where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cadence.forecast._logged import Logged

__all__ = [
    "FLOOR",
    "SMALL_FLOOR",
    "Finding",
    "Verdict",
    "about_logs",
    "about_target",
    "floor_of",
    "undetermined",
]

FLOOR = 0.01
"""The least half-width of a band, of the loss. Chosen after errors of up to 0.94 % were seen."""

SMALL_FLOOR = 0.04
"""The same for short runs of small nets, which were off by up to 3.3 %."""

SMALL = 20_000
"""Runs of fewer steps are small: 3 % and more was seen up to 6,000, less than 1 % at 24,000."""

FEW, TOO_FEW = 50, 20
FAR, TOO_FAR = 3.0, 10.0  # with 2 % of room, since the last losses are not of the last steps
PEAK, OTHER_PEAK = 0.02, 2.0


class Finding(NamedTuple):
    """What speaks against a forecast: `severity` is `"refuse"` or `"warn"`."""

    code: str
    severity: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.message} ({self.code})"


@dataclass(frozen=True)
class Verdict:
    """All that speaks against a forecast."""

    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Whether anything refuses it."""
        return any(finding.severity == "refuse" for finding in self.findings)

    @property
    def codes(self) -> tuple[str, ...]:
        """The findings' codes."""
        return tuple(finding.code for finding in self.findings)

    @property
    def word(self) -> str:
        """`"refused"`, `"with care"` or `"usable"`."""
        return "refused" if self.refused else "with care" if self.findings else "usable"

    def __str__(self) -> str:
        return "\n".join([self.word, *map(str, self.findings)])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"verdict": self.word, "findings": [f._asdict() for f in self.findings]}


def floor_of(logs: Sequence[Logged]) -> float:
    """The least half-width of the band of forecasts from these runs."""
    return SMALL_FLOOR if max(log.last for log in logs) < SMALL else FLOOR


def about_logs(logs: Sequence[Logged]) -> list[Finding]:
    """What the logs alone say against forecasts from them."""
    found = [*undetermined(logs), *_points(logs)]
    for log in logs:
        found.extend(_run(log))
    peaks = [log.peak for log in logs]
    if max(peaks) > (1 + PEAK) * min(peaks):
        found.append(
            Finding(
                "peaks-differ",
                "warn",
                f"the runs have different peak rates, {min(peaks):g} to {max(peaks):g}; the laws "
                "hold near one",
            )
        )
    if floor_of(logs) > FLOOR:
        found.append(
            Finding(
                "small-runs",
                "warn",
                f"the runs are short ({max(log.last for log in logs):,} steps); forecasts from "
                "such runs of small nets were 2-3 % off, so the band is at least 4 %",
            )
        )
    return found


def undetermined(logs: Sequence[Logged]) -> list[Finding]:
    """Whether the runs leave open what a drop of the rate gains."""
    if all(log.drop < 0.05 for log in logs):
        return [
            Finding(
                "only-constant",
                "refuse",
                "no run lowers its rate, so what a drop gains is not known; add a run that drops "
                "it at once after two thirds, such as Hold('65%') >> Constant(0.1)",
            )
        ]
    if all(log.held < 0.2 for log in logs):
        return [
            Finding(
                "only-smooth",
                "refuse",
                "every run decays all along, as a cosine does, so what a drop gains cannot be told "
                "from what training gains; add one at a constant rate, or with an abrupt drop",
            )
        ]
    return []


def _points(logs: Sequence[Logged]) -> list[Finding]:
    count = sum(log.points for log in logs)
    if count < FEW:
        return [
            Finding(
                "few-points",
                "refuse" if count < TOO_FEW else "warn",
                f"{count} losses were logged after the warm-ups; {FEW} are needed",
            )
        ]
    # Over less than a tenfold growth of the sum of rates the exponent is a guess.
    spans = []
    for log in logs:
        sums = np.cumsum(log.rates)[log.steps]
        spans.append(float(sums[-1] / max(sums[0], 1e-30)))
    if max(spans) < 10:
        return [
            Finding(
                "short-range",
                "warn",
                f"the sum of rates grows {max(spans):.3g}-fold over the logged losses; 10-fold is "
                "needed to see the exponent",
            )
        ]
    return []


def _run(log: Logged) -> list[Finding]:
    found = []
    if log.begin > 0.02 * log.last and log.begin > 1:
        found.append(
            Finding(
                "start-unlogged",
                "warn",
                f"{log.label} has no rate before step {log.begin:,}, and its first is taken for "
                f"all before; write warmup={log.begin} if they were a warm-up",
            )
        )
    if log.stairs:
        found.append(
            Finding(
                "rates-per-epoch",
                "warn",
                f"{log.label} has rates that move every {log.stairs:,} steps at most; if they were "
                "logged once an epoch and moved in between, the sums are wrong",
            )
        )
    if log.end:
        found.append(
            Finding(
                "cut-off",
                "warn",
                f"{log.label} goes on to step {log.end:,}, but its losses end at {log.last:,}: "
                "what comes after is not finite, or was not logged",
            )
        )
    after = log.rates[log.warmup : log.last + 1]
    lowest = np.minimum.accumulate(after)
    if np.any(after > lowest + 0.05 * log.peak):
        found.append(
            Finding(
                "warmed-again",
                "warn",
                f"{log.label} raises its rate after lowering it; the laws were not tried on that",
            )
        )
    found.extend(_losses(log))
    return found


def _losses(log: Logged) -> list[Finding]:
    size = max(3, len(log.losses) // 20)
    if len(log.losses) < 3 * size:
        return []
    smooth = np.convolve(log.losses, np.ones(size) / size, "valid")
    after = log.rates[log.steps[int(np.argmin(smooth))] : log.last + 1]
    if smooth[-1] > 1.01 * smooth.min() and after.max() <= 1.001 * after[0]:
        return [
            Finding(
                "overfitting",
                "refuse",
                f"the loss of {log.label} rises by {smooth[-1] / smooth.min() - 1:.1%} towards its "
                "end while the rate does not, as with many passes over the data; no law has that",
            )
        ]
    if smooth[-1] < 0.02 * smooth[0] or smooth[-1] < 0.02:
        return [
            Finding(
                "near-zero",
                "warn",
                f"the loss of {log.label} comes near 0 ({smooth[-1]:.2g}), as that of a classifier "
                "may; the laws are of losses that level off above it",
            )
        ]
    return []


def about_target(logs: Sequence[Logged], rates: np.ndarray, last: int, label: str) -> list[Finding]:
    """What speaks against forecasting a run of these rates."""
    found = []
    peak, fitted = float(rates.max()), max(log.peak for log in logs)
    ratio = max(peak / fitted, fitted / peak)
    if ratio > 1 + PEAK:
        found.append(
            Finding(
                "other-peak",
                "refuse" if ratio > OTHER_PEAK else "warn",
                f"{label} peaks at {peak:g}, the fitted runs at {fitted:g}; the laws hold near one "
                "peak rate, so their errors grow with the distance",
            )
        )
    first, longest = min(int(log.steps[0]) for log in logs), max(log.last for log in logs)
    if last < first:
        found.append(
            Finding(
                "short",
                "refuse",
                f"{label} ends at step {last:,}, and the runs were fitted from step {first:,} on; "
                "the laws do not hold for the beginning of a run",
            )
        )
    if last > 1.02 * FAR * longest:
        found.append(
            Finding(
                "far",
                "refuse" if last > TOO_FAR * longest else "warn",
                f"{label} goes to step {last:,}, {last / longest:.3g} times as far as the fitted "
                f"runs; they were tried up to {FAR:g} times",
            )
        )
    after = rates[int(np.argmax(rates)) :]
    if np.any(after > np.minimum.accumulate(after) + 0.05 * peak):
        found.append(
            Finding(
                "warmed-again",
                "warn",
                f"{label} raises its rate after lowering it; the laws were not tried on that",
            )
        )
    return found
