"""The door to torch: plans bound to an optimizer's hyperparameters.

A :class:`Scheduler` owns a clock, the number of ticks done, and writes each plan's value at that
step into the parameter groups. Its state is the step, the bases and the plans' text; every value
follows from these, so loading is exact in any order, and twice.
"""

from __future__ import annotations

import math
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.optim.lr_scheduler import LRScheduler

from cadence import _checks
from cadence._array import convert
from cadence.binding import (
    Binding,
    Group,
    Groups,
    Slot,
    check_readable,
    holds,
    number,
    part_from,
    read,
)
from cadence.errors import (
    ArgumentError,
    ArgumentTypeError,
    CadenceWarning,
    CallOrderWarning,
    ExternalChangeError,
    ExternalChangeWarning,
    MismatchError,
    PastEndError,
    SupersededError,
    TakeoverWarning,
    UnresolvedError,
)
from cadence.horizon import Horizon
from cadence.levels import Absolute
from cadence.ownership import OWNERS, FirstUpdate, Owner
from cadence.recipes import OneCycle
from cadence.schedule import Schedule
from cadence.shapes import Constant, Function
from cadence.state import VERSION, Saved, check_state, horizon_state, ordered, packed
from cadence.text import parse

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Plan", "Scheduler"]

Plan = Schedule | str | float | Callable[[int], float]
"""What a plan may be given as: a schedule, its text, a multiple of the base, or a function."""

VISIBLE = 0.01
"""Below this multiple the base cannot be told from a value without blowing up its error."""


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
        **plans: Plan | Sequence[Plan] | Mapping[str, Plan],
    ) -> None:
        # torch's own constructor is not run: it would patch `optimizer.step` and write values.
        self.optimizers = _optimizers(optimizer)
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
        if not plans:
            raise ArgumentError(
                "Scheduler: at least one plan must be given, such as lr=Cosine() (got none)"
            )
        self.horizon = _horizon(total_steps, horizon, self.clock)
        self._given = {key: _normalized(key, plan) for key, plan in plans.items()}
        self._step = 0
        self._warned: set[str] = set()
        self._superseded: str | None = None
        groups = self._groups()
        slots = [slot for key in plans for slot in self._slots(key, groups)]
        self._end = self._find_end(slots, self.horizon)
        self._inherit(slots, groups)
        # From here on the optimizer is touched; nothing below can fail but a plan's own function,
        # and that before the first write.
        self._bind(slots, 0)
        self._first_update: FirstUpdate | None = FirstUpdate(self.optimizers)
        weakref.finalize(self, self._first_update.remove)
        self._watch: float = 1

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
        resolved: dict[int, Schedule] = {}  # once for all groups of one plan
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
                    plan = _by_name(key, plan, group, label)
                check_readable(group, key, label)
                if id(plan) not in resolved:
                    resolved[id(plan)] = self._resolved(key, plan)
                base = number(read(group, key))
                slots.append(Slot(key, (o, i), resolved[id(plan)], base, plan))
        return slots

    def _resolved(self, key: str, plan: Schedule) -> Schedule:
        try:
            resolved = plan.resolve(self.horizon)
            resolved.compiled()
        except (ArgumentError, UnresolvedError) as error:
            raise type(error)(f"Scheduler: {key}: {error}") from None
        return resolved

    def _find_end(self, slots: list[Slot], horizon: Horizon) -> float:
        """The step at which `past_end` takes over."""
        end: float | None = horizon.total_steps
        if end is None:
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
                    slot.base = old.base
            if told or stepped:
                base = (
                    ""
                    if told is None
                    else (
                        f" Its value is {told[0]:g} now; the new plan is a multiple of the earlier "
                        f"base {told[1]:g}; set group[{key!r}] first to choose another."
                    )
                )
                _warn(
                    f"Scheduler: an earlier scheduler has written {key!r} of this optimizer; "
                    f"this one takes over.{base}",
                    TakeoverWarning,
                )

    def _bind(self, slots: list[Slot], at: int) -> None:
        """Write the values of the plan's step `at` to the present groups, and take hold of them."""
        binding = Binding(slots, self._groups(), vigilant=self.external != "rebase")
        binding.write(at)
        self._binding = binding
        self._remember()
        self._refresh()
        self._own()
        for slot in slots:
            # Groups that are added later take the optimizer's default, which shall stay the base
            # as a float does, though the group's own tensor is written in place.
            defaults = getattr(self.optimizers[slot.place[0]], "defaults", {})
            part_from(defaults, slot.group(binding.groups), slot)

    def _own(self) -> None:
        """Record, beside each optimizer, who writes which of its values from now on."""
        for i, optimizer in enumerate(self.optimizers):
            owners = OWNERS.setdefault(optimizer, {})
            for key in self._given:
                owner = owners.get(key)
                earlier = None if owner is None else owner.scheduler()
                if earlier is not None and earlier is not self:
                    earlier._superseded, earlier._watch = key, -math.inf
                    if earlier._first_update is not None:
                        earlier._first_update.remove()
                owners[key] = Owner(weakref.ref(self), self._binding, i)

    # The clock.

    def step(self, metric: object = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Advance the clock by one tick and write the values of the new step.

        Call it after `optimizer.step()`: once per update, or once per epoch with
        `clock="epoch"`.

        Raises:
            PastEndError: The plan has ended and `past_end="raise"`.
            ExternalChangeError: A value was changed by someone else and `external="error"`.
            SupersededError: A newer scheduler writes the same values.
        """
        step = self._step + 1
        if (
            step < self._watch
            and metric is None
            and self.optimizer.param_groups is self._list
            and len(self._list) == self._length
            and self._advance(step)
        ):
            self._step = step
        else:
            self._step_with_care(step, metric)

    def _step_with_care(self, step: int, metric: object) -> None:
        """A step on which something is not as usual."""
        at = self._look(step, metric)
        if self._replaced() or self._grown():
            self._regroup(at)
        elif not self._advance(at):
            self._reconcile(at)
        self._step = step

    def _look(self, step: int, metric: object) -> int:
        """What the hot path leaves out: first steps, ends and refusals; the plan's step."""
        if metric is not None:
            raise ArgumentTypeError(
                f"Scheduler.step: takes no argument (got {metric!r}); write seek(step) to set "
                "the position"
            )
        self._check_in_charge()
        if self._first_update is not None:
            missed = self._first_update.missed()
            self._first_update = None
            if missed and self._step == 0:
                _warn(
                    "Scheduler: step() was called before the first optimizer.step(), so the "
                    "plan's first value is skipped; call optimizer.step() first",
                    CallOrderWarning,
                )
        several = len(self.optimizers) > 1  # whose groups the hot path does not look at
        held = math.inf if self.past_end == "hold" else self._end
        self._watch = -math.inf if several else held
        at = self._plan_step(step)
        if at < step:
            self._binding.rewind()
        return at

    def _check_in_charge(self) -> None:
        if self._superseded is not None:
            raise SupersededError(
                f"Scheduler: a newer scheduler writes {self._superseded!r} of this optimizer; "
                "step that one"
            )

    def _plan_step(self, step: Any, end: float | None = None) -> Any:
        """The plan's step at the clock's `step`: another one only past the end."""
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

    def _write(self, at: int, *, but: Sequence[Slot] = ()) -> None:
        """Write the values of the plan's step `at`, whatever the groups hold."""
        self._binding.write(at, but=but)
        self._refresh()

    def _refresh(self) -> None:
        """Take up the binding's present tracks."""
        tracks = self._binding.tracks
        self._advance = tracks[0].advance if len(tracks) == 1 else self._binding.advance

    def _reconcile(self, at: int) -> None:
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
                slot.base = base
            else:
                told = told or f"overridden: the base stays {slot.base:g}"
        slot, found = foreign[0]
        if slot.key not in self._warned:
            self._warned.add(slot.key)
            _warn(
                f"Scheduler: {what} was changed to {found:g} by someone else; {told}. Further "
                "changes are handled without a warning",
                ExternalChangeWarning,
            )

    def _regroup(self, at: int) -> None:
        """Follow groups that were added, or replaced by `optimizer.load_state_dict`."""
        joining = self._joining()
        if not self._replaced():
            foreign = self._binding.foreign()
            if foreign:
                self._adopt(foreign)
        self._bind([*self._binding.slots, *joining], at)

    def _joining(self) -> list[Slot]:
        """Slots for the groups that were added to the optimizers since they were looked up."""
        groups = [optimizer.param_groups for optimizer in self.optimizers]
        if any(len(now) < before for now, before in zip(groups, self._lengths, strict=True)):
            raise ArgumentError(
                f"Scheduler: the optimizer must keep its groups (it had {sum(self._lengths)}, it "
                f"has {sum(map(len, groups))}); build a new scheduler"
            )
        return [slot for key in self._given for slot in self._slots(key, groups, self._lengths)]

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
        self._check_in_charge()
        at = self._plan_step(step)
        if self._replaced() or self._grown():
            self._regroup(at)
        else:
            self._reconcile(at)
        self._step = step

    # Asking.

    def _catch_up(self) -> None:
        """Take foreign changes into the bases now, where the next step would."""
        if self.external != "rebase" or self._superseded or self._replaced() or self._grown():
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
            slot.base = base
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
        slots = self._ordered(key)
        if not slots:
            hint = _checks.suggest(key, self._given)
            raise ArgumentError(
                f"Scheduler.{where}: 'key' must be one of {', '.join(self._given)} (got {key!r})"
                f"{hint}"
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
        if self.past_end != "hold":
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
        return np.asarray(self.value_at(np.arange(self._step, self._step + n), key, group))

    def plot(self, key: str | None = None, **options: Any) -> list[Axes]:
        """Draw each hyperparameter over the run, the present step marked.

        Groups that share plan and base share a curve.

        Args:
            key: One hyperparameter; all by default, one above the other.
            **options: As for :func:`cadence.plot.panels`.

        Returns:
            The matplotlib axes, one for each hyperparameter.
        """
        from cadence.plot import curve, panels

        self._catch_up()
        drawn = {}
        for name in self._given if key is None else [key]:
            curves: dict[tuple[Schedule, float], list[str]] = {}
            for i in range(len(self._ordered(name)) or 1):
                slot = self._slot("plot", name, i)
                label = slot.group(self._binding.groups).get("name", f"group {i}")
                curves.setdefault((slot.plan, slot.base), []).append(label)
            alone = len(curves) == 1
            drawn[name] = [
                curve(plan, self.horizon, base, label=None if alone else ", ".join(labels))
                for (plan, base), labels in curves.items()
            ]
        return panels(drawn, mark=self._step, **options)

    def __repr__(self) -> str:
        plans = ", ".join(
            f"{key}={' | '.join(dict.fromkeys(repr(slot.plan) for slot in self._ordered(key)))}"
            for key in self._given
        )
        names = ", ".join(type(optimizer).__name__ for optimizer in self.optimizers)
        end = "" if self._end == math.inf else f"/{self._end:g}"
        return f"Scheduler({names}, {plans}, step={self._step}{end})"

    # State.

    def state_dict(self) -> dict[str, Any]:
        """The step, the bases and the plans' text, as plain Python values.

        Values changed by someone else since the last step are taken into account first.
        """
        self._catch_up()
        if self._grown() and not self._superseded:
            self._regroup(self._plan_step(self._step))
        return {
            "version": VERSION,
            "clock": self.clock,
            "step": self._step,
            "groups": list(self._lengths),
            "horizon": horizon_state(self.horizon),
            "plans": {
                key: packed([repr(slot.given) for slot in self._ordered(key)])
                for key in self._given
            },
            "bases": {
                key: packed([slot.base for slot in self._ordered(key)]) for key in self._given
            },
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the step and the bases, and write the values of that step.

        Exact whether the optimizer was loaded before, will be loaded after, or not at all. A
        state that cannot be loaded changes nothing.

        Raises:
            MismatchError: The state was made by another plan, horizon, clock or set of groups
                (where `on_mismatch` does not decide), or is not a scheduler's state.
        """
        check_state(state_dict)
        self._check_in_charge()
        counts = [len(optimizer.param_groups) for optimizer in self.optimizers]
        if list(state_dict["groups"]) != counts or set(state_dict["plans"]) != set(self._given):
            raise MismatchError(
                "Scheduler.load_state_dict: the state must be of the same groups and "
                f"hyperparameters (it has {list(state_dict['groups'])} groups and "
                f"{', '.join(state_dict['plans'])}; the scheduler has {counts} and "
                f"{', '.join(self._given)})"
            )
        slots = [*self._binding.slots, *self._joining()]
        saved = Saved.read(state_dict, slots, self)
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
            saved.require_plans()
        slots, horizon = (saved.theirs, saved.horizon) if adopt else (saved.ours, self.horizon)
        end = self._find_end(slots, horizon)
        self._bind(slots, self._plan_step(saved.step, end))
        self._step, self.horizon, self._end = saved.step, horizon, end
        self._watch = 1  # the next step looks at the end anew
        if adopt:
            self.clock = saved.clock
            self._given = {key: self._adopted(key, given) for key, given in self._given.items()}

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
        own = ("_binding", "_advance", "_lists", "_list", "_first_update")
        kept = {name: value for name, value in self.__dict__.items() if name not in own}
        return {**kept, "_slots_kept": self._binding.slots, "_stale": self._replaced()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        slots, stale, lengths = (state.pop(n) for n in ("_slots_kept", "_stale", "_lengths"))
        self.__dict__.update(state)
        self._first_update = None
        self._binding = Binding(slots, self._groups(), vigilant=self.external != "rebase")
        self._binding.attach()
        self._remember()
        self._refresh()
        # Groups that were new to the original are as new to the copy.
        self._lengths, self._length = lengths, lengths[0]
        if stale:
            self._lists, self._list = [[] for _ in self._lists], []
        if self._superseded is None:
            self._own()


def _warn(message: str, kind: type[CadenceWarning]) -> None:
    """Warn at the line, outside this module, that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals is globals():
        level, frame = level + 1, frame.f_back
    warnings.warn(message, kind, stacklevel=level)


def _optimizers(given: Any) -> tuple[torch.optim.Optimizer, ...]:
    if isinstance(given, torch.optim.Optimizer):
        return (given,)
    found = tuple(given) if isinstance(given, Iterable) else ()
    if not found or not all(isinstance(one, torch.optim.Optimizer) for one in found):
        raise ArgumentTypeError(
            "Scheduler: 'optimizer' must be an optimizer or a list of them (got "
            f"{_checks.given(given)})"
        )
    if len({id(one) for one in found}) < len(found):
        raise ArgumentError("Scheduler: 'optimizer' must not name one optimizer twice")
    return found


def _horizon(total_steps: int | str | None, horizon: Horizon | None, clock: str) -> Horizon:
    """The run in ticks of the clock."""
    if horizon is not None and not isinstance(horizon, Horizon):
        raise ArgumentTypeError(f"Scheduler: 'horizon' must be a Horizon (got {horizon!r})")
    known = horizon or Horizon()
    if clock == "epoch":
        known = known.in_epochs()
    if total_steps is None:
        return known
    if known.total_steps is not None:
        raise ArgumentError(
            f"Scheduler: 'total_steps' must not be given twice (got {total_steps!r} and "
            f"{horizon!r})"
        )
    others = {name: value for name, value in horizon_state(known).items() if name != "total_steps"}
    return Horizon(total_steps, **others)


def _normalized(key: str, plan: Any) -> Any:
    """A plan as a Schedule, or a list or a dict of them."""
    if isinstance(plan, Mapping):
        return {name: _one(key, one) for name, one in plan.items()}
    if isinstance(plan, OneCycle):
        raise ArgumentTypeError(
            f"Scheduler: {key!r} must be a schedule (got the pair of one_cycle); write "
            "cycle = one_cycle(...), then lr=cycle.lr, momentum=cycle.momentum"
        )
    if isinstance(plan, (list, tuple)):
        return [_one(key, one) for one in plan]
    return _one(key, plan)


def _one(key: str, plan: Any) -> Schedule:
    if isinstance(plan, Schedule):
        return plan
    if isinstance(plan, str):
        return parse(plan)
    if isinstance(plan, Absolute) or (
        isinstance(plan, (int, float, np.number)) and not isinstance(plan, bool)
    ):
        return Constant(plan)  # pyright: ignore[reportArgumentType]
    if isinstance(plan, type) and issubclass(plan, Schedule):
        raise ArgumentTypeError(
            f"Scheduler: {key!r} must be a schedule (got the class); write {plan.__name__}()"
        )
    if callable(plan):
        return Function(plan)  # pyright: ignore[reportArgumentType]
    raise ArgumentTypeError(
        f"Scheduler: {key!r} must be a schedule, its text, a number or a function (got "
        f"{_checks.given(plan)})"
    )


def _by_name(key: str, plans: Mapping[str, Schedule], group: Group, label: str) -> Schedule:
    name = group.get("name")
    if name is None:
        raise ArgumentError(
            f"Scheduler: {label} must have a 'name', since {key!r} is given by name; write "
            "{'params': ..., 'name': 'head'}"
        )
    if name not in plans:
        raise ArgumentError(
            f"Scheduler: {key!r} must have a plan for {label}, named {name!r} (it has "
            f"{', '.join(map(repr, plans))}){_checks.suggest(name, plans)}"
        )
    return plans[name]
