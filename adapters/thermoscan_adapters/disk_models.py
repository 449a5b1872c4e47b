"""The models that one folder of the disk holds, its sub-folders left aside.

Takes the listing of a folder (`disk_walk`); gives its models as candidates, and what looks like
weights and is no model with the reason. Names decide (`folder_models`); of the files themselves
only the kind and the length are looked at, and the indexes and ``model_index.json`` are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.errors import CheckpointError, SourceError, ThermoscanError
from thermoscan.limits import Limits
from thermoscan_adapters import pipelines
from thermoscan_adapters.disk_folder import DiskFolder
from thermoscan_adapters.disk_walk import Listing, Place, look
from thermoscan_adapters.files import find_file, hub_snapshot
from thermoscan_adapters.folder_models import chosen_of, models_of
from thermoscan_adapters.folders import within
from thermoscan_adapters.index import read_index
from thermoscan_adapters.selection import indexed_format, looks_like_weights
from thermoscan_adapters.weight_sets import read_json

_LIMITS = Limits()
PARTIAL = "snapshot-partial"
"""The code of what a cache holds only in part."""


@dataclass
class InFolder:
    """What a folder holds.

    Attributes:
        found: Its models, and what is none, in order.
        adapter: The LoRA adapter in it, whose base is still to be found.
        parts: Paths of sub-folders and of files in them that belong to a model of this folder.
    """

    found: list[Candidate | LeftOut] = field(default_factory=list)
    adapter: Candidate | None = None
    parts: set[str] = field(default_factory=set)


def look_into(place: Place, listing: Listing, parts: Collection[str]) -> InFolder:
    """Returns what a folder holds.

    Args:
        place: The folder.
        listing: What is in it.
        parts: Paths of files that belong to a model of another folder.
    """
    if not listing.files and not listing.odd:
        return InFolder()
    return _Folder(place, listing).models(parts)


def model_at(path: Path, name: str) -> tuple[Candidate, bool]:
    """Returns the one model that a path is, and whether it is an adapter that needs a base.

    Where a folder holds several models, or none, its scan is the one to say so.

    Args:
        path: Of a file or a folder.
        name: What to call it.
    """
    try:
        folder = path.resolve()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError):
        is_folder = False
    if not is_folder:
        absolute = path.absolute()
        return Candidate(name, str(absolute), bytes=_size_of(absolute)), False
    place = Place(str(folder), name, f"{name}/")
    listing = look(place)
    inside = look_into(place, listing, ()) if isinstance(listing, Listing) else InFolder()
    for found in (*inside.found, inside.adapter):
        if isinstance(found, Candidate) and found.name == name:
            return found, found is inside.adapter
    return Candidate(name, place.path), False


def _size_of(path: Path) -> int:
    """Returns the length of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


class _Folder:
    """A folder that is looked into: its files by what they are, and what was found so far."""

    def __init__(self, place: Place, listing: Listing) -> None:
        self._place = place
        self._path = Path(place.path)
        self._folder = DiskFolder(self._path)
        self._listing = listing
        self._sizes: dict[str, int] = {}
        self._listed: dict[str, tuple[str, ...]] = {}
        self._result = InFolder()

    def models(self, parts: Collection[str]) -> InFolder:
        """Sorts everything out."""
        for name, size in self._listing.files.items():
            if not parts or self._place.below(name) not in parts:
                self._sizes[name] = size
        for name in self._listing.odd:
            self._look_at(name)
        if pipelines.FILE in self._listing.files or pipelines.FILE in self._listing.odd:
            self._pipeline()
        else:
            self._weights()
        return self._result

    def _look_at(self, name: str) -> None:
        """Notes the length of the file that a link leads to, or why no scan would open it."""
        try:
            self._sizes[name] = find_file(self._path, name).size
        except ThermoscanError as error:
            if not looks_like_weights(name):
                return
            if error.code == "file-not-found" and hub_snapshot(self._path):
                self._leave([name], "skipped", PARTIAL, "the cache does not hold its content")
            else:
                self._leave([name], "refused", error.code, error.reason)

    def _pipeline(self) -> None:
        """Finds the components of a pipeline, which are one model together."""
        try:
            document = read_json(self._folder, pipelines.FILE, "model-index", _LIMITS)
            names = pipelines.component_names(document, _LIMITS)
        except (SourceError, CheckpointError):
            names = ()  # a scan says why; what the folders hold is found by itself
        nbytes = 0
        for name in names:
            self._result.parts.add(self._place.below(name))
            chosen = self._chosen_in(name)
            nbytes += self._weigh(chosen)[0] if chosen else 0
        if names and not nbytes and self._place.is_snapshot:
            self._leave_whole("the cache holds no weights of its components")
        else:
            self._result.found.append(Candidate(self._place.name, self._place.path, bytes=nbytes))

    def _chosen_in(self, component: str) -> str | None:
        """Returns the path of the file that a component starts from, None where it has none."""
        try:
            chosen = chosen_of(self._folder.names(_LIMITS, component))
        except (SourceError, CheckpointError):
            return None
        return within(component, chosen) if chosen else None

    def _weights(self) -> None:
        """Finds the models among the files of a folder that is no pipeline."""
        found = models_of(self._sizes, self._listed_shards())
        if found.chosen is not None:
            self._own(found.chosen)
        for file in found.variants:
            self._add(file, self._place.path, file)
        for file in found.apart:
            self._add(file, self._place.below(file))
        if found.adapter is not None:
            self._adapter(found.adapter, alone=not (found.chosen or found.apart))
        for file, better in found.unchosen:
            self._leave([file], "skipped", "not-chosen", f"{better} was chosen instead")
        for shards in found.loose:
            reason = f"no index lists this shard and its like, of which {len(shards)} are here"
            self._leave(shards[:1], "refused", "shards-without-index", reason)
        self._leave(found.training, "skipped", "not-weights", "training state, not weights")

    def _own(self, chosen: str) -> None:
        """Adds the folder's own model."""
        nbytes, missing = self._weigh(chosen)
        if missing and hub_snapshot(self._path):
            self._leave_whole(f"the cache lacks {missing} of the shards that {chosen} lists")
            return
        file = self._named(chosen)
        self._result.found.append(Candidate(self._place.name, self._place.path, file, None, nbytes))

    def _named(self, start: str) -> str | None:
        """Returns the file as a scan must be told it; None where it would choose the same.

        What is no file takes part in that choice: it is by name.
        """
        seen = self._listing
        every = (*seen.files, *seen.odd, *seen.folders, *seen.folder_links)
        return None if chosen_of(every) == start else start

    def _add(self, name: str, source: str, file: str | None = None) -> None:
        """Adds a model that starts from the file `name`."""
        called = f"{self._place.prefix}{name}"
        self._result.found.append(Candidate(called, source, file, None, self._weigh(name)[0]))

    def _adapter(self, weights: str, *, alone: bool) -> None:
        """Notes an adapter: the model that the folder is, or one beside that."""
        name = self._place.name if alone else f"{self._place.prefix}{weights}"
        file = self._named(weights) if alone else weights
        nbytes = self._sizes[weights]
        self._result.adapter = Candidate(name, self._place.path, file, None, nbytes)

    def _listed_shards(self) -> set[str]:
        """Returns the shards that the indexes in this folder list."""
        return {
            shard for name in self._sizes if indexed_format(name) for shard in self._shards(name)
        }

    def _shards(self, index: str) -> tuple[str, ...]:
        """Returns the shards that an index lists; none where it cannot be read."""
        if index not in self._listed:
            try:
                self._listed[index] = read_index(self._folder.open(index), _LIMITS).shards
            except (SourceError, CheckpointError):
                self._listed[index] = ()
        return self._listed[index]

    def _weigh(self, start: str) -> tuple[int, int]:
        """Returns the bytes of a model, and how many of its shards are missing.

        Those in sub-folders are noted as parts of it.
        """
        files = self._shards(start) if indexed_format(start) else (start,)
        self._result.parts.update(self._place.below(file) for file in files if "/" in file)
        sizes = [self._size(file) for file in files]
        return sum(size for size in sizes if size is not None), sizes.count(None)

    def _size(self, file: str) -> int | None:
        if file in self._sizes:
            return self._sizes[file]
        try:
            return self._folder.open(file).size
        except (SourceError, CheckpointError):
            return None

    def _leave(self, files: Iterable[str], status: str, code: str, reason: str) -> None:
        self._result.found += [
            LeftOut(f"{self._place.prefix}{file}", status, code, reason) for file in files
        ]

    def _leave_whole(self, reason: str) -> None:
        self._result.found.append(LeftOut(self._place.name, "skipped", PARTIAL, reason))
