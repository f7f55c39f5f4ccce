"""The catalogue: every shape and recipe with its formula, its source and an example."""

from __future__ import annotations

import inspect
import math
import re
from typing import Any, NamedTuple

from cadence import recipes, shapes
from cadence.algebra import Clip, Part, Product, Repeat, Sequence, Stairs, Sum
from cadence.errors import ArgumentError, UnresolvedError
from cadence.schedule import Schedule
from cadence.shapes import Decay, Piecewise, Ramp

__all__ = ["Entry", "catalogue"]


class Entry(NamedTuple):
    """A shape or a recipe: what it is called, its formula, and an example to draw."""

    name: str
    kind: str
    signature: str
    formula: str
    summary: str
    reference: str
    example: Schedule | None
    total_steps: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; of the example, 33 values over its course."""
        values = []
        if self.example is not None:
            values = [self.example(self.total_steps * i / 32) for i in range(33)]
        shown = "" if isinstance(self.example, shapes.Function) else repr(self.example)
        return {**self._asdict(), "example": shown, "values": values}


def _examples() -> dict[str, tuple[Schedule, int]]:
    """For each shape and recipe, a plan that shows what is typical, and how far to look."""
    s, r = shapes, recipes
    plans: dict[str, Schedule | tuple[Schedule, int]] = {
        "Constant": s.Constant(0.5, 100),
        "Cosine": s.Cosine(100),
        "Exponential": s.Exponential(100),
        "ExponentialDecay": (s.ExponentialDecay(0.97), 100),
        "Function": (s.Function(lambda t: 0.6 + 0.4 * math.cos(t / 8)), 100),
        "Geometric": s.Geometric(100, end=0.01),
        "Hold": s.Warmup(30) >> s.Hold(70),
        "Hyperbolic": s.Hyperbolic(100, upper=1.2),
        "InverseSqrt": (s.InverseSqrt(5), 100),
        "InverseTime": (s.InverseTime(10), 100),
        "Linear": s.Linear(100),
        "MultiStepDecay": (s.MultiStepDecay((30, 80), factor=0.4), 100),
        "OneMinusSqrt": s.OneMinusSqrt(100),
        "PiecewiseCosine": s.PiecewiseCosine(((0, 0.1), (20, 1.0), (50, 0.4), (100, 0.0))),
        "PiecewiseLinear": s.PiecewiseLinear(((0, 0.1), (20, 1.0), (50, 0.4), (100, 0.0))),
        "PiecewiseRamp": s.PiecewiseRamp(((0, 1), (40.5, 0.3), (100, 0)), s.Polynomial(power=3)),
        "Polynomial": s.Polynomial(100, power=2),
        "PowerLaw": (s.PowerLaw(5, exponent=0.7), 100),
        "Rex": s.Rex(100, alpha=0.8),
        "StepDecay": (s.StepDecay(25, factor=0.5), 100),
        "Tanh": s.Tanh(100),
        "Warmup": s.Warmup(100),
        "budgeted_linear": r.budgeted_linear(),
        "exp_range": (r.exp_range(13, factor=0.98), 104),
        "flat_cosine": r.flat_cosine(),
        "noam": (r.noam(512, 15), 100),
        "one_cycle": r.one_cycle().lr,
        "sgdr": (r.sgdr(15, t_mult=2), 105),
        "slanted_triangular": r.slanted_triangular(),
        "triangular": (r.triangular(13), 104),
        "triangular2": (r.triangular2(13), 104),
        "warmup_cosine": r.warmup_cosine("15%"),
        "warmup_linear": r.warmup_linear("15%"),
        "wsd": r.wsd("15%", "30%"),
    }
    return {
        key: plan if isinstance(plan, tuple) else (plan.resolve(100), 100)
        for key, plan in plans.items()
    }


def catalogue() -> list[Entry]:
    """Every shape and recipe, in order of name, the shapes first.

    A shape that was registered by defining it is listed too.
    """
    examples = _examples()
    composed = (Sequence, Product, Sum, Clip, Repeat, Part, Stairs, Ramp, Decay, Piecewise)
    kinds = {
        key: kind
        for key, kind in sorted(Schedule.known.items())
        if kind not in composed and key != "Leaf"
    }
    functions = {
        key: value
        for key in sorted(recipes.__all__)
        if inspect.isfunction(value := getattr(recipes, key))
    }
    found = []
    for key, source in (kinds | functions).items():
        plan, total = examples.get(key) or (_guess(source), 100)
        text = inspect.getdoc(source) or ""
        found.append(
            Entry(
                key,
                "recipe" if key in functions else "shape",
                _signature(key, source),
                _formula(text, source),
                _first(text),
                _reference(text),
                plan,
                total,
            )
        )
    return found


def _signature(key: str, source: Any) -> str:
    """How to call it; the types are left out."""
    signature = inspect.signature(source)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    shown = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return key + re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", shown)


def _guess(kind: Any) -> Schedule | None:
    """An example of a shape that has none here; most need nothing but a length."""
    try:
        return kind(100).resolve(100)
    except (TypeError, ArgumentError, UnresolvedError):
        return None


def _first(text: str) -> str:
    """The first paragraph of a docstring."""
    return re.sub(r"\s+", " ", text.split("\n\n", maxsplit=1)[0]).replace("`", "")


def _formula(text: str, source: Any) -> str:
    """The first formula of a docstring; a recipe without one is told by what it returns."""
    before_args = re.split(r"\n\s*(?:Args|Returns|Raises):\n|>>> ", text)[0]
    spans_of_code = (re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", before_args))
    found = next((span for span in spans_of_code if " = " in span or " >> " in span), None)
    return _FORMULAS.get(source.__name__) or found or _first(text)


_FORMULAS = {
    "Hold": "value(t) = the level where the phase before ended",
    "PiecewiseLinear": "value(t) = straight lines through (step, level) pairs",
    "Tanh": "curve(u) = tanh between lower and upper, scaled to go from 0 to 1",
    "Warmup": "curve(u) = u, or (1 - cos(pi * u)) / 2, from end / steps to end",
    "one_cycle": "shape(warmup, start=1/div, end=1) >> shape(end=1/(div * final_div))",
    "sgdr": "Cosine(first, end=end).repeat(times, length_mult=t_mult)",
    "slanted_triangular": "Linear(cut, start=1/ratio, end=1) >> Linear(end=1/ratio)",
    "triangular": "(Linear(up, start=low, end=1) >> Linear(down, end=low)).repeat()",
    "triangular2": "triangular(up, down, low=low), but .repeat(peak_mult=0.5)",
}
"""For docstrings that tell theirs in words, or in more than one line."""


def _reference(text: str) -> str:
    """The source that a docstring names, with its year, or nothing."""
    blocks = text.split("\n\n")
    found = [b for b in blocks if re.search(r"\((?:19|20)\d\d\)", b) and ">>>" not in b]
    return re.sub(r"\s+", " ", found[-1]).strip() if found else ""
