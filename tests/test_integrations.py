"""The leaves for frameworks where no framework is; with them, see tests/conformance/test_with_*."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import cadence as cd
from cadence._optional import require
from cadence.errors import ArgumentError, MissingLibraryError, PaceWarning, ParseError
from cadence.horizon import Horizon
from cadence.integrations import accelerate, ignite, jsonargparse, lightning, transformers
from cadence.integrations._held import Held, numbers
from cadence.integrations._late import LateScheduler, compare_length, completed

FRAMEWORKS = "transformers", "accelerate", "lightning", "pytorch_lightning", "ignite"


def sgd(*rates, **options):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, **options)


# Frameworks that are not there.


def test_a_leaf_loads_no_framework():
    """All leaves can be imported where there is none, and cost none where there is."""
    code = f"""
import json, sys
from cadence.integrations import accelerate, ignite, jsonargparse, lightning, transformers
print(json.dumps([name for name in {(*FRAMEWORKS, "jsonargparse")!r} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("library", "extra", "use"),
    [
        ("transformers", "transformers", transformers.ScheduleCallback),
        ("lightning", "lightning", lightning.ScheduleCallback),
        ("accelerate", "accelerate", lambda: accelerate.schedule(None, sgd(0.1), lr=cd.Linear(3))),
        ("ignite", "ignite", lambda: ignite.ScheduleHandler(sgd(0.1), lr=cd.Hold()).attach(None)),
        ("jsonargparse", "jsonargparse", jsonargparse.register),
    ],
)
def test_a_framework_that_is_missing_is_told(library, extra, use, monkeypatch):
    """With what to install; the message is the same for all."""
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibraryError) as caught:
        use()
    told = f"{library} must be installed for this; write pip install 'cadence[{extra}]'"
    assert str(caught.value) == told
    assert isinstance(caught.value, ImportError)


def test_a_leaf_has_no_other_names():
    """A name that is not there raises what Python expects."""
    for leaf in (transformers, lightning):
        assert leaf.ScheduleCallback.__name__ == "ScheduleCallback"
        with pytest.raises(AttributeError, match=f"{leaf.__name__}.* has no attribute 'Callback'"):
            _ = leaf.Callback


def test_every_extra_is_there():
    """What the message says to install can be installed."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert {"transformers", "lightning", "accelerate", "ignite", "jsonargparse"} <= set(
        project["optional-dependencies"]
    )


def test_an_import_that_fails_within_a_library_is_not_hidden(tmp_path, monkeypatch):
    """Only what is not installed is said to be."""
    (tmp_path / "broken.py").write_text("import there_is_no_such_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_thing"):
        require("broken", "broken")
    assert require("json.decoder", "json") is json.decoder


# A scheduler that is made late.


def test_a_late_scheduler_is_made_when_the_training_begins():
    """The trainer's horizon is that of the plan, and then it answers as the scheduler does."""
    late = LateScheduler("here", {"lr": "Warmup('1ep') >> Linear()"})
    assert repr(late) == """LateScheduler(lr="Warmup('1ep') >> Linear()")"""
    assert not hasattr(late, "plot")
    with pytest.raises(AttributeError, match="before the training begins"):
        late.value_at(3)
    with pytest.raises(ArgumentError, match="state_dict must be asked for after that"):
        late.state_dict()
    optimizer = sgd(0.5)
    scheduler = late.begin(optimizer, Horizon(10, steps_per_epoch=2))
    assert late.scheduler is scheduler
    assert late.value_at(6) == 0.25
    optimizer.step()
    late.step()
    assert (late.last_epoch, late.state_dict()) == (1, scheduler.state_dict())
    assert repr(late) == repr(scheduler)


def test_a_state_that_comes_early_is_kept():
    """Frameworks load before they begin; the state decides, whatever the optimizer holds."""
    before = cd.Scheduler(sgd(0.5), lr=cd.Linear(), total_steps=10)
    before.seek(4)
    late = LateScheduler("here", {"lr": cd.Linear()})
    late.load_state_dict(before.state_dict())
    optimizer = sgd(0.3)  # the optimizer's own state was loaded already
    late.begin(optimizer, Horizon(10), step=7)
    assert (late.last_epoch, late.get_last_lr()) == (4, [0.3])
    late.load_state_dict(before.state_dict())
    late.begin(sgd(0.3), Horizon(10))
    assert late.last_epoch == 4


def test_a_state_to_which_a_run_went_back_is_not_loaded_again():
    """The run has gone on from it; another run begins at its own beginning."""
    late = LateScheduler("here", {"lr": cd.Linear()})
    optimizer = sgd(0.5)
    late.begin(optimizer, Horizon(10))
    optimizer.step()
    late.step()
    kept = late.state_dict()
    late.step()
    late.load_state_dict(kept)
    late.step()
    late.begin(optimizer, Horizon(10))
    assert (late.last_epoch, late.get_last_lr()) == (0, [0.5])


def test_without_a_state_the_trainers_position_counts():
    """And where the same training goes on, nothing is changed."""
    late = LateScheduler("here", {"lr": cd.Linear()})
    optimizer = sgd(0.5)
    scheduler = late.begin(optimizer, Horizon(10), step=5)
    assert late.get_last_lr() == [0.25]
    scheduler.adjust(0.5)
    assert late.begin(optimizer, Horizon(10), step=5) is scheduler


@pytest.mark.parametrize("tensor", [False, True], ids=["float", "tensor"])
def test_to_begin_again_is_from_the_own_bases(tensor):
    """Without a word, and without what feedback and adjustments have made of them."""
    late = LateScheduler("here", {"lr": cd.Linear(), "momentum": cd.Linear(end=0.5)})
    optimizer = sgd(torch.tensor(0.5) if tensor else 0.5, momentum=0.8)
    scheduler = late.begin(optimizer, Horizon(4))
    scheduler.adjust(0.1)
    for _ in range(3):
        optimizer.step()
        late.step()
    for total in (4, 8):
        late.begin(optimizer, Horizon(total))
        assert [float(rate) for rate in late.get_last_lr()] == [0.5]
        assert optimizer.param_groups[0]["momentum"] == 0.8
        assert late.value_at(total // 2) == 0.25


def test_what_is_left_open_is_the_trainers():
    """What is given stays: a length, a wall time, the updates of an epoch."""
    known = Horizon(100, steps_per_epoch=10)
    assert completed({}, known)["horizon"] == known
    given = Horizon(50, samples_per_step=4)
    assert completed({"horizon": given}, known)["horizon"] == Horizon(
        50, steps_per_epoch=10, samples_per_step=4
    )
    given = Horizon(wall_time="2h", steps_per_epoch=3)
    assert completed({"horizon": given}, known)["horizon"] == given
    options = completed({"total_steps": "3ep", "past_end": "raise"}, known)
    assert options["horizon"] == Horizon(steps_per_epoch=10)
    scheduler = cd.Scheduler(sgd(0.5), lr=cd.Linear(), **options)
    assert scheduler.horizon.total_steps == 30


def test_a_plan_of_another_length_is_told():
    """Where both are known, and differ."""
    scheduler = cd.Scheduler(sgd(0.5), lr=cd.Linear(), total_steps=10)
    with pytest.warns(PaceWarning, match=r"for 10 updates, and the training makes 1,200; .*1200"):
        compare_length(scheduler, Horizon(1200))
    compare_length(scheduler, Horizon(10))
    compare_length(scheduler, Horizon())


def test_bad_plans_are_told_early():
    """When they are given, and not when the training begins."""
    for bad, error in [({"lr": "Cosinus()"}, ParseError), ({}, ArgumentError)]:
        with pytest.raises(error):
            LateScheduler("here", bad)
    with pytest.raises(ArgumentError, match="here: 'clock' must be 'update'"):
        LateScheduler("here", {"lr": cd.Linear(), "clock": "epoch"})


# What is logged.


def test_values_are_named_after_their_groups():
    """By name or by number; two of one name are told apart, and tensors are not shared."""
    optimizer = sgd(0.1, torch.tensor(0.2), 0.3, 0.4, momentum=0.9)
    for i, name in enumerate(["body", "head", "body"]):
        optimizer.param_groups[i]["name"] = name
    other = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.5, betas=(0.8, 0.99))
    optimizer.param_groups[3]["betas"] = (0.7, 0.9)
    for group in optimizer.param_groups:
        group["betas"] = (0.7, 0.9)
    seen = []
    scheduler = cd.Scheduler(
        [optimizer, other],
        lr=cd.Constant(1),
        beta1=cd.Constant(0.5),
        also={"dropout": (seen.append, cd.Constant(0.25))},
    )
    values = Held(scheduler, "net/")()
    assert numbers(values) == pytest.approx(
        {
            "net/lr/body": 0.1,
            "net/lr/head": 0.2,
            "net/lr/body.2": 0.3,
            "net/lr/group3": 0.4,
            "net/lr/group4": 0.5,
            "net/beta1/body": 0.35,
            "net/beta1/head": 0.35,
            "net/beta1/body.2": 0.35,
            "net/beta1/group3": 0.35,
            "net/beta1/group4": 0.4,
            "net/also/dropout": 0.25,
        }
    )
    scheduler.adjust(0.5)
    assert float(values["net/lr/head"]) == pytest.approx(0.2)
