"""Composer's times as lengths of plans, the conversions being Composer's own."""

from __future__ import annotations

import dataclasses
import math
import re
from fractions import Fraction
from typing import Any, NamedTuple

from cadence import _checks
from cadence.dialects._clock import ramp, updates
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.horizon import Duration
from cadence.schedule import Schedule
from cadence.shapes import Hold, Linear, Ramp

__all__ = ["EXAMPLES", "WHOLE", "Length", "Time", "Trainer", "time"]

_TIME = re.compile(r"\s*(.+?)\s*(iter|ep|ba|sp|tok|dur|sec)\s*", re.IGNORECASE)
EXAMPLES = "'10ep', '100ba', '5e9tok' or '0.5dur'"
_UNITS = {"ep": "ep", "sp": "samples", "tok": "tok"}
_NEEDS = {
    "dur": "max_duration",
    "%": "max_duration",
    "ep": "batches_per_epoch",
    "sp": "samples_per_batch",
    "tok": "tokens_per_batch",
}

WHOLE = Duration(Fraction(100), "%")


class Time(NamedTuple):
    """An amount of a unit of Composer's."""

    amount: float
    unit: str

    def __repr__(self) -> str:
        return f"{self.amount:g}{self.unit}"


def time(where: str, name: str, given: Any) -> Time:
    """A time, given as Composer's text or as its `Time`."""
    text = given.to_timestring() if hasattr(given, "to_timestring") else given
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    try:
        if match is None:
            raise ValueError
        found = Time(float(match[1]), match[2].lower())
        if not 0 <= found.amount < math.inf:
            raise ValueError
        if found.unit != "dur" and not found.amount.is_integer():
            raise ValueError
    except ValueError:
        raise ArgumentError(
            f"{where}: '{name}' must be a time such as {EXAMPLES} (got {_checks.given(given)})"
        ) from None
    return found if found.unit == "dur" else found._replace(amount=int(found.amount))


class Length(NamedTuple):
    """A time as a length of a plan: updates, whole or not, or a duration; and what it was in."""

    steps: Any
    unit: str

    @property
    def known(self) -> bool:
        return not isinstance(self.steps, Duration)


@dataclasses.dataclass(frozen=True)
class Trainer:
    """What is known of the run, and Composer's conversion of times."""

    where: str
    run: Time | None
    each: dict[str, int | None]
    ratio: float

    def length(
        self,
        name: str,
        given: Any,
        *,
        scaled: bool = True,
        positive: bool = False,
        whole: bool = False,
    ) -> Length:
        """Composer's `_convert_time`."""
        own = time(self.where, name, given)
        if own.unit in ("sec", "iter"):
            raise ArgumentError(
                f"{self.where}: '{name}' must be in batches, or in what a number of batches has "
                f"(got {given!r}); write it as {EXAMPLES}"
            )
        ratio = self.ratio if scaled and own.unit != "dur" else 1.0
        if own.unit == "dur":
            if self.run is None:
                found = Length(self._percent(name, own), "%")
            else:
                found = self.of_run(own.amount)
        elif own.unit == "ep" and self.epoch is not None:
            found = Length(int(own.amount * self.epoch * ratio), "ba")
        else:
            found = self._of(name, Time(own.amount, own.unit), ratio)
        if positive and not (found.steps if found.known else found.steps.amount):
            raise ArgumentError(f"{self.where}: '{name}' must not come to nothing (got {given!r})")
        if whole and found.known and not isinstance(found.steps, int):
            raise ArgumentError(
                f"{self.where}: '{name}' must be a whole number of batches (got {given!r}, which "
                f"comes to {found.steps:g})"
            )
        return found

    @property
    def epoch(self) -> int | None:
        return self.each["batches_per_epoch"]

    def number(self, name: str, given: Any, **bounds: float) -> float:
        """An argument that is no time."""
        return _checks.number(self.where, name, given, **bounds)

    def _percent(self, name: str, own: Time) -> Duration:
        if own.amount > 1:
            raise self.lacking(name, "a time beyond the end of the run", "dur")
        return Duration(Fraction(str(own.amount)) * 100, "%")

    def of_run(self, part: float) -> Length:
        """A part of the run."""
        assert self.run is not None
        amount, unit = self.run
        if unit == "ep" and self.epoch is not None:
            return Length(int(part * self.epoch * amount), "ba")
        if unit == "ep":
            return Length(Duration(Fraction(str(part)) * Fraction(amount), "ep"), "ep")
        return self._of("max_duration", Time(int(part * amount), unit), 1.0)

    def _of(self, name: str, own: Time, ratio: float) -> Length:
        """A time that is not a part of the run nor in epochs of a known length."""
        amount, unit = int(own.amount * ratio), own.unit
        if unit == "ba":
            return Length(amount, unit)
        each = self.each[_NEEDS[unit]]
        if each is not None:
            return Length(updates(amount, each), unit)
        if ratio != 1.0:
            raise self.lacking(name, "a time that is scaled by 'ssr'", unit)
        return Length(Duration(Fraction(amount), _UNITS[unit]), unit)

    def lacking(self, name: str, why: str, unit: str) -> ArgumentError:
        """What has to be told of the run before a time of this unit can be converted."""
        return ArgumentTypeError(
            f"{self.where}: '{_NEEDS[unit]}' must be given for {why} ('{name}'); a plan that waits "
            "for the run cannot express it"
        )

    def between(self, first: Length, last: Length, peak: float, shape: Ramp) -> list[Schedule]:
        """The way from the end of the warm-up to `t_max`, if there is one."""
        end = shape.end
        if last.steps == WHOLE:
            if first.known and not isinstance(first.steps, int):
                raise self.lacking("t_max", "a warm-up that ends within a batch", "dur")
            return [dataclasses.replace(shape, start=peak)]
        if first.unit != last.unit:
            raise ArgumentError(
                f"{self.where}: 't_warmup' and 't_max' must come to the same unit (got "
                f"{first.unit!r} and {last.unit!r})"
                + ("" if first.known and last.known else "; tell the run by max_duration=...")
            )
        if not first.known:
            rest = last.steps.amount - first.steps.amount
            steps = Duration(max(rest, Fraction(0)), last.steps.unit)
            return [dataclasses.replace(shape, steps=steps, start=peak)] if rest > 0 else []
        if last.steps <= first.steps:
            return []
        return [ramp(shape, first.steps, last.steps, peak, end, math.ceil(first.steps))]

    def check_reach(self, name: str, last: Length) -> None:
        """Composer's `_raise_if_max_duration_exceeds_t_max`."""
        run = WHOLE if last.unit == "%" else None
        if self.run is not None:
            length = self.of_run(1.0)
            run = length.steps if length.unit == last.unit else None
        if isinstance(run, Duration) and not last.known:
            less = last.steps.amount < run.amount
        else:
            less = run is not None and last.known and last.steps < run
        if less:
            raise ArgumentError(
                f"{self.where}: '{name}' must not be less than the run (got {last.steps} and "
                f"{run}), or Composer refuses to train"
            )

    def up(
        self, t_warmup: Any, peak: float, *, scale_warmup: bool
    ) -> tuple[list[Schedule], Length, bool]:
        """The warm-up from 0, its end, and whether it reaches its peak there."""
        end = self.length("t_warmup", t_warmup, scaled=False)
        _checks.choice(self.where, "scale_warmup", scale_warmup, (True, False))
        if end.known and end.steps == 0:
            return [], end, peak == 1.0
        own = self.length("t_warmup", t_warmup, scaled=scale_warmup)
        if not end.known:
            return [Linear(end.steps, start=0.0, end=peak)], end, True
        if not own.steps:
            raise ArgumentError(
                f"{self.where}: 't_warmup' must not be scaled to nothing (got {t_warmup!r} and "
                f"ssr={self.ratio!r})"
            )
        # Scaled or not, the warm-up is over at its unscaled end.
        stop, whole = math.ceil(end.steps), ramp(Linear(), 0, own.steps, 0.0, peak)
        if own.steps > end.steps:
            return [whole.part(0, stop)], end, False
        rest = stop - math.ceil(own.steps)
        return [whole, *([Hold(rest)] if rest else [])], end, True
