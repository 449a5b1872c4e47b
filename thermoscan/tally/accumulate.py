"""What a pass accumulates for one piece, and how a chunk of bytes is added to it.

An `Accumulator` holds the plain arrays that kernels write to. `visit` adds a chunk with the
compiled kernels, `thermoscan.tally.reference.visit` does the same in numpy; both leave the same
numbers behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from thermoscan.dtypes import DType
from thermoscan.tally.geometry import Piece
from thermoscan.tally.native import kernel
from thermoscan.tally.record import Column, FloatArray

CELLS = 65536
_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}

Bits = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True, slots=True)
class Accumulator:
    """The running sums of one piece. Shapes as in `thermoscan.tally.kernels`.

    Attributes:
        piece: What they are the sums of.
        dtype: The element type, a float.
    """

    piece: Piece
    dtype: DType
    hist: npt.NDArray[np.uint32] = field(init=False)
    moments: FloatArray = field(init=False)
    energy: FloatArray = field(init=False)
    gained: FloatArray = field(init=False)
    shifted: FloatArray = field(init=False)
    bounds: npt.NDArray[np.int64] = field(init=False)
    addresses: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        segments = len(self.piece.layers)
        moments = np.zeros((segments, len(Column)))
        moments[:, Column.MINIMUM] = np.inf
        moments[:, Column.MAXIMUM] = -np.inf
        weighted = self.piece.units if self.piece.weights else 0
        put = object.__setattr__
        put(self, "hist", np.zeros((segments + 1, CELLS), np.uint32))
        put(self, "moments", moments)
        put(self, "energy", np.zeros(self.piece.units))
        put(self, "gained", np.zeros(weighted))
        put(self, "shifted", np.zeros(weighted))
        put(self, "bounds", np.array(self.piece.bounds, dtype=np.int64))
        put(self, "addresses", self._addresses())

    def _addresses(self) -> tuple[int, ...]:
        """A kernel's arguments from `units` on; they stay the same from chunk to chunk."""
        piece, weights = self.piece, self.piece.weights
        results = (self.hist, self.moments, self.energy)
        return (
            piece.units,
            piece.post,
            self.bounds.ctypes.data,
            len(piece.layers),
            *(array.ctypes.data for array in results),
            weights.gain.ctypes.data if weights else 0,
            weights.shift.ctypes.data if weights else 0,
            self.gained.ctypes.data,
            self.shifted.ctypes.data,
            self.mode,
        )

    @property
    def mode(self) -> int:
        """The kernels' weight mode: 0 none, 1 along `post`, 2 along `outer`."""
        weights = self.piece.weights
        if weights is None:
            return 0
        return 2 if weights.by_outer else 1


Visit = Callable[[Accumulator, Bits, int], None]
"""Adds elements (their bits) that begin at a flat position of the piece to an accumulator."""


def bits_of(chunk: memoryview, dtype: DType) -> Bits:
    """Returns a chunk of bytes as unsigned integers of the width of `dtype`, without a copy."""
    return np.frombuffer(chunk, dtype=_BITS[dtype.itemsize])


def visit(into: Accumulator, bits: Bits, start: int) -> None:
    """Adds elements with the compiled kernels. Lets other threads run."""
    kernel(into.dtype.label)(bits.ctypes.data, bits.size, start, *into.addresses)


def segment_patterns(
    into: Accumulator, segment: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns the distinct patterns of one segment, in rising order, and the elements of each."""
    hist = into.hist[segment]
    if into.dtype.itemsize == 1:
        pairs = hist.reshape(256, 256)
        counts = pairs.sum(axis=0, dtype=np.int64) + pairs.sum(axis=1, dtype=np.int64)
        counts += into.hist[-1, 256 * segment : 256 * (segment + 1)]
    else:
        counts = hist
    patterns = np.flatnonzero(counts > 0)
    return patterns, counts[patterns].astype(np.int64)
