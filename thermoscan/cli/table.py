"""Reads a table of numbers from a file that somebody gave: ``.csv`` or ``.npz``, and nothing else.

Takes a path; gives a `Table`. The file is opened without blocking, must be a regular file of at
most `MOST_BYTES`, and is read once. Refused, with line or array and the reason:

- CSV that is not UTF-8, has no header of unique names, rows of unequal length, or a cell that is no
  finite decimal number. A byte order mark is let pass, as spreadsheets write one.
- npz whose arrays are not X (N, d) and y (N,) of real numbers. The format's headers are checked
  against the bytes that are there before memory is taken, and objects, which are pickles, are
  never read.
"""

from __future__ import annotations

import csv
import errno
import io
import math
import os
import stat
import struct
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from thermoscan.errors import (
    LimitError,
    MalformedError,
    OptionError,
    SourceError,
    SourceNotFoundError,
    UnsupportedFormatError,
)
from thermoscan.text import printable

MOST_BYTES = 128_000_000
"""Of a file, and of each array as float64 that a compressed one unpacks to."""

MOST_COLUMNS = 100_000

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers from a file.

    Attributes:
        name: Of the file. Hostile text, as all names here.
        inputs: X, shape (N, d), finite.
        targets: y, shape (N,), finite.
        target: Name of the targets' column, or array.
        features: Names of the inputs' columns; None where they have none.
    """

    name: str
    inputs: NDArray[np.float64]
    targets: NDArray[np.float64]
    target: str
    features: tuple[str, ...] | None


def read_table(path: Path, target: str | None) -> Table:
    """Returns the table in a file.

    Args:
        path: Ends in ``.csv`` or ``.npz``.
        target: Name of the targets' column in a CSV; None for its last one.

    Raises:
        SourceError: ``file-not-found``, ``file-not-regular``, ``file-unreadable``,
            ``table-format``.
        MalformedError: A code that begins with ``table-``.
        LimitError: ``table-too-large``.
        OptionError: ``target-unknown``, ``target-of-arrays``.
    """
    name, suffix = str(path), path.suffix.lower()
    if suffix not in (".csv", ".npz"):
        raise UnsupportedFormatError("table-format", "a table is a .csv or an .npz", file=name)
    data = _read(path)
    if suffix == ".csv":
        return _from_csv(data, name, target)
    if target is not None:
        raise OptionError("target-of-arrays", "the targets of an .npz are its array y", file=name)
    return _from_npz(data, name)


def _read(path: Path) -> bytes:
    name = str(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SourceError("file-not-regular", "it is not a regular file", file=name)
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(error, name) from None
    except ValueError:  # a NUL in the name
        raise SourceNotFoundError("file-not-found", "there is no such file", file=name) from None
    if len(data) > MOST_BYTES:
        raise _too_large(name)
    return data


def _unreadable(error: OSError, name: str) -> SourceError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP):
        return SourceNotFoundError("file-not-found", "there is no such file", file=name)
    if error.errno == errno.EISDIR:
        return SourceError("file-not-regular", "it is a folder", file=name)
    return SourceError("file-unreadable", "the system cannot read it", file=name)


def _from_csv(data: bytes, name: str, target: str | None) -> Table:
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    rows = csv.reader(text, strict=True)
    try:
        columns = next(rows, [])
        _check_header(columns, name)
        values = array("d")
        for row in rows:
            values.extend(_numbers(row, columns, rows.line_num, name))
    except UnicodeDecodeError:
        raise MalformedError("table-encoding", "it is not UTF-8", file=name) from None
    except csv.Error as error:
        raise MalformedError("table-syntax", f"line {rows.line_num}: {error}", file=name) from None
    if not values:
        raise MalformedError("table-empty", "there is no row below the header", file=name)
    matrix = np.frombuffer(values).reshape(-1, len(columns))
    if target is None:
        target = columns[-1]
    if target not in columns:
        raise OptionError("target-unknown", f"it has no column '{printable(target)}'", file=name)
    index = columns.index(target)
    features = (*columns[:index], *columns[index + 1 :])
    return Table(name, np.delete(matrix, index, axis=1), matrix[:, index], target, features)


def _check_header(columns: list[str], name: str) -> None:
    reason = None
    if len(columns) < 2:
        reason = "its first line must name at least two columns, separated by commas"
    elif len(columns) > MOST_COLUMNS:
        reason = f"it has more than {MOST_COLUMNS:,} columns"
    elif not all(columns) or len(set(columns)) < len(columns):
        reason = "the columns in its first line need names, each its own"
    elif all(_number(each) is not None for each in columns):
        reason = "its first line holds numbers only: it must name the columns"
    if reason is not None:
        raise MalformedError("table-header", reason, file=name)


def _numbers(row: list[str], columns: list[str], line: int, name: str) -> Iterator[float]:
    if len(row) != len(columns):
        raise MalformedError(
            "table-row", f"line {line} has {len(row)} cells, not {len(columns)}", file=name
        )
    for column, cell in zip(columns, row, strict=True):
        value = _number(cell)
        if value is None:
            raise MalformedError(
                "table-cell",
                f"line {line}, column '{printable(column, 80)}': '{printable(cell, 80)}' is no "
                "finite number",
                file=name,
            )
        yield value


def _number(cell: str) -> float | None:
    """The finite decimal number that a cell is; Python's own extensions are none."""
    try:
        value = float(cell)
    except ValueError:
        return None
    plain = cell.isascii() and "_" not in cell
    return value if plain and math.isfinite(value) else None


def _from_npz(data: bytes, name: str) -> Table:
    with _npz_errors(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {each.filename: each for each in archive.infolist()}
        if sorted(members) != ["X.npy", "y.npy"] or len(archive.infolist()) != 2:
            raise MalformedError("table-arrays", "it must hold the arrays X and y alone", file=name)
        inputs, targets = (_array(archive, members[each], name) for each in ("X.npy", "y.npy"))
    if inputs.ndim != 2 or targets.shape != inputs.shape[:1]:
        raise MalformedError("table-arrays", "X must have shape (N, d), and y (N,)", file=name)
    if inputs.size == 0:
        raise MalformedError("table-empty", "X has no row or no column", file=name)
    for label, values in (("X", inputs), ("y", targets)):
        if not np.isfinite(values).all():
            raise MalformedError("table-cell", f"{label} holds what is not finite", file=name)
    return Table(name, inputs, targets, "y", None)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> NDArray[np.float64]:
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError("an unknown version of the format")
        shape, fortran, dtype = _HEADERS[version](file)
        if dtype.kind not in "fiu":
            raise MalformedError(
                "table-arrays", f"{member.filename} does not hold real numbers", file=name
            )
        if math.prod(shape) * max(dtype.itemsize, 8) > MOST_BYTES:
            raise _too_large(name)
        size = math.prod(shape) * dtype.itemsize
        data = file.read(size + 1)
    if len(data) != size:
        raise ValueError("not the bytes that its header announces")
    values = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return values.astype(np.float64)


@contextmanager
def _npz_errors(name: str) -> Iterator[None]:
    """Maps what zipfile and numpy raise over broken, encrypted or unknown archives."""
    try:
        yield
    except (
        zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError,
        struct.error, OverflowError, SyntaxError,
    ):  # fmt: skip
        raise MalformedError("table-syntax", "it is no intact .npz", file=name) from None


def _too_large(name: str) -> LimitError:
    return LimitError(
        "table-too-large", f"it holds more than {MOST_BYTES // 1_000_000} MB", file=name
    )
