"""Which activation follows a layer, and whether that makes it an engine (theory section 4).

Takes a weight's role and place; gives a `Firing`. Attention, the way back, heads and tables pass
nothing but sums on; in a gated unit the engine is the gate; the way up has the model's hidden
activation; what a model type has beside these is in the catalogue; elsewhere the user must say.
"""

from __future__ import annotations

from dataclasses import dataclass

from thermoscan.anatomy.census import Census
from thermoscan.anatomy.conventions import STATED, UNLESS_LAST, Normed, lookup
from thermoscan.anatomy.families import Family
from thermoscan.anatomy.model import FollowingNorm, Role
from thermoscan.anatomy.names import Place, joined
from thermoscan.theory.activations import canonical

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
_UNKNOWN = "what activation follows is not stated (--activation)"


class Firings:
    """The activations of one model.

    Args:
        census: The index of the checkpoint.
        family: What the configuration says.
        stated: The activation that the user states, by canonical name; it replaces the
            configuration's.
    """

    def __init__(self, census: Census, family: Family, stated: str | None) -> None:
        self._census = census
        self._family = family
        self._stated = stated
        self._elsewhere = Firing(stated, None if stated else _UNKNOWN, engine=True)
        self._pooler = (
            Firing(family.pooler, None, engine=True) if family.pooler else self._elsewhere
        )

    def of(self, place: Place, role: Role, gated: bool) -> Firing:
        """Returns what follows a layer; `gated` says that its output is multiplied by a gate's."""
        own = self._own(place)
        if own is not None:
            return own
        if role in _SUMS or (role is Role.UP and gated):
            return _IDENTITY
        if role in (Role.UP, Role.GATE):
            return self._hidden(place)
        if role is Role.ROUTER:
            return _ROUTER
        ending = place.kind.words[-2:]
        if ending in _PATCHES:
            return _IDENTITY
        if ending in _HIDDEN or place.kind.word == "vocab_transform":
            return self._hidden(place)
        return self._pooler if ending == ("pooler", "dense") else self._elsewhere

    def _own(self, place: Place) -> Firing | None:
        """What the model type has behind this layer, where it departs from the usual pattern."""
        convention = self._family.convention
        named: str | None = lookup(convention.fires, place.kind.suffixes) if convention else None
        if named is None:
            return None
        if named == UNLESS_LAST:
            return _IDENTITY if self._is_last(place) else self._hidden(place)
        if named.startswith(STATED):
            key, _, default = named.removeprefix(STATED).partition("|")
            text = (self._family.text(key) if key else None) or default or None
            if text is None or self._stated:
                return self._hidden(place)
            known = canonical(text)
            reason = None if known else "the configuration's activation is not a known function"
            return Firing(known, reason, engine=True)
        return _IDENTITY if named == "identity" else Firing(named, None, engine=True)

    def _hidden(self, place: Place) -> Firing:
        if self._stated:
            return Firing(self._stated, None, engine=True)
        family = self._family.at(place.kind.words)
        return Firing(family.activation, family.activation_reason, engine=True)

    def _is_last(self, place: Place) -> bool:
        """Says whether no layer of the same name has the next index."""
        container, index = place.container(place.levels - 1)
        rest = place.name[len(joined(container, str(index))) :]
        return f"{joined(container, str(index + 1))}{rest}" not in self._census.shapes

    def following(self, place: Place, outputs: int) -> FollowingNorm | None:
        """Returns the norm between a layer's output and its activation, None without one."""
        convention = self._family.convention
        normed: Normed | None = (
            lookup(convention.normed, place.kind.suffixes) if convention else None
        )
        if normed is None:
            return None
        module = joined(place.parent, normed.norm)
        gain, bias = f"{module}.weight", f"{module}.bias"
        if self._census.shapes.get(gain) != (outputs,):
            return None
        groups = self._family.number(normed.groups)[1] if normed.groups else 1.0
        if groups is None or not groups.is_integer() or outputs % groups:
            return None
        has_bias = self._census.shapes.get(bias) == (outputs,)
        return FollowingNorm(gain, bias if has_bias else None, normed.per_unit, int(groups))

    @staticmethod
    def of_fused_gate() -> Firing:
        """Returns what is known of a gate and an up that cannot be told apart."""
        return _FUSED_GATE
