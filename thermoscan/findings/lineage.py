"""What a comparison with a base shows that somebody would act on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thermoscan.findings.kinds import INFO, WARNING, Kind, Sighting

if TYPE_CHECKING:
    from thermoscan.scanner.measurement import LayerMeasurement, Measurement

RE_INITIALISED = Kind(
    "re-initialised",
    WARNING,
    "Nothing of the base is left in this layer, and its energy and shape are those of a random "
    "start: it was drawn anew and hardly trained since.",
    "If the layer was meant to keep the base's weights, look at how they were loaded: a name or "
    "shape that does not fit makes many loaders draw the layer anew.",
)
FROZEN = Kind(
    "frozen",
    INFO,
    "Some layers hold the base's numbers to the last bit while others were trained: they were "
    "frozen, or no gradient reached them.",
    "If they were meant to be trained, look at which parameters the optimizer was given.",
)
ROUNDING_ONLY = Kind(
    "rounding-only",
    INFO,
    "The model is its base, stored in a narrower type or brought back from one: no training shows.",
    "Use either; if this was meant to be a fine-tune, the wrong file was saved.",
)


def re_initialised(measurement: Measurement) -> Iterator[Sighting]:
    """Finds layers that were drawn anew."""
    for each in _with(measurement, "re-initialised"):
        cosine = each.change.cosine if each.change else None
        shown = "" if cosine is None else f": the cosine with the base is {cosine:.4f}"
        yield Sighting(
            RE_INITIALISED,
            each.layer.name,
            f"its {each.tally.count:,} entries are independent of the base's{shown}",
            extent=each.tally.count,
            evidence={"cosine": cosine, "entries": each.tally.count},
        )


def frozen(measurement: Measurement) -> Iterator[Sighting]:
    """Finds that a part of the layers is as in the base, where others have changed."""
    same, changed = _with(measurement, "same"), _with(measurement, "changed")
    if not same or not changed:
        return
    entries = sum(each.tally.count for each in same)
    share = entries / sum(each.tally.count for each in measurement.layers)
    yield Sighting(
        FROZEN,
        None,
        f"{len(same)} of {len(measurement.layers)} layers, {100 * share:.1f} % of their entries, "
        "are those of the base",
        extent=entries,
        evidence={"layers": len(same), "entries": entries, "share": share},
    )


def rounding_only(measurement: Measurement) -> Iterator[Sighting]:
    """Finds that the whole model differs from its base by rounding alone."""
    found = measurement.comparison
    rounded = _with(measurement, "rounded")
    if found is None or found.verdict != "same weights" or not rounded:
        return
    yield Sighting(
        ROUNDING_ONLY,
        None,
        f"{len(rounded)} of {len(measurement.layers)} layers are the base's, rounded",
        extent=len(rounded),
        evidence={"layers": len(rounded), "distance": found.distance},
    )


def _with(measurement: Measurement, status: str) -> list[LayerMeasurement]:
    return [each for each in measurement.layers if each.change and each.change.status == status]
