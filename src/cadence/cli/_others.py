"""Commands between libraries: convert and diff."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cadence import _checks
from cadence._files import replacing
from cadence.cli._door import (
    BaseLr,
    Json,
    Picture,
    SamplesPerStep,
    StepsPerEpoch,
    TokensPerStep,
    TotalSteps,
    app,
    brief,
    check_picture,
    finite,
    horizon_of,
    is_unicode,
    rate_of,
    resolved_from,
    resolved_plan,
    writing,
)
from cadence.errors import ArgumentError, UnresolvedError
from cadence.horizon import Horizon
from cadence.schedule import Schedule
from cadence.text import parse

__all__ = ["convert", "diff"]

SOURCE_HELP = (
    "A plan, or another library's schedule: 'transformers:cosine', 'timm:cosine(min_lr=1e-6)', "
    "'deepspeed:ds_config.json'."
)
ADD_LENGTH = "add --total-steps 10000"
WarmupSteps = Annotated[
    int | None,
    typer.Option(metavar="N", help="Steps of the warm-up, for another library's schedule."),
]


def _of_library(
    spec: str, horizon: Horizon, warmup: int | None, base: float | None, given: dict[str, Any]
) -> Schedule:
    from cadence.dialects.specs import read

    if warmup is not None:
        warmup = _checks.whole("cadence", "--warmup-steps", warmup)
    return read(
        spec,
        warmup_steps=warmup,
        total_steps=horizon.total_steps,
        base_lr=base,
        steps_per_epoch=horizon.steps_per_epoch,
        arguments=given,
    )


def _arguments(text: str | None) -> dict[str, Any]:
    """The arguments of a schedule, as JSON."""
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ArgumentError(
            f"--args must be JSON ({error}); write '{{\"num_cycles\": 1}}'"
        ) from None
    if not isinstance(found, dict):
        raise ArgumentError(f"--args must be a JSON object (got {_checks.given(found)})")
    return found


@app.command(
    epilog="Examples:\n\n"
    "cadence convert --from transformers cosine_with_min_lr --args '{\"min_lr_rate\": 0.1}' "
    "--warmup-steps 500 --total-steps 10000\n\n"
    "cadence convert --from deepspeed ds_config.json --to torch -o schedule.py\n\n"
    'cadence convert "Warmup(500) >> Cosine(end=0.1)" --total-steps 10000 --to optax --base-lr 3e-4'
)
def convert(
    source: Annotated[
        str, typer.Argument(metavar="SCHEDULE", help=SOURCE_HELP, show_default=False)
    ],
    *,
    library: Annotated[
        str | None,
        typer.Option("--from", metavar="LIBRARY", help="Whose schedule or config file it is."),
    ] = None,
    args: Annotated[
        str | None, typer.Option(metavar="JSON", help="The schedule's own arguments.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TARGET",
            help="python, torch, transformers, lightning, optax, json or csv; else Cadence's text.",
        ),
    ] = None,
    warmup_steps: WarmupSteps = None,
    total_steps: TotalSteps = None,
    base_lr: BaseLr = None,
    steps_per_epoch: StepsPerEpoch = None,
    samples_per_step: SamplesPerStep = None,
    tokens_per_step: TokensPerStep = None,
    tolerance: Annotated[
        float,
        typer.Option(metavar="PART", help="How far transformers' own may be off, of the peak."),
    ] = 0.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read a schedule of another library, or write a plan for one."""
    from cadence.dialects.specs import is_spec

    horizon = horizon_of(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    base, given = rate_of(base_lr), _arguments(args)
    spec = source if library is None else f"{library}:{source}"
    if library is not None or is_spec(source):
        plan = _of_library(spec, horizon, warmup_steps, base, given)
    else:
        plan = parse(source)
        if given or warmup_steps is not None:
            name = "--args" if given else "--warmup-steps"
            raise ArgumentError(
                f"{name} is for another library's schedule; add --from transformers"
            )
    told: dict[str, Any] = {"source": spec, "plan": repr(plan)}
    text, note = f"{plan!r}\n", ""
    if target is not None:
        from cadence.dialects.export import TARGETS, export

        _checks.choice("cadence", "--to", target, TARGETS)
        resolved = plan if target == "json" else resolved_plan(plan, horizon)
        if target in ("csv", "transformers") and horizon.total_steps is None is resolved.steps:
            raise UnresolvedError(f"{brief(repr(plan))} has no length of its own; {ADD_LENGTH}")
        made = export(resolved, target, horizon.total_steps, base_lr=base, tolerance=tolerance)
        text = made.text if made.text.endswith("\n") else f"{made.text}\n"
        told |= {"target": target, "exact": made.exact, "until": made.until, "note": made.note}
        told |= {"arguments": made.arguments, "text": made.text}
        note = "" if as_json else made.note
    if as_json:
        text = f"{json.dumps(finite(told), indent=2)}\n"
    if output is None:
        print(text, end="")
    else:
        with writing(output), replacing(output) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        print(f"wrote {output}")
    if note:
        print(f"cadence: {note}", file=sys.stderr)


@app.command(
    epilog="Examples:\n\n"
    "cadence diff transformers:cosine timm:cosine --warmup-steps 500 --total-steps 10000\n\n"
    'cadence diff "Warmup(500) >> Cosine()" "Warmup(500) >> Linear()" --total-steps 10000 '
    "-o diff.png"
)
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=SOURCE_HELP, show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.", show_default=False)],
    *,
    warmup_steps: WarmupSteps = None,
    total_steps: TotalSteps = None,
    base_lr: BaseLr = None,
    steps_per_epoch: StepsPerEpoch = None,
    samples_per_step: SamplesPerStep = None,
    tokens_per_step: TokensPerStep = None,
    output: Picture = None,
    as_json: Json = False,
) -> None:
    """Show where two plans part, or two libraries' versions of one."""
    from cadence import plot as drawing
    from cadence.dialects.specs import is_spec
    from cadence.differences import diff as compared

    horizon = horizon_of(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    check_picture(output)
    base = rate_of(base_lr)
    if warmup_steps is not None and not (is_spec(a) or is_spec(b)):
        raise ArgumentError(
            "--warmup-steps is for another library's schedule (got two plans); write Warmup(...)"
        )
    one, other = (
        resolved_plan(_of_library(text, horizon, warmup_steps, base, {}), horizon)
        if is_spec(text)
        else resolved_from(text, horizon)[1]
        for text in (a, b)
    )
    if horizon.total_steps is None and one.steps is None and other.steps is None:
        raise UnresolvedError(f"neither plan has a length of its own; {ADD_LENGTH}")
    found = compared(one, other, horizon, base or 1.0)
    if output is not None:
        with writing(output):
            drawing.save(found.plot((a, b))[0], output)
    if as_json:
        print(json.dumps(finite({"given": [a, b], **found.as_dict()}), indent=2))
        return
    print(f"a  {found.a!r}")
    print(f"b  {found.b!r}")
    print(f"\n{found.sentence}\n")
    rows: list[tuple[str, ...]] = [("step", "what", "a", "b", "b - a")]
    rows += [
        (
            f"{row.step:,}",
            row.what,
            f"{row.a:g}",
            f"{row.b:g}",
            f"{row.apart:+.3g}" if row.apart else "0",
        )
        for row in found.rows
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple(("─" if is_unicode() else "-") * n for n in widths))
    for step, what, *values in rows:
        cells = [f"{step:>{widths[0]}}", f"{what:<{widths[1]}}"]
        cells += [f"{value:>{n}}" for value, n in zip(values, widths[2:], strict=True)]
        print("  ".join(cells))
    if output is not None:
        print(f"\nwrote {output}")
