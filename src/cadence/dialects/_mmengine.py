"""What each scheduler of mmengine does to a value, as pieces of plans.

mmengine's schedulers change the value that they find, step by step, from `begin` to `end - 1`; what
the recursion comes to from any value that a scheduler finds has a closed form, given here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cadence import _checks
from cadence._program import Affine
from cadence.algebra import Sequence as Timeline
from cadence.dialects._common import plateau
from cadence.dialects._common import steps as whole
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.levels import Level, absolute
from cadence.schedule import Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    CosineWave,
    ExponentialDecay,
    Linear,
    MultiStepDecay,
    PiecewiseCosine,
    PiecewiseLinear,
    Polynomial,
    StepDecay,
)

__all__ = ["FULL", "KINDS", "Effect", "Range"]

FULL = Affine(1.0, 0.0)
"""The group's own value."""

NOTHING = Affine(0.0, 0.0)


class Effect(NamedTuple):
    """What a scheduler does from its `begin` on, one or both of these; with neither, nothing."""

    factor: Schedule | None = None
    """What it multiplies the value by, whatever others do meanwhile."""
    follow: Callable[[Affine], Schedule] | None = None
    """The values that it gives, by the one that it finds; where it is alone."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Where a scheduler acts, and in steps of how many updates."""

    where: str
    steps: int | None
    """From `begin` to `end`; None without an end."""
    every: int
    base: Affine
    """What the scheduler takes for the initial value."""

    @property
    def moves(self) -> int | None:
        """How many updates pass before the last change."""
        return None if self.steps is None else (self.steps - 1) * self.every

    @property
    def last(self) -> int:
        """The scheduler's last step."""
        if self.steps is None:
            raise ArgumentTypeError(
                f"{self.where}: 'end' must be given; mmengine's Runner puts the length of the run "
                "for it: give max_epochs=... or max_iters=..."
            )
        return self.steps - 1

    def number(self, name: str, value: Any, **bounds: float) -> float:
        """An argument that is no time."""
        if isinstance(value, (list, tuple)):
            raise ArgumentTypeError(
                f"{self.where}: '{name}' must be one number (got {_checks.given(value)}); read one "
                "plan for each group"
            )
        return _checks.number(self.where, name, value, **bounds)

    def kept(self, plan: Schedule) -> Schedule:
        """A plan in steps of the scheduler, in updates."""
        return plan if self.every == 1 else plan.stairs(self.every, each=1)

    def floor(self, eta_min: Any, eta_min_ratio: Any) -> Affine:
        """The least value, given itself or as a part of the initial one."""
        if eta_min is not None and eta_min_ratio is not None:
            raise ArgumentError(
                f"{self.where}: 'eta_min' and 'eta_min_ratio' must not both be given (got "
                f"{eta_min!r} and {eta_min_ratio!r})"
            )
        if eta_min_ratio is not None:
            ratio = self.number("eta_min_ratio", eta_min_ratio)
            return Affine(ratio * self.base.p, ratio * self.base.q)
        return Affine(0.0, self.number("eta_min", eta_min or 0.0))


def _level(value: Affine) -> Level:
    return absolute(value.q) if value.q and not value.p else value.p


def _through(build: Callable[..., Schedule], *levels: Affine) -> Schedule:
    """A plan through levels; the sum of two where a level is neither a multiple nor absolute."""
    if not any(level.p and level.q for level in levels):
        zero: Level = 0.0 if any(level.p for level in levels) else absolute(0.0)
        return build(*(_level(level) if level != NOTHING else zero for level in levels))
    multiples = build(*(level.p for level in levels))
    return multiples + build(*(absolute(level.q) for level in levels))


def _start(level: Level) -> Level | None:
    """A start, left out where a plan begins there by itself."""
    return None if level == 1.0 else level


def _cut(plan: Schedule, last: int) -> Schedule:
    """The plan up to the last change."""
    return plan if plan.steps == last else plan.part(0, last)


# One function for each kind, with its arguments.


def _step(at: Range, *, step_size: int, gamma: float = 0.1) -> Effect:
    size = whole(at.where, "step_size", step_size, low=1)
    factor = at.number("gamma", gamma, low=0)
    if factor == 1.0:
        return Effect()
    return Effect(StepDecay(size * at.every, factor, steps=at.moves))


def _multi_step(at: Range, *, milestones: Sequence[int], gamma: float = 0.1) -> Effect:
    if isinstance(milestones, str) or not isinstance(milestones, Sequence):
        raise ArgumentTypeError(
            f"{at.where}: 'milestones' must be a list of steps (got {_checks.given(milestones)})"
        )
    found = sorted(whole(at.where, "milestones", one) for one in milestones)
    if at.steps is not None:
        found = [one for one in found if one < at.steps]
    factor = at.number("gamma", gamma, low=0)
    if factor == 1.0 or not found:
        return Effect()
    drops = tuple(one * at.every for one in found)
    return Effect(MultiStepDecay(drops, factor, steps=at.moves))


def _constant(at: Range, *, factor: float = 1.0 / 3) -> Effect:
    """Undone at its last step, if that is not its first."""
    level = at.number("factor", factor, low=0, high=1)
    if level == 1.0:
        return Effect()
    if at.steps is None or at.steps == 1:
        return Effect(Constant(level, 0))
    if level == 0.0:
        raise ArgumentError(
            f"{at.where}: 'factor' must be > 0 (got 0): mmengine divides by it in the end"
        )
    return Effect(Constant(level, at.moves) >> Constant(1.0, 0))


def _exponential(at: Range, *, gamma: float) -> Effect:
    factor = at.number("gamma", gamma, low=0)
    if factor == 1.0:
        return Effect()
    if at.every == 1:
        return Effect(ExponentialDecay(factor, steps=at.moves))
    return Effect(StepDecay(at.every, factor, steps=at.moves))


def _linear(at: Range, *, start_factor: float = 1.0 / 3, end_factor: float = 1.0) -> Effect:
    start = at.number("start_factor", start_factor, low=0, high=1)
    end = at.number("end_factor", end_factor, low=0, high=1)
    if at.last == 0:
        return Effect(Constant(start, 0)) if start != 1.0 else Effect()
    if start == 0.0:
        raise ArgumentError(
            f"{at.where}: 'start_factor' must be > 0 (got 0): mmengine multiplies the value step "
            "by step, and 0 would stay 0"
        )
    if start == end == 1.0:
        return Effect()
    return Effect(at.kept(Linear(at.last, start=_start(start), end=end)))


def _cosine(
    at: Range,
    *,
    T_max: int | None = None,
    eta_min: float | None = None,
    eta_min_ratio: float | None = None,
) -> Effect:
    """Down to the least in T_max steps, from there up to the initial value, and so on."""
    low = at.floor(eta_min, eta_min_ratio)
    n = whole(at.where, "T_max", T_max) if T_max else at.last + 1
    last = None if at.steps is None else at.last

    def down(start: Level, end: Level, top: Level) -> Schedule:
        ramp = Cosine(n, start=_start(start), end=end)
        if last is not None and last <= n:
            return at.kept(_cut(ramp, last))
        steps = None if last is None else last - n
        return at.kept(ramp >> CosineWave(2 * n, start=end, end=top, steps=steps))

    def follow(found: Affine) -> Schedule:
        return _through(down, found, low, at.base)

    alone = low == NOTHING and last is not None and last <= n
    return Effect(follow(FULL) if alone else None, follow)


def _poly(at: Range, *, eta_min: float = 0.0, power: float = 1.0) -> Effect:
    low, exponent = at.floor(eta_min, None), at.number("power", power, low=0)
    if exponent == 0.0 or at.last == 0:
        return Effect()

    def down(start: Level, end: Level) -> Schedule:
        return at.kept(Polynomial(at.last, start=_start(start), end=end, power=exponent))

    def follow(found: Affine) -> Schedule:
        return _through(down, found, low)

    return Effect(follow(FULL) if low == NOTHING else None, follow)


def _one_cycle(
    at: Range,
    *,
    eta_max: float = 0.0,
    total_steps: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Effect:
    """Torch's phases, which end a step early, on absolute levels."""
    peak = at.number("eta_max", eta_max)
    first = peak / at.number("div_factor", div_factor, above=0)
    least = first / at.number("final_div_factor", final_div_factor, above=0)
    part = at.number("pct_start", pct_start, low=0, high=1)
    _checks.choice(at.where, "anneal_strategy", anneal_strategy, ("cos", "linear"))
    total = at.last + 1
    if total_steps is not None:
        total = whole(at.where, "total_steps", total_steps, low=1)
    if total < at.last + 1:
        raise ArgumentError(
            f"{at.where}: 'total_steps' must be >= end - begin (got {total} and {at.last + 1}), as "
            "mmengine steps out of the cycle and then raises"
        )
    ends = [(part * total - 1, peak), (total - 1, least)]
    if three_phase:
        ends.insert(1, (2 * part * total - 2, first))
    if ends[0][0] == 0:
        raise ArgumentError(
            f"{at.where}: 'pct_start' must not be 1 / total_steps, a rise of no length (got "
            f"{pct_start!r} with {total} steps)"
        )
    # A phase that ends before step 0 is passed over, but the next one starts at its end.
    points = [(0.0, first)] if ends[0][0] > 0 else [ends[-2]]
    for end, level in ends if ends[0][0] > 0 else ends[-1:]:
        if end > points[-1][0]:  # else no step is left for it
            points.append((end, level))
    kind = PiecewiseCosine if anneal_strategy == "cos" else PiecewiseLinear
    placed = tuple((step, absolute(level)) for step, level in points)
    plan = at.kept(_cut(kind(placed), at.last))
    return Effect(follow=lambda found: plan)


def _restarts(
    at: Range,
    *,
    periods: Sequence[int],
    restart_weights: Sequence[float] = (1,),
    eta_min: float | None = None,
    eta_min_ratio: float | None = None,
) -> Effect:
    """Cycles of their own lengths and heights; after the last the value stays a step before it."""
    if eta_min is None and eta_min_ratio is None:
        raise ArgumentError(f"{at.where}: 'eta_min' or 'eta_min_ratio' must be given")
    low = at.floor(eta_min, eta_min_ratio)
    lengths = [whole(at.where, "periods", one, low=1) for one in periods]
    weights = [at.number("restart_weights", one) for one in restart_weights]
    if not lengths or len(lengths) != len(weights):
        raise ArgumentError(
            f"{at.where}: 'periods' and 'restart_weights' must be of one length (got "
            f"{len(lengths)} and {len(weights)})"
        )
    last = sum(lengths) - 1 if at.steps is None else min(sum(lengths) - 1, at.last)

    def cycles(end: Level, *starts: Level) -> Schedule:
        phases = [
            Cosine(n, start=_start(start) if i == 0 else start, end=end)
            for i, (n, start) in enumerate(zip(lengths, starts, strict=True))
        ]
        return phases[0] if len(phases) == 1 else Timeline(tuple(phases))

    tops = (Affine(weight * at.base.p, weight * at.base.q) for weight in weights)
    plan = at.kept(_cut(_through(cycles, low, *tops), last))
    return Effect(follow=lambda found: plan)


def _reduce_on_plateau(
    at: Range,
    *,
    monitor: str = "loss",
    rule: str = "less",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_rule: str = "rel",
    cooldown: int = 0,
    min_value: float = 0.0,
    eps: float = 1e-8,
) -> Effect:
    """Refused: what listens to a metric is no plan."""
    mode = {"less": "min", "greater": "max"}[
        _checks.choice(at.where, "rule", rule, ("less", "greater"))
    ]
    equal = plateau(
        at.where,
        mode=mode,
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode=threshold_rule,
        cooldown=cooldown,
        min_lr=min_value,
        eps=eps,
    )
    raise ArgumentError(
        f"{at.where}: a scheduler that listens to a metric is no plan; give the Scheduler "
        f"feedback={equal!r}, and each value of {monitor!r} to scheduler.observe(value)"
    )


KINDS: dict[str, Callable[..., Effect]] = {
    "Step": _step,
    "MultiStep": _multi_step,
    "Constant": _constant,
    "Exponential": _exponential,
    "Linear": _linear,
    "CosineAnnealing": _cosine,
    "Poly": _poly,
    "OneCycle": _one_cycle,
    "CosineRestart": _restarts,
    "ReduceOnPlateau": _reduce_on_plateau,
}
"""The schedulers, by their names without LR, Momentum or ParamScheduler."""
