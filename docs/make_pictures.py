"""Draw the guide's pictures: `python docs/make_pictures.py` writes docs/_static/guide/*.svg.

A curve is what the scheduler of the guide's program really gives, read from its optimizer. The
pictures hold names and numbers alone, so that they serve every language, and a card of their own
to stand on, so that they can be read on light and dark pages. Drawing them again changes nothing.
"""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

import cadence as cd
from cadence import lr_scheduler

WIDTH = 720
STYLE = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#57606a}"
    ".c{fill:#fff;stroke:#d8dee4}.g{stroke:#eaeef2}.a{stroke:#afb8c1}.g,.a,.l,.n{fill:none}"
    ".l{stroke-width:2.4;stroke-linejoin:round;stroke-linecap:round}.n{stroke:#8c959f}"
    ".b{stroke:#1f6feb}.o{stroke:#d9730d}.v{stroke:#8250df}.t{stroke:#0a8a72}"
    ".d{stroke-dasharray:6 6}.f{fill:#1f6feb;opacity:.08}"
    "text.m{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    "text.h{font-weight:600;fill:#24292f}"
    "text.b{fill:#1a5fd0}text.o{fill:#b45a06}text.v{fill:#7643cf}text.t{fill:#08735f}"
    "text.b,text.o,text.v,text.t{stroke:none}"
    "@media(prefers-color-scheme:dark){.c{fill:#161b22;stroke:#30363d}.g{stroke:#252b33}"
    ".a{stroke:#57606a}.n{stroke:#768390}text{fill:#a3adb8}text.h{fill:#e6edf3}"
    ".b{stroke:#4493f8}.o{stroke:#f0883e}.v{stroke:#ab7df8}.t{stroke:#3fb9a2}"
    "text.b{fill:#6cabfa}text.o{fill:#f0994f}text.v{fill:#bb97fa}text.t{fill:#52c7b1}}"
)

Rates = Sequence[float] | np.ndarray


def short(value: float) -> str:
    """A coordinate in as few characters as a tenth of a pixel needs."""
    return f"{value:.1f}".removesuffix(".0")


def letters(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text; `kind` names its classes."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{short(x)}" y="{short(y)}"{where}{named}>{html.escape(text)}</text>'


def thinned(points: list[tuple[float, float]], tolerance: float = 0.1) -> list[tuple[float, float]]:
    """The points without which the line would be elsewhere (Douglas and Peucker, 1973)."""
    (a, b), (c, d) = points[0], points[-1]
    length = math.hypot(c - a, d - b) or 1.0
    off = [abs((c - a) * (y - b) - (d - b) * (x - a)) / length for x, y in points]
    worst = max(range(len(points)), key=off.__getitem__)
    if off[worst] <= tolerance:
        return [points[0], points[-1]]
    return thinned(points[: worst + 1], tolerance)[:-1] + thinned(points[worst:], tolerance)


class Panel:
    """Axes at a place of the picture, and what is drawn on them."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        top: float = 34,
        left: float = 64,
        width: float = WIDTH - 64 - 28,
        height: float = 150,
        log: bool = False,
    ) -> None:
        self.x, self.y, self.log = x, y, log
        self.top, self.left, self.width, self.height = top, left, width, height
        self.parts: list[str] = []

    def across(self, x: float) -> float:
        """The horizontal place of an epoch."""
        return self.left + self.width * (x - self.x[0]) / (self.x[1] - self.x[0])

    def down(self, y: float) -> float:
        """The vertical place of a value."""
        low, high = self.y
        if self.log:
            low, high, y = math.log10(low), math.log10(high), math.log10(y)
        return self.top + self.height * (high - y) / (high - low)

    def axes(
        self,
        xs: Iterable[float],
        ys: Iterable[float],
        name: str = "lr",
        unit: str = "epoch",
        show: Callable[[float], str] = "{:g}".format,
    ) -> Panel:
        """Lines to read by, their numbers, and the names of both axes."""
        right, bottom = self.left + self.width, self.top + self.height
        for y in ys:
            at = self.down(y)
            kind = "a" if math.isclose(at, bottom) else "g"
            self.parts.append(
                f'<path class="{kind}" d="M{short(self.left)} {short(at)}H{short(right)}"/>'
            )
            self.parts.append(letters(self.left - 8, at + 4, show(y), anchor="end"))
        for x in xs:
            self.parts.append(letters(self.across(x), bottom + 18, f"{x:g}", anchor="middle"))
        self.parts.append(letters(16, self.top - 12, name, "m"))
        if unit:
            self.parts.append(letters(right, bottom + 32, unit, "m", "end"))
        return self

    def _path(self, xs: np.ndarray, ys: np.ndarray) -> str:
        """The points as path data, thinned."""
        low, high = self.y
        inside = np.clip(ys, low, high)
        # Rounded before they are thinned, so that no machine's last bit decides what is drawn.
        points = [
            (round(self.across(x), 3), round(self.down(y), 3))
            for x, y in zip(xs, inside, strict=True)
        ]
        return "M" + "L".join(f"{short(x)} {short(y)}" for x, y in thinned(points))

    def curve(
        self,
        values: Rates,
        kind: str = "b",
        *,
        xs: Rates | None = None,
        stairs: bool = False,
        fill: bool = False,
        jumps: Iterable[int] = (),
    ) -> Panel:
        """A line through the values of the epochs 0, 1, ...; `jumps` are vertical strokes."""
        y = np.asarray(values, dtype=float)
        x = np.arange(len(y), dtype=float) if xs is None else np.asarray(xs, dtype=float)
        if stairs:
            jumps = np.flatnonzero(np.diff(y)) + 1
        at = [int(jump) for jump in jumps]
        x, y = np.insert(x, at, x[at]), np.insert(y, at, y[[jump - 1 for jump in at]])
        d = self._path(x, y)
        if fill:
            bottom = short(self.top + self.height)
            closed = f"V{bottom}H{short(self.across(x[0]))}Z"
            self.parts.append(f'<path class="f" d="{d}{closed}"/>')
        self.parts.append(f'<path class="l {kind}" d="{d}"/>')
        return self

    def note(
        self,
        x: float,
        y: float,
        text: str,
        kind: str = "m",
        *,
        anchor: str = "start",
        dy: float = 0,
    ) -> Panel:
        """Words at an epoch and a value."""
        self.parts.append(letters(self.across(x), self.down(y) + dy, text, kind, anchor))
        return self

    def level(self, y: float, text: str, x: float | None = None, dy: float = -6) -> Panel:
        """A dashed line at a value, with its name."""
        right = self.left + self.width
        at = self.down(y)
        self.parts.append(f'<path class="n d" d="M{short(self.left)} {short(at)}H{short(right)}"/>')
        where = right - 4 if x is None else self.across(x)
        self.parts.append(letters(where, at + dy, text, "m", "end" if x is None else "start"))
        return self

    def span(self, a: float, b: float, y: float, text: str) -> Panel:
        """A length in epochs, between two marks, with its name."""
        left, right, at = self.across(a), self.across(b), self.down(y)
        d = (
            f"M{short(left)} {short(at - 4)}v8M{short(right)} {short(at - 4)}v8"
            f"M{short(left)} {short(at)}H{short(right)}"
        )
        self.parts.append(f'<path class="n" d="{d}"/>')
        self.parts.append(letters((left + right) / 2, at - 7, text, "m", "middle"))
        return self


def picture(name: str, title: str, panels: Sequence[Panel], height: float = 240) -> tuple[str, str]:
    """A file's name and its text."""
    drawn = "".join("".join(panel.parts) for panel in panels)
    return name, (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="t">'
        f'<title id="t">{html.escape(title)}</title><style>{STYLE}</style>'
        f'<rect class="c" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1:g}" rx="8"/>'
        f"{drawn}</svg>\n"
    )


# What the schedulers give.


def sgd(lr: float = 0.1, momentum: float = 0.0) -> torch.optim.SGD:
    """An optimizer that has one number to train."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=momentum)


Make = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]


def rates(make: Make, epochs: int = 100, lr: float = 0.1, key: str = "lr") -> list[float]:
    """The rates (or another value) that the updates of the epochs 0 to `epochs` would use."""
    optimizer = sgd(lr, momentum=0.9)
    scheduler = make(optimizer)
    found = [optimizer.param_groups[0][key]]
    for _ in range(epochs):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0][key])
    return found


def plateaued(epochs: int = 100) -> tuple[list[float], list[float]]:
    """The losses, and the rates under ReduceLROnPlateau; the guide's plateau program."""
    optimizer = sgd()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
    loss, found, losses = 1.0, [], []
    for _ in range(epochs):
        rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        loss = round(0.75 * loss + 0.25 * (0.2 + 4 * rate), 3)
        scheduler.step(loss)
        found.append(rate)
        losses.append(loss)
    return losses, found


def averaged() -> list[float]:
    """The rates under a cosine, then SWALR."""
    optimizer = sgd()
    before = lr_scheduler.CosineAnnealingLR(optimizer, T_max=75, eta_min=0.02)
    averaging = lr_scheduler.SWALR(optimizer, swa_lr=0.05, anneal_epochs=5)
    found = [optimizer.param_groups[0]["lr"]]
    for epoch in range(100):
        optimizer.step()
        (before if epoch < 75 else averaging).step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


def losses(rates: Iterable[float]) -> list[float]:
    """The expected loss of noisy gradient descent in a valley; the guide's first program."""
    curvature, square = np.logspace(-1.5, 0, 20), np.ones(20)
    found = [float((curvature * square).mean() / 2)]
    for rate in rates:
        square = (1 - rate * curvature) ** 2 * square + (0.3 * rate) ** 2
        found.append(float((curvature * square).mean() / 2))
    return found


# The pictures.

TENS = range(0, 101, 20)
TENTH = (0, 0.05, 0.1)


def usual(top: float = 0.125, end: float = 100) -> Panel:
    """Axes from rate 0 to a little above 0.1, over 100 epochs."""
    step = 20 if end == 100 else 50
    return Panel((0, end), (0, top)).axes(range(0, int(end) + 1, step), TENTH)


def loss() -> tuple[str, str]:
    """Four ways to go down a valley."""
    n = 400
    panel = Panel((0, n), (1e-3, 10), height=210, log=True)
    panel.axes(range(0, n + 1, 100), (1e-3, 1e-2, 1e-1, 1, 10), "loss", "step")
    panel.curve(losses([2.05] * n)[:50], "o").note(50, 6, "lr = 2.05", "m o")
    panel.curve(losses([0.005] * n), "v").note(250, 0.06, "lr = 0.005", "m v", dy=-6)
    panel.curve(losses([0.5] * n), "t").note(250, 0.0123, "lr = 0.5", "m t", dy=-7)
    panel.curve(losses(cd.Cosine(n).values(base=0.5)), "b")
    panel.note(170, 0.0037, "lr = 0.5 → 0", "m b", dy=2)
    return picture("loss.svg", "Loss by step, for four rates", [panel], 300)


def drops() -> list[tuple[str, str]]:
    """Schedulers whose rate is flat between drops."""
    step = usual().curve(
        rates(lambda o: lr_scheduler.StepLR(o, step_size=30, gamma=0.1)), stairs=True, fill=True
    )
    step.span(0, 30, 0.113, "step_size").span(30, 60, 0.113, "step_size")
    step.note(31.5, 0.1, "× gamma", dy=18).note(61.5, 0.01, "× gamma", dy=-2)
    multi = usual().curve(
        rates(lambda o: lr_scheduler.MultiStepLR(o, milestones=[30, 60, 80], gamma=0.5)),
        stairs=True,
        fill=True,
    )
    for at, high in ((30, 0.1), (60, 0.05), (80, 0.025)):
        multi.note(at + 1, high, f"{at}: × gamma", dy=18 if at < 80 else 4)
    constant = usual().curve(
        rates(lambda o: lr_scheduler.ConstantLR(o, factor=0.25, total_iters=20)),
        stairs=True,
        fill=True,
    )
    constant.span(0, 20, 0.113, "total_iters").note(1.5, 0.025, "factor × lr", dy=-8)
    return [
        picture("step.svg", "StepLR: lr by epoch", [step]),
        picture("multistep.svg", "MultiStepLR: lr by epoch", [multi]),
        picture("constant.svg", "ConstantLR: lr by epoch", [constant]),
    ]


def glides() -> list[tuple[str, str]]:
    """Schedulers whose rate moves at every step."""
    linear = usual().curve(
        rates(lambda o: lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=20)), fill=True
    )
    linear.span(0, 20, 0.113, "total_iters").note(2.6, 0.01, "start_factor × lr", dy=5)
    linear.note(22, 0.1, "end_factor × lr", dy=18)
    exponential = usual()
    for gamma, kind, at in ((0.99, "t", 60), (0.9, "o", 12)):
        found = rates(lambda o, gamma=gamma: lr_scheduler.ExponentialLR(o, gamma=gamma))
        exponential.curve(found, kind).note(at, found[at], f"{gamma:g}", f"m {kind}", dy=-8)
    found = rates(lambda o: lr_scheduler.ExponentialLR(o, gamma=0.95))
    exponential.curve(found, fill=True).note(20, found[20], "gamma = 0.95", "m b", dy=-8)
    polynomial = usual()
    for power, kind, at in ((0.5, "t", 60), (1, "o", 46)):
        found = rates(lambda o, p=power: lr_scheduler.PolynomialLR(o, total_iters=100, power=p))
        polynomial.curve(found, kind).note(at, found[at], f"{power:g}", f"m {kind}", dy=-8)
    found = rates(lambda o: lr_scheduler.PolynomialLR(o, total_iters=100, power=2))
    polynomial.curve(found, fill=True).note(30, found[30], "power = 2", "m b", anchor="end", dy=24)
    cosine = usual().curve(
        rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=100, eta_min=0.01)), fill=True
    )
    cosine.level(0.01, "eta_min", x=2).span(0, 100, 0.113, "T_max")
    return [
        picture("linear.svg", "LinearLR: lr by epoch", [linear]),
        picture("exponential.svg", "ExponentialLR: lr by epoch, for three gammas", [exponential]),
        picture("polynomial.svg", "PolynomialLR: lr by epoch, for three powers", [polynomial]),
        picture("cosine.svg", "CosineAnnealingLR: lr by epoch", [cosine]),
    ]


def cycles() -> list[tuple[str, str]]:
    """Schedulers that go up again."""
    restarts = Panel((0, 140), (0, 0.125)).axes(range(0, 141, 20), TENTH)
    found = rates(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=20, T_mult=2, eta_min=1e-5), 139
    )
    restarts.curve(found, fill=True, jumps=(20, 60)).span(0, 20, 0.108, "T_0")
    restarts.span(20, 60, 0.108, "T_0 · T_mult").span(60, 140, 0.108, "T_0 · T_mult²")

    one_cycle = Panel((0, 100), (0, 0.13), height=130).axes(TENS, TENTH, unit="")

    def cycle(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        return lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=100)

    one_cycle.curve(rates(cycle, 99), fill=True).note(31, 0.1, "max_lr", dy=-6)
    one_cycle.note(12, 0.01, "max_lr / div_factor").span(0, 29, 0.117, "pct_start")
    momentum = Panel((0, 100), (0.83, 0.96), top=224, height=96)
    momentum.axes(TENS, (0.85, 0.9, 0.95), "momentum", "step")
    momentum.curve(rates(cycle, 99, key="momentum"), "o")
    momentum.note(10, 0.95, "max_momentum", dy=-5)
    momentum.note(29, 0.85, "base_momentum", anchor="middle", dy=16)

    cyclic = Panel((0, 120), (0.04, 0.107)).axes(range(0, 121, 20), (0.05, 0.075, 0.1))
    for mode, kind in (("triangular", "b"), ("triangular2", "o"), ("exp_range", "t")):
        found = rates(
            lambda o, mode=mode: lr_scheduler.CyclicLR(
                o,
                base_lr=0.05,
                max_lr=0.1,
                step_size_up=10,
                step_size_down=20,
                mode=mode,
                gamma=0.99 if mode == "exp_range" else 1.0,
            ),
            120,
        )
        cyclic.curve(found, kind + ("" if kind == "b" else " d"))
    cyclic.note(1, 0.1, "max_lr", dy=-5).note(60, 0.05, "base_lr", anchor="middle", dy=17)
    for at, mode, kind in (
        (0, "exp_range", "t"),
        (84, "triangular2", "o"),
        (184, "triangular", "b"),
    ):
        cyclic.parts.append(letters(WIDTH - 28 - at, 22, mode, f"m {kind}", "end"))
    return [
        picture("warm_restarts.svg", "CosineAnnealingWarmRestarts: lr by epoch", [restarts]),
        picture("one_cycle.svg", "OneCycleLR: lr and momentum by step", [one_cycle, momentum], 364),
        picture("cyclic.svg", "CyclicLR: lr by step, in three modes", [cyclic]),
    ]


def plateau() -> tuple[str, str]:
    """The one scheduler that listens."""
    losses, found = plateaued()
    above = Panel((0, 100), (0.15, 1), height=90).axes((), (0.2, 0.6, 1), "val_loss", "")
    above.curve(losses[:99], "o")
    below = Panel((0, 100), (0, 0.11), top=164, height=120).axes(TENS, TENTH)
    below.curve(found[:99], stairs=True, fill=True)
    first = next(i for i, rate in enumerate(found) if rate < 0.1)
    below.span(first - 6, first, 0.03, "patience + 1").note(first + 1, 0.1, "× factor", dy=16)
    return picture("plateau.svg", "ReduceLROnPlateau: metric and lr by epoch", [above, below], 330)


def functions() -> list[tuple[str, str]]:
    """Schedulers that ask a function."""
    lambda_ = usual().curve(
        rates(lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch / 20))), fill=True
    )
    lambda_.note(22, 0.05, "lr · f(epoch)", "m b", dy=-8)
    multiplicative = usual().curve(
        rates(lambda o: lr_scheduler.MultiplicativeLR(o, lambda e: 0.95 if e <= 50 else 1.0)),
        fill=True,
    )
    multiplicative.note(16, 0.046, "× 0.95", "m b").note(60, 0.0077, "× 1", "m b", dy=-8)
    return [
        picture("lambda.svg", "LambdaLR: lr by epoch", [lambda_]),
        picture("multiplicative.svg", "MultiplicativeLR: lr by epoch", [multiplicative]),
    ]


def composed(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    """A warm-up, then a cosine."""
    warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=10)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=90)
    return lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[10])


def chained(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    """A warm-up times a decay."""
    warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=10)
    decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.95)
    return lr_scheduler.ChainedScheduler([warmup, decay], optimizer)


def compositions() -> list[tuple[str, str]]:
    """Schedulers made of others, and what comes at the beginning and the end of a run."""
    sequential = usual().curve(rates(composed), fill=True)
    sequential.span(0, 10, 0.113, "LinearLR").span(10, 100, 0.113, "CosineAnnealingLR")
    both = usual()
    both.curve(rates(lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=10)), "t d")
    both.curve(rates(lambda o: lr_scheduler.ExponentialLR(o, gamma=0.95)), "o d")
    both.curve(rates(chained), fill=True)
    both.note(80, 0.1, "LinearLR", "m t", dy=18).note(1, 0.1, "ExponentialLR", "m o", dy=-6)
    both.note(22, 0.0323, "LinearLR × ExponentialLR", "m b", dy=-8)
    swa = usual().curve(averaged(), fill=True).level(0.05, "swa_lr", x=60)
    swa.span(75, 80, 0.075, "anneal_epochs")
    warm = Panel((0, 100), (0, 0.11)).axes(TENS, TENTH, unit="step")
    for shape, kind in (("linear", "b"), ("cosine", "o")):
        plan = cd.Warmup(50, shape=shape) >> cd.Hold(50)
        warm.curve(plan.values(101, base=0.1), kind, fill=kind == "b")
    warm.note(23, 0.06, "linear", "m b", anchor="end").note(27, 0.045, "cosine", "m o")
    wsd = Panel((0, 1000), (0, 1.25)).axes(range(0, 1001, 200), (0, 0.5, 1), "lr / base", "step")
    wsd.curve(cd.wsd("5%", "20%").resolve(1000).values(1001), fill=True)
    wsd.span(0, 50, 1.13, "W").span(50, 800, 1.13, "S").span(800, 1000, 1.13, "D")
    past = usual(end=200)
    past.curve(rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=100), 200), "o")
    hold = rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=100, hold=True), 200)
    past.curve(hold, fill=True).span(0, 100, 0.113, "T_max")
    past.note(146, 0.06, "hold=False", "m o", anchor="end").note(
        150, 0.006, "hold=True", "m b", dy=-2
    )
    own = usual()
    own.curve(LateDrop(100).values(101, base=0.1), fill=True).note(72, 0.07, "1 − u³", "m b")
    return [
        picture("sequential.svg", "SequentialLR: lr by epoch", [sequential]),
        picture("chained.svg", "ChainedScheduler: lr by epoch", [both]),
        picture("swa.svg", "SWALR: lr by epoch", [swa]),
        picture("warmup.svg", "Linear and cosine warm-up: lr by step", [warm]),
        picture("wsd.svg", "Warm-up, stable, decay: rate by step", [wsd]),
        picture("past_end.svg", "CosineAnnealingLR past T_max: lr by epoch", [past]),
        picture("own.svg", "A ramp of one's own: lr by epoch", [own]),
    ]


class LateDrop(cd.Ramp):
    """The guide's own ramp: high for long, then down."""

    def curve(self, u, xp):  # noqa: ANN001, ANN201 - as the guide writes it
        """The cube of the progress."""
        del xp
        return u**3


def gallery() -> tuple[str, str]:
    """All of torch's schedulers at a glance."""
    torchs: dict[str, tuple[Rates, Sequence[int] | None]] = {}

    def add(name: str, make: Make, jumps: Sequence[int] | None = ()) -> None:
        torchs[name] = rates(make, 99), jumps

    l = lr_scheduler  # noqa: E741 - short, as there are sixteen
    add("StepLR", lambda o: l.StepLR(o, 25, 0.5), None)
    add("MultiStepLR", lambda o: l.MultiStepLR(o, [30, 60, 80], 0.5), None)
    add("ConstantLR", lambda o: l.ConstantLR(o, 0.25, 20), None)
    add("LinearLR", lambda o: l.LinearLR(o, 0.1, total_iters=30))
    add("ExponentialLR", lambda o: l.ExponentialLR(o, 0.95))
    add("PolynomialLR", lambda o: l.PolynomialLR(o, 100, 2))
    add("CosineAnnealingLR", lambda o: l.CosineAnnealingLR(o, 100))
    add("…WarmRestarts", lambda o: l.CosineAnnealingWarmRestarts(o, 15, 2), (15, 45))
    torchs["ReduceLROnPlateau"] = plateaued()[1], None
    add("OneCycleLR", lambda o: l.OneCycleLR(o, 0.1, 100))
    add("CyclicLR", lambda o: l.CyclicLR(o, 0.02, 0.1, 11, 22))
    add("LambdaLR", lambda o: l.LambdaLR(o, lambda e: 1 / (1 + e / 20)))
    add("MultiplicativeLR", lambda o: l.MultiplicativeLR(o, lambda e: 0.95 if e < 40 else 1.0))
    add("SequentialLR", composed)
    add("ChainedScheduler", chained)
    torchs["SWALR"] = averaged(), ()
    panels = []
    for i, (name, (found, jumps)) in enumerate(torchs.items()):
        panel = Panel(
            (0, 99), (0, 0.1), top=36 + i // 4 * 94, left=24 + i % 4 * 173, width=153, height=48
        )
        panel.parts.append(letters(panel.left, panel.top - 11, name, "m h"))
        bottom, right = panel.top + panel.height, panel.left + panel.width
        panel.parts.append(
            f'<path class="a" d="M{short(panel.left)} {short(bottom)}H{short(right)}"/>'
        )
        panel.curve(found[:100], stairs=jumps is None, jumps=jumps or (), fill=True)
        panels.append(panel)
    return picture("gallery.svg", "The schedulers of PyTorch at a glance", panels, 390)


def pictures() -> dict[str, str]:
    """Every picture by its file's name."""
    single = [gallery(), loss(), plateau()]
    return dict([*single, *drops(), *glides(), *cycles(), *functions(), *compositions()])


if __name__ == "__main__":
    default = Path(__file__).parent / "_static" / "guide"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in pictures().items():
        (folder / file).write_text(text, encoding="utf-8")
        print(f"{file:20} {len(text.encode()):6,} bytes")
