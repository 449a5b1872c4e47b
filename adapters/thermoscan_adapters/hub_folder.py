"""A repository at a commit as a folder whose files are read by range, or downloaded.

Takes a `Listing`; gives the `Folder` that `thermoscan_adapters.opening` opens. Names come from the
listing alone, so that nothing that a checkpoint says leads out of it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext

from thermoscan.checkpoint import FileRecord, Source
from thermoscan.errors import SourceNotFoundError
from thermoscan.limits import Limits
from thermoscan_adapters.files import DiskFile
from thermoscan_adapters.folders import OpenFile, check_range
from thermoscan_adapters.hub_listing import ListedFile, Listing
from thermoscan_adapters.hub_ranges import LinkedFile, RangeStream
from thermoscan_adapters.selection import is_training_state

CONNECTIONS = 8
"""Requests under way at once. Each waits for the network most of its time."""

_PAGE = 1 << 17
_PAGES = 64
_SKIPPED = 1 << 16
"""Bytes that are rather read and dropped than worth another request."""


class ListedFolder:
    """A repository at a commit. See `thermoscan_adapters.folders.Folder`."""

    def __init__(
        self, listing: Listing, opener: Callable[[ListedFile], OpenFile], connections: int
    ) -> None:
        """Takes what there is, how to open a file of it, and how many reads pay at once."""
        self._listing = listing
        self._opener = opener
        self.source = Source(listing.id, listing.commit, "hub")
        self.connections = connections

    def names(self, limits: Limits, inside: str = "") -> list[str]:
        """Returns the sorted names in it; the listing was held to the limit."""
        prefix = f"{inside}/" if inside else ""
        found = {
            name[len(prefix) :].split("/")[0]
            for name in self._listing.files
            if name.startswith(prefix)
        }
        if inside and not found:
            raise SourceNotFoundError("folder-not-found", "there is no such folder", file=inside)
        return sorted(found)

    def folders(self, limits: Limits) -> list[str]:
        """Returns the sorted names of the sub-folders."""
        return sorted({name.split("/")[0] for name in self._listing.files if "/" in name})

    def open(self, name: str) -> OpenFile:
        """Opens a file by its path in the repository."""
        listed = self._listing.files.get(name)
        if listed is None:
            raise SourceNotFoundError("file-not-found", "there is no such file", file=name)
        return self._opener(listed)

    def record(self, name: str, reason: str) -> FileRecord:
        """Returns what the listing says of a file that was not chosen; nothing of it is read."""
        listed = self._listing.files.get(name)
        size, sha256 = (listed.size, listed.sha256) if listed else (0, None)
        code = "not-chosen"
        if is_training_state(name):
            code, reason = "not-weights", "training state, not weights"
        return FileRecord(name, size, "skipped", code=code, reason=reason, sha256=sha256)


class RemoteFile:
    """A file of a repository, read by range. See `thermoscan_adapters.folders.OpenFile`.

    `read_at`, by which headers are read, works on pages that are kept for a while; `readinto`, by
    which weights are, asks for exactly the bytes it is to fill.
    """

    def __init__(self, listed: ListedFile, linked: LinkedFile, pages: Pages) -> None:
        self.name = listed.name
        self.size = listed.size
        self.sha256 = listed.sha256
        self._linked = linked
        self._pages = pages
        self._expected = threading.local()

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns `length` bytes from `offset` on. Raises what `readinto` raises."""
        check_range(self, offset, length)
        return self._pages.read(self, offset, length)

    def read_each(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Returns the bytes of many small ranges (offset, length), asked for at once."""

        def read(piece: tuple[int, int]) -> bytes:
            content = bytearray(piece[1])
            self.readinto(piece[0], memoryview(content))
            return bytes(content)

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(read, ranges))

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fills `buffer` from `offset` on.

        Raises:
            MalformedError: ``file-too-short``.
            SourceError: See `thermoscan_adapters.hub_ranges`.
        """
        check_range(self, offset, len(buffer))
        if not len(buffer):
            return
        for stream in self._streams():
            ahead = offset - stream.position
            if 0 <= ahead <= _SKIPPED and offset + len(buffer) <= stream.stop:
                stream.skip_to(offset)
                stream.readinto(buffer)
                return
        stream = RangeStream(self._linked, offset, offset + len(buffer))
        try:
            stream.readinto(buffer)
        finally:
            stream.close()

    @contextmanager
    def expect(self, offset: int, length: int) -> Iterator[None]:
        """Serves this thread's reads of the range from one request, made by the first of them."""
        stream = RangeStream(self._linked, offset, offset + length)
        self._streams().append(stream)
        try:
            yield
        finally:
            self._streams().remove(stream)
            stream.close()

    def _streams(self) -> list[RangeStream]:
        if not hasattr(self._expected, "streams"):
            self._expected.streams = []
        streams: list[RangeStream] = self._expected.streams
        return streams


class Pages:
    """The pieces of files that were read last, because headers are read in small steps.

    A page reaches ahead of what is asked for, and at the end of a file back: an archive is read
    from there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def read(self, file: RemoteFile, offset: int, length: int) -> bytes:
        """Returns bytes of a file, from a page where one holds them."""
        with self._lock:
            for (name, start), page in reversed(self._pages.items()):
                if name == file.name and start <= offset and offset + length <= start + len(page):
                    return page[offset - start : offset - start + length]
        size = max(length, _PAGE)
        start = max(0, min(offset, file.size - size))
        content = bytearray(min(size, file.size))
        file.readinto(start, memoryview(content))
        page = bytes(content)
        if size > _PAGE:  # read once, and too long to keep
            return page[offset - start : offset - start + length]
        with self._lock:
            self._pages[file.name, start] = page
            while len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
        return page[offset - start : offset - start + length]

    def clear(self) -> None:
        """Forgets everything, once a checkpoint is open."""
        with self._lock:
            self._pages.clear()


class DownloadedFile:
    """A file of a repository that is downloaded when it is first read."""

    def __init__(self, listed: ListedFile, download: Callable[[], DiskFile]) -> None:
        """Takes what the listing says, and what makes the file available."""
        self.name = listed.name
        self.size = listed.size
        self.sha256 = listed.sha256
        self._download = download
        self._lock = threading.Lock()
        self._file: DiskFile | None = None

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns `length` bytes from `offset` on; see `DiskFile.read_at`."""
        return self._here().read_at(offset, length)

    def read_each(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Returns the bytes of many ranges; see `DiskFile.read_each`."""
        return self._here().read_each(ranges)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fills `buffer` from `offset` on; see `DiskFile.readinto`."""
        self._here().readinto(offset, buffer)

    def expect(self, offset: int, length: int) -> AbstractContextManager[None]:
        """Does nothing: the system reads ahead by itself."""
        return nullcontext()

    def _here(self) -> DiskFile:
        with self._lock:
            if self._file is None:
                self._file = self._download()
            return self._file
