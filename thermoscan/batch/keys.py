"""The key of a result: what has to be the same for it to stand.

Takes fingerprints, which identify the content without reading it, and options; gives two digests in
one text: how it was scanned, and what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from thermoscan._version import __version__
from thermoscan.batch.candidates import Candidate
from thermoscan.card import CARD_VERSION
from thermoscan.checkpoint import Fingerprint
from thermoscan.options import ScanOptions


def options_of(options: ScanOptions) -> dict[str, object]:
    """Returns the options that a card depends on, as JSON has words for them."""
    return {
        "activation": options.activation,
        "initialisation": options.initialisation,
        "sample": None if options.sample is None else asdict(options.sample),
        "seed": None if options.sample is None else options.seed,
        "sha256": options.sha256,
        "spectra": None if options.spectra is None else asdict(options.spectra),
        "limits": asdict(options.limits),
    }


def manner_of(candidate: Candidate, options: ScanOptions, most_bytes: int | None) -> str:
    """Returns the first part of the key of a candidate's result: how it is scanned.

    Args:
        candidate: The model.
        options: Of the scan.
        most_bytes: Beyond which it is not scanned.
    """
    return _digest(
        {
            "scanner": [__version__, CARD_VERSION],
            "file": candidate.file,
            "options": options_of(options),
            "most_bytes": most_bytes,
        }
    )


def key_of(manner: str, fingerprints: Sequence[Fingerprint]) -> str:
    """Returns the key of a result.

    Args:
        manner: See `manner_of`.
        fingerprints: Of the content, and of its base's where it has one.
    """
    return f"{manner}-{_digest([asdict(fingerprint) for fingerprint in fingerprints])}"


def is_of_manner(key: str, manner: str) -> bool:
    """Says whether a key is of a result of this manner, whatever its content."""
    return key.startswith(f"{manner}-")


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()[:32]
