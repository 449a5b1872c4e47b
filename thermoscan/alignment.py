"""Names that two checkpoints have in common, though one of them puts a prefix before its own.

A base model saved alone says ``encoder.layer.0``; with a head on top it says
``bert.encoder.layer.0``. Takes the names of both; gives the prefixes to leave out of either so that
most names agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_PARTS = 3
_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Alignment:
    """What to leave out of the names of either checkpoint, where they have it.

    >>> align(["bert.a.weight", "head.weight"], ["a.weight"])
    Alignment(model='bert.', base='')
    """

    model: str
    base: str

    def of_model(self, name: str) -> str:
        """Returns a name of the first checkpoint as both would say it."""
        return name.removeprefix(self.model)

    def of_base(self, name: str) -> str:
        """Returns a name of the base as both would say it."""
        return name.removeprefix(self.base)


def align(model: Iterable[str], base: Iterable[str]) -> Alignment:
    """Returns the prefixes that make most names agree; none where they agree as they are.

    A prefix without which two names of one checkpoint would be the same stays.
    """
    model, base = set(model), set(base)
    best, most = Alignment("", ""), len(model & base)
    for prefix in _prefixes(model):
        agreeing = _agreeing(model, prefix, base)
        if agreeing > most:
            best, most = Alignment(prefix, ""), agreeing
    for prefix in _prefixes(base):
        agreeing = _agreeing(base, prefix, model)
        if agreeing > most:
            best, most = Alignment("", prefix), agreeing
    return best


def _agreeing(names: set[str], prefix: str, others: set[str]) -> int:
    """How many names agree without a prefix; 0 where two of them would become one."""
    bare = {name.removeprefix(prefix) for name in names}
    return len(bare & others) if len(bare) == len(names) else 0


def _prefixes(names: set[str]) -> list[str]:
    """The leading parts that at least half of the names share, in a fixed order."""
    found: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")[:-1][:_PARTS]
        found.update(".".join(parts[: k + 1]) + "." for k in range(len(parts)))
    return sorted(prefix for prefix, count in found.items() if count >= _SHARE * len(names))
