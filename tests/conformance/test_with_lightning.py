"""Schedules in Lightning and under Fabric: real runs, killed and resumed ones among them."""

import copy
import csv
import functools
import multiprocessing
import os
import pickle
import signal
import sys
from pathlib import Path

import pytest
import torch
from small import PLANS, UPDATES, Net, batches, data, named, planned, record, used
from torch.utils.data import DataLoader, IterableDataset

import cadence as cd
from cadence import walltime
from cadence.errors import ArgumentError
from cadence.integrations import lightning as leaf
from cadence.integrations.lightning import ScheduleCallback, fabric_scheduler, scheduled

pytestmark = [
    pytest.mark.peers,
    # Advice about workers; on two cores and 32 rows there should be none.
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    # A resumed run writes beside the one that it resumes.
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    # It asks torch in a way that torch has deprecated.
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is dep:FutureWarning"),
]

# Better, then worse for long enough to lower the rates more than once.
METRICS = [1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0]


def module_for(*, configure=scheduled, **options):
    """A module that is scheduled in one line, and what its optimizer is told."""
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()
            self.validations = 0

        def training_step(self, batch, index):
            self.log("ended", METRICS[self.current_epoch], on_step=False, on_epoch=True)
            return self.net(*batch)["loss"]

        def validation_step(self, batch, index):
            self.log("score", METRICS[self.validations])
            self.validations += not self.trainer.sanity_checking

        def on_save_checkpoint(self, checkpoint):
            checkpoint["validations"] = self.validations

        def on_load_checkpoint(self, checkpoint):
            self.validations = checkpoint["validations"]

        def configure_optimizers(self):
            optimizer = named(self.net)
            self.seen = record(optimizer)
            return configure(optimizer, trainer=self.trainer, **options)

    return Module()


def fit(module, folder, *, loader=None, keep=None, callbacks=None, resume=None, **options):
    """Train, two batches to an update; 7 of them an epoch, so that the last is one by itself."""
    import lightning
    from lightning.pytorch.loggers import CSVLogger

    callbacks = [ScheduleCallback()] if callbacks is None else callbacks
    logs = folder / f"logs{len(list(folder.glob('logs*')))}"
    trainer = lightning.Trainer(
        **{
            "accelerator": "cpu",
            "devices": 1,
            "accumulate_grad_batches": 2,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "logger": CSVLogger(logs, name="", version=""),
            "callbacks": [*callbacks, *([keep] if keep else [])],
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": keep is not None,
        }
        | options
    )
    loader = batches(7) if loader is None else loader
    trainer.fit(module, loader, batches(1), ckpt_path=resume, weights_only=True)
    return trainer


def kept(folder, **options):
    """A checkpoint for each epoch."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    return ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, **options)


def again(folder, epoch, **options):
    """To go on after an epoch: with the same kind of checkpoints, as Lightning wants it."""
    return {"keep": kept(folder, **options), "resume": folder / f"epoch={epoch}.ckpt"}


def logged(trainer):
    """The scheduled values in the logger's file, by update."""
    with Path(trainer.logger.experiment.metrics_file_path).open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("lr/body")]
    assert [int(row["step"]) for row in rows] == sorted({int(row["step"]) for row in rows})
    return [
        {key: float(value) for key, value in row.items() if "/" in key and "feedback" not in key}
        for row in rows
    ]


LENGTHS = pytest.mark.parametrize(
    "length",
    [{"max_epochs": 2}, {"max_steps": UPDATES}, {"max_epochs": 9, "max_steps": UPDATES}],
    ids=["epochs", "steps", "both"],
)


@LENGTHS
def test_every_update_uses_and_logs_the_plan(length, tmp_path):
    """By epochs and by steps, the length is the Trainer's, batches being accumulated."""
    module = module_for(**PLANS)
    trainer = fit(module, tmp_path, **length)
    assert trainer.global_step == UPDATES
    assert used(module.seen) == planned() == logged(trainer)
    config = trainer.lr_scheduler_configs[0]
    assert config.scheduler.horizon == cd.Horizon(UPDATES, steps_per_epoch=4)
    assert (config.interval, config.frequency, config.reduce_on_plateau) == ("step", 1, False)


def test_a_log_every_so_often(tmp_path):
    """The values stand beside the metrics that Lightning logs at the same updates."""
    module = module_for(**PLANS)
    trainer = fit(module, tmp_path, max_epochs=2, log_every_n_steps=3)
    assert logged(trainer) == planned()[2::3]


def test_nothing_is_logged_where_lightning_logs_nothing(tmp_path):
    """With `log_every_n_steps=0`, or `log=False`."""
    for options in ({"log_every_n_steps": 0}, {"callbacks": [ScheduleCallback(log=False)]}):
        trainer = fit(module_for(**PLANS), tmp_path, max_epochs=1, **options)
        path = Path(trainer.logger.experiment.metrics_file_path)
        assert not path.exists() or "lr/" not in path.read_text()


def test_a_clock_of_epochs(tmp_path):
    """`interval="epoch"` holds the values for an epoch, and the length is in epochs."""
    module = module_for(interval="epoch", **PLANS)
    trainer = fit(module, tmp_path, max_epochs=3)
    assert used(module.seen) == [row for row in planned(3) for _ in range(4)] == logged(trainer)


def test_a_length_in_epochs_is_the_trainers(tmp_path):
    """An epoch has as many updates as the Trainer makes in it."""
    module = module_for(lr="Warmup('1ep') >> Linear()")
    fit(module, tmp_path, max_epochs=3, limit_train_batches=5)
    plan = {"lr": cd.Warmup(3) >> cd.Linear()}
    assert [row["lr/head"] for row in used(module.seen)] == [
        row["lr/head"] for row in planned(9, plan)
    ]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(data(14))


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_data_of_unknown_length(interval, tmp_path):
    """The steps, or the epochs, that the Trainer was given are the length."""
    module = module_for(interval=interval, **PLANS)
    length = {"max_steps": UPDATES} if interval == "step" else {"max_epochs": 3}
    fit(module, tmp_path, loader=DataLoader(Stream(), batch_size=2), **length)
    rows = planned() if interval == "step" else [row for row in planned(3) for _ in range(4)]
    assert used(module.seen) == rows


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_a_resumed_run_is_the_same_run(interval, tmp_path):
    """From a checkpoint in a fresh Trainer: rates, log and weights, bit for bit."""
    whole = module_for(interval=interval, **PLANS)
    fit(whole, tmp_path, keep=kept(tmp_path), max_epochs=3)
    rest = module_for(interval=interval, **PLANS)
    trainer = fit(rest, tmp_path, max_epochs=3, **again(tmp_path, 1))
    assert used(rest.seen) == used(whole.seen)[8:] == logged(trainer)
    for left, right in zip(whole.parameters(), rest.parameters(), strict=True):
        assert torch.equal(left, right)


def train_and_be_killed(folder):
    """A process of its own, killed in the middle of its third epoch."""
    module = module_for(**PLANS)

    def kill(net, _):
        if module.trainer.global_step == 9:
            os.kill(os.getpid(), signal.SIGKILL)

    module.net.register_forward_pre_hook(kill)
    fit(module, folder, keep=kept(folder), max_epochs=3)


def test_a_killed_run_goes_on(tmp_path):
    """After SIGKILL, from the last checkpoint that it left."""
    process = multiprocessing.get_context("spawn").Process(
        target=train_and_be_killed, args=(tmp_path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    module = module_for(**PLANS)
    fit(module, tmp_path, max_epochs=3, **again(tmp_path, 1))
    assert used(module.seen) == planned(12)[8:]


# Feedback.


WARMED = cd.Warmup(3) >> cd.Hold()
PLATEAU = cd.Plateau(factor=0.5, patience=1)


def with_feedback(heard):
    """The rates of the head, where the nth metric is heard after `heard[n]` updates."""
    state, product, rates = PLATEAU.start(), 1.0, []
    for step in range(heard[-1] + 1):
        for metric, at in zip(METRICS, heard, strict=False):
            if at == step:
                state, factor = PLATEAU.update(state, metric)
                product *= factor
        rates.append(WARMED(step, 0.02 * product))
    return rates[:-1]


def heads(module):
    return [row["lr/head"] for row in used(module.seen)]


@pytest.mark.parametrize(
    ("callbacks", "options"),
    [
        ([], {"monitor": "score"}),
        ([ScheduleCallback], {"monitor": "score"}),
        ([lambda: ScheduleCallback("score")], {}),
    ],
    ids=["by Lightning", "by the callback", "named to the callback"],
)
@pytest.mark.parametrize("every", [1, 2])
def test_feedback_hears_of_the_metric(callbacks, options, every, tmp_path):
    """After each validation, while the updates turn the clock."""
    module = module_for(lr=WARMED, feedback=PLATEAU, **options)
    made = [make() for make in callbacks]
    trainer = fit(
        module, tmp_path, max_epochs=8, callbacks=made,
        check_val_every_n_epoch=every, limit_train_batches=4,
    )  # fmt: skip
    scheduler = trainer.lr_scheduler_configs[0].scheduler
    assert heads(module) == pytest.approx(
        with_feedback([*range(2 * every, 17, 2 * every)]), abs=1e-15
    )
    assert len(scheduler.decisions) == (3 if every == 1 else 1)


def test_feedback_hears_more_than_once_an_epoch(tmp_path):
    """The callback hands on each metric, where Lightning has one for an epoch."""
    module = module_for(lr=WARMED, feedback=PLATEAU, monitor="score")
    fit(module, tmp_path, max_epochs=4, loader=batches(8), val_check_interval=4)
    assert heads(module) == pytest.approx(with_feedback([*range(2, 17, 2)]), abs=1e-15)


def test_feedback_under_a_clock_of_epochs(tmp_path):
    """One metric and one tick for each epoch, with the callback and without."""
    for callbacks in ([], [ScheduleCallback()]):
        module = module_for(lr=cd.Hold(), interval="epoch", feedback=PLATEAU, monitor="score")
        fit(module, tmp_path, max_epochs=8, callbacks=callbacks, limit_train_batches=2)
        rates = [rate / 0.02 for rate in heads(module)]
        assert rates == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25])


@pytest.mark.parametrize("on_end", [False, True], ids=["after validation", "after the epoch"])
def test_feedback_resumes_where_it_was(on_end, tmp_path):
    """The checkpoint of a validation has its metric: nothing is lost, and nothing heard twice."""
    run = functools.partial(fit, folder=tmp_path, max_epochs=8, limit_train_batches=4)
    whole = module_for(lr=WARMED, feedback=PLATEAU, monitor="score")
    run(whole, keep=kept(tmp_path, save_on_train_epoch_end=on_end))
    assert heads(whole) == pytest.approx(with_feedback([*range(2, 17, 2)]), abs=1e-15)
    for epoch in range(1, 7):
        rest = module_for(lr=WARMED, feedback=PLATEAU, monitor="score")
        run(rest, **again(tmp_path, epoch, save_on_train_epoch_end=on_end))
        assert heads(rest) == heads(whole)[2 * epoch + 2 :]


def test_feedback_hears_of_a_training_metric(tmp_path):
    """After each epoch, and its decisions are logged."""
    module = module_for(lr=WARMED, feedback=PLATEAU, monitor="ended")
    trainer = fit(
        module, tmp_path, max_epochs=8, limit_train_batches=4,
        callbacks=[ScheduleCallback(after="epoch")],
    )  # fmt: skip
    assert heads(module) == pytest.approx(with_feedback([*range(2, 17, 2)]), abs=1e-15)
    with Path(trainer.logger.experiment.metrics_file_path).open() as file:
        told = [row["feedback/factor"] for row in csv.DictReader(file)]
    assert [float(factor) for factor in told if factor] == [0.5] * 3


def test_a_sanity_check_is_not_heard(tmp_path):
    """Nor is a validation outside the training."""
    module = module_for(lr=WARMED, feedback=cd.Plateau(ema=0.5), monitor="score")
    trainer = fit(module, tmp_path, max_epochs=2, num_sanity_val_steps=1)
    scheduler = trainer.lr_scheduler_configs[0].scheduler
    trainer.validate(module, batches(1), verbose=False)
    assert scheduler.state_dict()["feedback"]["state"]["count"] == 2


def test_a_metric_that_is_not_there_is_told(tmp_path):
    """After the first validation, and with the name that may have been meant."""
    module = module_for(lr=WARMED, feedback=PLATEAU, monitor="scores")
    with pytest.raises(ArgumentError, match=r"'scores'.*did you mean 'score'.*after='epoch'"):
        fit(module, tmp_path, max_epochs=2)
    module = module_for(lr=WARMED, feedback=PLATEAU)
    with pytest.raises(ArgumentError, match=r"write ScheduleCallback\('val_loss'\)"):
        fit(module, tmp_path, max_epochs=2)


def test_a_monitor_is_for_feedback():
    """Without any it would be ignored."""
    with pytest.raises(ArgumentError, match="'monitor' is for the feedback"):
        scheduled(named(Net()), lr=cd.Constant(1), monitor="score")
    with pytest.raises(ArgumentError, match="'interval' must be one of 'step', 'epoch'"):
        scheduled(named(Net()), lr=cd.Constant(1), interval="update")
    with pytest.raises(ArgumentError, match="'after' must be one of 'validation', 'epoch'"):
        ScheduleCallback(after="train")


# What else Lightning does.


def test_manual_optimization_needs_no_step(tmp_path):
    """Two optimizers, stepped by hand: their rounds turn the one clock."""
    module = module_for()
    module.automatic_optimization = False

    def configure_optimizers():
        both = [named(module.net), torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.3)]
        module.seen = record(both[0])
        return scheduled(both, trainer=module.trainer, lr=PLANS["lr"])

    def training_step(batch, batch_idx):
        for optimizer in module.optimizers():
            optimizer.zero_grad()
        module.manual_backward(module.net(*batch)["loss"])
        for optimizer in module.optimizers():
            optimizer.step()

    module.configure_optimizers, module.training_step = configure_optimizers, training_step
    trainer = fit(module, tmp_path, max_epochs=2, accumulate_grad_batches=1, limit_train_batches=4)
    bases = {"body": {"lr": 0.1}, "head": {"lr": 0.02}, "group2": {"lr": 0.3}}
    assert logged(trainer) == planned(plans={"lr": PLANS["lr"]}, bases=bases)
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == UPDATES


def test_several_schedulers_are_told_apart(tmp_path):
    """In the log of a GAN each has a prefix, and is seen at its own updates."""
    module = module_for()
    module.automatic_optimization = False

    def configure_optimizers():
        both = [named(module.net), torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.3)]
        plans = [PLANS["lr"], cd.Linear()]
        pairs = [
            scheduled(one, trainer=module.trainer, lr=plan)
            for one, plan in zip(both, plans, strict=True)
        ]
        return both, [pair["lr_scheduler"] for pair in pairs]

    def training_step(batch, batch_idx):
        module.manual_backward(module.net(*batch)["loss"])
        for optimizer in module.optimizers():
            optimizer.step()

    module.configure_optimizers, module.training_step = configure_optimizers, training_step
    trainer = fit(module, tmp_path, max_epochs=2, accumulate_grad_batches=1, limit_train_batches=4)
    run = cd.read_run(trainer.logger.experiment.metrics_file_path)
    own = planned(plans={"lr": PLANS["lr"]})
    assert run["scheduler0/lr/head"].values.tolist() == [row["lr/head"] for row in own]
    other = planned(plans={"lr": cd.Linear()}, bases={"group0": {"lr": 0.3}})
    assert run["scheduler1/lr/group0"].values.tolist() == [row["lr/group0"] for row in other]


def test_manual_optimization_takes_no_monitor(tmp_path):
    """Since Lightning would leave it out."""
    module = module_for(lr=WARMED, feedback=PLATEAU, monitor="score")
    module.automatic_optimization = False
    with pytest.raises(ArgumentError, match=r"write ScheduleCallback\('score'\)"):
        fit(module, tmp_path, max_epochs=1, accumulate_grad_batches=1)


def test_a_run_of_a_given_time_is_stopped(tmp_path, monkeypatch):
    """When its time is over; validation takes none of it."""
    clock = [0.0]
    monkeypatch.setattr(walltime, "TIMER", lambda: clock[0])
    module = module_for(lr=cd.Hold() >> cd.Linear("50%"), horizon=cd.Horizon(wall_time=20))
    module.on_train_batch_start = lambda *_: clock.__setitem__(0, clock[0] + 1)
    module.on_validation_epoch_start = lambda: clock.__setitem__(0, clock[0] + 1000)
    trainer = fit(module, tmp_path, max_epochs=100, limit_train_batches=4)
    assert trainer.global_step == 10
    assert len(set(heads(module))) > 3
    assert trainer.lr_scheduler_configs[0].scheduler.elapsed == 20


def test_the_callback_is_of_the_lightning_that_is_used(monkeypatch):
    """The framework has two names, and a Trainer knows the callbacks of its own."""
    import lightning.pytorch
    import pytorch_lightning

    assert issubclass(leaf.ScheduleCallback, lightning.pytorch.Callback)
    assert isinstance(leaf.ScheduleCallback(), leaf.ScheduleCallback)
    monkeypatch.delitem(sys.modules, "lightning.pytorch")
    assert issubclass(leaf.ScheduleCallback, pytorch_lightning.Callback)


def test_the_callback_can_be_derived_from_and_copied():
    """It is a class as any other: pickled and copied whole."""
    callback = leaf.ScheduleCallback("score", after="epoch", log=False)
    for again in (pickle.loads(pickle.dumps(callback)), copy.deepcopy(callback)):
        assert type(again) is type(callback)
        assert vars(again).keys() == vars(callback).keys()
        assert (again.monitor, again.after, again._logs) == ("score", "epoch", False)

    class Own(leaf.ScheduleCallback):
        pass

    assert type(Own("score")) is Own


# Fabric.


def fabric_run(folder, *, resume=False, **options):
    """Fabric's loop, saved in its middle; what the optimizer is told."""
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    model = Net()
    optimizer = named(model)
    seen = record(optimizer)
    model, optimizer = fabric.setup(model, optimizer)
    loader = fabric.setup_dataloaders(batches(7))
    scheduler = fabric_scheduler(fabric, optimizer, loader, epochs=2, accumulate=2, **options)
    state = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "epoch": 0}
    if resume:
        fabric.load(folder / "state.ckpt", state, weights_only=True)
    for epoch in range(state["epoch"], 2):
        for i, (x, y) in enumerate(loader, start=1):
            fabric.backward(model(x, y)["loss"])
            if i % 2 == 0 or i == len(loader):
                optimizer.step()
                optimizer.zero_grad()
        if not resume and epoch == 0:
            fabric.save(folder / "state.ckpt", state | {"epoch": 1})
    assert scheduler.last_epoch == UPDATES
    return seen


def test_fabric_trains_saves_and_resumes(tmp_path, capsys):
    """The loader says how long the run is; the loop steps nothing."""
    assert used(fabric_run(tmp_path, **PLANS)) == planned()
    assert "7 batches / 2 accumulated = 4 updates an epoch" in capsys.readouterr().out
    assert used(fabric_run(tmp_path, resume=True, **PLANS)) == planned()[4:]
