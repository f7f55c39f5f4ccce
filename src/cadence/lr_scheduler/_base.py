"""torch's scheduler protocol, for people's own classes and for those of this module.

:class:`LRScheduler` is the class to subclass: `get_lr` is asked at every step, as in torch.
Torch's own stepping does not run; its classes are parents for the sake of `isinstance`.
"""

from __future__ import annotations

import copy
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim import lr_scheduler as theirs
from torch.optim.lr_scheduler import EPOCH_DEPRECATION_WARNING

from cadence import _checks
from cadence._warn import warn
from cadence.binding import Group, copied, put
from cadence.errors import ArgumentTypeError, MismatchError
from cadence.lr_scheduler._arguments import period
from cadence.lr_scheduler._lifetime import (
    assume_updated,
    construction,
    forget,
    remember_updates,
    see,
    updated,
)
from cadence.shapes import Function

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "EPOCH_DEPRECATION_WARNING",
    "OWN",
    "LRScheduler",
    "Rate",
    "_LRScheduler",
    "check_optimizer",
    "rates_of",
    "says_verbose",
]

Rate = float | torch.Tensor

OWN = "cadence"
"""The key of our own part of a state; torch's classes carry it along unread."""

HISTORIC = frozenset({"verbose", "_verbose", "anneal_func"})
"""Keys that states of older torch versions may hold."""

LATE = frozenset(
    {
        *("_get_lr_called_within_step", "_is_initial", "_last_lr", "_step_count"),
        *("default_min_lr", "use_beta1"),
    }
)
"""Keys that states of older torch versions may lack: the scheduler's own values stay."""


def says_verbose(verbose: Any) -> bool:
    """Read the old trailing argument; torch dropped it in 2.7 after a deprecation."""
    if verbose == "deprecated":
        return False
    warn(
        "The verbose parameter is deprecated. Please use get_last_lr() to access the learning "
        "rate.",
        DeprecationWarning,
    )
    return bool(verbose)


def check_optimizer(optimizer: Any) -> None:
    """Raise unless it is one."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(f"{type(optimizer).__name__} is not an Optimizer")


def detached(value: Any, memo: dict[int, Any]) -> Any:
    """A copy of containers, tensors and arrays; what else people keep stays the very object."""
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, (list, tuple, set)) and type(value) in (list, tuple, set):
        return type(value)(detached(one, memo) for one in value)
    if isinstance(value, dict):
        copy_ = copy.copy(value)
        for key, one in value.items():
            copy_[key] = detached(one, memo)
        return copy_
    return value


def rates_of(optimizer: Optimizer, key: str = "lr") -> list[Any]:
    """The groups' values of `key`, tensors as copies."""
    values = [group[key] for group in optimizer.param_groups]
    return [value if type(value) is float else copied(value) for value in values]


class _Newborn(theirs.LRScheduler):
    """What a scheduler has before any constructor has run."""

    # Outside `__dict__`, and so outside states.
    __slots__ = ("_found_step", "_says", "_undone")

    def __new__(cls, *_: Any, **__: Any) -> Any:
        self = super().__new__(cls)
        # A subclass may come to life without our constructor: by its own, or by `__setstate__`.
        self._says, self._undone, self._found_step = False, False, None
        return self


class LRScheduler(_Newborn):
    """The base of all schedulers of this module, and of people's own.

    Subclass it, set your attributes, call `super().__init__(optimizer, last_epoch)` (the old
    call with a trailing `verbose` works too), and define `get_lr`, which returns one rate for
    each group at `self.last_epoch`.
    """

    unstored: ClassVar[frozenset[str]] = frozenset({"optimizer"})
    """Attributes that do not belong into a state."""

    def __init__(
        self, optimizer: Optimizer, last_epoch: int = -1, verbose: Any = "deprecated"
    ) -> None:
        check_optimizer(optimizer)
        last_epoch = period(type(self).__name__, "last_epoch", last_epoch, low=-1)
        self._says = says_verbose(verbose)
        with construction(self, optimizer) as self._undone:
            self._start(optimizer, last_epoch)
        self._watch(optimizer)

    def _start(self, optimizer: Optimizer, last_epoch: int) -> None:
        """Write the groups' keys and the first rates."""
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                    "scheduler with last_epoch >= 0; load the optimizer's state first, or leave "
                    "last_epoch out and load the scheduler's state"
                )
        self.base_lrs = rates_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._initial_step()

    def _watch(self, optimizer: Optimizer) -> None:
        """Take note of what has to be known at the first step."""
        remember_updates(optimizer)
        see(optimizer, len(optimizer.param_groups) - 1)  # a copy of an optimizer is new to us
        self._found_step = vars(optimizer).get("step")

    def _initial_step(self) -> None:
        """Begin; `last_epoch` is one before."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def step(self, epoch: float | None = None) -> None:
        """Advance by one, or (deprecated) go to `epoch`; call it after `optimizer.step()`."""
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warn(EPOCH_DEPRECATION_WARNING)
        self._update_lr(epoch)

    def _check_order(self) -> None:
        """Warn, at the first step, of what would lose the first value."""
        self._adopt()
        if vars(self.optimizer).get("step") is not self._found_step:
            warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization. Please, make sure to call `optimizer.step()` before "
                "`lr_scheduler.step()`. See more details at "
                "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
            )
        elif not updated(self.optimizer):
            warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in "
                "the opposite order, or the first value of the schedule is skipped. See more "
                "details at "
                "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
            )

    def _adopt(self) -> None:
        """The scheduler is in use: what it did when it was built stays, even if it dies."""
        forget(self.optimizer)
        if self._undone:
            self._undone = False
            warn(
                f"{type(self).__name__}: an earlier scheduler was built on this optimizer and "
                "dropped without a step; what it had done to the groups was taken back"
            )

    def _update_lr(self, epoch: float | None = None) -> None:
        """Move to the next epoch, or to `epoch`, and write its rates."""
        if epoch is not None and not epoch >= 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        self._join()
        self._move(epoch)
        self._get_lr_called_within_step = True
        try:
            closed = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
            rates = self.get_lr() if closed is None else closed()
        finally:
            self._get_lr_called_within_step = False
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            put(group, "lr", rate)
        self._last_lr = rates_of(self.optimizer)
        self._say(epoch)

    def _move(self, epoch: float | None) -> None:
        """Set the clock."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch  # pyright: ignore[reportAttributeAccessIssue]

    def _join(self) -> int:
        """Take in groups that were added to the optimizer; the number of those before."""
        known = len(self.base_lrs)
        for i, group in enumerate(self.optimizer.param_groups[known:], known):
            group.setdefault("initial_lr", copied(group["lr"]))
            if see(self.optimizer, i):
                put(group, "lr", group["initial_lr"])
            self._extend(group)
            self.base_lrs.append(copied(group["initial_lr"]))
        return known

    def _extend(self, group: Group) -> None:
        """Whatever else a class keeps for each group."""

    def _say(self, epoch: float | None) -> None:
        """Print torch's old line where `verbose` asked for it."""
        if not self._says:
            return
        for i, rate in enumerate(self.get_last_lr()):
            if epoch is None:
                print(f"Adjusting learning rate of group {i} to {float(rate):.4e}.")  # noqa: T201
            else:
                at = f"{epoch:.2f}" if isinstance(epoch, float) else f"{epoch:05d}"
                print(  # noqa: T201
                    f"Epoch {at}: adjusting learning rate of group {i} to {float(rate):.4e}."
                )

    def get_last_lr(self) -> list[Rate]:
        """The rates that this scheduler computed last; tensors are copies."""
        return self._last_lr

    # State.

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer, as copies; under a key of its own what torch's lack.

        Methods that somebody has replaced on the object are not stored.
        """
        memo = {id(self.optimizer): self.optimizer}  # a child's optimizer is never copied
        self._join()
        state = {
            key: detached(value, memo)
            for key, value in vars(self).items()
            if key not in self.unstored and not callable(getattr(type(self), key, None))
        }
        state["_last_lr"] = [copied(rate) for rate in self._last_lr]
        state[OWN] = self._own_state()
        return state

    def _own_state(self) -> dict[str, Any]:
        """What torch's states lack: the class, and rates that were set after the last step."""
        return {
            "class": type(self).__name__,
            "last_lr": list(map(float, self._last_lr)),
            "rates": list(map(float, rates_of(self.optimizer))),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a state of this class, made here or by torch, and write its rates.

        Raises:
            MismatchError: The state is of another class or of other groups, or holds unknown
                keys; nothing is changed.
        """
        state = detached(dict(state_dict), {id(self.optimizer): self.optimizer})
        own = state.pop(OWN, {})
        self._check_state(state, own)
        last = state.get("_last_lr")
        if last is None or own.get("last_lr") != list(map(float, last)):
            own = {}  # torch has carried it along, and has stepped since
        if "_step_count" in vars(self):
            state.setdefault("_step_count", state.get("last_epoch", 0) + 1)
        self._restore(state)
        self._resume(last, own)
        for group, rate in zip(
            self.optimizer.param_groups, own.get("rates", last) or (), strict=False
        ):
            put(group, "lr", float(rate))
        forget(self.optimizer)
        self._undone = False

    def _check_state(self, state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        """Raise unless the state can be one of this class and of these groups."""
        name, kind = type(self).__name__, type(self)
        where = f"{name}.load_state_dict"
        number = len(self.optimizer.param_groups)
        for values in (state.get("base_lrs"), state.get("min_lrs")):
            if values and len(values) != number:
                raise MismatchError(
                    f"{where}: the state must be of {number} groups (it has {len(values)})"
                )
        shadowing = sorted(key for key in state if callable(getattr(kind, key, None)))
        if kind.__module__.startswith(__name__.rpartition(".")[0]):
            expected = (vars(self).keys() | {"_last_lr"}) - self.unstored
            unknown = sorted(state.keys() - expected - HISTORIC - self.may_hold)
            missing = sorted(expected - state.keys() - self.may_lack - LATE)
            if unknown or missing or own.get("class", name) != name:
                raise MismatchError(
                    f"{where}: the state must be one of {name} (it is of "
                    f"{own.get('class', 'another class')}, with unknown keys {unknown}, without "
                    f"{missing})"
                )
        elif shadowing or "last_epoch" not in state:
            raise MismatchError(
                f"{where}: the state must be one of {name} (it would replace the methods "
                f"{shadowing})"
            )

    may_hold: ClassVar[frozenset[str]] = frozenset()
    """Keys of a state that are no attributes."""

    may_lack: ClassVar[frozenset[str]] = frozenset({"_last_lr"})
    """Keys that a state made by torch need not have."""

    def _restore(self, state: dict[str, Any]) -> None:
        """Take over the attributes."""
        self.__dict__.update(
            {k: v for k, v in state.items() if k not in HISTORIC - vars(self).keys()}
        )

    def _resume(self, last: Sequence[Any] | None, own: Mapping[str, Any]) -> None:
        """Go on from a restored state, in which the rates computed last were `last`."""

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        assume_updated(self.optimizer)
        self._watch(self.optimizer)

    # What torch's schedulers cannot be asked.

    def value_at(self, step: int, group: int = 0) -> float:
        """The rate of one group at `step`, by simulation on a copy; nothing is changed.

        Steps before the present one are simulated from the start, from `initial_lr` and the
        attributes as they are now.
        """
        step = _checks.whole(f"{type(self).__name__}.value_at", "step", step)
        aside, ahead = self._aside(), step - self._position
        if ahead < 0:
            aside._restart()
            ahead = step
        return deque(aside._simulated(ahead, group), maxlen=1).pop()

    def preview(self, n: int, group: int = 0) -> np.ndarray:
        """The rates of the next n steps of one group, the present one first; shape (n,)."""
        n = _checks.whole(f"{type(self).__name__}.preview", "n", n)
        rates = list(self._aside()._simulated(max(0, n - 1), group))
        return np.array(rates[:n], dtype=np.float64)

    def plot(self, n: int = 100, **options: Any) -> list[Axes]:
        """Draw the rates of the steps so far and of the next n, the present step marked.

        The steps so far are drawn as :meth:`value_at` gives them. Groups of one curve share it.

        Args:
            n: Steps to look ahead.
            **options: As for :func:`cadence.plot.panels`.

        Returns:
            The matplotlib axes, one.
        """
        from cadence.plot import curve, panels

        n, now = _checks.whole(f"{type(self).__name__}.plot", "n", n), self._position
        names: dict[tuple[float, ...], list[str]] = {}
        for i, group in enumerate(self.optimizer.param_groups):
            aside = self._aside()
            aside._restart()
            past = list(aside._simulated(now, i))[:-1]
            course = (*past, *self.preview(n + 1, i).tolist())
            names.setdefault(course, []).append(group.get("name", f"group {i}"))
        alone = len(names) == 1
        curves = [
            curve(
                Function(lambda step, course=course: course[step]),
                now + n,
                label=type(self).__name__ if alone else ", ".join(labels),
            )
            for course, labels in names.items()
        ]
        return panels({"lr": curves}, mark=now, **options)

    @property
    def _position(self) -> int:
        """The step that `value_at` takes for the present one."""
        return int(self.last_epoch)

    def _aside(self) -> LRScheduler:
        """A copy on a stand-in for the optimizer, to be stepped without touching the real one."""
        stand_in = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=0.1)
        stand_in.param_groups = [
            {
                name: [] if name == "params" else copy.deepcopy(value)
                for name, value in group.items()
            }
            for group in self.optimizer.param_groups
        ]
        stand_in.defaults = dict(self.optimizer.defaults)
        return copy.deepcopy(self, {id(self.optimizer): stand_in})

    def _simulated(self, steps: int, group: int) -> Iterator[float]:
        """The present rate, and those of the next `steps`."""
        groups = self.optimizer.param_groups
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield float(groups[group]["lr"])
            for _ in range(steps):
                self._pretend()
                yield float(groups[group]["lr"])

    def _pretend(self) -> None:
        """One step of a simulation, which knows of no metric."""
        self.step()

    def _restart(self) -> None:
        """Begin again from `initial_lr`."""
        for group in self.optimizer.param_groups:
            put(group, "lr", copied(group["initial_lr"]))
        self.last_epoch = -1
        self._initial_step()


class _LRScheduler(LRScheduler, theirs._LRScheduler):
    """The old name of the base class."""
