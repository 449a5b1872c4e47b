"""Which of a folder's files is the checkpoint, told from their names alone.

Takes the names in one folder, on disk or in a repository; gives the file to start from, an index or
a weight file. The order: the standard names of transformers, an index before a single file and
safetensors before torch; then the only index or weight file of any other name, safetensors first.
Refuses to choose between several. Nothing is opened here, so that a hub's listing serves as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from thermoscan.errors import SourceError, SourceNotFoundError
from thermoscan.text import printable

_INDEX_SUFFIX = ".index.json"

_STANDARD_NAMES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)
_SAFETENSORS = frozenset({".safetensors"})
_TORCH = frozenset({".bin", ".pt", ".pth", ".ckpt", ".tar"})
_OTHER = frozenset({".onnx", ".gguf", ".h5", ".msgpack", ".pkl", ".jit"})
# What training leaves beside the weights: arguments, optimizer, schedule, random states.
_NOT_WEIGHTS = ("training_args", "optimizer", "scheduler", "scaler", "rng_state", "random_states")
_SHOWN = 8


def looks_like_weights(name: str) -> bool:
    """Says whether the suffix of `name` is one that weight files have."""
    return _suffix(name) in _SAFETENSORS | _TORCH | _OTHER


def is_training_state(name: str) -> bool:
    """Says whether `name` is one that training gives to what is not weights."""
    return looks_like_weights(name) and name.lower().startswith(_NOT_WEIGHTS)


def indexed_format(name: str) -> str | None:
    """Returns ``"safetensors"`` or ``"torch"`` where `name` is an index of such shards, or None."""
    if not name.endswith(_INDEX_SUFFIX):
        return None
    suffix = _suffix(name.removesuffix(_INDEX_SUFFIX))
    if suffix in _SAFETENSORS:
        return "safetensors"
    return "torch" if suffix in _TORCH else None


def choose(names: Iterable[str], source: str) -> str:
    """Returns the name of the index or weight file to start from.

    Args:
        names: The names of the files in one folder.
        source: What the folder is called in an error.

    Raises:
        SourceNotFoundError: ``no-weights``.
        SourceError: ``several-checkpoints``, with their names.
    """
    present = sorted(name for name in names if not is_training_state(name))
    for name in _STANDARD_NAMES:
        if name in present:
            return name
    for group in _groups(present):
        if len(group) == 1:
            return group[0]
        if group:
            shown = ", ".join(printable(name, limit=60) for name in group[:_SHOWN])
            more = f" and {len(group) - _SHOWN} more" if len(group) > _SHOWN else ""
            raise SourceError(
                "several-checkpoints",
                f"it holds several checkpoints; name one of them: {shown}{more}",
                file=source,
            )
    raise SourceNotFoundError("no-weights", "it holds no weight file", file=source)


def _groups(names: list[str]) -> Iterable[list[str]]:
    """Yields what may be chosen, the most trusted kind first."""
    for read, suffixes in (("safetensors", _SAFETENSORS), ("torch", _TORCH)):
        yield [name for name in names if indexed_format(name) == read]
        yield [name for name in names if _suffix(name) in suffixes]
    yield [n for n in names if _suffix(n) in _OTHER]


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
