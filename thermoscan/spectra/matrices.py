"""A layer as a matrix: where its elements lie, and how to read them block by block.

The blocks of a matrix are cut across its longer side, so that each holds the shorter side whole and
a sum over blocks is all that its Gram matrix needs. Of a convolution, the matrix is outputs by
in-channels and kernel together, and its slices are outputs by in-channels, one for each place of
the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thermoscan.anatomy.model import Layer, Role
from thermoscan.checkpoint import ByteReader, Tensor
from thermoscan.tally.accumulate import bits_of
from thermoscan.tally.geometry import memory_axes, pieces_of
from thermoscan.tally.layout import read_elements
from thermoscan.tally.reference import values
from thermoscan.theory.entropy import FloatArray, IntArray

CHUNK_BYTES = 1 << 20
"""What is read and converted at once, so that it stays in the cache."""

GAP_BYTES = 1 << 18
"""What takes less time to read over than another call of the reader does."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """One layer's matrix in a stored tensor.

    Element (output u, input (o, p)) lies at ``start + (o · units + first + u) · post + p`` in the
    tensor's memory order, so that inputs are numbered ``o · post + p``.

    Attributes:
        layer: Name of the layer.
        tensor: The stored tensor.
        start: First element of the tensor that belongs to its group.
        outer: Inputs that lie outside the output axis in memory.
        units: Length of the output axis.
        post: Inputs that lie inside the output axis.
        first: First output of this layer along that axis.
        outputs: Outputs of this layer.
        places: For each input of a convolution, its place in the kernel; None for other layers.
    """

    layer: str
    tensor: Tensor
    start: int
    outer: int
    units: int
    post: int
    first: int
    outputs: int
    places: IntArray | None = None

    @property
    def inputs(self) -> int:
        """The length of a row."""
        return self.outer * self.post


def matrices_of(tensor: Tensor, layers: Sequence[Layer]) -> list[Matrix]:
    """Returns the matrices of a stored tensor.

    Args:
        tensor: The stored tensor.
        layers: All of its layers.
    """
    by_name = {layer.name: layer for layer in layers}
    return [
        Matrix(
            layer=name,
            tensor=tensor,
            start=piece.start,
            outer=piece.outer,
            units=piece.units,
            post=piece.post,
            first=first,
            outputs=last - first,
            places=_places(tensor, by_name[name]),
        )
        for piece in pieces_of(tensor, layers, {})
        for name, first, last in zip(piece.layers, piece.bounds, piece.bounds[1:], strict=False)
    ]


def all_matrices(layers: Iterable[Layer], tensors: Mapping[str, Tensor]) -> Iterator[Matrix]:
    """Returns the matrices of a checkpoint.

    Args:
        layers: All of its layers.
        tensors: Those that hold them, by name.
    """
    by_tensor: dict[str, list[Layer]] = {}
    for layer in layers:
        by_tensor.setdefault(layer.tensor, []).append(layer)
    for name, members in by_tensor.items():
        yield from matrices_of(tensors[name], members)


def _places(tensor: Tensor, layer: Layer) -> IntArray | None:
    """The place in the kernel of each input, in the order of memory."""
    if layer.role is not Role.CONVOLUTION or len(tensor.shape) < 3:
        return None
    kernel = tensor.shape[2:]
    shape = [1 if axis == layer.out_axis else size for axis, size in enumerate(tensor.shape)]
    places = np.broadcast_to(np.arange(math.prod(kernel)).reshape(kernel), shape)
    return places.transpose(memory_axes(tensor)).reshape(-1)


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows or some columns of a matrix, the others whole.

    Attributes:
        first: The first row of the block (cut across outputs) or column (cut across inputs).
        values: float64 ``(outputs, inputs)``, of what the block holds.
    """

    first: int
    values: FloatArray


def blocks(
    matrix: Matrix, reader: ByteReader, across_outputs: bool, elements: int
) -> Iterator[Block]:
    """Reads a matrix block by block, each over the one before.

    Args:
        matrix: The matrix.
        reader: Where its bytes are.
        across_outputs: Whether a block has some outputs with all inputs of each, or some inputs
            with all outputs.
        elements: Of a block, at most; more where one row or column is longer.

    Raises:
        ChangedError: The file is shorter than it was, or is not the same file any more.
    """
    if across_outputs:
        yield from _rows(matrix, reader, elements)
    elif matrix.outer == 1:
        yield from _columns(matrix, reader, elements)
    else:
        yield from _outer_columns(matrix, reader, elements)


def _rows(matrix: Matrix, reader: ByteReader, elements: int) -> Iterator[Block]:
    height = min(max(1, elements // matrix.inputs), matrix.outputs)
    buffer = np.empty(height * matrix.inputs)
    for at in range(0, matrix.outputs, height):
        rows = min(height, matrix.outputs - at)
        runs = _Runs(
            first=matrix.start + (matrix.first + at) * matrix.post,
            count=matrix.outer,
            step=matrix.units * matrix.post,
            length=rows * matrix.post,
        )
        stored = _read(runs, matrix.tensor, reader, buffer)
        stored = stored.reshape(matrix.outer, rows, matrix.post)
        yield Block(at, stored.transpose(1, 0, 2).reshape(rows, matrix.inputs))


def _columns(matrix: Matrix, reader: ByteReader, elements: int) -> Iterator[Block]:
    """Where the inputs of an output follow each other: a piece of every row."""
    width = min(max(1, elements // matrix.outputs), matrix.post)
    buffer = np.empty(width * matrix.outputs)
    for at in range(0, matrix.post, width):
        runs = _Runs(
            first=matrix.start + matrix.first * matrix.post + at,
            count=matrix.outputs,
            step=matrix.post,
            length=min(width, matrix.post - at),
        )
        yield Block(at, _read(runs, matrix.tensor, reader, buffer))


def _outer_columns(matrix: Matrix, reader: ByteReader, elements: int) -> Iterator[Block]:
    """Where the outputs of an input follow each other."""
    each = matrix.outputs * matrix.post
    width = min(max(1, elements // each), matrix.outer)
    buffer = np.empty(width * each)
    for at in range(0, matrix.outer, width):
        count = min(width, matrix.outer - at)
        runs = _Runs(
            first=matrix.start + (at * matrix.units + matrix.first) * matrix.post,
            count=count,
            step=matrix.units * matrix.post,
            length=each,
        )
        stored = _read(runs, matrix.tensor, reader, buffer)
        stored = stored.reshape(count, matrix.outputs, matrix.post)
        laid = stored.transpose(1, 0, 2).reshape(matrix.outputs, count * matrix.post)
        yield Block(at * matrix.post, laid)


@dataclass(frozen=True, slots=True)
class _Runs:
    """`count` runs of `length` elements, `step` elements apart, the first from `first` on."""

    first: int
    count: int
    step: int
    length: int


def _read(runs: _Runs, tensor: Tensor, reader: ByteReader, buffer: FloatArray) -> FloatArray:
    """Returns runs of a tensor's elements in memory order, ``(count, length)``, in the buffer."""
    found = buffer[: runs.count * runs.length].reshape(runs.count, runs.length)
    if runs.step == runs.length:
        size = runs.count * runs.length
        _fill(found.reshape(1, size), _Runs(runs.first, 1, size, size), tensor, reader)
    else:
        _fill(found, runs, tensor, reader)
    return found


def _fill(into: FloatArray, runs: _Runs, tensor: Tensor, reader: ByteReader) -> None:
    """Reads several runs at once, with what lies between them, or one run in pieces."""
    itemsize = tensor.dtype.itemsize
    near = (runs.step - runs.length) * itemsize <= GAP_BYTES
    height = max(1, CHUNK_BYTES // (runs.step * itemsize)) if near else 1
    width = min(runs.length, CHUNK_BYTES // itemsize)
    for at in range(0, runs.count, height):
        for begin in range(0, runs.length, width):
            target = into[at : at + height, begin : begin + width]
            rows, columns = target.shape
            step = runs.step if rows > 1 else columns
            stored = np.empty(rows * step * itemsize, np.uint8)
            # Behind the run of the last row, the tensor may be over.
            held = stored[: ((rows - 1) * step + columns) * itemsize]
            first = runs.first + at * runs.step + begin
            read_elements(reader, tensor, first * itemsize, held.data)
            bits = bits_of(stored.data, tensor.dtype).reshape(rows, step)
            target[:] = values(bits[:, :columns], tensor.dtype)
