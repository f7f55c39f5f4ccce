"""Compiled and captured steps: graphs and waiting for the device, torch's schedulers against ours.

The first table counts: graphs that `torch.compile(optimizer.step)` makes in 1,000 updates, whether
it gives up recompiling, and how often 1,000 scheduler steps make the host wait for the device (on
a GPU as CUDA reports it, else how often a tensor's value is read). The others need a GPU and time
whole updates in a CUDA graph, and 100 groups of tensor rates.

Run with `make bench` or `python bench/captured.py [--steps N] [--backend eager]`. Inductor needs a
C++ compiler and two minutes; the backend "eager" takes floats as inputs of a graph where Inductor
makes one for each.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch._dynamo.utils import counters
from torch.optim import lr_scheduler as theirs
from torch.utils._python_dispatch import TorchDispatchMode

import cadence as cd
from cadence import lr_scheduler as drop_in

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
CYCLE = cd.one_cycle()

Make = Callable[[torch.optim.Optimizer, int], Any]


class Contender(NamedTuple):
    """A scheduler, and how the optimizer's values are given to it."""

    name: str
    make: Make | None
    tensors: bool


def ours(**plans: Any) -> Make:
    return lambda optimizer, total: cd.Scheduler(optimizer, total_steps=total, **plans)


def of_cosine(module: Any) -> Make:
    return module.CosineAnnealingLR


def of_cycle(module: Any) -> Make:
    return lambda optimizer, total: module.OneCycleLR(optimizer, 0.1, total_steps=total + 1)


COSINE = [
    Contender("no scheduler", None, tensors=False),
    Contender("torch CosineAnnealingLR, floats", of_cosine(theirs), tensors=False),
    Contender("torch CosineAnnealingLR, tensors", of_cosine(theirs), tensors=True),
    Contender("drop-in CosineAnnealingLR, tensors", of_cosine(drop_in), tensors=True),
    Contender("Scheduler, floats", ours(lr=cd.Cosine()), tensors=False),
    Contender("Scheduler, tensors", ours(lr=cd.Cosine()), tensors=True),
    Contender("Scheduler, capturable", ours(lr=cd.Cosine(), capturable=True), tensors=False),
]


def cycles(second: str, *, capturable: bool) -> list[Contender]:
    plans = {"lr": CYCLE.lr, second: CYCLE.momentum}
    rows = [
        Contender("torch OneCycleLR, tensors", of_cycle(theirs), tensors=True),
        Contender("drop-in OneCycleLR, tensors", of_cycle(drop_in), tensors=True),
        Contender("Scheduler one_cycle(), tensors", ours(**plans), tensors=True),
    ]
    if capturable:
        make = ours(**plans, capturable=True)
        rows.append(Contender("Scheduler one_cycle(), capturable", make, tensors=False))
    return rows


def adamw(groups: int = 1, *, tensors: bool) -> torch.optim.Optimizer:
    rate: Any = torch.tensor(0.1, device=DEVICE) if tensors else 0.1
    return torch.optim.AdamW(parameter_groups(groups), lr=rate, capturable=GPU)


def sgd(groups: int = 1, *, tensors: bool) -> torch.optim.Optimizer:
    rate: Any = torch.tensor(0.1, device=DEVICE) if tensors else 0.1
    return torch.optim.SGD(parameter_groups(groups), lr=rate, momentum=0.9)


def parameter_groups(groups: int) -> list[dict[str, Any]]:
    return [{"params": [torch.nn.Parameter(torch.ones(8, device=DEVICE))]} for _ in range(groups)]


def give_gradients(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)


def graphs(
    build: Callable[..., torch.optim.Optimizer], contender: Contender, steps: int, backend: str
) -> tuple[int, bool]:
    """Graphs made for the optimizer's step, and whether the compiler has given up."""
    torch.compiler.reset()
    counters.clear()
    optimizer = build(tensors=contender.tensors)
    scheduler = None if contender.make is None else contender.make(optimizer, steps)
    update = torch.compile(optimizer.step, backend=backend)
    for _ in range(steps):
        give_gradients(optimizer)
        update()
        if scheduler is not None:
            scheduler.step()
    given_up = any("recompile limit exceeded" in why for why in counters["unimplemented"])
    return counters["stats"]["unique_graphs"], given_up


class Reads(TorchDispatchMode):
    """Counts the operations that hand a tensor's value to the host."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        self.count += func.overloadpacket.__name__ == "_local_scalar_dense"
        return func(*args, **(kwargs or {}))


def waits(
    build: Callable[..., torch.optim.Optimizer], contender: Contender, steps: int
) -> float | None:
    """How often 1,000 scheduler steps wait for the device."""
    if contender.make is None:
        return None
    optimizer = build(tensors=contender.tensors)
    scheduler = contender.make(optimizer, 2 * steps)
    give_gradients(optimizer)
    optimizer.step()
    scheduler.step()
    if not GPU:
        with Reads() as reads:
            for _ in range(steps):
                scheduler.step()
        return 1_000 * reads.count / steps
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        for _ in range(steps):
            scheduler.step()
        torch.cuda.set_sync_debug_mode("default")
    return 1_000 * sum("synchroniz" in str(one.message) for one in caught) / steps


def count_table(steps: int, backend: str) -> Table:
    table = Table(
        title=f"{steps:,} compiled updates on {DEVICE}, backend {backend}",
        caption="SGD makes its momentum buffers in the first step, so its graphs are two at least",
    )
    for name in ("optimizer", "scheduler"):
        table.add_column(name, no_wrap=True)
    for name in ("graphs", "gives up", "waits / 1,000"):
        table.add_column(name, justify="right")
    cases = [
        (adamw, [*COSINE, *cycles("beta1", capturable=True)]),
        (sgd, [*COSINE, *cycles("momentum", capturable=False)]),
    ]
    for build, contenders in cases:
        for contender in contenders:
            made, given_up = graphs(build, contender, steps, backend)
            waited = waits(build, contender, steps)
            shown = "" if waited is None else f"{waited:,.0f}"
            name = build(tensors=False).__class__.__name__
            table.add_row(name, contender.name, str(made), "yes" if given_up else "no", shown)
        table.add_section()
    return table


def captured_table(rounds: int) -> Table:
    """Updates per second of a training step in a CUDA graph, constant rate against scheduled."""
    table = Table(title="Updates per second in a CUDA graph, best of the rounds")
    for name in ("model", "constant rate", "scheduled", "scheduled takes"):
        table.add_column(name, justify="right")
    for width, depth in ((256, 4), (1024, 8)):
        best = {}
        replays = {kind: captured_step(width, depth, scheduled=kind) for kind in (False, True)}
        for _ in range(rounds):
            for kind, replay in replays.items():
                torch.cuda.synchronize()
                start = time.perf_counter()
                for _ in range(200):
                    replay()
                torch.cuda.synchronize()
                rate = 200 / (time.perf_counter() - start)
                best[kind] = max(best.get(kind, 0.0), rate)
        more = best[False] / best[True] - 1
        label = f"{depth} layers of {width}"
        table.add_row(label, f"{best[False]:,.0f}", f"{best[True]:,.0f}", f"{more:+.2%}")
    return table


def captured_step(width: int, depth: int, *, scheduled: bool) -> Callable[[], None]:
    """A whole update, forward to scheduler, recorded in a CUDA graph; the rates are checked."""
    layers = [torch.nn.Linear(width, width, device=DEVICE) for _ in range(depth)]
    model, total = torch.nn.Sequential(*layers), 1_000_000
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=torch.tensor(1e-4, device=DEVICE), capturable=True, foreach=True
    )
    plan = cd.Warmup(100) >> cd.Cosine()
    scheduler = cd.Scheduler(optimizer, lr=plan, total_steps=total, capturable=True)
    batch = torch.randn(64, width, device=DEVICE)

    def update() -> None:
        optimizer.zero_grad(set_to_none=False)
        model(batch).square().mean().backward()
        optimizer.step()
        if scheduled:
            scheduler.step()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            update()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        update()
    for _ in range(500):
        graph.replay()
    steps = 503 if scheduled else 0
    assert scheduler.last_epoch == steps
    expected = plan.resolve(total)(steps, scheduler.base_lrs[0])
    assert abs(float(optimizer.param_groups[0]["lr"]) / expected - 1) < 1e-6
    return graph.replay


def groups_table(rounds: int) -> Table:
    """One step of 100 groups of tensor rates."""
    table = Table(title="One scheduler step, 100 groups with tensor rates, to the device's end")
    for name in ("scheduler", "µs", "torch takes"):
        table.add_column(name, justify="right")
    kinds = [COSINE[2], *COSINE[5:]]
    schedulers = {
        kind.name: kind.make(adamw(100, tensors=True), 10_000_000) for kind in kinds if kind.make
    }
    best = dict.fromkeys(schedulers, float("inf"))
    for _ in range(rounds):
        for name, scheduler in schedulers.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(50):
                scheduler.step()
            torch.cuda.synchronize()
            best[name] = min(best[name], (time.perf_counter() - start) / 50)
    slowest = best[kinds[0].name]
    for name, seconds in best.items():
        table.add_row(name, f"{1e6 * seconds:,.1f}", f"{slowest / seconds:.1f}x")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000, help="updates that are counted")
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--rounds", type=int, default=10, help="rounds that are timed, on a GPU")
    options = parser.parse_args()
    # Remarks of torch's schedulers and of the compiler's own modules.
    warnings.simplefilter("ignore")
    logging.getLogger("torch").setLevel(logging.ERROR)
    console = Console()
    console.print(count_table(options.steps, options.backend))
    if GPU:
        console.print(captured_table(options.rounds))
        console.print(groups_table(options.rounds))
    else:
        console.print("No GPU: the tables of captured steps are left out.")


if __name__ == "__main__":
    main()
