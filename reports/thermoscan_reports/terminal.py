"""The card in a terminal: verdict, headline numbers, findings, a line per role, blocks, coverage.

Takes a card; gives text, with ANSI colours where asked for. Layers are summed up by role, as a
terminal is no place for three hundred rows; the layers with findings are named there.
"""

from __future__ import annotations

import io
import os
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from thermoscan.card import Card, LayerRecord
from thermoscan.text import printable
from thermoscan_reports.layer_table import number
from thermoscan_reports.numbers import scaled, shown
from thermoscan_reports.page import Page, page_of

_STYLES = {"ok": "bold green", "info": "bold cyan", "warning": "bold yellow", "error": "bold red"}
_MARKS = {"ok": "✓", "info": "i", "warning": "!", "error": "✗"}
_DEFAULT_WIDTH = 100
#: Columns that the table of roles takes with those of spectra.
_WIDE = 96


@dataclass(frozen=True)
class RoleLine:
    """The layers of one role: how many, their parameters, and medians with the range of τ.

    `alpha` and `ordered` are of their spectra.
    """

    role: str
    layers: int
    parameters: str
    reduced: str
    span: str
    order: str
    efficiency: str
    alpha: str
    ordered: str


class TerminalReporter:
    """Renders the summary that ``thermoscan`` prints.

    Args:
        width: Columns; by default ``COLUMNS``, else the terminal's width, else 100.
        colour: Whether to write ANSI codes; by default only to a terminal without ``NO_COLOR``.
    """

    def __init__(self, width: int | None = None, colour: bool | None = None) -> None:
        self.width = _width() if width is None else width
        self.colour = _colour() if colour is None else colour

    def render(self, card: Card) -> str:
        """Returns the summary of `card`, ending in a line break."""
        page = page_of(card)
        console = Console(
            file=io.StringIO(),
            width=self.width,
            force_terminal=self.colour,
            color_system="standard" if self.colour else None,
            no_color=not self.colour,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        with console.capture() as capture:
            for part in (
                _head(page),
                _figures(page),
                *_findings(page),
                "",
                _roles(card, wide=self.width >= _WIDE),
                *_blocks(page),
                *_spectra(page),
                "",
                _foot(page),
            ):
                console.print(part)
        lines = (line.rstrip() for line in capture.get().rstrip().splitlines())
        return "\n".join(lines) + "\n"


def role_lines(card: Card) -> tuple[RoleLine, ...]:
    """Returns a line per role, in the order in which roles first occur in the model."""
    roles: dict[str, list[LayerRecord]] = {}
    for layer in card.layers:
        roles.setdefault(layer.role, []).append(layer)
    return tuple(_role_line(role, layers) for role, layers in roles.items())


def _role_line(role: str, layers: list[LayerRecord]) -> RoleLine:
    reduced = _values(layers, "reduced_temperature")
    span = f"{shown(min(reduced))} … {shown(max(reduced))}" if reduced else shown(None)
    return RoleLine(
        role=printable(role, 40),
        layers=len(layers),
        parameters=scaled(sum(layer.parameters for layer in layers)),
        reduced=_median(reduced),
        span=span,
        order=_median(_values(layers, "order")),
        efficiency=_median(_values(layers, "engine.efficiency")),
        alpha=_median(_values(layers, "spectra.counted.tail.alpha")),
        ordered=_median(_values(layers, "spectra.counted.bulk.ordered_fraction")),
    )


def _values(layers: list[LayerRecord], path: str) -> list[float]:
    found = (number(layer, path)[0] for layer in layers)
    return [value for value in found if value is not None]


def _median(values: list[float]) -> str:
    return shown(statistics.median(values) if values else None)


def _head(page: Page) -> Text:
    text = Text().append(f"{page.title}\n", "bold")
    text.append(" · ".join(f"{name} {value}" for name, value in page.facts) + "\n\n", "dim")
    verdict = page.verdict
    text.append(f"{_MARKS[verdict.severity]} {verdict.headline}", _STYLES[verdict.severity])
    text.append(f" {' '.join(verdict.sentences)}\n")
    if page.sample:
        text.append(f"{page.sample}\n")
    return text


def _figures(page: Page) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for figure in page.figures:
        words = figure.meaning if figure.reason is None else figure.reason
        symbol, value = Text(figure.symbol, "italic"), Text(figure.value, "bold")
        table.add_row(symbol, Text(figure.name), value, Text(words, "dim"))
    return table


def _findings(page: Page) -> Iterator[RenderableType]:
    for group in page.findings:
        title = Text().append(f"\n{_MARKS[group.severity]} {group.title}", _STYLES[group.severity])
        yield title.append(f": {group.meaning} {group.advice}")
        for item in group.items:
            place = "" if item.layer is None else f"{item.layer}: "
            yield _indented(Text().append(place, "cyan").append(item.message))
        if group.more:
            yield _indented(Text(f"and {group.more:,} more", "dim"))
    if page.findings_more:
        yield Text(f"{page.findings_more} further kinds of finding are in the JSON card", "dim")
    if page.not_looked_for:
        yield Text(f"\n{page.not_looked_for}", "dim")


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 4))


def _roles(card: Card, *, wide: bool) -> Table:
    """The table of roles; that of spectra leaves out the range of τ where it has no room."""
    # Headers of two lines leave room for the roles at 80 columns.
    columns = {
        "layers": "\nlayers",
        "parameters": "\nparams",
        "reduced": "median\nτ",
        "span": "\nrange of τ",
        "order": "median\nJ",
        "efficiency": "median\nη",
    }
    if card.spectra is not None:
        columns |= {"alpha": "median\nα", "ordered": "median\nordered"}
        if not wide:
            del columns["span"]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("\nrole")
    for name in columns.values():
        table.add_column(name, justify="right", no_wrap=True)
    for line in role_lines(card):
        texts = {**vars(line), "layers": f"{line.layers:,}"}
        table.add_row(*(Text(texts[each]) for each in ("role", *columns)))
    return table


def _blocks(page: Page) -> Iterator[RenderableType]:
    for block in page.blocks:
        yield Text(f"\n{block.title}", "bold")
        yield from map(Text, block.sentences)
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for name in block.columns:
            table.add_column(name, overflow="fold")
        for row in block.rows:
            table.add_row(*map(Text, row))
        yield table
        if block.more:
            yield Text(f"{block.more:,} more are in the JSON card", "dim")


def _spectra(page: Page) -> Iterator[Text]:
    if page.spectra:
        title, sentences = page.spectra.title, page.spectra.sentences
        yield Text().append(f"\n{title}: ", "bold").append(" ".join(sentences))


def _foot(page: Page) -> Text:
    parts = (f"{row.percent} {row.status} ({row.reason})" for row in page.coverage)
    lines = [f"coverage: {'; '.join(parts)}"]
    lines += [f"{f.status}: {f.name}: {f.reason}" for f in page.files if f.status == "refused"]
    return Text("\n".join(lines), "dim")


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _DEFAULT_WIDTH
    except (OSError, ValueError):
        return _DEFAULT_WIDTH


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
