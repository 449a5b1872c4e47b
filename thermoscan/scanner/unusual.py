"""Which units of a layer a sample must not miss, told from the vectors beside it.

In trained transformers a few outputs carry far more energy than the others, and the norms and
biases of their block show the same outputs (Kovaleva et al., BERT Busters, arXiv 2105.06990).
Vectors are read whole anyway. Takes the layers and vectors of a model; gives units, the most
unusual first. Which units these are does not bias anything: they stand for themselves alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thermoscan.anatomy import Anatomy
from thermoscan.anatomy.model import Role
from thermoscan.scanner.vectors import Vectors
from thermoscan.theory.entropy import FloatArray

MOST = 16
DISTANCE = 4.0
"""Robust standard deviations from the median beyond which an entry of a vector is unusual."""

_NORMAL_MAD = 1.4826


def unusual_units(
    anatomy: Anatomy, vectors: Vectors, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Returns units by the layer's name; of a table, its first row and its last.

    Args:
        anatomy: What the tensors are.
        vectors: Where vectors are read.
        shapes: Shape of each stored tensor by name.
    """
    names = [each.tensor for each in anatomy.recorded if len(shapes[each.tensor]) == 1]
    names = [name for name in names if _block(name)]
    vectors.read_ahead([name for name in names if name not in vectors.names])
    beside: dict[tuple[str, int], FloatArray] = {}
    for name in names:
        values = vectors.values(name)
        if values is not None:
            key = (_block(name), values.size)
            beside[key] = np.maximum(beside.get(key, 0.0), _distances(values))
    found: dict[str, tuple[int, ...]] = {}
    for layer in anatomy.layers:
        if layer.role is Role.EMBEDDING:
            found[layer.name] = (0, layer.shape[0] - 1)
        elif layer.following is None or layer.following.per_unit:
            distances = beside.get((_block(layer.tensor), layer.shape[0]), np.zeros(0))
            order = np.argsort(-distances, kind="stable")[:MOST]
            found[layer.name] = tuple(int(k) for k in order if distances[k] > DISTANCE)
    return found


def _block(name: str) -> str:
    """The part of a tensor's name up to the first number in it: its block; empty without one."""
    parts = name.split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdecimal()]
    return ".".join(parts[: numbers[0] + 1]) if numbers else ""


def _distances(values: FloatArray) -> FloatArray:
    offsets = np.abs(values - np.median(values))
    spread = _NORMAL_MAD * float(np.median(offsets))
    distances: FloatArray = offsets / spread if spread else np.zeros(values.size)
    return distances
