"""The pass reads every byte once, whatever the layout, and puts its blocks together exactly."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import xxhash
from support.memory_checkpoint import EndlessReader, MemoryReader, encode, random_values, stored

from thermoscan.anatomy.model import Layer, Role
from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType
from thermoscan.errors import ChangedError
from thermoscan.tally import accumulate, stream
from thermoscan.tally.geometry import Weights, pieces_of, whole
from thermoscan.tally.record import Tally
from thermoscan.tally.stream import JOB_BYTES, Block, Order, Reading


def layer(
    name: str, shape: tuple[int, int], *, axis: int = 0, start: int = 0, group: int | None = None
) -> Layer:
    return Layer(
        name=name, tensor="w", role=Role.LINEAR, shape=shape, fan_in=shape[1],
        out_axis=axis, start=start, stop=start + shape[0], group=group,
    )  # fmt: skip


def read(orders: list[Order], reader: MemoryReader, workers: int = 2) -> list[Reading]:
    return list(stream.read(orders, reader, accumulate.visit, workers, lambda _: None))


def tallies(
    values: torch.Tensor,
    dtype: DType,
    layers: list[Layer],
    weights: dict[str, Weights] | None = None,
) -> dict[str, Tally]:
    content, _ = encode(values.contiguous(), dtype)
    tensor, reader = stored(content, dtype, tuple(values.shape))
    (found,) = read([Order(tensor, pieces_of(tensor, layers, weights or {}))], reader)
    return found.tallies


def test_a_tensor_of_many_blocks_is_put_together_exactly() -> None:
    values = random_values(
        4500, 5003, seed=1
    )  # 50 MB: four blocks, the last one short, rows across blocks
    content, exact = encode(values, DType.F32)
    assert len(content) > 2 * JOB_BYTES
    tensor, reader = stored(content, DType.F32, (4500, 5003))
    (found,) = read([Order(tensor, pieces_of(tensor, [layer("w", (4500, 5003))], {}))], reader)
    tally = found.tallies["w"]
    w = exact.numpy()
    assert tally.moments.count == w.size
    assert tally.moments.second == pytest.approx((w**2).mean(), rel=1e-9)
    assert tally.moments.fourth == pytest.approx((w**4).mean(), rel=1e-9)
    np.testing.assert_allclose(tally.units.energy, (w**2).sum(axis=1), rtol=1e-9)
    blocks = [content[k : k + JOB_BYTES] for k in range(0, len(content), JOB_BYTES)]
    joined = b"".join(xxhash.xxh3_128_digest(block) for block in blocks)
    assert found.digest == xxhash.xxh3_128_hexdigest(joined)
    assert sum(size for (_, size), times in reader.reads.items() for _ in range(times)) == len(
        content
    )
    assert len({offset for offset, _ in reader.reads}) == reader.reads.total()


def test_the_number_of_workers_does_not_change_a_single_bit() -> None:
    values = random_values(9000, 4096, seed=2)
    content, _ = encode(values, DType.BF16)
    tensor, reader = stored(content, DType.BF16, (9000, 4096))
    order = Order(tensor, pieces_of(tensor, [layer("w", (9000, 4096))], {}))
    one, three = read([order], reader, 1)[0], read([order], reader, 3)[0]
    assert one.digest == three.digest
    a, b = one.tallies["w"], three.tallies["w"]
    assert (a.moments, a.entropy, a.bits) == (b.moments, b.entropy, b.bits)
    np.testing.assert_array_equal(a.units.energy, b.units.energy)


def test_parts_along_rows_and_parts_along_columns_are_the_same_matrices() -> None:
    values = random_values(96, 64, seed=3)  # three parts of 32 outputs
    gain, shift = random_values(2, 64, seed=4, scale=1.0).numpy()
    names = ["query", "key", "value"]
    rows = [layer(name, (32, 64), start=32 * k) for k, name in enumerate(names)]
    columns = [layer(name, (32, 64), start=32 * k, axis=1) for k, name in enumerate(names)]
    weights = dict.fromkeys(names, (gain, shift))
    by_rows = tallies(values, DType.F32, rows, weights)
    by_columns = tallies(values.T, DType.F32, columns, weights)
    for k, name in enumerate(names):
        part = values[32 * k : 32 * (k + 1)].double().numpy()
        for found in (by_rows[name], by_columns[name]):
            assert found.moments.second == pytest.approx((part**2).mean(), rel=1e-9)
            np.testing.assert_allclose(found.units.energy, (part**2).sum(axis=1), rtol=1e-6)
            assert found.units.gained is not None
            np.testing.assert_allclose(
                found.units.gained, ((part * gain) ** 2).sum(axis=1), rtol=1e-6
            )
            np.testing.assert_allclose(found.units.shifted, part @ shift, atol=1e-6)


@pytest.mark.parametrize("axis", [1, 2])
def test_stacked_experts_are_one_matrix_each(axis: int) -> None:
    values = random_values(5, 24, 16, seed=5)
    outputs = values.shape[axis]
    inputs = 24 * 16 // outputs
    layers = [layer(f"e{g}", (outputs, inputs), axis=axis, group=g) for g in range(5)]
    found = tallies(values, DType.BF16, layers)
    rounded = values.to(torch.bfloat16).double().numpy()
    for g in range(5):
        energy = (rounded[g] ** 2).sum(axis=2 - axis)
        np.testing.assert_allclose(found[f"e{g}"].units.energy, energy, rtol=1e-6)
        assert found[f"e{g}"].moments.second == pytest.approx((rounded[g] ** 2).mean(), rel=1e-9)


def test_a_convolution_spreads_channel_weights_over_its_kernel() -> None:
    values = random_values(8, 6, 3, 3, seed=6)
    gain, shift = random_values(2, 6, seed=7, scale=1.0).numpy()
    found = tallies(values, DType.F32, [layer("conv", (8, 54))], {"conv": (gain, shift)})["conv"]
    weighted = (values.double().numpy() * gain[None, :, None, None]) ** 2
    np.testing.assert_allclose(found.units.gained, weighted.sum(axis=(1, 2, 3)), rtol=1e-6)


def storage_bytes(view: torch.Tensor) -> bytes:
    """Returns all bytes of the storage that a view looks at."""
    storage = view.untyped_storage()
    return torch.empty(0, dtype=torch.uint8).set_(storage).numpy().tobytes()


LAYOUTS = {
    "transposed": lambda w: w.T,
    "channels last": lambda w: w.reshape(20, 4, 3, 5).to(memory_format=torch.channels_last),
    "slice of columns": lambda w: w[:, 7:40],
    "every other row": lambda w: w[::2],
    "every third column of a transposed slice": lambda w: w.T[10:50, ::3],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_layout_gives_the_figures_of_the_logical_tensor(name: str) -> None:
    storage = random_values(20, 60, seed=8)
    view = LAYOUTS[name](storage)
    content = storage_bytes(view)
    tensor = Tensor(
        "w", DType.F32, tuple(view.shape), "memory", 4 * view.storage_offset(),
        strides=None if view.is_contiguous() else tuple(view.stride()),
    )  # fmt: skip
    shape = (view.shape[0], math.prod(view.shape[1:]))
    reader = MemoryReader(content)
    (found,) = read([Order(tensor, pieces_of(tensor, [layer("w", shape)], {}))], reader)
    w = view.double().numpy().reshape(shape)
    tally = found.tallies["w"]
    assert tally.moments.count == w.size
    assert tally.moments.fourth == pytest.approx((w**4).mean(), rel=1e-9)
    np.testing.assert_allclose(tally.units.energy, (w**2).sum(axis=1), rtol=1e-9)


def test_a_gap_wider_than_the_data_is_not_read() -> None:
    storage = torch.zeros(64, 1 << 16)
    storage[:, :512] = random_values(64, 512, seed=9)
    view = storage[:, :512]
    tensor = Tensor("w", DType.F32, (64, 512), "memory", 0, strides=tuple(view.stride()))
    reader = MemoryReader(storage.numpy().tobytes())
    (found,) = read([Order(tensor, pieces_of(tensor, [layer("w", (64, 512))], {}))], reader)
    assert found.tallies["w"].moments.second == pytest.approx(
        float((view.double() ** 2).mean()), rel=1e-9
    )
    assert sum(size for _, size in reader.reads) == 64 * 512 * 4


def test_tensors_come_back_in_order_with_their_own_digests() -> None:
    content = random_values(300, 40, seed=10).numpy().tobytes()
    orders = []
    for k in range(300):
        tensor = Tensor(f"t{k}", DType.F32, (40,), "memory", 160 * k)
        orders.append(Order(tensor, (whole(tensor),) if k % 3 else ()))
    found = read(orders, MemoryReader(content))
    assert [each.tensor.name for each in found] == [f"t{k}" for k in range(300)]
    for k, each in enumerate(found):
        assert each.digest == xxhash.xxh3_128_hexdigest(content[160 * k : 160 * (k + 1)])
        assert set(each.tallies) == ({f"t{k}"} if k % 3 else set())


def test_an_empty_tensor_has_a_digest_and_no_tally() -> None:
    tensor = Tensor("w", DType.F32, (0, 4), "memory", 0)
    (found,) = read([Order(tensor, ())], MemoryReader(b""))
    assert found.digest == xxhash.xxh3_128_hexdigest(b"")


class AnnouncedReader(MemoryReader):
    """Keeps what was announced to it, and whether that is still so."""

    def __init__(self) -> None:
        super().__init__(b"")
        self.announced: list[tuple[str, int, int]] = []
        self.open = 0

    @contextmanager
    def expect(self, file: str, offset: int, length: int) -> Iterator[None]:
        self.announced.append((file, offset, length))
        self.open += 1
        yield
        self.open -= 1


def at(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...] | None = None, file: str = "a"
) -> tuple[Tensor, Block]:
    """A float32 tensor at a place, all of it."""
    tensor = Tensor("w", DType.F32, shape, file, offset, strides)
    return tensor, Block(0, 0, tensor.nbytes)


GAP = 1 << 16
"""The widest gap that is read over."""

EXPECTED = {
    "nothing": ([], []),
    "neighbours": ([at(100, (10,)), at(140, (5,)), at(160, (2,))], [("a", 100, 68)]),
    "padding": ([at(100, (10,)), at(192, (5,))], [("a", 100, 112)]),
    "the widest gap": ([at(0, (10,)), at(40 + GAP, (1,))], [("a", 0, 44 + GAP)]),
    "too wide a gap": (
        [at(0, (10,)), at(41 + GAP, (1,))],
        [("a", 0, 40), ("a", 41 + GAP, 4)],
    ),
    "backwards": ([at(140, (5,)), at(100, (10,))], [("a", 140, 20), ("a", 100, 40)]),
    "two files": ([at(0, (10,)), at(40, (5,), file="b")], [("a", 0, 40), ("b", 40, 20)]),
    "a transposed matrix": ([at(8, (4, 3), (1, 4))], [("a", 8, 48)]),
    "columns, which are read in runs": ([at(0, (4, 3), (8, 1)), at(200, (2,))], [("a", 200, 8)]),
    "a part of a large tensor": (
        [(at(100, (1000,))[0], Block(0, 400, 800)), (at(100, (1000,))[0], Block(0, 800, 4000))],
        [("a", 500, 3600)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_neighbours_are_announced_as_one_range_for_as_long_as_they_are_read(name: str) -> None:
    blocks, ranges = EXPECTED[name]
    reader = AnnouncedReader()
    with stream.expecting(reader, blocks):
        assert reader.announced == ranges
        assert reader.open == len(ranges)
    assert reader.open == 0


class ShrinkingReader(MemoryReader):
    """Fails after a while, as a file that is cut short does."""

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        if offset > JOB_BYTES:
            raise ChangedError("file-changed", "it was cut short", file=file)
        super().readinto(file, offset, buffer)


def test_a_file_cut_short_during_the_pass_ends_it_with_its_error() -> None:
    content, _ = encode(random_values(3000, 4096, seed=2), DType.F32)
    tensor = Tensor("w", DType.F32, (3000, 4096), "memory", 0)
    order = Order(tensor, pieces_of(tensor, [layer("w", (3000, 4096))], {}))
    with pytest.raises(ChangedError, match="cut short"):
        read([order], ShrinkingReader(content))


def peak_of(count: int) -> int:
    def orders() -> Iterator[Order]:
        for k in range(count):
            tensor = Tensor(f"t{k}", DType.BF16, (2048, 4096), "memory", 0)
            yield Order(tensor, pieces_of(tensor, [layer(f"t{k}", (2048, 4096))], {}))

    tracemalloc.start()
    for _ in stream.read(list(orders()), EndlessReader(), accumulate.visit, 2, lambda _: None):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_checkpoint() -> None:
    small, large = peak_of(4), peak_of(16)
    assert large < 1.3 * small + (4 << 20)
    assert large < 60 << 20
