"""A random sketch of the change of a matrix, from which a low rank can be read.

``Y = ΔW Ω`` with `WIDTH` columns of normal numbers in Ω has, with certainty, the rank of ΔW where
that is at most `WIDTH` (Halko, Martinsson and Tropp, arXiv 0909.4061), and singular values of the
same size up to the square root of `WIDTH`. It is gathered while the tensor is read, in ``outputs ×
WIDTH`` numbers.

Most changes are of full rank, and a product with Ω would take longer than all the rest: so each
block looks at its first rows first, and gives up as soon as they show a rank above `LOW`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from thermoscan.dtypes import DType
from thermoscan.tally.geometry import Piece
from thermoscan.tally.record import FloatArray
from thermoscan.theory.entropy import IntArray

LOW = 64
"""The largest rank that is reported."""

WIDTH = 80
LARGEST_SIDE = 1 << 15
"""Rows or columns beyond which a matrix is too large to look at: 20 MB of sketch."""

_DIGITS = {
    DType.F64: 53,
    DType.F32: 24,
    DType.F16: 11,
    DType.BF16: 8,
    DType.F8_E4M3: 4,
    DType.F8_E5M2: 3,
}
_SEED = 240413218
_LOOK = 80


@dataclass(frozen=True, slots=True)
class Sketch:
    """The sketch of some rows of a piece seen as a matrix in memory, one per segment.

    Attributes:
        row: The first of the rows.
        products: Per segment, float64 ``(rows, WIDTH)``; None where the rank is not low.
        bounds: ``bounds[k]`` to ``bounds[k + 1]`` are the columns of segment k.
    """

    row: int
    products: tuple[FloatArray, ...] | None
    bounds: tuple[int, ...]

    def skip(self, size: int, start: int) -> Sketch:
        """Returns the sketch after so many elements, from flat position `start` on, unchanged."""
        first, rows = self._rows(size, start)
        nothing = tuple(np.zeros((rows, WIDTH)) for _ in self.bounds[1:])
        return self.merge(Sketch(first, nothing, self.bounds))

    def _rows(self, size: int, start: int) -> tuple[int, int]:
        """The first row that so many elements from `start` on reach, and how many they reach."""
        columns = self.bounds[-1]
        first = start // columns
        return first, -(-(start + size) // columns) - first

    def see(
        self, change: Callable[[slice | IntArray], FloatArray], size: int, noise: float, start: int
    ) -> Sketch:
        """Returns the sketch after more elements, which follow those seen before.

        Args:
            change: Returns what was added to some of them: float64, 0 where that is not finite.
            size: How many they are.
            noise: Standard deviation that rounding gives to such an element.
            start: Flat position of the first.
        """
        columns = self.bounds[-1]
        first, rows = self._rows(size, start)
        known = len(self.products[0]) if self.products else 0
        if not known and rows > _LOOK + 1 and columns >= _LOOK:
            skip = -start % columns
            corner = skip + columns * np.arange(_LOOK)[:, None] + np.arange(_LOOK)
            if _is_full(change(corner), noise):
                return replace(self, products=None)
        matrix = self._matrix(change(slice(None)), start)
        segments = zip(self.bounds[:-1], self.bounds[1:], strict=True)
        with np.errstate(over="ignore", invalid="ignore"):
            added = [matrix[:, a:b] @ directions(b - a) for a, b in segments]
        merged = self.merge(Sketch(first, tuple(added), self.bounds))
        if known < _LOOK and merged.products and len(merged.products[0]) >= _LOOK:
            widths = np.diff(self.bounds)
            if all(
                _is_full(product[:_LOOK], noise * float(width) ** 0.5)
                for product, width in zip(merged.products, widths, strict=True)
            ):
                return replace(self, products=None)
        return merged

    def _matrix(self, change: FloatArray, start: int) -> FloatArray:
        """The rows that some elements reach, with zeros where the first and the last are cut."""
        first, rows = self._rows(change.size, start)
        matrix = np.zeros(rows * self.bounds[-1])
        matrix[start - first * self.bounds[-1] :][: change.size] = change
        return matrix.reshape(rows, self.bounds[-1])

    def merge(self, other: Sketch) -> Sketch:
        """Returns the sketch of both; the other one's rows follow, the first maybe shared."""
        if self.products is None or other.products is None:
            return replace(self, products=None)
        if not len(self.products[0]):
            return other
        shared = self.row + len(self.products[0]) - other.row
        joined = []
        for mine, more in zip(self.products, other.products, strict=True):
            both = np.concatenate([mine, more[shared:]])
            if shared:
                both[len(mine) - shared : len(mine)] += more[:shared]
            joined.append(both)
        return replace(self, products=tuple(joined))


def new_sketch(piece: Piece, start: int) -> Sketch | None:
    """Returns an empty sketch that begins at a flat position; None where none can be made."""
    bounds: tuple[int, ...]
    if piece.outer == 1:
        rows, bounds = piece.units, (0, piece.post)
    elif piece.post == 1:
        rows, bounds = piece.outer, piece.bounds
    else:
        return None
    if max(rows, bounds[-1]) > LARGEST_SIDE:
        return None
    empty = tuple(np.zeros((0, WIDTH)) for _ in bounds[1:])
    return Sketch(start // bounds[-1], empty, bounds)


def rank_of(product: FloatArray, columns: int, noise: float) -> int | None:
    """Returns the rank of a change from its sketch; None where it is not low.

    Args:
        product: float64 ``(rows, WIDTH)``, the sketch.
        columns: Of the change itself.
        noise: Standard deviation that rounding gives an entry of the change.
    """
    largest = float(np.abs(product).max(initial=0.0))
    if not math.isfinite(largest):
        return None
    # Squares of numbers of any size, in units of the largest, are in range.
    scaled = product / (largest or 1.0)
    singular = np.sqrt(np.maximum(np.linalg.eigvalsh(scaled.T @ scaled), 0.0))
    # The largest singular value of a matrix of independent noise is about this.
    floor = noise / (largest or 1.0) * columns**0.5 * (len(product) ** 0.5 + WIDTH**0.5)
    rank = int((singular > max(floor, 1e-7 * singular.max(initial=0.0))).sum())
    return rank if rank <= min(LOW, len(product) // 2, columns // 2) else None


def rounding_noise(second_moment: float, types: tuple[DType, DType]) -> float:
    """Returns the most that storing two states can give their difference as a standard deviation.

    A value w is off by at most half of ``|w| 2^(1-p)``, evenly, where the type has p digits.
    """
    coarsest = min(_DIGITS[each] for each in types)
    return float(2.0 ** (1 - coarsest) * (second_moment / 6) ** 0.5)


@lru_cache(maxsize=8)
def directions(columns: int) -> FloatArray:
    """Returns Ω for so many columns: float64 ``(columns, WIDTH)``, always the same."""
    return np.random.default_rng(_SEED).standard_normal((columns, WIDTH))


def _is_full(some: FloatArray, noise: float) -> bool:
    """Says whether a part of a change, or of its sketch, alone shows more than a low rank."""
    singular = np.linalg.svd(some, compute_uv=False)
    return bool((singular > 2 * noise * len(some) ** 0.5).sum() > LOW)
