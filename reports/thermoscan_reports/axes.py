"""Axes of a picture: what is drawn on them, their view box, and where a value lies in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_DECADE_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Measure:
    """What is drawn: a number column of the layer table, its symbol and scale.

    Attributes:
        path: Where a layer has it, as `layer_table.Column.path`.
        symbol: What titles call it.
        label: The axis in words.
        logarithmic: Decades if True; else from 0 to 1.
        floor: Smallest value that a logarithmic axis tells apart.
        landmarks: Values to draw a line at, with their names.
        shaded: Whether to shade what lies between its two landmarks.
    """

    path: str
    symbol: str
    label: str
    logarithmic: bool
    floor: float = 1e-12
    landmarks: tuple[tuple[float, str], ...] = ()
    shaded: bool = False


PROFILE = Measure(
    "reduced_temperature",
    "τ",
    "Reduced temperature τ",
    True,
    landmarks=((1.0, "LeCun"), (2.0, "He")),
)


@dataclass(frozen=True)
class Frame:
    """The view box, how many marks it has room for, and the margins around the plot area."""

    width: int
    height: int
    marks: int = 400
    left: int = 52
    right: int = 14
    top: int = 14
    bottom: int = 26


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: int
    label: str


@dataclass(frozen=True)
class Canvas:
    """Maps layers to places along the view box, and values (or their logarithms) to heights."""

    frame: Frame
    count: int
    logarithmic: bool
    low: float
    high: float

    def x(self, index: float) -> float:
        """Returns where along the view box the middle of place `index` of `count` is."""
        room = self.frame.width - self.frame.left - self.frame.right
        return self.frame.left + room * (index + 0.5) / self.count

    def y(self, value: float) -> float:
        """Returns at which height of the view box `value` is, downwards; at an end if beyond."""
        if self.logarithmic:
            value = math.log(value) if value > 0 else self.low
        room = self.frame.height - self.frame.top - self.frame.bottom
        share = (self.high - min(max(value, self.low), self.high)) / (self.high - self.low)
        return self.frame.top + room * share


def canvas_of(measure: Measure, values: Sequence[float], frame: Frame, count: int) -> Canvas:
    """Returns the canvas for `values` over `count` places.

    A logarithmic axis spans its values and landmarks with a twelfth of its length to spare.
    """
    if not measure.logarithmic:
        return Canvas(frame, count, False, 0.0, 1.0)
    known = [*values, *(value for value, _ in measure.landmarks)]
    low = math.log(max(min(known, default=0.01), measure.floor))
    high = math.log(max(known, default=1.0))
    spare = max((high - low) / 12, 0.35)
    return Canvas(frame, count, True, low - spare, high + spare)


def ticks_y(canvas: Canvas) -> list[float]:
    """Returns at most seven values: decades, with 2 and 5 between them where the axis is short."""
    if not canvas.logarithmic:
        return [0.0, 0.5, 1.0]
    low, high = math.exp(canvas.low), math.exp(canvas.high)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [float(f"{step}e{power}") for power in powers for step in _DECADE_STEPS]
    inside = [value for value in fine if low <= value <= high]
    if len(inside) <= 7:
        return inside
    decades = [float(f"1e{power}") for power in powers if low <= 10.0**power <= high]
    return decades[:: math.ceil(len(decades) / 7)]
