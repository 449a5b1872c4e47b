"""How a layer's elements lie in memory: cuts a stored tensor into pieces that a kernel can walk.

A tensor's elements are read in *memory order*: the order of their addresses, which for a
C-contiguous tensor is the logical order, and for another layout a permutation of the axes. A
*piece* is a range of consecutive elements in that order, seen as ``(outer, units, post)``: units
are the output units, and inputs are what lies inside (post) or outside (outer). A fused tensor
whose parts are ranges of rows falls into one piece a part; where the parts interleave (columns),
one piece has several segments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thermoscan.anatomy.model import Layer
from thermoscan.checkpoint import Tensor

Weights = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Gain and shift per input feature of a layer: float32, both of shape (features,)."""


@dataclass(frozen=True, slots=True)
class InputWeights:
    """Gain and shift laid out as a kernel wants them.

    Attributes:
        gain: float32, per position within `post` (by_outer False) or per `outer` index (True).
        shift: float32, the same shape.
        by_outer: Which of the two.
    """

    gain: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]
    by_outer: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of a tensor's elements, in memory order: one layer, or several interleaved ones.

    Attributes:
        start: First element, counted in memory order from the tensor's first.
        outer: Repetitions of the units axis.
        units: Length of the units axis.
        post: Elements per unit and repetition.
        layers: Names of the layers, one per segment.
        bounds: ``bounds[k]`` to ``bounds[k + 1]`` are the units of segment k; from 0 to `units`.
        weights: Input weights, where a norm feeds the layers; None where none does.
        thermal: Whether its entropy is asked for: False for a vector that is recorded only.
    """

    start: int
    outer: int
    units: int
    post: int
    layers: tuple[str, ...]
    bounds: tuple[int, ...]
    weights: InputWeights | None = None
    thermal: bool = True

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.outer * self.units * self.post


def memory_axes(tensor: Tensor) -> tuple[int, ...]:
    """Returns the tensor's axes in the order of memory, outermost first."""
    axes = range(len(tensor.shape))
    if tensor.strides is None:
        return tuple(axes)
    strides = tensor.strides
    return tuple(sorted(axes, key=lambda a: (-strides[a] if tensor.shape[a] > 1 else -math.inf, a)))


def pieces_of(
    tensor: Tensor, layers: Sequence[Layer], weights: Mapping[str, Weights]
) -> tuple[Piece, ...]:
    """Cuts a tensor into the pieces of its layers.

    Args:
        tensor: The stored tensor.
        layers: Its layers: disjoint ranges along one output axis, the same for each group, that
            together cover the tensor.
        weights: Input weights by layer name; a layer that is missing has none.

    Returns:
        Pieces in memory order, without a gap.

    Raises:
        ValueError: The group axis is not the outermost in memory, so that no piece is a range.
    """
    axes = memory_axes(tensor)
    out_axis = layers[0].out_axis
    grouped = layers[0].group is not None
    if grouped and axes[0] != 0:
        raise ValueError("stacked matrices interleave in memory")
    inner = axes[1:] if grouped else axes
    at = inner.index(out_axis)
    outer = math.prod(tensor.shape[a] for a in inner[:at])
    post = math.prod(tensor.shape[a] for a in inner[at + 1 :])
    units = tensor.shape[out_axis]
    pieces: list[Piece] = []
    groups: dict[int | None, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(layer.group, []).append(layer)
    for index, (_, members) in enumerate(sorted(groups.items(), key=lambda g: g[0] or 0)):
        members.sort(key=lambda layer: layer.start)
        start = index * outer * units * post
        runs = [[m] for m in members] if outer == 1 else [members]
        for run in runs:
            first = run[0].start
            pieces.append(
                Piece(
                    start=start + first * post if outer == 1 else start,
                    outer=outer,
                    units=run[-1].stop - first,
                    post=post,
                    layers=tuple(layer.name for layer in run),
                    bounds=(0, *(layer.stop - first for layer in run)),
                    weights=_lay_out(weights.get(run[0].name), tensor, inner, at),
                )
            )
    return tuple(pieces)


def whole(tensor: Tensor) -> Piece:
    """Returns a tensor that is no layer (a bias, a norm) as one piece with a single unit."""
    return Piece(0, 1, 1, tensor.size, (tensor.name,), (0, 1), thermal=False)


def _lay_out(
    weights: Weights | None, tensor: Tensor, inner: tuple[int, ...], at: int
) -> InputWeights | None:
    """Spreads per-feature weights over the input axes; features run along the first of them."""
    if weights is None:
        return None
    features_axis = min(a for a in inner if a != inner[at])
    place = inner.index(features_axis)
    by_outer = place < at
    axes = inner[:at] if by_outer else inner[at + 1 :]
    shape = [tensor.shape[a] for a in axes]
    along = [tensor.shape[a] if a == features_axis else 1 for a in axes]
    gain, shift = (np.broadcast_to(w.reshape(along), shape).ravel() for w in weights)
    if math.prod(tensor.shape[a] for a in inner[at + 1 :]) == 1 and not by_outer:
        by_outer = True  # one input per unit: kernels then walk across units, whose input is outer
    return InputWeights(gain=gain, shift=shift, by_outer=by_outer)
