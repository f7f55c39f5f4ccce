"""What the processes of a distributed run must agree on."""

from __future__ import annotations

import math

import torch
from torch import distributed

__all__ = ["REDUCE", "agreed", "of_rank0"]

REDUCE = ("mean", "max", "rank0", None)


def agreed(value: float, how: str | None) -> float:
    """One value for all processes of the default group, whatever each of them has.

    Every process gathers all the values and reduces them in one order, so that all get the same
    to the last bit. A process that is gone raises when the group's own timeout has passed.
    """
    if how is None or not _together():
        return value
    own = torch.tensor([value], dtype=torch.float64, device=_device())
    gathered = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(gathered, own)
    values = [one.item() for one in gathered]
    if how == "rank0":
        return values[0]
    if how == "max":
        return math.nan if any(map(math.isnan, values)) else max(values)
    return math.fsum(values) / len(values)


def of_rank0(value: float) -> float:
    """The value of the default group's first process, for all of them."""
    if not _together():
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=_device())
    distributed.broadcast(shared, 0)
    return shared.item()


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _device() -> torch.device:
    """Where the default group exchanges tensors."""
    if "nccl" in distributed.get_backend() and "cpu" not in distributed.get_backend():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
