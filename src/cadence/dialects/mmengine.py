"""mmengine: a `param_scheduler`, one config or a list of them, as one plan.

Each scheduler changes what it finds: `end=n` means n - 1 changes, whatever comes after goes on from
there, and schedulers that act at the same time multiply. Formulas:
`mmengine/optim/scheduler/param_scheduler.py` of mmengine 0.10.7.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from cadence import _checks
from cadence._program import Affine
from cadence.dialects._common import call
from cadence.dialects._common import steps as whole
from cadence.dialects._mmengine import FULL, KINDS, Effect, Range
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.schedule import Schedule
from cadence.shapes import Constant, Hold

__all__ = ["from_mmengine"]

WHERE = "from_mmengine"

NO_END = 10**9
"""mmengine's `INF`."""

SUFFIXES = ("LR", "Momentum", "ParamScheduler")

_TIMES = ("step_size", "T_max", "total_steps")
_LISTS_OF_TIMES = ("milestones", "periods")

# What says how a scheduler is built, or speaks; the rest is its own.
_BUILT = {
    *("type", "param_name", "begin", "end", "by_epoch", "convert_to_iter_based"),
    *("epoch_length", "last_step", "verbose", "_scope_"),
}


def from_mmengine(
    param_scheduler: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    key: str = "lr",
    epoch_length: int | None = None,
    max_epochs: int | None = None,
    max_iters: int | None = None,
) -> Schedule:
    """The plan of mmengine's parameter schedulers for one value.

    Factors multiply the group's own value; `eta_min` and `eta_max` are absolute. The plan counts
    updates, and schedulers by epoch then move once an epoch. Only where all are by epoch, and
    `epoch_length` is not given, does it count epochs: for `Scheduler(..., clock="epoch")`.

    Args:
        param_scheduler: A config, a list of them, or a whole config with its `param_scheduler`
            and `train_cfg`.
        key: `"lr"` or `"momentum"` (of Adam `beta1`).
        epoch_length: Updates in an epoch, the length of the train data loader.
        max_epochs: Epochs of the run: where schedulers by epoch end that have no `end`.
        max_iters: Updates of the run, likewise.

    Raises:
        ArgumentError: A scheduler is unknown, listens to a metric, or has no end; or two act at
            the same time of which one has a least value, so that there is no closed form.

    >>> from_mmengine(
    ...     [
    ...         dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    ...         dict(type="MultiStepLR", begin=0, end=12, by_epoch=True, milestones=[8, 11]),
    ...     ],
    ...     epoch_length=1000,
    ... )
    Linear(499, start=0.001, end=1) * MultiStepDecay((8000, 11000), steps=11000)

    The MMEngine contributors, MMEngine (2022).
    """
    _checks.choice(WHERE, "key", key, ("lr", "momentum"))
    configs = param_scheduler
    if isinstance(configs, Mapping) and "param_scheduler" in configs:
        loop = configs.get("train_cfg") or {}
        max_epochs = max_epochs or loop.get("max_epochs")
        max_iters = max_iters or loop.get("max_iters")
        configs = configs["param_scheduler"]
    if isinstance(configs, Mapping) and "type" not in configs:
        raise ArgumentError(
            f"{WHERE}: 'param_scheduler' must be a config with its 'type', or a list of them (got "
            f"{_checks.given(list(configs))}); of several optimizers, read one at a time"
        )
    listed = [configs] if isinstance(configs, Mapping) else configs
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise ArgumentTypeError(
            f"{WHERE}: 'param_scheduler' must be a config or a list of them (got "
            f"{_checks.given(listed)})"
        )
    if epoch_length is not None:
        epoch_length = _checks.whole(WHERE, "epoch_length", epoch_length, low=1)
    read = [
        _entry(i, config, epoch_length, {True: max_epochs, False: max_iters})
        for i, config in enumerate(listed)
    ]
    chosen = [entry for entry in read if entry.key == key]
    if not chosen:
        raise ArgumentError(f"{WHERE}: no scheduler must be for {key!r} (got {len(read)} others)")
    return _composed(_placed(chosen, epoch_length))


class _Entry(NamedTuple):
    """One scheduler: what it is of, where it acts in its own steps, and its arguments."""

    where: str
    key: str
    kind: str
    begin: int
    end: int | None
    by_epoch: bool
    own: dict[str, Any]


def _entry(
    index: int, config: Any, epoch_length: int | None, ends: Mapping[bool, int | None]
) -> _Entry:
    where = f"{WHERE}: param_scheduler[{index}]"
    if not isinstance(config, Mapping) or "type" not in config:
        raise ArgumentTypeError(
            f"{where} must be a dict with its 'type' (got {_checks.given(config)})"
        )
    found = config["type"]
    name = found.__name__ if inspect.isclass(found) else str(found).rpartition(".")[2]
    suffix = next((one for one in SUFFIXES if name.endswith(one)), "")
    kind = name.removesuffix(suffix)
    if not suffix or kind not in KINDS:
        hint = _checks.suggest(name, [known + "LR" for known in KINDS])
        raise ArgumentError(f"{where}: 'type' must be one of mmengine's (got {name!r}){hint}")
    where = f"{where} ({name})"
    key = {"LR": "lr", "Momentum": "momentum"}.get(suffix) or config.get("param_name")
    if config.get("last_step", -1) != -1:
        raise ArgumentError(
            f"{where}: 'last_step' must be left out: a plan begins at step 0, and a Scheduler's "
            "state says where it stands"
        )
    by_epoch = _checks.choice(where, "by_epoch", config.get("by_epoch", True), (True, False))
    converts = config.get("convert_to_iter_based", False)
    begin, end = config.get("begin", 0), config.get("end", ends[by_epoch])
    own = {name: value for name, value in config.items() if name not in _BUILT}
    length = 1
    if converts:
        length = config.get("epoch_length", epoch_length)
        if length is None or not by_epoch:
            raise ArgumentTypeError(
                f"{where}: 'convert_to_iter_based' must come with by_epoch=True, and with "
                "epoch_length=..., the length of the train data loader"
            )
        by_epoch = False
        begin = int(begin * length)
        end = end if end in (None, NO_END) else int(end * length)
        own |= {name: own[name] * length for name in _TIMES if own.get(name)}
        own |= {
            name: [one * length for one in own[name]] for name in _LISTS_OF_TIMES if name in own
        }
    begin = whole(where, "begin", begin)
    end = None if end in (None, NO_END) else whole(where, "end", end, low=1)
    if end is not None and end <= begin:
        raise ArgumentError(f"{where}: 'end' must be > 'begin' (got {end} and {begin})")
    return _Entry(where, str(key), kind, begin, end, by_epoch, own)


class _Placed(NamedTuple):
    """What a scheduler does, and where in the plan's own steps."""

    entry: _Entry
    begin: int
    end: float
    effect: Effect


def _placed(entries: list[_Entry], epoch_length: int | None) -> list[_Placed]:
    """The schedulers that do something, in order of their beginnings."""
    by_epoch = {entry.by_epoch for entry in entries}
    if len(by_epoch) > 1 and epoch_length is None:
        raise ArgumentTypeError(
            f"{WHERE}: 'epoch_length' must be given where some schedulers are by epoch and others "
            "are not"
        )
    cycles = [entry.where for entry in entries if entry.kind == "OneCycle"]
    if len(cycles) > 1:
        raise ArgumentError(
            f"{cycles[1]}: there must be one cycle: mmengine keeps its levels in the group, where "
            "those of the second overwrite the first's"
        )
    placed, base = [], FULL
    for entry in entries:
        every = epoch_length or 1 if entry.by_epoch else 1
        steps = None if entry.end is None else entry.end - entry.begin
        at = Range(entry.where, steps, every, base)
        effect = call(entry.where, partial(KINDS[entry.kind], at), entry.own)
        if entry.kind == "OneCycle":  # what is built after it takes its first value for the base
            first = entry.own.get("eta_max", 0.0) / entry.own.get("div_factor", 25.0)
            base = Affine(0.0, first)
        if effect != Effect():
            end = float("inf") if entry.end is None else entry.end * every
            placed.append(_Placed(entry, entry.begin * every, end, effect))
    return sorted(placed, key=lambda one: one.begin)


def _composed(placed: list[_Placed]) -> Schedule:
    """All schedulers as one plan: one after the other where they are alone, else multiplied."""
    plan: Schedule | None = None
    done: list[_Placed] = []
    for one in placed:
        others = [other for other in done if other.end > one.begin]
        done.append(one)
        factor, follow = one.effect
        if others:
            if factor is None or any(other.effect.factor is None for other in others):
                raise _overlapping(one, others)
        else:
            found = FULL if plan is None else plan.compiled().at(one.begin)
            phase = follow(found) if follow is not None else factor if found == FULL else None
            if phase is not None:
                plan = _after(plan, one.begin, phase)
                continue
        assert factor is not None
        late = factor if one.begin == 0 else Hold(one.begin) >> factor
        plan = late if plan is None else plan * late
    return Constant(1.0) if plan is None else plan


def _after(plan: Schedule | None, begin: int, phase: Schedule) -> Schedule:
    """The phase from step `begin` on, what has been before being held until then."""
    past = 0 if plan is None else plan.steps
    assert past is not None
    if past < begin:
        plan = Hold(begin - past) if plan is None else plan >> Hold(begin - past)
    return phase if plan is None else plan >> phase


def _overlapping(one: _Placed, others: list[_Placed]) -> ArgumentError:
    culprit, other = one, others[0]
    if one.effect.factor is not None:
        culprit = next(other for other in others if other.effect.factor is None)
        other = one
    first, last = max(one.begin, others[0].begin), min(one.end, others[0].end)
    return ArgumentError(
        f"{culprit.entry.where} must not act while {other.entry.where.removeprefix(WHERE)[2:]} "
        f"does (from step {first:g} to {last:g}): what mmengine's recursion comes to there is no "
        "plan; let one end where the other begins, or give it no least value"
    )
