"""Weights & Biases, online or offline."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from cadence._optional import require
from cadence.logs._sink import Leaf

__all__ = ["WandB"]

STEP = "step"


class WandB(Leaf):
    """A run of Weights & Biases.

    wandb counts its own calls, so the step is logged beside the values, under `step`, and is made
    the x axis of each of their charts. Log your own values without wandb's `step=`.

    Args:
        run: A run that you have, which is then not finished; by default `wandb.init(**options)`.
        **options: Such as `project="mine"`, and `mode="offline"` for a run without a network.

    Raises:
        MissingLibraryError: wandb is not installed.
    """

    def __init__(self, run: Any = None, **options: Any) -> None:
        self._wandb = require("wandb", "wandb")
        self._own = run is None
        self.run = self._wandb.init(**options) if run is None else run
        self._known: set[str] = set()

    def _log(self, step: int, values: Mapping[str, Any]) -> None:
        for key in values.keys() - self._known:
            self.run.define_metric(key, step_metric=STEP)
            self._known.add(key)
        self.run.log({**values, STEP: step})

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._log(step, values)

    def text(self, step: int, key: str, text: str) -> None:
        self._log(step, {key: text})

    def picture(self, step: int, key: str, png: bytes) -> None:
        from PIL import Image

        with Image.open(BytesIO(png)) as image:
            self._log(step, {f"{key} picture": self._wandb.Image(image)})

    def close(self) -> None:
        if self._own:
            self.run.finish()
