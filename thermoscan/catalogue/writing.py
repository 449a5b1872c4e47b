"""Writes one result into an open transaction: its model, revision, scan, layers, findings, files.

Whoever writes holds its model until the transaction ends: in PostgreSQL by the model's row, in
SQLite, where one writes at a time, by the whole file. So what is looked up here stays true.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update
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

_INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_PARTS = {layers: layer_rows, findings: finding_rows, files: file_rows}
_CHUNK = 5000
"""Rows that are sent at once; those of a layer take about 3 kB in memory."""


def record(
    connection: Connection,
    result: Result,
    when: datetime,
    card_path: str | None,
    options: Mapping[str, object],
) -> None:
    """Writes a result that is not ``"unchanged"``; see `Catalogue.record`."""
    model_id = _model(connection, result.name, result.source)
    revision_id = None
    if result.card is not None:
        revision_id = _revision(connection, model_id, revision_row(result.card, result.key))
    row = scan_row(result, when, card_path, options)
    scan_id = _scan(connection, model_id, revision_id, row)
    if result.card is not None:
        _write_parts(connection, scan_id, result.card)


def _model(connection: Connection, name: str, source: str) -> int:
    """Returns the id of the model of this name, made where it is not there, and holds it."""
    digest = digest_of_name(name)
    fresh = _INSERT[connection.dialect.name](models).on_conflict_do_nothing(
        index_elements=["name_digest"]
    )
    connection.execute(fresh, {"name": name, "name_digest": digest, "source": source})
    held = select(models.c.id, models.c.source).where(models.c.name_digest == digest)
    found = connection.execute(held.with_for_update()).one()
    if found.source != source:
        connection.execute(update(models).where(models.c.id == found.id).values(source=source))
    return int(found.id)


def _revision(connection: Connection, model_id: int, row: Row) -> int:
    """Returns the id of a revision of a model; what is known of it is what was seen last."""
    same = (revisions.c.model_id == model_id) & (revisions.c.identity == row["identity"])
    found: int | None = connection.execute(select(revisions.c.id).where(same)).scalar()
    return _put(connection, revisions, found, {"model_id": model_id, **row})


def _scan(connection: Connection, model_id: int, revision_id: int | None, row: Row) -> int:
    """Writes a scan in the place of the one it replaces, or as a new one; returns its id.

    What belonged to the former one is gone then.
    """
    of_model = scans.c.model_id == model_id
    same = (scans.c.revision_id == revision_id) & (scans.c.options == row["options"])
    found: int | None = connection.execute(select(scans.c.id).where(of_model & same)).scalar()
    connection.execute(update(scans).where(of_model & scans.c.is_last).values(is_last=False))
    if found is not None:
        for table in _PARTS:
            connection.execute(delete(table).where(table.c.scan_id == found))
    ids = {"model_id": model_id, "revision_id": revision_id}
    return _put(connection, scans, found, {**ids, "is_last": True, **row})


def _put(connection: Connection, table: Table, known: int | None, row: Row) -> int:
    """Inserts a row, or gives all its values to the one with the id `known`; returns its id."""
    if known is not None:
        connection.execute(update(table).where(table.c.id == known), row)
        return known
    done = connection.execute(insert(table), row)
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def _write_parts(connection: Connection, scan_id: int, card: Card) -> None:
    for table, rows_of in _PARTS.items():
        rows = rows_of(card, scan_id)
        while chunk := list(islice(rows, _CHUNK)):
            connection.execute(insert(table), chunk)
