"""The bulk's fit on noise alone, on planted signals and on matrices that are not whole."""

from __future__ import annotations

import numpy as np
import pytest
from support.gaussian_matrices import eigenvalues, squared_singular_values

from thermoscan.theory.no_fit import NoFit
from thermoscan.theory.spectral_bulk import FALSE_ALARMS, NO_BULK, TOO_FEW, BulkFit, bulk_fit
from thermoscan.theory.spectral_null import Shape

NOISE = [(8, 8, 300), (512, 8, 150), (64, 64, 150), (300, 100, 80), (1000, 32, 60)]


def fitted(values: np.ndarray, shape: Shape) -> BulkFit:
    found = bulk_fit(values, shape)
    assert not isinstance(found, NoFit)
    return found


@pytest.mark.parametrize(("rows", "columns", "draws"), NOISE)
def test_noise_has_outliers_no_more_often_than_is_documented(
    rows: int, columns: int, draws: int
) -> None:
    rng, shape = np.random.default_rng(rows + columns), Shape(rows, columns)
    found = [fitted(eigenvalues(rng, rows, columns, 1e-3), shape) for _ in range(draws)]
    alarms = sum(each.outliers > 0 for each in found)
    assert alarms <= draws * FALSE_ALARMS + 3 * (draws * FALSE_ALARMS) ** 0.5
    assert sum(each.outliers_low > 0 for each in found) <= 1
    temperature = np.array([each.temperature for each in found]) / 1e-3
    # All entries are normal: what they say of their variance is known.
    assert temperature.std() == pytest.approx((2 / (rows * columns)) ** 0.5, rel=0.25)
    assert abs(temperature.mean() - 1) < 3 * temperature.std() / draws**0.5 + 1e-4


def test_the_largest_matrix_is_fitted_as_the_smallest() -> None:
    found = fitted(eigenvalues(np.random.default_rng(0), 1200, 1000), Shape(1200, 1000))
    assert found.outliers == 0 and found.ordered_fraction == 0.0
    assert found.temperature == pytest.approx(1.0, abs=0.004)
    assert found.distance < 0.005
    expected = [(1200**0.5 + sign * 1000**0.5) ** 2 for sign in (-1, 1)]
    assert [found.edge_low, found.edge_high] == pytest.approx(expected, rel=0.004)
    assert found.soft_rank == pytest.approx(1.0, abs=0.03)


def test_noise_of_several_matrices_has_outliers_no_more_often() -> None:
    rng, shape = np.random.default_rng(1), Shape(32, 16, matrices=9)
    drawn = (
        np.sort(np.concatenate([eigenvalues(rng, 32, 16) for _ in range(9)])) for _ in range(100)
    )
    found = [fitted(values, shape) for values in drawn]
    assert sum(each.outliers > 0 for each in found) <= 4
    assert np.mean([each.temperature for each in found]) == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize(
    ("rows", "columns", "spikes"),
    [
        (300, 100, (2.0,)),
        (300, 100, (2.5,) * 10),
        (300, 100, tuple(np.linspace(2.5, 20, 25))),
        (128, 128, (2.5, 3, 30)),
        (128, 128, tuple(np.linspace(2.5, 20, 32))),
        (500, 16, (2.5, 5.0)),
    ],
)
def test_planted_signals_are_counted_and_the_temperature_of_the_noise_is_recovered(
    rows: int, columns: int, spikes: tuple[float, ...]
) -> None:
    rng, shape = np.random.default_rng(2), Shape(rows, columns)
    found = [fitted(eigenvalues(rng, rows, columns, 1e-2, spikes), shape) for _ in range(10)]
    outliers = np.array([each.outliers for each in found])
    assert np.mean(outliers == len(spikes)) >= 0.9
    assert all(each.outliers_low <= len(spikes) <= each.outliers_high for each in found)
    temperature = np.mean([each.temperature for each in found]) / 1e-2
    assert temperature == pytest.approx(1.0, abs=0.025)


def test_a_signal_is_found_from_just_above_the_threshold_of_any_eigenvalue() -> None:
    rng, shape = np.random.default_rng(3), Shape(400, 200)

    def share(size: float) -> float:
        found = [fitted(eigenvalues(rng, 400, 200, 1.0, (size,)), shape) for _ in range(25)]
        covered = [each.outliers_low <= 1 <= each.outliers_high for each in found]
        assert size < 1 or np.mean(covered) >= 0.9
        return float(np.mean([each.outliers for each in found]))

    assert share(0.7) <= 0.04
    assert 0.1 < share(1.2) < 0.9
    assert share(1.5) >= 0.95


def test_the_energy_of_the_layer_is_that_of_the_bulk_and_of_what_stands_out() -> None:
    values = eigenvalues(np.random.default_rng(4), 300, 100, 0.1, (3.0, 5.0, 9.0))
    found = fitted(values, Shape(300, 100))
    assert found.outliers == 3
    bulk = found.temperature * (300 - 3) * (100 - 3)
    assert bulk + found.ordered_fraction * values.sum() == pytest.approx(values.sum(), rel=1e-12)
    assert found.ordered_fraction == pytest.approx(values[-3:].sum() / values.sum(), rel=1e-12)


def test_heavy_tailed_entries_heat_the_bulk_of_their_layer_less_than_their_layer() -> None:
    matrix = np.random.default_rng(5).standard_t(3, (200, 300))
    found = fitted(squared_singular_values(matrix), Shape(300, 200))
    # Without the few entries that make an eigenvalue of their own: θ > √T (N M)^(1/4).
    core = matrix[np.abs(matrix) < found.temperature**0.5 * 60_000**0.25]
    assert found.temperature == pytest.approx(float((core**2).mean()), rel=0.06)
    assert found.temperature < 0.95 * (matrix**2).mean()


@pytest.mark.parametrize("dead", [1, 30])
def test_dead_rows_leave_the_temperature_of_the_others(dead: int) -> None:
    matrix = np.random.default_rng(6).normal(0.0, 0.1, (90, 200))
    matrix[:dead] = 0.0
    matrix[-1] *= 10.0
    gram = np.linalg.eigvalsh(matrix @ matrix.T)
    found = fitted(np.maximum(gram, 0.0), Shape(200, 90))
    assert found.temperature == pytest.approx(0.01, rel=0.03)
    assert found.outliers == 1
    assert found.edge_high == pytest.approx(0.01 * (200**0.5 + (90 - dead) ** 0.5) ** 2, rel=0.04)


def test_where_too_few_values_are_left_nothing_is_fitted() -> None:
    rng = np.random.default_rng(7)
    low_rank = rng.normal(size=(60, 7)) @ rng.normal(size=(7, 80))
    values = np.maximum(np.linalg.eigvalsh(low_rank @ low_rank.T), 0.0)
    assert bulk_fit(values, Shape(80, 60)) is TOO_FEW
    assert bulk_fit(np.zeros(60), Shape(80, 60)) is TOO_FEW
    assert bulk_fit(eigenvalues(rng, 80, 7), Shape(80, 7)) is TOO_FEW
    pooled = np.sort(np.concatenate([eigenvalues(rng, 80, 7) for _ in range(9)]))
    assert bulk_fit(pooled, Shape(80, 7, matrices=9)) is TOO_FEW


def test_a_spectrum_that_has_no_bulk_is_not_given_one() -> None:
    assert bulk_fit(np.geomspace(1e-6, 1.0, 100), Shape(3000, 100)) is NO_BULK
