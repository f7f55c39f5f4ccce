"""Schedules of optax, in float64, beside the plans that are read from the same arguments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table import compare, version

from cadence import parse
from cadence.dialects import from_optax
from cadence.errors import ArgumentError

pytestmark = pytest.mark.peers

VERSION = version("optax")
EXAMPLES = 60


def floats(low, high):
    return st.floats(low, high, allow_nan=False)


# XLA takes what is smaller than a normal float for 0.
VALUES = st.sampled_from([0.0, 1e-3, 1.0]) | floats(1e-9, 2)
PEAKS = st.sampled_from([1e-3, 1.0]) | floats(1e-4, 2)
LENGTHS = st.sampled_from([1, 2]) | st.integers(1, 90)
ANY_LENGTH = st.sampled_from([-3, 0]) | LENGTHS
BEGINS = st.sampled_from([-2, 0]) | st.integers(0, 40)
EXPONENTS = st.sampled_from([1.0, 2.0, 0.0, 0.5]) | floats(0.3, 4)
SCALES = st.sampled_from([0.0, 0.1, 1.0]) | floats(1e-9, 3)
BOUNDARIES = st.dictionaries(st.integers(0, 90), SCALES, max_size=5)
DECAY = {
    "transition_steps": ANY_LENGTH,
    "decay_rate": st.sampled_from([0.0, 1.0, 0.5]) | floats(0.01, 1.5),
    "transition_begin": BEGINS,
    "staircase": st.booleans(),
    "end_value": st.none() | VALUES,
}
WARM = {
    "init_value": VALUES,
    "peak_value": st.just(0.0) | PEAKS,
    "warmup_steps": st.integers(0, 40),
}
COSINE = {**WARM, "decay_steps": st.integers(41, 120), "end_value": VALUES, "exponent": EXPONENTS}
ONE_CYCLE = {
    "transition_steps": LENGTHS,
    "peak_value": PEAKS,
    "pct_start": floats(0, 1),
    "div_factor": floats(0.5, 50),
    "final_div_factor": floats(0.5, 1e5),
}

OWN = {
    "constant_schedule": {"value": VALUES},
    "polynomial_schedule": {
        "init_value": VALUES,
        "end_value": VALUES,
        "power": EXPONENTS,
        "transition_steps": ANY_LENGTH | floats(0.5, 60),
        "transition_begin": BEGINS,
    },
    "linear_schedule": {
        "init_value": VALUES,
        "end_value": VALUES,
        "transition_steps": ANY_LENGTH | floats(0.5, 60),
        "transition_begin": BEGINS,
    },
    "exponential_decay": {"init_value": VALUES, **DECAY},
    "cosine_decay_schedule": {
        "init_value": VALUES,
        "decay_steps": LENGTHS | floats(0.5, 60),
        "alpha": VALUES,
        "exponent": EXPONENTS,
    },
    "piecewise_constant_schedule": {
        "init_value": VALUES,
        "boundaries_and_scales": st.none()
        | BOUNDARIES
        | st.dictionaries(floats(-9, 90), SCALES, max_size=5),
    },
    "piecewise_interpolate_schedule": {
        "interpolate_type": st.sampled_from(["linear", "cosine"]),
        "init_value": VALUES,
        "boundaries_and_scales": st.none()
        | BOUNDARIES
        | st.dictionaries(st.integers(-20, 90), SCALES, max_size=5),
    },
    "linear_onecycle_schedule": {**ONE_CYCLE, "pct_final": floats(0, 1)},
    "cosine_onecycle_schedule": ONE_CYCLE,
    "warmup_constant_schedule": {**WARM, "warmup_steps": ANY_LENGTH | floats(0.5, 60)},
    "warmup_cosine_decay_schedule": COSINE,
    "warmup_exponential_decay_schedule": {**WARM, **DECAY},
    "sgdr_schedule": {
        "cosine_kwargs": st.lists(st.fixed_dictionaries(COSINE), min_size=1, max_size=4),
    },
}
"""Each constructor and its arguments."""

NEEDED = {
    "end_value", "power", "transition_steps", "decay_rate", "decay_steps", "interpolate_type",
    "init_value", "peak_value", "value", "warmup_steps", "cosine_kwargs",
}  # fmt: skip
OPTIONAL = {("exponential_decay", "end_value"), ("warmup_exponential_decay_schedule", "end_value"),
            ("warmup_cosine_decay_schedule", "end_value")}  # fmt: skip
MAIN = {"constant_schedule": "value", "linear_onecycle_schedule": "peak_value"} | {
    name: "peak_value" if "peak_value" in own else "init_value"
    for name, own in OWN.items()
    if name not in ("constant_schedule", "sgdr_schedule")
}
"""The argument that may be left out."""


def values(schedule, n):
    """What a schedule gives at the steps 0..n-1, in float64."""
    import jax

    with jax.enable_x64(True):
        found = jax.vmap(lambda step: jax.numpy.asarray(schedule(step), dtype=float))(
            jax.numpy.arange(n)
        )
        return np.asarray(found)


def theirs(name, arguments, n):
    import jax
    import optax

    with jax.enable_x64(True):
        schedule = getattr(optax.schedules, name)(**arguments)
    return values(schedule, n)


@st.composite
def calls(draw, name):
    return {
        key: draw(strategy)
        for key, strategy in OWN[name].items()
        if (key in NEEDED and (name, key) not in OPTIONAL) or draw(st.booleans())
    }


def length(name, arguments):
    """Past the end of any schedule made from the strategies above."""
    if name == "sgdr_schedule":
        return sum(each["decay_steps"] for each in arguments["cosine_kwargs"]) + 20
    return 200


@pytest.mark.parametrize("name", OWN)
def test_constructors(name):
    """With all arguments given, the plan has optax's values for any group."""

    @settings(max_examples=EXAMPLES)
    @given(calls(name), floats(1e-3, 2))
    def holds(arguments, base):
        n = length(name, arguments)
        plan = from_optax(name, **arguments)
        assert parse(repr(plan)) == plan
        compare("optax", VERSION, name, plan(np.arange(n), base), theirs(name, arguments, n))

    holds()


@pytest.mark.parametrize("name", sorted(MAIN))
def test_the_value_that_is_left_out_is_the_group_s_rate(name):
    """Without it, the plan gives for each base what optax gives for that value."""

    @settings(max_examples=EXAMPLES)
    @given(calls(name), PEAKS)
    def holds(arguments, base):
        rest = {key: value for key, value in arguments.items() if key != MAIN[name]}
        plan = from_optax(name, **rest)
        assert parse(repr(plan)) == plan
        expected = theirs(name, {**rest, MAIN[name]: base}, 200)
        compare("optax", VERSION, name, plan(np.arange(200), base), expected)

    holds()


@st.composite
def joined(draw, depth=2):
    """Schedules to be joined, some of them joined themselves, and the boundaries."""
    names = sorted(OWN) + (["join_schedules"] if depth else [])
    parts = []
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=4)):
        own = draw(joined(depth=depth - 1) if name == "join_schedules" else calls(name))
        parts.append((name, own))
    edges = st.lists(
        st.integers(0, 120), min_size=len(parts) - 1, max_size=len(parts) - 1
    ).map(sorted)  # fmt: skip
    return {"schedules": parts, "boundaries": draw(edges)}


def built(name, arguments):
    import optax

    if name == "join_schedules":
        parts = [built(*part) for part in arguments["schedules"]]
        return optax.schedules.join_schedules(parts, arguments["boundaries"])
    return getattr(optax.schedules, name)(**arguments)


@settings(max_examples=EXAMPLES)
@given(joined(), floats(1e-3, 2))
def test_joined_schedules(arguments, base):
    """Whatever is joined, each part is on its own clock, cut off or held as optax would."""
    import jax

    plan = from_optax("join_schedules", **arguments)
    assert parse(repr(plan)) == plan
    with jax.enable_x64(True):
        schedule = built("join_schedules", arguments)
    compare("optax", VERSION, "join_schedules", plan(np.arange(250), base), values(schedule, 250))


@settings(max_examples=EXAMPLES)
@given(st.lists(st.sampled_from(sorted(MAIN)), min_size=1, max_size=3), st.data(), PEAKS)
def test_plans_are_joined_as_schedules_are(names, data, base):
    """Plans may be given for schedules; one that goes by the group's rate begins at it."""
    import jax

    calls_ = [(name, data.draw(calls(name))) for name in names]
    rest = [
        (name, {key: value for key, value in own.items() if key != MAIN[name]})
        for name, own in calls_
    ]
    edges = sorted(data.draw(st.integers(0, 120)) for _ in names[1:])
    plans = [from_optax(name, **own) for name, own in rest]
    plan = from_optax("join_schedules", plans, edges)
    assert plan == from_optax("join_schedules", rest, edges)
    given = [(name, {**own, MAIN[name]: base}) for name, own in rest]
    with jax.enable_x64(True):
        schedule = built("join_schedules", {"schedules": given, "boundaries": edges})
    compare("optax", VERSION, "join_schedules", plan(np.arange(250), base), values(schedule, 250))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cosine_decay_schedule", {"init_value": 1.0, "decay_steps": 0}),
        ("warmup_cosine_decay_schedule", {
            "init_value": 0.0, "peak_value": 1.0, "warmup_steps": 10, "decay_steps": 10}),
        ("piecewise_constant_schedule", {"init_value": 1.0, "boundaries_and_scales": {5: -1.0}}),
        ("piecewise_interpolate_schedule", {
            "interpolate_type": "linear", "init_value": 1.0, "boundaries_and_scales": {5: -1.0}}),
        ("piecewise_interpolate_schedule", {"interpolate_type": "cubic", "init_value": 1.0}),
        ("linear_onecycle_schedule", {"transition_steps": 0, "peak_value": 1.0}),
        ("cosine_onecycle_schedule", {"transition_steps": 0, "peak_value": 1.0}),
    ],
)  # fmt: skip
def test_what_optax_refuses_is_refused(name, arguments):
    """Where the constructor raises, so does the reader."""
    import optax

    with pytest.raises(ValueError, match=r".+"):
        getattr(optax.schedules, name)(**arguments)
    with pytest.raises(ArgumentError):
        from_optax(name, **arguments)


def test_every_constructor_is_read():
    """What the module offers, but for what wraps other schedules, has a reader."""
    import optax

    offered = {
        name
        for name, value in vars(optax.schedules).items()
        if callable(value) and not name.startswith("_") and not isinstance(value, type)
    }
    wrappers = {"inject_hyperparams", "inject_stateful_hyperparams", "Schedule"}
    assert offered - wrappers == {*OWN, "join_schedules"}
