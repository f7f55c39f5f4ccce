"""CSV and JSON lines: one line for each step, in the file as soon as it is written.

A process that is killed loses at most the line that it is writing. One that resumes goes on in the
same file; :func:`cadence.read_run` then reads the run that went on.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cadence._files import replacing
from cadence.errors import ArgumentError
from cadence.logs._sink import Leaf
from cadence.runs._tables import TEXTS, beside, last_line_end

__all__ = ["CSV", "JSONL"]

STEP = "step"


class _Lines:
    """A file that is appended to by whole lines, and opened with the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def mend(self) -> None:
        """Take off a last line that was cut off: the next would be taken for its rest."""
        if self.path.exists():
            data = self.path.read_bytes()
            whole = last_line_end(data)
            if whole < len(data):
                os.truncate(self.path, whole)

    def write(self, line: str) -> None:
        """Append one line, in one call of the system."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.mend()
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        data = f"{line}\n".encode()
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class _Files(Leaf):
    """What both kinds of files share: texts as JSON lines, and pictures beside the file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise ArgumentError(
                f"{type(self).__name__}: 'path' must be a file (got the directory {str(path)!r})"
            )
        self._lines = _Lines(self.path)
        self._texts = self._lines

    def text(self, step: int, key: str, text: str) -> None:
        self._texts.write(_json({STEP: step, TEXTS: {key: text}}))

    def picture(self, step: int, key: str, png: bytes) -> None:
        key = re.sub(r"[^\w.-]", "_", key)
        path = self.path.with_name(f"{self.path.stem}.{key}.{step}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, png)

    def close(self) -> None:
        self._lines.close()
        self._texts.close()

    def _numbers(self, values: Mapping[str, float]) -> dict[str, float]:
        if STEP in values:
            raise ArgumentError(
                f"{type(self).__name__}: {STEP!r} is the key of the step itself; choose another"
            )
        return {key: float(value) for key, value in values.items()}


class JSONL(_Files):
    """One JSON object on each line: `{"step": 0, "loss": 2.5, "lr/head": 0.1}`.

    Numbers that JSON does not have are written as `"nan"`, `"inf"` and `"-inf"`, texts as
    `{"step": 0, "texts": {"plan": "..."}}`, and pictures as files beside this one.

    Args:
        path: The file; it is made with the first line, and appended to where it is there.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "run.jsonl")
    ...     with JSONL(path) as sink:
    ...         sink.scalars(0, {"loss": 2.5, "lr/head": 0.1})
    ...     print(path.read_text(), end="")
    {"step": 0, "loss": 2.5, "lr/head": 0.1}
    """

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        row = {
            key: value if math.isfinite(value) else repr(value)
            for key, value in self._numbers(values).items()
        }
        self._lines.write(_json({STEP: step, **row}))


class CSV(_Files):
    """A table with one row for each step and one column for each key.

    A key that appears later gets a column of its own: the table is then written anew beside its
    place and renamed. Texts lie as JSON lines in `NAME.texts.jsonl` beside it, and pictures as
    files.

    Args:
        path: The file; it is made with the first row, and appended to where it is there.

    Raises:
        ArgumentError: The file is there and has no column `step`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "run.csv")
    ...     with CSV(path) as sink:
    ...         sink.scalars(0, {"lr/head": 0.1})
    ...         sink.scalars(1, {"lr/head": 0.2, "loss": 2.5})
    ...     print(path.read_text(), end="")
    step,lr/head,loss
    0,0.1,
    1,0.2,2.5
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._texts = _Lines(beside(self.path))
        self._columns: list[str] = []
        self._lines.mend()
        if self.path.exists() and self.path.stat().st_size:
            with self.path.open(encoding="utf-8", newline="") as file:
                self._columns = next(csv.reader(file), [])
            if STEP not in self._columns:
                raise ArgumentError(
                    f"CSV: 'path' must be a new file or one with a column {STEP!r} (got "
                    f"{str(path)!r}, which has {', '.join(self._columns)})"
                )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        row: dict[str, Any] = {STEP: step, **self._numbers(values)}
        new = [key for key in row if key not in self._columns]
        if new:
            self._widen(new)
        self._lines.write(_cells([_cell(row.get(key)) for key in self._columns]))

    def _widen(self, new: list[str]) -> None:
        """Add columns; where there are rows, the table is whole at any moment."""
        rows: list[list[str]] = []
        if self._columns:
            self._lines.close()
            with self.path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))[1:]
        self._columns = [*self._columns, *new]
        width = len(self._columns)
        table = [self._columns, *([*row, *[""] * (width - len(row))] for row in rows)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _replace(self.path, "".join(f"{_cells(row)}\n" for row in table).encode())


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _cells(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)  # ended by both, since only what ends lines is quoted
    return line.getvalue().removesuffix("\r\n")


def _replace(path: Path, data: bytes) -> None:
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)
