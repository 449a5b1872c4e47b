"""Two states of the same elements, side by side: sums over pairs while both are in memory.

Takes chunks of bits of both, in the same order; gives a `PairPart` for each piece of the first
state. Pairs of which either element is not finite are left out of every sum. Pairs of two element
types are widened to the type that holds both exactly: F32, or F64 where either has 64 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from thermoscan.dtypes import DType
from thermoscan.tally.accumulate import Bits
from thermoscan.tally.geometry import Piece
from thermoscan.tally.native import kernel
from thermoscan.tally.record import FloatArray, PairColumn
from thermoscan.tally.reference import patterns_of, values
from thermoscan.tally.sketch import Sketch, new_sketch, rounding_noise
from thermoscan.tally.stream import piece_at
from thermoscan.theory.entropy import IntArray

SAMPLE = 1 << 14
"""Pairs of a piece that are kept as a sample, about: they tell its errors to a few percent."""

_FIRST_LOOK = 64
_ROUND_TO = ("F32", "BF16", "F16")
_NARROWER_THAN = {DType.F64: 3, DType.F32: 2}


@dataclass(frozen=True, slots=True)
class Sample:
    """Some pairs: leading bits of each element in either state, and the segment it is in."""

    model: IntArray
    base: IntArray
    segment: IntArray


@dataclass(frozen=True, slots=True)
class PairPart:
    """The sums over the pairs of one block of a piece.

    Attributes:
        sums: float64 ``(segments, 7)``, columns as in `PairColumn`.
        rounded: Labels of types such that every element of one state is the other's, or the other's
            rounded to that type.
        sample: Some of the pairs.
        sketch: Of the difference; None where none is asked for.
    """

    sums: FloatArray
    rounded: frozenset[str]
    sample: Sample
    sketch: Sketch | None

    def merge(self, other: PairPart) -> PairPart:
        """Returns the sums of this block and the next one."""
        a, b = self.sample, other.sample
        return PairPart(
            self.sums + other.sums,
            self.rounded & other.rounded,
            Sample(
                np.concatenate([a.model, b.model]),
                np.concatenate([a.base, b.base]),
                np.concatenate([a.segment, b.segment]),
            ),
            self.sketch.merge(other.sketch) if self.sketch and other.sketch else None,
        )


class Pairing:
    """Sums the pairs of one block, chunk by chunk, per piece of the first state."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        types: tuple[DType, DType],
        element: int,
        sketched: bool,
    ) -> None:
        self._pieces = pieces
        self._types = types
        self._at = element
        self._index = piece_at(pieces, element)
        self._sketched = sketched
        self._current: _Sums | None = None
        self._parts: list[tuple[int, PairPart]] = []

    def see(self, model: Bits, base: Bits) -> None:
        """Takes the elements that follow those seen before, as many of each state."""
        while model.size and self._index < len(self._pieces):
            piece = self._pieces[self._index]
            if self._current is None:
                self._current = _Sums(piece, self._types, self._at - piece.start, self._sketched)
            size = min(model.size, piece.start + piece.size - self._at)
            self._current.see(model[:size], base[:size], self._at - piece.start)
            model, base, self._at = model[size:], base[size:], self._at + size
            if self._at == piece.start + piece.size:
                self._parts.append((self._index, self._current.done()))
                self._current, self._index = None, self._index + 1

    def done(self) -> tuple[tuple[int, PairPart], ...]:
        """Returns the sums of every piece that the block overlaps, by its index."""
        if self._current is not None:
            self._parts.append((self._index, self._current.done()))
        return tuple(self._parts)


class _Sums:
    """The running sums over the pairs of one piece."""

    def __init__(
        self, piece: Piece, types: tuple[DType, DType], start: int, sketched: bool
    ) -> None:
        self._piece = piece
        self._types = types
        self._wide = _common_type(*types)
        self._sums = np.zeros((len(piece.layers), len(PairColumn)))
        self._bounds = np.array(piece.bounds, dtype=np.int64)
        self._rounded = _narrower(*types)
        self._stride = _stride(piece)
        self._samples: list[Sample] = []
        self._sketch = new_sketch(piece, start) if sketched else None

    def see(self, model: Bits, base: Bits, start: int) -> None:
        one, zero = (
            _widened(b, t, self._wide) for b, t in zip((model, base), self._types, strict=True)
        )
        before = self._sums[:, PairColumn.EQUAL].sum()
        self._add(one, zero, start)
        equal = self._sums[:, PairColumn.EQUAL].sum() - before == model.size
        if self._rounded and not equal:
            self._rounded = frozenset(
                label for label in self._rounded if _is_rounded(one, zero, self._wide, label)
            )
        if self._piece.thermal:
            self._take_sample(model, base, start)
        if self._sketch is not None and self._sketch.products is not None:
            if equal:
                self._sketch = self._sketch.skip(model.size, start)
            else:
                change = partial(self._change, one, zero)
                self._sketch = self._sketch.see(change, model.size, self._noise(), start)

    def _add(self, one: Bits, zero: Bits, start: int) -> None:
        piece = self._piece
        kernel(f"{self._wide.label}-pairs")(
            one.ctypes.data,
            zero.ctypes.data,
            one.size,
            start,
            piece.units,
            piece.post,
            self._bounds.ctypes.data,
            len(piece.layers),
            self._sums.ctypes.data,
        )

    def _take_sample(self, model: Bits, base: Bits, start: int) -> None:
        chosen = np.arange(-start % self._stride, model.size, self._stride)
        segment = np.zeros(chosen.size, np.int64)
        if len(self._piece.layers) > 1:
            unit = (start + chosen) // self._piece.post % self._piece.units
            segment = np.searchsorted(self._bounds, unit, side="right") - 1
        one, zero = (
            patterns_of(bits[chosen], dtype).astype(np.int64)
            for bits, dtype in zip((model, base), self._types, strict=True)
        )
        self._samples.append(Sample(one, zero, segment))

    def _change(self, one: Bits, zero: Bits, chosen: slice | IntArray) -> FloatArray:
        """What was added to the chosen elements; 0 where that is not finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            change = values(one[chosen], self._wide) - values(zero[chosen], self._wide)
        return np.where(np.isfinite(change), change, 0.0)

    def _noise(self) -> float:
        count = max(self._sums[:, PairColumn.COUNT].sum(), 1.0)
        return rounding_noise(self._sums[:, PairColumn.SQUARE].sum() / count, self._types)

    def done(self) -> PairPart:
        none = np.zeros(0, np.int64)
        samples = self._samples or [Sample(none, none, none)]
        sample = Sample(
            np.concatenate([each.model for each in samples]),
            np.concatenate([each.base for each in samples]),
            np.concatenate([each.segment for each in samples]),
        )
        return PairPart(self._sums, self._rounded, sample, self._sketch)


def _stride(piece: Piece) -> int:
    """The distance of sampled elements: one that walks through all units and inputs alike."""
    stride = max(1, piece.size // SAMPLE)
    while stride > 1 and math.gcd(stride, piece.units * piece.post) > 1:
        stride += 1
    return stride


def _common_type(one: DType, zero: DType) -> DType:
    if DType.F64 in (one, zero):
        return DType.F64
    return DType.BF16 if one is zero is DType.BF16 else DType.F32


def _widened(bits: Bits, dtype: DType, wide: DType) -> Bits:
    if dtype is wide:
        return bits
    if wide is DType.F64:
        return values(bits, dtype).view(np.uint64)
    if dtype is DType.BF16:
        return bits.astype(np.uint32) << np.uint32(16)
    with np.errstate(invalid="ignore"):
        return values(bits, dtype).astype(np.float32).view(np.uint32)


def _narrower(one: DType, zero: DType) -> frozenset[str]:
    """The types that either state may be the other one rounded to."""
    if one is zero:
        return frozenset(_ROUND_TO[-_NARROWER_THAN.get(one, 0) :] if one in _NARROWER_THAN else ())
    return frozenset(each.label for each in (one, zero) if each.label in _ROUND_TO)


def _is_rounded(one: Bits, zero: Bits, wide: DType, label: str) -> bool:
    if wide is DType.BF16:
        return False
    floating = np.float32 if wide is DType.F32 else np.float64
    a: FloatArray = one.view(floating)
    b: FloatArray = zero.view(floating)
    return _all_rounded(a[:_FIRST_LOOK], b[:_FIRST_LOOK], label) and _all_rounded(a, b, label)


def _all_rounded(a: FloatArray, b: FloatArray, label: str) -> bool:
    agree = (
        (a == b) | (a == _round(b, label)) | (b == _round(a, label)) | (np.isnan(a) & np.isnan(b))
    )
    return bool(agree.all())


def _round(values: FloatArray, label: str) -> FloatArray:
    """Returns finite values rounded to the nearest of a type, ties to even."""
    with np.errstate(over="ignore", invalid="ignore"):
        if label == "F16":
            return values.astype(np.float16).astype(values.dtype)
        single = values.astype(np.float32)
        if label == "F32":
            return single.astype(values.dtype)
        bits = single.view(np.uint32)
        kept = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return (kept & np.uint32(0xFFFF0000)).view(np.float32).astype(values.dtype)
