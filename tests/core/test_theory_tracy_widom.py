"""The Tracy-Widom law beside its Fredholm determinant, published moments and drawn matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats
from support.gaussian_matrices import eigenvalues

from thermoscan.theory.tracy_widom import Edge, largest_of, quantile


def cdf(s: float) -> float:
    """F(s) = det(1 - K), K(x, y) = Ai(x + y + s) for positive x and y (Ferrari and Spohn, 2005)."""
    at, weights = np.polynomial.legendre.leggauss(80)
    at, root = (at + 1) * 8, np.sqrt(weights * 8)
    kernel = special.airy(at[:, None] + at[None, :] + s)[0] * root[:, None] * root[None, :]
    return float(np.linalg.det(np.eye(at.size) - kernel))


@pytest.mark.parametrize(
    "share", [1e-6, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1 - 1e-5, 1 - 1e-7]
)
def test_quantiles_are_those_of_the_determinant(share: float) -> None:
    step = 1e-6
    found = quantile(share)
    slope = (cdf(found + step) - cdf(found - step)) / (2 * step)
    assert abs(cdf(found) - share) / slope < 1e-6 + 1e-13 / slope


def test_beyond_one_in_a_thousand_million_the_last_quantile_is_returned() -> None:
    assert quantile(1.0) == quantile(1 - 1e-12) > quantile(1 - 1e-8)
    assert quantile(0.0) == quantile(1e-12) < quantile(1e-8)


def test_the_moments_are_the_published_ones() -> None:
    # F. Bornemann, Markov Processes Relat. Fields 16 (2010) 803, https://arxiv.org/abs/0904.1581
    assert largest_of(1).mean == pytest.approx(-1.2065335745, abs=1e-6)
    assert largest_of(1).deviation == pytest.approx(1.6077810345**0.5, abs=2e-5)


def test_the_largest_of_several_values_is_as_that_of_drawn_ones() -> None:
    rng = np.random.default_rng(0)
    shares = rng.uniform(size=(2000, 25)).max(axis=1)
    drawn = np.array([quantile(share) for share in shares])
    found = largest_of(25)
    assert abs(found.mean - drawn.mean()) < 3 * drawn.std() / len(drawn) ** 0.5
    assert found.deviation == pytest.approx(drawn.std(), rel=0.05)


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (64, 8), (64, 3), (32, 32), (128, 24)])
def test_the_largest_eigenvalue_of_small_matrices_passes_its_quantiles_as_often_as_it_should(
    rows: int, columns: int
) -> None:
    rng, draws = np.random.default_rng(rows), 800
    largest = np.array([eigenvalues(rng, rows, columns)[-1] for _ in range(draws)])
    edge, law = Edge.of(rows, columns), largest_of(1)
    for share in (0.5, 0.9, 0.99):
        above = int((largest > edge.quantile(share)).sum())
        # Three errors of the count, and what the law is off by at these sizes.
        low, high = stats.binom.interval(0.997, draws, 1 - share)
        assert low * 0.9 - 2 <= above <= high * 1.1 + 2
    assert abs(largest.mean() - edge.centre - edge.scale * law.mean) < 0.2 * edge.scale


def test_halves_centre_better_than_the_shape_itself_or_one_less_row() -> None:
    rng = np.random.default_rng(1)
    drawn = np.array([eigenvalues(rng, 64, 8)[-1] for _ in range(1500)])

    def away(rows: float, columns: float) -> float:
        edge = Edge.of(rows + 0.5, columns + 0.5)
        return float(abs(drawn.mean() - edge.centre - edge.scale * largest_of(1).mean) / edge.scale)

    error = float(drawn.std() / len(drawn) ** 0.5) / Edge.of(64, 8).scale
    assert away(63.5, 7.5) < 3 * error < away(63, 8) < away(64, 8)
