"""How plans compose: in sequence, multiplied, added, clipped, repeated, in part and in stairs.

These classes are made by the operators and methods of :class:`~cadence.schedule.Schedule`.
Continuity passes only through `>>`: a timeline inside any other starts anew at 1.0.
"""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from operator import itemgetter
from typing import Any, ClassVar, Self

from cadence import _checks
from cadence._array import Term, clamp, index_of, power, product, take
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

__all__ = ["Clip", "Part", "Product", "Repeat", "Sequence", "Stairs", "Sum"]

MOST_PHASES = 1 << 17
"""How many phases the cycles that are fitted to a length may come to: each is compiled."""

FURTHEST = 2.0**127
"""The step that stairs end at: arrays of single precision hold no greater power of two."""

UNKNOWN = Affine(math.nan, math.nan)
"""A level of which nothing is known before the base is."""


def _schedule(where: str, name: str, value: Any) -> Schedule:
    if not isinstance(value, Schedule):
        raise ArgumentTypeError(f"{where}: '{name}' must be a schedule (got {value!r})")
    return value


def _schedule_or_level(where: str, name: str, value: Any) -> Schedule | Level:
    return value if isinstance(value, Schedule) else level(where, name, value)


def _parts(where: str, name: str, value: Any) -> tuple[Schedule, ...]:
    """The phases, flattened: `a >> (b >> c)` is the same timeline as `(a >> b) >> c`."""
    flat: list[Schedule] = []
    if not isinstance(value, (list, tuple)):
        raise ArgumentTypeError(f"{where}: '{name}' must be a tuple of schedules (got {value!r})")
    for part in value:
        part = _schedule(where, name, part)
        flat.extend(part.parts if isinstance(part, Sequence) else (part,))
    if len(flat) < 2:
        raise ArgumentError(f"{where}: '{name}' must be at least two schedules (got {value!r})")
    return tuple(flat)


def _place(where: str, name: str, value: Any) -> int:
    """A step on the clock of a plan."""
    if isinstance(value, (str, Duration)):
        raise ArgumentTypeError(
            f"{where}: '{name}' must be a whole number, a step of the plan (got "
            f"{_checks.given(value)}); only 'steps' may be a duration"
        )
    return _checks.whole(where, name, value)


class _Composite(Schedule):
    """A plan made of others; its length follows from theirs."""

    @property
    def steps(self) -> int | None:
        try:
            share = self._share(Horizon())
        except UnresolvedError:
            return None
        return None if share is None or share == math.inf else math.ceil(share)

    def _check_length(self) -> None:
        steps = self.steps
        if steps is not None and steps > _checks.MOST:
            where = self.called or type(self).__name__
            raise ArgumentError(f"{where}: the plan must come to at most 2**53 steps (got {steps})")

    def _check_fits(self, fixed: Any, steps: int) -> None:
        if fixed > steps:
            raise ArgumentError(
                f"{self!r}: the phases must fit into the run (they need {math.ceil(fixed)} steps "
                f"of {steps}); shorten them or lengthen the run"
            )


class Sequence(_Composite):
    """Phases one after the other: `a >> b >> c`.

    Each phase runs on its own clock from 0 and starts, unless it says otherwise, at the level
    where the one before ended. At most one phase is open; it takes the rest of the run. An
    endless phase may only be the last.
    """

    precedence: ClassVar[int] = 0
    parts: tuple[Schedule, ...] = param(_parts, kw_only=False)

    def _check(self) -> None:
        shares = [share_of_whole(part) for part in self.parts]
        opened = [part for part, share in zip(self.parts, shares, strict=True) if share is None]
        if len(opened) > 1:
            raise ArgumentError(
                "Sequence: at most one phase may be without a length (got "
                f"{' and '.join(map(repr, opened))}); give all but one of them steps"
            )
        *others, last = self.parts
        for part in others:
            if part._is_endless():
                raise ArgumentError(
                    f"Sequence: an endless phase may only be the last (got {part!r} before "
                    f"{last!r}); give it steps"
                )
        if last._is_endless() and opened and opened[0] is not last:
            raise ArgumentError(
                f"Sequence: {opened[0]!r} takes the rest of the run, so no endless phase can "
                f"follow (got {last!r}); give it steps"
            )
        percent = sum(share for share in shares if share is not None and share != math.inf)
        if percent > 100:
            raise ArgumentError(
                f"Sequence: the phases must not exceed 100 % of the run (got {float(percent):g} %)"
            )
        self._check_length()
        if self._lacking() is None:
            self._check_entries()

    def _check_entries(self) -> None:
        """Compile every phase, so that nothing is left to go wrong at a call.

        A level that depends on the base may be of any kind: its successor gets an unknown one.
        """
        entry = None
        for part in self.parts:
            program = part._program(entry, 1.0)
            if part.steps is not None:
                entry = UNKNOWN if program.uses_base else program.at(part.steps)

    def _is_endless(self) -> bool:
        return self.parts[-1]._is_endless()

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        shares: list[Any] = [part._share(horizon) for part in self.parts]
        return None if None in shares else sum(shares, Fraction(0))

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        shares: list[Any] = [part._share(horizon) for part in self.parts]
        fixed = sum(share for share in shares if share is not None and share != math.inf)
        if None in shares:
            self._check_fits(fixed, steps)
            shares = [steps - fixed if share is None else share for share in shares]
        elif math.inf in shares:
            shares = [Fraction(0) if share == math.inf else share for share in shares]
            steps = half_up(fixed)
        lengths = tile(shares, steps)
        fitted = (part._fit(horizon, n) for part, n in zip(self.parts, lengths, strict=True))
        return dataclasses.replace(self, parts=tuple(fitted))

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
        parts: list[tuple[int, Program]] = []
        for _, begin, program in self._timeline(base, entry):
            while pieces and pieces[-1].begin >= begin:
                pieces.pop()
            pieces += program.shifted(begin)
            parts.append((begin, program))

        def around(t: float) -> tuple[Piece, float]:
            begin, program = parts[bisect_right(parts, t, key=itemgetter(0)) - 1]
            piece, stop = program.around(t - begin)
            return piece.shifted(begin), stop + begin

        return Program(
            pieces,
            uses_base=any(program.uses_base for _, program in parts),
            around=around if any(program.narrows for _, program in parts) else None,
        )

    def __repr__(self) -> str:
        return " >> ".join(part._bracketed(1) for part in self.parts)


# Horizons at which every duration has a length, and a percentage outgrows all others.
_LONG = 10**15
_FAR, _FARTHER = (
    Horizon(n * _LONG, steps_per_epoch=1, samples_per_step=1, tokens_per_step=1) for n in (1, 2)
)

_RUN = Duration(Fraction(100), "%")
"""What an open plan in a part takes, whatever the length of the part."""


def share_of_whole(part: Schedule) -> Fraction | float | None:
    """A phase's part of the run in percent, apart from what it takes in other units."""
    far, farther = part._share(_FAR), part._share(_FARTHER)
    if far is None or far == math.inf:
        return far
    return (farther - far) * Fraction(100, _LONG)  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]


class _Pair(_Composite):
    """Two plans, or a plan and a level, on one clock; as long as the longer."""

    left: Schedule = param(_schedule, kw_only=False)
    right: Schedule | Level = param(_schedule_or_level, kw_only=False)

    def _children(self) -> list[Schedule]:
        return [side for side in (self.left, self.right) if isinstance(side, Schedule)]

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        shares: list[Any] = [child._share(horizon) for child in self._children()]
        return None if None in shares else max(shares)

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        whole = self._share(horizon)

        def fit(side: Schedule | Level) -> Schedule | Level:
            if not isinstance(side, Schedule):
                return side
            share: Any = side._share(horizon)
            if share is None or share == whole:
                return side._fit(horizon, steps)
            if share == math.inf:
                return side._fit(horizon, 0)
            if whole is None:
                self._check_fits(share, steps)
            return side._fit(
                horizon, half_up(share) if whole == math.inf else min(half_up(share), steps)
            )

        return dataclasses.replace(self, left=fit(self.left), right=fit(self.right))

    def _is_endless(self) -> bool:
        return any(child._is_endless() for child in self._children())

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
        fields = dataclasses.fields(value)  # pyright: ignore[reportArgumentType]
        values = (getattr(value, field.name) for field in fields)
        return any(map(_holds_absolute, values))
    if isinstance(value, tuple):
        return any(map(_holds_absolute, value))
    return isinstance(value, Absolute)


class _Wrapper(_Composite):
    """A plan made of one other."""

    plan: Schedule = param(_schedule, kw_only=False)


class Clip(_Wrapper):
    """A plan kept within two levels; made by :meth:`Schedule.clip`."""

    called: ClassVar[str] = "clip"
    low: Level | None = param(optional(level), default=None, kw_only=False)
    high: Level | None = param(optional(level), default=None, kw_only=False)

    def _check(self) -> None:
        if self.low is None and self.high is None:
            raise ArgumentError("clip: 'low' or 'high' must be given (got neither)")
        if self.low is None or self.high is None:
            return
        low, high = affine(self.low), affine(self.high)
        # Levels of two kinds have no order before the base is known; then the upper one wins.
        if type(self.low) is type(self.high) and low > high:
            raise ArgumentError(
                f"clip: 'low' must be <= 'high' (got {show(self.low)} > {show(self.high)})"
            )

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        return self.plan._share(horizon)

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        return dataclasses.replace(self, plan=self.plan._fit(horizon, steps))

    def _is_endless(self) -> bool:
        return self.plan._is_endless()

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
            value, result = own[0] * base + own[1], own[i] if xp is math else own[i] + 0.0 * t
            for bound, is_low in ((low, True), (high, False)):
                if bound is None:
                    continue
                edge = bound[0] * base + bound[1]
                out = value < edge if is_low else value > edge
                if isinstance(out, bool):  # a flat stretch is one number, even for an array
                    value, result = (edge, bound[i]) if out else (value, result)
                else:
                    value, result = xp.where(out, edge, value), xp.where(out, bound[i], result)
            return result if xp is math or hasattr(result, "shape") else xp.full_like(t, result)

        return evaluate

    return branch(0), branch(1)


class Repeat(_Wrapper):
    """A plan over and over; made by :meth:`Schedule.repeat`."""

    called: ClassVar[str] = "repeat"
    times: int | None = param(optional(whole(1)), default=None, kw_only=False)
    length_mult: float = param(real(low=1.0), default=1.0)
    peak_mult: float = param(real(low=0.0), default=1.0)
    over: Length | None = param(optional(length()), default=None)

    def _check(self) -> None:
        if 1.0 < self.length_mult < 1.01:
            raise ArgumentError(
                f"repeat: 'length_mult' must be 1 or at least 1.01 (got {self.length_mult!r})"
            )
        if self.plan.steps == 0:
            raise ArgumentError(f"repeat: the plan must have at least 1 step (got {self.plan!r})")
        if self.plan._is_endless():
            raise ArgumentError(
                f"repeat: an endless plan cannot be repeated (got {self.plan!r}); give it steps"
            )
        if self._fitted and self.times is None:
            raise ArgumentError(
                f"repeat: 'times' must be given, since {self.plan!r} has no length of its own; "
                "write .repeat(4)"
            )
        if not self._fitted and self.over is not None:
            raise ArgumentError(
                f"repeat: 'over' is for a plan without a length (got {self.plan!r}, which has one)"
            )
        times, most = self.times or 0, _checks.MOST
        if self._fitted:
            most = 10_000  # each cycle is compiled by itself
        elif self.length_mult > 1.0:
            most = math.ceil(math.log(most) / math.log(self.length_mult))
        if times > most:
            raise ArgumentError(
                f"repeat: 'times' must be <= {most} for cycles that "
                f"{'are fitted to a length' if self._fitted else 'grow'} (got {times})"
            )
        self._check_length()
        if self._fitted and _phases(self) > MOST_PHASES:
            raise ArgumentError(
                f"repeat: the cycles must come to at most {MOST_PHASES} phases (got "
                f"{_phases(self)}); repeat less often, or give the plan a length of its own"
            )
        if self._fitted and self._lacking() is None:
            self.compiled()

    def _cycle(self, horizon: Horizon) -> int:
        """The first cycle's length, where it has one; a cycle is never shorter than one step."""
        share: Any = self.plan._share(horizon)
        return max(1, half_up(share))

    def _is_endless(self) -> bool:
        return self.times is None

    @cached_property
    def _fitted(self) -> bool:
        """Whether the cycles divide a length among them, having none of their own."""
        # Kept: each question to a repeat asks this first, which would double at every nesting.
        percent = any(d.unit == "%" for d in durations(self.plan))
        return percent or self.plan._share(_FAR) is None

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        if self._fitted:
            return None if self.over is None else horizon.exact(self.over)
        if self.times is None:
            return math.inf
        return Fraction(math.ceil(self._cycle(horizon) * self._units(self.times)))

    @property
    def _ratio(self) -> Fraction:
        """The factor between two cycles' lengths; 1.1 is meant as 11/10, not as its float."""
        return Fraction(str(self.length_mult))

    def _units(self, times: int) -> Fraction:
        """The length of all cycles in units of the first."""
        ratio = self._ratio
        return Fraction(times) if ratio == 1 else (ratio**times - 1) / (ratio - 1)

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        if self._fitted:
            return dataclasses.replace(self, plan=_convert(self.plan, horizon), over=steps)
        return dataclasses.replace(self, plan=self.plan._fit(horizon, self._cycle(horizon)))

    def _lacking(self, *, last: bool = True) -> str | None:
        del last
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
        first = self.over / self._units(self.times)
        lengths = tile([first * self._ratio**i for i in range(self.times)], self.over)
        # Few cycles differ in length unless they grow, so most are compiled already.
        made = {n: self.plan.resolve(Horizon().within(n)).compiled(base) for n in set(lengths)}
        pieces: list[Piece] = []
        begin, uses_base, exit_ = 0, False, Affine(1.0, 0.0)
        for i, steps in enumerate(lengths):
            program = made[steps]
            exit_ = program.at(steps)
            scale = power(self.peak_mult, i, math)
            if steps:
                pieces += [
                    Piece(
                        b,
                        o,
                        *(
                            term if self.peak_mult == 1.0 else _drawn(term, e, scale)
                            for e, term in zip(exit_, pq, strict=True)
                        ),
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
        begins = _begins(cycle, self._ratio, self.times)
        lengths = [self.length_mult**i for i in range(len(begins))]
        k = self.peak_mult

        def place(t: Any, xp: Any) -> tuple[Any, Any]:
            if self.length_mult == 1.0:
                return t // cycle, t % cycle
            i = index_of(t, begins, xp)
            return i, (t - take(begins, i, t, xp)) / take(lengths, i, t, xp)

        def repeated(term: Term, end: float) -> Term:
            if not callable(term):
                return term

            def evaluate(t: Any, xp: Any) -> Any:
                i, local = place(t, xp)
                value = term(local, xp)
                return value if k == 1.0 else end + product(value - end, power(k, i, xp), xp)

            return evaluate

        p, q = (repeated(inner.term(n), e) for n, e in zip("pq", exit_, strict=True))
        pieces = [Piece(0, 0, p, q)]
        total: Any = math.inf
        if self.times is not None:
            total = self.steps
            pieces.append(Piece(total, total, *exit_))

        def around(t: float) -> tuple[Piece, float]:
            if t >= total:
                return pieces[-1], math.inf
            i, local = place(t, math)
            piece, stop = inner.around(local)
            terms: Any = piece[2:]
            if k != 1.0:
                terms = [_drawn(x, e, power(k, i, math)) for x, e in zip(terms, exit_, strict=True)]
            if self.length_mult == 1.0:
                begin, stop = i * cycle, min(stop, cycle)
                return Piece(begin + piece.begin, begin + piece.origin, *terms), begin + stop
            if piece.begin > 0 or stop < cycle:
                # Where a part of a longer cycle ends, rounding would decide.
                return pieces[0], total
            begin, scale = begins[i], lengths[i]
            terms = [_stretched(term, scale, piece.origin) for term in terms]
            # The last cycle may end before the whole step at which the plan does.
            stop = begins[i + 1] if i + 1 < len(begins) else begin + cycle * scale
            return Piece(begin, begin, *terms), stop

        return Program(pieces, uses_base=inner.uses_base, around=around)

    def __repr__(self) -> str:
        shown = [] if self.times is None else [str(self.times)]
        for name, default in (("length_mult", 1.0), ("peak_mult", 1.0), ("over", None)):
            value = getattr(self, name)
            if value != default:
                shown.append(f"{name}={show(value)}")
        return f"{self.plan._bracketed(3)}.repeat({', '.join(shown)})"


class Part(_Wrapper):
    """A stretch of a plan, at its own pace or another; made by :meth:`Schedule.part`.

    Of a run the part takes its own length alone; the plan that it is cut from is resolved as if
    it were all of the run.
    """

    called: ClassVar[str] = "part"
    start: int = param(_place, kw_only=False)
    stop: int | None = param(optional(_place), default=None, kw_only=False)
    steps: Length | None = param(optional(length()), default=None)  # pyright: ignore[reportIncompatibleMethodOverride]

    def _check(self) -> None:
        if self.stop is not None and self.start > self.stop:
            raise ArgumentError(f"part: 'start' must be <= 'stop' (got {self.start} > {self.stop})")
        if self._is_endless() and self.steps is not None:
            raise ArgumentError(
                "part: 'steps' must not be given without 'stop' for a plan without an end "
                f"(got {self.plan!r}); give it 'stop'"
            )
        played = self._played
        if played is None:
            return
        if played < 0:
            raise ArgumentError(
                f"part: 'start' must be <= {self.plan.steps}, where the plan ends (got "
                f"{self.start})"
            )
        if self.steps is None:  # so that a part at its own pace is one plan, however it is written
            object.__setattr__(self, "steps", played)

    @property
    def _played(self) -> int | None:
        """How many steps of the plan are played; None where it goes on or that is not known."""
        stop = self.plan.steps if self.stop is None else self.stop
        return stop - self.start if isinstance(stop, int) else None

    def _whole(self, horizon: Horizon) -> Any:
        """The plan's own exact length: it takes the run where it is open."""
        share = self.plan._share(horizon)
        return horizon.total_steps if share is None else share

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        if self.steps is not None:
            return horizon.exact(self.steps)
        if self._is_endless():
            return math.inf
        whole = self._whole(horizon)
        return None if whole is None else max(Fraction(0), Fraction(whole - self.start))

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        if self.steps is None and not self._is_endless():
            # The plan is rounded to end where the part does.
            whole = self._whole(horizon)
            own = self.start + steps if whole >= self.start else half_up(whole)
            return dataclasses.replace(self, plan=self.plan._fit(horizon, own))
        length = steps if isinstance(self.steps, Duration) else self.steps
        return dataclasses.replace(self, plan=self.plan.resolve(horizon), steps=length)

    def _is_endless(self) -> bool:
        return self.stop is None and self.plan._is_endless()

    def _lacking(self, *, last: bool = True) -> str | None:
        # Where the plan ends matters to what follows, and to a pace of its own.
        any_end = self.stop is not None or (last and self.steps is None)
        return self.plan._lacking(last=any_end) or why_unresolved(durations(self.steps))

    def _durations(self) -> Iterator[Duration]:
        yield from super()._durations()
        if self.plan._share(_FAR) is None:
            yield _RUN

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del entry
        inner, start = self.plan.compiled(base), self.start
        played: Any = math.inf if self._played is None else self._played
        steps: Any = math.inf if self.steps is None else self.steps
        stop, own = start + played, steps == played
        if steps == 0 or played == 0:
            return Program([Piece(0, 0, *inner.at(stop))], uses_base=inner.uses_base)

        def place(t: Any) -> Any:
            """The plan's step that is played at the part's step `t`."""
            return t + start if own else t * played / steps + start

        def first(step: float) -> float:
            """The part's step from which on that step of the plan has come."""
            t = min(max(step, start), stop) - start
            if own:
                return t
            t, near = t * steps / played, round(t * steps / played)
            # What lies between two steps of the plan is rounded, and no step must miss it by that.
            is_near = not _are_whole(step) and math.isclose(t, near, rel_tol=1e-12, abs_tol=1e-9)
            return near if is_near else t

        def paced(term: Term, piece: Piece, end: float) -> Term:
            if not callable(term):
                return term
            # A step between two others may be rounded to where the piece is not defined.
            low, high = max(piece.begin, start), math.nextafter(min(end, stop), 0.0)
            origin = piece.origin
            return lambda t, xp: term(clamp(place(t), low, high, xp) - origin, xp)

        def cut(piece: Piece, end: float) -> Piece:
            """The piece, which goes up to `end` of the plan, on the part's clock."""
            begin = first(piece.begin)
            if own:
                return piece._replace(begin=begin, origin=piece.origin - start)
            return Piece(begin, 0, paced(piece.p, piece, end), paced(piece.q, piece, end))

        pieces = [
            cut(piece, end)
            for piece, end in zip(inner.pieces, [*inner.begins[1:], math.inf], strict=True)
            if piece.begin < stop and end > start
        ]
        if stop < math.inf:
            pieces.append(Piece(steps, steps, *inner.at(stop)))

        begins = [piece.begin for piece in pieces]

        def around(t: float) -> tuple[Piece, float]:
            piece, end = inner.around(place(t))
            if t >= steps or not (own or _are_whole(piece.begin, min(end, stop))):
                # Between two steps of the plan, rounding would decide what is at hand.
                return pieces[bisect_right(begins, t) - 1], math.inf
            return cut(piece, end), first(end)

        return Program(pieces, uses_base=inner.uses_base, around=around if inner.narrows else None)

    def __repr__(self) -> str:
        shown = [str(self.start)] if self.stop is None else [str(self.start), str(self.stop)]
        if self.steps is not None and self.steps != self._played:
            shown.append(f"steps={show(self.steps)}")
        return f"{self.plan._bracketed(3)}.part({', '.join(shown)})"


class Stairs(_Wrapper):
    """A plan whose values are kept for some steps each; made by :meth:`Schedule.stairs`."""

    called: ClassVar[str] = "stairs"
    every: Length = param(length(1), kw_only=False)
    each: int | None = param(optional(whole(1)), default=None)

    def _check(self) -> None:
        if self.each is None:
            return
        if self.each == self.every:  # so that one plan is written in one way
            object.__setattr__(self, "each", None)
        why = self.plan._lacking()
        if why is not None:
            raise ArgumentError(
                "stairs: where 'each' is given, the plan must have its lengths in steps of its own "
                f"clock (got {self.plan!r}, which is not resolved: {why})"
            )
        self._check_length()

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        share = self.plan._share(horizon)
        if self.each is None or share is None or share == math.inf:
            return share
        return Fraction(math.ceil(share / self.each)) * self._stair(horizon)

    def _stair(self, horizon: Horizon) -> int:
        """How many steps a value is kept for."""
        return max(1, horizon.steps(self.every))

    def _fit(self, horizon: Horizon, steps: int) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        every = self._stair(horizon)
        if self.each is None:
            return dataclasses.replace(self, plan=self.plan._fit(horizon, steps), every=every)
        fitted = dataclasses.replace(self, every=every)
        if fitted._share(horizon) is not None:
            return fitted
        # A level that is kept for ever takes as many steps of its own clock as are covered.
        own = math.ceil(steps / every) * self.each
        fitted = dataclasses.replace(fitted, plan=self.plan._fit(horizon, own))
        return fitted if fitted._share(horizon) == steps else Part(fitted, 0, steps)

    def _is_endless(self) -> bool:
        return self.plan._is_endless()

    def _lacking(self, *, last: bool = True) -> str | None:
        return self.plan._lacking(last=last) or why_unresolved(durations(self.every))

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del entry
        inner = self.plan.compiled(base)
        every: Any = self.every
        each = self.each or every
        stop: Any = self.plan.steps
        if stop is None:
            stop = inner.end
        if stop < math.inf and (self.each or self.plan.steps is None):
            stop = math.ceil(stop / each) * every

        def place(t: Any, xp: Any) -> Any:
            # Far out, a multiple may be rounded to more than the largest float.
            return clamp(t // every * each, None, FURTHEST, xp)

        def stepped(term: Term) -> Term:
            return (lambda t, xp: term(place(t, xp), xp)) if callable(term) else term

        pieces = [Piece(0, 0, stepped(inner.term("p")), stepped(inner.term("q")))]
        if stop < math.inf:
            last = inner.at(stop // every * each if self.each else stop)
            pieces = [*(pieces if stop else []), Piece(stop, stop, *last)]

        def around(t: float) -> tuple[Piece, float]:
            if t >= stop:
                return pieces[-1], math.inf
            begin = t - t % every
            return Piece(begin, begin, *inner.at(place(t, math))), min(begin + every, stop)

        return Program(pieces, uses_base=inner.uses_base, around=around)

    def __repr__(self) -> str:
        each = "" if self.each is None else f", each={self.each}"
        return f"{self.plan._bracketed(3)}.stairs({show(self.every)}{each})"


def _are_whole(*steps: float) -> bool:
    return all(step % 1 == 0 for step in steps)


def _phases(value: Any) -> int:
    """How many phases a plan has once its fitted cycles are written out."""
    if isinstance(value, Repeat) and value._fitted:
        return (value.times or 1) * _phases(value.plan)
    if isinstance(value, tuple):
        return sum(map(_phases, value))
    if isinstance(value, _Composite):
        fields = (getattr(value, item.name) for item in dataclasses.fields(value))  # pyright: ignore[reportArgumentType]
        return max(1, sum(map(_phases, fields)))
    return int(isinstance(value, Schedule))


def _drawn(term: Term, end: float, scale: float) -> Term:
    """The term with its distance from `end` scaled."""
    if not callable(term):
        return end + product(term - end, scale, math)
    return lambda t, xp: end + product(term(t, xp) - end, scale, xp)


def _stretched(term: Term, scale: float, origin: float) -> Term:
    """The term at `t / scale`, from its origin."""
    if not callable(term):
        return term
    return lambda t, xp: term(t / scale - origin, xp)


def _begins(cycle: int, ratio: Fraction, times: int | None) -> list[float]:
    """The first steps of growing cycles, as far as floats can tell steps apart."""
    begins, begin, length = [0.0], Fraction(0), Fraction(cycle)
    while ratio > 1 and (times is None or len(begins) < times):
        begin += length
        if begin >= _checks.MOST:
            break
        begins.append(float(begin))
        length *= ratio
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
        fields = dataclasses.fields(value)  # pyright: ignore[reportArgumentType]
        changes = {field.name: _convert(getattr(value, field.name), horizon) for field in fields}
        for name, changed in changes.items():
            if isinstance(getattr(value, name), Duration) and isinstance(changed, int):
                # A period is never shorter than one step, a phase may be.
                changes[name] = changed if name == "steps" else max(1, changed)
        return dataclasses.replace(value, **changes)  # pyright: ignore[reportArgumentType]
    return value
