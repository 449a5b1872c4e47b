"""What a configuration says about a model, and what its silence means.

Takes the parsed ``config.json``, whose values are not to be trusted; gives a `Family`. Nothing of
`transformers` is imported: what a silent configuration stands for is in `catalogue`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from thermoscan.anatomy.catalogue import CATALOGUE
from thermoscan.anatomy.conventions import Convention, Switch
from thermoscan.anatomy.diffusion import DIFFUSION
from thermoscan.text import printable
from thermoscan.theory.activations import canonical

_ACTIVATION_KEYS = ("hidden_activation", "hidden_act", "activation_function", "activation")
_LARGEST_COUNT = 10_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """What is known of a model as a whole, or of one tower of it.

    Attributes:
        model_type: As the configuration of transformers has it; for one of diffusers, the name of
            the class (``_class_name``); None where there is neither.
        convention: Of this ``model_type``, None where it is not in the catalogue.
        config: The configuration itself.
        activation: Canonical name of the hidden activation, None where it is not known.
        activation_reason: Why it is None.
        pooler: Canonical name of the activation behind ``pooler.dense``.
        heads: (query heads, key heads, head width), None where they are not known.
        tied: Whether embedding and head are declared to be one.
        quantised_by: The name of the quantisation method, None where there is none.
        towers: Word in a path -> what holds for the weights under it.
    """

    model_type: str | None
    convention: Convention | None
    config: Mapping[str, Any]
    activation: str | None
    activation_reason: str | None
    pooler: str | None
    heads: tuple[int, int, int] | None
    tied: bool
    quantised_by: str | None
    towers: Mapping[str, Family] = field(default_factory=dict)

    def at(self, words: tuple[str, ...]) -> Family:
        """Returns what holds for a weight with this path: a tower's, or the whole model's."""
        if not self.towers:
            return self
        return next((self.towers[word] for word in words if word in self.towers), self)

    def number(self, keys: str) -> tuple[str, float | None]:
        """Returns a number of the configuration under the first of `keys` that it has.

        Returns:
            The key, and the number; None for a value that is no positive number of usual size, or
            where neither the configuration nor a convention has one.
        """
        names = keys.split("|")
        for name in names:
            value = self.config.get(name)
            if value is not None:
                return name, _positive(value)
        default = self.convention.defaults.get(keys) if self.convention else None
        return names[0], default

    def text(self, key: str) -> str | None:
        """Returns a text of the configuration, None where it has none under `key`."""
        return _text(self.config, key)


def family_of(config: Mapping[str, Any] | None) -> Family:
    """Reads a configuration; what it does not say, and no convention says for it, is None."""
    config = config or {}
    model_type = _text(config, "model_type") or class_name_of(config)
    convention = _convention(model_type, config)
    whole = _family(config, model_type, convention)
    if convention is None or not convention.towers:
        return whole
    parts = {word: config.get(key) for word, key in convention.towers.items()}
    towers = {
        word: _family(part if isinstance(part, Mapping) else {}, model_type, convention)
        for word, part in parts.items()
    }
    return _family(config, model_type, convention, towers)


def class_name_of(config: Mapping[str, Any] | None) -> str | None:
    """Returns the name of the class that diffusers writes into what it saves, None without one."""
    return _text(config or {}, "_class_name")


def _convention(model_type: str | None, config: Mapping[str, Any]) -> Convention | None:
    entry = CATALOGUE.get(model_type or "") or DIFFUSION.get(model_type or "")
    return entry.choose(config) if isinstance(entry, Switch) else entry


def _family(
    config: Mapping[str, Any],
    model_type: str | None,
    convention: Convention | None,
    towers: Mapping[str, Family] | None = None,
) -> Family:
    activation, reason = _activation(config, model_type, convention)
    quantisation = config.get("quantization_config")
    tied = config.get("tie_word_embeddings")
    return Family(
        model_type=model_type,
        convention=convention,
        config=config,
        activation=activation,
        activation_reason=reason,
        pooler=canonical(_text(config, "pooler_act") or "tanh")
        if _text(config, "model_type")
        else None,
        heads=_heads(config, convention),
        tied=tied if isinstance(tied, bool) else convention is not None and convention.tied,
        quantised_by=_text(quantisation, "quant_method")
        if isinstance(quantisation, Mapping)
        else None,
        towers=towers or {},
    )


def _activation(
    config: Mapping[str, Any], model_type: str | None, convention: Convention | None
) -> tuple[str | None, str | None]:
    """The hidden activation, or None and the reason."""
    own = convention.activation_key if convention else ""
    stated = next((text for key in (own, *_ACTIVATION_KEYS) if (text := _text(config, key))), None)
    if stated is None and convention is not None:
        stated = convention.activation
    if stated is None:
        return None, "the activation is not stated by a configuration"
    if own == "feed_forward_proj":
        # T5 states "gated-gelu" or "relu"; its gated GELU is the tanh form
        stated = "gelu_new" if stated == "gated-gelu" else stated.removeprefix("gated-")
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


def _heads(config: Mapping[str, Any], convention: Convention | None) -> tuple[int, int, int] | None:
    heads = _count(config, "num_attention_heads", "n_head", "n_heads")
    width = _count(config, "head_dim")
    hidden = _count(config, "hidden_size", "n_embd", "dim", "d_model")
    if heads is None or (width is None and hidden is None):
        return None
    if width is None and hidden is not None:
        width = hidden // heads
    one = convention is not None and convention.one_key_head
    keys = 1 if one else _count(config, "num_key_value_heads") or heads
    return (heads, keys, width or 0)


def _count(config: Mapping[str, Any], *keys: str) -> int | None:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_COUNT:
            return value
    return None


def _positive(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value <= _LARGEST_COUNT and math.isfinite(value) else None


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    return value if isinstance(value, str) else None
