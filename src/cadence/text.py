"""The two stored forms of a plan: a line of text, and JSON.

The text is the Python that one would type, which is what `repr(plan)` prints. It is read by a
small strict grammar and never executed; from loosest to tightest::

    plan      = sum { ">>" sum }
    sum       = product { "+" product }
    product   = operand { "*" operand }
    operand   = primary { "." name [arguments] }
    primary   = number | duration | string | name [arguments]
              | "(" plan ")" | "(" [plan ","] ... ")" | "[" plan "," ... "]"
    arguments = "(" [ [name "="] plan { "," [name "="] plan } [","] ] ")"

What an operand may be is a question of kinds, not of grammar: `>>` joins plans, `+` and `*` take
levels too, and every argument is checked by the class or recipe that is called. Length and
nesting are bounded, so that a text from anywhere costs little and the plan it makes can be
printed, hashed, compared and pickled.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import operator
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, NoReturn

from cadence import recipes
from cadence._checks import given, suggest
from cadence.algebra import Clip, Part, Product, Repeat, Sequence, Stairs, Sum
from cadence.errors import ArgumentError, ArgumentTypeError, CadenceError, ParseError
from cadence.horizon import Duration
from cadence.levels import Absolute, absolute
from cadence.schedule import Leaf, Schedule
from cadence.shapes import Constant, Decay, Function, Ramp

__all__ = ["from_json", "parse", "to_json"]

MAX_LENGTH = 200_000
"""Characters in the text of a plan; a thousand points of a piecewise plan take 20,000."""

MAX_DEPTH = 64
"""Plans inside plans. What walks a plan recurses a few frames for each, out of Python's 1,000."""

# The innermost plan of the deepest one still has brackets of its own: ((0, absolute(1)),).
_MAX_BRACKETS = MAX_DEPTH + 8

# JSON spells out what operators say: about twice as long, and four times for bare phases.
_MAX_JSON_LENGTH = 5 * MAX_LENGTH

# Far more than a float can tell apart, and well before reading digits gets slow.
_MAX_DIGITS = 400

_FORMAT = 1

_TOKEN = re.compile(
    r"""
    \s*(?:
      (?P<name> [^\W\d]\w* )
    | (?P<number> (?: [0-9]+(?:_[0-9]+)* (?: \. (?:[0-9]+(?:_[0-9]+)*)? )?
                    | \.[0-9]+(?:_[0-9]+)* ) (?: [eE][+-]?[0-9]+ )? )
      (?P<duration> \ *% | \w+ )?
    | (?P<string> '(?:[^'\\\n]|\\.)*' | "(?:[^"\\\n]|\\.)*" )
    | (?P<sign> >> | [()\[\],.=*+-] )
    | (?P<end> \Z )
    | (?P<stray> . )
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_BETWEEN_DIGITS = re.compile("(?<=[0-9])_(?=[0-9])")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_WORDS = {"none": None, "true": True, "false": False}
_CLOSING = {"(": ")", "[": "]"}

_RECIPES: dict[str, Callable[..., Any]] = {
    name: getattr(recipes, name)
    for name in recipes.__all__
    if inspect.isfunction(getattr(recipes, name))
}
_METHODS: dict[str, Callable[..., Schedule]] = {
    "clip": Schedule.clip,
    "part": Schedule.part,
    "repeat": Schedule.repeat,
    "stairs": Schedule.stairs,
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {"*": operator.mul, "+": operator.add}
_ABSTRACT: set[type[Schedule]] = {Leaf, Ramp, Decay}
_COMPOSITES: dict[type[Schedule], str] = {
    Sequence: "a >> b",
    Product: "a * b",
    Sum: "a + b",
    Clip: "a.clip(low=0.1)",
    Repeat: "a.repeat(3)",
    Part: "a.part(0, 600)",
    Stairs: "a.stairs(100)",
}
_BY_NAME = (
    "; a function is written by its name, Function('name'), once it has been registered with "
    "@cadence.register"
)
_HINTS = {
    "-": "; to subtract, add a negative number",
    "<": _BY_NAME,
    "lambda": _BY_NAME,
    "{": "; JSON is read by cadence.from_json",
}

# What a class or recipe may raise at arguments that it does not take.
_REFUSALS = (CadenceError, ValueError, TypeError, ArithmeticError, LookupError)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Node(NamedTuple):
    """What has been read: its value, where it begins, and how many plans deep it is."""

    value: Any
    at: int
    depth: int = 0


def parse(text: str) -> Schedule:
    """Read a plan from its text: `parse(repr(plan)) == plan`.

    Beyond what `repr` prints, percentages and durations may be bare (`Warmup(5%)`,
    `Hold(2Btok)`), numbers may hold underscores, names may be in any case, recipes are plans
    (`wsd(5%, 20%)`; `one_cycle(30%)` is its `.lr`, and `.momentum` selects the other), and a
    level alone is a constant plan. Functions are read by the name under which they were
    registered, classes of your own once they are imported. Nothing in the text is executed.

    Args:
        text: At most 200,000 characters, with plans nested at most 64 deep.

    Raises:
        ParseError: The text is not a plan, or a class or recipe refuses its arguments; the
            message points at the character.
        ArgumentTypeError: `text` is not a string.

    >>> parse("warmup(5%) >> cosine(end=0.1)")
    Warmup('5%') >> Cosine(end=0.1)
    >>> parse("Warmup(5%) >> Cosin()")
    Traceback (most recent call last):
    cadence.errors.ParseError: unknown schedule 'Cosin'; did you mean 'Cosine'?
        Warmup(5%) >> Cosin()
                      ^ character 15
    """
    if not isinstance(text, str):
        raise ArgumentTypeError(
            f"parse: 'text' must be the text of a plan (got {type(text).__name__})"
        )
    if len(text) > MAX_LENGTH:
        raise ParseError(
            f"parse: 'text' must be at most {MAX_LENGTH:,} characters (got {len(text):,})"
        )
    return _Parser(text).parsed()


class _Parser:
    """Recursive descent: one method per rule of the grammar, each returning a node."""

    def __init__(self, text: str) -> None:
        self.text = text.rstrip()
        self.tokens: list[_Token] = []
        for match in _TOKEN.finditer(self.text):
            token = match[0].lstrip()
            self.tokens.append(_Token(match.lastgroup or "end", token, match.end() - len(token)))
            if match.lastgroup == "stray":  # no rule takes it, so what comes after never matters
                break
        self.position = 0
        self.brackets = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.position]

    def _next(self) -> _Token:
        token = self.token
        self.position += 1
        return token

    def _accept(self, sign: str) -> _Token | None:
        return self._next() if self.token.text == sign else None

    def _follows(self, *signs: str) -> bool:
        """Whether the token after the next one is one of `signs`."""
        return self.position + 1 < len(self.tokens) and (
            self.tokens[self.position + 1].text in signs
        )

    # Refusals.

    def _refusal(self, at: int, reason: str) -> ParseError:
        return _pointing(self.text, at, reason)

    def _expected(self, what: str, opener: _Token | None = None) -> ParseError:
        token = self.token
        if token.kind == "end":
            found, hint = "the end of the text", ""
            if opener is not None:
                hint = f"; '{opener.text}' at {_place(self.text, opener.at)} is not closed"
        elif token.text in ("'", '"'):
            found, hint = "a quote that is not closed", ""
        else:
            found, hint = f"'{_shortened(token.text, 40)}'", _HINTS.get(token.text, "")
        return self._refusal(token.at, f"expected {what}, found {found}{hint}")

    def _made(self, at: int, make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result of `make`; what it refuses is refused at this place in the text."""
        try:
            return make(*args, **kwargs)
        except _REFUSALS as error:
            raise self._refusal(at, _reason(error, make.__name__)) from error

    def _nested(self, at: int, *inner: int) -> int:
        """The depth of a plan around others of these depths."""
        depth = 1 + max(inner, default=0)
        if depth > MAX_DEPTH:
            raise self._refusal(at, f"plans must be nested at most {MAX_DEPTH} deep")
        return depth

    # The grammar.

    def parsed(self) -> Schedule:
        if self.token.kind == "end":
            raise ParseError(
                "parse: 'text' must not be empty; write a plan such as Warmup(5%) >> Cosine()"
            )
        node = self.plan()
        if self.token.kind != "end":
            raise self._expected("'>>', '+', '*', '.' or the end of the text")
        value = _first_plan(node.value)
        if _is_level(value):
            value = self._made(node.at, Constant, value)
        if not isinstance(value, Schedule):
            raise self._refusal(
                node.at, f"a plan must be a schedule or a level (got {given(value)})"
            )
        return value

    def plan(self) -> _Node:
        first = self.sum()
        if self.token.text != ">>":
            return first
        nodes = [first]
        while self._accept(">>"):
            nodes.append(self.sum())
        parts = []
        for node in nodes:
            value = _first_plan(node.value)
            if not isinstance(value, Schedule):
                hint = f"; a level is written Constant({value!r})" if _is_level(value) else ""
                raise self._refusal(node.at, f"'>>' joins schedules (got {given(value)}){hint}")
            parts.append(value)
        # Nested timelines are flattened, so their own level of nesting does not count.
        inner = (node.depth - isinstance(node.value, Sequence) for node in nodes)
        depth = self._nested(first.at, *inner)
        return _Node(self._joined(parts, nodes), first.at, depth)

    def _joined(self, parts: list[Schedule], nodes: list[_Node]) -> Sequence:
        try:
            return Sequence(tuple(parts))
        except _REFUSALS as error:

            def refused(count: int) -> bool:
                try:
                    Sequence(tuple(parts[:count]))
                except _REFUSALS:
                    return True
                return False

            # Point at the phase with which the timeline stopped making sense.
            counts = range(2, len(parts))
            culprit = nodes[bisect_left(counts, True, key=refused) + 1]
            raise self._refusal(culprit.at, _reason(error, "Sequence")) from error

    def sum(self) -> _Node:
        return self._chain("+", self.product)

    def product(self) -> _Node:
        return self._chain("*", self.operand)

    def _chain(self, sign: str, operand: Callable[[], _Node]) -> _Node:
        left = operand()
        while token := self._accept(sign):
            right = operand()
            values = [_first_plan(node.value) for node in (left, right)]
            for value, node in zip(values, (left, right), strict=True):
                if not (isinstance(value, Schedule) or _is_level(value)):
                    raise self._refusal(
                        node.at, f"'{sign}' combines schedules and levels (got {given(value)})"
                    )
            if not any(isinstance(value, Schedule) for value in values):
                raise self._refusal(
                    token.at,
                    f"'{sign}' must have a schedule on one side (got {given(values[0])} and "
                    f"{given(values[1])})",
                )
            depth = self._nested(token.at, left.depth, right.depth)
            left = _Node(self._made(token.at, _OPERATORS[sign], *values), left.at, depth)
        return left

    def operand(self) -> _Node:
        node = self.primary()
        while self._accept("."):
            name = self.token
            if name.kind != "name":
                raise self._expected("'clip', 'part', 'repeat' or 'stairs'")
            self.position += 1
            word = name.text.casefold()
            if isinstance(node.value, recipes.OneCycle) and word in recipes.OneCycle._fields:
                node = _Node(getattr(node.value, word), node.at, node.depth)
                continue
            value = _first_plan(node.value)
            if not isinstance(value, Schedule):
                raise self._refusal(
                    node.at, f"'.{name.text}' must follow a schedule (got {given(value)})"
                )
            if word not in _METHODS:
                is_pair = isinstance(node.value, recipes.OneCycle)
                fields = recipes.OneCycle._fields if is_pair else ()
                hint = suggest(word[:64], [*_METHODS, *fields])
                *others, last = (f".{method}(...)" for method in _METHODS)
                hint = hint or f"; the text of a plan knows {', '.join(others)} and {last}"
                raise self._refusal(name.at, f"unknown method '{_shortened(name.text, 40)}'{hint}")
            if self.token.text != "(":
                raise self._expected(f"'(' after '{word}'")
            arguments, depth = self.arguments(name, word, _METHODS[word])
            depth = self._nested(name.at, node.depth, depth)
            node = _Node(self._made(name.at, _METHODS[word], value, **arguments), node.at, depth)
        return node

    def primary(self) -> _Node:
        token = self.token
        if token.text in _CLOSING:
            return self.bracketed()
        sign = token.text if token.text in ("+", "-") else ""
        if not sign and token.kind not in ("name", "number", "duration", "string"):
            raise self._expected("a schedule or a value")
        self.position += 1
        if token.kind == "name":
            return self.named(token)
        if token.kind == "string":
            return _Node(self.string(token), token.at)
        digits = self._next() if sign else token
        if digits.kind == "number":
            return _Node(self.number(digits, sign), token.at)
        if digits.kind == "duration":
            # The class that takes it says what it demands, as for a duration in quotes.
            return _Node(sign + _BETWEEN_DIGITS.sub("", digits.text), token.at)
        raise self._refusal(digits.at, f"'{sign}' must be followed by a number")

    def number(self, token: _Token, sign: str) -> float:
        text = token.text
        if len(text) > _MAX_DIGITS:
            raise self._refusal(token.at, f"a number must be at most {_MAX_DIGITS} characters long")
        value = int(text) if text.replace("_", "").isdigit() else float(text)
        return -value if sign == "-" else value

    def string(self, token: _Token) -> str:
        def unescaped(match: re.Match[str]) -> str:
            code = match[1] or match[2] or match[3]
            if code and int(code, 16) <= 0x10FFFF:
                return chr(int(code, 16))
            if match[4] not in _ESCAPED:
                raise self._refusal(token.at + 1 + match.start(), f"unknown escape '{match[0]}'")
            return _ESCAPED[match[4]]

        return _ESCAPE.sub(unescaped, token.text[1:-1])

    def bracketed(self) -> _Node:
        """A plan in brackets, a tuple or a list; a list is read as a tuple."""
        opener = self._open()
        closing = _CLOSING[opener.text]
        nodes: list[_Node] = []
        is_tuple = opener.text == "["
        while not self._accept(closing):
            nodes.append(self.plan())
            if self._accept(","):
                is_tuple = True
            elif self.token.text != closing:
                raise self._expected(f"',' or '{closing}'", opener)
        self.brackets -= 1
        if len(nodes) == 1 and not is_tuple:
            return nodes[0]._replace(at=opener.at)
        depth = max((node.depth for node in nodes), default=0)
        return _Node(tuple(_first_plan(node.value) for node in nodes), opener.at, depth)

    def _open(self) -> _Token:
        opener = self._next()
        self.brackets += 1
        if self.brackets > _MAX_BRACKETS:
            raise self._refusal(opener.at, f"brackets must be nested at most {_MAX_BRACKETS} deep")
        return opener

    def named(self, token: _Token) -> _Node:
        """A call, or one of the words None, True and False."""
        word = token.text
        found = _lookup(word)
        if self.token.text != "(":
            if word.casefold() in _WORDS:
                return _Node(_WORDS[word.casefold()], token.at)
            if found is None:
                raise self._unknown(token)
            quoted = f", or '{word}' in quotes where a string is meant" if self.brackets else ""
            raise self._refusal(
                token.at, f"'{word}' must be called; write {found.__name__}(...){quoted}"
            )
        if found is None:
            raise self._unknown(token)
        if found in _COMPOSITES:
            raise self._refusal(
                token.at, f"'{word}' is not written by name; write {_COMPOSITES[found]}"
            )
        if found in _ABSTRACT:
            raise self._refusal(
                token.at, f"'{word}' is not a shape; write one, such as Linear(...)"
            )
        arguments, depth = self.arguments(token, found.__name__, found)
        made = self._made(token.at, found, **arguments)
        if found is absolute:
            return _Node(made, token.at)
        if found in _RECIPES.values():
            return _Node(made, token.at, _depth(made))
        return _Node(made, token.at, self._nested(token.at, depth))

    def _unknown(self, token: _Token) -> ParseError:
        word = _shortened(token.text, 40)
        hint = _HINTS.get(word) or suggest(word, [*_readable(), *_RECIPES, "absolute"])
        if self.token.text == "(":
            hint = hint or "; a shape of your own must be imported before a text can name it"
            return self._refusal(token.at, f"unknown schedule '{word}'{hint}")
        if self.token.text == ".":
            hint = "; names are written without their module, Cosine() for cd.Cosine()"
        hint = hint or f"; a string is written in quotes, '{word}'"
        return self._refusal(token.at, f"unknown name '{word}'{hint}")

    def arguments(
        self, caller: _Token, where: str, make: Callable[..., Any]
    ) -> tuple[dict[str, Any], int]:
        """The arguments of a call by their names, and the depth of the deepest."""
        opener = self._open()
        known = _parameters(make)
        found: dict[str, Any] = {}
        depth, by_name = 0, False
        while not self._accept(")"):
            token = self.token
            if token.kind == "name" and self._follows("="):
                self.position += 2
                by_name = True
                name = self._argument(where, token, known)
            elif token.text == ",":
                raise self._expected("an argument")
            elif by_name:
                raise self._refusal(
                    token.at, f"{where}: an argument without a name must not follow one with a name"
                )
            elif len(found) == known.placed:
                names = ", ".join(f"{name}=" for name in known.names[known.placed :])
                hint = f"; the others are by name: {names}" if names else ""
                raise self._refusal(
                    token.at,
                    f"{where}: at most {known.placed} argument"
                    f"{'s' * (known.placed != 1)} may be without a name{hint}",
                )
            else:
                name = known.names[len(found)]
            if name in found:
                raise self._refusal(token.at, f"{where}: '{name}' must be given only once")
            is_word = self.token.kind == "name" and self._follows(",", ")")
            if name == "shape" and is_word and make in _RECIPES.values():
                # In Python a recipe's shape may be a class; here its name says the same.
                word = self._next()
                node = _Node(word.text, word.at)
            else:
                node = self.plan()
            found[name] = _first_plan(node.value)
            depth = max(depth, node.depth)
            if not self._accept(",") and self.token.text != ")":
                raise self._expected("',' or ')'", opener)
        self.brackets -= 1
        for name in known.required:
            if name not in found:
                raise self._refusal(caller.at, f"{where}: '{name}' must be given")
        return found, depth

    def _argument(self, where: str, token: _Token, known: _Parameters) -> str:
        if token.text in known.names:
            return token.text
        for name in known.names:
            if _folded(name) == _folded(token.text):
                return name
        hint = suggest(_shortened(token.text, 40), known.names)
        hint = hint or f"; it takes {', '.join(known.names) or 'none'}"
        raise self._refusal(
            token.at, f"{where}: unknown argument '{_shortened(token.text, 40)}'{hint}"
        )


class _Parameters(NamedTuple):
    """What a class, recipe or method can be called with."""

    names: tuple[str, ...]
    placed: int
    required: tuple[str, ...]


@cache
def _parameters(make: Callable[..., Any]) -> _Parameters:
    found = [p for name, p in inspect.signature(make).parameters.items() if name != "self"]
    return _Parameters(
        tuple(p.name for p in found),
        sum(p.kind is not p.KEYWORD_ONLY for p in found),
        tuple(p.name for p in found if p.default is p.empty),
    )


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()


def _lookup(word: str) -> Any:
    """The class, recipe or `absolute` of this name; an exact match goes before another case."""
    tables: list[Mapping[str, Any]] = [Schedule.known, _RECIPES, {"absolute": absolute}]
    for table in tables:
        if word in table:
            return table[word]
    wanted = _folded(word)
    for table in tables:
        for name, found in table.items():
            if _folded(name) == wanted:
                return found
    return None


def _readable() -> list[str]:
    """The names of the classes that a text may call."""
    return [
        name
        for name, kind in Schedule.known.items()
        if kind not in _ABSTRACT and kind not in _COMPOSITES
    ]


def _first_plan(value: Any) -> Any:
    """The value; for the two plans of `one_cycle`, that of the rate."""
    return value.lr if isinstance(value, recipes.OneCycle) else value


def _is_level(value: Any) -> bool:
    return isinstance(value, (int, float, Absolute)) and not isinstance(value, bool)


def _depth(value: Any) -> int:
    """How many plans deep a value is."""
    if isinstance(value, tuple):
        return max(map(_depth, value), default=0)
    if not isinstance(value, Schedule):
        return 0
    fields = dataclasses.fields(value)  # pyright: ignore[reportArgumentType]
    return 1 + max((_depth(getattr(value, field.name)) for field in fields), default=0)


def _reason(error: BaseException, where: str) -> str:
    """What an error says, with its place where it does not name one."""
    return str(error) if isinstance(error, CadenceError) else f"{where}: {error}"


def _shortened(text: str, length: int) -> str:
    """The text with its middle left out where it is longer than `length`."""
    if len(text) <= length:
        return text
    half = (length - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def _pointing(text: str, at: int, reason: str) -> ParseError:
    """An error whose message shows the line and a caret under the character."""
    begin = text.rfind("\n", 0, at) + 1
    stop = text.find("\n", at)
    stop = len(text) if stop < 0 else stop
    left = begin if at - begin <= 60 else at - 50
    right = stop if stop - at <= 40 else at + 30
    before, after = "..." if left > begin else "", "..." if right < stop else ""
    # Tabs, and characters that print as nothing, would put the caret elsewhere.
    shown = "".join(c if c.isprintable() else " " for c in text[left:right])
    caret = " " * (len(before) + at - left) + "^"
    reason = _shortened(reason, 600)
    return ParseError(f"{reason}\n    {before}{shown}{after}\n    {caret} {_place(text, at)}")


def _place(text: str, at: int) -> str:
    column = at - text.rfind("\n", 0, at)
    line = text.count("\n", 0, at) + 1
    return f"line {line}, character {column}" if "\n" in text else f"character {column}"


def to_json(plan: Schedule) -> str:
    """Write a plan as JSON: a tree that other programs can read, with the format's version.

    Each plan is an object with its `"type"` and the fields that are not at their default;
    levels are numbers or `{"absolute": 1e-06}`, durations strings, functions registered names.

    Raises:
        ArgumentTypeError: `plan` is not a schedule, or holds something that JSON cannot.
        ArgumentError: A function is not registered, a class is not known by name, or plans are
            nested more than 64 deep.

    >>> from cadence import Cosine, absolute
    >>> to_json(Cosine("3ep", end=absolute(1e-6)))
    '{"cadence": 1, "plan": {"type": "Cosine", "steps": "3ep", "end": {"absolute": 1e-06}}}'
    """
    if not isinstance(plan, Schedule):
        raise ArgumentTypeError(f"to_json: 'plan' must be a schedule (got {given(plan)})")
    return json.dumps({"cadence": _FORMAT, "plan": _encoded(plan, 1)}, allow_nan=False)


def _encoded(value: Any, depth: int) -> Any:
    if isinstance(value, Schedule):
        return _encoded_plan(value, depth)
    if isinstance(value, Absolute):
        return {"absolute": value.value}
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_encoded(item, depth) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ArgumentError(f"to_json: numbers must be finite (got {given(value)})")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ArgumentTypeError(
        f"to_json: fields must be numbers, strings, levels, lengths, plans or tuples of them "
        f"(got {given(value)})"
    )


def _encoded_plan(plan: Schedule, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise ArgumentError(f"to_json: plans must be nested at most {MAX_DEPTH} deep")
    kind = type(plan)
    if kind.__name__ not in Schedule.known or kind in _ABSTRACT:
        raise ArgumentError(
            f"to_json: {kind.__name__} cannot be read back by name, being private or abstract"
        )
    tree: dict[str, Any] = {"type": kind.__name__}
    for field in dataclasses.fields(plan):  # pyright: ignore[reportArgumentType]
        value = getattr(plan, field.name)
        if field.name == "type":
            raise ArgumentError(
                f"to_json: a field must not be named 'type' (got {kind.__name__}); JSON says the "
                "class there"
            )
        if value == field.default:
            continue
        if isinstance(plan, Function) and field.name == "function":
            if plan.name is None:
                raise ArgumentError(
                    f"to_json: a function must be registered to be stored (got {given(plan)}); "
                    "register it with @cadence.register"
                )
            value = plan.name
        tree[field.name] = _encoded(value, depth + 1)
    return tree


def from_json(data: str | Mapping[str, Any]) -> Schedule:
    """Read a plan from its JSON: `from_json(to_json(plan)) == plan`.

    Args:
        data: The JSON text, or what `json.loads` makes of it.

    Raises:
        ParseError: It is not JSON, of another version, or not a plan; the message says where.
        ArgumentTypeError: `data` is neither a string nor a mapping.

    >>> from_json('{"cadence": 1, "plan": {"type": "Cosine", "steps": "3ep"}}')
    Cosine('3ep')
    """
    if isinstance(data, str):
        data = _loaded(data)
    elif not isinstance(data, Mapping):
        raise ArgumentTypeError(
            f"from_json: 'data' must be JSON text or a mapping (got {type(data).__name__})"
        )
    if not isinstance(data, Mapping):
        raise ParseError(
            f"from_json: expected an object with 'cadence' and 'plan' (got {_briefly(data)})"
        )
    version = data.get("cadence")
    if isinstance(version, int) and version > _FORMAT:
        raise ParseError(
            f"from_json: version {given(version)} of the format is newer than this Cadence, which "
            f"reads version {_FORMAT}; upgrade cadence"
        )
    if version != _FORMAT or isinstance(version, bool):
        raise ParseError(
            f"from_json: 'cadence' must be the version of the format, {_FORMAT} "
            f"(got {_briefly(version)})"
        )
    for key in data:
        if key not in ("cadence", "plan"):
            hint = suggest(str(key)[:64], ["cadence", "plan"])
            raise ParseError(f"from_json: unknown key {given(key)}{hint}")
    return _decoded_plan(data.get("plan"), "plan", 1)


def _loaded(text: str) -> Any:
    if len(text) > _MAX_JSON_LENGTH:
        raise ParseError(
            f"from_json: 'data' must be at most {_MAX_JSON_LENGTH:,} characters (got {len(text):,})"
        )

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise ParseError(f"from_json: {given(name)} must be given only once in an object")
            found[name] = value
        return found

    def refuse(word: str) -> NoReturn:
        raise ParseError(f"from_json: {word} is not a number in JSON")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except ParseError:
        raise
    except json.JSONDecodeError as error:
        raise _pointing(text, error.pos, f"from_json: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise ParseError(f"from_json: {error}") from error


def _decoded(value: Any, path: str, depth: int, lists: int = 0) -> Any:
    if isinstance(value, Mapping):
        if "absolute" not in value:
            return _decoded_plan(value, path, depth)
        if len(value) > 1:
            raise ParseError(f"{path}: 'absolute' must stand alone in its object")
        level = _decoded(value["absolute"], path, depth, lists + 1)
        return _built(path, absolute, value=level)
    if isinstance(value, (list, tuple)):
        if lists == 8:
            raise ParseError(f"{path}: lists must be nested at most 8 deep")
        return tuple(
            _decoded(item, f"{path}[{i}]", depth, lists + 1) for i, item in enumerate(value)
        )
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ParseError(f"{path}: must be a JSON value (got {type(value).__name__})")


def _decoded_plan(tree: Any, path: str, depth: int) -> Schedule:
    if depth > MAX_DEPTH:
        raise ParseError(f"{path[:60]}...: plans must be nested at most {MAX_DEPTH} deep")
    name = tree.get("type") if isinstance(tree, Mapping) else None
    if not isinstance(name, str):
        raise ParseError(
            f"{path}: must be a schedule, an object with its 'type' (got {_briefly(tree)})"
        )
    kind = Schedule.known.get(name)
    if kind in _ABSTRACT:
        raise ParseError(f"{path}: '{name}' is not a shape; write one, such as 'Linear'")
    if kind is None:
        hint = suggest(name[:64], [*_readable(), *(kind.__name__ for kind in _COMPOSITES)])
        hint = hint or "; a shape of your own must be imported before JSON can name it"
        raise ParseError(f"{path}: unknown type '{_shortened(name, 40)}'{hint}")
    known = _parameters(kind)
    for key in tree:
        if key not in known.names and key != "type":
            hint = suggest(str(key)[:64], known.names)
            hint = hint or f"; it takes {', '.join(known.names) or 'none'}"
            raise ParseError(f"{path}: {name}: unknown field {given(key)}{hint}")
    for key in known.required:
        if key not in tree:
            raise ParseError(f"{path}: {name}: '{key}' must be given")
    fields = {
        key: _decoded(value, f"{path}.{key}", depth + 1)
        for key, value in tree.items()
        if key != "type"
    }
    return _built(path, kind, **fields)


def _built(path: str, make: Callable[..., Any], **fields: Any) -> Any:
    try:
        return make(**fields)
    except _REFUSALS as error:
        raise ParseError(_shortened(f"{path}: {_reason(error, make.__name__)}", 600)) from error


def _briefly(value: Any) -> str:
    """A JSON value in a message; what may be large or deep is named by its kind."""
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else given(value)
