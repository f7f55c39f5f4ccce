"""Schedules in Lightning, and under Fabric.

:func:`scheduled` is what `configure_optimizers` returns. The Trainer says how many updates it will
make; the clock follows them, so that accumulated batches and skipped updates count for what they
are. :class:`ScheduleCallback` logs what the updates used, and lets the feedback hear of a metric
before a checkpoint is written, so that a resumed run goes on exactly.
"""

from __future__ import annotations

import inspect
import logging
import math
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal

from torch.optim import Optimizer

from cadence import _checks
from cadence.errors import ArgumentError
from cadence.horizon import Horizon
from cadence.integrations._held import Held, numbers
from cadence.integrations._joined import Joined, attribute
from cadence.integrations._late import completed
from cadence.logs._texts import decision as line
from cadence.range_finder import RangeResult
from cadence.range_finder import find_lr as find
from cadence.scheduler import Scheduler

__all__ = ["ScheduleCallback", "fabric_scheduler", "find_lr", "scheduled"]

LOG = logging.getLogger(__name__)


def scheduled(
    optimizer: Optimizer | list[Optimizer],
    *,
    trainer: Any = None,
    interval: Literal["step", "epoch"] = "step",
    monitor: str | None = None,
    **options: Any,
) -> Any:
    """What `configure_optimizers` has to return.

    `return scheduled(optimizer, lr=plan, trainer=self.trainer)` is all that it takes.

    Args:
        optimizer: The optimizer; under manual optimization also several that share one clock.
        trainer: `self.trainer`, which says how long the run is. Without it `total_steps` or
            `horizon` have to, where the plan asks for it.
        interval: What a tick of the clock is: `"step"`, an update of the optimizer, or `"epoch"`.
        monitor: The logged metric for the feedback. Lightning hands it on at the end of an epoch,
            after the checkpoint was written; with a :class:`ScheduleCallback`, before.
        **options: The plans, such as `lr=Warmup("5%") >> Cosine()`, and the options of
            :class:`~cadence.scheduler.Scheduler`.

    Returns:
        The optimizer and the configuration of its scheduler, in the form that Lightning wants. The
        scheduler follows the updates where they are its ticks.

    Raises:
        ArgumentError: There is a monitor and no feedback.
    """
    where = "integrations.lightning.scheduled"
    _checks.choice(where, "interval", interval, ("step", "epoch"))
    if monitor is not None and options.get("feedback") is None:
        raise ArgumentError(
            f"{where}: 'monitor' is for the feedback (got {monitor!r}); write feedback=Plateau()"
        )
    if trainer is not None:
        options = completed(options, _known(trainer, interval))
        if monitor is not None and not trainer.lightning_module.automatic_optimization:
            raise ArgumentError(
                f"{where}: 'monitor' must be left out under manual optimization, where Lightning "
                f"hands no metric on (got {monitor!r}); write ScheduleCallback({monitor!r})"
            )
    if interval == "epoch":
        options["clock"] = "epoch"
    scheduler = Scheduler(optimizer, **options)
    if interval == "step":
        scheduler.follow()
    config: dict[str, Any] = {"scheduler": scheduler, "interval": interval, "frequency": 1}
    if monitor is not None:
        config |= {"monitor": monitor, "reduce_on_plateau": True, "interval": "epoch"}
    if monitor is not None and interval == "step" and trainer is not None:
        # The updates turn the clock, so that this is only about when there is a new metric.
        config["frequency"] = trainer.check_val_every_n_epoch or 1
    if isinstance(optimizer, Optimizer):
        return {"optimizer": optimizer, "lr_scheduler": config}
    return list(scheduler.optimizers), [config]


def _known(trainer: Any, interval: str) -> Horizon:
    """The length of the run by the Trainer's own arithmetic."""
    if trainer.train_dataloader is None:
        trainer.fit_loop.setup_data()
    updates, batches = trainer.estimated_stepping_batches, trainer.num_training_batches
    total = updates if 0 < updates < math.inf else None
    if 0 < batches < math.inf:
        accumulate = trainer.accumulate_grad_batches
        each = Horizon.from_loader(batches, accumulate=accumulate, quiet=True).steps_per_epoch
        return Horizon(total, steps_per_epoch=each)
    if interval == "step":
        return Horizon(total)
    # Of unknown length, an epoch still counts as one.
    epochs = trainer.max_epochs or -1
    return Horizon(epochs if epochs > 0 else None, steps_per_epoch=1)


class ScheduleCallback(Joined):
    """Logs what the updates used, and lets the feedback hear of a metric in time.

    Beside the other training metrics come `lr/NAME` and the like for each scheduled value and each
    group, by the group's `"name"` or as `group0`, `group1`, ...: the values that the update just
    made has used. A decision of the feedback is logged as `feedback/factor`.

    The feedback hears of its metric right after each validation, before a checkpoint of it is
    written. (Lightning itself hands metrics on after that, once in an epoch, so that a run that is
    resumed from the checkpoint would miss one.) A run of a given time is stopped when its time is
    over, and validation does not count as training time.

    Args:
        monitor: The metric, as it is logged; by default the one in `scheduled(..., monitor=...)`.
        after: When there is a new one: after each `"validation"`, or, for a metric of the training,
            after each `"epoch"`.
        log: Whether to log the values.
    """

    extra = "lightning"

    @staticmethod
    def joins() -> tuple[str, str]:
        # The framework comes under two names, whose classes are not the same.
        older = "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules
        return "pytorch_lightning" if older else "lightning.pytorch", "Callback"

    def __init__(
        self,
        monitor: str | None = None,
        *,
        after: Literal["validation", "epoch"] = "validation",
        log: bool = True,
    ) -> None:
        super().__init__()
        self.monitor = monitor
        self._logs = log  # Lightning gives every callback a function `log`
        self.after = _checks.choice("ScheduleCallback", "after", after, ("validation", "epoch"))
        self._rest()

    def _rest(self) -> None:
        self._schedulers: list[Scheduler] = []
        self._monitors: dict[int, str] = {}
        self._held: list[Held] = []
        self._used: dict[str, Any] = {}
        self._pauses = ExitStack()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        del pl_module
        self._rest()
        for config in trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            if not isinstance(scheduler, Scheduler):
                continue
            if scheduler.feedback is not None:
                monitor = self.monitor or config.monitor
                if monitor is None:
                    raise ArgumentError(
                        "ScheduleCallback: 'monitor' must name the metric for the feedback; write "
                        "ScheduleCallback('val_loss')"
                    )
                self._monitors[len(self._schedulers)] = monitor
                config.reduce_on_plateau = False  # it is this callback that hands the metric on
            self._schedulers.append(scheduler)
        if self._logs:
            self._held = [Held(one, self._prefix(i)) for i, one in enumerate(self._schedulers)]

    def on_train_end(self, *_: Any) -> None:
        self._rest()

    def on_exception(self, *_: Any) -> None:
        self._rest()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        del trainer, pl_module
        for held in self._held:
            # Of several, another one has made its tick for this batch already.
            if any(optimizer is one for one in held.scheduler.optimizers):
                self._used |= held()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        used, self._used = self._used, {}
        every = trainer.log_every_n_steps
        if used and every and (_update(trainer) + 1) % every == 0:
            _write(trainer, numbers(used))
        if any(one.horizon.wall_time and one.finished for one in self._schedulers):
            trainer.should_stop = True

    def on_validation_start(self, *_: Any) -> None:
        for scheduler in self._schedulers:
            self._pauses.enter_context(scheduler.paused())

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        self._pauses.close()
        if self.after == "validation":
            self._observe(trainer)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        if self.after == "epoch":
            self._observe(trainer)

    def _observe(self, trainer: Any) -> None:
        for i, monitor in self._monitors.items():
            found = trainer.callback_metrics
            if monitor not in found:
                raise ArgumentError(
                    f"ScheduleCallback: 'monitor' must be a metric that is logged (got {monitor!r};"
                    f" after this {self.after} there are {', '.join(sorted(found)) or 'none'})"
                    f"{_checks.suggest(monitor, found)}; for a metric of the training, write "
                    "after='epoch'"
                )
            decision = self._schedulers[i].observe(found[monitor])
            if decision is not None:
                _write(trainer, {f"{self._prefix(i)}feedback/factor": decision.factor})
                LOG.info(line(decision))

    def _prefix(self, index: int) -> str:
        """What tells several schedulers apart, as in a GAN."""
        return f"scheduler{index}/" if len(self._schedulers) > 1 else ""


_ScheduleCallback = ScheduleCallback
if not TYPE_CHECKING:  # it is looked up anew, as a subclass of the framework's class
    del ScheduleCallback
    __getattr__ = attribute(__name__, _ScheduleCallback)


def _update(trainer: Any) -> int:
    """The update just made, as Lightning counts it for its logs."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def _write(trainer: Any, values: dict[str, float]) -> None:
    # To the loggers themselves: `log_dict` would make float32 of the rates.
    for logger in trainer.loggers:
        logger.log_metrics(values, step=_update(trainer))


def fabric_scheduler(
    fabric: Any,
    optimizer: Any,
    loader: Any = None,
    *,
    epochs: int = 1,
    accumulate: int = 1,
    **options: Any,
) -> Scheduler:
    """Make a scheduler for what Fabric has set up: the loader says how long the run is.

    Save and load it with the rest: `fabric.save(path, {"scheduler": scheduler, ...})`.

    Args:
        fabric: The `Fabric`.
        optimizer: The optimizer, as `fabric.setup` returned it or bare.
        loader: The loader from `fabric.setup_dataloaders`, which has one process's batches. None
            where `total_steps` or `horizon` say how long the run is.
        epochs: How often the loop goes through it.
        accumulate: Batches for each update.
        **options: The plans, such as `lr=Warmup("5%") >> Cosine()`, and the options of
            :class:`~cadence.scheduler.Scheduler`.

    Returns:
        The scheduler, which follows the updates: the loop need not step it.
    """
    if loader is not None:
        known = Horizon.from_loader(
            loader, epochs=epochs, accumulate=accumulate, quiet=not fabric.is_global_zero
        )
        options = completed(options, known)
    return Scheduler(_bare(optimizer), **options).follow()


def _bare(optimizer: Any) -> Optimizer:
    """The optimizer without Fabric's wrapper, which passes itself off as its class."""
    wrapped = type(optimizer).__name__.startswith("Fabric") and hasattr(optimizer, "optimizer")
    return optimizer.optimizer if wrapped else optimizer


def find_lr(
    module: Any, loader: Any = None, *, optimizer: Optimizer | None = None, **options: Any
) -> RangeResult:
    """Find the rates at which a module learns, by its own `training_step`; it needs no Trainer.

    What the step logs is not written, and everything is put back: see
    :func:`cadence.find_lr`.

    Args:
        module: The `LightningModule`, with automatic optimization.
        loader: The batches to train on; by default those of its `train_dataloader`.
        optimizer: Its optimizer; by default what `configure_optimizers` makes. Give it where that
            asks for `self.trainer`.
        **options: Those of :func:`cadence.find_lr`, such as `accumulate`, `clip_norm`
            and `seeds`.

    Raises:
        ArgumentError: The module optimizes by hand, or has several optimizers.
    """
    where = "integrations.lightning.find_lr"
    if not module.automatic_optimization:
        raise ArgumentError(
            f"{where}: 'module' must have automatic optimization; write cadence.RangeTest(step_fn)"
        )
    made = _optimizers(module.configure_optimizers()) if optimizer is None else [optimizer]
    if len(made) != 1:
        raise ArgumentError(
            f"{where}: 'module' must have one optimizer (it has {len(made)}); write optimizer="
        )
    takes_index = len(inspect.signature(module.training_step).parameters) > 1

    def forward(module: Any, batch: Any) -> Any:
        output = module.training_step(batch, 0) if takes_index else module.training_step(batch)
        return output["loss"] if isinstance(output, dict) else output

    loader = module.train_dataloader() if loader is None else loader
    muted = ("log", "log_dict")
    for name in muted:
        vars(module)[name] = lambda *_, **__: None
    try:
        return find(module, made[0], None, loader, forward=forward, **options)
    finally:
        for name in muted:
            vars(module).pop(name, None)


def _optimizers(configured: Any) -> list[Any]:
    """The optimizers among what `configure_optimizers` returns."""
    if isinstance(configured, dict):
        return [configured["optimizer"]]
    if isinstance(configured, (list, tuple)):
        lists = [one for one in configured if isinstance(one, (list, tuple))]
        found = lists[0] if lists else configured
        return [optimizer for one in found for optimizer in _optimizers(one)]
    return [configured]
