"""Where the marks of a picture go: one value per layer over the depth of the model, as plain data.

Takes a card and a `Measure`; gives a `Plot` in the units of an SVG view box, y downwards. Up to the
number of layers that a frame has room for there is a mark for each; beyond, the envelope (least and
greatest value) and each group's median in columns, so that the picture has one size at any depth.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

from thermoscan.card import Card
from thermoscan.text import printable
from thermoscan_reports.axes import (
    Canvas,
    Frame,
    Measure,
    Tick,
    canvas_of,
    ticks_y,
)
from thermoscan_reports.layer_table import number, severities
from thermoscan_reports.numbers import shown
from thermoscan_reports.roles import GROUPS, Group, group_of

TITLED = 80
RINGS = 20
#: Room for a letter of a tick, in units of the view box.
_LETTER = 7

ORDER = Measure("order", "J", "Order J, nats per parameter", True, floor=1e-4)
EFFICIENCY = Measure("engine.efficiency", "η", "Work efficiency η, estimated", False)
MEASURED = Measure("probe.efficiency", "η", "Work efficiency η, measured on data", False)
ALPHA = Measure(
    "spectra.counted.tail.alpha",
    "α",
    "Tail exponent α",
    True,
    landmarks=((2.0, "WW 2"), (6.0, "WW 6")),
    shaded=True,
)
DISTANCE = Measure("change.distance", "Δ", "Distance from the base Δ, relative", True, floor=1e-8)


@dataclass(frozen=True)
class Dot:
    """One layer's mark, as SVG path commands, and its title."""

    path: str
    title: str


@dataclass(frozen=True)
class Series:
    """The marks (or the line of medians) of one group."""

    group: Group
    dots: tuple[Dot, ...]
    line: str


@dataclass(frozen=True)
class Ring:
    """A layer with a finding. `index` is that of the layer."""

    index: int
    x: int
    y: int
    severity: str
    title: str


@dataclass(frozen=True)
class Rug:
    """Ticks on the horizontal axis under the layers that have findings of one severity."""

    severity: str
    path: str


@dataclass(frozen=True)
class Plot:
    """A picture's content.

    Attributes:
        measure: What is drawn.
        frame: In which view box.
        series: A series per group of roles, in the order of `roles.GROUPS`.
        band: The envelope as SVG path commands; empty where every layer has its mark.
        titled: True where marks are few enough to carry titles.
        rings: Layers with findings, where they are at most `RINGS`.
        rugs: Layers with findings, where they are more.
        ticks_x: Components, else blocks, or layer numbers where most names hold no block.
        ticks_y: Values.
        landmarks: Lines with their names.
        axis_x: What the horizontal axis counts.
        drawn: How many layers have a value.
        absent: How many have none, or none above zero on a logarithmic axis.
        description: The picture in a sentence.
    """

    measure: Measure
    frame: Frame
    series: tuple[Series, ...]
    band: str
    titled: bool
    rings: tuple[Ring, ...]
    rugs: tuple[Rug, ...]
    ticks_x: tuple[Tick, ...]
    ticks_y: tuple[Tick, ...]
    landmarks: tuple[Tick, ...]
    axis_x: str
    drawn: int
    absent: int
    description: str


class _Point(NamedTuple):
    """A layer that has a value."""

    layer: int
    value: float
    group: Group


def plot_of(card: Card, measure: Measure, frame: Frame) -> Plot:
    """Returns the picture of `measure` over the layers of `card`."""
    points = _points(card, measure)
    canvas = canvas_of(measure, [point.value for point in points], frame, len(card.layers))
    dense = len(points) > frame.marks
    ticks_x, axis_x = _ticks_x(card, canvas)
    rings, rugs = _flags(card, points, measure, canvas)
    return Plot(
        measure=measure,
        frame=frame,
        series=_lines(points, canvas) if dense else _dots(card, points, measure, canvas),
        band=_band(points, canvas) if dense else "",
        titled=len(points) <= TITLED,
        rings=rings,
        rugs=rugs,
        ticks_x=ticks_x,
        ticks_y=tuple(Tick(round(canvas.y(at)), f"{at:g}") for at in ticks_y(canvas)),
        landmarks=tuple(Tick(round(canvas.y(at)), name) for at, name in measure.landmarks),
        axis_x=axis_x,
        drawn=len(points),
        absent=len(card.layers) - len(points),
        description=_description(measure, [point.value for point in points], len(card.layers)),
    )


def _points(card: Card, measure: Measure) -> list[_Point]:
    """The layers that have a value, above zero on a logarithmic axis, in the order of the model."""
    found = []
    for index, layer in enumerate(card.layers):
        value, _ = number(layer, measure.path)
        if value is not None and (value > 0 or not measure.logarithmic):
            found.append(_Point(index, value, group_of(layer.role)))
    return found


def _ticks_x(card: Card, canvas: Canvas) -> tuple[tuple[Tick, ...], str]:
    """The components in their middle where there are several, as each has blocks of its own.

    Else about eight: where blocks begin, which are numbered anew in a decoder, or layer numbers
    where most layers are in no block.
    """
    components = _components(card)
    if len(components) > 1:
        named = [
            (name, canvas.x((first + last) / 2))
            for name, first, last in components
            if canvas.x(last) - canvas.x(first) > _LETTER * len(name)
        ]
        return tuple(Tick(round(at), name) for name, at in named), "component"
    inside = [(layer.depth, index) for index, layer in enumerate(card.layers)]
    inside = [(depth, index) for depth, index in inside if depth is not None]
    starts = [next(group) for _, group in groupby(inside, key=lambda each: each[0])]
    axis = "block"
    if len(starts) < 2 or 2 * len(inside) < canvas.count:
        axis, starts = "layer", [(index, index) for index in range(canvas.count)]
    chosen = starts[:: max(1, math.ceil(len(starts) / 8))]
    return tuple(Tick(round(canvas.x(index)), str(label)) for label, index in chosen), axis


def _components(card: Card) -> list[tuple[str, int, int]]:
    """The components of a pipeline with their first and last layer; none where it is no pipeline.

    Names of layers begin with their component's, which is the folder of its weights.
    """
    folders = {file.name.rpartition("/")[0] for file in card.model.files}
    runs = groupby(range(len(card.layers)), key=lambda at: card.layers[at].name.partition(".")[0])
    found = [(name, list(run)) for name, run in runs]
    if not folders.issuperset(name for name, _ in found):
        return []
    return [(printable(name, 30), run[0], run[-1]) for name, run in found]


def _by_group(points: Sequence[_Point]) -> list[tuple[Group, list[_Point]]]:
    found = [(group, [point for point in points if point.group is group]) for group in GROUPS]
    return [(group, mine) for group, mine in found if mine]


def _dots(
    card: Card, points: Sequence[_Point], measure: Measure, canvas: Canvas
) -> tuple[Series, ...]:
    def dot(point: _Point) -> Dot:
        title = _title(card, point, measure) if len(points) <= TITLED else ""
        at = f"M{canvas.x(point.layer):.4g} {canvas.y(point.value):.0f}"
        return Dot(at + point.group.mark, title)

    return tuple(Series(group, tuple(map(dot, mine)), "") for group, mine in _by_group(points))


def _title(card: Card, point: _Point, measure: Measure) -> str:
    return f"{printable(card.layers[point.layer].name, 60)} {measure.symbol} {shown(point.value)}"


def _runs(points: Sequence[_Point], frame: Frame) -> list[Sequence[_Point]]:
    """Cuts `points` into runs of nearly equal length, one to four marks there is room for."""
    count = frame.marks // 4
    edges = [round(place * len(points) / count) for place in range(count + 1)]
    return [points[a:b] for a, b in pairwise(edges) if b > a]


def _place(run: Sequence[_Point], value: float, canvas: Canvas) -> str:
    x = canvas.x((run[0].layer + run[-1].layer) / 2)
    return f"{x:.0f} {canvas.y(value):.0f}"


def _band(points: Sequence[_Point], canvas: Canvas) -> str:
    runs = _runs(points, canvas.frame)
    top = [_place(run, max(point.value for point in run), canvas) for run in runs]
    bottom = [_place(run, min(point.value for point in run), canvas) for run in reversed(runs)]
    return f"M{'L'.join([*top, *bottom])}z"


def _lines(points: Sequence[_Point], canvas: Canvas) -> tuple[Series, ...]:
    places: dict[Group, list[str]] = {}
    for run in _runs(points, canvas.frame):
        for group, mine in _by_group(run):
            median = statistics.median(point.value for point in mine)
            places.setdefault(group, []).append(_place(run, median, canvas))
    return tuple(
        Series(group, (), f"M{'L'.join(places[group])}") for group in GROUPS if group in places
    )


def _flags(
    card: Card, points: Sequence[_Point], measure: Measure, canvas: Canvas
) -> tuple[tuple[Ring, ...], tuple[Rug, ...]]:
    """Rings around layers with findings; ticks instead where rings would cover the rest."""
    known = {point.layer: point for point in points}
    flags = [(known[layer], worst) for layer, worst in severities(card).items() if layer in known]
    if len(flags) <= RINGS:
        rings = tuple(
            Ring(
                index=point.layer,
                x=round(canvas.x(point.layer)),
                y=round(canvas.y(point.value)),
                severity=severity,
                title=_title(card, point, measure),
            )
            for point, severity in flags
        )
        return rings, ()
    bottom = canvas.frame.height - canvas.frame.bottom
    places: dict[str, dict[int, None]] = {}
    for point, severity in flags:
        places.setdefault(severity, {})[round(canvas.x(point.layer))] = None
    return (), tuple(
        Rug(severity, "".join(f"M{x} {bottom}v-7" for x in columns))
        for severity, columns in places.items()
    )


def _description(measure: Measure, values: Sequence[float], total: int) -> str:
    if not values:
        return f"{measure.label}: no layer has a value."
    return (
        f"{measure.label} of {len(values):,} of {total:,} layers, from input to output: "
        f"{shown(min(values))} to {shown(max(values))}, median {shown(statistics.median(values))}."
    )
