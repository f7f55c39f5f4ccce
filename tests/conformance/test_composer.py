"""Composer's schedulers beside the plans that are read from the same arguments."""

import math
import warnings

import numpy as np
import pytest
import reference
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from table import compare, version

from cadence import Horizon, parse
from cadence.dialects import from_composer
from cadence.errors import ArgumentError

pytestmark = pytest.mark.peers

VERSION = version("mosaicml")
EXAMPLES = 150

LEVELS = st.sampled_from([0.0, 0.1, 1.0]) | st.floats(-0.5, 2.0)
FACTORS = st.sampled_from([0.0, 0.1, 1.0]) | st.floats(0, 1.5)
RATIOS = st.sampled_from([1.0, 1.0, 0.5, 2.0]) | st.floats(0.05, 3.0)


class Run:
    """A run of Composer's: its length, and what a batch and an epoch hold."""

    def __init__(self, amount, unit, epoch, samples, tokens, ratio):
        self.amount, self.unit, self.epoch = amount, unit, epoch
        self.samples, self.tokens, self.ratio = samples, tokens, ratio

    @property
    def scaled(self):
        """`max_duration` as the Trainer scales it."""
        return f"{int(self.amount * self.ratio)}{self.unit}"

    @property
    def batches(self):
        amount = int(self.amount * self.ratio)
        per = {"ep": 1 / self.epoch, "ba": 1, "sp": self.samples, "tok": self.tokens}[self.unit]
        return math.ceil(amount / per)

    @property
    def told(self):
        return {
            "max_duration": f"{self.amount}{self.unit}",
            "batches_per_epoch": self.epoch,
            "samples_per_batch": self.samples,
            "tokens_per_batch": self.tokens,
            "ssr": self.ratio,
        }

    def __repr__(self):
        return repr(self.told)


@st.composite
def runs(draw, *, ratios=RATIOS):
    unit = draw(st.sampled_from(["ep", "ba", "ba", "sp", "tok"]))
    amount = draw(st.integers(1, 6) if unit == "ep" else st.integers(1, 150))
    run = Run(
        amount,
        unit,
        draw(st.integers(1, 30)),
        draw(st.integers(1, 16)),
        draw(st.integers(1, 40)),
        draw(ratios),
    )
    assume(int(run.amount * run.ratio) > 0)
    return run


def times(*units):
    """Times in any of the units."""
    kinds = {
        "ep": st.integers(0, 9).map("{}ep".format),
        "ba": st.integers(0, 200).map("{}ba".format),
        "sp": st.integers(0, 900).map("{}sp".format),
        "tok": st.integers(0, 900).map("{}tok".format),
        "dur": (st.integers(0, 24).map(lambda n: n / 20) | st.floats(0, 1.2)).map("{}dur".format),
    }
    return st.one_of(*(kinds[unit] for unit in units or kinds))


ANY = times()
ONE = st.just("1dur")
WARM = {"t_warmup": ANY, "t_max": ONE | ONE | ANY, "scale_warmup": st.booleans()}
ARGUMENTS = {
    "StepScheduler": {"step_size": ANY, "gamma": FACTORS},
    "MultiStepScheduler": {"milestones": st.lists(ANY, max_size=4), "gamma": FACTORS},
    "ConstantScheduler": {"alpha": LEVELS, "t_max": ANY},
    "LinearScheduler": {"alpha_i": LEVELS, "alpha_f": LEVELS, "t_max": ANY},
    "ExponentialScheduler": {"gamma": FACTORS, "decay_period": ANY},
    "CosineAnnealingScheduler": {"t_max": ANY, "alpha_f": LEVELS},
    "CosineAnnealingWarmRestartsScheduler": {
        "t_0": ANY,
        "t_mult": st.sampled_from([1, 2, 1.5, 0.5]) | st.floats(0.5, 3),
        "alpha_f": LEVELS,
    },
    "PolynomialScheduler": {"power": st.floats(0.2, 4), "t_max": ANY, "alpha_f": LEVELS},
    "MultiStepWithWarmupScheduler": {
        "t_warmup": ANY,
        "milestones": st.lists(ANY, max_size=4),
        "gamma": FACTORS,
        "scale_warmup": st.booleans(),
    },
    "ConstantWithWarmupScheduler": {"alpha": LEVELS, **WARM},
    "LinearWithWarmupScheduler": {"alpha_i": LEVELS, "alpha_f": LEVELS, **WARM},
    "CosineAnnealingWithWarmupScheduler": {"alpha_f": LEVELS, **WARM},
    "PolynomialWithWarmupScheduler": {"power": st.floats(0.2, 4), "alpha_f": LEVELS, **WARM},
}
"""Each scheduler and its arguments."""

NEEDED = {"t_warmup", "step_size", "milestones", "gamma", "t_0", "power", "decay_period"}
"""Those that are always given: the defaults of some are a whole epoch or the whole run."""


@st.composite
def calls(draw, name):
    own = ARGUMENTS[name].items()
    return {key: draw(values) for key, values in own if key in NEEDED or draw(st.booleans())}


def theirs(name, arguments, run, n):
    """The multiplier at each of n batches."""
    library = reference.composer()
    with warnings.catch_warnings(action="ignore"):
        scheduler = getattr(library, name)(**arguments)
        return [
            scheduler(
                library.at(
                    batch,
                    run.scaled,
                    run.epoch,
                    sample=batch * run.samples,
                    token=batch * run.tokens,
                ),
                run.ratio,
            )
            for batch in range(n)
        ]


def span(run, expected):
    """To past the end of the run, or of what the schedule does if that is later."""
    return min(int(1.5 * max(run.batches, expected)) + 5, 500)


def attempt(error, call, *args, **kwargs):
    """What a call gives, and the message of the error that it raises instead."""
    try:
        return call(*args, **kwargs), ""
    except error as raised:
        return None, str(raised)


OURS = ("whole number of batches", "must be whole for cycles")
"""Of what a plan cannot express."""


@pytest.mark.parametrize("name", ARGUMENTS)
def test_plans_give_theirs_at_every_batch(name):
    """In a run that is told, all times are theirs, and so is what is refused."""
    compared = 0

    # Of warm-ups in one unit and ends in another most are refused.
    @settings(deadline=None, max_examples=EXAMPLES * (2 if "Warmup" in name else 1))
    @given(run=runs(), arguments=calls(name))
    def check(run, arguments):
        nonlocal compared
        plan, refused = attempt(ArgumentError, from_composer, name, **arguments, **run.told)
        if plan is None:
            if not any(message in refused for message in OURS):
                with pytest.raises((ValueError, ZeroDivisionError)):
                    theirs(name, arguments, run, run.batches + 1)
            return
        assert parse(repr(plan)) == plan
        n = span(run, plan.steps or 0)
        if name == "CosineAnnealingWarmRestartsScheduler":
            n = min(n, 2 * run.batches)  # so far are cycles written out that are truncated
        expected, raised = attempt(ValueError, theirs, name, arguments, run, n)
        if expected is None:  # cycles that shrink to nothing after the end of the run
            assert "has decayed to 0" in raised
            expected = theirs(name, arguments, run, run.batches)
        compare("Composer", VERSION, name, plan(np.arange(len(expected))), expected)
        compared += 1

    check()
    assert compared >= EXAMPLES // 4  # the rest is refused, here and there


WAITING = (
    "must be given",
    "must come to the same unit",
    "must not be less than the run",
    "must fit into the run",
)
"""Why a plan that waits for the run is refused, or does not fit into this one."""


@settings(deadline=None, max_examples=3 * EXAMPLES)
@given(
    name=st.sampled_from(sorted(ARGUMENTS)),
    data=st.data(),
    run=runs(ratios=st.just(1.0)),
)
def test_plans_that_wait_for_the_run_come_to_the_same(name, data, run):
    """Where nothing has to be truncated, durations of the plan resolve to Composer's batches."""
    run.amount, run.unit, run.samples, run.tokens = 20 * run.amount, "ba", 4, 1000
    parts = st.integers(1, 20).map(lambda n: f"{n / 20}dur")
    simple = parts | st.integers(1, 9).map("{}ep".format) | st.integers(1, 60).map("{}ba".format)
    batches = st.integers(1, 60)
    simple |= batches.map(lambda n: f"{4 * n}sp") | batches.map(lambda n: f"{1000 * n}tok")
    arguments = {}
    for key, values in ARGUMENTS[name].items():
        if values is ANY or values is WARM["t_max"]:
            arguments[key] = data.draw(simple, label=key)
        elif key == "milestones":
            arguments[key] = data.draw(st.lists(simple, max_size=3), label=key)
        elif key not in ("scale_warmup", "t_mult"):
            arguments[key] = data.draw(values, label=key)
    horizon = Horizon(
        run.batches, steps_per_epoch=run.epoch, samples_per_step=4, tokens_per_step=1000
    )

    def both():
        waiting = from_composer(name, **arguments).resolve(horizon)
        return waiting, from_composer(name, **arguments, **run.told)

    plans, refused = attempt(ArgumentError, both)
    if plans is None:
        assert any(message in refused for message in WAITING), refused
        return
    ours, told = (plan.values(run.batches) for plan in plans)
    assert np.allclose(ours, told, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("LinearScheduler", {"t_max": "0ba"}),
        ("CosineAnnealingScheduler", {"t_max": "10sec"}),
        ("CosineAnnealingScheduler", {"t_max": "1h"}),
        ("CosineAnnealingScheduler", {"t_max": "1.5ba"}),
        ("CosineAnnealingScheduler", {"t_max": "ten"}),
        ("CosineAnnealingWithWarmupScheduler", {"t_warmup": "10ba", "t_max": "50ba"}),
        ("CosineAnnealingWithWarmupScheduler", {"t_warmup": "10tok", "t_max": "500ba"}),
        ("CosineAnnealingWarmRestartsScheduler", {"t_0": "8ba", "t_mult": 0.5}),
        ("StepScheduler", {"step_size": "0.001dur"}),
    ],
)
def test_what_they_refuse_is_refused(name, arguments):
    """What raises in Composer raises here."""
    run = Run(100, "ba", 10, 4, 4, 1.0)
    with pytest.raises((ValueError, TypeError, ZeroDivisionError)):
        theirs(name, arguments, run, 101)
    with pytest.raises(ArgumentError):
        from_composer(name, **arguments, **run.told)


@example(ratio=0.3)
@settings(deadline=None, max_examples=EXAMPLES)
@given(ratio=st.floats(0.1, 3.0))
def test_a_scaled_warmup_jumps_or_waits_as_theirs(ratio):
    """With `scale_warmup`, the slope is scaled but the end of the warm-up is not."""
    run = Run(100, "ba", 10, 4, 4, ratio)
    arguments = {"t_warmup": "20ba", "t_max": "1dur", "scale_warmup": True}
    name = "CosineAnnealingWithWarmupScheduler"
    plan = from_composer(name, **arguments, **run.told)
    n = span(run, 100)
    compare("Composer", VERSION, name, plan(np.arange(n)), theirs(name, arguments, run, n))
