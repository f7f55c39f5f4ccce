"""Bindings that share their values with others.

In a torch scheduler a foreign value is nothing unusual: several schedulers may be stepped on one
optimizer, each of which finds what the others have made of the rates.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch

from cadence.binding import (
    Binding,
    FloatTrack,
    ManyFloatsTrack,
    _Floats,
    _ManyFloats,
    _Tensors,
    put,
)

__all__ = ["Overwriting", "Rebasing"]


class _OverFloats(FloatTrack):
    """Floats of one base, written without a look."""

    def advance(self, step: float) -> bool:
        """Write the values of `step`."""
        writer = self.writer
        if step < self.moving:
            t = step - self.origin
            value = self.p(t, math) * writer.base + (self.q(t, math) if self.shifts else self.q)
        else:
            p, q = self.terms(step)
            value = p * writer.base + q
        key = writer.key
        for group in writer.groups:
            group[key] = value
        writer.last = value
        return True


class _OverManyFloats(ManyFloatsTrack):
    """Floats with bases of their own, written without a look."""

    def advance(self, step: float) -> bool:
        """Write the values of `step`."""
        if step < self.moving and not self.shifts:
            p, q = self.p(step - self.origin, math), self.q
        else:
            p, q = self.terms(step)
        writer = self.writer
        key = writer.key
        for cell in writer.cells:
            cell[2] = cell[0][key] = p * cell[1] + q
        return True


class Overwriting(Binding):
    """Writes its plans' values over whatever it finds."""

    short: ClassVar = {_Floats: _OverFloats, _ManyFloats: _OverManyFloats}

    def follow(self, step: float) -> bool:
        """Write the values of `step` after foreign ones were found; False if that takes more."""
        self.note()
        for slot in self.slots:
            put(slot.group(self.groups), slot.key, slot.written)
        return self.advance(step)


class Rebasing(Binding):
    """Goes on from what it finds: the bases are solved such that the plans pass through it."""

    def follow(self, step: float) -> bool:
        """Write the values of `step` after foreign ones were found; False if that takes more."""
        for track in self.tracks:
            p, q = track.program.at(step - 1)
            if p == 0.0 or not all(_rebase(writer, p, q) for writer in track.writers):
                return False
        return self.advance(step)


def _rebase(writer: Any, p: float, q: float) -> bool:
    """Solve a writer's bases anew; False where its groups no longer belong together."""
    key, slots = writer.key, writer.slots
    if isinstance(writer, _Floats):
        groups = writer.groups
        found = groups[0][key]
        if found is not writer.last:
            if type(found) is not float or any(group[key] != found for group in groups):
                return False
            writer.base, writer.last = (found - q) / p, found
            for group, slot in zip(groups, slots, strict=True):
                group[key], slot.base = found, writer.base
        return True
    if isinstance(writer, _ManyFloats):
        for cell, slot in zip(writer.cells, slots, strict=True):
            group, _, last = cell
            found = group[key]
            if found is not last:
                if type(found) is not float:
                    return False
                slot.base = (found - q) / p
                cell[1:] = slot.base, found
        return True
    return isinstance(writer, _Tensors) and _rebase_tensors(writer, p, q)


def _rebase_tensors(writer: _Tensors, p: float, q: float) -> bool:
    tensors = writer.tensors
    if len({(tensor.dtype, tensor.device) for tensor in tensors}) > 1:
        return False
    found = torch.stack([tensor.detach() for tensor in tensors]).flatten().tolist()
    written = torch.tensor(writer.last, dtype=torch.float64).to(tensors[0].dtype).tolist()
    base = {id(tensor): slot.base for tensor, slot in zip(writer.own, writer.slots, strict=True)}
    for i, tensor in enumerate(tensors):
        if found[i] != written[i]:
            writer.last[i], base[id(tensor)] = found[i], (found[i] - q) / p
    for tensor, slot in zip(writer.own, writer.slots, strict=True):
        slot.base = base[id(tensor)]
    bases = [base[id(tensor)] for tensor in tensors]
    writer.bases = bases[0] if len(set(bases)) == 1 else torch.tensor(bases, dtype=torch.float64)
    return True
