"""TensorBoard's event files, through TensorBoard's own reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cadence._optional import require
from cadence.runs._gather import Gathered

__all__ = ["from_tensorboard", "verbatim"]

INDENT = "    "


def verbatim(text: str) -> str:
    """A text as Markdown that shows it as it is; TensorBoard would run its lines together."""
    return "\n".join(f"{INDENT}{line}" for line in text.split("\n"))


def _plain(text: str) -> str:
    """What :func:`verbatim` was given; other Markdown is left as it is."""
    lines = text.split("\n")
    if not all(line.startswith(INDENT) for line in lines):
        return text
    return "\n".join(line.removeprefix(INDENT) for line in lines)


def from_tensorboard(files: Sequence[Path], run: Gathered) -> None:
    """Scalars of either form, and texts, of one event file or of those of a directory."""
    place = "tensorboard.backend.event_processing.event_file_loader"
    loader = require(place, "tensorboard").LegacyEventFileLoader
    array = require("tensorboard.util.tensor_util", "tensorboard").make_ndarray
    plugins: dict[str, str] = {}
    for event in _events(loader, files[0]):
        if event.HasField("session_log"):
            if event.session_log.status == event.session_log.START:
                run.went_back(event.step)
            continue
        for value in event.summary.value:
            # It is said with the first value of a tag alone, by some.
            plugin = value.metadata.plugin_data.plugin_name or plugins.get(value.tag, "")
            plugins[value.tag] = plugin
            if value.HasField("simple_value"):
                run.number(event.step, value.tag, value.simple_value)
            elif value.HasField("tensor") and plugin == "scalars":
                run.number(event.step, value.tag, float(array(value.tensor)))
            elif value.HasField("tensor") and plugin == "text":
                for line in array(value.tensor).flatten():
                    text = _plain(line.decode("utf-8", errors="replace"))
                    run.text(event.step, value.tag.removesuffix("/text_summary"), text)


def _events(loader: Callable[[str], Any], path: Path) -> Iterator[Any]:
    """All events in the order in which the files were begun.

    Their names tell that by the second alone.
    """
    paths = [path] if path.is_file() else sorted(path.glob("*tfevents*"))
    begun = []
    for one in paths:
        events = iter(loader(str(one)).Load())
        first = next(events, None)
        if first is not None:
            begun.append((first, events))
    for first, events in sorted(begun, key=lambda pair: pair[0].wall_time):
        yield first
        yield from events
