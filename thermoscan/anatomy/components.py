"""The anatomy of a whole checkpoint, which may be of several components, each a model of its own.

Takes a checkpoint; gives its `Anatomy`. A component's tensors are dissected without its prefix,
with its own configuration, as if it were alone; then every name gets the prefix back. A note says
which components it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from thermoscan.anatomy.dissection import MOST_LAYERS, Assumptions, dissect
from thermoscan.anatomy.families import class_name_of
from thermoscan.anatomy.model import Anatomy, Layer
from thermoscan.checkpoint import Checkpoint, Tensor
from thermoscan.errors import LimitError
from thermoscan.text import printable


def anatomy_of(checkpoint: Checkpoint, assumptions: Assumptions | None = None) -> Anatomy:
    """Tells what each tensor of a checkpoint is.

    Args:
        checkpoint: Opened; no weights are read.
        assumptions: What the user states, of every component; None for nothing.

    Raises:
        LimitError: The tensors would make more than `MOST_LAYERS` layers.
    """
    if not checkpoint.components:
        return dissect(
            checkpoint.tensors,
            checkpoint.config,
            aliases=checkpoint.aliases,
            assumptions=assumptions,
        )
    anatomies: dict[str, Anatomy] = {}
    layers = 0
    for component, tensors in _sorted_out(checkpoint).items():
        anatomy = _dissect_alone(checkpoint, component, tensors, assumptions)
        layers += len(anatomy.layers)
        if layers > MOST_LAYERS:
            reason = f"its components hold more than {MOST_LAYERS} matrices"
            raise LimitError("too-many-layers", reason, file=checkpoint.source.id)
        anatomies[component] = _under(component, anatomy) if component else anatomy
    whole = anatomies.values()
    return Anatomy(
        architecture=class_name_of(checkpoint.config),
        layers=tuple(layer for each in whole for layer in each.layers),
        recorded=tuple(record for each in whole for record in each.recorded),
        not_analysed=tuple(left_out for each in whole for left_out in each.not_analysed),
        tied={name: same for each in whole for name, same in each.tied.items()},
        notes=tuple(_notes(anatomies)),
    )


def _sorted_out(checkpoint: Checkpoint) -> dict[str, list[Tensor]]:
    """The tensors by component; under "" those that an adapter puts beside the components."""
    found: dict[str, list[Tensor]] = {}
    for tensor in checkpoint.tensors:
        found.setdefault(checkpoint.component_of(tensor.name) or "", []).append(tensor)
    return found


def _dissect_alone(
    checkpoint: Checkpoint,
    component: str,
    tensors: Iterable[Tensor],
    assumptions: Assumptions | None,
) -> Anatomy:
    """The anatomy of one component, under the names that it has in its own folder."""
    prefix = f"{component}." if component else ""
    return dissect(
        [replace(tensor, name=tensor.name.removeprefix(prefix)) for tensor in tensors],
        checkpoint.components.get(component),
        aliases={
            alias.removeprefix(prefix): name.removeprefix(prefix)
            for alias, name in checkpoint.aliases.items()
            if (checkpoint.component_of(name) or "") == component
        },
        assumptions=assumptions,
    )


def _under(component: str, anatomy: Anatomy) -> Anatomy:
    """The anatomy with the component's name put before every other name."""

    def named(name: str) -> str:
        return f"{component}.{name}"

    return replace(
        anatomy,
        layers=tuple(_layer_under(component, layer) for layer in anatomy.layers),
        recorded=tuple(replace(each, tensor=named(each.tensor)) for each in anatomy.recorded),
        not_analysed=tuple(
            replace(each, tensor=named(each.tensor)) for each in anatomy.not_analysed
        ),
        tied={named(name): named(same) for name, same in anatomy.tied.items()},
    )


def _layer_under(component: str, layer: Layer) -> Layer:
    def named(name: str) -> str:
        return f"{component}.{name}"

    def maybe(name: str | None) -> str | None:
        return None if name is None else named(name)

    norm, following, bias = layer.norm, layer.following, layer.bias
    return replace(
        layer,
        name=named(layer.name),
        tensor=named(layer.tensor),
        joins=maybe(layer.joins),
        norm=norm and replace(norm, gain=maybe(norm.gain), bias=maybe(norm.bias)),
        following=following
        and replace(following, gain=named(following.gain), bias=maybe(following.bias)),
        bias=bias and replace(bias, tensor=named(bias.tensor)),
    )


def _notes(anatomies: Mapping[str, Anatomy]) -> Iterable[str]:
    """Every note once, with the components that it is about."""
    about: dict[str, list[str]] = {}
    for component, anatomy in anatomies.items():
        for note in anatomy.notes:
            about.setdefault(note, []).append(printable(component, 40))
    for note, components in about.items():
        yield f"{', '.join(components)}: {note}" if any(components) else note
