"""Composer: its stateless schedulers as plans.

Composer counts batches, each an update, and converts every time to whole batches, samples or
tokens by truncation; `"dur"` is a part of the run. Where the run is not told, its times become
Cadence's durations. Formulas: `composer/optim/scheduler.py` of Composer 0.32.1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from cadence import _checks
from cadence.dialects._clock import ramp, sequence
from cadence.dialects._common import call
from cadence.dialects._composer import EXAMPLES, WHOLE, Time, Trainer, time
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.schedule import Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    ExponentialDecay,
    Linear,
    MultiStepDecay,
    Polynomial,
    Ramp,
    StepDecay,
)

__all__ = ["from_composer"]

WHERE = "from_composer"


def from_composer(
    name: str,
    *,
    max_duration: str | None = None,
    batches_per_epoch: int | None = None,
    samples_per_batch: int | None = None,
    tokens_per_batch: int | None = None,
    ssr: float = 1.0,
    **arguments: Any,
) -> Schedule:
    """The plan of a Composer scheduler, in updates; its values multiply the groups' own rates.

    Told how long the run is, the plan is exactly Composer's, which truncates times to whole
    batches. Otherwise `"dur"`, `"ep"`, `"sp"` and `"tok"` become percentages, epochs, samples and
    tokens of the plan, which are rounded when it is resolved.

    Args:
        name: The class, such as `"CosineAnnealingWithWarmupScheduler"`.
        max_duration: The Trainer's, such as `"10ep"`.
        batches_per_epoch: The length of the train data loader.
        samples_per_batch: Samples of a batch over all devices, for times in `"sp"`.
        tokens_per_batch: Tokens of a batch over all devices, for times in `"tok"`.
        ssr: The Trainer's `scale_schedule_ratio`; it scales `max_duration`, too.
        **arguments: The scheduler's own: `t_warmup=`, `t_max=`, `alpha_f=`, ...

    Raises:
        ArgumentError: A time cannot be converted, or is in seconds; or Composer forbids it.

    >>> from_composer("CosineAnnealingWithWarmupScheduler", t_warmup="100ba", alpha_f=0.1)
    Linear(100, start=0, end=1) >> Cosine(end=0.1)
    >>> from_composer(
    ...     "LinearWithWarmupScheduler",
    ...     t_warmup="0.05dur",
    ...     max_duration="3ep",
    ...     batches_per_epoch=101,
    ... )
    Linear(15, start=0, end=1) >> Linear(288)

    The MosaicML team, Composer (2021).
    """
    where = f"{WHERE}: {name}"
    ratio = _checks.number(WHERE, "ssr", ssr, above=0)
    each = {"batches_per_epoch": batches_per_epoch}
    each |= {"samples_per_batch": samples_per_batch, "tokens_per_batch": tokens_per_batch}
    for argument, value in each.items():
        if value is not None:
            _checks.whole(WHERE, argument, value, low=1)
    run = None
    if max_duration is not None:
        run = time(WHERE, "max_duration", max_duration)
        if run.unit not in ("ep", "ba", "sp", "tok"):
            raise ArgumentError(
                f"{WHERE}: 'max_duration' must be in epochs, batches, samples or tokens (got "
                f"{max_duration!r})"
            )
        run = Time(int(run.amount * ratio), run.unit)
        if not run.amount:
            raise ArgumentError(f"{WHERE}: 'max_duration' must be more than 0 (got {run} scaled)")
    trainer = Trainer(where, run, each, ratio)
    make = SCHEDULERS.get(name)
    if make is None:
        hint = _checks.suggest(name, SCHEDULERS)
        raise ArgumentError(f"{WHERE}: 'name' must be a scheduler of Composer (got {name!r}){hint}")
    return call(where, partial(make, trainer), arguments)


# One function for each class, with its arguments.


def _step(trainer: Trainer, *, step_size: str, gamma: float = 0.1) -> Schedule:
    every = trainer.length("step_size", step_size, positive=True, whole=True).steps
    return StepDecay(every, trainer.number("gamma", gamma, low=0))


def _drops(trainer: Trainer, milestones: Sequence[str]) -> list[Any]:
    if isinstance(milestones, str) or not isinstance(milestones, Sequence):
        raise ArgumentTypeError(
            f"{trainer.where}: 'milestones' must be a list of times such as {EXAMPLES} (got "
            f"{_checks.given(milestones)})"
        )
    found = [trainer.length("milestones", one) for one in milestones]
    known = sorted(math.ceil(one.steps) for one in found if one.known)
    others = [one.steps for one in found if not one.known]
    if others and (known or len({one.unit for one in others}) > 1):
        unit = next(one.unit for one in found if not one.known)
        raise trainer.lacking("milestones", "milestones in several units", unit)
    return known or sorted(others, key=lambda one: one.amount)


def _multi_step(trainer: Trainer, *, milestones: Sequence[str], gamma: float = 0.1) -> Schedule:
    factor = trainer.number("gamma", gamma, low=0)
    return MultiStepDecay(tuple(_drops(trainer, milestones)), factor)


def _constant(trainer: Trainer, *, alpha: float = 1.0, t_max: str = "1dur") -> Schedule:
    """The multiple until `t_max`, then 1."""
    last = trainer.length("t_max", t_max)
    level = trainer.number("alpha", alpha)
    if level == 1.0:
        return Constant(1.0)
    return Constant(level, math.ceil(last.steps) if last.known else last.steps) >> Constant(1.0, 0)


def _alone(trainer: Trainer, t_max: str, shape: Ramp, start: float = 1.0) -> Schedule:
    """A ramp from the first update on."""
    last = trainer.length("t_max", t_max, positive=True)
    if not last.known:
        steps = None if last.steps == WHOLE else last.steps
        return sequence([dataclasses.replace(shape, steps=steps, start=start)])
    return sequence([ramp(shape, 0, last.steps, start, shape.end)])


def _linear(
    trainer: Trainer, *, alpha_i: float = 1.0, alpha_f: float = 0.0, t_max: str = "1dur"
) -> Schedule:
    start, end = trainer.number("alpha_i", alpha_i), trainer.number("alpha_f", alpha_f)
    return _alone(trainer, t_max, Linear(end=end), start)


def _exponential(trainer: Trainer, *, gamma: float, decay_period: str = "1ep") -> Schedule:
    factor = trainer.number("gamma", gamma, low=0)
    return ExponentialDecay(
        factor, per=trainer.length("decay_period", decay_period, positive=True).steps
    )


def _cosine(trainer: Trainer, *, t_max: str = "1dur", alpha_f: float = 0.0) -> Schedule:
    return _alone(trainer, t_max, Cosine(end=trainer.number("alpha_f", alpha_f)))


def _polynomial(
    trainer: Trainer, *, power: float, t_max: str = "1dur", alpha_f: float = 0.0
) -> Schedule:
    return _alone(trainer, t_max, _power(trainer, power, alpha_f))


def _power(trainer: Trainer, power: float, alpha_f: float) -> Ramp:
    exponent = trainer.number("power", power, above=0)
    return Polynomial(power=exponent, end=trainer.number("alpha_f", alpha_f))


def _restarts(trainer: Trainer, *, t_0: str, t_mult: float = 1.0, alpha_f: float = 0.0) -> Schedule:
    """Cycles, each longer than the one before by a factor, and truncated."""
    first = trainer.length("t_0", t_0, positive=True, whole=True)
    growth = trainer.number("t_mult", t_mult, above=0)
    end = trainer.number("alpha_f", alpha_f)
    if first.unit == "%":
        raise trainer.lacking("t_0", "cycles that are a part of the run", "dur")
    if growth.is_integer():
        return Cosine(first.steps, end=end).repeat(length_mult=growth)
    if not first.known or first.unit != "ba":
        raise ArgumentError(
            f"{trainer.where}: 't_mult' must be whole for cycles that are not in batches (got "
            f"{t_mult!r}), since Composer truncates each of them; give t_0 in batches"
        )
    run = trainer.run and trainer.of_run(1.0)
    need = run.steps if run and run.known else math.inf
    cycles, steps = [], first.steps
    while steps and int(growth * steps) != steps and sum(cycles) < 2 * need:
        if growth > 1 and need == math.inf:
            raise trainer.lacking("t_mult", "cycles that grow and are truncated", "dur")
        cycles.append(steps)
        steps = int(growth * steps)
    if not steps and sum(cycles) < need < math.inf:
        raise ArgumentError(
            f"{trainer.where}: 't_mult' lets the cycles come to an end after {sum(cycles)} of "
            f"{need} batches, where Composer raises; give a larger one"
        )
    phases: list[Schedule] = [Cosine(n, start=1.0, end=end) for n in cycles]
    if steps and int(growth * steps) == steps:
        phases.append(Cosine(steps, start=1.0, end=end).repeat())
    return sequence(phases)


def _warmed(
    trainer: Trainer,
    t_warmup: str,
    t_max: str,
    shape: Ramp,
    peak: float = 1.0,
    *,
    scale_warmup: bool,
) -> Schedule:
    """A warm-up from 0, then a ramp that ends at `t_max`."""
    phases, first, reaches = trainer.up(t_warmup, peak, scale_warmup=scale_warmup)
    last = trainer.length("t_max", t_max)
    trainer.check_reach("t_max", last)
    way = trainer.between(first, last, peak, shape)
    if shape.end == peak:  # a constant
        way = []
    if not way and not (phases and reaches):
        way = [Constant(peak)]
    return sequence([*phases, *way])


def _multi_step_with_warmup(
    trainer: Trainer,
    *,
    t_warmup: str,
    milestones: Sequence[str],
    gamma: float = 0.1,
    scale_warmup: bool = False,
) -> Schedule:
    """The drops are on the clock of the run, those within the warm-up fall together at its end."""
    phases, first, reaches = trainer.up(t_warmup, 1.0, scale_warmup=scale_warmup)
    drops, factor = _drops(trainer, milestones), trainer.number("gamma", gamma, low=0)
    if not first.known:
        raise trainer.lacking("t_warmup", "milestones after a warm-up", first.unit)
    if not all(isinstance(drop, int) for drop in drops):
        unit = next(one.unit for one in map(partial(trainer.length, "milestones"), milestones))
        raise trainer.lacking("milestones", "milestones after a warm-up", unit)
    stop = math.ceil(first.steps)
    fallen = sum(drop <= stop for drop in drops)
    start = None if reaches and not fallen else factor**fallen
    later = tuple(drop - stop for drop in drops[fallen:])
    return sequence([*phases, MultiStepDecay(later, factor, start=start)])


def _constant_with_warmup(
    trainer: Trainer,
    *,
    t_warmup: str,
    alpha: float = 1.0,
    t_max: str = "1dur",
    scale_warmup: bool = False,
) -> Schedule:
    level = trainer.number("alpha", alpha)
    return _warmed(trainer, t_warmup, t_max, Linear(end=level), level, scale_warmup=scale_warmup)


def _linear_with_warmup(
    trainer: Trainer,
    *,
    t_warmup: str,
    alpha_i: float = 1.0,
    alpha_f: float = 0.0,
    t_max: str = "1dur",
    scale_warmup: bool = False,
) -> Schedule:
    start, end = trainer.number("alpha_i", alpha_i), trainer.number("alpha_f", alpha_f)
    return _warmed(trainer, t_warmup, t_max, Linear(end=end), start, scale_warmup=scale_warmup)


def _cosine_with_warmup(
    trainer: Trainer,
    *,
    t_warmup: str,
    t_max: str = "1dur",
    alpha_f: float = 0.0,
    scale_warmup: bool = False,
) -> Schedule:
    shape = Cosine(end=trainer.number("alpha_f", alpha_f))
    return _warmed(trainer, t_warmup, t_max, shape, scale_warmup=scale_warmup)


def _polynomial_with_warmup(
    trainer: Trainer,
    *,
    t_warmup: str,
    power: float = 2.0,
    t_max: str = "1dur",
    alpha_f: float = 0.0,
    scale_warmup: bool = False,
) -> Schedule:
    shape = _power(trainer, power, alpha_f)
    return _warmed(trainer, t_warmup, t_max, shape, scale_warmup=scale_warmup)


SCHEDULERS: dict[str, Callable[..., Schedule]] = {
    "StepScheduler": _step,
    "MultiStepScheduler": _multi_step,
    "ConstantScheduler": _constant,
    "LinearScheduler": _linear,
    "ExponentialScheduler": _exponential,
    "CosineAnnealingScheduler": _cosine,
    "CosineAnnealingWarmRestartsScheduler": _restarts,
    "PolynomialScheduler": _polynomial,
    "MultiStepWithWarmupScheduler": _multi_step_with_warmup,
    "ConstantWithWarmupScheduler": _constant_with_warmup,
    "LinearWithWarmupScheduler": _linear_with_warmup,
    "CosineAnnealingWithWarmupScheduler": _cosine_with_warmup,
    "PolynomialWithWarmupScheduler": _polynomial_with_warmup,
}
"""Composer's schedulers by their classes' names."""
