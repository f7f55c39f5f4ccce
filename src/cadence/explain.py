"""Plans in plain English: one sentence, and a table of key steps.

Everything here is data or text, so that it is as quick as the plan itself: no drawing library.
A sentence is never wrong: whatever has no words of its own is told by its text form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from cadence import shapes
from cadence._program import Affine
from cadence._wording import listed
from cadence.algebra import Clip, Part, Product, Repeat, Sequence, Stairs, Sum
from cadence.horizon import Horizon
from cadence.levels import Level, affine
from cadence.outline import cycles, spans, viewed
from cadence.schedule import Schedule
from cadence.shapes import Decay, Ramp

__all__ = ["Explanation", "Row", "explain", "multiple", "sentence"]


class Row(NamedTuple):
    """A key step: what happens there, the multiple of the base, and the rate."""

    step: int
    what: str
    value: float
    rate: float


@dataclass(frozen=True)
class Explanation:
    """A plan explained.

    Args:
        plan: The plan, resolved.
        total_steps: Length of the run, or of the part that the table covers.
        base: The rate of which levels are multiples.
        sentence: The plan in plain English.
        rows: The key steps in order.
    """

    plan: Schedule
    total_steps: int
    base: float
    sentence: str
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "plan": repr(self.plan),
            "total_steps": self.total_steps,
            "base": self.base,
            "sentence": self.sentence,
            "steps": [row._asdict() for row in self.rows],
        }


def explain(
    plan: Schedule, horizon: int | Horizon | None = None, base: float | None = None
) -> Explanation:
    """Explain a plan: one sentence, and a table of key steps.

    The key steps are the first and the last of the run and of each phase, and those at 25, 50
    and 75 %. A plan without an end is tabulated as far as :func:`viewed` goes.

    Args:
        plan: The plan.
        horizon: Steps of the run, or a :class:`~cadence.horizon.Horizon`.
        base: The group's own rate; where it is given, the sentence names rates too.

    Raises:
        UnresolvedError: The horizon lacks what a duration needs.

    >>> from cadence import wsd
    >>> told = explain(wsd(500, 2000), 10_000)
    >>> print(told.sentence)
    Warm up linearly over 500 steps to the full rate, hold it for 7,500 steps, then cool down \
as 1 - sqrt over 2,000 steps to 0.
    >>> told.rows[1]
    Row(step=499, what='warm-up ends', value=0.998004, rate=0.998004)
    """
    horizon = Horizon.of(horizon)
    plan = plan.resolve(horizon)
    total = horizon.total_steps or viewed(plan)
    rate = 1.0 if base is None else base
    told = sentence(plan, base)
    remark = _remark(plan, horizon.total_steps, total)
    return Explanation(
        plan, total, rate, f"{told} {remark}".rstrip(), tuple(_rows(plan, total, rate))
    )


def _remark(plan: Schedule, total: int | None, shown: int) -> str:
    """What the run's length adds to the sentence."""
    if plan.compiled().end == math.inf:
        return "" if total else f"It has no end; the table covers its first {counted(shown)}."
    if total is None or plan.steps is None or total == plan.steps:
        return ""
    if total < plan.steps:
        return f"The run ends after {counted(total)}, before the plan does."
    return f"From step {plan.steps:,} on, the last level is held."


def _rows(plan: Schedule, total: int, base: float) -> Iterator[Row]:
    found: dict[int, list[str]] = {0: ["first step"]}
    for span in spans(plan, total):
        found.setdefault(span.begin, []).append(f"{span.name} begins")
        found.setdefault(span.end - 1, []).append(f"{span.name} ends")
    for percent in (25, 50, 75):
        found.setdefault(total * percent // 100, []).append(f"{percent}%")
    found.setdefault(total - 1, []).append("last step")
    if total <= plan.compiled().end < math.inf and plan(total, base) != plan(total - 1, base):
        found[total] = ["after the end"]
    for step in sorted(found):
        rate, value = plan(step, base), float(multiple(plan, step, base))
        yield Row(step, ", ".join(found[step]), float(f"{value:.6g}"), float(f"{rate:.6g}"))


def multiple(plan: Schedule, step: Any, base: float) -> Any:
    """The value as a multiple of the base; exactly so where nothing in the plan is absolute.

    >>> from cadence import Constant, absolute
    >>> multiple(Constant(0.3), 0, 0.7), float(multiple(Constant(absolute(0.5)), 0, 0.25))
    (0.3, 2.0)
    """
    rate, value = plan(step, base), plan(step)
    return value if np.allclose(value * base, rate, rtol=1e-12, atol=0.0) else rate / base


class _Part(NamedTuple):
    """A phase with what its words depend on."""

    plan: Any
    begin: int
    steps: int | None
    start: Affine
    end: Affine | None
    sure: tuple[bool, bool]
    """Whether start and end are known; what a clip leaves may depend on a base that is not."""


_ONE = Affine(1.0, 0.0)


@dataclass(frozen=True)
class _Words:
    """How levels are told.

    Args:
        base: The rate, to be named in brackets and to tell up from down; None: not known.
        scale: What all levels are multiplied by.
        role: What the levels are before something else is multiplied or added: a `"factor"`
            or a `"term"`; None where they are the rate itself.
        origin: The step of the run at which the clock began, or None inside a cycle.
        clock: Whose steps they are, where they are not the run's.
        depth: How deep this plan is in others.
    """

    base: float | None = None
    scale: Affine = _ONE
    role: str | None = None
    origin: int | None = 0
    clock: str = ""
    depth: int = 0

    def level(self, level: Affine | Level) -> str:
        """A level in words."""
        p, q = self._scaled(level if isinstance(level, Affine) else affine(level))
        if p == 0.0:
            return f"an absolute {number(q)}" if q and self.role == "factor" else number(q)
        if self.role == "factor":
            told = number(p)
        elif self.role is None and math.isclose(p, 1.0, rel_tol=1e-9):
            told = "the full rate"
        elif 1e-3 <= p <= 1.0:
            told = f"{number(100 * p)}% of the full rate"
        else:
            told = f"{number(p)} times the full rate"
        if q:
            told += f" {'plus' if q > 0 else 'minus'} {number(abs(q))}"
        if self.base is not None and self.role is None:
            told += f" ({number(p * self.base + q)})"
        return told

    def _scaled(self, level: Affine) -> Affine:
        p, q = level
        return Affine(p * self.scale.p, p * self.scale.q + q * self.scale.p)

    def direction(self, start: Affine, end: Affine) -> int | None:
        """1 for up, -1 for down, 0 for level; None where that depends on a base not known."""
        a, b = self._scaled(start), self._scaled(end)
        moves = {math.copysign(1, d) for d in (b.p - a.p, b.q - a.q) if d}
        if len(moves) <= 1:
            return int(moves.pop()) if moves else 0
        if self.base is None:
            return None
        move = (b.p - a.p) * self.base + b.q - a.q
        return int(math.copysign(1, move)) if move else 0

    def at(self, *steps: int) -> str:
        """Steps of this clock in words."""
        shown = [f"{(self.origin or 0) + step:,}" for step in steps]
        clock = " of the cycle" if self.origin is None else self.clock
        return f"step{'' if len(shown) == 1 else 's'} {listed(shown)}{clock}"

    def later(self, begin: int) -> _Words:
        return self if self.origin is None else replace(self, origin=self.origin + begin)

    def deeper(self, role: str | None = None) -> _Words:
        return replace(self, role=role or self.role, depth=self.depth + 1)


def number(value: float) -> str:
    """A number as one would write it, in at most six digits."""
    return f"{value:.6g}"


def counted(steps: int) -> str:
    return f"{steps:,} step{'' if steps == 1 else 's'}"


def sentence(plan: Schedule, base: float | None = None) -> str:
    """A resolved plan as one plain-English sentence.

    Args:
        plan: The plan; every length in steps.
        base: The group's own rate; where it is given, the sentence names rates too.

    >>> from cadence import Cosine, StepDecay
    >>> sentence(Cosine(100, end=0.1), base=0.001)
    'Decay along a half cosine over 100 steps from the full rate (0.001) to 10% of the full \
rate (0.0001).'
    >>> sentence(StepDecay(30))
    'Start at the full rate and multiply it by 0.1 every 30 steps, without an end.'
    """
    told = _told(plan, _Words(base), top=True)
    return re.sub("[a-z]", lambda letter: letter[0].upper(), told, count=1) + "."


def _told(plan: Schedule, words: _Words, *, top: bool = False) -> str:
    """A whole plan as clauses without a full stop."""
    if words.depth > 3:
        return _text(plan)
    if isinstance(plan, (Repeat, Part, Product, Sum, Clip, Stairs)):
        return _composite(plan, words, top=top)
    *clauses, last = _clauses(plan, words)
    return f"{', '.join(clauses)}, then {last}" if clauses else last


def _text(plan: Schedule) -> str:
    """The fallback: the plan's own text."""
    text = repr(plan)
    return f"follow {text if len(text) <= 300 else text[:297] + '...'}"


def _composite(
    plan: Repeat | Part | Product | Sum | Clip | Stairs, words: _Words, *, top: bool = False
) -> str:
    if isinstance(plan, Repeat):
        return _repeated(plan, words, top=top)
    if isinstance(plan, Part):
        return _played(plan, words)
    if isinstance(plan, Clip):
        bounds = [
            f"never {side} {words.level(bound)}"
            for side, bound in (("below", plan.low), ("above", plan.high))
            if bound is not None
        ]
        return f"{_one(plan.plan, words.deeper(), top=top)}; but {' and '.join(bounds)}"
    if isinstance(plan, Stairs):
        every: Any = plan.every
        told = _one(plan.plan, words.deeper(), top=top)
        if plan.each is not None:
            return f"{told}; with {counted(plan.each)} of that in every {counted(every)}"
        return told if every == 1 else f"{told}; in stairs of {counted(every)}"
    kind, role = (Product, "factor") if isinstance(plan, Product) else (Sum, words.role or "term")
    inner = words.deeper(role)
    sides = _sides(plan, kind)
    first, level = sides[0], sides[-1]
    if len(sides) == 2 and isinstance(first, Schedule) and not isinstance(level, Schedule):
        if kind is Sum:
            return f"{_one(first, inner, top=top)}; add {inner.level(level)} to all of it"
        if _scales(first) and sum(affine(level)) > 0:
            return _told(first, replace(words, scale=words._scaled(affine(level))), top=top)
        return f"{_one(first, inner, top=top)}; multiply all of it by {inner.level(level)}"
    told = (_one(s, inner) if isinstance(s, Schedule) else inner.level(s) for s in sides)
    listed = "; ".join(f"({i}) {text}" for i, text in enumerate(told, 1))
    if kind is Sum:
        return f"add {len(sides)} terms at every step: {listed}"
    return f"multiply {len(sides)} factors at every step: {listed}"


def _one(plan: Schedule, words: _Words, *, top: bool = False) -> str:
    """A plan as a part of a longer sentence: in brackets, if it has semicolons of its own."""
    told = _told(plan, words, top=top)
    return f"[{told}]" if ";" in told else told


def _sides(plan: Product | Sum, kind: type) -> list[Schedule | Level]:
    """`a * b * c` as its three factors."""
    left: Any = plan.left
    return [*(_sides(left, kind) if isinstance(left, kind) else [left]), plan.right]


def _scales(plan: Schedule) -> bool:
    """Whether a multiple of the plan is told by the same words with multiplied levels."""
    parts = plan.parts if isinstance(plan, Sequence) else (plan,)
    return all(
        isinstance(part, (Ramp, shapes.Hold, shapes.Constant, shapes.Piecewise))
        or type(part) in _ENDLESS
        for part in parts
    )


def _repeated(plan: Repeat, words: _Words, *, top: bool = False) -> str:
    first = next(cycles(plan), 0)
    if first == 0:
        return _text(plan)
    body = plan.plan.resolve(first) if plan._fitted else plan.plan
    inner = _told(body, replace(words.deeper(), origin=None))
    times = "for ever" if plan.times is None else "once" if plan.times == 1 else ""
    head = f"repeat {times or f'{plan.times} times'}"
    alike = plan.length_mult == 1.0
    if plan._fitted:
        head += f" in {counted(sum(cycles(plan)))}"
        alike = len(set(cycles(plan))) == 1
    more = []
    if plan.length_mult != 1.0:
        more.append(f"each cycle is {number(plan.length_mult)} times as long as the one before")
    if plan.peak_mult != 1.0:
        more.append(
            "each cycle's distance from its end level is multiplied by "
            f"{number(plan.peak_mult)} from one to the next"
        )
    if plan.times != 1:
        inner = "; ".join([inner if alike else f"at first, {inner}", *more])
    return f"{head}: {inner}" if top else f"{head} ({inner})"


def _played(plan: Part, words: _Words) -> str:
    inner = f"({_told(plan.plan, replace(words.deeper(), origin=0, clock=' of that plan'))})"
    if plan._played is None:
        return f"play {inner} from its step {plan.start:,} on"
    steps: Any = plan.steps
    if plan._played == 0:
        return f"hold the value at step {plan.start:,} of {inner} for {counted(steps)}"
    told = f"play steps {plan.start:,} to {plan.start + plan._played:,} of {inner}"
    return told if steps == plan._played else f"{told} in {counted(steps)}"


def _parts(plan: Schedule, words: _Words) -> list[_Part]:
    """The phases of a timeline; anything else is its only phase."""
    found: list[_Part] = []
    sure = True
    for part, begin, program in plan._timeline(1.0 if words.base is None else words.base):
        end = program.end if part.steps is None else part.steps
        own = not program.uses_base or words.base is not None
        starts = own and (sure or getattr(part, "start", None) is not None or _anew(part))
        ends = own and (starts or isinstance(part, Ramp))
        found.append(
            _Part(
                part,
                begin,
                part.steps,  # pyright: ignore[reportArgumentType] - resolved, so not a duration
                program.at(0),
                None if end == math.inf else program.at(end),
                (starts, ends),
            )
        )
        sure = ends
    return found


def _anew(plan: Schedule) -> bool:
    """Whether a phase has a start of its own, wherever the one before ended."""
    if isinstance(plan, (Ramp, Decay, shapes.CosineWave)):
        return plan.start is not None
    return not isinstance(plan, shapes.Hold)


def _clauses(plan: Schedule, words: _Words) -> Iterator[str]:
    """One clause per phase of a timeline."""
    before: _Part | None = None
    silent: list[_Part] = []
    for part in _parts(plan, words):
        if part.steps != 0:
            yield _clause(part, before, words.later(part.begin))
            before = part
            continue
        # A phase of no steps contributes only its end.
        reached = _ONE if before is None else before.end
        if part.end == reached or not all(part.sure):
            silent.append(part)
            continue
        yield f"{'start at' if before is None else 'jump to'} {words.level(part.end or part.start)}"
        before = part
    if before is None:
        yield f"stay at {words.level(silent[-1].start)}"


def _clause(part: _Part, before: _Part | None, words: _Words) -> str:
    plan = part.plan
    if isinstance(plan, Ramp):
        return _ramp(part, before, words)
    if isinstance(plan, (shapes.Hold, shapes.Constant)):
        return _held(part, before, words)
    if type(plan) in _ENDLESS:
        return _opening(part, before, words) + _ENDLESS[type(plan)](plan, words) + _for(part.steps)
    if isinstance(plan, shapes.Piecewise):
        return _lines(part, words)
    if isinstance(plan, shapes.Function):
        told = plan.name or getattr(plan.function, "__qualname__", type(plan.function).__name__)
        return f"follow the function {told}{_for(part.steps)}"
    if isinstance(plan, (Repeat, Part)):
        return _composite(plan, words.deeper())
    if isinstance(plan, (Product, Sum, Clip, Stairs)):
        length = "" if part.steps is None else f" of {counted(part.steps)}"
        return f"run a part{length} ({_composite(plan, words.deeper())})"
    return _text(plan)


def _for(steps: int | None) -> str:
    return ", without an end" if steps is None else f" for {counted(steps)}"


def _jumps(part: _Part, before: _Part | None) -> bool:
    """Whether the phase starts elsewhere than the one before ended, or may do so."""
    if before is None:
        return False
    if before.end is None or not (part.sure[0] and before.sure[1]):
        return _anew(part.plan)
    pairs = zip(part.start, before.end, strict=True)
    return not all(math.isclose(a, b, rel_tol=1e-12) for a, b in pairs)


def _opening(part: _Part, before: _Part | None, words: _Words) -> str:
    if before is None:
        return f"start at {words.level(part.start)} and "
    return f"jump to {words.level(part.start)} and " if _jumps(part, before) else ""


def _held(part: _Part, before: _Part | None, words: _Words) -> str:
    length = " from then on" if part.steps is None else f" for {counted(part.steps)}"
    if before is None:
        if part.steps is None:
            length = " throughout"
        return f"hold {words.level(part.start)}{length}"
    if _jumps(part, before):
        return f"jump to {words.level(part.start)} and hold it{length}"
    if not part.sure[0]:
        return f"hold the last level{length}"
    pronoun = isinstance(before.plan, (Ramp, shapes.Hold, shapes.Constant))
    return f"hold {'it' if pronoun else words.level(part.start)}{length}"


def _ramp(part: _Part, before: _Part | None, words: _Words) -> str:
    plan = part.plan
    assert part.steps is not None
    assert part.end is not None
    jump = f"jump to {words.level(part.start)} and " if _jumps(part, before) else ""
    direction = words.direction(part.start, part.end) if all(part.sure) else None
    if direction == 0:
        level = "it" if before is not None else words.level(part.end)
        return f"{jump}hold {level} for {counted(part.steps)}"
    if direction is None:
        verb = "go"
    elif direction > 0:
        verb = "warm up" if isinstance(plan, shapes.Warmup) else "rise"
    else:
        held = before is not None and isinstance(before.plan, (shapes.Hold, shapes.Constant))
        verb = "cool down" if held or isinstance(plan, shapes.OneMinusSqrt) else "decay"
    told = f"{jump}{verb} {_manner(plan, direction)} over {counted(part.steps)}"
    if before is None and not (isinstance(plan, shapes.Warmup) and plan.start is None):
        told += f" from {words.level(part.start)}"
    return f"{told} to {words.level(part.end)}"


def _manner(plan: Ramp, direction: int | None) -> str:
    """How a ramp goes, as an adverb."""
    if isinstance(plan, shapes.Warmup):
        return "linearly" if plan.shape == "linear" else "along a half cosine"
    if isinstance(plan, shapes.Cosine):
        exponents = (("k", plan.k), ("power", plan.power))
        told = [f"{name} = {number(value)}" for name, value in exponents if value != 1]
        return "along a half cosine" + (f" with {' and '.join(told)}" if told else "")
    if isinstance(plan, shapes.Polynomial):
        if plan.power == plan.k == 1:
            return "linearly"
        k = f" with k = {number(plan.k)}" if plan.k != 1 else ""
        return f"along a polynomial of power {number(plan.power)}{k}"
    if isinstance(plan, shapes.Exponential):
        return f"exponentially with ratio = {number(plan.ratio)}"
    if isinstance(plan, shapes.OneMinusSqrt):
        return "as 1 - sqrt" if direction == -1 else "as a square root"
    if isinstance(plan, shapes.Rex):
        return "along REX" + (f" with alpha = {number(plan.alpha)}" if plan.alpha != 0.5 else "")
    return _MANNERS.get(type(plan)) or f"along {type(plan).__name__}"


_MANNERS: dict[type[Schedule], str] = {
    shapes.Linear: "linearly",
    shapes.Geometric: "by the same factor at every step",
    shapes.Tanh: "along a hyperbolic tangent",
    shapes.Hyperbolic: "along a hyperbola",
    shapes.Logarithmic: "along a logarithm",
}


def _milestones(plan: shapes.MultiStepDecay, words: _Words) -> str:
    milestones: Any = plan.milestones
    steps = [m for m in milestones if plan.steps is None or m <= plan.steps]
    if not steps:
        return "hold it"
    return f"multiply it by {number(plan.factor)} at {words.at(*steps)}"


_LINES: dict[type[Schedule], str] = {
    shapes.PiecewiseCosine: "in half cosines",
    shapes.PiecewiseLinear: "in straight lines",
}
"""The way between points."""

_ENDLESS: dict[type[Schedule], Callable[[Any, _Words], str]] = {
    shapes.StepDecay: lambda plan, _: (
        f"multiply it by {number(plan.factor)} every {_every(plan.every)}"
    ),
    shapes.MultiStepDecay: _milestones,
    shapes.ExponentialDecay: lambda plan, _: (
        f"multiply it {'' if plan.per == 1 else 'smoothly '}by {number(plan.factor)} "
        f"every {_every(plan.per)}"
    ),
    shapes.InverseTime: lambda plan, _: (
        f"let it shrink as one over time (to a half in {counted(plan.timescale)})"
    ),
    shapes.InverseSqrt: lambda plan, _: (
        "let it shrink as one over the square root of time "
        f"(to a half in {counted(3 * plan.timescale)})"
    ),
    shapes.CosineWave: lambda plan, words: (
        f"let it swing along a cosine to {words.level(plan.end)} and back every "
        f"{_every(plan.period)}"
    ),
    shapes.PowerLaw: lambda plan, _: (
        f"let it follow a power law of time with exponent {number(-plan.exponent)} "
        f"(timescale {counted(plan.timescale)})"
    ),
}


def _every(steps: int) -> str:
    return "step" if steps == 1 else counted(steps)


def _lines(part: _Part, words: _Words) -> str:
    points = part.plan.points
    told = [f"{words.level(level)} at {words.at(step)}" for step, level in points]
    if len(points) == 1:
        return f"hold {words.level(points[0][1])}{_for(part.steps)}"
    opening = ""
    if points[0][0] > 0:
        opening = f"hold {words.level(points[0][1])} up to {words.at(points[0][0])} and "
    if len(points) > 6:
        way = f"{len(points)} points, from {told[0]} to {told[-1]}"
    else:
        way = f"{', '.join(told[:-1])} and {told[-1]}"
    lines = _LINES.get(type(part.plan), "along a curve")
    if isinstance(part.plan, shapes.PiecewiseRamp):
        lines = _manner(part.plan.ramp, None)
    return f"{opening}go {lines} through {way}"
