"""Schedules of Keras, in float64 and in its usual float32, beside the plans that are read."""

import json
from fractions import Fraction

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from table import compare, record

from cadence import parse
from cadence.dialects import from_keras
from cadence.errors import ArgumentError

pytestmark = pytest.mark.peers

EXAMPLES = 60
STEPS = 120


def floats(low, high):
    return st.floats(low, high, allow_nan=False)


RATES = st.sampled_from([0.0, 1e-3, 1.0]) | floats(1e-6, 2)
LENGTHS = st.sampled_from([1, 2, 1.0]) | st.integers(1, 75)
# Whole numbers of quarters, which float32 knows exactly: nearer to a boundary, it rounds.
FRACTIONS = st.integers(2, 360).map(lambda k: k / 4)
POWERS = st.sampled_from([1.0, 2.0, 0.0, 0.5]) | floats(0.3, 4)


@st.composite
def piecewise(draw):
    edges = sorted(draw(st.lists(st.integers(-3, 120) | FRACTIONS, min_size=1, max_size=5)))
    values = st.lists(RATES, min_size=len(edges) + 1, max_size=len(edges) + 1)
    return {"boundaries": edges, "values": draw(values)}


def some(needed, optional):
    return st.fixed_dictionaries(needed, optional=optional)


STAIRS = {"staircase": st.booleans()}
OWN = {
    "ExponentialDecay": some(
        {"initial_learning_rate": RATES, "decay_steps": LENGTHS | FRACTIONS,
         "decay_rate": st.sampled_from([0.0, 1.0, 0.96]) | floats(0.01, 1.1)}, STAIRS),
    "PiecewiseConstantDecay": piecewise(),
    "PolynomialDecay": some(
        {"initial_learning_rate": RATES, "decay_steps": LENGTHS | FRACTIONS},
        {"end_learning_rate": RATES, "power": POWERS}),
    "PolynomialDecay, cycle": some(
        {"initial_learning_rate": RATES, "decay_steps": LENGTHS, "cycle": st.just(True)},
        {"end_learning_rate": RATES, "power": POWERS}),
    "InverseTimeDecay": some(
        {"initial_learning_rate": RATES, "decay_steps": LENGTHS | FRACTIONS,
         "decay_rate": st.just(0.0) | floats(0.01, 1)}, {}),
    "InverseTimeDecay, staircase": some(
        {"initial_learning_rate": RATES, "decay_steps": LENGTHS, "staircase": st.just(True),
         "decay_rate": st.just(0.0) | floats(0.01, 1)}, {}),
    "CosineDecay": some(
        {"initial_learning_rate": RATES, "decay_steps": LENGTHS | FRACTIONS},
        {"alpha": RATES, "warmup_target": st.none() | RATES,
         "warmup_steps": st.integers(0, 40) | FRACTIONS}),
    "CosineDecayRestarts": some(
        {"initial_learning_rate": RATES, "first_decay_steps": LENGTHS},
        # Nearer to 1, Keras loses digits in the sum of its cycles' lengths.
        {"t_mul": st.sampled_from([1.0, 2.0, 3.0, 1.5]) | floats(1.1, 3),
         "m_mul": st.just(0.5) | floats(0, 1.2), "alpha": RATES}),
}  # fmt: skip
"""Each class, or a way to use it, and its arguments."""


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    """What Keras computes in."""
    keras = reference.keras()
    before = keras.config.floatx()
    keras.config.set_floatx(request.param)
    yield request.param
    keras.config.set_floatx(before)


def schedule(name, arguments):
    return getattr(reference.keras().optimizers.schedules, name.partition(",")[0])(**arguments)


def rounded_restarts(theirs, ours, arguments):
    """The steps at which a restart is due, or nearly, and Keras rounds a logarithm the other way.

    There one of the two is at the end of a cycle and the other at the beginning of the next.
    """
    first, ratio = int(arguments["first_decay_steps"]), Fraction(str(arguments.get("t_mul", 2.0)))
    end = arguments["initial_learning_rate"] * arguments.get("alpha", 0.0)
    begin, length, found = Fraction(0), Fraction(first), []
    while begin < len(theirs):
        near = round(begin)
        # In float32 a factor is not quite what was typed, nor are the cycles' beginnings.
        due = abs(begin - near) < 1e-4 and near < len(theirs)
        if due and min(abs(theirs[near] - end), abs(ours[near] - end)) < 1e-5:
            found.append(near)
        begin += length
        length *= ratio
    return found


def agrees(name, arguments, dtype, plan, base, theirs):
    assert parse(repr(plan)) == plan
    version = reference.keras().__version__
    ours, kept = plan(np.arange(STEPS), base), np.ones(STEPS, dtype=bool)
    if name == "CosineDecayRestarts":
        kept[rounded_restarts(theirs, ours, arguments)] = False
    # In Keras the beginnings of longer and longer cycles are sums of powers, which lose a digit.
    is_sum = name == "CosineDecayRestarts"
    if dtype == "float64":
        tolerance = 1e-11 if is_sum else 1e-12
        compare("Keras", version, name, ours[kept], theirs[kept], tolerance=tolerance)
        return
    if arguments.get("decay_rate", 0) > 1 or 1 < arguments.get("t_mul", 2) < 1.5:
        return  # growth multiplies the error of a rounded factor, as do many cycles
    levels = [abs(arguments.get(key) or 0.0) for key in LEVELS]
    scale = max(*levels, float(np.abs(theirs).max()))
    worst = float(np.abs(ours - theirs)[kept].max(initial=0.0)) / scale if scale else 0.0
    assert worst <= (1e-5 if is_sum else 1e-6)
    record("Keras", version, f"{name}, in float32", worst)


LEVELS = ("initial_learning_rate", "end_learning_rate", "warmup_target")


def values(name, arguments):
    own = schedule(name, arguments)
    return np.array([float(own(step)) for step in range(STEPS)])


@pytest.mark.parametrize("name", OWN)
def test_classes(name, dtype):
    """The object, its config as Keras stores it, and the call give the same plan, Keras's own."""

    @settings(max_examples=EXAMPLES)
    @given(OWN[name], floats(1e-3, 2))
    def holds(arguments, base):
        own = schedule(name, arguments)
        plan = from_keras(own)
        stored = json.loads(json.dumps(reference.keras().optimizers.schedules.serialize(own)))
        assert from_keras(stored) == plan
        assert from_keras(own.get_config()) == plan
        kind = name.partition(",")[0]
        assert from_keras(kind, **arguments) == from_keras(kind, own.get_config()) == plan
        agrees(name, arguments, dtype, plan, base, values(name, arguments))

    holds()


@pytest.mark.parametrize("name", [name for name in OWN if name != "PiecewiseConstantDecay"])
def test_the_rate_that_is_left_out_is_the_group_s(name, dtype):
    """Without its initial rate, a schedule is one of the group's own."""

    @settings(max_examples=EXAMPLES // 2)
    @given(OWN[name], floats(1e-3, 2))
    def holds(arguments, base):
        rest = {**arguments}
        del rest["initial_learning_rate"]
        rest.pop("warmup_target", None)
        plan = from_keras(name.partition(",")[0], **rest)
        given = {**rest, "initial_learning_rate": base}
        agrees(name, given, dtype, plan, base, values(name, given))

    holds()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ExponentialDecay", {"initial_learning_rate": 1.0, "decay_steps": 0, "decay_rate": 0.5}),
        ("PolynomialDecay", {"initial_learning_rate": 1.0, "decay_steps": -1}),
        ("InverseTimeDecay", {"initial_learning_rate": 1.0, "decay_steps": 0, "decay_rate": 0.5}),
        ("CosineDecay", {"initial_learning_rate": 1.0, "decay_steps": 0}),
        ("CosineDecayRestarts", {"initial_learning_rate": 1.0, "first_decay_steps": 0}),
        ("PiecewiseConstantDecay", {"boundaries": [1, 2], "values": [1.0, 0.5]}),
    ],
)
def test_what_keras_refuses_is_refused(name, arguments):
    """Where the constructor raises, so does the reader."""
    with pytest.raises(ValueError, match=r".+"):
        schedule(name, arguments)
    with pytest.raises(ArgumentError):
        from_keras(name, **arguments)


def test_what_keras_cannot_compute_is_refused():
    """A schedule that fails when it is asked, or gives NaN, is no plan."""
    never = schedule("PiecewiseConstantDecay", {"boundaries": [], "values": [1.0]})
    with pytest.raises(IndexError):
        never(0)
    with pytest.raises(ArgumentError, match="'boundaries' must be at least one"):
        from_keras(never)
    shrinking = schedule(
        "CosineDecayRestarts", {"initial_learning_rate": 1.0, "first_decay_steps": 10, "t_mul": 0.5}
    )
    assert np.isnan(float(shrinking(25)))
    with pytest.raises(ArgumentError, match=r"'t_mul' must be 1 or at least 1\.01"):
        from_keras(shrinking)


def test_every_schedule_is_read():
    """What Keras offers has a reader."""
    schedules = reference.keras().optimizers.schedules
    offered = {name for name, value in vars(schedules).items() if isinstance(value, type)}
    assert offered - {"LearningRateSchedule"} == {name.partition(",")[0] for name in OWN}


def test_a_schedule_in_an_optimizer():
    """The config of an optimizer holds the schedule's."""
    keras = reference.keras()
    own = keras.optimizers.schedules.CosineDecay(0.1, 100)
    config = keras.optimizers.SGD(learning_rate=own).get_config()
    assert from_keras(config["learning_rate"]) == from_keras(own)
