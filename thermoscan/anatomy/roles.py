"""Decides what a weight matrix does, from the rules for its words and from the shapes around it.

Takes a weight, its place and the census; gives its role, and the roles of its parts where it is
fused. A word that no rule knows makes a linear map or, from three axes on, a convolution.
"""

from __future__ import annotations

from thermoscan.anatomy.census import Census
from thermoscan.anatomy.model import Role
from thermoscan.anatomy.names import Place
from thermoscan.anatomy.rules import Rule, is_embedding_word
from thermoscan.checkpoint import Tensor

_Parts = tuple[Role, ...]

#: What a gate is called beside the `up` of the same gated unit.
_GATES = {"up_proj": "gate_proj", "w3": "w1", "wi_1": "wi_0", "up": "gate"}
#: What the way back is called beside the way up.
_DOWNS = {"up_proj": "down_proj", "dense_h_to_4h": "dense_4h_to_h", "c_fc": "c_proj"}


def role_of(tensor: Tensor, place: Place, census: Census) -> tuple[Role, _Parts]:
    """Returns a weight's role, and the roles of its fused parts in order (empty for one matrix)."""
    kind = place.kind
    rule = kind.rule
    if rule is None and is_embedding_word(kind.word):
        rule = Rule(Role.EMBEDDING)
    if rule is None or not _holds(rule, tensor, place, census):
        return _by_rank(tensor, place), ()
    if kind.word == "gate":
        gated = any(census.beside(place, word) is not None for word in ("up", "up_proj"))
        return (Role.GATE if gated else Role.ROUTER), ()
    if kind.word == "w1" and census.beside(place, "w3") is not None:
        return Role.GATE, ()
    return rule.role, rule.parts


def is_gated(place: Place, census: Census) -> bool:
    """Says whether a gate stands beside an `up`, whose output it then multiplies."""
    gate = _GATES.get(place.kind.word)
    return gate is not None and census.beside(place, gate) is not None


def is_fused_gate(tensor: Tensor, place: Place, census: Census) -> bool:
    """Says whether an `up` gives twice what the way back takes: a gate is in it, somewhere."""
    down = _DOWNS.get(place.own_word) or _partner(place)
    shape = census.beside(place, down) if down else None
    return shape is not None and len(shape) == 2 and 2 * shape[1] == tensor.shape[0]


def _by_rank(tensor: Tensor, place: Place) -> Role:
    convolves = 3 <= len(tensor.shape) <= 5 and not place.kind.in_experts
    return Role.CONVOLUTION if convolves else Role.LINEAR


def _holds(rule: Rule, tensor: Tensor, place: Place, census: Census) -> bool:
    """Says whether a rule's conditions beyond the words are met."""
    if rule.role is Role.EMBEDDING:
        return _is_table(tensor, place, census)
    if place.kind.numbered and rule.role is Role.HEAD:
        container, _, index = place.module.rpartition(".")
        return int(index) == census.last_index.get(container)
    if rule.partner:
        return _has_partner(rule, tensor, place, census)
    return True


def _is_table(tensor: Tensor, place: Place, census: Census) -> bool:
    """Tells a table (inputs, outputs) from a projection that is called an embedding.

    A projection may have a bias. And a table's rows are what other matrices take in: where more of
    them take in the first axis than the second, it is the first axis that comes out.
    """
    if census.bias_of(place) is not None:
        return False
    if len(tensor.shape) != 2 or place.kind.rule is not None:
        return not (len(tensor.shape) > 2 and not place.kind.bare)
    rows, columns = tensor.shape
    return census.takers.get(rows, 0) <= census.takers.get(columns, 0) - 1 or rows == columns


def _has_partner(rule: Rule, tensor: Tensor, place: Place, census: Census) -> bool:
    """Says whether a pair such as ``fc1``, ``fc2`` leads back to the width it started from.

    Otherwise the two are just successive layers of a plain network. A gated unit's way up is twice
    as wide.
    """
    if place.kind.numbered or not (place.depth is not None or place.kind.in_feed_forward):
        return False
    partner = census.beside(place, _partner(place))
    if partner is None or len(partner) != 2 or len(tensor.shape) != 2:
        return False
    up, down = (partner, tensor.shape) if rule.role is Role.DOWN else (tensor.shape, partner)
    return down[0] == up[1] and up[0] in (down[1], 2 * down[1])


def _partner(place: Place) -> str:
    """The partner's word in the spelling of this checkpoint (``W_in`` goes with ``W_out``)."""
    rule = place.kind.rule
    word = rule.partner if rule else ""
    return word if place.own_word[:1].islower() else word[:1].upper() + word[1:]
