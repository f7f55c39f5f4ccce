"""The picture of a range test: losses over rates, the bracket shaded, the suggestion marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cadence.plot import COLORS, GREY, INK, frame, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cadence.range_finder._result import RangeResult

__all__ = ["draw"]

SHADE = "#d9e8f5"
ROW = 0.042
"""The height of a rule's row, as a share of the picture's."""


def draw(found: RangeResult, ax: Axes | None = None) -> Axes:
    """Draw the raw and the smoothed losses of every repeat, the bracket and what each rule says."""
    from matplotlib.patheffects import withStroke

    ax = new_axes(6.6, 3.6)[0] if ax is None else ax
    blue, orange = COLORS[0], COLORS[1]
    for i, curve in enumerate(found.curves):
        ax.plot(curve.rates, curve.losses, ".", color=GREY, markersize=2.0, alpha=0.5, zorder=2)
        label = "smoothed, one line for each repeat" if i == 0 else None
        ax.plot(curve.rates, curve.smooth, color=blue, linewidth=1.4, zorder=3, label=label)
    ax.set_xscale("log")
    ax.set_xlim(found.start, found.end)
    least, low, high = _limits(found)
    ax.set_ylim(low, high)
    # Below the least loss there are the rules, to which an axis of losses says nothing.
    ax.set_yticks([tick for tick in ax.get_yticks() if least <= tick <= high])
    bracket, suggestion = found.bracket, found.suggestion
    if bracket is not None and suggestion is not None:
        words = f"bracket {bracket.low:.2g} to {bracket.high:.2g}"
        ax.axvspan(*bracket, color=SHADE, linewidth=0, zorder=0, label=words)
        words = f"suggestion {suggestion:.2g}"
        ax.axvline(suggestion, color=orange, linewidth=1.6, zorder=4, label=words)
        rows = ax.get_xaxis_transform()
        for i, (name, reading) in enumerate(found.rules.items()):
            # A row for each, below the curves: neighbours are often close.
            y = 0.03 + ROW * (len(found.rules) - 1 - i)
            ax.plot([reading.low, reading.high], [y, y], color=INK, linewidth=1.0, transform=rows)
            ax.plot([reading.rate], [y], "o", color=INK, markersize=2.5, transform=rows, zorder=5)
            left = reading.low > found.start * 1e3
            ax.annotate(
                name,
                (reading.low if left else reading.high, y),
                xytext=(-4 if left else 4, 0),
                xycoords=rows,
                textcoords="offset points",
                fontsize=6.5,
                color=INK,
                ha="right" if left else "left",
                va="center",
                zorder=6,
                path_effects=[withStroke(linewidth=1.5, foreground="white")],
            )
    ax.set_xlabel("learning rate", color=INK, fontsize=9)
    ax.set_ylabel("loss", color=INK, fontsize=9)
    frame(ax)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, fontsize=8,
            handlelength=1.6, columnspacing=1.5, borderaxespad=0.2,
        )  # fmt: skip
    return ax


def _limits(found: RangeResult) -> tuple[float, float, float]:
    """The least loss, and the ends of the axis: a diverging loss leaves the picture at its top."""
    curves = [curve for curve in found.curves if len(curve)]
    if not curves:
        return 0.0, 0.0, 1.0
    low = min(float(curve.smooth.min()) for curve in curves)
    falls = [slice(int(curve.smooth.argmin()) + 1) for curve in curves]
    high = max(float(c.smooth[fall].max()) for c, fall in zip(curves, falls, strict=True))
    raw = np.concatenate([c.losses[fall] for c, fall in zip(curves, falls, strict=True)])
    low, high = min(low, float(raw.min())), max(high, float(np.quantile(raw, 0.99)))
    room = (high - low) or abs(high) or 1.0
    below = ROW * (len(found.rules) + 0.5)
    return low, low - room * 1.25 * below / (1 - below), high + 0.25 * room
