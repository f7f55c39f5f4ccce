"""Plans as arguments of transformers' Trainer, where one of its schedules gives the same numbers.

What transformers would do with the arguments is known from reading them back, so each candidate
is compared with the plan at every step before it is given out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from cadence.algebra import Part, Repeat, Sequence
from cadence.dialects.transformers import from_transformers
from cadence.errors import CadenceError
from cadence.levels import affine
from cadence.schedule import Schedule
from cadence.shapes import CosineWave, InverseSqrt, Linear, PiecewiseCosine, Polynomial, Ramp

__all__ = ["Found", "closest"]

CLOSE = 1e-12
"""Differences up to here, as parts of the largest value, are those of rounding."""

SAMPLE = 500
CHUNK = 1 << 18

Phases = tuple[Schedule, ...]
Candidate = tuple[str, int, dict[str, Any]]
"""A name, the steps of the warm-up, and what else the schedule takes."""


class Found(NamedTuple):
    """The arguments that come closest, and how close that is."""

    arguments: dict[str, Any]
    difference: float
    step: int
    is_everywhere: bool
    """Whether the numbers are the same after the end of the run, too."""

    @property
    def is_exact(self) -> bool:
        return self.difference <= CLOSE


def closest(plan: Schedule, total: int, base_lr: float | None) -> Found:
    """The arguments whose schedule is closest to a resolved plan."""
    rate = 1.0 if base_lr is None else base_lr
    best: tuple[float, dict[str, Any], Schedule] | None = None
    sample = np.unique(np.linspace(0, total - 1, SAMPLE).round())
    sample = np.union1d(sample, [b for b in plan.compiled(rate).begins if b < total])
    ours = plan(sample, rate)
    for given in _candidates(plan, total, base_lr):
        try:
            read = from_transformers(given)
            apart = _apart(ours, read(sample, rate))
        except CadenceError:
            continue
        if best is None or apart < best[0]:
            best = (apart, given, read)
        if apart <= CLOSE:
            break
    assert best is not None  # a constant rate is always among them
    _, given, read = best
    apart, step = _worst(plan, read, total, rate)
    return Found(given, apart, step, read == plan)


def _apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    scale = max(float(np.abs(ours).max()), 1e-300)
    return float(np.abs(ours - theirs).max()) / scale


def _worst(plan: Schedule, read: Schedule, total: int, rate: float) -> tuple[float, int]:
    """The largest difference at a step of the run, as a part of the largest value, and the step."""
    worst, at, scale = 0.0, 0, 1e-300
    for begin in range(0, total, CHUNK):
        steps = np.arange(begin, min(begin + CHUNK, total))
        ours = plan(steps, rate)
        apart = np.abs(ours - read(steps, rate))
        i = int(apart.argmax())
        scale = max(scale, float(np.abs(ours).max()))
        if apart[i] > worst:
            worst, at = float(apart[i]), begin + i
    return worst / scale, at


def _candidates(plan: Schedule, total: int, base_lr: float | None) -> Iterator[dict[str, Any]]:
    """What may be the plan, going by its parts."""
    for name, warmup, options in _guesses(plan, total, base_lr):
        given: dict[str, Any] = {"lr_scheduler_type": name, "max_steps": total}
        if warmup:
            given["warmup_steps"] = warmup
        if options:
            given["lr_scheduler_kwargs"] = options
        if base_lr is not None:
            given["learning_rate"] = base_lr
        yield given


def _guesses(plan: Schedule, total: int, base_lr: float | None) -> Iterator[Candidate]:
    rate = 1.0 if base_lr is None else base_lr
    phases = plan.parts if isinstance(plan, Sequence) else (plan,)
    first = phases[0]
    rise: Any = first.steps if isinstance(first, Ramp) and first is not plan else 0
    start, end = (_tidy(plan(t, rate) / rate) for t in (0, total))
    waves = [w for x in phases for w in (x, getattr(x, "plan", x)) if isinstance(w, CosineWave)]
    lows = [affine(wave.end) for wave in waves]
    floors = dict.fromkeys((end, *(_tidy(low.p + low.q / rate) for low in lows)))
    floored = [{"min_lr_rate": low} for low in floors if low >= 0.0]
    yield "constant", 0, {}
    for warmup in dict.fromkeys((rise, 0)):
        yield "constant_with_warmup", warmup, {}
        yield "linear", warmup, {}
        for cycles in _cycles(waves, total - warmup):
            yield "cosine", warmup, cycles
            yield from (("cosine_with_min_lr", warmup, {**low, **cycles}) for low in floored)
        for cycles in _restarts(phases):
            yield "cosine_with_restarts", warmup, cycles
        for phase in phases:
            if base_lr is not None and isinstance(phase, (Linear, Polynomial)):
                power = getattr(phase, "power", 1.0)
                yield "polynomial", warmup, {"lr_end": _tidy(end * base_lr), "power": power}
            if isinstance(phase, InverseSqrt):
                yield "inverse_sqrt", warmup, {"timescale": phase.timescale}
        yield from (("warmup_stable_decay", warmup, more) for more in _decays(phases, end))
    # Theirs reaches the full rate one update before the end of the warm-up.
    warmup = 0 if isinstance(first, Part) else rise + 1
    for cycles, low in product(_cycles(waves, total - warmup), floored):
        for more in ({}, {"warmup_lr_rate": start}):
            yield "cosine_warmup_with_min_lr", warmup, {**low, **more, **cycles}


def _tidy(value: float) -> float:
    """The number to 15 digits, as a person would write it."""
    return float(f"{value:.15g}")


def _cycles(waves: list[CosineWave], left: int) -> Iterator[dict[str, Any]]:
    """How often a cosine goes to and fro after the warm-up; half of it is what they do unasked."""
    yield {}
    for wave in waves:
        period: Any = wave.period
        yield {"num_cycles": left / period}


def _restarts(phases: Phases) -> Iterator[dict[str, Any]]:
    yield {}
    for phase in phases:
        if isinstance(phase, Repeat) and phase.times is not None:
            yield {"num_cycles": phase.times}
        if isinstance(phase, PiecewiseCosine):
            yield {"num_cycles": len(phase.points) // 2}


def _decays(phases: Phases, end: float) -> Iterator[dict[str, Any]]:
    """What the phases of a run with a plateau take."""
    low = {"min_lr_ratio": end} if end > 0.0 else {}
    length = next((phase.steps for phase in reversed(phases) if isinstance(phase, Ramp)), 0)
    for rising in ({}, {"warmup_type": "cosine"}, {"warmup_type": "1-sqrt"}):
        for falling in ({}, {"decay_type": "linear"}, {"decay_type": "1-sqrt"}):
            yield {"num_decay_steps": length, **rising, **falling, **low}
