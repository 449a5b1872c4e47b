"""The pass over two checkpoints: sums are numpy's, bytes are read once, memory is bounded."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.memory_checkpoint import (
    FLOATS,
    EndlessReader,
    MemoryReader,
    encode,
    random_values,
    stored,
)

from thermoscan.anatomy.model import Layer, Role
from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType
from thermoscan.tally import accumulate, stream
from thermoscan.tally.geometry import pieces_of
from thermoscan.tally.pairing import PairPart
from thermoscan.tally.record import PairColumn
from thermoscan.tally.side_by_side import Readers, Twin, TwinReading, read_twins
from thermoscan.tally.sketch import rank_of
from thermoscan.tally.stream import JOB_BYTES, Order


def layer(name: str, shape: tuple[int, int], *, axis: int = 0, start: int = 0) -> Layer:
    return Layer(
        name=name, tensor="w", role=Role.LINEAR, shape=shape, fan_in=shape[1],
        out_axis=axis, start=start, stop=start + shape[0],
    )  # fmt: skip


def order(tensor: Tensor, layers: list[Layer] | None = None) -> Order:
    whole = (tensor.shape[0], math.prod(tensor.shape[1:]))
    return Order(tensor, pieces_of(tensor, layers or [layer("w", whole)], {}))


def read(twin: Twin, model: MemoryReader, base: MemoryReader, workers: int = 2) -> TwinReading:
    readers = Readers(model, base)
    (found,) = read_twins([twin], readers, accumulate.visit, workers, lambda _: None)
    return found


def pair(
    model: torch.Tensor, base: torch.Tensor, types: tuple[DType, DType], **more: bool
) -> tuple[TwinReading, np.ndarray, np.ndarray]:
    """Reads two tensors side by side; returns the reading and the values that are stored."""
    orders, readers, exact = [], [], []
    for values, dtype in zip((model, base), types, strict=True):
        content, stored_values = encode(values.contiguous(), dtype)
        tensor, reader = stored(content, dtype, tuple(values.shape))
        orders.append(order(tensor))
        readers.append(reader)
        exact.append(stored_values.numpy().reshape(values.shape))
    common = min(model.numel(), base.numel())
    return read(Twin(orders[0], orders[1], common, **more), *readers), exact[0], exact[1]


def assert_sums(part: PairPart, a: np.ndarray, b: np.ndarray, segment: int = 0) -> None:
    a, b = a.ravel(), b.ravel()
    finite = np.isfinite(a) & np.isfinite(b)
    equal = int(((a == b) | (np.isnan(a) & np.isnan(b))).sum())
    a, b = a[finite], b[finite]
    expected = [a.size, equal, (a * b).sum(), (a**2).sum(), (b**2).sum()]
    expected += [((a - b) ** 2).sum(), ((a**2 - b**2) ** 2).sum()]
    np.testing.assert_allclose(part.sums[segment], expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("types", list(itertools.product(FLOATS, FLOATS)), ids=str)
def test_sums_over_pairs_of_any_two_types_are_those_of_numpy(types: tuple[DType, DType]) -> None:
    model, base = random_values(70, 61, seed=1, scale=1.0), random_values(70, 61, seed=2, scale=1.0)
    model[:9] = base[:9]  # some that may be equal
    found, a, b = pair(model, base, types)
    ((_, part),) = found.pairs
    assert_sums(part, a, b)


@pytest.mark.parametrize("dtype", [DType.F64, DType.F32, DType.F16, DType.BF16])
def test_pairs_that_are_not_finite_are_left_out_and_equal_ones_counted(dtype: DType) -> None:
    model, base = random_values(50, 50, seed=3), random_values(50, 50, seed=4)
    model[3, 4], model[5, 6], base[7, 8] = math.nan, math.inf, -math.inf
    model[9, 9] = base[9, 9] = math.nan
    found, a, b = pair(model, base, (dtype, dtype))
    ((_, part),) = found.pairs
    assert part.sums[0, PairColumn.COUNT] == 2500 - 4
    assert_sums(part, a, b)


def test_a_small_difference_is_not_lost_between_large_numbers() -> None:
    base = random_values(200, 100, seed=5, scale=1.0) + 1000
    model = (base.double() + 2.0**-13).float()
    found, a, b = pair(model, base, (DType.F32, DType.F32))
    ((_, part),) = found.pairs
    assert part.sums[0, PairColumn.DIFFERENCE_SQUARE] == pytest.approx(
        ((a - b) ** 2).sum(), rel=1e-12
    )


@pytest.mark.parametrize("types", [(DType.F32, DType.F32), (DType.BF16, DType.F32)], ids=str)
def test_a_tensor_of_many_blocks_is_paired_and_read_once(types: tuple[DType, DType]) -> None:
    shape = (5003, 4001)  # 80 MB in F32: several blocks, rows across chunks and blocks
    model, base = random_values(*shape, seed=6), random_values(*shape, seed=7)
    contents = [encode(values, dtype) for values, dtype in zip((model, base), types, strict=True)]
    sides = [
        stored(content, dtype, shape)
        for (content, _), dtype in zip(contents, types, strict=True)
    ]  # fmt: skip
    assert len(contents[1][0]) > 2 * JOB_BYTES
    twin = Twin(order(sides[0][0]), order(sides[1][0]), model.numel())
    found = read(twin, sides[0][1], sides[1][1])
    ((_, part),) = found.pairs
    a, b = (exact.numpy() for _, exact in contents)
    assert_sums(part, a, b)
    assert found.model and found.base
    for reading, values in ((found.model, a), (found.base, b)):
        assert reading.tallies["w"].moments.second == pytest.approx((values**2).mean(), rel=1e-9)
    for (content, _), (_, reader) in zip(contents, sides, strict=True):
        assert sum(size * times for (_, size), times in reader.reads.items()) == len(content)
        assert len({offset for offset, _ in reader.reads}) == reader.reads.total()
    alone = stream.read([order(sides[0][0])], sides[0][1], accumulate.visit, 2, lambda _: None)
    assert next(iter(alone)).digest == found.model.digest


@pytest.mark.parametrize("axis", [0, 1])
def test_each_part_of_a_fused_tensor_has_its_own_sums(axis: int) -> None:
    shape = (96, 64) if axis == 0 else (64, 96)
    model, base = random_values(*shape, seed=8), random_values(*shape, seed=9)
    layers = [
        layer(name, (32, 64), axis=axis, start=32 * k) for k, name in enumerate(("q", "k", "v"))
    ]
    sides = [stored(encode(values, DType.F32)[0], DType.F32, shape) for values in (model, base)]
    twin = Twin(order(sides[0][0], layers), order(sides[1][0], layers), model.numel())
    found = read(twin, sides[0][1], sides[1][1])
    parts = {
        name: (part, segment)
        for piece, part in found.pairs
        for segment, name in enumerate(piece.layers)
    }
    for k, name in enumerate(("q", "k", "v")):
        chosen = [slice(None), slice(None)]
        chosen[axis] = slice(32 * k, 32 * (k + 1))
        a, b = (values.double().numpy()[tuple(chosen)] for values in (model, base))
        assert_sums(parts[name][0], a, b, parts[name][1])


LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda w: w,
    "transposed": lambda w: w.T.contiguous().T,
    "gaps": lambda w: torch.cat([w, w], dim=1)[:, : w.shape[1]],
}


@pytest.mark.parametrize("layouts", list(itertools.product(LAYOUTS, LAYOUTS)), ids=str)
def test_layouts_that_differ_are_paired_by_logical_index(layouts: tuple[str, str]) -> None:
    values = [random_values(40, 30, seed=seed) for seed in (10, 11)]
    orders, readers = [], []
    for each, layout in zip(values, layouts, strict=True):
        view = LAYOUTS[layout](each)
        storage = torch.empty(0, dtype=torch.uint8).set_(view.untyped_storage())
        strides = None if view.is_contiguous() else tuple(view.stride())
        orders.append(order(Tensor("w", DType.F32, (40, 30), "memory", 0, strides=strides)))
        readers.append(MemoryReader(storage.numpy().tobytes()))
    relaid = (layouts[0] == "transposed") != (layouts[1] == "transposed")
    found = read(Twin(orders[0], orders[1], 1200, relaid), *readers)
    ((_, part),) = found.pairs
    assert_sums(part, *(each.double().numpy() for each in values))


@pytest.mark.parametrize("rows", [(70, 40), (40, 70)])
def test_rows_that_one_of_them_lacks_are_counted_and_not_paired(rows: tuple[int, int]) -> None:
    model, base = random_values(rows[0], 30, seed=12), random_values(rows[1], 30, seed=13)
    found, a, b = pair(model, base, (DType.F32, DType.F32))
    ((_, part),) = found.pairs
    assert_sums(part, a[:40], b[:40])
    assert found.model and found.model.tallies["w"].count == a.size
    assert found.base and found.base.tallies["w"].count == b.size


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [DType.F32, DType.BF16])
def test_the_sketch_has_the_rank_of_the_difference(dtype: DType, turned: bool) -> None:
    base = random_values(900, 700, seed=14)
    change = (
        0.02 * random_values(900, 5, seed=15, scale=1) @ random_values(5, 700, seed=16, scale=1)
    )
    contents = [encode(values, dtype)[0] for values in (base + change, base)]
    shape = (900, 700)
    layers = [layer("w", (700, 900), axis=1)] if turned else [layer("w", shape)]
    sides = [stored(content, dtype, shape) for content in contents]
    twin = Twin(order(sides[0][0], layers), order(sides[1][0], layers), base.numel(), sketched=True)
    ((_, part),) = read(twin, sides[0][1], sides[1][1]).pairs
    assert part.sketch is not None and part.sketch.products is not None
    spread = float((base + change).std())
    noise = spread * 2.0 ** (1 - (24 if dtype is DType.F32 else 8)) / math.sqrt(6)
    assert rank_of(part.sketch.products[0], 700, noise) == 5


def peak_of(count: int) -> int:
    twins = []
    for k in range(count):
        tensor = Tensor(f"t{k}", DType.BF16, (2048, 4096), "memory", 0)
        one = Order(tensor, pieces_of(tensor, [layer(f"t{k}", (2048, 4096))], {}))
        twins.append(Twin(one, one, tensor.size, sketched=True))
    tracemalloc.start()
    readers = Readers(EndlessReader(0), EndlessReader(1))
    for _ in read_twins(twins, readers, accumulate.visit, 2, lambda _: None):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_checkpoints() -> None:
    small, large = peak_of(4), peak_of(16)
    assert large < 1.3 * small + (4 << 20)
    assert large < 120 << 20
