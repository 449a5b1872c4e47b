"""Eigenvalues of drawn Gaussian matrices, with and without a signal: oracles for spectra."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def squared_singular_values(matrix: np.ndarray) -> np.ndarray:
    """The squares of a matrix's singular values, ascending."""
    return np.linalg.svd(matrix, compute_uv=False)[::-1] ** 2


def planted(
    rng: np.random.Generator, rows: int, columns: int, temperature: float, spikes: Sequence[float]
) -> np.ndarray:
    """Noise plus a signal with these singular values, ``(columns, rows)``.

    The spikes are in units of ``√T (N M)^(1/4)``, below which a signal leaves no eigenvalue outside
    of the noise's.
    """
    matrix = rng.normal(0.0, temperature**0.5, (columns, rows))
    if spikes:
        left = np.linalg.qr(rng.normal(size=(columns, len(spikes))))[0]
        right = np.linalg.qr(rng.normal(size=(rows, len(spikes))))[0]
        sizes = np.asarray(spikes) * temperature**0.5 * (rows * columns) ** 0.25
        matrix += (left * sizes) @ right.T
    return matrix


def eigenvalues(
    rng: np.random.Generator,
    rows: int,
    columns: int,
    temperature: float = 1.0,
    spikes: Sequence[float] = (),
) -> np.ndarray:
    """The squared singular values of such a matrix, ascending."""
    return squared_singular_values(planted(rng, rows, columns, temperature, spikes))


def spectral_entropy(values: np.ndarray) -> float:
    """Shannon's entropy of the values over their sum, nats."""
    shares = values / values.sum()
    return float(-np.sum(shares * np.log(shares)))
