"""Spectra: every layout gives the singular values of the matrix that torch would build."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.memory_checkpoint import FLOATS, encode, random_values, stored

from thermoscan.anatomy.model import Layer, Role
from thermoscan.checkpoint import ByteReader
from thermoscan.dtypes import DType
from thermoscan.spectra import gram, matrices
from thermoscan.spectra.describing import spectrum_of
from thermoscan.spectra.gram import OUT_OF_RANGE, Eigenvalues, Shape, eigenvalues, gram_of
from thermoscan.spectra.matrices import Matrix, matrices_of
from thermoscan.spectra.shuffling import shuffled_eigenvalues
from thermoscan.theory.entropy import FloatArray, IntArray
from thermoscan.theory.no_fit import NoFit

EPS = np.finfo(np.float64).eps


def layer(
    name: str,
    shape: tuple[int, int],
    *,
    axis: int = 0,
    start: int = 0,
    group: int | None = None,
    role: Role = Role.LINEAR,
) -> Layer:
    return Layer(
        name=name, tensor="w", role=role, shape=shape, fan_in=shape[1],
        out_axis=axis, start=start, stop=start + shape[0], group=group,
    )  # fmt: skip


def taken(
    values: torch.Tensor, layers: list[Layer], *, sliced: bool = False, dtype: DType = DType.F32
) -> tuple[dict[str, Eigenvalues], FloatArray]:
    """The eigenvalues of every layer of one tensor, and the tensor as it was rounded."""
    dense = values if values.is_contiguous() else values.permute(_memory(values)).contiguous()
    content, _ = encode(dense, dtype)
    strides = None if values.is_contiguous() else values.stride()
    tensor, reader = stored(content, dtype, tuple(values.shape), strides=strides)
    found = {}
    for matrix in matrices_of(tensor, layers):
        each = _one(matrix, reader, sliced)
        assert isinstance(each, Eigenvalues)
        found[matrix.layer] = each
    return found, encode(values, dtype)[1].numpy() if strides is None else values.double().numpy()


def _one(
    matrix: Matrix, reader: ByteReader, sliced: bool = False, chosen: IntArray | None = None
) -> Eigenvalues | NoFit:
    (found,) = eigenvalues([gram_of(matrix, reader, Shape.of(matrix, sliced), chosen)])
    return found


def _memory(values: torch.Tensor) -> list[int]:
    return sorted(range(values.ndim), key=lambda axis: -values.stride(axis))


def squares(matrix: FloatArray) -> FloatArray:
    found: FloatArray = np.sort(np.linalg.svd(matrix, compute_uv=False) ** 2)
    return found


def assert_same(found: Eigenvalues, *oracle: FloatArray) -> None:
    expected = np.sort(np.concatenate([squares(each) for each in oracle]))
    tolerance = found.rows * EPS * expected[-1]
    np.testing.assert_allclose(found.pooled, expected, rtol=0, atol=tolerance)


@pytest.fixture(params=["one block", "many blocks", "read run by run"], autouse=True)
def _cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "one block":
        monkeypatch.setattr(gram, "BLOCK_ELEMENTS", (60, 60))
        monkeypatch.setattr(matrices, "CHUNK_BYTES", 64)
    if request.param == "read run by run":
        monkeypatch.setattr(matrices, "GAP_BYTES", 0)


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.label)
@pytest.mark.parametrize("shape", [(30, 12), (12, 30), (16, 16), (1, 9), (9, 1)])
def test_a_linear_layer_of_every_type_and_shape(shape: tuple[int, int], dtype: DType) -> None:
    found, w = taken(random_values(*shape, scale=1.0), [layer("w", shape)], dtype=dtype)
    assert_same(found["w"], w)
    assert (found["w"].rows, found["w"].columns) == (max(shape), min(shape))


@pytest.mark.parametrize("shape", [(30, 12), (12, 30), (16, 16)])
def test_a_transposed_layer_and_the_parts_of_a_fused_one(shape: tuple[int, int]) -> None:
    inputs, outputs = shape
    half = outputs // 2
    whole, w = taken(random_values(*shape), [layer("w", (outputs, inputs), axis=1)])
    assert_same(whole["w"], w)
    parts = [
        layer("a", (half, inputs), axis=1),
        layer("b", (outputs - half, inputs), axis=1, start=half),
    ]
    found, w = taken(random_values(*shape), parts)
    assert_same(found["a"], w[:, :half])
    assert_same(found["b"], w[:, half:])


def test_parts_along_the_rows() -> None:
    parts = [layer(name, (9, 14), start=9 * index) for index, name in enumerate("abc")]
    found, w = taken(random_values(27, 14), parts)
    for index, name in enumerate("abc"):
        assert_same(found[name], w[9 * index : 9 * index + 9])


@pytest.mark.parametrize("axis", [1, 2])
def test_experts_one_by_one(axis: int) -> None:
    shape = (3, 10, 14)
    sizes = (shape[axis], shape[3 - axis])
    layers = [layer(f"e{index}", sizes, axis=axis, group=index) for index in range(3)]
    found, w = taken(random_values(*shape), layers)
    for index in range(3):
        assert_same(found[f"e{index}"], w[index])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(20, 6, 3, 2), (6, 20, 3, 2), (8, 8, 5), (4, 3, 2, 2, 2)])
@pytest.mark.parametrize("memory", ["contiguous", "channels last"])
def test_a_convolution_unfolded_and_as_slices(
    shape: tuple[int, ...], axis: int, memory: str
) -> None:
    values = random_values(*shape)
    if memory == "channels last":
        order = (0, *range(2, len(shape)), 1)
        values = (
            values.permute(order).contiguous().permute(0, len(shape) - 1, *range(1, len(shape) - 1))
        )
    outputs, inputs = shape[axis], values.numel() // shape[axis]
    layers = [layer("w", (outputs, inputs), axis=axis, role=Role.CONVOLUTION)]
    unfolded, w = taken(values, layers)
    assert_same(unfolded["w"], np.moveaxis(w, axis, 0).reshape(outputs, -1))
    slices, _ = taken(values, layers, sliced=True)
    places = w.reshape(*shape[:2], -1)
    assert slices["w"].values.shape == (places.shape[2], min(shape[:2]))
    assert_same(slices["w"], *(places[:, :, place] for place in range(places.shape[2])))


def test_a_tensor_whose_elements_do_not_lie_together() -> None:
    base = random_values(40, 12)
    content, exact = encode(base, DType.F32)
    tensor, reader = stored(content, DType.F32, (20, 12), strides=(24, 1))
    (matrix,) = matrices_of(tensor, [layer("w", (20, 12))])
    found = _one(matrix, reader)
    assert isinstance(found, Eigenvalues)
    assert_same(found, exact.numpy()[::2])


def test_what_is_not_finite_counts_as_zero_and_is_counted() -> None:
    values = random_values(30, 12)
    values[3, 4], values[7, 1] = math.nan, -math.inf
    found, w = taken(values, [layer("w", (30, 12))])
    assert found["w"].non_finite == 2
    assert found["w"].largest_entry == np.abs(w[np.isfinite(w)]).max()
    assert_same(found["w"], np.where(np.isfinite(w), w, 0.0))


@pytest.mark.parametrize("entry", [1e200, 3e153, 1e-160, 1e-200])
def test_squares_out_of_range_have_a_reason(entry: float) -> None:
    content, _ = encode(torch.full((4, 3), entry, dtype=torch.float64), DType.F64)
    tensor, reader = stored(content, DType.F64, (4, 3))
    (matrix,) = matrices_of(tensor, [layer("w", (4, 3))])
    found = _one(matrix, reader)
    assert isinstance(found, NoFit) and "out of the range" in found.reason


def test_matrices_that_are_taken_together_keep_apart() -> None:
    first, second, third = (random_values(*size).double() for size in [(8, 5), (5, 6), (7, 5)])
    grams, oracles = [], []
    for values in (first, 1e200 * second, third):
        content, exact = encode(values, DType.F64)
        tensor, reader = stored(content, DType.F64, tuple(values.shape))
        (matrix,) = matrices_of(tensor, [layer("w", tuple(values.shape))])
        grams.append(gram_of(matrix, reader, Shape.of(matrix, sliced=False)))
        oracles.append(exact.numpy())
    one, none, other = eigenvalues(grams)
    assert isinstance(one, Eigenvalues) and isinstance(other, Eigenvalues)
    assert_same(one, oracles[0])
    assert_same(other, oracles[2])
    assert none is OUT_OF_RANGE


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_of_two_long_sides_some_of_the_smaller_are_drawn(shape: tuple[int, int]) -> None:
    content, exact = encode(random_values(*shape), DType.F32)
    tensor, reader = stored(content, DType.F32, shape)
    (matrix,) = matrices_of(tensor, [layer("w", shape)])
    chosen = np.array([1, 4, 5, 11])
    found = _one(matrix, reader, chosen=chosen)
    assert isinstance(found, Eigenvalues)
    assert (found.rows, found.columns, found.sampled) == (30, 4, 12)
    w = exact.numpy()
    assert_same(found, w[:, chosen] if shape == (30, 12) else w[chosen])


def test_a_rank_is_told_where_the_matrix_is_of_low_rank() -> None:
    rng = np.random.default_rng(5)
    low = rng.standard_normal((60, 7)) @ rng.standard_normal((7, 40))
    content, _ = encode(torch.from_numpy(low), DType.F64)
    tensor, reader = stored(content, DType.F64, (60, 40))
    (matrix,) = matrices_of(tensor, [layer("w", (60, 40))])
    found = _one(matrix, reader)
    assert isinstance(found, Eigenvalues)
    spectrum = spectrum_of(found)
    assert (spectrum.matrix_rank, spectrum.rank_loss) == (7, 33)


def test_shuffling_keeps_every_entry_and_loses_what_their_order_made() -> None:
    rng = np.random.default_rng(7)
    spike = np.outer(np.ones(60), np.ones(40))
    content, w = encode(torch.from_numpy(spike + 0.1 * rng.standard_normal((60, 40))), DType.F64)
    tensor, reader = stored(content, DType.F64, (60, 40))
    (matrix,) = matrices_of(tensor, [layer("w", (60, 40))])
    shape = Shape.of(matrix, sliced=False)
    found = shuffled_eigenvalues(matrix, reader, shape, None, np.random.default_rng(0))
    assert found.shape == (1, 40)
    assert found.sum() == pytest.approx(float((w**2).sum()), rel=1e-12)
    # The common mean stays where it was; all entries being alike, it is the one outlier.
    assert found[0, -1] == pytest.approx(60 * 40 * float(w.mean()) ** 2, rel=0.01)
    assert found[0, -2] < 1.1 * 0.01 * (60**0.5 + 40**0.5) ** 2


def test_slices_are_shuffled_each_by_itself() -> None:
    values = torch.zeros(8, 5, 2)
    values[:, :, 0] = random_values(8, 5)
    content, w = encode(values, DType.F32)
    tensor, reader = stored(content, DType.F32, (8, 5, 2))
    (matrix,) = matrices_of(tensor, [layer("w", (8, 10), role=Role.CONVOLUTION)])
    shape = Shape.of(matrix, sliced=True)
    found = shuffled_eigenvalues(matrix, reader, shape, None, np.random.default_rng(0))
    assert found[0].sum() == pytest.approx(float((w**2).sum()), rel=1e-12)
    assert not found[1].any()
    assert not np.allclose(found[0], squares(w[:, :, 0].numpy()), rtol=0.01)
