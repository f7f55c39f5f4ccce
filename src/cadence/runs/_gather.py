"""Putting a run together from records, in the order in which they were logged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cadence.errors import LogError
from cadence.runs._run import Series, Text, fixed, listed

__all__ = ["Gathered"]

STEPS = (
    "step", "global_step", "trainer/global_step", "train/global_step", "_step", "iteration",
    "iter", "iter_num", "update", "updates", "num_updates",
)  # fmt: skip
"""What logs call the step; the first that a log has is taken."""


class Gathered:
    """Numbers and texts as they come, of which only those of the run that went on are kept."""

    def __init__(self, path: Path, step: str | None = None) -> None:
        self.path = path
        self.step = step
        self.metadata: dict[str, Any] = {}
        self.replaced = 0
        self._numbers: dict[str, tuple[list[float], list[float]]] = {}
        self._texts: dict[str, list[Text]] = {}

    def number(self, step: float, key: str, value: float) -> None:
        """One number; what the log had of this key at that step and later was left behind."""
        self._cut(key, step)
        steps, values = self._numbers[key]
        steps.append(step)
        values.append(value)

    def _cut(self, key: str, step: float) -> None:
        steps, values = self._numbers.setdefault(key, ([], []))
        while steps and steps[-1] >= step:
            steps.pop()
            values.pop()
            self.replaced += 1

    def went_back(self, step: float) -> None:
        """The log says that all from this step on was left behind."""
        for key in self._numbers:
            self._cut(key, step)
        for key, texts in self._texts.items():
            self._texts[key] = [text for text in texts if text.step < step]

    def text(self, step: float, key: str, text: str) -> None:
        """One text; several may be logged at one step, but not twice the same."""
        texts, new = self._texts.setdefault(key, []), Text(int(step), key, text)
        while texts and texts[-1].step > step:
            texts.pop()
        if new not in texts[-20:]:
            texts.append(new)

    def records(
        self,
        records: Iterable[Mapping[str, Any]],
        at: str,
        number: Callable[[Any], float | None],
        text: Callable[[Any], str | None] = lambda value: None,
    ) -> None:
        """All numbers and texts of records that hold their step under the key `at`.

        Records without it, and values that are neither numbers nor texts, are passed over.
        """
        for record in records:
            step = number(record.get(at))
            if step is None or not math.isfinite(step):
                continue
            for key, value in record.items():
                if key == at:
                    continue
                if (found := number(value)) is not None:
                    self.number(step, key, found)
                elif (told := text(value)) is not None:
                    self.text(step, key, told)

    def step_among(self, keys: Iterable[str]) -> str:
        """Which of the keys of a log is the step's."""
        names = dict.fromkeys(keys)
        if self.step is not None:
            known = [self.step] if self.step in names else []
        else:
            spelled = {name.casefold(): name for name in names}
            known = [spelled[name] for name in STEPS if name in spelled]
        if known:
            return known[0]
        wanted = "one of " + ", ".join(STEPS) if self.step is None else repr(self.step)
        raise LogError(
            f"read_run: {self.path} must hold the step under {wanted} (it has {listed(names)}); "
            "write read_run(path, step=...)"
        )

    def all_series(self) -> dict[str, Series]:
        """The numbers by their keys."""
        return {
            key: Series(_steps(steps), fixed(np.array(values, dtype=np.float64)))
            for key, (steps, values) in self._numbers.items()
            if steps
        }

    def all_texts(self) -> tuple[Text, ...]:
        """The texts in order of their steps."""
        every = [text for texts in self._texts.values() for text in texts]
        return tuple(sorted(every, key=lambda text: text.step))


def _steps(steps: list[float]) -> np.ndarray:
    found = np.array(steps, dtype=np.float64)
    return fixed(found.astype(np.int64) if np.all(found == np.floor(found)) else found)
