"""The command line: plans shown, checked, converted, compared by training, and forecast.

Bad input ends with one line on stderr and exit code 2; `check` ends with 1 where it finds errors.
Whatever is slow to import is imported by the command that needs it; none needs torch
but what trains, and `convert` and `diff` for torch's own schedulers.
"""

# Importing them makes their commands.
from cadence.cli import _compare, _forecast, _look, _measure, _others, _search  # noqa: F401
from cadence.cli._door import app, main

__all__ = ["app", "main"]
