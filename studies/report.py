"""What a study found, as plain values, and the page that says it.

A `Study` is text, tables and pictures under a question and a verdict; `write` turns it into
Markdown with SVG files beside it, the same bytes for the same figures.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """Rows of cells under named columns; numbers are shown with three significant digits."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure, the end of its file's name, and what it shows for who cannot see it."""

    name: str
    figure: Figure
    alt: str


@dataclass(frozen=True)
class Section:
    """One part of a study: what was done and seen."""

    title: str
    text: str
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Study:
    """A study after its run.

    Attributes:
        title: What it is about.
        question: What was asked, in a sentence or two.
        verdict: The plain answer, with the figures of this run that it rests on, also where the
            answer is no.
        method: What was run, so that a reader can judge it: data, models, seeds, sizes.
        sections: The evidence.
    """

    title: str
    question: str
    verdict: str
    method: str
    sections: Sequence[Section] = field(default_factory=tuple)


def write(study: Study, name: str, folder: Path, command: str) -> Path:
    """Writes ``NAME.md`` and its pictures into `folder`; returns the page's path.

    Args:
        study: What was found.
        name: Of the study, and so of its files.
        folder: Made if need be.
        command: How a reader runs it again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        f"# {study.title}",
        f"Written by `{command}`, which anyone can run.",
        f"**Question.** {study.question.strip()}",
        f"**Verdict.** {study.verdict.strip()}",
        f"**Method.** {study.method.strip()}",
    ]
    for section in study.sections:
        parts += [f"## {section.title}", section.text.strip()]
        for picture in section.pictures:
            file = f"{name}-{picture.name}.svg"
            (folder / file).write_text(_svg(picture.figure), encoding="utf-8", newline="\n")
            parts.append(f"![{picture.alt}]({file})")
        parts += [_markdown(table) for table in section.tables]
    page = folder / f"{name}.md"
    page.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return page


def cell(value: str | float | int | None) -> str:
    """Returns a table's cell.

    >>> [cell(each) for each in ("tanh", 12, 0.123456, 1234567.0, None)]
    ['tanh', '12', '0.123', '1.23e+06', '–']
    """
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _markdown(table: Table) -> str:
    lines = [list(table.columns), ["---"] * len(table.columns)]
    lines += [[cell(each) for each in row] for row in table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _svg(figure: Figure) -> str:
    """A figure as SVG text that is the same on every run: no date, fixed identifiers."""
    import matplotlib as mpl  # noqa: PLC0415 - a study's numbers do not need it

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "thermoscan", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return buffer.getvalue()
