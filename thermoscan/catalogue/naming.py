"""From what a person calls a scan to the scan: ``MODEL``, ``MODEL@REVISION`` or ``MODEL@SCAN``.

A model alone is its last scan. A revision is at least `SHORTEST` characters that a commit, or what
stands for one, begins with: of its scans the latest is meant. A shorter number is that of a scan.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, or_, select

from thermoscan.catalogue.rows import digest_of_name
from thermoscan.catalogue.schema import models, revisions, scans
from thermoscan.errors import CatalogueError
from thermoscan.text import printable

SHORTEST = 7
"""Characters of a revision, as git shortens one."""


@dataclass(frozen=True, slots=True)
class Named:
    """A scan that was named: its number, and that of its model."""

    scan: int
    model: int


def find(connection: Connection, text: str) -> Named:
    """Returns the scan that `text` names.

    Raises:
        CatalogueError: ``catalogue-model``: no such model; ``catalogue-revision``: none of its
            scans is meant.
    """
    # A name may hold an @ itself: the whole text is tried first.
    found = _find(connection, text, scans.c.is_last)
    if found:
        return found[0]
    name, at, which = text.rpartition("@")
    if not at or not _find(connection, name, scans.c.is_last):
        raise _no_model(connection, name if at else text)
    if which.isascii() and which.isdigit() and len(which) < SHORTEST:
        found = _find(connection, name, scans.c.id == int(which))
    elif len(which) >= SHORTEST:
        found = _find(connection, name, _begins(which))
    else:
        reason = f"'{printable(which)}' is no scan's number, and too short for a revision"
        raise CatalogueError("catalogue-revision", reason)
    if not found:
        reason = f"'{printable(name)}' has no scan of '{printable(which)}'"
        raise CatalogueError("catalogue-revision", reason)
    return found[0]


def _find(connection: Connection, name: str, meant: ColumnElement[bool]) -> list[Named]:
    """Returns the scans of a model that are meant, the latest first."""
    statement = (
        select(scans.c.id, scans.c.model_id)
        .join(models, models.c.id == scans.c.model_id)
        .outerjoin(revisions, revisions.c.id == scans.c.revision_id)
        .where(models.c.name_digest == digest_of_name(name), meant)
        .order_by(scans.c.at.desc(), scans.c.id.desc())
    )
    return [Named(scan, model) for scan, model in connection.execute(statement)]


def _begins(which: str) -> ColumnElement[bool]:
    """Says of which revisions `which` is the beginning; ``files:`` before it may be left out."""
    identity = revisions.c.identity
    beginnings = ("", "commit:", "files:", "key:")
    return or_(*(identity.startswith(f"{each}{which}", autoescape=True) for each in beginnings))


def _no_model(connection: Connection, name: str) -> CatalogueError:
    near = select(models.c.name).where(models.c.name.icontains(name, autoescape=True))
    found = connection.scalars(near.order_by(models.c.name).limit(3)).all() if name else []
    hint = f": did you mean {', '.join(printable(each, 80) for each in found)}?" if found else ""
    return CatalogueError("catalogue-model", f"there is no model '{printable(name)}'{hint}")
