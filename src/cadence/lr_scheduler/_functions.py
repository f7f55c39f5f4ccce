"""Schedulers made of people's own functions of the epoch, and how states treat these."""

# torch's classes are parents for the sake of `isinstance`; what they declare is all overridden.
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import copy
import types
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim import lr_scheduler as theirs

from cadence._warn import warn
from cadence.binding import Group
from cadence.lr_scheduler._arguments import Factor, functions, returning
from cadence.lr_scheduler._base import LRScheduler, check_optimizer, rates_of
from cadence.lr_scheduler._planned import Planned
from cadence.schedule import Schedule
from cadence.shapes import Function

__all__ = ["LambdaLR", "MultiplicativeLR", "attributes_of", "compare", "name_of"]


def attributes_of(function: Factor) -> dict[str, Any] | None:
    """What torch stores of a callable: nothing of a function, the attributes of an object."""
    if isinstance(function, types.FunctionType):
        return None
    return copy.deepcopy(getattr(function, "__dict__", {}))


def name_of(function: Factor | None) -> str | None:
    """Where to find a function, if it has a name of its own."""
    name = getattr(function, "__qualname__", "<")
    return None if "<" in name else f"{getattr(function, '__module__', None)}.{name}"


def compare(where: str, present: str | None, stored: str | None) -> None:
    """Say that a state was made with another function; functions are not stored."""
    if stored is not None and present != stored:
        warn(
            f"{where}: the state was made with the function {stored}, this scheduler has "
            f"{present or 'one without a name'}, which goes on"
        )


class _OfFunctions(LRScheduler):
    """One function of the epoch for each group."""

    unstored = LRScheduler.unstored | {"lr_lambdas"}
    may_hold = frozenset({"lr_lambdas"})

    lr_lambdas: list[Factor]

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Factor | list[Factor],
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        check_optimizer(optimizer)
        self.lr_lambdas = functions(type(self).__name__, "lr_lambda", optimizer, lr_lambda)
        LRScheduler.__init__(self, optimizer, last_epoch, verbose)

    def _extend(self, group: Group) -> None:
        del group
        shared, needed = self.lr_lambdas[0], len(self.base_lrs) + 1
        if len(self.lr_lambdas) >= needed:
            return
        if any(function is not shared for function in self.lr_lambdas):
            raise ValueError(
                f"{type(self).__name__}: lr_lambdas must have a function for each of {needed} "
                f"groups (got {len(self.lr_lambdas)}); append one for the group that was added"
            )
        self.lr_lambdas.append(shared)

    def state_dict(self) -> dict[str, Any]:
        """The state; of functions their names, and of callable objects their attributes."""
        return super().state_dict() | {"lr_lambdas": list(map(attributes_of, self.lr_lambdas))}

    def _own_state(self) -> dict[str, Any]:
        return super()._own_state() | {"functions": list(map(name_of, self.lr_lambdas))}

    def _restore(self, state: dict[str, Any]) -> None:
        for function, its in zip(self.lr_lambdas, state.pop("lr_lambdas", ()), strict=False):
            if its:
                vars(function).update(its)
        super()._restore(state)

    def _resume(self, last: Sequence[Any] | None, own: Mapping[str, Any]) -> None:
        for function, name in zip(self.lr_lambdas, own.get("functions", ()), strict=False):
            compare(type(self).__name__, name_of(function), name)
        super()._resume(last, own)


class LambdaLR(_OfFunctions, Planned, theirs.LambdaLR):
    """The base times any function of the epoch: :class:`~cadence.shapes.Function`."""

    is_absolute = True
    inputs = ("base_lrs", "lr_lambdas")

    def _plan(self, index: int) -> Schedule:
        given = self.lr_lambdas[index]
        # What it returns is checked once: a call more than torch makes might be noticed.
        return Function(
            returning("LambdaLR", "lr_lambda", given, low=0) if self._is_initial else given
        )


class MultiplicativeLR(_OfFunctions, theirs.MultiplicativeLR):
    """Multiply by a function of the epoch, every epoch: a running product, not a plan."""

    def get_lr(self) -> list[Any]:
        """The rates that the groups hold; within a step, those of the epoch that it enters."""
        rates = rates_of(self.optimizer)
        if self._is_initial or not self._get_lr_called_within_step:
            return rates
        epoch: Any = self.last_epoch
        factors = (function(epoch) for function in self.lr_lambdas)
        return [rate * factor for rate, factor in zip(rates, factors, strict=True)]
