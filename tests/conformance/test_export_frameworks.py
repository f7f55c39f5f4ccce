"""Plans written for transformers and Lightning: what is written is used by the real thing."""

import pytest
import torch
from hypothesis import given, settings
from small import Net, Rows, batches, record
from table import compare, version
from test_transformers import BASES, OWN, calls

import strategies
from cadence import parse
from cadence.dialects import from_transformers
from cadence.errors import CadenceError
from test_export import BASE, TRANSFORMERS

pytestmark = pytest.mark.peers

TRANSFORMERS_VERSION = version("transformers")
LIGHTNING_VERSION = version("lightning")


def check_arguments(made, updates, base=BASE):
    """The schedule that transformers makes of the arguments gives the plan's numbers."""
    from transformers import get_scheduler

    given = made.arguments
    name = given["lr_scheduler_type"]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
    scheduler = get_scheduler(
        name,
        optimizer,
        num_warmup_steps=given.get("warmup_steps", 0),
        num_training_steps=given["max_steps"],
        scheduler_specific_kwargs=given.get("lr_scheduler_kwargs", {}),
    )
    seen = record(optimizer)
    for _ in range(updates):
        optimizer.step()
        scheduler.step()
    ours = [made.plan(step, base) for step in range(updates)]
    theirs = [row[0] for row in seen]
    compare("to transformers", TRANSFORMERS_VERSION, name, ours, theirs)


@pytest.mark.parametrize("text", TRANSFORMERS)
def test_transformers_makes_the_plan_of_its_arguments(text):
    """At every update of the run, by transformers' own `get_scheduler`."""
    check_arguments(parse(text).export("transformers", 1000, base_lr=BASE), 1000)


@settings(max_examples=60)
@given(strategies.resolved(max_depth=2))
def test_what_is_called_exact_is_so(drawn):
    """Of any plan that transformers has a schedule for, past its end too where that is claimed."""
    made = drawn[1].export("transformers", 300, base_lr=BASE)
    if made.arguments is not None:
        check_arguments(made, 300 if made.until is not None else 500)


SOME = {"cosine_with_restarts", "warmup_stable_decay"}
"""Not all of these are found: with parts of cycles, or with more cycles than half a one."""


@pytest.mark.parametrize("name", OWN)
def test_a_schedule_of_theirs_is_theirs_again(name):
    """Read as a plan and written for the Trainer, with any arguments, it has the same numbers."""

    @settings(max_examples=40)
    @given(calls(name), BASES)
    def holds(call, base):
        warmup, total, own = call
        try:
            arguments = {"num_warmup_steps": warmup, "num_training_steps": total, **own}
            plan = from_transformers(name, learning_rate=base, **arguments)
            made = plan.export("transformers", total, base_lr=base)
        except CadenceError:
            return  # no plan, or one that is longer than the run
        assert made.arguments is not None or name in SOME
        if made.arguments is not None:
            check_arguments(made, total, base)

    holds()


PLANS = {
    "Warmup(2, start=0) >> Hold(4) >> OneMinusSqrt(2)": True,
    "Warmup(2) >> Rex(6)": False,
}
"""Plans, and whether the Trainer has a schedule for them."""


@pytest.mark.parametrize("text", PLANS)
def test_the_trainer_takes_what_is_written(text, tmp_path):
    """As arguments where they exist, as a scheduler beside the optimizer where not."""
    from transformers import Trainer, TrainingArguments

    made = parse(text).export("transformers", base_lr=BASE)
    assert (made.arguments is not None) == PLANS[text]
    given = made.arguments or {"max_steps": 8, "learning_rate": BASE}
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE)
    seen = record(optimizer)
    trainer = Trainer(
        model,
        TrainingArguments(
            str(tmp_path), **given,
            per_device_train_batch_size=2, report_to=[], disable_tqdm=True, use_cpu=True,
            dataloader_pin_memory=False, save_strategy="no",
        ),
        train_dataset=Rows(16),
        optimizers=(optimizer, None if made.arguments else made.build(optimizer)),
    )  # fmt: skip
    trainer.train()
    ours = [made.plan(step, BASE) for step in range(8)]
    rates = [row[0] for row in seen]
    compare("to transformers", TRANSFORMERS_VERSION, "in the Trainer", ours, rates)


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is dep:FutureWarning")
@pytest.mark.parametrize(
    "text", ["Warmup(3) >> Cosine(13)", "Warmup(3) >> Cosine(13, end=absolute(0.01))"]
)
def test_lightning_takes_what_is_written(text, tmp_path):
    """`configure_optimizers` returns it, and every update uses the plan's rate."""
    import lightning

    made = parse(text).export("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=BASE)
            self.seen = record(optimizer)
            return made.build(optimizer)

        def training_step(self, batch, index):
            return self.net(*batch)["loss"]

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, batches())
    ours = [made.plan(step, BASE) for step in range(16)]
    rates = [row[0] for row in module.seen]
    compare("to lightning", LIGHTNING_VERSION, "in its Trainer", ours, rates, tolerance=1e-9)
