"""Laws of the loss: their sums, gradients and published accuracies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curves
from cadence.errors import ArgumentError
from cadence.forecast import FunctionalScaling, Momentum, MultiPower
from cadence.forecast._laws import LAWS, Scale
from cadence.forecast._walk import Walk, warmup_end

LAWS_TO_TRY = [
    Momentum(L0=2.0, A=0.5, alpha=0.4, C=1.5, decay=0.98),
    MultiPower(L0=2.0, A=0.5, alpha=0.4, B=300.0, C=1.5, beta=0.6, gamma=0.5),
    MultiPower(L0=2.0, A=0.5, alpha=0.4, B=300.0, C=1.5, beta=0.6, gamma=0.5, rise=True),
    FunctionalScaling(L0=2.0, c1=0.5, s=0.4, c2=20.0, c3=1.5, c4=300.0, gamma=0.6),
]
each_law = pytest.mark.parametrize("law", LAWS_TO_TRY, ids=lambda law: f"{law.name}")
needs_curves = pytest.mark.skipif(bool(curves.ABSENT), reason=curves.ABSENT)


def rates_of_all_kinds():
    """A warm-up, a hold, a line, an abrupt drop, a hold and a rise."""
    return np.concatenate(
        [
            np.linspace(1e-5, 1e-3, 50),
            np.full(200, 1e-3),
            np.linspace(1e-3, 1e-4, 150),
            np.full(100, 5e-5),
            np.linspace(5e-5, 2e-4, 20),
        ]
    )


def by_definition(law, rates, step):
    """The law's formula, summed change by change."""
    sums = np.cumsum(rates)
    begin = 0 if getattr(law, "rise", False) else warmup_end(rates)
    if isinstance(law, Momentum):
        momentum = total = 0.0
        for i in range(begin + 1, step + 1):
            momentum = law.decay * momentum + (rates[i - 1] - rates[i])
            total += momentum
        return law.L0 + law.A * sums[step] ** -law.alpha - law.C * total
    drop = 0.0
    for k in range(begin + 1, step + 1):
        size = rates[k - 1] - rates[k]
        if isinstance(law, MultiPower):
            x = law.C * rates[k] ** -law.gamma * (sums[step] - sums[k - 1])
            drop += law.B * size * (1 - (1 + x) ** -law.beta)
        else:
            gained = 1 - (1 + law.c4 * (sums[step] - sums[k])) ** -law.gamma
            drop += law.c2 * size * (law.c3 + sums[k] ** -law.s) * gained
    if isinstance(law, MultiPower):
        return law.L0 + law.A * sums[step] ** -law.alpha - drop
    return law.L0 + law.c1 * sums[step] ** -law.s - drop


@each_law
def test_the_sums_are_those_of_the_formula(law):
    """Each law is its published formula, change by change."""
    rates = rates_of_all_kinds()
    steps = np.array([60, 200, 255, 300, 380, 401, 402, 450, 500, 519])
    exact = [by_definition(law, rates, step) for step in steps]
    np.testing.assert_allclose(law.loss(rates, steps), exact, rtol=1e-12)


@each_law
def test_taking_neighbouring_changes_together_costs_no_digits_that_matter(law):
    """Over a cosine, the sums that a fit uses move no loss by three thousandths of a percent."""
    u = np.linspace(0.0, 1.0, 9000)
    rates = 3e-4 * np.concatenate([np.linspace(0.0, 1.0, 999), 0.55 + 0.45 * np.cos(np.pi * u)])
    steps = np.arange(1000, len(rates), 100)
    exact = law.of(Walk(rates, steps, most=1 << 20))
    np.testing.assert_allclose(law.of(Walk(rates, steps, most=256)), exact, rtol=3e-5)


@each_law
@given(
    pieces=st.lists(
        st.tuples(st.integers(1, 40), st.floats(0.01, 1.0), st.booleans()), min_size=2, max_size=6
    )
)
@settings(deadline=None, max_examples=15)
def test_whatever_the_rates_the_sums_are_the_formulas(law, pieces):
    """Holds, lines and jumps in any order, up and down: gaps and signs are never mixed."""
    parts, level = [np.linspace(0.01, 1.0, 20)], 1.0
    for length, target, jump in pieces:
        parts.append(
            np.full(length, target) if jump else np.linspace(level, target, length + 1)[1:]
        )
        level = target
    rates = 1e-3 * np.concatenate(parts)
    steps = np.unique(np.linspace(20, len(rates) - 1, 7).astype(int))
    exact = [by_definition(law, rates, step) for step in steps]
    np.testing.assert_allclose(law.loss(rates, steps), exact, rtol=1e-9)


@each_law
def test_gradients_are_those_of_finite_differences(law):
    """Each derivative agrees with a central difference to six digits of its largest value."""
    rates, steps = rates_of_all_kinds(), np.arange(60, 520, 13)
    gradient = law.gradient(rates, steps)
    names = [parameter.name for parameter in law.parameters if parameter.name != "decay"]
    assert gradient.shape == (len(steps), len(names))
    for column, name in zip(gradient.T, names, strict=True):
        value = getattr(law, name)
        up, down = (
            dataclasses.replace(law, **{name: value * (1 + h)}).loss(rates, steps)
            for h in (1e-5, -1e-5)
        )
        difference = (up - down) / (2e-5 * value)
        assert np.abs(difference - column).max() <= 1e-6 * np.abs(column).max()


@pytest.mark.parametrize("kind", LAWS.values(), ids=list(LAWS))
def test_what_a_fit_moves_has_the_chain_rules_derivatives(kind):
    """The derivatives of the parameters by the coordinates agree with differences."""
    scale = Scale(peak=1e-3, total=0.4, highest=4.0)
    coordinates = kind.coordinates(scale)
    point = np.array([2.0, -1.0, -0.5, 0.2, 0.3, -2.0, -0.4][: len(coordinates)])
    if kind is MultiPower:
        point[4:] = [-2.0, -0.4, 0.6]
    fixed = {"decay": 0.99} if kind is Momentum else {}
    law = kind.at(point, scale, fixed)
    matrix = law.chain(point, scale)
    names = [parameter.name for parameter in law.parameters if parameter.name != "decay"]
    for j in range(len(point)):
        step = np.eye(len(point))[j] * 1e-6
        ups, downs = (kind.at(point + s, scale, fixed) for s in (step, -step))
        for i, name in enumerate(names):
            difference = (getattr(ups, name) - getattr(downs, name)) / 2e-6
            assert difference == pytest.approx(matrix[i, j], rel=1e-5, abs=1e-9)


@each_law
def test_a_rate_that_ends_at_zero_gives_a_finite_loss(law):
    """At rate 0 nothing is divided by it."""
    rates = np.concatenate([np.full(100, 1e-3), np.linspace(1e-3, 0.0, 50), np.zeros(20)])
    loss = law.loss(rates, np.arange(10, 170))
    assert np.all(np.isfinite(loss))
    assert loss[-1] < loss[80]


def test_changes_are_not_taken_together_across_gaps_signs_jumps_and_questions():
    """A run's few kinds of changes keep apart; what is smooth is taken together."""
    rates = rates_of_all_kinds()
    sizes, *_, at = Walk(rates, np.array([300, 519]), most=1)._changes
    # The warm-up; the line up to the question and after it; the drop; the rise.
    assert at.tolist() == [1, 251, 301, 400, 501]
    np.testing.assert_allclose(sizes.sum(), rates[0] - rates[-1])


def test_the_warmup_ends_where_the_rate_stops_rising():
    """Flat beginnings are of the warm-up, and a run without one has none."""
    assert warmup_end(np.array([1.0, 1.0, 1.0])) == 0
    assert warmup_end(np.array([0.1, 0.1, 0.5, 1.0, 1.0, 0.5])) == 3
    assert warmup_end(np.array([1.0, 0.5, 0.7])) == 0
    assert warmup_end(np.array([0.1, 0.2, 0.3])) == 2


@pytest.mark.parametrize(
    ("rates", "steps", "told"),
    [
        ([1.0, -1.0], [0], "loss: 'rates' must be finite and >= 0"),
        ([0.0, 0.0], [0], "loss: 'rates' must not all be 0"),
        ([[1.0]], [0], "loss: 'rates' must be one number for each step"),
        ([1.0, 1.0], [2], "loss: 'steps' must rise within 0..1"),
        ([1.0, 1.0], [1, 0], "loss: 'steps' must rise within 0..1"),
        ([1.0, 1.0], [0.5], "loss: 'steps' must be whole numbers"),
    ],
)
def test_rates_and_steps_that_cannot_be_meant_are_told(rates, steps, told):
    """Bad rates and steps raise, and the message says which."""
    with pytest.raises(ArgumentError, match=told.replace("..", r"\.\.")):
        LAWS_TO_TRY[0].loss(rates, steps)


@each_law
def test_parameters_have_units_and_ranges(law):
    """Every parameter has a unit, and a value below its range is refused by name."""
    for parameter in law.parameters:
        assert parameter.unit
        with pytest.raises(ArgumentError, match=f"'{parameter.name}' must be >= 0"):
            dataclasses.replace(law, **{parameter.name: -1.0})


@needs_curves
@pytest.mark.parametrize("size", curves.SIZES)
def test_published_parameters_give_published_accuracies(size):
    """The law's accuracies on the six held-out curves are those that its authors published.

    Their parameters are rounded to three decimals. That alone allows `L0` to be 0.0005 off, and MAE
    and RMSE with it; with an `L0` that rounds to theirs, all five accuracies agree within 1e-4.
    """
    law, told = curves.published(size)
    losses = curves.predicted(size, law)
    given = curves.mean(curves.scores(size, losses))
    assert abs(given.R2 - told.R2) < 2e-4
    assert max(abs(given.MAE - told.MAE), abs(given.RMSE - told.RMSE)) < 5e-4
    assert max(abs(given.PredE - told.PredE), abs(given.WorstE - told.WorstE)) < 1.5e-4
    off = min(
        max(abs(a - b) for a, b in zip(found, told, strict=True))
        for shift in np.linspace(-4.9e-4, 4.9e-4, 15)
        for found in [curves.mean(curves.scores(size, losses, shift))]
    )
    assert off < 1e-4


@needs_curves
@pytest.mark.parametrize("size", curves.SIZES)
def test_the_rebuilt_rates_are_those_of_the_logs(size):
    """The schedules that the check above rebuilds have the rates that were logged."""
    for name in (*curves.TRAINED, *curves.HELD_OUT):
        steps, _, logged = curves.measured(size, name)
        np.testing.assert_allclose(curves.rates(name)[steps], logged, rtol=1e-9)
