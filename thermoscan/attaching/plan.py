"""What attaching a card would change: files, from what to what. Nothing is written here.

Takes the files as they are and a card; gives a `Plan`, which a publisher carries out and `diff_of`
shows.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from thermoscan.attaching.readme import NAME as README
from thermoscan.attaching.readme import with_section
from thermoscan.card import Card
from thermoscan.card_io import from_json, to_json
from thermoscan.errors import CardError
from thermoscan.plugins import reporter

CARD_JSON = "thermoscan/card.json"
CARD_HTML = "thermoscan/card.html"
FILES = (CARD_JSON, CARD_HTML, README)
"""The files that are written, in this order: the section links to the others."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file before (None: there is none) and after."""

    name: str
    before: bytes | None
    after: bytes

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class Plan:
    """The files that a report consists of, with what is to become of each.

    Attributes:
        files: One `FileChange` for each of `FILES`, in that order.
        notes: What was left alone and why, in sentences.
    """

    files: tuple[FileChange, ...]
    notes: tuple[str, ...]

    @property
    def changes(self) -> tuple[FileChange, ...]:
        """The files that there is something to write of."""
        return tuple(file for file in self.files if file.changed)


def plan_of(card: Card, present: Mapping[str, bytes]) -> Plan:
    """Returns what puts `card` beside its model, where `present` are the files of `FILES` there.

    Raises:
        AttachError: The model card cannot take a section; see `thermoscan.attaching.readme`.
    """
    edited = with_section(present.get(README), reporter("section").render(card))
    after = {
        CARD_JSON: to_json(card).encode(),
        CARD_HTML: reporter("html").render(card).encode(),
        README: edited.data,
    }
    return Plan(
        files=tuple(FileChange(name, present.get(name), after[name]) for name in FILES),
        notes=(edited.note,) if edited.note else (),
    )


def card_there(card: Card, present: Mapping[str, bytes]) -> Card | None:
    """Returns the card that is there already, where it is `card` but for the commit it names.

    Publishing a report is itself a commit, so that a scan of the same weights names another one the
    next time; what is there stays true.
    """
    data = present.get(CARD_JSON)
    if data is None:
        return None
    try:
        there = from_json(data.decode())
    except (CardError, UnicodeDecodeError):
        return None
    moved = replace(card, model=replace(card.model, revision=there.model.revision))
    return there if to_json(moved).encode() == data else None


def diff_of(plan: Plan) -> bytes:
    """Returns the unified diff of the model card, and a line on each of the other files.

    The diff is what git makes: its lines end where the file's do, and it can be applied.
    """
    *others, readme = plan.files
    lines = [_line_on(file) for file in others]
    return _unified(readme) + "".join(lines).encode()


def _line_on(file: FileChange) -> str:
    if not file.changed:
        return f"# {file.name}: unchanged, {len(file.after):,} bytes\n"
    if file.before is None:
        return f"# {file.name}: new, {len(file.after):,} bytes\n"
    return f"# {file.name}: changed, {len(file.before):,} -> {len(file.after):,} bytes\n"


def _unified(file: FileChange) -> bytes:
    name = file.name.encode()
    lines = difflib.diff_bytes(
        difflib.unified_diff,
        _lines(file.before or b""),
        _lines(file.after),
        b"/dev/null" if file.before is None else b"a/" + name,
        b"b/" + name,
    )
    return b"".join(
        line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
        for line in lines
    )


def _lines(data: bytes) -> list[bytes]:
    """Splits at line feeds alone, as git does, and keeps them."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
