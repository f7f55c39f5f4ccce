"""A plan's arithmetic, written down: its own formulas, run on a step that is not known yet.

Every formula of a plan takes its array library as an argument. :class:`Writer` is a library that
computes nothing: its functions note what they were asked for, as a :class:`Formula`. So no shape
has to be told how to be written as code, not even one that a user has defined.

A formula knows between which bounds its value lies. What can then not happen (a clip that never
holds, a product of zero and infinity) is left out.
"""

from __future__ import annotations

import math
import operator
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partialmethod
from itertools import pairwise, product
from typing import Any, NamedTuple

from cadence import _array
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.schedule import Schedule

__all__ = ["FEW", "Formula", "Writer", "narrowed", "written"]

MOST_PIECES = 2000
"""Code for more phases than that is nothing that a person would paste."""

FEW = 5
"""Of more levels than that, a staircase is written as a table."""

FARTHEST = sys.float_info.max

FUNCTIONS: dict[str, Callable[[float], float]] = {
    "abs": abs,
    **{
        name: getattr(math, name)
        for name in (
            *("sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "tanh", "sinh", "atan"),
            *("floor", "ceil", "cos", "sin", "tan", "cosh", "asin", "acos"),
        )
    },
}
"""What a curve may call of its library, by names that Python and JAX share."""

RISING = frozenset(list(FUNCTIONS)[1:13])
"""Those that rise wherever they are defined: their bounds are their values at the bounds."""

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": lambda a, b: _array.power(a, b, math),
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
    "or": lambda a, b: a or b,
    "and": lambda a, b: a and b,
}

NEUTRAL = {("+", 0), ("-", 0), ("*", 1), ("/", 1), ("**", 1), ("or", False), ("and", True)}
"""Right operands that change nothing; left ones too, where the order does not matter."""

SYMMETRIC = ("+", "*", "or", "and")


class Bounds(NamedTuple):
    """Between which two numbers a value lies, both included."""

    low: float
    high: float

    @property
    def are_finite(self) -> bool:
        return -math.inf < self.low and self.high < math.inf

    def within(self, other: Bounds) -> Bounds:
        return Bounds(max(self.low, other.low), min(self.high, other.high))


ANYTHING = Bounds(-math.inf, math.inf)
TRUTH = Bounds(False, True)


def _bounded(ends: Sequence[float]) -> Bounds:
    """The bounds of some values; if one is no number, nothing is known."""
    return ANYTHING if any(map(math.isnan, ends)) else Bounds(min(ends), max(ends))


class Formula:
    """Something that is computed from the step; made by a :class:`Writer` and by operators.

    Args:
        writer: Who made it.
        operation: An operator, or `"number"`, `"name"`, `"call"`, `"where"`, `"cases"`, `"min"`,
            `"max"`, `"take"`, `"count"` or `"function"`.
        operands: What it is computed from.
        detail: What else there is to say: the name, the edges, the table, the function.
        bounds: Between what its value lies.
    """

    __slots__ = ("bounds", "detail", "key", "operands", "operation", "writer")

    # What code for arrays looks for: there is one step.
    shape = ()
    dtype = None

    def __init__(
        self,
        writer: Writer,
        operation: str,
        operands: tuple[Formula, ...],
        detail: Any,
        bounds: Bounds,
    ) -> None:
        self.writer = writer
        self.operation = operation
        self.operands = operands
        self.detail = detail
        self.bounds = bounds
        self.key = writer.number_of((operation, detail, *(operand.key for operand in operands)))

    @property
    def is_number(self) -> bool:
        return self.operation == "number"

    def is_same(self, other: Formula) -> bool:
        """Whether both compute the same."""
        return self.key == other.key

    def _right(self, operation: str, other: Any) -> Formula:
        return self.writer.compute(operation, self, other)

    def _left(self, operation: str, other: Any) -> Formula:
        return self.writer.compute(operation, other, self)

    __add__, __radd__ = partialmethod(_right, "+"), partialmethod(_left, "+")
    __sub__, __rsub__ = partialmethod(_right, "-"), partialmethod(_left, "-")
    __mul__, __rmul__ = partialmethod(_right, "*"), partialmethod(_left, "*")
    __truediv__, __rtruediv__ = partialmethod(_right, "/"), partialmethod(_left, "/")
    __floordiv__, __rfloordiv__ = partialmethod(_right, "//"), partialmethod(_left, "//")
    __mod__, __rmod__ = partialmethod(_right, "%"), partialmethod(_left, "%")
    __pow__, __rpow__ = partialmethod(_right, "**"), partialmethod(_left, "**")
    __ge__, __gt__ = partialmethod(_right, ">="), partialmethod(_right, ">")
    __le__, __lt__ = partialmethod(_right, "<="), partialmethod(_right, "<")
    __eq__, __ne__ = partialmethod(_right, "=="), partialmethod(_right, "!=")  # pyright: ignore[reportAssignmentType]
    __or__, __ror__ = partialmethod(_right, "or"), partialmethod(_left, "or")
    __and__, __rand__ = partialmethod(_right, "and"), partialmethod(_left, "and")
    __invert__ = partialmethod(_right, "==", False)
    __neg__ = partialmethod(_left, "*", -1.0)
    __hash__ = object.__hash__

    def __pos__(self) -> Formula:
        return self

    def __abs__(self) -> Formula:
        return self.writer.call("abs", self)

    def _unknown(self, *_: Any) -> Any:
        raise ArgumentTypeError(
            "a value is not known while a formula is written down; in 'curve' and 'decay', call "
            "the functions of 'xp', and choose with xp.where(...)"
        )

    __bool__ = __float__ = __int__ = __index__ = __round__ = _unknown


class Table(tuple[float, ...]):
    """Numbers to be looked up."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, Formula):
            return index.writer.take(self, index)
        return super().__getitem__(index)


class Writer:
    """An array library, for :mod:`cadence._array` and for curves, that writes formulas down."""

    pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
    __name__ = "formula"  # by which code tells one array library from the other
    floating = None

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def __getattr__(self, name: str) -> Callable[[Any], Formula]:
        if name in FUNCTIONS:
            return lambda x: self.call(name, x)
        raise AttributeError(
            f"'xp.{name}' cannot be written as code; a curve may call xp.sqrt, xp.exp, xp.log, "
            "xp.cos, xp.tanh and the like"
        )

    def number_of(self, key: Any) -> int:
        """A number for each different formula, whatever its bounds."""
        return self._numbers.setdefault(key, len(self._numbers))

    def formula(self, value: Any) -> Formula:
        """A number as a formula."""
        if isinstance(value, Formula):
            return value
        # Numbers that are equal but are written in two ways are not the same.
        return Formula(self, "number", (), repr(value), Bounds(value, value))

    def name(self, name: str, low: float, high: float) -> Formula:
        """A variable between two bounds."""
        return Formula(self, "name", (), name, Bounds(low, high))

    def compute(self, operation: str, a: Any, b: Any) -> Formula:
        """The result of an operator, simplified where that changes no digit."""
        a, b = self.formula(a), self.formula(b)
        if a.is_number and b.is_number:
            return self.formula(OPERATORS[operation](a.bounds.low, b.bounds.low))
        for one, other in ((a, b), (b, a)):
            if other.is_number and (one is a or operation in SYMMETRIC):
                value = other.bounds.low
                if (operation, value) in NEUTRAL:
                    return one
                if operation == "*" and value == 0 and one.bounds.are_finite:
                    return self.formula(0.0)
                if (operation, value) in (("or", True), ("and", False)):
                    return other
        if operation == "%" and a.bounds.low >= 0 and a.bounds.high < b.bounds.low:
            return a
        reached = _reached(operation, a.bounds, b.bounds)
        if reached is TRUTH or not isinstance(reached.low, bool):
            return Formula(self, operation, (a, b), None, reached)
        return self.formula(reached.low)

    def call(self, name: str, x: Any) -> Formula:
        """One of :data:`FUNCTIONS`."""
        x = self.formula(x)
        if x.is_number:
            return self.formula(FUNCTIONS[name](x.bounds.low))
        return Formula(self, "call", (x,), name, _image(name, x.bounds))

    def where(self, condition: Any, a: Any, b: Any) -> Formula:
        """`a` where the condition holds, else `b`."""
        condition, a, b = (self.formula(x) for x in (condition, a, b))
        if condition.is_number:
            return a if condition.bounds.low else b
        if _is_needless(condition, a, b):
            return b
        if condition.operation in (">=", "<") and condition.operands[1].is_number:
            x, edge = condition.operands
            pair = (b, a) if condition.operation == ">=" else (a, b)
            return self.cases(x, (edge.bounds.low,), pair)
        ends = _bounded([*a.bounds, *b.bounds])
        return Formula(self, "where", (condition, a, b), None, ends)

    def cases(self, x: Formula, edges: Sequence[float], branches: Sequence[Formula]) -> Formula:
        """`branches[i]` where `edges[i - 1] <= x < edges[i]`; what cannot be reached goes."""
        first, last = (bisect_right(edges, end) for end in x.bounds)
        edges, branches = edges[first:last], branches[first : last + 1]
        below = branches[0]
        if below.operation == "cases" and below.operands[0].is_same(x):
            # A choice of `where`s one in the other is one choice among many.
            inner = [edge for edge in below.detail if not edges or edge < edges[0]]
            edges = (*inner, *edges)
            branches = (*below.operands[1 : len(inner) + 2], *branches[1:])
        differ = [i for i, (a, b) in enumerate(pairwise(branches)) if not a.is_same(b)]
        if not differ:
            return branches[0]
        branches = (branches[0], *(branches[i + 1] for i in differ))
        ends = _bounded([end for branch in branches for end in branch.bounds])
        return Formula(self, "cases", (x, *branches), tuple(edges[i] for i in differ), ends)

    def clip(self, x: Any, low: Any, high: Any) -> Formula:
        """`x` within `low..high`."""
        found = self.formula(x)
        found = found if low is None else self.maximum(found, low)
        return found if high is None else self.minimum(found, high)

    def maximum(self, a: Any, b: Any) -> Formula:
        return self._extreme("max", a, b)

    def minimum(self, a: Any, b: Any) -> Formula:
        return self._extreme("min", a, b)

    def _extreme(self, name: str, a: Any, b: Any) -> Formula:
        a, b = self.formula(a), self.formula(b)
        (low, high), (least, most) = a.bounds, b.bounds
        if low >= most:
            return a if name == "max" else b
        if least >= high:
            return b if name == "max" else a
        choose = max if name == "max" else min
        found = Bounds(choose(low, least), choose(high, most))
        return Formula(self, name, (a, b), None, found)

    def full_like(self, like: Any, value: Any) -> Formula:
        del like
        return self.formula(value)

    def issubdtype(self, dtype: Any, kind: Any) -> bool:
        del dtype, kind
        return True

    def asarray(self, values: Sequence[float], dtype: Any = None) -> Table:
        del dtype
        return Table(values)

    def searchsorted(self, table: Table, x: Any, side: str) -> Formula:
        """How many entries of a sorted table are <= x."""
        assert side == "right"
        x = self.formula(x)
        low, high = (bisect_right(table, end) for end in x.bounds)
        if low == high:
            return self.formula(low)
        return Formula(self, "count", (x,), table, Bounds(low, high))

    def take(self, table: Table, index: Formula) -> Formula:
        """An entry of a table."""
        low, high = (int(end) for end in index.bounds)
        if low == high:
            return self.formula(table[low])
        return Formula(self, "take", (index,), table, _bounded(table[low : high + 1]))

    def elementwise(self, function: Callable[[Any], float], x: Formula) -> Formula:
        """A user's function of the step."""
        return Formula(self, "function", (x,), function, ANYTHING)

    def again(self, formula: Formula, operands: Sequence[Formula]) -> Formula:
        """The same operation on operands of which more is known."""
        detail = formula.detail
        match formula.operation:
            case "number" | "name":
                return formula
            case "call":
                return self.call(detail, *operands)
            case "where":
                return self.where(*operands)
            case "cases":
                return self.cases(operands[0], detail, operands[1:])
            case "min" | "max":
                return self._extreme(formula.operation, *operands)
            case "count":
                return self.searchsorted(detail, operands[0], "right")
            case "take":
                return self.take(detail, operands[0])
            case "function":
                return self.elementwise(detail, *operands)
            case _:
                return self.compute(formula.operation, *operands)


def _reached(operation: str, a: Bounds, b: Bounds) -> Bounds:
    """Between what the result of an operator lies; of a comparison that is decided, that.

    The operations round, but they round the ends of the bounds in the same way.
    """
    if operation in ("or", "and"):
        return TRUTH
    if operation in ("==", "!="):
        differ = a.high < b.low or b.high < a.low
        decided = differ or a.low == a.high == b.low == b.high
        return Bounds(*2 * [differ == (operation == "!=")]) if decided else TRUTH
    if operation in (">=", ">", "<=", "<"):
        found = {OPERATORS[operation](x, y) for x, y in product(a, b)}
        return Bounds(*2 * [found.pop()]) if len(found) == 1 else TRUTH
    if operation == "%":
        is_known = b.low == b.high > 0
        return Bounds(0.0, math.nextafter(b.high, 0.0)) if is_known else ANYTHING
    if operation in ("/", "//") and b.low <= 0 <= b.high:
        return ANYTHING
    if operation == "**" and not (a.low > 0 or (a.low == 0 and b.low >= 0)):
        return ANYTHING
    return _bounded([_corner(operation, x, y) for x, y in product(a, b)])


def _corner(operation: str, x: float, y: float) -> float:
    if operation == "*" and 0 in (x, y):
        return 0.0
    if operation == "//" and math.isinf(x):
        return x * y
    return OPERATORS[operation](x, y)


def _image(name: str, x: Bounds) -> Bounds:
    if name in ("cos", "sin"):
        return Bounds(-1.0, 1.0)
    if name == "abs":
        return Bounds(max(0.0, x.low, -x.high), max(abs(x.low), abs(x.high)))
    if name not in RISING:
        return ANYTHING
    try:
        return _bounded([FUNCTIONS[name](end) for end in x])
    except (ValueError, OverflowError):  # beyond where it is defined, or where it is finite
        return ANYTHING


def _is_needless(condition: Formula, a: Formula, b: Formula) -> bool:
    """Whether this is a product in which 0 would win anyway: `0 if x == 0 or y == 0 else x * y`."""
    if not a.is_number or a.bounds.low != 0 or b.operation != "*":
        return False
    zeros = condition.operands if condition.operation == "or" else (condition,)
    return all(x.bounds.are_finite for x in b.operands) and all(
        zero.operation == "=="
        and zero.operands[1].bounds == (0, 0)
        and any(zero.operands[0].is_same(x) for x in b.operands)
        for zero in zeros
    )


def narrowed(formula: Formula) -> Formula:
    """The formula for code that evaluates only the branch that it is in.

    In a branch more is known of what it was chosen by, so that less has to be guarded against.
    """
    return _narrowed(formula, {}, {})


def _narrowed(formula: Formula, limits: Mapping[int, Bounds], known: dict[int, Formula]) -> Formula:
    if formula.key in known:
        return known[formula.key]
    writer, (x, *branches) = formula.writer, formula.operands or (formula,)
    if formula.operation == "cases":
        x = _narrowed(x, limits, known)
        operands = [x]
        for branch, (begin, end) in zip(
            branches, pairwise([-math.inf, *formula.detail, math.inf]), strict=True
        ):
            own = Bounds(begin, math.nextafter(end, -math.inf) if end < math.inf else end)
            # What is known so far is known of this place; in the branch it is more.
            operands.append(_narrowed(branch, {**limits, x.key: own.within(x.bounds)}, {}))
    else:
        operands = [_narrowed(operand, limits, known) for operand in formula.operands]
    found = writer.again(formula, operands)
    if found.key in limits:
        bounds = found.bounds.within(limits[found.key])
        found = Formula(writer, found.operation, found.operands, found.detail, bounds)
    known[formula.key] = found
    return found


def written(plan: Schedule, base: float | None, *, at: float = 1.0) -> Formula:
    """The formula of a resolved plan's value at `step`.

    Args:
        plan: The plan.
        base: The group's rate; None writes the variable `base`.
        at: The rate for which a plan is compiled whose form depends on it.

    Raises:
        ArgumentError: The plan has too many phases, or a formula that cannot be written down.
    """
    program = plan.compiled(at)
    pieces = program.pieces
    if len(pieces) > MOST_PIECES:
        raise ArgumentError(
            f"export: the plan must come to at most {MOST_PIECES} phases to be written as code "
            f"(got {len(pieces)}); write export('csv')"
        )
    writer = Writer()
    step: Any = writer.name("step", 0.0, FARTHEST)
    rate = writer.name("base", -FARTHEST, FARTHEST) if base is None else writer.formula(base)

    def chosen(terms: Sequence[_array.Term]) -> Formula:
        origins = [piece.origin for piece in pieces]
        return writer.formula(_array.select(step, writer, program.begins, origins, terms))

    def value(p: _array.Term, q: _array.Term) -> _array.Term:
        def evaluate(t: Any, xp: Any) -> Any:
            own, more = (term(t, xp) if callable(term) else term for term in (p, q))
            return _scaled(writer.formula(own), rate) + more

        return evaluate

    try:
        if program.term("q") == 0.0:
            return _scaled(chosen([piece.p for piece in pieces]), rate)
        return chosen([value(piece.p, piece.q) for piece in pieces])
    except (TypeError, AttributeError, ArithmeticError) as error:
        raise ArgumentError(f"export: {plan!r} cannot be written as code: {error}") from error


def _scaled(formula: Formula, rate: Formula) -> Formula:
    """The product with the group's rate, in every branch, so that each is whole."""
    operands = formula.operands
    is_table = len(operands) > FEW and all(branch.is_number for branch in operands[1:])
    if formula.operation not in ("cases", "where") or is_table:
        return rate * formula
    return formula.writer.again(
        formula, [operands[0], *(_scaled(branch, rate) for branch in operands[1:])]
    )
