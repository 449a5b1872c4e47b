"""The error of a change of entropy between paired states covers what repeated draws show."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from thermoscan.dtypes import DType
from thermoscan.tally.cells import codes_of, signed_codes
from thermoscan.theory.entropy import Entropy, Histogram, IntArray, differential_entropy
from thermoscan.theory.paired_entropy import entropy_change

Values = npt.NDArray[np.float32]
Draw = np.random.Generator
SIGMA = 0.02


def seen(w: Values) -> tuple[Histogram, IntArray]:
    patterns = (w.view(np.uint32) >> 16).astype(np.int64)
    counts = np.bincount(patterns, minlength=1 << 16)
    occupied = np.flatnonzero(counts)
    codes = codes_of(occupied, counts[occupied], DType.F32)
    signed, _ = signed_codes(patterns, DType.F32)
    return Histogram(codes, float(w.min()), float(w.max())), signed


def change(model: Values, base: Values) -> Entropy:
    one, zero = seen(model), seen(base)
    step = max(1, base.size >> 14)
    found = entropy_change(one[0], zero[0], (one[1][::step], zero[1][::step]))
    assert found is not None
    return found


def noise(share: float) -> tuple[Callable[[Draw, Values], Values], float]:
    """Independent noise of a share of the spread: the variance is the sum of both."""
    return (
        lambda draw, w: w + share * SIGMA * draw.standard_normal(w.size),
        0.5 * math.log(1 + share**2),
    )


def dilation(scale: float) -> tuple[Callable[[Draw, Values], Values], float]:
    return lambda _, w: w * scale, math.log(scale)


CHANGES = {
    "noise 1e-4": noise(1e-4),
    "noise 1e-2": noise(1e-2),
    "noise 0.1": noise(0.1),
    "grown by 1e-4": dilation(1.0001),
    "grown by 1e-3": dilation(1.001),
    "grown by 1e-2": dilation(1.01),
    "grown by 0.1": dilation(1.1),
    "decayed to half": dilation(0.5),
    "independent": (lambda draw, w: SIGMA * draw.standard_normal(w.size), 0.0),
}


@pytest.mark.parametrize("entries", [4096, 147_456])
@pytest.mark.parametrize("name", CHANGES)
def test_the_truth_lies_within_the_error_as_often_as_it_should(name: str, entries: int) -> None:
    make, truth = CHANGES[name]
    deviations = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        base = (SIGMA * draw.standard_normal(entries)).astype(np.float32)
        found = change(make(draw, base).astype(np.float32), base)
        deviations.append((found.value - truth) / found.error)
    # Normal deviations: 1 of 370 beyond 3. The error may be too large, by a factor of 3 at most.
    assert np.abs(deviations).max() < 4
    assert np.mean(np.abs(deviations) < 3) >= 0.95


def test_a_light_change_is_seen_where_independent_errors_would_hide_it() -> None:
    draw = np.random.default_rng(0)
    base = (SIGMA * draw.standard_normal(147_456)).astype(np.float32)
    model = (base * 1.005).astype(np.float32)
    found = change(model, base)
    assert found.value == pytest.approx(math.log(1.005), abs=3 * found.error)
    assert found.value > 3 * found.error
    apart = [differential_entropy(seen(w)[0]) for w in (model, base)]
    assert all(apart)
    assert found.value < math.hypot(*(each.error for each in apart if each)) * 3


def test_the_same_weights_have_not_changed() -> None:
    base = (SIGMA * np.random.default_rng(1).standard_normal(10_000)).astype(np.float32)
    assert change(base, base) == Entropy(0.0, 0.0)
