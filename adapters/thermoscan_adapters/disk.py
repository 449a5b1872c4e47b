"""Checkpoints on disk: a path to a file or a folder.

Takes a path; gives what `thermoscan_adapters.opening` makes of the folder.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from thermoscan.checkpoint import Checkpoint, FileRecord, OpenOptions, Source
from thermoscan.errors import (
    LimitError,
    OptionError,
    SourceError,
    SourceNotFoundError,
    ThermoscanError,
)
from thermoscan.limits import Limits
from thermoscan_adapters.files import DiskFile, find_file, find_folder, hub_id_of, hub_snapshot
from thermoscan_adapters.folders import within
from thermoscan_adapters.formats import identify
from thermoscan_adapters.opening import open_file, open_folder
from thermoscan_adapters.selection import is_training_state, looks_like_weights
from thermoscan_adapters.weight_sets import home_of


class DiskAdapter:
    """Opens files and folders. See `thermoscan.checkpoint.Adapter`."""

    def claims(self, source: str) -> bool:
        """Says whether `source` exists, or is plainly meant as a path."""
        if source.startswith(("./", "../", "/", "~")) or source in {".", ".."}:
            return True
        return os.path.lexists(source) or (looks_like_weights(source) and "://" not in source)

    def open(self, source: str, options: OpenOptions) -> Checkpoint:
        """Opens the file or folder `source`.

        Raises:
            OptionError: ``revision-of-a-path`` or ``file-of-a-file``.
            SourceError: There is nothing to scan here, or more than one checkpoint.
            CheckpointError: The checkpoint cannot be trusted.
        """
        if options.revision is not None:
            raise OptionError("revision-of-a-path", "a path has no revisions", file=source)
        path = _path(source)
        if path.is_dir():
            return open_folder(DiskFolder(path), options)
        if options.file is not None:
            raise OptionError("file-of-a-file", "it is a file already, not a folder", file=source)
        return open_file(DiskFolder(path.parent, path.name), path.name, options.limits)

    def beside(
        self, source: str, checkpoint: Checkpoint, names: Collection[str], most_bytes: int
    ) -> Path:
        """Returns the folder of the weights, whose files of these names were looked at."""
        path = _path(source)
        folder = path if path.is_dir() else path.parent
        home = home_of(checkpoint)
        check_beside(folder, [within(home, name) for name in names], most_bytes)
        return folder / home


def check_beside(folder: Path, names: Collection[str], most_bytes: int) -> None:
    """Makes sure of the files of these names that are in `folder`; see `Adapter.beside`.

    Raises:
        SourceError: One is no file, or cannot be read.
        UnsafeError: One leads out of the folder.
        LimitError: ``file-too-long``.
    """
    for name in sorted(names):
        try:
            file = find_file(folder, name)
        except SourceNotFoundError:
            continue
        if file.size > most_bytes:
            reason = f"it has {file.size} bytes, more than the limit of {most_bytes}"
            raise LimitError("file-too-long", reason, file=name)


class DiskFolder:
    """A folder of the disk. See `thermoscan_adapters.folders.Folder`."""

    connections = 0

    def __init__(self, path: Path, called: str | None = None) -> None:
        """Takes its path, and what a card calls it: by default its own name."""
        self._path = path.resolve()
        self.source = _source_of(self._path, called or self._path.name)

    def names(self, limits: Limits, inside: str = "") -> list[str]:
        """Returns the sorted names of all entries, of whatever kind."""
        return sorted(entry.name for entry in self._entries(limits, inside))

    def folders(self, limits: Limits) -> list[str]:
        """Returns the sorted names of the sub-folders; links to folders are left out."""
        return sorted(
            entry.name for entry in self._entries(limits) if entry.is_dir(follow_symlinks=False)
        )

    def _entries(self, limits: Limits, inside: str = "") -> list[os.DirEntry[str]]:
        path = find_folder(self._path, inside) if inside else self._path
        found = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    found.append(entry)
                    if len(found) > limits.folder_entries:
                        reason = f"it holds more than {limits.folder_entries} files"
                        raise LimitError("folder-too-large", reason, file=inside or path.name)
        except OSError as error:
            reason = f"the system cannot list it ({error.strerror})"
            raise SourceError("folder-unreadable", reason, file=inside or path.name) from None
        return found

    def open(self, name: str) -> DiskFile:
        """Opens a file below it; see `thermoscan_adapters.files.find_file`."""
        return find_file(self._path, name)

    def record(self, name: str, reason: str) -> FileRecord:
        """Returns what there is to say of a file that was not chosen: looked at, not read."""
        size = 0
        try:
            file = self.open(name)
            size = file.size
            if is_training_state(name):
                return FileRecord(
                    name, size, "skipped", code="not-weights", reason="training state, not weights"
                )
            found = identify(file)
        except ThermoscanError as error:
            return FileRecord(name, size, "refused", code=error.code, reason=error.reason)
        return FileRecord(name, size, "skipped", found, code="not-chosen", reason=reason)


def _path(source: str) -> Path:
    return Path(os.path.expanduser(source))  # noqa: PTH111 - Path's raises without a home


def _source_of(folder: Path, name: str) -> Source:
    """Returns the source of `name` in `folder`: a repository's where it is a hub cache snapshot."""
    if hub_snapshot(folder) != folder:
        return Source(name, None, "disk")
    return Source(hub_id_of(folder), folder.name, "disk")
