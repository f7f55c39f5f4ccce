"""How plans compose: timelines, products, sums, clips, repeats, parts and stairs, by hand."""

import math
import warnings

import numpy as np
import pytest
import torch

import cadence as cd
from cadence import absolute
from cadence.algebra import Part, Product, Repeat, Sequence
from cadence.errors import ArgumentError, UnresolvedError
from cases import close

BACKENDS = pytest.mark.parametrize(
    "evaluate",
    [
        lambda plan, steps: [plan(step) for step in steps],
        lambda plan, steps: plan(np.array(steps, dtype=np.float64)).tolist(),
        lambda plan, steps: plan(np.array(steps[::-1], dtype=np.int64)).tolist()[::-1],
        lambda plan, steps: plan(torch.tensor(steps)).tolist(),
    ],
    ids=["numbers", "numpy", "numpy-backwards", "torch"],
)

# Timelines.


def test_phases_start_where_the_last_one_ended():
    """A ramp without a start goes on from the level before it, of whatever kind that is."""
    plan = cd.Warmup(10) >> cd.Linear(10, end=0.5) >> cd.Hold(5) >> cd.Cosine(10)
    assert [plan(step) for step in (0, 10, 20, 24, 25, 30, 35)] == [0.1, 1, 0.5, 0.5, 0.5, 0.25, 0]
    mixed = cd.Linear(4, end=absolute(0.2)) >> cd.Linear(4, end=0.5)
    # Between the kinds both parts move at once: 0.2 fades out while half the base fades in.
    assert [mixed(step, base=2.0) for step in (0, 4, 6, 8)] == [2.0, 0.2, 0.6, 1.0]


def test_a_start_of_its_own_makes_a_jump():
    """A phase that says where it starts does so, whatever was before."""
    plan = cd.Linear(10, end=0.5) >> cd.Linear(10, start=1, end=0)
    assert plan(9.999) == pytest.approx(0.5, abs=1e-3)
    assert plan(10) == 1.0


def test_a_warmup_that_is_not_first_starts_where_the_last_phase_ended():
    """Only at the very beginning does a warm-up start at one n-th of its end."""
    plan = cd.Linear(10, end=0.2) >> cd.Warmup(10)
    assert [plan(step) for step in (0, 10, 20)] == [1.0, 0.2, 1.0]
    assert close(plan(15), 0.6)
    assert (cd.Hold(0) >> cd.Warmup(10))(0) == 1.0


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_short_warmups(steps):
    """A warm-up of no step or one is at its end at once; of two, it starts at a half."""
    plan = cd.Warmup(steps) >> cd.Linear(10)
    assert plan(0) == (0.5 if steps == 2 else 1.0)
    assert plan(steps) == 1.0
    assert plan.steps == steps + 10
    assert plan(np.arange(3)).tolist() == [plan(0), plan(1), plan(2)]


def test_a_phase_of_no_steps_contributes_only_its_end():
    """Wherever it stands, a phase of no steps sets the level for the next one and no more."""
    start = cd.Linear(0, end=0.5) >> cd.Linear(4)
    middle = cd.Linear(4) >> cd.Constant(0.5, 0) >> cd.Linear(4, end=1)
    end = cd.Linear(4) >> cd.Cosine(0, end=0.5)
    twice = cd.Linear(4) >> cd.Linear(0, end=2) >> cd.Hold(0) >> cd.Linear(0, end=3) >> cd.Hold(2)
    nothing = cd.Linear(0, end=0.5) >> cd.Linear(0, end=0.25)
    assert [start(step) for step in (0, 2, 4)] == [0.5, 0.25, 0.0]
    assert [middle(step) for step in (0, 3, 4, 6, 8)] == [1.0, 0.25, 0.5, 0.75, 1.0]
    assert [end(step) for step in (0, 3, 4, 5)] == [1.0, 0.25, 0.5, 0.5]
    assert [twice(step) for step in (3, 4, 6, 99)] == [0.25, 3.0, 3.0, 3.0]
    assert [nothing(step) for step in (0, 0.5, 99)] == [0.25, 0.25, 0.25]
    for plan in (start, middle, end, twice, nothing):
        assert plan(np.arange(9)).tolist() == [plan(step) for step in range(9)]
        assert plan(torch.arange(9)).tolist() == [plan(step) for step in range(9)]
    assert (start.steps, middle.steps, end.steps, twice.steps, nothing.steps) == (4, 8, 4, 6, 0)


@pytest.mark.parametrize(
    "plan",
    [
        cd.StepDecay(10, 0.5, steps=0),
        cd.ExponentialDecay(0.5, steps=0),
        cd.MultiStepDecay((0, 5), 0.5, steps=0),
        cd.PiecewiseLinear(((0, 3), (0, 0.5))),
        cd.Function(lambda step: 1.0 - step, steps=0),
        cd.Hold(0),
        cd.Linear(5).clip(low=0.2).repeat(2) * cd.Hold(0),
    ],
    ids=repr,
)
def test_every_kind_may_be_of_no_steps(plan):
    """A shape of no steps has its value at once, holds it, and can be joined."""
    assert math.isfinite(plan(0))
    joined = cd.Linear(3) >> plan >> cd.Linear(2, end=0.5)
    assert joined.steps == 5 + plan.steps
    assert joined.values(9).tolist() == [joined(step) for step in range(9)]


def test_a_decay_goes_on_from_the_level_before():
    """A decay multiplies the level at which it starts and ends where it is cut."""
    plan = cd.Warmup(4, end=0.5) >> cd.ExponentialDecay(0.5, steps=2) >> cd.Linear(4)
    assert [plan(step) for step in (4, 5, 6, 8, 10)] == [0.5, 0.25, 0.125, 0.0625, 0.0]
    own = cd.Hold(3) >> cd.StepDecay(2, 0.5, start=absolute(0.8))
    assert [own(step, base=9.0) for step in (2, 3, 5, 7)] == [9.0, 0.8, 0.4, 0.2]


def test_the_open_phase_takes_the_rest():
    """Whichever phase is open, it takes what the others leave of the run."""
    for plan, rest in (
        (cd.Linear() >> cd.Hold(10), 90),
        (cd.Warmup(10) >> cd.Hold() >> cd.Linear("20%"), 70),
        (cd.Warmup("5%") >> cd.Hold("95%") >> cd.Cosine(), 0),
        (cd.Warmup(60) >> (cd.Linear() * 0.5), 40),
        (cd.Warmup(60) >> cd.Linear().clip(low=0.5).repeat(4), 40),
    ):
        resolved = plan.resolve(100)
        assert resolved.steps == 100
        assert rest in [phase.steps for phase in resolved.phases()]


def test_rounded_phases_tile_the_run():
    """Shares that do not come out even go to the largest remainder, the earlier one first."""
    plan = cd.Linear("33.33%") >> cd.Linear("33.33%", end=1) >> cd.Linear("33.34%")
    assert [phase.steps for phase in plan.resolve(100).phases()] == [33, 33, 34]
    assert [phase.steps for phase in plan.resolve(10).phases()] == [3, 3, 4]
    assert [phase.steps for phase in plan.resolve(1).phases()] == [0, 0, 1]
    assert [phase.steps for phase in plan.resolve(2).phases()] == [1, 0, 1]


def test_parts_of_parts_are_shares_of_the_run():
    """A percentage inside a product or a clip is of the run, and its rounding stays inside."""
    inner = (cd.Linear("33.3%") >> cd.Linear("33.3%", end=1)).clip(high=0.9)
    plan = (inner >> cd.Cosine()).resolve(10)
    assert [phase.steps for phase in plan.phases()] == [7, 3]
    assert plan.steps == 10
    # The last part's share of 10.7 steps is rounded down, and so is that of both its sides.
    pair = cd.Linear("10.6%") * cd.Linear("10.7%")
    plan = (cd.Hold() >> cd.Hold("20.8%") >> cd.Hold("20.8%") >> pair).resolve(100)
    assert [phase.steps for phase in plan.phases()] == [48, 21, 21, 10]


def test_joining_flattens_and_is_associative():
    """`a >> (b >> c)` is the same plan as `(a >> b) >> c`, with the same text."""
    a, b, c = cd.Warmup(5), cd.Hold(5), cd.Linear(5)
    assert a >> (b >> c) == (a >> b) >> c == Sequence((a, b, c))
    assert repr(a >> (b >> c)) == "Warmup(5) >> Hold(5) >> Linear(5)"
    assert hash(a >> (b >> c)) == hash((a >> b) >> c)


def test_continuity_passes_only_through_joining():
    """Inside a product, a clip or a repeat a timeline starts anew at 1.0."""
    before = cd.Linear(4, end=0.5)
    for inner in (cd.Linear(4) * 1.0, cd.Linear(4).clip(high=2.0), cd.Linear(2).repeat(2)):
        plan = before >> inner
        assert plan(3.999) == pytest.approx(0.5, abs=1e-3)
        assert plan(4) == 1.0


def test_a_level_of_two_kinds_cannot_be_followed_geometrically():
    """A geometric ramp needs a start of its own where the level before may be of either kind."""
    clipped = cd.Linear(5, end=0.5).clip(low=absolute(0.2))
    follower = cd.Geometric(5, end=0.1)
    for before in (clipped, clipped >> cd.Hold(3), clipped >> cd.StepDecay(2, 0.5, steps=4)):
        with pytest.raises(ArgumentError, match="'start' must be given where"):
            before >> follower
    settled = clipped >> cd.Linear(2, end=0.4) >> follower
    assert settled(12, base=1e-6) == pytest.approx(1e-7)
    started = clipped >> cd.Geometric(5, start=0.4, end=0.1)
    assert started(10, base=1e-6) == pytest.approx(1e-7)


# Products and sums.


def test_products_and_sums_hold_the_shorter_side():
    """A product or sum is as long as its longer side; the shorter one holds its end."""
    short, long = cd.Linear(4, end=0.5), cd.Linear(10)
    assert (short * long).steps == (long + short).steps == 10
    assert (short * long)(8) == pytest.approx(0.5 * 0.2)
    assert (short + long)(99) == 0.5
    assert (short * cd.StepDecay(5)).steps is None
    assert (short * cd.Linear()).resolve(50).steps == 50


def test_absolute_levels_multiply_multiples():
    """One side may be absolute: the product is then absolute, and the base has no say in it."""
    plan = cd.Linear(10) * absolute(0.2)
    assert plan(5, base=0.1) == plan(5, base=7.0) == 0.1
    assert (absolute(0.2) * cd.Linear(10)) == plan
    added = cd.Linear(10) + absolute(0.2)
    assert [added(5, base) for base in (0.0, 0.1, 2.0)] == [0.2, 0.25, 1.2]


def test_numbers_of_numpy_are_numbers():
    """A NumPy scalar multiplies like a float; an array is refused, not spread over plans."""
    assert np.float64(2) * cd.Linear(4) == cd.Linear(4) * 2 == 2 * cd.Linear(4)
    assert np.int64(2) + cd.Linear(4) == cd.Linear(4) + 2
    with pytest.raises(ArgumentError, match="'right' must be a number"):
        np.ones(3) * cd.Linear(4)


def test_brackets_are_printed_where_they_matter():
    """Text reads back equal because brackets keep every grouping that Python would undo."""
    a, b, c = cd.Linear(5), cd.Hold(5), cd.Cosine(5)
    for plan, text in (
        ((a + b) * c, "(Linear(5) + Hold(5)) * Cosine(5)"),
        (a + b * c, "Linear(5) + Hold(5) * Cosine(5)"),
        (a * (b * c), "Linear(5) * (Hold(5) * Cosine(5))"),
        ((a * b) * c, "Linear(5) * Hold(5) * Cosine(5)"),
        (a + (b + c), "Linear(5) + (Hold(5) + Cosine(5))"),
        ((a >> b) + c, "(Linear(5) >> Hold(5)) + Cosine(5)"),
        (a >> b + c, "Linear(5) >> Hold(5) + Cosine(5)"),
        ((a * 2).clip(0, 1), "(Linear(5) * 2).clip(low=0, high=1)"),
        ((a >> b).repeat(2) >> c, "(Linear(5) >> Hold(5)).repeat(2) >> Cosine(5)"),
        (a.clip(0, 1).repeat(2), "Linear(5).clip(low=0, high=1).repeat(2)"),
        (a * -2 + -0.5, "Linear(5) * -2 + -0.5"),
        (-1 * a + absolute(-0.5), "Linear(5) * -1 + absolute(-0.5)"),
    ):
        assert repr(plan) == text
        assert eval(text, vars(cd)) == plan  # noqa: S307 - the text is ours
        assert cd.parse(text) == plan


# Clips.


def test_clips_of_their_own_kind_bound_the_multiple():
    """Relative bounds bound the multiple, absolute ones an absolute value, at every base."""
    relative = cd.Linear(10).clip(low=0.4)
    assert [relative(8, base) for base in (0.1, 1.0)] == [pytest.approx(0.04), 0.4]
    fixed = cd.Linear(10, start=absolute(1.0), end=absolute(0.0)).clip(high=absolute(0.7))
    assert [fixed(step, base=9.0) for step in (0, 5)] == [0.7, 0.5]


@BACKENDS
def test_clips_of_mixed_kinds_bound_the_value(evaluate):
    """An absolute bound of a relative plan bounds what the group gets, at its own base."""
    steps = [0, 2, 5, 8, 9, 10, 99]
    for base in (0.01, 0.1, 1.0, 3.0):
        plan = cd.Linear(10).clip(low=absolute(0.02), high=0.6)
        # Where the base is so small that the bounds cross, the upper one wins.
        expected = [min(max((1 - min(s, 10) / 10) * base, 0.02), 0.6 * base) for s in steps]
        at_base = evaluate(lambda t, plan=plan, base=base: plan(t, base), steps)
        assert all(map(close, at_base, expected))


def test_clips_of_mixed_kinds_compose():
    """A clip that depends on the base keeps doing so inside every other composition."""
    clipped = cd.Linear(10).clip(low=absolute(0.02))
    for base in (0.01, 0.1, 1.0):
        floor = max(0.2 * base, 0.02)
        assert close((clipped * 0.5)(8, base), floor / 2)
        assert close((clipped + 1)(8, base), floor + base)
        assert close((cd.Hold(3) >> clipped)(11, base), floor)
        assert close((clipped >> cd.Hold(5))(13, base), 0.02)
        assert close(clipped.repeat(2)(18, base), floor)
        assert close(clipped.clip(high=absolute(0.05))(8, base), min(floor, 0.05))
        assert clipped.phases(base)[0].start == max(base, 0.02)
    assert (clipped >> cd.Hold(5)).compiled().uses_base


# Repeats.


@BACKENDS
def test_restarts_fall_on_their_steps(evaluate):
    """With growing cycles each restart is at the peak, exactly, in every library."""
    plan = cd.Cosine(10, end=0.1).repeat(length_mult=3)
    restarts = [0, 10, 40, 130, 400, 1210, 3640, 10930, 32800, 98410, 10 * (3**20 - 1) // 2]
    assert evaluate(plan, restarts) == [1.0] * len(restarts)
    before = evaluate(plan, [step - 1 for step in restarts[1:]])
    assert all(0.0999 < value < 0.15 for value in before)


@BACKENDS
def test_equal_cycles_are_equal(evaluate):
    """A plan that repeats for ever is as exact after a billion cycles as in the first."""
    plan = cd.Linear(7).repeat()
    first = evaluate(plan, list(range(7)))
    for cycle in (1, 1000, 10**9, 10**14):
        assert evaluate(plan, [7 * cycle + step for step in range(7)]) == first


@pytest.mark.parametrize("step", [1e17, 2.0**60, 3e20, 1e100, 1.7e308])
def test_cycles_are_counted_exactly_however_far(step):
    """Where steps are coarser than a cycle, the place in the cycle is still exact."""
    for cycle in (3, 7, 10**6 + 3):
        plan = cd.OneMinusSqrt(cycle).repeat()
        expected = plan(int(step) % cycle)
        assert plan(step) == expected
        assert close(plan(np.array([step]))[0], expected)
        assert close(plan(torch.tensor([step], dtype=torch.float64)).item(), expected)


@BACKENDS
def test_peaks_shrink_towards_the_end_of_the_cycle(evaluate):
    """`peak_mult` multiplies the distance from the cycle's end, once more in each cycle."""
    plan = cd.Linear(4, end=0.2).repeat(4, peak_mult=0.5)
    assert all(map(close, evaluate(plan, [0, 4, 8, 12, 14]), [1.0, 0.6, 0.4, 0.3, 0.25]))
    assert all(map(close, evaluate(plan, [15, 16, 99]), [0.225, 0.2, 0.2]))
    gone = cd.Linear(4, end=0.2).repeat(peak_mult=0)
    assert all(map(close, evaluate(gone, [0, 2, 4, 6, 4000]), [1.0, 0.6, 0.2, 0.2, 0.2]))
    fitted = cd.Linear(end=0.2).repeat(4, peak_mult=0.5, over=16)
    assert all(map(close, evaluate(fitted, [0, 4, 8, 14, 16]), [1.0, 0.6, 0.4, 0.25, 0.2]))


@BACKENDS
def test_cycles_that_are_not_whole_end_between_steps(evaluate):
    """Cycles of 10, 15 and 22.5 steps: the plan ends at 47.5 and never starts a fourth."""
    plan = cd.Linear(10).repeat(3, length_mult=1.5)
    assert plan.steps == 48
    assert all(
        map(close, evaluate(plan, [0, 10, 25, 36, 47]), [1, 1, 1, 1 - 11 / 22.5, 0.5 / 22.5])
    )
    assert evaluate(plan, [48, 49]) == [0.0, 0.0]
    assert [plan(step) for step in (47.5, 47.75, 47.999)] == [0.0, 0.0, 0.0]
    assert plan(np.array([47.5, 47.75, 47.999])).tolist() == [0.0, 0.0, 0.0]


def test_a_factor_is_the_decimal_that_was_typed():
    """Cycles of 10 and 11 steps make 21, though 1.1 is a little more than 11/10 as a float."""
    assert cd.Linear(10).repeat(2, length_mult=1.1).steps == 21
    assert cd.Linear(1000).repeat(3, length_mult=1.1).steps == 3310


@BACKENDS
def test_repeats_of_repeats(evaluate):
    """A repeated plan repeats like any other."""
    plan = cd.Linear(2).repeat(2, peak_mult=0.5).repeat(3, peak_mult=0.5)
    expected = [1, 0.5, 0.5, 0.25, 0.5, 0.25, 0.25, 0.125, 0.25, 0.125, 0.125, 0.0625, 0, 0]
    assert all(map(close, evaluate(plan, list(range(14))), expected))
    deep = cd.Linear(1).repeat(2).repeat(2).repeat(2).repeat(2)
    assert deep.steps == 16
    assert evaluate(deep, list(range(17))) == [1.0] * 16 + [0.0]


@BACKENDS
def test_percentages_in_a_repeat_are_of_the_cycle(evaluate):
    """Each cycle warms up for half of its own length, wherever the repeat stands."""
    cycle = cd.Warmup("50%", start=0) >> cd.Linear()
    plan = (cd.Hold(10) >> cycle.repeat(2, length_mult=3) >> cd.Hold("10%")).resolve(100)
    assert [phase.steps for phase in plan.phases()] == [10, 80, 10]
    assert repr(plan.parts[1]) == (
        "(Warmup('50%', start=0) >> Linear()).repeat(2, length_mult=3, over=80)"
    )
    # Cycles of 20 and 60 steps: the peaks are at 10 + 10 and at 30 + 30.
    steps = [9, 10, 15, 20, 25, 30, 45, 60, 75, 90, 100]
    assert evaluate(plan, steps) == [1, 0, 0.5, 1, 0.5, 0, 0.5, 1, 0.5, 0, 0]


def test_repeats_nest_percentages_of_percentages():
    """In a repeat in a repeat, the inner cycle divides the outer one."""
    inner = (cd.Warmup("50%", start=0) >> cd.Linear()).repeat(2)
    plan = (cd.Hold("20%") >> inner).repeat(2, over="50%").resolve(200)
    assert plan.steps == 100
    # Outer cycles of 50: 10 held, then two inner ones of 20, whose peaks are at 20 and 40.
    for cycle in (0, 50):
        values = [plan(cycle + step) for step in (0, 9, 10, 15, 20, 30, 40, 49)]
        assert values == [1, 1, 0, 0.5, 1, 0, 1, pytest.approx(0.1)]


def test_an_open_body_that_also_counts_epochs_is_fitted():
    """A cycle with an open phase divides the run even where its other phases are in epochs."""
    plan = (cd.Cosine() >> cd.Linear("1ep")).repeat(3)
    resolved = plan.resolve(cd.Horizon(100, steps_per_epoch=10))
    assert repr(resolved) == "(Cosine() >> Linear(10)).repeat(3, over=100)"
    assert resolved.steps == 100
    with pytest.raises(ArgumentError, match="at most one phase may be without a length"):
        cd.Hold() >> (cd.Cosine() >> cd.Linear("1ep")).clip(low=0)


def test_a_cycle_in_epochs_is_rounded_once():
    """Cycles of 1.5 epochs of 7 steps are 11 steps each, and the rest of the run is the rest."""
    plan = cd.Linear("1.5ep").repeat(4) >> cd.Linear(end=1)
    resolved = plan.resolve(cd.Horizon(100, steps_per_epoch=7))
    assert repr(resolved) == "Linear(11).repeat(4) >> Linear(56, end=1)"
    tiny = cd.Linear("0.1ep").repeat(3).resolve(cd.Horizon(10, steps_per_epoch=2))
    assert repr(tiny) == "Linear(1).repeat(3)"


@pytest.mark.parametrize("over", [0, 1, 2, 3, 7])
def test_more_cycles_than_steps(over):
    """Cycles that come to no steps contribute only their end; nothing fails for lack of room."""
    plan = cd.Linear(start=1, end=0.5).repeat(5, over=over)
    assert plan.steps == over
    assert plan.values(9).tolist() == [plan(step) for step in range(9)]
    assert plan(over) == 0.5
    nested = (cd.Warmup("30%") >> cd.Linear()).repeat(3).repeat(3, over=over, peak_mult=0.5)
    assert nested(over) == 0.0
    assert nested.values(9).tolist() == [nested(step) for step in range(9)]


def test_many_cycles_cost_no_more_than_few():
    """A billion cycles are one piece, and deep nesting is not paid for at every level again."""
    plan = cd.Cosine(1000).repeat(10**9)
    assert plan.steps == 10**12
    assert len(plan.compiled().pieces) == 2
    assert plan(999_999_999_500) == pytest.approx(0.5)
    nested = cd.Linear(3)
    for _ in range(40):
        nested = nested.repeat(2)
    assert nested.steps == 3 * 2**40
    assert nested(3 * 2**39) == 1.0


def test_growing_cycles_go_on_until_steps_run_out():
    """Far beyond the last restart that a float can tell, the plan still has a value."""
    plan = cd.Cosine(10, end=0.1).repeat(length_mult=2)
    for step in (2**52, 2**53, 10**18, 1e300):
        assert 0.1 <= plan(step) <= 1.0
        assert plan(np.array([float(step)]))[0] == pytest.approx(plan(step), abs=1e-9)


@BACKENDS
def test_growth_saturates_without_a_warning(evaluate):
    """Growth overflows to inf in every library, where 0 still silences it; nothing warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate(cd.ExponentialDecay(1.5), [10**6]) == [math.inf]
        assert evaluate(cd.StepDecay(1, 1e300), [0, 1, 2]) == [1.0, 1e300, math.inf]
        assert evaluate(cd.ExponentialDecay(2) * 1e300, [100]) == [math.inf]
        assert evaluate(cd.ExponentialDecay(2) * cd.Linear(10), [10**5]) == [0.0]
        assert evaluate(cd.ExponentialDecay(2) * cd.ExponentialDecay(0.5), [10**5]) == [0.0]
        assert evaluate(cd.Linear(4).repeat(peak_mult=2), [4 * 10**6]) == [math.inf]
        held = (cd.Linear(4) >> cd.Hold(4)).repeat(peak_mult=2)
        assert evaluate(held, [8 * 10**6 + 5]) == [0.0]
        fitted = cd.Linear().repeat(3000, over=6000, peak_mult=1.5)
        assert evaluate(fitted, [5998, 6000]) == [math.inf, 0.0]
        silent = [cd.ExponentialDecay(2)(10**5, 0.0)]
        assert silent == cd.ExponentialDecay(2)(np.array([10**5]), 0.0).tolist() == [0.0]


def test_levels_of_any_size_ramp_geometrically():
    """A geometric ramp between extreme levels neither overflows nor loses its ends."""
    plan = cd.Geometric(4, start=1e-300, end=1e300)
    assert [plan(step) for step in (0, 2, 4)] == [1e-300, pytest.approx(1.0), 1e300]
    negative = cd.Geometric(2, start=-1e-200, end=-1e200)
    assert [negative(step) for step in (0, 1, 2)] == [-1e-200, pytest.approx(-1.0), -1e200]
    assert plan(np.arange(5)).tolist() == pytest.approx([plan(step) for step in range(5)])


# Parts.


@BACKENDS
def test_a_plan_cut_in_two_is_the_plan(evaluate):
    """At its own pace a part has the plan's own values, and what is cut joins without a seam."""
    steps = list(range(40))
    for plan in (
        cd.Warmup(7) >> cd.Cosine(20, end=0.1) >> cd.Hold(3),
        cd.PiecewiseLinear(((-2, 0), (2.5, 1), (12.5, absolute(0.2)), (30, 0))),
        (cd.Linear(5) * cd.StepDecay(2, 0.5, steps=9)).clip(low=absolute(0.01)),
        cd.Cosine(4).repeat(7, peak_mult=0.5),
        cd.StepDecay(3, 0.5),
    ):
        for cut in (0, 1, 7, 9):
            joined = plan.part(0, cut) >> plan.part(cut)
            assert joined.steps == plan.steps
            assert evaluate(joined, steps) == evaluate(plan, steps)


@BACKENDS
def test_a_part_at_another_pace_is_the_plan_at_other_steps(evaluate):
    """Step t of a part is step `start + t * (stop - start) / steps` of the plan, bit for bit."""
    plan = cd.Warmup(7, shape="cosine") >> cd.OneMinusSqrt(20, end=0.1) >> cd.StepDecay(9)
    for start, stop, length in ((0, 27, 54), (3, 31, 7), (5, 8, 1000), (20, 60, 40), (2, 9, 11)):
        part = plan.part(start, stop, steps=length)
        steps = list(range(length))
        expected = [plan(start + step * (stop - start) / length) for step in steps]
        assert all(map(close, evaluate(part, steps), expected))
        assert [part(step) for step in steps] == expected
        assert evaluate(part, [length, length + 1, 10**6]) == [plan(stop)] * 3


def test_a_part_meets_the_joints_of_its_plan_exactly():
    """Where a step of the part falls on a phase's begin, it is that phase's very start."""
    plan = cd.Linear(3, end=0.7) >> cd.OneMinusSqrt(7, start=0.3, end=0.1) >> cd.Constant(0.9, 5)
    part = plan.part(1, 13, steps=120)
    assert [part(step) for step in (0, 20, 90, 120)] == [plan(1), 0.3, 0.9, 0.9]
    assert [piece.begin for piece in part.compiled().pieces] == [0, 20, 90, 120]
    assert math.isclose(part(20 - 1e-9), 0.7, rel_tol=1e-6)
    # Thirds have no exact float: no step may fall between two phases for that.
    thirds = (cd.Linear(1) >> cd.OneMinusSqrt(1, start=1) >> cd.Linear(1, start=1)).repeat(3)
    for steps in (7, 10, 11, 1000):
        squeezed = thirds.part(0, 9, steps=steps)
        for begin in squeezed.compiled().begins:
            for step in (math.nextafter(begin, 0), begin, math.nextafter(begin, math.inf)):
                assert 0 <= (cd.Hold(3) >> squeezed)(3 + step) <= 1
                assert 0 <= squeezed(step) <= 1


def test_a_part_has_its_own_clock_and_level():
    """Like other wrappers, a part begins at its own level, and what follows at its last one."""
    plan = cd.Linear(10, end=0.5) >> cd.Linear(10).part(2, 6) >> cd.Linear(3)
    assert [phase.steps for phase in plan.phases()] == [10, 4, 3]
    assert [plan(step) for step in (10, 14, 17)] == [0.8, 0.4, 0.0]
    branched = (cd.Warmup(500) >> cd.Cosine(9500)).part(0, 600) >> cd.OneMinusSqrt(100, end=0)
    assert branched(600) == (cd.Warmup(500) >> cd.Cosine(9500))(600)
    assert (branched.steps, branched.final) == (700, 0.0)


def test_parts_of_no_steps_and_of_one_step_held():
    """A part of no steps contributes only its end; one that plays none holds where it stands."""
    plan = cd.Linear(10)
    for nothing in (plan.part(4, 4), plan.part(0, 4, steps=0)):
        joined = nothing >> cd.Linear(2)
        assert joined.steps == 2
        assert [joined(step) for step in (0, 1, 2)] == [0.6, 0.3, 0.0]
    held = plan.part(4, 4, steps=5) >> cd.Linear(2)
    assert [held(step) for step in (0, 4, 5, 6, 7)] == [0.6, 0.6, 0.6, 0.3, 0.0]
    assert plan.part(10) == plan.part(10, steps=0)
    assert [plan.part(8, 12)(step) for step in (0, 1, 2, 4, 99)] == [plan(8), plan(9), 0, 0, 0]


def test_a_part_is_cut_from_the_plan_of_the_whole_run():
    """The plan inside takes the run; of the run, the part takes its own length alone."""
    plan = cd.Warmup("5%") >> cd.Cosine()
    whole = plan.resolve(1000)
    assert plan.part(0, 300).resolve(1000) == whole.part(0, 300)
    assert plan.part(300).resolve(1000) == whole.part(300)
    assert plan.part(300).resolve(1000).steps == 700
    timeline = (plan.part(0, 600) >> cd.OneMinusSqrt("20%") >> cd.Hold()).resolve(1000)
    assert timeline == whole.part(0, 600) >> cd.OneMinusSqrt(200) >> cd.Hold(200)
    assert (plan.part(0, 600) >> plan.part(600)).resolve(1000).steps == 1000
    stretched = plan.part(600, steps="3ep").resolve(cd.Horizon(1000, steps_per_epoch=500))
    assert repr(stretched) == "(Warmup(50) >> Cosine(950)).part(600, steps=1500)"
    assert (cd.Hold() >> plan.part(0, 600)).resolve(1000).steps == 1000
    with pytest.raises(ArgumentError, match="'start' must be <= 500, where the plan ends"):
        plan.part(600).resolve(500)
    with pytest.raises(UnresolvedError, match="needs the length of the run"):
        (plan.part(0, 600) >> plan.part(600)).resolve()


def test_a_part_s_plan_is_rounded_with_its_neighbours():
    """The rest of a plan that does not come out even ends where its phase does."""
    plan = cd.Hold("33.3%") >> cd.Linear("33.3%").part(2) >> cd.Linear()
    for total in (10, 11, 100, 101, 1000):
        resolved = plan.resolve(total)
        assert resolved.steps == total
        part = resolved.parts[1]
        assert isinstance(part, Part)
        assert part.plan.steps == part.steps + 2
        assert resolved.resolve(total) == resolved
    with pytest.raises(ArgumentError, match="'start' must be <= 1, where the plan ends"):
        plan.resolve(3)
    with pytest.raises(ArgumentError, match="'start' must be <= 3, where the plan ends"):
        cd.Linear("1ep").part(5).resolve(cd.Horizon(100, steps_per_epoch=3))
    almost = cd.Linear("10%").part(10).resolve(99)
    assert (almost.plan.steps, almost.steps) == (10, 0)


def test_parts_of_plans_without_an_end():
    """A decay goes on without an end; what only holds has its value before the run is known."""
    plan = cd.StepDecay(30, 0.5).part(45)
    assert (plan.steps, plan._is_endless()) == (None, True)
    assert [plan(step) for step in (0, 14, 15, 45)] == [0.5, 0.5, 0.25, 0.125]
    assert plan.resolve() == plan.resolve(1000) == plan
    both = (cd.Linear(end=0.5) * cd.StepDecay(10, 0.5)).part(40).resolve(50)
    assert both.steps is None
    assert both(10) == 0.5 * 0.5**5
    held = (cd.Linear(4, end=0.5) >> cd.Hold()).part(2)
    assert [held(step) for step in (0, 2, 99)] == [0.75, 0.5, 0.5]
    assert held.resolve() == held
    assert held.resolve(10).steps == 8
    with pytest.raises(UnresolvedError, match="takes the rest of the run"):
        (held >> cd.Linear(3))(0)


def test_a_cycle_that_is_part_of_an_open_plan():
    """What a run's length would decide is the cycle's here, as with percentages."""
    plan = cd.Linear().part(0, 5).repeat(2).resolve(40)
    assert repr(plan) == "Linear().part(0, 5).repeat(2, over=40)"
    assert [plan(step) for step in (0, 4, 5, 19, 20, 24)] == [1.0, 0.8, 0.75, 0.75, 1.0, 0.8]
    own = cd.Linear(10).part(0, 5).repeat(2)
    assert (own.steps, own(4), own(5)) == (10, 0.6, 1.0)


def test_the_engine_sees_through_parts():
    """A part of a repeated plan is as easy to walk along as the plan, at any pace."""
    program = cd.Cosine(10).repeat().part(15, 45, steps=90).compiled()
    assert program.narrows
    found, step = [], 0
    while step < 90:
        piece, stop = program.around(step)
        found.append((piece.begin, stop))
        step = math.ceil(stop)
    assert found == [(0, 15), (15, 45), (45, 75), (75, 90)]
    # A cycle that ends between two steps of its plan is not cut where rounding would decide.
    growing = cd.OneMinusSqrt(7).repeat(5, length_mult=1.5).part(82, 94, steps=221).compiled()
    assert [growing.around(step)[0].affine(step) for step in (0, 180, 200)] == [
        growing.at(step) for step in (0, 180, 200)
    ]
    flat = [(p.begin, p.flat) for p in (cd.Warmup(6) >> cd.Hold(6)).part(3, 9).compiled().pieces]
    assert flat == [(0, False), (3, True), (6, True)]
    many = cd.Cosine(1000).repeat(10**9).part(500, 10**12, steps=10**9)
    assert len(many.compiled().pieces) == 2


# Endless plans.


def test_an_endless_plan_may_only_be_last():
    """Nothing can follow a plan that never ends, not even where that is hidden."""
    for endless in (
        cd.StepDecay(30),
        cd.Linear(5).repeat(),
        cd.Linear(5) * cd.StepDecay(3),
        cd.InverseSqrt(5).clip(low=0.1),
        cd.Cosine() * cd.StepDecay(3),
        cd.Function(lambda step: 1.0),
    ):
        assert endless.steps is None
        with pytest.raises(ArgumentError, match="an endless phase may only be the last"):
            endless >> cd.Linear(5)
        with pytest.raises(ArgumentError, match="an endless plan cannot be repeated"):
            endless.repeat(2)
        assert (cd.Warmup(5) >> endless).steps is None


def test_open_and_endless_at_once():
    """An open plan times an endless one takes the rest of the run and then goes on."""
    plan = (cd.Warmup(10) >> cd.Linear(end=0.5) * cd.StepDecay(45, 0.1)).resolve(100)
    assert repr(plan) == "Warmup(10) >> Linear(90, end=0.5) * StepDecay(45)"
    assert plan(100) == pytest.approx(0.005)
    assert plan.steps is None
    with pytest.raises(UnresolvedError, match="has no end"):
        _ = plan.final


def test_questions_to_plans_that_settle():
    """A plan without a length that stops moving still has a peak and a final value."""
    for plan, peak, final in (
        (cd.Warmup(5) >> cd.Hold(), 1.0, 1.0),
        (cd.Linear(5, end=0.5) >> cd.Constant(0.7), 1.0, 0.7),
        (cd.MultiStepDecay((3, 5), 0.5), 1.0, 0.25),
        (cd.Constant(absolute(0.3)), 0.3, 0.3),
    ):
        assert plan.steps is None
        assert (plan.peak, plan.final) == (peak, final)
        assert plan.phases()[-1].end == final
        assert plan.phases()[-1].steps == math.inf
    assert math.isnan(cd.StepDecay(5).phases()[0].end)


def test_questions_about_millions_of_steps():
    """Long runs are looked at in parts, and nothing is lost between two of them."""
    n = 3_000_000
    plan = cd.Linear(n) >> cd.Hold(5)
    assert plan.area(0, n) == pytest.approx((n + 1) / 2, rel=1e-12)
    assert plan.area(2**20 - 1, 2**20 + 1) == pytest.approx(2 - (2**21 - 1) / n, rel=1e-12)
    assert plan.first_below(0.25) == n * 3 // 4 + 1
    assert plan.first_below(1 - (2**20 - 0.5) / n) == 2**20
    assert plan.first_below(0.0) is None
    assert (cd.Linear(2_500_000, start=0, end=1) >> cd.Linear(10)).peak == 1.0


# The machinery beneath.


def test_a_plan_is_compiled_once():
    """What evaluation needs is made once and kept; a base that matters has its own."""
    plan = cd.Warmup(5) >> cd.Linear(5)
    assert plan.compiled() is plan.compiled(0.1)
    clipped = plan.clip(low=absolute(0.1))
    assert clipped.compiled(0.1) is clipped.compiled(0.1)
    assert clipped.compiled(0.1) is not clipped.compiled(0.2)
    for base in np.linspace(0, 1, 1000):
        clipped(3, base)
    assert len(vars(clipped)["_kept"]) <= 65


def test_flat_stretches_are_told_as_numbers():
    """Who runs a plan can see where it is flat without evaluating it."""
    plan = cd.Warmup(5) >> cd.Hold(10) >> cd.Linear(5, end=absolute(0.1))
    flat = [(piece.begin, piece.flat) for piece in plan.compiled().pieces]
    assert flat == [(0, False), (5, True), (15, False), (20, True)]
    assert plan.compiled().end == 20


def test_composing_checks_what_resolving_would_find():
    """A resolved composition cannot fail at a call: what is wrong is found when it is made."""
    for make in (
        lambda: (cd.Warmup(500) >> cd.Cosine()).repeat(3, over=600),
        lambda: cd.Linear(10) >> cd.Geometric(10, end=0.1),
        lambda: (cd.Linear() >> cd.Geometric("50%", end=0.1)).repeat(3, over=60),
        lambda: (cd.Linear(100) * cd.Cosine()).resolve(50),
    ):
        with pytest.raises(ArgumentError):
            make()


def test_values_of_a_user_s_own_shape():
    """A shape made outside of Cadence composes, prints and evaluates like any other."""

    class Square(cd.Ramp):
        def curve(self, u, xp):
            return u * u

    class Halving(cd.Decay):
        every: float = 2.0

        def decay(self, t, xp):
            return 0.5 ** (t / self.every)

    plan = cd.Warmup(2) >> Square(4, end=0.5) >> Halving(every=4)
    assert repr(plan) == "Warmup(2) >> Square(4, end=0.5) >> Halving(every=4)"
    assert [plan(step) for step in (2, 4, 6, 10)] == [1.0, 0.875, 0.5, 0.25]
    assert plan(np.array([2, 4, 6, 10])).tolist() == [1.0, 0.875, 0.5, 0.25]
    assert isinstance(plan * 2, Product)
    assert isinstance(Square(4).repeat(), Repeat)
    with pytest.raises(ArgumentError, match=r"Halving: 'every' must be a number \(got '4'\)"):
        Halving(every="4")
    with pytest.raises(ArgumentError, match=r"Empty: a ramp must define curve\(self, u, xp\)"):
        type("Empty", (cd.Ramp,), {"__module__": __name__})(5)


def test_a_curve_may_be_a_number():
    """A shape whose curve or decay does not move gives arrays for arrays all the same."""

    class Half(cd.Ramp):
        def curve(self, u, xp):
            return 0.5

    for plan in (Half(4), Half(4) * Half(6), Half(3).clip(low=absolute(0.6)), Half(2).repeat(2)):
        expected = [plan(step) for step in range(9)]
        assert plan(np.arange(9)).tolist() == expected
        in_torch = plan(torch.arange(9))
        assert in_torch.dtype == torch.float64
        assert in_torch.tolist() == expected


def test_torch_keeps_its_digits():
    """No value passes through float32, be it in a power of a cycle's number or in a bound."""
    peak = 0.31145463899504305
    growing = cd.Linear(1).repeat(2, length_mult=2, peak_mult=peak)
    assert growing(torch.tensor([1])).item() == growing(1) == peak
    bounded = cd.Hold(5).clip(low=absolute(1 / 3), high=1 / 7)
    assert bounded(torch.arange(3), 2.0).tolist() == [2 / 7] * 3


# Stairs.


def test_stairs_of_an_epoch_move_once_an_epoch():
    """A plan in stairs is resolved against the same horizon, and keeps its open phase."""
    plan = (cd.Warmup(4) >> cd.Cosine()).stairs("1ep")
    made = plan.resolve(cd.Horizon(12, steps_per_epoch=3))
    assert repr(made) == "(Warmup(4) >> Cosine(8)).stairs(3)"
    whole = cd.Warmup(4) >> cd.Cosine(8)
    assert made.values(14).tolist() == [whole(min(step // 3 * 3, 12)) for step in range(14)]


def test_the_last_stair_is_cut_by_the_end():
    """A plan whose length is no multiple of the stair reaches its end on time, and holds it."""
    plan = cd.Linear(10).stairs(4)
    assert plan.values(12).tolist() == [1.0] * 4 + [0.6] * 4 + [1 - 0.8] * 2 + [0.0] * 2
    assert (plan >> cd.Hold(3))(11) == 0.0
    assert cd.Linear(0, end=0.3).stairs(5)(0) == 0.3


def test_stairs_are_flat_pieces():
    """Who walks along the program writes once a stair."""
    program = cd.Cosine(100).stairs(30).compiled()
    piece, stop = program.around(45)
    assert piece.flat
    assert (piece.begin, stop) == (30, 60)
    assert program.around(95)[1] == 100


def test_stairs_begin_anew():
    """As in every composition but `>>`, a timeline in stairs starts at 1, not where it stands."""
    plan = cd.Hold(2) * 0.5 >> cd.Linear(4).stairs(2)
    assert plan(2) == 1.0


@pytest.mark.parametrize("each", [None, 1, 7])
def test_stairs_are_total(each):
    """Also where a multiple of the stair would be rounded past the largest float."""
    plan = cd.StepDecay(20, 0.0).stairs(3, each=each)
    for step in (1.7976931348623157e308, 10**400):
        assert plan(step) == 0.0
    piece, _ = plan.compiled().around(1.7976931348623157e308)
    assert piece.affine(1.7976931348623157e308) == (0.0, 0.0)
    assert plan(np.array([0.0, 1.7976931348623157e308])).tolist() == [1.0, 0.0]
