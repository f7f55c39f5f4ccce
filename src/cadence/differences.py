"""Where two plans part, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cadence import _checks
from cadence.errors import ArgumentTypeError, UnresolvedError
from cadence.horizon import Horizon
from cadence.schedule import Schedule
from cadence.text import parse

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Difference", "Row", "diff"]


class Row(NamedTuple):
    """Both values at a step that is worth a look, to six digits; `apart` is b less a."""

    step: int
    what: str
    a: float
    b: float
    apart: float


@dataclass(frozen=True)
class Difference:
    """How two plans differ over a run; made by :func:`diff`.

    Args:
        a: The first plan, resolved.
        b: The second plan, resolved.
        total_steps: Length of the run.
        base: The rate of which levels are multiples.
        first: The first step at which they differ; None where they do not.
        last: The last step of the run at which they differ.
        at: The step at which they differ most.
        largest: By how much they differ there, without a sign.
        peak: The largest finite value of both, by which the difference is judged.
        areas: The sum of each plan's values over the run.
        rows: The values at the steps that are worth a look.
    """

    a: Schedule
    b: Schedule
    total_steps: int
    base: float
    first: int | None
    last: int | None
    at: int | None
    largest: float
    peak: float
    areas: tuple[float, float]
    rows: tuple[Row, ...]

    @property
    def same(self) -> bool:
        """Whether they have the same values at every step of the run, but for rounding."""
        return self.first is None

    @property
    def sentence(self) -> str:
        """What there is to say, in words."""
        end = self.total_steps - 1
        if self.first is None:
            return f"They are the same at every step, 0 to {end:,}."
        assert self.last is not None
        share = f"{100 * self.largest / self.peak:.2g} %" if self.largest < math.inf else ""
        words = [
            f"They part at step {self.first:,}",
            "" if self.last == end else f" and are the same from step {self.last + 1:,} on",
            f". The largest difference is {self.largest:.3g}",
            f", {share} of the peak" if share else "",
            f", at step {self.at:,}. ",
        ]
        one, other = self.areas
        if math.isclose(one, other, rel_tol=1e-9):
            return "".join(words) + f"The area of both is {one:.6g}."
        area = f"The second's area is {other:.6g}, the first's {one:.6g}"
        if one and math.isfinite(other / one):
            area += f" ({100 * (other / one - 1):+.2g} %)"
        return "".join(words) + area + "."

    def as_dict(self) -> dict[str, Any]:
        """The difference as plain values, for JSON."""
        return {
            "a": repr(self.a),
            "b": repr(self.b),
            "total_steps": self.total_steps,
            "base": self.base,
            "same": self.same,
            "first": self.first,
            "last": self.last,
            "at": self.at,
            "largest": self.largest,
            "peak": self.peak,
            "areas": list(self.areas),
            "sentence": self.sentence,
            "steps": [row._asdict() for row in self.rows],
        }

    def plot(self, labels: tuple[str, str] | None = None) -> list[Axes]:
        """Draw both plans, and below them the second less the first.

        Args:
            labels: What to call the plans; their texts by default.

        Returns:
            The axes from top to bottom.
        """
        from cadence.plot import panels

        first, second = labels or (repr(self.a), repr(self.b))
        if first == second:
            first, second = f"{first} (1)", f"{second} (2)"
        groups = {
            "value" if self.base == 1.0 else "rate": {first: self.a, second: self.b},
            "difference": {"the second less the first": self.b + self.a * -1.0},
        }
        return panels(groups, self.total_steps, mark=self.at, base=self.base)


def diff(
    a: Schedule | str,
    b: Schedule | str,
    total_steps: int | Horizon | None = None,
    base: float = 1.0,
    *,
    tolerance: float = 1e-12,
) -> Difference:
    """Where two plans part over a run, and by how much.

    Args:
        a: The first plan, or its text.
        b: The second one.
        total_steps: Steps of the run, or a :class:`~cadence.horizon.Horizon`; by default the
            length of the longer plan.
        base: The group's own rate, where levels are absolute.
        tolerance: Up to which part of the peak two values are the same, being only rounded.

    Raises:
        UnresolvedError: A plan needs a horizon that was not given, or neither has a length.

    >>> from cadence import Warmup, Linear
    >>> apart = diff(Warmup(100) >> Linear(900), Warmup(100, start=0) >> Linear(900))
    >>> apart.first, apart.last, apart.at, apart.largest
    (0, 99, 0, 0.01)
    >>> print(apart.sentence)
    They part at step 0 and are the same from step 100 on. The largest difference is 0.01, 1 % of \
the peak, at step 0. The second's area is 500, the first's 500.505 (-0.1 %).
    """
    base = _checks.number("diff", "base", base)
    tolerance = _checks.number("diff", "tolerance", tolerance, low=0)
    horizon = Horizon.of(total_steps)
    one, other = (_plan(name, plan).resolve(horizon) for name, plan in (("a", a), ("b", b)))
    total = horizon.total_steps
    if total is None:
        lengths = [plan.steps for plan in (one, other) if plan.steps]
        if not lengths:
            raise UnresolvedError(
                f"diff: neither {one!r} nor {other!r} has a length of its own; write "
                "total_steps=10_000"
            )
        total = max(lengths)
    found = (np.abs(v) for pair in _pairs(one, other, total, base) for v in pair[1:])
    peak = max(float(values[np.isfinite(values)].max(initial=0.0)) for values in found)
    first = last = at = None
    largest, area_one, area_other = 0.0, 0.0, 0.0
    for begin, ours, theirs in _pairs(one, other, total, base):
        with np.errstate(invalid="ignore"):
            apart = np.where(ours == theirs, 0.0, np.abs(ours - theirs))
        differ = np.flatnonzero(apart > tolerance * peak)
        if differ.size:
            first = begin + int(differ[0]) if first is None else first
            last = begin + int(differ[-1])
        if differ.size and apart.max() > largest:
            largest, at = float(apart.max()), begin + int(apart.argmax())
        area_one, area_other = area_one + float(ours.sum()), area_other + float(theirs.sum())
    rows = tuple(_rows(one, other, total, base, {"part": first, "furthest": at, "last": last}))
    areas = area_one, area_other
    return Difference(one, other, total, base, first, last, at, largest, peak, areas, rows)


def _plan(name: str, plan: Any) -> Schedule:
    plan = parse(plan) if isinstance(plan, str) else plan
    if not isinstance(plan, Schedule):
        raise ArgumentTypeError(
            f"diff: '{name}' must be a schedule or its text (got {_checks.given(plan)})"
        )
    return plan


def _pairs(
    a: Schedule, b: Schedule, total: int, base: float
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The values of both over the run, in parts that fit in memory."""
    both = zip(a._chunks(0, total, base), b._chunks(0, total, base), strict=True)
    return ((begin, ours, theirs) for (begin, ours), (_, theirs) in both)


def _rows(
    a: Schedule, b: Schedule, total: int, base: float, steps: dict[str, int | None]
) -> Iterator[Row]:
    found: dict[int, list[str]] = {0: ["first step"]}
    words = {"part": "they part", "furthest": "furthest apart", "last": "last difference"}
    for name, step in steps.items():
        if step is not None:
            found.setdefault(step, []).append(words[name])
    for percent in (25, 50, 75):
        found.setdefault(total * percent // 100, []).append(f"{percent}%")
    found.setdefault(total - 1, []).append("last step")
    for step in sorted(found):
        values = a(step, base), b(step, base)
        apart = 0.0 if values[0] == values[1] else values[1] - values[0]
        yield Row(step, ", ".join(found[step]), *(float(f"{v:.6g}") for v in (*values, apart)))
