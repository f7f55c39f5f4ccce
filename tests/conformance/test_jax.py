"""Plans in JAX programs: compiled, mapped, scanned, and as the schedules of optax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cases import CASES

pytestmark = pytest.mark.peers

TRACEABLE = [case for case in CASES if case.name != "Function"]
"""Whether a user's function can be traced is its own affair."""

every_case = pytest.mark.parametrize("case", TRACEABLE, ids=lambda case: case.text)
DIGITS = {False: 2e-6, True: 1e-12}
"""By how much of the largest value they may differ, in float32 and in float64."""


@pytest.fixture(params=[False, True], ids=["float32", "float64"])
def x64(request):
    """JAX's two kinds of floats."""
    with jax.enable_x64(request.param):
        yield request.param


def steps_of(case):
    return np.arange(case.moves_until + 5)


def assert_near(got, case, steps, x64):
    assert got.dtype == (jnp.float64 if x64 else jnp.float32)
    assert_close(got, case.plan(steps, case.base), x64)


def assert_close(got, expected, x64):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=10 * DIGITS[x64], atol=DIGITS[x64] * scale)


@every_case
def test_a_compiled_plan_gives_its_numbers(case, x64):
    """Under `jit`, an array of counts gives what the plan gives."""
    steps = steps_of(case)
    got = jax.jit(lambda t: case.plan(t, case.base))(jnp.asarray(steps, dtype=jnp.int32))
    assert_near(got, case, steps, x64)


@every_case
def test_a_mapped_plan_gives_its_numbers(case):
    """Under `vmap` each count is traced by itself."""
    steps = steps_of(case)
    with jax.enable_x64(True):
        plan = jax.vmap(lambda count: case.plan(count, case.base))
        assert_near(plan(jnp.asarray(steps, dtype=jnp.int32)), case, steps, x64=True)


@every_case
def test_the_base_can_be_traced_too(case):
    """A rate that is an array of JAX, as with `optax.inject_hyperparams`, goes through `jit`."""
    if case.plan.compiled(case.base).uses_base:
        pytest.skip("compiled for each base by itself")
    steps = steps_of(case)
    with jax.enable_x64(True):
        got = jax.jit(case.plan)(jnp.asarray(steps, dtype=jnp.int32), jnp.asarray(case.base))
        assert_near(got, case, steps, x64=True)


@every_case
def test_a_plan_is_a_schedule_of_optax(case, x64):
    """`optax.sgd(plan)` takes a plan as it is: compiled updates use the plan's rates."""
    import optax

    optimizer = optax.sgd(case.plan)
    weight, steps = jnp.zeros((), dtype=float), range(30)

    def update(state, _):
        step, state = optimizer.update(jnp.ones_like(weight), state, weight)
        return state, -step

    _, rates = jax.lax.scan(update, optimizer.init(weight), length=len(steps))
    assert_close(rates, [case.plan(step) for step in steps], x64)
