"""Which of a folder's files is the checkpoint, told from their names alone.

Takes the names in one folder, on disk or in a repository; gives the file to start from, an index or
a weight file. The order: the standard names of transformers and diffusers, safetensors before torch
and an index before a single file; then the only index or weight file of any other name, safetensors
first. A variant (``a.fp16.safetensors``) gives way to the file that it is a variant of. Refuses to
choose between several. Nothing is opened here, so that a hub's listing serves as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from thermoscan.errors import SourceError, SourceNotFoundError
from thermoscan.text import printable

#: ``a.safetensors.index.json``, or of a variant ``a.safetensors.index.fp16.json``.
_INDEX = re.compile(r"(?P<of>.+)\.index(?:\.[\w-]+)?\.json")
#: What stands between stem and suffix of a file that is another one in another form.
_VARIANT = re.compile(
    r"\.(?:(?:fp|bf|int|nf)\d{1,2}(?:[-_]\w+)?|non[-_]?ema|no[-_]?ema|ema)(?=\.)", re.IGNORECASE
)
SHARD = re.compile(r"-\d{5}-of-\d{5}(?=\.)")
"""What the name of one shard of several has before its suffix."""

# The name of what transformers saved before there was safetensors.
_FORMERLY = {"pytorch_model": "model"}

_STANDARD_NAMES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
    "diffusion_pytorch_model.bin",
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


def is_read(name: str) -> bool:
    """Says whether `name` is that of weights in a format that is read."""
    return _suffix(name) in _SAFETENSORS | _TORCH and not is_training_state(name)


def may_be_second(name: str) -> bool:
    """Says whether a rule would prefer another file to `name`, if there were one beside it."""
    whole = SHARD.sub("", name)
    return _suffix(name) not in _SAFETENSORS or _VARIANT.search(whole) is not None


def is_training_state(name: str) -> bool:
    """Says whether `name`, perhaps of a path, is what training calls what is not weights."""
    last = name.rpartition("/")[2]
    return looks_like_weights(last) and last.lower().startswith(_NOT_WEIGHTS)


def is_standard(name: str) -> bool:
    """Says whether `name` is what transformers or diffusers call the weights of a model."""
    return name in _STANDARD_NAMES


def indexed_format(name: str) -> str | None:
    """Returns ``"safetensors"`` or ``"torch"`` where `name` is an index of such shards, or None."""
    index = _INDEX.fullmatch(name)
    suffix = _suffix(index["of"]) if index else ""
    if suffix in _SAFETENSORS:
        return "safetensors"
    return "torch" if suffix in _TORCH else None


def form_of(name: str) -> tuple[str, str]:
    """Returns which model of a folder a file to start from holds, and which variant of it.

    Files of one form hold the same weights in several formats, as far as names tell.

    >>> form_of("model.fp16.safetensors"), form_of("pytorch_model.bin.index.json")
    (('model', 'fp16'), ('model', ''))
    """
    tag = _VARIANT.search(name)
    bare = _VARIANT.sub("", name)
    index = _INDEX.fullmatch(bare)
    bare = index["of"] if index else bare
    while looks_like_weights(bare):
        bare = bare[: -len(_suffix(bare))]
    return _FORMERLY.get(bare, bare), tag.group()[1:].lower() if tag else ""


def preference(name: str) -> tuple[int, str]:
    """Returns what sorts files of one form by how far they are preferred."""
    indexed, suffix = indexed_format(name), _suffix(name)
    if indexed == "safetensors":
        return 0, name
    if suffix in _SAFETENSORS:
        return 1, name
    if indexed == "torch":
        return 2, name
    return (3 if suffix in _TORCH else 4), name


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
        originals = _originals(group)
        if len(originals) == 1:
            return originals[0]
        if group:
            raise SourceError(
                "several-checkpoints",
                f"it holds several checkpoints; scan one of them with --file: {listed(group)}",
                file=source,
            )
    raise SourceNotFoundError("no-weights", "it holds no weight file", file=source)


def listed(names: Iterable[str]) -> str:
    """Returns names as a sentence can hold them: printable, and not too many."""
    every = list(names)
    shown = ", ".join(printable(name, limit=60) for name in every[:_SHOWN])
    return f"{shown} and {len(every) - _SHOWN} more" if len(every) > _SHOWN else shown


def _originals(names: list[str]) -> list[str]:
    """The names that are no variant of another of them."""
    present = set(names)
    originals = ((name, _VARIANT.sub("", name)) for name in names)
    return [name for name, original in originals if original == name or original not in present]


def _groups(names: list[str]) -> Iterable[list[str]]:
    """Yields what may be chosen, the most trusted kind first."""
    for read, suffixes in (("safetensors", _SAFETENSORS), ("torch", _TORCH)):
        yield [name for name in names if indexed_format(name) == read]
        yield [name for name in names if _suffix(name) in suffixes]
    yield [n for n in names if _suffix(n) in _OTHER]


def _suffix(name: str) -> str:
    # As PurePosixPath has it, at a tenth of the time: folders of 100,000 files are looked through.
    last = name.rpartition("/")[2]
    dot = last.rfind(".")
    return last[dot:].lower() if 0 < dot < len(last) - 1 else ""
