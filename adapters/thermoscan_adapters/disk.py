"""Checkpoints on disk: a path to a file or a folder.

Takes a path; gives what `thermoscan_adapters.opening` makes of the folder.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from thermoscan.checkpoint import Checkpoint, Fingerprint, OpenOptions
from thermoscan.errors import LimitError, OptionError, SourceNotFoundError
from thermoscan_adapters.disk_folder import DiskFolder
from thermoscan_adapters.files import find_file
from thermoscan_adapters.fingerprints import fingerprint_of, names_that_matter
from thermoscan_adapters.folders import within
from thermoscan_adapters.opening import open_file, open_folder
from thermoscan_adapters.selection import looks_like_weights
from thermoscan_adapters.weight_sets import home_of


class DiskAdapter:
    """Opens files and folders. See `thermoscan.checkpoint.Adapter`."""

    def claims(self, source: str) -> bool:
        """Says whether `source` exists, or is plainly meant as a path."""
        return is_path(source) or (looks_like_weights(source) and "://" not in source)

    def open(self, source: str, options: OpenOptions) -> Checkpoint:
        """Opens the file or folder `source`.

        Raises:
            OptionError: ``revision-of-a-path`` or ``file-of-a-file``.
            SourceError: There is nothing to scan here, or more than one checkpoint.
            CheckpointError: The checkpoint cannot be trusted.
        """
        path = _checked(source, options)
        if path.is_dir():
            return open_folder(DiskFolder(path), options)
        return open_file(DiskFolder(path.parent, path.name), path.name, options.limits)

    def fingerprint(self, source: str, options: OpenOptions) -> Fingerprint:
        """Returns what identifies the files that a scan of `source` depends on.

        Every file is looked at and none is read but the indexes. A file is marked by its device,
        inode and time of change; where it is a blob of a Hugging Face cache, by the blob's name.

        Raises:
            OptionError: As `open` does.
            SourceError: There is nothing at this name, or the folder cannot be listed.
            LimitError: ``folder-too-large``.
        """
        path = _checked(source, options)
        if path.is_dir():
            names = names_that_matter(DiskFolder(path), options)
            return fingerprint_of(path, names, options.limits)
        if not os.path.lexists(path):
            raise SourceNotFoundError("file-not-found", "there is no such file", file=source)
        return fingerprint_of(path.parent, {path.name, "config.json"}, options.limits)

    def beside(
        self, source: str, checkpoint: Checkpoint, names: Collection[str], most_bytes: int
    ) -> Path:
        """Returns the folder of the weights, whose files of these names were looked at."""
        path = path_of(source)
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


def _checked(source: str, options: OpenOptions) -> Path:
    """Returns the path, where the options make sense for it."""
    path = path_of(source)
    if options.revision is not None:
        raise OptionError("revision-of-a-path", "a path has no revisions", file=source)
    if options.file is not None and not path.is_dir():
        raise OptionError("file-of-a-file", "it is a file already, not a folder", file=source)
    return path


def is_path(name: str) -> bool:
    """Says whether something of this name exists, or it is plainly meant as a path."""
    plain = name.startswith(("./", "../", "/", "~")) or name in {".", ".."}
    return plain or os.path.lexists(name)


def path_of(source: str) -> Path:
    """Returns the path that was written, with the home folder in place of ``~``."""
    return Path(os.path.expanduser(source))  # noqa: PTH111 - Path's raises without a home
