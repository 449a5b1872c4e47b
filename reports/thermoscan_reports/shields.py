"""The badge as JSON for shields.io (https://shields.io/badges/endpoint-badge)."""

from __future__ import annotations

import json

from thermoscan.card import Card
from thermoscan_reports.badge_svg import COLOURS, LABEL, badge_message
from thermoscan_reports.verdict import verdict_of


class ShieldsReporter:
    """Renders ``shields.json``."""

    def render(self, card: Card) -> str:
        """Returns the endpoint's JSON, ASCII, on one line."""
        return (
            json.dumps(
                {
                    "schemaVersion": 1,
                    "label": LABEL,
                    "message": badge_message(card),
                    "color": COLOURS[verdict_of(card).severity].removeprefix("#"),
                }
            )
            + "\n"
        )
