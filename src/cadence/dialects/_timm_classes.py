"""The classes of timm's schedulers: what each takes, and the plan that it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from cadence import _checks
from cadence.dialects import _common
from cadence.dialects._common import as_level, flag, stretched, timeline
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.levels import Level, absolute, canonical, one_of, optional, param, real, show
from cadence.schedule import Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    Exponential,
    Hold,
    Linear,
    MultiStepDecay,
    OneMinusSqrt,
    Polynomial,
    PowerLaw,
    Ramp,
    StepDecay,
    Tanh,
    Warmup,
)

__all__ = [
    "CLASSES",
    "WHERE",
    "Checked",
    "CosineLRScheduler",
    "MultiStepLRScheduler",
    "PlateauLRScheduler",
    "PolyLRScheduler",
    "Scheduler",
    "StepLRScheduler",
    "TanhLRScheduler",
    "WSDLRScheduler",
    "noiseless",
    "rising",
    "whole",
]

WHERE = "from_timm"

MOST_CYCLES = 1_000
"""How many cycles of different lengths or heights are written out."""


class Checked:
    """Arguments that are checked, and brought into one form, when they are given."""

    def __post_init__(self) -> None:
        canonical(self, self.where)
        self._check()

    @property
    def where(self) -> str:
        return f"{WHERE}({type(self).__name__!r})"

    def _check(self) -> None:
        """What is demanded of the arguments together."""


def noiseless(where: str, name: str, value: Any) -> None:
    if value is not None:
        raise ArgumentError(
            f"{where}: '{name}' cannot be expressed (got {_checks.given(value)}): timm draws its "
            "noise from torch's generator at every tick; leave it out, or multiply the plan by a "
            "function of your own, plan * Function(...)"
        )


def _at_least_one(where: str, name: str, value: Any) -> int:
    return _common.steps(where, name, value, low=1)


def whole(where: str, name: str, value: Any) -> int:
    return _common.steps(where, name, value, low=-_checks.MOST)


@dataclass(frozen=True, kw_only=True)
class Scheduler(Checked):
    """What all classes share: a warm-up, in ticks that are epochs or updates."""

    warmup_t: int = param(_common.steps, default=0)
    warmup_lr_init: float = 0.0
    t_in_epochs: bool = param(flag, default=True)
    noise_range_t: None = param(noiseless, default=None)
    noise_pct: float = 0.67
    noise_std: float = 1.0
    noise_seed: int | None = 42
    initialize: bool = param(flag, default=True)

    @property
    def floor(self) -> Level:
        """Where the schedule ends."""
        return as_level(self.where, "lr_min", getattr(self, "lr_min", 0.0), None)

    @property
    def is_prefixed(self) -> bool:
        """Whether the schedule begins after the warm-up, or with it."""
        return getattr(self, "warmup_prefix", True)

    def body(self) -> Schedule:
        """The schedule without its warm-up."""
        raise NotImplementedError

    def plan(self) -> Schedule:
        body, warmup = self.body(), self.warmup_t
        if warmup == 0:
            # The constructor leaves the rate as it is, so the first tick has it in any case.
            starts = body.compiled().at(0) == (1.0, 0.0)
            return body if starts else timeline(Hold(1), self._from(body, 1))
        if self.is_prefixed:
            return timeline(self._rise(1.0), body)
        rest = self._from(body, warmup)
        return timeline(self._reaching(rest), rest)

    def _rise(self, end: Level) -> Schedule:
        start = as_level(self.where, "warmup_lr_init", self.warmup_lr_init, None)
        return Warmup(self.warmup_t, start=start, end=end)

    def _reaching(self, rest: Schedule) -> Schedule:
        """The warm-up, before what follows; it aims at the group's rate."""
        del rest
        return self._rise(1.0)

    def _from(self, body: Schedule, tick: int) -> Schedule:
        """The schedule from a tick on."""
        if isinstance(body, Constant):
            return body
        over = body.steps is not None and tick >= body.steps
        return Constant(self.floor) if over else body.part(tick)


class _Cycle(NamedTuple):
    """A cycle: the ticks `first..stop-1`, of a curve that begins at `begin` and has `length`."""

    number: int
    first: int
    stop: int
    begin: float
    length: float


@dataclass(frozen=True, kw_only=True)
class _Cyclic(Scheduler):
    """What runs from the group's rate to `lr_min`, again and again up to a limit."""

    t_initial: int = param(_at_least_one)
    lr_min: float = param(real(low=0), default=0.0)
    cycle_mul: float = param(real(above=0, high=_checks.MOST), default=1.0)
    cycle_decay: float = param(real(low=0), default=1.0)
    cycle_limit: int = param(whole, default=1)
    warmup_prefix: bool = param(flag, default=False)

    def _check(self) -> None:
        if 0.0 < abs(self.cycle_mul - 1.0) < 1e-4:
            raise ArgumentError(
                f"{self.where}: 'cycle_mul' must be 1 or differ from it by 1e-4 (got "
                f"{self.cycle_mul!r}): nearer, timm counts its cycles by rounding errors"
            )

    def ramp(self) -> Ramp:
        """The curve of a cycle."""
        raise NotImplementedError

    def cycle(self, number: int, a: float, b: float, steps: int) -> Schedule:
        """A cycle of some ticks, whose curve goes from tick `a` to tick `b`."""
        start = self.cycle_decay**number
        return stretched(self.ramp(), a, b, start, self.floor, steps, continues=number == 0)

    def closing(self) -> tuple[Schedule, ...]:
        """What brings the end of a cycle's curve to `lr_min`."""
        return ()

    def body(self) -> Schedule:
        length, limit = self.t_initial, min(self.cycle_limit, _checks.MOST // self.t_initial)
        if limit <= 0:
            return Constant(self.floor)
        if self.cycle_mul == 1.0 and (limit == 1 or self.cycle_decay == 1.0 or not self.lr_min):
            whole = timeline(self.cycle(0, 0, length, length), *self.closing())
            return whole if limit == 1 else whole.repeat(limit, peak_mult=self.cycle_decay)
        phases = [
            self.cycle(number, begin - first, begin + length - first, stop - first)
            for number, first, stop, begin, length in self._cycles()
        ]
        return timeline(*phases, *self.closing())

    def _cycles(self) -> Iterator[_Cycle]:
        """The cycles that have a tick, up to the limit or as far as ticks can be counted."""
        mul, unit = self.cycle_mul, self.t_initial
        edges = [(0, 0.0)]
        for number in range(1, self.cycle_limit + 1):
            begin = unit * number if mul == 1.0 else (1.0 - mul**number) / (1.0 - mul) * unit
            if begin > _checks.MOST / 2 or not self._is_counted(edges[-1][0]):
                break
            edges.append((self._first_tick(number, begin), begin))
            if number > MOST_CYCLES:
                raise ArgumentError(
                    f"{self.where}: 'cycle_limit' must be <= {MOST_CYCLES} for cycles that differ "
                    f"(got {self.cycle_limit})"
                )
        for number, ((first, begin), (stop, _)) in enumerate(pairwise(edges)):
            if stop > first:
                yield _Cycle(number, first, stop, begin, mul**number * unit)

    def _is_counted(self, tick: int) -> bool:
        """Whether timm knows a cycle for this tick: ever shorter ones come to an end."""
        return 1.0 - tick / self.t_initial * (1.0 - self.cycle_mul) > 0.0

    def _first_tick(self, number: int, begin: float) -> int:
        """The first tick that timm, which rounds, counts to a cycle or to a later one."""
        mul = self.cycle_mul
        if mul == 1.0:
            return int(begin)
        tick = math.ceil(begin) - 1
        while self._is_counted(tick):
            left = 1 - tick / self.t_initial * (1 - mul)
            if math.floor(math.log(left, mul)) >= number:
                break
            tick += 1
        return tick


@dataclass(frozen=True, kw_only=True)
class CosineLRScheduler(_Cyclic):
    """Half a cosine, with restarts and k-decay."""

    k_decay: float = param(real(above=0), default=1.0)

    def ramp(self) -> Ramp:
        return Cosine(k=self.k_decay)


@dataclass(frozen=True, kw_only=True)
class PolyLRScheduler(_Cyclic):
    """A power of what is left, with restarts and k-decay."""

    power: float = param(real(above=0), default=0.5)
    k_decay: float = param(real(above=0), default=1.0)

    def ramp(self) -> Ramp:
        return Polynomial(power=self.power, k=self.k_decay)


@dataclass(frozen=True, kw_only=True)
class TanhLRScheduler(_Cyclic):
    """A hyperbolic tangent that is not scaled: it begins below the top and ends above `lr_min`."""

    lb: float = -7.0
    ub: float = 3.0

    def _check(self) -> None:
        super()._check()
        _checks.number(self.where, "warmup_lr_init", self.warmup_lr_init, low=0)
        _checks.number(self.where, "cycle_limit", self.cycle_limit, low=0)
        if not (self.warmup_prefix or self._is_counted(self.warmup_t)):
            raise ArgumentError(
                f"{self.where}: 'warmup_t' must end before the cycles do, which get ever shorter "
                f"(got {self.warmup_t}): timm's warm-up aims at the rate that comes then"
            )
        if math.tanh(self.ub) - math.tanh(self.lb) < 0.001:
            raise ArgumentError(
                f"{self.where}: 'lb' and 'ub' must span at least 0.001 of the tangent's range "
                f"(got {show(self.lb)} and {show(self.ub)}); -7 and 3 are usual"
            )

    def ramp(self) -> Ramp:
        return Tanh(lower=self.lb, upper=self.ub)

    def cycle(self, number: int, a: float, b: float, steps: int) -> Schedule:
        # The group's part of the rate, and that of `lr_min`, each between levels of its own.
        height = self.cycle_decay**number
        tops = [0.5 * height * (1.0 - math.tanh(x)) for x in (self.lb, self.ub)]
        plan = stretched(self.ramp(), a, b, tops[0], tops[1], steps)
        if not self.lr_min:
            return plan
        lows = [absolute(0.5 * self.lr_min * (1.0 + math.tanh(x))) for x in (self.lb, self.ub)]
        return plan + stretched(self.ramp(), a, b, lows[0], lows[1], steps)

    def closing(self) -> tuple[Schedule, ...]:
        return (Constant(self.floor, 0),)

    def _reaching(self, rest: Schedule) -> Schedule:
        """Here the warm-up aims at where the schedule goes on."""
        p, q = rest.compiled().at(0)
        if not q or not p:
            return self._rise(absolute(q) if q else p)
        return self._rise(absolute(q)) + Linear(self.warmup_t, start=0.0, end=p)


@dataclass(frozen=True, kw_only=True)
class StepLRScheduler(Scheduler):
    """Multiplied every `decay_t` ticks."""

    decay_t: float = param(real(above=0))
    decay_rate: float = param(real(low=0), default=1.0)
    warmup_prefix: bool = param(flag, default=True)

    def body(self) -> Schedule:
        if self.decay_rate == 1.0:
            return Constant(1.0)
        return StepDecay(self.decay_t, self.decay_rate)


@dataclass(frozen=True, kw_only=True)
class MultiStepLRScheduler(Scheduler):
    """Multiplied at milestones, each of which counts one tick early."""

    decay_t: tuple[float, ...] = param(lambda w, n, v: rising(w, n, v))
    decay_rate: float = param(real(low=0), default=1.0)
    warmup_prefix: bool = param(flag, default=True)

    def body(self) -> Schedule:
        milestones = tuple(max(0, math.ceil(milestone - 1)) for milestone in self.decay_t)
        return MultiStepDecay(milestones, self.decay_rate) if milestones else Constant(1.0)


def rising(where: str, name: str, value: Any) -> tuple[float, ...]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise ArgumentTypeError(
            f"{where}: '{name}' must be a list of milestones (got {_checks.given(value)}); write "
            "[30, 60]"
        )
    found = [_checks.number(where, name, one) for one in value]
    if found != sorted(found):
        raise ArgumentError(
            f"{where}: '{name}' must be in rising order (got {_checks.given(value)}): timm "
            "searches it as if it were"
        )
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class WSDLRScheduler(Scheduler):
    """A stable phase after the warm-up, whose level may fall, and a decay to `lr_min`."""

    t_initial: int = param(_at_least_one)
    decay_t: int = param(_at_least_one)
    lr_min: float = param(real(low=0), default=0.0)
    stable_fn: str = param(one_of("constant", "rsqrt", "power"), default="constant")
    stable_timescale: float | None = param(optional(real(above=0)), default=None)
    stable_power: float = param(real(above=0), default=0.5)
    decay_fn: str = param(lambda w, n, v: _decay_fn(w, n, v), default="1-sqrt")
    decay_power: float = param(real(above=0), default=0.5)
    decay_ratio: float = param(real(above=0, below=1), default=0.1)

    def _check(self) -> None:
        if self.decay_t > self.t_initial:
            raise ArgumentError(
                f"{self.where}: 'decay_t' must be <= 't_initial' (got {self.decay_t} and "
                f"{self.t_initial})"
            )
        if self.stable_fn != "constant" and not (self.stable_timescale or self.warmup_t):
            raise ArgumentError(
                f"{self.where}: 'stable_timescale' must be given without a warm-up, whose length "
                f"it is otherwise, for stable_fn={self.stable_fn!r}"
            )

    def ramp(self) -> Ramp:
        """The curve of the decay."""
        ramps = {
            "linear": Linear(),
            "1-sqrt": OneMinusSqrt(),
            "cosine": Cosine(),
            "power": Polynomial(k=self.decay_power),
            "exp": Exponential(ratio=self.decay_ratio),
        }
        return dataclasses.replace(ramps[self.decay_fn], steps=self.decay_t)

    def body(self) -> Schedule:
        stable, fall = Hold(self.t_initial - self.decay_t), self.ramp()
        if self.stable_fn == "constant":
            plan = timeline(stable, dataclasses.replace(fall, end=self.floor))
        else:
            exponent = 0.5 if self.stable_fn == "rsqrt" else self.stable_power
            scale = self.stable_timescale or self.warmup_t
            plan = PowerLaw(scale, exponent=exponent, steps=self.t_initial)
            plan = plan * timeline(stable, fall)
            if self.lr_min:
                low = dataclasses.replace(fall, start=0.0, end=self.floor)
                plan = plan + timeline(Constant(0.0, stable.steps), low)
        # A group whose own rate is below `lr_min`, or falls below it, is kept at it.
        return plan.clip(low=self.floor) if self.lr_min else plan


def _decay_fn(where: str, name: str, value: Any) -> str:
    if callable(value):
        raise ArgumentError(
            f"{where}: '{name}' must be a name (got {_checks.given(value)}): a function is no "
            "value; write a Ramp with its curve and `Warmup(...) >> Hold(...) >> YourRamp(...)`"
        )
    names = ("linear", "1-sqrt", "cosine", "power", "exp")
    return _checks.choice(where, name, value, names)


@dataclass(frozen=True, kw_only=True)
class PlateauLRScheduler(Scheduler):
    """Lowered when a metric stalls: a controller, with the warm-up as its plan."""

    decay_rate: float = 0.1
    patience_t: int = 10
    threshold: float = 1e-4
    cooldown_t: int = 0
    lr_min: float = 0.0
    mode: str = "max"
    noise_type: str = "normal"

    def plan(self) -> Schedule:
        controller = _common.plateau(
            self.where,
            mode=self.mode,
            factor=self.decay_rate,
            patience=self.patience_t,
            threshold=self.threshold,
            cooldown=self.cooldown_t,
            min_lr=self.lr_min,
        )
        given = [
            f"{item.name}={show(getattr(controller, item.name))}"
            for item in dataclasses.fields(controller)
            if getattr(controller, item.name) != item.default
        ]
        plan = timeline(self._rise(1.0), Hold()) if self.warmup_t else Constant(1.0)
        raise ArgumentError(
            f"{self.where}: it answers a metric, so it is no plan but a controller; write "
            f"Scheduler(optimizer, lr={plan!r}, clock='epoch', "
            f"feedback=Plateau({', '.join(given)})), and observe(metric) after the warm-up"
        )


CLASSES: dict[str, type[Scheduler]] = {
    kind.__name__: kind
    for kind in (
        CosineLRScheduler,
        TanhLRScheduler,
        PolyLRScheduler,
        StepLRScheduler,
        MultiStepLRScheduler,
        WSDLRScheduler,
        PlateauLRScheduler,
    )
}
"""All of them by name."""
