"""Levels, and the checked fields that schedules are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cadence import _checks
from cadence._program import Affine
from cadence.horizon import as_length

__all__ = ["Absolute", "Level", "absolute"]


@dataclass(frozen=True)
class Absolute:
    """A level that does not depend on the base; made by :func:`absolute`."""

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _checks.number("absolute", "value", self.value))

    def __repr__(self) -> str:
        return f"absolute({show(self.value)})"


Level = float | Absolute
"""What a level may be: a multiple of the base, or an absolute value."""


def absolute(value: float) -> Absolute:
    """An absolute level, usable wherever a level is.

    >>> from cadence import Cosine
    >>> plan = Cosine(100, end=absolute(1e-6))
    >>> plan(100, base=0.1), plan(100, base=0.5)
    (1e-06, 1e-06)
    """
    return Absolute(value)


def affine(level: Level) -> Affine:
    """The level as a pair (p, q): `p * base + q`."""
    return Affine(0.0, level.value) if isinstance(level, Absolute) else Affine(level, 0.0)


def show(value: Any) -> str:
    """The Python that one would type for a field's value; whole floats lose their `.0`."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


Check = Callable[[str, str, Any], Any]


def param(check: Check, default: Any = dataclasses.MISSING, *, kw_only: bool = True) -> Any:
    """A dataclass field whose value is checked, and made canonical, at construction."""
    return field(default=default, kw_only=kw_only, metadata={"check": check})


def canonical(instance: Any, where: str) -> None:
    """Check the fields of a dataclass, and store each in the form that its check returns."""
    for item in dataclasses.fields(instance):
        check = item.metadata.get("check")
        if check is None and item.type in ("float", float):
            check = _checks.number
        if check is not None:
            value = check(where, item.name, getattr(instance, item.name))
            object.__setattr__(instance, item.name, value)


def one_of(*options: str) -> Check:
    """One of some words."""
    return lambda where, name, value: _checks.choice(where, name, value, options)


def optional(check: Check) -> Check:
    """The same check, where None is allowed too."""
    return lambda where, name, value: None if value is None else check(where, name, value)


def real(**bounds: float) -> Check:
    """A finite number within bounds, as in :func:`cadence._checks.number`."""
    return lambda where, name, value: _checks.number(where, name, value, **bounds)


def whole(low: int = 0) -> Check:
    """A whole number >= `low`."""
    return lambda where, name, value: _checks.whole(where, name, value, low=low)


def length(low: int = 0) -> Check:
    """Steps (at least `low`) or a duration."""
    return lambda where, name, value: as_length(where, name, value, low=low)


def level(where: str, name: str, value: Any) -> Level:
    """A multiple of the base, or `absolute(...)`."""
    return value if isinstance(value, Absolute) else _checks.number(where, name, value)
