"""What the updates used, seen as they were made, and written when the loop says so.

A loop that reads `group["lr"]` to log it reads the next update's rate if it does so after
`scheduler.step()`. Here the optimizer's own hooks look at its groups just before each update, so
the place of the call does not matter; and an update that AMP skips is none.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Self, cast

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cadence import _checks
from cadence._warn import warn
from cadence.binding import check_readable, copied, number, read
from cadence.errors import ArgumentError, ArgumentTypeError, LogWarning, MismatchError
from cadence.logs._sink import LogSink
from cadence.logs._texts import Place, adjustment, decision, described, label_groups, parameters
from cadence.plot import png
from cadence.scheduler import Scheduler
from cadence.updates import Updates, hook_into, remove, untraced

__all__ = ["ScheduleLogger"]

WHERE = "ScheduleLogger"
VERSION = 1


class _Update(NamedTuple):
    """What one update used."""

    step: int
    place: float
    """Where the scheduler's plans were."""
    used: dict[str, Any]
    """Values by their keys in the log; tensors are copies."""


class ScheduleLogger:
    """Log what each update used of a schedule: rates, momentum, whatever is scheduled.

    Call :meth:`log` after `optimizer.step()`, before or after `scheduler.step()`: the values are
    those that the update just made has used, under the step of that update, counted from 0, and
    so `value == scheduler.value_at(step)` where nobody interfered. Keys are `lr/NAME` with the
    group's `"name"`, or `group0`, `group1`, ... in order; beside them `plan/lr/NAME` is what the
    plan alone gives, without feedback, adjustments and other people's changes. What a scheduler
    sets beside the groups is `also/NAME`.

    Decisions of the feedback, adjustments and changed bases are logged as texts when they are
    there; the plan as text and as picture at the start, and again when the run is given another
    length.

    With `capturable=True` the clock is on the device: :meth:`log` is called after
    `scheduler.step()` then, `every` counts its calls, and those between ask and write nothing.

    In a distributed run, log in one process. Of several loggers with one sink, give each a prefix.

    Args:
        source: A :class:`~cadence.scheduler.Scheduler`; any other scheduler of torch's protocol;
            or an optimizer, or several.
        sinks: Where to write: a :class:`LogSink` or several. They are closed by :meth:`close`.
        every: Log one update in this many, those whose step is a multiple of it.
        keys: Which hyperparameters to log. By default those that are scheduled; of other
            schedulers and of an optimizer the rate, and the momentum where it is cycled.
        plan: Whether to log the plan's own value beside each.
        prefix: What all keys begin with, such as `"generator/"`.

    Raises:
        ArgumentError: A group has no such value, or an optimizer has no hooks.

    >>> import torch, cadence as cd
    >>> from cadence.logs import JSONL, ScheduleLogger
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    >>> scheduler = cd.Scheduler(optimizer, lr=cd.Linear(), total_steps=4)
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "run.jsonl")
    ...     with ScheduleLogger(scheduler, JSONL(path)) as logger:
    ...         for _ in range(4):
    ...             optimizer.step()
    ...             scheduler.step()
    ...             _ = logger.log(loss=1.0)
    ...     run = cd.read_run(path)
    >>> run.steps, run.values["lr/group0"]
    (array([0, 1, 2, 3]), array([0.5  , 0.375, 0.25 , 0.125]))
    """

    def __init__(
        self,
        source: Any,
        sinks: LogSink | Iterable[LogSink],
        *,
        every: int = 1,
        keys: Sequence[str] | None = None,
        plan: bool = True,
        prefix: str = "",
    ) -> None:
        self.sinks = _sinks(sinks)
        self.every = _checks.whole(WHERE, "every", every, low=1)
        self.plan = bool(plan)
        self.prefix = prefix
        self._scheduler, self.optimizers = _parts(source)
        self._planned = self._scheduler if isinstance(self._scheduler, Scheduler) else None
        self._captured = self._planned is not None and self._planned.capturable
        self.keys = self._keys(keys)
        self._labels: dict[Place, str] = {}
        self._updates = 0
        # What the update that is being made uses, and what the last one has used.
        self._seen: dict[int, dict[str, Any]] = {}
        self._others: dict[str, float] = {}
        self._place, self._step = 0.0, 0
        self._made: _Update | None = None
        self._due = self._fresh = False
        self._first: int | None = None
        self._last: int | None = None
        self._given: set[str] = set()
        self._calls = 0
        self._asked = self._closed = False
        # What was told, so as not to be told again.
        self._told: set[str] = set()
        self._revised: int | None = None
        self._plan_text: str | None = None
        self._bases: dict[str, float] = {}
        self._own: dict[str, float] = {}
        self._listen()

    def _keys(self, keys: Sequence[str] | None) -> tuple[str, ...]:
        if isinstance(keys, str):
            raise ArgumentTypeError(
                f"{WHERE}: 'keys' must be a list of names (got {keys!r}); write [{keys!r}]"
            )
        if keys is None and self._planned is not None:
            chosen = tuple(self._planned._given)
        elif keys is None:
            chosen = ("lr", *_cycled(self._scheduler, self.optimizers[0]))
        else:
            chosen = tuple(keys)
        for optimizer in self.optimizers:
            for i, group in enumerate(optimizer.param_groups):
                for key in chosen:
                    check_readable(group, key, f"param_groups[{i}]", WHERE)
        return chosen

    # Watching.

    def _listen(self) -> None:
        """Hook into the optimizers; the hooks keep nobody alive."""
        self._counter = None
        if self._captured:
            return
        reference: weakref.ref[ScheduleLogger] = weakref.ref(self)
        self._counter = counter = Updates(self.optimizers)
        counter.exact = True
        counter.listener = _after(reference)
        if not counter.hooked:
            counter.remove()
            names = ", ".join(type(optimizer).__name__ for optimizer in self.optimizers)
            raise ArgumentError(
                f"{WHERE}: the optimizers must have hooks (got {names}); give the optimizer that "
                "is wrapped"
            )
        for i, optimizer in enumerate(self.optimizers):
            handle = hook_into(optimizer, _before(reference, i), before=True)
            assert handle is not None
            counter.handles.append(handle)
        weakref.finalize(self, remove, counter.handles).atexit = False

    @untraced
    def _before_update(self, index: int) -> None:
        """Look at the groups of one optimizer, which is about to make an update."""
        self._step = self._updates
        if self._planned is not None and self._planned.clock == "update":
            self._step = self._planned.last_epoch
        if not self._is_due(self._step):
            return
        self._seen[index] = {
            self._name(key, (index, i)): copied(read(group, key))
            for key in self.keys
            for i, group in enumerate(self.optimizers[index].param_groups)
        }
        if self._planned is not None:
            self._place = self._planned._plan_step(self._planned.last_epoch)
            others = self._planned._others.items()
            self._others = {f"also/{name}": other.slot.written for name, other in others}

    def _ask_the_clock(self) -> None:
        """Learn of an update from a clock on the device, since graphs call no hooks."""
        scheduler, self._calls = self._planned, self._calls + 1
        assert scheduler is not None
        if (self._calls - 1) % self.every:  # to ask waits for the device
            self._fresh = True
            self._given.clear()
            return
        step = scheduler.last_epoch - 1
        if step < 0 or step == self._last:
            return
        self._step, self._place = step, scheduler._plan_step(step)
        for slot in scheduler._binding.slots:
            if slot.key in self.keys:
                held = read(slot.group(scheduler._binding.groups), slot.key)
                value = torch.tensor(slot.at(self._place), dtype=held.dtype)
                self._seen[0] = self._seen.get(0, {}) | {self._name(slot.key, slot.place): value}
        self._due = True
        self._after_update()

    def _is_due(self, step: int) -> bool:
        """Whether a step that is to be logged has come since the one that was."""
        last = step - 1 if self._last is None else self._last
        return self._due or step // self.every != last // self.every

    def _after_update(self) -> None:
        """An update was made; of each optimizer, where there are several."""
        step = self._step
        self._due = self._is_due(step)
        if self._last is None:
            self._first = step
        self._updates, self._last, self._fresh = self._updates + 1, step, True
        self._given.clear()
        if self._due:
            used = {name: value for seen in self._seen.values() for name, value in seen.items()}
            self._made = _Update(step, self._place, used | self._others)
        self._seen = {}

    def _name(self, key: str, place: Place) -> str:
        return f"{key}/{self._label(place)}"

    def _label(self, place: Place) -> str:
        """What a group is called, from its first update on."""
        if place not in self._labels:
            label_groups(self.optimizers, self._labels)
        return self._labels[place]

    # Writing.

    @property
    def due(self) -> bool:
        """Whether an update waits to be logged; asked to spare oneself what only the log needs."""
        return self._made is not None or (self._captured and self._calls % self.every == 0)

    def log(
        self, values: Mapping[str, Any] | None = None, /, *, step: int | None = None, **more: Any
    ) -> bool:
        """Write what the update just made has used, and whatever you give, such as the loss.

        Each key is written once for an update. So between two updates, and after one that AMP has
        skipped, a loss that was given already is not written again, and a validation loss that
        is given later is written under the last update. With `every`, what is given together with
        an update is written only where the update is.

        Args:
            values: Numbers by their keys: `{"train/loss": loss}`. A tensor is read only where it
                is written.
            step: The step, where you count otherwise. It changes nothing about `every`.
            **more: More numbers: `loss=loss`.

        Returns:
            Whether numbers were written.

        Raises:
            ArgumentError: A value is no number, or its key is `step`.
        """
        if self._closed:
            raise ArgumentError(f"{WHERE}.log: the logger must not be closed")
        self._asked = True
        if self._captured:
            self._ask_the_clock()
        at = self._last if step is None else _checks.whole(f"{WHERE}.log", "step", step)
        given = {**(values or {}), **more}
        due = self._made is not None or not self._fresh
        new = {k: _number(k, v) for k, v in given.items() if due and k not in self._given}
        made, self._made = self._made, None
        self._given.update(given)
        self._fresh = False
        if at is None:
            return False
        if made is not None:
            self._due = False
            if self.plan:
                self._tell_plan(at)
            new |= {f"{self.prefix}{name}": value for name, value in self._numbers(made).items()}
        news = self._news(at, in_steps=step is None, bases=made is not None)
        self._tell(news, lambda when: when <= at)
        if new:
            for sink in self.sinks:
                sink.scalars(at, new)
        self._tell(news, lambda when: when > at)
        return bool(new)

    def _numbers(self, made: _Update) -> dict[str, float]:
        """The values of an update, and the plan's own."""
        used = {name: number(value) for name, value in made.used.items()}
        if not self.plan or self._planned is None:
            return used
        known: dict[tuple[int, float], float] = {}
        for slot in self._planned._binding.slots:
            name = self._name(slot.key, slot.place)
            if name in used:
                base = self._bases.setdefault(name, slot.own)
                key = id(slot.plan), base  # many groups may share both
                if key not in known:
                    known[key] = slot.plan(made.place, base)
                used[f"plan/{name}"] = known[key]
        return used

    def _tell(self, news: list[tuple[int, str, str]], when: Callable[[int], bool]) -> None:
        for step, key, text in news:
            if when(step):
                for sink in self.sinks:
                    sink.text(step, f"{self.prefix}{key}", text)

    def _news(self, at: int, *, in_steps: bool, bases: bool) -> list[tuple[int, str, str]]:
        """What has happened to the schedule and was not told yet: step, key and text.

        Bases are looked at where an update is written, since groups may be many.
        """
        if self._planned is None or self._first is None:
            return []
        in_steps = in_steps and self._planned.clock == "update"
        found = []
        for key, happened, say in (
            ("decisions", self._planned._decisions, decision),
            ("adjustments", self._planned._adjustments, adjustment),
        ):
            new, happened = [], cast("Sequence[Any]", happened)
            for one in reversed(happened):
                told = f"{key} {one!r}"
                if told in self._told or one.step < self._first:
                    break
                self._told.add(told)
                new.append((one.step if in_steps else at, key, say(one)))
            found += reversed(new)
        for slot in self._planned._binding.slots if bases else ():
            name = self._name(slot.key, slot.place)
            before = self._own.setdefault(name, slot.own)
            if before != slot.own:
                self._own[name] = slot.own
                found.append((at, "changes", f"base of {name}: {before!r} -> {slot.own!r}"))
        return sorted(found, key=lambda new: new[0])

    def _tell_plan(self, at: int) -> None:
        """The plan's text and picture, at the start and after it was revised."""
        scheduler = self._planned
        revised = 0 if scheduler is None else len(scheduler._revisions)
        if self._scheduler is None or revised == self._revised:
            return
        self._revised = revised
        if scheduler is None:
            text = parameters(self._scheduler)
        else:
            text = described(scheduler, self._label)
        if text == self._plan_text:
            return
        self._plan_text = text
        for sink in self.sinks:
            sink.text(at, f"{self.prefix}plan", text)
        if scheduler is not None and self.sinks:
            picture = png(scheduler.plot()[0])
            for sink in self.sinks:
                sink.picture(at, f"{self.prefix}plan", picture)

    # State.

    def state_dict(self) -> dict[str, Any]:
        """How many updates were logged, and what was told of the plan, as plain values.

        Under a :class:`~cadence.scheduler.Scheduler` that counts updates a resumed run goes on
        at the right step without it; elsewhere it is needed for that.
        """
        return {
            "version": VERSION,
            "updates": self._updates,
            "plan": self._plan_text,
            "bases": dict(self._bases),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where the state was saved.

        Raises:
            MismatchError: It is not a logger's state; nothing is changed then.
        """
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(self.state_dict()):
            raise MismatchError(
                f"{WHERE}.load_state_dict: the state must be one of {WHERE} (got "
                f"{_checks.given(state_dict)})"
            )
        if state_dict["version"] != VERSION:
            raise MismatchError(
                f"{WHERE}.load_state_dict: the state's version must be {VERSION} (got "
                f"{state_dict['version']!r})"
            )
        updates = _checks.whole(f"{WHERE}.load_state_dict", "updates", state_dict["updates"])
        self._plan_text, self._bases = state_dict["plan"], dict(state_dict["bases"])
        self._updates = updates

    # Closing.

    def close(self) -> None:
        """Tell what is left to tell, leave the optimizers alone, and close the sinks."""
        if self._closed:
            return
        self._closed = True
        if self._counter is not None:
            self._counter.remove()
        with ExitStack() as stack:
            for sink in self.sinks:
                stack.callback(sink.close)
            if self._last is not None:
                self._tell(self._news(self._last, in_steps=True, bases=True), lambda _: True)
        if self._asked and self._last is None:
            warn(
                f"{WHERE}: no update of the optimizers was seen, so no rates were logged; give "
                "the logger the optimizer whose step() the loop calls",
                LogWarning,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _before(reference: weakref.ref[ScheduleLogger], index: int) -> Callable[..., None]:
    def look(*_: object) -> None:
        logger = reference()
        if logger is not None:
            logger._before_update(index)

    return look


def _after(reference: weakref.ref[ScheduleLogger]) -> Callable[[], None]:
    def listen() -> None:
        logger = reference()
        if logger is not None:
            logger._after_update()

    return listen


def _sinks(given: Any) -> tuple[LogSink, ...]:
    one = isinstance(given, (LogSink, str)) or not isinstance(given, Iterable)
    found: tuple[Any, ...] = (given,) if one else tuple(cast("Iterable[Any]", given))
    for sink in found:
        if not isinstance(sink, LogSink) or isinstance(sink, type):
            raise ArgumentTypeError(
                f"{WHERE}: 'sinks' must be sinks, with scalars(), text(), picture() and close() "
                f"(got {_checks.given(sink)}); write JSONL('run.jsonl') or TensorBoard('runs')"
            )
    return found


def _parts(source: Any) -> tuple[LRScheduler | None, tuple[Optimizer, ...]]:
    """The scheduler, if there is one, and the optimizers."""
    while not isinstance(source, (LRScheduler, Optimizer)) and hasattr(source, "scheduler"):
        source = source.scheduler  # Accelerate wraps them
    if isinstance(source, Scheduler):
        return source, source.optimizers
    if isinstance(source, LRScheduler):
        return source, (source.optimizer,)
    found = getattr(source, "optimizer", source)  # a scheduler of nobody's protocol
    found = (found,) if isinstance(found, Optimizer) else found
    optimizers = tuple(found) if isinstance(found, Iterable) else ()
    if not optimizers or not all(isinstance(one, Optimizer) for one in optimizers):
        raise ArgumentTypeError(
            f"{WHERE}: 'source' must be a scheduler, an optimizer, or a list of optimizers (got "
            f"{_checks.given(source)})"
        )
    return None, optimizers


def _cycled(scheduler: Any, optimizer: Optimizer) -> list[str]:
    """The key of the momentum, where torch's scheduler cycles it with the rate."""
    children = getattr(scheduler, "_schedulers", [scheduler])
    if not any(getattr(child, "cycle_momentum", False) for child in children):
        return []
    return ["beta1" if "betas" in optimizer.defaults else "momentum"]


def _number(key: str, value: Any) -> float:
    if key == "step":
        raise ArgumentError(f"{WHERE}.log: 'step' is the step itself; write log(..., step=...)")
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return number(value)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentTypeError(
            f"{WHERE}.log: {key!r} must be a number (got {_checks.given(value)})"
        ) from None
