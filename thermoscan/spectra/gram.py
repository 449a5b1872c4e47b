"""Eigenvalues of a matrix by way of the Gram matrix of its smaller side, in float64.

The squares of the singular values of W are the eigenvalues of W Wᵀ, of side M, which is a sum over
blocks: W is never held whole. LAPACK's eigenvalues of it err by about M ε λ_max, so that values
below that are not told from zero; above, they are as good as those of a decomposition of W, at a
fraction of the work: ``N M²`` operations for the sum and ``4/3 M³`` for the eigenvalues.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from thermoscan.checkpoint import ByteReader
from thermoscan.spectra.matrices import Block, Matrix, blocks
from thermoscan.theory.entropy import FloatArray, IntArray
from thermoscan.theory.no_fit import NoFit

BLOCK_ELEMENTS = (1 << 21, 1 << 24)
"""Least and most elements of a block, between which it is as large as the Gram matrix: adding up
costs no more than a few hundredths of the products, and both together are 3 · 8 M² bytes."""

RANGE = (1e-140, 1e140)
"""Magnitudes of a largest entry whose square, and any sum of such squares over a model, is a normal
float64."""

MOST_PLACES = 4096
"""Of a kernel whose slices are taken: one of 64 by 64, or of 16 by 16 by 16."""

TOO_MANY_PLACES = NoFit("its kernel has more places than slices are taken of")
TOO_LARGE = NoFit("its slices together take more memory than a matrix of the largest side")
OUT_OF_RANGE = NoFit("the squares of its entries are out of the range of floating-point numbers")


@dataclass(frozen=True, slots=True)
class Eigenvalues:
    """The spectrum of one matrix, or of several of one shape together.

    Attributes:
        values: Of each matrix, float64 ``(matrices, columns)``, ascending, none below 0.
        rows: N, the larger side.
        columns: M, the smaller side, after sampling.
        sampled: The smaller side before sampling; None where nothing was sampled.
        non_finite: Entries that are not finite, counted as zero.
        largest_entry: The largest magnitude of an entry.
    """

    values: FloatArray
    rows: int
    columns: int
    sampled: int | None
    non_finite: int
    largest_entry: float

    @property
    def pooled(self) -> FloatArray:
        """All eigenvalues, ascending."""
        return np.sort(self.values, axis=None)

    def scaled(self, factor: float) -> Eigenvalues:
        """Returns the eigenvalues of the same matrices times the root of `factor`."""
        largest = self.largest_entry * math.sqrt(factor)
        return replace(self, values=self.values * factor, largest_entry=largest)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a matrix is taken.

    Attributes:
        rows: N, the larger side.
        columns: M, the smaller side.
        matrices: Into how many it falls: 1, or the places of its kernel.
        across_outputs: Whether the outputs are the larger side, along which blocks are cut.
    """

    rows: int
    columns: int
    matrices: int
    across_outputs: bool

    @classmethod
    def of(cls, matrix: Matrix, sliced: bool) -> Shape:
        """Returns the shape of a layer's matrix, or of the slices of its kernel."""
        count = int(matrix.places.max()) + 1 if sliced and matrix.places is not None else 1
        outputs, inputs = matrix.outputs, matrix.inputs // count
        # Where both are as long, blocks are cut so that what is read lies together.
        across = outputs > inputs or (outputs == inputs and matrix.outer == 1)
        return cls(max(outputs, inputs), min(outputs, inputs), count, across)

    def work(self, most: int) -> float:
        """Returns the operations that eigenvalues of a smaller side of at most `most` take."""
        side = min(self.columns, most)
        return self.matrices * (self.rows + 4 / 3 * side) * side**2

    def refused(self, most: int) -> NoFit | None:
        """Returns why slices are not taken, of which all are held at once; None where they are.

        Args:
            most: The largest smaller side that is taken.
        """
        if self.matrices > MOST_PLACES:
            return TOO_MANY_PLACES
        held = self.matrices * min(self.columns, most) ** 2
        return TOO_LARGE if held > max(most**2, BLOCK_ELEMENTS[1]) else None


@dataclass(frozen=True, slots=True)
class Gram:
    """The Gram matrices of one matrix, or of several of one shape.

    Attributes:
        products: float64 ``(matrices, columns, columns)``.
        rows: N, the larger side.
        sampled: The smaller side before sampling; None where nothing was sampled.
        non_finite: Entries that are not finite, counted as zero.
        largest_entry: The largest magnitude of an entry.
    """

    products: FloatArray
    rows: int
    sampled: int | None
    non_finite: int
    largest_entry: float

    @property
    def out_of_range(self) -> bool:
        """Whether squares of its entries overflow, or vanish though the entries do not."""
        least, most = RANGE
        return self.largest_entry > 0 and not least <= self.largest_entry <= most


def gram_of(
    matrix: Matrix, reader: ByteReader, shape: Shape, chosen: IntArray | None = None
) -> Gram:
    """Returns the Gram matrices of a layer's matrix, or of the slices of its kernel.

    Args:
        matrix: Where the layer's elements lie.
        reader: Where its bytes are.
        shape: How it is taken.
        chosen: Which of the smaller side to take, ascending; None for all.

    Raises:
        ChangedError: The file is shorter than it was, or is not the same file any more.
    """
    side = shape.columns if chosen is None else chosen.size
    sums = np.zeros((shape.matrices, side, side))
    product: FloatArray | None = None
    non_finite, largest = 0, 0.0
    for part in finite_parts(matrix, reader, shape, chosen):
        non_finite += part.non_finite
        largest = max(largest, part.largest)
        with np.errstate(over="ignore", invalid="ignore"):
            if part.first:
                np.matmul(part.values.T, part.values, out=sums[part.place])
                continue
            product = np.empty((side, side)) if product is None else product
            sums[part.place] += np.matmul(part.values.T, part.values, out=product)
    sampled = None if chosen is None else shape.columns
    return Gram(sums, shape.rows, sampled, non_finite, largest)


def eigenvalues(grams: Sequence[Gram]) -> list[Eigenvalues | NoFit]:
    """Returns the eigenvalues of each; `NoFit` where they are out of range.

    Args:
        grams: Of one smaller side, which LAPACK takes in one call.
    """
    taken = [each.products for each in grams if not each.out_of_range]
    stack = taken[0] if len(taken) == 1 else np.concatenate(taken or [np.empty((0, 1, 1))])
    values = iter(np.maximum(np.linalg.eigvalsh(stack), 0.0))
    return [
        OUT_OF_RANGE
        if each.out_of_range
        else Eigenvalues(
            values=np.array(list(islice(values, len(each.products)))),
            rows=each.rows,
            columns=each.products.shape[1],
            sampled=each.sampled,
            non_finite=each.non_finite,
            largest_entry=each.largest_entry,
        )
        for each in grams
    ]


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of one of a layer's matrices.

    Attributes:
        place: Which of the matrices.
        first: Whether these are its first rows.
        values: float64 ``(some, columns)``, the smaller side along its columns; 0 for what is not
            finite.
        non_finite: Entries that are not.
        largest: The largest magnitude of an entry.
    """

    place: int
    first: bool
    values: FloatArray
    non_finite: int
    largest: float


def finite_parts(
    matrix: Matrix, reader: ByteReader, shape: Shape, chosen: IntArray | None
) -> Iterator[Part]:
    """Reads a layer's matrices part by part; see `gram_of`."""
    side = shape.columns if chosen is None else chosen.size
    least, most = BLOCK_ELEMENTS
    elements = min(max(shape.matrices * side**2, least), most)
    for block in blocks(matrix, reader, shape.across_outputs, elements):
        for place, values in enumerate(_parts(block, matrix, shape)):
            taken = values if chosen is None else values[:, chosen]
            non_finite, largest = 0, _largest(taken)
            if not math.isfinite(largest):
                finite = np.isfinite(taken)
                non_finite = int(finite.size - finite.sum())
                taken = np.where(finite, taken, 0.0)
                largest = _largest(taken)
            yield Part(place, block.first == 0, taken, non_finite, largest)


def _largest(values: FloatArray) -> float:
    """The largest magnitude; NaN where there is one."""
    return float(np.maximum(values.max(initial=0.0), -values.min(initial=0.0)))


def _parts(block: Block, matrix: Matrix, shape: Shape) -> Iterator[FloatArray]:
    """What a block holds of each matrix, the smaller side along its columns."""
    values = block.values
    if shape.matrices == 1 or matrix.places is None:
        yield values if shape.across_outputs else values.T
        return
    first = 0 if shape.across_outputs else block.first
    places = matrix.places[first : first + values.shape[1]]
    for place in range(shape.matrices):
        part = values[:, places == place]
        yield part if shape.across_outputs else part.T
