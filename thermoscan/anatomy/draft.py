"""A weight whose role is decided and whose matrices are not built yet."""

from __future__ import annotations

from typing import NamedTuple

from thermoscan.anatomy.model import Role
from thermoscan.anatomy.names import Place
from thermoscan.anatomy.recurrent import Recurrence
from thermoscan.checkpoint import Tensor


class Draft(NamedTuple):
    """A weight with its role.

    Attributes:
        tensor: The stored tensor, of two axes or more, none of them empty.
        place: Where it sits.
        role: What it does.
        fused: The roles of its fused parts in order, empty for a single matrix.
        recurrence: Its gates, for a recurrent weight.
    """

    tensor: Tensor
    place: Place
    role: Role
    fused: tuple[Role, ...] = ()
    recurrence: Recurrence | None = None
