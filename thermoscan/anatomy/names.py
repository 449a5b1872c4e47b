"""Reads the path that is in a tensor's name: which module, which parameter, which block.

Takes any string; gives a `Place`. Refuses nothing: a name without structure is a place without
structure. Names that differ in their indices alone share a `Kind`, so that a checkpoint of many
blocks is read once for each kind of tensor and not once for each tensor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from thermoscan.anatomy.conventions import lookup, suffixes
from thermoscan.anatomy.rules import (
    Rule,
    feeds_forward,
    in_experts,
    is_fixed_basis,
    is_norm_word,
    rule_of,
)

_PARAMETERS = frozenset({"weight", "bias", "kernel", "gamma", "beta"})
_INDEX = re.compile(r"(?:^|(?<=\.))[0-9]{1,9}(?=\.|\Z)")
_MARK = "\0"


@dataclass(frozen=True, eq=False)
class Kind:
    """What a name says apart from its indices.

    Attributes:
        leaf: The last part of the name.
        bare: True where the last part is a name of its own instead of ``weight`` or ``bias``.
        words: The parts of the module's path in lower case, without indices.
        suffixes: Its last words joined, the longest first: what tables know it by.
        numbered: True where the module's last part is an index, as in a sequential container.
        word: The last of the words: what the module calls this weight; "" where there is none.
        rule: What the words mean as the path of a weight, None where they mean nothing.
        is_norm: True where the module is a normalisation.
        is_bias: True where the parameter is a bias.
        is_fixed: True where it is part of a fixed basis, such as a Fourier transform's.
        in_experts: True where the path runs through experts.
        in_feed_forward: True where it runs through a feed-forward block or experts.
    """

    leaf: str
    bare: bool
    words: tuple[str, ...]
    suffixes: tuple[str, ...]
    numbered: bool
    word: str
    rule: Rule | None
    is_norm: bool
    is_bias: bool
    is_fixed: bool
    in_experts: bool
    in_feed_forward: bool


class Place(NamedTuple):
    """Where a tensor sits in its network, as its name tells.

    Attributes:
        name: The whole name.
        module: The path of the module that owns the parameter; for a bare parameter, the name
            itself less a trailing ``_weight`` or ``_bias`` (``experts.gate_up_proj``).
        kind: What the name says apart from its indices.
        blocks: The path up to the first index (``model.layers``), "" where there is none.
        depth: The first index, None where there is none.
    """

    name: str
    module: str
    kind: Kind
    blocks: str
    depth: int | None

    @property
    def parent(self) -> str:
        """The path of the module around this one."""
        return self.module.rpartition(".")[0]

    @property
    def own_word(self) -> str:
        """The last part of the module's path as it is written."""
        return self.module.rpartition(".")[2]

    @property
    def block(self) -> str:
        """The path of the block it belongs to (``model.layers.3``), "" where there is none."""
        return "" if self.depth is None else joined(self.blocks, str(self.depth))

    @property
    def levels(self) -> int:
        """How many indices the module's path holds."""
        return sum(1 for _ in _INDEX.finditer(self.module))

    def container(self, level: int) -> tuple[str, int]:
        """The path up to the index number `level` in the module's path, and that index."""
        if level == 0 and self.depth is not None:
            return self.blocks, self.depth
        for count, match in enumerate(_INDEX.finditer(self.module)):
            if count == level:
                return self.module[: max(0, match.start() - 1)], int(match.group())
        raise IndexError("no such index")

    @property
    def suffix(self) -> str:
        """What follows the module's path in the name: ``.weight``, ``_weight`` or nothing."""
        return self.name[len(self.module) :]

    def sibling(self, word: str) -> str:
        """The path of the module called `word` beside this one."""
        return joined(self.parent, word)


def joined(first: str, second: str) -> str:
    """The path of `second` inside `first`, which may be empty.

    >>> joined("", "layer"), joined("encoder", "layer")
    ('layer', 'encoder.layer')
    """
    return f"{first}.{second}" if first else second


def place_of(
    name: str, kinds: dict[str, Kind], own_rules: Mapping[str, Rule] | None = None
) -> Place:
    """Takes a tensor's name apart.

    Args:
        name: Of the tensor.
        kinds: Remembers the kinds of names seen so far.
        own_rules: What words mean in this model type alone.

    >>> place = place_of("bert.encoder.layer.3.attention.self.query.weight", {})
    >>> place.kind.words, place.depth, place.block
    (('bert', 'encoder', 'layer', 'attention', 'self', 'query'), 3, 'bert.encoder.layer.3')
    """
    first = _INDEX.search(name)
    key = name.replace(_MARK, " ")
    if first is not None:
        key = _INDEX.sub(_MARK, key)
    kind = kinds.get(key)
    if kind is None:
        kind = kinds[key] = _kind(key, own_rules or {})
    module = name[: -len(kind.leaf) - 1] if not kind.bare else name
    if kind.bare:
        module = module.removesuffix("_weight").removesuffix("_bias")
    if first is None or first.end() > len(module):
        return Place(name, module, kind, "", None)
    return Place(name, module, kind, name[: max(0, first.start() - 1)], int(first.group()))


def _kind(key: str, own_rules: Mapping[str, Rule]) -> Kind:
    """Builds the kind of the names that have this form; indices are `_MARK`."""
    module, _, leaf = key.rpartition(".")
    bare = leaf not in _PARAMETERS or not module
    if bare:
        module = key.removesuffix("_weight").removesuffix("_bias")
    parts = module.split(".")
    words = tuple(part.lower() for part in parts if part != _MARK)
    word = words[-1] if words else ""
    keys = suffixes(words)
    return Kind(
        leaf=leaf,
        bare=bare,
        words=words,
        suffixes=keys,
        numbered=parts[-1] == _MARK,
        word=word,
        rule=lookup(own_rules, keys) or rule_of(words),
        is_norm=is_norm_word(word),
        is_bias=leaf in ("bias", "beta") or leaf.startswith("bias_") or leaf.endswith("_bias"),
        is_fixed=is_fixed_basis(words),
        in_experts=in_experts(words),
        in_feed_forward=feeds_forward(words),
    )
