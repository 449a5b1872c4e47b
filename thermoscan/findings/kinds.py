"""What a finding is made of: its kind, the same for every layer, and one sighting of it.

Also how numbers are written in messages, so that all detectors write them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thermoscan.scanner.measurement import Measurement

ERROR, WARNING, INFO = SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding.

    Attributes:
        code: Stable kebab-case identifier.
        severity: One of `SEVERITIES`: broken, look at it, worth knowing.
        meaning: What it means.
        advice: What to do.
    """

    code: str
    severity: str
    meaning: str
    advice: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """One place where a kind of finding was seen.

    Attributes:
        kind: What was seen.
        layer: Name of the layer or tensor; None for the whole model.
        message: What was seen, in a sentence with its numbers and no name from the checkpoint.
        extent: How much of it, to order the sightings of one kind; larger is worse.
        evidence: The numbers behind it.
    """

    kind: Kind
    layer: str | None
    message: str
    extent: float
    evidence: Mapping[str, float | int | str | None]


Detector = Callable[["Measurement"], Iterator[Sighting]]
"""Looks at a measurement for one idea's kinds of finding."""


def figure(value: float) -> str:
    """Returns a number with three significant digits.

    >>> figure(0.20711), figure(1234.5)
    ('0.207', '1,230')
    """
    if abs(value) >= 1000 and abs(value) < 1e6:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def size(nbytes: float) -> str:
    """Returns a number of bytes in decimal units.

    >>> size(295_000), size(45_430_000)
    ('295 kB', '45.4 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 999.5:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} TB"
