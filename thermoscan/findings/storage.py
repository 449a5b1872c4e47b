"""What the stored type costs: few distinct values, trailing zeros, compressible bits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from thermoscan.dtypes import DType
from thermoscan.findings.kinds import INFO, Kind, Sighting, size
from thermoscan.findings.values import varies

if TYPE_CHECKING:
    from thermoscan.scanner.measurement import LayerMeasurement, Measurement

LEVELS = 256
"""Distinct values that one byte tells apart."""

PER_LEVEL = 16
"""Entries per distinct value from which on the values repeat by rule and not by chance."""

REPEATS = 0.10
"""Share of repeats within 64 values: a fifth with 8 bits to a row, a fiftieth in bfloat16."""

SAVING = 0.15
"""Share of the bytes that lossless coding must save to be worth a word."""

FEW_LEVELS = Kind(
    "few-levels",
    INFO,
    "A wide type holds a handful of distinct values: the layer was quantised and written back in "
    "full width. What quantisation rounded away is not restored by the type.",
    "Use the quantised original, or store codes and a scale; do not take it for full precision.",
)
WASTED_PRECISION = Kind(
    "wasted-precision",
    INFO,
    "The values went through a narrower type before they were stored: the trailing bits are all "
    "zero and carry nothing.",
    "Store them in the narrower type; nothing is lost.",
)
COMPRESSIBLE = Kind(
    "compressible",
    INFO,
    "The bit patterns are far from equally frequent, exponents above all, so that an entropy coder "
    "shrinks the file without loss.",
    "Where storage or transfer costs, use a lossless weight compressor; nothing is lost.",
)

_NAMES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


def few_levels(measurement: Measurement) -> Iterator[Sighting]:
    """Finds layers whose entries a byte could number: all, or in wide types those of each row."""
    for each in measurement.layers:
        if each.tensor.dtype.itemsize >= 2 and varies(each.tally):
            sighting = _few_in_all(each) or _few_in_a_row(each)
            if sighting:
                yield sighting


def _few_in_all(each: LayerMeasurement) -> Sighting | None:
    tally, levels = each.tally, each.tally.levels
    if levels is None or levels > LEVELS or tally.count - tally.zeros < PER_LEVEL * levels:
        return None
    bits = max(1, math.ceil(math.log2(levels)))
    return Sighting(
        FEW_LEVELS,
        each.layer.name,
        f"{levels} distinct values in {tally.count:,} entries: {bits} bits would tell "
        f"them apart, {8 * each.tensor.dtype.itemsize} are stored",
        extent=tally.count,
        evidence={"levels": levels, "entries": tally.count, "bits": bits},
    )


def _few_in_a_row(each: LayerMeasurement) -> Sighting | None:
    tally = each.tally
    if tally.repeats is None or tally.repeats < REPEATS or tally.fits:
        return None
    return Sighting(
        FEW_LEVELS,
        each.layer.name,
        f"{100 * tally.repeats:.0f} % of sampled values repeat another of the 64 around them, "
        "which hardly happens unless each row or group has few levels of its own",
        extent=tally.count,
        evidence={"repeats": tally.repeats, "entries": tally.count},
    )


def wasted_precision(measurement: Measurement) -> Iterator[Sighting]:
    """Finds 32- and 64-bit layers that fit a narrower type: all of them, else one by one."""
    wide = [each for each in measurement.layers if each.tensor.dtype.itemsize >= 4]
    fitting = [each for each in wide if each.tally.fits and varies(each.tally)]
    shared = set.intersection(*(set(each.tally.fits) for each in wide)) if wide else set()
    if fitting and shared and len(fitting) > 1:
        saved = sum(_saved(each) for each in wide)
        yield Sighting(
            WASTED_PRECISION,
            None,
            f"every value of all {len(wide)} matrices of 32 bits or more fits "
            f"{_named(shared)}; {size(saved)} of the file hold zeros",
            extent=saved,
            evidence={"layers": len(wide), "bytes_saved": saved},
        )
        return
    for each in fitting:
        saved = _saved(each)
        yield Sighting(
            WASTED_PRECISION,
            each.layer.name,
            f"every value fits {_named(set(each.tally.fits))}, which saves {size(saved)}",
            extent=saved,
            evidence={"fits": _named(set(each.tally.fits)), "bytes_saved": saved},
        )


def _saved(each: LayerMeasurement) -> int:
    narrow = min(DType[label].itemsize for label in each.tally.fits)
    return each.tally.count * (each.tensor.dtype.itemsize - narrow)


def _named(labels: set[str]) -> str:
    return " and ".join(_NAMES[label] for label in sorted(labels))


def compressible(measurement: Measurement) -> Iterator[Sighting]:
    """Finds models of 8- and 16-bit floats that an entropy coder would shrink.

    Wider types are left out: of their trailing bits only an upper bound of the entropy is known.
    """
    narrow = [each for each in measurement.layers if each.tensor.dtype.itemsize <= 2]
    now = sum(each.tally.count * each.tensor.dtype.itemsize for each in narrow)
    coded = sum(each.tally.count * each.tally.bits for each in narrow) / 8
    if now and coded <= (1 - SAVING) * now:
        yield Sighting(
            COMPRESSIBLE,
            None,
            f"{size(now)} of weights hold {size(coded)} of information: lossless coding saves up "
            f"to {100 * (1 - coded / now):.0f} %",
            extent=now - coded,
            evidence={"bytes": now, "bytes_at_entropy": round(coded), "layers": len(narrow)},
        )
