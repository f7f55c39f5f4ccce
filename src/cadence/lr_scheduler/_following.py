"""Bindings that share their values with others.

In a torch scheduler a foreign value is nothing unusual: several schedulers may be stepped on one
optimizer, each of which finds what the others have made of the rates.
"""

from __future__ import annotations

import math
from typing import ClassVar

from cadence.binding import (
    Binding,
    FloatTrack,
    ManyFloatsTrack,
    Quick,
    Track,
    _Floats,
    _ManyFloats,
    put,
)

__all__ = ["Overwriting", "Rebasing"]


class _Lone(FloatTrack):
    """Floats of one base; where it is a single one, a piece of the plan is walked by a closure.

    With one group every look into an object would be felt. The closure lasts for a piece; it is
    given the track, since holding it would make a cycle.
    """

    looks: ClassVar[bool] = True
    """Whether to look, before a write, for what others have written."""

    def rewind(self) -> None:
        super().rewind()
        self.quick = None

    def locate(self, step: float) -> None:
        super().locate(step)
        lone = len(self.writer.groups) == 1 and callable(self.p) and not self.shifts
        self.quick = self._closure() if lone else None

    def _closure(self) -> Quick:
        writer, p, q, origin, stop = self.writer, self.p, self.q, self.origin, self.stop
        key, base, looks = writer.key, writer.base, self.looks
        (group,) = writer.groups

        def quick(track: Track, step: float) -> bool:
            if step >= stop:
                return track.advance(step)
            if looks and group[key] is not writer.last:
                return False
            writer.last = group[key] = p(step - origin, math) * base + q
            return True

        return quick


class _OverFloats(_Lone):
    """Floats of one base, written without a look."""

    looks = False

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

    short: ClassVar = {_Floats: _Lone, _ManyFloats: ManyFloatsTrack}

    def follow(self, step: float) -> bool:
        """Write the values of `step` after foreign ones were found; False if that takes more."""
        for track in self.tracks:
            p, q = track.program.at(step - 1)
            if p == 0.0 or not all(writer.rebase(p, q) for writer in track.writers):
                return False
            track.rewind()  # the bases are others
        return self.advance(step)
