"""Plans written for others: what is written runs, and gives the plan's own numbers."""

import ast
import csv
import io
import json
import math
import re
from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cadence as cd
import strategies
from cadence import parse
from cadence.dialects.export import TARGETS, Exported
from cadence.errors import ArgumentError
from cases import CASES

BASE = 0.3

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.text)


def steps_of(plan):
    """Whole steps and some between: the beginning, those around each joint, and far away."""
    joints = [b + by for b in plan.compiled(BASE).begins for by in (-1, -0.5, 0, 0.5, 1)]
    near = {*range(60), *(step for step in joints if 0 <= step < 1 << 50)}
    return sorted(near | {1000, 12_345.25, 10**6, 10**9})


def assert_same(got, plan, steps, base, *, tolerance=1e-12):
    """Equal up to rounding, relative to the value or, near a zero, to the size of the curve."""
    expected = [plan(step, base) for step in steps]
    scale = max(abs(value) for value in expected if math.isfinite(value))
    for step, value, right in zip(steps, got, expected, strict=True):
        apart = abs(value - right) if value != right else 0.0
        assert apart <= tolerance * max(scale, abs(right)), (step, value, right)


def written(plan, target, **options):
    """The export, or None where a plan of thousands of phases is rightly refused."""
    if len(plan.compiled(BASE).pieces) <= 2000 or target == "csv":
        return plan.export(target, **options)
    with pytest.raises(ArgumentError, match="phases to be written as code"):
        plan.export(target, **options)
    return None


def followed(made, bases, updates):
    """The rates that torch uses, for each of the groups, with a scheduler that was written."""
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": base} for base in bases]
    optimizer = torch.optim.SGD(groups)
    scheduler = made.build(optimizer)
    rates = []
    for _ in range(updates):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return list(zip(*rates, strict=True))


# Python.


def check_python(plan):
    made = written(plan, "python", base_lr=BASE)
    if made is not None:
        steps = steps_of(plan)
        schedule = made.build()
        assert_same([schedule(step) for step in steps], plan, steps, BASE)
        if not plan.compiled(BASE).uses_base:
            assert_same([schedule(step, 2.5) for step in steps], plan, steps, 2.5)


@given(strategies.resolved())
def test_python_gives_the_numbers_of_any_plan(drawn):
    """The function that is written gives what the plan gives, at every base, between steps too."""
    check_python(drawn[1])


@pytest.mark.slow
@settings(max_examples=600)
@given(strategies.resolved(max_depth=8))
def test_any_deep_plan_is_written(drawn):
    """The same over many more plans, and for torch."""
    check_python(drawn[1])
    check_torch(drawn[1])


@every_case
def test_python_gives_the_numbers_of_every_shape(case):
    """Each shape, composition and recipe can be written, with the numbers worked out by hand."""
    schedule = case.plan.export("python", 150, base_lr=case.base).build()
    scale = max(map(abs, case.values.values()))
    for step, value in case.values.items():
        assert math.isclose(schedule(step), value, rel_tol=1e-12, abs_tol=1e-15 * scale)


@given(strategies.resolved(max_depth=2))
def test_python_needs_the_standard_library_alone(drawn):
    """What is imported is `math` and `bisect`, or the module of a user's own function."""
    made = written(drawn[1], "python", base_lr=BASE)
    imported = set()
    for node in ast.walk(ast.parse("" if made is None else made.text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported <= {"math", "bisect", "cases"}


def test_python_reads_as_one_would_write_it():
    """A plan of three phases is a function of three lines, and nothing is done twice."""
    plan = parse("Warmup(500) >> Hold(8500) >> OneMinusSqrt(1000, end=0.1)")
    assert (
        plan.export("python").text
        == '''\
# The plan Warmup(500) >> Hold(8500) >> OneMinusSqrt(1000, end=0.1)

import math


def schedule(step, base=1.0):
    """The rate after `step` updates, where the group's own is `base`."""
    if step < 500:
        return base * (0.002 + 0.998 * (step / 500))
    if step < 9000:
        return base
    if step < 10000:
        return base * (1.0 - 0.9 * math.sqrt((step - 9000) / 1000))
    return base * 0.1
'''
    )


def test_a_shape_of_ones_own_can_be_written():
    """A curve is written down by running it, so no shape has to say how."""

    class Bump(cd.Ramp):
        def curve(self, u, xp):
            half = u * 2.0 if xp is math else xp.where(u < 0.5, 2.0 * u, 1.0)
            return min(half, 1.0) if xp is math else abs(-xp.minimum(half, 1.0))

    plan = Bump(10) >> Bump(10, end=1).stairs(3)
    made = plan.export("python")
    assert_same([made.build()(t) for t in range(25)], plan, range(25), 1.0)


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        (lambda self, u, xp: u if u < 0.5 else 1.0, "choose with xp.where"),
        (lambda self, u, xp: math.sin(u), "call the functions of 'xp'"),
        (lambda self, u, xp: xp.erf(u), "'xp.erf' cannot be written as code"),
        (lambda self, u, xp: np.sin(u), "cannot be written as code"),
    ],
)
def test_a_curve_that_cannot_be_written_is_refused(curve, why):
    """The message says what a curve may do, and the plan is named."""
    own = type("Own", (cd.Ramp,), {"curve": curve})
    with pytest.raises(ArgumentError, match=r"^export: Own") as told:
        own(9).export("python")
    assert why in str(told.value)


def test_a_function_is_imported_by_the_code():
    """A user's function of a module is called, with whole steps as ints as in a plan."""
    made = cd.parse("(Function('three_halvings') * 2).part(0, 60, steps=20)").export("python")
    assert "from cases import three_halvings" in made.text
    assert [made.build()(t) for t in (0, 4, 7, 99)] == [2.0, 1.0, 0.5, 0.25]


def test_a_function_that_cannot_be_imported_is_refused():
    """A lambda has no name that code could call it by."""
    with pytest.raises(ArgumentError, match=r"must be importable .*export\('csv'\)"):
        cd.Function(lambda step: 1.0, steps=9).export("python")


def test_growth_saturates_in_the_code_too():
    """Where Python would raise on overflow, the code gives inf, as the plan does."""
    plan = cd.ExponentialDecay(1.5)
    made = plan.export("python")
    assert made.build()(10**6) == plan(10**6) == math.inf
    assert (plan * cd.Linear(9)).export("python").build()(10**6) == 0.0


def test_plans_of_too_many_phases_are_refused():
    """Code of thousands of branches is nothing to paste; the message says what to write instead."""
    plan = cd.Linear().repeat(3000, over=9000)
    with pytest.raises(ArgumentError, match=r"at most 2000 phases .*write export\('csv'\)"):
        plan.export("python")


# torch.


PHASES = st.one_of(
    st.builds(
        cd.Linear, st.integers(0, 40), start=st.none() | st.floats(0, 1), end=st.floats(0, 1)
    ),
    st.builds(cd.Warmup, st.integers(0, 40)),
    st.builds(cd.Hold, st.integers(0, 40)),
    st.builds(cd.Constant, st.floats(0, 1), st.integers(0, 40)),
    st.builds(cd.Cosine, st.integers(0, 40), start=st.just(1.0), end=st.floats(0, 1)),
    st.builds(
        cd.Polynomial, st.integers(0, 40), start=st.just(1.0), power=st.sampled_from([0.3, 1, 2.7])
    ),
    st.builds(cd.StepDecay, st.integers(1, 9), start=st.just(1.0), steps=st.integers(0, 40)),
    st.builds(
        cd.MultiStepDecay,
        st.lists(st.integers(0, 40), max_size=4).map(sorted),
        start=st.just(1.0),
        steps=st.integers(0, 40),
    ),
    st.builds(cd.ExponentialDecay, st.floats(0, 1), start=st.just(1.0), steps=st.integers(0, 40)),
    st.builds(
        lambda n, end, mult: cd.Cosine(n, start=1, end=end).repeat(3, length_mult=mult),
        *(st.integers(1, 9), st.floats(0, 1), st.sampled_from([1, 2])),
    ),
)
"""Phases of a kind that torch has classes for."""


def check_torch(plan):
    """Torch's own classes compute each rate from the one before: they are a billionth off."""
    made = written(plan, "torch", base_lr=BASE)
    if made is None:
        return
    bases = [BASE] if "whose own rate is" in made.note else [BASE, 1.7]
    updates = min(plan.steps or 150, 200) + 20
    for base, rates in zip(bases, followed(made, bases, updates), strict=True):
        tolerance = 1e-12 if "LambdaLR" in made.text else 1e-9
        assert_same(rates, plan, range(updates), base, tolerance=tolerance)


@settings(max_examples=40)
@given(strategies.resolved())
def test_torch_gives_the_numbers_of_any_plan(drawn):
    """The scheduler gives what the plan gives at every update and for every group."""
    check_torch(drawn[1])


@every_case
def test_torch_gives_the_numbers_of_every_shape(case):
    """Each shape, composition and recipe can be written; what was written is read back."""
    from cadence.dialects import from_torch

    check_torch(case.plan)
    made = case.plan.export("torch", 150, base_lr=BASE)
    read = from_torch(made.build(torch.optim.SGD([torch.zeros(1)], lr=BASE)))
    steps = range(case.moves_until + 20)
    assert_same([read(t, BASE) for t in steps], case.plan, steps, BASE)


@settings(max_examples=80)
@given(st.lists(PHASES, min_size=1, max_size=4))
@example([cd.Constant(0.5, 10), cd.Hold(10)])
@example([cd.Warmup(5), cd.Linear(0, end=0.5)])
@example([cd.Linear(0, end=0.5)])
def test_torchs_own_classes_give_the_numbers(phases):
    """Where a plan is written with torch's classes, they do what the plan does, for ever."""
    check_torch(reduce(lambda a, b: a >> b, phases))


TORCH = {
    "Warmup(100) >> Cosine(900)": "LinearLR CosineAnnealingLR ConstantLR",
    "Warmup(100) >> Cosine(900, end=0.1)": "LinearLR CosineAnnealingLR ConstantLR",
    "Warmup(100) >> Hold(500) >> Linear(400)": "LinearLR ConstantLR LinearLR",
    "Polynomial(100, power=2)": "PolynomialLR",
    "StepDecay(30, 0.5)": "StepLR",
    "Warmup(5) >> MultiStepDecay((30, 60))": "LinearLR MultiStepLR",
    "ExponentialDecay(0.9)": "ExponentialLR",
    "sgdr(10, t_mult=2)": "CosineAnnealingWarmRestarts",
    "Constant(0.5) ": "ConstantLR",
    "Linear(10, end=absolute(0.06))": "LinearLR",
    # Not torch's: a start at 0, a step of 4.5, other curves, a rate above the base.
    "Warmup(100, start=0) >> Hold()": "LambdaLR",
    "StepDecay(4.5, factor=0.5)": "LambdaLR",
    "Rex(100)": "LambdaLR",
    "Linear(100, end=2)": "LambdaLR",
    "Cosine(100, k=2)": "LambdaLR",
    "Linear(9) * Linear(9)": "LambdaLR",
}


@pytest.mark.parametrize("text", TORCH)
def test_torchs_own_classes_are_preferred(text):
    """Code that torch users know is written where it gives the same numbers."""
    made = parse(text).export("torch", 1000, base_lr=BASE)
    names = re.findall(r"\b(?!Sequential)\w+LR(?=\()|\w+Restarts(?=\()", made.text)
    assert names == TORCH[text].split()
    check_torch(made.plan)


def test_without_the_rate_an_absolute_floor_is_a_function():
    """Torch's `eta_min` is absolute: with groups of any rate, a function takes its place."""
    plan = parse("Warmup(10) >> Cosine(90, end=0.1)")
    made = plan.export("torch")
    assert "LambdaLR" in made.text
    assert made.note == "with base_lr= it can be written with torch's own classes"
    assert "eta_min=0.03" in plan.export("torch", base_lr=BASE).text
    assert plan.export("torch", base_lr=BASE).note.endswith("for groups whose own rate is 0.3")


@settings(max_examples=60)
@given(st.lists(PHASES, min_size=1, max_size=4))
def test_a_scheduler_that_was_written_is_read_back(phases):
    """What was written with torch's classes is read back as a plan with the same numbers."""
    from cadence.dialects import from_torch

    plan = reduce(lambda a, b: a >> b, phases)
    made = plan.export("torch", base_lr=BASE)
    read = from_torch(made.build(torch.optim.SGD([torch.zeros(1)], lr=BASE)))
    steps = range(200)
    assert_same([read(step, BASE) for step in steps], plan, steps, BASE)


# Lightning.


def test_lightning_is_given_what_configure_optimizers_returns():
    """The dict holds the optimizer, and the scheduler of torch, to be stepped once an update."""
    made = parse("Warmup(10) >> Cosine(90)").export("lightning")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=BASE)
    built = made.build(optimizer)
    assert built["optimizer"] is optimizer
    assert built["lr_scheduler"].keys() == {"scheduler", "interval", "frequency"}
    assert (built["lr_scheduler"]["interval"], built["lr_scheduler"]["frequency"]) == ("step", 1)
    assert isinstance(built["lr_scheduler"]["scheduler"], torch.optim.lr_scheduler.SequentialLR)


@pytest.mark.parametrize("text", ["Warmup(10) >> Cosine(90)", "Warmup(10) >> Rex(90)"])
def test_what_was_written_for_lightning_is_read_back(text):
    """What `configure_optimizers` would return is the plan again."""
    from cadence.dialects import from_lightning

    plan = parse(text)
    built = plan.export("lightning").build(torch.optim.SGD([torch.zeros(1)], lr=BASE))
    steps = range(150)
    assert_same([from_lightning(built)(step, BASE) for step in steps], plan, steps, BASE)


# transformers.


TRANSFORMERS = {
    "Constant(1)": ("constant", {}),
    "Warmup(100, start=0) >> Hold()": ("constant_with_warmup", {}),
    "Warmup(100, start=0) >> Linear()": ("linear", {}),
    "Warmup(100, start=0) >> CosineWave(1800)": ("cosine", {}),
    "Warmup(100, start=0) >> Cosine()": ("cosine", {}),
    "CosineWave(500)": ("cosine", {"num_cycles": 2.0}),
    "Warmup(100, start=0) >> Cosine(300).repeat(3)": ("cosine_with_restarts", {"num_cycles": 3}),
    "Warmup(100, start=0) >> Cosine(end=0.1)": ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
    "Warmup(99, start=0.01) >> Cosine(900, end=0.1) >> Hold()": (
        "cosine_warmup_with_min_lr",
        {"min_lr_rate": 0.1},
    ),
    "Warmup(99, start=0.5) >> Cosine(900) >> Hold()": (
        "cosine_warmup_with_min_lr",
        {"min_lr_rate": 0.0, "warmup_lr_rate": 0.5},
    ),
    "Warmup(100, start=0) >> InverseSqrt(100)": ("inverse_sqrt", {"timescale": 100}),
    "Warmup(100, start=0) >> Hold() >> OneMinusSqrt(200)": (
        "warmup_stable_decay",
        {"num_decay_steps": 200, "decay_type": "1-sqrt"},
    ),
    "Warmup(100, start=0.2, shape='cosine') >> Hold() >> Cosine(200, end=0.2)": (
        "warmup_stable_decay",
        {"num_decay_steps": 200, "warmup_type": "cosine", "min_lr_ratio": 0.2},
    ),
    "Warmup(99, start=0.01) >> CosineWave(1800, end=0.1)": (
        "cosine_warmup_with_min_lr",
        {"min_lr_rate": 0.1},
    ),
    "Warmup(100, start=0) >> CosineWave(500, end=0.1)": (
        "cosine_with_min_lr",
        {"min_lr_rate": 0.1, "num_cycles": 1.8},
    ),
    "Polynomial(end=absolute(0.003), power=2)": ("polynomial", {"lr_end": 0.003, "power": 2.0}),
}


@pytest.mark.parametrize("text", TRANSFORMERS)
def test_a_schedule_of_transformers_is_found(text):
    """The arguments for the Trainer are read back as the plan's numbers, at every step of a run."""
    from cadence.dialects import from_transformers

    made = parse(text).export("transformers", 1000, base_lr=BASE)
    name, options = TRANSFORMERS[text]
    assert made.exact
    assert made.arguments["lr_scheduler_type"] == name
    assert made.arguments.get("lr_scheduler_kwargs", {}) == options
    assert made.build() == made.arguments
    until = 3000 if made.until is None else made.until
    steps = np.arange(until + 1)
    plan = made.plan
    assert np.abs(from_transformers(made.build())(steps, BASE) - plan(steps, BASE)).max() < 1e-12


def test_a_floor_of_theirs_is_no_absolute_one():
    """Their floor is a part of the rate: without the rate, an absolute one is not written so."""
    plan = parse("Warmup(10, start=0) >> Cosine(90, end=absolute(0.03))")
    made = plan.export("transformers")
    assert made.arguments is None
    assert made.note.endswith("with base_lr= one of theirs may be found")
    for base, rates in zip([BASE, 1.7], followed(made, [BASE, 1.7], 120), strict=True):
        assert_same(rates, plan, range(120), base)
    made = plan.export("transformers", base_lr=BASE)
    assert made.arguments["lr_scheduler_kwargs"] == {"min_lr_rate": 0.1}


def test_where_their_schedule_goes_on_in_another_way_it_is_said():
    """Half a cosine ends in a plan, and climbs again in transformers."""
    made = parse("Warmup(100, start=0) >> Cosine(900)").export("transformers")
    assert (made.exact, made.until) == (True, 999)
    assert made.note == "after step 999 theirs may go on in another way"
    assert parse("Linear(9)").export("transformers").until is None


def test_numbers_that_transformers_does_not_have_are_a_function():
    """A warm-up that wastes no update is not theirs: a scheduler for `optimizers=` is written."""
    made = parse("Warmup(10) >> Linear(990)").export("transformers")
    assert made.arguments is None
    assert "'linear', is 0.1 of the peak away at step 0" in made.note
    (rates,) = followed(made, [BASE], 1020)
    assert_same(rates, made.plan, range(1020), BASE)


def test_a_schedule_of_transformers_that_is_close_enough_is_taken():
    """With a tolerance their schedule is written, and how far it is off is told."""
    plan = parse("Warmup(10) >> Linear(990)")
    assert plan.export("transformers", tolerance=0.09).arguments is None
    made = plan.export("transformers", tolerance=0.11)
    assert made.arguments == {"lr_scheduler_type": "linear", "max_steps": 1000, "warmup_steps": 10}
    assert not made.exact
    assert made.note == "at most 0.1 of the peak away at step 0"


@given(strategies.resolved(max_depth=2))
def test_arguments_for_transformers_are_claimed_only_where_they_hold(drawn):
    """What is called exact is so when it is read back, for any plan."""
    from cadence.dialects import from_transformers

    _, plan, horizon = drawn
    made = written(plan, "transformers", total_steps=min(horizon.total_steps, 3000), base_lr=BASE)
    if made is not None and made.arguments is not None:
        steps = np.arange(made.until + 1 if made.until is not None else 4000)
        ours, theirs = plan(steps, BASE), from_transformers(made.arguments)(steps, BASE)
        assert np.abs(ours - theirs).max() <= 1e-12 * np.abs(ours).max()


# Data.


@pytest.mark.parametrize("target", ["csv", "optax"])
def test_what_the_numbers_are_is_said(target):
    """Rates where the rate is known; else multiples of it, if they are."""
    plan = parse("Linear(9)")
    assert "at a base" not in plan.export(target, base_lr=BASE).note
    assert "multiples of the base rate" in plan.export(target).note
    plan = parse("Linear(9, end=absolute(0.1))")
    assert "rates at a base rate of 1" in plan.export(target).note


@settings(max_examples=50)
@given(strategies.resolved(max_depth=3))
def test_csv_gives_the_numbers_to_the_bit(drawn):
    """Every row is a step and its rate, and reads back as the very float."""
    _, plan, _ = drawn
    made = plan.export("csv", 70, base_lr=BASE) if plan.steps is None else None
    if made is None:
        if plan.steps > 5000:
            return
        made = plan.export("csv", base_lr=BASE)
    header, *rows = csv.reader(io.StringIO(made.text))
    assert header == ["step", "value"]
    assert [int(step) for step, _ in rows] == list(range(len(rows)))
    assert [float(value) for _, value in rows] == plan.values(len(rows), BASE).tolist()
    assert made.until == len(rows) - 1


@settings(max_examples=30)
@given(strategies.plans())
def test_json_is_the_plan(plan):
    """A plan for another Cadence needs no horizon, and comes back equal."""
    made = plan.export("json")
    assert made.build() == plan
    assert json.loads(made.text) == json.loads(cd.to_json(plan))


def test_json_of_a_run_is_resolved():
    """With the length of the run, the plan is written with every length in steps."""
    assert repr(parse("wsd()").export("json", 1000).build()) == repr(parse("wsd()").resolve(1000))


# What all share.


def test_what_is_written_is_the_text():
    """Printed, it is the text; the repr says what is to be known about it."""
    made = parse("Linear(9)").export("torch")
    assert f"{made}\n" == made.text
    assert repr(made) == (
        "Exported(target='torch', plan=Linear(9), exact=True, until=None, note='to a billionth of "
        "the base rate: torch computes each rate from the one before', arguments=None, "
        "makes='scheduler_of')"
    )


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_written_to_a_file(target, tmp_path):
    """The file holds the text, and nothing else is left beside it."""
    made = parse("Warmup(5) >> Cosine(9)").export(target)
    path = made.save(tmp_path / "plan.txt")
    assert path.read_text(encoding="utf-8") == made.text
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_ends_with_a_line(target):
    """The text is a whole file: it ends with a newline, and no line is longer than a screen."""
    for text in (
        "Warmup(5) >> Cosine(9, end=0.1)",
        "sgdr(100, t_mult=2)",
        "MultiStepDecay((1, 2))",
    ):
        made = parse(text).export(target, 60, base_lr=BASE)
        assert target == "json" or made.text.endswith("\n")
        if target in ("python", "torch", "optax", "lightning"):
            assert max(map(len, made.text.splitlines())) <= 100


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    """A failed write changes nothing."""
    path = tmp_path / "plan.py"
    path.write_text("old")
    made = parse("Linear(9)").export("python")
    broken = Exported("python", made.plan, "\ud800")  # not to be encoded
    with pytest.raises(UnicodeEncodeError):
        broken.save(path)
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(OSError, match="absent"):
        made.save(tmp_path / "absent" / "plan.py")
