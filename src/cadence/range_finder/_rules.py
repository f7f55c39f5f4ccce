"""Rules that read one rate off a sweep's curve: this library's, and those of others by name.

Every rule gets the rates, the smoothed losses and the raw ones, all finite, and returns a rate.
The others' formulas are written out here, off-by-ones included, so that one sweep can be read as
each library would read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cadence.range_finder._curve import Curve, smoothed

__all__ = ["OTHERS", "RULES", "read_all"]

THEIRS = 0.98
"""The weight of the past in the moving average of fastai and of Lightning."""
LEAST = 20
"""A curve of fewer points is not read: the rules leave out up to 15 of them."""


def valley(rates: np.ndarray, smooth: np.ndarray) -> float:
    """Half-way down the longest fall: fastai's default.

    The length of the longest strictly falling subsequence is counted back from its last point, and
    the rate in the middle of the three thirds of that stretch is taken.
    """
    length = np.ones(len(smooth), dtype=int)
    for i in range(1, len(smooth)):
        length[i] += length[:i][smooth[:i] > smooth[i]].max(initial=0)
    end = int(length.argmax())
    start = end - int(length[end])  # may be -1; the thirds below lead back to the curve
    third = (end - start) / 3
    return float(rates[start + int(third) + int(third / 2)])


def slide(rates: np.ndarray, smooth: np.ndarray) -> float:
    """Right of the fall, before the rise: an interval of 15 points slides in from the right.

    It stops where the slopes at its ends differ by at most 0.005.
    """
    slope = np.gradient(smooth)
    right, left = -1, -16
    found = rates[left]
    while left >= -len(smooth) and abs(slope[right] - slope[left]) > 0.005:
        found = rates[left]
        right, left = right - 1, left - 1
    return float(found)


def tenth_of_minimum(rates: np.ndarray, smooth: np.ndarray) -> float:
    """A tenth of the rate at which the loss is lowest."""
    return float(rates[smooth.argmin()]) / 10


def steep(rates: np.ndarray, smooth: np.ndarray) -> float:
    """The steepest fall per unit of the rate's logarithm."""
    return float(rates[(np.diff(smooth) / np.diff(np.log(rates))).argmin()])


def slope(rates: np.ndarray, smooth: np.ndarray) -> float:
    """The same before the minimum: behind it, what falls is a loss that has diverged already."""
    before = max(int(smooth.argmin()), 1) + 1
    return steep(rates[:before], smooth[:before])


def torch_lr_finder(rates: np.ndarray, losses: np.ndarray) -> float:
    """The steepest fall per point, of an average that gives the newest loss a weight of 0.05."""
    smooth = losses.copy()
    for i in range(1, len(smooth)):
        smooth[i] = 0.05 * losses[i] + 0.95 * smooth[i - 1]
    return float(rates[10:-5][np.gradient(smooth[10:-5]).argmin()])


def lightning(rates: np.ndarray, smooth: np.ndarray) -> float:
    """The steepest fall per unit of the rate itself, since Lightning 2.5.3."""
    return float(rates[10:-1][np.gradient(smooth[10:-1], rates[10:-1]).argmin()])


def _trimmed(curve: Curve, smooth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without the first tenth of the planned points, where the average settles, and the last 5."""
    inside = slice(curve.planned // 10, -5)
    return curve.rates[inside], smooth[inside]


Rule = Callable[[np.ndarray, np.ndarray], float]

RULES: dict[str, Rule] = {"valley": valley, "slope": slope, "minimum/10": tenth_of_minimum}
"""What the bracket is made of."""

FASTAI: dict[str, Rule] = {
    "fastai valley": valley,
    "fastai slide": slide,
    "fastai minimum": tenth_of_minimum,
    "fastai steep": steep,
}
"""fastai's suggestions; the first is its default."""

OTHERS = (*FASTAI, "torch-lr-finder", "Lightning")
"""What other libraries suggest, for comparison."""


def read_all(curve: Curve) -> dict[str, float]:
    """What each rule says of a curve; NaN where it is too short to be read.

    The others see the losses through the moving averages of their own libraries.
    """
    if len(curve) - curve.planned // 10 < LEAST:
        return dict.fromkeys([*RULES, *OTHERS], math.nan)
    own, theirs = _trimmed(curve, curve.smooth), smoothed(curve.losses, THEIRS)
    trimmed = _trimmed(curve, theirs)
    return {
        **{name: rule(*own) for name, rule in RULES.items()},
        **{name: rule(*trimmed) for name, rule in FASTAI.items()},
        "torch-lr-finder": torch_lr_finder(curve.rates, curve.losses),
        "Lightning": lightning(curve.rates, theirs),
    }
