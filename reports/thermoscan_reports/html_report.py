"""The card as one self-contained HTML page: no request to anywhere, readable without its script.

Takes a card; gives the page's text. The page allows itself one style sheet and one script, both
named by their hashes in its Content-Security-Policy.
"""

from __future__ import annotations

from thermoscan.card import Card
from thermoscan_reports.axes import PROFILE, Frame, Measure
from thermoscan_reports.layer_table import table_of
from thermoscan_reports.markup import asset, csp_hash, environment
from thermoscan_reports.page import page_of
from thermoscan_reports.plot import ALPHA, DISTANCE, EFFICIENCY, MEASURED, ORDER, plot_of
from thermoscan_reports.roles import GROUPS

PROFILE_FRAME = Frame(720, 330, left=70, right=46)
SMALL_FRAME = Frame(360, 170, marks=100)
# Two of them side by side: what stands at one place in one stands there in the other.
PAIR_FRAME = Frame(530, 230, marks=200, right=50)


class HtmlReporter:
    """Renders ``card.html``."""

    def render(self, card: Card) -> str:
        """Returns the page; the same card gives the same text under the same version of zlib."""
        style, script = asset("page.css"), asset("table.js", "card.js")
        small = [plot_of(card, measure, SMALL_FRAME) for measure in _measures(card)]
        pair = [plot_of(card, each, PAIR_FRAME) for each in (PROFILE, ALPHA) if card.spectra]
        text = environment().get_template("card.html.j2").render(
            page=page_of(card),
            table=table_of(card),
            profile=plot_of(card, PROFILE, PROFILE_FRAME),
            small=[plot for plot in small if plot.drawn],
            pair=pair,
            groups=GROUPS,
            style=style,
            script=script,
            style_hash=csp_hash(style),
            script_hash=csp_hash(script),
        )  # fmt: skip
        return text + "\n"


def _measures(card: Card) -> tuple[Measure, ...]:
    """The small pictures: estimated beside measured, where the model was run on data."""
    data, base = (MEASURED,) if card.probe else (), (DISTANCE,) if card.comparison else ()
    return (ORDER, *base, EFFICIENCY, *data)
