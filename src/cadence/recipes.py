"""Well-known schedules as compositions of shapes.

A recipe returns an ordinary plan: print it to see what it is made of, and change that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cadence import _checks
from cadence.errors import ArgumentError, UnresolvedError
from cadence.horizon import Duration, Length, as_length
from cadence.levels import Level, absolute
from cadence.schedule import Schedule
from cadence.shapes import (
    Cosine,
    ExponentialDecay,
    Hold,
    InverseSqrt,
    Linear,
    OneMinusSqrt,
    Ramp,
    Warmup,
)

__all__ = [
    "OneCycle",
    "budgeted_linear",
    "exp_range",
    "flat_cosine",
    "noam",
    "one_cycle",
    "sgdr",
    "slanted_triangular",
    "triangular",
    "triangular2",
    "warmup_cosine",
    "warmup_linear",
    "wsd",
]

Steps = Length | str | None


def _ramp(where: str, shape: Any) -> type[Ramp]:
    """A ramp's class, given itself or by name."""
    ramps = {
        name: kind
        for name, kind in Schedule.known.items()
        if issubclass(kind, Ramp) and kind != Ramp
    }
    if isinstance(shape, str):
        folded = {name.casefold(): kind for name, kind in ramps.items()}
        if shape.casefold() in folded:
            return folded[shape.casefold()]
    elif isinstance(shape, type) and issubclass(shape, Ramp) and shape is not Ramp:
        return shape
    raise ArgumentError(
        f"{where}: 'shape' must be a ramp such as 'Cosine' (got {shape!r})"
        f"{_checks.suggest(shape, ramps)}"
    )


def warmup_cosine(
    warmup: Steps = "5%", *, end: Level = 0.0, warmup_shape: str = "linear"
) -> Schedule:
    """Warm up, then half a cosine over the rest of the run: `Warmup(warmup) >> Cosine(end=end)`.

    Args:
        warmup: Length of the warm-up.
        end: Level at the end of the run.
        warmup_shape: `"linear"` or `"cosine"`.

    >>> plan = warmup_cosine(10, end=0.1).resolve(110)
    >>> plan(0), plan(10), round(plan(60), 12), plan(110), plan(999)
    (0.1, 1.0, 0.55, 0.1, 0.1)

    Loshchilov and Hutter, SGDR (2016); Goyal et al. (2017) for the warm-up.
    """
    return Warmup(warmup, shape=warmup_shape) >> Cosine(end=end)


def warmup_linear(
    warmup: Steps = "5%", *, end: Level = 0.0, warmup_shape: str = "linear"
) -> Schedule:
    """Warm up, then a straight line over the rest of the run: `Warmup(warmup) >> Linear(end=end)`.

    Args:
        warmup: Length of the warm-up.
        end: Level at the end of the run.
        warmup_shape: `"linear"` or `"cosine"`.

    >>> plan = warmup_linear(10).resolve(110)
    >>> plan(0), plan(10), plan(60), plan(110), plan(999)
    (0.1, 1.0, 0.5, 0.0, 0.0)

    Devlin et al., BERT (2018).
    """
    return Warmup(warmup, shape=warmup_shape) >> Linear(end=end)


def wsd(
    warmup: Steps = "5%",
    cooldown: Steps = "20%",
    *,
    end: Level = 0.0,
    shape: type[Ramp] | str = OneMinusSqrt,
) -> Schedule:
    """Warm up, hold, cool down: `Warmup(warmup) >> Hold() >> shape(cooldown, end=end)`.

    The middle takes the rest of the run, so a run can be made longer, or branched, at will.

    Args:
        warmup: Length of the warm-up.
        cooldown: Length of the cooldown.
        end: Level at the end of the run.
        shape: Any ramp, as a class or by name.

    >>> plan = wsd(10, 40).resolve(200)
    >>> plan(0), plan(100), plan(170), plan(200), plan(999)
    (0.1, 1.0, 0.5, 0.0, 0.0)

    Hu et al., MiniCPM (2024); Hägele et al. (2024) for the 1 - sqrt cooldown.
    """
    return Warmup(warmup) >> Hold() >> _ramp("wsd", shape)(cooldown, end=end)


class OneCycle(NamedTuple):
    """The two plans of :func:`one_cycle`."""

    lr: Schedule
    momentum: Schedule


def one_cycle(
    warmup: Steps = "30%",
    *,
    div: float = 25.0,
    final_div: float = 1e4,
    momentum: tuple[float, float] = (0.95, 0.85),
    three_phase: bool = False,
    shape: type[Ramp] | str = Cosine,
) -> OneCycle:
    """Up and down once over the run, the momentum inversely; the group's rate is the peak.

    Two phases: from `1/div` up to 1 over `warmup`, then down to `1/(div * final_div)` over the
    rest. Three phases: up, down to `1/div` symmetrically, then on to `1/(div * final_div)`.
    The momentum goes from the first to the second value and back (absolute values).

    Args:
        warmup: Length of the way up.
        div: The peak divided by the first value.
        final_div: The first value divided by the last.
        momentum: Momentum at the ends and at the peak.
        three_phase: Whether to come down symmetrically before the final descent.
        shape: Any ramp, as a class or by name.

    Returns:
        The plans for `lr` and for `momentum` (or `beta1`).

    >>> cycle = one_cycle(30)
    >>> lr, momentum = cycle.lr.resolve(100), cycle.momentum.resolve(100)
    >>> lr(0), lr(30), lr(100), lr(999)
    (0.04, 1.0, 4e-06, 4e-06)
    >>> momentum(0), momentum(30), momentum(100)
    (0.95, 0.85, 0.95)

    Smith and Topin, Super-Convergence (2018).
    """
    div = _checks.number("one_cycle", "div", div, above=0)
    final_div = _checks.number("one_cycle", "final_div", final_div, above=0)
    ramp = _ramp("one_cycle", shape)
    if not isinstance(momentum, (tuple, list)) or len(momentum) != 2:
        raise ArgumentError(
            "one_cycle: 'momentum' must be two numbers, at the ends and at the peak "
            f"(got {momentum!r}); write (0.95, 0.85)"
        )
    high, low = (absolute(_checks.number("one_cycle", "momentum", value)) for value in momentum)
    # One after the other: the product of two tiny divisors would be 0.
    start = 1.0 / div
    last = start / final_div
    up = ramp(warmup, start=start, end=1.0)
    faster = ramp(warmup, start=high, end=low)
    if three_phase:
        return OneCycle(
            up >> ramp(warmup, end=start) >> ramp(end=last),
            faster >> ramp(warmup, end=high) >> Hold(),
        )
    return OneCycle(up >> ramp(end=last), faster >> ramp(end=high))


def sgdr(
    first: Steps = None,
    *,
    times: int | None = None,
    t_mult: float = 1.0,
    end: Level = 0.0,
    peak_mult: float = 1.0,
    warmup: Steps = None,
) -> Schedule:
    """Cosine annealing with warm restarts.

    Cycle i takes `first * t_mult**i` steps: a warm-up, if one is given, then half a cosine to
    `end`; its height above `end` is multiplied by `peak_mult**i`.

    Args:
        first: Steps of the first cycle (warm-up included); None divides the run into `times`.
        times: How many cycles; None goes on for ever.
        t_mult: How much longer each cycle is than the one before.
        end: Level at the end of each cycle.
        peak_mult: How much higher each cycle is than the one before.
        warmup: Length of each cycle's warm-up; a percentage is of the cycle.

    >>> plan = sgdr(10, t_mult=2)
    >>> plan(0), round(plan(5), 12), plan(10), round(plan(20), 12), plan(30)
    (1.0, 0.5, 1.0, 0.5, 1.0)

    Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2016).
    """
    length = None if first is None else as_length("sgdr", "first", first, low=1)
    if warmup is None:
        body: Schedule = Cosine(length, end=end)
    else:
        body = Warmup(warmup) >> Cosine(end=end)
        if isinstance(length, Duration):
            raise ArgumentError(
                f"sgdr: 'first' must be a number of steps where 'warmup' is given (got {length!r})"
            )
        try:
            body = body if length is None else body.resolve(length)
        except UnresolvedError:
            raise ArgumentError(
                f"sgdr: 'warmup' must be steps or a percentage of the cycle (got {warmup!r})"
            ) from None
    return body.repeat(times, length_mult=t_mult, peak_mult=peak_mult)


def triangular(up: Length | str, down: Length | str | None = None, *, low: Level = 0.1) -> Schedule:
    """Up from `low` to the group's rate and down again, for ever.

    Args:
        up: Steps of the way up.
        down: Steps of the way down; as many as `up` by default.
        low: Level at the bottom.

    >>> plan = triangular(10, low=0.5)
    >>> plan(0), plan(10), plan(15), plan(20), plan(30)
    (0.5, 1.0, 0.75, 0.5, 1.0)

    Smith, Cyclical Learning Rates for Training Neural Networks (2015).
    """
    return _triangle(up, down, low).repeat()


def triangular2(
    up: Length | str, down: Length | str | None = None, *, low: Level = 0.1
) -> Schedule:
    """Like :func:`triangular`, with half the height in each further cycle.

    >>> plan = triangular2(10, low=0.5)
    >>> plan(0), plan(10), plan(30), plan(50)
    (0.5, 1.0, 0.75, 0.625)

    Smith, Cyclical Learning Rates for Training Neural Networks (2015).
    """
    return _triangle(up, down, low).repeat(peak_mult=0.5)


def exp_range(
    up: Length | str, down: Length | str | None = None, *, low: float = 0.1, factor: float
) -> Schedule:
    """Like :func:`triangular`, with the height above `low` multiplied by `factor` at every step.

    `value(t) = low + (1 - low) * triangle(t) * factor**t`.

    >>> plan = exp_range(10, low=0.5, factor=0.5)
    >>> plan(0), plan(10), plan(20)
    (0.5, 0.50048828125, 0.5)

    Smith, Cyclical Learning Rates for Training Neural Networks (2015).
    """
    low = _checks.number("exp_range", "low", low)
    return _triangle(up, down, 0.0).repeat() * ExponentialDecay(factor) * (1.0 - low) + low


def _triangle(up: Length | str, down: Length | str | None, low: Level) -> Schedule:
    return Linear(up, start=low, end=1.0) >> Linear(up if down is None else down, end=low)


def noam(d_model: int, warmup: int = 4000, *, factor: float = 1.0) -> Schedule:
    """The Transformer's schedule, absolute: it does not depend on the group's rate.

    `value(t) = factor * d_model**-0.5 * min((t + 1)**-0.5, (t + 1) * warmup**-1.5)`: the paper
    counts its steps from 1.

    Args:
        d_model: Width of the model.
        warmup: Steps of the warm-up.
        factor: Multiple of the whole.

    >>> plan = noam(512, 4000)
    >>> round(plan(0) / plan(3999), 12), round(plan(3999), 12), round(plan(15999) / plan(3999), 12)
    (0.00025, 0.000698771243, 0.5)

    Vaswani et al., Attention Is All You Need (2017).
    """
    d_model = _checks.whole("noam", "d_model", d_model, low=1)
    warmup = _checks.whole("noam", "warmup", warmup, low=1)
    factor = _checks.number("noam", "factor", factor, above=0)
    peak = factor * (d_model * warmup) ** -0.5
    rise = Linear(warmup - 1, start=absolute(peak / warmup), end=absolute(peak))
    return rise >> InverseSqrt(warmup)


def slanted_triangular(cut: Steps = "10%", *, ratio: float = 32.0) -> Schedule:
    """A short way up and a long way down: from `1/ratio` to 1 over `cut`, then back.

    Args:
        cut: Length of the way up.
        ratio: The peak divided by the first and last value.

    >>> plan = slanted_triangular(ratio=4).resolve(100)
    >>> plan(0), plan(10), plan(55), plan(100), plan(999)
    (0.25, 1.0, 0.625, 0.25, 0.25)

    Howard and Ruder, Universal Language Model Fine-tuning for Text Classification (2018).
    """
    low = 1.0 / _checks.number("slanted_triangular", "ratio", ratio, above=0)
    return Linear(cut, start=low, end=1.0) >> Linear(end=low)


def flat_cosine(hold: Steps = "75%", *, end: Level = 0.0) -> Schedule:
    """Hold, then half a cosine over the rest of the run: `Hold(hold) >> Cosine(end=end)`.

    Args:
        hold: Length of the flat part.
        end: Level at the end of the run.

    >>> plan = flat_cosine().resolve(100)
    >>> plan(0), plan(75), round(plan(87.5), 12), plan(100)
    (1.0, 1.0, 0.5, 0.0)

    Howard and Gugger, fastai: A Layered API for Deep Learning (2020), `fit_flat_cos`.
    """
    return Hold(hold) >> Cosine(end=end)


def budgeted_linear(*, end: Level = 0.0) -> Schedule:
    """A straight line over the whole budget: `value(t) = 1 - t / total`.

    >>> plan = budgeted_linear().resolve(100)
    >>> plan(0), plan(50), plan(100), plan(999)
    (1.0, 0.5, 0.0, 0.0)

    Li, Yumer and Ramanan, Budgeted Training (2020).
    """
    return Linear(end=end)
