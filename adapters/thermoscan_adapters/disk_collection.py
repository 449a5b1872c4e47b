"""The models in a folder of the disk: whatever lies below it, however it was saved.

Takes a path; gives a `Candidate` for each model and a `LeftOut` for what looks like weights and is
none, so that every file that looks like weights is scanned, recorded in the card of a model in its
folder, or left out with a reason. What counts as one model is told in ``docs/finding-models.md``.
Reads indexes and configurations, and no weights. Asks no hub.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.errors import SourceError, SourceNotFoundError
from thermoscan_adapters.disk import is_path, path_of
from thermoscan_adapters.disk_models import PARTIAL, look_into, model_at
from thermoscan_adapters.disk_walk import Listing, Place, walk
from thermoscan_adapters.lora_bases import Bases

Found = Candidate | LeftOut


class DiskCollection:
    """The models below a folder. See `thermoscan.batch.candidates.Collection`."""

    def claims(self, place: str) -> bool:
        """Says whether `place` exists, or is plainly meant as a path."""
        return is_path(place)

    def candidates(self, place: str) -> Iterator[Found]:
        """Yields the models below a folder, adapters last; of a file, the one in it.

        Raises:
            SourceNotFoundError: ``place-not-found``.
            SourceError: The folder cannot be listed.
        """
        written = path_of(place)
        try:
            root = written.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            raise SourceNotFoundError(
                "place-not-found", "there is no such file or folder", file=place
            ) from None
        if not root.is_dir():
            yield model_at(written, written.name)[0]
            return
        aliases = {os.path.normpath(written.absolute()): str(root)}
        yield from _Search(root, Bases(aliases)).models()


@dataclass
class _Search:
    """One walk through a folder, and what has to be remembered on the way.

    Attributes:
        root: Where it starts, without links.
        bases: The whole models that were found so far.
        adapters: The adapters that were found, whose bases may be found yet.
        parts: Paths of folders and files that a model above them accounts for.
        snapshot: The snapshot of a cache that the walk is in, of which nothing was found yet.
    """

    root: Path
    bases: Bases
    adapters: list[Candidate] = field(default_factory=list)
    parts: set[str] = field(default_factory=set)
    snapshot: Place | None = None

    def models(self) -> Iterator[Found]:
        """Yields what is found, the adapters at the end."""
        for place, listing in walk(self.root):
            yield from self._left_snapshot(place)
            if isinstance(listing, Listing):
                yield from self._in_folder(place, listing)
            elif place.path == str(self.root):
                raise SourceError(listing.code, listing.reason, file=place.path)
            else:
                yield LeftOut(place.name, listing.status, listing.code, listing.reason)
        yield from self._left_snapshot(None)
        for adapter in self.adapters:
            yield self.bases.with_base(adapter, self.root)

    def _in_folder(self, place: Place, listing: Listing) -> Iterator[Found]:
        """Yields what one folder holds."""
        yield from self._links(place, listing.folder_links)
        if place.path in self.parts:
            self.parts.remove(place.path)
            return
        inside = look_into(place, listing, self.parts)
        self.parts |= inside.parts
        if inside.adapter is not None:
            self.adapters.append(inside.adapter)
        if place.is_snapshot and self.snapshot is None:
            self.snapshot = place
        if inside.found or inside.adapter:
            self.snapshot = None
        for found in inside.found:
            if isinstance(found, Candidate) and found.file is None:
                self.bases.add(found.source)
            yield found

    def _links(self, place: Place, links: Iterable[str]) -> Iterator[LeftOut]:
        """Yields the links to folders that are not walked, because they lie elsewhere."""
        for name in links:
            if not Path(place.below(name)).resolve().is_relative_to(self.root):
                reason = "it is a link to a folder elsewhere; name that folder to scan it"
                yield LeftOut(f"{place.prefix}{name}", "skipped", "link-outside", reason)

    def _left_snapshot(self, place: Place | None) -> Iterator[LeftOut]:
        """Yields the snapshot that the walk has left behind, if nothing was found in it."""
        left = self.snapshot
        if left is None or (place is not None and place.path.startswith(f"{left.path}/")):
            return
        self.snapshot = None
        reason = "the cache holds no weights of this commit"
        yield LeftOut(left.name, "skipped", PARTIAL, reason)
