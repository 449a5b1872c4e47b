"""Finds the layers of a checkpoint in the running model that was loaded from it.

A stored tensor is looked for under its own name, with and without the prefix of the library's base
model, and then by content: libraries rename tensors, and stack or fuse the matrices of experts.
Whatever name led there, a layer is given a place only where the running numbers, cast back to the
stored type, have the digest of the stored tensor: a wrong match is impossible. Numbers that are in
several places are matched by name or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from thermoscan.anatomy import Layer
from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType
from thermoscan.probe.places import Place
from thermoscan.probe.types import TORCH_TYPES
from thermoscan.scanner.measurement import Measurement
from thermoscan.tally.geometry import memory_axes
from thermoscan.tally.stream import digest_of

NOT_RUNNING = "the model as it was run has no weight with these numbers"
SHARED = "the running model has one weight for this layer and another"
SEVERAL = "the running model holds these numbers in several places"
SPLIT_INPUTS = "the running model keeps it side by side with another along its inputs"


@dataclass(frozen=True, slots=True)
class Matching:
    """Where the layers are.

    Attributes:
        places: Of the layers that were found, in the order of the anatomy.
        unmatched: Name of a layer that was not -> why.
    """

    places: tuple[Place, ...]
    unmatched: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Site:
    """A matrix in the running model.

    Attributes:
        parameter: Name of the parameter that holds it.
        group: Index along axis 0, where that axis stacks matrices.
        axis: Axis of the matrix along which it is a half; None where it is whole.
        half: Which half.
        transposed: Whether its axes are swapped against the stored tensor's.
    """

    parameter: str
    group: int | None = None
    axis: int | None = None
    half: int = 0
    transposed: bool = False

    def of(self, parameter: torch.Tensor) -> torch.Tensor:
        """The matrix with its axes as the stored tensor has them."""
        matrix = parameter if self.group is None else parameter[self.group]
        if self.axis is not None:
            length = matrix.shape[self.axis] // 2
            matrix = matrix.narrow(self.axis, self.half * length, length)
        return matrix.T if self.transposed else matrix

    def place(self, layer: Layer, parameter: torch.Tensor) -> Place | None:
        """Where a layer of the stored tensor is; None where it is a half along the inputs."""
        if self.group is None and not self.transposed:
            group, axis = layer.group, layer.out_axis
            return Place(layer, self.parameter, axis, layer.start, layer.stop, group)
        axis = 1 - layer.out_axis if self.transposed else layer.out_axis
        matrix = parameter if self.group is None else parameter[self.group]
        offset = self.half * (matrix.shape[axis] // 2)
        if self.axis is not None and self.axis != axis:
            return None
        shift = 0 if self.group is None else 1
        start, stop = layer.start + offset, layer.stop + offset
        return Place(layer, self.parameter, axis + shift, start, stop, self.group)


def match(measurement: Measurement, model: torch.nn.Module, prefix: str = "") -> Matching:
    """Finds every layer of a scanned checkpoint in a running model.

    Args:
        measurement: Of the checkpoint that the model was loaded from.
        model: Its parameters are as they were stored, but for their type.
        prefix: Of the names in a model with a head, against those of the model inside.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    tensors = {each.layer.tensor: each.tensor for each in measurement.layers}
    sites = _by_name(tensors, measurement.digests, parameters, prefix)
    missing = {name: each for name, each in tensors.items() if name not in sites}
    named = {site.parameter for site in sites.values()}
    held = {id(parameters[name]) for name in named}
    free = {name: each for name, each in model.named_parameters() if id(each) not in held}
    sites_of = _by_content(missing, measurement.digests, free) if missing else {}
    unmatched, places = {}, []
    taken: set[tuple[int, int | None, int, int]] = set()
    for layer in measurement.anatomy.layers:
        found = [sites[layer.tensor]] if layer.tensor in sites else sites_of.get(layer.tensor, [])
        if len(found) != 1:
            unmatched[layer.name] = SEVERAL if found else NOT_RUNNING
            continue
        parameter = parameters[found[0].parameter]
        place = found[0].place(layer, parameter)
        key = (id(parameter), place.group, place.start, place.stop) if place else None
        if place is None or key is None:
            unmatched[layer.name] = SPLIT_INPUTS
        elif key in taken:
            unmatched[layer.name] = SHARED
        else:
            taken.add(key)
            places.append(place)
    return Matching(tuple(places), unmatched)


def _by_name(
    tensors: Mapping[str, Tensor],
    digests: Mapping[str, str],
    parameters: Mapping[str, torch.Tensor],
    prefix: str,
) -> dict[str, _Site]:
    found = {}
    for name, tensor in tensors.items():
        for candidate in (name, f"{prefix}.{name}", name.removeprefix(f"{prefix}.")):
            parameter = parameters.get(candidate)
            if parameter is not None and _digest(parameter, tensor) == digests[name]:
                found[name] = _Site(candidate)
                break
    return found


def _by_content(
    tensors: Mapping[str, Tensor],
    digests: Mapping[str, str],
    parameters: Mapping[str, torch.Tensor],
) -> dict[str, list[_Site]]:
    """Returns every site that holds the numbers of a stored tensor."""
    wanted: dict[tuple[int, ...], list[str]] = {}
    for name, tensor in tensors.items():
        wanted.setdefault(tensor.shape, []).append(name)
    found: dict[str, list[_Site]] = {}
    for parameter_name, parameter in parameters.items():
        for site in _sites_in(parameter_name, parameter):
            matrix = site.of(parameter.detach())
            hashed: dict[tuple[DType, tuple[int, ...] | None], str | None] = {}
            for name in wanted.get(tuple(matrix.shape), ()):
                layout = (tensors[name].dtype, tensors[name].strides)
                if layout not in hashed:
                    hashed[layout] = _digest(matrix, tensors[name])
                if hashed[layout] == digests[name]:
                    found.setdefault(name, []).append(site)
    return found


def _sites_in(name: str, parameter: torch.Tensor) -> Iterator[_Site]:
    """Every matrix that a parameter may hold."""
    groups: Sequence[int | None] = [None]
    if parameter.ndim == 3:
        yield _Site(name)
        groups = range(parameter.shape[0])
    for group in groups:
        for transposed in (False, True) if parameter.ndim in (2, 3) else (False,):
            yield _Site(name, group, transposed=transposed)
            if group is not None:
                for axis in (0, 1):
                    yield from (_Site(name, group, axis, half, transposed) for half in (0, 1))


def _digest(values: torch.Tensor, tensor: Tensor) -> str | None:
    """The digest that `values` would have in the stored type and layout; None for another shape."""
    if tuple(values.shape) != tensor.shape:
        return None
    stored = values.detach().to(TORCH_TYPES[tensor.dtype])
    content = (
        stored.permute(*memory_axes(tensor))
        .contiguous()
        .cpu()
        .reshape(-1)
        .view(torch.uint8)
        .numpy()
    )
    return digest_of(content.data)
