"""torch's schedulers as plans: of live objects, of calls by name, of states."""

from __future__ import annotations

import functools
import inspect
import operator
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, overload

import torch
from torch.optim import lr_scheduler as theirs
from torch.optim import swa_utils

from cadence import _checks, lr_scheduler
from cadence.algebra import Sequence as Timeline
from cadence.algebra import Sum
from cadence.dialects import _common
from cadence.dialects.transformers import of_lambda
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.feedback import Plateau
from cadence.levels import Absolute, absolute
from cadence.lr_scheduler._planned import attributes
from cadence.schedule import Leaf, Schedule
from cadence.shapes import Constant, Function, Hold, PiecewiseCosine, PiecewiseLinear, Warmup

__all__ = ["from_torch"]

WHERE = "from_torch"

_NAMES = tuple(
    name
    for name in lr_scheduler.__all__
    if name not in ("LRScheduler", "_LRScheduler", "EPOCH_DEPRECATION_WARNING")
)
"""torch's classes, which the drop-in has under the same names."""

_COMPOSITES = ("SequentialLR", "ChainedScheduler")
_OVERWRITING = ("LambdaLR", "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR")
"""Those that compute from `base_lrs`; the others multiply what they find."""

_NOT_IN_STATES = {
    "OneCycleLR": "its levels lie in the optimizer's groups",
    "SWALR": "'swa_lr' lies in the optimizer's groups",
    "LambdaLR": "functions are not stored",
    "MultiplicativeLR": "functions are not stored",
    "SequentialLR": "the classes of its children are not stored",
    "ChainedScheduler": "the classes of its children are not stored",
}
"""Why a state alone does not tell the plan."""

_PER_GROUP = {
    *("lr_lambda", "swa_lr", "base_lr", "max_lr", "base_momentum", "max_momentum", "min_lr")
}
"""Arguments that may be lists, of one value for each group."""


@overload
def from_torch(  # pyright: ignore[reportOverlappingOverload] - the one that is told apart
    scheduler: Literal["ReduceLROnPlateau"] | theirs.ReduceLROnPlateau,
    *,
    state_dict: Mapping[str, Any] | None = None,
    key: str = "lr",
    group: int | None = None,
    **arguments: Any,
) -> Plateau: ...


@overload
def from_torch(
    scheduler: Any,
    *,
    state_dict: Mapping[str, Any] | None = None,
    key: str = "lr",
    group: int | None = None,
    **arguments: Any,
) -> Schedule: ...


def from_torch(
    scheduler: Any,
    *,
    state_dict: Mapping[str, Any] | None = None,
    key: str = "lr",
    group: int | None = None,
    **arguments: Any,
) -> Schedule | Plateau:
    """The plan of one of torch's schedulers, from its step 0 on.

    The plan is a multiple of the rate that the group had when the scheduler was built (its
    `initial_lr`); what torch gives as a rate of its own (`eta_min`, `swa_lr`, `base_lr`, `max_lr`)
    is absolute. A scheduler in the middle of its run gives its whole course, by the attributes
    that it has now; bind the plan and `seek` to its `last_epoch`.

    Args:
        scheduler: A scheduler, of torch or of `cadence.lr_scheduler`, composites included; or
            the name or the class of one, whose arguments follow. `OneCycleLR` without `max_lr`
            is a multiple of its peak.
        state_dict: The state of a scheduler of that class, instead of arguments.
        key: `"lr"`, or `"momentum"` (or `"beta1"`) of a scheduler that cycles it.
        group: Which group's plan, where they differ.
        **arguments: What the class takes, without the optimizer. The children of a composite may
            be schedulers or plans.

    Returns:
        The plan. For `ReduceLROnPlateau`, which answers a metric, the controller: give it to
        `Scheduler(optimizer, lr=Constant(1), feedback=...)`.

    Raises:
        ArgumentError: An argument is unknown, missing or cannot be meant; a state does not tell
            the plan; a class of somebody's own; or a composition that no plan expresses.

    >>> from_torch("StepLR", step_size=30)
    StepDecay(30)
    >>> from_torch("OneCycleLR", max_lr=0.5, total_steps=100)
    PiecewiseCosine(((0, 0.04), (29, 1), (99, 4e-06))) * absolute(0.5)
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> warmup = theirs.LinearLR(optimizer, start_factor=0.1, total_iters=5)
    >>> decay = theirs.ExponentialLR(optimizer, gamma=0.9)
    >>> from_torch(theirs.SequentialLR(optimizer, [warmup, decay], milestones=[5]))
    Linear(5, start=0.1, end=1) >> ExponentialDecay(0.9, start=1)
    >>> from_torch("ReduceLROnPlateau", patience=3).patience
    3

    PyTorch 2.13, `torch.optim.lr_scheduler` and `torch.optim.swa_utils`.
    """
    name = _name_of(scheduler)
    if not isinstance(scheduler, (str, type)):
        if arguments or state_dict is not None:
            raise ArgumentTypeError(
                f"{WHERE}: a scheduler must be given alone, since it has its arguments (got "
                f"{', '.join(arguments) or 'state_dict'} beside a {name})"
            )
        return _read(scheduler, key, group)
    if state_dict is not None:
        if arguments:
            raise ArgumentTypeError(
                f"{WHERE}: a state must be given alone, since it has the arguments (got "
                f"{', '.join(arguments)} beside it)"
            )
        return _of_state(name, state_dict, key, group)
    if name == "ReduceLROnPlateau":
        given = {one: value for one, value in arguments.items() if one != "verbose"}
        return _common.call(name, functools.partial(_common.plateau, name), given)
    if name in _COMPOSITES:
        return _common.call(
            name, {"SequentialLR": _joined, "ChainedScheduler": _chained}[name], arguments
        )
    if name == "OneCycleLR" and "max_lr" not in arguments:
        plan: Any = _read(_built(name, {"max_lr": 1.0, **arguments}), key, group)
        return plan.left if key == "lr" else plan
    return _read(_built(name, arguments), key, group)


def _name_of(scheduler: Any) -> str:
    """The name of the class, which must be torch's or the drop-in's and give its own rates."""
    if isinstance(scheduler, str):
        return _checks.choice(WHERE, "scheduler", scheduler, _NAMES)
    kind = scheduler if isinstance(scheduler, type) else type(scheduler)
    for name in _NAMES:
        for home in (lr_scheduler, theirs, swa_utils):
            own = getattr(home, name, None)
            if own is not None and issubclass(kind, own) and not _replaced(scheduler, kind, own):
                return name
    raise ArgumentTypeError(
        f"{WHERE}: the scheduler must be one of torch's, or the name of one (got "
        f"{_checks.given(scheduler)}); a class of one's own may give any rates: write these as a "
        "plan, or as Function(f) of the step"
    )


def _replaced(scheduler: Any, kind: type, own: type) -> bool:
    """Whether somebody's subclass, or a method set on the object, gives other rates."""
    names = ("step", "get_lr", "_update_lr", "_get_closed_form_lr", "_reduce_lr")
    mine = () if isinstance(scheduler, type) else vars(scheduler)
    return any(
        getattr(kind, name, None) is not getattr(own, name, None) or name in mine for name in names
    )


def _built(name: str, arguments: dict[str, Any]) -> Any:
    """Such a scheduler of torch with these arguments, on groups whose rate is 1."""
    kind: Any = getattr(theirs, name, None) or getattr(swa_utils, name)
    signature = inspect.signature(kind)
    parameters = [
        p for p in signature.parameters.values() if p.name not in ("optimizer", "last_epoch")
    ]

    def checked(**given: Any) -> Any:
        lists = [v for k, v in given.items() if k in _PER_GROUP and isinstance(v, (list, tuple))]
        count = max(map(len, lists), default=1)
        for library in (getattr(lr_scheduler, name), kind):  # ours looks closer at what it is given
            groups = [{"params": [torch.zeros(1)]} for _ in range(count)]
            built = library(torch.optim.SGD(groups, lr=1.0, momentum=0.9), **given)
        return built

    checked.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore[reportFunctionMemberAccess]
    return _common.call(name, checked, arguments)


def _of_state(name: str, state: Mapping[str, Any], key: str, group: int | None) -> Any:
    """The plan that a scheduler's state tells."""
    if name in _NOT_IN_STATES:
        raise ArgumentError(
            f"{WHERE}: a state of {name} does not tell its plan: {_NOT_IN_STATES[name]}; give the "
            "scheduler, or its arguments"
        )
    kind: Any = getattr(theirs, name)
    scheduler = kind.__new__(kind)
    vars(scheduler).update(state)
    try:
        return _read(scheduler, key, group)
    except AttributeError as error:
        raise ArgumentError(
            f"{WHERE}: 'state_dict' must be a state of {name} (it lacks {error.name!r})"
        ) from None


def _read(scheduler: Any, key: str, group: int | None) -> Any:
    """The plan of one group, or of all where they share it."""
    name = _name_of(scheduler)
    if name == "ReduceLROnPlateau":
        names = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "eps")
        given = {one: getattr(scheduler, one) for one in names}
        return _common.plateau(name, **given, min_lr=list(scheduler.min_lrs))
    optimizer = getattr(scheduler, "optimizer", None)
    count = len(scheduler.base_lrs if optimizer is None else optimizer.param_groups)
    if group is not None:
        index = _checks.whole(WHERE, "group", group)
        if index >= count:
            raise ArgumentError(
                f"{WHERE}: 'group' must be < {count}, the number of groups (got {index})"
            )
        return _course(scheduler, key, index)
    first, *others = (_course(scheduler, key, index) for index in range(count))
    if any(plan != first for plan in others):
        raise ArgumentError(
            f"{WHERE}: the groups of this {name} have plans of their own; write "
            f"[from_torch(scheduler, group=i) for i in range({count})]"
        )
    return first


def _course(scheduler: Any, key: str, index: int) -> Schedule:
    """The plan of one group's `key`."""
    name = _name_of(scheduler)
    if key != "lr":
        return _momentum(scheduler, name, key, index)
    if name == "SequentialLR":
        return _sequence(scheduler, index)
    if name == "ChainedScheduler":
        return _chain(scheduler, index)
    if name == "ReduceLROnPlateau":
        raise ArgumentError(
            f"{WHERE}: ReduceLROnPlateau answers a metric and is no part of a plan; give its "
            "controller to Scheduler(..., feedback=...)"
        )
    if name == "MultiplicativeLR":
        return Function(RunningProduct(scheduler.lr_lambdas[index]))
    if name == "LambdaLR":
        function = scheduler.lr_lambdas[index]
        return of_lambda(function) or Function(function)
    if _is_torchs(scheduler) and getattr(scheduler, "total_iters", None) == 0:
        # The step that would end it never comes.
        return Constant(getattr(scheduler, "start_factor", getattr(scheduler, "factor", 1.0)))
    entry = _entry(scheduler, name)
    if name == "OneCycleLR":
        levels = entry._relative(index, "max_lr", "initial_lr", "min_lr")
        return _scaled(_through(scheduler, entry, "lr", levels), entry._base(index))
    plan = entry._plan(index)
    return _scaled(plan, entry._base(index)) if name == "CyclicLR" else plan


def _is_torchs(scheduler: Any) -> bool:
    """Whether torch's own class steps it, with torch's behaviour in the corners."""
    return not isinstance(scheduler, lr_scheduler.LRScheduler)


def _entry(scheduler: Any, name: str) -> Any:
    """The scheduler's attributes under the drop-in's class, which says what plan they mean."""
    kind: Any = getattr(lr_scheduler, name)
    entry = kind.__new__(kind)
    attributes(entry).update(vars(scheduler), _is_initial=False)
    if name == "CosineAnnealingWarmRestarts":
        attributes(entry)["T_i"] = scheduler.T_0  # from the first cycle on
    elif name == "CyclicLR":
        up = scheduler.total_size * scheduler.step_ratio
        if abs(up - round(up)) > 1e-6 or not float(scheduler.total_size).is_integer():
            raise ArgumentError(
                f"{WHERE}: 'step_size_up' and 'step_size_down' must be whole numbers of steps (got "
                f"{up!r} and {scheduler.total_size - up!r})"
            )
    return entry


def _momentum(scheduler: Any, name: str, key: str, index: int) -> Schedule:
    """The plan of the momentum, or of the first of the betas, that is cycled beside the rate."""
    cycled = name in ("CyclicLR", "OneCycleLR") and scheduler.cycle_momentum
    entry = _entry(scheduler, name) if cycled else None
    keys = ["lr", *([] if entry is None else [entry._momentum])]
    _checks.choice(WHERE, "key", key, keys)
    assert entry is not None
    if name == "OneCycleLR":
        levels = entry._relative(index, "max_momentum", "base_momentum")
        plan = _through(scheduler, entry, "momentum", levels)
        return _scaled(plan, entry._level(index, "max_momentum"))
    plan, base = entry._more_plans(index)[key]
    return _scaled(plan, base)


def _scaled(plan: Schedule, base: float) -> Schedule:
    """A plan that is a multiple of a rate of the scheduler's own, in absolute levels."""
    if isinstance(plan, Sum) and isinstance(plan.right, Absolute):
        return plan.left * absolute(base) + plan.right
    return plan * absolute(base) if base else Constant(absolute(0.0))


def _through(scheduler: Any, entry: Any, name: str, levels: Mapping[str, Any]) -> Schedule:
    """The way of a `OneCycleLR` through its phases."""
    ends = [(float(p["end_step"]), levels[p[f"end_{name}"]]) for p in entry._schedule_phases]
    over = [i for i, (end, _) in enumerate(ends) if end < 0]
    if not (over and _is_torchs(scheduler)):
        return entry._through(name, levels)
    # In a short run torch begins in the middle of a phase that began before step 0.
    points = tuple(ends[over[-1] :])
    return PiecewiseLinear(points) if entry._is_linear else PiecewiseCosine(points)


@dataclass(frozen=True)
class RunningProduct:
    """The product of a function's values at 1, 2, ... up to a step: what a `MultiplicativeLR` is.

    >>> product = RunningProduct(lambda step: 1 / step)
    >>> product(0), product(1), product(2), product(4)
    (1.0, 1.0, 0.5, 0.041666666666666664)
    """

    function: Callable[[int], float]
    _known: list[float] = field(default_factory=lambda: [1.0], repr=False, compare=False)

    def __call__(self, step: float) -> float:
        known = self._known
        while len(known) <= step:
            known.append(known[-1] * float(self.function(len(known))))
        return known[int(step)]


def _sequence(scheduler: Any, index: int) -> Schedule:
    """One scheduler after the other, each on its own clock and from the group's own rate."""
    children, milestones = scheduler._schedulers, list(scheduler._milestones)
    first = bisect_right(milestones, 0)
    for i, child in enumerate(children):
        name = _name_of(child)
        if name not in ("OneCycleLR", "CyclicLR"):  # which have rates of their own
            _check_base(child, name, index)
        why = _why_not_begun(child, name, later=i > first)
        if why is not None:
            raise ArgumentError(
                f"{WHERE}: no plan begins in a SequentialLR as {name} does ({why}); read each of "
                "the schedulers by itself and join the plans with >>"
            )
    return _joined([_course(child, "lr", index) for child in children], milestones)


def _check_base(child: Any, name: str, index: int) -> None:
    """Raise where a child was built on another rate than the composite begins with."""
    own = getattr(child, "base_lrs", None)
    initial = child.optimizer.param_groups[index].get("initial_lr")
    if own is not None and initial is not None and float(own[index]) != float(initial):
        raise ArgumentError(
            f"{WHERE}: the schedulers of a composite must be built on one rate (got {name} on "
            f"{float(own[index])!r}, and an 'initial_lr' of {float(initial)!r}, which OneCycleLR "
            "writes, too); read each by itself and join the plans with >>"
        )


def _why_not_begun(child: Any, name: str, *, later: bool) -> str | None:
    """Why a child does not begin at its own step 0 from the group's own rate, or None."""
    if name in _COMPOSITES and _is_torchs(child):
        return "torch raises at its milestone, or begins with its step 1"
    if later and name in ("MultiplicativeLR", "SWALR"):
        return "it goes on from the last rate of the scheduler before"
    if later and _is_torchs(child) and getattr(child, "total_iters", None) == 0:
        return "torch divides by its length of 0"
    return None


def _joined(schedulers: Sequence[Any], milestones: Sequence[int]) -> Schedule:
    """Plans, or schedulers, one after the other; each from the group's own rate again."""
    plans = [_plan_of(one) for one in schedulers]
    edges = [0, *(_checks.whole(WHERE, "milestones", one) for one in milestones)]
    if len(plans) != len(edges) or edges != sorted(edges):
        raise ArgumentError(
            f"{WHERE}: 'milestones' must be one less than the schedulers, in rising order (got "
            f"{list(milestones)!r} for {len(plans)})"
        )
    *ended, last = plans
    lengths = [end - begin for begin, end in pairwise(edges)]
    phases = [_cut(plan, n) for plan, n in zip(ended, lengths, strict=True) if n]
    return functools.reduce(operator.rshift, [*phases, _anew(last)])


def _plan_of(scheduler: Any) -> Schedule:
    return scheduler if isinstance(scheduler, Schedule) else _read(scheduler, "lr", None)


def _anew(plan: Schedule) -> Schedule:
    """The plan as it is at the beginning of a run, wherever it is put."""
    if isinstance(plan, Timeline):
        return replace(plan, parts=(_anew(plan.parts[0]), *plan.parts[1:]))
    if isinstance(plan, Hold):
        return Constant(1.0, plan.steps)
    if isinstance(plan, Warmup) and plan.start is None:
        return plan.part(0)
    leaf: Any = plan
    return replace(leaf, start=1.0) if getattr(plan, "start", 0) is None else plan


def _cut(plan: Schedule, length: int) -> Schedule:
    """The first steps of a plan, begun anew."""
    phases, left = [], length
    for phase in plan.parts if isinstance(plan, Timeline) else (plan,):
        steps = phase.steps
        if left and isinstance(phase, Leaf) and (phase.flat or phase._is_endless()):
            steps = left if steps is None else min(steps, left)
            phase = replace(phase, steps=steps)  # pyright: ignore[reportCallIssue]
        if not left:
            break
        if steps is None or steps > left:
            return _anew(plan).part(0, length)
        phases.append(phase)
        left -= steps
    phases += [Hold(left)] if left else []
    return _anew(functools.reduce(operator.rshift, phases))


def _chain(scheduler: Any, index: int) -> Schedule:
    """All schedulers at every step."""
    children = list(_links(scheduler))
    names = [_name_of(child) for child in children]
    if len(children) == 1:
        return _course(children[0], "lr", index)
    for child, name in zip(children, names, strict=True):
        if name != "OneCycleLR":
            _check_base(child, name, index)
    if names[-1] in _OVERWRITING:
        return _course(children[-1], "lr", index)
    for child, name in zip(children, names, strict=True):
        if name in _OVERWRITING:
            raise _unchained(name, "it overwrites what those before it did, not those after it")
        if name == "SequentialLR" and _is_torchs(child):
            raise _unchained(name, "it forgets at its milestones what the others have done")
    return _chained([_course(child, "lr", index) for child in children], children)


def _links(chain: Any) -> Iterator[Any]:
    """The schedulers of a chain, and of the chains in it, in the order in which they step."""
    for child in chain._schedulers:
        if _name_of(child) == "ChainedScheduler":
            yield from _links(child)
        else:
            yield child


def _unchained(name: str, why: str) -> ArgumentError:
    return ArgumentError(
        f"{WHERE}: {name} in a ChainedScheduler is no product of plans ({why}); read each of the "
        "schedulers by itself and multiply the plans that you mean"
    )


def _chained(schedulers: Sequence[Any], children: Sequence[Any] = ()) -> Schedule:
    """Plans, or schedulers, multiplied; `children` are those that the plans were read from."""
    plans = [_plan_of(one) for one in schedulers]
    for plan in plans:
        if plan.compiled().term("q") != 0.0:
            raise _unchained(repr(plan), "its levels are not all multiples of the rate")
    whole = functools.reduce(operator.mul, plans)
    waves = [i for i, child in enumerate(children) if _name_of(child) == "CosineAnnealingLR"]
    if not waves:
        return whole
    # Where its rate has come down to 0, torch climbs from the base, whatever the others did.
    bottom = min(children[i].T_max for i in waves)
    others = [plan for i, plan in enumerate(plans) if i != waves[0]]
    rest = functools.reduce(operator.mul, others).compiled()
    if len(waves) > 1 or rest.end > bottom:
        raise _unchained(
            "CosineAnnealingLR", "after T_max it climbs from the base, whatever the others do"
        )
    if rest.exit.p == 1.0:
        return whole
    return whole.part(0, bottom) >> plans[waves[0]].part(bottom)
