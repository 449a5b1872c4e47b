"""Follows the output units of a weight through a forward pass, by what every operation does.

An *origin* says of a tensor which parameter its numbers come from, and which output unit of that
parameter each of them belongs to. It is planted on the weights, moves on through views of them, is
handed to the result of a product with them, and moves on from there through views, casts, norms,
pooling and sums, until a function of another kind ends it. A slice of a fused output so keeps
telling which units it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

_RESHAPES = frozenset(
    {"view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as"}
)
_VIEWS = frozenset(
    (
        *("chunk", "split", "split_with_sizes", "tensor_split", "unbind", "narrow", "select"),
        *("transpose", "permute", "movedim", "swapaxes", "swapdims", "t", "T", "mT"),
        *("__getitem__", "index_select", "expand", "expand_as"),
    )
)
_CARRIERS = frozenset(
    (
        *("batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm"),
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout"),
        *("contiguous", "clone", "detach", "to", "type", "type_as", "float", "half", "bfloat16"),
        *("double", "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d"),
        *("avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    )
)
_SUMS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__", "sub", "__sub__"})
_UNARY = _RESHAPES | _VIEWS | _CARRIERS

#: Operation -> where its weight may stand: position, axis of its output units, their axis in the
#: result.
_PRODUCTS = {
    "linear": ((1, 0, -1),),
    "addmm": ((2, -1, -1),),
    "baddbmm": ((2, -1, -1),),
    **dict.fromkeys(("matmul", "mm", "bmm", "__matmul__"), ((1, -1, -1), (0, -2, -2))),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), ((1, 0, 1),)),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), ((1, 1, 1),)),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor's numbers come from.

    Attributes:
        parameter: Name of the parameter.
        units: Index of the output unit of each number, int64, of the tensor's rank, with length 1
            along the axes where it is the same. Units of stacked matrices are counted through.
        product: False for a view of the weights themselves, True for their output.
        joined: Other parameters whose outputs were added to this one.
    """

    parameter: str
    units: torch.Tensor
    product: bool
    joined: tuple[str, ...] = ()

    def at(self, units: torch.Tensor) -> Origin:
        """Returns the same origin for a view, in which `units` are these."""
        return replace(self, units=units)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of a torch function.

    Attributes:
        name: The function's.
        func: The function itself.
        inputs: Its operands and positional arguments, in order.
        more: Its other arguments.
        result: What it returned.
    """

    name: str
    func: Callable[..., Any]
    inputs: tuple[Any, ...]
    more: Mapping[str, Any]
    result: Any


OriginOf = Callable[[Any], Origin | None]
Moved = list[tuple[torch.Tensor, Origin]]


def planted(name: str, parameter: torch.Tensor, out_axis: int, stacked: bool) -> Origin:
    """Returns the origin of a parameter's own entries; `stacked` along axis 0 or not."""
    outputs = parameter.shape[out_axis]
    units = _along(parameter, out_axis)
    if stacked:
        units = units + _along(parameter, 0) * outputs
    return Origin(name, units, product=False)


def _along(parameter: torch.Tensor, axis: int) -> torch.Tensor:
    """The index along one axis, with length 1 along the others."""
    shape = [1] * parameter.ndim
    shape[axis] = parameter.shape[axis]
    return torch.arange(shape[axis], device=parameter.device).reshape(shape)


def moved(call: Operation, origin_of: OriginOf) -> Moved:
    """Returns the origins that the results of an operation have; none where it ends a trace.

    Args:
        call: The operation.
        origin_of: Looks up the origin of an argument.
    """
    if call.name in _SUMS:
        return _sum(call, origin_of)
    if call.name in _PRODUCTS:
        return _product(call, origin_of)
    if call.name not in _UNARY or not call.inputs:
        return []
    origin = origin_of(call.inputs[0])
    if origin is None:
        return []
    if call.name in _CARRIERS:
        return [(call.result, origin)] if _fits(origin.units, call.result) else []
    units = origin.units.expand(call.inputs[0].shape)
    if call.name in _RESHAPES:
        return [(call.result, origin.at(_narrow(units.reshape(call.result.shape))))]
    views = call.func(units, *call.inputs[1:], **call.more)
    if isinstance(call.result, torch.Tensor):
        return [(call.result, origin.at(_narrow(views)))]
    pairs = zip(call.result, views, strict=True)
    return [(result, origin.at(_narrow(each))) for result, each in pairs]


def _product(call: Operation, origin_of: OriginOf) -> Moved:
    """The origin of a product with a weight."""
    for position, axis, result_axis in _PRODUCTS[call.name]:
        weight = origin_of(call.inputs[position]) if position < len(call.inputs) else None
        found = _from_weight(weight, axis, result_axis, call.result)
        if found is not None:
            return [(call.result, found)]
    return []


def _from_weight(
    weight: Origin | None, axis: int, result_axis: int, result: torch.Tensor
) -> Origin | None:
    """Hands a weight's units, which must run along `axis` alone, to the product's `result_axis`.

    The axes of a batched product in front of the last two keep their places.
    """
    if weight is None or weight.product:
        return None
    units = weight.units
    batched = units.ndim == 3 and axis < 0
    rest = [size for index, size in enumerate(units.shape) if index != axis % units.ndim]
    if any(size != 1 for size in (rest[1:] if batched else rest)):
        return None
    shape = [1] * result.ndim
    shape[result_axis] = units.shape[axis]
    if batched:
        shape[-3] = units.shape[0]
    if shape[result_axis] != result.shape[result_axis]:
        return None
    return replace(weight, units=units.reshape(shape), product=True)


def _sum(call: Operation, origin_of: OriginOf) -> Moved:
    """The origin of a sum: that of its first term which has one; the others joined to it."""
    terms = [origin for each in call.inputs[:2] if (origin := origin_of(each)) and origin.product]
    terms = [origin for origin in terms if _fits(origin.units, call.result)]
    if not terms:
        return []
    first, *others = terms
    joined = (name for other in others for name in (other.parameter, *other.joined))
    names = dict.fromkeys(name for name in (*first.joined, *joined) if name != first.parameter)
    return [(call.result, replace(first, joined=tuple(names)))]


def _fits(units: torch.Tensor, result: torch.Tensor) -> bool:
    return units.ndim == result.ndim and all(
        size in (1, length) for size, length in zip(units.shape, result.shape, strict=True)
    )


def _narrow(units: torch.Tensor) -> torch.Tensor:
    """Shortens the axes along which units are the same to length 1."""
    for axis, length in enumerate(units.shape):
        if length > 1:
            first = units.narrow(axis, 0, 1)
            if units.stride(axis) == 0 or bool((units == first).all()):
                units = first
    return units
