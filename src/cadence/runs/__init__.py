"""Runs read back from their logs, whichever library wrote them.

`read_run` finds out what lies at a path and returns a `Run`: the steps, the values of
every quantity, the loss.
"""

from __future__ import annotations

import os
from pathlib import Path

from cadence.runs._find import found
from cadence.runs._gather import Gathered
from cadence.runs._run import Run, Series, Text
from cadence.runs._tables import from_csv, from_json, from_trainer
from cadence.runs._tensorboard import from_tensorboard
from cadence.runs._wandb import from_wandb

__all__ = ["Run", "Series", "Text", "read_run"]

READERS = {
    "Trainer": from_trainer,
    "Weights & Biases": from_wandb,
    "TensorBoard": from_tensorboard,
    "CSV": from_csv,
    "JSONL": from_json,
}


def read_run(
    path: str | os.PathLike[str], *, step: str | None = None, loss: str | None = None
) -> Run:
    r"""Read what a run has logged.

    The kind of log is found out: TensorBoard's event files, an offline directory of Weights &
    Biases, CSV (Lightning's `metrics.csv` is one), JSON lines, and the `trainer_state.json` of
    Transformers' Trainer. Steps are those of the log, and so are their meanings.

    A log that goes back to an earlier step, as that of a run which was resumed does, is read as
    the run that went on: what was logged before of the same quantity, at that step and later, is
    left out. A last line that was not written to its end is left out too.

    Args:
        path: A file, or a directory that holds one log, itself or up to three levels below.
        step: The key of the step, where it is not one of the usual ones (`step`, `global_step`,
            `trainer/global_step`, `_step`, `iteration`, ...). TensorBoard has a step of its own.
        loss: The key of the training loss. By default the one of these that was logged most
            often: `loss`, `train_loss`, `train/loss`, `training_loss_step` and the like.

    Raises:
        LogError: There is no log, or more than one, or it cannot be read.
        MissingLibraryError: To read this kind of log a library must be installed.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "run.csv")
    ...     _ = path.write_text("step,loss,lr/head\n0,2.5,0.1\n1,,0.2\n2,2.25,0.3\n")
    ...     run = read_run(path)
    >>> run.steps, run.loss, run.values["lr/head"]
    (array([0, 1, 2]), array([2.5 ,  nan, 2.25]), array([0.1, 0.2, 0.3]))
    >>> run["loss"]
    Series(steps=array([0, 2]), values=array([2.5 , 2.25]))
    """
    log = found(Path(path))
    gathered = Gathered(log.path, step)
    READERS[log.kind](log.files, gathered)
    return Run(
        log.path,
        log.kind,
        gathered.all_series(),
        gathered.all_texts(),
        gathered.metadata,
        gathered.replaced,
        loss,
    )
