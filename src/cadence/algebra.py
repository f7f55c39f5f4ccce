"""How plans compose: in sequence, multiplied, added, clipped and repeated.

These classes are made by the operators and methods of :class:`~cadence.schedule.Schedule`.
Continuity passes only through `>>`: a timeline inside any other starts anew at 1.0.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, ClassVar, Self

from cadence._array import Term, clamp, index_of, power, take
from cadence._program import Affine, Piece, Program, added, multiplied
from cadence.errors import ArgumentError, ArgumentTypeError, UnresolvedError
from cadence.horizon import Duration, Horizon, Length, tile
from cadence.levels import (
    Absolute,
    Level,
    affine,
    length,
    level,
    optional,
    param,
    real,
    show,
    whole,
)
from cadence.schedule import REST, Schedule, durations, half_up, why_unresolved

__all__ = ["Clip", "Product", "Repeat", "Sequence", "Sum"]


def _schedule(where: str, name: str, value: Any) -> Schedule:
    if not isinstance(value, Schedule):
        raise ArgumentTypeError(f"{where}: '{name}' must be a schedule (got {value!r})")
    return value


def _schedule_or_level(where: str, name: str, value: Any) -> Schedule | Level:
    return value if isinstance(value, Schedule) else level(where, name, value)


def _parts(where: str, name: str, value: Any) -> tuple[Schedule, ...]:
    """The phases, flattened: `a >> (b >> c)` is the same timeline as `(a >> b) >> c`."""
    flat: list[Schedule] = []
    for part in value:
        part = _schedule(where, name, part)
        flat.extend(part.parts if isinstance(part, Sequence) else (part,))
    if len(flat) < 2:
        raise ArgumentError(f"{where}: '{name}' must be at least two schedules (got {value!r})")
    return tuple(flat)


class _Composite(Schedule):
    """A plan made of others; its length follows from theirs."""

    @property
    def steps(self) -> int | None:
        try:
            share = self._share(Horizon())
        except UnresolvedError:
            return None
        return None if share is None or share == math.inf else math.ceil(share)


class Sequence(_Composite):
    """Phases one after the other: `a >> b >> c`.

    Each phase runs on its own clock from 0 and starts, unless it says otherwise, at the level
    where the one before ended. At most one phase is open; it takes the rest of the run. An
    endless phase may only be the last.
    """

    precedence: ClassVar[int] = 0
    parts: tuple[Schedule, ...] = param(_parts, kw_only=False)

    def _check(self) -> None:
        shares = [_share_of_whole(part) for part in self.parts]
        opened = [part for part, share in zip(self.parts, shares, strict=True) if share is None]
        if len(opened) > 1:
            raise ArgumentError(
                "Sequence: at most one phase may be without a length (got "
                f"{' and '.join(map(repr, opened))}); give all but one of them steps"
            )
        for part, share in zip(self.parts[:-1], shares, strict=False):
            if share == math.inf:
                raise ArgumentError(
                    f"Sequence: an endless phase may only be the last (got {part!r} before "
                    f"{self.parts[-1]!r}); give it steps"
                )
        percent = sum(share for share in shares if isinstance(share, Fraction))
        if percent > 100:
            raise ArgumentError(
                f"Sequence: the phases must not exceed 100 % of the run (got {float(percent):g} %)"
            )

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        shares = [part._share(horizon) for part in self.parts]
        return None if None in shares else sum(shares, Fraction(0))  # pyright: ignore

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        shares: list[Any] = [part._share(horizon) for part in self.parts]
        fixed = sum(share for share in shares if share is not None and share != math.inf)
        if None in shares:
            if fixed > steps:
                raise ArgumentError(
                    f"{self!r}: the phases must fit into the run (they need "
                    f"{math.ceil(fixed)} steps of {steps}); shorten them or lengthen the run"
                )
            shares = [steps - fixed if share is None else share for share in shares]
        elif math.inf in shares:
            shares = [Fraction(0) if share == math.inf else share for share in shares]
            steps = half_up(fixed)
        lengths = tile(shares, steps)
        return Sequence(
            tuple(part._fit(horizon, n) for part, n in zip(self.parts, lengths, strict=True))
        )

    def _lacking(self, *, last: bool = True) -> str | None:
        final = len(self.parts) - 1
        whys = (part._lacking(last=last and i == final) for i, part in enumerate(self.parts))
        return next((why for why in whys if why is not None), None)

    def _timeline(
        self, base: Any, entry: Affine | None = None
    ) -> Iterator[tuple[Schedule, int, Program]]:
        begin = 0
        for part in self.parts:
            program = part._program(entry, base)
            yield part, begin, program
            if part.steps is not None:
                entry = program.at(part.steps)
                begin += part.steps

    def _program(self, entry: Affine | None, base: Any) -> Program:
        pieces: list[Piece] = []
        uses_base = False
        for part, begin, program in self._timeline(base, entry):
            while pieces and pieces[-1].begin >= begin:
                pieces.pop()
            pieces += program.shifted(begin)
            uses_base |= program.uses_base
        return Program(pieces, uses_base=uses_base)

    def __repr__(self) -> str:
        return " >> ".join(part._bracketed(1) for part in self.parts)


def _share_of_whole(part: Schedule) -> Fraction | float | int | None:
    """A phase's part of the run in percent; 0 where that is not known yet."""
    try:
        share = part._share(Horizon())
    except UnresolvedError:
        try:
            share = part._share(Horizon(100))
        except UnresolvedError:
            return 0
        # Linear in the run's length only if the phase is nothing but percentages.
        return share if part._share(Horizon(200)) == 2 * share else 0  # pyright: ignore
    return share if share is None or share == math.inf else 0


class _Pair(_Composite):
    """Two plans, or a plan and a level, on one clock; as long as the longer."""

    left: Schedule = param(_schedule, kw_only=False)
    right: Schedule | Level = param(_schedule_or_level, kw_only=False)

    def _children(self) -> list[Schedule]:
        return [side for side in (self.left, self.right) if isinstance(side, Schedule)]

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        shares = [child._share(horizon) for child in self._children()]
        return None if None in shares else max(shares)  # pyright: ignore

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        whole = self._share(horizon)

        def fit(side: Schedule | Level) -> Schedule | Level:
            if not isinstance(side, Schedule):
                return side
            share = side._share(horizon)
            if share is None or share == whole:
                return side._fit(horizon, steps)
            return side._fit(horizon, 0 if share == math.inf else half_up(share))

        return type(self)(fit(self.left), fit(self.right))  # pyright: ignore

    def _lacking(self, *, last: bool = True) -> str | None:
        whys = (child._lacking(last=last) for child in self._children())
        return next((why for why in whys if why is not None), None)

    def _sides(self, base: Any) -> tuple[Program, Program]:
        right = self.right
        return self.left.compiled(base), (
            right.compiled(base)
            if isinstance(right, Schedule)
            else Program([Piece(0, 0, *affine(right))])
        )

    def _shown(self, sign: str) -> str:
        right = self.right
        shown = (
            right._bracketed(self.precedence + 1) if isinstance(right, Schedule) else show(right)
        )
        return f"{self.left._bracketed(self.precedence)} {sign} {shown}"


class Product(_Pair):
    """Two plans multiplied at every step, `a * b`, or a plan times a level.

    At most one side may hold absolute levels, since a product of two has no meaning as a level.
    """

    precedence: ClassVar[int] = 2

    def _check(self) -> None:
        if _holds_absolute(self.left) and _holds_absolute(self.right):
            raise ArgumentError(
                f"Product: at most one side may hold absolute levels (got {self.left!r} and "
                f"{self.right!r}); make the levels of one side multiples"
            )

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del entry

        def combine(a: tuple[Term, Term], b: tuple[Term, Term]) -> tuple[Term, Term]:
            q = added(multiplied(a[1], b[0]), multiplied(a[0], b[1]))
            return multiplied(a[0], b[0]), q

        left, right = self._sides(base)
        return left.merged(right, combine)

    def __repr__(self) -> str:
        return self._shown("*")


class Sum(_Pair):
    """Two plans added at every step, `a + b`, or a plan plus a level."""

    precedence: ClassVar[int] = 1

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del entry
        left, right = self._sides(base)
        return left.merged(right, lambda a, b: (added(a[0], b[0]), added(a[1], b[1])))

    def __repr__(self) -> str:
        return self._shown("+")


def _holds_absolute(value: Any) -> bool:
    if isinstance(value, Schedule):
        values = (getattr(value, f.name) for f in dataclasses.fields(value))  # pyright: ignore
        return any(map(_holds_absolute, values))
    if isinstance(value, tuple):
        return any(map(_holds_absolute, value))
    return isinstance(value, Absolute)


class _Wrapper(_Composite):
    """A plan made of one other."""

    plan: Schedule = param(_schedule, kw_only=False)


class Clip(_Wrapper):
    """A plan kept within two levels; made by :meth:`Schedule.clip`."""

    low: Level | None = param(optional(level), None, kw_only=False)
    high: Level | None = param(optional(level), None, kw_only=False)

    def _check(self) -> None:
        if self.low is None and self.high is None:
            raise ArgumentError("clip: 'low' or 'high' must be given (got neither)")
        if isinstance(self.low, float) and isinstance(self.high, float) and self.low > self.high:
            raise ArgumentError(f"clip: 'low' must be <= 'high' (got {self.low} > {self.high})")
        if (
            isinstance(self.low, Absolute)
            and isinstance(self.high, Absolute)
            and self.low.value > self.high.value
        ):
            raise ArgumentError(f"clip: 'low' must be <= 'high' (got {self.low} > {self.high})")

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        return self.plan._share(horizon)

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        return dataclasses.replace(self, plan=self.plan._fit(horizon, steps))

    def _lacking(self, *, last: bool = True) -> str | None:
        return self.plan._lacking(last=last)

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del entry
        inner = self.plan.compiled(base)
        low, high = (None if b is None else affine(b) for b in (self.low, self.high))
        bounds = [bound for bound in (low, high) if bound is not None]
        for i, other in ((0, "q"), (1, "p")):
            if inner.term(other) == 0.0 and all(bound[1 - i] == 0.0 for bound in bounds):
                ends = (low and low[i], high and high[i])
                pieces = [
                    piece._replace(**{"pq"[i]: _clamped((piece.p, piece.q)[i], *ends)})
                    for piece in inner.pieces
                ]
                return Program(pieces, uses_base=inner.uses_base)
        pieces = [
            Piece(begin, origin, *_chosen(p, q, low, high, base))
            for begin, origin, p, q in inner.pieces
        ]
        return Program(pieces, uses_base=True)

    def __repr__(self) -> str:
        shown = [] if self.low is None else [f"low={show(self.low)}"]
        if self.high is not None:
            shown.append(f"high={show(self.high)}")
        return f"{self.plan._bracketed(3)}.clip({', '.join(shown)})"


def _clamped(term: Term, low: float | None, high: float | None) -> Term:
    if callable(term):
        return lambda t, xp: clamp(term(t, xp), low, high, xp)
    return clamp(term, low, high, math)


def _chosen(
    p: Term, q: Term, low: Affine | None, high: Affine | None, base: Any
) -> tuple[Term, Term]:
    """P and q of whichever of plan, `low` and `high` is in force at this base."""

    def branch(i: int) -> Term:
        def evaluate(t: Any, xp: Any) -> Any:
            own = tuple(term(t, xp) if callable(term) else term for term in (p, q))
            value, result = own[0] * base + own[1], own[i]
            for bound, outside in ((low, "below"), (high, "above")):
                if bound is None:
                    continue
                edge = bound[0] * base + bound[1]
                out = value < edge if outside == "below" else value > edge
                if hasattr(out, "shape"):
                    result = xp.where(out, bound[i], result + 0.0 * t)
                elif out:
                    result = bound[i]
            return result

        return evaluate

    return branch(0), branch(1)


class Repeat(_Wrapper):
    """A plan over and over; made by :meth:`Schedule.repeat`."""

    times: int | None = param(optional(whole(1)), None, kw_only=False)
    length_mult: float = param(real(low=1.0), 1.0)
    peak_mult: float = param(real(low=0.0), 1.0)
    over: Length | None = param(optional(length()), None)

    def _check(self) -> None:
        if 1.0 < self.length_mult < 1.01:
            raise ArgumentError(
                f"repeat: 'length_mult' must be 1 or at least 1.01 (got {self.length_mult!r})"
            )
        if self.plan.steps == 0:
            raise ArgumentError(f"repeat: the plan must have at least 1 step (got {self.plan!r})")
        if self._cycle() == math.inf:
            raise ArgumentError(
                f"repeat: an endless plan cannot be repeated (got {self.plan!r}); give it steps"
            )
        if self._fitted and self.times is None:
            raise ArgumentError(
                f"repeat: 'times' must be given, since {self.plan!r} has no length of its own"
            )
        if not self._fitted and self.over is not None:
            raise ArgumentError(
                f"repeat: 'over' is for a plan without a length (got {self.plan!r}, which has one)"
            )

    def _cycle(self, horizon: Horizon | None = None) -> Fraction | float | None:
        """The first cycle's length; None where the cycles are fitted to a length."""
        if any(d.unit == "%" for d in durations(self.plan)):
            return None
        try:
            return self.plan._share(horizon or Horizon())
        except UnresolvedError:
            if horizon is not None:
                raise
            return Fraction(0)

    @property
    def _fitted(self) -> bool:
        return self._cycle() is None

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        if self._fitted:
            return None if self.over is None else horizon.exact(self.over)
        cycle = self._cycle(horizon)
        if self.times is None:
            return math.inf
        return Fraction(math.ceil(cycle * sum(self._lengths(self.times))))  # pyright: ignore

    def _lengths(self, n: int) -> list[Fraction]:
        """The lengths of n cycles in units of the first."""
        return [Fraction(self.length_mult) ** i for i in range(n)]

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        if self._fitted:
            return dataclasses.replace(self, plan=_convert(self.plan, horizon), over=steps)
        cycle = half_up(self._cycle(horizon))
        return dataclasses.replace(self, plan=self.plan._fit(horizon, cycle))

    def _lacking(self, *, last: bool = True) -> str | None:
        if not self._fitted:
            return self.plan._lacking(last=False)
        why = why_unresolved(self._durations())
        return why or (REST if self.over is None else None)

    def _durations(self) -> Iterator[Duration]:
        # A percentage in the plan is of the cycle: no horizon has to say what it means.
        yield from durations(self.over)
        yield from (d for d in durations(self.plan) if d.unit != "%")

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del entry
        return self._tiled(base) if self._fitted else self._cycled(base)

    def _tiled(self, base: Any) -> Program:
        """Cycles fitted to whole numbers of steps that add up to `over`."""
        assert isinstance(self.over, int)
        assert self.times is not None
        units = self._lengths(self.times)
        lengths = tile([unit * self.over / sum(units) for unit in units], self.over)
        pieces: list[Piece] = []
        begin, uses_base, exit_ = 0, False, Affine(1.0, 0.0)
        for i, steps in enumerate(lengths):
            program = self.plan.resolve(steps).compiled(base)
            exit_ = program.at(steps)
            scale = self.peak_mult**i
            if steps:
                pieces += [
                    Piece(
                        b, o, *(_drawn(term, e, scale) for e, term in zip(exit_, pq, strict=True))
                    )
                    for b, o, *pq in program.shifted(begin)
                    if b < begin + steps
                ]
            uses_base |= program.uses_base
            begin += steps
        return Program([*pieces, Piece(begin, begin, *exit_)], uses_base=uses_base)

    def _cycled(self, base: Any) -> Program:
        """Cycles of one plan, stretched in time."""
        inner = self.plan.compiled(base)
        cycle = self.plan.steps
        exit_ = inner.at(cycle)
        if cycle == 0:
            return Program([Piece(0, 0, *exit_)])
        begins = _begins(cycle, self.length_mult)
        lengths = [self.length_mult**i for i in range(len(begins))]
        k = self.peak_mult

        def place(t: Any, xp: Any) -> tuple[Any, Any]:
            if self.length_mult == 1.0:
                i = t // cycle
                return i, t - i * cycle
            i = index_of(t, begins, xp)
            return i, (t - take(begins, i, t, xp)) / take(lengths, i, t, xp)

        def repeated(term: Term, end: float) -> Term:
            if not callable(term):
                return term

            def evaluate(t: Any, xp: Any) -> Any:
                i, local = place(t, xp)
                value = term(local, xp)
                return value if k == 1.0 else end + (value - end) * power(k, i, xp)

            return evaluate

        pieces = [Piece(0, 0, *(repeated(inner.term(n), e) for n, e in zip("pq", exit_)))]
        if self.times is not None:
            total = self._share(Horizon())
            pieces.append(Piece(total, total, *exit_))  # pyright: ignore
        return Program(pieces, uses_base=inner.uses_base)

    def __repr__(self) -> str:
        shown = [] if self.times is None else [str(self.times)]
        for name, default in (("length_mult", 1.0), ("peak_mult", 1.0), ("over", None)):
            value = getattr(self, name)
            if value != default:
                shown.append(f"{name}={show(value)}")
        return f"{self.plan._bracketed(3)}.repeat({', '.join(shown)})"


def _drawn(term: Term, end: float, scale: float) -> Term:
    """The term with its distance from `end` scaled."""
    if scale == 1.0:
        return term
    if not callable(term):
        return end + (term - end) * scale
    return lambda t, xp: end + (term(t, xp) - end) * scale


def _begins(cycle: int, mult: float) -> list[float]:
    """The first steps of the cycles, as far as floats can tell steps apart."""
    begins, length, exact = [0.0], Fraction(cycle), Fraction(mult)
    if mult > 1.0:
        begin = Fraction(0)
        while (begin := begin + length) < 1 << 53:
            begins.append(float(begin))
            length *= exact
            if length.denominator > 1 << 64:
                length = Fraction(float(length))
    return begins


def _convert(value: Any, horizon: Horizon) -> Any:
    """A plan with its durations in steps, but for the percentages, which are of each cycle."""
    if isinstance(value, Duration):
        return value if value.unit == "%" else horizon.steps(value)
    if isinstance(value, tuple):
        return tuple(_convert(item, horizon) for item in value)
    if isinstance(value, Schedule):
        names = [f.name for f in dataclasses.fields(value)]  # pyright: ignore
        return dataclasses.replace(  # pyright: ignore
            value, **{name: _convert(getattr(value, name), horizon) for name in names}
        )
    return value
