"""Classes that are a framework's as well, without importing it before they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Self

from cadence._optional import require
from cadence.errors import MissingLibraryError

__all__ = ["Joined", "attribute"]


class Joined:
    """A class that also derives from a framework's class, where that is installed.

    It can be defined and documented where it is not; to make an instance raises there.
    """

    extra: ClassVar[str]
    """What of Cadence's extras brings the framework."""

    @staticmethod
    def joins() -> tuple[str, str]:
        """The framework's module, and the name of its class there."""
        raise NotImplementedError

    @classmethod
    def joined(cls) -> type[Self]:
        """The class that derives from both."""
        return _joined(cls, *cls.joins())

    def __init__(self) -> None:
        require(self.joins()[0], self.extra)
        super().__init__()


@cache
def _joined(cls: Any, module: str, name: str) -> Any:
    base = getattr(require(module, cls.extra), name)
    if issubclass(cls, base):
        return cls
    known = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, base), known)


def attribute(module: str, cls: type[Joined]) -> Callable[[str], Any]:
    """A module's `__getattr__`, by which the class is found as one of the framework's.

    Frameworks look a class up by its path and want a subclass of their own.
    """

    def look_up(name: str) -> Any:
        if name != cls.__name__:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        try:
            return cls.joined()
        except MissingLibraryError:
            return cls

    return look_up
