"""``thermoscan attach MODEL``: a report in the model card, as a diff, commit or pull request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from thermoscan.cli.options import card_file_option

if TYPE_CHECKING:
    from thermoscan.attaching.publishing import Way
    from thermoscan.card import Card


@click.command()
@click.argument("model")
@card_file_option("Attach this card.json instead of scanning; - is standard input.")
@click.option("--diff", "show", is_flag=True, help="Only show what would change.")
@click.option("--open-pr", is_flag=True, help="Open a pull request, or update yours.")
@click.option("--commit", is_flag=True, help="Commit to the branch.")
@click.option("--comment", is_flag=True, help="Post the section in a discussion.")
@click.option("--revision", help="Branch, tag or commit of a hub repository.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def attach(
    model: str,
    card_file: str | None,
    show: bool,
    open_pr: bool,
    commit: bool,
    comment: bool,
    revision: str | None,
    quiet: bool,
) -> None:
    """Puts a report of MODEL into its model card.

    MODEL is a folder, which is written to, or a hub id, of which the changes are only shown unless
    --open-pr, --commit or --comment is given.
    """
    from thermoscan.attaching.plan import diff_of  # noqa: PLC0415 - the help needs none of this
    from thermoscan.attaching.publishing import Place, Request, Way  # noqa: PLC0415
    from thermoscan.attaching.publishing import attach as attach_report  # noqa: PLC0415
    from thermoscan.cli.inputs import card_from, card_of_model  # noqa: PLC0415
    from thermoscan.plugins import publisher_for  # noqa: PLC0415
    from thermoscan.text import printable  # noqa: PLC0415

    publisher = publisher_for(model)
    asked = {Way.SHOW: show, Way.PULL_REQUEST: open_pr, Way.COMMIT: commit, Way.COMMENT: comment}
    way = _one([each for each, is_set in asked.items() if is_set], publisher.default)
    request = Request(model, way, revision, card_from(card_file) if card_file else None)

    def scan(place: Place) -> Card:
        return card_of_model(place.source, place.commit, quiet)

    attached = attach_report(request, publisher, scan)
    for note in attached.plan.notes:
        click.echo(note, err=True)
    if way in {Way.SHOW, Way.WRITE} and attached.plan.changes:
        _show(diff_of(attached.plan))
    if attached.done is not None:
        click.echo(printable(attached.done, 1000), err=way is Way.WRITE)
    elif not attached.plan.changes:
        click.echo("Nothing to do: the report is there already, and is the same.", err=True)


def _one(asked: list[Way], default: Way) -> Way:
    from thermoscan.errors import OptionError  # noqa: PLC0415

    if len(asked) > 1:
        reason = "give one of --diff, --open-pr, --commit and --comment"
        raise OptionError("ways-exclusive", reason)
    return asked[0] if asked else default


def _show(diff: bytes) -> None:
    """Writes the diff as it is; on a terminal, what would steer it is made visible."""
    from thermoscan.text import printable  # noqa: PLC0415

    if not sys.stdout.isatty():
        click.echo(diff, nl=False)
        return
    for line in diff.decode(errors="replace").split("\n")[:-1]:
        click.echo(printable(line, limit=len(line) * 10 + 10))
