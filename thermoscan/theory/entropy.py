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
    bits = _bits_per_octave(codes)
    value, sampling = _estimate(*_coarsen(codes, bits, minimum, maximum))
    coarser, _ = _estimate(*_coarsen(codes, np.maximum(bits - 1, 0), minimum, maximum))
    return Entropy(value=value, error=math.hypot(sampling, (coarser - value) / 3))


def _bits_per_octave(codes: Codes) -> IntArray:
    """Returns, for every code, how many bits resolve its octave."""
    octave = np.sign(codes.signed) * (np.abs(codes.signed) >> codes.octave_bits)
    starts = _starts(octave)
    elements = np.add.reduceat(codes.counts, starts)
    bits = np.log2(np.maximum(elements / _PER_CELL, 1)).astype(np.int64)
    return np.repeat(np.minimum(bits, codes.octave_bits), np.diff([*starts, len(octave)]))


def _coarsen(
    codes: Codes, bits: IntArray, minimum: float, maximum: float
) -> tuple[FloatArray, IntArray]:
    """Returns the widths and counts of the cells that group the codes."""
    shift = codes.octave_bits - bits
    sign = np.sign(codes.signed)
    first = np.abs(codes.signed) >> shift << shift
    starts = _starts(sign * first)
    counts = np.add.reduceat(codes.counts, starts)
    first, shift = first[starts], shift[starts]
    sign = np.where(first == 0, 0, sign[starts])
    near = codes.edges[first]
    far = codes.edges[np.minimum(first + (1 << shift), len(codes.edges) - 1)]
    low = np.where(sign > 0, near, -far)
    high = np.where(sign < 0, -near, far)
    full = high - low
    low[0] = max(low[0], minimum)
    high[-1] = min(high[-1], maximum)
    widths = high - low
    for outermost in (0, -1):
        # k elements of a uniform cell reach k / (k + 1) of the way to its end, on average.
        k = counts[outermost]
        reach = max(widths[outermost] * (k + 1) / k, 1e-6 * full[outermost])
        widths[outermost] = min(full[outermost], reach)
    return widths, counts


def _starts(keys: IntArray) -> IntArray:
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))


def _estimate(widths: FloatArray, counts: IntArray) -> tuple[float, float]:
    n = counts.sum()
    p = counts / n
    surprise = -np.log(p / widths)
    mean = float((p * surprise).sum())
    variance = max(float((p * surprise**2).sum()) - mean**2, 0.0)
    return mean + (len(counts) - 1) / (2 * float(n)), math.sqrt(variance / float(n))
