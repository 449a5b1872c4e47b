"""The temperature profile as a picture on its own: its own ground, at most 20 KB at any depth."""

from __future__ import annotations

from thermoscan.card import Card
from thermoscan_reports.axes import PROFILE, Frame
from thermoscan_reports.markup import environment
from thermoscan_reports.page import page_of
from thermoscan_reports.plot import plot_of

FRAME = Frame(720, 380, left=60, right=56, top=62, bottom=44)


class ProfileReporter:
    """Renders ``profile.svg``."""

    def render(self, card: Card) -> str:
        """Returns the picture as an SVG document."""
        template = environment().get_template("profile.svg.j2")
        return template.render(page=page_of(card), plot=plot_of(card, PROFILE, FRAME)) + "\n"
