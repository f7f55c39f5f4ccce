"""torchtitan: warm-up, a stable phase and a decay, as its config has them.

Update t has the multiple (t + 1) / warmup_steps, so that the peak is a step early, and the decay
would end one update after the last. Formulas: `torchtitan/components/optimizer/lr_scheduler.py` of
0.3.0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from cadence import _checks
from cadence.dialects._clock import sequence
from cadence.dialects._common import call
from cadence.dialects._common import steps as whole
from cadence.errors import ArgumentTypeError
from cadence.horizon import Duration
from cadence.schedule import Schedule
from cadence.shapes import Cosine, CosineWave, Hold, Linear, OneMinusSqrt, PowerLaw, Ramp

__all__ = ["from_torchtitan"]

WHERE = "from_torchtitan"

DECAYS: dict[str, Ramp] = {"linear": Linear(), "sqrt": OneMinusSqrt(), "cosine": Cosine()}


def from_torchtitan(
    config: Mapping[str, Any] | object | None = None,
    *,
    training_steps: int | None = None,
    **arguments: Any,
) -> Schedule:
    """The plan of torchtitan's `lr_scheduler`; its values multiply the groups' own rates.

    Told how long the run is, the plan goes on after its end as torchtitan's does: below
    `min_lr_factor` and then below 0, or for a cosine up again. Otherwise it is open, takes the
    run, and holds its end.

    Args:
        config: The section `lr_scheduler`, as a dict or the object; or a dict with that section
            and `training`, which has the steps.
        training_steps: Updates of the run, torchtitan's `training.steps`.
        **arguments: `warmup_steps` (200), `total_steps`, `decay_ratio`, `decay_type` (`"linear"`,
            `"sqrt"` or `"cosine"`) and `min_lr_factor`; they go before those of the config.

    Raises:
        ArgumentError: An argument is unknown or cannot be meant.

    >>> from_torchtitan(warmup_steps=10, decay_ratio=0.2)
    Linear(9, start=0.1, end=1) >> Hold() >> Linear('20%')
    >>> plan = from_torchtitan(warmup_steps=10, decay_ratio=0.2, training_steps=100)
    >>> plan(0), plan(9), plan(80), plan(90), round(plan(99), 12)
    (0.1, 1.0, 1.0, 0.5, 0.05)

    Liang et al., TorchTitan (2024); Hu et al., MiniCPM (2024), for the stable phase.
    """
    found = _section(config)
    if training_steps is None and isinstance(config, Mapping):
        training_steps = (config.get("training") or {}).get("steps")
    return call(WHERE, _read, {**found, "training_steps": training_steps, **arguments})


def _section(config: Any) -> dict[str, Any]:
    """The arguments of a config."""
    if config is None:
        return {}
    if isinstance(config, Mapping):
        if "lr_scheduler" in config or "training" in config:
            return dict(config.get("lr_scheduler") or {})
        return dict(config)
    if dataclasses.is_dataclass(config):
        return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    raise ArgumentTypeError(
        f"{WHERE}: 'config' must be the section 'lr_scheduler' (got {_checks.given(config)})"
    )


def _read(
    *,
    training_steps: int | None,
    warmup_steps: int = 200,
    total_steps: int | None = None,
    decay_ratio: float | None = None,
    decay_type: str = "linear",
    min_lr_factor: float = 0.0,
) -> Schedule:
    warmup = whole(WHERE, "warmup_steps", warmup_steps)
    low = _checks.number(WHERE, "min_lr_factor", min_lr_factor)
    _checks.choice(WHERE, "decay_type", decay_type, DECAYS)
    ratio = None
    if decay_ratio is not None:
        ratio = _checks.number(WHERE, "decay_ratio", decay_ratio, low=0, high=1)
    total = training_steps if total_steps is None else total_steps
    shape = dataclasses.replace(DECAYS[decay_type], end=low)
    if total is None:
        return _open(warmup, ratio, shape)
    name = "training_steps" if total_steps is None else "total_steps"
    total = whole(WHERE, name, total, low=1)
    warmup = min(warmup, total)
    decay = total - warmup
    if ratio is not None:
        decay = min(round(total * ratio), decay)
    phases = _risen(warmup, total - decay)
    if decay:
        phases.append(dataclasses.replace(shape, steps=decay))
        if low != 1.0:
            phases.append(_after(decay_type, decay, low))
    return sequence(phases)


def _risen(warmup: int, until: int | None) -> list[Schedule]:
    """The warm-up, and the peak until the step at which the decay begins."""
    reached = max(0, warmup - 1)
    up = [Linear(reached, start=1.0 / warmup, end=1.0)] if reached else []
    held = None if until is None else until - reached
    return [*up, Hold(held)] if held != 0 else [*up]


def _open(warmup: int, ratio: float | None, shape: Ramp) -> Schedule:
    """The plan that waits for the length of the run."""
    if ratio is None:
        return sequence([*_risen(warmup, warmup), shape])
    if ratio == 0:
        return sequence(_risen(warmup, None))
    share = Duration(Fraction(str(ratio)) * 100, "%")
    return sequence([*_risen(warmup, None), dataclasses.replace(shape, steps=share)])


def _after(kind: str, decay: int, low: float) -> Schedule:
    """What the formula gives after the end of the decay, where nobody is meant to look."""
    if kind == "cosine":
        return CosineWave(2 * decay, start=low, end=1.0)
    # At the end of the decay 1 - x and 1 - sqrt(x) are 0, and the distance to 1 grows on.
    exponent = -1.0 if kind == "linear" else -0.5
    return PowerLaw(decay, exponent=exponent, start=low - 1.0) + 1.0
