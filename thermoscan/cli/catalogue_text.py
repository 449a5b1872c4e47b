"""A description and a difference of a catalogue, as lines of text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from thermoscan.catalogue.describing import Description
from thermoscan.catalogue.difference import MOVES, Difference, LayerDifference
from thermoscan.catalogue.export import json_value
from thermoscan.cli.aligned import aligned, columns_of_terminal, shown

_STATUSES = ("changed", "added", "removed", "unknown")


def to_json(found: Description | Difference) -> str:
    """Returns it as JSON text, in ASCII."""
    return json.dumps(asdict(found), indent=2, allow_nan=False, default=json_value)


def description_lines(found: Description) -> Iterator[str]:
    """Yields what is known of a model: fields that it has, scans, findings, layers."""
    yield from _pairs(found.model)
    yield from _section("Scans", found.scans)
    yield from _section("Findings", found.findings)
    yield from _section("Layers", found.layers)
    if len(found.layers) < found.model["layers"]:
        yield f"... of {found.model['layers']:,} layers: --all shows them"


def difference_lines(found: Difference) -> Iterator[str]:
    """Yields what differs: who, figures, layers, findings."""
    width = columns_of_terminal()
    who = [(name, found.before[name], found.after[name]) for name in found.before]
    # As texts: a number of one name is no number to put to the right under another.
    rows = [(name, shown(before), shown(after)) for name, before, after in who
            if before is not None or after is not None]  # fmt: skip
    yield from aligned(("", "before", "after"), rows, width)
    yield ""
    figures = [(each.name, each.before, each.after, each.change)
               for each in found.figures if each.is_known]  # fmt: skip
    yield from aligned(("", "before", "after", "change"), figures, width)
    yield ""
    counts = Counter(each.status for each in found.layers)
    numbers = (f"{counts[status]:,} {status}" for status in _STATUSES)
    yield f"Layers: {found.same:,} the same, {', '.join(numbers)}"
    if found.layers:
        told = [name for index, name in enumerate(MOVES)
                if any(each.moves[index].is_known for each in found.layers)]  # fmt: skip
        names = ["", "layer", *(each for name in told for each in (name, "change"))]
        yield from aligned(names, [_layer(each, told) for each in found.layers], width)
    yield from _section("Findings gained", found.gained)
    yield from _section("Findings lost", found.lost)
    if not found.differs:
        yield "No difference."


def _layer(layer: LayerDifference, told: Sequence[str]) -> Sequence[Any]:
    moves: list[float | None] = []
    for each in [move for move in layer.moves if move.name in told]:
        moves += [each.before if each.after is None else each.after, each.change]
    return (layer.status, layer.name, *moves)


def _pairs(document: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each field that is not missing."""
    present = {name: value for name, value in document.items() if value is not None}
    widest = max(map(len, present))
    for name, value in present.items():
        yield f"{name:{widest}}  {shown(value, 1000)}"


def _section(title: str, documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a title and a table, or nothing where there is nothing."""
    if documents:
        yield ""
        yield f"{title} ({len(documents):,})"
        rows = [tuple(each.values()) for each in documents]
        yield from aligned(tuple(documents[0]), rows, columns_of_terminal())
