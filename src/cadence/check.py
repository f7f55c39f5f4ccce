"""Check a plan against its run before anything is trained: findings with stable codes.

Each finding names its numbers, the place, and where there is one, the plan to write instead. A fix
is only offered once it has been tried: it reads back, removes the finding, and brings no new one
as severe. What is looked for is the table in :mod:`cadence.rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from cadence import _checks
from cadence._warn import warn
from cadence.edits import holds
from cadence.errors import ArgumentError, CadenceError, ScheduleWarning
from cadence.horizon import Horizon
from cadence.rules import RULES, Found, Rule
from cadence.schedule import Schedule
from cadence.shapes import Function
from cadence.text import parse
from cadence.view import View

__all__ = ["SEVERITIES", "Finding", "check", "remark"]

SEVERITIES = ("error", "warning", "hint")
"""From what is certainly wrong to what is worth knowing."""

EXACT = 1 << 17
"""Up to so many steps every one is evaluated; a longer run is sampled at so many."""

GLANCE = 256
"""How many steps are evaluated while a scheduler is built."""

TRIAL = 100
"""A run of fewer steps trains nothing; a scheduler that is built for one tells errors alone."""


@dataclass(frozen=True)
class Finding:
    """What the checker has to say about one place of a plan.

    Args:
        code: Which rule, such as `"CD009"`; codes are never given to another rule.
        severity: `"error"`, `"warning"` or `"hint"`.
        message: A sentence with the numbers.
        step: The step of the run that it is about.
        phase: The phase that it is about, as it was written.
        fix: The text of a plan without this finding, where there is one.
        numbers: What the message states, in full precision.
    """

    code: str
    severity: str
    message: str
    step: int | None = None
    phase: str | None = None
    fix: str | None = None
    numbers: dict[str, float] = field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**self.__dict__, "numbers": dict(self.numbers), "title": RULES[self.code].title}

    def __str__(self) -> str:
        fix = "" if self.fix is None else f"; write {self.fix}"
        return f"{self.code} {self.severity}: {self.message}{fix}"


def check(
    plan: Schedule,
    horizon: int | str | Horizon | None = None,
    *,
    total_steps: int | str | None = None,
    base: float = 1.0,
) -> list[Finding]:
    """What is wrong with a plan of rates, or worth knowing: the worst first.

    Args:
        plan: The plan.
        horizon: Steps of the run, or a :class:`~cadence.horizon.Horizon`; without it, only what
            does not depend on the run is checked.
        total_steps: Steps of the run, where the horizon does not tell them.
        base: The group's own rate, where levels are absolute.

    Raises:
        UnresolvedError: The horizon lacks what a duration needs.
        ArgumentError: The phases need more steps than the run has.

    >>> from cadence import Warmup, StepDecay
    >>> for finding in check(Warmup(5) >> StepDecay(30), 100_000):
    ...     print(finding.code, finding.severity, finding.step, finding.fix)
    CD009 error 125 Warmup('5ep') >> StepDecay('30ep')
    """
    known = Horizon.of(horizon)
    if total_steps is not None:
        if known.total_steps is not None:
            raise ArgumentError(
                f"check: 'total_steps' must not be given twice (got {total_steps!r} and "
                f"{horizon!r})"
            )
        known = replace(known, total_steps=total_steps)
    view = View(plan, known, _checks.number("check", "base", base), EXACT)
    return [_finding(view, rule, found) for rule, found in _found(view)]


def _found(view: View, rules: Iterable[Rule] = RULES.values()) -> list[tuple[Rule, Found]]:
    """What the rules find, the worst first, without what another finding says already."""
    told = [(rule, found) for rule in rules for found in rule.look(view)]
    codes = {rule.code for rule, _ in told}
    told = [pair for pair in told if codes.isdisjoint(pair[0].unless)]
    return sorted(told, key=lambda pair: SEVERITIES.index(pair[0].severity))


def _finding(view: View, rule: Rule, found: Found) -> Finding:
    return Finding(
        rule.code,
        rule.severity,
        found.message,
        found.step,
        None if found.stage is None else repr(found.stage.written),
        next(_fixes(view, rule, found), None),
        found.numbers,
    )


def _fixes(view: View, rule: Rule, found: Found) -> Iterator[str]:
    """The texts of the plans that are better."""
    as_bad = SEVERITIES[: SEVERITIES.index(rule.severity) + 1]
    before = {other.code for other, _ in _found(view)} - {rule.code}
    for make in found.fixes:
        with suppress(CadenceError):  # the change does not go together with the rest of the plan
            plan = make()
            if plan is None or parse(repr(plan)) != plan:
                continue
            again = _found(View(plan, found.horizon or view.horizon, view.base, view.most))
            left = {other.code for other, _ in again if other.severity in as_bad}
            if left <= before:
                yield repr(plan)


def remark(plans: Iterable[tuple[Schedule, Schedule, float]], horizon: Horizon) -> None:
    """Warn of the first plan of rates that is a mistake almost surely; for a new scheduler.

    A few hundred steps of each are looked at. Functions are left alone: a call may cost, count
    or print something. So is a rate that is 0 throughout, which freezes a group, and a run of a
    given time, whose steps nobody knows.

    Args:
        plans: Each as it was written and resolved, with its base.
        horizon: The run.
    """
    if horizon.wall_time is not None:
        return
    trial = horizon.total_steps is not None and horizon.total_steps < TRIAL
    early = [
        rule for rule in RULES.values() if rule.early and not (trial and rule.severity != "error")
    ]
    seen: set[int] = set()
    for written, plan, base in plans:
        if id(plan) in seen or holds(plan, Function):
            continue
        seen.add(id(plan))
        view = View(written, horizon, base, GLANCE, plan)
        told = _found(view, early) if view.values.any() else []
        if told:
            finding = _finding(view, *told[0])
            more = "" if len(told) == 1 else f" (and {', '.join(r.code for r, _ in told[1:])})"
            fix = "" if finding.fix is None else f"; write {finding.fix}"
            warn(f"Scheduler: lr: {finding.message} [{finding.code}]{fix}{more}", ScheduleWarning)
            return
