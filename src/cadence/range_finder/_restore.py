"""Everything that a trial run touches, put back as it was, bit for bit.

Objects are remembered, not copied: what held a tensor holds the same tensor afterwards, with the
same content, so that schedulers, compiled steps and wrappers that keep references go on with them.
"""

from __future__ import annotations

import random
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

from cadence.errors import ArgumentError

__all__ = ["Snapshot", "undisturbed"]

Undo = Callable[[], object]

SOURCES = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
FEW = 64
"""Containers of more items than this, within a data set, are its data, which is for reading."""
DEEP = 6
"""How many objects lie, at most, between a loader and a source of randomness in its transforms."""
DEVICES = ("cuda", "xpu", "mps")


class Snapshot:
    """What some objects hold, and the state of all randomness, to be put back by :meth:`restore`.

    Args:
        trained: Modules, optimizers, scalers: everything they hold is remembered, with the content
            of every tensor and its gradient.
        data: Loaders: of these and their samplers and data sets, which objects they hold, and
            their sources of randomness; not the data itself.

    Raises:
        ArgumentError: A parameter is not initialised yet.
    """

    def __init__(self, trained: list[Any], data: list[Any]) -> None:
        self._seen: dict[int, Any] = {}  # holds the objects, so that no id is used again
        self._undo: list[Undo] = []
        self._sources: list[Any] = []
        self._samplers: list[Any] = []
        self._loaders: list[DataLoader[Any]] = []
        for one in trained:
            self._whole(one, inside=True)
        for one in data:
            self._light(one, DEEP)
        self._undo += _global_randomness()

    def restore(self) -> None:
        """Put everything back; as often as one likes."""
        with undisturbed(), ExitStack() as stack:  # which goes on where one of them raises
            for undo in reversed(self._undo):
                stack.callback(undo)

    def reseed(self, seed: int) -> None:
        """Begin all randomness, that of the data's order too, from a seed."""
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - it is what augmentations draw from
        torch.manual_seed(seed)
        for source in self._sources:
            if isinstance(source, torch.Generator):
                source.manual_seed(seed)
            elif isinstance(source, np.random.Generator):
                source.bit_generator.state = type(source.bit_generator)(seed).state
            else:
                source.seed(seed)
        for sampler in self._samplers:
            sampler.set_epoch(seed)
        for loader in self._loaders:
            # Workers that live on would go on with a randomness of their own.
            loader._iterator = None

    def _new(self, value: Any) -> bool:
        new = id(value) not in self._seen
        self._seen[id(value)] = value
        return new

    def _whole(self, value: Any, *, inside: bool = False) -> None:
        """Remember a value with all that is in it; of other objects only that they are there."""
        if not self._new(value):
            return
        if isinstance(value, torch.Tensor):
            self._undo.append(_content(value))
            if value.is_leaf and value.requires_grad:
                self._undo.append(partial(setattr, value, "grad", value.grad))
                self._whole(value.grad)
        elif isinstance(value, SOURCES):
            self._undo.append(_state(value))
        elif isinstance(value, (dict, list, set, deque)):
            self._undo.append(_items(value))
            for item in _values(value):
                self._whole(item)
        elif isinstance(value, tuple):
            for item in value:
                self._whole(item)
        elif inside or isinstance(value, (torch.nn.Module, Optimizer)):
            self._whole(getattr(value, "__dict__", None))

    def _light(self, value: Any, depth: int) -> None:
        """Remember which objects a loader and its parts hold, and where their randomness is."""
        skip = (torch.Tensor, np.ndarray, torch.nn.Module, type, _BaseDataLoaderIter)
        if depth < 0 or isinstance(value, skip) or callable(getattr(value, "__code__", None)):
            return
        if not self._new(value):
            return
        if isinstance(value, SOURCES):
            self._sources.append(value)
            self._undo.append(_state(value))
        elif isinstance(value, (dict, list, set, deque)):
            if len(value) <= FEW:
                self._undo.append(_items(value))
                for item in _values(value):
                    self._light(item, depth - 1)
        elif isinstance(value, tuple):
            for item in value[:FEW]:
                self._light(item, depth - 1)
        elif hasattr(value, "__dict__"):
            if isinstance(value, DataLoader):
                self._loaders.append(value)
            elif callable(getattr(value, "set_epoch", None)):
                self._samplers.append(value)
            self._undo.append(_items(vars(value)))
            for item in list(vars(value).values()):
                self._light(item, depth - 1)


def _values(value: Any) -> list[Any]:
    """What is in a container; an optimizer's state has its parameters for keys."""
    return [*value.keys(), *value.values()] if isinstance(value, Mapping) else list(value)


def _items(value: Any) -> Undo:
    """Which objects a container holds, in which order."""
    if isinstance(value, dict):
        items = list(value.items())

        def undo() -> None:
            present = list(value.items())
            same = len(present) == len(items) and all(
                a is c and b is d for (a, b), (c, d) in zip(present, items, strict=True)
            )
            if not same:
                value.clear()
                value.update(items)
    else:
        items = list(value)

        def undo() -> None:
            if len(value) != len(items) or any(a is not b for a, b in zip(value, items)):  # noqa: B905
                value.clear()
                (value.update if isinstance(value, set) else value.extend)(items)

    return undo


def _content(tensor: torch.Tensor) -> Undo:
    """The content of a tensor."""
    if isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
        raise ArgumentError(
            "find_lr: 'model' must have all its parameters (got one that is not initialised); run "
            "one batch through it first"
        )
    saved, trains = tensor.detach().clone(), tensor.requires_grad
    mode = torch.inference_mode if tensor.is_inference() else torch.no_grad

    def undo() -> None:
        with mode():
            if tensor.is_leaf and tensor.requires_grad != trains:
                tensor.requires_grad_(trains)
            if tensor.shape != saved.shape or tensor.dtype != saved.dtype or _overlaps(tensor):
                tensor.data = saved.clone()
            else:
                tensor.detach().copy_(saved)

    return undo


def _overlaps(tensor: torch.Tensor) -> bool:
    """Whether elements share their memory, as in an expanded tensor: it cannot be written."""
    dense = tensor.layout == torch.strided
    return dense and any(
        n > 1 and s == 0 for n, s in zip(tensor.shape, tensor.stride(), strict=True)
    )


def _state(source: Any) -> Undo:
    """The state of a source of randomness."""
    if isinstance(source, torch.Generator):
        return partial(source.set_state, source.get_state())
    if isinstance(source, np.random.Generator):
        return partial(setattr, source.bit_generator, "state", source.bit_generator.state)
    if isinstance(source, np.random.RandomState):
        return partial(source.set_state, source.get_state())
    return partial(source.setstate, source.getstate())


def _global_randomness() -> Iterator[Undo]:
    """The state of Python's, NumPy's and torch's own sources."""
    yield partial(random.setstate, random.getstate())
    yield partial(np.random.set_state, np.random.get_state())  # noqa: NPY002
    yield partial(torch.set_rng_state, torch.get_rng_state())
    for name in DEVICES:
        device = getattr(torch, name, None)
        if device is None or not device.is_available():
            continue
        if not getattr(device, "is_initialized", lambda: True)():
            continue
        if hasattr(device, "get_rng_state_all"):
            yield partial(device.set_rng_state_all, device.get_rng_state_all())
        else:
            yield partial(device.set_rng_state, device.get_rng_state())


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a Ctrl-C that comes meanwhile wait until this is done."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[Any, ...]] = []
    signal.signal(signal.SIGINT, lambda *told: came.append(told))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came and callable(handler):
            handler(*came[0])
