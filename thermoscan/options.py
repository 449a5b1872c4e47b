"""What a caller may ask of a scan, as one frozen value."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from thermoscan.checkpoint import OpenOptions
from thermoscan.limits import DataLimits, Limits


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """Options of a scan.

    Attributes:
        revision: Branch, tag or commit of a hub repository; None for its default branch.
        download: Whether to download a hub's files into the local cache first.
        base_revision: The same of the base's repository, for a comparison.
        activation: Name of the hidden activation; None for what the configuration says.
        initialisation: What the weights started from, as ``--init`` takes it; None for what the
            configuration says.
        sha256: Whether to compute the sha256 of every weight file, which reads it a second time.
        workers: Threads that read and count.
        limits: Bounds beyond which a checkpoint is refused.
    """

    revision: str | None = None
    download: bool = False
    base_revision: str | None = None
    activation: str | None = None
    initialisation: str | None = None
    sha256: bool = False
    workers: int = field(default_factory=_cores)
    limits: Limits = field(default_factory=Limits)

    @property
    def opening(self) -> OpenOptions:
        """How to open the source that is scanned."""
        return OpenOptions(revision=self.revision, download=self.download, limits=self.limits)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """Options of a run on data.

    Attributes:
        scan: Options of the scan that comes first.
        data: Path of the data; None for the default sample.
        copies: Re-initialised copies of the model that are run on the same data (Type I).
        inputs: The most examples to run of each set of data.
        seed: Of every random choice.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the second where there is one.
        limits: Bounds beyond which data is refused.
    """

    scan: ScanOptions = field(default_factory=ScanOptions)
    data: str | None = None
    copies: int = 0
    inputs: int = 256
    seed: int = 0
    device: str = "auto"
    limits: DataLimits = field(default_factory=DataLimits)
