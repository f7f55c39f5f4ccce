"""The command that measures: find-lr, on a model of the user's own."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from cadence import _checks
from cadence.cli._door import Json, Picture, app, check_picture, finite, writing
from cadence.cli._user import function_of, printing_aside
from cadence.errors import ArgumentError, RangeTestWarning

__all__ = ["find_lr"]

PARTS = ("model", "optimizer", "loss_fn", "loader")


@app.command(
    "find-lr",
    epilog="Examples:\n\n"
    "cadence find-lr train:parts\n\n"
    "cadence find-lr train.py:parts --start 1e-6 --end 1 --seeds 5 -o range.png",
)
def find_lr(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="A function that returns model, optimizer, loss_fn and loader, or a dict of them.",
            show_default=False,
        ),
    ],
    *,
    start: Annotated[
        float | None, typer.Option(metavar="RATE", help="The first rate.", show_default="1e-7")
    ] = None,
    end: Annotated[
        float | None, typer.Option(metavar="RATE", help="The last rate.", show_default="10")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Updates of a sweep.", show_default="200")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="How many repeats.", show_default="3")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(metavar="N", help="Batches of an update.", show_default="1")
    ] = None,
    output: Picture = None,
    as_json: Json = False,
) -> None:
    """Find the rates at which a model learns; nothing of it is changed."""
    from cadence.range_finder import find_lr as find

    check_picture(output)
    options: dict[str, Any] = {
        "start": start,
        "end": end,
        "steps": steps,
        "seeds": seeds,
        "accumulate": accumulate,
    }
    given = {name: value for name, value in options.items() if value is not None}
    with printing_aside(as_json):
        parts = _parts(target, list(inspect.signature(find).parameters))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RangeTestWarning)  # they are part of what is printed
            found = find(**parts | given)
    if output is not None:
        with writing(output):
            found.plot(output)
    if as_json:
        print(json.dumps(finite(found.to_dict()), indent=2))
        return
    print(found)
    if output is not None:
        print(f"\nwrote {output}")


def _parts(target: str, names: Sequence[str]) -> dict[str, Any]:
    """What the user's function returns, by the names of `find_lr`."""
    module, _, name = target.rpartition(":")
    if not (module and name):
        raise ArgumentError(
            f"MODULE:FUNCTION must name both (got {target!r}); write cadence find-lr train:parts"
        )
    unknown = f"MODULE must be one that can be imported (got {module!r})"
    parts: Any = function_of(module, name, "MODULE", unknown=unknown, seen=" (it has none)")()
    if isinstance(parts, Mapping):
        parts = {"loss_fn": None, **parts}
        for key in parts:
            if key not in names:
                close = _checks.suggest(key, names)
                raise ArgumentError(
                    f"{target} must return arguments of find_lr (got {key!r}){close}"
                )
        if absent := [key for key in PARTS if key not in parts]:
            raise ArgumentError(f"{target} must return {' and '.join(absent)} as well")
        return parts
    if not (isinstance(parts, tuple) and len(parts) == len(PARTS)):
        raise ArgumentError(
            f"{target} must return model, optimizer, loss_fn and loader, or a dict of them (got "
            f"{_checks.given(parts)})"
        )
    return dict(zip(PARTS, parts, strict=True))
