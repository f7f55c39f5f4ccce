"""What is known beside an optimizer: who writes its values, and whether it has been stepped.

Neither keeps the optimizer or the scheduler alive.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.utils.hooks import RemovableHandle

from cadence.binding import Binding, Slot

if TYPE_CHECKING:
    from cadence.scheduler import Scheduler

__all__ = ["OWNERS", "FirstUpdate", "Owner"]


class Owner(NamedTuple):
    """Who writes a hyperparameter of an optimizer, kept beside the optimizer."""

    scheduler: weakref.ref[Scheduler]
    binding: Binding
    number: int

    def slot(self, key: str, index: int) -> Slot | None:
        self.binding.note()
        place = (self.number, index)
        return next((s for s in self.binding.slots if s.key == key and s.place == place), None)


OWNERS: weakref.WeakKeyDictionary[torch.optim.Optimizer, dict[str, Owner]] = (
    weakref.WeakKeyDictionary()
)


class FirstUpdate:
    """Whether the optimizers have made an update yet, learnt from their own hooks."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self.seen = False
        self.optimizers = [weakref.ref(optimizer) for optimizer in optimizers]
        self.handles: list[RemovableHandle] = []
        for optimizer in optimizers:
            try:
                self.handles.append(optimizer.register_step_post_hook(self))
            except AttributeError:
                # A wrapper without hooks, such as Accelerate's: nothing can be said of its order.
                self.seen = True

    def __call__(self, *_: object) -> None:
        # It stays until the scheduler steps: torch forbids to remove a hook while hooks run.
        self.seen = True

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def missed(self) -> bool:
        """Whether no update was made, and not because AMP skipped one with infinite gradients."""
        self.remove()
        return not self.seen and all(
            _finite(parameter.grad)
            for reference in self.optimizers
            if (optimizer := reference()) is not None
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        )


def _finite(gradient: torch.Tensor) -> bool:
    values = gradient._values() if gradient.is_sparse else gradient
    return bool(torch.isfinite(values).all())
