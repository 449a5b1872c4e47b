"""Checkpoints on disk: one weight file, or a folder as transformers writes it.

Takes a path; gives a `Checkpoint` whose tensors are in the order that the files list them. Every
other file in the folder that looks like weights is recorded with the reason why it was not scanned,
and a broken ``config.json`` is a note: neither stands in the way of the weights.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thermoscan.checkpoint import Checkpoint, FileRecord, OpenOptions, Source, Tensor
from thermoscan.errors import (
    CheckpointError,
    LimitError,
    MalformedError,
    OptionError,
    SourceError,
    SourceNotFoundError,
    ThermoscanError,
    UnsupportedFormatError,
)
from thermoscan.limits import Limits
from thermoscan_adapters import lora_config
from thermoscan_adapters.files import DiskReader, OpenFile, open_file
from thermoscan_adapters.formats import identify
from thermoscan_adapters.index import check_shards, read_index
from thermoscan_adapters.safetensors_format import read_safetensors
from thermoscan_adapters.selection import (
    choose,
    indexed_format,
    is_training_state,
    looks_like_weights,
)
from thermoscan_adapters.strict_json import parse_object

_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")


class DiskAdapter:
    """Opens files and folders. See `thermoscan.checkpoint.Adapter`."""

    def claims(self, source: str) -> bool:
        """Says whether `source` exists, or is plainly meant as a path."""
        if source.startswith(("./", "../", "/", "~")) or source in {".", ".."}:
            return True
        return os.path.lexists(source) or looks_like_weights(source)

    def open(self, source: str, options: OpenOptions) -> Checkpoint:
        """Opens the file or folder `source`.

        Raises:
            OptionError: ``revision-of-a-path``.
            SourceError: There is nothing to scan here, or more than one checkpoint.
            CheckpointError: The checkpoint cannot be trusted.
        """
        if options.revision is not None:
            raise OptionError("revision-of-a-path", "a path has no revisions", file=source)
        path = _path(source)
        if path.is_dir():
            return open_folder(path, options)
        return _open_file(path, options.limits)

    def beside(
        self, source: str, checkpoint: Checkpoint, names: Collection[str], most_bytes: int
    ) -> Path:
        """Returns the folder of the weights, whose files of these names were looked at."""
        path = _path(source)
        folder = path if path.is_dir() else path.parent
        check_beside(folder, names, most_bytes)
        return folder


def check_beside(folder: Path, names: Collection[str], most_bytes: int) -> None:
    """Makes sure of the files of these names that are in `folder`; see `Adapter.beside`.

    Raises:
        SourceError: One is no file, or cannot be read.
        UnsafeError: One leads out of the folder.
        LimitError: ``file-too-long``.
    """
    for name in sorted(names):
        try:
            file = open_file(folder, name)
        except SourceNotFoundError:
            continue
        if file.size > most_bytes:
            reason = f"it has {file.size} bytes, more than the limit of {most_bytes}"
            raise LimitError("file-too-long", reason, file=name)


def _path(source: str) -> Path:
    return Path(os.path.expanduser(source))  # noqa: PTH111 - Path's raises without a home


def open_folder(folder: Path, options: OpenOptions) -> Checkpoint:
    """Opens the checkpoint in `folder` and records the other files that look like weights.

    A LoRA adapter is opened as what it makes of the base in `options`.

    Raises:
        SourceError: There is nothing to scan in it, more than one checkpoint, or an adapter alone.
        CheckpointError: The checkpoint cannot be trusted.
    """
    folder, limits = folder.resolve(), options.limits
    names = _names_in(folder, limits)
    chosen = choose(names, source=folder.name)
    if chosen in lora_config.WEIGHTS and lora_config.FILE in names:
        return _open_adapter(folder, chosen, options)
    indexed = indexed_format(chosen)
    if indexed:
        parts, notes = _read_sharded(folder, chosen, indexed, limits)
    else:
        parts, notes = (_read_weights(folder, chosen, limits),), ()
    scanned = {part.file.name for part in parts}
    beside = tuple(
        _record_beside(folder, name, chosen)
        for name in names
        if looks_like_weights(name) and name not in scanned
    )
    if any(record.code == "not-chosen" for record in beside):
        notes = (*notes, f"The folder holds other weights too; {chosen} was chosen.")
    checkpoint = _assemble(_source_of(folder, folder.name), folder, parts, limits)
    return replace(checkpoint, files=checkpoint.files + beside, notes=checkpoint.notes + notes)


def _open_adapter(folder: Path, chosen: str, options: OpenOptions) -> Checkpoint:
    """Opens the adapter in `folder`, whose weights are in the file `chosen`."""
    if options.base is None:
        reason = (
            "it is an adapter, not a model; to see what it makes of its base, run "
            "thermoscan compare BASE ADAPTER"
        )
        raise UnsupportedFormatError("adapter-alone", reason, file=folder.name)
    from thermoscan_adapters.lora import Adapter, apply_lora  # noqa: PLC0415 - rarely needed

    document = _read_json(folder, lora_config.FILE, "adapter-config", options.limits)
    part = _read_weights(folder, chosen, options.limits)
    taken = any(file.name == chosen for file in options.base.files)
    name = f"{folder.name}/{chosen}" if taken else chosen
    adapter = Adapter(
        source=_source_of(folder, folder.name),
        file=FileRecord(name, part.file.size, "scanned", part.format),
        tensors=[replace(tensor, file=name) for tensor in part.tensors],
        reader=DiskReader({name: part.file}),
        config=lora_config.read_lora_config(document),
    )
    return apply_lora(options.base, adapter)


def _open_file(path: Path, limits: Limits) -> Checkpoint:
    part = _read_weights(path.parent, path.name, limits)
    folder = path.parent.resolve()
    checkpoint = _assemble(_source_of(folder, path.name), folder, (part,), limits)
    if not _SHARD.search(path.name):
        return checkpoint
    note = "This is one shard of several; name their folder to scan the whole model."
    return replace(checkpoint, notes=(*checkpoint.notes, note))


@dataclass(frozen=True, slots=True)
class _Part:
    """One weight file and what its reader found in it."""

    file: OpenFile
    format: str
    tensors: tuple[Tensor, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def _read_weights(folder: Path, name: str, limits: Limits) -> _Part:
    file = open_file(folder, name)
    found = identify(file)
    if found == "safetensors":
        return _Part(file, found, read_safetensors(file, limits))
    from thermoscan_adapters.torch_format import read_torch  # noqa: PLC0415 - most files need none

    state = read_torch(file, limits)
    return _Part(file, state.format, state.tensors, state.aliases, state.notes)


def _read_sharded(
    folder: Path, name: str, indexed: str, limits: Limits
) -> tuple[tuple[_Part, ...], tuple[str, ...]]:
    """Returns the shards that the index `name` lists, and what is odd about the index."""
    index = read_index(open_file(folder, name), limits)
    parts: list[_Part] = []
    tensors = 0
    for shard in index.shards:
        try:
            part = _read_weights(folder, shard, limits)
        except SourceNotFoundError:
            reason = f"{name} lists this shard, and it is not there"
            raise MalformedError("index-shard-missing", reason, file=shard) from None
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


def _assemble(source: Source, folder: Path, parts: tuple[_Part, ...], limits: Limits) -> Checkpoint:
    """Puts the weight files in `parts` and the configuration beside them together."""
    config, notes = _read_config(folder, limits)
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    if not tensors:
        raise SourceError("no-tensors", "it holds no tensors", file=source.id)
    return Checkpoint(
        source=source,
        tensors=tensors,
        files=tuple(
            FileRecord(part.file.name, part.file.size, "scanned", part.format) for part in parts
        ),
        reader=DiskReader({part.file.name: part.file for part in parts}),
        config=config,
        aliases={alias: name for part in parts for alias, name in part.aliases.items()},
        notes=tuple(note for part in parts for note in part.notes) + notes,
    )


def _read_config(folder: Path, limits: Limits) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Returns the parsed ``config.json`` of `folder`, or None, and a note where it is broken."""
    try:
        return _read_json(folder, "config.json", "config", limits), ()
    except SourceNotFoundError:
        return None, ()
    except (SourceError, CheckpointError) as error:
        return None, (f"config.json was not used: {error.reason} ({error.code}).",)


def _read_json(folder: Path, name: str, prefix: str, limits: Limits) -> dict[str, Any]:
    """Returns the JSON object in a file of `folder`; error codes begin with `prefix`."""
    file = open_file(folder, name)
    if file.size > limits.config_bytes:
        reason = f"it has {file.size} bytes, more than the limit of {limits.config_bytes}"
        raise LimitError(f"{prefix}-too-long", reason, file=name)
    return parse_object(file.read_at(0, file.size), limits, prefix=prefix, file=name)


def _names_in(folder: Path, limits: Limits) -> list[str]:
    """Returns the sorted names of all entries of `folder`, of whatever kind."""
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > limits.folder_entries:
                    reason = f"it holds more than {limits.folder_entries} files"
                    raise LimitError("folder-too-large", reason, file=folder.name)
    except OSError as error:
        reason = f"the system cannot list it ({error.strerror})"
        raise SourceError("folder-unreadable", reason, file=folder.name) from None
    return sorted(names)


def _record_beside(folder: Path, name: str, chosen: str) -> FileRecord:
    """Returns what there is to say of a file that was not chosen; it is looked at, not read."""
    size = 0
    try:
        file = open_file(folder, name)
        size = file.size
        if is_training_state(name):
            return FileRecord(
                name, size, "skipped", code="not-weights", reason="training state, not weights"
            )
        found = identify(file)
    except ThermoscanError as error:
        return FileRecord(name, size, "refused", code=error.code, reason=error.reason)
    return FileRecord(
        name, size, "skipped", found, code="not-chosen", reason=f"{chosen} was scanned instead"
    )


def _source_of(folder: Path, name: str) -> Source:
    """Returns the source of `name` in `folder`: a repository's where it is a hub cache snapshot."""
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        hub_id = repository.removeprefix("models--").replace("--", "/")
        return Source(hub_id, folder.name, "disk")
    return Source(name, None, "disk")
