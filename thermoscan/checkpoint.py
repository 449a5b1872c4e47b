"""A checkpoint as the core sees it: tensors that say where their bytes are, and a byte reader.

An adapter (`thermoscan_adapters`, or a third party's) turns a source into a `Checkpoint`: it
validates the container, lists the tensors without reading weights, and reads byte ranges on demand.
It never builds an array.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from thermoscan.dtypes import DType
from thermoscan.limits import Limits


@dataclass(frozen=True, slots=True)
class Tensor:
    """One stored tensor: what it is and where its bytes lie. No weights.

    Attributes:
        name: As the checkpoint names it. Hostile text.
        dtype: Element type.
        shape: Logical shape, as the model sees it. ``()`` is a scalar.
        file: Name of the file that holds it, a key of the checkpoint's files.
        offset: Byte offset, in that file, of the tensor's first element.
        strides: Steps between elements along each axis, in elements; None for C-contiguous. Never
            overlapping: an adapter refuses a layout in which two indices share an element.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    file: str
    offset: int
    strides: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes of the elements themselves (gaps between strides not counted)."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of the source and what became of it.

    Attributes:
        name: Path relative to the source, with forward slashes. Hostile text.
        size: Bytes.
        status: ``"scanned"``, ``"refused"`` (broken, unsafe or unsupported) or ``"skipped"`` (not
            weights).
        format: ``"safetensors"``, ``"torch-zip"``, ``"torch-legacy"``, or None where it was not
            opened.
        code: The stable code of a refusal or skip; None when scanned.
        reason: Why it was refused or skipped; None when scanned.
        sha256: Hexadecimal digest where the source states one (a hub's large-file record); else
            None.
    """

    name: str
    size: int
    status: str
    format: str | None = None
    code: str | None = None
    reason: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a checkpoint came from.

    Attributes:
        id: What a card calls the model: the hub id, or the last part of the path.
        revision: The commit that was pinned, for a hub source; else None.
        kind: ``"disk"`` or ``"hub"``, or what a third party's adapter calls itself.
    """

    id: str
    revision: str | None
    kind: str


class ByteReader(Protocol):
    """Reads byte ranges of a checkpoint's files. Safe to call from several threads at once."""

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        """Fills `buffer` with the bytes of `file` from `offset` on.

        Raises:
            ChangedError: The file is shorter than it was, or is not the same file any more.
        """
        ...

    def expect(self, file: str, offset: int, length: int) -> AbstractContextManager[None]:
        """Announces that this thread will read these bytes of `file`, in order.

        Within the context, a source that answers requests serves them from a single one. It is a
        hint: other reads stay as they are, and not every byte need be read.
        """
        ...

    def close(self) -> None:
        """Lets go of every open file."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint: a context manager that owns its reader.

    Attributes:
        source: Where it came from.
        tensors: Every stored tensor, in the order that the checkpoint lists them; no two share
            bytes.
        files: Every file that belongs to it or lies beside its weights, with what became of each.
        reader: Reads the bytes.
        config: The parsed ``config.json`` beside the weights, or None; of a checkpoint of several
            components, what says which they are (``model_index.json``).
        components: For a checkpoint of several models, each in a folder of its own: name of the
            component -> its parsed ``config.json``, or None. Names of its tensors begin with the
            component's and a dot, and no component's name has a dot. Empty for one model.
        aliases: Names that the checkpoint declares to be another tensor's storage: alias -> stored
            name.
        notes: Sentences a card should repeat, such as which of several checkpoints was chosen.
        connections: Reads to have under way at once, where each waits for a network; 0 where none
            does.
    """

    source: Source
    tensors: tuple[Tensor, ...]
    files: tuple[FileRecord, ...]
    reader: ByteReader
    config: Mapping[str, Any] | None = None
    components: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    connections: int = 0

    def component_of(self, name: str) -> str | None:
        """Returns the component that a tensor or layer of this name belongs to, None for none."""
        first = name.partition(".")[0]
        return first if first in self.components else None

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.reader.close()


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How to open a source.

    Attributes:
        revision: Branch, tag or commit of a hub repository; None for its default branch.
        file: The weight file, index or sub-folder to open, by its path inside the folder or
            repository; None for what is chosen by rule.
        download: Whether to download a hub's files into the local cache first.
        base: What a source that only changes another checkpoint (a LoRA adapter) is applied to;
            None where there is none, so that such a source is refused. It stays open as long as
            what is made of it.
        limits: Bounds beyond which a checkpoint is refused.
    """

    revision: str | None = None
    file: str | None = None
    download: bool = False
    base: Checkpoint | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What identifies the content of a source, as far as that is known without reading it.

    Attributes:
        revision: The commit, for a hub source; else None.
        files: Of every file that the content depends on: its name, its length in bytes and a mark,
            which is another one after every change (a hub's blob id; a disk's device, inode and
            time of the last change). Sorted by name.
    """

    revision: str | None
    files: tuple[tuple[str, int, str], ...]


class Adapter(Protocol):
    """Opens one kind of source. Registered in the entry-point group ``thermoscan.adapters``."""

    def claims(self, source: str) -> bool:
        """Says, without touching the network, whether `source` is this adapter's kind of name."""
        ...

    def open(self, source: str, options: OpenOptions) -> Checkpoint:
        """Opens `source`.

        Raises:
            SourceError: There is nothing to scan at this name.
            CheckpointError: There is a checkpoint, and it cannot be trusted.
        """
        ...

    def fingerprint(self, source: str, options: OpenOptions) -> Fingerprint:
        """Says what identifies the content that `open` would find, without opening it.

        Raises:
            SourceError: There is nothing at this name.
            LimitError: There is more than can be looked at.
        """
        ...

    def beside(
        self, source: str, checkpoint: Checkpoint, names: Collection[str], most_bytes: int
    ) -> Path:
        """Makes small files that lie beside the weights available, such as a vocabulary.

        Args:
            source: The name that was opened.
            checkpoint: What `open` returned for it; a hub's files are those of its commit.
            names: Names of files; those that are not there are left out.
            most_bytes: The longest file to accept.

        Returns:
            A folder that holds them, perhaps among others.

        Raises:
            SourceError: One of them cannot be had.
            CheckpointError: One of them is too long, or leads out of the folder.
        """
        ...
