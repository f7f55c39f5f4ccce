"""The door to torch: plans bound to an optimizer's hyperparameters.

A :class:`Scheduler` owns a clock, the number of ticks done, and writes each plan's value at that
step into the parameter groups. Its state is the step, the bases and the plans' text; every value
follows from these, so loading is exact in any order, and twice.
"""

from __future__ import annotations

import copy
import math
import numbers
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
import torch
from torch.optim.lr_scheduler import LRScheduler

from cadence import _checks
from cadence._array import convert
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
    CallOrderWarning,
    ExternalChangeError,
    ExternalChangeWarning,
    MismatchError,
    PaceError,
    PaceWarning,
    PastEndError,
    SupersededError,
    TakeoverWarning,
    UnresolvedError,
)
from cadence.feedback import Controller
from cadence.given import Plan, by_name, each, normalized, one, optimizers
from cadence.given import horizon as given_horizon
from cadence.horizon import Horizon, Length
from cadence.levels import Level, affine
from cadence.levels import level as as_level
from cadence.ownership import OWNERS, Owner
from cadence.ranks import REDUCE, agreed
from cadence.revisions import Change, Revision, revised
from cadence.schedule import Schedule
from cadence.state import (
    VERSION,
    Adjustment,
    Decision,
    Saved,
    horizon_state,
    ordered,
    packed,
    read_state,
    stored,
)
from cadence.updates import Pace, Updates, remove
from cadence.walltime import Watch, layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Adjustment", "Decision", "Plan", "Scheduler"]

VISIBLE = 0.01
"""Below this multiple the base cannot be told from a value without blowing up its error."""

KEPT = 1_000
"""How many decisions are kept."""


class _Other(NamedTuple):
    """A value that is not a group's, and how to set it."""

    setter: Callable[[float], object]
    slot: Slot


class Scheduler(LRScheduler):
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
        # The setters come first: where one raises, the optimizer is as it was.
        self._set_others(self._of_others(0))
        # From here on the optimizer is touched; nothing below can fail but a plan's own function,
        # and that before the first write.
        self._bind(slots, 0)
        self._fresh = True
        self._following = False
        self._listen()

    _time: Watch | None = None
    """Of a run of a given time: how far it is."""

    _coming: Watch | None = None
    """The same when the step that is being made is done."""

    # What belongs to which group.

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

    # The clock.

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

    def _look_closely(self) -> None:
        """Let the next step look at everything."""
        self._watch = self._held = -math.inf

    # Following the updates.

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

    def _check_in_charge(self) -> None:
        if self._superseded is not None:
            raise SupersededError(
                f"Scheduler: a newer scheduler writes {self._superseded!r} of this optimizer; "
                "step that one"
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

    def _write(self, at: float, *, but: Sequence[Slot] = ()) -> None:
        """Write the values of the plan's step `at`, whatever the groups hold."""
        values = self._of_others(at)
        self._binding.write(at, but=but)
        self._refresh()
        self._set_others(values)

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

    # Feedback, and changes by hand.

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

    def _settle(self, step: int) -> float:
        """Deal with all that others have done, and write the values of `step`; the plan's step."""
        self._check_in_charge()
        at = self._plan_step(step)
        if self._replaced() or self._grown():
            self._regroup(at)
        else:
            self._reconcile(at)
        return at

    def _rebase(self, slots: Sequence[Slot], bases: Sequence[float], at: float) -> None:
        """Give slots other bases, and write the values."""
        for slot, base in zip(slots, bases, strict=True):
            slot.base = base
        self._write(at)

    # Runs that change.

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

    # Runs of a given time.

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

    def _set_length(self, total_steps: int) -> None:
        known = horizon_state(self.horizon)
        del known["total_steps"]
        self.horizon, self._end = Horizon(total_steps, **known), total_steps
        self._look_closely()

    # Asking.

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

    def _ordered(self, key: str) -> list[Slot]:
        return ordered(self._binding.slots, key)

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

    # State.

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

    def _controller(self) -> str | None:
        """The feedback as a state names it."""
        if type(self.feedback).__repr__ is object.__repr__:  # an address, which no run repeats
            return type(self.feedback).__name__
        return None if self.feedback is None else repr(self.feedback)

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


def _has_multiples(slot: Slot) -> bool:
    """Whether anything of a slot's plan is a multiple of its base."""
    return any(callable(piece.p) or piece.p for piece in slot.plan.compiled(slot.base).pieces)


def _scaled(slot: Slot, at: float, value: float, limited: float, factor: float) -> float:
    """The base times a factor, or as far as a limit of the value at a step lets it go."""
    p, q = slot.terms(at)
    if limited == value * factor or p == 0.0:
        return slot.base * factor
    if limited == value:
        return slot.base
    low, high = sorted((slot.base, slot.base * factor))
    return min(max((limited - q) / p, low), high)


def _weakly(scheduler: Scheduler) -> Callable[[], None]:
    """A listener to updates that compares paces and keeps nobody alive."""
    reference = weakref.ref(scheduler)

    def listen() -> None:
        found = reference()
        if found is not None and found._updates.rounds >= found._pace.due:
            found._compare_pace()

    return listen
