"""Forecasts drawn: measured, fitted, predicted with their bands; the rates below."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cadence._wording import shortened
from cadence.forecast._predict import Forecast, Forecaster
from cadence.forecast._walk import Walk
from cadence.plot import COLORS, DASHES, GREY, INK, frame, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Line", "lines", "plot"]

BEGINNING = 0.08
"""The part of the picture whose losses may lie above it."""

SHORT = 60
"""Letters of a plan in the legend."""


@dataclass(frozen=True, eq=False)
class Line:
    """One line of the picture: what it is of, its points, and a band if it has one.

    Args:
        kind: `"measured"`, `"fitted"`, `"predicted"` or `"rate"`.
        label: What to call it.
        x: Steps.
        y: Losses or rates.
        low: The band's lower edge.
        high: Its upper edge.
        color: Which of the palette's colours it has.
    """

    kind: str
    label: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    color: int = 0


def lines(law: Forecaster, forecasts: Iterable[Forecast] = ()) -> list[Line]:
    """What a picture of a fit and some forecasts shows."""
    found: list[Line] = []
    for i, group in enumerate(law.groups):
        found.extend(Line("measured", g.label, g.steps, g.losses, color=i) for g in group)
        log = group[0]
        fitted = law.law.of(Walk(log.rates, log.steps))
        found.append(Line("fitted", log.label, log.steps, fitted, color=i))
        every = np.unique(np.linspace(0, log.last, 1000).round().astype(int))
        found.append(Line("rate", log.label, every, log.rates[every], color=i))
    for i, one in enumerate(forecasts, len(law.groups)):
        found.append(Line("predicted", one.label, one.steps, one.loss, one.low, one.high, i))
        found.append(Line("rate", one.label, one.steps, one.rates, color=i))
    return found


def plot(law: Forecaster, forecasts: Forecast | Iterable[Forecast] = ()) -> list[Axes]:
    """Draw what was measured and fitted, and forecasts with their bands; the rates below.

    Returns:
        The axes of the losses and of the rates; `cadence.plot.save` writes their figure.

    >>> import numpy as np
    >>> from cadence import Cosine
    >>> from cadence.forecast import Momentum, fit, logged, plot
    >>> truth = Momentum(L0=2.0, A=0.4, alpha=0.5, C=2.0, decay=0.99)
    >>> steps, high = np.arange(100, 9000, 100), np.full(9000, 1e-3)
    >>> low = np.where(np.arange(9000) < 6000, 1e-3, 1e-4)
    >>> law = fit([logged(steps, truth.loss(r, steps), r) for r in (high, low)], law="momentum")
    >>> [axes.get_ylabel() for axes in plot(law, law.predict(Cosine(), 9000))]
    ['loss', 'learning rate']
    """
    if isinstance(forecasts, Forecast):
        forecasts = [forecasts]
    drawn = lines(law, forecasts)
    named = sum(line.kind == "predicted" for line in drawn) + len(law.groups)
    above, below = new_axes(7.2, 4.6 + 0.2 * named, (3, 1.2))
    for line in drawn:
        _draw(below if line.kind == "rate" else above, line)
    end = max(line.x[-1] for line in drawn)
    low = min(np.min(line.y if line.low is None else line.low) for line in drawn if _is_loss(line))
    # The first losses are far above all that is of interest.
    late = [line.y[line.x >= BEGINNING * end] for line in drawn if _is_loss(line)]
    high = max(float(part.max()) for part in late if part.size)
    above.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    below.set_ylim(bottom=0)
    below.set_xlim(0, end)
    for axes, label in ((above, "loss"), (below, "learning rate")):
        _style(axes, label)
    below.set_xlabel("step", color=INK, fontsize=9)
    above.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), frameon=False, fontsize=8, labelcolor=INK,
        handlelength=2.6, labelspacing=0.3, borderaxespad=0.2,
    )  # fmt: skip
    return [above, below]


def _draw(axes: Axes, line: Line) -> None:
    color = COLORS[line.color % len(COLORS)]
    dash: Any = DASHES[line.color % len(DASHES)]
    if line.kind == "measured":
        axes.plot(line.x, line.y, ".", color=color, markersize=2.5, alpha=0.45, zorder=2)
    elif line.kind == "fitted":
        label = f"fitted: {shortened(line.label, SHORT)}"
        axes.plot(line.x, line.y, color=color, linewidth=1.4, linestyle=dash, label=label, zorder=3)
    elif line.kind == "predicted":
        assert line.low is not None
        assert line.high is not None
        axes.fill_between(
            line.x, line.low, line.high, color=color, alpha=0.16, linewidth=0, zorder=1
        )
        told = f"{line.y[-1]:.3f}, {_half(line):.1%} either way"
        label = f"predicted: {shortened(line.label, SHORT)} ({told})"
        axes.plot(line.x, line.y, color=color, linewidth=1.8, linestyle=dash, label=label, zorder=4)
    else:
        axes.plot(line.x, line.y, color=color, linewidth=1.4, linestyle=dash, zorder=3)


def _is_loss(line: Line) -> bool:
    return line.kind != "rate"


def _half(line: Line) -> float:
    assert line.high is not None
    return float(line.high[-1] / line.y[-1] - 1.0)


def _style(axes: Axes, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_ylabel(label, color=INK, fontsize=9)
    frame(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.10g}")
    axes.yaxis.get_offset_text().set(fontsize=8, color=GREY)
    if label == "learning rate":
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4), useMathText=True)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
