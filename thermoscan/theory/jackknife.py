"""Delete-a-group jackknife: how far an estimate from a sample may be from the whole (theory, 7).

A sample consists of `GROUPS` groups, each a sample of the whole by itself. What is estimated is
given as an array ``(1 + GROUPS,)``: the estimate from all groups, then the *replicates*, with each
group left out in turn. Gives standard errors and intervals. Knows nothing of what is estimated.

Replicates that are *drawn in* have their distance from the estimate multiplied by the square root
of the share that was not read, the correction for a finite population: what is read whole has no
error. Of drawn-in replicates of several samples, sums and ratios are formed replicate by replicate.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

GROUPS = 20
CONFIDENCE = 0.95
T_QUANTILE = 2.093024054408263
"""The 97.5 % quantile of Student's t with ``GROUPS - 1`` degrees of freedom."""

Interval = tuple[float, float]


def drawn_in(values: FloatArray, share: float) -> FloatArray:
    """Returns an estimate and its replicates, drawn in for the share that was read."""
    drawn: FloatArray = values[0] + np.sqrt(1 - share) * (values - values[0])
    return drawn


def error(values: FloatArray) -> float:
    """Returns the standard error of an estimate with these replicates.

    >>> draws = np.arange(20.0)
    >>> means = (draws.sum() - draws) / 19
    >>> one, other = error(np.append(draws.mean(), means)), draws.std(ddof=1) / 20**0.5
    >>> bool(abs(one - other) < 1e-12)
    True
    """
    return math.sqrt(covariance(values, values))


def covariance(one: FloatArray, other: FloatArray) -> float:
    """Returns the covariance of two estimates with these replicates."""
    a, b = (values[1:] - values[1:].mean() for values in (one, other))
    return float((GROUPS - 1) / GROUPS * (a @ b))


def bias(values: FloatArray, share: float) -> float:
    """Returns by how much an estimate is above what the whole would give, to first order in 1/n.

    Args:
        values: With replicates that are not drawn in.
        share: That was read, of the whole.
    """
    return float((1 - share) * (GROUPS - 1) * (values[1:].mean() - values[0]))


def interval(values: FloatArray, systematic: float = 0.0) -> Interval:
    """Returns the 95 % interval of an estimate with these replicates.

    Args:
        values: With replicates drawn in.
        systematic: An error that all of them share.
    """
    half = T_QUANTILE * math.hypot(error(values), systematic)
    return float(values[0]) - half, float(values[0]) + half


def ratio_interval(
    above: FloatArray, below: FloatArray, systematic: float = 0.0
) -> Interval | None:
    """Returns Fieller's 95 % interval of a ratio; None where its denominator may be 0.

    It holds all r for which ``above - r·below`` is within its own interval of 0 (Fieller, 1954).

    Args:
        above: The numerator, with replicates drawn in.
        below: The denominator, the same.
        systematic: An error of the denominator that all of them share.

    >>> ratio_interval(np.full(21, 3.0), np.full(21, 2.0))
    (1.5, 1.5)
    """
    a, b, square = float(above[0]), float(below[0]), T_QUANTILE**2
    lead = b * b - square * (covariance(below, below) + systematic**2)
    if lead <= 0:
        return None
    middle = a * b - square * covariance(above, below)
    root = math.sqrt(max(middle**2 - lead * (a * a - square * covariance(above, above)), 0.0))
    return (middle - root) / lead, (middle + root) / lead
