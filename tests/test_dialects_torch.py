"""torch's schedulers as plans: how they read, torch's corners, and what is refused."""

import functools
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

import cadence as cd
from cadence import absolute, lr_scheduler, parse
from cadence.dialects import from_lightning, from_torch
from cadence.dialects.torch import RunningProduct
from cadence.errors import ArgumentError


def sgd(lr=0.1, groups=1):
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def halves(epoch):
    return 0.5**epoch


def rates(scheduler, n):
    found = []
    with warnings.catch_warnings(action="ignore"):
        for _ in range(n):
            found.append(float(scheduler.optimizer.param_groups[0]["lr"]))
            scheduler.optimizer.step()
            scheduler.step()
    return found


PLANS = [
    ("StepLR", {"step_size": 30}, "StepDecay(30)"),
    ("MultiStepLR", {"milestones": [80, 30]}, "MultiStepDecay((30, 80))"),
    ("ConstantLR", {"factor": 0.5}, "Constant(0.5, 5) >> Constant(1)"),
    ("LinearLR", {"start_factor": 0.1}, "Linear(5, start=0.1, end=1)"),
    ("ExponentialLR", {"gamma": 0.9}, "ExponentialDecay(0.9)"),
    ("PolynomialLR", {"total_iters": 9, "power": 2}, "Polynomial(9, power=2)"),
    ("CosineAnnealingLR", {"T_max": 9}, "(Cosine(9) >> Cosine(9, start=0, end=1)).repeat()"),
    (
        "CosineAnnealingWarmRestarts",
        {"T_0": 9, "T_mult": 2, "eta_min": 1e-4},
        "Cosine(9, end=absolute(0.0001)).repeat(length_mult=2)",
    ),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.11, "step_size_up": 4},
        "(Linear(4, start=0, end=1) >> Linear(4)).repeat() * absolute(0.1) + absolute(0.01)",
    ),
    (
        "OneCycleLR",
        {"max_lr": 0.5, "total_steps": 100},
        "PiecewiseCosine(((0, 0.04), (29, 1), (99, 4e-06))) * absolute(0.5)",
    ),
    ("OneCycleLR", {"total_steps": 100}, "PiecewiseCosine(((0, 0.04), (29, 1), (99, 4e-06)))"),
    ("SWALR", {"swa_lr": 0.05}, "Cosine(10, end=absolute(0.05))"),
    ("LinearLR", {"start_factor": 0.1, "total_iters": 0}, "Constant(0.1)"),
    (
        "SequentialLR",
        {"schedulers": [cd.Warmup(5), cd.Cosine(95)], "milestones": [5]},
        "Warmup(5).part(0) >> Cosine(95, start=1)",
    ),
    (
        "ChainedScheduler",
        {"schedulers": [cd.Warmup(5), cd.StepDecay(30)]},
        "Warmup(5) * StepDecay(30)",
    ),
]


@pytest.mark.parametrize(("name", "given", "text"), PLANS, ids=lambda x: str(x)[:40])
def test_a_call_by_name_is_an_ordinary_plan(name, given, text):
    """It prints as one would type it, reads back, and can be stored."""
    plan = from_torch(name, **given)
    assert repr(plan) == text
    assert parse(text) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan


SEQUENCES = [
    (
        lambda o: [theirs.LinearLR(o, 0.1, total_iters=5), theirs.CosineAnnealingLR(o, 95)],
        [5],
        "Linear(5, start=0.1, end=1) >> (Cosine(95) >> Cosine(95, start=0, end=1)).repeat()",
    ),
    (
        lambda o: [theirs.LinearLR(o, 0.1, total_iters=5), theirs.ExponentialLR(o, 0.9)],
        [8],
        "Linear(5, start=0.1, end=1) >> Hold(3) >> ExponentialDecay(0.9, start=1)",
    ),
    (
        lambda o: [theirs.ConstantLR(o, 0.1, 9), theirs.StepLR(o, 3), theirs.PolynomialLR(o, 4)],
        [4, 20],
        "Constant(0.1, 4) >> StepDecay(3, start=1, steps=16) >> Polynomial(4, start=1)",
    ),
    (
        lambda o: [theirs.LinearLR(o, 0.1, total_iters=9), theirs.StepLR(o, 3)],
        [4],
        "Linear(9, start=0.1, end=1).part(0, 4) >> StepDecay(3, start=1)",
    ),
    (
        lambda o: [theirs.StepLR(o, 3), theirs.ConstantLR(o, 0.5, 2), theirs.LinearLR(o, 0.5)],
        [0, 7],
        "Constant(0.5, 2) >> Constant(1, 5) >> Linear(5, start=0.5, end=1)",
    ),
]


@pytest.mark.parametrize(
    ("children", "milestones", "text"), SEQUENCES, ids=[text[:40] for *_, text in SEQUENCES]
)
def test_a_sequence_is_a_timeline(children, milestones, text):
    """Each child on its own clock, from the group's own rate again."""
    optimizer = sgd()
    scheduler = theirs.SequentialLR(optimizer, children(optimizer), milestones)
    plan = from_torch(scheduler)
    assert repr(plan) == text
    assert plan(np.arange(130), 0.1) == pytest.approx(rates(scheduler, 130), abs=1e-15)


def test_a_chain_is_a_product():
    optimizer = sgd()
    chained = [theirs.ConstantLR(optimizer, 0.5), theirs.ExponentialLR(optimizer, 0.9)]
    scheduler = theirs.ChainedScheduler(chained, optimizer)
    plan = from_torch(scheduler)
    assert repr(plan) == "(Constant(0.5, 5) >> Constant(1)) * ExponentialDecay(0.9)"
    assert plan(np.arange(30), 0.1) == pytest.approx(rates(scheduler, 30))


def test_the_climb_of_a_cosine_in_a_chain_begins_at_the_base():
    """What came before T_max is forgotten there; a plan can tell that if nothing moves later."""
    optimizer = sgd()
    chained = [theirs.LinearLR(optimizer, 1.0, 0.5, 3), theirs.CosineAnnealingLR(optimizer, 10)]
    plan = from_torch(theirs.ChainedScheduler(chained, optimizer))
    expected = rates(theirs.ChainedScheduler(chained, optimizer), 40)
    assert plan(np.arange(40), 0.1) == pytest.approx(expected, abs=1e-15)
    assert plan(5) < 0.5 < plan(19)
    chained = [theirs.ExponentialLR(optimizer, 0.9), theirs.CosineAnnealingLR(optimizer, 10)]
    with pytest.raises(ArgumentError, match="after T_max it climbs from the base"):
        from_torch(theirs.ChainedScheduler(chained, optimizer))


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("total", range(1, 14))
@pytest.mark.parametrize("pct", [0.05, 0.15, 0.31, 0.45])
def test_short_cycles_begin_where_torch_begins(three_phase, total, pct):
    """Where the rise is over before step 0, in the middle of the fall."""
    given = {"max_lr": 0.5, "total_steps": total, "pct_start": pct, "three_phase": three_phase}
    scheduler = theirs.OneCycleLR(sgd(), **given)
    expected = rates(scheduler, total)
    assert from_torch(scheduler)(np.arange(total)) == pytest.approx(expected, rel=1e-12)
    assert repr(from_torch("OneCycleLR", **given)) == repr(from_torch(scheduler))


@pytest.mark.parametrize("kind", [theirs.LinearLR, theirs.ConstantLR])
def test_no_length_lasts_for_ever_in_torch_alone(kind):
    """The drop-in reads a length of 0 as over before it begins, and so does its plan."""
    ours = getattr(lr_scheduler, kind.__name__)
    for library, value in ((kind, 1 / 3), (ours, 1.0)):
        scheduler = library(sgd(), total_iters=0)
        plan = from_torch(scheduler)
        assert plan(np.arange(4), 0.1).tolist() == pytest.approx(rates(scheduler, 4))
        assert plan(3) == pytest.approx(value)


def test_a_polynomial_of_no_length_never_begins():
    scheduler = theirs.PolynomialLR(sgd(), total_iters=0)
    assert from_torch(scheduler) == cd.Constant(1)
    assert rates(scheduler, 3) == [0.1] * 3


def test_drop_ins_and_their_compositions_are_read_too():
    """Also those that torch cannot step: composites within composites."""
    optimizer = sgd()
    chain = lr_scheduler.ChainedScheduler(
        [lr_scheduler.ExponentialLR(optimizer, 0.9), lr_scheduler.StepLR(optimizer, 4)]
    )
    warm = lr_scheduler.LinearLR(optimizer, 0.5, total_iters=3)
    scheduler = lr_scheduler.SequentialLR(optimizer, [warm, chain], [3])
    plan = from_torch(scheduler)
    assert repr(plan) == "Linear(3, start=0.5, end=1) >> ExponentialDecay(0.9) * StepDecay(4)"
    assert plan(np.arange(20), 0.1) == pytest.approx(rates(scheduler, 20))


def test_groups_that_differ_are_asked_for_one_by_one():
    scheduler = theirs.LambdaLR(sgd(groups=2), [halves, abs])
    with pytest.raises(
        ArgumentError, match=r"\[from_torch\(scheduler, group=i\) for i in range\(2"
    ):
        from_torch(scheduler)
    assert from_torch(scheduler, group=0) == cd.Function(halves)
    assert from_torch(scheduler, group=1) == cd.Function(abs)
    assert from_torch(theirs.LambdaLR(sgd(groups=2), halves)) == cd.Function(halves)
    plan = from_torch("CyclicLR", base_lr=[0.1, 0.2], max_lr=0.3, group=1)
    assert plan(0) == pytest.approx(0.2)


def test_a_running_product_is_worked_out_once():
    """As often as there are steps, however often and in whatever order these are asked for."""
    asked = []

    def factor(epoch):
        asked.append(epoch)
        return 0.5

    plan = from_torch(theirs.MultiplicativeLR(sgd(), factor))
    assert [plan(step) for step in (3, 0, 2, 3)] == [0.125, 1.0, 0.25, 0.125]
    assert sorted(asked) == [1, 2, 3]
    assert RunningProduct(abs) == RunningProduct(abs)
    assert pickle.loads(pickle.dumps(RunningProduct(abs)))(3) == 6.0


def test_momenta_are_asked_for_by_key():
    one = theirs.OneCycleLR(sgd(), 0.5, 100)
    plan = from_torch(one, key="momentum")
    assert [plan(step) for step in (0, 29, 99)] == pytest.approx([0.95, 0.85, 0.95])
    adam = torch.optim.Adam([torch.zeros(1)], lr=0.1)
    assert from_torch(theirs.OneCycleLR(adam, 0.5, 100), key="beta1") == plan
    with pytest.raises(ArgumentError, match=r"'key' must be one of 'lr', 'momentum' \(got 'beta1"):
        from_torch(one, key="beta1")
    with pytest.raises(ArgumentError, match=r"'key' must be one of 'lr' \(got 'momentum'"):
        from_torch("StepLR", step_size=3, key="momentum")


def test_a_plateau_is_a_controller():
    """With torch's view of a NaN; a floor of several groups is only one if it is the same."""
    scheduler = theirs.ReduceLROnPlateau(sgd(groups=2), patience=3, min_lr=[1e-3, 1e-3])
    expected = cd.Plateau(patience=3, floor=absolute(1e-3), nan="bad")
    assert from_torch(scheduler) == expected
    assert from_torch("ReduceLROnPlateau", patience=3, min_lr=1e-3) == expected
    assert from_torch(theirs.ReduceLROnPlateau, state_dict=scheduler.state_dict()) == expected
    scheduler.min_lrs = [1e-3, 1e-4]
    with pytest.raises(ArgumentError, match="'min_lr' must be one rate for all groups"):
        from_torch(scheduler)


def test_the_plan_carries_on_where_the_scheduler_is():
    """Bind it, seek to its `last_epoch`, and the rates go on."""
    old = theirs.CosineAnnealingWarmRestarts(sgd(), 3, 2)
    rates(old, 7)
    plan, expected = from_torch(old), rates(old, 10)
    optimizer = sgd()
    new = cd.Scheduler(optimizer, lr=plan)
    new.seek(7)
    assert rates(new, 10) == pytest.approx(expected)


class Mine(theirs.ExponentialLR):
    """A class of somebody's own."""

    def get_lr(self):
        return [0.1 for _ in self.base_lrs]


class Named(theirs.ExponentialLR):
    """A class of somebody's own that changes nothing of the rates."""


def test_a_class_that_only_has_another_name_is_what_it_inherits_from():
    assert from_torch(Named(sgd(), 0.9)) == cd.ExponentialDecay(0.9)
    assert from_torch(Named, gamma=0.9) == cd.ExponentialDecay(0.9)


def patched():
    scheduler = theirs.ExponentialLR(sgd(), 0.9)
    scheduler.get_lr = lambda: [0.1]
    return scheduler


def odd_cycle():
    return theirs.CyclicLR(sgd(), 0.1, 0.2, step_size_up=2.5)


def composite(kind, children):
    optimizer = sgd()
    made = children(optimizer)
    if kind == "ChainedScheduler":
        return theirs.ChainedScheduler(made, optimizer)
    return theirs.SequentialLR(optimizer, made, list(range(3, 3 * len(made), 3)))


BAD = [
    (lambda: from_torch("StepLr", step_size=3), r"did you mean 'StepLR'\?"),
    (lambda: from_torch("LRScheduler"), "'scheduler' must be one of "),
    (lambda: from_torch(5), r"must be one of torch's, or the name of one \(got 5\)"),
    (lambda: from_torch(torch.optim.SGD), "must be one of torch's, or the name of one"),
    (lambda: from_torch(Mine(sgd(), 0.9)), "a class of one's own may give any rates"),
    (lambda: from_torch(Mine, gamma=0.9), "a class of one's own may give any rates"),
    (lambda: from_torch(patched()), "a class of one's own may give any rates"),
    (lambda: from_torch("StepLR"), "StepLR: 'step_size' must be given"),
    (
        lambda: from_torch("StepLR", stepsize=3),
        r"unknown argument 'stepsize'; did you mean 'step_s",
    ),
    (lambda: from_torch("StepLR", step_size=3, last_epoch=5), "unknown argument 'last_epoch'"),
    (lambda: from_torch("StepLR", step_size=0), "StepLR: 'step_size' must be >= 1"),
    (lambda: from_torch("CosineAnnealingLR", T_max=3, hold=True), "unknown argument 'hold'"),
    (lambda: from_torch("ReduceLROnPlateau", patient=3), r"did you mean 'patience'\?"),
    (lambda: from_torch(patched(), gamma=1), "a class of one's own"),
    (lambda: from_torch(theirs.StepLR(sgd(), 3), gamma=1), "must be given alone, since it has its"),
    (lambda: from_torch("StepLR", state_dict={}, gamma=1), "a state must be given alone"),
    (lambda: from_torch("StepLR", state_dict={"base_lrs": [1.0]}), "it lacks 'step_size'"),
    (lambda: from_torch("StepLR", state_dict={}), "it lacks 'base_lrs'"),
    (lambda: from_torch("SWALR", state_dict={}), "'swa_lr' lies in the optimizer's groups"),
    (
        lambda: from_torch("StepLR", step_size=3, group=1),
        "'group' must be < 1, the number of groups",
    ),
    (lambda: from_torch(odd_cycle()), r"must be whole numbers of steps \(got 2.5 and 2.5\)"),
    (
        lambda: from_torch("SequentialLR", schedulers=[cd.Linear(5)], milestones=[5]),
        "'milestones' must be one less than the schedulers",
    ),
    (
        lambda: from_torch("SequentialLR", schedulers=[cd.Linear(5)] * 3, milestones=[5, 2]),
        "'milestones' must be one less than the schedulers, in rising order",
    ),
    (
        lambda: from_torch("ChainedScheduler", schedulers=[cd.Linear(5, end=absolute(1))] * 2),
        "its levels are not all multiples",
    ),
    (
        lambda: from_torch(
            composite("SequentialLR", lambda o: [theirs.StepLR(o, 3), SWALR(o, 0.1)])
        ),
        "it goes on from the last rate of the scheduler before",
    ),
    (
        lambda: from_torch(
            composite(
                "SequentialLR",
                lambda o: [theirs.ChainedScheduler([theirs.StepLR(o, 3)]), theirs.StepLR(o, 3)],
            )
        ),
        "torch raises at its milestone, or begins with its step 1",
    ),
    (
        lambda: from_torch(
            composite(
                "SequentialLR", lambda o: [theirs.StepLR(o, 3), theirs.LinearLR(o, 0.5, 1, 0)]
            )
        ),
        "torch divides by its length of 0",
    ),
    (
        lambda: from_torch(
            composite(
                "ChainedScheduler", lambda o: [theirs.LambdaLR(o, halves), theirs.StepLR(o, 3)]
            )
        ),
        "it overwrites what those before it did, not those after it",
    ),
    (
        lambda: from_torch(
            composite(
                "ChainedScheduler",
                lambda o: [
                    theirs.SequentialLR(o, [theirs.StepLR(o, 3), theirs.StepLR(o, 2)], [3]),
                    theirs.StepLR(o, 3),
                ],
            )
        ),
        "it forgets at its milestones what the others have done",
    ),
    (
        lambda: from_torch(
            composite(
                "ChainedScheduler",
                lambda o: [theirs.StepLR(o, 3), theirs.OneCycleLR(o, 1.0, 9), theirs.StepLR(o, 2)],
            )
        ),
        "must be built on one rate",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=lambda x: x if isinstance(x, str) else "")
def test_what_cannot_be_meant_or_expressed_is_refused(call, message):
    with pytest.raises(ArgumentError, match=message), warnings.catch_warnings(action="ignore"):
        call()


def test_functions_that_are_called_like_those_of_transformers_stay_functions():
    """Only those of their own module are read as their schedules."""

    def _get_constant_lambda(step):
        return 0.5

    assert from_torch("LambdaLR", lr_lambda=_get_constant_lambda)(5) == 0.5
    function = functools.partial(_get_constant_lambda)
    assert from_torch("LambdaLR", lr_lambda=function)(5) == 0.5


LIGHTNING = [
    ({"interval": "step"}, {}, "ExponentialDecay(0.9)"),
    ({}, {}, "ExponentialDecay(0.9).stairs('1ep', each=1)"),
    ({"interval": "epoch", "frequency": 3}, {}, "ExponentialDecay(0.9).stairs('3ep', each=1)"),
    ({"frequency": 3}, {"steps_per_epoch": 7}, "ExponentialDecay(0.9).stairs(21, each=1)"),
    ({}, {"steps_per_epoch": 1}, "ExponentialDecay(0.9)"),
    (
        {"interval": "step", "frequency": 3},
        {"steps_per_epoch": 9},
        "ExponentialDecay(0.9).stairs(3, each=1)",
    ),
]


@pytest.mark.parametrize(("more", "given", "text"), LIGHTNING, ids=str)
def test_lightning_keeps_a_rate_until_it_steps_again(more, given, text):
    """In the dict of a scheduler, and in the one that `configure_optimizers` returns."""
    config = {"scheduler": theirs.ExponentialLR(sgd(), 0.9), "name": "lr", **more}
    for whole in (config, {"optimizer": None, "lr_scheduler": config}):
        plan = from_lightning(whole, **given)
        assert repr(plan) == text
        assert parse(text) == plan


def test_lightning_takes_plans_and_gives_controllers():
    assert from_lightning({"scheduler": cd.Linear(5), "interval": "step"}) == cd.Linear(5)
    plateau = theirs.ReduceLROnPlateau(sgd(), patience=3)
    config = {"scheduler": plateau, "monitor": "val_loss", "reduce_on_plateau": True}
    assert from_lightning(config) == cd.Plateau(patience=3, nan="bad")
    one = theirs.OneCycleLR(sgd(), 0.5, 100)
    config = {"scheduler": one, "interval": "step"}
    assert from_lightning(config, key="momentum") == from_torch(one, key="momentum")


EXPONENTIAL = theirs.ExponentialLR(sgd(), 0.9)


@pytest.mark.parametrize(
    ("config", "given", "message"),
    [
        ({"scheduler": EXPONENTIAL, "intervall": "step"}, {}, r"did you mean 'interval'\?"),
        ({"interval": "step"}, {}, "the dict must have a 'scheduler'"),
        ({"scheduler": EXPONENTIAL, "interval": "batch"}, {}, "'interval' must be one of 'epoch'"),
        ({"scheduler": EXPONENTIAL, "frequency": 0}, {}, "'frequency' must be >= 1"),
        (EXPONENTIAL, {"steps_per_epoch": 0}, "'steps_per_epoch' must be >= 1"),
        (
            {"scheduler": EXPONENTIAL, "interval": "step", "frequency": 3},
            {"steps_per_epoch": 10},
            r"'frequency' must divide 'steps_per_epoch' \(got 3 and 10\)",
        ),
        ({"scheduler": EXPONENTIAL, "interval": "step", "frequency": 3}, {}, "got 3 and None"),
        ({"scheduler": EXPONENTIAL, "reduce_on_plateau": True}, {}, "must not be set for a sch"),
        ([EXPONENTIAL], {}, "must be of one scheduler"),
        (None, {}, "must be one of torch's"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_lightning_would_not_take_is_refused(config, given, message):
    with pytest.raises(ArgumentError, match=message):
        from_lightning(config, **given)
