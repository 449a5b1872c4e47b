"""Two scans side by side: figures, layers by name, findings.

Layers are the same where the digests of their stored bytes are equal. Where a sample was read there
is no digest: such layers are ``unknown``, and only how far their figures moved can be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from thermoscan.catalogue.asking import Document, Question, ask
from thermoscan.catalogue.naming import Named
from thermoscan.catalogue.schema import scans

FIGURES = (
    "parameters", "bytes", "layers", "temperature", "reduced_temperature",
    "transition_temperature", "refresh_temperature", "order", "work_efficiency",
    "bits_per_parameter", "sparsity", "alpha", "stable_rank", "ordered_fraction", "errors",
    "warnings", "infos",
)  # fmt: skip
"""Of the models."""

MOVES = ("reduced_temperature", "order", "sparsity", "alpha")
"""Of the layers."""

_WHO = ("scan", "name", "status", "code", "reason", "commit", "identity", "architecture",
        "scanner", "options", "at", "sampled")  # fmt: skip
_TOLD = ("status", "code", "architecture")
"""Of `_WHO`, what makes a difference by itself."""

_LAYER = ("name", "role", "dtype", "rows", "columns", "digest", *MOVES)
_FINDING = ("severity", "code", "layer")


@dataclass(frozen=True, slots=True)
class Move:
    """A figure before and after, and the difference; None where it is missing in either."""

    name: str
    before: float | None
    after: float | None
    change: float | None

    @property
    def is_known(self) -> bool:
        """Whether there is a figure before or after."""
        return self.before is not None or self.after is not None


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """A layer that is not the same in both, or of which that is unknown.

    Attributes:
        name: Hostile text.
        status: ``"changed"``, ``"added"``, ``"removed"`` or ``"unknown"``.
        role: After, or before where it was removed.
        moves: Of `MOVES`.
    """

    name: str
    status: str
    role: str
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class Difference:
    """Two scans side by side.

    Attributes:
        before: Who was scanned, when and how, by name of a field.
        after: The same.
        figures: Of the models, whether they moved or not.
        same: How many layers are the same.
        layers: Those that are not, in the order of the model.
        gained: Findings, each by its code, severity and layer.
        lost: The same.
    """

    before: Document
    after: Document
    figures: tuple[Move, ...]
    same: int
    layers: tuple[LayerDifference, ...]
    gained: tuple[Document, ...]
    lost: tuple[Document, ...]

    @property
    def differs(self) -> bool:
        """Whether there is anything to tell, be it only that something is unknown."""
        told = any(self.before[each] != self.after[each] for each in _TOLD)
        moved = any(each.before != each.after for each in self.figures)
        return bool(told or moved or self.layers or self.gained or self.lost)


def difference(connection: Connection, before: Named, after: Named) -> Difference:
    """Returns what differs between two scans of one catalogue."""
    first, second = (_model(connection, each) for each in (before, after))
    layers = _layers(_layers_of(connection, before), _layers_of(connection, after))
    had, has = (_findings_of(connection, each) for each in (before, after))
    return Difference(
        before={name: first[name] for name in _WHO},
        after={name: second[name] for name in _WHO},
        figures=_moves(FIGURES, first, second),
        same=sum(each is None for each in layers),
        layers=tuple(each for each in layers if each is not None),
        gained=_beyond(has, had),
        lost=_beyond(had, has),
    )


def _model(connection: Connection, named: Named) -> Document:
    question = Question("scans", columns=(*_WHO, *FIGURES))
    (found,) = _documents(connection, question, named)
    return found


def _layers_of(connection: Connection, named: Named) -> dict[str, Document]:
    question = Question("layers", columns=_LAYER)
    return {each["name"]: each for each in _documents(connection, question, named)}


def _layers(
    before: Mapping[str, Document], after: Mapping[str, Document]
) -> list[LayerDifference | None]:
    """Returns a difference, or None for none, for each layer of either."""
    return [_layer(name, before.get(name), after.get(name)) for name in {**before, **after}]


def _layer(name: str, before: Document | None, after: Document | None) -> LayerDifference | None:
    status = _status(before, after)
    if status == "same":
        return None
    role = (after or before or {})["role"]
    return LayerDifference(name, status, role, _moves(MOVES, before or {}, after or {}))


def _status(before: Document | None, after: Document | None) -> str:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if any(before[name] != after[name] for name in ("rows", "columns", "dtype")):
        return "changed"
    if before["digest"] is None or after["digest"] is None:
        return "unknown"
    return "same" if before["digest"] == after["digest"] else "changed"


def _moves(names: tuple[str, ...], before: Document, after: Document) -> tuple[Move, ...]:
    return tuple(_move(name, before.get(name), after.get(name)) for name in names)


def _move(name: str, before: float | None, after: float | None) -> Move:
    change = None if before is None or after is None else after - before
    return Move(name, before, after, change)


def _findings_of(connection: Connection, named: Named) -> list[tuple[Any, ...]]:
    question = Question("findings", columns=_FINDING)
    return [tuple(each.values()) for each in _documents(connection, question, named)]


def _documents(connection: Connection, question: Question, named: Named) -> list[Document]:
    with ask(connection, question, scans.c.id == named.scan) as answer:
        return list(answer.documents())


def _beyond(these: list[tuple[Any, ...]], those: list[tuple[Any, ...]]) -> tuple[Document, ...]:
    """Returns the findings in `these` that `those` have not, each as often as it is one more."""
    more = Counter(these) - Counter(those)
    return tuple(dict(zip(_FINDING, each, strict=True)) for each in more.elements())
