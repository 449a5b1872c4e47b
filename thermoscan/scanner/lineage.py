"""What the model as a whole is to its base: the comparison of a card and its verdict.

Takes the layers with their changes and pairs. What two checkpoints can tell, and what they cannot,
is in docs/compare.md; the rules are these, the first that fits:

unrelated         hardly any compared parameter keeps anything of the base, or none can be compared
same weights      nothing that both have has changed, and nothing was added
merge candidate   some layers keep the base and others nothing of it (layers put together), or all
                  keep the same share of it, well below 1, beside as much of something else (an
                  average)
fine-tune         everything else
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from thermoscan.anatomy.model import Role
from thermoscan.card import Comparison
from thermoscan.checkpoint import Source
from thermoscan.reasons import Reasons
from thermoscan.scanner.changes import Figures, Pairs, figures_of
from thermoscan.scanner.measurement import LayerMeasurement
from thermoscan.tally.record import FloatArray, PairColumn

UNRELATED = 0.95
"""Share of the compared parameters in layers that keep nothing of the base."""

PUT_TOGETHER = 0.05
"""The least share of them that makes layers from elsewhere more than an exchanged part."""

AVERAGED = 0.90
"""Share of the base that an average keeps at most."""

EVEN = 0.05
"""Robust deviation across layers of what they keep: real trainings differ more, averages less."""

ALIKE = 2.0
"""Factor within which the other part of an average has the size of the base."""

LARGE = 1024
"""Entries from which on a layer's figures are sharp enough to compare with other layers'."""

_NO_PAIR = "no layer of the base corresponds entry by entry"
_NO_CHANGE = "no layer is in both with an entropy"
_ENDS = frozenset({Role.EMBEDDING, Role.HEAD})


@dataclass(frozen=True, slots=True)
class Rest:
    """Tensors that are no layer and in both checkpoints, buffers left out."""

    same: int = 0
    changed: int = 0

    def add(self, same: bool) -> Rest:
        """Returns the count with one tensor more."""
        if same:
            return replace(self, same=self.same + 1)
        return replace(self, changed=self.changed + 1)


@dataclass(frozen=True, slots=True)
class _Compared:
    """A layer whose entries correspond to the base's."""

    role: Role
    status: str
    pairs: Pairs

    @property
    def size(self) -> int:
        return self.pairs.size

    @property
    def kept(self) -> bool:
        return not self.pairs.lost


def comparison_of(
    layers: Sequence[LayerMeasurement],
    pairs: Mapping[str, Pairs],
    rest: Rest,
    removed: tuple[str, ...],
    base: Source,
) -> Comparison:
    """Returns the comparison of a whole model with its base.

    Args:
        layers: Of the model, with their changes.
        pairs: By layer name.
        rest: What became of the tensors that are no layers.
        removed: Names of the base's layers that the model has not.
        base: Where the base came from.
    """
    statuses = Counter(each.change.status for each in layers if each.change)
    compared = [
        _Compared(each.layer.role, each.change.status, pairs[each.layer.name])
        for each in layers
        if each.change and each.layer.name in pairs
    ]
    verdict, because = _verdict(compared, statuses, rest, len(removed))
    figures = figures_of(sum((each.pairs.sums for each in compared), np.zeros(len(PairColumn))))
    reasons = Reasons()
    if base.revision is None:
        reasons["base_revision"] = "not from a hub repository"
    return Comparison(
        base=base.id,
        base_revision=base.revision,
        verdict=verdict,
        because=because,
        statuses=dict(sorted(statuses.items())),
        removed=removed,
        energy_change=reasons.value("energy_change", _mean(layers, "energy_change"), _NO_CHANGE),
        entropy_change=reasons.value("entropy_change", _mean(layers, "entropy_change"), _NO_CHANGE),
        distance=reasons.value("distance", figures.distance, _NO_PAIR),
        cosine=reasons.value("cosine", figures.cosine, _NO_PAIR),
        kept=reasons.value("kept", figures.kept, _NO_PAIR),
        reasons=reasons,
    )


def _mean(layers: Sequence[LayerMeasurement], name: str) -> float | None:
    known = [
        (each.state.parameters, getattr(each.change, name))
        for each in layers
        if each.state and each.change and getattr(each.change, name) is not None
    ]
    total = sum(d for d, _ in known)
    return math.fsum(d * value for d, value in known) / total if total else None


def _verdict(
    compared: Sequence[_Compared], statuses: Mapping[str, int], rest: Rest, removed: int
) -> tuple[str, str]:
    total = sum(each.size for each in compared)
    if not total:
        return _uncompared(statuses, rest, removed)
    lost = [each for each in compared if not each.kept]
    share = sum(each.size for each in lost) / total
    if share >= UNRELATED:
        return "unrelated", (
            f"nothing of the base is left in {len(lost)} of {len(compared)} layers, "
            f"{100 * share:.1f} % of the parameters compared"
        )
    if all(each.pairs.unmoved for each in compared) and not rest.changed:
        return _unchanged(compared, statuses, removed)
    others = [each for each in lost if each.status == "replaced" and each.role not in _ENDS]
    if share >= PUT_TOGETHER and len(others) > 1:
        return "merge candidate", (
            f"nothing of the base is left in {len(lost)} layers, {100 * share:.1f} % of the "
            f"parameters compared, while {len(compared) - len(lost)} keep it"
        )
    return _averaged(compared) or ("fine-tune", _trained(compared, lost, statuses, rest))


def _uncompared(statuses: Mapping[str, int], rest: Rest, removed: int) -> tuple[str, str]:
    if rest.same and not (rest.changed or removed or statuses):
        return "same weights", f"no layer can be compared; all {rest.same} tensors are the same"
    return "unrelated", "no layer of the base can be compared with one of the model entry by entry"


def _unchanged(
    compared: Sequence[_Compared], statuses: Mapping[str, int], removed: int
) -> tuple[str, str]:
    rounded = statuses.get("rounded", 0)
    because = f"all {len(compared)} layers compared hold the same numbers"
    because += f", {rounded} of them up to rounding to a narrower type" if rounded else ""
    added, resized = statuses.get("added", 0), statuses.get("resized", 0)
    if added or resized:
        return "fine-tune", f"{because}; added: {added}, resized: {resized}"
    return "same weights", because + (f"; not in it: {removed} of the base" if removed else "")


def _averaged(compared: Sequence[_Compared]) -> tuple[str, str] | None:
    """Returns the verdict on an average of the base with an unrelated model; None where it is none.

    ``w₁ = a w₀ + (1 - a) v`` keeps the share a in every layer, and what is left over is ``1 - a``
    of a model v that has about the size of the base.
    """
    large = [each for each in compared if each.size >= LARGE and each.status == "changed"]
    every = sum(each.size for each in compared if each.size >= LARGE)
    if len(large) < 2 or sum(each.size for each in large) < 0.8 * every:
        return None
    figures = [figures_of(each.pairs.sums) for each in large]
    kept = np.array([each.kept if each.kept is not None else np.nan for each in figures])
    middle = float(np.median(kept))
    spread = 1.4826 * float(np.median(np.abs(kept - middle)))
    if not (spread <= EVEN < middle <= AVERAGED):
        return None
    other = float(np.median([_left_over(each) for each in figures])) / (1 - middle)
    if not 1 / ALIKE <= other <= ALIKE:
        return None
    return "merge candidate", (
        f"every layer keeps about the same share of the base, {middle:.3f} (deviation "
        f"{spread:.3f}), and what is beside it is {1 - middle:.3f} of something {other:.2f} times "
        "as large"
    )


def _left_over(figures: Figures) -> float:
    """``|w₁ - kept·w₀| / |w₀|``."""
    if figures.distance is None or figures.kept is None:
        return math.nan
    off = abs(1 - figures.kept)
    return math.sqrt(max(figures.distance - off, 0.0)) * math.sqrt(figures.distance + off)


def _trained(
    compared: Sequence[_Compared],
    lost: Sequence[_Compared],
    statuses: Mapping[str, int],
    rest: Rest,
) -> str:
    sums: FloatArray = sum(
        (each.pairs.sums for each in compared if each.kept), np.zeros(len(PairColumn))
    )
    figures = figures_of(sums)
    changed = sum(not each.pairs.unmoved for each in compared)
    because = f"{changed} of {len(compared)} layers compared have changed"
    if figures.cosine is not None and figures.distance is not None and figures.kept is not None:
        because += (
            f"; together they keep {figures.kept:.4f} of the base, at a distance of "
            f"{figures.distance:.3g} of it"
        )
    if not changed:
        because = (
            f"all {len(compared)} layers compared are the same, {rest.changed} of "
            f"{rest.same + rest.changed} vectors are not"
        )
    new = len(lost) + statuses.get("added", 0)
    return because + (f"; new layers: {new}" if new else "")
