"""The form of a scheduler's state, and how a saved one is compared with the scheduler.

Plain Python values under a fixed set of keys, which is what `torch.load(weights_only=True)` and
distributed checkpoints need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cadence import _checks
from cadence.binding import Slot
from cadence.errors import ArgumentError, MismatchError, UnresolvedError
from cadence.horizon import Horizon
from cadence.schedule import Schedule
from cadence.text import parse

if TYPE_CHECKING:
    from cadence.scheduler import Scheduler

__all__ = ["VERSION", "Saved", "check_state", "horizon_state", "ordered", "packed"]

VERSION = 1
WHERE = "Scheduler.load_state_dict"

HORIZON = ("total_steps", "steps_per_epoch", "samples_per_step", "tokens_per_step")
STATE = ("version", "clock", "step", "groups", "horizon", "plans", "bases")


def ordered(slots: Iterable[Slot], key: str) -> list[Slot]:
    """The slots of one key in the order of the groups."""
    return sorted((slot for slot in slots if slot.key == key), key=lambda slot: slot.place)


def horizon_state(horizon: Horizon) -> dict[str, Any]:
    """The arguments that make an equal horizon."""
    return {name: getattr(horizon, name) for name in HORIZON}


def packed(values: list[Any]) -> list[Any]:
    """One value where all are equal: the state of a thousand groups stays small."""
    return values[:1] if len(set(values)) == 1 else values


def _unpacked(values: Any, count: int) -> list[Any]:
    if not isinstance(values, (list, tuple)):
        return []
    return list(values) * (count if len(values) == 1 else 1)


def check_state(state: Any) -> None:
    """Raise unless this is a scheduler's state of a version that we can read."""
    if not isinstance(state, Mapping) or "version" not in state:
        kind = list(state) if isinstance(state, Mapping) else type(state).__name__
        raise MismatchError(f"{WHERE}: the state must be one of cadence.Scheduler (got {kind})")
    if state["version"] != VERSION:
        raise MismatchError(
            f"{WHERE}: the state's version must be {VERSION} (got "
            f"{state['version']!r}); load it with the version of cadence that wrote it"
        )
    _check_keys("the state", state, STATE)
    kinds = {"groups": (list, tuple), "horizon": Mapping, "plans": Mapping, "bases": Mapping}
    for name, kind in kinds.items():
        if not isinstance(state[name], kind):
            demanded = "dict" if kind is Mapping else "list"
            raise MismatchError(
                f"{WHERE}: the state's {name!r} must be a {demanded} (got {state[name]!r})"
            )
    _check_keys("the state's 'horizon'", state["horizon"], HORIZON)
    _check_keys("the state's 'bases'", state["bases"], state["plans"])


def _check_keys(what: str, found: Mapping[str, Any], names: Iterable[str]) -> None:
    missing = [name for name in names if name not in found]
    extra = [name for name in found if name not in names]
    if missing or extra:
        raise MismatchError(
            f"{WHERE}: {what} must have the keys {', '.join(names)} (missing "
            f"{missing}, unknown {extra})"
        )


@dataclass
class Saved:
    """A state, read and compared with the scheduler that is to load it; nothing is changed."""

    step: int
    clock: Any
    horizon: Horizon
    ours: list[Slot] = field(default_factory=list)
    """The slots with the state's bases and the scheduler's own plans."""
    theirs: list[Slot] = field(default_factory=list)
    """The slots with the state's bases and plans."""
    unreadable: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, state: Mapping[str, Any], slots: Sequence[Slot], scheduler: Scheduler) -> Saved:
        known = dict(state["horizon"])
        saved = cls(
            step=_checks.whole(WHERE, "step", state["step"]),
            clock=_checks.choice(WHERE, "clock", state["clock"], ("update", "epoch")),
            horizon=Horizon(known.pop("total_steps"), **known),
        )
        for name, theirs, ours in (
            ("clock", saved.clock, scheduler.clock),
            ("total_steps", saved.horizon.total_steps, scheduler.horizon.total_steps),
        ):
            if theirs != ours:
                saved.differences.append(f"  {name}: checkpoint {theirs!r}, constructor {ours!r}")
        for key in dict.fromkeys(slot.key for slot in slots):
            chosen = ordered(slots, key)
            texts, bases = (_unpacked(state[name][key], len(chosen)) for name in ("plans", "bases"))
            if not len(bases) == len(texts) == len(chosen):
                raise MismatchError(f"{WHERE}: {key!r} must have {len(chosen)} plans and bases")
            plans: dict[tuple[str, Schedule], tuple[Schedule, Schedule]] = {}
            for slot, text, base in zip(chosen, texts, bases, strict=True):
                ours = replace(slot, base=_checks.number(WHERE, "bases", base))
                if (text, slot.given) not in plans:
                    label = scheduler._label(slot.place)
                    plans[text, slot.given] = saved._compare(ours, text, label)
                given, plan = plans[text, slot.given]
                saved.ours.append(ours)
                saved.theirs.append(replace(ours, given=given, plan=plan))
        return saved

    def _compare(self, slot: Slot, text: str, label: str) -> tuple[Schedule, Schedule]:
        """The plan of the text, as given and resolved; a difference is noted."""
        ours = repr(slot.given)
        plans = None
        try:
            given = slot.given if text == ours else parse(text)
            plans = given, given.resolve(self.horizon)
        except (ArgumentError, UnresolvedError):
            self.unreadable.append(text)
        if plans is not None and plans[1] == slot.plan:
            return plans
        if plans is not None and text == ours:
            # The same durations come to other steps by the other horizon.
            text, ours = repr(plans[1]), repr(slot.plan)
        self.differences += [
            f"  {slot.key} of {label}:",
            f"    checkpoint:  {text}",
            f"    constructor: {ours}",
        ]
        if plans is not None:
            theirs = plans[1](self.step, slot.base)
            self.differences.append(
                f"    at step {self.step}: {theirs:.6g} by the checkpoint's plan, "
                f"{slot.at(self.step):.6g} by the constructor's"
            )
        return plans or (slot.given, slot.plan)

    def require_plans(self) -> None:
        """Raise where a plan of the checkpoint cannot be rebuilt from its text."""
        if self.unreadable:
            raise MismatchError(
                f"{WHERE}: the checkpoint's plan cannot be read back: "
                f"{self.unreadable[0]}; register its function with @cadence.register"
            )
