"""The floors: what reading the same bytes costs when nothing is done with them.

Warm: read by offset in 4 MiB steps into a reused buffer and add them up as 64-bit integers,
which touches every cache line; two threads, as the pass has. Cold: read the files from their
first byte to their last, one thread, after the system was told to forget them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

STEP = 4 << 20


def weight_files(folder: Path) -> list[Path]:
    """Returns the safetensors files of a folder, in order."""
    return sorted(folder.glob("*.safetensors"))


def size_of(files: Sequence[Path]) -> int:
    """Returns the bytes of all files together."""
    return sum(path.stat().st_size for path in files)


def warm(files: Sequence[Path], workers: int = 2) -> float:
    """Reads and touches every byte; returns the seconds it took."""
    with ExitStack() as stack:
        steps = [
            (descriptor, offset)
            for path in files
            for descriptor in [stack.enter_context(_opened(path))]
            for offset in range(0, path.stat().st_size, STEP)
        ]
        shares = [
            steps[k * len(steps) // workers : (k + 1) * len(steps) // workers]
            for k in range(workers)
        ]
        started = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(_touch, shares))
        return time.perf_counter() - started


def cold(files: Sequence[Path]) -> float:
    """Forgets the files, then reads them from the disk in order; returns the seconds that took."""
    forget(files)
    buffer = bytearray(STEP)
    started = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - started


def forget(files: Sequence[Path]) -> None:
    """Drops the files from the page cache, which anyone may do to pages that are written back."""
    for path in files:
        with _opened(path) as descriptor:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _touch(steps: Sequence[tuple[int, int]]) -> int:
    buffer = bytearray(STEP)
    words = np.frombuffer(buffer, np.uint64)
    total = 0
    for descriptor, offset in steps:
        size = os.preadv(descriptor, [buffer], offset)
        total ^= int(words[: size // 8].sum())
    return total


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
