"""The catalogue: one file, or a database of PostgreSQL that many share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine

from thermoscan.catalogue.foreign import boundary
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
