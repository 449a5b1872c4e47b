"""Reads a catalogue back: what a batch already knows, the index, a model with its history.

Every function takes a connection of `Catalogue.reading` and gives plain values. What comes as a
mapping is a row, by the names of the columns in `thermoscan.catalogue.schema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Column, Connection, RowMapping, Table, select

from thermoscan.catalogue.index import IndexEntry
from thermoscan.catalogue.rows import digest_of_name
from thermoscan.catalogue.schema import files, models, revisions, scans

_NAMES_AT_ONCE = 500
_ROWS_AT_ONCE = 1000
_SUMMARY = (
    "reduced_temperature",
    "order",
    "transition_temperature",
    "refresh_temperature",
    "work_efficiency",
    "bits_per_parameter",
    "sparsity",
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the last scan of a model left.

    Attributes:
        status: ``"scanned"``, ``"refused"`` or ``"skipped"``.
        key: What its result is known by again; None where the next run is to try again.
        commit: Of what was scanned, for a hub's model; else None.
        card: Path of the HTML card, as it was recorded.
        digests: Name of a weight file -> its digest, for those that were read whole.
    """

    status: str
    key: str | None
    commit: str | None
    card: str | None
    digests: Mapping[str, str] = field(default_factory=dict)


def known(connection: Connection, names: Iterable[str]) -> Mapping[str, Known]:
    """Returns the last scan of each of these models; without those that were never seen."""
    found: dict[str, Known] = {}
    left = iter(names)
    while chunk := list(islice(left, _NAMES_AT_ONCE)):
        found |= _known(connection, chunk)
    return found


def _known(connection: Connection, names: list[str]) -> dict[str, Known]:
    wanted = models.c.name_digest.in_([digest_of_name(name) for name in names])
    last = scans.join(models, models.c.id == scans.c.model_id)
    of_these = wanted & scans.c.is_last
    digests: dict[int, dict[str, str]] = {}
    query = select(files.c.scan_id, files.c.name, files.c.digest).select_from(last.join(files))
    for scan_id, name, digest in connection.execute(
        query.where(of_these & files.c.digest.is_not(None))
    ):
        digests.setdefault(scan_id, {})[name] = digest
    columns = (
        models.c.name,
        scans.c.id,
        scans.c.status,
        scans.c.key,
        revisions.c.commit,
        scans.c.card,
    )
    whole = last.outerjoin(revisions, scans.c.revision_id == revisions.c.id)
    rows = connection.execute(select(*columns).select_from(whole).where(of_these))
    return {
        name: Known(status, key, commit, card, digests.get(scan_id, {}))
        for name, scan_id, status, key, commit, card in rows
    }


def entries(connection: Connection) -> Iterator[IndexEntry]:
    """Yields the last scan of every model, by name; few of them are in memory at a time."""
    query = (
        select(models.c.name, *(scans.c[name] for name in _OF_SCAN), *_OF_REVISION)
        .select_from(scans.join(models).outerjoin(revisions, scans.c.revision_id == revisions.c.id))
        .where(scans.c.is_last)
        .order_by(models.c.name)
    )
    for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query):
        yield _entry(row._mapping)


_OF_SCAN = (
    "status",
    "code",
    "reason",
    "card",
    "sampled",
    *_SUMMARY,
    "errors",
    "warnings",
    "infos",
    "worst",
    "profile",
)
_OF_REVISION = (
    revisions.c.architecture,
    revisions.c.structure,
    revisions.c.parameters,
    revisions.c.bytes,
    revisions.c.dtype,
)


def _entry(row: RowMapping) -> IndexEntry:
    values = dict(row)
    severities = {"error": "errors", "warning": "warnings", "info": "infos"}
    counts = {severity: values.pop(column) for severity, column in severities.items()}
    return IndexEntry(
        **{str(name): value for name, value in values.items() if name not in ("worst", "profile")},
        findings={severity: count for severity, count in counts.items() if count},
        worst=tuple(values["worst"]),
        profile=tuple(values["profile"]),
    )


def scans_of(connection: Connection, name: str) -> list[RowMapping]:
    """Returns every scan of the model `name`, its last one first; empty where there is no model.

    A row has the columns of `scans` and of `models`, and those of its revision, None without one.
    """
    query = (
        select(scans, *_others(models), *_others(revisions))
        .select_from(scans.join(models).outerjoin(revisions, scans.c.revision_id == revisions.c.id))
        .where(models.c.name_digest == digest_of_name(name))
        .order_by(scans.c.is_last.desc(), scans.c.at.desc(), scans.c.id.desc())
    )
    return list(connection.execute(query).mappings())


def _others(table: Table) -> list[Column[Any]]:
    return [column for column in table.c if column.name not in ("id", "model_id")]


def parts_of(connection: Connection, table: Table, scan_id: int) -> Iterator[RowMapping]:
    """Yields the rows of `layers`, `findings` or `files` that belong to a scan, in its order."""
    query = select(table).where(table.c.scan_id == scan_id).order_by(table.c.position)
    yield from connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query).mappings()
