"""Fitting laws to runs, and choosing among the laws by schedules that they were not shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cadence import _checks
from cadence.forecast._laws import LAWS, Momentum
from cadence.forecast._logged import Logged, Names, all_logged
from cadence.forecast._predict import Forecaster, LeftOut, left_out
from cadence.forecast._solve import solve

__all__ = ["fit"]

NOISE = 5e-4
"""Laws whose errors differ by less, as fractions of the loss, are equally good: that much comes
from the seed alone (Luo et al. 2025: standard deviation 0.0007 to 0.001 at losses near 3)."""


def fit(
    runs: Any,
    law: str = "auto",
    *,
    loss: str | None = None,
    rate: str | None = None,
    warmup: int | None = None,
) -> Forecaster:
    """Fit a law of the loss to one to three logged runs, or more.

    Best are a run at a constant rate and one that drops its rate at once. Runs of one schedule,
    from several seeds, count as one where the laws are judged.

    Args:
        runs: One run or several, of one model on one set of data: what :func:`cadence.read_run`
            returns, paths of logs or of the folder of a comparison, or what
            :func:`cadence.forecast.logged` makes of arrays; a mapping gives them names.
        law: `"momentum"`, `"multi-power"` or `"functional"`; or `"auto"`, which leaves out each
            schedule in turn, predicts it from the others, and takes the law that errs least; of
            laws within 0.05 % of the loss of that, the first. With one schedule, or others of which
            none can be left out, it cannot judge, and takes the law with the fewest parameters.
        loss: The key of the loss in the logs, such as `"val_loss"`.
        rate: The key of the rate in the logs.
        warmup: Steps of a linear warm-up from 0 that the logs leave out.

    Raises:
        ArgumentError: There is no run, or one has too few losses or losses that are not positive.
        LogError: A log cannot be read, or holds no rates.

    >>> import numpy as np
    >>> from cadence.forecast import Momentum, logged
    >>> truth = Momentum(L0=2.0, A=0.4, alpha=0.5, C=2.0, decay=0.99)
    >>> steps, high = np.arange(100, 20000, 100), np.full(20000, 1e-3)
    >>> low = np.where(np.arange(20000) < 12000, 1e-3, 1e-4)
    >>> runs = [logged(steps, truth.loss(rates, steps), rates) for rates in (high, low)]
    >>> found = fit(runs, law="momentum")
    >>> round(found.law.L0, 2), round(found.law.alpha, 2)
    (2.0, 0.5)
    """
    _checks.choice("fit", "law", law, ["auto", *LAWS])
    logs = all_logged(runs, names := Names(loss, rate, warmup))
    groups = _grouped(logs)
    errors: dict[str, tuple[LeftOut, ...]] = {}
    if law == "auto":
        errors = {name: out for name, kind in LAWS.items() if (out := left_out(kind, groups))}
    means = {name: float(np.mean([one.mean for one in out])) for name, out in errors.items()}
    if law != "auto":
        chosen, reason = LAWS[law], "as asked for"
    elif means:
        least = min(means.values())
        chosen = LAWS[next(name for name, mean in means.items() if mean <= least + NOISE)]
        told = ", ".join(f"{name} {mean:.2%}" for name, mean in means.items())
        reason = f"errors on left-out schedules: {told}"
    else:
        chosen = Momentum
        reason = "cannot be judged, since no schedule can be left out; it has the fewest parameters"
    return Forecaster(logs, groups, solve(chosen, logs), reason, errors, names)


def _grouped(logs: Sequence[Logged]) -> list[list[Logged]]:
    """The runs by their schedules: to leave out one seed of two would judge nothing."""
    groups: list[list[Logged]] = []
    for log in logs:
        same = next((group for group in groups if group[0].same_schedule(log)), None)
        if same is None:
            groups.append([log])
        else:
            same.append(log)
    return groups
