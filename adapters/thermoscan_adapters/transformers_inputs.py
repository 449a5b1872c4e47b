"""The tokenizer or image processor that lies beside a model's weights.

Takes a folder whose small files were looked at (`thermoscan.checkpoint.Adapter.beside`); gives what
turns texts or pictures into a model's inputs. The library's own classes only: ``auto_map`` is never
followed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thermoscan.errors import ProbeError
from thermoscan_adapters.transformers_quiet import at_work

_VOCABULARIES = frozenset(
    (
        *("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model"),
        *("sentencepiece.bpe.model", "spm.model", "source.spm", "bpe.codes"),
    )
)
_PROCESSOR = "preprocessor_config.json"
COMPANIONS = _VOCABULARIES | {
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt"),
    *("target.spm", _PROCESSOR),
}
_DEFAULT_SIDE = 224
_MOST_SIDE = 4096


def input_maker(model: Any, folder: Path, source: str) -> tuple[Any, tuple[str, ...]]:
    """Returns the tokenizer or image processor of a model, and what was assumed.

    Args:
        model: Tells what it takes.
        folder: Holds the files of `COMPANIONS` that there are.
        source: Id of the model, for errors.

    Raises:
        ProbeError: ``tokenizer-missing``, ``tokenizer-unusable``, ``processor-unusable``, or
            ``inputs-unknown`` for a model of neither texts nor pictures.
    """
    if model.main_input_name == "input_ids":
        return _tokenizer(model, folder, source), ()
    if model.main_input_name == "pixel_values":
        return _processor(model, folder, source)
    reason = "it takes neither texts nor pictures, and other inputs cannot be made here"
    raise ProbeError("inputs-unknown", reason, file=source)


def _tokenizer(model: Any, folder: Path, source: str) -> Any:
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes a second

    if not any((folder / name).exists() for name in _VOCABULARIES):
        reason = (
            "no tokenizer lies beside its weights (tokenizer.json, vocab.txt, tokenizer.model, ...)"
        )
        raise ProbeError("tokenizer-missing", reason, file=source)
    with at_work("tokenizer-unusable", "transformers cannot read its tokenizer", source):
        return AutoTokenizer.from_pretrained(
            str(folder), config=model.config, trust_remote_code=False, local_files_only=True
        )


def _processor(model: Any, folder: Path, source: str) -> tuple[Any, tuple[str, ...]]:
    with at_work("processor-unusable", "transformers cannot read its image processor", source):
        from transformers import AutoImageProcessor, ViTImageProcessor  # noqa: PLC0415

        if (folder / _PROCESSOR).exists():
            load: Any = AutoImageProcessor.from_pretrained
            found = load(str(folder), trust_remote_code=False, local_files_only=True)
            if max([0, *dict(found.size or {}).values()]) > _MOST_SIDE:
                raise ValueError(f"pictures of more than {_MOST_SIDE} pixels a side")
            return found, ()
        side = getattr(model.config, "image_size", None)
        side = side if isinstance(side, int) else _DEFAULT_SIDE
        made = ViTImageProcessor(size={"height": side, "width": side})
    note = (
        f"No {_PROCESSOR} lies beside the weights: pictures were resized to {side} by {side} and "
        "their values scaled to -1 to 1."
    )
    return made, (note,)
