"""Make the small runs that forecasts are tried on: `tests/data/forecast/*.csv`.

The model, the text and the batches are those of `examples/quickstart.py`. Three schedules of 1,200
updates to fit, each from two seeds, and four of 2,000 updates to predict. `val_loss` is the mean
loss on a fixed part of the held-out text, after as many updates as `step` says; `lr` is the rate of
the update that comes next. Takes about eight minutes on two cores:

    python bench/forecast_runs.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

import cadence as cd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))
import quickstart  # noqa: E402

FITTED, PREDICTED = 1200, 2000
RAMP = cd.Warmup(60)
PLANS = {
    "constant": (RAMP >> cd.Hold(), FITTED),
    "drop": (RAMP >> cd.Hold(740) >> cd.Constant(0.1), FITTED),
    "cosine": (RAMP >> cd.Cosine(end=0.1), FITTED),
    "long_constant": (RAMP >> cd.Hold(), PREDICTED),
    "long_cosine": (RAMP >> cd.Cosine(end=0.1), PREDICTED),
    "long_wsd": (RAMP >> cd.Hold() >> cd.Linear("20%", end=0), PREDICTED),
    "long_sqrt": (RAMP >> cd.Hold() >> cd.OneMinusSqrt("30%", end=0), PREDICTED),
}
SEEDS = (0, 1)


def train(plan: cd.Schedule, total: int, seed: int, every: int) -> list[tuple[int, float, float]]:
    text, held_out, alphabet = quickstart.load_text()
    torch.manual_seed(seed)
    model = quickstart.CharGPT(alphabet)
    optimizer = torch.optim.AdamW(model.parameters(), lr=quickstart.PEAK_RATE)
    scheduler = cd.Scheduler(optimizer, lr=plan, total_steps=total)
    fixed = quickstart.windows(held_out, 256, seed=0)
    rows = []
    for step in range(total):
        loss = model(*quickstart.windows(text, quickstart.BATCH, seed=seed * 1_000_000 + step))
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if (step + 1) % every == 0:
            with torch.no_grad():
                rows.append((step + 1, optimizer.param_groups[0]["lr"], model(*fixed).item()))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "tests" / "data" / "forecast")
    parser.add_argument("names", nargs="*", default=list(PLANS))
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        plan, total = PLANS[name]
        for seed in SEEDS:
            rows = train(plan, total, seed, every=10 if total == FITTED else 40)
            path = given.into / f"{name}_{seed}.csv"
            lines = ["step,lr,val_loss", *(f"{s},{lr:.6g},{loss:.5f}" for s, lr, loss in rows)]
            temporary = path.with_suffix(".tmp")
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
            temporary.replace(path)
            print(f"{path.name}: {rows[-1][2]:.4f}", flush=True)


if __name__ == "__main__":
    main()
