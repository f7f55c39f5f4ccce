"""The search of a plan's parameters: what is tried, what counts, and that nothing is lost."""

import functools
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import cadence as cd
from cadence.errors import ArgumentError, ComparisonError, MismatchError, MissingLibraryError
from cadence.search import Found, Log, log, search

PEAK = {"peak": log(1e-4, 1e-1)}


def hill(run):
    """Best at a peak of 10**-2.5."""
    return (math.log10(run.peak) + 2.5) ** 2 + 0.001 * run.seed


def states(found):
    return [trial.state.name for trial in found.study.trials]


def test_it_finds_a_good_peak(tmp_path):
    """The best of the trials is found, as a plan's text and a peak that can be typed."""
    found = search(hill, PEAK, 14, plan="wsd()", folder=tmp_path)
    assert isinstance(found, Found)
    assert 1e-3 < found.peak < 1e-2
    assert found.peak == float(f"{found.peak:.3g}")
    assert (found.text, found.plan) == (repr(cd.wsd()), cd.wsd())
    assert found.value == pytest.approx((math.log10(found.peak) + 2.5) ** 2)
    assert found.value == min(trial.value for trial in found.study.trials)
    assert found.parameters == {"peak": found.peak}
    assert str(found).endswith("(best of 14 trials)")


def trial_plans(found):
    return [trial.user_attrs["plan"] for trial in found.study.trials]


@pytest.mark.parametrize(
    "plan",
    [
        "Warmup({warmup}%) >> Cosine(end={floor})",
        lambda warmup, floor: cd.Warmup(f"{warmup}%") >> cd.Cosine(end=floor),
        lambda **p: f"Warmup({p['warmup']}%) >> Cosine(end={p['floor']})",
    ],
    ids=["text", "schedule", "function of text"],
)
def test_ranges_become_plans(plan, tmp_path):
    """Whole numbers, numbers and choices are put into the plan, within their ranges."""
    seen = []

    def train(run):
        seen.append((run.plan, run.peak, run.total_steps, run.seed))
        return run.plan.resolve(100)(50)

    space = {"warmup": (1, 30), "floor": [0.0, 0.25]}
    found = search(train, space, 4, plan=plan, total_steps=100, folder=tmp_path, seeds=[3])
    assert [repr(plan) for plan, *_ in seen] == trial_plans(found)
    assert all(rest == (None, 100, 3) for _, *rest in map(list, seen) for rest in [tuple(rest)])
    assert found.peak is None
    assert found.parameters["floor"] in (0.0, 0.25)
    assert isinstance(found.parameters["warmup"], int)


def test_a_function_of_the_trial_may_do_anything(tmp_path):
    """Optuna's own way, for spaces whose parameters depend on each other."""

    def space(trial):
        shape = trial.suggest_categorical("shape", ["linear", "cosine"])
        ramp = cd.Linear() if shape == "linear" else cd.Cosine()
        return cd.Warmup(f"{trial.suggest_int('warmup', 1, 9)}%") >> ramp, 0.1

    found = search(lambda run: run.plan.resolve(100)(90), space, 6, folder=tmp_path)
    assert found.peak == 0.1
    assert set(found.parameters) == {"shape", "warmup"}
    assert "Cosine" in found.text


def test_it_goes_on_where_it_stopped(tmp_path):
    """The budget counts all trials; a call that finds enough of them trains nothing."""
    first = search(hill, PEAK, 3, plan="wsd()", folder=tmp_path)
    more = search(hill, PEAK, 5, plan="wsd()", folder=tmp_path)
    assert len(first.study.trials) == len(more.study.trials) == 5
    again = search(lambda _: 1 / 0, PEAK, 5, plan="wsd()", folder=tmp_path)
    assert (again.value, again.peak) == (more.value, more.peak)


def test_another_search_in_the_folder_is_refused(tmp_path):
    """Trials of different spaces, plans or seeds are not thrown together."""
    search(hill, PEAK, 1, plan="wsd()", folder=tmp_path)
    for change in ({"plan": "Constant(1)"}, {"seeds": 2}, {"mode": "max"}, {"total_steps": 9}):
        with pytest.raises(MismatchError, match=f"{next(iter(change))!r} is"):
            search(hill, PEAK, 2, **{"plan": "wsd()", "folder": tmp_path} | change)


def test_another_function_in_the_folder_is_refused(tmp_path):
    """Trials of two functions are not thrown together; a lambda's budget may grow."""
    search(hill, PEAK, 2, plan="wsd()", folder=tmp_path / "a")
    for other in (lambda run: run.peak, functools.partial(hill, extra=1)):
        with pytest.raises(MismatchError, match="'train' is"):
            search(other, PEAK, 3, plan="wsd()", folder=tmp_path / "a")
    search(lambda run: run.peak, PEAK, 2, plan="wsd()", folder=tmp_path / "b")
    more = search(lambda run: run.peak, PEAK, 3, plan="wsd()", folder=tmp_path / "b")
    assert len(more.study.trials) == 3


def test_a_database_holds_several_searches_by_their_names(tmp_path):
    """A machine's folder is told from one of the same name elsewhere by a word that is in it."""
    options = {"plan": "wsd()", "storage": f"sqlite:///{tmp_path / 'both.db'}"}
    one = search(hill, PEAK, 2, folder=tmp_path / "one", name="one", **options)
    other = search(hill, PEAK, 3, folder=tmp_path / "two", name="two", mode="max", **options)
    assert (len(one.study.trials), len(other.study.trials)) == (2, 3)
    with pytest.raises(MismatchError, match="give another folder, or another name"):
        search(hill, PEAK, 3, folder=tmp_path / "two", name="one", mode="max", **options)
    marks = {trial.user_attrs["folder"] for trial in (*one.study.trials, *other.study.trials)}
    assert len(marks) == 2


def test_a_database_that_cannot_be_used_is_told_without_its_password(tmp_path):
    with pytest.raises(
        ComparisonError, match=r"database postgresql://me:\*\*\*@127.0.0.1:1/db must"
    ):
        search(
            hill,
            PEAK,
            1,
            plan="wsd()",
            folder=tmp_path,
            storage="postgresql://me:secret@127.0.0.1:1/db",
        )
    with pytest.raises(MissingLibraryError, match="driver of oracle must be installed"):
        search(hill, PEAK, 1, plan="wsd()", folder=tmp_path, storage="oracle://me:secret@host/db")


def test_seeds_are_averaged_and_more_may_be_better(tmp_path):
    """Each trial is trained with every seed."""
    found = search(
        lambda run: -hill(run), PEAK, 3, plan="wsd()", seeds=4, mode="max", folder=tmp_path
    )
    expected = -((math.log10(found.peak) + 2.5) ** 2) - 0.001 * 1.5
    assert found.value == pytest.approx(expected)
    assert found.value == max(trial.value for trial in found.study.trials)


def test_what_diverges_is_the_worst_and_what_crashes_has_failed(tmp_path):
    """Both count; the error is kept, and the rest is searched on."""

    def train(run):
        if run.peak > 3e-2:
            return math.nan
        if run.peak < 3e-4:
            raise RuntimeError("too low")
        return hill(run)

    found = search(train, PEAK, 16, plan="wsd()", folder=tmp_path)
    by_state = {state: states(found).count(state) for state in ("COMPLETE", "FAIL")}
    assert by_state["FAIL"] > 0
    assert sum(by_state.values()) == 16
    assert any(trial.value == math.inf for trial in found.study.trials)
    failed = next(trial for trial in found.study.trials if trial.state.name == "FAIL")
    assert "RuntimeError: too low" in failed.user_attrs["error"]
    assert found.peak < 3e-2


def test_a_function_that_does_not_work_ends_the_search(tmp_path):
    """Three crashes at the beginning are enough to know."""
    with pytest.raises(ArgumentError, match=r"first 3 trials have all crashed.*ZeroDivisionError"):
        search(lambda _: 1 / 0, PEAK, 50, plan="wsd()", folder=tmp_path)
    with pytest.raises(ArgumentError, match="none has come to its end"):
        search(lambda _: math.nan, PEAK, 2, plan="wsd()", folder=tmp_path / "nan")


@pytest.mark.slow
def test_pruning_stops_what_falls_behind(tmp_path):
    """The runs that are stopped are marked as pruned, and have trained less."""
    lengths = []

    def train(run):
        for step in range(30):
            run.log(step, loss=hill(run) + 1 / (step + 1))
            if run.should_stop:
                break
        lengths.append(step)

    found = search(train, PEAK, 14, plan="wsd()", total_steps=30, pruning=True, folder=tmp_path)
    pruned = states(found).count("PRUNED")
    assert pruned > 0
    assert sum(length < 29 for length in lengths) == pruned


@pytest.mark.parametrize(
    ("space", "more", "message"),
    [
        ({}, {}, "'space' must be ranges by name"),
        ({"peak": (1, 1)}, {}, "'peak' must be > 1"),
        ({"peak": 3e-3}, {}, "range of 'peak' must be"),
        ({"peak": []}, {}, "must hold choices"),
        (PEAK, {"plan": None}, "'plan' must be given"),
        (PEAK, {"plan": "wsd({a}%)"}, r"must name the parameters \[\] in braces"),
        ({"a": (1, 5)}, {"plan": "wsd({b}%)"}, r"must name the parameters \['a'\] in braces"),
        ({"a": (1, 5)}, {"plan": cd.wsd()}, "must be a function or a text"),
        ({"a": (1, 200)}, {"plan": "wsd({a}%)"}, "200"),
        (PEAK, {"plan": "wsd(", "total_steps": 3}, "wsd"),
        (lambda trial: "wsd()", {}, "'plan' must be left out"),
        (PEAK, {"budget": 0}, "'budget' must be >= 1"),
        (PEAK, {"storage": "study.db"}, "'storage' must be a URL"),
        (PEAK, {"storage": "no://where"}, "'storage' must be a URL that SQLAlchemy knows"),
        (PEAK, {"seeds": []}, "'seeds' must be some"),
        (PEAK, {"mode": "least"}, "'mode' must be one of"),
    ],
)
def test_bad_arguments_are_told_before_anything_is_trained(space, more, message, tmp_path):
    """Each error says what is demanded."""
    trained = []
    arguments = {"plan": "wsd()", "budget": 2, "folder": tmp_path} | more
    with pytest.raises(ValueError, match=message):
        search(trained.append, space, **arguments)
    assert not trained


@pytest.mark.parametrize("ends", [(0, 1), (1, 1), (2, 1), (math.nan, 1)])
def test_a_range_of_rates_has_two_ends_above_zero(ends):
    """A logarithm needs that."""
    with pytest.raises(ValueError, match="must be"):
        log(*ends)
    assert cd.search.log(1e-4, 1) == Log(1e-4, 1.0)


TRAIN = """
def train(run):
    print("what a function says is not in the JSON")
    return abs(run.peak - 3e-3) + run.plan.resolve(100)(99)
"""


def commanded(folder, *words):
    command = [sys.executable, "-m", "cadence", "search", "training.py", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_line_searches(tmp_path):
    """Ranges by their ends, logarithmic ones and choices; the best plan as text or JSON."""
    (tmp_path / "training.py").write_text(TRAIN)
    plan = "Warmup({up}%) >> Cosine(end={floor})"
    ranges = ["--range", "up=1..9", "--range", "floor=0,0.5", "--range", "peak=1e-3..1e-2:log"]
    done = commanded(tmp_path, plan, *ranges, "--budget", "4", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {"plan", "peak", "loss", "parameters"}
    assert told["parameters"]["up"] in range(1, 10)
    assert told["parameters"]["floor"] in (0, 0.5)
    assert 1e-3 <= told["peak"] <= 1e-2
    assert (tmp_path / "search" / "study.db").exists()
    done = commanded(tmp_path, "wsd()", "--range", "peak=1,2", "--budget", "1", "--name", "more")
    assert "(best of 1 trials)" in done.stdout, done.stderr


@pytest.mark.parametrize("given", ["peak", "peak=", "peak=a..b", "=1..2", "peak=1e-3,x"])
def test_a_range_that_cannot_be_read(given, tmp_path):
    """One line on stderr says how to write it."""
    (tmp_path / "training.py").write_text(TRAIN)
    done = commanded(tmp_path, "wsd()", "--range", given, "--budget", "1")
    assert done.returncode == 2
    assert done.stderr.startswith("cadence: --range must be")
    assert done.stderr.count("\n") == 1


SCRIPT = """
    import math, sys, time
    from pathlib import Path
    from cadence.search import log, search

    def train(run):
        time.sleep(float(sys.argv[4]))
        Path(sys.argv[1], f"ran-{time.time_ns()}").touch()
        return (math.log10(run.peak) + 2.5) ** 2

    if __name__ == "__main__":
        found = search(
            train, {"peak": log(1e-4, 1e-1)}, 12, plan="wsd()",
            folder=sys.argv[1], workers=int(sys.argv[2]), storage=sys.argv[3] or None,
        )
        print(found)
"""


def launched(tmp_path, workers, storage="", pause=0.0):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, script, tmp_path / "study", str(workers), storage, str(pause)]
    return subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )


@pytest.mark.slow
@pytest.mark.parametrize("journal", [False, True], ids=["sqlite", "journal"])
def test_several_processes_share_one_budget(journal, tmp_path):
    """Two calls at once, of which one has two workers: twelve trials in all, each done once."""
    storage = str(tmp_path / "study.log") if journal else ""
    both = [launched(tmp_path, workers, storage, 0.2) for workers in (2, 1)]
    for process in both:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert "(best of 12 trials)" in out
    assert len(list((tmp_path / "study").glob("ran-*"))) == 12


@pytest.fixture
def postgresql():
    """The URL of a database of the machine's own PostgreSQL, started for the test."""
    programs = next(Path("/usr/lib/postgresql").glob("*/bin/initdb"), shutil.which("initdb"))
    if programs is None:
        pytest.skip("no PostgreSQL on this machine")
    initdb = Path(programs)
    # The server refuses to be root; Debian's package brings a user for it.
    other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if other:
            shutil.chown(folder, "postgres")
        data = Path(folder, "data")

        def call(*command):
            subprocess.run(
                [*other, *map(str, command)], check=True, stdout=subprocess.DEVNULL, timeout=120
            )

        call(initdb, "-D", data, "-A", "trust", "-U", "cadence", "-E", "UTF8", "--no-sync")
        control = [initdb.with_name("pg_ctl"), "-D", data, "-w", "-l", Path(folder, "log")]
        call(*control, "-o", f"-p {port} -k {folder} -c listen_addresses=127.0.0.1", "start")
        try:
            yield f"postgresql://cadence@127.0.0.1:{port}/postgres"
        finally:
            call(*control, "-m", "immediate", "stop")


@pytest.mark.slow
def test_machines_that_share_a_database_share_one_budget(postgresql, tmp_path):
    """They have no disk in common; one that dies leaves its trial to the next call there."""
    machines = [tmp_path / "one", tmp_path / "two"]
    for machine in machines:
        machine.mkdir()
    dies, lives = (launched(machine, 1, postgresql, 0.5) for machine in machines)
    until = time.monotonic() + 120
    while len(list(machines[0].glob("study/trials/*/seed-0"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(dies.pid, signal.SIGKILL)
    dies.communicate()
    out, err = lives.communicate(timeout=240)
    assert "(best of 11 trials)" in out, err
    out, err = launched(machines[0], 1, postgresql).communicate(timeout=240)
    assert "(best of 12 trials)" in out, err
    ran = [len(list(machine.glob("study/ran-*"))) for machine in machines]
    assert min(ran) >= 2
    assert 12 <= sum(ran) <= 13
    found = search(hill, PEAK, 12, plan="wsd()", folder=tmp_path / "third", storage=postgresql)
    assert states(found).count("COMPLETE") == 12
    assert "RUNNING" not in states(found)
    peaks = [trial.params["peak"] for trial in found.study.trials if trial.value is not None]
    assert len(set(peaks)) == 12  # no two have tried the same


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on(tmp_path):
    """The trial that was going on is done again, and counts once."""
    folder = tmp_path / "study"
    process = launched(tmp_path, 1, pause=0.5)
    until = time.monotonic() + 120
    while len(list(folder.glob("ran-*"))) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    out, err = launched(tmp_path, 1).communicate(timeout=240)
    assert "(best of 12 trials)" in out, err
    assert 12 <= len(list(folder.glob("ran-*"))) <= 13
    found = search(hill, PEAK, 12, plan="wsd()", folder=folder)
    assert states(found).count("COMPLETE") == 12
    assert "RUNNING" not in states(found)
    assert Path(found.folder) == folder.resolve()
