"""Writing a plan's values into parameter groups: fast, in place, and never over a stranger's.

A *slot* is one value of one group: the key, the plan and the base it is a multiple of. Slots
that share key and plan form a *track*, which evaluates its plan once a step and hands p and q to
its *writers*, one for the groups of each kind (floats of one base, floats of many, tensors).

Before each write a writer looks whether what it wrote last is still there. For floats that is
one identity check, since the very object it wrote must be found again; tensors are recognised by
identity and version counter. Only where that fails are values compared.

Nothing here refers to the optimizer, so a record of what was written can outlive a scheduler.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from cadence import _checks
from cadence._program import Affine, Program
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.schedule import Schedule

__all__ = [
    "Binding",
    "Group",
    "Groups",
    "Slot",
    "check_readable",
    "copied",
    "holds",
    "match_rates",
    "number",
    "part_from",
    "put",
    "read",
    "replace",
]

Group = dict[str, Any]
Groups = list[list[Group]]
"""The groups of each optimizer."""

BETAS = {"beta1": 0, "beta2": 1}
"""Keys that address an entry of the group's `betas` tuple."""


def read(group: Group, key: str) -> Any:
    """The group's present value of `key`: a float, or a tensor as it lies there."""
    return group["betas"][BETAS[key]] if _in_betas(group, key) else group[key]


def number(value: Any) -> float:
    """A group's value as a float."""
    return float(value.detach() if isinstance(value, torch.Tensor) else value)


def copied(value: Any) -> Any:
    """A group's value that nobody else holds."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().clone() if value.requires_grad else value.clone()


def _in_betas(group: Group, key: str) -> bool:
    """Whether the key is meant for the tuple; some optimizers have a `beta1` of its own."""
    return key in BETAS and key not in group


def put(group: Group, key: str, value: float | torch.Tensor) -> None:
    """Set the group's value: a tensor is written in place, so that compiled steps keep it."""
    if isinstance(group.get(key), float):
        group[key] = value
        return
    present = read(group, key)
    if isinstance(present, torch.Tensor):
        with _mode([present])():
            present.fill_(number(value))
    else:
        replace(group, key, value)


def _mode(tensors: Sequence[torch.Tensor]) -> Callable[[], Any]:
    """The mode in which these tensors can be written; inference tensors demand their own."""
    if any(tensor.is_inference() for tensor in tensors):
        return torch.inference_mode
    return torch.no_grad if any(tensor.requires_grad for tensor in tensors) else nullcontext


def replace(group: Group, key: str, value: Any) -> None:
    """Replace the object under `key`."""
    if _in_betas(group, key):
        betas = list(group["betas"])
        betas[BETAS[key]] = value
        group["betas"] = type(group["betas"])(betas)
    else:
        group[key] = value


def check_readable(group: Group, key: str, label: str, where: str = "Scheduler") -> None:
    """Raise unless the group has a finite number under `key`."""
    betas = group.get("betas")
    try:
        value = read(group, key)
    except (KeyError, IndexError):
        names = [name for name, value in group.items() if _is_number(value)]
        names += list(BETAS)[: len(betas or ())]
        hint = _checks.suggest(key, names)
        if key == "momentum" and betas:
            hint = "; this optimizer keeps its momentum in 'betas': write beta1=..."
        raise ArgumentError(
            f"{where}: {label} must have a number {key!r} (it has {', '.join(names)}){hint}"
        ) from None
    where = f"{where}: {label}[{key!r}]"
    if not _is_number(value):
        raise ArgumentTypeError(f"{where} must be a number (got {_checks.given(value)})")
    if isinstance(value, torch.Tensor) and not value.is_floating_point():
        raise ArgumentTypeError(f"{where} must be a floating-point tensor (got {value.dtype})")
    if not math.isfinite(number(value)):
        raise ArgumentError(f"{where} must be finite (got {number(value)})")


def _is_number(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.numel() == 1 and not value.is_complex() and value.dtype != torch.bool
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


@dataclass
class Slot:
    """One scheduled value of one group."""

    key: str
    place: tuple[int, int]
    """Which optimizer, and which of its groups."""
    plan: Schedule
    base: float
    given: Schedule
    """The plan before it was resolved, as the state stores it."""
    written: float = math.nan
    """The value written last, as the scheduler computed it; NaN before the first write."""
    own: float = math.nan
    """The base without what feedback and adjustments have made of it."""

    def __post_init__(self) -> None:
        if math.isnan(self.own):
            self.own = self.base

    def move(self, base: float) -> None:
        """Take a base that someone else has chosen; the own one moves along."""
        kept = self.base and self.own != self.base
        self.own = self.own * (base / self.base) if kept else base
        self.base = base

    def at(self, step: float) -> float:
        """The value at `step`."""
        return self.plan(step, self.base)

    def terms(self, step: float) -> Affine:
        """P and q at `step`."""
        return self.plan.compiled(self.base).at(step)

    def group(self, groups: Groups) -> Group:
        """The group that holds the value."""
        optimizer, index = self.place
        return groups[optimizer][index]


class _Floats:
    """Groups that hold a float and share one base: one value, one loop."""

    __slots__ = ("base", "groups", "key", "last", "slots")

    def __init__(self, key: str, slots: list[Slot], groups: list[Group]) -> None:
        self.key, self.slots, self.groups = key, slots, groups
        self.base = slots[0].base
        self.last = slots[0].written
        _mark(key, groups, [self.last] * len(groups))

    def write(self, p: float, q: float) -> bool:
        """Write `p * base + q` everywhere; False where something else than `last` was found."""
        value = p * self.base + q
        key, last = self.key, self.last
        for group in self.groups:
            if group[key] is not last:
                return self.revert(value)
            group[key] = value
        self.last = value
        return True

    def holds(self) -> bool:
        key, last = self.key, self.last
        for group in self.groups:  # noqa: SIM110 - hot loop
            if group[key] is not last:
                return False
        return True

    def revert(self, value: float) -> bool:
        """Take back a value that only some groups have been given; False, for the caller."""
        for group in self.groups:
            if group[self.key] is value:
                group[self.key] = self.last
        return False

    def rebase(self, p: float, q: float) -> bool:
        """Solve the base such that `p * base + q` is what is found; False if that has parted."""
        key, groups = self.key, self.groups
        found = groups[0][key]
        if found is not self.last:
            if type(found) is not float or any(group[key] != found for group in groups):
                return False
            self.base, self.last = (found - q) / p, found
            for group, slot in zip(groups, self.slots, strict=True):
                group[key], slot.base = found, self.base
        return True

    def note(self) -> None:
        for slot in self.slots:
            slot.written = self.last


class _ManyFloats:
    """Groups that hold a float, with bases of their own."""

    __slots__ = ("cells", "key", "slots")

    def __init__(self, key: str, slots: list[Slot], groups: list[Group]) -> None:
        self.key, self.slots = key, slots
        _mark(key, groups, [slot.written for slot in slots])
        # Group, base and value written last: one list each, which is quicker than three.
        self.cells: list[list[Any]] = [
            [group, slot.base, slot.written] for slot, group in zip(slots, groups, strict=True)
        ]

    def write(self, p: float, q: float) -> bool:
        key = self.key
        for cell in self.cells:
            group, base, last = cell
            if group[key] is not last:
                return False
            cell[2] = group[key] = p * base + q
        return True

    def holds(self) -> bool:
        key = self.key
        for group, _, last in self.cells:  # noqa: SIM110 - hot loop
            if group[key] is not last:
                return False
        return True

    def rebase(self, p: float, q: float) -> bool:
        key = self.key
        for cell, slot in zip(self.cells, self.slots, strict=True):
            group, _, last = cell
            found = group[key]
            if found is not last:
                if type(found) is not float:
                    return False
                slot.base = (found - q) / p
                cell[1:] = slot.base, found
        return True

    def note(self) -> None:
        for slot, (_, _, last) in zip(self.slots, self.cells, strict=True):
            slot.written = last


FEW = 4
"""Up to how many tensors are quicker filled one by one than copied together."""


class _Tensors:
    """Groups that hold a tensor: all are computed in float64, and many copied in one call."""

    __slots__ = (
        "bases", "groups", "key", "last", "mode", "own", "shaped", "slots", "tensors", "together",
        "versions",
    )  # fmt: skip

    def __init__(self, key: str, slots: list[Slot], groups: list[Group]) -> None:
        self.key, self.slots, self.groups = key, slots, groups
        self.own: list[torch.Tensor] = [group[key] for group in groups]
        # Groups may share one tensor (the optimizer's default); it is written once.
        first = {id(tensor): i for i, tensor in reversed(list(enumerate(self.own)))}
        chosen = sorted(first.values())
        self.tensors = [self.own[i] for i in chosen]
        self.last = [slots[i].written for i in chosen]
        self.set_bases([slots[i].base for i in chosen])
        self.shaped = any(tensor.ndim for tensor in self.tensors)
        self.mode = _mode(self.tensors)
        held = all(map(holds, self.tensors, self.last))
        self.versions = _versions(self.tensors) if held else None

    def set_bases(self, bases: list[float]) -> None:
        self.bases = bases
        self.together: Any = bases[0]
        """The bases as one factor: a number, or a tensor."""
        if len(set(bases)) > 1:
            self.together = torch.tensor(bases, dtype=torch.float64)

    def write(self, p: float, q: float) -> bool:
        if not self.holds():
            return False
        with self.mode():
            if len(self.tensors) <= FEW:
                self.last = [p * base + q for base in self.bases]
                for tensor, value in zip(self.tensors, self.last, strict=True):
                    tensor.fill_(value)
            else:
                self.copy(p * self.together + q)
        self.versions = _versions(self.tensors)
        return True

    def copy(self, values: Any) -> None:
        tensors = self.tensors
        if isinstance(values, float):
            self.last = [values] * len(tensors)
            sources = [torch.scalar_tensor(values, dtype=torch.float64)] * len(tensors)
        else:
            self.last = values.tolist()
            sources = list(values.unbind())
        if self.shaped:
            sources = [v.expand(t.shape) for v, t in zip(sources, tensors, strict=True)]
        torch._foreach_copy_(tensors, sources)  # pyright: ignore[reportPrivateImportUsage]

    def holds(self) -> bool:
        key, tensors, versions = self.key, self.tensors, self.versions
        for group, tensor in zip(self.groups, self.own):  # noqa: B905 - hot loop
            if group[key] is not tensor:
                return False
        touched = versions is None or versions != _versions(tensors)
        return not touched or all(map(holds, tensors, self.last))

    def rebase(self, p: float, q: float) -> bool:
        tensors, bases = self.tensors, list(self.bases)
        if len({(tensor.dtype, tensor.device) for tensor in tensors}) > 1:
            return False
        found = torch.stack([tensor.detach() for tensor in tensors]).flatten().tolist()
        written = torch.tensor(self.last, dtype=torch.float64).to(tensors[0].dtype).tolist()
        for i, (now, then) in enumerate(zip(found, written, strict=True)):
            if now != then:
                self.last[i], bases[i] = now, (now - q) / p
        self.set_bases(bases)
        base = {id(tensor): base for tensor, base in zip(tensors, bases, strict=True)}
        for slot, tensor in zip(self.slots, self.own, strict=True):
            slot.base = base[id(tensor)]
        return True

    def note(self) -> None:
        value = {id(t): value for t, value in zip(self.tensors, self.last, strict=True)}
        for slot, tensor in zip(self.slots, self.own, strict=True):
            slot.written = value[id(tensor)]


class _Others:
    """Entries of `betas`, and whatever else needs a read and a write of its own."""

    __slots__ = ("groups", "key", "slots")

    def __init__(self, key: str, slots: list[Slot], groups: list[Group]) -> None:
        self.key, self.slots, self.groups = key, slots, groups

    def write(self, p: float, q: float) -> bool:
        if not self.holds():
            return False
        key = self.key
        for slot, group in zip(self.slots, self.groups, strict=True):
            value = p * slot.base + q
            put(group, key, value)
            slot.written = value
        return True

    def holds(self) -> bool:
        pairs = zip(self.slots, self.groups, strict=True)
        return all(holds(read(group, self.key), slot.written) for slot, group in pairs)

    def rebase(self, p: float, q: float) -> bool:
        del p, q
        return False

    def note(self) -> None:
        """Slots are kept up to date by each write."""


def _mark(key: str, groups: list[Group], written: Sequence[float]) -> None:
    """Where a group holds the written value, make it the very object, to be known again."""
    for group, value in zip(groups, written, strict=True):
        if group[key] == value:
            group[key] = value


def _versions(tensors: list[torch.Tensor]) -> list[int] | None:
    """The version counters; inference tensors have none, and their values must be compared."""
    try:
        return [tensor._version for tensor in tensors]
    except RuntimeError:
        return None


def holds(found: Any, written: float) -> bool:
    """Whether `found` is the written value, as far as its precision can tell."""
    if isinstance(found, torch.Tensor):
        written = float(torch.tensor(written, dtype=torch.float64).to(found.dtype))
        found = number(found)
    return bool(found == written) or (math.isnan(written) and math.isnan(found))


NOTHING = (math.nan, math.nan)
"""P and q that equal no others."""


Quick = Callable[[Any, float], bool]
"""`advance`, with all that it needs at hand; it is given the track."""


class Track:
    """Slots with one key and one plan, advanced together."""

    quick: Quick | None = None
    """A quicker `advance` for the present piece, where a kind of track has one."""

    def __init__(self, program: Program, writers: list[Any], *, vigilant: bool) -> None:
        self.program, self.writers, self.vigilant = program, writers, vigilant
        self.rewind()

    def rewind(self) -> None:
        """Forget the place in the program, before a step that may lie behind."""
        self.stop: float = -math.inf
        self.still = False
        self.written = NOTHING

    def locate(self, step: float) -> None:
        """Find the piece of the program that holds `step`."""
        (_, self.origin, self.p, self.q), self.stop = self.program.around(step)
        self.still = False

    def advance(self, step: float) -> bool:
        """Write the values of `step`; False where a foreign value was found."""
        if step >= self.stop:
            self.locate(step)
        elif self.still:
            return not self.vigilant or self.holds()
        p, q = self.terms(step)
        moves = callable(self.p) or callable(self.q)
        if not moves and self.written == (p, q):
            self.still = True
            return not self.vigilant or self.holds()
        self.written = NOTHING
        for writer in self.writers:
            if not writer.write(p, q):
                return False
        if not moves:
            self.written = (p, q)
            self.still = True
        return True

    def terms(self, step: float) -> tuple[float, float]:
        """P and q at `step`."""
        if step >= self.stop:
            self.locate(step)
        p, q, t = self.p, self.q, step - self.origin
        return p(t, math) if callable(p) else p, q(t, math) if callable(q) else q

    def holds(self) -> bool:
        """Whether the groups still hold what was written last."""
        return all(writer.holds() for writer in self.writers)


class _ShortTrack(Track):
    """A track of one float writer, with a short way where p moves.

    That is nearly every ramp that anybody writes. Subclasses write the loop out, since at one
    group a call more would be felt.
    """

    def __init__(self, program: Program, writer: Any, *, vigilant: bool) -> None:
        super().__init__(program, [writer], vigilant=vigilant)
        self.writer = writer
        self.p: Any
        self.q: Any

    def holds(self) -> bool:
        return self.writer.holds()

    def rewind(self) -> None:
        super().rewind()
        self.moving: float = -math.inf

    def locate(self, step: float) -> None:
        super().locate(step)
        self.moving = self.stop if callable(self.p) else -math.inf
        self.shifts = callable(self.q)


class FloatTrack(_ShortTrack):
    """Floats of one base."""

    def advance(self, step: float) -> bool:
        """Write the values of `step`; False where a foreign value was found."""
        if step >= self.moving:
            if self.still and step < self.stop:
                return not self.vigilant or self.writer.holds()
            return super().advance(step)
        writer, t = self.writer, step - self.origin
        value = self.p(t, math) * writer.base + (self.q(t, math) if self.shifts else self.q)
        key, last = writer.key, writer.last
        for group in writer.groups:
            if group[key] is not last:
                return writer.revert(value)
            group[key] = value
        writer.last = value
        return True


class ManyFloatsTrack(_ShortTrack):
    """Floats with bases of their own."""

    def advance(self, step: float) -> bool:
        """Write the values of `step`; False where a foreign value was found."""
        if step >= self.moving or self.q:
            return super().advance(step)
        writer = self.writer
        p = self.p(step - self.origin, math)
        key = writer.key
        for cell in writer.cells:
            group, base, last = cell
            if group[key] is not last:
                return False
            cell[2] = group[key] = p * base
        return True


class Binding:
    """All slots of a scheduler, and the tracks that write them."""

    quick: Quick | None = None
    """None; a binding may stand in for its only track."""

    short: ClassVar[dict[type, type[_ShortTrack]]] = {
        _Floats: FloatTrack,
        _ManyFloats: ManyFloatsTrack,
    }
    """The tracks for one writer of a kind."""

    def __init__(self, slots: list[Slot], groups: Groups, *, vigilant: bool) -> None:
        """`vigilant`: look at the groups at every step, also where the plan is flat."""
        self.slots, self.groups, self.vigilant = slots, groups, vigilant
        self.tracks: list[Track] = []

    def attach(self) -> None:
        """Sort the slots into tracks for the present groups; no value is changed."""
        tracks: dict[Any, list[Slot]] = {}
        programs: dict[Any, Program] = {}
        for slot in self.slots:
            program, zero = slot.plan.compiled(slot.base), slot.base == 0.0
            key = (slot.key, slot.plan, slot.base if program.uses_base or zero else None)
            if key not in programs:
                programs[key] = _without_base(program) if zero else program
            tracks.setdefault(key, []).append(slot)
        self.tracks = []
        for key, slots in tracks.items():
            writers = _writers(key[0], slots, self.groups)
            short = self.short.get(type(writers[0]))
            if short is not None and len(writers) == 1:
                track = short(programs[key], writers[0], vigilant=self.vigilant)
            else:
                track = Track(programs[key], writers, vigilant=self.vigilant)
            self.tracks.append(track)

    def advance(self, step: float) -> bool:
        """Write the values of `step`; False where a foreign value was found."""
        for track in self.tracks:
            quick = track.quick
            if not (track.advance(step) if quick is None else quick(track, step)):
                return False
        return True

    def front(self) -> Track | Binding:
        """What to advance: the only track, or all of them."""
        return self.tracks[0] if len(self.tracks) == 1 else self

    def rewind(self) -> None:
        """Allow the next step to lie behind the present one."""
        for track in self.tracks:
            track.rewind()

    def note(self) -> None:
        """Bring the slots' `written` up to date with the writers."""
        for track in self.tracks:
            for writer in track.writers:
                writer.note()

    def foreign(self) -> list[tuple[Slot, float]]:
        """The slots whose group no longer holds what was written, with what it holds."""
        self.note()
        found = []
        for slot in self.slots:
            value = read(slot.group(self.groups), slot.key)
            if not holds(value, slot.written):
                found.append((slot, number(value)))
        return found

    def write(self, step: float, *, but: Sequence[Slot] = ()) -> None:
        """Write the values of `step` whatever the groups hold, but for some slots."""
        # Computed before anything is touched, in case a plan's own function raises.
        spared = set(map(id, but))
        values = [(slot, slot.at(step)) for slot in self.slots if id(slot) not in spared]
        _unshare(self.slots, self.groups)
        for slot, value in values:
            slot.written = value
            put(slot.group(self.groups), slot.key, value)
        self.attach()


def _without_base(program: Program) -> Program:
    """The program at base 0, where a multiple is nothing even if it has grown to infinity."""

    def nothing(t: Any, xp: Any) -> float:
        del t, xp
        return 0.0

    pieces = [piece._replace(p=nothing if callable(piece.p) else 0.0) for piece in program.pieces]
    return Program(pieces, uses_base=program.uses_base)


def _writers(key: str, slots: list[Slot], groups: Groups) -> list[Any]:
    """Writers for the slots of one track, by what their groups hold."""
    tensors, others, floats = [], [], []
    alike: dict[Any, list[Slot]] = {}
    for slot in slots:
        if key in BETAS:
            others.append(slot)
        elif isinstance(slot.group(groups)[key], torch.Tensor):
            tensors.append(slot)
        else:
            floats.append(slot)
            alike.setdefault((slot.base, slot.written), []).append(slot)
    # A loop of its own for each base pays while the loops are few or long.
    few = len(alike) <= max(1, len(floats) // 8)
    plain = [(_Floats, same) for same in alike.values()] if few else [(_ManyFloats, floats)]
    return [
        kind(key, chosen, [slot.group(groups) for slot in chosen])
        for kind, chosen in [*plain, (_Tensors, tensors), (_Others, others)]
        if chosen
    ]


def part_from(defaults: Group, group: Group, slot: Slot) -> None:
    """Give an optimizer's defaults a tensor of their own, with the base, if it is the group's."""
    present = read(group, slot.key)
    if not isinstance(present, torch.Tensor):
        return
    holder = "betas" if _in_betas(defaults, slot.key) else slot.key
    if holder in defaults and read(defaults, slot.key) is present:
        own = torch.full_like(present, slot.base, requires_grad=present.requires_grad)
        replace(defaults, slot.key, own)


def match_rates(slots: Sequence[Slot], groups: Groups) -> bool:
    """Make tensors of scheduled betas whose group's rate is one; whether there were any.

    A rate is a tensor for the sake of compiled steps, which a float would have compiled anew. A
    fused optimizer reads its betas on the host.
    """
    found = False
    for slot in slots:
        group = slot.group(groups)
        rate = group.get("lr")
        if not isinstance(rate, torch.Tensor) or group.get("fused"):
            continue
        if _in_betas(group, slot.key) and not isinstance(read(group, slot.key), torch.Tensor):
            replace(
                group, slot.key, torch.full((), slot.written, dtype=rate.dtype, device=rate.device)
            )
            found = True
    return found


def _unshare(slots: list[Slot], groups: Groups) -> None:
    """Give groups their own tensor where one is shared by values that will differ."""
    owners: dict[int, Slot] = {}
    for slot in slots:
        group = slot.group(groups)
        present = read(group, slot.key)
        if not isinstance(present, torch.Tensor):
            continue
        owner = owners.setdefault(id(present), slot)
        if (owner.key, owner.plan, owner.base) != (slot.key, slot.plan, slot.base):
            own = present.detach().clone().requires_grad_(present.requires_grad)
            replace(group, slot.key, own)
            owners[id(own)] = slot
