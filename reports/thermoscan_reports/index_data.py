"""What an index says, as plain frozen data: which models stand out and why, and in which order.

Takes `thermoscan.catalogue.index.IndexEntry`s; gives an `Overview`. Three things make a model stand
out: it was refused, it has findings of severity error, or a figure of it is an outlier in its
family (`deviations`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from thermoscan.catalogue.index import IndexEntry
from thermoscan_reports.deviations import Deviation, deviations_of
from thermoscan_reports.index_models import Model, model_of
from thermoscan_reports.page import SEVERITIES

_TAU = 0


@dataclass(frozen=True)
class Family:
    """The scanned models of one family, by their places in the overview, at least two."""

    name: str
    members: tuple[int, ...]
    reduced_temperature: float | None


@dataclass(frozen=True)
class Overview:
    """Everything that an index says.

    Attributes:
        models: In the order of the index: refused ones, those with errors (most first), those with
            deviations (the farthest first), the other scanned ones, skipped ones; then by name.
        deviations: Place of a model -> its deviations, the farthest first.
        families: The largest first, then by name.
        counts: Of models by status, by ``"error"`` and ``"warning"`` as the worst finding, and by
            ``"unlike"`` for those with deviations.
    """

    models: tuple[Model, ...]
    deviations: Mapping[int, tuple[Deviation, ...]]
    families: tuple[Family, ...]
    counts: Mapping[str, int]


def overview_of(entries: Iterable[IndexEntry]) -> Overview:
    """Returns what an index of `entries` says."""
    models = [model_of(entry) for entry in entries]
    found = deviations_of(models)
    order = sorted(range(len(models)), key=lambda at: _rank(models[at], found.get(at, ())))
    models = [models[at] for at in order]
    deviations = {place: found[at] for place, at in enumerate(order) if at in found}
    return Overview(tuple(models), deviations, _families(models), _counts(models, deviations))


def _rank(model: Model, deviations: Sequence[Deviation]) -> tuple[int, float, str]:
    if model.status == "refused":
        return 0, 0, model.name
    if model.findings[0]:
        return 1, -model.findings[0], model.name
    if deviations:
        return 2, -deviations[0].distance, model.name
    return 4 if model.status == "skipped" else 3, 0, model.name


def _families(models: Sequence[Model]) -> tuple[Family, ...]:
    members: dict[str, list[int]] = {}
    for place, model in enumerate(models):
        if model.family is not None and model.reason is None:
            members.setdefault(model.family, []).append(place)
    families = [
        Family(name, tuple(places), _median([models[at].figures[_TAU] for at in places]))
        for name, places in members.items()
        if len(places) > 1
    ]
    return tuple(sorted(families, key=lambda family: (-len(family.members), family.name)))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _counts(models: Sequence[Model], deviations: Mapping[int, object]) -> dict[str, int]:
    counts = dict.fromkeys(("scanned", "sampled", "refused", "skipped", *SEVERITIES), 0)
    for model in models:
        counts[model.status] = counts.get(model.status, 0) + 1
        if model.severity:
            counts[model.severity] += 1
    return counts | {"unlike": len(deviations)}
