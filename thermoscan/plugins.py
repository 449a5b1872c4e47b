"""Finds adapters and reporters by entry point, the built-in ones as a third party's.

Groups: ``thermoscan.adapters`` (classes with the `thermoscan.checkpoint.Adapter` protocol) and
``thermoscan.reporters`` (classes with the `thermoscan.card.Reporter` protocol).
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
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
    found = _entries("thermoscan.adapters")
    for entry in sorted(found, key=lambda each: (each.name != "disk", each.name)):
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
    for entry in _entries("thermoscan.reporters"):
        if entry.name == name:
            loaded: Reporter = entry.load()()
            return loaded
    raise OptionError("reporter-unknown", f"there is no reporter called '{name}'")


@cache
def _entries(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group; every look-up reads the metadata of all installed packages."""
    return tuple(entry_points(group=group))
