"""The command line: `cadence plot`, `explain`, `values`, `check` and `shapes`.

Bad input ends with one line on stderr and exit code 2; `check` ends with 1 where it finds errors.
Whatever is slow to import is imported by
the command that needs it; none needs torch.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from cadence import _checks
from cadence._version import __version__
from cadence.errors import ArgumentError, CadenceError, UnresolvedError
from cadence.explain import explain as explained
from cadence.explain import multiple
from cadence.horizon import Duration, Horizon
from cadence.outline import sparkline, viewed
from cadence.schedule import Schedule
from cadence.text import parse

__all__ = ["app", "main"]

FLAGS = {
    "%": ("total_steps", "--total-steps 10000"),
    "ep": ("steps_per_epoch", "--steps-per-epoch 500"),
    "samples": ("samples_per_step", "--samples-per-step 256"),
    "tok": ("tokens_per_step", "--tokens-per-step 500000"),
}
"""For each unit of a duration: what the horizon has to tell, and what to type for it."""


class _Door(TyperGroup):
    """The group of commands; it turns every expected error into one line and an exit code."""

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **options)
        try:
            code = super().main(*args, standalone_mode=False, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            _abandon_stdout()
            sys.exit(1)
        except CadenceError as error:
            _fail(_told(error))
        except typer.TyperException as error:
            path = getattr(getattr(error, "ctx", None), "command_path", "cadence")
            message = error.format_message()
            stop = "" if message.endswith((".", "?")) else "."
            _fail(f"{message}{stop} Try '{path} --help'.", error.exit_code)
        except OSError as error:
            _abandon_stdout()
            _fail(f"cannot write: {error.strerror or error}")
        except typer.Abort:
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def _abandon_stdout() -> None:
    """Where nobody reads any more (`| head`), let what is buffered go nowhere at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int = 2) -> NoReturn:
    print("cadence:", re.sub(r"\s+", " ", message).strip(), file=sys.stderr)
    sys.exit(code)


def _told(error: CadenceError) -> str:
    """An error in one line; where text is pointed at, the place says so in words."""
    first, *rest = str(error).removeprefix("cadence: ").split("\n")
    place = re.search(r"\^ (.+)$", rest[-1]) if rest else None
    return f"{first} (at {place[1]})" if place else " ".join([first, *map(str.strip, rest)])


app = typer.Typer(
    cls=_Door,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    app(prog_name="cadence")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"cadence {__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog="Examples:\n\n"
    'cadence explain "Warmup(5%) >> Cosine(end=0.1)" --total-steps 10000 --base-lr 3e-4\n\n'
    'cadence plot "wsd(5%, 20%)" "warmup_cosine(5%)" --total-steps 10000 -o plans.png\n\n'
    'cadence values "Cosine(100)" --every 10 --format csv',
)
def _door(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")
    ] = False,
) -> None:
    """See learning-rate schedules before anything is trained."""
    if context.invoked_subcommand is None:
        print(context.get_help())


PLAN_HELP = "A plan, such as 'Warmup(5%) >> Cosine(end=0.1)'; `cadence shapes` lists the words."
Plan = Annotated[str, typer.Argument(metavar="PLAN", help=PLAN_HELP, show_default=False)]
Plans = Annotated[list[str], typer.Argument(metavar="PLAN", help=PLAN_HELP, show_default=False)]
TotalSteps = Annotated[
    str | None,
    typer.Option(metavar="N", help="Length of the run: steps, or a duration such as 3ep."),
]
BaseLr = Annotated[
    float | None, typer.Option(metavar="RATE", help="The group's own rate, such as 3e-4.")
]
StepsPerEpoch = Annotated[int | None, typer.Option(metavar="N", help="Steps of an epoch.")]
SamplesPerStep = Annotated[float | None, typer.Option(metavar="N", help="Samples of a step.")]
TokensPerStep = Annotated[float | None, typer.Option(metavar="N", help="Tokens of a step.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _horizon(
    total: str | None, epoch: int | None, samples: float | None, tokens: float | None
) -> Horizon:
    """The horizon that the options tell."""
    length: Any = total
    given = {"steps_per_epoch": epoch, "samples_per_step": samples, "tokens_per_step": tokens}
    if total is not None:
        digits = total.replace("_", "").replace(",", "").strip()
        if re.fullmatch(r"[+-]?\d{1,19}", digits):
            length = int(digits)
        elif re.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d+)?", digits):
            number = float(digits) if re.search(r"\d", digits) else math.nan
            if not (math.isfinite(number) and number.is_integer()):
                raise ArgumentError(
                    f"--total-steps must be a whole number of steps (got {total!r})"
                )
            length = int(number)
    try:
        if isinstance(length, str):
            duration = Duration.parse(length, "Horizon", "total_steps")
            flag, example = FLAGS[duration.unit] if isinstance(duration, Duration) else ("", "")
            if flag in given and given[flag] is None:
                raise UnresolvedError(f"--total-steps {total} needs more; add {example}")
        return Horizon(length, **given)  # pyright: ignore[reportArgumentType]
    except ArgumentError as error:
        name = re.match(r"Horizon: '(\w+)' ", str(error))
        if name is None:
            raise
        flag = f"--{name[1].replace('_', '-')}"
        raise ArgumentError(f"{flag} {str(error)[name.end() :]}") from None


def _resolved(text: str, horizon: Horizon) -> tuple[Schedule, Schedule]:
    """The plan as it was written, and resolved; if it needs more, an error says what to type."""
    plan = parse(text)
    try:
        return plan, plan.resolve(horizon)
    except UnresolvedError:
        units = {duration.unit for duration in plan._durations()}
        lacking = [
            example
            for unit, (name, example) in FLAGS.items()
            if getattr(horizon, name) is None and (unit in units or unit == "%")
        ]
        raise UnresolvedError(
            f"{_brief(text)} has a length that is not known in steps; add {' '.join(lacking)}"
        ) from None


def _brief(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _rate(base_lr: float | None) -> float | None:
    return None if base_lr is None else _checks.number("cadence", "--base-lr", base_lr, above=0)


def _unicode() -> bool:
    """Whether stdout can show more than ASCII."""
    try:
        "▁█┌".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _console() -> Any:
    from rich.console import Console

    # With NO_COLOR rich leaves out colours alone; bold letters are escape sequences as well.
    return Console(highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


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
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write .png, .svg or .pdf."),
    ] = None,
) -> None:
    """Draw plans: in the terminal, or with -o to a file."""
    from cadence import plot as drawing

    horizon = _horizon(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    if epochs and horizon.steps_per_epoch is None:
        raise UnresolvedError("--epochs needs more; add --steps-per-epoch 500")
    if output is not None and output.suffix.lower() not in drawing.FORMATS:
        raise ArgumentError(f"-o must end in .png, .svg or .pdf (got {str(output)!r})")
    base = _rate(base_lr) or 1.0
    resolved = [_resolved(text, horizon) for text in plans]
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
                ascii_only=not _unicode(),
            )
        )
        return
    ax = drawing.plot(curves, log=log)
    try:
        drawing.save(ax, output)
    except OSError as error:
        _fail(f"cannot write {str(output)!r}: {error.strerror or error}")
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
    horizon = _horizon(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    base = _rate(base_lr)
    written, resolved = _resolved(plan, horizon)
    told = explained(resolved, horizon, base)
    if as_json:
        print(json.dumps({"written": repr(written), **_finite(told.as_dict())}, indent=2))
        return
    width = min(100, shutil.get_terminal_size().columns)
    unicode = _unicode()
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


def _finite(value: Any) -> Any:
    """The same, with null for what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


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
    horizon = _horizon(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    base = _rate(base_lr) or 1.0
    _, resolved = _resolved(plan, horizon)
    total = horizon.total_steps or resolved.steps
    if total is None:
        raise UnresolvedError(f"{_brief(plan)} has no length of its own; add --total-steps 10000")
    rows = _rows(resolved, total, every, base)
    if as_json or form == "json":
        head = {"plan": repr(resolved), "total_steps": total, "base": base}
        print(json.dumps(head)[:-1] + ', "values": [', end="")
        for i, (step, value, rate) in enumerate(rows):
            row = json.dumps(_finite({"step": step, "value": value, "rate": rate}))
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

    horizon = _horizon(total_steps, steps_per_epoch, samples_per_step, tokens_per_step)
    base = _rate(base_lr) or 1.0
    written, resolved = _resolved(plan, horizon)
    findings = checked(written, horizon, base=base)
    if as_json:
        told = {
            "written": repr(written),
            "plan": repr(resolved),
            "total_steps": horizon.total_steps,
            "base": base,
            "findings": [_finite(finding.as_dict()) for finding in findings],
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
        _console().print(table)
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
        print(json.dumps([_finite(entry.as_dict()) for entry in entries], indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    unicode = _unicode()
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
    _console().print(table)
    print("\nt counts the steps since the phase began; u = t / steps, from 0 to 1.")
    print("Ramps: start + (end - start) * curve(u). Decays: start * decay(t).")
