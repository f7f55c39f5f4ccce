"""Commands that show a plan: plot, explain, values, check and shapes."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Annotated

import typer

from cadence import _checks
from cadence.cli._door import (
    BaseLr,
    Json,
    Picture,
    Plan,
    Plans,
    SamplesPerStep,
    StepsPerEpoch,
    TokensPerStep,
    TotalSteps,
    app,
    brief,
    check_picture,
    console,
    finite,
    horizon_of,
    is_unicode,
    rate_of,
    resolved_from,
    writing,
)
from cadence.errors import UnresolvedError
from cadence.explain import explain as explained
from cadence.explain import multiple
from cadence.outline import sparkline, viewed
from cadence.schedule import Schedule

__all__ = ["check", "explain", "plot", "shapes", "values"]


@app.command(
    epilog="Examples:\n\n"
    'cadence plot "Warmup(500) >> Cosine(9500)"\n\n'
    'cadence plot "wsd(5%, 20%)" "warmup_cosine(5%)" --total-steps 10000 -o plans.pdf\n\n'
    'cadence plot "Warmup(1ep) >> Cosine()" --total-steps 90ep --steps-per-epoch 500 --epochs'
)
def plot(
    plans: Plans,
    *,
    total_steps: TotalSteps = None,
    base_lr: BaseLr = None,
    steps_per_epoch: StepsPerEpoch = None,
    samples_per_step: SamplesPerStep = None,
    tokens_per_step: TokensPerStep = None,
    log: Annotated[bool, typer.Option("--log", help="A logarithmic axis.")] = False,
    epochs: Annotated[bool, typer.Option("--epochs", help="Count x in epochs.")] = False,
    output: Picture = None,
) -> None:
    """Draw plans: in the terminal, or with -o to a file."""
    from cadence import plot as drawing

    horizon = horizon_of(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    if epochs and horizon.steps_per_epoch is None:
        raise UnresolvedError("--epochs needs more; add --steps-per-epoch 500")
    check_picture(output)
    base = rate_of(base_lr) or 1.0
    resolved = [resolved_from(text, horizon) for text in plans]
    if horizon.total_steps is None:
        # One length for all of them, that of the longest.
        longest = max(viewed(plan) for _, plan in resolved)
        horizon = horizon.within(longest)
    curves = [
        drawing.curve(
            plan, horizon, base, unit="epochs" if epochs else "steps", label=repr(written)
        )
        for written, plan in resolved
    ]
    if output is None:
        print(
            drawing.terminal(
                curves,
                log=log,
                color=None if sys.stdout.isatty() else False,
                ascii_only=not is_unicode(),
            )
        )
        return
    ax = drawing.plot(curves, log=log)
    with writing(output):
        drawing.save(ax, output)
    print(f"wrote {output}")


@app.command(
    epilog="Examples:\n\n"
    'cadence explain "Warmup(500) >> Hold() >> OneMinusSqrt(2000)" --total-steps 10000\n\n'
    'cadence explain "sgdr(1000, t_mult=2)" --base-lr 0.1 --json'
)
def explain(
    plan: Plan,
    *,
    total_steps: TotalSteps = None,
    base_lr: BaseLr = None,
    steps_per_epoch: StepsPerEpoch = None,
    samples_per_step: SamplesPerStep = None,
    tokens_per_step: TokensPerStep = None,
    as_json: Json = False,
) -> None:
    """Tell a plan in one sentence, and tabulate its key steps."""
    horizon = horizon_of(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    base = rate_of(base_lr)
    written, resolved = resolved_from(plan, horizon)
    told = explained(resolved, horizon, base)
    if as_json:
        print(json.dumps({"written": repr(written), **finite(told.as_dict())}, indent=2))
        return
    width = min(100, shutil.get_terminal_size().columns)
    unicode = is_unicode()
    print(textwrap.fill(told.sentence, width) if sys.stdout.isatty() else told.sentence)
    print()
    print(sparkline(resolved, told.total_steps, min(60, width), ascii_only=not unicode))
    print()
    rows: list[tuple[str, ...]] = [("step", "what", "value", f"rate (base {told.base:g})")]
    rows += [(f"{r.step:,}", r.what, f"{r.value:g}", f"{r.rate:g}") for r in told.rows]
    steps, words, multiples, rates = (max(map(len, column)) for column in zip(*rows, strict=True))
    rows.insert(1, tuple(("─" if unicode else "-") * n for n in (steps, words, multiples, rates)))
    for step, what, value, rate in rows:
        print(f"{step:>{steps}}  {what:<{words}}  {value:>{multiples}}  {rate:>{rates}}")


@app.command(
    epilog="Examples:\n\n"
    'cadence values "Cosine(100, end=0.1)" --base-lr 3e-4 --every 10\n\n'
    'cadence values "wsd()" --total-steps 10000 --format json'
)
def values(
    plan: Plan,
    *,
    total_steps: TotalSteps = None,
    base_lr: BaseLr = None,
    steps_per_epoch: StepsPerEpoch = None,
    samples_per_step: SamplesPerStep = None,
    tokens_per_step: TokensPerStep = None,
    every: Annotated[int, typer.Option(metavar="K", help="Only every K-th step.")] = 1,
    form: Annotated[
        str, typer.Option("--format", metavar="csv|json|table", help="How to print them.")
    ] = "csv",
    as_json: Json = False,
) -> None:
    """Print the values of a plan: step, multiple of the base, rate."""
    _checks.choice("cadence", "--format", form, ("csv", "json", "table"))
    every = _checks.whole("cadence", "--every", every, low=1)
    horizon = horizon_of(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    base = rate_of(base_lr) or 1.0
    _, resolved = resolved_from(plan, horizon)
    total = horizon.total_steps or resolved.steps
    if total is None:
        raise UnresolvedError(f"{brief(plan)} has no length of its own; add --total-steps 10000")
    rows = _rows(resolved, total, every, base)
    if as_json or form == "json":
        head = {"plan": repr(resolved), "total_steps": total, "base": base}
        print(json.dumps(head)[:-1] + ', "values": [', end="")
        for i, (step, value, rate) in enumerate(rows):
            row = json.dumps(finite({"step": step, "value": value, "rate": rate}))
            print(f"{',' * (i > 0)}\n  {row}", end="")
        print("\n]}")
    elif form == "csv":
        print("step,value,rate")
        for step, value, rate in rows:
            print(f"{step},{value!r},{rate!r}")
    else:
        print(f"{'step':>12}  {'value':>14}  {'rate':>14}")
        for step, value, rate in rows:
            print(f"{step:>12,}  {value:>14.6g}  {rate:>14.6g}")


def _rows(
    plan: Schedule, total: int, every: int, base: float
) -> Iterator[tuple[int, float, float]]:
    """Step, multiple of the base and rate, in parts that fit in memory."""
    import numpy as np

    size = every << 14
    for begin in range(0, total, size):
        steps = np.arange(begin, min(begin + size, total), every)
        rates = plan(steps, base)
        multiples = multiple(plan, steps, base)
        yield from zip(steps.tolist(), multiples.tolist(), rates.tolist(), strict=True)


@app.command(
    epilog="Examples:\n\n"
    'cadence check "Warmup(5) >> Cosine(85)" --total-steps 45000\n\n'
    'cadence check "Warmup(5%) >> Cosine(end=absolute(1e-6))" --total-steps 10000 --base-lr 3e-4'
)
def check(
    plan: Plan,
    *,
    total_steps: TotalSteps = None,
    base_lr: Annotated[
        float | None,
        typer.Option(
            "--base-lr", "--base", metavar="RATE", help="The group's own rate, such as 3e-4."
        ),
    ] = None,
    steps_per_epoch: StepsPerEpoch = None,
    samples_per_step: SamplesPerStep = None,
    tokens_per_step: TokensPerStep = None,
    as_json: Json = False,
) -> None:
    """Check a plan against its run; exit code 1 where there are errors."""
    from cadence.check import SEVERITIES
    from cadence.check import check as checked

    horizon = horizon_of(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    base = rate_of(base_lr) or 1.0
    written, resolved = resolved_from(plan, horizon)
    findings = checked(written, horizon, base=base)
    if as_json:
        told = {
            "written": repr(written),
            "plan": repr(resolved),
            "total_steps": horizon.total_steps,
            "base": base,
            "findings": [finite(finding.as_dict()) for finding in findings],
        }
        print(json.dumps(told, indent=2))
    elif not findings:
        print("nothing found")
    else:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for _ in range(3):
            table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for finding in findings:
            fix = "" if finding.fix is None else f"\nwrite {finding.fix}"
            where = "" if finding.step is None else f"step {finding.step:,}"
            color = ("red", "yellow", "blue")[SEVERITIES.index(finding.severity)]
            severity = Text(finding.severity, color)
            table.add_row(finding.code, severity, where, Text(f"{finding.message}{fix}"))
        console().print(table)
        counts = [(sum(f.severity == word for f in findings), word) for word in SEVERITIES]
        print("\n" + ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts if n))
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


@app.command(epilog="Examples:\n\ncadence shapes\n\ncadence shapes --json")
def shapes(as_json: Json = False) -> None:
    """List every shape and recipe, with its formula and a tiny curve."""
    from cadence.catalogue import catalogue

    entries = catalogue()
    if as_json:
        print(json.dumps([finite(entry.as_dict()) for entry in entries], indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    unicode = is_unicode()
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True, style="blue")
    table.add_column(overflow="fold")
    kind = ""
    for entry in entries:
        if entry.kind != kind:
            table.add_row(*(["", "", ""] * bool(kind)))
            kind = entry.kind
            table.add_row(f"{kind.capitalize()}s", "", "")
        drawn = (
            ""
            if entry.example is None
            else sparkline(entry.example, entry.total_steps, 12, ascii_only=not unicode)
        )
        table.add_row(entry.name, drawn, Text(entry.formula))
    console().print(table)
    print("\nt counts the steps since the phase began; u = t / steps, from 0 to 1.")
    print("Ramps: start + (end - start) * curve(u). Decays: start * decay(t).")
