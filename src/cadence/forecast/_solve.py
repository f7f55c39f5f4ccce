"""Fitting one law: robust least squares on the logarithm of the loss, from several starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cadence.forecast._laws import Coordinate, Law, Momentum, Scale
from cadence.forecast._logged import Logged
from cadence.forecast._walk import Walk

__all__ = ["Solution", "scale_of", "solve"]

DELTA = 1e-3
"""Where the Huber loss on log-loss goes from squares to absolute values, as in all three papers."""

CHANGES = 256
"""About how many changes of the rate a fit sums over; a forecast sums over more."""

MEMORIES = (100, 300, 1000)
"""Steps that the momentum law may remember: its authors' range of 0.99 to 0.999 for the decay."""

LINEAR = [0, 1, 3]
"""Every law is linear in these parameters, so its derivatives by them make up its loss."""

STARTS = (0.35, 0.7)
"""Exponents that fits start from."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A fitted law, the cost at which it was found, and the coordinates that lie at a bound."""

    law: Law
    cost: float
    at_bounds: tuple[str, ...]


def scale_of(logs: Sequence[Logged]) -> Scale:
    """What the coordinates of a fit to these logs are relative to."""
    return Scale(
        peak=max(log.peak for log in logs),
        total=max(float(log.rates[: log.steps[-1] + 1].sum()) for log in logs),
        highest=max(float(log.losses.max()) for log in logs),
    )


def solve(kind: type[Law], logs: Sequence[Logged]) -> Solution:
    """The law of a kind that fits these logs best."""
    scale = scale_of(logs)
    walks = [Walk(log.rates, log.steps, CHANGES) for log in logs]
    targets = np.log(np.concatenate([log.losses for log in logs]))
    fixed: list[dict[str, float]] = [{}]
    if kind is Momentum:
        longest = max(int(log.steps[-1]) for log in logs)
        fixed = [{"decay": 1 - 1 / m} for m in MEMORIES if m <= longest] or [{"decay": 0.99}]
    solutions = [
        _from(kind, walks, targets, scale, dict(one), alpha) for one in fixed for alpha in STARTS
    ]
    return min(solutions, key=lambda solution: solution.cost)


def _from(
    kind: type[Law],
    walks: Sequence[Walk],
    targets: np.ndarray,
    scale: Scale,
    fixed: dict[str, float],
    alpha: float,
) -> Solution:
    """The law that is found from one start."""
    from scipy.optimize import least_squares

    coordinates = kind.coordinates(scale)
    low = np.array([c.low for c in coordinates])
    high = np.array([c.high for c in coordinates])
    priors = [(i, c.middle, c.width) for i, c in enumerate(coordinates) if c.middle is not None]
    places = np.array([i for i, _, _ in priors])
    middles, widths = (np.array([p[k] for p in priors]) for k in (1, 2))
    pull = np.zeros((len(priors), len(coordinates)))
    pull[np.arange(len(priors)), places] = DELTA / widths
    count = len(targets)
    last: dict[str, Any] = {}

    def evaluated(point: np.ndarray) -> tuple[Law, np.ndarray, np.ndarray]:
        """The law at a point, its losses and their derivatives; both are asked for at one point."""
        if "point" not in last or not np.array_equal(last["point"], point):
            law = kind.at(point, scale, fixed)
            rows = np.concatenate([law.derivatives(walk) for walk in walks])
            loss = rows[:, LINEAR] @ np.array(list(law.values.values()))[LINEAR]
            last.update(point=point.copy(), found=(law, np.maximum(loss, 1e-300), rows))
        return last["found"]

    def residuals(point: np.ndarray) -> np.ndarray:
        loss = evaluated(point)[1]
        return np.concatenate([np.log(loss) - targets, DELTA * (point[places] - middles) / widths])

    def slopes(point: np.ndarray) -> np.ndarray:
        law, loss, rows = evaluated(point)
        return np.vstack([(rows @ law.chain(point, scale)) / loss[:, None], pull])

    def huber(squares: np.ndarray) -> np.ndarray:
        """Robust on the data; the prior stays quadratic."""
        rho = np.stack([squares, np.ones_like(squares), np.zeros_like(squares)])
        far = np.flatnonzero(squares[:count] > 1.0)
        root = np.sqrt(squares[far])
        rho[0, far], rho[1, far], rho[2, far] = 2 * root - 1, 1 / root, -0.5 / root**3
        return rho

    start = _start(kind, walks, targets, scale, fixed, alpha, coordinates)
    room = 1e-6 * (high - low)
    found = least_squares(
        residuals,
        np.clip(start, low + room, high - room),
        jac=slopes,  # pyright: ignore[reportArgumentType]
        bounds=(low, high),
        loss=huber,  # pyright: ignore[reportArgumentType]
        f_scale=DELTA,
        x_scale="jac",
        max_nfev=60,
        ftol=1e-6,
        xtol=1e-6,
    )
    near = 1e-3 * (high - low)
    at_bounds = [
        f"{c.name} at its {'lower' if x <= lo + n else 'upper'} bound"
        for c, x, lo, hi, n in zip(coordinates, found.x, low, high, near, strict=True)
        if x <= lo + n or x >= hi - n
    ]
    return Solution(kind.at(found.x, scale, fixed), float(found.cost), tuple(at_bounds))


def _start(
    kind: type[Law],
    walks: Sequence[Walk],
    targets: np.ndarray,
    scale: Scale,
    fixed: dict[str, float],
    alpha: float,
    coordinates: Sequence[Coordinate],
) -> np.ndarray:
    """A start: at this exponent, the levels that linear least squares gives."""
    from scipy.optimize import nnls

    point = np.array([0.0 if c.middle is None else c.middle for c in coordinates])
    point[2] = math.log(alpha)

    def columns(levels: tuple[float, float, float]) -> np.ndarray:
        point[[0, 1, 3]] = levels
        law = kind.at(point, scale, fixed)
        return np.concatenate([law.of(walk) for walk in walks])

    # The loss is linear in these three; differences of unit levels are their columns.
    nothing = columns((0.0, -700.0, 0.0))
    power = columns((0.0, 0.0, 0.0)) - nothing
    drop = columns((0.0, -700.0, 1.0)) - nothing
    losses = np.exp(targets)
    design = np.stack([np.ones_like(losses), power, drop], axis=1) / losses[:, None]
    levels = nnls(design, np.ones_like(losses))[0]
    point[[0, 3]] = levels[[0, 2]]
    point[1] = math.log(max(levels[1], 1e-3 * scale.highest))
    return point
