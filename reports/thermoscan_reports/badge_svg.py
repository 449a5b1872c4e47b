"""The badge: what a README shows in one line. At most 2 KB."""

from __future__ import annotations

from thermoscan.card import Card
from thermoscan_reports.markup import environment
from thermoscan_reports.numbers import shown
from thermoscan_reports.verdict import verdict_of

LABEL = "thermoscan"
COLOURS = {"ok": "#2d6a4f", "warning": "#8a5300", "error": "#a4161a"}
# Widths in an 11 px sans-serif; textLength makes every font fit them.
_CHARACTER = 6.4
_PADDING = 10
_WORDS = {"ok": "healthy", "warning": "look", "error": "broken"}


class BadgeReporter:
    """Renders ``badge.svg``."""

    def render(self, card: Card) -> str:
        """Returns the badge as an SVG document; it holds no name from the checkpoint."""
        message = badge_message(card)
        left, right = (round(_CHARACTER * len(text)) + _PADDING for text in (LABEL, message))
        colour = COLOURS[verdict_of(card).severity]
        template = environment().get_template("badge.svg.j2")
        text = template.render(
            label=LABEL, message=message, left=left, right=right, colour=colour, padding=_PADDING
        )
        return text + "\n"


def badge_message(card: Card) -> str:
    """Returns what a badge says, such as ``τ 2.62 · healthy``, and that it is of a sample."""
    word = _WORDS[verdict_of(card).severity] + (" (sample)" if card.sampling else "")
    reduced = card.summary.reduced_temperature
    return word if reduced is None else f"τ {shown(reduced)} · {word}"
