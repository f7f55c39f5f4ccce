"""The clock of a scheduler: steps, updates that are followed, and the time."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from cadence import _checks
from cadence._warn import warn
from cadence.captured import CapturedBinding
from cadence.errors import (
    ArgumentError,
    ArgumentTypeError,
    CallOrderWarning,
    PaceError,
    PaceWarning,
)
from cadence.scheduler._changes import Changing
from cadence.updates import Pace, Updates, remove

__all__ = ["Clocked"]


class Clocked(Changing):
    """A scheduler that advances."""

    def step(self, metric: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Advance the clock by one tick and write the values of the new step.

        Call it after `optimizer.step()`: once per update, or once per epoch with
        `clock="epoch"`. With a metric, :meth:`observe` it first. After :meth:`follow` the clock
        is left alone.

        Raises:
            PastEndError: The plan has ended and `past_end="raise"`.
            ExternalChangeError: A value was changed by someone else and `external="error"`.
            SupersededError: A newer scheduler writes the same values.
        """
        step = self._ticks + 1
        if (
            step < self._watch
            and metric is None
            and self.optimizer.param_groups is self._list
            and len(self._list) == self._length
            and self._advance(step)
        ):
            self._ticks = step
        else:
            self._step_with_care(step, metric)

    def _step_with_care(self, step: int, metric: Any) -> None:
        """A step on which something is not as usual."""
        if metric is not None and self.feedback is None:
            raise ArgumentTypeError(
                f"Scheduler.step: takes no metric (got {metric!r}) without feedback; give the "
                "scheduler feedback=Plateau(), or write seek(step) to set the position"
            )
        self._check_in_charge()
        if isinstance(self._binding, CapturedBinding):
            self._step_captured(metric)
            return
        ticks = self._passing or not self._following
        at = self._look(step) if ticks else 0
        if metric is not None:  # after the refusals, or it would be judged again
            self.observe(metric)
        if not ticks:
            return
        if self._replaced() or self._grown():
            self._regroup(at)
        elif not self._advance(at):
            self._reconcile(at)
        self._step, self._time = step, self._coming

    def _step_captured(self, metric: Any) -> None:
        """A step on the device; with the same groups and no metric, nothing here waits for it."""
        if self._replaced() or self._grown():
            self._regroup(self._plan_step(self._step))
        if metric is not None:
            self.observe(metric)
        binding = self._binding
        assert isinstance(binding, CapturedBinding)
        if self._passing:
            binding.tick(getattr(self.optimizer, "found_inf", None))
        elif not self._following:
            binding.tick()

    def _look(self, step: int) -> float:
        """What the hot path leaves out: first steps, ends and refusals; the plan's step."""
        if self._fresh:
            self._fresh = False
            if self._step == 0 and self._updates.missed():
                warn(
                    "Scheduler: step() was called before the first optimizer.step(), so the "
                    "plan's first value is skipped; call optimizer.step() first",
                    CallOrderWarning,
                )
        several = len(self.optimizers) > 1  # whose groups the hot path does not look at
        held = math.inf if self.past_end == "hold" else self._end
        self._watch = -math.inf if several or self._time else held
        if self._time is not None:
            self._coming = self._time.tick(step)
        at = self._plan_step(step)
        if at < step:
            self._binding.rewind()
        return at

    def seek(self, step: int) -> None:
        """Set the clock to `step`, forwards or backwards, and write its values.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> scheduler = cd.Scheduler(optimizer, lr=cd.Linear(10))
        >>> scheduler.seek(5)
        >>> scheduler.get_last_lr()
        [0.25]
        """
        step = _checks.whole("Scheduler.seek", "step", step)
        if self._time is not None and step != self._step:
            raise ArgumentError(
                f"Scheduler.seek: 'step' must be {self._step}, the present one, in a run of a "
                f"given time (got {step}); load a state of that step instead"
            )
        self._settle(step)
        self._step = step
        self._pace.restart(step, self._updates.rounds)

    @property
    def last_epoch(self) -> int:
        """The clock: ticks done. Torch's name; setting it is :meth:`seek`."""
        return self._step

    @last_epoch.setter
    def last_epoch(self, step: int) -> None:
        self.seek(step)

    @property
    def _step_count(self) -> int:
        return self._step + 1

    @_step_count.setter
    def _step_count(self, value: int) -> None:
        # Accelerate counts accumulated batches here; the clock does not.
        del value

    def follow(self) -> Self:
        """Let each update that the optimizers really make advance the clock, from now on.

        Then the loop need not call `step()`, and where it or a framework does, nothing happens:
        gradient accumulation, updates that AMP skips, and wrappers that step once for each process
        cannot miscount. With several optimizers a tick is a round, in which each has made an
        update. The optimizers keep the scheduler alive until :meth:`unfollow`.

        Raises:
            ArgumentError: The clock counts epochs, or an optimizer has no hooks to follow.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> scheduler = cd.Scheduler(optimizer, lr=cd.Linear(4)).follow()
        >>> for _ in range(2):
        ...     optimizer.step()
        >>> scheduler.get_last_lr()
        [0.25]
        """
        if self.clock != "update":
            raise ArgumentError(
                "Scheduler.follow: the clock must count updates (got clock='epoch'); step() it "
                "once per epoch"
            )
        if not self._updates.hooked:
            raise ArgumentError(
                "Scheduler.follow: the optimizers must have hooks (got "
                f"{', '.join(type(optimizer).__name__ for optimizer in self.optimizers)}); give "
                "the scheduler the optimizer that is wrapped"
            )
        self._check_in_charge()
        if not self._following:
            self._following = True
            self._updates.exact = not self.capturable
            self._look_closely()
            self._updates.listener = self._follow_update
        return self

    def unfollow(self) -> None:
        """Leave the clock to `step()` again."""
        if not self._following:
            return
        self._following = self._updates.exact = False
        self._look_closely()
        self._updates.listener = self._listener()
        self._pace.restart(self._step, self._updates.rounds)

    def _listen(self) -> None:
        """Count the optimizers' updates."""
        self._updates, self._pace = Updates(self.optimizers), Pace(self.clock, self._epoch)
        self._updates.listener = self._listener()
        self._passing = False
        self._look_closely()
        weakref.finalize(self, remove, self._updates.handles).atexit = False

    def _listener(self) -> Callable[[], None] | None:
        """What hears of the updates, but for following them: the audit, which asks the clock."""
        return None if self.capturable else _weakly(self)

    def _follow_update(self) -> None:
        """One update was made."""
        self._watch, self._passing = self._held, True
        try:
            self.step()
        finally:
            self._held, self._watch, self._passing = self._watch, -math.inf, False

    def _compare_pace(self) -> None:
        """Say, once, that the clock ticks at another pace than it should."""
        # The ticks of the update that is just being made are still to come.
        end = self._end if self._time is None else math.inf
        told = self._pace.complaint(self._step, self._updates.rounds - 1, end)
        if told is None:
            return
        if self.strict:
            raise PaceError(f"Scheduler: {told}")
        warn(f"Scheduler: {told}", PaceWarning)

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end; never where the plan has none, or is repeated.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> scheduler = cd.Scheduler(optimizer, lr=cd.Linear(), total_steps=2)
        >>> while not scheduler.finished:
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.last_epoch
        2
        """
        if self._time is not None and self._time.elapsed >= self._time.budget:
            return True
        return self.past_end != "repeat" and self._plan_step(self._step) >= self._end

    @property
    def elapsed(self) -> float | None:
        """The seconds that the run has trained, up to the last step; None without a wall time."""
        return None if self._time is None else self._time.elapsed

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do something that is not to count as training time, such as an evaluation.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> horizon = cd.Horizon(wall_time="2h")
        >>> scheduler = cd.Scheduler(optimizer, lr=cd.Hold() >> cd.Linear("20%"), horizon=horizon)
        >>> with scheduler.paused():
        ...     pass
        """
        if self._time is not None:
            self._time.stop()
        try:
            yield
        finally:
            if self._time is not None:
                self._time.start()

    @property
    def base_lrs(self) -> list[float]:
        """The base of each group's rate; empty where no rate is scheduled."""
        self._catch_up()
        return [slot.base for slot in self._ordered("lr")]

    @base_lrs.setter
    def base_lrs(self, bases: Sequence[float]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        bases = [_checks.number("Scheduler", "base_lrs", base) for base in bases]
        self.seek(self._step)
        slots = self._ordered("lr")
        if len(bases) != len(slots):
            raise ArgumentError(
                f"Scheduler: 'base_lrs' must give one base for each of {len(slots)} groups (got "
                f"{len(bases)})"
            )
        for slot, base in zip(slots, bases, strict=True):
            slot.base = slot.own = base
        self._write(self._plan_step(self._step))


def _weakly(scheduler: Clocked) -> Callable[[], None]:
    """A listener to updates that compares paces and keeps nobody alive."""
    reference = weakref.ref(scheduler)

    def listen() -> None:
        found = reference()
        if found is not None and found._updates.rounds >= found._pace.due:
            found._compare_pace()

    return listen
