"""A scheduler's state: saving, loading, pickling."""

from __future__ import annotations

import copy
import math
from collections import deque
from dataclasses import replace
from typing import Any

from cadence.binding import Slot
from cadence.errors import MismatchError
from cadence.revisions import revised
from cadence.scheduler._clock import Clocked
from cadence.state import VERSION, Saved, horizon_state, packed, read_state, stored
from cadence.updates import Pace

__all__ = ["Stored"]

KEPT = 1_000
"""How many decisions are kept."""


class Stored(Clocked):
    """A scheduler that is saved and resumed."""

    def state_dict(self) -> dict[str, Any]:
        """The step, the bases, the plans' text, and what has happened, as plain Python values.

        Values changed by someone else since the last step are taken into account first.
        """
        self._catch_up()
        if self._grown() and not self._superseded:
            self._regroup(self._plan_step(self._step))
        slots = {key: self._ordered(key) for key in self._given}
        return {
            "version": VERSION,
            "clock": self.clock,
            "step": self._step,
            "round": self._updates.done,
            "groups": list(self._lengths),
            "horizon": horizon_state(self._first_horizon),
            "plans": {
                key: packed([repr(slot.given) for slot in own]) for key, own in slots.items()
            },
            "bases": {key: packed([slot.base for slot in own]) for key, own in slots.items()},
            "own": {key: packed([slot.own for slot in own]) for key, own in slots.items()},
            "also": {name: repr(other.slot.given) for name, other in self._others.items()},
            "revisions": stored(revision.state() for revision in self._revisions),
            "feedback": {"controller": self._controller(), "state": copy.deepcopy(self._judged)},
            "decisions": stored(self._decisions),
            "adjustments": stored(self._adjustments),
            "time": [] if self._time is None else self._time.state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the step and the bases, and write the values of that step.

        Exact whether the optimizer was loaded before, will be loaded after, or not at all. A
        state that cannot be loaded changes nothing. Setters (`also`) are called last.

        Raises:
            MismatchError: The state was made by another plan, horizon, clock, feedback or set of
                groups (where `on_mismatch` does not decide), or is not a scheduler's state.
        """
        state = read_state(state_dict)
        self._check_in_charge()
        counts = [len(optimizer.param_groups) for optimizer in self.optimizers]
        keys = {*self._given, *self._others}
        if list(state["groups"]) != counts or {*state["plans"], *state["also"]} != keys:
            raise MismatchError(
                "Scheduler.load_state_dict: the state must be of the same groups and "
                f"hyperparameters (it has {list(state['groups'])} groups and "
                f"{', '.join([*state['plans'], *state['also']])}; the scheduler has {counts} and "
                f"{', '.join([*self._given, *self._others])})"
            )
        saved = Saved.read(state, self._original(), self)
        if saved.differences and self.on_mismatch == "raise":
            raise MismatchError(
                "\n".join(
                    [
                        "Scheduler.load_state_dict: the checkpoint was made by another schedule",
                        *saved.differences,
                        "Choose with Scheduler(..., on_mismatch='checkpoint' or 'constructor').",
                    ]
                )
            )
        adopt = bool(saved.differences) and self.on_mismatch == "checkpoint"
        if adopt:
            saved.require(self)
        slots, horizon = (
            (saved.theirs, saved.horizon) if adopt else (saved.ours, self._first_horizon)
        )
        for slot in slots:
            slot.plan = revised(slot.plan, slot.key, saved.revisions)
        others = {slot.key: slot for slot in slots if slot.key in self._others}
        slots = [slot for slot in slots if slot.key in self._given]
        end = saved.revisions[-1].total_steps if saved.revisions else None
        time = saved.watch
        axis = horizon if time is None else self._axis
        end = self._find_end([*slots, *others.values()], axis) if end is None else end
        at = self._plan_step(saved.step, end) if time is None else time.place
        values = [others[name].at(at) for name in self._others]
        self._bind(slots, at)
        # From here on nothing can fail but a setter, and that when all else is done.
        for name, slot in others.items():
            slot.written = math.nan
            self._others[name] = self._others[name]._replace(slot=slot)
        self._step, self._end, self._revisions = saved.step, end, saved.revisions
        self._first_horizon = self.horizon = horizon
        self._axis, self._time = axis, time
        if saved.revisions:
            self._set_length(saved.revisions[-1].total_steps)
        if saved.judged is not None:
            self._judged = saved.judged
        self._decisions = deque(saved.decisions, maxlen=KEPT)
        self._adjustments = saved.adjustments
        self._look_closely()
        if adopt:
            self.clock = saved.clock
            self._given = {key: self._adopted(key, given) for key, given in self._given.items()}
        self._updates.done = saved.round
        self._pace = Pace(self.clock, self._epoch)
        self._pace.restart(self._step, self._updates.rounds)
        self._set_others(values)

    def _original(self) -> list[Slot]:
        """The slots with the plans that they had before any revision."""
        slots = [*self._binding.slots, *self._joining()]
        slots += [other.slot for other in self._others.values()]
        plans = {slot.given: self._resolved(slot.key, slot.given) for slot in slots}
        return [replace(slot, plan=plans[slot.given]) for slot in slots]

    def _adopted(self, key: str, given: Any) -> Any:
        """The plans of a checkpoint in the form in which ours were given, for groups to come."""
        slots = self._ordered(key)
        if isinstance(given, list):
            return [slot.given for slot in slots]
        if isinstance(given, dict):
            names = [slot.group(self._binding.groups).get("name") for slot in slots]
            return given | {name: slot.given for name, slot in zip(names, slots, strict=True)}
        plans = {slot.given for slot in slots}
        return plans.pop() if len(plans) == 1 else given

    def __getstate__(self) -> dict[str, Any]:
        self._binding.note()
        self._ticks = self._step
        own = (
            "_binding",
            "_advance",
            "_lists",
            "_list",
            "_updates",
            "_pace",
            "_passing",
            "_coming",
        )
        kept = {name: value for name, value in self.__dict__.items() if name not in own}
        done = self._updates.done
        return {
            **kept, "_slots_kept": self._binding.slots, "_stale": self._replaced(), "_done": done
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        names = ("_slots_kept", "_stale", "_lengths", "_done")
        slots, stale, lengths, done = (state.pop(name) for name in names)
        self.__dict__.update(state)
        self._binding = self._bound(slots)
        self._binding.attach()
        self._step = self._ticks
        self._remember()
        self._refresh()
        # Groups that were new to the original are as new to the copy.
        self._lengths, self._length = lengths, lengths[0]
        if stale:
            self._lists, self._list = [[] for _ in self._lists], []
        self._fresh = False
        self._listen()
        self._updates.done = done
        if self._superseded is None:
            self._own()
            if self._following:
                self._following = False
                self.follow()
