"""Laws of the loss: how the loss of a run follows from its learning rates.

Each law is a small class with its published formula. They hold for one model, one set of data in
one pass, one batch size, and near one peak rate: what changes is the schedule.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from cadence import _checks
from cadence.forecast._walk import Walk, as_rates, as_steps

__all__ = ["LAWS", "FunctionalScaling", "Law", "Momentum", "MultiPower", "Parameter", "Scale"]


class Parameter(NamedTuple):
    """A parameter of a law: its name, its unit, and the range outside of which it means nothing."""

    name: str
    unit: str
    low: float
    high: float


class Coordinate(NamedTuple):
    """What a fit moves instead of a parameter: bounds, and where the weak prior has its middle.

    All coordinates are in units of the peak rate: a sum of rates counts steps at the peak. The
    parameters themselves slide along a ridge, on which they differ by a factor of ten at one loss.
    """

    name: str
    low: float
    high: float
    middle: float | None = None
    width: float = 1.0


class Scale(NamedTuple):
    """What the coordinates are relative to: the peak rate, the longest sum, the highest loss."""

    peak: float
    total: float
    highest: float


ALPHA = Coordinate("log alpha", math.log(0.05), math.log(3.0), math.log(0.5), 0.7)
RESPONSE = Coordinate("log response", math.log(1e-5), math.log(10.0), math.log(0.03), 2.0)
BETA = Coordinate("log beta", math.log(0.05), math.log(5.0), math.log(0.5), 0.7)
GAMMA = Coordinate("gamma", 0.0, 1.5, 0.5, 0.35)


@dataclass(frozen=True)
class Law(ABC):
    """A law with its parameters; `loss(rates, steps)` is what it says.

    Raises:
        ArgumentError: A parameter lies outside its range.
    """

    parameters: ClassVar[tuple[Parameter, ...]]
    name: ClassVar[str]
    source: ClassVar[str]

    def __post_init__(self) -> None:
        for parameter in self.parameters:
            value = _checks.number(
                type(self).__name__,
                parameter.name,
                getattr(self, parameter.name),
                low=parameter.low,
                high=parameter.high,
            )
            object.__setattr__(self, parameter.name, value)

    def loss(self, rates: Any, steps: Any) -> np.ndarray:
        """The loss at some steps of a run.

        Args:
            rates: The rate of every step from 0, the warm-up included.
            steps: Whole steps in rising order; each needs a rate.

        Raises:
            ArgumentError: The rates are not finite and >= 0, or a step has none.
        """
        return self.of(self._walk(rates, steps))

    def gradient(self, rates: Any, steps: Any) -> np.ndarray:
        """The derivatives of the loss by the parameters that a fit moves.

        One row a step, one column a parameter; the momentum law's `decay` has none.
        """
        return self.derivatives(self._walk(rates, steps))

    def _walk(self, rates: Any, steps: Any) -> Walk:
        rates = as_rates("loss", rates)
        return Walk(rates, as_steps("loss", steps, len(rates)))

    @abstractmethod
    def of(self, walk: Walk) -> np.ndarray:
        """The loss at the steps of a walk."""

    @abstractmethod
    def derivatives(self, walk: Walk) -> np.ndarray:
        """The derivatives at the steps of a walk."""

    @classmethod
    @abstractmethod
    def coordinates(cls, scale: Scale) -> tuple[Coordinate, ...]:
        """What a fit moves; the first two and `linear` are the loss's own."""

    @classmethod
    @abstractmethod
    def at(cls, point: np.ndarray, scale: Scale, fixed: dict[str, float]) -> Law:
        """The law at a point of the coordinates."""

    @abstractmethod
    def chain(self, point: np.ndarray, scale: Scale) -> np.ndarray:
        """The derivatives of the parameters by the coordinates, at this law's own point."""

    @property
    def values(self) -> dict[str, float]:
        """The parameters by their names."""
        return dataclasses.asdict(self)


def _common(scale: Scale) -> tuple[Coordinate, ...]:
    return (
        Coordinate("L0", 0.0, scale.highest),  # of a constant rate: a drop goes below
        Coordinate("log reducible", math.log(1e-4 * scale.highest), math.log(20 * scale.highest)),
        ALPHA,
        Coordinate("drop", 0.0, 2.0 * scale.highest),
    )


@dataclass(frozen=True)
class Momentum(Law):
    """The law with learning-rate annealing.

    `L(t) = L0 + A * S1(t)**-alpha - C * S2(t)`, where `S1` is the sum of the rates and `S2` that of
    the momenta `m_i = decay * m_(i-1) + (rate_(i-1) - rate_i)`, from the end of the warm-up.

    Args:
        L0: The loss that no training removes.
        A: Scale of what training removes.
        alpha: Exponent of the sum of rates.
        C: How much a drop of the rate gains, for each step of its memory.
        decay: What a step leaves of a momentum, from 0 to below 1; not fitted but chosen.

    >>> import numpy as np
    >>> law = Momentum(L0=2.0, A=0.5, alpha=0.5, C=1.0, decay=0.9)
    >>> law.loss(np.full(101, 1e-2), [24, 99]).round(6)
    array([3. , 2.5])

    Tissue, Wang and Wang, Scaling Law with Learning Rate Annealing (2024), arXiv 2408.11029.
    """

    L0: float
    A: float
    alpha: float
    C: float
    decay: float = 0.999

    name: ClassVar[str] = "momentum"
    source: ClassVar[str] = "Tissue et al. 2024, arXiv 2408.11029"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("L0", "loss", 0.0, math.inf),
        Parameter("A", "loss * rate**alpha", 0.0, math.inf),
        Parameter("alpha", "1", 0.0, math.inf),
        Parameter("C", "loss / rate", 0.0, math.inf),
        Parameter("decay", "1", 0.0, 1.0 - 1e-9),
    )

    def of(self, walk: Walk) -> np.ndarray:
        return self.L0 + self.A * walk.sums**-self.alpha - self.C * walk.second(self.decay)

    def derivatives(self, walk: Walk) -> np.ndarray:
        power = walk.sums**-self.alpha
        return np.stack(
            [
                np.ones_like(power),
                power,
                -self.A * power * np.log(walk.sums),
                -walk.second(self.decay),
            ],
            axis=1,
        )

    @classmethod
    def coordinates(cls, scale: Scale) -> tuple[Coordinate, ...]:
        return _common(scale)

    @classmethod
    def at(cls, point: np.ndarray, scale: Scale, fixed: dict[str, float]) -> Momentum:
        lowest, reducible, alpha, drop = point
        alpha = math.exp(alpha)
        return cls(
            lowest,
            math.exp(reducible) * scale.total**alpha,
            alpha,
            drop * (1.0 - fixed["decay"]) / scale.peak,
            fixed["decay"],
        )

    def chain(self, point: np.ndarray, scale: Scale) -> np.ndarray:
        del point
        matrix = np.zeros((4, 4))
        matrix[0, 0] = 1.0
        matrix[1, 1] = self.A
        matrix[1, 2] = self.A * math.log(scale.total) * self.alpha
        matrix[2, 2] = self.alpha
        matrix[3, 3] = (1.0 - self.decay) / scale.peak
        return matrix


@dataclass(frozen=True)
class MultiPower(Law):
    """The multi-power law.

    `L(t) = L0 + A * S1(t)**-alpha - B * sum_(k<=t) (rate_(k-1) - rate_k) * G(x)` with
    `G(x) = 1 - (1 + C * x)**-beta` and `x = rate_k**-gamma * (S1(t) - S1(k-1))`. The sum of drops
    begins where the warm-up ends; that of the rates has the warm-up in it.

    Args:
        L0: The loss that no training removes.
        A: Scale of what training removes.
        alpha: Exponent of the sum of rates.
        B: How much a drop of the rate gains in the end.
        C: How soon.
        beta: Exponent of how soon.
        gamma: How much sooner at lower rates.
        rise: Whether the warm-up's rise counts as a negative drop, as in the code of the law's
            authors, whose `L0` is lower by what it adds.

    >>> import numpy as np
    >>> law = MultiPower(L0=2.0, A=0.5, alpha=0.5, B=10.0, C=1.0, beta=0.5, gamma=0.5)
    >>> law.loss(np.full(101, 1e-2), [24, 99]).round(6)
    array([3. , 2.5])

    Luo et al., A Multi-Power Law for Loss Curve Prediction (ICLR 2025), arXiv 2503.12811.
    """

    L0: float
    A: float
    alpha: float
    B: float
    C: float
    beta: float
    gamma: float
    rise: bool = False

    name: ClassVar[str] = "multi-power"
    source: ClassVar[str] = "Luo et al. 2025, arXiv 2503.12811"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("L0", "loss", 0.0, math.inf),
        Parameter("A", "loss * rate**alpha", 0.0, math.inf),
        Parameter("alpha", "1", 0.0, math.inf),
        Parameter("B", "loss / rate", 0.0, math.inf),
        Parameter("C", "rate**(gamma - 1)", 0.0, math.inf),
        Parameter("beta", "1", 0.0, math.inf),
        Parameter("gamma", "1", 0.0, math.inf),
    )

    def _response(self, walk: Walk) -> tuple[np.ndarray, ...]:
        """Of each step and change: `C x`, `log(1 + C x)` and what is left of the drop."""
        _, levels, before, _ = walk.changes(warmup=self.rise)
        # A change that is still to come has a sum below 0; clipped, it has gained nothing yet.
        reached = np.maximum(walk.sums[:, None] - before, 0.0)
        x = self.C * levels**-self.gamma * reached
        logs = np.log1p(x)
        return x, logs, np.exp(-self.beta * logs)

    def of(self, walk: Walk) -> np.ndarray:
        sizes = walk.changes(warmup=self.rise)[0]
        loss = self.L0 + self.A * walk.sums**-self.alpha
        if sizes.size:
            loss = loss - self.B * ((1.0 - self._response(walk)[2]) @ sizes)
        return loss

    def derivatives(self, walk: Walk) -> np.ndarray:
        sizes, levels, *_ = walk.changes(warmup=self.rise)
        power = walk.sums**-self.alpha
        columns = np.zeros((len(power), 7))
        columns[:, 0] = 1.0
        columns[:, 1] = power
        columns[:, 2] = -self.A * power * np.log(walk.sums)
        if sizes.size:
            x, logs, left = self._response(walk)
            slope = self.beta * left * x / (1.0 + x)
            columns[:, 3] = -((1.0 - left) @ sizes)
            columns[:, 4] = -self.B / self.C * (slope @ sizes) if self.C else 0.0
            columns[:, 5] = -self.B * ((left * logs) @ sizes)
            columns[:, 6] = self.B * (slope @ (sizes * np.log(levels)))
        return columns

    @classmethod
    def coordinates(cls, scale: Scale) -> tuple[Coordinate, ...]:
        return (*_common(scale), RESPONSE, BETA, GAMMA)

    @classmethod
    def at(cls, point: np.ndarray, scale: Scale, fixed: dict[str, float]) -> MultiPower:
        del fixed
        lowest, reducible, alpha, drop, response, beta, gamma = point
        alpha = math.exp(alpha)
        return cls(
            lowest,
            math.exp(reducible) * scale.total**alpha,
            alpha,
            drop / scale.peak,
            math.exp(response) * scale.peak ** (gamma - 1.0),
            math.exp(beta),
            gamma,
        )

    def chain(self, point: np.ndarray, scale: Scale) -> np.ndarray:
        del point
        matrix = np.diag(
            [1.0, self.A, self.alpha, 1.0 / scale.peak, self.C, self.beta, 1.0]
        )  # by the logarithm: the parameter itself
        matrix[1, 2] = self.A * math.log(scale.total) * self.alpha
        matrix[4, 6] = self.C * math.log(scale.peak)
        return matrix


@dataclass(frozen=True)
class FunctionalScaling(Law):
    """The functional scaling law's practical form for a model of fixed size.

    `L(t) = L0 + c1 * S1(t)**-s - c2 * sum_(i<=t) (rate_(i-1) - rate_i) * (c3 + S1(i)**-s) * G` with
    `G = 1 - (1 + c4 * (S1(t) - S1(i)))**-gamma`, from the end of the warm-up.

    Args:
        L0: The loss that no training removes.
        c1: Scale of what training removes.
        s: Exponent of the sum of rates.
        c2: How much a drop of the rate gains.
        c3: How much of that does not depend on how early it is.
        c4: How soon.
        gamma: Exponent of how soon.

    >>> import numpy as np
    >>> law = FunctionalScaling(L0=2.0, c1=0.5, s=0.5, c2=1.0, c3=1.0, c4=1.0, gamma=0.5)
    >>> law.loss(np.full(101, 1e-2), [24, 99]).round(6)
    array([3. , 2.5])

    Li et al., Functional Scaling Laws (NeurIPS 2025), arXiv 2509.19189, equation 30.
    """

    L0: float
    c1: float
    s: float
    c2: float
    c3: float
    c4: float
    gamma: float

    name: ClassVar[str] = "functional"
    source: ClassVar[str] = "Li et al. 2025, arXiv 2509.19189"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("L0", "loss", 0.0, math.inf),
        Parameter("c1", "loss * rate**s", 0.0, math.inf),
        Parameter("s", "1", 0.0, math.inf),
        Parameter("c2", "loss * rate**(s - 1)", 0.0, math.inf),
        Parameter("c3", "rate**-s", 0.0, math.inf),
        Parameter("c4", "1 / rate", 0.0, math.inf),
        Parameter("gamma", "1", 0.0, math.inf),
    )

    def _response(self, walk: Walk) -> tuple[np.ndarray, ...]:
        """Of each change its size, sum and early worth; of each step and change what is left."""
        sizes, _, _, reached = walk.changes(warmup=False)
        x = self.c4 * np.maximum(walk.sums[:, None] - reached, 0.0)
        logs = np.log1p(x)
        return sizes, reached, reached**-self.s, x, logs, np.exp(-self.gamma * logs)

    def of(self, walk: Walk) -> np.ndarray:
        sizes, _, early, _, _, left = self._response(walk)
        drop = (1.0 - left) @ (sizes * (self.c3 + early))
        return self.L0 + self.c1 * walk.sums**-self.s - self.c2 * drop

    def derivatives(self, walk: Walk) -> np.ndarray:
        sizes, reached, early, x, logs, left = self._response(walk)
        power = walk.sums**-self.s
        weights = sizes * (self.c3 + early)
        gained = 1.0 - left
        slope = self.gamma * left * x / (1.0 + x)
        columns = np.zeros((len(power), 7))
        columns[:, 0] = 1.0
        columns[:, 1] = power
        columns[:, 2] = -self.c1 * power * np.log(walk.sums) + self.c2 * (
            gained @ (sizes * early * np.log(reached))
        )
        columns[:, 3] = -(gained @ weights)
        columns[:, 4] = -self.c2 * (gained @ sizes)
        columns[:, 5] = -self.c2 / self.c4 * (slope @ weights) if self.c4 else 0.0
        columns[:, 6] = -self.c2 * ((left * logs) @ weights)
        return columns

    @classmethod
    def coordinates(cls, scale: Scale) -> tuple[Coordinate, ...]:
        return (*_common(scale), Coordinate("steady", 0.0, 0.99, 0.5, 0.5), RESPONSE, BETA)

    @classmethod
    def at(cls, point: np.ndarray, scale: Scale, fixed: dict[str, float]) -> FunctionalScaling:
        del fixed
        lowest, reducible, s, drop, steady, response, gamma = point
        s = math.exp(s)
        total = scale.total**s
        return cls(
            lowest,
            math.exp(reducible) * total,
            s,
            drop * (1.0 - steady) * total / scale.peak,
            steady / (1.0 - steady) / total,
            math.exp(response) / scale.peak,
            math.exp(gamma),
        )

    def chain(self, point: np.ndarray, scale: Scale) -> np.ndarray:
        drop, steady = point[3], point[4]
        total, log = scale.total**self.s, math.log(scale.total) * self.s
        matrix = np.diag([1.0, self.c1, self.s, 0.0, 0.0, 0.0, self.gamma])
        matrix[1, 2] = self.c1 * log
        matrix[3, 2] = self.c2 * log
        matrix[3, 3] = (1.0 - steady) * total / scale.peak
        matrix[3, 4] = -drop * total / scale.peak
        matrix[4, 2] = -self.c3 * log
        matrix[4, 4] = 1.0 / (total * (1.0 - steady) ** 2)
        matrix[5, 5] = self.c4
        return matrix


LAWS: dict[str, type[Law]] = {law.name: law for law in (Momentum, MultiPower, FunctionalScaling)}
