"""Schedules in the Trainer of transformers: real runs, killed and resumed ones among them."""

import json
import logging
import multiprocessing
import os
import signal

import pytest
import torch
from small import BASES, PLANS, UPDATES, Net, Rows, join, named, planned, record, used

import cadence as cd
from cadence import walltime
from cadence.errors import ArgumentError, MismatchError, PaceWarning, ParseError
from cadence.integrations.transformers import ScheduleCallback, schedule, trainer_kwargs

pytestmark = pytest.mark.peers

# Better, then worse for long enough to lower the rates more than once.
METRICS = [1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0]
EPOCHS = {"num_train_epochs": 2}  # 7 batches, two of them to an update, and the last one alone
STEPS = {"max_steps": UPDATES}


def arguments(folder, **options):
    from transformers import TrainingArguments

    return TrainingArguments(
        **{
            "output_dir": str(folder),
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "use_cpu": True,
            "dataloader_pin_memory": False,
            "label_names": ["y"],
        }
        | options
    )


def trainer_for(folder, *, kind=None, optimizer=None, kwargs=None, **options):
    """A Trainer, and what its optimizer is told."""
    from transformers import Trainer

    model = Net()
    optimizer = named(model) if optimizer is None else optimizer(model)
    trainer = (kind or Trainer)(
        model=model,
        args=arguments(folder, **options),
        train_dataset=Rows(14),
        eval_dataset=Rows(4),
        compute_metrics=lambda _: {"score": METRICS[trainer.state.global_step - 1]},
        **(kwargs(optimizer) if kwargs else {"optimizers": (optimizer, None)}),
    )
    return trainer, record(optimizer)


def logged(trainer):
    """The scheduled values in the Trainer's own log history, by update."""
    return [
        {key: value for key, value in row.items() if "/" in key and "feedback" not in key}
        for row in trainer.state.log_history
        if "loss" in row
    ]


SAVED = {"save_strategy": "steps", "save_steps": 3}


@pytest.mark.parametrize("length", [STEPS, EPOCHS], ids=["max_steps", "epochs"])
def test_every_update_uses_and_logs_the_plan(length, tmp_path):
    """By steps and by epochs, the length is the Trainer's, batches being accumulated."""
    trainer, seen = trainer_for(tmp_path, **length)
    scheduler = schedule(trainer, **PLANS)
    trainer.train()
    assert trainer.state.max_steps == scheduler.horizon.total_steps == UPDATES
    assert used(seen) == planned() == logged(trainer)
    assert [row["learning_rate"] for row in trainer.state.log_history if "loss" in row] == [
        row["lr/body"] for row in planned()
    ]
    assert scheduler.last_epoch == UPDATES


def test_a_length_in_epochs_is_the_trainers(tmp_path):
    """An epoch has as many updates as the Trainer makes in it."""
    trainer, seen = trainer_for(tmp_path, **EPOCHS)
    schedule(trainer, lr="Warmup('1ep') >> Linear()")
    trainer.train()
    plans = {"lr": cd.Warmup(4) >> cd.Linear()}
    assert [row["lr/head"] for row in used(seen)] == [
        row["lr/head"] for row in planned(plans=plans)
    ]


@pytest.mark.parametrize("length", [STEPS, EPOCHS], ids=["max_steps", "epochs"])
def test_a_resumed_run_is_the_same_run(length, tmp_path):
    """From a checkpoint in a fresh Trainer: rates, log and weights, bit for bit."""
    whole, all_seen = trainer_for(tmp_path, **length, **SAVED)
    schedule(whole, **PLANS)
    whole.train()
    rest, seen = trainer_for(tmp_path, **length, **SAVED)
    scheduler = schedule(rest, **PLANS)
    rest.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert used(seen) == used(all_seen)[3:] == planned()[3:]
    assert logged(rest) == planned()
    assert scheduler.last_epoch == UPDATES
    for left, right in zip(whole.model.parameters(), rest.model.parameters(), strict=True):
        assert torch.equal(left, right)


def train_and_be_killed(folder):
    """A process of its own, killed in the middle of an update after its second checkpoint."""
    trainer, _ = trainer_for(folder, **EPOCHS, **SAVED)
    schedule(trainer, **PLANS)

    def kill(*_):
        if trainer.state.global_step == 7:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer.optimizer.register_step_pre_hook(kill)
    trainer.train()


def test_a_killed_run_goes_on(tmp_path):
    """After SIGKILL, from the last checkpoint that it left."""
    process = multiprocessing.get_context("spawn").Process(
        target=train_and_be_killed, args=(tmp_path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    trainer, seen = trainer_for(tmp_path, **EPOCHS, **SAVED)
    schedule(trainer, **PLANS)
    trainer.train(resume_from_checkpoint=True)
    assert used(seen) == planned()[6:]
    assert logged(trainer) == planned()


def test_without_the_schedulers_state_the_position_is_the_trainers(tmp_path):
    """A checkpoint without optimizer and scheduler goes on at its step, and not at the first."""
    trainer, _ = trainer_for(tmp_path, **STEPS, **SAVED, save_only_model=True)
    schedule(trainer, **PLANS)
    trainer.train()
    trainer, seen = trainer_for(tmp_path, **STEPS)
    schedule(trainer, **PLANS)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert used(seen) == planned()[3:]


# Feedback.


WARMED = cd.Warmup(3) >> cd.Hold()
PLATEAU = cd.Plateau(factor=0.5, patience=1)
EVALUATED = {
    "eval_strategy": "steps",
    "eval_steps": 1,
    "metric_for_best_model": "score",
    "greater_is_better": False,
}


def factors():
    """What the plateau makes of the metrics, without any scheduler."""
    state, found = PLATEAU.start(), []
    for metric in METRICS:
        state, factor = PLATEAU.update(state, metric)
        found.append(factor)
    return found


def with_feedback():
    """The rates of the head by update: the plan times all factors decided on before."""
    product, rates = 1.0, []
    for step, factor in enumerate(factors()):
        rates.append(WARMED.resolve(UPDATES)(step, 0.02 * product))
        product *= factor
    return rates


@pytest.mark.parametrize("metric", [None, "eval_score"], ids=["best model's", "by name"])
def test_feedback_hears_of_the_metric(metric, tmp_path, caplog):
    """Of the one for the best model or of a named one; its decisions are logged beside it."""
    caplog.set_level(logging.INFO, logger="cadence")
    options = dict(EVALUATED)
    if metric:
        del options["metric_for_best_model"]
    trainer, seen = trainer_for(tmp_path, **STEPS, **options)
    scheduler = schedule(trainer, lr=WARMED, feedback=PLATEAU, metric=metric)
    trainer.train()
    assert [row["lr/head"] for row in used(seen)] == pytest.approx(with_feedback(), abs=1e-15)
    assert len(scheduler.decisions) == sum(factor < 1 for factor in factors()) > 1
    assert [decision.metric for decision in scheduler.decisions] == [
        metric for metric, factor in zip(METRICS, factors(), strict=True) if factor < 1
    ]
    rows = [row for row in trainer.state.log_history if "eval_score" in row]
    assert [row.get("feedback/factor", 1.0) for row in rows] == factors()
    assert [row["feedback/reason"] for row in rows if "feedback/factor" in row] == [
        decision.reason for decision in scheduler.decisions
    ]
    assert "rates x 0.5" in caplog.text
    json.dumps(trainer.state.log_history)


@pytest.mark.parametrize("step", [3, 4, 6])
def test_feedback_resumes_where_it_was(step, tmp_path):
    """The checkpoint has the metric that was heard before it: decisions and rates are the same."""
    options = STEPS | EVALUATED | SAVED | {"save_steps": step}
    for resume in (None, str(tmp_path / f"checkpoint-{step}")):
        trainer, seen = trainer_for(tmp_path, **options)
        scheduler = schedule(trainer, lr=WARMED, feedback=PLATEAU)
        trainer.train(resume_from_checkpoint=resume)
        rates = [row["lr/head"] for row in used(seen)]
        assert rates == pytest.approx(with_feedback()[step if resume else 0 :], abs=1e-15)
        assert len(scheduler.decisions) == sum(factor < 1 for factor in factors())


def test_feedback_hears_of_a_training_metric(tmp_path):
    """By its name in the logs: here each loss, of which all but the first are no better."""
    never = cd.Plateau(patience=0, factor=0.5, threshold_mode="abs", threshold=100)
    trainer, seen = trainer_for(tmp_path, **STEPS)
    schedule(trainer, lr=cd.Constant(1), feedback=never, metric="loss")
    trainer.train()
    assert [row["lr/head"] for row in used(seen)] == pytest.approx(
        [0.02, *(0.02 * 0.5**k for k in range(UPDATES - 1))]
    )


def test_feedback_hears_only_of_what_was_trained_for(tmp_path):
    """Not of an evaluation before the first update, nor of one outside the training."""
    trainer, _ = trainer_for(tmp_path, **STEPS, **EVALUATED | {"eval_steps": 3}, eval_on_start=True)
    scheduler = schedule(trainer, lr=WARMED, feedback=cd.Plateau(ema=0.5))
    trainer.train()
    trainer.evaluate()
    evaluated = 3  # after the updates 3, 6 and 8
    assert scheduler.state_dict()["feedback"]["state"]["count"] == evaluated


def test_feedback_hears_of_one_among_several_data_sets(tmp_path):
    """Each is evaluated by itself, and the metric is in the logs of one of them."""
    trainer, _ = trainer_for(tmp_path, **STEPS, **EVALUATED | {"metric_for_best_model": "b_score"})
    trainer.eval_dataset = {"a": Rows(4), "b": Rows(4)}
    scheduler = schedule(trainer, lr=WARMED, feedback=PLATEAU)
    trainer.train()
    assert len(scheduler.decisions) == sum(factor < 1 for factor in factors())


@pytest.mark.parametrize(("metric", "found"), [("eval_scores", "eval_score"), ("los", "loss")])
def test_a_metric_that_is_not_there_is_told(metric, found, tmp_path):
    """As soon as the first logs show it, and with the name that may have been meant."""
    trainer, seen = trainer_for(tmp_path, **STEPS, eval_strategy="steps", eval_steps=1)
    schedule(trainer, lr=WARMED, feedback=PLATEAU, metric=metric)
    with pytest.raises(ArgumentError, match=f"'{metric}'.*did you mean '{found}'"):
        trainer.train()
    assert len(seen) == 1


def rank_of_two(rank, folder):
    """One of two processes that share each update; it writes what it saw to a file."""
    join(rank, folder)
    saw = []
    for resume in (None, str(folder / "checkpoint-3")):
        options = EVALUATED | SAVED | {"ddp_backend": "gloo", "num_train_epochs": 3}
        trainer, seen = trainer_for(folder, **options)
        scheduler = schedule(trainer, lr=WARMED, feedback=PLATEAU)
        trainer.train(resume_from_checkpoint=resume)
        assert scheduler.horizon.total_steps == trainer.state.max_steps
        saw.append([row["lr/head"] for row in used(seen)])
    (folder / f"rank{rank}.json").write_text(json.dumps(saw))
    torch.distributed.destroy_process_group()


def test_two_processes_have_one_schedule(tmp_path):
    """Half the batches each: the length is in updates of both, and both hear the same."""
    torch.multiprocessing.spawn(rank_of_two, (tmp_path,), nprocs=2)
    for rank in (0, 1):
        whole, rest = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert whole == pytest.approx(with_feedback()[:6], abs=1e-15)  # two updates an epoch
        assert rest == whole[3:]


# What else a Trainer does.


class Reporter:
    """What a reporter among the callbacks sees."""

    def __init__(self):
        self.rows = []

    def __getattr__(self, event):
        if event.startswith("on_"):
            return lambda *_, logs=None, **__: self.rows.append(dict(logs)) if logs else None
        raise AttributeError(event)


def test_reporters_see_what_is_logged(tmp_path):
    """Also those that were there before the schedule."""
    trainer, _ = trainer_for(tmp_path, **STEPS)
    reporter = Reporter()
    trainer.add_callback(reporter)
    schedule(trainer, **PLANS)
    trainer.train()
    rows = [row for row in reporter.rows if "loss" in row]
    assert [row["lr/head"] for row in rows] == [row["lr/head"] for row in planned()]


def test_nothing_is_logged_that_is_not_wanted(tmp_path):
    """`log=False` leaves the logs as they are."""
    trainer, _ = trainer_for(tmp_path, **STEPS)
    schedule(trainer, log=False, **PLANS)
    trainer.train()
    assert logged(trainer) == [{}] * UPDATES


@pytest.mark.parametrize("own", [True, False], ids=["own optimizer", "the Trainer's"])
def test_arguments_for_a_trainer(own, tmp_path):
    """`Trainer(**trainer_kwargs(...))` trains under the plan, and resumes."""
    for resume in (None, str(tmp_path / "checkpoint-3")):
        trainer, seen = trainer_for(
            tmp_path,
            kwargs=lambda optimizer: trainer_kwargs(optimizer if own else None, lr=PLANS["lr"]),
            learning_rate=0.5,
            **EPOCHS,
            **SAVED,
        )
        trainer.train(resume_from_checkpoint=resume)
        bases = BASES if own else {"group0": {"lr": 0.5}, "group1": {"lr": 0.5}}
        expected = planned(plans={"lr": PLANS["lr"]}, bases=bases)
        assert logged(trainer) == expected
        assert len(seen) == (0 if not own else UPDATES - (3 if resume else 0))
        assert trainer.lr_scheduler.last_epoch == UPDATES


def test_a_scheduler_of_ones_own_is_served_too(tmp_path):
    """The callback logs for a `Scheduler` in `optimizers=`, and says if its length is another."""
    for total in (UPDATES, UPDATES + 1):

        def kwargs(optimizer, total=total):
            scheduler = cd.Scheduler(optimizer, total_steps=total, **PLANS)
            return {"optimizers": (optimizer, scheduler), "callbacks": [ScheduleCallback()]}

        trainer, seen = trainer_for(tmp_path, kwargs=kwargs, **STEPS)
        if total != UPDATES:
            with pytest.warns(PaceWarning, match="for 9 updates, and the training makes 8"):
                trainer.train()
        else:
            trainer.train()
            assert used(seen) == planned() == logged(trainer)


@pytest.mark.parametrize("again", ["the same length", "another length"])
def test_to_train_again_is_to_begin_again(again, tmp_path):
    """A second `train()` has the whole plan once more, from the bases that there were."""
    trainer, seen = trainer_for(tmp_path, **STEPS, **EVALUATED)
    schedule(trainer, lr=WARMED, feedback=PLATEAU)
    trainer.train()
    if again == "another length":
        trainer.args.max_steps = 6
    trainer.train()
    rates = [row["lr/head"] for row in used(seen)]
    length = trainer.args.max_steps
    assert rates == pytest.approx([*with_feedback(), *with_feedback()[:length]], abs=1e-15)


def test_a_smaller_batch_makes_a_longer_run(tmp_path):
    """`auto_find_batch_size` halves the batches, and begins again with more updates."""
    from transformers import Trainer

    class Small(Trainer):
        def training_step(self, model, inputs, *arguments):
            if self.state.global_step == 2 and len(inputs["x"]) > 1:
                raise RuntimeError("CUDA out of memory.")
            return super().training_step(model, inputs, *arguments)

    trainer, seen = trainer_for(tmp_path, kind=Small, auto_find_batch_size=True, **EPOCHS)
    scheduler = schedule(trainer, **PLANS)
    trainer.train()
    assert scheduler.horizon.total_steps == trainer.state.max_steps == 14
    assert used(seen) == planned()[:2] + planned(14)


def test_a_model_that_is_made_anew(tmp_path):
    """A Trainer with `model_init` makes model and optimizer at each `train()`."""
    from transformers import Trainer

    trainer = Trainer(
        model_init=Net, args=arguments(tmp_path, **STEPS, learning_rate=0.5), train_dataset=Rows(14)
    )
    schedule(trainer, lr=PLANS["lr"])
    bases = {"group0": {"lr": 0.5}, "group1": {"lr": 0.5}}
    for _ in range(2):
        trainer.train()
        assert logged(trainer) == planned(plans={"lr": PLANS["lr"]}, bases=bases)


def test_a_run_of_a_given_time_is_stopped(tmp_path, monkeypatch):
    """When its time is over; the plan has come down by then."""
    seconds = iter(range(10**6))
    monkeypatch.setattr(walltime, "TIMER", lambda: float(next(seconds)))
    trainer, seen = trainer_for(tmp_path, max_steps=1000)
    scheduler = schedule(
        trainer, lr=cd.Hold() >> cd.Linear("50%"), horizon=cd.Horizon(wall_time=20)
    )
    trainer.train()
    assert trainer.state.global_step == len(seen) < 30
    assert scheduler.get_last_lr() == [0.0, 0.0]


def test_another_plan_than_the_checkpoints_is_refused(tmp_path):
    """With both of them, before anything is trained; `on_mismatch` takes one of them."""
    trainer, _ = trainer_for(tmp_path, **STEPS, **SAVED)
    schedule(trainer, **PLANS)
    trainer.train()
    checkpoint = str(tmp_path / "checkpoint-3")
    trainer, seen = trainer_for(tmp_path, max_steps=UPDATES + 2)
    schedule(trainer, **PLANS)
    with pytest.raises(MismatchError, match="total_steps: checkpoint 8, constructor 10"):
        trainer.train(resume_from_checkpoint=checkpoint)
    assert not seen
    trainer, seen = trainer_for(tmp_path, max_steps=UPDATES + 2)
    schedule(trainer, on_mismatch="constructor", **PLANS)
    trainer.train(resume_from_checkpoint=checkpoint)
    assert used(seen) == planned(UPDATES + 2)[3:]


def test_a_second_scheduler_is_refused(tmp_path):
    """One that the Trainer has, at once; and a plan that is none, too."""
    trainer, _ = trainer_for(
        tmp_path,
        kwargs=lambda optimizer: {
            "optimizers": (optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1))
        },
        **STEPS,
    )
    with pytest.raises(ArgumentError, match=r"no other scheduler \(it has StepLR"):
        schedule(trainer, **PLANS)
    trainer, _ = trainer_for(tmp_path, **STEPS)
    with pytest.raises(ParseError):
        schedule(trainer, lr="Cosinus(3)")
    with pytest.raises(ArgumentError, match="at least one plan"):
        schedule(trainer)
    with pytest.raises(ArgumentError, match="'clock' must be 'update'"):
        schedule(trainer, lr=cd.Linear(), clock="epoch")


def test_the_last_word_is_heard(tmp_path):
    """A Trainer that is given a schedule twice trains under the second, and logs once."""
    trainer, seen = trainer_for(tmp_path, **STEPS)
    schedule(trainer, lr=cd.Constant(0.5))
    schedule(trainer, **PLANS)
    trainer.train()
    assert used(seen) == planned() == logged(trainer)
