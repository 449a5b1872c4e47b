"""Where a command that needs a card gets it: from a file, or from a scan."""

from __future__ import annotations

import sys
from pathlib import Path

from thermoscan.card import Card
from thermoscan.card_io import from_json
from thermoscan.cli.progress import progress_on_stderr
from thermoscan.errors import CardError
from thermoscan.options import ScanOptions
from thermoscan.scanner import scan as scan_model


def card_from(file: str) -> Card:
    """Returns the card in a JSON file; ``"-"`` is standard input.

    Raises:
        CardError: It cannot be read, or is no card.
    """
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return from_json(data.decode())
    except OSError as error:
        reason = f"the system cannot read it ({error.strerror})"
        raise CardError("card-unreadable", reason, file=file) from None
    except UnicodeDecodeError:
        raise CardError("card-not-json", "not JSON: it is not UTF-8", file=file) from None


def card_of_model(source: str, revision: str | None, quiet: bool) -> Card:
    """Returns the card of a scan, with progress on stderr unless `quiet`."""
    with progress_on_stderr(quiet) as progress:
        return scan_model(source, ScanOptions(revision=revision), progress)
