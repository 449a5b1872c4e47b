"""What is asked of a model on some data: inputs as it takes them, and the loss that fits its head.

Takes a loaded model and `Examples`; gives a `Task`. Where a model has no loss on the data, it is
only run, and the reason goes into the card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from thermoscan.errors import DataError, ProbeError
from thermoscan.probe.measure import Objective
from thermoscan.probe.subject import NO_OBJECTIVE, Examples, Task
from thermoscan.text import printable
from thermoscan_adapters import transformers_objectives as objectives
from thermoscan_adapters.transformers_batches import (
    MASKED_SHARE,
    PIXELS_AT_ONCE,
    Row,
    batches,
    generators,
    masked,
    positions_at_once,
)
from thermoscan_adapters.transformers_choice import Kind
from thermoscan_adapters.transformers_quiet import at_work

MOST_TOKENS = 256
"""Longest input, in tokens: longer texts are cut."""

_MOST_CHARACTERS = 64 * MOST_TOKENS
_MASKING = (
    f"{MASKED_SHARE:.0%} of the tokens of each text were masked, and the loss is taken there."
)
_STAND_IN = (
    "As a stand-in for the head, the last hidden state was scored against the model's own table of "
    "input embeddings."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What can be asked of a model on some data.

    Attributes:
        name: Of the objective.
        objective: Takes the loss.
        masking: Whether its inputs are masked.
        labelled: Whether its inputs carry the data's labels.
        reason: Why there is no loss; None where there is one.
        notes: Assumptions.
    """

    name: str
    objective: Objective
    masking: bool = False
    labelled: bool = False
    reason: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ability:
    """What a loaded model is.

    Attributes:
        model: The module, one of transformers'.
        kind: What its head is for, `Kind.BASE` without one.
        intended: What the head would be for that the checkpoint does not hold.
        encode: A tokenizer of transformers, or an image processor.
        device: Where its inputs go.
    """

    model: Any
    kind: Kind
    intended: Kind
    encode: Any
    device: str

    @property
    def table(self) -> Any:
        """The table of input embeddings, a module.

        Raises:
            ProbeError: ``inputs-unknown``: it has none, or several.
        """
        with at_work("inputs-unknown", "it has no table of input embeddings of its own"):
            return self.model.get_input_embeddings()

    @property
    def takes_pictures(self) -> bool:
        """Whether its inputs are pictures; else they are texts."""
        return bool(self.model.main_input_name == "pixel_values")


def task_of(able: Ability, examples: Examples, inputs: int, seed: int) -> Task:
    """Returns the first `inputs` examples as batches, and the loss to take on them.

    Raises:
        DataError: The data is not of the kind that the model takes, or holds unknown labels.
        ProbeError: The tokenizer does not fit the model.
    """
    if able.takes_pictures and not examples.pictures:
        raise DataError("data-kind", "the model takes pictures, and this is none of them")
    if not able.takes_pictures and not examples.texts:
        raise DataError("data-kind", "the model takes texts, and this is none of them")
    asked = _asked(able, bool(examples.labels))
    every = _rows(able, asked, examples, inputs, seed)
    rows = [row for row in every if row]
    if not rows:
        raise DataError("data-too-short", "no example is long enough for the model to be run on")
    notes = (*examples.notes, *asked.notes)
    if len(rows) < len(every):
        short = len(every) - len(rows)
        notes += (f"{short} of {len(every)} examples have too few tokens and were left out.",)
    return Task(
        description=examples.description,
        batches=[
            {name: each.to(able.device) for name, each in batch.items()}
            for batch in batches(rows, _at_once(able, rows))
        ],
        examples=len(rows),
        name=asked.name,
        objective=asked.objective,
        reason=asked.reason,
        notes=notes,
    )


def _asked(able: Ability, labelled: bool) -> Asked:
    """Chooses the loss."""
    kind = able.kind
    if kind is Kind.CAUSAL:
        return Asked(kind.value, objectives.causal)
    if kind is Kind.SEQUENCES:
        note = "The target of each text is the text itself."
        return Asked(kind.value, objectives.sequences, notes=(note,))
    if kind is Kind.MASKED:
        return _masking(able, kind.value, objectives.masked)
    if kind in (Kind.TEXT_CLASSES, Kind.PICTURE_CLASSES):
        return _classifying(able, labelled)
    table = None if able.takes_pictures else able.table
    width = getattr(able.model.config, "hidden_size", None)
    if able.intended in _STAND_INS and getattr(table, "embedding_dim", 0) == width:
        name, objective = _STAND_INS[able.intended]
        if able.intended is Kind.CAUSAL:
            return Asked(name, objective, notes=(_STAND_IN,))
        return _masking(able, name, objective, _STAND_IN)
    return _nothing("the checkpoint holds no head, and there is no stand-in for one")


_STAND_INS: Mapping[Kind, tuple[str, Objective]] = {
    Kind.MASKED: ("masked reconstruction (stand-in)", objectives.table_masked),
    Kind.CAUSAL: ("next-token reconstruction (stand-in)", objectives.table_causal),
}


def _nothing(reason: str) -> Asked:
    return Asked(NO_OBJECTIVE, objectives.forward_only, reason=reason)


def _masking(able: Ability, name: str, objective: Objective, *notes: str) -> Asked:
    if able.encode.mask_token_id is None:
        return _nothing("the tokenizer has no mask token")
    return Asked(name, objective, masking=True, notes=(_MASKING, *notes))


def _classifying(able: Ability, labelled: bool) -> Asked:
    if able.model.config.num_labels < 2:
        return _nothing("the model's head gives one number, not classes")
    if able.model.config.problem_type == "multi_label_classification":
        return _nothing("the model's classes do not exclude each other")
    if not labelled:
        return _nothing("the model classifies, and the data has no labels")
    return Asked(able.kind.value, objectives.classes, labelled=True)


def _label_ids(able: Ability, labels: Sequence[str]) -> list[int]:
    """The model's own number for every label, which may be spelled as that number."""
    config = able.model.config
    numbers = range(config.num_labels)
    named = config.label2id if isinstance(config.label2id, dict) else {}
    known = {str(index): index for index in numbers}
    known.update({str(name): index for name, index in named.items() if index in numbers})
    unknown = [label for label in labels if label not in known]
    if unknown:
        reason = f"the model has no class called '{printable(unknown[0], 60)}'"
        raise DataError("label-unknown", reason)
    return [known[label] for label in labels]


def _rows(able: Ability, asked: Asked, examples: Examples, inputs: int, seed: int) -> list[Row]:
    """The first examples as the model takes them; an empty row for one that it cannot."""
    if able.takes_pictures:
        rows = _picture_rows(able, examples, inputs)
    else:
        rows = _text_rows(able, asked, examples, inputs, seed)
    if not asked.labelled:
        return rows
    labels = _label_ids(able, examples.labels[:inputs])
    labelled = zip(rows, labels, strict=True)
    return [{**row, "labels": torch.tensor(label)} if row else {} for row, label in labelled]


def _text_rows(
    able: Ability, asked: Asked, examples: Examples, inputs: int, seed: int
) -> list[Row]:
    """The texts as token ids; an empty row for a text too short to take a loss on."""
    with at_work("tokenizer-failed", "its tokenizer cannot read this data"):
        length = _longest(able)  # a stranger's file states it: it may be no number
        encoded = [
            able.encode(text[:_MOST_CHARACTERS], truncation=True, max_length=length)["input_ids"]
            for text in examples.texts[:inputs]
        ]
    rows = able.table.weight.shape[0]
    if any(not 0 <= each < rows for ids in encoded for each in ids):
        reason = f"its tokenizer gives numbers beyond the {rows} rows of the model's table"
        raise ProbeError("tokenizer-mismatch", reason)
    if asked.masking:
        return _masked_rows(able, encoded, seed)
    least = 1 if asked.name == NO_OBJECTIVE or asked.labelled else 2
    return [{"input_ids": torch.tensor(ids)} if len(ids) >= least else {} for ids in encoded]


def _masked_rows(able: Ability, encoded: Sequence[list[int]], seed: int) -> list[Row]:
    special = frozenset(able.encode.all_special_ids)
    mask = able.encode.mask_token_id
    rows: list[Row] = []
    for ids, generator in zip(encoded, generators(seed), strict=False):
        found = masked(ids, special, mask, generator)
        rows.append(
            {"input_ids": torch.tensor(found[0]), "labels": torch.tensor(found[1])} if found else {}
        )
    return rows


def _picture_rows(able: Ability, examples: Examples, inputs: int) -> list[Row]:
    with at_work("processor-failed", "its image processor cannot read this data"):
        made = [able.encode(each, return_tensors="pt") for each in examples.pictures[:inputs]]
        return [{"pixel_values": each["pixel_values"][0]} for each in made]


def _longest(able: Ability) -> int:
    """Tokens of the longest input: what the model has positions for, at most `MOST_TOKENS`.

    Some families keep two positions for padding.
    """
    positions = getattr(able.model.config, "max_position_embeddings", None) or MOST_TOKENS + 2
    return max(2, min(MOST_TOKENS, int(able.encode.model_max_length), int(positions) - 2))


def _at_once(able: Ability, rows: Sequence[Row]) -> int:
    if able.takes_pictures:
        return PIXELS_AT_ONCE
    longest = max(len(row["input_ids"]) for row in rows)
    return positions_at_once(able.model.config, longest, able.device)
