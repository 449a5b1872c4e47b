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
    pickle_bytes: int = 64_000_000
    archive_members: int = 100_000
    nesting: int = 64
    integer: int = 2**63 - 1
    folder_entries: int = 10_000
