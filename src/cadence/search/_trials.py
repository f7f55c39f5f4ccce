"""The trials, as each of the processes of a search does them until all have ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadence._optional import require
from cadence.compare._halving import quiet
from cadence.compare._run import Job, TrialRun, carry_out
from cadence.compare._trial import EXTRA
from cadence.errors import ArgumentError
from cadence.search._space import Suggest
from cadence.search._study import (
    ERROR,
    FOLDER,
    INTERRUPTED,
    PEAK,
    TEXT,
    WHERE,
    counts,
    opened,
    running,
    state,
)

if TYPE_CHECKING:
    import optuna

__all__ = ["Task", "together"]

PAUSE = 0.2
"""Seconds between two looks at what other processes do."""

MOST_ALIKE = 3
"""Where the first so many trials have all crashed, the rest would too."""


@dataclass(frozen=True)
class Task:
    """A search, as each of its processes does it."""

    train: Callable[[TrialRun], Any]
    suggest: Suggest
    budget: int
    job: Job
    seeds: tuple[int, ...]
    storage: str
    name: str
    mark: str
    """What tells the folder from one of the same name on another machine."""
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
                storage=opened(self.storage),
                sampler=self._sampler(0),
                pruner=pruner,
                study_name=self.name,
                direction="minimize" if self.job.mode == "min" else "maximize",
                load_if_exists=True,
            )

    def _sampler(self, number: int) -> Any:
        """What chooses for a trial: by its number, so that no two processes try the same."""
        import numpy as np

        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        return require("optuna", EXTRA).samplers.TPESampler(seed=seed)

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
                if not any(map(self._is_own, running(study))):
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
            if self._taken(study) >= self.budget:
                return None
            trial = study.ask()
            lock = FileLock(self._place(trial.number).with_suffix(".lock"))
            lock.acquire()
            trial.set_user_attr(FOLDER, self.mark)
            # The lock of this folder does not stop those of others from beginning the last as well.
            if self._taken(study, before=trial.number) < self.budget:
                study.sampler = self._sampler(trial.number)
                return trial, lock
            self._interrupted(study, trial.number, trial._trial_id)
            lock.release()
            return None

    def _taken(self, study: optuna.Study, before: float = math.inf) -> int:
        """How many trials of the budget have begun, of those that were asked for earlier."""
        # One look at all: a trial that ends between two looks would be in neither.
        trials = study.get_trials(deepcopy=False)
        known = [t for t in trials if counts(t) or t.state == state("RUNNING")]
        return sum(t.number < before for t in known)

    @staticmethod
    def _interrupted(study: optuna.Study, number: int, ident: int) -> None:
        """End a trial that does not count."""
        study._storage.set_trial_user_attr(ident, INTERRUPTED, value=True)
        study.tell(number, state=state("FAIL"))

    def _place(self, number: int) -> Path:
        place = self.folder / "trials"
        place.mkdir(exist_ok=True)
        return place / f"{number:05}"

    def sweep(self, study: optuna.Study) -> None:
        """Have trials done again whose process has ended in the middle."""
        from filelock import FileLock, Timeout

        with self._alone():
            for frozen in running(study):
                if not self._is_own(frozen):
                    continue
                lock = FileLock(self._place(frozen.number).with_suffix(".lock"), timeout=0)
                with suppress(Timeout), lock:
                    # It may have ended between the look at all and the lock, which tells the truth.
                    if study._storage.get_trial(frozen._trial_id).state != state("RUNNING"):
                        continue
                    self._interrupted(study, frozen.number, frozen._trial_id)
                    study.enqueue_trial(frozen.params)

    def _is_own(self, frozen: optuna.trial.FrozenTrial) -> bool:
        """Whether a trial is of this folder; another machine's may be in the same database."""
        return frozen.user_attrs.get(FOLDER) == self.mark

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
                study.tell(trial, state=state("FAIL"))
                return
            if outcome.status == "stopped":
                study.tell(trial, state=state("PRUNED"))
                return
            scores.append(outcome.score)
        study.tell(trial, sum(scores) / len(scores))

    def _give_up(self, study: optuna.Study) -> None:
        """End a search whose function does not work at all."""
        ended = [t for t in study.get_trials(deepcopy=False) if counts(t)]
        errors = [t.user_attrs.get(ERROR) for t in ended]
        if len(ended) >= min(MOST_ALIKE, self.budget) and all(errors):
            raise ArgumentError(
                f"{WHERE}: 'train' must work: the first {len(ended)} trials have all crashed, the "
                f"last with {str(errors[-1]).strip().splitlines()[-1]}"
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


def together(task: Task, workers: int) -> None:
    """Search in several processes, which meet in the study."""
    executors = require("loky.process_executor", EXTRA)
    backend = require("loky.backend", EXTRA)
    dumps = require("cloudpickle", EXTRA).dumps
    pool = executors.ProcessPoolExecutor(workers, context=backend.get_context("loky"))
    try:
        for future in [pool.submit(_work, dumps(task)) for _ in range(workers)]:
            future.result()
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _work(payload: bytes) -> None:
    import cloudpickle

    with quiet():
        cloudpickle.loads(payload).work()
