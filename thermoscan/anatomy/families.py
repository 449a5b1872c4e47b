"""What a configuration says about a model, and what its silence means.

Takes the parsed ``config.json``, whose values are not to be trusted; gives a `Family`. Of
`transformers` only the conventions are known here (version 5.23,
https://github.com/huggingface/transformers): nothing of it is imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thermoscan.text import printable
from thermoscan.theory.activations import canonical

_ACTIVATION_KEYS = ("hidden_activation", "hidden_act", "activation_function", "activation")
_LARGEST_COUNT = 10_000_000
_LARGEST_STD = 10.0


@dataclass(frozen=True, slots=True)
class Convention:
    """What the configuration class of one ``model_type`` takes where a key is absent.

    All of these draw their weights by the library's general rule,
    ``PreTrainedModel._init_weights``: normal with the deviation ``initializer_range``, 0.02 if
    absent. The exceptions are `residual_words` and `truncated_words`.

    Attributes:
        activation: The hidden activation.
        tied: Whether input embedding and language-model head are one.
        offset_gain: Whether norms multiply by 1 + the stored gain.
        residual_words: Weights whose deviation is divided by ``√(2·layers)`` (GPT-2).
        truncated_words: Parameters drawn from a normal distribution cut at ±2 (ViT).
    """

    activation: str
    tied: bool = False
    offset_gain: bool = False
    residual_words: frozenset[str] = frozenset()
    truncated_words: frozenset[str] = frozenset()


INITIALIZER_RANGE = 0.02
TRUNCATED_AT = 2.0

_LLAMA_LIKE = Convention("silu")
_GEMMA_LIKE = Convention("gelu_pytorch_tanh", tied=True, offset_gain=True)

CONVENTIONS: Mapping[str, Convention] = {
    "bert": Convention("gelu", tied=True),
    "roberta": Convention("gelu", tied=True),
    "distilbert": Convention("gelu", tied=True),
    "gpt2": Convention("gelu_new", tied=True, residual_words=frozenset({"c_proj"})),
    "gpt_neox": Convention("gelu"),
    "vit": Convention("gelu", truncated_words=frozenset({"position_embeddings"})),
    "gemma": _GEMMA_LIKE,
    "gemma2": _GEMMA_LIKE,
    **dict.fromkeys(
        ("llama", "mistral", "mixtral", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"),
        _LLAMA_LIKE,
    ),
}


@dataclass(frozen=True, slots=True)
class Family:
    """What is known of a model as a whole.

    Attributes:
        model_type: As the configuration has it; None where there is none.
        convention: Of this ``model_type``, None where it is not one of `CONVENTIONS`.
        activation: Canonical name of the hidden activation, None where it is not known.
        activation_reason: Why it is None.
        pooler: Canonical name of the activation behind ``pooler.dense``.
        std: Deviation of the general initialisation rule, None where it is not known.
        layers: Number of blocks, None where it is not known.
        heads: (query heads, key heads, head width), None where they are not known.
        tied: Whether embedding and head are declared to be one.
        quantised_by: The name of the quantisation method, None where there is none.
    """

    model_type: str | None
    convention: Convention | None
    activation: str | None
    activation_reason: str | None
    pooler: str | None
    std: float | None
    layers: int | None
    heads: tuple[int, int, int] | None
    tied: bool
    quantised_by: str | None


def family_of(config: Mapping[str, Any] | None) -> Family:
    """Reads a configuration; what it does not say, and no convention says for it, is None."""
    config = config or {}
    model_type = _text(config, "model_type")
    convention = CONVENTIONS.get(model_type or "")
    activation, reason = _activation(config, model_type, convention)
    quantisation = config.get("quantization_config")
    tied = config.get("tie_word_embeddings")
    return Family(
        model_type=model_type,
        convention=convention,
        activation=activation,
        activation_reason=reason,
        pooler=canonical(_text(config, "pooler_act") or "tanh") if model_type else None,
        std=_std(config, convention),
        layers=_count(config, "num_hidden_layers", "n_layer", "n_layers"),
        heads=_heads(config),
        tied=tied if isinstance(tied, bool) else convention is not None and convention.tied,
        quantised_by=_text(quantisation, "quant_method")
        if isinstance(quantisation, Mapping)
        else None,
    )


def _activation(
    config: Mapping[str, Any], model_type: str | None, convention: Convention | None
) -> tuple[str | None, str | None]:
    """The hidden activation, or None and the reason."""
    stated = next((text for key in _ACTIVATION_KEYS if (text := _text(config, key))), None)
    if stated is None and convention is not None:
        stated = convention.activation
    if stated is None:
        return None, "the activation is not stated by a configuration"
    if stated == "gelu" and model_type == "gemma":
        # transformers reads the first Gemma releases' "gelu" so: it was always the tanh form
        stated = "gelu_pytorch_tanh"
    known = canonical(stated)
    if known is None:
        return (
            None,
            f"the configuration's activation '{printable(stated, 40)}' is not a known function",
        )
    return known, None


def _std(config: Mapping[str, Any], convention: Convention | None) -> float | None:
    if convention is None:
        return None
    stated = config.get("initializer_range", INITIALIZER_RANGE)
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    return float(stated) if 0 < stated <= _LARGEST_STD and math.isfinite(stated) else None


def _heads(config: Mapping[str, Any]) -> tuple[int, int, int] | None:
    heads = _count(config, "num_attention_heads", "n_head", "n_heads")
    width = _count(config, "head_dim")
    hidden = _count(config, "hidden_size", "n_embd", "dim", "d_model")
    if heads is None or (width is None and hidden is None):
        return None
    if width is None and hidden is not None:
        width = hidden // heads
    return (heads, _count(config, "num_key_value_heads") or heads, width or 0)


def _count(config: Mapping[str, Any], *keys: str) -> int | None:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_COUNT:
            return value
    return None


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    return value if isinstance(value, str) else None
