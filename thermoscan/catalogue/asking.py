"""A question to a catalogue and its rows, which come as they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, nulls_last, select

from thermoscan.catalogue.fields import Field, subject
from thermoscan.catalogue.where import condition, unknown_column
from thermoscan.errors import CatalogueError

Row = Sequence[Any]
Document = Mapping[str, Any]
"""A row: name of a field -> its value."""

_ROWS_AT_ONCE = 1_000
"""That are held in memory between the database and the caller."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for.

    Attributes:
        of: One of `thermoscan.catalogue.fields.SUBJECTS`.
        where: A condition by `thermoscan.catalogue.where`; None for every row.
        sort: Names of fields; one with a minus before it from the greatest down. What is missing
            comes last either way, and rows that are equal in all come by their identity. Empty:
            models by name, all else scan by scan, in its own order.
        columns: Names of the fields that are wanted; empty for the usual ones.
        limit: The most rows; None for all.
    """

    of: str
    where: str | None = None
    sort: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Answer:
    """The fields of an answer, and its rows in their order, which can be walked through once."""

    fields: tuple[Field, ...]
    rows: Iterator[Row]

    def documents(self) -> Iterator[Document]:
        """Yields each row as field's name -> value."""
        names = [field.name for field in self.fields]
        for row in self.rows:
            yield dict(zip(names, row, strict=True))


@contextmanager
def ask(
    connection: Connection, question: Question, among: ColumnElement[bool] | None = None
) -> Iterator[Answer]:
    """Asks a catalogue, and gives the answer for as long as the block lasts.

    The rows stream: none is kept, however many they are.

    Args:
        connection: To the catalogue.
        question: What is asked for.
        among: Of which rows alone, in place of those of the models' last scans.

    Raises:
        CatalogueError: ``catalogue-column``: there is no such field; ``catalogue-column-twice``;
            what `thermoscan.catalogue.where.condition` raises.
    """
    dialect = connection.dialect.name
    about = subject(question.of, dialect)
    wanted = tuple(_named(each, about.fields) for each in question.columns or about.usual)
    if len({each.name for each in wanted}) < len(wanted):
        raise CatalogueError("catalogue-column-twice", "a column is asked for twice")
    statement = select(*(each.expression.label(each.name) for each in wanted))
    statement = statement.select_from(about.source)
    only = about.only if among is None else among
    if only is not None:
        statement = statement.where(only)
    if question.where is not None:
        statement = statement.where(condition(question.where, about.fields, dialect))
    by = (*question.sort, *about.identity) if question.sort else about.natural
    statement = statement.order_by(*(_key(each, about.fields) for each in by))
    statement = statement.limit(question.limit)
    options = {"yield_per": _ROWS_AT_ONCE}
    with connection.execute(statement, execution_options=options) as result:
        yield Answer(wanted, iter(result))


def _key(name: str, fields: Mapping[str, Field]) -> ColumnElement[Any]:
    expression = _named(name.removeprefix("-"), fields).expression
    down = name.startswith("-")
    key: ColumnElement[Any] = nulls_last(expression.desc() if down else expression.asc())
    return key


def _named(name: str, fields: Mapping[str, Field]) -> Field:
    if name not in fields:
        raise unknown_column("catalogue-column", "", name, fields)
    return fields[name]
