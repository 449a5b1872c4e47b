"""Brings the tables of a database to this version's; Alembic is imported only where they are not.

The database names its revision of the schema in the table ``catalogue_version``.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, inspect, select, text

from thermoscan.catalogue.opening import transaction
from thermoscan.catalogue.schema import REVISIONS, metadata
from thermoscan.errors import CatalogueError

VERSION_TABLE = "catalogue_version"
MIGRATIONS = Path(__file__).parent / "migrations"

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
_LOCK = 0x7468_6572_6D6F
"""Of PostgreSQL: who holds it may change the schema. "thermo" in ASCII."""


def bring_up_to_date(engine: Engine, place: str, *, create: bool) -> None:
    """Makes the tables, or upgrades them, where they are not this version's.

    Args:
        engine: Of the database.
        place: Its name as it may be shown.
        create: Whether a database without tables becomes a catalogue.

    Raises:
        CatalogueError: ``catalogue-newer``, ``catalogue-not-one``, ``catalogue-not-found``,
            ``catalogue-encoding``.
    """
    with transaction(engine, write=False) as connection:
        if _stored(connection, place, create=create) == REVISIONS[-1]:
            return
    with transaction(engine, write=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            _refuse_narrow_text(connection, place)
        # Another process may have done it while this one waited.
        if _stored(connection, place, create=create) != REVISIONS[-1]:
            _upgrade(connection)


def _stored(connection: Connection, place: str, *, create: bool) -> str | None:
    """Returns the revision of the schema in the database; None where it is empty."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        # A database of PostgreSQL may hold other things beside a catalogue, a file may not.
        foreign = tables & set(metadata.tables) if connection.dialect.name != "sqlite" else tables
        if foreign:
            raise CatalogueError(
                "catalogue-not-one", "a database, but not a catalogue's", file=place
            )
        if not create:
            raise CatalogueError("catalogue-not-found", "no catalogue is in there", file=place)
        return None
    found = connection.execute(select(_version.c.version_num)).scalar()
    if found is not None and found not in REVISIONS:
        raise CatalogueError(
            "catalogue-newer",
            "made by a newer thermoscan, whose tables this one does not know",
            file=place,
        )
    return found


def _refuse_narrow_text(connection: Connection, place: str) -> None:
    if connection.execute(text("SHOW server_encoding")).scalar() != "UTF8":
        reason = "this database cannot hold every character: make one with the encoding UTF8"
        raise CatalogueError("catalogue-encoding", reason, file=place)


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - takes longer to import than to find it unneeded
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # A percent sign in a path would be taken for an interpolation.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
