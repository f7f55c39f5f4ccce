"""A run as it was logged: series of numbers, texts, and an aligned view of the numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cadence import _checks
from cadence.errors import LogError

__all__ = ["Run", "Series", "Text", "fixed", "listed"]

LOSS = {"loss", "train", "training", "step", "epoch"}
"""Of such words the key of a training loss is made."""


class Series(NamedTuple):
    """One quantity: the steps at which it was logged, in rising order, and its values."""

    steps: np.ndarray
    values: np.ndarray


class Text(NamedTuple):
    """A text that was logged: the plan, a decision."""

    step: int
    key: str
    text: str


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """What a run has logged; made by :func:`cadence.read_run`.

    Args:
        path: The log.
        kind: Who wrote it, such as `"TensorBoard"`.
        series: The numbers by their keys, each at the steps at which it was logged.
        texts: The texts in order of their steps.
        metadata: What the log says of the run as a whole, such as its configuration.
        replaced: How many numbers were left out because the log went back before them.
        loss_key: The key of the training loss; None where no key looks like it.
    """

    path: Path
    kind: str
    series: Mapping[str, Series]
    texts: tuple[Text, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    replaced: int = 0
    loss_key: str | None = None

    def __post_init__(self) -> None:
        if self.loss_key is None:
            object.__setattr__(self, "loss_key", self._likely_loss())
        elif self.loss_key not in self.series:
            raise self._unknown("'loss' must be a key of the log", self.loss_key)

    def _likely_loss(self) -> str | None:
        keys = [key for key in self.series if _words(key) <= LOSS and "loss" in _words(key)]
        return max(keys, key=lambda key: len(self.series[key].steps), default=None)

    def __getitem__(self, key: str) -> Series:
        if key not in self.series:
            raise self._unknown("the key must be one of the log", key)
        return self.series[key]

    def _unknown(self, demand: str, key: str | None) -> LogError:
        hint = _checks.suggest(key, self.series)
        return LogError(f"Run: {demand} (got {key!r}; {self.path} has {listed(self.series)}){hint}")

    @cached_property
    def steps(self) -> np.ndarray:
        """All steps at which any number was logged, in rising order."""
        every = [series.steps for series in self.series.values()]
        return fixed(np.unique(np.concatenate(every)) if every else np.array([], dtype=np.int64))

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """The numbers by their keys, each at all of :attr:`steps`; NaN where it was not logged."""
        aligned = {}
        for key, (steps, values) in self.series.items():
            row = np.full(len(self.steps), np.nan)
            row[np.searchsorted(self.steps, steps)] = values
            aligned[key] = fixed(row)
        return aligned

    @property
    def loss(self) -> np.ndarray:
        """The training loss at all of :attr:`steps`; NaN where it was not logged.

        Raises:
            LogError: The log has no key that looks like one.
        """
        if self.loss_key is None:
            raise LogError(
                f"Run: the key of the loss must be given, since none of {self.path} looks like it "
                f"(it has {listed(self.series)}); write read_run(path, loss=...)"
            )
        return self.values[self.loss_key]

    @property
    def rates(self) -> dict[str, Series]:
        """The series that are learning rates by their keys, without the plans' references."""
        return {key: series for key, series in self.series.items() if _is_rate(key)}

    @property
    def plan(self) -> str | None:
        """The latest text of the plan, where the run's schedule was logged."""
        texts = [text.text for text in self.texts if text.key.rpartition("/")[2] == "plan"]
        return texts[-1] if texts else None

    def __repr__(self) -> str:
        count = len(self.steps)
        span = f" from {self.steps[0]} to {self.steps[-1]}" if count else ""
        told = f", {self.replaced} numbers replaced" if self.replaced else ""
        return f"Run({self.kind}, {count} steps{span}, {listed(self.series)}{told})"


def _words(key: str) -> set[str]:
    return set(re.split(r"[\W_]+", key.casefold()))


def _is_rate(key: str) -> bool:
    """Whether a key is that of a rate: `lr/head`, `train/learning_rate`, `lr-AdamW/pg1`."""
    parts = key.casefold().split("/")
    if "plan" in parts or parts[-1].endswith(("-momentum", "-weight_decay")):
        return False
    return any(part in ("lr", "learning_rate") or part.startswith("lr-") for part in parts)


def listed(keys: Mapping[str, Any], most: int = 12) -> str:
    """The keys as a message shows them."""
    shown = ", ".join(list(keys)[:most])
    return (f"{shown}, ..." if len(keys) > most else shown) or "nothing"


def fixed(values: np.ndarray) -> np.ndarray:
    """The array, made read-only: all who ask a run for it share it."""
    values.flags.writeable = False
    return values
