"""Other libraries' schedules as plans: `from_<library>(...)` reads a call, a config or an object.

A reader gives exactly what its library would: `plan(t)` for the update that follows `t` others,
with the library's own off-by-ones, floors and behaviour after the end, as an ordinary plan that
prints, stores and composes. What a plan cannot express is refused, with what to write instead.
No reader needs its library installed; those of live objects take what they are given.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cadence.dialects.composer import from_composer
    from cadence.dialects.deepspeed import from_deepspeed
    from cadence.dialects.keras import from_keras
    from cadence.dialects.lightning import from_lightning
    from cadence.dialects.megatron import from_megatron
    from cadence.dialects.mmengine import from_mmengine
    from cadence.dialects.optax import from_optax
    from cadence.dialects.specs import read
    from cadence.dialects.timm import from_timm
    from cadence.dialects.torch import from_torch
    from cadence.dialects.torchtitan import from_torchtitan
    from cadence.dialects.transformers import from_transformers

_HOMES = {
    "from_composer": "composer",
    "from_deepspeed": "deepspeed",
    "from_keras": "keras",
    "from_lightning": "lightning",
    "from_megatron": "megatron",
    "from_mmengine": "mmengine",
    "from_optax": "optax",
    "from_timm": "timm",
    "from_torch": "torch",
    "from_torchtitan": "torchtitan",
    "from_transformers": "transformers",
    "read": "specs",
}
"""Each reader and its module, which is loaded on first use; `read` takes a line of text."""

__all__ = [
    "from_composer",
    "from_deepspeed",
    "from_keras",
    "from_lightning",
    "from_megatron",
    "from_mmengine",
    "from_optax",
    "from_timm",
    "from_torch",
    "from_torchtitan",
    "from_transformers",
    "read",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
