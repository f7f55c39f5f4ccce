"""Compare four schedules on a small transformer, and say which is better and how sure that is.

The task is that of `quickstart.py`: predict the next character of the Python standard library's own
source. Each plan is trained with three seeds; for one seed, all plans begin with the same weights
and see the same batches. Every run is written to `evidence` as it goes: interrupt the script, start
it again, and it goes on.

Run it with `python examples/compare.py`; it takes about two minutes on two cores. With `LONG=1` in
the environment it trains 2,000 updates as well, where the order may be another: what is better
depends on how far the training goes.
"""

import os
from pathlib import Path

import torch
from quickstart import BATCH, PEAK_RATE, CharGPT, load_text, windows

import cadence as cd
from cadence.compare import TrialRun

SEEDS = 3
VALIDATE_EVERY = 20
PLANS = {
    "constant": cd.Constant(1.0),
    "cosine": cd.Warmup("5%") >> cd.Cosine(end=0),
    "wsd": cd.Warmup("5%") >> cd.Hold() >> cd.OneMinusSqrt("20%", end=0),
    "one-cycle": cd.one_cycle().lr,
}


def train(run: TrialRun) -> None:
    """Train the transformer of the quickstart under one plan."""
    text, held_out, alphabet = load_text()
    fixed = windows(held_out, 256, seed=0)
    model = CharGPT(alphabet)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE)
    scheduler = run.scheduler(optimizer)
    for step in range(run.total_steps):
        # The batch is a function of the seed and the step, whatever the plan.
        loss = model(*windows(text, BATCH, seed=run.seed * 1_000_000 + step))
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        run.log(step, loss=loss)
        if (step + 1) % VALIDATE_EVERY == 0 or step + 1 == run.total_steps:
            with torch.no_grad():
                run.log(step, val_loss=model(*fixed))
        if run.should_stop:
            break


def main() -> None:
    """Compare, print the verdict, write the report."""
    lengths = [600, 2000] if os.environ.get("LONG", "0") not in ("", "0") else [600]
    for total_steps in lengths:
        folder = Path("evidence", f"{total_steps}-updates")
        result = cd.compare(
            train,
            PLANS,
            seeds=SEEDS,
            total_steps=total_steps,
            metric="val_loss",
            folder=folder,
            title=f"A character transformer after {total_steps:,} updates",
        )
        verdict = result.verdict()
        page = result.report(folder, verdict=verdict)
        print(result, verdict, f"The report: {page.resolve()}", sep="\n\n")


if __name__ == "__main__":
    main()
