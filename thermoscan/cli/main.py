"""The group of commands, and the process around it.

Exit status: 0 when the work was done, 1 when a finding reached ``--fail-on``, 2 for unusable input
or options.
"""

from __future__ import annotations

import gc
import sys
import traceback
from pathlib import Path

import click

from thermoscan._version import __version__
from thermoscan.cli.attach import attach
from thermoscan.cli.badge import badge
from thermoscan.cli.batch import batch
from thermoscan.cli.catalogue import catalogue
from thermoscan.cli.compare import compare
from thermoscan.cli.environment import DEBUG, is_set
from thermoscan.cli.linear import linear
from thermoscan.cli.probe import probe
from thermoscan.cli.scan import scan
from thermoscan.errors import ThermoscanError
from thermoscan.text import printable


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

    MODEL alone is short for scan MODEL.
    """


for command in (scan, batch, compare, probe, linear, attach, badge, catalogue):
    cli.add_command(command)


def main() -> None:
    """Runs the command line; an error of our own becomes one line on stderr and status 2."""
    # Imports make many objects and hardly a cycle: looking for cycles as often as a server does
    # would take a twentieth of a small scan.
    gc.set_threshold(100_000, 20, 20)
    try:
        cli(prog_name=_program())
    except ThermoscanError as error:
        if is_set(DEBUG):
            for line in traceback.format_exc().splitlines():
                click.echo(printable(line), err=True)
        click.echo(f"thermoscan: {error} [{error.code}]", err=True)
        sys.exit(2)


def _program() -> str:
    """Returns what was typed: the hub's command runs ``hf-thermoscan`` for ``hf thermoscan``."""
    return "hf thermoscan" if Path(sys.argv[0]).stem == "hf-thermoscan" else "thermoscan"
