"""Takes the recurrent weights of torch apart into gates (`torch.nn.LSTM`, `GRU`, `RNN`, cells).

Rows are stacked gate by gate: input, forget, candidate, output (LSTM); reset, update, candidate
(GRU). The hidden matrix adds to the pre-activation of the input matrix. In a GRU's candidate the
reset gate scales that addition: it is counted as open. Layout:
https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html and GRU.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from thermoscan.anatomy.census import Census
from thermoscan.checkpoint import Tensor

_NAME = re.compile(r"(?:.*\.)?weight_(ih|hh|hr)(?:_l(\d{1,9}))?(_reverse)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of a recurrent cell; `activation` is None where the cell may use several."""

    label: str
    activation: str | None


_GATES = {
    4: (Gate("i", "sigmoid"), Gate("f", "sigmoid"), Gate("g", "tanh"), Gate("o", "sigmoid")),
    3: (Gate("r", "sigmoid"), Gate("z", "sigmoid"), Gate("n", "tanh")),
    1: (Gate("", None),),
}


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurrent weight.

    Attributes:
        kind: ``"ih"`` (input), ``"hh"`` (hidden) or ``"hr"`` (projection of the hidden state).
        gates: The gates stacked in it; empty for a projection.
        hidden: Width of the state, the number of rows of each gate.
        layer: Index of the layer in a stack, None for a cell.
        joins: Name of the input weight to whose pre-activations this one adds, None for an input
            weight.
        bias: Name of its bias, None where it has none.
    """

    kind: str
    gates: tuple[Gate, ...]
    hidden: int
    layer: int | None
    joins: str | None
    bias: str | None


def recurrence_of(tensor: Tensor, census: Census) -> Recurrence | None:
    """Returns what a recurrent weight holds; None for others and where gates do not add up."""
    if "weight_" not in tensor.name or len(tensor.shape) != 2:
        return None
    match = _NAME.fullmatch(tensor.name)
    if match is None:
        return None
    kind, index, _ = match.groups()
    layer = int(index) if index else None
    stem, _, rest = tensor.name.rpartition(f"weight_{kind}")
    inputs, states = (census.shapes.get(f"{stem}weight_{k}{rest}", ()) for k in ("ih", "hh"))
    projection = census.shapes.get(f"{stem}weight_hr{rest}", ())
    if kind == "hr":
        return Recurrence(kind, (), tensor.shape[1], layer, None, None)
    if len(inputs) != 2 or len(states) != 2 or inputs[0] != states[0]:
        return None
    hidden = projection[1] if len(projection) == 2 else states[1]
    gates = _GATES.get(inputs[0] // hidden) if hidden and inputs[0] % hidden == 0 else None
    if gates is None:
        return None
    bias = f"{stem}bias_{kind}{rest}"
    return Recurrence(
        kind=kind,
        gates=gates,
        hidden=hidden,
        layer=layer,
        joins=f"{stem}weight_ih{rest}" if kind == "hh" else None,
        bias=bias if census.shapes.get(bias) == (inputs[0],) else None,
    )
