"""Runs a batch: candidates in, cards and rows of the catalogue out, the index at the end.

This process alone writes: a model's cards first, then its row. Whenever it is stopped, what has a
row is done, and what has none is done again by the next run, to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Protocol

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.batch.cards import BatchFolder
from thermoscan.batch.keys import is_of_manner, manner_of, options_of
from thermoscan.batch.tasks import Executor, Result, Task
from thermoscan.catalogue.index import IndexEntry
from thermoscan.catalogue.reading import Known
from thermoscan.catalogue.store import Catalogue
from thermoscan.errors import OptionError
from thermoscan.options import ScanOptions
from thermoscan.plugins import index

_LOOKED_UP_AT_ONCE = 10_000

Found = Candidate | LeftOut


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Options of a batch.

    Attributes:
        scan: Of every scan.
        files: Name of a file of each model's cards -> name of the reporter that renders it.
        exclude: Shell patterns of names to skip.
        most_bytes: Models with weights of more bytes are skipped; None for no such bound.
        verify: Whether to read every byte again and trust digests alone.

    Raises:
        OptionError: ``verify-with-sample``.
    """

    scan: ScanOptions
    files: dict[str, str]
    exclude: tuple[str, ...] = ()
    most_bytes: int | None = None
    verify: bool = False

    def __post_init__(self) -> None:
        if self.verify and self.scan.sample is not None:
            reason = "a digest needs every byte, and a sample does not read them"
            raise OptionError("verify-with-sample", reason)


class Watcher(Protocol):
    """Is told how a batch goes on."""

    def found(self, models: int, nbytes: int) -> None:
        """Is told of more models to come, and the bytes of their weights as far as known."""
        ...

    def reading(self, name: str, done: int, total: int) -> None:
        """Is told how far the scan of a model is, in bytes."""
        ...

    def ended(self, result: Result, nbytes: int) -> None:
        """Is told what became of a model, and the bytes that `found` was told of it."""
        ...


@dataclass(slots=True)
class Outcome:
    """What became of a batch so far.

    Attributes:
        run: Status of this run's results -> number of models.
        models: Status of the models in the index -> their number.
        refused: Name and reason of each model in the index that is refused.
        skipped: Code -> models in the index that are skipped for it.
        severities: Severity -> models in the index that have a finding of it.
        index: Path of the index's first page; None before it is written.
    """

    run: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    severities: Counter[str] = field(default_factory=Counter)
    index: Path | None = None

    def count(self, entry: IndexEntry) -> None:
        """Takes a model of the index into account."""
        self.models[entry.status] += 1
        self.severities.update(each for each, number in entry.findings.items() if number)
        if entry.status == "refused":
            self.refused.append((entry.name, entry.reason or ""))
        elif entry.status == "skipped":
            self.skipped[entry.code or ""] += 1


class Batch:
    """A batch and how far it is. `run` may be ended by any exception; `finish` comes last."""

    def __init__(self, catalogue: Catalogue, folder: BatchFolder, options: BatchOptions) -> None:
        """Takes an open catalogue, a folder to write to, and what to do."""
        self._catalogue = catalogue
        self._folder = folder
        self._options = options
        self._seen: set[str] = set()
        self._all_seen = False
        self._bytes: dict[str, int] = {}
        self._outcome = Outcome()

    @property
    def has_found(self) -> bool:
        """Whether anything was found yet."""
        return bool(self._seen)

    def run(self, found: Iterable[Found], executor: Executor, watcher: Watcher) -> None:
        """Scans what changed of what was found, and keeps every result as it comes.

        Args:
            found: As collections yield it; a name that comes again is left out.
            executor: Runs the scans.
            watcher: Is told of each step.

        Raises:
            ClusterError: The workers are out of reach.
            CatalogueError: The catalogue cannot be written to.
            OptionError: The folder cannot be written to.
        """
        for result in executor.run(self._tasks(found, watcher), watcher.reading):
            self._keep(result, watcher)
        self._all_seen = True

    def finish(self) -> Outcome:
        """Writes the index of what was found and has a result; returns what became of it.

        Of a run that ended early, what was not reached and has a card in the folder is on it too.
        """
        self._outcome.index = self._folder.write_index(index("html").render(self._entries()))
        return self._outcome

    def _entries(self) -> Iterator[IndexEntry]:
        for entry in self._catalogue.entries():
            kept = not self._all_seen and self._folder.has(entry.name)
            if kept or entry.name in self._seen:
                self._outcome.count(entry)
                yield entry

    def _tasks(self, found: Iterable[Found], watcher: Watcher) -> Iterator[Task]:
        """Yields what is to be scanned, the largest first of each lot that is looked up at once."""
        everything = iter(found)
        while lot := list(islice(everything, _LOOKED_UP_AT_ONCE)):
            fresh = {each.name: each for each in lot if each.name not in self._seen}
            self._seen.update(fresh)
            known = self._known(fresh)
            candidates = []
            for each in fresh.values():
                if isinstance(each, LeftOut):
                    self._leave_out(each, known.get(each.name), watcher)
                elif any(fnmatchcase(each.name, pattern) for pattern in self._options.exclude):
                    excluded = LeftOut(each.name, "skipped", "excluded", "it was asked to be")
                    self._leave_out(excluded, known.get(each.name), watcher)
                elif self._stands(each, known.get(each.name)):
                    watcher.found(1, 0)
                    self._keep(Result(each.name, each.source, "unchanged"), watcher)
                else:
                    candidates.append(each)
            watcher.found(len(candidates), sum(each.bytes for each in candidates))
            for each in sorted(candidates, key=lambda each: -each.bytes):
                self._bytes[each.name] = each.bytes
                yield self._task(each, known.get(each.name))

    def _known(self, names: Collection[str]) -> dict[str, Known]:
        """Returns what is known of these models and still there."""
        known = self._catalogue.known(names)
        return {
            name: each
            for name, each in known.items()
            if each.status != "scanned" or self._folder.has(name)
        }

    def _stands(self, candidate: Candidate, known: Known | None) -> bool:
        """Says whether the commit that a hub lists tells by itself that nothing has changed."""
        if known is None or known.key is None or candidate.commit is None or self._options.verify:
            return False
        manner = manner_of(candidate, self._options.scan, self._options.most_bytes)
        return known.commit == candidate.commit and is_of_manner(known.key, manner)

    def _task(self, candidate: Candidate, known: Known | None) -> Task:
        options = self._options
        return Task(
            candidate=candidate,
            options=options.scan,
            most_bytes=options.most_bytes,
            known=known.key if known else None,
            digests=known.digests if known and options.verify else None,
            files=options.files,
        )

    def _leave_out(self, left: LeftOut, known: Known | None, watcher: Watcher) -> None:
        text = json.dumps([left.status, left.code, left.reason])
        key = hashlib.sha256(text.encode("ascii")).hexdigest()
        if known is not None and known.key == key:
            result = Result(left.name, left.name, "unchanged", key=key)
        else:
            result = Result(left.name, left.name, left.status, left.code, left.reason, key)
        watcher.found(1, 0)
        self._keep(result, watcher)

    def _keep(self, result: Result, watcher: Watcher) -> None:
        """Writes what a result brought: the cards first, then the row."""
        self._outcome.run[result.status] += 1
        if result.status != "unchanged" and self._folder.has(result.name):
            self._catalogue.doubt(result.name)  # its row says nothing of the cards to come
        if result.status == "scanned":
            self._record(result, self._folder.write(result.name, result.files))
        elif result.status != "unchanged":
            self._folder.remove(result.name)
            self._record(result, None)
        watcher.ended(result, self._bytes.pop(result.name, 0))

    def _record(self, result: Result, card: str | None) -> None:
        self._catalogue.record(
            result, datetime.now(timezone.utc), card, options_of(self._options.scan)
        )
