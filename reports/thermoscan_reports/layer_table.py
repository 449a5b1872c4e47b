r"""The table of layers: the first page of rows in words, and all rows packed for the page's script.

Takes a card; gives a `LayerTable`. The packed form is columnar JSON, gzipped, in base64. It is
built so that 100,000 layers take less than a megabyte, and unpacked by ``assets/card.js``:

- names are split into a template with the numbers taken out (``layers.\n.mlp.weight``) and the
numbers; - words (roles, shapes, reasons) are indices into a list of the distinct ones; - a number
is three digits in one string and one letter in another: the letter counts the power of ten from
  ``n``, in upper case where the number is negative; a dot stands for null.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from thermoscan.card import Card, LayerRecord
from thermoscan.text import printable
from thermoscan_reports.numbers import NULL, shown
from thermoscan_reports.page import SEVERITIES, by_severity, layer_indices

ROWS = 30
NO_INTERVAL = "it was read whole, or has no value"
# Within 1 % of the size of level 9, at a third of its time.
_LEVEL = 6
_NAME_LIMIT = 120
_ROLE_LIMIT = 40
_REASON_LIMIT = 200
_LETTERS = {("+", f"e{power:+03d}"): chr(ord("n") + power) for power in range(-13, 13)} | {
    ("-", f"e{power:+03d}"): chr(ord("N") + power) for power in range(-13, 13)
}
_NUMBER = re.compile(r"(?<!\d)(0|[1-9]\d{0,7})(?!\d)", re.ASCII)


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
    """Returns the columns of numbers that a card has: more of a sample, a run or a comparison."""
    sample = SAMPLE if card.sampling else ()
    return WEIGHTS + sample + (DATA if card.probe else ()) + (BASE if card.comparison else ())


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
            return None, owner.reasons.get(name, "not known")
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
    packed = {
        "names": _pack_names(printable(layer.name, _NAME_LIMIT) or NULL for layer in layers),
        "roles": _pack_words((layer.role for layer in layers), _ROLE_LIMIT),
        "shapes": _pack_words((_shape(layer) for layer in layers), _NAME_LIMIT),
        "numbers": [_pack_numbers(layers, column.path) for column in columns],
        "flags": dict(flags),
        "first": first,
    }
    text = json.dumps(packed, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), _LEVEL, mtime=0)).decode("ascii")


def _pack_names(names: Iterable[str]) -> dict[str, Any]:
    """Printable names hold no line break, so that one can stand for a number."""
    numbers: list[int] = []
    places: dict[str, int] = {}
    rows = []
    for name in names:
        parts = _NUMBER.split(name)
        numbers.extend(map(int, parts[1::2]))
        rows.append(places.setdefault("\n".join(parts[::2]), len(places)))
    return {"words": list(places), "rows": rows, "numbers": numbers}


def _pack_words(words: Iterable[str], limit: int) -> dict[str, Any]:
    places: dict[str, int] = {}
    rows = [places.setdefault(word, len(places)) for word in words]
    return {"words": [printable(word, limit) for word in places], "rows": rows}


def _pack_numbers(layers: Iterable[LayerRecord], path: str) -> dict[str, Any]:
    digits, letters, reasons = [], [], []
    for layer in layers:
        value, reason = number(layer, path)
        mantissa, letter = ("000", ".") if value is None else _pack_number(value)
        digits.append(mantissa)
        letters.append(letter)
        reasons.append(reason)
    return {
        "digits": "".join(digits),
        "letters": "".join(letters),
        "why": _pack_words(reasons, _REASON_LIMIT),
    }


def _pack_number(value: float) -> tuple[str, str]:
    """Values outside of the letters' range are shown as its ends: 0 below 1e-13, 9.99e12 above."""
    text = f"{value:+.2e}"
    letter = _LETTERS.get((text[0], text[5:]))
    if letter is not None:
        return text[1] + text[3:5], letter
    return ("000", "n") if abs(value) < 1 else ("999", _LETTERS[text[0], "e+12"])
