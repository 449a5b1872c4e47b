"""The table of layers: the first page of rows in words, and all rows packed for the page's script.

Takes a card; gives a `LayerTable`. `packing` says how the rows are packed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from thermoscan.card import Card, LayerRecord
from thermoscan.text import printable
from thermoscan_reports.numbers import NULL, shown
from thermoscan_reports.packing import pack, pack_names, pack_numbers, pack_words
from thermoscan_reports.page import SEVERITIES, by_severity, layer_indices

ROWS = 30
NO_INTERVAL = "it was read whole, or has no value"
_NAME_LIMIT = 120
_ROLE_LIMIT = 40
_REASON_LIMIT = 200


@dataclass(frozen=True)
class Column:
    """A column of numbers: where a layer has it, the symbol over it, and what the symbol means.

    A path that begins with ``intervals`` is of half an interval's length, to one digit: more is
    noise, and a page of 100,000 layers has no room for it.
    """

    path: str
    symbol: str
    meaning: str


WEIGHTS = (
    Column("reduced_temperature", "τ", "reduced temperature"),
    Column("order", "J", "order"),
    Column("transition_temperature", "T*", "transition temperature"),
    Column("engine.efficiency", "η", "work efficiency, estimated from the weights"),
)
DATA = (
    Column("probe.efficiency", "η data", "work efficiency, measured on data"),
    Column("probe.temperature", "T data", "virial temperature on data"),
)
SAMPLE = (
    Column("intervals.reduced_temperature", "± τ", "half the 95 % interval of τ, to one digit"),
    Column("intervals.order", "± J", "half the 95 % interval of J, to one digit"),
)
BASE = (
    Column("refresh_temperature", "T*₂", "refresh temperature, from the base checkpoint"),
    Column("change.distance", "Δ", "distance from the base over the base's norm"),
    Column("change.cosine", "cos", "cosine with the base"),
)
SPECTRA = (
    Column("spectra.counted.tail.alpha", "α", "exponent of the spectrum’s tail"),
    Column("spectra.counted.stable_rank", "stable rank", "Σλ over the largest eigenvalue"),
    Column("spectra.counted.effective_rank", "eff. rank", "exponential of the spectral entropy"),
    Column("spectra.counted.bulk.ordered_fraction", "ordered", "share of Σλ held by outliers"),
)
SPECTRA_BASE = (
    Column("spectra.counted.change.distance", "Δ values", "Δ of the singular values in order"),
)
# Where no spectrum counts, it is for want of that of the matrix.
_REASON_UNDER = {"counted": "matrix"}


@dataclass(frozen=True)
class Cell:
    """A number in words; `reason` says why there is none."""

    text: str
    reason: str | None


@dataclass(frozen=True)
class Row:
    """One layer: `index` is its place in the card, `severity` its worst finding's or empty."""

    index: int
    name: str
    role: str
    shape: str
    numbers: tuple[Cell, ...]
    severity: str


@dataclass(frozen=True)
class LayerTable:
    """The first page, layers with findings first, and the packed table of `total` layers."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: int
    packed: str


def columns_of(card: Card) -> tuple[Column, ...]:
    """Returns the columns of numbers that a card has: more of a sample, spectra, data or a base."""
    sample, spectra = SAMPLE if card.sampling else (), SPECTRA if card.spectra else ()
    data, base = DATA if card.probe else (), BASE if card.comparison else ()
    change = SPECTRA_BASE if card.spectra and card.comparison else ()
    return WEIGHTS + sample + spectra + data + base + change


def table_of(card: Card) -> LayerTable:
    """Returns the table of the layers of `card`."""
    columns = columns_of(card)
    flags = severities(card)
    first = list(flags)[:ROWS]
    chosen = set(first)
    rest = (index for index in range(len(card.layers)) if index not in chosen)
    order = first + [index for index, _ in zip(rest, range(ROWS - len(first)), strict=False)]
    return LayerTable(
        columns=columns,
        rows=tuple(
            _row(index, card.layers[index], columns, flags.get(index, "")) for index in order
        ),
        total=len(card.layers),
        packed=_packed(card, columns, flags, first),
    )


def severities(card: Card) -> Mapping[int, str]:
    """Returns the severity of the worst finding about a layer by the layer's index, worst first."""
    indices = layer_indices(card)
    found: dict[int, str] = {}
    for finding in by_severity(card.findings):
        index = None if finding.layer is None else indices.get(finding.layer)
        if index is not None and finding.severity in SEVERITIES:
            found.setdefault(index, finding.severity)
    return found


def _half(low: float, high: float) -> float:
    """Half the length of an interval, to one digit; of the longest that a float can say, as it is.

    >>> _half(1.0, 1.25), _half(-1.7e308, 1.7e308)
    (0.1, 1.7e+308)
    """
    half = high / 2 - low / 2
    rounded = float(f"{half:.0e}")
    return rounded if math.isfinite(rounded) else half


def number(layer: LayerRecord, path: str) -> tuple[float | None, str]:
    """Returns the value of a number column, and the reason where it is None."""
    owner: Any = layer
    if path.startswith("intervals."):
        ends = layer.intervals.get(path.removeprefix("intervals."))
        return (None, NO_INTERVAL) if ends is None else (_half(*ends), "")
    for name in path.split("."):
        value = getattr(owner, name)
        if value is None:
            return None, owner.reasons.get(_REASON_UNDER.get(name, name), "not known")
        owner = value
    return owner, ""


def _row(index: int, layer: LayerRecord, columns: tuple[Column, ...], severity: str) -> Row:
    cells = []
    for column in columns:
        value, reason = number(layer, column.path)
        cells.append(
            Cell(shown(value), printable(reason, _REASON_LIMIT) if value is None else None)
        )
    name = printable(layer.name, _NAME_LIMIT) or NULL
    return Row(
        index, name, printable(layer.role, _ROLE_LIMIT), _shape(layer), tuple(cells), severity
    )


def _shape(layer: LayerRecord) -> str:
    return f"{layer.shape[0]} × {layer.shape[1]}"


def _packed(
    card: Card, columns: tuple[Column, ...], flags: Mapping[int, str], first: list[int]
) -> str:
    layers = card.layers
    return pack(
        {
            "names": pack_names(printable(layer.name, _NAME_LIMIT) or NULL for layer in layers),
            "roles": pack_words((layer.role for layer in layers), _ROLE_LIMIT),
            "shapes": pack_words((_shape(layer) for layer in layers), _NAME_LIMIT),
            "numbers": [_pack_column(layers, column.path) for column in columns],
            "flags": dict(flags),
            "first": first,
        }
    )


def _pack_column(layers: Iterable[LayerRecord], path: str) -> dict[str, Any]:
    cells = [number(layer, path) for layer in layers]
    why = pack_words((reason for _, reason in cells), _REASON_LIMIT)
    return {**pack_numbers(value for value, _ in cells), "why": why}
