"""The tally in plain numpy: the definition that the compiled kernels are held to."""

from __future__ import annotations

import numpy as np

from thermoscan.dtypes import DType
from thermoscan.tally.accumulate import CELLS, Accumulator, Bits
from thermoscan.tally.cells import magnitudes
from thermoscan.tally.record import Column, FloatArray

_BLOCK = 1 << 16
_LARGEST_CELL = 3.0e38


def values(bits: Bits, dtype: DType) -> FloatArray:
    """Returns the values that `bits` spell as float64, NaN and infinities included."""
    with np.errstate(invalid="ignore"):  # signalling NaN
        if dtype in (DType.F32, DType.F64):
            return bits.view(np.float32 if dtype is DType.F32 else np.float64).astype(np.float64)
        if dtype is DType.F16:
            return bits.view(np.float16).astype(np.float64)
        if dtype is DType.BF16:
            wide = bits.astype(np.uint32) << np.uint32(16)
            return wide.view(np.float32).astype(np.float64)
    table = np.full(128, np.nan)
    finite = magnitudes(dtype)
    table[: len(finite)] = finite
    if dtype is DType.F8_E5M2:
        table[len(finite)] = np.inf
    signed: FloatArray = np.where(bits >= 0x80, -1.0, 1.0) * table[bits & 0x7F]
    return signed


def visit(into: Accumulator, bits: Bits, start: int) -> None:
    """Adds elements that begin at flat position `start` of the piece, block by block."""
    for first in range(0, bits.size, _BLOCK):
        _visit_block(into, bits[first : first + _BLOCK], start + first)


def _visit_block(into: Accumulator, bits: Bits, start: int) -> None:
    piece = into.piece
    w = values(bits, into.dtype)
    position = np.arange(start, start + bits.size)
    unit = position // piece.post % piece.units
    segment = np.searchsorted(piece.bounds, unit, side="right") - 1
    for k in range(len(piece.layers)):
        here = segment == k if len(piece.layers) > 1 else slice(None)
        _count(into, k, bits[here], w[here])
        if into.dtype.itemsize >= 4:
            _observe(into.moments[k], w[here])
    finite = np.where(np.isfinite(w), w, 0.0)
    with np.errstate(over="ignore"):
        into.energy[:] += np.bincount(unit, finite**2, minlength=piece.units)
        if piece.weights:
            index = (
                position // (piece.units * piece.post)
                if piece.weights.by_outer
                else position % piece.post
            )
            gained = (finite * piece.weights.gain[index]) ** 2
            into.gained[:] += np.bincount(unit, gained, minlength=piece.units)
            shifted = finite * piece.weights.shift[index]
            into.shifted[:] += np.bincount(unit, shifted, minlength=piece.units)


def _count(into: Accumulator, segment: int, bits: Bits, w: FloatArray) -> None:
    if into.dtype.itemsize == 1:
        into.hist[-1, 256 * segment : 256 * (segment + 1)] += np.bincount(
            bits, minlength=256
        ).astype(np.uint32)
        return
    codes = patterns_of(bits, into.dtype)
    into.hist[segment] += np.bincount(codes, minlength=CELLS).astype(np.uint32)


def patterns_of(bits: Bits, dtype: DType) -> Bits:
    """Returns the patterns that a histogram counts: the bits, or of wide types the leading 16."""
    if dtype is DType.F64:
        w = bits.view(np.float64)
        with np.errstate(over="ignore"):
            clipped = np.where(np.isfinite(w), np.clip(w, -_LARGEST_CELL, _LARGEST_CELL), w)
            bits = clipped.astype(np.float32).view(np.uint32)
    return bits >> np.uint32(16) if bits.itemsize == 4 else bits


def _observe(moments: FloatArray, w: FloatArray) -> None:
    moments[Column.NAN] += np.isnan(w).sum()
    moments[Column.POSITIVE_INFINITY] += np.isposinf(w).sum()
    moments[Column.NEGATIVE_INFINITY] += np.isneginf(w).sum()
    finite = w[np.isfinite(w)]
    if not finite.size:
        return
    if moments[Column.COUNT] == 0:
        moments[Column.PIVOT] = finite[0]
    with np.errstate(over="ignore", invalid="ignore"):
        d = finite - moments[Column.PIVOT]
        moments[Column.COUNT] += finite.size
        moments[Column.SUM] += d.sum()
        moments[Column.SQUARES] += (d**2).sum()
        moments[Column.CUBES] += (d**3).sum()
        moments[Column.QUARTICS] += (d**4).sum()
    moments[Column.MINIMUM] = min(moments[Column.MINIMUM], finite.min())
    moments[Column.MAXIMUM] = max(moments[Column.MAXIMUM], finite.max())
    moments[Column.ZEROS] += (finite == 0).sum()
