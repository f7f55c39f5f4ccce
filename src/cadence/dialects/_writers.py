"""The targets of an export: how a plan is written for each."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import replace

from cadence.dialects import _optax_code, _torch_code, _transformers_arguments
from cadence.dialects._code import Code, JaxCode, PythonCode
from cadence.dialects._exported import Exported, Run
from cadence.text import to_json

__all__ = ["WRITERS"]

WIDTH = 97


def _json(run: Run) -> Exported:
    return Exported("json", run.plan, to_json(run.plan))


def _csv(run: Run) -> Exported:
    values = run.plan.values(run.steps, run.rate).tolist()
    rows = "".join(f"{step},{value!r}\n" for step, value in enumerate(values))
    note = f"the {run.what('s')} at the steps 0 to {run.steps - 1}"
    return Exported("csv", run.plan, f"step,value\n{rows}", until=run.steps - 1, note=note)


def _python(run: Run) -> Exported:
    code = PythonCode()
    function = _function(code, run, None, "schedule")
    return Exported("python", run.plan, _module(run, code, function), makes="schedule")


def _function(code: PythonCode, run: Run, base: float | None, name: str) -> str:
    """A function of the step and, unless that is given, of the base rate."""
    if run.is_mixed:
        takes = "step"
        what = f"The rate after `step` updates, where the group's own is {run.rate!r}."
    elif base is None:
        takes = f"step, base={run.rate!r}"
        what = "The rate after `step` updates, where the group's own is `base`."
    else:
        takes = "step"
        what = "The multiple of the group's own rate after `step` updates."
    lines = code.body(run.formula(base))
    return "\n".join([f"def {name}({takes}):", f'    """{what}"""', *lines])


def _module(run: Run, code: Code, *blocks: str, imports: Iterable[str] = ()) -> str:
    """A file: what it is, imports, tables, functions."""
    body = "\n\n\n".join((*sorted(code.helpers), *blocks))
    lines = {*code.imports, *imports}
    if "math." in body:
        lines.add("import math")
    standard = sorted(lines & {"import math", "from bisect import bisect_right"}, reverse=True)
    head = textwrap.wrap(f"The plan {run.plan!r}", WIDTH, break_long_words=False)
    tables = [
        "\n".join(textwrap.wrap(f"{name} = {values}", WIDTH, subsequent_indent="    "))
        for name, values in code.constants.items()
    ]
    groups = [[f"# {line}" for line in head], standard, sorted(lines - {*standard}), tables]
    top = "\n\n".join("\n".join(group) for group in groups if group)
    gap = "\n\n\n" if body.startswith("def") else "\n\n"
    return f"{top}{gap}{body}\n"


SCHEDULER = "scheduler_of"
DEFINITION = f'''\
def {SCHEDULER}(optimizer):
    """The scheduler; step it once after each update."""
    return '''


def _torch(run: Run) -> Exported:
    """The function `scheduler_of(optimizer)`."""
    return _classes(run) or _lambda(run)


def _classes(run: Run) -> Exported | None:
    """By torch's own classes."""
    found = None if run.is_mixed else _torch_code.calls(run.plan, run.base_lr)
    if found is None:
        return None
    names = {call.name for call in found}
    block = str(found[0])
    if len(found) > 1:
        names.add("SequentialLR")
        calls = "".join(f"            {call},\n" for call in found)
        milestones = [call.begin for call in found[1:]]
        block = (
            f"SequentialLR(\n        optimizer,\n        [\n{calls}        ],\n"
            f"        milestones={milestones},\n    )"
        )
    imports = [f"from torch.optim.lr_scheduler import {', '.join(sorted(names))}"]
    text = _module(run, PythonCode(), DEFINITION + block, imports=imports)
    note = "to a billionth of the base rate: torch computes each rate from the one before"
    if not run.is_relative or any("eta_min" in call.arguments for call in found):
        note += f"; for groups whose own rate is {run.rate!r}"
    return Exported("torch", run.plan, text, note=note, makes=SCHEDULER)


def _lambda(run: Run) -> Exported:
    """By a function of the step."""
    code, note = PythonCode(), ""
    if run.is_mixed:
        function = _function(code, run, None, "schedule")
        given = f"lambda step: schedule(step) / {run.rate!r}"
        note = f"for groups whose own rate is {run.rate!r}"
    elif run.is_relative:
        function = _function(code, run, 1.0, "multiple")
        given = "multiple"
    else:
        function = _function(code, run, None, "schedule") + MULTIPLE
        given = "[multiple_of(group) for group in optimizer.param_groups]"
    if run.base_lr is None and not run.is_mixed and _torch_code.calls(run.plan, 1.0):
        note = "with base_lr= it can be written with torch's own classes"
    text = _module(
        run,
        code,
        function,
        f"{DEFINITION}LambdaLR(optimizer, {given})",
        imports=["from torch.optim.lr_scheduler import LambdaLR"],
    )
    return Exported("torch", run.plan, text, note=note, makes=SCHEDULER)


MULTIPLE = '''


def multiple_of(group):
    """The rates as multiples of the group's own, which torch takes."""
    base = float(group.get("initial_lr", group["lr"]))
    return lambda step: schedule(step, base) / base'''


def _lightning(run: Run) -> Exported:
    made = _torch(run)
    return replace(made, target="lightning", text=made.text + LIGHTNING, makes="configuration_of")


LIGHTNING = '''

def configuration_of(optimizer):
    """What `LightningModule.configure_optimizers` returns."""
    scheduler = {"scheduler": scheduler_of(optimizer), "interval": "step", "frequency": 1}
    return {"optimizer": optimizer, "lr_scheduler": scheduler}
'''


OWN_SCHEDULER = "for Trainer(optimizers=(optimizer, scheduler))"


def _transformers(run: Run) -> Exported:
    if run.base_lr is None and not run.is_relative:
        # The floors of theirs are parts of a rate that is not known.
        note = f"{OWN_SCHEDULER}; with base_lr= one of theirs may be found"
        return replace(_lambda(run), target="transformers", note=note)
    found = _transformers_arguments.closest(run.plan, run.steps, run.base_lr)
    apart = f"{found.difference:.2g} of the peak away at step {found.step}"
    if found.is_exact or found.difference <= run.tolerance:
        given = json.dumps(found.arguments, indent=4)
        block = f"# For TrainingArguments(..., **arguments)\narguments = {given}"
        last = None if found.is_everywhere else run.steps - 1
        note = "" if last is None else f"after step {last} theirs may go on in another way"
        return Exported(
            "transformers",
            run.plan,
            _module(run, PythonCode(), block),
            exact=found.is_exact,
            until=last,
            note=note if found.is_exact else f"at most {apart}",
            arguments=found.arguments,
            makes="arguments",
        )
    made = _lambda(run)
    name = found.arguments["lr_scheduler_type"]
    note = (
        f"{OWN_SCHEDULER}, since no schedule of theirs has these numbers: the closest, {name!r}, "
        f"is {apart}"
    )
    note += f"; {made.note}" if run.is_mixed else ""
    return replace(made, target="transformers", note=note)


def _optax(run: Run) -> Exported:
    """The function `schedule(count)`, of the rate or, where that is not given, its multiple."""
    found = None if run.is_mixed else _optax_code.calls(run.plan, run.rate)
    code = JaxCode()
    if found is None:
        lines = [
            "def schedule(count):",
            f'    """The {run.what()} after `count` updates."""',
            "    step = jnp.asarray(count, dtype=float)",
            *code.body(run.formula(run.rate)),
        ]
        text = _module(run, code, "\n".join(lines), imports=["import jax.numpy as jnp"])
    else:
        block = f"schedule = {found[0]}"
        if len(found) > 1:
            calls = "".join(f"        {call},\n" for call in found)
            boundaries = [call.begin for call in found[1:]]
            block = (
                f"schedule = optax.join_schedules(\n    [\n{calls}    ],\n"
                f"    boundaries={boundaries},\n)"
            )
        text = _module(run, code, block, imports=["import optax"])
    note = "to the digits of JAX's floats: float32, unless jax_enable_x64 is set"
    if run.base_lr is None:
        note += f"; {run.what('s')}, since base_lr was not given"
    return Exported("optax", run.plan, text, note=note, makes="schedule")


WRITERS: dict[str, Callable[[Run], Exported]] = {
    "csv": _csv,
    "json": _json,
    "lightning": _lightning,
    "optax": _optax,
    "python": _python,
    "torch": _torch,
    "transformers": _transformers,
}
"""What a plan can be written for, and who writes it."""
