"""The boundary to the databases: whatever their libraries raise leaves here as a CatalogueError."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from thermoscan.errors import CatalogueError

_SENTENCES = (
    ("file is not a database", "catalogue-not-one", "a file, but not a catalogue"),
    ("malformed", "catalogue-damaged", "the file of the catalogue is damaged"),
    ("unable to open", "catalogue-unreachable", "no such place, or no right to write there"),
    ("readonly", "catalogue-read-only", "a catalogue has to be in a place that can be written to"),
    ("read-only", "catalogue-read-only", "a catalogue has to be in a place that can be written to"),
    ("permission denied", "catalogue-denied", "this user has no right to what was asked"),
    ("is locked", "catalogue-busy", "another process has been writing to it for too long"),
    ("lock timeout", "catalogue-busy", "another process has been writing to it for too long"),
    ("is full", "catalogue-full", "there is no space left for it"),
    ("no space left", "catalogue-full", "there is no space left for it"),
)
"""What a database's message says, in lower case -> code and sentence."""

UNPARSABLE = (exc.ArgumentError, exc.NoSuchModuleError, ValueError)
"""What SQLAlchemy raises of a URL that makes no sense; its message may hold the URL."""


@contextmanager
def boundary(place: str) -> Iterator[None]:
    """Maps every exception of SQLAlchemy, the drivers and their imports that leaves the block.

    Args:
        place: The catalogue as it may be shown: without user, password or options.

    Raises:
        CatalogueError: In their stead; without a word of theirs that could hold a password.
    """
    try:
        yield
    except exc.DBAPIError as error:
        lost = isinstance(error, exc.OperationalError) and error.connection_invalidated
        raise _translated(_first_line(error.orig or error), place, lost=lost) from error
    except sqlite3.Error as error:
        raise _translated(_first_line(error), place) from error
    except (exc.SQLAlchemyError, OverflowError) as error:
        raise CatalogueError(
            "catalogue-failed", f"the database refused: {_first_line(error)}", file=place
        ) from error


def _translated(message: str, place: str, *, lost: bool = False) -> CatalogueError:
    for sign, code, sentence in _SENTENCES:
        if sign in message.lower():
            return CatalogueError(code, sentence, file=place)
    if lost or "connection" in message.lower():
        return CatalogueError(
            "catalogue-unreachable", f"the server cannot be reached: {message}", file=place
        )
    return CatalogueError("catalogue-failed", f"the database refused: {message}", file=place)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
