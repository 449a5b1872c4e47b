"""Where the section is in a model card: between two comments, found as Markdown is read.

Takes Markdown text; gives offsets. A marker is an HTML block of its own, not in a quote or a list,
whose one line is the comment: what stands in code, fenced or not, is an example and no marker.
Refuses markers that leave open what is between them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt

from thermoscan.errors import AttachError

START = "<!-- thermoscan:start -->"
END = "<!-- thermoscan:end -->"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")


@dataclass(frozen=True)
class Span:
    """From the first character of the start marker to behind the last of the end marker."""

    start: int
    end: int


def find_section(text: str, start: int = 0) -> Span | None:
    """Returns where the section is in `text` from `start` on, in characters; None without one.

    Raises:
        AttachError: ``readme-markers``: not one start followed by one end.
    """
    found = [marker for marker in (START, END) if marker in text[start:]]
    if not found:
        return None
    places = _markers(text, start)
    kinds = [marker for _, marker in places]
    if kinds == [START, END]:
        return Span(places[0][0], places[1][0] + len(END))
    if kinds:
        raise _ambiguous("its markers are not one start followed by one end")
    return None


def _markers(text: str, start: int) -> list[tuple[int, str]]:
    """Returns the offset of each marker, and which it is."""
    markdown = MarkdownIt("commonmark").disable("inline")
    body = text[start:]
    lines = [match.start() for match in _LINE.finditer(body)]
    places: list[tuple[int, str]] = []
    for token in markdown.parse(body):
        if token.type != "html_block" or token.level or token.map is None:
            continue
        if token.content.strip(" \n") in {START, END}:
            marker = token.content.strip(" \n")
            places.append((start + body.index(marker, lines[token.map[0]]), marker))
        elif START in token.content or END in token.content:
            raise _ambiguous("a marker is not on a line of its own, between empty lines")
    return places


def _ambiguous(reason: str) -> AttachError:
    advice = f"mend or delete the lines {START} and {END}"
    return AttachError("readme-markers", f"{reason}; {advice}", file="README.md")
