"""The learning-rate range test: at which rates a model learns, found on the model itself.

The rate is raised geometrically, one update at each, until the loss diverges. A single such curve
is noisy and every library reads another rate off it, so here it is repeated over seeds, and what
is told is a **bracket** with its spread over the repeats, a suggestion in its middle, and what
speaks against trusting them. :func:`find_lr` leaves the model, the optimizer and all randomness as
they were.
"""

from cadence.range_finder._curve import Curve
from cadence.range_finder._find import find_lr
from cadence.range_finder._result import Bracket, RangeResult, Reading
from cadence.range_finder._sweep import RangeTest

__all__ = ["Bracket", "Curve", "RangeResult", "RangeTest", "Reading", "find_lr"]
