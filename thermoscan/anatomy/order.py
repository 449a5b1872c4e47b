"""Puts layers in the order of the model: entrance, blocks by depth, exit; otherwise as stored.

Safetensors files are sorted by name, which puts block 10 before block 2 and heads before what they
read.
"""

from __future__ import annotations

from collections.abc import Sequence

from thermoscan.anatomy.draft import Draft
from thermoscan.anatomy.model import Role
from thermoscan.anatomy.rules import ENTRANCE_WORDS, EXIT_WORDS

_STEPS = {
    Role.QUERY: 0,
    Role.KEY: 1,
    Role.VALUE: 2,
    Role.QUERY_KEY_VALUE: 2,
    Role.ATTENTION_OUTPUT: 3,
    Role.ROUTER: 4,
    Role.GATE: 5,
    Role.UP: 6,
    Role.DOWN: 7,
}


def in_model_order(drafts: Sequence[Draft]) -> list[Draft]:
    """Returns the drafts in the order of the model; equals stay in stored order.

    Blocks stand where the first of them is stored, and among themselves by depth; within a block
    attention comes before the feed-forward part, and each in the order of its computation.
    """
    anchors: dict[str, int] = {}
    keyed = []
    for index, draft in enumerate(drafts):
        place = draft.place
        if place.depth is None:
            keyed.append((_rank(draft), index, 0, 0, index))
            continue
        anchor = anchors.setdefault(place.blocks, index)
        keyed.append((_rank(draft), anchor, place.depth, _STEPS.get(draft.role, 0), index))
    keyed.sort()
    return [drafts[key[-1]] for key in keyed]


def _rank(draft: Draft) -> int:
    """0 for the entrance, 2 for the exit, 1 between them."""
    words = draft.place.kind.words
    if draft.role is Role.HEAD:
        return 2
    if draft.place.depth is not None:
        return 1
    if draft.role is Role.EMBEDDING or not ENTRANCE_WORDS.isdisjoint(words):
        return 0
    return 1 if EXIT_WORDS.isdisjoint(words) else 2
