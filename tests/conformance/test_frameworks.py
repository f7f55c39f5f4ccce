"""The drop-in in place within the frameworks that people train with: real runs, on the CPU.

Each loop runs under torch's class and under ours of the same name, and whatever the optimizer is
told at any of its updates has to be the same. The tests import the frameworks themselves, so that
the file can be collected without them; where they run, a framework that is missing is a failure.
"""

import csv
import functools
import itertools
import json
from pathlib import Path

import pytest
import torch
from rig import CADENCE, TORCH, Make, ramp
from small import UPDATES, Net, Rows, batches, join, optimizer_for, record, reset

pytestmark = pytest.mark.peers

MAKES = [
    Make("StepLR", {"step_size": 3, "gamma": 0.5}),
    Make("MultiStepLR", {"milestones": [2, 5, 5], "gamma": 0.5}),
    Make("ConstantLR", {"factor": 0.25, "total_iters": 3}),
    Make("LinearLR", {"start_factor": 0.25, "total_iters": 5}),
    Make("ExponentialLR", {"gamma": 0.8}),
    Make("PolynomialLR", {"total_iters": 6, "power": 2.0}),
    Make("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.001}),
    Make("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2, "eta_min": 0.001}),
    Make("LambdaLR", {"lr_lambda": [ramp, lambda epoch: 0.9**epoch]}),
    Make("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.9 if epoch % 2 else 1.05}),
    Make("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3}),
    Make("OneCycleLR", {"max_lr": [0.2, 0.05], "total_steps": UPDATES}),
    Make("SWALR", {"swa_lr": 0.005, "anneal_epochs": 5}),
    Make("Recursive", {"factor": 0.9}),
    Make("Delayed", {"wait": 2, "T_max": 6}),
]
WARMED = Make(
    "SequentialLR",
    {"milestones": [3]},
    (
        Make("LinearLR", {"start_factor": 0.25, "total_iters": 3}),
        Make("CosineAnnealingLR", {"T_max": 5}),
    ),
)
CHAINED = Make(
    "ChainedScheduler",
    {},
    (
        Make("ConstantLR", {"factor": 0.25, "total_iters": 3}),
        Make("ExponentialLR", {"gamma": 0.8}),
    ),
)
PLATEAU = Make("ReduceLROnPlateau", {"factor": 0.5, "patience": 1, "cooldown": 1, "min_lr": 0.004})
# Better, then worse for long enough to lower the rates more than once.
METRICS = [1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0]


def by_class(makes):
    """One test for each."""
    return pytest.mark.parametrize("make", makes, ids=lambda make: make.name)


everything = by_class([*MAKES, WARMED, CHAINED])


def same(left, right):
    """The same rows of numbers."""
    assert len(left) == len(right) > 0
    torch.testing.assert_close(
        torch.tensor(right, dtype=torch.float64),
        torch.tensor(left, dtype=torch.float64),
        rtol=1e-12,
        atol=1e-15,
    )


def compare(run, folder):
    """Run under both libraries; what was seen has to be the same, and not because nothing was."""
    left, right = run(TORCH, folder / "torch"), run(CADENCE, folder / "cadence")
    assert any(row != left[0] for row in left)
    same(left, right)


def whole_and_resumed(begin, resume):
    """A run to the end, and its second half once more from the checkpoint in its middle."""
    whole, rest = begin(), resume()
    same(whole[UPDATES // 2 : UPDATES], rest)
    assert len(whole) == UPDATES
    return whole + rest


# Transformers.


def train(folder, make=None, library=None, *, kind=None, resume=False, expected=None, **options):
    """A fresh Trainer, each of whose updates takes two batches; what its optimizer is told."""
    from transformers import Trainer, TrainingArguments

    model = Net()
    optimizer = optimizer_for(model)
    scheduler = make and make.build(library, optimizer)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=UPDATES,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        save_strategy="steps",
        save_steps=UPDATES // 2,
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        label_names=["y"],
        **options,
    )
    trainer = (kind or Trainer)(
        model=model,
        args=arguments,
        train_dataset=Rows(64),
        eval_dataset=Rows(4),
        optimizers=(optimizer, scheduler),
        compute_metrics=lambda _: {"score": METRICS[trainer.state.global_step - 1]},
    )
    seen = record(optimizer)
    trainer.train(
        resume_from_checkpoint=str(folder / f"checkpoint-{UPDATES // 2}") if resume else None
    )
    assert type(trainer.lr_scheduler) is (expected or getattr(library, make.name))
    rates = [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row]
    assert rates[-len(seen) :] == [row[0] for row in seen]
    return seen


@everything
def test_trainer_steps_saves_and_resumes(make, tmp_path):
    """Accumulating gradients, and from a checkpoint in a fresh Trainer."""

    def run(library, folder):
        return whole_and_resumed(
            lambda: train(folder, make, library), lambda: train(folder, make, library, resume=True)
        )

    compare(run, tmp_path)


@pytest.mark.parametrize(
    ("before", "after"), [(TORCH, CADENCE), (CADENCE, TORCH)], ids=["from torch", "to torch"]
)
@everything
def test_trainer_resumes_a_run_of_the_other(make, before, after, tmp_path):
    """A checkpoint that was written under torch's class goes on under ours, and the other way."""
    whole_and_resumed(
        lambda: train(tmp_path, make, before), lambda: train(tmp_path, make, after, resume=True)
    )


def test_trainer_creates_our_scheduler(tmp_path):
    """A `create_scheduler` of the user's own, which the Trainer calls with the steps it counted."""
    from transformers import Trainer

    def run(library, folder):
        class Own(Trainer):
            def create_scheduler(self, num_training_steps, optimizer=None):
                make = Make("OneCycleLR", {"max_lr": 0.2, "total_steps": num_training_steps})
                self.lr_scheduler = make.build(library, self.optimizer)
                return self.lr_scheduler

        again = functools.partial(train, folder, kind=Own, expected=library.OneCycleLR)
        return whole_and_resumed(again, lambda: again(resume=True))

    compare(run, tmp_path)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("linear", {}),
        ("cosine", {}),
        ("cosine_with_restarts", {"num_cycles": 2}),
        ("polynomial", {"power": 2.0}),
        ("constant_with_warmup", {}),
        ("inverse_sqrt", {}),
        ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
        ("warmup_stable_decay", {"num_decay_steps": 3}),
    ],
)
def test_trainer_builds_its_own_recipes_on_our_class(name, more, tmp_path, monkeypatch):
    """Transformers' recipes are functions in a LambdaLR: here in ours."""
    import transformers.optimization

    options = {"lr_scheduler_type": name, "lr_scheduler_kwargs": more, "warmup_steps": 2}

    def run(library, folder):
        monkeypatch.setattr(transformers.optimization, "LambdaLR", library.LambdaLR)
        again = functools.partial(train, folder, expected=library.LambdaLR, **options)
        return whole_and_resumed(again, lambda: again(resume=True))

    compare(run, tmp_path)


@pytest.mark.parametrize("make", [PLATEAU, None], ids=["given", "by name"])
def test_trainer_hands_metrics_to_a_plateau(make, tmp_path, monkeypatch):
    """The Trainer takes ours for a ReduceLROnPlateau and steps it with the metric."""
    import transformers.optimization

    def run(library, folder):
        kind = library.ReduceLROnPlateau
        monkeypatch.setattr(transformers.optimization, "ReduceLROnPlateau", kind)
        again = functools.partial(
            train,
            folder,
            make,
            library,
            expected=kind,
            eval_strategy="steps",
            eval_steps=1,
            metric_for_best_model="score",
            greater_is_better=False,
            lr_scheduler_type="reduce_lr_on_plateau",
            lr_scheduler_kwargs=PLATEAU.arguments,
        )
        return whole_and_resumed(again, lambda: again(resume=True))

    compare(run, tmp_path)


# Lightning.


def module_for(library, make, **config):
    """A module whose scheduler is made as its users do."""
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def training_step(self, batch, index):
            return self.net(*batch)["loss"]

        def validation_step(self, batch, index):
            self.log("score", METRICS[self.current_epoch])

        def configure_optimizers(self):
            optimizer = optimizer_for(self.net)
            self.seen = record(optimizer)
            scheduler = make.build(library, optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **config}}

    return Module()


def fit(module, folder, epochs, *, resume=False, callbacks=(), accumulate_grad_batches=2):
    """Train for `UPDATES` updates, each of two batches; the Trainer."""
    import lightning
    from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    kept, logs = folder / "kept", folder / ("resumed" if resume else "whole")
    keep = ModelCheckpoint(kept, filename="{epoch}", every_n_epochs=epochs // 2, save_top_k=-1)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        accumulate_grad_batches=accumulate_grad_batches,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        logger=CSVLogger(logs, name="", version=""),
        callbacks=[keep, LearningRateMonitor(log_momentum=True), *callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        module,
        batches(2 * UPDATES // epochs),
        batches(1),
        ckpt_path=kept / f"epoch={epochs // 2 - 1}.ckpt" if resume else None,
        weights_only=True,
    )
    return trainer


def logged(trainer):
    """What LearningRateMonitor wrote to the file: a row for each update, though it repeats some."""
    with Path(trainer.logger.experiment.metrics_file_path).open() as file:
        rows = {row["step"]: row for row in csv.DictReader(file) if row["lr-SGD/pg1"]}
    names = "lr-SGD/pg1", "lr-SGD/pg1-momentum", "lr-SGD/pg2", "lr-SGD/pg2-momentum"
    return [[float(row[name]) for name in names] for row in rows.values()]


lightning_warns = pytest.mark.filterwarnings(
    # Advice about workers; on two cores and 32 rows there should be none.
    "ignore:The '.*_dataloader' does not have many workers",
    # A resumed run writes beside the one that it resumes.
    "ignore:Checkpoint directory .* exists and is not empty",
    # It asks torch in a way that torch has deprecated.
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
    # It takes this class for one of batches; here it is tried by epochs as well.
    "ignore:A `OneCycleLR` scheduler is using 'interval'. 'epoch':RuntimeWarning",
)


@lightning_warns
@pytest.mark.parametrize(("interval", "epochs"), [("step", 2), ("epoch", UPDATES)])
@everything
def test_lightning_steps_saves_and_resumes(make, interval, epochs, tmp_path):
    """At either interval, with the rates logged, and from a checkpoint in a fresh Trainer."""

    def run(library, folder):
        def part(*, resume):
            module = module_for(library, make, interval=interval)
            trainer = fit(module, folder, epochs, resume=resume)
            assert type(trainer.lr_scheduler_configs[0].scheduler) is getattr(library, make.name)
            same(module.seen, logged(trainer))
            return module.seen

        return whole_and_resumed(lambda: part(resume=False), lambda: part(resume=True))

    compare(run, tmp_path)


@lightning_warns
def test_lightning_hands_metrics_to_a_plateau(tmp_path):
    """Lightning takes ours for a ReduceLROnPlateau: it asks for a monitor and steps with it."""

    def run(library, folder):
        def part(*, resume):
            module = module_for(library, PLATEAU, monitor="score")
            trainer = fit(module, folder, UPDATES, resume=resume)
            assert trainer.lr_scheduler_configs[0].reduce_on_plateau
            same(module.seen, logged(trainer))
            return module.seen

        # Lightning writes the checkpoint of an epoch before it steps a plateau, and so resumes
        # with one metric less than the whole run: there is no second half to compare.
        return part(resume=False) + part(resume=True)

    compare(run, tmp_path)


def test_lightning_wants_a_monitor_for_a_plateau(tmp_path):
    """As it does for torch's."""
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    with pytest.raises(MisconfigurationException, match="must include a monitor"):
        fit(module_for(CADENCE, PLATEAU), tmp_path, UPDATES)


@lightning_warns
@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_lightning_swaps_ours_for_averaging(strategy, tmp_path, monkeypatch):
    """Its callback for weight averaging puts an SWALR, here ours, in the place of a scheduler."""
    from lightning.pytorch.callbacks import StochasticWeightAveraging, stochastic_weight_avg

    def run(library, folder):
        monkeypatch.setattr(stochastic_weight_avg, "SWALR", library.SWALR)
        module = module_for(library, Make("ExponentialLR", {"gamma": 0.8}))
        average = StochasticWeightAveraging(
            swa_lrs=0.005, swa_epoch_start=3, annealing_epochs=3, annealing_strategy=strategy
        )
        trainer = fit(module, folder, UPDATES, callbacks=[average])
        assert type(trainer.lr_scheduler_configs[0].scheduler) is library.SWALR
        return module.seen

    compare(run, tmp_path)


@lightning_warns
def test_lightning_unfreezes_a_group(tmp_path):
    """A callback adds a group in the middle of a run: it is scheduled from then on."""
    from lightning.pytorch.callbacks import BaseFinetuning

    class Unfreeze(BaseFinetuning):
        def freeze_before_training(self, module):
            self.freeze(module.head)

        def finetune_function(self, module, epoch, optimizer):
            if epoch == 3:
                self.unfreeze_and_add_param_group(module.head, optimizer, lr=0.05)

    def run(library, folder):
        module = module_for(library, Make("ExponentialLR", {"gamma": 0.8}))
        module.head = torch.nn.Linear(1, 1)
        fit(module, folder, UPDATES, callbacks=[Unfreeze()])
        if library is CADENCE:  # torch lets the schedule begin at the group; see the differences
            added = [0.05, *(0.05 * 0.8**epoch for epoch in range(4, UPDATES))]
            same([[rate, 0.9] for rate in added], [row[4:] for row in module.seen[3:]])
        return [row[:4] for row in module.seen]

    compare(run, tmp_path)


@lightning_warns
def test_lightning_leaves_steps_to_the_user(tmp_path):
    """Manual optimization: the scheduler that the module is handed is ours, and steps."""

    def run(library, folder):
        module = module_for(library, WARMED)
        module.automatic_optimization = False

        def training_step(batch, batch_idx):
            module.optimizers().zero_grad()
            module.manual_backward(module.net(*batch)["loss"])
            module.optimizers().step()
            module.lr_schedulers().step()

        module.training_step = training_step
        fit(module, folder, UPDATES, accumulate_grad_batches=1)
        assert type(module.lr_schedulers()) is library.SequentialLR
        return module.seen

    compare(run, tmp_path)


# Ignite.


ignite_warns = pytest.mark.filterwarnings(
    # It imports all of torch.distributed.optim, which compiles with what torch has deprecated.
    r"ignore:`torch\.jit\.\w+` is deprecated:DeprecationWarning",
)


def engine_for(library, make):
    """An engine, a scheduler, what else has a state, and what the optimizer is told."""
    from ignite.engine import Engine

    model = Net()
    optimizer = optimizer_for(model)

    def update(engine, batch):
        optimizer.zero_grad()
        model(*batch)["loss"].backward()
        optimizer.step()

    engine, scheduler = Engine(update), make.build(library, optimizer)
    return engine, scheduler, {"model": model, "optimizer": optimizer}, record(optimizer)


def stepped(library, make):
    """The scheduler is stepped after each iteration."""
    from ignite.engine import Events

    engine, scheduler, _, seen = engine_for(library, make)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: scheduler.step())
    engine.run(batches())
    return seen


@ignite_warns
@everything
def test_ignite_steps_a_scheduler(make, tmp_path):
    """Called as a handler of the user's own."""
    compare(lambda library, folder: stepped(library, make), tmp_path)


# Ignite's wrapper turns the clock and asks for the rates, but takes no step: the clock of an SWALR
# stands still, and composites are not for it.
WRAPPED = [make for make in MAKES if make.name != "SWALR"]
# Asked like this, some of torch's classes begin with their second rate, or with one that is none of
# theirs; ours have the rates that they have when stepped.
TORCH_JUMPS = {"ExponentialLR", "PolynomialLR", "CosineAnnealingLR", "Delayed"}
# Ignite has yet another wrapper for this one, which has no state.
STATELESS = {"CosineAnnealingWarmRestarts"}


def wrapped(library, make, folder, *, resume=False):
    """The scheduler in Ignite's wrapper, which writes the rates before each iteration."""
    from ignite.engine import Events
    from ignite.handlers import Checkpoint, DiskSaver, LRScheduler

    engine, scheduler, objects, seen = engine_for(library, make)
    handler = LRScheduler(scheduler, save_history=True)
    handler.attach(engine, Events.ITERATION_STARTED)
    if make.name not in STATELESS:
        objects |= {"engine": engine, "handler": handler}
        keep = Checkpoint(objects, DiskSaver(folder, require_empty=False), n_saved=None)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=UPDATES // 2), keep)
    if resume:
        path = folder / f"checkpoint_{UPDATES // 2}.pt"
        Checkpoint.load_objects(objects, torch.load(path, weights_only=True))
    engine.run(batches(), max_epochs=1)
    same([row[::2] for row in seen], engine.state.param_history["lr"][-len(seen) :])
    return seen


@ignite_warns
@by_class(WRAPPED)
def test_ignite_wraps_saves_and_resumes(make, tmp_path):
    """In the wrapper, and from a checkpoint in a fresh one."""

    def run(library, folder):
        begin = functools.partial(wrapped, library, make, folder)
        if make.name in STATELESS:
            return begin()
        return whole_and_resumed(begin, lambda: begin(resume=True))

    if make.name in TORCH_JUMPS:
        same(stepped(TORCH, make), run(CADENCE, tmp_path)[:UPDATES])
    else:
        compare(run, tmp_path)


@ignite_warns
@by_class([make for make in WRAPPED if make.name not in STATELESS])
def test_ignite_simulates(make, tmp_path):
    """It foretells what the wrapper will write, and puts the scheduler and the optimizer back."""
    from ignite.handlers import LRScheduler

    _, scheduler, objects, _ = engine_for(CADENCE, make)
    before = objects["optimizer"].state_dict()["param_groups"]
    foretold = LRScheduler.simulate_values(UPDATES, scheduler)
    written = wrapped(CADENCE, make, tmp_path)
    same([row[::2] for row in written], [row[1:] for row in foretold])
    assert objects["optimizer"].state_dict()["param_groups"] == before
    assert scheduler.last_epoch == 0


@ignite_warns
@by_class([make for make in MAKES if make.name != "Delayed"])  # see TORCH_JUMPS
def test_ignite_warms_up(make, tmp_path):
    """Its own warmup in front of a scheduler of ours."""
    from ignite.engine import Events
    from ignite.handlers import create_lr_scheduler_with_warmup

    def run(library, folder):
        engine, scheduler, _, seen = engine_for(library, make)
        handler = create_lr_scheduler_with_warmup(scheduler, 0.001, warmup_duration=3)
        handler.attach(engine, Events.ITERATION_STARTED)
        engine.run(batches())
        return seen

    compare(run, tmp_path)


@ignite_warns
@pytest.mark.parametrize("how", ["handler", "step"])
def test_ignite_hands_metrics_to_a_plateau(how, tmp_path, monkeypatch):
    """From its own handler, and from the user's, when an evaluator is done."""
    from ignite.engine import Engine, Events
    from ignite.handlers import ReduceLROnPlateauScheduler, param_scheduler

    def run(library, folder):
        monkeypatch.setattr(param_scheduler, "ReduceLROnPlateau", library.ReduceLROnPlateau)
        engine, scheduler, objects, seen = engine_for(library, PLATEAU)
        evaluator = Engine(lambda *_: None)

        @evaluator.on(Events.EPOCH_COMPLETED)
        def score():
            evaluator.state.metrics["score"] = METRICS[engine.state.iteration - 1]

        if how == "handler":
            given = PLATEAU.arguments | {"min_lr": 0.0}
            handler = ReduceLROnPlateauScheduler(objects["optimizer"], "score", **given)
            assert type(handler.scheduler) is library.ReduceLROnPlateau
        else:

            def handler(evaluator):
                scheduler.step(evaluator.state.metrics["score"])

        evaluator.add_event_handler(Events.COMPLETED, handler)
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: evaluator.run([0]))
        engine.run(batches())
        return seen

    compare(run, tmp_path)


# Accelerate.


def accelerated(library, make, folder, *, resume=False, **options):
    """The loop of Accelerate's users, two batches to an update, saved in its middle."""
    from accelerate import Accelerator

    reset()
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2, **options)
    model = Net()
    optimizer = optimizer_for(model)
    seen = record(optimizer)
    scheduler = make.build(library, optimizer)
    share = 1 if accelerator.split_batches else accelerator.num_processes
    model, optimizer, loader, scheduler = accelerator.prepare(
        model, optimizer, batches(2 * UPDATES * share), scheduler
    )
    assert type(scheduler.scheduler) is getattr(library, make.name)
    if resume:
        accelerator.load_state(str(folder))
        loader = accelerator.skip_first_batches(loader, UPDATES)
    for i, (x, y) in enumerate(loader):
        with accelerator.accumulate(model):
            accelerator.backward(model(x, y)["loss"])
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        if not resume and i == UPDATES - 1:
            accelerator.save_state(str(folder))
    return seen


@everything
def test_accelerate_prepares_saves_and_resumes(make, tmp_path):
    """Accumulating gradients, and from a state in a fresh Accelerator."""

    def run(library, folder):
        return whole_and_resumed(
            lambda: accelerated(library, make, folder),
            lambda: accelerated(library, make, folder, resume=True),
        )

    compare(run, tmp_path)


def test_accelerate_steps_a_plateau_with_a_metric(tmp_path):
    """Its wrapper passes the metric on."""
    from accelerate import Accelerator

    def run(library, folder):
        reset()
        accelerator = Accelerator(cpu=True)
        model = Net()
        optimizer = optimizer_for(model)
        seen = record(optimizer)
        model, optimizer, loader, scheduler = accelerator.prepare(
            model, optimizer, batches(), PLATEAU.build(library, optimizer)
        )
        assert type(scheduler.scheduler) is library.ReduceLROnPlateau
        for (x, y), metric in zip(loader, METRICS, strict=True):
            accelerator.backward(model(x, y)["loss"])
            optimizer.step()
            scheduler.step(metric)
            optimizer.zero_grad()
        return seen

    compare(run, tmp_path)


SHARED = [
    *(make for make in MAKES if make.name in {"LambdaLR", "CosineAnnealingLR"}),
    # Two steps to an update, unless the batches are split.
    Make("OneCycleLR", {"max_lr": [0.2, 0.05], "total_steps": 2 * UPDATES}),
]
RUNS = list(itertools.product(SHARED, (False, True)))


def rank_of_two(rank, folder):
    """One of two processes, which share each update; it writes what it saw to a file."""
    join(rank, folder)
    from accelerate import DataLoaderConfiguration

    saw = []
    for (i, (make, split)), library in itertools.product(enumerate(RUNS), (TORCH, CADENCE)):
        once = functools.partial(
            accelerated,
            library,
            make,
            folder / f"{i}-{'cadence' if library is CADENCE else 'torch'}",
            dataloader_config=DataLoaderConfiguration(split_batches=split),
        )
        saw.append(whole_and_resumed(once, lambda once=once: once(resume=True)))
    (folder / f"rank{rank}.json").write_text(json.dumps(saw))
    torch.distributed.destroy_process_group()


def test_accelerate_in_two_processes(tmp_path):
    """Two real processes: both see torch's rates, whole and resumed, batches split or not."""
    torch.multiprocessing.spawn(rank_of_two, (tmp_path,), nprocs=2)
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert len(first) == 2 * len(RUNS)
    for left, right in zip(first[::2], first[1::2], strict=True):
        same(left, right)
