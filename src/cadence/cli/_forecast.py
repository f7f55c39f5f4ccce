"""The command that forecasts: `cadence forecast`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cadence.cli._door import Json, Picture, app, check_picture, console, finite, rate_of, writing
from cadence.errors import ForecastError
from cadence.text import parse

__all__ = ["forecast"]


@app.command(
    epilog="Examples:\n\n"
    'cadence forecast runs/* --plan "wsd(5%, 20%)" -p "warmup_cosine(5%)" --total-steps 50000\n\n'
    "cadence forecast runs/* --loss val_loss --optimize wsd -o forecast.png"
)
def forecast(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Logs of runs, or their directories."),
    ],
    *,
    plan: Annotated[
        list[str] | None,
        typer.Option("--plan", "-p", metavar="PLAN", help="A plan to predict; give it repeatedly."),
    ] = None,
    total_steps: Annotated[
        int | None, typer.Option(metavar="N", help="Steps; by default of the longest run.")
    ] = None,
    base_lr: Annotated[
        float | None,
        typer.Option("--base-lr", "--peak", metavar="RATE", help="By default the runs' peak."),
    ] = None,
    law: Annotated[
        str, typer.Option(metavar="LAW", help="auto, momentum, multi-power or functional.")
    ] = "auto",
    optimize: Annotated[
        str | None,
        typer.Option(metavar="FAMILY", help="Propose a plan: wsd, cosine, linear or piecewise."),
    ] = None,
    loss: Annotated[str | None, typer.Option(metavar="KEY", help="The loss's key.")] = None,
    rate: Annotated[str | None, typer.Option(metavar="KEY", help="The rate's key.")] = None,
    warmup: Annotated[
        int | None, typer.Option(metavar="N", help="Steps of a warm-up that the logs leave out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Show what is refused, too.")] = False,
    output: Picture = None,
    as_json: Json = False,
) -> None:
    """Predict the losses of plans from logged runs, with bands and a verdict."""
    from cadence import forecast as forecasts
    from cadence import plot as drawing

    check_picture(output)
    plans = {text: parse(text) for text in plan or ()}
    base = rate_of(base_lr)
    fitted = forecasts.fit(runs, law, loss=loss, rate=rate, warmup=warmup)
    try:
        ranked = fitted.rank(plans, total_steps, base, force=force) if plans else None
        proposed = (
            None
            if optimize is None
            else fitted.optimize(total_steps, optimize, peak=base, force=force)
        )
    except ForecastError as error:
        raise ForecastError(str(error).replace("write force=True", "add --force")) from None
    shown = [] if ranked is None else list(ranked.forecasts)
    if proposed is not None:
        shown.append(proposed.forecast)
    if output is not None:
        with writing(output):
            drawing.save(forecasts.plot(fitted, shown)[0], output)
    if as_json:
        told = {
            "law": fitted.as_dict(),
            "ranking": None if ranked is None else ranked.as_dict(),
            "proposal": None if proposed is None else proposed.as_dict(),
        }
        print(json.dumps(finite(told), indent=2))
        return
    _print(fitted, ranked, proposed)
    if output is not None:
        print(f"\nwrote {output}")


def _print(fitted: Any, ranked: Any, proposed: Any) -> None:
    """The law, the table of plans, the proposal, and what speaks against them."""
    from rich.table import Table
    from rich.text import Text

    law = fitted.law
    parameters = ", ".join(f"{p.name} {getattr(law, p.name):.4g}" for p in law.parameters)
    print(f"{law.name} law: {parameters}")
    print(fitted.reason)
    findings = dict.fromkeys(fitted.verdict.findings)
    if ranked is not None:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("place", "loss", "low", "high"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("plan", overflow="fold")
        for place, one in zip(ranked.places, ranked.forecasts, strict=True):
            numbers = (f"{value:.4f}" for value in (one.final, one.low[-1], one.high[-1]))
            table.add_row(str(place), *numbers, Text(one.label))
            findings.update(dict.fromkeys(one.verdict.findings))
        print(f"\nafter {ranked.forecasts[0].total_steps:,} steps:")
        console().print(table)
        if (count := len(ranked.ties)) > 1:
            print(f"\nThe first {count} are not resolved: they differ by less than the band.")
    if proposed is not None:
        word = "resolved" if proposed.resolved else "not resolved"
        print(f"\nproposed: {proposed.plan!r}")
        least, most = proposed.gains
        print(
            f"predicted {proposed.forecast.final:.4f} after {proposed.forecast.total_steps:,} "
            f"steps, {abs(proposed.gain):.4f} "
            f"{'lower' if proposed.gain > 0 else 'higher'} than {proposed.against.label} "
            f"(gain by law: {least:+.4f} to {most:+.4f}): {word}"
        )
        if proposed.gain > 0:
            print("Such gains were predicted 1.3 to 3.3 times as large as they were measured.")
        findings.update(dict.fromkeys(proposed.forecast.verdict.findings))
    if findings:
        colors = {"warn": "yellow", "refuse": "red"}
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for finding in findings:
            told = f"{finding.message} ({finding.code})"
            table.add_row(Text(finding.severity, colors[finding.severity]), Text(told))
        print()
        console().print(table)
