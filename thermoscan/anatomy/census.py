"""What one tensor's role may need to know about the others: an index over the checkpoint.

Takes the stored tensors; gives a `Census`. Linear in the number of tensors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thermoscan.anatomy.names import Place, joined, place_of
from thermoscan.anatomy.rules import CONV1D_WORDS
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
        bracketed: The stored names with a bracket in them, which could be mistaken for parts of a
            tensor.
        transposed: Whether OpenAI's ``Conv1D`` weights are stored (inputs, outputs) here.
    """

    places: Mapping[str, Place]
    shapes: Mapping[str, Shape]
    takers: Mapping[int, int]
    last_index: Mapping[str, int]
    bracketed: tuple[str, ...]
    transposed: bool

    def beside(self, place: Place, word: str) -> Shape | None:
        """The shape of the same parameter of the module `word` beside this one, or None."""
        return self.shapes.get(place.sibling(word) + place.name[len(place.module) :])

    def bias_of(self, place: Place) -> str | None:
        """The name of the stored bias that goes with a weight, None if there is none."""
        suffix = place.name[len(place.module) :]
        name = place.module + ("_bias" if place.bare else ".bias")
        return name if suffix != ".bias" and name in self.shapes else None


def take(tensors: Sequence[Tensor], renamed: Mapping[str, str]) -> Census:
    """Builds the index; `renamed` has the names to read instead of stored ones that say less."""
    places = {t.name: place_of(renamed.get(t.name, t.name)) for t in tensors}
    shapes = {t.name: t.shape for t in tensors}
    takers: Counter[int] = Counter()
    last_index: dict[str, int] = {}
    for name, shape in shapes.items():
        if len(shape) < 2:
            continue
        takers[shape[1]] += 1
        place = places[name]
        if place.numbered:
            container, _, index = place.module.rpartition(".")
            last_index[container] = max(last_index.get(container, 0), int(index))
    return Census(
        places=places,
        shapes=shapes,
        takers=takers,
        last_index=last_index,
        bracketed=tuple(name for name in shapes if "[" in name),
        transposed=_is_transposed(places, shapes),
    )


def _is_transposed(places: Mapping[str, Place], shapes: Mapping[str, Shape]) -> bool:
    """Says whether ``Conv1D`` weights are (inputs, outputs): by the first that is not square.

    nanoGPT gives ordinary linear maps the same names, so the names alone do not tell. Fused query,
    key and value are three times as many outputs as inputs; elsewhere the bias is as long as the
    outputs.
    """
    for name, place in places.items():
        shape = shapes[name]
        if place.word not in CONV1D_WORDS or len(shape) != 2 or shape[0] == shape[1]:
            continue
        bias = shapes.get(joined(place.module, "bias"))
        if bias in ((shape[0],), (shape[1],)):
            return bias == (shape[1],)
        if place.word == "c_attn" and 3 * min(shape) == max(shape):
            return shape[1] > shape[0]
    return False
