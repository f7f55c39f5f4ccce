"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line, outside of this library and of torch, that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _within(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _within(module: str) -> bool:
    return module.partition(".")[0] in ("cadence", "torch")
