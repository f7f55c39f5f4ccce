"""The checker: each rule by plans that it finds and that it must let pass; what is always true."""

import inspect
import math
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cadence as cd
from cadence import Horizon, parse, recipes
from cadence.check import EXACT, SEVERITIES, TRIAL, Finding, check
from cadence.errors import ArgumentError, ScheduleWarning, UnresolvedError
from cadence.rules import RULES
from optimizers import held, sgd
from strategies import resolved

DOCUMENT = Path(__file__).parents[1] / "docs" / "check.md"


@dataclass(frozen=True)
class Row:
    """A plan that a rule finds, what it says of it, and plans close by that it lets pass."""

    code: str
    text: str
    steps: int | None
    numbers: dict[str, float]
    """Worked out by hand."""
    step: int
    phase: str
    fix: str | None
    near: list[str]
    epoch: int | None = None
    base: float = 1.0
    also: set[str] = field(default_factory=set)
    """What else is found, and true."""

    @property
    def horizon(self) -> Horizon:
        return Horizon(self.steps, steps_per_epoch=self.epoch)


# A table: the formatter would give every number a line of its own.
# fmt: off
ROWS = [
    Row("CD001", "Warmup(500, start=0) >> Cosine()", 10_000, {"first": 0, "second": 0.002},
        0, "Warmup(500, start=0)", "Warmup(500) >> Cosine()",
        ["Warmup(500) >> Cosine()", "Constant(0, 100) >> Cosine(start=1)", "Constant(0)"]),
    Row("CD001", "Linear(400, start=0, end=absolute(0.01)) >> Cosine()", 10_000,
        {"first": 0, "second": 2.5e-5}, 0, "Linear(400, start=0, end=absolute(0.01))",
        "Linear(400, start=absolute(2.5e-05), end=absolute(0.01)) >> Cosine()", [], base=0.3),
    Row("CD001", "PiecewiseLinear(((0, 0), (500, 1), (10_000, 0)))", 10_000,
        {"first": 0, "second": 0.002}, 0, "PiecewiseLinear(((0, 0), (500, 1), (10000, 0)))",
        "PiecewiseLinear(((0, 0.002), (500, 1), (10000, 0)))",
        ["PiecewiseLinear(((0, 0), (0, 0.1), (500, 1), (10_000, 0)))"]),
    Row("CD002", "Warmup(500) >> Cosine(4500, end=0.1)", 10_000,
        {"end": 5000, "run": 10_000, "held": 0.1}, 5000, "Cosine(4500, end=0.1)",
        "Warmup(500) >> Cosine(end=0.1)",
        ["Warmup(500) >> Cosine(end=0.1)", "Warmup(500)", "Warmup(500) >> Cosine(9100, end=0.1)",
         "Warmup(500) >> Cosine(4500, end=0.1) >> Hold()", "StepDecay(3000)"]),
    Row("CD002", "StepDecay(1500, steps=6000)", 10_000,
        {"end": 6000, "run": 10_000, "held": 1e-4}, 6000, "StepDecay(1500, steps=6000)",
        "StepDecay(1500)", []),
    Row("CD003", "Warmup(500) >> Cosine(9500)", 5250,
        {"run": 5250, "length": 10_000, "reached": 0.5, "end": 0}, 5250, "Cosine(9500)",
        "Warmup(500) >> Cosine()", ["Warmup(500) >> Cosine(4750)", "Warmup(50) >> Hold(9000)"]),
    Row("CD004", "Warmup(500) >> Linear(start=0.4)", 10_000,
        {"before": 1, "start": 0.4, "step": 500, "size": 0.6}, 500, "Linear(start=0.4)",
        "Warmup(500) >> Linear()",
        ["Warmup(500) >> Linear(start=0.95)", "Warmup(500) >> Constant(0.4, 500) >> Linear()",
         "Cosine(5000) >> Cosine(start=1)", "(Warmup(500) >> Linear(start=0.4)).clip(high=0.3)"]),
    Row("CD004", "(Warmup(500, end=0.8) >> Linear(500).repeat(19)) * 0.5", 10_000,
        {"before": 0.8, "start": 1, "step": 500, "size": 0.2}, 500, "Linear(500).repeat(19)",
        "(Warmup(500, end=0.8) >> Linear(500).repeat(19) * 0.8) * 0.5", []),
    Row("CD005", "Hold(6000) >> Linear(start=0, end=1)", 10_000,
        {"peak": 1, "low": 0, "step": 6000, "last": 0.99975}, 6000, "Linear(start=0, end=1)",
        "Hold(6000) >> Linear(start=1)",
        ["Cosine(6000) >> Linear(2000, start=0.1, end=0.9) >> Linear()",
         "Cosine(2500).repeat(4)", "Linear(5000) >> Constant(1)", "Warmup(10_000)"],
        also={"CD004"}),
    Row("CD005", "Linear(6000) >> Linear(4000, end=1)", 10_000,
        {"peak": 1, "low": 0, "step": 6000, "last": 0.99975}, 6000, "Linear(4000, end=1)",
        "Linear()", []),
    Row("CD006", "Warmup(500) >> Linear(9500, end=-0.9)", 10_000,
        {"step": 9999, "value": -0.8998}, 9999, "Linear(9500, end=-0.9)",
        "Warmup(500) >> Linear(9500)", ["Linear(10_000)"]),
    Row("CD006", "Linear(1000) + -0.5", 1000, {"step": 999, "value": -0.499},
        999, "Linear(1000) + -0.5", "(Linear(1000) + -0.5).clip(low=0)", []),
    Row("CD007", "ExponentialDecay(1e10)", 100, {"step": 31, "value": math.inf},
        31, "ExponentialDecay(10000000000)", "ExponentialDecay(10000000000).clip(high=1)",
        ["ExponentialDecay(1e3)"], also={"CD014"}),
    Row("CD008", "Warmup(3000) >> Cosine(7000)", 10_000, {"warmup": 3000, "run": 10_000},
        0, "Warmup(3000)", "Warmup('5%') >> Cosine()",
        ["Warmup(2000) >> Cosine()", "one_cycle(30%)", "Linear(10_000, start=0.1, end=1)"]),
    Row("CD008", "Warmup(1000)", 1000, {"warmup": 1000, "run": 1000}, 0, "Warmup(1000)",
        "Warmup('5%')", []),
    Row("CD009", "StepDecay(30)", 90_000, {"done": 120, "run": 90_000, "after": 0},
        120, "StepDecay(30)", "StepDecay('30ep')",
        ["StepDecay(30_000)", "Cosine(1%)", "Warmup(50)", "InverseSqrt(30)",
         "Cosine(90, end=0.1) >> Hold()"]),
    Row("CD009", "Warmup(5) >> Cosine(85)", 45_000, {"done": 90, "run": 45_000, "after": 0},
        90, "Cosine(85)", "Warmup('5ep') >> Cosine('85ep')", [], epoch=500),
    Row("CD009", "MultiStepDecay((30, 60, 80))", 90_000,
        {"done": 80, "run": 90_000, "after": 0.001}, 80, "MultiStepDecay((30, 60, 80))",
        "MultiStepDecay(('30ep', '60ep', '80ep'))", ["MultiStepDecay((30_000, 60_000, 80_000))"]),
    Row("CD009", "PiecewiseLinear(((0, 0.1), (5, 1), (30, 0)))", 9000,
        {"done": 30, "run": 9000, "after": 0}, 30,
        "PiecewiseLinear(((0, 0.1), (5, 1), (30, 0)))",
        "PiecewiseLinear(((0, 0.1), ('5ep', 1), ('30ep', 0)))", []),
    Row("CD010", "Warmup(1000) >> InverseSqrt(1000)", 16_000, {"end": 0.25, "peak": 1},
        16_000, "InverseSqrt(1000)",
        "Warmup(1000) >> InverseSqrt(1000, steps=11800) >> OneMinusSqrt('20%')",
        ["Cosine(end=0.1)", "Constant(0.3)", "Warmup(1000) >> Hold()", "triangular(500)"]),
    Row("CD010", "Cosine(end=0.5)", 1000, {"end": 0.2, "peak": 0.4}, 1000, "Cosine(end=0.5)",
        "Cosine()", [], base=0.4),
    Row("CD011", "sgdr(100)", 10_000, {"cycle": 100, "epoch": 250}, 0, "Cosine(100).repeat()",
        "Cosine(300).repeat()", ["sgdr(250)"], epoch=250),
    Row("CD011", "sgdr(times=50)", 10_000, {"cycle": 200, "epoch": 250}, 0, "Cosine().repeat(50)",
        "Cosine().repeat(40)", ["sgdr(times=40)", "Cosine(200)"], epoch=250),
    Row("CD012", "Warmup(500) >> Linear(4500)", 10_000, {"from": 5000, "rest": 5000, "most": 0},
        5000, "Linear(4500)", "Warmup(500) >> Linear()",
        ["Linear(9950)", "Linear(4500, end=0.1)", "Constant(0, 5000) >> Linear(start=1)"]),
    Row("CD012", "StepDecay(1000)", 20_000, {"from": 7000, "rest": 13_000, "most": 1e-7},
        7000, "StepDecay(1000)", None, ["StepDecay(4000)"]),
    Row("CD012", "Constant(0)", 100, {"from": 0, "rest": 100, "most": 0},
        0, "Constant(0)", None, []),
    Row("CD013", "Warmup(5%) >> Hold() >> Linear(2%)", 10_000,
        {"cooldown": 200, "hold": 9300, "run": 10_000}, 9800, "Linear('2%')",
        "Warmup('5%') >> Hold() >> Linear('20%')",
        ["wsd(5%, 5%)", "Hold(9800) >> Linear(200, end=0.6)"]),
    Row("CD014", "Cosine(start=4)", 1000, {"peak": 4, "step": 0}, 0, "Cosine(start=4)",
        "Cosine(start=4) * 0.25", ["Cosine()", "Constant(absolute(3))"]),
    Row("CD015", "Warmup(500, end=3e-4) >> Cosine(end=3e-5)", 10_000, {"peak": 3e-4, "step": 500},
        500, "Cosine(end=3e-05)",
        "Warmup(500, end=absolute(0.0003)) >> Cosine(end=absolute(3e-05))",
        ["Cosine(end=3e-5)", "Warmup(500, end=absolute(3e-4)) >> Cosine()", "Constant(0)",
         "Cosine() * 0.05", "Warmup(100_000) >> InverseSqrt(500)"]),
    Row("CD016", "Warmup(1%) >> Cosine()", 40, {"steps": 0, "begin": 0}, 0, "Warmup('1%')",
        "Warmup(1) >> Cosine()", ["Warmup(0) >> Cosine()", "Warmup(0%) >> Cosine()"]),
    Row("CD016", "Warmup(1000) >> Cosine()", 1000, {"steps": 0, "begin": 1000}, 1000, "Cosine()",
        None, ["Warmup(500) >> Hold() >> Linear(500)"], also={"CD008"}),
    Row("CD017", "MultiStepDecay((3000, 6000))", 5000, {"drop": 6000, "end": 5000},
        6000, "MultiStepDecay((3000, 6000))", "MultiStepDecay((3000,))",
        ["MultiStepDecay((3000, 4999))", "MultiStepDecay((3000, 6000), 1)"], also={"CD010"}),
    Row("CD017", "Warmup(100) >> StepDecay(5000)", 5000, {"drop": 5100, "end": 5000},
        5100, "StepDecay(5000)", "Warmup(100) >> StepDecay('30%')", ["StepDecay(2000)"]),
]
# fmt: on
IDS = [f"{row.code}-{row.text}" for row in ROWS]
WORSE = {"error", "warning"}


def codes(findings):
    return {finding.code for finding in findings}


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_rule_finds_what_it_is_for(row):
    """The finding has the rule's severity, the numbers worked out by hand, and the place."""
    findings = parse(row.text).check(row.horizon, base=row.base)
    [finding] = [f for f in findings if f.code == row.code]
    assert finding.severity == RULES[row.code].severity
    assert finding.numbers == pytest.approx(row.numbers, rel=1e-9, abs=1e-12)
    assert (finding.step, finding.phase) == (row.step, row.phase)
    worse = {f.code for f in findings if f.severity in WORSE} - {row.code}
    assert worse == {code for code in row.also if RULES[code].severity in WORSE}


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_numbers_are_in_the_message(row):
    """A reader of the message alone sees every number that was found."""
    [finding] = [f for f in parse(row.text).check(row.horizon, base=row.base) if f.code == row.code]
    found = re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?|inf", finding.message.replace(",", ""))
    told = [float(number) for number in found]
    for name, number in finding.numbers.items():
        if name in {"most", "step"} or (row.code, name) in {("CD012", "from"), ("CD016", "begin")}:
            continue  # said in words, or by `step`
        shown = 100 * number if name == "size" else number
        assert any(math.isclose(shown, one, rel_tol=1e-3) or shown == one for one in told), name


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_rule_lets_pass_what_is_fine(row):
    """Plans close by, which people write on purpose, are not found."""
    for text in row.near:
        assert row.code not in codes(parse(text).check(row.horizon, base=row.base)), text


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_fix_mends_it(row):
    """The fix is a text that reads back and is not found by the rule any more."""
    [finding] = [f for f in parse(row.text).check(row.horizon, base=row.base) if f.code == row.code]
    assert finding.fix == row.fix
    if row.fix is None:
        return
    # What is in epochs needs to know them.
    horizon = Horizon(row.steps, steps_per_epoch=row.epoch or 100)
    again = parse(finding.fix).check(horizon, base=row.base)
    assert row.code not in codes(again)
    assert "error" not in {f.severity for f in again}


def test_rules_rows_and_docs_agree():
    """Each rule has a row in the table above and an entry in docs/check.md, in the same order."""
    assert list(RULES) == sorted(RULES)
    assert {row.code for row in ROWS} == set(RULES)
    entries = re.findall(
        r"^\((cd\d+)\)=\n### (CD\d+): (.+)\n\n\*(\w+)(, told when a scheduler is built)?\*$",
        DOCUMENT.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert entries == [
        (
            rule.code.lower(),
            rule.code,
            rule.title,
            rule.severity.capitalize(),
            ", told when a scheduler is built" if rule.early else "",
        )
        for rule in RULES.values()
    ]


def test_each_entry_of_the_docs_shows_its_finding():
    """The example of an entry, whose output the docs' own test compares, is of that rule."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for code in RULES:
        entry = text.partition(f"\n### {code}: ")[2].partition("\n### ")[0]
        assert f"\n{code} {RULES[code].severity}: " in entry


# Plans that people write.

GOOD = {
    "warmup_cosine()": 10_000,
    "warmup_linear()": 10_000,
    "wsd()": 10_000,
    "one_cycle()": 10_000,
    "one_cycle().momentum": 10_000,
    "one_cycle(three_phase=True)": 10_000,
    "sgdr(times=4)": 10_000,
    "sgdr(1000)": 10_000,
    "sgdr(1000, t_mult=2)": 7_000,
    "triangular(500)": 10_000,
    "triangular2(500)": 10_000,
    "exp_range(500, factor=0.9999)": 10_000,
    "noam(512)": 100_000,
    "slanted_triangular()": 10_000,
    "flat_cosine()": 10_000,
    "budgeted_linear()": 10_000,
    "Warmup(2000) >> Hold()": 100_000,
    "Constant(1)": 10_000,
    "Warmup(1%) >> Cosine(end=0.1)": 1_000_000,
    "Warmup(5) >> Cosine()": 90,
    "StepDecay(30)": 90,
    "MultiStepDecay((30, 60, 80))": 90,
    "Warmup(500) >> Cosine(9500, end=absolute(1e-6))": 10_000,
    "(Warmup(50%) >> Cosine()).repeat(3)": 9_000,
    "Constant(0, 1000) >> Cosine(start=1)": 10_000,
    "Warmup(500) >> ExponentialDecay(0.1, per=90%)": 10_000,
    "(Warmup(500) >> Cosine(9500)).part(0, 6000) >> OneMinusSqrt(1000)": 7_000,
}


@pytest.mark.parametrize("text", GOOD)
def test_good_plans_have_hints_at_most(text):
    """Nothing that is widely done on purpose is called a mistake."""
    findings = parse(text).check(GOOD[text], base=0.1)
    assert [f for f in findings if f.severity in WORSE] == []


def test_every_recipe_is_among_the_good_plans():
    """The list above holds every recipe, at its defaults where it has them."""
    functions = {name for name in recipes.__all__ if inspect.isfunction(getattr(recipes, name))}
    assert functions <= {text.partition("(")[0] for text in GOOD}


@pytest.mark.parametrize("text", GOOD)
def test_good_plans_are_bound_without_a_word(text):
    """A scheduler is built on any of them in silence; warnings are errors here."""
    cd.Scheduler(sgd(0.1), lr=text, total_steps=GOOD[text])


# What is true of all plans.


def _settled(values, after, near):
    return bool((abs(values - after) <= near).all())


# For each code: the finding's numbers n, the values v of the run, their peak, the value after the
# last step, and the plan. What is stated must be so.
TRUE = {
    "CD001": lambda n, v, peak, after, plan: v[0] == 0 and v[1] == n["second"] != 0,
    "CD002": lambda n, v, peak, after, plan: (
        plan.steps == n["end"] < 0.95 * len(v)
        and (v[n["end"] :] == n["held"]).all()
        and n["held"] < 0.9 * peak
    ),
    "CD003": lambda n, v, peak, after, plan: (
        plan.steps == n["length"] > n["run"] == len(v)
        and after == n["reached"]
        and abs(n["end"] - after) > 0.01 * max(abs(peak), abs(n["end"]))
    ),
    "CD004": lambda n, v, peak, after, plan: (
        n["size"] == abs(n["start"] - n["before"]) / max(abs(n["start"]), abs(n["before"])) > 0.1
        and n["step"] < len(v)
    ),
    "CD005": lambda n, v, peak, after, plan: (
        v[n["step"]] == n["low"] <= 0.5 * n["peak"]
        and v[: n["step"] + 1].max() == n["peak"]
        and v[-1] == n["last"] >= n["low"] + 0.1 * n["peak"]
    ),
    "CD006": lambda n, v, peak, after, plan: v[n["step"]] == n["value"] == np.nanmin(v) < 0,
    "CD007": lambda n, v, peak, after, plan: (
        not np.isfinite(v[n["step"]]) and np.isfinite(v[: n["step"]]).all()
    ),
    "CD008": lambda n, v, peak, after, plan: n["warmup"] > 0.2 * n["run"] and n["run"] == len(v),
    "CD009": lambda n, v, peak, after, plan: (
        n["done"] <= min(len(v) / 20, 1000)
        and after == n["after"] < 0.5 * peak
        and _settled(v[n["done"] :], after, 1e-3 * peak)
    ),
    "CD010": lambda n, v, peak, after, plan: (
        n["peak"] == peak and n["end"] == min(v[-1], after) and 0.1 < n["end"] / peak < 0.9
    ),
    "CD011": lambda n, v, peak, after, plan: n["cycle"] < n["epoch"] <= len(v) / 5,
    "CD012": lambda n, v, peak, after, plan: (
        n["from"] + n["rest"] == len(v)
        and (v[n["from"] :] <= n["most"]).all()
        and n["most"] <= 1e-6 * peak
        and n["rest"] >= max(10, 0.01 * len(v))
    ),
    "CD013": lambda n, v, peak, after, plan: (
        n["cooldown"] < 0.05 * len(v)
        and n["hold"] >= 0.5 * len(v)
        and after <= 0.5 * v[-n["cooldown"] - int(0.02 * len(v)) - 1]
    ),
    "CD014": lambda n, v, peak, after, plan: (
        math.isclose(plan(n["step"]), n["peak"]) and n["peak"] == plan.values(len(v)).max() > 1
    ),
    "CD015": lambda n, v, peak, after, plan: (
        math.isclose(plan(n["step"]), n["peak"]) and n["peak"] == plan.values(len(v)).max() < 0.01
    ),
    "CD016": lambda n, v, peak, after, plan: n["steps"] == 0,
    "CD017": lambda n, v, peak, after, plan: n["drop"] >= n["end"] <= len(v),
}


@settings(max_examples=200)
@given(resolved(max_depth=3), st.sampled_from([1.0, 0.1, 3e-4]))
def test_what_is_said_of_any_plan_is_true(plans, base):
    """On a plan at random the checker never fails, its numbers are so, and its fixes mend."""
    written, plan, horizon = plans
    findings = check(written, horizon, base=base)
    assert [SEVERITIES.index(f.severity) for f in findings] == sorted(
        SEVERITIES.index(f.severity) for f in findings
    )
    total = horizon.total_steps
    assert total is not None
    if total <= EXACT:
        values, after = plan.values(total, base), plan(total, base)
        for finding in findings:
            true = TRUE[finding.code]
            assert true(finding.numbers, values, np.nanmax(values), after, plan), finding
    for finding in findings:
        if finding.fix is not None:
            assert finding.code not in codes(parse(finding.fix).check(horizon, base=base)), finding


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_what_is_said_of_the_rows_is_true(row):
    """The truths that plans at random are held to hold for each row, and are not empty."""
    plan = parse(row.text).resolve(row.horizon)
    values, after = plan.values(row.steps, row.base), plan(row.steps, row.base)
    findings = check(parse(row.text), row.horizon, base=row.base)
    for finding in findings:
        true = TRUE[finding.code]
        assert true(finding.numbers, values, np.nanmax(values), after, plan)
    [finding] = [f for f in findings if f.code == row.code]
    for other in (0.3 * np.ones(len(values)), 1.0 + np.arange(len(values))):
        if row.code not in {"CD004", "CD008", "CD011", "CD013", "CD014", "CD015", "CD016", "CD017"}:
            assert not TRUE[row.code](finding.numbers, other, other.max(), other[-1], plan)


@settings(max_examples=40)
@given(st.integers(EXACT + 1, 10**12), st.integers(1, 40), st.integers(0, 99))
def test_a_long_run_is_sampled_and_the_numbers_are_exact_all_the_same(total, warm, percent):
    """Of a run that is too long to look at each step, where the plan settles is found exactly."""
    length = total * percent // 100 + 2000  # more than could be epochs
    findings = check(parse(f"Warmup({warm}%) >> Hold() >> Linear(1%)").resolve(length), total)
    tail = [f for f in findings if f.code == "CD012"]
    assert [f.numbers["from"] for f in tail] == [length] * (total - length >= 0.01 * total)


# How it is asked.


def test_the_run_may_be_given_in_many_ways():
    """A number, a duration, a horizon, or the length by its name."""
    plan = cd.Warmup("1ep") >> cd.Cosine(end=0.5)
    told = plan.check(Horizon(1000, steps_per_epoch=10))
    assert codes(told) == {"CD010"}
    assert plan.check(Horizon("100ep", steps_per_epoch=10)) == told
    assert plan.check(Horizon(steps_per_epoch=10), total_steps="100ep") == told
    assert cd.Cosine(end=0.5).check(1000) == cd.Cosine(end=0.5).check(total_steps=1000)
    with pytest.raises(ArgumentError, match=r"^check: 'total_steps' must not be given twice"):
        plan.check(1000, total_steps=1000)
    with pytest.raises(UnresolvedError):
        plan.check(1000)
    with pytest.raises(ArgumentError, match=r"^check: 'base' must be finite \(got nan\)"):
        plan.check(Horizon(1000, steps_per_epoch=10), base=math.nan)


def test_without_a_run_only_the_plan_is_checked():
    """What depends on the length of the run is not guessed."""
    assert cd.Cosine(90).check() == []
    assert codes(cd.Cosine(90, end=-1).check()) == {"CD006"}
    assert codes(cd.Warmup(50).check()) == set()
    assert codes((cd.Warmup(50) >> cd.Cosine(50)).check()) == {"CD008"}
    assert codes(cd.StepDecay(30, 1.5).check()) == {"CD014"}


def test_a_handful_of_steps_is_not_taken_for_epochs():
    """In a run of fewer than 100 steps a short phase says nothing about its unit."""
    assert "CD009" in codes(cd.Cosine(5).check(100))
    assert "CD009" not in codes(cd.Cosine(4).check(99))
    cd.Scheduler(sgd(0.1), lr=cd.Linear(1), total_steps=60)


def test_absolute_levels_are_judged_at_the_base():
    """The same absolute end is low for one base and high for another."""
    plan = cd.Cosine(end=cd.absolute(1e-3))
    assert plan.check(1000, base=0.1) == []
    [finding] = plan.check(1000, base=2e-3)
    assert finding.numbers == {"end": 1e-3, "peak": 2e-3}


def test_a_function_of_the_step_is_checked_too():
    """What a LambdaLR would do: epochs taken for updates, a cosine beyond its half period."""
    epochs = cd.Function(lambda epoch: 0.95**epoch)
    assert [(f.code, f.fix) for f in epochs.check(100_000)] == [("CD009", None)]
    beyond = cd.Function(lambda t: 0.5 * (1 + math.cos(math.pi * t / 1000)))
    assert beyond.check(1000) == []
    [finding] = beyond.check(1500)
    assert (finding.code, finding.step) == ("CD005", 1000)
    broken = cd.Function(lambda t: math.nan if t > 3 else 1.0)
    assert [(f.code, f.step, f.fix) for f in broken.check(10)] == [("CD007", 4, None)]


def test_a_finding_is_a_value():
    """It prints as a line, compares, hashes, and turns into plain values."""
    [finding] = cd.Cosine(start=2).check(1000)
    assert str(finding) == f"CD014 hint: {finding.message}; write Cosine(start=2) * 0.5"
    assert finding == cd.Cosine(start=2).check(1000)[0]
    assert len({finding, *cd.Cosine(start=2).check(1000)}) == 1
    assert finding.as_dict() == {
        "code": "CD014",
        "severity": "hint",
        "title": "the peak is above the base",
        "message": finding.message,
        "step": 0,
        "phase": "Cosine(start=2)",
        "fix": "Cosine(start=2) * 0.5",
        "numbers": {"peak": 2.0, "step": 0},
    }
    assert str(Finding("CD012", "warning", "so it is")) == "CD012 warning: so it is"


def test_checking_is_light():
    """It loads neither torch nor anything to draw with."""
    code = (
        "import sys, cadence; cadence.Cosine(90).check(9000); "
        "sys.exit(', '.join({'torch', 'matplotlib', 'rich', 'typer'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


# When a scheduler is built.


@pytest.mark.parametrize("row", [row for row in ROWS if RULES[row.code].early], ids=str)
def test_a_mistake_is_told_when_a_scheduler_is_built(row):
    """One warning with the code and what to write, at the line that built the scheduler."""
    run = {"horizon": row.horizon, "lr": row.text}
    if row.steps < TRIAL and RULES[row.code].severity != "error":
        cd.Scheduler(sgd(row.base), **run)  # a trial
        return
    if row.text == "Constant(0)":
        cd.Scheduler(sgd(row.base), **run)  # a frozen group
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cd.Scheduler(sgd(row.base), **run)
    [warning] = caught
    assert warning.category is ScheduleWarning
    assert warning.filename == __file__
    told = str(warning.message)
    assert told.startswith("Scheduler: lr: ")
    assert f"[{row.code}]" in told
    if row.fix is not None:
        assert f"; write {row.fix}" in told


@pytest.mark.parametrize("row", [row for row in ROWS if not RULES[row.code].early], ids=str)
def test_the_rest_is_told_when_asked(row):
    """What may be meant is not told by a scheduler."""
    if not row.also & {code for code, rule in RULES.items() if rule.early}:
        cd.Scheduler(sgd(row.base), lr=row.text, horizon=row.horizon)


def test_one_warning_for_all_groups():
    """Many groups of one plan, and several mistakes in it, make one warning."""
    plan = "Warmup(1%) >> Linear(40, end=-1)"
    with pytest.warns(ScheduleWarning) as caught:
        cd.Scheduler(sgd(0.1, 0.2, 0.3), lr=[plan, plan, "Cosine()"], total_steps=100)
    [warning] = caught
    assert "[CD006]" in str(warning.message)


def test_only_rates_are_judged():
    """A weight decay that falls to nothing early, or a negative number elsewhere, is no matter."""
    optimizer = sgd(0.1, momentum=0.9)
    cd.Scheduler(optimizer, momentum="Linear(500)", weight_decay="Constant(-1)", total_steps=10_000)


def test_a_function_is_not_called_more_often():
    """Looking at a plan of the user's own function would call it at steps that nobody takes."""
    called = []
    cd.Scheduler(sgd(0.1), lr=lambda step: called.append(step) or -1.0, total_steps=10_000)
    assert set(called) <= {0}


def test_a_warning_that_is_an_error_leaves_the_optimizer_alone():
    """Who makes the warning an error gets it before anything is written."""
    optimizer = sgd(0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ScheduleWarning):
            cd.Scheduler(optimizer, lr="Warmup(10) >> Cosine(80)", total_steps=10_000)
    assert held(optimizer) == [0.5]
    assert set(optimizer.param_groups[0]) == set(sgd(0.5).param_groups[0])


def test_few_steps_are_evaluated_when_a_scheduler_is_built(monkeypatch):
    """However long the run, a few hundred."""
    looked = 0
    own = cd.Schedule.__call__

    def counted(self, step, base=1.0):
        nonlocal looked
        looked += np.size(step)
        return own(self, step, base)

    monkeypatch.setattr(cd.Schedule, "__call__", counted)
    cd.Scheduler(sgd(0.1), lr="Warmup(5%) >> Cosine(end=0.1)", total_steps=10_000_000)
    assert 0 < looked < 1500


def test_the_drop_in_says_nothing():
    """A program written for torch runs as it did."""
    from cadence import lr_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    lr_scheduler.ConstantLR(optimizer, factor=1e-6, total_iters=10**6)
