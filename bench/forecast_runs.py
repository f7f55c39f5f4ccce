"""Make the small runs that forecasts are tried on: `tests/data/forecast/*.csv`.

Two comparisons by `cadence.compare`. The model, the text and the batches are those of
`examples/quickstart.py`. Three schedules of 1,200 updates to fit, each from two seeds, and four of
2,000 updates to predict. `val_loss` is the mean loss on a fixed part of the held-out text, after as
many updates as `step` says; `lr` is the rate of the update that comes next. Takes about eight
minutes on two cores:

    python bench/forecast_runs.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

import cadence as cd
from cadence.compare import Trial, TrialRun

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))
import quickstart  # noqa: E402

FITTED, PREDICTED = 1200, 2000
RAMP = cd.Warmup(60)
PLANS = {
    "constant": RAMP >> cd.Hold(),
    "drop": RAMP >> cd.Hold(740) >> cd.Constant(0.1),
    "cosine": RAMP >> cd.Cosine(end=0.1),
    "long_constant": RAMP >> cd.Hold(),
    "long_cosine": RAMP >> cd.Cosine(end=0.1),
    "long_wsd": RAMP >> cd.Hold() >> cd.Linear("20%", end=0),
    "long_sqrt": RAMP >> cd.Hold() >> cd.OneMinusSqrt("30%", end=0),
}
SEEDS = (0, 1)


def train(run: TrialRun) -> None:
    text, held_out, alphabet = quickstart.load_text()
    model = quickstart.CharGPT(alphabet)
    optimizer = torch.optim.AdamW(model.parameters(), lr=quickstart.PEAK_RATE)
    scheduler = run.scheduler(optimizer)
    fixed = quickstart.windows(held_out, 256, seed=0)
    every = 10 if run.total_steps == FITTED else 40
    for step in range(run.total_steps):
        batch = quickstart.windows(text, quickstart.BATCH, seed=run.seed * 1_000_000 + step)
        loss = model(*batch)
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if (step + 1) % every == 0:
            with torch.no_grad():
                run.log(step, val_loss=model(*fixed))


def write(trial: Trial, total: int, folder: Path) -> None:
    """One run as a small CSV; the log's `step` counts from 0, the file's the updates made."""
    rates = PLANS[trial.plan].resolve(total).values(total + 1, quickstart.PEAK_RATE)
    rows = zip(trial.steps + 1, trial.metrics["val_loss"], strict=True)
    lines = ["step,lr,val_loss", *(f"{s},{rates[s]:.6g},{loss:.5f}" for s, loss in rows)]
    path = folder / f"{trial.plan}_{trial.seed}.csv"
    temporary = path.with_suffix(".tmp")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "tests" / "data" / "forecast")
    parser.add_argument("--runs", type=Path, default=Path("evidence", "forecast"))
    parser.add_argument("names", nargs="*", default=list(PLANS))
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    for total in (FITTED, PREDICTED):
        named = {n: PLANS[n] for n in given.names if n.startswith("long_") == (total == PREDICTED)}
        if named:
            folder = given.runs / f"{total}-updates"
            options = {"total_steps": total, "metric": "val_loss", "folder": folder}
            result = cd.compare(train, named, seeds=SEEDS, **options)
            for trial in result.trials:
                write(trial, total, given.into)
            print(result.verdict())


if __name__ == "__main__":
    main()
