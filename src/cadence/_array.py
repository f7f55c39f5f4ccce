"""One formula for numbers and arrays: pick the library by the argument, never import it.

A caller who holds a tensor has already imported its library, so looking at `sys.modules`
suffices and `import cadence` stays free of torch and JAX.
"""

from __future__ import annotations

import math
import numbers
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

from cadence._checks import MOST, given
from cadence.errors import ArgumentError, ArgumentTypeError

__all__ = [
    "Term",
    "clamp",
    "convert",
    "elementwise",
    "floating",
    "index_of",
    "like",
    "namespace",
    "power",
    "product",
    "select",
    "take",
]

#: A number, or a function of (local time, array library).
Term = float | Callable[[Any, Any], Any]


def namespace(x: object, name: str = "step") -> ModuleType:
    """The library whose functions fit `x`: math, numpy, torch or jax.numpy.

    >>> namespace(3).__name__, namespace(np.arange(3)).__name__
    ('math', 'numpy')
    """
    if isinstance(x, numbers.Real) and not isinstance(x, np.ndarray):
        return math
    if isinstance(x, np.ndarray):
        return np
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        return torch
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(x, jax.Array):
        return sys.modules["jax.numpy"]
    raise ArgumentTypeError(
        f"plan: '{name}' must be a number or a NumPy, torch or JAX array (got {given(x)})"
    )


def convert(step: Any) -> tuple[Any, ModuleType]:
    """Check that all steps are finite and >= 0; cast arrays to float64.

    A float32 `torch.arange` cannot hold every step above 2**24, hence the cast before any
    arithmetic. Where a device has no float64 (Apple's MPS), the work is done on the host.
    Traced JAX arrays have no values to check and keep JAX's widest enabled float. A whole number
    stays one as long as float64 could tell it from the next.
    """
    xp = namespace(step)
    if xp is math:
        try:
            number = float(step)
        except OverflowError:  # finite, but beyond float64: the farthest step there is
            number = sys.float_info.max if step > 0 else -1.0
        if not 0 <= number < math.inf:
            raise ArgumentError(f"plan: 'step' must be finite and >= 0 (got {given(step)})")
        if isinstance(step, numbers.Integral) and number < MOST:
            return int(step), xp
        return number, xp
    if xp is np:
        t = np.asarray(step)
        if t.dtype.kind not in "iufb":
            raise ArgumentTypeError(f"plan: 'step' must hold real numbers (got dtype {t.dtype})")
        t = t.astype(np.float64)
        # A NaN makes both comparisons false; the full search is for the message alone.
        bad = t.reshape(-1)[:0] if not t.size or (t.min() >= 0 and t.max() < np.inf) else _bad(t)
    elif xp.__name__ == "torch":
        if step.is_complex():
            raise ArgumentTypeError(f"plan: 'step' must hold real numbers (got {step.dtype})")
        t = (step.cpu() if step.device.type == "mps" else step).to(xp.float64)
        bad = _bad(t)
    else:
        t = step.astype(xp.result_type(float))
        if isinstance(step, sys.modules["jax"].core.Tracer):
            return t, xp
        bad = _bad(t)
    if bad.shape[0]:
        raise ArgumentError(f"plan: 'step' must be finite and >= 0 (got {float(bad[0])!r})")
    return t, xp


def _bad(t: Any) -> Any:
    """The steps that are negative, infinite or NaN."""
    return t[~((t >= 0) & (t < math.inf))]


def floating(x: Any, xp: Any) -> Any:
    """The array, as float64 where it holds whole numbers."""
    if xp.__name__ == "torch":
        return x if x.is_floating_point() else x.to(xp.float64)
    if xp.issubdtype(x.dtype, xp.floating):
        return x
    return x.astype(float) if hasattr(x, "astype") else xp.cast(x, "float64")


def like(values: Sequence[float], t: Any, xp: Any) -> Any:
    """An array of the values in the library, precision and place of `t`."""
    device = {"device": t.device} if xp.__name__ == "torch" else {}
    return xp.asarray(values, dtype=t.dtype, **device)


def power(base: float, exponent: Any, xp: Any) -> Any:
    """`base ** exponent`, saturating at inf in every library (`math` would raise)."""
    if xp is math:
        try:
            return base**exponent
        except OverflowError:
            return math.inf
    return base ** floating(exponent, xp)  # torch makes float32 of an integer exponent


def product(a: Any, b: Any, xp: Any) -> Any:
    """`a * b`, in which 0 wins over growth that has overflowed."""
    if xp is math or not (hasattr(a, "shape") or hasattr(b, "shape")):
        return 0.0 if a == 0 or b == 0 else a * b
    return xp.where((a == 0) | (b == 0), 0.0, a * b)


def clamp(value: Any, low: float | None, high: float | None, xp: Any) -> Any:
    """`value` within `low..high`, of which at least one is given."""
    if xp is not math:
        return xp.clip(value, low, high)
    if low is not None and value < low:
        return low
    return high if high is not None and value > high else value


def take(table: Sequence[float], i: Any, t: Any, xp: Any) -> Any:
    """`table[i]`, in the library and precision of `t`."""
    if xp is math:
        return table[i]
    return like(table, t, xp)[i]


def elementwise(function: Callable[[Any], float], t: Any, xp: Any) -> Any:
    """A function of one number applied to every step; whole steps are passed as ints."""

    def call(step: float) -> float:
        return float(function(int(step) if step == int(step) else step))

    if xp is math:
        return call(t)
    if xp.__name__ == "formula":  # the writer of code notes the call itself
        return xp.elementwise(function, t)
    if xp.__name__ == "jax.numpy" and isinstance(t, sys.modules["jax"].core.Tracer):
        return function(t)  # a traced step has no value yet: the function must be traceable
    flat = [call(step) for step in t.reshape(-1).tolist()]
    return like(flat, t, xp).reshape(t.shape)


def index_of(t: Any, table: Sequence[float], xp: Any) -> Any:
    """Index of the last entry of the sorted `table` that is <= t."""
    if xp is math:
        return bisect_right(table, t) - 1
    edges = like(table, t, xp)
    if xp.__name__ == "torch":
        return xp.searchsorted(edges, t.contiguous(), right=True) - 1
    return xp.searchsorted(edges, t, side="right") - 1


def select(
    t: Any, xp: Any, begins: Sequence[float], origins: Sequence[float], terms: Sequence[Term]
) -> Any:
    """Evaluate `terms[i](t - origins[i])` where `begins[i] <= t < begins[i + 1]`, for arrays.

    Every element is evaluated only by its own term under NumPy; torch and JAX, which may be
    tracing, evaluate all terms on times clipped into their range and choose afterwards.
    """
    if xp is np:
        return _select_numpy(t, begins, origins, terms)
    out: Any = None
    for i, term in enumerate(terms):
        if callable(term):
            stop = begins[i + 1] if i + 1 < len(begins) else None
            value = term(xp.clip(t, begins[i], stop) - origins[i], xp)
        else:
            value = term
        if not hasattr(value, "shape"):
            value = xp.full_like(t, value)
        out = value if out is None else xp.where(t >= begins[i], value, out)
    return out


def _select_numpy(
    t: np.ndarray, begins: Sequence[float], origins: Sequence[float], terms: Sequence[Term]
) -> np.ndarray:
    out = np.empty_like(t)
    if t.ndim == 1 and t.size and bool((t[1:] >= t[:-1]).all()):
        # Sorted steps, the common case of a whole curve: phases are slices, nothing is copied.
        edges = [0, *np.searchsorted(t, like(begins[1:], t, np)).tolist(), t.size]
        places: list[Any] = [slice(a, b) for a, b in pairwise(edges)]
    else:
        which = index_of(t, begins, np)
        places = [which == i for i in range(len(begins))]
    for place, origin, term in zip(places, origins, terms, strict=True):
        part = t[place]
        if part.size:
            if callable(term):
                out[place] = term(part - origin if origin else part, np)
            else:
                out[place] = term
    return out
