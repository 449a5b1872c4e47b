"""The bulk of a spectrum, and what stands out of it: a fit of the law of Marchenko and Pastur.

Takes the eigenvalues of W Wᵀ of one M x N matrix, or of several together, M ≤ N (docs/spectra.md).
The matrix is taken as noise of one temperature and k directions of a signal, each of which takes a
row and a column with it. So (N - k)(M - k) degrees of freedom hold the energy of the other
eigenvalues, which gives the temperature; and k is how many lie above its edge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thermoscan.theory.entropy import FloatArray
from thermoscan.theory.marchenko_pastur import MarchenkoPastur
from thermoscan.theory.no_fit import NoFit
from thermoscan.theory.spectral_null import Shape, distance
from thermoscan.theory.tracy_widom import Edge

FEWEST = 8
"""Eigenvalues per matrix, zeros left out, below which there is no distribution to fit."""

FALSE_ALARMS = 0.01
"""How often a spectrum of noise alone has an outlier."""

SURE, POSSIBLE = 1e-4, 0.5
"""The same of the least and of the greatest number of outliers."""

ERRORS = 2.0
"""Standard errors of the temperature that these two allow for."""

TOO_FEW = NoFit("too few of its eigenvalues are not zero")
NO_BULK = NoFit("most of its eigenvalues would stand out of any bulk")


@dataclass(frozen=True, slots=True)
class BulkFit:
    """The law that fits a bulk, and what lies above it.

    Attributes:
        temperature: Variance of an entry of the noise, squared weight units.
        edge_low: Lower edge of the bulk.
        edge_high: Upper edge.
        soft_rank: ``edge_high / λ_max``.
        ordered_fraction: Share of the energy ``Σ λ`` that the outliers hold.
        outliers: Eigenvalues above what the largest of noise exceeds in `FALSE_ALARMS`.
        outliers_low: The same for `SURE`, at the temperature plus its errors.
        outliers_high: The same for `POSSIBLE`, at the temperature minus its errors.
        distance: Kolmogorov-Smirnov distance between the other eigenvalues and the law.
    """

    temperature: float
    edge_low: float
    edge_high: float
    soft_rank: float
    ordered_fraction: float
    outliers: int
    outliers_low: int
    outliers_high: int
    distance: float


def bulk_fit(values: FloatArray, shape: Shape) -> BulkFit | NoFit:
    """Returns the fit of a spectrum's bulk.

    Begins with the temperature of the whole and no outliers, and takes out what lies above the edge
    until nothing more does: the hottest bulk that agrees with itself. Eigenvalues that are zero are
    left out, and M becomes the number of the others: dead rows hold no noise.

    Args:
        values: The eigenvalues, ascending, of all matrices together.
        shape: Theirs.

    Returns:
        The fit; `NoFit` where too few values are not zero, and where most lie above the edge.
    """
    zero = float(values[-1]) * shape.columns * np.finfo(np.float64).eps
    kept = values[np.searchsorted(values, zero, "right") :]
    if kept.size < FEWEST * shape.matrices:
        return TOO_FEW
    energy = np.cumsum(kept)
    outliers = 0
    while 2 * outliers <= kept.size:
        noise = _Noise.beside(outliers, kept.size, shape)
        temperature = float(energy[-1 - outliers]) / noise.freedom
        above = _above(kept, temperature * noise.limit(FALSE_ALARMS))
        if above <= outliers:
            return _fit(kept, outliers, noise, temperature)
        outliers = above
    return NO_BULK


@dataclass(frozen=True, slots=True)
class _Noise:
    """The shape of the noise beside the outliers; not of integers where matrices share them."""

    rows: float
    columns: float
    matrices: int

    @classmethod
    def beside(cls, outliers: int, kept: int, shape: Shape) -> _Noise:
        taken = outliers / shape.matrices
        return cls(shape.rows - taken, kept / shape.matrices - taken, shape.matrices)

    @property
    def freedom(self) -> float:
        return self.rows * self.columns * self.matrices

    def limit(self, false_alarms: float) -> float:
        """What the largest eigenvalue exceeds so often, at temperature 1."""
        quantile = (1 - false_alarms) ** (1 / self.matrices)
        return Edge.of(self.rows, self.columns).quantile(quantile)


def _fit(kept: FloatArray, outliers: int, noise: _Noise, temperature: float) -> BulkFit:
    law = MarchenkoPastur(noise.rows, noise.columns, temperature)
    inside, outside = np.split(kept, [kept.size - outliers])
    margin = ERRORS * _error(inside, law, noise)
    least = _above(kept, temperature * (1 + margin) * noise.limit(SURE))
    most = _above(kept, temperature * (1 - margin) * noise.limit(POSSIBLE))
    low, high = law.edges
    return BulkFit(
        temperature=temperature,
        edge_low=low,
        edge_high=high,
        soft_rank=high / float(kept[-1]),
        ordered_fraction=float(outside.sum() / kept.sum()),
        outliers=outliers,
        outliers_low=min(least, outliers),
        outliers_high=max(most, outliers),
        distance=distance(inside, law),
    )


def _above(values: FloatArray, limit: float) -> int:
    return int(values.size - np.searchsorted(values, limit, "right"))


def _error(inside: FloatArray, law: MarchenkoPastur, noise: _Noise) -> float:
    """The relative error of the temperature: by chance, and by how badly the law fits.

    The latter is how far the temperature is off by which the medians would agree.
    """
    expected = float(law.quantile(np.array(0.5)))
    median = float(inside[(inside.size - 1) // 2] + inside[inside.size // 2]) / 2
    return math.hypot(math.sqrt(2 / noise.freedom), median / expected - 1)
