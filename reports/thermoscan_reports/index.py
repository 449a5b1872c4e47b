"""The index: all models of a catalogue on pages that compare them, from the file system.

Takes entries; gives ``index.html``, and ``index-2.html`` and so on beyond `MODELS` models. Like a
card, a page makes no request, allows itself one style sheet and one script by their hashes, and is
readable without its script. The first page begins with what stands out, and families side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from thermoscan.catalogue.index import IndexEntry
from thermoscan_reports.family_plot import pictures_of
from thermoscan_reports.index_data import Overview, overview_of
from thermoscan_reports.index_models import FIGURES
from thermoscan_reports.index_table import table_of
from thermoscan_reports.markup import asset, csp_hash, environment
from thermoscan_reports.outlier_lists import lists_of, summary_of
from thermoscan_reports.sparkline import path_of

MODELS = 500
"""The most models of a page."""

_REFRESH = [figure.field for figure in FIGURES].index("refresh_temperature")


class HtmlIndex:
    """Renders ``index.html`` and its further pages."""

    def render(self, entries: Iterable[IndexEntry]) -> Iterator[tuple[str, str]]:
        """Yields name and text of each page; the same entries give the same texts."""
        overview = overview_of(entries)
        pages = max(1, -(-len(overview.models) // MODELS))
        base = any(model.figures[_REFRESH] is not None for model in overview.models)
        for number in range(1, pages + 1):
            yield file_name(number), _page(overview, number, pages, base)


def file_name(number: int) -> str:
    """Returns the name of a page's file, from 1.

    >>> file_name(1), file_name(2)
    ('index.html', 'index-2.html')
    """
    return "index.html" if number == 1 else f"index-{number}.html"


@dataclass(frozen=True)
class PageLink:
    """A link to a page; the current one is none."""

    number: int
    href: str
    current: bool


def links_of(number: int, pages: int) -> tuple[PageLink, ...]:
    """Returns links to pages around `number`: the nearest, then every tenth, every hundredth.

    All pages of 20 and fewer are linked. Of more, a page has eleven links for each power of ten,
    and every page is at most as many clicks away as its number has digits.

    >>> [link.number for link in links_of(1, 134)][9:]
    [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 134]
    """
    linked = {1, number, pages} | (set(range(1, pages + 1)) if pages <= 20 else set())
    step = 1
    while step < pages:
        around = number // (10 * step) * 10 * step
        linked.update(range(around, around + 10 * step + 1, step))
        step *= 10
    return tuple(
        PageLink(at, file_name(at), at == number) for at in sorted(linked) if 1 <= at <= pages
    )


def _page(overview: Overview, number: int, pages: int, base: bool) -> str:
    """A page's text; `base` says whether any model has a base checkpoint."""
    style, script = asset("page.css", "index.css"), asset("table.js", "index.js")
    start = (number - 1) * MODELS
    models = overview.models[start : start + MODELS]
    text = environment().get_template("index.html.j2").render(
        summary=summary_of(overview),
        lists=lists_of(overview) if number == 1 else (),
        families=pictures_of(overview) if number == 1 else None,
        table=table_of(models, overview.deviations, start, base),
        start=start,
        total=len(overview.models),
        number=number,
        pages=pages,
        links=links_of(number, pages),
        path_of=path_of,
        style=style,
        script=script,
        style_hash=csp_hash(style),
        script_hash=csp_hash(script),
    )  # fmt: skip
    return text + "\n"
