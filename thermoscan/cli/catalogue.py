"""``thermoscan catalogue``: what a batch wrote down, listed, searched, compared and exported.

Every command reads one state of the catalogue, whoever writes meanwhile. Rows go from the database
to standard output or a file as they come.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from thermoscan.cli.batch import BATCH_FOLDER

if TYPE_CHECKING:
    from thermoscan.catalogue.asking import Question
    from thermoscan.catalogue.store import Catalogue

F = TypeVar("F", bound=Callable[..., Any])

_SUBJECTS = ("layers", "models", "findings", "scans")
"""As `thermoscan.catalogue.fields.SUBJECTS`, which the help need not import."""

_WHERE = "Such as 'order > 0.5': see docs/querying.md."
_LAYERS = 40
"""That are shown of a model where not all are asked for."""


def _names(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Returns the names between commas."""
    return tuple(each.strip() for each in value.split(",")) if value else ()


def _with_place(command: F) -> F:
    return click.option(
        "--catalogue",
        "place",
        envvar="THERMOSCAN_CATALOGUE",
        default=str(BATCH_FOLDER),
        show_default=True,
        show_envvar=True,
        metavar="PLACE",
        help="Folder of a batch, an SQLite file, or a postgresql:// URL.",
    )(command)


def _with_rows(command: F) -> F:
    """Adds the options that say which rows, and how."""
    for option in reversed(
        (
            click.option("--where", metavar="CONDITION", help=_WHERE),
            click.option(
                "--sort",
                callback=_names,
                metavar="COLUMNS",
                help="By order, by -order from the greatest down, or several: role,-order.",
            ),
            click.option("--limit", type=click.IntRange(1), help="The most rows."),
            click.option(
                "--columns",
                callback=_names,
                metavar="COLUMNS",
                help="These, such as name,order.",
            ),
            click.option("--json", "as_json", is_flag=True, help="A JSON object per line."),
            click.option("--csv", "as_csv", is_flag=True, help="CSV with a header."),
        )
    ):
        command = option(command)
    return command


_of_option = click.option(
    "--of", type=click.Choice(_SUBJECTS), default="layers", show_default=True, help="Which rows."
)


@click.group(short_help="Lists, searches, compares and exports what a batch found.")
def catalogue() -> None:
    """Lists, searches, compares and exports what a batch found."""


@catalogue.command("ls")
@_with_place
@_with_rows
def list_models(place: str, as_json: bool, as_csv: bool, **asked: Any) -> None:
    """Lists models, each by its last scan."""
    from thermoscan.catalogue.asking import Question  # noqa: PLC0415 - not for the help

    _print_rows(place, Question("models", **asked), as_json, as_csv)


@catalogue.command()
@_with_place
@_of_option
@_with_rows
def query(place: str, as_json: bool, as_csv: bool, **asked: Any) -> None:
    """Lists layers of all models, or other rows.

    Layers and findings reach the columns of their model as model.NAME.
    """
    from thermoscan.catalogue.asking import Question  # noqa: PLC0415 - not for the help

    _print_rows(place, Question(**asked), as_json, as_csv)


@catalogue.command()
@click.argument("model")
@_with_place
@click.option("--all", "every", is_flag=True, help="All layers, not only the first.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def show(model: str, place: str, every: bool, as_json: bool) -> None:
    """Shows one model: its last scan, scans so far, findings and layers.

    MODEL@REVISION and MODEL@SCAN show another scan of it.
    """
    from thermoscan.catalogue.describing import describe  # noqa: PLC0415 - not for the help
    from thermoscan.catalogue.naming import find  # noqa: PLC0415
    from thermoscan.cli.catalogue_text import description_lines, to_json  # noqa: PLC0415

    with _open(place) as opened, opened.reading() as connection:
        found = describe(connection, find(connection, model), None if every or as_json else _LAYERS)
    if as_json:
        click.echo(to_json(found))
        return
    for line in description_lines(found):
        click.echo(line)


@catalogue.command()
@click.argument("before")
@click.argument("after")
@_with_place
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@click.option("--exit-code", is_flag=True, help="Exit with status 1 when they differ.")
def diff(before: str, after: str, place: str, as_json: bool, exit_code: bool) -> None:
    """Sets two models, or two scans of one, side by side.

    BEFORE and AFTER are each MODEL, MODEL@REVISION or MODEL@SCAN.
    """
    from thermoscan.catalogue.difference import difference  # noqa: PLC0415 - not for the help
    from thermoscan.catalogue.naming import find  # noqa: PLC0415
    from thermoscan.cli.catalogue_text import difference_lines, to_json  # noqa: PLC0415

    with _open(place) as opened, opened.reading() as connection:
        found = difference(connection, find(connection, before), find(connection, after))
    if as_json:
        click.echo(to_json(found))
    else:
        for line in difference_lines(found):
            click.echo(line)
    if exit_code and found.differs:
        sys.exit(1)


@catalogue.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_with_place
@_of_option
@click.option("--where", metavar="CONDITION", help=_WHERE)
@click.option("--columns", callback=_names, metavar="COLUMNS", help="Not all of them.")
def export(file: Path, place: str, **asked: Any) -> None:
    """Writes rows to FILE, a .parquet or a .csv."""
    from thermoscan.catalogue.asking import Question  # noqa: PLC0415 - not for the help
    from thermoscan.cli.catalogue_rows import export_rows  # noqa: PLC0415

    with _open(place) as opened, opened.reading() as connection:
        export_rows(connection, Question(**asked), file)


def _open(place: str) -> Catalogue:
    """Opens the catalogue at `place`; a folder is that of a batch."""
    from thermoscan.batch.cards import DATABASE  # noqa: PLC0415 - not for the help
    from thermoscan.catalogue.store import Catalogue  # noqa: PLC0415

    is_folder = "://" not in place and os.path.isdir(place)  # noqa: PTH112 - Path's may raise
    return Catalogue.open(Path(place) / DATABASE if is_folder else place, create=False)


def _print_rows(place: str, question: Question, as_json: bool, as_csv: bool) -> None:
    from thermoscan.cli.catalogue_rows import print_csv, print_json, print_table  # noqa: PLC0415
    from thermoscan.errors import OptionError  # noqa: PLC0415 - not for the help

    if as_json and as_csv:
        raise OptionError("formats-exclusive", "give one of --json and --csv")
    with _open(place) as opened, opened.reading() as connection:
        write = print_json if as_json else print_csv if as_csv else print_table
        write(connection, question)
