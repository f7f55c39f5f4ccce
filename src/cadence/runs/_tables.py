"""Logs that are text: CSV, JSON lines, and the state of Transformers' Trainer.

What `cadence.logs` writes has its form here, so that it is written down once.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cadence._warn import warn
from cadence.errors import LogError, LogWarning
from cadence.runs._gather import Gathered

__all__ = [
    "NOT_FINITE",
    "TEXTS",
    "beside",
    "from_csv",
    "from_json",
    "from_trainer",
    "last_line_end",
]

TEXTS = "texts"
"""In JSON lines, the key of an object that holds texts by their keys."""

NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""JSON has no such numbers: they are written as these texts."""

SPELLINGS = NOT_FINITE | {"infinity": math.inf, "-infinity": -math.inf, "+inf": math.inf}


def beside(path: Path) -> Path:
    """Where the texts of a CSV log lie, which has room for numbers alone."""
    return path.with_name(f"{path.stem}.texts.jsonl")


def last_line_end(data: bytes) -> int:
    """The length of what was written in whole lines; the rest is a line that was cut off."""
    return data.rfind(b"\n") + 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LogError(f"read_run: {path} cannot be read: {error.strerror}") from None


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LogError(
            f"read_run: {path} must be text in UTF-8 (byte {error.start} is not)"
        ) from None


def from_csv(files: Sequence[Path], run: Gathered) -> None:
    """Rows under a header, one column of which is the step; empty cells are left out."""
    for path in files:
        data = _read(path)
        text = _decoded(path, data[: last_line_end(data)])
        rows = csv.reader(io.StringIO(text, newline=""))
        try:
            header = next(rows, [])
            records = (dict(zip(header, row, strict=False)) for row in rows)
            run.records(records, run.step_among(header), _cell)
        except csv.Error as error:
            raise LogError(
                f"read_run: {path} must be CSV (line {rows.line_num}: {error})"
            ) from None
        if beside(path).exists():
            from_json([beside(path)], run)


def _cell(value: Any) -> float | None:
    """The number in a cell; None where it is empty or holds something else."""
    try:
        return float(value) if value else None
    except ValueError:
        return None


def from_json(files: Sequence[Path], run: Gathered) -> None:
    """One JSON object on each line; or a list of objects."""
    for path in files:
        numbers, told = [], []
        for record in _objects(path):
            # Texts have lines of their own, so that no key of a number can be taken for one.
            (told if record.keys() == {"step", TEXTS} else numbers).append(record)
        if numbers or not told:
            run.records(numbers, run.step_among(_keys(numbers)), _number)
        for record in told:
            for key, text in record[TEXTS].items():
                run.text(record["step"], key, text)


def _keys(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    return (key for record in records for key in record)


def _number(value: Any) -> float | None:
    """The number that a JSON value means; None where it means another thing."""
    if isinstance(value, str):
        return SPELLINGS.get(value.casefold())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.copysign(math.inf, value)
    return None


def _objects(path: Path) -> list[dict[str, Any]]:
    data = _read(path)
    if data.lstrip().startswith(b"["):
        found = _parsed(path, _decoded(path, data))
        return [record for record in found if isinstance(record, dict)]
    whole, objects, broken = last_line_end(data), [], []
    lines = _decoded(path, data[:whole]).split("\n")
    # An object says itself where it ends, so the last line may do without its line's end.
    lines.append(data[whole:].decode("utf-8", errors="replace"))
    for i, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            broken.append(i)
        else:
            objects.append(record)
    broken = [i for i in broken if i < len(lines)]
    if broken and not objects:
        raise LogError(f"read_run: {path} must hold a JSON object on each line (line {broken[0]})")
    if broken:
        several = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        warn(
            f"read_run: line {broken[0]}{several} of {path} cannot be read and was passed over",
            LogWarning,
        )
    return [record for record in objects if isinstance(record, dict)]


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise LogError(
            f"read_run: {path} must be JSON (line {error.lineno}: {error.msg})"
        ) from None


def from_trainer(files: Sequence[Path], run: Gathered) -> None:
    """The history in the state that Transformers' Trainer saves with its checkpoints."""
    for path in files:
        state = _parsed(path, _decoded(path, _read(path)))
        history = state.get("log_history") if isinstance(state, dict) else None
        if not isinstance(history, list):
            raise LogError(f"read_run: {path} must have a 'log_history', as Trainer writes it")
        records = [record for record in history if isinstance(record, dict)]
        if records:
            run.records(records, run.step_among(_keys(records)), _number)
        plain = (int, float, str, bool, type(None))
        run.metadata.update({k: v for k, v in state.items() if isinstance(v, plain)})
