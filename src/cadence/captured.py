"""Plans on the device: a clock, tables of values and rates that the host need not touch.

A step is a handful of tensor operations without any synchronisation: add one to the counter, take
that row of the table, multiply by the bases, copy into the groups' tensors. It can be traced by
`torch.compile` and recorded in a CUDA graph, which then only has to be replayed.

The table holds the plan's own float64 values, one row for each step of the run. Nothing is
interpolated: a rate is off by the rounding to its own precision alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from cadence._array import Term
from cadence._program import Program
from cadence._warn import warn
from cadence.binding import BETAS, Binding, Group, Groups, Slot, read, replace
from cadence.errors import ArgumentError, RecaptureWarning

__all__ = ["CapturedBinding", "check_capturable"]

MOST = 2**27
"""The most entries of a device's table: one GiB of float64."""

WHERE = "Scheduler: capturable=True"


def check_capturable(
    slots: Sequence[Slot], groups: Groups, optimizers: Sequence[Optimizer], end: float
) -> None:
    """Raise unless these slots can live on the device; `end` is that of the run."""
    for slot in slots:
        group, optimizer = slot.group(groups), optimizers[slot.place[0]]
        if not group["params"]:
            raise ArgumentError(f"{WHERE} needs parameters in each group, to know their device")
        theirs = type(optimizer).__module__.startswith("torch.optim")
        if theirs and slot.key != "lr" and slot.key not in BETAS:
            raise ArgumentError(
                f"{WHERE} cannot hold {slot.key!r}: torch's optimizers ask on the host whether it "
                "is zero; schedule lr, beta1 and beta2 alone, or leave capturable out"
            )
        if slot.key in BETAS and group.get("fused"):
            raise ArgumentError(
                f"{WHERE} cannot hold {slot.key!r} of a fused optimizer, which reads it on the "
                "host; build the optimizer with foreach=True and capturable=True"
            )
        if end == math.inf and slot.plan.compiled(slot.base).end == math.inf:
            raise ArgumentError(
                f"{WHERE} tabulates the plan, and that of {slot.key!r} has no end; give total_steps"
            )


class CapturedBinding(Binding):
    """A binding whose values are tensors beside the parameters, written from tables there.

    What others write is not looked for: that would wait for the device.

    Args:
        slots, groups: As for any binding.
        end: The run's end, up to which the tables reach at least.
        repeats: Begin anew at `end`, rather than hold its value.
        earlier: The binding that this one follows. Its tensors are written in place where they
            fit, for the sake of what was compiled or captured with them.
    """

    def __init__(
        self,
        slots: list[Slot],
        groups: Groups,
        *,
        end: float,
        repeats: bool,
        earlier: CapturedBinding | None,
    ) -> None:
        super().__init__(slots, groups, vigilant=False)
        self.end, self.repeats = end, repeats
        self.tables: list[_Table] = [] if earlier is None else earlier.tables

    def _tabulate(self) -> None:
        devices: dict[torch.device, list[Slot]] = {}
        for slot in self.slots:
            devices.setdefault(_device(slot.group(self.groups)), []).append(slot)
        old = {table.device: table for table in self.tables}
        step = self.step if self.tables else 0
        self.tables = [
            _Table(slots, device, self.end, repeats=self.repeats, old=old.get(device))
            for device, slots in devices.items()
        ]
        self.step = step

    def attach(self) -> None:
        if not self.tables:
            self._tabulate()
        super().attach()
        for table in self.tables:
            table.take_hold(self.groups)

    @property
    def step(self) -> int:
        """The clock, which waits for the device."""
        return self.tables[0].step

    @step.setter
    def step(self, step: int) -> None:
        for table in self.tables:
            table.clock.fill_(step)

    def tick(self, skipped: torch.Tensor | None = None) -> None:
        """Advance the clock by one, or not if `skipped`, and write the values of that step."""
        for table in self.tables:
            table.tick(skipped)

    def write(self, step: float, *, but: Sequence[Slot] = ()) -> None:
        self._tabulate()  # first, since a plan's own function may raise
        for slot in self.slots:
            _place(slot, slot.group(self.groups))
        super().write(step, but=but)
        for table in self.tables:  # so that the values are the very ones that ticking would write
            table.put(torch.full_like(table.clock, int(step)))

    def note(self) -> None:
        for table in self.tables:
            table.note()

    def foreign(self) -> list[tuple[Slot, float]]:
        return []


def _device(group: Group) -> torch.device:
    return group["params"][0].device


def _place(slot: Slot, group: Group) -> None:
    """Make the value a tensor beside the group's parameters."""
    present, device = read(group, slot.key), _device(group)
    if not isinstance(present, torch.Tensor) or present.device != device:
        replace(group, slot.key, torch.tensor(float(present), device=device))


class _Table:
    """The values of the slots of one device, for each step.

    Args:
        old: The table before this one. Its tensors are written in place where they are large
            enough, since a graph may hold them.
    """

    def __init__(
        self,
        slots: list[Slot],
        device: torch.device,
        end: float,
        *,
        repeats: bool,
        old: _Table | None,
    ) -> None:
        self.device, self.slots, self.repeats = device, slots, repeats
        programs: dict[Any, Program] = {}
        columns: list[int] = []
        for slot in slots:
            program = slot.plan.compiled(slot.base)
            key = (slot.plan, slot.base if program.uses_base or not slot.base else None)
            programs.setdefault(key, program)
            columns.append(list(programs).index(key))
        self.plans = list(programs)
        ends = [program.end for program in programs.values()]
        rows = end if repeats else max(x for x in (0, *ends, end) if x < math.inf) + 1
        self.rows = math.ceil(rows)

        def tensor(values: Any, dtype: torch.dtype = torch.float64) -> torch.Tensor:
            return torch.as_tensor(values, dtype=dtype, device=device)

        self.clock = tensor([0], torch.int64)
        self.bases = tensor([slot.base for slot in slots])
        self.columns = tensor(columns, torch.int64)
        if old is not None and len(old.slots) != len(slots):
            old = None  # other groups: the optimizer's own step is another one, too
        if old is not None and (self.plans, self.rows) == (old.plans, old.rows):
            self.p, self.q = old.p, old.q
        else:
            self._evaluate(list(programs.values()))
        # From here on nothing can fail that would leave the old table half written.
        if old is not None:
            self._move_into(old)

    def _evaluate(self, programs: list[Program]) -> None:
        cells = self.rows * len(programs)
        if cells > MOST:
            raise ArgumentError(
                f"{WHERE} tabulates {len(programs)} plans of {self.rows - 1:,} steps: {cells:,} "
                f"entries, of at most {MOST:,}; leave capturable out"
            )
        steps = np.arange(self.rows, dtype=np.float64)
        self.p, self.q = (
            torch.as_tensor(
                _columns([program.term(name) for program in programs], steps), device=self.device
            )
            for name in ("p", "q")
        )
        for i, (_, base) in enumerate(self.plans):
            if base == 0.0:  # a multiple of nothing, even if it has grown to infinity
                self.p[:, i] = 0.0

    def _move_into(self, old: _Table) -> None:
        """Take the old table's place."""
        self.clock = old.clock
        self.bases, self.columns = old.bases.copy_(self.bases), old.columns.copy_(self.columns)
        if self.p is old.p:
            return
        (rows, width), (room, most) = self.p.shape, old.p.shape
        if rows > room or width > most or (self.repeats and rows != room):
            warn(
                "Scheduler: the plan has outgrown its table on the device; record again what was "
                "recorded in a CUDA graph together with scheduler.step()",
                RecaptureWarning,
            )
            return
        for new, kept in ((self.p, old.p), (self.q, old.q)):
            kept[:rows, :width] = new
            kept[rows:, :width] = new[-1]
        self.p, self.q, self.rows = old.p, old.q, room

    def take_hold(self, groups: Groups) -> None:
        """Look up the groups' tensors."""
        self.tensors: list[torch.Tensor] = [
            read(slot.group(groups), slot.key) for slot in self.slots
        ]
        self.shapes = [tensor.shape for tensor in self.tensors]
        self.shaped = any(self.shapes)

    @property
    def step(self) -> int:
        return int(self.clock)

    def tick(self, skipped: torch.Tensor | None) -> None:
        if skipped is None:
            self.clock.add_(1)
        else:
            self.clock.add_((skipped == 0).reshape(1).to(self.device))
        self.put(self.clock)

    def put(self, step: torch.Tensor) -> None:
        """Write the values of a step, by operations of the device alone."""
        values = self.values(step)
        sources = list(values.unbind())
        if self.shaped:
            sources = [
                value.expand(shape) for value, shape in zip(sources, self.shapes, strict=True)
            ]
        with torch.no_grad():
            torch._foreach_copy_(self.tensors, sources)  # pyright: ignore[reportPrivateImportUsage]

    def values(self, step: torch.Tensor) -> torch.Tensor:
        """The values of a step in float64, one for each slot."""
        row = step.remainder(self.rows) if self.repeats else step.clamp(max=self.rows - 1)
        p, q = self.p.index_select(0, row)[0], self.q.index_select(0, row)[0]
        return p.index_select(0, self.columns) * self.bases + q.index_select(0, self.columns)

    def note(self) -> None:
        for slot, value in zip(self.slots, self.values(self.clock).tolist(), strict=True):
            slot.written = value


def _columns(terms: list[Term], steps: np.ndarray) -> np.ndarray:
    """Terms at all steps, one column for each."""
    table = np.empty((len(steps), len(terms)))
    with np.errstate(over="ignore", invalid="ignore"):
        for i, term in enumerate(terms):
            table[:, i] = term(steps, np) if callable(term) else term
    return table
