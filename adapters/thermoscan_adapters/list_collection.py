"""The models that a list names: one source a line, as ``thermoscan scan`` takes it.

Takes ``list:FILE``, or ``list:-`` for the standard input; gives one `Candidate` for each line: a
path (a folder is one model here, and refused by its scan if it holds several) or a hub id. A LoRA
adapter on the disk finds its base among the other lines: by its path, a folder whose path ends with
its id, a snapshot of a cache, or that id itself. What is no name of a source is left out, and a
line that is given twice counts once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.errors import LimitError, SourceError
from thermoscan_adapters.disk import DiskAdapter, path_of
from thermoscan_adapters.disk_models import model_at
from thermoscan_adapters.hub_names import is_hub_name
from thermoscan_adapters.lora_bases import Bases

SCHEME = "list:"
_STDIN = "-"
_MOST_BYTES = 200_000_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ListCollection:
    """The models of a list. See `thermoscan.batch.candidates.Collection`."""

    def claims(self, place: str) -> bool:
        """Says whether `place` is written as the name of a list."""
        return place.startswith(SCHEME)

    def candidates(self, place: str) -> Iterator[Candidate | LeftOut]:
        """Yields what the lines name, in their order.

        Raises:
            SourceError: ``list-unreadable``.
            LimitError: ``list-too-long``.
        """
        lines = _lines(place.removeprefix(SCHEME))
        bases = Bases()
        adapters: set[str] = set()
        found: dict[str, Candidate | LeftOut] = {}
        for line in lines:
            each, is_adapter = _found(line)
            found.setdefault(each.name, each)
            if is_adapter:
                adapters.add(each.name)
            elif isinstance(each, Candidate) and each.file is None:
                bases.add(each.source)
        here = Path.cwd()
        for name, each in found.items():
            if name in adapters and isinstance(each, Candidate):
                yield bases.with_base(each, here)
            else:
                yield each


def _lines(name: str) -> list[str]:
    """Returns the lines that are not empty; bytes that are no UTF-8 stay what they are in paths."""
    try:
        if name == _STDIN:
            content = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with path_of(name).open("rb") as stream:
                content = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError):
        raise SourceError("list-unreadable", "this list cannot be read", file=name) from None
    if len(content) > _MOST_BYTES:
        reason = f"this list has more bytes than the limit of {_MOST_BYTES}"
        raise LimitError("list-too-long", reason, file=name)
    lines = content.removeprefix(_BYTE_ORDER_MARK).splitlines()
    return [os.fsdecode(line.strip()) for line in lines if line.strip()]


def _found(line: str) -> tuple[Candidate | LeftOut, bool]:
    """Returns what a line names, and whether it is an adapter that needs a base."""
    if DiskAdapter().claims(line):
        return model_at(path_of(line), os.path.normpath(line))
    if is_hub_name(line):
        return Candidate(line, line), False
    reason = "no such path, and not the id of a hub repository (ORG/NAME)"
    return LeftOut(line, "refused", "source-not-found", reason), False
