"""Finds the matrices that an architecture ties to its input embedding.

Takes the drafted weights and the family; gives the tied tensors. Only a declared tie counts: equal
contents are a finding, not a declaration.
"""

from __future__ import annotations

from collections.abc import Sequence

from thermoscan.anatomy.draft import Draft
from thermoscan.anatomy.families import Family
from thermoscan.anatomy.model import Role

#: One table for encoder, decoder and head; where it is stored, other tables are copies of it.
_SHARED = "shared"
_TABLES = frozenset(
    (
        *("wte", "embed_tokens", "word_embeddings", "tok_embeddings", "embed_in", "embeddings"),
        _SHARED,
    )
)
_HEADS = frozenset(
    (
        *("lm_head", "decoder", "vocab_projector", "embed_out", "proj_out"),
        "generator_lm_head",
    )
)


def tied_tables(drafts: Sequence[Draft], family: Family) -> dict[str, str]:
    """Returns what is the input table once more: name -> the table's name."""
    if not family.tied:
        return {}
    tables = [d for d in drafts if d.role is Role.EMBEDDING and d.place.kind.word in _TABLES]
    shared = [d for d in tables if d.place.kind.word == _SHARED]
    candidates = shared or tables
    if len(candidates) != 1:
        return {}
    table = candidates[0]
    copies = [d for d in drafts if d.role is Role.HEAD and d.place.kind.word in _HEADS]
    form = (table.tensor.shape, table.tensor.dtype)
    return {
        d.tensor.name: table.tensor.name
        for d in (*tables, *copies)
        if d is not table and (d.tensor.shape, d.tensor.dtype) == form
    }
