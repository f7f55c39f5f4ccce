"""What a `LightningModule` returns from `configure_optimizers`, as a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cadence import _checks
from cadence.dialects import _common
from cadence.dialects.torch import from_torch
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.feedback import Plateau
from cadence.schedule import Schedule

__all__ = ["from_lightning"]

WHERE = "from_lightning"
_FIELDS = ("scheduler", "name", "interval", "frequency", "reduce_on_plateau", "monitor", "strict")


def from_lightning(
    config: Any, *, steps_per_epoch: int | None = None, key: str = "lr", group: int | None = None
) -> Schedule | Plateau:
    """The plan, on a clock of updates, of a scheduler as Lightning steps it.

    Lightning steps a scheduler at the end of an epoch unless `interval` says `"step"`, and only
    every `frequency`-th time. In between the rate stays: `plan.stairs(every, each=1)`.

    Args:
        config: The dict `{"scheduler": ..., "interval": ..., "frequency": ...}`, or the one with
            `"lr_scheduler"` that `configure_optimizers` returns, or a bare scheduler.
        steps_per_epoch: Updates in an epoch. Without it, epochs are resolved later, against the
            run that the plan is bound to. A `frequency` above 1 of steps needs it, since
            Lightning counts batches from the start of each epoch (and without accumulation).
        key: As for :func:`~cadence.dialects.torch.from_torch`.
        group: As for :func:`~cadence.dialects.torch.from_torch`.

    Returns:
        The plan; for a `ReduceLROnPlateau` the controller, which is to be given the `monitor`
        every `frequency`-th epoch: `Scheduler(..., feedback=...)`.

    Raises:
        ArgumentError: As `from_torch`; or the dict holds an unknown key; or `frequency` does not
            divide `steps_per_epoch`, so that the stairs are not all alike.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
    >>> from_lightning({"scheduler": scheduler, "interval": "step"})
    StepDecay(30)
    >>> from_lightning(scheduler)
    StepDecay(30).stairs('1ep', each=1)
    >>> from_lightning({"scheduler": scheduler, "frequency": 2}, steps_per_epoch=500)
    StepDecay(30).stairs(1000, each=1)

    Lightning 2.6, `lightning.pytorch.core.optimizer`.
    """
    given = _given(config)
    interval = _checks.choice(WHERE, "interval", given.get("interval", "epoch"), ("epoch", "step"))
    frequency = _common.steps(WHERE, "frequency", given.get("frequency", 1), low=1)
    plan = given["scheduler"]
    if not isinstance(plan, Schedule):
        plan = from_torch(plan, key=key, group=group)
    if isinstance(plan, Plateau):
        return plan
    if given.get("reduce_on_plateau"):
        raise ArgumentError(
            f"{WHERE}: 'reduce_on_plateau' must not be set for a scheduler that does not answer a "
            f"metric (got {type(given['scheduler']).__name__})"
        )
    if interval == "epoch":
        every: Any = f"{frequency}ep"
        if steps_per_epoch is not None:
            every = frequency * _checks.whole(WHERE, "steps_per_epoch", steps_per_epoch, low=1)
    elif frequency == 1:
        return plan
    else:
        every = frequency
        if steps_per_epoch is None or steps_per_epoch % frequency:
            raise ArgumentError(
                f"{WHERE}: 'frequency' must divide 'steps_per_epoch' (got {frequency} and "
                f"{steps_per_epoch}): Lightning counts the batches of each epoch from its start"
            )
    return plan.stairs(every, each=1) if every != 1 else plan


def _given(config: Any) -> Mapping[str, Any]:
    """The configuration of one scheduler, however it is given."""
    if isinstance(config, Mapping):
        if "lr_scheduler" in config:
            return _given(config["lr_scheduler"])
        for name in config:
            if name not in _FIELDS:
                hint = _checks.suggest(name, _FIELDS)
                raise ArgumentTypeError(f"{WHERE}: unknown key {_checks.given(name)}{hint}")
        if "scheduler" not in config:
            raise ArgumentTypeError(f"{WHERE}: the dict must have a 'scheduler' (got {config!r})")
        return config
    if isinstance(config, (list, tuple)):
        raise ArgumentTypeError(
            f"{WHERE}: 'config' must be of one scheduler (got {type(config).__name__} of "
            f"{len(config)}); call it for each"
        )
    if hasattr(config, "scheduler") and hasattr(config, "interval"):
        return {name: getattr(config, name) for name in _FIELDS if hasattr(config, name)}
    return {"scheduler": config}
