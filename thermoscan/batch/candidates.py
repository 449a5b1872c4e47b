"""What a batch may scan, and who finds it: the protocol of collections.

A collection (`thermoscan_adapters`, or a third party's) turns the name of a place that holds many
models into candidates, without reading weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that a batch may scan.

    Attributes:
        name: What the batch calls it, unique in the collection: its path below the folder, with
            forward slashes, or its hub id. Hostile text.
        source: What `thermoscan.plugins.adapter_for` takes: an absolute path, or a hub id, pinned
            to a commit (``ORG/NAME@COMMIT``) where that is known.
        file: Weight file or index inside the source, where the source holds several models; None
            for what is chosen by rule.
        base: Source of the model that this one (a LoRA adapter) changes; None for a whole model.
        bytes: Of its weight files, as far as that is known without opening it; else 0.
        commit: That `source` is pinned to; None where it is not.
    """

    name: str
    source: str
    file: str | None = None
    base: str | None = None
    bytes: int = 0
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was found and is not to be scanned.

    Attributes:
        name: As a `Candidate`'s.
        status: ``"refused"``: there is a model, which cannot be read or trusted; ``"skipped"``:
            there is none, or none that is whole by itself.
        code: Stable kebab-case identifier of the reason.
        reason: One plain sentence.
    """

    name: str
    status: str
    code: str
    reason: str


class Collection(Protocol):
    """Finds the models of a place. Registered in the group ``thermoscan.collections``."""

    def claims(self, place: str) -> bool:
        """Says, without touching the network, whether `place` is this collection's kind of name."""
        ...

    def candidates(self, place: str) -> Iterator[Candidate | LeftOut]:
        """Yields what is there, each name once, in an order that a second look repeats.

        Raises:
            SourceError: There is no such place, or it cannot be listed.
            OptionError: The name of the place makes no sense.
        """
        ...
