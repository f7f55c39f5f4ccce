"""The command that searches a plan's parameters with a training function of the user's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from cadence.cli._door import Json, app, finite, seeds_of
from cadence.cli._user import Train, printing_aside, training_function
from cadence.errors import ArgumentError

__all__ = ["search"]


@app.command(
    epilog="Examples:\n\n"
    'cadence search train.py "wsd(5%, {down}%)" --range peak=1e-4..1e-2:log --range down=5..50 '
    "--budget 40 --total-steps 600\n\n"
    'cadence search train.py "Warmup({up}%) >> Cosine(end={floor})" --range up=0..10 '
    "--range floor=0,0.01,0.1 --budget 30 --workers 4 -o study"
)
def search(
    train: Train,
    plan: Annotated[
        str,
        typer.Argument(
            metavar="PLAN", help="A plan with the names of ranges in braces.", show_default=False
        ),
    ],
    *,
    ranges: Annotated[
        list[str],
        typer.Option(
            "--range",
            metavar="NAME=RANGE",
            help="1..20, 1e-4..1e-2:log or a,b,c; the name peak is the rate.",
        ),
    ],
    budget: Annotated[int, typer.Option(metavar="N", help="How many trials in all.")],
    total_steps: Annotated[
        int | None, typer.Option(metavar="N", help="Length of each run in steps.")
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N", help="How many seeds, or which: 3,4,5.")] = "1",
    metric: Annotated[str, typer.Option(metavar="NAME", help="The judged metric.")] = "loss",
    mode: Annotated[str, typer.Option(metavar="min|max", help="Which is better.")] = "min",
    workers: Annotated[int, typer.Option(metavar="N", help="How many processes.")] = 1,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Threads of each run.")] = None,
    pruning: Annotated[
        bool, typer.Option("--pruning", help="Stop trials that fall behind the median.")
    ] = False,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the study is kept, if not SQLite.")
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The study's name in the storage.")
    ] = "search",
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where to write.")
    ] = Path("search"),
    as_json: Json = False,
) -> None:
    """Search a plan's parameters; the same command goes on where it stopped."""
    from cadence.search import search as searched

    options: Any = {"mode": mode}
    with printing_aside(as_json):
        found = searched(
            training_function(train),
            dict(map(_range, ranges)),
            budget,
            plan=plan,
            seeds=seeds_of("--seeds", seeds),
            total_steps=total_steps,
            metric=metric,
            folder=folder,
            storage=storage,
            name=name,
            workers=workers,
            threads=threads,
            pruning=pruning,
            **options,
        )
    if as_json:
        told = {"plan": found.text, "peak": found.peak, metric: found.value}
        print(json.dumps(finite(told | {"parameters": dict(found.parameters)}), indent=2))
        return
    print(found)


def _range(text: str) -> tuple[str, Any]:
    """A range as `cadence.search` takes it: by its ends, or by its choices."""
    from cadence.search import log

    name, equals, given = (part.strip() for part in text.partition("="))
    ends = re.fullmatch(r"(.+?)\.\.(.+?)(:log)?", given)
    if not (name and equals and given):
        raise ArgumentError(
            f"--range must be NAME=RANGE, such as peak=1e-4..1e-2:log (got {text!r})"
        )
    if ends is None:
        return name, [_number(text, choice) for choice in given.split(",")]
    low, high = _number(text, ends[1]), _number(text, ends[2])
    return name, log(low, high) if ends[3] else (low, high)


def _number(text: str, part: str) -> int | float:
    try:
        return int(part)
    except ValueError:
        try:
            return float(part)
        except ValueError:
            raise ArgumentError(
                f"--range must be of numbers, such as down=5..50 or floor=0,0.1 (got {text!r})"
            ) from None
