"""The schedulers of libraries that cannot be imported here as a whole, each as a module.

Some need packages that are too large or do not install beside torch's CPU build; their schedulers
do not. Each is imported with stand-ins for the rest of its library, which are gone again
afterwards, so that nobody takes the library for installed. `fetch.py` and the group `peers-bare`
bring the sources.
"""

import functools
import importlib
import importlib.util
import logging
import os
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import fetch


def _module(name: str, **names: Any) -> types.ModuleType:
    """A stand-in for a module that holds nothing but these names."""
    module = types.ModuleType(name)
    vars(module).update(names)
    return module


def _package(name: str) -> types.ModuleType:
    """A stand-in for an installed package, whose modules can be imported but which has not run."""
    top, *below = name.split(".")
    spec = importlib.util.find_spec(top)
    assert spec is not None, f"{top} is not installed"
    places = spec.submodule_search_locations or []
    return _module(name, __path__=[os.path.join(place, *below) for place in places])  # noqa: PTH118


@contextmanager
def _in_place(*stand_ins: types.ModuleType) -> Iterator[None]:
    """The stand-ins in the places of the real modules, and these libraries as before afterwards."""
    tops = {module.__name__.partition(".")[0] for module in stand_ins}

    def take_out() -> dict[str, types.ModuleType]:
        names = [name for name in sys.modules if name.partition(".")[0] in tops]
        return {name: sys.modules.pop(name) for name in names}

    before = take_out()
    sys.modules.update({module.__name__: module for module in stand_ins})
    try:
        # They were written for other Pythons and other torches than this one.
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        take_out()
        sys.modules.update(before)


def _run(library: str, name: str) -> Any:
    """The one file that was fetched of a library, as the module `name`."""
    spec = importlib.util.spec_from_file_location(name, fetch.path(library))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for the names in annotations
    spec.loader.exec_module(module)
    return module


@functools.cache
def timm() -> Any:
    """`timm.scheduler` of timm 1.0.31 with all its classes."""
    with _in_place(_package("timm")):
        return importlib.import_module("timm.scheduler")


@functools.cache
def composer() -> Any:
    """`composer.optim.scheduler` of Composer 0.32.1; `at(...)` makes states to call it with."""
    core, utils = _package("composer.core"), _package("composer.utils")
    with _in_place(_package("composer"), core, utils, _package("composer.optim")):
        utils.StringEnum = importlib.import_module("composer.utils.string_enum").StringEnum
        time = importlib.import_module("composer.core.time")
        core.Time, core.TimeUnit, core.Timestamp = time.Time, time.TimeUnit, time.Timestamp
        core.State = types.SimpleNamespace
        module: Any = importlib.import_module("composer.optim.scheduler")

    def at(batch: int, max_duration: str, dataloader_len: int | None = None, **more: int) -> Any:
        """The trainer's state after `batch` batches of a run of `max_duration`, such as "10ep"."""
        epoch = 0 if dataloader_len is None else batch // dataloader_len
        clock = {"batch": batch, "epoch": epoch} | more
        return types.SimpleNamespace(
            timestamp=time.Timestamp(**clock),
            max_duration=time.Time.from_timestring(max_duration),
            dataloader_len=dataloader_len,
        )

    module.at = at
    return module


@functools.cache
def deepspeed() -> Any:
    """`deepspeed.runtime.lr_schedules` of DeepSpeed 0.19.8."""
    silent = logging.getLogger("deepspeed")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    utils = _module("deepspeed.utils", logger=silent)
    with _in_place(_module("deepspeed"), utils):
        return _run("deepspeed", "deepspeed.runtime.lr_schedules")


@functools.cache
def megatron() -> Any:
    """`megatron.core.optimizer_param_scheduler` of Megatron-core 0.16.1."""
    utils = _module("megatron.core.utils", log_single_rank=lambda *_, **__: None)
    with _in_place(_module("megatron"), _module("megatron.core"), utils):
        return _run("megatron-core", "megatron.core.optimizer_param_scheduler")


@functools.cache
def torchtitan() -> Any:
    """`torchtitan.components.optimizer.lr_scheduler` of torchtitan 0.3.0; optimizers are a list.

    `LRSchedulersContainer.Config(...).build(optimizers=[optimizer], training_steps=...)`.
    """
    kind = TypeVar("kind")

    class Configurable(Generic[kind]):
        class Config:
            pass

    silent = logging.getLogger("torchtitan")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    here = "torchtitan.components.optimizer"
    with _in_place(
        _module("torchtitan"),
        _module("torchtitan.components"),
        _module("torchtitan.config", Configurable=Configurable),
        _module("torchtitan.tools"),
        _module("torchtitan.tools.logging", logger=silent),
        _module(here, __path__=[]),
        _module(f"{here}.optimizer", OptimizersContainer=list),
    ):
        return _run("torchtitan", f"{here}.lr_scheduler")


@functools.cache
def mmengine() -> Any:
    """`mmengine.optim` of mmengine 0.10.7, which warns about this torch when it is imported."""
    with warnings.catch_warnings(action="ignore"):
        return importlib.import_module("mmengine.optim")


@functools.cache
def keras() -> Any:
    """Keras 3.15.1 over torch."""
    os.environ["KERAS_BACKEND"] = "torch"
    with warnings.catch_warnings(action="ignore"):
        return importlib.import_module("keras")
