"""Schedulers made of others: one after the other, or all at every step.

Composites dispatch to their children and compute nothing. Any scheduler of this module may be a
child, composites and :class:`ReduceLROnPlateau` included, at any depth; so may torch's own.
"""

# torch's classes are parents for the sake of `isinstance`; what they declare is all overridden.
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import copy
import math
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch.optim import Optimizer
from torch.optim import lr_scheduler as theirs

from cadence import _checks
from cadence.binding import copied, put
from cadence.errors import ArgumentError, ArgumentTypeError, MismatchError
from cadence.lr_scheduler._arguments import milestones_of, period
from cadence.lr_scheduler._base import (
    OWN,
    LRScheduler,
    Rate,
    check_optimizer,
    rates_of,
    says_verbose,
)
from cadence.lr_scheduler._lifetime import construction, was_seen
from cadence.lr_scheduler._together import Together

__all__ = ["ChainedScheduler", "SequentialLR"]

UNKNOWN = object()
"""Stands for the metric in a simulation."""


class _Composite(LRScheduler):
    """What both kinds of composites share."""

    unstored: ClassVar = LRScheduler.unstored | {"_schedulers"}
    may_hold: ClassVar = frozenset({"_schedulers"})

    _schedulers: Sequence[Any]

    def __new__(cls, *_: Any, **__: Any) -> Any:
        self = super().__new__(cls)
        self._go_long()
        return self

    def _go_long(self) -> None:
        """Forget the short way; the next step finds it again."""

    def _adopt_children(self, schedulers: Sequence[Any], optimizer: Optimizer | None) -> Optimizer:
        """Check the children and take them in; the optimizer that they share."""
        name = type(self).__name__
        if not isinstance(schedulers, Sequence):
            raise ArgumentTypeError(
                f"{name}: 'schedulers' must be a list (got {type(schedulers).__name__})"
            )
        if len(schedulers) < 1:
            raise ArgumentError(f"{name} expects at least one scheduler, but got no scheduler.")
        for i, child in enumerate(schedulers):
            if not hasattr(child, "optimizer"):
                raise ArgumentTypeError(
                    f"{name} at index {i} should have `optimizer` as its attribute."
                )
            if child.optimizer is not (optimizer or schedulers[0].optimizer):
                raise ArgumentError(
                    f"{name} expects all schedulers to belong to the same optimizer, but got "
                    f"scheduler {type(child).__name__} at index {i}, whose optimizer is another"
                )
            if any(child is other for other in schedulers[:i]):
                raise ArgumentError(
                    f"{name} expects each scheduler once, but got {type(child).__name__} twice "
                    f"(again at index {i})"
                )
        self._schedulers = schedulers
        self.optimizer = schedulers[0].optimizer
        return self.optimizer

    def step(self, metrics: Any = None) -> None:
        """Advance by one; `metrics` goes to a :class:`ReduceLROnPlateau` that is in charge."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Begin at epoch 0 from the rates that the groups hold."""
        raise NotImplementedError

    def _initial_step(self) -> None:
        self._begin()

    def _update_lr(self, epoch: float | None = None) -> None:
        """Go to `epoch`, from `initial_lr` and as if by single steps."""
        if epoch is None:
            self.step()
            return
        _reset(self.optimizer)
        self._begin()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(int(epoch)):
                self.step(UNKNOWN)

    def _pretend(self) -> None:
        self.step(UNKNOWN)

    def _restart(self) -> None:
        self._update_lr(0)

    def get_lr(self) -> list[Rate]:
        """The rates that the groups hold."""
        if vars(self).get("_get_lr_called_within_step"):
            # Who asks for the next rates instead of stepping would hear of the children's never.
            raise NotImplementedError(f"{type(self).__name__} must be stepped: call step()")
        return rates_of(self.optimizer)

    def _join(self) -> int:
        return len(self.optimizer.param_groups)  # the children do it

    def state_dict(self) -> dict[str, Any]:
        """The clock, if there is one, and the children's states."""
        children = [child.state_dict() for child in self._schedulers]
        return super().state_dict() | {"_schedulers": children}

    def _check_state(self, state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        super()._check_state(state, own)
        states, children = state.get("_schedulers", ()), self._schedulers
        if len(states) != len(children):
            raise MismatchError(
                f"{type(self).__name__}.load_state_dict: the state must be of {len(children)} "
                f"schedulers (it has {len(states)})"
            )
        for child, its in zip(children, states, strict=True):
            if isinstance(child, LRScheduler):
                its = dict(its)
                child._check_state(its, its.pop(OWN, {}))

    def _restore(self, state: dict[str, Any]) -> None:
        for child, its in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            child.load_state_dict(its)
        super()._restore(state)


def _reset(optimizer: Optimizer) -> None:
    """Put the rates back to `initial_lr`."""
    for group in optimizer.param_groups:
        put(group, "lr", copied(group.get("initial_lr", group["lr"])))


def _begin(child: Any) -> None:
    """Let a child begin at epoch 0 from the rates that the groups hold."""
    if isinstance(child, theirs.ReduceLROnPlateau):
        return
    if not isinstance(child, _Composite):
        child.last_epoch = -1
    child._initial_step()


def _step(child: Any, metrics: Any) -> None:
    """Step a child, with the metric if it takes one."""
    if isinstance(child, _Composite):
        child.step(metrics)
    elif not isinstance(child, theirs.ReduceLROnPlateau):
        child.step()
    elif metrics is None:
        raise TypeError(
            "ReduceLROnPlateau needs the metric: write scheduler.step(val_loss) on the composite "
            "that holds it"
        )
    elif metrics is not UNKNOWN:
        child.step(metrics)


def _all(schedulers: Sequence[Any]) -> Iterator[Any]:
    """Children at any depth."""
    for child in schedulers:
        yield child
        if isinstance(child, _Composite):
            yield from _all(child._schedulers)


def _sequences(schedulers: Sequence[Any]) -> list[SequentialLR]:
    return [child for child in _all(schedulers) if isinstance(child, SequentialLR)]


class SequentialLR(_Composite, theirs.SequentialLR):
    """One scheduler after the other; each begins at its epoch 0 at its milestone.

    At a milestone the rates begin again from `initial_lr`, as in torch; within a
    :class:`ChainedScheduler` what the others have done to them is kept.
    """

    __slots__ = ("_child", "_since", "_until")

    _child: Any

    unstored: ClassVar = _Composite.unstored | {"_factors", "_scaled"}

    _factors: list[float] | None = None
    """Within a :class:`ChainedScheduler`, the others' part in the rates."""

    _scaled: list[Rate] | None = None
    """The rates after a milestone at which that part was kept."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[Any],
        milestones: list[int],
        last_epoch: int = -1,
        verbose: Any = "deprecated",
    ) -> None:
        check_optimizer(optimizer)
        self._adopt_children(schedulers, optimizer)
        whole = milestones_of("SequentialLR", milestones)
        if len(whole) != len(schedulers) - 1:
            raise ArgumentError(
                "Sequential Schedulers expects number of schedulers provided to be one more than "
                f"the number of milestone points, but got {len(schedulers)} schedulers and "
                f"{len(whole)} milestones"
            )
        if whole != sorted(whole):
            raise ArgumentError(
                f"SequentialLR: 'milestones' must be in rising order (got {_checks.given(whole)})"
            )
        last_epoch = period("SequentialLR", "last_epoch", last_epoch, low=-1)
        self._milestones = whole
        self._says = says_verbose(verbose)
        with construction(self, optimizer) as self._undone:
            self._update_lr(last_epoch + 1)
        self._watch(optimizer)

    def _go_long(self) -> None:
        self._child, self._since, self._until = None, math.inf, -math.inf

    def _begin(self) -> None:
        self.last_epoch = 0
        self._go_long()
        for child in self._schedulers:
            if not isinstance(child, (_Composite, theirs.ReduceLROnPlateau)):
                child.last_epoch = -1
        self._scaled = None
        if self._factors is not None:
            groups = self.optimizer.param_groups
            self._factors = [self._others_part(i) for i in range(len(groups))]
        _begin(self._active)

    @property
    def _active(self) -> Any:
        """The child in charge."""
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    def step(self, metrics: Any = None) -> None:
        """Advance by one; `metrics` goes to a :class:`ReduceLROnPlateau` that is in charge."""
        epoch = self.last_epoch + 1
        if self._since <= epoch < self._until:
            self._child.step()
            self.last_epoch = epoch
        else:
            self._long_step(epoch, metrics)

    def _long_step(self, epoch: int, metrics: Any) -> None:
        i = bisect_right(self._milestones, epoch)
        child = self._schedulers[i]
        if self._factors is not None:
            self._watch_others(self._factors)
        if i and self._milestones[i - 1] == epoch:
            self._hand_over(child)
        else:
            _step(child, metrics)
        self.last_epoch = epoch
        self._child, self._since, self._until = child, epoch + 1, math.inf
        if self._factors is not None or isinstance(child, (_Composite, theirs.ReduceLROnPlateau)):
            self._until = -math.inf  # there is more to a step than the child's
        elif i < len(self._milestones):
            self._until = self._milestones[i]

    def _hand_over(self, child: Any) -> None:
        if isinstance(child, theirs.ReduceLROnPlateau):
            _reset(self.optimizer)
        else:
            child._update_lr(0)
        if self._factors is not None:
            groups = self.optimizer.param_groups
            for group, factor in zip(groups, self._factors, strict=False):
                put(group, "lr", float(group["lr"]) * factor)
            self._scaled = rates_of(self.optimizer)

    def _join_chain(self) -> None:
        """Watch from now on what others do to the rates."""
        self._go_long()
        if self._factors is None:
            self._factors = [1.0] * len(self.optimizer.param_groups)

    def _others_part(self, index: int) -> float:
        """What others have made of the rate of a group that begins now."""
        group = self.optimizer.param_groups[index]
        first = float(group.get("initial_lr", group["lr"]))
        seen = first and was_seen(self.optimizer, index)
        return float(group["lr"]) / first if seen else 1.0

    def _watch_others(self, factors: list[float]) -> None:
        """What has happened to the rates since this scheduler wrote them is the others' part."""
        groups = self.optimizer.param_groups
        for i, (group, left) in enumerate(zip(groups, self._last_lr, strict=False)):
            if left:
                factors[i] *= float(group["lr"]) / float(left)
        factors += [self._others_part(i) for i in range(len(factors), len(groups))]
        self._scaled = None

    @property
    def _last_lr(self) -> list[Rate]:
        return self._scaled or self._active.get_last_lr()

    def _own_state(self) -> dict[str, Any]:
        scaled = self._scaled and list(map(float, self._scaled))
        return super()._own_state() | {"factors": copy.copy(self._factors), "scaled": scaled}

    def _resume(self, last: Sequence[Any] | None, own: Mapping[str, Any]) -> None:
        del last
        self._go_long()
        if self._factors is not None:
            self._factors = own.get("factors") or self._factors
        self._scaled = own.get("scaled")


class ChainedScheduler(_Composite, theirs.ChainedScheduler):
    """All schedulers at every step: their effects multiply."""

    __slots__ = ("_together",)

    def _go_long(self) -> None:
        self._together: Together | None = None

    def __init__(self, schedulers: Sequence[Any], optimizer: Optimizer | None = None) -> None:
        optimizer = self._adopt_children(schedulers, optimizer)
        self._says = False
        with construction(self, optimizer) as self._undone:
            _, *others = schedulers
            for sequence in _sequences(schedulers):
                sequence._join_chain()
            if _sequences(others) and not any(child._position for child in schedulers):
                # A sequence begins from `initial_lr`, whatever was built before it.
                self._update_lr(0)
        self._watch(optimizer)

    def _begin(self) -> None:
        for child in self._schedulers:
            _begin(child)

    def step(self, metrics: Any = None) -> None:
        """Advance all by one; `metrics` goes to a :class:`ReduceLROnPlateau` among them."""
        together = self._together
        if together is None or not together.step(self._schedulers, self.optimizer.param_groups):
            for child in self._schedulers:
                _step(child, metrics)
            self._together = Together.of(self._schedulers)

    @property
    def _last_lr(self) -> list[Rate]:
        last, together = self._schedulers[-1], self._together
        if together is None or last._engine.next != together.next:
            return last.get_last_lr()
        return together.rates()

    @property
    def _position(self) -> int:
        return self._schedulers[0]._position
