"""Schedules of Keras, from their configs, from objects that have one, or from a call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cadence import _checks
from cadence.dialects import _common
from cadence.dialects._common import as_level, flag, rate_or_own, stretched, timeline, times
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.levels import Absolute, Level, absolute
from cadence.schedule import Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    ExponentialDecay,
    InverseTime,
    Linear,
    Polynomial,
    PowerLaw,
    StepDecay,
    Warmup,
)

__all__ = ["from_keras"]

WHERE = "from_keras"


def from_keras(config: Any, /, *placed: Any, **arguments: Any) -> Schedule:
    """The plan of a schedule of Keras, given its config or what its constructor is given.

    The values are Keras's own, so every level is absolute and the group's rate plays no part.
    `initial_learning_rate` may be left out of a call or a config, where it is the peak: it is
    the group's rate then, and what Keras scales with it is a multiple. Keras computes in float32,
    the plan in float64; they agree to 1e-6 of the largest value.

    Args:
        config: A schedule, or any object with `get_config()`; a dict with `class_name` and
            `config`, as Keras serialises it; what `get_config()` returns, if its `name` is the
            one that Keras gives; or the name of a class, such as `"CosineDecay"`.
        *placed: After a class's name, arguments without a name, in Keras's order, or the config.
        **arguments: After a class's name, arguments under Keras's names.

    Raises:
        ArgumentError: An argument is unknown, missing, or cannot be meant.

    >>> from_keras(
    ...     {
    ...         "class_name": "CosineDecay",
    ...         "config": {
    ...             "initial_learning_rate": 0.0,
    ...             "decay_steps": 900,
    ...             "alpha": 0.01,
    ...             "warmup_target": 1e-3,
    ...             "warmup_steps": 100,
    ...         },
    ...     }
    ... )
    Warmup(100, start=0, end=absolute(0.001)) >> Cosine(900, end=absolute(1e-05))
    >>> from_keras("ExponentialDecay", 0.01, decay_steps=100_000, decay_rate=0.96, staircase=True)
    StepDecay(100000, 0.96, start=absolute(0.01))
    >>> from_keras("InverseTimeDecay", decay_steps=1.0, decay_rate=0.5)
    InverseTime(2)

    Keras 3.15, `keras/src/optimizers/schedules/learning_rate_schedule.py`.
    """
    name, placed, arguments = _named(config, placed, arguments)
    where = f"{WHERE}({name!r})"
    constructor = partial(_CLASSES[_checks.choice(WHERE, "class_name", name, _CLASSES)], where)
    given = _common.named(where, constructor, placed, arguments)
    return _common.call(where, constructor, given)


def _named(
    config: Any, placed: tuple[Any, ...], arguments: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The name of the class, and what it is given, by place and by name."""
    if isinstance(config, str):
        if len(placed) == 1 and isinstance(placed[0], Mapping):
            return config, (), {**placed[0], **arguments}
        return config, placed, arguments
    if placed or arguments:
        raise ArgumentTypeError(
            f"{WHERE}: arguments may be given after a class's name only (got them after "
            f"{_checks.given(config)})"
        )
    if not isinstance(config, Mapping):
        if not callable(getattr(config, "get_config", None)):
            raise ArgumentTypeError(
                f"{WHERE}: 'config' must be a schedule of Keras, its config or the name of its "
                f"class (got {_checks.given(config)})"
            )
        return type(config).__name__, (), dict(config.get_config())
    if "class_name" in config:
        inner = config.get("config")
        if not isinstance(inner, Mapping):
            raise ArgumentTypeError(
                f"{WHERE}: 'config' must be a dict of arguments (got {_checks.given(inner)})"
            )
        return config["class_name"], (), dict(inner)
    name = config.get("name")
    if name not in _NAMES:
        raise ArgumentError(
            f"{WHERE}: a config alone must have the 'name' that Keras gives (got "
            f"{_checks.given(name)}); write from_keras('CosineDecay', config)"
        )
    return _NAMES[name], (), dict(config)


def _exponential(
    where: str,
    *,
    initial_learning_rate: Any = None,
    decay_steps: Any,
    decay_rate: Any,
    staircase: Any = False,
    name: Any = None,
) -> Schedule:
    del name
    level = rate_or_own(where, "initial_learning_rate", initial_learning_rate)
    every = _length(where, "decay_steps", decay_steps)
    factor = _checks.number(where, "decay_rate", decay_rate, low=0)
    if flag(where, "staircase", staircase):
        return StepDecay(every, factor, start=_start(level))
    return ExponentialDecay(factor, per=every, start=_start(level))


def _length(where: str, name: str, value: Any) -> float:
    """Steps, which need not be whole."""
    return _checks.number(where, name, value, above=0, high=_checks.MOST)


def _start(level: Level) -> Level | None:
    """A level that need not be said, where a plan begins at it in any case."""
    return None if level == 1.0 else level


def _piecewise(where: str, *, boundaries: Any, values: Any, name: Any = None) -> Schedule:
    del name
    try:
        edges = [_checks.number(where, "boundaries", edge) for edge in boundaries]
        levels = [as_level(where, "values", value, None) for value in values]
    except TypeError as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentTypeError(
            f"{where}: 'boundaries' and 'values' must be lists (got {_checks.given(boundaries)} "
            f"and {_checks.given(values)})"
        ) from None
    if not edges or len(levels) != len(edges) + 1:
        raise ArgumentError(
            f"{where}: 'boundaries' must be at least one, and one fewer than 'values' (got "
            f"{len(edges)} and {len(levels)})"
        )
    if edges != sorted(edges):
        raise ArgumentError(
            f"{where}: 'boundaries' must be in rising order (got {_checks.given(boundaries)})"
        )
    phases, begin = [], 0
    for edge, level in zip(edges, levels, strict=False):
        # The value holds up to the boundary and on it, of which Keras drops the fraction.
        first = max(0, int(edge) + 1)
        if first > begin:
            phases.append(Constant(level, first - begin))
            begin = first
    return timeline(*phases, Constant(levels[-1]))


def _polynomial(
    where: str,
    *,
    initial_learning_rate: Any = None,
    decay_steps: Any,
    end_learning_rate: Any = 0.0001,
    power: Any = 1.0,
    cycle: Any = False,
    name: Any = None,
) -> Schedule:
    del name
    start = rate_or_own(where, "initial_learning_rate", initial_learning_rate)
    length = _length(where, "decay_steps", decay_steps)
    end = as_level(where, "end_learning_rate", end_learning_rate, None)
    power = _checks.number(where, "power", power, low=0)
    if power == 0:
        return Constant(start)
    if flag(where, "cycle", cycle):
        return _cycling(_common.steps(where, "decay_steps", length), start, end, power)
    ramp = Linear() if power == 1 else Polynomial(power=power)
    return stretched(ramp, 0, length, start, end, continues=start == 1.0)


def _cycling(length: int, start: Level, end: Level, power: float) -> Schedule:
    """A decay that starts again whenever it is over, aiming `length` steps farther each time.

    `(1 - t / (length * i))**power` in its i-th cycle is that of a single cycle, over `i**power`.
    A cycle ends on the step at which another one would begin, so all but the first lack one.
    """
    cycle = (Linear(length) if power == 1 else Polynomial(length, power=power)).part(1, length + 1)
    shares = PowerLaw(length, exponent=power).stairs(length)
    share = Constant(1.0, 1) >> cycle.repeat() * shares
    high, low = (level.value if isinstance(level, Absolute) else level for level in (start, end))
    if start != 1.0:
        share = share * absolute(high - low)
    elif low:
        share = share + share * absolute(-low)
    return share + end if low else share


def _inverse_time(
    where: str,
    *,
    initial_learning_rate: Any = None,
    decay_steps: Any,
    decay_rate: Any,
    staircase: Any = False,
    name: Any = None,
) -> Schedule:
    del name
    level = rate_or_own(where, "initial_learning_rate", initial_learning_rate)
    length = _length(where, "decay_steps", decay_steps)
    factor = _checks.number(where, "decay_rate", decay_rate, low=0)
    if factor == 0:
        return Constant(level)
    plan = InverseTime(length / factor, start=_start(level))
    if not flag(where, "staircase", staircase):
        return plan
    return plan.stairs(_common.steps(where, "decay_steps", length))


def _cosine(
    where: str,
    *,
    initial_learning_rate: Any = None,
    decay_steps: Any,
    alpha: Any = 0.0,
    name: Any = None,
    warmup_target: Any = None,
    warmup_steps: Any = 0,
) -> Schedule:
    del name
    peak = rate_or_own(where, "initial_learning_rate", initial_learning_rate)
    length = _length(where, "decay_steps", decay_steps)
    low = _checks.number(where, "alpha", alpha)
    if warmup_target is None:
        return stretched(Cosine(), 0, length, peak, times(peak, low), continues=peak == 1.0)
    if initial_learning_rate is None:
        raise ArgumentTypeError(
            f"{where}: 'initial_learning_rate' must be given where 'warmup_target' is: it is where "
            "the warm-up begins"
        )
    first, peak = peak, as_level(where, "warmup_target", warmup_target, None)
    warmup = _checks.number(where, "warmup_steps", warmup_steps, low=0, high=_checks.MOST)
    a = warmup - math.ceil(warmup)
    fall = stretched(Cosine(), a, a + length, peak, times(peak, low), continues=warmup > 0)
    return stretched(Warmup(), 0, warmup, first, peak) >> fall if warmup else fall


def _restarts(
    where: str,
    *,
    initial_learning_rate: Any = None,
    first_decay_steps: Any,
    t_mul: Any = 2.0,
    m_mul: Any = 1.0,
    alpha: Any = 0.0,
    name: Any = None,
) -> Schedule:
    del name
    start = rate_or_own(where, "initial_learning_rate", initial_learning_rate)
    first = _common.steps(where, "first_decay_steps", first_decay_steps, low=1)
    longer = _checks.number(where, "t_mul", t_mul)
    if longer != 1.0 and longer < 1.01:
        raise ArgumentError(
            f"{where}: 't_mul' must be 1 or at least 1.01 (got {t_mul!r}): with ever shorter "
            "cycles, Keras gives NaN in the end"
        )
    higher = _checks.number(where, "m_mul", m_mul, low=0)
    end = times(start, _checks.number(where, "alpha", alpha))
    return Cosine(first, start=_start(start), end=end).repeat(length_mult=longer, peak_mult=higher)


_CLASSES: dict[str, Callable[..., Schedule]] = {
    "CosineDecay": _cosine,
    "CosineDecayRestarts": _restarts,
    "ExponentialDecay": _exponential,
    "InverseTimeDecay": _inverse_time,
    "PiecewiseConstantDecay": _piecewise,
    "PolynomialDecay": _polynomial,
}

_NAMES = {name: name for name in _CLASSES if name != "PiecewiseConstantDecay"} | {
    "PiecewiseConstant": "PiecewiseConstantDecay",
    "SGDRDecay": "CosineDecayRestarts",
}
"""The classes by the name that an instance has, if nobody gives it another."""
