"""The door to torch: plans bound to an optimizer's hyperparameters.

A :class:`Scheduler` owns a clock, the number of ticks done, and writes each plan's value at that
step into the parameter groups. Its state is the step, the bases and the plans' text; every value
follows from these, so loading is exact in any order, and twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import torch

from cadence import _checks
from cadence.binding import Slot
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.feedback import Controller
from cadence.given import Plan, normalized, optimizers
from cadence.given import horizon as given_horizon
from cadence.horizon import Horizon
from cadence.ranks import REDUCE
from cadence.revisions import Revision
from cadence.rivals import refuse_rivals
from cadence.scheduler._storage import KEPT, Stored
from cadence.state import Adjustment, Decision

__all__ = ["Adjustment", "Decision", "Plan", "Scheduler"]


class Scheduler(Stored):
    """Bind plans to the hyperparameters of an optimizer.

    At construction the values of step 0 are written; each `step()` advances the clock by one
    tick and writes the next. The values that the groups hold at construction are the bases.

    Args:
        optimizer: An optimizer, or several that share one clock.
        total_steps: Length of the run in ticks: a number, or a duration that `horizon` explains.
        horizon: More about the run, where plans count in epochs, samples or tokens.
        clock: What one tick is: `"update"`, one optimizer step, or `"epoch"`.
        past_end: After the last step `"hold"` the plan's last value, `"repeat"` it from its
            beginning, or `"raise"`.
        external: When someone else changed a scheduled value: `"rebase"` keeps the change and
            scales the rest of the plan by it, `"override"` writes the plan's value, `"error"`
            raises.
        on_mismatch: When a checkpoint has another plan or horizon: `"raise"`, or take that of
            the `"checkpoint"` or of the `"constructor"`.
        feedback: What is to be made of a metric: a controller such as
            :class:`~cadence.feedback.Plateau`, which hears of it through :meth:`observe`.
        reduce: In a distributed run, what the processes make of their metrics before these are
            judged: their `"mean"`, their `"max"`, the one of `"rank0"`, or None: nothing.
        strict: Raise, rather than warn, where the clock ticks at another pace than the optimizer
            makes updates.
        capturable: Keep the counter and the values beside the parameters, as tensors, so that
            `step()` waits for no device and can be compiled or recorded in a CUDA graph. Values
            that others write are overridden then.
        also: Whatever else follows the clock: by its name a function that sets the value, and the
            plan of it at base 1, such as `{"dropout": (set_dropout, Linear(start=0.1, end=0))}`.
        **plans: A plan for each hyperparameter: any number that the groups hold (`lr`,
            `momentum`, `weight_decay`, ...), and `beta1`, `beta2`. A plan may be a
            :class:`~cadence.schedule.Schedule`, its text, a number or a function of the step; a
            dict gives one by the groups' `"name"`, a list one for each group.

    Raises:
        ArgumentError: A group has no such value, no plan covers a group, or an option is
            unknown. The optimizer is left as it was.
        UnresolvedError: A plan needs a length that neither `total_steps` nor `horizon` gives.

    >>> import torch, cadence as cd
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    >>> scheduler = cd.Scheduler(optimizer, lr=cd.Warmup(2) >> cd.Linear(), total_steps=4)
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     print(scheduler.get_last_lr())
    ...     scheduler.step()
    [0.25]
    [0.375]
    [0.5]
    [0.25]
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer | Iterable[torch.optim.Optimizer],
        *,
        total_steps: int | str | None = None,
        horizon: Horizon | None = None,
        clock: Literal["update", "epoch"] = "update",
        past_end: Literal["hold", "repeat", "raise"] = "hold",
        external: Literal["rebase", "override", "error"] = "rebase",
        on_mismatch: Literal["raise", "checkpoint", "constructor"] = "raise",
        feedback: Controller | None = None,
        reduce: Literal["mean", "max", "rank0"] | None = "mean",
        strict: bool = False,
        capturable: bool = False,
        also: Mapping[str, tuple[Callable[[float], object], Plan]] | None = None,
        **plans: Plan | Sequence[Plan] | Mapping[str, Plan],
    ) -> None:
        from cadence.check import remark

        refuse_rivals(optimizer, plans)
        # torch's own constructor is not run: it would patch `optimizer.step` and write values.
        self.optimizers = optimizers(optimizer)
        self.optimizer = self.optimizers[0]
        self.clock = _checks.choice("Scheduler", "clock", clock, ("update", "epoch"))
        self.past_end = _checks.choice(
            "Scheduler", "past_end", past_end, ("hold", "repeat", "raise")
        )
        self.external = _checks.choice(
            "Scheduler", "external", external, ("rebase", "override", "error")
        )
        self.on_mismatch = _checks.choice(
            "Scheduler", "on_mismatch", on_mismatch, ("raise", "checkpoint", "constructor")
        )
        self.reduce = _checks.choice("Scheduler", "reduce", reduce, REDUCE)
        self.strict, self.capturable = bool(strict), bool(capturable)
        if feedback is not None and not isinstance(feedback, Controller):
            raise ArgumentTypeError(
                f"Scheduler: 'feedback' must be a controller (got {_checks.given(feedback)}); "
                "write Plateau()"
            )
        self.feedback = feedback
        if feedback is not None and "lr" not in plans:
            raise ArgumentError("Scheduler: 'feedback' must have a plan for lr to act on; give lr=")
        if not plans:
            raise ArgumentError(
                "Scheduler: at least one plan must be given, such as lr=Cosine() (got none)"
            )
        self.horizon = self._first_horizon = given_horizon(total_steps, horizon, self.clock)
        self._axis = self.horizon
        self._epoch = None if horizon is None else horizon.steps_per_epoch
        self._given = {key: normalized(key, plan) for key, plan in plans.items()}
        self._ticks = 0
        self._revisions: list[Revision] = []
        self._judged = {} if feedback is None else feedback.start()
        self._decisions: deque[Decision] = deque(maxlen=KEPT)
        self._adjustments: list[Adjustment] = []
        self._warned: set[str] = set()
        self._superseded: str | None = None
        if self.horizon.wall_time is not None:
            self._time_it(also or {})
        groups = self._groups()
        slots = [slot for key in plans for slot in self._slots(key, groups)]
        self._others = self._others_of(also or {})
        self._end = self._find_end(slots, self._axis)
        if capturable:
            self._check_capturable(slots, groups)
        self._inherit(slots, groups)
        if feedback is not None and not any(_has_multiples(s) for s in slots if s.key == "lr"):
            raise ArgumentError(
                "Scheduler: 'feedback' scales the base, so the plan of lr must have levels that "
                "are multiples of it; all of them are absolute"
            )
        remark(((s.given, s.plan, s.base) for s in slots if s.key == "lr"), self.horizon)
        # The setters come first: where one raises, the optimizer is as it was.
        self._set_others(self._of_others(0))
        # From here on the optimizer is touched; nothing below can fail but a plan's own function,
        # and that before the first write.
        self._bind(slots, 0)
        self._fresh = True
        self._following = False
        self._listen()


def _has_multiples(slot: Slot) -> bool:
    """Whether anything of a slot's plan is a multiple of its base."""
    return any(callable(piece.p) or piece.p for piece in slot.plan.compiled(slot.base).pieces)
