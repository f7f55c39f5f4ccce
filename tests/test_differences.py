"""Two plans side by side: where they part, and by how much."""

import json
import math

import numpy as np
import pytest
from hypothesis import given

import cadence as cd
import strategies
from cadence import absolute, diff
from cadence.errors import ArgumentError, ArgumentTypeError, UnresolvedError


def fitting(make):
    """What is made of the first run into which the phases of drawn plans fit."""
    return strategies.fitting(lambda n: make(cd.Horizon(n, **strategies.HORIZON)), 400)


@given(strategies.plans(mixed_clips=False), strategies.plans(mixed_clips=False))
def test_what_is_told_is_what_the_values_say(a, b):
    """First, last and largest difference and the areas are those of the values of every step."""
    found = fitting(lambda run: diff(a, b, run, 0.3))
    total = found.total_steps
    ours, theirs = (plan(np.arange(total), 0.3) for plan in (found.a, found.b))
    apart = np.abs(ours - theirs)
    peak = max(np.abs(ours).max(), np.abs(theirs).max())
    differ = np.flatnonzero(apart > 1e-12 * peak)
    assert found.same == (not differ.size)
    assert found.first == (differ[0] if differ.size else None)
    assert found.last == (differ[-1] if differ.size else None)
    assert found.at == (apart.argmax() if differ.size else None)
    assert found.largest == (apart.max() if differ.size else 0.0)
    np.testing.assert_allclose(found.areas, (ours.sum(), theirs.sum()), rtol=1e-12)
    for row in found.rows:
        assert row[2:4] == (float(f"{ours[row.step]:.6g}"), float(f"{theirs[row.step]:.6g}"))
    json.dumps(found.as_dict())


@given(strategies.plans())
def test_a_plan_does_not_differ_from_itself(plan):
    """Nor from what its text reads back as."""
    found = fitting(lambda run: diff(plan, cd.parse(repr(plan)), run))
    assert (found.same, found.largest, found.at) == (True, 0.0, None)
    assert found.sentence == f"They are the same at every step, 0 to {found.total_steps - 1:,}."


@given(strategies.plans(mixed_clips=False), strategies.plans(mixed_clips=False))
def test_the_order_turns_the_signs(a, b):
    """Seen from the other side, the differences are the same with the other sign."""
    one, other = fitting(lambda run: (diff(a, b, run), diff(b, a, run)))
    assert (one.first, one.last, one.largest) == (other.first, other.last, other.largest)
    assert one.areas == other.areas[::-1]
    assert [row.apart for row in one.rows] == [-row.apart for row in other.rows]


def test_rounding_is_no_difference():
    """The same curve, written in two ways, is the same; how close that is can be said."""
    a, b = cd.Linear(300) * 0.3, cd.Linear(300, start=0.3)
    assert (a.values() != b.values()).any()
    assert diff(a, b).same
    assert not diff(a, b, tolerance=0).same
    assert diff("Linear(9)", "Linear(9, start=1.05)", tolerance=0.1).same


def test_a_run_longer_than_a_part_of_memory():
    """A long run is looked at in parts, and the steps are counted through."""
    a = cd.Constant(1.0, 3_000_000)
    found = diff(a, cd.Hold(2_500_000) >> cd.Constant(0.5, 100) >> cd.Constant(1.0))
    assert (found.first, found.last, found.at) == (2_500_000, 2_500_099, 2_500_000)
    assert found.areas == (3_000_000.0, 2_999_950.0)


def test_growth_without_bounds_is_compared():
    """Where both have grown to inf they are the same; where one has, they are not."""
    grown = cd.ExponentialDecay(1e300)
    assert diff(grown, grown, 10).same
    found = diff(grown, cd.Constant(1.0), 10)
    assert (found.first, found.largest) == (1, math.inf)
    assert "%" not in found.sentence.split("The second")[0]


def test_the_length_is_that_of_the_longer():
    """Without a horizon, plans of known lengths are compared over all of the longer one."""
    assert diff("Linear(10)", "Linear(30)").total_steps == 30
    assert diff("Linear(10)", "StepDecay(5)").total_steps == 10
    with pytest.raises(UnresolvedError, match="neither StepDecay"):
        diff("StepDecay(5)", "Constant(1)")
    with pytest.raises(UnresolvedError, match="needs the length of the run"):
        diff("wsd()", "Linear(5)")


def test_what_is_no_plan_is_refused():
    """The message names the argument."""
    with pytest.raises(ArgumentTypeError, match="diff: 'b' must be a schedule or its text"):
        diff(cd.Linear(9), 3)
    with pytest.raises(ArgumentError, match="diff: 'tolerance' must be >= 0"):
        diff("Linear(9)", "Linear(9)", tolerance=-1)


@pytest.mark.parametrize(
    ("b", "sentence"),
    [
        (
            "Warmup(100) >> Linear(900, end=0.1)",
            "They part at step 101. The largest difference is 0.0999, 10 % of the peak, at step "
            "999. The second's area is 545.455, the first's 500.505 (+9 %).",
        ),
        (
            "Warmup(100, start=0) >> Linear(900)",
            "They part at step 0 and are the same from step 100 on. The largest difference is "
            "0.01, 1 % of the peak, at step 0. The second's area is 500, the first's 500.505 "
            "(-0.1 %).",
        ),
        (
            "Constant(0.500505, 1000)",
            "They part at step 0. The largest difference is 0.499, 50 % of the peak, at step 100. "
            "The area of both is 500.505.",
        ),
    ],
)
def test_the_sentence_says_it_all(b, sentence):
    """One reads where, how much, and what it comes to."""
    assert diff("Warmup(100) >> Linear(900)", b).sentence == sentence


def test_the_picture_has_both_and_what_is_between():
    """Above both plans by their names, below the second less the first."""
    found = diff("Linear(100)", "Linear(100, end=absolute(0.01))", base=0.1)
    above, below = found.plot(("ours", "theirs"))
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["ours", "theirs"]
    (line,) = [line for line in below.get_lines() if len(line.get_xdata()) > 2]
    np.testing.assert_allclose(line.get_ydata()[[0, -1]], [0.0, 0.01])
    assert len(diff(cd.Linear(9), cd.Linear(9)).plot()) == 2


def test_absolute_levels_are_judged_at_the_base():
    """What is a multiple in one and absolute in the other is the same only at one rate."""
    a, b = cd.Linear(9, end=0.1), cd.Linear(9, end=absolute(0.01))
    assert diff(a, b, base=0.1).same
    assert not diff(a, b, base=0.2).same
