"""What the checker looks for: one function for each rule, all in one table.

To add a rule, write a function here under :func:`rule`, a row in `tests/test_check.py` and an
entry in `docs/check.md`; a test compares the three. A rule sees a :class:`~cadence.view.View` and
yields what it finds, with the numbers that its message names and the changes that would mend it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cadence import edits
from cadence.algebra import Clip, Repeat
from cadence.horizon import Duration, Horizon
from cadence.levels import Absolute
from cadence.outline import cycles
from cadence.schedule import Schedule
from cadence.shapes import (
    Constant,
    Decay,
    Function,
    Hold,
    MultiStepDecay,
    OneMinusSqrt,
    Piecewise,
    Ramp,
    StepDecay,
    Warmup,
)
from cadence.view import Stage, View

__all__ = ["RULES", "Found", "Rule"]


Fix = Callable[[], Schedule | None]
"""Makes a plan that mends the matter, or None, or raises ArgumentError where that cannot be."""


@dataclass(frozen=True)
class Found:
    """What a rule has found.

    Args:
        message: A sentence without a full stop.
        numbers: What the message states, in full precision.
        step: Where.
        stage: In which phase.
        fixes: What would mend it, the best first.
        horizon: The run in which the fix is to be tried, where it needs to know more.
    """

    message: str
    numbers: dict[str, float]
    step: int | None = None
    stage: Stage | None = None
    fixes: tuple[Fix, ...] = ()
    horizon: Horizon | None = None


class Rule(NamedTuple):
    """One row of the table.

    Args:
        code: What it is called, for good.
        severity: `"error"`, `"warning"` or `"hint"`.
        title: What it finds, as a clause.
        look: The function.
        early: Whether a scheduler tells it when it is built: a mistake almost surely.
        unless: Rules that say it all where they have found something.
    """

    code: str
    severity: str
    title: str
    look: Callable[[View], Iterator[Found]]
    early: bool
    unless: tuple[str, ...]


RULES: dict[str, Rule] = {}
"""Every rule by its code, in order."""


def rule(
    code: str, severity: str, title: str, *, early: bool = False, unless: tuple[str, ...] = ()
) -> Callable[[Callable[[View], Iterator[Found]]], Callable[[View], Iterator[Found]]]:
    """Put a function into the table."""

    def put(look: Callable[[View], Iterator[Found]]) -> Callable[[View], Iterator[Found]]:
        RULES[code] = Rule(code, severity, title, look, early, unless)
        return look

    return put


def _with(plan: Schedule, stage: Stage, /, **changes: Any) -> Schedule:
    """The plan with other fields in one phase."""
    return edits.replaced(plan, stage.index, dataclasses.replace(stage.written, **changes))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _count(steps: float) -> str:
    return f"{steps:,.0f} step{'' if steps == 1 else 's'}"


@rule("CD001", "hint", "the first update is made at rate 0")
def _first_update(view: View) -> Iterator[Found]:
    if not view.sound or view.steps < 2 or view.values[0] != 0:
        return
    second = float(view.values[1])
    if second == 0:  # frozen for a while, on purpose
        return
    stage = view.stages[0]
    yield Found(
        f"the rate of the first update is 0, so it changes nothing; that of the second is "
        f"{second:.4g}",
        {"first": 0.0, "second": second},
        0,
        stage,
        (lambda: _from_first_step(view.written, stage),),
    )


def _from_first_step(plan: Schedule, stage: Stage) -> Schedule | None:
    """The plan with its first phase starting where it would be after one step of a line."""
    first = stage.written
    if isinstance(first, Warmup):
        return _with(plan, stage, start=None)
    if isinstance(first, Ramp) and stage.steps:
        return _with(plan, stage, start=_divided(first.end, stage.steps))
    if isinstance(first, Piecewise) and len(stage.plan.points) > 1:
        (at, _), (step, height) = stage.plan.points[:2]
        if step > at >= 0:
            points = ((first.points[0][0], _divided(height, step - at)), *first.points[1:])
            return _with(plan, stage, points=points)
    return None


def _divided(level: float | Absolute, by: float) -> float | Absolute:
    return Absolute(level.value / by) if isinstance(level, Absolute) else level / by


@rule("CD002", "warning", "the plan ends before the run", unless=("CD009", "CD012"))
def _ends_early(view: View) -> Iterator[Found]:
    run, length = view.run, view.plan.steps
    if not view.sound or run is None or length is None or length >= 0.95 * run:
        return
    stage, held = view.stages[-1], view.after
    if stage.flat or not held < 0.9 * view.peak:  # meant to be kept, or never left
        return
    yield Found(
        f"the plan ends at step {length:,} of {run:,} and its last level, {held:.4g}, is held for "
        f"{_count(run - length)}, {_percent((run - length) / run)} of the run",
        {"end": length, "run": run, "held": held},
        length,
        stage,
        (lambda: edits.opened(view.written), lambda: view.written >> Hold()),
    )


@rule("CD003", "warning", "the run ends before the plan", early=True)
def _cut_off(view: View) -> Iterator[Found]:
    run, length = view.run, view.plan.steps
    if not view.cut or run is None or not np.isfinite(view.values).all():
        return
    reached, end = view.after, float(view.plan(length, view.base))
    if not abs(end - reached) > 0.01 * max(abs(view.peak), abs(end)):
        return
    yield Found(
        f"the run ends at step {run:,} of the plan's {length:,}, at {reached:.4g}; the plan's end, "
        f"{end:.4g}, is never reached",
        {"run": run, "length": length, "reached": reached, "end": end},
        run,
        next(stage for stage in reversed(view.stages) if stage.begin <= run),
        (lambda: edits.opened(view.written),),
    )


@rule("CD004", "warning", "the rate jumps between two phases")
def _jump(view: View) -> Iterator[Found]:
    if not view.sound or edits.holds(view.plan, Clip):
        return
    before = view.stages[0].end
    for stage in view.stages[1:]:
        start = stage.start
        if stage.steps and not stage.flat and stage.begin < view.steps:
            size = abs(start - before) / max(abs(start), abs(before), 1e-300)
            # From half or less up again is a restart that somebody wrote, or the end of a freeze.
            if size > 0.1 and not before <= 0.5 * start:
                yield Found(
                    f"the rate jumps by {_percent(size)} at step {stage.begin:,}, from "
                    f"{before:.4g} to {start:.4g}, where {stage.written!r} begins",
                    {"before": before, "start": start, "step": stage.begin, "size": size},
                    stage.begin,
                    stage,
                    (
                        partial(_turned, view, stage),
                        partial(_joined, view.written, stage, before),
                    ),
                )
        before = stage.end


def _joined(plan: Schedule, stage: Stage, before: float) -> Schedule | None:
    """The plan with the phase starting where the one before ends."""
    part = stage.written
    if isinstance(part, (Ramp, Decay)):
        return _with(plan, stage, start=None)
    if not stage.start:
        return None
    return edits.replaced(plan, stage.index, part * (before / stage.start))


@rule("CD005", "warning", "the rate climbs again and stays up", unless=("CD003",))
def _climbs(view: View) -> Iterator[Found]:
    if not view.sound or view.holds(Repeat) or isinstance(view.stages[-1].plan, Constant):
        return
    values, highest = view.values, np.maximum.accumulate(view.values)
    fallen = np.flatnonzero((values <= 0.5 * highest) & (highest > 0.1 * view.peak))
    if not len(fallen):
        return
    low = int(fallen[values[fallen].argmin()])
    last = float(values[-1])
    if last - values[low] < 0.1 * highest[low]:
        return
    stage = view.stages[-1]
    yield Found(
        f"the rate falls from {highest[low]:.4g} to {values[low]:.4g} at step {view.at[low]:,.0f}, "
        f"then climbs to {last:.4g} at the last step, {view.steps - 1:,}",
        {
            "peak": float(highest[low]),
            "low": float(values[low]),
            "step": int(view.at[low]),
            "last": last,
        },
        int(view.at[low]),
        stage,
        (
            lambda: _turned(view, stage),
            lambda: edits.opened(edits.replaced(view.written, stage.index)),
        ),
    )


def _turned(view: View, stage: Stage) -> Schedule | None:
    """The plan with a phase the other way round, where it then joins the one before."""
    part, before = stage.written, view.stages[stage.index - 1].end
    if not isinstance(part, Ramp) or part.start is None or stage.end != before:
        return None
    return _with(view.written, stage, start=part.end, end=part.start)


@rule("CD006", "error", "the rate is negative", early=True)
def _negative(view: View) -> Iterator[Found]:
    lowest = int(np.nanargmin(view.values)) if not np.isnan(view.values).all() else 0
    if not view.values[lowest] < 0:
        return
    step, value = int(view.at[lowest]), float(view.values[lowest])
    yield Found(
        f"the rate is negative, {value:.4g} at step {step:,}, so updates go uphill",
        {"step": step, "value": value},
        step,
        _stage_at(view, step),
        (lambda: edits.not_negative(view.written), lambda: view.written.clip(low=0)),
    )


@rule("CD007", "error", "the rate is not finite", early=True)
def _not_finite(view: View) -> Iterator[Found]:
    broken = np.flatnonzero(~np.isfinite(view.values))
    if not len(broken):
        return
    step, value = int(view.at[broken[0]]), float(view.values[broken[0]])
    yield Found(
        f"the rate is {value} at step {step:,}",
        {"step": step, "value": value},
        step,
        _stage_at(view, step),
        (lambda: view.written.clip(high=1),),
    )


def _stage_at(view: View, step: int) -> Stage:
    return next(stage for stage in reversed(view.stages) if stage.begin <= step)


@rule("CD008", "warning", "the warm-up takes more than a fifth of the run")
def _long_warmup(view: View) -> Iterator[Found]:
    length = view.run or view.plan.steps
    stage = next((s for s in view.stages if not s.flat), view.stages[0])
    if not isinstance(stage.plan, Warmup) or length is None or view.cut:
        return
    if view.run is None and len(view.stages) == 1:  # what follows it is for another to say
        return
    if stage.steps <= 0.2 * length or stage.end <= stage.start:
        return
    yield Found(
        f"the warm-up takes {stage.steps:,} of {length:,} steps, {_percent(stage.steps / length)} "
        "of the run",
        {"warmup": stage.steps, "run": length},
        stage.begin,
        stage,
        (
            lambda: edits.opened(_with(view.written, stage, steps="5%")),
            lambda: _with(view.written, stage, steps="5%"),
        ),
    )


@rule("CD009", "error", "lengths in epochs, on a run in updates", early=True)
def _epochs(view: View) -> Iterator[Found]:
    run = view.run
    if not view.sound or run is None or run < 100 or not view.after < 0.5 * view.peak:
        return
    near = 1e-3 * view.peak
    done = view.plan.steps
    if done is None:
        done = view.since(lambda values: abs(values - view.after) <= near)
    stage = view.stages[-1]
    kept = stage.flat and stage.begin + stage.steps >= run  # somebody wrote that it is to be held
    in_epochs = edits.in_epochs(view.written)
    if not 0 < done <= min(run / 20, 1000) or kept or not (in_epochs or view.holds(Function)):
        return
    each = view.horizon.steps_per_epoch
    likely = view.horizon
    if each is None:
        likely = dataclasses.replace(likely, steps_per_epoch=max(1, int(0.8 * run / done)))
    yield Found(
        f"the plan is over at step {done:,} of {run:,}, after {_percent(done / run)} of the run, "
        f"and stays at {view.after:.4g}: its lengths look like epochs, but a step is an update "
        "(give the horizon steps_per_epoch, or the scheduler clock='epoch')",
        {"done": done, "run": run, "after": view.after},
        done,
        _stage_at(view, done),
        (lambda: in_epochs,),
        likely,
    )


@rule(
    "CD010", "hint", "the rate ends above a tenth of its peak", unless=("CD003", "CD005", "CD009")
)
def _ends_high(view: View) -> Iterator[Found]:
    if not view.sound or (view.run or view.plan.steps) is None:
        return
    # A cycle is back at its beginning after the last step; a ramp is at its end.
    end = min(view.after, float(view.values[-1]))
    if not 0.1 * (1 + 1e-9) * view.peak < end < 0.9 * view.peak:
        return
    stage = view.stages[-1]
    yield Found(
        f"the rate ends at {end:.4g}, {_percent(end / view.peak)} of its peak, {view.peak:.4g}",
        {"end": end, "peak": view.peak},
        view.steps,
        stage,
        (lambda: _to_zero(view.written, stage), lambda: _cooled(view, stage)),
    )


def _to_zero(plan: Schedule, stage: Stage) -> Schedule | None:
    if not isinstance(stage.written, Ramp) or stage.end >= stage.start:
        return None
    return _with(plan, stage, end=0.0)


def _cooled(view: View, stage: Stage) -> Schedule | None:
    """The plan with the last fifth of the run as a cooldown, taken from its last phase."""
    steps = view.steps - stage.begin - view.steps // 5
    if not isinstance(stage.written, (Decay, Hold)) or steps <= 0:
        return None
    own = dataclasses.replace(stage.written, steps=steps)
    return edits.replaced(view.written, stage.index, own, OneMinusSqrt("20%"))


@rule("CD011", "warning", "a cycle is shorter than an epoch")
def _short_cycle(view: View) -> Iterator[Found]:
    each, run = view.horizon.steps_per_epoch, view.run
    if each is None or run is None or run < 5 * each:  # with hardly an epoch in all, none counts
        return
    for stage in view.stages:
        plan = stage.plan
        if not isinstance(plan, Repeat) or plan.times == 1:
            continue
        first = next(cycles(plan))
        if not 0 < first < each:
            continue
        yield Found(
            f"the first cycle takes {_count(first)}, less than an epoch of {each:,}, so the rate "
            "moves with the order of the data",
            {"cycle": first, "epoch": each},
            stage.begin,
            stage,
            (partial(_slower, view.written, stage, first, each),),
        )


def _slower(plan: Schedule, stage: Stage, cycle: int, epoch: int) -> Schedule | None:
    written = stage.written
    if stage.plan._fitted:
        times = max(1, sum(cycles(stage.plan)) // epoch)
        return _with(plan, stage, times=times)
    body = edits.longer(written.plan, -(-epoch // cycle))
    return None if body is None else _with(plan, stage, plan=body)


@rule(
    "CD012", "warning", "the rate is 0 for a long stretch at the end", early=True, unless=("CD009",)
)
def _zero_tail(view: View) -> Iterator[Found]:
    if not view.values.any():
        if view.steps >= 10:
            yield Found(
                f"the rate is 0 at every one of {_count(view.steps)}",
                {"from": 0, "rest": view.steps, "most": 0.0},
                0,
                view.stages[0],
            )
        return
    if not view.sound:
        return
    least = max(10, 0.01 * view.steps)
    begin, zero = (
        view.since(lambda values, limit=limit: values <= limit) for limit in (1e-6 * view.peak, 0.0)
    )
    if view.steps - begin < least:
        return
    said = "below a millionth of its peak"
    if zero - begin < least:  # a ramp comes close to its end before it is there
        begin, said = zero, "0"
    rest = view.steps - begin
    most = float(view.values[view.at >= begin].max())
    yield Found(
        f"the rate is {said} from step {begin:,} on: {_count(rest)}, {_percent(rest / view.steps)} "
        "of the run, change nothing",
        {"from": begin, "rest": rest, "most": most},
        begin,
        _stage_at(view, begin),
        (lambda: edits.opened(view.written),),
    )


@rule("CD013", "hint", "the cooldown is shorter than a twentieth of the run")
def _short_cooldown(view: View) -> Iterator[Found]:
    if not view.sound or len(view.stages) < 2 or (view.run or view.plan.steps) is None:
        return
    before, stage = view.stages[-2:]
    if not before.flat or not isinstance(stage.plan, Ramp) or before.steps < 0.5 * view.steps:
        return
    end = stage.begin + stage.steps
    if not 0 < stage.steps < 0.05 * view.steps or abs(end - view.steps) > 0.01 * view.steps:
        return
    if not stage.end <= 0.5 * stage.start:
        return
    yield Found(
        f"the cooldown takes {stage.steps:,} of {view.steps:,} steps, "
        f"{_percent(stage.steps / view.steps)} of the run, after a hold of {_count(before.steps)}",
        {"cooldown": stage.steps, "hold": before.steps, "run": view.steps},
        stage.begin,
        stage,
        (
            lambda: edits.replaced(
                _with(view.written, stage, steps="20%"),
                before.index,
                dataclasses.replace(before.written, steps=None),
            ),
        ),
    )


@rule("CD014", "hint", "the peak is above the base")
def _above_base(view: View) -> Iterator[Found]:
    multiples = view.multiples
    if not view.sound or multiples is None or not multiples.max() > 1 + 1e-9:
        return
    step, top = int(view.at[multiples.argmax()]), float(multiples.max())
    yield Found(
        f"the plan's peak is {top:.4g} times the optimizer's own rate, at step {step:,}, so the "
        f"rate that is set there is not the peak; set {top:.4g} times as much, and divide the plan",
        {"peak": top, "step": step},
        step,
        _stage_at(view, step),
        (lambda: view.written * float(f"{1 / top:.12g}"),),
    )


@rule("CD015", "warning", "levels look like rates, but are multiples of one", early=True)
def _rates(view: View) -> Iterator[Found]:
    multiples = view.multiples
    if not view.sound or multiples is None or view.cut or view.stages[-1].begin >= view.steps:
        return
    top = float(multiples.max())
    if not top < 0.01:
        return
    step = int(view.at[multiples.argmax()])
    yield Found(
        f"the plan never exceeds {top:.4g} times the optimizer's own rate: its levels look like "
        "rates, which are written absolute(...)",
        {"peak": top, "step": step},
        step,
        _stage_at(view, step),
        (lambda: edits.as_rates(view.written),),
    )


@rule("CD016", "warning", "a phase comes to no steps", early=True)
def _empty_phase(view: View) -> Iterator[Found]:
    for stage in view.stages:
        if stage.steps or not isinstance(stage.written, (Ramp, Decay, Hold, Constant)):
            continue
        length = stage.written.steps
        given = isinstance(length, Duration) and length.amount > 0
        if not given and (length is not None or stage.flat):
            continue
        of = "" if view.run is None else f" of {view.run:,}"
        yield Found(
            f"{stage.written!r} comes to 0 steps{of}, so only its end is left of it",
            {"steps": 0, "begin": stage.begin},
            stage.begin,
            stage,
            (partial(_with, view.written, stage, steps=1),) if given else (),
        )


@rule("CD017", "warning", "a drop lies beyond the end of the run", early=True, unless=("CD003",))
def _unreached(view: View) -> Iterator[Found]:
    if view.run is None:
        return
    for stage in view.stages:
        plan, left = stage.plan, view.run - stage.begin
        if isinstance(plan, MultiStepDecay):
            # A drop at the phase's last step is a part of the level that it leaves.
            milestones: Any = plan.milestones
            late = [m for m in milestones if m >= left or m > stage.steps]
            kept = stage.written.milestones[: len(milestones) - len(late)]
            fixes = (partial(_with, view.written, stage, milestones=kept),) if kept else ()
        elif isinstance(plan, StepDecay):
            every: Any = plan.every
            late = [every] if every >= left or every > stage.steps else []
            fixes = (partial(_with, view.written, stage, every="30%"),)
        else:
            continue
        if late and plan.factor != 1:
            drop, end = stage.begin + late[0], stage.begin + min(left, stage.steps)
            which = "run" if end == view.run else "phase"
            yield Found(
                f"the drop at step {drop:,} is never made: the {which} ends at step {end:,}",
                {"drop": drop, "end": end},
                drop,
                stage,
                fixes,
            )
