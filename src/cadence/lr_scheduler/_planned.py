"""torch's own schedulers, as plans that the engine writes.

A :class:`Planned` scheduler translates its arguments into one plan for each group. torch's
classes come in two kinds, and they differ as soon as anybody else touches a rate. *Recursive*
ones multiply what they find in the group, so a foreign change scales the rest of the schedule;
here the base is solved such that the plan passes through what was found. *Absolute* ones compute
from `base_lrs` and overwrite what they find.
"""

# torch's classes are parents for the sake of `isinstance`; what they declare is all overridden.
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import copy
import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.optim import lr_scheduler as theirs

from cadence import _checks
from cadence.binding import Group, Slot, copied, holds, put, read
from cadence.levels import absolute
from cadence.lr_scheduler._base import LRScheduler, Rate, _Newborn, rates_of
from cadence.lr_scheduler._following import Overwriting, Rebasing
from cadence.lr_scheduler._lifetime import forget
from cadence.schedule import Schedule

if TYPE_CHECKING:
    from cadence.lr_scheduler._together import Together

__all__ = ["NEVER", "ClosedForm", "Planned", "Ticking", "attributes", "like"]

NEVER = -math.inf

FEW = 8
"""Up to how many groups are all looked at in every step."""


def like(rate: Any, value: float) -> Rate:
    """The value, as a tensor where the rate is one."""
    return torch.full_like(rate, value) if isinstance(rate, torch.Tensor) else value


class Engine:
    """What a planned scheduler keeps outside its `__dict__`, so that torch's eyes pass over it."""

    __slots__ = (
        "binding", "last", "made", "next", "optimizer", "plan", "settled", "stop", "tail",
        "together", "told", "track", "voice", "watch",
    )  # fmt: skip

    def __init__(self) -> None:
        self.binding: Overwriting | Rebasing | None = None
        self.last: list[Rate] = []
        """The rates that were computed last, where there is no binding."""
        self.told = False
        """Whether somebody has set these since the binding wrote its own."""
        self.made: list[Any] | None = None
        """What the plan of all groups was made from."""
        self.next: float = NEVER
        """The clock of the next step, if the groups hold what was written but for foreigners."""
        self.settled: float = NEVER
        """What `next` was when the attributes that count the steps were brought up to date."""
        self.stop: float = NEVER
        """The clock from which on a step goes the long way."""
        self.tail: Group = {}
        """The last group: another one when groups were added, or replaced by loading."""
        self.watch: Callable[[], bool] | None = None
        """Whether nothing that the plans were made from has been changed in place."""
        self.together: Together | None = None
        """Who writes in this scheduler's place, and as which of its voices."""
        self.voice = 0

    def attach(self) -> None:
        """Sort the slots into tracks, and take the short way where there is one track."""
        binding = self.binding
        assert binding is not None
        binding.attach()
        self.track = binding.front()

    def slots(self) -> list[Slot]:
        """The slots, the rates' first, with what was written last."""
        if self.binding is None:
            return []
        if self.together is not None and self.together.next == self.next:
            self.together.settle(self.voice, self.binding.slots)
            self.attach()
        self.binding.note()
        return self.binding.slots

    def rates(self) -> list[Slot]:
        """The slots of the rates."""
        return [slot for slot in self.slots() if slot.key == "lr"]


def _watch(
    attributes: dict[str, Any],
    inputs: tuple[str, ...],
    groups: list[Group],
    levels: tuple[str, ...],
) -> Callable[[], bool] | None:
    """Watch lists among the attributes, or keys of the groups, that plans are made from."""
    live = [attributes[name] for name in inputs if name in attributes]
    if live:
        kept = [list(values) for values in live]
        # A call without a frame: this is asked at every step.
        return functools.partial(operator.eq, *(live + kept if len(live) == 1 else (live, kept)))
    levels = tuple(key for key in levels if key in groups[0])
    if not levels:
        return None
    read = itemgetter(*levels)
    given = [(group, read(group)) for group in groups]
    if len(given) == 1:
        ((only, its),) = given
        return lambda: read(only) == its
    if len(given) <= FEW:
        return lambda: all(read(group) == its for group, its in given)
    in_turn = cycle(given)  # all of many groups at every step would take too long

    def watch() -> bool:
        group, its = next(in_turn)
        return read(group) == its

    return watch


attributes: Callable[[Any], dict[str, Any]] = theirs.LRScheduler.__dict__["__dict__"].__get__
"""The `__dict__` of a scheduler as it lies there: without the steps that were not counted yet."""


class Ticking:
    """An attribute that the steps count on: those taken the short way are added when it is read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, scheduler: Any, kind: type | None = None) -> Any:
        if scheduler is None:
            return self
        try:
            return scheduler._counted()[self.name]
        except KeyError:
            raise AttributeError(self.name, name=self.name, obj=scheduler) from None

    def __set__(self, scheduler: Any, value: Any) -> None:
        scheduler._settle()
        attributes(scheduler)[self.name] = value


@functools.cache
def overridden(kind: type) -> frozenset[str]:
    """The methods of a scheduler that somebody's subclass has replaced."""
    names = ("step", "get_lr", "_update_lr", "_get_closed_form_lr")
    methods = {name: getattr(kind, name, None) for name in names}
    home = __name__.rpartition(".")[0] + "."
    return frozenset(
        name
        for name, method in methods.items()
        if method is not None and not f"{method.__module__}.".startswith(home)
    )


class Planned(LRScheduler):
    """A scheduler whose rates are plans; see the module's text for its two kinds."""

    __slots__ = ("_engine",)

    is_absolute: ClassVar[bool] = False
    """Whether rates are computed from `base_lrs`, or from what the groups hold."""

    keeps_resumed: ClassVar[bool] = False
    """Whether a recursive class, built with last_epoch >= 0, leaves the rates as they are."""

    keeps_rest: ClassVar[bool] = True
    """Whether a change made where the plan is no multiple of the base is added to what follows."""

    inputs: ClassVar[tuple[str, ...]] = ()
    """Lists among the attributes that the plans are made from, whose entries may be set."""

    made_of: ClassVar[tuple[str, ...]] = ()
    """The attributes that the plan is made from, where it is one plan for all groups."""

    levels: ClassVar[tuple[str, ...]] = ()
    """Keys of the groups, beside the rate, that the plans are made from."""

    _engine: Engine
    last_epoch: Any = Ticking()
    _step_count: Any = Ticking()

    def __new__(cls, *_: Any, **__: Any) -> Any:
        self = super().__new__(cls)
        object.__setattr__(self, "_engine", Engine())
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        # Whoever sets a parameter in the middle of a run wants other plans; whoever sets the
        # clock says that the groups hold the values of that time.
        if name not in _BOOKKEEPING:
            self._engine.slots()  # what was written is worked out while that can be told
            self._go_long()
        object.__setattr__(self, name, value)

    # What a class says of itself.

    def _plan(self, index: int) -> Schedule:
        """The plan of the rate of one group."""
        raise NotImplementedError

    def _base(self, index: int) -> float:
        """What the plan is a multiple of, if nobody else touches the rate."""
        return float(self.base_lrs[index])

    def _more_plans(self, index: int) -> Mapping[str, tuple[Schedule, float]]:
        """Plans of other keys of one group, each with its base."""
        del index
        return {}

    @property
    def _clock(self) -> float:
        """The time of the plan."""
        return self.last_epoch

    @property
    def _ahead(self) -> float:
        """How far `last_epoch` is ahead of the plan's time."""
        return self.last_epoch - self._clock

    def _stop(self) -> float:
        """The next clock at which more has to be done than to write the plan's values."""
        return math.inf

    @property
    def _planned(self) -> bool:
        """Whether the rates are the plans', and not those of somebody's subclass."""
        return not (
            overridden(type(self)) & {"get_lr", "_get_closed_form_lr"}
            or "get_lr" in attributes(self)
        )

    @property
    def _plain(self) -> bool:
        """Whether a step does nothing but what the plans say."""
        return not (
            overridden(type(self)) or attributes(self).keys() & {"get_lr", "step", "_update_lr"}
        )

    # Stepping.

    def step(self, epoch: float | None = None) -> None:
        """Advance by one, or (deprecated) go to `epoch`; call it after `optimizer.step()`."""
        engine = self._engine
        clock = engine.next
        if (
            clock < engine.stop
            and epoch is None
            and engine.optimizer.param_groups[-1] is engine.tail
            and (engine.watch is None or engine.watch())
        ):
            engine.next = clock + 1  # first, since a function of people's may ask for the epoch
            track = engine.track
            quick = track.quick
            if track.advance(clock) if quick is None else quick(track, clock):
                return
            if engine.binding.follow(clock):  # pyright: ignore[reportOptionalMemberAccess]
                return
            engine.next = clock
        self._long_step(epoch)

    @property
    def __dict__(self) -> dict[str, Any]:
        """All attributes, up to date; people's own `state_dict` reads them here."""
        self._settle()
        present = attributes(self)
        if "optimizer" in present:
            present["_last_lr"] = self._last_lr
        return present

    def _go_long(self) -> None:
        """Let the next step make everything anew."""
        self._settle()
        self._engine.next = self._engine.stop = NEVER

    def _settle(self) -> None:
        """Count, for good, the steps that were taken the short way."""
        attributes(self).update(self._counted())
        self._engine.settled = self._engine.next

    def _counted(self) -> dict[str, Any]:
        """The attributes, with the steps counted that were taken the short way."""
        engine, present = self._engine, attributes(self)
        steps = engine.next - engine.settled
        return present if not steps > 0 else present | self._ticked(present, round(steps))

    def _ticked(self, present: dict[str, Any], steps: int) -> dict[str, Any]:
        """What some steps change of the attributes."""
        return {name: present[name] + steps for name in ("last_epoch", "_step_count")}

    def _long_step(self, epoch: float | None) -> None:
        """A step that takes more than to write the plan's next values."""
        super().step(epoch)

    def _move(self, epoch: float | None) -> None:
        # Past __setattr__, which would forget the plans.
        attributes(self)["last_epoch"] = self.last_epoch + 1 if epoch is None else epoch

    def _update_lr(self, epoch: float | None = None) -> None:
        self._settle()
        if not self._planned:
            super()._update_lr(epoch)
            return
        if epoch is not None and not epoch >= 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        known = self._join()
        self._move(epoch)
        closed = epoch is not None and hasattr(self, "_get_closed_form_lr")
        self._get_lr_called_within_step = False
        if not self._jump():
            self._write(self._next(known, closed=closed))
        self._say(epoch)

    def _jump(self) -> bool:
        """Write the values of another clock by plans that are known; False if that takes more."""
        engine, groups = self._engine, self.optimizer.param_groups
        if not (
            self.is_absolute
            and self.made_of
            and engine.stop != NEVER
            and engine.optimizer is self.optimizer
            and groups[-1] is engine.tail
            and (engine.watch is None or engine.watch())
            and self._plans()[0] is engine.binding.slots[0].plan  # pyright: ignore[reportOptionalMemberAccess]
        ):
            return False
        clock, binding = self._clock, engine.binding
        binding.rewind()  # pyright: ignore[reportOptionalMemberAccess]
        engine.next = engine.settled = clock + 1
        return engine.track.advance(clock) or binding.follow(clock)  # pyright: ignore[reportOptionalMemberAccess]

    def _plans(self) -> list[Schedule]:
        """The plans of the groups' rates, made anew only where what they are made of changes."""
        engine, count = self._engine, len(self.optimizer.param_groups)
        if not self.made_of:
            return [self._plan(i) for i in range(count)]
        made = [getattr(self, name) for name in self.made_of]
        if engine.made != made:
            engine.made = [copy.copy(value) for value in made]
            engine.plan = self._plan(0)
        return [engine.plan] * count

    def _next(self, known: int, *, closed: bool = False) -> list[Slot]:
        """What the groups are to hold at the present clock; those from `known` on begin now."""
        groups, clock = self.optimizer.param_groups, self._clock
        last = self._engine.rates() if self._engine.next == clock else []
        slots, terms = self._slots(), {}
        recursive = not (self.is_absolute or closed)
        for i, slot in enumerate(slots):
            if recursive and i >= known:
                slot.base = float(groups[i]["lr"])  # others may have scaled it already
            if id(slot.plan) not in terms:
                terms[id(slot.plan)] = slot.terms(clock)
            p, q = terms[id(slot.plan)]
            slot.written = p * slot.base + q if slot.base else slot.at(clock)
            if recursive and i < known:
                self._go_on(slot, groups[i]["lr"], last[i] if i < len(last) else None)
        return slots + self._more_slots()

    def _slots(self) -> list[Slot]:
        return [
            Slot("lr", (0, i), plan, self._base(i), plan) for i, plan in enumerate(self._plans())
        ]

    def _more_slots(self) -> list[Slot]:
        """The slots of what is scheduled beside the rates, with their values."""
        return [
            Slot(key, (0, i), plan, base, plan, plan(self._clock, base))
            for i in range(len(self.optimizer.param_groups))
            for key, (plan, base) in self._more_plans(i).items()
        ]

    def _go_on(self, slot: Slot, found: Any, last: Slot | None) -> None:
        """Take a rate from what is found, at the clock before, to the present clock."""
        clock, rate = self._clock, float(found)
        if clock == 0:
            slot.base = rate  # nothing has been written yet
        elif self._is_initial and self.keeps_resumed:
            self._pass_through(slot, found, clock, None)
        else:
            self._pass_through(slot, found, clock - 1, last)
        value = slot.at(clock)
        # Where the plan is flat, the rate stays as it is, to the last bit.
        slot.written = rate if math.isclose(value, rate, rel_tol=1e-14) else value
        p, q = slot.given.compiled().at(clock)
        if p and slot.plan is not slot.given:
            slot.base, slot.plan = (slot.written - q) / p, slot.given

    def _pass_through(self, slot: Slot, found: Any, clock: float, last: Slot | None) -> None:
        """Solve the base such that the plan has the rate that is found, at that clock."""
        p, q = slot.terms(clock)
        rate = float(found)
        if last is not None and last.given == slot.given and holds(found, last.written):
            slot.base, slot.plan = last.base if p else slot.base, last.plan
        elif p:
            slot.base = (rate - q) / p
        elif self.keeps_rest and rate != q:
            # The base does not show here: the constructor's goes on, and so does whatever was
            # added to the plan's own value.
            slot.plan = slot.given + absolute(rate - q)

    def _write(self, slots: list[Slot]) -> None:
        """Write the slots' values, and let the engine go on from them."""
        engine, groups = self._engine, self.optimizer.param_groups
        for slot in slots:
            put(groups[slot.place[1]], slot.key, slot.written)
        kind = Overwriting if self.is_absolute else Rebasing
        engine.binding = kind(slots, [groups], vigilant=True)
        engine.attach()
        engine.told = False
        engine.optimizer, engine.tail = self.optimizer, groups[-1]
        engine.watch = _watch(attributes(self), self.inputs, groups, self.levels)
        # The first step has more to do: it looks at the order of calls.
        settled = not self._is_initial and self._step_count != 1 and not self._says
        settled = settled and "_update_lr" not in overridden(type(self))
        engine.next = engine.settled = self._clock + 1
        engine.stop = self._stop() if settled else NEVER

    # Asking.

    def get_lr(self) -> list[Rate]:
        """The rates that the groups hold; nothing is written.

        Within a step, for a subclass that asks its parent, those of the epoch that is entered.
        """
        groups = self.optimizer.param_groups
        by_hand = "step" in overridden(type(self)) and self._engine.next == NEVER
        if not (self._get_lr_called_within_step or by_hand):
            return rates_of(self.optimizer)
        if not self._is_initial:
            forget(self.optimizer)  # in use, even by a wrapper that never calls `step()`
        slots = self._next(len(groups))
        for slot in slots[len(groups) :]:  # torch, too, cycles momenta on the way
            put(groups[slot.place[1]], slot.key, slot.written)
        return [like(group["lr"], slot.written) for group, slot in zip(groups, slots, strict=False)]

    @property
    def _last_lr(self) -> list[Rate]:
        engine, groups = self._engine, self.optimizer.param_groups
        if engine.told:
            return engine.last
        rates = [like(groups[slot.place[1]]["lr"], slot.written) for slot in engine.rates()]
        return rates or engine.last

    @_last_lr.setter
    def _last_lr(self, rates: list[Rate]) -> None:
        engine = self._engine
        engine.last, engine.told, engine.stop = rates, True, NEVER

    def value_at(self, step: int, group: int = 0) -> float:
        """The rate of one group at any step; nothing is changed."""
        step = _checks.whole(f"{type(self).__name__}.value_at", "step", step)
        clock = step - self._ahead
        if not self._planned or clock < 0:
            return super().value_at(step, group)
        slot = self._present(group)
        return slot.given(clock, self._base(group)) if clock >= self._stop() else slot.at(clock)

    def preview(self, n: int, group: int = 0) -> np.ndarray:
        """The rates of the next n steps of one group, the present one first; shape (n,)."""
        if not self._planned:
            return super().preview(n, group)
        n = _checks.whole(f"{type(self).__name__}.preview", "n", n)
        steps, slot = np.arange(n, dtype=np.float64) + self._clock, self._present(group)
        begun = slot.plan(steps, slot.base)
        return np.where(steps < self._stop(), begun, slot.given(steps, self._base(group)))

    def _present(self, index: int) -> Slot:
        """The slot of a rate, with the base under which its plan passes through what is held."""
        self._join()
        slot, clock = self._slots()[index], self._clock
        if not self.is_absolute:
            last = self._engine.rates() if self._engine.next == clock + 1 else []
            found = self.optimizer.param_groups[index]["lr"]
            self._pass_through(slot, found, clock, last[index] if index < len(last) else None)
        return slot

    # State.

    def _own_state(self) -> dict[str, Any]:
        """Also the bases, which a foreign change may have moved, and the other keys' values."""
        groups = self.optimizer.param_groups
        own = super()._own_state() | {
            "more": [
                float(read(group, key))
                for i, group in enumerate(groups)
                for key in self._more_plans(i)
            ],
            "levels": [
                {key: copied(group[key]) for key in self.levels if key in group} for group in groups
            ],
        }
        # At another clock the bases are those of other plans.
        if not self.is_absolute and self._engine.next == self._clock + 1:
            own["bases"] = [slot.base for slot in self._engine.rates()]
        return own

    def _restore(self, state: dict[str, Any]) -> None:
        self._go_long()  # what was written is of another time
        super()._restore(state)

    def _resume(self, last: Sequence[Any] | None, own: Mapping[str, Any]) -> None:
        clock, groups = self._clock, self.optimizer.param_groups
        for group, levels in zip(groups, own.get("levels", ()), strict=False):
            group.update(levels)
        if not self._planned or clock < 0:
            self._engine.binding, self._last_lr = None, list(last or ())
            return
        slots, more = self._slots(), self._more_slots()
        for i, slot in enumerate(slots):
            slot.written = slot.at(clock) if last is None else float(last[i])
            if self.is_absolute:
                continue
            if "bases" in own:
                slot.base = own["bases"][i]
            if "bases" not in own or not slot.terms(clock).p:
                self._pass_through(slot, slot.written, clock, None)
        self._write(slots + more)
        for slot, value in zip(more, own.get("more", ()), strict=False):
            put(groups[slot.place[1]], slot.key, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({k: v for k, v in state.items() if k != "_last_lr"})
        self._last_lr = state.get("_last_lr", [])


class ClosedForm(Planned):
    """A recursive class that torch also gives a closed form, for `step(epoch)`."""

    def _get_closed_form_lr(self) -> list[float]:
        return [slot.at(self._clock) for slot in self._slots()]


_BOOKKEEPING = frozenset(
    {"_get_lr_called_within_step", "_is_initial", "_last_lr", "_step_count", *_Newborn.__slots__}
)
