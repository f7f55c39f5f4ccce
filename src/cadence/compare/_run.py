"""One run of a comparison, as the user's function sees it, and how it is carried out.

All of it happens in one process, which may be any: what a run has found is in its folder.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import math
import os
import random
import re
import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadence import _checks
from cadence._files import replacing
from cadence.compare._halving import goes_on
from cadence.compare._trial import Role, Status
from cadence.errors import ArgumentError, ArgumentTypeError, ComparisonError
from cadence.schedule import Schedule

if TYPE_CHECKING:
    from cadence.logs import ScheduleLogger
    from cadence.scheduler import Scheduler

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "METRICS",
    "RESULT",
    "Job",
    "Outcome",
    "TrialRun",
    "carry_out",
    "died",
]

WHERE = "run"
CONFIG, METRICS, RESULT = "config.json", "metrics.jsonl", "result.json"
CHECKPOINT, EVENTS, LOCK, HUNG = "checkpoint.pt", "tensorboard", ".lock", "hung.txt"
FULL = {errno.ENOSPC, errno.EDQUOT}
PATIENCE = 30.0
"""Seconds to wait for a process of an interrupted comparison to notice that it is alone."""


@dataclass(frozen=True)
class Job:
    """What there is to do for one trial: plain values, which travel to any process."""

    plan: str
    text: str
    peak: float | None
    seed: int
    role: Role
    total_steps: int | None
    metric: str
    mode: str
    folder: str
    tensorboard: bool = False
    timeout: float | None = None
    rungs: tuple[int, ...] = ()
    rivals: str = ""
    rival: str = ""
    """The folder in which runs that are halved together leave their values; this run's name."""

    @property
    def worst(self) -> float:
        return math.inf if self.mode == "min" else -math.inf

    @property
    def label(self) -> str:
        peak = "" if self.peak is None else f", peak {self.peak:g}"
        return f"{self.plan}, seed {self.seed}{peak}"


@dataclass(frozen=True)
class Outcome:
    """How a run has ended."""

    status: Status
    score: float = math.nan
    error: str = ""
    seconds: float = 0.0
    scheduled: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write the result beside its place and rename it: it is whole or not there."""
        plain = asdict(self) | {"score": repr(float(self.score))}
        with replacing(folder / RESULT) as path:
            path.write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Outcome | None:
        """The result of a run that has ended; None where there is none."""
        try:
            plain = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        plain |= {"score": float(plain["score"]), "scheduled": tuple(plain["scheduled"])}
        return cls(**plain)


class TrialRun:
    """One run of a comparison: what :func:`cadence.compare` gives to the function `train`.

    Python's, NumPy's and torch's generators have been seeded with :attr:`seed`.

    Attributes:
        plan: The plan of this run.
        name: The plan's name.
        peak: The rate that :meth:`scheduler` puts into the optimizer; None leaves it alone.
        seed: The seed, the same for each plan.
        folder: The folder of this run; whatever is written there stays.
    """

    def __init__(self, job: Job, plan: Schedule) -> None:
        self.plan = plan
        self.name, self.peak, self.seed = job.plan, job.peak, job.seed
        self.folder = Path(job.folder)
        self._job = job
        self._sinks: list[Any] = []
        self._loggers: list[ScheduleLogger] = []
        self._caught: list[tuple[int, dict[str, float]]] = []
        self._scheduled: dict[str, None] = {}
        self._judged: float | None = None
        self._judged_at = 0
        self._rungs = list(job.rungs)
        self._halved = False
        self._unwritten: OSError | None = None

    def __repr__(self) -> str:
        return f"<run of {self._job.label}>"

    # What a training function calls.

    @property
    def total_steps(self) -> int:
        """The length of the run, as it was given to `compare`.

        Raises:
            ArgumentError: None was given.
        """
        if self._job.total_steps is None:
            raise ArgumentError(
                "compare: 'total_steps' must be given, since 'train' asks for it; write "
                "compare(..., total_steps=1_000)"
            )
        return self._job.total_steps

    def scheduler(self, optimizer: Any, **options: Any) -> Scheduler:
        """A scheduler with this run's plan for the rate, and its length.

        With a peak, the highest rate of the optimizer's groups becomes the peak, and the other
        rates keep their ratio to it.

        Args:
            optimizer: An optimizer, or several that share one clock.
            **options: More for :class:`~cadence.scheduler.Scheduler`, such as `weight_decay=` or
                `clock=`.

        Raises:
            ArgumentError: `lr` is among the options, or Scheduler refuses something.
        """
        from cadence.logs import ScheduleLogger
        from cadence.scheduler import Scheduler

        if "lr" in options:
            raise ArgumentError(
                f"{WHERE}.scheduler: 'lr' must be left out: the comparison gives the plan (got "
                f"{_checks.given(options['lr'])})"
            )
        if self._job.total_steps is not None:
            options.setdefault("total_steps", self._job.total_steps)
        if self.peak is not None:
            _put_peak(optimizer, self.peak)
        scheduler = Scheduler(optimizer, lr=self.plan, **options)
        prefix = f"scheduler{len(self._loggers)}/" if self._loggers else ""
        logger = ScheduleLogger(scheduler, _Caught(self._caught), plan=False, prefix=prefix)
        self._loggers.append(logger)
        return scheduler

    def log(self, step: int, /, **metrics: Any) -> None:
        """Write metrics of one step, and with them what the update has used of the schedule.

        The line is in the run's `metrics.jsonl` when the call returns. Several calls for one step
        are allowed.

        Args:
            step: The step, counted from 0; steps do not go back.
            **metrics: Numbers by their names; a tensor with one element is one.

        Raises:
            ArgumentError: A metric is no number.
            ComparisonError: It cannot be written; the comparison ends.
        """
        where = f"{WHERE}.log"
        step = _checks.whole(where, "step", step)
        numbers = {name: _number(where, name, value) for name, value in metrics.items()}
        rows = {step: numbers}
        for at, used in self._used():
            # An update that was made before this step is told under its own.
            rows[min(at, step)] = rows.get(min(at, step), {}) | used
        try:
            for at in sorted(rows):
                for sink in self._sinks:
                    sink.scalars(at, rows[at])
        except OSError as error:
            self._unwritten = error
            raise ComparisonError(f"cannot write to {self.folder}: {error}") from error
        if self._job.metric in numbers:
            self._judge(step, numbers[self._job.metric])

    @property
    def should_stop(self) -> bool:
        """Whether going on is of no use.

        That is so where the judged metric is not finite, or where successive halving has sorted
        the run out.
        """
        diverged = self._judged is not None and not math.isfinite(self._judged)
        return diverged or self._halved or self._unwritten is not None

    def save(self, step: int, **parts: Any) -> None:
        """Write a checkpoint, from which the run goes on if the comparison is interrupted.

        The states of the random generators are in it. A run without a checkpoint begins anew.

        Args:
            step: How many updates were made.
            **parts: Whatever has `state_dict` and `load_state_dict`, by names of your choice.
        """
        import torch

        step = _checks.whole(f"{WHERE}.save", "step", step)
        states = {name: part.state_dict() for name, part in parts.items()}
        content = {"step": step, "states": states, "random": _random_state()}
        try:
            with replacing(self.folder / CHECKPOINT) as path:
                torch.save(content, path)
        except (OSError, RuntimeError) as error:
            # torch's writer tells of a full disk by a RuntimeError of its own.
            self._unwritten = error if isinstance(error, OSError) else OSError(str(error))
            raise ComparisonError(f"cannot write to {self.folder}: {error}") from error

    def load(self, **parts: Any) -> int:
        """Go on from the checkpoint, if there is one.

        Args:
            **parts: What was given to :meth:`save`, by the same names.

        Returns:
            How many updates were made; 0 where there is no checkpoint, and nothing is changed.
        """
        import torch

        path = self.folder / CHECKPOINT
        if not path.exists():
            return 0
        # The file is the run's own.
        content = torch.load(path, weights_only=False)
        _checks.choice(f"{WHERE}.load", "parts", sorted(parts), [sorted(content["states"])])
        for name, part in parts.items():
            part.load_state_dict(content["states"][name])
        _set_random_state(content["random"])
        return content["step"]

    # What carries it out.

    def _open(self) -> None:
        from cadence.logs import JSONL, TensorBoard

        self._sinks = [JSONL(self.folder / METRICS)]
        if self._job.tensorboard:
            self._sinks.append(TensorBoard(self.folder / EVENTS))

    def _close(self) -> None:
        with ExitStack() as stack:
            for part in (*self._sinks, *self._loggers):
                stack.callback(part.close)

    def _used(self) -> list[tuple[int, dict[str, float]]]:
        """What the schedulers' last updates have used and nobody has logged yet."""
        for logger in self._loggers:
            if logger.due:
                logger.log()
        used = [*self._caught]
        self._caught.clear()
        self._scheduled |= dict.fromkeys(name for _, values in used for name in values)
        return used

    def _judge(self, step: int, value: float) -> None:
        self._judged, self._judged_at = value, step
        while self._rungs and step >= self._rungs[0] and not self._halved:
            rung = Path(self._job.rivals, str(self._rungs.pop(0)))
            self._halved = not goes_on(rung, self._job.rival, value, self._job.mode)

    def _outcome(self, returned: Any, seconds: float) -> Outcome:
        """What a run that has come to its end has found."""
        score = self._score(returned)
        status: Status = "finished"
        error = ""
        if not math.isfinite(score):
            error = f"{self._job.metric} was {score} at step {self._judged_at}"
            status, score = "diverged", self._job.worst
        elif self._halved:
            status = "stopped"
        return Outcome(status, score, error, seconds, tuple(self._scheduled))

    def _score(self, returned: Any) -> float:
        metric = self._job.metric
        if isinstance(returned, Mapping) and metric in returned:
            return _number("train", metric, returned[metric])
        if returned is not None and not isinstance(returned, Mapping):
            return _number("train", metric, returned)
        if self._judged is None:
            known = ", ".join(returned or ()) or "nothing"
            raise ArgumentError(
                f"compare: 'train' must log or return the metric {metric!r} (it returned {known}); "
                f"write run.log(step, {metric}=...) or compare(..., metric=...)"
            )
        return self._judged


class _Caught:
    """A sink that keeps what a schedule's logger writes, so that it comes with the metrics."""

    def __init__(self, kept: list[tuple[int, dict[str, float]]]) -> None:
        self.kept = kept

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.kept.append((step, dict(values)))

    def text(self, step: int, key: str, text: str) -> None:
        """Decisions and adjustments are the schedule's own record."""

    def picture(self, step: int, key: str, png: bytes) -> None:
        """No picture is drawn for each run: the report has them."""

    def close(self) -> None:
        """Nothing is open."""


def _number(where: str, name: str, value: Any) -> float:
    if hasattr(value, "item"):  # a tensor or a number of NumPy
        with suppress(ValueError, RuntimeError):
            value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(f"{where}: {name!r} must be a number (got {_checks.given(value)})")
    return float(value)


def _put_peak(optimizer: Any, peak: float) -> None:
    """Scale all rates, so that the highest is the peak."""
    import torch

    several = optimizer if isinstance(optimizer, Iterable) else [optimizer]
    groups = [group for one in several for group in one.param_groups]
    highest = max(float(group["lr"]) for group in groups)
    for group in groups:
        # Where all are 0, as some write who leave the rate to the scheduler, all get the peak.
        rate = peak * (float(group["lr"]) / highest) if highest > 0 else peak
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _seed(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - what most training code draws from
    torch.manual_seed(seed)


def _random_state() -> dict[str, Any]:
    import numpy as np
    import torch

    state = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _set_random_state(state: Mapping[str, Any]) -> None:
    import numpy as np
    import torch

    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])


def carry_out(
    train: Callable[[TrialRun], Any], plan: Schedule, job: Job, threads: int | None
) -> Outcome:
    """Run one trial in this process, and write what it has found into its folder.

    An error of the user's function is an outcome. The generators, the number of torch's threads and
    the present folder are left as they were.

    Raises:
        ComparisonError: The folder cannot be written to, or another process holds it.
    """
    from filelock import FileLock, Timeout

    folder = Path(job.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK, timeout=PATIENCE):
            return _carry_out(train, plan, job, folder, threads)
    except Timeout:
        raise ComparisonError(
            f"compare: another process is still writing to {folder}; end it, and call again"
        ) from None
    except OSError as error:
        raise ComparisonError(f"cannot write to {folder}: {error}") from error


def _carry_out(
    train: Callable[[TrialRun], Any],
    plan: Schedule,
    job: Job,
    folder: Path,
    threads: int | None,
) -> Outcome:
    import torch

    if not (folder / CHECKPOINT).exists():
        (folder / METRICS).unlink(missing_ok=True)
        shutil.rmtree(folder / EVENTS, ignore_errors=True)
    run = TrialRun(job, plan)
    random_state, threads_before = _random_state(), torch.get_num_threads()
    here = Path.cwd()
    if threads is not None:
        torch.set_num_threads(threads)
    begun = time.monotonic()
    hung = (folder / HUNG).open("w")
    try:
        if job.timeout is not None:
            # Works where the interpreter is stuck too, and writes down where that is.
            faulthandler.dump_traceback_later(job.timeout, exit=True, file=hung)
        run._open()
        _seed(job.seed)
        begun = time.monotonic()
        returned = train(run)
        outcome = run._outcome(returned, time.monotonic() - begun)
    except (Exception, SystemExit) as error:  # sys.exit() is of this run, not of all the others
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        outcome = Outcome(
            "crashed",
            error=_told(error),
            seconds=time.monotonic() - begun,
            scheduled=tuple(run._scheduled),
        )
    finally:
        if job.timeout is not None:
            faulthandler.cancel_dump_traceback_later()
        hung.close()
        (folder / HUNG).unlink(missing_ok=True)
        _set_random_state(random_state)
        torch.set_num_threads(threads_before)
        os.chdir(here)
        try:
            run._close()
        except OSError as error:
            run._unwritten = run._unwritten or error
    if run._unwritten is not None:  # even where the function has caught it
        raise run._unwritten
    outcome.write(folder)
    if outcome.status != "crashed":
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return outcome


def died(job: Job, told: str) -> Outcome:
    """The outcome of a run whose process has died: killed from outside, or for its time."""
    try:
        hung = Path(job.folder, HUNG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        hung = ""
    if job.timeout is not None and hung:
        error = f"{hung}the run took longer than {job.timeout:g} s and was killed"
        return Outcome("crashed", error=error, seconds=job.timeout)
    told = " ".join(told.split())
    # How it died comes first: of a long error a verdict quotes no more than the beginning.
    code = re.search(r"The exit codes of the workers are \{([^}]+)\}", told)
    how = f" with {code[1]}" if code else ""
    return Outcome("crashed", error=f"the process of the run died{how}: {told}")


def _told(error: BaseException) -> str:
    """The traceback, from the user's function on."""
    lines = traceback.TracebackException.from_exception(error)
    own = [frame for frame in lines.stack if frame.filename == __file__]
    if len(own) < len(lines.stack):  # an error of the function itself, not of what calls it
        lines.stack = traceback.StackSummary.from_list(
            [frame for frame in lines.stack if frame.filename != __file__]
        )
    return "".join(lines.format())
