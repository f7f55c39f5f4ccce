"""How far plans are from the libraries that they were read from: measured, judged, and tabulated.

`make table` writes the page of the docs; the differences are those of one machine's arithmetic,
so nothing compares the page with a later run.
"""

import importlib.metadata
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


def version(library):
    """The installed version; tests are collected where the library is not, too."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


NEAR_ZERO = 1e-3
"""Values smaller than this part of the largest are compared as if they were that large."""


@dataclass
class Row:
    """What is known of one schedule of one library."""

    version: str
    worst: float = 0.0
    examples: int = 0


ROWS: dict[tuple[str, str], Row] = {}


def difference(ours, theirs):
    """The largest relative difference of two courses, one value for each step.

    Near a zero the last digit of the largest value counts, since that is what the libraries
    compute with; two that are both infinite do not differ.
    """
    ours, theirs = (np.asarray(values, dtype=np.float64) for values in (ours, theirs))
    same = ours == theirs
    scale = np.maximum(
        np.abs(theirs), NEAR_ZERO * np.abs(theirs[np.isfinite(theirs)]).max(initial=0)
    )
    with np.errstate(all="ignore"):
        apart = np.where(same, 0.0, np.abs(ours - theirs) / scale)
    return float(np.where(np.isnan(apart), math.inf, apart).max(initial=0.0))


def record(library, version, schedule, worst_relative_difference):
    """Note one example of a schedule."""
    row = ROWS.setdefault((library, schedule), Row(version))
    row.worst = max(row.worst, worst_relative_difference)
    row.examples += 1


def compare(library, version, schedule, ours, theirs, *, tolerance=1e-12):
    """Fail unless two courses agree at every step; note by how much they do."""
    worst = difference(ours, theirs)
    if not worst <= tolerance:
        pairs = zip(ours, theirs, strict=True)
        told = [
            f"step {step}: {a!r}, theirs {b!r}"
            for step, (a, b) in enumerate(pairs)
            if not math.isclose(a, b, rel_tol=tolerance)
        ]
        raise AssertionError(f"{library}, {schedule}: {'; '.join(told[:5])} ({len(told)} steps)")
    record(library, version, schedule, worst)


def page():
    """The table as a page of the docs."""
    lines = [
        "# How exactly schedules of other libraries are read",
        "",
        "The libraries themselves, in these versions, beside the plans that `cadence.dialects`",
        "reads: with random arguments, at every step from 0 to past the end. The difference is",
        "relative to the value or, where that is smaller, to a thousandth of the largest. The rows",
        "`to ...` are plans that [`plan.export`](export.md) has written for that library.",
        "`make table` measures it anew.",
        "",
        "| library | version | schedule | largest difference | runs compared |",
        "|---|---|---|---|---|",
    ]
    for (library, schedule), row in sorted(
        ROWS.items(), key=lambda item: [word.casefold() for word in item[0]]
    ):
        worst = "none" if row.worst == 0 else f"{row.worst:.1e}"
        lines.append(f"| {library} | {row.version} | {schedule} | {worst} | {row.examples:,} |")
    return "\n".join(lines) + "\n"


def write():
    """Write the page, if that was asked for."""
    target = os.environ.get("CADENCE_TABLE")
    if target and ROWS:
        unfinished = Path(f"{target}.part")
        unfinished.write_text(page(), encoding="utf-8")
        os.replace(unfinished, target)  # noqa: PTH105  (atomic on every system)
