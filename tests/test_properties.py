"""What holds for every plan: random compositions, resolved against random horizons."""

import contextlib
import math
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import cadence as cd
from cadence import Duration, Horizon, Schedule, absolute
from cadence.algebra import Clip, Part, Product, Repeat, Sequence, Stairs, Sum
from cadence.errors import ArgumentError, UnresolvedError
from cadence.horizon import tile
from cadence.levels import Absolute
from cadence.shapes import Piecewise
from cases import close
from strategies import plans, resolved, scalars

NAMES = {**vars(cd), "Sequence": Sequence}
BASES = (1.0, 0.1, 3e-4)


def scale_of(plan: Schedule, base: float = 1.0) -> float:
    """A size against which rounding errors count: the largest sum of levels on the way."""
    if isinstance(plan, (Product, Sum)):
        left, right = (
            scale_of(side, base) if isinstance(side, Schedule) else abs(size_of(side, base))
            for side in (plan.left, plan.right)
        )
        return max(1.0, left) * max(1.0, right) + left + right
    if isinstance(plan, Sequence):
        return max(scale_of(part, base) for part in plan.parts)
    if isinstance(plan, (Clip, Repeat, Part, Stairs)):
        return 2 * scale_of(plan.plan, base)
    values = [getattr(plan, name, None) for name in ("start", "end", "level")]
    values += [level for _, level in getattr(plan, "points", ())]
    return 1.0 + max((abs(size_of(v, base)) for v in values if v is not None), default=0.0)


def size_of(level, base: float) -> float:
    return level.value if isinstance(level, Absolute) else level * max(base, 1.0)


def steps_near(data, plan: Schedule) -> list[float]:
    return data.draw(st.lists(scalars(plan), min_size=1, max_size=12), label="steps")


# Random compositions.


@given(made=resolved(), data=st.data())
def test_plans_are_finite_at_every_step(made, data):
    """A resolved plan never raises and is finite, at whole, fractional, far and huge steps."""
    _, plan, _ = made
    far = [0, 0.5, 1e15, 10**18, 10**400, 1.7e308]
    for step in [*far, *steps_near(data, plan)]:
        value = plan(step)
        assert type(value) is float
        assert math.isfinite(value)


@given(made=resolved(), data=st.data(), base=st.sampled_from(BASES))
def test_numbers_and_arrays_agree(made, data, base):
    """One formula for all: NumPy, sorted or not, and torch give what numbers give."""
    _, plan, _ = made
    steps = steps_near(data, plan)
    expected = [plan(step, base) for step in steps]
    scale = scale_of(plan, base)
    in_numpy = plan(np.array(steps, dtype=np.float64), base)
    in_torch = plan(torch.tensor(steps, dtype=torch.float64), base)
    in_order = plan(np.sort(np.array(steps, dtype=np.float64)), base)[
        np.argsort(np.argsort(np.array(steps, dtype=np.float64)))
    ]
    for got in (in_numpy, in_torch, in_order):
        assert all(close(a, b, 100 * scale) for a, b in zip(got.tolist(), expected, strict=True))


@given(made=resolved(), data=st.data(), base=st.sampled_from(BASES))
def test_a_closer_look_shows_the_same_values(made, data, base):
    """The engine walks along the simplest pieces; these say what the whole program says."""
    _, plan, _ = made
    program, scale = plan.compiled(base), 100 * scale_of(plan, base)
    step = data.draw(st.integers(0, 2_000))
    for _ in range(5):
        piece, stop = program.around(step)
        assert piece.begin <= step < stop
        last = math.ceil(min(stop, step + 1_000)) - 1
        for t in {step, (step + last) // 2, last}:
            pairs = zip(piece.affine(t), program.at(t), strict=True)
            assert all(close(a, b, scale) for a, b in pairs)
        if stop == math.inf:
            break
        step = math.ceil(stop)


@given(made=resolved(), data=st.data())
def test_the_end_is_held_for_good(made, data):
    """Past the end of a plan that has one, the value is that of the end, bit for bit."""
    _, plan, _ = made
    if plan.steps is None:
        return
    end = plan(plan.steps)
    for step in (0.5, 1, 1e6, 1e15, 10**400, *steps_near(data, plan)):
        assert plan(plan.steps + step) == end


@given(made=resolved(length="open"))
def test_open_plans_take_the_whole_run(made):
    """An open plan, resolved, is exactly as long as the run, unless it goes on beyond it."""
    _, plan, horizon = made
    assert plan.steps == horizon.total_steps


@given(made=resolved())
def test_phases_tile_the_plan(made):
    """Phases follow each other without gap or overlap, and their lengths add up."""
    _, plan, _ = made
    begin = 0
    phases = plan.phases()
    for phase in phases[:-1]:
        assert phase.begin == begin
        assert phase.steps == int(phase.steps) == phase.plan.steps
        begin += int(phase.steps)
    assert phases[-1].begin == begin
    if plan.steps is None:
        assert phases[-1].steps == math.inf
    else:
        assert begin + phases[-1].steps == plan.steps


@given(cuts=st.lists(st.integers(0, 10_000), max_size=7), total=st.integers(1, 10**7))
def test_percentages_that_make_a_hundred_tile_the_run(cuts, total):
    """Phases that come to 100 % come to the whole run, each within a step of its share."""
    edges = [0, *sorted(cuts), 10_000]
    shares = [b - a for a, b in pairwise(edges)]
    parts = [cd.Linear(f"{Decimal(share) / 100}%", end=0.5) for share in shares]
    plan = parts[0] if len(parts) == 1 else Sequence(tuple(parts))
    resolved_plan = plan.resolve(total)
    assert resolved_plan.steps == total
    for phase, share in zip(resolved_plan.phases(), shares, strict=True):
        assert abs(phase.steps - Fraction(share * total, 10_000)) < 1


def carries_on(plan: Schedule) -> bool:
    """Whether a phase promises to start where the one before ended."""
    if isinstance(plan, cd.Hold):
        return True
    return isinstance(plan, (cd.Ramp, cd.Decay)) and plan.start is None


def jumps(plan: Schedule) -> bool:
    """Whether a phase may jump by itself: a drop, a restart, two points at one step."""
    if isinstance(plan, (cd.StepDecay, cd.MultiStepDecay, cd.Function, Piecewise, Repeat, Stairs)):
        return True
    if isinstance(plan, Sequence):
        return True  # its own joints are looked at one by one
    if isinstance(plan, (Product, Sum)):
        return any(jumps(side) for side in (plan.left, plan.right) if isinstance(side, Schedule))
    return isinstance(plan, (Clip, Part)) and jumps(plan.plan)


@given(made=resolved(), base=st.sampled_from(BASES))
def test_timelines_are_continuous_unless_told_otherwise(made, base):
    """A phase without a start of its own starts at the very value where the last one ended."""
    _, plan, _ = made
    phases = plan.phases(base)
    tolerance = 1e-12 * scale_of(plan, base)
    for i, (before, after) in enumerate(pairwise(phases)):
        if carries_on(after.plan):
            # A phase of no steps has only an end, and a drop may fall on the first step.
            dropped = isinstance(after.plan, (cd.StepDecay, cd.MultiStepDecay))
            if after.steps and not dropped:
                assert abs(after.start - before.end) <= tolerance
            if after.steps and not dropped and not jumps(before.plan) and before.steps:
                just_before = plan(after.begin * (1 - 1e-14) if after.begin else 0, base)
                assert abs(just_before - plan(after.begin, base)) <= 1e-3 * scale_of(plan, base)
        if before.steps and not jumps(before.plan) and i:
            end = before.begin + before.steps
            # Far from 0, a step that is not quite the last one may be rounded to it.
            inside = min(end - before.steps * 1e-12, math.nextafter(end, 0))
            assert abs(plan(inside, base) - before.end) <= 1e-3 * scale_of(plan, base)


@given(made=resolved(mixed_clips=False), data=st.data())
def test_plans_are_affine_in_the_base(made, data):
    """But for clips of mixed kinds, the values at three bases lie on one line."""
    _, plan, _ = made
    tolerance = 1e-12 * scale_of(plan, 4.0)
    for step in steps_near(data, plan):
        q, one, four = plan(step, 0.0), plan(step, 1.0), plan(step, 4.0)
        assert abs(four - (q + 4 * (one - q))) <= 10 * tolerance


@given(made=resolved(), data=st.data())
def test_an_array_of_bases_gives_each_its_value(made, data):
    """One call for many groups gives what a call for each of them gives."""
    _, plan, _ = made
    for step in steps_near(data, plan)[:3]:
        expected = [plan(step, base) for base in BASES]
        for bases in (np.array(BASES), torch.tensor(BASES, dtype=torch.float64)):
            got = plan(step, bases).tolist()
            tolerance = 10 * scale_of(plan)
            assert all(close(a, b, tolerance) for a, b in zip(got, expected, strict=True))


@given(made=resolved())
def test_plans_read_back_equal_from_their_text(made):
    """The text of a plan, resolved or not, gives an equal plan in Python and through `parse`."""
    for plan in made[:2]:
        text = repr(plan)
        assert cd.parse(text) == plan
        again = eval(text, NAMES)  # noqa: S307 - the text is ours
        assert again == plan
        assert hash(again) == hash(plan)
        assert repr(again) == text
        assert cd.from_json(cd.to_json(plan)) == plan


@given(made=resolved())
def test_resolving_twice_changes_nothing(made):
    """A resolved plan is its own resolution, for the same run, another, or none."""
    _, plan, horizon = made
    assert plan.resolve(horizon) == plan
    assert plan.resolve(horizon.total_steps) == plan
    if plan.steps is not None:
        assert plan.resolve() == plan
        assert plan.resolve(10**9) == plan


@given(made=resolved(), data=st.data(), base=st.sampled_from(BASES))
def test_area_and_values_agree_with_adding_up(made, data, base):
    """The area is the sum of the values, over any stretch."""
    _, plan, _ = made
    a = data.draw(st.integers(0, 300))
    b = data.draw(st.integers(a, a + 300))
    expected = [plan(step, base) for step in range(a, b)]
    scale = scale_of(plan, base)
    assert abs(plan.area(a, b, base) - math.fsum(expected)) <= 1e-12 * scale * max(1, b - a)
    values = plan.values(b, base)[a:]
    assert all(close(x, y, 100 * scale) for x, y in zip(values.tolist(), expected, strict=True))


@given(plan=plans())
def test_unresolved_plans_say_what_they_lack(plan):
    """A plan either has values or names the unit that it lacks; it never half works."""
    questions = [
        lambda: plan(0),
        lambda: plan(np.arange(3)),
        lambda: plan.values(3),
        lambda: plan.area(0, 3),
        plan.phases,
    ]
    lacking = plan._lacking()
    for question in questions:
        if lacking is None:
            question()
        else:
            with pytest.raises(UnresolvedError, match=r" is not resolved: .*; write "):
                question()


HALF = plans(2, length="closed", budget=Decimal(50))


@given(left=HALF, right=HALF, total=st.integers(1, 10**6))
def test_joining_is_associative(left, right, total):
    """Brackets do not change a timeline."""
    last = cd.Linear(total, end=0.25)
    assert (left >> right) >> last == left >> (right >> last)


# Growth, of which the strategies above have none.


@given(
    factor=st.floats(1.0001, 1e6),
    step=st.integers(0, 10**18),
    start=st.sampled_from([1.0, -1.0, 1e-6]),
)
@example(factor=1.5, step=10**6, start=1.0)
def test_growth_saturates_alike_everywhere(factor, step, start):
    """Endless growth ends at inf, in every library and without a warning."""
    plan = cd.ExponentialDecay(factor, start=start) + absolute(1.0)
    expected = plan(step)
    assert not math.isnan(expected)
    in_numpy = plan(np.array([float(step)]))[0]
    in_torch = plan(torch.tensor([step], dtype=torch.float64)).item()
    for got in (in_numpy, in_torch):
        # A power of many thousands is off by more than rounding, on either side.
        assert math.isclose(got, expected, rel_tol=1e-10) or got == expected


@given(step=st.integers(0, 10**7), factor=st.floats(1.01, 3), mult=st.floats(1.01, 3))
@example(step=2 * 10**6, factor=1.5, mult=1.5)
def test_nothing_is_not_a_number_because_it_grew(step, factor, mult):
    """Where growth has overflowed, a 0 in front of it wins: never NaN, never a warning."""
    cycle = (cd.Linear(10, start=0, end=1) >> cd.Linear(10)) >> cd.Hold(3)
    for plan in (
        cycle.repeat() * cd.ExponentialDecay(factor),
        cycle.repeat(peak_mult=mult),
        cd.ExponentialDecay(0.5) * cd.ExponentialDecay(factor),
        cd.Linear(5) * cd.ExponentialDecay(factor, steps=10**6),
    ):
        expected = plan(step)
        assert not math.isnan(expected)
        assert plan(step, 0.0) == 0.0
        for got in (plan(np.array([step]))[0], plan(torch.tensor([step])).item()):
            assert math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9) or got == expected


# Durations and tiling.

AMOUNTS = st.decimals(0, 10**9, places=4, allow_nan=False).map(lambda d: Fraction(str(d)))


@given(amount=AMOUNTS, unit=st.sampled_from(["%", "ep", "tok", "samples"]))
@example(amount=Fraction(5), unit="tok")
@example(amount=Fraction(1, 1000), unit="samples")
@example(amount=Fraction(999_999_999), unit="tok")
@example(amount=Fraction(0), unit="ep")
def test_durations_read_back_equal(amount, unit):
    """The text of a duration, in any case and spacing, is read back as the same amount."""
    duration = Duration(amount % 100 if unit == "%" else amount, unit)
    text = str(duration)
    for written in (text, text.upper(), text.lower(), f"  {text} "):
        assert Duration.parse(written) == duration
    assert repr(duration) == repr(text)
    assert hash(Duration.parse(text)) == hash(duration)


@given(
    number=st.integers(0, 10**6),
    scale=st.sampled_from([("", 1), ("K", 10**3), ("M", 10**6), ("B", 10**9), ("G", 10**9)]),
    unit=st.sampled_from(["tok", "tokens", "token", "samples", "sample", "ep", "epochs"]),
    space=st.sampled_from(["", " "]),
)
def test_scales_are_powers_of_a_thousand(number, scale, unit, space):
    """K, M, B or G stand for a thousand, a million and a billion of every unit."""
    letter, factor = scale
    got = Duration.parse(f"{number}{space}{letter}{unit}")
    assert isinstance(got, Duration)
    assert got.amount == number * factor


@given(amount=AMOUNTS, per=st.integers(1, 10**6))
def test_lengths_are_exact_fractions(amount, per):
    """Durations are turned into steps without rounding in between, and then half up."""
    horizon = Horizon(10**6, steps_per_epoch=per, samples_per_step=per, tokens_per_step=per)
    assert horizon.exact(Duration(amount, "ep")) == amount * per
    assert horizon.exact(Duration(amount, "tok")) == amount / per
    assert horizon.exact(Duration(amount, "samples")) == amount / per
    steps = horizon.steps(Duration(amount, "tok"))
    assert -Fraction(1, 2) <= amount / per - steps < Fraction(1, 2)


@given(
    shares=st.lists(st.fractions(0, 1000, max_denominator=60), min_size=1, max_size=12),
    up=st.booleans(),
)
def test_tiling_adds_up_and_stays_near(shares, up):
    """Rounded shares add up to the total, each within a step, and whole ones are kept."""
    total = math.ceil(sum(shares)) if up else math.floor(sum(shares))
    lengths = tile(shares, total)
    assert sum(lengths) == total
    for length, share in zip(lengths, shares, strict=True):
        assert abs(length - share) < 1
        assert share.denominator > 1 or length == share


@given(total=st.integers(1, 10**6), epochs=st.integers(1, 50), size=st.integers(1, 10**4))
def test_horizons_print_what_makes_an_equal_one(total, epochs, size):
    """A horizon's text is the Python that makes an equal one."""
    horizon = Horizon(f"{epochs}ep", steps_per_epoch=total, samples_per_step=size)
    assert horizon.total_steps == epochs * total
    assert eval(repr(horizon), NAMES) == horizon  # noqa: S307 - the text is ours


@given(
    batches=st.integers(1, 10**5),
    epochs=st.integers(1, 20),
    accumulate=st.integers(1, 64),
    world_size=st.integers(1, 64),
)
def test_loaders_are_counted_as_a_loop_would(batches, epochs, accumulate, world_size):
    """The derived run has as many updates as a training loop makes."""
    horizon = Horizon.from_loader(
        batches, epochs=epochs, accumulate=accumulate, world_size=world_size, quiet=True
    )
    shard = len(range(0, batches, world_size))
    per_epoch = len(range(0, shard, accumulate))
    assert horizon.steps_per_epoch == per_epoch
    assert horizon.total_steps == per_epoch * epochs


@given(text=st.text(max_size=80))
def test_any_text_is_a_duration_or_an_argument_error(text):
    """Whatever is typed, a duration is read or refused with a message; nothing else."""
    with contextlib.suppress(ArgumentError):
        assert isinstance(Duration.parse(text), (int, Duration))
