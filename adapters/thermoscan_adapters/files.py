"""Untrusted files on disk: found without leaving their folder, opened without blocking.

Takes a folder and the relative name of a file in it; gives an `DiskFile`, which reads byte ranges.
Refuses what is not a regular file (a FIFO would block, a device has side effects) and links that
lead out of the folder. The one exception is the layout of the Hugging Face cache, whose snapshots
link to the ``blobs`` folder beside them.

Nothing is ever mapped into memory: a mapped file that is cut short kills the process. No descriptor
is held between two reads either, so a checkpoint of thousands of shards needs one at a time, and
every read proves again that the file is the one that was validated. That costs about 6 microseconds
a read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from thermoscan.errors import (
    ChangedError,
    SourceError,
    SourceNotFoundError,
    ThermoscanError,
    UnsafeError,
)
from thermoscan_adapters.folders import check_range

_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# What opening says where a file was, once something else or nothing is there.
_REPLACED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is still the same one: its place, its length, its last change."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Returns the stamp of a file with this status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A regular file that was found and may be read. Safe to share between threads.

    Attributes:
        name: Path relative to the source, with forward slashes. Hostile text.
        path: Where it really is: absolute, with every link resolved.
        stamp: What it was when it was opened; a read that finds another stamp fails.
    """

    name: str
    path: Path
    stamp: Stamp

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.stamp.size

    @property
    def sha256(self) -> str | None:
        """None: a disk states no digest."""
        return None

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns `length` bytes from `offset` on. Raises what `readinto` raises."""
        check_range(self, offset, length)
        buffer = bytearray(length)
        self.readinto(offset, memoryview(buffer))
        return bytes(buffer)

    def read_each(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Returns the bytes of many ranges (offset, length), one after the other."""
        return [self.read_at(offset, length) for offset, length in ranges]

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fills `buffer`, a contiguous view of bytes, from `offset` on.

        Raises:
            MalformedError: ``file-too-short``: the range ends behind the file's end.
            ChangedError: ``file-changed`` or ``file-truncated``.
            SourceError: ``file-unreadable``.
        """
        check_range(self, offset, len(buffer))
        try:
            with _descriptor(self.path) as descriptor:
                self._check_same(os.fstat(descriptor))
                self._fill(descriptor, offset, buffer)
                self._check_same(os.fstat(descriptor))
        except OSError as error:
            if error.errno in _REPLACED:
                raise self._changed() from None
            raise _unreadable(error, self.name) from None

    def expect(self, offset: int, length: int) -> AbstractContextManager[None]:
        """Does nothing: the system reads ahead by itself."""
        return nullcontext()

    def _fill(self, descriptor: int, offset: int, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            count = os.preadv(descriptor, [buffer[done:]], offset + done)
            if count == 0:
                raise self._truncated()
            done += count

    def _check_same(self, status: os.stat_result) -> None:
        now = Stamp.of(status)
        if now == self.stamp:
            return
        same_file = (now.device, now.inode) == (self.stamp.device, self.stamp.inode)
        if same_file and stat.S_ISREG(status.st_mode) and now.size < self.size:
            raise self._truncated()
        raise self._changed()

    def _truncated(self) -> ChangedError:
        return ChangedError("file-truncated", "it was cut short while it was read", file=self.name)

    def _changed(self) -> ChangedError:
        return ChangedError(
            "file-changed", "it was changed or replaced while it was read", file=self.name
        )


def find_file(folder: Path, name: str) -> DiskFile:
    """Finds `name` in `folder` and makes sure that it may be read.

    Args:
        folder: The folder that the file must not lead out of.
        name: Relative path of the file, with forward slashes. Hostile text.

    Raises:
        SourceNotFoundError: ``file-not-found``: no such file, or a link to nothing.
        UnsafeError: ``link-outside`` or ``link-loop``.
        SourceError: ``file-not-regular`` or ``file-unreadable``.
    """
    try:
        path = _resolve_inside(folder, name)
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(
                "file-not-regular", f"it is {_kind(status.st_mode)}, not a file", file=name
            )
        with _descriptor(path) as descriptor:
            opened = os.fstat(descriptor)
    except OSError as error:
        raise _unfound(error, name) from None
    except ValueError:  # a NUL, or a lone surrogate: no file system has such a name
        raise _not_found(name) from None
    if Stamp.of(opened) != Stamp.of(status):
        raise ChangedError("file-changed", "it was replaced while it was opened", file=name)
    return DiskFile(name, path, Stamp.of(opened))


def find_folder(folder: Path, name: str) -> Path:
    """Finds the sub-folder `name` of `folder`, which may be a link that stays inside.

    Raises:
        SourceNotFoundError: ``folder-not-found``: nothing of this name, or no folder.
        UnsafeError: ``link-outside`` or ``link-loop``.
        SourceError: ``file-unreadable``.
    """
    missing = SourceNotFoundError("folder-not-found", "there is no such folder", file=name)
    try:
        path = _resolve_inside(folder, name)
        if not path.is_dir():
            raise missing
    except OSError as error:
        found = _unfound(error, name)
        raise (missing if isinstance(found, SourceNotFoundError) else found) from None
    except ValueError:  # as in `find_file`
        raise missing from None
    return path


def _resolve_inside(folder: Path, name: str) -> Path:
    """Returns the resolved path of `name`, having made sure that no link leads out of `folder`."""
    root = folder.resolve(strict=True)
    try:
        path = (root / name).resolve(strict=True)
    except RuntimeError:  # how Python before 3.13 reports a loop of links
        raise _link_loop(name) from None
    if not any(path.is_relative_to(allowed) for allowed in (root, *_hub_blobs(root))):
        raise UnsafeError(
            "link-outside",
            "it leads out of its folder; to scan the file that it points to, name that file",
            file=name,
        )
    return path


def hub_snapshot(folder: Path) -> Path | None:
    """Returns the snapshot of the Hugging Face cache that a resolved folder is, or is in.

    The layout is described at https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
    """
    for each in (folder, *folder.parents):
        if each.parent.name == "snapshots" and each.parent.parent.name.startswith("models--"):
            return each
    return None


def hub_id_of(snapshot: Path) -> str:
    """Returns the id of the repository that a snapshot of the Hugging Face cache is of."""
    return snapshot.parent.parent.name.removeprefix("models--").replace("--", "/")


def _hub_blobs(root: Path) -> Iterator[Path]:
    """Yields where the Hugging Face cache keeps the contents of the snapshot that `root` is in."""
    snapshot = hub_snapshot(root)
    if snapshot is not None:
        repository = snapshot.parent.parent
        yield repository / "blobs"
        shared = repository.parent / "blobs"  # the store that the repositories of a cache share
        if (shared / ".huggingface-shared-blobs").is_file():
            yield shared


@contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a device",
        stat.S_IFCHR: "a device",
        stat.S_IFLNK: "a link",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def _unfound(error: OSError, name: str) -> ThermoscanError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return _not_found(name)
    if error.errno == errno.ELOOP:
        return _link_loop(name)
    return _unreadable(error, name)


def _not_found(name: str) -> SourceNotFoundError:
    return SourceNotFoundError("file-not-found", "there is no such file", file=name)


def _link_loop(name: str) -> UnsafeError:
    return UnsafeError("link-loop", "it is a link that leads back to itself", file=name)


def _unreadable(error: OSError, name: str) -> SourceError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return SourceError("file-unreadable", "you have no permission to read it", file=name)
    label = errno.errorcode.get(error.errno or 0, "unknown")
    return SourceError("file-unreadable", f"the system cannot read it ({label})", file=name)
