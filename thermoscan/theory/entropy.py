"""Differential and discrete entropy from a histogram in log-spaced cells (theory section 6).

Takes counts per signed magnitude code and the edges of the codes; gives `Entropy` values. Knows
nothing of files or element types.

The estimator is ``s = -Σ p ln(p/Δ) + (K-1)/2n`` with Miller and Madow's correction for K occupied
cells. Cells are ``2^b`` to an octave and sign, and b is chosen for every octave from its own count:
as fine as leaves `PER_CELL` elements to a cell. So a spread that is small against its mean gets
the finest cells there are, and a thin tail or the octaves next to zero get one cell each, where the
correction still holds. The outermost cells end where the observed values end.

The error is the sampling error ``sqrt(Var(ln p/Δ) / n)`` and a third of the change that halving
every octave's cells makes: the bias of cells of width Δ goes with Δ², so that third is what is left
of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
CountArray = IntArray | FloatArray
"""Elements per cell; not whole numbers where elements have weights."""

MINIMUM_CELLS = 8
PER_CELL = 32
"""Elements that a cell should hold: an octave gets as many cells as it has elements for."""


@dataclass(frozen=True, slots=True)
class Entropy:
    """An estimate of differential entropy, nats per parameter.

    Attributes:
        value: The estimate.
        error: Its standard error.
        resolution: The part of `error` that the width of the cells leaves; other elements drawn in
            the same way share it.
        correction: Miller and Madow's, which is a part of `value`.
    """

    value: float
    error: float
    resolution: float = 0.0
    correction: float = 0.0


@dataclass(frozen=True, slots=True)
class Codes:
    """A histogram by signed magnitude code.

    Attributes:
        signed: int64 ``(cells,)``, rising: the sign times the magnitude code; 0 is the cell around
            zero.
        counts: ``(cells,)``: elements per code, none of them 0.
        edges: float64: magnitude code k covers ``edges[k]`` to ``edges[k + 1]``.
        octave_bits: Codes per octave are two to this power.
    """

    signed: IntArray
    counts: CountArray
    edges: FloatArray
    octave_bits: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram with the range of the values in it: from `minimum` to `maximum`."""

    codes: Codes
    minimum: float
    maximum: float


def discrete_entropy(counts: CountArray) -> float:
    """Returns the Shannon entropy of a histogram in bits per element; 0 for an empty one.

    >>> discrete_entropy(np.array([5, 5, 5, 5]))
    2.0
    """
    n = counts.sum()
    if not n:
        return 0.0
    p = counts[counts > 0] / n
    return abs(float(-(p * np.log2(p)).sum()))


def differential_entropy(histogram: Histogram) -> Entropy | None:
    """Estimates the differential entropy of the elements behind a histogram.

    Returns:
        The estimate; None where fewer than `MINIMUM_CELLS` codes are occupied, so that nothing is
        known of the distribution within them.
    """
    codes = histogram.codes
    if len(codes.signed) < MINIMUM_CELLS:
        return None
    bits = _bits_per_octave(codes)
    fine = cells_of(codes, bits)
    value, sampling = estimate(widths(fine, histogram), fine.counts)
    correction = _correction(fine.counts)
    coarse = cells_of(codes, np.maximum(bits - 1, 0))
    coarser, _ = estimate(widths(coarse, histogram), coarse.counts)
    resolution = abs(coarser - value) / 3
    return Entropy(value, math.hypot(sampling, resolution), resolution, correction)


def _bits_per_octave(codes: Codes) -> IntArray:
    """Returns, for every code, how many bits resolve its octave."""
    octave = np.sign(codes.signed) * (np.abs(codes.signed) >> codes.octave_bits)
    first = starts(octave)
    elements = np.add.reduceat(codes.counts, first)
    bits = np.log2(np.maximum(elements / PER_CELL, 1)).astype(np.int64)
    return np.repeat(np.minimum(bits, codes.octave_bits), np.diff([*first, len(octave)]))


@dataclass(frozen=True, slots=True)
class Cells:
    """Codes put together to cells.

    Attributes:
        first: int64 ``(cells,)``, rising: each cell by its code next to zero.
        counts: Elements per cell.
        near: float64: magnitude at which the cell begins.
        far: float64: magnitude at which it ends.
    """

    first: IntArray
    counts: CountArray
    near: FloatArray
    far: FloatArray


def cells_of(codes: Codes, bits: IntArray) -> Cells:
    """Returns the cells that so many bits per octave, given for every code, make of the codes."""
    shift = codes.octave_bits - bits
    first = np.sign(codes.signed) * (np.abs(codes.signed) >> shift << shift)
    begin = starts(first)
    counts = np.add.reduceat(codes.counts, begin)
    magnitude = np.abs(first[begin])
    last = np.minimum(magnitude + (1 << shift[begin]), len(codes.edges) - 1)
    return Cells(first[begin], counts, codes.edges[magnitude], codes.edges[last])


def widths(cells: Cells, histogram: Histogram) -> FloatArray:
    """Returns the widths of cells; the outermost ones end where the observed values end."""
    full: FloatArray = np.where(cells.first == 0, 2 * cells.far, cells.far - cells.near)
    found = full.copy()
    for outermost, extreme, side in ((0, -histogram.minimum, -1), (-1, histogram.maximum, 1)):
        # The inner edge, counted towards the extreme.
        outward = cells.first[outermost] * side > 0
        inner = cells.near[outermost] if outward else -cells.far[outermost]
        # k elements of a uniform cell reach k / (k + 1) of the way to its end, on average.
        k = cells.counts[outermost]
        reach = max((extreme - inner) * (k + 1) / k, 1e-6 * full[outermost])
        found[outermost] = min(full[outermost], reach)
    return found


def starts(keys: IntArray) -> IntArray:
    """Returns where each run of equal keys begins."""
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))


def estimate(widths: FloatArray, counts: CountArray) -> tuple[float, float]:
    """Returns entropy and sampling error of elements in cells of these widths, nats."""
    n = counts.sum()
    p = counts / n
    surprise = -np.log(p / widths)
    mean = float((p * surprise).sum())
    variance = max(float((p * surprise**2).sum()) - mean**2, 0.0)
    return mean + _correction(counts), math.sqrt(variance / float(n))


def _correction(counts: CountArray) -> float:
    """Miller and Madow's; a cell that holds only elements of small weight is occupied as little."""
    occupied = float(np.minimum(counts, 1).sum())
    return (occupied - 1) / (2 * float(counts.sum()))
