"""Which word in a tensor's name means which role: data, and the lookup in it.

A weight's *words* are the parts of its path without indices. The last two together, then the last
alone, are looked up; a word that means different things in an attention block, in a feed-forward
block and elsewhere has a rule for each. Nothing here looks at shapes or at other tensors.

The words are those of `transformers` and timm, of Meta's, OpenAI's and Megatron's own checkpoints,
and of `torch.nn`.
"""

from __future__ import annotations

from dataclasses import dataclass

from thermoscan.anatomy.model import Role


@dataclass(frozen=True, slots=True)
class Rule:
    """What a word says about a weight.

    Attributes:
        role: Its role; for a fused tensor, the role it has where it cannot be split.
        parts: The roles of its parts, in order along the output axis; empty for a single matrix.
        partner: The last word of the sibling without which the rule does not hold; "" where none
            is needed.
    """

    role: Role
    parts: tuple[Role, ...] = ()
    partner: str = ""


_QKV = (Role.QUERY, Role.KEY, Role.VALUE)
FUSED = Rule(Role.QUERY_KEY_VALUE, _QKV)
_INTERLEAVED = Rule(Role.QUERY_KEY_VALUE)


def _each(role: Role, words: str) -> dict[str, Rule]:
    return {word: Rule(role) for word in words.split()}


def _pairs(*pairs: str) -> dict[str, Rule]:
    rules = {}
    for pair in pairs:
        up, down = pair.split()
        rules[up] = Rule(Role.UP, partner=down)
        rules[down] = Rule(Role.DOWN, partner=up)
    return rules


_ANYWHERE: dict[str, Rule] = {
    **_each(
        Role.EMBEDDING,
        "wte wpe embed_tokens embed_positions embed_in tok_embeddings word_embeddings "
        "position_embeddings token_type_embeddings relative_attention_bias "
        "relative_position_bias_table pos_embed queries query_tokens shared codebook "
        "token_embedding position_embedding rel_embeddings",
    ),
    **_each(Role.QUERY, "q_proj q_lin to_q query_proj q_a_proj q_b_proj"),
    **_each(Role.KEY, "k_proj k_lin to_k key_proj"),
    **_each(Role.VALUE, "v_proj v_lin to_v value_proj"),
    **_each(Role.ATTENTION_OUTPUT, "o_proj out_lin to_out"),
    "c_attn": FUSED,
    "qkv": FUSED,
    "qkv_proj": FUSED,
    "to_qkv": FUSED,
    "w_pack": FUSED,
    "query_key_value": _INTERLEAVED,
    "kv_b_proj": _INTERLEAVED,
    "kv_a_proj_with_mqa": _INTERLEAVED,
    **_each(Role.GATE, "gate_proj wi_0"),
    **_each(Role.UP, "up_proj wi_1 c_fc dense_h_to_4h intermediate.dense"),
    **_each(Role.DOWN, "down_proj dense_4h_to_h output.dense"),
    "gate_up_proj": Rule(Role.UP, (Role.GATE, Role.UP)),
    **_pairs("fc1 fc2", "fc_in fc_out", "lin1 lin2", "linear1 linear2", "w_in w_out", "wi wo"),
    **_pairs("up down", "intermediate_dense output_dense", "pwconv1 pwconv2", "ffn ffn_output"),
    **_each(Role.ROUTER, "router shared_expert_gate"),
    **_each(
        Role.HEAD,
        "lm_head score classifier head embed_out qa_outputs seq_relationship predictions.decoder "
        "lm_head.decoder vocab_projector multiple_choice_head.summary classifier.out_proj "
        "head.out_proj classification_head.out_proj",
    ),
}

_ATTENTION: dict[str, Rule] = {
    **_each(Role.QUERY, "query q wq w_q"),
    **_each(Role.KEY, "key k wk w_k"),
    **_each(Role.VALUE, "value v wv w_v"),
    **_each(Role.ATTENTION_OUTPUT, "output.dense output dense proj out out_proj c_proj o wo w_o"),
    "wqkv": FUSED,
    "in_proj": FUSED,
}

_FEED_FORWARD: dict[str, Rule] = {
    "c_proj": Rule(Role.DOWN),
    "gate": Rule(Role.ROUTER),
    "densereludense.wo": Rule(Role.DOWN),
    "w1": Rule(Role.UP, partner="w2"),
    "w2": Rule(Role.DOWN, partner="w1"),
    "w3": Rule(Role.UP, partner="w2"),
    "input_linear": Rule(Role.UP, (Role.GATE, Role.UP)),
    "output_linear": Rule(Role.DOWN),
    "router.layer": Rule(Role.ROUTER),
}

_NORM_WORDS = frozenset({"ln", "bn", "gn"})
_FIXED_BASES = ("rotary", "stft", "spectrogram", "mel_basis", "mel_filters")

#: Modules whose direct weights are heads, whatever their names.
_HEAD_PARENTS = frozenset({("cls",), ("heads",)})

_FEED_FORWARD_WORDS = frozenset(
    (
        *("mlp", "ffn", "ff", "feed_forward", "feedforward", "densereludense", "moe"),
        *("experts", "expert", "shared_expert", "shared_experts", "block_sparse_moe"),
    )
)

#: Words under which lies the input side of a model, before its first block.
ENTRANCE_WORDS = frozenset(
    (
        *("embeddings", "patch_embed", "patch_embeddings", "features", "stem"),
        *("conv_in", "time_embedding", "add_embedding"),
    )
)

#: Words under which lies the output side of a model, after its last block.
EXIT_WORDS = frozenset(
    {"pooler", "cls", "lm_head", "classifier", "score", "head", "vocab_transform", "conv_out"}
)

#: The words of OpenAI's ``Conv1D``, whose weight may be stored (inputs, outputs).
CONV1D_WORDS = frozenset({"c_attn", "c_proj", "c_fc", "q_attn"})

#: Low-rank factors of an adapter, which start by rules of their own.
ADAPTER_PREFIX = "lora_"


#: Stacked experts that are not under a word of `experts` (GraniteMoE).
_STACKS = frozenset({("block_sparse_moe", "input_linear"), ("block_sparse_moe", "output_linear")})


def in_experts(words: tuple[str, ...]) -> bool:
    """Says whether the path runs through experts, or leads to a stack of them."""
    return "experts" in words or words[-2:] in _STACKS


def attends(words: tuple[str, ...]) -> bool:
    """Says whether the path runs through an attention block."""
    return any("attn" in word or "attention" in word for word in words[:-1])


def feeds_forward(words: tuple[str, ...]) -> bool:
    """Says whether the path runs through a feed-forward block or an expert."""
    return not _FEED_FORWARD_WORDS.isdisjoint(words[:-1])


def rule_of(words: tuple[str, ...]) -> Rule | None:
    """Returns the rule for a weight with this path, None where no word is known.

    >>> rule_of(("bert", "encoder", "layer", "attention", "output", "dense")).role.value
    'attention output'
    >>> rule_of(("bert", "encoder", "layer", "output", "dense")).role.value
    'mlp down'
    """
    if not words:
        return None
    suffixes = (".".join(words[-2:]), words[-1])
    tables = [_ANYWHERE]
    if feeds_forward(words):
        tables.insert(0, _FEED_FORWARD)
    if attends(words):
        tables.insert(0, _ATTENTION)
    for suffix in suffixes:
        for table in tables:
            if suffix in table:
                return table[suffix]
    return Rule(Role.HEAD) if words[-2:-1] in _HEAD_PARENTS else None


def is_embedding_word(word: str) -> bool:
    """Says whether a module of this name may hold a table (it may be a projection, too)."""
    word = word.rstrip("0123456789")
    return word.endswith(("embedding", "embeddings", "embed", "emb"))


def is_norm_word(word: str) -> bool:
    """Says whether a module of this name is a normalisation.

    >>> [is_norm_word(word) for word in ("layernorm", "ln_f", "conv1_bn", "norm2", "normal_map")]
    [True, True, True, True, False]
    """
    tokens = [token.rstrip("0123456789") for token in word.split("_")]
    return any(t in _NORM_WORDS or t.endswith(("norm", "norms")) for t in tokens)


def is_fixed_basis(words: tuple[str, ...]) -> bool:
    """Says whether the path leads to numbers that are computed once: angles, a Fourier basis."""
    return any(base in word for word in words for base in _FIXED_BASES)
