"""Values that are broken or stuck: not finite, all the same, piled up at a limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thermoscan.anatomy.model import Role
from thermoscan.dtypes import DType
from thermoscan.findings.kinds import ERROR, WARNING, Kind, Sighting, figure

if TYPE_CHECKING:
    from thermoscan.scanner.measurement import LayerMeasurement, Measurement
    from thermoscan.tally.record import Tally

PILED_UP = 10
"""An outermost cell that holds this many times what the cells beside it suggest was clipped to."""

_LARGEST = {
    DType.F16: 65504.0,
    DType.BF16: 3.3895313892515355e38,
    DType.F32: 3.4028234663852886e38,
    DType.F64: 1.7976931348623157e308,
}
"""Largest finite value; not of 8-bit types, whose tensors are scaled to reach it on purpose."""

NON_FINITE = Kind(
    "non-finite",
    ERROR,
    "NaN or infinity in a weight spreads to every output that it touches: training diverged, a "
    "conversion overflowed, or the file is damaged.",
    "Do not use the checkpoint. Go back to an earlier one, or convert again in a wider type.",
)
CONSTANT = Kind(
    "constant",
    WARNING,
    "A matrix whose entries are all the same passes on one number at most: it was never trained, "
    "was reset, or was lost when the checkpoint was written.",
    "Compare with the checkpoint it was made from. Where the architecture starts it at zero, it "
    "has not been trained since.",
)
SATURATED = Kind(
    "saturated",
    WARNING,
    "Values were clipped: what would have been larger sits on the limit, and its size is lost.",
    "Look for weight clipping in training, or for a cast to a type of smaller range; convert "
    "again from the original.",
)


def varies(tally: Tally) -> bool:
    """Says whether there are finite entries that differ."""
    return tally.moments.minimum < tally.moments.maximum


def non_finite(measurement: Measurement) -> Iterator[Sighting]:
    """Finds NaN and infinities, in layers and in vectors; infinities in a buffer are a mask."""
    for layer in measurement.layers:
        yield from _non_finite(layer.layer.name, layer.tally, layer.tally.infinite, layer.digest)
    for vector in measurement.vectors:
        infinite = 0 if vector.recorded.role is Role.BUFFER else vector.tally.infinite
        yield from _non_finite(vector.recorded.tensor, vector.tally, infinite, vector.digest)


def _non_finite(name: str, tally: Tally, infinite: int, digest: str | None) -> Iterator[Sighting]:
    if tally.nan or infinite:
        seen = "" if digest else "at least "
        yield Sighting(
            NON_FINITE,
            name,
            f"{seen}{tally.nan:,} of {tally.count:,} values are NaN and {infinite:,} are infinite",
            extent=tally.nan + infinite,
            evidence={"nan": tally.nan, "infinite": infinite, "values": tally.count},
        )


def constant(measurement: Measurement) -> Iterator[Sighting]:
    """Finds matrices whose entries are all the same."""
    for each in measurement.layers:
        moments = each.tally.moments
        if moments.count == each.tally.count > 1 and not varies(each.tally):
            value = moments.minimum
            yield Sighting(
                CONSTANT,
                each.layer.name,
                f"all {each.tally.count:,} entries are {figure(value)}",
                extent=each.tally.count,
                evidence={"value": value, "entries": each.tally.count},
            )


def saturated(measurement: Measurement) -> Iterator[Sighting]:
    """Finds values that pile up at a layer's own extremes, or reach the largest of their type."""
    for each in measurement.layers:
        if varies(each.tally):
            sighting = _at_type_limit(each) or _piled_up(each)
            if sighting:
                yield sighting


def _at_type_limit(each: LayerMeasurement) -> Sighting | None:
    largest = _LARGEST.get(each.tensor.dtype)
    moments = each.tally.moments
    if largest is not None and max(abs(moments.minimum), abs(moments.maximum)) == largest:
        return Sighting(
            SATURATED,
            each.layer.name,
            f"the largest value is {figure(largest)}, the limit of its type",
            extent=float("inf"),
            evidence={"largest": largest, "type": each.tensor.dtype.label},
        )
    return None


def _piled_up(each: LayerMeasurement) -> Sighting | None:
    tally = each.tally
    # Zeros at the end of a one-sided range are sparsity, not a limit.
    one_sided = 0.0 in (tally.moments.minimum, tally.moments.maximum)
    found = tally.at_extremes - (tally.zeros if one_sided else 0)
    if found > PILED_UP * max(tally.near_extremes, 1.0):
        return Sighting(
            SATURATED,
            each.layer.name,
            f"{found:,} values sit at the extremes {figure(tally.moments.minimum)} and "
            f"{figure(tally.moments.maximum)}, where {figure(tally.near_extremes)} are expected",
            extent=found / max(tally.near_extremes, 1.0),
            evidence={
                "at_extremes": found,
                "expected": tally.near_extremes,
                "minimum": tally.moments.minimum,
                "maximum": tally.moments.maximum,
            },
        )
    return None
