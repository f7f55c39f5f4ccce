"""A rig that holds a torch side and a Cadence side and does the same to both."""

import copy
import math
import pickle
import types
import warnings
from bisect import bisect_right
from collections import Counter
from typing import Any, NamedTuple

import torch
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

import cadence.lr_scheduler as ours

# Functions and classes of a user, at module level so that they can be pickled.


def halving(epoch):
    return 0.5 ** (epoch // 3)


def ramp(epoch):
    return min(1.0, (epoch + 1) / 7)


def wave(epoch):
    return 1.0 + 0.5 * math.sin(epoch)


class Falling:
    """A callable with a state of its own, which torch stores."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, epoch):
        return self.rate**epoch


def users_classes(library, prefix):
    """The kinds of schedulers that people write themselves."""

    class Recursive(library.LRScheduler):
        """From what the groups hold."""

        def __init__(self, optimizer, factor, last_epoch=-1):
            self.factor = factor
            super().__init__(optimizer, last_epoch)

        def get_lr(self):
            if self.last_epoch == 0:
                return [group["lr"] for group in self.optimizer.param_groups]
            return [group["lr"] * self.factor for group in self.optimizer.param_groups]

    class Closed(library._LRScheduler):
        """From `base_lrs`, with a closed form under torch's name."""

        def __init__(self, optimizer, scale, last_epoch=-1):
            self.scale = scale
            super().__init__(optimizer, last_epoch)

        def get_lr(self):
            return self._get_closed_form_lr()

        def _get_closed_form_lr(self):
            return [base / (1 + self.scale * self.last_epoch) for base in self.base_lrs]

    class Delayed(library.CosineAnnealingLR):
        """A library class that waits; it asks its parent for the rates."""

        def __init__(self, optimizer, wait, T_max, last_epoch=-1):
            self.wait = wait
            super().__init__(optimizer, T_max, last_epoch=last_epoch)

        def get_lr(self):
            if self.last_epoch <= self.wait:
                return [group["lr"] for group in self.optimizer.param_groups]
            return super().get_lr()

    class Floored(library.LambdaLR):
        """A library class whose values are changed on the way out."""

        def get_lr(self):
            return [max(float(rate), 0.01) for rate in super().get_lr()]

    for kind in (Recursive, Closed, Delayed, Floored):
        kind.__name__ = kind.__qualname__ = f"{prefix}{kind.__name__}"
        globals()[kind.__name__] = kind
        yield kind.__name__.removeprefix(prefix), kind


def library(module, prefix, **more):
    """All classes of one side under the same names."""
    names = {name: getattr(module, name) for name in theirs.__all__}
    users = dict(users_classes(module, prefix))
    return types.SimpleNamespace(**names, **users, **more)


TORCH = library(theirs, "Torch", SWALR=SWALR)
CADENCE = library(ours, "Cadence", SWALR=ours.SWALR)


class Make(NamedTuple):
    """How to build a scheduler, or a composite of schedulers."""

    name: str
    arguments: dict[str, Any]
    children: tuple["Make", ...] = ()

    def build(self, library, optimizer, **more):
        kind = getattr(library, self.name)
        arguments = copy.deepcopy(self.arguments) | more
        if not self.children:
            return kind(optimizer, **arguments)
        children = [child.build(library, optimizer) for child in self.children]
        if self.name == "ChainedScheduler":
            return kind(children, optimizer)
        return kind(optimizer, children, **arguments)


class Groups(NamedTuple):
    """How to build an optimizer."""

    kind: type[torch.optim.Optimizer]
    rates: tuple[float, ...]
    dtype: torch.dtype | None = None
    shared: bool = False

    def build(self):
        rates = list(self.rates)
        if self.dtype is not None:
            rates = [torch.tensor(rate, dtype=self.dtype) for rate in rates]
        groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in rates]
        if not self.shared:
            groups = [group | {"lr": rate} for group, rate in zip(groups, rates, strict=True)]
        options = {"momentum": 0.5} if self.kind is torch.optim.SGD else {}
        return self.kind(groups, lr=rates[0], **options)


class Case(NamedTuple):
    """An optimizer, a scheduler, and what is done to them."""

    groups: Groups
    make: Make
    actions: tuple[tuple[Any, ...], ...]


class Side:
    """One library's optimizer and schedulers."""

    def __init__(self, library, case):
        self.library, self.groups = library, case.groups
        self.optimizer = case.groups.build()
        self.makes, self.schedulers = [case.make], []
        self.schedulers.append(case.make.build(library, self.optimizer))
        self.keep()

    def group(self, index):
        groups = self.optimizer.param_groups
        return groups[index % len(groups)]

    def scheduler(self, index):
        return self.schedulers[index % len(self.schedulers)]

    # What can be done.

    def update(self):
        self.optimizer.step()

    def step(self, k, metric, *epoch):
        scheduler = self.scheduler(k)
        if isinstance(scheduler, theirs.ReduceLROnPlateau):
            scheduler.step(metric, *epoch)
        else:
            scheduler.step(*epoch)

    def tick(self, k, metric):
        self.update()
        self.step(k, metric)

    def scale(self, group, factor):
        group = self.group(group)
        with torch.no_grad():
            group["lr"] *= factor

    def put(self, group, value):
        group = self.group(group)
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value

    def replace(self, group, value):
        group = self.group(group)
        lr = group["lr"]
        group["lr"] = torch.full_like(lr, value) if isinstance(lr, torch.Tensor) else value

    def write(self, group, key, value):
        group = self.group(group)
        if key == "beta1" and "betas" in group:
            group["betas"] = (value, *group["betas"][1:])
        elif key in group:
            group[key] = value

    def write_all(self, key, value):
        for i in range(len(self.optimizer.param_groups)):
            self.write(i, key, value)

    def assign(self, k, name, value):
        if isinstance(value, list):
            value = value[: len(self.optimizer.param_groups)]
        for leaf in leaves(self.scheduler(k)):
            if hasattr(leaf, name):
                setattr(leaf, name, copy.copy(value))

    def assign_item(self, k, name, index, value):
        for leaf in leaves(self.scheduler(k)):
            if hasattr(leaf, name):
                values = getattr(leaf, name)
                values[index % len(values)] = value

    def grow(self, rate):
        parameter = torch.nn.Parameter(torch.zeros(1))
        present = self.optimizer.param_groups[0]["lr"]
        if isinstance(present, torch.Tensor):
            rate = torch.full_like(present, rate)
        self.optimizer.add_param_group({"params": [parameter], "lr": rate})

    def second(self, make):
        self.makes.append(make)
        self.schedulers.append(make.build(self.library, self.optimizer))

    def copy(self, how):
        both = self.optimizer, self.schedulers
        self.optimizer, self.schedulers = (
            copy.deepcopy(both) if how == "deepcopy" else pickle.loads(pickle.dumps(both))
        )

    def resume(self, last_epoch):
        """Rebuild from the optimizer's state alone."""
        state = copy.deepcopy(self.optimizer.state_dict())
        self.optimizer = self.groups.build()
        self.optimizer.load_state_dict(state)
        self.schedulers = [self.makes[0].build(self.library, self.optimizer, last_epoch=last_epoch)]
        del self.makes[1:]

    # State.

    def save(self):
        states = [scheduler.state_dict() for scheduler in self.schedulers]
        return copy.deepcopy((self.optimizer.state_dict(), states))

    def keep(self):
        self.kept = self.save()

    def go_back(self):
        """Load into what is there, as after a spike of the loss."""
        optimizer, schedulers = copy.deepcopy(self.kept)
        if len(schedulers) == len(self.schedulers):
            self.optimizer.load_state_dict(optimizer)
            for scheduler, state in zip(self.schedulers, schedulers, strict=True):
                scheduler.load_state_dict(state)

    def load(self, saved, order="build optimizer schedulers"):
        """Build everything anew and load, in any order of these three words."""
        optimizer, schedulers = copy.deepcopy(saved)
        self.optimizer = self.groups.build()
        for word in order.split():
            if word == "build":
                self.schedulers = [make.build(self.library, self.optimizer) for make in self.makes]
            elif word == "optimizer":
                self.optimizer.load_state_dict(optimizer)
            else:
                for scheduler, state in zip(self.schedulers, schedulers, strict=True):
                    scheduler.load_state_dict(state)


def leaves(scheduler):
    """The schedulers of a composite that are none themselves."""
    for child in getattr(scheduler, "_schedulers", ()):
        yield from leaves(child)
    if not hasattr(scheduler, "_schedulers"):
        yield scheduler


ORDERS = (
    "build optimizer schedulers",
    "optimizer build schedulers",
    "build schedulers optimizer",
    "build schedulers",
)
"""All but the first resume some of torch's classes wrongly."""

WORDS = {
    "epoch parameter": "epoch",
    "before `optimizer.step()`": "order",
    "has been overridden": "overridden",
    "`get_last_lr()`": "get_lr",
}


class Rig:
    """Both sides, compared after each action."""

    def __init__(self, case):
        self.exact = case.groups.dtype is not torch.float32
        self.known = len(case.groups.rates)
        self.grown = False
        self.largest = 0.0
        self.touched = True  # an edit that no scheduler has seen yet; torch's states lack it
        self.wrote, self.unheard = False, set()
        self.torch, self.cadence = self.both(lambda library: Side(library, case), TORCH, CADENCE)
        self.compare()
        # Looking at a scheduler may bring it up to date, so it is not looked at after each action.
        for i, action in enumerate(case.actions, 1):
            self.do(*action)
            if i % 3 == 0:
                self.compare()
        self.compare()

    def both(self, act, left, right):
        """Act on both sides, with the same warnings or the same refusal."""
        results, heard = [], []
        for side in (left, right):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                results.append(act(side))
            kinds = [
                (warning.category, kind)
                for warning in caught
                for kind in [next((WORDS[w] for w in WORDS if w in str(warning.message)), None)]
                if kind not in self.unheard
            ]
            heard.append(kinds)
        assert heard[0] == heard[1], f"warnings differ: {heard}"
        return results

    def do(self, name, *arguments):
        """One action, on both sides."""
        if name == "reload":
            self.reload(*arguments)
        elif name == "run":
            k, metric, times = arguments
            for _ in range(times):
                self.do("tick", k, metric)
        elif not self.skips(name, *arguments):
            self.both(lambda side: getattr(side, name)(*arguments), self.torch, self.cadence)
        if name in ("tick", "step"):
            self.touched = len(self.torch.schedulers) > 1
        elif name not in ("update", "reload"):
            self.touched = True
        self.wrote |= name in ("write", "write_all")
        if name == "copy":
            self.unheard = {"overridden", "order"}  # torch's copies have lost the wrapper

    def skips(self, name, *arguments):
        """Whether torch is known to be wrong about this; see docs/torch-differences.md."""
        if name == "grow":
            self.grown = True
        if name == "resume" and self.torch.makes[0].name == "OneCycleLR":
            return arguments[0] + 1 >= self.torch.schedulers[0].total_steps
        if name not in ("tick", "step"):
            return self.grown and name in ("resume", "second", "go_back")
        k, _metric, *epoch = arguments
        if self.grown and epoch:
            return True
        scheduler = self.torch.scheduler(k)
        if any(wrong(leaf, e) for leaf, e in due(scheduler, *epoch)):
            return True
        voices = list(chained(scheduler))
        return len(voices) > 1 and any(map(hands_over, voices))

    def reload(self, source, order):
        """Save, rebuild and load: each side its own state, or the other's."""
        if self.grown:
            return
        torch_saved, cadence_saved = self.torch.save(), self.cadence.save()
        if self.wrote and order in ORDERS[1::2]:
            return  # only the optimizer's own state, loaded into what was built, holds such edits
        if source == "own":
            pairs = torch_saved, cadence_saved
        elif source == "torch" and not self.touched:
            pairs = torch_saved, torch_saved
        elif source == "cadence":
            pairs = cadence_saved, cadence_saved
        else:
            return
        self.both(lambda side: side.load(pairs[0]), self.torch, _Quiet())
        self.both(lambda side: side.load(pairs[1], order), _Quiet(), self.cadence)

    # Comparing.

    def compare(self):
        sides = self.torch.optimizer.param_groups, self.cadence.optimizer.param_groups
        assert len(sides[0]) == len(sides[1])
        # A group that was added joins otherwise than in torch: those that were there are compared.
        known = [groups[: self.known] for groups in sides]
        self.largest = max(self.largest, *(abs(float(group["lr"])) for group in known[0]))
        for i, (left, right) in enumerate(zip(*known, strict=True)):
            assert left.keys() == right.keys()
            for key in left.keys() - {"params"}:
                self.same(left[key], right[key], f"group {i}[{key!r}]")
        for left, right in zip(self.torch.schedulers, self.cadence.schedulers, strict=True):
            self.same_scheduler(left, right)

    def same_scheduler(self, left, right):
        name = type(left).__name__
        self.same(left.get_last_lr(), right.get_last_lr(), f"{name}.get_last_lr()")
        assert left.state_dict().keys() - {"cadence"} == right.state_dict().keys() - {"cadence"}
        for child, other in zip(
            getattr(left, "_schedulers", ()), getattr(right, "_schedulers", ()), strict=True
        ):
            self.same_scheduler(child, other)
        for key, value in vars(left).items():
            if key not in UNCOMPARED:
                self.same(value, getattr(right, key), f"{name}.{key}")

    def same(self, left, right, what):
        """The same kind, and the same number."""
        message = f"{what}: torch has {left!r}, cadence {right!r}"
        if isinstance(left, torch.Tensor):
            assert isinstance(right, torch.Tensor), message
            assert (left.dtype, left.shape) == (right.dtype, right.shape), message
            left, right = left.item(), right.item()
        if isinstance(left, bool) or left is None or isinstance(left, (str, dict, Counter)):
            assert left == right, message
        elif isinstance(left, (list, tuple)):
            assert type(left) is type(right), message
            if self.grown:
                left, right = left[: self.known], right[: self.known]
            assert len(left) == len(right), message
            for one, other in zip(left, right, strict=True):
                self.same(one, other, what)
        elif isinstance(left, (int, float)):
            assert isinstance(right, (int, float)), message
            tolerance = 1e-12 if self.exact else 1e-5
            close = math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance * self.largest)
            assert close, message
        else:
            assert left is right or type(left) is type(right), message


class _Quiet:
    """Stands in for a side that has nothing to do."""

    def load(self, *arguments):
        pass


UNCOMPARED = {"optimizer", "_schedulers", "_last_lr", "cadence", "anneal_func", "_scale_fn_ref"}


BEGIN = 0.0
"""The epoch at which a sequence begins with its next child; known by its identity."""


def due(scheduler, epoch=None):
    """The leaves that a step would reach, each with the epoch that it is sent to, if any."""
    children = getattr(scheduler, "_schedulers", None)
    if children is None:
        yield scheduler, epoch
    elif isinstance(scheduler, theirs.ChainedScheduler):
        for child in children:
            yield from due(child)
    else:
        i = bisect_right(scheduler._milestones, scheduler.last_epoch + 1)
        begins = i and scheduler._milestones[i - 1] == scheduler.last_epoch + 1
        yield from due(children[i], BEGIN if begins else None)


def chained(scheduler):
    """The leaves and sequences that chains step together."""
    if isinstance(scheduler, theirs.ChainedScheduler):
        for child in scheduler._schedulers:
            yield from chained(child)
    else:
        yield scheduler


def hands_over(scheduler):
    """Whether a sequence is about to reset the rates, others' part included."""
    milestones = getattr(scheduler, "_milestones", ())
    return scheduler.last_epoch + 1 in milestones


def wrong(leaf, epoch):
    """Whether torch's own answer to the next step is a named deviation."""
    after = leaf.last_epoch + 1 if epoch is None else epoch
    if isinstance(leaf, theirs.OneCycleLR):
        return after > leaf.total_steps - 1  # climbs again, then raises
    if isinstance(leaf, theirs.CosineAnnealingWarmRestarts):
        stale = epoch is BEGIN and leaf.T_cur != 0  # a sequence goes on from it
        return epoch is not None and (stale or _misjudges(leaf, epoch))
    return False


def _misjudges(leaf, epoch):
    """Whether a rounded logarithm puts torch into another cycle than `epoch` lies in."""
    if leaf.T_mult == 1 or epoch < leaf.T_0:
        return False
    begin, length = 0, leaf.T_0
    while epoch >= begin + length:
        begin, length = begin + length, length * leaf.T_mult
    n = int(math.log(epoch / leaf.T_0 * (leaf.T_mult - 1) + 1, leaf.T_mult))
    return leaf.T_0 * leaf.T_mult**n != length
