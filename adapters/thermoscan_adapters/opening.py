"""From a folder to a checkpoint: one set of weights, or one for each component of a pipeline.

Takes a `Folder`, on disk or on a hub; gives a `Checkpoint` whose tensors are in the order that the
files list them. Which file is read first is decided by `selection`, or by the user; every other
file that looks like weights is recorded with the reason why it was not scanned.
"""

from __future__ import annotations

from dataclasses import replace

from thermoscan.checkpoint import Checkpoint, OpenOptions
from thermoscan.errors import (
    OptionError,
    SourceNotFoundError,
    UnsupportedFormatError,
)
from thermoscan.limits import Limits
from thermoscan_adapters import lora_config, pipelines
from thermoscan_adapters.beside import holders, in_subfolders, records_beside
from thermoscan_adapters.folders import FilesReader, Folder, within
from thermoscan_adapters.index import is_plain_path
from thermoscan_adapters.selection import (
    SHARD,
    choose,
    indexed_format,
    listed,
    looks_like_weights,
)
from thermoscan_adapters.weight_sets import (
    assemble,
    read_config,
    read_file,
    read_json,
    read_set,
)


def open_folder(folder: Folder, options: OpenOptions) -> Checkpoint:
    """Opens the checkpoint in `folder` and records the other files that look like weights.

    A LoRA adapter is opened as what it makes of the base in `options`.

    Raises:
        SourceError: There is nothing to scan in it, more than one checkpoint, or an adapter alone.
        CheckpointError: The checkpoint cannot be trusted.
        OptionError: The file that the options name cannot be one to scan.
    """
    limits = options.limits
    if options.file is not None:
        return _open_set(folder, _named(folder, options.file, limits), options)
    names = folder.names(limits)
    if pipelines.FILE in names:
        return pipelines.open_pipeline(folder, limits)
    checkpoint = _open_set(folder, _chosen(folder, names, limits), options)
    deeper, notes = in_subfolders(folder, limits)
    return replace(checkpoint, files=checkpoint.files + deeper, notes=checkpoint.notes + notes)


def open_file(folder: Folder, name: str, limits: Limits) -> Checkpoint:
    """Opens one weight file or index of a folder, with the configuration beside it.

    Raises:
        SourceError: There is no such file, or nothing to scan in it.
        CheckpointError: The checkpoint cannot be trusted.
    """
    found = read_set(folder, name, limits)
    config, more = read_config(folder, limits)
    notes = found.notes + more
    if SHARD.search(name):
        one = "This is one shard of several; name their folder to scan the whole model."
        notes = (*notes, one)
    return assemble(folder, found.parts, config, notes)


def _open_set(folder: Folder, chosen: str, options: OpenOptions) -> Checkpoint:
    """Opens the set of weights that starts with the file `chosen`, and records what is beside."""
    limits = options.limits
    inside, _, last = chosen.rpartition("/")
    names = folder.names(limits, inside)
    if last in lora_config.WEIGHTS and lora_config.FILE in names:
        return _open_adapter(folder, chosen, options)
    found = read_set(folder, chosen, limits)
    config, notes = read_config(folder, limits, inside)
    checkpoint = assemble(folder, found.parts, config, found.notes + notes)
    scanned = {record.name for record in checkpoint.files}
    beside = records_beside(folder, inside, names, scanned, f"{chosen} was scanned instead")
    if any(record.code == "not-chosen" for record in beside):
        notes = (*checkpoint.notes, f"The folder holds other weights too; {chosen} was chosen.")
        checkpoint = replace(checkpoint, notes=notes)
    return replace(checkpoint, files=checkpoint.files + beside)


def _chosen(folder: Folder, names: list[str], limits: Limits) -> str:
    """Returns the file to start from; where it is in a sub-folder, the error says in which."""
    try:
        return choose(names, source=folder.source.id)
    except SourceNotFoundError as error:
        inner = holders(folder, limits)
        if not inner:
            raise
        reason = (
            "it holds no weight file; there are weights in its sub-folders, scan one of them with "
            f"--file: {listed(inner)}"
        )
        raise SourceNotFoundError(error.code, reason, file=error.file) from None


def _named(folder: Folder, name: str, limits: Limits) -> str:
    """Returns the file that the user named, or the one to start from in a sub-folder so named.

    Raises:
        OptionError: ``file-outside`` or ``file-not-weights``.
        SourceNotFoundError: ``file-not-found``, with what there is.
    """
    name = name.removesuffix("/")
    if not is_plain_path(name):
        reason = "a file to scan is named by its plain path inside the folder or repository"
        raise OptionError("file-outside", reason, file=name)
    inside, _, last = name.rpartition("/")
    if last not in (_names(folder, inside, limits) or ()):
        there = [each for each in folder.names(limits) if looks_like_weights(each)]
        there += holders(folder, limits)
        has = f"weights are in {listed(there)}" if there else "there are no weights at all"
        raise SourceNotFoundError("file-not-found", f"there is no such file; {has}", file=name)
    inner = _names(folder, name, limits)
    if inner is not None:
        return within(name, choose(inner, source=name))
    if name.endswith(".json") and not indexed_format(name):
        reason = "it is no weight file and no index of shards"
        raise OptionError("file-not-weights", reason, file=name)
    return name


def _names(folder: Folder, inside: str, limits: Limits) -> list[str] | None:
    """The names in a sub-folder, None where there is no such folder."""
    try:
        return folder.names(limits, inside)
    except SourceNotFoundError:
        return None


def _open_adapter(folder: Folder, chosen: str, options: OpenOptions) -> Checkpoint:
    """Opens the adapter in `folder`, whose weights are in the file `chosen`."""
    if options.base is None:
        reason = (
            "it is an adapter, not a model; to see what it makes of its base, run "
            "thermoscan compare BASE ADAPTER"
        )
        raise UnsupportedFormatError("adapter-alone", reason, file=folder.source.id)
    from thermoscan_adapters.lora import Adapter, apply_lora  # noqa: PLC0415 - rarely needed

    stated = within(chosen.rpartition("/")[0], lora_config.FILE)
    document = read_json(folder, stated, "adapter-config", options.limits)
    part = read_file(folder, chosen, options.limits)
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
