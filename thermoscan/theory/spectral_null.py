"""What a spectrum would be, were the matrix Gaussian at its own temperature and shape.

Takes the eigenvalues of W Wᵀ of one M x N matrix, or of several together, M ≤ N (docs/spectra.md).
Gives the law of Marchenko and Pastur at their temperature with what a largest eigenvalue fluctuates
by, how far the spectrum is from it, and what its largest entry does by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thermoscan.theory import tracy_widom
from thermoscan.theory.entropy import FloatArray
from thermoscan.theory.marchenko_pastur import MarchenkoPastur
from thermoscan.theory.no_fit import NoFit

ALL_ZERO = NoFit("all of its eigenvalues are zero")
NO_TRAP = NoFit("its largest entry by itself does not leave the bulk")


@dataclass(frozen=True, slots=True)
class Shape:
    """Of matrices whose eigenvalues are taken together.

    Attributes:
        rows: N, the larger side.
        columns: M, the smaller side.
        matrices: How many matrices of this shape.
    """

    rows: int
    columns: int
    matrices: int = 1

    @property
    def entries(self) -> int:
        """Entries of all of them."""
        return self.rows * self.columns * self.matrices


@dataclass(frozen=True, slots=True)
class NullSpectrum:
    """The spectrum of a Gaussian matrix, and the distance of another one from it.

    Attributes:
        edge_low: Lower edge of its bulk.
        edge_high: Upper edge of its bulk.
        largest: Mean of its largest eigenvalue, of all matrices.
        largest_error: The standard deviation of that eigenvalue.
        excess: ``(λ_max - largest) / largest_error``.
        spectral_entropy: Of its eigenvalues over their sum, nats.
        effective_rank: The exponential of that.
        distance: Kolmogorov-Smirnov distance between the eigenvalues and the law.
    """

    edge_low: float
    edge_high: float
    largest: float
    largest_error: float
    excess: float
    spectral_entropy: float
    effective_rank: float
    distance: float


def null_spectrum(values: FloatArray, shape: Shape) -> NullSpectrum | NoFit:
    """Returns the null of a spectrum, and how far the spectrum is from it.

    Args:
        values: Its eigenvalues, ascending, of all matrices together.
        shape: Theirs.

    Returns:
        The null; `NoFit` where all eigenvalues are zero.
    """
    temperature = float(values.sum()) / shape.entries
    if not temperature:
        return ALL_ZERO
    law = MarchenkoPastur(shape.rows, shape.columns, temperature)
    edge = tracy_widom.Edge.of(shape.rows, shape.columns)
    fluctuation = tracy_widom.largest_of(shape.matrices)
    largest = temperature * (edge.centre + edge.scale * fluctuation.mean)
    error = temperature * edge.scale * fluctuation.deviation
    entropy = law.finite_spectral_entropy(shape.matrices)
    low, high = law.edges
    return NullSpectrum(
        edge_low=low,
        edge_high=high,
        largest=largest,
        largest_error=error,
        excess=(float(values[-1]) - largest) / error,
        spectral_entropy=entropy,
        effective_rank=math.exp(entropy),
        distance=distance(values, law),
    )


def distance(values: FloatArray, law: MarchenkoPastur) -> float:
    """Returns the Kolmogorov-Smirnov distance between ascending eigenvalues and a law."""
    expected = law.cdf(values)
    steps = np.arange(values.size + 1) / values.size
    return float(max((expected - steps[:-1]).max(), (steps[1:] - expected).max()))


def trap(largest_entry: float, norm: float, shape: Shape) -> float | NoFit:
    """Returns the eigenvalue that the largest entry makes by itself, wherever it stands.

    An entry is a matrix of rank one, of which θ = |w| is the singular value. Among others of
    variance t it makes the eigenvalue ``(θ² + t N)(θ² + t M) / θ²`` where θ² > t √(NM), and none
    beyond the bulk else (F. Benaych-Georges and R. R. Nadakuditi, J. Multivar. Anal. 111 (2012)
    120, https://doi.org/10.1016/j.jmva.2012.04.019).

    Args:
        largest_entry: The largest magnitude of an entry.
        norm: The sum of all squared entries.
        shape: Of the matrices.

    Returns:
        The eigenvalue; `NoFit` where it lies within the bulk.
    """
    square = largest_entry**2
    others = max(norm - square, 0.0) / max(shape.entries - 1, 1)
    if square <= others * math.sqrt(shape.rows * shape.columns) or not square:
        return NO_TRAP
    return (square + others * shape.rows) * (1 + others * shape.columns / square)
