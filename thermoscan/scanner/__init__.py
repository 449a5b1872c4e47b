"""The one road: from the name of a source to its card.

::

    source -> Checkpoint -> Anatomy -> Tally -> State -> Findings -> Card

`scan` walks it whole, `compare` walks it with a base checkpoint beside. The command line, a batch
and a worker only call them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from thermoscan.card import Card
from thermoscan.checkpoint import Checkpoint
from thermoscan.errors import OptionError
from thermoscan.findings import find, not_looked_for
from thermoscan.options import ScanOptions
from thermoscan.plugins import adapter_for
from thermoscan.scanner.assemble import card_of
from thermoscan.scanner.measure import Progress, measure
from thermoscan.scanner.measurement import Measurement

if TYPE_CHECKING:
    from thermoscan.spectra.comparing import Base

_READ_BYTES = 4 << 20


def scan(source: str, options: ScanOptions | None = None, progress: Progress | None = None) -> Card:
    """Scans a checkpoint and returns its card.

    Args:
        source: Path of a weight file or folder, or id of a hub repository, optionally
            ``ID@REVISION``.
        options: What to assume and how to work; None for the defaults.
        progress: Called with bytes done and bytes in all, from the calling thread.

    Raises:
        SourceError: There is nothing to scan at this name.
        CheckpointError: There is a checkpoint, and it cannot be trusted.
        OptionError: An option makes no sense.
    """
    options = options or ScanOptions()
    with adapter_for(source).open(source, options.opening) as checkpoint:
        return survey(checkpoint, options, progress or _silent)[1]


def survey(
    checkpoint: Checkpoint, options: ScanOptions, progress: Progress
) -> tuple[Measurement, Card]:
    """Scans an opened checkpoint; returns what was measured and the card. See `scan`."""
    measurement = _with_spectra(
        lambda progress: measure(checkpoint, options, progress), options, progress
    )
    return measurement, _card(measurement, options)


def _with_spectra(
    measured: Callable[[Progress], Measurement],
    options: ScanOptions,
    progress: Progress,
    base: Callable[[], Base] | None = None,
) -> Measurement:
    """Measures, and then takes the spectra where they are asked for.

    Args:
        measured: Does the pass over all bytes.
        options: The caller's.
        progress: To which the spectra count as much as the pass.
        base: Returns what the spectra are compared with.
    """
    spectra = options.spectra
    if spectra is None:
        return measured(progress)
    from thermoscan.spectra import take_spectra  # noqa: PLC0415 - a plain scan needs none of it

    total = 0

    def first_half(done: int, in_all: int) -> None:
        nonlocal total
        total = in_all
        progress(done, 2 * total)

    def second_half(share: float) -> None:
        progress(total + round(share * total), 2 * total)

    measurement = measured(first_half)
    return take_spectra(
        measurement, spectra, options.workers, second_half, None if base is None else base()
    )


def compare(
    base: str, model: str, options: ScanOptions | None = None, progress: Progress | None = None
) -> Card:
    """Scans a model beside the checkpoint that it was made from, and returns the model's card.

    Args:
        base: Path or hub id of the base, as `scan` takes it.
        model: Path or hub id of the model: a whole checkpoint, or a LoRA adapter, which is read as
            what merging it into the base would give.
        options: What to assume and how to work; None for the defaults.
        progress: Called with bytes done and bytes in all, of both, from the calling thread.

    Raises:
        SourceError: There is nothing to scan at one of these names.
        CheckpointError: One of the checkpoints cannot be trusted, or the adapter does not fit.
        OptionError: An option makes no sense.
    """
    from thermoscan.scanner.twins import base_of, measure_twins  # noqa: PLC0415 - no scan needs it

    options = options or ScanOptions()
    if options.sample is not None:
        raise OptionError(
            "sample-refused", "a comparison is of entry with entry, of which a sample misses most"
        )
    of_base = replace(options.opening, revision=options.base_revision, file=None)
    with adapter_for(base).open(base, of_base) as before:
        opened = replace(options.opening, base=before)
        with adapter_for(model).open(model, opened) as checkpoint:
            measurement = _with_spectra(
                lambda progress: measure_twins(checkpoint, before, options, progress),
                options,
                progress or _silent,
                lambda: base_of(checkpoint, before),
            )
            return _card(measurement, options)


def _card(measurement: Measurement, options: ScanOptions) -> Card:
    sha256 = _sha256(measurement.checkpoint) if options.sha256 else {}
    return card_of(measurement, find(measurement), not_looked_for(measurement), sha256)


def _silent(_done: int, _total: int) -> None:
    """Reports nothing."""


def _sha256(checkpoint: Checkpoint) -> dict[str, str]:
    """Reads the scanned files once more, whole, for the sha256 of those that state none."""
    digests = {}
    for file in checkpoint.files:
        if file.status == "scanned" and file.sha256 is None:
            digest = hashlib.sha256()
            buffer = memoryview(bytearray(_READ_BYTES))
            for offset in range(0, file.size, _READ_BYTES):
                chunk = buffer[: min(_READ_BYTES, file.size - offset)]
                checkpoint.reader.readinto(file.name, offset, chunk)
                digest.update(chunk)
            digests[file.name] = digest.hexdigest()
    return digests
