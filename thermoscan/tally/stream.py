"""One streaming pass over a checkpoint: every byte is read once, hashed once, counted once.

Work is cut into jobs of at most `JOB_BYTES`: a block of a large tensor or several small tensors.
Workers read by offset into a buffer of their own and let go of Python while they count. Results
come back in order through a bounded window, so memory does not grow with the checkpoint.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import xxhash

from thermoscan.checkpoint import ByteReader, Tensor
from thermoscan.tally.accumulate import Accumulator, Visit, bits_of
from thermoscan.tally.finish import Part, part_of, tallies
from thermoscan.tally.geometry import Piece
from thermoscan.tally.layout import read_elements
from thermoscan.tally.record import Tally
from thermoscan.tally.witness import new_witness

JOB_BYTES = 32 << 20
READ_BYTES = 2 << 20
_JOB_TENSORS = 64


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
class _Block:
    """Bytes ``first`` to ``last`` of one order's tensor."""

    order: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Result:
    block: _Block
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
    pending: deque[Future[list[_Result]]] = deque()
    assembly = _Assembly(orders)
    jobs = _jobs(orders)
    with ThreadPoolExecutor(workers) as pool:
        try:
            for job in jobs:
                pending.append(pool.submit(_run, job, orders, reader, visit, local))
                if len(pending) > 2 * workers:
                    yield from assembly.take(pending.popleft().result(), progress)
            while pending:
                yield from assembly.take(pending.popleft().result(), progress)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Assembly:
    """Puts the results of blocks, which arrive in order, together to readings."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self._orders = orders
        self._digests: list[bytes] = []
        self._parts: dict[int, Part] = {}
        self._tallies: dict[str, Tally] = {}

    def take(self, results: list[_Result], progress: Callable[[int], None]) -> Iterator[Reading]:
        for result in results:
            order = self._orders[result.block.order]
            self._digests.append(result.digest)
            for index, part in result.parts:
                self._add(order, index, part, result.block)
            progress(result.block.last - result.block.first)
            if result.block.last == order.tensor.nbytes:
                yield Reading(order.tensor, _combine(self._digests), self._tallies)
                self._digests, self._tallies = [], {}

    def _add(self, order: Order, index: int, part: Part, block: _Block) -> None:
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


def _jobs(orders: Sequence[Order]) -> Iterator[list[_Block]]:
    job: list[_Block] = []
    size = 0
    for index, order in enumerate(orders):
        total = order.tensor.nbytes
        for first in range(0, max(total, 1), JOB_BYTES):
            last = min(first + JOB_BYTES, total)
            if job and (size + last - first > JOB_BYTES or len(job) >= _JOB_TENSORS):
                yield job
                job, size = [], 0
            job.append(_Block(index, first, last))
            size += last - first
    if job:
        yield job


def _run(
    job: list[_Block],
    orders: Sequence[Order],
    reader: ByteReader,
    visit: Visit,
    local: threading.local,
) -> list[_Result]:
    if not hasattr(local, "buffer"):
        local.buffer = np.empty(READ_BYTES, np.uint8)
    buffer = memoryview(local.buffer)
    return [_count(block, orders[block.order], reader, visit, buffer) for block in job]


def _count(
    block: _Block, order: Order, reader: ByteReader, visit: Visit, buffer: memoryview
) -> _Result:
    """Reads one block chunk by chunk, and counts each chunk into the pieces that it overlaps."""
    digest = xxhash.xxh3_128()
    tensor, itemsize = order.tensor, order.tensor.dtype.itemsize
    parts: list[tuple[int, Part]] = []
    index = _first_piece(order, block.first // itemsize)
    current: Accumulator | None = None
    witness = new_witness(tensor.dtype)
    for first in range(block.first, block.last, READ_BYTES):
        chunk = buffer[: min(READ_BYTES, block.last - first)]
        read_elements(reader, tensor, first, chunk)
        digest.update(chunk)
        bits, at = bits_of(chunk, tensor.dtype), first // itemsize
        while bits.size and index < len(order.pieces):
            piece = order.pieces[index]
            current = current or Accumulator(piece, tensor.dtype)
            share = bits[: piece.start + piece.size - at]
            visit(current, share, at - piece.start)
            witness = witness.see(share) if itemsize >= 4 else witness
            bits, at = bits[share.size :], at + share.size
            if at == piece.start + piece.size:
                parts.append((index, part_of(current, witness)))
                current, witness, index = None, new_witness(tensor.dtype), index + 1
    if current is not None:
        parts.append((index, part_of(current, witness)))
    return _Result(block, digest.digest(), tuple(parts))


def _first_piece(order: Order, element: int) -> int:
    """The index of the piece that holds an element, counted in memory order."""
    ends = [piece.start + piece.size for piece in order.pieces]
    return int(np.searchsorted(ends, element, side="right"))
