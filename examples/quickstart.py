"""Train a small transformer twice, stop and resume one of the runs, and draw what happened.

The task is real: predict the next character of the Python standard library's own source. Both runs
begin with the same weights and see the same batches; only the learning rate differs.

1. A constant rate.
2. A plan: warm up for 5% of the run, hold, cool down over the last 30%. Half-way, this run is saved
   to a checkpoint, and a fresh process resumes it. This process trains the second half as well, so
   that the two can be compared bit for bit.

Run it with `python examples/quickstart.py`; it takes about a minute on two cores.
"""

import hashlib
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache, partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

import cadence as cd

UPDATES, HALF = 800, 400
PEAK_RATE = 3e-3
CONSTANT = cd.Constant(1.0)
PLAN = cd.Warmup("5%") >> cd.Hold() >> cd.OneMinusSqrt("30%", end=0)

WIDTH, LAYERS, HEADS, CONTEXT, BATCH = 64, 2, 4, 64, 16
VALIDATE_EVERY = 40
torch.set_num_threads(1)  # the matrices are small: sharing them out costs more than it saves
console = Console()


@cache
def load_text() -> tuple[Tensor, Tensor, int]:
    """Return the characters to train on, those to validate on, and the number of distinct ones."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    # Python source is almost pure ASCII; the few other characters share code 0.
    alphabet, tokens = np.unique(np.where(codes < 128, codes, 0), return_inverse=True)
    chunks = torch.from_numpy(tokens[: len(tokens) // 4096 * 4096]).view(-1, 4096)
    held_out = torch.arange(len(chunks)) % 20 == 0
    return chunks[~held_out].flatten(), chunks[held_out].flatten(), len(alphabet)


def windows(text: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw `count` windows of text, and the same windows one character on."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(text) - CONTEXT, (count, 1), generator=generator)
    index = starts + torch.arange(CONTEXT)
    return text[index], text[index + 1]


linear = partial(nn.Linear, bias=False)


class Block(nn.Module):
    """One transformer layer: attention, then a feed-forward net, both with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = linear(WIDTH, 3 * WIDTH), linear(WIDTH, WIDTH)
        self.feed = nn.Sequential(linear(WIDTH, 4 * WIDTH), nn.GELU(), linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, context, width) to the same shape."""
        heads = self.qkv(self.norm1(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.feed(self.norm2(x))


class CharGPT(nn.Module):
    """A character-level GPT of about 110,000 parameters."""

    def __init__(self, alphabet: int) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(alphabet, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH))
        for matrix in (p for p in self.parameters() if p.dim() == 2):
            nn.init.normal_(matrix, std=0.05)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of predicting each next character."""
        hidden = self.blocks(self.embed(tokens) + self.position.weight)
        return F.cross_entropy((hidden @ self.embed.weight.T).flatten(0, 1), targets.flatten())


class Run:
    """A model, its optimizer and its scheduler, with the history of what they did."""

    stateful = ("model", "optimizer", "scheduler")
    recorded = ("rates", "losses", "validation")

    def __init__(self, plan: cd.Schedule) -> None:
        self.text, self.held_out, alphabet = load_text()
        torch.manual_seed(0)
        self.model = CharGPT(alphabet)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=PEAK_RATE)
        self.scheduler = cd.Scheduler(self.optimizer, lr=plan, total_steps=UPDATES)
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.validation = {0: self.validate()}

    def train(self, until: int, progress: Progress, title: str) -> None:
        """Train up to the update `until`."""
        for step in progress.track(range(len(self.losses), until), description=title):
            # The batch is a function of the step, as the rate is: a checkpoint needs nothing else.
            loss = self.model(*windows(self.text, BATCH, seed=step))
            loss.backward()
            self.rates.append(self.optimizer.param_groups[0]["lr"])
            self.losses.append(loss.item())
            self.optimizer.step()
            self.scheduler.step()
            self.optimizer.zero_grad()
            if (step + 1) % VALIDATE_EVERY == 0:
                self.validation[step + 1] = self.validate()

    @torch.no_grad()
    def validate(self) -> float:
        """Return the mean loss on a fixed part of the held-out text."""
        return self.model(*windows(self.held_out, 256, seed=0)).item()

    def save(self, path: Path) -> None:
        """Write a checkpoint; the rename makes it whole or absent, never half-written."""
        states = {name: getattr(self, name).state_dict() for name in self.stateful}
        temporary = path.with_suffix(".tmp")
        torch.save(states | {name: getattr(self, name) for name in self.recorded}, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; the order of the three loads does not matter."""
        checkpoint = torch.load(path)
        for name in self.stateful:
            getattr(self, name).load_state_dict(checkpoint[name])
        for name in self.recorded:
            setattr(self, name, checkpoint[name])

    def fingerprint(self) -> str:
        """Hash every bit of every rate, every loss and every parameter."""
        numbers = [self.rates, self.losses, *(p.tolist() for p in self.model.parameters())]
        return hashlib.sha256(repr(numbers).encode()).hexdigest()[:16]


def progress_bar() -> Progress:
    """Return the bar that both processes show."""
    name, count = TextColumn("{task.description:<33}"), TextColumn("{task.completed:>3.0f} updates")
    return Progress(name, BarColumn(), count, TimeElapsedColumn(), console=console)


def draw(constant: Run, planned: Run, path: Path) -> None:
    """Draw the rates above and the losses below."""
    orange, blue, grey = "#D55E00", "#0072B2", "#666666"  # distinct to any colour vision
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(7, 5.2), dpi=200, layout="constrained")
        above, below = figure.subplots(2, sharex=True, height_ratios=(2, 3))
        curve = 1e3 * PEAK_RATE * PLAN.resolve(UPDATES).values()
        above.plot(curve, color="#BBBBBB", lw=4, dashes=(2, 1), label="the plan, before the run")
        for run, color, va, name in (
            (constant, orange, "bottom", "constant rate"),
            (planned, blue, "top", "warm up, hold, cool down"),
        ):
            above.plot(1e3 * np.array(run.rates), color=color, label=name)
            smooth = np.convolve(run.losses, np.ones(25) / 25, "valid")
            below.plot(np.arange(len(smooth)) + 12, smooth, color=color, lw=0.8, alpha=0.5)
            below.plot(*zip(*run.validation.items(), strict=True), "o-", color=color, ms=3.5)
            last = run.validation[UPDATES]
            below.plot(UPDATES, last, "o", color=color, ms=3.5, clip_on=False)
            below.text(1.01 * UPDATES, last, f"{last:.3f}", color=color, va=va, weight="bold")
            below.set_ylim(last - 0.15, 3.2)
        for axes in (above, below):
            axes.axvline(HALF, color=grey, lw=0.8, ls=":")
        above.text(1.02 * HALF, 0.2, "stopped, saved, resumed\nin a fresh process", color=grey)
        above.set(ylabel="learning rate (10$^{-3}$)", ylim=(0, 1.1e3 * PEAK_RATE))
        above.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.07, 0), handlelength=3)
        below.plot([], [], "o-", color=grey, ms=3.5, label="validation")
        below.plot([], [], color=grey, lw=0.8, label="training, mean of 25 updates")
        below.legend(frameon=False, loc="upper right", handlelength=3)
        below.set(xlabel="optimizer update", ylabel="loss (nats per character)", xlim=(0, UPDATES))
        figure.savefig(path)


def report(constant: Run, planned: Run) -> Table:
    """Tabulate the final validation losses."""
    table = Table(title=f"After {UPDATES:,} updates from the same seed")
    table.add_column("plan")
    for column in ("last rate", "validation loss", "difference"):
        table.add_column(column, justify="right")
    reference = constant.validation[UPDATES]
    for plan, run in ((CONSTANT, constant), (PLAN, planned)):
        loss = run.validation[UPDATES]
        gap = f"{loss - reference:+.3f}" if run is planned else ""
        table.add_row(repr(plan), f"{run.rates[-1]:.2g}", f"{loss:.3f}", gap)
    return table


def resume(checkpoint: str, result: str) -> None:
    """Train the second half of the planned run: what the fresh process does."""
    run = Run(PLAN)
    run.load(Path(checkpoint))
    with progress_bar() as progress:
        run.train(UPDATES, progress, "plan, resumed in a fresh process")
    run.save(Path(result))


def main() -> None:
    """Train, stop, resume, compare, draw."""
    constant, planned, resumed = Run(CONSTANT), Run(PLAN), Run(PLAN)
    size = sum(p.numel() for p in planned.model.parameters())
    console.print(f"model  {size:,} parameters, reading {len(planned.text):,} characters of Python")
    console.print(f"plan   {PLAN}")
    console.print(f"       {PLAN.resolve(UPDATES)}\n")

    with tempfile.TemporaryDirectory() as folder:
        checkpoint, result = Path(folder, "half-way.pt"), Path(folder, "resumed.pt")
        with progress_bar() as progress:
            constant.train(UPDATES, progress, "constant rate")
            planned.train(HALF, progress, "plan, up to the checkpoint")
            planned.save(checkpoint)
            planned.train(UPDATES, progress, "plan, going on without a stop")
        command = [sys.executable, __file__, "resume", str(checkpoint), str(result)]
        subprocess.run(command, check=True)
        resumed.load(result)

    console.print("\nFingerprint of every rate, loss and parameter:")
    console.print(f"  without a stop  {planned.fingerprint()}")
    console.print(f"  resumed         {resumed.fingerprint()}")
    if planned.fingerprint() != resumed.fingerprint():
        sys.exit("The resumed run differs from the one without a stop.")
    console.print("[green]The same, bit for bit.[/]\n")

    picture = Path("quickstart.png")
    draw(constant, resumed, picture)
    console.print(report(constant, resumed))
    console.print(f"The picture: {picture.resolve()}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["resume"]:
        resume(*sys.argv[2:])
    else:
        main()
