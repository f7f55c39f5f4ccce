"""Plans drawn: with matplotlib, in a terminal, as a small SVG.

Data and drawing are apart: :func:`curve` turns a plan into points, and every other function
here draws those. matplotlib is imported by the functions that need it; no global state of it is
read for long or changed, and nothing is shown by itself.
"""

from __future__ import annotations

import html
import itertools
import math
import os
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cadence import _checks
from cadence._files import replacing
from cadence._wording import shortened
from cadence.errors import ArgumentError, ArgumentTypeError, CadenceError, UnresolvedError
from cadence.horizon import Horizon
from cadence.outline import Span, nominal, spans, viewed
from cadence.schedule import Schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Curve",
    "curve",
    "describe",
    "frame",
    "new_axes",
    "notebook",
    "panels",
    "plot",
    "png",
    "save",
    "svg",
    "terminal",
]

ALL_STEPS = 1 << 22
"""Runs up to this length are looked at step by step, longer ones through a grid."""

HUGE = 1e100
"""Values beyond are as good as infinite: no axis has to hold them."""

POINTS = 4000
"""About how many points a curve keeps."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A plan as points to draw; made by :func:`curve`.

    Args:
        plan: The plan, resolved.
        base: The rate of which its levels are multiples.
        total_steps: Length of the run that is drawn.
        steps: Whole steps in rising order; the last is `total_steps`, where the plan has not
            jumped elsewhere at that very step.
        values: Exactly `plan(steps, base)`.
        jumps: Those of `steps` at which the value has jumped since the step before.
        phases: Named stretches of the run.
        label: What to call the plan.
        steps_per_epoch: Steps of an epoch where x is in epochs, else None.
    """

    plan: Schedule
    base: float
    total_steps: int
    steps: np.ndarray
    values: np.ndarray
    jumps: np.ndarray
    phases: tuple[Span, ...]
    label: str
    steps_per_epoch: float | None = None

    @property
    def unit(self) -> str:
        """What x counts: `"step"` or `"epoch"`."""
        return "step" if self.steps_per_epoch is None else "epoch"

    def at(self, step: Any) -> Any:
        """A step, or an array of steps, in the unit of x."""
        return step if self.steps_per_epoch is None else step / self.steps_per_epoch

    def outline(self) -> tuple[np.ndarray, np.ndarray]:
        """X and y of the line to draw: a jump is a vertical stroke, not a slope."""
        where = np.searchsorted(self.steps, self.jumps)
        x = np.insert(self.steps, where, self.jumps)
        y = np.insert(self.values, where, self.values[where - 1])
        return self.at(x), y


def curve(
    plan: Schedule,
    total_steps: int | Horizon | None = None,
    base: float = 1.0,
    *,
    unit: str = "steps",
    steps_per_epoch: int | None = None,
    label: str | None = None,
    points: int = POINTS,
) -> Curve:
    """The points of a plan's curve, thinned so that nothing that one could see is lost.

    Of a long run, the first, last, lowest and highest value of each of many equal stretches are
    kept, with the ends of phases and both sides of jumps. Only whole steps are evaluated, since
    those are what a run takes.

    Args:
        plan: The plan; what is not in steps is resolved against `total_steps`.
        total_steps: Steps of the run, or a :class:`~cadence.horizon.Horizon`. By default a
            plan's own length; of an endless plan, as much as shows its course.
        base: The group's own rate.
        unit: `"steps"` or `"epochs"`: what x counts.
        steps_per_epoch: Steps of an epoch, unless the horizon tells.
        label: What to call the plan; its text by default.
        points: About how many points to keep.

    Raises:
        UnresolvedError: The plan needs a horizon that was not given.

    >>> from cadence import Warmup, Cosine
    >>> found = curve(Warmup(5) >> Cosine(), 10, base=0.1)
    >>> found.steps[[0, 5, -1]], found.values[[0, 5, -1]]
    (array([ 0.,  5., 10.]), array([0.02, 0.1 , 0.  ]))
    >>> [phase.name for phase in found.phases]
    ['warm-up', 'cosine']
    """
    if not isinstance(plan, Schedule):
        raise ArgumentTypeError(f"curve: 'plan' must be a schedule (got {plan!r})")
    _checks.choice("curve", "unit", unit, ("steps", "epochs"))
    base = _checks.number("curve", "base", base)
    points = _checks.whole("curve", "points", points, low=16)
    horizon = Horizon.of(total_steps)
    if steps_per_epoch is not None:
        horizon = Horizon(
            horizon.total_steps,
            steps_per_epoch=steps_per_epoch,
            samples_per_step=horizon.samples_per_step,
            tokens_per_step=horizon.tokens_per_step,
        )
    if unit == "epochs" and horizon.steps_per_epoch is None:
        raise UnresolvedError(
            "curve: unit='epochs' needs steps_per_epoch; write steps_per_epoch=500"
        )
    label = repr(plan) if label is None else label
    plan = plan.resolve(horizon)
    total = horizon.total_steps or viewed(plan)
    phases = tuple(spans(plan, total))
    steps, values, jumps = _points(plan, total, base, phases, points)
    per_epoch = horizon.steps_per_epoch if unit == "epochs" else None
    return Curve(plan, base, total, steps, values, jumps, phases, label, per_epoch)


def _points(
    plan: Schedule, total: int, base: float, phases: Iterable[Span], points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The steps to keep, their values, and the jumps among them."""
    if total <= ALL_STEPS:
        steps = np.arange(total + 1, dtype=np.float64)
        values = plan(steps, base)
    else:
        edges = [begin for begin in plan.compiled(base).begins if begin <= total]
        edges = [*edges[:points], *(phase.begin for phase in phases)]
        near = np.array([edge + d for edge in edges for d in (-2, -1, 0, 1)]).clip(0, total)
        grid = np.linspace(0, total, ALL_STEPS // 4).round()
        steps = np.unique([*grid, *np.ceil(near), *(0, 1, total - 1, total)])
        steps = _refined(plan, base, steps)
        values = plan(steps, base)
    leaps = _leaps(steps, values)
    breaks = [b for b in _breaks(plan, base, points) if b <= total]
    leaps[np.searchsorted(steps, breaks)] = True
    jumps = np.flatnonzero(leaps)
    if len(jumps) and jumps[-1] == len(steps) - 1:
        # At the very end of the run a new cycle begins, or a drop falls: that is not in it.
        steps, values, jumps = steps[:-1], values[:-1], jumps[:-1]
    if len(jumps) > points // 4:
        jumps = jumps[:0]  # too many to be told apart; the extremes of each stretch remain
    kept = [_extremes(values, points // 4), jumps, jumps - 1]
    edges = [edge for phase in phases for edge in (phase.begin, min(phase.end, steps[-1]))]
    kept.append(np.searchsorted(steps, edges))
    keep = np.unique(np.concatenate([[0, len(steps) - 1], *kept]).astype(int))
    return steps[keep], values[keep], steps[jumps]


def _breaks(plan: Schedule, base: float, most: int) -> Iterator[float]:
    """The steps at which a piece begins elsewhere than the one before it comes out."""
    pieces = plan.compiled(base).pieces[:most]
    for before, after in itertools.pairwise(pieces):
        left, right = (
            p * base + q for p, q in (before.affine(after.begin), after.affine(after.begin))
        )
        if after.begin == int(after.begin) and not math.isclose(left, right, rel_tol=1e-9):
            yield after.begin


def _leaps(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where the value has changed far more since the step before than it does around there."""
    finite = np.where(np.abs(values) < HUGE, values, np.nan)
    change = np.abs(np.diff(finite, prepend=finite[0]))
    before = np.concatenate([[np.inf, np.inf], change[1:-1]])[: len(change)]
    around = np.fmax(np.append(change[1:], 0.0), before)
    size = np.fmax(np.abs(finite), np.insert(np.abs(finite[:-1]), 0, 0.0))
    adjacent = np.diff(steps, prepend=-1.0) == 1.0
    # The second condition leaves out what is only rounding on a level stretch.
    return adjacent & (change / 4.0 > around) & (change > 1e-9 * size)


def _extremes(values: np.ndarray, stretches: int) -> np.ndarray:
    """The places of the first, last, lowest and highest value of each of some stretches."""
    if len(values) <= 4 * stretches:
        return np.arange(len(values))
    size = -(-len(values) // stretches)
    whole = np.append(values, np.full(-len(values) % size, values[-1])).reshape(-1, size)
    begins = np.arange(len(whole)) * size
    places = [begins, begins + size - 1, begins + whole.argmin(1), begins + whole.argmax(1)]
    return np.minimum(np.concatenate(places), len(values) - 1)


def _refined(plan: Schedule, base: float, steps: np.ndarray) -> np.ndarray:
    """The grid with the steps around its lowest and highest value filled in."""
    for pick in (np.nanargmin, np.nanargmax):
        best = steps
        while True:
            values = plan(best, base)
            if np.isnan(values).all():
                break
            i = int(pick(values))
            low, high = best[max(i - 1, 0)], best[min(i + 1, len(best) - 1)]
            best = np.unique(np.linspace(low, high, 1 << 12).round())
            if high - low < 1 << 12:
                steps = np.union1d(steps, best)
                break
    return steps


def describe(found: Curve) -> str:
    """A curve in one line of text, for readers who cannot see it.

    >>> from cadence import Warmup, Cosine
    >>> describe(curve(Warmup(5) >> Cosine(95)))
    'Warmup(5) >> Cosine(95): starts at 0.2, peaks at 1 (step 5), ends at 0 (step 100).'
    """
    steps, values = found.steps, found.values
    last = f"{values[-1]:.4g} (step {int(steps[-1]):,})"
    label = shortened(found.label, 200)
    if np.all(values == values[0]):
        return f"{label}: {values[0]:.4g} throughout, {int(steps[-1]):,} steps."
    text = f"starts at {values[0]:.4g}"
    for word, i in (("peaks", np.nanargmax(values)), ("is lowest", np.nanargmin(values))):
        if values[i] not in (values[0], values[-1]):
            text += f", {word} at {values[i]:.4g} (step {int(steps[i]):,})"
    return f"{label}: {text}, ends at {last}."


# Pictures.

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette in an order that keeps neighbours apart for any colour vision."""

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (9, 2)))
INK, GREY, PALE = "#222222", "#6b6b6b", "#f3f3f3"

NAMED = 12
"""At most this many curves are named in a legend."""

Plans = Schedule | Curve | Iterable[Schedule | Curve] | Mapping[str, Schedule | Curve]


def plot(
    plans: Plans,
    total_steps: int | Horizon | None = None,
    *,
    base: float = 1.0,
    unit: str = "steps",
    steps_per_epoch: int | None = None,
    log: bool = False,
    mark: float | None = None,
    phases: bool | None = None,
    title: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one plan, or several in one picture.

    Args:
        plans: A plan; or several, in a list, or in a mapping by what to call them. Curves that
            :func:`curve` has made may stand for plans.
        total_steps: Steps of the run, or a :class:`~cadence.horizon.Horizon`.
        base: The group's own rate; 1 draws multiples of it.
        unit: `"steps"` or `"epochs"`: what x counts.
        steps_per_epoch: Steps of an epoch, unless the horizon tells.
        log: Whether y is logarithmic; values that are not positive are left out.
        mark: A step to mark on every curve, such as the one a run is at.
        phases: Whether to shade and name the phases; by default of a single plan.
        title: Above the picture; by default a single plan's text, and nothing for several.
        ylabel: Beside the picture.
        ax: The axes to draw in; by default those of a new figure.

    Returns:
        The axes; `ax.figure` is the figure, and :func:`save` writes it.

    Raises:
        UnresolvedError: A plan needs a horizon that was not given.
        ArgumentError: There is nothing to draw.

    >>> from cadence import Cosine, Linear
    >>> ax = plot([Cosine(1000), Linear(1000)], log=True)
    >>> ax.get_xlabel(), ax.get_yscale()
    ('step', 'log')
    """
    options: dict[str, Any] = {
        "base": base,
        "unit": unit,
        "steps_per_epoch": steps_per_epoch,
    }
    curves = _curves(plans, total_steps, **options)
    if ax is None:
        ax = _figure([curves])[0]
    _draw(ax, curves, log=log, mark=mark, phases=phases, title=title, ylabel=ylabel)
    return ax


def panels(
    groups: Mapping[str, Plans],
    total_steps: int | Horizon | None = None,
    *,
    log: bool = False,
    mark: float | None = None,
    **options: Any,
) -> list[Axes]:
    """Draw several quantities above each other, on one x axis.

    Args:
        groups: What to draw by its name, such as `{"lr": ..., "momentum": ...}`; each is
            anything that :func:`plot` draws.
        total_steps: As for :func:`plot`.
        log: Whether y is logarithmic, in the first panel.
        mark: A step to mark on every curve.
        **options: `base`, `unit` and `steps_per_epoch`, as for :func:`plot`.

    Returns:
        The axes from top to bottom.
    """
    found = {name: _curves(plans, total_steps, **options) for name, plans in groups.items()}
    if not found:
        raise ArgumentError("panels: 'groups' must hold at least one group (got none)")
    axes = _figure(list(found.values()))
    for i, (ax, (name, curves)) in enumerate(zip(axes, found.items(), strict=True)):
        _draw(ax, curves, log=log and i == 0, mark=mark, title="", ylabel=name)
        if ax is not axes[-1]:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
    return axes


def _curves(plans: Plans, total_steps: int | Horizon | None, **options: Any) -> list[Curve]:
    if isinstance(plans, (Schedule, Curve)):
        plans = [plans]
    named: list[tuple[Any, Any]]
    if isinstance(plans, Mapping):
        named = list(plans.items())
    elif isinstance(plans, Iterable) and not isinstance(plans, str):
        named = [(None, plan) for plan in plans]
    else:
        raise ArgumentTypeError(
            f"plot: 'plans' must be a schedule or several (got {plans!r}); "
            "write cadence.parse(text) to draw a text"
        )
    if not named:
        raise ArgumentError("plot: 'plans' must hold at least one plan (got none)")
    found: list[Curve] = []
    for label, plan in named:
        if isinstance(plan, Curve):
            found.append(plan if label is None else replace(plan, label=label))
        else:
            found.append(curve(plan, total_steps, label=label, **options))
    if total_steps is None and len(found) > 1:
        # Those that have no end go on as far as the longest goes.
        longest = max(one.total_steps for one in found)
        for i, (label, plan) in enumerate(named):
            endless = found[i].plan.compiled().end == math.inf
            if isinstance(plan, Schedule) and endless and found[i].total_steps < longest:
                found[i] = curve(plan, longest, label=label, **options)
    return found


def _figure(groups: Sequence[Sequence[Curve]]) -> list[Axes]:
    """The axes of a new figure, one below the other; the figure belongs to nobody else."""
    lines = sum(
        -(-min(len(curves), NAMED) // _columns(curves)) for curves in groups if len(curves) > 1
    )
    height = 0.9 + (2.3 if len(groups) == 1 else 1.7 * len(groups)) + 0.19 * lines
    return new_axes(6.6, height, [1.0] * len(groups))


def new_axes(width: float, height: float, ratios: Sequence[float] = (1.0,)) -> list[Axes]:
    """The axes, one above the other, of a figure that belongs to nobody else."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    axes = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for ax in axes:
        # A figure that pyplot does not know of is shown by notebooks if its axes can do it.
        ax._repr_png_ = partial(png, figure)
    return list(axes)


def frame(ax: Axes) -> None:
    """The look that all pictures share: two spines, thin lines across, small ticks."""
    ax.set_facecolor("white")
    ax.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6, zorder=0)
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
        spine.set_linewidth(0.8)
    ax.tick_params(which="both", colors=INK, labelsize=8, width=0.8, length=3)
    ax.tick_params(which="minor", length=1.8, width=0.6)


def _columns(curves: Sequence[Curve]) -> int:
    """Columns of the legend, which lies above the picture, where it covers nothing."""
    longest = max(len(one.label) for one in curves)
    return min(len(curves), 1 if longest > 42 else 2 if longest > 26 else 3)


def png(figure: Figure | Axes) -> bytes:
    """A figure, or that of axes, as the content of a PNG file."""
    from io import BytesIO

    target: Any = getattr(figure, "figure", None) or figure
    file = BytesIO()
    target.savefig(file, format="png", dpi=130)
    return file.getvalue()


def _draw(
    ax: Axes,
    curves: Sequence[Curve],
    *,
    log: bool = False,
    mark: float | None = None,
    phases: bool | None = None,
    title: str | None = None,
    ylabel: str | None = None,
) -> None:
    units = {one.unit for one in curves}
    if len(units) > 1:
        raise ArgumentError("plot: all curves must count x in one unit (got steps and epochs)")
    lows, highs = [], []
    names = [shortened(one.label, 95) for one in curves]
    if len(names) > NAMED:
        names[NAMED - 1] += f" and {len(names) - NAMED} more"
        names[NAMED:] = ["_"] * (len(names) - NAMED)  # what matplotlib leaves out of legends
    for i, one in enumerate(curves):
        x, y, low = _line(one, log=log)
        lows.append(low)
        highs.append(y[~np.isnan(y)].max(initial=-math.inf))
        ax.plot(
            x,
            y,
            color=COLORS[i % len(COLORS)],
            linestyle=DASHES[i % len(DASHES)],
            linewidth=1.8,
            solid_joinstyle="round",
            label=names[i],
            zorder=3 + 0.01 * (len(curves) - i),
        )
    low, high = _limits(lows, highs, log=log)
    power = _axes(ax, curves, log=log, low=low, high=high)
    ax.set_xlabel(units.pop(), color=INK, fontsize=9)
    ylabel = _quantity(curves) if ylabel is None else ylabel
    if power:
        ylabel += f" ($10^{{{power}}}$)"
    ax.set_ylabel(ylabel, color=INK, fontsize=9)
    shaded = (len(curves) == 1 if phases is None else phases) and len(curves[0].phases) > 1
    if shaded:
        _shade(ax, curves[0])
    if mark is not None:
        _mark(ax, curves, float(mark), log=log)
    if title is None and len(curves) == 1:
        title = curves[0].label
    if len(curves) > 1:
        ax.legend(
            loc="lower left",
            bbox_to_anchor=(-0.01, 1.06 if shaded else 1.0),
            ncols=_columns(curves),
            frameon=False,
            fontsize=8,
            labelcolor=INK,
            handlelength=2.8,
            labelspacing=0.3,
            columnspacing=2.0,
            borderaxespad=0.2,
        )
        if title:
            ax.figure.suptitle(title, fontsize=9.5, color=INK, x=0.01, ha="left")
    elif title:
        lines = textwrap.wrap(shortened(title, 240), 88, break_long_words=True)
        ax.set_title("\n".join(lines), loc="left", fontsize=8.5, color=INK, pad=18 if shaded else 6)


def _quantity(curves: Sequence[Curve]) -> str:
    """What y is, when nobody has said."""
    if any(one.base != 1.0 for one in curves):
        return "learning rate"
    kinds = set()
    for one in curves:
        without = one.plan(one.steps, 0.0)
        # At base 0, what is a multiple of the base is gone, and what is absolute remains.
        kinds.add(
            "multiple of the base rate"
            if not without.any()
            else "learning rate"
            if np.array_equal(without, one.values)
            else "learning rate at base 1"
        )
    return kinds.pop() if len(kinds) == 1 else "learning rate at base 1"


def _line(one: Curve, *, log: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """X, y with gaps where it cannot be drawn, and the lowest value that is worth showing."""
    x, y = one.outline()
    drawable = np.abs(y) < HUGE
    y = np.where(drawable & (y > 0) if log else drawable, y, np.nan)
    drawn = ~np.isnan(y)
    if not drawn.any():
        return x, y, math.nan
    if not log:
        return x, y, float(np.nanmin(y))
    # A decay to 0 ends in many decades that last for a step or two each: leave those out.
    times = np.linspace(x[drawn][0], x[drawn][-1], 2000)
    return x, y, float(np.quantile(np.interp(times, x[drawn], y[drawn]), 0.003))


def _limits(lows: list[float], highs: list[float], *, log: bool) -> tuple[float, float]:
    if not any(map(math.isfinite, highs)):
        sort = "positive" if log else "finite"
        raise ArgumentError(f"plot: there must be a {sort} value to draw (got none)")
    return min(low for low in lows if math.isfinite(low)), max(highs)


def _axes(ax: Axes, curves: Sequence[Curve], *, log: bool, low: float, high: float) -> int:
    """Scales, limits, ticks and spines: set on the axes, so that no global style is touched.

    Returns:
        The power of ten that the y ticks are in units of.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    power = 0
    end = max(one.at(one.total_steps) for one in curves)
    ax.set_xlim(0, end)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=end >= 4, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(partial(_tick, end)))
    if log:
        ax.set_yscale("log")
        room = (high / low) ** 0.05 if high > low else 2.0
        ax.set_ylim(low / room, high * room)
    else:
        # From 0, but for what hardly moves, such as a momentum.
        floor = low if low < 0 or high > low > 0.6 * high else 0.0
        span = (max(high, 0.0) - floor) or 1.0
        ax.set_ylim(floor - (0.012 if floor == 0 else 0.06) * span, max(high, 0.0) + 0.06 * span)
        power = _power(low, high)
        if power:
            scale = 10.0**power
            ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y / scale:.6g}"))
    frame(ax)
    return power


def _power(low: float, high: float) -> int:
    """The power of ten to take out of numbers that would be long; 0 if they are not."""
    size = math.floor(math.log10(max(abs(low), abs(high)) or 1.0))
    return 0 if -3 < size < 5 else max(size, -300)


def _tick(end: float, value: float, position: int | None = None) -> str:
    """A tick of the x axis: 2,500 or, in a long run, 250k and 1.5M."""
    del position
    for least, power, letter in ((1e9, 9, "B"), (1e6, 6, "M"), (2e5, 3, "k")):
        if end >= least:
            return f"{value / 10**power:g}{letter}" if value else "0"
    return f"{value:,.10g}"


def _shade(ax: Axes, one: Curve) -> None:
    """Every other phase a little darker, with the names above the axes where there is room."""
    figure: Any = ax.figure
    letter = 4.6 / (72 * ax.get_position().width * figure.get_figwidth())
    taken: list[tuple[float, float]] = []
    wide, narrow = [], []
    for i, phase in enumerate(one.phases):
        if i % 2 == 0:
            ax.axvspan(one.at(phase.begin), one.at(phase.end), color=PALE, linewidth=0, zorder=-1)
        begin, end = phase.begin / one.total_steps, phase.end / one.total_steps
        half = (len(phase.name) + 1) * letter / 2
        if 2 * half <= end - begin:
            middle = (begin + end) / 2
            wide.append((phase.name, middle, middle - half, middle + half, "center"))
        else:
            # The name of a short phase begins with it and hangs over.
            narrow.append((phase.name, begin, begin, begin + 2 * half, "left"))
    for name, x, left, right, align in wide + narrow:
        if right <= 1.02 and all(right <= a or left >= b for a, b in taken):
            taken.append((left, right))
            ax.text(
                x, 1.02, name, transform=ax.transAxes, ha=align, va="bottom", fontsize=8, color=GREY
            )


def _mark(ax: Axes, curves: Sequence[Curve], step: float, *, log: bool) -> None:
    """A line at a step, with a dot on every curve and the step beside it."""
    from matplotlib.transforms import offset_copy

    x = curves[0].at(step)
    ax.axvline(x, color=GREY, linewidth=0.9, linestyle=(0, (2, 2)), zorder=2)
    heights = []
    for i, one in enumerate(curves):
        y = one.plan(step, one.base)
        if math.isfinite(y) and (y > 0 or not log):
            heights.append(y)
            ax.plot(
                [x],
                [y],
                "o",
                color=COLORS[i % len(COLORS)],
                markersize=5.5,
                markeredgecolor="white",
                markeredgewidth=1.0,
                clip_on=False,
                zorder=5,
            )
    # The words go where the curves are not.
    scaled = [ax.transLimits.transform(ax.transScale.transform((x, y)))[1] for y in heights]
    low = not scaled or sum(scaled) / len(scaled) > 0.5
    left = x > 0.8 * ax.get_xlim()[1]
    figure: Any = ax.figure
    shift = offset_copy(ax.get_xaxis_transform(), figure, x=-5 if left else 5, units="points")
    ax.text(
        x,
        0.05 if low else 0.95,
        f"{curves[0].unit} {x:,.10g}",
        transform=shift,
        ha="right" if left else "left",
        va="bottom" if low else "top",
        fontsize=8,
        color=GREY,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )


FORMATS = (".png", ".svg", ".pdf")


def save(figure: Figure | Axes, path: str | os.PathLike[str], *, dpi: float = 200) -> Path:
    """Write a picture; the suffix says which kind: .png, .svg or .pdf.

    It is written beside its place and then renamed, so that it is whole or not there.

    Args:
        figure: A figure, or axes of it.
        path: Where to write.
        dpi: Dots per inch of a .png.

    Raises:
        ArgumentError: The suffix is another.
        OSError: The file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ArgumentError(
            f"save: 'path' must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]} "
            f"(got {str(path)!r})"
        )
    target: Any = getattr(figure, "figure", None) or figure
    # No date: a picture that is drawn again is not a change.
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    with replacing(path) as unfinished:
        target.savefig(unfinished, format=path.suffix[1:].lower(), dpi=dpi, metadata=metadata)
    return path


# Text.

TERMINAL_COLORS = {"blue": 34, "red": 31, "green": 32, "magenta": 35, "yellow": 33, "cyan": 36}
ASCII_SIGNS = "+xo*~."


def terminal(
    plans: Plans,
    total_steps: int | Horizon | None = None,
    *,
    base: float = 1.0,
    unit: str = "steps",
    steps_per_epoch: int | None = None,
    log: bool = False,
    width: int | None = None,
    height: int = 14,
    color: bool | None = None,
    ascii_only: bool = False,
) -> str:
    """Draw plans with characters; each is described in a line of text as well.

    Args:
        plans: As for :func:`plot`.
        total_steps: As for :func:`plot`.
        base: As for :func:`plot`.
        unit: As for :func:`plot`.
        steps_per_epoch: As for :func:`plot`.
        log: Whether y is logarithmic.
        width: Characters in a line; by default the terminal's, and at most 100.
        height: Lines of the curve itself.
        color: Whether to tell plans apart by colour. By default where there are several, unless
            the environment variable `NO_COLOR` is set.
        ascii_only: Whether to draw with ASCII characters alone.
    """
    from uniplot import plot_to_string

    curves = _curves(plans, total_steps, base=base, unit=unit, steps_per_epoch=steps_per_epoch)
    if width is None:
        width = min(100, shutil.get_terminal_size().columns)
    if color is None:
        color = len(curves) > 1 and not os.environ.get("NO_COLOR")
    xs, ys, lows = [], [], []
    for one in curves:
        x, y, low = _line(one, log=log)
        drawn = ~np.isnan(y)
        xs.append(x[drawn])
        ys.append(y[drawn])
        lows.append(low)
    power = 0
    low, high = _limits(lows, [y.max(initial=-math.inf) for y in ys], log=log)
    if not log:
        low, high = min(low, 0.0), max(high, 0.0)
        power = _power(low, high)
        ys = [y / 10.0**power for y in ys]
        low, high = low / 10.0**power, high / 10.0**power
    if low == high:
        high = high * 1.1 or 1.0
    several = len(curves) > 1
    letters = ascii_only or (several and not color)
    picture = plot_to_string(
        xs=xs,
        ys=ys,
        lines=True,
        width=max(10, width),
        line_length_hard_cap=max(30, width),
        height=height,
        color=list(TERMINAL_COLORS) if color else False,
        character_set="ascii" if letters else "block",
        y_as_log=log,
        y_min=low,
        y_max=high,
        x_unit=f" {curves[0].unit}s",
        y_unit=f"e{power}" if power else "",
    )
    if ascii_only:
        picture = picture.translate(str.maketrans("┌┐└┘─│", "++++-|"))
    told = []
    for i, one in enumerate(curves):
        sign = ASCII_SIGNS[i % len(ASCII_SIGNS)] if letters else "█"
        if color:
            code = list(TERMINAL_COLORS.values())[i % len(TERMINAL_COLORS)]
            sign = f"\033[{code}m{sign}\033[0m"
        told.append(f"{sign} {describe(one)}" if several else describe(one))
    return "\n".join([picture.rstrip("\n"), *told])


# For notebooks.


def svg(plan: Schedule | Curve, total_steps: int | Horizon | None = None) -> str:
    """A small picture of one plan as inline SVG, made without matplotlib.

    Lines and letters take the page's own colour, so that it suits a dark page too.

    >>> from cadence import Linear
    >>> svg(Linear(100))[:60]
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 160'
    """
    found = plan if isinstance(plan, Curve) else curve(plan, total_steps, points=1200)
    x, y = found.outline()
    drawable = np.abs(y) < HUGE
    x, y = x[drawable], y[drawable]
    left, right, top, bottom = 52.0, 628.0, 22.0, 138.0
    low = min(0.0, y.min(initial=0.0))
    high = y.max(initial=low) if y.max(initial=low) > low else low + 1.0
    end = found.at(found.total_steps)
    across = left + (right - left) * x / end
    down = bottom - (bottom - top) * (y - low) / (high - low)
    corners = [(f"{a:.1f}", f"{b:.1f}") for a, b in zip(across, down, strict=True)]
    flat = zip(corners, corners[1:], corners[2:], strict=False)
    kept = [b for a, b, c in flat if not a[1] == b[1] == c[1]]
    line = " ".join(",".join(corner) for corner in [*corners[:1], *kept, *corners[-1:]])
    title = html.escape(describe(found))
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 160" role="img"',
        f' style="width:100%;max-width:640px;height:auto" aria-label="{title}">',
        f"<title>{title}</title>",
        '<g fill="currentColor" font-family="sans-serif" font-size="11">',
    ]
    for i, phase in enumerate(found.phases if len(found.phases) > 1 else ()):
        begin = left + (right - left) * phase.begin / found.total_steps
        wide = (right - left) * (phase.end - phase.begin) / found.total_steps
        if i % 2 == 0:
            parts.append(
                f'<rect x="{begin:.1f}" y="{top:g}" width="{wide:.1f}" '
                f'height="{bottom - top:g}" opacity="0.06"/>'
            )
        if 6.0 * len(phase.name) < wide:
            parts.append(_letters(begin + wide / 2, top - 7, "middle", phase.name))
    parts += [
        _letters(left - 6, top + 4, "end", f"{high:.4g}"),
        _letters(left - 6, bottom + 4, "end", f"{low:.4g}"),
        _letters(left, bottom + 17, "middle", "0"),
        _letters(right, bottom + 17, "end", f"{end:,.10g} {found.unit}s"),
        f'<path d="M{left:g} {top:g}V{bottom:g}H{right:g}" fill="none"',
        ' stroke="currentColor" opacity="0.5"/></g>',
        f'<polyline points="{line}" fill="none" stroke="#2b83c6"',
        ' stroke-width="2" stroke-linejoin="round"/></svg>',
    ]
    return "".join(parts)


def _letters(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:g}" text-anchor="{anchor}">{html.escape(text)}</text>'


def notebook(plan: Schedule) -> str:
    """What a notebook shows of a plan: its text and, as far as it can be told, its curve."""
    text = f"<code>{html.escape(shortened(repr(plan), 1000))}</code>"
    try:
        resolved, assumed = nominal(plan)
        picture = svg(curve(resolved, assumed, label=repr(plan), points=1200))
    except CadenceError as error:
        why = f"<br/><small>{html.escape(str(error))}</small>"
        return text + (why if isinstance(error, UnresolvedError) else "")
    except Exception:  # noqa: BLE001 - of a function that somebody wrote for the steps it knows
        return text
    total = resolved.compiled().end
    note = "" if assumed is None else f"drawn for a run of {assumed:,} steps"
    if assumed is None and total == math.inf:
        note = f"it has no end; drawn for {viewed(resolved):,} steps"
    return f"<div>{text}<br/>{picture}{note and f'<br/><small>{note}</small>'}</div>"
