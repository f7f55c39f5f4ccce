"""The report of a comparison: one HTML file that needs nothing else, and one picture."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadence import plot
from cadence._files import replacing
from cadence._version import __version__
from cadence.compare import _pictures as pictures
from cadence.compare._evidence import curve_metric, judge
from cadence.compare._longer import outlook
from cadence.compare._trial import Comparison
from cadence.compare._verdict import Verdict
from cadence.compare._words import amount, interval, seeds_told
from cadence.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["html", "write"]

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write(
    comparison: Comparison, path: str | os.PathLike[str], verdict: Verdict | None = None
) -> Path:
    """Write the report and its picture: `report.html` and `report.png`.

    Each is written beside its place and then renamed, so that it is whole or not there.

    Args:
        comparison: What was run.
        path: A folder, which is made where it is missing; or the name of the page, which ends in
            `.html`: the picture lies beside it.
        verdict: The verdict to tell; by default `comparison.verdict()`.

    Returns:
        The page.

    Raises:
        ArgumentError: The path has another suffix than `.html` and is not a folder.
        OSError: It cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in ("", ".html") and not path.is_dir():
        raise ArgumentError(
            f"report: 'path' must be a folder or end in .html (got {str(path)!r}); write "
            f"{str(path.with_suffix('.html'))!r}"
        )
    page = path if path.suffix.lower() == ".html" else path / "report.html"
    verdict = judge(comparison) if verdict is None else verdict
    text = html(comparison, verdict)
    page.parent.mkdir(parents=True, exist_ok=True)
    with pictures.drawing():
        plot.save(pictures.picture(comparison, verdict), page.with_suffix(".png"), dpi=150)
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def html(comparison: Comparison, verdict: Verdict) -> str:
    """The page as text: everything is in it, and nothing is asked of any other place."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"g": _number, "words": _words}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    colors = {s.plan: i % len(plot.COLORS) for i, s in enumerate(verdict.standings)}
    with pictures.drawing():
        drawn = [
            ("Losses", pictures.losses(comparison, verdict)),
            ("Paired differences", pictures.differences(verdict)),
            ("Schedules", pictures.schedules(comparison, verdict)),
        ]
        # Safe: made here, and matplotlib escapes the names in it.
        svgs = {title: Markup(_svg(figure)) for title, figure in drawn if figure is not None}  # noqa: S704
    sign = 1 if verdict.mode == "min" else -1
    return template.render(
        title=comparison.title,
        verdict=verdict,
        logged=curve_metric(comparison),
        longer=outlook(comparison),
        sentences=[s for s in verdict.sentences if s != verdict.headline],
        standings=sorted(
            verdict.standings, key=lambda s: (not s.scores, sign * s.mean if s.scores else 0.0)
        ),
        svgs=svgs,
        colors=colors,
        palette=list(zip(plot.COLORS, DARK, strict=True)),
        interval=interval,
        amount=amount,
        seeds_told=seeds_told,
        trials=list(zip(comparison.table(), _ordered(comparison), strict=True)),
        settings=_settings(comparison),
        version=__version__,
    )


DARK = ("#56a8e0", "#ff8a4c", "#2fc79a", "#e39cc4", "#f2b632", "#8fd0f5", "#e8e8e8")
"""The colours of `cadence.plot` on a dark page, in the same order."""


def _ordered(comparison: Comparison) -> list[Any]:
    """The trials in the order of the table's rows."""
    of = {(t.plan, t.role, t.peak, t.seed): t for t in comparison.trials}
    return [of[row["plan"], row["role"], row["peak"], row["seed"]] for row in comparison.table()]


def _settings(comparison: Comparison) -> list[tuple[str, str]]:
    """What reproduces the comparison: the plans' texts, and whatever the engine has recorded."""
    rows = [(f"plan {name!r}", repr(plan)) for name, plan in comparison.plans.items()]
    told: dict[str, Any] = {"metric": f"{comparison.metric} ({comparison.mode})"}
    told |= {"total_steps": comparison.total_steps} if comparison.total_steps else {}
    told |= {k: v for k, v in comparison.settings.items() if k not in ("plans", "metric", "mode")}
    told |= {"folder": str(comparison.folder)} if comparison.folder else {}
    for key, value in told.items():
        if value not in (None, [], (), {}, ""):
            command = key == "command" and isinstance(value, (list, tuple))
            text = shlex.join(map(str, value)) if command else _words(value)
            rows.append((str(key).replace("_", " "), text))
    return rows


def _words(value: Any) -> str:
    """A setting on one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return json.dumps(value, default=str)


def _number(value: Any) -> str:
    return "–" if value is None or value != value else f"{value:.6g}"  # noqa: PLR0124 - NaN


def _svg(figure: Figure) -> str:
    """A figure as an inline SVG whose colours are the page's own.

    What matplotlib writes around it refers to other hosts, if only by name: that is left out, as
    are the names that nothing in the picture refers to.
    """
    file = StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", text)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", text)
    text = re.sub(
        r'<svg ([^>]*?)width="[^"]*"',
        r'<svg role="img" \1',
        re.sub(r' height="[^"]*pt"', "", text, count=1),
        count=1,
    )
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)  # the page's own
    named = {plot.INK: "ink", plot.GREY: "grey", "#dddddd": "line", "#ffffff": "paper"}
    named |= {color: f"c{i}" for i, color in enumerate(plot.COLORS)}
    for color, name in named.items():
        text = re.sub(rf"{color}\b", f"var(--{name})", text, flags=re.IGNORECASE)
    return text.strip()
