"""Parameter groups: each parameter once, at the rate of its layer or rule."""

import itertools
import math
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import cadence as cd
from cadence.errors import ArgumentError
from cadence.param_groups import layers_of
from optimizers import held

# Small models that are built as well-known ones are.


class Block(nn.Module):
    """A transformer's: modules, a list of leaves, and on request a list of modules side by side."""

    def __init__(self, experts: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.attn = nn.MultiheadAttention(4, 1)
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
        if experts:
            self.experts = nn.ModuleList(Mlp() for _ in range(experts))


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)


class Vit(nn.Module):
    """Names and order of timm's VisionTransformer."""

    def __init__(self, depth: int = 4) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 4))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, 4, 2)
        self.norm_pre = nn.Identity()
        self.blocks = nn.Sequential(*(Block() for _ in range(depth)))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)


class Gpt(nn.Module):
    """Names and order of GPT-2 in transformers, with tied embeddings."""

    def __init__(self, depth: int = 3) -> None:
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.wte = nn.Embedding(7, 4)
        self.transformer.wpe = nn.Embedding(5, 4)
        self.transformer.h = nn.ModuleList(Block(experts=2) for _ in range(depth))
        self.transformer.ln_f = nn.LayerNorm(4)
        self.lm_head = nn.Linear(4, 7, bias=False)
        self.lm_head.weight = self.transformer.wte.weight


class Seq2Seq(nn.Module):
    """Encoder and decoder, each with positions of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Embedding(7, 4)
        for name in ("encoder", "decoder"):
            side = nn.Module()
            side.positions = nn.Embedding(5, 4)
            side.layers = nn.ModuleList(Block() for _ in range(2))
            side.norm = nn.LayerNorm(4)
            setattr(self, name, side)
        self.lm_head = nn.Linear(4, 7)


class ResNet(nn.Module):
    """Names and order of torchvision's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        for i in (1, 2):
            blocks = [nn.Module() for _ in range(2)]
            for block in blocks:
                block.conv1, block.bn1 = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.fc = nn.Linear(4, 2)


class Lstm(nn.Module):
    """A language model as ULMFiT has it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Embedding(7, 4)
        self.rnns = nn.ModuleList(nn.LSTM(4, 4) for _ in range(3))
        self.decoder = nn.Linear(4, 7)


class Wrapped(nn.Module):
    """What DistributedDataParallel does to names."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def convolutions():
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3)),
        nn.Flatten(),
        nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 2)),
    )


LAYERS = {
    "vit": (Vit, "cls_token|pos_embed|patch_embed", r"blocks\.(\d+)", "norm", "head"),
    "gpt": (Gpt, r"\w+\.wte|\w+\.wpe", r"\w+\.h\.(\d+)", r"\w+\.ln_f", "lm_head"),
    "wrapped": (
        lambda: Wrapped(Vit()),
        r"module\.(?:cls_token|pos_embed|patch_embed)",
        r"module\.blocks\.(\d+)",
        r"module\.norm",
        r"module\.head",
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_models_with_blocks(name):
    """Embeddings are the lowest layer, then the blocks, the last with the norm, then the head."""
    make, first, block, norm, head = LAYERS[name]
    layers = layers_of(make())
    depth = max(int(m[1]) for m in map(re.compile(block).match, layers) if m) + 1
    for parameter, layer in layers.items():
        number = re.match(block, parameter)
        if number:
            assert layer == int(number[1]) + 1
        elif re.match(rf"(?:{norm})\.", parameter):
            assert layer == depth
        elif re.match(rf"(?:{head})\.", parameter):
            assert layer == depth + 1
        else:
            assert re.match(first, parameter)
            assert layer == 0


def firsts(model):
    """The layers by the first two parts of the parameters' names, once each."""
    return {
        ".".join(name.split(".")[:n]): layer
        for name, layer in layers_of(model).items()
        for n in (2 if name[0] == "0" else 3,)
    }


def test_an_encoder_is_below_its_decoder():
    """Their blocks count on, and the embeddings of both are the lowest."""
    assert firsts(Seq2Seq()) == {
        "shared.weight": 0,
        "encoder.positions.weight": 0,
        "encoder.layers.0": 1,
        "encoder.layers.1": 2,
        "encoder.norm.weight": 2,
        "encoder.norm.bias": 2,
        "decoder.positions.weight": 0,
        "decoder.layers.0": 3,
        "decoder.layers.1": 4,
        "decoder.norm.weight": 4,
        "decoder.norm.bias": 4,
        "lm_head.weight": 5,
        "lm_head.bias": 5,
    }


def test_the_blocks_of_stages_count_on():
    """In a ResNet each block is a layer, after the stem."""
    layers = layers_of(ResNet())
    assert [layers[f"layer{i}.{j}.conv1.weight"] for i in (1, 2) for j in (0, 1)] == [1, 2, 3, 4]
    assert {layers[name] for name in ("conv1.weight", "bn1.weight", "bn1.bias")} == {0}
    assert layers["fc.weight"] == 5


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: nn.Linear(2, 2), {"weight": 0, "bias": 0}),
        (Lstm, {"encoder": 0, "rnns.0": 1, "rnns.1": 2, "rnns.2": 3, "decoder": 4}),
        (convolutions, {"0.0": 0, "0.1": 0, "0.3": 1, "2.0": 2, "2.2": 3}),
        (lambda: Wrapped(convolutions()), {
            "module.0.0": 0, "module.0.3": 1, "module.2.0": 2, "module.2.2": 3,
        }),
        (lambda: nn.Sequential(Block(), Block()), {"0": 1, "1": 2}),
        (Mlp, {"up": 0, "down": 1}),
        (lambda: nn.Transformer(4, 2, 2, 2, 8, batch_first=True), {
            "encoder.layers.0": 1, "encoder.layers.1": 2, "encoder.norm": 2,
            "decoder.layers.0": 3, "decoder.layers.1": 4, "decoder.norm": 4,
        }),
    ],
    ids=["leaf", "lstm", "convolutions", "wrapped", "blocks", "children", "torch's transformer"],
)  # fmt: skip
def test_layers_of_other_models(make, expected):
    """Without blocks each child is a layer, those of a list one by one, with their norms."""
    layers = layers_of(make())
    for prefix, layer in expected.items():
        own = {at for name, at in layers.items() if name == prefix or name.startswith(f"{prefix}.")}
        assert own == {layer}, prefix
    assert set(layers.values()) == set(expected.values())


def timm_layers(model, depth):
    """Layer ids of a ViT as in timm, from its `group_matcher` and `group_with_matcher`.

    A name belongs to the stem, to the block of its number, or, for the last norm, to the block
    before; what matches nothing is the head. The ordinals are then numbered from 0.
    """

    def layer(name):
        if re.match(r"^cls_token|reg_token|pos_embed|patch_embed|norm_pre", name):
            return 0
        block = re.match(r"^blocks\.(\d+)", name)
        if block:
            return 1 + int(block[1])
        return depth if re.match(r"^norm", name) else depth + 1

    return {name: layer(name) for name, _ in model.named_parameters()}


@pytest.mark.parametrize("depth", [2, 4, 12])
@pytest.mark.parametrize("decay", [0.65, 0.75, 1.0])
def test_a_vision_transformer_is_grouped_as_in_timm(depth, decay):
    """The groups of `param_groups_layer_decay`: the same members, scales and weight decays."""
    model = Vit(depth)
    layers, top, kept = timm_layers(model, depth), depth + 1, ("pos_embed", "cls_token")
    theirs = {}
    for name, parameter in model.named_parameters():
        weight_decay = 0.0 if parameter.ndim <= 1 or name in kept else 0.05
        key = (decay ** (top - layers[name]), weight_decay, layers[name])
        theirs.setdefault(key, set()).add(name)
    names = {id(p): name for name, p in model.named_parameters()}
    ours = {
        (g["lr"], g["weight_decay"], int(g["name"].split("_")[1])): {
            names[id(p)] for p in g["params"]
        }
        for g in cd.layerwise(model, lr=1.0, decay=decay, weight_decay=0.05, no_decay=kept)
    }
    assert ours == theirs


def test_discriminative_rates_are_those_of_ulmfit():
    """Each layer's rate is that of the next one divided by 2.6."""
    groups = cd.layerwise(Lstm(), lr=0.01, decay=1 / 2.6)
    rates = [group["lr"] for group in groups]
    assert rates[-1] == 0.01
    for low, high in itertools.pairwise(rates):
        assert low == pytest.approx(high / 2.6)
    assert [group["name"] for group in groups] == [f"layer_{i}" for i in range(5)]


def test_layers_may_be_told():
    """`layer_of` is asked for each name; layers without parameters leave a gap in the rates."""

    def layer_of(name):
        return {"up": 3, "down": 1}[name.split(".")[0]]

    groups = cd.layerwise(Mlp(), lr=1.0, decay=0.5, layer_of=layer_of)
    assert [(g["name"], g["lr"]) for g in groups] == [("layer_1", 0.25), ("layer_3", 1.0)]


def test_frozen_layers_count():
    """Which layers train changes no other layer's rate."""
    model = Vit()
    whole = {g["name"]: g["lr"] for g in cd.layerwise(model, lr=1.0)}
    model.head.requires_grad_(requires_grad=False)
    model.blocks[1].requires_grad_(requires_grad=False)
    part = {g["name"]: g["lr"] for g in cd.layerwise(model, lr=1.0)}
    assert whole.keys() - part.keys() == {"layer_2", "layer_5"}
    assert part == {name: whole[name] for name in part}
    kept = cd.layerwise(model, lr=1.0, frozen="keep")
    assert {g["name"]: g["lr"] for g in kept} == whole
    assert sum(len(g["params"]) for g in kept) == len(list(model.parameters()))


@st.composite
def modules(draw, depth=3):
    """A tree of lists and plain modules, with leaves of all kinds, some shared, some frozen."""
    leaves = [
        lambda: nn.Linear(2, 2),
        lambda: nn.LayerNorm(2),
        lambda: nn.Embedding(3, 2),
        nn.ReLU,
        nn.Identity,
    ]
    if depth == 0:
        return draw(st.sampled_from(leaves))()
    parts = draw(st.lists(modules(depth=depth - 1), max_size=4))
    if parts and draw(st.booleans()):
        parts.append(draw(st.sampled_from(parts)))
    kind = draw(st.sampled_from([nn.Sequential, nn.ModuleList, nn.Module]))
    if kind is not nn.Module:
        return nn.Sequential(*parts) if kind is nn.Sequential else nn.ModuleList(parts)
    made = nn.Module()
    if draw(st.booleans()):
        made.token = nn.Parameter(torch.zeros(1, 2))
    for i, part in enumerate(parts):
        made.add_module(f"part{i}", part)
    for parameter in made.parameters():
        parameter.requires_grad_(draw(st.booleans()))
    return made


@given(modules(), st.sampled_from([0.5, 0.75, 1.0]), st.booleans())
def test_every_trainable_parameter_is_in_one_group(model, decay, no_decay):
    """Whatever the model: each once, at the rate of its layer, and all groups have names."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        with pytest.raises(ArgumentError, match=r"^layerwise: 'model' must have "):
            cd.layerwise(model, lr=0.1, decay=decay)
        return
    groups = cd.layerwise(model, lr=0.1, decay=decay, weight_decay=0.5, no_decay=no_decay)
    inside = [id(p) for group in groups for p in group["params"]]
    assert sorted(inside) == sorted(map(id, trainable))
    assert len({group["name"] for group in groups}) == len(groups)
    layers = layers_of(model)
    assert set(layers) == {name for name, _ in model.named_parameters()}
    assert min(layers.values()) >= 0
    top, names = max(layers.values()), {id(p): name for name, p in model.named_parameters()}
    for group in groups:
        for parameter in group["params"]:
            assert group["lr"] == 0.1 * decay ** (top - layers[names[id(parameter)]])
            exempt = no_decay and parameter.ndim <= 1
            assert group["weight_decay"] == (0.0 if exempt else 0.5)
    torch.optim.AdamW(groups)


# Groups by rules.


def test_groups_by_rules():
    """Multiples, own values, functions and the rest; what is given for all is in each."""
    model = Vit()
    groups = cd.groups(
        model,
        {
            "^blocks": 0.1,
            "^head": {"lr": 0.5, "weight_decay": 0.3, "name": "top"},
            lambda name, parameter: "embed" in name and parameter.ndim == 3: {
                "name": "positions", "betas": (0.8, 0.9),
            },
        },
        lr=0.02,
        weight_decay=0.1,
        rest=2,
        betas=(0.9, 0.98),
    )  # fmt: skip
    told = [(g["name"], g["lr"], g["weight_decay"], g["betas"]) for g in groups]
    assert told == [
        ("^blocks", 0.002, 0.1, (0.9, 0.98)),
        ("top", 0.5, 0.3, (0.9, 0.98)),
        ("positions", 0.02, 0.1, (0.8, 0.9)),
        ("rest", 0.04, 0.1, (0.9, 0.98)),
    ]
    assert groups[2]["params"] == [model.pos_embed]
    optimizer = torch.optim.AdamW(groups)
    scheduler = cd.Scheduler(optimizer, lr=cd.Linear(10, end=0.5))
    scheduler.seek(10)
    assert held(optimizer) == [0.001, 0.25, 0.01, 0.02]


def test_no_decay_for_biases_and_norms():
    """Parameters of one dimension, and those that a pattern finds, go without weight decay."""
    model = Vit()
    groups = cd.groups(
        model, {"head": 1}, lr=0.1, rest=0.1, weight_decay=0.3, no_decay="token|pos_embed"
    )
    by_name = {g["name"]: g for g in groups}
    assert list(by_name) == ["head", "head_no_decay", "rest", "rest_no_decay"]
    assert by_name["head"]["params"] == [model.head.weight]
    assert by_name["head_no_decay"]["params"] == [model.head.bias]
    assert [g["weight_decay"] for g in groups] == [0.3, 0.0, 0.3, 0.0]
    assert all(p.ndim > 1 for p in by_name["rest"]["params"])
    thick = [p for p in by_name["rest_no_decay"]["params"] if p.ndim > 1]
    assert {id(p) for p in thick} == {id(model.cls_token), id(model.pos_embed)}
    # Without a weight decay of one's own the optimizer's default is for the others.
    groups = cd.groups(model, {"": 1}, lr=0.1, no_decay=True)
    assert [g.get("weight_decay") for g in groups] == [None, 0.0]
    assert torch.optim.AdamW(groups, weight_decay=0.2).param_groups[0]["weight_decay"] == 0.2


def test_a_shared_parameter_counts_once():
    """Tied embeddings are in the group of their first name."""
    model = Gpt()
    groups = cd.groups(model, {r"\.wte": 0.5, r"\.(h|wpe|ln_f)\b": 1}, lr=1.0)
    assert groups[0]["params"] == [model.lm_head.weight]
    assert len(list(model.parameters())) == sum(len(g["params"]) for g in groups)
    assert "lm_head.weight" not in layers_of(model)


def test_frozen_parameters_are_left_out_or_kept():
    """A group all of whose parameters are frozen is left out, and its pattern is no mistake."""
    model = Vit()
    model.blocks.requires_grad_(requires_grad=False)
    left = cd.groups(model, {"blocks": 0.1}, lr=1.0, rest=1)
    assert [g["name"] for g in left] == ["rest"]
    kept = cd.groups(model, {"blocks": 0.1}, lr=1.0, rest=1, frozen="keep")
    assert [g["name"] for g in kept] == ["blocks", "rest"]
    # What is frozen need not have a group.
    assert len(cd.groups(model, {"^(?!blocks)": 1}, lr=1.0)) == 1


BAD = [
    (lambda m: cd.groups(m, {"block": 1}, lr=1.0),
     "groups: every parameter must be in one group (got 'cls_token' and 7 more in none); write "
     "rest=1.0 for all others"),
    (lambda m: cd.groups(m, {"blocks": 1, "norm": 1}, lr=1.0, rest=1),
     "groups: every parameter must be in one group (got 'blocks.0.norm.weight' in those of "
     "'blocks' and 'norm'); narrow one, for instance with '^' for the beginning of a name"),
    (lambda m: cd.groups(m, {"^patch_embd": 1}, lr=1.0, rest=1),
     "groups: '^patch_embd' must match a parameter (got none); did you mean 'patch_embed'?"),
    (lambda m: cd.groups(m, {"heads": 1}, lr=1.0, rest=1),
     "groups: 'heads' must match a parameter (got none); did you mean 'head'?"),
    (lambda m: cd.groups(m, {"xyz": 1}, lr=1.0, rest=1),
     "groups: 'xyz' must match a parameter (got none)"),
    (lambda m: cd.groups(Gpt(), {"lm_head": 1}, lr=1.0, rest=1),
     "groups: 'lm_head' must match a parameter (got none); 'lm_head.weight' is the same parameter "
     "as 'transformer.wte.weight'"),
    (lambda m: cd.groups(m, {lambda name, p: False: {"name": "a"}}, lr=1.0, rest=1),
     "groups: <lambda> must match a parameter (got none)"),
    (lambda m: cd.groups(m, {lambda name, p: True: 1}, lr=1.0),
     "groups: the group of <lambda> must have a name; write {'name': 'head', 'lr': ...}"),
    (lambda m: cd.groups(m, {"head": {"params": []}}, lr=1.0),
     "groups: the group of 'head' must not hold 'params'; its pattern says which they are"),
    (lambda m: cd.groups(m, {"(": 1}, lr=1.0),
     "groups: 'rules' must hold regular expressions (got '(': missing ), unterminated subpattern "
     "at position 0)"),
    (lambda m: cd.groups(m, {7: {"name": "a"}}, lr=1.0),
     "groups: 'rules' must hold patterns, which are regular expressions or functions of name and "
     "parameter (got 7)"),
    (lambda m: cd.groups(m, {"head": -1}, lr=1.0), "groups: 'head' must be >= 0 (got -1)"),
    (lambda m: cd.groups(m, {"head": {"lr": "fast"}}, lr=1.0),
     "groups: 'lr of head' must be a number (got 'fast')"),
    (lambda m: cd.groups(m, {}, lr=1.0),
     "groups: 'rules' must be a dict of patterns (got {}); write {'backbone': 0.1, 'head': 1}"),
    (lambda m: cd.groups(m, {"head": {"name": "rest"}}, lr=1.0, rest=1),
     "groups: groups must have different names (got 'rest' twice)"),
    (lambda m: cd.groups(m, {"": 1}, lr=1.0, no_decay="normm"),
     "groups: 'normm' must match a parameter (got none); did you mean 'norm'?"),
    (lambda m: cd.groups(m, {"": 1}, lr=1.0, no_decay=3),
     "groups: 'no_decay' must be True, False or patterns (got 3)"),
    (lambda m: cd.groups(m, {"": 1}, lr=1.0, frozen="drop"),
     "groups: 'frozen' must be one of 'omit', 'keep' (got 'drop')"),
    (lambda m: cd.groups(m.parameters(), {"": 1}, lr=1.0), None),
    (lambda m: cd.groups(nn.ReLU(), {"": 1}, lr=1.0),
     "groups: 'model' must have parameters (got none)"),
    (lambda m: cd.layerwise(m, lr=1.0, decay=0), "layerwise: 'decay' must be > 0 (got 0)"),
    (lambda m: cd.layerwise(m, lr=1.0, decay=1.5), "layerwise: 'decay' must be <= 1 (got 1.5)"),
    (lambda m: cd.layerwise(m, lr=-1.0), "layerwise: 'lr' must be >= 0 (got -1.0)"),
    (lambda m: cd.layerwise(m, lr=1.0, weight_decay=math.nan),
     "layerwise: 'weight_decay' must be finite (got nan)"),
    (lambda m: cd.layerwise(m, lr=1.0, layer_of=lambda name: None),
     "layerwise: 'layer_of('cls_token')' must be a whole number (got None)"),
    (lambda m: cd.layerwise(m.requires_grad_(requires_grad=False), lr=1.0),
     "layerwise: 'model' must have a parameter that needs a gradient (got none); write "
     "frozen='keep'"),
    (lambda m: cd.scaled(0.1, batch=0, reference_batch=256),
     "scaled: 'batch' must be > 0 (got 0)"),
    (lambda m: cd.scaled(0.1, batch=256, reference_batch=None),
     "scaled: 'reference_batch' must be a number (got None)"),
    (lambda m: cd.scaled(0.1, batch=256, reference_batch=1, rule="sqr"),
     "scaled: 'rule' must be one of 'linear', 'sqrt' (got 'sqr'); did you mean 'sqrt'?"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_calls_say_what_to_type(call, message):
    """Where, what is demanded, what was given, and what may have been meant."""
    with pytest.raises(ArgumentError) as caught:
        call(Vit())
    if message is None:
        assert str(caught.value).startswith("groups: 'model' must be a torch.nn.Module (got <gen")
    else:
        assert str(caught.value) == message


# With a scheduler.


def test_one_plan_for_all_layers():
    """Every layer follows the plan at its own rate."""
    optimizer = torch.optim.AdamW(cd.layerwise(Vit(), lr=1e-3, decay=0.5))
    bases = held(optimizer)
    plan = cd.Warmup(10) >> cd.Cosine(90)
    scheduler = cd.Scheduler(optimizer, lr=plan)
    for step in (0, 5, 50, 100):
        scheduler.seek(step)
        assert held(optimizer) == [plan(step, base) for base in bases]


def test_layers_are_unfrozen_one_by_one():
    """A group that is added later follows the plan of its name from then on."""
    model = Lstm()
    *lower, top = cd.layerwise(model, lr=1.0, decay=0.5, frozen="keep")
    for group in lower:
        for parameter in group["params"]:
            parameter.requires_grad_(requires_grad=False)
    optimizer = torch.optim.SGD([top])
    plans = {"layer_4": "Linear(100)"}
    plans |= {f"layer_{i}": f"Constant(0, {10 * (4 - i)}) >> Warmup(10)" for i in range(4)}
    scheduler = cd.Scheduler(optimizer, lr=plans, total_steps=100)
    for step in range(1, 41):
        optimizer.step()
        if step % 10 == 0:
            group = lower.pop()
            for parameter in group["params"]:
                parameter.requires_grad_(requires_grad=True)
            optimizer.add_param_group(group)
        scheduler.step()
        expected = [
            cd.parse(plans[g["name"]])(step, 0.5 ** (4 - int(g["name"][-1])))
            for g in optimizer.param_groups
        ]
        assert held(optimizer) == expected
    assert lower == []
    assert all(p.requires_grad for p in model.parameters())


# Batch sizes.


@given(st.floats(1e-6, 1), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_scaling_goes_there_and_back(lr, a, b, c):
    """By way of a third batch size is as good as at once, and back again is where one was."""
    for rule, power in (("linear", 1), ("sqrt", 0.5)):
        there = cd.scaled(lr, batch=b, reference_batch=a, rule=rule)
        assert there == pytest.approx(lr * (b / a) ** power)
        on = cd.scaled(there, batch=c, reference_batch=b, rule=rule)
        assert on == pytest.approx(cd.scaled(lr, batch=c, reference_batch=a, rule=rule))
        assert cd.scaled(there, batch=a, reference_batch=b, rule=rule) == pytest.approx(lr)


def test_scaling_as_published():
    """Goyal et al.: 0.1 for 256 images is 3.2 for 8,192."""
    assert cd.scaled(0.1, batch=8192, reference_batch=256) == pytest.approx(3.2)


def test_the_names_cost_no_torch():
    """Asking for the functions does not load torch; a model has loaded it already."""
    code = "import sys, cadence as cd; cd.scaled(1, batch=2, reference_batch=1); cd.layerwise"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"], check=False
    )
    assert done.returncode == 0
