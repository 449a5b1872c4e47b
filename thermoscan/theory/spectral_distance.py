"""Distances between two spectra of equally many values (docs/spectra.md)."""

from __future__ import annotations

import numpy as np

from thermoscan.theory.entropy import FloatArray


def jensen_shannon(first: FloatArray, second: FloatArray) -> float:
    """Returns the Jensen-Shannon distance of two lists of eigenvalues, each over its sum.

    Args:
        first: Eigenvalues, ascending, float64, none below 0, not all 0.
        second: As many.

    Returns:
        Between 0 and √ln 2.

    >>> jensen_shannon(np.array([0.0, 1.0]), np.array([0.0, 5.0]))
    0.0
    >>> round(jensen_shannon(np.array([0.0, 1.0]), np.array([1.0, 0.0])) ** 2, 6)  # ln 2
    0.693147
    """
    shares = [each / each.sum() for each in (first, second)]
    middle = (shares[0] + shares[1]) / 2
    divergence = sum(float(_weighted(each, middle).sum()) for each in shares) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def _weighted(share: FloatArray, middle: FloatArray) -> FloatArray:
    """``p ln(p / m)``, 0 where p is, and where half of it is too small for a float."""
    some = (share > 0) & (middle > 0)
    found: FloatArray = share[some] * np.log(share[some] / middle[some])
    return found
