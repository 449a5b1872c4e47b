"""From a folder to a checkpoint: one weight file, or a folder as transformers writes it.

Takes a `Folder`, on disk or on a hub; gives a `Checkpoint` whose tensors are in the order that the
files list them. Every other file in the folder that looks like weights is recorded with the reason
why it was not scanned, and a broken ``config.json`` is a note: neither stands in the way of the
weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from thermoscan.checkpoint import Checkpoint, FileRecord, OpenOptions, Tensor
from thermoscan.errors import (
    CheckpointError,
    LimitError,
    MalformedError,
    SourceError,
    SourceNotFoundError,
    UnsupportedFormatError,
)
from thermoscan.limits import Limits
from thermoscan_adapters import lora_config
from thermoscan_adapters.folders import FilesReader, Folder, OpenFile
from thermoscan_adapters.formats import identify
from thermoscan_adapters.index import check_shards, read_index
from thermoscan_adapters.safetensors_format import read_safetensors
from thermoscan_adapters.selection import (
    choose,
    indexed_format,
    looks_like_weights,
)
from thermoscan_adapters.strict_json import parse_object

_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")


def open_folder(folder: Folder, options: OpenOptions) -> Checkpoint:
    """Opens the checkpoint in `folder` and records the other files that look like weights.

    A LoRA adapter is opened as what it makes of the base in `options`.

    Raises:
        SourceError: There is nothing to scan in it, more than one checkpoint, or an adapter alone.
        CheckpointError: The checkpoint cannot be trusted.
    """
    limits = options.limits
    names = folder.names(limits)
    chosen = choose(names, source=folder.source.id)
    if chosen in lora_config.WEIGHTS and lora_config.FILE in names:
        return _open_adapter(folder, chosen, options)
    indexed = indexed_format(chosen)
    if indexed:
        parts, notes = _read_sharded(folder, chosen, indexed, limits)
    else:
        parts, notes = (_read_weights(folder, chosen, limits),), ()
    scanned = {part.file.name for part in parts}
    beside = tuple(
        folder.record(name, chosen)
        for name in names
        if looks_like_weights(name) and name not in scanned
    )
    if any(record.code == "not-chosen" for record in beside):
        notes = (*notes, f"The folder holds other weights too; {chosen} was chosen.")
    checkpoint = _assemble(folder, parts, limits)
    return replace(checkpoint, files=checkpoint.files + beside, notes=checkpoint.notes + notes)


def open_file(folder: Folder, name: str, limits: Limits) -> Checkpoint:
    """Opens one weight file of a folder, with the configuration beside it.

    Raises:
        SourceError: There is no such file, or nothing to scan in it.
        CheckpointError: The checkpoint cannot be trusted.
    """
    checkpoint = _assemble(folder, (_read_weights(folder, name, limits),), limits)
    if not _SHARD.search(name):
        return checkpoint
    note = "This is one shard of several; name their folder to scan the whole model."
    return replace(checkpoint, notes=(*checkpoint.notes, note))


def _open_adapter(folder: Folder, chosen: str, options: OpenOptions) -> Checkpoint:
    """Opens the adapter in `folder`, whose weights are in the file `chosen`."""
    if options.base is None:
        reason = (
            "it is an adapter, not a model; to see what it makes of its base, run "
            "thermoscan compare BASE ADAPTER"
        )
        raise UnsupportedFormatError("adapter-alone", reason, file=folder.source.id)
    from thermoscan_adapters.lora import Adapter, apply_lora  # noqa: PLC0415 - rarely needed

    document = _read_json(folder, lora_config.FILE, "adapter-config", options.limits)
    part = _read_weights(folder, chosen, options.limits)
    taken = any(file.name == chosen for file in options.base.files)
    name = f"{folder.source.id}/{chosen}" if taken else chosen
    adapter = Adapter(
        source=folder.source,
        file=replace(part.record, name=name),
        tensors=[replace(tensor, file=name) for tensor in part.tensors],
        reader=FilesReader({name: part.file}),
        config=lora_config.read_lora_config(document),
    )
    return apply_lora(options.base, adapter)


@dataclass(frozen=True, slots=True)
class _Part:
    """One weight file and what its reader found in it."""

    file: OpenFile
    format: str
    tensors: tuple[Tensor, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def record(self) -> FileRecord:
        file = self.file
        return FileRecord(file.name, file.size, "scanned", self.format, sha256=file.sha256)


def _read_weights(folder: Folder, name: str, limits: Limits) -> _Part:
    file = folder.open(name)
    found = identify(file)
    if found == "safetensors":
        return _Part(file, found, read_safetensors(file, limits))
    from thermoscan_adapters.torch_format import read_torch  # noqa: PLC0415 - most files need none

    state = read_torch(file, limits)
    return _Part(file, state.format, state.tensors, state.aliases, state.notes)


def _read_sharded(
    folder: Folder, name: str, indexed: str, limits: Limits
) -> tuple[tuple[_Part, ...], tuple[str, ...]]:
    """Returns the shards that the index `name` lists, and what is odd about the index."""
    index = read_index(folder.open(name), limits)
    parts: list[_Part] = []
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
    return tuple(parts), check_shards(index, held, nbytes)


def _read_shard(folder: Folder, shard: str, index: str, limits: Limits) -> _Part:
    try:
        return _read_weights(folder, shard, limits)
    except SourceNotFoundError:
        reason = f"{index} lists this shard, and it is not there"
        raise MalformedError("index-shard-missing", reason, file=shard) from None


def _assemble(folder: Folder, parts: tuple[_Part, ...], limits: Limits) -> Checkpoint:
    """Puts the weight files in `parts` and the configuration beside them together."""
    config, notes = _read_config(folder, limits)
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
        notes=tuple(note for part in parts for note in part.notes) + notes,
        connections=folder.connections,
    )


def _read_config(folder: Folder, limits: Limits) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Returns the parsed ``config.json`` of `folder`, or None, and a note where it is broken."""
    try:
        return _read_json(folder, "config.json", "config", limits), ()
    except SourceNotFoundError:
        return None, ()
    except (SourceError, CheckpointError) as error:
        return None, (f"config.json was not used: {error.reason} ({error.code}).",)


def _read_json(folder: Folder, name: str, prefix: str, limits: Limits) -> dict[str, Any]:
    """Returns the JSON object in a file of `folder`; error codes begin with `prefix`."""
    file = folder.open(name)
    if file.size > limits.config_bytes:
        reason = f"it has {file.size} bytes, more than the limit of {limits.config_bytes}"
        raise LimitError(f"{prefix}-too-long", reason, file=name)
    return parse_object(file.read_at(0, file.size), limits, prefix=prefix, file=name)
