"""Writes one result into an open transaction: its model, revision, scan, layers, findings, files.

Whoever writes holds its model until the transaction ends: in PostgreSQL by the model's row, in
SQLite, where one writes at a time, by the whole file. So what is looked up here stays true.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from thermoscan.batch.tasks import Result
from thermoscan.card import Card
from thermoscan.catalogue.rows import (
    Row,
    digest_of_name,
    file_rows,
    finding_rows,
    layer_rows,
    revision_row,
    scan_row,
)
from thermoscan.catalogue.schema import files, findings, layers, models, revisions, scans
from thermoscan.catalogue.types import JsonText

_PARTS = {layers: layer_rows, findings: finding_rows, files: file_rows}
_CHUNK = 5000
"""Rows that are sent at once; those of a layer take about 3 kB in memory."""

# Built once: to build and look up a statement takes longer than SQLite takes to run it.
_NEW_MODEL: dict[str, Any] = {
    dialect.__name__.rpartition(".")[2]: dialect.insert(models).on_conflict_do_nothing(
        index_elements=["name_digest"]
    )
    for dialect in (postgresql, sqlite)
}
_MODEL = (
    select(models.c.id, models.c.source)
    .where(models.c.name_digest == bindparam("digest"))
    .with_for_update()
)
_MOVED = update(models).where(models.c.id == bindparam("model")).values(source=bindparam("now"))
_REVISION = select(revisions.c.id).where(
    revisions.c.model_id == bindparam("model"), revisions.c.identity == bindparam("now")
)
_SAME_SCAN = select(scans.c.id).where(
    scans.c.model_id == bindparam("model"), scans.c.options == bindparam("how", type_=JsonText)
)
_SCANS = {
    False: _SAME_SCAN.where(scans.c.revision_id == bindparam("revision")),
    True: _SAME_SCAN.where(scans.c.revision_id.is_(None)),
}
"""Whether no revision is known -> the scan of it with the same options."""
_NOT_LAST = (
    update(scans)
    .where(scans.c.model_id == bindparam("model"), scans.c.is_last)
    .values(is_last=False)
)
_DOUBTED = (
    update(scans)
    .where(
        scans.c.model_id
        == select(models.c.id).where(models.c.name_digest == bindparam("digest")).scalar_subquery(),
        scans.c.is_last,
    )
    .values(key=None)
)
_INSERT = {table: insert(table) for table in (revisions, scans, *_PARTS)}
_UPDATE = {
    table: update(table).where(table.c.id == bindparam("known")) for table in (revisions, scans)
}
_DELETE = [delete(table).where(table.c.scan_id == bindparam("scan")) for table in _PARTS]


def record(
    connection: Connection,
    result: Result,
    when: datetime,
    card_path: str | None,
    options: Mapping[str, object],
) -> None:
    """Writes a result that is not ``"unchanged"``; see `Catalogue.record`."""
    model_id, is_new = _model(connection, result.name, result.source)
    revision_id = None
    if result.card is not None:
        row = revision_row(result.card, result.key)
        revision_id = _revision(connection, model_id, row, is_new)
    row = scan_row(result, when, card_path, options)
    scan_id = _scan(connection, model_id, revision_id, row, is_new)
    if result.card is not None:
        _write_parts(connection, scan_id, result.card)


def doubt(connection: Connection, name: str) -> None:
    """Forgets the key of a model's last scan; see `Catalogue.doubt`."""
    connection.execute(_DOUBTED, {"digest": digest_of_name(name)})


def _model(connection: Connection, name: str, source: str) -> tuple[int, bool]:
    """Returns the id of the model of this name, and whether it was not there; holds it."""
    digest = digest_of_name(name)
    found = connection.execute(_MODEL, {"digest": digest}).one_or_none()
    is_new = False
    if found is None:
        row = {"name": name, "name_digest": digest, "source": source}
        done = connection.execute(_NEW_MODEL[connection.dialect.name], row)
        is_new = done.rowcount == 1  # else another process made it in between
        found = connection.execute(_MODEL, {"digest": digest}).one()
    if found.source != source:
        connection.execute(_MOVED, {"model": found.id, "now": source})
    return int(found.id), is_new


def _revision(connection: Connection, model_id: int, row: Row, is_new: bool) -> int:
    """Returns the id of a revision of a model; what is known of it is what was seen last."""
    found = None
    if not is_new:
        wanted = {"model": model_id, "now": row["identity"]}
        found = connection.execute(_REVISION, wanted).scalar()
    return _put(connection, revisions, found, {"model_id": model_id, **row})


def _scan(
    connection: Connection, model_id: int, revision_id: int | None, row: Row, is_new: bool
) -> int:
    """Writes a scan in the place of the one it replaces, or as a new one; returns its id."""
    found = None
    if not is_new:
        wanted = {"model": model_id, "how": row["options"]}
        if revision_id is not None:
            wanted["revision"] = revision_id
        found = connection.execute(_SCANS[revision_id is None], wanted).scalar()
        connection.execute(_NOT_LAST, {"model": model_id})
        if found is not None:
            for statement in _DELETE:
                connection.execute(statement, {"scan": found})
    ids = {"model_id": model_id, "revision_id": revision_id}
    return _put(connection, scans, found, {**ids, "is_last": True, **row})


def _put(connection: Connection, table: Table, known: int | None, row: Row) -> int:
    """Inserts a row, or gives all its values to the one with the id `known`; returns its id."""
    if known is not None:
        connection.execute(_UPDATE[table], {"known": known, **row})
        return known
    done = connection.execute(_INSERT[table], row)
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def _write_parts(connection: Connection, scan_id: int, card: Card) -> None:
    for table, rows_of in _PARTS.items():
        rows = rows_of(card, scan_id)
        while chunk := list(islice(rows, _CHUNK)):
            connection.execute(_INSERT[table], chunk)
