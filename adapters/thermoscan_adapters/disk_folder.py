"""A folder of the disk as the readers of checkpoints see it.

Takes a path; gives a `thermoscan_adapters.folders.Folder`. Files are opened by
`thermoscan_adapters.files`, which lets none lead out of it.
"""

from __future__ import annotations

import os
from pathlib import Path

from thermoscan.checkpoint import FileRecord, Source
from thermoscan.errors import LimitError, SourceError, ThermoscanError
from thermoscan.limits import Limits
from thermoscan_adapters.files import DiskFile, find_file, find_folder, hub_id_of, hub_snapshot
from thermoscan_adapters.formats import identify
from thermoscan_adapters.selection import is_training_state


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


def _source_of(folder: Path, name: str) -> Source:
    """Returns the source of `name` in `folder`: a repository's where it is a hub cache snapshot."""
    if hub_snapshot(folder) != folder:
        return Source(name, None, "disk")
    return Source(hub_id_of(folder), folder.name, "disk")
