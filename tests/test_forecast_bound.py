"""The convex bound against its closed values, and rates carried over as ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest

import cadence as cd
from cadence.errors import ArgumentError
from cadence.forecast import transfer

WSD = cd.Hold() >> cd.Linear("20%", end=0)
GOLDEN = [
    # plan, rate * sqrt(T), bound * sqrt(T), both at T = 4000 and D = G = 1
    (cd.Constant(1.0), 0.318, 3.142),
    (cd.Cosine(), 0.970, 2.061),
    (cd.Cosine(end=0.1), 0.835, 2.176),
    (cd.Linear(), 0.999, 2.002),
    (WSD, 0.513, 2.164),
    (cd.Hold() >> cd.OneMinusSqrt("20%"), 0.542, 2.129),
]


@pytest.mark.parametrize(("plan", "rate", "bound"), GOLDEN, ids=lambda value: repr(value)[:40])
def test_schedules_have_the_bounds_that_are_published(plan, rate, bound):
    """Best rates and bounds agree to three digits."""
    found = cd.convex_bound(plan, 4000)
    assert round(found.rate * math.sqrt(4000), 3) == rate
    assert round(found.bound * math.sqrt(4000), 3) == bound


@pytest.mark.parametrize(("total", "bound"), [(400, 2.75), (4000, 3.14), (40000, 3.49)])
def test_the_bound_of_a_constant_rate_grows_with_the_length(total, bound):
    """Its growth is logarithmic."""
    assert round(cd.convex_bound(cd.Constant(1.0), total).bound * math.sqrt(total), 2) == bound


@pytest.mark.parametrize(
    ("fraction", "rate", "bound"),
    [("5%", 0.42, 2.42), ("10%", 0.46, 2.29), ("20%", 0.51, 2.16), ("40%", 0.61, 2.06),
     ("60%", 0.71, 2.02), ("80%", 0.83, 2.00)],
)  # fmt: skip
def test_longer_cooldowns_have_higher_rates_and_lower_bounds(fraction, rate, bound):
    """The values of the cooldown's fractions, to two decimals."""
    found = cd.convex_bound(cd.Hold() >> cd.Linear(fraction, end=0), 4000)
    assert round(found.rate * math.sqrt(4000), 2) == rate
    assert round(found.bound * math.sqrt(4000), 2) == bound


def test_the_bound_falls_during_a_cooldown():
    """Along a run it drops where the rate does, as losses do."""
    found = cd.convex_bound(WSD, 400)
    assert [round(found.after(step) * 20, 2) for step in (300, 320, 360, 400)] == [
        3.16, 3.10, 2.64, 2.19
    ]  # fmt: skip


def test_the_bound_is_the_formula():
    """The sums agree with the double loop of the theorem, with gradients that differ by step."""
    total, rng = 30, np.random.default_rng(0)
    gradients = rng.uniform(0.5, 2.0, total)
    plan = cd.Warmup(5) >> cd.Cosine(end=0.05)
    found = cd.convex_bound(plan, total, distance=1.5, gradients=gradients)
    rates = 0.3 * plan.resolve(total).values(total)
    energy = rates**2 * gradients**2
    expected = 1.5**2 / (2 * rates.sum()) + energy.sum() / (2 * rates.sum())
    for k in range(total - 1):
        expected += 0.5 * rates[k] / rates[k + 1 :].sum() * energy[k:].sum() / rates[k:].sum()
    assert found.at(0.3) == pytest.approx(expected, rel=1e-12)
    assert found.at(found.rate) == pytest.approx(found.bound)
    assert found.after(total) == pytest.approx(found.bound)


def test_steps_at_rate_zero_change_nothing():
    """A run that ends in rate 0 has the bound of the run before."""
    plan = cd.Linear(80, end=0) >> cd.Hold()
    assert cd.convex_bound(plan, 100).bound == pytest.approx(
        cd.convex_bound(cd.Linear(80), 80).bound
    )


def test_going_on_with_a_longer_cooldown_is_as_good_as_beginning_anew():
    """Twice and four times the length at one rate: cooldowns of 70 % and 95 % against 20 %."""
    rate = cd.convex_bound(WSD, 4000).rate
    for times, fraction, longer, same in ((2, "70%", 2.01, 2.29), (4, "95%", 2.01, 2.70)):
        total = 4000 * times
        for length, bound in ((fraction, longer), ("20%", same)):
            found = cd.convex_bound(cd.Hold() >> cd.Linear(length, end=0), total).at(rate)
            assert round(found * math.sqrt(total), 2) == bound


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: cd.convex_bound(cd.Constant(-1.0), 10), "must be >= 0 and not all 0"),
        (lambda: cd.convex_bound(cd.Constant(0.0), 10), "must be >= 0 and not all 0"),
        (lambda: cd.convex_bound(WSD, 10, distance=0), "'distance' must be > 0"),
        (lambda: cd.convex_bound(WSD, 10, gradients=[1.0] * 9), "'gradients' must be one number"),
        (lambda: cd.convex_bound("cosine", 10), "convex_bound: 'plan' must be a schedule .*parse"),
        (lambda: transfer(1.0, "cosine", 10), "transfer: 'plan' must be a schedule"),
        (lambda: transfer(1.0, WSD, 10, to="cosine"), "transfer: 'to' must be a schedule"),
        (lambda: transfer(0.0, WSD, 10), "'rate' must be > 0"),
        (lambda: transfer(1.0, WSD, 10, continuing=True), "'to_steps' must be > 'total_steps'"),
        (
            lambda: transfer(1.0, cd.Cosine(), 10, to_steps=20, continuing=True),
            "holds its peak and then cools down",
        ),
        (
            lambda: transfer(1.0, WSD, 10, to=WSD, to_steps=20, continuing=True),
            "keeps its plan; leave out 'to'",
        ),
    ],
)
def test_what_cannot_be_meant_is_told(call, told):
    """Bad arguments raise, and the message says what is demanded."""
    with pytest.raises(ArgumentError, match=told):
        call()


def test_a_rate_for_another_plan_is_a_range_with_its_source():
    """From WSD to cosine: 1.89 give or take a quarter, which holds the measured 1.64."""
    found = transfer(1e-3, WSD, 4000, to=cd.Cosine())
    assert round(found.rate.value, 5) == 0.00189
    assert found.rate.low < 1.64e-3 < found.rate.high
    assert "Schaipp" in found.factors[0].source
    assert "124M" in str(found)


def test_a_rate_for_a_longer_run_is_a_range_with_its_source():
    """Over twice the length between a half power and a fifth; shorter runs go the other way."""
    found = transfer(1e-3, WSD, 4000, to_steps=8000)
    assert (found.rate.low, found.rate.high) == pytest.approx((1e-3 * 2**-0.5, 1e-3 * 2**-0.2))
    assert found.rate.value == pytest.approx(1e-3 * 2**-0.32)
    assert found.rate.low < found.rate.value < found.rate.high
    shorter = transfer(1e-3, WSD, 4000, to_steps=2000).rate
    assert 1e-3 < shorter.low < shorter.value < shorter.high
    both = transfer(1e-3, WSD, 4000, to=cd.Cosine(), to_steps=8000)
    assert both.rate.value == pytest.approx(found.rate.value * both.factors[0].value)


@pytest.mark.parametrize(("times", "factor"), [(2, 0.48), (4, 0.40)])
def test_a_run_that_goes_on_has_two_ways(times, factor):
    """Either a longer cooldown at the same rate, or a lower rate and the planned cooldown."""
    found = transfer(1e-3, WSD, 4000, to_steps=4000 * times, continuing=True)
    cooldown, lower = found.ways
    assert 0.2 < cooldown.low <= cooldown.value <= cooldown.high <= 1
    assert lower.value == pytest.approx(factor, abs=0.02)
    assert lower.low < lower.value < lower.high
    assert found.rate.value == 1e-3
    assert len(found.as_dict()["ways"]) == 2
