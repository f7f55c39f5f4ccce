"""Controllers: torch's decisions, the laws of a pure fold, and what each kind promises."""

import copy
import itertools
import json
import math
import pickle
import statistics
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cadence import Constant, Scheduler, absolute
from cadence.errors import ArgumentError
from cadence.feedback import Controller, Greedy, Plateau, SpikeGuard
from optimizers import held, sgd

CONTROLLERS = [
    Plateau(patience=2),
    Plateau(mode="max", ema=0.8, patience=1, cooldown=2, nan="bad", floor=absolute(1e-3)),
    Greedy(factor=0.5, patience=1, reset=2, cooldown=1, warmup=2, nan="ignore", threshold=0.01),
    Greedy(patience=0, window=3, floor=absolute(1e-3), ceiling=absolute(1.0), nan="bad"),
    SpikeGuard(),
    SpikeGuard(updates=3, burn_in=2, sigmas=2, patience=2),
]
every_controller = pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda c: repr(c)[:40])

METRICS = st.lists(
    st.integers(-8, 8).map(lambda k: k / 4) | st.floats(-1e6, 1e6) | st.just(math.inf),
    max_size=40,
)


def through_json(state):
    """The state as it comes back from a file."""
    return json.loads(json.dumps(state))


def fold(controller, metrics, state=None):
    """The last state, and the factor for each metric."""
    state, factors = controller.start() if state is None else state, []
    for metric in metrics:
        state, factor = controller.update(state, metric)
        factors.append(factor)
    return state, factors


def rates(controller, metrics, base=1.0):
    """The rate of a group after each metric, under a plan that is flat."""
    state, seen = controller.start(), [base]
    for metric in metrics:
        state, factor = controller.update(state, metric)
        seen.append(controller.limited(seen[-1], factor, base))
    return seen[1:]


# Plateau is torch's ReduceLROnPlateau.

MODES = list(itertools.product(["min", "max"], ["rel", "abs"]))


@st.composite
def plateaus(draw, modes=tuple(MODES)):
    """Arguments for torch's class, the controller that they mean, bases, and metrics."""
    mode, threshold_mode = draw(st.sampled_from(modes))
    shared = {
        "mode": mode,
        "threshold_mode": threshold_mode,
        "factor": draw(st.sampled_from([0.1, 0.5]) | st.floats(0.01, 0.99)),
        "patience": draw(st.integers(0, 4)),
        "threshold": draw(st.sampled_from([0.0, 1e-4, 0.25]) | st.floats(0, 0.9)),
        "cooldown": draw(st.integers(0, 4)),
        "eps": draw(st.sampled_from([0.0, 1e-8, 1e-3, 0.02, 0.5])),
    }
    bases = draw(
        st.lists(st.sampled_from([1.0, 0.1, 3e-4]) | st.floats(1e-6, 2), min_size=1, max_size=3)
    )
    floor = draw(st.sampled_from([0.0, 0.01, 0.3, 1.5]) | st.floats(0, 1))
    if draw(st.booleans()):
        lowest, floor = [floor] * len(bases), absolute(floor)
    else:
        lowest = [floor * base for base in bases]
    any_metric = (
        st.integers(-12, 12).map(lambda k: k / 4)
        | st.floats()
        | st.sampled_from([math.nan, math.inf, -math.inf])
    )
    metrics = draw(st.lists(any_metric, min_size=8, max_size=60))
    return shared | {"min_lr": lowest}, Plateau(**shared, floor=floor, nan="bad"), bases, metrics


def alone(plateau, bases, metrics):
    """Rates and state after each metric, under the controller by itself."""
    held, state = bases, plateau.start()
    for metric in metrics:
        state, factor = plateau.update(through_json(state), metric)
        held = [plateau.limited(rate, factor, base) for rate, base in zip(held, bases, strict=True)]
        yield held, state


def bound(plateau, bases, metrics):
    """The same within a scheduler, of which after each metric another one takes over."""

    def build():
        return Scheduler(sgd(*bases), lr=Constant(1), feedback=plateau)

    scheduler = build()
    for metric in metrics:
        scheduler.optimizer.step()
        scheduler.step(metric)
        state = through_json(scheduler.state_dict())
        yield scheduler.get_last_lr(), state["feedback"]["state"]
        scheduler = build()
        scheduler.load_state_dict(state)


every_mode = pytest.mark.parametrize("mode", MODES, ids=" ".join)
either_way = pytest.mark.parametrize("way", [alone, bound], ids=lambda way: way.__name__)


def agrees_with_torch(case, way=alone):
    """Every rate after every metric is torch's to the last bit, the state sent through JSON."""
    arguments, plateau, bases, metrics = case
    optimizer = sgd(*bases)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **arguments)
    for metric, (rates, state) in zip(metrics, way(plateau, bases, metrics), strict=True):
        theirs.step(metric)
        assert rates == held(optimizer)
        assert state["bad"] == theirs.num_bad_epochs
        assert state["cooldown"] == theirs.cooldown_counter


@either_way
@given(case=plateaus())
def test_plateau_decides_as_torch_does(way, case):
    """In random runs of every mode, with several groups."""
    agrees_with_torch(case, way)


@pytest.mark.slow
@either_way
@every_mode
@settings(max_examples=250)
@given(data=st.data())
def test_plateau_decides_as_torch_does_in_1000_runs(mode, way, data):
    """The same law, over many more runs, a quarter of them in each mode."""
    agrees_with_torch(data.draw(plateaus([mode])), way)


@every_mode
def test_the_runs_are_of_every_kind(mode):
    """The law above is put, in every mode, to all that a plateau does and all that it is told."""
    kinds = set()

    @settings(max_examples=100)
    @given(plateaus([mode]))
    def look(case):
        arguments, plateau, bases, metrics = case
        kinds.update("nan" for metric in metrics if math.isnan(metric))
        kinds.update("infinite" for metric in metrics if math.isinf(metric))
        rates, state = bases, plateau.start()
        for metric in metrics:
            kinds.update("cooling down" for _ in range(state["cooldown"]))
            state, factor = plateau.update(state, metric)
            after = [plateau.limited(r, factor, b) for r, b in zip(rates, bases, strict=True)]
            for old, new, lowest in zip(rates, after, arguments["min_lr"], strict=True):
                if factor < 1:
                    left = "left out" if new > lowest else "at the floor"
                    kinds.add("lowered" if new == old * factor else left)
            rates = after

    look()
    assert kinds == {"nan", "infinite", "cooling down", "lowered", "left out", "at the floor"}


def test_another_patience_is_noticed():
    """The law above can fail: a controller that waits longer does not agree."""
    shared = {"patience": 1, "threshold": 0.0}
    case = shared | {"min_lr": [0.0]}, Plateau(**shared), [0.1], [1.0, 2.0, 2.0, 2.0, 2.0]
    for way in (alone, bound):
        agrees_with_torch(case, way)
        with pytest.raises(AssertionError):
            agrees_with_torch((case[0], replace(case[1], patience=2), *case[2:]), way)


# What else Plateau promises.


@pytest.mark.parametrize("ema", [0.5, 0.9, 0.999])
def test_ema_is_the_bias_corrected_moving_average(ema):
    """The mean after each metric is the weighted mean of all so far, with weights ema**age."""
    metrics = np.random.default_rng(0).normal(2.0, 1.0, 50)
    plateau = Plateau(ema=ema)
    for n in range(1, 51):
        weights = ema ** np.arange(n - 1, -1, -1.0)
        expected = np.average(metrics[:n], weights=weights)
        assert fold(plateau, metrics[:n])[0]["mean"] == pytest.approx(expected, rel=1e-12)


def test_ema_of_a_constant_metric_is_that_metric():
    """Rounding does not make a constant metric look better."""
    state, _ = fold(Plateau(ema=0.9, threshold=0.0, patience=99), [0.3] * 50)
    assert (state["best"], state["mean"], state["bad"]) == (0.3, 0.3, 49)


def test_ema_sees_through_noise():
    """A falling metric under noise is a plateau only without the smoothing."""
    noise = np.random.default_rng(1).normal(0.0, 1.0, 400)
    metrics = np.linspace(10.0, 0.0, 400) + noise
    assert min(fold(Plateau(patience=12), metrics)[1]) == 0.1
    assert min(fold(Plateau(patience=12, ema=0.95), metrics)[1]) == 1.0


def test_infinite_metrics_leave_the_smoothing_alone():
    """An infinity counts as no better, and the mean after it is that of the others."""
    plateau = Plateau(ema=0.5)
    with_infinity, _ = fold(plateau, [1.0, math.inf, 2.0])
    without, _ = fold(plateau, [1.0, 2.0])
    assert with_infinity["mean"] == without["mean"]
    assert fold(plateau, [1.0, math.inf])[0]["bad"] == 1


@pytest.mark.parametrize("kind", [Plateau, Greedy])
def test_nan_does_what_it_is_told(kind):
    """By default it raises; otherwise it counts as no better, or is passed over."""
    state, _ = fold(kind(), [1.0])
    with pytest.raises(ArgumentError) as caught:
        kind().update(state, math.nan)
    assert str(caught.value) == (
        f"{kind.__name__}: 'metric' must be a number (got nan); write {kind.__name__}(..., "
        "nan='bad') to count a NaN as no better, or nan='ignore' to pass over it"
    )
    assert kind(nan="ignore").update(state, math.nan) == (state, 1.0)
    assert kind(nan="bad").update(state, math.nan)[0]["bad"] == 1


def test_floors_are_of_the_base_or_absolute():
    """A floor ends the fall of each group at its own fraction, or at one rate for all."""
    metrics = [1.0] * 20
    for base in (0.1, 0.5):
        assert rates(Plateau(patience=1, floor=0.25), metrics, base)[-1] == 0.25 * base
        assert rates(Plateau(patience=1, floor=absolute(0.02)), metrics, base)[-1] == 0.02
    # A rate that a warm-up keeps below the floor is not raised to it.
    assert Plateau(floor=0.5).limited(0.01, 0.1, base=1.0) == 0.01


def test_reductions_of_no_more_than_eps_are_left_out():
    """As in torch, a change has to be larger."""
    assert Plateau(eps=0.5).limited(1.0, 0.5, base=1.0) == 1.0
    assert Plateau(eps=0.49).limited(1.0, 0.5, base=1.0) == 0.5


# Greedy.


def test_greedy_raises_and_lowers():
    """Better metrics raise, others lower, and after each it passes over what it was told to."""
    greedy = Greedy(factor=0.5, patience=1, cooldown=1, warmup=2)
    better = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0]
    assert fold(greedy, better)[1] == [1.0, 2.0, 1.0, 1.0, 1.0, 2.0]
    assert fold(greedy, [1.0] * 7)[1] == [1.0, 1.0, 0.5, 1.0, 1.0, 0.5, 1.0]


@given(METRICS)
def test_greedy_stays_within_its_limits(metrics):
    """Multiples limit the product of all factors, and absolute limits each group's rate."""
    shared = {"factor": 0.5, "patience": 0, "nan": "bad"}
    for rate in rates(Greedy(**shared, floor=0.3, ceiling=3), metrics, base=0.2):
        assert 0.06 * (1 - 1e-12) <= rate <= 0.6 * (1 + 1e-12)
    limits = {"floor": absolute(0.05), "ceiling": absolute(0.3)}
    for rate in rates(Greedy(**shared, **limits), metrics, base=0.2):
        assert 0.05 <= rate <= 0.3


def test_greedy_leaves_rates_beyond_its_absolute_limits():
    """A rate that is outside already is not pulled the other way."""
    greedy = Greedy(floor=absolute(0.1), ceiling=absolute(1.0))
    assert greedy.limited(0.01, 0.95, base=1.0) == 0.01
    assert greedy.limited(2.0, 1 / 0.95, base=1.0) == 2.0


def test_greedy_goes_back_to_the_plan():
    """After `reset` reductions at the floor, the rate is the plan's and nothing is remembered."""
    greedy = Greedy(factor=0.5, patience=0, floor=0.25, reset=3, cooldown=1)
    metrics = [1.0, *[2.0] * 9]
    seen = rates(greedy, metrics, base=0.4)
    assert seen == pytest.approx([0.8, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.4])
    assert fold(greedy, metrics)[0] == greedy.start() | {"cooldown": 1}


def test_greedy_counts_reductions_at_the_floor_from_the_last_raise():
    """A raise in between starts the count for `reset` anew."""
    greedy = Greedy(factor=0.5, patience=0, floor=0.5, reset=3)
    state, _ = fold(greedy, [1.0, 1.0, 1.0])
    assert state["at_floor"] == 1  # raised, back again, and down to the floor
    assert fold(greedy, [0.5], state)[0]["at_floor"] == 0


def test_greedy_judges_the_mean_of_a_window():
    """A window smooths; what leaves it leaves no trace, however large it was."""
    greedy = Greedy(window=2, patience=99, nan="bad")
    state, _ = fold(greedy, [1e20, 1.0, math.inf, math.nan, 3.0])
    assert state["values"] == [1.0, 3.0]
    assert state["best"] == 2.0


# SpikeGuard.

CALM = [2.5, 2.4, 2.5, 2.4]


@pytest.mark.parametrize("spike", [9.0, math.nan, math.inf, -math.inf])
def test_spike_lowers_for_a_while(spike):
    """The rate is low for `updates` metrics, and what it was after them."""
    guard = SpikeGuard(burn_in=4, updates=3)
    assert fold(guard, [*CALM, spike, *CALM])[1] == [*[1.0] * 4, 0.1, 1.0, 1.0, 10.0, 1.0]


def test_spikes_while_low_prolong_it():
    """They lower once, and the count begins again."""
    guard = SpikeGuard(burn_in=4, updates=2)
    _, factors = fold(guard, [*CALM, 9.0, 2.5, 9.0, math.nan, 2.5, 2.4, 2.5])
    assert factors[4:] == [0.1, 1.0, 1.0, 1.0, 1.0, 10.0, 1.0]


def test_spikes_do_not_enter_the_statistics():
    """After a spike, mean and deviation are what they were."""
    guard = SpikeGuard(burn_in=4)
    calm, _ = fold(guard, CALM)
    for spike in (9.0, math.nan, math.inf):
        after, _ = guard.update(calm, spike)
        assert all(after[key] == calm[key] for key in ("mean", "variance", "count"))


@pytest.mark.parametrize("ema", [0.5, 0.97])
def test_statistics_are_the_weighted_ones(ema):
    """Mean and variance are those of all metrics, with weights ema**age."""
    metrics = np.random.default_rng(0).normal(2.0, 0.1, 40)
    state, factors = fold(SpikeGuard(ema=ema, burn_in=99), metrics)
    weights = ema ** np.arange(39, -1, -1.0)
    mean = np.average(metrics, weights=weights)
    assert state["mean"] == pytest.approx(mean, rel=1e-12)
    assert state["variance"] == pytest.approx(np.average((metrics - mean) ** 2, weights=weights))
    assert set(factors) == {1.0}


def test_what_a_spike_is():
    """It is beyond both the deviations and the ratio, and judged only after the burn-in."""
    metrics = [2.0, 2.2] * 20
    state, _ = fold(SpikeGuard(), metrics)
    mean, std = state["mean"], math.sqrt(state["variance"])
    assert std == pytest.approx(statistics.pstdev(metrics), rel=0.01)

    def lowers(guard, metric):
        return guard.update(state, metric)[1] < 1

    for sigmas in (3, 6):
        guard = SpikeGuard(sigmas=sigmas, ratio=1)
        assert lowers(guard, mean + (sigmas + 0.01) * std)
        assert not lowers(guard, mean + (sigmas - 0.01) * std)
    guard = SpikeGuard(sigmas=0, ratio=2)
    assert lowers(guard, 2.01 * mean)
    assert not lowers(guard, 1.99 * mean)
    assert not lowers(SpikeGuard(burn_in=41), 99.0)
    assert lowers(SpikeGuard(burn_in=40), 99.0)


def test_small_rises_of_a_constant_curve_are_no_spikes():
    """Where nothing varies, the ratio alone decides, and for negative metrics too."""
    for level in (0.7, -3.0):
        state, _ = fold(SpikeGuard(), [level] * 30)
        assert state["variance"] == 0.0
        assert SpikeGuard().update(state, level + 0.09 * abs(level))[1] == 1.0
        assert SpikeGuard().update(state, level + 0.11 * abs(level))[1] == 0.1


def test_a_new_level_is_no_spike_for_ever():
    """After more than `patience` spikes in a row, the metrics are the new level."""
    guard = SpikeGuard(burn_in=4, updates=2, patience=3)
    state, factors = fold(guard, [*CALM, *[9.0] * 9])
    assert factors[4:] == [0.1, 1.0, 1.0, 1.0, 1.0, 10.0, 1.0, 1.0, 1.0]
    assert state["mean"] == 9.0
    # Whoever sees nothing but NaN has no level.
    state, factors = fold(guard, [*CALM, *[math.nan] * 9])
    assert (state["count"], factors[-1]) == (4, 1.0)


@given(METRICS)
def test_what_the_guard_lowers_it_raises_again(metrics):
    """The product of all factors is 1, or while it is low the one factor."""
    guard = SpikeGuard(factor=0.3, updates=2, burn_in=2, sigmas=1, ratio=1)
    state, factors = fold(guard, metrics)
    assert math.prod(factors) == pytest.approx(0.3 if state["low_for"] else 1.0)


# The laws of a controller.


@every_controller
@given(metrics=METRICS)
def test_update_is_pure(controller, metrics):
    """It changes no state that it is given, and the same arguments give the same result."""
    state = controller.start()
    for metric in metrics:
        kept = copy.deepcopy(state)
        after, factor = controller.update(state, metric)
        assert state == kept
        assert (after, factor) == controller.update(kept, metric)
        assert after.keys() == state.keys()
        assert type(factor) is float
        assert 0 < factor < math.inf
        state = after


@every_controller
@given(metrics=METRICS, cut=st.integers(0, 40))
def test_replaying_a_log_gives_the_same_decisions(controller, metrics, cut):
    """A state from a file goes on, in an equal controller, as the one that was not interrupted."""
    whole = fold(controller, metrics)
    half, first = fold(controller, metrics[:cut])
    assert through_json(half) == half
    end, second = fold(pickle.loads(pickle.dumps(controller)), metrics[cut:], through_json(half))
    assert (end, first + second) == whole


@every_controller
@given(metrics=METRICS)
def test_every_decision_has_a_reason(controller, metrics):
    """A phrase on one line, from the same values every time."""
    state = controller.start()
    for metric in metrics:
        after, factor = controller.update(state, metric)
        if factor != 1.0:
            told = controller.reason(state, after, metric, factor)
            assert told
            assert "\n" not in told
            assert len(told) < 100
        state = after


def test_reasons_hold_the_numbers():
    """Each tells what was seen."""

    def last_reason(controller, metrics):
        before, _ = fold(controller, metrics[:-1])
        after, factor = controller.update(before, metrics[-1])
        assert factor != 1.0
        return controller.reason(before, after, metrics[-1], factor)

    assert (
        last_reason(Plateau(patience=3), [0.31, *[0.4] * 4]) == "no better than 0.31 for 4 metrics"
    )
    assert last_reason(Plateau(patience=0), [0.31, 0.4]) == "no better than 0.31 for 1 metric"
    assert (
        last_reason(Plateau(patience=1), [math.inf] * 2) == "nothing to compare with in 2 metrics"
    )
    greedy = Greedy(patience=1, floor=0.9, reset=1)
    assert last_reason(greedy, [3.0, 2.0]) == "a new best for 2 metrics in a row, now 2"
    assert last_reason(greedy, [3.0, 3.0, 3.0]) == "no better than 3 for 2 metrics"
    assert last_reason(greedy, [3.0] * 7) == "1 reduction at the floor: back to the plan"
    guard = SpikeGuard(burn_in=4, updates=2)
    assert last_reason(guard, [*CALM, 9.0]) == "9 is a spike: the mean is 2.44924, the std 0.05"
    assert last_reason(guard, [*CALM, math.nan]) == "the metric is nan"
    assert last_reason(guard, [*CALM, 9.0, *CALM[:2]]) == "no spike in 2 metrics"


@every_controller
def test_controllers_are_values(controller):
    """They are frozen, equal where their fields are, hashable, and print as what makes them."""
    text = repr(controller)
    same = eval(text, {"absolute": absolute, **{k.__name__: k for k in map(type, CONTROLLERS)}})  # noqa: S307
    for other in (same, copy.deepcopy(controller), pickle.loads(pickle.dumps(controller))):
        assert other == controller
        assert hash(other) == hash(controller)
        assert repr(other) == text
    assert len(set(CONTROLLERS)) == len(CONTROLLERS)
    with pytest.raises(FrozenInstanceError):
        controller.factor = 0.5


def test_equal_numbers_make_equal_controllers():
    """Fields are kept in one form, whatever kind of number they were given as."""
    assert repr(Plateau(floor=0, patience=np.int64(3))) == repr(Plateau(floor=0.0, patience=3))


@every_controller
@pytest.mark.parametrize("number", [torch.tensor, np.float64, np.float32, int])
def test_metrics_may_be_any_number(controller, number):
    """What the state keeps of them are plain floats."""
    state, factors = fold(controller, [number(k) for k in (3, 2, 2, 4, 2)])
    assert (state, factors) == fold(controller, [3.0, 2.0, 2.0, 4.0, 2.0])
    assert through_json(state) == state


def test_a_controller_of_ones_own_needs_two_methods():
    """The rest has a default; without the two, there is nothing to make."""

    class Half(Controller):
        def start(self):
            return {}

        def update(self, state, metric):
            return state, 0.5

    half = Half()
    assert half.limited(0.3, 0.5, base=1.0) == 0.15
    assert half.reason({}, {}, 2.25, 0.5) == "the metric is 2.25"
    with pytest.raises(TypeError, match="abstract"):
        Controller()


# Bad arguments.

BAD = """
Plateau(mode="minimum")
    Plateau: 'mode' must be one of 'min', 'max' (got 'minimum'); did you mean 'min'?
Plateau(threshold_mode="relative")
    Plateau: 'threshold_mode' must be one of 'rel', 'abs' (got 'relative')
Plateau(nan="skip")
    Plateau: 'nan' must be one of 'raise', 'bad', 'ignore' (got 'skip')
Plateau(factor=1)
    Plateau: 'factor' must be < 1 (got 1)
Plateau(factor=0.0)
    Plateau: 'factor' must be > 0 (got 0.0)
Plateau(factor="0.1")
    Plateau: 'factor' must be a number (got '0.1')
Plateau(patience=-1)
    Plateau: 'patience' must be >= 0 (got -1)
Plateau(patience=3.0)
    Plateau: 'patience' must be a whole number (got 3.0); write 3
Plateau(cooldown=True)
    Plateau: 'cooldown' must be a whole number (got True)
Plateau(threshold=-0.1)
    Plateau: 'threshold' must be >= 0 (got -0.1)
Plateau(threshold=1.5)
    Plateau: 'threshold' must be < 1 (got 1.5), or no metric is ever better;
    write threshold_mode='abs' for a difference
Plateau(floor=-0.1)
    Plateau: 'floor' must be >= 0 (got -0.1)
Plateau(floor=absolute(-1e-6))
    Plateau: 'floor' must be >= 0 (got -1e-06)
Plateau(floor=[0.1, 0.2])
    Plateau: 'floor' must be a number (got [0.1, 0.2])
Plateau(eps=inf)
    Plateau: 'eps' must be finite (got inf)
Plateau(ema=1)
    Plateau: 'ema' must be < 1 (got 1)
Greedy(factor=1.05)
    Greedy: 'factor' must be < 1 (got 1.05)
Greedy(warmup=-1)
    Greedy: 'warmup' must be >= 0 (got -1)
Greedy(floor=0)
    Greedy: 'floor' must be > 0 (got 0)
Greedy(floor=2)
    Greedy: 'floor' must be <= 1 (got 2)
Greedy(ceiling=0.5)
    Greedy: 'ceiling' must be >= 1 (got 0.5)
Greedy(floor=absolute(1e-6))
    Greedy: 'floor' and 'ceiling' must be of one kind (got absolute(1e-06) and 10.0);
    give both as multiples or both as absolute(...)
Greedy(floor=absolute(1), ceiling=absolute(0.1))
    Greedy: 'floor' must be <= absolute(0.1) (got absolute(1))
Greedy(floor=absolute(0), ceiling=absolute(1), reset=5)
    Greedy: 'reset' needs limits that are multiples (got floor=absolute(0));
    write Greedy(..., reset=None)
Greedy(window=0)
    Greedy: 'window' must be >= 1 (got 0)
SpikeGuard(updates=0)
    SpikeGuard: 'updates' must be >= 1 (got 0)
SpikeGuard(ratio=0.9)
    SpikeGuard: 'ratio' must be >= 1 (got 0.9)
SpikeGuard(sigmas=-1)
    SpikeGuard: 'sigmas' must be >= 0 (got -1)
SpikeGuard(ema=0)
    SpikeGuard: 'ema' must be > 0 (got 0)
SpikeGuard(factor=nan)
    SpikeGuard: 'factor' must be finite (got nan)
"""


def rows():
    """Each call with its message, on one line."""
    found = []
    for line in BAD.strip().splitlines():
        if line.startswith(" "):
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}".strip())
        else:
            found.append((line, ""))
    return found


@pytest.mark.parametrize(("call", "message"), rows())
def test_bad_arguments_are_refused(call, message):
    """At construction, with a message that says what to write."""
    names = {kind.__name__: kind for kind in (Plateau, Greedy, SpikeGuard)}
    with pytest.raises(ArgumentError) as caught:
        eval(call, names | {"absolute": absolute, "inf": math.inf, "nan": math.nan})  # noqa: S307
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [Plateau, Greedy, SpikeGuard])
def test_every_argument_is_checked(kind):
    """Each refuses what is of no use to any."""
    for field in fields(kind):
        with pytest.raises(ArgumentError, match=f"^{kind.__name__}: '{field.name}' must be "):
            kind(**{field.name: object()})
