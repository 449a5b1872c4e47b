"""Rows as an aligned table of text, a line at a time.

Takes names of columns and rows; gives lines no wider than asked. Widths are those of the first
rows: what comes later and is wider loses its middle, so that any number of rows can be shown while
they are read.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import chain, islice
from typing import Any

from rich.cells import cell_len, set_cell_size

from thermoscan.text import printable

_LOOKED_AT = 200
"""Rows that decide how wide the columns are."""

_WIDEST = 60
_LEAST = 8
"""Width below which no column of text is cut."""

_GAP = "  "
_MISSING = "-"
_DIGITS = 4


def aligned(names: Sequence[str], rows: Iterable[Sequence[Any]], width: int) -> Iterator[str]:
    """Yields a line of names and one for each row, numbers to the right."""
    iterator = iter(rows)
    first = list(islice(iterator, _LOOKED_AT))
    right = [_is_number([row[k] for row in first]) for k in range(len(names))]
    texts = [[shown(value) for value in row] for row in first]
    widths = [max(map(cell_len, column)) for column in zip(names, *texts, strict=True)]
    widths = _fitted(widths, right, width)
    for cells in chain([names], texts, ([shown(value) for value in row] for row in iterator)):
        padded = map(_padded, cells, widths, right)
        yield _GAP.join(padded).rstrip()


def columns_of_terminal() -> int:
    """Returns ``COLUMNS``, else the terminal's width, else 100."""
    return shutil.get_terminal_size(fallback=(100, 24)).columns


def shown(value: Any, limit: int = _WIDEST) -> str:
    """Returns a value as text of at most `limit` characters, numbers with four digits."""
    if value is None:
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return printable(str(value), limit)


def _is_number(values: list[Any]) -> bool:
    known = [each for each in values if each is not None]
    return bool(known) and all(
        isinstance(each, (int, float)) and not isinstance(each, bool) for each in known
    )


def _fitted(widths: list[int], right: list[bool], width: int) -> list[int]:
    """Returns widths that fit the line, as far as texts can be cut: the widest first."""
    widths = list(widths)
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    texts = [k for k, is_number in enumerate(right) if not is_number]
    while excess > 0 and texts:
        widest = max(texts, key=lambda k: widths[k])
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
        excess -= 1
    return widths


def _padded(text: str, width: int, right: bool) -> str:
    size = cell_len(text)
    if size > width and not right:
        return set_cell_size(_shortened(text, width), width)
    return " " * (width - size) + text if right else text + " " * (width - size)


def _shortened(text: str, width: int) -> str:
    """Returns `text` without its middle, at most `width` cells wide."""
    limit = width
    while cell_len(short := printable(text, limit)) > width:
        limit -= 1
    return short
