"""Histogram cells: what a pattern of bits means as an interval of the real line.

A tally counts elements per *code*: the bit pattern itself for 8- and 16-bit floats, the leading 16
bits of the float32 value for wider ones. A code is sign and magnitude; magnitudes in order are
values in order, 2^m of them per octave. This module turns counts per code into sorted cells with
edges.

An 8- or 16-bit value is taken as rounded: its cell reaches half way to its neighbours. A wider one
is cut off: its cell begins at the value that the leading bits spell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from thermoscan.dtypes import DType
from thermoscan.theory.entropy import Codes, CountArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of one element type, by magnitude code.

    Attributes:
        edges: float64 ``(magnitudes + 1,)``: magnitude code k covers ``edges[k]`` to ``edges[k +
            1]``.
        values: float64 ``(magnitudes,)``: the value of each finite code.
        octave_bits: Codes per octave are two to this power.
        sign: The bit that marks a negative code.
    """

    edges: FloatArray
    values: FloatArray
    octave_bits: int
    sign: int


@cache
def grid_of(dtype: DType) -> Grid:
    """Returns the cells of `dtype`, a float."""
    if dtype in (DType.F32, DType.F64):
        values = (np.arange(0x7F81, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)
        values[-1] = 2.0**128
        return Grid(edges=values, values=values[:-1], octave_bits=7, sign=0x8000)
    values = magnitudes(dtype)
    step = values[-1] - values[-2]
    middles = (values[:-1] + values[1:]) / 2
    edges = np.concatenate([[0.0], middles, [values[-1] + step / 2]])
    octave_bits = {DType.BF16: 7, DType.F16: 10, DType.F8_E4M3: 3, DType.F8_E5M2: 2}[dtype]
    return Grid(
        edges=edges,
        values=values,
        octave_bits=octave_bits,
        sign=0x8000 if dtype.itemsize == 2 else 0x80,
    )


def magnitudes(dtype: DType) -> FloatArray:
    """Returns the finite magnitudes of an 8- or 16-bit float type by code, as float64."""
    if dtype is DType.F16:
        return np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    if dtype is DType.F8_E5M2:
        return (np.arange(0x7C, dtype=np.uint16) << 8).view(np.float16).astype(np.float64)
    if dtype is DType.BF16:
        return (np.arange(0x7F80, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)
    # E4M3 has no infinities and one NaN; the exponent bias is 7 (arXiv 2209.05433).
    return (np.arange(0x7F, dtype=np.uint32) << 20).view(np.float32).astype(np.float64) * 2.0**120


def codes_of(patterns: IntArray, counts: CountArray, dtype: DType) -> Codes:
    """Returns the occupied finite cells, in the order of their values.

    Args:
        patterns: Distinct codes with their sign bit, in rising order.
        counts: Elements per pattern.
        dtype: The element type.
    """
    grid = grid_of(dtype)
    limits = [len(grid.values), grid.sign, grid.sign + len(grid.values)]
    positive, minus, negative = (int(place) for place in np.searchsorted(patterns, limits))
    if patterns[minus:negative].size and patterns[0] == 0 and patterns[minus] == grid.sign:
        counts = counts.copy()
        counts[0] += counts[minus]  # -0 and +0 are one value
        minus += 1
    signed = np.concatenate([grid.sign - patterns[minus:negative][::-1], patterns[:positive]])
    ordered = np.concatenate([counts[minus:negative][::-1], counts[:positive]])
    return Codes(signed=signed, counts=ordered, edges=grid.edges, octave_bits=grid.octave_bits)


def signed_codes(patterns: IntArray, dtype: DType) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Returns the signed code of each pattern, and whether it is of a finite value."""
    grid = grid_of(dtype)
    magnitude = patterns & (grid.sign - 1)
    signed: IntArray = np.where(patterns >= grid.sign, -magnitude, magnitude)
    return signed, magnitude < len(grid.values)


def values_of(codes: Codes, dtype: DType) -> FloatArray:
    """Returns the value that each code spells, float64."""
    return np.sign(codes.signed) * grid_of(dtype).values[np.abs(codes.signed)]
