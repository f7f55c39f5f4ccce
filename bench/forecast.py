"""How good forecasts are, and what they cost: the tables of docs/forecast.md.

Accuracy on public loss curves (`tests/curves.py` says where they have to lie) and on the project's
own runs; then times. Run with `python bench/forecast.py`; quote the processor's time on a
machine that has other work.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import cadence as cd
from cadence import forecast

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
import curves  # noqa: E402

PAPER = {
    "25": {"momentum, paper": (0.9904, 0.0047, 0.0060, 0.0014, 0.0047),
           "multi-power, paper": (0.9975, 0.0039, 0.0046, 0.0012, 0.0040)},
    "100": {"momentum, paper": (0.9959, 0.0068, 0.0095, 0.0022, 0.0094),
            "multi-power, paper": (0.9982, 0.0038, 0.0051, 0.0013, 0.0058)},
}  # fmt: skip


def row(name: str, values: tuple[float, ...]) -> None:
    print(f"| {name} | " + " | ".join(f"{value:.4f}" for value in values) + " |")


def heading(what: str) -> None:
    print(f"\n| {what} | measured end | predicted | error | band | within |")
    print("|---|---|---|---|---|---|")


def ended(name: str, told: forecast.Forecast, end: float) -> None:
    held = "yes" if told.low[-1] <= end <= told.high[-1] else "NO"
    error = f"{told.final / end - 1:+.2%}"
    print(f"| {name} | {end:.4f} | {told.final:.4f} | {error} | ±{told.width:.2%} | {held} |")


def accuracy() -> None:
    for size in curves.SIZES:
        print(f"\n{size}M, mean of six held-out curves\n")
        print("| | R2 | MAE | RMSE | PredE | WorstE |\n|---|---|---|---|---|---|")
        for name, values in PAPER[size].items():
            row(name, values)
        row("multi-power, its authors' code", curves.published(size)[1])
        law, _ = curves.published(size)
        row(
            "the same parameters, here",
            curves.mean(curves.scores(size, curves.predicted(size, law))),
        )
        auto = curves.fitted(size)
        for name, one in auto.ensemble.items():
            row(f"{name}, here", curves.mean(curves.scores(size, curves.predicted(size, one))))
        row(f"auto ({auto.law.name})",
            curves.mean(curves.scores(size, curves.predicted(size, auto.law))))  # fmt: skip
        print(f"\n{auto.reason}; verdict: {auto.verdict}")
        heading("curve")
        for name in curves.HELD_OUT:
            steps, losses, _ = curves.measured(size, name)
            told = auto.at_rates(curves.rates(name)[: steps[-1] + 1], name)
            ended(name, told, losses[-1])


def small() -> None:
    folder = ROOT / "tests" / "data" / "forecast"
    names = [f"{plan}_{seed}" for plan in ("constant", "drop", "cosine") for seed in (0, 1)]
    law = forecast.fit([folder / f"{name}.csv" for name in names], loss="val_loss")
    print(f"\nSmall runs: {law.law.name}; {law.reason}\n{law.verdict}\n")
    heading("run")
    for path in sorted(folder.glob("long_*.csv")):
        run = cd.read_run(path, loss="val_loss")
        told, end = law.predict(run), run.loss[-1]
        ended(path.stem, told, end)
    plans = {path.stem[5:-2]: None for path in sorted(folder.glob("long_*.csv"))}
    sys.path.insert(0, str(ROOT / "bench"))
    import forecast_runs

    ranked = law.rank({name: forecast_runs.small()[2000][f"long_{name}"] for name in plans}, 2000)
    print(f"\n{ranked}")


def longer(what: str) -> None:
    """The public curves' protocol on the project's own longer runs."""
    folder = ROOT / "tests" / "data" / what
    logs = [folder / f"{name}_0.csv" for name in curves.LONGER_TRAINED]
    runs = {
        path.stem[:-2]: cd.read_run(path, loss="val_loss")
        for path in sorted(folder.glob("*.csv"))
        if path not in logs
    }
    auto = forecast.fit(logs, loss="val_loss")
    print(f"\n{what}, mean of {len(runs)} held-out ones; {auto.reason}\n{auto.verdict}\n")
    print("| | R2 | MAE | RMSE | PredE | WorstE |\n|---|---|---|---|---|---|")
    forecasts = {label: auto.predict(run, points=2000) for label, run in runs.items()}
    shown = [(name, name) for name in forecast.LAWS]
    for name, law in [*shown, (f"auto ({auto.law.name})", auto.law.name)]:
        found = {}
        for label, run in runs.items():
            told = forecasts[label]
            seen = run.steps >= told.steps[0]
            losses = np.interp(run.steps[seen], told.steps, told.laws[law])
            found[label] = curves.score(losses, run.loss[seen])
        row(name, curves.mean(found))
    heading("run")
    for name, run in runs.items():
        ended(name, forecasts[name], run.loss[-1])


def times() -> None:
    truth = forecast.MultiPower(L0=2.6, A=0.6, alpha=0.45, B=400.0, C=2.0, beta=0.6, gamma=0.6)
    steps = np.linspace(500, 23_999, 500).astype(int)
    ramp = cd.Warmup(2000)
    plans = (
        ramp >> cd.Hold(),
        ramp >> cd.Hold(8000) >> cd.Constant(0.3),
        ramp >> cd.Cosine(end=0.1),
    )
    runs = []
    for seed, plan in enumerate(plans):
        rates = plan.resolve(24_000).values(24_000, 3e-4)
        noise = np.exp(2e-3 * np.random.default_rng(seed).standard_normal(len(steps)))
        runs.append(
            forecast.logged(steps, truth.loss(rates, steps) * noise, rates, label=repr(plan))
        )

    def timed(what: str, call) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"| {what} | {cpu:.2f} s | {wall:.2f} s |")

    forecast.fit(runs[:2], law="momentum")  # imports SciPy
    print("\n| three runs of 500 points, 24,000 steps | processor | wall |\n|---|---|---|")
    for name in forecast.LAWS:
        timed(f"fit, {name}", lambda name=name: forecast.fit(runs, law=name))
    for name in forecast.LAWS:
        timed(
            f"fit, {name}, and a forecast with its band",
            lambda name=name: forecast.fit(runs, law=name).predict(plans[2], 48_000),
        )
    timed("fit, auto, and a forecast", lambda: forecast.fit(runs).predict(plans[2], 48_000))
    law = forecast.fit(runs, law="multi-power")
    law.predict(plans[2], 48_000)
    timed("optimize, wsd, 24,000 steps", lambda: law.optimize(24_000))
    timed("convex_bound, a million steps", lambda: cd.convex_bound(cd.wsd("5%", "20%"), 1_000_000))


if __name__ == "__main__":
    if curves.ABSENT:
        print(curves.ABSENT)
    else:
        accuracy()
    small()
    longer("forecast-longer")
    longer("forecast-mlp")
    times()
