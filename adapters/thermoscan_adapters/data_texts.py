"""Reads texts: the paragraphs of a .txt file, the rows of a .jsonl or .csv file.

Takes a path; gives `Examples`. Rows have a column ``text`` and perhaps a column ``label``. Text is
UTF-8. Reading stops at the example that was the last to be wanted; a line is never held beyond its
limit.

Error codes: ``data-too-large``, ``data-empty``, ``data-not-utf8``, ``line-too-long``,
``too-many-rows``, ``row-without-text``, ``row-malformed``, ``label-missing``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from thermoscan.errors import DataError, ThermoscanError
from thermoscan.limits import DataLimits, Limits
from thermoscan.probe.subject import Examples
from thermoscan_adapters.files import DiskFile, find_file
from thermoscan_adapters.strict_json import parse_object

_CHUNK = 1 << 20

Line = tuple[int, str]
"""Its number from 1, and what is on it."""

Pair = tuple[str, str | None]
"""A text and its label."""


def read_texts(path: Path, inputs: int, limits: DataLimits) -> Examples:
    """Returns the first `inputs` texts of a file whose suffix is a key of `READERS`.

    Raises:
        DataError: See the module for the codes.
        SourceError: The file cannot be opened.
    """
    place = path.resolve()
    file = find_file(place.parent, place.name)
    if file.size > limits.file_bytes:
        reason = f"it has {file.size} bytes, more than the limit of {limits.file_bytes}"
        raise DataError("data-too-large", reason, file=path.name)
    pairs = READERS[path.suffix.lower()](_lines(file, limits), path.name, limits)
    return examples(path.name, list(islice(pairs, inputs)))


def examples(name: str, pairs: list[Pair]) -> Examples:
    """Returns the texts of a file, all with a label or none.

    Raises:
        DataError: ``data-empty`` or ``label-missing``.
    """
    if not pairs:
        raise DataError("data-empty", "it holds no text", file=name)
    labels = tuple(label for _, label in pairs if label is not None)
    if labels and len(labels) != len(pairs):
        raise DataError("label-missing", "some of its rows have a label and some none", file=name)
    return Examples(name, texts=tuple(text for text, _ in pairs), labels=labels)


def _lines(file: DiskFile, limits: DataLimits) -> Iterator[Line]:
    """Yields the lines of a file without their ends."""
    rest, number = b"", 0
    for start in range(0, file.size, _CHUNK):
        rest += file.read_at(start, min(_CHUNK, file.size - start))
        *whole, rest = rest.split(b"\n")
        for line in whole:
            number += 1
            yield number, _decoded(line, number, file.name, limits)
        if len(rest) > limits.line_bytes:
            _decoded(rest, number + 1, file.name, limits)
    if rest:
        yield number + 1, _decoded(rest, number + 1, file.name, limits)


def _decoded(line: bytes, number: int, name: str, limits: DataLimits) -> str:
    if len(line) > limits.line_bytes:
        reason = f"line {number} has more bytes than the limit of {limits.line_bytes}"
        raise DataError("line-too-long", reason, file=name)
    if number > limits.rows:
        raise DataError("too-many-rows", f"it has more than {limits.rows} lines", file=name)
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise DataError("data-not-utf8", f"line {number} is not UTF-8", file=name) from None
    return text.removesuffix("\r")


def _paragraphs(lines: Iterator[Line], name: str, limits: DataLimits) -> Iterator[Pair]:
    """Yields what stands between blank lines."""
    gathered: list[str] = []
    size = 0
    for number, line in lines:
        if line.strip():
            gathered.append(line)
            size += len(line)
            if size > limits.line_bytes:
                reason = f"the paragraph at line {number} is longer than {limits.line_bytes}"
                raise DataError("line-too-long", reason, file=name)
        elif gathered:
            yield "\n".join(gathered), None
            gathered, size = [], 0
    if gathered:
        yield "\n".join(gathered), None


def _json_rows(lines: Iterator[Line], name: str, _limits: DataLimits) -> Iterator[Pair]:
    for number, line in lines:
        if line.strip():
            try:
                row = parse_object(line.encode(), Limits(), prefix="row", file=name)
            except ThermoscanError as error:
                reason = f"line {number}: {error.reason}"
                raise DataError("row-malformed", reason, file=name) from None
            yield _pair(row, number, name)


def _csv_rows(lines: Iterator[Line], name: str, _limits: DataLimits) -> Iterator[Pair]:
    rows = csv.DictReader((f"{line}\n" for _, line in lines), strict=True)
    try:
        names = list(rows.fieldnames or ())
        if len(set(names)) < len(names):
            raise DataError("row-malformed", "two of its columns have the same name", file=name)
        for row in rows:
            if None in row:  # an unquoted comma would cut the text short
                reason = f"line {rows.line_num} has more cells than the header"
                raise DataError("row-malformed", reason, file=name)
            yield _pair(row, rows.line_num, name)
    except csv.Error as error:
        reason = f"line {rows.line_num}: {error}"
        raise DataError("row-malformed", reason, file=name) from None


def _pair(row: dict[str, Any], number: int, name: str) -> Pair:
    text, label = row.get("text"), row.get("label")
    if not isinstance(text, str):
        reason = f"line {number} has no column 'text' that is a text"
        raise DataError("row-without-text", reason, file=name)
    if label is None or label == "":
        return text, None
    if isinstance(label, bool) or not isinstance(label, str | int):
        reason = f"line {number} has a label that is neither a text nor a whole number"
        raise DataError("row-malformed", reason, file=name)
    return text, str(label)


READERS: dict[str, Callable[[Iterator[Line], str, DataLimits], Iterator[Pair]]] = {
    ".txt": _paragraphs,
    ".jsonl": _json_rows,
    ".csv": _csv_rows,
}
"""Suffix -> how a file is read."""
