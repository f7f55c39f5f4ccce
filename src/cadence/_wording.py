"""How texts are put into messages, sentences and pictures."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["listed", "shortened"]


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    names = list(names)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def shortened(text: str, width: int) -> str:
    """The text with its end left out where it is longer than `width`.

    >>> shortened("Warmup(5)", 9), shortened("Warmup(50)", 9)
    ('Warmup(5)', 'Warmup...')
    """
    return text if len(text) <= width else f"{text[: width - 3]}..."
