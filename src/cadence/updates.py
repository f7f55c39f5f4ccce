"""The updates that optimizers really make, learnt from their own hooks.

A scheduler counts in updates, but it is the training loop that calls `step()`, and loops miscount:
they step once per micro-batch, once per process, or once per epoch. Here the updates themselves
are counted, so that a scheduler can follow them or can say that it is stepped at another pace.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import torch
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

__all__ = ["Pace", "Updates", "finite", "hook_into", "remove", "untraced"]


F = TypeVar("F", bound=Callable[..., Any])


def untraced(function: F) -> F:
    """Keep `torch.compile` out of a function and of all that it calls.

    This is what `torch.compiler.disable` does, whose import takes seconds.
    """
    function._torchdynamo_disable = True  # pyright: ignore[reportFunctionMemberAccess]
    inside: Any = torch._C
    with suppress(AttributeError):  # where a torch lacks it, the function is traced in vain
        frames = inside._dynamo.eval_frame
        skip = frames._FrameAction.SKIP
        strategy = frames._FrameExecStrategy(skip, skip)
        frames.set_code_exec_strategy(function.__code__, strategy)
    return function


class Updates:
    """Counts the updates of optimizers that share a clock.

    With several, one round is counted when each has made an update since the round before: a pair
    that is always stepped together ticks once, and the slower one of a GAN sets the pace.
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self.rounds = 0
        self.seen = False
        """Whether any optimizer has been stepped, or nothing can be said of that."""
        self.listener: Callable[[], None] | None = None
        """Called after each round."""
        self.exact = False
        """Whether to leave out what AMP skips; to ask a fused optimizer waits for its device."""
        self.hooked = True
        self._optimizers = [weakref.ref(optimizer) for optimizer in optimizers]
        self.handles: list[RemovableHandle] = []
        self._all = frozenset(range(len(optimizers)))
        self._waiting = set(self._all)
        for i, optimizer in enumerate(optimizers):
            handle = hook_into(optimizer, partial(self._count, i))
            if handle is None:
                self.hooked, self.seen = False, True
            else:
                self.handles.append(handle)

    @untraced
    def _count(self, index: int, optimizer: Optimizer, *_: object) -> None:
        self.seen = True
        if _rehearsed(optimizer) or (self.exact and _skipped(optimizer)):
            return
        self._waiting.discard(index)
        if self._waiting:
            return
        self._waiting.update(self._all)
        self.rounds += 1
        if self.listener is not None:
            self.listener()

    @property
    def done(self) -> list[int]:
        """Which optimizers have made their update in the round that has begun."""
        return sorted(self._all - self._waiting)

    @done.setter
    def done(self, done: Iterable[int]) -> None:
        self._waiting = set(self._all.difference(done))

    def remove(self) -> None:
        """Take the hooks off the optimizers."""
        self.listener = None
        remove(self.handles)

    def missed(self) -> bool:
        """Whether no update was made, and not because AMP skipped one with infinite gradients."""
        optimizers = filter(None, (reference() for reference in self._optimizers))
        return not self.seen and all(map(finite, optimizers))


def remove(handles: Iterable[RemovableHandle]) -> None:
    """Take hooks off; a function, since a finalizer must not hold what it is to outlive."""
    for handle in handles:
        handle.remove()


def hook_into(
    optimizer: Any, hook: Callable[..., None], *, before: bool = False
) -> RemovableHandle | None:
    """Hook into an optimizer, or into the one that it wraps; None where that cannot be done.

    The hook is called after each step, or before it.
    """
    while isinstance(optimizer, Optimizer):
        try:
            if before:
                return optimizer.register_step_pre_hook(hook)
            return optimizer.register_step_post_hook(hook)
        except AttributeError:  # a wrapper, such as Accelerate's, that has no hooks of its own
            optimizer = getattr(optimizer, "optimizer", None)
    return None


def _skipped(optimizer: Any) -> bool:
    """Whether AMP has found infinite gradients: a fused optimizer's step is called all the same."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


NEAR = 6
"""How many frames to look at: two wrappers may lie between the hook and torch's function."""


def _rehearsed(optimizer: Any) -> bool:
    """Whether torch only lets a fresh optimizer create its state, for a distributed checkpoint.

    It makes an update for that, with rates of 0 which it takes back. The caller's name tells, and
    not the gradients, though they are 0: each process has others, and all have to agree.
    """
    rate = optimizer.param_groups[0].get("lr")
    if isinstance(rate, float) and rate != 0.0:
        return False
    frame = sys._getframe()
    for _ in range(NEAR):
        if frame is None or frame.f_code.co_name == "_init_optim_state":
            return frame is not None
        frame = frame.f_back
    return False


def finite(optimizer: Optimizer) -> bool:
    """Whether all gradients of an optimizer are; AMP skips an update with others."""
    gradients = (p.grad for group in optimizer.param_groups for p in group["params"])
    return all(_finite(gradient) for gradient in gradients if gradient is not None)


def _finite(gradient: torch.Tensor) -> bool:
    values = gradient._values() if gradient.is_sparse else gradient
    return bool(torch.isfinite(values).all())


SAME = 1.5
"""Paces that differ by less are the same: AMP skips an update now and then."""


class Pace:
    """How many ticks a clock makes for each update, looked at ever more rarely.

    The first stretch is not judged: AMP skips updates while it looks for its scale.

    Args:
        clock: What a tick is meant to be: `"update"` or `"epoch"`.
        epoch: Updates of an epoch, where that is known.
    """

    FIRST = 8

    def __init__(self, clock: str, epoch: float | None) -> None:
        self.clock = clock
        self.tick = 1.0 if clock == "update" else epoch
        self.restart(0, 0)

    def restart(self, ticks: int, updates: int) -> None:
        """Begin anew, where the clock was set."""
        self.due: float = updates + self.FIRST
        self._begun = self._since = ticks, updates
        self._judged = False

    def look(self, ticks: int, updates: int) -> float | None:
        """Ticks per update since the last look, as soon as that can be told."""
        since, before = self._since
        self.due = updates + 2 * (updates - self._begun[1])
        if not self._judged:
            self._judged, self._since = True, (ticks, updates)
            return None
        if ticks - since < 2:  # no pace yet: the loop may be in its first epoch
            return None
        self._since = ticks, updates
        return (ticks - since) / (updates - before)

    def complaint(self, ticks: int, updates: int, end: float) -> str | None:
        """What is wrong with the pace, once; `end` is the tick at which the plan ends."""
        pace = self.look(ticks, updates)
        if pace is None:
            return None
        # Where the length of an epoch is not known: one of a single update is hardly meant.
        low, high = (0.0, 1.0) if self.tick is None else (1 / SAME, SAME)
        if low < pace * (self.tick or SAME) < high:
            return None
        self.due = math.inf
        often = (
            f"{pace:.1f}x per optimizer update"
            if pace > 1 / SAME
            else f"once per {1 / pace:,.0f} optimizer updates"
        )
        told, (begun, before) = "", self._begun
        if end < math.inf and not (begun and self.tick is None):
            # What was done before, by an earlier process or a seek, was done at the right pace.
            now = begun * (self.tick or 0.0) + updates - before
            last = max(0.0, now + (end - ticks) / pace)
            meant = f" of {end:,.0f}" if self.clock == "update" else ""
            told = f": the plan will end at update {last:,.0f}{meant}"
        if self.clock == "epoch":
            hint = "step() once per epoch, or write clock='update'"
        elif pace < 1:
            hint = "step() once per update; if a tick is an epoch, write clock='epoch'"
        else:
            hint = "step() once per update, or call follow() and let the updates count"
        return f"stepped {often}{told}; {hint}"
