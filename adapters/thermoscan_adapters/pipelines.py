"""Checkpoints of several components, as diffusers saves them, opened as one.

``model_index.json`` names the components; each is a folder with a ``config.json`` and weights of
its own (https://huggingface.co/docs/diffusers/using-diffusers/other-formats#layout). Takes a
`Folder`; gives a `Checkpoint` whose names begin with the component's. The index is hostile: a
component is named by a plain word, and only what it names is opened. A component without weights
(a scheduler, a tokenizer) is passed over; one that cannot be trusted is recorded as refused and the
others are scanned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from thermoscan.checkpoint import Checkpoint, FileRecord
from thermoscan.errors import (
    ChangedError,
    CheckpointError,
    HubError,
    LimitError,
    SourceError,
    SourceNotFoundError,
    UnsafeError,
)
from thermoscan.limits import Limits
from thermoscan.text import printable
from thermoscan_adapters.beside import in_subfolders, records_beside
from thermoscan_adapters.folders import Folder, within
from thermoscan_adapters.selection import (
    choose,
    indexed_format,
    is_training_state,
    listed,
    looks_like_weights,
)
from thermoscan_adapters.weight_sets import (
    Part,
    WeightSet,
    assemble,
    read_config,
    read_json,
    read_set,
)

FILE = "model_index.json"

#: The code of a component that is named and has no weights although it should.
INCOMPLETE = "component-incomplete"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", re.ASCII)
_WHOLE = f"the components that {FILE} names were scanned instead"


@dataclass
class _Gathered:
    """What was found so far.

    Attributes:
        configs: Component that was scanned -> its configuration.
        parts: The weight files of all, with the components' names before those of the tensors.
        tensors: How many there are in them.
        others: Records of what was not scanned.
        chosen: The files that were chosen where others lie beside them.
        errors: Why components were refused, by their names.
        notes: For the card.
    """

    configs: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    tensors: int = 0
    others: list[FileRecord] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    errors: dict[str, SourceError | CheckpointError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def open_pipeline(folder: Folder, limits: Limits) -> Checkpoint:
    """Opens every component that ``model_index.json`` names and that has weights.

    Raises:
        SourceError: None of them has weights, or none of those that have can be read.
        CheckpointError: The index cannot be trusted, or none of the components.
    """
    document = read_json(folder, FILE, "model-index", limits)
    names = component_names(document, limits)
    found = _Gathered()
    for name in names:
        _gather(folder, name, found, limits)
    if found.errors and not found.parts:
        raise next(iter(found.errors.values()))
    if not found.parts:
        reason = f"none of the components that {FILE} names holds a weight file"
        raise SourceNotFoundError("no-weights", reason, file=folder.source.id)
    top = records_beside(folder, "", folder.names(limits), (), _WHOLE)
    deeper, deeper_notes = in_subfolders(folder, limits, known=names)
    notes = (*found.notes, *_notes(found, top), *deeper_notes)
    checkpoint = assemble(folder, found.parts, document, notes)
    return replace(
        checkpoint,
        components=found.configs,
        files=(*checkpoint.files, *found.others, *top, *deeper),
    )


def component_names(document: Mapping[str, Any], limits: Limits) -> tuple[str, ...]:
    """Returns the components that an index names, in its order.

    A component's entry is the library and the class that it is made with, both null where a
    pipeline leaves it out; everything else in the index is a setting.

    Raises:
        UnsafeError: ``component-name``: a name is no plain word.
        LimitError: ``model-index-too-many-components``.
    """
    names = tuple(
        key
        for key, value in document.items()
        if isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value)
    )
    if len(names) > limits.components:
        reason = f"it names {len(names)} components, more than the limit of {limits.components}"
        raise LimitError("model-index-too-many-components", reason, file=FILE)
    for name in names:
        if not _NAME.fullmatch(name):
            reason = f"it names the component '{printable(name)}', which is no plain word"
            raise UnsafeError("component-name", reason, file=FILE)
    return names


def _gather(folder: Folder, name: str, found: _Gathered, limits: Limits) -> None:
    """Opens one component and adds it to what was found."""
    try:
        entries = _entries(folder, name, limits)
        if entries is None or not any(_starts(entry) for entry in entries):
            found.others += _without_weights(name, entries)
            return
        chosen = within(name, choose(entries, source=name))
        weights = read_set(folder, chosen, limits)
    except (HubError, ChangedError):
        raise
    except (SourceError, CheckpointError) as error:
        found.errors[name] = error
        found.others.append(_refused(folder, name, error))
        return
    _add(folder, name, weights, found, limits)
    scanned = {part.file.name for part in weights.parts}
    beside = records_beside(folder, name, entries, scanned, f"{chosen} was scanned instead")
    found.others += beside
    if any(record.code == "not-chosen" for record in beside):
        found.chosen.append(chosen)


def _entries(folder: Folder, name: str, limits: Limits) -> list[str] | None:
    """Everything in a component's folder, None where there is no such folder."""
    try:
        return folder.names(limits, name)
    except SourceNotFoundError:
        return None


def _starts(entry: str) -> bool:
    """Says whether a file of this name may be one to start from."""
    weights = looks_like_weights(entry) and not is_training_state(entry)
    return weights or indexed_format(entry) is not None


def _add(folder: Folder, name: str, weights: WeightSet, found: _Gathered, limits: Limits) -> None:
    """Adds a component's weights, within the limits that hold for all of them together."""
    found.parts += [_under(name, part) for part in weights.parts]
    found.tensors += weights.tensors
    if found.tensors > limits.tensors:
        reason = f"its components hold more tensors than the limit of {limits.tensors}"
        raise LimitError("model-index-too-many-tensors", reason, file=FILE)
    if len(found.parts) > limits.shards:
        reason = f"its components hold more weight files than the limit of {limits.shards}"
        raise LimitError("model-index-too-many-shards", reason, file=FILE)
    found.configs[name], notes = read_config(folder, limits, name)
    found.notes += [f"{name}: {note}" for note in weights.notes]
    found.notes += notes


def _under(name: str, part: Part) -> Part:
    """The weight file with the component's name before those of its tensors."""
    return replace(
        part,
        tensors=tuple(replace(each, name=f"{name}.{each.name}") for each in part.tensors),
        aliases={f"{name}.{alias}": f"{name}.{each}" for alias, each in part.aliases.items()},
    )


def _without_weights(name: str, entries: list[str] | None) -> list[FileRecord]:
    """The record of a component that should have weights; none of a scheduler or a tokenizer."""
    if entries is None:
        reason = f"{FILE} names it, and it is not there"
    elif "config.json" in entries:
        reason = "it has a configuration and no weights"
    else:
        return []
    return [FileRecord(f"{name}/", 0, "skipped", code=INCOMPLETE, reason=reason)]


def _refused(folder: Folder, name: str, error: SourceError | CheckpointError) -> FileRecord:
    """The record of a component that was refused: of the file that is at fault, if that is told."""
    file = error.file if error.file and error.file.startswith(f"{name}/") else f"{name}/"
    try:
        size = folder.open(file).size
    except (SourceError, CheckpointError):
        size = 0
    return FileRecord(file, size, "refused", code=error.code, reason=error.reason)


def _notes(found: _Gathered, top: tuple[FileRecord, ...]) -> list[str]:
    """What a card says of the choice of components and files."""
    notes = []
    if found.errors:
        notes.append(
            "Components that cannot be scanned were left out, each with its reason among the "
            f"other files: {listed(found.errors)}."
        )
    missing = [
        record.name.removesuffix("/") for record in found.others if record.code == INCOMPLETE
    ]
    if missing:
        notes.append(f"Components without weights, though {FILE} names them: {listed(missing)}.")
    if found.chosen:
        notes.append(f"Other weights lie beside those that were chosen: {listed(found.chosen)}.")
    if any(record.code == "not-chosen" for record in top):
        notes.append(f"The folder holds other weights too; the components of {FILE} were chosen.")
    return notes
