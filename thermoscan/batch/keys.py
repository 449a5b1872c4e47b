"""The key of a result: what has to be the same for it to stand.

Takes fingerprints, which identify the content without reading it, and options; gives a digest.
"""

from __future__ import annotations

import hashlib
import json
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
        "limits": asdict(options.limits),
    }


def key_of(
    candidate: Candidate,
    options: ScanOptions,
    most_bytes: int | None,
    fingerprints: tuple[Fingerprint, ...],
) -> str:
    """Returns the key of a candidate's result, 64 hexadecimal digits.

    Args:
        candidate: The model.
        options: Of the scan.
        most_bytes: Beyond which it is not scanned.
        fingerprints: Of its content, and of its base's where it has one.
    """
    identity = {
        "scanner": [__version__, CARD_VERSION],
        "file": candidate.file,
        "options": options_of(options),
        "most_bytes": most_bytes,
        "content": [asdict(fingerprint) for fingerprint in fingerprints],
    }
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
