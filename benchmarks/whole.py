"""Whole runs of ``thermoscan scan`` on a bf16 Llama in four shards, from start to written cards.

Warm: the weights are in the page cache. Cold: the system was told to forget them; the disk's own
rate is that of reading the same files in order with one thread. Memory is the process's peak.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import data, floor
from benchmarks.processes import Taken, interleaved, median_ratio, scan
from benchmarks.report import Row, Target
from benchmarks.scale import Scale

_SCAN_ALONE = """
import sys, time
from thermoscan.scanner import scan
from thermoscan.plugins import adapter_for
from thermoscan.tally.native import kernel
adapter_for(sys.argv[1]), kernel("BF16")
start = time.perf_counter()
scan(sys.argv[1])
print(time.perf_counter() - start)
"""

RATE = 3.0
PEAK_MB = 300.0
READ_ONCE = 1.01
COLD_SHARE = 0.8


def measure(scale: Scale) -> Iterator[Row]:
    """Yields rate, memory and bytes read of whole scans."""
    folder = data.llama(scale, scale.layers)
    files = floor.weight_files(folder)
    size = floor.size_of(files)
    yield from _warm(folder, files, size, scale)
    yield from _twice(data.llama(scale, 2 * scale.layers))
    yield from _cold(folder, files, size, scale)


def _warm(folder: Path, files: list[Path], size: int, scale: Scale) -> Iterator[Row]:
    floor.warm(files)
    runs: list[Taken] = [scan(folder)]
    seconds = interleaved(
        {"scan": lambda: _timed(folder, runs), "floor": lambda: floor.warm(files)}, scale.rounds
    )
    middle = statistics.median(seconds["scan"])
    share = median_ratio(seconds["floor"], seconds["scan"])
    yield Row(
        f"warm scan of {_gigabytes(size)}",
        size / middle / 1e9,
        "GB/s",
        Target(RATE),
        f"{middle:.2f} s; {share:.2f} of the rate of reading alone; "
        f"slowest of {scale.rounds}: {max(seconds['scan']):.2f} s",
    )
    alone = statistics.median(_alone(folder) for _ in range(scale.rounds))
    yield Row(
        "the scan of it alone",
        size / alone / 1e9,
        "GB/s",
        how=f"{alone:.2f} s from opened source to card, without start-up and rendering",
    )
    yield _peak(f"peak memory, {_gigabytes(size)}", max(run.peak_bytes for run in runs))
    yield Row(
        "bytes read / bytes of the checkpoint",
        statistics.median(run.read_bytes for run in runs) / size,
        target=Target(READ_ONCE, at_most=True),
        how="everything the process read, Python's own files included",
    )


def _twice(folder: Path) -> Iterator[Row]:
    files = floor.weight_files(folder)
    floor.warm(files)
    yield _peak(f"peak memory, {_gigabytes(floor.size_of(files))}", scan(folder).peak_bytes)


def _cold(folder: Path, files: list[Path], size: int, scale: Scale) -> Iterator[Row]:
    runs: list[Taken] = []

    def forgotten() -> float:
        floor.forget(files)
        return _timed(folder, runs)

    seconds = interleaved({"scan": forgotten, "disk": lambda: floor.cold(files)}, scale.rounds)
    rates = [size / statistics.median(seconds[name]) / 1e9 for name in ("scan", "disk")]
    from_disk = statistics.median(run.disk_bytes for run in runs) / size
    yield Row(
        "cold scan: rate / the disk's sequential rate",
        median_ratio(seconds["disk"], seconds["scan"]),
        target=Target(COLD_SHARE),
        how=f"{rates[0]:.2f} of {rates[1]:.2f} GB/s; {from_disk:.0%} of the bytes from the disk",
    )


def _alone(folder: Path) -> float:
    """Seconds of `thermoscan.scan` in a process that has done its imports."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", _SCAN_ALONE, str(folder)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _timed(folder: Path, runs: list[Taken]) -> float:
    runs.append(scan(folder))
    return runs[-1].seconds


def _peak(what: str, peak: int) -> Row:
    return Row(what, peak / 1e6, "MB", Target(PEAK_MB, at_most=True))


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
