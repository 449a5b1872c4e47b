"""The one road: from the name of a source to its card.

::

    source -> Checkpoint -> Anatomy -> Tally -> State -> Findings -> Card

`scan` walks it whole. The command line, a batch and a worker only call it.
"""

from __future__ import annotations

import hashlib

from thermoscan.card import Card
from thermoscan.checkpoint import Checkpoint, OpenOptions
from thermoscan.findings import find
from thermoscan.options import ScanOptions
from thermoscan.plugins import adapter_for
from thermoscan.scanner.assemble import card_of
from thermoscan.scanner.measure import Progress, measure
from thermoscan.scanner.measurement import Measurement

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
    with _opened(source, options) as checkpoint:
        return survey(checkpoint, options, progress or _silent)[1]


def survey(
    checkpoint: Checkpoint, options: ScanOptions, progress: Progress
) -> tuple[Measurement, Card]:
    """Scans an opened checkpoint; returns what was measured and the card. See `scan`."""
    base = _measured(options.base, options, progress) if options.base else None
    measurement = measure(checkpoint, options, progress, base)
    sha256 = _sha256(checkpoint) if options.sha256 else {}
    return measurement, card_of(measurement, find(measurement), sha256)


def _opened(source: str, options: ScanOptions) -> Checkpoint:
    opened = OpenOptions(revision=options.revision, limits=options.limits)
    return adapter_for(source).open(source, opened)


def _measured(source: str, options: ScanOptions, progress: Progress) -> Measurement:
    with _opened(source, options) as checkpoint:
        return measure(checkpoint, options, progress)


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
