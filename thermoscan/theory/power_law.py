"""The tail of a spectrum as a power law: where it begins, and its exponent (docs/spectra.md).

Density ∝ x^-alpha from `xmin` on; `alpha` by maximum likelihood, ``1 + n / Σ ln(x / xmin)``, and
`xmin` the value that makes the Kolmogorov-Smirnov distance D between tail and fit least (Clauset,
Shalizi and Newman, SIAM Review 51, 2009, https://doi.org/10.1137/070710111). Every value but the
last is tried, equal ones each by itself, as WeightWatcher 0.7.7 does. Of fewer than `FEW` values it
takes ``n - 1`` for n against the bias of alpha, and no tail of fewer than `SHORTEST`; where there
are fewer in all, it takes all of them for the tail. (It has a criterion of its own for these,
``D - 0.868 / √n``, computes it, and then takes the least D.) Not as there: a tail of equal values,
whose alpha it makes infinite, and of fewer than `SHORTEST` values its error, which is below 0.

Trying all of n values costs n²/2 powers. Here D is bounded first: as a maximum over the points of a
tail it is no less than the maximum over some of them. Where that is above a D that is known, the
tail cannot be the best, and it is let go unmeasured. The result is that of trying all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thermoscan.theory.entropy import FloatArray, IntArray
from thermoscan.theory.no_fit import NoFit

THRESHOLD = 1e-5
"""Values up to this are in no tail: WeightWatcher's, squared weight units."""

FEW = 20
SHORTEST = 8

TOO_FEW = NoFit("fewer than two eigenvalues are above the threshold of the fit")
ALL_EQUAL = NoFit("its eigenvalues are equal")

_COARSE = (16, 64, 512)
"""Points of a tail that bound its D: first of all tails, then of those that are left."""

_SLACK = 1e-9
"""Relative; more than rounding, so that no bound is above its own D."""

_BLOCK = 1 << 15
"""Points measured at once, so that the temporaries stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class PowerLawFit:
    """A power law, density ∝ x^-alpha from `xmin` on.

    Attributes:
        alpha: Exponent, above 1.
        sigma: Its standard error, ``(alpha - 1) / √n`` over the n values of the tail.
        distance: Kolmogorov-Smirnov distance between the tail and the fit.
        xmin: Where the tail begins: one of the values.
        xmax: The largest value.
        spikes: Values from `xmin` on; more than n where `xmin` is there repeatedly and the tail
            begins with a later one of its equals.
    """

    alpha: float
    sigma: float
    distance: float
    xmin: float
    xmax: float
    spikes: int


def fit_power_law(values: FloatArray) -> PowerLawFit | NoFit:
    """Returns the power law of the tail of a spectrum.

    Args:
        values: Eigenvalues, float64, ascending, finite, none below 0.

    Returns:
        The fit; `NoFit` where fewer than two values are above the threshold, or where those are the
        same but for rounding: a tail of equal values has no exponent.
    """
    tail = values[np.searchsorted(values, THRESHOLD, side="right") :]
    if tail.size < 2:
        return TOO_FEW
    tails = _Tails.of(tail)
    starts = tails.starts()
    if not starts.size:
        return ALL_EQUAL
    start, distance = _closest(tails, starts)
    alpha, xmin = 1 + float(tails.rates[start]), float(tail[start])
    return PowerLawFit(
        alpha=alpha,
        sigma=(alpha - 1) / math.sqrt(tail.size - start),
        distance=distance,
        xmin=xmin,
        xmax=float(tail[-1]),
        spikes=int(tail.size - np.searchsorted(tail, xmin)),
    )


@dataclass(frozen=True, slots=True)
class _Tails:
    """All tails of some values, each by the place where it begins.

    Attributes:
        logs: Natural logarithms of the values, ascending, ``(n,)``.
        rates: alpha - 1 of the tail that begins there, ``(n - 1,)``; infinite where it has no
            spread.
    """

    logs: FloatArray
    rates: FloatArray

    @classmethod
    def of(cls, values: FloatArray) -> _Tails:
        """Returns the tails of two values or more, ascending, above 0."""
        logs = np.log(values)
        above = np.arange(values.size - 1, 0, -1)
        # Σ ln(x / xmin) as the sum of what each step contributes to all that lie above it: no two
        # large numbers are subtracted, however many values there are.
        spreads = np.cumsum((np.diff(logs) * above)[::-1])[::-1]
        counts = above if values.size < FEW else above + 1
        with np.errstate(divide="ignore", over="ignore"):
            return cls(logs, counts / spreads)

    def starts(self) -> IntArray:
        """Where a tail may begin, ascending."""
        size = self.logs.size
        last = size - SHORTEST + 1 if size < FEW else size - 1
        tried = np.arange(min(max(last, 1), size - 1))
        # An eigenvalue is known to about n ε of the largest.
        resolution = size * np.finfo(np.float64).eps
        spread: IntArray = tried[self.logs[-1] - self.logs[tried] > resolution]
        return spread

    def distance(self, start: int) -> float:
        """Returns D of one tail."""
        place = np.arange(self.logs.size - start)
        fitted = 1 - np.exp(-self.rates[start] * (self.logs[start:] - self.logs[start]))
        return float(np.abs(fitted - place / place.size).max())

    def bounds(self, starts: IntArray, points: int) -> FloatArray:
        """Returns a lower bound of D of each tail: the maximum over so many of its points.

        Args:
            starts: Where the tails begin.
            points: How many points of each, evenly spaced.
        """
        found = np.empty(starts.size)
        height = max(1, _BLOCK // points)
        for at in range(0, starts.size, height):
            start = starts[at : at + height, None]
            count = self.logs.size - start
            place = np.arange(points) * count // points
            fitted = 1 - np.exp(-self.rates[start] * (self.logs[start + place] - self.logs[start]))
            found[at : at + height] = np.abs(fitted - place / count).max(axis=1)
        return found


def _closest(tails: _Tails, starts: IntArray) -> tuple[int, float]:
    """Returns where the tail begins that is closest to its fit, the first of equals, and its D."""
    least = math.inf
    for points in _COARSE:
        bounds = tails.bounds(starts, points)
        least = min(least, tails.distance(int(starts[bounds.argmin()])))
        left = bounds <= least * (1 + _SLACK)
        starts, bounds = starts[left], bounds[left]
    best = (math.inf, 0)
    for place in np.argsort(bounds):
        if bounds[place] > best[0] * (1 + _SLACK):
            break
        start = int(starts[place])
        best = min(best, (tails.distance(start), start))
    return best[1], best[0]
