"""Reading optax's schedules, without optax: what is written in documents, and what is refused."""

import pickle

import numpy as np
import pytest

import cadence as cd
from cadence import parse
from cadence.dialects import from_optax
from cadence.errors import ArgumentError

READ = [
    ("constant_schedule", {"value": 0.1}, "Constant(absolute(0.1))"),
    ("constant_schedule", {}, "Constant(1)"),
    (
        "linear_schedule",
        {"init_value": 1.0, "end_value": 0.01, "transition_steps": 100},
        "Linear(100, start=absolute(1), end=absolute(0.01))",
    ),
    (
        "linear_schedule",
        {"end_value": 0.01, "transition_steps": 1e3, "transition_begin": 5},
        "Constant(1, 5) >> Linear(1000, end=absolute(0.01))",
    ),
    (
        "polynomial_schedule",
        {"init_value": 1.0, "end_value": 0.0, "power": 2, "transition_steps": 10.5},
        "PiecewiseRamp(((0, absolute(1)), (10.5, 0)), Polynomial(power=2))",
    ),
    (
        "polynomial_schedule",
        {"init_value": 0.5, "end_value": 0.0, "power": 2, "transition_steps": 0},
        "Constant(absolute(0.5))",
    ),
    (
        "exponential_decay",
        {"init_value": 0.1, "transition_steps": 100, "decay_rate": 0.5, "staircase": True},
        "StepDecay(100, 0.5, start=absolute(0.1))",
    ),
    (
        "exponential_decay",
        {"transition_steps": 100, "decay_rate": 0.5, "end_value": 0.01, "transition_begin": 7},
        "(Constant(1, 7) >> ExponentialDecay(0.5, per=100)).clip(low=absolute(0.01))",
    ),
    (
        "exponential_decay",
        {"init_value": 1e-6, "transition_steps": 10, "decay_rate": 2, "end_value": 0.1},
        "ExponentialDecay(2, start=absolute(1e-06), per=10).clip(high=absolute(0.1))",
    ),
    (
        "cosine_decay_schedule",
        {"init_value": 0.5, "decay_steps": 100, "alpha": 0.25, "exponent": 2},
        "Cosine(100, start=absolute(0.5), end=absolute(0.125), power=2)",
    ),
    (
        "piecewise_constant_schedule",
        {"init_value": 1.0, "boundaries_and_scales": {200: 0.5, 100: 0.5}},
        "Constant(absolute(1), 100) >> Constant(absolute(0.5), 100) >> Constant(absolute(0.25))",
    ),
    (
        "piecewise_interpolate_schedule",
        {"interpolate_type": "linear", "init_value": 1.0, "boundaries_and_scales": {4: 0.5, 8: 0}},
        "PiecewiseLinear(((0, absolute(1)), (4, absolute(0.5)), (8, 0)))",
    ),
    (
        "piecewise_interpolate_schedule",
        {"interpolate_type": "cosine", "boundaries_and_scales": {-5: 0.5, 8: 0}},
        "PiecewiseCosine(((-5, 0.5), (8, 0)))",
    ),
    (
        "linear_onecycle_schedule",
        {"transition_steps": 100, "div_factor": 4, "final_div_factor": 10},
        "PiecewiseLinear(((0, 0.25), (30, 1), (85, 0.25), (100, 0.025)))",
    ),
    (
        "cosine_onecycle_schedule",
        {"transition_steps": 100, "peak_value": 0.5, "div_factor": 4, "final_div_factor": 16},
        "PiecewiseCosine(((0, absolute(0.125)), (30, absolute(0.5)), (100, absolute(0.0078125))))",
    ),
    (
        "warmup_constant_schedule",
        {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 10},
        "Warmup(10, start=0, end=absolute(0.1)) >> Hold()",
    ),
    (
        "warmup_constant_schedule",
        {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 0},
        "Constant(0)",
    ),
    (
        "warmup_cosine_decay_schedule",
        {"init_value": 0.0, "warmup_steps": 10, "decay_steps": 100, "end_value": 1e-5},
        "Warmup(10, start=0) >> Cosine(90, end=absolute(1e-05))",
    ),
    (
        "warmup_cosine_decay_schedule",
        {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 0, "decay_steps": 100},
        "Cosine(100, start=absolute(0.1))",
    ),
    (
        "warmup_exponential_decay_schedule",
        {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 10, "transition_steps": 50,
         "decay_rate": 0.5, "end_value": 0.01},
        "Warmup(10, start=0, end=absolute(0.1)) >> "
        "ExponentialDecay(0.5, start=absolute(0.1), per=50).clip(low=absolute(0.01))",
    ),
    (
        "sgdr_schedule",
        {"cosine_kwargs": [
            {"init_value": 0.0, "peak_value": 0.5, "warmup_steps": 5, "decay_steps": 20},
            {"init_value": 0.0, "warmup_steps": 0, "decay_steps": 40}]},
        "Warmup(5, start=0, end=absolute(0.5)) >> Cosine(15) >> "
        "Cosine(40, start=1)",
    ),
    (
        "join_schedules",
        {"schedules": [
            ("linear_schedule", {"init_value": 0.0, "end_value": 0.1, "transition_steps": 30}),
            ("exponential_decay", {"init_value": 0.1, "transition_steps": 9, "decay_rate": 0.5}),
            ("cosine_decay_schedule", {"decay_steps": 50})],
         "boundaries": [10, 40]},
        "Linear(30, start=0, end=absolute(0.1)).part(0, 10) >> "
        "ExponentialDecay(0.5, start=absolute(0.1), steps=30, per=9) >> Cosine(50, start=1)",
    ),
    (
        "join_schedules",
        {"schedules": [
            ("warmup_constant_schedule", {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 5}),
            ("cosine_decay_schedule", {"init_value": 0.2, "decay_steps": 50}),
            ("constant_schedule", {"value": 0.01})],
         "boundaries": [10, 80]},
        "Warmup(5, start=0, end=absolute(0.1)) >> Hold(5) >> "
        "Cosine(50, start=absolute(0.2)) >> Hold(20) >> Constant(absolute(0.01))",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "text"), READ, ids=[row[2][:60] for row in READ])
def test_constructors_are_read(name, arguments, text):
    """A constructor and its arguments give this plan, which is stored like any other."""
    plan = from_optax(name, **arguments)
    assert repr(plan) == text
    assert parse(text) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_arguments_may_be_without_a_name():
    """A call is read as it was typed, in optax's order."""
    named = from_optax("linear_schedule", init_value=1.0, end_value=0.1, transition_steps=50)
    assert from_optax("linear_schedule", 1.0, 0.1, 50) == named
    assert from_optax("linear_schedule", 1.0, 0.1, transition_steps=50) == named


def test_absolute_levels_leave_the_group_s_rate_out():
    """With its values given, a schedule is the same for every group."""
    plan = from_optax("warmup_cosine_decay_schedule", 0.0, 1e-3, 10, 100, 1e-5)
    steps = np.arange(120)
    np.testing.assert_array_equal(plan(steps, 0.1), plan(steps, 7.0))
    assert plan(10) == 1e-3


def test_plans_are_joined_with_their_own_beginnings():
    """A plan that is joined begins at its own level, wherever the one before ended."""
    plans = [cd.Linear(10, end=0.5), cd.Cosine(10), cd.Warmup(4) >> cd.Hold(), cd.Hold(3)]
    joined = from_optax("join_schedules", plans, [10, 20, 30])
    expected = np.concatenate(
        [plans[0](np.arange(10)), plans[1](np.arange(10)), plans[2](np.arange(10)), np.ones(9)]
    )
    np.testing.assert_array_equal(joined(np.arange(39)), expected)
    assert from_optax("join_schedules", [cd.Linear(9)], []) == cd.Linear(9, start=1)
    # What has no step of its own leaves no trace.
    assert from_optax("join_schedules", plans[:3], [0, 0]) == cd.Warmup(4).part(0) >> cd.Hold()


REFUSED = [
    (("cosine_decay",), {}, "did you mean 'cosine_decay_schedule'?"),
    (("reduce_on_plateau",), {}, "'reduce_on_plateau' answers a metric, so it is no plan but a"),
    (
        ("cosine_decay_schedule",),
        {"init_value": 1.0},
        "from_optax('cosine_decay_schedule'): 'decay_steps' must be given",
    ),
    (
        ("cosine_decay_schedule",),
        {"decay_step": 10},
        "from_optax('cosine_decay_schedule'): unknown argument 'decay_step'; did you mean",
    ),
    (
        ("cosine_decay_schedule", 1.0, 10, 0.0, 1.0, 5),
        {},
        "from_optax('cosine_decay_schedule'): at most 4 arguments may be given (got 5)",
    ),
    (("constant_schedule", 1.0), {"value": 2.0}, "'value' must be given only once"),
    (("constant_schedule", "fast"), {}, "'value' must be a number (got 'fast')"),
    (("cosine_decay_schedule", 1.0, 0), {}, "'decay_steps' must be > 0 (got 0)"),
    (("cosine_decay_schedule", 1.0, 9, 0, -1), {}, "'exponent' must be >= 0 (got -1)"),
    (("polynomial_schedule", 1.0, 0.0, -1, 9), {}, "'power' must be >= 0 (got -1)"),
    (("linear_schedule", 1.0, 0.0, 9, 0.5), {}, "'transition_begin' must be a whole number"),
    (("exponential_decay", 1.0, 10, -0.5), {}, "'decay_rate' must be >= 0 (got -0.5)"),
    (
        ("exponential_decay", 1.0, 2.5, 0.5, 0, True),
        {},
        "'transition_steps' must be a whole number (got 2.5)",
    ),
    (("exponential_decay", 1.0, 2.5, 0.5, 0, "no"), {}, "'staircase' must be one of True, False"),
    (
        ("warmup_cosine_decay_schedule", 0.0, 1.0, 100, 100),
        {},
        "'decay_steps' must be > 'warmup_steps', which it includes (got 100 and 100)",
    ),
    (("warmup_cosine_decay_schedule", 0.0, 1.0, -1, 10), {}, "'warmup_steps' must be >= 0"),
    (("piecewise_constant_schedule", 1.0, [5]), {}, "'boundaries_and_scales' must be a dict of"),
    (("piecewise_constant_schedule", 1.0, {5: -1}), {}, "'boundaries_and_scales' must be >= 0"),
    (
        ("piecewise_interpolate_schedule", "cubic", 1.0),
        {},
        "'interpolate_type' must be one of 'linear', 'cosine' (got 'cubic')",
    ),
    (
        ("piecewise_interpolate_schedule", "linear", 1.0, {0.5: 1}),
        {},
        "'boundaries_and_scales' must be a whole number (got 0.5)",
    ),
    (("linear_onecycle_schedule", 0, 1.0), {}, "'transition_steps' must be >= 1 (got 0)"),
    (("cosine_onecycle_schedule", 9, 1.0, 0.3, 0), {}, "'div_factor' must be > 0 (got 0)"),
    (("sgdr_schedule", []), {}, "'cosine_kwargs' must be the arguments of at least one"),
    (
        ("sgdr_schedule", [{"init_value": 0.0}]),
        {},
        "from_optax('sgdr_schedule'): cosine_kwargs[0]: 'warmup_steps' must be given",
    ),
    (("join_schedules", 5, 5), {}, "'schedules' and 'boundaries' must be lists (got 5 and 5)"),
    (
        ("join_schedules", [cd.Hold()], [5]),
        {},
        "'boundaries' must be one fewer than 'schedules' (got 1 and 1)",
    ),
    (
        ("join_schedules", [cd.Hold(), cd.Hold(), cd.Hold()], [5, 3]),
        {},
        "'boundaries' must be in rising order (got [5, 3])",
    ),
    (("join_schedules", [cd.Cosine()], []), {}, "schedules[0] must be resolved (got Cosine())"),
    (
        ("join_schedules", [lambda step: 0.1], []),
        {},
        "schedules[0] must be a plan or a name with its arguments (got <function",
    ),
    (
        ("join_schedules", [("linear_schedule", {})], []),
        {},
        "from_optax('linear_schedule'): 'end_value' must be given",
    ),
]


@pytest.mark.parametrize(("placed", "arguments", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused(placed, arguments, message):
    """The message says which argument, and what is demanded."""
    with pytest.raises(ArgumentError) as caught:
        from_optax(*placed, **arguments)
    assert message in str(caught.value)
