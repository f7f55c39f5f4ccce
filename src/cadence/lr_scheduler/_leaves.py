"""A phrase book: torch's schedulers, each translated into plans."""

# torch's classes are parents for the sake of `isinstance`; what they declare is all overridden.
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

from torch.optim import Optimizer, swa_utils
from torch.optim import lr_scheduler as theirs

from cadence import _checks
from cadence.binding import Group
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.levels import absolute
from cadence.lr_scheduler._arguments import epochs, milestones_of, number, per_group, period
from cadence.lr_scheduler._base import LRScheduler, check_optimizer
from cadence.lr_scheduler._planned import ClosedForm, Planned, Ticking, attributes
from cadence.schedule import Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    ExponentialDecay,
    Linear,
    MultiStepDecay,
    Polynomial,
    StepDecay,
)

__all__ = [
    "SWALR",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "StepLR",
]


class StepLR(ClosedForm, theirs.StepLR):
    """Multiply by `gamma` every `step_size` epochs: `StepDecay(step_size, gamma)`."""

    made_of = ("step_size", "gamma")

    def __init__(
        self,
        optimizer: Optimizer,
        step_size: int,
        gamma: float = 0.1,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        self.step_size = period("StepLR", "step_size", step_size)
        self.gamma = number("StepLR", "gamma", gamma, low=0)
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _plan(self, index: int) -> Schedule:
        del index
        return StepDecay(epochs(self.step_size), self.gamma)


class MultiStepLR(ClosedForm, theirs.MultiStepLR):
    """Multiply by `gamma` at each milestone: `MultiStepDecay(milestones, gamma)`."""

    made_of = ("milestones", "gamma")

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        self.milestones = Counter(milestones_of("MultiStepLR", milestones))
        self.gamma = number("MultiStepLR", "gamma", gamma, low=0)
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _plan(self, index: int) -> Schedule:
        del index
        return MultiStepDecay(tuple(sorted(self.milestones.elements())), self.gamma)


class ConstantLR(ClosedForm, theirs.ConstantLR):
    """A fraction of the rate, then all of it: `Constant(factor, total_iters) >> Constant(1)`."""

    made_of = ("factor", "total_iters")

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        self.factor = number("ConstantLR", "factor", factor, low=0, high=1)
        self.total_iters = period("ConstantLR", "total_iters", total_iters, low=0)
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _plan(self, index: int) -> Schedule:
        del index
        return Constant(self.factor, epochs(self.total_iters)) >> Constant(1.0)


class LinearLR(ClosedForm, theirs.LinearLR):
    """From one factor to another: `Linear(total_iters, start=start_factor, end=end_factor)`."""

    made_of = ("start_factor", "end_factor", "total_iters")

    keeps_resumed = True

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        self.start_factor = number("LinearLR", "start_factor", start_factor, above=0, high=1)
        self.end_factor = number("LinearLR", "end_factor", end_factor, low=0, high=1)
        self.total_iters = period("LinearLR", "total_iters", total_iters, low=0)
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _plan(self, index: int) -> Schedule:
        del index
        return Linear(epochs(self.total_iters), start=self.start_factor, end=self.end_factor)


class ExponentialLR(ClosedForm, theirs.ExponentialLR):
    """Multiply by `gamma` every epoch: `ExponentialDecay(gamma)`."""

    made_of = ("gamma",)

    keeps_resumed = True
    keeps_rest = False  # not even where a gamma of 0 has left nothing

    def __init__(
        self,
        optimizer: Optimizer,
        gamma: float,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma, low=0)
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _plan(self, index: int) -> Schedule:
        del index
        return ExponentialDecay(self.gamma)


class PolynomialLR(ClosedForm, theirs.PolynomialLR):
    """A power of what is left: `Polynomial(total_iters, power=power)`."""

    made_of = ("total_iters", "power")

    keeps_resumed = True

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        self.total_iters = period("PolynomialLR", "total_iters", total_iters)
        self.power = number("PolynomialLR", "power", power, low=0)
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _plan(self, index: int) -> Schedule:
        del index
        if self.power == 0:
            return Constant(1.0)  # the zeroth power of what is left, even of nothing
        return Polynomial(epochs(self.total_iters), power=self.power)


class CosineAnnealingLR(ClosedForm, theirs.CosineAnnealingLR):
    """Half a cosine down to `eta_min`, and up again, and down: torch does not stop at `T_max`.

    Args:
        hold: Stay at `eta_min` after `T_max`. Ours alone; torch climbs.
    """

    made_of = ("T_max", "eta_min", "hold")

    keeps_resumed = True
    may_lack = Planned.may_lack | {"hold"}

    hold = False

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
        *,
        hold: bool = False,
    ) -> None:
        self.T_max = period("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min, low=0)
        if hold:  # else a state has the keys that torch's has
            self.hold = True
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _stop(self) -> float:
        if self.hold:
            return math.inf
        # Where the rate has come down to `eta_min`, torch climbs from `base_lrs` again.
        return self.last_epoch + (self.T_max - self.last_epoch) % (2 * self.T_max) + 1

    def _plan(self, index: int) -> Schedule:
        del index
        n = epochs(self.T_max)
        low = absolute(self.eta_min) if self.eta_min else 0.0
        down = Cosine(n, end=low)
        return down if self.hold else (down >> Cosine(n, start=low, end=1.0)).repeat()


class CosineAnnealingWarmRestarts(Planned, theirs.CosineAnnealingWarmRestarts):
    """Half cosines, each `T_mult` times as long as the last; `T_cur` is the clock of a cycle."""

    made_of = ("T_i", "T_mult", "eta_min")

    is_absolute = True
    inputs = ("base_lrs",)
    T_cur: Any = Ticking()
    T_i: Any = Ticking()

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        where = "CosineAnnealingWarmRestarts"
        self.T_0 = self.T_i = _checks.whole(where, "T_0", T_0, low=1)
        self.T_mult = _checks.whole(where, "T_mult", T_mult, low=1)
        self.eta_min = number(where, "eta_min", eta_min, low=0)
        self.T_cur = last_epoch
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _plan(self, index: int) -> Schedule:
        del index
        cycle = Cosine(epochs(self.T_i), end=absolute(self.eta_min) if self.eta_min else 0.0)
        return cycle.repeat(length_mult=self.T_mult)

    @property
    def _clock(self) -> float:
        return self.T_cur

    def _ticked(self, present: dict[str, Any], steps: int) -> dict[str, Any]:
        current, length = present["T_cur"] + steps, present["T_i"]
        while current >= length:
            current, length = current - length, length * self.T_mult
        return {"last_epoch": present["last_epoch"] + steps, "T_cur": current, "T_i": length}

    def _long_step(self, epoch: float | None) -> None:
        # `epoch` may be fractional, for batches within an epoch, and is not deprecated.
        if not self._is_initial:
            self._adopt()
        self._update_lr(0 if epoch is None and self.last_epoch < 0 else epoch)

    def _move(self, epoch: float | None) -> None:
        state = attributes(self)
        if epoch is None:
            state["last_epoch"] += 1
            state["T_cur"] += 1
            if state["T_cur"] >= state["T_i"]:
                state["T_cur"] %= state["T_i"]
                state["T_i"] *= self.T_mult
            return
        state["last_epoch"] = math.floor(epoch)
        begin, length = 0, self.T_0
        if self.T_mult == 1:
            begin = epoch // length * length
        while epoch >= begin + length:  # in whole numbers, so that restarts come when they are due
            begin, length = begin + length, length * self.T_mult
        state["T_cur"], state["T_i"] = epoch - begin, length


class SWALR(Planned, swa_utils.SWALR):
    """From the present rate to `swa_lr` over `anneal_epochs`, then stay.

    `Cosine(anneal_epochs, end=absolute(swa_lr))`, or `Linear`; its clock is the count of steps.
    """

    unstored = Planned.unstored | {"anneal_func"}
    levels = ("swa_lr",)
    keeps_rest = False  # torch writes `swa_lr`, whatever it finds

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        rates = per_group("SWALR", "swa_lr", optimizer, swa_lr)
        if anneal_strategy not in ("cos", "linear"):
            raise (ArgumentError if isinstance(anneal_strategy, str) else ArgumentTypeError)(
                f"SWALR: anneal_strategy must be 'cos' or 'linear' (got {anneal_strategy!r})"
            )
        whole = isinstance(anneal_epochs, int) and not isinstance(anneal_epochs, bool)
        if not whole or anneal_epochs < 0:
            raise (ArgumentError if whole else ArgumentTypeError)(
                f"SWALR: anneal_epochs must be a whole number >= 0 (got {anneal_epochs!r})"
            )
        self._set_anneal_func(anneal_strategy)
        self.anneal_epochs = anneal_epochs
        self._first = rates
        LRScheduler.__init__(self, optimizer, last_epoch)

    def _start(self, optimizer: Optimizer, last_epoch: int) -> None:
        for rate, group in zip(attributes(self).pop("_first"), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        super()._start(optimizer, last_epoch)

    @property
    def _clock(self) -> float:
        return max(0, self._step_count - 1)

    def _plan(self, index: int) -> Schedule:
        ramp = Cosine if self._anneal_strategy == "cos" else Linear
        end = absolute(float(self.optimizer.param_groups[index]["swa_lr"]))
        return ramp(int(self.anneal_epochs), end=end)

    def _extend(self, group: Group) -> None:
        group.setdefault("swa_lr", self.optimizer.param_groups[0]["swa_lr"])

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        strategy: Any = self._anneal_strategy
        self._set_anneal_func(strategy)
