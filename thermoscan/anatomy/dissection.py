"""From a checkpoint's tensors and configuration to its `Anatomy`.

Takes names, dtypes and shapes (no weights), the parsed configuration, and what the user states;
gives every stored tensor a place in exactly one part of the anatomy. What is not known is None
with its reason. Names and configuration are hostile: nothing here trusts a type, a size or a
spelling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from thermoscan.anatomy.auxiliary import recorded
from thermoscan.anatomy.beginnings import Beginnings
from thermoscan.anatomy.building import Knowledge, layers_of
from thermoscan.anatomy.census import Census, take
from thermoscan.anatomy.conventions import Convention
from thermoscan.anatomy.draft import Draft
from thermoscan.anatomy.families import family_of
from thermoscan.anatomy.firing import Firings
from thermoscan.anatomy.model import Anatomy, Layer, NotAnalysed, Recorded, Role
from thermoscan.anatomy.names import place_of
from thermoscan.anatomy.normalisation import Norms
from thermoscan.anatomy.notes import notes_of
from thermoscan.anatomy.order import in_model_order
from thermoscan.anatomy.packed import INTEGER_WEIGHT_REASON, is_integer_weight, packed
from thermoscan.anatomy.recurrent import recurrence_of
from thermoscan.anatomy.roles import role_of
from thermoscan.anatomy.rules import is_embedding_word
from thermoscan.anatomy.slicing import slices_of
from thermoscan.anatomy.tying import tied_tables
from thermoscan.checkpoint import Tensor
from thermoscan.errors import LimitError
from thermoscan.theory.activations import activation as activation_called
from thermoscan.theory.initialisation import RULES, Initialisation, parse

#: Layers of one checkpoint; the largest public mixtures of experts have about 100,000.
MOST_LAYERS = 250_000

_ATTENTION = frozenset(
    {Role.QUERY, Role.KEY, Role.VALUE, Role.QUERY_KEY_VALUE, Role.ATTENTION_OUTPUT}
)
_KINDS = {"ih": Role.RECURRENT_INPUT, "hh": Role.RECURRENT_HIDDEN, "hr": Role.LINEAR}


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the user states about a model, where its configuration cannot or should not be believed.

    Attributes:
        activation: Canonical name of the hidden activation; None for what the configuration says.
        initialisation: A distribution, or the name of a rule of
            `thermoscan.theory.initialisation.from_rule`; None for what the configuration says.
    """

    activation: str | None = None
    initialisation: Initialisation | str | None = None

    @classmethod
    def stated(
        cls, activation: str | None = None, initialisation: str | None = None
    ) -> Assumptions:
        """Reads what a user wrote.

        Raises:
            OptionError: There is no such activation or initialisation.

        >>> Assumptions.stated("ReLU", "normal(0.02)").activation
        'relu'
        """
        start: Initialisation | str | None = initialisation
        if initialisation is not None and initialisation not in RULES:
            start = parse(initialisation)
        return cls(activation_called(activation).name if activation is not None else None, start)


def dissect(
    tensors: Sequence[Tensor],
    config: Mapping[str, Any] | None = None,
    *,
    aliases: Mapping[str, str] | None = None,
    assumptions: Assumptions | None = None,
) -> Anatomy:
    """Tells what each tensor of a checkpoint is.

    Args:
        tensors: Every stored tensor, under names that differ.
        config: The parsed ``config.json``, or None.
        aliases: Other names of stored tensors, as `thermoscan.checkpoint.Checkpoint` has them.
        assumptions: What the user states; None for nothing.

    Raises:
        LimitError: The tensors would make more than `MOST_LAYERS` layers.
    """
    aliases, assumptions = aliases or {}, assumptions or Assumptions()
    family = family_of(config)
    convention = family.convention or Convention()
    census = take(tensors, _telling_names(aliases), convention.words)
    drafts, aside, left_out = _sort_out(tensors, census, packed(tensors, family.quantised_by))
    tied = tied_tables(drafts, family)
    drafts = [draft for draft in in_model_order(drafts) if draft.tensor.name not in tied]
    places = [draft.place for draft in drafts]
    known = Knowledge(
        census=census,
        family=family,
        norms=Norms(census, places, convention.flows, convention.offset_gain),
        firings=Firings(census, family, assumptions.activation),
        beginnings=Beginnings(
            family,
            assumptions.initialisation,
            plain=not any(draft.role in _ATTENTION for draft in drafts),
        ),
    )
    layers = _build(drafts, known)
    named = {alias: name for alias, name in aliases.items() if alias not in census.shapes}
    return Anatomy(
        architecture=family.model_type,
        layers=layers,
        recorded=tuple(aside),
        not_analysed=tuple(left_out),
        tied={**named, **tied},
        notes=notes_of(layers, aside, known, assumptions.activation),
    )


def _telling_names(aliases: Mapping[str, str]) -> dict[str, str]:
    """For a tensor that is stored under a head's name, its alias that says it is an embedding."""
    telling = {}
    for alias, name in aliases.items():
        kind = place_of(alias, {}).kind
        table = kind.rule is not None and kind.rule.role is Role.EMBEDDING
        if table or is_embedding_word(kind.word):
            telling[name] = alias
    return telling


def _sort_out(
    tensors: Sequence[Tensor], census: Census, packages: Mapping[str, str]
) -> tuple[list[Draft], list[Recorded], list[NotAnalysed]]:
    """Parts the weights from the auxiliary tensors and from what cannot be read as numbers."""
    drafts: list[Draft] = []
    aside: list[Recorded] = []
    left_out: list[NotAnalysed] = []
    for tensor in tensors:
        if tensor.name in packages:
            left_out.append(NotAnalysed(tensor.name, packages[tensor.name]))
        elif is_integer_weight(tensor):
            left_out.append(NotAnalysed(tensor.name, INTEGER_WEIGHT_REASON))
        else:
            place = census.places[tensor.name]
            auxiliary = recorded(tensor, place, census)
            if auxiliary is not None:
                aside.append(auxiliary)
            elif (recurrence := recurrence_of(tensor, census)) is not None:
                role = _KINDS[recurrence.kind]
                drafts.append(Draft(tensor, place, role, (), recurrence))
            else:
                drafts.append(Draft(tensor, place, *role_of(tensor, place, census)))
    return drafts, aside, left_out


def _build(drafts: Sequence[Draft], known: Knowledge) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for draft in drafts:
        divided = slices_of(draft, known.census, known.family)
        count = (divided.groups or 1) * len(divided.parts)
        if len(layers) + count > MOST_LAYERS:
            raise LimitError(
                "too-many-layers",
                f"the tensors hold more than {MOST_LAYERS} matrices",
                tensor=draft.tensor.name,
            )
        layers += layers_of(draft, divided, known)
    return _joined_to_layers(layers) if any(d.recurrence for d in drafts) else tuple(layers)


def _joined_to_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Drops a join to an input weight that is no layer, such as one of integers."""
    names = {layer.name for layer in layers}
    return tuple(
        layer if layer.joins is None or layer.joins in names else replace(layer, joins=None)
        for layer in layers
    )
