"""Offline runs of Weights & Biases: the file that `wandb sync` would upload.

wandb writes it as a log of LevelDB's format and has no reader of it in Python any more, so the
framing is read here; what is inside is read by wandb's own message types.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cadence._optional import require
from cadence.errors import LogError
from cadence.runs._gather import Gathered

__all__ = ["from_wandb"]

OWN = {"_step", "_runtime", "_timestamp", "_wandb"}
"""Keys that wandb adds for itself."""

MAGIC = b":W&B"
HEADER = 7
"""Bytes of the file's header, and of each fragment's: a checksum, a length and a kind."""
BLOCK = 1 << 15
WHOLE, LAST = 1, 4
"""Kinds of fragments with which a record ends."""


def from_wandb(files: Sequence[Path], run: Gathered) -> None:
    """The history of a run, or of several directories of one run that was resumed."""
    message = require("wandb.proto.wandb_internal_pb2", "wandb").Record
    history: list[dict[str, Any]] = []
    for path in files:
        for data in _records(path):
            record = message.FromString(data)
            kind = record.WhichOneof("record_type")
            if kind == "history":
                history.append(dict(_items(record.history.item)))
            elif kind == "run":
                run.metadata.update(_items(record.run.config.update))
            elif kind == "config":
                run.metadata.update(_items(record.config.update))
    run.metadata.pop("_wandb", None)
    if history:
        at = run.step_among(key for row in history for key in row)
        shown = ({k: v for k, v in row.items() if k == at or k not in OWN} for row in history)
        run.records(shown, at, _number, _text)


def _items(items: Any) -> Iterator[tuple[str, Any]]:
    """The values that lie at the top; nested ones describe media and the like."""
    for item in items:
        key = item.key or (item.nested_key[0] if len(item.nested_key) == 1 else "")
        if key:
            yield key, json.loads(item.value_json)


def _number(value: Any) -> float | None:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if known else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _records(path: Path) -> Iterator[bytes]:
    """The records of a file, up to one that was not written to its end."""
    data = path.read_bytes()
    if data[: len(MAGIC)] != MAGIC:
        raise LogError(f"read_run: {path} must begin with {MAGIC.decode()}, as wandb writes it")
    at, record = HEADER, b""
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:  # no header fits; the rest of the block is filled up
            at += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, at)
        fragment = data[at + HEADER : at + HEADER + length]
        if zlib.crc32(fragment, zlib.crc32(bytes([kind]))) != checksum:
            return
        at += HEADER + length
        record += fragment
        if kind in (WHOLE, LAST):
            yield record
            record = b""
