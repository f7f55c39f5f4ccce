"""Named parameter groups with rates of their own, ready for an optimizer.

A plan is a multiple of each group's own rate, so different rates need no plans of their own: give
the groups their rates here, and all of them one plan.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cadence import _checks
from cadence.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from torch.nn import Module, Parameter

__all__ = ["groups", "layers_of", "layerwise", "scaled"]


def groups(
    model: Module,
    rules: Mapping[Any, float | Mapping[str, Any]],
    *,
    lr: float,
    weight_decay: float | None = None,
    no_decay: bool | str | Callable[..., bool] | Iterable[Any] = False,
    rest: float | None = None,
    frozen: Literal["omit", "keep"] = "omit",
    **options: Any,
) -> list[dict[str, Any]]:
    """Parameter groups by rules: `lr * multiple` for the parameters that a pattern finds.

    Every parameter is in exactly one group. One that is shared by modules counts once, under its
    first name.

    Args:
        model: Whose parameters.
        rules: By a pattern, the multiple of `lr`, or a dict of the group's own values as the
            optimizer takes them (`{"lr": 1e-4, "name": "body"}`). A pattern is a regular expression
            that is searched in the parameter's name, or a function of name and parameter. The
            group is named after the pattern.
        lr: The rate that the multiples are of.
        weight_decay: For every group; None leaves it to the optimizer.
        no_decay: True puts parameters of one dimension at most, which are biases and the weights
            of norms, into groups without weight decay, named `NAME_no_decay`. A pattern, or
            several, adds what they find to those.
        rest: The multiple for all other parameters, in a group named `"rest"`.
        frozen: Parameters that need no gradient are left out (`"omit"`) or kept.
        **options: More values of every group, such as `betas`.

    Raises:
        ArgumentError: A parameter is in no group or in two; a pattern finds nothing.

    >>> import torch
    >>> model = torch.nn.ModuleDict({"body": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 1)})
    >>> for group in groups(model, {"body": 0.1, "head": 1}, lr=0.5):
    ...     print(group["name"], group["lr"], len(group["params"]))
    body 0.05 2
    head 0.5 2
    """
    where = "groups"
    lr = _checks.number(where, "lr", lr, low=0)
    parameters = _parameters(where, model)
    if not isinstance(rules, Mapping) or not rules:
        raise ArgumentTypeError(
            f"{where}: 'rules' must be a dict of patterns (got {_checks.given(rules)}); write "
            "{'backbone': 0.1, 'head': 1}"
        )
    made = [_Group.of(where, pattern, value, lr) for pattern, value in rules.items()]
    tests = [_test(where, "rules", group.pattern, parameters) for group in made]
    homeless: list[str] = []
    rests: list[_Named] = []
    for parameter in parameters:
        homes = [group for group, test in zip(made, tests, strict=True) if test(parameter)]
        if len(homes) > 1:
            shown = " and ".join(_shown(group.pattern) for group in homes[:2])
            raise ArgumentError(
                f"{where}: every parameter must be in one group (got {parameter.name!r} in those "
                f"of {shown}); narrow one, for instance with '^' for the beginning of a name"
            )
        (homes[0].members if homes else rests).append(parameter)
        if not homes and parameter.trains:
            homeless.append(parameter.name)
    if rest is not None:
        values = {"lr": lr * _checks.number(where, "rest", rest, low=0)}
        made.append(_Group("rest", "rest", values, rests))
    elif homeless:
        more = f" and {len(homeless) - 1} more" if len(homeless) > 1 else ""
        raise ArgumentError(
            f"{where}: every parameter must be in one group (got {homeless[0]!r}{more} in none); "
            "write rest=1.0 for all others"
        )
    return _finished(where, made, parameters, weight_decay, no_decay, frozen, options)


def layerwise(
    model: Module,
    *,
    lr: float,
    decay: float = 0.75,
    layer_of: Callable[[str], int] | None = None,
    weight_decay: float | None = None,
    no_decay: bool | str | Callable[..., bool] | Iterable[Any] = False,
    frozen: Literal["omit", "keep"] = "omit",
    **options: Any,
) -> list[dict[str, Any]]:
    """Lower rates for lower layers: `lr * decay**(top - layer)`, in one group for each layer.

    The layers are those of :func:`layers_of`, from 0 at the input up to the top; the groups are
    named `"layer_0"`, `"layer_1"`, ..., from the lowest.

    Args:
        model: Whose parameters.
        lr: The rate of the top layer.
        decay: The rate of a layer divided by that of the next higher one, `0 < decay <= 1`.
        layer_of: The layer of a parameter by its name, where the model is not built in the usual
            way.
        weight_decay: As for :func:`groups`.
        no_decay: As for :func:`groups`; papers on transformers mean it to be True.
        frozen: As for :func:`groups`. Frozen layers count as layers either way.
        **options: More values of every group, such as `betas`.

    Raises:
        ArgumentError: An argument is out of its bounds, or `layer_of` gives no whole number.

    >>> import torch
    >>> model = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3)))
    >>> for group in layerwise(model, lr=1.0, decay=0.5):
    ...     print(group["name"], group["lr"])
    layer_0 0.25
    layer_1 0.5
    layer_2 1.0

    Howard and Ruder, ULMFiT (2018), discriminative fine-tuning, decay 1 / 2.6; Clark et al.,
    ELECTRA (2020) and Bao et al., BEiT (2021) for transformers.
    """
    where = "layerwise"
    lr = _checks.number(where, "lr", lr, low=0)
    decay = _checks.number(where, "decay", decay, above=0, high=1)
    parameters = _parameters(where, model)
    if layer_of is None:
        found = layers_of(model)
    else:
        found = {p.name: _layer(layer_of, p.name) for p in parameters}
    top = max(found.values())
    made: dict[int, _Group] = {}
    for parameter in parameters:
        layer, name = found[parameter.name], f"layer_{found[parameter.name]}"
        values = {"lr": lr * decay ** (top - layer)}
        made.setdefault(layer, _Group(name, name, values)).members.append(parameter)
    ordered = [made[layer] for layer in sorted(made)]
    return _finished(where, ordered, parameters, weight_decay, no_decay, frozen, options)


def _layer(layer_of: Callable[[str], int], name: str) -> int:
    return _checks.whole("layerwise", f"layer_of({name!r})", layer_of(name))


def scaled(
    lr: float, *, batch: float, reference_batch: float, rule: Literal["linear", "sqrt"] = "linear"
) -> float:
    """The rate for another batch size: `lr * k` or `lr * sqrt(k)`, `k = batch / reference_batch`.

    Args:
        lr: A rate that is good for batches of `reference_batch`.
        batch: Samples (or tokens) of one update, over all processes and accumulated batches.
        reference_batch: The same for the run in which `lr` was found.
        rule: `"linear"` for SGD, `"sqrt"` for Adam and its kin.

    >>> (
    ...     scaled(0.1, batch=1024, reference_batch=256),
    ...     scaled(3e-4, batch=1024, reference_batch=256, rule="sqrt"),
    ... )
    (0.4, 0.0006)

    Linear: Goyal et al., Accurate, Large Minibatch SGD (2017), which needs a warm-up. Square root:
    Krizhevsky, One Weird Trick (2014); Malladi et al., On the SDEs and Scaling Rules for Adaptive
    Gradient Algorithms (2022), for Adam, where `1 - beta` is to be multiplied by k as well.
    """
    lr = _checks.number("scaled", "lr", lr, low=0)
    batch = _checks.number("scaled", "batch", batch, above=0)
    reference = _checks.number("scaled", "reference_batch", reference_batch, above=0)
    _checks.choice("scaled", "rule", rule, ("linear", "sqrt"))
    k = batch / reference
    return lr * (k if rule == "linear" else math.sqrt(k))


# Parameters and patterns.


@dataclass(frozen=True)
class _Named:
    """A parameter with its first name, and those that it has besides."""

    name: str
    parameter: Parameter
    others: tuple[str, ...] = ()

    @property
    def trains(self) -> bool:
        return self.parameter.requires_grad


@dataclass
class _Group:
    """A group that is being made."""

    pattern: Any
    name: str
    values: dict[str, Any]
    members: list[_Named] = field(default_factory=list)

    @classmethod
    def of(cls, where: str, pattern: Any, value: Any, lr: float) -> _Group:
        """A group from its rule."""
        own = dict(value) if isinstance(value, Mapping) else {}
        if not isinstance(value, Mapping):
            own["lr"] = lr * _checks.number(where, _called(pattern), value, low=0)
        own.setdefault("lr", lr)
        _checks.number(where, f"lr of {_called(pattern)}", own["lr"], low=0)
        name = own.pop("name", pattern)
        if "params" in own:
            raise ArgumentError(
                f"{where}: the group of {_shown(pattern)} must not hold 'params'; its pattern says "
                "which they are"
            )
        if not isinstance(name, str):
            raise ArgumentError(
                f"{where}: the group of {_shown(pattern)} must have a name; write "
                "{'name': 'head', 'lr': ...}"
            )
        return cls(pattern, name, own)


def _called(pattern: Any) -> str:
    return pattern if isinstance(pattern, str) else getattr(pattern, "__name__", repr(pattern))


def _shown(pattern: Any) -> str:
    return repr(pattern) if isinstance(pattern, str) else _called(pattern)


def _parameters(where: str, model: Any) -> list[_Named]:
    """Every parameter of the model once."""
    if not hasattr(model, "named_parameters"):
        raise ArgumentTypeError(
            f"{where}: 'model' must be a torch.nn.Module (got {_checks.given(model)})"
        )
    names: dict[int, list[str]] = {}
    own: dict[int, Parameter] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        own[id(parameter)] = parameter
    if not names:
        raise ArgumentError(f"{where}: 'model' must have parameters (got none)")
    return [_Named(all_[0], own[key], tuple(all_[1:])) for key, all_ in names.items()]


def _test(where: str, name: str, pattern: Any, known: list[_Named]) -> Callable[[_Named], bool]:
    """Whether a parameter is meant by the pattern, which has to mean one at least."""
    if callable(pattern):
        means = pattern
    elif isinstance(pattern, str):
        try:
            means = _searching(re.compile(pattern))
        except re.error as error:
            raise ArgumentError(
                f"{where}: {name!r} must hold regular expressions (got {pattern!r}: {error})"
            ) from None
    else:
        raise ArgumentTypeError(
            f"{where}: {name!r} must hold patterns, which are regular expressions or functions of "
            f"name and parameter (got {_checks.given(pattern)})"
        )

    def test(parameter: _Named) -> bool:
        return bool(means(parameter.name, parameter.parameter))

    if not any(map(test, known)):
        raise ArgumentError(
            f"{where}: {_shown(pattern)} must match a parameter (got none){_hint(pattern, known)}"
        )
    return test


def _searching(pattern: re.Pattern[str]) -> Callable[[str, Parameter], object]:
    return lambda name, _: pattern.search(name)


def _hint(pattern: Any, known: list[_Named]) -> str:
    """What may have been meant by a pattern that finds nothing."""
    if not isinstance(pattern, str):
        return ""
    for parameter in known:
        for other in parameter.others:
            if re.search(pattern, other):
                return f"; {other!r} is the same parameter as {parameter.name!r}"
    parts = [parameter.name.split(".") for parameter in known]
    paths = {".".join(part[:n]) for part in parts for n in range(1, len(part) + 1)}
    words = {word for part in parts for word in part}
    plain = re.sub(r"[^\w.]", "", pattern)
    return _checks.suggest(plain, sorted(paths | words))


def _finished(
    where: str,
    made: list[_Group],
    parameters: list[_Named],
    weight_decay: float | None,
    no_decay: Any,
    frozen: str,
    options: dict[str, Any],
) -> list[dict[str, Any]]:
    """The groups as an optimizer takes them."""
    _checks.choice(where, "frozen", frozen, ("omit", "keep"))
    if weight_decay is not None:
        options["weight_decay"] = _checks.number(where, "weight_decay", weight_decay, low=0)
    exempt = _exempt(where, no_decay, parameters)
    done: list[dict[str, Any]] = []
    for group in made:
        kept = [p for p in group.members if p.trains or frozen == "keep"]
        for suffix, more, members in (
            ("", {}, [p for p in kept if not exempt(p)]),
            ("_no_decay", {"weight_decay": 0.0}, [p for p in kept if exempt(p)]),
        ):
            if members:
                found = {"params": [p.parameter for p in members], "name": group.name + suffix}
                done.append({**found, **options, **group.values, **more})
    if not done:
        raise ArgumentError(
            f"{where}: 'model' must have a parameter that needs a gradient (got none); write "
            "frozen='keep'"
        )
    names = [group["name"] for group in done]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(f"{where}: groups must have different names (got {name!r} twice)")
    return done


def _exempt(where: str, no_decay: Any, parameters: list[_Named]) -> Callable[[_Named], bool]:
    """Whether a parameter shall have no weight decay."""
    if no_decay is False:
        return lambda _: False
    if no_decay is True:
        patterns: list[Any] = []
    elif isinstance(no_decay, str) or callable(no_decay):
        patterns = [no_decay]
    elif isinstance(no_decay, Iterable):
        patterns = list(no_decay)
    else:
        raise ArgumentTypeError(
            f"{where}: 'no_decay' must be True, False or patterns (got {_checks.given(no_decay)})"
        )
    tests = [_test(where, "no_decay", pattern, parameters) for pattern in patterns]
    return lambda p: p.parameter.ndim <= 1 or any(test(p) for test in tests)


# Layers.


def layers_of(model: Module) -> dict[str, int]:
    """The layer of each parameter by its name, from 0 at the input upwards.

    A *block* is an element of a `Sequential` or `ModuleList` whose elements are all modules made of
    others, such as `blocks.3` or `encoder.layer.3`; lists within a block do not count. Where a
    model has blocks, what comes before the first is layer 0, and so are embeddings and parameters
    that a module around the blocks holds itself (`cls_token`, `pos_embed`). The blocks are the
    layers 1 to N in the order of the model, what lies between two belongs to the one before, and
    what follows the last, the head, is the layer above them. A model without blocks has a layer for
    each child that has parameters; those of a `Sequential` or `ModuleList` count one by one.
    Whatever holds only parameters of one dimension, such as a norm, belongs to the layer before.

    The order is that in which modules were assigned, which need not be that in which they run, and
    lists of modules that work side by side are taken for layers. Look at the result, or say it
    yourself with `layer_of`.

    >>> import torch
    >>> layers_of(
    ...     torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    ... )
    {'0.weight': 0, '0.bias': 0, '2.weight': 1, '2.bias': 1}
    """
    units = list(_units(model, "", stacked=_has_blocks(model)))
    blocks = [i for i, unit in enumerate(units) if unit.block]
    found: dict[str, int] = {}
    layer = 0
    for i, unit in enumerate(units):
        at = None
        if not blocks:
            layer += i > 0 and not unit.thin
        elif unit.block:
            layer += 1
        elif i < blocks[0] or (unit.early and i < blocks[-1]):
            at = 0
        elif i > blocks[-1] and not unit.thin:
            layer = len(blocks) + 1
        found.update(dict.fromkeys(unit.names, layer if at is None else at))
    # A parameter that is shared has its first name alone.
    return {parameter.name: found[parameter.name] for parameter in _parameters("layers_of", model)}


@dataclass(frozen=True)
class _Unit:
    """Parameters that stay together."""

    names: list[str]
    block: bool = False
    thin: bool = False
    """Whether none has two dimensions, as in a norm."""
    early: bool = False
    """Whether they belong to the input, wherever they stand."""


def _units(module: Module, prefix: str, *, stacked: bool) -> Iterator[_Unit]:
    """The model in pieces, in the order in which they were assigned."""
    from torch.nn import Embedding

    own = [prefix + name for name, _ in module.named_parameters(recurse=False)]
    if own:
        yield _Unit(own, early=True)
    children, is_stack = _children(module), stacked and _is_stack(module)
    alone = len(children) == 1 and not own
    for name, child in children.items():
        path = f"{prefix}{name}."
        opens = _has_blocks(child) if stacked else alone or _is_list(child)
        if opens and not is_stack:
            yield from _units(child, path, stacked=stacked)
        else:
            yield _Unit(
                [path + n for n, _ in child.named_parameters()],
                block=is_stack,
                thin=all(p.ndim <= 1 for p in child.parameters()),
                early=isinstance(child, Embedding),
            )


def _children(module: Module) -> dict[str, Module]:
    """The children that have parameters."""
    found = module.named_children()
    return {name: child for name, child in found if next(child.parameters(), None) is not None}


def _is_list(module: Module) -> bool:
    from torch.nn import ModuleList, Sequential

    return isinstance(module, (ModuleList, Sequential))


def _is_stack(module: Module) -> bool:
    """Whether a module is a list of blocks; a list of lists is none, but they may be."""
    elements = _children(module).values() if _is_list(module) else ()
    return len(elements) > 1 and all(_children(e) and not _is_list(e) for e in elements)


def _has_blocks(module: Module) -> bool:
    return _is_stack(module) or any(map(_has_blocks, _children(module).values()))
