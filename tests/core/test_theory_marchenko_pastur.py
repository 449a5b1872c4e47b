"""The law of Marchenko and Pastur beside quadrature of its density and drawn matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate
from support.gaussian_matrices import eigenvalues, spectral_entropy

from thermoscan.theory.marchenko_pastur import MarchenkoPastur

LAWS = [
    MarchenkoPastur(100, 100, 0.3),
    MarchenkoPastur(400, 100, 2.0),
    MarchenkoPastur(50_000, 8, 1e-4),
    MarchenkoPastur(10, 1, 1.0),
    MarchenkoPastur(90.5, 33.25, 7.0),
]


def over_the_law(law: MarchenkoPastur, function: object, high: float | None = None) -> float:
    """The mean of a function up to `high`, by quadrature of the density as it is published."""
    n, m, t = law.rows, law.columns, law.temperature
    low, top = t * (n**0.5 - m**0.5) ** 2, t * (n**0.5 + m**0.5) ** 2

    def integrand(x: float) -> float:
        density = math.sqrt(max((x - low) * (top - x), 0.0)) / (2 * math.pi * t * m * x)
        return float(function(x) * density)  # type: ignore[operator]

    return float(integrate.quad(integrand, low, high or top, epsabs=0, epsrel=1e-9, limit=200)[0])


@pytest.mark.parametrize("law", LAWS)
def test_the_closed_cdf_is_the_integral_of_the_density(law: MarchenkoPastur) -> None:
    low, high = law.edges
    at = low + (high - low) * np.array([0.03, 0.4, 0.8, 0.99])
    expected = [over_the_law(law, lambda _: 1.0, x) for x in at]
    np.testing.assert_allclose(law.cdf(at), expected, rtol=1e-7)
    outside = np.array([0.0, low * (1 - 1e-9), high * (1 + 1e-9), 100 * high])
    np.testing.assert_allclose(law.cdf(outside), [0, 0, 1, 1], atol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_the_density_is_the_published_one_and_zero_outside(law: MarchenkoPastur) -> None:
    low, high = law.edges
    middle = (low + high) / 2
    expected = (high - low) / 2 / (2 * math.pi * law.temperature * law.columns * middle)
    np.testing.assert_allclose(
        law.density(np.array([low / 2, middle, high * 1.1])), [0, expected, 0], rtol=1e-12
    )


@pytest.mark.parametrize("law", LAWS)
def test_quantiles_undo_the_cdf(law: MarchenkoPastur) -> None:
    shares = np.array([0.0, 1e-4, 0.25, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(law.cdf(law.quantile(shares)), shares, atol=1e-12)
    # The share above goes flat towards the edges: there it tells fewer digits of x.
    np.testing.assert_allclose(law.quantile(shares)[[0, -1]], law.edges, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("law", LAWS)
def test_closed_means_are_those_of_the_density(law: MarchenkoPastur) -> None:
    assert law.mean == pytest.approx(over_the_law(law, lambda x: x), rel=1e-8)
    assert law.mean_log == pytest.approx(over_the_law(law, math.log), rel=1e-7)
    assert law.mean_x_log_x == pytest.approx(over_the_law(law, lambda x: x * math.log(x)), rel=1e-7)


@pytest.mark.parametrize("law", LAWS)
def test_the_spectral_entropy_follows_from_the_means(law: MarchenkoPastur) -> None:
    expected = math.log(law.columns * law.mean) - law.mean_x_log_x / law.mean
    assert law.spectral_entropy == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(100, 100), (300, 100), (1000, 64)])
def test_eigenvalues_of_a_large_gaussian_matrix_follow_the_law(rows: int, columns: int) -> None:
    rng = np.random.default_rng(rows)
    values = np.sort(np.concatenate([eigenvalues(rng, rows, columns, 0.04) for _ in range(10)]))
    expected = (np.arange(values.size) + 0.5) / values.size
    found = MarchenkoPastur(rows, columns, 0.04).cdf(values)
    # Eigenvalues repel each other: the deviation is of the order of one value, not of its root.
    assert np.abs(found - expected).max() < 2.0 / columns


@pytest.mark.parametrize(("rows", "columns"), [(3, 2), (8, 8), (64, 8), (40, 32)])
def test_the_spectral_entropy_of_small_matrices_is_that_of_drawn_ones(
    rows: int, columns: int
) -> None:
    rng = np.random.default_rng(columns)
    law = MarchenkoPastur(rows, columns, 3.0)
    drawn = [spectral_entropy(eigenvalues(rng, rows, columns, 3.0)) for _ in range(800)]
    error = float(np.std(drawn)) / len(drawn) ** 0.5
    away = law.finite_spectral_entropy() - float(np.mean(drawn))
    assert abs(away) < 3 * error + 0.25 / columns**2
    # The law alone is off by about 0.4 / M.
    if columns >= 8:
        assert abs(law.spectral_entropy - np.mean(drawn)) > 5 * error


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_one_eigenvalue_alone_has_no_entropy(rows: int) -> None:
    assert MarchenkoPastur(rows, 1, 0.3).finite_spectral_entropy() == 0.0
