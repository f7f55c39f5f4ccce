"""Schedules on the engines of Ignite: real runs, killed and resumed ones among them."""

import multiprocessing
import os
import signal

import pytest
import torch
from small import PLANS, UPDATES, Net, batches, named, planned, record, used

import cadence as cd
from cadence import walltime
from cadence.errors import ArgumentError, PaceWarning
from cadence.integrations.ignite import ScheduleHandler

pytestmark = [
    pytest.mark.peers,
    # It imports all of torch.distributed.optim, which compiles with what torch has deprecated.
    pytest.mark.filterwarnings(r"ignore:`torch\.jit\.\w+` is deprecated:DeprecationWarning"),
]

METRICS = [1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0]


class Run:
    """An engine with a schedule, saved in its middle; what its optimizer is told, and its log."""

    def __init__(self, folder=None, *, accumulate=1, metric=None, every=4, **options):
        from ignite.engine import Engine, Events
        from ignite.handlers import Checkpoint, DiskSaver

        self.model = Net()
        self.optimizer = named(self.model)
        self.seen, self.logged = record(self.optimizer), []

        def update(engine, batch):
            self.model(*batch)["loss"].backward()
            if engine.state.iteration % accumulate == 0:
                self.optimizer.step()
                self.optimizer.zero_grad()

        self.engine, self.evaluator = Engine(update), Engine(lambda *_: None)
        self.handler = ScheduleHandler(
            self.optimizer, metric=metric, accumulate=accumulate, **options
        ).attach(self.engine, self.evaluator)
        self.engine.add_event_handler(
            Events.ITERATION_COMPLETED(every=accumulate),
            lambda engine: self.logged.append(dict(engine.state.metrics)),
        )
        if metric:

            @self.evaluator.on(Events.EPOCH_COMPLETED)
            def score():
                index = self.engine.state.iteration - 1
                self.evaluator.state.metrics["score"] = METRICS[index]

            self.engine.add_event_handler(
                Events.ITERATION_COMPLETED, lambda: self.evaluator.run([0])
            )
        self.objects = {
            "model": self.model,
            "optimizer": self.optimizer,
            "engine": self.engine,
            "schedule": self.handler,
        }
        if folder is not None:
            keep = Checkpoint(self.objects, DiskSaver(folder, require_empty=False), n_saved=None)
            self.engine.add_event_handler(Events.ITERATION_COMPLETED(every=every), keep)

    def load(self, folder, iteration):
        from ignite.handlers import Checkpoint

        path = folder / f"checkpoint_{iteration}.pt"
        Checkpoint.load_objects(self.objects, torch.load(path, weights_only=True))
        return self

    def train(self, data=None, **options):
        self.engine.run(batches(4) if data is None else data, **({"max_epochs": 2} | options))
        return self


@pytest.mark.parametrize("options", [{}, {"max_epochs": None, "max_iters": UPDATES}])
def test_every_update_uses_and_logs_the_plan(options):
    """By epochs and by iterations, the length is the engine's."""
    run = Run(**PLANS).train(**options)
    assert used(run.seen) == planned() == run.logged
    assert run.handler.scheduler.horizon == cd.Horizon(UPDATES, steps_per_epoch=4)


def test_accumulated_batches_are_one_update():
    """The length is in updates, and an epoch of 4 batches has two."""
    run = Run(accumulate=2, lr="Warmup('1ep') >> Linear()").train(max_epochs=4)
    plans = {"lr": cd.Warmup(2) >> cd.Linear()}
    assert [row["lr/head"] for row in used(run.seen)] == [
        row["lr/head"] for row in planned(plans=plans)
    ]
    assert run.logged == planned(plans=plans)


def test_a_resumed_run_is_the_same_run(tmp_path):
    """From a checkpoint in a fresh engine: rates, log and weights, bit for bit."""
    whole = Run(tmp_path, **PLANS).train()
    rest = Run(**PLANS).load(tmp_path, 4).train()
    assert used(rest.seen) == rest.logged == planned()[4:]
    for left, right in zip(whole.model.parameters(), rest.model.parameters(), strict=True):
        assert torch.equal(left, right)


def train_and_be_killed(folder):
    """A process of its own, killed in the middle of an update."""
    run = Run(folder, **PLANS)

    def kill(*_):
        if run.engine.state.iteration == 6:
            os.kill(os.getpid(), signal.SIGKILL)

    run.optimizer.register_step_pre_hook(kill)
    run.train()


def test_a_killed_run_goes_on(tmp_path):
    """After SIGKILL, from the last checkpoint that it left."""
    process = multiprocessing.get_context("spawn").Process(
        target=train_and_be_killed, args=(tmp_path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert used(Run(**PLANS).load(tmp_path, 4).train().seen) == planned()[4:]


WARMED = cd.Warmup(3) >> cd.Hold()
PLATEAU = cd.Plateau(factor=0.5, patience=1)


def with_feedback():
    """The rates of the head by update: the plan times all factors decided on before."""
    state, product, rates, factors = PLATEAU.start(), 1.0, [], []
    for step, metric in enumerate(METRICS):
        rates.append(WARMED.resolve(UPDATES)(step, 0.02 * product))
        state, factor = PLATEAU.update(state, metric)
        product *= factor
        factors.append(factor)
    return rates, factors


@pytest.mark.parametrize("iteration", [3, 6])
def test_feedback_hears_of_the_metric(iteration, tmp_path):
    """From the evaluator, and from a checkpoint on it goes on where it was."""
    options = {"lr": WARMED, "feedback": PLATEAU, "metric": "score", "every": 3}
    whole = Run(tmp_path, **options)
    told = []
    from ignite.engine import Events

    whole.evaluator.add_event_handler(
        Events.COMPLETED, lambda engine: told.append(engine.state.metrics["feedback/factor"])
    )
    whole.train()
    rates, factors = with_feedback()
    assert [row["lr/head"] for row in used(whole.seen)] == pytest.approx(rates, abs=1e-15)
    assert told == factors
    rest = Run(**options).load(tmp_path, iteration).train()
    assert rest.seen == whole.seen[iteration:]
    assert len(rest.handler.scheduler.decisions) == sum(factor < 1 for factor in factors) > 1


def test_an_evaluation_before_the_training_is_not_heard():
    """There is no update that it could judge."""
    run = Run(lr=WARMED, feedback=cd.Plateau(ema=0.5), metric="score")
    run.evaluator.run([0])
    run.train()
    assert run.handler.state_dict()["feedback"]["state"]["count"] == UPDATES


def test_to_run_again_is_to_begin_again():
    """A second run has the whole plan once more, of its own length."""
    run = Run(**PLANS).train()
    run.engine.state.max_epochs = None
    run.train(max_epochs=3)
    assert used(run.seen) == planned() + planned(12)


def test_a_run_that_gets_longer_is_told():
    """The plan has ended, and holds; `extend` gives it more."""
    run = Run(**PLANS).train()
    with pytest.warns(PaceWarning, match="for 8 updates, and the training makes 12"):
        run.train(max_epochs=3)
    assert used(run.seen)[8] == used(run.seen)[-1]


def test_a_run_that_was_stopped_goes_on():
    """Terminated in an epoch, and run again with the next: the schedule is at its place."""
    run = Run(**PLANS)
    from ignite.engine import Events

    run.engine.add_event_handler(Events.ITERATION_COMPLETED(once=3), run.engine.terminate)
    run.train()
    assert run.engine.state.iteration == 3
    run.train()
    assert used(run.seen) == planned()[:7]


def test_a_run_of_a_given_time_is_terminated(monkeypatch):
    """When its time is over; evaluation takes none of it."""
    clock = [0.0]
    monkeypatch.setattr(walltime, "TIMER", lambda: clock[0])
    run = Run(lr=cd.Hold() >> cd.Linear("50%"), horizon=cd.Horizon(wall_time=20))
    run.model.register_forward_pre_hook(lambda *_: clock.__setitem__(0, clock[0] + 1))
    from ignite.engine import Events

    run.evaluator.add_event_handler(
        Events.EPOCH_STARTED, lambda: clock.__setitem__(0, clock[0] + 1000)
    )
    run.engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: run.evaluator.run([0]))
    run.train(max_epochs=100)
    assert run.engine.state.iteration == len(run.seen) == 20
    assert run.handler.scheduler.elapsed == 20


def test_bad_calls_are_refused():
    """At construction and when it is attached, or at the first metric that is not there."""
    optimizer = named(Net())
    with pytest.raises(ArgumentError, match="'metric' and 'feedback' must be given together"):
        ScheduleHandler(optimizer, lr=WARMED, metric="score")
    with pytest.raises(ArgumentError, match="'accumulate' must be >= 1"):
        ScheduleHandler(optimizer, lr=WARMED, accumulate=0)
    handler = ScheduleHandler(optimizer, lr=WARMED, metric="score", feedback=PLATEAU)
    with pytest.raises(ArgumentError, match="'evaluator' must be given"):
        handler.attach(Run(lr=WARMED).engine)
    with pytest.raises(ArgumentError, match="made when the training begins"):
        _ = handler.scheduler
    run = Run(lr=WARMED, metric="score", feedback=PLATEAU)
    run.handler.metric = "scores"
    with pytest.raises(ArgumentError, match="did you mean 'score'"):
        run.train()
