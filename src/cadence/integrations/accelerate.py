"""Schedules under Accelerate.

Its wrapper steps a scheduler once for each process, unless the batches are split. Here the
scheduler follows the updates that the optimizer really makes, so it does not matter how often it is
stepped, and `save_state` and `load_state` have it under the name that any scheduler has there.
"""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.utils.data import DataLoader

from cadence._optional import require
from cadence.errors import ArgumentError
from cadence.horizon import Horizon
from cadence.integrations._late import completed
from cadence.scheduler import Scheduler

__all__ = ["prepare", "schedule"]


def prepare(accelerator: Any, *objects: Any, **options: Any) -> Any:
    """Prepare models, optimizers, loaders and schedulers: in the place of `accelerator.prepare`.

    A :class:`~cadence.scheduler.Scheduler` comes back as it is, not wrapped. From then on it
    follows the updates: one tick for each, however many processes there are, whatever
    `split_batches` and `step_scheduler_with_optimizer` say, and none for an update that is skipped.
    `accelerator.save_state` saves it, `load_state` restores it.

    Args:
        accelerator: The `Accelerator`.
        *objects: What to prepare, in any order.
        **options: As for `accelerator.prepare`.

    Returns:
        The prepared objects in the order in which they were given; a single one alone.
    """
    for found in objects:
        if isinstance(found, Scheduler):
            found.follow()
    prepared = accelerator.prepare(*objects, **options)
    several = len(objects) > 1
    bare = [
        given if isinstance(given, Scheduler) else its
        for given, its in zip(objects, prepared if several else (prepared,), strict=True)
    ]
    return tuple(bare) if several else bare[0]


def schedule(
    accelerator: Any,
    optimizer: Optimizer,
    loader: Any = None,
    *,
    epochs: int = 1,
    **options: Any,
) -> Scheduler:
    """Make a scheduler for what has been prepared: the loader says how long the run is.

    A prepared loader has as many batches as one process will see, so that the length is right
    where one that was worked out before would be too long by the number of processes.

    Args:
        accelerator: The `Accelerator`; it saves and restores the scheduler from now on.
        optimizer: The optimizer, prepared or not.
        loader: The prepared loader. None where `total_steps` or `horizon` say how long the run is.
        epochs: How often the loop goes through it.
        **options: The plans, such as `lr=Warmup("5%") >> Cosine()`, and the options of
            :class:`~cadence.scheduler.Scheduler`.

    Returns:
        The scheduler, which follows the updates.
    """
    wrapper = require("accelerate.optimizer", "accelerate").AcceleratedOptimizer
    if isinstance(optimizer, wrapper):
        optimizer = optimizer.optimizer  # pyright: ignore[reportAttributeAccessIssue]
    if loader is not None:
        prepared = require("accelerate.data_loader", "accelerate").DataLoaderStateMixin
        if isinstance(loader, DataLoader) and not isinstance(loader, prepared):
            raise ArgumentError(
                "integrations.accelerate.schedule: 'loader' must be prepared, since the processes "
                f"share its batches (got {type(loader).__name__}); write "
                "loader = accelerator.prepare(loader)"
            )
        known = Horizon.from_loader(
            len(loader),
            epochs=epochs,
            accumulate=accelerator.gradient_accumulation_steps,
            quiet=not accelerator.is_main_process,
        )
        options = completed(options, known)
    return prepare(accelerator, Scheduler(optimizer, **options))
