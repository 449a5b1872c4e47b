"""The section that a report adds to a model card, as Markdown that reads well unrendered too.

Takes a card; gives text without its markers. It holds nothing that changes by itself (no date) and
no picture (a model card shows no SVG for certain); every name and sentence from the card passes
`thermoscan_reports.markdown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from thermoscan.card import Card
from thermoscan_reports.markdown import code, words
from thermoscan_reports.numbers import scaled
from thermoscan_reports.page import Figure, FindingGroup, Page, page_of

_FIGURES = (
    "reduced_temperature", "order", "transition_temperature", "refresh_temperature",
    "work_efficiency", "measured_efficiency", "bits_per_parameter", "coverage",
)  # fmt: skip
_MOST_KINDS = 5
_MOST_PLACES = 3
_MOST_FOLDERS = 5
_PAPER = "[On the Temperature of Machine Learning Systems](https://arxiv.org/abs/2404.13218)"
_FULL = (
    "Full report: [card.html](thermoscan/card.html) (download it; it opens in any browser) and "
    "[card.json](thermoscan/card.json)."
)


class SectionReporter:
    """Renders the section of a model card that the full report lies beside."""

    def render(self, card: Card) -> str:
        """Returns the section, ending in a line break."""
        return "\n\n".join((*_parts(card), f"{_FULL} {_origin(card)}")) + "\n"


class CommentReporter:
    """Renders the same for a place that no files lie beside, such as a discussion."""

    def render(self, card: Card) -> str:
        """Returns the text, ending in a line break."""
        return "\n\n".join((*_parts(card), _origin(card))) + "\n"


def _parts(card: Card) -> Iterator[str]:
    """Yields what is said of the model, block by block."""
    page = page_of(card)
    yield "## What the weights show"
    headline = words(page.verdict.headline)
    yield " ".join((f"**{headline}**", *map(words, page.verdict.sentences)))
    rows = (_row(figure) for figure in page.figures if figure.key in _FIGURES)
    if page.sample:
        yield words(page.sample, 1000)
    yield "\n".join(("| figure | value | meaning |", "|---|---|---|", *rows))
    for block in page.blocks:
        if block.key == "comparison":
            yield words(f"{block.title}: {block.sentences[0]}.", 1000)
    if page.spectra:
        yield words(f"{page.spectra.title}: {' '.join(page.spectra.sentences)}", 1500)
    yield from _findings(page)
    if page.not_looked_for:
        yield words(page.not_looked_for, 1000)
    what = "the weights" if card.sampling is None else "a sample of the weights"
    how = f"The figures come from {what} alone; the model was not run."
    if card.probe is not None:
        run = card.probe.run
        how = f"The model was run on {code(run.data)} (inputs: {run.inputs:,}). Where a figure was "
        how += "measured on data, it says so; the others come from the weights."
    yield f"{how} They follow Dong Zhang, {_PAPER}."


def _row(figure: Figure) -> str:
    """A line of the table; a value that is not known gives way to the reason why."""
    letter = "" if figure.key in {"coverage", "bits_per_parameter"} else f" {words(figure.symbol)}"
    value, meaning = figure.value, figure.meaning
    if figure.key == "work_efficiency":
        meaning = f"Estimated. {meaning}"
    if figure.reason is not None:
        value, meaning = "not known", f"Because: {figure.reason}."
    return f"| {words(figure.name)}{letter} | {words(value)} | {words(meaning)} |"


def _findings(page: Page) -> Iterator[str]:
    """Yields errors and warnings, the worst first; information is for the full report."""
    serious = [group for group in page.findings if group.severity in {"error", "warning"}]
    if serious:
        lines = [line for group in serious[:_MOST_KINDS] for line in _finding(group)]
        more = len(serious) - _MOST_KINDS
        if more > 0:
            lines.append(f"- and {more} more kinds, in the full report")
        yield "\n".join(lines)


def _finding(group: FindingGroup) -> Iterator[str]:
    kind = "Broken" if group.severity == "error" else "Look at it"
    yield f"- **{kind}: {words(group.title)}.** {words(group.meaning)} {words(group.advice)}"
    for item in group.items[:_MOST_PLACES]:
        place = f"{code(item.layer)}: " if item.layer is not None else ""
        yield f"  - {place}{words(item.message)}"
    more = len(group.items) - _MOST_PLACES + group.more
    if more > 0:
        yield f"  - and {more:,} more"


def _origin(card: Card) -> str:
    """What exactly was scanned, and by which version."""
    files, revision = card.model.files, card.model.revision
    what = code(files[0].name) if len(files) == 1 else _several([file.name for file in files])
    where = "on disk" if revision is None else f"at commit {code(revision, 64)}"
    size = scaled(sum(file.bytes for file in files), "B")
    return f"Scanned: {what} ({size}) {where}, by {words(card.generator, 60)}."


def _several(names: Sequence[str]) -> str:
    """Several files, with the sub-folders that they lie in: one may be all that was scanned."""
    folders = list(dict.fromkeys(name.rpartition("/")[0] for name in names))
    told = f"{len(names):,} weight files"
    if folders in ([], [""]):
        return told
    shown = [code(folder) if folder else "the top folder" for folder in folders[:_MOST_FOLDERS]]
    more = len(folders) - _MOST_FOLDERS
    return f"{told} in {', '.join(shown)}" + (f" and {more:,} more folders" if more > 0 else "")
