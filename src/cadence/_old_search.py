"""A plan's own parameters, searched: its peak, how long it warms up, when it comes down, to what.

:func:`search` is for what :func:`cadence.compare` is not: many plans with few seeds. What it finds
is the best of what was tried, which flatters it; compare it with the plan that you would have used,
on other seeds. Optuna does the searching. The module is the function too: `cadence.search` is both.
"""

from __future__ import annotations

import json
import math
import os
import re
import string
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from cadence import _checks
from cadence._optional import require
from cadence.compare._run import Job, TrialRun, carry_out
from cadence.errors import ArgumentError, ArgumentTypeError, MismatchError
from cadence.schedule import Schedule
from cadence.text import parse

if TYPE_CHECKING:
    import optuna

__all__ = ["Found", "Log", "log", "search"]

WHERE = "search"
EXTRA = "compare"
PEAK = "peak"
DIGITS = 3
"""Numbers are tried to so many digits: a schedule hangs on no more, and its text stays short."""

PAUSE = 0.2
"""Seconds between two looks at what other processes do."""

MOST_ALIKE = 3
"""Where the first so many trials have all crashed, the rest would too."""

ASKED, FOLDER, TEXT, PARAMETERS = "asked", "folder", "plan", "parameters"
ERROR, INTERRUPTED = "error", "interrupted"
"""What is written beside a trial, or the study, under which name."""


@dataclass(frozen=True)
class Log:
    """A range in which factors count, not distances; made by :func:`log`."""

    low: float
    high: float


def log(low: float, high: float) -> Log:
    """A range for rates: from 1e-4 to 1e-3 is as far as from 1e-3 to 1e-2.

    Raises:
        ArgumentError: `low` is not above 0, or `high` is not above `low`.

    >>> log(1e-4, 1e-2)
    Log(low=0.0001, high=0.01)
    """
    low = _checks.number("log", "low", low, above=0)
    return Log(low, _checks.number("log", "high", high, above=low))


Range = Log | tuple[float, float] | list[Any]
Space = Mapping[str, Range] | Callable[["optuna.Trial"], Any]
Planned = Schedule | str | Callable[..., Schedule | str]


@dataclass(frozen=True, eq=False, repr=False)
class Found:
    """What a search has found; made by :func:`search`.

    Args:
        plan: The best plan.
        peak: Its peak; None where the peak was not searched.
        value: Its metric, the mean over the seeds.
        parameters: What was chosen for it, by name.
        study: Optuna's study: every trial, and what Optuna can draw of them.
        folder: Where the runs were written.
    """

    plan: Schedule
    peak: float | None
    value: float
    parameters: Mapping[str, Any]
    study: optuna.Study
    folder: Path

    @property
    def text(self) -> str:
        """The best plan as text."""
        return repr(self.plan)

    def __str__(self) -> str:
        peak = "" if self.peak is None else f", peak {self.peak:g}"
        return f"{self.text}{peak}: {self.value:.6g} (best of {_ended(self.study)} trials)"

    def __repr__(self) -> str:
        return f"<found {self}>"


def search(
    train: Callable[[TrialRun], Any],
    space: Space,
    budget: int,
    *,
    plan: Planned | None = None,
    seeds: int | Sequence[int] = 1,
    total_steps: int | None = None,
    metric: str = "loss",
    mode: Literal["min", "max"] = "min",
    folder: str | os.PathLike[str] = "search",
    storage: str | None = None,
    workers: int = 1,
    threads: int | None = None,
    pruning: bool = False,
    seed: int = 0,
) -> Found:
    """Search a plan's parameters for the best mean metric.

    Called again with the same folder it goes on: the budget counts all trials. Several processes
    may search at once, those of `workers` and calls from elsewhere. A trial that was interrupted is
    done again and counts once; one that diverges has the worst value there is; one that crashes
    counts as failed.

    Args:
        train: The training, as for :func:`cadence.compare`.
        space: The ranges by name: `(low, high)`, whole numbers if both are; :func:`log` for rates;
            a list of choices. The name `peak` is the highest rate that the optimizer is given. Or
            a function that is given an Optuna trial and returns a plan, or a plan and a peak.
        budget: How many trials there shall be in all.
        plan: The plan for given parameters: a function of them, or a text with their names in
            braces, such as `"Warmup({warmup}%) >> Cosine(end={floor})"`. A plan without parameters
            where the peak alone is searched.
        seeds: How many seeds each trial is trained with, from 0, or which.
        total_steps: The length of each run.
        metric: The judged metric.
        mode: Whether the metric should be small (`"min"`) or large (`"max"`).
        folder: Where to write.
        storage: Where Optuna keeps the study: by default SQLite in the folder. A URL of SQLAlchemy,
            such as `"postgresql://user@host/name"`, for several machines; the path of a journal,
            which ends in `.log`, for a network drive.
        workers: How many processes.
        threads: Threads of each run; by default the cores, shared out.
        pruning: Whether to stop trials whose first seed falls behind the median. A plan that keeps
            its rate high looks worse until it comes down: prune only where all come down alike.
        seed: Of the search itself. With one worker, the same seed makes the same search.

    Raises:
        ArgumentError: An argument cannot be meant, or the first trials all crash.
        MismatchError: The folder or storage holds another search.
        MissingLibraryError: Optuna is not installed.

    >>> def train(run):
    ...     return (math.log10(run.peak) + 2.5) ** 2
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = search(train, {"peak": log(1e-4, 1e-1)}, 8, plan="Constant(1)", folder=folder)
    ...     len(best.study.trials), best.text, 1e-3 < best.peak < 1e-2
    (8, 'Constant(1)', True)
    """
    if not callable(train):
        raise ArgumentTypeError(f"{WHERE}: 'train' must be a function (got {_checks.given(train)})")
    budget = _checks.whole(WHERE, "budget", budget, low=1)
    workers = _checks.whole(WHERE, "workers", workers, low=1)
    if total_steps is not None:
        total_steps = _checks.whole(WHERE, "total_steps", total_steps, low=1)
    _checks.choice(WHERE, "mode", mode, ("min", "max"))
    chosen = _seeds(seeds)
    suggest, asked = _suggesting(space, plan, total_steps)
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    task = _Task(
        train=train,
        suggest=suggest,
        budget=budget,
        job=Job(
            plan="searched",
            text="",
            peak=None,
            seed=0,
            role="peak",
            total_steps=total_steps,
            metric=metric,
            mode=mode,
            folder=str(where.resolve()),
        ),
        seeds=chosen,
        storage=_storage_of(storage, where),
        threads=threads or max(1, (os.cpu_count() or 1) // workers),
        pruning=pruning,
        seed=seed,
    )
    asked |= {"metric": metric, "mode": mode, "seeds": list(chosen), "total_steps": total_steps}
    with _quiet():
        study = task.study()
        _agree(study, asked)
        if workers == 1:
            task.work()
        else:
            _together(task, workers)
        return task.found(task.study())


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, Sequence) and not isinstance(seeds, str):
        chosen = tuple(_checks.whole(WHERE, "seeds", one) for one in seeds)
        if not chosen or len(set(chosen)) < len(chosen):
            raise ArgumentError(f"{WHERE}: 'seeds' must be some that differ (got {seeds!r})")
        return chosen
    return tuple(range(_checks.whole(WHERE, "seeds", seeds, low=1)))


# From a trial to a plan.

Suggest = Callable[[Any], tuple[Schedule, float | None]]


def _suggesting(
    space: Space, plan: Planned | None, total_steps: int | None
) -> tuple[Suggest, dict[str, Any]]:
    """The function from Optuna's trial to a plan and a peak, and what tells this search apart."""
    if callable(space):
        if plan is not None:
            raise ArgumentError(f"{WHERE}: 'plan' must be left out where the space is a function")
        return partial(_asked_of, space), {"space": "function"}
    if not isinstance(space, Mapping) or not space:
        raise ArgumentTypeError(
            f"{WHERE}: 'space' must be ranges by name, or a function (got {_checks.given(space)}); "
            "write {'peak': cadence.search.log(1e-4, 1e-2)}"
        )
    ranges = {str(name): _range(str(name), given) for name, given in space.items()}
    others = sorted(ranges.keys() - {PEAK})
    if plan is None:
        raise ArgumentError(
            f"{WHERE}: 'plan' must be given; write plan='wsd()' or plan=lambda "
            f"{', '.join(others)}: ..."
        )
    if isinstance(plan, str):
        named = {name for _, name, _, _ in string.Formatter().parse(plan) if name is not None}
        if named != set(others):
            raise ArgumentError(
                f"{WHERE}: 'plan' must name the parameters {others} in braces (got {plan!r})"
            )
    elif isinstance(plan, Schedule) and others:
        raise ArgumentError(
            f"{WHERE}: 'plan' must be a function or a text with {others} in braces (got {plan!r})"
        )
    suggest = partial(_within, ranges, plan)
    # One end of every range: a plan that cannot be is told before anything is trained.
    for end in (0, -1):
        first = {name: _end(given, end) for name, given in ranges.items()}
        made, _ = _planned(plan, first)
        if total_steps is not None:
            made.resolve(total_steps)
    written = repr(plan) if isinstance(plan, (str, Schedule)) else "function"
    return suggest, {"space": {k: repr(v) for k, v in ranges.items()}, "plan": written}


def _range(name: str, given: Any) -> Range:
    where = f"{WHERE}: the range of {name!r}"
    if isinstance(given, Log):
        return given
    if isinstance(given, list):
        if not given:
            raise ArgumentError(f"{where} must hold choices (got [])")
        return given
    if not isinstance(given, tuple) or len(given) != 2:
        raise ArgumentTypeError(
            f"{where} must be (low, high), log(low, high) or a list of choices "
            f"(got {_checks.given(given)})"
        )
    low = _checks.number(WHERE, name, given[0])
    high = _checks.number(WHERE, name, given[1], above=low)
    return given if all(isinstance(end, int) for end in given) else (low, high)


def _end(given: Range, end: int) -> Any:
    return (given.low, given.high)[end] if isinstance(given, Log) else given[end]


def _within(
    ranges: Mapping[str, Range], plan: Planned, trial: Any
) -> tuple[Schedule, float | None]:
    return _planned(plan, _parameters(ranges, trial))


def _parameters(ranges: Mapping[str, Range], trial: Any) -> dict[str, Any]:
    """What Optuna suggests for each range, to the digits that are meant."""
    found: dict[str, Any] = {}
    for name, given in ranges.items():
        if isinstance(given, list):
            found[name] = given[trial.suggest_categorical(name, list(range(len(given))))]
        elif isinstance(given, tuple) and all(isinstance(end, int) for end in given):
            found[name] = trial.suggest_int(name, *given)
        else:
            low, high = _end(given, 0), _end(given, -1)
            value = trial.suggest_float(name, low, high, log=isinstance(given, Log))
            found[name] = min(max(float(f"{value:.{DIGITS}g}"), low), high)
    trial.set_user_attr(PARAMETERS, json.dumps(found, default=repr))
    return found


def _planned(plan: Planned, parameters: Mapping[str, Any]) -> tuple[Schedule, float | None]:
    others = {name: value for name, value in parameters.items() if name != PEAK}
    made = plan
    if isinstance(plan, str):
        made = plan.format(**others)
    elif not isinstance(plan, Schedule):
        made = plan(**others)
    return _schedule(made), parameters.get(PEAK)


def _asked_of(space: Callable[[Any], Any], trial: Any) -> tuple[Schedule, float | None]:
    returned = space(trial)
    plan, peak = returned if isinstance(returned, tuple) else (returned, None)
    return _schedule(plan), peak


def _schedule(made: Any) -> Schedule:
    if isinstance(made, str):
        return parse(made)
    if not isinstance(made, Schedule):
        raise ArgumentTypeError(
            f"{WHERE}: 'plan' must give a schedule or its text (got {_checks.given(made)})"
        )
    return made


# Trials.


@dataclass(frozen=True)
class _Task:
    """A search, as each of its processes does it."""

    train: Callable[[TrialRun], Any]
    suggest: Suggest
    budget: int
    job: Job
    seeds: tuple[int, ...]
    storage: str
    threads: int
    pruning: bool
    seed: int

    @property
    def folder(self) -> Path:
        return Path(self.job.folder)

    def study(self) -> optuna.Study:
        """The study, made if it is not there."""
        optuna = require("optuna", EXTRA)
        pruner = optuna.pruners.NopPruner()
        if self.pruning:
            warm = (self.job.total_steps or 0) // 3
            pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=warm)
        # Two processes that make the tables of a database at once are in each other's way.
        with self._alone():
            return optuna.create_study(
                storage=_opened(self.storage),
                sampler=optuna.samplers.TPESampler(seed=self.seed),
                pruner=pruner,
                study_name=WHERE,
                direction="minimize" if self.job.mode == "min" else "maximize",
                load_if_exists=True,
            )

    def _alone(self) -> Any:
        """The lock of this search, for what one process does at a time."""
        from filelock import FileLock

        return FileLock(self.folder / ".lock")

    def work(self) -> None:
        """Do trials until as many have ended as there shall be.

        The last ones may be others': they are waited for, and taken over if their process is gone.
        """
        study = self.study()
        while True:
            self.sweep(study)
            begun = self._begin(study)
            if begun is None:
                if not any(map(self._is_own, _running(study))):
                    return
                time.sleep(PAUSE)
                continue
            trial, lock = begun
            try:
                self._carry_out(study, trial)
            finally:
                lock.release()
            self._give_up(study)

    def _begin(self, study: optuna.Study) -> tuple[optuna.Trial, Any] | None:
        """The next trial, and the lock that tells that somebody is at it."""
        from filelock import FileLock

        # One at a time: two that count at once would both begin the last trial.
        with self._alone():
            # One look at all: a trial that ends between two looks would be in neither.
            trials = study.get_trials(deepcopy=False)
            if sum(_counts(t) or t.state == _state("RUNNING") for t in trials) >= self.budget:
                return None
            trial = study.ask()
            lock = FileLock(self._place(trial.number).with_suffix(".lock"))
            lock.acquire()
            trial.set_user_attr(FOLDER, self.job.folder)
            return trial, lock

    def _place(self, number: int) -> Path:
        place = self.folder / "trials"
        place.mkdir(exist_ok=True)
        return place / f"{number:05}"

    def sweep(self, study: optuna.Study) -> None:
        """Have trials done again whose process has ended in the middle."""
        from filelock import FileLock, Timeout

        with self._alone():
            for frozen in _running(study):
                if not self._is_own(frozen):
                    continue
                lock = FileLock(self._place(frozen.number).with_suffix(".lock"), timeout=0)
                with suppress(Timeout), lock:
                    study._storage.set_trial_user_attr(frozen._trial_id, INTERRUPTED, value=True)
                    study.tell(frozen.number, state=_state("FAIL"))
                    study.enqueue_trial(frozen.params)

    def _is_own(self, frozen: optuna.trial.FrozenTrial) -> bool:
        """Whether a trial is of this folder; another machine's may be in the same database."""
        return frozen.user_attrs.get(FOLDER) == self.job.folder

    def _carry_out(self, study: optuna.Study, trial: optuna.Trial) -> None:
        """Train with every seed, and tell the study."""
        plan, peak = self.suggest(trial)
        trial.set_user_attr(TEXT, repr(plan))
        trial.set_user_attr(PEAK, peak)
        scores = []
        for seed in self.seeds:
            place = self._place(trial.number) / f"seed-{seed}"
            job = replace(self.job, text=repr(plan), peak=peak, seed=seed, folder=str(place))
            train = self.train
            if self.pruning and not scores:
                train = partial(_watched, self.train, trial, self.job.metric)
            outcome = carry_out(train, plan, job, self.threads)
            if outcome.status == "crashed":
                trial.set_user_attr(ERROR, outcome.error)
                study.tell(trial, state=_state("FAIL"))
                return
            if outcome.status == "stopped":
                study.tell(trial, state=_state("PRUNED"))
                return
            scores.append(outcome.score)
        study.tell(trial, sum(scores) / len(scores))

    def _give_up(self, study: optuna.Study) -> None:
        """End a search whose function does not work at all."""
        ended = [t for t in study.get_trials(deepcopy=False) if _counts(t)]
        errors = [t.user_attrs.get(ERROR) for t in ended]
        if len(ended) >= min(MOST_ALIKE, self.budget) and all(errors):
            raise ArgumentError(
                f"{WHERE}: 'train' must work: the first {len(ended)} trials have all crashed, the "
                f"last with {str(errors[-1]).strip().splitlines()[-1]}"
            )

    def found(self, study: optuna.Study) -> Found:
        """The best of the trials, read back from the study."""
        whole = [t for t in study.get_trials(deepcopy=False) if t.value is not None]
        if not any(math.isfinite(float(t.value or 0.0)) for t in whole):
            raise ArgumentError(
                f"{WHERE}: 'space' must hold plans that can be trained: of {_ended(study)} trials "
                "none has come to its end with a number"
            )
        best = study.best_trial
        told = best.user_attrs
        parameters = json.loads(told[PARAMETERS]) if PARAMETERS in told else dict(best.params)
        return Found(
            plan=parse(told[TEXT]),
            peak=told[PEAK],
            value=float(study.best_value),
            parameters=parameters,
            study=study,
            folder=self.folder,
        )


def _watched(
    train: Callable[[TrialRun], Any], trial: optuna.Trial, metric: str, run: TrialRun
) -> Any:
    """The training, with what it logs told to Optuna, which may have enough of it."""
    log = run.log

    def watched(step: int, /, **metrics: Any) -> None:
        log(step, **metrics)
        if metric in metrics and math.isfinite(value := float(metrics[metric])):
            trial.report(value, step)
            run._halved = run._halved or trial.should_prune()

    run.log = watched
    return train(run)


def _state(name: str) -> Any:
    return require("optuna.trial", EXTRA).TrialState[name]


def _counts(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial has ended by itself: one whose process was killed is done again."""
    return trial.state.is_finished() and INTERRUPTED not in trial.user_attrs


def _ended(study: optuna.Study) -> int:
    return sum(map(_counts, study.get_trials(deepcopy=False)))


def _running(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(_state("RUNNING"),))


# Where the study is.


def _storage_of(storage: str | None, folder: Path) -> str:
    if storage is None:
        return f"sqlite:///{(folder / 'study.db').resolve()}"
    if re.match(r"\w+(\+\w+)?://", storage):
        return storage
    if not storage.endswith(".log"):
        raise ArgumentError(
            f"{WHERE}: 'storage' must be a URL, or the path of a journal that ends in .log "
            f"(got {storage!r})"
        )
    return str(Path(storage).resolve())


def _opened(storage: str) -> Any:
    storages = require("optuna.storages", EXTRA)
    if "://" not in storage:
        backend = require("optuna.storages.journal", EXTRA).JournalFileBackend(storage)
        return storages.JournalStorage(backend)
    # Several processes write to one file: each waits for the other, not for ever.
    options = {"connect_args": {"timeout": 60}} if storage.startswith("sqlite") else {}
    return storages.RDBStorage(storage, engine_kwargs=options)


def _agree(study: optuna.Study, asked: Mapping[str, Any]) -> None:
    there = study.user_attrs.get(ASKED)
    if there is None:
        study.set_user_attr(ASKED, dict(asked))
        return
    wanted = json.loads(json.dumps(asked))
    for name in wanted:
        if there.get(name) != wanted[name]:
            raise MismatchError(
                f"{WHERE}: the study is of another search: {name!r} is {there.get(name)!r} in it, "
                f"and {wanted[name]!r} here; give another folder"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of each trial on stderr; the study has all of it."""
    logging = require("optuna.logging", EXTRA)
    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)


# Several processes.


def _together(task: _Task, workers: int) -> None:
    """Search in several processes, which meet in the study."""
    executors = require("loky.process_executor", EXTRA)
    backend = require("loky.backend", EXTRA)
    dumps = require("cloudpickle", EXTRA).dumps
    pool = executors.ProcessPoolExecutor(workers, context=backend.get_context("loky"))
    try:
        # A seed each, or all of them would try the same.
        tasks = [replace(task, seed=task.seed + place) for place in range(workers)]
        for future in [pool.submit(_work, dumps(one)) for one in tasks]:
            future.result()
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _work(payload: bytes) -> None:
    import cloudpickle

    with _quiet():
        cloudpickle.loads(payload).work()


class _Module(ModuleType):
    """Python puts a module into its package under its name, where the function has to be."""

    def __call__(self, *args: Any, **options: Any) -> Found:
        return search(*args, **options)


sys.modules[__name__].__class__ = _Module
