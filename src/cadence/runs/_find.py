"""Finding the log at a path, and telling its kind by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cadence.errors import LogError

__all__ = ["Log", "found"]

DEPTH = 3
"""How far below a directory is looked for a log."""

STATE = "trainer_state.json"
EVENTS = "events.out.tfevents."
LOOKED_FOR = (
    f"{STATE} and checkpoint-*/{STATE} (Trainer), run-*.wandb (Weights & Biases), "
    f"{EVENTS}* (TensorBoard), *.csv and *.jsonl"
)


class Log(NamedTuple):
    """One log: its kind, where it lies, and its files in order of time."""

    kind: str
    path: Path
    files: list[Path]


def found(path: Path) -> Log:
    """The one log at a path.

    Raises:
        LogError: There is none, or more than one.
    """
    if path.is_file():
        kind = _kind(path)
        if kind is None:
            raise LogError(f"read_run: {path} must be the log of a run (looked for {LOOKED_FOR})")
        return Log(kind, path, [path])
    if not path.is_dir():
        raise LogError(f"read_run: {path} must exist")
    level = [path]
    for _ in range(DEPTH + 1):
        logs = _logs(level)
        if len(logs) == 1:
            return logs[0]
        if logs:
            told = ", ".join(f"{log.path} ({log.kind})" for log in logs[:8])
            more = f" and {len(logs) - 8} more" if len(logs) > 8 else ""
            raise LogError(f"read_run: {path} must hold one log (it has {told}{more}); name one")
        level = list(_below(level))
    raise LogError(
        f"read_run: {path} holds no log; looked for {LOOKED_FOR}, in it and {DEPTH} levels below"
    )


def _kind(path: Path) -> str | None:
    name, suffix = path.name, path.suffix.casefold()
    if EVENTS in name:
        return "TensorBoard"
    if name == STATE:
        return "Trainer"
    kinds = {".wandb": "Weights & Biases", ".csv": "CSV", ".jsonl": "JSONL", ".ndjson": "JSONL"}
    if suffix == ".json":
        return "Trainer" if b'"log_history"' in path.read_bytes() else "JSONL"
    return kinds.get(suffix)


def _below(level: list[Path]) -> Iterator[Path]:
    """The directories one level below; a link to one of them is not another."""
    seen = set()
    for directory in level:
        for path in sorted(directory.iterdir(), key=lambda path: (path.is_symlink(), path)):
            if path.is_dir() and path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _logs(directories: list[Path]) -> list[Log]:
    """All logs that lie in the directories themselves, one for each run."""
    logs: dict[tuple[str, object], Log] = {}
    for directory in directories:
        for path in sorted(directory.iterdir()):
            # Other files of this suffix are configurations as a rule.
            if not path.is_file() or (path.suffix == ".json" and path.name != STATE):
                continue
            kind = _kind(path)
            if kind is None or path.name.endswith(".texts.jsonl"):
                continue
            if kind == "TensorBoard":
                logs[kind, directory] = Log(kind, directory, [directory])
            elif kind == "Weights & Biases":  # each process of a resumed run has a file
                log = logs.setdefault((kind, path.name), Log(kind, path.parent, []))
                log.files.append(path)
            elif kind == "Trainer" and _checkpoint(directory) >= 0:
                later = logs.get((kind, directory.parent))
                if later is None or _checkpoint(later.path.parent) < _checkpoint(directory):
                    logs[kind, directory.parent] = Log(kind, path, [path])
            else:
                logs[kind, path] = Log(kind, path, [path])
    return list(logs.values())


def _checkpoint(directory: Path) -> int:
    """The step of a checkpoint of Trainer; -1 for other directories."""
    match = re.fullmatch(r"checkpoint-(\d+)", directory.name)
    return int(match[1]) if match else -1
