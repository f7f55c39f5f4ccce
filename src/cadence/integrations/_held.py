"""The values that a scheduler's groups hold, by the names that they have in a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cadence.binding import copied, number, read
from cadence.scheduler import Scheduler
from cadence.state import Decision

__all__ = ["held", "numbers", "told"]


def held(scheduler: Scheduler, prefix: str = "") -> dict[str, Any]:
    """What the next update will use, as `lr/NAME`, `momentum/NAME`, ...

    NAME is the group's `"name"`, or `group0`, `group1`, ... over all optimizers; what is set beside
    the groups is `also/NAME`. Tensors are copied, and not read: nothing waits for a device.
    """
    groups = [group for optimizer in scheduler.optimizers for group in optimizer.param_groups]
    labels: dict[str, Mapping[str, Any]] = {}
    for i, group in enumerate(groups):
        label = str(group.get("name", f"group{i}"))
        labels[f"{label}.{i}" if label in labels else label] = group
    values = {
        f"{prefix}{key}/{label}": copied(read(dict(group), key))
        for key in scheduler._given
        for label, group in labels.items()
    }
    others = scheduler._others.items()
    return values | {f"{prefix}also/{name}": other.slot.written for name, other in others}


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The values as floats."""
    return {name: number(value) for name, value in values.items()}


def told(decision: Decision) -> str:
    """A decision as a line of a log."""
    return f"step {decision.step}: rates x {decision.factor:g}, {decision.reason}"
