"""Megatron's rate and weight decay as plans, by hand, and what is refused; without Megatron."""

import pickle
from argparse import Namespace

import pytest

import cadence as cd
from cadence import parse
from cadence.dialects import from_megatron
from cadence.errors import ArgumentError

RUN = {"lr": 0.1, "min_lr": 0.02, "train_iters": 100}
SAMPLES = {"lr": 0.1, "train_samples": 1000, "global_batch_size": 32}

TEXTS = [
    ({**RUN, "lr_decay_style": "constant"}, "Constant(absolute(0.1))"),
    (
        {**RUN, "lr_decay_style": "constant", "lr_warmup_iters": 10},
        "Linear(10, start=absolute(0), end=absolute(0.1))",
    ),
    (RUN, "Linear(100, start=absolute(0.1), end=absolute(0.02))"),
    (
        {**RUN, "lr_decay_style": "cosine", "lr_warmup_iters": 10, "lr_decay_iters": 90},
        "Linear(10, start=absolute(0), end=absolute(0.1)) >> Cosine(80, end=absolute(0.02))",
    ),
    (
        {"train_iters": 100, "lr_warmup_fraction": 0.1, "lr_decay_style": "cosine"},
        "Linear(10, start=absolute(0), end=1) >> Cosine(90, end=absolute(0))",
    ),
    (
        {"train_iters": 100, "lr_decay_style": "cosine"},
        "Cosine(100, end=absolute(0))",
    ),
    (
        {**RUN, "lr_decay_style": "inverse-square-root", "lr_warmup_iters": 10},
        "Linear(10, start=absolute(0), end=absolute(0.1)) >> "
        "InverseSqrt(10, start=absolute(0.1), steps=91).clip(low=absolute(0.02)) >> "
        "Constant(absolute(0.02), 0)",
    ),
    (
        {
            "lr": 0.1,
            "train_iters": 100,
            "lr_decay_style": "inverse-square-root",
            "global_batch_size": 4,
        },
        "Constant(absolute(0.1), 1) >> InverseSqrt(1, start=absolute(0.05), steps=100) >> "
        "Constant(absolute(0), 0)",
    ),
    (
        {**RUN, "lr_decay_style": "WSD", "lr_wsd_decay_iters": 20, "lr_warmup_iters": 10},
        "Linear(10, start=absolute(0), end=absolute(0.1)) >> Hold(70) >> "
        "Exponential(20, end=absolute(0.02), ratio=0.5)",
    ),
    (
        {
            **RUN,
            "lr_decay_style": "WSD",
            "lr_wsd_decay_iters": 95,
            "lr_wsd_decay_style": "minus_sqrt",
            "lr_warmup_iters": 10,
        },
        "Linear(10, start=absolute(0), end=absolute(0.1)) >> Hold(1) >> "
        "OneMinusSqrt(95, start=absolute(0.1), end=absolute(0.02)).part(6)",
    ),
    (
        {**SAMPLES, "lr_warmup_samples": 100, "lr_decay_style": "cosine"},
        "PiecewiseLinear(((0, absolute(0)), (3.125, absolute(0.1)))) >> "
        "PiecewiseCosine(((-0.875, absolute(0.1)), (27.25, absolute(0))))",
    ),
    (
        {
            **SAMPLES,
            "lr_decay_style": "WSD",
            "lr_wsd_decay_samples": 200,
            "lr_wsd_decay_style": "minus_sqrt",
        },
        "Constant(absolute(0.1), 25) >> "
        "PiecewiseRamp(((0, absolute(0.1)), (6.25, absolute(0))), OneMinusSqrt())",
    ),
    (
        {
            "init_lr": 0.01,
            "max_lr": 0.1,
            "min_lr": 0.02,
            "lr_warmup_steps": 64,
            "lr_decay_steps": 320,
            "lr_decay_style": "linear",
            "start_wd": 0.1,
            "end_wd": 0.1,
            "wd_incr_steps": 320,
            "wd_incr_style": "constant",
            "use_checkpoint_opt_param_scheduler": True,
            "global_batch_size": 32,
        },
        "Linear(2, start=absolute(0.01), end=absolute(0.1)) >> Linear(8, end=absolute(0.02))",
    ),
]


@pytest.mark.parametrize(("arguments", "text"), TEXTS, ids=[text[:60] for _, text in TEXTS])
def test_schedules_are_these_plans(arguments, text):
    """Each is an ordinary plan: it prints, reads back equal, is stored and pickled."""
    plan = from_megatron(**arguments)
    assert repr(plan) == text
    assert parse(text) == plan
    assert cd.from_json(cd.to_json(plan)) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "Constant(absolute(0.01))"),
        ({"weight_decay": 0.1}, "Constant(absolute(0.1))"),
        (
            {
                "start_weight_decay": 0.01,
                "end_weight_decay": 0.1,
                "weight_decay_incr_style": "cosine",
                "train_iters": 100,
            },
            "Cosine(100, start=absolute(0.01), end=absolute(0.1))",
        ),
        (
            {
                "start_wd": 0,
                "end_wd": 0.1,
                "wd_incr_style": "linear",
                "wd_incr_steps": 100,
                "global_batch_size": 8,
            },
            "PiecewiseLinear(((0, absolute(0)), (12.5, absolute(0.1))))",
        ),
    ],
)
def test_weight_decays_are_these_plans(arguments, text):
    """The weight decay is a plan of its own."""
    assert repr(from_megatron(key="weight_decay", **arguments)) == text


def test_a_command_a_namespace_a_dict_and_a_call_are_the_same():
    """A command and a namespace are read as far as they are about schedules."""
    expected = from_megatron(lr=3e-4, min_lr=3e-5, lr_decay_style="cosine", train_iters=1000)
    command = """
        torchrun --nproc-per-node 8 pretrain_gpt.py \\
            --num-layers 24 --bf16 --lr 3.0e-4 --min-lr=3e-5 \\
            --lr-decay-style cosine \\
            --train-iters 1000  # a comment
    """
    names = {"lr": 3e-4, "min_lr": 3e-5, "lr_decay_style": "cosine", "train_iters": 1000}
    everything = Namespace(
        num_layers=24, bf16=True, lr_warmup_samples=0, lr_warmup_fraction=None, **names
    )
    dashed = {f"--{name.replace('_', '-')}": value for name, value in names.items()}
    for args in (command, everything, names, dashed):
        assert from_megatron(args) == expected
    assert from_megatron(names, lr_decay_style="linear") != expected


def test_what_is_none_is_not_given():
    """Argparse puts None for what is not on the command line."""
    given = {"lr_warmup_fraction": None, "train_samples": None, "rampup_batch_size": None}
    assert from_megatron(**RUN, **given) == from_megatron(**RUN)


def test_updates_may_pass_over_the_end_of_the_warmup():
    """Phases end between two updates where the batch does not divide them."""
    plan = from_megatron(**SAMPLES, lr_warmup_samples=100, lr_decay_style="linear")
    for update in range(40):
        n = 32 * update
        expected = 0.1 * n / 100 if n <= 100 else 0.1 * max(0, 1 - (n - 100) / 900)
        assert plan(update) == pytest.approx(expected, abs=1e-15)


REFUSED = [
    ({"lr_decay_style": "cosine"}, "'train_iters' or 'train_samples' must be given, and not both"),
    ({**RUN, "train_samples": 5}, "must be given, and not both (got both)"),
    (
        {"lr": 0.1, "train_samples": 100},
        "'global_batch_size' must be given with 'train_samples', as one update is that many samp",
    ),
    (
        {**RUN, "lr_warmup_samples": 10},
        "'lr_warmup_samples' must not be given with 'train_iters' (got 10); give 'lr_warmup_iters'",
    ),
    (
        {**SAMPLES, "lr_decay_iters": 10},
        "'lr_decay_iters' must not be given with 'train_samples' (got 10); give 'lr_decay_samples'",
    ),
    (
        {**RUN, "lr_warmup_fraction": 0.1, "lr_warmup_iters": 5},
        "'lr_warmup_fraction' must not be given with 'lr_warmup_iters' (got 0.1 and 5)",
    ),
    (
        {**RUN, "lr_warmup_iters": 100},
        "the warm-up must be shorter than the decay, which includes it (got 100 and 100 samples)",
    ),
    (
        {**RUN, "min_lr": 0.2},
        "the peak must be >= the first and the least rate (got 0.1, with 0.0 and 0.2)",
    ),
    (
        {**RUN, "lr_decay_style": "cosin"},
        "'lr_decay_style' must be one of 'constant', 'linear', 'cosine', 'inverse-square-root', "
        "'WSD' (got 'cosin'); did you mean 'cosine'?",
    ),
    (
        {**RUN, "lr_decay_style": "WSD"},
        "the length of the cooldown must be given for 'WSD'; write lr_wsd_decay_iters=...",
    ),
    (
        {**RUN, "lr_decay_style": "WSD", "lr_wsd_decay_iters": 5, "lr_wsd_decay_style": "sqrt"},
        "'lr_wsd_decay_style' must be one of 'linear', 'cosine', 'exponential', 'minus_sqrt' (got "
        "'sqrt')",
    ),
    (
        {**RUN, "lr_decay_style": "inverse-square-root"},
        "'global_batch_size' must be given: without a warm-up an inverse square root falls from",
    ),
    ({**RUN, "rampup_batch_size": [16, 16, 100]}, "'rampup_batch_size' makes the updates differ"),
    ({**RUN, "decoupled_lr": 0.2}, "'decoupled_lr' gives the embeddings and the output layer a"),
    ({**RUN, "lr_warmup_iter": 5}, "unknown argument 'lr_warmup_iter'; did you mean 'lr_warmup_it"),
    (
        {**RUN, "max_lr": 0.1},
        "the arguments must be those of the command line or those of OptimizerParamScheduler (got "
        "'lr' and 'max_lr')",
    ),
    ({"max_lr": 0.1, "lr_decay_steps": 5}, "'lr_decay_style' must be given"),
    ({"max_lr": 0.1, "lr_decay_style": "linear"}, "'lr_decay_steps' must be given"),
    ({**RUN, "lr": "${LR}"}, "'lr' must be a number (got '${LR}')"),
    (
        {"key": "weight_decay", "weight_decay_incr_style": "linear", "train_iters": 5},
        "'start_weight_decay' must be given",
    ),
    (
        {"key": "weight_decay", "start_weight_decay": 0.1, "end_weight_decay": 0.2},
        "a constant weight decay must end where it starts (got 0.1 and 0.2)",
    ),
    (
        {"key": "weight_decay", "start_wd": 0.2, "end_wd": 0.1, "wd_incr_style": "linear"},
        "the weight decay must not fall (got 0.2 and 0.1)",
    ),
    (
        {"key": "weight_decay", "start_wd": 0.1, "end_wd": 0.2, "wd_incr_style": "linear"},
        "'wd_incr_steps' must be given, and more than 0",
    ),
    ({**RUN, "key": "momentum"}, "'key' must be one of 'lr', 'weight_decay' (got 'momentum')"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[m[:50] for _, m in REFUSED])
def test_what_cannot_be_read_is_refused(arguments, message):
    """The message says where, what is demanded, what was given and, where it can, what to type."""
    with pytest.raises(ArgumentError) as caught:
        from_megatron(**arguments)
    assert str(caught.value).startswith("from_megatron: ")
    assert message in str(caught.value)


def test_what_is_no_set_of_arguments_is_refused():
    """A list of words is not a command."""
    with pytest.raises(ArgumentError, match="'args' must be a dict, a namespace or a command"):
        from_megatron(["--lr", "0.1"])
