"""How well indicators rank the models of a zoo: within groups, across them, and learnt ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from studies import weightwatcher
from studies.indicators import (
    BASELINES,
    CARD,
    THEORY,
    WATCHED,
    WITH_EXAMPLES,
    Indicator,
    Measured,
    measure,
)
from studies.ranking import Array, Correlation, correlation, within

if TYPE_CHECKING:
    from studies.zoo import Model, Recipe

DERIVED = THEORY + WITH_EXAMPLES
INDICATORS = CARD + DERIVED + BASELINES + WATCHED
#: Neither the number of examples nor the initial weights are in a checkpoint.
FROM_WEIGHTS = tuple(
    each for each in INDICATORS if each not in WITH_EXAMPLES and each.name[:4] not in ("N", "Σ(w-")
)
FAMILIES = {"digits": "CNNs, digits", "cancer": "MLPs, cancer", "clusters": "MLPs, clusters"}

_CLASSES = {"digits": 10, "cancer": 2, "clusters": 5}
_TREES = 100


@dataclass(frozen=True, slots=True)
class Zoo:
    """Models and what was measured of each, in the same order."""

    models: Sequence[Model]
    measured: Sequence[Measured]

    def where(self, holds: Callable[[Recipe], bool]) -> Zoo:
        """Returns the models whose recipe is such."""
        chosen = [i for i, each in enumerate(self.models) if holds(each.recipe)]
        return Zoo([self.models[i] for i in chosen], [self.measured[i] for i in chosen])

    def of(self, data: str) -> Zoo:
        """Returns the models of one set of data."""
        return self.where(lambda recipe: recipe.data == data)

    def correlation(
        self,
        indicator: Indicator,
        *,
        group: Callable[[Recipe], object] | None = None,
        target: Callable[[Model], float] = lambda model: model.accuracy,
        level: float = 0.95,
    ) -> Correlation | None:
        """Returns the rank correlation of an indicator with a target, by default the accuracy.

        Args:
            indicator: Of every model.
            group: Where given, ranks are those within the models that it gives the same value.
            target: Of every model.
            level: Of the interval.
        """
        values = [indicator.value(each) for each in self.measured]
        targets = [target(each) for each in self.models]
        if group is not None:
            groups = [group(each.recipe) for each in self.models]
            values, targets = within(values, groups), within(targets, groups)
        return correlation(values, targets, level)


@dataclass(frozen=True, slots=True)
class Judged:
    """An indicator on the held-out models, with simultaneous intervals; see `judge`."""

    indicator: Indicator
    columns: Sequence[Correlation | None]

    @property
    def holds(self) -> bool:
        """True where every column has the derived sign, its interval clear of zero."""
        sign = -self.indicator.sign  # the more complex, the less accurate
        return all(
            each is not None and min(sign * each.low, sign * each.high) > 0 for each in self.columns
        )


def measure_all(models: Sequence[Model], *, watch: bool) -> Zoo:
    """Scans every model, and has WeightWatcher look at it where that is asked for."""
    found = [
        measure(
            each.path,
            activation=each.recipe.activation,
            examples=each.recipe.examples * each.recipe.copies,
            classes=_CLASSES[each.recipe.data],
            distance=each.distance,
        )
        for each in models
    ]
    if watch:
        watched = weightwatcher.summaries([each.path for each in models])
        found = [replace(each, watched=its) for each, its in zip(found, watched, strict=True)]
    return Zoo(models, found)


def judge(held: Zoo) -> list[Judged]:
    """Returns every indicator on the held-out models.

    Columns: each of `FAMILIES`, all of them together, and ranks within the families among models
    that were trained without label noise, so that the size of their data is the main difference.
    Intervals are at 95 % for all derived candidates and columns at once (Bonferroni).
    """
    level = 1 - 0.05 / (len(DERIVED) * (len(FAMILIES) + 2))
    parts = [held.of(data) for data in FAMILIES]
    clean = held.where(lambda recipe: recipe.noise == 0)
    return [
        Judged(
            each,
            [
                *(part.correlation(each, level=level) for part in parts),
                held.correlation(each, level=level),
                clean.correlation(each, group=lambda recipe: recipe.data, level=level),
            ],
        )
        for each in INDICATORS
    ]


def learnt(developed: Zoo, held: Zoo) -> dict[str, Correlation | None]:
    """Returns how a forest of all numbers from the weights ranks the accuracies.

    It is no candidate, for it is fitted: it bounds what the numbers hold. Keys are what it is tried
    on: models of the development zoo that it was not fitted to, and the held-out families.
    """
    from sklearn.ensemble import RandomForestRegressor  # noqa: PLC0415 - heavy
    from sklearn.model_selection import KFold, cross_val_predict  # noqa: PLC0415

    forest = RandomForestRegressor(_TREES, random_state=0)
    inputs, accuracies = _table(developed), [each.accuracy for each in developed.models]
    folds = KFold(5, shuffle=True, random_state=0)
    seen = cross_val_predict(forest, inputs, accuracies, cv=folds)
    found = {"MLPs, digits (cross-validated)": correlation(seen, accuracies)}
    forest.fit(inputs, accuracies)
    for data, name in FAMILIES.items():
        part = held.of(data)
        if part.models:
            guesses = forest.predict(_table(part))
            found[name] = correlation(guesses, [each.accuracy for each in part.models])
    return found


def _table(part: Zoo) -> Array:
    rows = [[each.value(measured) for each in FROM_WEIGHTS] for measured in part.measured]
    table: Array = np.nan_to_num(np.array(rows, np.float64))
    return table
