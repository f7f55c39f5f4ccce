"""The text and JSON forms of plans: what reads back, what is refused, and how it is said."""

import copy
import inspect
import json
import pickle
import time
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cadence as cd
from cadence import (
    Constant,
    Cosine,
    ExponentialDecay,
    Function,
    Hold,
    Hyperbolic,
    InverseSqrt,
    Linear,
    MultiStepDecay,
    OneMinusSqrt,
    PiecewiseLinear,
    Schedule,
    StepDecay,
    Tanh,
    Warmup,
    absolute,
    from_json,
    parse,
    recipes,
    to_json,
)
from cadence.algebra import Sequence
from cadence.errors import ArgumentError, ArgumentTypeError, ParseError
from cadence.text import MAX_DEPTH, MAX_LENGTH
from cases import CASES
from strategies import plans


@cd.register
def text_halving(step):
    return 0.5 ** (step // 30)


class TextWave(cd.Ramp):
    """A ramp of one's own, with a field of each kind that text and JSON can hold."""

    note: str = ""
    wraps: bool = False
    marks: tuple = ()
    inner: Schedule | None = None
    scale: float = 1.0

    def curve(self, u, xp):
        return u


class _TextPrivate(cd.Ramp):
    def curve(self, u, xp):
        return u


# Beside the rows of `cases.py`: lengths in other units, numbers that print oddly, own classes.
OTHERS = [
    Warmup("5%", start=0, shape="cosine"),
    Cosine(),
    Cosine("3ep", start=0.5, end=absolute(1e-6), k=2.5),
    Cosine(end=-0.25),
    OneMinusSqrt("20%"),
    Tanh(10, lower=-3, upper=3.5),
    Hyperbolic("1.5Mtok", upper=1),
    Hold(),
    Hold("2Btok"),
    Constant(absolute(1e-300), "4Ksamples"),
    Constant(1e22, 3),
    StepDecay("1ep", factor=0.5, steps=9, start=absolute(1)),
    MultiStepDecay((30,)),
    MultiStepDecay((30, "2ep", 80), 0.5),
    ExponentialDecay(0.97, per="1ep"),
    InverseSqrt("10Mtok", start=2),
    PiecewiseLinear(((0, 0.1), (10, absolute(1)), ("50%", 1e-9))),
    Function(text_halving, steps="10%"),
    TextWave(5, note='it\'s a "test" \\ \n\t\x00 é', wraps=True, marks=((1, "a"), ()), scale=2.5),
    TextWave(inner=TextWave(inner=Cosine(5) >> Hold(5) * 0.5)),
    Warmup("5%") >> Hold() >> OneMinusSqrt("20%"),
    (Warmup(5) >> Hold(5)) * 0.5,
    Cosine(10) * (Hold(3) >> Linear(3)) + absolute(1e-5),
    (Cosine(10) + 0.1) * 2,
    Cosine(10) + (Hold(5) + 0.1),
    Cosine(10) * (Hold(5) * -0.1),
    (Cosine(10) * StepDecay(3)).clip(low=absolute(1e-6)),
    (Cosine(10) >> Hold(5)).clip(high=0.5).clip(low=-1, high=2),
    Cosine(10).repeat(3, length_mult=2, peak_mult=0.5) >> Hold(),
    (Warmup("10%") >> Cosine()).repeat(4, over="50%") >> Cosine(end=0.1),
    (Warmup("5%") >> Cosine()).part(0, 600) >> OneMinusSqrt("2ep") >> Hold(),
    (Warmup(500) >> Cosine(9500)).part(600, 1000, steps=2400),
    Cosine().part(600),
    Cosine("3ep").part(60, steps="10%").part(5, 5).clip(low=0.1),
    (Cosine(10) * 0.5).part(0, steps=0),
    StepDecay(30).part(60),
]

EVERY = [case.plan for case in CASES] + OTHERS


@pytest.mark.parametrize("plan", EVERY, ids=repr)
def test_every_plan_reads_back_equal_from_its_repr(plan):
    """`parse(repr(plan)) == plan` for every shape, composition and recipe."""
    assert parse(repr(plan)) == plan


@pytest.mark.parametrize("plan", EVERY, ids=repr)
def test_every_plan_reads_back_equal_from_its_json(plan):
    """`from_json(to_json(plan)) == plan`, from the text and from what `json.loads` makes of it."""
    text = to_json(plan)
    assert from_json(text) == plan
    assert from_json(json.loads(text)) == plan


@given(plans() | st.sampled_from(EVERY))
def test_random_compositions_read_back_equal(plan):
    """Text and JSON give back an equal plan, whatever it is composed of."""
    assert parse(repr(plan)) == plan
    assert from_json(to_json(plan)) == plan


GOOD = {
    # Durations, bare and in quotes.
    "Warmup(5%)": Warmup("5%"),
    "Warmup( 5 % )": Warmup("5%"),
    "Warmup('5%')": Warmup("5%"),
    'Warmup("1500 Ktok")': Warmup("1.5Mtok"),
    "Cosine(3ep)": Cosine("3ep"),
    "Hold(2Btok)": Hold("2Btok"),
    "Hold(.5Msamples)": Hold("500Ksamples"),
    "Hold(500steps)": Hold(500),
    "Hold(1_000ep)": Hold("1000ep"),
    # Numbers and levels.
    "Hold(1_000)": Hold(1000),
    "Cosine(end=+.1)": Cosine(end=0.1),
    "Cosine(end=- 1e-1)": Cosine(end=-0.1),
    "Cosine(end=1_0.2_5E+2)": Cosine(end=1025.0),
    "Cosine(end=absolute(value=1e-6))": Cosine(end=absolute(1e-6)),
    "Cosine(end=(0.1))": Cosine(end=0.1),
    "0.5": Constant(0.5),
    "-2": Constant(-2),
    "absolute(1e-3)": Constant(absolute(1e-3)),
    "(0.5)": Constant(0.5),
    # Tuples and lists.
    "PiecewiseLinear(((0, 0.1), (100, 1)))": PiecewiseLinear(((0, 0.1), (100, 1))),
    "PiecewiseLinear([[0, 0.1], (50%, 1),])": PiecewiseLinear(((0, 0.1), ("50%", 1))),
    "MultiStepDecay([30, 60])": MultiStepDecay((30, 60)),
    "MultiStepDecay((30,))": MultiStepDecay((30,)),
    "MultiStepDecay([30])": MultiStepDecay((30,)),
    "MultiStepDecay(())": MultiStepDecay(()),
    # Names in any case, arguments by place or by name, commas at the end, white space.
    "WARMUP(5) >> cosine(END=0.1)": Warmup(5) >> Cosine(end=0.1),
    "one_minus_sqrt(5)": OneMinusSqrt(5),
    "warmupcosine(5)": recipes.warmup_cosine(5),
    "Cosine(steps=5, end=0.1,)": Cosine(5, end=0.1),
    "Cosine(none)": Cosine(),
    "Cosine(None, start=None)": Cosine(),
    "\n  Warmup(5)\n\t>>\n  Cosine()\n": Warmup(5) >> Cosine(),
    "Cosine ( ) . clip ( low = 0.1 )": Cosine().clip(low=0.1),
    # Operators.
    "Hold(1) >> Hold(2) >> Hold(3)": Hold(1) >> Hold(2) >> Hold(3),
    "Hold(1) >> (Hold(2) >> Hold(3))": Hold(1) >> Hold(2) >> Hold(3),
    "0.5 * Cosine() + 0.1": Cosine() * 0.5 + 0.1,
    "absolute(1e-6) + Cosine()": Cosine() + absolute(1e-6),
    "Cosine() + -0.1": Cosine() + -0.1,
    "Hold(1) >> Hold(2) + Hold(3) * 2": Hold(1) >> (Hold(2) + (Hold(3) * 2)),
    "((((Hold(1)))))": Hold(1),
    # Methods.
    "Cosine(5).clip(0.1, 0.5)": Cosine(5).clip(0.1, 0.5),
    "Cosine(5).Clip(high=absolute(1)).Repeat()": Cosine(5).clip(high=absolute(1)).repeat(),
    "Cosine(50%).repeat(times=2, over=1ep)": Cosine("50%").repeat(2, over="1ep"),
    "Cosine(50).Part(start=10, stop=none, steps=10%)": Cosine(50).part(10, steps="10%"),
    "Cosine(50).part(10, 20, steps=10)": Cosine(50).part(10, 20),
    "Cosine(50).part(10, steps=40)": Cosine(50).part(10),
    "Cosine(50).stairs(1ep)": Cosine(50).stairs("1ep"),
    # Recipes.
    "wsd(5%, 20%)": recipes.wsd("5%", "20%"),
    "wsd(shape=Linear)": recipes.wsd(shape=Linear),
    "wsd(shape='linear', end=absolute(1e-6))": recipes.wsd(shape=Linear, end=absolute(1e-6)),
    "one_cycle(30%)": recipes.one_cycle("30%").lr,
    "one_cycle(30%).lr": recipes.one_cycle("30%").lr,
    "one_cycle(momentum=(0.9, 0.8)).momentum": recipes.one_cycle(momentum=(0.9, 0.8)).momentum,
    "(one_cycle()).momentum.clip(high=absolute(0.9))": recipes.one_cycle().momentum.clip(
        high=absolute(0.9)
    ),
    "one_cycle(10) >> Hold(5)": recipes.one_cycle(10).lr >> Hold(5),
    "2 * one_cycle(three_phase=True)": recipes.one_cycle(three_phase=True).lr * 2,
    "one_cycle().clip(low=0.1)": recipes.one_cycle().lr.clip(low=0.1),
    "noam(512, factor=2) * 0.5": recipes.noam(512, factor=2) * 0.5,
    # Functions and shapes of one's own.
    "Function('text_halving', steps=5%)": Function(text_halving, steps="5%"),
    "textwave(inner=one_cycle())": TextWave(inner=recipes.one_cycle().lr),
    r"TextWave(note='\x41\u00e9\U0001F600\'\"\\')": TextWave(note="Aé😀'\"\\"),
}


@pytest.mark.parametrize("text", GOOD)
def test_good_texts(text):
    """What one may type beside the plan's own repr means what it looks like."""
    assert parse(text) == GOOD[text]


@pytest.mark.parametrize("name", [n for n in recipes.__all__ if n != "OneCycle"])
def test_every_recipe_is_known_by_name(name):
    """A text may call each recipe, with its arguments by name."""
    recipe = getattr(recipes, name)
    parameters = inspect.signature(recipe).parameters.values()
    # Whatever is required takes a 10; `sgdr` needs one of two.
    arguments = {p.name: 10 for p in parameters if p.default is p.empty or p.name == "first"}
    made = recipe(**arguments)
    text = ", ".join(f"{key}={value}" for key, value in arguments.items())
    assert parse(f"{name}({text})") == (made.lr if name == "one_cycle" else made)


# Each block is one whole message; the text that provokes it is its second line.
BAD = r"""
unknown schedule 'Cosin'; did you mean 'Cosine'?
    Cosin()
    ^ character 1

unknown schedule 'Cosin'; did you mean 'Cosine'?
    Hold(5) >> Cosin(1)
               ^ character 12

unknown schedule 'warmup_cosin'; did you mean 'warmup_cosine'?
    warmup_cosin()
    ^ character 1

unknown schedule 'absolut'; did you mean 'absolute'?
    Cosine(end=absolut(1))
               ^ character 12

unknown schedule 'Qqqqqq'; a shape of your own must be imported before a text can name it
    Qqqqqq(5)
    ^ character 1

'Cosine' must be called; write Cosine(...)
    Cosine
    ^ character 1

'wsd' must be called; write wsd(...)
    wsd >> Hold()
    ^ character 1

'Cosine' must be called; write Cosine(...), or 'Cosine' in quotes where a string is meant
    Warmup(5, shape=Cosine)
                    ^ character 17

unknown name 'steps'; a string is written in quotes, 'steps'
    Cosine(steps)
           ^ character 8

unknown name 'halving'; a string is written in quotes, 'halving'
    Function(halving)
             ^ character 10

unknown name 'cd'; names are written without their module, Cosine() for cd.Cosine()
    cd.Cosine()
    ^ character 1

'Ramp' is not a shape; write one, such as Linear(...)
    Ramp(5)
    ^ character 1

'decay' is not a shape; write one, such as Linear(...)
    decay()
    ^ character 1

'Leaf' is not a shape; write one, such as Linear(...)
    Leaf()
    ^ character 1

'Sequence' is not written by name; write a >> b
    Sequence((Hold(1), Hold(2)))
    ^ character 1

'Product' is not written by name; write a * b
    Product(Hold(1), 2)
    ^ character 1

'sum' is not written by name; write a + b
    sum(Hold(1), 2)
    ^ character 1

'Clip' is not written by name; write a.clip(low=0.1)
    Clip(Hold(1), 2)
    ^ character 1

'Repeat' is not written by name; write a.repeat(3)
    Repeat(Hold(1), 2)
    ^ character 1

'part' is not written by name; write a.part(0, 600)
    part(Hold(1), 2)
    ^ character 1

'Stairs' is not written by name; write a.stairs(100)
    Stairs(Hold(1), 2)
    ^ character 1

Cosine: unknown argument 'ends'; did you mean 'end'?
    Cosine(ends=0.1)
           ^ character 8

Cosine: unknown argument 'T_max'; it takes steps, start, end, k, power
    Cosine(5, T_max=3)
              ^ character 11

absolute: unknown argument 'v'; it takes value
    absolute(v=3)
             ^ character 10

repeat: unknown argument 'time'; did you mean 'times'?
    Hold(1).repeat(time=3)
                   ^ character 16

Cosine: at most 1 argument may be without a name; the others are by name: start=, end=, k=, power=
    Cosine(10, 0.1)
               ^ character 12

Hold: at most 1 argument may be without a name
    Hold(10, 0.1)
             ^ character 10

Constant: at most 2 arguments may be without a name
    Constant(1, 2, 3)
                   ^ character 16

budgeted_linear: at most 0 arguments may be without a name; the others are by name: end=
    budgeted_linear(5)
                    ^ character 17

Cosine: 'end' must be given only once
    Cosine(end=1, end=2)
                  ^ character 15

Cosine: 'end' must be given only once
    Cosine(end=1, END=2)
                  ^ character 15

Cosine: 'steps' must be given only once
    Cosine(5, steps=5)
              ^ character 11

Cosine: an argument without a name must not follow one with a name
    Cosine(end=1, 5)
                  ^ character 15

Geometric: 'end' must be given
    Geometric(5)
    ^ character 1

StepDecay: 'every' must be given
    Hold() >> StepDecay()
              ^ character 11

exp_range: 'factor' must be given
    exp_range(5)
    ^ character 1

absolute: 'value' must be given
    absolute()
    ^ character 1

Cosine: 'steps' must be >= 0 (got -9)
    Cosine(-9)
    ^ character 1

Cosine: 'steps' must be a whole number of steps or a duration such as '5%', '3ep', '4Ksamples' or '2Btok' (got 1.0); write 1
    Hold() >> Cosine(1.0)
              ^ character 11

Warmup: 'steps' must be a whole number of steps or a duration such as '5%', '3ep', '4Ksamples' or '2Btok' (got '5k')
    Warmup(5k)
    ^ character 1

Cosine: 'end' must be a number (got '5%')
    Cosine(end=5%)
    ^ character 1

Cosine: 'end' must be a number (got '0x10')
    Cosine(end=0x10)
    ^ character 1

Cosine: 'end' must be a number (got True)
    Cosine(end=True)
    ^ character 1

Cosine: 'end' must be a number (got Hold(5))
    Cosine(end=Hold(5))
    ^ character 1

Constant: 'level' must be finite (got inf)
    Constant(1e999)
    ^ character 1

Constant: 'level' must be finite (got -inf)
    -1e999
    ^ character 1

absolute: 'value' must be a number (got Hold(1))
    absolute(Hold(1))
    ^ character 1

Warmup: 'shape' must be one of 'linear', 'cosine' (got 'linar'); did you mean 'linear'?
    Warmup(5, shape='linar')
    ^ character 1

wsd: 'shape' must be a ramp such as 'Cosine' (got 'linar'); did you mean 'Linear'?
    wsd(shape=linar)
    ^ character 1

Function: 'function' must be a callable or a registered name (got 'text_halvin'); did you mean 'text_halving'?; register it with @cadence.register
    Function('text_halvin')
    ^ character 1

Function: 'function' must be a callable (got 5)
    Function(5)
    ^ character 1

clip: 'low' or 'high' must be given (got neither)
    Hold(5).clip()
            ^ character 9

repeat: 'times' must be >= 1 (got 0)
    Hold(5).repeat(0)
            ^ character 9

part: 'stop' must be a whole number, a step of the plan (got '10%'); only 'steps' may be a duration
    Hold(5).part(0, 10%)
            ^ character 9

part: 'start' must be given
    Hold(5).part(stop=3)
            ^ character 9

part: at most 2 arguments may be without a name; the others are by name: steps=
    Hold(5).part(0, 3, 10)
                       ^ character 20

Sequence: at most one phase may be without a length (got Hold() and Cosine()); give all but one of them steps
    Hold(1) >> Hold() >> Hold(2) >> Cosine() >> Hold(3)
                                    ^ character 33

Sequence: an endless phase may only be the last (got StepDecay(5) before Hold(5)); give it steps
    StepDecay(5) >> Hold(5)
                    ^ character 17

Sequence: the phases must not exceed 100 % of the run (got 110 %)
    Hold(60%) >> Hold(30%) >> Hold(20%) >> Hold()
                              ^ character 27

Product: at most one side may hold absolute levels (got Constant(absolute(1)) and Constant(absolute(2))); make the levels of one side multiples
    Constant(absolute(1)) * Constant(absolute(2))
                          ^ character 23

'>>' joins schedules (got 0.5); a level is written Constant(0.5)
    0.5 >> Cosine()
    ^ character 1

'>>' joins schedules (got '5%')
    Hold(5) >> '5%'
               ^ character 12

'>>' joins schedules (got (1, 2))
    Hold(5) >> (1, 2)
               ^ character 12

'*' must have a schedule on one side (got 2 and 3)
    2 * 3 * Cosine()
      ^ character 3

'+' must have a schedule on one side (got absolute(1) and 1)
    absolute(1) + 1
                ^ character 13

'*' combines schedules and levels (got '5%')
    Cosine() * 5%
               ^ character 12

'*' combines schedules and levels (got True)
    True * Cosine()
    ^ character 1

'+' combines schedules and levels (got None)
    Cosine() + None
               ^ character 12

a plan must be a schedule or a level (got '5%')
    5%
    ^ character 1

a plan must be a schedule or a level (got 'Cosine()')
    'Cosine()'
    ^ character 1

expected '>>', '+', '*', '.' or the end of the text, found ','
    Hold(5), Hold(6)
           ^ character 8

a plan must be a schedule or a level (got (Hold(5), 6))
    (Hold(5), 6)
    ^ character 1

a plan must be a schedule or a level (got None)
    none
    ^ character 1

'.clip' must follow a schedule (got absolute(1))
    absolute(1).clip(low=1)
    ^ character 1

unknown method 'plot'; the text of a plan knows .clip(...), .part(...), .repeat(...) and .stairs(...)
    Cosine(5).plot()
              ^ character 11

unknown method '__class__'; the text of a plan knows .clip(...), .part(...), .repeat(...) and .stairs(...)
    Cosine(5).__class__()
              ^ character 11

unknown method 'clp'; did you mean 'clip'?
    Cosine(5).clp(1)
              ^ character 11

unknown method 'momentun'; did you mean 'momentum'?
    one_cycle().momentun
                ^ character 13

unknown method 'lr'; the text of a plan knows .clip(...), .part(...), .repeat(...) and .stairs(...)
    Cosine(5).lr
              ^ character 11

expected '(' after 'clip', found the end of the text
    Cosine(5).clip
                  ^ character 15

expected 'clip', 'part', 'repeat' or 'stairs', found '('
    Cosine(5).(5)
              ^ character 11

expected a schedule or a value, found the end of the text
    Cosine(
           ^ character 8

expected ',' or ')', found the end of the text; '(' at character 7 is not closed
    Cosine(5
            ^ character 9

expected ',' or ']', found the end of the text; '[' at character 16 is not closed
    MultiStepDecay([5, 6
                        ^ character 21

expected ',' or ']', found ')'
    MultiStepDecay([5, 6)
                        ^ character 21

expected ',' or ')', found '6'
    Cosine(5 6)
             ^ character 10

expected an argument, found ','
    Cosine(,)
           ^ character 8

expected an argument, found ','
    Cosine(5,,)
             ^ character 10

expected a schedule or a value, found '='
    Cosine(end==1)
               ^ character 12

expected a schedule or a value, found '*'
    Cosine(*5)
           ^ character 8

expected ',' or ')', found '/'
    Cosine(1/2)
            ^ character 9

expected '>>', '+', '*', '.' or the end of the text, found ')'
    Cosine(5))
             ^ character 10

expected '>>', '+', '*', '.' or the end of the text, found 'Hold'
    Hold(5) Hold(6)
            ^ character 9

expected '>>', '+', '*', '.' or the end of the text, found '>'
    Hold(5) > Hold(6)
            ^ character 9

expected a schedule or a value, found '>'
    Hold(5) >>> Hold(6)
              ^ character 11

expected a schedule or a value, found '>>'
    >> Hold(5)
    ^ character 1

expected a schedule or a value, found the end of the text
    Hold(5) >>
              ^ character 11

expected '>>', '+', '*', '.' or the end of the text, found '-'; to subtract, add a negative number
    Cosine() - 0.1
             ^ character 10

'-' must be followed by a number
    -Cosine()
     ^ character 2

'-' must be followed by a number
    --5
     ^ character 2

'-' must be followed by a number
    Cosine(end=-)
                ^ character 13

expected a schedule or a value, found a quote that is not closed
    Cosine(end='x)
               ^ character 12

unknown escape '\q'
    TextWave(note='\q')
                   ^ character 16

unknown escape '\UFFFFFFFF'
    TextWave(note='ab\UFFFFFFFF')
                     ^ character 18

expected a schedule or a value, found '#'
    # a comment
    ^ character 1

expected '>>', '+', '*', '.' or the end of the text, found ';'
    Hold(5) ; Hold(6)
            ^ character 9

expected a schedule or a value, found '{'; JSON is read by cadence.from_json
    {"cadence": 1}
    ^ character 1

expected a schedule or a value, found '<'; a function is written by its name, Function('name'), once it has been registered with @cadence.register
    Function(<function f at 0x1>)
             ^ character 10

unknown name 'lambda'; a function is written by its name, Function('name'), once it has been registered with @cadence.register
    Function(lambda t: t)
             ^ character 10

unknown schedule '__import__'; a shape of your own must be imported before a text can name it
    __import__('os')
    ^ character 1

unknown method '__init__'; the text of a plan knows .clip(...), .part(...), .repeat(...) and .stairs(...)
    Cosine(5).__init__.__globals__
              ^ character 11
""".strip().split("\n\n")  # noqa: E501


@pytest.mark.parametrize("message", BAD, ids=lambda message: message.split("\n")[1].strip())
def test_bad_texts(message):
    """The message says what is wrong, shows the text, and points at the character."""
    with pytest.raises(ParseError) as caught:
        parse(message.split("\n")[1].strip())
    assert str(caught.value) == message


def test_a_refusal_keeps_its_cause():
    """What a class refused is the cause of the error, with the original message inside."""
    with pytest.raises(ParseError) as caught:
        parse("Hold(5) >> Cosine(1.0)")
    cause = caught.value.__cause__
    assert type(cause) is ArgumentTypeError
    assert str(cause).endswith("(got 1.0); write 1")
    assert str(caught.value) == f"{cause}\n    Hold(5) >> Cosine(1.0)\n{' ' * 15}^ character 12"


def test_several_lines_are_counted():
    """In a text of several lines the message shows the one and tells its number."""
    with pytest.raises(ParseError) as caught:
        parse("\nWarmup(5)\n\t>> Cosine(\n    ends=0.1,\n)\n")
    assert str(caught.value) == (
        "Cosine: unknown argument 'ends'; did you mean 'end'?\n"
        "        ends=0.1,\n"
        "        ^ line 4, character 5"
    )
    with pytest.raises(ParseError, match=r"'\(' at line 1, character 7 is not closed"):
        parse("Cosine(\n5")


def test_a_tab_does_not_move_the_caret():
    """Characters that print wider, or not at all, are shown as one blank."""
    with pytest.raises(ParseError) as caught:
        parse("Hold(5)\t>>\x0bHuld(5)")
    assert str(caught.value).split("\n")[1:] == [
        "    Hold(5) >> Huld(5)",
        f"{' ' * 15}^ character 12",
    ]


def test_long_texts_are_shown_around_the_error():
    """A long text is cut on both sides, and the caret still points at the character."""
    before, after = "Hold(1) >> " * 50, " >> Hold(1)" * 50
    with pytest.raises(ParseError) as caught:
        parse(f"{before}Huld(1){after}")
    first, shown, caret = str(caught.value).split("\n")
    assert first == "unknown schedule 'Huld'; did you mean 'Hold'?"
    assert shown.startswith("    ...")
    assert shown.endswith("...")
    assert len(shown) < 100
    assert caret.endswith(f"^ character {len(before) + 1}")
    assert shown[caret.index("^") :].startswith("Huld(1) >> ")


def test_long_reasons_are_shortened():
    """A message that quotes thousands of points keeps its beginning and its end."""
    points = ", ".join(f"({1000 - i}, 0.5)" for i in range(1000))
    with pytest.raises(ParseError, match="PiecewiseLinear: 'points' must be in rising") as caught:
        parse(f"PiecewiseLinear(({points}))")
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_empty_texts(text):
    """An empty text is told what a plan looks like."""
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert str(caught.value) == (
        "parse: 'text' must not be empty; write a plan such as Warmup(5%) >> Cosine()"
    )


@pytest.mark.parametrize(("value", "kind"), [(0.5, "float"), (None, "NoneType"), (b"0.5", "bytes")])
def test_only_strings_are_parsed(value, kind):
    """Anything but a string is of the wrong kind."""
    with pytest.raises(ArgumentTypeError) as caught:
        parse(value)
    assert str(caught.value) == f"parse: 'text' must be the text of a plan (got {kind})"


ENDLESS = {
    "1 MB": ("a" * 1_000_000, "parse: 'text' must be at most 200,000 characters (got 1,000,000)"),
    "brackets": ("(" * 10_000, "brackets must be nested at most 72 deep"),
    "lists": ("[" * 10_000, "brackets must be nested at most 72 deep"),
    "closed brackets": ("(" * 9_000 + "Hold()" + ")" * 9_000, "brackets must be nested at most 72"),
    "calls": ("Cosine(" * 10_000, "brackets must be nested at most 72 deep"),
    "factors": ("*".join(["Hold(5)"] * 5_000), "plans must be nested at most 64 deep"),
    "numbers": ("Hold(5)" + "+1" * 50_000, "plans must be nested at most 64 deep"),
    "repeats": ("Hold(5)" + ".repeat(1)" * 5_000, "plans must be nested at most 64 deep"),
    "clips": ("Hold(5)" + ".clip(0)" * 5_000, "plans must be nested at most 64 deep"),
    "parts": ("Hold(5)" + ".part(0)" * 5_000, "plans must be nested at most 64 deep"),
    "doubled": ("Hold(5)" + ".repeat(2)" * 5_000, "repeat: the plan must come to at most 2**53"),
    "signs": ("-" * 100_000, "'-' must be followed by a number"),
    "quotes": ("'\\" * 90_000, "expected a schedule or a value, found a quote that is not closed"),
    "digits": ("9" * 100_000, "a number must be at most 400 characters long"),
    "underscores": ("1" + "_1" * 50_000, "a number must be at most 400 characters long"),
    "name": ("a" * 100_000 + "()", "unknown schedule 'aaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaa'"),
    "argument": ("Hold(" + "a" * 100_000 + "=1)", "Hold: unknown argument 'aaaaaaaaaaaaaaaaaa...a"),
    "method": ("Hold()." + "a" * 100_000 + "()", "unknown method 'aaaaaaaaaaaaaaaaaa...aaaaaaaaaa"),
    "blanks": (" " * 150_000 + "#", "expected a schedule or a value, found '#'"),
    "open phases": (" >> ".join(["Hold()"] * 2_000), "Sequence: at most one phase may be without"),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_oversized_texts_are_refused_quickly(case):
    """A text without measure gives a ParseError, not a crash, and not after a while."""
    text, reason = ENDLESS[case]
    began = time.perf_counter()
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert time.perf_counter() - began < 5
    assert str(caught.value).startswith(reason)
    assert len(str(caught.value)) < 1_000


def test_realistic_texts_fit_the_bounds():
    """A thousand points and a thousand phases are read."""
    points = PiecewiseLinear(tuple((i * 100, 1 / (i + 1)) for i in range(1_000)))
    assert len(repr(points)) < MAX_LENGTH
    assert parse(repr(points)) == points
    phases = Sequence(tuple(Linear(i, end=1 / i) for i in range(1, 1_000)))
    assert parse(repr(phases)) == phases


def _deepest(grow):
    plan = Linear(5, end=0.5)
    for _ in range(MAX_DEPTH - 1):
        plan = grow(plan)
    return plan


DEEPEST = {
    "product": lambda plan: plan * 0.99,
    "right": lambda plan: Hold(5) * plan,
    "sum": lambda plan: plan + 0.1,
    "clip": lambda plan: plan.clip(low=0.2),
    "repeat": lambda plan: plan.repeat(1),
    "part": lambda plan: plan.part(0, 5, steps=7),
    "stairs": lambda plan: plan.stairs(2),
    "own": lambda plan: TextWave(inner=plan),
}


@pytest.mark.parametrize("case", DEEPEST)
def test_the_deepest_plan_is_whole(case):
    """At the greatest depth a plan still prints, hashes, compares, copies, pickles and runs."""
    plan = _deepest(DEEPEST[case])
    read = parse(repr(plan))
    assert read == plan
    assert hash(read) == hash(plan)
    assert from_json(to_json(plan)) == plan
    assert pickle.loads(pickle.dumps(read)) == plan
    assert copy.deepcopy(read) == plan
    if case != "own":
        assert read.resolve(100)(3) == plan(3)


@pytest.mark.parametrize("case", DEEPEST)
def test_one_deeper_is_refused(case):
    """One plan more than the greatest depth is refused, in text and in JSON."""
    plan = DEEPEST[case](_deepest(DEEPEST[case]))
    with pytest.raises(ParseError, match="plans must be nested at most 64 deep"):
        parse(repr(plan))
    with pytest.raises(ArgumentError, match="to_json: plans must be nested at most 64 deep"):
        to_json(plan)
    tree = json.loads(to_json(DEEPEST[case](Linear(5))))
    inner = next(key for key, value in tree["plan"].items() if isinstance(value, dict))
    for _ in range(MAX_DEPTH):
        tree["plan"] = {**tree["plan"], inner: tree["plan"]}
    with pytest.raises(ParseError, match="plans must be nested at most 64 deep"):
        from_json(tree)


def test_a_usual_plan_is_read_in_less_than_a_millisecond():
    """Reading a plan costs nothing worth a cache."""
    best = 1.0
    for _ in range(200):
        began = time.perf_counter()
        parse("Warmup(5%) >> Hold() >> OneMinusSqrt(20%, end=absolute(1e-6))")
        best = min(best, time.perf_counter() - began)
    assert best < 1e-3


WORDS = [
    *Schedule.known,
    *recipes.__all__,
    *(
        "absolute",
        "clip",
        "repeat",
        "stairs",
        "steps",
        "start",
        "end",
        "low",
        "high",
        "shape",
        "times",
    ),
    *("None", "True", "5%", "3ep", "0.5", "7", "1e-3", "'linear'", "'5%'", "lr", "momentum"),
    *(">>", "+", "*", "(", ")", "[", "]", ",", ".", "=", "-", " ", "\n", "'", '"', "\\", "#"),
]


def _parses_or_refuses(text):
    """Parse; only a ParseError may come out of it, and whatever is read must read back equal."""
    try:
        plan = parse(text)
    except ParseError:
        return
    assert parse(repr(plan)) == plan


@given(st.text() | st.lists(st.sampled_from(WORDS)).map("".join))
def test_garbage_gives_a_parse_error(text):
    """Whatever is typed, nothing but a ParseError is raised."""
    _parses_or_refuses(text)


@given(plans() | st.sampled_from(EVERY), st.data())
def test_damaged_texts_give_a_parse_error(plan, data):
    """A good text with pieces cut out, doubled or put in is read or refused."""
    text = repr(plan)
    for _ in range(data.draw(st.integers(1, 4))):
        a, b = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        piece = data.draw(st.just("") | st.sampled_from(WORDS) | st.just(text[a:b] * 2))
        text = text[:a] + piece + text[b:]
    _parses_or_refuses(text)


JSON_TREES = [
    (
        Warmup("5%") >> Cosine(end=absolute(1e-6)),
        {
            "type": "Sequence",
            "parts": [
                {"type": "Warmup", "steps": "5%"},
                {"type": "Cosine", "end": {"absolute": 1e-6}},
            ],
        },
    ),
    (
        Cosine(10) * 0.5,
        {"type": "Product", "left": {"type": "Cosine", "steps": 10}, "right": 0.5},
    ),
    (
        Cosine(10) + Hold(5),
        {
            "type": "Sum",
            "left": {"type": "Cosine", "steps": 10},
            "right": {"type": "Hold", "steps": 5},
        },
    ),
    (
        Cosine(10).clip(low=absolute(1)),
        {"type": "Clip", "plan": {"type": "Cosine", "steps": 10}, "low": {"absolute": 1.0}},
    ),
    (
        Cosine(10).repeat(3, peak_mult=0.5),
        {
            "type": "Repeat",
            "plan": {"type": "Cosine", "steps": 10},
            "times": 3,
            "peak_mult": 0.5,
        },
    ),
    (
        Cosine().part(60, 100, steps="10%"),
        {"type": "Part", "plan": {"type": "Cosine"}, "start": 60, "stop": 100, "steps": "10%"},
    ),
    (
        Cosine(100).part(60),
        {"type": "Part", "plan": {"type": "Cosine", "steps": 100}, "start": 60, "steps": 40},
    ),
    (
        Cosine(100).stairs("1ep"),
        {"type": "Stairs", "plan": {"type": "Cosine", "steps": 100}, "every": "1ep"},
    ),
    (
        PiecewiseLinear(((0, 0.5), ("50%", absolute(2)))),
        {"type": "PiecewiseLinear", "points": [[0, 0.5], ["50%", {"absolute": 2.0}]]},
    ),
    (
        MultiStepDecay((30, "2ep"), 0.5),
        {"type": "MultiStepDecay", "milestones": [30, "2ep"], "factor": 0.5},
    ),
    (
        Function(text_halving, steps=5),
        {"type": "Function", "function": "text_halving", "steps": 5},
    ),
    (Hold(), {"type": "Hold"}),
]


@pytest.mark.parametrize(("plan", "tree"), JSON_TREES, ids=[repr(plan) for plan, _ in JSON_TREES])
def test_json_trees(plan, tree):
    """The tree holds types and the fields that are not at their default, nothing else."""
    assert json.loads(to_json(plan)) == {"cadence": 1, "plan": tree}
    assert from_json({"cadence": 1, "plan": tree}) == plan


BAD_JSON = [
    (
        '{"cadence": 1',
        "from_json: Expecting ',' delimiter\n    {\"cadence\": 1\n                 ^ character 14",
    ),
    ("", "from_json: Expecting value\n    \n    ^ character 1"),
    ("[1]", "from_json: expected an object with 'cadence' and 'plan' (got a list)"),
    ("null", "from_json: expected an object with 'cadence' and 'plan' (got None)"),
    ("{}", "from_json: 'cadence' must be the version of the format, 1 (got None)"),
    (
        {"cadence": 2, "plan": {"kind": "Cosine"}},
        (
            "from_json: version 2 of the format is newer than this Cadence, which reads version 1; "
            "upgrade cadence"
        ),
    ),
    (
        {"cadence": "one", "plan": {}},
        "from_json: 'cadence' must be the version of the format, 1 (got 'one')",
    ),
    ({"cadence": True}, "from_json: 'cadence' must be the version of the format, 1 (got True)"),
    ({"cadence": 0}, "from_json: 'cadence' must be the version of the format, 1 (got 0)"),
    ({"cadence": [[]]}, "from_json: 'cadence' must be the version of the format, 1 (got a list)"),
    ({"cadence": 1, "plans": {}}, "from_json: unknown key 'plans'; did you mean 'plan'?"),
    ({"cadence": 1}, "plan: must be a schedule, an object with its 'type' (got None)"),
    (
        {"cadence": 1, "plan": "Cosine()"},
        "plan: must be a schedule, an object with its 'type' (got 'Cosine()')",
    ),
    (
        {"cadence": 1, "plan": {"steps": 5}},
        "plan: must be a schedule, an object with its 'type' (got an object)",
    ),
    (
        {"cadence": 1, "plan": {"type": "Cosin"}},
        "plan: unknown type 'Cosin'; did you mean 'Cosine'?",
    ),
    (
        {"cadence": 1, "plan": {"type": "Qqqqqq"}},
        "plan: unknown type 'Qqqqqq'; a shape of your own must be imported before JSON can name it",
    ),
    (
        {"cadence": 1, "plan": {"type": "Ramp"}},
        "plan: 'Ramp' is not a shape; write one, such as 'Linear'",
    ),
    (
        {"cadence": 1, "plan": {"type": "Cosine", "step": 5}},
        "plan: Cosine: unknown field 'step'; did you mean 'steps'?",
    ),
    (
        {"cadence": 1, "plan": {"type": "Hold", "x": 5}},
        "plan: Hold: unknown field 'x'; it takes steps",
    ),
    ({"cadence": 1, "plan": {"type": "Geometric"}}, "plan: Geometric: 'end' must be given"),
    (
        {"cadence": 1, "plan": {"type": "Cosine", "steps": -9}},
        "plan: Cosine: 'steps' must be >= 0 (got -9)",
    ),
    (
        {"cadence": 1, "plan": {"type": "Cosine", "end": {"absolute": "x"}}},
        "plan.end: absolute: 'value' must be a number (got 'x')",
    ),
    (
        {"cadence": 1, "plan": {"type": "Cosine", "end": {"absolute": 1, "relative": 2}}},
        "plan.end: 'absolute' must stand alone in its object",
    ),
    (
        {"cadence": 1, "plan": {"type": "Cosine", "end": {"relative": 2}}},
        "plan.end: must be a schedule, an object with its 'type' (got an object)",
    ),
    (
        {"cadence": 1, "plan": {"type": "Sequence", "parts": [{"type": "Hold"}, {"type": "Hald"}]}},
        "plan.parts[1]: unknown type 'Hald'; did you mean 'Hold'?",
    ),
    (
        {"cadence": 1, "plan": {"type": "Cosine", "steps": {1, 2}}},
        "plan.steps: must be a JSON value (got set)",
    ),
    (
        {"cadence": 1, "plan": {"type": "Function", "function": "text_halvin"}},
        (
            "plan: Function: 'function' must be a callable or a registered name (got "
            "'text_halvin'); did you mean 'text_halving'?; register it with @cadence.register"
        ),
    ),
    (
        '{"cadence": 1, "plan": {"type": "Hold", "steps": 1, "steps": 2}}',
        "from_json: 'steps' must be given only once in an object",
    ),
    (
        '{"cadence": 1, "plan": {"type": "Constant", "level": NaN}}',
        "from_json: NaN is not a number in JSON",
    ),
    (
        '{"cadence": 1, "plan": {"type": "Constant", "level": 1e999}}',
        "plan: Constant: 'level' must be finite (got inf)",
    ),
]


@pytest.mark.parametrize(("data", "message"), BAD_JSON, ids=[str(row[0]) for row in BAD_JSON])
def test_bad_json(data, message):
    """The message says where in the tree, what is demanded, and what was meant."""
    with pytest.raises(ParseError) as caught:
        from_json(data)
    assert str(caught.value) == message


def _circular():
    tree = {"type": "Clip", "low": 0}
    tree["plan"] = tree
    return {"cadence": 1, "plan": tree}


OVERSIZED_JSON = {
    "characters": " " * 1_000_001,
    "lists": "[" * 50_000,
    "objects": '{"a":' * 50_000,
    "digits": "9" * 50_000,
    "inner digits": '{"cadence": 1, "plan": {"type": "Hold", "steps": ' + "9" * 50_000 + "}}",
    "inner lists": {
        "cadence": 1,
        "plan": {"type": "Hold", "steps": json.loads("[" * 500 + "]" * 500)},
    },
    "inner level": {
        "cadence": 1,
        "plan": {"type": "Constant", "level": {"absolute": json.loads("[" * 500 + "]" * 500)}},
    },
    "version": {"cadence": json.loads("[" * 500 + "]" * 500)},
    "plan": {"cadence": 1, "plan": json.loads("[" * 500 + "]" * 500)},
    "circle": _circular(),
}


@pytest.mark.parametrize("case", OVERSIZED_JSON)
def test_oversized_json_is_refused(case):
    """JSON without measure gives a ParseError, not a crash."""
    with pytest.raises(ParseError) as caught:
        from_json(OVERSIZED_JSON[case])
    assert len(str(caught.value)) < 1_000


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-5, 500)
        | st.floats()
        | st.sampled_from(["5%", "3ep", "linear", "text_halving", ""]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.builds(lambda level: {"absolute": level}, inner)
            | st.builds(
                lambda kind, fields: {**fields, "type": kind},
                st.sampled_from(list(Schedule.known)),
                st.dictionaries(
                    st.sampled_from(
                        ["steps", "start", "end", "level", "parts", "left", "right", "plan", "low"]
                    ),
                    inner,
                    max_size=3,
                ),
            )
        ),
        max_leaves=12,
    )
)
def test_json_garbage_gives_a_parse_error(tree):
    """Whatever the tree, it is a plan or a ParseError."""
    try:
        plan = from_json({"cadence": 1, "plan": tree})
    except ParseError:
        return
    assert from_json(to_json(plan)) == plan


class TestToJson:
    """What cannot be stored is refused."""

    not_stored: ClassVar = [
        (
            Function(lambda t: t),
            ArgumentError,
            (
                r"to_json: a function must be registered to be stored \(got "
                r"Function\(<.*<lambda>>\)\); register it with @cadence\.register"
            ),
        ),
        (
            Hold(5) >> Function(abs, steps=5),
            ArgumentError,
            r"to_json: a function must be registered to be stored \(got Function\(<.*abs>, steps",
        ),
        (
            _TextPrivate(5),
            ArgumentError,
            r"to_json: _TextPrivate cannot be read back by name, being private or abstract",
        ),
        (
            TextWave(marks=(1j,)),
            ArgumentTypeError,
            r"to_json: fields must be numbers, strings, .* or tuples of them \(got 1j\)",
        ),
        (
            TextWave(marks=(float("nan"),)),
            ArgumentError,
            r"to_json: numbers must be finite \(got nan\)",
        ),
        ("Cosine()", ArgumentTypeError, r"to_json: 'plan' must be a schedule \(got 'Cosine\(\)'\)"),
    ]

    @pytest.mark.parametrize(("plan", "kind", "message"), not_stored)
    def test_refusals(self, plan, kind, message):
        """The message says what it is and what to do about it."""
        with pytest.raises(kind, match=message) as caught:
            to_json(plan)
        assert type(caught.value) is kind

    def test_a_field_called_type(self):
        """JSON says the class under that name, so a field cannot have it."""
        kind = {"__annotations__": {"type": str}, "type": "", "curve": lambda self, u, xp: u}
        plan = type("TextTyped", (cd.Ramp,), kind)(5)
        with pytest.raises(ArgumentError) as caught:
            to_json(plan)
        assert str(caught.value) == (
            "to_json: a field must not be named 'type' (got TextTyped); JSON says the class there"
        )

    def test_the_text_is_strict_json(self):
        """No NaN, no comment, no trailing comma, whatever the plan: any reader takes it."""

        def refuse(word):
            raise AssertionError(word)

        for plan in EVERY:
            json.loads(to_json(plan), parse_constant=refuse)


def test_from_json_takes_text_or_a_mapping():
    """Anything else is of the wrong kind."""
    with pytest.raises(ArgumentTypeError) as caught:
        from_json(Cosine())
    assert str(caught.value) == "from_json: 'data' must be JSON text or a mapping (got Cosine)"


def test_a_name_of_ones_own_wins_over_a_recipe():
    """A plan reads back equal although its class is called as a recipe is."""
    kind = type("budgeted_linear", (cd.Ramp,), {"curve": lambda self, u, xp: u})
    assert parse(repr(kind(5))) == kind(5)
    assert parse("budgetedlinear(5)") == kind(5)
