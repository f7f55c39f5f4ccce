"""Logs in place: all sinks at once, and the logs that the frameworks write themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import cadence as cd
from cadence import Scheduler, read_run
from cadence.errors import LogError
from cadence.logs import CSV, JSONL, MLflow, ScheduleLogger, TensorBoard, WandB
from loops import check, model, present, train, two_groups

pytestmark = pytest.mark.peers

PLANS = {"backbone": cd.Warmup("20%") >> cd.Cosine(end=0.1), "head": cd.Linear()}


@pytest.fixture
def quiet(monkeypatch, tmp_path):
    """Neither network nor messages, and stores in a folder that goes away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    yield
    written()


def written():
    """Have wandb write to the end what it writes in the background, and forget its folder."""
    import wandb

    wandb.teardown()


def history(run_id, key):
    import mlflow

    found = mlflow.MlflowClient().get_metric_history(run_id, key)
    return {metric.step: metric.value for metric in found}


def test_all_sinks_at_once(quiet, tmp_path):
    """Every sink has what the updates used, decisions and plan included, and is resumed."""
    import mlflow

    used, states, wandb_id, mlflow_id = [], None, None, None
    for updates in (12, 18):
        net = model()
        optimizer = two_groups(net)
        scheduler = Scheduler(
            optimizer,
            lr=PLANS,
            momentum=cd.Linear(end=0.5),
            total_steps=30,
            feedback=cd.Plateau(patience=9, factor=0.5),
        )
        # A run of Weights & Biases is resumed by its id, into a directory of its own.
        run = {
            "project": "p",
            "dir": tmp_path,
            "id": wandb_id,
            "resume": "allow" if states else None,
        }
        weights, flow = WandB(**run), MLflow(mlflow_id)
        wandb_id, mlflow_id = weights.run.id, flow.run_id
        sinks = [CSV("run.csv"), JSONL("run.jsonl"), TensorBoard("tb"), weights, flow]
        with ScheduleLogger(scheduler, sinks) as logger:
            if states:
                scheduler.load_state_dict(states[0])
                logger.load_state_dict(states[1])
            used += train(
                net,
                optimizer,
                logger,
                updates,
                tick=lambda *_, scheduler=scheduler: scheduler.step(1.0),
                keys=["lr", "momentum"],
            )
            states = scheduler.state_dict(), logger.state_dict()
    written()
    paths = ["run.csv", "run.jsonl", "tb", "wandb"]
    for path in paths:
        run = read_run(path)
        check(run, used, single=path == "tb")
        assert run.replaced == 0
        assert [text.step for text in run.texts if text.key == "decisions"] == [10, 20]
        assert [text.step for text in run.texts if text.key == "plan"] == [0]
        assert run.plan == read_run("run.csv").plan
        assert run["plan/lr/head"].values[-1] < 0.5 * used[0]["lr/head"]
    assert len(list(Path("wandb").glob("offline-run-*"))) == 2
    assert list(Path("wandb").glob("offline-run-*/files/media/images/plan*.png"))
    for key in used[0]:
        assert history(mlflow_id, key) == {step: row[key] for step, row in enumerate(used)}
    store = mlflow.MlflowClient()
    assert {file.path for file in store.list_artifacts(mlflow_id, "plan")} == {
        "plan/0.png", "plan/0.txt",
    }  # fmt: skip
    monitored = mlflow.artifacts.load_text(f"runs:/{mlflow_id}/decisions/10.txt")
    assert monitored == "rates x 0.5 (metric 1): no better than 1 for 10 metrics\n"
    assert mlflow.active_run() is None


def test_numbers_that_are_not_finite(quiet, tmp_path):
    """NaN and infinity, and keys of any kind, reach the loggers that take them."""
    values = {"a": float("nan"), "b": float("inf"), 'g.h/größe [1], "x"': -0.1, "e": 5e-324}
    with WandB(project="p", dir=tmp_path) as weights:
        weights.scalars(0, values)
        weights.text(0, "note", "two\nlines")
        weights.close()
    written()
    run = read_run(tmp_path / "wandb")
    assert {key: repr(run[key].values.tolist()) for key in values} == {
        key: repr([value]) for key, value in values.items()
    }
    assert [tuple(text) for text in run.texts] == [(0, "note", "two\nlines")]
    with MLflow() as flow:
        flow.scalars(0, values)
        flow.text(0, "note", "one")
        flow.text(0, "note", "two")
        run_id = flow.run_id
    assert repr(history(run_id, "a")) == "{0: nan}"
    assert history(run_id, "g.h/gr__e _1__ _x_") == {0: -0.1}


def test_runs_of_your_own_stay_open(quiet, tmp_path):
    """A run that was there before is written to, and neither finished nor ended."""
    import mlflow
    import wandb

    with wandb.init(project="p", dir=tmp_path, config={"depth": 3}) as run:
        sink = WandB(run)
        sink.scalars(0, {"a": 1.0})
        sink.close()
        run.log({"b": 2.0, "step": 0})
    written()
    found = read_run(tmp_path)
    assert {key: series.values.tolist() for key, series in found.series.items()} == {
        "a": [1.0], "b": [2.0],
    }  # fmt: skip
    assert found.metadata == {"depth": 3}
    with mlflow.start_run() as run:
        flow = MLflow()
        flow.scalars(0, {"a": 1.0})
        flow.close()
        assert flow.run_id == run.info.run_id == mlflow.active_run().info.run_id
    assert history(run.info.run_id, "a") == {0: 1.0}


def test_an_offline_run_that_was_cut_off(quiet, tmp_path):
    """What was written of it in whole records is read."""
    with WandB(project="p", dir=tmp_path) as sink:
        for step in range(400):
            sink.scalars(step, {"a": step / 7, "b" * 300: 1.0})
    written()
    path = next(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    data = path.read_bytes()
    assert len(data) > 5 * 32768
    assert read_run(path)["a"].values.tolist() == [step / 7 for step in range(400)]
    for cut in (len(data) // 2, 3 * 32768 + 3, 3 * 32768):
        path.write_bytes(data[:cut])
        steps, values = read_run(path)["a"]
        assert 100 < len(steps) < 400
        assert values.tolist() == [step / 7 for step in steps]
    path.write_bytes(b"something else")
    with pytest.raises(LogError, match="must begin with :W&B, as wandb writes it"):
        read_run(path)


def test_two_offline_runs_are_not_one(quiet, tmp_path):
    """A folder with several runs asks which."""
    for _ in range(2):
        with WandB(project="p", dir=tmp_path) as sink:
            sink.scalars(0, {"a": 1.0})
    with pytest.raises(LogError, match=r"must hold one log \(it has .*run-.*; name one"):
        read_run(tmp_path / "wandb")


class Net(torch.nn.Module):
    """A model that returns its loss, as Transformers wants it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, x, y):
        return {"loss": torch.nn.functional.mse_loss(self.layer(x), y)}


class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, index):
        x = torch.full((4,), index / 16)
        return {"x": x, "y": x.sum(0, keepdim=True)}


@pytest.mark.filterwarnings("default")
def test_the_logs_of_trainer(quiet, tmp_path):
    """Its state, its TensorBoard and its Weights & Biases tell what its updates used."""
    from transformers import Trainer, TrainingArguments

    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    used = []
    optimizer.register_step_pre_hook(lambda *_: used.append(present(optimizer, ["lr"])))
    scheduler = Scheduler(optimizer, lr=cd.Warmup(2) >> cd.Linear(), total_steps=8)
    arguments = TrainingArguments(
        "out",
        max_steps=8,
        per_device_train_batch_size=2,
        logging_steps=1,
        save_steps=4,
        report_to=["tensorboard", "wandb"],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(net, arguments, train_dataset=Data(), optimizers=(optimizer, scheduler))
    trainer.train()
    written()
    rates = [row["lr/group0"] for row in used]
    run = read_run("out")
    assert run.kind == "Trainer"
    assert run["learning_rate"].values.tolist() == rates
    assert run["learning_rate"].steps.tolist() == list(range(1, 9))
    events = next(Path().rglob("events.out.tfevents.*")).parent
    for path in (events, "wandb"):
        other = read_run(path)
        assert list(other.rates) == ["train/learning_rate"]
        assert other.loss_key == "train/loss"
        assert other["train/learning_rate"].steps.tolist() == list(range(1, 9))
        assert other["train/learning_rate"].values.tolist() == pytest.approx(rates, rel=1e-6)
        assert other["train/loss"].values.tolist() == pytest.approx(run["loss"].values, rel=1e-6)


@pytest.mark.filterwarnings("default")
def test_the_table_of_lightning(quiet, tmp_path):
    """Its monitor's rates are those of the updates, and the loss is found."""
    import lightning
    from lightning.pytorch.callbacks import LearningRateMonitor
    from lightning.pytorch.loggers import CSVLogger

    used = []

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = model()

        def training_step(self, batch, index):
            loss = self.net(batch).square().mean()
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def configure_optimizers(self):
            optimizer = two_groups(self.net)
            optimizer.register_step_pre_hook(lambda *_: used.append(present(optimizer, ["lr"])))
            scheduler = Scheduler(optimizer, lr=cd.Warmup(2) >> cd.Linear(), total_steps=8)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
            }

    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=CSVLogger(tmp_path),
        callbacks=[LearningRateMonitor("step", log_momentum=True)],
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(Module(), torch.utils.data.DataLoader(torch.randn(16, 4), batch_size=4))
    run = read_run(tmp_path)
    assert len(used) == 8
    assert list(run.rates) == ["lr-SGD/backbone", "lr-SGD/head"]
    for name in ("backbone", "head"):
        rates = run[f"lr-SGD/{name}"]
        assert rates.steps.tolist() == list(range(8))
        assert rates.values.tolist() == [row[f"lr/{name}"] for row in used]
    assert run.loss_key == "train_loss_step"


def test_a_wrapped_optimizer_of_accelerate(quiet, tmp_path):
    """Accelerate's wrappers are looked through, and accumulated batches are no updates."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    net = model()
    optimizer = two_groups(net)
    scheduler = Scheduler(optimizer, lr=cd.Linear(), total_steps=6)
    net, optimizer, scheduler = accelerator.prepare(net, optimizer, scheduler)
    used = []
    with (
        ScheduleLogger(scheduler, JSONL("run.jsonl")) as logger,
        ScheduleLogger(optimizer, JSONL("optimizer.jsonl")) as other,
    ):
        for _ in range(12):
            with accelerator.accumulate(net):
                loss = net(torch.randn(8, 4)).square().mean()
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    used.append(present(optimizer, ["lr"]) | {"loss": loss.item()})
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            logger.log(loss=loss)
            other.log(loss=loss)
    for path in ("run.jsonl", "optimizer.jsonl"):
        check(read_run(path), used)
    assert json.loads(Path("run.jsonl").read_text().splitlines()[-1])["step"] == 5
