"""The folder that a batch writes into: the cards of each model, the index, the catalogue's file.

::

    DIR/catalogue.sqlite
    DIR/index.html, index-2.html, ...
    DIR/cards/NAME/card.json, card.html, profile.svg, badge.svg

Every file is whole or absent, and a model's ``card.json`` is written last: where it is, all are.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from thermoscan.writing import folder_name, make_folder, write_whole

DATABASE = "catalogue.sqlite"
CARDS = "cards"
LAST = "card.json"
"""The file that is written last."""

SHOWN = "card.html"
"""The file that an index leads to."""

_LATER_PAGE = re.compile(r"index-\d+\.html")


class BatchFolder:
    """The folder ``DIR``, made where there is none.

    Raises:
        OptionError: ``output-unwritable``: it cannot be made, or not be written to.
    """

    def __init__(self, path: Path) -> None:
        """Takes its path."""
        self.path = path
        make_folder(path / CARDS)

    def has(self, name: str) -> bool:
        """Says whether the cards of a model are there."""
        return (self._home(name) / LAST).is_file()

    def write(self, name: str, files: Mapping[str, str]) -> str:
        """Writes a model's files; returns the path of `SHOWN`, relative to the folder."""
        home = self._home(name)
        make_folder(home)
        for file in sorted(files, key=lambda each: (each == LAST, each)):
            write_whole(home / file, files[file])
        return f"{CARDS}/{home.name}/{SHOWN}"

    def remove(self, name: str) -> None:
        """Removes the cards of a model that has none any more."""
        shutil.rmtree(self._home(name), ignore_errors=True)

    def write_index(self, pages: Iterable[tuple[str, str]]) -> Path | None:
        """Writes the pages of an index and removes those of a longer one; returns the first."""
        written: list[str] = []
        for file, text in pages:
            write_whole(self.path / file, text)
            written.append(file)
        for old in self.path.glob("index-*.html"):
            if _LATER_PAGE.fullmatch(old.name) and old.name not in written:
                old.unlink()
        return self.path / written[0] if written else None

    def _home(self, name: str) -> Path:
        return self.path / CARDS / home_of(name)


def home_of(name: str) -> str:
    """Returns the name of a model's folder, which no other model's name gives.

    >>> home_of("org/model")
    'org--model'
    >>> home_of("org--model")
    'org--model~8d1c2cb7bcfe'
    """
    plain = folder_name(name)
    if plain.replace("--", "/") == name:
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain}~{digest[:12]}"
