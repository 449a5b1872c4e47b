"""Tiny models of many types, which transformers builds from sizes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_VOCABULARY = 100
_TOKENS = 12
_LAST_TOKEN = 2
_PIXELS = 32
_SAMPLES = 800
_FRAMES = 40


@dataclass(frozen=True)
class Tiny:
    """How to build a tiny model of one type.

    Attributes:
        prefix: Of its classes.
        sizes: Of its configuration.
        heads: Endings of the classes to build.
        inputs: What it takes: ``"text"``, ``"pixels"``, ``"audio"``, ``"spectrogram"``,
            ``"text to text"``, ``"speech to text"`` or ``"text and pixels"``.
        config: Prefix of its configuration's class, where that differs.
    """

    prefix: str
    sizes: Mapping[str, Any]
    heads: tuple[str, ...] = ("Model",)
    inputs: str = "text"
    config: str = ""


_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": _VOCABULARY,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2, "head_dim": 16}
_EXPERTS = {**_GROUPED, "moe_intermediate_size": 32, "num_experts": 3, "num_experts_per_tok": 2}
_PICTURE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": _PIXELS,
    "patch_size": 8,
}
_GPT = {
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "vocab_size": _VOCABULARY,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_BART = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 80,
    "vocab_size": _VOCABULARY,
    "decoder_vocab_size": _VOCABULARY,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 2,
}
_T5 = {
    "d_model": 64,
    "d_kv": 8,
    "d_ff": 96,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "vocab_size": _VOCABULARY,
    "decoder_start_token_id": 0,
}
_SPEECH = {
    **_SIZES,
    "conv_dim": (48, 48, 48),
    "conv_kernel": (10, 3, 2),
    "conv_stride": (5, 2, 2),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_prob": 0.0,
    "layerdrop": 0.0,
}
_STAGES = {
    "embedding_size": 32,
    "hidden_sizes": [64, 96],
    "depths": [2, 2],
}
_TOWERS: dict[str, Any] = {
    "text_config": {**_SIZES, "projection_dim": 48, "max_position_embeddings": 32},
    "vision_config": {**_PICTURE, "projection_dim": 48},
}
_LATENT = {
    **_SIZES,
    "num_key_value_heads": 4,
    "q_lora_rank": 24,
    "kv_lora_rank": 40,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 32,
}
_TEXT_HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")
_FEW_HEADS = ("ForMaskedLM", "ForSequenceClassification")
_CAUSAL = ("ForCausalLM",)

#: Name -> how to build it. The name is the model type, with a variant in brackets.
TINY: dict[str, Tiny] = {
    "bert": Tiny("Bert", _SIZES, (*_TEXT_HEADS, "ForPreTraining")),
    "roberta": Tiny("Roberta", {**_SIZES, "max_position_embeddings": 64}, _TEXT_HEADS),
    "xlm-roberta": Tiny("XLMRoberta", {**_SIZES, "max_position_embeddings": 64}, _FEW_HEADS),
    "camembert": Tiny("Camembert", {**_SIZES, "max_position_embeddings": 64}, _FEW_HEADS),
    "ernie": Tiny("Ernie", _SIZES, ("ForMaskedLM",)),
    "layoutlm": Tiny("LayoutLM", _SIZES, ("ForMaskedLM",)),
    "data2vec-text": Tiny(
        "Data2VecText", {**_SIZES, "max_position_embeddings": 64}, ("ForMaskedLM",)
    ),
    "distilbert": Tiny(
        "DistilBert",
        {"dim": 64, "hidden_dim": 96, "n_layers": 2, "n_heads": 4, "vocab_size": _VOCABULARY},
        _TEXT_HEADS,
    ),
    "electra": Tiny("Electra", {**_SIZES, "embedding_size": 48}, (*_TEXT_HEADS, "ForPreTraining")),
    "albert": Tiny(
        "Albert",
        {**_SIZES, "embedding_size": 48, "num_hidden_layers": 3},
        (*_TEXT_HEADS, "ForPreTraining"),
    ),
    "deberta-v2": Tiny(
        "DebertaV2",
        {
            **_SIZES,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
        },
        _TEXT_HEADS,
    ),
    "mpnet": Tiny("MPNet", {**_SIZES, "max_position_embeddings": 64}, _TEXT_HEADS),
    "modernbert": Tiny("ModernBert", _SIZES, _TEXT_HEADS),
    "gpt2": Tiny("GPT2", _GPT, (*_CAUSAL, "ForSequenceClassification")),
    "gpt_bigcode": Tiny("GPTBigCode", _GPT, _CAUSAL),
    "gpt_bigcode (all heads)": Tiny("GPTBigCode", {**_GPT, "multi_query": False}, _CAUSAL),
    "gptj": Tiny("GPTJ", {**_GPT, "rotary_dim": 8}, _CAUSAL),
    "gpt_neo": Tiny(
        "GPTNeo",
        {
            "hidden_size": 64,
            "num_layers": 2,
            "num_heads": 4,
            "intermediate_size": 96,
            "attention_types": [[["global", "local"], 1]],
            "vocab_size": _VOCABULARY,
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
        _CAUSAL,
    ),
    "gpt_neox": Tiny("GPTNeoX", _SIZES, _CAUSAL),
    "gpt_neox (one after the other)": Tiny(
        "GPTNeoX", {**_SIZES, "use_parallel_residual": False}, _CAUSAL
    ),
    "opt": Tiny("OPT", {**_SIZES, "ffn_dim": 96, "word_embed_proj_dim": 64}, _CAUSAL),
    "opt (norms behind)": Tiny(
        "OPT",
        {**_SIZES, "ffn_dim": 96, "word_embed_proj_dim": 48, "do_layer_norm_before": False},
        _CAUSAL,
    ),
    "bloom": Tiny(
        "Bloom",
        {
            "hidden_size": 64,
            "n_layer": 2,
            "n_head": 4,
            "vocab_size": _VOCABULARY,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "pad_token_id": 0,
        },
        _CAUSAL,
    ),
    "falcon": Tiny("Falcon", _SIZES, _CAUSAL),
    "falcon (one after the other)": Tiny(
        "Falcon", {**_SIZES, "parallel_attn": False, "multi_query": False, "bias": True}, _CAUSAL
    ),
    "falcon (new decoder)": Tiny(
        "Falcon", {**_SIZES, "new_decoder_architecture": True, "num_kv_heads": 2}, _CAUSAL
    ),
    "phi": Tiny("Phi", {**_SIZES, "num_key_value_heads": 2}, _CAUSAL),
    "llama": Tiny("Llama", _GROUPED, (*_CAUSAL, "ForSequenceClassification")),
    "mistral": Tiny("Mistral", _GROUPED, _CAUSAL),
    "phi3": Tiny("Phi3", _GROUPED, _CAUSAL),
    "qwen2": Tiny("Qwen2", _GROUPED, _CAUSAL),
    "qwen3": Tiny("Qwen3", _GROUPED, _CAUSAL),
    "gemma": Tiny("Gemma", _GROUPED, _CAUSAL),
    "gemma2": Tiny("Gemma2", _GROUPED, _CAUSAL),
    "gemma3_text": Tiny("Gemma3", _GROUPED, ("TextModel", "ForCausalLM"), config="Gemma3Text"),
    "olmo2": Tiny("Olmo2", _GROUPED, _CAUSAL),
    "starcoder2": Tiny("Starcoder2", _GROUPED, _CAUSAL),
    "cohere": Tiny("Cohere", _GROUPED, _CAUSAL),
    "granite": Tiny("Granite", _GROUPED, _CAUSAL),
    "smollm3": Tiny("SmolLM3", _GROUPED, _CAUSAL),
    "stablelm": Tiny("StableLm", _GROUPED, _CAUSAL),
    "mixtral": Tiny("Mixtral", {**_GROUPED, "num_local_experts": 3}, _CAUSAL),
    "qwen2_moe": Tiny(
        "Qwen2Moe",
        {**_EXPERTS, "shared_expert_intermediate_size": 48},
        _CAUSAL,
    ),
    "qwen3_moe": Tiny("Qwen3Moe", _EXPERTS, _CAUSAL),
    "olmoe": Tiny("Olmoe", {**_GROUPED, "num_experts": 3, "num_experts_per_tok": 2}, _CAUSAL),
    "granitemoe": Tiny(
        "GraniteMoe", {**_GROUPED, "num_local_experts": 3, "num_experts_per_tok": 2}, _CAUSAL
    ),
    "deepseek_v2": Tiny("DeepseekV2", {**_LATENT, "topk_method": "greedy"}, _CAUSAL),
    "deepseek_v3": Tiny("DeepseekV3", _LATENT, _CAUSAL),
    "gpt_oss": Tiny(
        "GptOss", {**_GROUPED, "num_local_experts": 3, "num_experts_per_tok": 2}, _CAUSAL
    ),
    "mamba": Tiny(
        "Mamba",
        {
            "hidden_size": 64,
            "state_size": 8,
            "num_hidden_layers": 2,
            "vocab_size": _VOCABULARY,
            "time_step_rank": 12,
        },
        _CAUSAL,
    ),
    "t5": Tiny("T5", _T5, ("Model", "ForConditionalGeneration", "EncoderModel"), "text to text"),
    "t5 (gated)": Tiny(
        "T5",
        {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        ("Model", "ForConditionalGeneration"),
        "text to text",
    ),
    "bart": Tiny(
        "Bart",
        _BART,
        ("Model", "ForConditionalGeneration", "ForSequenceClassification"),
        "text to text",
    ),
    "mbart": Tiny("MBart", _BART, ("Model", "ForConditionalGeneration"), "text to text"),
    "pegasus": Tiny("Pegasus", _BART, ("Model", "ForConditionalGeneration"), "text to text"),
    "marian": Tiny("Marian", _BART, ("Model", "MTModel"), "text to text"),
    "m2m_100": Tiny("M2M100", _BART, ("Model", "ForConditionalGeneration"), "text to text"),
    "whisper": Tiny(
        "Whisper",
        {
            **_BART,
            "num_mel_bins": 20,
            "max_source_positions": _FRAMES // 2,
            "max_target_positions": 32,
        },
        ("Model", "ForConditionalGeneration"),
        "speech to text",
    ),
    "wav2vec2": Tiny("Wav2Vec2", _SPEECH, ("Model", "ForCTC"), "audio"),
    "wav2vec2 (stable norms)": Tiny(
        "Wav2Vec2",
        {
            **_SPEECH,
            "do_stable_layer_norm": True,
            "feat_extract_norm": "layer",
            "conv_bias": True,
        },
        ("Model", "ForCTC"),
        "audio",
    ),
    "hubert": Tiny("Hubert", _SPEECH, ("Model", "ForCTC"), "audio"),
    "vit": Tiny("ViT", _PICTURE, ("Model", "ForImageClassification"), "pixels"),
    "deit": Tiny("DeiT", _PICTURE, ("Model", "ForImageClassification"), "pixels"),
    "beit": Tiny("Beit", _PICTURE, ("Model", "ForImageClassification"), "pixels"),
    "dinov2": Tiny("Dinov2", _PICTURE, ("Model", "ForImageClassification"), "pixels"),
    "vit_mae": Tiny(
        "ViTMAE",
        {
            **_PICTURE,
            "decoder_hidden_size": 48,
            "decoder_num_hidden_layers": 2,
            "decoder_num_attention_heads": 4,
            "decoder_intermediate_size": 80,
        },
        ("Model", "ForPreTraining"),
        "pixels",
    ),
    "swin": Tiny(
        "Swin",
        {
            "image_size": _PIXELS,
            "patch_size": 2,
            "embed_dim": 32,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
        ("Model", "ForImageClassification"),
        "pixels",
    ),
    "convnext": Tiny(
        "ConvNext",
        {"hidden_sizes": [32, 64], "depths": [2, 2], "num_stages": 2, "image_size": _PIXELS},
        ("Model", "ForImageClassification"),
        "pixels",
    ),
    "resnet": Tiny("ResNet", _STAGES, ("Model", "ForImageClassification"), "pixels"),
    "resnet (basic)": Tiny(
        "ResNet", {**_STAGES, "layer_type": "basic"}, ("Model", "ForImageClassification"), "pixels"
    ),
    "clip": Tiny("CLIP", {**_TOWERS, "projection_dim": 48}, ("Model",), "text and pixels"),
    "clip_text_model": Tiny(
        "CLIPText",
        {**_TOWERS["text_config"], "projection_dim": 48},
        ("Model", "ModelWithProjection"),
    ),
    "clip_vision_model": Tiny(
        "CLIPVision", _TOWERS["vision_config"], ("Model", "ModelWithProjection"), "pixels"
    ),
    "siglip": Tiny("Siglip", _TOWERS, ("Model",), "text and pixels"),
}

_CLASSES = {
    ("gpt2", "ForCausalLM"): "GPT2LMHeadModel",
}


def type_of(name: str) -> str:
    """The model type of a tiny model."""
    return name.partition(" (")[0]


def default_configuration(name: str) -> PreTrainedConfig:
    """The configuration of a tiny model's type as it is when nothing is stated."""
    import transformers

    tiny = TINY[name]
    made: PreTrainedConfig = getattr(transformers, f"{tiny.config or tiny.prefix}Config")()
    return made


def configuration(name: str, **overrides: Any) -> PreTrainedConfig:
    """The configuration of a tiny model."""
    import transformers

    tiny = TINY[name]
    cls = getattr(transformers, f"{tiny.config or tiny.prefix}Config")
    made: PreTrainedConfig = cls(**{**tiny.sizes, **overrides})
    return made


def build(name: str, head: str, device: str = "meta", **overrides: Any) -> PreTrainedModel:
    """A tiny model; `head` ends the name of its class ("Model", "ForCausalLM")."""
    import torch
    import transformers

    cls: Callable[[PreTrainedConfig], PreTrainedModel]
    cls = getattr(transformers, _CLASSES.get((name, head), TINY[name].prefix + head))
    config = configuration(name, **overrides)
    # one product for each expert, which a test can see
    config._experts_implementation = "eager"
    with torch.device(device):
        return cls(config)


def inputs_of(name: str, head: str) -> dict[str, Any]:
    """Random inputs for a tiny model."""
    import torch

    kind = TINY[name].inputs
    made: dict[str, Any] = {}
    if "text" in kind and kind != "speech to text":
        made["input_ids"] = torch.randint(3, _VOCABULARY, (1, _TOKENS))
        made["input_ids"][0, -1] = _LAST_TOKEN
    if "to text" in kind and head != "EncoderModel" and "Classification" not in head:
        made["decoder_input_ids"] = torch.randint(3, _VOCABULARY, (1, _TOKENS - 2))
    if "pixels" in kind:
        made["pixel_values"] = torch.randn(1, 3, _PIXELS, _PIXELS)
    if kind == "audio":
        made["input_values"] = torch.randn(1, _SAMPLES)
    if kind == "speech to text":
        made["input_features"] = torch.randn(1, 20, _FRAMES)
    return made
