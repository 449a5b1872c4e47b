"""Rows as an aligned table of text, a line at a time.

Takes names of columns and rows; gives lines no wider than asked. Widths are those of the first
rows, so that any number of rows can be shown while they are read: a text that comes later and is
wider loses its middle, a number is never cut.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import chain, islice
from types import NoneType
from typing import Any

from rich.cells import cell_len

from thermoscan.text import printable

_LOOKED_AT = 200
"""Rows that decide how wide the columns are."""

_WIDEST = 60
_LEAST = 8
"""Width below which no column of text is cut."""

_LEAST_OF_NAMES = 10
"""Width down to which the name of a column is cut before any text below it is."""

_GAP = "  "
_MISSING = "-"
_DIGITS = 4


def aligned(names: Sequence[str], rows: Iterable[Sequence[Any]], width: int) -> Iterator[str]:
    """Yields a line of names and one for each row, numbers to the right."""
    iterator = iter(rows)
    first = list(islice(iterator, _LOOKED_AT))
    columns = list(zip(*first, strict=True)) or [()] * len(names)
    right = [_is_number(column) for column in columns]
    texts = [[shown(value) for value in row] for row in first]
    widths = [max(map(cell_len, column)) for column in zip(names, *texts, strict=True)]
    # A column's name is told by its beginning and end; that of a model or a layer often is not.
    of_texts = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    _fit(widths, [max(_LEAST_OF_NAMES, each) for each in of_texts or widths], width)
    _fit(widths, [_least(column) for column in columns], width)
    yield _line(names, widths, right, cut=[True] * len(names))
    for cells in chain(texts, ([shown(value) for value in row] for row in iterator)):
        yield _line(cells, widths, right, cut=[not each for each in right])


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


def _is_number(values: Iterable[Any]) -> bool:
    return all(
        isinstance(each, (int, float, NoneType)) and not isinstance(each, bool) for each in values
    )


def _least(values: Iterable[Any]) -> int:
    """Returns how wide a column has to be: only texts, and names of columns, may be cut."""
    fixed = [cell_len(shown(each)) for each in values if not isinstance(each, (str, NoneType))]
    return max([_LEAST, *fixed])


def _fit(widths: list[int], least: Sequence[int], width: int) -> None:
    """Narrows the widest columns until the line fits, or all are as narrow as can be."""
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    for _ in range(excess):
        wide = [k for k, each in enumerate(widths) if each > least[k]]
        if wide:
            widths[max(wide, key=lambda k: widths[k])] -= 1


def _line(
    texts: Sequence[str], widths: Sequence[int], right: Sequence[bool], cut: Sequence[bool]
) -> str:
    cells = []
    for text, width, to_the_right, may_be_cut in zip(texts, widths, right, cut, strict=True):
        short = _shortened(text, width) if may_be_cut else text
        space = " " * (width - cell_len(short))
        cells.append(space + short if to_the_right else short + space)
    return _GAP.join(cells).rstrip()


def _shortened(text: str, width: int) -> str:
    """Returns `text` without its middle, at most `width` cells wide."""
    limit = width
    while cell_len(short := printable(text, limit)) > width:
        limit -= 1
    return short
