"""Watches the activations of a model at work: what really goes in, and what really comes out.

Every call of a torch function passes a `Watcher` while it is active. It follows the output of each
weight (`thermoscan.probe.origin`) to the elementwise activation that takes it, be that a function
or a module, and adds up heat and work. φ(0) is the same activation applied to zeros. What runs
inside one fused kernel (torch's LSTM) is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from thermoscan.probe.functions import function_name, module_name
from thermoscan.probe.heat import Heats, per_unit
from thermoscan.probe.origin import Operation, Origin, moved, planted
from thermoscan.probe.places import Place, by_parameter

_OPERANDS = ("input", "self", "mat1", "weight", "mat2", "batch1", "batch2", "other")


def watched_units(model: torch.nn.Module, places: Sequence[Place]) -> dict[str, int]:
    """Returns the number of output units of every parameter that holds a layer."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    return {
        name: parameters[name].shape[each[0].out_axis]
        * (1 if each[0].group is None else parameters[name].shape[0])
        for name, each in by_parameter(places).items()
    }


@contextmanager
def watching(model: torch.nn.Module, places: Sequence[Place]) -> Iterator[Heats]:
    """Measures heat and work of every layer while the block runs the model.

    Args:
        model: In the mode (training, evaluation) that it is to be measured in.
        places: Its layers.
    """
    heats = Heats(watched_units(model, places))
    watcher = Watcher(heats)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, each in by_parameter(places).items():
        stacked = each[0].group is not None
        watcher.plant(parameters[name], planted(name, parameters[name], each[0].out_axis, stacked))
    handles = []
    for module in model.modules():
        spelled = module_name(module)
        if spelled is not None:
            handles += watcher.hook(module, spelled)
    try:
        with watcher:
            yield heats
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, slots=True)
class _Taken:
    """What an activation took.

    Attributes:
        origin: Of its input.
        heat: `per_unit` of ``z²``; taken before the call, which may work in place.
        shape: Of its input.
        zeros: An input of zeros that gives φ(0).
    """

    origin: Origin
    heat: torch.Tensor
    shape: torch.Size
    zeros: torch.Tensor


class Watcher(TorchFunctionMode):
    """Adds the heat and work of every activation that runs while it is active to `heats`."""

    def __init__(self, heats: Heats) -> None:
        super().__init__()
        self._heats = heats
        self._origins: Any = WeakTensorKeyDictionary()
        self._inside: list[_Taken | None] = []

    def plant(self, parameter: torch.Tensor, origin: Origin) -> None:
        """Follows what is computed from this parameter."""
        self._origins[parameter] = origin

    def hook(self, module: torch.nn.Module, spelled: str) -> list[RemovableHandle]:
        """Takes every call of an activation module for one step, whatever it calls inside."""

        def before(_: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
            outermost = not self._inside
            self._inside.append(None)
            if outermost:
                self._inside[-1] = self._take(inputs)

        def after(_: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            taken = self._inside[-1]
            if taken is not None:
                self._give(taken, spelled, output, module.forward)
            self._inside.pop()

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs a torch function and looks at what it did, unless it is part of an activation."""
        if self._inside:
            return func(*args, **(kwargs or {}))
        inputs, rest = _in_order(args, kwargs or {})
        name = _name_of(func)
        spelled = function_name(name)
        taken = self._take(inputs) if spelled is not None else None
        result = func(*args, **(kwargs or {}))
        if spelled is None:
            self._follow(name, func, inputs, rest, result)
        elif taken is not None:
            self._give(taken, spelled, result, lambda zeros: func(zeros, *inputs[1:], **rest))
        return result

    def _origin(self, value: Any) -> Origin | None:
        found: Origin | None = None
        if isinstance(value, torch.Tensor):
            found = self._origins.get(value)
        return found

    def _take(self, inputs: tuple[Any, ...]) -> _Taken | None:
        """Measures the input of an activation; None where it is not the output of a layer."""
        origin = self._origin(inputs[0]) if inputs else None
        if origin is None or not origin.product or inputs[0].numel() == 0:
            return None
        with torch.no_grad():
            heat = per_unit(origin.units, inputs[0].square())
            return _Taken(origin, heat, inputs[0].shape, torch.zeros_like(inputs[0][:1]))

    def _give(
        self, taken: _Taken, spelled: str, output: Any, activation: Callable[[torch.Tensor], Any]
    ) -> None:
        """Measures the output of an activation; it is the layer's no more."""
        if not isinstance(output, torch.Tensor) or output.shape != taken.shape:
            return
        self._origins.pop(output, None)
        with torch.no_grad():
            rise = output - activation(taken.zeros)
            work = per_unit(taken.origin.units, rise.square())
        self._heats.take(taken.origin, spelled, taken.heat, work, output.numel())

    def _follow(
        self, name: str, func: Any, inputs: tuple[Any, ...], rest: dict[str, Any], result: Any
    ) -> None:
        """Notes where the results of an operation come from; what is not known ends a trace."""
        found = moved(Operation(name, func, inputs, rest, result), self._origin)
        if not found and inputs and result is inputs[0] and isinstance(result, torch.Tensor):
            self._origins.pop(result, None)
        for tensor, origin in found:
            self._origins[tensor] = origin


def _name_of(func: Any) -> str:
    """The name of a torch function; a property's, such as ``T``, by its getter."""
    name = getattr(func, "__name__", "")
    return getattr(func.__self__, "__name__", "") if name == "__get__" else name


def _in_order(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The operands of a call in their order, however they were given, and its other arguments."""
    named = tuple(kwargs[name] for name in _OPERANDS if name in kwargs)
    return (*args, *named), {key: each for key, each in kwargs.items() if key not in _OPERANDS}
