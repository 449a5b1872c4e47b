"""Pictures of the study of the path of training."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from studies.path_runs import Run, State

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {"relu": "#0072b2", "tanh": "#d55e00"}
_NAMES = {"relu": "ReLU", "tanh": "tanh"}

Quantity = Callable[[State], float | None]


def path(runs: Sequence[Run], panels: Mapping[str, Quantity], log: frozenset[str]) -> Figure:
    """Quantities against steps, a panel each, a line per activation.

    Args:
        runs: Those of one activation are averaged.
        panels: Label of the vertical axis -> quantity.
        log: Labels whose axis is logarithmic on both sides of zero.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    columns = 3
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.8 * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (label, quantity) in zip(every, panels.items(), strict=False):
        for activation, colour in _COLOURS.items():
            mine = [each for each in runs if each.activation == activation]
            steps = [each.step for each in mine[0].states]
            values = _mean(mine, quantity)
            axes.plot(steps, values, ".-", color=colour, label=_NAMES[activation])
        _scale(axes, label in log)
        axes.set_ylabel(label)
        axes.set_xlabel("step")
    for axes in every[len(panels) :]:
        axes.remove()
    every[0].legend()
    return figure


def shifts(
    runs: Sequence[Run], panels: Mapping[str, Callable[[Run], float | None]], kinds: Sequence[str]
) -> Figure:
    """Quantities of refreshes against the size of the shift: a row per kind, a dot per run."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    figure = Figure(figsize=(3.6 * len(panels), 2.8 * len(kinds)), layout="constrained")
    for row, kind in zip(figure.subplots(len(kinds), len(panels)), kinds, strict=True):
        for axes, (label, quantity) in zip(row, panels.items(), strict=True):
            for activation, colour in _COLOURS.items():
                mine = [r for r in runs if (r.activation, r.shift.kind) == (activation, kind)]
                known = [each for each in mine if quantity(each) is not None]
                sizes, values = [each.shift.size for each in known], list(map(quantity, known))
                axes.plot(sizes, values, ".", color=colour, label=_NAMES[activation])
            axes.set_xlabel("rotation, degrees" if kind == "rotation" else "permuted classes")
            axes.set_ylabel(label)
    figure.axes[0].legend()
    return figure


def widths(stops: Sequence[int], curves: Mapping[int, Sequence[float]]) -> Figure:
    """Loss, as a share of the initial one, against steps, for every width."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    figure = Figure(figsize=(5, 3.4))
    axes = figure.subplots()
    for number, (width, curve) in enumerate(curves.items()):
        shade = f"C{number}"
        axes.plot(stops, [each / curve[0] for each in curve], ".-", color=shade, label=f"{width}")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss / initial loss")
    axes.legend(title="width")
    return figure


def _scale(axes: Axes, log: bool) -> None:
    axes.set_xscale("symlog", linthresh=1)
    if log:
        axes.set_yscale("symlog", linthresh=1e-6)


def _mean(runs: Sequence[Run], quantity: Quantity) -> list[float]:
    """Returns the mean over runs of a quantity at each stop; NaN where a run has none."""
    rows = [[quantity(state) for state in run.states] for run in runs]
    return [
        math.nan if None in column else statistics.mean(each for each in column if each is not None)
        for column in zip(*rows, strict=True)
    ]
