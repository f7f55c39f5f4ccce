"""Comparing plans: the runs, their folders, and what becomes of them when something goes wrong."""

import io
import json
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import cadence as cd
from cadence.compare import TrialRun
from cadence.compare._halving import goes_on
from cadence.compare._progress import Progress
from cadence.compare._store import Store
from cadence.errors import (
    ArgumentError,
    ArgumentTypeError,
    ComparisonError,
    MismatchError,
    UnresolvedError,
)

SOURCE = Path(cd.__file__).parents[1]
PLANS = {"constant": cd.Constant(1.0), "linear": "Linear()"}
STEPS = 6


def descend(run):
    """Descend a quadratic from a random start, with noise in the gradient."""
    weight = torch.nn.Parameter(torch.randn(3))
    optimizer = torch.optim.SGD([weight], lr=0.2)
    scheduler = run.scheduler(optimizer)
    for step in range(run.total_steps):
        loss = (weight**2).sum() + 0.1 * (torch.randn(3) * weight).sum()
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        run.log(step, loss=loss)
    return {"loss": (weight**2).sum()}


def compare(train, plans=PLANS, **options):
    """The comparison as the tests want it: small, quiet, in this process."""
    options = {"seeds": 2, "total_steps": STEPS, "engine": "inline", "tensorboard": False} | options
    return cd.compare(train, plans, progress=options.pop("progress", False), **options)


def table(comparison):
    """The table in a form that compares bit for bit, NaN included."""
    return json.dumps(comparison.table())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    result = compare(descend, folder=tmp_path_factory.mktemp("undisturbed"))
    assert [trial.error for trial in result.trials] == [""] * 4
    return result


# What a comparison gives.


def test_all_plans_are_trained_with_the_same_seeds(undisturbed):
    """There is one trial for each plan and seed, and trials of one seed begin alike."""
    assert [(t.plan, t.seed, t.status) for t in undisturbed.trials] == [
        (plan, seed, "finished") for plan in PLANS for seed in (0, 1)
    ]
    first = {(t.plan, t.seed): t.metrics["loss"][0] for t in undisturbed.trials}
    assert first["constant", 0] == first["linear", 0] != first["constant", 1]


def test_a_trial_holds_what_was_logged_and_what_was_used(undisturbed):
    """Metrics and rates are aligned with the steps; the score is what the function returned."""
    trial = undisturbed.trials[2]
    assert trial.steps.tolist() == list(range(STEPS))
    assert trial.values["lr/group0"].tolist() == pytest.approx(
        [0.2 * (1 - step / STEPS) for step in range(STEPS)]
    )
    assert set(trial.metrics) == {"loss"}
    assert len(trial.metrics["loss"]) == STEPS
    assert trial.text == "Linear()"
    assert trial.score < trial.metrics["loss"][0]


def test_a_run_is_read_back_from_its_folder(undisturbed):
    """`read_run` reads a run's folder, and its files tell what it was."""
    for trial in undisturbed.trials:
        run = cd.read_run(trial.folder)
        assert run.loss.tolist() == trial.metrics["loss"].tolist()
        config = json.loads((trial.folder / "config.json").read_text())
        assert (config["text"], config["seed"]) == (trial.text, trial.seed)
        assert config["torch"] == torch.__version__


def test_the_generators_of_this_process_are_left_alone(tmp_path):
    """Runs in this process seed torch, NumPy and Python, and put everything back."""
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    expected = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    compare(descend, folder=tmp_path, seeds=1)
    assert (torch.rand(1), np.random.rand()) == expected  # noqa: NPY002


def test_a_run_may_go_to_another_folder(tmp_path, monkeypatch):
    """What it writes lies where it should, and the next run begins where the first did."""
    monkeypatch.chdir(tmp_path)

    def train(run):
        assert Path.cwd() == tmp_path
        os.chdir(run.folder)
        run.log(0, loss=1.0)

    result = compare(train, folder="f")
    assert [trial.status for trial in result.trials] == ["finished"] * 4
    assert len(list(tmp_path.glob("f/runs/*/seed-*/result.json"))) == 4
    assert Path.cwd() == tmp_path


def test_the_table_and_the_text_tell_each_trial(undisturbed):
    """The text has a line for each trial, and repr is short."""
    assert len(str(undisturbed).splitlines()) == 2 + len(undisturbed.trials)
    assert repr(undisturbed) == "Comparison('constant, linear', 2 plans, 4 trials)"


def test_names_with_brackets_are_shown_as_they_are(tmp_path):
    """The table on a terminal takes no part of a name for markup."""
    name = "wsd [long] [/x]"
    course = SimpleNamespace(names=[name], done={}, total=2, store=None)
    told = Progress(course, "loss [val]", "min", None, shown=False)
    console = Console(width=100, file=io.StringIO())
    console.print(told._table())
    shown = console.file.getvalue()
    assert name in shown
    assert "best loss [val]" in shown


def test_the_module_is_the_function():
    """`cadence.compare` can be called, however it was imported."""
    for code in (
        "import cadence as cd; cd.compare",
        "import cadence.compare as m; import cadence as cd; assert m is cd.compare",
        "from cadence.compare import Trial; import cadence as cd",
        "from cadence import compare; import cadence as cd; assert compare is cd.compare",
    ):
        check = f"{code}; assert callable(cd.compare) and cd.compare is cd.compare"
        subprocess.run([sys.executable, "-W", "error", "-c", check], check=True)


def test_a_plan_may_be_compared_with_itself(tmp_path):
    """Two equal plans of a list get names of their own, and equal scores."""
    result = compare(descend, ["Linear()", "Linear()"], folder=tmp_path)
    assert list(result.plans) == ["Linear()", "Linear() (2)"]
    first, second = ([t.score for t in result.trials if t.plan == name] for name in result.plans)
    assert first == second


# Peaks.


def test_each_plan_gets_its_own_peak_on_seeds_of_its_own(tmp_path):
    """The peak with the best mean is used; it was not chosen on the seeds of the verdict."""
    result = compare(descend, peaks=[0.4, 0.01, 0.1], folder=tmp_path)
    chosen = result.peaks()
    for name in PLANS:
        tried = [t for t in result.trials if t.plan == name and t.role == "peak"]
        final = [t for t in result.trials if t.plan == name and t.role == "verdict"]
        assert len(tried) == 6
        assert {t.seed for t in tried}.isdisjoint(t.seed for t in final)
        means = {p: np.mean([t.score for t in tried if t.peak == p]) for p in (0.01, 0.1, 0.4)}
        best = min(means, key=means.__getitem__)
        assert chosen[name].peak == best
        assert {t.peak for t in final} == {best}
        assert chosen[name].edge == {0.01: "low", 0.1: None, 0.4: "high"}[best]
        assert max(final[0].values["lr/group0"]) == best
    assert "the highest: try higher" in str(result)


def test_one_peak_is_not_chosen(tmp_path):
    """Nothing is trained to choose from one peak: it is that of all plans."""
    result = compare(descend, peaks=[0.1], folder=tmp_path)
    assert [(t.role, t.peak, t.seed) for t in result.trials] == [
        ("verdict", 0.1, seed) for _ in PLANS for seed in (0, 1)
    ]
    assert result.peaks() == {}


def test_a_peak_scales_all_groups(tmp_path):
    """The highest rate becomes the peak; the ratios of the groups stay."""
    rates = []

    def train(run):
        a, b = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD(
            [{"params": [a], "lr": torch.tensor(0.5)}, {"params": [b], "lr": 0.1}], lr=0.1
        )
        run.scheduler(optimizer)
        rates.append([float(group["lr"]) for group in optimizer.param_groups])
        run.log(0, loss=1.0)

    compare(train, {"constant": "Constant(1)"}, peaks=[2.0], seeds=1, folder=tmp_path)
    assert rates == [pytest.approx([2.0, 0.4])]


# Runs that end badly.


def failing(run):
    """Crash with one plan, diverge with another."""
    if run.name == "bad":
        raise ZeroDivisionError("of this plan")
    for step in range(run.total_steps):
        loss = math.nan if run.name == "wild" and step == 3 else 1.0 / (1 + step + run.seed)
        run.log(step, loss=loss)
        if run.should_stop:
            break


def test_runs_that_crash_or_diverge_are_told(tmp_path):
    """A crash has its traceback, a run that diverged the worst score; neither is dropped."""
    plans = {"good": "Linear()", "bad": "Linear()", "wild": "Linear()"}
    result = compare(failing, plans, folder=tmp_path)
    kinds = {name: {t.status for t in result.trials if t.plan == name} for name in plans}
    assert kinds == {"good": {"finished"}, "bad": {"crashed"}, "wild": {"diverged"}}
    crashed, wild = result.trials[2], result.trials[4]
    assert crashed.error.endswith("ZeroDivisionError: of this plan\n")
    assert 'raise ZeroDivisionError("of this plan")' in crashed.error
    assert math.isnan(crashed.score)
    assert wild.score == math.inf
    assert wild.error == "loss was nan at step 3"
    assert wild.steps.tolist() == [0, 1, 2, 3]
    assert math.isnan(wild.metrics["loss"][3])


def test_a_run_that_exits_is_one_crash(tmp_path):
    """`sys.exit()` in the function ends its run, and neither the others nor the caller."""

    def train(run):
        if run.seed == 1:
            sys.exit("no such data")
        return 1.0

    result = compare(train, {"a": "Linear()"}, folder=tmp_path)
    assert [trial.status for trial in result.trials] == ["finished", "crashed"]
    assert result.trials[1].error.endswith("SystemExit: no such data\n")


def test_what_is_more_than_all_has_the_other_sign(tmp_path):
    """Where more is better, a run that diverged has the score -inf."""
    result = compare(failing, {"wild": "Linear()"}, mode="max", folder=tmp_path)
    assert {trial.score for trial in result.trials} == {-math.inf}


def test_runs_that_crashed_are_tried_again(tmp_path):
    """With `retries`, and when the comparison goes on; what was wrong before is kept."""
    marker = tmp_path / "tried"

    def train(run):
        with marker.open("a") as file:
            file.write(".")
        if run.seed == 1 and len(marker.read_text()) < 4:
            raise OSError("a machine that is ill")
        run.log(0, loss=1.0)

    first = compare(train, {"a": "Linear()"}, folder=tmp_path / "f")
    assert [t.status for t in first.trials] == ["finished", "crashed"]
    second = compare(train, {"a": "Linear()"}, folder=tmp_path / "f", retries=1)
    assert [t.status for t in second.trials] == ["finished", "finished"]
    assert marker.read_text() == "...."
    assert len(list(second.trials[1].folder.glob("crash-*.json"))) == 2


def test_a_function_that_does_not_work_ends_the_comparison(tmp_path):
    """Where the first runs crash alike, the rest are not tried, and the error is shown."""
    calls = []

    def train(run):
        calls.append(run)
        return run.oops

    with pytest.raises(ComparisonError, match=r"each of 3 runs.*(?s:.)*no attribute 'oops'"):
        compare(train, seeds=9, folder=tmp_path)
    assert len(calls) == 3


def test_a_function_must_name_its_metric(tmp_path):
    """Where the judged metric was neither logged nor returned, the error says what to type."""
    with pytest.raises(ComparisonError, match=r"write run.log\(step, val_loss=...\)"):
        compare(descend, metric="val_loss", folder=tmp_path)


def test_a_function_that_asks_for_the_length_must_be_given_one(tmp_path):
    """Where the comparison has no length, the error says what to type."""
    with pytest.raises(ComparisonError, match=r"write compare\(..., total_steps=1_000\)"):
        compare(descend, {"a": "Constant(1)"}, total_steps=None, folder=tmp_path, seeds=3)


# Going on.


def test_what_is_finished_is_not_done_again(tmp_path):
    """The same call reads the runs that have ended, and does those that have not."""
    calls = tmp_path / "calls"

    def train(run):
        with calls.open("a") as file:
            file.write(f"{run.seed}")
        return descend(run)

    first = compare(train, {"a": "Linear()"}, folder=tmp_path / "f", seeds=3)
    (first.trials[1].folder / "result.json").unlink()
    second = compare(train, {"a": "Linear()"}, folder=tmp_path / "f", seeds=3)
    assert table(first) == table(second)
    assert calls.read_text() == "0121"


def test_other_settings_are_refused_with_the_difference(tmp_path):
    """A folder of another comparison is refused, or its runs are used where they fit."""
    first = compare(descend, folder=tmp_path)
    for change, told in (
        ({"seeds": 3}, r"seeds was \[0, 1\], is \[0, 1, 2\]"),
        ({"plans": PLANS | {"linear": "Cosine()"}}, "plan 'linear' was 'Linear..', is 'Cosine..'"),
        ({"total_steps": 7}, "total_steps was 6, is 7"),
        ({"train": failing}, "train 'name' was 'descend', is 'failing'"),
    ):
        arguments = {"train": descend, "plans": PLANS, "folder": tmp_path} | change
        with pytest.raises(MismatchError, match=told):
            compare(**arguments)
    before = {t.folder: (t.folder / "result.json").stat().st_mtime_ns for t in first.trials}
    more = compare(descend, seeds=3, folder=tmp_path, on_mismatch="reuse")
    assert len(more.trials) == 6
    assert (
        before.items()
        <= {t.folder: (t.folder / "result.json").stat().st_mtime_ns for t in more.trials}.items()
    )


def test_a_function_with_other_values_is_another(tmp_path):
    """Plain values that `partial` gives are what the runs depend on."""

    def train(run, width):
        return width + run.seed

    for _ in range(2):
        compare(partial(train, width=64), folder=tmp_path)
    with pytest.raises(MismatchError, match=r"train 'given' was \{'width': 64\}"):
        compare(partial(train, width=128), folder=tmp_path)
    again = compare(partial(train, width=128), folder=tmp_path, on_mismatch="reuse")
    assert again.trials[0].score == 128


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    """A run that saves is resumed by `load`, generators included, and gives the same numbers."""
    interrupt = tmp_path / "interrupt"
    interrupt.touch()
    done = []

    def train(run):
        weight = torch.nn.Parameter(torch.randn(3))
        optimizer = torch.optim.SGD([weight], lr=0.2, momentum=0.9)
        scheduler = run.scheduler(optimizer)
        held = torch.nn.ParameterList([weight])
        parts = {"model": held, "optimizer": optimizer, "scheduler": scheduler}
        for step in range(run.load(**parts), run.total_steps):
            done.append(step)
            loss = (weight**2).sum() + (torch.randn(3) * weight).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            run.log(step, loss=loss)
            if step == 2:
                run.save(step + 1, **parts)
            if step == 4 and interrupt.exists():
                interrupt.unlink()
                raise KeyboardInterrupt

    plans = {"linear": "Linear()"}
    with pytest.raises(KeyboardInterrupt):
        compare(train, plans, seeds=1, folder=tmp_path / "a")
    resumed = compare(train, plans, seeds=1, folder=tmp_path / "a")
    assert done == [0, 1, 2, 3, 4, 3, 4, 5]
    whole = compare(train, plans, seeds=1, folder=tmp_path / "b")
    assert table(resumed) == table(whole)
    for kind in ("metrics", "values"):
        for name, row in getattr(whole.trials[0], kind).items():
            assert getattr(resumed.trials[0], kind)[name].tolist() == row.tolist()


def test_one_process_at_a_time_works_in_a_folder(tmp_path):
    """A second one is refused; beside each other, in folders of one parent, both work."""
    with Store(tmp_path / "a"):
        with pytest.raises(ComparisonError, match="another process is at work in"):
            compare(descend, folder=tmp_path / "a")
        compare(descend, folder=tmp_path / "b")
    compare(descend, folder=tmp_path / "a")


def test_without_a_folder_each_comparison_gets_one(tmp_path, monkeypatch):
    """The folder is new, below the current one."""
    monkeypatch.chdir(tmp_path)
    first, second = (compare(descend, seeds=1) for _ in range(2))
    assert first.folder != second.folder
    assert first.folder.parent == second.folder.parent == Path("comparisons")


# Successive halving.


def test_halving_stops_those_that_fall_behind(tmp_path):
    """At a rung a run goes on if it is among the best third; who is stopped is told so."""

    def train(run):
        level = {"a": 1.0, "b": 3.0, "c": 0.5, "d": 2.0}[run.name]
        for step in range(run.total_steps):
            run.log(step, loss=level)
            if run.should_stop:
                break

    plans = dict.fromkeys("abcd", "Linear()")
    result = compare(train, plans, seeds=1, total_steps=9, scheduler="asha", folder=tmp_path)
    # One after the other, a and c are the best when they come; b and d are not.
    assert [t.status for t in result.trials] == ["finished", "stopped", "finished", "stopped"]
    assert [t.steps[-1] for t in result.trials] == [8, 1, 8, 1]
    again = compare(train, plans, seeds=1, total_steps=9, scheduler="asha", folder=tmp_path)
    assert table(again) == table(result)


VALUES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=12)


@given(VALUES, st.sampled_from(["min", "max"]))
def test_halving_decides_as_a_study_of_optuna_does(values, mode):
    """One rung after the other, beside a study that lasts; begun again, a run is decided alike."""
    study = optuna.create_study(
        direction={"min": "minimize", "max": "maximize"}[mode],
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=5, reduction_factor=3),
    )
    with TemporaryDirectory() as folder:
        for run, value in enumerate(values):
            trial = study.ask()
            for rung, step in enumerate((5, 15)):
                trial.report(value, step)
                stops = trial.should_prune()
                for _ in range(2):
                    place = Path(folder, str(rung))
                    assert goes_on(place, str(run), value, mode) is not stops
                if stops:
                    break


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_run_that_is_not_finite_does_not_go_on(tmp_path, value, mode):
    """It stands in nobody's way either."""
    assert not goes_on(tmp_path, "run", value, mode)
    assert goes_on(tmp_path, "other", 1.0, mode)


# Arguments.


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train": 3}, ArgumentTypeError, "'train' must be a function"),
        ({"plans": "Linear()"}, ArgumentTypeError, "'plans' must be a dict or a list"),
        ({"plans": [3]}, ArgumentTypeError, "each of 'plans' must be a plan or its text"),
        ({"plans": []}, ArgumentError, "at least one plan"),
        ({"seeds": 0}, ArgumentError, "'seeds' must be >= 1"),
        ({"seeds": [1, 1]}, ArgumentError, "different seeds"),
        ({"peaks": [0.1, 0.1]}, ArgumentError, "different rates"),
        ({"peaks": [0.0]}, ArgumentError, "'peaks' must be > 0"),
        ({"peaks": 0.1}, ArgumentTypeError, "'peaks' must be a list of rates"),
        ({"peaks": [0.1], "peak_seeds": [1]}, ArgumentError, "must not be in 'seeds'"),
        ({"mode": "best"}, ArgumentError, "'mode' must be one of"),
        ({"engine": "rays"}, ArgumentError, "did you mean 'ray'"),
        ({"total_steps": 0}, ArgumentError, "'total_steps' must be >= 1"),
        ({"plans": ["Warmup(9) >> Linear()"]}, ArgumentError, "9 steps of 6"),
        ({"plans": ["Linear('3ep')"]}, UnresolvedError, "ep"),
        ({"timeout": 1}, ArgumentError, "not engine='inline'"),
        ({"scheduler": "asha", "total_steps": None}, ArgumentError, "'total_steps' must be given"),
        ({"workers": 0, "engine": "processes"}, ArgumentError, "'workers' must be >= 1"),
        ({"threads": 1.5, "engine": "processes"}, ArgumentError, "'threads' must be a whole"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(change, error, message, tmp_path):
    """Nothing is trained where an argument cannot be meant."""

    def train(run):
        pytest.fail("it ran")

    arguments = {"train": train, "plans": PLANS, "folder": tmp_path / "f"} | change
    with pytest.raises(error, match=message):
        compare(**arguments)


def test_a_run_refuses_what_it_cannot_mean(tmp_path):
    """The messages name the method and what to type."""

    def train(run):
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for call, message in (
            (lambda: run.scheduler(optimizer, lr="Linear()"), "'lr' must be left out"),
            (lambda: run.log(-1, loss=1.0), "'step' must be >= 0"),
            (lambda: run.log(0, loss="low"), "'loss' must be a number"),
            (lambda: run.log(0, loss=torch.zeros(2)), "'loss' must be a number"),
        ):
            with pytest.raises(ArgumentError, match=message):
                call()
        assert isinstance(run, TrialRun)
        return 1.0

    result = compare(train, folder=tmp_path)
    assert {t.status for t in result.trials} == {"finished"}, result.trials[0].error


def test_what_cannot_be_sent_is_told(tmp_path):
    """A function that holds a lock cannot go to another process; the error says what to do."""
    import threading

    def train(run, lock=threading.Lock()):  # noqa: B008
        return 1.0

    with pytest.raises(ArgumentError, match="make what it uses inside the function"):
        compare(train, engine="processes", folder=tmp_path)
