"""Where the layers of an anatomy are in a running model.

A layer is a slice of a stored tensor (`thermoscan.anatomy.model.Layer`); a *place* is the same
slice of a parameter of the running model. In a plain module both have one name; what a library
renames, stacks or fuses while it loads is matched in `thermoscan.probe.matching`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from thermoscan.anatomy import Assumptions, Layer, dissect
from thermoscan.checkpoint import Tensor
from thermoscan.probe.types import DTYPES


@dataclass(frozen=True, slots=True)
class Place:
    """One layer's entries in a running model.

    Attributes:
        layer: What they are.
        parameter: Name of the parameter that holds them.
        out_axis: The parameter's axis along which output units run.
        start: The layer's first unit along `out_axis`.
        stop: One past its last.
        group: Index along axis 0 where that axis stacks matrices (experts); else None.
    """

    layer: Layer
    parameter: str
    out_axis: int
    start: int
    stop: int
    group: int | None = None

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """Returns the view of `tensor`, shaped like the parameter, that is this layer's."""
        if self.group is None:
            return tensor.narrow(self.out_axis, self.start, self.stop - self.start)
        within = tensor[self.group]
        return within.narrow(self.out_axis - 1, self.start, self.stop - self.start)


def same_name(layer: Layer) -> Place:
    """Returns the place of a layer whose stored tensor is the parameter, as it is."""
    return Place(layer, layer.tensor, layer.out_axis, layer.start, layer.stop, layer.group)


def places_of(
    model: torch.nn.Module,
    config: Mapping[str, Any] | None = None,
    assumptions: Assumptions | None = None,
) -> tuple[Place, ...]:
    """Returns the layers of a plain module, by the names and shapes of its parameters.

    Args:
        model: Any module. A parameter that it holds under two names counts once.
        config: The parsed ``config.json``, where the model is one of transformers.
        assumptions: What the caller states, such as the activation.
    """
    tensors = [
        Tensor(name, DTYPES[value.dtype], tuple(value.shape), "", 0)
        for name, value in model.named_parameters()
        if value.dtype in DTYPES
    ]
    return tuple(
        same_name(layer) for layer in dissect(tensors, config, assumptions=assumptions).layers
    )


def by_parameter(places: Sequence[Place]) -> dict[str, list[Place]]:
    """Returns the places of every parameter that holds some."""
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place.parameter, []).append(place)
    return found
