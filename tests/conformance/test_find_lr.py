"""The range test on a Lightning module and on a Trainer, which then train as if it had not been."""

import pytest
import torch
from small import Net, Rows, data, optimizer_for
from test_with_transformers import trainer_for
from torch.utils.data import DataLoader

from cadence.errors import ArgumentError
from cadence.integrations import lightning as of_lightning
from cadence.integrations import transformers as of_transformers

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is dep:FutureWarning"),
    pytest.mark.filterwarnings("ignore::cadence.errors.RangeTestWarning"),
]

SHORT = {"steps": 40, "seeds": 2}


def module_of(kind=None):
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.made = Net(), 0

        def training_step(self, batch, index):
            loss = self.net(*batch)["loss"]
            self.log("loss", loss)
            return {"loss": loss}

        def train_dataloader(self):
            torch.manual_seed(3)
            return DataLoader(data(16), batch_size=4, shuffle=True)

        def configure_optimizers(self):
            optimizer = optimizer_for(self.net)
            if kind == "several":
                return [optimizer, optimizer_for(self.net)]
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2)]

    return Module()


def test_a_lightning_module(tmp_path):
    """One call, without a Trainer; the training after it is the same bit for bit."""
    import lightning

    ends = []
    for tested in (False, True):
        module = module_of()
        if tested:
            found = of_lightning.find_lr(module, **SHORT)
            assert [len(curve) > 4 for curve in found.curves] == [True, True]
            assert "log" not in vars(module)
        torch.manual_seed(0)
        trainer = lightning.Trainer(
            max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=tmp_path, accelerator="cpu",
        )  # fmt: skip
        trainer.fit(module)
        ends.append([p.tolist() for p in module.parameters()])
    assert ends[0] == ends[1]


def test_modules_that_it_does_not_serve():
    """Several optimizers, and optimization by hand, are refused with what to write."""
    with pytest.raises(ArgumentError, match="must have one optimizer"):
        of_lightning.find_lr(module_of("several"), **SHORT)
    module = module_of()
    module.automatic_optimization = False
    with pytest.raises(ArgumentError, match="must have automatic optimization"):
        of_lightning.find_lr(module, **SHORT)


def test_a_trainer(tmp_path):
    """One call; the training after it, with its logs, is the same bit for bit."""
    ends = []
    for tested in (False, True):
        trainer, seen = trainer_for(tmp_path, max_steps=4)
        if tested:
            found = of_transformers.find_lr(trainer, **SHORT)
            assert [len(curve) > 4 for curve in found.curves] == [True, True]
            seen.clear()
        trainer.train()
        ends.append([p.tolist() for p in trainer.model.parameters()])
        assert len(seen) == 4
    assert ends[0] == ends[1]


def test_the_trainers_own_optimizer_is_made_and_let_go(tmp_path):
    """A Trainer without an optimizer has none afterwards, and makes its own when it trains."""
    from test_with_transformers import arguments
    from transformers import Trainer

    trainer = Trainer(
        model=Net(), args=arguments(tmp_path, max_steps=2, fp16=False), train_dataset=Rows(14)
    )
    state = trainer.accelerator.gradient_state
    before = len(state.dataloader_references)
    found = of_transformers.find_lr(trainer, **SHORT)
    assert found.curves[0].rates[0] == pytest.approx(1e-7)
    assert trainer.optimizer is None
    assert len(state.dataloader_references) == before
    trainer.train()
