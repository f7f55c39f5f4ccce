"""The shapes: one class per curve.

To add one, write a class here and a row in `tests/cases.py`. A :class:`Ramp` needs `curve`, the
fraction of the way from start to end; a :class:`Decay` needs `decay`, the multiple of its start.
Both are written once, for numbers and arrays: `xp` is `math`, `numpy`, `torch` or `jax.numpy`.
"""

# A field `steps` is what the base class declares as a property.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import dataclasses
import math
import numbers
from bisect import bisect_right
from collections.abc import Callable, Hashable
from itertools import pairwise
from typing import Any, ClassVar, Self

from cadence import _checks
from cadence._array import Term, clamp, elementwise, power
from cadence._program import Affine, Piece, Program
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.horizon import Horizon, Length, as_length, as_period
from cadence.levels import (
    Absolute,
    Level,
    affine,
    length,
    level,
    one_of,
    optional,
    param,
    real,
    show,
)
from cadence.schedule import Leaf

__all__ = [
    "Constant",
    "Cosine",
    "CosineWave",
    "Decay",
    "Exponential",
    "ExponentialDecay",
    "Function",
    "Geometric",
    "Hold",
    "Hyperbolic",
    "InverseSqrt",
    "InverseTime",
    "Linear",
    "Logarithmic",
    "MultiStepDecay",
    "OneMinusSqrt",
    "Piecewise",
    "PiecewiseCosine",
    "PiecewiseLinear",
    "PiecewiseRamp",
    "Polynomial",
    "PowerLaw",
    "Ramp",
    "Rex",
    "StepDecay",
    "Tanh",
    "Warmup",
    "register",
]

BEGINNING = Affine(1.0, 0.0)
"""The level before the first phase."""


def _way(ramp: Ramp, a: float, b: float, n: Any) -> Term:
    """The way from `a` to `b` in `n` steps along a ramp's curve, as a function of its own time."""
    span, curve = b - a, ramp.curve
    # The two most common curves, written out: a call for each step would be felt.
    if type(ramp).curve is Linear.curve:
        return lambda t, xp: a + span * (t / n)
    if isinstance(ramp, Cosine) and type(ramp).curve is Cosine.curve and ramp._is_plain:
        return _half_cosine(a, span, n)
    return lambda t, xp: a + span * curve(t / n, xp)


def _half_cosine(a: float, span: float, n: Any) -> Callable[[Any, Any], Any]:
    """Half a cosine from `a` to `a + span` in `n` steps."""
    return lambda t, xp: a + span * (0.5 * (1.0 - xp.cos(xp.pi * (t / n))))


_COSINE = _half_cosine(0.0, 1.0, 1.0)


class Ramp(Leaf):
    """From `start` to `end` over `steps`, along a curve: the unit of extension.

    `value(t) = start + (end - start) * curve(t / steps)` for `0 <= t < steps`, then exactly
    `end`. Subclasses define `curve(u, xp)` with `curve(0) = 0` and `curve(1) = 1`.

    Args:
        steps: Length: steps, or a duration such as `"5%"`. None takes the rest of the run.
        start: Level at step 0; by default where the phase before ended, 1.0 at the beginning.
        end: Level reached at step `steps`.

    >>> class Square(Ramp):
    ...     def curve(self, u, xp):
    ...         return u * u
    >>> plan = Square(4)
    >>> plan(0), plan(2), plan(4), plan(9)
    (1.0, 0.75, 0.0, 0.0)
    """

    steps: Length | None = param(optional(length()), default=None, kw_only=False)
    start: Level | None = param(optional(level), default=None)
    end: Level = param(level, default=0.0)

    def __post_init__(self) -> None:
        kind = type(self)
        if kind.curve is Ramp.curve and kind._term is Ramp._term:
            raise ArgumentTypeError(f"{kind.__name__}: a ramp must define curve(self, u, xp)")
        super().__post_init__()

    def curve(self, u: Any, xp: Any) -> Any:
        """The fraction of the way at progress `u`, `0 <= u < 1`."""
        raise NotImplementedError

    def _term(self, a: float, b: float) -> Term:
        """The way from `a` to `b` as a function of the ramp's own time."""
        return _way(self, a, b, self.steps)

    def _begin(self, entry: Affine | None) -> Affine:
        return affine(self.start) if self.start is not None else entry or BEGINNING

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del base
        start, end, n = self._begin(entry), affine(self.end), self.steps
        if n == 0:
            return Program([Piece(0, 0, *end)])

        moving = (a if a == b else self._term(a, b) for a, b in zip(start, end, strict=True))
        return Program([Piece(0, 0, *moving), Piece(n, n, *end)])  # pyright: ignore[reportArgumentType]


class Linear(Ramp):
    """A straight line: `curve(u) = u`.

    >>> plan = Linear(10, end=0.1)
    >>> plan(0), plan(5), plan(10), plan(99)
    (1.0, 0.55, 0.1, 0.1)

    Goyal et al., Accurate, Large Minibatch SGD (2017) for warm-up; Bergsma et al., Straight to
    Zero (2025) for decay.
    """

    def curve(self, u: Any, xp: Any) -> Any:
        del xp
        return u


class Cosine(Ramp):
    """Half a cosine: `curve(u) = (1 - cos(pi * u**k)) / 2`.

    `k > 1` (k-decay) keeps the value high for longer; `k = 1` is the usual cosine annealing.
    With a `power`, what is left of the way is raised to it:
    `curve(u) = 1 - ((1 + cos(pi * u**k)) / 2)**power` falls sooner and ends more gently if it
    is above 1.

    Args:
        k: Exponent of the progress, > 0.
        power: Exponent of what is left of the way, > 0.

    >>> plan = Cosine(10, end=0.1)
    >>> plan(0), round(plan(5), 12), plan(10), plan(99)
    (1.0, 0.55, 0.1, 0.1)

    Loshchilov and Hutter, SGDR (2016); Zhang and Li, k-decay (2020).
    """

    k: float = param(real(above=0.0), default=1.0)
    power: float = param(real(above=0.0), default=1.0)

    @property
    def _is_plain(self) -> bool:
        return self.k == self.power == 1.0

    def curve(self, u: Any, xp: Any) -> Any:
        u = u if self.k == 1.0 else u**self.k
        if self.power == 1.0:
            return _COSINE(u, xp)
        # The root of what is left, which keeps its digits near the end where 1 + cos loses them.
        root = clamp(xp.cos(0.5 * xp.pi * u), 0.0, None, xp)
        return 1.0 - root ** (2.0 * self.power)


_HALF_COSINE = Cosine()


class Warmup(Ramp):
    """From small to full: at the beginning of a plan, from `end / steps` to `end`.

    `value(t) = start + (end - start) * c(t / steps)` with `c(u) = u` (`shape="linear"`) or
    `(1 - cos(pi * u)) / 2` (`shape="cosine"`), and `start = end / steps` where the plan begins,
    so that the first update is not wasted at zero. A warm-up that is not first starts where the
    phase before ended.

    Args:
        end: Level reached; by default the group's own base.
        start: Level at step 0; 0 is allowed.
        shape: `"linear"` or `"cosine"`.

    >>> plan = Warmup(4)
    >>> plan(0), plan(2), plan(4), plan(99)
    (0.25, 0.625, 1.0, 1.0)

    Goyal et al., Accurate, Large Minibatch SGD (2017).
    """

    end: Level = param(level, default=1.0)
    shape: str = param(one_of("linear", "cosine"), default="linear")

    def curve(self, u: Any, xp: Any) -> Any:
        return u if self.shape == "linear" else _HALF_COSINE.curve(u, xp)

    def _begin(self, entry: Affine | None) -> Affine:
        if self.start is None and entry is None and self.steps:
            end = affine(self.end)
            n: Any = self.steps
            return Affine(end.p / n, end.q / n)
        return super()._begin(entry)


class Geometric(Ramp):
    """A straight line in the logarithm: `value(t) = start * (end / start)**(t / steps)`.

    Start and end must both be non-zero, of one sign and of one kind (both multiples of the base
    or both absolute).

    >>> plan = Geometric(2, end=0.01)
    >>> plan(0), round(plan(1), 12), plan(2), plan(99)
    (1.0, 0.1, 0.01, 0.01)

    The sweep of the learning-rate range test: Smith, Cyclical Learning Rates (2015).
    """

    end: Level = param(level)

    def _check(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and sum(affine(value)) == 0.0:
                raise ArgumentError(f"Geometric: '{name}' must not be 0 (got {show(value)})")
        if self.start is not None:
            self._check_pair(affine(self.start))

    def _check_pair(self, start: Affine) -> None:
        end = affine(self.end)
        if math.isnan(start.p):
            raise ArgumentError(
                "Geometric: 'start' must be given where the level before depends on the base "
                "(got None, after a clip); write Geometric(..., start=1)"
            )
        # Compared by sign, since a product of two tiny levels would be 0.
        ratio = [
            math.copysign(1.0, a * b) if a and b else 0.0 for a, b in zip(start, end, strict=True)
        ]
        if sum(ratio) != 1.0 or (start.p and start.q):
            shown = Absolute(start.q) if start.q and not start.p else show(start.p)
            mixed = f" and {Absolute(start.q)!r}" if start.p and start.q else ""
            raise ArgumentError(
                "Geometric: 'start' and 'end' must be non-zero, of one sign and of one kind "
                f"(got {shown}{mixed} and {show(self.end)}); give both as multiples or both as "
                "absolute(...)"
            )

    def _program(self, entry: Affine | None, base: Any) -> Program:
        self._check_pair(self._begin(entry))
        return super()._program(entry, base)

    def _term(self, a: float, b: float) -> Term:
        ratio, n = b / a, self.steps
        if 0.0 < ratio < math.inf:
            return lambda t, xp: a * power(ratio, t / n, xp)
        sign, low, high = math.copysign(1.0, a), abs(a), abs(b)
        return lambda t, xp: sign * low ** (1.0 - t / n) * high ** (t / n)


class Polynomial(Ramp):
    """A power of what is left: `curve(u) = 1 - (1 - u**k)**power`.

    Args:
        power: Exponent, > 0; 1 is a straight line.
        k: Exponent of the progress, > 0; `k > 1` (k-decay) keeps the value high for longer.

    >>> plan = Polynomial(10, power=2)
    >>> plan(0), plan(5), plan(10), plan(99)
    (1.0, 0.25, 0.0, 0.0)

    Chen et al., DeepLab (2016), the "poly" policy; Zhang and Li, k-decay (2020).
    """

    power: float = param(real(above=0.0), default=1.0)
    k: float = param(real(above=0.0), default=1.0)

    def curve(self, u: Any, xp: Any) -> Any:
        del xp
        return 1.0 - (1.0 - (u if self.k == 1.0 else u**self.k)) ** self.power


class Exponential(Ramp):
    """An exponential fall to a fraction of the way, scaled to reach the end.

    `curve(u) = (1 - ratio**u) / (1 - ratio)`, so `(ratio**u - ratio) / (1 - ratio)` is left.

    Args:
        ratio: What the exponential falls to before it is scaled, > 0 and not 1: the lower, the
            faster it falls first. Above 1 it falls slowly first.

    >>> plan = Exponential(10, ratio=0.25)
    >>> plan(0), round(plan(5), 12), plan(10), plan(99)
    (1.0, 0.333333333333, 0.0, 0.0)

    Hu et al., MiniCPM (2024), for the cooldown of a run.
    """

    ratio: float = param(real(above=0.0), default=0.1)

    def _check(self) -> None:
        if self.ratio == 1.0:
            raise ArgumentError("Exponential: 'ratio' must not be 1 (got 1); write Linear(...)")

    def curve(self, u: Any, xp: Any) -> Any:
        log = math.log(self.ratio)
        return xp.expm1(log * u) / math.expm1(log)


class OneMinusSqrt(Ramp):
    """The cooldown that falls fast first: `curve(u) = sqrt(u)`, so `1 - sqrt(u)` is left.

    >>> plan = OneMinusSqrt(4)
    >>> plan(0), plan(1), plan(4), plan(99)
    (1.0, 0.5, 0.0, 0.0)

    Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations (2024).
    """

    def curve(self, u: Any, xp: Any) -> Any:
        return xp.sqrt(u)


class Logarithmic(Ramp):
    """A logarithm, steep at first: `curve(u) = log(1 + scale * u) / log(1 + scale)`.

    Args:
        scale: The start is `1 + scale` times as steep as the end, > 0; towards 0 it is a
            straight line.

    >>> plan = Logarithmic(9, start=0, end=1, scale=9)
    >>> plan(0), round(plan(1), 12), plan(9), plan(99)
    (0.0, 0.301029995664, 1.0, 1.0)

    Rasley et al., DeepSpeed (2020), whose `WarmupLR` over n steps has scale n - 1.
    """

    scale: float = param(real(low=1e-9, high=1e300), default=9.0)

    def curve(self, u: Any, xp: Any) -> Any:
        return xp.log1p(self.scale * u) / math.log1p(self.scale)


class Rex(Ramp):
    """Reflected exponential: `1 - curve(u) = (1 - u) / (1 - alpha * u)`.

    Args:
        alpha: 0 is a straight line; towards 1 the value stays high for longer. `0 <= alpha < 1`.

    >>> plan = Rex(10)
    >>> plan(0), round(plan(5), 12), plan(10), plan(99)
    (1.0, 0.666666666667, 0.0, 0.0)

    Chen et al., REX: Revisiting Budgeted Training with an Improved Schedule (2021), alpha = 0.5.
    """

    alpha: float = param(real(low=0.0, high=0.999999), default=0.5)

    def curve(self, u: Any, xp: Any) -> Any:
        del xp
        return u * (1.0 - self.alpha) / (1.0 - self.alpha * u)


class Tanh(Ramp):
    """A hyperbolic tangent from `lower` to `upper`, scaled to reach both ends.

    `curve(u) = (tanh(x(u)) - tanh(lower)) / (tanh(upper) - tanh(lower))` with
    `x(u) = lower + (upper - lower) * u`.

    Args:
        lower: Argument at the start; the lower, the longer the value stays high.
        upper: Argument at the end, > lower.

    >>> plan = Tanh(10, lower=-3, upper=3)
    >>> plan(0), round(plan(5), 12), plan(10), plan(99)
    (1.0, 0.5, 0.0, 0.0)

    Hsueh et al., Stochastic Gradient Descent with Hyperbolic-Tangent Decay (2018).
    """

    lower: float = -6.0
    upper: float = 3.0

    def _check(self) -> None:
        if self.upper <= self.lower:
            raise ArgumentError(
                f"Tanh: 'upper' must be > 'lower' (got {show(self.upper)} and {show(self.lower)})"
            )
        # Far out the tangent is flat, and a curve scaled up from rounding errors is not one.
        if math.tanh(self.upper) - math.tanh(self.lower) < 0.001:
            raise ArgumentError(
                "Tanh: 'lower' and 'upper' must span at least 0.001 of the tangent's range "
                f"(got {show(self.lower)} and {show(self.upper)}); -6 and 3 are usual"
            )

    def curve(self, u: Any, xp: Any) -> Any:
        a, b = math.tanh(self.lower), math.tanh(self.upper)
        return (xp.tanh(self.lower + (self.upper - self.lower) * u) - a) / (b - a)


class Hyperbolic(Ramp):
    """A hyperbola whose early part hardly depends on the length of the run.

    `1 - curve(u) = sqrt((1 - u) * (2 * upper - 1 - u)) / sqrt(2 * upper - 1)`, a branch of a
    hyperbola with its asymptote at `upper` lengths.

    Args:
        upper: Position of the asymptote in lengths of the ramp, >= 1.

    >>> plan = Hyperbolic(10, upper=1)
    >>> plan(0), plan(5), plan(10), plan(99)
    (1.0, 0.5, 0.0, 0.0)

    Kim, HyperbolicLR: Epoch-insensitive Learning Rate Scheduler (2024).
    """

    upper: float = param(real(low=1.0, high=1e300), default=2.0)

    def curve(self, u: Any, xp: Any) -> Any:
        span = 2.0 * self.upper - 1.0
        return 1.0 - xp.sqrt((1.0 - u) * (span - u)) / math.sqrt(span)


class Hold(Leaf):
    """Keep the level where the phase before ended (1.0 at the beginning).

    Args:
        steps: Length; None takes the rest of the run.

    >>> plan = Linear(2, end=0.5) >> Hold(3)
    >>> plan(1), plan(2), plan(5), plan(99)
    (0.75, 0.5, 0.5, 0.5)
    """

    flat: ClassVar[bool] = True
    steps: Length | None = param(optional(length()), default=None, kw_only=False)

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del base
        return Program([Piece(0, 0, *(entry or BEGINNING))])


class Constant(Leaf):
    """One level throughout: `value(t) = level`.

    Args:
        level: The level.
        steps: Length; None takes the rest of the run.

    >>> plan = Constant(0.5, 10)
    >>> plan(0), plan(5), plan(10), plan(99)
    (0.5, 0.5, 0.5, 0.5)
    """

    flat: ClassVar[bool] = True
    level: Level = param(level, kw_only=False)
    steps: Length | None = param(optional(length()), default=None, kw_only=False)

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del entry, base
        return Program([Piece(0, 0, *affine(self.level))])


class CosineWave(Leaf):
    """To and fro between `start` and `end` along a cosine, without an end.

    `value(t) = start + (end - start) * (1 - cos(2 * pi * t / period)) / 2`: at `end` after half
    a period, at `start` again after a whole one. Endless unless `steps` is given; then the value
    at step `steps` is held.

    Args:
        period: Steps of the way to `end` and back, > 0; they need not be whole. Or a duration.
        start: Level at step 0; by default where the phase before ended, 1.0 at the beginning.
        end: Level half a period later.
        steps: Length; None for ever.

    >>> plan = CosineWave(25, end=0.2)
    >>> plan(0), round(plan(12.5), 12), plan(25), round(plan(1e6 + 5), 12)
    (1.0, 0.2, 1.0, 0.72360679775)

    What annealing by half a cosine becomes where nothing stops it at its end, as in torch's
    `CosineAnnealingLR`; Loshchilov and Hutter, SGDR (2016), for the half.
    """

    endless: ClassVar[bool] = True
    period: Length | float = param(as_period, kw_only=False)
    start: Level | None = param(optional(level), default=None)
    end: Level = param(level, default=0.0)
    steps: Length | None = param(optional(length()), default=None)

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del base
        start = affine(self.start) if self.start is not None else entry or BEGINNING
        period: Any = self.period

        def wave(a: float, b: float) -> Term:
            if a == b:
                return a
            half = _half_cosine(a, b - a, 0.5)
            # The place in the period is exact, however many of them are over.
            return lambda t, xp: half((t % period) / period, xp)

        ends = zip(start, affine(self.end), strict=True)
        return _until(self.steps, *(wave(a, b) for a, b in ends))


def _until(steps: Any, p: Term, q: Term) -> Program:
    """Terms that go on for ever or, where `steps` are given, up to a step whose value is held."""
    moving = Piece(0, 0, p, q)
    if steps is None:
        return Program([moving])
    return Program([*([moving] if steps else []), Piece(steps, steps, *moving.affine(steps))])


class Decay(Leaf):
    """From `start` on, a multiple of it that falls (or grows) without an end.

    `value(t) = start * decay(t)`. Endless unless `steps` is given; then the value at step
    `steps` is held. Subclasses define `decay(t, xp)` with `decay(0) = 1`.

    Args:
        start: Level at step 0; by default where the phase before ended, 1.0 at the beginning.
        steps: Length; None for ever.
    """

    endless: ClassVar[bool] = True
    start: Level | None = param(optional(level), default=None)
    steps: Length | None = param(optional(length()), default=None)

    def __post_init__(self) -> None:
        if type(self).decay is Decay.decay:
            raise ArgumentTypeError(
                f"{type(self).__name__}: a decay must define decay(self, t, xp)"
            )
        super().__post_init__()

    def decay(self, t: Any, xp: Any) -> Any:
        """The multiple of the start at step `t` of this phase."""
        raise NotImplementedError

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del base
        start = affine(self.start) if self.start is not None else entry or BEGINNING

        def term(level: float) -> Term:
            decay = self.decay
            if level in (0.0, 1.0):
                return decay if level else 0.0
            return lambda t, xp: level * decay(t, xp)

        return _until(self.steps, term(start.p), term(start.q))


class StepDecay(Decay):
    """Multiply by a factor every n steps: `decay(t) = factor**floor(t / every)`.

    Args:
        every: Steps between two drops, whole or not, or a duration.
        factor: Multiple at each drop, >= 0.

    >>> plan = StepDecay(30, factor=0.5)
    >>> plan(0), plan(29), plan(30), plan(90)
    (1.0, 1.0, 0.5, 0.125)
    """

    every: Length | float = param(as_period, kw_only=False)
    factor: float = param(real(low=0.0), default=0.1, kw_only=False)

    def decay(self, t: Any, xp: Any) -> Any:
        return power(self.factor, t // self.every, xp)

    def _program(self, entry: Affine | None, base: Any) -> Program:
        program = super()._program(entry, base)
        every: Any = self.every

        def around(t: float) -> tuple[Piece, float]:
            begin = t // every * every
            return Piece(begin, begin, *program.at(t)), begin + every

        # Values that last for a few steps only are computed faster than looked for, and where
        # drops fall between steps, rounding would decide what is at hand.
        is_worth = isinstance(every, int) and every >= 8
        return Program(program.pieces, around=around) if is_worth else program


class MultiStepDecay(Decay):
    """Multiply by a factor at each milestone: `decay(t) = factor**(milestones <= t)`.

    Args:
        milestones: Steps or durations at which the value drops, in rising order; one that is
            given twice drops twice.
        factor: Multiple at each milestone, >= 0.

    >>> plan = MultiStepDecay((30, 80), factor=0.5)
    >>> plan(0), plan(30), plan(79), plan(80)
    (1.0, 0.5, 0.5, 0.25)
    """

    milestones: tuple[Length, ...] = param(
        lambda where, name, value: _milestones(where, name, value), kw_only=False
    )
    factor: float = param(real(low=0.0), default=0.1, kw_only=False)

    def _check(self) -> None:
        known: Any = [m for m in self.milestones if isinstance(m, int)]
        if known != sorted(known):
            raise ArgumentError(
                f"MultiStepDecay: 'milestones' must be in rising order (got {self.milestones!r}); "
                f"write {tuple(sorted(known))!r}"
            )

    def _program(self, entry: Affine | None, base: Any) -> Program:
        # The value is flat between milestones; a piece for each lets a scheduler skip the rest.
        whole = super()._program(entry, base)
        moving, tail = whole.pieces[0], whole.pieces[1:]
        stop = tail[0].begin if tail else math.inf
        milestones: Any = self.milestones
        begins = sorted({0, *(m for m in milestones if m < stop)})
        flat = [Piece(b, b, *moving.affine(b)) for b in begins]
        return Program([*flat, *tail] if stop > 0 else tail)

    def decay(self, t: Any, xp: Any) -> Any:
        assert xp is math
        milestones: Any = self.milestones
        return power(self.factor, bisect_right(milestones, t), xp)


def _milestones(where: str, name: str, value: Any) -> tuple[Length, ...]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise ArgumentTypeError(
            f"{where}: '{name}' must be a sequence of steps or durations (got {value!r}); "
            "write (30, 60)"
        )
    return tuple(as_length(where, name, item) for item in value)


class ExponentialDecay(Decay):
    """Multiply by a factor per step: `decay(t) = factor**(t / per)`.

    Args:
        factor: Multiple per `per` steps, >= 0.
        per: Steps, whole or not, or a duration such as `"1ep"`, over which the factor applies
            once.

    >>> plan = ExponentialDecay(0.5)
    >>> plan(0), plan(1), plan(10), plan(1e15)
    (1.0, 0.5, 0.0009765625, 0.0)
    """

    factor: float = param(real(low=0.0), kw_only=False)
    per: Length | float = param(as_period, default=1)

    def decay(self, t: Any, xp: Any) -> Any:
        if self.factor <= 1.0:
            return self.factor ** (t / self.per)
        return power(self.factor, t / self.per, xp)  # only growth can overflow


class InverseTime(Decay):
    """Falls as one over time: `decay(t) = 1 / (1 + t / timescale)`.

    Args:
        timescale: Steps, whole or not, after which the value has halved; or a duration.

    >>> plan = InverseTime(100)
    >>> plan(0), plan(100), plan(300)
    (1.0, 0.5, 0.25)

    Robbins and Monro, A Stochastic Approximation Method (1951).
    """

    timescale: Length | float = param(as_period, kw_only=False)

    def decay(self, t: Any, xp: Any) -> Any:
        del xp
        return 1.0 / (1.0 + t / self.timescale)


class InverseSqrt(Decay):
    """Falls as one over the root of time: `decay(t) = sqrt(timescale / (timescale + t))`.

    After `Warmup(timescale)` this is the tail of the Transformer's schedule.

    Args:
        timescale: Steps, whole or not, or a duration; the value has halved after three of them.

    >>> plan = InverseSqrt(100)
    >>> plan(0), plan(300), plan(9900)
    (1.0, 0.5, 0.1)

    Vaswani et al., Attention Is All You Need (2017).
    """

    timescale: Length | float = param(as_period, kw_only=False)

    def decay(self, t: Any, xp: Any) -> Any:
        return xp.sqrt(self.timescale / (self.timescale + t))


class PowerLaw(Decay):
    """Falls as a power of time: `decay(t) = (1 + t / timescale)**-exponent`.

    Args:
        timescale: Steps, whole or not, after which the power law sets in; or a duration.
        exponent: How steeply it falls, >= 0.

    >>> plan = PowerLaw(100, exponent=2)
    >>> plan(0), plan(100), plan(900)
    (1.0, 0.25, 0.01)

    Shen et al., Power Scheduler (2024), exponent 0.51.
    """

    timescale: Length | float = param(as_period, kw_only=False)
    exponent: float = 0.5

    def decay(self, t: Any, xp: Any) -> Any:
        elapsed = 1.0 + t / self.timescale
        if self.exponent < 0.0 and xp is math:  # only growth can overflow
            return power(elapsed, -self.exponent, xp)
        return elapsed**-self.exponent


class Piecewise(Leaf):
    """Through given points along a curve: that of `ramp`, which a subclass names.

    Args:
        points: As for :class:`PiecewiseLinear`.

    >>> class PiecewiseSquare(Piecewise):
    ...     ramp = Polynomial(power=2)
    >>> plan = PiecewiseSquare(((0, 1.0), (10, 0.0)))
    >>> plan(0), plan(5), plan(10), plan(99)
    (1.0, 0.25, 0.0, 0.0)
    """

    points: tuple[tuple[Length | float, Level], ...] = param(
        lambda where, name, value: _points(where, name, value), kw_only=False
    )
    ramp: ClassVar[Ramp]

    def _check(self) -> None:
        known: Any = [step for step, _ in self.points if isinstance(step, (int, float))]
        if known != sorted(known):
            raise ArgumentError(
                f"{type(self).__name__}: 'points' must be in rising order of steps "
                f"(got {show(self.points)})"
            )

    @property
    def steps(self) -> Length:
        last = self.points[-1][0]
        return max(0, math.ceil(last)) if isinstance(last, (int, float)) else last

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        points = [
            (s if isinstance(s, (int, float)) else min(horizon.steps(s), steps), height)
            for s, height in self.points[:-1]
        ]
        last, height = self.points[-1]
        end = last if isinstance(last, (int, float)) else steps
        return dataclasses.replace(self, points=(*points, (end, height)))

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del entry, base
        points: Any = self.points
        first, height = points[0]
        pieces = [Piece(0, 0, *affine(height))] if first > 0 else []
        for (a, start), (b, end) in pairwise(points):
            if a < b and b > 0:
                ways = zip(affine(start), affine(end), strict=True)
                p, q = (x if x == y else _way(self.ramp, x, y, b - a) for x, y in ways)
                pieces.append(Piece(max(a, 0), a, p, q))
        last, height = points[-1]
        end = max(last, 0)
        return Program([*pieces, Piece(end, end, *affine(height))])


class PiecewiseLinear(Piecewise):
    """Straight lines through given points; before the first and after the last it is flat.

    Args:
        points: Pairs `(step, level)` in rising order of steps. A step may be fractional, or
            negative, where only the rest of the line counts, or a duration. Two points at one
            step make a jump.

    >>> plan = PiecewiseLinear(((0, 0.1), (10, 1.0), (30, 0.0)))
    >>> plan(0), plan(5), plan(20), plan(99)
    (0.1, 0.55, 0.5, 0.0)
    """

    ramp = Linear()


class PiecewiseCosine(Piecewise):
    """Half cosines through given points; before the first and after the last it is flat.

    `value(t) = a + (b - a) * (1 - cos(pi * u)) / 2` between the points `(s, a)` and `(e, b)`,
    with `u = (t - s) / (e - s)`.

    Args:
        points: As for :class:`PiecewiseLinear`.

    >>> plan = PiecewiseCosine(((0, 0.0), (10, 1.0), (30, 0.0)))
    >>> plan(0), round(plan(5), 12), round(plan(15), 12), plan(99)
    (0.0, 0.5, 0.853553390593, 0.0)

    Smith and Topin, Super-Convergence (2018), as the library fastai joins its phases.
    """

    ramp = _HALF_COSINE


class PiecewiseRamp(Piecewise):
    """Through given points along the curve of any ramp; before the first and after the last flat.

    `value(t) = a + (b - a) * curve(u)` between the points `(s, a)` and `(e, b)`, with
    `u = (t - s) / (e - s)`. As the points may lie between steps, this is also a ramp whose
    length is no whole number, or of which only the rest is wanted.

    Args:
        points: As for :class:`PiecewiseLinear`.
        ramp: A ramp without length and levels, such as `Tanh(lower=-3)`.

    >>> plan = PiecewiseRamp(((0, 1.0), (2.5, 0.1), (12.5, 0.0)), Polynomial(power=2))
    >>> plan(0), round(plan(2), 12), round(plan(7.5), 12), plan(99)
    (1.0, 0.136, 0.025, 0.0)
    """

    ramp: Ramp = param(  # pyright: ignore[reportIncompatibleVariableOverride]
        lambda where, name, value: _bare(where, name, value), kw_only=False
    )


def _bare(where: str, name: str, value: Any) -> Ramp:
    """A ramp that gives a curve and nothing else."""
    if not isinstance(value, Ramp) or type(value)._term is not Ramp._term:
        raise ArgumentTypeError(
            f"{where}: '{name}' must be a ramp that has a curve (got {_checks.given(value)}); "
            "write Cosine()"
        )
    fields = type(value).__dataclass_fields__
    if any(getattr(value, key) != fields[key].default for key in ("steps", "start", "end")):
        raise ArgumentError(
            f"{where}: '{name}' must have no length and no levels, which the points give "
            f"(got {value!r})"
        )
    return value


def _points(where: str, name: str, value: Any) -> tuple[tuple[Length | float, Level], ...]:
    try:
        pairs = [(step, height) for step, height in value]
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"{where}: '{name}' must be pairs of step and level (got {value!r}); "
            "write ((0, 0.1), (100, 1))"
        ) from None
    if not pairs:
        raise ArgumentError(f"{where}: '{name}' must hold at least one pair (got {value!r})")
    return tuple((_place(where, name, s), level(where, name, v)) for s, v in pairs)


def _place(where: str, name: str, value: Any) -> Length | float:
    """A step anywhere on the axis, or a duration."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        place = _checks.number(where, name, value, low=-_checks.MOST, high=_checks.MOST)
        return int(place) if place.is_integer() else place
    return as_length(where, name, value)


class Function(Leaf):
    """Any function of the step, as a multiple of the base: `value(t) = function(t)`.

    The function is called with one step at a time, an int where the step is whole, and counts
    from 0 at the beginning of its phase. It is stored as text only by a registered name.

    Args:
        function: A callable, or the name of a registered one (see :func:`register`).
        steps: Length; None for ever.

    >>> plan = Function(lambda epoch: 0.5 ** (epoch // 30))
    >>> plan(0), plan(29), plan(30), plan(90)
    (1.0, 1.0, 0.5, 0.125)
    """

    endless: ClassVar[bool] = True
    registered: ClassVar[dict[str, Callable[[Any], float]]] = {}
    function: Callable[[Any], float] = param(
        lambda where, name, value: _callable(where, name, value), kw_only=False
    )
    steps: Length | None = param(optional(length()), default=None)

    def _program(self, entry: Affine | None, base: Any) -> Program:
        del entry, base
        return _until(self.steps, lambda t, xp: elementwise(self.function, t, xp), 0.0)

    @property
    def name(self) -> str | None:
        """The name under which the function is registered, if it is."""
        names = (name for name, f in self.registered.items() if f is self.function)
        return next(names, None)

    def __repr__(self) -> str:
        name = self.name
        # Without an address, so that two processes tell the same function by the same text.
        own = self.function
        qualified = getattr(own, "__qualname__", type(own).__qualname__)
        shown = f"<{own.__module__}.{qualified}>" if name is None else repr(name)
        return f"Function({shown}{'' if self.steps is None else f', steps={self.steps!r}'})"


def _callable(where: str, name: str, value: Any) -> Callable[[Any], float]:
    if isinstance(value, str):
        if value not in Function.registered:
            hint = _checks.suggest(value, Function.registered)
            raise ArgumentError(
                f"{where}: {name!r} must be a callable or a registered name (got {value!r}){hint}; "
                "register it with @cadence.register"
            )
        return Function.registered[value]
    if not callable(value):
        raise ArgumentTypeError(f"{where}: '{name}' must be a callable (got {value!r})")
    # A plan is hashable; an object that is not (a mutable dataclass) is held by its bound method.
    function: Any = value if isinstance(value, Hashable) else value.__call__
    return function


def register(
    function: Callable[[Any], float] | None = None, *, name: str | None = None
) -> Callable[..., Any]:
    """Register a function by name, so that plans that use it can be stored as text.

    Use it as a decorator, bare or with `name=`. Registering the same name again replaces the
    function, as happens when a notebook cell is run twice.

    >>> @register
    ... def halved_every_30(step):
    ...     return 0.5 ** (step // 30)
    >>> Function(halved_every_30)
    Function('halved_every_30')
    """
    if function is None:
        return lambda f: register(f, name=name)
    function = _callable("register", "function", function)
    key = name or getattr(function, "__name__", None)
    if not isinstance(key, str) or not key.isidentifier():
        raise ArgumentError(f"register: 'name' must be an identifier (got {key!r})")
    Function.registered[key] = function
    return function
