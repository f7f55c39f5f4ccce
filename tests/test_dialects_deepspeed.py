"""DeepSpeed's schedulers as plans, by hand, and what is refused; without DeepSpeed."""

import json
import math
import pickle
import sys
import types

import pytest
import torch

import cadence as cd
from cadence import absolute, parse
from cadence.dialects import from_deepspeed
from cadence.dialects.deepspeed import refuse_scheduler
from cadence.errors import ArgumentError, ArgumentTypeError

WARMUP = {"warmup_min_lr": 0.001, "warmup_max_lr": 0.011, "warmup_num_steps": 10}
CYCLE = {
    "cycle_min_lr": 0.01,
    "cycle_max_lr": 0.1,
    "cycle_first_step_size": 9,
    "cycle_second_step_size": 3,
}

TEXTS = [
    (
        ("WarmupLR", {**WARMUP, "warmup_type": "linear"}),
        "Constant(absolute(0.001), 1) >> Linear(10, end=absolute(0.011))",
    ),
    (
        ("WarmupLR", WARMUP),
        "Constant(absolute(0.001), 1) >> Logarithmic(9, end=absolute(0.011))",
    ),
    (("WarmupLR", {}), "Constant(absolute(0), 1) >> Logarithmic(999, end=1, scale=999)"),
    (
        ("WarmupDecayLR", {"total_num_steps": 50, **WARMUP}),
        "Constant(absolute(0.001), 1) >> Logarithmic(9, end=absolute(0.011)) >> Hold(1) >> "
        "Linear(40, end=absolute(0.001))",
    ),
    (
        ("WarmupDecayLR", {"total_num_steps": 5, **WARMUP, "warmup_type": "linear"}),
        "Constant(absolute(0.001), 1) >> Linear(10, end=absolute(0.011)) >> "
        "Linear(0, end=absolute(0.001))",
    ),
    (
        ("WarmupCosineLR", {"total_num_steps": 50, "warmup_num_steps": 10}),
        "Constant(0, 1) >> Logarithmic(9, end=1) >> Cosine(40, start=1, end=0.0001)",
    ),
    (
        (
            "WarmupCosineLR",
            {
                "total_num_steps": 50,
                "warmup_num_steps": 10,
                "warmup_min_ratio": 0.1,
                "warmup_type": "linear",
            },
        ),
        "Constant(0, 1) >> Linear(10, start=0.1, end=1) >> Cosine(40, start=1, end=0.0001).part(1)",
    ),
    (
        ("LRRangeTest", {"lr_range_test_step_rate": 0.5}),
        "PowerLaw(4000, start=absolute(0.001), exponent=-1)",
    ),
    (
        ("LRRangeTest", {"lr_range_test_step_size": 500, "lr_range_test_staircase": True}),
        "PowerLaw(500, start=absolute(0.001), exponent=-1).stairs(500)",
    ),
    (("LRRangeTest", {"lr_range_test_step_rate": 0}), "Constant(absolute(0.001))"),
    (
        ("OneCycle", {**CYCLE, "decay_lr_rate": 0.5, "decay_step_size": 100}),
        "Linear(9, start=absolute(0.01), end=absolute(0.1)) >> Linear(3, end=absolute(0.01)) >> "
        "InverseTime(200, start=absolute(0.01))",
    ),
    (
        ("OneCycle", {**CYCLE, "cycle_first_stair_count": 3, "cycle_second_stair_count": 0}),
        "Constant(absolute(0.01), 3) >> Constant(absolute(0.04), 3) >> "
        "Constant(absolute(0.07), 3) >> Linear(3, start=absolute(0.1), end=absolute(0.01))",
    ),
]


@pytest.mark.parametrize(("made", "text"), TEXTS, ids=[text[:50] for _, text in TEXTS])
def test_schedulers_are_these_plans(made, text):
    """Each is an ordinary plan: it prints, reads back equal, is stored and pickled."""
    name, params = made
    plan = from_deepspeed(name, **params)
    assert repr(plan) == text
    assert parse(text) == plan
    assert cd.from_json(cd.to_json(plan)) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_the_clock_of_a_warmup_is_late():
    """The first two updates run at the minimum, and the peak is a step late, or on time for log."""
    linear = from_deepspeed("WarmupLR", **WARMUP, warmup_type="linear")
    assert [linear(step) for step in (0, 1, 2)] == pytest.approx([0.001, 0.001, 0.002])
    assert linear(10) < linear(11) == 0.011
    log = from_deepspeed("WarmupLR", **WARMUP)
    assert log(0) == log(1) == 0.001
    assert log(2) == pytest.approx(0.001 + 0.01 * math.log10(2))
    assert log(9) < log(10) == 0.011


def test_a_warmup_of_one_step_is_one_of_two():
    """DeepSpeed raises `warmup_num_steps` to 2."""
    params = {"warmup_max_lr": 1.0, "warmup_type": "linear"}
    plan = from_deepspeed("WarmupLR", warmup_num_steps=1, **params)
    assert plan == from_deepspeed("WarmupLR", warmup_num_steps=2, **params)


def test_the_momentum_of_a_cycle_starts_low():
    """The first update has the minimum, whatever the cycle says; the second beta is set as well."""
    momentum = from_deepspeed("OneCycle", key="momentum", **CYCLE)
    assert [momentum(step) for step in (0, 9, 12, 99)] == pytest.approx([0.8, 0.8, 0.9, 0.9])
    assert momentum(1) == pytest.approx(0.9 - 0.1 / 9)
    assert from_deepspeed("OneCycle", key="beta2", **CYCLE)(5) == 0.99


def test_the_momentum_grows_without_an_end():
    """`decay_mom_rate` multiplies the momentum by more than one, as it does in DeepSpeed."""
    params = {**CYCLE, "decay_mom_rate": 0.1, "decay_step_size": 10}
    plan = from_deepspeed("OneCycle", key="momentum", **params)
    assert plan(112) == pytest.approx(0.9 * 2)


# What may be given.

CONFIG = {
    "train_batch_size": 8,
    "optimizer": {"type": "AdamW", "params": {"lr": 0.011}},
    "scheduler": {"type": "WarmupDecayLR", "params": {"total_num_steps": 50, **WARMUP}},
}


def test_a_config_its_section_its_file_and_a_call_are_the_same(tmp_path):
    """A whole config, its section, its path and the scheduler's name give equal plans."""
    path = tmp_path / "ds_config.json"
    path.write_text(json.dumps(CONFIG))
    expected = from_deepspeed("WarmupDecayLR", **CONFIG["scheduler"]["params"])
    for config in (CONFIG, CONFIG["scheduler"], path, str(path)):
        assert from_deepspeed(config) == expected
    assert CONFIG["scheduler"]["params"].keys() == {"total_num_steps", *WARMUP}


def test_arguments_go_before_those_of_the_config():
    """What a call says replaces what the config says, also where that is "auto"."""
    section = {"type": "WarmupLR", "params": {"warmup_max_lr": "auto", "warmup_num_steps": "auto"}}
    plan = from_deepspeed({"scheduler": section}, warmup_max_lr=0.5, warmup_num_steps=8)
    assert plan == from_deepspeed("WarmupLR", warmup_max_lr=0.5, warmup_num_steps=8)


AUTO = {"type": "WarmupDecayLR", "params": {"warmup_max_lr": "auto", "total_num_steps": "auto"}}

REFUSED = [
    (
        lambda: from_deepspeed({"train_batch_size": 8}),
        "from_deepspeed: 'config' must have a section 'scheduler' with its 'type' (got "
        "['train_batch_size'])",
    ),
    (
        lambda: from_deepspeed({"scheduler": {"params": {}}}),
        "from_deepspeed: 'config' must have a section 'scheduler' with its 'type' (got "
        "{'params': {}})",
    ),
    (
        lambda: from_deepspeed("WarmpLR"),
        "from_deepspeed: 'config' must be the path of a config or the name of a scheduler, such "
        "as 'WarmupLR' (got 'WarmpLR'); did you mean 'WarmupLR'?",
    ),
    (
        lambda: from_deepspeed(5),
        "from_deepspeed: 'config' must be a config, its path or the name of a scheduler (got 5)",
    ),
    (
        lambda: from_deepspeed({"type": "StepLR", "params": {"step_size": 5}}),
        "from_deepspeed: 'type' must be one of LRRangeTest, OneCycle, WarmupLR, WarmupDecayLR, "
        "WarmupCosineLR (got 'StepLR'); a name that DeepSpeed does not know is one of "
        "torch.optim.lr_scheduler: write cadence.lr_scheduler.StepLR(optimizer, ...)",
    ),
    (
        lambda: from_deepspeed({"scheduler": {"type": "WarmupDecay"}}),
        "from_deepspeed: 'type' must be one of LRRangeTest, OneCycle, WarmupLR, WarmupDecayLR, "
        "WarmupCosineLR (got 'WarmupDecay'); did you mean 'WarmupDecayLR'?",
    ),
    (
        lambda: from_deepspeed(AUTO),
        "from_deepspeed: WarmupDecayLR: 'auto' must be filled in, as Transformers' Trainer "
        "would: warmup_max_lr (the learning rate), total_num_steps (the updates of the run); "
        "write from_deepspeed(config, warmup_max_lr=..., total_num_steps=...)",
    ),
    (
        lambda: from_deepspeed("WarmupDecayLR", warmup_num_steps=10),
        "from_deepspeed: WarmupDecayLR: 'total_num_steps' must be given",
    ),
    (
        lambda: from_deepspeed("WarmupLR", warmup_steps=10),
        "from_deepspeed: WarmupLR: unknown argument 'warmup_steps'; did you mean "
        "'warmup_num_steps'?",
    ),
    (
        lambda: from_deepspeed("WarmupCosineLR", total_num_steps=9, warmup_max_lr=0.1),
        "from_deepspeed: WarmupCosineLR: unknown argument 'warmup_max_lr'; did you mean "
        "'warmup_min_ratio'?",
    ),
    (
        lambda: from_deepspeed("WarmupLR", warmup_max_lr=[0.1, 0.2]),
        "from_deepspeed: WarmupLR: 'warmup_max_lr' must be one number (got [0.1, 0.2]); read one "
        "plan for each group, and give Scheduler(optimizer, lr=[...])",
    ),
    (
        lambda: from_deepspeed("WarmupLR", warmup_num_steps=0),
        "from_deepspeed: WarmupLR: 'warmup_num_steps' must be >= 1 (got 0)",
    ),
    (
        lambda: from_deepspeed("WarmupLR", warmup_type="cosine"),
        "from_deepspeed: WarmupLR: 'warmup_type' must be one of 'log', 'linear' (got 'cosine')",
    ),
    (
        lambda: from_deepspeed("WarmupLR", last_batch_iteration=10),
        "from_deepspeed: WarmupLR: 'last_batch_iteration' must be left out: a plan begins at "
        "step 0, and a Scheduler's state says where it stands",
    ),
    (
        lambda: from_deepspeed("WarmupLR", key="momentum"),
        "from_deepspeed: WarmupLR: 'key' must be one of 'lr' (got 'momentum')",
    ),
    (
        lambda: from_deepspeed("OneCycle", key="beta1", **CYCLE),
        "from_deepspeed: OneCycle: 'key' must be one of 'lr', 'momentum', 'beta2' (got 'beta1')",
    ),
    (
        lambda: from_deepspeed("OneCycle", key="momentum", cycle_momentum=False, **CYCLE),
        "from_deepspeed: OneCycle: 'key' must be one of 'lr' (got 'momentum')",
    ),
    (
        lambda: from_deepspeed("OneCycle", **{**CYCLE, "cycle_first_step_size": 0}),
        "from_deepspeed: OneCycle: 'cycle_first_step_size' must be >= 1 (got 0)",
    ),
    (
        lambda: from_deepspeed("OneCycle", **{**CYCLE, "cycle_first_step_size": 2.5}),
        "from_deepspeed: OneCycle: 'cycle_first_step_size' must be a whole number (got 2.5)",
    ),
    (
        lambda: from_deepspeed("OneCycle", **CYCLE, decay_lr_rate=-0.1),
        "from_deepspeed: OneCycle: 'decay_lr_rate' must be >= 0 (got -0.1)",
    ),
    (
        lambda: from_deepspeed("LRRangeTest", lr_range_test_step_rate=-1),
        "from_deepspeed: LRRangeTest: 'lr_range_test_step_rate' must be >= 0 (got -1)",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[m[16:70] for _, m in REFUSED])
def test_what_cannot_be_read_is_refused(call, message):
    """The message says where, what is demanded, what was given and, where it can, what to type."""
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message


def test_a_file_that_is_no_config_is_refused(tmp_path):
    """A file must be JSON, and an object."""
    path = tmp_path / "ds.json"
    path.write_text("{")
    with pytest.raises(ArgumentError, match=r"ds.json' must be JSON \(Expecting property name"):
        from_deepspeed(path)
    path.write_text("[]")
    with pytest.raises(ArgumentTypeError, match=r"ds.json' must hold an object"):
        from_deepspeed(path)


# A scheduler of DeepSpeed's beside Cadence's.


def test_a_config_with_a_scheduler_is_refused_with_the_equal_plan():
    """The message names the section to delete, and the plan that may be pasted instead."""
    with pytest.raises(ArgumentError) as caught:
        refuse_scheduler(CONFIG)
    plan = from_deepspeed(CONFIG)
    assert str(caught.value) == (
        "DeepSpeed: the config must have no 'scheduler' beside Cadence's (got WarmupDecayLR), or "
        "both write 'lr'; delete the section 'scheduler' from the config; the plan that is equal "
        f'to it is Scheduler(optimizer, lr="{plan!r}")'
    )
    assert parse(repr(plan)) == plan


def test_a_cycle_is_refused_with_its_momentum():
    """The equal plans are all that DeepSpeed would write, by the names that Scheduler takes."""
    config = {"scheduler": {"type": "OneCycle", "params": CYCLE}}
    with pytest.raises(ArgumentError) as caught:
        refuse_scheduler(config)
    message = str(caught.value)
    assert "or both write 'lr' and 'momentum'; delete" in message
    plans = message.partition("Scheduler(optimizer, ")[2]
    parameter = torch.nn.Parameter(torch.zeros(1))
    made = eval(f"dict({plans}", {})  # noqa: S307
    assert list(made) == ["lr", "beta1", "beta2"]
    scheduler = cd.Scheduler(torch.optim.Adam([parameter], lr=0.3), **made)
    assert scheduler.value_at(9) == 0.1
    assert scheduler.value_at(9, "beta1") == pytest.approx(0.8)


def test_a_scheduler_that_cannot_be_read_is_refused_too():
    """The reason why no equal plan is told takes its place."""
    with pytest.raises(ArgumentError, match=r"from the config; for the plan .* 'auto' must be fil"):
        refuse_scheduler({"scheduler": AUTO})
    with pytest.raises(ArgumentError, match=r"write cadence.lr_scheduler.StepLR\(optimizer, ...\)"):
        refuse_scheduler({"scheduler": {"type": "StepLR", "params": {"step_size": 5}}})


@pytest.mark.parametrize(
    "config", [{}, {"scheduler": {}}, {"scheduler": None}, {"scheduler": {"params": {}}}]
)
def test_a_config_without_a_scheduler_is_let_through(config):
    """A section without a type makes DeepSpeed build none."""
    refuse_scheduler(config)


class DeepSpeedConfig:
    """What `deepspeed.runtime.config.DeepSpeedConfig` makes of a scheduler's section."""

    def __init__(self, config):
        section = config.get("scheduler", {})
        self.scheduler_name = section.get("type")
        self.scheduler_params = section.get("params") if self.scheduler_name else None


class DeepSpeedEngine(torch.nn.Module):
    """The parts of `deepspeed.runtime.engine.DeepSpeedEngine` by which its config is found."""

    def __init__(self, optimizer, config):
        super().__init__()
        self._config = DeepSpeedConfig(config)
        self.optimizer = optimizer


class DeepSpeedEngineWrapper:
    """`accelerate.utils.deepspeed.DeepSpeedEngineWrapper`."""

    def __init__(self, engine):
        self.engine = engine


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, weight_decay=0.1)


@pytest.mark.parametrize(
    "wrap", [lambda engine: engine, DeepSpeedEngineWrapper, lambda engine: [engine]]
)
def test_an_engine_with_a_scheduler_is_refused(wrap):
    """A Scheduler that is handed an engine looks into its config first."""
    given = wrap(DeepSpeedEngine(sgd(), CONFIG))
    with pytest.raises(ArgumentError, match="delete the section 'scheduler' from the config"):
        cd.Scheduler(given, lr=cd.Linear(10))
    without = wrap(DeepSpeedEngine(sgd(), {}))
    with pytest.raises(ArgumentTypeError, match="'optimizer' must be an optimizer"):
        cd.Scheduler(without, lr=cd.Linear(10))


@pytest.fixture
def accelerate(monkeypatch):
    """The state of an Accelerate, as `accelerate.state` keeps it, and how to fill it."""
    state = types.ModuleType("accelerate.state")
    state.AcceleratorState = type("AcceleratorState", (), {"_shared_state": {}})
    monkeypatch.setitem(sys.modules, "accelerate.state", state)
    return state.AcceleratorState._shared_state


def plugin(config, *, selected=True):
    return types.SimpleNamespace(deepspeed_config=config, selected=selected)


def test_the_plugin_of_accelerate_is_looked_at(accelerate):
    """An optimizer is refused if Accelerate's state has a DeepSpeed config with a scheduler."""
    cd.Scheduler(sgd(), lr=cd.Linear(10))
    accelerate["deepspeed_plugins"] = None
    cd.Scheduler(sgd(), lr=cd.Linear(10))
    accelerate["deepspeed_plugins"] = plugin({"train_batch_size": 8})
    cd.Scheduler(sgd(), lr=cd.Linear(10))
    accelerate["deepspeed_plugins"] = plugin(dict(CONFIG))
    optimizer = sgd()
    with pytest.raises(ArgumentError, match="delete the section 'scheduler' from the config"):
        cd.Scheduler(optimizer, lr=cd.Linear(10))
    assert optimizer.param_groups[0]["lr"] == 0.1
    del accelerate["deepspeed_plugins"].deepspeed_config["scheduler"]
    cd.Scheduler(optimizer, lr=cd.Linear(10))


def test_only_the_selected_plugin_counts(accelerate):
    """Of several plugins, the one that Accelerate prepares with."""
    plugins = {"student": plugin({}), "teacher": plugin(dict(CONFIG), selected=False)}
    accelerate["deepspeed_plugins"] = plugins
    cd.Scheduler(sgd(), lr=cd.Linear(10))
    plugins["student"].selected, plugins["teacher"].selected = False, True
    with pytest.raises(ArgumentError, match="delete the section 'scheduler'"):
        cd.Scheduler(sgd(), lr=cd.Linear(10))


def test_values_that_deepspeed_does_not_write_may_be_scheduled(accelerate):
    """A weight decay beside DeepSpeed's rate has no rival; beside a cycle, the momentum has."""
    accelerate["deepspeed_plugins"] = plugin(dict(CONFIG))
    cd.Scheduler(sgd(), weight_decay=cd.Linear(10))
    cycle = {"scheduler": {"type": "OneCycle", "params": CYCLE}}
    accelerate["deepspeed_plugins"] = plugin(cycle)
    cd.Scheduler(sgd(), weight_decay=cd.Linear(10))
    with pytest.raises(ArgumentError, match="'scheduler'"):
        cd.Scheduler(sgd(), momentum=cd.Linear(10))
    cycle["scheduler"]["params"] = {**CYCLE, "cycle_momentum": False}
    cd.Scheduler(sgd(), momentum=cd.Linear(10))


def test_an_accelerate_that_is_not_there_is_left_alone(monkeypatch):
    """To look costs no import."""
    monkeypatch.delitem(sys.modules, "accelerate.state", raising=False)
    cd.Scheduler(sgd(), lr=absolute(0.1))
    assert "accelerate.state" not in sys.modules
