"""Schedules in the Trainer of transformers.

:func:`schedule` is one line between making the Trainer and `trainer.train()`. The Trainer says how
many updates it will make, be it by `max_steps` or by epochs, and steps, saves and resumes the
scheduler as it does its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from cadence import _checks
from cadence._optional import require
from cadence.errors import ArgumentError
from cadence.horizon import Horizon
from cadence.integrations._held import Held, numbers
from cadence.integrations._joined import Joined, attribute
from cadence.integrations._late import LateScheduler, compare_length
from cadence.logs._texts import decision as line
from cadence.range_finder import RangeResult
from cadence.range_finder import find_lr as find
from cadence.scheduler import Scheduler

__all__ = ["ScheduleCallback", "find_lr", "schedule", "trainer_kwargs"]

EXTRA = "transformers"
LOG = logging.getLogger(__name__)


def schedule(
    trainer: Any, *, metric: str | None = None, log: bool = True, **options: Any
) -> LateScheduler:
    """Give a Trainer a schedule, whatever optimizer it has or will make.

    It goes where a `create_scheduler` of your own would go. Call it before `trainer.train()`; the
    Trainer may be of any subclass, and may have a `model_init`.

    Args:
        trainer: The Trainer, without a scheduler.
        metric: What the feedback is to judge: see :class:`ScheduleCallback`.
        log: Whether to log the values that are scheduled.
        **options: The plans, such as `lr=Warmup("5%") >> Cosine()`, and the options of
            :class:`~cadence.scheduler.Scheduler`. The horizon is the Trainer's.

    Returns:
        The scheduler, which is made when the training begins.

    Raises:
        ArgumentError: The Trainer has another scheduler, or a plan cannot be one.
    """
    where = "integrations.transformers.schedule"
    callback = _ScheduleCallback.joined()(metric, log=log)
    late = LateScheduler(where, options)

    def check() -> None:
        other = trainer.lr_scheduler
        if other is not None and not isinstance(other, LateScheduler):
            raise ArgumentError(
                f"{where}: the Trainer must have no other scheduler (it has "
                f"{type(other).__name__}); write Trainer(..., optimizers=(optimizer, None))"
            )

    def create_scheduler(num_training_steps: int, optimizer: Any = None) -> LateScheduler:
        del num_training_steps, optimizer  # the callback hears of both, and of more
        check()
        trainer.lr_scheduler = late
        return late

    check()
    trainer.create_scheduler = create_scheduler
    while trainer.pop_callback(_ScheduleCallback) is not None:
        pass
    trainer.add_callback(callback)
    # First of all, so that the reporters among the others see what it adds to the logs.
    callbacks = trainer.callback_handler.callbacks
    callbacks.insert(0, callbacks.pop())
    return late


def trainer_kwargs(
    optimizer: Optimizer | None = None,
    *,
    metric: str | None = None,
    log: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """What to give a Trainer to train under a schedule: `Trainer(..., **trainer_kwargs(lr=plan))`.

    For code that makes its Trainer itself and takes arguments for it. Where you can, call
    :func:`schedule` instead: a Trainer with a `model_init` or under FSDP refuses `optimizers`, and
    calls its reporters (TensorBoard, ...) before this callback, so that they do not see the values
    that it logs; the log history and the progress bar do.

    Args:
        optimizer: Your own; None lets the Trainer make one.
        metric: As for :func:`schedule`.
        log: As for :func:`schedule`.
        **options: As for :func:`schedule`.

    Returns:
        The arguments `optimizers` and `callbacks`.
    """
    late = LateScheduler("integrations.transformers.trainer_kwargs", options)
    return {
        "optimizers": (optimizer, late),
        "callbacks": [_ScheduleCallback.joined()(metric, log=log)],
    }


class ScheduleCallback(Joined):
    """Begins the schedule, logs what the updates used, and lets the feedback hear of metrics.

    With each of the Trainer's training logs come `lr/NAME` and the like for each scheduled value
    and each group, by the group's `"name"` or as `group0`, `group1`, ...: the values that the last
    update has used. A decision of the feedback is logged beside the metric as `feedback/factor`.

    :func:`schedule` and :func:`trainer_kwargs` bring it along; it also serves a Trainer that was
    given a :class:`~cadence.scheduler.Scheduler` in `optimizers=`. A run of a given time is stopped
    when its time is over.

    Args:
        metric: The metric for the feedback, as it is called in the Trainer's logs: `"eval_loss"`,
            `"loss"`, ... By default `metric_for_best_model`, or else `"eval_loss"`.
        log: Whether to log the values.
    """

    extra = EXTRA

    @staticmethod
    def joins() -> tuple[str, str]:
        return "transformers", "TrainerCallback"

    def __init__(self, metric: str | None = None, *, log: bool = True) -> None:
        super().__init__()
        self.metric, self.log = metric, log
        self._rest()

    def _rest(self) -> None:
        self._scheduler: Scheduler | None = None
        self._held: Held | None = None
        self._used: dict[str, Any] = {}
        self._updated = False
        self._evaluated: set[str] = set()

    def on_train_begin(
        self,
        args: Any,
        state: Any,
        control: Any,
        *,
        optimizer: Any,
        lr_scheduler: Any,
        train_dataloader: Any = None,
        **_: Any,
    ) -> None:
        """Make the scheduler, now that the Trainer knows how long it will train."""
        del control
        self._rest()
        known = Horizon(
            state.max_steps,
            steps_per_epoch=_updates_per_epoch(train_dataloader, args.gradient_accumulation_steps),
        )
        if isinstance(lr_scheduler, LateScheduler):
            lr_scheduler = lr_scheduler.begin(_bare(optimizer), known, state.global_step)
        if not isinstance(lr_scheduler, Scheduler):
            raise ArgumentError(
                "ScheduleCallback: the Trainer must have a scheduler of Cadence (it has "
                f"{type(lr_scheduler).__name__}); write schedule(trainer, lr=...)"
            )
        compare_length(lr_scheduler, known)
        self._scheduler = lr_scheduler
        self._held = Held(lr_scheduler) if self.log else None
        self._name = self.metric or _best_metric(args)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self._rest()

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        if self._held is not None:
            self._used = self._held()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        evaluated, self._evaluated = self._evaluated, set()
        if evaluated and self._judges("eval_") and self._name not in evaluated:
            raise self._missing(evaluated)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        del args, state
        scheduler, self._updated = self._scheduler, True
        if scheduler is not None and scheduler.horizon.wall_time and scheduler.finished:
            control.should_training_stop = True
        return control

    def on_evaluate(
        self, args: Any, state: Any, control: Any, *, metrics: dict[str, float], **_: Any
    ) -> None:
        del args, state, control
        if self._updated:
            self._evaluated |= metrics.keys()  # of several data sets, one after the other

    def on_log(
        self, args: Any, state: Any, control: Any, *, logs: dict[str, Any], **_: Any
    ) -> None:
        """Add to the log what the last update used, and what the feedback makes of a metric."""
        del args, control
        scheduler = self._scheduler
        if scheduler is None or not self._updated:
            return
        training = "loss" in logs
        more: dict[str, Any] = numbers(self._used) if training else {}
        reason = {}
        if scheduler.feedback is not None and self._name in logs:
            decision = scheduler.observe(logs[self._name])
            if decision is not None:
                more["feedback/factor"] = decision.factor
                reason["feedback/reason"] = decision.reason  # for no reporter that wants numbers
                LOG.info(line(decision))
        elif training and self._judges("") and not self._judges("eval_"):
            raise self._missing(logs)
        history = state.log_history
        if history and logs.items() <= history[-1].items():  # written before the callbacks hear it
            history[-1].update(more | reason)
        logs.update(more)

    def _judges(self, prefix: str) -> bool:
        """Whether there is feedback, and it judges a metric with this prefix."""
        feedback = None if self._scheduler is None else self._scheduler.feedback
        return feedback is not None and self._name.startswith(prefix)

    def _missing(self, found: Any) -> ArgumentError:
        hint = _checks.suggest(self._name, found)
        return ArgumentError(
            f"ScheduleCallback: 'metric' must be in the Trainer's logs (got {self._name!r}; they "
            f"have {', '.join(sorted(found))}){hint}"
        )


_ScheduleCallback = ScheduleCallback
if not TYPE_CHECKING:  # it is looked up anew, as a subclass of the framework's class
    del ScheduleCallback
    __getattr__ = attribute(__name__, _ScheduleCallback)


def _best_metric(args: Any) -> str:
    """The metric by which the Trainer chooses its best model, as its logs call it."""
    name = args.metric_for_best_model or "loss"
    return name if name.startswith("eval_") else f"eval_{name}"


def _updates_per_epoch(loader: Any, accumulate: int) -> int | None:
    """The updates of an epoch, from a loader that has this process's batches."""
    try:
        batches = len(loader)
    except TypeError:
        return None
    return Horizon.from_loader(batches, accumulate=accumulate, quiet=True).steps_per_epoch


def _bare(optimizer: Any) -> Optimizer:
    """The optimizer without Accelerate's wrapper."""
    wrapper = require("accelerate.optimizer", EXTRA).AcceleratedOptimizer
    return optimizer.optimizer if isinstance(optimizer, wrapper) else optimizer


def find_lr(trainer: Any, **options: Any) -> RangeResult:
    """Find the rates at which a Trainer's model learns, before `trainer.train()`.

    Loss, batches, optimizer, accumulation, clipping and mixed precision are the Trainer's own, and
    everything is put back: see :func:`cadence.find_lr`.

    Args:
        trainer: The Trainer, in one process and without DeepSpeed or FSDP.
        **options: Those of :func:`cadence.find_lr`, such as `seeds` and `end`.

    Raises:
        ArgumentError: The Trainer spreads its model over processes.
    """
    where = "integrations.transformers.find_lr"
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled or trainer.args.world_size > 1:
        raise ArgumentError(
            f"{where}: the Trainer must train in one process, without DeepSpeed or FSDP; write "
            "cadence.RangeTest(step_fn) for others"
        )
    args, accelerator, optimizer = trainer.args, trainer.accelerator, trainer.optimizer
    prepared = list(accelerator._dataloaders)
    references = accelerator.gradient_state.dataloader_references
    scaler = torch.amp.GradScaler(args.device.type) if args.fp16 else None
    try:
        return find(
            trainer.model,
            _bare(optimizer or trainer.create_optimizer()),
            None,
            trainer.get_train_dataloader(),
            **{
                "accumulate": args.gradient_accumulation_steps,
                "clip_norm": args.max_grad_norm or None,
                "autocast": trainer.compute_loss_context_manager,
                "scaler": scaler,
                "forward": lambda model, batch: trainer.compute_loss(
                    model, trainer._prepare_inputs(batch)
                ),
            }
            | options,
        )
    finally:
        trainer.optimizer = optimizer
        # A loader that is left half-way stays the active one for Accelerate.
        accelerator._dataloaders[:] = prepared
        accelerator.gradient_state.dataloader_references = references
