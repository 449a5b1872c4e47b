"""``thermoscan probe MODEL``: the card of a checkpoint, with what running it on data measures."""

from __future__ import annotations

import os
from pathlib import Path

import click

from thermoscan.cli.options import assumption_options, card_options, sha256_option


@click.command(short_help="Scans MODEL and runs it on data.")
@click.argument("model")
@click.option(
    "--data",
    metavar="PATH",
    help="Your data: .txt, .jsonl, .csv, a saved dataset, or a folder of pictures.  "
    "[default: a sample]",
)
@click.option(
    "--baseline",
    "copies",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="Re-initialised copies to run on the same data.",
)
@click.option(
    "--limit",
    "inputs",
    type=click.IntRange(1, 1_000_000),
    default=256,
    show_default=True,
    help="Examples to run, from the first on.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="Of every random choice.")  # fmt: skip
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
@card_options
@click.option("--revision", help="Branch, tag or commit of a hub repository.")
@assumption_options
@sha256_option
def probe(
    model: str,
    data: str | None,
    copies: int,
    inputs: int,
    seed: int,
    device: str,
    out: Path | None,
    json_to: str | None,
    revision: str | None,
    activation: str | None,
    initialisation: str | None,
    sha256: bool,
    fail_on: str | None,
    quiet: bool,
) -> None:
    """Scans MODEL, runs it on data, and writes its card with what was measured.

    Needs torch and transformers: pip install 'thermoscan[torch]'.
    """
    from thermoscan.cli.outputs import emit  # noqa: PLC0415 - the help needs none of this
    from thermoscan.cli.progress import steps_on_stderr  # noqa: PLC0415
    from thermoscan.options import ProbeOptions, ScanOptions  # noqa: PLC0415
    from thermoscan.probe.road import probe as probe_model  # noqa: PLC0415

    # Threads of torch that spin while they wait take sixfold time where other work needs the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    scan = ScanOptions(
        revision=revision, activation=activation, initialisation=initialisation, sha256=sha256
    )
    options = ProbeOptions(
        scan=scan, data=data, copies=copies, inputs=inputs, seed=seed, device=device
    )
    with steps_on_stderr(quiet) as progress:
        card = probe_model(model, options, progress)
    emit(card, out, json_to, quiet, fail_on)
