"""Which class of transformers runs a checkpoint, and what its objective is.

Takes a parsed ``config.json``; gives the candidates in the order to try them. Classes come from the
library's own tables by ``model_type``: nothing is imported by a name that a configuration gives,
and ``auto_map``, which names code beside the weights, is only read to refuse it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from thermoscan.errors import ProbeError
from thermoscan.text import printable
from thermoscan_adapters.transformers_quiet import at_work

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


class Kind(Enum):
    """What a model is made for. The value is the name of its objective in cards."""

    SEQUENCES = "sequence-to-sequence language modelling"
    MASKED = "masked language modelling"
    CAUSAL = "causal language modelling"
    TEXT_CLASSES = "text classification"
    PICTURE_CLASSES = "image classification"
    TEXT_ENCODING = "text encoding"
    BASE = "none"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A class to try."""

    kind: Kind
    cls: type[PreTrainedModel]


_DROPPED = frozenset(
    {
        *("auto_map", "_name_or_path", "_attn_implementation", "attn_implementation"),
        *("_attn_implementation_internal", "_experts_implementation", "use_pretrained_backbone"),
        *("torch_dtype", "dtype", "return_dict", "use_return_dict"),
    }
)
_DEPTHS = frozenset({"depth", "depths", "num_stages", "num_blocks"})
#: The library makes a name for every class: a million take a gigabyte.
_MOST_CLASSES = 100_000
#: Where a class with a head is missing from `architectures`, the heads to try, most telling first.
_GUESSED = (Kind.MASKED, Kind.SEQUENCES, Kind.CAUSAL, Kind.PICTURE_CLASSES)


def configuration(config: Mapping[str, Any], source: str, tensors: int) -> PreTrainedConfig:
    """Returns the library's own configuration.

    Args:
        config: As it was parsed.
        source: Id of the model, for errors.
        tensors: How many the checkpoint holds: it cannot have more layers than that.

    Raises:
        ProbeError: ``model-code``, ``architecture-unknown``, ``quantised`` or ``config-unusable``.
    """
    from transformers import CONFIG_MAPPING  # noqa: PLC0415 - takes a second

    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        if "auto_map" in config:
            reason = "it can be run only by code that lies beside its weights, which is never run"
            raise ProbeError("model-code", reason, file=source)
        reason = f"transformers has no architecture called '{printable(str(model_type), 60)}'"
        raise ProbeError("architecture-unknown", reason, file=source)
    if config.get("quantization_config") is not None:
        reason = "its weights are quantised: only the library that packed them can run them"
        raise ProbeError("quantised", reason, file=source)
    _check_depth(config, tensors, source)
    with at_work("config-unusable", "transformers refuses its configuration", source):
        made: PreTrainedConfig = CONFIG_MAPPING[model_type].from_dict(_plain(config))
        return made


def candidates(config: PreTrainedConfig, source: str) -> list[Candidate]:
    """Returns the classes to try; one with a head first, the base model last.

    Raises:
        ProbeError: ``architecture-unknown``: the library has no class for it.
    """
    import transformers  # noqa: PLC0415 - takes a second

    tables = {
        Kind.SEQUENCES: transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        Kind.MASKED: transformers.MODEL_FOR_MASKED_LM_MAPPING,
        Kind.CAUSAL: transformers.MODEL_FOR_CAUSAL_LM_MAPPING,
        Kind.TEXT_CLASSES: transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        Kind.PICTURE_CLASSES: transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
        Kind.TEXT_ENCODING: transformers.MODEL_FOR_TEXT_ENCODING_MAPPING,
        Kind.BASE: transformers.MODEL_MAPPING,
    }
    with at_work("architecture-unusable", "transformers cannot build this architecture", source):
        found = {
            kind: _listed(table[type(config)])
            for kind, table in tables.items()
            if type(config) in table
        }
    stated: Any = config.architectures
    declared = stated[0] if isinstance(stated, list) and stated else None
    bases = found.pop(Kind.BASE, ())
    chosen = [
        Candidate(kind, cls)
        for kind, classes in found.items()
        for cls in classes
        if cls.__name__ == declared and cls not in bases
    ][:1]
    if not chosen:
        kinds = [kind for kind in _GUESSED if kind in found][:1]
        chosen = [Candidate(kind, found[kind][0]) for kind in kinds]
    chosen += [Candidate(Kind.BASE, cls) for cls in bases[:1]]
    if not chosen:
        reason = "transformers has no model of this architecture that is run by itself"
        raise ProbeError("architecture-unknown", reason, file=source)
    return chosen


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what names code, other models, or kernels to fetch."""
    return {
        key: _plain(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in _DROPPED
    }


def _check_depth(config: Mapping[str, Any], tensors: int, source: str) -> None:
    """Refuses more layers than there are tensors, before anything is built of them."""
    for key, value in config.items():
        if isinstance(value, dict):
            _check_depth(value, tensors, source)
            continue
        counts = [each for each in _listed(value) if isinstance(each, int)]
        deep = key in _DEPTHS or ("layer" in key and not key.startswith("max_"))
        most = tensors if deep else _MOST_CLASSES if key == "num_labels" else None
        if most is not None and max(counts, default=0) > most:
            reason = f"its configuration counts {max(counts)} parts, and it holds {tensors} tensors"
            raise ProbeError("config-mismatch", reason, file=source)
