"""Comparing plans in processes of their own: real ones, which hang, are killed, find no room."""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cadence as cd
from cadence.errors import ComparisonError

SOURCE = Path(cd.__file__).parents[1]

# A script as people write it: the function in the script itself, no guard, a closure.
SCRIPT = """
import json, os, signal, sys, time
import torch
import cadence as cd

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
PAUSE, FOLDER = float(sys.argv[1]), sys.argv[2]
offset = torch.full((3,), 0.5)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3))

    def forward(self):
        return ((self.weight - offset) ** 2).sum()

def made(pause):
    def train(run):
        if run.name == "broken":
            raise RuntimeError("as every time")
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        scheduler = run.scheduler(optimizer)
        for step in range(run.total_steps):
            time.sleep(pause)
            loss = net() * (1 + 0.1 * torch.randn(()))
            loss.backward()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            run.log(step, loss=loss)
        run.log(run.total_steps, loss=net())
    return train

plans = {"constant": "Constant(1)", "linear": "Linear()", "broken": "Linear()"}
result = cd.compare(made(PAUSE), plans, seeds=3, peaks=[0.05, 0.3], peak_seeds=1, total_steps=20,
                    folder=FOLDER, workers=2, tensorboard=False)
print(json.dumps(result.table()))
"""


def script(tmp_path, pause, folder):
    """The script as a process that leads a group of its own."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(path), str(pause), str(folder)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_process_that_dies_or_hangs_is_one_crash(tmp_path):
    """The others go on; the table says which run it was, and where it hung."""
    plans = {"good": "Linear()", "killed": "Linear()", "hung": "Linear()"}

    def train(run):
        import torch

        if run.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if run.name == "hung":
            time.sleep(3600)
        run.log(0, loss=torch.rand(()), threads=torch.get_num_threads(), pid=os.getpid())

    options = {"seeds": 1, "total_steps": 4, "tensorboard": False, "progress": False}
    result = cd.compare(
        train, plans, folder=tmp_path / "a", workers=2, threads=1, timeout=3, **options
    )
    good, killed, hung = result.trials
    assert [t.status for t in result.trials] == ["finished", "crashed", "crashed"]
    assert killed.error.startswith("the process of the run died with SIGKILL(-9): ")
    assert "the run took longer than 3 s and was killed" in hung.error
    assert "in train" in hung.error
    assert good.metrics["threads"].tolist() == [1.0]
    assert good.metrics["pid"][0] != os.getpid()
    inline = cd.compare(
        train, {"good": "Linear()"}, folder=tmp_path / "b", engine="inline", **options
    )
    assert inline.trials[0].score == good.score


@pytest.mark.slow
def test_a_comparison_that_is_killed_goes_on(tmp_path):
    """Killed five times at random moments, the final table equals the undisturbed one."""
    whole = script(tmp_path, 0.0, tmp_path / "whole")
    expected, errors = whole.communicate()
    assert whole.returncode == 0, errors
    rng, folder, seen = random.Random(0), tmp_path / "killed", 0  # noqa: S311
    for _ in range(5):
        run = script(tmp_path, 0.05, folder)
        # Not before it has got further than the last did, or a slow machine would never see an end.
        deadline = time.monotonic() + 60
        while count(folder) <= seen and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 1.5))
        assert run.poll() is None, "it has ended before it could be killed"
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        kept, seen = results(folder), count(folder)
    last = script(tmp_path, 0.0, folder)
    table, errors = last.communicate()
    assert last.returncode == 0, errors
    assert table == expected
    assert kept.items() <= results(folder).items()
    assert len(json.loads(table)) == 15
    assert {row["status"] for row in json.loads(table)} == {"finished", "crashed"}


def count(folder):
    return len(list(folder.rglob("result.json")))


def results(folder):
    """The results of the runs that ended well, byte for byte."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("result.json")
        if b'"finished"' in path.read_bytes()
    }


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_tells_how_to_go_on(tmp_path):
    """The processes are gone, no run is taken for crashed, and what is finished is there."""
    folder = tmp_path / "f"
    run = script(tmp_path, 0.1, folder)
    deadline = time.monotonic() + 60
    while count(folder) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    _, errors = run.communicate(timeout=30)
    assert run.returncode != 0
    assert "interrupted; the" in errors
    assert f"call again with folder='{folder}' to go on" in errors
    crashed = [json.loads(p.read_text()) for p in folder.rglob("result.json")]
    assert all("as every time" in r["error"] for r in crashed if r["status"] == "crashed")
    deadline = time.monotonic() + 30
    while group_is_there(run.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not group_is_there(run.pid)


def group_is_there(leader):
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


FULL = """
import os, sys
import cadence as cd
from cadence.errors import ComparisonError

folder = sys.argv[1]

def train(run):
    if run.seed == 1 and os.path.exists(folder + "/../fill"):
        with open(folder + "/filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        os.remove(folder + "/../fill")
    for step in range(200):
        try:
            run.log(step, loss=1.0 / (1 + step + run.seed))
        except ComparisonError:
            pass  # even where the function hides it

def compare():
    return cd.compare(train, {"a": "Linear()"}, seeds=3, total_steps=200, folder=folder,
                      workers=1, tensorboard=False, progress=False)

open(folder + "/../fill", "w").close()
try:
    compare()
except ComparisonError as error:
    print(error)
os.remove(folder + "/filler")
print([(t.status, t.score) for t in compare().trials])
"""


@pytest.mark.slow
def test_a_full_disk_is_told_and_costs_nothing_that_is_finished(tmp_path):
    """On a small disk of its own: a clear error, and after making room the comparison goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=1m none {disk} && mkdir {disk}/f"
    if (
        not shutil.which("unshare")
        or subprocess.run(
            ["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("this machine lets nobody mount a disk")
    (tmp_path / "full.py").write_text(FULL)
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{mount} && {sys.executable} full.py {disk}/f"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, trials = done.stdout.strip().splitlines()
    assert "No space left on device" in told
    assert "the 1 runs that have ended are kept: make room, and call again with folder=" in told
    assert trials == str([("finished", 1.0 / (200 + seed)) for seed in range(3)])


def test_a_file_that_may_not_grow_ends_the_comparison(tmp_path, monkeypatch):
    """Where a line cannot be written the error says where, and no run is taken for crashed."""
    from cadence.logs import JSONL

    def full(self, step, values):
        raise OSError(28, "No space left on device")

    def train(run):
        if run.seed == 1:
            monkeypatch.setattr(JSONL, "scalars", full)
        run.log(0, loss=1.0)

    options = {"folder": tmp_path, "engine": "inline", "tensorboard": False, "progress": False}
    with pytest.raises(ComparisonError, match=r"cannot write to .*the 1 runs .* are kept"):
        cd.compare(train, {"a": "Linear()"}, seeds=2, **options)
    monkeypatch.undo()
    assert not [path for path in tmp_path.rglob("result.json") if b"crashed" in path.read_bytes()]
    result = cd.compare(
        lambda run: 1.0, {"a": "Linear()"}, seeds=2, **options | {"on_mismatch": "reuse"}
    )
    assert [t.status for t in result.trials] == ["finished"] * 2
    assert not math.isnan(result.trials[1].score)
