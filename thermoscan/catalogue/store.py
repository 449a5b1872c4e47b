"""The catalogue: one file, or a database of PostgreSQL that many share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine

from thermoscan.batch.tasks import Result
from thermoscan.catalogue import reading, writing
from thermoscan.catalogue.foreign import boundary
from thermoscan.catalogue.index import IndexEntry
from thermoscan.catalogue.opening import connect, shown, transaction
from thermoscan.catalogue.upgrading import bring_up_to_date


class Catalogue:
    """An open catalogue. A context manager; `close` lets go of the database.

    One object serves one thread at a time; any number of processes may each have one of theirs.
    """

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    @classmethod
    def open(cls, place: str | Path, *, create: bool = True) -> Catalogue:
        """Opens the catalogue at `place`; its tables are made or brought up to date.

        Args:
            place: Path of an SQLite file, or ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.
            create: Whether one that is not there is made. A database itself never is.

        Raises:
            CatalogueError: It cannot be reached or written to, is none, or a newer one.
        """
        name = shown(place)
        engine = connect(place, create=create)
        try:
            with boundary(name):
                bring_up_to_date(engine, name, create=create)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, name)

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def record(
        self, result: Result, when: datetime, card: str | None, options: Mapping[str, object]
    ) -> None:
        """Writes what became of a task, in one transaction; it speaks for its model from now on.

        A former scan of the same revision with the same options is replaced; a refusal or skip, of
        which no revision is known, replaces the last one with the same options. A result that is
        unchanged leaves the catalogue as it is.

        Args:
            result: What became of it.
            when: It ended, with a time zone.
            card: Path of the HTML card, relative to the batch's folder; None where there is none.
            options: Those that a result depends on, as JSON has words for them.

        Raises:
            CatalogueError: It could not be written; then nothing of it was.
        """
        if result.status != "unchanged":
            with self._writing() as connection:
                writing.record(connection, result, when, card, options)

    def doubt(self, name: str) -> None:
        """Forgets what the last result of a model is known by: its cards are about to change.

        Raises:
            CatalogueError: It could not be written.
        """
        with self._writing() as connection:
            writing.doubt(connection, name)

    def known(self, names: Iterable[str]) -> Mapping[str, reading.Known]:
        """Returns what the last scan of each of these models left; without those never seen.

        Raises:
            CatalogueError: The database failed.
        """
        with self.reading() as connection:
            return reading.known(connection, names)

    def entries(self) -> Iterator[IndexEntry]:
        """Yields the last scan of every model, by name; all of one state of the catalogue.

        Raises:
            CatalogueError: The database failed.
        """
        with self.reading() as connection:
            yield from reading.entries(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Gives a connection whose statements all see one state, whoever writes meanwhile.

        Raises:
            CatalogueError: The database failed; also for what the block itself lets it raise.
        """
        with boundary(self._place), transaction(self._engine, write=False) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Gives a connection whose statements all happen, or none."""
        with boundary(self._place), transaction(self._engine, write=True) as connection:
            yield connection
