"""Plans in words and in parts: the sentence, the key steps, the named spans, the catalogue."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given

import cadence as cd
from cadence import absolute, recipes
from cadence.catalogue import catalogue
from cadence.explain import explain, multiple, sentence
from cadence.outline import cycles, name, nominal, spans, sparkline, viewed
from cadence.schedule import Schedule
from cases import ABSTRACT, CASES, three_halvings
from strategies import resolved

SENTENCES = [
    (
        cd.Warmup(500) >> cd.Hold(7500) >> cd.OneMinusSqrt(2000),
        """
        Warm up linearly over 500 steps to the full rate, hold it for 7,500 steps, then cool
        down as 1 - sqrt over 2,000 steps to 0.
        """,
    ),
    (cd.Linear(1), "Decay linearly over 1 step from the full rate to 0."),
    (cd.Linear(10, start=0, end=1), "Rise linearly over 10 steps from 0 to the full rate."),
    (cd.Linear(10, end=1), "Hold the full rate for 10 steps."),
    (
        cd.Linear(10, end=-0.5),
        "Decay linearly over 10 steps from the full rate to -0.5 times the full rate.",
    ),
    (
        cd.Cosine(100, end=0.1),
        "Decay along a half cosine over 100 steps from the full rate to 10% of the full rate.",
    ),
    (
        cd.Cosine(100, k=2),
        "Decay along a half cosine with k = 2 over 100 steps from the full rate to 0.",
    ),
    (
        cd.Warmup(5, start=0) >> cd.Rex(10),
        """
        Warm up linearly over 5 steps from 0 to the full rate, then decay along REX over 10
        steps to 0.
        """,
    ),
    (
        cd.Warmup(5, shape="cosine") >> cd.Rex(10, alpha=0.8),
        """
        Warm up along a half cosine over 5 steps to the full rate, then decay along REX with
        alpha = 0.8 over 10 steps to 0.
        """,
    ),
    (
        cd.Geometric(50, end=0.01),
        """
        Decay by the same factor at every step over 50 steps from the full rate to 1% of the
        full rate.
        """,
    ),
    (
        cd.Polynomial(50, power=2),
        "Decay along a polynomial of power 2 over 50 steps from the full rate to 0.",
    ),
    (
        cd.Cosine(50, k=2, power=3) >> cd.Polynomial(50, k=2, end=0.5),
        """
        Decay along a half cosine with k = 2 and power = 3 over 50 steps from the full rate
        to 0, then rise along a polynomial of power 1 with k = 2 over 50 steps to 50% of the
        full rate.
        """,
    ),
    (
        cd.Exponential(50),
        "Decay exponentially with ratio = 0.1 over 50 steps from the full rate to 0.",
    ),
    (cd.Tanh(50), "Decay along a hyperbolic tangent over 50 steps from the full rate to 0."),
    (
        cd.Logarithmic(99, start=0, end=1, scale=99),
        "Rise along a logarithm over 99 steps from 0 to the full rate.",
    ),
    (
        (cd.Linear(10) >> cd.Hold(5)).stairs(5),
        """
        Decay linearly over 10 steps from the full rate to 0, then hold it for 5 steps; in stairs
        of 5 steps.
        """,
    ),
    (
        cd.Hold(10) >> cd.Linear(10).stairs(2),
        """
        Hold the full rate for 10 steps, then run a part of 10 steps (decay linearly over 10
        steps from the full rate to 0; in stairs of 2 steps).
        """,
    ),
    (
        cd.Linear(3).stairs(100, each=1),
        """
        Decay linearly over 3 steps from the full rate to 0; with 1 step of that in every 100
        steps.
        """,
    ),
    (cd.Linear(10).stairs(1), "Decay linearly over 10 steps from the full rate to 0."),
    (cd.Hyperbolic(50), "Decay along a hyperbola over 50 steps from the full rate to 0."),
    (
        cd.OneMinusSqrt(50, start=0, end=1),
        "Rise as a square root over 50 steps from 0 to the full rate.",
    ),
    (cd.Hold(), "Hold the full rate throughout."),
    (cd.Hold(0), "Stay at the full rate."),
    (cd.Constant(0.5, 10), "Hold 50% of the full rate for 10 steps."),
    (
        cd.Warmup(10) >> cd.Constant(0.5, 20) >> cd.Hold(),
        """
        Warm up linearly over 10 steps to the full rate, jump to 50% of the full rate and
        hold it for 20 steps, then hold it from then on.
        """,
    ),
    (
        cd.Linear(0, end=0.5) >> cd.Hold(10),
        "Start at 50% of the full rate, then hold it for 10 steps.",
    ),
    (
        cd.Warmup(10) >> cd.Cosine(20, start=0.3),
        """
        Warm up linearly over 10 steps to the full rate, then jump to 30% of the full rate
        and decay along a half cosine over 20 steps to 0.
        """,
    ),
    (
        cd.Warmup(10) >> cd.Hold(5) >> cd.Linear(20, end=0.1),
        """
        Warm up linearly over 10 steps to the full rate, hold it for 5 steps, then cool down
        linearly over 20 steps to 10% of the full rate.
        """,
    ),
    (
        cd.StepDecay(30, 0.5),
        "Start at the full rate and multiply it by 0.5 every 30 steps, without an end.",
    ),
    (
        cd.StepDecay(1, 0.5, steps=9),
        "Start at the full rate and multiply it by 0.5 every step for 9 steps.",
    ),
    (
        cd.Warmup(10) >> cd.MultiStepDecay((30, 60, 80)),
        """
        Warm up linearly over 10 steps to the full rate, then multiply it by 0.1 at steps
        40, 70 and 90, without an end.
        """,
    ),
    (
        cd.MultiStepDecay((30,)),
        "Start at the full rate and multiply it by 0.1 at step 30, without an end.",
    ),
    (
        cd.ExponentialDecay(0.99),
        "Start at the full rate and multiply it by 0.99 every step, without an end.",
    ),
    (
        cd.ExponentialDecay(0.5, per=100, start=0.1),
        """
        Start at 10% of the full rate and multiply it smoothly by 0.5 every 100 steps,
        without an end.
        """,
    ),
    (
        cd.InverseTime(100),
        """
        Start at the full rate and let it shrink as one over time (to a half in 100 steps),
        without an end.
        """,
    ),
    (
        cd.InverseSqrt(100),
        """
        Start at the full rate and let it shrink as one over the square root of time (to a
        half in 300 steps), without an end.
        """,
    ),
    (
        cd.PowerLaw(100, exponent=2),
        """
        Start at the full rate and let it follow a power law of time with exponent -2
        (timescale 100 steps), without an end.
        """,
    ),
    (
        cd.CosineWave(100, end=0.1),
        """
        Start at the full rate and let it swing along a cosine to 10% of the full rate and
        back every 100 steps, without an end.
        """,
    ),
    (
        cd.Warmup(10) >> cd.CosineWave(7.5, start=0.5, steps=20),
        """
        Warm up linearly over 10 steps to the full rate, then jump to 50% of the full rate
        and let it swing along a cosine to 0 and back every 7.5 steps for 20 steps.
        """,
    ),
    (
        cd.PiecewiseLinear(((0, 0.1), (10, 1), (30, 0))),
        """
        Go in straight lines through 10% of the full rate at step 0, the full rate at step
        10 and 0 at step 30.
        """,
    ),
    (
        cd.PiecewiseLinear(((5, 0.1), (10, 1))),
        """
        Hold 10% of the full rate up to step 5 and go in straight lines through 10% of the
        full rate at step 5 and the full rate at step 10.
        """,
    ),
    (
        cd.PiecewiseLinear(tuple((10 * i, i % 2) for i in range(8))),
        "Go in straight lines through 8 points, from 0 at step 0 to the full rate at step 70.",
    ),
    (
        cd.PiecewiseCosine(((0, 0.1), (2.5, 1))),
        "Go in half cosines through 10% of the full rate at step 0 and the full rate at step 2.5.",
    ),
    (
        cd.PiecewiseRamp(((0, 1), (2.5, 0)), cd.Tanh()),
        """
        Go along a hyperbolic tangent through the full rate at step 0 and 0 at step 2.5.
        """,
    ),
    (cd.Function(three_halvings, steps=40), "Follow the function three_halvings for 40 steps."),
    (
        cd.noam(512, 100),
        """
        Rise linearly over 99 steps from 4.41942e-05 to 0.00441942, then let it shrink as
        one over the square root of time (to a half in 300 steps), without an end.
        """,
    ),
    (
        cd.Warmup(5) >> cd.Cosine(95, end=absolute(1e-6)),
        """
        Warm up linearly over 5 steps to the full rate, then go along a half cosine over 95
        steps to 1e-06.
        """,
    ),
    (cd.Linear(10) * 0.5, "Decay linearly over 10 steps from 50% of the full rate to 0."),
    (cd.Linear(10) * absolute(3e-4), "Decay linearly over 10 steps from 0.0003 to 0."),
    (cd.Linear(10) * -1, "Decay linearly over 10 steps from 1 to 0; multiply all of it by -1."),
    (
        cd.Linear(10) + absolute(1e-6),
        """
        Decay linearly over 10 steps from 100% of the full rate to 0; add 1e-06 to all of
        it.
        """,
    ),
    (
        cd.Cosine(100) * cd.StepDecay(10, 0.5),
        """
        Multiply 2 factors at every step: (1) decay along a half cosine over 100 steps from
        1 to 0; (2) start at 1 and multiply it by 0.5 every 10 steps, without an end.
        """,
    ),
    (
        cd.Cosine(100) * cd.Linear(50) * cd.Hold(20),
        """
        Multiply 3 factors at every step: (1) decay along a half cosine over 100 steps from
        1 to 0; (2) decay linearly over 50 steps from 1 to 0; (3) hold 1 for 20 steps.
        """,
    ),
    (
        cd.Linear(10) + cd.Cosine(10),
        """
        Add 2 terms at every step: (1) decay linearly over 10 steps from 100% of the full
        rate to 0; (2) decay along a half cosine over 10 steps from 100% of the full rate to
        0.
        """,
    ),
    (
        cd.Linear(10).clip(low=0.1, high=0.9),
        """
        Decay linearly over 10 steps from the full rate to 0; but never below 10% of the
        full rate and never above 90% of the full rate.
        """,
    ),
    (
        (cd.Linear(10) + 0.5).clip(high=1),
        """
        [Decay linearly over 10 steps from 100% of the full rate to 0; add 50% of the full
        rate to all of it]; but never above the full rate.
        """,
    ),
    (
        cd.Linear(10).repeat(3),
        "Repeat 3 times: decay linearly over 10 steps from the full rate to 0.",
    ),
    (
        cd.Linear(10).repeat(1, peak_mult=0.5),
        "Repeat once: decay linearly over 10 steps from the full rate to 0.",
    ),
    (
        cd.sgdr(10, t_mult=2, peak_mult=0.5),
        """
        Repeat for ever: at first, decay along a half cosine over 10 steps from the full
        rate to 0; each cycle is 2 times as long as the one before; each cycle's distance
        from its end level is multiplied by 0.5 from one to the next.
        """,
    ),
    (
        cd.sgdr(times=3, warmup="10%").resolve(300),
        """
        Repeat 3 times in 300 steps: warm up linearly over 10 steps to the full rate, then
        decay along a half cosine over 90 steps to 0.
        """,
    ),
    (
        cd.sgdr(times=3).resolve(100),
        """
        Repeat 3 times in 100 steps: at first, decay along a half cosine over 34 steps from
        the full rate to 0.
        """,
    ),
    (
        cd.Warmup(10) >> cd.MultiStepDecay((3, 5), 0.5, steps=10).repeat(2) >> cd.Linear(10),
        """
        Warm up linearly over 10 steps to the full rate, repeat 2 times (start at the full
        rate and multiply it by 0.5 at steps 3 and 5 of the cycle for 10 steps), then decay
        linearly over 10 steps to 0.
        """,
    ),
    (
        cd.Linear(10).repeat(3) * 0.5,
        "Repeat 3 times: decay linearly over 10 steps from 1 to 0; multiply all of it by 0.5.",
    ),
    (
        cd.Warmup(500).part(0, 300) >> cd.Linear(1000).part(600, steps=2400),
        """
        Play steps 0 to 300 of (warm up linearly over 500 steps to the full rate), then play
        steps 600 to 1,000 of (decay linearly over 1,000 steps from the full rate to 0) in 2,400
        steps.
        """,
    ),
    (
        cd.Hold(10) >> (cd.Hold(5) >> cd.MultiStepDecay((30,), 0.5)).part(20),
        """
        Hold the full rate for 10 steps, then play (hold the full rate for 5 steps, then
        multiply it by 0.5 at step 35 of that plan, without an end) from its step 20 on.
        """,
    ),
    (
        cd.Linear(10).part(4, 4, steps=1) * 0.5,
        """
        Hold the value at step 4 of (decay linearly over 10 steps from 1 to 0) for 1 step;
        multiply all of it by 0.5.
        """,
    ),
    (
        cd.Warmup(10) >> cd.Linear(10).clip(low=absolute(0.1)) >> cd.Hold(10) >> cd.Cosine(10),
        """
        Warm up linearly over 10 steps to the full rate, run a part of 10 steps (decay
        linearly over 10 steps from the full rate to 0; but never below 0.1), hold the last
        level for 10 steps, then go along a half cosine over 10 steps to 0.
        """,
    ),
]


@pytest.mark.parametrize(("plan", "expected"), SENTENCES, ids=[repr(p)[:60] for p, _ in SENTENCES])
def test_a_plan_is_told_in_one_plain_sentence(plan, expected):
    """Each shape and composition has its own words, and they are these."""
    assert sentence(plan) == " ".join(expected.split())


def test_every_shape_has_words_of_its_own():
    """The table above has a row for every shape that can be made."""
    told = {type(part).__name__ for plan, _ in SENTENCES for part in getattr(plan, "parts", [plan])}
    shapes = {entry.name for entry in catalogue() if entry.kind == "shape"}
    # Other test modules define shapes of their own, which have only the general words.
    own = {name for name, kind in Schedule.known.items() if kind.__module__.startswith("cadence.")}
    assert shapes & own <= told


def test_a_shape_without_words_is_told_by_its_class():
    """What somebody adds is told by its name, or by its text: never wrongly."""

    class Square(cd.Ramp):
        def curve(self, u, xp):
            return u * u

    class Halves(cd.Decay):
        def decay(self, t, xp):
            return 0.5

    assert sentence(Square(5)) == "Decay along Square over 5 steps from the full rate to 0."
    assert sentence(Halves(steps=5)) == "Follow Halves(steps=5)."
    assert name(Square(5)) == "Square"


def test_a_rate_is_named_where_the_base_is_known():
    """With a base, levels are told as rates too, and a direction that depends on it is known."""
    plan = cd.Warmup(5) >> cd.Cosine(95, end=absolute(1e-6))
    assert sentence(plan, 3e-4) == (
        "Warm up linearly over 5 steps to the full rate (0.0003), then decay along a half cosine "
        "over 95 steps to 1e-06."
    )
    assert "then rise" in sentence(plan, 1e-7)


def test_a_nested_plan_ends_in_its_own_text():
    """A plan too deep for words falls back to its text, shortened."""
    plan = cd.Linear(3)
    for _ in range(8):
        plan = (plan + 0.5).clip(high=5)
    told = sentence(plan)
    assert told.startswith("[[[Follow ((((")
    assert len(told) < 1000


@pytest.mark.parametrize(
    ("plan", "total", "remark"),
    [
        (cd.Linear(10), None, ""),
        (cd.Linear(10), 10, ""),
        (cd.Linear(10), 20, " From step 10 on, the last level is held."),
        (cd.Linear(10), 5, " The run ends after 5 steps, before the plan does."),
        (cd.StepDecay(10), 5, ""),
        (cd.ExponentialDecay(0.99), None, " It has no end; the table covers its first 200 steps."),
    ],
)
def test_the_run_adds_a_remark(plan, total, remark):
    """A run that is longer or shorter than its plan is remarked on."""
    told = explain(plan, total)
    assert told.sentence == sentence(told.plan) + remark


def test_the_table_has_the_key_steps():
    """First, first and last of each phase, quarters, last, and the level that is reached."""
    told = explain(cd.wsd("5%", "20%"), 10_000, base=0.1)
    assert repr(told.plan) == "Warmup(500) >> Hold(7500) >> OneMinusSqrt(2000)"
    assert [(row.step, row.what) for row in told.rows] == [
        (0, "first step, warm-up begins"),
        (499, "warm-up ends"),
        (500, "hold begins"),
        (2500, "25%"),
        (5000, "50%"),
        (7500, "75%"),
        (7999, "hold ends"),
        (8000, "1 - sqrt begins"),
        (9999, "1 - sqrt ends, last step"),
        (10_000, "after the end"),
    ]
    assert told.rows[0] == (0, "first step, warm-up begins", 0.002, 0.0002)
    assert told.rows[-1].value == told.rows[-1].rate == 0.0
    assert told.as_dict()["steps"][0] == {
        "step": 0, "what": "first step, warm-up begins", "value": 0.002, "rate": 0.0002,
    }  # fmt: skip


def test_a_run_of_one_step_has_a_table():
    """Everything happens at the only step."""
    rows = explain(cd.Linear(1)).rows
    assert [row.step for row in rows] == [0, 1]
    assert rows[0].what == "first step, linear begins, linear ends, 25%, 50%, 75%, last step"


@given(resolved())
def test_any_plan_can_be_explained(drawn):
    """Whatever is composed, it has a sentence, and its spans tile the run."""
    plan, fitted, horizon = drawn
    told = explain(plan, horizon, 0.1)
    assert told.sentence.rstrip().endswith(".")
    assert "\n" not in told.sentence
    assert told.rows[0].step == 0
    found = spans(fitted, horizon.total_steps)
    assert (found[0].begin, found[-1].end) == (0, horizon.total_steps)
    assert all(a.end == b.begin < b.end for a, b in itertools.pairwise(found))
    assert len(sparkline(fitted, horizon.total_steps, 20)) == 20


@pytest.mark.parametrize(
    ("plan", "total", "expected"),
    [
        (cd.Warmup(5) >> cd.Cosine(10), 15, ["warm-up 0-5", "cosine 5-15"]),
        (cd.Warmup(5) >> cd.Cosine(10), 20, ["warm-up 0-5", "cosine 5-15", "held 15-20"]),
        (cd.Warmup(5) >> cd.Cosine(10), 3, ["warm-up 0-3"]),
        ((cd.Warmup(5) >> cd.Cosine(10)) * 0.5, 15, ["warm-up 0-5", "cosine 5-15"]),
        ((cd.Warmup(5) >> cd.Cosine(10)).clip(low=0.1), 15, ["warm-up 0-5", "cosine 5-15"]),
        (cd.Cosine(10) + 0.1, 10, ["cosine 0-10"]),
        (cd.Cosine(10) * cd.Linear(10), 10, ["product 0-10"]),
        (cd.Warmup(2) >> cd.Hold(0) >> cd.Linear(3), 5, ["warm-up 0-2", "linear 2-5"]),
        (cd.Cosine(4).repeat(2), 10, ["cycle 1 0-4", "cycle 2 4-8", "held 8-10"]),
        (cd.Cosine(4).repeat(), 10, ["cycle 1 0-4", "cycle 2 4-8", "cycle 3 8-10"]),
        (
            cd.Cosine(4).repeat(length_mult=1.5),
            15,
            ["cycle 1 0-4", "cycle 2 4-10", "cycle 3 10-15"],
        ),
        (cd.Cosine(4).repeat(), 4000, ["cycles 0-4000"]),
        (cd.Cosine(4).repeat(99), 400, ["cycles 0-396", "held 396-400"]),
        (cd.sgdr(times=3).resolve(10), 10, ["cycle 1 0-4", "cycle 2 4-7", "cycle 3 7-10"]),
        (cd.Warmup(5) >> cd.Hold(), 9, ["warm-up 0-5", "hold 5-9"]),
        (
            (cd.Warmup(5) >> cd.Cosine(10)).stairs(4, each=2),
            60,
            ["warm-up 0-12", "cosine 12-32", "held 32-60"],
        ),
        ((cd.Warmup(5) >> cd.Cosine(10)).stairs(4), 15, ["warm-up 0-5", "cosine 5-15"]),
        ((cd.Warmup(5) >> cd.Cosine(9)).part(2, 9), 7, ["warm-up 0-3", "cosine 3-7"]),
        (
            cd.Hold(3) >> (cd.Warmup(5) >> cd.Cosine(5)).part(2, 12, steps=7) * 0.5,
            12,
            ["hold 0-3", "warm-up 3-6", "cosine 6-9", "held 9-10", "held 10-12"],
        ),
        (cd.Cosine(4).repeat().part(6), 9, ["cycle 2 0-2", "cycle 3 2-6", "cycle 4 6-9"]),
        (cd.Cosine(4).part(6, 9), 3, ["held 0-3"]),
        (cd.Cosine(4).part(2, 2, steps=3) >> cd.Linear(2), 5, ["held 0-3", "linear 3-5"]),
        (cd.Function(three_halvings), 9, ["three_halvings 0-9"]),
        (cd.Function(math.exp), 9, ["function 0-9"]),
    ],
)
def test_spans_name_the_parts_of_a_run(plan, total, expected):
    """Phases and cycles have names and ends; what is left of the run is held."""
    assert [f"{s.name} {s.begin}-{s.end}" for s in spans(plan, total)] == expected


@pytest.mark.parametrize("mult", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("plan", [cd.Cosine(7), cd.Cosine()])
def test_cycles_begin_where_the_plan_restarts(plan, mult):
    """The lengths of cycles agree with the steps at which the value is high again."""
    repeated = plan.repeat(4, length_mult=mult).resolve(100)
    begins = np.cumsum([0, *list(cycles(repeated))[:-1]])
    values = repeated(np.arange(100))
    restarts = [0, *(np.flatnonzero(np.diff(values) > 0.5) + 1)]
    assert list(begins) == restarts


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (cd.Linear(300), 300),
        (cd.Linear(0), 1),
        (cd.Hold(), 1000),
        (cd.Warmup(30) >> cd.Hold(), 60),
        (cd.ExponentialDecay(0.99), 200),
        (cd.ExponentialDecay(1.01), 200),
        (cd.StepDecay(30), 200),
        (cd.CosineWave(300), 300),
        (cd.Linear(3).stairs(100, each=1), 300),
        (cd.StepDecay(30).stairs(10, each=1), 2000),
        (cd.Warmup(10) >> cd.CosineWave(7.5), 18),
        (cd.noam(512), 100_000),
        (cd.triangular(10), 80),
        (cd.sgdr(10, t_mult=2), 150),
        (cd.Linear(300).part(100, 200, steps=50), 50),
        (cd.triangular(10).part(5), 80),
        (cd.PowerLaw(10, exponent=0), 1000),
    ],
)
def test_how_far_to_look_follows_from_the_plan(plan, expected):
    """A plan with a length is seen whole; one without, until its course is clear."""
    assert viewed(plan) == expected


def test_a_plan_is_seen_at_a_nominal_length():
    """Where only the run's length is lacking, 1,000 steps stand for it, or as many as it takes."""
    assert nominal(cd.wsd()) == (cd.wsd().resolve(1000), 1000)
    assert nominal(cd.Warmup(5000) >> cd.Cosine())[1] == 10_000
    assert nominal(cd.Cosine(10)) == (cd.Cosine(10), None)
    with pytest.raises(cd.errors.UnresolvedError, match="steps_per_epoch"):
        nominal(cd.Warmup("3ep") >> cd.Cosine())


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (cd.Linear(100), "█▇▆▅▄▃▂▁"),
        (cd.Constant(0.5), "████████"),
        (cd.Constant(0.0), "▁▁▁▁▁▁▁▁"),
        (cd.Constant(-0.5), "▁▁▁▁▁▁▁▁"),
        (cd.Linear(4), "██▇▇▅▅▃▃"),
        (cd.ExponentialDecay(1e300, steps=8), "▁███████"),
    ],
)
def test_a_sparkline_is_one_line_of_blocks(plan, line):
    """From 0 to the peak, one block for each stretch; the infinite goes no higher."""
    assert sparkline(plan, width=8) == line
    assert sparkline(plan, width=8, ascii_only=True).isascii()


def test_multiples_are_exact():
    """Dividing by the base would lose the last digit; an absolute level has to be divided."""
    steps = np.arange(100)
    plan = cd.Linear(100)
    assert np.array_equal(multiple(plan, steps, 0.3), plan(steps))
    assert multiple(cd.Constant(absolute(0.5)), 0, 0.25) == 2.0


def test_the_catalogue_lists_everything():
    """Every shape and recipe, each with a formula, a signature and an example that can be drawn."""
    entries = {entry.name: entry for entry in catalogue()}
    kinds = {key for key in Schedule.known if not key.startswith("_")} - ABSTRACT
    composed = {"Sequence", "Product", "Sum", "Clip", "Repeat", "Part", "Stairs"}
    functions = set(recipes.__all__) - {"OneCycle"}
    assert set(entries) == (kinds - composed) | functions
    for entry in entries.values():
        assert entry.formula, entry.name
        assert entry.signature.startswith(f"{entry.name}("), entry.name
        assert "<" not in entry.signature.replace("<=", ""), entry.name
        assert entry.example is not None, entry.name
        assert np.isfinite(entry.example(np.arange(entry.total_steps))).all(), entry.name
    assert entries["Cosine"].formula == "curve(u) = (1 - cos(pi * u**k)) / 2"
    assert entries["wsd"].formula == "Warmup(warmup) >> Hold() >> shape(cooldown, end=end)"
    assert entries["Rex"].reference.endswith("(2021), alpha = 0.5.")


def test_a_new_shape_is_in_the_catalogue_by_itself():
    """Defining it is enough; without a docstring its formula is empty."""

    class Bare(cd.Ramp):
        def curve(self, u, xp):
            return u

    class Needy(cd.Ramp):
        """A ramp that cannot be guessed: `curve(u) = u * height`."""

        height: float

    found = {entry.name: entry for entry in catalogue()}
    assert found["Bare"].example == Bare(100)
    assert (found["Needy"].example, found["Needy"].formula) == (None, "curve(u) = u * height")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text[:50])
def test_every_case_is_told_and_drawn(case):
    """No row of the table of cases is beyond words."""
    told = explain(case.plan, None, case.base)
    assert told.sentence
    assert sparkline(told.plan)
