"""Rank correlations with bootstrap intervals, over everything or within groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_RESAMPLES = 2000
_FEWEST = 4

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's coefficient and its percentile bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def correlation(x: Sequence[float], y: Sequence[float], level: float = 0.95) -> Correlation | None:
    """Returns Spearman's coefficient of the pairs whose values are finite.

    Args:
        x: One value of each pair.
        y: The other.
        level: Of the interval.

    Returns:
        None where fewer than four pairs are finite or one side is constant.
    """
    from scipy import stats  # noqa: PLC0415 - heavy

    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    if len(first) < _FEWEST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    interval = stats.bootstrap(
        (first, second),
        _spearman,
        paired=True,
        n_resamples=_RESAMPLES,
        confidence_level=level,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return Correlation(float(_spearman(first, second)), float(interval.low), float(interval.high))


def within(values: Sequence[float], groups: Sequence[Any]) -> list[float]:
    """Returns each value's rank in its group, as a share of the group's size.

    >>> within([5.0, 7.0, 1.0, 9.0], ["a", "a", "b", "b"])
    [0.5, 1.0, 0.5, 1.0]
    """
    from scipy import stats  # noqa: PLC0415 - heavy

    ranks = np.zeros(len(values))
    for group in set(groups):
        mine = np.array([each == group for each in groups])
        ranks[mine] = stats.rankdata(np.asarray(values)[mine]) / mine.sum()
    return [float(each) for each in ranks]


def _spearman(x: Array, y: Array, axis: int = -1) -> Array:
    """Spearman's coefficient along an axis; 0 where a resample happens to be constant."""
    from scipy import stats  # noqa: PLC0415 - heavy

    first, second = (stats.rankdata(each, axis=axis) for each in (x, y))
    first = first - first.mean(axis, keepdims=True)
    second = second - second.mean(axis, keepdims=True)
    scale = np.sqrt((first**2).sum(axis) * (second**2).sum(axis))
    product: Array = (first * second).sum(axis)
    quotient: Array = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
    return quotient
