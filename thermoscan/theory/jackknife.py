"""Delete-a-group jackknife: how far an estimate from a sample may be from the whole (theory, 7).

Takes an estimate from all groups of a sample and the same with each group left out in turn; gives
standard errors and intervals. Knows nothing of what is estimated.

Replicates are *drawn in*: their distance from the estimate is multiplied by the square root of the
share that was not read, which is the correction for a finite population; what is read whole has no
error. Sums over several samples may then be formed replicate by replicate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

GROUPS = 20
T_QUANTILE = 2.0930240544082634
"""The 97.5 % quantile of Student's t with ``GROUPS - 1`` degrees of freedom."""

CONFIDENCE = 0.95

Interval = tuple[float, float]


def error(estimate: float, without: Sequence[float]) -> float:
    """Returns the standard error of an estimate.

    Args:
        estimate: From all groups.
        without: With each of `GROUPS` groups left out in turn, drawn in.

    >>> values = np.arange(20.0)
    >>> means = [(values.sum() - each) / 19 for each in values]
    >>> round(error(values.mean(), means), 6) == round(values.std(ddof=1) / 20**0.5, 6)
    True
    """
    return math.sqrt(covariance((estimate, without), (estimate, without)))


def covariance(one: tuple[float, Sequence[float]], other: tuple[float, Sequence[float]]) -> float:
    """Returns the covariance of two estimates, each given with its replicates."""
    a, b = (np.asarray(without) - np.mean(without) for _, without in (one, other))
    return float((GROUPS - 1) / GROUPS * (a @ b))


def bias(estimate: float, without: Sequence[float], share: float) -> float:
    """Returns by how much an estimate is above what the whole would give, to first order in 1/n.

    Args:
        estimate: From all groups.
        without: As in `error`, drawn in for the share that was read.
        share: That was read, of the whole.
    """
    return math.sqrt(1 - share) * (GROUPS - 1) * (float(np.mean(without)) - estimate)


def interval(estimate: float, error: float, systematic: float = 0.0) -> Interval:
    """Returns the 95 % interval about an estimate with a random and a systematic error."""
    half = T_QUANTILE * math.hypot(error, systematic)
    return estimate - half, estimate + half


def ratio_interval(
    above: tuple[float, float], below: tuple[float, float], covariance: float
) -> Interval | None:
    """Returns Fieller's 95 % interval of a ratio; None where its denominator may be 0.

    Args:
        above: The numerator and its standard error.
        below: The denominator and its standard error.
        covariance: Of both.

    >>> ratio_interval((2.0, 0.0), (1.0, 0.0), 0.0)
    (2.0, 2.0)
    """
    (a, error_a), (b, error_b) = above, below
    square = T_QUANTILE**2
    # All r for which a - r b is within its own interval of 0.
    lead = b * b - square * error_b**2
    if lead <= 0:
        return None
    middle = a * b - square * covariance
    root = math.sqrt(max(middle**2 - lead * (a * a - square * error_a**2), 0.0))
    return (middle - root) / lead, (middle + root) / lead
