"""What may be tried: ranges, and the way from a trial of Optuna to a plan."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cadence import _checks
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.schedule import Schedule
from cadence.search._study import PARAMETERS, PEAK, WHERE
from cadence.text import parse

if TYPE_CHECKING:
    import optuna

__all__ = ["Log", "Planned", "Space", "Suggest", "log", "suggesting"]

DIGITS = 3
"""Numbers are tried to so many digits: a schedule hangs on no more, and its text stays short."""


@dataclass(frozen=True)
class Log:
    """A range in which factors count, not distances; made by :func:`log`."""

    low: float
    high: float


def log(low: float, high: float) -> Log:
    """A range for rates: from 1e-4 to 1e-3 is as far as from 1e-3 to 1e-2.

    Raises:
        ArgumentError: `low` is not above 0, or `high` is not above `low`.

    >>> log(1e-4, 1e-2)
    Log(low=0.0001, high=0.01)
    """
    low = _checks.number("log", "low", low, above=0)
    return Log(low, _checks.number("log", "high", high, above=low))


Range = Log | tuple[float, float] | list[Any]
Space = Mapping[str, Range] | Callable[["optuna.Trial"], Any]
Planned = Schedule | str | Callable[..., Schedule | str]
Suggest = Callable[[Any], tuple[Schedule, float | None]]


def suggesting(
    space: Space, plan: Planned | None, total_steps: int | None
) -> tuple[Suggest, dict[str, Any]]:
    """The function from Optuna's trial to a plan and a peak, and what tells this search apart."""
    if callable(space):
        if plan is not None:
            raise ArgumentError(f"{WHERE}: 'plan' must be left out where the space is a function")
        return partial(_asked_of, space), {"space": "function"}
    if not isinstance(space, Mapping) or not space:
        raise ArgumentTypeError(
            f"{WHERE}: 'space' must be ranges by name, or a function (got {_checks.given(space)}); "
            "write {'peak': cadence.search.log(1e-4, 1e-2)}"
        )
    ranges = {str(name): _range(str(name), given) for name, given in space.items()}
    others = sorted(ranges.keys() - {PEAK})
    if plan is None:
        raise ArgumentError(
            f"{WHERE}: 'plan' must be given; write plan='wsd()' or plan=lambda "
            f"{', '.join(others)}: ..."
        )
    if isinstance(plan, str):
        named = {name for _, name, _, _ in string.Formatter().parse(plan) if name is not None}
        if named != set(others):
            raise ArgumentError(
                f"{WHERE}: 'plan' must name the parameters {others} in braces (got {plan!r})"
            )
    elif isinstance(plan, Schedule) and others:
        raise ArgumentError(
            f"{WHERE}: 'plan' must be a function or a text with {others} in braces (got {plan!r})"
        )
    suggest = partial(_within, ranges, plan)
    # One end of every range: a plan that cannot be is told before anything is trained.
    for end in (0, -1):
        first = {name: _end(given, end) for name, given in ranges.items()}
        made, _ = _planned(plan, first)
        if total_steps is not None:
            made.resolve(total_steps)
    written = repr(plan) if isinstance(plan, (str, Schedule)) else "function"
    return suggest, {"space": {k: repr(v) for k, v in ranges.items()}, "plan": written}


def _range(name: str, given: Any) -> Range:
    where = f"{WHERE}: the range of {name!r}"
    if isinstance(given, Log):
        return given
    if isinstance(given, list):
        if not given:
            raise ArgumentError(f"{where} must hold choices (got [])")
        return given
    if not isinstance(given, tuple) or len(given) != 2:
        raise ArgumentTypeError(
            f"{where} must be (low, high), log(low, high) or a list of choices "
            f"(got {_checks.given(given)})"
        )
    low = _checks.number(WHERE, name, given[0])
    high = _checks.number(WHERE, name, given[1], above=low)
    return given if all(isinstance(end, int) for end in given) else (low, high)


def _end(given: Range, end: int) -> Any:
    return (given.low, given.high)[end] if isinstance(given, Log) else given[end]


def _within(
    ranges: Mapping[str, Range], plan: Planned, trial: Any
) -> tuple[Schedule, float | None]:
    return _planned(plan, _parameters(ranges, trial))


def _parameters(ranges: Mapping[str, Range], trial: Any) -> dict[str, Any]:
    """What Optuna suggests for each range, to the digits that are meant."""
    found: dict[str, Any] = {}
    for name, given in ranges.items():
        if isinstance(given, list):
            found[name] = given[trial.suggest_categorical(name, list(range(len(given))))]
        elif isinstance(given, tuple) and all(isinstance(end, int) for end in given):
            found[name] = trial.suggest_int(name, *given)
        else:
            low, high = _end(given, 0), _end(given, -1)
            value = trial.suggest_float(name, low, high, log=isinstance(given, Log))
            found[name] = min(max(float(f"{value:.{DIGITS}g}"), low), high)
    trial.set_user_attr(PARAMETERS, json.dumps(found, default=repr))
    return found


def _planned(plan: Planned, parameters: Mapping[str, Any]) -> tuple[Schedule, float | None]:
    others = {name: value for name, value in parameters.items() if name != PEAK}
    made = plan
    if isinstance(plan, str):
        made = plan.format(**others)
    elif not isinstance(plan, Schedule):
        made = plan(**others)
    return _schedule(made), parameters.get(PEAK)


def _asked_of(space: Callable[[Any], Any], trial: Any) -> tuple[Schedule, float | None]:
    returned = space(trial)
    plan, peak = returned if isinstance(returned, tuple) else (returned, None)
    return _schedule(plan), peak


def _schedule(made: Any) -> Schedule:
    if isinstance(made, str):
        return parse(made)
    if not isinstance(made, Schedule):
        raise ArgumentTypeError(
            f"{WHERE}: 'plan' must give a schedule or its text (got {_checks.given(made)})"
        )
    return made
