"""The form of a scheduler's state, and how a saved one is compared with the scheduler.

Plain Python values under a fixed set of keys, which is what `torch.load(weights_only=True)` and
distributed checkpoints need.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cadence import _checks
from cadence.binding import Slot
from cadence.errors import ArgumentError, MismatchError, UnresolvedError
from cadence.horizon import Horizon
from cadence.revisions import Revision
from cadence.schedule import Schedule
from cadence.text import parse
from cadence.walltime import Watch

if TYPE_CHECKING:
    from cadence.scheduler._bound import Bound

__all__ = [
    "VERSION",
    "Adjustment",
    "Decision",
    "Saved",
    "horizon_state",
    "ordered",
    "packed",
    "read_state",
    "stored",
]

T = TypeVar("T", bound=tuple)

VERSION = 2
WHERE = "Scheduler.load_state_dict"

HORIZON = ("total_steps", "steps_per_epoch", "samples_per_step", "tokens_per_step", "wall_time")
STATE = (
    "version", "clock", "step", "round", "groups", "horizon", "plans", "bases", "own",
    "also", "revisions", "feedback", "decisions", "adjustments", "time",
)  # fmt: skip
KINDS: dict[str, Any] = {
    **dict.fromkeys(
        ("round", "groups", "revisions", "decisions", "adjustments", "time"), (list, tuple)
    ),
    **dict.fromkeys(("horizon", "plans", "bases", "own", "also", "feedback"), Mapping),
}


class Decision(NamedTuple):
    """What the feedback made of a metric."""

    step: int
    metric: float
    factor: float
    """What the rates were multiplied by, where no floor or ceiling stood in the way."""
    reason: str


class Adjustment(NamedTuple):
    """A change made by hand, with `Scheduler.adjust`."""

    step: int
    key: str
    group: int | str | None
    """The group, or None for all."""
    factor: float | None
    level: float | None
    """The value that was set, of the first group."""
    reason: str


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


def read_state(state: Any) -> Mapping[str, Any]:
    """The state in today's form; raise unless it is a scheduler's, of a version that we know."""
    if not isinstance(state, Mapping) or "version" not in state:
        kind = list(state) if isinstance(state, Mapping) else type(state).__name__
        raise MismatchError(f"{WHERE}: the state must be one of cadence.Scheduler (got {kind})")
    if state["version"] == 1:
        # Nothing but the step and the bases could change then.
        state = {
            **dict.fromkeys(("round", "revisions", "decisions", "adjustments", "time"), ()),
            "also": {},
            "own": state.get("bases"),
            "feedback": {"controller": None, "state": {}},
            **state,
            "version": VERSION,
        }
        if isinstance(state.get("horizon"), Mapping):
            state["horizon"] = {"wall_time": None, **state["horizon"]}
    if state["version"] != VERSION:
        raise MismatchError(
            f"{WHERE}: the state's version must be {VERSION} (got "
            f"{state['version']!r}); load it with the version of cadence that wrote it"
        )
    _check_keys("the state", state, STATE)
    for name, kind in KINDS.items():
        if not isinstance(state[name], kind):
            demanded = "dict" if kind is Mapping else "list"
            raise MismatchError(
                f"{WHERE}: the state's {name!r} must be a {demanded} (got {state[name]!r})"
            )
    _check_keys("the state's 'horizon'", state["horizon"], HORIZON)
    _check_keys("the state's 'bases'", state["bases"], state["plans"])
    _check_keys("the state's 'own'", state["own"], state["plans"])
    _check_keys("the state's 'feedback'", state["feedback"], ("controller", "state"))
    return state


def _check_keys(what: str, found: Mapping[str, Any], names: Iterable[str]) -> None:
    missing = [name for name in names if name not in found]
    extra = [name for name in found if name not in names]
    if missing or extra:
        raise MismatchError(
            f"{WHERE}: {what} must have the keys {', '.join(names)} (missing "
            f"{missing}, unknown {extra})"
        )


def stored(records: Iterable[Any]) -> list[str]:
    """Records as lines of JSON: a distributed checkpoint takes only lists of plain values whole."""
    return [json.dumps(record) for record in records]


def _read(name: str, lines: Iterable[Any]) -> list[Any]:
    try:
        return [json.loads(line) for line in lines]
    except (TypeError, ValueError):
        raise MismatchError(
            f"{WHERE}: the state's {name!r} must hold lines of JSON (got {lines!r})"
        ) from None


def _entries(name: str, kind: type[T], lines: Iterable[Any]) -> list[T]:
    """Records of one kind, stored as lists."""
    found = _read(name, lines)
    try:
        return [kind(*entry) for entry in found]
    except TypeError:
        fields = ", ".join(getattr(kind, "_fields", ()))
        raise MismatchError(
            f"{WHERE}: the state's {name!r} must hold lists of {fields} (got {found!r})"
        ) from None


@dataclass
class Saved:
    """A state, read and compared with the scheduler that is to load it; nothing is changed."""

    step: int
    clock: Any
    horizon: Horizon
    round: list[int] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    adjustments: list[Adjustment] = field(default_factory=list)
    feedback: str | None = None
    judged: dict[str, Any] | None = None
    """The state of the feedback, where that is the scheduler's own."""
    axis: Horizon = field(default_factory=Horizon)
    """What the state's plans are resolved against."""
    watch: Watch | None = None
    """Of a run of a given time, how far it was."""
    ours: list[Slot] = field(default_factory=list)
    """The slots with the state's bases and the scheduler's own plans."""
    theirs: list[Slot] = field(default_factory=list)
    """The slots with the state's bases and plans."""
    unreadable: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, state: Mapping[str, Any], slots: Sequence[Slot], scheduler: Bound) -> Saved:
        known = dict(state["horizon"])
        saved = cls(
            step=_checks.whole(WHERE, "step", state["step"]),
            clock=_checks.choice(WHERE, "clock", state["clock"], ("update", "epoch")),
            horizon=Horizon(known.pop("total_steps"), **known),
            round=[_checks.whole(WHERE, "round", one) for one in state["round"]],
            revisions=[Revision.read(one) for one in _read("revisions", state["revisions"])],
            decisions=_entries("decisions", Decision, state["decisions"]),
            adjustments=_entries("adjustments", Adjustment, state["adjustments"]),
            feedback=state["feedback"]["controller"],
        )
        saved.axis = saved.horizon if saved.horizon.wall_time is None else scheduler._axis
        if scheduler._time is not None:
            saved._resume(state["time"], scheduler)
        if scheduler.feedback is not None and saved.feedback == scheduler._controller():
            judged = state["feedback"]["state"]
            found = judged if isinstance(judged, Mapping) else {}
            _check_keys("the state of the feedback", found, list(scheduler.feedback.start()))
            saved.judged = copy.deepcopy(dict(found))
        for name, theirs, ours in (
            ("clock", saved.clock, scheduler.clock),
            ("total_steps", saved.horizon.total_steps, scheduler._first_horizon.total_steps),
            ("wall_time", saved.horizon.wall_time, scheduler._first_horizon.wall_time),
        ):
            if theirs != ours:
                saved.differences.append(f"  {name}: checkpoint {theirs!r}, constructor {ours!r}")
        if saved.feedback != scheduler._controller():
            saved.differences += [
                "  feedback:",
                f"    checkpoint:  {saved.feedback}",
                f"    constructor: {scheduler._controller()}",
            ]
        for key in dict.fromkeys(slot.key for slot in slots):
            chosen = ordered(slots, key)
            stored = (
                [[state["also"][key]], [1.0], [1.0]]
                if key in state["also"]
                else [state[name][key] for name in ("plans", "bases", "own")]
            )
            texts, bases, owns = (_unpacked(values, len(chosen)) for values in stored)
            if not len(bases) == len(texts) == len(owns) == len(chosen):
                raise MismatchError(f"{WHERE}: {key!r} must have {len(chosen)} plans and bases")
            plans: dict[tuple[str, Schedule], tuple[Schedule, Schedule]] = {}
            for slot, text, base, own in zip(chosen, texts, bases, owns, strict=True):
                ours = replace(
                    slot,
                    base=_checks.number(WHERE, "bases", base),
                    own=_checks.number(WHERE, "own", own),
                )
                if (text, slot.given) not in plans:
                    label = scheduler._label(slot.place)
                    plans[text, slot.given] = saved._compare(ours, text, label)
                given, plan = plans[text, slot.given]
                saved.ours.append(ours)
                saved.theirs.append(replace(ours, given=given, plan=plan))
        return saved

    def _resume(self, state: Sequence[Any], scheduler: Bound) -> None:
        """Set a watch to the time of the state."""
        watch, timed = scheduler._time, self.horizon.wall_time
        if timed is None:
            raise MismatchError(
                f"{WHERE}: the state must be of a run of a given time, as the scheduler's is "
                "(it counts steps)"
            )
        assert watch is not None
        if scheduler.on_mismatch == "checkpoint":
            watch = replace(watch, budget=timed)
        try:
            self.watch = watch.resumed(state)
        except (TypeError, ValueError):
            raise MismatchError(
                f"{WHERE}: the state's 'time' must hold the numbers of a watch (got {state!r})"
            ) from None

    def _compare(self, slot: Slot, text: str, label: str) -> tuple[Schedule, Schedule]:
        """The plan of the text, as given and resolved; a difference is noted."""
        ours = repr(slot.given)
        plans = None
        try:
            given = slot.given if text == ours else parse(text)
            plans = given, given.resolve(self.axis)
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
            at = self.step if self.watch is None else self.watch.place
            self.differences.append(
                f"    at step {self.step}: {plans[1](at, slot.base):.6g} by the checkpoint's plan, "
                f"{slot.at(at):.6g} by the constructor's"
            )
        return plans or (slot.given, slot.plan)

    def require(self, scheduler: Bound) -> None:
        """Raise where what the checkpoint was made by cannot be taken up by the scheduler."""
        if self.judged is None and self.feedback != scheduler._controller():
            raise MismatchError(
                f"{WHERE}: the checkpoint's feedback cannot be taken from it; give the scheduler "
                f"feedback={self.feedback}, or on_mismatch='constructor'"
            )
        timed = self.horizon.wall_time is not None
        if timed and any(a.plan != b.plan for a, b in zip(self.ours, self.theirs, strict=True)):
            raise MismatchError(
                f"{WHERE}: another plan cannot be taken from a run of a given time; give the "
                "scheduler the checkpoint's plans, or on_mismatch='constructor'"
            )
        if timed and scheduler._time is None:
            raise MismatchError(
                f"{WHERE}: the checkpoint's run has a given time; give the scheduler "
                f"Horizon(wall_time={self.horizon.wall_time:g}), or on_mismatch='constructor'"
            )
        if scheduler._following and self.clock == "epoch":
            raise MismatchError(
                f"{WHERE}: the checkpoint's clock counts epochs, and the scheduler follows updates;"
                " unfollow() first"
            )
        if self.unreadable:
            raise MismatchError(
                f"{WHERE}: the checkpoint's plan cannot be read back: "
                f"{self.unreadable[0]}; register its function with @cadence.register"
            )
