"""Comparing plans on Ray: the same table as in this process, and nothing left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cadence as cd

pytestmark = pytest.mark.peers

SOURCE = Path(cd.__file__).parents[1]
SCRIPT = """
import json, os, sys, tempfile
import torch
import cadence as cd

def train(run):
    if run.name == "killed":
        os.kill(os.getpid(), 9)
    weight = torch.nn.Parameter(torch.randn(4))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler = run.scheduler(optimizer)
    for step in range(run.total_steps):
        loss = ((weight - 1) ** 2).sum() * (1 + 0.1 * torch.randn(()))
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        run.log(step, loss=loss)

def table(engine, folder, plans, **options):
    result = cd.compare(train, plans, seeds=2, total_steps=20, folder=f"{sys.argv[1]}/{folder}",
                        engine=engine, tensorboard=False, progress=False, **options)
    return result.table()

plans = {"constant": cd.Constant(1.0), "cosine": "Cosine()"}
told = {
    "inline": table("inline", "a", plans, peaks=[0.05, 0.3]),
    "ray": table("ray", "b", plans, peaks=[0.05, 0.3]),
    # A second cluster in the same process, in which one plan's processes die.
    "killed": table("ray", "c", {"constant": "Constant(1)", "killed": "Linear()"}, retries=1),
}
print(json.dumps({"tables": told, "left": sorted(os.listdir(tempfile.gettempdir())),
                  "environment": [name for name in os.environ if name.startswith("RAY_AUTH")]}))
"""


def test_ray_gives_the_same_table_and_leaves_nothing(tmp_path):
    """Bit for bit; no process, no file in the home folder, none among the temporary ones."""
    # Short: Ray's sockets lie below, and a socket's path may have 107 characters.
    home, temporary = tmp_path / "home", Path("/tmp", f"cadence-{os.getpid()}")  # noqa: S108
    home.mkdir()
    temporary.mkdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(SOURCE)}
    try:
        done = subprocess.run(
            [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out")],
            env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])  # Ray itself tells of the deaths before
        tables = told["tables"]
        assert json.dumps(tables["ray"]) == json.dumps(tables["inline"])
        assert len(tables["ray"]) == 12
        assert [row["status"] for row in tables["killed"]] == ["finished"] * 2 + ["crashed"] * 2
        assert told["environment"] == []
        assert [name for name in told["left"] if "ray" in name] == []
        assert list(home.rglob("*")) == []
    finally:
        temporary_left = [path for path in temporary.rglob("*") if path.is_file()]
        subprocess.run(["rm", "-rf", str(temporary)], check=True)
    assert temporary_left == []
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(temporary) not in listing.stdout
