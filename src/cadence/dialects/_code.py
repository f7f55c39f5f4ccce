"""Formulas as code: Python that needs `math` alone, and `jax.numpy`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

from cadence.dialects._formula import FEW, Formula, narrowed
from cadence.errors import ArgumentError

__all__ = ["Code", "JaxCode", "PythonCode", "number", "short"]

WIDTH = 96
"""Longer lines are cut in two by giving a part a name."""

ATOM, POWER, SIGN, TIMES, PLUS, COMPARE, AND, OR = range(9, 1, -1)
PRECEDENCE = {
    **dict.fromkeys(("*", "/", "//", "%"), TIMES),
    **dict.fromkeys(("+", "-"), PLUS),
    **dict.fromkeys((">=", ">", "<=", "<", "==", "!="), COMPARE),
    "**": POWER,
    "and": AND,
    "or": OR,
}


class Text(NamedTuple):
    """Code of an expression, and how tightly its outermost operator binds."""

    code: str
    precedence: int

    def within(self, precedence: int) -> str:
        return self.code if self.precedence >= precedence else f"({self.code})"


def number(value: float, library: str = "math") -> str:
    """The literal that reads back as this very number; whole ones without `.0` where they fit."""
    if not math.isfinite(value):
        return f"{library}.nan" if math.isnan(value) else f"{'-' * (value < 0)}{library}.inf"
    if value == math.pi:
        return f"{library}.pi"
    is_int = isinstance(value, int) or (abs(value) >= 10 and float(value).is_integer())
    # JAX makes an int32 of an int.
    most = 10**15 if library == "math" else 1 << 31
    return str(int(value)) if is_int and abs(value) < most else repr(float(value))


def short(value: float) -> str:
    """The literal to 15 digits: what a person would write for `2.9999999999999997e-05`."""
    return number(float(f"{value:.15g}"))


class _Scope:
    """One block of code: its lines, and what has a name in it."""

    def __init__(self, indent: str, names: dict[int, str] | None = None) -> None:
        self.indent = indent
        self.names = dict(names or {})
        self.lines: list[str] = []

    def inner(self) -> _Scope:
        return _Scope(f"{self.indent}    ", self.names)

    def add(self, line: str) -> None:
        self.lines.append(f"{self.indent}{line}")


class Code:
    """What both languages share: operators, names for what is needed twice, lines of some width."""

    library: ClassVar[str]

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.helpers: set[str] = set()
        self.constants: dict[str, str] = {}
        self._names = 0

    def body(self, value: Formula, indent: str = "    ") -> list[str]:
        """The lines of a function that returns the value."""
        raise NotImplementedError

    def function_call(self, function: Callable[[Any], float], x: str) -> str:
        """The call of a user's function."""
        raise NotImplementedError

    def choice(self, formula: Formula, scope: _Scope, shared: set[int]) -> Text:
        """The result of `cases` or `where`."""
        raise NotImplementedError

    def looked_up(self, formula: Formula, scope: _Scope, shared: set[int]) -> Text:
        """The result of `take` or `count`."""
        raise NotImplementedError

    def power(self, formula: Formula, base: Text, exponent: Text) -> Text:
        del formula
        return Text(f"{base.within(ATOM)} ** {exponent.within(SIGN)}", POWER)

    def extreme(self, name: str, a: Text, b: Text) -> Text:
        raise NotImplementedError

    def constant(self, name: str, values: tuple[float, ...]) -> str:
        """The name of a table of numbers beside the function."""
        text = f"({', '.join(number(v, self.library) for v in values)}{',' * (len(values) == 1)})"
        for known, same in self.constants.items():
            if same == text:
                return known
        taken = sum(known.startswith(name) for known in self.constants)
        name = f"{name}_{taken + 1}" if taken else name
        self.constants[name] = text
        return name

    def fresh(self) -> str:
        self._names += 1
        return "x" if self._names == 1 else f"x{self._names}"

    def named(self, formula: Formula, text: Text, scope: _Scope) -> Text:
        """Give a result a name in this block."""
        name = self.fresh()
        scope.add(f"{name} = {text.code}")
        scope.names[formula.key] = name
        return Text(name, ATOM)

    def expression(self, value: Formula, scope: _Scope, shared: set[int]) -> Text:
        """The code of a value; lines that have to come before it are added to the block."""
        if value.is_number:
            code = number(value.bounds.low, self.library)
            return Text(code, SIGN if code.startswith("-") else ATOM)
        if value.key in scope.names:
            return Text(scope.names[value.key], ATOM)
        if value.operation == "name":
            return Text(value.detail, ATOM)
        text = self._operation(value, scope, shared)
        if value.key in scope.names:  # a block has given it its name
            return Text(scope.names[value.key], ATOM)
        return self.named(value, text, scope) if value.key in shared else text

    def _operation(self, formula: Formula, scope: _Scope, shared: set[int]) -> Text:
        operation = formula.operation
        if operation in ("cases", "where"):
            return self.choice(formula, scope, shared)
        if operation in ("take", "count"):
            return self.looked_up(formula, scope, shared)
        formula = _subtraction(formula, scope)
        operation, operands = formula.operation, formula.operands
        texts = [self.expression(x, scope, shared) for x in operands]
        while len(texts) == 2 and sum(len(text.code) for text in texts) > WIDTH - 20:
            i = max(range(2), key=lambda i: len(texts[i].code))
            if texts[i].code in scope.names.values():
                break
            texts[i] = self.named(operands[i], texts[i], scope)
        if operation == "call":
            return Text(f"{self.called(formula.detail)}({texts[0].code})", ATOM)
        if operation == "function":
            return Text(self.function_call(formula.detail, texts[0].code), ATOM)
        if operation in ("min", "max"):
            return self.extreme(operation, *texts)
        if operation == "**":
            return self.power(formula, *texts)
        a, b = texts
        level = PRECEDENCE[operation]
        return Text(f"{a.within(level)} {operation} {b.within(level + 1)}", level)

    def called(self, name: str) -> str:
        return f"{self.library}.{name}"


def _subtraction(formula: Formula, scope: _Scope) -> Formula:
    """`a + -0.9 * b` as `a - 0.9 * b`, which is the same to the bit."""
    if formula.operation != "+" or formula.operands[1].key in scope.names:
        return formula
    a, b = formula.operands
    first = b.operands[0] if b.operation == "*" else b
    if not (first.is_number and first.bounds.low < 0):
        return formula
    positive = -first.bounds.low if first is b else -first.bounds.low * b.operands[1]
    found = a - positive
    return found if found.operation == "-" else formula


def shared_in(value: Formula) -> set[int]:
    """What is needed more than once outside of branches, and is worth a name."""
    counts: dict[int, int] = {}

    def visit(part: Formula) -> None:
        if part.operation in ("name", "number"):
            return
        counts[part.key] = counts.get(part.key, 0) + 1
        if counts[part.key] == 1:
            inner = part.operands[:1] if part.operation in ("cases", "where") else part.operands
            for operand in inner:
                visit(operand)

    visit(value)
    return {key for key, count in counts.items() if count > 1}


def _numbers(formulas: Iterable[Formula]) -> tuple[float, ...]:
    return tuple(formula.bounds.low for formula in formulas)


class PythonCode(Code):
    """Python for one step at a time; a branch is evaluated only where it is taken."""

    library = "math"

    def body(self, value: Formula, indent: str = "    ") -> list[str]:
        scope = _Scope(indent)
        self._statement(narrowed(value), scope, "return")
        return scope.lines

    def _statement(self, value: Formula, scope: _Scope, put: str) -> None:
        """Return the value, or assign it (`put` is `"x ="`)."""
        shared = shared_in(value)
        if value.operation not in ("cases", "where"):
            scope.add(f"{put} {self.expression(value, scope, shared).code}")
            return
        if value.operation == "cases" and self._is_table(value):
            scope.add(f"{put} {self._table(value, scope, shared).code}")
            return
        if value.operation == "where":
            conditions = [self.expression(value.operands[0], scope, shared).code]
            branches = [*value.operands[1:]]
        else:
            x = self._atom(value.operands[0], scope, shared)
            conditions = [f"{x} < {number(edge)}" for edge in value.detail]
            branches = [*value.operands[1:]]
        word = "if"
        for condition, branch in zip(conditions, branches, strict=False):
            scope.add(f"{word} {condition}:")
            self._block(branch, scope, put)
            word = "if" if put == "return" else "elif"
        if put == "return":
            self._statement(branches[-1], scope, put)
        else:
            scope.add("else:")
            self._block(branches[-1], scope, put)

    def _block(self, value: Formula, scope: _Scope, put: str) -> None:
        inner = scope.inner()
        self._statement(value, inner, put)
        scope.lines += inner.lines

    def _atom(self, value: Formula, scope: _Scope, shared: set[int]) -> str:
        """A name for what is compared more than once."""
        text = self.expression(value, scope, shared)
        if text.precedence < ATOM:
            text = self.named(value, text, scope)
        return text.code

    def choice(self, formula: Formula, scope: _Scope, shared: set[int]) -> Text:
        if formula.operation == "cases" and self._is_table(formula):
            return self._table(formula, scope, shared)
        name = self.fresh()
        self._statement(formula, scope, f"{name} =")
        scope.names[formula.key] = name
        return Text(name, ATOM)

    @staticmethod
    def _is_table(formula: Formula) -> bool:
        levels = formula.operands[1:]
        return len(levels) > FEW and all(level.is_number for level in levels)

    def _table(self, formula: Formula, scope: _Scope, shared: set[int]) -> Text:
        x, *levels = formula.operands
        where = self._bisected(formula.detail, self.expression(x, scope, shared).code)
        return Text(f"{self.constant('LEVELS', _numbers(levels))}[{where}]", ATOM)

    def _bisected(self, edges: tuple[float, ...], x: str) -> str:
        self.imports.add("from bisect import bisect_right")
        return f"bisect_right({self.constant('EDGES', edges)}, {x})"

    def looked_up(self, formula: Formula, scope: _Scope, shared: set[int]) -> Text:
        x = self.expression(formula.operands[0], scope, shared).code
        if formula.operation == "count":
            return Text(self._bisected(formula.detail, x), ATOM)
        return Text(f"{self.constant('TABLE', formula.detail)}[{x}]", ATOM)

    def power(self, formula: Formula, base: Text, exponent: Text) -> Text:
        if formula.bounds.are_finite:
            return super().power(formula, base, exponent)
        self.helpers.add(POWER_HELPER)
        return Text(f"power({base.code}, {exponent.code})", ATOM)

    def extreme(self, name: str, a: Text, b: Text) -> Text:
        return Text(f"{name}({a.code}, {b.code})", ATOM)

    def called(self, name: str) -> str:
        return "abs" if name == "abs" else super().called(name)

    def function_call(self, function: Callable[[Any], float], x: str) -> str:
        module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
        if module in (None, "__main__") or not name.isidentifier():
            shown = name or type(function).__name__
            raise ArgumentError(
                f"export: the function {shown} must be importable to be called by code (it is "
                f"{'of this script' if module == '__main__' else 'not the attribute of a module'})"
                "; move it to a module, or write export('csv')"
            )
        self.imports.add(f"from {module} import {name}")
        self.helpers.add(WHOLE_HELPER)
        return f"float({name}(whole({x})))"


WHOLE_HELPER = '''\
def whole(step):
    """A whole step as an int."""
    return int(step) if step == int(step) else step
'''
POWER_HELPER = '''\
def power(base, exponent):
    """Growth that saturates, where Python raises."""
    try:
        return base**exponent
    except OverflowError:
        return math.inf
'''


class JaxCode(Code):
    """`jax.numpy` for any array of steps; all branches are evaluated, and one is chosen."""

    library = "jnp"

    def body(self, value: Formula, indent: str = "    ") -> list[str]:
        scope = _Scope(indent)
        text = self.expression(value, scope, shared_in(value))
        if value.is_number:
            text = Text(f"jnp.full_like(step, {text.code})", ATOM)
        scope.add(f"return {text.code}")
        return scope.lines

    def choice(self, formula: Formula, scope: _Scope, shared: set[int]) -> Text:
        if formula.operation == "where":
            condition, a, b = (self._part(x, scope) for x in formula.operands)
            return Text(f"jnp.where({condition}, {a}, {b})", ATOM)
        x, *branches = formula.operands
        step = self.expression(x, scope, shared)
        if step.precedence < ATOM:
            step = self.named(x, step, scope)
        if len(branches) > FEW and all(branch.is_number for branch in branches):
            where = self._searched(formula.detail, step.code)
            levels = self.constant("LEVELS", _numbers(branches))
            return Text(f"jnp.asarray({levels})[{where}]", ATOM)
        parts = [self._part(branch, scope) for branch in branches]
        tests = [f"{step.code} < {number(edge, self.library)}" for edge in formula.detail]
        if len(tests) == 1:
            return Text(f"jnp.where({tests[0]}, {parts[0]}, {parts[1]})", ATOM)
        pairs = [f"({', '.join(group)})" for group in (tests, parts[:-1])]
        return Text(f"jnp.select({pairs[0]}, {pairs[1]}, {parts[-1]})", ATOM)

    def _part(self, value: Formula, scope: _Scope) -> str:
        text = self.expression(value, scope, shared_in(value))
        if len(text.code) > WIDTH // 4 and text.code not in scope.names.values():
            text = self.named(value, text, scope)
        return text.code

    def _searched(self, edges: tuple[float, ...], x: str) -> str:
        return f'jnp.searchsorted(jnp.asarray({self.constant("EDGES", edges)}), {x}, side="right")'

    def looked_up(self, formula: Formula, scope: _Scope, shared: set[int]) -> Text:
        x = self.expression(formula.operands[0], scope, shared).code
        if formula.operation == "count":
            return Text(self._searched(formula.detail, x), ATOM)
        return Text(f"jnp.asarray({self.constant('TABLE', formula.detail)})[{x}]", ATOM)

    def extreme(self, name: str, a: Text, b: Text) -> Text:
        return Text(f"jnp.{name}imum({a.code}, {b.code})", ATOM)

    def function_call(self, function: Callable[[Any], float], x: str) -> str:
        del x
        raise ArgumentError(
            "export: a function of your own cannot be written for JAX (got "
            f"{getattr(function, '__qualname__', function)}); give the plan itself to optax, which "
            "calls the function with a traced step"
        )
