"""What a caller may ask of a scan, as one frozen value."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from thermoscan.limits import Limits


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """Options of a scan.

    Attributes:
        revision: Branch, tag or commit of a hub repository; None for its default branch.
        base_revision: The same of the base's repository, for a comparison.
        activation: Name of the hidden activation; None for what the configuration says.
        initialisation: What the weights started from, as ``--init`` takes it; None for what the
            configuration says.
        sha256: Whether to compute the sha256 of every weight file, which reads it a second time.
        workers: Threads that read and count.
        limits: Bounds beyond which a checkpoint is refused.
    """

    revision: str | None = None
    base_revision: str | None = None
    activation: str | None = None
    initialisation: str | None = None
    sha256: bool = False
    workers: int = field(default_factory=_cores)
    limits: Limits = field(default_factory=Limits)
