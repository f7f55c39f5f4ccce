"""What a scheduler can be asked without being changed."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cadence import _checks
from cadence._array import convert
from cadence.errors import ArgumentError
from cadence.schedule import Schedule
from cadence.scheduler._bound import Bound

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Asked"]


class Asked(Bound):
    """A scheduler that answers for any step."""

    def get_last_lr(self) -> list[float | torch.Tensor]:
        """The rates that the groups hold now; tensors are copies."""
        rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        return [rate.clone() if isinstance(rate, torch.Tensor) else rate for rate in rates]

    def get_lr(self) -> list[float | torch.Tensor]:
        """The same as :meth:`get_last_lr`."""
        return self.get_last_lr()

    @property
    def _last_lr(self) -> list[Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.get_last_lr()

    def value_at(self, step: Any, key: str = "lr", group: int | str = 0) -> Any:
        """The value at any step, or array of steps, of one group, without going there.

        Args:
            step: A step, or an array of steps.
            key: The hyperparameter.
            group: The group's index, counted over all optimizers, or its name.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> cd.Scheduler(optimizer, lr=cd.Linear(10)).value_at(5)
        0.25
        """
        self._catch_up()
        slot = self._slot("value_at", key, group)
        if self._time is not None:
            if not isinstance(step, numbers.Real) or step != self._step:
                raise ArgumentError(
                    f"Scheduler.value_at: 'step' must be {self._step}, the present one, in a run "
                    f"of a given time (got {_checks.given(step)}); plot() draws the plan"
                )
            step = self._time.place
        elif self.past_end != "hold":
            step, xp = convert(step)
            if xp is math:
                step = self._plan_step(step)
            elif self.past_end == "repeat":
                step = step % int(self._end)
            elif 0 not in step.shape:
                self._plan_step(float(step.max()))
        return slot.plan(step, slot.base)

    def preview(self, n: int | None = None, key: str = "lr", group: int | str = 0) -> np.ndarray:
        """The values of the next n steps, the present one first; shape (n,), float64.

        By default up to the end of the run.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> cd.Scheduler(optimizer, lr=cd.Linear(4)).preview()
        array([0.5  , 0.375, 0.25 , 0.125])
        """
        if n is None:
            if self._end == math.inf:
                raise ArgumentError(
                    "Scheduler.preview: 'n' must be given where the plan is endless"
                )
            n = max(0, math.ceil(self._end) - self._step)
        n = _checks.whole("Scheduler.preview", "n", n)
        if self._time is not None:
            raise ArgumentError(
                "Scheduler.preview: which steps a run of a given time will make is not known; "
                "plot() draws the plan"
            )
        return np.asarray(self.value_at(np.arange(self._step, self._step + n), key, group))

    def plot(self, key: str | None = None, **options: Any) -> list[Axes]:
        """Draw each hyperparameter over the run, the present step marked.

        Groups that share plan and base share a curve. A run of a given time is drawn with as
        many steps as it will make at its present pace.

        Args:
            key: One hyperparameter; all by default, one above the other.
            **options: As for :func:`cadence.plot.panels`.

        Returns:
            The matplotlib axes, one for each hyperparameter.
        """
        from cadence.plot import curve, panels

        self._catch_up()
        horizon = self.horizon if self._time is None else self.horizon.counting(self._time.expected)
        drawn = {}
        for name in [*self._given, *self._others] if key is None else [key]:
            curves: dict[tuple[Schedule, float], list[str]] = {}
            for i in range(len(self._ordered(name)) or 1):
                slot = self._slot("plot", name, i)
                label = name
                if name in self._given:
                    label = slot.group(self._binding.groups).get("name", f"group {i}")
                plan = slot.plan if self._time is None else slot.given
                curves.setdefault((plan, slot.base), []).append(label)
            alone = len(curves) == 1
            drawn[name] = [
                curve(plan, horizon, base, label=None if alone else ", ".join(labels))
                for (plan, base), labels in curves.items()
            ]
        axes = panels(drawn, mark=self._step, **options)
        if self._time is not None:
            axes[-1].set_xlabel("step, at the pace up to now for the rest of the time")
        return axes

    def __repr__(self) -> str:
        timed = self._time is not None  # its plans are laid out on an axis that nobody asked for
        shown = {
            key: dict.fromkeys(
                repr(slot.given if timed else slot.plan) for slot in self._ordered(key)
            )
            for key in self._given
        }
        plans = ", ".join(f"{key}={' | '.join(texts)}" for key, texts in shown.items())
        names = ", ".join(type(optimizer).__name__ for optimizer in self.optimizers)
        end = "" if self._end == math.inf else f"/{self._end:g}"
        if self._time is not None:
            end = f", {self._time.elapsed:.0f} s of {self._time.budget:.0f} s"
        return f"Scheduler({names}, {plans}, step={self._step}{end})"
