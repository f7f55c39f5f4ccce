"""Layers as they are found in models that people fine-tune, built by transformers itself."""

import re

import pytest

from cadence.param_groups import layers_of

pytestmark = pytest.mark.peers

SMALL = {"vocab_size": 60, "num_attention_heads": 2, "num_hidden_layers": 3}
MODELS = {
    "BertForSequenceClassification": (
        "BertConfig",
        {**SMALL, "hidden_size": 8, "intermediate_size": 8},
        r"bert\.encoder\.layer\.(\d+)",
    ),
    "LlamaForCausalLM": (
        "LlamaConfig",
        {**SMALL, "hidden_size": 8, "intermediate_size": 8},
        r"model\.layers\.(\d+)",
    ),
    "MixtralForCausalLM": (
        "MixtralConfig",
        {
            **SMALL,
            "hidden_size": 8,
            "intermediate_size": 8,
            "num_key_value_heads": 2,
            "num_local_experts": 2,
        },
        r"model\.layers\.(\d+)",
    ),
    "GPT2LMHeadModel": (
        "GPT2Config",
        {"vocab_size": 60, "n_embd": 8, "n_layer": 3, "n_head": 2, "bos_token_id": 1,
         "eos_token_id": 1},
        r"transformer\.h\.(\d+)",
    ),
    "ViTForImageClassification": (
        "ViTConfig",
        {
            "hidden_size": 8,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "intermediate_size": 8,
            "image_size": 32,
        },
        r"vit\..*layers?\.(\d+)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_blocks_are_layers(name):
    """Embeddings are layer 0, block i is layer i + 1, the last with the norm, then the head."""
    transformers = pytest.importorskip("transformers")
    config, options, block = MODELS[name]
    model = getattr(transformers, name)(getattr(transformers, config)(**options))
    layers = layers_of(model)
    last = 0
    for parameter, layer in layers.items():
        number = re.match(block, parameter)
        if number:
            last = int(number[1]) + 1
            assert layer == last, parameter
        elif last == 0:
            assert layer == 0, parameter
        else:
            thin = model.get_parameter(parameter).ndim <= 1 and "norm" in parameter.lower()
            is_norm = thin or re.search(r"\.ln_f\.", parameter)
            assert layer == (last if is_norm else last + 1), parameter
    assert last == 3
