"""The thermodynamics of a spectrum, as docs/spectra.md states it, on drawn matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special
from support.gaussian_matrices import eigenvalues, spectral_entropy, squared_singular_values

from thermoscan.card_spectra import Spectrum
from thermoscan.spectra.describing import spectrum_of
from thermoscan.spectra.gram import Eigenvalues
from thermoscan.theory.entropy import FloatArray
from thermoscan.theory.marchenko_pastur import MarchenkoPastur

ROWS, COLUMNS = 240, 160


def described(matrix: FloatArray) -> Spectrum:
    """The spectrum that a card shows of a matrix."""
    columns, rows = matrix.shape
    largest = float(np.abs(matrix).max())
    values = squared_singular_values(matrix)[None, :]
    return spectrum_of(Eigenvalues(values, rows, columns, None, 0, largest))


@pytest.fixture(scope="module")
def gaussian() -> FloatArray:
    drawn: FloatArray = np.random.default_rng(0).normal(0.0, 0.05, (COLUMNS, ROWS))
    return drawn


@pytest.fixture(scope="module")
def ordered() -> FloatArray:
    """Noise of temperature 0.0025 with five directions of a signal."""
    rng = np.random.default_rng(1)
    left = np.linalg.qr(rng.normal(size=(COLUMNS, 5)))[0]
    right = np.linalg.qr(rng.normal(size=(ROWS, 5)))[0]
    signal = (left * np.array([2.0, 2.5, 3.0, 4.0, 6.0])) @ right.T
    drawn: FloatArray = rng.normal(0.0, 0.05, (COLUMNS, ROWS)) + signal
    return drawn


def test_the_eigenvalues_sum_to_the_temperature_times_the_degrees_of_freedom(
    ordered: FloatArray,
) -> None:
    temperature = float((ordered**2).mean())
    assert described(ordered).norm == pytest.approx(ROWS * COLUMNS * temperature, rel=1e-12)


def test_an_eigenvalue_is_the_temperature_of_a_direction(ordered: FloatArray) -> None:
    left, values, _ = np.linalg.svd(ordered, full_matrices=False)
    temperatures = ((left.T @ ordered) ** 2).mean(axis=1)
    np.testing.assert_allclose(temperatures, values**2 / ROWS, rtol=1e-10)
    assert temperatures.mean() == pytest.approx((ordered**2).mean(), rel=1e-12)


@pytest.mark.parametrize("temperature", [1e-4, 1.0, 100.0])
def test_temperature_and_shape_fix_the_spectrum_of_a_gaussian_matrix(temperature: float) -> None:
    rng = np.random.default_rng(2)
    law = MarchenkoPastur(ROWS, COLUMNS, temperature)
    values = eigenvalues(rng, ROWS, COLUMNS, temperature)
    assert values.sum() == pytest.approx(ROWS * COLUMNS * temperature, rel=0.03)
    expected = law.quantile((np.arange(COLUMNS) + 0.5) / COLUMNS)
    # Every single eigenvalue is where the law has it, within 3 % of the largest.
    assert np.abs(values - expected).max() < 0.03 * law.edges[1]
    assert spectral_entropy(values) == pytest.approx(
        math.log(COLUMNS) - COLUMNS / ROWS / 2, abs=0.01
    )


def test_the_log_determinant_is_its_closed_form_and_moves_with_the_temperature() -> None:
    rng = np.random.default_rng(3)
    found = {
        temperature: np.mean(
            [np.log(eigenvalues(rng, ROWS, COLUMNS, temperature)).sum() for _ in range(20)]
        )
        for temperature in (0.01, 1.0)
    }
    for temperature, value in found.items():
        law = MarchenkoPastur(ROWS, COLUMNS, temperature)
        closed = COLUMNS * (math.log(temperature * ROWS) - 1) - (ROWS - COLUMNS) * math.log(
            1 - COLUMNS / ROWS
        )
        assert law.log_determinant == pytest.approx(closed, rel=1e-12)
        # Of a finite matrix, exactly: N - M + 1 to N degrees of freedom of chi squared.
        freedom = np.arange(ROWS - COLUMNS + 1, ROWS + 1)
        exact = float((special.digamma(freedom / 2) + math.log(2 * temperature)).sum())
        assert value == pytest.approx(exact, abs=1.2)
        assert closed == pytest.approx(exact, abs=0.6)
    assert found[1.0] - found[0.01] == pytest.approx(COLUMNS * math.log(100), abs=1.5)


SAME = ("stable_rank", "spectral_entropy", "effective_rank", "entropy", "matrix_rank")


def test_a_dilation_moves_energies_and_leaves_ranks_entropies_and_exponents(
    ordered: FloatArray,
) -> None:
    factor = 0.37
    before, after = described(ordered), described(ordered * factor**0.5)
    for name in SAME:
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-9), name
    assert before.tail and after.tail and before.bulk and after.bulk and before.null and after.null
    for part, fields in {
        "tail": ("alpha", "distance", "spikes"),
        "bulk": ("soft_rank", "ordered_fraction", "outliers", "outliers_high", "distance"),
        "null": ("excess", "distance", "effective_rank"),
    }.items():
        for name in fields:
            old, new = (getattr(getattr(each, part), name) for each in (before, after))
            assert new == pytest.approx(old, rel=1e-7), name
    assert after.norm == pytest.approx(factor * before.norm)
    assert after.bulk.temperature == pytest.approx(factor * before.bulk.temperature)
    assert after.null.largest == pytest.approx(factor * before.null.largest)
    assert after.log_norm is not None and before.log_norm is not None
    shift = math.log10(factor)
    assert after.log_norm - before.log_norm == pytest.approx(shift)
    for name in ("alpha_weighted", "log_alpha_norm"):
        old, new = (getattr(each.tail, name) for each in (before, after))
        assert new - old == pytest.approx(before.tail.alpha * shift), name


def test_the_temperature_is_that_of_the_bulk_and_of_what_stands_out(ordered: FloatArray) -> None:
    found = described(ordered)
    assert found.bulk is not None and found.bulk.outliers == 5
    temperature = found.norm / (ROWS * COLUMNS)
    share = (ROWS - 5) * (COLUMNS - 5) / (ROWS * COLUMNS)
    split = found.bulk.temperature * share + found.bulk.ordered_fraction * temperature
    assert split == pytest.approx(temperature, rel=1e-12)
    assert found.bulk.temperature == pytest.approx(0.0025, rel=0.02)


def test_the_spectral_entropy_is_that_of_both_parts_and_of_how_they_share_the_energy(
    ordered: FloatArray,
) -> None:
    found, values = described(ordered), squared_singular_values(ordered)
    assert found.bulk is not None
    f = found.bulk.ordered_fraction
    between = -f * math.log(f) - (1 - f) * math.log(1 - f)
    law = MarchenkoPastur(ROWS - 5, COLUMNS - 5, found.bulk.temperature)
    parts = (1 - f) * law.spectral_entropy + f * spectral_entropy(values[-5:])
    assert found.spectral_entropy == pytest.approx(between + parts, abs=0.005)
    assert found.null is not None and found.effective_rank is not None
    assert found.effective_rank < 0.9 * found.null.effective_rank


def test_shuffling_leaves_the_entries_and_makes_the_spectrum_random(ordered: FloatArray) -> None:
    shuffled = np.random.default_rng(4).permutation(ordered.ravel()).reshape(ordered.shape)
    before, after = described(ordered), described(shuffled)
    assert before.null and after.null and after.bulk
    assert before.null.excess > 50
    assert abs(after.null.excess) < 3
    assert after.spectral_entropy == pytest.approx(math.log(after.null.effective_rank), abs=0.003)
    assert after.bulk.temperature == pytest.approx((ordered**2).mean(), rel=1e-9)
    np.testing.assert_array_equal(np.sort(shuffled, axis=None), np.sort(ordered, axis=None))


def test_rotating_leaves_the_spectrum_and_makes_the_entries_gaussian() -> None:
    rng = np.random.default_rng(5)
    matrix = rng.laplace(size=(COLUMNS, ROWS))
    turns = [np.linalg.qr(rng.normal(size=(side, side)))[0] for side in (COLUMNS, ROWS)]
    rotated = turns[0] @ matrix @ turns[1]
    np.testing.assert_allclose(
        squared_singular_values(rotated), squared_singular_values(matrix), rtol=1e-9
    )

    def kurtosis(entries: FloatArray) -> float:
        return float((entries**4).mean() / (entries**2).mean() ** 2)

    assert kurtosis(matrix) == pytest.approx(6.0, abs=0.5)
    assert kurtosis(rotated) == pytest.approx(3.0, abs=0.1)


def test_a_gaussian_layer_is_its_own_null_and_its_bulk_is_all_of_it(gaussian: FloatArray) -> None:
    found = described(gaussian)
    assert found.null is not None and found.bulk is not None
    assert found.bulk.temperature == pytest.approx(found.norm / (ROWS * COLUMNS), rel=1e-12)
    assert found.bulk.ordered_fraction == 0.0
    assert abs(found.null.excess) < 3
    assert found.effective_rank == pytest.approx(found.null.effective_rank, rel=0.005)
