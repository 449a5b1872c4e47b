"""The same entries in random places: what a spectrum owes to their order, and what to their sizes.

Every matrix is shuffled by itself, and is held whole for it.
"""

from __future__ import annotations

import numpy as np

from thermoscan.checkpoint import ByteReader
from thermoscan.spectra.gram import Shape, finite_parts
from thermoscan.spectra.matrices import Matrix
from thermoscan.theory.entropy import FloatArray, IntArray


def shuffled_eigenvalues(
    matrix: Matrix,
    reader: ByteReader,
    shape: Shape,
    chosen: IntArray | None,
    random: np.random.Generator,
) -> FloatArray:
    """Returns the eigenvalues of a layer's shuffled matrices, float64 ``(matrices, columns)``.

    Args:
        matrix: Where the layer's elements lie.
        reader: Where its bytes are.
        shape: How it is taken.
        chosen: Which of the smaller side to take, ascending; None for all.
        random: Draws the places.

    Raises:
        ChangedError: The file is shorter than it was, or is not the same file any more.
    """
    side = shape.columns if chosen is None else chosen.size
    held = np.empty((shape.matrices, shape.rows, side))
    at = np.zeros(shape.matrices, np.int64)
    for part in finite_parts(matrix, reader, shape, chosen):
        rows = part.values.shape[0]
        held[part.place, at[part.place] : at[part.place] + rows] = part.values
        at[part.place] += rows
    for each in held:
        random.shuffle(each.reshape(-1))
    found: FloatArray = np.maximum(np.linalg.eigvalsh(held.transpose(0, 2, 1) @ held), 0.0)
    return found
