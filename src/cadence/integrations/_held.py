"""The values that a scheduler's groups hold, by the names that they have in a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cadence.binding import copied, number, read
from cadence.logs._texts import Place, label_groups
from cadence.scheduler import Scheduler

__all__ = ["Held", "numbers"]


class Held:
    """What the next update will use, as `lr/NAME`, `momentum/NAME`, ... at each call.

    These are the names of :class:`~cadence.logs.ScheduleLogger`. Frameworks have an event before
    each update, so no hook is needed. Tensors are copied, and not read: nothing waits for a device.
    """

    def __init__(self, scheduler: Scheduler, prefix: str = "") -> None:
        self.scheduler, self.prefix = scheduler, prefix
        self._labels: dict[Place, str] = {}

    def __call__(self) -> dict[str, Any]:
        optimizers, prefix = self.scheduler.optimizers, self.prefix
        label_groups(optimizers, self._labels)
        values = {
            f"{prefix}{key}/{label}": copied(read(optimizers[o].param_groups[i], key))
            for key in self.scheduler._given
            for (o, i), label in self._labels.items()
        }
        others = self.scheduler._others.items()
        return values | {f"{prefix}also/{name}": other.slot.written for name, other in others}


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The values as floats."""
    return {name: number(value) for name, value in values.items()}
