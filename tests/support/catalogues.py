"""A catalogue to ask, and the cards that are in it, from which a test tells what is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache

from support import cards
from support.wheels import path_of

import thermoscan
from thermoscan.batch.tasks import Result
from thermoscan.card import Card
from thermoscan.catalogue.store import Catalogue

START = datetime(2026, 11, 24, 12, 0, 0, 250000, tzinfo=timezone.utc)
HOSTILE = "ev\x1b[31mil/=1+1\ud800"
REFUSED = "broken.safetensors"


@dataclass(frozen=True)
class Filled:
    """What was recorded: the card of each model's last scan, and one of an earlier."""

    place: str
    cards: Mapping[str, Card]
    earlier: Card

    @property
    def names(self) -> list[str]:
        """Of all models, in the order of a list."""
        return sorted([*self.cards, REFUSED])


def fill(place: str) -> Filled:
    """Records scans in an order that is not that of the names.

    ``org/tuned`` has two revisions, scans 2 and 3; the second is the realistic card with one layer
    changed, the last one renamed, and one finding less.
    """
    realistic = cards.realistic()
    models = {
        "real/minilm": _real(),
        "org/tuned": _later(realistic),
        "complete": cards.complete(),
        HOSTILE: _hostile(),
        "bare": cards.bare(),
    }
    with Catalogue.open(place) as catalogue:
        _record(catalogue, "real/minilm", models["real/minilm"], 0)
        _record(catalogue, "org/tuned", realistic, 1)
        for minute, name in enumerate(list(models)[1:], start=2):
            _record(catalogue, name, models[name], minute)
        reason = "its header is broken"
        refused = Result(REFUSED, "/m/broken", "refused", code="header-not-json", reason=reason)
        catalogue.record(refused, START, None, {})
    return Filled(place, models, realistic)


def _record(catalogue: Catalogue, name: str, card: Card, minute: int) -> None:
    result = Result(name, f"/m/{name}", "scanned", key="k", card=card, seconds=1.5)
    when = START + timedelta(minutes=minute)
    catalogue.record(result, when, "cards/model/card.html", {"sample": None})


@cache
def _real() -> Card:
    return thermoscan.scan(str(path_of("minilm")))


def _later(card: Card) -> Card:
    changed = replace(card.layers[3], digest="xxh3-128:0", order=0.9, sparsity=0.25)
    renamed = replace(card.layers[-1], name="head.weight")
    return replace(
        card,
        model=replace(card.model, revision="f" * 40),
        summary=replace(card.summary, order=0.05),
        layers=(*card.layers[:3], changed, *card.layers[4:-1], renamed),
        findings=card.findings[1:],
    )


def _hostile() -> Card:
    """Hostile wherever a checkpoint has a say: a role and an element type are thermoscan's own."""
    card = cards.hostile()
    own = (replace(each, role="linear", dtype="F32", order=None) for each in card.layers)
    return replace(card, layers=tuple(own))
