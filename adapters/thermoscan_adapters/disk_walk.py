"""The folders below a place, one after the other, as far as models may lie in them.

Takes a path; gives what of each folder matters to a search for models. Links to folders are not
followed: what they lead to is found where it lies, or lies elsewhere. Walks without recursion, in
the order of the names, and holds the listing of one folder at a time.

Of a repository in a Hugging Face cache (``models--ORG--NAME``) only the snapshots are walked, by
the name ``ORG/NAME@COMMIT``; the layout is described at
https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from thermoscan_adapters import lora_config, pipelines
from thermoscan_adapters.files import hub_id_of, hub_snapshot
from thermoscan_adapters.hub_names import is_hub_id
from thermoscan_adapters.selection import indexed_format, looks_like_weights

_SAYS = frozenset({lora_config.FILE, pipelines.FILE})
# What git and huggingface_hub keep for themselves. Names of weights in them are not weights.
_UNWALKED = frozenset({".git", ".locks", ".no_exist"})
_SHARED_BLOBS = ".huggingface-shared-blobs"
_NO_MODELS = {"datasets": "a dataset", "spaces": "a space"}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder to look into.

    Attributes:
        path: Absolute, without links.
        name: What it is called, unique below the place that is walked.
        prefix: What the names of its sub-folders begin with.
        is_snapshot: Whether it is a snapshot of a Hugging Face cache.
    """

    path: str
    name: str
    prefix: str
    is_snapshot: bool = False

    def below(self, name: str) -> str:
        """Returns the path of something in it."""
        return f"/{name}" if self.path == "/" else f"{self.path}/{name}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What matters of a folder.

    Attributes:
        files: Names of regular files that may be weights or say something of them -> their bytes.
        odd: Such names that are borne by a link, or by what is neither file nor folder; sorted.
        folders: Names of the sub-folders, sorted.
        folder_links: Names of links to folders, sorted.
    """

    files: dict[str, int] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    folder_links: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Why a folder was not looked into, as `thermoscan.batch.candidates.LeftOut` has it."""

    status: str
    code: str
    reason: str


def matters(name: str) -> bool:
    """Says whether a file of this name is weights, or an index of them, or says what they are."""
    return looks_like_weights(name) or name in _SAYS or indexed_format(name) is not None


def name_of_root(root: Path) -> str:
    """Returns what the model in the folder that is walked is called.

    Its own name; where something in it has the same name, that behind ``./``.
    """
    snapshot = hub_snapshot(root)
    if snapshot is None:
        name = root.name
    else:
        inside = root.relative_to(snapshot).as_posix()
        name = f"{hub_id_of(snapshot)}@{snapshot.name}" + ("" if inside == "." else f"/{inside}")
    if not name:
        return "/"
    return f"./{name}" if os.path.lexists(root / name) else name


def walk(root: Path) -> Iterator[tuple[Place, Listing | Unlisted]]:
    """Yields every folder from `root` down with what matters of it; `root` has no links in it."""
    stack = [Place(str(root), name_of_root(root), "", hub_snapshot(root) == root)]
    while stack:
        place = stack.pop()
        listing = look(place)
        yield place, listing
        if isinstance(listing, Listing):
            stack += reversed(_below(place, listing.folders))


def look(place: Place) -> Listing | Unlisted:
    """Returns what matters of a folder, or why it is not looked into."""
    kind = _last(place.path).partition("--")[0]
    if kind in _NO_MODELS and os.path.lexists(place.below("snapshots")):
        reason = f"it is the cache of {_NO_MODELS[kind]}, not of a model"
        return Unlisted("skipped", "hub-not-a-model", reason)
    found = Listing()
    try:
        with os.scandir(place.path) as entries:
            for entry in entries:
                _sort_in(entry, found)
    except OSError as error:
        reason = f"the system cannot list it ({error.strerror})"
        return Unlisted("refused", "folder-unreadable", reason)
    for names in (found.odd, found.folders, found.folder_links):
        names.sort()
    return Listing(folders=found.folders) if _is_of_cache(place, found.folders) else found


def _sort_in(entry: os.DirEntry[str], found: Listing) -> None:
    name = entry.name
    if entry.is_dir(follow_symlinks=False):
        if name not in _UNWALKED:
            found.folders.append(name)
    elif entry.is_symlink() and _is_folder(entry):
        found.folder_links.append(name)
    elif matters(name):
        if entry.is_file(follow_symlinks=False):
            found.files[name] = _size(entry)
        else:
            found.odd.append(name)


def _is_folder(link: os.DirEntry[str]) -> bool:
    """Says whether a link leads to a folder; one that leads back to itself leads nowhere."""
    try:
        return link.is_dir()
    except OSError:
        return False


def _size(file: os.DirEntry[str]) -> int:
    """The bytes of a file; 0 where it is gone meanwhile."""
    try:
        return file.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _is_of_cache(place: Place, folders: list[str]) -> bool:
    """Says whether a folder is that of a cached repository, or the one of its snapshots."""
    return _is_repository(place, folders) or _is_snapshots(place)


def _is_repository(place: Place, folders: list[str]) -> bool:
    return "snapshots" in folders and _cached_id(_last(place.path)) is not None


def _is_snapshots(place: Place) -> bool:
    home, _, last = place.path.rpartition("/")
    return last == "snapshots" and _cached_id(_last(home)) is not None


def _below(place: Place, folders: list[str]) -> list[Place]:
    """The sub-folders to walk, in order; those of a cache by their names on the hub."""
    if _is_repository(place, folders):
        # They are called as if they lay beside the folder of their repository.
        prefix = place.prefix.removesuffix(f"{_last(place.path)}/")
        return [Place(place.below("snapshots"), f"{place.prefix}snapshots", prefix)]
    if _is_snapshots(place):
        return [_snapshot(place, commit) for commit in folders]
    return [
        Place(place.below(name), f"{place.prefix}{name}", f"{place.prefix}{name}/")
        for name in folders
        if not (name == "blobs" and os.path.lexists(f"{place.below(name)}/{_SHARED_BLOBS}"))
    ]


def _snapshot(place: Place, commit: str) -> Place:
    home, last = place.path.rsplit("/", 2)[:2]
    name = f"{_cached_id(last)}@{commit}"
    if os.path.lexists(f"{home}/{name}"):  # somebody's folder is called so
        name = f"{last}/snapshots/{commit}"
    name = f"{place.prefix}{name}"
    return Place(place.below(commit), name, f"{name}/", is_snapshot=True)


def _last(path: str) -> str:
    """Returns the last part of a path; as `Path.name`, which takes ten times as long."""
    return path.rpartition("/")[2]


def _cached_id(name: str) -> str | None:
    """Returns the id of the repository whose folder in a cache is called so; None for another."""
    kind, _, rest = name.partition("--")
    id = rest.replace("--", "/")
    return id if kind == "models" and is_hub_id(id) else None
