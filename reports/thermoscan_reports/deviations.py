"""Figures of models that are outliers in their families.

Takes `Model`s; gives `Deviation`s. A family is the models of one architecture, or, where none is
stated, those whose layers have the same names and shapes; what an outlier is says
`thermoscan.theory.outliers`, of figures on the scale and with the least difference that `FIGURES`
says. Bits are compared within one element type alone, whose width they follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from thermoscan.theory.outliers import NORMAL_MAD, Outlier, outliers
from thermoscan_reports.index_models import FIGURES, Figure, Model


@dataclass(frozen=True, slots=True)
class Deviation:
    """A figure of a model that is an outlier in its family.

    Attributes:
        figure: Which.
        value: The model's.
        median: Of all members that have the figure, this one among them.
        mads: Distance from the median in MADs, on the scale of the figure; infinite where more
            than half of the members have the very same value.
        above: Whether it lies above the median.
        peers: How many members have the figure.
        family: What they are.
    """

    figure: Figure
    value: float
    median: float
    mads: float
    above: bool
    peers: int
    family: str

    @property
    def distance(self) -> float:
        """The distance in MADs, to sort by; 0 where none can be given."""
        return 0.0 if math.isinf(self.mads) else self.mads

    @property
    def words(self) -> str:
        """The deviation without its family."""
        value, usual = self.figure.words(self.value), self.figure.words(self.median)
        if math.isinf(self.mads):
            return f"{self.figure.symbol} {value}, where more than half share one value, {usual}"
        side = "above" if self.above else "below"
        return f"{self.figure.symbol} {value}, {_counted(self.mads)} MADs {side} the median {usual}"


def deviations_of(models: Sequence[Model]) -> dict[int, tuple[Deviation, ...]]:
    """Returns the deviations of each model that has some, by its place, the farthest first."""
    found: dict[int, list[Deviation]] = {}
    for place, figure in enumerate(FIGURES):
        if figure.least is None:
            continue
        for family, members in _peers(models, place).items():
            values = [models[at].figures[place] or 0.0 for at in members]
            for outlier in _outliers(figure, values):
                at = members[outlier.index]
                found.setdefault(at, []).append(
                    _deviation(figure, values[outlier.index], outlier, len(members), family)
                )
    return {
        at: tuple(sorted(each, key=lambda deviation: -deviation.distance))
        for at, each in found.items()
    }


def _peers(models: Sequence[Model], place: int) -> dict[str, list[int]]:
    """The members of each family that have a figure; for bits, those of one element type."""
    figure, groups = FIGURES[place], dict[str, list[int]]()
    for at, model in enumerate(models):
        value = model.figures[place]
        if model.family is None or value is None or (figure.logarithmic and value <= 0):
            continue
        family = model.family
        if figure.field == "bits_per_parameter":
            family += f" in {model.dtype or 'types that are not known'}"
        groups.setdefault(family, []).append(at)
    return groups


def _outliers(figure: Figure, values: Sequence[float]) -> tuple[Outlier, ...]:
    scaled = [math.log(value) for value in values] if figure.logarithmic else values
    least = figure.least or 0.0
    if figure.of_median:
        least *= abs(median(scaled))
    return outliers(scaled, [0.0] * len(scaled), least)


def _deviation(
    figure: Figure, value: float, outlier: Outlier, peers: int, family: str
) -> Deviation:
    middle = math.exp(outlier.median) if figure.logarithmic else outlier.median
    mads = outlier.spreads * NORMAL_MAD
    return Deviation(figure, value, middle, mads, outlier.offset > 0, peers, family)


def deviations_in_words(deviations: Iterable[Deviation]) -> str:
    """Returns deviations and whom they are among; empty where there are none."""
    groups: dict[tuple[int, str], list[str]] = {}
    for each in deviations:
        groups.setdefault((each.peers, each.family), []).append(each.words)
    return "; ".join(
        f"{'; '.join(words)}, among {peers:,} {family}" for (peers, family), words in groups.items()
    )


def _counted(mads: float) -> str:
    return f"{mads:.1f}" if mads < 100 else f"{mads:,.0f}" if mads < 1e6 else f"{mads:.0e}"
