"""Plans as text in the configurations of jsonargparse, and so of LightningCLI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

from cadence._checks import given
from cadence._optional import require
from cadence.errors import ArgumentTypeError
from cadence.horizon import Duration
from cadence.levels import Absolute
from cadence.schedule import Schedule
from cadence.text import parse

__all__ = ["register"]


def register() -> None:
    """Let arguments annotated as `Schedule` be given as text, on the command line and in files.

    Call it before the parser is made. A wrong text is then refused when the arguments are parsed,
    and `--print_config` shows the plan as text.
    """
    typing = require("jsonargparse.typing", "jsonargparse")
    typing.register_type(Schedule, repr, _read, type_check=isinstance)


def _read(value: Any) -> Any:
    """A plan from its text, or from what jsonargparse makes of a default: class and arguments."""
    if isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return parse(value)
    return _made(value)


def _made(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(_made, value))
    if not isinstance(value, Mapping):
        return value
    for plain in (Duration, Absolute):  # which come without their class
        if value.keys() == {field.name for field in fields(plain)}:
            return plain(**value)
    if "class_path" not in value:
        raise ArgumentTypeError(f"a plan must be given as text (got {given(value)})")
    module, _, name = value["class_path"].rpartition(".")
    if module.partition(".")[0] != "cadence":
        raise ArgumentTypeError(f"a plan must be given as text (got {value['class_path']})")
    kind, given_arguments = getattr(import_module(module), name), value.get("init_args", {})
    names = [field.name for field in fields(kind) if field.init]
    return kind(**{name: _made(given_arguments[name]) for name in names if name in given_arguments})
