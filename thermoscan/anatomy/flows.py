"""In which order data meets norms and layers in a block: the orders that occur (data).

The first part is named in `catalogue` by model type. `BY_NAMES` is for what is of no known type:
there the names of the norms in a block must tell.
"""

from __future__ import annotations

from collections.abc import Mapping

from thermoscan.anatomy.conventions import Flow

_FINAL = ("norm", "ln_f", "final_layernorm", "final_layer_norm", "layernorm", "^layernorm")
_POOLED = ("pooler.layernorm", "^pooler.layernorm")

#: Norms in front of attention and feed-forward part, as Llama and its relatives name them. Where
#: the second is missing, both parts read the first: they run side by side.
PRE_NORM = Flow(
    "input_layernorm >attention post_attention_layernorm >feed-forward +",
    end=_FINAL,
)
FALCON = Flow(
    "input_layernorm ln_attn >attention post_attention_layernorm ln_mlp >feed-forward +", end=_FINAL
)
GPT = Flow("ln_1 >attention ln_2 >feed-forward +", end=_FINAL)
GEMMA2 = Flow(
    "input_layernorm >attention post_attention_layernorm pre_feedforward_layernorm >feed-forward "
    "post_feedforward_layernorm +",
    end=_FINAL,
)
OLMO2 = Flow(
    "+ >attention post_attention_layernorm + >feed-forward post_feedforward_layernorm +", end=_FINAL
)
MODERNBERT = Flow(
    "attn_norm >attention mlp_norm >feed-forward +",
    start="embeddings.norm",
    end=("final_norm",),
)
VIT = Flow("layernorm_before >attention layernorm_after >feed-forward +", end=(*_FINAL, *_POOLED))
SWIN = Flow(VIT.steps)
DINO = Flow("norm1 >attention norm2 >feed-forward +", end=_FINAL)
MAE_DECODER = Flow(
    VIT.steps,
    end=("decoder_norm", "^decoder_norm"),
    within="decoder",
    readers=frozenset({"decoder_pred"}),
)
MAE_ENCODER = Flow(VIT.steps, end=_FINAL, readers=frozenset({"decoder_embed", "classifier"}))

BERT = Flow(
    ">attention attention.output.LayerNorm >feed-forward output.LayerNorm",
    start="^embeddings.LayerNorm",
)
MPNET = Flow(
    ">attention attention.LayerNorm >feed-forward output.LayerNorm",
    start="^embeddings.LayerNorm",
)
DISTILBERT = Flow(
    ">attention sa_layer_norm >feed-forward output_layer_norm",
    start="^embeddings.LayerNorm",
)
#: One block, run again and again: what it reads is its own output, but for the first time.
ALBERT = Flow(
    "full_layer_layer_norm >attention attention.LayerNorm >feed-forward full_layer_layer_norm"
)

_BART_NORMS = ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm")
_HEADS = frozenset({"lm_head", "proj_out", "classification_head.dense", "project_out"})


def _bart(before: bool) -> tuple[Flow, ...]:
    """Encoder and decoder of BART and its relatives, with norms before or behind each part."""
    self_norm, cross_norm, final_norm = _BART_NORMS
    if before:
        steps = f"{self_norm} >attention {cross_norm} >cross {final_norm} >feed-forward +"
    else:
        steps = f">attention {self_norm} >cross {cross_norm} >feed-forward {final_norm}"
    end = ("layer_norm", "final_layer_norm")
    return (
        Flow(steps, "layernorm_embedding", end, "encoder", frozenset({"projector"})),
        Flow(steps, "layernorm_embedding", end, "decoder", _HEADS),
    )


BART_BEHIND = _bart(before=False)
BART_BEFORE = _bart(before=True)

_T5_READERS = frozenset({"lm_head", "classification_head.dense", "qa_outputs", "classifier"})


def _t5(within: str, feed_forward: int, readers: frozenset[str]) -> Flow:
    cross = "layer.1.layer_norm >cross " if feed_forward == 2 else ""
    return Flow(
        f"layer.0.layer_norm >attention {cross}layer.{feed_forward}.layer_norm >feed-forward +",
        end=("final_layer_norm",),
        within=within,
        readers=readers,
    )


T5 = (_t5("encoder", 1, frozenset({"classifier"})), _t5("decoder", 2, _T5_READERS))

WAV2VEC_BEHIND = Flow(
    ">attention layer_norm >feed-forward final_layer_norm",
    start="layer_norm",
    within="layers",
)
WAV2VEC_BEFORE = Flow(
    "layer_norm >attention final_layer_norm >feed-forward +",
    end=("layer_norm",),
    within="layers",
)
_CLIP_STEPS = "layer_norm1 >attention layer_norm2 >feed-forward +"
CLIP = (
    Flow(
        _CLIP_STEPS,
        end=("^final_layer_norm",),
        within="text_model",
        readers=frozenset({"text_projection", "text_model.head"}),
    ),
    Flow(
        _CLIP_STEPS,
        end=("^post_layernorm",),
        within="vision_model",
        readers=frozenset({"visual_projection", "head.attention.in_proj"}),
    ),
)
MAMBA = Flow("norm >mixer.in_proj +", end=("norm_f",))
CONVNEXT = Flow(
    ">dwconv layernorm >pwconv1 +",
    start="^^^embeddings.layernorm",
    end=("^^^layernorm",),
)

#: Attention to itself, then to the prompt, whose query alone reads the picture.
DIFFUSION = Flow(
    "norm1 >attn1.to_q >attn1.to_k >attn1.to_v norm2 >attn2.to_q norm3 >ff.net.0.proj +",
    within="transformer_blocks",
)

#: For models of no known type, the first whose norms are all in the block. The last ones say
#: nothing of the feed-forward part.
BY_NAMES = (
    GEMMA2,
    OLMO2,
    PRE_NORM,
    GPT,
    VIT,
    Flow("attention_norm >attention ffn_norm >feed-forward +", end=_FINAL),
    BERT,
    DISTILBERT,
    Flow("input_layernorm >attention +", end=_FINAL),
    Flow("ln_1 >attention +", end=_FINAL),
)

#: Layers with a norm right in front of them -> its path from the module around the layer, a leading
#: ``^`` for each level up.
BESIDE: Mapping[str, tuple[str, ...]] = {
    "embeddings_project": ("embeddings.LayerNorm",),
    "embedding_hidden_mapping_in": ("^embeddings.LayerNorm",),
    "q_b_proj": ("q_a_layernorm",),
    "kv_b_proj": ("kv_a_layernorm",),
    "predictions.decoder": ("transform.LayerNorm", "LayerNorm"),
    "lm_head.decoder": ("layer_norm",),
    "generator_lm_head": ("generator_predictions.LayerNorm",),
    "vocab_projector": ("vocab_layer_norm",),
    "decoder": ("head.norm",),
    "classifier": ("head.norm",),
    "downsample.reduction": ("norm",),
    "downsampling_layer": ("0",),
    "feature_projection.projection": ("layer_norm",),
    "head.mlp.fc1": ("^layernorm",),
    "attentions.proj_in": ("norm",),
    **dict.fromkeys(
        (
            *("attentions.to_q", "attentions.to_k", "attentions.to_v"),
            *("attentions.query", "attentions.key", "attentions.value"),
        ),
        ("group_norm",),
    ),
}
