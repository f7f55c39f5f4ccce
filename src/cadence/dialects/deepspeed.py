"""DeepSpeed: the `"scheduler"` section of a config as a plan.

DeepSpeed writes the rate at construction and again after each update, counting from 0 after the
first: update t runs at the value of its own step t - 1, and the first two updates of a warm-up at
its minimum. Formulas: `deepspeed/runtime/lr_schedules.py` of 0.19.8.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Container, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from cadence import _checks
from cadence.algebra import Sequence
from cadence.dialects._common import call, steps
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.levels import Level, absolute
from cadence.schedule import Schedule
from cadence.shapes import Constant, Cosine, Hold, InverseTime, Linear, Logarithmic, PowerLaw

__all__ = ["from_deepspeed", "refuse_scheduler"]

WHERE = "from_deepspeed"

Plans = dict[str, Schedule]
"""What a scheduler writes: a plan for each key."""


def from_deepspeed(
    config: Mapping[str, Any] | str | os.PathLike[str], *, key: str = "lr", **params: Any
) -> Schedule:
    """The plan of a DeepSpeed config's scheduler; update 0 is the first `engine.step()`.

    Rates that the config gives are absolute levels. `WarmupLR` without `warmup_max_lr`, and
    `WarmupCosineLR`, go by multiples of the group's own rate. After its last step a plan does what
    the scheduler does: it holds, or decays or grows without an end.

    Args:
        config: A whole config, the path of one, its `"scheduler"` section, or a scheduler's name:
            `LRRangeTest`, `OneCycle`, `WarmupLR`, `WarmupDecayLR` or `WarmupCosineLR`.
        key: The value that is scheduled: `"lr"`, or of `OneCycle` `"momentum"` (`beta1` of Adam)
            and `"beta2"`, which DeepSpeed sets to 0.99.
        **params: The scheduler's own arguments; they go before those of the config.

    Raises:
        ArgumentError: There is no scheduler, it is one of torch's, a value is `"auto"`, or an
            argument cannot be meant.

    >>> from_deepspeed("WarmupLR", warmup_max_lr=0.001, warmup_num_steps=10, warmup_type="linear")
    Constant(absolute(0), 1) >> Linear(10, end=absolute(0.001))
    >>> section = {"type": "WarmupDecayLR", "params": {"total_num_steps": 100}}
    >>> plan = from_deepspeed({"scheduler": section}, warmup_max_lr=0.001, warmup_num_steps=10)
    >>> plan(0), plan(1), plan(11), plan(101)
    (0.0, 0.0, 0.001, 0.0)

    Rasley et al., DeepSpeed (2020).
    """
    name, given = section_of(config)
    plans = _plans(name, {**given, **params})
    if key not in plans:
        listed = ", ".join(map(repr, plans))
        raise ArgumentError(f"{WHERE}: {name}: 'key' must be one of {listed} (got {key!r})")
    return plans[key]


def refuse_scheduler(
    config: Mapping[str, Any] | str | os.PathLike[str], *, keys: Container[str] | None = None
) -> None:
    """Raise if a DeepSpeed config brings a scheduler of its own.

    DeepSpeed would step it beside Cadence's, and each would overwrite the other's rate. The
    message says what to delete, and which plan is equal to it. `Scheduler` asks this by itself
    where it can see the config.

    Args:
        config: A whole config, or the path of one.
        keys: The values that Cadence schedules, where a scheduler of others is no rival; None
            means any.

    Raises:
        ArgumentError: The config has a `"scheduler"` section.

    >>> refuse_scheduler({"train_batch_size": 8})
    """
    section = _tree(config).get("scheduler")
    if not isinstance(section, Mapping) or section.get("type") is None:
        return
    name, params = str(section["type"]), section.get("params") or {}
    writes = ["lr"]
    if name == "OneCycle" and params.get("cycle_momentum", True):
        writes += ["momentum", "beta1", "beta2"]
    if keys is not None and not any(key in keys for key in writes):
        return
    try:
        plans = _plans(name, dict(params))
        names = {"momentum": "beta1"}
        told = ", ".join(f'{names.get(key, key)}="{plan!r}"' for key, plan in plans.items())
        equal = f"the plan that is equal to it is Scheduler(optimizer, {told})"
    except ArgumentError as error:
        equal = f"for the plan that is equal to it, {error}"
    raise ArgumentError(
        f"DeepSpeed: the config must have no 'scheduler' beside Cadence's (got {name}), or both "
        f"write {' and '.join(repr(key) for key in writes if key in ('lr', 'momentum'))}; delete "
        f"the section 'scheduler' from the config; {equal}"
    )


def _tree(config: Any) -> Mapping[str, Any]:
    """A config, read from its file if it is a path."""
    if isinstance(config, Mapping):
        return config
    if not isinstance(config, (str, os.PathLike)):
        raise ArgumentTypeError(
            f"{WHERE}: 'config' must be a config, its path or the name of a scheduler (got "
            f"{_checks.given(config)})"
        )
    try:
        tree = json.loads(Path(config).read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = _checks.suggest(str(config), SCHEDULERS)
        raise ArgumentError(
            f"{WHERE}: 'config' must be the path of a config or the name of a scheduler, such as "
            f"'WarmupLR' (got {str(config)!r}){hint}"
        ) from None
    except ValueError as error:
        raise ArgumentError(f"{WHERE}: {str(config)!r} must be JSON ({error})") from None
    if not isinstance(tree, dict):
        raise ArgumentTypeError(f"{WHERE}: {str(config)!r} must hold an object")
    return tree


def section_of(config: Any) -> tuple[str, dict[str, Any]]:
    """The scheduler's name and its arguments."""
    if isinstance(config, str) and config in SCHEDULERS:
        return config, {}
    tree = _tree(config)
    section = tree.get("scheduler") if "type" not in tree else tree
    if not isinstance(section, Mapping) or section.get("type") is None:
        raise ArgumentError(
            f"{WHERE}: 'config' must have a section 'scheduler' with its 'type' (got "
            f"{_checks.given(section or list(tree))})"
        )
    return str(section["type"]), dict(section.get("params") or {})


_FILLED = {
    "warmup_min_lr": "0",
    "warmup_max_lr": "the learning rate",
    "warmup_num_steps": "the updates of the warm-up",
    "total_num_steps": "the updates of the run",
}
"""What Transformers and Accelerate put for `"auto"`."""


def _plans(name: str, params: dict[str, Any]) -> Plans:
    """What a scheduler of DeepSpeed writes."""
    where = f"{WHERE}: {name}"
    if name not in SCHEDULERS:
        hint = _checks.suggest(name, SCHEDULERS) or (
            "; a name that DeepSpeed does not know is one of torch.optim.lr_scheduler: write "
            f"cadence.lr_scheduler.{name}(optimizer, ...)"
        )
        raise ArgumentError(
            f"{WHERE}: 'type' must be one of {', '.join(SCHEDULERS)} (got {name!r}){hint}"
        )
    automatic = [key for key, value in params.items() if value == "auto"]
    if automatic:
        told = ", ".join(f"{key} ({_FILLED.get(key, 'a number')})" for key in automatic)
        typed = ", ".join(f"{key}=..." for key in automatic)
        raise ArgumentError(
            f"{where}: 'auto' must be filled in, as Transformers' Trainer would: {told}; write "
            f"{WHERE}(config, {typed})"
        )
    if params.pop("last_batch_iteration", -1) != -1:
        raise ArgumentError(
            f"{where}: 'last_batch_iteration' must be left out: a plan begins at step 0, and a "
            "Scheduler's state says where it stands"
        )
    return call(where, partial(SCHEDULERS[name], where), params)


def _rate(where: str, name: str, value: Any, **bounds: float) -> float:
    """One rate for all groups."""
    if isinstance(value, (list, tuple)):
        raise ArgumentTypeError(
            f"{where}: '{name}' must be one number (got {_checks.given(value)}); read one plan for "
            "each group, and give Scheduler(optimizer, lr=[...])"
        )
    return _checks.number(where, name, value, **bounds)


def _lr_range_test(
    where: str,
    *,
    lr_range_test_min_lr: float = 1e-3,
    lr_range_test_step_size: int = 2000,
    lr_range_test_step_rate: float = 1.0,
    lr_range_test_staircase: bool = False,
) -> Plans:
    """`min * (1 + rate * t / size)`, without an end."""
    low = absolute(_rate(where, "lr_range_test_min_lr", lr_range_test_min_lr))
    size = _checks.whole(where, "lr_range_test_step_size", lr_range_test_step_size, low=1)
    rate = _checks.number(where, "lr_range_test_step_rate", lr_range_test_step_rate, low=0)
    if rate == 0:
        return {"lr": Constant(low)}
    line = PowerLaw(size / rate, exponent=-1, start=low)
    return {"lr": line.stairs(size) if lr_range_test_staircase else line}


def _one_cycle(
    where: str,
    *,
    cycle_min_lr: float,
    cycle_max_lr: float,
    decay_lr_rate: float = 0.0,
    cycle_first_step_size: int = 2000,
    cycle_second_step_size: int | None = None,
    cycle_first_stair_count: int = 0,
    cycle_second_stair_count: int | None = None,
    decay_step_size: float = 0,
    cycle_momentum: bool = True,
    cycle_min_mom: float = 0.8,
    cycle_max_mom: float = 0.9,
    decay_mom_rate: float = 0.0,
) -> Plans:
    """Up and down in straight lines or stairs, then a decay; on the plain clock, for once.

    The momentum goes the other way, but for the first update, which runs at its minimum.
    """
    first = steps(where, "cycle_first_step_size", cycle_first_step_size, low=1)
    second = first
    if cycle_second_step_size is not None:
        second = steps(where, "cycle_second_step_size", cycle_second_step_size)
    up = down = _count(where, "cycle_first_stair_count", cycle_first_stair_count)
    if cycle_second_stair_count is not None:
        down = _count(where, "cycle_second_stair_count", cycle_second_stair_count)
    every = _checks.number(where, "decay_step_size", decay_step_size, low=0)

    def cycle(start: float, peak: float, rate: float, kind: Callable[..., Schedule]) -> Schedule:
        def level(scale: float) -> Level:
            return absolute(peak if scale == 1.0 else start + (peak - start) * scale)

        low, high = level(0.0), level(1.0)
        line = Linear(first, start=low, end=high)
        parts: list[Schedule] = _stairs(first, up, level) if up else [line]
        if down and second:
            parts += _stairs(second, down, level, falling=True)
        else:
            parts.append(Linear(second, start=high if up else None, end=low))
        if rate and every:
            parts.append(kind(every / rate, start=low))
        elif down:
            parts.append(Constant(low, 0))
        return Sequence(tuple(parts))

    low = _rate(where, "cycle_min_lr", cycle_min_lr)
    high = _rate(where, "cycle_max_lr", cycle_max_lr)
    rate = _checks.number(where, "decay_lr_rate", decay_lr_rate, low=0)
    plans = {"lr": cycle(low, high, rate, InverseTime)}
    if cycle_momentum:
        low = _rate(where, "cycle_min_mom", cycle_min_mom)
        high = _rate(where, "cycle_max_mom", cycle_max_mom)
        rate = _checks.number(where, "decay_mom_rate", decay_mom_rate, low=0)
        whole = cycle(high, low, rate, partial(PowerLaw, exponent=-1))
        plans["momentum"] = Constant(absolute(low), 1) >> whole.part(1)
        plans["beta2"] = Constant(absolute(0.99))
    return plans


def _count(where: str, name: str, count: Any) -> int:
    """A number of stairs; below 1 there are none."""
    return max(0, _checks.whole(where, name, count, low=-_checks.MOST))


def _stairs(
    n: int, count: int, level: Callable[[float], Level], *, falling: bool = False
) -> list[Schedule]:
    """Half a cycle of n steps: at each step, the stairs that have been climbed to the full."""
    climbed = ((n - step if falling else step) * count // n for step in range(n))
    runs = ((k, sum(1 for _ in same)) for k, same in groupby(climbed))
    return [Constant(level(k / count), length) for k, length in runs]


def _rise(where: str, kind: str, n: int, end: Level, start: Level | None = None) -> Schedule:
    """The warm-up from where the first update was; `log` ends a step sooner than `linear`."""
    _checks.choice(where, "warmup_type", kind, ("log", "linear"))
    if kind == "log":
        return Logarithmic(n - 1, start=start, end=end, scale=n - 1)
    return Linear(n, start=start, end=end)


def _warmup_steps(where: str, value: Any) -> int:
    return max(2, _checks.whole(where, "warmup_num_steps", value, low=1))


def _warmup_levels(where: str, low: Any, high: Any) -> tuple[Level, Level]:
    top = 1.0 if high is None else absolute(_rate(where, "warmup_max_lr", high))
    return absolute(_rate(where, "warmup_min_lr", low)), top


def _warmup_lr(
    where: str,
    *,
    warmup_min_lr: float = 0.0,
    warmup_max_lr: float | None = None,
    warmup_num_steps: int = 1000,
    warmup_type: str = "log",
) -> Plans:
    """From min to max, and hold."""
    low, high = _warmup_levels(where, warmup_min_lr, warmup_max_lr)
    n = _warmup_steps(where, warmup_num_steps)
    return {"lr": Constant(low, 1) >> _rise(where, warmup_type, n, high)}


def _warmup_decay_lr(
    where: str,
    *,
    total_num_steps: int,
    warmup_min_lr: float = 0.0,
    warmup_max_lr: float | None = 0.001,
    warmup_num_steps: int = 1000,
    warmup_type: str = "log",
) -> Plans:
    """From min to max, and back in a straight line."""
    low, high = _warmup_levels(where, warmup_min_lr, warmup_max_lr)
    n = _warmup_steps(where, warmup_num_steps)
    total = steps(where, "total_num_steps", total_num_steps)
    up = Constant(low, 1) >> _rise(where, warmup_type, n, high)
    if warmup_type == "log":
        up = up >> Hold(1)
    return {"lr": up >> Linear(max(0, total - n), end=low)}


def _warmup_cosine_lr(
    where: str,
    *,
    total_num_steps: int,
    warmup_min_ratio: float = 0.0,
    warmup_num_steps: int = 1000,
    cos_min_ratio: float = 0.0001,
    warmup_type: str = "log",
) -> Plans:
    """From a multiple of the group's rate to 1, and down along half a cosine a step ahead."""
    n = _warmup_steps(where, warmup_num_steps)
    total = steps(where, "total_num_steps", total_num_steps)
    start = _checks.number(where, "warmup_min_ratio", warmup_min_ratio)
    end = _checks.number(where, "cos_min_ratio", cos_min_ratio)
    up = Constant(0.0, 1) >> _rise(where, warmup_type, n, 1.0, start or None)
    down: Schedule = Cosine(max(1, total - n), start=1.0, end=end)
    if warmup_type == "linear":
        down = down.part(1)
    return {"lr": up >> (down.clip(low=0.0) if end < 0 else down)}


SCHEDULERS: dict[str, Callable[..., Plans]] = {
    "LRRangeTest": _lr_range_test,
    "OneCycle": _one_cycle,
    "WarmupLR": _warmup_lr,
    "WarmupDecayLR": _warmup_decay_lr,
    "WarmupCosineLR": _warmup_cosine_lr,
}
"""DeepSpeed's schedulers by name."""
