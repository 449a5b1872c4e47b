"""The largest eigenvalue of a real Gaussian matrix: the Tracy-Widom law (docs/spectra.md).

The largest eigenvalue of W Wᵀ, for an M x N matrix of variance T per entry, is about
``T (centre + scale · s)``, with s distributed by the Tracy-Widom law of order 1.

C. A. Tracy and H. Widom, Comm. Math. Phys. 177 (1996) 727, https://doi.org/10.1007/BF02099545;
I. M. Johnstone, Ann. Statist. 29 (2001) 295, https://doi.org/10.1214/aos/1009210544
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from thermoscan.theory.entropy import FloatArray
from thermoscan.theory.gaussian import normal_cdf

_RANGE = 6.0
"""Normal deviates between which the law is known here: one in 10⁹ lies beyond."""

#: The law's quantile at probability Φ(z), as a Chebyshev series in z / _RANGE. Fitted at 60
#: nodes to F(s) = det(1 - K), K(x, y) = Ai(x + y + s) on the positive half line (P. L. Ferrari and
#: H. Spohn, J. Phys. A 38 (2005) L557), by Gauss-Legendre quadrature. Off by less than 1e-6.
_QUANTILE = (
    -0.239308104,
    7.88402357,
    0.999613566,
    0.0947887885,
    -0.0273030175,
    -0.00971450664,
    0.00224833767,
    0.0017072638,
    -0.000155081043,
    -0.000348630312,
    -2.46193664e-05,
    7.17237269e-05,
    1.87360948e-05,
    -1.33453571e-05,
    -7.21136454e-06,
    1.82857648e-06,
    2.2119258e-06,
    9.49305414e-09,
    -5.7506059e-07,
)


@cache
def quantile(probability: float) -> float:
    """Returns the s that the law stays below with this probability.

    >>> round(quantile(0.95), 4), round(quantile(0.99), 4)
    (0.9793, 2.0234)
    """
    tiny = NormalDist().cdf(-_RANGE)
    deviate = NormalDist().inv_cdf(min(max(probability, tiny), 1 - tiny))
    return float(_of_deviate(np.array(deviate)))


@dataclass(frozen=True, slots=True)
class Fluctuation:
    """Mean and standard deviation of the largest of several independent Tracy-Widom values."""

    mean: float
    deviation: float


@cache
def largest_of(count: int) -> Fluctuation:
    """Returns how the largest of `count` independent values of the law is distributed.

    >>> one = largest_of(1)
    >>> round(one.mean, 3), round(one.deviation, 3)
    (-1.207, 1.268)
    """
    deviates = np.linspace(-_RANGE, _RANGE, 2001)
    share = np.diff(normal_cdf(deviates) ** count)
    at = _of_deviate((deviates[1:] + deviates[:-1]) / 2)
    mean = float(share @ at / share.sum())
    return Fluctuation(mean, math.sqrt(float(share @ (at - mean) ** 2 / share.sum())))


@dataclass(frozen=True, slots=True)
class Edge:
    """Where the largest eigenvalue of a matrix of temperature 1 lies, and how far it fluctuates.

    Attributes:
        centre: Where the law's 0 is.
        scale: The length of its unit.
    """

    centre: float
    scale: float

    @classmethod
    def of(cls, rows: float, columns: float) -> Edge:
        """Returns the edge of a matrix of this shape.

        N - ½ and M - ½ instead of Johnstone's N - 1 and M leave an error of order M^(-2/3) instead
        of M^(-1/3) (Z. Ma, Bernoulli 18 (2012) 322, https://doi.org/10.3150/10-BEJ334).

        Args:
            rows: N.
            columns: M, at least 1.
        """
        n, m = math.sqrt(rows - 0.5), math.sqrt(columns - 0.5)
        return cls((n + m) ** 2, (n + m) * (1 / n + 1 / m) ** (1 / 3))

    def quantile(self, probability: float) -> float:
        """Returns what the largest eigenvalue stays below with this probability."""
        return self.centre + self.scale * quantile(probability)


def _of_deviate(deviate: FloatArray) -> FloatArray:
    return np.asarray(np.polynomial.chebyshev.chebval(deviate / _RANGE, _QUANTILE), np.float64)
