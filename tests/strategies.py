"""Hypothesis strategies: levels, shapes, and plans composed of them to any depth.

Every plan is valid by construction, so nothing is thrown away: the strategies keep the rules of
the algebra (at most one open phase, endless ones last, percentages within 100 %, one side of a
product without absolute levels).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache, reduce
from typing import Any, Literal, TypeVar

from hypothesis import assume
from hypothesis import strategies as st

import cadence as cd
from cadence import Horizon, Schedule, absolute
from cadence.errors import ArgumentError
from cadence.levels import Level
from cadence.shapes import Piecewise
from cases import three_halvings

T = TypeVar("T")
Length = Literal["closed", "open", "endless"]

RELATIVE = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0]) | st.floats(1e-6, 4.0) | st.floats(-1.0, 0.0)
ABSOLUTE = (st.sampled_from([0.0, 1e-6, 0.01, 1.0]) | st.floats(1e-8, 2.0)).map(absolute)
POSITIVE = st.sampled_from([1e-6, 0.1, 1.0, 3.0]) | st.floats(1e-4, 4.0)

PERIOD = st.integers(1, 50) | st.integers(1, 500) | st.floats(0.1, 90) | st.just("0.5ep")
EXPONENT = st.just(1.0) | st.floats(0.3, 4)

RAMPS: dict[type[cd.Ramp], dict[str, st.SearchStrategy]] = {
    cd.Linear: {},
    cd.Warmup: {"shape": st.sampled_from(["linear", "cosine"])},
    cd.Cosine: {"k": EXPONENT, "power": EXPONENT},
    cd.Polynomial: {"power": EXPONENT, "k": EXPONENT},
    cd.Exponential: {"ratio": st.floats(0.01, 0.99) | st.floats(1.01, 9)},
    cd.OneMinusSqrt: {},
    cd.Rex: {"alpha": st.floats(0, 0.99)},
    cd.Tanh: {"lower": st.floats(-8, -0.1), "upper": st.floats(0.1, 8)},
    cd.Hyperbolic: {"upper": st.floats(1, 5)},
    cd.Logarithmic: {"scale": st.floats(0.01, 1e4)},
}
DECAYS: dict[type[cd.Decay], dict[str, st.SearchStrategy]] = {
    cd.StepDecay: {"every": PERIOD, "factor": st.floats(0, 1)},
    cd.MultiStepDecay: {
        "milestones": st.lists(st.integers(0, 90), max_size=4).map(sorted),
        "factor": st.floats(0, 1),
    },
    cd.ExponentialDecay: {"factor": st.floats(0, 1), "per": PERIOD},
    cd.InverseTime: {"timescale": PERIOD},
    cd.InverseSqrt: {"timescale": PERIOD},
    cd.PowerLaw: {"timescale": PERIOD, "exponent": st.floats(0, 4)},
}
POINTS = st.lists(
    st.integers(0, 90) | st.integers(-80, 360).map(lambda k: k / 4), min_size=1, max_size=4
).map(sorted)

CURVES = st.sampled_from([*RAMPS]).flatmap(lambda kind: st.builds(kind, **RAMPS[kind]))


@cache
def levels(*, only_relative: bool = False) -> st.SearchStrategy[Level]:
    """Multiples of the base and, unless told otherwise, absolute levels."""
    return RELATIVE if only_relative else RELATIVE | ABSOLUTE


@cache
def lengths(budget: Decimal, *, low: int = 0) -> st.SearchStrategy[int | str]:
    """Lengths of a phase; the percentages of all phases of a run share one budget."""
    steps = st.integers(low, 4) | st.integers(low, 60) | st.integers(low, 3000)
    others = st.sampled_from(["1ep", "0.5ep", "2.5epochs", "1Ksamples", "3000tok", "0.12Mtok"])
    if budget < 1:
        return steps | others
    percent = st.integers(0, int(budget * 100)).map(lambda n: f"{Decimal(n) / 100}%")
    return steps | others | percent


@st.composite
def shapes(
    draw: st.DrawFn,
    length: Length = "closed",
    *,
    budget: Decimal = Decimal(100),
    only_relative: bool = False,
    least: int = 0,
) -> Schedule:
    """One shape with parameters all over their ranges; closed, open or endless."""
    level = levels(only_relative=only_relative)
    steps = draw(lengths(budget, low=least)) if length == "closed" else None
    kinds: list[Any] = []
    if length != "endless":
        kinds += [*RAMPS, cd.Hold, cd.Constant, cd.Geometric]
    if length != "open":
        kinds += [*DECAYS, cd.Function, cd.CosineWave]
    if length == "closed" and not least:
        kinds += [cd.PiecewiseLinear, cd.PiecewiseCosine, cd.PiecewiseRamp]
    kind = draw(st.sampled_from(kinds))
    if kind is cd.Hold:
        return cd.Hold(steps)
    if kind is cd.Constant:
        return cd.Constant(draw(level), steps)
    if kind is cd.Function:
        return cd.Function(three_halvings, steps=steps)
    if kind is cd.CosineWave:
        period, start = draw(PERIOD | st.floats(0.1, 99.0)), draw(st.none() | level)
        return cd.CosineWave(period, start=start, end=draw(level), steps=steps)
    if issubclass(kind, Piecewise):
        points = tuple((step, draw(level)) for step in draw(POINTS))
        return kind(points, draw(CURVES)) if kind is cd.PiecewiseRamp else kind(points)
    if kind is cd.Geometric:
        start, end = draw(POSITIVE), draw(POSITIVE)
        if only_relative or draw(st.booleans()):
            return cd.Geometric(steps, start=start, end=end)
        return cd.Geometric(steps, start=absolute(start), end=absolute(end))
    fields = {name: draw(field) for name, field in {**RAMPS, **DECAYS}[kind].items()}
    if kind in RAMPS:
        fields["end"] = draw(level)
    return kind(**fields, steps=steps, start=draw(st.none() | level))


@st.composite
def plans(
    draw: st.DrawFn,
    max_depth: int = 5,
    *,
    length: Length | None = None,
    budget: Decimal = Decimal(100),
    only_relative: bool = False,
    mixed_clips: bool = True,
    least: int = 0,
) -> Schedule:
    """Plans nested up to `max_depth`: sequences, products, sums, clips, repeats, parts, stairs.

    Args:
        draw: Given by hypothesis.
        max_depth: How many compositions lie above a shape at most.
        length: Whether the plan is closed, open or endless; any by default.
        budget: Percent of the run that the closed phases may take together.
        only_relative: Leave out absolute levels.
        mixed_clips: Whether a clip may bound relative levels by absolute ones.
        least: Steps that the plan has at the least, for the body of a repeat.
    """
    if length is None:
        length = draw(st.sampled_from(["closed", "open", "endless"]))
    options: dict[str, Any] = {"only_relative": only_relative, "budget": budget}
    forms = ["leaf", "sequence", "sequence", "product", "sum", "clip", "repeat", "stairs"]
    # A part of an open plan has a length of its own, or the whole run's: it never is open.
    form = draw(st.sampled_from(forms if length == "open" else [*forms, "part"]))
    if max_depth == 0 or form == "leaf":
        return draw(shapes(length, least=least, **options))
    options.update(max_depth=max_depth - 1, mixed_clips=mixed_clips)
    # One side goes deep, or plans would grow like trees.
    shallow = {"max_depth": min(max_depth - 1, 1)}
    if form == "sequence":
        count = draw(st.integers(2, 4))
        options["budget"] = (budget / count).quantize(Decimal("0.01"))
        kinds: list[Length] = ["closed"] * count
        if length != "closed":
            kinds[-1 if length == "endless" else draw(st.integers(0, count - 1))] = length
        deep = draw(st.integers(0, count - 1))
        parts = [
            draw(plans(length=kind, **(options if i == deep else {**options, **shallow})))
            for i, kind in enumerate(kinds)
        ]
        if least:
            parts.append(cd.Linear(least, end=0.5))
        return reduce(lambda a, b: a >> b, parts)
    if form in ("product", "sum"):
        left = draw(plans(length=length, least=least, **options))
        options["only_relative"] = only_relative or form == "product"
        if draw(st.booleans()):
            right = draw(levels(only_relative=options["only_relative"]))
        else:
            other = "closed" if length == "closed" else draw(st.sampled_from(["closed", length]))
            right = draw(plans(length=other, **{**options, **shallow}))
        return left * right if form == "product" else left + right
    if form == "clip":
        options["only_relative"] = only_relative or not mixed_clips
        plan = draw(plans(length=length, least=least, **options))
        low, high = sorted([draw(POSITIVE), draw(POSITIVE)])
        kind = draw(st.sampled_from(["relative", "absolute", "mixed"]))
        bounds: list[Level] = [low, high]
        if kind != "relative" and not options["only_relative"]:
            bounds = [absolute(low), absolute(high) if kind == "absolute" else high]
        keep = draw(st.sampled_from(["both", "low", "high"]))
        return plan.clip(
            low=bounds[0] if keep != "high" else None, high=bounds[1] if keep != "low" else None
        )
    if form == "stairs":
        every = st.integers(1, 9) | st.integers(1, 500)
        plan = draw(plans(length=length, least=least, **options))
        # A plan on a clock of its own has its lengths in steps, and goes on at its own pace.
        own = plan._lacking() is None and next(plan._durations(), None) is None
        each = draw(st.none() | st.integers(1, 9)) if own else None
        # In a cycle whose own length must be known, no percentage is; and a part of the run for
        # each of many steps may come to more than the run.
        if budget >= 1 and each is None:
            every |= st.sampled_from(["0.5ep", "3%"])
        return plan.stairs(draw(every), each=each)
    if form == "part":
        return draw(stretches(length, least=least, **options))
    return draw(repeats(length, least=least, **options))


@st.composite
def stretches(
    draw: st.DrawFn, length: Length, *, budget: Decimal, least: int, **options
) -> Schedule:
    """A part of a plan: up to a step or to the plan's end, at its own pace or another."""
    options["budget"] = budget
    place = st.integers(0, 60) | st.integers(0, 2000)
    if length == "endless":
        return draw(plans(length="endless", **options)).part(draw(place))
    if draw(st.booleans()):
        # In a cycle whose own length must be known, nothing may depend on the run's.
        kinds: list[Length] = (
            ["closed", "open", "endless"] if budget >= 1 else ["closed", "endless"]
        )
        plan = draw(plans(length=draw(st.sampled_from(kinds)), **options))
        start = draw(place)
        stop = start + draw(st.integers(least, 60) | st.integers(least, 2000))
    else:
        # The rest of an open plan may be all of the run.
        kinds = ["closed", "open"] if budget == 100 and not least else ["closed"]
        plan = draw(plans(length=draw(st.sampled_from(kinds)), least=least, **options))
        most = plan.steps - least if isinstance(plan.steps, int) else 0
        start, stop = draw(st.integers(0, max(most, 0))), None
    paces = st.integers(least, 60) | st.integers(least, 2000) if least else lengths(budget)
    return plan.part(start, stop, steps=draw(st.none() | paces))


@st.composite
def repeats(draw: st.DrawFn, length: Length, *, budget: Decimal, least: int, **options) -> Schedule:
    """A repeated plan: of fixed cycles, or of cycles that are fitted to a length."""
    mults = {
        "length_mult": draw(st.sampled_from([1.0, 1.0, 2.0, 3.0, 1.5, 1.1])),
        "peak_mult": draw(st.sampled_from([1.0, 0.5, 0.0]) | st.floats(0, 1)),
    }
    if length == "endless" or (length == "closed" and draw(st.booleans())):
        # The cycle's own length must be known: percentages of it belong to the other form.
        body = draw(plans(length="closed", least=max(least, 1), budget=Decimal(0), **options))
        times = None if length == "endless" else draw(st.integers(1, 4))
        return body.repeat(times, **mults)
    body = draw(plans(length="open", **options))
    times = draw(st.integers(1, 4))
    if length == "open":
        return body.repeat(times, **mults)
    if budget >= 1 and not least and draw(st.booleans()):
        share = draw(st.integers(1, int(budget)))
        return body.repeat(times, over=f"{share}%", **mults)
    return fitting(lambda n: body.repeat(times, over=n, **mults), draw(st.integers(1, 200)))


def fitting(make: Callable[[int], T], steps: int) -> T:
    """What `make` gives at the first length, from `steps` on, into which the phases fit."""
    while True:
        try:
            return make(steps)
        except ArgumentError as error:
            if "must fit into the run" not in str(error):
                raise
            steps *= 4
            assume(steps < 1 << 50)


HORIZON = {"steps_per_epoch": 40, "samples_per_step": 32, "tokens_per_step": 2048}


@st.composite
def resolved(draw: st.DrawFn, **options) -> tuple[Schedule, Schedule, Horizon]:
    """A plan, the same plan resolved, and the horizon: any at which its phases fit."""
    plan = draw(plans(**options))
    total = draw(st.integers(1, 50) | st.integers(1, 100_000))

    def at(steps: int) -> tuple[Schedule, Schedule, Horizon]:
        horizon = Horizon(steps, **HORIZON)
        return plan, plan.resolve(horizon), horizon

    return fitting(at, total)


def scalars(plan: Schedule) -> st.SearchStrategy[float]:
    """Steps: near the plan's joints, between whole steps, and absurdly far."""
    joints = st.sampled_from([0, *plan.compiled().begins])
    nearby = st.sampled_from([-1.0, -0.5, -1e-9, 0.0, 1e-9, 0.5, 1.0])
    around = st.builds(lambda joint, by: max(0.0, joint + by), joints, nearby)
    far = st.sampled_from([1e6, 1e15, 1e15 + 0.5, 2.0**53, 1e30, 1e300])
    return st.integers(0, 5000) | st.floats(0, 5000) | around | far
