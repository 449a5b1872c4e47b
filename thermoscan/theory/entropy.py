"""Differential and discrete entropy from a histogram in log-spaced cells (theory section 6).

Takes counts per signed magnitude code and the edges of the codes; gives `Entropy` values. Knows
nothing of files or element types.

The estimator is ``s = -Σ p ln(p/Δ) + (K-1)/2n`` with Miller and Madow's correction for K occupied
cells. Cells are ``2^b`` to an octave and sign, and b is chosen for every octave from its own count:
as fine as leaves `_PER_CELL` elements to a cell. So a spread that is small against its mean gets
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

MINIMUM_CELLS = 8
_PER_CELL = 32


@dataclass(frozen=True, slots=True)
class Entropy:
    """An estimate of differential entropy: value and standard error, nats per parameter."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Codes:
    """A histogram by signed magnitude code.

    Attributes:
        signed: int64 ``(cells,)``, rising: the sign times the magnitude code; 0 is the cell around
            zero.
        counts: int64 ``(cells,)``: elements per code, none of them 0.
        edges: float64: magnitude code k covers ``edges[k]`` to ``edges[k + 1]``.
        octave_bits: Codes per octave are two to this power.
    """

    signed: IntArray
    counts: IntArray
    edges: FloatArray
    octave_bits: int


def discrete_entropy(counts: IntArray) -> float:
    """Returns the Shannon entropy of a histogram in bits per element; 0 for an empty one.

    >>> discrete_entropy(np.array([5, 5, 5, 5]))
    2.0
    """
    n = counts.sum()
    if not n:
        return 0.0
    p = counts[counts > 0] / n
    return abs(float(-(p * np.log2(p)).sum()))


def differential_entropy(codes: Codes, minimum: float, maximum: float) -> Entropy | None:
    """Estimates the differential entropy of the elements behind a histogram.

    Args:
        codes: The histogram.
        minimum: The lower end of the observed values.
        maximum: The upper end of the observed values.

    Returns:
        The estimate; None where fewer than `MINIMUM_CELLS` codes are occupied, so that nothing is
        known of the distribution within them.
    """
    if len(codes.signed) < MINIMUM_CELLS:
        return None
    fine, bits = _coarsen(codes, _bits_per_octave(codes))
    value, sampling = _estimate(_widths(fine, bits, minimum, maximum), fine.counts)
    coarse, bits = _coarsen(fine, np.maximum(bits - 1, 0))
    coarser, _ = _estimate(_widths(coarse, bits, minimum, maximum), coarse.counts)
    return Entropy(value=value, error=math.hypot(sampling, (coarser - value) / 3))


def _bits_per_octave(codes: Codes) -> IntArray:
    """Returns, for every code, how many bits resolve its octave."""
    octave = np.sign(codes.signed) * (np.abs(codes.signed) >> codes.octave_bits)
    starts = _starts(octave)
    elements = np.add.reduceat(codes.counts, starts)
    bits = np.log2(np.maximum(elements / _PER_CELL, 1)).astype(np.int64)
    return np.repeat(np.minimum(bits, codes.octave_bits), np.diff([*starts, len(octave)]))


def _coarsen(codes: Codes, bits: IntArray) -> tuple[Codes, IntArray]:
    """Returns the cells that so many bits per octave make of the codes, each by its first code."""
    shift = codes.octave_bits - bits
    first = np.sign(codes.signed) * (np.abs(codes.signed) >> shift << shift)
    starts = _starts(first)
    counts = np.add.reduceat(codes.counts, starts)
    return Codes(first[starts], counts, codes.edges, codes.octave_bits), bits[starts]


def _widths(cells: Codes, bits: IntArray, minimum: float, maximum: float) -> FloatArray:
    """Returns the widths of cells that `_coarsen` made."""
    first = np.abs(cells.signed)
    near = cells.edges[first]
    last = first + (1 << (cells.octave_bits - bits))
    far = cells.edges[np.minimum(last, len(cells.edges) - 1)]
    full: FloatArray = np.where(first == 0, 2 * far, far - near)
    widths = full.copy()
    for outermost, extreme, side in ((0, -minimum, -1), (-1, maximum, 1)):
        # The inner edge, counted towards the extreme.
        outward = cells.signed[outermost] * side > 0
        inner = near[outermost] if outward else -far[outermost]
        # k elements of a uniform cell reach k / (k + 1) of the way to its end, on average.
        k = cells.counts[outermost]
        reach = max((extreme - inner) * (k + 1) / k, 1e-6 * full[outermost])
        widths[outermost] = min(full[outermost], reach)
    return widths


def _starts(keys: IntArray) -> IntArray:
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))


def _estimate(widths: FloatArray, counts: IntArray) -> tuple[float, float]:
    n = counts.sum()
    p = counts / n
    surprise = -np.log(p / widths)
    mean = float((p * surprise).sum())
    variance = max(float((p * surprise**2).sum()) - mean**2, 0.0)
    return mean + (len(counts) - 1) / (2 * float(n)), math.sqrt(variance / float(n))
