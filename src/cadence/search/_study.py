"""Where the study is kept: a file, a journal or a database; and whether it is of this search."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadence._files import replacing
from cadence._optional import require
from cadence.compare._trial import EXTRA
from cadence.errors import ArgumentError, ComparisonError, MismatchError, MissingLibraryError

if TYPE_CHECKING:
    import optuna

__all__ = [
    "ERROR",
    "FOLDER",
    "INTERRUPTED",
    "PARAMETERS",
    "PEAK",
    "TEXT",
    "WHERE",
    "agree",
    "counts",
    "ended",
    "mark_of",
    "opened",
    "running",
    "state",
    "storage_of",
]

WHERE = "search"
ASKED, FOLDER, TEXT, PARAMETERS = "asked", "folder", "plan", "parameters"
PEAK, ERROR, INTERRUPTED = "peak", "error", "interrupted"
"""What is written beside a trial, or the study, under which name."""

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds until the next try at a database that somebody else is preparing."""


def storage_of(storage: str | None, folder: Path) -> str:
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


def mark_of(folder: Path) -> str:
    """A word of its own for a folder: machines that share a database may not share their disks."""
    from filelock import FileLock

    path = folder / ".mark"
    with FileLock(folder / ".lock"):
        if not path.exists():
            with replacing(path) as unfinished:
                unfinished.write_text(uuid.uuid4().hex, encoding="utf-8")
        return path.read_text(encoding="utf-8")


def opened(storage: str) -> Any:
    storages = require("optuna.storages", EXTRA)
    if "://" not in storage:
        backend = require("optuna.storages.journal", EXTRA).JournalFileBackend(storage)
        return storages.JournalStorage(backend)
    return _database(storage, storages.RDBStorage)


def _database(storage: str, open_it: Callable[..., Any]) -> Any:
    """A database of SQLAlchemy's; what is told of it leaves the password out."""
    sql = require("sqlalchemy", EXTRA)
    # Hours may lie between two looks: no connection is kept open, and none can have gone stale.
    options: dict[str, Any] = {"poolclass": require("sqlalchemy.pool", EXTRA).NullPool}
    if storage.startswith("sqlite"):
        # Several processes write to one file: each waits for the other, not for ever.
        options["connect_args"] = {"timeout": 60}
    try:
        url = sql.make_url(storage)
        url.get_dialect()
    except (sql.exc.ArgumentError, sql.exc.NoSuchModuleError) as error:
        raise ArgumentError(
            f"{WHERE}: 'storage' must be a URL that SQLAlchemy knows ({error}); write "
            "postgresql://user@host/name"
        ) from None
    try:
        for pause in PAUSES:
            # Another machine may be making the tables; they are there at the next look.
            with suppress(sql.exc.IntegrityError, sql.exc.ProgrammingError):
                return open_it(storage, engine_kwargs=options)
            time.sleep(pause)
        return open_it(storage, engine_kwargs=options)
    except ImportError:
        advice = "; write pip install 'cadence[postgresql]'" if "postgresql" in storage else ""
        raise MissingLibraryError(
            f"{WHERE}: the driver of {url.drivername} must be installed for 'storage'{advice}"
        ) from None
    except sql.exc.OperationalError as error:
        told = " ".join(str(error.orig).split())
        raise ComparisonError(
            f"{WHERE}: the database {url.render_as_string()} must answer ({told}); what is in it "
            "is kept: call again when it does"
        ) from error


def agree(study: optuna.Study, asked: Mapping[str, Any]) -> None:
    there = study.user_attrs.get(ASKED)
    if there is None:
        study.set_user_attr(ASKED, dict(asked))
        return
    wanted = json.loads(json.dumps(asked))
    for name in wanted:
        if there.get(name) != wanted[name]:
            raise MismatchError(
                f"{WHERE}: the study is of another search: {name!r} is {there.get(name)!r} in it, "
                f"and {wanted[name]!r} here; give another folder, or another name"
            )


def state(name: str) -> Any:
    return require("optuna.trial", EXTRA).TrialState[name]


def counts(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial has ended by itself: one whose process was killed is done again."""
    return trial.state.is_finished() and INTERRUPTED not in trial.user_attrs


def ended(study: optuna.Study) -> int:
    return sum(map(counts, study.get_trials(deepcopy=False)))


def running(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(state("RUNNING"),))
