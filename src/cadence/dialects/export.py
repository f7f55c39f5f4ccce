"""Plans for those who do not have Cadence: as code for another library, as Python, as numbers."""

from __future__ import annotations

from cadence import _checks
from cadence.dialects._exported import Exported, Run
from cadence.dialects._writers import WRITERS
from cadence.horizon import Horizon
from cadence.schedule import Schedule
from cadence.text import to_json

__all__ = ["TARGETS", "Exported", "export"]

TARGETS = tuple(WRITERS)
"""What a plan can be written for."""


def export(
    plan: Schedule,
    target: str,
    total_steps: int | Horizon | None = None,
    *,
    base_lr: float | None = None,
    tolerance: float = 0.0,
) -> Exported:
    """A plan written for another library; see :meth:`~cadence.schedule.Schedule.export`."""
    _checks.choice("export", "target", target, TARGETS)
    if base_lr is not None:
        base_lr = _checks.number("export", "base_lr", base_lr, above=0)
    tolerance = _checks.number("export", "tolerance", tolerance, low=0)
    if target == "json" and total_steps is None:
        return Exported("json", plan, to_json(plan))  # it needs no numbers
    horizon = Horizon.of(total_steps)
    return WRITERS[target](Run(plan.resolve(horizon), horizon.total_steps, base_lr, tolerance))
