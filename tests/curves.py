"""Public loss curves of 25M and 100M models, and the accuracies that are published for them.

They lie outside of the repository: in `../shared/data/multipowerlaw`, or where the environment
variable `CADENCE_LOSS_CURVES` says. From Luo et al. (ICLR 2025), MIT licence.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cadence import forecast, read_run

FOLDER = Path(
    os.environ.get(
        "CADENCE_LOSS_CURVES", Path(__file__).parents[2] / "shared" / "data" / "multipowerlaw"
    )
)
ABSENT = (
    f"the public loss curves are not at {FOLDER}; CADENCE_LOSS_CURVES may say where they are"
    if not (FOLDER / "params.json").is_file()
    else ""
)
SIZES = ("25", "100")
TRAINED = ("cosine_24000", "constant_24000", "wsdcon_9")
HELD_OUT = (
    "constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000",
    "wsdcon_3", "wsdcon_18",
)  # fmt: skip
PEAK, END, WARMUP = 3e-4, 3e-5, 2160
LONGER_TRAINED = ("cosine_6000", "constant_6000", "two_stage_30")
"""The like of `TRAINED` among the project's own longer runs."""


class Scores(NamedTuple):
    """The accuracies that the papers tell."""

    R2: float
    MAE: float
    RMSE: float
    PredE: float
    WorstE: float


def rates(name: str) -> np.ndarray:
    """The rate of every step, as the authors' code makes it."""
    total = {"72000": 72000, "24000": 24000}.get(name.rpartition("_")[2], 16000)
    after = np.arange(WARMUP, total + 1)
    past = np.clip((after - 20000) / 4000, 0, 1)
    if name.startswith("cosine"):
        u = (after - WARMUP) / (total - WARMUP)
        values = END + (PEAK - END) * 0.5 * (1 + np.cos(np.pi * u))
    elif name.startswith("constant"):
        values = np.full(len(after), PEAK)
    elif name == "wsd_20000_24000":
        values = PEAK * (END / PEAK) ** past
    elif name == "wsdld_20000_24000":
        values = PEAK + (END - PEAK) * past
    else:
        values = np.where(after < 8000, PEAK, int(name.partition("_")[2]) * 1e-5)
    return np.concatenate([np.linspace(0, PEAK, WARMUP), values])


@cache
def measured(size: str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, losses, and the logged rates."""
    run = read_run(path(size, name))
    return run.steps, run.loss, run.values["lr"]


def path(size: str, name: str) -> Path:
    return FOLDER / f"csv_{size}" / f"{name}.csv"


def published(size: str) -> tuple[forecast.MultiPower, Scores]:
    """The published parameters, rounded to three decimals, and their accuracies."""
    told: dict[str, Any] = json.loads((FOLDER / "params.json").read_text())[f"{size}M"]
    scores = Scores(**told.pop("published"))
    return forecast.MultiPower(**told, rise=True), scores


def predicted(size: str, law: forecast.Law) -> dict[str, np.ndarray]:
    """What a law says of each held-out curve."""
    return {name: law.loss(rates(name), measured(size, name)[0]) for name in HELD_OUT}


def score(predicted: np.ndarray, losses: np.ndarray) -> Scores:
    """The accuracies of predicted losses."""
    off = predicted - losses
    spread = np.sum((losses - losses.mean()) ** 2)
    part = np.abs(off) / losses
    return Scores(
        float(1 - np.sum(off**2) / spread),
        float(np.mean(np.abs(off))),
        float(np.sqrt(np.mean(off**2))),
        float(part.mean()),
        float(part.max()),
    )


def scores(size: str, told: dict[str, np.ndarray], shift: float = 0.0) -> dict[str, Scores]:
    """The accuracies of predicted losses on each held-out curve."""
    return {name: score(told[name] + shift, measured(size, name)[1]) for name in told}


def mean(found: dict[str, Scores]) -> Scores:
    return Scores(*np.mean(list(found.values()), axis=0).tolist())


def fitted(size: str, law: str = "auto") -> forecast.Forecaster:
    """A fit to the three training curves, as anybody would read them."""
    return forecast.fit([path(size, name) for name in TRAINED], law, warmup=WARMUP)
