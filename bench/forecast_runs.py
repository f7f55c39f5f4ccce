"""Make the runs that forecasts are tried on: the folders `forecast*` of `tests/data`.

Comparisons by `cadence.compare`. The text is that of `examples/quickstart.py`, and so are the
transformer and the batches.

- `forecast`: three schedules of 1,200 updates to fit, each from two seeds, and four of 2,000 to
  predict.
- `forecast-longer`: the nine schedules of the public curves at a quarter of their length, from one
  seed. They were made after everything in `cadence.forecast` had been chosen, to try it on; the
  least band of small nets was widened after that.
- `forecast-mlp`: the same schedules for a net without attention, made after that.

`val_loss` is the mean loss on a fixed part of the held-out text, after as many updates as `step`
says; `lr` is the rate of the update that comes next. On two cores the sets take about five, fifteen
and three minutes:

    python bench/forecast_runs.py [forecast] [forecast-longer] [forecast-mlp]
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

import cadence as cd
from cadence._files import replacing
from cadence.compare import Trial, TrialRun

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))
import quickstart  # noqa: E402

Plans = dict[int, dict[str, cd.Schedule]]
"""Plans by the length of their runs and by name."""


def small() -> Plans:
    ramp = cd.Warmup(60)
    return {
        1200: {
            "constant": ramp >> cd.Hold(),
            "drop": ramp >> cd.Hold(740) >> cd.Constant(0.1),
            "cosine": ramp >> cd.Cosine(end=0.1),
        },
        2000: {
            "long_constant": ramp >> cd.Hold(),
            "long_cosine": ramp >> cd.Cosine(end=0.1),
            "long_wsd": ramp >> cd.Hold() >> cd.Linear("20%", end=0),
            "long_sqrt": ramp >> cd.Hold() >> cd.OneMinusSqrt("30%", end=0),
        },
    }


def longer() -> Plans:
    """The peak is that of the quickstart, with which these nets train best, not the curves'."""
    ramp = cd.Warmup(540)
    held = ramp >> cd.Hold(1460)
    return {
        6000: {
            "cosine_6000": ramp >> cd.Cosine(end=0.1),
            "constant_6000": ramp >> cd.Hold(),
            "wsd_6000": ramp >> cd.Hold(4460) >> cd.Exponential(1000, end=0.1),
            "wsdld_6000": ramp >> cd.Hold(4460) >> cd.Linear(1000, end=0.1),
        },
        4000: {
            "two_stage_30": held >> cd.Constant(0.3),
            "two_stage_10": held >> cd.Constant(0.1),
            "two_stage_60": held >> cd.Constant(0.6),
        },
        18000: {
            "cosine_18000": ramp >> cd.Cosine(end=0.1),
            "constant_18000": ramp >> cd.Hold(),
        },
    }


class Perceptron(nn.Module):
    """Each character from the 8 before it by one hidden layer (Bengio et al., 2003)."""

    context, width, hidden = 8, 16, 128

    def __init__(self, alphabet: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(alphabet, self.width)
        self.first = nn.Linear(self.context * self.width, self.hidden)
        self.last = nn.Linear(self.hidden, alphabet)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of predicting each character that has 8 before it."""
        seen = self.embed(tokens.unfold(1, self.context, 1)).flatten(2)
        told = self.last(torch.relu(self.first(seen)))
        return functional.cross_entropy(
            told.flatten(0, 1), targets[:, self.context - 1 :].flatten()
        )


SETS: dict[str, tuple[Plans, tuple[int, ...], type[nn.Module]]] = {
    "forecast": (small(), (0, 1), quickstart.CharGPT),
    "forecast-longer": (longer(), (0,), quickstart.CharGPT),
    "forecast-mlp": (longer(), (0,), Perceptron),
}
EVERY = {1200: 10, 2000: 40}
"""Updates between two losses, by the length of the run; else a run has 240."""


def train(run: TrialRun, net: type[nn.Module]) -> None:
    text, held_out, alphabet = quickstart.load_text()
    model = net(alphabet)
    optimizer = torch.optim.AdamW(model.parameters(), lr=quickstart.PEAK_RATE)
    scheduler = run.scheduler(optimizer)
    fixed = quickstart.windows(held_out, 256, seed=0)
    every = EVERY.get(run.total_steps) or run.total_steps // 240
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


def write(trial: Trial, plan: cd.Schedule, total: int, path: Path) -> None:
    """One run as a small CSV; the log's `step` counts from 0, the file's the updates made."""
    rates = plan.resolve(total).values(total + 1, quickstart.PEAK_RATE)
    rows = zip(trial.steps + 1, trial.metrics["val_loss"], strict=True)
    lines = ["step,lr,val_loss", *(f"{s},{rates[s]:.6g},{loss:.5f}" for s, loss in rows)]
    with replacing(path) as unfinished:
        unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "tests" / "data")
    parser.add_argument("--runs", type=Path, default=Path("evidence", "forecast"))
    parser.add_argument("sets", nargs="*", choices=SETS)
    given = parser.parse_args()
    for name in given.sets or SETS:
        lengths, seeds, net = SETS[name]
        folder = given.into / name
        folder.mkdir(parents=True, exist_ok=True)
        for total, plans in lengths.items():
            runs = given.runs / name / f"{total}-updates"
            options = {"total_steps": total, "metric": "val_loss", "folder": runs}
            result = cd.compare(partial(train, net=net), plans, seeds=seeds, **options)
            for trial in result.trials:
                path = folder / f"{trial.plan}_{trial.seed}.csv"
                write(trial, plans[trial.plan], total, path)
            print(result)


if __name__ == "__main__":
    main()
