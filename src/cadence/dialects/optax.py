"""Schedules of optax, by the name of their constructor and its arguments."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

from cadence import _checks
from cadence.algebra import Sequence
from cadence.dialects import _common
from cadence.dialects._common import as_level, rate_or_own, stretched, timeline, times
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.levels import Level
from cadence.schedule import Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    Decay,
    ExponentialDecay,
    Hold,
    Linear,
    PiecewiseCosine,
    PiecewiseLinear,
    Polynomial,
    Ramp,
    StepDecay,
    Warmup,
)

__all__ = ["from_optax"]

WHERE = "from_optax"


def from_optax(name: str, /, *placed: Any, **arguments: Any) -> Schedule:
    """The plan of a schedule of optax, given what its constructor is given.

    The values are optax's own, so every level is absolute and the group's rate plays no part.
    The one that the schedule is about, `init_value` or `peak_value` (`value` of a constant), may
    be left out: it is the group's rate then, and what optax scales with it is a multiple.

    Args:
        name: The constructor, such as `"warmup_cosine_decay_schedule"`. For `"join_schedules"`,
            each of the `schedules` is a plan or a pair `(name, arguments)`.
        *placed: Arguments without a name, in optax's order.
        **arguments: Arguments under optax's names.

    Raises:
        ArgumentError: An argument is unknown, missing, or cannot be meant.

    >>> from_optax("warmup_cosine_decay_schedule", 0.0, 1e-3, 100, 1000, end_value=1e-5)
    Warmup(100, start=0, end=absolute(0.001)) >> Cosine(900, end=absolute(1e-05))
    >>> from_optax("cosine_decay_schedule", decay_steps=1000, alpha=0.1)
    Cosine(1000, end=0.1)
    >>> from_optax(
    ...     "join_schedules",
    ...     [
    ...         ("constant_schedule", {}),
    ...         ("exponential_decay", {"transition_steps": 50, "decay_rate": 0.5}),
    ...     ],
    ...     [200],
    ... )
    Constant(1, 200) >> ExponentialDecay(0.5, start=1, per=50)

    DeepMind, optax 0.2.8, `optax/schedules`.
    """
    if name == "reduce_on_plateau":
        raise ArgumentError(
            f"{WHERE}: {name!r} answers a metric, so it is no plan but a controller; write "
            "Scheduler(optimizer, lr=plan, feedback=Plateau(factor=0.1, patience=10))"
        )
    where = f"{WHERE}({name!r})"
    known = _checks.choice(WHERE, "name", name, _CONSTRUCTORS)
    constructor = partial(_CONSTRUCTORS[known], where)
    return _common.call(where, constructor, _common.named(where, constructor, placed, arguments))


def _exponent(where: str, name: str, value: Any) -> float:
    """An exponent of what is left, which below 0 would make it infinite in the end."""
    return _checks.number(where, name, value, low=0)


def _begin(where: str, value: Any) -> int:
    """Where a transition begins; optax takes what is below 0 for 0."""
    return max(0, _common.steps(where, "transition_begin", value, low=-_checks.MOST))


def constant_schedule(where: str, *, value: Any = None) -> Schedule:
    """One value throughout."""
    return Constant(rate_or_own(where, "value", value))


def polynomial_schedule(
    where: str,
    *,
    init_value: Any = None,
    end_value: Any,
    power: Any,
    transition_steps: Any,
    transition_begin: Any = 0,
) -> Schedule:
    """From one value to another, as a power of what is left; no steps are no transition."""
    start, end = (
        rate_or_own(where, "init_value", init_value),
        as_level(where, "end_value", end_value, None),
    )
    power = _exponent(where, "power", power)
    length = _checks.number(where, "transition_steps", transition_steps, high=_checks.MOST)
    begin = _begin(where, transition_begin)
    if length <= 0 or power == 0:
        return Constant(start)
    ramp = Linear() if power == 1 else Polynomial(power=power)
    if begin == 0:
        return stretched(ramp, 0, length, start, end, continues=start == 1.0)
    return Constant(start, begin) >> stretched(ramp, 0, length, start, end, continues=True)


def linear_schedule(
    where: str,
    *,
    init_value: Any = None,
    end_value: Any,
    transition_steps: Any,
    transition_begin: Any = 0,
) -> Schedule:
    """From one value to another in a straight line."""
    return polynomial_schedule(
        where,
        init_value=init_value,
        end_value=end_value,
        power=1,
        transition_steps=transition_steps,
        transition_begin=transition_begin,
    )


def exponential_decay(
    where: str,
    *,
    init_value: Any = None,
    transition_steps: Any,
    decay_rate: Any,
    transition_begin: Any = 0,
    staircase: Any = False,
    end_value: Any = None,
) -> Schedule:
    """Multiplied by a rate per `transition_steps`, smoothly or in stairs, up to a bound."""
    return _exponential(
        where,
        rate_or_own(where, "init_value", init_value),
        transition_steps,
        decay_rate,
        transition_begin,
        staircase,
        end_value,
    )


def _exponential(
    where: str, start: Level, every: Any, factor: Any, begin: Any, staircase: Any, bound: Any
) -> Schedule:
    stairs = _common.flag(where, "staircase", staircase)
    factor = _checks.number(where, "decay_rate", factor, low=0)
    begin = _begin(where, begin)
    bound = None if bound is None else as_level(where, "end_value", bound, None)
    every = _checks.number(where, "transition_steps", every, high=_checks.MOST)
    if every <= 0 or factor == 0:
        return Constant(start)
    first = None if begin or start == 1.0 else start
    if stairs:
        every = _common.steps(where, "transition_steps", every)
        plan: Schedule = StepDecay(every, factor, start=first)
    else:
        plan = ExponentialDecay(factor, per=every, start=first)
    if begin:
        plan = Constant(start, begin) >> plan
    if bound is None:
        return plan
    return plan.clip(low=bound) if factor < 1 else plan.clip(high=bound)


def cosine_decay_schedule(
    where: str,
    *,
    init_value: Any = None,
    decay_steps: Any,
    alpha: Any = 0.0,
    exponent: Any = 1.0,
) -> Schedule:
    """Half a cosine, raised to an exponent, down to a part of where it began."""
    start = rate_or_own(where, "init_value", init_value)
    end = times(start, _checks.number(where, "alpha", alpha))
    length = _checks.number(where, "decay_steps", decay_steps, above=0, high=_checks.MOST)
    return _cosine(where, length, start, end, exponent, continues=start == 1.0)


def _cosine(
    where: str, length: float, start: Level, end: Level, exponent: Any, *, continues: bool
) -> Schedule:
    exponent = _exponent(where, "exponent", exponent)
    if exponent == 0:
        return Constant(start)
    return stretched(Cosine(power=exponent), 0, length, start, end, continues=continues)


def _jumps(where: str, value: Any) -> list[tuple[float, float]]:
    """Boundaries and the factors that apply from there on, in order."""
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(
            f"{where}: 'boundaries_and_scales' must be a dict of steps and factors (got "
            f"{_checks.given(value)}); write {{100: 0.1}}"
        )
    name = "boundaries_and_scales"
    return sorted(
        (
            _checks.number(where, name, step, high=_checks.MOST),
            _checks.number(where, name, scale, low=0),
        )
        for step, scale in value.items()
    )


def piecewise_constant_schedule(
    where: str, *, init_value: Any = None, boundaries_and_scales: Any = None
) -> Schedule:
    """Multiplied at each boundary by a factor of its own."""
    level = rate_or_own(where, "init_value", init_value)
    phases, begin = [], 0
    for boundary, scale in _jumps(where, boundaries_and_scales):
        step = math.ceil(boundary)
        if step > begin:
            phases.append(Constant(level, step - begin))
            begin = step
        level = times(level, scale)
    return timeline(*phases, Constant(level))


def piecewise_interpolate_schedule(
    where: str, *, interpolate_type: Any, init_value: Any = None, boundaries_and_scales: Any = None
) -> Schedule:
    """Lines or half cosines through the values that the factors make at the boundaries."""
    kind = _checks.choice(where, "interpolate_type", interpolate_type, _WAYS)
    start = rate_or_own(where, "init_value", init_value)
    return _through(where, kind, start, _jumps(where, boundaries_and_scales))


_WAYS = {"linear": PiecewiseLinear, "cosine": PiecewiseCosine}


def _through(where: str, kind: str, level: Level, jumps: Iterable[tuple[float, float]]) -> Schedule:
    points: list[tuple[int, Level]] = [(0, level)]
    for boundary, scale in jumps:
        step = _common.steps(where, "boundaries_and_scales", boundary, low=-_checks.MOST)
        level = times(level, scale)
        # Of what lies before the first step, only the line that leads out of it matters.
        points = [*(points if step > 0 or points[0][0] < 0 else []), (step, level)]
    return _WAYS[kind](tuple(points)) if len(points) > 1 else Constant(level)


def linear_onecycle_schedule(
    where: str,
    *,
    transition_steps: Any,
    peak_value: Any = None,
    pct_start: Any = 0.3,
    pct_final: Any = 0.85,
    div_factor: Any = 25.0,
    final_div_factor: Any = 1e4,
) -> Schedule:
    """Up to the peak, down to where it began, and on down."""
    n = _common.steps(where, "transition_steps", transition_steps, low=1)
    up = _checks.number(where, "pct_start", pct_start)
    down = _checks.number(where, "pct_final", pct_final)
    div = _checks.number(where, "div_factor", div_factor, above=0)
    final_div = _checks.number(where, "final_div_factor", final_div_factor, above=0)
    # Of boundaries that fall on one step, the last one counts, in optax as here.
    scales = {int(up * n): div, int(down * n): 1.0 / div, n: 1.0 / final_div}
    start = times(rate_or_own(where, "peak_value", peak_value), 1.0 / div)
    return _through(where, "linear", start, sorted(scales.items()))


def cosine_onecycle_schedule(
    where: str,
    *,
    transition_steps: Any,
    peak_value: Any = None,
    pct_start: Any = 0.3,
    div_factor: Any = 25.0,
    final_div_factor: Any = 1e4,
) -> Schedule:
    """Up to the peak and down, along half cosines."""
    n = _common.steps(where, "transition_steps", transition_steps, low=1)
    up = _checks.number(where, "pct_start", pct_start)
    div = _checks.number(where, "div_factor", div_factor, above=0)
    final_div = _checks.number(where, "final_div_factor", final_div_factor, above=0)
    scales = {int(up * n): div, n: 1.0 / (div * final_div)}
    start = times(rate_or_own(where, "peak_value", peak_value), 1.0 / div)
    return _through(where, "cosine", start, sorted(scales.items()))


def warmup_constant_schedule(
    where: str, *, init_value: Any, peak_value: Any = None, warmup_steps: Any
) -> Schedule:
    """Up to the peak, which is held; without a warm-up, the first value is."""
    start, peak = (
        as_level(where, "init_value", init_value, None),
        rate_or_own(where, "peak_value", peak_value),
    )
    length = _checks.number(where, "warmup_steps", warmup_steps, high=_checks.MOST)
    if length <= 0:
        return Constant(start)
    return stretched(Warmup(), 0, length, start, peak) >> Hold()


def _warmed(
    where: str, init_value: Any, peak_value: Any, warmup_steps: Any
) -> tuple[tuple[Schedule, ...], Level]:
    """The warm-up, if there is any, and the peak that it reaches."""
    start, peak = (
        as_level(where, "init_value", init_value, None),
        rate_or_own(where, "peak_value", peak_value),
    )
    length = _common.steps(where, "warmup_steps", warmup_steps)
    return ((Warmup(length, start=start, end=peak),) if length else ()), peak


def warmup_cosine_decay_schedule(
    where: str,
    *,
    init_value: Any,
    peak_value: Any = None,
    warmup_steps: Any,
    decay_steps: Any,
    end_value: Any = 0.0,
    exponent: Any = 1.0,
) -> Schedule:
    """Up to the peak, then half a cosine; `decay_steps` are the steps of both."""
    rise, peak = _warmed(where, init_value, peak_value, warmup_steps)
    end = as_level(where, "end_value", end_value, None)
    whole = _checks.number(where, "decay_steps", decay_steps, high=_checks.MOST)
    left = whole - sum(phase.steps for phase in rise)
    if left <= 0:
        raise ArgumentError(
            f"{where}: 'decay_steps' must be > 'warmup_steps', which it includes (got "
            f"{decay_steps!r} and {warmup_steps!r})"
        )
    if peak == 0.0:
        end = 0.0  # in optax the end is a multiple of the peak
    continues = bool(rise) or peak == 1.0
    return timeline(*rise, _cosine(where, left, peak, end, exponent, continues=continues))


def warmup_exponential_decay_schedule(
    where: str,
    *,
    init_value: Any,
    peak_value: Any = None,
    warmup_steps: Any,
    transition_steps: Any,
    decay_rate: Any,
    transition_begin: Any = 0,
    staircase: Any = False,
    end_value: Any = None,
) -> Schedule:
    """Up to the peak, then an exponential decay."""
    rise, peak = _warmed(where, init_value, peak_value, warmup_steps)
    fall = _exponential(
        where, peak, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    return timeline(*rise, fall)


def sgdr_schedule(where: str, *, cosine_kwargs: Any) -> Schedule:
    """Warm-ups and half cosines one after the other, each with arguments of its own."""
    found = list(cosine_kwargs) if isinstance(cosine_kwargs, Iterable) else []
    if not found or not all(isinstance(each, Mapping) for each in found):
        raise ArgumentTypeError(
            f"{where}: 'cosine_kwargs' must be the arguments of at least one "
            f"warmup_cosine_decay_schedule (got {_checks.given(cosine_kwargs)})"
        )
    cycles = []
    for i, each in enumerate(found):
        inner = f"{where}: cosine_kwargs[{i}]"
        cycle = _common.call(inner, partial(warmup_cosine_decay_schedule, inner), each)
        length = _common.steps(inner, "decay_steps", each["decay_steps"])
        cycles.append(_anew(_lasting(cycle, length)))
    return timeline(*cycles)


def join_schedules(where: str, *, schedules: Any, boundaries: Any) -> Schedule:
    """One schedule up to each boundary, each on a clock that begins there."""
    try:
        parts, edges = list(schedules), list(boundaries)
    except TypeError:
        raise ArgumentTypeError(
            f"{where}: 'schedules' and 'boundaries' must be lists (got "
            f"{_checks.given(schedules)} and {_checks.given(boundaries)})"
        ) from None
    if len(parts) != len(edges) + 1:
        raise ArgumentError(
            f"{where}: 'boundaries' must be one fewer than 'schedules' (got {len(edges)} and "
            f"{len(parts)})"
        )
    steps = [_common.steps(where, "boundaries", edge) for edge in edges]
    if steps != sorted(steps):
        raise ArgumentError(
            f"{where}: 'boundaries' must be in rising order (got {_checks.given(edges)})"
        )
    plans = [_part(f"{where}: schedules[{i}]", part) for i, part in enumerate(parts)]
    lengths = [b - a for a, b in pairwise([0, *steps])]
    pairs = zip(plans, lengths, strict=False)
    # What a schedule comes to before its first step matters to nobody.
    phases = [_lasting(plan, length) for plan, length in pairs if length]
    return timeline(*phases, plans[-1])


def _part(where: str, part: Any) -> Schedule:
    """A schedule to be joined: a plan, or the name and the arguments of one."""
    match part:
        case Schedule():
            why = part._lacking()
            if why is not None:
                raise ArgumentError(f"{where} must be resolved (got {part!r}): {why}")
            return _anew(part)
        case (str() as name, Mapping() as arguments):
            return _anew(from_optax(name, **arguments))
    raise ArgumentTypeError(
        f"{where} must be a plan or a name with its arguments (got {_checks.given(part)}); write "
        "('linear_schedule', {'end_value': 0.0, 'transition_steps': 100})"
    )


def _anew(plan: Schedule) -> Schedule:
    """The plan with its own beginning, wherever a phase before it ends."""
    if isinstance(plan, Sequence):
        return timeline(_anew(plan.parts[0]), *plan.parts[1:])
    if isinstance(plan, Hold):
        return Constant(1.0, plan.steps)
    if isinstance(plan, (Ramp, Decay)) and plan.start is None:
        return plan.part(0) if isinstance(plan, Warmup) else dataclasses.replace(plan, start=1.0)
    return plan


def _lasting(plan: Schedule, steps: int) -> Schedule:
    """The plan for some steps: cut off, or with its end held."""
    own = plan.steps
    if own == steps:
        return plan
    if isinstance(plan, Sequence):
        *others, last = plan.parts
        before = sum(part.steps for part in others)
        if before < steps and own is None:
            return timeline(*others, _lasting(last, steps - before))
    if own is None and isinstance(plan, (Constant, Hold, Decay)):
        return dataclasses.replace(plan, steps=steps)
    if own is not None and own < steps:
        return timeline(plan, Hold(steps - own))
    return plan.part(0, steps)


_CONSTRUCTORS: dict[str, Callable[..., Schedule]] = {
    constructor.__name__: constructor
    for constructor in (
        constant_schedule,
        cosine_decay_schedule,
        cosine_onecycle_schedule,
        exponential_decay,
        join_schedules,
        linear_onecycle_schedule,
        linear_schedule,
        piecewise_constant_schedule,
        piecewise_interpolate_schedule,
        polynomial_schedule,
        sgdr_schedule,
        warmup_constant_schedule,
        warmup_cosine_decay_schedule,
        warmup_exponential_decay_schedule,
    )
}
