"""The door to the commands: how they fail, and what they share."""

from __future__ import annotations

import errno
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from cadence import _checks
from cadence._version import __version__
from cadence._wording import shortened
from cadence.errors import ArgumentError, CadenceError, UnresolvedError
from cadence.horizon import Duration, Horizon
from cadence.schedule import Schedule
from cadence.text import parse

__all__ = [
    "BaseLr",
    "Json",
    "Picture",
    "Plan",
    "Plans",
    "SamplesPerStep",
    "StepsPerEpoch",
    "TokensPerStep",
    "TotalSteps",
    "app",
    "brief",
    "check_picture",
    "console",
    "fail",
    "finite",
    "horizon_of",
    "is_unicode",
    "main",
    "rate_of",
    "resolved_from",
    "resolved_plan",
    "seeds_of",
    "writing",
]

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
            fail(_told(error))
        except typer.TyperException as error:
            path = getattr(getattr(error, "ctx", None), "command_path", "cadence")
            message = error.format_message()
            stop = "" if message.endswith((".", "?")) else "."
            fail(f"{message}{stop} Try '{path} --help'.", error.exit_code)
        except OSError as error:
            _abandon_stdout()
            fail(f"cannot write: {error.strerror or error}")
        except typer.Abort:
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def _abandon_stdout() -> None:
    """Where nobody reads any more (`| head`), let what is buffered go nowhere at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, code: int = 2) -> NoReturn:
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
Picture = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write .png, .svg or .pdf.")
]


def horizon_of(
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


def resolved_from(text: str, horizon: Horizon) -> tuple[Schedule, Schedule]:
    """The plan as it was written, and resolved; if it needs more, an error says what to type."""
    plan = parse(text)
    return plan, resolved_plan(plan, horizon, text)


def resolved_plan(plan: Schedule, horizon: Horizon, text: str | None = None) -> Schedule:
    """The plan resolved; `text` is what an error calls it."""
    try:
        return plan.resolve(horizon)
    except UnresolvedError:
        units = {duration.unit for duration in plan._durations()}
        lacking = [
            example
            for unit, (name, example) in FLAGS.items()
            if getattr(horizon, name) is None and (unit in units or unit == "%")
        ]
        raise UnresolvedError(
            f"{brief(text or repr(plan))} has a length that is not known in steps; add "
            f"{' '.join(lacking)}"
        ) from None


def brief(text: str) -> str:
    return repr(shortened(text, 60))


def rate_of(base_lr: float | None) -> float | None:
    return None if base_lr is None else _checks.number("cadence", "--base-lr", base_lr, above=0)


def seeds_of(flag: str, text: str) -> int | list[int]:
    """How many seeds, or which ones."""
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        raise ArgumentError(f"{flag} must be a number, or several: 0,1,2 (got {text!r})")
    numbers = [int(number) for number in text.split(",")]
    return numbers if "," in text else numbers[0]


def check_picture(path: Path | None) -> None:
    """Refuse a picture of an unknown kind or place, before anything is computed for it."""
    if path is None:
        return
    from cadence.plot import FORMATS

    if path.suffix.lower() not in FORMATS:
        raise ArgumentError(f"-o must end in .png, .svg or .pdf (got {str(path)!r})")
    with writing(path):
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Fail with the name of the file, where what is done in the block cannot write it."""
    try:
        yield
    except OSError as error:
        fail(f"cannot write {str(path)!r}: {error.strerror or error}")


def is_unicode() -> bool:
    """Whether stdout can show more than ASCII."""
    try:
        "▁█┌".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def console() -> Any:
    from rich.console import Console

    # With NO_COLOR rich leaves out colours alone; bold letters are escape sequences as well.
    return Console(highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


def finite(value: Any) -> Any:
    """The same, with null for what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value
