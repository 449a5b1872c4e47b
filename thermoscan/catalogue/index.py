"""What an index page says of a model, and the protocol of what renders one.

An `IndexEntry` is made of the last result of a model, be that scanned, refused or skipped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from thermoscan.card import Card

PROFILE_POINTS = 32
"""The most values of a profile."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A model in the index. Names and reasons are hostile text.

    Attributes:
        name: What the batch calls it.
        status: ``"scanned"``, ``"refused"`` or ``"skipped"``.
        code: Of a refusal or skip; else None.
        reason: Of a refusal or skip; else None.
        card: Relative path of the HTML card, with forward slashes; None where there is none.
        architecture: As the card's; models of one architecture are a family.
        structure: See `structure_of`; models of no stated architecture and one structure are a
            family too.
        parameters: Their number.
        bytes: Of the weight files.
        dtype: The element type that most parameters have.
        sampled: Whether only a sample was read.
        reduced_temperature: As the card's summary, like all that follow.
        order: Nats per parameter.
        transition_temperature: Type I.
        refresh_temperature: Type II.
        work_efficiency: Of the engine.
        bits_per_parameter: Discrete entropy.
        sparsity: Share of exact zeros.
        findings: Severity -> number of findings.
        worst: Codes of the findings of the worst severity there is, sorted, each once; empty where
            there is no error and no warning.
        profile: See `profile_of`.
    """

    name: str
    status: str
    code: str | None = None
    reason: str | None = None
    card: str | None = None
    architecture: str | None = None
    structure: str | None = None
    parameters: int | None = None
    bytes: int | None = None
    dtype: str | None = None
    sampled: bool = False
    reduced_temperature: float | None = None
    order: float | None = None
    transition_temperature: float | None = None
    refresh_temperature: float | None = None
    work_efficiency: float | None = None
    bits_per_parameter: float | None = None
    sparsity: float | None = None
    findings: Mapping[str, int] = field(default_factory=dict)
    worst: tuple[str, ...] = ()
    profile: tuple[float | None, ...] = ()


class Index(Protocol):
    """Renders an index. Registered in the entry-point group ``thermoscan.indexes``."""

    def render(self, entries: Iterable[IndexEntry]) -> Iterator[tuple[str, str]]:
        """Yields name and contents of each file; the first is the one to open."""
        ...


def profile_of(card: Card) -> tuple[float | None, ...]:
    """Returns the reduced temperature along the model, from its first layer to its last.

    Layers are cut into at most `PROFILE_POINTS` groups of neighbours; a value is ``Σ d τ / Σ d``
    over a group's layers, None where none of them has a τ. Embeddings, whose τ has no landmark, are
    left out.
    """
    layers = [layer for layer in card.layers if layer.role != "embedding"]
    groups = min(PROFILE_POINTS, len(layers))
    bounds = [len(layers) * group // groups for group in range(groups + 1)] if groups else []
    values: list[float | None] = []
    for start, stop in pairwise(bounds):
        known = [
            (layer.parameters, layer.reduced_temperature)
            for layer in layers[start:stop]
            if layer.reduced_temperature is not None
        ]
        weight = sum(parameters for parameters, _ in known)
        values.append(sum(d * tau for d, tau in known) / weight if weight else None)
    return tuple(values)


def structure_of(card: Card) -> str | None:
    """Returns 16 hexadecimal digits that models have in common whose layers are called the same.

    The names and shapes of the layers are, in any order; None without layers.
    """
    if not card.layers:
        return None
    layers = sorted((layer.name, *layer.shape) for layer in card.layers)
    return hashlib.sha256(json.dumps(layers).encode("ascii")).hexdigest()[:16]
