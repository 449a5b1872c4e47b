"""All detectors together: from a measurement to the findings of its card.

One cause gives one finding: where a layer's sighting explains another one, the other is left out.
A kind that is seen in more than `EACH` layers becomes one finding with the count and the worst.
Detectors that need every byte are not asked about a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from thermoscan.card import SAMPLE_ONLY, Finding, NotLookedFor
from thermoscan.findings import (
    copies,
    lineage,
    peers,
    spectra,
    storage,
    training,
    units,
    values,
)
from thermoscan.findings.kinds import SEVERITIES, Detector, Kind, Sighting

if TYPE_CHECKING:
    from thermoscan.scanner.measurement import Measurement

EACH = 8
"""Sightings of one kind up to which each is a finding of its own."""

DETECTORS: tuple[Detector, ...] = (
    values.non_finite,
    values.constant,
    lineage.re_initialised,
    training.at_initialisation,
    training.decayed,
    values.saturated,
    units.dead_units,
    peers.hot_and_cold,
    peers.order_outliers,
    copies.duplicates,
    copies.tied_but_different,
    lineage.frozen,
    lineage.rounding_only,
    training.order_under_heating,
    storage.few_levels,
    storage.wasted_precision,
    storage.compressible,
    spectra.rank_collapse,
    spectra.correlation_traps,
    spectra.over_and_under_trained,
)
"""In the order in which findings of one severity are listed."""

NEED_EVERY_BYTE: Mapping[Detector, tuple[Kind, ...]] = {
    values.constant: (values.CONSTANT,),
    values.saturated: (values.SATURATED,),
    units.dead_units: (units.DEAD_UNITS, units.UNUSED_ROWS),
    copies.duplicates: (copies.DUPLICATE,),
    copies.tied_but_different: (copies.TIED_BUT_DIFFERENT,),
    storage.few_levels: (storage.FEW_LEVELS,),
    storage.wasted_precision: (storage.WASTED_PRECISION,),
}
"""What cannot be told from a sample: one element elsewhere may be different. With their kinds."""

EXPLAINS: Mapping[Kind, frozenset[Kind]] = {
    # What is not finite is left out of energies, and leaves few values or none.
    values.NON_FINITE: frozenset(
        {units.DEAD_UNITS, units.UNUSED_ROWS, storage.FEW_LEVELS, spectra.RANK_COLLAPSE}
    ),
    values.CONSTANT: frozenset({spectra.RANK_COLLAPSE}),
    units.DEAD_UNITS: frozenset({spectra.RANK_COLLAPSE}),
    lineage.RE_INITIALISED: frozenset({training.AT_INITIALISATION}),
    training.AT_INITIALISATION: frozenset({peers.HOT, peers.COLD, peers.ORDER_OUTLIER}),
    training.DECAYED: frozenset({peers.COLD}),
    # Levels lie in cells of their own, so that the entropy of the cells is no continuous one.
    storage.FEW_LEVELS: frozenset(
        {storage.WASTED_PRECISION, peers.ORDER_OUTLIER, training.ORDER_UNDER_HEATING}
    ),
}
"""What each kind makes redundant on the same layer."""


def find(measurement: Measurement) -> tuple[Finding, ...]:
    """Returns what a person should know: worst severity first, then the worst of a kind first."""
    seen: dict[Kind, list[Sighting]] = {}
    for detector in DETECTORS:
        if measurement.sampling is not None and detector in NEED_EVERY_BYTE:
            continue
        for sighting in detector(measurement):
            seen.setdefault(sighting.kind, []).append(sighting)
    explained = _explained(seen)
    findings = [
        finding
        for kind, sightings in seen.items()
        for finding in _findings(
            kind, [each for each in sightings if (kind, each.layer) not in explained]
        )
    ]
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def not_looked_for(measurement: Measurement) -> tuple[NotLookedFor, ...]:
    """Returns the kinds of finding that were not looked for, in the order of the detectors."""
    if measurement.sampling is None:
        return ()
    kinds = [kind for kinds in NEED_EVERY_BYTE.values() for kind in kinds]
    return tuple(NotLookedFor(kind.code, SAMPLE_ONLY) for kind in kinds)


def _explained(seen: Mapping[Kind, list[Sighting]]) -> set[tuple[Kind, str | None]]:
    return {
        (redundant, sighting.layer)
        for kind, redundants in EXPLAINS.items()
        for sighting in seen.get(kind, ())
        for redundant in redundants
    }


def _findings(kind: Kind, sightings: list[Sighting]) -> Iterator[Finding]:
    worst_first = sorted(sightings, key=lambda each: -each.extent)
    if len(worst_first) <= EACH:
        yield from (_finding(each) for each in worst_first)
        return
    worst = worst_first[0]
    yield _finding(
        Sighting(
            kind,
            worst.layer,
            f"in {len(sightings)} places, here the most: {worst.message}",
            worst.extent,
            {"places": len(sightings), **worst.evidence},
        )
    )


def _finding(sighting: Sighting) -> Finding:
    kind = sighting.kind
    return Finding(
        code=kind.code,
        severity=kind.severity,
        layer=sighting.layer,
        message=sighting.message,
        meaning=kind.meaning,
        advice=kind.advice,
        evidence=sighting.evidence,
    )
