"""TensorBoard, through torch's own writer or that of tensorboardX."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from cadence import _checks
from cadence._optional import require
from cadence.errors import ArgumentTypeError, MissingLibraryError
from cadence.logs._sink import Leaf
from cadence.runs._tensorboard import verbatim

__all__ = ["TensorBoard"]


class TensorBoard(Leaf):
    """TensorBoard's event files.

    They hold float32: a rate of 0.05 is read back as 0.05000000074505806.

    Where steps go back, as after a resume from an earlier checkpoint, the events from there on are
    marked as left behind, and TensorBoard hides them.

    Args:
        where: A directory, or a `SummaryWriter` that you have, which is then not closed.

    Raises:
        MissingLibraryError: Neither tensorboard nor tensorboardX is installed.
    """

    def __init__(self, where: Any) -> None:
        self._directory = None
        self._writer = None
        self._last = -1
        if isinstance(where, (str, os.PathLike)):
            self._library = _library()
            self._directory = Path(where)
        elif hasattr(where, "add_scalar"):
            self._writer = where
        else:
            raise ArgumentTypeError(
                f"TensorBoard: 'where' must be a directory or a SummaryWriter (got "
                f"{_checks.given(where)})"
            )

    def _at(self, step: int) -> Any:
        """The writer, for events of this step."""
        if self._directory is not None:
            if self._writer is None:
                earlier = self._directory.is_dir() and any(self._directory.glob("*tfevents*"))
                # tensorboardX names files by the second, and would write over another one.
                self._writer = self._library.writer(
                    str(self._directory),
                    purge_step=step if earlier else None,
                    filename_suffix=f".{time.time_ns()}",
                )
            elif step < self._last:
                # What SummaryWriter does of itself only where a file begins.
                proto = self._library.proto
                start = proto.SessionLog(status=proto.SessionLog.START)
                self._writer.file_writer.add_event(proto.Event(step=step, session_log=start))
        self._last = step
        return self._writer

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        writer = self._at(step)
        for key, value in values.items():
            writer.add_scalar(key, value, step)

    def text(self, step: int, key: str, text: str) -> None:
        self._at(step).add_text(key, verbatim(text), step)

    def picture(self, step: int, key: str, png: bytes) -> None:
        import numpy as np
        from PIL import Image

        with Image.open(BytesIO(png)) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._at(step).add_image(key, pixels, step, dataformats="HWC")

    def close(self) -> None:
        if self._writer is None:
            return
        if self._directory is None:
            self._writer.flush()
        else:
            self._writer.close()
            self._writer = None


class _Library(NamedTuple):
    writer: Any
    proto: Any


def _library() -> _Library:
    try:
        proto = require("tensorboard.compat.proto.event_pb2", "tensorboard")
    except MissingLibraryError as missing:
        try:
            writer = require("tensorboardX", "tensorboard").SummaryWriter
        except MissingLibraryError:
            raise missing from None
        return _Library(writer, require("tensorboardX.proto.event_pb2", "tensorboard"))
    from torch.utils.tensorboard import SummaryWriter

    return _Library(SummaryWriter, proto)
