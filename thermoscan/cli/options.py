"""Options that several commands share: where a card goes, and what is assumed about a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from thermoscan.options import SpectraOptions

F = TypeVar("F", bound=Callable[..., Any])

SEVERITIES = {"error": ("error",), "warning": ("error", "warning")}
"""Value of ``--fail-on`` -> severities that reach it."""


def card_options(command: F) -> F:
    """Adds the options of a command that ends in a card."""
    return _with(
        command,
        click.option(
            "--out",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder for the cards.  [default: thermoscan-reports/MODEL]",
        ),
        click.option(
            "--json",
            "json_to",
            type=click.Path(dir_okay=False, allow_dash=True, path_type=str),
            metavar="FILE",
            help="Write the JSON card alone to FILE; - is standard output.",
        ),
        click.option(
            "--fail-on",
            type=click.Choice(list(SEVERITIES)),
            help="Exit with status 1 when a finding is at least this severe.",
        ),
        click.option("-q", "--quiet", is_flag=True, help="Print the folder of the cards alone."),
    )


def assumption_options(command: F) -> F:
    """Adds the options that state what a configuration does not."""
    return _with(
        command,
        click.option(
            "--activation", help="Hidden activation, such as relu, where no configuration says."
        ),
        click.option(
            "--init",
            "initialisation",
            metavar="RULE",
            help="What weights started from: torch, he_normal, normal(0.02), uniform(0.05), ...",
        ),
    )


def sample_options(command: F) -> F:
    """Adds the options of a scan that reads only a part."""
    return _with(
        command,
        click.option(
            "--sample",
            metavar="SIZE",
            help="Read a random sample, such as 64MB or 2%, and give 95 % intervals.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(0, 2**32 - 1),
            default=0,
            show_default=True,
            help="Of every random choice.",
        ),
    )


def spectra_options(command: F) -> F:
    """Adds the options of a scan that takes spectra."""
    return _with(
        command,
        click.option(
            "--spectra",
            is_flag=True,
            help="Take the eigenvalues of every matrix too: power laws, ranks, outliers.",
        ),
        click.option(
            "--max-side",
            type=click.IntRange(min=2),
            metavar="N",
            help="Draw N rows or columns of a matrix with two longer sides.  [default: 8192]",
        ),
        click.option(
            "--shuffle",
            is_flag=True,
            help="Take the spectra of shuffled matrices too.",
        ),
    )


def spectra_asked(
    spectra: bool, max_side: int | None, shuffle: bool, seed: int
) -> SpectraOptions | None:
    """Returns how to take spectra; None where they are not asked for.

    Raises:
        OptionError: Another option asks how, but ``--spectra`` is missing.
    """
    from thermoscan.errors import OptionError  # noqa: PLC0415 - the help needs none of this
    from thermoscan.options import SpectraOptions  # noqa: PLC0415

    if spectra:
        how = SpectraOptions(shuffle=shuffle, seed=seed)
        return how if max_side is None else replace(how, max_side=max_side)
    if shuffle or max_side is not None:
        raise OptionError("without-spectra", "--max-side and --shuffle say how to take --spectra")
    return None


def sha256_option(command: F) -> F:
    """Adds the option whose digest proves to anybody which files a card is of."""
    text = "Digest whole files too; reads them a second time."
    return _with(command, click.option("--sha256", is_flag=True, help=text))


def card_file_option(text: str) -> Callable[[F], F]:
    """Returns the option that takes a card which was written before."""
    return click.option(
        "--card",
        "card_file",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=str),
        metavar="FILE",
        help=text,
    )


def _with(command: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
