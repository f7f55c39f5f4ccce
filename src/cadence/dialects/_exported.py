"""What an export gives, and what its writers are given."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cadence._files import replacing
from cadence.dialects._formula import Formula, written
from cadence.errors import ArgumentError, UnresolvedError
from cadence.schedule import Schedule
from cadence.text import from_json

__all__ = ["Exported", "Run"]


@dataclass(frozen=True)
class Exported:
    """A plan written for another library; made by :meth:`~cadence.schedule.Schedule.export`.

    `str(exported)` is its text.

    Args:
        target: What it was written for.
        plan: The plan that was written, resolved.
        text: The code, or the data.
        exact: Whether it gives the numbers of the plan, up to rounding.
        until: The last step for which that is so; None where it is so for all.
        note: What to know about it: in what it differs, for whom it is, what else there is.
        arguments: For `"transformers"`, what `TrainingArguments` takes; else None.
        makes: The name of what the code defines.
    """

    target: str
    plan: Schedule
    text: str = field(repr=False)
    exact: bool = True
    until: int | None = None
    note: str = ""
    arguments: dict[str, Any] | None = None
    makes: str | None = None

    def __str__(self) -> str:
        return self.text.removesuffix("\n")  # as one prints it

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the text to a file: beside its place first, so that it is whole or not there.

        Raises:
            OSError: The file cannot be written.
        """
        path = Path(path)
        with replacing(path) as unfinished:
            unfinished.write_text(self.text, encoding="utf-8")
        return path

    def build(self, optimizer: Any = None) -> Any:
        """Run the text, and give what it makes.

        For `"python"` and `"optax"` that is the function, for `"json"` the plan, for `"torch"`
        and `"lightning"` the scheduler of an optimizer or the dict with it. For `"transformers"`
        it is the arguments, or where there are none the scheduler for `Trainer(optimizers=...)`.

        Raises:
            ArgumentError: The optimizer is missing, or the text makes nothing.
        """
        if self.target == "json":
            return from_json(self.text)
        if self.makes is None:
            raise ArgumentError(f"build: {self.target!r} is data that makes no object")
        names: dict[str, Any] = {"__name__": f"cadence_export_{self.target}"}
        exec(compile(self.text, f"<{names['__name__']}>", "exec"), names)  # noqa: S102  our own text
        made = names[self.makes]
        if not self.makes.endswith("_of"):
            return made
        if optimizer is None:
            raise ArgumentError(
                f"build: 'optimizer' must be given for {self.target!r}; write build(optimizer)"
            )
        return made(optimizer)


@dataclass(frozen=True)
class Run:
    """What every writer is given: a resolved plan, and what is known of its run."""

    plan: Schedule
    total_steps: int | None
    base_lr: float | None
    tolerance: float

    @property
    def rate(self) -> float:
        """The rate at which values are told; 1 tells multiples."""
        return 1.0 if self.base_lr is None else self.base_lr

    @property
    def is_mixed(self) -> bool:
        """Whether the form of the plan depends on the rate: one kind of level bounds the other."""
        return self.plan.compiled(self.rate).uses_base

    @property
    def is_relative(self) -> bool:
        """Whether all levels are multiples of the rate."""
        return self.plan.compiled(self.rate).term("q") == 0.0

    def what(self, many: str = "") -> str:
        """What the values are; `many` is "s" for more than one."""
        if self.base_lr is not None:
            return f"rate{many}"
        if self.is_relative:
            return f"multiple{many} of the base rate"
        return f"rate{many} at a base rate of 1"

    @property
    def steps(self) -> int:
        """The length of the run, for those who have to know it."""
        found = self.plan.steps if self.total_steps is None else self.total_steps
        if found is None:
            raise UnresolvedError(
                f"export: {self.plan!r} has no length of its own; write total_steps=10_000"
            )
        return found

    def formula(self, base: float | None) -> Formula:
        """The formula of the value at a rate; None writes the rate as the variable `base`."""
        if not self.is_mixed:
            return written(self.plan, base)
        if self.base_lr is None:
            raise ArgumentError(
                "export: 'base_lr' must be given where relative and absolute levels bound each "
                f"other (got None for {self.plan!r}); write base_lr=3e-4"
            )
        return written(self.plan, self.base_lr, at=self.base_lr)
