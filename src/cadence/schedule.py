"""A schedule is a value: what it means, how it composes, how it is written.

A **schedule** (a *plan*, when somebody wrote it for a run) is a pure function from a step, the
number of ticks done, to a **level**: a multiple of a parameter group's own base value (`0.1` is
a tenth of the group's rate) or an absolute one (`absolute(1e-6)`). A plan is therefore affine in
the base, `plan(step, base) = p(step) * base + q(step)`, and one plan serves groups with
different rates.

The unit is the **ramp**: `start + (end - start) * curve(progress)`, with progress from 0 to 1
over its steps. Each step belongs to one phase: a ramp of n steps has its `start` at its step 0
and its `end` at its step n, which is the next phase's step 0; after its end it holds.

Plans compose. `a >> b` is a timeline: b has its own clock from 0 and, unless told otherwise,
starts where a ended, so a timeline is continuous by default. A ramp without a length is *open*:
it takes what the other phases leave of the run. `a * b`, `a + b`, `.clip(low, high)`,
`.repeat(times)`, `.part(start, stop)` and `.stairs(every)` combine whole plans; inside them a
timeline starts anew at 1.0.

A plan whose lengths are all known in steps is **resolved** and total: it has a value at every
finite step. Lengths in other units are resolved against a horizon: `plan.resolve(10_000)`.

`repr(plan)` is the Python that makes an equal plan. Plans are frozen, hashable and picklable.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, dataclass_transform

import numpy as np

from cadence import _checks
from cadence._array import convert, floating, like, namespace
from cadence._program import Affine, Program
from cadence.errors import ArgumentError, ArgumentTypeError, UnresolvedError
from cadence.horizon import Duration, Horizon, Length
from cadence.levels import Level, canonical, param, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cadence.algebra import Clip, Part, Product, Repeat, Sequence, Stairs, Sum
    from cadence.check import Finding
    from cadence.dialects.export import Exported

__all__ = ["Leaf", "Phase", "Schedule"]


BLOCK = 1 << 15
"""How many steps of a NumPy array are evaluated at once."""


class Phase(NamedTuple):
    """One phase of a plan, as :meth:`Schedule.phases` tells it.

    A phase that goes on for ever has infinitely many steps, and NaN for its end unless its value
    settles.
    """

    plan: Schedule
    begin: int
    steps: float
    start: float
    end: float


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(param,))
class Schedule:
    """A pure, frozen function from step to level. The contract is here, once for all.

    Subclasses become frozen dataclasses by themselves: write annotated fields and one method.
    Most want :class:`~cadence.shapes.Ramp` (`curve`) or :class:`~cadence.shapes.Decay` (`decay`).

    Calling a plan, `plan(step, base=1.0)`, gives a float for a number, and for a NumPy, torch
    or JAX array an array of the same shape and library (float64, or the widest float that the
    library and device offer). Steps may be fractional. Beyond its end a plan holds its last
    value.

    Raises:
        UnresolvedError: The plan holds a length that is not in steps, or a ramp without a
            length; resolve it first. (An open `Hold` or `Constant` at the end has its value
            whatever the horizon, so it does not count.)
        ArgumentError: A step is negative, infinite or NaN.
    """

    known: ClassVar[dict[str, type[Schedule]]] = {}
    """Every kind of schedule by its name; the text form reads from here."""

    precedence: ClassVar[int] = 3
    """How tightly the text form binds: 0 for `>>`, 1 for `+`, 2 for `*`, 3 for a call."""

    called: ClassVar[str] = ""
    """What messages call a kind that is made by a method, such as `repeat`."""

    # NumPy shall leave `array * plan` to us; it would make an array of plans.
    __array_ufunc__ = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = cls.__repr__  # in the class's own dict, or dataclass writes another
        dataclass(frozen=True, kw_only=True)(cls)
        taken = Schedule.known.get(cls.__name__)
        if taken is not None and taken.__module__ != cls.__module__:
            raise ArgumentError(
                f"{cls.__module__}.{cls.__name__}: {taken.__module__} has a schedule of this name; "
                "choose another, since plans are stored by name"
            )
        if not cls.__name__.startswith("_"):
            Schedule.known[cls.__name__] = cls

    def __post_init__(self) -> None:
        canonical(self, self.called or type(self).__name__)
        self._check()

    def _check(self) -> None:
        """What a kind demands of its fields together."""

    # What every kind of schedule answers.

    def _program(self, entry: Affine | None, base: Any) -> Program:
        """Compile to pieces; `entry` is where the phase before ended, None at a beginning."""
        raise NotImplementedError

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        """The exact length in steps: None where it is open, inf where it is endless."""
        raise NotImplementedError

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        """The same plan with all durations resolved; where it is open, `steps` long."""
        raise NotImplementedError

    def _lacking(self, *, last: bool = True) -> str | None:
        """Why the plan has no values yet, or None; `last`: nothing follows that needs its end."""
        raise NotImplementedError

    def _is_endless(self) -> bool:
        """Whether the plan goes on for ever, so that nothing can follow it."""
        raise NotImplementedError

    def _durations(self) -> Iterator[Duration]:
        """The durations that a horizon has to resolve."""
        for item in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            yield from durations(getattr(self, item.name))

    @property
    def steps(self) -> Any:
        """The length in steps, or a duration to be resolved; None where open or endless."""
        raise NotImplementedError

    # Evaluation.

    def __call__(self, step: Any, base: Any = 1.0) -> Any:
        if isinstance(step, np.ndarray) and step.size > BLOCK and np.ndim(base) == 0:
            # Temporaries that stay in the cache make long curves more than twice as fast.
            flat, out = step.reshape(-1), np.empty(step.size)
            for i in range(0, flat.size, BLOCK):
                out[i : i + BLOCK] = self(flat[i : i + BLOCK], base)
            return out.reshape(step.shape)
        t, xp = convert(step)
        library = namespace(base, "base")
        if library is math:
            base = _checks.number("plan", "base", base)
            value = self.compiled(base).value(t, xp, base)
        else:
            value = self._at_bases(t, xp, floating(base, library), library)
        if xp is np:
            return np.asarray(value)  # arithmetic turns a 0-d array into a scalar
        if xp.__name__ == "torch" and step.device != t.device:
            return value.to(device=step.device, dtype=xp.float32)
        return value

    def _at_bases(self, t: Any, xp: Any, bases: Any, library: Any) -> Any:
        """The values for an array of bases, at one step or at steps that broadcast with it."""
        program = self.compiled()
        if not program.uses_base:
            if xp is not math:
                return program.value(t, xp, bases)
            p, q = program.at(t)
            return p * bases + q
        # Such a plan is compiled for each base; the sums are there to broadcast.
        whole = 0.0 * t + bases
        each = whole.reshape(-1).tolist()
        steps = [t] * len(each) if xp is math else (t + 0.0 * bases).reshape(-1).tolist()
        values = [self(step, base) for step, base in zip(steps, each, strict=True)]
        return like(values, whole, library).reshape(whole.shape)

    def compiled(self, base: Any = 1.0) -> Program:
        """The plan as a program of pieces, made once and kept."""
        kept: dict[float | None, Program] = self.__dict__.setdefault("_kept", {})
        program = kept.get(None)
        key = base if isinstance(base, (int, float)) else None
        if program is None and key is not None:
            program = kept.get(key)
        if program is None:
            why = self._lacking()
            if why is not None:
                raise UnresolvedError(f"{self!r} is not resolved: {why}")
            program = self._program(None, base)
            if not program.uses_base:
                kept[None] = program
            elif key is not None and len(kept) < 64:
                kept[key] = program
        return program

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def resolve(self, horizon: int | Horizon | None = None) -> Self:
        """The same plan with every length in steps.

        Percentages and other durations that do not come out even are rounded by the largest
        remainder, so that the phases of a run tile it exactly. A phase that comes to 0 steps
        contributes only its end. Endless plans stay endless.

        Args:
            horizon: Steps of the whole run, or a :class:`~cadence.horizon.Horizon`.

        Raises:
            UnresolvedError: The horizon lacks what a duration needs.
            ArgumentError: The phases need more steps than the run has.

        >>> from cadence import Warmup, Cosine
        >>> (Warmup("5%") >> Cosine(end=0.1)).resolve(10_000)
        Warmup(500) >> Cosine(9500, end=0.1)
        """
        horizon = Horizon.of(horizon)
        share = self._share(horizon)
        if share is None:
            if horizon.total_steps is None:
                if self._lacking() is None:
                    return self
                raise UnresolvedError(f"{self!r} is not resolved: {REST}")
            return self._fit(horizon, horizon.total_steps)
        return self._fit(horizon, 0 if share == math.inf else half_up(share))

    # Questions.

    def _span(self, what: str, write: str = "plan.values(10_000)") -> int:
        """The number of steps until the plan no longer moves, for questions about all of it."""
        end = self.compiled().end
        if end == math.inf:
            raise UnresolvedError(
                f"{self!r} has no end, so it has no {what}; ask about a number of steps: "
                f"write {write}"
            )
        return math.ceil(end)

    def values(self, n: int | None = None, base: float = 1.0) -> np.ndarray:
        """The values of steps 0..n-1, by default of the plan's own steps; shape (n,), float64.

        >>> from cadence import Linear
        >>> Linear(4).values()
        array([1.  , 0.75, 0.5 , 0.25])
        """
        if n is None:
            self.compiled(base)
            n = self.steps
            if n is None:
                raise UnresolvedError(f"{self!r} has no length of its own; write plan.values(n)")
        n = _checks.whole("values", "n", n)
        return self(np.arange(n, dtype=np.float64), base)

    def _chunks(self, a: int, b: int, base: float) -> Iterator[tuple[int, np.ndarray]]:
        """The values of steps a..b-1 in parts that fit in memory."""
        size = 1 << 20
        for i in range(a, b, size):
            yield i, self(np.arange(i, min(i + size, b), dtype=np.float64), base)

    @property
    def peak(self) -> float:
        """The largest value over the steps 0..steps, at base 1."""
        return max(float(v.max()) for _, v in self._chunks(0, self._span("peak") + 1, 1.0))

    @property
    def final(self) -> float:
        """The value that is held from the end on, at base 1."""
        return float(self(self._span("final value")))

    def area(self, a: int, b: int, base: float = 1.0) -> float:
        """The sum of the values of steps a..b-1.

        >>> from cadence import Linear
        >>> Linear(4).area(0, 4)
        2.5
        """
        a = _checks.whole("area", "a", a)
        b = _checks.whole("area", "b", b, low=a)
        return math.fsum(float(v.sum()) for _, v in self._chunks(a, b, base))

    def first_below(
        self, level: float, base: float = 1.0, *, within: int | None = None
    ) -> int | None:
        """The first step whose value is below `level`, or None where there is none.

        An endless plan needs `within`, the number of steps to look at.

        >>> from cadence import Linear
        >>> Linear(4).first_below(0.5)
        3
        """
        level = _checks.number("first_below", "level", level)
        if within is None:
            within = (
                self._span("last step to look at", "plan.first_below(level, within=10_000)") + 1
            )
        for a, values in self._chunks(0, _checks.whole("first_below", "within", within), base):
            found = values < level
            if found.any():
                return a + int(found.argmax())
        return None

    def phases(self, base: float = 1.0) -> list[Phase]:
        """The phases in order: plan, first step, length, value at the start and at the end.

        >>> from cadence import Warmup, Cosine
        >>> for phase in (Warmup(5) >> Cosine(10)).phases():
        ...     print(phase.plan, phase.begin, phase.steps, phase.start, phase.end)
        Warmup(5) 0 5 0.2 1.0
        Cosine(10) 5 10 1.0 0.0
        """
        self.compiled(base)
        found = []
        for part, begin, program in self._timeline(base):
            # An open phase is a flat one here: it has been compiled.
            steps = part.steps if part.steps is not None else math.inf
            last = min(steps, program.end)
            end = program.value(last, math, base) if last < math.inf else math.nan
            found.append(Phase(part, begin, steps, program.value(0, math, base), end))
        return found

    def _timeline(self, base: Any) -> Iterator[tuple[Schedule, int, Program]]:
        """Each phase with its first step and its own program."""
        yield self, 0, self.compiled(base)

    def plot(self, total_steps: int | Horizon | None = None, **options: Any) -> Axes:
        """Draw the plan with matplotlib; see :func:`cadence.plot.plot` for the options.

        Args:
            total_steps: Steps of the run, or a :class:`~cadence.horizon.Horizon`.
            **options: `base`, `log`, `unit`, `mark`, `title`, `ax` and others.
        """
        from cadence.plot import plot

        return plot(self, total_steps, **options)

    def check(
        self,
        horizon: int | str | Horizon | None = None,
        *,
        total_steps: int | str | None = None,
        base: float = 1.0,
    ) -> list[Finding]:
        """What is wrong with the plan as a plan of rates, or worth knowing; the worst first.

        Args:
            horizon: Steps of the run, or a :class:`~cadence.horizon.Horizon`.
            total_steps: Steps of the run, where the horizon does not tell them.
            base: The group's own rate, where levels are absolute.

        >>> from cadence import Cosine
        >>> for finding in Cosine(90).check(total_steps=9_000):
        ...     print(finding.code, finding.fix)
        CD009 Cosine('90ep')
        """
        from cadence.check import check

        return check(self, horizon, total_steps=total_steps, base=base)

    def export(
        self,
        target: str,
        total_steps: int | Horizon | None = None,
        *,
        base_lr: float | None = None,
        tolerance: float = 0.0,
    ) -> Exported:
        """The plan written for those who do not have Cadence.

        Where a library has a schedule with the same numbers, that is written; else code that
        computes them, from the plan's own formulas.

        Args:
            target: `"python"`, a function that needs nothing; `"torch"`, `"transformers"`,
                `"lightning"` or `"optax"`, code for these; `"json"` or `"csv"`, data.
            total_steps: Steps of the run, or a :class:`~cadence.horizon.Horizon`; needed where
                the plan has no length of its own.
            base_lr: The group's own rate, for what cannot be a multiple of it elsewhere.
            tolerance: How far a schedule of transformers may be off, as a part of the peak, to
                be taken all the same.

        Returns:
            The text, which can be saved or run; and in what it differs, if it does.

        Raises:
            UnresolvedError: The plan needs a horizon that was not given.
            ArgumentError: The plan cannot be written for the target.

        >>> from cadence import Warmup, Cosine
        >>> print((Warmup(100) >> Cosine(900)).export("torch"))
        # The plan Warmup(100) >> Cosine(900)
        <BLANKLINE>
        from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR
        <BLANKLINE>
        <BLANKLINE>
        def scheduler_of(optimizer):
            \"\"\"The scheduler; step it once after each update.\"\"\"
            return SequentialLR(
                optimizer,
                [
                    LinearLR(optimizer, start_factor=0.01, total_iters=100),
                    CosineAnnealingLR(optimizer, T_max=900),
                    ConstantLR(optimizer, factor=0.0, total_iters=10**15),
                ],
                milestones=[100, 1000],
            )
        """
        from cadence.dialects.export import export

        return export(self, target, total_steps, base_lr=base_lr, tolerance=tolerance)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from cadence.plot import notebook

        return notebook(self)

    # Composition.

    def __rshift__(self, other: Schedule) -> Sequence:
        if not isinstance(other, Schedule):
            raise _not_joined(other)
        from cadence.algebra import Sequence

        return Sequence((self, other))

    def __rrshift__(self, other: object) -> Sequence:
        raise _not_joined(other)

    def __mul__(self, other: Schedule | Level) -> Product:
        from cadence.algebra import Product

        return Product(self, other)

    __rmul__ = __mul__

    def __add__(self, other: Schedule | Level) -> Sum:
        from cadence.algebra import Sum

        return Sum(self, other)

    __radd__ = __add__

    def clip(self, low: Level | None = None, high: Level | None = None) -> Clip:
        """The plan kept within two levels.

        Bounds of the plan's own kind (all relative, or all absolute) bound its multiple or its
        absolute value; where the kinds differ, they bound the value at the group's base.

        >>> from cadence import Linear, absolute
        >>> Linear(4).clip(low=0.4).values(5)
        array([1.  , 0.75, 0.5 , 0.4 , 0.4 ])
        """
        from cadence.algebra import Clip

        return Clip(self, low, high)

    def repeat(
        self,
        times: int | None = None,
        *,
        length_mult: float = 1.0,
        peak_mult: float = 1.0,
        over: Length | str | None = None,
    ) -> Repeat:
        """The plan over and over; each cycle begins at the plan's own start again.

        Cycle i is `length_mult**i` times as long as the first, and its distance from the
        cycle's end is multiplied by `peak_mult**i`. A plan of fixed length is stretched in
        time. In a plan with an open phase or percentages, these are of the cycle, and the
        cycles tile `over` (by default the rest of the run).

        Args:
            times: How many cycles; None repeats for ever.
            length_mult: 1, or at least 1.01.
            peak_mult: From 0 to 1 shrinks the cycles, above 1 grows them.
            over: Length of all cycles together, for a plan without a fixed length.

        >>> from cadence import Linear
        >>> Linear(2).repeat(2, peak_mult=0.5).values()
        array([1.  , 0.5 , 0.5 , 0.25])
        """
        from cadence.algebra import Repeat

        return Repeat(self, times, length_mult=length_mult, peak_mult=peak_mult, over=over)

    def part(
        self, start: int, stop: int | None = None, *, steps: Length | str | None = None
    ) -> Part:
        """A stretch of the plan, at its own pace or at another.

        `value(t) = plan(start + t * (stop - start) / steps)` for `0 <= t < steps`, then
        `plan(stop)` is held. This changes a run in the middle: `plan.part(0, 600) >>
        OneMinusSqrt(100)` branches off at step 600, and `plan.part(0, 600) >> plan.part(600,
        1000, steps=2400)` stretches the rest. A part has its own clock and begins at its own
        level, wherever the phase before ended. The plan is resolved as if it were the whole
        run, also inside `>>`, where the part takes only its own length.

        Args:
            start: The step of the plan at which the part begins.
            stop: The step of the plan at which it ends; None is the plan's own end.
            steps: The length in which it is played, by default `stop - start`.

        >>> from cadence import Linear
        >>> Linear(4).part(1, 3).values(4)
        array([0.75, 0.5 , 0.25, 0.25])
        >>> Linear(4).part(2, steps=4).values(5)
        array([0.5  , 0.375, 0.25 , 0.125, 0.   ])
        """
        from cadence.algebra import Part

        return Part(self, start, stop, steps=steps)

    def stairs(self, every: Length | str, *, each: int | None = None) -> Stairs:
        """The plan in stairs: each value is kept for `every` steps.

        `value(t) = plan(floor(t / every) * each)`, and from the plan's end on its end. A plan
        in stairs of `"1ep"` moves once an epoch, on a clock that counts updates. One that was
        written in epochs is put on that clock by `each=1`; its lengths are then its own.

        Args:
            every: Steps of a stair, or a duration.
            each: Steps of the plan from one stair to the next; by default `every`.

        >>> from cadence import Linear
        >>> Linear(8).stairs(3).values(9)
        array([1.   , 1.   , 1.   , 0.625, 0.625, 0.625, 0.25 , 0.25 , 0.   ])
        >>> Linear(2).stairs(3, each=1).values(8)
        array([1. , 1. , 1. , 0.5, 0.5, 0.5, 0. , 0. ])
        """
        from cadence.algebra import Stairs

        return Stairs(self, every, each=each)

    # Text.

    def __repr__(self) -> str:
        placed, named = [], []
        fields = dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
        for item in sorted(fields, key=lambda item: bool(item.kw_only)):  # inherited come first
            value = getattr(self, item.name)
            if value == item.default:
                continue
            if item.kw_only or named:
                named.append(f"{item.name}={show(value)}")
            else:
                placed.append(show(value))
        return f"{type(self).__name__}({', '.join(placed + named)})"

    def _bracketed(self, precedence: int) -> str:
        return f"({self!r})" if self.precedence < precedence else repr(self)


REST = (
    "a phase without a length takes the rest of the run, whose length is not known; "
    "write plan.resolve(10_000) or Scheduler(..., total_steps=10_000)"
)


def _not_joined(other: object) -> ArgumentTypeError:
    hint = ""
    if isinstance(other, str):
        hint = f"; write parse({other!r})"
    elif isinstance(other, (int, float)):
        hint = f"; write Constant({other!r})"
    return ArgumentTypeError(f"'>>' joins schedules (got {_checks.given(other)}){hint}")


def half_up(exact: Any) -> int:
    return math.floor(exact + Fraction(1, 2))


def durations(value: Any) -> Iterator[Duration]:
    """The durations in a field or plan that the horizon has to resolve."""
    if isinstance(value, Duration):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from durations(item)
    elif isinstance(value, Schedule):
        yield from value._durations()


def why_unresolved(lengths: Iterable[Duration]) -> str | None:
    """What the first of the durations lacks, or None where there is none."""
    for duration in lengths:
        try:
            Horizon().exact(duration)
        except UnresolvedError as error:
            return str(error)
    return None


class Leaf(Schedule):
    """A schedule that is not made of others."""

    flat: ClassVar[bool] = False
    """Whether the value does not depend on the length, so that an open one can be evaluated."""

    endless: ClassVar[bool] = False
    """Whether no length means for ever rather than the rest of the run."""

    def _share(self, horizon: Horizon) -> Fraction | float | None:
        if self.steps is None:
            return math.inf if self.endless else None
        return horizon.exact(self.steps)

    def _is_endless(self) -> bool:
        return self.endless and self.steps is None

    def _fit(self, horizon: Horizon, steps: int) -> Self:
        def fitted(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(fitted, value))
            return horizon.steps(value) if isinstance(value, Duration) else value

        changes = {}
        for item in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            value = getattr(self, item.name)
            if isinstance(value, Duration):  # a period is never shorter than one step
                changes[item.name] = max(1, horizon.steps(value))
            elif fitted(value) != value:
                changes[item.name] = fitted(value)
        if isinstance(self.steps, Duration) or (self.steps is None and not self.endless):
            changes["steps"] = steps
        return dataclasses.replace(self, **changes) if changes else self

    def _lacking(self, *, last: bool = True) -> str | None:
        if self.steps is None and not self.endless and not (last and self.flat):
            return REST
        return why_unresolved(durations(self))
