"""Reads the path that is in a tensor's name: which module, which parameter, which block.

Takes any string; gives a `Place`. Refuses nothing: a name without structure is a place without
structure.
"""

from __future__ import annotations

from typing import NamedTuple

_PARAMETERS = frozenset({"weight", "bias", "kernel", "gamma", "beta"})
_LONGEST_INDEX = 9


class Place(NamedTuple):
    """Where a tensor sits in its network, as its name tells.

    Attributes:
        name: The whole name.
        module: The path of the module that owns the parameter; the name itself, less a trailing
            ``_weight`` or ``_bias``, for a parameter that a module holds directly
            (``experts.gate_up_proj``).
        leaf: The last part of the name.
        bare: True where the last part is a name of its own instead of ``weight`` or ``bias``.
        words: The parts of `module` in lower case, without indices.
        numbered: True where the module's last part is an index, as in a sequential container.
        blocks: The path up to the first index (``model.layers``), "" where there is none.
        depth: The first index, None where there is none.
    """

    name: str
    module: str
    leaf: str
    bare: bool
    words: tuple[str, ...]
    numbered: bool
    blocks: str
    depth: int | None

    @property
    def word(self) -> str:
        """The last word: what the module calls this weight."""
        return self.words[-1] if self.words else ""

    @property
    def parent(self) -> str:
        """The path of the module around this one."""
        return self.module.rpartition(".")[0]

    @property
    def block(self) -> str:
        """The path of the block it belongs to (``model.layers.3``), "" where there is none."""
        return "" if self.depth is None else joined(self.blocks, str(self.depth))

    def sibling(self, word: str) -> str:
        """The path of the module called `word` beside this one."""
        return joined(self.parent, word)


def joined(*parts: str) -> str:
    """The path of `parts`, empty ones left out.

    >>> joined("", "encoder", "layer")
    'encoder.layer'
    """
    return ".".join(part for part in parts if part)


def place_of(name: str) -> Place:
    """Takes a tensor's name apart.

    >>> place = place_of("bert.encoder.layer.3.attention.self.query.weight")
    >>> place.words, place.depth, place.block
    (('bert', 'encoder', 'layer', 'attention', 'self', 'query'), 3, 'bert.encoder.layer.3')
    """
    module, _, leaf = name.rpartition(".")
    bare = leaf not in _PARAMETERS
    if bare:
        module = name.removesuffix("_weight").removesuffix("_bias")
    blocks, depth, words, numbered = "", None, [], False
    for part in module.split("."):
        numbered = len(part) <= _LONGEST_INDEX and part.isascii() and part.isdigit()
        if not numbered:
            words.append(part.lower())
        elif depth is None:
            depth = int(part)
            blocks = _before_index(module, part)
    return Place(name, module, leaf, bare, tuple(words), numbered, blocks, depth)


def _before_index(module: str, index: str) -> str:
    """The path in front of the first part that equals `index`."""
    if module.startswith(f"{index}.") or module == index:
        return ""
    start = module.find(f".{index}.")
    return module[:start] if start >= 0 else module[: -len(index) - 1]
