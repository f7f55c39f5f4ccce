"""Plans bound to the values of optimizers: which slot is whose, and who may write."""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.optim.lr_scheduler import LRScheduler

from cadence import _checks
from cadence._warn import warn
from cadence.binding import (
    Binding,
    Groups,
    Slot,
    check_readable,
    holds,
    match_rates,
    number,
    part_from,
    read,
)
from cadence.captured import CapturedBinding, check_capturable
from cadence.errors import (
    ArgumentError,
    ArgumentTypeError,
    ExternalChangeError,
    ExternalChangeWarning,
    PastEndError,
    SupersededError,
    TakeoverWarning,
    UnresolvedError,
)
from cadence.feedback import Controller
from cadence.given import by_name, each, one
from cadence.horizon import Horizon
from cadence.ownership import OWNERS, Owner
from cadence.revisions import Revision, revised
from cadence.schedule import Schedule
from cadence.state import Adjustment, Decision, ordered
from cadence.updates import Pace, Updates
from cadence.walltime import Watch, layout

__all__ = ["Bound"]

VISIBLE = 0.01
"""Below this multiple the base cannot be told from a value without blowing up its error."""


class _Other(NamedTuple):
    """A value that is not a group's, and how to set it."""

    setter: Callable[[float], object]
    slot: Slot


class Bound(LRScheduler):
    """The slots of a scheduler, their values, and those of strangers."""

    optimizers: tuple[torch.optim.Optimizer, ...]
    optimizer: torch.optim.Optimizer
    clock: str
    past_end: str
    external: str
    on_mismatch: str
    reduce: str | None
    strict: bool
    capturable: bool
    feedback: Controller | None
    horizon: Horizon
    """The run as it is planned now."""

    _first_horizon: Horizon
    """The run as it was planned at first, which is what durations are shares of."""
    _axis: Horizon
    """What plans are resolved against."""
    _epoch: float | None
    _given: dict[str, Any]
    _ticks: int
    """The clock, unless that is on the device."""
    _end: float
    _watch: float
    """The step from which on the hot path does not suffice."""
    _held: float
    _fresh: bool
    _passing: bool
    _following: bool
    _updates: Updates
    _pace: Pace
    _revisions: list[Revision]
    _judged: dict[str, Any]
    _decisions: deque[Decision]
    _adjustments: list[Adjustment]
    _warned: set[str]
    _superseded: str | None
    _others: dict[str, _Other]
    _binding: Binding
    _advance: Callable[[float], bool]
    _time: Watch | None = None
    """Of a run of a given time: how far it is."""
    _coming: Watch | None = None
    """The same when the step that is being made is done."""

    def _groups(self) -> Groups:
        return [list(optimizer.param_groups) for optimizer in self.optimizers]

    def _remember(self) -> None:
        """Remember in which lists the groups were found, and how many."""
        self._lists = [optimizer.param_groups for optimizer in self.optimizers]
        self._lengths = [len(groups) for groups in self._lists]
        self._list, self._length = self._lists[0], self._lengths[0]

    def _replaced(self) -> bool:
        """Whether an optimizer has a new list of groups, as after its `load_state_dict`."""
        pairs = zip(self.optimizers, self._lists, strict=True)
        return any(optimizer.param_groups is not groups for optimizer, groups in pairs)

    def _grown(self) -> bool:
        """Whether an optimizer has more groups than when they were looked up, or fewer."""
        pairs = zip(self.optimizers, self._lengths, strict=True)
        return any(len(optimizer.param_groups) != length for optimizer, length in pairs)

    def _label(self, place: tuple[int, int]) -> str:
        """How messages call a group."""
        optimizer, index = place
        several = len(self.optimizers) > 1
        return f"param_groups[{index}]" + (f" of optimizer {optimizer}" if several else "")

    def _slots(self, key: str, groups: Groups, known: Sequence[int] = ()) -> list[Slot]:
        """Slots of `key` for the groups beyond the first `known` ones of each optimizer."""
        slots, count, nth = [], sum(map(len, groups)), 0
        plans: dict[int, Schedule] = {}  # once for all groups of one plan
        for o, own in enumerate(groups):
            for i, group in enumerate(own):
                nth += 1
                if known and i < known[o]:
                    continue
                label = self._label((o, i))
                given = self._given[key]
                if isinstance(given, list) and (known or len(given) != count):
                    raise ArgumentError(
                        f"Scheduler: {key!r} must give one plan for each of {count} groups (got "
                        f"{len(given)}); a dict by group name also covers groups added later"
                    )
                plan = given[nth - 1] if isinstance(given, list) else given
                if isinstance(plan, dict):
                    plan = by_name(key, plan, group, label)
                check_readable(group, key, label)
                if id(plan) not in plans:
                    plans[id(plan)] = revised(self._resolved(key, plan), key, self._revisions)
                base = number(read(group, key))
                slots.append(Slot(key, (o, i), plans[id(plan)], base, plan))
        return slots

    def _resolved(self, key: str, plan: Schedule) -> Schedule:
        """The plan in steps, before any revision."""
        try:
            resolved = plan.resolve(self._axis)
            resolved.compiled()
        except (ArgumentError, UnresolvedError) as error:
            raise type(error)(f"Scheduler: {key}: {error}") from None
        return resolved

    def _others_of(self, also: Mapping[str, Any]) -> dict[str, _Other]:
        """What follows the clock beside the groups' values."""
        if not isinstance(also, Mapping):
            raise ArgumentTypeError(
                f"Scheduler: 'also' must be a dict (got {_checks.given(also)}); write "
                "also={'dropout': (set_dropout, Linear())}"
            )
        others = {}
        for name, pair in also.items():
            where = f"Scheduler: also[{name!r}]"
            if not (isinstance(pair, tuple) and len(pair) == 2 and callable(pair[0])):
                raise ArgumentTypeError(
                    f"{where} must be a pair of a function and a plan (got {_checks.given(pair)}); "
                    "write (set_value, Linear())"
                )
            if name in self._given:
                raise ArgumentError(f"{where} must have a name of its own; {name!r} has a plan")
            given = one(name, pair[1])
            slot = Slot(name, (0, 0), self._resolved(name, given), 1.0, given)
            others[name] = _Other(pair[0], slot)
        return others

    def _time_it(self, also: Mapping[str, Any]) -> None:
        """Lay the plans out for a run of a given time."""
        refused = {"past_end": self.past_end != "hold", "capturable": self.capturable}
        for name, given in refused.items():
            if given:
                raise ArgumentError(
                    f"Scheduler: a run of a given time (wall_time) must be without {name}= (got "
                    f"{getattr(self, name)!r}); it asks the host's clock, and holds in the end"
                )
        plans = [(key, plan) for key, given in self._given.items() for plan in each(given)]
        others = ((name, pair) for name, pair in also.items() if isinstance(pair, tuple))
        plans += [(name, one(name, pair[1])) for name, pair in others]
        self._time, self._axis = layout(plans, self.horizon)
        self._time.start()

    def _find_end(self, slots: list[Slot], horizon: Horizon) -> float:
        """The step at which `past_end` takes over."""
        end: float | None = horizon.total_steps
        if end is None:
            slots = [*slots, *(other.slot for other in self._others.values())]
            end = max(slot.plan.compiled(slot.base).end for slot in slots)
            end = end if end == math.inf else math.ceil(end)
        if self.past_end != "hold" and not 0 < end < math.inf:
            raise ArgumentError(
                f"Scheduler: past_end={self.past_end!r} must have an end; give total_steps"
            )
        return end

    def _inherit(self, slots: list[Slot], groups: Groups) -> None:
        """Take over the bases of an earlier scheduler whose values are still in the groups.

        Its present value would otherwise be taken for the base, and be scheduled twice.
        """
        for key in self._given:
            told, stepped = None, False
            for slot in (slot for slot in slots if slot.key == key):
                optimizer = self.optimizers[slot.place[0]]
                owner = OWNERS.get(optimizer, {}).get(key)
                old = None if owner is None else owner.slot(key, slot.place[1])
                if owner is None or old is None:
                    continue
                earlier = owner.scheduler()
                stepped |= earlier is not None and earlier._step > 0
                if old.base != slot.base and holds(read(slot.group(groups), key), old.written):
                    if stepped or earlier is None:
                        told = told or (slot.base, old.base)
                    slot.base = slot.own = old.base
            if told or stepped:
                base = (
                    ""
                    if told is None
                    else (
                        f" Its value is {told[0]:g} now; the new plan is a multiple of the earlier "
                        f"base {told[1]:g}; set group[{key!r}] first to choose another."
                    )
                )
                warn(
                    f"Scheduler: an earlier scheduler has written {key!r} of this optimizer; "
                    f"this one takes over.{base}",
                    TakeoverWarning,
                )

    def _bind(self, slots: list[Slot], at: float) -> None:
        """Write the values of the plan's step `at` to the present groups, and take hold of them."""
        binding = self._bound(slots)
        binding.write(at)
        if match_rates(slots, binding.groups):
            binding.attach()
        self._binding = binding
        self._remember()
        self._refresh()
        self._own()
        for slot in slots:
            # Groups that are added later take the optimizer's default, which shall stay the base
            # as a float does, though the group's own tensor is written in place.
            defaults = getattr(self.optimizers[slot.place[0]], "defaults", {})
            part_from(defaults, slot.group(binding.groups), slot)

    def _bound(self, slots: list[Slot]) -> Binding:
        """A binding of slots to the present groups."""
        if not self.capturable:
            return Binding(slots, self._groups(), vigilant=self.external != "rebase")
        earlier = getattr(self, "_binding", None)
        repeats = self.past_end == "repeat"
        return CapturedBinding(
            slots, self._groups(), end=self._end, repeats=repeats, earlier=earlier
        )

    def _check_capturable(self, slots: list[Slot], groups: Groups) -> None:
        """Raise where something of the step needs the host."""
        for name, value in (("past_end", "raise"), ("external", "error")):
            if getattr(self, name) == value:
                raise ArgumentError(
                    f"Scheduler: {name}={value!r} needs the host to look at each step; leave it "
                    "out, or leave capturable out"
                )
        if self._others:
            raise ArgumentError(
                "Scheduler: 'also' calls functions of the host at each step; leave it out, or "
                "leave capturable out"
            )
        check_capturable(slots, groups, self.optimizers, self._end)

    def _own(self) -> None:
        """Record, beside each optimizer, who writes which of its values from now on."""
        for i, optimizer in enumerate(self.optimizers):
            owners = OWNERS.setdefault(optimizer, {})
            for key in self._given:
                owner = owners.get(key)
                earlier = None if owner is None else owner.scheduler()
                if earlier is not None and earlier is not self:
                    earlier._superseded = key
                    earlier._look_closely()
                    earlier._updates.remove()
                owners[key] = Owner(weakref.ref(self), self._binding, i)

    @property
    def _step(self) -> int:
        """The clock; a captured one lives on the device."""
        binding = getattr(self, "_binding", None)
        return binding.step if isinstance(binding, CapturedBinding) else self._ticks

    @_step.setter
    def _step(self, step: int) -> None:
        self._ticks = step
        if isinstance(self._binding, CapturedBinding):
            self._binding.step = step

    def _ordered(self, key: str) -> list[Slot]:
        return ordered(self._binding.slots, key)

    def _slot(self, where: str, key: str, group: int | str) -> Slot:
        if key in self._others:
            return self._others[key].slot
        slots = self._ordered(key)
        if not slots:
            known = [*self._given, *self._others]
            hint = _checks.suggest(key, known)
            raise ArgumentError(
                f"Scheduler.{where}: 'key' must be one of {', '.join(known)} (got {key!r}){hint}"
            )
        if isinstance(group, int) and -len(slots) <= group < len(slots):
            return slots[group]
        for slot in slots:
            if isinstance(group, str) and slot.group(self._binding.groups).get("name") == group:
                return slot
        raise ArgumentError(
            f"Scheduler.{where}: 'group' must be an index below {len(slots)} or a group's name "
            f"(got {group!r})"
        )

    def _plan_step(self, step: Any, end: float | None = None) -> Any:
        """The plan's step at the clock's `step`: another one only past the end, or by the time."""
        if self._time is not None:
            now = self._time if step == self._step else self._coming
            assert now is not None
            return now.place
        end = self._end if end is None else end
        if self.past_end == "hold" or step < end:
            return step
        if self.past_end == "repeat":
            return step % int(end)
        if step > end:
            raise PastEndError(
                f"Scheduler: the plan ends at step {end:g} (asked for step {step}); give "
                "total_steps the real length, or past_end='hold'"
            )
        return step

    def _check_in_charge(self) -> None:
        if self._superseded is not None:
            raise SupersededError(
                f"Scheduler: a newer scheduler writes {self._superseded!r} of this optimizer; "
                "step that one"
            )

    def _look_closely(self) -> None:
        """Let the next step look at everything."""
        self._watch = self._held = -math.inf

    def _settle(self, step: int) -> float:
        """Deal with all that others have done, and write the values of `step`; the plan's step."""
        self._check_in_charge()
        at = self._plan_step(step)
        if self._replaced() or self._grown():
            self._regroup(at)
        else:
            self._reconcile(at)
        return at

    def _write(self, at: float, *, but: Sequence[Slot] = ()) -> None:
        """Write the values of the plan's step `at`, whatever the groups hold."""
        values = self._of_others(at)
        self._binding.write(at, but=but)
        self._refresh()
        self._set_others(values)

    def _rebase(self, slots: Sequence[Slot], bases: Sequence[float], at: float) -> None:
        """Give slots other bases, and write the values."""
        for slot, base in zip(slots, bases, strict=True):
            slot.base = base
        self._write(at)

    def _refresh(self) -> None:
        """Take up the binding's present tracks."""
        self._advance = self._binding.front().advance
        if self._others:
            self._advance = self._advance_all

    def _advance_all(self, at: float) -> bool:
        values = self._of_others(at)
        if not self._binding.advance(at):
            return False
        self._set_others(values)
        return True

    def _of_others(self, at: float) -> list[float]:
        """The values of what follows the clock beside the groups'."""
        return [other.slot.at(at) for other in self._others.values()]

    def _set_others(self, values: Sequence[float]) -> None:
        """Set those that change; one whose setter raises is set again at the next write."""
        for other, value in zip(self._others.values(), values, strict=True):
            if value != other.slot.written:
                other.slot.written = math.nan
                other.setter(value)
                other.slot.written = value

    def _reconcile(self, at: float) -> None:
        """Deal with foreign values, then write step `at`."""
        foreign = self._binding.foreign()
        if foreign:
            self._adopt(foreign)
        self._write(at)

    def _adopt(self, foreign: list[tuple[Slot, float]]) -> None:
        """Handle values that someone else wrote since the present step, as `external` says."""
        at = self._plan_step(self._step)
        slot, found = foreign[0]
        what = f"{slot.key!r} of {self._label(slot.place)}"
        if self.external == "error":
            # Other groups may have been written ahead; put them back, so that nothing changes.
            self._write(at, but=[slot for slot, _ in foreign])
            raise ExternalChangeError(
                f"Scheduler: {what} was changed from {slot.written:g} to {found:g} by someone "
                f"else since step {self._step}"
            )
        told = ""
        for slot, found in foreign:
            p, q = slot.terms(at)
            base = (found - q) / p if VISIBLE <= abs(p) < math.inf else math.nan
            if self.external == "rebase" and math.isfinite(base):
                told = told or f"kept: base {slot.base:g} -> {base:g}"
                slot.move(base)
            else:
                told = told or f"overridden: the base stays {slot.base:g}"
        slot, found = foreign[0]
        if slot.key not in self._warned:
            self._warned.add(slot.key)
            warn(
                f"Scheduler: {what} was changed to {found:g} by someone else; {told}. Further "
                "changes are handled without a warning",
                ExternalChangeWarning,
            )

    def _regroup(self, at: float) -> None:
        """Follow groups that were added, or replaced by `optimizer.load_state_dict`."""
        joining = self._joining()
        if not self._replaced():
            foreign = self._binding.foreign()
            if foreign:
                self._adopt(foreign)
        values = self._of_others(at)
        self._bind([*self._binding.slots, *joining], at)
        self._set_others(values)

    def _joining(self) -> list[Slot]:
        """Slots for the groups that were added to the optimizers since they were looked up."""
        groups = [optimizer.param_groups for optimizer in self.optimizers]
        if any(len(now) < before for now, before in zip(groups, self._lengths, strict=True)):
            raise ArgumentError(
                f"Scheduler: the optimizer must keep its groups (it had {sum(self._lengths)}, it "
                f"has {sum(map(len, groups))}); build a new scheduler"
            )
        slots = [slot for key in self._given for slot in self._slots(key, groups, self._lengths)]
        if self.feedback is not None:
            standing = self.feedback.standing(self._judged)
            for slot in slots:
                slot.base *= standing if slot.key == "lr" else 1.0
        return slots

    def _catch_up(self) -> None:
        """Take foreign changes into the bases now, where the next step would."""
        if (
            self.capturable
            or self.external != "rebase"
            or self._superseded
            or self._replaced()
            or self._grown()
        ):
            return
        if self._binding.foreign():
            self._reconcile(self._plan_step(self._step))

    def _controller(self) -> str | None:
        """The feedback as a state names it."""
        if type(self.feedback).__repr__ is object.__repr__:  # an address, which no run repeats
            return type(self.feedback).__name__
        return None if self.feedback is None else repr(self.feedback)
