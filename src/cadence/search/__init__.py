"""A plan's own parameters, searched: its peak, how long it warms up, when it comes down, to what.

:func:`search` is for what :func:`cadence.compare` is not: many plans with few seeds. What it finds
is the best of what was tried, which flatters it; compare it with the plan that you would have used,
on other seeds. Optuna does the searching. The module is the function too: `cadence.search` is both.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from cadence.search._search import Found, search
from cadence.search._space import Log, log

__all__ = ["Found", "Log", "log", "search"]


class _Module(ModuleType):
    """Python puts a module into its package under its name, where the function has to be."""

    def __call__(self, *args: Any, **options: Any) -> Found:
        return search(*args, **options)


sys.modules[__name__].__class__ = _Module
