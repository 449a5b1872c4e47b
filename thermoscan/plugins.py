"""Finds adapters and reporters by entry point, the built-in ones as a third party's.

Groups: ``thermoscan.adapters`` (classes with the `thermoscan.checkpoint.Adapter` protocol) and
``thermoscan.reporters`` (classes with the `thermoscan.card.Reporter` protocol).
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from thermoscan.errors import OptionError, SourceNotFoundError

if TYPE_CHECKING:
    from thermoscan.card import Reporter
    from thermoscan.checkpoint import Adapter


def adapter_for(source: str) -> Adapter:
    """Returns the adapter that claims `source`; ``disk`` is asked first, then the others by name.

    Raises:
        SourceNotFoundError: No adapter claims this name.
    """
    found = sorted(
        entry_points(group="thermoscan.adapters"), key=lambda e: (e.name != "disk", e.name)
    )
    for entry in found:
        adapter: Adapter = entry.load()()
        if adapter.claims(source):
            return adapter
    raise SourceNotFoundError(
        "source-not-found",
        "no such path, and not the id of a hub repository (ORG/NAME)",
        file=source,
    )


def reporter(name: str) -> Reporter:
    """Returns the reporter registered as `name`.

    Raises:
        OptionError: No reporter has this name.
    """
    for entry in entry_points(group="thermoscan.reporters", name=name):
        loaded: Reporter = entry.load()()
        return loaded
    raise OptionError("reporter-unknown", f"there is no reporter called '{name}'")
