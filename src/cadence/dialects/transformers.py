"""Schedules of Hugging Face transformers, by name or from `TrainingArguments`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial, wraps
from itertools import pairwise
from typing import Any, Literal, NamedTuple, overload

from cadence import _checks
from cadence.dialects import _common
from cadence.dialects._common import as_level, steps, timeline
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.feedback import Controller, Greedy, Plateau
from cadence.levels import Level
from cadence.schedule import Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    CosineWave,
    Hold,
    InverseSqrt,
    Linear,
    OneMinusSqrt,
    PiecewiseCosine,
    Polynomial,
    Ramp,
    Warmup,
)

__all__ = ["from_transformers", "of_lambda"]

WHERE = "from_transformers"

MOST_CYCLES = 10_000
"""How many restarts are written out, each with two points."""


@overload
def from_transformers(  # pyright: ignore[reportOverlappingOverload] - these two names are told apart
    name_or_args: Literal["reduce_lr_on_plateau", "greedy"],
    *,
    warmup_steps: float | None = None,
    total_steps: int | None = None,
    learning_rate: float | None = None,
    **scheduler_specific_kwargs: Any,
) -> Controller: ...


@overload
def from_transformers(
    name_or_args: Any,
    *,
    warmup_steps: float | None = None,
    total_steps: int | None = None,
    learning_rate: float | None = None,
    **scheduler_specific_kwargs: Any,
) -> Schedule: ...


def from_transformers(
    name_or_args: Any,
    *,
    warmup_steps: float | None = None,
    total_steps: int | None = None,
    learning_rate: float | None = None,
    **scheduler_specific_kwargs: Any,
) -> Schedule | Controller:
    """The plan of a schedule of transformers: of `get_scheduler(name, ...)` or the Trainer's.

    The plan is a multiple of the group's rate, from update 0 to past the end: an unclamped cosine
    climbs again, as theirs does. Their warm-up starts at 0, so the first update changes nothing.

    Args:
        name_or_args: A name such as `"cosine"`, one of their functions' such as
            `"get_wsd_schedule"`, or `TrainingArguments`: an object or a dict with
            `lr_scheduler_type`, `lr_scheduler_kwargs`, `warmup_steps` or `warmup_ratio`,
            `max_steps` and `learning_rate`. Whatever is given beside it takes precedence.
        warmup_steps: Updates of the warm-up (also `num_warmup_steps`); below 1, a part of
            `total_steps`, rounded up as the Trainer does.
        total_steps: Updates of the run (also `num_training_steps`). Without it the plan is open:
            it takes the run that it is bound to, and holds at its end.
        learning_rate: The optimizer's rate. With it, `min_lr` and `lr_end` become multiples, as
            they are for every group in transformers; without it they are absolute.
        **scheduler_specific_kwargs: What the schedule takes, under their names.

    Returns:
        The plan. For `"reduce_lr_on_plateau"` and `"greedy"`, which answer metrics, the
        controller: `Scheduler(optimizer, lr=Constant(1), feedback=...)`.

    Raises:
        ArgumentError: An argument is unknown, missing, or cannot be meant; or theirs divides by
            zero with it.

    >>> from_transformers("cosine", num_warmup_steps=100, num_training_steps=1100)
    Warmup(100, start=0) >> CosineWave(2000)
    >>> from_transformers({"lr_scheduler_type": "linear", "warmup_steps": 0.1, "max_steps": 1000})
    Warmup(100, start=0) >> Linear(900)
    >>> from_transformers("warmup_stable_decay", warmup_steps=100, num_decay_steps=200)
    Warmup(100, start=0) >> Hold() >> Cosine(200)
    >>> from_transformers("reduce_lr_on_plateau", patience=3).patience
    3

    Hugging Face, transformers 5.23, `optimization.py`.
    """
    read = _Arguments(name_or_args) if isinstance(name_or_args, str) else _read(name_or_args)
    name = getattr(read.name, "value", read.name)
    known = _FUNCTIONS.get(name, name) if isinstance(name, str) else name
    name = _checks.choice(WHERE, "name", known, _SCHEDULES)
    where = f"{WHERE}({name!r})"

    own = {**read.own, **scheduler_specific_kwargs}
    own |= own.pop("scheduler_specific_kwargs", None) or {}
    for theirs, ours, value in (
        ("num_warmup_steps", "warmup_steps", warmup_steps),
        ("num_training_steps", "total_steps", total_steps),
    ):
        if value is not None and own.get(theirs) is not None:
            raise ArgumentTypeError(f"{where}: {ours!r} and {theirs!r} are the same; give only one")
    total = _first(total_steps, own.pop("num_training_steps", None), read.total)
    total = None if total is None else steps(where, "total_steps", total)
    exact = own.pop("num_warmup_steps", None)
    exact = None if exact is None else steps(where, "num_warmup_steps", exact)
    warmup = _first(warmup_steps, exact, read.warmup)
    if warmup is None and name not in _WITHOUT_WARMUP:
        raise ArgumentTypeError(f"{where}: 'warmup_steps' must be given; 0 is none")
    rate = _first(learning_rate, read.rate)
    run = _Run(
        where,
        0 if warmup is None else _warmup(where, warmup, total),
        total,
        None if rate is None else _checks.number(where, "learning_rate", rate, above=0),
    )
    return _common.call(where, partial(_SCHEDULES[name], run), own)


def _first(*values: Any) -> Any:
    """The first that was given."""
    return next((value for value in values if value is not None), None)


class _Arguments(NamedTuple):
    """What is known of a schedule beside what is said of it at the call."""

    name: Any
    own: Mapping[str, Any] = {}
    warmup: float | None = None
    total: int | None = None
    rate: float | None = None


_READ = {
    "lr_scheduler_type": "linear",
    "lr_scheduler_kwargs": None,
    "warmup_steps": 0,
    "warmup_ratio": 0.0,
    "max_steps": -1,
    "num_train_epochs": 3.0,
    "learning_rate": None,
}
"""What is read of `TrainingArguments`, and what holds where it is missing."""


def _read(args: Any) -> _Arguments:
    """What `TrainingArguments`, or a dict or an object like it, say of the schedule."""
    if isinstance(args, Mapping):
        found = {key: args[key] for key in _READ if key in args}
        for key in args.keys() - _READ.keys():
            # It may hold anything beside what is read here, but hardly its misspelling.
            close = get_close_matches(str(key), _READ, n=1, cutoff=0.9)
            if close and close[0] not in args:
                raise ArgumentTypeError(
                    f"{WHERE}: unknown argument {key!r}; did you mean {close[0]!r}?"
                )
    else:
        found = {key: getattr(args, key) for key in _READ if hasattr(args, key)}
    if not found:
        raise ArgumentTypeError(
            f"{WHERE}: the schedule must be a name such as 'cosine', or TrainingArguments, or a "
            f"dict with 'lr_scheduler_type' (got {_checks.given(args)})"
        )
    value = _READ | {key: given for key, given in found.items() if given is not None}
    own = value["lr_scheduler_kwargs"] or {}
    if isinstance(own, str):
        own = _json(own)
    total = steps(WHERE, "max_steps", value["max_steps"], low=-1)
    return _Arguments(
        value["lr_scheduler_type"],
        own,
        value["warmup_steps"] or value["warmup_ratio"],
        total if total > 0 else None,
        value["learning_rate"],
    )


def _json(text: str) -> Any:
    """`lr_scheduler_kwargs` as the command line gives them."""
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        raise ArgumentError(
            f"{WHERE}: 'lr_scheduler_kwargs' must be a dict, or one in JSON (got "
            f"{_checks.given(text)})"
        ) from None


def _warmup(where: str, value: Any, total: int | None) -> int:
    """The warm-up in updates, as the Trainer counts it."""
    value = _checks.number(where, "warmup_steps", value, low=0)
    if value == 0 or value >= 1:
        return int(value)
    if total is None:
        raise ArgumentError(
            f"{where}: 'total_steps' must be given where the warm-up is a part of it (got "
            f"{value!r}): transformers rounds ceil(total_steps * {value!r}) up to whole steps"
        )
    return math.ceil(total * value)


@dataclass(frozen=True)
class _Run:
    """What every schedule is given."""

    where: str
    warmup: int
    total: int | None
    rate: float | None

    @property
    def left(self) -> int | None:
        """Updates after the warm-up, never 0, since theirs divides by them; None where open."""
        return None if self.total is None else max(1, self.total - self.warmup)

    def then(self, *phases: Schedule) -> Schedule:
        """A warm-up from 0, and what follows."""
        return timeline(Warmup(self.warmup, start=0.0), *phases)

    def level(self, name: str, rate: Any) -> Level:
        """A rate that a schedule is given."""
        return as_level(self.where, name, rate, self.rate)

    def closed(self, why: str) -> int:
        """The updates after the warm-up, where they have to be known."""
        if self.left is None:
            raise ArgumentError(f"{self.where}: 'total_steps' must be given {why}")
        return self.left


def _constant(run: _Run) -> Schedule:
    del run
    return Constant(1.0)


def _constant_with_warmup(run: _Run) -> Schedule:
    return run.then(Hold())


def _linear(run: _Run) -> Schedule:
    if run.total is not None and run.total <= run.warmup:
        return run.then(Constant(0.0))
    return run.then(Linear(run.left))


def _cosine(run: _Run, num_cycles: float = 0.5) -> Schedule:
    return run.then(_wave(run, num_cycles, 0.0))


def _wave(run: _Run, num_cycles: Any, end: Level) -> Schedule:
    """Their cosine after the warm-up, which nothing stops at the end of the run."""
    cycles = abs(_checks.number(run.where, "num_cycles", num_cycles))
    if cycles == 0:
        return Hold()
    if run.left is None and cycles == 0.5:
        return Cosine(end=end)
    return CosineWave(run.closed("for num_cycles other than 0.5") / cycles, end=end)


def _restarts(run: _Run, num_cycles: float = 1) -> Schedule:
    cycles = _checks.number(run.where, "num_cycles", num_cycles, low=0, high=MOST_CYCLES)
    if run.left is None and cycles == 1:
        return run.then(Cosine())
    length = run.closed("for num_cycles other than 1")
    if cycles == 0:
        return run.then(Constant(1.0, length), Constant(0.0))
    if (length / cycles).is_integer() and cycles.is_integer():
        cycle = Cosine(int(length / cycles))
        return run.then(cycle if cycles == 1 else cycle.repeat(int(cycles)))
    edges = [i * length / cycles for i in range(math.ceil(cycles) + 1)]
    points = [point for a, b in pairwise(edges) for point in ((a, 1.0), (b, 0.0))]
    waves = PiecewiseCosine(tuple(points))
    if cycles.is_integer():
        return run.then(waves)
    return run.then(waves.part(0, length), Constant(0.0))


def _polynomial(run: _Run, lr_end: float = 1e-7, power: float = 1.0) -> Schedule:
    power = _checks.number(run.where, "power", power, low=0)
    end = run.level("lr_end", lr_end)
    if run.rate is not None and not lr_end < run.rate:
        raise ArgumentError(
            f"{run.where}: 'lr_end' must be smaller than the learning rate (got {lr_end!r} and "
            f"{run.rate!r})"
        )
    if run.total is not None and run.total <= run.warmup:
        if run.total == run.warmup:
            raise ArgumentError(
                f"{run.where}: 'total_steps' must not be the steps of the warm-up (got {run.total} "
                "for both): transformers divides by what is left of the run"
            )
        return run.then(Constant(end))
    if power == 0:
        # The zeroth power of what is left, even of nothing; theirs drops one update after the end.
        return run.then(*([Hold()] if run.left is None else [Hold(run.left + 1), Constant(end)]))
    return run.then(Polynomial(run.left, end=end, power=power))


def _inverse_sqrt(run: _Run, timescale: int | None = None) -> Schedule:
    scale = (run.warmup or 10_000) if timescale is None else timescale
    return run.then(InverseSqrt(steps(run.where, "timescale", scale, low=1)))


def _floor(run: _Run, min_lr: float | None, min_lr_rate: float | None) -> Level:
    """The level of the lowest point."""
    if (min_lr is None) == (min_lr_rate is None):
        both = "both" if min_lr is not None else "neither"
        raise ArgumentError(
            f"{run.where}: either 'min_lr' or 'min_lr_rate' must be given (got {both})"
        )
    if min_lr is not None:
        return run.level("min_lr", _checks.number(run.where, "min_lr", min_lr, low=0))
    return _checks.number(run.where, "min_lr_rate", min_lr_rate, low=0)


def _cosine_with_min_lr(
    run: _Run,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> Schedule:
    return run.then(_wave(run, num_cycles, _floor(run, min_lr, min_lr_rate)))


def _cosine_warmup_with_min_lr(
    run: _Run,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> Schedule:
    # Their clock is one ahead: the full rate comes one update before the warm-up's end.
    wave, warmup = _wave(run, num_cycles, _floor(run, min_lr, min_lr_rate)), run.warmup
    first = (
        None
        if warmup_lr_rate is None
        else _checks.number(run.where, "warmup_lr_rate", warmup_lr_rate)
    )
    if warmup == 0:
        return wave.part(1)
    if warmup == 1 and first is not None:
        run.closed("for a warm-up of one step")
        return Constant(first, 1) >> wave.part(1)
    rise = Warmup(warmup - 1, start=1.0 / warmup if first is None else first)
    return timeline(rise, wave, *([Hold(1)] if run.left is None else []))


def _wsd(
    run: _Run,
    num_decay_steps: int,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> Schedule:
    low = _checks.number(run.where, "min_lr_ratio", min_lr_ratio, low=0)
    decay = steps(run.where, "num_decay_steps", num_decay_steps)
    rises: dict[str, Callable[[], Ramp]] = {
        "linear": lambda: Warmup(run.warmup, start=low),
        "cosine": lambda: Warmup(run.warmup, start=low, shape="cosine"),
        "1-sqrt": lambda: Polynomial(run.warmup, start=low, end=1.0, power=0.5),
    }
    rise = rises[_checks.choice(run.where, "warmup_type", warmup_type, rises)]()
    cycles = abs(_checks.number(run.where, "num_cycles", num_cycles))
    falls: dict[str, Callable[[], Schedule]] = {
        "linear": lambda: Linear(decay, end=low),
        "cosine": lambda: _part_of_wave(decay, cycles, low),
        "1-sqrt": lambda: OneMinusSqrt(decay, end=low),
    }
    fall = falls[_checks.choice(run.where, "decay_type", decay_type, falls)]()
    if num_stable_steps is not None:
        stable = steps(run.where, "num_stable_steps", num_stable_steps, low=-_checks.MOST)
    elif run.total is not None:
        stable = run.total - run.warmup - decay
    else:
        return timeline(rise, Hold(), fall)
    # Where the run is too short for both, theirs cuts off the beginning of the decay.
    rest = [Hold(stable), fall] if stable >= 0 else [fall.part(min(-stable, decay))]
    return timeline(rise, *rest)


def _part_of_wave(length: int, cycles: float, low: float) -> Schedule:
    """Some periods of a cosine over a length, then the lowest level whatever they end at."""
    if cycles == 0.5 or length == 0:
        return Cosine(length, end=low)
    wave = CosineWave(length / cycles, end=low, steps=length) if cycles else Hold(length)
    return wave >> Constant(low, 0)


@wraps(_common.plateau)
def _plateau(run: _Run, **arguments: Any) -> Plateau:
    return _common.plateau(run.where, **arguments)


def _greedy(
    run: _Run,
    mode: Any = "min",
    factor: float = 0.95,
    patience: int = 10,
    threshold: float = 1e-6,
    threshold_mode: Any = "abs",
    cooldown: int = 0,
    warmup: int = 0,
    min_lr: float = 1e-3,
    max_lr: float = 1.0,
    eps: float = 1e-8,
    verbose: bool = False,
    smooth: bool = False,
    window_size: int = 50,
    reset_start: int = 500,
) -> Greedy:
    del verbose
    if run.rate is None:
        raise ArgumentError(
            f"{run.where}: 'learning_rate' must be given: the reset after {reset_start} reductions "
            "needs limits that are multiples of it"
        )
    if not 0 <= eps <= 1e-8:
        raise ArgumentError(
            f"{run.where}: 'eps' must be at most 1e-8 (got {eps!r}): Greedy makes every change, "
            "however small"
        )
    return Greedy(
        mode=mode,
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode=threshold_mode,
        cooldown=cooldown,
        warmup=warmup,
        floor=run.level("min_lr", min_lr),
        ceiling=run.level("max_lr", max_lr),
        window=window_size if smooth else None,
        reset=reset_start,
        nan="bad",
    )


_SCHEDULES: dict[str, Callable[..., Schedule | Controller]] = {
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_restarts": _restarts,
    "polynomial": _polynomial,
    "constant": _constant,
    "constant_with_warmup": _constant_with_warmup,
    "inverse_sqrt": _inverse_sqrt,
    "reduce_lr_on_plateau": _plateau,
    "cosine_with_min_lr": _cosine_with_min_lr,
    "cosine_warmup_with_min_lr": _cosine_warmup_with_min_lr,
    "warmup_stable_decay": _wsd,
    "greedy": _greedy,
}

_WITHOUT_WARMUP = {"constant", "reduce_lr_on_plateau", "greedy"}

_FUNCTIONS = {
    "get_linear_schedule_with_warmup": "linear",
    "get_cosine_schedule_with_warmup": "cosine",
    "get_cosine_with_hard_restarts_schedule_with_warmup": "cosine_with_restarts",
    "get_polynomial_decay_schedule_with_warmup": "polynomial",
    "get_constant_schedule": "constant",
    "get_constant_schedule_with_warmup": "constant_with_warmup",
    "get_inverse_sqrt_schedule": "inverse_sqrt",
    "get_reduce_on_plateau_schedule": "reduce_lr_on_plateau",
    "get_cosine_with_min_lr_schedule_with_warmup": "cosine_with_min_lr",
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate": "cosine_warmup_with_min_lr",
    "get_wsd_schedule": "warmup_stable_decay",
    "get_greedy_schedule": "greedy",
}
"""The functions that people call instead, and the names that stand for them."""


_LAMBDAS = {
    "_get_linear_schedule_with_warmup_lr_lambda": "linear",
    "_get_cosine_schedule_with_warmup_lr_lambda": "cosine",
    "_get_cosine_with_hard_restarts_schedule_with_warmup_lr_lambda": "cosine_with_restarts",
    "_get_polynomial_decay_schedule_with_warmup_lr_lambda": "polynomial",
    "_get_constant_lambda": "constant",
    "_get_constant_schedule_with_warmup_lr_lambda": "constant_with_warmup",
    "_get_inverse_sqrt_schedule_lr_lambda": "inverse_sqrt",
    "_get_cosine_with_min_lr_schedule_with_warmup_lr_rate_lambda": "cosine_warmup_with_min_lr",
    "_get_wsd_scheduler_lambda": "warmup_stable_decay",
}
"""What transformers gives to a `LambdaLR`, each with the arguments of its schedule."""


def of_lambda(function: Any) -> Schedule | None:
    """The plan of a function that transformers has given to a `LambdaLR`; None of any other."""
    inner = function.func if isinstance(function, partial) else function
    name = _LAMBDAS.get(getattr(inner, "__name__", ""))
    if name is None or inner.__module__ != "transformers.optimization":
        return None
    given = dict(function.keywords) if isinstance(function, partial) else {}
    given["learning_rate"] = given.pop("lr_init", None)
    if "min_lr_rate" in given and name == "cosine":
        name = "cosine_with_min_lr"
    return from_transformers(name, **given)
