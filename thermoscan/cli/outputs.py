"""Where a card goes: files in a folder, JSON to a file or stdout, the summary to the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from thermoscan.card import Card
from thermoscan.cli.options import SEVERITIES
from thermoscan.plugins import reporter
from thermoscan.writing import folder_name, make_folder, write_whole

REPORTS_FOLDER = Path("thermoscan-reports")
FILES = {"card.json": "json", "card.html": "html", "profile.svg": "profile", "badge.svg": "badge"}
"""File name -> name of the reporter that renders it."""


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
    make_folder(folder)
    for name, renderer in files.items():
        write_whole(folder / name, reporter(renderer).render(card))
    return folder
