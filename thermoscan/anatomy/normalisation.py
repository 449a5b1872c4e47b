"""Finds the normalisation whose output is a layer's input (theory section 4).

Takes a layer's place and role, and the order in which data meets norms and layers (`flows`); gives
a `FeedingNorm`, or None where no norm feeds it or where names do not tell: ``norm1`` stands before
the attention in one code base and behind it in the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from thermoscan.anatomy.census import Census, Shape
from thermoscan.anatomy.conventions import Flow, lookup
from thermoscan.anatomy.flows import BESIDE, BY_NAMES
from thermoscan.anatomy.model import FeedingNorm, Role
from thermoscan.anatomy.names import Kind, Place, joined

_ATTENTION = frozenset({Role.QUERY, Role.KEY, Role.VALUE, Role.QUERY_KEY_VALUE})
_FEED_FORWARD = frozenset({Role.UP, Role.GATE, Role.ROUTER})
_CROSS_WORDS = frozenset({"encoder_attn", "encdecattention", "crossattention", "cross_attn"})

#: Layers beside a head that stand between it and the final norm.
_BETWEEN = ("dense", "pre_classifier")
#: What stands between the last block and some heads.
_POOLERS = ("pooler.dense.weight", "pooler.weight")
#: The first layers behind the last block, apart from heads.
_FIRST_OUTSIDE = frozenset(
    (
        *("pooler.dense", "transform.dense", "lm_head.dense", "classifier.dense", "head.dense"),
        *("predictions.dense", "generator_predictions.dense", "vocab_transform", "pooler"),
        *("discriminator_predictions.dense", "pre_classifier"),
    )
)


class _Spot(NamedTuple):
    """A block: its path, the path of its list, its number in it, the list's flow."""

    block: str
    blocks: str
    number: int
    flow: Flow


class Norms:
    """The norms of one checkpoint, found by path.

    Args:
        census: The index of the checkpoint.
        places: The places of its weights, from which its blocks are known.
        flows: The orders that its model type has; empty where they are not known, and the names of
            the norms in a block must tell.
        gain_is_offset: Whether a gain is 1 + the stored vector.
    """

    def __init__(
        self,
        census: Census,
        places: Iterable[Place],
        flows: Sequence[Flow],
        gain_is_offset: bool,
    ) -> None:
        self._shapes: Mapping[str, Shape] = census.shapes
        self._flows = flows
        self._offset = gain_is_offset
        self._found: dict[str, FeedingNorm | None] = {}
        self._walked: dict[tuple[str, str], FeedingNorm | None] = {}
        self._spots: dict[Kind, tuple[int, Flow] | None] = {}
        self._fronts: dict[Kind, tuple[str, ...]] = {}
        self._readers: dict[tuple[Kind, Role], str | None] = {}
        self._last: dict[str, _Spot] = {}
        for place in places:
            spot = self._spot(place)
            if spot and (
                spot.blocks not in self._last or spot.number >= self._last[spot.blocks].number
            ):
                self._last[spot.blocks] = spot
        self._has_pooler = any(
            joined(_around(blocks, up), pooler) in self._shapes
            for blocks in self._last
            for up in (1, 2, 3, 4)
            for pooler in _POOLERS
        )

    def feeding(self, place: Place, role: Role, features: int) -> FeedingNorm | None:
        """Returns the norm that feeds a layer of this many features, None where none does."""
        norm = self._beside(place) or self._candidate(place, role)
        if norm is None or norm.gain is None or self._shapes[norm.gain] != (features,):
            return None
        return norm

    def _beside(self, place: Place) -> FeedingNorm | None:
        """A norm that stands right in front of this layer, by names of this layer alone."""
        paths = self._fronts.get(place.kind)
        if paths is None:
            paths = self._fronts[place.kind] = lookup(BESIDE, place.kind.suffixes) or ()
        return self._first(place.parent, paths) if paths else None

    def _candidate(self, place: Place, role: Role) -> FeedingNorm | None:
        spot = self._spot(place)
        if spot is None:
            return self._outside(place, role)
        kind = (place.kind, role)
        if kind not in self._readers:
            self._readers[kind] = _reader(place, role, spot)
        reader = self._readers[kind]
        if reader is None:
            return self._outside(place, role)
        if reader == _MEMORY:
            return self._memory(spot)
        key = (spot.block, reader)
        if key not in self._walked:
            self._walked[key] = self._walk(spot, reader)
        return self._walked[key]

    def _spot(self, place: Place) -> _Spot | None:
        """The block that a layer is in: the innermost index under which norms of a flow are."""
        if place.depth is None:
            return None
        kind = place.kind
        if kind not in self._spots:
            self._spots[kind] = self._find_spot(place)
        known = self._spots[kind]
        if known is None:
            return None
        blocks, index = place.container(known[0])
        return _Spot(joined(blocks, str(index)), blocks, index, known[1])

    def _find_spot(self, place: Place) -> tuple[int, Flow] | None:
        for level in reversed(range(place.levels)):
            blocks, index = place.container(level)
            block = joined(blocks, str(index))
            for flow in self._flows or BY_NAMES:
                norms = [step for step in _steps(flow) if step[0] not in ">+"]
                there = [norm for norm in norms if self._at(joined(block, norm))]
                told = len(there) == len(norms) if not self._flows else bool(there)
                if told and flow.within in ("", *blocks.split(".")):
                    return level, flow
        return None

    def _walk(self, spot: _Spot, reader: str) -> FeedingNorm | None:
        """What a reader reads; with "" for the reader, what leaves the block."""
        norm, entered = None, False
        for step in _steps(spot.flow):
            if step == reader:
                break
            if step == "+":
                norm, entered = None, True
            elif step[0] != ">" and (found := self._at(joined(spot.block, step))):
                norm, entered = found, True
        return norm if entered else self._entering(spot)

    def _entering(self, spot: _Spot) -> FeedingNorm | None:
        """What enters a block: what left the one before it."""
        if spot.number == 0:
            return self._at(_from(_around(spot.blocks, 1), spot.flow.start))
        before = _Spot(
            joined(spot.blocks, str(spot.number - 1)), spot.blocks, spot.number - 1, spot.flow
        )
        norms = [step for step in _steps(spot.flow) if step[0] not in ">+"]
        known = any(self._at(joined(before.block, norm)) for norm in norms)
        return self._walk(before, "") if known else None

    def _memory(self, spot: _Spot) -> FeedingNorm | None:
        """What left the last block of the encoder that a decoder's cross attention reads."""
        parts = spot.blocks.split(".")
        encoder = ".".join("encoder" if part == "decoder" else part for part in parts)
        last = self._last.get(encoder)
        return self._final(last) if last and encoder != spot.blocks else None

    def _outside(self, place: Place, role: Role) -> FeedingNorm | None:
        """What a layer outside the blocks reads: what leaves them, if it is the first there."""
        keys = place.kind.suffixes
        named = [s for s in self._last.values() if not s.flow.readers.isdisjoint(keys)]
        if not named:
            if role is not Role.HEAD and _FIRST_OUTSIDE.isdisjoint(keys):
                return None
            between = any(f"{place.sibling(word)}.weight" in self._shapes for word in _BETWEEN)
            pooled = self._has_pooler and place.kind.word != "lm_head"
            if role is Role.HEAD and (between or pooled):
                return None
            named = [spot for spot in self._last.values() if not spot.flow.readers]
        found = {self._final(spot) for spot in named}
        return next(iter(found)) if len(found) == 1 else None

    def _final(self, last: _Spot) -> FeedingNorm | None:
        """The norm behind the last block of a list, or the last one in it."""
        return self._first(_around(last.blocks, 1), last.flow.end) or self._walk(last, "")

    def _first(self, module: str, paths: Iterable[str]) -> FeedingNorm | None:
        found = (self._at(_from(module, path)) for path in paths)
        return next((norm for norm in found if norm), None)

    def _at(self, module: str) -> FeedingNorm | None:
        if module not in self._found:
            gain = self._vector(module, "weight", "gamma")
            bias = self._vector(module, "bias", "beta")
            self._found[module] = FeedingNorm(gain, bias, self._offset) if gain else None
        return self._found[module]

    def _vector(self, module: str, *leaves: str) -> str | None:
        names = (f"{module}.{leaf}" for leaf in leaves)
        return next((name for name in names if len(self._shapes.get(name, ())) == 1), None)


_MEMORY = "memory"


def _reader(place: Place, role: Role, spot: _Spot) -> str | None:
    """The step at which a layer of a block reads, None where it reads something else."""
    steps = _steps(spot.flow)
    inside = f">{place.module[len(spot.block) + 1 :]}"
    if inside in steps:
        return inside
    if role in _ATTENTION:
        if _CROSS_WORDS.isdisjoint(place.kind.words):
            return ">attention" if ">attention" in steps else None
        return ">cross" if role is Role.QUERY else _MEMORY
    return ">feed-forward" if role in _FEED_FORWARD and ">feed-forward" in steps else None


@lru_cache(maxsize=256)
def _steps(flow: Flow) -> tuple[str, ...]:
    return tuple(flow.steps.split())


def _around(path: str, up: int) -> str:
    """The module `up` levels above `path`."""
    parts = path.split(".")
    return ".".join(parts[: max(0, len(parts) - up)])


def _from(module: str, path: str) -> str:
    """The module at `path` from `module`, with a ``^`` for each level up; "" leads nowhere."""
    up = len(path) - len(path.lstrip("^"))
    return joined(_around(module, up), path[up:]) if path else ""
