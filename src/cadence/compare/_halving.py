"""Successive halving: whether a run is worth going on, as Optuna's pruner decides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cadence._files import replacing
from cadence._optional import require
from cadence.compare._trial import EXTRA

__all__ = ["REDUCTION", "goes_on", "quiet"]

REDUCTION = 3


def goes_on(rung: Path, run: str, value: float, mode: str) -> bool:
    """Whether a run is among the best of those that have come to a rung so far.

    Asynchronous successive halving (ASHA; Li et al., 2020) by Optuna's `SuccessiveHalvingPruner`:
    a run goes on if it is in the best third of the values at this rung, its own included, and in
    any case if it is the best. The values are files, of which a study is made for each decision: a
    run that was killed and has begun again takes its own former place there, where in a lasting
    study it would compete with itself.

    Args:
        rung: The folder in which the runs that compete leave their values.
        run: The run's name in it.
        value: What it has come to.
        mode: Whether values should be small (`"min"`) or large (`"max"`).
    """
    rung.mkdir(parents=True, exist_ok=True)
    own = rung / run
    finite = math.isfinite(value)
    if not finite:  # the worst, whatever its sign: it must not win against the others
        value = math.inf if mode == "min" else -math.inf
    with replacing(own) as path:
        path.write_text(repr(value), encoding="utf-8")
    if not finite:
        return False
    others = [
        float(path.read_text(encoding="utf-8"))
        for path in rung.iterdir()
        if path != own and not path.name.startswith(".")
    ]
    optuna = require("optuna", EXTRA)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION)
    with quiet():
        study = optuna.create_study(
            direction="minimize" if mode == "min" else "maximize", pruner=pruner
        )
    pruned = True
    for known in [*others, value]:  # the last one asked about is the run itself
        trial = study.ask()
        trial.report(known, step=1)
        pruned = trial.should_prune()
    return not pruned


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from telling of each study and trial on stderr."""
    logging = require("optuna.logging", EXTRA)
    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)
