"""Values that stand out among their peers: layers of one role, models of one architecture.

The centre is the median and the spread the median absolute deviation (MAD), so that the outliers do
not hide themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

FEWEST = 4
"""Peers below which nothing can be said of any of them."""

FALSE_ALARMS = 0.01
"""Share of groups of normally distributed peers in which any is called an outlier."""

NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution over its MAD."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """One value that stands out.

    Attributes:
        index: Its place among the values.
        offset: Its distance from the median.
        spreads: That distance in robust standard deviations, the value's own error included.
        median: Of all values.
    """

    index: int
    offset: float
    spreads: float
    median: float


def outliers(values: Sequence[float], errors: Sequence[float], least: float) -> tuple[Outlier, ...]:
    """Returns the values that stand out among their peers.

    A value does so where it is further than `least` from the median, and further than
    ``z · (1 + 10 / (n - 3))`` robust standard deviations, z being the normal quantile for which
    the farthest of n values passes with the probability `FALSE_ALARMS`. The factor behind z
    covers what a median absolute deviation of few values errs by, and was found by Monte Carlo.

    Args:
        values: Of all peers; fewer than `FEWEST` give no outliers.
        errors: Their standard errors; zeros where they are not known.
        least: Distance below which a difference is of no matter.
    """
    n = len(values)
    if n < FEWEST:
        return ()
    middle = median(values)
    deviation = NORMAL_MAD * median(abs(value - middle) for value in values)
    allowed = NormalDist().inv_cdf(1 - FALSE_ALARMS / (2 * n)) * (1 + 10 / (n - 3))
    found = []
    for index, (value, error) in enumerate(zip(values, errors, strict=True)):
        offset, spread = value - middle, math.hypot(deviation, error)
        if abs(offset) >= least and abs(offset) > allowed * spread:
            spreads = abs(offset) / spread if spread else math.inf
            found.append(Outlier(index, offset, spreads, middle))
    return tuple(found)
