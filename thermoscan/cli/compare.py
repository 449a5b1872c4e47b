"""``thermoscan compare BASE MODEL``: what became of a checkpoint since its base."""

from __future__ import annotations

from pathlib import Path

import click

from thermoscan.cli.options import (
    assumption_options,
    card_options,
    sha256_option,
    spectra_asked,
    spectra_options,
)


@click.command(short_help="Scans MODEL beside the base it was made from.")
@click.argument("base")
@click.argument("model")
@card_options
@click.option("--revision", help="Branch, tag or commit of the model's hub repository.")
@click.option("--base-revision", help="Branch, tag or commit of the base's hub repository.")
@assumption_options
@spectra_options
@sha256_option
def compare(
    base: str,
    model: str,
    out: Path | None,
    json_to: str | None,
    revision: str | None,
    base_revision: str | None,
    activation: str | None,
    initialisation: str | None,
    spectra: bool,
    max_side: int | None,
    shuffle: bool,
    sha256: bool,
    fail_on: str | None,
    quiet: bool,
) -> None:
    """Scans MODEL beside BASE, the checkpoint it was made from, and writes MODEL's card.

    MODEL may be a LoRA adapter of BASE. Each is a file, a folder or a hub id.
    """
    from thermoscan.cli.outputs import emit  # noqa: PLC0415 - the help needs none of this
    from thermoscan.cli.progress import progress_on_stderr  # noqa: PLC0415
    from thermoscan.options import ScanOptions  # noqa: PLC0415
    from thermoscan.scanner import compare as compare_models  # noqa: PLC0415

    options = ScanOptions(
        revision=revision,
        base_revision=base_revision,
        activation=activation,
        initialisation=initialisation,
        sha256=sha256,
        spectra=spectra_asked(spectra, max_side, shuffle, seed=0),
    )
    with progress_on_stderr(quiet, downloads=spectra) as progress:
        card = compare_models(base, model, options, progress)
    emit(card, out, json_to, quiet, fail_on)
