"""What one tensor's role may need to know about the others: an index over the checkpoint.

Takes the stored tensors; gives a `Census`. Linear in the number of tensors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from thermoscan.anatomy.names import Kind, Place, joined, place_of
from thermoscan.anatomy.rules import CONV1D_WORDS, Rule
from thermoscan.checkpoint import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Census:
    """An index of a checkpoint's tensors.

    Attributes:
        places: Where each stored tensor sits: name -> place.
        shapes: Name -> shape.
        takers: How many matrices take inputs of a given width: width -> number.
        last_index: The highest index in each numbered container that holds matrices: path -> index.
        taken: What stored names ending in brackets are without them: a tensor of such a name
            cannot be divided, as its parts' names could be taken.
        transposed: Whether OpenAI's ``Conv1D`` weights are stored (inputs, outputs) here.
    """

    places: Mapping[str, Place]
    shapes: Mapping[str, Shape]
    takers: Mapping[int, int]
    last_index: Mapping[str, int]
    taken: frozenset[str]
    transposed: bool

    def beside(self, place: Place, word: str) -> Shape | None:
        """The shape of the same parameter of the module `word` beside this one, or None."""
        return self.shapes.get(place.sibling(word) + place.suffix)

    def bias_of(self, place: Place) -> str | None:
        """The name of the stored bias that goes with a weight, None if there is none."""
        name = place.module + ("_bias" if place.kind.bare else ".bias")
        return name if name in self.shapes and name != place.name else None


def take(
    tensors: Sequence[Tensor],
    renamed: Mapping[str, str],
    own_rules: Mapping[str, Rule] | None = None,
) -> Census:
    """Builds the index.

    Args:
        tensors: Every stored tensor.
        renamed: Names to read instead of stored ones that say less.
        own_rules: What words mean in this model type alone.
    """
    kinds: dict[str, Kind] = {}
    places = {t.name: place_of(renamed.get(t.name, t.name), kinds, own_rules) for t in tensors}
    shapes = {t.name: t.shape for t in tensors}
    takers: Counter[int] = Counter()
    last_index: dict[str, int] = {}
    for name, shape in shapes.items():
        if len(shape) < 2:
            continue
        takers[shape[1]] += 1
        place = places[name]
        if place.kind.numbered:
            container, _, index = place.module.rpartition(".")
            last_index[container] = max(last_index.get(container, 0), int(index))
    return Census(
        places=places,
        shapes=shapes,
        takers=takers,
        last_index=last_index,
        taken=frozenset(stem for name in shapes for stem in _stems(name)),
        transposed=_is_transposed(places, shapes),
    )


def _stems(name: str) -> Iterator[str]:
    """What a name is without its last pair of brackets, and without its last two."""
    for _ in range(2):
        if not name.endswith("]") or "[" not in name:
            return
        name = name[: name.rindex("[")]
        yield name


def _is_transposed(places: Mapping[str, Place], shapes: Mapping[str, Shape]) -> bool:
    """Says whether ``Conv1D`` weights are (inputs, outputs): by the first that is not square.

    nanoGPT gives ordinary linear maps the same names, so the names alone do not tell. Fused query,
    key and value are three times as many outputs as inputs; elsewhere the bias is as long as the
    outputs.
    """
    for name, place in places.items():
        if place.kind.word not in CONV1D_WORDS:
            continue
        shape = shapes[name]
        if len(shape) != 2 or shape[0] == shape[1]:
            continue
        bias = shapes.get(joined(place.module, "bias"))
        if bias in ((shape[0],), (shape[1],)):
            return bias == (shape[1],)
        if place.kind.word == "c_attn" and 3 * min(shape) == max(shape):
            return shape[1] > shape[0]
    return False
