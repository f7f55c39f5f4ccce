"""Laws that every row of `tests/cases.py` obeys: numbers, backends, stored forms, questions."""

import copy
import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
import torch

import cadence as cd
from cadence import Ramp, Schedule, recipes
from cadence.algebra import Clip, Product, Repeat, Sequence, Sum
from cases import CASES, Case, close, misnamed, missing

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.text[:60])
NAMES = {**vars(cd), "Sequence": Sequence}


def steps_of(case: Case) -> list[float]:
    """Whole steps, steps between, both sides of the end, and steps far beyond it."""
    n = case.moves_until
    whole = range(n + 3)
    between = [k + 0.37 for k in range(n + 2)]
    return [*whole, *between, *case.values, 1e6, 123456789.5, 1e15, 1e15 + 1, 1e18]


def scale_of(case: Case) -> float:
    return max(1e-300, *map(abs, case.values.values()), *(abs(v) for v in case.plan.values(9)))


def agrees(case: Case, actual, expected) -> bool:
    scale = max(scale_of(case), case.base)
    return all(close(a, b, scale) for a, b in zip(actual, expected, strict=True))


# The table itself.


def test_every_shape_and_recipe_has_a_row():
    """A shape, composition or recipe without a row in tests/cases.py fails here."""
    assert missing(Schedule.known, recipes.__all__) == set()


def test_a_shape_or_recipe_without_a_row_is_noticed(monkeypatch):
    """The check above can fail: a planted shape and a planted recipe are both reported."""

    class Planted(Ramp):
        def curve(self, u, xp):
            return u

    monkeypatch.setattr(Planted, "__module__", "cadence.shapes")
    names = [*recipes.__all__, "planted_recipe"]
    assert missing(Schedule.known, names) == {"Planted", "planted_recipe"}


def test_rows_are_about_the_shape_they_name():
    """A row named after a shape has a plan that is made of this shape."""
    assert misnamed() == set()


@every_case
def test_rows_tell_first_middle_last_and_beyond(case):
    """Each row has at least four steps, from 0 on, and goes beyond the end where there is one."""
    steps = sorted(case.values)
    assert len(steps) >= 4
    assert steps[0] == 0
    assert case.steps is None or (case.steps in steps and steps[-1] > case.steps)


# Numbers.


@every_case
def test_values_are_those_worked_out_by_hand(case):
    """At the first, middle and last step and beyond, the value is the number in the row."""
    got = [case.plan(step, case.base) for step in case.values]
    assert agrees(case, got, case.values.values()), got
    assert all(type(value) is float for value in got)


@every_case
def test_numpy_gives_what_numbers_give(case):
    """An array of steps, sorted or not, gives the value of each step to 1e-12."""
    steps = steps_of(case)
    expected = [case.plan(step, case.base) for step in steps]
    for order in (np.arange(len(steps)), np.random.default_rng(0).permutation(len(steps))):
        got = case.plan(np.array(steps)[order], case.base)
        assert got.dtype == np.float64
        assert agrees(case, got, np.array(expected)[order])


@every_case
def test_torch_gives_what_numbers_give(case):
    """A float64 tensor of steps gives the value of each step to 1e-12."""
    steps = steps_of(case)
    expected = [case.plan(step, case.base) for step in steps]
    got = case.plan(torch.tensor(steps, dtype=torch.float64), case.base)
    assert got.dtype == torch.float64
    assert agrees(case, got.tolist(), expected)


@pytest.mark.slow
@every_case
def test_jax_gives_what_numbers_give(case):
    """A float64 JAX array of steps gives the value of each step to 1e-12."""
    jax = pytest.importorskip("jax")
    steps = steps_of(case)
    expected = [case.plan(step, case.base) for step in steps]
    with jax.enable_x64(True):
        got = case.plan(jax.numpy.asarray(steps, dtype="float64"), case.base)
        assert agrees(case, got.tolist(), expected)


@pytest.mark.slow
@every_case
def test_jax_compiles_plans(case):
    """A plan can be traced: compiled by JAX, it gives the same values in JAX's float32."""
    jax = pytest.importorskip("jax")
    if case.name == "Function":
        pytest.skip("whether a user's function can be traced is its own affair")
    steps = np.arange(case.moves_until + 3)
    got = jax.jit(case.plan)(jax.numpy.asarray(steps))
    assert got.dtype == jax.numpy.float32
    np.testing.assert_allclose(got, case.plan(steps), rtol=2e-5, atol=2e-6 * scale_of(case))


@every_case
@pytest.mark.parametrize(
    "steps",
    [
        np.arange(12, dtype=np.int32).reshape(3, 4),
        np.arange(12, dtype=np.uint8)[::-1],
        np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        np.array([True, False]),
        np.array(3),
        np.array(2.5, dtype=np.float16),
        np.zeros((0, 3)),
        torch.arange(12.0),
        torch.arange(12).reshape(3, 4).T,
        torch.tensor(3),
        torch.tensor([True, False]),
        torch.arange(5.0, requires_grad=True),
        torch.zeros(2, 0),
    ],
    ids=lambda steps: f"{type(steps).__name__}-{steps.dtype}-{tuple(steps.shape)}",
)
def test_arrays_of_any_kind_keep_their_shape(case, steps):
    """Integers, bools, float32, 0-d, 2-d, views and empty arrays give float64 of their shape."""
    got = case.plan(steps, case.base)
    assert type(got) is type(steps)
    assert got.shape == steps.shape
    assert str(got.dtype).endswith("float64")
    expected = [case.plan(float(step), case.base) for step in steps.reshape(-1).tolist()]
    assert agrees(case, got.reshape(-1).tolist(), expected)


@every_case
def test_arrays_of_steps_are_left_alone(case):
    """Evaluating a plan does not write into the array that it was given."""
    steps = np.arange(20.0)
    kept = steps.copy()
    case.plan(steps)[...] = -1
    np.testing.assert_array_equal(steps, kept)


def test_float32_steps_are_exact_as_far_as_they_were_given():
    """A float32 tensor is widened before any arithmetic, so its values are those of its steps."""
    plan = cd.Linear(30_000_000)
    steps = torch.arange(16_777_200, 16_777_216, dtype=torch.float32)
    assert plan(steps).tolist() == [plan(step) for step in range(16_777_200, 16_777_216)]


@every_case
@pytest.mark.parametrize("library", [np.array, torch.tensor])
def test_bases_may_be_an_array(case, library):
    """A plan takes an array of bases, at one step or at as many steps, and keeps its shape."""
    bases = [[0.1, 1.0, 3.0], [0.0, 2.5, 1e-3]]
    array = library(bases, dtype=(np if library is np.array else torch).float64)
    for step in (0, 3, 7.5, 10**6):
        got = case.plan(step, array)
        assert type(got) is type(array)
        assert got.shape == array.shape
        expected = [case.plan(step, base) for row in bases for base in row]
        assert agrees(case, got.reshape(-1).tolist(), expected)
    steps = library([1.0, 4.0, 8.0])
    got = case.plan(steps, array)
    assert got.shape == array.shape
    expected = [case.plan(s, base) for row in bases for s, base in zip((1, 4, 8), row, strict=True)]
    # A float32 tensor of steps is widened, so whole steps lose nothing.
    assert agrees(case, got.reshape(-1).tolist(), expected)


@every_case
def test_whole_bases_are_widened(case):
    """An integer base, alone or in an array, does not round the value."""
    for step in (0, 3, 7):
        expected = case.plan(step, 2.0)
        assert case.plan(step, 2) == expected
        assert case.plan(step, np.array([2]))[0] == expected
        assert case.plan(step, torch.tensor([2])).item() == expected
        assert close(case.plan(step, np.float32(2)), expected)


def test_a_base_that_requires_grad_carries_gradients():
    """The value is differentiable with respect to the base, for learned rates."""
    base = torch.tensor(0.5, requires_grad=True)
    cd.Linear(10)(4, base).backward()
    assert base.grad is not None
    assert math.isclose(base.grad.item(), 0.6, rel_tol=1e-6)


@every_case
def test_the_end_is_held(case):
    """From its last step on a plan keeps the value of its last step, bit for bit."""
    if case.steps is None:
        pytest.skip("an endless plan has no end")
    end = case.plan(case.steps, case.base)
    for beyond in (0.5, 1, 2, 1000, 10**9, 1e15, 1e300, 10**400):
        assert case.plan(case.steps + beyond, case.base) == end


@every_case
def test_no_step_is_too_large(case):
    """A plan has a finite value at every finite step, however large, and never raises."""
    for step in (2**53, 2**53 + 1, 1e15, 10**18 + 7, 1e300, 10**400, 10**5000, 1.7e308):
        assert math.isfinite(case.plan(step, case.base))
    far = [1e15, 2.0**53, 1e30, 1e300, 1.7e308]
    assert np.isfinite(case.plan(np.array(far))).all()
    assert torch.isfinite(case.plan(torch.tensor(far, dtype=torch.float64))).all()


@every_case
@pytest.mark.parametrize("step", [-1, -0.5, math.nan, math.inf, -math.inf, -(10**400)])
def test_steps_that_cannot_be_meant_are_refused(case, step):
    """A negative, infinite or NaN step raises, alone and in an array."""
    with pytest.raises(ValueError, match="plan: 'step' must be finite and >= 0"):
        case.plan(step)
    if isinstance(step, float):
        for steps in (np.array([1.0, step]), torch.tensor([1.0, step]), np.array(step)):
            with pytest.raises(ValueError, match="plan: 'step' must be finite and >= 0"):
                case.plan(steps)


# Stored forms.


@every_case
def test_repr_is_the_python_that_one_would_type(case):
    """The repr is the text in the row, and evaluating it gives an equal plan."""
    assert repr(case.plan) == case.text
    assert eval(case.text, NAMES) == case.plan  # noqa: S307 - the text is ours


@every_case
def test_text_and_json_read_back_equal(case):
    """`parse(repr(plan))` and `from_json(to_json(plan))` are the plan, through real JSON."""
    assert cd.parse(case.text) == case.plan
    data = cd.to_json(case.plan)
    through = data if isinstance(data, str) else json.loads(json.dumps(data, allow_nan=False))
    assert cd.from_json(through) == case.plan


@every_case
def test_copies_are_equal_and_evaluate_alike(case):
    """Pickle, copy and deepcopy give an equal plan with equal hash, text and values."""
    case.plan(1)  # what a plan keeps from an evaluation must not travel
    copies = [pickle.loads(pickle.dumps(case.plan, k)) for k in range(2, 6)]
    for other in (*copies, copy.copy(case.plan), copy.deepcopy(case.plan)):
        assert other == case.plan
        assert hash(other) == hash(case.plan)
        assert repr(other) == case.text
        assert "_kept" not in vars(other)
        assert [other(s, case.base) for s in case.values] == [
            case.plan(s, case.base) for s in case.values
        ]


def test_plans_are_equal_only_to_themselves():
    """Rows compare equal where their text is equal, and never to anything else."""
    for case in CASES:
        assert [other.text for other in CASES if other.plan == case.plan] == [case.text]
        assert case.plan != case.text
        assert case.plan is not None
    assert len({case.plan for case in CASES}) == len(CASES)


@every_case
def test_plans_are_frozen(case):
    """Setting or deleting an attribute raises and changes nothing."""
    for name in (*(f.name for f in dataclasses.fields(case.plan)), "steps", "other"):
        with pytest.raises(AttributeError):
            setattr(case.plan, name, 1)
        with pytest.raises(AttributeError):
            delattr(case.plan, name)
    assert repr(case.plan) == case.text


# Questions.


def curve_of(case: Case) -> list[float]:
    return [case.plan(step) for step in range(case.moves_until + 1)]


@every_case
def test_steps_is_the_length(case):
    """`plan.steps` is the length in the row, None where the plan is endless."""
    assert case.plan.steps == case.steps


@every_case
def test_values_are_the_values_of_the_steps(case):
    """`plan.values(n)` lists steps 0..n-1, and `plan.values()` the plan's own steps."""
    curve = curve_of(case)
    got = case.plan.values(len(curve))
    assert got.shape == (len(curve),)
    assert agrees(case, got, curve)
    based = case.plan.values(5, case.base)
    assert agrees(case, based, [case.plan(s, case.base) for s in range(5)])
    assert case.plan.values(0).shape == (0,)
    if case.steps is None:
        with pytest.raises(cd.errors.UnresolvedError, match=r"write plan.values\(n\)"):
            case.plan.values()
    else:
        assert len(case.plan.values()) == case.steps


@every_case
def test_peak_and_final_agree_with_looking(case):
    """`plan.peak` is the largest value over all steps, `plan.final` the one held in the end."""
    if case.plan.compiled().end == math.inf:
        for question in ("peak", "final"):
            with pytest.raises(cd.errors.UnresolvedError, match="has no end"):
                getattr(case.plan, question)
        return
    curve = curve_of(case)
    assert close(case.plan.peak, max(curve))
    assert close(case.plan.final, curve[-1], max(map(abs, curve)))


@every_case
def test_area_agrees_with_adding_up(case):
    """`plan.area(a, b)` is the sum of the values of steps a..b-1."""
    curve = curve_of(case)
    n = len(curve)
    for a, b in ((0, n), (0, 0), (n // 3, n // 2), (n - 1, n)):
        expected = math.fsum(curve[a:b])
        assert math.isclose(case.plan.area(a, b), expected, rel_tol=1e-12, abs_tol=1e-12)
    doubled = math.fsum(case.plan(s, 2.0) for s in range(n))
    assert math.isclose(case.plan.area(0, n, 2.0), doubled, rel_tol=1e-12, abs_tol=1e-12)


@every_case
def test_first_below_agrees_with_looking(case):
    """`plan.first_below(level)` is the first step whose value is below the level, or None."""
    curve = curve_of(case)
    levels = [
        0.0,
        -1.0,
        1e-9,
        10.0,
        *(v * 1.0000001 for v in curve),
        *(v * 0.9999999 for v in curve),
    ]
    for level in levels[:60]:
        expected = next((step for step, value in enumerate(curve) if value < level), None)
        assert case.plan.first_below(level, within=len(curve)) == expected
        if case.plan.compiled().end < math.inf:
            assert case.plan.first_below(level) == expected


@every_case
def test_phases_tell_where_the_plan_is(case):
    """Phases follow each other without a gap, and start and end at the plan's own values."""
    phases = case.plan.phases(case.base)
    begin = 0
    for phase in phases:
        assert phase.begin == begin
        last = phase is phases[-1]
        if phase.steps:  # one of no steps contributes only its end
            assert close(phase.start, case.plan(phase.begin, case.base))
        if last and phase.steps < math.inf:
            assert close(phase.end, case.plan(begin + phase.steps, case.base), case.base)
        assert last or phase.steps < math.inf
        begin += int(phase.steps) if phase.steps < math.inf else 0
    assert begin == (case.steps or 0) or phases[-1].steps == math.inf


@every_case
def test_a_resolved_plan_resolves_to_itself(case):
    """Resolving a resolved plan, with any horizon or none, changes nothing."""
    assert case.plan.resolve() == case.plan
    opened = case.name == "Sum"  # its `Constant` takes the run
    for total in (20, 10_000) if opened else (1, 7, 10_000):
        resolved = case.plan.resolve(total)
        assert opened or resolved == case.plan
        assert resolved.resolve(total) == resolved
        assert resolved.resolve() == resolved


@every_case
def test_plans_compose_whatever_they_are(case):
    """Every plan can be scaled, shifted and bounded, with the values that says."""
    doubled, shifted = case.plan * 2, case.plan + 0.5
    for step in (0, 1, 2.5, 9, 1000):
        value = case.plan(step)
        assert close(doubled(step), 2 * value)
        assert close(shifted(step), value + 0.5, 1)
        clipped = case.plan.clip(low=0.2, high=0.6)(step)
        assert close(clipped, min(max(value, 0.2), 0.6))
    assert isinstance(doubled, Product)
    assert isinstance(shifted, Sum)
    assert isinstance(case.plan.clip(low=0.2), Clip)


@every_case
def test_plans_repeat_whatever_they_are(case):
    """Every plan that has steps repeats: at each restart it is where it began."""
    if not case.steps:
        demand = "at least 1 step" if case.steps == 0 else "endless|'times' must be given"
        with pytest.raises(ValueError, match=demand):
            case.plan.repeat()
        return
    again = case.plan.repeat(3)
    assert isinstance(again, Repeat)
    assert again.steps == 3 * case.steps
    for step in (0, case.steps // 2, case.steps - 1):
        for cycle in range(3):
            at = cycle * case.steps + step
            assert close(again(at), case.plan(step), 1)
    assert again(3 * case.steps) == case.plan(case.steps)
