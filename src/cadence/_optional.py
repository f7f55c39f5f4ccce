"""Libraries that need not be installed: imported where they are used, with one message if not."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from cadence.errors import MissingLibraryError

__all__ = ["require"]


def require(module: str, extra: str) -> ModuleType:
    """Import a module of an optional library.

    Args:
        module: The module, such as `"wandb"`.
        extra: Cadence's extra that brings the library.

    Raises:
        MissingLibraryError: The library is not installed. An import that fails within it is not
            hidden by this.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        library = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != library:
            raise
        raise MissingLibraryError(
            f"{library} must be installed for this; write pip install 'cadence[{extra}]'"
        ) from None
