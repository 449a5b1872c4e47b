"""All that a catalogue knows of one model, by one of its scans."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from thermoscan.catalogue.asking import Document, Question, ask
from thermoscan.catalogue.fields import subject
from thermoscan.catalogue.naming import Named
from thermoscan.catalogue.schema import scans

_SCAN = ("scan", "is_last", "at", "status", "code", "identity", "scanner", "reduced_temperature",
         "order")  # fmt: skip
_FINDING = ("severity", "code", "layer", "message")
_LAYER = ("position", "name", "role", "reduced_temperature", "order", "engine_efficiency",
          "sparsity", "alpha")  # fmt: skip


@dataclass(frozen=True)
class Description:
    """A model. Documents are a field's name -> its value.

    Attributes:
        model: All fields of the scan that was named.
        scans: All of the model that are kept, the first one first.
        findings: Of the scan that was named.
        layers: Of the same, in the order of the model; the first ones where a limit was set.
    """

    model: Document
    scans: tuple[Document, ...]
    findings: tuple[Document, ...]
    layers: tuple[Document, ...]


def describe(connection: Connection, named: Named, layers: int | None) -> Description:
    """Returns what is known of a scan and its model, with at most so many `layers`."""

    def rows(question: Question, whole_model: bool = False) -> tuple[Document, ...]:
        of_model, of_scan = scans.c.model_id == named.model, scans.c.id == named.scan
        among = of_model if whole_model else of_scan
        with ask(connection, question, among) as answer:
            return tuple(answer.documents())

    every = tuple(subject("scans", connection.dialect.name).fields)
    (model,) = rows(Question("scans", columns=every))
    return Description(
        model=model,
        scans=rows(Question("scans", columns=_SCAN), whole_model=True),
        findings=rows(Question("findings", columns=_FINDING)),
        layers=rows(Question("layers", columns=_LAYER, limit=layers)),
    )
