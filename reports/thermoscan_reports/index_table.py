"""The table of models on one page of an index: rows in words, and the same packed for its script.

Takes a page's models; gives an `IndexTable`. Every cell is words, and sorted by the rank of these
words on the page, so that the script knows nothing of numbers. `packing` says how they are packed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thermoscan_reports.deviations import Deviation, deviations_in_words
from thermoscan_reports.index_models import FIGURES, Figure, Model, findings_in_words
from thermoscan_reports.layer_table import ROWS
from thermoscan_reports.numbers import NULL, scaled
from thermoscan_reports.packing import pack, pack_names
from thermoscan_reports.page import SEVERITIES
from thermoscan_reports.sparkline import levels_of, span_of

ARCHITECTURES = 40
"""The most architectures that can be chosen from; the filter of text finds the others."""

_Key = float | str | tuple[int, ...]


@dataclass(frozen=True)
class Column:
    """A column: its heading, what that means, and whether it is first sorted from the top down."""

    heading: str
    meaning: str
    falls: bool


@dataclass(frozen=True)
class Row:
    """A model: its place in the whole index from 1, its profile as `sparkline` has it."""

    place: int
    name: str
    href: str | None
    severity: str
    status: str
    reason: str | None
    cells: tuple[str, ...]
    profile: str
    span: str


@dataclass(frozen=True)
class Choice:
    """What rows can be filtered by: a name for people, an id, the values there are."""

    label: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class IndexTable:
    """The columns after the status, all rows of the page, the packed table, the filters.

    `first` of the rows are drawn by the server, the others by the script.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    first: int
    packed: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class _Measured:
    """A column with its models' cells: words (empty for none), and keys to sort them by."""

    column: Column
    words: Callable[[int, Model], str]
    key: Callable[[int, Model], _Key | None]


def table_of(
    models: Sequence[Model],
    deviations: Mapping[int, tuple[Deviation, ...]],
    start: int,
    base: bool,
) -> IndexTable:
    """Returns the table of a page.

    Args:
        models: Of this page.
        deviations: By the place of a model in the whole index.
        start: Place of the first of `models` in the whole index.
        base: Whether any model of the index has a base checkpoint.
    """
    measured = _columns(deviations, base)
    places = range(start, start + len(models))
    words = [
        [each.words(place, model) for each in measured]
        for place, model in zip(places, models, strict=True)
    ]
    rows = tuple(
        _row(place, model, tuple(text or NULL for text in cells))
        for place, model, cells in zip(places, models, words, strict=True)
    )
    ranked = [
        _ranked(
            [cells[at] for cells in words],
            [each.key(place, model) for place, model in zip(places, models, strict=True)],
        )
        for at, each in enumerate(measured)
    ]
    return IndexTable(
        columns=tuple(each.column for each in measured),
        rows=rows,
        first=min(ROWS, len(rows)),
        packed=_packed(rows, ranked, start),
        choices=_choices(rows),
    )


def _columns(deviations: Mapping[int, tuple[Deviation, ...]], base: bool) -> list[_Measured]:
    def unlike(place: int, _: Model) -> str:
        return deviations_in_words(deviations.get(place, ()))

    def farthest(place: int, _: Model) -> float | None:
        return deviations[place][0].distance if place in deviations else None

    figures = [
        _figure_column(at, figure)
        for at, figure in enumerate(FIGURES)
        if base or figure.field != "refresh_temperature"
    ]
    return [
        _Measured(
            Column("Architecture", "or structure; models of one are a family", False),
            lambda _, model: model.family or "",
            lambda _, model: model.family,
        ),
        _Measured(
            Column("Type", "the element type that most parameters have", False),
            lambda _, model: model.dtype or "",
            lambda _, model: model.dtype,
        ),
        _Measured(
            Column("Parameters", "their number", True),
            lambda _, model: "" if model.parameters is None else scaled(model.parameters),
            lambda _, model: model.parameters,
        ),
        _Measured(
            Column("Size", "of the weight files", True),
            lambda _, model: "" if model.bytes is None else scaled(model.bytes, "B"),
            lambda _, model: model.bytes,
        ),
        *figures,
        _Measured(
            Column("Findings", "by severity, with the worst ones’ names", True),
            lambda _, model: findings_in_words(model),
            lambda _, model: model.findings if model.severity else None,
        ),
        _Measured(Column("Unlike its family", "figures that are outliers", True), unlike, farthest),
    ]


def _figure_column(at: int, figure: Figure) -> _Measured:
    def words(_: int, model: Model) -> str:
        value = model.figures[at]
        return "" if value is None else figure.words(value)

    return _Measured(
        Column(figure.symbol, figure.meaning, True), words, lambda _, model: model.figures[at]
    )


def _row(place: int, model: Model, cells: tuple[str, ...]) -> Row:
    return Row(
        place=place + 1,
        name=model.name,
        href=model.href,
        severity=model.severity,
        status=model.status,
        reason=model.reason,
        cells=cells,
        profile=levels_of(model.profile),
        span=span_of(model.profile),
    )


def _ranked(words: Sequence[str], keys: Sequence[_Key | None]) -> dict[str, Any]:
    """The distinct cells by their keys, and each row's place among them; null where it has none."""
    known: set[Any] = {
        (key, text) for text, key in zip(words, keys, strict=True) if key is not None
    }
    places = {pair: place for place, pair in enumerate(sorted(known))}
    rows = [places.get((key, text)) for text, key in zip(words, keys, strict=True)]
    return {"words": [text for _, text in places], "rows": rows}


def _packed(rows: Sequence[Row], ranked: list[dict[str, Any]], start: int) -> str:
    """All cells are words here, and rows in their order: numbers and first rows are of cards."""
    names = [row.name for row in rows]
    status = [row.status for row in rows]
    return pack(
        {
            "names": pack_names(names),
            "numbers": [],
            "first": [],
            "start": start + 1,
            "alphabetical": _ranked(names, [name.casefold() for name in names])["rows"],
            "columns": [_ranked(status, status), *ranked],
            "links": [row.href for row in rows],
            "reasons": [row.reason for row in rows],
            "severities": [row.severity for row in rows],
            "profiles": [row.profile for row in rows],
            "spans": [row.span for row in rows],
        }
    )


def _choices(rows: Sequence[Row]) -> tuple[Choice, ...]:
    """Of architectures the commonest on the page, in order of their names."""
    severities = {row.severity for row in rows}
    common = Counter(row.cells[0] for row in rows if row.cells[0] != NULL)
    architectures = sorted(common, key=lambda name: (-common[name], name))[:ARCHITECTURES]
    return (
        Choice("status", "status", tuple(sorted({row.status for row in rows}))),
        Choice("architecture", "kind", tuple(sorted(architectures))),
        Choice("worst finding", "worst", tuple(name for name in SEVERITIES if name in severities)),
    )
