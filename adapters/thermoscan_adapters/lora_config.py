"""The ``adapter_config.json`` of a LoRA adapter: what it says, and what is not applied.

Takes the parsed document; gives a `LoraConfig`. The fields are those of PEFT's ``LoraConfig``
(https://huggingface.co/docs/peft/package_reference/lora). Refuses by name every kind of adapter and
every variant of LoRA that is more than ``W + s B A``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from thermoscan.errors import MalformedError, UnsupportedFormatError
from thermoscan.text import printable

T = TypeVar("T")

FILE = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")

_LARGEST_RANK = 1 << 16
_LITERAL = re.compile(r"[\w.\-]+")
_VARIANTS = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "layer_replication",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "target_parameters",
    "loftq_config",
    "corda_config",
    "arrow_config",
    "kasa_config",
    "lora_ga_config",
    "monteclora_config",
    "velora_config",
)
# These starts take something out of the base's weights, so that the base is another one.
_STARTS = ("pissa", "olora", "loftq", "corda", "lora_ga")


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """What a LoRA adapter says about itself.

    Attributes:
        rank: Of its products.
        alpha: Numerator of their scale.
        ranks: Module name or its end -> another rank.
        alphas: Module name or its end -> another alpha.
        by_root: Whether the scale is ``alpha / sqrt(rank)`` instead of ``alpha / rank``.
        transposed: Whether weights are stored as (inputs, outputs).
    """

    rank: int
    alpha: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    by_root: bool
    transposed: bool

    def rank_of(self, module: str) -> int:
        """Returns the rank that the product of a module should have."""
        return _of(module, self.ranks, self.rank)

    def scale_of(self, module: str) -> float:
        """Returns what the product of a module is multiplied with."""
        rank = self.rank_of(module)
        return _of(module, self.alphas, self.alpha) / (math.sqrt(rank) if self.by_root else rank)


def read_lora_config(document: Mapping[str, Any]) -> LoraConfig:
    """Returns what the document says.

    Raises:
        UnsupportedFormatError: ``adapter-type`` or ``adapter-variant``.
        MalformedError: ``adapter-config``: a field makes no sense.
    """
    kind = document.get("peft_type")
    if kind != "LORA":
        reason = f"it is an adapter of type {printable(str(kind), limit=40)}; only LORA is applied"
        raise UnsupportedFormatError("adapter-type", reason, file=FILE)
    for name in _VARIANTS:
        if document.get(name):
            raise _variant(name)
    start = document.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_STARTS):
        raise _variant(f"init_lora_weights={printable(start, limit=40)}")
    return LoraConfig(
        rank=_rank(document.get("r"), "r"),
        alpha=_number(document.get("lora_alpha"), "lora_alpha"),
        ranks={k: _rank(v, "rank_pattern") for k, v in _pattern(document, "rank_pattern")},
        alphas={k: _number(v, "alpha_pattern") for k, v in _pattern(document, "alpha_pattern")},
        by_root=bool(document.get("use_rslora")),
        transposed=bool(document.get("fan_in_fan_out")),
    )


def _of(module: str, pattern: Mapping[str, T], default: T) -> T:
    for name, value in pattern.items():
        if module == name or module.endswith(f".{name}"):
            return value
    return default


def _pattern(document: Mapping[str, Any], field: str) -> list[tuple[str, Any]]:
    """The entries of a pattern; its keys could be regular expressions, which are not run."""
    pattern = document.get(field) or {}
    if not isinstance(pattern, dict):
        raise _malformed(field, "is not an object")
    for name in pattern:
        if not _LITERAL.fullmatch(name):
            raise _malformed(field, "has a key that is not the name of a module")
    return list(pattern.items())


def _rank(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LARGEST_RANK:
        raise _malformed(field, f"is not a rank between 1 and {_LARGEST_RANK}")
    return value


def _number(value: object, field: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise _malformed(field, "is not a finite number")
    return float(value)


def _malformed(field: str, problem: str) -> MalformedError:
    return MalformedError("adapter-config", f"its {field} {problem}", file=FILE)


def _variant(name: str) -> UnsupportedFormatError:
    reason = f"it uses {name}, which is not applied; merge it with PEFT and compare the result"
    return UnsupportedFormatError("adapter-variant", reason, file=FILE)
