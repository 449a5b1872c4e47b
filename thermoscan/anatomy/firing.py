"""Which activation follows a layer, and whether that makes it an engine (theory section 4).

Takes a weight's role and place; gives a `Firing`. Attention, the way back, heads and tables pass
nothing but sums on; in a gated unit the engine is the gate; the way up has the model's hidden
activation; elsewhere the user must say.
"""

from __future__ import annotations

from dataclasses import dataclass

from thermoscan.anatomy.families import Family
from thermoscan.anatomy.model import Role
from thermoscan.anatomy.names import Place

_SUMS = frozenset(
    {
        Role.EMBEDDING,
        Role.QUERY,
        Role.KEY,
        Role.VALUE,
        Role.QUERY_KEY_VALUE,
        Role.ATTENTION_OUTPUT,
        Role.DOWN,
        Role.HEAD,
    }
)
_PATCHES = frozenset({("patch_embeddings", "projection"), ("patch_embed", "proj")})
_HIDDEN = frozenset({("transform", "dense")})


@dataclass(frozen=True, slots=True)
class Firing:
    """What happens to a layer's output: three fields of `thermoscan.anatomy.model.Layer`."""

    activation: str | None
    activation_reason: str | None
    engine: bool


_IDENTITY = Firing("identity", None, engine=False)
_ROUTER = Firing(None, "a router's outputs compete in a softmax, not one by one", engine=False)
_FUSED_GATE = Firing(None, "a gate and an up fused in an order that names do not tell", engine=True)
_UNKNOWN = "what follows this layer is not stated"


class Firings:
    """The activations of one model.

    Args:
        family: What the configuration says.
        stated: The activation that the user states, by canonical name; it replaces the
            configuration's.
    """

    def __init__(self, family: Family, stated: str | None) -> None:
        self._hidden = (
            Firing(stated, None, engine=True)
            if stated
            else Firing(family.activation, family.activation_reason, engine=True)
        )
        self._elsewhere = Firing(stated, None if stated else _UNKNOWN, engine=True)
        self._pooler = (
            Firing(family.pooler, None, engine=True) if family.pooler else self._elsewhere
        )

    def of(self, place: Place, role: Role, gated: bool) -> Firing:
        """Returns what follows a layer; `gated` says that its output is multiplied by a gate's."""
        if role in _SUMS or (role is Role.UP and gated):
            return _IDENTITY
        if role in (Role.UP, Role.GATE):
            return self._hidden
        if role is Role.ROUTER:
            return _ROUTER
        ending = place.kind.words[-2:]
        if ending in _PATCHES:
            return _IDENTITY
        if ending in _HIDDEN or place.kind.word == "vocab_transform":
            return self._hidden
        return self._pooler if ending == ("pooler", "dense") else self._elsewhere

    @staticmethod
    def of_fused_gate() -> Firing:
        """Returns what is known of a gate and an up that cannot be told apart."""
        return _FUSED_GATE
