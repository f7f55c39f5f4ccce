"""The search itself: its arguments, and what it has found."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cadence import _checks
from cadence.compare._halving import quiet
from cadence.compare._run import Job, TrialRun
from cadence.compare._store import identity
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.schedule import Schedule
from cadence.search._space import Planned, Space, suggesting
from cadence.search._study import PARAMETERS, PEAK, TEXT, WHERE, agree, ended, mark_of, storage_of
from cadence.search._trials import Task, together
from cadence.text import parse

if TYPE_CHECKING:
    import optuna

__all__ = ["Found", "search"]


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
        return f"{self.text}{peak}: {self.value:.6g} (best of {ended(self.study)} trials)"

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
    name: str = "search",
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
        name: The study's name, where a database holds several.
        workers: How many processes.
        threads: Threads of each run; by default the cores, shared out.
        pruning: Whether to stop trials whose first seed falls behind the median. A plan that keeps
            its rate high looks worse until it comes down: prune only where all come down alike.
        seed: Of the search itself. With one worker, the same seed makes the same search.

    Raises:
        ArgumentError: An argument cannot be meant, or the first trials all crash.
        MismatchError: The folder or storage holds another search.
        ComparisonError: The database does not answer.
        MissingLibraryError: Optuna is not installed, or the database's driver.

    >>> from cadence.search import log, search
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
    suggest, asked = suggesting(space, plan, total_steps)
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    task = Task(
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
        storage=storage_of(storage, where),
        name=name,
        mark=mark_of(where),
        threads=threads or max(1, (os.cpu_count() or 1) // workers),
        pruning=pruning,
        seed=seed,
    )
    asked |= {"metric": metric, "mode": mode, "seeds": list(chosen), "total_steps": total_steps}
    asked["train"] = identity(train)
    if asked["train"]["name"].endswith("<lambda>"):
        # Its source is that of the whole statement, the budget included, which may grow.
        asked["train"]["source"] = None
    with quiet():
        study = task.study()
        if ended(study) >= budget:
            del asked["train"]  # it is not called: what was found is read
        agree(study, asked)
        if workers == 1:
            task.work()
        else:
            together(task, workers)
        return _best(task.study(), task.folder)


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, Sequence) and not isinstance(seeds, str):
        chosen = tuple(_checks.whole(WHERE, "seeds", one) for one in seeds)
        if not chosen or len(set(chosen)) < len(chosen):
            raise ArgumentError(f"{WHERE}: 'seeds' must be some that differ (got {seeds!r})")
        return chosen
    return tuple(range(_checks.whole(WHERE, "seeds", seeds, low=1)))


def _best(study: optuna.Study, folder: Path) -> Found:
    """The best of the trials, read back from the study."""
    whole = [t for t in study.get_trials(deepcopy=False) if t.value is not None]
    if not any(math.isfinite(float(t.value or 0.0)) for t in whole):
        raise ArgumentError(
            f"{WHERE}: 'space' must hold plans that can be trained: of {ended(study)} trials "
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
        folder=folder,
    )
