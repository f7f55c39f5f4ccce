"""Plans compared on the user's own training: which is better, and how sure that is.

:func:`compare` trains under each plan with the same seeds, as processes that are written down as
they go, and gives back a :class:`~cadence.compare.Comparison`. The module is the function too:
`cadence.compare` is both, whichever was imported first.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from cadence.compare._engine import compare
from cadence.compare._run import TrialRun
from cadence.compare._trial import Comparison, Peak, Trial

__all__ = ["Comparison", "Peak", "Trial", "TrialRun", "compare"]


class _Module(ModuleType):
    """Python puts a module into its package under its name, where the function has to be."""

    def __call__(self, *args: Any, **options: Any) -> Comparison:
        return compare(*args, **options)


sys.modules[__name__].__class__ = _Module
