"""One streaming pass over a checkpoint: every byte is read once, hashed once, counted once.

Work is cut into jobs of at most `JOB_BYTES`: a block of a large tensor or several small tensors.
Workers read by offset into a buffer of their own and let go of Python while they count. Results
come back in order through a bounded window, so memory does not grow with the checkpoint.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import xxhash

from thermoscan.checkpoint import ByteReader, Tensor
from thermoscan.tally.accumulate import Accumulator, Visit, bits_of
from thermoscan.tally.finish import Part, part_of, tallies
from thermoscan.tally.geometry import Piece
from thermoscan.tally.layout import lies_together, read_elements
from thermoscan.tally.record import Tally
from thermoscan.tally.witness import new_witness

JOB_BYTES = 32 << 20
READ_BYTES = 2 << 20
_JOB_TENSORS = 64
_GAP_BYTES = 1 << 16
"""Neighbours this near are read in one go: padding, or a vector that was read ahead."""

B = TypeVar("B")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Order:
    """A tensor to read, and the pieces to count; no pieces for a type that is recorded only."""

    tensor: Tensor
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A tensor after the pass.

    Attributes:
        tensor: The tensor.
        digest: xxh3-128 of its bytes in memory order; of the digests of its blocks of `JOB_BYTES`
            where it has several.
        tallies: By layer name.
    """

    tensor: Tensor
    digest: str
    tallies: dict[str, Tally]


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes `first` to `last` of the tensor of the order with this index."""

    order: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Counted:
    """A block after the pass: its digest, and the sums of the pieces that it overlaps by index."""

    block: Block
    digest: bytes
    parts: tuple[tuple[int, Part], ...]


def read(
    orders: Sequence[Order],
    reader: ByteReader,
    visit: Visit,
    workers: int,
    progress: Callable[[int], None],
) -> Iterator[Reading]:
    """Reads every tensor and yields its tallies, in the order given.

    Args:
        orders: What to read.
        reader: Where the bytes are.
        visit: How a chunk is counted.
        workers: Number of threads.
        progress: Called with the bytes that were read since the last call.

    Raises:
        ChangedError: The checkpoint was cut short or replaced during the pass.
    """
    local = threading.local()
    assembly = Assembly(dict(enumerate(orders)))

    def run(job: list[Block]) -> list[Counted]:
        if not hasattr(local, "buffer"):
            local.buffer = np.empty(READ_BYTES, np.uint8)
        buffer = memoryview(local.buffer)
        with expecting(reader, [(orders[block.order].tensor, block) for block in job]):
            return [_count(block, orders[block.order], reader, visit, buffer) for block in job]

    for result in in_order(_jobs(orders), run, workers):
        reading = assembly.take(result)
        progress(result.block.last - result.block.first)
        if reading is not None:
            yield reading


def in_order(
    jobs: Iterable[list[B]], run: Callable[[list[B]], list[R]], workers: int
) -> Iterator[R]:
    """Runs jobs on threads and yields their results in order, few jobs ahead of the caller."""
    pending: deque[Future[list[R]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for job in jobs:
                pending.append(pool.submit(run, job))
                if len(pending) > 2 * workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def expecting(reader: ByteReader, blocks: Iterable[tuple[Tensor, Block]]) -> Iterator[None]:
    """Announces to the reader what this thread is about to read, neighbours as one range."""
    ranges: list[tuple[str, int, int]] = []
    for tensor, block in blocks:
        if not lies_together(tensor):
            continue
        first, last = tensor.offset + block.first, tensor.offset + block.last
        if ranges and ranges[-1][0] == tensor.file and near(ranges[-1][2], first):
            first = ranges.pop()[1]
        ranges.append((tensor.file, first, last))
    with ExitStack() as stack:
        for file, first, last in ranges:
            stack.enter_context(reader.expect(file, first, last - first))
        yield


def near(end: int, start: int) -> bool:
    """Says whether bytes from `start` on are so close behind `end` that both are read in one go."""
    return 0 <= start - end <= _GAP_BYTES


class Assembly:
    """Puts the blocks of one checkpoint, which arrive in order, together to readings."""

    def __init__(self, orders: Mapping[int, Order]) -> None:
        self._orders = orders
        self._digests: list[bytes] = []
        self._parts: dict[int, Part] = {}
        self._tallies: dict[str, Tally] = {}

    def take(self, counted: Counted) -> Reading | None:
        """Takes the next block; returns the reading of its tensor where it is the last one."""
        order = self._orders[counted.block.order]
        self._digests.append(counted.digest)
        for index, part in counted.parts:
            self._add(order, index, part, counted.block)
        if counted.block.last < order.tensor.nbytes:
            return None
        reading = Reading(order.tensor, _combine(self._digests), self._tallies)
        self._digests, self._tallies = [], {}
        return reading

    def _add(self, order: Order, index: int, part: Part, block: Block) -> None:
        before = self._parts.pop(index, None)
        merged = part if before is None else before.merge(part)
        piece = order.pieces[index]
        if (piece.start + piece.size) * order.tensor.dtype.itemsize <= block.last:
            found = tallies(piece, order.tensor.dtype, merged)
            self._tallies.update(zip(piece.layers, found, strict=True))
        else:
            self._parts[index] = merged


def digest_of(content: memoryview) -> str:
    """Returns the digest that a stored tensor of these bytes, in memory order, would have."""
    blocks = range(0, max(len(content), 1), JOB_BYTES)
    return _combine([xxhash.xxh3_128_digest(content[at : at + JOB_BYTES]) for at in blocks])


def _combine(digests: list[bytes]) -> str:
    if len(digests) == 1:
        return digests[0].hex()
    return xxhash.xxh3_128_hexdigest(b"".join(digests))


def _jobs(orders: Sequence[Order]) -> Iterator[list[Block]]:
    blocks = (
        Block(index, first, min(first + JOB_BYTES, order.tensor.nbytes))
        for index, order in enumerate(orders)
        for first in range(0, max(order.tensor.nbytes, 1), JOB_BYTES)
    )
    return batched(blocks, lambda block: block.last - block.first)


def batched(blocks: Iterable[B], size_of: Callable[[B], int]) -> Iterator[list[B]]:
    """Puts small blocks together to jobs of at most `JOB_BYTES`; a larger block is its own job."""
    job: list[B] = []
    size = 0
    for block in blocks:
        if job and (size + size_of(block) > JOB_BYTES or len(job) >= _JOB_TENSORS):
            yield job
            job, size = [], 0
        job.append(block)
        size += size_of(block)
    if job:
        yield job


def _count(
    block: Block, order: Order, reader: ByteReader, visit: Visit, buffer: memoryview
) -> Counted:
    """Reads one block chunk by chunk, and counts each chunk."""
    counting = Counting(order, block, visit)
    for first in range(block.first, block.last, READ_BYTES):
        chunk = buffer[: min(READ_BYTES, block.last - first)]
        read_elements(reader, order.tensor, first, chunk)
        counting.see(chunk)
    return counting.done()


class Counting:
    """Counts the chunks of one block, in order, into the pieces that they overlap."""

    def __init__(self, order: Order, block: Block, visit: Visit) -> None:
        self._order = order
        self._block = block
        self._visit = visit
        self._at = block.first // order.tensor.dtype.itemsize
        self._index = piece_at(order.pieces, self._at)
        self._current: Accumulator | None = None
        self._witness = new_witness(order.tensor.dtype)
        self._parts: list[tuple[int, Part]] = []
        self._digest = xxhash.xxh3_128()

    def see(self, chunk: memoryview) -> None:
        """Takes the bytes that follow those seen before."""
        self._digest.update(chunk)
        dtype, pieces = self._order.tensor.dtype, self._order.pieces
        bits = bits_of(chunk, dtype)
        while bits.size and self._index < len(pieces):
            piece = pieces[self._index]
            self._current = self._current or Accumulator(piece, dtype)
            share = bits[: piece.start + piece.size - self._at]
            self._visit(self._current, share, self._at - piece.start)
            if dtype.itemsize >= 4:
                self._witness = self._witness.see(share)
            bits, self._at = bits[share.size :], self._at + share.size
            if self._at == piece.start + piece.size:
                self._put(self._current)

    def _put(self, sums: Accumulator) -> None:
        self._parts.append((self._index, part_of(sums, self._witness)))
        self._current, self._witness = None, new_witness(sums.dtype)
        self._index += 1

    def done(self) -> Counted:
        """Returns what the block holds."""
        if self._current is not None:
            self._put(self._current)
        return Counted(self._block, self._digest.digest(), tuple(self._parts))


def piece_at(pieces: Sequence[Piece], element: int) -> int:
    """Returns the index of the piece that holds an element, counted in memory order."""
    ends = [piece.start + piece.size for piece in pieces]
    return int(np.searchsorted(ends, element, side="right"))
