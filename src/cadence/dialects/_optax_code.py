"""Plans as calls of optax's schedules, where these give the same numbers."""

from __future__ import annotations

import math
from itertools import groupby
from typing import NamedTuple

from cadence.dialects._code import number, short
from cadence.schedule import Phase, Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    Decay,
    ExponentialDecay,
    Hold,
    Linear,
    MultiStepDecay,
    Polynomial,
    StepDecay,
    Warmup,
)

__all__ = ["Call", "calls"]


class Call(NamedTuple):
    """One of optax's constructors, and the step at which its schedule begins."""

    begin: int
    name: str
    arguments: dict[str, str]

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value}" for key, value in self.arguments.items())
        return f"optax.{self.name}({given})"


def calls(plan: Schedule, rate: float) -> list[Call] | None:
    """What gives the rates of a resolved plan at every step, one after the other, or None."""
    found, end, is_over = [], 0.0, True
    for phase in plan.phases(rate):
        if phase.steps:
            call = _call(phase)
            if call is None:
                return None
            found.append(call)
        end = phase.begin + phase.steps
        # Ramps hold their end in optax too; what falls for ever does so.
        is_over = end < math.inf and (phase.steps == 0 or isinstance(phase.plan, Decay))
    if is_over:
        level = plan(int(end), rate)
        found.append(Call(int(end), "constant_schedule", {"value": short(level)}))
    return found


def _call(phase: Phase) -> Call | None:
    """The schedule that gives a phase its values."""
    plan, start, end = phase.plan, phase.start, phase.end
    steps = "" if phase.steps == math.inf else str(int(phase.steps))

    def call(name: str, **arguments: str) -> Call:
        return Call(phase.begin, name, arguments)

    first, last = short(start), short(end)
    if isinstance(plan, (Hold, Constant)):
        return call("constant_schedule", value=first)
    if isinstance(plan, Linear) or (isinstance(plan, Warmup) and plan.shape == "linear"):
        return call("linear_schedule", init_value=first, end_value=last, transition_steps=steps)
    match plan:
        # Below a power of 1 optax loses digits near the end, since 1 + cos does.
        case Cosine(k=1.0) if start != 0.0 and plan.power >= 1.0:
            more = {} if end == 0.0 else {"alpha": short(end / start)}
            if plan.power != 1.0:
                more["exponent"] = number(plan.power)
            return call("cosine_decay_schedule", init_value=first, decay_steps=steps, **more)
        case Polynomial(k=1.0):
            return call(
                "polynomial_schedule",
                init_value=first,
                end_value=last,
                power=number(plan.power),
                transition_steps=steps,
            )
        case ExponentialDecay() if plan.factor > 0.0:
            pace, rate, more = plan.per, plan.factor, {}
        case StepDecay() if plan.factor > 0.0:
            pace, rate, more = plan.every, plan.factor, {"staircase": "True"}
        case MultiStepDecay():
            # The phase begins with what has dropped at its step 0.
            drops = ", ".join(
                f"{step}: {number(plan.factor ** len(list(same)))}"
                for step, same in groupby(plan.milestones)
                if step
            )
            scales = f"{{{drops}}}"
            return call(
                "piecewise_constant_schedule", init_value=first, boundaries_and_scales=scales
            )
        case _:
            return None
    return call(
        "exponential_decay",
        init_value=first,
        transition_steps=number(pace),  # pyright: ignore[reportArgumentType] - the plan is resolved
        decay_rate=number(rate),
        **more,
    )
