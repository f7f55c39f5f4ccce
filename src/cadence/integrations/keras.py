"""A plan as the learning-rate schedule of a Keras 3 optimizer, on each of its backends.

Import this module before a model that was saved with such a schedule is loaded: Keras finds
classes that are not its own by their registered names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cadence import _checks
from cadence._optional import require
from cadence.errors import ArgumentTypeError
from cadence.horizon import Horizon
from cadence.schedule import Schedule
from cadence.text import parse, to_json

if TYPE_CHECKING:
    # Without the library, its class is what it is to a type checker that does not know it.
    from keras.optimizers.schedules import LearningRateSchedule  # pyright: ignore[reportMissingImports]

__all__ = ["schedule"]


def schedule(
    plan: Schedule | str, base_lr: float = 1.0, *, total_steps: int | Horizon | None = None
) -> LearningRateSchedule:
    """A plan as a `LearningRateSchedule`: `plan(iterations, base_lr)`, in the backend's floats.

    Its config is the plan's text and the rate, so it is saved and loaded with the model.

    Args:
        plan: The plan, or its text.
        base_lr: The rate of which the plan's levels are multiples.
        total_steps: Updates of the run, for a plan whose lengths are not in steps; with Keras
            `epochs * steps_per_epoch`.

    Raises:
        MissingLibraryError: Keras is not installed.
        UnresolvedError: The plan needs a horizon that was not given.

    ::

        rate = schedule(Warmup("5%") >> Cosine(), 1e-3, total_steps=epochs * len(dataset))
        model.compile(keras.optimizers.Adam(rate), loss="mse")
    """
    plan = parse(plan) if isinstance(plan, str) else plan
    if not isinstance(plan, Schedule):
        raise ArgumentTypeError(
            f"schedule: 'plan' must be a schedule or its text (got {_checks.given(plan)})"
        )
    plan = plan.resolve(total_steps)
    plan.compiled()
    return _kind()(plan, _checks.number("schedule", "base_lr", base_lr))


@cache
def _kind() -> Any:
    """The class, which can only be made where Keras is."""
    keras = require("keras", "keras")

    @keras.saving.register_keras_serializable(package="cadence")
    class PlanSchedule(keras.optimizers.schedules.LearningRateSchedule):
        """A plan, asked for the rate of each iteration."""

        def __init__(self, plan: Schedule | str, base_lr: float = 1.0) -> None:
            self.plan = parse(plan) if isinstance(plan, str) else plan
            self.base_lr = base_lr

        def __call__(self, step: Any) -> Any:
            step = keras.ops.convert_to_tensor(step)
            if keras.backend.backend() == "tensorflow":
                value = _in_tensorflow(keras, self.plan, self.base_lr, step)
            else:
                value = self.plan(step, self.base_lr)
            return keras.ops.cast(value, keras.backend.floatx())

        def __repr__(self) -> str:
            return f"PlanSchedule({self.plan!r}, base_lr={self.base_lr!r})"

        def get_config(self) -> dict[str, Any]:
            to_json(self.plan)  # which says what is wrong with a plan that has no text
            return {"plan": repr(self.plan), "base_lr": self.base_lr}

    return PlanSchedule


def _in_tensorflow(keras: Any, plan: Schedule, base_lr: float, step: Any) -> Any:
    """The value in TensorFlow, whose functions a plan does not know by itself."""
    t = keras.ops.cast(step, "float64")
    return plan.compiled(base_lr).value(t, _Operations(keras), base_lr)


@dataclass(frozen=True)
class _Table:
    """Numbers to be looked up by tensors, which TensorFlow's own tensors are not."""

    values: Any
    take: Callable[[Any, Any], Any]

    def __getitem__(self, index: Any) -> Any:
        return self.take(self.values, index)


class _Operations:
    """Keras' operations under the names by which formulas call an array library."""

    pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
    __name__ = "keras.ops"
    floating = None

    def __init__(self, keras: Any) -> None:
        self._keras = keras

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keras.ops, name)

    def asarray(self, values: Any, dtype: Any) -> _Table:
        return _Table(self._keras.ops.convert_to_tensor(values, dtype=dtype), self._keras.ops.take)

    def searchsorted(self, table: _Table, x: Any, side: str) -> Any:
        ops = self._keras.ops
        found = ops.searchsorted(table.values, ops.reshape(x, (-1,)), side=side)
        return ops.reshape(found, ops.shape(x))  # TensorFlow's takes no scalars

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        x = x if low is None else self._keras.ops.maximum(x, low)
        return x if high is None else self._keras.ops.minimum(x, high)

    def issubdtype(self, dtype: Any, kind: Any) -> bool:
        del kind
        backend = self._keras.backend
        return backend.is_float_dtype(backend.standardize_dtype(dtype))


if find_spec("keras") is not None:
    _kind()  # registered, so that what was saved can be loaded
