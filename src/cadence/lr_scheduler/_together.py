"""Schedulers that are always stepped together, as one: their plans multiply."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

from cadence.binding import Slot
from cadence.lr_scheduler._following import Rebasing
from cadence.lr_scheduler._planned import Engine, Planned, like

__all__ = ["Together"]


class Together:
    """The product of recursive schedulers' plans, written at once in the place of each.

    What each of them would have written on its own is worked out when somebody asks for it.
    """

    __slots__ = ("advance", "binding", "groups", "next", "plans", "stop", "tail")

    @classmethod
    def of(cls, schedulers: Sequence[Any]) -> Together | None:
        """The schedulers as one, where they can be: plain multiples on one clock."""
        if not all(
            isinstance(child, Planned) and child._plain and not child.is_absolute
            for child in schedulers
        ):
            return None
        engines: list[Engine] = [child._engine for child in schedulers]
        if len({engine.next for engine in engines}) > 1 or not engines[0].next > 1:
            return None
        slots = [engine.rates() for engine in engines]
        self = cls()
        self.next, self.stop = engines[0].next, min(engine.stop for engine in engines)
        self.plans = [[slot.plan for slot in voices] for voices in zip(*slots, strict=True)]
        if not all(map(_is_multiple, (plan for plans in self.plans for plan in plans))):
            return None
        rates = []
        for plans, slot in zip(self.plans, slots[-1], strict=True):
            p = math.prod(plan(self.next - 1) for plan in plans)
            if p == 0.0:
                return None
            plan = reduce(operator.mul, plans)
            rates.append(Slot("lr", slot.place, plan, slot.written / p, plan, slot.written))
        self.groups = schedulers[0].optimizer.param_groups
        self.tail = self.groups[-1]
        self.binding = Rebasing(rates, [self.groups], vigilant=True)
        self.binding.attach()
        self.advance = self.binding.front().advance
        for voice, engine in enumerate(engines):
            engine.together, engine.voice = self, voice
        return self

    def step(self, schedulers: Sequence[Planned], groups: list[Any]) -> bool:
        """Step them all; False if that takes more than to write the product's next values."""
        clock = self.next
        for child in schedulers:
            if child._engine.next != clock:
                return False
        if (
            clock < self.stop
            and groups[-1] is self.tail
            and (self.advance(clock) or self.binding.follow(clock))
        ):
            self.next = clock + 1
            for child in schedulers:
                child._engine.next = clock + 1
            return True
        return False

    def rates(self) -> list[Any]:
        """What was written last."""
        self.binding.note()
        return [like(slot.group([self.groups])["lr"], slot.written) for slot in self.binding.slots]

    def settle(self, voice: int, slots: list[Slot]) -> None:
        """What a scheduler would have written, had it been stepped on its own."""
        now = self.next - 1
        self.binding.note()
        for slot, whole, plans in zip(slots, self.binding.slots, self.plans, strict=True):
            p = [plan(now) for plan in plans]
            # Those that come after it had not taken their step yet.
            before = [plan(now - 1) for plan in plans[voice + 1 :]]
            slot.base = whole.base * math.prod(p[:voice]) * math.prod(before)
            # The last of them has written what the groups hold, to the last bit.
            slot.written = slot.base * p[voice] if before else whole.written


def _is_multiple(plan: Any) -> bool:
    """Whether a plan is a multiple of the base and nothing else."""
    return plan.compiled().term("q") == 0.0
