"""The phrase book continued: schedulers that cycle the momentum, too."""

# torch's classes are parents for the sake of `isinstance`; what they declare is all overridden.
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim import lr_scheduler as theirs

from cadence import _checks
from cadence._warn import warn
from cadence.binding import Group, copied, put
from cadence.errors import ArgumentError
from cadence.levels import Absolute, absolute
from cadence.lr_scheduler._arguments import choice, function, number, per_group, period, returning
from cadence.lr_scheduler._base import LRScheduler, check_optimizer
from cadence.lr_scheduler._functions import attributes_of, compare, name_of
from cadence.lr_scheduler._planned import Planned, attributes
from cadence.schedule import Schedule
from cadence.shapes import ExponentialDecay, Function, Linear, PiecewiseCosine, PiecewiseLinear

__all__ = ["CyclicLR", "OneCycleLR"]


class _Momenta(Planned):
    """What the schedulers share that cycle `momentum`, or the first of the `betas`."""

    cycle_momentum: bool
    use_beta1: bool

    def _choose_momentum(self, optimizer: Optimizer, cycle_momentum: bool) -> None:
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            if not {"momentum", "betas"} & optimizer.defaults.keys():
                raise ArgumentError(
                    f"{type(self).__name__}: optimizer must support momentum or beta1 with "
                    f"`cycle_momentum` option enabled (got {type(optimizer).__name__})"
                )
            self.use_beta1 = "betas" in optimizer.defaults

    @property
    def _momentum(self) -> str:
        return "beta1" if self.use_beta1 else "momentum"

    def _begin_momenta(self, groups: list[Group], highs: list[float], lows: list[float]) -> None:
        """Write the first values, and the keys that torch keeps in the groups."""
        for high, low, group in zip(highs, lows, groups, strict=True):
            put(group, self._momentum, copied(high))
            group["max_momentum"], group["base_momentum"] = copied(high), copied(low)


@dataclass(frozen=True)
class PerCycle:
    """A function of the number of the cycle, counted from 1, as a function of the epoch."""

    function: Callable[[int], float]
    size: float

    def __call__(self, epoch: int) -> float:
        return self.function(math.floor(1 + epoch / self.size))


class CyclicLR(_Momenta, theirs.CyclicLR):
    """Triangles between `base_lr` and `max_lr`, the momentum inversely.

    `Linear(up, start=0, end=1) >> Linear(down)`, repeated, times a scale that may shrink, is
    the part of the height `max_lr - base_lr` that is added to `base_lr`.
    """

    is_absolute = True
    inputs = ("base_lrs", "max_lrs", "base_momentums", "max_momentums")
    unstored = Planned.unstored | {"_scale_fn_ref", "_scale_fn_custom"}
    may_hold = frozenset({"_scale_fn_custom"})

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        check_optimizer(optimizer)
        where = "CyclicLR"
        base_lrs = per_group(where, "base_lr", optimizer, base_lr)
        self.max_lrs = per_group(where, "max_lr", optimizer, max_lr)
        up = period(where, "step_size_up", step_size_up)
        down = up if step_size_down is None else period(where, "step_size_down", step_size_down)
        self.total_size = float(up + down)
        self.step_ratio = up / self.total_size
        if scale_fn is None:
            choice(where, "mode", mode, ("triangular", "triangular2", "exp_range"))
        self.scale_mode = choice(where, "scale_mode", scale_mode, ("cycle", "iterations"))
        self.mode, self.gamma = mode, number(where, "gamma", gamma, low=0)
        self._scale_fn_custom = None if scale_fn is None else function(where, "scale_fn", scale_fn)
        self._init_scale_fn()
        self._choose_momentum(optimizer, cycle_momentum)
        if cycle_momentum:
            self.base_momentums = per_group(where, "base_momentum", optimizer, base_momentum)
            self.max_momentums = per_group(where, "max_momentum", optimizer, max_momentum)
        self._first = base_lrs
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)
        self.base_lrs = base_lrs

    def _start(self, optimizer: Optimizer, last_epoch: int) -> None:
        rates, groups = attributes(self).pop("_first"), optimizer.param_groups
        if last_epoch == -1:
            for rate, group in zip(rates, groups, strict=True):
                put(group, "lr", copied(rate))
            if self.cycle_momentum:
                self._begin_momenta(groups, self.max_momentums, self.base_momentums)
        super()._start(optimizer, last_epoch)

    def _scaled(self) -> Schedule:
        """The triangle times its scale: from 0 to 1, or to what the scale leaves of it."""
        up = round(self.total_size * self.step_ratio)
        triangle = Linear(up, start=0.0, end=1.0) >> Linear(round(self.total_size) - up, end=0.0)
        own = type(self).scale_fn is not theirs.CyclicLR.scale_fn
        custom = self.scale_fn if own else self._scale_fn_custom
        if custom is not None:
            if self._is_initial:
                custom = returning("CyclicLR", "scale_fn", custom)
            scale = Function(custom)
            if self.scale_mode == "cycle":
                scale = Function(PerCycle(scale.function, self.total_size))
            return triangle.repeat() * scale
        if self.mode == "triangular2":
            return triangle.repeat(peak_mult=0.5)
        if self.mode == "exp_range":
            return triangle.repeat() * ExponentialDecay(self.gamma)
        return triangle.repeat()

    def _plan(self, index: int) -> Schedule:
        return self._scaled() + absolute(float(self.base_lrs[index]))

    def _base(self, index: int) -> float:
        return float(self.max_lrs[index]) - float(self.base_lrs[index])

    def _more_plans(self, index: int) -> Mapping[str, tuple[Schedule, float]]:
        if not self.cycle_momentum:
            return {}
        high, low = float(self.max_momentums[index]), float(self.base_momentums[index])
        return {self._momentum: (self._scaled() + absolute(high), low - high)}

    def _extend(self, group: Group) -> None:
        first = float(self.base_lrs[0])
        scale = float(group["initial_lr"]) / first if first else 1.0
        self.max_lrs.append(scale * float(self.max_lrs[0]))
        if self.cycle_momentum:
            self.base_momentums.append(self.base_momentums[0])
            self.max_momentums.append(self.max_momentums[0])

    def state_dict(self) -> dict[str, Any]:
        """The state; of a `scale_fn` that is an object, its attributes."""
        custom = self._scale_fn_custom
        its = None if custom is None else attributes_of(custom)
        return super().state_dict() | {"_scale_fn_custom": its}

    def _own_state(self) -> dict[str, Any]:
        return super()._own_state() | {"functions": [name_of(self._scale_fn_custom)]}

    def _restore(self, state: dict[str, Any]) -> None:
        its = state.pop("_scale_fn_custom", None)
        if its:
            vars(self._scale_fn_custom).update(its)
        super()._restore(state)
        self._init_scale_fn()

    def _resume(self, last: Sequence[Any] | None, own: Mapping[str, Any]) -> None:
        compare("CyclicLR", name_of(self._scale_fn_custom), *own.get("functions", [None]))
        super()._resume(last, own)


class OneCycleLR(_Momenta, theirs.OneCycleLR):
    """Up once and down once over the run, the momentum inversely.

    The levels are the groups' keys `initial_lr`, `max_lr` and `min_lr`, joined by half cosines
    or straight lines; the phases end at `pct_start * total_steps - 1` and `total_steps - 1`.
    """

    is_absolute = True
    levels = ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum")

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        check_optimizer(optimizer)
        where = "OneCycleLR"
        if total_steps is not None:
            self.total_steps = _checks.whole(where, "total_steps", total_steps, low=1)
        elif epochs is not None and steps_per_epoch is not None:
            self.total_steps = _checks.whole(where, "epochs", epochs, low=1) * _checks.whole(
                where, "steps_per_epoch", steps_per_epoch, low=1
            )
        else:
            raise ArgumentError(
                "OneCycleLR: You must define either total_steps OR (epochs AND steps_per_epoch)"
            )
        # Beyond a half, the third phase would have to end before the second.
        high, below = (0.5, None) if three_phase else (None, 1)
        pct_start = number(where, "pct_start", pct_start, low=0, high=high, below=below)
        if pct_start * self.total_steps == 1:
            raise ArgumentError(
                f"OneCycleLR: 'pct_start' must not be 1 / total_steps, a rise of no length (got "
                f"{pct_start!r} with {self.total_steps} steps)"
            )
        self._anneal_func_type = choice(
            where, "anneal_strategy", anneal_strategy, ("cos", "linear")
        )
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase=three_phase)
        highs = per_group(where, "max_lr", optimizer, max_lr)
        # Divided by infinity, a rate begins or ends at 0.
        div_factor = number(where, "div_factor", div_factor, above=0, endless=True)
        final_div_factor = number(
            where, "final_div_factor", final_div_factor, above=0, endless=True
        )
        self._choose_momentum(optimizer, cycle_momentum)
        momenta: tuple[list[Any], ...] = ()
        if cycle_momentum:
            momenta = (
                per_group(where, "max_momentum", optimizer, max_momentum),
                per_group(where, "base_momentum", optimizer, base_momentum),
            )
        self._first = highs, div_factor, final_div_factor, momenta
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _start(self, optimizer: Optimizer, last_epoch: int) -> None:
        highs, div_factor, final_div_factor, momenta = attributes(self).pop("_first")
        if last_epoch == -1:
            for high, group in zip(highs, optimizer.param_groups, strict=True):
                group["initial_lr"] = high / div_factor
                group["max_lr"] = high
                group["min_lr"] = group["initial_lr"] / final_div_factor
            if self.cycle_momentum:
                self._begin_momenta(optimizer.param_groups, *momenta)
        super()._start(optimizer, last_epoch)

    def _level(self, index: int, key: str) -> float:
        return float(self.optimizer.param_groups[index][key])

    def _through(self, name: str, levels: Mapping[str, Any]) -> Schedule:
        """The phases' ends joined up; `name` is `"lr"` or `"momentum"`."""
        phases, begin = self._schedule_phases, 0.0
        points: list[tuple[float, Any]] = []
        for phase in phases:
            end = float(phase["end_step"])
            if end > begin:  # in a short run a phase may be over before it begins
                first = (begin, levels[phase[f"start_{name}"]])
                # Two phases share the point where they meet, unless one between them is left out.
                points += [] if points[-1:] == [first] else [first]
                points += [(end, levels[phase[f"end_{name}"]])]
                begin = end
        points = points or [(0.0, levels[phases[-1][f"end_{name}"]])]
        return (PiecewiseLinear if self._is_linear else PiecewiseCosine)(tuple(points))

    @property
    def _is_linear(self) -> bool:
        if hasattr(self, "_anneal_func_type"):
            return self._anneal_func_type == "linear"
        # A state of an older torch holds the function instead of its name.
        return vars(self).get("anneal_func") is self._annealing_linear

    def _base(self, index: int) -> float:
        return self._level(index, "max_lr")

    def _plan(self, index: int) -> Schedule:
        return self._through("lr", self._relative(index, "max_lr", "initial_lr", "min_lr"))

    def _more_plans(self, index: int) -> Mapping[str, tuple[Schedule, float]]:
        if not self.cycle_momentum:
            return {}
        levels = self._relative(index, "max_momentum", "base_momentum")
        return {
            self._momentum: (self._through("momentum", levels), self._level(index, "max_momentum"))
        }

    def _relative(self, index: int, high: str, *others: str) -> dict[str, float | Absolute]:
        """A group's levels as multiples of its highest."""
        peak, usual = self._level(index, high), self._level(0, high)
        levels: dict[str, float | Absolute] = {high: 1.0}
        for key in others:
            own = self._level(index, key)
            levels[key] = own / peak if peak else absolute(own)
            # Groups that differ by their peak alone share one plan, whatever the last bit says.
            first = self._level(0, key) / usual if usual else 0.0
            if peak and math.isclose(own / peak, first, rel_tol=1e-14):
                levels[key] = first
        return levels

    def _extend(self, group: Group) -> None:
        first = self._level(0, "initial_lr")
        scale = float(group["initial_lr"]) / first if first else 1.0
        for key in ("max_lr", "min_lr"):
            group.setdefault(key, scale * self._level(0, key))
        if self.cycle_momentum:
            for key in ("max_momentum", "base_momentum"):
                group.setdefault(key, self._level(0, key))

    def _move(self, epoch: float | None) -> None:
        super()._move(epoch)
        if self.last_epoch == self.total_steps + 1 and epoch is None:
            warn(
                f"OneCycleLR: stepped {self.last_epoch} times, though total_steps is "
                f"{self.total_steps}; the last rate is held"
            )

    def _stop(self) -> float:
        after = self.total_steps + 1  # the step that warns
        return after if self.last_epoch < after else math.inf

    def _restore(self, state: dict[str, Any]) -> None:
        legacy = state.get("anneal_func")
        super()._restore(state)
        if legacy is not None:
            self.anneal_func = legacy

    may_hold = frozenset({"anneal_func"})
    may_lack = Planned.may_lack | {"_anneal_func_type"}


def _phases(total: int, pct: float, *, three_phase: bool) -> list[Any]:
    """The record of the phases that torch keeps, which people read and states hold."""

    def phase(end: float, start_lr: str, end_lr: str, first: str, second: str) -> dict[str, Any]:
        return {
            "end_step": end,
            "start_lr": start_lr,
            "end_lr": end_lr,
            "start_momentum": f"{first}_momentum",
            "end_momentum": f"{second}_momentum",
        }

    up = phase(float(pct * total) - 1, "initial_lr", "max_lr", "max", "base")
    if three_phase:
        down = phase(float(2 * pct * total) - 2, "max_lr", "initial_lr", "base", "max")
        return [up, down, phase(total - 1, "initial_lr", "min_lr", "max", "max")]
    return [up, phase(total - 1, "max_lr", "min_lr", "base", "max")]
