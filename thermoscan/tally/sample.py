"""Plans which bytes a sample of a checkpoint reads: stratified, random, the same for the same seed.

Takes the orders of a whole pass and a budget in bytes; gives which tensors to read whole and, of
every other piece, which ranges to read. Reads nothing. Refuses a budget that is too small to say
anything of every piece.

Tensors of up to `SMALL` bytes are read whole, and so are those whose bytes are known already. The
rest of the budget is shared by the pieces in proportion to their size, with a floor for each. A
piece is cut into equal strata in memory order, and from each one block is taken at a random place,
which goes on from the stratum's beginning where it reaches its end: so every element is as likely
to be read as every other one. Where it is affordable, blocks consist of whole rows of memory: all
the entries of a unit where units are the outermost axis, all units' entries for an input where
inputs are.

Blocks are dealt to `GROUPS` groups, one of every `GROUPS` consecutive strata to each in a random
order, so that every group is a sample of the whole piece by itself. Rows that the caller knows to
be unusual are read for certain, and the strata are of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import xxhash

from thermoscan.errors import OptionError
from thermoscan.tally.geometry import Piece
from thermoscan.tally.stream import Order
from thermoscan.theory.entropy import IntArray
from thermoscan.theory.jackknife import GROUPS

SMALL = 64 << 10
BLOCK_BYTES = 32 << 10
"""What a block should hold: less costs a request over a network as much."""

_LEAST_BYTES = 1 << 10
_LONGEST_ROW = 32 << 10
_LEAST_ROWS = 4  # so that rounding to whole rows leaves no more than a fifth of a share unread
_MOST_ROUNDS = 8
_FEWEST_ROWS = 4 * GROUPS

Range = tuple[int, int]
"""First element, and the one behind the last."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What is read of one piece.

    Attributes:
        order: Index of the order whose piece it is.
        piece: The piece.
        groups: Per group, ranges of elements, counted from the piece's first.
        certain: Ranges that are read whatever the seed.
        blocks: How many blocks they make; one that reaches the end of its stratum is two ranges.
        row: Elements per row of memory where the ranges consist of whole rows; None where not.
    """

    order: int
    piece: Piece
    groups: tuple[tuple[Range, ...], ...]
    certain: tuple[Range, ...]
    blocks: int
    row: int | None

    @property
    def elements(self) -> int:
        """How many elements are read."""
        return sum(elements_of(ranges) for ranges in (*self.groups, self.certain))

    @property
    def share(self) -> float:
        """The share that is read of what is not certain to be read."""
        certain = elements_of(self.certain)
        return (self.elements - certain) / (self.piece.size - certain)


def elements_of(ranges: Sequence[Range]) -> int:
    """Returns how many elements there are in ranges."""
    return sum(stop - start for start, stop in ranges)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sample reads.

    Attributes:
        whole: Indices of the orders whose tensors are read whole.
        draws: What is read of the pieces of the others, in the order of the orders.
        bytes_read: By both.
        bytes_in_all: Of all orders that have something to count.
    """

    whole: tuple[int, ...]
    draws: tuple[Draw, ...]
    bytes_read: int
    bytes_in_all: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A piece of a tensor that is not read whole."""

    order: int
    index: int
    piece: Piece
    name: str
    itemsize: int
    unusual: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.piece.size * self.itemsize

    @property
    def row(self) -> int:
        """Elements per row of memory."""
        piece = self.piece
        return piece.post if piece.outer == 1 else piece.units * piece.post

    @property
    def rows(self) -> int:
        return self.piece.size // self.row

    def floor(self, in_rows: bool) -> int:
        """The least bytes that say something of it; of its units too, where `in_rows`."""
        row = self.row * self.itemsize
        short = in_rows and self.rows >= _FEWEST_ROWS and row <= _LONGEST_ROW
        least = (GROUPS + len(self.unusual)) * row if short else 0
        return min(max(GROUPS * _LEAST_BYTES, least), self.nbytes)

    def draw(self, nbytes: int, seed: int) -> Draw:
        """Returns a draw of at most so many bytes."""
        row = self.row if self.rows >= _FEWEST_ROWS else 1
        if nbytes < GROUPS * row * self.itemsize:
            row = 1
        key = f"{self.name}\0{self.index}".encode("utf-8", "surrogatepass")
        rng = np.random.default_rng([seed, xxhash.xxh3_64_intdigest(key)])
        wanted = nbytes // (row * self.itemsize)
        certain = self.unusual[: wanted - GROUPS] if row == self.row else ()
        known = np.array(sorted(certain), dtype=np.int64)
        wanted -= known.size
        usual = max(_LEAST_ROWS, BLOCK_BYTES // (row * self.itemsize))
        rounds = min(max(wanted // (GROUPS * usual), 1), _MOST_ROUNDS)
        groups = _groups(self.piece.size // row - known.size, wanted, rounds, rng)
        return Draw(
            order=self.order,
            piece=self.piece,
            groups=tuple(_ranges(_passing(known, group), row) for group in groups),
            certain=_ranges(known, row),
            blocks=rounds * GROUPS,
            row=row if row == self.row else None,
        )


def plan(
    orders: Sequence[Order],
    known: Collection[str],
    budget: Callable[[int], int],
    seed: int,
    unusual: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> Plan | None:
    """Plans a sample.

    Args:
        orders: Of a whole pass. Those without pieces are not read.
        known: Names of tensors whose bytes are in memory already.
        budget: Given the bytes of all tensors that have something to count, returns how many of
            them may be read.
        seed: Of every random choice; with the tensor's name, so that order does not matter.
        unusual: By layer, units that must not be missed, the most unusual first: they are read
            for certain, but for those that would leave too little of the layer's share to chance.

    Returns:
        The plan; None where the budget is enough to read everything.

    Raises:
        OptionError: ``sample-too-small``.
    """
    counted = [index for index, order in enumerate(orders) if order.pieces]
    total = sum(orders[index].tensor.nbytes for index in counted)
    allowed = budget(total)
    if allowed >= total:
        return None
    whole = [
        index
        for index in counted
        if orders[index].tensor.nbytes <= SMALL or orders[index].tensor.name in known
    ]
    others = sorted(set(counted) - set(whole))
    candidates = [each for index in others for each in _candidates(index, orders[index], unusual)]
    first = sum(orders[index].tensor.nbytes for index in whole)
    floors = _floors(candidates, first, allowed, total)
    shares = _shares([each.nbytes for each in candidates], floors, allowed - first)
    draws = tuple(each.draw(share, seed) for each, share in zip(candidates, shares, strict=True))
    sizes = [draw.elements * orders[draw.order].tensor.dtype.itemsize for draw in draws]
    return Plan(tuple(whole), draws, first + sum(sizes), total)


def _candidates(
    index: int, order: Order, unusual: Mapping[str, Sequence[int]]
) -> Iterator[_Candidate]:
    tensor = order.tensor
    for number, piece in enumerate(order.pieces):
        units = tuple(unusual.get(piece.layers[0], ())) if piece.outer == 1 else ()
        yield _Candidate(index, number, piece, tensor.name, tensor.dtype.itemsize, units)


def _floors(candidates: Sequence[_Candidate], first: int, allowed: int, total: int) -> list[int]:
    """The least bytes of each candidate; of their units too, where so much is allowed.

    Args:
        candidates: To share what is allowed.
        first: Bytes that are read before them.
        allowed: Bytes that may be read.
        total: Bytes that there are.
    """
    for in_rows in (True, False):
        floors = [each.floor(in_rows) for each in candidates]
        least = first + sum(floors)
        if least <= allowed:
            return floors
    share = math.ceil(1e4 * least / total) / 100
    raise OptionError(
        "sample-too-small",
        f"a sample of {allowed:,} bytes says too little of some tensors; the least for this "
        f"checkpoint is {least:,} bytes, {share:.2f} % of {total:,}",
    )


def _shares(sizes: Sequence[int], floors: Sequence[int], budget: int) -> list[int]:
    """Shares a budget in proportion to sizes, but nothing gets less than its floor."""
    floored: set[int] = set()
    while True:
        free = [index for index in range(len(sizes)) if index not in floored]
        left = budget - sum(floors[index] for index in floored)
        rate = left / max(sum(sizes[index] for index in free), 1)
        short = {index for index in free if rate * sizes[index] < floors[index]}
        if not short:
            return [
                floors[index] if index in floored else int(rate * size)
                for index, size in enumerate(sizes)
            ]
        floored |= short


def _groups(rows: int, wanted: int, rounds: int, rng: np.random.Generator) -> list[IntArray]:
    """Draws blocks of rows and deals them to groups, `rounds` blocks to each.

    Args:
        rows: To draw from.
        wanted: The most rows to draw; at least `GROUPS`, or all there are.
        rounds: Blocks per group.
        rng: Of the random choices.
    """
    groups: list[list[IntArray]] = [[] for _ in range(GROUPS)]
    strata = rounds * GROUPS
    edges = [rows * each // strata for each in range(strata + 1)]
    for begin in range(0, strata, GROUPS):
        for stratum, group in enumerate(rng.permutation(GROUPS), begin):
            start, stop = edges[stratum : stratum + 2]
            size = min(max(wanted // strata, 1), stop - start)
            first = int(rng.integers(stop - start))
            block = start + (first + np.arange(size)) % (stop - start)
            groups[group].append(np.sort(block))
    return [np.concatenate(blocks) for blocks in groups]


def _passing(known: IntArray, places: IntArray) -> IntArray:
    """Returns the rows at these places among all rows but the known ones.

    >>> _passing(np.array([0, 3]), np.array([0, 1, 2, 3]))
    array([1, 2, 4, 5])
    """
    return places + np.searchsorted(known - np.arange(known.size), places, side="right")


def _ranges(rows: IntArray, row: int) -> tuple[Range, ...]:
    """Returns rows as ranges of elements, those that follow each other as one."""
    if not rows.size:
        return ()
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    runs = np.split(rows, breaks)
    return tuple((int(run[0]) * row, (int(run[-1]) + 1) * row) for run in runs)
