"""Virial temperatures: ``w · ∂L/∂w`` of every layer (theory sections 1 and 5).

Along the dilation ``w -> λw`` of one layer's entries ``dL/dλ = w · ∂L/∂w`` at λ = 1, and the
entropy of the layer grows by ``d · dλ/λ``, so that its temperature is that product over ``d``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from thermoscan.probe.places import Place

_BLOCK_ELEMENTS = 1 << 22


def virials(
    total: torch.Tensor, parameters: Mapping[str, torch.nn.Parameter], places: Sequence[Place]
) -> dict[str, float]:
    """Returns ``w · ∂total/∂w`` of every layer, by its name.

    Args:
        total: A loss, with its graph; the graph is freed.
        parameters: The model's, by name; those of `places` require gradients.
        places: The layers.

    Returns:
        What is missing did not take part: the loss does not depend on its parameter.
    """
    names = list(dict.fromkeys(place.parameter for place in places))
    if not total.requires_grad:
        return {}
    found = torch.autograd.grad(total, [parameters[name] for name in names], allow_unused=True)
    gradients = dict(zip(names, found, strict=True))
    products = {}
    for place in places:
        gradient = gradients[place.parameter]
        if gradient is not None:
            weights = parameters[place.parameter].detach()
            products[place.layer.name] = _product(place.of(weights), place.of(gradient))
    return products


def _product(weights: torch.Tensor, gradient: torch.Tensor) -> float:
    """The sum of products, in double precision and block by block: tables of words are large."""
    rows = max(1, _BLOCK_ELEMENTS // max(1, weights[0].numel()))
    total = 0.0
    for start in range(0, len(weights), rows):
        here = slice(start, start + rows)
        total += float((weights[here] * gradient[here]).sum(dtype=torch.float64))
    return total
