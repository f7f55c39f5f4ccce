"""Runs that change: feedback, adjustments by hand, and another length."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from cadence import _checks
from cadence.binding import Slot, number
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.horizon import Horizon, Length
from cadence.levels import Level, affine
from cadence.levels import level as as_level
from cadence.ranks import agreed
from cadence.revisions import Change, Revision, revised
from cadence.schedule import Schedule
from cadence.scheduler._bound import VISIBLE
from cadence.scheduler._questions import Asked
from cadence.state import Adjustment, Decision, horizon_state

__all__ = ["Changing"]


class Changing(Asked):
    """A scheduler whose plans can be changed in the middle of a run."""

    def observe(self, metric: float) -> Decision | None:
        """Let the feedback judge a metric, and write the rates that it decides on.

        In a distributed run every process has to call it, and all judge the same value (see
        `reduce`). A factor multiplies the base of every rate, so it scales what follows of the
        plan; what a plan holds of absolute levels stays.

        Returns:
            The decision, which is also in :attr:`decisions`; None where nothing changes.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> plateau = cd.Plateau(patience=1)
        >>> scheduler = cd.Scheduler(optimizer, lr=cd.Constant(1), feedback=plateau)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     decision = scheduler.observe(loss)
        >>> decision.factor, scheduler.get_last_lr()
        (0.1, [0.05])
        """
        if self.feedback is None:
            raise ArgumentError(
                "Scheduler.observe: the scheduler must have feedback; write Scheduler(..., "
                "feedback=Plateau())"
            )
        self._check_in_charge()
        try:
            value = number(metric)
        except (TypeError, ValueError, RuntimeError):
            raise ArgumentTypeError(
                f"Scheduler.observe: 'metric' must be a number (got {_checks.given(metric)})"
            ) from None
        value, before = agreed(value, self.reduce), self._judged
        judged, factor = self.feedback.update(before, value)
        if factor == 1.0:
            self._judged = judged
            return None
        factor = _checks.number("Scheduler.observe", "factor", factor, low=0)
        reason = self.feedback.reason(before, judged, value, factor)
        at, bases = self._settle(self._step), []
        for slot in self._ordered("lr"):
            rate = slot.at(at)
            limited = self.feedback.limited(rate, factor, slot.own)
            bases.append(_scaled(slot, at, rate, limited, factor))
        self._rebase(self._ordered("lr"), bases, at)
        self._judged = judged
        decision = Decision(self._step, value, factor, reason)
        self._decisions.append(decision)
        return decision

    @property
    def decisions(self) -> list[Decision]:
        """What the feedback has decided, the last thousand times."""
        return list(self._decisions)

    @property
    def adjustments(self) -> list[Adjustment]:
        """The changes that were made by :meth:`adjust`."""
        return list(self._adjustments)

    def adjust(
        self,
        factor: float | None = None,
        *,
        level: Level | None = None,
        key: str = "lr",
        group: int | str | None = None,
        reason: str = "",
    ) -> Adjustment:
        """Change a value by hand, for good: the rest of the plan is scaled by it.

        The state holds the change and the record of it, so a resumed run goes on with it.

        Args:
            factor: What to multiply the base by, and with it all levels that are multiples of it.
            level: The value to set instead: a multiple of the own base, which neither feedback nor
                adjustments have touched, or an absolute level.
            key: The hyperparameter.
            group: One group, by its index or its name; by default all.
            reason: For the record.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> scheduler = cd.Scheduler(optimizer, lr=cd.Linear(10))
        >>> _ = scheduler.adjust(0.5, reason="the loss is noisy")
        >>> scheduler.get_last_lr(), scheduler.value_at(5)
        ([0.25], 0.125)
        """
        where = "Scheduler.adjust"
        if (factor is None) == (level is None):
            raise ArgumentError(f"{where}: either 'factor' or 'level' must be given")
        if factor is not None:
            factor = _checks.number(where, "factor", factor, low=0)
        wanted = affine(0.0 if level is None else as_level(where, "level", level))
        if key in self._others:
            raise ArgumentError(f"{where}: 'key' must be a value of the groups (got {key!r})")
        at = self._settle(self._step)
        chosen = self._slot("adjust", key, 0 if group is None else group)
        slots, bases = self._ordered(key) if group is None else [chosen], []
        for slot in slots:
            (p, q), old = slot.terms(at), slot.at(at)
            if factor is not None:
                value, base = old * factor, slot.base * factor
                reached = p != 0.0 or q == 0.0
            else:
                value = wanted.p * slot.own + wanted.q
                reached = VISIBLE <= abs(p) < math.inf
                base = (value - q) / p if reached else math.nan
                reached = reached and base * slot.own >= 0
            if not reached:
                raise ArgumentError(
                    f"{where}: {key!r} of {self._label(slot.place)} must be a multiple of its base "
                    f"to be brought from {old:g} to {value:g} for good (at step {self._step} it is "
                    f"{p:g} of the base plus {q:g}); extend() or cooldown() change the plan itself"
                )
            bases.append(base)
        self._rebase(slots, bases, at)
        set_to = None if factor is not None else slots[0].at(at)
        adjustment = Adjustment(self._step, key, group, factor, set_to, str(reason))
        self._adjustments.append(adjustment)
        return adjustment

    def extend(
        self,
        total_steps: int,
        how: Literal["hold", "stretch", "cooldown", "rewarm"] = "hold",
        *,
        steps: Length | None = None,
        apply: bool = True,
    ) -> Change:
        """Give the run another length, from the present step on.

        Args:
            total_steps: The new length.
            how: `"hold"` the plan's end for the added steps; `"stretch"` what is left of the plan
                to the new end; hold the present value and then `"cooldown"` to 0 over the last
                `steps`; or `"rewarm"`: after the old end rise to the plan's peak over `steps`, and
                come down from there as before in the time that is left.
            steps: Length of the cool-down or of the warm-up, in steps or as a percentage of what
                is left of the run; by default 20 % and 5 %.
            apply: Whether to do it; False only shows what it would do.

        Returns:
            The rate's plan before and after, with a picture: `change.plot()`.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> scheduler = cd.Scheduler(optimizer, lr=cd.Linear(), total_steps=10)
        >>> scheduler.seek(5)
        >>> change = scheduler.extend(25, "stretch")
        >>> scheduler.value_at(5), scheduler.value_at(15), scheduler.value_at(25)
        (0.25, 0.125, 0.0)
        """
        revision = Revision.of(
            "Scheduler.extend",
            step=self._step,
            before=self._end,
            total_steps=total_steps,
            how=how,
            steps=steps,
            keys=self._revised_keys(how),
        )
        return self._revise(revision, apply=apply)

    def cooldown(
        self,
        steps: int,
        *,
        shape: type | str = "OneMinusSqrt",
        end: Level = 0.0,
        apply: bool = True,
    ) -> Change:
        """Come down now: branch a decay off a stable phase, and end the run with it.

        Args:
            steps: Its length; the run ends with it.
            shape: The ramp, such as :class:`~cadence.shapes.OneMinusSqrt`.
            end: The level at which it ends.
            apply: Whether to do it; False only shows what it would do.

        Returns:
            The rate's plan before and after, with a picture: `change.plot()`.

        >>> import torch, cadence as cd
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> scheduler = cd.Scheduler(optimizer, lr=cd.Constant(1), total_steps=100)
        >>> scheduler.seek(40)
        >>> change = scheduler.cooldown(10, shape=cd.Linear)
        >>> scheduler.value_at(45), scheduler.value_at(50), scheduler.horizon.total_steps
        (0.25, 0.0, 50)
        """
        where = "Scheduler.cooldown"
        steps = _checks.whole(where, "steps", steps, low=1)
        revision = Revision.of(
            where,
            step=self._step,
            before=min(self._end, self._step + steps),
            total_steps=self._step + steps,
            how="cooldown",
            steps=steps,
            shape=shape,
            end=end,
            keys=self._revised_keys("cooldown"),
        )
        return self._revise(revision, apply=apply)

    def _revised_keys(self, how: str) -> list[str]:
        """A stretch takes all plans along; to come down or up again is meant for the rate."""
        keys = [*self._given, *self._others]
        return ["lr"] if how in ("cooldown", "rewarm") and "lr" in keys else keys

    def _revise(self, revision: Revision, *, apply: bool) -> Change:
        self._check_in_charge()
        if self._time is not None:
            raise ArgumentError(
                "Scheduler: a run of a given time cannot be given a number of steps; resume it "
                "with another Horizon(wall_time=...) and on_mismatch='constructor'"
            )
        if self.past_end == "repeat":
            raise ArgumentError(
                "Scheduler: a run that repeats its plan has no end to move (past_end='repeat')"
            )
        if apply:
            self._settle(self._step)
        slots = self._binding.slots
        plans: dict[tuple[str, Schedule], Schedule] = {}
        for slot in [*slots, *(other.slot for other in self._others.values())]:
            if (slot.key, slot.plan) not in plans:
                plan = revised(slot.plan, slot.key, [revision])
                plan.compiled()
                plans[slot.key, slot.plan] = plan
        shown = self._ordered("lr" if "lr" in self._given else revision.keys[0])[0]
        change = Change(
            shown.plan, plans[shown.key, shown.plan], self._step, revision.total_steps, shown.base
        )
        if apply:
            new = [replace(slot, plan=plans[slot.key, slot.plan]) for slot in slots]
            at = self._plan_step(self._step, revision.total_steps)
            self._bind(new, at)
            for other in self._others.values():
                other.slot.plan = plans[other.slot.key, other.slot.plan]
            self._revisions.append(revision)
            self._set_length(revision.total_steps)
            self._set_others(self._of_others(at))
        return change

    def _set_length(self, total_steps: int) -> None:
        known = horizon_state(self.horizon)
        del known["total_steps"]
        self.horizon, self._end = Horizon(total_steps, **known), total_steps
        self._look_closely()


def _scaled(slot: Slot, at: float, value: float, limited: float, factor: float) -> float:
    """The base times a factor, or as far as a limit of the value at a step lets it go."""
    p, q = slot.terms(at)
    if limited == value * factor or p == 0.0:
        return slot.base * factor
    if limited == value:
        return slot.base
    low, high = sorted((slot.base, slot.base * factor))
    return min(max((limited - q) / p, low), high)
