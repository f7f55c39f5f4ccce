"""Lightning's trainer beside the plans that are read from what a module returns to it."""

import logging
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from table import compare, version
from torch.optim import lr_scheduler as theirs

from cadence import Horizon, Plateau
from cadence.dialects import from_lightning

pytestmark = pytest.mark.peers

VERSION = version("lightning")


def halves(step):
    return 0.5**step


SCHEDULERS = {
    "StepLR": lambda optimizer: theirs.StepLR(optimizer, 2, 0.5),
    "LinearLR": lambda optimizer: theirs.LinearLR(optimizer, 0.1, total_iters=4),
    "CosineAnnealingLR": lambda optimizer: theirs.CosineAnnealingLR(optimizer, 5, 0.01),
    "ExponentialLR": lambda optimizer: theirs.ExponentialLR(optimizer, 0.9),
    "LambdaLR": lambda optimizer: theirs.LambdaLR(optimizer, halves),
    "CosineAnnealingWarmRestarts": lambda optimizer: theirs.CosineAnnealingWarmRestarts(
        optimizer, 3
    ),
}
"""One of each kind of plan: relative and absolute, with an end and without, a function."""


def trained(make, batches, epochs, accumulate=1):
    """What `configure_optimizers` returned, and the rate of each update that the trainer made."""
    import lightning.pytorch as lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)
            self.rates = []

        def training_step(self, batch, batch_idx):
            return self.layer(batch).sum()

        def validation_step(self, batch, batch_idx):
            self.log("loss", 1.0)

        def on_before_optimizer_step(self, optimizer):
            self.rates.append(optimizer.param_groups[0]["lr"])

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.2)
            self.config = {"optimizer": optimizer, "lr_scheduler": make(optimizer)}
            return self.config

    module = Module()
    loaders = [torch.utils.data.DataLoader(torch.ones(n, 1)) for n in (batches, 1)]
    silent = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            accumulate_grad_batches=accumulate,
            **dict.fromkeys(silent, False),
        )
        trainer.fit(module, *loaders)
    return module.config, module.rates


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(SCHEDULERS)),
    st.sampled_from(["step", "epoch", None]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(2, 5),
)
def test_a_plan_gives_the_rate_of_every_update(name, interval, frequency, parts, epochs):
    """With every interval and frequency; the frequency of steps divides the epoch."""

    def make(optimizer):
        config = {"scheduler": SCHEDULERS[name](optimizer), "frequency": frequency, "name": "rate"}
        return config if interval is None else config | {"interval": interval}

    batches = frequency * parts
    config, rates = trained(make, batches, epochs)
    plan = from_lightning(config, steps_per_epoch=batches)
    assert len(rates) == batches * epochs
    compare("Lightning", VERSION, name, plan(np.arange(len(rates)), 0.2), rates)
    if interval != "step":
        late = from_lightning(config).resolve(Horizon(len(rates), steps_per_epoch=batches))
        assert np.array_equal(late(np.arange(len(rates))), plan(np.arange(len(rates))))


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_accumulation_is_of_no_account_for_a_frequency_of_one(interval):
    """Updates are what is counted, and those at the end of an epoch count, too."""

    def make(optimizer):
        return {"scheduler": theirs.ExponentialLR(optimizer, 0.9), "interval": interval}

    config, rates = trained(make, 5, 3, accumulate=2)
    plan = from_lightning(config, steps_per_epoch=3)
    compare("Lightning", VERSION, "ExponentialLR", plan(np.arange(9), 0.2), rates)


def test_a_bare_scheduler_steps_with_the_epochs():
    config, rates = trained(lambda optimizer: theirs.StepLR(optimizer, 1, 0.5), 4, 3)
    plan = from_lightning(config, steps_per_epoch=4)
    assert repr(plan) == "StepDecay(1, 0.5).stairs(4, each=1)"
    assert rates == plan(np.arange(12), 0.2).tolist()


def test_a_plateau_is_a_controller_that_is_told_the_monitor():
    def make(optimizer):
        scheduler = theirs.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
        return {"scheduler": scheduler, "monitor": "loss"}

    config, rates = trained(make, 2, 5)
    controller = from_lightning(config)
    assert isinstance(controller, Plateau)
    state, rate, ours = controller.start(), 0.2, []
    for _ in range(5):
        ours += [rate] * 2
        state, factor = controller.update(state, 1.0)
        rate = controller.limited(rate, factor, 0.2)
    assert ours == pytest.approx(rates)


def test_the_configuration_that_lightning_makes_of_it_can_be_read():
    from lightning.pytorch.utilities.types import LRSchedulerConfig

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = theirs.ExponentialLR(optimizer, 0.9)
    config = LRSchedulerConfig(scheduler, interval="step")
    assert repr(from_lightning(config)) == "ExponentialDecay(0.9)"
