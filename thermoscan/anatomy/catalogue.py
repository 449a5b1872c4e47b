"""The model types whose conventions are known: one entry each (data).

What a `Convention` says is in `thermoscan.anatomy.conventions`; the orders and distributions that
several types share are in `flows` and `draws`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from thermoscan.anatomy import draws, flows
from thermoscan.anatomy.conventions import (
    STATED,
    UNLESS_LAST,
    Convention,
    Draw,
    Normed,
    Switch,
)
from thermoscan.anatomy.model import Role
from thermoscan.anatomy.rules import FUSED, Rule

_TOP = {"lm_head.dense": "gelu", "classifier.dense": "tanh"}
_HEAD = Rule(Role.HEAD)
_SMALL = {"initializer_range|init_std": 0.02}

_BERT = Convention("gelu", tied=True, flows=(flows.BERT,), defaults=_SMALL)
_ROBERTA = replace(_BERT, fires=_TOP)
_LLAMA = Convention("silu", flows=(flows.PRE_NORM,), defaults=_SMALL)
_GPT = Convention("gelu_new", tied=True, flows=(flows.GPT,), defaults=_SMALL)
_GEMMA = Convention(
    "gelu_pytorch_tanh", tied=True, offset_gain=True, flows=(flows.PRE_NORM,), defaults=_SMALL
)
_GEMMA2 = replace(_GEMMA, flows=(flows.GEMMA2,))
_VIT = Convention("gelu", flows=(flows.VIT,), defaults=_SMALL)
_OPT = Convention(
    "relu",
    tied=True,
    flows=flows.BART_BEFORE,
    defaults=_SMALL,
    fires={"project_in": "identity", "project_out": "identity"},
)
_BART = Convention(
    "gelu",
    tied=True,
    flows=flows.BART_BEHIND,
    defaults=_SMALL,
    fires={"classification_head.dense": "tanh"},
)
_BART_BEFORE = replace(_BART, flows=flows.BART_BEFORE)
_CLIP = Convention(
    "quick_gelu",
    flows=flows.CLIP,
    defaults={"initializer_factor": 1.0, **_SMALL, "num_hidden_layers": 12},
    draws=draws.CLIP,
    fires={
        "patch_embedding": "identity",
        "text_projection": "identity",
        "visual_projection": "identity",
    },
)
_FALCON = Convention(
    "gelu", activation_key="activation", tied=True, flows=(flows.FALCON,), defaults=_SMALL
)
_FALCON_FUSED = replace(_FALCON, words={"query_key_value": FUSED}, one_key_head=True)
_BIGCODE = Convention(
    "gelu_pytorch_tanh", tied=True, flows=(flows.GPT,), defaults=_SMALL, draws=draws.GPT2
)
_SPEECH = Convention(
    "gelu",
    flows=(flows.WAV2VEC_BEHIND,),
    defaults=_SMALL,
    draws=draws.WAV2VEC2,
    fires={
        "conv_layers.conv": f"{STATED}feat_extract_activation",
        "feature_projection.projection": "identity",
    },
)
_RESNET = Convention(
    "relu",
    draws=draws.RESNET,
    fires={
        "embedder.convolution": STATED,
        "layer.convolution": UNLESS_LAST,
        "shortcut.convolution": "identity",
    },
    normed={"convolution": Normed("normalization", per_unit=True)},
)

_MAMBA = Convention(
    "silu",
    tied=True,
    flows=(flows.MAMBA,),
    defaults={"initializer_range|init_std": 0.1, "time_step_scale": 1.0},
    fires={"conv1d": STATED, "x_proj": "identity", "dt_proj": "softplus"},
    words={
        "mixer.in_proj": Rule(Role.UP, (Role.UP, Role.GATE)),
        "mixer.out_proj": Rule(Role.DOWN),
    },
)


def _mamba(outwards: Draw) -> Switch:
    """Mamba with this draw of what leads out of a block."""
    random = {"conv1d": draws.TORCH, "out_proj": outwards, "dt_proj": draws.TIME_STEPS}
    return Switch(
        "time_step_init_scheme",
        "random",
        {
            "random": replace(_MAMBA, draws=random),
            "constant": replace(_MAMBA, draws={**random, "dt_proj": draws.CONSTANT}),
        },
    )


def _speech(convention: Convention) -> Switch:
    """Norms before or behind; in the features over each channel, or over all of them."""

    def norms(of: Convention) -> Switch:
        cases = {
            name: replace(of, normed={"conv_layers.conv": Normed("layer_norm", name == "group")})
            for name in ("group", "layer")
        }
        return Switch("feat_extract_norm", "group", cases)

    before = replace(convention, flows=(flows.WAV2VEC_BEFORE,))
    return Switch("do_stable_layer_norm", False, {False: norms(convention), True: norms(before)})


CATALOGUE: Mapping[str, Convention | Switch] = {
    **dict.fromkeys(("bert", "ernie", "layoutlm"), _BERT),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "data2vec-text"), _ROBERTA),
    "distilbert": replace(_BERT, flows=(flows.DISTILBERT,), fires={"pre_classifier": "relu"}),
    "electra": replace(
        _BERT,
        fires={
            "embeddings_project": "identity",
            "generator_predictions.dense": "gelu",
            "discriminator_predictions.dense": STATED,
            "classifier.dense": "gelu",
        },
        words={"generator_lm_head": _HEAD, "dense_prediction": _HEAD},
    ),
    "albert": replace(
        _BERT,
        activation="gelu_new",
        flows=(flows.ALBERT,),
        fires={
            "embedding_hidden_mapping_in": "identity",
            "predictions.dense": STATED,
            "pooler": "tanh",
        },
    ),
    "deberta-v2": replace(_BERT, fires={"pooler.dense": f"{STATED}pooler_hidden_act"}),
    "mpnet": replace(_ROBERTA, flows=(flows.MPNET,)),
    "modernbert": Convention(
        "gelu",
        tied=True,
        flows=(flows.MODERNBERT,),
        defaults={**_SMALL, "initializer_cutoff_factor": 2.0},
        draws=draws.MODERNBERT,
        fires={"head.dense": f"{STATED}classifier_activation"},
        words={
            "decoder": _HEAD,
            "wi": Rule(Role.UP, (Role.GATE, Role.UP)),
            "mlp.wo": Rule(Role.DOWN),
        },
    ),
    "gpt2": replace(_GPT, draws=draws.GPT2),
    "gpt_bigcode": Switch(
        "multi_query",
        True,
        {True: replace(_BIGCODE, one_key_head=True), False: replace(_BIGCODE, alternating=True)},
    ),
    "gptj": replace(_GPT, tied=False),
    "gpt_neo": _GPT,
    "gpt_neox": replace(_LLAMA, activation="gelu"),
    "opt": Switch(
        "do_layer_norm_before",
        True,
        {True: _OPT, False: replace(_OPT, flows=flows.BART_BEHIND)},
    ),
    "bloom": Convention("gelu_pytorch_tanh", tied=True, flows=(flows.PRE_NORM,), defaults=_SMALL),
    "falcon": Switch(
        "new_decoder_architecture",
        False,
        {True: _FALCON, False: Switch("multi_query", True, {True: _FALCON_FUSED, False: _FALCON})},
    ),
    "phi": replace(_LLAMA, activation="gelu_new"),
    **dict.fromkeys(
        (
            *("llama", "mistral", "mixtral", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"),
            *("granite", "stablelm", "deepseek_v2", "deepseek_v3", "olmoe", "granitemoe"),
        ),
        _LLAMA,
    ),
    "gpt_oss": replace(_LLAMA, alternating=True),
    "cohere": replace(_LLAMA, tied=True),
    "smollm3": replace(_LLAMA, tied=True),
    "starcoder2": replace(
        _LLAMA,
        activation="gelu_pytorch_tanh",
        tied=True,
        defaults={"initializer_range|init_std": 0.018042},
    ),
    "olmo2": replace(_LLAMA, flows=(flows.OLMO2,)),
    "gemma": _GEMMA,
    "gemma2": _GEMMA2,
    "gemma3_text": _GEMMA2,
    "mamba": Switch(
        "rescale_prenorm_residual", False, {False: _mamba(draws.TORCH), True: _mamba(draws.DAMPED)}
    ),
    "t5": Convention(
        "relu",
        activation_key="feed_forward_proj",
        tied=True,
        flows=flows.T5,
        defaults={
            "initializer_factor": 1.0,
            "d_model": 512,
            "d_kv": 64,
            "d_ff": 2048,
            "num_heads": 8,
        },
        draw=Draw("normal", {"initializer_factor": 1.0}),
        draws=draws.T5,
        fires={"classification_head.dense": "tanh"},
    ),
    "bart": _BART,
    "mbart": _BART_BEFORE,
    "m2m_100": replace(_BART_BEFORE, activation="relu"),
    "pegasus": replace(_BART_BEFORE, draws=draws.SINUSOIDS),
    "marian": replace(_BART, draws=draws.SINUSOIDS),
    "whisper": replace(
        _BART_BEFORE,
        draws=draws.WHISPER,
        fires={"encoder.conv1": "gelu", "encoder.conv2": "gelu"},
        words={"proj_out": _HEAD},
    ),
    "wav2vec2": _speech(_SPEECH),
    "hubert": _speech(replace(_SPEECH, draws=draws.HUBERT)),
    "vit": replace(_VIT, draws=draws.VIT),
    "deit": replace(_VIT, draws=draws.RELATIVE_POSITIONS),
    "beit": replace(_VIT, draws=draws.RELATIVE_POSITIONS),
    "dinov2": replace(_VIT, flows=(flows.DINO,), draw=draws.CUT_AT_TWO, draws=draws.VIT),
    "vit_mae": replace(
        _VIT,
        flows=(flows.MAE_DECODER, flows.MAE_ENCODER),
        draws=draws.MAE,
        fires={"decoder_embed": "identity"},
        words={"decoder_pred": _HEAD},
    ),
    "swin": replace(
        _VIT,
        flows=(flows.SWIN,),
        draws=draws.RELATIVE_POSITIONS,
        fires={"downsample.reduction": "identity"},
    ),
    "convnext": Convention(
        "gelu",
        flows=(flows.CONVNEXT,),
        defaults=_SMALL,
        fires={
            "embeddings.patch_embeddings": "identity",
            "dwconv": "identity",
            "downsampling_layer": "identity",
        },
    ),
    "resnet": _RESNET,
    "clip": replace(_CLIP, towers={"text_model": "text_config", "vision_model": "vision_config"}),
    # a tower alone, whose paths have its name only where a projection is on top
    "clip_text_model": replace(_CLIP, flows=(replace(flows.CLIP[0], within=""),)),
    "clip_vision_model": replace(
        _CLIP, flows=(replace(flows.CLIP[1], within=""),), draws=draws.CLIP_VISION
    ),
    "siglip": Convention(
        "gelu_pytorch_tanh",
        flows=flows.CLIP,
        draws=draws.SIGLIP,
        fires={"patch_embedding": "identity", "text_model.head": "identity"},
        towers={"text_model": "text_config", "vision_model": "vision_config"},
    ),
}
