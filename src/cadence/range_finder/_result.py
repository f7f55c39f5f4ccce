"""What a range test has found: a bracket of rates, a suggestion in it, and how sure that is."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cadence.range_finder._curve import END, NOT_FINITE, Curve
from cadence.range_finder._rules import OTHERS, RULES, read_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Bracket", "RangeResult", "Reading"]

CLOSE = 3.0
"""Rates within this factor of the suggestion agree with it."""
WIDE = 40.0
"""A bracket that is wider is told of: the curves do not say more."""
SCATTERED = 5.0
"""Repeats whose readings of an end differ by more than this factor are told of."""
FALL = 5.0
"""How many standard deviations of the smoothed loss's noise a fall has to be."""


@dataclass(frozen=True)
class Reading:
    """What a rule says: the geometric mean over the repeats, and the least and most of them.

    >>> reading = Reading.of([1e-3, 4e-3])
    >>> round(reading.rate, 6), reading.low, reading.high
    (0.002, 0.001, 0.004)
    """

    rate: float
    low: float
    high: float

    @classmethod
    def of(cls, rates: Sequence[float]) -> Reading:
        """The reading of several rates."""
        return cls(_middle(rates), min(rates), max(rates))

    @property
    def spread(self) -> float:
        """By which factor the repeats differ."""
        return self.high / self.low

    def to_dict(self) -> dict[str, float]:
        """The reading as plain values."""
        return {"rate": self.rate, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Bracket:
    """The rates between which good ones lie; `low, high = bracket` takes it apart.

    >>> bracket = Bracket(Reading.of([1e-3]), Reading.of([2e-2]))
    >>> 5e-3 in bracket, bracket.width
    (True, 20.0)
    """

    lower: Reading
    upper: Reading

    @property
    def low(self) -> float:
        """Its lower end."""
        return self.lower.rate

    @property
    def high(self) -> float:
        """Its upper end."""
        return self.upper.rate

    @property
    def width(self) -> float:
        """By which factor the upper end is above the lower one."""
        return self.high / self.low

    def __contains__(self, rate: float) -> bool:
        return self.low <= rate <= self.high

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.high))


@dataclass(frozen=True, eq=False)
class RangeResult:
    """What a range test has found.

    Args:
        curves: The sweeps, one of each repeat.
        start: The first rate of a sweep.
        end: The last rate of a whole one.
    """

    curves: tuple[Curve, ...]
    start: float
    end: float

    @cached_property
    def _fallen(self) -> tuple[Curve, ...]:
        """The curves whose loss falls by more than noise does; only these are read."""
        return tuple(curve for curve in self.curves if _falls(curve))

    @cached_property
    def _readings(self) -> tuple[dict[str, float], ...]:
        each = (read_all(curve) for curve in self._fallen)
        return tuple(one for one in each if all(map(math.isfinite, one.values())))

    @cached_property
    def rules(self) -> Mapping[str, Reading]:
        """What each rule says, by its name; empty where no curve falls."""
        if not self._readings:
            return MappingProxyType({})
        names = [*RULES, *OTHERS]
        return MappingProxyType(
            {name: Reading.of([one[name] for one in self._readings]) for name in names}
        )

    @cached_property
    def bracket(self) -> Bracket | None:
        """From the valley to the higher of slope and minimum / 10; None where no curve falls.

        Each end is the geometric mean over the repeats.
        """
        if not self._readings:
            return None
        lower = [one["valley"] for one in self._readings]
        upper = [max(one["slope"], one["minimum/10"]) for one in self._readings]
        if _middle(lower) >= _middle(upper):  # a fall of a few points, read from both sides
            lower, upper = upper, lower
        return Bracket(Reading.of(lower), Reading.of(upper))

    @property
    def suggestion(self) -> float | None:
        """The geometric middle of the bracket, the least far of its rates from any other."""
        return None if self.bracket is None else _middle(list(self.bracket))

    @property
    def agreeing(self) -> tuple[str, ...]:
        """The rules whose rate is within a factor of 3 of the suggestion."""
        suggestion = self.suggestion
        if suggestion is None:
            return ()
        return tuple(
            name
            for name, reading in self.rules.items()
            if max(reading.rate / suggestion, suggestion / reading.rate) <= CLOSE
        )

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What stands against trusting the bracket; empty where nothing does."""
        return tuple(_doubts(self))

    def __repr__(self) -> str:
        count = f"{len(self.curves)} repeat{'s' * (len(self.curves) != 1)}"
        if self.bracket is None:
            return f"RangeResult(no bracket, {count})"
        low, high = self.bracket
        return (
            f"RangeResult(suggestion={self.suggestion:.2g}, bracket={low:.2g}..{high:.2g}, {count})"
        )

    def __str__(self) -> str:
        """The findings as text."""
        lines: list[str] = []
        if self.bracket is not None:
            lower, upper, factor = self.bracket.lower, self.bracket.upper, self.bracket.width
            bracket = f"{lower.rate:.2g} to {upper.rate:.2g}, a factor of {factor:.0f}"
            ends = f"{_range(lower)} and {_range(upper)}"
            lines = [
                f"suggestion  {self.suggestion:.2g}",
                f"bracket     {bracket}",
                f"its ends    {ends}, over {_repeats(self._readings)}",
                "",
            ]
            width = max(map(len, self.rules))
            for name, reading in self.rules.items():
                mark = "agrees" if name in self.agreeing else ""
                row = f"{name:<{width}}  {reading.rate:>8.2g}  {_range(reading):<20}  {mark}"
                lines.append(row.rstrip())
        else:
            lines.append("no bracket")
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        bracket = self.bracket
        return {
            "suggestion": self.suggestion,
            "bracket": None
            if bracket is None
            else {
                "low": bracket.low,
                "high": bracket.high,
                "width": bracket.width,
                "lower": bracket.lower.to_dict(),
                "upper": bracket.upper.to_dict(),
            },
            "rules": {name: reading.to_dict() for name, reading in self.rules.items()},
            "agreeing": list(self.agreeing),
            "warnings": list(self.warnings),
            "start": self.start,
            "end": self.end,
            "curves": [curve.to_dict() for curve in self.curves],
        }

    def plot(self, path: str | os.PathLike[str] | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw the losses over the rates, with the bracket shaded.

        Args:
            path: Where to write the picture; None only draws it.
            ax: The axes to draw in; by default those of a new figure.
        """
        from cadence.plot import save
        from cadence.range_finder._picture import draw

        ax = draw(self, ax)
        if path is not None:
            save(ax, Path(path))
        return ax


MORE = "raise accumulate, steps or seeds"


def _doubts(found: RangeResult) -> Iterator[str]:
    """What stands against trusting a result, worst first."""
    curves, fallen, bracket = found.curves, found._fallen, found.bracket
    early = [c for c in curves if c.stopped == NOT_FINITE and len(c) < c.planned // 10]
    if early:
        yield (
            f"not finite: in {len(early)} of {_repeats(curves)} the loss is NaN or infinite from "
            f"update {min(map(len, early)) + 1} of {early[0].planned} on; look at the data, the "
            "loss and the precision, or lower start"
        )
    if len(early) == len(curves):
        return
    if not fallen:
        yield (
            "no descent: in no repeat the loss falls by more than its noise; look whether the "
            "model learns at all, or give the sweep other rates"
        )
    elif bracket is None:
        yield "too short: the sweeps stopped too early to be read; lower start, or raise steps"
    elif len(fallen) < len(curves):
        yield (
            f"noisy: only in {len(fallen)} of {_repeats(curves)} the loss falls by more than its "
            f"noise; {MORE}"
        )
    if all(curve.stopped == END for curve in curves):
        doubt = ", so that the upper end of the bracket may be too low" if bracket else ""
        yield f"no divergence: the sweeps reached their end at {found.end:g}{doubt}; raise end"
    if bracket is None:
        return
    if bracket.width > WIDE:
        yield f"too noisy to say: the bracket spans a factor of {bracket.width:.0f}; {MORE}"
    for name, reading in (("lower", bracket.lower), ("upper", bracket.upper)):
        if reading.spread > SCATTERED:
            yield (
                f"too noisy to say: over the repeats the {name} end of the bracket lay between "
                f"{reading.low:.2g} and {reading.high:.2g}; {MORE}"
            )
    first = max(curve.rates[curve.planned // 10] for curve in fallen)
    if bracket.low < 10 * first:
        yield (
            f"falls from the beginning: the lower end lies where the sweep has only begun "
            f"({first:.2g}); lower start"
        )


def _middle(rates: Sequence[float]) -> float:
    """The geometric mean.

    >>> round(_middle([0.001, 0.1]), 9)
    0.01
    """
    return (
        math.exp(math.fsum(map(math.log, rates)) / len(rates)) if len(set(rates)) > 1 else rates[0]
    )


def _falls(curve: Curve) -> bool:
    """Whether the smoothed loss falls by more than its own noise, or rounding, would have it."""
    # The variance of a debiased moving average of independent losses, where the reading begins.
    n, beta = max(curve.planned // 10, 1), curve.beta
    variance = (1 - beta) / (1 + beta) * (1 + beta**n) / (1 - beta**n)
    least = FALL * curve.noise * math.sqrt(variance)
    return curve.drop > max(least, 1e-6 * float(abs(curve.smooth).max(initial=0.0)))


def _range(reading: Reading) -> str:
    return f"{reading.low:.2g} .. {reading.high:.2g}"


def _repeats(each: Sequence[Any]) -> str:
    return f"{len(each)} repeat{'s' * (len(each) != 1)}"
