"""Heat and work of every output unit, added up over positions and batches (theory section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from thermoscan.probe.origin import Origin
from thermoscan.probe.places import Place
from thermoscan.probe.reading import Stroke


@dataclass(frozen=True)
class UnitSums:
    """Sums over the positions that each output unit of a parameter saw, float64 ``(units,)``.

    Attributes:
        heat: ``Σ z²``, of what an activation took.
        work: ``Σ (φ(z) - φ(0))²``, of what it gave.
        positions: How many there were.
    """

    heat: torch.Tensor
    work: torch.Tensor
    positions: torch.Tensor

    @classmethod
    def none(cls, units: int) -> UnitSums:
        """Returns sums over nothing."""
        return cls(*(torch.zeros(units, dtype=torch.float64) for _ in range(3)))

    def __iadd__(self, other: UnitSums) -> UnitSums:
        self.heat.add_(other.heat)
        self.work.add_(other.work)
        self.positions.add_(other.positions)
        return self


@dataclass(frozen=True)
class Heats:
    """What the activations of a model took and gave.

    Attributes:
        units: Number of output units of each parameter.
        sums: By parameter and by the function that was seen behind it.
        joined: Parameters whose output was added to another's before an activation took it.
    """

    units: dict[str, int]
    sums: dict[tuple[str, str], UnitSums] = field(default_factory=dict)
    joined: set[str] = field(default_factory=set)

    def take(
        self, origin: Origin, function: str, heat: torch.Tensor, work: torch.Tensor, count: int
    ) -> None:
        """Adds one call of an activation.

        Args:
            origin: Of its input.
            function: How it is spelled.
            heat: `per_unit` of ``z²``.
            work: `per_unit` of ``(φ(z) - φ(0))²``.
            count: Number of entries of its input.
        """
        index = origin.units.reshape(-1).cpu()
        positions = torch.full(index.shape, count / index.numel(), dtype=torch.float64)
        sums = self._of(origin.parameter, function)
        sums.heat.index_add_(0, index, heat)
        sums.work.index_add_(0, index, work)
        sums.positions.index_add_(0, index, positions)
        self.joined.update(origin.joined)

    def add(self, other: Heats) -> None:
        """Adds what another run of the same model measured."""
        for (parameter, function), sums in other.sums.items():
            mine = self._of(parameter, function)
            mine += sums
        self.joined.update(other.joined)

    def stroke(self, place: Place, outputs: int) -> Stroke | None:
        """Returns what the activations behind one layer did; None where none was seen.

        Args:
            place: Where the layer is.
            outputs: Units of one matrix of its parameter.
        """
        first = (place.group or 0) * outputs + place.start
        here = slice(first, first + place.stop - place.start)
        functions = []
        total = UnitSums.none(place.stop - place.start)
        for (parameter, function), sums in self.sums.items():
            if parameter == place.parameter and bool(sums.positions[here].any()):
                functions.append(function)
                total += UnitSums(sums.heat[here], sums.work[here], sums.positions[here])
        seen = total.positions > 0
        if not functions:
            return None
        heat = float((total.heat[seen] / total.positions[seen]).sum())
        work = float((total.work[seen] / total.positions[seen]).sum())
        return Stroke(tuple(sorted(functions)), heat, work, int(seen.sum()))

    def _of(self, parameter: str, function: str) -> UnitSums:
        key = (parameter, function)
        if key not in self.sums:
            self.sums[key] = UnitSums.none(self.units[parameter])
        return self.sums[key]


def per_unit(units: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
    """Returns `energy` summed over the axes along which `units` has length 1: float64, flat."""
    axes = [axis for axis, length in enumerate(units.shape) if length == 1]
    summed = energy.sum(dim=axes, dtype=torch.float64) if axes else energy.double()
    return summed.reshape(-1).cpu()
