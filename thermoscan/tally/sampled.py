"""Reads the ranges of a plan and counts them group by group, as a whole pass counts blocks.

Takes the draws of a `thermoscan.tally.sample.Plan`; gives for each layer the tally of all that was
read of it, and the tallies with each group left out in turn, from which errors follow. What a
tally says of single elements (its extremes, its levels) is true of what was read alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from thermoscan.checkpoint import ByteReader, Tensor
from thermoscan.tally.accumulate import CELLS, Accumulator, Visit, bits_of
from thermoscan.tally.ahead import AT_ONCE, Ahead
from thermoscan.tally.finish import Part, part_of, tallies
from thermoscan.tally.layout import read_elements
from thermoscan.tally.record import Tally
from thermoscan.tally.sample import Draw, Range, elements_of
from thermoscan.tally.stream import READ_BYTES, Block, Order, expecting, in_order
from thermoscan.tally.witness import new_witness
from thermoscan.theory.entropy import CountArray, IntArray

Rows = npt.NDArray[np.int64]
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Sampled:
    """One layer of a piece after its sample was read.

    Attributes:
        tally: Of all that was read.
        without: With each group left out in turn.
        share: That was read, of what was not certain to be read.
        blocks: That were read of the piece.
        units: Per group, the units of which every entry was read; None where units were read in
            part.
        certain: Units that were certain to be read.
        inputs: Whether it was read input by input: whole rows of all units' entries.
        even: Whether no exact zero, or nothing else, was seen by chance: then no group shows that
            others may have met another share of zeros.
    """

    tally: Tally
    without: tuple[Tally, ...]
    share: float
    blocks: int
    units: tuple[Rows, ...] | None
    certain: Rows
    inputs: bool
    even: bool


def read_samples(
    draws: Sequence[Draw],
    orders: Sequence[Order],
    reader: ByteReader,
    visit: Visit,
    finish: Callable[[Draw, dict[str, Sampled]], F],
    workers: int,
    progress: Callable[[int], None],
) -> Iterator[F]:
    """Reads draws and yields what `finish` makes of each, in their order.

    Args:
        draws: What to read, of a plan made from `orders`.
        orders: Of the whole pass.
        reader: Where the bytes are.
        visit: How a chunk is counted.
        finish: Given a draw and its layers by name. Called by the thread that read it: the sums
            per unit of many groups take more memory than what is made of them.
        workers: Number of threads that count, one a core: what is read waits beside them.
        progress: Called with the bytes that were read since the last call.

    Raises:
        ChangedError: The checkpoint was cut short or replaced during the pass.
    """
    local = threading.local()

    def run(some: list[tuple[Draw, Ahead]]) -> list[tuple[Draw, F]]:
        if not hasattr(local, "buffer"):
            local.buffer = np.empty(READ_BYTES, np.uint8)
        buffer = memoryview(local.buffer)
        found = []
        for draw, ahead in some:
            order = orders[draw.order]
            parts = [
                _count(draw, ranges, order.tensor, ahead, visit, buffer)
                for ranges in (draw.certain, *draw.groups)
            ]
            found.append((draw, finish(draw, _sampled(draw, order, parts))))
        return found

    def asked(draw: Draw, pool: ThreadPoolExecutor) -> tuple[Draw, Ahead]:
        tensor = orders[draw.order].tensor
        return draw, Ahead(reader, pool, tensor, _ranges(draw, tensor))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for draw, finished in in_order(([asked(draw, pool)] for draw in draws), run, workers):
                progress(draw.elements * orders[draw.order].tensor.dtype.itemsize)
                yield finished
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _ranges(draw: Draw, tensor: Tensor) -> list[tuple[int, int]]:
    """Returns what is read of a draw, as bytes of the tensor: first, and one behind the last."""
    itemsize = tensor.dtype.itemsize
    return [
        ((draw.piece.start + start) * itemsize, (draw.piece.start + stop) * itemsize)
        for ranges in (draw.certain, *draw.groups)
        for start, stop in ranges
    ]


def _count(
    draw: Draw,
    ranges: Sequence[Range],
    tensor: Tensor,
    reader: ByteReader,
    visit: Visit,
    buffer: memoryview,
) -> Part:
    """Reads and counts one group, or what is certain to be read."""
    itemsize = tensor.dtype.itemsize
    sums, witness = Accumulator(draw.piece, tensor.dtype), new_witness(tensor.dtype)
    begin = draw.piece.start * itemsize
    for start, stop in ranges:
        block = Block(draw.order, begin + start * itemsize, begin + stop * itemsize)
        with expecting(reader, [(tensor, block)]):
            for first in range(block.first, block.last, READ_BYTES):
                chunk = buffer[: min(READ_BYTES, block.last - first)]
                read_elements(reader, tensor, first, chunk)
                bits = bits_of(chunk, tensor.dtype)
                visit(sums, bits, (first - begin) // itemsize)
                if itemsize >= 4:
                    witness = witness.see(bits)
    return part_of(sums, witness)


def _sampled(draw: Draw, order: Order, parts: Sequence[Part]) -> dict[str, Sampled]:
    """Draws the tallies of a piece: from what was certain, then all groups or all but one."""
    piece, dtype = draw.piece, order.tensor.dtype
    certain, groups = parts[0], parts[1:]
    merged = _left_out(groups)
    counts = [elements_of(ranges) for ranges in draw.groups]
    read = [sum(counts), *(sum(counts) - count for count in counts)]
    by_chance = seen = tallies(piece, dtype, merged[0])
    if draw.certain:
        seen = tallies(piece, dtype, certain.merge(merged[0]))
        rest = piece.size - elements_of(draw.certain)
        merged = [
            _weighed(certain, part, count, rest) for part, count in zip(merged, read, strict=True)
        ]
    first = tallies(piece, dtype, merged[0]) if draw.certain else by_chance
    by_layer = [first, *(tallies(piece, dtype, part) for part in merged[1:])]
    whole_units = draw.row is not None and piece.outer == 1
    units = tuple(_rows(ranges, piece.post) for ranges in draw.groups) if whole_units else None
    return {
        name: Sampled(
            tally=replace(by_layer[0][k], nan=seen[k].nan, infinite=seen[k].infinite),
            without=tuple(each[k] for each in by_layer[1:]),
            share=draw.share,
            blocks=draw.blocks,
            units=units,
            certain=_rows(draw.certain, piece.post),
            inputs=draw.row is not None and piece.outer > 1,
            even=by_chance[k].zeros in (0, by_chance[k].count),
        )
        for k, name in enumerate(piece.layers)
    }


def _weighed(certain: Part, others: Part, count: int, rest: int) -> Part:
    """Puts together what was certain to be read and a random part of the others.

    The others count as they are, for errors and cells depend on how many they are.

    Args:
        certain: Its elements stand for themselves alone.
        others: Of `count` elements.
        count: How many they are.
        rest: How many they stand for.
    """
    return others.merge(certain.weighed(count / rest))


def _left_out(parts: Sequence[Part]) -> list[Part]:
    """Merges all parts, then all but one in turn; patterns by taking each part's off the sum."""
    bare = [replace(part, patterns=()) for part in parts]
    merged = [reduce(Part.merge, bare), *_without(bare)]
    by_segment = [
        _patterns_left_out([part.patterns[k] for part in parts])
        for k in range(len(parts[0].patterns))
    ]
    return [
        replace(part, patterns=tuple(segment[index] for segment in by_segment))
        for index, part in enumerate(merged)
    ]


def _patterns_left_out(
    parts: Sequence[tuple[IntArray, CountArray]],
) -> list[tuple[IntArray, CountArray]]:
    """Returns the patterns of all parts together, then of all but one in turn."""
    total: CountArray = np.zeros(CELLS, np.int64)
    for patterns, counts in parts:
        total[patterns] += counts
    found = []
    for patterns, counts in ((np.zeros(0, np.int64), np.zeros(0, np.int64)), *parts):
        rest = total.copy()
        rest[patterns] -= counts
        left = np.flatnonzero(rest > 0)  # of booleans it is five times as fast
        found.append((left, rest[left]))
    return found


def _without(parts: Sequence[Part]) -> Iterator[Part]:
    """Merges all parts but one, in turn; moments cannot be taken off a sum."""
    after: list[Part] = [parts[-1]]
    for part in reversed(parts[1:-1]):
        after.append(part.merge(after[-1]))
    before = parts[0]
    yield after.pop()
    for part in parts[1:-1]:
        yield before.merge(after.pop())
        before = before.merge(part)
    yield before


def _rows(ranges: Sequence[tuple[int, int]], row: int) -> Rows:
    return np.concatenate(
        [np.zeros(0, np.int64)] + [np.arange(start // row, stop // row) for start, stop in ranges]
    )
