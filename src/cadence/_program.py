"""What a resolved plan compiles to: pieces in order of time, each affine in the base.

`value(t, base) = p(t) * base + q(t)`. A piece holds p and q as numbers where they do not move
and as functions of (local time, array library) where they do, so that whoever runs a plan can
see without evaluating it where the plan is flat and where the next change begins.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from cadence._array import Term, product, select

__all__ = ["Affine", "Piece", "Program", "added", "multiplied"]


class Affine(NamedTuple):
    """A level: `p` times the base, plus `q`."""

    p: float
    q: float


class Piece(NamedTuple):
    """From step `begin` on, the terms `p` and `q`, as functions of `t - origin`."""

    begin: float
    origin: float
    p: Term
    q: Term

    def shifted(self, by: float) -> Piece:
        """The piece, starting `by` steps later."""
        return self._replace(begin=self.begin + by, origin=self.origin + by)

    @property
    def flat(self) -> bool:
        return not (callable(self.p) or callable(self.q))

    def affine(self, t: float) -> Affine:
        """Both terms at the scalar step `t`, which must lie in this piece."""
        p, q = self.p, self.q
        return Affine(
            p(t - self.origin, math) if callable(p) else p,
            q(t - self.origin, math) if callable(q) else q,
        )


Around = Callable[[float], tuple[Piece, float]]
"""From a step to the piece that holds it and the step at which the next begins."""


class Program:
    """The pieces of a plan; the last one goes on for ever.

    A piece may hold much: all cycles of a repeated plan, each drop of a staircase. Whoever walks
    through the steps asks :meth:`around` for the part at hand, which such plans define.
    """

    __slots__ = ("_around", "begins", "pieces", "uses_base")

    def __init__(
        self, pieces: Iterable[Piece], *, uses_base: bool = False, around: Around | None = None
    ) -> None:
        self.pieces = list(pieces)
        self.begins = [piece.begin for piece in self.pieces]
        self.uses_base = uses_base
        self._around = around

    @property
    def narrows(self) -> bool:
        """Whether there is more to be seen of a piece by looking closer."""
        return self._around is not None

    @property
    def end(self) -> float:
        """The step from which the value no longer moves; inf for an endless plan."""
        last = self.pieces[-1]
        return last.begin if last.flat else math.inf

    @property
    def exit(self) -> Affine:
        """The level that is held in the end; only for programs that have an end."""
        return self.pieces[-1].affine(self.end)

    def index(self, t: float) -> int:
        """Index of the piece that holds the scalar step `t`."""
        return bisect_right(self.begins, t) - 1

    def around(self, t: float) -> tuple[Piece, float]:
        """The simplest piece that holds the scalar step `t`, and the step at which it ends."""
        i = self.index(t)
        end = self.begins[i + 1] if i + 1 < len(self.begins) else math.inf
        if self._around is None:
            return self.pieces[i], end
        piece, stop = self._around(t)
        return piece, min(stop, end)

    def at(self, t: float) -> Affine:
        """P and q at the scalar step `t`."""
        return self.pieces[self.index(t)].affine(t)

    def term(self, name: str) -> Term:
        """`"p"` or `"q"` of the whole program: a number, or a function of time."""
        terms: list[Term] = [getattr(piece, name) for piece in self.pieces]
        if not callable(terms[0]) and all(other == terms[0] for other in terms):
            return terms[0]
        begins, origins = self.begins, [piece.origin for piece in self.pieces]

        def evaluate(t: Any, xp: Any) -> Any:
            if xp is not math:
                return select(t, xp, begins, origins, terms)
            i = bisect_right(begins, t) - 1
            term = terms[i]
            return term(t - origins[i], xp) if callable(term) else term

        return evaluate

    def value(self, t: Any, xp: Any, base: Any) -> Any:
        """The plan's value, shaped like `t` (and like `base`, where that is an array)."""
        if xp is math:
            return _affine_value(*self.at(t), base, xp)
        # Growth saturates at inf without a word, as it does for numbers and in torch.
        with np.errstate(over="ignore", invalid="ignore"):
            p, q = (
                term(t, xp) if callable(term) else term for term in (self.term("p"), self.term("q"))
            )
            if not (hasattr(p, "shape") or hasattr(q, "shape")):
                p = xp.full_like(t, p)  # constant throughout: one number for all the steps
            return _affine_value(p, q, base, xp)

    def shifted(self, by: float) -> list[Piece]:
        """The pieces, starting at step `by` instead of 0."""
        return [piece.shifted(by) for piece in self.pieces]

    def merged(
        self,
        other: Program,
        combine: Callable[[tuple[Term, Term], tuple[Term, Term]], tuple[Term, Term]],
    ) -> Program:
        """Both programs on one time axis, their terms put together by `combine`."""

        def both(begin: float, left: Piece, right: Piece) -> Piece:
            terms = (
                (_moved(piece.p, begin - piece.origin), _moved(piece.q, begin - piece.origin))
                for piece in (left, right)
            )
            return Piece(begin, begin, *combine(*terms))

        def around(t: float) -> tuple[Piece, float]:
            (left, end), (right, stop) = self.around(t), other.around(t)
            return both(max(left.begin, right.begin), left, right), min(end, stop)

        begins = sorted({*self.begins, *other.begins})
        return Program(
            (both(b, self.pieces[self.index(b)], other.pieces[other.index(b)]) for b in begins),
            uses_base=self.uses_base or other.uses_base,
            around=around if self.narrows or other.narrows else None,
        )


def _affine_value(p: Any, q: Any, base: Any, xp: Any) -> Any:
    moving = product(p, base, xp) if not hasattr(base, "shape") and base == 0 else p * base
    return moving if isinstance(q, float) and q == 0.0 else moving + q


def _moved(term: Term, by: float) -> Term:
    """The term on a clock that starts `by` later."""
    if by == 0 or not callable(term):
        return term
    return lambda t, xp: term(t + by, xp)


def multiplied(a: Term, b: Term) -> Term:
    """The product of two terms; a number stays a number, and 0 annihilates."""
    if callable(a):
        if callable(b):
            return lambda t, xp: product(a(t, xp), b(t, xp), xp)
        a, b = b, a
    if not callable(b):
        return product(a, b, math)
    if a == 0.0:
        return 0.0
    if math.isinf(a):
        return lambda t, xp: product(a, b(t, xp), xp)
    return b if a == 1.0 else lambda t, xp: a * b(t, xp)


def added(a: Term, b: Term) -> Term:
    """The sum of two terms; a number stays a number."""
    if callable(a):
        if callable(b):
            return lambda t, xp: a(t, xp) + b(t, xp)
        a, b = b, a
    if not callable(b):
        return a + b
    return b if a == 0.0 else lambda t, xp: a + b(t, xp)
