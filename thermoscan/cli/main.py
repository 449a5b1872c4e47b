"""The commands and their options.

Exit status: 0 when the work was done, 1 when a finding reached ``--fail-on``, 2 for unusable input
or options.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from thermoscan._version import __version__
from thermoscan.errors import ThermoscanError

_SEVERITIES = {"error": ("error",), "warning": ("error", "warning")}


class _DefaultToScan(click.Group):
    """A group in which ``thermoscan MODEL`` means ``thermoscan scan MODEL``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if args and args[0] not in own and args[0] not in self.commands:
            args = ["scan", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_DefaultToScan, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="thermoscan %(version)s")
def cli() -> None:
    """Tells what state a checkpoint is in, from its weights, without running it.

    thermoscan MODEL is short for thermoscan scan MODEL.
    """


@cli.command()
@click.argument("model")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the cards.  [default: thermoscan-reports/MODEL]",
)
@click.option(
    "--json",
    "json_to",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=str),
    metavar="FILE",
    help="Write the JSON card alone to FILE; - is standard output.",
)
@click.option("--revision", help="Branch, tag or commit of a hub repository.")
@click.option(
    "--base", metavar="MODEL", help="The checkpoint it was trained from, for refresh temperatures."
)
@click.option("--activation", help="Hidden activation, such as relu, where no configuration says.")
@click.option(
    "--init",
    "initialisation",
    metavar="RULE",
    help="What weights started from: torch, he_normal, normal(0.02), uniform(0.05), ...",
)
@click.option("--sha256", is_flag=True, help="Digest whole files too; reads them a second time.")
@click.option(
    "--fail-on",
    type=click.Choice(list(_SEVERITIES)),
    help="Exit with status 1 when a finding is at least this severe.",
)
@click.option("-q", "--quiet", is_flag=True, help="No summary and no progress.")
def scan(
    model: str,
    out: Path | None,
    json_to: str | None,
    revision: str | None,
    base: str | None,
    activation: str | None,
    initialisation: str | None,
    sha256: bool,
    fail_on: str | None,
    quiet: bool,
) -> None:
    """Scans MODEL, a file, a folder or a hub id, and writes its card."""
    from thermoscan.cli.outputs import emit  # noqa: PLC0415 - the help needs none of this
    from thermoscan.cli.progress import progress_on_stderr  # noqa: PLC0415
    from thermoscan.options import ScanOptions  # noqa: PLC0415
    from thermoscan.scanner import scan as scan_model  # noqa: PLC0415

    options = ScanOptions(
        revision=revision,
        base=base,
        activation=activation,
        initialisation=initialisation,
        sha256=sha256,
    )
    with progress_on_stderr(quiet) as progress:
        card = scan_model(model, options, progress)
    emit(card, out, json_to, quiet)
    if fail_on and any(each.severity in _SEVERITIES[fail_on] for each in card.findings):
        sys.exit(1)


def main() -> None:
    """Runs the command line; an error of our own becomes one line on stderr and status 2."""
    # Imports make many objects and hardly a cycle: looking for cycles as often as a server does
    # would take a twentieth of a small scan.
    gc.set_threshold(100_000, 20, 20)
    try:
        cli()
    except ThermoscanError as error:
        click.echo(f"thermoscan: {error} [{error.code}]", err=True)
        sys.exit(2)
