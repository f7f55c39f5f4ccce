"""What a schedule and its changes are called in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch.optim import Optimizer

from cadence.explain import explain
from cadence.schedule import Schedule
from cadence.scheduler import Scheduler
from cadence.state import Adjustment, Decision

__all__ = ["Place", "adjustment", "decision", "described", "label_groups", "parameters"]

Place = tuple[int, int]
"""Which optimizer, and which of its groups."""


def label_groups(optimizers: Iterable[Optimizer], labels: dict[Place, str]) -> None:
    """Give each group that has none a label: its name, or `group0`, `group1`, ... in order."""
    for o, optimizer in enumerate(optimizers):
        for i, group in enumerate(optimizer.param_groups):
            if (o, i) not in labels:
                nth = len(labels)
                label = str(group.get("name", f"group{nth}"))
                labels[o, i] = f"{label}.{nth}" if label in labels.values() else label


def described(scheduler: Scheduler, label: Callable[[tuple[int, int]], str]) -> str:
    """The plans with the groups that they are of; those of rates in a sentence, too."""
    # In a run of a given time the resolved plans are laid out on an axis that nobody asked for.
    timed = scheduler.horizon.wall_time is not None
    groups: dict[tuple[str, Schedule, float], list[str]] = {}
    for slot in scheduler._binding.slots:
        plan = slot.given if timed else slot.plan
        groups.setdefault((slot.key, plan, slot.own), []).append(label(slot.place))
    lines = [f"A run of {scheduler.horizon.wall_time:g} s."] if timed else []
    for (key, plan, base), labels in groups.items():
        lines.append(f"{key} of {_listed(labels)}, base {base!r}: {plan!r}")
        if key == "lr" and not timed:
            lines.append(f"    {explain(plan, scheduler.horizon, base).sentence}")
    for name, other in scheduler._others.items():
        lines.append(f"{name}: {other.slot.given if timed else other.slot.plan!r}")
    return "\n".join(lines)


def parameters(scheduler: Any) -> str:
    """A scheduler of torch's protocol by its class and its parameters."""
    plain, told = (int, float, str, bool), []
    for name, value in vars(scheduler).items():
        values = value if isinstance(value, (list, tuple)) else [value]
        known = all(isinstance(one, plain) for one in values)
        if known and not name.startswith("_") and name not in ("last_epoch", "verbose"):
            told.append(f"{name}={value!r}")
    told += [parameters(child) for child in getattr(scheduler, "_schedulers", ())]
    return f"{type(scheduler).__name__}({', '.join(told)})"


def decision(made: Decision) -> str:
    """One line on what the feedback has decided."""
    return f"rates x {made.factor:g} (metric {made.metric:g}): {made.reason}"


def adjustment(made: Adjustment) -> str:
    """One line on a change by hand."""
    whose = "" if made.group is None else f" of {made.group}"
    how = f"x {made.factor:g}" if made.factor is not None else f"set to {made.level:g}"
    return f"{made.key}{whose} {how}" + (f": {made.reason}" if made.reason else "")


def _listed(labels: list[str], most: int = 8) -> str:
    shown = ", ".join(labels[:most])
    return f"{shown} and {len(labels) - most} more" if len(labels) > most else shown
