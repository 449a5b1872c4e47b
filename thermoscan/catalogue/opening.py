"""From the name of a catalogue, a path or a URL, to an engine of SQLAlchemy.

An SQLite file is used in WAL mode: a reader sees the last commit while somebody writes. Writers
wait for each other, a minute at the longest. On a power failure the last commits may be lost
(``synchronous=NORMAL``), never the file; a batch that runs again writes them again.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url

from thermoscan.catalogue.foreign import UNPARSABLE, boundary
from thermoscan.errors import CatalogueError

_WRITES = {"thermoscan_writes": True}
_READS: dict[str, dict[str, Any]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    "sqlite": {},
}
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE | re.ASCII)
_DRIVER = "postgresql+psycopg"
_POSTGRESQL = frozenset({"postgres", "postgresql", _DRIVER})
_PATIENCE = 60
"""Seconds that one writer waits for another."""
_SERVER_PATIENCE = 10
"""Seconds that one waits for a server to answer."""


def shown(place: str | Path) -> str:
    """Returns the name of a catalogue as it may be shown: without user, password or options.

    >>> shown("postgresql://ada:secret@db.example:5432/models?sslpassword=secret")
    'postgresql://db.example:5432/models'
    """
    scheme, mark, rest = str(place).partition("://")
    if _URL.match(str(place)) is None:
        return str(place)
    secret, _, public = rest.rpartition("@")
    # What follows an "@" among the options may be part of a secret.
    return scheme + mark + ("" if "?" in secret else public.partition("?")[0])


def connect(place: str | Path, *, create: bool) -> Engine:
    """Returns an engine for the catalogue at `place`; the schema is not looked at.

    Args:
        place: Path of an SQLite file, or a PostgreSQL URL.
        create: Whether a file that is not there is made.

    Raises:
        CatalogueError: It cannot be reached, is no database, or the URL makes no sense.
    """
    if _URL.match(str(place)):
        return _postgresql(str(place))
    return _sqlite(Path(place), create=create)


@contextmanager
def transaction(engine: Engine, *, write: bool) -> Iterator[Connection]:
    """Gives a connection inside a transaction: committed at the end, undone by an exception.

    One that only reads sees one state all along, whoever writes meanwhile.
    """
    with engine.connect() as connection:
        options = _WRITES if write else _READS[connection.dialect.name]
        connection.execution_options(**options)
        with connection.begin():
            yield connection


def _postgresql(text: str) -> Engine:
    if set(text.rpartition("@")[0]) & {"@", "?"}:
        reason = "write an @ in a password as %40, a question mark as %3F"
        raise CatalogueError("catalogue-url", reason, file=shown(text))
    try:
        url = make_url(text)
        if url.drivername.lower() not in _POSTGRESQL:
            reason = "a catalogue is a file, or a database at a postgresql:// URL"
            raise CatalogueError("catalogue-url", reason, file=shown(text))
        options = {"connect_timeout": _SERVER_PATIENCE, "client_encoding": "utf8"}
        engine = create_engine(
            url.set(drivername=_DRIVER),
            connect_args={name: value for name, value in options.items() if name not in url.query},
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
        )
    except ImportError as error:
        raise CatalogueError(
            "catalogue-driver-missing",
            "PostgreSQL needs a driver: pip install 'thermoscan[postgresql]'",
            file=shown(text),
        ) from error
    except UNPARSABLE:
        # Its message, and so its traceback, may hold the password.
        raise CatalogueError("catalogue-url", "no URL of a database", file=shown(text)) from None
    event.listen(engine, "connect", _limit_waiting)
    return engine


def _limit_waiting(connection: Any, _record: object) -> None:
    connection.execute(f"SET lock_timeout = '{_PATIENCE * 1000:.0f}ms'")
    connection.commit()


def _sqlite(path: Path, *, create: bool) -> Engine:
    name = str(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not create:
            reason = "no such catalogue: `thermoscan batch` writes one, --catalogue names it"
            raise CatalogueError("catalogue-not-found", reason, file=name) from None
    except (OSError, ValueError) as error:
        raise CatalogueError("catalogue-unreachable", "no such place", file=name) from error
    else:
        if not stat.S_ISREG(mode):
            raise CatalogueError("catalogue-not-one", "not a catalogue's file", file=name)
    engine = create_engine(
        URL.create("sqlite", database=str(path.absolute())),
        connect_args={"timeout": _PATIENCE},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    with boundary(name):
        _use_wal(engine)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    # The module would begin transactions by itself, and too late: `_begin` does.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin(connection: Connection) -> None:
    """A writer takes the lock at once: one that reads first could not wait for another's."""
    writes = connection.get_execution_options().keys() >= _WRITES.keys()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_wal(engine: Engine) -> None:
    """Puts the file into WAL mode, which it keeps. SQLite does not wait for others here."""
    latest = time.monotonic() + _PATIENCE
    while True:
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
            return
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() > latest:
                raise
            time.sleep(0.01)
        finally:
            connection.close()
