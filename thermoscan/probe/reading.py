"""What running a model on data measured, as frozen values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stroke:
    """What the activation behind one layer did: means over the positions that each unit saw.

    Attributes:
        functions: The activations that were seen, as they are spelled.
        heat: ``Q = Σ_j E[z_j²]`` over the units that an activation took.
        work: ``W = Σ_j E[(φ(z_j) - φ(0))²]`` over the same.
        units: How many those are.
    """

    functions: tuple[str, ...]
    heat: float
    work: float
    units: int

    @property
    def efficiency(self) -> float | None:
        """``W / Q``; None where no heat was absorbed."""
        return self.work / self.heat if self.heat > 0 else None


@dataclass(frozen=True, slots=True)
class LayerReading:
    """One layer.

    Attributes:
        parameters: Degrees of freedom d.
        temperature: ``(1/d) Σ w ∂L/∂w``, nats; None where the loss does not depend on it or there
            is no loss.
        stroke: Of its activation; None where none was seen to take its output.
        joined: Whether its output was added to another layer's before an activation took that.
    """

    parameters: int
    temperature: float | None
    stroke: Stroke | None
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A model on one set of data.

    Attributes:
        inputs: Examples.
        positions: Places at which the loss was taken, or that the model saw.
        loss: Mean over the positions, nats; None where there is no loss.
        layers: By name, in the order they were asked for.
    """

    inputs: int
    positions: int
    loss: float | None
    layers: Mapping[str, LayerReading]

    @property
    def temperature(self) -> float | None:
        """``Σ d T / Σ d`` over the layers that have a temperature; None where none has."""
        pairs = [
            (each.parameters, each.temperature)
            for each in self.layers.values()
            if each.temperature is not None
        ]
        if not pairs:
            return None
        return math.fsum(d * t for d, t in pairs) / sum(d for d, _ in pairs)

    @property
    def stroke(self) -> Stroke | None:
        """Of all layers together; None where no activation was seen."""
        return together(each.stroke for each in self.layers.values() if each.stroke)


def together(strokes: Iterable[Stroke]) -> Stroke | None:
    """Returns what several strokes add up to; None for none."""
    each = tuple(strokes)
    if not each:
        return None
    return Stroke(
        functions=tuple(sorted({name for one in each for name in one.functions})),
        heat=math.fsum(one.heat for one in each),
        work=math.fsum(one.work for one in each),
        units=sum(one.units for one in each),
    )
