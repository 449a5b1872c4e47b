"""Builds the layers of one stored weight from what the other modules know about it.

Takes a `Draft`; gives one `Layer` for each matrix in the tensor, together covering each of its
elements once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from thermoscan.anatomy.beginnings import Beginnings
from thermoscan.anatomy.census import Census
from thermoscan.anatomy.draft import Draft
from thermoscan.anatomy.families import Family
from thermoscan.anatomy.firing import Firing, Firings
from thermoscan.anatomy.model import BiasSlice, Layer, Role
from thermoscan.anatomy.normalisation import Norms
from thermoscan.anatomy.recurrent import Recurrence
from thermoscan.anatomy.roles import is_fused_gate, is_gated
from thermoscan.anatomy.slicing import Part, Slices

_CELL = "torch's recurrent cell may use tanh or ReLU"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All that is known of the model around a weight."""

    census: Census
    family: Family
    norms: Norms
    firings: Firings
    beginnings: Beginnings


def layers_of(draft: Draft, divided: Slices, known: Knowledge) -> list[Layer]:
    """Returns the layers of one stored weight, in the order of their elements."""
    tensor, axis = draft.tensor, divided.out_axis
    outputs = tensor.shape[axis]
    inputs = tensor.size // outputs // (divided.groups or 1)
    fan_in = 1 if draft.role is Role.EMBEDDING else inputs
    receptive = math.prod(tensor.shape[2:]) if draft.role is Role.CONVOLUTION else 1
    start, reason = known.beginnings.of(draft, fan_in, outputs * receptive)
    bias = _bias(draft, outputs, known.census)
    features = tensor.shape[1 - axis] if draft.role is Role.CONVOLUTION else inputs
    norm = known.norms.feeding(draft.place, draft.role, features)
    index = draft.recurrence.layer if draft.recurrence else None
    depth = draft.place.depth if draft.place.depth is not None else index
    several = len(divided.parts) > 1
    following = None if several else known.firings.following(draft.place, outputs)
    fired = [_firing(draft, part, several, known) for part in divided.parts]
    slots = [BiasSlice(bias, p.start, p.stop) if bias else None for p in divided.parts]
    built = []
    for group in (None,) if divided.groups is None else range(divided.groups):
        stem = tensor.name if group is None else f"{tensor.name}[{group}]"
        for part, firing, slot in zip(divided.parts, fired, slots, strict=True):
            built.append(
                Layer(
                    name=f"{stem}[{part.label}]" if part.label else stem,
                    tensor=tensor.name,
                    role=part.role,
                    shape=(part.stop - part.start, inputs),
                    fan_in=fan_in,
                    out_axis=axis,
                    start=part.start,
                    stop=part.stop,
                    group=group,
                    depth=depth,
                    activation=firing.activation,
                    activation_reason=firing.activation_reason,
                    engine=firing.engine,
                    joins=_joins(draft, part),
                    norm=norm,
                    following=following,
                    bias=slot,
                    initialisation=start,
                    initialisation_reason=reason,
                )
            )
    return built


def _firing(draft: Draft, part: Part, several: bool, known: Knowledge) -> Firing:
    """What follows one part of a weight."""
    if draft.recurrence is not None:
        return _gate_firing(draft.recurrence, part)
    if part.role is not Role.UP:
        return known.firings.of(draft.place, part.role, gated=False)
    gated = several or is_gated(draft.place, known.census)
    unsplit = draft.fused or is_fused_gate(draft.tensor, draft.place, known.census)
    if unsplit and not gated:
        return Firings.of_fused_gate()
    return known.firings.of(draft.place, part.role, gated)


def _gate_firing(recurrence: Recurrence, part: Part) -> Firing:
    if recurrence.kind == "hr":
        return Firing("identity", None, engine=False)
    gate = recurrence.gates[part.start // recurrence.hidden]
    return Firing(gate.activation, None if gate.activation else _CELL, engine=True)


def _joins(draft: Draft, part: Part) -> str | None:
    target = draft.recurrence.joins if draft.recurrence else None
    if target is None or not part.label:
        return target
    return f"{target}[{part.label}]"


def _bias(draft: Draft, outputs: int, census: Census) -> str | None:
    name = draft.recurrence.bias if draft.recurrence else census.bias_of(draft.place)
    return name if name is not None and census.shapes[name] == (outputs,) else None
