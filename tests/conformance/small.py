"""A small model, its data and its optimizer, and what that is told at each of its updates."""

import os

import torch
from torch.utils.data import DataLoader, TensorDataset

from cadence import Horizon, Linear, Warmup

UPDATES = 8


class Net(torch.nn.Module):
    """A model that returns its loss, as Transformers wants it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, x, y):
        logits = self.layer(x)
        return {"loss": torch.nn.functional.mse_loss(logits, y), "logits": logits}


def data(size):
    torch.manual_seed(1)
    x = torch.randn(size, 4)
    return TensorDataset(x, x.sum(dim=1, keepdim=True))


def batches(count=UPDATES):
    return DataLoader(data(2 * count), batch_size=2)


def optimizer_for(model):
    """Two groups with rates of their own."""
    weight, bias = model.parameters()
    groups = [{"params": [weight]}, {"params": [bias], "lr": 0.02}]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def named(model):
    """The same, with names."""
    optimizer = optimizer_for(model)
    for group, name in zip(optimizer.param_groups, BASES, strict=True):
        group["name"] = name
    return optimizer


BASES = {"body": {"lr": 0.1, "momentum": 0.9}, "head": {"lr": 0.02, "momentum": 0.9}}
PLANS = {"lr": Warmup(2) >> Linear(end=0.1), "momentum": Linear(start=1, end=0.5)}


def planned(updates=UPDATES, plans=PLANS, bases=BASES, **horizon):
    """What each update of a run has to use, as the logs call it."""
    resolved = {key: plan.resolve(Horizon(updates, **horizon)) for key, plan in plans.items()}
    return [
        {
            f"{key}/{name}": plan(step, base[key])
            for key, plan in resolved.items()
            for name, base in bases.items()
        }
        for step in range(updates)
    ]


def used(seen, names=BASES):
    """What was recorded, as the logs call it."""
    keys = [f"{key}/{name}" for name in names for key in KEYS]
    return [dict(zip(keys, row, strict=True)) for row in seen]


KEYS = "lr", "momentum"


def record(optimizer):
    """What the optimizer is told at each of its updates, as a list that grows."""
    seen = []

    def note(optimizer, *_):
        seen.append([float(group[key]) for group in optimizer.param_groups for key in KEYS])

    optimizer.register_step_pre_hook(note)
    return seen


class Rows(torch.utils.data.Dataset):
    """The data as the Trainer wants it."""

    def __init__(self, size):
        self.data = data(size)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        x, y = self.data[index]
        return {"x": x, "y": y}


def reset():
    """Accelerate keeps its state for the whole process: begin anew."""
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def join(rank, folder):
    """Make this process one of two."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
