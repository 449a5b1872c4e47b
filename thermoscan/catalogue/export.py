"""Rows of a catalogue as CSV, JSON Lines and Parquet, a batch at a time.

Takes fields and rows; writes to a file that the caller opened. Memory is that of one batch, however
many rows there are. Values are what the catalogue holds, but for lone surrogates, which UTF-8 has
not and which become escapes, and for formulas in CSV: see `to_csv`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any, BinaryIO, TextIO, TypeVar

from thermoscan.catalogue.asking import Row
from thermoscan.catalogue.fields import Field, Kind
from thermoscan.errors import CatalogueError

T = TypeVar("T")

ROWS_OF_A_GROUP = 50_000
"""Of a row group in Parquet, and so what is held in memory, as columns."""

_ROWS_AT_ONCE = 1_000
"""That are held as objects of Python, of which each takes some ten times as much."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(fields: Sequence[Field], rows: Iterable[Row], file: TextIO) -> None:
    """Writes rows as CSV below a header, a missing value as an empty cell.

    A text that a spreadsheet would take for a formula (one that begins with ``= + - @``, a tab or a
    carriage return) gets an apostrophe before it: names in a catalogue are a stranger's.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([field.name for field in fields])
    for row in rows:
        writer.writerow([_cell(value) for value in row])


def to_json_lines(fields: Sequence[Field], rows: Iterable[Row], file: TextIO) -> None:
    """Writes each row as one line that holds a JSON object, in ASCII."""
    names = [field.name for field in fields]
    for row in rows:
        document = {name: json_value(each) for name, each in zip(names, row, strict=True)}
        file.write(json.dumps(document, allow_nan=False) + "\n")


def to_parquet(fields: Sequence[Field], rows: Iterable[Row], file: BinaryIO) -> None:
    """Writes rows as Parquet: int64, double, string, bool, and timestamps of UTC in microseconds.

    Raises:
        CatalogueError: ``catalogue-parquet-missing``: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: PLC0415 - heavy, and in an extra
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        reason = "Parquet needs pyarrow: pip install 'thermoscan[parquet]', or write a .csv"
        raise CatalogueError("catalogue-parquet-missing", reason) from None
    types = {
        Kind.TEXT: pyarrow.string(),
        Kind.COUNT: pyarrow.int64(),
        Kind.NUMBER: pyarrow.float64(),
        Kind.FLAG: pyarrow.bool_(),
        Kind.TIME: pyarrow.timestamp("us", tz="UTC"),
    }
    schema = pyarrow.schema([(field.name, types[field.kind]) for field in fields])

    def batch(part: list[Row]) -> Any:
        columns = [
            pyarrow.array(_storable(values, field), type=types[field.kind])
            for values, field in zip(zip(*part, strict=True), fields, strict=True)
        ]
        return pyarrow.record_batch(columns, schema=schema)

    with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        batches = map(batch, _parts(rows, _ROWS_AT_ONCE))
        for group in _parts(batches, ROWS_OF_A_GROUP // _ROWS_AT_ONCE):
            writer.write_table(pyarrow.Table.from_batches(group))


def json_value(value: Any) -> Any:
    """Returns a value as JSON has it: a time as text by ISO 8601, in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return value


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _encodable(f"'{value}" if value.startswith(_FORMULA) else value)
    return json_value(value)


def _storable(values: Sequence[Any], field: Field) -> Sequence[Any]:
    return [_encodable(each) for each in values] if field.kind is Kind.TEXT else values


def _encodable(text: str | None) -> str | None:
    r"""Returns `text` as UTF-8 can hold it: a lone surrogate becomes an escape, ``\ud800``."""
    return None if text is None else text.encode(errors="backslashreplace").decode()


def _parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
