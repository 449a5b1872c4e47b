"""The pass alone: read every byte by offset, hash it, count it; two threads, warm page cache.

Its rate as a share of the floor's: reading the same bytes by offset in 4 MiB steps and adding them
up, also with two threads. About 1 GB of normal weights in matrices of 32 MB.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import data, floor
from benchmarks.processes import interleaved, median_ratio
from benchmarks.report import Row, Target
from benchmarks.scale import Scale
from thermoscan.checkpoint import OpenOptions, Tensor
from thermoscan.plugins import adapter_for
from thermoscan.tally import accumulate, stream
from thermoscan.tally.geometry import Piece

TARGETS = {"BF16": 0.40, "F32": 0.40, "F16": 0.35, "F8_E4M3": 0.22, "F8_E5M2": 0.22}
_WORKERS = 2


def measure(scale: Scale) -> Iterator[Row]:
    """Yields the share of the floor for each element type."""
    for label, limit in TARGETS.items():
        path = data.tensor_file(label, scale)
        scan_pass(path)  # fills the page cache and loads the kernel
        contestants = {"pass": partial(scan_pass, path), "floor": partial(floor.warm, [path])}
        seconds = interleaved(contestants, scale.rounds)
        size = path.stat().st_size / 1e9
        rates = {name: [size / each for each in taken] for name, taken in seconds.items()}
        worst = min(a / b for a, b in zip(rates["pass"], rates["floor"], strict=True))
        yield Row(
            f"{label}: rate of the pass / rate of the floor",
            median_ratio(rates["pass"], rates["floor"]),
            target=Target(limit),
            how=f"{median(rates['pass']):.1f} of {median(rates['floor']):.1f} GB/s; "
            f"worst round {worst:.2f}",
        )


def scan_pass(path: Path) -> float:
    """Tallies every tensor of a file of matrices; returns the seconds it took."""
    with adapter_for(str(path)).open(str(path), OpenOptions()) as checkpoint:
        orders = [_order(tensor) for tensor in checkpoint.tensors]
        started = time.perf_counter()
        for _ in stream.read(
            orders, checkpoint.reader, accumulate.visit, _WORKERS, lambda _size: None
        ):
            pass
        return time.perf_counter() - started


def _order(tensor: Tensor) -> stream.Order:
    rows, columns = tensor.shape
    return stream.Order(tensor, (Piece(0, 1, rows, columns, (tensor.name,), (0, rows)),))
