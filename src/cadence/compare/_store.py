"""The folder of a comparison: what was asked, one folder for each run, and a lock.

::

    FOLDER/comparison.json                       what was asked, and with which versions
    FOLDER/runs/NAME-HASH/seed-0/config.json     one trial
                                 metrics.jsonl   what it has logged, line by line
                                 tensorboard/    the same for TensorBoard, where it is installed
                                 result.json     how it ended; a run without it has not ended
    FOLDER/runs/NAME-HASH/choose-0.003/seed-7/   a run that only chooses the peak
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from cadence._files import replacing
from cadence.compare._run import CONFIG, METRICS, RESULT, Job, Outcome
from cadence.compare._trial import Trial
from cadence.errors import ComparisonError, LogError, MismatchError
from cadence.runs import read_run

__all__ = ["Store", "facts", "identity", "trial_of"]

ASKED = "comparison.json"
LOCK = ".lock"
VERSION = 1


class Store:
    """The folder of one comparison, held by one process at a time.

    The lock is the operating system's own (`flock`), so a process that is killed lets go of it.
    """

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock

        self.folder = folder
        self._lock = FileLock(folder / LOCK, timeout=0)

    @classmethod
    def fresh(cls, parent: Path) -> Store:
        """A folder of its own, named by the time."""
        stamp = time.strftime("%Y-%m-%d-%H%M%S")
        for count in range(1, 1000):
            folder = parent / (stamp if count == 1 else f"{stamp}-{count}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            return cls(folder)
        raise ComparisonError(f"compare: 'folder' must be given: {parent} is full of others")

    def __enter__(self) -> Self:
        from filelock import Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise ComparisonError(
                f"compare: another process is at work in {self.folder}; wait for it, or give "
                "another folder"
            ) from None
        except OSError as error:
            raise ComparisonError(f"cannot write to {self.folder}: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    # What was asked.

    def agree(self, asked: Mapping[str, Any], facts: Mapping[str, Any], on_mismatch: str) -> None:
        """Write what is asked; where something else was asked before, refuse or replace it.

        Raises:
            MismatchError: The folder is of another comparison, and `on_mismatch="raise"`.
        """
        path = self.folder / ASKED
        wanted = json.loads(json.dumps(asked))
        if path.exists():
            there = json.loads(path.read_text(encoding="utf-8")).get("asked", {})
            if there == wanted:
                return
            if on_mismatch == "raise":
                raise MismatchError(
                    f"compare: {self.folder} holds another comparison; "
                    f"{_difference(there, wanted)}; give another folder, or on_mismatch='reuse' "
                    "to keep the runs that fit"
                )
        content = {"version": VERSION, "asked": wanted, "facts": facts}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")

    # Runs.

    def place(
        self, name: str, same: Mapping[str, Any], role: str, peak: float | None, seed: int
    ) -> Path:
        """The folder of one run; what it depends on is in the name, so that it is no other's."""
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:40] or "plan"
        parts = [f"{slug}-{_digest([name, same])}"]
        if peak is not None:
            parts.append(f"{'choose' if role == 'peak' else 'peak'}-{peak!r}")
        return self.folder.joinpath("runs", *parts, f"seed-{seed}")

    def rungs(self, like: Any) -> Path:
        """Where runs that are halved together leave their values."""
        return self.folder / "rungs" / _digest(like)

    def short(self, place: Path) -> str:
        """A name for a run's folder that does not depend on where the comparison lies."""
        return _digest(place.relative_to(self.folder).as_posix())

    def begin(self, job: Job, facts: Mapping[str, Any]) -> None:
        """Write the configuration of a run that is to begin, or to begin again."""
        folder = Path(job.folder)
        folder.mkdir(parents=True, exist_ok=True)
        result = folder / RESULT
        if result.exists():  # of an attempt that crashed
            count = len(list(folder.glob("crash-*.json")))
            result.rename(folder / f"crash-{count + 1}.json")
        config = {
            "plan": job.plan,
            "text": job.text,
            "peak": job.peak,
            "seed": job.seed,
            "role": job.role,
            "total_steps": job.total_steps,
            "metric": job.metric,
            "mode": job.mode,
            **facts,
        }
        with replacing(folder / CONFIG) as path:
            path.write_text(json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def trial_of(job: Job) -> Trial:
    """What a run has found, read from its folder."""
    folder = Path(job.folder)
    outcome = Outcome.read(folder)
    steps, series = _series(folder / METRICS)
    scheduled = set(outcome.scheduled) if outcome else set()
    scheduled |= {name for name in series if name.startswith("lr/")}
    return Trial(
        plan=job.plan,
        text=job.text,
        peak=job.peak,
        seed=job.seed,
        role=job.role,
        status=outcome.status if outcome else "pending",
        steps=steps,
        metrics={name: row for name, row in series.items() if name not in scheduled},
        values={name: row for name, row in series.items() if name in scheduled},
        score=outcome.score if outcome else np.nan,
        error=outcome.error if outcome else "",
        folder=folder,
        seconds=outcome.seconds if outcome else 0.0,
    )


def _series(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    try:
        run = read_run(path)
    except LogError:  # nothing was logged
        return np.array([], dtype=np.int64), {}
    return run.steps, run.values


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What differs, in words: each setting with what it was and what it is."""
    told = []
    for key in dict.fromkeys([*there, *here]):
        was, now = there.get(key), here.get(key)
        if was == now:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            told += [
                f"{key.removesuffix('s')} {name!r} was {was.get(name)!r}, is {now.get(name)!r}"
                for name in dict.fromkeys([*was, *now])
                if was.get(name) != now.get(name)
            ] or [f"the order of {key} was {list(was)}, is {list(now)}"]
        else:
            told.append(f"{key} was {was!r}, is {now!r}")
    return "; ".join(told) or "its file is of another form"


def facts() -> dict[str, Any]:
    """Versions and the machine: what is needed to repeat a run, and does not belong to it."""
    import os
    import platform

    import torch

    from cadence._version import __version__

    found = {
        "python": platform.python_version(),
        "cadence": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "command": sys.argv,
    }
    if torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def identity(train: Any) -> dict[str, Any]:
    """What is known of the function, so that a change is noticed.

    That is its name, its source, and the plain values that `partial` gives it. What it calls, and
    what a function around it holds, is not looked at.
    """
    function, values = train, {}
    while isinstance(function, partial):
        values = {
            **{str(i): value for i, value in enumerate(function.args)},
            **function.keywords,
            **values,
        }
        function = function.func
    plain = (bool, int, float, str, type(None))
    given = {name: value for name, value in sorted(values.items()) if isinstance(value, plain)}
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        function = type(function)
    name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"
    try:
        source = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    except (OSError, TypeError):
        source = None
    # A script is `__main__` in one call and a module in another.
    known = {"name": name.rpartition(":")[2], "source": source}
    return known | ({"given": given} if given else {})
