"""The entropy estimate against closed forms: theory section 6."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from support.memory_checkpoint import encode

from thermoscan.dtypes import DType
from thermoscan.tally.accumulate import Accumulator, bits_of, visit
from thermoscan.tally.finish import part_of, tallies
from thermoscan.tally.geometry import Piece
from thermoscan.tally.witness import new_witness
from thermoscan.theory.entropy import Entropy

DISTRIBUTIONS = {
    "normal": stats.norm(0, 0.02),
    "uniform": stats.uniform(-0.05, 0.1),
    "laplace": stats.laplace(0, 0.02),
    "logistic": stats.logistic(0, 0.02),
    "t3": stats.t(3, scale=0.02),
    "normal with a large mean": stats.norm(0.5, 0.05),
}


def estimate(values: np.ndarray, dtype: DType) -> Entropy:
    content, _ = encode(torch.from_numpy(values.astype(np.float32)), dtype)
    piece = Piece(0, 1, 1, values.size, ("w",), (0, 1))
    sums = Accumulator(piece, dtype)
    visit(sums, bits_of(memoryview(content), dtype), 0)
    (found,) = tallies(piece, dtype, part_of(sums, new_witness(dtype)))
    assert found.entropy is not None
    return found.entropy


@pytest.mark.parametrize("dtype", [DType.F32, DType.BF16, DType.F16, DType.F64])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_entropy_is_within_five_thousandths_of_a_nat(name: str, dtype: DType) -> None:
    distribution = DISTRIBUTIONS[name]
    values = distribution.rvs(147_456, random_state=np.random.default_rng(1))
    assert estimate(values, dtype).value == pytest.approx(float(distribution.entropy()), abs=0.005)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_standard_error_is_honest(name: str) -> None:
    distribution = DISTRIBUTIONS[name]
    generator = np.random.default_rng(7)
    found = [
        estimate(distribution.rvs(20_000, random_state=generator), DType.F32) for _ in range(60)
    ]
    z = np.array([(each.value - float(distribution.entropy())) / each.error for each in found])
    assert np.mean(np.abs(z) < 2) > 0.85
    assert np.abs(z).max() < 4.5


def test_entropy_moves_by_the_logarithm_of_a_scale() -> None:
    values = stats.laplace.rvs(size=100_000, random_state=np.random.default_rng(2))
    one, other = estimate(values, DType.F32), estimate(values * math.e**3, DType.F32)
    assert other.value - one.value == pytest.approx(3, abs=2e-3)


@pytest.mark.parametrize("size", [200, 1000, 5000])
def test_small_layers_are_within_three_standard_errors(size: int) -> None:
    distribution = stats.norm(0, 0.02)
    generator = np.random.default_rng(9)
    found = [estimate(distribution.rvs(size, random_state=generator), DType.F32) for _ in range(50)]
    misses = sum(abs(each.value - float(distribution.entropy())) > 3 * each.error for each in found)
    assert misses <= 2
