"""Reports in a local folder: README.md, and the card beside the weights.

Takes a folder; writes the files of a plan, each whole or not at all, and only where what is there
is still what the plan was made for. Links are not written through: behind one out of the folder is
what nobody asked to change, and one into a download cache would spoil that.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from thermoscan.attaching.plan import FileChange, Plan
from thermoscan.attaching.publishing import Place, Way
from thermoscan.attaching.weights import WeightFile
from thermoscan.errors import (
    AttachError,
    ChangedError,
    OptionError,
    SourceNotFoundError,
    UnsafeError,
)
from thermoscan.limits import Limits
from thermoscan_adapters.disk import DiskAdapter
from thermoscan_adapters.disk_folder import DiskFolder
from thermoscan_adapters.files import DiskFile, find_file, hub_id_of, hub_snapshot

_BLOCK = 1 << 22


class FolderPublisher:
    """Writes reports into folders. See `thermoscan.attaching.publishing.Publisher`."""

    default = Way.WRITE

    def claims(self, target: str) -> bool:
        """Says whether `target` exists, or is plainly meant as a path."""
        return DiskAdapter().claims(target)

    def read(self, target: str, revision: str | None, files: Collection[str], way: Way) -> Place:
        """Returns the folder as it is now.

        Raises:
            OptionError: ``folder-has-no-hub``, ``revision-of-a-path`` or ``target-not-folder``.
            UnsafeError: ``link-in-the-way``: one of the files is a link.
            AttachError: ``file-too-long``.
        """
        if way not in {Way.SHOW, Way.WRITE}:
            reason = "commits, pull requests and comments are for models on the hub"
            raise OptionError("folder-has-no-hub", reason, file=target)
        if revision is not None:
            raise OptionError("revision-of-a-path", "a path has no revisions", file=target)
        folder = Path(os.path.expanduser(target))  # noqa: PTH111 - Path's raises without a home
        if not folder.is_dir():
            reason = "a report goes into a folder, and it is none; name the one that holds it"
            raise OptionError("target-not-folder", reason, file=target)
        folder = folder.resolve()
        snapshot = hub_snapshot(folder)
        if snapshot is not None:
            id = hub_id_of(snapshot)
            reason = f"it belongs to a download cache; attach to the repository {id} itself"
            raise OptionError("folder-is-cache", reason, file=target)
        return Place(
            id=folder.name,
            source=target,
            revision=None,
            commit=None,
            files=_read_files(folder, files),
            weights=_Digested(folder),
        )

    def pending(self, place: Place) -> str | None:
        """Returns None: a folder has no pull requests."""
        return None

    def publish(self, place: Place, plan: Plan, comment: str, way: Way) -> str:
        """Writes the files that change.

        Raises:
            ChangedError: ``file-changed``: one is no more what it was.
            OptionError: ``output-unwritable``.
        """
        folder = Path(os.path.expanduser(place.source)).resolve()  # noqa: PTH111
        for change in plan.changes:
            if _read_files(folder, [change.name]).get(change.name) != change.before:
                reason = "it was changed meanwhile, and nothing was written; try again"
                raise ChangedError("file-changed", reason, file=change.name)
        for change in plan.changes:
            _write(folder, change)
        return f"Wrote {', '.join(change.name for change in plan.changes)}."


class _Digested(Mapping[str, WeightFile]):
    """The files of a folder, each read for its sha256 when it is looked up."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> WeightFile:
        try:
            file = find_file(self._folder, name)
        except SourceNotFoundError:
            raise KeyError(name) from None
        digest = hashlib.sha256()
        for start in range(0, file.size, _BLOCK):
            digest.update(file.read_at(start, min(_BLOCK, file.size - start)))
        return WeightFile(file.size, digest.hexdigest())

    def __iter__(self) -> Iterator[str]:
        return iter(DiskFolder(self._folder).names(Limits()))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _read_files(folder: Path, names: Collection[str]) -> dict[str, bytes]:
    found = {}
    for name in names:
        file = _find(folder, name)
        if file is None:
            continue
        found[name] = file.read_at(0, file.size)
    return found


def _find(folder: Path, name: str) -> DiskFile | None:
    """Returns the file if it is there; refuses links, to it and on the way to it."""
    path = folder
    for part in name.split("/"):
        path /= part
        if path.is_symlink():
            reason = "it is a link, and is not written through; put a file or folder in its place"
            raise UnsafeError("link-in-the-way", reason, file=name)
    try:
        file = find_file(folder, name)
    except SourceNotFoundError:
        return None
    if file.size > Limits().report_bytes:
        reason = f"it has {file.size} bytes, more than the limit of {Limits().report_bytes}"
        raise AttachError("file-too-long", reason, file=name)
    return file


def _write(folder: Path, change: FileChange) -> None:
    """Replaces a file, or makes one, in one step, with the permissions that the old one had."""
    path = folder / change.name
    try:
        path.parent.mkdir(exist_ok=True)
        mode = path.stat().st_mode & 0o7777 if change.before is not None else 0o644
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".thermoscan-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(change.after)
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = f"no file can be written there ({error.strerror})"
        raise OptionError("output-unwritable", reason, file=change.name) from None
