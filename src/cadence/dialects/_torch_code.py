"""Plans as calls of `torch.optim.lr_scheduler`, where its classes give the same numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

from cadence.algebra import Repeat
from cadence.dialects._code import number, short
from cadence.levels import affine
from cadence.schedule import Phase, Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    ExponentialDecay,
    Hold,
    Linear,
    MultiStepDecay,
    Polynomial,
    StepDecay,
    Warmup,
)

__all__ = ["Call", "calls"]

FOR_EVER = "10**15"
"""Updates after which a `ConstantLR` would end; no run gets there."""


class Call(NamedTuple):
    """One of torch's schedulers, and the update at which it begins."""

    begin: int
    name: str
    arguments: dict[str, str]

    def __str__(self) -> str:
        given = "".join(f", {key}={value}" for key, value in self.arguments.items())
        return f"{self.name}(optimizer{given})"

    @property
    def holds(self) -> bool:
        """Whether it keeps its last value when it is over."""
        return self.name in ("LinearLR", "PolynomialLR")


def calls(plan: Schedule, base_lr: float | None) -> list[Call] | None:
    """What gives the numbers of a resolved plan at every step, one after the other.

    None where no classes of torch do, or where the base rate would have to be known.
    """
    rate = 1.0 if base_lr is None else base_lr
    if base_lr is None and plan.compiled(rate).term("q") != 0.0:
        return None
    found, end, is_over = [], 0.0, True
    for phase in plan.phases(rate):
        if phase.steps:
            call = _call(phase, phase.start / rate, phase.end / rate, base_lr)
            if call is None:
                return None
            found.append(call)
        end = phase.begin + phase.steps
        is_over = end < math.inf and not (phase.steps and found[-1].holds)
    if is_over:
        level = plan(int(end), rate) / rate
        if not 0.0 <= level <= 1.0:
            return None
        last = Call(int(end), "ConstantLR", _constant(level, FOR_EVER))
        if found and found[-1].arguments.get("factor") == last.arguments["factor"]:
            last = last._replace(begin=found.pop().begin)
        found.append(last)
    return found


def _constant(factor: float, steps: str) -> dict[str, str]:
    return {"factor": short(factor), "total_iters": steps}


def _call(phase: Phase, start: float, end: float, base_lr: float | None) -> Call | None:
    """The class that gives a phase its values, as multiples of the base rate."""
    plan = phase.plan
    steps = FOR_EVER if phase.steps == math.inf else str(int(phase.steps))

    def call(name: str, **arguments: str) -> Call:
        return Call(phase.begin, name, arguments)

    if isinstance(plan, (Hold, Constant)):
        return call("ConstantLR", **_constant(start, steps)) if 0.0 <= start <= 1.0 else None
    if isinstance(plan, Linear) or (isinstance(plan, Warmup) and plan.shape == "linear"):
        if not (0.0 < start <= 1.0 and 0.0 <= end <= 1.0):
            return None
        given = {} if end == 1.0 else {"end_factor": short(end)}
        return call("LinearLR", start_factor=short(start), **given, total_iters=steps)
    if start != 1.0:
        return None  # what follows begins at the base rate
    match plan:
        case Cosine():
            low = _lowest(plan, base_lr)
            return None if low is None else call("CosineAnnealingLR", T_max=steps, **low)
        case Repeat(plan=Cosine(steps=int(), start=None | 1.0) as cycle, peak_mult=1.0):
            low, growth = _lowest(cycle, base_lr), plan.length_mult
            if low is None or not growth.is_integer():
                return None
            more = {} if growth == 1.0 else {"T_mult": str(int(growth))}
            return call("CosineAnnealingWarmRestarts", T_0=str(cycle.steps), **more, **low)
        case Polynomial(k=1.0) if end == 0.0:
            return call("PolynomialLR", total_iters=steps, power=number(plan.power))
        case StepDecay(every=int()):
            return call("StepLR", step_size=str(plan.every), gamma=number(plan.factor))
        case MultiStepDecay():
            milestones = str(list(plan.milestones))
            return call("MultiStepLR", milestones=milestones, gamma=number(plan.factor))
        case ExponentialDecay(per=1):
            return call("ExponentialLR", gamma=number(plan.factor))
        case _:
            return None


def _lowest(plan: Cosine, base_lr: float | None) -> dict[str, str] | None:
    """`eta_min`, which is absolute in torch; None where it cannot be told."""
    end = affine(plan.end)
    if (plan.k, plan.power) != (1.0, 1.0):
        return None
    if end == (0.0, 0.0):
        return {}
    return None if base_lr is None else {"eta_min": short(end.p * base_lr + end.q)}
