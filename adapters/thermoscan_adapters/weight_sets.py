"""Reads one set of weights: a single file, or the shards that an index lists.

Takes a `Folder` and the name of the file to start from; gives what the readers of the formats found
in its files. A broken ``config.json`` beside them is a note and does not stand in the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from thermoscan.checkpoint import Checkpoint, FileRecord, Tensor
from thermoscan.errors import (
    CheckpointError,
    HubError,
    LimitError,
    MalformedError,
    SourceError,
    SourceNotFoundError,
)
from thermoscan.limits import Limits
from thermoscan_adapters.folders import FilesReader, Folder, OpenFile, within
from thermoscan_adapters.formats import identify
from thermoscan_adapters.index import check_shards, read_index
from thermoscan_adapters.safetensors_format import read_safetensors
from thermoscan_adapters.selection import indexed_format
from thermoscan_adapters.strict_json import parse_object


@dataclass(frozen=True, slots=True)
class Part:
    """One weight file and what its reader found in it."""

    file: OpenFile
    format: str
    tensors: tuple[Tensor, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def record(self) -> FileRecord:
        """What a card says of the file."""
        file = self.file
        return FileRecord(file.name, file.size, "scanned", self.format, sha256=file.sha256)


@dataclass(frozen=True, slots=True)
class WeightSet:
    """The files that hold a model's weights, and sentences for the card about them."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    @property
    def tensors(self) -> int:
        """How many tensors they hold."""
        return sum(len(part.tensors) for part in self.parts)


def read_set(folder: Folder, name: str, limits: Limits) -> WeightSet:
    """Reads the headers of the weight file `name`, or of the shards of the index `name`.

    Raises:
        SourceError: There is no such file, or nothing to scan in it.
        CheckpointError: It cannot be trusted.
    """
    indexed = indexed_format(name)
    if indexed:
        return _read_shards(folder, name, indexed, limits)
    part = read_file(folder, name, limits)
    return WeightSet((part,), part.notes)


def read_file(folder: Folder, name: str, limits: Limits) -> Part:
    """Reads the header of one weight file, whose format is told by its content. See `read_set`."""
    file = folder.open(name)
    found = identify(file)
    if found == "safetensors":
        return Part(file, found, read_safetensors(file, limits))
    from thermoscan_adapters.torch_format import read_torch  # noqa: PLC0415 - most files need none

    state = read_torch(file, limits)
    return Part(file, state.format, state.tensors, state.aliases, state.notes)


def _read_shards(folder: Folder, name: str, indexed: str, limits: Limits) -> WeightSet:
    index = read_index(folder.open(name), limits)
    parts: list[Part] = []
    tensors = 0
    # Headers are waited for at once where that is what takes the time.
    with ThreadPoolExecutor(max(1, folder.connections)) as pool:
        read = pool.map(lambda shard: _read_shard(folder, shard, name, limits), index.shards)
        for shard, part in zip(index.shards, read, strict=True):
            if not part.format.startswith(indexed):
                reason = f"{name} lists {indexed} shards, and this one is {part.format}"
                raise MalformedError("index-shard-format", reason, file=shard)
            parts.append(part)
            tensors += len(part.tensors)
            if tensors > limits.tensors:
                reason = f"its shards hold more tensors than the limit of {limits.tensors}"
                raise LimitError("index-too-many-tensors", reason, file=name)
    held = {
        part.file.name: [*(tensor.name for tensor in part.tensors), *part.aliases] for part in parts
    }
    nbytes = sum(tensor.nbytes for part in parts for tensor in part.tensors)
    odd = check_shards(index, held, nbytes)
    return WeightSet(tuple(parts), (*(note for part in parts for note in part.notes), *odd))


def _read_shard(folder: Folder, shard: str, index: str, limits: Limits) -> Part:
    try:
        return read_file(folder, shard, limits)
    except SourceNotFoundError:
        reason = f"{index} lists this shard, and it is not there"
        raise MalformedError("index-shard-missing", reason, file=shard) from None


def assemble(
    folder: Folder, parts: Iterable[Part], config: Mapping[str, Any] | None, notes: Iterable[str]
) -> Checkpoint:
    """Makes the checkpoint of these files.

    Raises:
        SourceError: ``no-tensors``.
    """
    parts = tuple(parts)
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    if not tensors:
        raise SourceError("no-tensors", "it holds no tensors", file=folder.source.id)
    return Checkpoint(
        source=folder.source,
        tensors=tensors,
        files=tuple(part.record for part in parts),
        reader=FilesReader({part.file.name: part.file for part in parts}),
        config=config,
        aliases={alias: name for part in parts for alias, name in part.aliases.items()},
        notes=tuple(notes),
        connections=folder.connections,
    )


def home_of(checkpoint: Checkpoint) -> str:
    """Returns the path of the sub-folder that a checkpoint's weights lie in, "" for the folder."""
    scanned = next(record.name for record in checkpoint.files if record.status == "scanned")
    return scanned.rpartition("/")[0]


def read_config(
    folder: Folder, limits: Limits, inside: str = ""
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Returns the parsed ``config.json``, or None, and a note where it is broken.

    Args:
        folder: The folder of the checkpoint.
        limits: Bounds on the file.
        inside: Path of the sub-folder that it lies in; "" for the folder itself.
    """
    name = within(inside, "config.json")
    try:
        return read_json(folder, name, "config", limits), ()
    except SourceNotFoundError:
        return None, ()
    except HubError:  # it may be sound: figures must not depend on whether it came
        raise
    except (SourceError, CheckpointError) as error:
        return None, (f"{name} was not used: {error.reason} ({error.code}).",)


def read_json(folder: Folder, name: str, prefix: str, limits: Limits) -> dict[str, Any]:
    """Returns the JSON object in a file of `folder`; error codes begin with `prefix`.

    Raises:
        SourceError: It is not there, or cannot be read.
        CheckpointError: It leads out of the folder, is too long, or is not strict JSON.
    """
    file = folder.open(name)
    if file.size > limits.config_bytes:
        reason = f"it has {file.size} bytes, more than the limit of {limits.config_bytes}"
        raise LimitError(f"{prefix}-too-long", reason, file=name)
    return parse_object(file.read_at(0, file.size), limits, prefix=prefix, file=name)
