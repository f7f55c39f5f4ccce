"""Reading Keras's schedules, without Keras: what is written in documents, and what is refused."""

import pickle

import pytest

from cadence import parse
from cadence.dialects import from_keras
from cadence.errors import ArgumentError

READ = [
    (
        "ExponentialDecay",
        {"initial_learning_rate": 0.01, "decay_steps": 10_000, "decay_rate": 0.9},
        "ExponentialDecay(0.9, start=absolute(0.01), per=10000)",
    ),
    (
        "ExponentialDecay",
        {"decay_steps": 937.5, "decay_rate": 0.96, "staircase": True},
        "StepDecay(937.5, 0.96)",
    ),
    (
        "PiecewiseConstantDecay",
        {"boundaries": [100, 110.5], "values": [1.0, 0.5, 0.1]},
        "Constant(absolute(1), 101) >> Constant(absolute(0.5), 10) >> Constant(absolute(0.1))",
    ),
    (
        "PolynomialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 100, "power": 0.5},
        "Polynomial(100, start=absolute(0.1), end=absolute(0.0001), power=0.5)",
    ),
    (
        "PolynomialDecay",
        {"decay_steps": 100.5, "end_learning_rate": 0.0},
        "PiecewiseLinear(((0, 1), (100.5, 0)))",
    ),
    (
        "PolynomialDecay",
        {"initial_learning_rate": 1.0, "decay_steps": 10, "end_learning_rate": 0.5, "cycle": True},
        "(Constant(1, 1) >> Linear(10).part(1, 11).repeat() * "
        "PowerLaw(10, exponent=1).stairs(10)) * absolute(0.5) + absolute(0.5)",
    ),
    (
        "PolynomialDecay",
        {"decay_steps": 10, "end_learning_rate": 0.0, "cycle": True, "power": 2},
        "Constant(1, 1) >> Polynomial(10, power=2).part(1, 11).repeat() * "
        "PowerLaw(10, exponent=2).stairs(10)",
    ),
    (
        "InverseTimeDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 1.0, "decay_rate": 0.5},
        "InverseTime(2, start=absolute(0.1))",
    ),
    (
        "InverseTimeDecay",
        {"decay_steps": 10, "decay_rate": 4, "staircase": True},
        "InverseTime(2.5).stairs(10)",
    ),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 1000, "alpha": 0.5},
        "Cosine(1000, start=absolute(0.1), end=absolute(0.05))",
    ),
    ("CosineDecay", {"decay_steps": 1000, "alpha": 0.5}, "Cosine(1000, end=0.5)"),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.0, "decay_steps": 10.5, "warmup_target": 0.1,
         "warmup_steps": 2.5},
        "PiecewiseLinear(((0, 0), (2.5, absolute(0.1)))) >> "
        "PiecewiseCosine(((-0.5, absolute(0.1)), (10, 0)))",
    ),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.5, "first_decay_steps": 10, "m_mul": 0.5, "alpha": 0.5},
        "Cosine(10, start=absolute(0.5), end=absolute(0.25)).repeat(length_mult=2, peak_mult=0.5)",
    ),
]  # fmt: skip


class Written:
    """A schedule as Keras has them: an object with a config."""

    def __init__(self, **config):
        self.config = config

    def get_config(self):
        return self.config


@pytest.mark.parametrize(("name", "arguments", "text"), READ, ids=[row[2][:60] for row in READ])
def test_classes_are_read(name, arguments, text):
    """By name, by name and config, as an object, and as it is stored, a schedule is one plan."""
    plan = from_keras(name, **arguments)
    assert repr(plan) == text
    assert parse(text) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
    kind = type(name, (Written,), {})
    stored = {"module": "keras.optimizers.schedules", "class_name": name, "config": arguments,
              "registered_name": None}  # fmt: skip
    assert from_keras(kind(**arguments)) == from_keras(stored) == plan
    assert from_keras(name, {**arguments, "name": "mine"}) == plan


def test_a_config_alone_is_known_by_its_name():
    """Keras names an instance after its class, or nearly; a name of one's own says nothing."""
    config = {"initial_learning_rate": 0.5, "first_decay_steps": 10, "name": "SGDRDecay"}
    assert from_keras(config) == from_keras("CosineDecayRestarts", 0.5, 10)
    config = {"boundaries": [5], "values": [1.0, 0.5], "name": "PiecewiseConstant"}
    assert from_keras(config) == from_keras("PiecewiseConstantDecay", [5], [1.0, 0.5])
    with pytest.raises(ArgumentError, match="write from_keras"):
        from_keras({**config, "name": "mine"})


def test_a_boundary_is_still_of_the_value_before():
    """Keras changes the value after the boundary, where optax and torch do so on it."""
    plan = from_keras("PiecewiseConstantDecay", [100], [1.0, 0.5])
    assert (plan(100), plan(101)) == (1.0, 0.5)


REFUSED = [
    (("CosineDecy",), {}, "'class_name' must be one of 'CosineDecay'"),
    (("CosineDecay", 0.1), {}, "from_keras('CosineDecay'): 'decay_steps' must be given"),
    (("CosineDecay", 0.1, 10), {"alfa": 0}, "unknown argument 'alfa'; did you mean 'alpha'?"),
    (("CosineDecay", 0.1, 0), {}, "from_keras('CosineDecay'): 'decay_steps' must be > 0 (got 0)"),
    (
        ("CosineDecay",),
        {"decay_steps": 10, "warmup_target": 0.1, "warmup_steps": 5},
        "'initial_learning_rate' must be given where 'warmup_target' is: it is where the warm-up",
    ),
    (("CosineDecayRestarts", 0.1, 2.5), {}, "'first_decay_steps' must be a whole number (got 2.5)"),
    (("CosineDecayRestarts", 0.1, 9, 0.5), {}, "'t_mul' must be 1 or at least 1.01 (got 0.5)"),
    (("CosineDecayRestarts", 0.1, 9, 2, -1), {}, "'m_mul' must be >= 0 (got -1)"),
    (("ExponentialDecay", 0.1, 10, -0.5), {}, "'decay_rate' must be >= 0 (got -0.5)"),
    (("ExponentialDecay", 0.1, 10, 0.5, 2), {}, "'staircase' must be one of True, False (got 2)"),
    (("InverseTimeDecay", 0.1, 10, -0.5), {}, "'decay_rate' must be >= 0 (got -0.5)"),
    (
        ("InverseTimeDecay", 0.1, 2.5, 0.5, True),
        {},
        "'decay_steps' must be a whole number (got 2.5)",
    ),
    (
        ("PolynomialDecay", 0.1, 2.5),
        {"cycle": True},
        "'decay_steps' must be a whole number (got 2.5)",
    ),
    (("PolynomialDecay", 0.1, 9, 0.0, -1), {}, "'power' must be >= 0 (got -1)"),
    (("PiecewiseConstantDecay", 5, 6), {}, "'boundaries' and 'values' must be lists (got 5 and 6)"),
    (("PiecewiseConstantDecay", ["5"], [1, 2]), {}, "'boundaries' must be a number (got '5')"),
    (("PiecewiseConstantDecay", [], [1.0]), {}, "'boundaries' must be at least one, and one fewer"),
    (
        ("PiecewiseConstantDecay", [5, 3], [1, 2, 3]),
        {},
        "'boundaries' must be in rising order (got [5, 3])",
    ),
    ((5,), {}, "'config' must be a schedule of Keras, its config or the name of its class (got 5)"),
    (({"class_name": "CosineDecay"},), {}, "'config' must be a dict of arguments (got None)"),
    (({"decay_steps": 5},), {}, "a config alone must have the 'name' that Keras gives (got None)"),
    (
        ({"name": "CosineDecay"},),
        {"decay_steps": 5},
        "arguments may be given after a class's name only",
    ),
    ((Written(),), {}, "'class_name' must be one of"),
]


@pytest.mark.parametrize(("placed", "arguments", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused(placed, arguments, message):
    """The message says which argument, and what is demanded."""
    with pytest.raises(ArgumentError) as caught:
        from_keras(*placed, **arguments)
    assert message in str(caught.value)
