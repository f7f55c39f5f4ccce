"""Checks of arguments at construction; a message says where, what is demanded, what was given."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from cadence.errors import ArgumentError, ArgumentTypeError

__all__ = ["MOST", "choice", "given", "number", "suggest", "whole"]

MOST = 1 << 53
"""The largest whole number accepted; beyond it float64 cannot tell one step from the next."""

T = TypeVar("T")


def number(
    where: str,
    name: str,
    value: Any,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
) -> float:
    """`value` as a finite float, within `low <= value <= high` and `above < value < below`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentTypeError(f"{where}: '{name}' must be a number (got {given(value)})")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise ArgumentError(f"{where}: '{name}' must be finite (got {given(value)})")
    if low is not None and result < low:
        raise ArgumentError(f"{where}: '{name}' must be >= {low:g} (got {value!r})")
    if above is not None and result <= above:
        raise ArgumentError(f"{where}: '{name}' must be > {above:g} (got {value!r})")
    if high is not None and result > high:
        raise ArgumentError(f"{where}: '{name}' must be <= {high:g} (got {value!r})")
    if below is not None and result >= below:
        raise ArgumentError(f"{where}: '{name}' must be < {below:g} (got {value!r})")
    return result


def whole(where: str, name: str, value: Any, *, low: int = 0) -> int:
    """`value` as an int >= `low`; a bool or a float is refused, even a float without a fraction."""
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        is_whole = math.isfinite(value) and float(value).is_integer()
        hint = f"; write {int(float(value))}" if is_whole else ""
        raise ArgumentTypeError(f"{where}: '{name}' must be a whole number (got {value!r}){hint}")
    try:
        if isinstance(value, bool):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        raise ArgumentTypeError(
            f"{where}: '{name}' must be a whole number (got {given(value)})"
        ) from None
    if result < low:
        raise ArgumentError(f"{where}: '{name}' must be >= {low} (got {given(value)})")
    if result > MOST:
        raise ArgumentError(f"{where}: '{name}' must be <= 2**53 (got {given(value)})")
    return result


def given(value: object) -> str:
    """The value as a message shows it: on one line, however long its repr is."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to print an int of more than 4,300 digits
        return "a huge number"
    return text if len(text) <= 100 else f"{text[:60]}...{text[-20:]}"


def choice(where: str, name: str, value: T, allowed: Iterable[T]) -> T:
    """`value` if it is one of `allowed`."""
    options = list(allowed)
    if not any(value is option or value == option for option in options):
        listed = ", ".join(repr(option) for option in options)
        hint = suggest(value, [str(o) for o in options])
        raise ArgumentError(f"{where}: '{name}' must be one of {listed} (got {value!r}){hint}")
    return value


def suggest(word: object, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` where a known word is close, else an empty string."""
    folded = {name.casefold(): name for name in known}
    word = word.casefold() if isinstance(word, str) else ""
    close = get_close_matches(word, folded, n=1, cutoff=0.6)
    return f"; did you mean '{folded[close[0]]}'?" if close else ""
