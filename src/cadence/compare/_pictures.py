"""The pictures of a comparison: schedules, losses and paired differences.

Data and drawing are apart, as in `cadence.plot`, whose colours and axes these are: a plan has the
same colour in each picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cadence import plot
from cadence._wording import shortened
from cadence.compare._evidence import curve_metric
from cadence.compare._trial import Comparison, Trial
from cadence.compare._verdict import Pair, Verdict
from cadence.compare._words import interval
from cadence.errors import CadenceError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Band", "band", "differences", "drawing", "losses", "picture", "schedules"]

POINTS = 160
"""At most so many points of a loss are drawn; each is a mean over its stretch of the run."""

WIDTH = 4.2
"""Inches: on a phone the letters are then still as large as they were meant."""

WIDE = 6.6

NAME, LETTERS, LINE = 60, 58, 0.32
"""Letters of a name and of a line, and the room of a further line in units of a pair."""


@dataclass(frozen=True, eq=False)
class Band:
    """The metric of one plan over its run, as the mean and the range of its finished seeds.

    Args:
        plan: The plan's name.
        steps: The middle of each stretch of the run.
        mean: The mean over the seeds.
        low: The lowest of the seeds.
        high: The highest.
        lost: Steps and values of each run that did not finish, as far as they are numbers.
    """

    plan: str
    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lost: tuple[tuple[np.ndarray, np.ndarray], ...]


def band(comparison: Comparison, plan: str, points: int = POINTS) -> Band:
    """The judged runs of a plan on common stretches of the run, one for each point to draw."""
    runs = [trial for trial in comparison.trials if (trial.plan, trial.role) == (plan, "verdict")]
    metric = curve_metric(comparison)
    logged = [(trial, *_logged(trial, metric)) for trial in runs]
    finished = [(steps, values) for t, steps, values in logged if _whole(t) and len(steps)]
    lost = tuple((steps, values) for t, steps, values in logged if not _whole(t) and len(steps))
    if not finished:
        none = np.array([])
        return Band(plan, none, none, none, none, lost)
    every = np.unique(np.concatenate([steps for steps, _ in finished]))
    size = -(-len(every) // points)
    edges = np.append(every[::size], every[-1] + 1)
    rows = np.array([_means(steps, values, edges) for steps, values in finished])
    told = ~np.isnan(rows).all(axis=0)
    middles = np.array([every[i : i + size].mean() for i in range(0, len(every), size)])
    rows, middles = rows[:, told], middles[told]
    mean, low, high = (reduce(rows, axis=0) for reduce in (np.nanmean, np.nanmin, np.nanmax))
    return Band(plan, middles, mean, low, high, lost)


def _logged(trial: Trial, metric: str) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(trial.metrics.get(metric, ()), dtype=np.float64)
    steps = np.asarray(trial.steps, dtype=np.float64)[: len(values)]
    return steps[np.isfinite(values)], values[np.isfinite(values)]


def _whole(trial: Trial) -> bool:
    return trial.status == "finished" and math.isfinite(trial.score)


def _means(steps: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The mean of the values between each two edges; NaN where there are none."""
    counts, _ = np.histogram(steps, edges)
    sums, _ = np.histogram(steps, edges, weights=values)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


@contextmanager
def drawing() -> Any:
    """What matplotlib is asked for in a report: the same every time, letters that stay letters.

    A plan's name may have signs that its font lacks; a box in their place is no reason to warn.
    """
    import warnings

    from matplotlib import rc_context

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "cadence"}
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)
        yield


def _figure(heights: Sequence[float], width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, sum(heights)), facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
    axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=list(heights))[:, 0]
    return figure, list(axes)


def _curves(comparison: Comparison, verdict: Verdict) -> list[plot.Curve]:
    """The plans as curves, or none if one of them has no length."""
    curves = []
    for standing in verdict.standings:
        plan, base = comparison.plans[standing.plan], standing.peak or 1.0
        try:
            curves.append(
                plot.curve(plan, comparison.total_steps, base, label=_plain(standing.plan))
            )
        except CadenceError:
            return []
    return curves


def schedules(comparison: Comparison, verdict: Verdict, ax: Axes | None = None) -> Figure | None:
    """The plans, each with its peak; None where their lengths are not known."""
    curves = _curves(comparison, verdict)
    if not curves:
        return None
    ax = ax or _figure([2.1])[1][0]
    plot.plot(curves, ax=ax, title="", phases=False)
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()
    return _figure_of(ax)


def _bands(comparison: Comparison, verdict: Verdict) -> list[Band]:
    """The metric of each plan, or none if it was not logged at all."""
    bands = [band(comparison, standing.plan) for standing in verdict.standings]
    return bands if any(len(one.steps) or one.lost for one in bands) else []


def losses(comparison: Comparison, verdict: Verdict, ax: Axes | None = None) -> Figure | None:
    """The metric along the runs: the mean of each plan, and the range of its seeds as a band.

    Runs that did not finish are thin lines that end in a cross. None where nothing was logged.
    """
    bands = _bands(comparison, verdict)
    if not bands:
        return None
    ax = ax or _figure([2.4])[1][0]
    for i, one in enumerate(bands):
        style: dict[str, Any] = {"color": plot.COLORS[i % len(plot.COLORS)]}
        if len(one.steps):
            ax.fill_between(one.steps, one.low, one.high, alpha=0.13, linewidth=0, **style)
            dashes = plot.DASHES[i % len(plot.DASHES)]
            ax.plot(one.steps, one.mean, linestyle=dashes, linewidth=1.6, **style)
        for steps, values in one.lost:
            ax.plot(steps, values, linewidth=0.7, alpha=0.7, **style)
            ax.plot(steps[-1:], values[-1:], "x", markersize=5, **style)
    _axes(ax, curve_metric(comparison))
    ax.set_xlabel("step", color=plot.INK, fontsize=9)
    ends = [steps[-1] for one in bands for steps, *_ in [(one.steps,), *one.lost] if len(steps)]
    ax.set_xlim(0, comparison.total_steps or max(ends) or 1)
    window = _window(bands)
    if window is not None:
        ax.set_ylim(*window)
    return _figure_of(ax)


def _window(bands: Sequence[Band]) -> tuple[float, float] | None:
    """All values after a tenth of the run, since those of the first steps dwarf the rest."""
    drawn = [one for one in bands if len(one.steps)]
    if not drawn:
        return None
    end = max(one.steps[-1] for one in drawn)
    later = [
        values[one.steps >= min(end / 10, one.steps[-1])]
        for one in drawn
        for values in (one.low, one.high)
    ]
    low, high = min(map(np.min, later)), max(map(np.max, later))
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return float(low - room), float(high + room)


def differences(verdict: Verdict, ax: Axes | None = None) -> Figure | None:
    """Each pair: the seeds as dots, their mean, and its interval; what is not claimed is grey."""
    pairs = [pair for pair in verdict.pairs if pair.seeds]
    if not pairs:
        return None
    ax = ax or _figure([_height(pairs)])[1][0]
    colors = {s.plan: plot.COLORS[i % len(plot.COLORS)] for i, s in enumerate(verdict.standings)}
    ax.axvline(0, color=plot.INK, linewidth=0.8)
    for (y, text), pair in zip(places := _places(pairs), pairs, strict=True):
        color = colors[pair.better] if pair.resolved else plot.GREY
        # The seeds lie a little below their mean, so that neither hides the other.
        ax.plot(
            pair.differences,
            np.full(len(pair.seeds), y + 0.2),
            "o",
            color=color,
            markersize=3.2,
            alpha=0.55,
            markeredgewidth=0,
        )
        if math.isfinite(pair.low):
            ax.plot([pair.low, pair.high], [y, y], color=color, linewidth=2.0)
        ax.plot([pair.mean], [y], "D" if pair.resolved else "o", color=color, markersize=5)
        label = ax.annotate(
            text,
            (0, y - 0.22),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            va="bottom",
            color=plot.INK,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5},
        )
        label.set_in_layout(False)  # a long one must not squeeze the axes
    _axes(ax, "")
    ax.set_ylim(places[-1][0] + 0.55, -0.75)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)
    ax.set_xlabel(f"better by ({verdict.metric})", color=plot.INK, fontsize=9)
    return _figure_of(ax)


def _told(pair: Pair) -> str:
    if len(pair.seeds) < 2:
        return "one seed"
    return f"{interval(pair)}{'' if pair.resolved else ', not resolved'}"


def _places(pairs: Sequence[Pair]) -> list[tuple[float, str]]:
    """Where the mean of each pair is drawn, and what is written above it, in lines that fit."""
    import textwrap

    places, y = [], -1.0
    for pair in pairs:
        better, worse = (shortened(name, NAME) for name in (pair.better, pair.worse))
        lines = textwrap.wrap(f"{better} over {worse}: {_told(pair)}", LETTERS)
        y += 1 + LINE * (len(lines) - 1)
        places.append((y, _plain("\n".join(lines))))
    return places


def _height(pairs: Sequence[Pair]) -> float:
    return 0.55 + 0.42 * (1 + _places(pairs)[-1][0]) if pairs else 0.0


def picture(comparison: Comparison, verdict: Verdict) -> Figure:
    """All of it on one sheet, under the verdict's headline."""
    import textwrap

    pairs = [pair for pair in verdict.pairs if pair.seeds]
    panels = [
        (2.0, _curves(comparison, verdict), lambda ax: schedules(comparison, verdict, ax)),
        (2.5, _bands(comparison, verdict), lambda ax: losses(comparison, verdict, ax)),
        (_height(pairs), pairs, lambda ax: differences(verdict, ax)),
    ]
    panels = [(height, draw) for height, there_is, draw in panels if there_is]
    lines = textwrap.wrap(_plain(verdict.headline), 78)
    figure, axes = _figure([height for height, _ in panels] or [1.0], WIDE)
    for ax, (_, draw) in zip(axes, panels, strict=False):
        draw(ax)
    if not panels:
        axes[0].set_axis_off()
    figure.suptitle("\n".join(lines), fontsize=10.5, color=plot.INK, x=0.012, ha="left")
    rows = _legend(axes[0], verdict)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.25 + 0.19 * (len(lines) + rows))
    return figure


def _legend(ax: Axes, verdict: Verdict) -> int:
    """The plans' names above the axes; tells how many rows they take."""
    from matplotlib.lines import Line2D

    names = [_plain(shortened(s.plan, NAME)) for s in verdict.standings]
    looks = [
        (plot.COLORS[i % len(plot.COLORS)], plot.DASHES[i % len(plot.DASHES)])
        for i in range(len(names))
    ]
    columns = 4 if max(map(len, names), default=0) <= 16 else 1
    ax.legend(
        [Line2D([], [], color=color, linestyle=dashes, linewidth=1.8) for color, dashes in looks],
        names,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=8,
        labelcolor=plot.INK,
        handlelength=2.8,
    )
    return -(-len(names) // columns)


def _plain(name: str) -> str:
    """A name as matplotlib shows it as it is: dollars would make it a formula."""
    return name.replace("$", r"\$")


def _axes(ax: Axes, ylabel: str) -> None:
    """The look of `cadence.plot`, for axes that do not begin with 0."""
    plot.frame(ax)
    ax.set_ylabel(_plain(ylabel), color=plot.INK, fontsize=9)


def _figure_of(ax: Axes) -> Figure:
    figure: Any = ax.figure
    return figure
