"""What has happened to an optimizer: updates it made, and schedulers built on it.

Nothing here keeps an optimizer or a scheduler alive, and no method of theirs is replaced.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.optim import Optimizer

from cadence.updates import finite

__all__ = [
    "assume_updated",
    "construction",
    "forget",
    "remember_updates",
    "see",
    "updated",
    "was_seen",
]

# Updates.


def assume_updated(optimizer: Optimizer, *_: object) -> None:
    """Mark it as stepped: the hook that runs before each update, which holds no reference."""
    optimizer._opt_called = True  # pyright: ignore[reportAttributeAccessIssue]


def remember_updates(optimizer: Optimizer) -> None:
    """Let the optimizer remember that it was stepped."""
    try:
        hooked = assume_updated in optimizer._optimizer_step_pre_hooks.values()
    except AttributeError:
        assume_updated(optimizer)  # a wrapper without hooks: nothing can be said of its order
    else:
        if not hooked:
            optimizer.register_step_pre_hook(assume_updated)


def updated(optimizer: Optimizer) -> bool:
    """Whether the optimizer was stepped, or would have been but for infinite gradients (AMP)."""
    return getattr(optimizer, "_opt_called", False) or not finite(optimizer)


# Groups.

_SEEN: weakref.WeakKeyDictionary[Optimizer, int] = weakref.WeakKeyDictionary()
"""How many groups of an optimizer its schedulers know."""


def was_seen(optimizer: Optimizer, index: int) -> bool:
    """Whether some scheduler has taken in that group already."""
    return index < _SEEN.get(optimizer, index)


def see(optimizer: Optimizer, index: int) -> bool:
    """Take in a group; True for the first scheduler that does."""
    first = not was_seen(optimizer, index)
    if first:
        _SEEN[optimizer] = index + 1
    return first


# Constructions.

Snapshot = list[dict[str, Any]]

PLAIN = (int, float, str, tuple, type(None))
"""What a group's values are compared by; others are the same only if they are the same object."""


class _Kept(NamedTuple):
    """A tensor that may be written in place, and its value."""

    tensor: torch.Tensor
    value: torch.Tensor


def _snapshot(optimizer: Optimizer) -> Snapshot:
    """All that the groups hold but the parameters."""
    return [
        {name: _kept(value) for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]


def _kept(value: Any) -> Any:
    """The value; of a tensor that may hold a rate, a copy beside it."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        return _Kept(value, value.detach().clone())
    return value


def _restore(optimizer: Optimizer, saved: Snapshot) -> None:
    """Put back what :func:`_snapshot` saw."""
    for group, before in zip(optimizer.param_groups, saved, strict=True):
        for name in group.keys() - before.keys() - {"params"}:
            del group[name]
        for name, value in before.items():
            group[name] = value.tensor if isinstance(value, _Kept) else value
            if isinstance(value, _Kept) and not _equal(*value):
                with torch.no_grad():
                    value.tensor.copy_(value.value)


def _same(left: Snapshot, right: Snapshot) -> bool:
    return len(left) == len(right) and all(
        a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
        for a, b in zip(left, right, strict=True)
    )


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, _Kept) and isinstance(b, _Kept):
        return a.tensor is b.tensor and torch.equal(a.value, b.value)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a.detach(), b)
    return a is b or (isinstance(a, PLAIN) and isinstance(b, PLAIN) and a == b)


class _Birth(NamedTuple):
    """A scheduler that has not been used yet, and the groups before and after it was built."""

    scheduler: weakref.ref[Any]
    before: Snapshot
    after: Snapshot


_BIRTHS: weakref.WeakKeyDictionary[Optimizer, list[_Birth]] = weakref.WeakKeyDictionary()


@contextmanager
def construction(scheduler: Any, optimizer: Optimizer) -> Iterator[bool]:
    """Build a scheduler: a failure leaves the groups as they were.

    A scheduler that is dropped without having been used (a cell of a notebook that is run
    again) has scaled the groups all the same. The next one to be built on that optimizer takes
    this back first, and is told so.
    """
    births = _BIRTHS.setdefault(optimizer, [])
    undone = False
    while (
        births and births[-1].scheduler() is None and _same(_snapshot(optimizer), births[-1].after)
    ):
        before = births.pop().before
        # To have added a key is nothing to speak of.
        undone |= any(
            not _equal(group[name], _kept(present[name]))
            for group, present in zip(before, optimizer.param_groups, strict=True)
            for name in group
        )
        _restore(optimizer, before)
    before = _snapshot(optimizer)
    try:
        yield undone
    except BaseException:
        _restore(optimizer, before)
        raise
    births[:] = [*births[-15:], _Birth(weakref.ref(scheduler), before, _snapshot(optimizer))]


def forget(optimizer: Optimizer) -> None:
    """A scheduler of this optimizer is in use: nothing can be taken back any more."""
    _BIRTHS.pop(optimizer, None)
