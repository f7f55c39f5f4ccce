"""Other libraries' schedules by a line of text: `"transformers:cosine(num_cycles=1)"`.

For the command line and for configurations: the library, a name that its reader knows, and the
schedule's own arguments, under the library's names. What a run is asked about anyway (warm-up,
length, rate) is given beside it and passed on under the names, and in the units, of the library.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadence import _checks, dialects
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.schedule import Schedule

__all__ = ["LIBRARIES", "is_spec", "read"]


@dataclass(frozen=True)
class _Run:
    """What is known of the run, and what of it a library has been told."""

    library: str
    name: str
    warmup_steps: int | None
    total_steps: int | None
    base_lr: float | None
    steps_per_epoch: int | None

    def told(self, given: dict[str, Any], **places: str) -> dict[str, Any]:
        """The arguments with what is known of the run, where the schedule has a place for it.

        A length of the run or a rate may go without saying; a warm-up never does.
        """
        found = dict(given)
        for known, place in places.items():
            value = getattr(self, known)
            if value is not None and place not in found:
                found[place] = value
        if self.warmup_steps and "warmup_steps" not in places:
            raise ArgumentError(
                f"{self.library}: {self.name!r} has no warm-up of its own (got {self.warmup_steps} "
                "steps of it); leave it out, and write Warmup(...) in front of the plan"
            )
        return found


Reader = Callable[[str, dict[str, Any], _Run], Any]


def _transformers(name: str, given: dict[str, Any], run: _Run) -> Any:
    places = {"warmup_steps": "warmup_steps", "total_steps": "total_steps"}
    return dialects.from_transformers(name, **run.told(given, **places, base_lr="learning_rate"))


def _timm(name: str, given: dict[str, Any], run: _Run) -> Any:
    """Steps are updates: an epoch of one update for the factory, a tick for a class."""
    if not name.endswith("Scheduler"):
        given = {"step_on_epochs": False, "updates_per_epoch": 1, **given}
        places = {"warmup_steps": "warmup_epochs", "total_steps": "num_epochs"}
    else:
        places = {"warmup_steps": "warmup_t"}
        if name not in ("StepLRScheduler", "MultiStepLRScheduler"):
            places["total_steps"] = "t_initial"
    return dialects.from_timm(name, **run.told(given, **places))


_OPTAX_LENGTHS = {
    "cosine_decay_schedule": "decay_steps",
    "warmup_cosine_decay_schedule": "decay_steps",
    "linear_schedule": "transition_steps",
    "polynomial_schedule": "transition_steps",
    "linear_onecycle_schedule": "transition_steps",
    "cosine_onecycle_schedule": "transition_steps",
}
"""What the length of the run is called where a schedule is as long as that."""


def _optax(name: str, given: dict[str, Any], run: _Run) -> Any:
    places = {"warmup_steps": "warmup_steps"} if name.startswith("warmup_") else {}
    if name in _OPTAX_LENGTHS:
        places["total_steps"] = _OPTAX_LENGTHS[name]
    return dialects.from_optax(name, **run.told(given, **places))


def _keras(name: str, given: dict[str, Any], run: _Run) -> Any:
    """Keras counts the steps of a decay from the end of the warm-up on."""
    if name == "PolynomialDecay":
        return dialects.from_keras(name, **run.told(given, total_steps="decay_steps"))
    if name != "CosineDecay":
        return dialects.from_keras(name, **run.told(given))
    given = run.told(given, warmup_steps="warmup_steps")
    if run.total_steps is not None and "decay_steps" not in given:
        given["decay_steps"] = run.total_steps - given.get("warmup_steps", 0)
    if run.warmup_steps and run.base_lr is not None:
        given = {"initial_learning_rate": 0.0, "warmup_target": run.base_lr, **given}
    return dialects.from_keras(name, **given)


def _deepspeed(name: str, given: dict[str, Any], run: _Run) -> Any:
    return dialects.from_deepspeed(name, **run.told(given, **_deepspeed_places(name)))


def _deepspeed_places(name: str) -> dict[str, str]:
    places = {"warmup_steps": "warmup_num_steps"} if name.startswith("Warmup") else {}
    if name in ("WarmupDecayLR", "WarmupCosineLR"):
        places["total_steps"] = "total_num_steps"
    return places


def _deepspeed_config(config: Any, given: dict[str, Any], run: _Run) -> Any:
    """What the config leaves `"auto"` is filled in as the Trainer of transformers does."""
    from cadence.dialects.deepspeed import section_of

    name, params = section_of(config)
    places = _deepspeed_places(name)
    if params.get("warmup_max_lr") == "auto":
        places["base_lr"] = "warmup_max_lr"
    if params.get("warmup_min_lr") == "auto":
        given = {"warmup_min_lr": 0.0, **given}
    known = {key: value for key, value in params.items() if value != "auto"}
    return dialects.from_deepspeed(config, **run.told({**known, **given}, **places))


def _megatron(name: str, given: dict[str, Any], run: _Run) -> Any:
    places = {"warmup_steps": "lr_warmup_iters", "total_steps": "train_iters", "base_lr": "lr"}
    return dialects.from_megatron(lr_decay_style=name, **run.told(given, **places))


def _composer(name: str, given: dict[str, Any], run: _Run) -> Any:
    given = dict(given)
    if run.steps_per_epoch is not None:
        given.setdefault("batches_per_epoch", run.steps_per_epoch)
    if run.total_steps is not None:
        given.setdefault("max_duration", f"{run.total_steps}ba")
    if "WithWarmup" not in name:
        return dialects.from_composer(name, **run.told(given))
    if run.warmup_steps is not None:
        given.setdefault("t_warmup", f"{run.warmup_steps}ba")
    return dialects.from_composer(name, **given)


def _mmengine(name: str, given: dict[str, Any], run: _Run) -> Any:
    own = run.told({"type": name, **given})
    return dialects.from_mmengine(own, max_iters=run.total_steps, epoch_length=run.steps_per_epoch)


def _torch(name: str, given: dict[str, Any], run: _Run) -> Any:
    places = {"CosineAnnealingLR": "T_max", "OneCycleLR": "total_steps"}
    length = {"total_steps": places[name]} if name in places else {}
    return dialects.from_torch(name, **run.told(given, **length))


def _torchtitan(name: str, given: dict[str, Any], run: _Run) -> Any:
    places = {"warmup_steps": "warmup_steps", "total_steps": "training_steps"}
    return dialects.from_torchtitan(decay_type=name, **run.told(given, **places))


LIBRARIES: dict[str, Reader] = {
    "composer": _composer,
    "deepspeed": _deepspeed,
    "keras": _keras,
    "megatron": _megatron,
    "mmengine": _mmengine,
    "optax": _optax,
    "timm": _timm,
    "torch": _torch,
    "torchtitan": _torchtitan,
    "transformers": _transformers,
}
"""The libraries that a line of text may name."""

_CONFIGS: dict[str, dict[str, str]] = {
    "deepspeed": {},
    "keras": {},
    "megatron": {},
    "mmengine": {"total_steps": "max_iters", "steps_per_epoch": "epoch_length"},
    "timm": {},
    "torchtitan": {"total_steps": "training_steps"},
    "transformers": {
        "warmup_steps": "warmup_steps",
        "total_steps": "total_steps",
        "base_lr": "learning_rate",
    },
}
"""Those that are configured by files, and what they take beside one."""


def is_spec(text: str) -> bool:
    """Whether a text names a library and a schedule of it; the text of a plan holds no colon."""
    return re.match(r"\s*[A-Za-z_]\w*\s*:", text) is not None


def read(
    spec: str,
    *,
    warmup_steps: int | None = None,
    total_steps: int | None = None,
    base_lr: float | None = None,
    steps_per_epoch: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Schedule:
    """The plan of a schedule of another library, by a line of text.

    Args:
        spec: `"library:name"`, `"library:name(argument=value, ...)"` or `"library:config.json"`.
        warmup_steps: Updates of the warm-up, whatever the library calls them.
        total_steps: Updates of the whole run, whatever the library calls them.
        base_lr: The optimizer's rate, for libraries that want to know it.
        steps_per_epoch: Updates of an epoch, for libraries that count epochs.
        arguments: More arguments of the schedule; those within the text come first.

    Raises:
        ArgumentError: The text is not of this form, the library is unknown, or its reader refuses
            the rest.

    >>> read("transformers:cosine_with_min_lr(min_lr_rate=0.1)", warmup_steps=50, total_steps=950)
    Warmup(50, start=0) >> CosineWave(1800, end=0.1)
    >>> read("timm:cosine(warmup_lr=0)", warmup_steps=50, total_steps=950)
    Warmup(50, start=0) >> Cosine(950).part(50)
    """
    found = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*:\s*(.+?)\s*", spec, re.DOTALL)
    if found is None:
        raise ArgumentError(
            f"read: 'spec' must be a library and a schedule of it (got {_checks.given(spec)}); "
            "write 'transformers:cosine'"
        )
    library, rest = found[1].lower(), found[2]
    if library not in LIBRARIES:
        hint = _checks.suggest(library, LIBRARIES) or f"; known are {', '.join(LIBRARIES)}"
        raise ArgumentError(f"read: unknown library {library!r}{hint}")
    if rest.endswith(".json"):
        known = _Run(library, rest, warmup_steps, total_steps, base_lr, steps_per_epoch)
        plan = _of_config(Path(rest), dict(arguments or {}), known)
    else:
        name, given = _call(rest)
        known = _Run(library, name, warmup_steps, total_steps, base_lr, steps_per_epoch)
        plan = LIBRARIES[library](name, {**(arguments or {}), **given}, known)
    if not isinstance(plan, Schedule):
        raise ArgumentError(
            f"read: {rest!r} answers a metric and is no plan; write Scheduler(optimizer, "
            f"lr=Constant(1), feedback={plan!r})"
        )
    return plan


def _call(text: str) -> tuple[str, dict[str, Any]]:
    """A name, and the arguments in brackets behind it."""
    name, bracket, _ = text.partition("(")
    try:
        node = ast.parse(text if bracket else f"{text}()", mode="eval").body
        if not (isinstance(node, ast.Call) and name.strip().isidentifier() and not node.args):
            raise ValueError
        given = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
        if len(given) < len(node.keywords):
            raise ValueError
        return name.strip(), given
    except (SyntaxError, ValueError):
        raise ArgumentError(
            f"read: a schedule must be a name, or a name with arguments that are plain values (got "
            f"{_checks.given(text)}); write cosine(num_cycles=1)"
        ) from None


def _of_config(path: Path, given: dict[str, Any], run: _Run) -> Any:
    """The plan that a file of JSON configures."""
    if run.library not in _CONFIGS:
        raise ArgumentError(
            f"read: {run.library} is not configured by files (got {str(path)!r}); write "
            f"{run.library}:name(argument=value)"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"read: cannot read {str(path)!r}: {error.strerror}") from None
    except ValueError as error:
        raise ArgumentError(f"read: {str(path)!r} must hold JSON ({error})") from None
    if not isinstance(config, (dict, list)):
        raise ArgumentTypeError(
            f"read: {str(path)!r} must hold a config (got {_checks.given(config)})"
        )
    if run.library == "deepspeed":
        return _deepspeed_config(config, given, run)
    reader = getattr(dialects, f"from_{run.library}")
    return reader(config, **run.told(given, **_CONFIGS[run.library]))
