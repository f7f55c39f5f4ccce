"""Runs on Ray: a laptop or a cluster, the same function and the same files."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadence._optional import require
from cadence.compare._run import Job, Outcome, carry_out, died
from cadence.errors import ComparisonError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Ray"]

EXTRA = "ray"


class Ray:
    """Runs as tasks of Ray.

    Where Ray has not been started, a cluster of this machine is, and ended afterwards, with its
    files; one that you have started, or that `RAY_ADDRESS` names, is used and left as it is.

    A node that does not share the folder sends the files of a run when it has ended.

    Args:
        payload: The function and the plans, pickled by value where they must be.
        folder: The comparison's folder.
        workers: How many runs at a time; by default as many as the cluster has room for.
        threads: Threads, which are CPUs to Ray, of each run.
        gpus: GPUs of each run; a fraction is allowed.
    """

    def __init__(
        self,
        payload: bytes,
        folder: Path,
        workers: int | None,
        threads: int | None,
        gpus: float | None,
    ) -> None:
        self._ray = ray = require("ray", EXTRA)
        self._own: ExitStack | None = None
        self._tasks: dict[Any, Job] = {}
        if not ray.is_initialized():
            self._start()
        self.threads = threads or 1
        resources = ray.cluster_resources()
        room = resources.get("CPU", 1) // self.threads
        if gpus:
            room = min(room, resources.get("GPU", 0) // gpus)
        if room < 1:
            self.close()
            raise ComparisonError(
                f"compare: the cluster must have room for one run ({self.threads} CPUs, {gpus or 0}"
                f" GPUs); it has {resources.get('CPU', 0):g} and {resources.get('GPU', 0):g}"
            )
        self.workers = min(workers or int(room), int(room))
        self._payload = ray.put(payload)
        # What went wrong is an outcome; whether a run is tried again is decided there.
        options = {"num_cpus": self.threads, "num_gpus": gpus or 0, "max_retries": 0}
        self._task = ray.remote(**options)(_work)
        self._folder, self._there = folder, _mark(folder)

    def _start(self) -> None:
        """Start a cluster that leaves nothing behind, or join the one that is named."""
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        self._own = ExitStack()
        if "RAY_ADDRESS" not in os.environ:
            # The usual place is one that all users of the machine share, and it is never cleared.
            place = tempfile.mkdtemp(prefix="ray-")
            self._own.callback(shutil.rmtree, place, ignore_errors=True)
            self._own.enter_context(_environment(RAY_USAGE_STATS_ENABLED="0", **_token()))
            options |= {"include_dashboard": False, "_temp_dir": place}
        self._own.callback(self._ray.shutdown)
        try:
            self._ray.init(**options)
        except BaseException:
            self._own.close()
            raise

    def free(self) -> bool:
        return len(self._tasks) < self.workers

    def start(self, job: Job) -> None:
        task = self._task.remote(self._payload, job, self.threads, str(self._folder), self._there)
        self._tasks[task] = job

    def running(self) -> list[Job]:
        return [*self._tasks.values()]

    def ended(self, seconds: float) -> list[tuple[Job, Outcome]]:
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        found = []
        for task in ready:
            job = self._tasks.pop(task)
            try:
                outcome, files = self._ray.get(task)
            except self._ray.exceptions.RayTaskError as error:
                raise (error.cause or error) from None
            except self._ray.exceptions.RayError as error:
                outcome, files = died(job, str(error)), {}
            for name, content in files.items():
                path = Path(job.folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            found.append((job, outcome))
        return found

    def close(self) -> None:
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._tasks = {}
        if self._own is not None:
            self._own.close()


def _token() -> dict[str, str]:
    """A secret for the cluster, where there is none: Ray would leave one in the home folder."""
    given = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if given or "RAY_AUTH_MODE" in os.environ or Path.home().joinpath(".ray/auth_token").exists():
        return {}
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    # Ray sets the mode itself when it starts.
    before = {name: os.environ.get(name) for name in (*values, "RAY_AUTH_MODE")}
    os.environ.update(values)
    try:
        _forget_token()
        yield
    finally:
        _forget_token()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _forget_token() -> None:
    """Let Ray look for its token again: it keeps the first that it has seen."""
    with suppress(ImportError, AttributeError):  # versions without tokens have nothing to forget
        import_module("ray._raylet").AuthenticationTokenLoader.instance().reset_cache()


def _mark(folder: Path) -> bytes:
    """What tells the comparison's folder from one of the same name on another node."""
    from cadence.compare._store import ASKED

    try:
        return (folder / ASKED).read_bytes()
    except OSError:
        return b""


def _work(
    payload: bytes, job: Job, threads: int, folder: str, mark: bytes
) -> tuple[Outcome, dict[str, bytes]]:
    """One run, in a process of Ray; with its files where they would not be seen otherwise."""
    import cloudpickle

    train, plans = cloudpickle.loads(payload)
    if _mark(Path(folder)) == mark:
        return carry_out(train, plans[job.plan], job, threads), {}
    if job.rungs:
        raise ComparisonError(
            f"scheduler='asha' must have a folder that all nodes share (got {folder})"
        )
    with tempfile.TemporaryDirectory() as own:
        outcome = carry_out(train, plans[job.plan], replace(job, folder=own), threads)
        paths = [path for path in Path(own).rglob("*") if path.is_file() and path.name != ".lock"]
        return outcome, {str(path.relative_to(own)): path.read_bytes() for path in paths}
