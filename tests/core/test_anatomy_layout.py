"""How stored tensors divide: fused, stacked, transposed, quantised, tied, masked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.anatomy import tensor, tensors_in_safetensors, tensors_of
from support.tiny_models import build
from support.wheels import path_of

from thermoscan.anatomy import Anatomy, Layer, Role, dissect
from thermoscan.anatomy.catalogue import CATALOGUE
from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType
from thermoscan.errors import LimitError


def named(anatomy: Anatomy) -> dict[str, Layer]:
    return {layer.name: layer for layer in anatomy.layers}


def span(layer: Layer) -> tuple[Role, int, int, int]:
    return layer.role, layer.out_axis, layer.start, layer.stop


def not_analysed(anatomy: Anatomy) -> dict[str, str]:
    return {item.tensor: item.reason for item in anatomy.not_analysed}


def test_gpt2_attention_is_split_along_its_columns() -> None:
    config = {"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1}
    tensors = [
        tensor("h.0.ln_1.weight", 8),
        tensor("h.0.attn.c_attn.bias", 24),
        tensor("h.0.attn.c_attn.weight", 8, 24),
        tensor("h.0.attn.c_proj.weight", 8, 8),
    ]
    layers = named(dissect(tensors, config))
    stem = "h.0.attn.c_attn.weight"
    assert span(layers[f"{stem}[query]"]) == (Role.QUERY, 1, 0, 8)
    assert span(layers[f"{stem}[key]"]) == (Role.KEY, 1, 8, 16)
    assert span(layers[f"{stem}[value]"]) == (Role.VALUE, 1, 16, 24)
    assert layers["h.0.attn.c_proj.weight"].out_axis == 1
    value_bias = layers[f"{stem}[value]"].bias
    assert value_bias is not None
    assert (value_bias.start, value_bias.stop) == (16, 24)


def test_nanogpt_has_the_same_names_and_ordinary_linear_maps() -> None:
    tensors = [
        tensor("transformer.h.0.attn.c_attn.weight", 24, 8),
        tensor("transformer.h.0.attn.c_proj.weight", 8, 8),
    ]
    assert {layer.out_axis for layer in dissect(tensors).layers} == {0}


def test_grouped_queries_are_split_by_the_head_counts_of_the_configuration() -> None:
    config = {
        "model_type": "phi3",
        "hidden_size": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
    }
    fused = [tensor("model.layers.0.self_attn.qkv_proj.weight", 12, 8)]
    assert [span(layer) for layer in dissect(fused, config).layers] == [
        (Role.QUERY, 0, 0, 8),
        (Role.KEY, 0, 8, 10),
        (Role.VALUE, 0, 10, 12),
    ]
    assert [layer.role for layer in dissect(fused, {}).layers] == [Role.QUERY_KEY_VALUE]


def test_queries_that_alternate_with_keys_head_by_head_are_not_cut() -> None:
    tensors = [tensor("gpt_neox.layers.0.attention.query_key_value.weight", 24, 8)]
    assert [span(layer) for layer in dissect(tensors).layers] == [(Role.QUERY_KEY_VALUE, 0, 0, 24)]


def expert_tensors(inputs_last: bool) -> list[Tensor]:
    prefix = "model.layers.0.mlp.experts."
    up, down = ((3, 10, 8), (3, 8, 5)) if inputs_last else ((3, 8, 10), (3, 5, 8))
    return [tensor(f"{prefix}gate_up_proj", *up), tensor(f"{prefix}down_proj", *down)]


@pytest.mark.parametrize(("inputs_last", "axis"), [(True, 1), (False, 2)])
def test_stacked_experts_are_one_matrix_each_and_the_gate_is_the_engine(
    inputs_last: bool, axis: int
) -> None:
    anatomy = dissect(expert_tensors(inputs_last), {"model_type": "mixtral"})
    layers = named(anatomy)
    assert len(layers) == 9
    for expert in range(3):
        stem = f"model.layers.0.mlp.experts.gate_up_proj[{expert}]"
        gate, up = layers[f"{stem}[gate]"], layers[f"{stem}[up]"]
        assert (gate.group, span(gate), gate.shape) == (expert, (Role.GATE, axis, 0, 5), (5, 8))
        assert (up.group, span(up), up.shape) == (expert, (Role.UP, axis, 5, 10), (5, 8))
        assert (gate.activation, gate.engine) == ("silu", True)
        assert (up.activation, up.engine) == ("identity", False)
        down = layers[f"model.layers.0.mlp.experts.down_proj[{expert}]"]
        assert (down.group, span(down), down.shape) == (expert, (Role.DOWN, axis, 0, 8), (8, 5))


def test_experts_stored_one_by_one_keep_the_depth_of_their_block_and_a_router_routes() -> None:
    prefix = "model.layers.7.mlp"
    tensors = [tensor(f"{prefix}.gate.weight", 2, 8)]
    for expert in range(2):
        tensors += [
            tensor(f"{prefix}.experts.{expert}.{word}_proj.weight", *shape)
            for word, shape in (("gate", (5, 8)), ("up", (5, 8)), ("down", (8, 5)))
        ]
    layers = named(dissect(tensors, {"model_type": "qwen3_moe"}))
    assert {layer.depth for layer in layers.values()} == {7}
    assert layers[f"{prefix}.gate.weight"].role is Role.ROUTER
    assert layers[f"{prefix}.experts.1.gate_proj.weight"].engine
    assert not layers[f"{prefix}.experts.1.up_proj.weight"].engine


def test_metas_own_llama_names_are_understood() -> None:
    tensors = [
        tensor(f"layers.0.{name}.weight", *shape)
        for name, shape in {
            "attention.wq": (8, 8),
            "attention.wo": (8, 8),
            "feed_forward.w1": (20, 8),
            "feed_forward.w2": (8, 20),
            "feed_forward.w3": (20, 8),
        }.items()
    ]
    assert [layer.role for layer in dissect(tensors).layers] == [
        Role.QUERY,
        Role.ATTENTION_OUTPUT,
        Role.GATE,
        Role.UP,
        Role.DOWN,
    ]


def test_vit_as_its_older_checkpoints_name_it() -> None:
    block = "vit.encoder.layer.0."
    shapes = {
        f"{block}attention.attention.query.weight": (8, 8),
        f"{block}attention.output.dense.weight": (8, 8),
        f"{block}intermediate.dense.weight": (32, 8),
        f"{block}output.dense.weight": (8, 32),
        f"{block}layernorm_before.weight": (8,),
        f"{block}layernorm_after.weight": (8,),
        "vit.layernorm.weight": (8,),
        "classifier.weight": (3, 8),
    }
    anatomy = dissect([tensor(n, *s) for n, s in shapes.items()], {"model_type": "vit"})
    fed = {layer.role: layer.norm and layer.norm.gain for layer in anatomy.layers}
    assert fed == {
        Role.QUERY: f"{block}layernorm_before.weight",
        Role.ATTENTION_OUTPUT: None,
        Role.UP: f"{block}layernorm_after.weight",
        Role.DOWN: None,
        Role.HEAD: "vit.layernorm.weight",
    }


def test_gpt2s_causal_masks_are_buffers() -> None:
    tensors = [
        tensor("h.0.attn.bias", 1, 1, 16, 16),
        tensor("h.0.attn.masked_bias"),
        tensor("h.1.attn.bias", 1, 1, 16, 16, dtype=DType.U8),
        tensor("layers.0.self_attn.rotary_emb.inv_freq", 8),
    ]
    assert {r.role for r in dissect(tensors).recorded} == {Role.BUFFER}


QUANTISED: dict[str, tuple[dict[str, tuple[tuple[int, ...], DType]], dict[str, Any], str]] = {
    "GPTQ": (
        {
            "m.qweight": ((8, 64), DType.I32),
            "m.qzeros": ((1, 8), DType.I32),
            "m.scales": ((1, 64), DType.F16),
            "m.g_idx": ((64,), DType.I32),
        },
        {},
        "GPTQ",
    ),
    "AWQ": (
        {
            "m.qweight": ((64, 8), DType.I32),
            "m.qzeros": ((1, 8), DType.I32),
            "m.scales": ((1, 64), DType.F16),
        },
        {},
        "AWQ",
    ),
    "GPTQ without an order": (
        {
            "m.qweight": ((8, 64), DType.I32),
            "m.qzeros": ((1, 8), DType.I32),
            "m.scales": ((1, 64), DType.F16),
        },
        {"quantization_config": {"quant_method": "gptq"}},
        "GPTQ",
    ),
    "bitsandbytes nf4": (
        {
            "m.weight": ((512, 1), DType.U8),
            "m.weight.absmax": ((16,), DType.U8),
            "m.weight.quant_map": ((16,), DType.F32),
            "m.weight.nested_absmax": ((1,), DType.F32),
            "m.weight.nested_quant_map": ((256,), DType.F32),
            "m.weight.quant_state.bitsandbytes__nf4": ((80,), DType.U8),
        },
        {},
        "bitsandbytes 4-bit",
    ),
    "bitsandbytes int8": (
        {
            "m.weight": ((64, 64), DType.I8),
            "m.SCB": ((64,), DType.F32),
            "m.weight_format": ((), DType.U8),
        },
        {},
        "bitsandbytes 8-bit",
    ),
    "fine-grained fp8": (
        {
            "m.weight": ((64, 64), DType.F8_E4M3),
            "m.weight_scale_inv": ((1, 1), DType.F32),
            "m.input_scale": ((), DType.F32),
        },
        {},
        "8-bit floats with scales",
    ),
    "stacked fp8 experts": (
        {
            "experts.down_proj": ((2, 64, 64), DType.F8_E4M3),
            "experts.down_proj_scale_inv": ((2, 1, 1), DType.F32),
        },
        {},
        "8-bit floats with scales",
    ),
    "compressed-tensors": (
        {
            "m.weight_packed": ((64, 8), DType.I32),
            "m.weight_scale": ((64, 1), DType.BF16),
            "m.weight_shape": ((2,), DType.I64),
            "m.weight_zero_point": ((8, 1), DType.I32),
        },
        {},
        "compressed-tensors",
    ),
    "mxfp4": (
        {
            "experts.down_proj_blocks": ((2, 64, 4, 16), DType.U8),
            "experts.down_proj_scales": ((2, 64, 4), DType.U8),
        },
        {},
        "MXFP4",
    ),
    "integers of no known scheme": ({"m.weight": ((64, 64), DType.I8)}, {}, "unknown scheme"),
    "weight norm": (
        {"m.weight_g": ((64, 1), DType.F32), "m.weight_v": ((64, 64), DType.F32)},
        {},
        "weight normalisation",
    ),
}


@pytest.mark.parametrize("case", QUANTISED)
def test_a_packed_weight_and_its_scales_are_left_out_by_name_of_the_scheme(case: str) -> None:
    stored, config, scheme = QUANTISED[case]
    bias = tensor("m.bias", 64)
    anatomy = dissect([bias, *(tensor(n, *s, dtype=d) for n, (s, d) in stored.items())], config)
    reasons = not_analysed(anatomy)
    assert set(reasons) == set(stored)
    assert all(scheme in reason for reason in reasons.values())
    assert anatomy.layers == ()


def test_plain_8_bit_floats_without_scales_are_numbers() -> None:
    (layer,) = dissect([tensor("m.weight", 4, 4, dtype=DType.F8_E4M3)]).layers
    assert layer.role is Role.LINEAR


def test_the_int8_checkpoint_of_fracast_is_left_out_whole_but_for_its_vectors() -> None:
    anatomy = dissect(tensors_in_safetensors(path_of("fracast") / "model.int8.safetensors"))
    left_out = not_analysed(anatomy)
    assert len(left_out) == 2 * sum(name.endswith(".qweight") for name in left_out) > 0
    assert [layer.name for layer in anatomy.layers] == ["head.queries"]


def test_a_tied_head_counts_once_and_an_untied_one_twice() -> None:
    tensors = [tensor("model.embed_tokens.weight", 50, 8), tensor("lm_head.weight", 50, 8)]
    tied = dissect(tensors, {"model_type": "llama", "tie_word_embeddings": True})
    assert tied.tied == {"lm_head.weight": "model.embed_tokens.weight"}
    assert [layer.name for layer in tied.layers] == ["model.embed_tokens.weight"]
    free = dissect(tensors, {"model_type": "llama"})
    assert [layer.role for layer in free.layers] == [Role.EMBEDDING, Role.HEAD]
    assert free.tied == {}


def test_an_alias_is_tied_and_tells_that_a_head_is_a_table() -> None:
    aliases = {"model.embed_tokens.weight": "lm_head.weight"}
    anatomy = dissect([tensor("lm_head.weight", 50, 8)], None, aliases=aliases)
    assert anatomy.tied == aliases
    assert [(layer.name, layer.role) for layer in anatomy.layers] == [
        ("lm_head.weight", Role.EMBEDDING)
    ]


def test_blocks_are_in_order_of_depth_however_they_are_stored() -> None:
    names = sorted(f"h.{i}.mlp.{w}.weight" for i in range(12) for w in ("c_fc", "c_proj"))
    tensors = [
        tensor("head.weight", 4, 8),
        *(tensor(n, 8, 8) for n in names),
        tensor("wte.weight", 9, 8),
    ]
    layers = dissect(tensors).layers
    assert layers[0].name == "wte.weight"
    assert layers[-1].name == "head.weight"
    assert [layer.depth for layer in layers[1:-1]] == [i for i in range(12) for _ in range(2)]


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": 7, "hidden_act": ["gelu"], "initializer_range": "0.02"},
        {"model_type": "bert", "hidden_act": "gelu\x1b[31m" * 1000, "initializer_range": -1},
        {"model_type": "gpt2", "n_layer": True, "initializer_range": float("nan")},
        {"model_type": "llama", "num_attention_heads": 10**400, "hidden_size": 0},
        {"model_type": "bert", "initializer_range": 10**400, "quantization_config": 3},
        {"model_type": "vit", "initializer_range": float("inf"), "tie_word_embeddings": "yes"},
    ],
)
def test_a_configuration_of_nonsense_leaves_things_unknown_with_a_reason(
    config: Mapping[str, Any],
) -> None:
    tensors = [
        tensor("h.0.attn.c_attn.weight", 8, 24),
        tensor("h.0.attn.c_proj.weight", 8, 8),
        tensor("encoder.layer.0.intermediate.dense.weight", 32, 8),
    ]
    for layer in dissect(tensors, config).layers:
        assert (layer.initialisation is None) == (layer.initialisation_reason is not None)
        assert (layer.activation is None) == (layer.activation_reason is not None)


def test_a_flood_of_experts_is_refused() -> None:
    with pytest.raises(LimitError) as caught:
        dissect([tensor("layers.0.mlp.experts.w1", 2_000_000, 2, 2)])
    assert caught.value.code == "too-many-layers"


WORDS = (
    *(
        "model",
        "layers",
        "0",
        "3",
        "attn",
        "mlp",
        "experts",
        "c_attn",
        "c_proj",
        "qkv",
        "gate_up_proj",
    ),
    *(
        "down_proj",
        "up",
        "down",
        "gate",
        "w1",
        "w2",
        "w3",
        "fc1",
        "fc2",
        "W_in",
        "W_out",
        "norm",
        "ln_1",
    ),
    *(
        "embed",
        "wte",
        "lm_head",
        "head",
        "classifier",
        "weight",
        "bias",
        "weight_ih_l0",
        "weight_hh_l0",
    ),
    *(
        "weight_hr_l0",
        "bias_ih_l0",
        "qweight",
        "qzeros",
        "scales",
        "scale",
        "SCB",
        "absmax",
        "weight_g",
    ),
    *(
        "weight_v",
        "weight[query]",
        "weight[0]",
        "weight[i]",
        "",
        "²",
        "\0",
        "1\0",
        "\udc80",
        "9" * 30,
        "cls",
        "pooler",
    ),
    *(
        "dense",
        "transform",
        "weight_scale",
        "position_embeddings",
        "running_mean",
        "parametrizations",
        "normalization",
        "convolution",
        "conv_layers",
        "conv",
        "layer_norm",
        "decoder",
    ),
    *(
        "encoder",
        "encoder_attn",
        "k_proj",
        "self_attn_layer_norm",
        "final_layer_norm",
        "text_model",
        "vision_model",
        "layer_norm1",
        "SelfAttention",
        "query_key_value",
        "shared",
        "mixer",
    ),
    *("A_log", "in_proj", "norm", "experts", "gate_up_proj"),
)
NAMES = st.one_of(st.lists(st.sampled_from(WORDS), max_size=6).map(".".join), st.text(max_size=20))
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 12]), max_size=5).map(tuple)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "model_type": st.sampled_from([*CATALOGUE, "?"]),
        "num_attention_heads": st.sampled_from([1, 2, 3, 0, -1, "2"]),
        "hidden_size": st.sampled_from([4, 6, 12, None]),
        "num_key_value_heads": st.sampled_from([1, 2]),
        "initializer_range": st.sampled_from([0.02, 0, 1e300, None, True]),
        "hidden_act": st.sampled_from(["gelu", "silu", "nope", 3]),
        "tie_word_embeddings": st.booleans(),
        "multi_query": st.sampled_from([True, False, [], 1]),
        "do_layer_norm_before": st.sampled_from([True, False, {}, None]),
        "feat_extract_norm": st.sampled_from(["group", "layer", "nope", 3]),
        "feed_forward_proj": st.sampled_from(["gated-gelu", "gated-", "relu", {}]),
        "initializer_factor": st.sampled_from([1.0, -1, 1e-300, 10**400, "1"]),
        "initializer_cutoff_factor": st.sampled_from([2, 1e-9, 0]),
        "d_model": st.sampled_from([4, 6, 10**30, True]),
        "text_config": st.sampled_from([None, [], {"hidden_size": 1e9, "hidden_act": 3}]),
    },
)


@settings(max_examples=400, deadline=None)
@given(
    stored=st.dictionaries(NAMES, st.tuples(SHAPES, st.sampled_from(list(DType))), max_size=12),
    config=CONFIGS,
)
def test_every_tensor_is_in_one_part_and_every_element_of_a_weight_in_one_layer(
    stored: dict[str, tuple[tuple[int, ...], DType]], config: dict[str, Any]
) -> None:
    tensors = [tensor(name, *shape, dtype=dtype) for name, (shape, dtype) in stored.items()]
    anatomy = dissect(tensors, config)
    weights = {layer.tensor for layer in anatomy.layers}
    others = [r.tensor for r in anatomy.recorded] + [n.tensor for n in anatomy.not_analysed]
    assert sorted([*weights, *others, *anatomy.tied]) == sorted(stored)
    names = [layer.name for layer in anatomy.layers]
    assert len(set(names)) == len(names)
    for name in weights:
        assert covered(stored[name][0], [ly for ly in anatomy.layers if ly.tensor == name])
    for layer in anatomy.layers:
        check(layer, names, stored)


def covered(shape: tuple[int, ...], layers: list[Layer]) -> bool:
    """Whether these layers take every element of a tensor of this shape exactly once."""
    counts = np.zeros(shape, dtype=int)
    for layer in layers:
        view = np.moveaxis(counts, layer.out_axis, -1)[..., layer.start : layer.stop]
        if layer.group is not None:
            view = view[layer.group]
        assert view.size == layer.shape[0] * layer.shape[1]
        view += 1
    return bool((counts == 1).all())


def check(layer: Layer, names: list[str], stored: dict[str, tuple[tuple[int, ...], DType]]) -> None:
    """The promises of a single layer."""
    assert layer.fan_in == (1 if layer.role is Role.EMBEDDING else layer.shape[1])
    assert (layer.activation is None) == (layer.activation_reason is not None)
    assert (layer.initialisation is None) == (layer.initialisation_reason is not None)
    assert layer.joins is None or layer.joins in names
    if layer.bias is not None:
        assert len(stored[layer.bias.tensor][0]) == 1
        assert layer.bias.stop - layer.bias.start == layer.shape[0]
        assert layer.bias.stop <= stored[layer.bias.tensor][0][0]
    if layer.norm is not None and layer.norm.gain is not None:
        shape = stored[layer.tensor][0]
        convolves = layer.role is Role.CONVOLUTION
        features = shape[1 - layer.out_axis] if convolves else layer.shape[1]
        assert stored[layer.norm.gain][0] == (features,)
    if layer.following is not None:
        assert stored[layer.following.gain][0] == (layer.shape[0],)


def test_the_whole_of_a_family_is_covered_element_by_element() -> None:
    pytest.importorskip("transformers")
    for model_type in ("gpt2", "phi3", "mixtral", "vit"):
        state = tensors_of(build(model_type, "Model").state_dict())
        shapes = {t.name: t.shape for t in state}
        anatomy = dissect(state, {"model_type": model_type})
        for name in {layer.tensor for layer in anatomy.layers}:
            assert covered(shapes[name], [ly for ly in anatomy.layers if ly.tensor == name])


def test_work_grows_with_the_number_of_tensors_and_no_faster() -> None:
    def calls(count: int) -> int:
        tensors = [
            tensor(f"model.layers.{i // 300}.mlp.experts.{i % 100}.{w}_proj.weight", 4, 4)
            for i in range(count // 3)
            for w in ("gate", "up", "down")
        ]
        made = 0

        def count_call(_frame: object, _event: str, _argument: object) -> None:
            nonlocal made
            made += 1

        sys.setprofile(count_call)
        dissect(tensors, {"model_type": "qwen3_moe"})
        sys.setprofile(None)
        return made

    assert calls(24_000) < 9 * calls(3_000)


def test_a_part_never_takes_the_name_of_a_stored_tensor() -> None:
    fused = "h.0.attn.c_attn.weight"
    tensors = [tensor(fused, 24, 8), tensor(f"{fused}[query]", 4, 4)]
    assert set(named(dissect(tensors))) == {fused, f"{fused}[query]"}
