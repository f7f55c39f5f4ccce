"""Who writes the values of an optimizer; keeps neither it nor the scheduler alive."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, NamedTuple

import torch

from cadence.binding import Binding, Slot

if TYPE_CHECKING:
    from cadence.scheduler._bound import Bound

__all__ = ["OWNERS", "Owner"]


class Owner(NamedTuple):
    """Who writes a hyperparameter of an optimizer, kept beside the optimizer."""

    scheduler: weakref.ref[Bound]
    binding: Binding
    number: int

    def slot(self, key: str, index: int) -> Slot | None:
        self.binding.note()
        place = (self.number, index)
        return next((s for s in self.binding.slots if s.key == key and s.place == place), None)


OWNERS: weakref.WeakKeyDictionary[torch.optim.Optimizer, dict[str, Owner]] = (
    weakref.WeakKeyDictionary()
)
