"""What a reader sees of a plan: named spans, how far to look, a line of blocks.

Everything here is data or text, so that it is as quick as the plan itself: no drawing library.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from cadence import shapes
from cadence.algebra import Clip, Part, Product, Repeat, Sequence, Stairs, Sum
from cadence.errors import ArgumentError
from cadence.horizon import tile
from cadence.schedule import Schedule

__all__ = ["Span", "cycles", "name", "nominal", "spans", "sparkline", "viewed"]

CYCLES_SHOWN = 12
"""More cycles than this are told, drawn and tabulated as one phase."""


class Span(NamedTuple):
    """A stretch of steps `begin..end-1` with a name for a reader."""

    name: str
    begin: int
    end: int


def viewed(plan: Schedule) -> int:
    """How many steps of a resolved plan are worth a look, when nobody has said.

    A plan with a length: all of it. One without: until it has fallen (or grown) to a quarter
    (four times) of where its last phase began, or until four cycles or drops, or a wave, are over.

    >>> from cadence import ExponentialDecay, Linear
    >>> viewed(Linear(300)), viewed(ExponentialDecay(0.99))
    (300, 200)
    """
    if isinstance(plan, Stairs) and plan.each is not None:
        every: Any = plan.every
        return -(-viewed(plan.plan) // plan.each) * every
    end, length = plan.compiled().end, plan.steps
    if end < math.inf:
        if length is None:  # a level that is kept for ever deserves as long a look as its way there
            return 2 * math.ceil(end) or 1000
        return max(1, length)
    *_, (part, begin, _) = plan._timeline(1.0)
    repeated = next((p for p in _within(part) if isinstance(p, Repeat) and p.times is None), None)
    if repeated is not None:
        return begin + sum(itertools.islice(cycles(repeated), 4))
    waves: Any = [p.period for p in _within(part) if isinstance(p, shapes.CosineWave)]
    if waves:
        return begin + math.ceil(max(waves))
    every: Any = [p.every for p in _within(part) if isinstance(p, shapes.StepDecay)]
    least = max(1.25 * begin, begin + 4 * max(every, default=0))
    reference = abs(plan(begin))
    for power in range(1, 10):
        for digit in (1, 2, 5):
            total = digit * 10**power
            if total >= least and not reference / 4 < abs(plan(total)) < reference * 4:
                return total
    return max(1000, 10 * begin)


def _within(plan: Schedule) -> Iterator[Schedule]:
    """The plan and all that it is made of."""
    yield plan
    for side in (getattr(plan, field, None) for field in ("plan", "left", "right")):
        if isinstance(side, Schedule):
            yield from _within(side)
    for part in getattr(plan, "parts", ()):
        yield from _within(part)


def cycles(plan: Repeat) -> Iterator[int]:
    """The lengths of a resolved repetition's cycles, in steps."""
    ratio = Fraction(str(plan.length_mult))
    if plan.over is not None:
        assert isinstance(plan.over, int)
        units = [ratio**i for i in range(plan.times or 1)]
        first = plan.over / sum(units, Fraction(0))
        yield from tile([first * unit for unit in units], plan.over)
        return
    begin, exact, length = 0, Fraction(0), Fraction(plan.plan.steps)
    for _ in itertools.count() if plan.times is None else range(plan.times):
        # Cycles that grow begin within a step; each step belongs to the cycle it lies in.
        exact += length
        length *= ratio
        yield math.ceil(exact) - begin
        begin = math.ceil(exact)


def spans(plan: Schedule, total: int | None = None) -> list[Span]:
    """The parts of a resolved plan that have a name, in order, cut at `total`.

    Phases and cycles are parts, also those of a plan that a level multiplies, lifts or bounds,
    and of one in stairs.

    >>> from cadence import Cosine, Warmup
    >>> spans(Warmup(5) >> Cosine(10), 20)
    [Span(name='warm-up', begin=0, end=5), Span(name='cosine', begin=5, end=15), \
Span(name='held', begin=15, end=20)]
    """
    total = viewed(plan) if total is None else total
    found, end = [], 0
    for span in _spans(plan, 0, total):
        if span.begin >= total:
            break
        if span.end > span.begin:
            end = min(span.end, total)
            found.append(span._replace(end=end))
    if end < total:
        found.append(Span("held", end, total))
    return found


def _spans(plan: Schedule, begin: int, total: int) -> Iterator[Span]:
    inner = plan
    while (
        isinstance(inner, Clip)
        or (isinstance(inner, Stairs) and inner.each is None)
        or (isinstance(inner, (Product, Sum)) and not isinstance(inner.right, Schedule))
    ):
        inner = inner.plan if isinstance(inner, (Clip, Stairs)) else inner.left
    if isinstance(inner, Sequence):
        for part in inner.parts:
            yield from _spans(part, begin, total)
            if part.steps is None:
                return
            begin += part.steps
        return
    if isinstance(inner, Repeat):
        lengths = list(itertools.islice(cycles(inner), CYCLES_SHOWN + 1))
        if sum(lengths[:-1]) < total - begin and len(lengths) > CYCLES_SHOWN:
            end = total if plan.steps is None else begin + plan.steps
            yield Span(name(inner), begin, end)
            return
        for i, length in enumerate(lengths, 1):
            yield Span(f"cycle {i}", begin, begin + length)
            begin += length
        return
    if isinstance(inner, Part):
        yield from _played(inner, begin, total)
        return
    if isinstance(inner, Stairs):
        every: Any = inner.every
        each = inner.each or 1
        for span in spans(inner.plan, -(-(total - begin) // every) * each):
            first, end = (begin + -(-edge // each) * every for edge in (span.begin, span.end))
            yield span._replace(begin=first, end=end)
        return
    yield Span(name(inner), begin, total if plan.steps is None else begin + plan.steps)


def _played(part: Part, begin: int, total: int) -> Iterator[Span]:
    """The spans of the plan that a part plays, cut to it and at its pace."""
    steps: Any = max(0, total - begin) if part.steps is None else part.steps
    played = steps if part._played is None else part._played
    if not steps or not played:
        yield Span("held", begin, begin + steps)
        return
    for span in spans(part.plan, part.start + played):
        first, end = (
            begin + max(0, -(-(edge - part.start) * steps // played))
            for edge in (span.begin, span.end)
        )
        yield span._replace(begin=first, end=end)


_NAMES: dict[type[Schedule], str] = {
    shapes.Warmup: "warm-up",
    shapes.Hold: "hold",
    shapes.Constant: "constant",
    shapes.Linear: "linear",
    shapes.Cosine: "cosine",
    shapes.CosineWave: "cosine wave",
    shapes.Geometric: "geometric",
    shapes.Polynomial: "polynomial",
    shapes.Exponential: "exponential",
    shapes.OneMinusSqrt: "1 - sqrt",
    shapes.Logarithmic: "logarithmic",
    shapes.Rex: "REX",
    shapes.Tanh: "tanh",
    shapes.Hyperbolic: "hyperbolic",
    shapes.StepDecay: "step decay",
    shapes.MultiStepDecay: "step decay",
    shapes.ExponentialDecay: "exponential",
    shapes.InverseTime: "inverse time",
    shapes.InverseSqrt: "inverse sqrt",
    shapes.PowerLaw: "power law",
    shapes.PiecewiseCosine: "piecewise cosine",
    shapes.PiecewiseLinear: "piecewise linear",
    shapes.PiecewiseRamp: "piecewise",
    Product: "product",
    Sum: "sum",
    Repeat: "cycles",
}


def name(plan: Schedule) -> str:
    """A word or two for a phase; a shape that has none is called by its class."""
    if isinstance(plan, shapes.Function):
        return plan.name or "function"
    return _NAMES.get(type(plan), type(plan).__name__)


_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=*#"


def sparkline(
    plan: Schedule, total: int | None = None, width: int = 16, *, ascii_only: bool = False
) -> str:
    """A resolved plan as one line of blocks, from 0 (or its lowest value) to its peak.

    >>> from cadence import Linear
    >>> sparkline(Linear(100), width=8)
    '█▇▆▅▄▃▂▁'
    """
    total = viewed(plan) if total is None else total
    marks = _ASCII if ascii_only else _BLOCKS
    steps = np.unique(np.linspace(0, max(total - 1, 1), 32 * width).round())
    values = plan(steps)
    columns = np.minimum((steps * width / (steps[-1] + 1)).astype(int), width - 1)
    heights = [_middle(values[columns == i]) for i in range(width)]
    filled = [next((h for h in heights[i::-1] if h is not None), 0.0) for i in range(width)]
    low, high = min(0.0, *filled), max(filled)
    if high == low:
        return marks[0] * width
    scaled = ((h - low) / (high - low) for h in filled)
    return "".join(marks[min(int(h * len(marks)), len(marks) - 1)] for h in scaled)


def _middle(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def nominal(plan: Schedule) -> tuple[Schedule, int | None]:
    """The plan, resolved against a run of 1,000 steps where only the run's length is lacking.

    Returns:
        The resolved plan, and the length that was assumed (None where nothing had to be).

    Raises:
        UnresolvedError: Something else is lacking, such as the steps of an epoch.
    """
    if plan._lacking() is None:
        return plan.resolve(), None
    total = 1000
    while True:
        try:
            return plan.resolve(total), total
        except ArgumentError:  # its phases need more steps than that
            if total >= 10**15:
                raise
            total *= 10
