"""From sums to a `Tally`: blocks of a piece are merged in order, then every figure is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from thermoscan.dtypes import DType
from thermoscan.tally.accumulate import CELLS, Accumulator, segment_patterns
from thermoscan.tally.cells import codes_of, grid_of, values_of
from thermoscan.tally.geometry import Piece
from thermoscan.tally.record import (
    NO_MOMENTS,
    Column,
    FloatArray,
    Moments,
    Tally,
    Units,
)
from thermoscan.tally.witness import Witness
from thermoscan.theory.entropy import (
    MINIMUM_CELLS,
    Codes,
    CountArray,
    Histogram,
    IntArray,
    differential_entropy,
    discrete_entropy,
)

T = TypeVar("T")

_NEIGHBOURS = 8
_BESIDE_ZERO = 2


@dataclass(frozen=True, slots=True)
class Special:
    """How many elements are NaN, infinite, or exact zeros; these have weights, if any have."""

    nan: int
    infinite: int
    zeros: float


@dataclass(frozen=True, slots=True)
class Part:
    """The sums of one block of a piece, small enough to wait for its turn: empty cells are dropped.

    Attributes:
        patterns: Per segment, the distinct patterns in rising order and the elements of each.
        moments: Per segment; None for 8- and 16-bit types, whose moments follow from the patterns.
        special: Per segment; None likewise.
        units: Sums over the whole units axis.
        witness: None for 8- and 16-bit types.
    """

    patterns: tuple[tuple[IntArray, CountArray], ...]
    moments: tuple[Moments, ...] | None
    special: tuple[Special, ...] | None
    units: Units
    witness: Witness | None

    def merge(self, other: Part) -> Part:
        """Returns the sums of this block and the next one."""
        merged = zip(self.patterns, other.patterns, strict=True)
        return Part(
            patterns=tuple(_merge_patterns(a, b) for a, b in merged),
            moments=_pairwise(self.moments, other.moments, Moments.merge),
            special=_pairwise(self.special, other.special, _merge_special),
            units=_merge_units(self.units, other.units),
            witness=self.witness.merge(other.witness) if self.witness and other.witness else None,
        )

    def weighed(self, weight: float) -> Part:
        """Returns the sums with every element counted so many times, but for those per unit."""
        return replace(
            self,
            patterns=tuple(
                (patterns, np.multiply(counts, weight, dtype=np.float64))
                for patterns, counts in self.patterns
            ),
            moments=self.moments and tuple(each.weighed(weight) for each in self.moments),
            special=self.special
            and tuple(replace(each, zeros=weight * each.zeros) for each in self.special),
        )


def part_of(sums: Accumulator, witness: Witness | None) -> Part:
    """Returns an accumulator's sums without its empty cells."""
    segments = range(len(sums.piece.layers))
    wide = sums.dtype.itemsize >= 4
    weighted = sums.piece.weights is not None
    return Part(
        patterns=tuple(segment_patterns(sums, k) for k in segments),
        moments=tuple(_moments_of(sums.moments[k]) for k in segments) if wide else None,
        special=tuple(_special_of(sums.moments[k]) for k in segments) if wide else None,
        units=Units(
            energy=sums.energy,
            gained=sums.gained if weighted else None,
            shifted=sums.shifted if weighted else None,
        ),
        witness=witness if wide else None,
    )


def tallies(piece: Piece, dtype: DType, part: Part) -> tuple[Tally, ...]:
    """Returns the tally of each of the piece's layers, in the order of its segments."""
    return tuple(_tally(piece, dtype, part, k) for k in range(len(piece.layers)))


def _tally(piece: Piece, dtype: DType, part: Part, k: int) -> Tally:
    patterns, counts = part.patterns[k]
    codes = codes_of(patterns, counts, dtype)
    if part.moments is not None and part.special is not None:
        special = part.special[k]
        moments = replace(part.moments[k], count=round(part.moments[k].count))
    else:
        moments = _exact_moments(values_of(codes, dtype), codes.counts)
        special = _special_patterns(patterns, counts, codes, dtype)
    atom = _atom(codes, special.zeros)
    histogram = _histogram(codes, atom, moments, dtype) if piece.thermal else None
    entropy = differential_entropy(histogram) if histogram else None
    levels = part.witness.levels if part.witness else None
    units = slice(piece.bounds[k], piece.bounds[k + 1])
    at_extremes, near_extremes = _extremes(codes)
    fits = tuple(sorted(part.witness.fits)) if part.witness else ()
    return Tally(
        count=round(float(counts.sum())),
        nan=special.nan,
        infinite=special.infinite,
        zeros=round(special.zeros),
        atom=atom,
        moments=moments,
        histogram=histogram,
        entropy=entropy,
        entropy_reason=None if entropy else _no_entropy(piece, len(codes.counts)),
        bits=discrete_entropy(counts) + _trailing_bits(dtype, fits),
        levels=len(levels) if levels is not None else (None if part.witness else len(patterns)),
        repeats=_repeats(part.witness),
        at_extremes=at_extremes,
        near_extremes=near_extremes,
        fits=fits,
        units=Units(
            energy=part.units.energy[units],
            gained=None if part.units.gained is None else part.units.gained[units],
            shifted=None if part.units.shifted is None else part.units.shifted[units],
        ),
    )


def _no_entropy(piece: Piece, cells: int) -> str:
    if not piece.thermal:
        return "not a thermal layer"
    if not cells:
        return "no finite values"
    return f"fewer than {MINIMUM_CELLS} distinct histogram cells are occupied"


def _repeats(witness: Witness | None) -> float | None:
    return witness.repeated / witness.sampled if witness and witness.sampled else None


def _trailing_bits(dtype: DType, fits: tuple[str, ...]) -> float:
    """Bits of a wide float beyond the leading 16; in full unless they are known to be 0."""
    if dtype.itemsize < 4 or "BF16" in fits:
        return 0.0
    if dtype is DType.F32:
        return 3.0 if "F16" in fits else 16.0
    return 16.0 if "F32" in fits else 48.0


def _atom(codes: Codes, zeros: float) -> int:
    """The exact zeros beyond what the cells beside zero suggest: rounding does not make them."""
    beside = (np.abs(codes.signed) <= _BESIDE_ZERO) & (codes.signed != 0)
    width = codes.edges[1]
    density = float(codes.counts[beside].sum()) / (codes.edges[_BESIDE_ZERO + 1] - width)
    expected = density * width
    return 0 if zeros <= 1.1 * expected + 3 * expected**0.5 else round(zeros) - round(expected)


def _histogram(codes: Codes, atom: int, moments: Moments, dtype: DType) -> Histogram | None:
    """The histogram of the finite elements outside the atom; None where there are none."""
    signed, counts = codes.signed, codes.counts
    if atom:
        counts = counts - np.where(signed == 0, atom, 0)
        signed, counts = signed[counts > 0], counts[counts > 0]
    if not counts.size:
        return None
    low, high = moments.minimum, moments.maximum
    if dtype.itemsize < 4:
        edges = grid_of(dtype).edges
        low = _outer_edge(edges, int(signed[0]), -1)
        high = _outer_edge(edges, int(signed[-1]), 1)
    return Histogram(Codes(signed, counts, codes.edges, codes.octave_bits), low, high)


def _outer_edge(edges: FloatArray, signed: int, side: int) -> float:
    """The end, on the given side, of the cell of a signed code."""
    if signed * side >= 0:
        return float(side * edges[abs(signed) + 1])
    return float(-side * edges[abs(signed)])


def _extremes(codes: Codes) -> tuple[int, float]:
    """Elements in the two outermost cells, and how many the density just inside them suggests."""
    if len(codes.counts) < 4 * _NEIGHBOURS:
        return 0, 0.0
    found, expected = 0, 0.0
    for side in (1, -1):
        counts = codes.counts[::side][: _NEIGHBOURS + 1]
        signed = np.abs(codes.signed[::side][: _NEIGHBOURS + 1])
        widths = codes.edges[signed + 1] - codes.edges[signed]
        density = counts[1:].sum() / widths[1:].sum()
        found += int(counts[0])
        expected += float(density * widths[0])
    return found, expected


def _exact_moments(values: FloatArray, counts: CountArray) -> Moments:
    n = round(float(counts.sum()))
    if not n:
        return NO_MOMENTS
    mean = float((values * counts).sum() / n)
    d = values - mean
    square = d * d  # numpy's powers above the second are slow
    return Moments(
        count=n,
        mean=mean,
        m2=float((square * counts).sum()),
        m3=float((square * d * counts).sum()),
        m4=float((square * square * counts).sum()),
        minimum=float(values[0]),
        maximum=float(values[-1]),
    )


def _special_patterns(
    patterns: IntArray, counts: CountArray, codes: Codes, dtype: DType
) -> Special:
    grid = grid_of(dtype)
    magnitude = patterns & (grid.sign - 1)
    infinity = len(grid.values) if dtype is not DType.F8_E4M3 else -1
    infinite = int(counts[magnitude == infinity].sum())
    zeros = int(codes.counts[codes.signed == 0].sum())
    nan = int(counts.sum() - codes.counts.sum()) - infinite
    return Special(nan=nan, infinite=infinite, zeros=zeros)


def _special_of(row: FloatArray) -> Special:
    infinite = row[Column.POSITIVE_INFINITY] + row[Column.NEGATIVE_INFINITY]
    return Special(int(row[Column.NAN]), int(infinite), int(row[Column.ZEROS]))


def _moments_of(row: FloatArray) -> Moments:
    """Central moments from sums about a pivot."""
    n = row[Column.COUNT]
    if not n:
        return NO_MOMENTS
    a, b, c, d = (row[k] / n for k in (Column.SUM, Column.SQUARES, Column.CUBES, Column.QUARTICS))
    with np.errstate(over="ignore", invalid="ignore"):
        return Moments(
            count=int(n),
            mean=float(row[Column.PIVOT] + a),
            m2=float(max(n * (b - a**2), 0.0)),
            m3=float(n * (c - 3 * a * b + 2 * a**3)),
            m4=float(max(n * (d - 4 * a * c + 6 * a**2 * b - 3 * a**4), 0.0)),
            minimum=float(row[Column.MINIMUM]),
            maximum=float(row[Column.MAXIMUM]),
        )


def _merge_patterns(
    first: tuple[IntArray, CountArray], second: tuple[IntArray, CountArray]
) -> tuple[IntArray, CountArray]:
    dense: CountArray = np.zeros(CELLS, np.result_type(first[1], second[1]))
    for patterns, counts in (first, second):
        dense[patterns] += counts
    patterns = np.flatnonzero(dense > 0)  # of booleans it is five times as fast
    return patterns, dense[patterns]


def _merge_special(a: Special, b: Special) -> Special:
    return Special(a.nan + b.nan, a.infinite + b.infinite, a.zeros + b.zeros)


def _merge_units(a: Units, b: Units) -> Units:
    def add(x: FloatArray | None, y: FloatArray | None) -> FloatArray | None:
        return None if x is None or y is None else x + y

    return Units(a.energy + b.energy, add(a.gained, b.gained), add(a.shifted, b.shifted))


def _pairwise(
    first: tuple[T, ...] | None, second: tuple[T, ...] | None, merge: Callable[[T, T], T]
) -> tuple[T, ...] | None:
    if first is None or second is None:
        return None
    return tuple(merge(a, b) for a, b in zip(first, second, strict=True))
