"""The change of entropy between two states of the same entries, and its error (theory section 6).

Both states are seen through the same cells. What a histogram is off by (the width of its
cells, the number of them) is then nearly the same in both and leaves the difference; and because
entry by entry the two states are known together, so does most of the sampling error. To first order
``s₁ - s₀`` is the mean of ``ψ₁(w₁) - ψ₀(w₀)`` over the entries, with the surprise ``ψ = -ln(p/Δ)``
of the cell that an entry lies in, so that its standard error follows from a sample of pairs:

    first order      sqrt(Var(ψ₁(w₁) - ψ₀(w₀)) / n)
    second order     sqrt(min(2m, 1) K) / n: entries that changed their cell (a share m) beat
                     against the noise of K cells that both histograms have in common
    resolution       a third of the change that halving every octave's cells makes, and
                     `SCALE_ERROR` of the difference itself

Independent states are the case m = 1, in which the first is the sum of both variances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thermoscan.theory.entropy import (
    MINIMUM_CELLS,
    PER_CELL,
    Entropy,
    FloatArray,
    Histogram,
    IntArray,
    cells_of,
    estimate,
    starts,
    widths,
)

SCALE_ERROR = 0.005
"""Share of the change by which cells that do not move with the weights get it wrong (simulated)."""


@dataclass(frozen=True, slots=True)
class _State:
    """One state seen through cells: their first codes, inner edges, widths and surprises."""

    first: IntArray
    near: FloatArray
    width: FloatArray
    surprise: FloatArray
    entropy: float

    def locate(self, codes: IntArray) -> IntArray:
        """Returns the index of the cell that each code lies in.

        A cell of negative codes is named by its code next to zero, so that a code lies in the first
        cell at or above it there, and in the last one at or below it from zero on.
        """
        # Counted over all codes: many times as fast as a search for each of the sample.
        farthest = int(max(np.abs(self.first).max(), np.abs(codes).max()))
        begins = np.zeros(2 * farthest + 1, np.int64)
        begins[self.first + farthest] = 1
        at_or_below = np.cumsum(begins)
        place = codes + farthest
        found: IntArray = at_or_below[place] - np.where(codes < 0, begins[place], 1)
        return np.clip(found, 0, len(self.first) - 1)


def entropy_change(
    model: Histogram, base: Histogram, pairs: tuple[IntArray, IntArray]
) -> Entropy | None:
    """Returns ``s₁ - s₀`` of paired states with its standard error.

    Args:
        model: State 1.
        base: State 0, of the same entries.
        pairs: Signed codes of a sample of entries, in state 1 and in state 0.

    Returns:
        The change; None where there is no sample, or a state occupies fewer than `MINIMUM_CELLS`
        codes.
    """
    fewest = min(len(model.codes.signed), len(base.codes.signed))
    if fewest < MINIMUM_CELLS or not len(pairs[0]):
        return None
    bits = _shared_bits(model, base)
    one, zero = _state(model, bits[0]), _state(base, bits[1])
    coarser = [
        _state(each, np.maximum(b - 1, 0)).entropy
        for each, b in zip((model, base), bits, strict=True)
    ]
    value = one.entropy - zero.entropy
    here, there = one.locate(pairs[0]), zero.locate(pairs[1])
    n = int(model.codes.counts.sum())
    moved = np.abs(one.near[here] - zero.near[there]) > zero.width[there] / 2
    cells = max(len(one.first), len(zero.first))
    first = math.sqrt(float(np.var(one.surprise[here] - zero.surprise[there])) / n)
    second = math.sqrt(min(2 * float(moved.mean()), 1.0) * cells) / n
    resolution = (coarser[0] - coarser[1] - value) / 3
    return Entropy(value, math.hypot(first, second, resolution, SCALE_ERROR * value))


def _state(histogram: Histogram, bits: IntArray) -> _State:
    cells = cells_of(histogram.codes, bits)
    width = widths(cells, histogram)
    entropy, _ = estimate(width, cells.counts)
    surprise = -np.log(cells.counts / cells.counts.sum() / width)
    return _State(cells.first, np.sign(cells.first) * cells.near, width, surprise, entropy)


def _shared_bits(model: Histogram, base: Histogram) -> tuple[IntArray, IntArray]:
    """Returns, for every code of either, how many bits resolve its octave in both."""
    keys, counts = [], []
    for each in (model, base):
        octave = _octave_keys(each)
        first = starts(octave)
        keys.append(octave[first])
        counts.append(np.add.reduceat(each.codes.counts, first))
    every = np.concatenate(keys)
    order = np.argsort(every, kind="stable")
    first = starts(every[order])
    totals = np.add.reduceat(np.concatenate(counts)[order], first) / 2
    finest = min(model.codes.octave_bits, base.codes.octave_bits)
    bits = np.minimum(np.log2(np.maximum(totals / PER_CELL, 1)).astype(np.int64), finest)
    known = every[order][first]
    one, zero = (bits[np.searchsorted(known, _octave_keys(each))] for each in (model, base))
    return one, zero


def _octave_keys(histogram: Histogram) -> IntArray:
    """Returns a number for the octave of every code, the same in all element types, rising."""
    codes = histogram.codes
    magnitude = np.abs(codes.signed) >> codes.octave_bits << codes.octave_bits
    # The edge behind an octave's first value lies in the octave, in a type that rounds as in one
    # that cuts off.
    exponent = np.frexp(codes.edges[magnitude + 1])[1].astype(np.int64)
    return np.where(magnitude == 0, 0, np.sign(codes.signed) * (exponent + 2000))
