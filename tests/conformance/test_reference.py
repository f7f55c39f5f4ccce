"""The libraries that the dialects are compared with can be asked here."""

import sys

import pytest
import reference
import torch

pytestmark = pytest.mark.peers


def optimizer(lr=0.5):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


def test_timm():
    scheduler = reference.timm().CosineLRScheduler(optimizer(), t_initial=10, lr_min=0.1)
    assert scheduler._get_lr(10) == [0.1]
    assert {"MultiStepLRScheduler", "WSDLRScheduler"} <= vars(reference.timm()).keys()


def test_composer():
    composer = reference.composer()
    schedule = composer.CosineAnnealingWithWarmupScheduler(t_warmup="100ba", alpha_f=0.1)
    values = [schedule(composer.at(batch, "10ep", 100)) for batch in (0, 50, 100, 1000)]
    assert values == pytest.approx([0.0, 0.5, 1.0, 0.1])


def test_deepspeed():
    held = optimizer()
    reference.deepspeed().WarmupLR(held, warmup_max_lr=0.2, warmup_num_steps=4)
    assert held.param_groups[0]["lr"] == 0.0


def test_megatron():
    held = optimizer()
    scheduler = reference.megatron().OptimizerParamScheduler(
        held, init_lr=0.0, max_lr=0.4, min_lr=0.1, lr_warmup_steps=2, lr_decay_steps=8,
        lr_decay_style="linear", start_wd=0.1, end_wd=0.1, wd_incr_steps=8,
        wd_incr_style="constant",
    )  # fmt: skip
    scheduler.step(2)
    assert held.param_groups[0]["lr"] == 0.4


def test_torchtitan():
    held = optimizer()
    config = reference.torchtitan().LRSchedulersContainer.Config(warmup_steps=4)
    config.build(optimizers=[held], training_steps=10)
    assert held.param_groups[0]["lr"] == 0.125


def test_mmengine():
    scheduler = reference.mmengine().CosineAnnealingLR(optimizer(), T_max=10)
    assert scheduler.get_last_value() == [0.5]


def test_keras():
    schedules = reference.keras().optimizers.schedules
    assert float(schedules.CosineDecay(0.5, 10)(10)) == 0.0
    assert reference.keras().backend.backend() == "torch"


@pytest.mark.parametrize("library", ["timm", "composer", "deepspeed", "megatron", "torchtitan"])
def test_nothing_is_left_of_a_stand_in(library):
    getattr(reference, library)()
    assert not [name for name in sys.modules if name.partition(".")[0] == library]
