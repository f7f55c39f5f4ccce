"""Where runs are carried out: in this process, or in processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol

from cadence._optional import require
from cadence.compare._run import Job, Outcome, TrialRun, carry_out, died
from cadence.compare._trial import EXTRA
from cadence.schedule import Schedule

__all__ = ["Engine", "Inline", "Processes"]

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Engine(Protocol):
    """Carries out runs, several at a time."""

    def free(self) -> bool:
        """Whether one more run can be started."""
        ...

    def start(self, job: Job) -> None:
        """Start a run."""
        ...

    def running(self) -> list[Job]:
        """The runs that have been started and have not ended."""
        ...

    def ended(self, seconds: float) -> list[tuple[Job, Outcome]]:
        """The runs that have ended; where none has, some seconds are waited for one."""
        ...

    def close(self) -> None:
        """End all runs that are still going on, and let go of everything."""
        ...


class Inline:
    """Runs in this process, one after the other: for debuggers, and for machines without room."""

    def __init__(
        self,
        train: Callable[[TrialRun], Any],
        plans: Mapping[str, Schedule],
        threads: int | None = None,
    ) -> None:
        self._train, self._plans, self._threads = train, plans, threads
        self._job: Job | None = None

    def free(self) -> bool:
        return self._job is None

    def start(self, job: Job) -> None:
        self._job = job

    def running(self) -> list[Job]:
        return [self._job] if self._job else []

    def ended(self, seconds: float) -> list[tuple[Job, Outcome]]:  # noqa: ARG002 - nothing to wait for
        job, self._job = self._job, None
        if job is None:
            return []
        return [(job, carry_out(self._train, self._plans[job.plan], job, self._threads))]

    def close(self) -> None:
        self._job = None


@dataclass
class _Slot:
    """A process, and what it is doing; a new one is made when it has died."""

    place: int
    pool: Any = None
    job: Job | None = None
    future: Future[Outcome] | None = None


class Processes:
    """Runs in processes of this machine, through loky.

    Each process has a pool of its own: where one is killed, the others go on.

    Args:
        payload: The function and the plans, pickled by value where they must be.
        workers: How many processes.
        threads: Threads of each.
        gpus: The machine's GPUs, which are dealt out to the processes in turn.
    """

    def __init__(self, payload: bytes, workers: int, threads: int, gpus: int = 0) -> None:
        self._payload, self._threads, self._gpus = payload, threads, gpus
        self._slots = [_Slot(place) for place in range(workers)]

    def free(self) -> bool:
        return any(slot.job is None for slot in self._slots)

    def start(self, job: Job) -> None:
        slot = next(slot for slot in self._slots if slot.job is None)
        if slot.pool is None:
            slot.pool = self._pool(slot.place)
        slot.job = job
        slot.future = slot.pool.submit(_work, job)

    def _pool(self, place: int) -> Any:
        executors = require("loky.process_executor", EXTRA)
        backend = require("loky.backend", EXTRA)
        environment: dict[str, str] = dict.fromkeys(THREADS, str(self._threads))
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = str(place % self._gpus)
        return executors.ProcessPoolExecutor(
            max_workers=1,
            context=backend.get_context("loky"),
            initializer=_begin,
            initargs=(self._payload, self._threads, os.getpid()),
            env=environment,
        )

    def running(self) -> list[Job]:
        return [slot.job for slot in self._slots if slot.job is not None]

    def ended(self, seconds: float) -> list[tuple[Job, Outcome]]:
        futures = [slot.future for slot in self._slots if slot.future is not None]
        wait(futures, seconds, FIRST_COMPLETED)
        found = []
        for slot in self._slots:
            if slot.job is None or slot.future is None or not slot.future.done():
                continue
            try:
                outcome = slot.future.result()
            except BrokenProcessPool as error:
                outcome = died(slot.job, str(error))
                self._kill(slot)
            found.append((slot.job, outcome))
            slot.job = slot.future = None
        return found

    @staticmethod
    def _kill(slot: _Slot) -> None:
        if slot.pool is not None:
            slot.pool.shutdown(wait=True, kill_workers=True)
            slot.pool = None

    def close(self) -> None:
        for slot in self._slots:
            if slot.job is None and slot.pool is not None:
                slot.pool.shutdown(wait=True)
            else:
                self._kill(slot)
            slot.pool = slot.job = slot.future = None


_given: dict[str, Any] = {}
"""In a process of a comparison: what its runs share."""


def _begin(payload: bytes, threads: int, parent: int) -> None:
    """Prepare a process of a comparison."""
    _given.update(payload=payload, threads=threads)
    # Ctrl-C is for the process that was called; it ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """End this process soon after its parent: whoever continues begins its runs anew."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _work(job: Job) -> Outcome:
    import cloudpickle

    # Unpickled for each run: what one changes of the function's own objects, the next does not see.
    train, plans = cloudpickle.loads(_given["payload"])
    return carry_out(train, plans[job.plan], job, _given["threads"])
