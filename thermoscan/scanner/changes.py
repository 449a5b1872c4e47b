"""What became of one layer since the base: its status, its transition, and their numbers.

Takes the layer's measurement, the base's state, and the sums over pairs; theory section 3, Type II.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from thermoscan.card import LayerChange
from thermoscan.dtypes import DType
from thermoscan.reasons import Reasons
from thermoscan.scanner.measurement import LayerMeasurement
from thermoscan.tally.cells import signed_codes
from thermoscan.tally.geometry import Piece
from thermoscan.tally.pairing import PairPart
from thermoscan.tally.record import FloatArray, Moments, PairColumn, Tally
from thermoscan.tally.sketch import rank_of, rounding_noise
from thermoscan.theory.entropy import Entropy
from thermoscan.theory.paired_entropy import entropy_change
from thermoscan.theory.states import LayerState, Transition, transition

ORIGIN = "the base checkpoint"
NOT_IN_BASE = "the base checkpoint has no such layer"
ROUNDED = "it differs from the base checkpoint by rounding only"
BELOW_ERROR = "it differs from the base checkpoint by less than the error of its entropy"
NO_PAIRS = "its entries and those of the base do not correspond"
NO_STATE = "the layer or the base's has no energy or no entropy"
NOT_LOW = "it is not low"
NOT_FINITE = "no entry is finite in both"
OUT_OF_RANGE = "its squares are out of range"
NOT_SKETCHED = "the matrix is too large, or of a layout that is not looked at"

CORRELATED = 0.05
"""Correlation that layers trained apart may have: the most among real ones is 0.06."""

CORRELATION_ERRORS = 4.0
"""Standard errors, ``1/√n``, that the correlation of independent entries may be from 0."""

FEWEST = 256
"""Entries below which nothing can be said of what is left of the base."""

SPARSE = 1e-5
"""Share of stored holes from which on which entries they are matters, so that errors are those of
independent states."""

FRESH = 0.10
"""Share by which T, and nats by which the shape, of a fresh start may differ from its rule."""


@dataclass(frozen=True, slots=True)
class Before:
    """The base's layer."""

    shape: tuple[int, int]
    entropy: Entropy | None
    atom: int
    moments: Moments
    state: LayerState | None


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of one layer's entries with the base's.

    Attributes:
        size: Pairs, those included of which an element is not finite.
        sums: Over the pairs, columns as in `PairColumn`.
        rounded: Whether either state is the other, rounded to a narrower type.
        correlation: Of the entries about their means; None where either does not vary.
        entropy: Change of entropy with its paired error; None where it is not known.
        rank: Of the difference; None where `rank_reason` says why.
    """

    size: int
    sums: FloatArray
    rounded: bool
    correlation: float | None
    entropy: Entropy | None
    rank: int | None
    rank_reason: str | None

    @property
    def same(self) -> bool:
        """Whether all pairs are of equal numbers."""
        return int(self.sums[PairColumn.EQUAL]) == self.size

    @property
    def odd(self) -> int:
        """Pairs that the sums leave out, of which an element is not finite."""
        return self.size - int(self.sums[PairColumn.COUNT])

    @property
    def lost(self) -> bool:
        """Whether nothing of the base is left: its entries and the layer's are independent.

        A change of low rank leaves all of the base beneath it, however large it is.
        """
        n = float(self.sums[PairColumn.COUNT])
        if self.correlation is None or n < FEWEST or self.rank is not None:
            return False
        return abs(self.correlation) <= CORRELATED + CORRELATION_ERRORS / math.sqrt(n)

    @property
    def unmoved(self) -> bool:
        """Whether nothing happened but rounding."""
        return self.same or self.rounded


def pairs_of(
    piece: Piece,
    part: PairPart,
    segment: int,
    tallies: tuple[Tally, Tally],
    types: tuple[DType, DType],
) -> Pairs:
    """Returns the pairs of one segment of a piece.

    Args:
        piece: Of the first checkpoint.
        part: The sums over its pairs.
        segment: Which of its layers.
        tallies: The layer's, and the base's, with their histograms.
        types: Element types of both.
    """
    sums = part.sums[segment]
    units = piece.bounds[segment + 1] - piece.bounds[segment]
    size = min(piece.outer * units * piece.post, tallies[1].count)
    model, base = tallies
    rank, reason = _rank(part, segment, sums, types)
    return Pairs(
        size=size,
        sums=sums,
        rounded=bool(part.rounded),
        correlation=_correlation(sums, model.moments, base.moments),
        entropy=_entropy(part, segment, tallies, types),
        rank=rank,
        rank_reason=reason,
    )


def _rank(
    part: PairPart, segment: int, sums: FloatArray, types: tuple[DType, DType]
) -> tuple[int | None, str | None]:
    if not sums[PairColumn.COUNT]:
        return None, NOT_FINITE
    if sums[PairColumn.DIFFERENCE_SQUARE] == 0:
        return 0, None
    if part.sketch is None:
        return None, NOT_SKETCHED
    if part.sketch.products is None:
        return None, NOT_LOW
    noise = rounding_noise(sums[PairColumn.SQUARE] / max(sums[PairColumn.COUNT], 1.0), types)
    if not math.isfinite(noise):
        return None, OUT_OF_RANGE
    columns = part.sketch.bounds[segment + 1] - part.sketch.bounds[segment]
    rank = rank_of(part.sketch.products[segment], columns, noise)
    return rank, NOT_LOW if rank is None else None


def _correlation(sums: FloatArray, model: Moments, base: Moments) -> float | None:
    n = sums[PairColumn.COUNT]
    spread = math.sqrt(model.variance * base.variance)
    if not n or not 0 < spread < math.inf:
        return None
    return float((sums[PairColumn.PRODUCT] / n - model.mean * base.mean) / spread)


def _entropy(
    part: PairPart, segment: int, tallies: tuple[Tally, Tally], types: tuple[DType, DType]
) -> Entropy | None:
    model, base = tallies
    if model.histogram is None or base.histogram is None or model.count != base.count:
        return None
    if _is_sparse(model.atom, model.count) or _is_sparse(base.atom, base.count):
        return None
    here = part.sample.segment == segment
    one, finite_one = signed_codes(part.sample.model[here], types[0])
    zero, finite_zero = signed_codes(part.sample.base[here], types[1])
    finite = finite_one & finite_zero
    return entropy_change(model.histogram, base.histogram, (one[finite], zero[finite]))


def _is_sparse(atom: int, count: int) -> bool:
    """Says whether the holes are too many to take the pairs for all there is."""
    return atom > SPARSE * count


def change_of(
    found: LayerMeasurement, before: Before | None, pairs: Pairs | None
) -> LayerMeasurement:
    """Returns the layer's measurement with what became of it since the base."""
    if before is None:
        names = tuple(LayerChange.__dataclass_fields__)[1:-1]
        nothing = dict.fromkeys(names)
        change = LayerChange("added", **nothing, reasons=dict.fromkeys(names, NOT_IN_BASE))
        return replace(found, change=change)
    status = _status(found, before, pairs)
    moved = _transition(found, before, pairs if status != "resized" else None)
    return replace(found, change=_change(status, moved, pairs), refresh=_refresh(status, moved))


def _status(found: LayerMeasurement, before: Before, pairs: Pairs | None) -> str:
    if found.layer.shape != before.shape:
        return "resized"
    if pairs is None:
        return "changed"
    if pairs.same:
        return "same"
    if pairs.rounded:
        return "rounded"
    if not pairs.lost:
        return "changed"
    return "re-initialised" if _is_fresh(found) else "replaced"


def _is_fresh(found: LayerMeasurement) -> bool:
    """Says whether energy and shape are, but for a little training, those of a random start."""
    start, state, moved = found.layer.initialisation, found.state, found.transition
    if start is None or state is None or moved is None or moved.entropy_change is None:
        return False
    ratio = state.temperature / start.variance
    error = state.temperature_error / start.variance
    reshaped = abs(moved.entropy_change - 0.5 * math.log(ratio)) if ratio > 0 else math.inf
    return abs(ratio - 1) <= FRESH + 3 * error and reshaped <= FRESH / 2 + 3 * (
        moved.entropy_error or 0.0
    )


def _transition(found: LayerMeasurement, before: Before, pairs: Pairs | None) -> Transition | None:
    """Returns what happened between both states; errors are paired where entries correspond."""
    state, entropy = found.state, found.tally.entropy
    if state is None or before.state is None:
        return None
    holes = max(found.tally.atom, before.atom) + (pairs.odd if pairs else 0)
    paired = pairs is not None and not _is_sparse(holes, found.tally.count)
    change = pairs.entropy if pairs is not None and paired else None
    if change is None and entropy is not None and before.entropy is not None:
        error = math.hypot(entropy.error, before.entropy.error)
        change = Entropy(entropy.value - before.entropy.value, error)
    energy_error = math.hypot(state.temperature_error, before.state.temperature_error)
    if pairs is not None and paired:
        energy_error = _paired_energy_error(pairs.sums)
    if pairs is not None and pairs.same:
        change, energy_error = Entropy(0.0, 0.0), 0.0
    return transition(
        state.temperature,
        change.value if change else None,
        before.state.temperature,
        0.0 if change else None,
        second_error=energy_error,
        entropy_error=change.error if change else 0.0,
        origin=ORIGIN,
    )


def _paired_energy_error(sums: FloatArray) -> float:
    """The standard error of ``<w₁² - w₀²>`` over pairs."""
    n = float(sums[PairColumn.COUNT])
    if not n:
        return 0.0
    mean = (sums[PairColumn.SQUARE] - sums[PairColumn.BASE_SQUARE]) / n
    return math.sqrt(max(float(sums[PairColumn.GAINED_SQUARE]) / n - mean * mean, 0.0) / n)


def _refresh(status: str, moved: Transition | None) -> Transition | None:
    """Returns the transition as the card's temperature is drawn from it."""
    if moved is None:
        return None
    if status == "rounded":
        return Transition(None, ROUNDED, 0.0, 0.0, 0.0, 0.0)
    if status != "same" and moved.reason == f"at {ORIGIN}":
        return replace(moved, reason=BELOW_ERROR)
    return moved


def _change(status: str, moved: Transition | None, pairs: Pairs | None) -> LayerChange:
    reasons = Reasons()
    figures = figures_of(pairs.sums) if pairs else None
    no_figure = "the base's entries are all zero, or out of range" if pairs else NO_PAIRS
    if pairs is None or pairs.rank is None:
        reasons["rank"] = (pairs.rank_reason if pairs else None) or NO_PAIRS
    return LayerChange(
        status=status,
        energy_change=reasons.value(
            "energy_change", moved.energy_change if moved else None, NO_STATE
        ),
        energy_error=reasons.value("energy_error", moved.energy_error if moved else None, NO_STATE),
        entropy_change=reasons.value(
            "entropy_change", moved.entropy_change if moved else None, NO_STATE
        ),
        entropy_error=reasons.value(
            "entropy_error", moved.entropy_error if moved else None, NO_STATE
        ),
        distance=reasons.value("distance", figures.distance if figures else None, no_figure),
        cosine=reasons.value("cosine", figures.cosine if figures else None, no_figure),
        kept=reasons.value("kept", figures.kept if figures else None, no_figure),
        rank=pairs.rank if pairs else None,
        reasons=reasons,
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """``|w₁ - w₀| / |w₀|``, the cosine between both, and ``<w₁, w₀> / <w₀, w₀>``; None for 0/0."""

    distance: float | None
    cosine: float | None
    kept: float | None


def figures_of(sums: FloatArray) -> Figures:
    """Returns the figures of sums over pairs, of one layer or of many together."""
    product, one, zero, apart = (
        float(sums[column])
        for column in (
            PairColumn.PRODUCT,
            PairColumn.SQUARE,
            PairColumn.BASE_SQUARE,
            PairColumn.DIFFERENCE_SQUARE,
        )
    )
    if not zero:
        return Figures(None, None, None)
    scale = math.sqrt(one) * math.sqrt(zero)
    cosine = product / scale if 0 < scale < math.inf else math.nan
    return Figures(
        distance=math.sqrt(apart / zero),
        cosine=max(-1.0, min(1.0, cosine)) if math.isfinite(cosine) else None,
        kept=product / zero,
    )
