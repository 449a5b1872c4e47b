"""Puts layers in the order of the model: entrance, blocks by depth, exit; otherwise as stored.

Safetensors files are sorted by name, which puts block 10 before block 2 and heads before what they
read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from thermoscan.anatomy.draft import Draft
from thermoscan.anatomy.model import Role
from thermoscan.anatomy.names import Place
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


#: Lists of blocks in each other that are looked at; a name may hold hundreds of numbers.
_DEEPEST = 4


def in_model_order(drafts: Sequence[Draft]) -> list[Draft]:
    """Returns the drafts in the order of the model; equals stay in stored order.

    Blocks stand where the first of them is stored, and among themselves by their numbers; so do
    blocks in a block. Within a block attention comes before the feed-forward part, and each in the
    order of its computation.
    """
    homes = _homes(drafts)
    anchors: dict[tuple[str, ...], int] = {}
    keyed = []
    for index, (draft, home) in enumerate(zip(drafts, homes, strict=True)):
        steps: list[tuple[int, ...]] = [(_rank(draft),)]
        for blocks, number in home:
            steps.append((anchors.setdefault((blocks,), index), number))
        if home:
            # what is directly in a block is a group beside the lists of blocks in it
            direct = anchors.setdefault((home[-1][0], str(home[-1][1])), index)
            steps.append((direct, -1, _STEPS.get(draft.role, 0), index))
        else:
            steps.append((index, 0))
        keyed.append((steps, index))
    keyed.sort()
    return [drafts[index] for _, index in keyed]


def _homes(drafts: Sequence[Draft]) -> list[list[tuple[str, int]]]:
    """For each draft the lists of blocks that it is in, outermost first, and its number in each.

    A list in a block is one of blocks where some of them hold more than one weight: a
    feed-forward part's ``net.0``, ``net.2`` are none. Experts of a mixture stay side by side.
    """
    levels = [_levels(draft.place) for draft in drafts]
    held = Counter(block for each in levels for block in each)
    lists = {blocks for (blocks, _), count in held.items() if count > 1}
    return [[*each[:1], *(block for block in each[1:] if block[0] in lists)] for each in levels]


def _levels(place: Place) -> list[tuple[str, int]]:
    """The numbered lists in a path, and the number in each; of experts only the outermost."""
    if place.depth is None:
        return []
    count = 1 if place.kind.in_experts else min(_DEEPEST, place.levels - place.kind.numbered)
    return [place.container(level) for level in range(max(1, count))]


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
