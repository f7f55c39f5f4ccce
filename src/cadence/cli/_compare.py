"""The command that compares plans: a training function of the user's, under each of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from cadence.cli._door import Json, app, finite, seeds_of
from cadence.cli._user import Train, printing_aside, training_function
from cadence.errors import ArgumentError

__all__ = ["compare"]


@app.command(
    epilog="Examples:\n\n"
    'cadence compare train.py --plan "Constant(1)" --plan "Warmup(5%) >> Cosine()" '
    "--total-steps 600\n\n"
    'cadence compare package.module:train --plan "wsd=wsd(5%)" --plan "linear=Linear()" '
    "--total-steps 600 --peaks 1e-3,3e-3,1e-2 --metric val_loss -o evidence"
)
def compare(
    train: Train,
    *,
    plans: Annotated[
        list[str],
        typer.Option("--plan", metavar="PLAN", help="A plan, or NAME=PLAN; several of them."),
    ],
    total_steps: Annotated[
        int | None, typer.Option(metavar="N", help="Length of each run in steps.")
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N", help="How many seeds, or which: 3,4,5.")] = "5",
    peaks: Annotated[
        str | None,
        typer.Option(metavar="RATES", help="Rates to choose each plan's own from: 1e-3,3e-3."),
    ] = None,
    peak_seeds: Annotated[
        str, typer.Option(metavar="N", help="How many seeds choose the peaks, or which.")
    ] = "2",
    metric: Annotated[str, typer.Option(metavar="NAME", help="The judged metric.")] = "loss",
    mode: Annotated[str, typer.Option(metavar="min|max", help="Which is better.")] = "min",
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="How many runs at a time.")
    ] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Threads of each run.")] = None,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="processes, inline or ray.")
    ] = "processes",
    asha: Annotated[bool, typer.Option("--asha", help="Stop runs that fall behind.")] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Kill a run after so long.")
    ] = None,
    retries: Annotated[
        int, typer.Option(metavar="N", help="How often a run that crashed is tried again.")
    ] = 0,
    gpus: Annotated[
        float | None, typer.Option(metavar="N", help="GPUs of each run, on Ray; 0.25 is allowed.")
    ] = None,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Keep what fits of another comparison in the folder.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Where to write; a new one if not."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train under several plans with the same seeds, and say which is better."""
    from cadence.compare import compare as compared

    options: Any = {"engine": engine, "mode": mode, "scheduler": "asha" if asha else None}
    with printing_aside(as_json):
        result = compared(
            training_function(train),
            _plans(plans),
            seeds=seeds_of("--seeds", seeds),
            peaks=None if peaks is None else [_rate(peak) for peak in peaks.split(",")],
            peak_seeds=seeds_of("--peak-seeds", peak_seeds),
            total_steps=total_steps,
            metric=metric,
            folder=folder,
            workers=workers,
            threads=threads,
            timeout=timeout,
            retries=retries,
            gpus=gpus,
            on_mismatch="reuse" if reuse else "raise",
            **options,
        )
    if not as_json:
        print(result, flush=True)  # whatever becomes of the rest
    verdict = result.verdict()
    page = result.report(result.folder or Path(), verdict=verdict)
    if as_json:
        rows = {
            "folder": str(result.folder),
            "report": str(page),
            "metric": metric,
            "trials": result.table(),
            "verdict": verdict.as_dict(),
        }
        print(json.dumps(finite(rows), indent=2))
        return
    print("", verdict, "", f"wrote {page}", sep="\n")


def _plans(given: list[str]) -> Any:
    """Plans by their names; where none has one, a list."""
    pairs = [re.fullmatch(r"\s*(?:([^()=]+?)\s*=)?(.+)", text, re.DOTALL) for text in given]
    named = [(pair[1] or pair[2].strip(), pair[2].strip()) for pair in pairs if pair]
    names = [name for name, _ in named]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ArgumentError(f"--plan must have names that differ (got {twice!r} twice)")
    return dict(named)


def _rate(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(f"--peaks must be rates such as 1e-3,3e-3 (got {text!r})") from None
