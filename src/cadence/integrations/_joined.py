"""Classes that join a framework's base class when the first of them is made."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Self

from cadence._optional import require

__all__ = ["Joined"]


class Joined:
    """A class whose instances are also those of a framework's class.

    It can be defined, documented and subclassed where the framework is not installed; to make an
    instance imports it.
    """

    extra: ClassVar[str]
    """What of Cadence's extras brings the framework."""
    _plain: ClassVar[type[Joined]]

    @staticmethod
    def joins() -> tuple[str, str]:
        """The framework's module, and the name of its class there."""
        raise NotImplementedError

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        del args, kwargs
        return object.__new__(_joined(cls, *cls.joins()))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Pickle looks classes up by their names, and finds the one that is not joined.
        del protocol
        return _again, (self._plain,), self.__dict__


def _again(cls: type[Joined]) -> Joined:
    return cls.__new__(cls)


@cache
def _joined(cls: Any, module: str, name: str) -> Any:
    base = getattr(require(module, cls.extra), name)
    if issubclass(cls, base):
        return cls
    known = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, base), known | {"_plain": cls})
