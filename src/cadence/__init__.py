"""Learning-rate schedules as values: see them, compose them, store them, bind them.

`import cadence` loads neither torch nor matplotlib; the names that need torch load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cadence._version import __version__
from cadence.feedback import Controller, Greedy, Plateau, SpikeGuard
from cadence.horizon import Duration, Horizon
from cadence.levels import Absolute, absolute
from cadence.param_groups import groups, layerwise, scaled
from cadence.recipes import (
    OneCycle,
    budgeted_linear,
    exp_range,
    flat_cosine,
    noam,
    one_cycle,
    sgdr,
    slanted_triangular,
    triangular,
    triangular2,
    warmup_cosine,
    warmup_linear,
    wsd,
)
from cadence.runs import Run, read_run
from cadence.schedule import Phase, Schedule
from cadence.shapes import (
    Constant,
    Cosine,
    CosineWave,
    Decay,
    Exponential,
    ExponentialDecay,
    Function,
    Geometric,
    Hold,
    Hyperbolic,
    InverseSqrt,
    InverseTime,
    Linear,
    Logarithmic,
    MultiStepDecay,
    OneMinusSqrt,
    Piecewise,
    PiecewiseCosine,
    PiecewiseLinear,
    PiecewiseRamp,
    Polynomial,
    PowerLaw,
    Ramp,
    Rex,
    StepDecay,
    Tanh,
    Warmup,
    register,
)
from cadence.text import from_json, parse, to_json

if TYPE_CHECKING:
    from cadence import forecast as forecast
    from cadence.compare import compare
    from cadence.differences import Difference, diff
    from cadence.forecast import convex_bound
    from cadence.range_finder import RangeResult, RangeTest, find_lr
    from cadence.scheduler import Scheduler
    from cadence.search import search

__all__ = [
    "Absolute",
    "Constant",
    "Controller",
    "Cosine",
    "CosineWave",
    "Decay",
    "Difference",
    "Duration",
    "Exponential",
    "ExponentialDecay",
    "Function",
    "Geometric",
    "Greedy",
    "Hold",
    "Horizon",
    "Hyperbolic",
    "InverseSqrt",
    "InverseTime",
    "Linear",
    "Logarithmic",
    "MultiStepDecay",
    "OneCycle",
    "OneMinusSqrt",
    "Phase",
    "Piecewise",
    "PiecewiseCosine",
    "PiecewiseLinear",
    "PiecewiseRamp",
    "Plateau",
    "Polynomial",
    "PowerLaw",
    "Ramp",
    "RangeResult",
    "RangeTest",
    "Rex",
    "Run",
    "Schedule",
    "Scheduler",
    "SpikeGuard",
    "StepDecay",
    "Tanh",
    "Warmup",
    "__version__",
    "absolute",
    "budgeted_linear",
    "compare",
    "convex_bound",
    "diff",
    "exp_range",
    "find_lr",
    "flat_cosine",
    "from_json",
    "groups",
    "layerwise",
    "noam",
    "one_cycle",
    "parse",
    "read_run",
    "register",
    "scaled",
    "search",
    "sgdr",
    "slanted_triangular",
    "to_json",
    "triangular",
    "triangular2",
    "warmup_cosine",
    "warmup_linear",
    "wsd",
]

# Names that load their module on first use: it needs torch, or few programs need it.
_LATE = {
    "Difference": "cadence.differences",
    "RangeResult": "cadence.range_finder",
    "RangeTest": "cadence.range_finder",
    "Scheduler": "cadence.scheduler",
    "compare": "cadence.compare",
    "convex_bound": "cadence.forecast",
    "diff": "cadence.differences",
    "find_lr": "cadence.range_finder",
    "search": "cadence.search",
}
_LATE_MODULES = {"forecast"}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        module = import_module(_LATE[name])
        # Where a module bears the name, Python has put that here, and it can be called.
        return globals().get(name) or getattr(module, name)
    if name in _LATE_MODULES:
        return import_module(f"cadence.{name}")
    raise AttributeError(f"module 'cadence' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
