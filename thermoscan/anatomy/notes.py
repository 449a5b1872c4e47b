"""Says in sentences, for the card, what was assumed about a model.

Takes the finished layers and what was known; gives the notes. Holds no names from the checkpoint
but its model type.
"""

from __future__ import annotations

from collections.abc import Sequence

from thermoscan.anatomy.building import Knowledge
from thermoscan.anatomy.model import Layer, Recorded, Role
from thermoscan.text import printable

_FEED_FORWARD = frozenset({Role.UP, Role.GATE})


def notes_of(
    layers: Sequence[Layer],
    aside: Sequence[Recorded],
    known: Knowledge,
    stated_activation: str | None,
) -> tuple[str, ...]:
    """Returns the assumptions that the layers rest on, those that apply."""
    notes = []
    convention = known.family.convention
    if known.beginnings.assumes_torch and any(layer.initialisation for layer in layers):
        notes.append(
            "No configuration names an architecture: weights are taken to have started as "
            "torch.nn draws them by default. State another initialisation if the training code "
            "had one."
        )
    elif convention is not None and any(_is_by(layer, convention.library) for layer in layers):
        notes.append(_by_library(convention.library, known.family.model_type or ""))
    if convention is not None and convention.note:
        notes.append(convention.note)
    if stated_activation is not None:
        notes.append(f"The hidden activation is taken to be {stated_activation}, as stated.")
    if any(_is_gru_candidate(layer) for layer in layers):
        notes.append(
            "The reset gate of a GRU is counted as open: the hidden state adds to the candidate "
            "in full."
        )
    unfed = _without_norm(layers, aside, known)
    if unfed:
        notes.append(
            "Which normalisation feeds the feed-forward part is not told by the names of "
            f"{unfed} layers: their input is taken to be of zero mean and unit variance."
        )
    return tuple(notes)


def _is_by(layer: Layer, library: str) -> bool:
    return layer.initialisation is not None and layer.initialisation.source.startswith(library)


def _by_library(library: str, model_type: str) -> str:
    shown = printable(model_type, 40)
    told = f"Weights are taken to have started as {library} draws them for '{shown}'"
    if library != "transformers":
        return f"{told}."
    return f"{told}; an embedding's padding row, which starts at zero, is not set apart."


def _is_gru_candidate(layer: Layer) -> bool:
    return layer.role is Role.RECURRENT_HIDDEN and layer.name.endswith("[n]")


def _without_norm(layers: Sequence[Layer], aside: Sequence[Recorded], known: Knowledge) -> int:
    """How many engine layers have no known norm although their block holds one."""
    places = known.census.places
    blocks = {places[record.tensor].block for record in aside if record.role is Role.NORM}
    return sum(
        layer.engine
        and layer.role in _FEED_FORWARD
        and layer.norm is None
        and bool(places[layer.tensor].block)
        and places[layer.tensor].block in blocks
        for layer in layers
    )
