"""Lower the rate when a metric stops improving."""

# torch's classes are parents for the sake of `isinstance`; what they declare is all overridden.
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import math
from typing import Any, Literal, SupportsFloat

from torch.optim import Optimizer
from torch.optim import lr_scheduler as theirs

from cadence._warn import warn
from cadence.binding import put
from cadence.lr_scheduler._arguments import choice, metric_of, number, per_group, period
from cadence.lr_scheduler._base import (
    EPOCH_DEPRECATION_WARNING,
    LRScheduler,
    check_optimizer,
    rates_of,
    says_verbose,
)

__all__ = ["ReduceLROnPlateau"]

WHERE = "ReduceLROnPlateau"


class ReduceLROnPlateau(LRScheduler, theirs.ReduceLROnPlateau):
    """Multiply the rates by `factor` after more than `patience` epochs without a better metric."""

    __slots__ = ("_marks",)

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
        verbose: Any = "deprecated",
    ) -> None:
        check_optimizer(optimizer)
        number(WHERE, "factor", factor, low=0, below=1)
        for name, epochs in (("patience", patience), ("cooldown", cooldown)):
            # Infinite patience is a way to switch it off, and an infinite cooldown to cut once.
            if number(WHERE, name, epochs, low=0, endless=True) != math.inf:
                period(WHERE, name, epochs, low=0)
        number(WHERE, "eps", eps, low=0)
        choice(WHERE, "mode", mode, ("min", "max"))
        choice(WHERE, "threshold_mode", threshold_mode, ("rel", "abs"))
        # From a relative threshold of 1 on, no metric is ever better.
        relative = mode == "min" and threshold_mode == "rel"
        number(WHERE, "threshold", threshold, low=0, below=1 if relative else None)
        self.factor, self.optimizer = factor, optimizer
        self.min_lrs = per_group(WHERE, "min_lr", optimizer, min_lr)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.patience, self.cooldown, self.eps = patience, cooldown, eps
        self.last_epoch = 0
        self._last_lr, self._marks = rates_of(optimizer), None
        self._init_is_better(mode, threshold, threshold_mode)
        self._reset()
        self._says, self._undone = says_verbose(verbose), False

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:
        """Judge the metric of an epoch, and lower the rates if it is due.

        Raises:
            ArgumentError: The metric is NaN, or no number.
        """
        usual = type(metrics) is float and not math.isnan(metrics)  # which need no long look
        metric = metrics if usual else metric_of(f"{WHERE}.step", metrics)
        if epoch is not None:
            warn(EPOCH_DEPRECATION_WARNING)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(metric, self.best):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr(self.last_epoch)
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._note_rates()

    def _note_rates(self) -> None:
        """Copy the rates, where they have changed: tensors take longer to copy than to know."""
        held = [group["lr"] for group in self.optimizer.param_groups]
        try:
            marks = [value if type(value) is float else (value, value._version) for value in held]
        except (AttributeError, RuntimeError):
            marks = None  # of other numbers, and tensors made in inference mode, there is none
        if marks is None or marks != self._marks:
            self._last_lr, self._marks = rates_of(self.optimizer), marks

    def _reduce_lr(self, epoch: int) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"The number of param groups in the `optimizer` ({len(groups)}) differs from "
                    f"when `{WHERE}` was initialized ({len(self.min_lrs)}), usually due to a new "
                    "param group being added to the optimizer. Please modify the `min_lrs` field "
                    "to match the length of the `optimizer` param groups."
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for i, group in enumerate(groups):
            old = float(group["lr"])
            new = max(old * self.factor, float(self.min_lrs[i]))
            if old - new > self.eps:
                put(group, "lr", new)
                if self._says:
                    print(f"Epoch {epoch:05d}: reducing learning rate of group {i} to {new:.4e}.")  # noqa: T201

    def get_lr(self) -> list[Any]:
        """The rates that the groups hold."""
        return rates_of(self.optimizer)

    def _join(self) -> int:
        return len(self.optimizer.param_groups)  # nothing is kept for each but `min_lrs`

    def _pretend(self) -> None:
        """Without a metric nothing is known, and nothing done."""
        self.last_epoch += 1

    def _restart(self) -> None:
        self.last_epoch = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._marks = None

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._marks = None
        self._init_is_better(self.mode, self.threshold, self.threshold_mode)
