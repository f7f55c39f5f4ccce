"""Resuming: whatever is built and loaded in whatever order, the run goes on to the bit."""

from __future__ import annotations

import copy
import io
import json
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cadence as cd
from cadence import Horizon, Scheduler
from cadence.errors import (
    ArgumentError,
    CadenceError,
    ExternalChangeWarning,
    MismatchError,
    PastEndError,
    TakeoverWarning,
)
from optimizers import adamw, advance, groups, held, sgd, snapshot
from strategies import resolved


def through_torch(value):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


FORMATS = {
    "torch": through_torch,
    "json": lambda value: json.loads(json.dumps(value)),
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "copy": copy.deepcopy,
}

ORDERS = [
    "build optimizer scheduler",
    "optimizer build scheduler",
    "build scheduler optimizer",
    "build scheduler",
    "build scheduler scheduler",
    "build optimizer optimizer scheduler scheduler",
    "optimizer optimizer build scheduler scheduler",
    "build scheduler scheduler optimizer optimizer",
    "build optimizer scheduler optimizer scheduler",
    "build scheduler optimizer scheduler optimizer",
    "optimizer build optimizer scheduler",
    "optimizer build scheduler optimizer",
    "build walk scheduler",
    "build walk optimizer scheduler",
    "build walk scheduler optimizer walk scheduler",
]

MAKERS = {
    "sgd": (sgd, {"momentum": 0.9, "weight_decay": 0.1}, ["lr", "momentum", "weight_decay"]),
    "adamw": (adamw, {"weight_decay": 0.1}, ["lr", "beta1", "beta2", "weight_decay"]),
}


class Run:
    """A run that can be made anew, walked, and saved."""

    def __init__(self, make, plans, *, horizon=None, **options):
        self.make, self.plans, self.options = make, plans, {"horizon": horizon, **options}

    def build(self, optimizer):
        return Scheduler(optimizer, **self.plans, **self.options)

    def resumed(self, order, saved):
        """Do what the order says with a new optimizer; the scheduler's state comes last or not."""
        optimizer, scheduler = self.make(), None
        for word in order.split():
            if word == "build":
                scheduler = self.build(optimizer)
            elif word == "walk":
                advance(scheduler, 3)
            elif word == "optimizer":
                optimizer.load_state_dict(through_torch(saved["optimizer"]))
            else:
                scheduler.load_state_dict(saved["scheduler"])
        return scheduler

    def rates(self, scheduler):
        return [[held(o, key) for key in self.plans] for o in scheduler.optimizers]


@st.composite
def runs(draw):
    """A run with random plans for random keys of one of two optimizers, float or tensor rates."""
    kind = draw(st.sampled_from(["sgd", "adamw"]))
    maker, options, keys = MAKERS[kind]
    dtype = draw(st.sampled_from([None, torch.float32, torch.float64]))
    bases = draw(st.lists(st.sampled_from([0.0, 0.1, 0.3, 1.7]), min_size=1, max_size=3))
    first, _, horizon = draw(resolved(max_depth=2))
    plans = {"lr": first}
    for key in draw(st.sets(st.sampled_from(keys[1:]))):
        plans[key] = draw(
            st.sampled_from(
                [
                    cd.Warmup("20%") >> cd.Cosine(end=0.5),
                    cd.Linear(end=0.2),
                    cd.Constant(0.7),
                    cd.StepDecay(2, 0.9),
                ]
            )
        )
    past_end = draw(st.sampled_from(["hold", "repeat"]))
    return Run(
        lambda: maker(*bases, dtype=dtype, **options), plans, horizon=horizon, past_end=past_end
    )


@pytest.mark.filterwarnings("ignore::cadence.errors.ScheduleWarning")  # plans at random
@settings(max_examples=60)
@given(runs(), st.data())
def test_a_run_cut_anywhere_goes_on_to_the_bit(run, data):
    """Every order of building and loading, each also twice, gives the rates of the whole run."""
    original = run.build(run.make())
    cut = data.draw(st.integers(0, 40) | st.integers(0, original.horizon.total_steps + 2))
    original.seek(max(0, cut - 3))
    advance(original, min(cut, 3))
    saved = {
        "optimizer": copy.deepcopy(original.optimizer.state_dict()),
        "scheduler": through_torch(original.state_dict()),
    }
    orders = data.draw(st.lists(st.sampled_from(ORDERS), min_size=1, max_size=4, unique=True))
    resumed = [run.resumed(order, saved) for order in orders]
    for step in range(cut, cut + 8):
        expected = run.rates(original)
        for order, scheduler in zip(orders, resumed, strict=True):
            assert run.rates(scheduler) == expected, (order, step)
            assert scheduler.last_epoch == step
            assert scheduler.state_dict() == original.state_dict()
            advance(scheduler)
        advance(original)


PLANS = {
    "warm-up and cosine": cd.Warmup("10%") >> cd.Cosine(end=0.1),
    "warm-up, stable, decay": cd.Warmup(3) >> cd.Hold() >> cd.OneMinusSqrt("30%"),
    "steps": cd.StepDecay(4, 0.5),
    "restarts": cd.Cosine().repeat(3, peak_mult=0.5),
    "clipped": cd.Linear().clip(low=cd.absolute(0.05), high=0.8),
    "absolute": cd.Linear(end=cd.absolute(1e-3)),
    "growing": cd.Constant(0, 2) >> cd.Geometric(start=0.01, end=1),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [None, torch.float32], ids=["float", "tensor"])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_order_to_the_very_end(plan, dtype, order):
    """A run of 20 steps that is cut at each of them continues exactly until it is over."""
    run = Run(
        lambda: sgd(0.5, 0.3, dtype=dtype, momentum=0.9), {"lr": plan, "momentum": cd.Linear()},
        total_steps=20,
    )  # fmt: skip
    original = run.build(run.make())
    trace, states = [], []
    for _ in range(23):
        trace.append(run.rates(original))
        states.append(
            {
                "optimizer": copy.deepcopy(original.optimizer.state_dict()),
                "scheduler": original.state_dict(),
            }
        )
        advance(original)
    for cut in (0, 1, 3, 7, 14, 19, 20, 22):
        scheduler = run.resumed(order, states[cut])
        for step in range(cut, 23):
            assert run.rates(scheduler) == trace[step], (cut, step)
            advance(scheduler)


TRAINING = """
import json, sys
import torch
import cadence as cd

mode, path = sys.argv[1:]
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
data = torch.randn(30, 16, 4)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
scheduler = cd.Scheduler(
    optimizer, lr="Warmup(10%) >> Cosine(end=0.1)", beta1=cd.Linear(end=0.5), total_steps=30
)
parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
if mode == "resume":
    saved = torch.load(path)
    for name in ("scheduler", "model", "optimizer"):
        parts[name].load_state_dict(saved[name])
rates = []
for step in range(scheduler.last_epoch, 30):
    if mode == "save" and step == 13:
        torch.save({name: part.state_dict() for name, part in parts.items()}, path)
    rates.append([optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"][0]])
    optimizer.zero_grad()
    model(data[step]).square().mean().backward()
    optimizer.step()
    scheduler.step()
print(json.dumps([rates, [p.tolist() for p in model.parameters()]]))
"""


@pytest.mark.slow
def test_a_fresh_process_goes_on_to_the_bit(tmp_path):
    """A training that is saved, and resumed by another process, ends with the same parameters."""

    def train(mode):
        run = [sys.executable, "-W", "error", "-c", TRAINING, mode, str(tmp_path / "state.pt")]
        return json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)

    rates, weights = train("save")
    assert train("resume") == [rates[13:], weights]


# The state itself.


def a_scheduler(**options):
    optimizer = adamw(0.5, 0.3, names=["body", "head"])
    plans = {"lr": cd.Warmup("10%") >> cd.Cosine(), "beta1": [0.9, cd.Linear()]}
    scheduler = Scheduler(optimizer, **{**plans, "total_steps": 40, **options})
    advance(scheduler, 7)
    return scheduler


def plain(value):
    if isinstance(value, dict):
        return all(type(key) is str and plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (int, float, str, bool)


def test_the_state_is_plain_and_has_fixed_keys():
    """The state is of plain Python values under keys that never change."""
    state = a_scheduler().state_dict()
    assert plain(state)
    assert state == {
        "version": 2,
        "clock": "update",
        "step": 7,
        "round": [],
        "groups": [2],
        "horizon": {
            "total_steps": 40,
            "steps_per_epoch": None,
            "samples_per_step": None,
            "tokens_per_step": None,
            "wall_time": None,
        },
        "plans": {
            "lr": ["Warmup('10%') >> Cosine()"],
            "beta1": ["Constant(0.9)", "Linear()"],
        },
        "bases": {"lr": [0.5, 0.3], "beta1": [0.9]},
        "own": {"lr": [0.5, 0.3], "beta1": [0.9]},
        "also": {},
        "revisions": [],
        "feedback": {"controller": None, "state": {}},
        "decisions": [],
        "adjustments": [],
        "time": [],
    }
    assert set(Scheduler(sgd(), lr=cd.InverseSqrt(3)).state_dict()) == set(state)


VERSION_1 = {
    "version": 1,
    "clock": "update",
    "step": 7,
    "groups": [2],
    "horizon": {
        "total_steps": 40,
        "steps_per_epoch": None,
        "samples_per_step": None,
        "tokens_per_step": None,
    },
    "plans": {"lr": ["Warmup('10%') >> Cosine()"], "beta1": ["Constant(0.9)", "Linear()"]},
    "bases": {"lr": [0.5, 0.3], "beta1": [0.9]},
}
"""What `a_scheduler` gave in the first version of Cadence."""


def test_a_state_of_the_first_version_loads():
    """A checkpoint of version 0.1 resumes to the bit: nothing but step and bases changed then."""
    scheduler, other = a_scheduler(), a_scheduler()
    scheduler.seek(0)
    before = copy.deepcopy(VERSION_1)
    scheduler.load_state_dict(VERSION_1)
    assert before == VERSION_1
    assert scheduler.state_dict() == other.state_dict()
    for _ in range(5):
        assert (
            snapshot(scheduler.optimizer)[0][0]["betas"]
            == (snapshot(other.optimizer)[0][0]["betas"])
        )
        assert held(scheduler.optimizer) == held(other.optimizer)
        advance(scheduler)
        advance(other)


@pytest.mark.parametrize("key", ["plans", "bases", "step"])
def test_a_broken_state_of_the_first_version(key):
    """What a state of version 1 lacks is told as for today's."""
    scheduler = a_scheduler()
    before = snapshot(scheduler.optimizer), scheduler.state_dict()
    state = {name: value for name, value in VERSION_1.items() if name != key}
    with pytest.raises(MismatchError, match=rf"missing \['{key}'\], unknown \[\]"):
        scheduler.load_state_dict(state)
    assert (snapshot(scheduler.optimizer), scheduler.state_dict()) == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_the_state_of_tensors_is_plain(dtype):
    """Tensor rates leave no tensor in the state."""
    scheduler = Scheduler(sgd(0.5, 0.3, dtype=dtype), lr=cd.Linear(9))
    advance(scheduler, 2)
    assert plain(scheduler.state_dict())


@pytest.mark.parametrize("form", FORMATS)
def test_the_state_survives_every_format(form):
    """torch.save, JSON, pickle and a deep copy keep the state equal, and it loads."""
    scheduler = a_scheduler()
    state = FORMATS[form](scheduler.state_dict())
    assert state == scheduler.state_dict()
    other = a_scheduler()
    other.seek(0)
    other.load_state_dict(state)
    assert held(other.optimizer) == held(scheduler.optimizer)


def overwrite(value):
    """Spoil everything in a nested value."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(item, (dict, list)):
            overwrite(item)
        value[key] = None


def test_the_state_shares_nothing_with_the_scheduler():
    """What is done to a state, after saving or after loading, does not reach the scheduler."""
    scheduler = a_scheduler()
    before = scheduler.state_dict()
    saved = scheduler.state_dict()
    overwrite(saved)
    assert scheduler.state_dict() == before
    loaded = copy.deepcopy(before)
    scheduler.load_state_dict(loaded)
    assert loaded == before
    overwrite(loaded)
    advance(scheduler)
    assert scheduler.state_dict() == {**before, "step": 8}


def test_a_thousand_groups_take_little_room():
    """Groups with equal bases and plans are stored once."""
    scheduler = Scheduler(sgd(*[0.1] * 1000), lr=PLANS["warm-up and cosine"], total_steps=100)
    assert len(json.dumps(scheduler.state_dict())) < 450


def test_foreign_changes_are_read_back_into_the_state():
    """A rate that was changed by hand since the last step goes on from the checkpoint too."""
    run = Run(lambda: sgd(0.5, 0.3), {"lr": cd.Warmup(4) >> cd.Cosine(9)})
    scheduler = run.build(run.make())
    advance(scheduler, 7)
    scheduler.optimizer.param_groups[0]["lr"] *= 0.7
    with pytest.warns(ExternalChangeWarning, match="base 0.5 -> 0.35"):
        saved = {"scheduler": scheduler.state_dict()}
    saved["optimizer"] = copy.deepcopy(scheduler.optimizer.state_dict())
    for order in ORDERS:
        resumed = run.resumed(order, saved)
        assert run.rates(resumed) == run.rates(scheduler)
        assert resumed.state_dict() == scheduler.state_dict()
        advance(resumed, 2)
        assert run.rates(resumed)[0][0] == [resumed.value_at(9, group=i) for i in (0, 1)]


def test_several_optimizers_have_one_state():
    """Several optimizers under one clock are saved and resumed together."""

    def build():
        return Scheduler([sgd(0.5, 0.3), adamw(0.1)], lr=PLANS["restarts"], total_steps=20)

    original = build()
    advance(original, 9)
    resumed = build()
    resumed.load_state_dict(through_torch(original.state_dict()))
    for _ in range(12):
        assert resumed.get_last_lr() == original.get_last_lr()
        advance(original)
        advance(resumed)


def test_building_again_and_loading():
    """A scheduler built on an optimizer that another one had resumed is exact once it is loaded."""
    scheduler = a_scheduler()
    state, before = scheduler.state_dict(), snapshot(scheduler.optimizer)
    with pytest.warns(TakeoverWarning, match="this one takes over"):
        second = Scheduler(
            scheduler.optimizer,
            lr=cd.Warmup("10%") >> cd.Cosine(),
            beta1=[0.9, cd.Linear()],
            total_steps=40,
        )
    second.load_state_dict(state)
    assert snapshot(second.optimizer) == before


# What does not load.


def changed(**changes):
    return lambda state: {**state, **changes}


def without(key):
    return lambda state: {name: value for name, value in state.items() if name != key}


def torch_state(state):
    return torch.optim.lr_scheduler.StepLR(sgd(), 3).state_dict()


def nested(key, **changes):
    return lambda state: {**state, key: {**state[key], **changes}}


ANOTHER = "Scheduler.load_state_dict: the checkpoint was made by another schedule\n"
CHOOSE = "\nChoose with Scheduler(..., on_mismatch='checkpoint' or 'constructor')."
REVISION = {
    "step": 3, "before": 40, "total_steps": 50, "how": "hold", "steps": 0,
    "shape": "OneMinusSqrt", "end": 0.0, "keys": ["lr"],
}  # fmt: skip
REFUSED = [
    (
        changed(version=3),
        "Scheduler.load_state_dict: the state's version must be 2 (got 3); load it with the "
        "version of cadence that wrote it",
    ),
    (
        without("step"),
        "Scheduler.load_state_dict: the state must have the keys version, clock, step, round, "
        "groups, horizon, plans, bases, own, also, revisions, feedback, decisions, "
        "adjustments, time "
        "(missing ['step'], unknown [])",
    ),
    (
        changed(stride=3),
        "Scheduler.load_state_dict: the state must have the keys version, clock, step, round, "
        "groups, horizon, plans, bases, own, also, revisions, feedback, decisions, "
        "adjustments, time "
        "(missing [], unknown ['stride'])",
    ),
    (
        lambda state: None,
        "Scheduler.load_state_dict: the state must be one of cadence.Scheduler (got NoneType)",
    ),
    (
        lambda state: [state],
        "Scheduler.load_state_dict: the state must be one of cadence.Scheduler (got list)",
    ),
    (
        lambda state: {},
        "Scheduler.load_state_dict: the state must be one of cadence.Scheduler (got [])",
    ),
    (
        torch_state,
        "Scheduler.load_state_dict: the state must be one of cadence.Scheduler (got ['step_size', "
        "'gamma', 'base_lrs', 'last_epoch', '_step_count', '_is_initial', "
        "'_get_lr_called_within_step', '_last_lr'])",
    ),
    (
        changed(groups=[3]),
        "Scheduler.load_state_dict: the state must be of the same groups and hyperparameters (it "
        "has [3] groups and lr, beta1; the scheduler has [2] and lr, beta1)",
    ),
    (
        changed(groups=2),
        "Scheduler.load_state_dict: the state's 'groups' must be a list (got 2)",
    ),
    (
        changed(plans={"lr": ["Linear()"]}, bases={"lr": [0.5]}, own={"lr": [0.5]}),
        "Scheduler.load_state_dict: the state must be of the same groups and hyperparameters (it "
        "has [2] groups and lr; the scheduler has [2] and lr, beta1)",
    ),
    (
        changed(plans=["Linear()"]),
        "Scheduler.load_state_dict: the state's 'plans' must be a dict (got ['Linear()'])",
    ),
    (
        changed(bases={"lr": [0.5]}),
        "Scheduler.load_state_dict: the state's 'bases' must have the keys lr, beta1 (missing "
        "['beta1'], unknown [])",
    ),
    (
        nested("bases", lr=[0.1, 0.2, 0.3]),
        "Scheduler.load_state_dict: 'lr' must have 2 plans and bases",
    ),
    (
        nested("plans", lr="Linear()"),
        "Scheduler.load_state_dict: 'lr' must have 2 plans and bases",
    ),
    (
        nested("bases", beta1=[float("nan")]),
        "Scheduler.load_state_dict: 'bases' must be finite (got nan)",
    ),
    (
        nested("bases", lr=[0.5, "0.3"]),
        "Scheduler.load_state_dict: 'bases' must be a number (got '0.3')",
    ),
    (
        changed(own={"lr": [0.5]}),
        "Scheduler.load_state_dict: the state's 'own' must have the keys lr, beta1 (missing "
        "['beta1'], unknown [])",
    ),
    (
        changed(also={"dropout": "Linear()"}),
        "Scheduler.load_state_dict: the state must be of the same groups and hyperparameters (it "
        "has [2] groups and lr, beta1, dropout; the scheduler has [2] and lr, beta1)",
    ),
    (changed(round=[-1]), "Scheduler.load_state_dict: 'round' must be >= 0 (got -1)"),
    (
        changed(decisions=[[1, 2.0]]),
        "Scheduler.load_state_dict: the state's 'decisions' must hold lines of JSON "
        "(got [[1, 2.0]])",
    ),
    (
        changed(decisions=["[1, 2.0]"]),
        "Scheduler.load_state_dict: the state's 'decisions' must hold lists of step, metric, "
        "factor, reason (got [[1, 2.0]])",
    ),
    (
        changed(adjustments=["3"]),
        "Scheduler.load_state_dict: the state's 'adjustments' must hold lists of step, key, "
        "group, factor, level, reason (got [3])",
    ),
    (
        changed(revisions=['{"step": 3}']),
        "Scheduler.load_state_dict: a revision must have the keys step, before, total_steps, how, "
        "steps, shape, end, keys (got {'step': 3})",
    ),
    (
        changed(revisions=[json.dumps({**REVISION, "how": "strech"})]),
        "Scheduler.load_state_dict: 'how' must be one of 'hold', 'stretch', 'cooldown', 'rewarm' "
        "(got 'strech'); did you mean 'stretch'?",
    ),
    (
        changed(revisions=[json.dumps({**REVISION, "shape": "Squiggle"})]),
        "Scheduler.load_state_dict: the checkpoint's cool-down is a 'Squiggle', which must be a "
        "known ramp; import its module first",
    ),
    (
        nested("feedback", controller="Plateau()"),
        ANOTHER + "  feedback:\n    checkpoint:  Plateau()\n    constructor: None" + CHOOSE,
    ),
    (changed(step=-1), "Scheduler.load_state_dict: 'step' must be >= 0 (got -1)"),
    (
        changed(step=7.0),
        "Scheduler.load_state_dict: 'step' must be a whole number (got 7.0); write 7",
    ),
    (
        changed(horizon={"total_steps": 40}),
        "Scheduler.load_state_dict: the state's 'horizon' must have the keys total_steps, "
        "steps_per_epoch, samples_per_step, tokens_per_step, wall_time (missing "
        "['steps_per_epoch', 'samples_per_step', 'tokens_per_step', 'wall_time'], unknown [])",
    ),
    (
        nested("horizon", total_steps=-40),
        "Horizon: 'total_steps' must be >= 1 (got -40)",
    ),
    (
        changed(clock="batch"),
        "Scheduler.load_state_dict: 'clock' must be one of 'update', 'epoch' (got 'batch')",
    ),
    (
        changed(clock="epoch"),
        ANOTHER + "  clock: checkpoint 'epoch', constructor 'update'" + CHOOSE,
    ),
    (
        nested("plans", lr=["Warmup('10%') >> Linear()"]),
        ANOTHER + "  lr of param_groups[0]:\n"
        "    checkpoint:  Warmup('10%') >> Linear()\n"
        "    constructor: Warmup('10%') >> Cosine()\n"
        "    at step 7: 0.458333 by the checkpoint's plan, 0.491481 by the constructor's" + CHOOSE,
    ),
    (
        nested("plans", beta1=["Constant(0.9)", "Function('halved_every_third')"]),
        ANOTHER + "  beta1 of param_groups[1]:\n"
        "    checkpoint:  Function('halved_every_third')\n"
        "    constructor: Linear()" + CHOOSE,
    ),
    (
        nested("horizon", total_steps=80),
        ANOTHER + "  total_steps: checkpoint 80, constructor 40\n"
        "  lr of param_groups[0]:\n"
        "    checkpoint:  Warmup(8) >> Cosine(72)\n"
        "    constructor: Warmup(4) >> Cosine(36)\n"
        "    at step 7: 0.445312 by the checkpoint's plan, 0.491481 by the constructor's\n"
        "  beta1 of param_groups[0]:\n"
        "    checkpoint:  Constant(0.9, 80)\n"
        "    constructor: Constant(0.9, 40)\n"
        "    at step 7: 0.81 by the checkpoint's plan, 0.81 by the constructor's\n"
        "  beta1 of param_groups[1]:\n"
        "    checkpoint:  Linear(80)\n"
        "    constructor: Linear(40)\n"
        "    at step 7: 0.82125 by the checkpoint's plan, 0.7425 by the constructor's" + CHOOSE,
    ),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSED, ids=[m[27:90] for _, m in REFUSED])
def test_a_refused_state_changes_nothing(spoil, message):
    """A state that cannot be loaded says why, and the scheduler goes on as if nothing was."""
    scheduler, twin = a_scheduler(), a_scheduler()
    state = spoil(scheduler.state_dict())
    before = snapshot(scheduler.optimizer), scheduler.state_dict(), repr(scheduler)
    with pytest.raises(CadenceError) as caught:
        scheduler.load_state_dict(state)
    assert str(caught.value) == message
    assert (snapshot(scheduler.optimizer), scheduler.state_dict(), repr(scheduler)) == before
    advance(scheduler, 3)
    advance(twin, 3)
    assert held(scheduler.optimizer) == held(twin.optimizer)
    assert held(scheduler.optimizer, "beta1") == held(twin.optimizer, "beta1")


def test_epochs_of_another_length_are_a_difference():
    """The same text that comes to other steps by another horizon is shown in steps."""

    def build(each):
        horizon = Horizon(100, steps_per_epoch=each)
        return Scheduler(sgd(0.5), lr=cd.Warmup("2ep") >> cd.Linear(), horizon=horizon)

    with pytest.raises(MismatchError) as caught:
        build(20).load_state_dict(build(10).state_dict())
    assert "checkpoint:  Warmup(20) >> Linear(80)\n" in str(caught.value)
    assert "constructor: Warmup(40) >> Linear(60)\n" in str(caught.value)


def test_text_that_differs_without_a_difference():
    """A plan that was written otherwise but resolves to the same steps loads without a word."""
    one = Scheduler(sgd(0.5), lr="warmup(10%) >> cosine()", total_steps=50)
    two = Scheduler(sgd(0.5), lr=cd.Warmup(5) >> cd.Cosine(45), total_steps=50)
    advance(one, 9)
    two.load_state_dict(one.state_dict())
    assert held(two.optimizer) == held(one.optimizer)


def made_with(plan, total_steps, **options):
    return Scheduler(sgd(0.5, 0.25, names=["a", "b"]), lr=plan, total_steps=total_steps, **options)


def an_epoch(scheduler):
    """An epoch of a few updates: of one update each, a clock of epochs would be a mistake."""
    for _ in range(2):
        scheduler.optimizer.step()
    advance(scheduler)


def test_the_checkpoint_decides():
    """With on_mismatch="checkpoint" plans, run length and clock are the checkpoint's."""
    original = made_with(cd.Warmup(4) >> cd.Cosine(), 40, clock="epoch")
    for _ in range(9):
        an_epoch(original)
    resumed = made_with(cd.Linear(), 20, on_mismatch="checkpoint", past_end="raise")
    resumed.load_state_dict(original.state_dict())
    assert resumed.state_dict() == original.state_dict()
    assert resumed.clock == "epoch"
    for _ in range(31):
        assert held(resumed.optimizer) == held(original.optimizer)
        an_epoch(resumed)
        an_epoch(original)
    with pytest.raises(PastEndError, match="the plan ends at step 40"):
        resumed.step()


@pytest.mark.parametrize("given", ["one", "dict", "list"])
def test_groups_to_come_follow_the_checkpoint_too(given):
    """A group that is added after the checkpoint's plans were taken follows these."""
    theirs, ours = cd.Cosine(), cd.Linear()
    forms = {
        "one": lambda plan: plan,
        "dict": lambda plan: {"a": plan, "b": plan},
        "list": lambda plan: [plan, plan],
    }
    original = made_with(theirs, 40)
    advance(original, 9)
    resumed = made_with(forms[given](ours), 20, on_mismatch="checkpoint")
    resumed.load_state_dict(original.state_dict())
    resumed.optimizer.add_param_group(groups([1.0], names=["b"])[0])
    if given == "list":
        with pytest.raises(ArgumentError, match="must give one plan for each of 3 groups"):
            advance(resumed)
    else:
        advance(resumed)
        assert held(resumed.optimizer)[2] == theirs.resolve(40)(10, 1.0)


def test_the_constructor_decides():
    """With on_mismatch="constructor" only the step and the bases are the checkpoint's."""
    original = made_with(cd.Warmup(4) >> cd.Cosine(), 40)
    original.base_lrs = [0.7, 0.6]
    advance(original, 9)
    resumed = made_with(cd.Linear(), 20, on_mismatch="constructor")
    resumed.load_state_dict(original.state_dict())
    assert resumed.horizon == Horizon(20)
    for step in range(9, 22):
        expected = [cd.Linear(20)(step, base) for base in (0.7, 0.6)]
        assert held(resumed.optimizer) == expected
        advance(resumed)


def test_a_step_beyond_the_constructors_end():
    """A step that the constructor's run does not have is refused before anything changes."""
    original = made_with(cd.Cosine(), 40)
    advance(original, 30)
    resumed = made_with(cd.Linear(), 20, on_mismatch="constructor", past_end="raise")
    before = snapshot(resumed.optimizer), resumed.state_dict()
    with pytest.raises(PastEndError, match=r"the plan ends at step 20 \(asked for step 30\)"):
        resumed.load_state_dict(original.state_dict())
    assert (snapshot(resumed.optimizer), resumed.state_dict()) == before


def test_a_checkpoint_without_an_end():
    """A checkpoint's plan that never ends is refused where the end has been given a meaning."""
    original = Scheduler(sgd(0.5), lr=cd.InverseSqrt(10))
    resumed = Scheduler(sgd(0.5), lr=cd.Linear(20), on_mismatch="checkpoint", past_end="repeat")
    before = snapshot(resumed.optimizer), resumed.state_dict()
    with pytest.raises(ArgumentError, match="past_end='repeat' must have an end"):
        resumed.load_state_dict(original.state_dict())
    assert (snapshot(resumed.optimizer), resumed.state_dict()) == before


# Functions.


def test_registered_functions_are_rebuilt():
    """A checkpoint's plan with a registered function is taken by its name."""

    @cd.register
    def a_third(step):
        return 1 / (step + 3)

    original = made_with(cd.Warmup(4) >> cd.Function("a_third"), 40)
    advance(original, 9)
    resumed = made_with(cd.Linear(), 20, on_mismatch="checkpoint")
    resumed.load_state_dict(through_torch(original.state_dict()))
    assert held(resumed.optimizer) == held(original.optimizer)


def test_functions_that_are_not_registered():
    """The same function resumes unregistered; another plan cannot rebuild it, and says so."""

    def a_third(step):
        return 1 / (step + 3)

    original = made_with(a_third, 40)
    advance(original, 9)
    state = through_torch(original.state_dict())
    resumed = made_with(a_third, 40)
    resumed.load_state_dict(state)
    assert held(resumed.optimizer) == held(original.optimizer)
    other = made_with(cd.Linear(), 40, on_mismatch="checkpoint")
    before = snapshot(other.optimizer)
    message = (
        r"the checkpoint's plan cannot be read back: Function\(<.*a_third>\); register its "
        r"function with @cadence.register"
    )
    with pytest.raises(MismatchError, match=message):
        other.load_state_dict(state)
    assert snapshot(other.optimizer) == before


def test_a_function_that_fails_at_the_loaded_step():
    """A plan's own function that raises at the loaded step leaves everything as it was."""

    @cd.register
    def table(step):
        return [1.0, 0.5, 0.25][step]

    scheduler = made_with(table, 40)
    advance(scheduler)
    before = snapshot(scheduler.optimizer), scheduler.state_dict()
    with pytest.raises(IndexError):
        scheduler.load_state_dict({**scheduler.state_dict(), "step": 5})
    assert (snapshot(scheduler.optimizer), scheduler.state_dict()) == before
    advance(scheduler)
    assert held(scheduler.optimizer) == [0.125, 0.0625]
