"""Schedules on the engines of PyTorch-Ignite."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch.optim import Optimizer

from cadence import _checks
from cadence._optional import require
from cadence.errors import ArgumentError
from cadence.horizon import Horizon
from cadence.integrations._held import Held, numbers
from cadence.integrations._late import LateScheduler, compare_length
from cadence.logs._texts import decision as line
from cadence.scheduler import Scheduler

__all__ = ["ScheduleHandler"]


class ScheduleHandler:
    """Runs a schedule on an engine.

    One line does it: `ScheduleHandler(optimizer, lr=plan).attach(trainer)`.

    The scheduler is made when the engine starts, and knows how long it will run. It follows the
    updates of the optimizer, wherever the process function makes them. Before each iteration
    `engine.state.metrics` has `lr/NAME` and the like for each scheduled value and each group, by
    the group's `"name"` or as `group0`, `group1`, ...: the values that the iteration uses.

    It has a state, so `Checkpoint({"schedule": handler, ...}, ...)` saves it, and
    `Checkpoint.load_objects` restores it before the engine runs. A run of a given time is
    terminated when its time is over, and evaluation does not count as training time.

    Args:
        optimizer: The optimizer.
        metric: The metric for the feedback, by its name among the evaluator's metrics.
        accumulate: Iterations for each update.
        log: Whether to put the values among the metrics.
        **options: The plans, such as `lr=Warmup("5%") >> Cosine()`, and the options of
            :class:`~cadence.scheduler.Scheduler`.

    Raises:
        ArgumentError: There is a metric and no feedback, or the other way around; or a plan cannot
            be one.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        metric: str | None = None,
        accumulate: int = 1,
        log: bool = True,
        **options: Any,
    ) -> None:
        where = "ScheduleHandler"
        if (metric is None) != (options.get("feedback") is None):
            raise ArgumentError(
                f"{where}: 'metric' and 'feedback' must be given together; write "
                "metric='loss', feedback=Plateau()"
            )
        self.optimizer, self.metric, self.log = optimizer, metric, log
        self.accumulate = _checks.whole(where, "accumulate", accumulate, low=1)
        self._late = LateScheduler(where, options)
        self._held: Held | None = None
        self._pauses = ExitStack()

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler, as soon as the engine has started."""
        return self._late._begun("scheduler")

    def attach(self, engine: Any, evaluator: Any = None) -> ScheduleHandler:
        """Let the engine's run begin the schedule, and the feedback hear of the evaluator.

        Args:
            engine: The engine that trains.
            evaluator: The engine whose metrics the feedback judges, each time that it is done.

        Returns:
            The handler itself.
        """
        events = require("ignite.engine", "ignite").Events
        if self.metric is not None and evaluator is None:
            raise ArgumentError(
                f"ScheduleHandler.attach: 'evaluator' must be given, since the feedback judges "
                f"{self.metric!r}; write attach(trainer, evaluator)"
            )
        engine.add_event_handler(events.STARTED, self._begin)
        engine.add_event_handler(events.ITERATION_STARTED, self._show)
        engine.add_event_handler(events.ITERATION_COMPLETED, self._stop)
        if evaluator is not None:
            evaluator.add_event_handler(events.STARTED, self._pause)
            evaluator.add_event_handler(events.COMPLETED, self._resume)
        return self

    def _begin(self, engine: Any) -> None:
        state, self._pauses = engine.state, ExitStack()
        iterations, each = state.max_iters, state.epoch_length
        if iterations is None and each is not None:
            iterations = each * state.max_epochs
        updates = None if iterations is None else max(1, iterations // self.accumulate)
        part, rest = divmod(each or 0, self.accumulate)
        known = Horizon(updates, steps_per_epoch=None if rest else part or None)
        done = state.iteration // self.accumulate
        scheduler = self._late.begin(self.optimizer, known, done).follow()
        compare_length(scheduler, known)
        self._held = Held(scheduler) if self.log else None

    def _show(self, engine: Any) -> None:
        if self._held is not None:
            engine.state.metrics.update(numbers(self._held()))

    def _stop(self, engine: Any) -> None:
        if self.scheduler.horizon.wall_time and self.scheduler.finished:
            engine.terminate()

    def _pause(self) -> None:
        if self._late.scheduler is not None:
            self._pauses.enter_context(self.scheduler.paused())

    def _resume(self, evaluator: Any) -> None:
        """Hand the metric on, if the engine has made an update for it."""
        self._pauses.close()
        late, metrics = self._late, evaluator.state.metrics
        if self.metric is None or late.scheduler is None or not late.scheduler.last_epoch:
            return
        if self.metric not in metrics:
            raise ArgumentError(
                f"ScheduleHandler: 'metric' must be one of the evaluator's metrics (got "
                f"{self.metric!r}; it has {', '.join(sorted(metrics)) or 'none'})"
                f"{_checks.suggest(self.metric, metrics)}"
            )
        decision = late.scheduler.observe(metrics[self.metric])
        metrics["feedback/factor"] = 1.0 if decision is None else decision.factor
        if decision is not None:
            evaluator.logger.info(line(decision))

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's state."""
        return self._late.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; before the engine runs, the scheduler takes it up when it is made."""
        self._late.load_state_dict(state_dict)
