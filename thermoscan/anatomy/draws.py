"""How the weights of a model type are drawn where it departs from the general rule (data).

Each table is what the ``_init_weights`` of one model type does
(https://github.com/huggingface/transformers, version 5.23): the last words of a weight's path ->
its `Draw`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from thermoscan.anatomy.conventions import Draw

_STD = {"initializer_range|init_std": 1.0}
_LAYERS = "num_hidden_layers|n_layer|n_layers|num_layers"
_WIDTH = "hidden_size|d_model|n_embd"

ZERO = Draw("", reason="it starts at zero")
CONSTANT = Draw("", reason="it starts at one value")
COMPUTED = Draw("", reason="it is computed, not drawn")

#: The branches' last layers, damped by the square root of their number (GPT-2).
RESIDUAL = Draw("normal", {**_STD, _LAYERS: -0.5}, factor=math.sqrt(0.5))
#: ``torch.nn.init.trunc_normal_``, which cuts at ±2 in weight units.
CUT_AT_TWO = Draw("truncated normal", _STD, cut=2.0, absolute=True)
#: What torch does to a linear map unasked: U(±1/√fan_in).
TORCH = Draw("uniform", {"fan_in": -0.5})
#: The same, damped as in GPT-2.
DAMPED = Draw("uniform", {"fan_in": -0.5, _LAYERS: -0.5})
TIME_STEPS = Draw("uniform", {"fan_in": -0.5, "time_step_scale": 1.0})
HE_NORMAL = Draw("normal", {"fan_in": -0.5}, factor=math.sqrt(2))
HE_NORMAL_OUT = Draw("normal", {"fan_out": -0.5}, factor=math.sqrt(2))
_XAVIER_UNIFORM = Draw("uniform", {"fan_in+fan_out": -0.5}, factor=math.sqrt(6))
#: LeCun's variance, drawn from a normal distribution cut at 2 in weight units whose deviation was
#: raised for a cut at two deviations, as JAX has it.
_LECUN_OF_JAX = Draw(
    "truncated normal", {"fan_in": -0.5}, factor=1 / 0.87962566103423978, cut=2.0, absolute=True
)

VIT = {"position_embeddings": CUT_AT_TWO}
GPT2 = {"c_proj": RESIDUAL}
RELATIVE_POSITIONS = {"relative_position_bias_table": ZERO, "position_embeddings": ZERO}
RESNET = {"convolution": HE_NORMAL_OUT, "classifier": TORCH}
WHISPER = {"encoder.embed_positions": COMPUTED}
SINUSOIDS = {"embed_positions": COMPUTED}
WAV2VEC2 = {
    "conv_layers.conv": HE_NORMAL,
    "feature_projection.projection": TORCH,
}
HUBERT = {"conv_layers.conv": HE_NORMAL}
MAE = {"position_embeddings": COMPUTED, "decoder_pos_embed": COMPUTED}

_FACTOR = {"initializer_factor": 1.0}
_INTO = Draw("normal", {**_FACTOR, "d_model": -0.5})
_T5_TABLE = Draw("normal", _FACTOR)
T5: Mapping[str, Draw] = {
    "shared": _T5_TABLE,
    "embed_tokens": _T5_TABLE,
    "lm_head": _T5_TABLE,
    "classifier": _T5_TABLE,
    "qa_outputs": _INTO,
    "classification_head.dense": _INTO,
    "classification_head.out_proj": _INTO,
    "wi": _INTO,
    "wi_0": _INTO,
    "wi_1": _INTO,
    "wo": Draw("normal", {**_FACTOR, "d_ff": -0.5}),
    "q": Draw("normal", {**_FACTOR, "d_model": -0.5, "d_kv": -0.5}),
    "k": _INTO,
    "v": _INTO,
    "o": Draw("normal", {**_FACTOR, "num_heads": -0.5, "d_kv": -0.5}),
    "relative_attention_bias": _INTO,
}

_CLIP_IN = Draw("normal", {**_FACTOR, _WIDTH: -0.5, _LAYERS: -0.5}, factor=math.sqrt(0.5))
_CLIP_OUT = Draw("normal", {**_FACTOR, _WIDTH: -0.5})
_CLIP_TABLE = Draw("normal", _FACTOR, factor=0.02)
_CLIP_PATCH = Draw("normal", {**_FACTOR, **_STD})
CLIP: Mapping[str, Draw] = {
    "token_embedding": _CLIP_TABLE,
    "position_embedding": _CLIP_TABLE,
    "vision_model.embeddings.position_embedding": _CLIP_PATCH,
    "patch_embedding": _CLIP_PATCH,
    "q_proj": _CLIP_IN,
    "k_proj": _CLIP_IN,
    "v_proj": _CLIP_IN,
    "self_attn.out_proj": _CLIP_OUT,
    "fc1": Draw("normal", {**_FACTOR, _WIDTH: -0.5}, factor=math.sqrt(0.5)),
    "fc2": _CLIP_IN,
    "text_projection": Draw("normal", {**_FACTOR, "fan_in": -0.5}),
    "visual_projection": Draw("normal", {**_FACTOR, "fan_in": -0.5}),
}
CLIP_VISION = {**CLIP, "position_embedding": _CLIP_PATCH}
SIGLIP: Mapping[str, Draw] = {
    "token_embedding": Draw("normal", {"fan_in": -0.5}),
    "position_embedding": Draw("normal", {"fan_in": -0.5}),
    "patch_embedding": _LECUN_OF_JAX,
    **dict.fromkeys(("q_proj", "k_proj", "v_proj", "self_attn.out_proj"), _XAVIER_UNIFORM),
    **dict.fromkeys(("fc1", "fc2", "attention.in_proj"), _XAVIER_UNIFORM),
    "attention.out_proj": _LECUN_OF_JAX,
    "text_model.head": _LECUN_OF_JAX,
}


def _modernbert(powers: Mapping[str, float], factor: float = 1.0) -> Draw:
    return Draw("truncated normal", powers, factor, cut="initializer_cutoff_factor")


_MODERNBERT_OUT = _modernbert({**_STD, _LAYERS: -0.5}, math.sqrt(0.5))
MODERNBERT: Mapping[str, Draw] = {
    **dict.fromkeys(("tok_embeddings", "wi", "wqkv"), _modernbert(_STD)),
    **dict.fromkeys(("wo", "head.dense", "decoder"), _MODERNBERT_OUT),
    "classifier": _modernbert({_WIDTH: -0.5}),
}
