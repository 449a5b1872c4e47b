"""The random null of a spectrum, and traps, beside drawn and really shuffled matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from support.gaussian_matrices import eigenvalues, spectral_entropy, squared_singular_values

from thermoscan.theory.marchenko_pastur import MarchenkoPastur
from thermoscan.theory.no_fit import NoFit
from thermoscan.theory.spectral_null import (
    ALL_ZERO,
    NO_TRAP,
    NullSpectrum,
    Shape,
    distance,
    null_spectrum,
    trap,
)

SQUARE, WIDE = (64, 64), (100, 300)


def null_of(values: np.ndarray, shape: Shape) -> NullSpectrum:
    found = null_spectrum(values, shape)
    assert not isinstance(found, NoFit)
    return found


@pytest.mark.parametrize("temperature", [1e-6, 1.0, 300.0])
def test_a_gaussian_matrix_is_its_own_null_at_every_temperature(temperature: float) -> None:
    rng, shape = np.random.default_rng(0), Shape(120, 80)
    drawn = [eigenvalues(rng, 120, 80, temperature) for _ in range(60)]
    found = [null_of(values, shape) for values in drawn]
    excess = np.array([each.excess for each in found])
    assert abs(excess.mean()) < 0.3
    assert 0.8 < excess.std() < 1.2
    entropy = np.array([spectral_entropy(values) for values in drawn])
    away = np.array([each.spectral_entropy for each in found]) - entropy
    assert abs(away.mean()) < 3 * entropy.std() / 60**0.5 + 1e-4
    # Eigenvalues repel each other: the distance is that of a few values at most, at every size.
    assert max(each.distance for each in found) < 4 / 80


def test_the_null_has_the_edges_and_the_energy_of_the_layer() -> None:
    values = np.array([1.0, 2.0, 9.0])
    found = null_of(values, Shape(rows=5, columns=3))
    temperature = 12.0 / 15
    expected = [temperature * (5**0.5 + sign * 3**0.5) ** 2 for sign in (-1, 1)]
    assert [found.edge_low, found.edge_high] == pytest.approx(expected)


def test_several_matrices_have_the_largest_of_all_and_the_entropy_of_all() -> None:
    rng, shape = np.random.default_rng(1), Shape(40, 20, matrices=9)
    drawn = [
        np.sort(np.concatenate([eigenvalues(rng, 40, 20, 0.1) for _ in range(9)]))
        for _ in range(80)
    ]
    found = [null_of(values, shape) for values in drawn]
    excess = np.array([each.excess for each in found])
    assert abs(excess.mean()) < 0.25
    assert 0.8 < excess.std() < 1.2
    entropy = np.array([spectral_entropy(values) for values in drawn])
    away = abs(found[0].spectral_entropy - entropy.mean())
    assert away < 3 * entropy.std() / len(drawn) ** 0.5 + 1e-4


def test_the_distance_is_the_two_sided_one_of_kolmogorov_and_smirnov() -> None:
    law = MarchenkoPastur(30, 20, 0.5)
    for shift in (0.5, 1.0, 2.0):
        values = np.sort(law.quantile(np.random.default_rng(2).uniform(size=50)) * shift)
        expected = stats.kstest(values, law.cdf).statistic
        assert distance(values, law) == pytest.approx(expected, abs=1e-12)


def test_a_matrix_of_zeros_has_no_null_and_no_trap() -> None:
    assert null_spectrum(np.zeros(4), Shape(8, 4)) is ALL_ZERO
    assert trap(0.0, 0.0, Shape(8, 4)) is NO_TRAP


def shuffled_largest(matrix: np.ndarray, draws: int = 12) -> np.ndarray:
    """The largest eigenvalue of the same entries in random places, again and again."""
    rng = np.random.default_rng(3)
    places = (rng.permutation(matrix.ravel()).reshape(matrix.shape) for _ in range(draws))
    return np.array([squared_singular_values(each)[-1] for each in places])


def trap_of(matrix: np.ndarray) -> float | NoFit:
    columns, rows = sorted(matrix.shape)
    return trap(float(np.abs(matrix).max()), float((matrix**2).sum()), Shape(rows, columns))


@pytest.mark.parametrize("shape", [SQUARE, WIDE, WIDE[::-1]])
@pytest.mark.parametrize("size", [2.0, 4.0, 10.0])
def test_a_planted_entry_makes_the_trap_that_shuffling_finds(
    shape: tuple[int, int], size: float
) -> None:
    matrix = np.random.default_rng(4).normal(0.0, 0.03, shape)
    matrix[3, 7] = -size * 0.03 * (shape[0] * shape[1]) ** 0.25
    assert trap_of(matrix) == pytest.approx(shuffled_largest(matrix).mean(), rel=0.02)


@pytest.mark.parametrize("shape", [SQUARE, WIDE])
def test_an_entry_that_leaves_the_shuffled_bulk_alone_is_no_trap(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(5).normal(size=shape)
    matrix[0, 0] = 0.8 * (shape[0] * shape[1]) ** 0.25
    assert trap_of(matrix) is NO_TRAP
    values = squared_singular_values(matrix)
    null = null_of(values, Shape(max(shape), min(shape)))
    limit = null.largest + 3 * null.largest_error
    assert shuffled_largest(matrix).max() < limit


@pytest.mark.parametrize("freedom", [2.5, 3.0])
@pytest.mark.parametrize("shape", [SQUARE, WIDE])
def test_of_heavy_tails_the_trap_is_about_the_largest_shuffled_eigenvalue(
    freedom: float, shape: tuple[int, int]
) -> None:
    # Many large entries act at once, of which the others may come out above the largest one.
    rng, ratios = np.random.default_rng(6), []
    for _ in range(8):
        matrix = rng.standard_t(freedom, shape)
        found = trap_of(matrix)
        assert not isinstance(found, NoFit)
        ratios.append(shuffled_largest(matrix, 6).mean() / found)
    assert 0.99 < np.mean(ratios) < 1.08
    assert 0.85 < min(ratios) <= max(ratios) < 1.25


def test_laplacian_entries_make_no_trap() -> None:
    matrix = np.random.default_rng(7).laplace(size=WIDE)
    assert trap_of(matrix) is NO_TRAP


def test_the_only_entry_is_its_own_eigenvalue() -> None:
    assert trap(3.0, 9.0, Shape(8, 4)) == pytest.approx(9.0)
