"""MLflow: metrics of a run, with texts and pictures as its artifacts."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from io import BytesIO

from cadence._optional import require
from cadence.logs._sink import Leaf

__all__ = ["MLflow"]

BATCH = 1000
"""The most metrics that a server takes at once."""


class MLflow(Leaf):
    """A run of MLflow.

    A text is the artifact `KEY/STEP.txt`, a picture `KEY/STEP.png`. Of a key MLflow takes
    letters, digits and `_-. :/`; others are written as `_`.

    Args:
        run_id: A run that there is, such as one to resume, which is then not ended. By default
            the active run; where there is none, one is started, and ended by `close()`.

    Raises:
        MissingLibraryError: mlflow is not installed.
    """

    def __init__(self, run_id: str | None = None) -> None:
        self._mlflow = require("mlflow", "mlflow")
        self._own = run_id is None and self._mlflow.active_run() is None
        if run_id is None:
            run = self._mlflow.active_run() or self._mlflow.start_run()
            run_id = run.info.run_id
        self.run_id = run_id
        self._client = self._mlflow.MlflowClient()
        self._texts: dict[str, tuple[int, str]] = {}

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        kind, now = self._mlflow.entities.Metric, int(time.time() * 1000)
        metrics = [kind(_key(key), value, now, step) for key, value in values.items()]
        for i in range(0, len(metrics), BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[i : i + BATCH])

    def text(self, step: int, key: str, text: str) -> None:
        before, told = self._texts.get(key, (step, ""))
        told = f"{told}{text}\n" if before == step else f"{text}\n"
        self._texts[key] = step, told
        self._client.log_text(self.run_id, told, f"{_key(key)}/{step}.txt")

    def picture(self, step: int, key: str, png: bytes) -> None:
        from PIL import Image

        with Image.open(BytesIO(png)) as image:
            self._client.log_image(self.run_id, image, f"{_key(key)}/{step}.png")

    def close(self) -> None:
        if self._own:
            self._own = False
            self._mlflow.end_run()


def _key(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_\-. :/]", "_", key)
