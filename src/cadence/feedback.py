"""Feedback: controllers, which answer metrics by lowering or raising the rate.

A **controller** is a pure fold: `update(state, metric) -> (state, factor)`. It knows no clock, no
optimizer and no plan, and keeps nothing in itself: whoever calls it holds the state, a flat dict
of plain values, and multiplies each group's rate by the factor, within what `limited` allows.
The same metrics therefore give the same decisions, in any process and after any resume.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from cadence import _checks
from cadence.errors import ArgumentError
from cadence.levels import (
    Absolute,
    Check,
    Level,
    affine,
    canonical,
    one_of,
    optional,
    param,
    real,
    whole,
)

__all__ = ["Controller", "Greedy", "Plateau", "SpikeGuard"]

State = dict[str, Any]


class Controller(ABC):
    """What answers metrics. For one's own: a frozen dataclass with `start` and `update`.

    >>> @dataclass(frozen=True)
    ... class Halve(Controller):
    ...     above: float
    ...
    ...     def start(self):
    ...         return {"cuts": 0}
    ...
    ...     def update(self, state, metric):
    ...         cut = metric > self.above
    ...         return {"cuts": state["cuts"] + cut}, 0.5 if cut else 1.0
    >>> halve = Halve(above=3.0)
    >>> halve.update(halve.start(), 3.5)
    ({'cuts': 1}, 0.5)
    """

    @abstractmethod
    def start(self) -> State:
        """The state before the first metric: plain JSON values under keys that stay the same."""

    @abstractmethod
    def update(self, state: State, metric: float) -> tuple[State, float]:
        """The state after a metric, and what to multiply the rate by now; 1.0 leaves it alone.

        The same arguments give the same result, and the given state is not changed.
        """

    def reason(self, before: State, after: State, metric: float, factor: float) -> str:
        """Why `update` gave a factor other than 1.0, in a phrase for the log."""
        del before, after, factor
        return f"the metric is {metric:.6g}"

    def standing(self, state: State) -> float:
        """The factor that will be undone again, with which a group that is added has to join."""
        del state
        return 1.0

    def limited(self, rate: float, factor: float, base: float) -> float:
        """The new rate of a group that has `rate` now and `base` as its own base rate."""
        del base
        return rate * factor


_inside = real(above=0, below=1)


def _limit(**bounds: float) -> Check:
    """A multiple within bounds, or an absolute level that is not negative."""

    def check(where: str, name: str, value: Any) -> Level:
        if isinstance(value, Absolute):
            _checks.number(where, name, value.value, low=0)
            return value
        return _checks.number(where, name, value, **bounds)

    return check


def _weight(ema: float, count: int) -> float:
    """The weight of the newest of `count` values in their bias-corrected moving average."""
    return (1 - ema) / (1 - ema**count)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


@dataclass(frozen=True, kw_only=True)
class _Patient(Controller):
    """What waits for better metrics: which one is better, and for how many to wait."""

    mode: Literal["min", "max"] = param(one_of("min", "max"), default="min")
    factor: float = param(_inside, default=0.1)
    patience: int = param(whole(), default=10)
    threshold: float = param(real(low=0), default=1e-4)
    threshold_mode: Literal["rel", "abs"] = param(one_of("rel", "abs"), default="rel")
    cooldown: int = param(whole(), default=0)
    nan: Literal["raise", "bad", "ignore"] = param(
        one_of("raise", "bad", "ignore"), default="raise"
    )

    def __post_init__(self) -> None:
        canonical(self, type(self).__name__)
        if (self.mode, self.threshold_mode) == ("min", "rel") and self.threshold >= 1:
            raise ArgumentError(
                f"{type(self).__name__}: 'threshold' must be < 1 (got {self.threshold!r}), or no "
                "metric is ever better; write threshold_mode='abs' for a difference"
            )

    def _heeds(self, metric: float) -> bool:
        """Whether to judge a metric: always, but for a NaN that is to be ignored."""
        if not math.isnan(metric):
            return True
        where = type(self).__name__
        if self.nan == "raise":
            raise ArgumentError(
                f"{where}: 'metric' must be a number (got nan); write {where}(..., nan='bad') to "
                "count a NaN as no better, or nan='ignore' to pass over it"
            )
        return self.nan == "bad"

    def _is_better(self, metric: float, best: float | None) -> bool:
        sign = 1 if self.mode == "min" else -1
        if best is None:
            return sign * metric < math.inf
        if self.threshold_mode == "rel":
            return sign * metric < sign * (best * (1 - sign * self.threshold))
        return sign * metric < sign * (best - sign * self.threshold)

    def _stalled(self, before: State, after: State) -> str:
        best, bad = after["best"], _counted(before["bad"] + 1, "metric")
        if best is None:
            return f"nothing to compare with in {bad}"
        return f"no better than {best:.6g} for {bad}"


@dataclass(frozen=True, kw_only=True)
class Plateau(_Patient):
    """Lower the rate when the metric stops improving.

    After more than `patience` metrics in a row that are no better than the best, the rate is
    multiplied by `factor`. Decision for decision this is torch's `ReduceLROnPlateau`.

    Args:
        mode: Whether a better metric is smaller (`"min"`) or larger (`"max"`).
        factor: What the rate is multiplied by, between 0 and 1.
        patience: How many metrics in a row may be no better.
        threshold: By how much a metric must beat the best to be better.
        threshold_mode: Whether that is a fraction of the best (`"rel"`) or a difference (`"abs"`).
        cooldown: How many metrics after a reduction do not count as no better.
        nan: What a NaN does: `"raise"`, count as no better (`"bad"`, as in torch), or nothing
            (`"ignore"`).
        floor: The lowest rate: a fraction of the group's base, or `absolute(...)`.
        eps: A reduction of a group's rate by no more than this is left out.
        ema: Judge a moving average instead of the metric itself, with weights `ema**age` of the
            metrics so far: `mean += (metric - mean) * (1 - ema) / (1 - ema**count)`. That is
            Adam's bias correction, so the mean is true from the first metric on. Infinite
            metrics are judged as they are and leave the mean alone.

    >>> plateau = Plateau(patience=1, floor=0.02)
    >>> state, rates = plateau.start(), [0.5]
    >>> for metric in (3.0, 2.0, 2.1, 2.2, 2.3, 2.4):
    ...     state, factor = plateau.update(state, metric)
    ...     rates.append(plateau.limited(rates[-1], factor, base=0.5))
    >>> rates
    [0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.01]
    """

    floor: Level = param(_limit(low=0), default=0.0)
    eps: float = param(real(low=0), default=1e-8)
    ema: float | None = param(optional(_inside), default=None)

    def start(self) -> State:
        return {"best": None, "bad": 0, "cooldown": 0, "mean": 0.0, "count": 0}

    def update(self, state: State, metric: float) -> tuple[State, float]:
        metric, after = float(metric), dict(state)
        if not self._heeds(metric):
            return after, 1.0
        if self.ema is not None and math.isfinite(metric):
            after["count"] += 1
            after["mean"] += (metric - after["mean"]) * _weight(self.ema, after["count"])
            metric = after["mean"]
        if self._is_better(metric, after["best"]):
            after["best"], after["bad"] = metric, 0
        else:
            after["bad"] += 1
        if after["cooldown"] > 0:
            after["cooldown"] -= 1
            after["bad"] = 0
        if after["bad"] <= self.patience:
            return after, 1.0
        after["cooldown"], after["bad"] = self.cooldown, 0
        return after, self.factor

    def reason(self, before: State, after: State, metric: float, factor: float) -> str:
        del metric, factor
        return self._stalled(before, after)

    def limited(self, rate: float, factor: float, base: float) -> float:
        p, q = affine(self.floor)
        new = max(rate * factor, p * base + q)
        return new if rate - new > self.eps else rate


@dataclass(frozen=True, kw_only=True)
class Greedy(_Patient):
    """Raise the rate while the metric improves, lower it while it does not.

    After more than `patience` metrics in a row of which each beats the best, the rate is divided
    by `factor`; after as many that are no better it is multiplied by it. The decisions are those
    of GreedyLR in transformers. Its `eps` is left out: with it, a rate can stop just above the
    floor, where `reset` never comes.

    Args:
        mode, threshold, threshold_mode, nan: As for :class:`Plateau`.
        factor: What the rate is multiplied or divided by, between 0 and 1.
        patience: How many metrics in a row may be better, or no better, without an answer.
        cooldown: How many metrics are passed over after lowering.
        warmup: How many metrics are passed over after raising.
        floor: How far down: a multiple of the plan's own rate, or `absolute(...)`. The defaults
            are GreedyLR's at a rate of 0.1.
        ceiling: How far up; of the same kind as `floor`.
        window: Judge the mean of this many latest metrics instead of the metric itself. Infinite
            metrics are judged as they are and do not enter it.
        reset: After this many reductions at the floor, without a raise in between, forget
            everything and go back to the plan's own rate (`reset_start`, 500 there). It needs
            limits that are multiples, since a controller does not see the rates.

    >>> greedy = Greedy(patience=1, factor=0.5)
    >>> state, factors = greedy.start(), []
    >>> for metric in (4.0, 3.0, 2.0, 2.5, 2.4, 2.3):
    ...     state, factor = greedy.update(state, metric)
    ...     factors.append(factor)
    >>> factors
    [1.0, 2.0, 1.0, 1.0, 0.5, 1.0]

    GreedyLR: A Novel Adaptive Learning Rate Scheduler (2025), arXiv:2512.14527.
    """

    factor: float = param(_inside, default=0.95)
    threshold: float = param(real(low=0), default=1e-6)
    threshold_mode: Literal["rel", "abs"] = param(one_of("rel", "abs"), default="abs")
    warmup: int = param(whole(), default=0)
    floor: Level = param(_limit(above=0, high=1), default=0.01)
    ceiling: Level = param(_limit(low=1), default=10.0)
    window: int | None = param(optional(whole(1)), default=None)
    reset: int | None = param(optional(whole(1)), default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        floor, ceiling = self.floor, self.ceiling
        if isinstance(floor, Absolute) and isinstance(ceiling, Absolute):
            if floor.value > ceiling.value:
                raise ArgumentError(f"Greedy: 'floor' must be <= {ceiling!r} (got {floor!r})")
            if self.reset is not None:
                raise ArgumentError(
                    f"Greedy: 'reset' needs limits that are multiples (got floor={floor!r}); "
                    "write Greedy(..., reset=None)"
                )
        elif isinstance(floor, Absolute) or isinstance(ceiling, Absolute):
            raise ArgumentError(
                f"Greedy: 'floor' and 'ceiling' must be of one kind (got {floor!r} and "
                f"{ceiling!r}); give both as multiples or both as absolute(...)"
            )

    def start(self) -> State:
        counts = dict.fromkeys(("good", "bad", "cooldown", "warmup", "at_floor"), 0)
        return {"best": None, **counts, "scale": 1.0, "values": []}

    def update(self, state: State, metric: float) -> tuple[State, float]:
        metric, after = float(metric), dict(state)
        if not self._heeds(metric):
            return after, 1.0
        if self.window is not None and math.isfinite(metric):
            after["values"] = [*after["values"], metric][-self.window :]
            metric = math.fsum(after["values"]) / len(after["values"])
        for wait in ("cooldown", "warmup"):
            if after[wait] > 0:
                after[wait] -= 1
                return after, 1.0
        if self._is_better(metric, after["best"]):
            after.update(best=metric, good=after["good"] + 1, bad=0)
        else:
            after.update(bad=after["bad"] + 1, good=0)
        if after["good"] > self.patience:
            after.update(good=0, warmup=self.warmup, at_floor=0)
            return self._scaled(after, 1 / self.factor)
        if after["bad"] > self.patience:
            after.update(bad=0, cooldown=self.cooldown)
            return self._scaled(after, self.factor)
        return after, 1.0

    def _scaled(self, after: State, factor: float) -> tuple[State, float]:
        """Keep the product of all factors within the limits, where these are multiples."""
        floor, ceiling, old = self.floor, self.ceiling, after["scale"]
        if isinstance(floor, Absolute) or isinstance(ceiling, Absolute):
            return after, factor
        after["scale"] = new = min(max(old * factor, floor), ceiling)
        if factor < 1 and new == floor:
            after["at_floor"] += 1
            if after["at_floor"] == self.reset:
                return {**self.start(), "cooldown": self.cooldown}, 1 / old
        return after, new / old

    def standing(self, state: State) -> float:
        return state["scale"]

    def reason(self, before: State, after: State, metric: float, factor: float) -> str:
        del metric
        if factor < 1:
            return self._stalled(before, after)
        if after["best"] is None:
            cuts = _counted(before["at_floor"] + 1, "reduction")
            return f"{cuts} at the floor: back to the plan"
        good = _counted(before["good"] + 1, "metric")
        return f"a new best for {good} in a row, now {after['best']:.6g}"

    def limited(self, rate: float, factor: float, base: float) -> float:
        del base
        if isinstance(self.floor, Absolute) and factor < 1:
            return min(rate, max(rate * factor, self.floor.value))
        if isinstance(self.ceiling, Absolute) and factor > 1:
            return max(rate, min(rate * factor, self.ceiling.value))
        return rate * factor


@dataclass(frozen=True, kw_only=True)
class SpikeGuard(Controller):
    """Lower the rate for a while after a spike of the loss, a NaN or an infinite loss.

    A metric is a spike where `metric - mean > max(sigmas * std, (ratio - 1) * |mean|)`, with
    the moving mean and standard deviation of the metrics that were no spikes, weighted by
    `ema**age`. The rate is multiplied by `factor` until `updates` metrics in a row were no
    spikes, and then by `1 / factor`. It has no floor: what cuts a reduction short would make
    the recovery overshoot.

    Args:
        factor: What the rate is multiplied by, between 0 and 1.
        updates: For how many metrics after the last spike.
        sigmas: How many standard deviations above the mean a spike is.
        ratio: How many times the mean it is at least, so that a quiet curve's ripples are none.
            For a ratio alone, `sigmas=0`.
        ema: The weight of a metric relative to the next one.
        burn_in: How many metrics to gather before any but NaN and infinity is a spike.
        patience: After more spikes in a row than this, they are the new level, and the
            statistics begin anew.

    >>> guard = SpikeGuard(updates=2, burn_in=4)
    >>> state, factors = guard.start(), []
    >>> for metric in (2.4, 2.5, 2.4, 2.5, 9.0, 2.4, 2.5, 2.4):
    ...     state, factor = guard.update(state, metric)
    ...     factors.append(factor)
    >>> factors
    [1.0, 1.0, 1.0, 1.0, 0.1, 1.0, 10.0, 1.0]

    The rule is that of OLMo 2 (2025), which skips updates beyond 6 standard deviations, with the
    moving statistics of ZClip (Kumar et al., 2025). Chowdhery et al., PaLM (2022), go back and
    pass over 200 to 500 batches instead.
    """

    factor: float = param(_inside, default=0.1)
    updates: int = param(whole(1), default=100)
    sigmas: float = param(real(low=0), default=6.0)
    ratio: float = param(real(low=1), default=1.1)
    ema: float = param(_inside, default=0.97)
    burn_in: int = param(whole(1), default=25)
    patience: int = param(whole(), default=50)

    def __post_init__(self) -> None:
        canonical(self, type(self).__name__)

    def start(self) -> State:
        return {"mean": 0.0, "variance": 0.0, "count": 0, "spikes": 0, "low_for": 0}

    def update(self, state: State, metric: float) -> tuple[State, float]:
        metric, after, factor = float(metric), dict(state), 1.0
        if self._is_spike(after, metric):
            factor = 1.0 if after["low_for"] else self.factor
            after["low_for"] = self.updates
            after["spikes"] += math.isfinite(metric)
            if after["spikes"] <= self.patience:
                return after, factor
            after.update(mean=0.0, variance=0.0, count=0)
        elif after["low_for"]:
            after["low_for"] -= 1
            factor = 1.0 if after["low_for"] else 1 / self.factor
        after["spikes"], after["count"] = 0, after["count"] + 1
        weight, rise = _weight(self.ema, after["count"]), metric - after["mean"]
        after["mean"] += weight * rise
        after["variance"] = (1 - weight) * (after["variance"] + weight * rise * rise)
        return after, factor

    def standing(self, state: State) -> float:
        return self.factor if state["low_for"] else 1.0

    def _is_spike(self, state: State, metric: float) -> bool:
        if not math.isfinite(metric):
            return True
        mean, std = state["mean"], math.sqrt(state["variance"])
        least = max(self.sigmas * std, (self.ratio - 1) * abs(mean))
        return state["count"] >= self.burn_in and metric - mean > least

    def reason(self, before: State, after: State, metric: float, factor: float) -> str:
        del after
        if factor > 1:
            return f"no spike in {_counted(self.updates, 'metric')}"
        if not math.isfinite(metric):
            return f"the metric is {metric}"
        std = math.sqrt(before["variance"])
        return f"{metric:.6g} is a spike: the mean is {before['mean']:.6g}, the std {std:.3g}"
