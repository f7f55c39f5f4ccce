"""Schedulers of timm: by the arguments of `create_scheduler_v2`, of a class, or of its scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cadence import _checks
from cadence.dialects import _common
from cadence.dialects._common import flag
from cadence.dialects._timm_classes import (
    CLASSES,
    WHERE,
    Checked,
    CosineLRScheduler,
    MultiStepLRScheduler,
    PlateauLRScheduler,
    PolyLRScheduler,
    Scheduler,
    StepLRScheduler,
    TanhLRScheduler,
    WSDLRScheduler,
    noiseless,
    rising,
    whole,
)
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.levels import optional, param, real, show
from cadence.schedule import Schedule
from cadence.shapes import Constant, Hold

__all__ = ["from_timm"]


def from_timm(name_or_args: Any = None, /, **arguments: Any) -> Schedule:
    """The plan of a scheduler of timm, given what timm is given.

    A level is a multiple of the group's rate; `min_lr` and `warmup_lr` are absolute, as in timm.
    A tick is an epoch, or an update with `step_on_epochs=False` (`t_in_epochs=False`): bind a
    plan of epochs with `Scheduler(..., clock="epoch")`. The plan is as long as timm says to
    train, with its `cooldown_epochs`; step, multistep and constant go on for ever. Beyond its
    end each holds what timm holds. Without a warm-up the first tick has the group's own rate,
    whatever the formula says, since timm writes nothing before the second.

    Args:
        name_or_args: A name for `create_scheduler_v2` (`"cosine"`, `"tanh"`, `"step"`,
            `"multistep"`, `"poly"`, `"wsd"`, `"rsqrt"`, `"constant"`, `"none"`; also given as
            `sched=`); or the name of a class such as `"CosineLRScheduler"`; or the arguments of
            timm's scripts, an object or a dict such as their `args.yaml` holds (`sched`,
            `epochs`, `lr_cycle_limit`, ...).
        **arguments: What the function or class takes, but for the optimizer, under timm's names.
            Beside the arguments of a script, only `updates_per_epoch`.

    Raises:
        ArgumentError: An argument is unknown, missing, or cannot be meant; the schedule answers
            a metric (plateau); or it is noisy.

    >>> from_timm("cosine", num_epochs=300, warmup_epochs=5, min_lr=1e-6)
    Warmup(5, start=absolute(1e-05)) >> Cosine(300, end=absolute(1e-06)).part(5)
    >>> from_timm("CosineLRScheduler", t_initial=10, cycle_limit=3, cycle_mul=2, cycle_decay=0.5)
    Cosine(10) >> Cosine(20, start=0.5) >> Cosine(40, start=0.25)
    >>> from_timm({"sched": "step", "epochs": 90, "decay_epochs": 2.4, "decay_rate": 0.97})
    Warmup(5, start=absolute(1e-05)) >> StepDecay(2.4, 0.97).part(5)

    Wightman, timm 1.0.31, `timm/scheduler`.
    """
    if name_or_args is None or isinstance(name_or_args, str):
        if name_or_args is not None and "sched" in arguments:
            raise ArgumentTypeError(f"{WHERE}: the name and 'sched' are the same; give one of them")
        name = arguments.pop("sched", "cosine") if name_or_args is None else name_or_args
    else:
        name, read = _of_script(name_or_args, arguments)
        arguments = {**read, **arguments}
    _checks.choice(WHERE, "sched", name, [*_SCHEDULES, *CLASSES])
    where = f"{WHERE}({name!r})"
    if name in CLASSES:
        return _common.call(where, CLASSES[name], arguments).plan()
    if "sched" in arguments:
        raise ArgumentTypeError(f"{where}: unknown argument 'sched'")
    return _common.call(where, _Factory, {**arguments, "sched": name}).plan()


@dataclass(frozen=True, kw_only=True)
class _Factory(Checked):
    """The arguments of `create_scheduler_v2`, whose lengths are in epochs."""

    sched: str
    num_epochs: float = param(real(above=0), default=300)
    decay_epochs: float | None = param(optional(real(above=0)), default=None)
    decay_milestones: tuple[float, ...] = param(rising, default=(90, 180, 270))
    cooldown_epochs: float = param(real(low=0), default=0)
    patience_epochs: int = 10
    decay_rate: float = param(real(low=0), default=0.1)
    min_lr: float = param(real(low=0), default=0.0)
    warmup_lr: float = 1e-5
    warmup_epochs: float = param(real(low=0), default=0)
    warmup_prefix: bool = param(flag, default=False)
    noise: None = param(noiseless, default=None)
    noise_pct: float = 0.67
    noise_std: float = 1.0
    noise_seed: int | None = 42
    cycle_mul: float = param(real(above=0, high=_checks.MOST), default=1.0)
    cycle_decay: float = param(real(low=0), default=0.1)
    cycle_limit: int = param(whole, default=1)
    k_decay: float = param(real(above=0), default=1.0)
    decay_fn: str | None = None
    stable_timescale: float | None = param(optional(real(above=0)), default=None)
    plateau_mode: str = "max"
    step_on_epochs: bool = param(flag, default=True)
    updates_per_epoch: int = param(_common.steps, default=0)

    @property
    def where(self) -> str:
        return f"{WHERE}({self.sched!r})"

    def _check(self) -> None:
        if not self.step_on_epochs:
            _common.steps(self.where, "updates_per_epoch", self.updates_per_epoch, low=1)

    @property
    def pace(self) -> int:
        """Ticks of an epoch."""
        return 1 if self.step_on_epochs else self.updates_per_epoch

    def ticks(self, name: str) -> int:
        """A length in ticks."""
        epochs = getattr(self, name)
        ticks = epochs * self.pace
        if not float(ticks).is_integer():
            unit = "epochs" if self.step_on_epochs else f"epochs of {self.pace} updates"
            raise ArgumentError(
                f"{self.where}: '{name}' must come to whole ticks (got {show(epochs)} {unit}, "
                f"{ticks!r} ticks)"
            )
        return int(ticks)

    def plan(self) -> Schedule:
        if self.sched == "none":
            return Constant(1.0)
        shared: dict[str, Any] = {
            "warmup_t": self.ticks("warmup_epochs"),
            "warmup_lr_init": self.warmup_lr,
        }
        if self.sched == "plateau":
            return PlateauLRScheduler(
                decay_rate=self.decay_rate,
                patience_t=self.patience_epochs,
                lr_min=self.min_lr,
                mode=self.plateau_mode,
                **shared,
            ).plan()
        if self.sched in ("wsd", "rsqrt"):
            return self._cooled(self._stable(shared))
        shared["warmup_prefix"] = self.warmup_prefix
        if self.sched == "step":
            every = (90 if self.decay_epochs is None else self.decay_epochs) * self.pace
            return StepLRScheduler(decay_t=every, decay_rate=self.decay_rate, **shared).plan()
        if self.sched == "constant":
            return StepLRScheduler(decay_t=1, **shared).plan()
        if self.sched == "multistep":
            milestones = tuple(epoch * self.pace for epoch in self.decay_milestones)
            kind = MultiStepLRScheduler(decay_t=milestones, decay_rate=self.decay_rate, **shared)
            return kind.plan()
        shared |= {
            "t_initial": self.ticks("num_epochs"),
            "lr_min": self.min_lr,
            "cycle_mul": self.cycle_mul,
            "cycle_decay": self.cycle_decay,
            "cycle_limit": self.cycle_limit,
        }
        if self.sched == "tanh":
            return self._cooled(TanhLRScheduler(**shared))
        if self.sched == "cosine":
            return self._cooled(CosineLRScheduler(k_decay=self.k_decay, **shared))
        # timm has no other argument for the power than this one.
        _checks.number(self.where, "decay_rate", self.decay_rate, above=0)
        return self._cooled(PolyLRScheduler(power=self.decay_rate, k_decay=self.k_decay, **shared))

    def _stable(self, shared: dict[str, Any]) -> WSDLRScheduler:
        length = self.ticks("num_epochs") - (0 if self.warmup_prefix else shared["warmup_t"])
        share = 0.2 if self.decay_epochs is None else self.decay_epochs
        decay = round(share * (length if share < 1 else self.pace))
        if not 0 < decay <= length:
            raise ArgumentError(
                f"{self.where}: 'decay_epochs' must come to at least 1 of the {length} ticks "
                f"without the warm-up, and to no more (got {show(share)}, {decay} ticks)"
            )
        is_rsqrt, scale = self.sched == "rsqrt", self.stable_timescale
        return WSDLRScheduler(
            t_initial=length,
            decay_t=decay,
            lr_min=self.min_lr,
            stable_fn="rsqrt" if is_rsqrt else "constant",
            stable_timescale=None if scale is None else scale * self.pace,
            decay_fn=self.decay_fn or ("linear" if is_rsqrt else "1-sqrt"),
            **shared,
        )

    def _cooled(self, scheduler: Scheduler) -> Schedule:
        """The plan as long as timm says to train, with the epochs at the end that only hold."""
        plan, cooldown = scheduler.plan(), self.ticks("cooldown_epochs")
        return plan >> Hold(cooldown) if cooldown and plan.steps is not None else plan


_SCHEDULES = (
    *("cosine", "tanh", "poly", "step", "multistep"),
    *("wsd", "rsqrt", "constant", "plateau", "none"),
)

_SCRIPT = {
    "num_epochs": ("epochs", 100),
    "decay_epochs": ("decay_epochs", 30),
    "decay_milestones": ("decay_milestones", (30, 60)),
    "warmup_epochs": ("warmup_epochs", 5),
    "cooldown_epochs": ("cooldown_epochs", 0),
    "patience_epochs": ("patience_epochs", 10),
    "decay_rate": ("decay_rate", 0.1),
    "min_lr": ("min_lr", 0.0),
    "warmup_lr": ("warmup_lr", 1e-5),
    "warmup_prefix": ("warmup_prefix", False),
    "noise": ("lr_noise", None),
    "noise_pct": ("lr_noise_pct", 0.67),
    "noise_std": ("lr_noise_std", 1.0),
    "noise_seed": ("seed", 42),
    "cycle_mul": ("lr_cycle_mul", 1.0),
    "cycle_decay": ("lr_cycle_decay", 0.1),
    "cycle_limit": ("lr_cycle_limit", 1),
    "k_decay": ("lr_k_decay", 1.0),
    "decay_fn": ("lr_decay_fn", None),
    "stable_timescale": ("lr_stable_timescale", None),
}
"""What a script calls an argument of `create_scheduler_v2`, and what it is where it is missing."""


def _of_script(args: Any, beside: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the arguments that timm's scripts make of theirs."""
    found: Any = args if isinstance(args, Mapping) else getattr(args, "__dict__", {})
    if "sched" not in found or "num_epochs" in found:
        raise ArgumentTypeError(
            f"{WHERE}: the scheduler must be a name such as 'cosine', or the arguments of a script "
            f"with 'sched' and 'epochs' (got {_checks.given(args)}); write "
            "from_timm(sched='cosine', num_epochs=300) for those of create_scheduler_v2"
        )
    for name in beside:
        if name != "updates_per_epoch":
            raise ArgumentTypeError(
                f"{WHERE}: only 'updates_per_epoch' may be given beside the arguments of a script "
                f"(got {name!r})"
            )
    read = {name: found.get(theirs, missing) for name, (theirs, missing) in _SCRIPT.items()}
    read["plateau_mode"] = "min" if "loss" in found.get("eval_metric", "top1") else "max"
    read["step_on_epochs"] = not found.get("sched_on_updates", False)
    return found["sched"], read
