"""The jackknife beside closed forms, scipy and drawn samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from thermoscan.theory import jackknife
from thermoscan.theory.jackknife import GROUPS


def replicates(groups: np.ndarray, function: object = np.mean) -> np.ndarray:
    """A statistic of all groups, then of all but one; groups are rows of draws."""
    rows = [groups, *(np.delete(groups, k, axis=0) for k in range(GROUPS))]
    return np.array([function(row) for row in rows])  # type: ignore[operator]


def test_the_quantile_is_students() -> None:
    expected = stats.t.ppf((1 + jackknife.CONFIDENCE) / 2, GROUPS - 1)
    assert expected == pytest.approx(jackknife.T_QUANTILE, rel=1e-9)


def test_the_interval_of_a_mean_is_students_interval() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (GROUPS, 1))
    low, high = jackknife.interval(replicates(draws))
    expected = stats.t.interval(0.95, GROUPS - 1, draws.mean(), stats.sem(draws.ravel()))
    assert (low, high) == pytest.approx(expected, rel=1e-9)


def test_a_systematic_error_widens_an_interval_in_quadrature() -> None:
    values = replicates(np.random.default_rng(0).normal(size=(GROUPS, 4)))
    low, high = jackknife.interval(values, systematic=0.3)
    half = jackknife.T_QUANTILE * np.hypot(jackknife.error(values), 0.3)
    assert high - low == pytest.approx(2 * half)


def test_drawn_in_replicates_give_the_error_of_a_sample_without_replacement() -> None:
    rng = np.random.default_rng(1)
    population = rng.normal(size=400)
    means, errors = [], []
    for _ in range(2000):
        groups = rng.permutation(population)[: 10 * GROUPS].reshape(GROUPS, 10)
        values = jackknife.drawn_in(replicates(groups), share=0.5)
        means.append(values[0])
        errors.append(jackknife.error(values))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.05)


def test_what_is_read_whole_has_no_error() -> None:
    values = jackknife.drawn_in(replicates(np.random.default_rng(2).normal(size=(GROUPS, 3))), 1.0)
    assert jackknife.error(values) < 1e-15


def test_the_bias_of_a_square_is_found_exactly() -> None:
    groups = np.random.default_rng(3).normal(1.0, 2.0, (GROUPS, 1))
    values = replicates(groups, lambda rows: np.mean(rows) ** 2)
    # E[mean²] is above the square of the mean by Var / n, of which s² / n is the estimate.
    expected = groups.var(ddof=1) / GROUPS
    assert jackknife.bias(values, share=0.0) == pytest.approx(expected, rel=1e-9)
    assert jackknife.bias(values, share=0.75) == pytest.approx(expected / 4, rel=1e-9)


def test_fiellers_interval_is_where_the_difference_is_within_its_error_of_zero() -> None:
    rng = np.random.default_rng(4)
    above = replicates(rng.normal(3.0, 1.0, (GROUPS, 1)))
    below = replicates(rng.normal(2.0, 0.8, (GROUPS, 1)))
    found = jackknife.ratio_interval(above, below, systematic=0.05)
    assert found is not None

    def inside(ratio: float) -> bool:
        difference = above - ratio * below
        error = np.hypot(jackknife.error(difference), ratio * 0.05)
        return bool(abs(difference[0]) <= jackknife.T_QUANTILE * error)

    for end, outward in zip(found, (-1, 1), strict=True):
        assert inside(end - outward * 1e-6) and not inside(end + outward * 1e-6)


def test_a_ratio_whose_denominator_may_be_zero_has_no_interval() -> None:
    rng = np.random.default_rng(5)
    below = replicates(rng.normal(0.1, 1.0, (GROUPS, 1)))
    assert jackknife.ratio_interval(np.full(1 + GROUPS, 3.0), below) is None
