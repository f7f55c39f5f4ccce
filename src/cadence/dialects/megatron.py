"""Megatron: the rate and the weight decay of its `OptimizerParamScheduler` as plans.

Its clock counts samples: an update advances it by the global batch size, so that phases may begin
and end between two updates. Update t runs at the value of its sample t * global_batch_size.
Formulas: `megatron/core/optimizer_param_scheduler.py` of Megatron-core 0.16.1; the command line is
that of Megatron-LM.
"""

from __future__ import annotations

import inspect
import math
import shlex
from argparse import Namespace
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

from cadence import _checks
from cadence.dialects._clock import ramp, sequence, updates
from cadence.dialects._common import call, steps
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.levels import Absolute, Level, absolute
from cadence.schedule import Schedule
from cadence.shapes import Constant, Cosine, Exponential, InverseSqrt, Linear, OneMinusSqrt, Ramp

__all__ = ["from_megatron"]

WHERE = "from_megatron"

STYLES = ("constant", "linear", "cosine", "inverse-square-root", "WSD")
ANNEALS: dict[str, Ramp] = {
    "linear": Linear(),
    "cosine": Cosine(),
    "exponential": Exponential(ratio=0.5),
    "minus_sqrt": OneMinusSqrt(),
}


class _Rate(NamedTuple):
    """How the rate goes; lengths in samples, of which an update has `increment`."""

    start: float
    peak: float | None
    low: float
    warmup: float
    decay: int | None
    style: str
    anneal: int | None
    anneal_style: str | None
    increment: int | None


class _Decay(NamedTuple):
    """How the weight decay goes, likewise."""

    start: float
    end: float
    length: int | None
    style: str
    increment: int | None


def from_megatron(
    args: Mapping[str, Any] | Namespace | str | None = None, *, key: str = "lr", **arguments: Any
) -> Schedule:
    """The plan of Megatron's rate or weight decay, in updates.

    Rates and weight decays are absolute levels. Without a peak (`lr`, `max_lr`) the plan rises to
    the group's own rate, the other rates being absolute. After `lr_decay_iters` the rate stays at
    `min_lr`, or at its peak where the style is constant.

    Args:
        args: The arguments of the command line: a dict, the namespace of `get_args()`, or the
            command itself. Of a namespace and a command, what is of no concern is passed over.
        key: `"lr"` or `"weight_decay"`.
        **arguments: The same by keyword (`lr=`, `min_lr=`, `train_iters=`, ...), or those of
            `OptimizerParamScheduler` (`max_lr=`, `lr_decay_steps=`, ...), whose steps are
            samples if `global_batch_size=` is given, else updates.

    Raises:
        ArgumentError: An argument is missing, unknown, or forbidden by Megatron; or the batch
            size grows (`rampup_batch_size`), so that updates and samples do not go together.

    >>> from_megatron(
    ...     "--lr 3e-4 --min-lr 3e-5 --lr-decay-style cosine --train-iters 1000 "
    ...     "--lr-warmup-iters 100"
    ... )
    Linear(100, start=absolute(0), end=absolute(0.0003)) >> Cosine(900, end=absolute(3e-05))
    >>> plan = from_megatron(
    ...     lr_decay_style="linear",
    ...     lr_warmup_steps=64,
    ...     lr_decay_steps=1000,
    ...     init_lr=0.0,
    ...     max_lr=1.0,
    ...     min_lr=0.0,
    ...     global_batch_size=32,
    ... )
    >>> plan(0), plan(2), round(plan(31), 9), plan(32)
    (0.0, 1.0, 0.008547009, 0.0)

    Narayanan et al., Efficient Large-Scale Language Model Training on GPU Clusters (2021).
    """
    _checks.choice(WHERE, "key", key, ("lr", "weight_decay"))
    given = {**_read(args), **{_plain(name): value for name, value in arguments.items()}}
    given = {name: value for name, value in given.items() if value is not None}
    constructor = [name for name in given if name in _CONSTRUCTOR - _COMMAND]
    command = [name for name in given if name in _COMMAND - _CONSTRUCTOR]
    if constructor and command:
        raise ArgumentError(
            f"{WHERE}: the arguments must be those of the command line or those of "
            f"OptimizerParamScheduler (got {command[0]!r} and {constructor[0]!r})"
        )
    unknown = [name for name in given if name not in _CONSTRUCTOR | _COMMAND]
    if unknown:
        hint = _checks.suggest(unknown[0], sorted(_CONSTRUCTOR | _COMMAND))
        raise ArgumentTypeError(f"{WHERE}: unknown argument {unknown[0]!r}{hint}")
    readers = _OF_CONSTRUCTOR if constructor else _OF_COMMAND
    read = readers[key]
    parameters = call(WHERE, read, {n: v for n, v in given.items() if n in _names(read)})
    return _rate(parameters) if key == "lr" else _weight_decay(parameters)


# What is given.


def _plain(name: str) -> str:
    """`--lr-decay-style` as the name that argparse gives it."""
    return str(name).lstrip("-").replace("-", "_")


def _read(args: Any) -> dict[str, Any]:
    """The arguments by their plain names."""
    if args is None:
        return {}
    if isinstance(args, str):
        return _parsed(args)
    if isinstance(args, Mapping):
        return {_plain(name): value for name, value in args.items()}
    if hasattr(args, "__dict__"):
        found = vars(args)
        return {name: found[name] for name in found if name in _COMMAND}
    raise ArgumentTypeError(
        f"{WHERE}: 'args' must be a dict, a namespace or a command (got {_checks.given(args)})"
    )


def _parsed(command: str) -> dict[str, Any]:
    """The arguments of a command, as far as they are about schedules."""
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    found = {}
    for i, word in enumerate(words):
        name, _, value = word.partition("=")
        if not word.startswith("--") or _plain(name) not in _COMMAND:
            continue
        values = list(takewhile(lambda word: not word.startswith("--"), words[i + 1 :]))
        found[_plain(name)] = _value(value or (values[0] if values else "True"))
    return found


def _value(text: str) -> Any:
    """A word as the number that it is, if it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _constructor_rate(
    *,
    lr_decay_style: str,
    init_lr: float = 0.0,
    max_lr: float | None = None,
    min_lr: float = 0.0,
    lr_warmup_steps: int = 0,
    lr_decay_steps: int | None = None,
    wsd_decay_steps: int | None = None,
    lr_wsd_decay_style: str | None = None,
    global_batch_size: int = 1,
) -> _Rate:
    return _Rate(
        _checks.number(WHERE, "init_lr", init_lr),
        None if max_lr is None else _checks.number(WHERE, "max_lr", max_lr),
        _checks.number(WHERE, "min_lr", min_lr, low=0),
        steps(WHERE, "lr_warmup_steps", lr_warmup_steps),
        _optional("lr_decay_steps", lr_decay_steps, low=1),
        _checks.choice(WHERE, "lr_decay_style", lr_decay_style, STYLES),
        _optional("wsd_decay_steps", wsd_decay_steps),
        lr_wsd_decay_style,
        _checks.whole(WHERE, "global_batch_size", global_batch_size, low=1),
    )


def _constructor_decay(
    *,
    start_wd: float,
    end_wd: float,
    wd_incr_style: str,
    wd_incr_steps: int | None = None,
    global_batch_size: int = 1,
) -> _Decay:
    return _Decay(
        _checks.number(WHERE, "start_wd", start_wd, low=0),
        _checks.number(WHERE, "end_wd", end_wd, low=0),
        _optional("wd_incr_steps", wd_incr_steps),
        wd_incr_style,
        _checks.whole(WHERE, "global_batch_size", global_batch_size, low=1),
    )


def _command_rate(
    *,
    lr: float | None = None,
    min_lr: float = 0.0,
    lr_decay_style: str = "linear",
    lr_decay_iters: int | None = None,
    lr_decay_samples: int | None = None,
    lr_warmup_fraction: float | None = None,
    lr_warmup_iters: int = 0,
    lr_warmup_samples: int = 0,
    lr_warmup_init: float = 0.0,
    lr_wsd_decay_style: str = "exponential",
    lr_wsd_decay_iters: int | None = None,
    lr_wsd_decay_samples: int | None = None,
    train_iters: int | None = None,
    train_samples: int | None = None,
    global_batch_size: int | None = None,
    rampup_batch_size: Any = None,
    decoupled_lr: float | None = None,
    decoupled_min_lr: float | None = None,
) -> _Rate:
    run = _run(train_iters, train_samples, global_batch_size, rampup_batch_size)
    if decoupled_lr is not None or decoupled_min_lr is not None:
        raise ArgumentError(
            f"{WHERE}: 'decoupled_lr' gives the embeddings and the output layer a plan of their "
            "own; read two, the other one with lr=args.decoupled_lr, min_lr=args.decoupled_min_lr "
            "and both with decoupled_lr=None, decoupled_min_lr=None, and give them by group"
        )
    own, others = ("iters", "samples") if train_iters else ("samples", "iters")
    given: dict[str, Any] = {
        "lr_decay_iters": lr_decay_iters,
        "lr_decay_samples": lr_decay_samples,
        "lr_warmup_iters": lr_warmup_iters,
        "lr_warmup_samples": lr_warmup_samples,
        "lr_wsd_decay_iters": lr_wsd_decay_iters,
        "lr_wsd_decay_samples": lr_wsd_decay_samples,
    }
    for name, value in given.items():
        if value and name.endswith(others):
            raise ArgumentError(
                f"{WHERE}: {name!r} must not be given with 'train_{own}' (got {value!r}); give "
                f"{name.replace(others, own)!r}"
            )
    scale = run.scale

    def length(name: str, low: int = 0) -> int | None:
        found = _optional(name, given[name], low=low)
        return None if found is None else found * scale

    decay = length(f"lr_decay_{own}", low=1) or run.length
    warmup: float = length(f"lr_warmup_{own}") or 0
    if lr_warmup_fraction is not None:
        if warmup:
            raise ArgumentError(
                f"{WHERE}: 'lr_warmup_fraction' must not be given with 'lr_warmup_{own}' (got "
                f"{lr_warmup_fraction!r} and {given[f'lr_warmup_{own}']!r})"
            )
        warmup = _checks.number(WHERE, "lr_warmup_fraction", lr_warmup_fraction, low=0) * decay
    return _Rate(
        _checks.number(WHERE, "lr_warmup_init", lr_warmup_init),
        None if lr is None else _checks.number(WHERE, "lr", lr),
        _checks.number(WHERE, "min_lr", min_lr, low=0),
        warmup,
        decay,
        _checks.choice(WHERE, "lr_decay_style", lr_decay_style, STYLES),
        length(f"lr_wsd_decay_{own}"),
        lr_wsd_decay_style,
        run.increment,
    )


def _command_decay(
    *,
    weight_decay: float = 0.01,
    start_weight_decay: float | None = None,
    end_weight_decay: float | None = None,
    weight_decay_incr_style: str = "constant",
    train_iters: int | None = None,
    train_samples: int | None = None,
    global_batch_size: int | None = None,
    rampup_batch_size: Any = None,
) -> _Decay:
    def level(name: str, value: float | None) -> float:
        if value is None and weight_decay_incr_style != "constant":
            raise ArgumentTypeError(f"{WHERE}: {name!r} must be given")
        value = weight_decay if value is None else value
        return _checks.number(WHERE, name, value, low=0)

    start = level("start_weight_decay", start_weight_decay)
    end = level("end_weight_decay", end_weight_decay)
    if weight_decay_incr_style == "constant":
        return _Decay(start, end, None, "constant", None)
    run = _run(train_iters, train_samples, global_batch_size, rampup_batch_size)
    return _Decay(start, end, run.length, weight_decay_incr_style, run.increment)


class _Run(NamedTuple):
    """How long the run is, in samples or, where nothing depends on the batch, in updates."""

    length: int
    scale: int
    increment: int | None


def _run(iters: Any, samples: Any, batch: Any, rampup: Any) -> _Run:
    if bool(iters) == bool(samples):
        found = "both" if iters else "neither"
        raise ArgumentError(
            f"{WHERE}: 'train_iters' or 'train_samples' must be given, and not both (got {found})"
        )
    if rampup is not None:
        raise ArgumentError(
            f"{WHERE}: 'rampup_batch_size' makes the updates differ in samples (got "
            f"{_checks.given(rampup)}); leave it out for the plan of a constant batch size"
        )
    if batch is not None:
        batch = _checks.whole(WHERE, "global_batch_size", batch, low=1)
    if iters:
        length = steps(WHERE, "train_iters", iters, low=1)
        return _Run(length * (batch or 1), batch or 1, batch)
    if batch is None:
        raise ArgumentTypeError(
            f"{WHERE}: 'global_batch_size' must be given with 'train_samples', as one update is "
            "that many samples"
        )
    return _Run(steps(WHERE, "train_samples", samples, low=1), 1, batch)


def _optional(name: str, value: Any, *, low: int = 0) -> int | None:
    return None if value is None else steps(WHERE, name, value, low=low)


_OF_CONSTRUCTOR = {"lr": _constructor_rate, "weight_decay": _constructor_decay}
_OF_COMMAND = {"lr": _command_rate, "weight_decay": _command_decay}


def _names(*readers: Callable[..., Any]) -> set[str]:
    """The arguments that the readers take."""
    return {name for reader in readers for name in inspect.signature(reader).parameters}


# Of no concern to a plan: they say what wins when a checkpoint is loaded.
_OF_CHECKPOINTS = {"use_checkpoint_opt_param_scheduler", "override_opt_param_scheduler"}
_CONSTRUCTOR = _names(*_OF_CONSTRUCTOR.values()) | _OF_CHECKPOINTS
_COMMAND = _names(*_OF_COMMAND.values()) | _OF_CHECKPOINTS


# The plans.


def _rate(given: _Rate) -> Schedule:
    """Megatron's `get_lr`."""
    start, peak, low = given.start, given.peak, given.low
    if peak is not None and not max(start, low) <= peak:
        raise ArgumentError(
            f"{WHERE}: the peak must be >= the first and the least rate (got {peak!r}, with "
            f"{start!r} and {low!r})"
        )
    top, floor = (1.0 if peak is None else absolute(peak)), absolute(low)
    warmup, decay, increment = given.warmup, given.decay, given.increment or 1
    if decay is not None and warmup >= decay:
        raise ArgumentError(
            f"{WHERE}: the warm-up must be shorter than the decay, which includes it (got "
            f"{warmup:g} and {decay} samples)"
        )
    a = updates(warmup, increment)
    phases = [ramp(Linear(), 0, a, absolute(start), top, 0)] if warmup else []
    origin = math.ceil(a)
    if given.style == "constant":
        return phases[0] if phases else Constant(top)
    if decay is None:
        raise ArgumentTypeError(f"{WHERE}: 'lr_decay_steps' must be given")
    b = updates(decay, increment)
    if given.style in ("linear", "cosine"):
        phases.append(ramp(ANNEALS[given.style], a, b, top, floor, origin))
    elif given.style == "inverse-square-root":
        phases += _inverse_sqrt(given, top, floor, origin, math.floor(b) + 1)
    else:
        phases += _annealed(given, top, floor, origin)
    return sequence(phases)


def _inverse_sqrt(
    given: _Rate, top: Level, floor: Absolute, origin: int, stop: int
) -> list[Schedule]:
    """`max * sqrt(max(W, 1) / max(n, 1))` up to the end of the decay, never below the least."""
    if not given.warmup and given.increment is None:
        raise ArgumentTypeError(
            f"{WHERE}: 'global_batch_size' must be given: without a warm-up an inverse square root "
            "falls from the first sample on"
        )
    phases: list[Schedule] = []
    if not origin:
        phases, origin = [Constant(top, 1)], 1
    fallen = math.sqrt(max(given.warmup, 1) / (origin * (given.increment or 1)))
    start = absolute(top.value * fallen) if isinstance(top, Absolute) else fallen
    if stop > origin:
        curve: Schedule = InverseSqrt(origin, start=start, steps=stop - origin)
        phases.append(curve.clip(low=floor) if floor.value > 0 else curve)
    return [*phases, Constant(floor, 0)]


def _annealed(given: _Rate, top: Level, floor: Level, origin: int) -> list[Schedule]:
    """The peak up to the last samples, of which the way down takes some."""
    if given.anneal is None:
        raise ArgumentTypeError(
            f"{WHERE}: the length of the cooldown must be given for 'WSD'; write "
            "lr_wsd_decay_iters=..., lr_wsd_decay_samples=... or wsd_decay_steps=..."
        )
    assert given.decay is not None
    style: Any = _checks.choice(WHERE, "lr_wsd_decay_style", given.anneal_style, ANNEALS)
    increment = given.increment or 1
    turn, b = given.decay - given.anneal, updates(given.decay, increment)
    if not given.anneal:
        return [Constant(top, math.floor(b) + 1 - origin), Constant(floor, 0)]
    c = updates(turn, increment)
    phases: list[Schedule] = []
    if given.warmup > turn:
        # The warm-up goes on beyond the turn, and includes its last sample.
        if given.warmup and origin * increment <= given.warmup:
            phases, origin = [Constant(top, 1)], origin + 1
    elif math.ceil(c) > origin:
        phases, origin = [Constant(top, math.ceil(c) - origin)], math.ceil(c)
    return [*phases, ramp(ANNEALS[style], c, b, top, floor, origin)]


def _weight_decay(given: _Decay) -> Schedule:
    """Megatron's `get_wd`, before a group's own `wd_mult`."""
    styles = {"linear": Linear(), "cosine": Cosine()}
    style = _checks.choice(WHERE, "wd_incr_style", given.style, ("constant", *styles))
    start, end = absolute(given.start), absolute(given.end)
    if given.end < given.start:
        raise ArgumentError(
            f"{WHERE}: the weight decay must not fall (got {given.start!r} and {given.end!r})"
        )
    if style == "constant":
        if start != end:
            raise ArgumentError(
                f"{WHERE}: a constant weight decay must end where it starts (got {given.start!r} "
                f"and {given.end!r})"
            )
        return Constant(end)
    if not given.length:
        raise ArgumentTypeError(f"{WHERE}: 'wd_incr_steps' must be given, and more than 0")
    return ramp(styles[style], 0, updates(given.length, given.increment or 1), start, end, 0)
