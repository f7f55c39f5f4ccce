"""Plans written for optax: the code runs there, and gives the plan's own numbers."""

import ast
import re
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table import compare, version

import cadence as cd
import strategies
from cadence import parse
from cadence.dialects import from_optax
from cases import CASES

pytestmark = pytest.mark.peers

VERSION = version("optax")

BASE = 0.3


def check(plan, *, base_lr=BASE):
    """In float64 the code gives the plan's numbers to the last digits, past the end too."""
    if len(plan.compiled(base_lr).pieces) > 300:
        return None  # XLA takes minutes to compile it
    made = plan.export("optax", base_lr=base_lr)
    steps = np.arange(min(plan.steps or 150, 400) + 20)
    with jax.enable_x64(True):
        # Of a count in int32, as it is in updates, optax makes float32 whatever is enabled.
        got = jax.vmap(made.build())(jnp.asarray(steps))
        assert got.dtype == jnp.float64
        name = "join_schedules" if "import optax" in made.text else "jax.numpy"
        compare("to optax", VERSION, name, plan(steps, base_lr), got)
    return made


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name != "Function"], ids=lambda case: case.text
)
def test_every_shape_is_written(case):
    """Each shape, composition and recipe can be written, with the plan's numbers."""
    check(case.plan, base_lr=case.base)


@settings(max_examples=60)
@given(strategies.resolved(max_depth=3))
def test_any_plan_is_written(drawn):
    """The code gives what the plan gives; a user's own function is refused."""
    if "Function" not in repr(drawn[1]):
        check(drawn[1])


STEPS = st.integers(0, 40)
LEVELS = st.sampled_from([0.0, 1.0]) | st.floats(1e-3, 2)
PHASES = st.one_of(
    st.builds(cd.Linear, STEPS, start=st.none() | LEVELS, end=LEVELS),
    st.builds(cd.Hold, STEPS),
    st.builds(cd.Constant, LEVELS, STEPS),
    st.builds(cd.Cosine, STEPS, start=st.floats(1e-3, 2), end=LEVELS, power=st.floats(1, 3)),
    st.builds(cd.Polynomial, STEPS, end=LEVELS, power=st.floats(0.3, 3)),
    st.builds(cd.StepDecay, st.integers(1, 9), factor=st.floats(0.01, 1), steps=STEPS),
    st.builds(cd.ExponentialDecay, st.floats(0.01, 1), per=st.floats(0.5, 9), steps=STEPS),
    st.builds(cd.MultiStepDecay, st.lists(STEPS, max_size=4).map(sorted), steps=STEPS),
)


@settings(max_examples=60)
@given(st.lists(PHASES, min_size=1, max_size=4))
@example([cd.Linear(0, end=0.5)])
@example([cd.Warmup(10), cd.StepDecay(5, steps=20)])
def test_optaxs_own_schedules_give_the_numbers(phases):
    """Where a plan is written with optax's schedules, they do what the plan does, for ever."""
    made = check(reduce(lambda a, b: a >> b, phases))
    assert "optax." in made.text


OPTAX = {
    "Warmup(500) >> Cosine(9500, end=0.1)": "linear_schedule cosine_decay_schedule",
    "Warmup(500) >> Hold(500) >> Polynomial(500, power=2)": (
        "linear_schedule constant_schedule polynomial_schedule"
    ),
    "Warmup(9) >> ExponentialDecay(0.9, per=10)": "linear_schedule exponential_decay",
    "StepDecay(9, factor=0.5)": "exponential_decay",
    "MultiStepDecay((0, 9, 9, 20), factor=0.5)": "piecewise_constant_schedule",
    "Warmup(9) >> InverseSqrt(9)": "",
    "Cosine(9, start=0, end=1)": "",
    "Cosine(9, k=2)": "",
}


@pytest.mark.parametrize("text", OPTAX)
def test_optaxs_own_schedules_are_preferred(text):
    """Code that optax's users know is written where it gives the same numbers, and read back."""
    made = check(parse(text))
    calls = re.findall(r"optax\.(\w+_schedule|\w+_decay)\((.*)\),?$", made.text, re.MULTILINE)
    assert [name for name, _ in calls] == OPTAX[text].split()
    if calls:
        pairs = [(name, eval(f"dict({given})")) for name, given in calls]  # noqa: S307  our own text
        boundaries = re.search(r"boundaries=(\[.*\])", made.text)
        name, given = pairs[0]
        if boundaries:
            name = "join_schedules"
            given = {"schedules": pairs, "boundaries": ast.literal_eval(boundaries[1])}
        steps = np.arange(100)
        np.testing.assert_allclose(
            from_optax(name, **given)(steps), made.plan(steps, BASE), rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize(
    "text", ["Warmup(5) >> Cosine(20, end=0.1)", "Warmup(5) >> InverseSqrt(9)"]
)
def test_what_is_written_trains(text):
    """An optimizer of optax takes the schedule, and compiled updates in float32 use its rates."""
    import optax

    made = parse(text).export("optax", base_lr=BASE)
    optimizer = optax.sgd(made.build())
    weight = jnp.zeros(())

    def update(state, _):
        step, state = optimizer.update(jnp.ones_like(weight), state, weight)
        return state, -step

    _, rates = jax.lax.scan(update, optimizer.init(weight), length=40)
    np.testing.assert_allclose(rates, made.plan(np.arange(40), BASE), rtol=2e-6, atol=1e-7)


def test_without_a_rate_it_is_the_multiple():
    """What is written without `base_lr` scales updates that have a rate already."""
    made = parse("Warmup(5) >> Hold()").export("optax", 50)
    assert made.note.endswith("multiples of the base rate, since base_lr was not given")
    assert float(made.build()(49)) == 1.0
