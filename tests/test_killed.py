"""A run that is killed again and again: real processes, real kills, one undisturbed run."""

import json
import math
import multiprocessing
import signal
import sys
import time
import warnings

import numpy as np
import pytest
import torch

import cadence as cd

pytestmark = pytest.mark.slow

ATTEMPTS = 400
KILLS = 50
EVERY = 4
"""A checkpoint after so many attempts."""

OVERFLOWS = {0, 1, 37, 38, 119, 200, 299, 350}
ADJUSTED = {
    60: {"factor": 0.8},
    150: {"level": 0.5, "group": "head"},
    152: {"factor": 0.7, "key": "weight_decay"},
    290: {"level": cd.absolute(0.002), "group": 0},
}

# Each life of the run is forked from a process that has imported what takes long.
forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload(["torch._dynamo", "cadence.scheduler", "pytest"])


class Run:
    """A model in training, and where it is."""

    def __init__(self):
        torch.manual_seed(0)
        body, head = torch.nn.Linear(8, 16), torch.nn.Linear(16, 1)
        self.model = torch.nn.Sequential(body, torch.nn.Tanh(), torch.nn.Dropout(0.1), head)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": body.parameters(), "name": "body", "lr": 0.01},
                {"params": head.parameters(), "name": "head", "lr": 0.003},
            ],
            fused=True,
        )
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8, growth_interval=30)
        self.scheduler = cd.Scheduler(
            self.optimizer,
            lr=cd.Warmup("5%") >> cd.Cosine(end=0.1),
            weight_decay=cd.Linear(end=0.1),
            feedback=cd.Plateau(patience=1, factor=0.8, cooldown=1, floor=0.02, ema=0.8),
            total_steps=ATTEMPTS,
        ).follow()
        self.done = 0

    def attempt(self):
        """An update of two micro-batches, which AMP may skip; what it saw, to the bit."""
        if self.done in ADJUSTED:
            self.scheduler.adjust(**ADJUSTED[self.done], reason=f"by hand at {self.done}")
        groups, clock, losses = self.optimizer.param_groups, self.scheduler.last_epoch, []
        used = [group[key].hex() for group in groups for key in ("lr", "weight_decay")]
        for _ in range(2):
            x = torch.randn(16, 8)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = torch.nn.functional.mse_loss(self.model(x), x.sum(1, keepdim=True)) / 2
            losses.append(loss.item())
            spoilt = loss * math.inf if self.done in OVERFLOWS else loss
            self.scaler.scale(spoilt).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        made = self.scheduler.last_epoch > clock
        if self.done % 5 == 4:
            self.scheduler.observe(sum(losses))
        self.done += 1
        return [made, used, sum(losses).hex(), self.scaler.get_scale()]

    def parts(self):
        return {name: vars(self)[name] for name in ("model", "optimizer", "scaler", "scheduler")}

    def save(self, path):
        saved = {name: part.state_dict() for name, part in self.parts().items()}
        saved |= {"rng": torch.get_rng_state(), "done": self.done}
        partial = path.with_suffix(".partial")
        torch.save(saved, partial)
        partial.replace(path)

    def load(self, path, life, forget):
        """Bring the parts back, in another order in each life; for a control, but for one."""
        saved, parts = torch.load(path, weights_only=True), self.parts()
        for name in np.random.default_rng(life).permutation(list(parts)):
            if name != forget:
                parts[name].load_state_dict(saved[name])
        if forget != "rng":
            torch.set_rng_state(saved["rng"])
        self.done = saved["done"]


def train(folder, life, last, forget):
    """One life of the run: from its checkpoint on, until it ends or is killed."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    run, checkpoint = Run(), folder / "checkpoint.pt"
    if checkpoint.exists():
        run.load(checkpoint, life, forget)
    with (folder / f"log.{life}").open("wb", buffering=0) as log:
        while run.done < ATTEMPTS:
            if run.done == ATTEMPTS - 1 and not last:
                time.sleep(60)  # the parent is late; the end is not for this life
                sys.exit("was not killed")
            log.write(json.dumps([run.done, run.attempt()]).encode() + b"\n")
            if run.done % EVERY == 0:
                run.save(checkpoint)
    weights = [value.hex() for p in run.model.parameters() for value in p.flatten().tolist()]
    end = {"weights": weights, "scheduler": run.scheduler.state_dict()}
    (folder / "end.json").write_text(json.dumps(end))


def lines(folder, life):
    """What a life has logged, but for a line that the kill has torn."""
    log = folder / f"log.{life}"
    text = log.read_text() if log.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def wait_for(process, folder, life, attempt):
    """Until this life has made that attempt, or a later one."""
    until = time.monotonic() + 60
    while not any(made >= attempt for made, _ in lines(folder, life)):
        assert process.is_alive(), "it ended by itself"
        assert time.monotonic() < until, "it hangs"
        time.sleep(0.001)


def killed(folder, kills, forget=None):
    """Run to the end, killed that often on the way: what each life logged, and the end."""
    chance, codes = np.random.default_rng(kills), []
    points = np.sort(chance.choice(np.arange(1, ATTEMPTS - 1), kills, replace=False))
    for life, point in enumerate([*points, None]):
        last = point is None
        process = forked.Process(target=train, args=(folder, life, last, forget), daemon=True)
        process.start()
        if not last:
            wait_for(process, folder, life, point)
            # About as long as an attempt and a checkpoint take: the kill may fall into either.
            time.sleep(chance.uniform(0, 0.006))
            process.kill()
        process.join()
        codes.append(process.exitcode)
    assert codes == [-signal.SIGKILL] * kills + [0]
    end = json.loads((folder / "end.json").read_text())
    return [lines(folder, life) for life in range(kills + 1)], end


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What every attempt saw in a run that nobody disturbed, and its end."""
    [logged], end = killed(tmp_path_factory.mktemp("undisturbed"), 0)
    assert [attempt for attempt, _ in logged] == list(range(ATTEMPTS))
    return [saw for _, saw in logged], end


def test_the_run_has_everything(undisturbed):
    """Skipped updates, decisions and changes by hand all happen, and move the rates."""
    seen, end = undisturbed
    state = end["scheduler"]
    assert {i for i, (made, *_) in enumerate(seen) if not made} == OVERFLOWS
    assert state["step"] == ATTEMPTS - len(OVERFLOWS)
    assert len(state["decisions"]) >= 5
    assert len(state["adjustments"]) == len(ADJUSTED)
    assert len({tuple(used) for _, used, *_ in seen}) > ATTEMPTS / 2


def test_killed_fifty_times(undisturbed, tmp_path):
    """Every update of every life used the rates of the undisturbed run, and all else is the same.

    Rates, losses and weights are compared to the bit, decisions and adjustments as a whole.
    """
    lives, end = killed(tmp_path, KILLS)
    seen, expected = undisturbed
    assert all(lives)
    logged = [line for life in lives for line in life]
    assert all(saw == seen[attempt] for attempt, saw in logged)
    assert {attempt for attempt, _ in logged} == set(range(ATTEMPTS))
    assert len(logged) > ATTEMPTS  # work was lost, and done again
    for record in ("decisions", "adjustments"):
        assert end["scheduler"][record] == expected["scheduler"][record]
    assert end == expected


@pytest.mark.parametrize("part", ["model", "optimizer", "scaler", "scheduler", "rng"])
def test_a_part_that_is_forgotten_is_noticed(part, undisturbed, tmp_path):
    """The comparison above can fail: it takes every part of the state to be the same run."""
    lives, _ = killed(tmp_path, 2, forget=part)
    assert any(saw != undisturbed[0][attempt] for life in lives for attempt, saw in life)
