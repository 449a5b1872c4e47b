"""What lies beside the weights that were scanned: other weight files, here and in sub-folders.

Takes a `Folder`; gives a record for each file that looks like weights, with the reason why it was
not scanned. Sub-folders are looked into one level deep, and only so many of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from thermoscan.checkpoint import FileRecord
from thermoscan.errors import ThermoscanError
from thermoscan.limits import Limits
from thermoscan_adapters.folders import Folder, within
from thermoscan_adapters.selection import is_read, listed, looks_like_weights

MOST_FOLDERS = 100
"""Sub-folders that are looked into."""

MOST_FILES = 200
"""Files in sub-folders that are recorded."""

_DEEPER = "it lies in a sub-folder; --file names it"


def records_beside(
    folder: Folder, inside: str, names: Iterable[str], scanned: Collection[str], reason: str
) -> tuple[FileRecord, ...]:
    """Returns a record of every file in a folder that looks like weights and was not scanned.

    Args:
        folder: The folder of the checkpoint.
        inside: Path of the sub-folder that is meant; "" for the folder itself.
        names: Everything that is in it.
        scanned: Paths of the files that were scanned.
        reason: Why another one was not.
    """
    paths = (within(inside, name) for name in names if looks_like_weights(name))
    return tuple(folder.record(path, reason) for path in paths if path not in scanned)


def in_subfolders(
    folder: Folder, limits: Limits, known: Collection[str] = ()
) -> tuple[tuple[FileRecord, ...], tuple[str, ...]]:
    """Returns records of the weight files in sub-folders, and a note that names these.

    Args:
        folder: The folder of the checkpoint.
        limits: Bounds on what a folder holds.
        known: Sub-folders whose files are accounted for.
    """
    found = {name: files for name, files in _weights(folder, limits).items() if name not in known}
    records: list[FileRecord] = []
    for name, files in found.items():
        kept = files[: MOST_FILES - len(records)]
        records += records_beside(folder, name, kept, (), _DEEPER)
    readable = _readable(found)
    if not readable:
        return tuple(records), ()
    note = (
        f"Weights in sub-folders were not scanned, of which --file names one: {listed(readable)}."
    )
    return tuple(records), (note,)


def holders(folder: Folder, limits: Limits) -> list[str]:
    """Returns the names of the sub-folders that hold weights of a format that is read."""
    return _readable(_weights(folder, limits))


def _readable(found: dict[str, list[str]]) -> list[str]:
    return [name for name, files in found.items() if any(is_read(file) for file in files)]


def _weights(folder: Folder, limits: Limits) -> dict[str, list[str]]:
    """The files that look like weights in each sub-folder that holds some."""
    found = {}
    for name in folder.folders(limits)[:MOST_FOLDERS]:
        try:
            files = folder.names(limits, name)
        except ThermoscanError:  # nobody asked for it: what cannot be listed is left alone
            continue
        weights = [file for file in files if looks_like_weights(file)]
        if weights:
            found[name] = weights
    return found
