"""Whole processes, measured, and comparisons that take turns.

Each round calls every side once, so that a slow moment of the machine hits both.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("measured.py")
THERMOSCAN = str(Path(sys.executable).with_name("thermoscan"))


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process took.

    Attributes:
        seconds: From its start to its end.
        peak_bytes: The most memory it held.
        read_bytes: Bytes that it asked the system for, from whatever file.
        disk_bytes: Bytes that the system fetched from a disk for it.
    """

    seconds: float
    peak_bytes: int
    read_bytes: int
    disk_bytes: int


def take(command: Sequence[str], **environment: str) -> Taken:
    """Runs a command to its end and returns what it took.

    Raises:
        RuntimeError: It failed; with what it said.
    """
    done = subprocess.run(  # noqa: S603 - commands of these benchmarks
        [sys.executable, "-I", "-S", str(_SCRIPT), *command],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")
    return Taken(**json.loads(done.stdout))


def scan(model: Path | str, *options: str, **environment: str) -> Taken:
    """Runs ``thermoscan scan`` on a model, its cards thrown away, and returns what it took."""
    with tempfile.TemporaryDirectory() as out:
        return take([THERMOSCAN, "scan", str(model), "--out", out, *options], **environment)


def interleaved(
    contestants: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Calls each in turn, `rounds` times over, and returns what each returned."""
    results: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            results[name].append(call())
    return results


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Returns the median of the ratios of each round."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
