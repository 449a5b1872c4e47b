"""Where a card goes: files in a folder, JSON to a file or stdout, the summary to the terminal."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import click

from thermoscan.card import Card
from thermoscan.cli.options import SEVERITIES
from thermoscan.errors import OptionError
from thermoscan.plugins import reporter

REPORTS_FOLDER = Path("thermoscan-reports")
FILES = {"card.json": "json", "card.html": "html", "profile.svg": "profile", "badge.svg": "badge"}
"""File name -> name of the reporter that renders it."""

_LONGEST_NAME = 100
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def emit(
    card: Card, out: Path | None, json_to: str | None, quiet: bool, fail_on: str | None
) -> None:
    """Writes the card's files and prints its summary, as the options ask.

    Ends the process with status 1 where a finding reaches `fail_on`.

    Args:
        card: The card.
        out: Folder for the files; None for a folder of the model's name below `REPORTS_FOLDER`.
        json_to: Where the JSON alone goes; ``"-"`` is stdout, which then holds nothing else.
        quiet: Whether to print the folder in place of the summary, as the hub's command does.
        fail_on: A key of `SEVERITIES`; None where no finding is to fail the command.
    """
    _write_all(card, out, json_to, quiet)
    if fail_on and any(each.severity in SEVERITIES[fail_on] for each in card.findings):
        sys.exit(1)


def _write_all(card: Card, out: Path | None, json_to: str | None, quiet: bool) -> None:
    if json_to == "-":
        click.echo(card.to_json(), nl=False)
    elif json_to is not None:
        write_whole(Path(json_to), card.to_json())
    if json_to is not None and out is None:
        return
    folder = write_files(card, out, FILES)
    if json_to == "-":
        return
    if quiet:
        click.echo(folder)
    else:
        click.echo(reporter("terminal").render(card), nl=False)
        click.echo(f"\nCard: {folder / 'card.html'}")


def write_files(card: Card, out: Path | None, files: Mapping[str, str]) -> Path:
    """Writes what reporters make of a card; returns the folder.

    Args:
        card: The card.
        out: The folder; None for one of the model's name below `REPORTS_FOLDER`.
        files: File name -> name of the reporter that renders it.

    Raises:
        OptionError: ``output-unwritable``: no folder or file can be made there.
    """
    folder = out or REPORTS_FOLDER / folder_name(card.model.id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"no folder can be made there ({error.strerror})"
        raise OptionError("output-unwritable", reason, file=str(folder)) from None
    for name, renderer in files.items():
        write_whole(folder / name, reporter(renderer).render(card))
    return folder


def folder_name(model_id: str) -> str:
    """Returns a folder name for a model that no file system and no reader takes for anything else.

    >>> folder_name("org/model")
    'org--model'
    >>> folder_name("../..")
    'model'
    >>> folder_name("CON")
    'CON_'
    """
    plain = unicodedata.normalize("NFKC", model_id).replace("/", "--").replace("\\", "--")
    plain = re.sub(r"[^\w.\-]+", "_", plain, flags=re.ASCII)
    plain = re.sub(r"\.{2,}", "", plain).strip(".-_ ")[:_LONGEST_NAME]
    if not plain:
        return "model"
    return f"{plain}_" if _RESERVED.fullmatch(plain) else plain


def write_whole(path: Path, text: str) -> None:
    """Writes a file whole or not at all; into a pipe or a device as it comes.

    Raises:
        OptionError: ``output-unwritable``: no file can be made there.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".thermoscan-")
    except OSError as error:
        reason = f"no file can be written there ({error.strerror})"
        raise OptionError("output-unwritable", reason, file=str(path)) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
