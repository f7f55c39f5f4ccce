"""What a sink is: four methods, which any logger has in some form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self, runtime_checkable

__all__ = ["Leaf", "LogSink"]


@runtime_checkable
class LogSink(Protocol):
    """Where a :class:`~cadence.logs.ScheduleLogger` writes; your own needs no base class.

    Steps never lie behind the one before, unless a run is resumed or goes back.
    """

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers of one step, by their keys; `/` in a key separates groups."""
        ...

    def text(self, step: int, key: str, text: str) -> None:
        """Write a text; under one key several may come, also at one step."""
        ...

    def picture(self, step: int, key: str, png: bytes) -> None:
        """Write a picture, which is given as the content of a PNG file."""
        ...

    def close(self) -> None:
        """Write what is waiting, and let go of files; to close twice is allowed."""
        ...


class Leaf:
    """A sink that closes itself at the end of a `with` block."""

    def close(self) -> None:
        """Write what is waiting, and let go of files; to close twice is allowed."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
