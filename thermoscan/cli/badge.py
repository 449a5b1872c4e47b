"""``thermoscan badge MODEL``: one line for a README, and the files that it shows."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from thermoscan.cli.options import card_file_option

_FILES = {"badge.svg": "badge", "badge.json": "shields"}


@click.command(short_help="Writes a badge of MODEL.")
@click.argument("model", required=False)
@card_file_option("Show this card.json instead of scanning; - is standard input.")
@click.option(
    "--url",
    metavar="URL",
    help="Public address of badge.json: the line then shows it by shields.io.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for badge.svg and badge.json.  [default: thermoscan-reports/MODEL]",
)
@click.option("--revision", help="Branch, tag or commit of a hub repository.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def badge(
    model: str | None,
    card_file: str | None,
    url: str | None,
    out: Path | None,
    revision: str | None,
    quiet: bool,
) -> None:
    """Writes a badge of MODEL, and prints the Markdown line that shows it.

    Without --url the line shows badge.svg beside the README, which works in a repository on GitHub
    and on your disk. With --url it asks shields.io, which works wherever badge.json can be fetched
    without a login, such as at the resolve address of a public model.
    """
    from thermoscan.cli.inputs import card_from, card_of_model  # noqa: PLC0415 - not for the help
    from thermoscan.cli.outputs import write_files  # noqa: PLC0415
    from thermoscan.errors import OptionError  # noqa: PLC0415

    if (model is None) == (card_file is None):
        raise OptionError("badge-of-what", "give either MODEL or --card FILE")
    if url is not None and not url.startswith("https://"):
        raise OptionError("badge-url", "shields.io fetches addresses that begin with https://")
    card = card_from(card_file) if card_file else card_of_model(str(model), revision, quiet)
    folder = write_files(card, out, _FILES)
    shown = f"https://img.shields.io/endpoint?url={quote(url, safe='')}" if url else "badge.svg"
    click.echo(f"![thermoscan]({shown})")
    click.echo(f"Badge: {folder / 'badge.svg'}, {folder / 'badge.json'}", err=True)
