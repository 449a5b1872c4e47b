"""Pictures of the study of training complexity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from studies.complexity_evidence import FAMILIES, Zoo
from studies.indicators import Indicator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
_MARKERS = ("o", "s", "^", "D")


def noise(
    levels: Sequence[float], rows: Sequence[Sequence[float]], accuracy: Sequence[float]
) -> Figure:
    """Reduced transition temperatures of every layer, and the accuracy, against label noise."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    figure = Figure(figsize=(6, 3.6))
    axes = figure.subplots()
    for number, row in enumerate(rows):
        axes.plot(
            levels, row, _MARKERS[number] + "-", color=_COLOURS[number], label=f"layer {number + 1}"
        )
    axes.plot(levels, accuracy, "k:", label="test accuracy")
    axes.set_xlabel("label noise")
    axes.set_ylabel("fan_in T*")
    axes.legend()
    return figure


def by_size(part: Zoo, indicators: Sequence[Indicator]) -> Figure:
    """Accuracy against indicators, the models coloured by the size of their data."""
    sizes = sorted({each.recipe.examples for each in part.models})
    groups = {f"N = {size}": _of_size(part, size) for size in sizes}
    return _scatter(groups, indicators)


def by_family(part: Zoo, indicators: Sequence[Indicator]) -> Figure:
    """Accuracy against indicators, the models coloured by family."""
    return _scatter({name: part.of(data) for data, name in FAMILIES.items()}, indicators)


def _of_size(part: Zoo, size: int) -> Zoo:
    return part.where(lambda recipe: recipe.examples == size)


def _scatter(groups: Mapping[str, Zoo], indicators: Sequence[Indicator]) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter  # noqa: PLC0415

    figure = Figure(figsize=(4.2 * len(indicators), 3.8))
    columns = figure.subplots(1, len(indicators), sharey=True)
    for axes, indicator in zip(columns, indicators, strict=True):
        for (label, part), colour, marker in zip(groups.items(), _COLOURS, _MARKERS, strict=False):
            values = [indicator.value(each) for each in part.measured]
            accuracies = [each.accuracy for each in part.models]
            look = {"color": colour, "marker": marker, "label": label}
            axes.scatter(values, accuracies, s=18, alpha=0.7, **look)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(indicator.name)
    figure.axes[0].set_ylabel("test accuracy")
    figure.axes[0].legend()
    return figure
