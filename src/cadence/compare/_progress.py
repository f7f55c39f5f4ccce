"""How far a comparison is: a table that lives on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cadence.compare._run import METRICS, Job, Outcome

if TYPE_CHECKING:
    from cadence.compare._engine import Course

__all__ = ["Progress"]

TAIL = 4096
"""How many bytes at the end of a log are looked at for its last step."""


class Progress:
    """Tells how far a comparison is, on stderr.

    Args:
        course: The runs.
        metric: The judged metric.
        mode: Which is better.
        total_steps: The length of a run, if it is known.
        shown: Whether to tell anything.
    """

    def __init__(
        self, course: Course, metric: str, mode: str, total_steps: int | None, *, shown: bool
    ) -> None:
        self._course, self._metric, self._mode = course, metric, mode
        self._total_steps, self._shown = total_steps, shown
        self._begun = time.monotonic()
        self._before = len(course.done)
        self._live: Any = None
        self._console: Any = None
        self._running: dict[Job, float] = {}

    def __enter__(self) -> Self:
        if not self._shown:
            return self
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False)
        self._say(f"{self._course.total} runs in {self._course.store.folder}", live=False)
        if self._before:
            self._say(f"{self._before} have ended before", live=False)
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._table, console=self._console, refresh_per_second=2
            )
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
        if error[0] is KeyboardInterrupt:
            self._say(
                f"interrupted; the {len(self._course.done)} runs that have ended are kept: call "
                f"again with folder={str(self._course.store.folder)!r} to go on",
                live=False,
            )

    def look(self, running: list[Job]) -> None:
        """Look how far the runs are that are going on."""
        if self._live is not None:
            self._running = {job: self._share(job) for job in running}

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Tell of a run that has ended."""
        self._running.pop(job, None)
        said = f"[{len(self._course.done)}/{self._course.total}] {job.label}: "
        if outcome.status == "crashed":
            said += f"crashed: {outcome.error.strip().rpartition(chr(10))[2]}"
        else:
            if outcome.status != "finished":
                said += f"{outcome.status}, "
            said += f"{self._metric} {outcome.score:.6g}"
        said += f" ({_span(outcome.seconds)})"
        left = self._left()
        if left and self._live is None:
            said += f", about {_span(left)} left"
        self._say(said)

    def _say(self, text: str, *, live: bool = True) -> None:
        if not self._shown or (live and self._live is not None and "crashed" not in text):
            return  # the table says it
        self._console.print(text, markup=False, soft_wrap=True)

    def _share(self, job: Job) -> float:
        """How much of a run is done, by the last whole line that it has logged."""
        if not self._total_steps:
            return 0.0
        try:
            with Path(job.folder, METRICS).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
                line = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
            return min(1.0, (json.loads(line)["step"] + 1) / self._total_steps)
        except (OSError, ValueError, KeyError):
            return 0.0

    def _left(self) -> float | None:
        """Seconds until the end, if the rest goes as what was done so far."""
        done = len(self._course.done) - self._before + sum(self._running.values())
        left = self._course.total - self._before - done
        if done <= 0:
            return None
        return (time.monotonic() - self._begun) / done * max(0.0, left)

    def _table(self) -> Any:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        best = min if self._mode == "min" else max
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("plan")
        for head in ("runs", "now", f"best {self._metric}", "mean", "peak"):
            table.add_column(Text(head), justify="right")
        for name in self._course.names:
            ended = [(j, o) for j, o in self._course.done.items() if j.plan == name]
            scores = [o.score for j, o in ended if j.role == "verdict" and math.isfinite(o.score)]
            bad = sum(outcome.status in ("crashed", "diverged") for _, outcome in ended)
            now = [share for job, share in self._running.items() if job.plan == name]
            peaks = {job.peak for job, _ in ended if job.role == "verdict"} - {None}
            table.add_row(
                Text(name),  # as it is: brackets in it are no markup
                f"{len(ended)}/{self._course.total // len(self._course.names)}"
                + (f" ({bad} bad)" if bad else ""),
                " ".join(f"{share:.0%}" for share in now),
                f"{best(scores):.5g}" if scores else "",
                f"{math.fsum(scores) / len(scores):.5g}" if scores else "",
                f"{peaks.pop():g}" if peaks else "",
            )
        left = self._left()
        spent = _span(time.monotonic() - self._begun)
        table.caption = f"{spent}, about {_span(left)} left" if left is not None else spent
        table.caption_justify = "left"
        return table


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, hours = round(seconds / 60), seconds / 3600
    return f"{minutes} min" if minutes < 90 else f"{hours:.1f} h"
