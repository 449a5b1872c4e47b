"""What a checkpoint may ask of us before it is refused, as one frozen value.

The figures leave room for the largest public checkpoints (an index of 100,000 tensors is 10 MB) and
stop what would otherwise cost gigabytes or minutes: every limit was first reached by a file of a
few kilobytes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is read before weights are. All sizes in bytes."""

    header_bytes: int = 25_000_000
    tensors: int = 200_000
    dimensions: int = 8
    name_bytes: int = 1_024
    index_bytes: int = 10_000_000
    config_bytes: int = 10_000_000
    shards: int = 2_000
    components: int = 64
    pickle_bytes: int = 64_000_000
    archive_members: int = 100_000
    nesting: int = 64
    integer: int = 2**63 - 1
    folder_entries: int = 10_000
    report_bytes: int = 100_000_000


@dataclass(frozen=True, slots=True)
class DataLimits:
    """Bounds on data to run a model on. All sizes in bytes.

    Attributes:
        file_bytes: A file of texts or rows, packed or not.
        line_bytes: A line, a paragraph, or a row of such a file.
        rows: Rows that are looked at.
        image_bytes: A file that holds a picture.
        image_pixels: A picture's width times its height.
        folder_entries: Files and folders in a folder of pictures.
        companion_bytes: A file beside the weights that says how to make inputs: a vocabulary.
    """

    file_bytes: int = 1_000_000_000
    line_bytes: int = 1_000_000
    rows: int = 1_000_000
    image_bytes: int = 50_000_000
    image_pixels: int = 50_000_000
    folder_entries: int = 100_000
    companion_bytes: int = 100_000_000
