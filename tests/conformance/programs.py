"""Every use that people make of schedulers, as small scripts: `rates = PROGRAMS[name](module)`."""

import math

import torch

EPOCHS = 100


def alexnet(num_classes=10):
    """AlexNet (Krizhevsky, 2014), without memory, since only its parameters matter."""
    nn = torch.nn
    with torch.device("meta"):
        return nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(256 * 36, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, num_classes),
        )


def sgd(lr=0.1, **options):
    return torch.optim.SGD(torch.nn.Linear(4, 2).parameters(), lr=lr, **options)


def run(optimizer, scheduler, epochs=EPOCHS, metric=None):
    """One update and one scheduler step an epoch; rates are read from the optimizer's state."""
    rates = []
    for epoch in range(epochs):
        rates.append(float(optimizer.state_dict()["param_groups"][0]["lr"]))
        optimizer.step()
        scheduler.step() if metric is None else scheduler.step(metric(epoch))
        assert float(scheduler.get_last_lr()[0]) == float(optimizer.param_groups[0]["lr"])
    return rates


def step(L):
    o = torch.optim.SGD(params=alexnet().parameters(), lr=0.001)
    return run(o, L.StepLR(o, step_size=30, gamma=0.1))


def step_every_epoch(L):
    o = sgd(0.05)
    return run(o, L.StepLR(o, step_size=1, gamma=0.5, last_epoch=-1))


def multistep(L):
    o = sgd()
    return run(o, L.MultiStepLR(o, milestones=[30, 60, 80], gamma=0.5))


def exponential(L):
    o = sgd()
    return run(o, L.ExponentialLR(o, gamma=0.95))


def cosine(L):
    o = sgd()
    return run(o, L.CosineAnnealingLR(o, T_max=100, eta_min=0))


def cosine_periodic(L):
    o = sgd(0.05)
    return run(o, L.CosineAnnealingLR(o, T_max=20, eta_min=1e-5))


def warm_restarts(L):
    o = sgd(0.05)
    return run(o, L.CosineAnnealingWarmRestarts(o, T_0=20, T_mult=2, eta_min=1e-5))


def one_cycle(L):
    o = sgd(momentum=0.9)
    return run(o, L.OneCycleLR(o, max_lr=0.1, steps_per_epoch=10, epochs=10))


def one_cycle_batches(L, epochs=10, batches=10):
    """Stepped after every batch, the loader's length given."""
    o = sgd(momentum=0.9)
    s = L.OneCycleLR(o, max_lr=0.1, steps_per_epoch=batches, epochs=epochs)
    rates = []
    for _ in range(epochs):
        for _ in range(batches):
            rates.append(o.param_groups[0]["lr"])
            o.step()
            s.step()
    return rates


def exponential_09(L):
    o = sgd()
    return run(o, L.ExponentialLR(o, gamma=0.9))


def read_by_get_lr(L):
    """Scripts that read the curve with get_lr() outside step, where it is the current rate."""
    o = torch.optim.SGD(params=alexnet().parameters(), lr=0.001)
    s = L.StepLR(o, step_size=30, gamma=0.1)
    rates = []
    for _ in range(EPOCHS):
        o.step()
        s.step()
        s.get_lr()
        rates.append(s.get_last_lr()[0])
    return rates


def by_hand_alone(L):
    """No scheduler: the rate multiplied by hand every fifth epoch."""
    o = sgd(0.05)
    rates = []
    for epoch in range(EPOCHS):
        rates.append(o.param_groups[0]["lr"])
        o.step()
        if epoch % 5 == 0:
            for group in o.param_groups:
                group["lr"] *= 0.8
    return rates


def cyclic(L):
    o = sgd(momentum=0.9)
    return run(o, L.CyclicLR(o, base_lr=0.05, max_lr=0.1, step_size_up=10, step_size_down=20))


def plateau(L):
    o = sgd(0.05)
    return run(
        o,
        L.ReduceLROnPlateau(o, mode="min", factor=0.1, patience=3),
        metric=lambda e: max(1.0 - 0.05 * e, 0.5),
    )


def lambda_linear(L):
    o = sgd()
    return run(o, L.LambdaLR(o, lr_lambda=lambda epoch: 1.0 - epoch / 100))


def lambda_power(L):
    o = sgd(0.05)
    return run(o, L.LambdaLR(o, lr_lambda=lambda epoch: 0.95**epoch))


def lambda_floor(L):
    o = sgd(0.05)
    return run(o, L.LambdaLR(o, lr_lambda=lambda epoch: epoch // 30))


def lambda_restarts(L):
    def factor(epoch, t_0=10, t_mult=2, eta_min=0.0):
        t, length = epoch, t_0
        while t >= length:
            t -= length
            length *= t_mult
        return eta_min + 0.5 * (1 - eta_min) * (1 + math.cos(math.pi * t / length))

    o = sgd()
    return run(o, L.LambdaLR(o, lr_lambda=lambda e: factor(e, t_0=10)))


def by_hand_in_the_loop(L):
    """The rate multiplied by hand every fifth epoch, beside a scheduler that keeps such changes."""
    o = sgd(0.05)
    s = L.ExponentialLR(o, gamma=0.99)
    rates = []
    for epoch in range(EPOCHS):
        rates.append(o.param_groups[0]["lr"])
        o.step()
        s.step()
        if epoch % 5 == 0:
            for group in o.param_groups:
                group["lr"] *= 0.8
                group["weight_decay"] = 0.5
    return rates


def resumed(L):
    """Stopped after 40 epochs, saved, rebuilt, loaded, continued."""
    o = sgd()
    s = L.CosineAnnealingLR(o, T_max=100)
    rates = run(o, s, 40)
    saved = o.state_dict(), s.state_dict()
    o = sgd()
    s = L.CosineAnnealingLR(o, T_max=100)
    o.load_state_dict(saved[0])
    s.load_state_dict(saved[1])
    return rates + run(o, s, 60)


def own_exponential(L):
    class MyExponentialLR(L._LRScheduler):
        def __init__(self, optimizer, gamma, last_epoch=-1, verbose=False):
            self.gamma = gamma
            super().__init__(optimizer, last_epoch, verbose)

        def get_lr(self):
            if self.last_epoch == -1:
                return [group["lr"] for group in self.optimizer.param_groups]
            return [base_lr * (self.gamma**self.last_epoch) for base_lr in self.base_lrs]

    o = sgd()
    return run(o, MyExponentialLR(o, gamma=0.95))


def own_warmup_cosine(L):
    class WarmupCosineLR(L._LRScheduler):
        def __init__(
            self, optimizer, warmup_epochs, max_epochs, eta_min=0, last_epoch=-1, verbose=False
        ):
            self.warmup_epochs, self.max_epochs, self.eta_min = warmup_epochs, max_epochs, eta_min
            super().__init__(optimizer, last_epoch, verbose)

        def get_lr(self):
            if self.last_epoch < self.warmup_epochs:
                return [base * (self.last_epoch / self.warmup_epochs) for base in self.base_lrs]
            t, total = self.last_epoch - self.warmup_epochs, self.max_epochs - self.warmup_epochs
            return [
                self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / total)) / 2
                for base in self.base_lrs
            ]

    o = sgd()
    return run(o, WarmupCosineLR(o, warmup_epochs=5, max_epochs=100, eta_min=1e-5))


PROGRAMS = {
    f.__name__: f
    for f in (
        step,
        step_every_epoch,
        multistep,
        exponential,
        cosine,
        cosine_periodic,
        warm_restarts,
        one_cycle,
        one_cycle_batches,
        exponential_09,
        read_by_get_lr,
        by_hand_alone,
        cyclic,
        plateau,
        lambda_linear,
        lambda_power,
        lambda_floor,
        lambda_restarts,
        by_hand_in_the_loop,
        resumed,
        own_exponential,
        own_warmup_cosine,
    )
}
OLD_CALL = {
    "own_exponential": [0.1 * 0.95**e for e in range(EPOCHS)],
    "own_warmup_cosine": [
        0.1 * e / 5 if e < 5 else 1e-5 + (0.1 - 1e-5) * (1 + math.cos(math.pi * (e - 5) / 95)) / 2
        for e in range(EPOCHS)
    ],
}
