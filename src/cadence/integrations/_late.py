"""Schedulers that are made when a trainer knows how long it will train."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch.optim import Optimizer

from cadence import _checks
from cadence._warn import warn
from cadence.binding import put
from cadence.errors import ArgumentError, PaceWarning, TakeoverWarning
from cadence.given import normalized
from cadence.horizon import Horizon
from cadence.scheduler import Scheduler

__all__ = ["LateScheduler", "compare_length", "completed"]

OPTIONS = frozenset(inspect.signature(Scheduler).parameters) - {"plans"}


def completed(options: Mapping[str, Any], known: Horizon) -> dict[str, Any]:
    """A scheduler's options, with what the trainer knows of the run where they leave it open."""
    given = options.get("horizon") or Horizon()
    if given.steps_per_epoch is None:
        given = replace(given, steps_per_epoch=known.steps_per_epoch)
    counted = options.get("total_steps") is not None or given.wall_time is not None
    if given.total_steps is None and not counted:
        given = replace(given, total_steps=known.total_steps)
    return {**options, "horizon": given}


def compare_length(scheduler: Scheduler, known: Horizon) -> None:
    """Say where a plan is made for another number of updates than the trainer will make."""
    planned, made = scheduler.horizon.total_steps, known.total_steps
    if planned is not None and made is not None and planned != made:
        warn(
            f"Scheduler: the plan is for {planned:,} updates, and the training makes {made:,}; "
            f"write total_steps={made}, or extend({made}) in the middle of a run",
            PaceWarning,
        )


class LateScheduler:
    """Stands for a scheduler in a trainer, which knows only when it begins how long it will train.

    From then on it is that scheduler in all but its class: `scheduler.plot()`,
    `scheduler.value_at(step)`, ... are those of :attr:`scheduler`. A state that is loaded before
    is taken up by the scheduler when it is made.

    Args:
        where: Who makes it, for messages.
        options: As for :class:`~cadence.scheduler.Scheduler`, but the optimizer. What is left open
            of the horizon is what the trainer says.

    Raises:
        ArgumentError: A plan cannot be one, or the clock is to count epochs.
    """

    def __init__(self, where: str, options: Mapping[str, Any]) -> None:
        if options.get("clock", "update") != "update":
            raise ArgumentError(
                f"{where}: 'clock' must be 'update' (got {options['clock']!r}); the framework's "
                "updates are counted, and lengths may be in epochs: Warmup('1ep')"
            )
        plans = {key: plan for key, plan in options.items() if key not in OPTIONS}
        if not plans:
            raise ArgumentError(f"{where}: at least one plan must be given, such as lr=Cosine()")
        for key, plan in plans.items():
            normalized(key, plan)
        self.scheduler: Scheduler | None = None
        """The scheduler, as soon as the trainer has begun."""
        self._where, self._options = where, dict(options)
        self._state: dict[str, Any] | None = None

    def begin(self, optimizer: Optimizer, known: Horizon, step: int = 0) -> Scheduler:
        """Make the scheduler, or another one where the trainer begins again.

        Args:
            optimizer: The optimizer itself, not a wrapper of it.
            known: What the trainer knows of the run.
            step: The updates that it has made, if it resumes; a state says better.
        """
        earlier, state, self._state = self.scheduler, self._state, None
        if earlier is not None and state is not None and earlier.last_epoch != state["step"]:
            state = None  # it was loaded to go back in a run, which has gone on since
        if earlier is not None and earlier.optimizer is not optimizer:
            earlier = None
        if earlier is not None and step and state is None:
            return earlier
        with warnings.catch_warnings():
            if earlier is not None:
                warnings.simplefilter("ignore", TakeoverWarning)
                for slot in earlier._binding.slots:
                    put(slot.group(earlier._binding.groups), slot.key, slot.own)
            scheduler = Scheduler(optimizer, **completed(self._options, known))
        if state is not None:
            scheduler.load_state_dict(state)
        elif step:
            scheduler.seek(step)
        self.scheduler = scheduler
        return scheduler

    def step(self, metric: Any = None) -> None:
        """Advance the clock, after the update."""
        self._begun("step").step(metric)

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's state."""
        return self._begun("state_dict").state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state, or keep it until there is a scheduler to load it."""
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state_dict)
        self._state = state_dict

    def _begun(self, name: str) -> Scheduler:
        if self.scheduler is None:
            raise ArgumentError(
                f"{self._where}: the scheduler is made when the training begins; {name} must be "
                "asked for after that"
            )
        return self.scheduler

    def __getattr__(self, name: str) -> Any:
        scheduler = self.__dict__.get("scheduler")
        if scheduler is None:
            raise AttributeError(
                f"{type(self).__name__} has no {name!r} before the training begins; only then is "
                "its scheduler made"
            )
        return getattr(scheduler, name)

    def __repr__(self) -> str:
        if self.scheduler is not None:
            return repr(self.scheduler)
        plans = ", ".join(f"{key}={_checks.given(plan)}" for key, plan in self._options.items())
        return f"LateScheduler({plans})"
