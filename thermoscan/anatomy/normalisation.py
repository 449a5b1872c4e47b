"""Finds the normalisation whose output is a layer's input (theory section 4).

Takes a layer's place and role; gives a `FeedingNorm`, or None where no norm feeds it or where
names do not tell: ``norm1`` stands before the attention in one code base and behind it in the
next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from thermoscan.anatomy.census import Census, Shape
from thermoscan.anatomy.model import FeedingNorm, Role
from thermoscan.anatomy.names import Place, joined

_ATTENTION = frozenset({Role.QUERY, Role.KEY, Role.VALUE, Role.QUERY_KEY_VALUE})
_FEED_FORWARD = frozenset({Role.UP, Role.GATE, Role.ROUTER})

#: Names, inside a block, of a norm that its attention reads (pre-norm).
_BEFORE_ATTENTION = ("input_layernorm", "ln_1", "layernorm_before", "attention_norm")
#: The same for its feed-forward part; the first that is there.
_BEFORE_FEED_FORWARD = (
    "pre_feedforward_layernorm",
    "post_attention_layernorm",
    "ln_2",
    "layernorm_after",
    "ffn_norm",
)
#: Pairs of norms, inside a block, behind its attention and its feed-forward part (post-norm).
_BEHIND = (
    ("attention.output.LayerNorm", "output.LayerNorm"),
    ("sa_layer_norm", "output_layer_norm"),
)
#: Norms behind the last block, in the module around the blocks.
_FINAL = ("norm", "ln_f", "final_layernorm", "final_layer_norm", "layernorm")
#: Norms just in front of a head, in the module around it.
_BEFORE_HEAD = ("transform.LayerNorm", "layer_norm", "vocab_layer_norm")
#: Layers beside a head that stand between it and the final norm.
_BETWEEN = ("dense", "pre_classifier")
#: The first layers behind the last block.
_FIRST_OUTSIDE = frozenset(
    (word, "dense") for word in ("pooler", "transform", "lm_head", "classifier")
)
_FIRST_OUTSIDE_WORDS = frozenset({"vocab_transform", "pre_classifier"})


class Norms:
    """The norms of one checkpoint, found by path.

    Args:
        census: The index of the checkpoint.
        attention: The places of its attention weights, from which its blocks are known.
        gain_is_offset: Whether a gain is 1 + the stored vector.
    """

    def __init__(self, census: Census, attention: Iterable[Place], gain_is_offset: bool) -> None:
        self._shapes: Mapping[str, Shape] = census.shapes
        self._offset = gain_is_offset
        self._found: dict[str, FeedingNorm | None] = {}
        self._of_block: dict[tuple[str, bool], FeedingNorm | None] = {}
        self._last: dict[str, int] = {}
        for place in attention:
            if place.depth is not None:
                self._last[place.blocks] = max(place.depth, self._last.get(place.blocks, 0))
        self._has_pooler = any(
            joined(self._around(blocks, up), "pooler.dense.weight") in self._shapes
            for blocks in self._last
            for up in (1, 2)
        )
        self._final = self._find_final()

    def feeding(self, place: Place, role: Role, inputs: int) -> FeedingNorm | None:
        """Returns the norm that feeds a layer of this many inputs, None where none does."""
        norm = self._candidate(place, role)
        if norm is None or norm.gain is None or self._shapes[norm.gain] != (inputs,):
            return None
        return norm

    def _candidate(self, place: Place, role: Role) -> FeedingNorm | None:
        if role in _ATTENTION or role in _FEED_FORWARD:
            if place.depth is None:
                return None
            key = (place.block, role in _ATTENTION)
            if key not in self._of_block:
                find = self._before_attention if role in _ATTENTION else self._before_feed_forward
                self._of_block[key] = find(place)
            return self._of_block[key]
        if place.kind.words[-2:] in _FIRST_OUTSIDE or place.kind.word in _FIRST_OUTSIDE_WORDS:
            return self._final
        return self._before_head(place) if role is Role.HEAD else None

    def _before_attention(self, place: Place) -> FeedingNorm | None:
        norm = self._first(place.block, _BEFORE_ATTENTION)
        if norm is not None or place.depth is None:
            return norm
        if place.depth == 0:
            return self._at(joined(self._around(place.blocks, 2), "embeddings.LayerNorm"))
        previous = joined(place.blocks, str(place.depth - 1))
        return self._first(previous, (behind for _, behind in _BEHIND))

    def _before_feed_forward(self, place: Place) -> FeedingNorm | None:
        closing, opening = "post_feedforward_layernorm", "pre_feedforward_layernorm"
        if self._first(place.block, (closing,)) and not self._first(place.block, (opening,)):
            return None  # every norm of such a block stands behind its part (OLMo 2)
        names = (*_BEFORE_FEED_FORWARD, *(behind for behind, _ in _BEHIND))
        return self._first(place.block, names)

    def _before_head(self, place: Place) -> FeedingNorm | None:
        norm = self._first(place.parent, _BEFORE_HEAD)
        if norm is not None:
            return norm
        between = any(f"{place.sibling(word)}.weight" in self._shapes for word in _BETWEEN)
        pooled = self._has_pooler and place.kind.word != "lm_head"
        return None if between or pooled else self._final

    def _find_final(self) -> FeedingNorm | None:
        """The norm behind the last block, where there is one list of blocks."""
        if len(self._last) != 1:
            return None
        blocks, last = next(iter(self._last.items()))
        for up in (1, 2):
            norm = self._first(self._around(blocks, up), _FINAL)
            if norm is not None:
                return norm
        return self._first(joined(blocks, str(last)), (behind for _, behind in _BEHIND))

    def _first(self, module: str, names: Iterable[str]) -> FeedingNorm | None:
        return next((norm for name in names if (norm := self._at(joined(module, name)))), None)

    def _at(self, module: str) -> FeedingNorm | None:
        if module not in self._found:
            gain = self._vector(module, "weight", "gamma")
            bias = self._vector(module, "bias", "beta")
            self._found[module] = FeedingNorm(gain, bias, self._offset) if gain else None
        return self._found[module]

    def _vector(self, module: str, *leaves: str) -> str | None:
        names = (f"{module}.{leaf}" for leaf in leaves)
        return next((name for name in names if len(self._shapes.get(name, ())) == 1), None)

    @staticmethod
    def _around(path: str, up: int) -> str:
        """The module `up` levels above `path`."""
        parts = path.split(".")
        return ".".join(parts[: max(0, len(parts) - up)])
