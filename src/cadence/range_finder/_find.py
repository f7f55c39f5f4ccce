"""The range test on a model, its optimizer and its data, all of which are left as they were."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer

from cadence import _checks
from cadence.binding import number, put, read
from cadence.errors import ArgumentError, ArgumentTypeError
from cadence.ownership import OWNERS
from cadence.range_finder._restore import Snapshot
from cadence.range_finder._result import RangeResult
from cadence.range_finder._sweep import RangeTest, as_seeds

__all__ = ["find_lr"]

Batch = Any
WHERE = "find_lr"


def find_lr(
    model: torch.nn.Module,
    optimizer: Optimizer,
    loss_fn: Callable[..., Any] | None,
    loader: Iterable[Batch],
    *,
    start: float = 1e-7,
    end: float = 10.0,
    steps: int = 200,
    seeds: int | Iterable[int] = 3,
    accumulate: int = 1,
    beta: float | None = None,
    divergence: float = 4.0,
    reduce: str = "mean",
    autocast: torch.dtype | Callable[[], AbstractContextManager[Any]] | None = None,
    scaler: Any = None,
    clip_norm: float | None = None,
    forward: Callable[[torch.nn.Module, Batch], Any] | None = None,
    backward: Callable[[torch.Tensor], object] | None = None,
    closure: bool | None = None,
) -> RangeResult:
    """Find the rates at which a model learns, by a range test that is repeated over seeds.

    Each repeat starts from the model as it is now, with data in an order of its own, and makes one
    update at each rate of a geometric sweep until the loss diverges. All groups keep the ratios of
    their rates; the rate that is told is that of the group with the highest. Afterwards everything
    is as it was, bit for bit, also after an error or Ctrl-C: parameters, buffers, gradients, modes,
    the optimizer's state and groups, the scaler, the randomness of torch, NumPy and Python, and
    the order of the data. A scheduler that is bound to the optimizer hears nothing of it.

    Args:
        model: The model, where it trains.
        optimizer: Its optimizer.
        loss_fn: Called with the model's output and the targets, for batches `(inputs, targets)`.
            None where the model returns its loss: as a tensor, as `output["loss"]` or
            `output.loss`; a batch that is a dict is then given by name.
        loader: The batches; it is begun again for every repeat, and wherever it ends.
        start: The first rate.
        end: The last rate.
        steps: Updates of a sweep.
        seeds: How many repeats, with the seeds 0, 1, ...; or the seeds themselves.
        accumulate: Batches for each update.
        beta: The weight of the past in the moving average of the losses; by default its memory
            is a decade of rates.
        divergence: A sweep stops where that average is more than this many times its lowest; it
            does not where the lowest is not above 0.
        reduce: What the processes of a distributed run make of their losses: their `"mean"`, their
            `"max"`, or that of `"rank0"`.
        autocast: For mixed precision: a dtype such as `torch.bfloat16`, or what makes a context
            such as `fabric.autocast`.
        scaler: The `torch.amp.GradScaler` that the training uses.
        clip_norm: Clip the gradients to this norm, as the training does.
        forward: What makes a loss of the model and a batch, where the above does not serve.
        backward: What is called with the loss in place of `loss.backward()`, such as
            `accelerator.backward`.
        closure: Whether the optimizer wants a function that computes the loss again, as LBFGS does.
            By default as its `step` says.

    Returns:
        The bracket of good rates, a suggestion in it, and all that they were read from.

    Raises:
        ArgumentError: The loader is an iterator that cannot begin again or has no batch, a batch
            cannot be given to the model, or no group has a rate > 0.

    >>> import torch, cadence as cd
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(256, 8)
    >>> y = x @ torch.randn(8, 1) + 0.1 * torch.randn(256, 1)
    >>> loader = torch.utils.data.DataLoader(
    ...     torch.utils.data.TensorDataset(x, y), batch_size=32, shuffle=True
    ... )
    >>> model = torch.nn.Linear(8, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> found = cd.find_lr(model, optimizer, torch.nn.functional.mse_loss, loader)
    >>> 0.01 < found.suggestion < 0.5, 0.1 in found.bracket
    (True, True)
    """
    where = WHERE
    accumulate = _checks.whole(where, "accumulate", accumulate, low=1)
    each = as_seeds(where, seeds)
    _check_parts(model, optimizer, loss_fn, loader, forward, backward)
    layers = _layers(optimizer)
    closure = _wants_closure(layers[-1]) if closure is None else closure
    if closure and scaler is not None:
        raise ArgumentError(
            f"{where}: 'scaler' must be None for an optimizer that takes a closure (got "
            f"{type(scaler).__name__}); GradScaler.step refuses closures"
        )
    if clip_norm is not None:
        clip_norm = _checks.number(where, "clip_norm", clip_norm, above=0)
    shares = _shares(layers[-1])
    step = _Step(
        model=model,
        optimizer=optimizer,
        batches=_Batches(loader),
        accumulate=accumulate,
        shares=shares,
        forward=partial(_loss_of, loss_fn) if forward is None else forward,
        backward=torch.Tensor.backward if backward is None else backward,
        autocast=_context(model, autocast),
        scaler=scaler,
        clip_norm=clip_norm,
        closure=closure,
    )
    test = RangeTest(
        step,
        start=start,
        end=end,
        steps=steps,
        beta=beta,
        divergence=divergence,
        reduce=reduce,
    )
    snapshot = Snapshot([model, *layers, loss_fn, scaler], [loader])

    def reset(seed: int) -> None:
        snapshot.restore()
        if not model.training:
            model.train()  # else what is frozen within it stays so
        for layer in layers:
            _silence(layer)
        step.zero_grad()
        snapshot.reseed(seed)
        step.batches.begin()

    with ExitStack() as stack:
        for scheduler in _bound_to(layers):
            stack.enter_context(scheduler.paused())
        stack.callback(snapshot.restore)
        stack.callback(step.batches.close)
        return test.run(each, reset)


class _Step:
    """One update at a rate, on the next batches."""

    def __init__(
        self,
        *,
        model: torch.nn.Module,
        optimizer: Optimizer,
        batches: _Batches,
        accumulate: int,
        shares: list[float],
        forward: Callable[[torch.nn.Module, Batch], Any],
        backward: Callable[[torch.Tensor], object],
        autocast: Callable[[], AbstractContextManager[Any]],
        scaler: Any,
        clip_norm: float | None,
        closure: bool,
    ) -> None:
        self.model, self.optimizer, self.batches = model, optimizer, batches
        self.accumulate, self.shares = accumulate, shares
        self.forward, self.backward, self.autocast = forward, backward, autocast
        self.scaler, self.clip_norm, self.closure = scaler, clip_norm, closure

    def __call__(self, rate: float) -> float:
        for group, share in zip(self.optimizer.param_groups, self.shares, strict=True):
            put(group, "lr", rate * share)
        batches = [self.batches.next() for _ in range(self.accumulate)]
        if self.closure:
            loss: Any = self.optimizer.step(partial(self._gradients, batches))
            return float(loss)
        loss = self._gradients(batches)
        if self.scaler is not None:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        return loss

    def _gradients(self, batches: list[Batch]) -> float:
        """The mean loss of the batches, with its gradients in the parameters."""
        self.zero_grad()
        total = 0.0
        with torch.enable_grad():
            for batch in batches:
                with self.autocast():
                    loss = self.forward(self.model, _moved(batch, _device(self.model)))
                loss = _checked(loss)
                total += float(loss.detach())
                share = loss / self.accumulate
                self.backward(share if self.scaler is None else self.scaler.scale(share))
        if self.clip_norm is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        return total / self.accumulate

    def zero_grad(self) -> None:
        # Not those of before, which are put back: they are let go, and not written to.
        self.optimizer.zero_grad(set_to_none=True)
        self.model.zero_grad(set_to_none=True)


class _Batches:
    """The batches of a loader, from its beginning, again and again."""

    def __init__(self, loader: Iterable[Batch]) -> None:
        self._loader = loader
        self._iterator: Iterator[Batch] | None = None
        self._given = 0

    def begin(self) -> None:
        self.close()
        self._iterator = iter(self._loader)

    def next(self) -> Batch:
        assert self._iterator is not None
        for _ in range(2):
            try:
                batch = next(self._iterator)
            except StopIteration:
                self._iterator = iter(self._loader)
            else:
                self._given += 1
                return batch
        if self._given:
            raise ArgumentError(
                f"{WHERE}: 'loader' must be able to begin again wherever it ends (got no more "
                f"after {self._given} batches); write list(itertools.islice(loader, 100))"
            )
        raise ArgumentError(f"{WHERE}: 'loader' must have at least one batch (got none)")

    def close(self) -> None:
        """Let the iterator go, with its worker processes."""
        shut = getattr(self._iterator, "_shutdown_workers", None)
        self._iterator = None
        if shut is not None:
            shut()


def _check_parts(
    model: object,
    optimizer: object,
    loss_fn: object,
    loader: object,
    forward: object,
    backward: object,
) -> None:
    parts = {
        "model": (model, torch.nn.Module, "a torch.nn.Module"),
        "optimizer": (optimizer, Optimizer, "a torch.optim.Optimizer"),
        "loader": (loader, Iterable, "a DataLoader or another iterable of batches"),
    }
    for name, (value, kind, what) in parts.items():
        if not isinstance(value, kind):
            raise ArgumentTypeError(
                f"{WHERE}: '{name}' must be {what} (got {_checks.given(value)})"
            )
    if loss_fn is not None and not callable(loss_fn):
        raise ArgumentTypeError(
            f"{WHERE}: 'loss_fn' must be a function of output and targets, or None where the model "
            f"returns its loss (got {_checks.given(loss_fn)})"
        )
    for name, value in (("forward", forward), ("backward", backward)):
        if value is not None and not callable(value):
            raise ArgumentTypeError(
                f"{WHERE}: '{name}' must be a function (got {_checks.given(value)})"
            )
    if loss_fn is not None and forward is not None:
        raise ArgumentError(f"{WHERE}: 'loss_fn' must be None where 'forward' makes the loss")
    if isinstance(loader, Iterator):
        raise ArgumentError(
            f"{WHERE}: 'loader' must be able to begin again for each repeat (got an iterator, "
            f"{type(loader).__name__}); write list(itertools.islice(batches, 100))"
        )


def _layers(optimizer: Optimizer) -> list[Any]:
    """The optimizer, and those that it wraps; the innermost is last."""
    layers: list[Any] = [optimizer]
    while isinstance(inner := vars(layers[-1]).get("optimizer"), Optimizer):
        layers.append(inner)
    return layers


def _shares(optimizer: Optimizer) -> list[float]:
    """The rate of each group as a share of the highest.

    Under a scheduler it is the base rates that count, not what they are multiplied by at the time.
    """
    rates = []
    for i, group in enumerate(optimizer.param_groups):
        owner = OWNERS.get(optimizer, {}).get("lr")
        slot = None if owner is None else owner.slot("lr", i)
        rate = number(read(group, "lr") if slot is None else slot.base)
        rates.append(number(group.get("initial_lr", rate)) if slot is None else rate)
    highest = max(rates, default=0.0)
    if not highest > 0:
        raise ArgumentError(
            f"{WHERE}: 'optimizer' must have a group with a rate > 0, whose ratios are kept (got "
            f"{', '.join(f'{rate:g}' for rate in rates)}); write lr=1e-3"
        )
    return [rate / highest for rate in rates]


def _wants_closure(optimizer: Optimizer) -> bool:
    """Whether `step` cannot be called without a function that computes the loss."""
    parameters = inspect.signature(optimizer.step).parameters
    return "closure" in parameters and parameters["closure"].default is inspect.Parameter.empty


def _bound_to(layers: list[Any]) -> list[Any]:
    """The schedulers that write values of these optimizers."""
    found: dict[int, Any] = {}
    for layer in layers:
        for owner in OWNERS.get(layer, {}).values():
            scheduler = owner.scheduler()
            if scheduler is not None:
                found[id(scheduler)] = scheduler
    return list(found.values())


def _silence(optimizer: Any) -> None:
    """Take off the hooks by which schedulers and loggers hear of updates; others work on."""
    for name in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        hooks = getattr(optimizer, name, {})
        for key in [key for key, hook in hooks.items() if _listens(hook)]:
            del hooks[key]


def _listens(hook: Any) -> bool:
    while isinstance(hook, partial):
        hook = hook.func
    return str(getattr(hook, "__module__", "")).startswith("cadence.")


def _context(
    model: torch.nn.Module, autocast: torch.dtype | Callable[..., Any] | None
) -> Callable[[], AbstractContextManager[Any]]:
    if autocast is None:
        return nullcontext
    if isinstance(autocast, torch.dtype):
        return partial(torch.autocast, _device(model).type, dtype=autocast)
    if callable(autocast):
        return autocast
    raise ArgumentTypeError(
        f"{WHERE}: 'autocast' must be a dtype or make a context (got {_checks.given(autocast)}); "
        "write autocast=torch.bfloat16"
    )


def _device(model: torch.nn.Module) -> torch.device:
    """Where the model begins."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _moved(batch: Batch, device: torch.device) -> Batch:
    """A batch on the model's device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    move = getattr(batch, "to", None)  # such as that of transformers' BatchEncoding
    if callable(move):
        return move(device)
    if isinstance(batch, Mapping):
        return {name: _moved(item, device) for name, item in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_moved(item, device) for item in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(_moved(item, device) for item in batch)
    return batch


def _loss_of(loss_fn: Callable[..., Any] | None, model: torch.nn.Module, batch: Batch) -> Any:
    """What the model makes of a batch of one of the usual forms."""
    if loss_fn is None:
        if isinstance(batch, Mapping):
            output = model(**batch)
        else:
            output = model(*batch) if isinstance(batch, (list, tuple)) else model(batch)
        if isinstance(output, Mapping):
            return output.get("loss", output)
        return getattr(output, "loss", output)
    if not (isinstance(batch, (list, tuple)) and len(batch) == 2):
        shape = f"{type(batch).__name__}"
        if isinstance(batch, (list, tuple, Mapping)):
            shape += f" of {len(batch)}"
        raise ArgumentError(
            f"{WHERE}: a batch must be a pair (inputs, targets) for 'loss_fn' (got a {shape}); "
            "write loss_fn=None and forward=lambda model, batch: ..."
        )
    return loss_fn(model(batch[0]), batch[1])


def _checked(loss: Any) -> torch.Tensor:
    if isinstance(loss, torch.Tensor) and loss.numel() == 1 and loss.requires_grad:
        return loss.reshape(())
    what = _checks.given(loss)
    if isinstance(loss, torch.Tensor):
        what = f"a tensor of shape {tuple(loss.shape)}"
        what += "" if loss.requires_grad else " without gradients"
    raise ArgumentTypeError(
        f"{WHERE}: the loss must be one number with gradients (got {what}); for what the model "
        "returns, write loss_fn= or forward=lambda model, batch: ..."
    )
