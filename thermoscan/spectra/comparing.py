"""The spectrum of a layer beside that of the same layer of the base checkpoint (docs/compare.md).

Both are taken in the same way: the same blocks, and of a side that is sampled the same places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thermoscan.card_spectra import SpectralChange, Spectrum
from thermoscan.checkpoint import ByteReader
from thermoscan.reasons import Reasons
from thermoscan.scanner.changes import NOT_IN_BASE
from thermoscan.spectra.describing import ALL_ZERO
from thermoscan.spectra.gram import Gram, Shape, finite_parts
from thermoscan.spectra.matrices import Matrix
from thermoscan.theory.entropy import FloatArray, IntArray
from thermoscan.theory.spectral_distance import jensen_shannon

RESIZED = "the base's layer has another shape"
RELAID = "the kernel of the base's layer lies in another order in memory"
CUT_OTHERWISE = "the base's layer lies in another order in memory"
NOT_FINITE = "entries of the layer or of the base's are not finite"
IN_BASE = "in the base checkpoint: "

LEAST = 1e-140
"""Of a largest eigenvalue; squares of smaller ones vanish."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A matrix and what holds its bytes."""

    matrix: Matrix
    reader: ByteReader


@dataclass(frozen=True, slots=True)
class Base:
    """The matrices of the base checkpoint.

    Attributes:
        matrices: By the names of the model's layers.
        reader: Of the base.
    """

    matrices: Mapping[str, Matrix]
    reader: ByteReader

    def beside(self, matrix: Matrix) -> Stored | str:
        """Returns what is compared with a matrix of the model, or why nothing is."""
        own = self.matrices.get(matrix.layer)
        if own is None:
            return NOT_IN_BASE
        if (own.outputs, own.inputs) != (matrix.outputs, matrix.inputs):
            return RESIZED
        if not np.array_equal(_places(own), _places(matrix)):
            return RELAID
        return Stored(own, self.reader)


def _places(matrix: Matrix) -> IntArray:
    return np.empty(0, np.int64) if matrix.places is None else matrix.places


@dataclass(frozen=True, slots=True)
class Seen:
    """A spectrum with the eigenvalues that it is of, float64 ``(matrices, columns)``, ascending."""

    spectrum: Spectrum
    values: FloatArray


def spectral_change(now: Seen, before: Seen, overlaps: FloatArray | None) -> SpectralChange:
    """Returns the change from one spectrum to another of equally many values.

    Args:
        now: Of the model's layer.
        before: Of the base's.
        overlaps: ``|W₁ᵀW₀|`` of each of the layer's matrices, see `overlaps_of`.
    """
    reasons = Reasons()
    zero = ALL_ZERO if not now.spectrum.norm else IN_BASE + ALL_ZERO
    values = [np.sort(each.values, axis=None) for each in (now, before)]
    none_zero = min(now.spectrum.norm, before.spectrum.norm) > 0

    def moved(name: str) -> float | None:
        one, other = (getattr(each.spectrum, name) for each in (now, before))
        return reasons.value(name, None if one is None or other is None else one - other, zero)

    tails = now.spectrum.tail, before.spectrum.tail
    no_tail = now.spectrum.reasons.get("tail") or IN_BASE + before.spectrum.reasons.get("tail", "")
    return SpectralChange(
        distance=reasons.value("distance", _distance(*values), IN_BASE + ALL_ZERO),
        jensen_shannon=reasons.value(
            "jensen_shannon", jensen_shannon(*values) if none_zero else None, zero
        ),
        alignment=reasons.value(
            "alignment",
            None if overlaps is None or not none_zero else _alignment(now, before, overlaps),
            CUT_OTHERWISE if none_zero else zero,
        ),
        alpha=reasons.value(
            "alpha", tails[0].alpha - tails[1].alpha if tails[0] and tails[1] else None, no_tail
        ),
        stable_rank=moved("stable_rank"),
        effective_rank=moved("effective_rank"),
        reasons=reasons,
    )


def _distance(now: FloatArray, before: FloatArray) -> float | None:
    norm = math.sqrt(before.sum())
    return math.sqrt(((np.sqrt(now) - np.sqrt(before)) ** 2).sum()) / norm if norm else None


def _alignment(now: Seen, before: Seen, overlaps: FloatArray) -> float:
    """The mean over the layer's matrices, where a matrix of zeros counts as 0; NaN out of range."""
    if any(
        ((each.values[:, -1] > 0) & (each.values[:, -1] < LEAST)).any() for each in (now, before)
    ):
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        norms = [np.sqrt((each.values**2).sum(axis=1)) for each in (now, before)]
        norm = np.sqrt(norms[0]) * np.sqrt(norms[1])
        each = np.divide(overlaps, norm, out=np.zeros_like(norm), where=norm > 0)
    return float(each.mean())


def overlaps_of(
    stored: tuple[Stored, Stored],
    grams: tuple[Gram, Gram],
    shape: Shape,
    chosen: IntArray | None,
    *,
    sliced: bool,
) -> FloatArray | None:
    """Returns the Frobenius norm ``|W₁ᵀW₀|`` of each of a layer's matrices, ``(matrices,)``.

    W is the layer's matrix as it is stored, outputs first where these are the outer axis; of the
    slices of a kernel, the longer side first: WeightWatcher's orientations. With the longer side
    first, the product is a sum over blocks. With the shorter one first, its squared norm is the
    inner product of the Gram matrices, ``Σ (W₁W₁ᵀ)(W₀W₀ᵀ)``.

    Args:
        stored: The layer's matrix in the model and in the base.
        grams: Of the same.
        shape: How both are taken.
        chosen: Which of the smaller side to take; None for all.
        sliced: Whether they are the slices of a kernel.

    Returns:
        The norms; None where a sum over blocks is needed and the blocks are not of equal parts.
    """
    one, zero = (each.matrix for each in stored)
    with np.errstate(over="ignore", invalid="ignore"):
        if not sliced and (one.outer == 1) != shape.across_outputs:
            squares = (grams[0].products * grams[1].products).sum(axis=(1, 2))
            return _roots(squares)
        if not shape.across_outputs and one.outer != zero.outer:
            return None
        sums = np.zeros_like(grams[0].products)
        parts = (finite_parts(each.matrix, each.reader, shape, chosen) for each in stored)
        for own, other in zip(*parts, strict=True):
            sums[own.place] += own.values.T @ other.values
        return _roots((sums**2).sum(axis=(1, 2)))


def _roots(squares: FloatArray) -> FloatArray:
    roots: FloatArray = np.sqrt(np.maximum(squares, 0.0))
    return roots
