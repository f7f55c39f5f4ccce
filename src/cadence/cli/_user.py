"""Functions of the user's own, which commands are given by name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from cadence import _checks
from cadence.errors import ArgumentError

__all__ = ["Train", "function_of", "printing_aside", "training_function"]

Train = Annotated[
    str,
    typer.Argument(
        metavar="TRAIN",
        help="The training function: FILE.py, FILE.py:function or module:function.",
        show_default=False,
    ),
]


def training_function(text: str) -> Callable[..., Any]:
    """The function that `FILE.py`, `FILE.py:function` or `module:function` names."""
    where, colon, name = text.rpartition(":")
    if not colon or name.endswith(".py"):
        where, name = text, "train"
    return function_of(
        where,
        name,
        "TRAIN",
        unknown=f"TRAIN must be FILE.py or module:function (got {text!r})",
        advice=f"; name another as {where}:function",
    )


@contextmanager
def printing_aside(aside: bool) -> Iterator[None]:
    """Send to stderr what the user's own code prints, in other processes too.

    A program that reads JSON from stdout is then given nothing else.
    """
    if not aside:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def function_of(
    where: str, name: str, argument: str, *, unknown: str, seen: str = "", advice: str = ""
) -> Callable[..., Any]:
    """The function of that name in the user's module.

    Args:
        where: The module: its name, or `FILE.py`.
        name: The function's name.
        argument: What the command calls the module.
        unknown: The error where there is no such module.
        seen: What the error of a missing function says of the module.
        advice: What it ends with.
    """
    module = _module(where, argument, unknown)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value)]
        close = _checks.suggest(name, known)
        raise ArgumentError(f"{where} must have a function {name!r}{seen}{close}{advice}")
    return function


def _module(where: str, argument: str, unknown: str) -> ModuleType:
    """A module by its name, which may lie in the present folder, or by its file.

    A file is imported by its name from its own folder, as Python does for a script's neighbours, so
    that other processes find it in the same way.
    """
    path, home, name = None, Path.cwd(), where
    if where.endswith(".py"):
        path = Path(where).resolve()
        if not path.is_file():
            raise ArgumentError(f"{argument} must be a file that is there (got {where!r})")
        home, name = path.parent, path.stem
    if not name or name.startswith("."):
        raise ArgumentError(unknown)
    sys.path.insert(0, str(home))
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        # Else it is one that the user's own module imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ArgumentError(unknown) from None
    file = getattr(module, "__file__", None)  # what is built into Python has none
    if path is not None and (file is None or Path(file).resolve() != path):
        raise ArgumentError(
            f"{argument} must have a name of its own: {name!r} is {file or module}; rename it"
        )
    return module
