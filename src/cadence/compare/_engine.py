"""The comparison itself: which runs there are, in which order, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from cadence import _checks
from cadence._optional import require
from cadence.compare._halving import REDUCTION
from cadence.compare._processes import Engine, Inline, Processes
from cadence.compare._progress import Progress
from cadence.compare._run import Job, Outcome, TrialRun
from cadence.compare._store import Store, facts, identity, trial_of
from cadence.compare._trial import EXTRA, Comparison, Role, Trial, best_peak
from cadence.errors import ArgumentError, ArgumentTypeError, ComparisonError
from cadence.schedule import Schedule
from cadence.text import parse

__all__ = ["compare"]

WHERE = "compare"
ENGINES = ("processes", "inline", "ray")
FOLDER = "comparisons"
CHOOSING = 10_000
"""The first of the seeds that choose peaks; those of the verdict are left out."""
MOST_ALIKE = 3
"""Where so many runs have crashed with one error and none has ended well, the rest would too."""


def compare(
    train: Callable[[TrialRun], Any],
    plans: Mapping[str, Schedule | str] | Sequence[Schedule | str],
    *,
    seeds: int | Sequence[int] = 5,
    peaks: Sequence[float] | None = None,
    peak_seeds: int | Sequence[int] = 2,
    total_steps: int | None = None,
    metric: str = "loss",
    mode: Literal["min", "max"] = "min",
    folder: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    threads: int | None = None,
    engine: Literal["processes", "inline", "ray"] = "processes",
    scheduler: Literal["asha"] | None = None,
    timeout: float | None = None,
    retries: int = 0,
    gpus: float | None = None,
    tensorboard: bool | None = None,
    on_mismatch: Literal["raise", "reuse"] = "raise",
    progress: bool = True,
    title: str | None = None,
) -> Comparison:
    """Train under several plans with the same seeds, and keep what each run has found.

    Every run is written to the folder as it goes. Where the comparison is interrupted, in any way,
    the same call with the same folder goes on: runs that have ended are read, the others are done.

    With `peaks`, each plan gets its own: all peaks are tried on `peak_seeds`, the one with the best
    mean score is taken (of equals the lowest), and the runs of the verdict use it with `seeds`. One
    peak alone is that of all plans.

    Args:
        train: The training: a function that is given a :class:`~cadence.compare.TrialRun` and logs
            or returns the metric.
        plans: The plans, as schedules or as text; a dict gives them names.
        seeds: How many seeds, from 0, or which. All plans are trained with the same.
        peaks: Rates to choose each plan's peak from; None leaves the optimizer's own.
        peak_seeds: How many seeds choose the peaks, or which; none of them may be in `seeds`.
        total_steps: The length of each run, for plans and `run.total_steps`.
        metric: The judged metric, as `train` names it.
        mode: Whether the metric should be small (`"min"`) or large (`"max"`).
        folder: Where to write; by default a new one below `comparisons`.
        workers: How many runs at a time: by default one for each core, or for each GPU.
        threads: Threads of each run: by default the cores, shared out.
        engine: `"processes"` of this machine, `"inline"`: this process, or `"ray"`.
        scheduler: `"asha"` stops runs that fall behind, by successive halving (Optuna's). Stopped
            runs are not in the verdict.
        timeout: Seconds after which a run is killed.
        retries: How often a run that crashed is tried again.
        gpus: GPUs of each run, on Ray; a fraction is allowed.
        tensorboard: Whether to write TensorBoard's events too; by default where it is installed.
        on_mismatch: Where the folder is that of another comparison: `"raise"`, or `"reuse"` the
            runs that fit.
        progress: Whether to tell on stderr how far it is.
        title: What is compared, in a few words.

    Raises:
        ArgumentError: An argument cannot be meant, or `train` cannot be sent to other processes.
        MismatchError: The folder is that of another comparison.
        ComparisonError: The folder is in use or cannot be written to, or `train` does not work.
        MissingLibraryError: The engine's library is not installed.

    >>> import cadence as cd
    >>> def train(run):
    ...     x = run.seed + 1.0
    ...     for step in range(run.total_steps):
    ...         x -= 0.5 * run.plan.resolve(run.total_steps)(step) * x
    ...         run.log(step, loss=x * x)
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = cd.compare(
    ...         train,
    ...         {"constant": "Constant(1)", "linear": "Linear()"},
    ...         seeds=2,
    ...         total_steps=8,
    ...         folder=folder,
    ...         engine="inline",
    ...         tensorboard=False,
    ...         progress=False,
    ...     )
    >>> print(result)
    constant, linear
    plan      peak  seed  for      status    last step         loss
    constant     -     0  verdict  finished          7  1.52588e-05
    constant     -     1  verdict  finished          7  6.10352e-05
    linear       -     0  verdict  finished          7   0.00364937
    linear       -     1  verdict  finished          7    0.0145975
    """
    if not callable(train):
        raise ArgumentTypeError(f"{WHERE}: 'train' must be a function (got {_checks.given(train)})")
    named = _named(plans)
    chosen = _seeds("seeds", seeds, 0, ())
    if total_steps is not None:
        total_steps = _checks.whole(WHERE, "total_steps", total_steps, low=1)
        for plan in named.values():
            plan.resolve(total_steps)
    rates = _peaks(peaks)
    choosing = _seeds("peak_seeds", peak_seeds, CHOOSING, chosen) if rates else ()
    if len(rates) == 1:
        choosing = ()  # there is nothing to choose
    _checks.choice(WHERE, "mode", mode, ("min", "max"))
    _checks.choice(WHERE, "engine", engine, ENGINES)
    _checks.choice(WHERE, "scheduler", scheduler, (None, "asha"))
    _checks.choice(WHERE, "on_mismatch", on_mismatch, ("raise", "reuse"))
    retries = _checks.whole(WHERE, "retries", retries)
    if timeout is not None:
        timeout = _checks.number(WHERE, "timeout", timeout, above=0)
        if engine == "inline":
            raise ArgumentError(f"{WHERE}: 'timeout' needs a process to kill: not engine='inline'")
    if scheduler == "asha":
        require("optuna", EXTRA)
        if total_steps is None:
            raise ArgumentError(f"{WHERE}: 'total_steps' must be given with scheduler='asha'")
    texts = {name: repr(plan) for name, plan in named.items()}
    same = {
        "total_steps": total_steps,
        "metric": metric,
        "mode": mode,
        "scheduler": scheduler,
        "train": identity(train),
    }
    asked = {
        "plans": texts,
        "seeds": list(chosen),
        "peaks": list(rates),
        "peak_seeds": list(choosing),
        **same,
    }
    known = facts()
    store = Store.fresh(Path(FOLDER)) if folder is None else Store(Path(folder))
    with store:
        store.agree(asked, known, on_mismatch)

        def job(role: Role, name: str, peak: float | None, seed: int) -> Job:
            depends = {"text": texts[name], **same}
            place = store.place(name, depends, role, peak, seed)
            # Runs are halved among their like: the peaks of one plan, or the plans at one seed.
            like = [role, name if role == "peak" else "", seed, same]
            return Job(
                plan=name,
                text=texts[name],
                peak=peak,
                seed=seed,
                role=role,
                total_steps=total_steps,
                metric=metric,
                mode=mode,
                folder=str(place.absolute()),  # a run may go to another folder
                tensorboard=_has_tensorboard() if tensorboard is None else tensorboard,
                timeout=timeout,
                rungs=_rungs(total_steps) if scheduler and total_steps else (),
                rivals=str(store.rungs(like).absolute()),
                rival=store.short(place),
            )

        course = Course(store, job, list(named), chosen, rates, choosing, mode, known)
        course.read()
        count = len(course.waiting)
        settings = asked | known | {"engine": engine, "workers": None, "threads": threads}
        if count:
            hands, settings["workers"], settings["threads"] = _engine(
                engine, train, named, store.folder, count, workers, threads, gpus
            )
            with Progress(course, metric, mode, total_steps, shown=progress) as told:
                try:
                    carry_on(course, hands, retries, told)
                finally:
                    hands.close()
        trials = course.trials()
    return Comparison(
        title=title or _title(list(named)),
        plans=named,
        total_steps=total_steps,
        metric=metric,
        mode=mode,
        trials=trials,
        settings=settings,
        folder=store.folder,
    )


class Course:
    """All runs of a comparison: those that wait, those that have ended, and what follows them."""

    def __init__(
        self,
        store: Store,
        make: Callable[[Role, str, float | None, int], Job],
        names: list[str],
        seeds: Sequence[int],
        peaks: Sequence[float],
        choosing: Sequence[int],
        mode: Literal["min", "max"],
        known: Mapping[str, Any],
    ) -> None:
        self.store, self.known = store, known
        self.mode: Literal["min", "max"] = mode
        self.names, self.seeds, self.peaks = names, seeds, peaks
        self.waiting: list[Job] = []
        self.done: dict[Job, Outcome] = {}
        self._make = make
        self._choosing = {
            name: [make("peak", name, peak, seed) for seed in choosing for peak in peaks]
            for name in names
        }
        self._opened: set[str] = set()
        self.total = len(names) * (len(seeds) + len(peaks) * len(choosing))
        if choosing:
            self.waiting += [job for name in names for job in self._choosing[name]]
        else:
            peak = peaks[0] if peaks else None
            # Seed by seed, so that early on there is something of each plan to look at.
            self.waiting += [make("verdict", name, peak, seed) for seed in seeds for name in names]
            self._opened |= set(names)

    def read(self) -> None:
        """Take over what has ended before; runs that crashed are tried again."""
        looked: set[Job] = set()
        while left := [job for job in self.waiting if job not in looked]:
            for job in left:
                looked.add(job)
                outcome = Outcome.read(Path(job.folder))
                if outcome is not None and outcome.status != "crashed":
                    self.waiting.remove(job)
                    self.end(job, outcome)

    def next(self) -> Job:
        """The next run, its configuration written."""
        job = self.waiting.pop(0)
        self.store.begin(job, self.known)
        return job

    def again(self, job: Job) -> None:
        self.waiting.insert(0, job)

    def end(self, job: Job, outcome: Outcome) -> None:
        """A run has ended; after the last that chooses a peak, those of the verdict follow."""
        self.done[job] = outcome
        if job.role == "peak" and all(one in self.done for one in self._choosing[job.plan]):
            self._open(job.plan)

    def _open(self, name: str) -> None:
        if name in self._opened:
            return
        self._opened.add(name)
        tried = [trial_of(job) for job in self._choosing[name]]
        peak = best_peak(tried, self.mode).peak
        self.waiting += [self._make("verdict", name, peak, seed) for seed in self.seeds]

    def trials(self) -> tuple[Trial, ...]:
        """All runs that have ended, in the order of the table."""
        jobs = sorted(
            self.done, key=lambda j: (self.names.index(j.plan), j.role, j.peak or 0.0, j.seed)
        )
        return tuple(trial_of(job) for job in jobs)


def carry_on(course: Course, engine: Engine, retries: int, told: Progress) -> None:
    """Carry out all runs that wait, and those that follow from them."""
    tries: dict[str, int] = {}
    crashes: list[str] = []
    while course.waiting or engine.running():
        while course.waiting and engine.free():
            try:
                job = course.next()
            except OSError as error:
                raise _full(course, error) from error
            engine.start(job)
        told.look(engine.running())
        for job, outcome in _ended(course, engine):
            if outcome.status == "crashed":
                outcome.write(Path(job.folder))  # a process that was killed could not
                tries[job.folder] = tries.get(job.folder, 0) + 1
                if tries[job.folder] <= retries:
                    course.again(job)
                    continue
                crashes.append(outcome.error.strip().rpartition("\n")[2])
            course.end(job, outcome)
            told.ended(job, outcome)
            if len(crashes) == len(course.done) and len(set(crashes)) == 1:
                _give_up(course, outcome)


def _ended(course: Course, engine: Engine) -> list[tuple[Job, Outcome]]:
    try:
        return engine.ended(0.5)
    except (ComparisonError, OSError) as error:
        raise _full(course, error) from error


def _full(course: Course, error: Exception) -> ComparisonError:
    return ComparisonError(
        f"compare: {error}; the {len(course.done)} runs that have ended are kept: make room, and "
        f"call again with folder={str(course.store.folder)!r}"
    )


def _give_up(course: Course, outcome: Outcome) -> None:
    """End a comparison whose function does not work at all."""
    if len(course.done) >= min(MOST_ALIKE, course.total):
        raise ComparisonError(
            f"compare: 'train' must run; each of {len(course.done)} runs has crashed with this:\n"
            f"{outcome.error}"
        )


# Arguments.


def _named(plans: Any) -> dict[str, Schedule]:
    """The plans by their names."""
    if isinstance(plans, (Schedule, str)) or not isinstance(plans, (Mapping, Sequence)):
        raise ArgumentTypeError(
            f"{WHERE}: 'plans' must be a dict or a list of plans (got {_checks.given(plans)}); "
            "write {'cosine': Cosine(), 'linear': Linear()}"
        )
    pairs = plans.items() if isinstance(plans, Mapping) else ((None, plan) for plan in plans)
    named: dict[str, Schedule] = {}
    for name, plan in pairs:
        if not isinstance(plan, (Schedule, str)):
            raise ArgumentTypeError(
                f"{WHERE}: each of 'plans' must be a plan or its text (got {_checks.given(plan)})"
            )
        written = parse(plan) if isinstance(plan, str) else plan
        named[_free(str(name) if name is not None else repr(written), named)] = written
    if len(named) < 1:
        raise ArgumentError(f"{WHERE}: 'plans' must hold at least one plan (got none)")
    return named


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """The name, with a number where it is taken: a plan may be compared with itself."""
    count, free = 1, name
    while free in taken:
        count += 1
        free = f"{name} ({count})"
    return free


def _seeds(what: str, given: Any, first: int, taken: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        count = _checks.whole(WHERE, what, given, low=1)
        free = (seed for seed in range(first, first + count + len(taken)) if seed not in taken)
        return tuple(seed for seed, _ in zip(free, range(count), strict=False))
    seeds = tuple(_checks.whole(WHERE, what, seed) for seed in given)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ArgumentError(f"{WHERE}: {what!r} must be different seeds (got {given!r})")
    if both := sorted(set(seeds) & set(taken)):
        raise ArgumentError(
            f"{WHERE}: {what!r} must not be in 'seeds', or the peak would be judged on what it was "
            f"chosen for (got {both} in both)"
        )
    return seeds


def _peaks(given: Sequence[float] | None) -> tuple[float, ...]:
    if given is None:
        return ()
    if isinstance(given, (str, float, int)):
        raise ArgumentTypeError(
            f"{WHERE}: 'peaks' must be a list of rates (got {_checks.given(given)}); write "
            "peaks=[1e-3, 3e-3, 1e-2]"
        )
    rates = tuple(_checks.number(WHERE, "peaks", peak, above=0) for peak in given)
    if len(set(rates)) < max(1, len(rates)):
        raise ArgumentError(f"{WHERE}: 'peaks' must be different rates (got {list(given)})")
    return tuple(sorted(rates))


def _rungs(total_steps: int) -> tuple[int, ...]:
    """The steps at which runs are halved: a ninth and a third of the run."""
    rungs = {total_steps // REDUCTION**2, total_steps // REDUCTION}
    return tuple(sorted(rung for rung in rungs if 0 < rung < total_steps))


def _has_tensorboard() -> bool:
    from importlib.util import find_spec

    return find_spec("tensorboard") is not None or find_spec("tensorboardX") is not None


def _title(names: list[str]) -> str:
    return (
        ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
    )


# Engines.


def _engine(
    engine: str,
    train: Callable[[TrialRun], Any],
    plans: dict[str, Schedule],
    folder: Path,
    count: int,
    workers: int | None,
    threads: int | None,
    gpus: float | None,
) -> tuple[Engine, int, int | None]:
    """The engine, how many runs it does at a time, and the threads of each."""
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None:
            _checks.whole(WHERE, name, value, low=1)
    if engine == "inline":
        return Inline(train, plans, threads), 1, threads
    payload = _pickled(train, plans)
    if engine == "ray":
        from cadence.compare._ray import Ray

        ray = Ray(payload, folder, workers, threads, gpus)
        return ray, ray.workers, ray.threads
    cores, devices = require("loky", EXTRA).cpu_count(), _gpus()
    workers = min(workers or devices or max(1, cores // (threads or 1)), count)
    threads = threads or max(1, cores // workers)
    return Processes(payload, workers, threads, devices), workers, threads


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _pickled(train: Callable[[TrialRun], Any], plans: dict[str, Schedule]) -> bytes:
    """The function and the plans as bytes; what lies in the script itself goes by value."""
    cloudpickle = require("cloudpickle", EXTRA)
    try:
        return cloudpickle.dumps((train, plans))
    except Exception as error:
        raise ArgumentError(
            f"{WHERE}: 'train' must be such that it can be sent to another process ({error}); make "
            "what it uses inside the function, or give engine='inline'"
        ) from error
