"""What files and folders are to the readers of formats, wherever they lie: two protocols.

`thermoscan_adapters.files` has those of the disk, `thermoscan_adapters.hub_folder` those of a
repository that is read over the network. `FilesReader` makes the reader of a checkpoint of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from thermoscan.checkpoint import FileRecord, Source
from thermoscan.errors import MalformedError
from thermoscan.limits import Limits


class OpenFile(Protocol):
    """A file that was found and may be read by offset. Safe to share between threads."""

    @property
    def name(self) -> str:
        """Path relative to the source, with forward slashes. Hostile text."""
        ...

    @property
    def size(self) -> int:
        """Its length in bytes."""
        ...

    @property
    def sha256(self) -> str | None:
        """Hexadecimal digest where the source states one."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns `length` bytes from `offset` on. Raises what `readinto` raises."""
        ...

    def read_each(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Returns the bytes of many small ranges (offset, length), got at once."""
        ...

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fills `buffer`, a contiguous view of bytes, from `offset` on.

        Raises:
            MalformedError: ``file-too-short``: the range ends behind the file's end.
            ChangedError: It is not the same file any more.
            SourceError: It cannot be read.
        """
        ...

    def expect(self, offset: int, length: int) -> AbstractContextManager[None]:
        """Announces reads of this thread; see `thermoscan.checkpoint.ByteReader.expect`."""
        ...


class Folder(Protocol):
    """A folder that holds a checkpoint: of the disk, or a repository at a commit."""

    @property
    def source(self) -> Source:
        """What a card says of where it is."""
        ...

    @property
    def connections(self) -> int:
        """See `thermoscan.checkpoint.Checkpoint.connections`."""
        ...

    def names(self, limits: Limits, inside: str = "") -> list[str]:
        """Returns the sorted names of everything directly in it, or in a sub-folder. Hostile text.

        Args:
            limits: Bounds on their number.
            inside: Path of the sub-folder, which is hostile text; "" for the folder itself.

        Raises:
            SourceNotFoundError: ``folder-not-found``: there is no such sub-folder.
            UnsafeError: It leads out of the folder.
            LimitError: ``folder-too-large``.
            SourceError: It cannot be listed.
        """
        ...

    def folders(self, limits: Limits) -> list[str]:
        """Returns the sorted names of the sub-folders directly in it, links left out.

        Raises what `names` raises.
        """
        ...

    def open(self, name: str) -> OpenFile:
        """Opens a file below it by its relative name, which is hostile text.

        Raises:
            SourceNotFoundError: ``file-not-found``.
            UnsafeError: It leads out of the folder.
            SourceError: It cannot be read.
        """
        ...

    def record(self, name: str, reason: str) -> FileRecord:
        """Returns what there is to say of a file that was not scanned for this reason."""
        ...


def within(inside: str, name: str) -> str:
    """Returns the path of `name` in the sub-folder `inside`; "" is the folder itself.

    >>> within("", "config.json"), within("unet", "config.json")
    ('config.json', 'unet/config.json')
    """
    return f"{inside}/{name}" if inside else name


def check_range(file: OpenFile, offset: int, length: int) -> None:
    """Makes sure that a file has these bytes.

    Raises:
        MalformedError: ``file-too-short``.
    """
    if offset < 0 or length < 0 or offset + length > file.size:
        raise MalformedError(
            "file-too-short",
            f"bytes {offset} to {offset + length} are asked for, but it has {file.size}",
            file=file.name,
        )


class FilesReader:
    """A `thermoscan.checkpoint.ByteReader` over opened files."""

    def __init__(self, files: Mapping[str, OpenFile]) -> None:
        """Takes the files by the names that the checkpoint's tensors use."""
        self._files = dict(files)

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        """Fills `buffer` with the bytes of `file` from `offset` on; see `OpenFile.readinto`."""
        self._files[file].readinto(offset, buffer)

    def expect(self, file: str, offset: int, length: int) -> AbstractContextManager[None]:
        """Announces reads of this thread; see `thermoscan.checkpoint.ByteReader.expect`."""
        return self._files[file].expect(offset, length)

    def close(self) -> None:
        """Does nothing: no file is held open between reads."""
