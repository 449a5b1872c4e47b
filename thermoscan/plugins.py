"""Finds adapters and reporters by entry point, the built-in ones as a third party's.

Groups: ``thermoscan.adapters`` (classes with the `thermoscan.checkpoint.Adapter` protocol),
``thermoscan.reporters`` (classes with the `thermoscan.card.Reporter` protocol),
``thermoscan.runners`` and ``thermoscan.data`` (classes with the `Runner` and `DataReader` protocols
of `thermoscan.probe.subject`), ``thermoscan.publishers`` (classes with the `Publisher` protocol of
`thermoscan.attaching.publishing`), ``thermoscan.collections`` (classes with the `Collection`
protocol of `thermoscan.batch.candidates`), ``thermoscan.indexes`` (classes with the `Index`
protocol of `thermoscan.catalogue.index`).
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from thermoscan.errors import DataError, OptionError, ProbeError, SourceNotFoundError

if TYPE_CHECKING:
    from thermoscan.attaching.publishing import Publisher
    from thermoscan.batch.candidates import Collection
    from thermoscan.card import Reporter
    from thermoscan.catalogue.index import Index
    from thermoscan.checkpoint import Adapter, Checkpoint
    from thermoscan.probe.subject import DataReader, Runner


def adapter_for(source: str) -> Adapter:
    """Returns the adapter that claims `source`; ``disk`` is asked first, then the others by name.

    Raises:
        SourceNotFoundError: No adapter claims this name.
    """
    adapter: Adapter | None = _claiming("thermoscan.adapters", source, first="disk")
    if adapter is not None:
        return adapter
    raise SourceNotFoundError(
        "source-not-found",
        "no such path, and not the id of a hub repository (ORG/NAME)",
        file=source,
    )


def reporter(name: str) -> Reporter:
    """Returns the reporter registered as `name`.

    Raises:
        OptionError: No reporter has this name.
    """
    found: Reporter = _named("thermoscan.reporters", name, "reporter")
    return found


def index(name: str) -> Index:
    """Returns the renderer of index pages that is registered as `name`.

    Raises:
        OptionError: None has this name.
    """
    found: Index = _named("thermoscan.indexes", name, "index")
    return found


def collection_for(place: str) -> Collection:
    """Returns the collection that claims `place`; ``disk`` is asked first, the others by name.

    Raises:
        SourceNotFoundError: No collection claims this name.
    """
    collection: Collection | None = _claiming("thermoscan.collections", place, first="disk")
    if collection is not None:
        return collection
    raise SourceNotFoundError(
        "collection-not-found", "no such folder, and no query of a hub", file=place
    )


def runner_for(checkpoint: Checkpoint) -> Runner:
    """Returns the runner that can run the model `checkpoint`.

    Raises:
        ProbeError: No runner claims it.
    """
    runner: Runner | None = _claiming("thermoscan.runners", checkpoint)
    if runner is not None:
        return runner
    reason = "nothing here can run it: no configuration with a model_type lies beside its weights"
    if checkpoint.components:
        reason = "nothing here can run several components together; name the folder of one of them"
    raise ProbeError("no-runner", reason, file=checkpoint.source.id)


def data_reader_for(path: str) -> DataReader:
    """Returns the reader of data that claims `path`.

    Raises:
        DataError: No reader does.
    """
    reader: DataReader | None = _claiming("thermoscan.data", path)
    if reader is not None:
        return reader
    raise DataError(
        "data-unknown",
        "data is a .txt, .jsonl or .csv file, a dataset that was saved to disk, or a folder of "
        "pictures",
        file=path,
    )


def publisher_for(target: str) -> Publisher:
    """Returns the publisher that claims `target`; ``folder`` is asked first, the others by name.

    Raises:
        SourceNotFoundError: No publisher claims this name.
    """
    publisher: Publisher | None = _claiming("thermoscan.publishers", target, first="folder")
    if publisher is not None:
        return publisher
    raise SourceNotFoundError(
        "target-not-found",
        "no such folder, and not the id of a hub repository (ORG/NAME)",
        file=target,
    )


def _named(group: str, name: str, kind: str) -> Any:
    """Returns what of a group is registered as `name`."""
    for entry in _entries(group):
        if entry.name == name:
            return entry.load()()
    raise OptionError(f"{kind}-unknown", f"there is no {kind} called '{name}'")


def _claiming(group: str, subject: object, first: str | None = None) -> Any:
    """Returns what of a group claims `subject`; `first` is asked first, the others by name.

    None where nothing does.
    """
    for entry in sorted(_entries(group), key=lambda each: (each.name != first, each.name)):
        found = entry.load()()
        if found.claims(subject):
            return found
    return None


@cache
def _entries(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group; every look-up reads the metadata of all installed packages."""
    return tuple(entry_points(group=group))
