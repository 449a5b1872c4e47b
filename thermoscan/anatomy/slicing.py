"""Where the matrices lie in a stored tensor: orientation, fused parts, stacked experts.

Takes a weight, its role and the census; gives `Slices`. The matrices of one tensor share its axes,
never overlap and leave nothing out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from thermoscan.anatomy.census import Census, Shape
from thermoscan.anatomy.draft import Draft
from thermoscan.anatomy.families import Family
from thermoscan.anatomy.model import Role
from thermoscan.anatomy.recurrent import Gate
from thermoscan.anatomy.rules import CONV1D_WORDS

_LABELS = {
    Role.QUERY: "query",
    Role.KEY: "key",
    Role.VALUE: "value",
    Role.GATE: "gate",
    Role.UP: "up",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Outputs `start` to `stop` of a tensor; `label` is "" for the whole."""

    role: Role
    label: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Slices:
    """How a stored tensor divides into matrices.

    Attributes:
        out_axis: The stored axis along which outputs run.
        groups: Number of stacked matrices along axis 0; None where axis 0 is not a stack.
        parts: The matrices of one group, in order along `out_axis`.
    """

    out_axis: int
    groups: int | None
    parts: tuple[Part, ...]


def slices_of(draft: Draft, census: Census, family: Family) -> Slices:
    """Divides a weight into its matrices."""
    tensor, fused = draft.tensor, draft.fused
    whole = tensor.name in census.taken
    if draft.recurrence is not None:
        return Slices(0, None, _gates(draft, [] if whole else draft.recurrence.gates))
    stacked = len(tensor.shape) == 3 and draft.place.kind.in_experts and not whole
    axis = _expert_out_axis(draft, census) if stacked else _out_axis(draft, census)
    groups = tensor.shape[0] if stacked else None
    outputs = tensor.shape[axis]
    inputs = tensor.size // outputs // (groups or 1)
    sizes = [] if whole else _sizes(outputs, inputs, fused, family)
    if not sizes:
        return _undivided(draft.role, axis, groups, outputs)
    parts, start = [], 0
    for role, size in zip(fused, sizes, strict=True):
        parts.append(Part(role, _LABELS[role], start, start + size))
        start += size
    return Slices(axis, groups, tuple(parts))


@lru_cache(maxsize=1024)
def _undivided(role: Role, axis: int, groups: int | None, outputs: int) -> Slices:
    """One matrix in each group; most weights of a model share a few of these."""
    return Slices(axis, groups, (Part(role, "", 0, outputs),))


def _gates(draft: Draft, gates: Sequence[Gate]) -> tuple[Part, ...]:
    rows = draft.tensor.shape[0]
    size = rows // max(1, len(gates))
    if len(gates) < 2:
        return (Part(draft.role, "", 0, rows),)
    return tuple(
        Part(draft.role, gate.label, index * size, (index + 1) * size)
        for index, gate in enumerate(gates)
    )


def _sizes(outputs: int, inputs: int, fused: tuple[Role, ...], family: Family) -> list[int]:
    """The sizes of the fused parts, empty where they are not known."""
    if not fused or (family.convention and family.convention.alternating):
        return []
    if len(fused) == 2:
        return [outputs // 2] * 2 if outputs % 2 == 0 else []
    if family.heads is not None:
        heads, key_heads, width = family.heads
        sizes = [heads * width, key_heads * width, key_heads * width]
        if sum(sizes) == outputs and min(sizes) > 0:
            return sizes
    return [outputs // 3] * 3 if outputs == 3 * inputs else []


def _out_axis(draft: Draft, census: Census) -> int:
    shape, place = draft.tensor.shape, draft.place
    if draft.role is Role.EMBEDDING:
        # a table's rows run along its last axis but one
        return max(0, len(shape) - 2)
    if len(shape) == 2 and place.kind.word in CONV1D_WORDS:
        return 1 if census.transposed else 0
    if shape[0] == shape[1]:
        return 0
    bias = census.bias_of(place)
    return 1 if bias and census.shapes[bias] == (shape[1],) else 0


def _expert_out_axis(draft: Draft, census: Census) -> int:
    """1 for experts stored (experts, outputs, inputs), 2 for (experts, inputs, outputs).

    The second is recognised by both projections together: what goes up comes down.
    """
    up: Shape | None = draft.tensor.shape
    down: Shape | None = draft.tensor.shape
    if draft.place.kind.word == "gate_up_proj":
        down = census.beside(draft.place, "down_proj")
    else:
        up = census.beside(draft.place, "gate_up_proj")
    if up is None or down is None or len(up) != 3 or len(down) != 3:
        return 1
    return 2 if not _leads_back(up, down, 1, 2) and _leads_back(up, down, 2, 1) else 1


def _leads_back(up: Shape, down: Shape, out_axis: int, in_axis: int) -> bool:
    return up[in_axis] == down[out_axis] and up[out_axis] == 2 * down[in_axis]
