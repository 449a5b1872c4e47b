"""What a caller may ask of a scan, as one frozen value."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from thermoscan.checkpoint import OpenOptions
from thermoscan.errors import OptionError
from thermoscan.limits import DataLimits, Limits


def cores() -> int:
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How much of a checkpoint to read: so many bytes, or a share of its bytes; one of both.

    Attributes:
        nbytes: At most so many.
        share: Of the bytes of the tensors that are counted, above 0.
    """

    nbytes: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> SampleSize:
        """Returns the size that a text such as ``64MB``, ``1.5GiB`` or ``2%`` states.

        Raises:
            OptionError: ``sample-malformed``.

        >>> SampleSize.parse("1.5GiB"), SampleSize.parse("2 %")
        (SampleSize(nbytes=1610612736, share=None), SampleSize(nbytes=None, share=0.02))
        """
        share = _SHARE.fullmatch(text.strip())
        if share and 0 < float(share["number"]) <= 100:
            return cls(share=float(share["number"]) / 100)
        nbytes = _bytes_in(text)
        if nbytes is not None:
            return cls(nbytes=nbytes)
        raise OptionError(
            "sample-malformed",
            f"'{text}' is no size of a sample: write bytes such as 64MB or 1.5GiB, or a share "
            "such as 2%",
        )

    def of(self, total: int) -> int:
        """Returns how many of `total` bytes to read."""
        return self.nbytes if self.nbytes is not None else int((self.share or 0.0) * total)


def size_in_bytes(text: str) -> int:
    """Returns the number of bytes that a text such as ``300MB`` or ``1.5GiB`` states.

    Raises:
        OptionError: ``size-malformed``.
    """
    nbytes = _bytes_in(text)
    if nbytes is None:
        reason = f"'{text}' is no size: write bytes such as 300MB or 1.5GiB"
        raise OptionError("size-malformed", reason)
    return nbytes


_NUMBER = r"(?P<number>\d{1,18}(\.\d{0,18})?)\s*"
_SHARE = re.compile(_NUMBER + "%", re.ASCII)
_SIZE = re.compile(_NUMBER + "(?P<unit>([kmgt]i?)?b)", re.IGNORECASE | re.ASCII)
_MOST_BYTES = 1 << 62


def _bytes_in(text: str) -> int | None:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    unit = found["unit"].lower()
    power = "kmgt".find(unit[0]) + 1
    nbytes = float(found["number"]) * (1024 if "i" in unit else 1000) ** power
    return int(nbytes) if 1 <= nbytes <= _MOST_BYTES else None


@dataclass(frozen=True, slots=True)
class SpectraOptions:
    """How to take spectra.

    Attributes:
        max_side: The largest smaller side of a matrix that is taken whole; of a larger one so many
            of its rows or columns are drawn at random. At least 2.
        shuffle: Whether to take the spectrum of each matrix's entries in random places too.
        seed: Of both.

    Raises:
        OptionError: ``max-side-too-small``.
    """

    max_side: int = 8192
    shuffle: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_side < 2:
            raise OptionError("max-side-too-small", "a spectrum is of two rows or columns at least")

    @property
    def matrix_bytes(self) -> int:
        """Most bytes that eigenvalues take, one matrix at a time: three of its smaller side."""
        return 3 * 8 * self.max_side**2


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """Options of a scan.

    Attributes:
        revision: Branch, tag or commit of a hub repository; None for its default branch.
        file: The weight file, index or sub-folder to scan, by its path inside the folder or
            repository; None for what is chosen by rule.
        download: Whether to download a hub's files into the local cache first.
        base_revision: The same of the base's repository, for a comparison.
        activation: Name of the hidden activation; None for what the configuration says.
        initialisation: What the weights started from, as ``--init`` takes it; None for what the
            configuration says.
        sample: How much to read, where not everything; None for everything.
        seed: Of the choice of what a sample reads.
        sha256: Whether to compute the sha256 of every weight file, which reads it a second time.
        spectra: How to take the spectra of all matrices, which reads them once more; None for no
            spectra.
        workers: Threads that read and count.
        limits: Bounds beyond which a checkpoint is refused.

    Raises:
        OptionError: ``sample-with-sha256``, ``sample-with-spectra``: a sample saves nothing where
            something else reads every byte.
    """

    revision: str | None = None
    file: str | None = None
    download: bool = False
    base_revision: str | None = None
    activation: str | None = None
    initialisation: str | None = None
    sample: SampleSize | None = None
    seed: int = 0
    sha256: bool = False
    spectra: SpectraOptions | None = None
    workers: int = field(default_factory=cores)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.sample is not None and self.sha256:
            reason = "a digest of whole files reads every byte: a sample saves nothing"
            raise OptionError("sample-with-sha256", reason)
        if self.sample is not None and self.spectra is not None:
            reason = "a spectrum is of every entry of its matrix: a sample has none"
            raise OptionError("sample-with-spectra", reason)

    @property
    def opening(self) -> OpenOptions:
        """How to open the source that is scanned; spectra read it again and again, from a disk."""
        return OpenOptions(
            revision=self.revision,
            file=self.file,
            download=self.download or self.spectra is not None,
            limits=self.limits,
        )


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
