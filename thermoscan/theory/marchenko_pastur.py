"""The spectrum of a Gaussian matrix: the law of Marchenko and Pastur (docs/spectra.md).

Of an M x N matrix W whose entries are independent with mean 0 and variance T, M ≤ N, the M
eigenvalues x of W Wᵀ lie, for large M and N, between ``T (√N - √M)²`` and ``T (√N + √M)²``. With
``r = √(M/N)`` and ``x = T N (1 + r² + 2 r cos θ)`` every figure of the law is elementary in θ.

V. A. Marchenko and L. A. Pastur, Math. USSR Sb. 1 (1967) 457,
https://doi.org/10.1070/SM1967v001n04ABEH001994
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thermoscan.theory.entropy import FloatArray

_SECTIONS, _CUTS = 64, 10
"""Into how many parts an interval of width π is cut, and how often: what is left of it is below the
resolution of float64."""


@dataclass(frozen=True, slots=True)
class MarchenkoPastur:
    """The law at one shape and temperature.

    Attributes:
        rows: N, the larger side; not an integer where it is a mean.
        columns: M, the smaller side, positive.
        temperature: T, the variance of an entry, squared weight units; positive.
    """

    rows: float
    columns: float
    temperature: float

    @property
    def root_ratio(self) -> float:
        """``r = √(M/N)``."""
        return math.sqrt(self.columns / self.rows)

    @property
    def mean(self) -> float:
        """``E[x] = T N``."""
        return self.temperature * self.rows

    @property
    def edges(self) -> tuple[float, float]:
        """``T (√N - √M)²`` and ``T (√N + √M)²``."""
        low, high = ((1 + sign * self.root_ratio) ** 2 * self.mean for sign in (-1, 1))
        return low, high

    def density(self, x: FloatArray) -> FloatArray:
        """Returns ``√((x - low)(high - x)) / (2π T M x)``, 0 outside of the edges."""
        low, high = self.edges
        inside = (x > low) & (x < high)
        at = np.where(inside, x, high)
        root = np.sqrt(np.maximum((at - low) * (high - at), 0.0))
        density: FloatArray = root / (2 * math.pi * self.temperature * self.columns * at)
        return density

    def cdf(self, x: FloatArray) -> FloatArray:
        """Returns the share of the eigenvalues up to x, elementwise, in closed form."""
        return 1 - self._above(self._angle(x))

    def quantile(self, share: FloatArray) -> FloatArray:
        """Returns the values up to which these shares of the eigenvalues lie, elementwise."""
        angle, width = np.zeros_like(share), math.pi
        for _ in range(_CUTS):
            width /= _SECTIONS
            ends = angle[..., None] + width * np.arange(1, _SECTIONS)
            angle += width * (self._above(ends) < 1 - share[..., None]).sum(axis=-1)
        r = self.root_ratio
        value: FloatArray = self.mean * (1 + r * r + 2 * r * np.cos(angle + width / 2))
        return value

    @property
    def mean_log(self) -> float:
        """``E[ln x] = ln T N - 1 - (1/r² - 1) ln(1 - r²)``.

        >>> round(MarchenkoPastur(rows=9, columns=9, temperature=1 / 9).mean_log, 12)
        -1.0
        """
        y = self.columns / self.rows
        rest = (1 / y - 1) * math.log1p(-y) if y < 1 else 0.0
        return math.log(self.mean) - 1 - rest

    @property
    def mean_x_log_x(self) -> float:
        """``E[x ln x] = T N (ln T N + r²/2)``."""
        return self.mean * (math.log(self.mean) + self.columns / self.rows / 2)

    @property
    def spectral_entropy(self) -> float:
        """``ln M - M/2N``: of M eigenvalues over their sum, nats; the same at every temperature.

        It is ``ln M E[x] - E[x ln x] / E[x]``, in the limit of a large matrix.

        >>> round(MarchenkoPastur(rows=400, columns=100, temperature=0.3).spectral_entropy, 6)
        4.48017
        """
        return math.log(self.columns) - self.columns / self.rows / 2

    def finite_spectral_entropy(self, matrices: int = 1) -> float:
        """Returns the spectral entropy of real matrices to the next order in 1/M, nats.

        The M eigenvalues of a real matrix are a quarter of one more at each edge, and half of one
        less between them, on the arcsine law: the next order of their density. By it the sum of
        ``s ln s``, with s = x/TN, is larger by
        ``½((1+r)² ln(1+r) + (1-r)² ln(1-r)) - r²``: r²/2 for small r, 0.386 for r = 1. The sum of
        all eigenvalues is independent of their shares, and fluctuates: that adds ``1/NM`` over the
        number of matrices. One eigenvalue alone has none.

        Args:
            matrices: How many matrices' eigenvalues are taken together, over their common sum.
        """
        if self.columns * matrices == 1:
            return 0.0
        r = self.root_ratio
        lower = (1 - r) ** 2 * math.log1p(-r) if r < 1 else 0.0
        more = ((1 + r) ** 2 * math.log1p(r) + lower) / 2 - r * r
        fluctuation = 1 / (self.rows * self.columns * matrices)
        return math.log(matrices) + self.spectral_entropy - more / self.columns + fluctuation

    @property
    def log_determinant(self) -> float:
        """``M E[ln x]``: of W Wᵀ, nats; it moves by M with ln T."""
        return self.columns * self.mean_log

    def _angle(self, x: FloatArray) -> FloatArray:
        """The θ of x; π below the lower edge and 0 above the upper one."""
        r = self.root_ratio
        angle: FloatArray = np.arccos(np.clip((x / self.mean - 1 - r * r) / (2 * r), -1.0, 1.0))
        return angle

    def _above(self, angle: FloatArray) -> FloatArray:
        """The share above: ``2/π ∫₀^θ sin²t / (1 + r² + 2 r cos t) dt``."""
        r = self.root_ratio
        half = angle / 2
        turned = np.arctan2((1 - r) * np.sin(half), (1 + r) * np.cos(half))
        part = (1 + r * r) * angle / 2 - r * np.sin(angle) - (1 - r * r) * turned
        share: FloatArray = np.clip(part / (math.pi * r * r), 0.0, 1.0)
        return share
