"""What the content of a scan depends on: the files that a fingerprint is made of.

Takes a `Folder`; gives names, told from the listing alone: every weight file, since a card records
also those that were not scanned, the indexes, and the configurations; in the folder itself and in
its sub-folders, one level deep as `opening` looks. Of a folder on disk it makes the `Fingerprint`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from thermoscan.checkpoint import Fingerprint, OpenOptions
from thermoscan.errors import CheckpointError, SourceError, SourceNotFoundError, ThermoscanError
from thermoscan.limits import Limits
from thermoscan_adapters import pipelines
from thermoscan_adapters.beside import MOST_FOLDERS
from thermoscan_adapters.disk_folder import DiskFolder
from thermoscan_adapters.disk_walk import matters
from thermoscan_adapters.files import DiskFile, find_file, hub_snapshot
from thermoscan_adapters.folders import Folder, within
from thermoscan_adapters.index import read_index
from thermoscan_adapters.selection import indexed_format
from thermoscan_adapters.weight_sets import read_json

#: A blob of a Hugging Face cache: git's id of a small file, the sha256 of a large one.
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def names_that_matter(folder: Folder, options: OpenOptions) -> set[str]:
    """Returns the paths of the files that a scan with these options depends on.

    Raises:
        SourceNotFoundError: The options name a file that is not there.
        LimitError: ``folder-too-large``.
        SourceError: The folder cannot be listed.
    """
    limits = options.limits
    if options.file is not None:
        return _of_named(folder, options.file.removesuffix("/"), limits)
    names = _in(folder, "", limits)
    inner = {*folder.folders(limits)[:MOST_FOLDERS]}
    if pipelines.FILE in names:
        inner |= _components(folder, limits)
    for each in inner:
        try:
            names |= _in(folder, each, limits)
        except (SourceError, CheckpointError):
            continue  # as a scan leaves it alone
    return names


def names_listed(paths: Collection[str], options: OpenOptions) -> set[str]:
    """Returns those paths of a hub's list that a scan with these options depends on.

    Rather a few more than `names_that_matter`, since nothing is read: the commit is known as well.
    """
    file = (options.file or "").removesuffix("/")
    inside = file if any(path.startswith(f"{file}/") for path in paths) else file.rpartition("/")[0]
    prefix = f"{inside}/" if inside else ""
    deepest = prefix.count("/") + (0 if file else 1)
    return {
        path
        for path in paths
        if path.startswith(prefix)
        and path.count("/") <= deepest
        and (_matters(path.rpartition("/")[2]) or path == file)
    }


def fingerprint_of(path: Path, names: Iterable[str], limits: Limits) -> Fingerprint:
    """Returns the fingerprint of files in a folder of the disk, and of the shards they list."""
    folder = DiskFolder(path)
    every = set(names)
    for index in filter(indexed_format, tuple(every)):
        every |= _shards(folder, index, limits)
    snapshot = hub_snapshot(path.resolve())
    files = tuple(sorted(_marked(path, name, cached=snapshot is not None) for name in every))
    return Fingerprint(snapshot.name if snapshot else None, files)


def _of_named(folder: Folder, name: str, limits: Limits) -> set[str]:
    """The files that matter of one that is named, or of the sub-folder so named."""
    try:
        return _in(folder, name, limits)
    except SourceNotFoundError:
        inside, _, last = name.rpartition("/")
        if last not in folder.names(limits, inside):
            raise SourceNotFoundError(
                "file-not-found", "there is no such file", file=name
            ) from None
        return {name, *_in(folder, inside, limits)}


def _in(folder: Folder, inside: str, limits: Limits) -> set[str]:
    names = folder.names(limits, inside)
    return {within(inside, name) for name in names if _matters(name)}


def _matters(name: str) -> bool:
    return matters(name) or name == "config.json"


def _components(folder: Folder, limits: Limits) -> set[str]:
    try:
        document = read_json(folder, pipelines.FILE, "model-index", limits)
        return set(pipelines.component_names(document, limits))
    except (SourceError, CheckpointError):
        return set()  # a scan refuses it, for what the file itself says


def _shards(folder: DiskFolder, index: str, limits: Limits) -> set[str]:
    try:
        return set(read_index(folder.open(index), limits).shards)
    except (SourceError, CheckpointError):
        return set()  # likewise


def _marked(folder: Path, name: str, *, cached: bool) -> tuple[str, int, str]:
    """A file as a fingerprint has it; what cannot be opened is marked by the reason.

    Args:
        folder: That it is in.
        name: Its path there.
        cached: Whether the folder is of a Hugging Face cache, whose blobs are called by content.
    """
    try:
        file = find_file(folder, name)
    except ThermoscanError as error:
        return name, 0, error.code
    return name, file.size, _mark(file, cached=cached)


def _mark(file: DiskFile, *, cached: bool) -> str:
    """What changes with a file: the name of a cache's blob, which is a digest; else its stamp."""
    if cached and file.path.parent.name == "blobs" and _DIGEST.fullmatch(file.path.name):
        return file.path.name
    stamp = file.stamp
    return f"{stamp.device:x}-{stamp.inode:x}-{stamp.modified_ns:x}"
