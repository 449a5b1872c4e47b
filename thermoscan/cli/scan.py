"""``thermoscan scan MODEL``: the card of a checkpoint, from its weights."""

from __future__ import annotations

from pathlib import Path

import click

from thermoscan.cli.options import (
    assumption_options,
    card_options,
    sample_options,
    sha256_option,
    spectra_asked,
    spectra_options,
)


@click.command()
@click.argument("model")
@card_options
@click.option("--revision", help="Branch, tag or commit of a hub repository.")
@click.option("--file", metavar="NAME", help="Which file or sub-folder of MODEL to scan.")
@click.option("--download", is_flag=True, help="Download a hub's files to the local cache first.")
@assumption_options
@sample_options
@spectra_options
@sha256_option
def scan(
    model: str,
    out: Path | None,
    json_to: str | None,
    revision: str | None,
    file: str | None,
    download: bool,
    activation: str | None,
    initialisation: str | None,
    sample: str | None,
    seed: int,
    spectra: bool,
    max_side: int | None,
    shuffle: bool,
    sha256: bool,
    fail_on: str | None,
    quiet: bool,
) -> None:
    """Scans MODEL, a file, a folder or a hub id, and writes its card."""
    from thermoscan.cli.outputs import emit  # noqa: PLC0415 - the help needs none of this
    from thermoscan.cli.progress import progress_on_stderr  # noqa: PLC0415
    from thermoscan.options import SampleSize, ScanOptions  # noqa: PLC0415
    from thermoscan.scanner import scan as scan_model  # noqa: PLC0415

    options = ScanOptions(
        revision=revision,
        file=file,
        download=download,
        activation=activation,
        initialisation=initialisation,
        sample=None if sample is None else SampleSize.parse(sample),
        seed=seed,
        sha256=sha256,
        spectra=spectra_asked(spectra, max_side, shuffle, seed),
    )
    with progress_on_stderr(quiet, downloads=download or spectra) as progress:
        card = scan_model(model, options, progress)
    emit(card, out, json_to, quiet, fail_on)
