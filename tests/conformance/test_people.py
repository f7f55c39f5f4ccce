"""What people do with schedulers that no table foresees, on torch and on the drop-in."""

import copy
import inspect
import math
import pickle
import threading
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

import cadence.lr_scheduler as ours

BOTH = [theirs, ours]


def sgd(*rates, tensor=False, **options):
    groups = [
        {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": torch.tensor(r) if tensor else r}
        for r in rates or (0.1,)
    ]
    return torch.optim.SGD(groups, lr=0.1, **{"momentum": 0.9, **options})


def tick(scheduler, n=1):
    """The rates after each of n updates."""
    found = []
    for _ in range(n):
        scheduler.optimizer.step()
        scheduler.step()
        found += [float(group["lr"]) for group in scheduler.optimizer.param_groups]
    return found


def same(run):
    """Both libraries give the same numbers."""
    expected, found = (run(library) for library in BOTH)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


# Calls.


@pytest.mark.parametrize("name", [n for n in ours.__all__ if isinstance(getattr(ours, n), type)])
def test_every_class_is_called_as_torchs(name):
    """The same arguments in the same order with the same defaults, then the old `verbose`."""
    kinds = getattr(theirs, name, SWALR), getattr(ours, name)
    expected, found = (list(inspect.signature(kind).parameters.values()) for kind in kinds)
    assert issubclass(*reversed(kinds))
    shown = [[(one.name, one.default) for one in some] for some in (expected, found)]
    assert shown[1][: len(expected)] == shown[0]
    assert {one.name for one in found[len(expected) :]} <= {"verbose", "hold"}


# Subclasses.


def test_a_state_dict_of_ones_own():
    """Subclasses copy torch's line, which reads `__dict__`; it must be up to date."""

    def run(lib):
        class Own(lib.StepLR):
            def state_dict(self):
                return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

        first, second = Own(sgd(), 3), Own(sgd(), 3)
        tick(first, 5)
        state = first.state_dict()
        second.optimizer.load_state_dict(first.optimizer.state_dict())
        second.load_state_dict(state)
        return [state["last_epoch"], state["_step_count"], *state["_last_lr"], *tick(second, 4)]

    same(run)


def test_a_step_of_ones_own():
    """Also within a chain, and also where it only replaces the method of one object."""

    def run(lib):
        class EveryOther(lib.ExponentialLR):
            calls = 0

            def step(self, epoch=None):
                self.calls += 1
                if self.calls % 2:
                    super().step(epoch)

        def chained(make):
            optimizer = sgd()
            warmup = lib.LinearLR(optimizer, 0.1, total_iters=9)
            return lib.ChainedScheduler([warmup, make(optimizer)])

        found = tick(chained(lambda o: EveryOther(o, 0.5)), 6)
        replaced = lib.ExponentialLR(sgd(), 0.5)
        tick(replaced, 3)
        original, replaced.calls = replaced.step, 0

        def counting(epoch=None):
            replaced.calls += 1
            original(epoch)

        replaced.step = counting
        tick(lib.ChainedScheduler([replaced]), 4)
        return [*found, replaced.calls, replaced.get_last_lr()[0]]

    same(run)


def test_a_step_that_asks_for_the_rates():
    """The body of torch's own `step`, as people copy it."""

    def run(lib):
        class Copied(lib.CosineAnnealingWarmRestarts):
            def step(self, epoch=None):
                self.last_epoch += 1
                self.T_cur += 1
                if self.T_cur >= self.T_i:
                    self.T_cur -= self.T_i
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
                        group["lr"] = rate
                self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

        scheduler = Copied(sgd(), 4)
        return [*tick(scheduler, 9), *scheduler.get_last_lr()]

    same(run)


def test_an_update_of_ones_own():
    def run(lib):
        class Floored(lib.ExponentialLR):
            def _update_lr(self, epoch=None):
                super()._update_lr(epoch)
                for group in self.optimizer.param_groups:
                    group["lr"] = max(group["lr"], 0.03)

        return tick(Floored(sgd(), 0.5), 5)

    same(run)


def test_a_scale_of_ones_own():
    def run(lib):
        class Half(lib.CyclicLR):
            def scale_fn(self, x):
                return 0.5

        return tick(Half(sgd(), 0.1, 0.2, step_size_up=4), 9)

    same(run)


def test_attributes_that_cannot_be_copied():
    """A lock, a model: they are kept, not copied, and no state stumbles over them."""

    class Model(torch.nn.Linear):
        def __deepcopy__(self, memo):
            raise AssertionError("a state copies no model")

    class Own(ours.ExponentialLR):
        def __init__(self, optimizer):
            self.lock, self.model = threading.Lock(), Model(2, 2)
            super().__init__(optimizer, 0.5)

    scheduler = Own(sgd())
    tick(scheduler, 2)
    state = scheduler.state_dict()
    assert state["model"] is scheduler.model
    tick(scheduler, 3)
    scheduler.load_state_dict(state)
    assert scheduler.last_epoch == 2


def test_pickling_by_ones_own_methods():
    """A subclass with its own `__getstate__` and `__setstate__` lacks nothing of ours."""

    class Own(ours.StepLR):
        def __getstate__(self):
            return dict(self.__dict__)

        def __setstate__(self, state):
            self.__dict__.update(state)

    globals()["Own"] = Own
    Own.__qualname__ = "Own"
    scheduler = Own(sgd(), 2, 0.5)
    tick(scheduler, 3)
    copied = pickle.loads(pickle.dumps(scheduler))
    assert tick(copied, 3) == tick(scheduler, 3)


# Functions.


def test_a_function_that_asks_for_the_epoch():
    """While a function is called, the clock has moved already."""

    def run(lib):
        asked = []
        box = []

        def factor(epoch):
            asked.append(box[0].last_epoch if box else 0)
            return 0.9**epoch

        box.append(lib.LambdaLR(sgd(), factor))
        return [*tick(box[0], 3), *asked]

    same(run)


def test_an_object_without_a_hash():
    class Falling:
        __hash__ = None

        def __call__(self, epoch):
            return 0.5**epoch

    same(lambda lib: tick(lib.LambdaLR(sgd(0.1, 0.2), Falling()), 3))
    same(lambda lib: tick(lib.CyclicLR(sgd(), 0.1, 0.2, 3, scale_fn=Falling()), 9))


def test_a_function_of_the_library():
    """A builtin has no `__dict__` to store or load."""
    scheduler = ours.LambdaLR(sgd(), math.cosh)
    tick(scheduler, 2)
    state = scheduler.state_dict()
    scheduler.load_state_dict(state)
    assert scheduler.get_last_lr() == [0.1 * math.cosh(2)]


def test_a_function_that_is_replaced_in_its_list():
    def run(lib):
        scheduler = lib.LambdaLR(sgd(), lambda _: 1.0)
        tick(scheduler, 2)
        scheduler.lr_lambdas[0] = lambda _: 0.5
        return tick(scheduler, 2)

    same(run)


# Tensors.


@pytest.mark.parametrize("groups", [1, 3, 7])
def test_tensor_rates_that_are_edited(groups):
    """Few tensors are filled, many are copied together; both go on from what they find."""

    def run(lib):
        optimizer = sgd(*(0.1 * (i + 1) for i in range(groups)), tensor=True)
        scheduler = lib.ExponentialLR(optimizer, 0.9)
        tick(scheduler, 3)
        optimizer.param_groups[0]["lr"] *= 0.25
        found = tick(scheduler, 3)
        second = lib.LambdaLR(optimizer, lambda epoch: 0.97**epoch)
        for _ in range(4):
            found += tick(second)
            scheduler.step()
        return found

    same(run)


def test_tensor_momenta_are_not_shared():
    """The groups' keys and the momentum itself are tensors of their own."""
    low, high = torch.tensor(0.8), torch.tensor(0.9)
    for make in (
        lambda: ours.CyclicLR(sgd(), 0.1, 0.2, 4, base_momentum=low, max_momentum=high),
        lambda: ours.OneCycleLR(sgd(), 0.1, 20, base_momentum=low, max_momentum=high),
    ):
        scheduler = make()
        tick(scheduler, 3)
        group = scheduler.optimizer.param_groups[0]
        assert float(group["max_momentum"]) == pytest.approx(0.9)
        assert float(group["momentum"]) < 0.89


def test_a_rate_of_one_element():
    def run(lib):
        optimizer = torch.optim.SGD(
            [torch.nn.Parameter(torch.zeros(1))], lr=torch.tensor([0.1]), momentum=0.9
        )
        return tick(lib.MultiplicativeLR(optimizer, lambda _: 0.5), 3)

    same(run)


# States.


@pytest.mark.parametrize(
    ("make", "own"),
    [
        (lambda lib, o: lib.StepLR(o, 3), {"step_size": 3, "gamma": 0.1, "_last_lr": [0.01]}),
        (
            lambda lib, o: lib.CosineAnnealingLR(o, 10),
            {"T_max": 10, "eta_min": 0, "_last_lr": [0.05]},
        ),
        (lambda lib, o: lib.LambdaLR(o, lambda e: 0.9**e), {"lr_lambdas": [None]}),
        (
            lambda lib, o: lib.CosineAnnealingWarmRestarts(o, 10),
            {"T_0": 10, "T_i": 10, "T_mult": 1, "eta_min": 0, "T_cur": 5, "_last_lr": [0.05]},
        ),
    ],
)
@pytest.mark.parametrize("year", [2019, 2023])
def test_states_of_older_torch(make, own, year):
    """They lack keys that today's have, and hold others."""
    state = {"base_lrs": [0.1], "last_epoch": 5, **own}
    if year == 2023:
        state |= {"_step_count": 6, "verbose": False, "_get_lr_called_within_step": False}

    def run(lib):
        scheduler = make(lib, sgd())
        for group in scheduler.optimizer.param_groups:
            group["lr"] = own.get("_last_lr", [0.1 * 0.9**5])[0]
        scheduler.load_state_dict(copy.deepcopy(state))
        return [scheduler.last_epoch, *tick(scheduler, 6)]

    same(run)


def test_going_back_to_an_older_state():
    """Nobody has looked at the scheduler since; the steps in between do not count."""

    def run(lib):
        optimizer = sgd()
        scheduler = lib.CosineAnnealingLR(optimizer, 20)
        tick(scheduler, 2)
        saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
        tick(scheduler, 7)
        optimizer.load_state_dict(saved[0])
        scheduler.load_state_dict(saved[1])
        return [scheduler.last_epoch, *tick(scheduler, 5)]

    same(run)


def test_epochs_between_steps():
    """Warm restarts mix both forms, and nobody looks in between."""

    def run(lib):
        scheduler = lib.CosineAnnealingWarmRestarts(sgd(), 4, 2)
        found = []
        for epoch in (None, None, None, 2.5, None, 9.25, None, None, 0.5):
            scheduler.optimizer.step()
            scheduler.step() if epoch is None else scheduler.step(epoch)
            found.append(scheduler.optimizer.param_groups[0]["lr"])
        return [*found, scheduler.last_epoch, scheduler.T_cur, scheduler.T_i]

    same(run)


# Optimizers.


def test_groups_that_hold_arrays():
    """A scheduler that died unused is undone, whatever else the groups hold."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "w": np.zeros(3)}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = ours.StepLR(optimizer, 3)
    del scheduler
    assert tick(ours.StepLR(optimizer, 3)) == [0.1]


def test_reading_changes_nothing():
    """Attributes may be read at any time, by any thread, as often as one likes."""
    quiet, read = ours.ExponentialLR(sgd(), 0.9), ours.ExponentialLR(sgd(), 0.9)
    for _ in range(5):
        tick(quiet)
        for _ in range(2):
            assert read.last_epoch == read._step_count - 1
            vars(read)
        tick(read)
    assert quiet.state_dict() == read.state_dict()
