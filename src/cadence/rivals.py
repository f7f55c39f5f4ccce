"""Schedulers that others were told to run, and that would write the same values.

The libraries are not imported: a config is found on the objects that are handed over, or in the
state of an Accelerate that is already there.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Mapping
from typing import Any

__all__ = ["refuse_rivals"]


def refuse_rivals(optimizer: Any, keys: Container[str]) -> None:
    """Raise if the optimizer belongs to a DeepSpeed whose config schedules one of the keys.

    Raises:
        ArgumentError: There is such a config; the message says what to delete from it.
    """
    for config in (*_of_engine(optimizer), *_of_accelerate()):
        if config.get("scheduler"):
            from cadence.dialects.deepspeed import refuse_scheduler

            refuse_scheduler(config, keys=keys)


def _of_engine(given: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of the engines that are among the objects given, or that these wrap."""
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    for thing in found:
        config: Any = getattr(thing, "_config", None)  # the engine's own reading of its config
        if hasattr(config, "scheduler_name"):
            section = {"type": config.scheduler_name, "params": config.scheduler_params}
            yield {"scheduler": section}
        inner = (getattr(thing, name, None) for name in ("engine", "optimizer"))
        found += [one for one in inner if one is not None and len(found) < 100]


def _of_accelerate() -> Iterator[Mapping[str, Any]]:
    """The config of the DeepSpeed plugin that this process's Accelerate has chosen."""
    state = getattr(sys.modules.get("accelerate.state"), "AcceleratorState", None)
    # Read as it lies there: to make a state would initialise Accelerate.
    plugins = (getattr(state, "_shared_state", None) or {}).get("deepspeed_plugins")
    if isinstance(plugins, Mapping):
        plugins = next((plugin for plugin in plugins.values() if plugin.selected), None)
    if plugins is not None:
        yield plugins.deepspeed_config
