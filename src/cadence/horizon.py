"""Typed durations, and the horizon that turns them into steps.

A *duration* is a length with its unit: `500` (steps), `"5%"` (of the run), `"3ep"` (epochs),
`"4Ksamples"`, `"2Btok"` (tokens; K, M, B or G, and T are powers of a thousand). A *horizon*
says how long the run is and how many samples, tokens and steps go together. A step is one
optimizer update (or one epoch under `Scheduler(clock="epoch")`), never a micro-batch.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

from cadence import _checks
from cadence.errors import ArgumentError, ArgumentTypeError, UnresolvedError

__all__ = ["Duration", "Horizon", "Length", "as_length", "as_period", "tile"]

_UNITS = {
    "%": "%",
    "ep": "ep", "epoch": "ep", "epochs": "ep",
    "tok": "tok", "token": "tok", "tokens": "tok",
    "sample": "samples", "samples": "samples",
    "st": "steps", "step": "steps", "steps": "steps",
}  # fmt: skip
_SCALES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
# The units are spelt out, lest the "t" of "5tok" be read as a scale.
_PATTERN = re.compile(
    rf"\s*(\d+(?:\.\d+)?|\.\d+)\s*([KMBGT]?)\s*({'|'.join(_UNITS)})\s*",
    re.IGNORECASE | re.ASCII,
)
_EXAMPLES = "'5%', '3ep', '4Ksamples' or '2Btok'"
_NEEDS = {
    "%": ("the length of the run", ""),
    "ep": ("steps_per_epoch", "steps_per_epoch=500"),
    "samples": ("samples_per_step", "samples_per_step=256"),
    "tok": ("tokens_per_step", "tokens_per_step=500_000"),
}


@dataclass(frozen=True)
class Duration:
    """A length in a unit that only a horizon can turn into steps.

    >>> Duration.parse("1500 Ktok")
    '1.5Mtok'
    >>> Duration.parse("5%") == Duration.parse("5.0%")
    True
    """

    amount: Fraction
    unit: str

    def __post_init__(self) -> None:
        _checks.choice("Duration", "unit", self.unit, _NEEDS)
        _checks.number("Duration", "amount", self.amount, low=0)
        amount = Fraction(str(self.amount))  # of 0.1, the decimal that was typed
        object.__setattr__(self, "amount", amount)
        rest = amount.denominator
        for factor in (2, 5):
            while rest % factor == 0:
                rest //= factor
        if rest != 1:  # it would have no text to be read back from
            raise ArgumentError(
                f"Duration: 'amount' must be a decimal (got {amount}); round it first"
            )
        if self.unit == "%" and amount > 100:
            raise ArgumentError(f"Duration: 'amount' must be at most 100 % (got {self!r})")

    @classmethod
    def parse(cls, text: str, where: str = "duration", name: str = "steps") -> Duration | int:
        """Read `"5%"`, `"3ep"`, `"4Ksamples"`, `"2Btok"`; `"500steps"` gives a plain int."""
        match = _PATTERN.fullmatch(text) if isinstance(text, str) and len(text) <= 64 else None
        if match is None:
            number = text.strip().lstrip("0") if isinstance(text, str) else ""
            hint = f"; write {number}" if re.fullmatch("[1-9][0-9]{0,15}", number) else ""
            raise ArgumentError(
                f"{where}: '{name}' must be a whole number of steps or a duration such as "
                f"{_EXAMPLES} (got {_checks.given(text)}){hint}"
            )
        amount, unit = Fraction(match[1]) * _SCALES[match[2].upper()], _UNITS[match[3].casefold()]
        if unit == "%" and amount > 100:
            raise ArgumentError(f"{where}: '{name}' must be at most '100%' (got {text!r})")
        if unit == "steps":
            if amount.denominator != 1:
                raise ArgumentError(f"{where}: '{name}' must be whole steps (got {text!r})")
            return int(amount)
        return cls(amount, unit)

    def __str__(self) -> str:
        if self.unit in ("tok", "samples"):
            for letter, scale in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
                if self.amount >= scale:
                    return f"{_decimal(self.amount / scale)}{letter}{self.unit}"
        return f"{_decimal(self.amount)}{self.unit}"

    def __repr__(self) -> str:
        return repr(str(self))


Length = int | str | Duration
"""What a length may be written as. Fields hold it checked: text has become a duration."""


def _decimal(amount: Fraction) -> str:
    """The shortest exact decimal; there is one, the denominator being 2^a 5^b."""
    digits = 0
    while (amount * 10**digits).denominator != 1:
        digits += 1
    whole = str(int(amount * 10**digits)).rjust(digits + 1, "0")
    return whole if not digits else f"{whole[:-digits]}.{whole[-digits:]}"


def as_length(where: str, name: str, value: Any, *, low: int = 0) -> int | Duration:
    """Check a length given by a user: a whole number of steps >= `low`, or a duration."""
    if isinstance(value, str):
        value = Duration.parse(value, where, name)
    if isinstance(value, Duration):
        if low > 0 and value.amount == 0:
            raise ArgumentError(f"{where}: '{name}' must be > 0 (got {value!r})")
        return value
    try:
        return _checks.whole(where, name, value, low=low)
    except ArgumentTypeError as error:
        raise _or_a_duration(error, "a whole number") from None


def as_period(where: str, name: str, value: Any) -> int | float | Duration:
    """Check a period given by a user: steps > 0, which need not be whole, or a duration."""
    if isinstance(value, (str, Duration)):
        return as_length(where, name, value, low=1)
    try:
        steps = _checks.number(where, name, value, above=0, high=_checks.MOST)
    except ArgumentTypeError as error:
        raise _or_a_duration(error, "a number") from None
    return int(steps) if steps.is_integer() else steps


def _or_a_duration(error: ArgumentTypeError, number: str) -> ArgumentTypeError:
    """The error, saying that steps are meant and that they may be a duration."""
    wanted = f"{number} of steps or a duration such as {_EXAMPLES}"
    return ArgumentTypeError(str(error).replace(number, wanted))


_CLOCK = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_TIME = re.compile(
    "".join(rf"(?:(?P<{u[0]}>\d+(?:\.\d+)?)\s*{u}\s*)?" for u in ("d", "h", "m(?:in)?", "s")),
    re.IGNORECASE | re.ASCII,
)


def seconds(where: str, name: str, value: Any) -> float:
    """A span of time: a number of seconds, or text such as `"2h"`, `"90min"` or `"1h30min"`."""
    if isinstance(value, str):
        match = _TIME.fullmatch(value.strip()) if len(value) <= 64 else None
        if match is None or not value.strip():
            raise ArgumentError(
                f"{where}: '{name}' must be seconds or a time such as '2h', '90min' or '1h30min' "
                f"(got {_checks.given(value)})"
            )
        value = sum(_CLOCK[unit] * float(text) for unit, text in match.groupdict("0").items())
    return _checks.number(where, name, value, above=0)


@dataclass(frozen=True)
class Horizon:
    """How long the run is, and what a step holds.

    Args:
        total_steps: Steps of the whole run, as a number or as a duration that the other
            arguments turn into steps (`"3ep"`, `"2Btok"`; rounded up). None: not known, which
            suffices for plans without a `%` and without a phase that takes the rest.
        steps_per_epoch: Optimizer updates in one pass over the data.
        samples_per_step: Samples of one update, over all processes and accumulated batches.
        tokens_per_step: Tokens of one update, likewise.
        wall_time: Instead of a number of steps, the time that the run may train: seconds, or text
            such as `"2h"` or `"1h30min"`. A :class:`~cadence.scheduler.Scheduler` can follow it.

    Raises:
        ArgumentError: A value is not positive, or the length needs a missing argument.

    >>> Horizon("3ep", steps_per_epoch=250).total_steps
    750
    >>> Horizon(10_000).steps("5%")
    500
    """

    total_steps: int | None = None
    steps_per_epoch: int | None = field(default=None, kw_only=True)
    samples_per_step: float | None = field(default=None, kw_only=True)
    tokens_per_step: float | None = field(default=None, kw_only=True)
    wall_time: float | None = field(default=None, kw_only=True)

    def __init__(
        self,
        total_steps: int | str | Duration | None = None,
        *,
        steps_per_epoch: int | None = None,
        samples_per_step: float | None = None,
        tokens_per_step: float | None = None,
        wall_time: float | str | None = None,
    ) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("total_steps", None)
        put("steps_per_epoch", None)
        if steps_per_epoch is not None:
            put(
                "steps_per_epoch",
                _checks.whole("Horizon", "steps_per_epoch", steps_per_epoch, low=1),
            )
        for name, value in (
            ("samples_per_step", samples_per_step),
            ("tokens_per_step", tokens_per_step),
        ):
            put(name, None if value is None else _checks.number("Horizon", name, value, above=0))
        put("wall_time", None if wall_time is None else seconds("Horizon", "wall_time", wall_time))
        if total_steps is not None and wall_time is not None:
            raise ArgumentError(
                "Horizon: either 'total_steps' or 'wall_time' must be given, not both (got "
                f"{total_steps!r} and {wall_time!r})"
            )
        if total_steps is not None:
            length = as_length("Horizon", "total_steps", total_steps, low=1)
            if isinstance(length, Duration):
                if length.unit == "%":
                    raise ArgumentError(
                        f"Horizon: 'total_steps' must not be a percentage (got {length!r})"
                    )
                try:
                    length = -floor(-self.exact(length))
                except UnresolvedError:
                    lacking, example = _NEEDS[length.unit]
                    raise ArgumentError(
                        f"Horizon: 'total_steps' needs {lacking} (got {length!r}); "
                        f"write Horizon({length!r}, {example})"
                    ) from None
            put("total_steps", length)

    @classmethod
    def of(cls, value: int | str | Duration | Horizon | None) -> Horizon:
        """A horizon from a number of steps; a horizon is returned as it is."""
        return value if isinstance(value, Horizon) else cls(value)

    @classmethod
    def from_loader(
        cls,
        loader: Any,
        *,
        epochs: int = 1,
        accumulate: int = 1,
        world_size: int = 1,
        samples_per_batch: int | None = None,
        tokens_per_sample: int | None = None,
        quiet: bool = False,
    ) -> Horizon:
        """Derive the horizon from a data loader and print the arithmetic.

        Updates per epoch are `ceil(batches / world_size / accumulate)`: the last, incomplete
        group of accumulated batches is an update too. Say `world_size=1` when the loader is
        already sharded (a `DistributedSampler`), since its length is then one process's.

        Args:
            loader: Anything with `len()`, or the number of its batches.
            epochs: Passes over the data.
            accumulate: Batches per optimizer update.
            world_size: Processes that share the batches of this loader.
            samples_per_batch: Samples in a batch; read from `loader.batch_size` when absent.
            tokens_per_sample: Tokens in a sample (the context length).
            quiet: Return without printing.

        >>> Horizon.from_loader(1000, epochs=3, accumulate=4).total_steps
        1000 batches / 4 accumulated = 250 updates an epoch; x 3 epochs = 750 updates
        750
        """
        where = "Horizon.from_loader"
        if not isinstance(loader, numbers.Number):
            try:
                batches = len(loader)
            except TypeError:
                raise ArgumentTypeError(
                    f"{where}: 'loader' must have a length (got {type(loader).__name__}); "
                    "write Horizon(total_steps) with the number of updates instead"
                ) from None
        else:
            batches = loader
        batches = _checks.whole(where, "loader", batches, low=1)
        epochs = _checks.whole(where, "epochs", epochs, low=1)
        accumulate = _checks.whole(where, "accumulate", accumulate, low=1)
        world_size = _checks.whole(where, "world_size", world_size, low=1)
        if samples_per_batch is None:
            samples_per_batch = getattr(loader, "batch_size", None)
        if samples_per_batch is not None:
            samples_per_batch = _checks.whole(where, "samples_per_batch", samples_per_batch, low=1)
        if tokens_per_sample is not None:
            tokens_per_sample = _checks.whole(where, "tokens_per_sample", tokens_per_sample, low=1)
            if samples_per_batch is None:
                raise ArgumentError(
                    f"{where}: 'tokens_per_sample' must come with 'samples_per_batch' for a loader "
                    f"without a batch size (got {tokens_per_sample!r} alone)"
                )
        shard = -(-batches // world_size)
        per_epoch = -(-shard // accumulate)
        samples = None if samples_per_batch is None else samples_per_batch * accumulate * world_size
        horizon = cls(
            per_epoch * epochs,
            steps_per_epoch=per_epoch,
            samples_per_step=samples,
            tokens_per_step=(
                None
                if samples is None or tokens_per_sample is None
                else samples * tokens_per_sample
            ),
        )
        if not quiet:
            split = f" / {world_size} processes" if world_size > 1 else ""
            grouped = f" / {accumulate} accumulated" if accumulate > 1 else ""
            print(  # noqa: T201 - the printed arithmetic is what this constructor is for
                f"{batches} batches{split}{grouped} = {per_epoch} updates an epoch; "
                f"x {epochs} epochs = {horizon.total_steps} updates"
            )
        return horizon

    def within(self, steps: int) -> Horizon:
        """The same horizon for a part of the run, whose percentages are of `steps`."""
        part = copy(self)
        object.__setattr__(part, "total_steps", steps)
        return part

    def counting(self, total_steps: int) -> Horizon:
        """The same updates, in a run of this many."""
        counted = self.within(total_steps)
        object.__setattr__(counted, "wall_time", None)
        return counted

    def in_epochs(self) -> Horizon:
        """The same run counted in epochs: a tick of the clock is an epoch.

        >>> Horizon(750, steps_per_epoch=250, samples_per_step=32).in_epochs()
        Horizon(3, steps_per_epoch=1, samples_per_step=8000.0)
        """
        each = self.steps_per_epoch
        if each is None:
            if self.total_steps is None:
                return Horizon(steps_per_epoch=1)
            raise UnresolvedError(f"{self!r} cannot be counted in epochs: it needs steps_per_epoch")
        return Horizon(
            None if self.total_steps is None else -(-self.total_steps // each),
            steps_per_epoch=1,
            samples_per_step=self.samples_per_step and self.samples_per_step * each,
            tokens_per_step=self.tokens_per_step and self.tokens_per_step * each,
        )

    def exact(self, length: Length) -> Fraction:
        """The length in steps, not yet rounded."""
        if isinstance(length, int):
            return Fraction(length)
        assert isinstance(length, Duration)
        scale = {
            "%": None if self.total_steps is None else Fraction(self.total_steps, 100),
            "ep": self.steps_per_epoch,
            "samples": self.samples_per_step and 1 / Fraction(self.samples_per_step),
            "tok": self.tokens_per_step and 1 / Fraction(self.tokens_per_step),
        }[length.unit]
        if scale is None:
            lacking, example = _NEEDS[length.unit]
            horizon = f"Horizon(10_000, {example})" if example else "10_000"
            raise UnresolvedError(f"{length!r} needs {lacking}; write plan.resolve({horizon})")
        return length.amount * scale

    def steps(self, length: int | str | Duration) -> int:
        """The length in whole steps, rounded half up."""
        return floor(self.exact(as_length("Horizon.steps", "length", length)) + Fraction(1, 2))

    def __repr__(self) -> str:
        parts = [] if self.total_steps is None else [str(self.total_steps)]
        for name in ("steps_per_epoch", "samples_per_step", "tokens_per_step", "wall_time"):
            value = getattr(self, name)
            if value is not None:
                parts.append(f"{name}={value!r}")
        return f"Horizon({', '.join(parts)})"


def tile(shares: Sequence[Fraction], total: int) -> list[int]:
    """Whole numbers near `shares` that add up to `total`, by the largest remainder.

    Ties go to the earlier share; a share that is whole already keeps its value.

    >>> tile([Fraction(10, 3)] * 3, 10)
    [4, 3, 3]
    """
    lengths = [floor(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: (lengths[i] - shares[i], i))
    for i in by_remainder[: total - sum(lengths)]:
        lengths[i] += 1
    return lengths
