"""What may be asked for, and of what: layers, models, findings or scans, and their fields.

The fields are the columns of `thermoscan.catalogue.schema` and no others. A model's are those of
its last scan and of the revision that this read; layers and findings are those of the models' last
scans, and reach the model's fields as ``model.NAME``. Scans are all that are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    FromClause,
    Integer,
    Text,
    collate,
    type_coerce,
)

from thermoscan.catalogue.schema import findings, layers, models, revisions, scans
from thermoscan.catalogue.types import HostileText, JsonText, Moment


class Kind(Enum):
    """What the values of a field are; the value of a member says it in a sentence."""

    TEXT = "a text"
    COUNT = "a whole number"
    NUMBER = "a number"
    FLAG = "true or false"
    TIME = "a time"


@dataclass(frozen=True, slots=True)
class Field:
    """A column that a person may name.

    Attributes:
        name: As it is written, such as ``order`` or ``model.architecture``.
        kind: Of its values, each of which may be missing.
        expression: Where they are.
        meaning: As the schema says it.
    """

    name: str
    kind: Kind
    expression: ColumnElement[Any]
    meaning: str = ""


@dataclass(frozen=True)
class Subject:
    """A kind of rows.

    Attributes:
        source: Tables that they come from.
        only: Which of their rows; None for all.
        fields: Name -> field.
        usual: Names of the fields that are given where none are asked for.
        identity: Names of the fields that tell a row from every other: the last word in sorting.
        natural: The same, for rows that are not sorted: such that ten million come without a wait.
    """

    source: FromClause
    only: ColumnElement[bool] | None
    fields: Mapping[str, Field]
    usual: tuple[str, ...]
    identity: tuple[str, ...]
    natural: tuple[str, ...]


SUBJECTS = ("layers", "models", "findings", "scans")

_OWN = frozenset({"id", "model_id", "revision_id", "scan_id", "name_digest", "key", "profile"})
"""Columns that only the catalogue itself has a use for."""

_KINDS = {
    HostileText: Kind.TEXT, JsonText: Kind.TEXT, BigInteger: Kind.COUNT, Integer: Kind.COUNT,
    Double: Kind.NUMBER, Boolean: Kind.FLAG, Moment: Kind.TIME,
}  # fmt: skip
"""Type of a column -> kind; what is not here is a word."""

_MODEL = ("name", "status", "architecture", "parameters", "reduced_temperature", "order", "errors",
          "warnings")  # fmt: skip
_SCAN = ("scan", "name", "at", "status", "commit", "reduced_temperature", "order")
_LAYER = ("model.name", "name", "role", "reduced_temperature", "order", "sparsity")
_FINDING = ("model.name", "severity", "code", "layer", "message")


def subject(of: str, dialect: str) -> Subject:
    """Returns what may be asked of one of `SUBJECTS`, in a dialect of SQL."""
    model = {
        field.name: field
        for table in (models, revisions, scans)
        for field in _fields(table, dialect)
    }
    model["scan"] = Field("scan", Kind.COUNT, scans.c.id, "Number of the scan.")
    scanned = models.join(scans, scans.c.model_id == models.c.id).outerjoin(
        revisions, revisions.c.id == scans.c.revision_id
    )
    if of == "models":
        return Subject(scanned, scans.c.is_last, model, _MODEL, ("name",), ("name",))
    if of == "scans":
        return Subject(scanned, None, model, _SCAN, ("name", "scan"), ("scan",))
    table, usual = (layers, _LAYER) if of == "layers" else (findings, _FINDING)
    fields = {field.name: field for field in _fields(table, dialect)}
    for name, each in model.items():
        reached = f"model.{name}"
        fields[reached] = Field(reached, each.kind, each.expression, each.meaning)
    source = scanned.join(table, table.c.scan_id == scans.c.id)
    identity, natural = ("model.name", "position"), ("model.scan", "position")
    return Subject(source, scans.c.is_last, fields, usual, identity, natural)


def _fields(table: FromClause, dialect: str) -> Iterator[Field]:
    for column in table.columns:
        if isinstance(column, Column) and column.name not in _OWN:
            kind = _KINDS.get(type(column.type), Kind.TEXT)
            expression = _expression(column, kind, dialect)
            yield Field(column.name, kind, expression, column.doc or "")


def _expression(column: Column[Any], kind: Kind, dialect: str) -> ColumnElement[Any]:
    if isinstance(column.type, JsonText):
        return type_coerce(column, Text())
    if kind is Kind.TEXT and dialect == "postgresql" and not isinstance(column.type, HostileText):
        return collate(column, "C")  # as SQLite compares and sorts, whatever the server's language
    return column
