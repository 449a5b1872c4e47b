"""The card as JSON, the twin of every other report."""

from __future__ import annotations

from thermoscan.card import Card
from thermoscan.card_io import to_json


class JsonReporter:
    """Renders ``card.json``."""

    def render(self, card: Card) -> str:
        """Returns the card's JSON, the same bytes for the same card."""
        return to_json(card)
