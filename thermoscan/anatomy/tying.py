"""Finds the language-model head that an architecture ties to its input embedding.

Takes the drafted weights and the family; gives the tied tensors. Only a declared tie counts: equal
contents are a finding, not a declaration.
"""

from __future__ import annotations

from collections.abc import Sequence

from thermoscan.anatomy.draft import Draft
from thermoscan.anatomy.families import Family
from thermoscan.anatomy.model import Role

_TABLES = frozenset({"wte", "embed_tokens", "word_embeddings", "tok_embeddings", "embed_in"})
_HEADS = frozenset({"lm_head", "decoder", "vocab_projector", "embed_out"})


def tied_heads(drafts: Sequence[Draft], family: Family) -> dict[str, str]:
    """Returns the heads that are the input table once more: name -> the table's name."""
    if not family.tied:
        return {}
    tables = [d for d in drafts if d.role is Role.EMBEDDING and d.place.kind.word in _TABLES]
    if len(tables) != 1:
        return {}
    table = tables[0].tensor
    return {
        d.tensor.name: table.name
        for d in drafts
        if d.role is Role.HEAD
        and d.place.kind.word in _HEADS
        and (d.tensor.shape, d.tensor.dtype) == (table.shape, table.dtype)
    }
