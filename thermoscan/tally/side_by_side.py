"""One pass over two checkpoints: every byte of both is read once, and hashed, and counted.

While a chunk of a tensor and the same chunk of its counterpart are in memory, their pairs are
summed (`thermoscan.tally.pairing`). Blocks are cut as `thermoscan.tally.stream` cuts the first
checkpoint alone, so that its tallies and digests are those of a plain scan.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from thermoscan.checkpoint import ByteReader, Tensor
from thermoscan.tally.accumulate import Bits, Visit, bits_of
from thermoscan.tally.geometry import Piece, memory_axes
from thermoscan.tally.layout import read_elements
from thermoscan.tally.pairing import Pairing, PairPart
from thermoscan.tally.stream import (
    JOB_BYTES,
    READ_BYTES,
    Assembly,
    Block,
    Counted,
    Counting,
    Order,
    Reading,
    batched,
    expecting,
    in_order,
)


@dataclass(frozen=True, slots=True)
class Twin:
    """A tensor of either checkpoint, or of one of them.

    Attributes:
        model: Of the first checkpoint; None where only the base has it.
        base: Of the base; None where only the first has it.
        common: Elements that correspond one by one, from the first on in the order of memory.
        relaid: Whether the base's elements lie in another order of axes, and must be held whole.
        sketched: Whether a sketch of the difference is asked for.
    """

    model: Order | None
    base: Order | None
    common: int = 0
    relaid: bool = False
    sketched: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of both tensors."""
        return sum(each.tensor.nbytes for each in (self.model, self.base) if each)


@dataclass(frozen=True, slots=True)
class TwinReading:
    """A twin after the pass.

    Attributes:
        model: The reading of the first checkpoint's tensor; None where it has none.
        base: That of the base's; None likewise.
        pairs: For each piece of the first one's order, the sums over pairs; empty where no element
            corresponds.
    """

    model: Reading | None
    base: Reading | None
    pairs: tuple[tuple[Piece, PairPart], ...]


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The same elements of both tensors of a twin."""

    twin: int
    model: Block | None
    base: Block | None

    @property
    def nbytes(self) -> int:
        return sum(each.last - each.first for each in (self.model, self.base) if each)


@dataclass(frozen=True, slots=True)
class _Result:
    blocks: _Blocks
    model: Counted | None
    base: Counted | None
    pairs: tuple[tuple[int, PairPart], ...]


@dataclass(frozen=True, slots=True)
class Readers:
    """Where the bytes of either checkpoint are."""

    model: ByteReader
    base: ByteReader


def holds_relaid(model: Tensor, base: Tensor) -> bool:
    """Says whether tensors whose elements lie in different orders are small enough to pair."""
    return max(model.nbytes, base.nbytes) <= JOB_BYTES


def read_twins(
    twins: Sequence[Twin],
    readers: Readers,
    visit: Visit,
    workers: int,
    progress: Callable[[int], None],
) -> Iterator[TwinReading]:
    """Reads every tensor of both checkpoints and yields what was found, in the order given.

    Args:
        twins: What to read.
        readers: Where the bytes are.
        visit: How a chunk is counted.
        workers: Number of threads.
        progress: Called with the bytes that were read since the last call.

    Raises:
        ChangedError: A checkpoint was cut short or replaced during the pass.
    """
    local = threading.local()
    assembly = _TwinAssembly(twins)

    def run(job: list[_Blocks]) -> list[_Result]:
        if not hasattr(local, "buffers"):
            local.buffers = [memoryview(bytearray(READ_BYTES)) for _ in range(2)]
        sides = [(twins[each.twin], each) for each in job]
        of_model = [(t.model.tensor, b.model) for t, b in sides if t.model and b.model]
        of_base = [(t.base.tensor, b.base) for t, b in sides if t.base and b.base]
        with expecting(readers.model, of_model), expecting(readers.base, of_base):
            return [_count(blocks, twin, readers, visit, local.buffers) for twin, blocks in sides]

    jobs = batched(_blocks(twins), lambda blocks: blocks.nbytes)
    for result in in_order(jobs, run, workers):
        reading = assembly.take(result)
        progress(result.blocks.nbytes)
        if reading is not None:
            yield reading


def _blocks(twins: Sequence[Twin]) -> Iterator[_Blocks]:
    for index, twin in enumerate(twins):
        model, base = (each.tensor if each else None for each in (twin.model, twin.base))
        lead = model or base
        if lead is None:
            continue
        # In bytes of either: the lead's blocks, and the same elements of the other one; what it has
        # beyond the lead's last element goes to the last block.
        for first in range(0, max(lead.nbytes, 1), JOB_BYTES):
            last = min(first + JOB_BYTES, lead.nbytes)
            block = Block(index, first, last)
            if model is None:
                yield _Blocks(index, None, block)
            else:
                yield _Blocks(index, block, _same_elements(block, model, base))


def _same_elements(block: Block, model: Tensor, base: Tensor | None) -> Block | None:
    if base is None:
        return None
    first, last = (
        min(at // model.dtype.itemsize * base.dtype.itemsize, base.nbytes)
        for at in (block.first, block.last)
    )
    if block.first and first == base.nbytes:
        return None
    return Block(block.order, first, base.nbytes if block.last == model.nbytes else last)


def _count(
    blocks: _Blocks,
    twin: Twin,
    readers: Readers,
    visit: Visit,
    buffers: Sequence[memoryview],
) -> _Result:
    model = _Side.of(twin.model, blocks.model, readers.model, visit, buffers[0])
    base = _Side.of(twin.base, blocks.base, readers.base, visit, buffers[1])
    if model is None or base is None or not twin.common:
        for side in (model, base):
            while side is not None and side.left:
                side.read(side.left)
        return _result(blocks, model, base, ())
    types = (model.tensor.dtype, base.tensor.dtype)
    start = model.element
    pairing = Pairing(model.order.pieces, types, start, twin.sketched)
    held = _relaid(base, model.tensor) if twin.relaid else None
    step = READ_BYTES // max(each.itemsize for each in types)
    while model.left or base.left:
        at = model.element
        one = model.read(step)
        zero = held[at : at + one.size] if held is not None else base.read(step)
        size = max(0, min(one.size, zero.size, twin.common - at))
        pairing.see(one[:size], zero[:size])
    return _result(blocks, model, base, pairing.done())


def _result(
    blocks: _Blocks,
    model: _Side | None,
    base: _Side | None,
    pairs: tuple[tuple[int, PairPart], ...],
) -> _Result:
    counted = [each.counting.done() if each else None for each in (model, base)]
    return _Result(blocks, counted[0], counted[1], pairs)


class _Side:
    """Reads and counts a block of one tensor, in steps."""

    def __init__(
        self, order: Order, block: Block, reader: ByteReader, visit: Visit, buffer: memoryview
    ) -> None:
        self.order = order
        self.counting = Counting(order, block, visit)
        self._reader = reader
        self._buffer = buffer
        self._at, self._last = block.first, block.last

    @classmethod
    def of(
        cls,
        order: Order | None,
        block: Block | None,
        reader: ByteReader,
        visit: Visit,
        buffer: memoryview,
    ) -> _Side | None:
        """Returns the side where it has something to read, None where it has not."""
        return cls(order, block, reader, visit, buffer) if order and block else None

    @property
    def tensor(self) -> Tensor:
        return self.order.tensor

    @property
    def element(self) -> int:
        """The next element, counted in the order of memory."""
        return self._at // self.tensor.dtype.itemsize

    @property
    def left(self) -> int:
        """Elements that are not read yet."""
        return (self._last - self._at) // self.tensor.dtype.itemsize

    def read(self, elements: int) -> Bits:
        """Reads and counts at most so many elements, and no more than the buffer holds."""
        itemsize = self.tensor.dtype.itemsize
        size = min(elements * itemsize, self._last - self._at, len(self._buffer))
        chunk = self._buffer[:size]
        if size:
            read_elements(self._reader, self.tensor, self._at, chunk)
            self.counting.see(chunk)
            self._at += size
        return bits_of(chunk, self.tensor.dtype)


def _relaid(base: _Side, model: Tensor) -> Bits:
    """Reads the base's tensor whole and returns its elements in the order of the other one."""
    parts = []
    while base.left:
        parts.append(base.read(base.left).copy())
    axes = memory_axes(base.tensor)
    array = np.concatenate(parts).reshape([base.tensor.shape[a] for a in axes])
    logical = array.transpose(np.argsort(axes))
    return np.ascontiguousarray(logical.transpose(memory_axes(model))).reshape(-1)


class _TwinAssembly:
    """Puts the results of blocks, which arrive in order, together to readings of twins."""

    def __init__(self, twins: Sequence[Twin]) -> None:
        self._twins = twins
        self._model = Assembly({k: twin.model for k, twin in enumerate(twins) if twin.model})
        self._base = Assembly({k: twin.base for k, twin in enumerate(twins) if twin.base})
        self._start()

    def _start(self) -> None:
        self._readings: dict[str, Reading | None] = {"model": None, "base": None}
        self._pairs: dict[int, PairPart] = {}

    def take(self, result: _Result) -> TwinReading | None:
        for name, assembly, counted in (
            ("model", self._model, result.model),
            ("base", self._base, result.base),
        ):
            if counted is not None:
                self._readings[name] = assembly.take(counted)
        for index, part in result.pairs:
            before = self._pairs.get(index)
            self._pairs[index] = part if before is None else before.merge(part)
        twin, model, base = self._twins[result.blocks.twin], *self._readings.values()
        if (twin.model and not model) or (twin.base and not base):
            return None
        pieces = twin.model.pieces if twin.model else ()
        pairs = tuple((pieces[index], part) for index, part in sorted(self._pairs.items()))
        self._start()
        return TwinReading(model, base, pairs)
