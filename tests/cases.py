"""One row and more for every shape, composition and recipe: the plan, its text, numbers by hand.

A new shape needs a row here; `test_schedules.py` fails without one and checks every law on it.
The numbers were worked out from the formulas in the papers, with 30 digits and without Cadence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from inspect import isclass
from typing import Any

import cadence as cd
from cadence import Schedule, absolute, recipes

ABSTRACT = {"Leaf", "Ramp", "Decay", "Piecewise"}
"""Kinds that only exist to be subclassed."""


@cd.register
def three_halvings(step: float) -> float:
    """A function as users write them: whole steps in, a multiple out."""
    return 0.5 ** min(step // 10, 3)


@dataclass(frozen=True)
class Case:
    """A resolved plan and what is known about it without asking Cadence."""

    name: str
    """The class or recipe that the row is about."""
    plan: Schedule
    text: str
    steps: int | None
    """The plan's length; None where it is endless."""
    values: dict[float, float]
    """Step to value: the first step, some in the middle, the last, and beyond."""
    base: float = 1.0

    @property
    def moves_until(self) -> int:
        """A step from which nothing new is to be seen, for laws that look at every step."""
        return 150 if self.steps is None else self.steps


# A table: the formatter would give every number a line of its own.
# fmt: off
CASES = [
    Case("Linear", cd.Linear(10, end=0.1), "Linear(10, end=0.1)", 10, base=0.5,
         values={0: 0.5, 3: 0.365, 9.5: 0.0725, 10: 0.05, 99: 0.05}),
    Case("Linear", cd.Linear(8, start=absolute(0.002), end=absolute(0.01)),
         "Linear(8, start=absolute(0.002), end=absolute(0.01))", 8, base=0.5,
         values={0: 0.002, 2: 0.004, 8: 0.01, 1e15: 0.01}),
    Case("Linear", cd.Linear(4, end=absolute(0.02)), "Linear(4, end=absolute(0.02))", 4, base=0.1,
         values={0: 0.1, 1: 0.08, 4: 0.02, 99: 0.02}),
    Case("Linear", cd.Linear(0, end=0.25), "Linear(0, end=0.25)", 0, base=2.0,
         values={0: 0.5, 0.5: 0.5, 1: 0.5, 99: 0.5}),
    Case("Cosine", cd.Cosine(10, end=0.1), "Cosine(10, end=0.1)", 10, base=2.0,
         values={0: 2.0, 3: 1.6290067270632258, 10: 0.2, 99: 0.2}),
    Case("Cosine", cd.Cosine(10, k=2), "Cosine(10, k=2)", 10,
         values={0: 1.0, 5: 0.8535533905932738, 10: 0.0, 99: 0.0}),
    Case("Cosine", cd.Cosine(10, power=3, end=0.2), "Cosine(10, end=0.2, power=3)", 10,
         values={0: 1.0, 3: 0.6002905075460564, 10: 0.2, 99: 0.2}),
    Case("Cosine", cd.Cosine(10, k=2, power=2), "Cosine(10, k=2, power=2)", 10, base=3.0,
         values={0: 3.0, 5: 2.1856601717798212, 10: 0.0, 99: 0.0}),
    Case("Cosine", cd.Cosine(10, power=0.5), "Cosine(10, power=0.5)", 10,
         values={0: 1.0, 8: 0.30901699437494742, 10: 0.0, 99: 0.0}),
    Case("Warmup", cd.Warmup(4), "Warmup(4)", 4, base=0.1,
         values={0: 0.025, 1: 0.04375, 2: 0.0625, 4: 0.1, 99: 0.1}),
    Case("Warmup", cd.Warmup(4, start=0, shape="cosine"), "Warmup(4, start=0, shape='cosine')", 4,
         values={0: 0.0, 1: 0.14644660940672624, 4: 1.0, 99: 1.0}),
    Case("Warmup", cd.Warmup(5, end=absolute(0.01)), "Warmup(5, end=absolute(0.01))", 5, base=7.0,
         values={0: 0.002, 1: 0.0036, 5: 0.01, 99: 0.01}),
    Case("Warmup", cd.Warmup(1), "Warmup(1)", 1, base=0.3,
         values={0: 0.3, 0.5: 0.3, 1: 0.3, 99: 0.3}),
    Case("Geometric", cd.Geometric(4, end=1e-4), "Geometric(4, end=0.0001)", 4, base=3.0,
         values={0: 3.0, 1: 0.3, 3: 0.003, 4: 0.0003, 99: 0.0003}),
    Case("Geometric", cd.Geometric(4, start=absolute(1e-8), end=absolute(1e-2)),
         "Geometric(4, start=absolute(1e-08), end=absolute(0.01))", 4, base=3.0,
         values={0: 1e-8, 1: 3.1622776601683793e-7, 4: 0.01, 99: 0.01}),
    Case("Polynomial", cd.Polynomial(10, power=2, end=0.2), "Polynomial(10, end=0.2, power=2)", 10,
         values={0: 1.0, 3: 0.592, 10: 0.2, 99: 0.2}),
    Case("Polynomial", cd.Polynomial(10, power=0.9), "Polynomial(10, power=0.9)", 10,
         values={0: 1.0, 3: 0.72541784693721996, 10: 0.0, 99: 0.0}),
    Case("Polynomial", cd.Polynomial(10, k=2, power=0.5), "Polynomial(10, power=0.5, k=2)", 10,
         values={0: 1.0, 6: 0.8, 10: 0.0, 99: 0.0}),
    Case("Polynomial", cd.Polynomial(8, k=0.5, power=3, end=1, start=0),
         "Polynomial(8, start=0, end=1, power=3, k=0.5)", 8, base=2.0,
         values={0: 0.0, 2: 1.75, 8: 2.0, 99: 2.0}),
    Case("Exponential", cd.Exponential(8, end=0.5), "Exponential(8, end=0.5)", 8, base=2.0,
         values={0: 2.0, 2: 1.5137125835448323, 4: 1.2402530733520421, 6: 1.0864754900043248,
                 8: 1.0, 99: 1.0}),
    Case("Exponential", cd.Exponential(8, ratio=4), "Exponential(8, ratio=4)", 8,
         values={0: 1.0, 2: 0.86192881254230165, 4: 0.66666666666666667, 8: 0.0, 99: 0.0}),
    Case("OneMinusSqrt", cd.OneMinusSqrt(16, end=0.2), "OneMinusSqrt(16, end=0.2)", 16,
         values={0: 1.0, 4: 0.6, 5: 0.55278640450004207, 16: 0.2, 99: 0.2}),
    Case("Logarithmic", cd.Logarithmic(9, start=0, end=1), "Logarithmic(9, start=0, end=1)", 9,
         base=2.0,
         values={0: 0.0, 1: 0.60205999132796239, 4: 1.3979400086720376, 9: 2.0, 99: 2.0}),
    Case("Logarithmic", cd.Logarithmic(4, end=0.5, scale=99), "Logarithmic(4, end=0.5, scale=99)",
         4,
         values={0: 1.0, 1: 0.64730569165569753, 4: 0.5, 99: 0.5}),
    Case("Rex", cd.Rex(10), "Rex(10)", 10,
         values={0: 1.0, 5: 0.66666666666666667, 10: 0.0, 99: 0.0}),
    Case("Rex", cd.Rex(10, alpha=0.8), "Rex(10, alpha=0.8)", 10,
         values={0: 1.0, 5: 0.83333333333333333, 10: 0.0, 99: 0.0}),
    Case("Tanh", cd.Tanh(9), "Tanh(9)", 9,
         values={0: 1.0, 6: 0.4987636959990146, 9: 0.0, 99: 0.0}),
    Case("Tanh", cd.Tanh(10, lower=-3, upper=3, end=0.5), "Tanh(10, end=0.5, lower=-3)", 10,
         values={0: 1.0, 5: 0.75, 10: 0.5, 99: 0.5}),
    Case("Hyperbolic", cd.Hyperbolic(10), "Hyperbolic(10)", 10,
         values={0: 1.0, 5: 0.64549722436790281, 10: 0.0, 99: 0.0}),
    Case("Hyperbolic", cd.Hyperbolic(10, upper=1), "Hyperbolic(10, upper=1)", 10,
         values={0: 1.0, 3: 0.7, 10: 0.0, 99: 0.0}),
    Case("Hold", cd.Linear(2, end=0.5) >> cd.Hold(3), "Linear(2, end=0.5) >> Hold(3)", 5,
         values={0: 1.0, 1: 0.75, 2: 0.5, 5: 0.5, 99: 0.5}),
    Case("Hold", cd.Hold(3), "Hold(3)", 3, base=0.3,
         values={0: 0.3, 1: 0.3, 3: 0.3, 99: 0.3}),
    Case("Constant", cd.Constant(0.5, 10), "Constant(0.5, 10)", 10, base=0.2,
         values={0: 0.1, 5: 0.1, 10: 0.1, 99: 0.1}),
    Case("Constant", cd.Constant(absolute(3e-3), 10), "Constant(absolute(0.003), 10)", 10, base=0.2,
         values={0: 0.003, 5: 0.003, 10: 0.003, 1e15: 0.003}),
    Case("StepDecay", cd.StepDecay(30, 0.5), "StepDecay(30, 0.5)", None, base=0.4,
         values={0: 0.4, 29.9: 0.4, 30: 0.2, 90: 0.05, 300: 0.000390625}),
    Case("StepDecay", cd.StepDecay(30, 0.5, start=2, steps=60),
         "StepDecay(30, 0.5, start=2, steps=60)", 60,
         values={0: 2.0, 30: 1.0, 60: 0.5, 999: 0.5}),
    Case("StepDecay", cd.StepDecay(2.5, 0.5), "StepDecay(2.5, 0.5)", None, base=2.0,
         values={0: 2.0, 2: 2.0, 3: 1.0, 4: 1.0, 5: 0.5, 7: 0.5, 8: 0.25, 10: 0.125, 25: 2**-9}),
    Case("MultiStepDecay", cd.MultiStepDecay((30, 80, 80)), "MultiStepDecay((30, 80, 80))", None,
         values={0: 1.0, 30: 0.1, 79: 0.1, 80: 0.001, 999: 0.001}),
    Case("MultiStepDecay", cd.MultiStepDecay((0, 5), factor=0.5, steps=8),
         "MultiStepDecay((0, 5), 0.5, steps=8)", 8,
         values={0: 0.5, 4: 0.5, 5: 0.25, 8: 0.25, 99: 0.25}),
    Case("ExponentialDecay", cd.ExponentialDecay(0.9), "ExponentialDecay(0.9)", None, base=10.0,
         values={0: 10.0, 1: 9.0, 7: 4.782969, 1e15: 0.0}),
    Case("ExponentialDecay", cd.ExponentialDecay(0.5, per=10, steps=20),
         "ExponentialDecay(0.5, steps=20, per=10)", 20,
         values={0: 1.0, 5: 0.70710678118654752, 20: 0.25, 99: 0.25}),
    Case("ExponentialDecay", cd.ExponentialDecay(0.25, per=2.5), "ExponentialDecay(0.25, per=2.5)",
         None,
         values={0: 1.0, 1: 0.57434917749851752, 5: 0.0625, 10: 0.00390625, 1e15: 0.0}),
    Case("InverseTime", cd.InverseTime(0.5), "InverseTime(0.5)", None, base=0.1,
         values={0: 0.1, 1: 0.033333333333333333, 2: 0.02, 12: 0.004, 999.5: 0.00005}),
    Case("InverseTime", cd.InverseTime(100), "InverseTime(100)", None, base=0.1,
         values={0: 0.1, 25: 0.08, 100: 0.05, 9900: 0.001}),
    Case("InverseSqrt", cd.InverseSqrt(100), "InverseSqrt(100)", None,
         values={0: 1.0, 200: 0.57735026918962576, 300: 0.5, 9900: 0.1}),
    Case("InverseSqrt", cd.InverseSqrt(100, steps=300), "InverseSqrt(100, steps=300)", 300,
         values={0: 1.0, 200: 0.57735026918962576, 300: 0.5, 9900: 0.5}),
    Case("PowerLaw", cd.PowerLaw(100, exponent=2), "PowerLaw(100, exponent=2)", None,
         values={0: 1.0, 100: 0.25, 900: 0.01, 9900: 0.0001}),
    Case("PowerLaw", cd.PowerLaw(100, exponent=0.51), "PowerLaw(100, exponent=0.51)", None,
         values={0: 1.0, 300: 0.49311635224667959, 9900: 0.095499258602143594,
                 1e12: 7.9432823468377076e-6}),
    Case("CosineWave", cd.CosineWave(25, end=0.2), "CosineWave(25, end=0.2)", None, base=2.0,
         values={0: 2.0, 5: 1.4472135954999579, 12.5: 0.4, 20: 1.4472135954999579, 25: 2.0,
                 1e15: 2.0}),
    Case("CosineWave", cd.CosineWave(7.5, start=0.1, end=absolute(0.02), steps=20),
         "CosineWave(7.5, start=0.1, end=absolute(0.02), steps=20)", 20, base=0.5,
         values={0: 0.05, 3: 0.022864745084375788, 7.5: 0.05, 11.25: 0.02,
                 20: 0.0275, 99: 0.0275}),
    Case("Sequence", cd.Warmup(4, start=0) >> cd.CosineWave(8),
         "Warmup(4, start=0) >> CosineWave(8)", None, base=0.2,
         values={0: 0.0, 3: 0.15, 4: 0.2, 6: 0.1, 8: 0.0, 10: 0.1, 12: 0.2,
                 4e14: 0.0, 4e14 + 4: 0.2}),
    Case("PowerLaw", cd.PowerLaw(200, exponent=-1, start=absolute(0.01)),
         "PowerLaw(200, start=absolute(0.01), exponent=-1)", None, base=7.0,
         values={0: 0.01, 100: 0.015, 200: 0.02, 1e6: 50.01}),
    Case("PiecewiseLinear", cd.PiecewiseLinear([(0, 0.1), (10, 1), (30, 0)]),
         "PiecewiseLinear(((0, 0.1), (10, 1), (30, 0)))", 30, base=2.0,
         values={0: 0.2, 5: 1.1, 10: 2.0, 20: 1.0, 30: 0.0, 99: 0.0}),
    Case("PiecewiseLinear", cd.PiecewiseLinear(((-2, 0), (2, 1), (2.5, 0.5), (12.5, 0))),
         "PiecewiseLinear(((-2, 0), (2, 1), (2.5, 0.5), (12.5, 0)))", 13, base=2.0,
         values={0: 1.0, 1: 1.5, 2: 2.0, 3: 0.95, 10: 0.25, 12: 0.05, 13: 0.0, 99: 0.0}),
    Case("PiecewiseLinear", cd.PiecewiseLinear(((4, 0.5), (8, 1), (8, absolute(0.2)), (10, 0.2))),
         "PiecewiseLinear(((4, 0.5), (8, 1), (8, absolute(0.2)), (10, 0.2)))", 10, base=2.0,
         values={0: 1.0, 4: 1.0, 6: 1.5, 8: 0.2, 9: 0.3, 10: 0.4, 99: 0.4}),
    Case("PiecewiseCosine", cd.PiecewiseCosine(((0, 0.1), (10, 1), (30.5, 0))),
         "PiecewiseCosine(((0, 0.1), (10, 1), (30.5, 0)))", 31, base=2.0,
         values={0: 0.2, 5: 1.1, 10: 2.0, 30: 0.002934198816259559, 31: 0.0, 99: 0.0}),
    Case("PiecewiseRamp",
         cd.PiecewiseRamp(((-2, 1), (2.5, 0.5), (2.5, 1), (12.5, absolute(0.1))),
                          cd.Polynomial(power=2)),
         "PiecewiseRamp(((-2, 1), (2.5, 0.5), (2.5, 1), (12.5, absolute(0.1))), "
         "Polynomial(power=2))", 13, base=2.0,
         values={0: 1.308641975308642, 1: 1.1111111111111112, 5: 1.16875, 7.5: 0.575,
                 10: 0.21875, 13: 0.1, 99: 0.1}),
    Case("Function", cd.Function(three_halvings), "Function('three_halvings')", None, base=0.8,
         values={0: 0.8, 9: 0.8, 10: 0.4, 25: 0.2, 1e15: 0.1}),
    Case("Function", cd.Function("three_halvings", steps=15),
         "Function('three_halvings', steps=15)", 15,
         values={0: 1.0, 9: 1.0, 10: 0.5, 15: 0.5, 99: 0.5}),
    Case("Sequence", cd.Warmup(4) >> cd.Hold(4) >> cd.Linear(8, end=0.2),
         "Warmup(4) >> Hold(4) >> Linear(8, end=0.2)", 16, base=0.1,
         values={0: 0.025, 4: 0.1, 7: 0.1, 10: 0.08, 16: 0.02, 99: 0.02}),
    Case("Sequence", cd.Warmup(0) >> cd.Linear(4, end=0.5) >> cd.Linear(0, end=0.1) >> cd.Warmup(2),
         "Warmup(0) >> Linear(4, end=0.5) >> Linear(0, end=0.1) >> Warmup(2)", 6,
         values={0: 1.0, 2: 0.75, 4: 0.1, 5: 0.55, 6: 1.0, 99: 1.0}),
    Case("Sequence", cd.Linear(5, end=0.5) >> cd.StepDecay(10, 0.5),
         "Linear(5, end=0.5) >> StepDecay(10, 0.5)", None,
         values={0: 1.0, 2: 0.8, 5: 0.5, 14.5: 0.5, 15: 0.25, 25: 0.125}),
    Case("Sequence", cd.Linear(4) * 0.5 >> (cd.Linear(2) + 1) >> cd.Linear(4).clip(high=0.5),
         "Linear(4) * 0.5 >> Linear(2) + 1 >> Linear(4).clip(high=0.5)", 10,
         values={0: 0.5, 2: 0.25, 4: 2.0, 5: 1.5, 6: 0.5, 9: 0.25, 10: 0.0, 99: 0.0}),
    Case("Product", cd.Linear(10) * cd.Linear(4, start=absolute(0.2), end=absolute(0.1)),
         "Linear(10) * Linear(4, start=absolute(0.2), end=absolute(0.1))", 10, base=3.0,
         values={0: 0.2, 2: 0.12, 5: 0.05, 10: 0.0, 99: 0.0}),
    Case("Product", 0.5 * (cd.Warmup(4) * cd.StepDecay(2, 0.1)) * 3,
         "Warmup(4) * StepDecay(2) * 0.5 * 3", None,
         values={0: 0.375, 1: 0.65625, 2: 0.09375, 4: 0.015, 7: 0.0015}),
    Case("Sum", cd.Linear(10) + cd.Constant(absolute(0.01)) + 0.5,
         "Linear(10) + Constant(absolute(0.01)) + 0.5", None, base=0.1,
         values={0: 0.16, 5: 0.11, 10: 0.06, 99: 0.06}),
    Case("Clip", cd.Linear(10).clip(0.25, 0.75), "Linear(10).clip(low=0.25, high=0.75)", 10,
         base=2.0,
         values={0: 1.5, 2: 1.5, 5: 1.0, 8: 0.5, 10: 0.5, 99: 0.5}),
    Case("Clip", (cd.Warmup(2) >> cd.Linear(8)).clip(low=absolute(0.04)),
         "(Warmup(2) >> Linear(8)).clip(low=absolute(0.04))", 10, base=0.1,
         values={0: 0.05, 2: 0.1, 6: 0.05, 7: 0.04, 10: 0.04, 99: 0.04}),
    Case("Repeat", cd.Linear(4).repeat(3, peak_mult=0.5), "Linear(4).repeat(3, peak_mult=0.5)", 12,
         values={0: 1.0, 3: 0.25, 4: 0.5, 8: 0.25, 11: 0.0625, 12: 0.0, 99: 0.0}),
    Case("Repeat", cd.Linear(10).repeat(4, length_mult=3), "Linear(10).repeat(4, length_mult=3)",
         400,
         values={0: 1.0, 9: 0.1, 10: 1.0, 25: 0.5,
                 40: 1.0, 130: 1.0, 265: 0.5, 400: 0.0, 999: 0.0}),
    Case("Repeat", (cd.Warmup("50%") >> cd.Linear()).repeat(3, over=12),
         "(Warmup('50%') >> Linear()).repeat(3, over=12)", 12,
         values={0: 0.5, 1: 0.75, 2: 1.0, 3: 0.5, 4: 0.5, 6: 1.0, 12: 0.0, 99: 0.0}),
    Case("Repeat", cd.Linear(4, start=0.5, end=1).repeat(), "Linear(4, start=0.5, end=1).repeat()",
         None,
         values={0: 0.5, 2: 0.75, 3: 0.875, 4: 0.5, 4e14: 0.5, 4e14 + 2: 0.75}),
    Case("Part", cd.Linear(10).part(2, 7), "Linear(10).part(2, 7)", 5, base=2.0,
         values={0: 1.6, 2.5: 1.1, 4: 0.8, 5: 0.6, 99: 0.6}),
    Case("Part", (cd.Warmup(4) >> cd.Linear(8)).part(2, 8, steps=12),
         "(Warmup(4) >> Linear(8)).part(2, 8, steps=12)", 12, base=0.1,
         values={0: 0.0625, 1: 0.071875, 4: 0.1, 8: 0.075, 12: 0.05, 99: 0.05}),
    Case("Part", cd.Cosine(100).part(50, steps=5), "Cosine(100).part(50, steps=5)", 5,
         values={0: 0.5, 1: 0.34549150281252629, 3: 0.095491502812526288, 5: 0.0, 99: 0.0}),
    Case("Part", cd.MultiStepDecay((3, 5), 0.5, steps=8).part(0, 6, steps=4),
         "MultiStepDecay((3, 5), 0.5, steps=8).part(0, 6, steps=4)", 4,
         values={0: 1.0, 1: 1.0, 2: 0.5, 3: 0.5, 3.5: 0.25, 4: 0.25, 99: 0.25}),
    Case("Part", cd.Linear(4).repeat(3).part(2, 20, steps=36),
         "Linear(4).repeat(3).part(2, 20, steps=36)", 36,
         values={0: 0.5, 3: 0.125, 4: 1.0, 5: 0.875, 12: 1.0, 18: 0.25, 20: 0.0, 36: 0.0, 99: 0.0}),
    Case("Part", cd.StepDecay(30, 0.5).part(45), "StepDecay(30, 0.5).part(45)", None, base=0.4,
         values={0: 0.2, 14: 0.2, 15: 0.1, 45: 0.05, 255: 0.000390625}),
    Case("Part", cd.Linear(8, end=absolute(0.02)).part(4, 4, steps=3),
         "Linear(8, end=absolute(0.02)).part(4, 4, steps=3)", 3, base=0.1,
         values={0: 0.06, 2: 0.06, 3: 0.06, 99: 0.06}),
    Case("Stairs", cd.Linear(10).stairs(4), "Linear(10).stairs(4)", 10, base=2.0,
         values={0: 2.0, 3: 2.0, 3.9: 2.0, 4: 1.2, 8: 0.4, 9: 0.4, 10: 0.0, 99: 0.0}),
    Case("Stairs", (cd.Warmup(4) >> cd.Linear(8, end=absolute(0.02))).stairs(3),
         "(Warmup(4) >> Linear(8, end=absolute(0.02))).stairs(3)", 12, base=0.1,
         values={0: 0.025, 2: 0.025, 3: 0.08125, 6: 0.08, 9: 0.05, 11: 0.05, 12: 0.02, 99: 0.02}),
    Case("Stairs", cd.InverseTime(100).stairs(50), "InverseTime(100).stairs(50)", None, base=0.3,
         values={0: 0.3, 49: 0.3, 50: 0.2, 149: 0.15, 150: 0.12, 900: 0.03}),
    Case("Stairs", cd.Linear(3).stairs(4, each=1), "Linear(3).stairs(4, each=1)", 12, base=3.0,
         values={0: 3.0, 3.5: 3.0, 4: 2.0, 7: 2.0, 8: 1.0, 11: 1.0, 12: 0.0, 99: 0.0}),
    Case("Stairs", cd.Linear(7, end=absolute(0.3)).stairs(2, each=3),
         "Linear(7, end=absolute(0.3)).stairs(2, each=3)", 6,
         values={0: 1.0, 1: 1.0, 2: 0.7, 4: 0.4, 5: 0.4, 6: 0.3, 99: 0.3}),
    Case("Stairs", cd.StepDecay(2, 0.5).stairs(10, each=1), "StepDecay(2, 0.5).stairs(10, each=1)",
         None, values={0: 1.0, 19: 1.0, 20: 0.5, 39.5: 0.5, 40: 0.25, 100: 0.03125}),
    Case("Stairs", cd.MultiStepDecay((5, 9), 0.5).stairs(4),
         "MultiStepDecay((5, 9), 0.5).stairs(4)", None,
         values={0: 1.0, 7: 1.0, 8: 0.5, 11: 0.5, 12: 0.25, 99: 0.25}),
    Case("warmup_cosine", cd.warmup_cosine(10, end=0.1).resolve(110),
         "Warmup(10) >> Cosine(100, end=0.1)", 110, base=0.5,
         values={0: 0.05, 10: 0.5, 35: 0.43409902576697319, 110: 0.05, 999: 0.05}),
    Case("warmup_linear", cd.warmup_linear("10%").resolve(100), "Warmup(10) >> Linear(90)", 100,
         base=0.2,
         values={0: 0.02, 5: 0.11, 10: 0.2, 55: 0.1, 100: 0.0, 999: 0.0}),
    Case("wsd", cd.wsd(10, 40).resolve(200), "Warmup(10) >> Hold(150) >> OneMinusSqrt(40)", 200,
         values={0: 0.1, 100: 1.0, 180: 0.29289321881345248, 200: 0.0, 999: 0.0}),
    Case("wsd", cd.wsd(0, "25%", end=absolute(0.01), shape="linear").resolve(40),
         "Warmup(0) >> Hold(30) >> Linear(10, end=absolute(0.01))", 40, base=0.03,
         values={0: 0.03, 30: 0.03, 35: 0.02, 40: 0.01, 99: 0.01}),
    Case("one_cycle", cd.one_cycle("30%").lr.resolve(100),
         "Cosine(30, start=0.04, end=1) >> Cosine(70, end=4e-06)", 100,
         values={0: 0.04, 10: 0.28, 30: 1.0, 65: 0.500002, 100: 4e-6, 999: 4e-6}),
    Case("one_cycle", cd.one_cycle(30).momentum.resolve(100),
         "Cosine(30, start=absolute(0.95), end=absolute(0.85)) >> Cosine(70, end=absolute(0.95))",
         100, base=0.5,
         values={0: 0.95, 15: 0.9, 30: 0.85, 65: 0.9, 100: 0.95, 999: 0.95}),
    Case("one_cycle", cd.one_cycle(30, div=10, three_phase=True, shape=cd.Linear).lr.resolve(100),
         "Linear(30, start=0.1, end=1) >> Linear(30, end=0.1) >> Linear(40, end=1e-05)", 100,
         values={0: 0.1, 15: 0.55, 30: 1.0, 45: 0.55, 60: 0.1, 80: 0.050005, 100: 1e-5, 999: 1e-5}),
    Case("sgdr", cd.sgdr(10, t_mult=2), "Cosine(10).repeat(length_mult=2)", None,
         values={0: 1.0, 5: 0.5, 10: 1.0, 15: 0.85355339059327376, 30: 1.0, 70: 1.0, 150: 1.0}),
    Case("sgdr", cd.sgdr(12, times=2, end=0.1, peak_mult=0.5, warmup=2),
         "(Warmup(2) >> Cosine(10, end=0.1)).repeat(2, peak_mult=0.5)", 24,
         values={0: 0.5, 2: 1.0, 7: 0.55, 12: 0.3, 14: 0.55, 19: 0.325, 24: 0.1, 99: 0.1}),
    Case("sgdr", cd.sgdr(times=4, warmup="50%").resolve(40),
         "(Warmup('50%') >> Cosine()).repeat(4, over=40)", 40,
         values={0: 0.2, 5: 1.0, 10: 0.2, 15: 1.0, 35: 1.0, 40: 0.0, 99: 0.0}),
    Case("triangular", cd.triangular(10, low=0.5),
         "(Linear(10, start=0.5, end=1) >> Linear(10, end=0.5)).repeat()", None, base=0.2,
         values={0: 0.1, 5: 0.15, 10: 0.2, 15: 0.15, 20: 0.1, 30: 0.2, 2e14: 0.1}),
    Case("triangular2", cd.triangular2(10, 30, low=0.5),
         "(Linear(10, start=0.5, end=1) >> Linear(30, end=0.5)).repeat(peak_mult=0.5)", None,
         values={0: 0.5, 10: 1.0, 25: 0.75, 40: 0.5, 50: 0.75, 90: 0.625, 4e14: 0.5}),
    Case("exp_range", cd.exp_range(10, low=0.5, factor=0.9),
         "(Linear(10, start=0, end=1) >> Linear(10)).repeat() * ExponentialDecay(0.9) * 0.5 + 0.5",
         None,
         values={0: 0.5, 5: 0.6476225, 10: 0.67433922005, 20: 0.5, 30: 0.5211955791376082}),
    Case("noam", cd.noam(512, 4000),
         "Linear(3999, start=absolute(1.7469281074217108e-07), end=absolute(0.0006987712429686843))"
         " >> InverseSqrt(4000)",
         None, base=123.0,
         values={0: 1.7469281074217107e-7, 1999: 3.4938562148434214e-4, 3999: 6.9877124296868428e-4,
                 8999: 4.6584749531245619e-4, 15999: 3.4938562148434214e-4}),
    Case("slanted_triangular", cd.slanted_triangular(ratio=4).resolve(100),
         "Linear(10, start=0.25, end=1) >> Linear(90, end=0.25)", 100,
         values={0: 0.25, 5: 0.625, 10: 1.0, 55: 0.625, 100: 0.25, 999: 0.25}),
    Case("flat_cosine", cd.flat_cosine().resolve(100), "Hold(75) >> Cosine(25)", 100,
         values={0: 1.0, 75: 1.0, 80: 0.90450849718747371, 87.5: 0.5, 100: 0.0, 999: 0.0}),
    Case("budgeted_linear", cd.budgeted_linear().resolve(100), "Linear(100)", 100, base=3.0,
         values={0: 3.0, 50: 1.5, 99: 0.03, 100: 0.0, 999: 0.0}),
]
# fmt: on


def missing(known: dict[str, type[Schedule]], recipe_names: Iterable[str]) -> set[str]:
    """The shapes, compositions and recipes that have no row."""
    kinds = {
        name
        for name, kind in known.items()
        if kind.__module__.startswith("cadence.") and name not in ABSTRACT
    }
    functions = {name for name in recipe_names if not isclass(getattr(recipes, name, None))}
    return (kinds | functions) - {case.name for case in CASES}


def misnamed() -> set[str]:
    """Rows whose plan does not contain the shape that they are named after."""

    def kinds(plan: Any) -> set[str]:
        found = {type(plan).__name__}
        for value in vars(plan).values():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Schedule):
                    found |= kinds(part)
        return found

    return {
        case.name
        for case in CASES
        if case.name in Schedule.known and case.name not in kinds(case.plan)
    }


def close(a: float, b: float, scale: float = 0.0) -> bool:
    """Equal to 1e-12, relative to the values or, near a zero, to the scale of the curve."""
    return a == b or math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-15 * scale)
