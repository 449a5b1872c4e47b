"""The folder that a batch writes into: the cards of each model, the index, the catalogue's file.

::

    DIR/catalogue.sqlite
    DIR/index.html, index-2.html, ...
    DIR/cards/NAME/card.json, card.html, profile.svg, badge.svg
    DIR/batch.lock

Every file is whole or absent. A model's ``card.json`` is the first to go and the last to come:
where it is, all are, and of the same scan.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from thermoscan.errors import OptionError
from thermoscan.writing import folder_name, make_folder, remove_file, sweep, write_whole

DATABASE = "catalogue.sqlite"
CARDS = "cards"
LOCK = "batch.lock"
LAST = "card.json"
"""The file that is written last."""

SHOWN = "card.html"
"""The file that an index leads to."""

_LATER_PAGE = re.compile(r"index-\d+\.html")


class BatchFolder:
    """The folder ``DIR``, made where there is none. A context manager: one batch has it at a time.

    Raises:
        OptionError: ``output-unwritable``: it cannot be made, or not be written to.
            ``output-in-use``: another batch has it.
    """

    def __init__(self, path: Path) -> None:
        """Takes its path."""
        self.path = path
        make_folder(path / CARDS)
        self._lock = _locked(path / LOCK)
        sweep(path)

    def close(self) -> None:
        """Lets another batch have it."""
        self._lock.close()

    def __enter__(self) -> BatchFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def has(self, name: str) -> bool:
        """Says whether the cards of a model are there."""
        return (self._home(name) / LAST).is_file()

    def write(self, name: str, files: Mapping[str, str]) -> str:
        """Writes a model's files; returns the path of `SHOWN`, relative to the folder."""
        home = self._home(name)
        make_folder(home)
        sweep(home)
        remove_file(home / LAST)
        for file in sorted(files, key=lambda each: (each == LAST, each)):
            write_whole(home / file, files[file])
        return f"{CARDS}/{home.name}/{SHOWN}"

    def remove(self, name: str) -> None:
        """Removes the cards of a model that has none any more."""
        home = self._home(name)
        remove_file(home / LAST)
        shutil.rmtree(home, ignore_errors=True)

    def write_index(self, pages: Iterable[tuple[str, str]]) -> Path | None:
        """Writes the pages of an index and removes those of a longer one; returns the first."""
        written: list[str] = []
        for file, text in pages:
            write_whole(self.path / file, text)
            written.append(file)
        for old in self.path.glob("index-*.html"):
            if _LATER_PAGE.fullmatch(old.name) and old.name not in written:
                remove_file(old)
        return self.path / written[0] if written else None

    def _home(self, name: str) -> Path:
        return self.path / CARDS / home_of(name)


def _locked(path: Path) -> BinaryIO:
    """Returns a file that this process alone holds, until it is closed or the process ends."""
    try:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            file.close()
            raise
    except BlockingIOError:
        reason = "another batch is writing there"
        raise OptionError("output-in-use", reason, file=str(path.parent)) from None
    except OSError as error:
        reason = f"no file can be written and locked there ({error.strerror})"
        raise OptionError("output-unwritable", reason, file=str(path)) from None
    return file


def home_of(name: str) -> str:
    """Returns the name of a model's folder, which no other model's name gives.

    >>> home_of("org/model")
    'org--model'
    >>> home_of("org--model")
    'org--model~2ab3cc9b5d1e'
    """
    plain = folder_name(name)
    if plain.replace("--", "/") == name:
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain}~{digest[:12]}"
