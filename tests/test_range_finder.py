"""The range test: what it reads off a curve, what it leaves as it was, and what it says."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from typer.testing import CliRunner

import cadence as cd
from cadence.cli import app
from cadence.errors import ArgumentError, ArgumentTypeError, RangeTestWarning
from cadence.range_finder import Curve, RangeResult, RangeTest, find_lr
from cadence.range_finder._rules import OTHERS, RULES, read_all

SHORT = {"steps": 40, "seeds": 2}
# Most sweeps here are short, and say so; what is said is tested apart.
pytestmark = pytest.mark.filterwarnings("ignore::cadence.errors.RangeTestWarning")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Layers this small are not worth a second thread, which waits on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# What is left as it was.


class Stage(torch.nn.Module):
    """Something of everything that a module may change while it trains."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.2)
        )
        self.head = torch.nn.Linear(8, 1)
        self.frozen = torch.nn.BatchNorm1d(1).eval()
        self.register_buffer("mean", torch.zeros(1), persistent=False)
        self.calls, self.seen, self.noise = 0, [], torch.Generator().manual_seed(3)

    def forward(self, x):
        out = self.frozen(self.head(self.body(x)))
        self.calls += 1
        self.seen.append(self.calls)
        self.mean = 0.9 * self.mean + 0.1 * out.detach().mean()  # a new tensor each time
        return out + 1e-3 * torch.randn(out.shape, generator=self.noise)


class Jittered(Dataset):
    """Data with an augmentation of its own randomness, and of everybody's."""

    def __init__(self):
        self.rows = torch.randn(24, 6, generator=torch.Generator().manual_seed(1))
        self.rng, self.reads = np.random.default_rng(5), 0

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.reads += 1
        jitter = self.rng.normal() + random.random() + np.random.rand()  # noqa: NPY002, S311
        x = self.rows[i] + 0.01 * jitter
        return x, x.sum()[None]


OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=1e-2, amsgrad=True),
    "tensor": lambda groups: torch.optim.Adam(groups, lr=torch.tensor(1e-2)),
    "lbfgs": lambda groups: torch.optim.LBFGS(
        [p for group in groups for p in group["params"]], lr=0.5, max_iter=3
    ),
}


class Setting:
    """A training that is under way, and what there is of it to compare bit for bit."""

    def __init__(self, kind="sgd", *, own_order=True, before=2, grads=True, plan=None):
        torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
        self.model = Stage()
        body, head = self.model.body.parameters(), self.model.head.parameters()
        groups = [{"params": [*body]}, {"params": [*head], "initial_lr": 0.3}]
        self.optimizer = OPTIMIZERS[kind](groups)
        self.scaler = None if kind == "lbfgs" else torch.amp.GradScaler("cpu", init_scale=4.0)
        generator = torch.Generator().manual_seed(7) if own_order else None
        self.loader = DataLoader(Jittered(), batch_size=8, shuffle=True, generator=generator)
        self.scheduler = None
        if plan is not None:
            self.scheduler = cd.Scheduler(self.optimizer, lr=plan, total_steps=50).follow()
        for _, (x, y) in zip(range(before), self.loader, strict=False):
            loss = functional.mse_loss(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step(lambda loss=loss: loss)
        if not grads:
            self.optimizer.zero_grad()

    def find(self, loss_fn=functional.mse_loss, **options):
        return find_lr(
            self.model, self.optimizer, loss_fn, self.loader, scaler=self.scaler, **SHORT | options
        )

    def everything(self):
        """All that there is, with the identities of what others may hold."""
        model, optimizer = self.model, self.optimizer
        tensors = [*model.parameters(), *model.buffers()]
        gradients = [p.grad for p in model.parameters()]
        groups = [
            {**group, "params": [*map(id, group["params"])]} for group in optimizer.param_groups
        ]
        rates = [id(group["lr"]) for group in optimizer.param_groups]
        modules = [(m.training, m.__dict__.keys() - {"_x"}) for m in model.modules()]
        return _plain(
            [
                *([tensors, [*map(id, tensors)], gradients, [*map(id, gradients)]]),
                *(modules, model.calls, model.seen, model.noise),
                *(groups, rates, [*optimizer.state.values()], [*map(id, optimizer.state.values())]),
                [*optimizer._optimizer_step_post_hooks], [*optimizer._optimizer_step_pre_hooks],
                None if self.scaler is None else self.scaler.state_dict(),
                None if self.scheduler is None else self.scheduler.state_dict(),
                *(self.loader.generator, self.loader.dataset.rng, self.loader.dataset.reads),
                *(torch.get_rng_state(), random.getstate(), np.random.get_state()),  # noqa: NPY002
            ]
        )  # fmt: skip


def _plain(value):
    """A value by its bits."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.detach().contiguous().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, torch.Generator):
        return _plain(value.get_state())
    if isinstance(value, np.random.Generator):
        return _plain(value.bit_generator.state)
    if isinstance(value, dict):
        return [(key, _plain(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (set, frozenset)) else repr(value)


def trap(at, error):
    """A loss that raises at a certain call, and the count of its calls."""
    calls = []

    def loss_fn(output, target):
        calls.append(None)
        if len(calls) == at:
            raise error
        return functional.mse_loss(output, target)

    return loss_fn, calls


@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])
@given(
    kind=st.sampled_from(sorted(OPTIMIZERS)),
    own_order=st.booleans(),
    before=st.integers(0, 3),
    grads=st.booleans(),
    planned=st.booleans(),
    end=st.sampled_from([None, RuntimeError("trapped"), KeyboardInterrupt()]),
    at=st.integers(1, 70),
    accumulate=st.integers(1, 2),
)
def test_everything_is_left_as_it_was(kind, own_order, before, grads, planned, end, at, accumulate):
    """Model, optimizer, scaler, scheduler, data and randomness are the same bits afterwards."""
    plan = cd.Warmup(5) >> cd.Cosine() if planned else None
    stage = Setting(kind, own_order=own_order, before=before, grads=grads, plan=plan)
    saved = stage.everything()
    loss_fn, calls = trap(None if end is None else at, end)
    try:
        stage.find(loss_fn, accumulate=accumulate)
    except (RuntimeError, KeyboardInterrupt) as error:
        assert error is end  # noqa: PT017 - it may also end well, where the trap comes too late
    assert stage.everything() == saved
    assert len(calls) >= min(at, 20)


@pytest.mark.filterwarnings("ignore::cadence.errors.ExternalChangeWarning")
def test_the_comparison_sees_every_part():
    """The test above can fail: each thing that it compares, changed alone, is noticed."""
    changes = {
        "parameter": lambda s: s.model.head.bias.data.add_(1e-7),
        "buffer": lambda s: s.model.body[1].running_mean.add_(1e-7),
        "new buffer": lambda s: setattr(s.model, "mean", s.model.mean.clone()),
        "mode": lambda s: s.model.frozen.train(),
        "gradient": lambda s: s.model.head.bias.grad.add_(1e-7),
        "state": lambda s: next(iter(s.optimizer.state.values()))["momentum_buffer"].add_(1e-7),
        "rate": lambda s: s.optimizer.param_groups[0].update(lr=0.1000001),
        "initial rate": lambda s: s.optimizer.param_groups[1].update(initial_lr=0.31),
        "scaler": lambda s: s.scaler.update(2.0) if s.scaler._scale is not None else None,
        "order": lambda s: next(iter(s.loader)),
        "augmentation": lambda s: s.loader.dataset.rng.normal(),
        "noise": lambda s: torch.randn(1, generator=s.model.noise),
        "torch": lambda s: torch.rand(1),
        "numpy": lambda s: np.random.rand(),  # noqa: NPY002
        "python": lambda s: random.random(),  # noqa: S311
        "clock": lambda s: s.optimizer.step(),
    }
    unnoticed = []
    for name, change in changes.items():
        stage = Setting(plan=cd.Linear())
        stage.scaler.scale(torch.zeros(1))  # which lets it begin
        saved = stage.everything()
        change(stage)
        if stage.everything() == saved:
            unnoticed.append(name)
    assert unnoticed == []


@pytest.mark.parametrize("kind", ["sgd", "adamw", "tensor"])
def test_training_goes_on_as_if_nothing_had_been(kind):
    """The next updates, under a following scheduler, are those of a run without a range test."""
    ends = []
    for tested in (False, True):
        stage = Setting(kind, plan=cd.Warmup(4) >> cd.Cosine())
        if tested:
            stage.find()
        for x, y in [*stage.loader, *stage.loader]:
            stage.optimizer.zero_grad()
            functional.mse_loss(stage.model(x), y).backward()
            stage.optimizer.step()
        ends.append([*_plain([*stage.model.parameters()]), stage.scheduler.last_epoch])
    assert ends[0] == ends[1]


def test_a_found_rate_does_not_depend_on_what_was_random():
    """The same model and data give the same result, whatever was drawn before."""
    found = []
    for draws in (0, 5):
        stage = Setting()
        torch.rand(draws), np.random.rand(draws), random.random()  # noqa: NPY002, S311
        for _ in range(draws):
            next(iter(stage.loader))
        stage.loader.dataset.reads = 0
        found.append(stage.find().to_dict())
    assert found[0] == found[1]


@pytest.mark.slow
def test_workers_that_live_on():
    """A loader with persistent workers has its order and its own iterator afterwards."""
    data = TensorDataset(torch.randn(32, 6), torch.randn(32, 1))
    loader = DataLoader(
        data, batch_size=8, shuffle=True, num_workers=1, persistent_workers=True,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    model = torch.nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    list(loader)
    iterator, state = loader._iterator, loader.generator.get_state()
    find_lr(model, optimizer, functional.mse_loss, loader, **SHORT)
    assert loader._iterator is iterator
    assert torch.equal(loader.generator.get_state(), state)
    assert len(list(loader)) == 4


INTERRUPTED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import test_range_finder as t
t.torch.set_num_threads(1)
stage = t.Setting("adamw", plan=t.cd.Linear())
saved = stage.everything()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
calls = 0
def loss_fn(output, target):
    global calls
    calls += 1
    if calls == 30:
        os.kill(os.getpid(), signal.SIGINT)
    return t.functional.mse_loss(output, target)
try:
    stage.find(loss_fn)
except KeyboardInterrupt:
    print("interrupted", stage.everything() == saved, calls)
"""


@pytest.mark.slow
def test_a_real_interrupt(tmp_path):
    """Ctrl-C in a process of its own ends the test, and everything is as it was."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(tests=str(Path(__file__).parent))],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.split()[:2] == ["interrupted", "True"], done.stdout + done.stderr


def test_a_second_interrupt_waits_for_the_end():
    """Ctrl-C while things are put back does not leave half of them."""
    from cadence.range_finder._restore import undisturbed

    done, before = [], signal.signal(signal.SIGINT, signal.default_int_handler)

    def half():
        with undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            done.append(True)

    try:
        with pytest.raises(KeyboardInterrupt):
            half()
        assert done == [True]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


# How a batch becomes an update.


def regression(rows=64, noise=0.1):
    """A linear problem, of whose rates one knows which are good."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 8, generator=generator)
    y = x @ torch.randn(8, 1, generator=generator)
    return x, y + noise * torch.randn(rows, 1, generator=generator)


def linear(lr=0.1, kind=torch.optim.SGD):
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 1)
    return model, kind(model.parameters(), lr=lr)


def pairs(size=16, **options):
    return DataLoader(TensorDataset(*regression()), batch_size=size, **options)


def test_accumulated_batches_are_one_larger_batch():
    """Accumulating two halves of a batch gives the losses of the whole one."""
    whole = find_lr(*linear(), functional.mse_loss, pairs(16), steps=40, seeds=1, end=0.1)
    halves = find_lr(
        *linear(), functional.mse_loss, pairs(8), steps=40, seeds=1, end=0.1, accumulate=2
    )
    np.testing.assert_allclose(halves.curves[0].losses, whole.curves[0].losses, rtol=1e-5)


def test_groups_keep_their_ratios():
    """Each group has its own share of the rate, and the rate told is that of the highest."""
    model, seen = torch.nn.Linear(8, 1), []
    optimizer = torch.optim.SGD(
        [{"params": [model.weight], "lr": 1e-3}, {"params": [model.bias], "lr": 4e-3}], lr=1.0
    )
    optimizer.register_step_pre_hook(
        lambda own, *_: seen.append([group["lr"] for group in own.param_groups])
    )
    found = find_lr(model, optimizer, functional.mse_loss, pairs(), **SHORT)
    rates = found.curves[0].rates
    np.testing.assert_allclose(np.array(seen)[: len(rates) - 1, 1], rates[:-1])
    np.testing.assert_allclose([a / b for a, b in seen], 0.25)


def test_the_ratios_are_those_of_the_bases_under_a_scheduler():
    """A warm-up that holds one group at nearly 0 does not count for the ratio."""
    model = torch.nn.Linear(8, 1)
    groups = [
        {"params": [model.weight], "lr": 0.1, "name": "slow"},
        {"params": [model.bias], "lr": 0.1, "name": "fast"},
    ]
    optimizer = torch.optim.SGD(groups)
    cd.Scheduler(optimizer, lr={"slow": cd.Warmup(9, start=0), "fast": cd.Cosine(9)})
    seen = []
    optimizer.register_step_pre_hook(
        lambda own, *_: seen.append([group["lr"] for group in own.param_groups])
    )
    find_lr(model, optimizer, functional.mse_loss, pairs(), **SHORT)
    assert all(a == b for a, b in seen)


def test_forms_of_batches_and_outputs():
    """Pairs with a loss function, dicts for models that return their loss, and one's own."""
    x, y = regression()

    class Told(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(8, 1)

        def forward(self, x, y):
            return {"loss": functional.mse_loss(self.layer(x), y)}

    rows = [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16)]
    named = [{"x": a, "y": b} for a, b in rows]

    def own(model, batch):
        return functional.mse_loss(model.layer(batch["x"]), batch["y"])

    def curve(loader, **options):
        model = Told()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        return find_lr(model, optimizer, None, loader, **SHORT, **options).curves[0].losses

    model = torch.nn.Linear(8, 1)
    model.load_state_dict(Told().layer.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = find_lr(model, optimizer, functional.mse_loss, rows, **SHORT).curves[0].losses
    backwards = []

    def backward(loss):
        backwards.append(loss)
        loss.backward()

    for losses in (
        curve(rows), curve(named), curve(named, forward=own), curve(rows, backward=backward),
        curve(rows, autocast=lambda: torch.autocast("cpu", enabled=False)),
    ):  # fmt: skip
        assert losses.tolist() == expected.tolist()
    assert len(backwards) >= 2 * 20
    low = curve(rows, autocast=torch.bfloat16)
    assert low.tolist() != expected.tolist()
    np.testing.assert_allclose(low[:10], expected[:10], rtol=0.05)


def test_a_closure_is_called_where_the_optimizer_wants_one():
    """LBFGS is swept, and reports the loss before its update."""
    lbfgs = partial(torch.optim.LBFGS, max_iter=4)
    found = find_lr(*linear(kind=lbfgs), functional.mse_loss, pairs(64), **SHORT)
    model, _ = linear()
    first = functional.mse_loss(model(regression()[0]), regression()[1])
    assert found.curves[0].losses[0] == pytest.approx(float(first.detach()), rel=1e-5)
    assert len(found.curves[0]) > 20


def test_iterable_data():
    """A data set without a length or an order serves, and is begun again where it ends."""

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(zip(*regression(), strict=True))

    found = find_lr(*linear(), functional.mse_loss, DataLoader(Stream(), batch_size=16), **SHORT)
    assert found.bracket is not None


def bad(**given):
    model, optimizer = linear()
    parts = {"model": model, "optimizer": optimizer, "loss_fn": functional.mse_loss}
    return find_lr(**parts | {"loader": pairs()} | given)


class OnePass:
    """What can be read once, though it is no iterator."""

    def __init__(self):
        self.batches = iter(list(pairs())[:3])

    def __iter__(self):
        return self.batches


BAD = {
    "'loader' must be able to begin again for each repeat (got an iterator, list_iterator); write "
    "list(itertools.islice(batches, 100))": lambda: bad(loader=iter([])),
    "'loader' must have at least one batch (got none)": lambda: bad(loader=[]),
    "'loader' must be able to begin again wherever it ends (got no more after 3 batches)": lambda: (
        bad(loader=OnePass())
    ),
    "'model' must be a torch.nn.Module (got 3)": lambda: bad(model=3),
    "'forward' must be a function (got 3)": lambda: bad(loss_fn=None, forward=3),
    "'backward' must be a function (got 3)": lambda: bad(backward=3),
    "'optimizer' must be a torch.optim.Optimizer (got 'adam')": lambda: bad(optimizer="adam"),
    "'loss_fn' must be a function of output and targets": lambda: bad(loss_fn="mse"),
    "'loss_fn' must be None where 'forward' makes the loss": lambda: bad(forward=print),
    "a batch must be a pair (inputs, targets) for 'loss_fn' (got a list of 3)": lambda: bad(
        loader=[[1, 2, 3]]
    ),
    "the loss must be one number with gradients (got a tensor of shape (16, 1))": lambda: bad(
        loss_fn=lambda a, b: (a - b) ** 2
    ),
    "the loss must be one number with gradients (got a tensor of shape () without": lambda: bad(
        loss_fn=lambda a, b: functional.mse_loss(a, b).detach()
    ),
    "'optimizer' must have a group with a rate > 0": lambda: bad(optimizer=linear(0.0)[1]),
    "'seeds' must be >= 1 (got 0)": lambda: bad(seeds=0),
    "'seeds' must be a number of repeats or different seeds (got (1, 1))": lambda: bad(
        seeds=[1, 1]
    ),
    "'accumulate' must be >= 1 (got 0)": lambda: bad(accumulate=0),
    "'clip_norm' must be > 0 (got 0)": lambda: bad(clip_norm=0),
    "'autocast' must be a dtype or make a context (got 'bf16')": lambda: bad(autocast="bf16"),
    "'scaler' must be None for an optimizer that takes a closure": lambda: bad(
        optimizer=linear(kind=torch.optim.LBFGS)[1], scaler=torch.amp.GradScaler("cpu")
    ),
    "'model' must have all its parameters": lambda: bad(model=torch.nn.LazyLinear(1)),
    "RangeTest: 'end' must be > 1 (got 0.5)": lambda: RangeTest(print, start=1, end=0.5),
    "RangeTest: 'steps' must be >= 40 (got 10)": lambda: RangeTest(print, steps=10),
    "RangeTest: 'step_fn' must be a function (got 3)": lambda: RangeTest(3),
    "RangeTest: 'step_fn' must return the loss (got None)": lambda: RangeTest(
        lambda rate: None
    ).sweep(),
    "RangeTest: 'step_fn' must return one number (got 'x')": lambda: RangeTest(
        lambda rate: "x"
    ).sweep(),
    "RangeTest.run: 'reset' must be given where there are several": lambda: RangeTest(print).run(),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    """A message says what is demanded, what was given, and mostly what to type."""
    with pytest.raises(ArgumentError) as caught:
        BAD[message]()
    assert message in str(caught.value)


# What is read off a curve.


def curve_of(losses, beta=0.98, steps=200, stopped="diverged"):
    rates = RangeTest(print, steps=steps).plan(np.arange(len(losses)))
    return Curve(0, rates, losses, beta, steps, stopped)


def shaped(steps=200, best=1e-2, noise=0.0, seed=0):
    """A typical curve: flat, falling around a tenth of `best`, rising fast after ten times it."""
    rates = np.array(RangeTest(print, steps=steps).plan(np.arange(steps)))
    fall = 1 / (1 + (best / rates))
    rise = (rates / (30 * best)) ** 2
    noisy = noise * np.random.default_rng(seed).normal(size=steps)
    losses = 3 - 2 * fall + rise + noisy
    return losses[: int(np.argmax(losses > 12)) or steps]


def test_the_average_is_debiased():
    """A constant loss stays what it is from the first point on, as the formula says."""
    assert curve_of([2.5] * 60).smooth == pytest.approx(2.5)
    losses = np.random.default_rng(0).normal(size=60)
    weights = [0.98 ** np.arange(n)[::-1] for n in range(1, 61)]
    expected = [w @ losses[: len(w)] / w.sum() for w in weights]
    np.testing.assert_allclose(curve_of(losses).smooth, expected, rtol=1e-9)


@pytest.mark.parametrize("loss", [math.nan, math.inf, 1e6])
def test_a_sweep_stops_where_it_diverges(loss):
    """Also at once where a loss is no number, and such a loss is no part of the curve."""
    calls = []

    def step(rate):
        calls.append(rate)
        return 1.0 if len(calls) <= 50 else loss

    curve = RangeTest(step).sweep()
    finite = math.isfinite(loss)
    assert len(calls) == 51
    assert len(curve) == (51 if finite else 50)
    assert curve.stopped == ("diverged" if finite else "not finite")


def test_the_rates_are_the_plans():
    """The sweep is a plan: geometric from the first rate to the last."""
    test = RangeTest(lambda rate: 1.0, start=1e-5, end=1.0, steps=51)
    curve = test.sweep()
    assert curve.stopped == "end"
    np.testing.assert_allclose(curve.rates, np.geomspace(1e-5, 1.0, 51))
    assert curve.rates.tolist() == test.plan(np.arange(51)).tolist()
    assert test.plan == cd.Geometric(50, start=cd.absolute(1e-5), end=cd.absolute(1.0))


def _valley(lrs, losses):
    """The `valley` of fastai, as it is written there."""
    n = len(losses)
    max_start, max_end = 0, 0
    lds = [1] * n
    for i in range(1, n):
        for j in range(i):
            if losses[i] < losses[j] and lds[i] < lds[j] + 1:
                lds[i] = lds[j] + 1
            if lds[max_end] < lds[i]:
                max_end = i
                max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    return lrs[max_start + int(sections) + int(sections / 2)]


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
@settings(max_examples=20)
def test_valley_is_fastais(seed, noise):
    """It gives the rate that fastai's quadratic loop gives, however noisy the curve."""
    curve = curve_of(shaped(100, noise=noise, seed=seed), steps=100)
    assert read_all(curve)["fastai valley"] == _valley(curve.rates[10:-5], curve.smooth[10:-5])


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_lightnings_rule_is_torchs_gradient(seed):
    """`torch.gradient` over the rates, as Lightning calls it, has its minimum at that rate."""
    curve = curve_of(shaped(100, noise=0.05, seed=seed), steps=100)
    rates, smooth = torch.tensor(curve.rates[10:-1]), torch.tensor(curve.smooth[10:-1])
    least = torch.gradient(smooth, spacing=(rates,))[0].argmin()
    assert read_all(curve)["Lightning"] == rates[least]


@given(st.integers(0, 10**6), st.floats(1e-4, 1e-1))
@settings(max_examples=30)
def test_rules_stay_on_the_curve_and_move_with_it(seed, best):
    """Each rule says a rate of the sweep; a curve that lies higher gives a higher bracket."""
    losses = shaped(best=best, noise=0.02, seed=seed)
    curve = curve_of(losses)
    read = read_all(curve)
    assert read.keys() == {*RULES, *OTHERS}
    for name, rate in read.items():
        rate = 10 * rate if "minimum" in name else rate
        assert np.isclose(curve.rates, rate, rtol=1e-12).any()
    other = RangeResult((curve_of(shaped(best=4 * best, noise=0.02, seed=seed)),), 1e-7, 10)
    found = RangeResult((curve,), 1e-7, 10)
    assert found.bracket.low < other.bracket.low
    assert found.suggestion < other.suggestion
    assert found.suggestion in found.bracket


def result(*losses, stopped="diverged"):
    return RangeResult(tuple(curve_of(one, stopped=stopped) for one in losses), 1e-7, 10.0)


def test_the_bracket_is_made_of_means():
    """Each end is the geometric mean of the repeats, with the least and the most of them."""
    each = [shaped(best=best, noise=0.01, seed=i) for i, best in enumerate([5e-3, 1e-2, 2e-2])]
    found, alone = result(*each), [result(one).bracket for one in each]
    lows = [one.low for one in alone]
    assert found.bracket.low == pytest.approx(np.prod(lows) ** (1 / 3))
    assert (found.bracket.lower.low, found.bracket.lower.high) == (min(lows), max(lows))
    assert found.suggestion == pytest.approx(math.sqrt(found.bracket.low * found.bracket.high))
    assert list(found.bracket) == [found.bracket.low, found.bracket.high]


def test_a_clean_curve_gives_no_warning():
    """Nothing stands against a curve that falls and then diverges."""
    assert result(shaped(noise=0.02), shaped(noise=0.02, seed=1)).warnings == ()


@pytest.mark.parametrize(
    ("found", "warning"),
    [
        (result(np.random.default_rng(0).normal(3, 0.3, 200), stopped="end"), "no descent"),
        (result([3.0] * 200, stopped="end"), "no descent"),
        (result(np.linspace(3, 4, 200)), "no descent"),
        (result(shaped(), [3.0] * 200), "only in 1 of 2 repeats"),
        (result(shaped(best=1.0)[:190], stopped="end"), "upper end of the bracket may be too low"),
        (result([3.0] * 200, stopped="end"), "no divergence: the sweeps reached their end at 10; "),
        (result([], stopped="not finite"), "not finite: in 1 of 1 repeat the loss is NaN or"),
        (result([3.0] * 3, stopped="not finite"), "from update 4 of 200 on"),
        (result(shaped(best=1e-4), shaped(best=0.1)), "too noisy to say: over the repeats"),
        (result(3 - np.linspace(0, 2, 30)), "too short"),
        (result(np.r_[np.geomspace(3, 0.1, 60), np.full(20, 20.0)]), "falls from the beginning"),
    ],
)
def test_doubts(found, warning):
    """What stands against trusting a result is said, with what to do about it."""
    assert any(warning in text for text in found.warnings), found.warnings
    assert warning in str(found)


def test_a_loss_that_is_never_finite_is_told_as_such():
    """Nothing is said of noise or descent where there is no loss to look at."""
    with pytest.warns(RangeTestWarning, match="not finite") as told:
        found = RangeTest(lambda rate: math.nan).run(seeds=1)
    assert len(told) == len(found.warnings) == 1
    assert "no descent" not in str(found)


def test_no_curve_no_bracket():
    """Where nothing falls there is no number at all, in no form."""
    found = result([3.0] * 200)
    assert (found.bracket, found.suggestion, dict(found.rules), found.agreeing) == (
        *(None, None, {}), (),
    )  # fmt: skip
    assert repr(found) == "RangeResult(no bracket, 1 repeat)"
    assert json.loads(json.dumps(found.to_dict()))["bracket"] is None
    assert str(found).startswith("no bracket\nwarning: no descent")


def test_a_result_warns_where_it_is_made():
    """`find_lr` says its doubts aloud, since a suggestion alone does not show them."""
    with pytest.warns(RangeTestWarning, match="no divergence"):
        find_lr(*linear(), functional.mse_loss, pairs(), **SHORT, end=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_lr(*linear(), functional.mse_loss, pairs())


def test_results_are_values():
    """A result cannot be changed, and goes through JSON."""
    found = result(shaped(noise=0.02), shaped(noise=0.02, seed=1))
    with pytest.raises(AttributeError):
        found.curves = ()
    with pytest.raises(ValueError, match="read-only"):
        found.curves[0].losses[0] = 1.0
    with pytest.raises(TypeError):
        found.rules["valley"] = None
    told = json.loads(json.dumps(found.to_dict()))
    assert told["bracket"]["low"] == found.bracket.low
    assert told["curves"][0]["losses"] == found.curves[0].losses.tolist()
    assert told["rules"]["valley"]["rate"] == found.rules["valley"].rate
    assert "suggestion" in repr(found)
    for name in found.rules:
        assert name in str(found)


def test_the_picture(tmp_path):
    """The bracket is shaded, the suggestion marked, and the file is whole."""
    found = result(shaped(noise=0.05), shaped(noise=0.05, seed=1))
    ax = found.plot(tmp_path / "range.png")
    assert (tmp_path / "range.png").stat().st_size > 10_000
    labels = ax.get_legend_handles_labels()[1]
    assert any(label.startswith("bracket") for label in labels)
    assert any(label.startswith("suggestion") for label in labels)
    assert {text.get_text() for text in ax.texts} == set(found.rules)
    result([3.0] * 200).plot(tmp_path / "none.svg")
    result(shaped(), []).plot()  # a repeat whose first loss was not finite
    assert {path.name for path in tmp_path.iterdir()} == {"none.svg", "range.png"}


def test_a_wrong_kind_is_a_type_error():
    """What is of the wrong kind is told as Python's own functions tell it."""
    with pytest.raises(ArgumentTypeError):
        bad(model=None)


# On the command line.

PROGRAM = """
import torch
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(64, 8)
y = x.sum(dim=1, keepdim=True)
loader = DataLoader(TensorDataset(x, y), 16, shuffle=True)
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def parts():
    return model, optimizer, torch.nn.functional.mse_loss, loader

def named():
    return {"model": model, "optimizer": optimizer, "loader": loader,
            "forward": lambda m, batch: torch.nn.functional.mse_loss(m(batch[0]), batch[1])}

def wrong():
    return model

def misspelt():
    return named() | {"loss_func": None}

def partly():
    return {"model": model, "loss_fn": None}
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """`cadence find-lr` in a folder that has a program, whose module is forgotten afterwards."""
    (tmp_path / "training_of_a_test.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield lambda *args: CliRunner().invoke(app, ["find-lr", *args], prog_name="cadence")
    sys.modules.pop("training_of_a_test", None)


def test_the_command(command, tmp_path):
    """It prints what `find_lr` finds, as text or JSON, and draws."""
    short = ["--steps", "60", "--seeds", "2", "--start", "1e-5"]
    text = command("training_of_a_test:parts", *short, "-o", "range.png")
    assert text.exit_code == 0, text.output
    assert text.output.startswith("suggestion  ")
    assert text.output.endswith("wrote range.png\n")
    assert (tmp_path / "range.png").stat().st_size > 10_000
    told = json.loads(command("training_of_a_test.py:named", *short, "--json").output)
    assert f"{told['suggestion']:.2g}" in text.output
    assert [curve["seed"] for curve in told["curves"]] == [0, 1]
    assert told["start"] == 1e-5


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("training", "MODULE:FUNCTION must name both (got 'training')"),
        ("nowhere_to_be_found:f", "MODULE must be one that can be imported"),
        ("nowhere.py:f", "MODULE must be a file that is there (got 'nowhere.py')"),
        ("training_of_a_test:part", "must have a function 'part' (it has none); did you mean"),
        ("training_of_a_test:misspelt", "must return arguments of find_lr (got 'loss_func'); did"),
        ("training_of_a_test:partly", "must return optimizer and loader as well"),
        ("training_of_a_test:wrong", "must return model, optimizer, loss_fn and loader, or a dict"),
        ("training_of_a_test:parts -o x.jpg", "-o must end in .png, .svg or .pdf (got 'x.jpg')"),
        ("training_of_a_test:wrong -o absent/x.png", "cannot write 'absent/x.png': No such file"),
        ("training_of_a_test:parts --steps 3", "RangeTest: 'steps' must be >= 40 (got 3)"),
    ],
)
def test_bad_commands(command, args, message):
    """Bad input ends with one line on stderr and exit code 2."""
    done = command(*args.split())
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


# What it is worth.


@pytest.mark.slow
def test_the_bracket_on_digits():
    """On a real task the best rate of a grid is in the bracket and near the suggestion.

    A cheaper variant of what `bench/range_test.py` measures.
    """
    sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
    import range_test as bench

    seeds = range(3)
    found = [bench.find(bench.Digits(seed)) for seed in seeds]
    grid = bench.Digits.rates[2:7]
    losses = [[bench.train(bench.Digits(seed), rate) for rate in grid] for seed in seeds]
    best = grid[int(np.mean(losses, axis=0).argmin())]
    for one in found:
        assert best in one.bracket
        assert one.bracket.width <= 40
        assert max(one.suggestion / best, best / one.suggestion) <= 3
