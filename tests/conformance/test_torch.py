"""The drop-in against the installed torch: random programs, compared after each action."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import ORDERS, Case, Falling, Groups, Make, Rig, halving, ramp, wave

EXAMPLES = pytest.mark.parametrize("examples", [15, pytest.param(300, marks=pytest.mark.slow)])


def floats(low, high):
    """A thousand steps from low to high: no freaks, and both ends are tried."""
    return st.integers(0, 1000).map(lambda k: low + (high - low) * k / 1000)


RATES = st.sampled_from([0.1, 0.05, 0.01, 1e-3, 0.5]) | floats(1e-3, 1.0)
FACTORS = floats(0.125, 1.5)
LENGTHS = st.integers(1, 8)
FUNCTIONS = st.sampled_from([halving, ramp, wave]) | st.builds(Falling, floats(0.5, 1.1))


def per_group(values, n):
    """One for all, or one for each group."""
    return values | st.lists(values, min_size=n, max_size=n)


def arguments(**strategies):
    """Some of these keyword arguments."""
    return st.fixed_dictionaries({}, optional=strategies)


def needed(**strategies):
    return st.fixed_dictionaries(strategies)


def joined(*parts):
    return st.tuples(*parts).map(lambda dicts: {k: v for d in dicts for k, v in d.items()})


class Subject(NamedTuple):
    """How to call one class, and what may be done to it."""

    arguments: Any
    """From the number of groups to a strategy of keyword arguments."""
    attributes: Mapping[str, Any] = {}
    """Attributes that may be set in the middle of a run."""
    items: Mapping[str, Any] = {}
    """Attributes that are lists, whose entries may be set."""
    keys: Mapping[str, Any] = {}
    """Keys of the groups that may be written."""
    epochs: Any = st.integers(0, 30)
    """What `step(epoch)` may be called with; None where torch has no such argument."""
    resumes: bool = True
    """Whether there is a `last_epoch`."""


def cyclic(n):
    return joined(
        needed(base_lr=per_group(floats(1e-3, 0.1), n), max_lr=per_group(RATES, n)),
        arguments(
            step_size_up=LENGTHS,
            step_size_down=st.none() | LENGTHS,
            mode=st.sampled_from(["triangular", "triangular2", "exp_range"]),
            gamma=floats(0.5, 1.0),
            cycle_momentum=st.booleans(),
            base_momentum=per_group(floats(0.5, 0.75), n),
            max_momentum=per_group(floats(0.75, 0.9), n),
        ),
        st.just({})
        | needed(scale_fn=FUNCTIONS, scale_mode=st.sampled_from(["cycle", "iterations"])),
    )


def one_cycle(n):
    def length(three_phase):
        # Phases of no length are a named deviation.
        pct = floats(0.2, 0.49) if three_phase else floats(0.2, 0.9)
        return joined(
            needed(pct_start=pct, three_phase=st.just(three_phase)),
            needed(total_steps=st.integers(12, 30))
            | needed(epochs=st.integers(3, 5), steps_per_epoch=st.integers(4, 6)),
        )

    return joined(
        needed(max_lr=per_group(RATES, n)),
        st.booleans().flatmap(length),
        arguments(
            anneal_strategy=st.sampled_from(["cos", "linear"]),
            cycle_momentum=st.booleans(),
            base_momentum=per_group(floats(0.5, 0.75), n),
            max_momentum=per_group(floats(0.75, 0.9), n),
            div_factor=floats(1, 30),
            final_div_factor=floats(1, 1e4),
        ),
    )


MOMENTA = {"base_momentum": floats(0.5, 0.7), "max_momentum": floats(0.7, 0.9)}

SUBJECTS = {
    "StepLR": Subject(
        lambda n: joined(needed(step_size=LENGTHS), arguments(gamma=FACTORS)),
        {"gamma": FACTORS, "step_size": LENGTHS},
    ),
    "MultiStepLR": Subject(
        lambda n: joined(
            needed(milestones=st.lists(st.integers(0, 12), max_size=5)), arguments(gamma=FACTORS)
        ),
        {
            "gamma": FACTORS,
            "milestones": st.lists(st.integers(0, 20), max_size=4).map(Counter),
        },
    ),
    "ConstantLR": Subject(
        lambda n: arguments(factor=floats(0.125, 1.0), total_iters=LENGTHS),
        {"factor": floats(0.125, 1.0), "total_iters": LENGTHS},
    ),
    "LinearLR": Subject(
        lambda n: arguments(
            start_factor=floats(0.125, 1), end_factor=floats(0, 1), total_iters=LENGTHS
        ),
        {"end_factor": floats(0, 1), "total_iters": LENGTHS},
    ),
    "ExponentialLR": Subject(lambda n: needed(gamma=FACTORS), {"gamma": FACTORS}),
    "PolynomialLR": Subject(
        lambda n: arguments(total_iters=LENGTHS, power=st.just(0.0) | floats(0.25, 3)),
        {"total_iters": LENGTHS, "power": st.just(0.0) | floats(0.25, 3)},
    ),
    "CosineAnnealingLR": Subject(
        lambda n: joined(needed(T_max=LENGTHS), arguments(eta_min=floats(0, 0.25))),
        {"T_max": LENGTHS, "eta_min": floats(0, 0.25)},
        {"base_lrs": RATES},
    ),
    "LambdaLR": Subject(
        lambda n: needed(lr_lambda=per_group(FUNCTIONS, n)), {}, {"base_lrs": RATES}
    ),
    "MultiplicativeLR": Subject(lambda n: needed(lr_lambda=per_group(FUNCTIONS, n))),
    "CosineAnnealingWarmRestarts": Subject(
        lambda n: joined(
            needed(T_0=st.integers(1, 5)),
            arguments(T_mult=st.integers(1, 3), eta_min=floats(0, 0.25)),
        ),
        {"T_cur": st.integers(0, 8) | floats(0, 8), "eta_min": floats(0, 0.25)},
        {"base_lrs": RATES},
        epochs=st.integers(0, 40) | floats(0, 40),
    ),
    "CyclicLR": Subject(
        cyclic,
        {"max_lrs": st.lists(RATES, min_size=4, max_size=4)},
        {"base_lrs": floats(1e-3, 0.1), "max_lrs": RATES, "max_momentums": floats(0.75, 0.9)},
        MOMENTA,
    ),
    "OneCycleLR": Subject(
        one_cycle,
        keys=MOMENTA | {"max_lr": RATES, "initial_lr": RATES, "min_lr": floats(1e-6, 1e-3)},
        epochs=st.integers(0, 11),
    ),
    "SWALR": Subject(
        lambda n: joined(
            needed(swa_lr=per_group(RATES, n)),
            arguments(
                anneal_epochs=st.integers(0, 6), anneal_strategy=st.sampled_from(["cos", "linear"])
            ),
        ),
        {"anneal_epochs": st.integers(0, 6)},
        keys={"swa_lr": RATES},
    ),
    "ReduceLROnPlateau": Subject(
        lambda n: arguments(
            mode=st.sampled_from(["min", "max"]),
            factor=floats(0.1, 0.75),
            patience=st.integers(0, 3),
            threshold=floats(0, 0.25),
            threshold_mode=st.sampled_from(["rel", "abs"]),
            cooldown=st.integers(0, 2),
            min_lr=per_group(floats(0, 1e-2), n),
            eps=st.sampled_from([0.0, 1e-8, 1e-3]),
        ),
        {"patience": st.integers(0, 3), "factor": floats(0.1, 0.75), "cooldown": st.integers(0, 2)},
        {"min_lrs": floats(0, 1e-2)},
        resumes=False,
    ),
    "Recursive": Subject(lambda n: needed(factor=FACTORS), {"factor": FACTORS}),
    "Closed": Subject(lambda n: needed(scale=floats(0, 2)), {"scale": floats(0, 2)}),
    "Delayed": Subject(
        lambda n: needed(wait=st.integers(0, 4), T_max=st.integers(2, 8)),
        {"wait": st.integers(0, 4), "T_max": LENGTHS},
    ),
    "Floored": Subject(lambda n: needed(lr_lambda=per_group(FUNCTIONS, n))),
}


GROWING = {
    *("StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"),
    "Recursive",
}
"""The classes with which torch survives a group that is added to the optimizer."""


@st.composite
def groups(draw):
    kind = draw(st.sampled_from([torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW]))
    rates = draw(st.lists(RATES, min_size=1, max_size=4))
    dtype = draw(st.sampled_from([None, None, torch.float32, torch.float64]))
    return Groups(kind, tuple(rates), dtype)


def makes(name, n):
    return SUBJECTS[name].arguments(n).map(lambda given: Make(name, given))


def each(action, choices):
    """An action for each name and its strategy of values."""
    return [st.tuples(*action, st.just(name), values) for name, values in choices.items()]


WHICH = st.integers(0, 3)
ORDINARY = {"weight_decay": floats(0, 0.5), "momentum": floats(0, 0.9), "beta1": floats(0, 0.9)}


METRICS = floats(-1, 1)


def actions(names, *, epochs=None, resumes=False, second=None, grows=False):
    """What may be done to schedulers of these classes."""
    run = st.tuples(st.just("run"), WHICH, METRICS, st.integers(1, 6))
    some = [
        st.tuples(st.just("update")),
        st.tuples(st.just("step"), WHICH, METRICS),
        st.tuples(st.just("scale"), WHICH, floats(0.25, 2)),
        st.tuples(st.just("put"), WHICH, RATES),
        st.tuples(st.just("replace"), WHICH, RATES),
        *each((st.just("write"), WHICH), ORDINARY),
        st.just(("keep",)),
        st.just(("go_back",)),
        st.tuples(st.just("copy"), st.sampled_from(["deepcopy", "pickle"])),
        st.tuples(
            st.just("reload"), st.sampled_from(["own", "torch", "cadence"]), st.sampled_from(ORDERS)
        ),
    ]
    for name in names:
        subject = SUBJECTS[name]
        some += each((st.just("assign"), WHICH), subject.attributes)
        some += each((st.just("write_all"),), subject.keys)
        some += [
            st.tuples(st.just("assign_item"), WHICH, st.just(item), WHICH, values)
            for item, values in subject.items.items()
        ]
    if epochs is not None:
        some.append(st.tuples(st.just("step"), WHICH, METRICS, epochs))
    if resumes:
        some.append(st.tuples(st.just("resume"), st.integers(-1, 12)))
    if second is not None:
        some.append(st.tuples(st.just("second"), second))
    if grows:
        some.append(st.tuples(st.just("grow"), RATES))
    return st.lists(run | st.one_of(some), max_size=15).map(tuple)


@st.composite
def cases(draw, name):
    """One scheduler of a class, alone or beside a second one."""
    subject, built = SUBJECTS[name], draw(groups())
    n = len(built.rates)
    beside = draw(st.booleans())
    second = st.sampled_from(list(SUBJECTS)).flatmap(lambda other: makes(other, n))
    todo = actions(
        [name],
        epochs=subject.epochs,
        resumes=subject.resumes and not beside,
        second=second if beside else None,
        grows=name in GROWING and not beside,
    )
    return Case(built, draw(makes(name, n)), draw(todo))


LEAVES = [name for name in SUBJECTS if name != "ReduceLROnPlateau"]


def sequences(n, leaves):
    """One leaf after the other; torch cannot nest composites here."""

    def among(children):
        count = len(children) - 1
        milestones = st.lists(st.integers(0, 12), min_size=count, max_size=count).map(sorted)
        return milestones.map(
            lambda given: Make("SequentialLR", {"milestones": given}, tuple(children))
        )

    return st.lists(leaves, min_size=1, max_size=3).flatmap(among)


def chains(children, first=None):
    """All at once; a sequence may be the first, up to its first milestone."""
    some = st.lists(children, min_size=1, max_size=3)
    if first is not None:
        some |= st.builds(lambda head, tail: [head, *tail[:2]], first, some)
    return some.map(lambda given: Make("ChainedScheduler", {}, tuple(given)))


def compositions(kind, n):
    leaves = st.sampled_from(LEAVES).flatmap(lambda name: makes(name, n))
    flat = sequences(n, leaves)
    if kind == "SequentialLR":
        return flat
    inner = chains(leaves, flat)
    return inner if kind == "ChainedScheduler" else chains(leaves | chains(leaves), inner)


def names(make):
    if make.children:
        return {name for child in make.children for name in names(child)}
    return {make.name}


@st.composite
def composed(draw, kind):
    """A composition of schedulers."""
    built = draw(groups())
    make = draw(compositions(kind, len(built.rates)))
    return Case(built, make, draw(actions(sorted(names(make)))))


@EXAMPLES
@pytest.mark.parametrize("name", SUBJECTS)
def test_every_class_gives_torchs_numbers_whatever_is_done_to_it(name, examples):
    @settings(max_examples=examples)
    @given(cases(name))
    def holds(case):
        Rig(case)

    holds()


COMPOSITES = ["SequentialLR", "ChainedScheduler", "chains of chains"]


@EXAMPLES
@pytest.mark.parametrize("kind", COMPOSITES)
def test_compositions_give_torchs_numbers_where_torch_composes(kind, examples):
    @settings(max_examples=examples)
    @given(composed(kind))
    def holds(case):
        Rig(case)

    holds()
