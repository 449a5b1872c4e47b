"""Results recorded in a catalogue, by the test's own process or by another."""

from __future__ import annotations

from datetime import datetime, timezone

from support import cards

from thermoscan.batch.tasks import Result
from thermoscan.catalogue.store import Catalogue

WHEN = datetime(2026, 1, 1, tzinfo=timezone.utc)


def scanned(name: str) -> Result:
    """A scan of the realistic card."""
    return Result(name, name, "scanned", key="k", card=cards.realistic())


def record(catalogue: Catalogue, result: Result) -> None:
    """Records it without options, and always at the same moment."""
    catalogue.record(result, WHEN, None, {})
