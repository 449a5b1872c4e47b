"""Which layers are experts of one mixture: the same matrix of a block, once for each expert.

Takes layers; gives the mixture's name, in which the expert's number is ``*``. Experts are told by
the axis that stacks them, or by an index behind ``experts`` in the tensor's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from thermoscan.anatomy.model import Layer

_NUMBERED = re.compile(r"(?:^|(?<=\.))experts\.[0-9]{1,9}(?=\.)")


def mixture_of(layer: Layer) -> str | None:
    """Returns the name that an expert shares with the others of its mixture, None for no expert.

    >>> from thermoscan.anatomy.model import Role
    >>> name = "layers.7.mlp.experts.3.w1.weight"
    >>> mixture_of(Layer(name, name, Role.GATE, (4, 4), 4, 0, 0, 4))
    'layers.7.mlp.experts.*.w1.weight'
    """
    if layer.group is not None:
        part = layer.name.removeprefix(f"{layer.tensor}[{layer.group}]")
        return f"{layer.tensor}[*]{part}"
    shared = _NUMBERED.sub("experts.*", layer.name, count=1)
    return None if shared == layer.name else shared


def mixtures(layers: Iterable[Layer]) -> dict[str, tuple[Layer, ...]]:
    """Returns the mixtures of two experts or more, in the order of their first: name -> experts."""
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        name = mixture_of(layer)
        if name is not None:
            found.setdefault(name, []).append(layer)
    return {name: tuple(experts) for name, experts in found.items() if len(experts) > 1}
