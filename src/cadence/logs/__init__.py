"""Logging a schedule: what the updates used, beside what was planned, to any logger.

A :class:`ScheduleLogger` writes to sinks. A sink is anything with the four methods of
:class:`LogSink`; the ones here write CSV and JSON lines, TensorBoard, Weights & Biases and MLflow.
What they wrote is read back by :func:`cadence.read_run`.
"""

from cadence.logs._logger import ScheduleLogger
from cadence.logs._sink import LogSink
from cadence.logs.files import CSV, JSONL
from cadence.logs.mlflow import MLflow
from cadence.logs.tensorboard import TensorBoard
from cadence.logs.wandb import WandB

__all__ = ["CSV", "JSONL", "LogSink", "MLflow", "ScheduleLogger", "TensorBoard", "WandB"]
