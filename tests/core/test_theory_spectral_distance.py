"""Distances between spectra against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from thermoscan.theory.spectral_distance import jensen_shannon


@pytest.mark.parametrize("seed", range(5))
def test_the_jensen_shannon_distance_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (np.sort(rng.exponential(size=50) * rng.integers(0, 2, 50)) for _ in range(2))
    assert jensen_shannon(first, second) == pytest.approx(jensenshannon(first, second), rel=1e-12)
    assert jensen_shannon(np.array([5e-324, 1.0]), np.array([0.0, 1.0])) == 0.0
    assert jensen_shannon(first, 3 * first) == pytest.approx(0.0, abs=1e-8)
