"""The compiled kernels agree with the numpy reference, and the reference with torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.memory_checkpoint import FLOATS, TORCH_TYPES, encode, random_values

from thermoscan.dtypes import DType
from thermoscan.tally import accumulate, reference
from thermoscan.tally.accumulate import Accumulator, bits_of
from thermoscan.tally.finish import part_of, tallies
from thermoscan.tally.geometry import InputWeights, Piece
from thermoscan.tally.record import Column, Tally
from thermoscan.tally.witness import new_witness

LABELS = [dtype.label for dtype in FLOATS]


def run(
    visit: accumulate.Visit, piece: Piece, dtype: DType, content: bytes, chunks: list[int]
) -> Accumulator:
    sums = Accumulator(piece, dtype)
    bits = bits_of(memoryview(content), dtype)
    start = 0
    for end in [*chunks, bits.size]:
        visit(sums, bits[start:end], start)
        start = end
    return sums


def assert_same(one: Accumulator, other: Accumulator) -> None:
    for segment in range(len(one.piece.layers)):
        for a, b in zip(
            accumulate.segment_patterns(one, segment),
            accumulate.segment_patterns(other, segment),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
    relative = 1e-9 if one.dtype.itemsize >= 4 else 3e-6  # narrow runs are summed in float32
    for name in ("energy", "gained"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=relative, atol=1e-300
        )
    scale = np.sqrt(one.gained.max(initial=0) * max(one.piece.post, one.piece.outer))
    np.testing.assert_allclose(
        one.shifted, other.shifted, rtol=relative, atol=1e-6 * scale + 1e-300
    )
    for column in Column:
        if column not in (Column.PIVOT, Column.SUM, Column.CUBES):
            np.testing.assert_allclose(one.moments[:, column], other.moments[:, column], rtol=1e-9)


def nasty(size: int, seed: int) -> torch.Tensor:
    """Normal values with NaN, infinities, zeros of both signs, denormals, huge ones among them."""
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(size).astype(np.float32)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, 1e-7, 3.4e38, 1e25, -60000.0]
    places = generator.integers(0, size, size // 10)
    values[places] = generator.choice(np.array(special, np.float32), len(places))
    return torch.from_numpy(values)


@settings(max_examples=60, deadline=None)
@given(
    label=st.sampled_from(LABELS),
    outer=st.sampled_from([1, 1, 3, 40]),
    units=st.integers(1, 40),
    post=st.sampled_from([1, 2, 7, 63, 2049, 5000]),
    seed=st.integers(0, 1000),
    clean=st.booleans(),
    weighted=st.booleans(),
    cuts=st.lists(st.floats(0, 1), max_size=3),
)
def test_kernels_equal_the_reference_for_any_geometry_and_any_chunks(
    label: str,
    outer: int,
    units: int,
    post: int,
    seed: int,
    clean: bool,
    weighted: bool,
    cuts: list[float],
) -> None:
    dtype = DType[label]
    size = outer * units * post
    values = random_values(size, seed=seed) if clean else nasty(size, seed)
    content, _ = encode(values, dtype)
    weights = None
    if weighted:
        by_outer = outer > 1 or post == 1
        generator = np.random.default_rng(seed)
        gain, shift = generator.standard_normal((2, outer if by_outer else post)).astype(np.float32)
        weights = InputWeights(gain, shift, by_outer)
    middle = units // 2
    bounds = (0, middle, units) if middle else (0, units)
    piece = Piece(0, outer, units, post, tuple("ab"[: len(bounds) - 1]), bounds, weights)
    chunks = sorted(int(cut * size) for cut in cuts)
    native = run(accumulate.visit, piece, dtype, content, chunks)
    assert_same(native, run(reference.visit, piece, dtype, content, chunks))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_reference_reads_values_as_torch_does(dtype: DType) -> None:
    width = 8 * min(dtype.itemsize, 2)
    patterns = torch.arange(2**width, dtype=torch.int64).to(
        torch.uint16 if width == 16 else torch.uint8
    )
    if dtype.itemsize > 2:
        patterns = (
            torch.arange(2**16, dtype=torch.int64) << (8 * dtype.itemsize - 16) | 12345
        ).view(torch.uint8)
    content = patterns.view(torch.uint8).numpy().tobytes()
    expected = (
        torch.frombuffer(bytearray(content), dtype=TORCH_TYPES[dtype]).to(torch.float64).numpy()
    )
    np.testing.assert_array_equal(
        reference.values(bits_of(memoryview(content), dtype), dtype), expected
    )


def tally(values: torch.Tensor, dtype: DType, units: int) -> tuple[Tally, np.ndarray]:
    content, rounded = encode(values, dtype)
    piece = Piece(0, 1, units, values.numel() // units, ("w",), (0, units))
    sums = run(accumulate.visit, piece, dtype, content, [])
    witness = (
        new_witness(dtype).see(bits_of(memoryview(content), dtype)) if dtype.itemsize >= 4 else None
    )
    (found,) = tallies(piece, dtype, part_of(sums, witness))
    return found, rounded.numpy().ravel()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_moments_equal_numpy_in_float64(dtype: DType, shift: float) -> None:
    found, w = tally(random_values(300, 512, seed=3, scale=0.4) + shift, dtype, 300)
    moments = found.moments
    assert moments.count == w.size
    d = w - w.mean()
    expected = [
        w.mean(),
        (w**2).mean(),
        (w**4).mean(),
        (d**2).mean(),
        (d**4).mean() / (d**2).mean() ** 2,
    ]
    got = [moments.mean, moments.second, moments.fourth, moments.variance, moments.kurtosis]
    np.testing.assert_allclose(got[1:], expected[1:], rtol=1e-9)
    assert abs(got[0] - expected[0]) < 1e-9 * np.sqrt(moments.second)
    assert (moments.minimum, moments.maximum) == (w.min(), w.max())
    assert found.zeros == (w == 0).sum()
    rows = (w.reshape(300, 512) ** 2).sum(axis=1)
    np.testing.assert_allclose(found.units.energy, rows, rtol=3e-6)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_nan_and_infinities_leave_every_other_figure_as_it_is(dtype: DType) -> None:
    clean = random_values(64, 256, seed=5, scale=1.0)
    clean[3, 7] = clean[3, 8] = clean[9, 0] = 0.0
    spoiled = clean.clone()
    has_infinities = dtype is not DType.F8_E4M3
    infinity = torch.inf if has_infinities else torch.nan
    spoiled[3, 7], spoiled[3, 8], spoiled[9, 0] = torch.nan, infinity, -infinity
    before, _ = tally(clean, dtype, 64)
    after, w = tally(spoiled, dtype, 64)
    nan = int(np.isnan(w).sum())
    assert (after.nan, after.infinite) == (nan, 3 - nan)
    assert nan == (
        3 if dtype is DType.F8_E4M3 else 1
    )  # E4M3 has no infinities: torch makes them NaN
    assert after.count == 64 * 256
    assert after.moments.count == before.moments.count - 3
    np.testing.assert_allclose(after.moments.m2, before.moments.m2, rtol=1e-6)
    np.testing.assert_allclose(after.units.energy, before.units.energy, rtol=3e-6)
    assert before.entropy is not None
    assert after.entropy is not None
    assert after.entropy.value == pytest.approx(before.entropy.value, abs=2e-3)


@pytest.mark.parametrize(("dtype", "bits"), [(DType.BF16, 16), (DType.F16, 16), (DType.F8_E4M3, 8)])
def test_discrete_entropy_of_narrow_floats_is_that_of_their_patterns(
    dtype: DType, bits: int
) -> None:
    content, _ = encode(random_values(256, 256, seed=8), dtype)
    found, _ = tally(random_values(256, 256, seed=8), dtype, 256)
    _, counts = np.unique(
        np.frombuffer(content, np.uint16 if bits == 16 else np.uint8), return_counts=True
    )
    p = counts / counts.sum()
    assert found.bits == pytest.approx(-(p * np.log2(p)).sum(), rel=1e-12)
    assert found.levels == len(counts)


def test_float32_that_fits_a_narrower_type_is_told() -> None:
    values = random_values(64, 128, seed=2, scale=1e-4)
    assert tally(values, DType.F32, 64)[0].fits == ()
    assert tally(values.to(torch.bfloat16).float(), DType.F32, 64)[0].fits == ("BF16",)
    half = tally(values.half().float(), DType.F32, 64)[0]
    assert half.fits == ("F16",)
    assert half.bits < 19
    assert tally((values * 1e4).round(), DType.F32, 64)[0].fits == ("BF16", "F16")
    assert tally(values.double(), DType.F64, 64)[0].fits == ("F32",)
    assert tally(values.double() / 3, DType.F64, 64)[0].fits == ()


def test_levels_are_counted_where_they_are_few() -> None:
    few = (random_values(64, 128, seed=2) * 500).round() / 500
    found, w = tally(few, DType.F32, 64)
    assert found.levels == len(np.unique(w.astype(np.float32).view(np.uint32)))
    assert tally(random_values(64, 128, seed=2), DType.F32, 64)[0].levels is None


def test_zeros_of_a_sparse_layer_are_an_atom_and_no_part_of_its_entropy() -> None:
    dense = random_values(512, 512, seed=4)
    sparse = torch.cat([dense, torch.zeros(512, 512)])
    for dtype in (DType.F32, DType.BF16, DType.F16):
        whole, _ = tally(dense, dtype, 512)
        half, _ = tally(sparse, dtype, 1024)
        assert half.atom == pytest.approx(512 * 512, abs=10)
        assert whole.entropy is not None
        assert half.entropy is not None
        assert half.entropy.value == pytest.approx(whole.entropy.value, abs=1e-3)
        assert half.temperature == pytest.approx(whole.temperature, rel=1e-4)


def test_zeros_that_rounding_makes_are_no_atom() -> None:
    found, w = tally(random_values(512, 512, seed=4), DType.F8_E4M3, 512)
    assert (w == 0).sum() > 5000
    assert found.atom == 0


def test_clipped_values_pile_up_at_the_extremes() -> None:
    values = random_values(512, 512, seed=6)
    for dtype in (DType.F32, DType.BF16):
        calm, _ = tally(values, dtype, 512)
        assert calm.at_extremes < 10
        clipped, _ = tally(values.clamp(-0.04, 0.04), dtype, 512)
        assert clipped.at_extremes > 8000
        assert clipped.at_extremes > 10 * clipped.near_extremes


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [0.0, 0.125])
def test_a_constant_layer_has_moments_and_no_entropy(dtype: DType, value: float) -> None:
    found, _ = tally(torch.full((8, 16), value), dtype, 8)
    assert found.moments.mean == value
    assert found.moments.variance == 0
    assert found.moments.kurtosis is None
    assert found.entropy is None
    assert found.entropy_reason


def test_only_nan_has_no_moments() -> None:
    found, _ = tally(torch.full((4, 4), torch.nan), DType.F32, 4)
    assert (found.nan, found.moments.count, found.degrees, found.temperature) == (16, 0, 0, None)
    assert found.entropy_reason == "no finite values"
