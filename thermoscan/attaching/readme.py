"""A section put into a model card, and nothing else of it changed.

Takes the bytes of ``README.md`` and the section's text; gives the new bytes. What is outside the
markers and the tag is the same bytes in the same order: line ends, a byte order mark, YAML however
odd. Refuses a card in which the section would not be found again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from thermoscan.attaching.front_matter import with_tag
from thermoscan.attaching.markers import END, START, Span, find_section
from thermoscan.errors import AttachError

NAME = "README.md"
MOST_BYTES = 500_000
_MARK = "\ufeff"
_LINE_END = re.compile(r"\r\n|\r|\n")
_OPENING = re.compile(r"---(?:\r\n|\r|\n)")
_CLOSING = re.compile(r"(?<=[\r\n])---(?=[\r\n]|\Z)")
_LIKE_OPENING = re.compile(r"\s*---[ \t]*(?:[\r\n]|\Z)")


@dataclass(frozen=True)
class Edited:
    """A model card with the section; `note` says why it has no tag, where it has none."""

    data: bytes
    note: str | None


def with_section(readme: bytes | None, section: str) -> Edited:
    """Returns `readme` with `section` in it, in place of the one that it may hold, and the tag.

    Args:
        readme: The card as it is; None where there is none.
        section: Markdown without the markers; lines end in a line feed.

    Raises:
        AttachError: ``readme-not-utf8``, ``readme-too-long``, ``readme-markers``, or
            ``readme-open-block`` (a code block or comment that never ends would swallow it).
    """
    text = _decode(readme or b"")
    body = _body(text)
    span = find_section(text, body)
    line_end = _line_end([text] if span is None else [text[: span.start], text[span.end :]])
    block = "\n".join((START, section.strip("\n"), "", END)).replace("\n", line_end)
    before = text[: span.start] if span else text + _gap(text, line_end)
    after = text[span.end :] if span else line_end
    head, note = _tagged(before[:body], before[body:] + block + after, line_end)
    result = head + before[body:] + block + after
    start = len(head) + len(before) - body
    if not _is_there(result, len(head), Span(start, start + len(block))):
        reason = "a code block or comment in it never ends, and would swallow the section"
        raise AttachError("readme-open-block", reason, file=NAME)
    return Edited(result.encode(), note)


def _is_there(text: str, body: int, span: Span) -> bool:
    try:
        return find_section(text, body) == span
    except AttachError:
        return False


def _decode(readme: bytes) -> str:
    if len(readme) > MOST_BYTES:
        reason = f"it has {len(readme)} bytes, more than the limit of {MOST_BYTES}"
        raise AttachError("readme-too-long", reason, file=NAME)
    try:
        return readme.decode()
    except UnicodeDecodeError:
        reason = "it is not UTF-8, which a model card has to be; save it as UTF-8 first"
        raise AttachError("readme-not-utf8", reason, file=NAME) from None


def _body(text: str) -> int:
    """Returns where the front matter ends: behind its closing ``---``, or a byte order mark."""
    first = len(_MARK) if text.startswith(_MARK) else 0
    opening = _OPENING.match(text, first)
    closing = _CLOSING.search(text, opening.end()) if opening else None
    return closing.end() if closing else first


def _tagged(head: str, rest: str, line_end: str) -> tuple[str, str | None]:
    """Returns `head`, all that is before the body, with the tag; and why not, if so."""
    first = len(_MARK) if head.startswith(_MARK) else 0
    opening = _OPENING.match(head, first)
    if opening:
        start, end = opening.end(), len(head) - len("---")
        matter, why = with_tag(head[start:end], line_end)
        note = f"The tag was not set, the front matter is as it was: {why}." if why else None
        return head[:start] + matter + head[end:], note
    if _LIKE_OPENING.match(rest):
        return head, "The tag was not set: what looks like front matter begins late or never ends."
    matter, _ = with_tag("", line_end)
    return head + f"---{line_end}{matter}---{line_end}", None


def _line_end(parts: Sequence[str]) -> str:
    """Returns the most frequent line end of `parts`; a line feed where they have none."""
    counts = {"\n": 0, "\r\n": 0, "\r": 0}
    for end in (end for part in parts for end in _LINE_END.findall(part)):
        counts[end] += 1
    return max(counts, key=lambda each: counts[each])


def _gap(text: str, line_end: str) -> str:
    """Returns what an empty line between `text` and the section takes."""
    if not text.removeprefix(_MARK):
        return line_end
    ends = re.search(rf"(?:{_LINE_END.pattern}){{0,2}}\Z", text)
    return line_end * (2 - len(_LINE_END.findall(ends.group() if ends else "")))
