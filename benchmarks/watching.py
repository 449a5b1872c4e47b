"""What processes took so far, as the kernel counts it: memory and processor time by process id."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_SECONDS = 0.02
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Family:
    """What a process and its children took.

    Attributes:
        seconds: From its start to its end.
        peak_bytes: The most memory that the process itself held.
        children_peak_bytes: The most that one of its children held.
    """

    seconds: float
    peak_bytes: int
    children_peak_bytes: int


def run(command: Sequence[str], **environment: str) -> Family:
    """Runs a command to its end, looking at it and its children fifty times a second.

    Raises:
        RuntimeError: It failed; with what it said.
    """
    own = children = 0
    started = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(  # noqa: S603 - commands of these benchmarks
            command, stdout=subprocess.DEVNULL, stderr=said, env=os.environ | environment
        ) as process,
    ):
        while process.poll() is None:
            own = max(own, peak_bytes(process.pid))
            children = max([children, *map(peak_bytes, children_of(process.pid))])
            time.sleep(_LOOK_SECONDS)
        seconds = time.perf_counter() - started
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command[0]} failed: {said.read()[-2000:]}")
    return Family(seconds, own, children)


def children_of(pid: int) -> list[int]:
    """Returns the ids of a process's children; none where it has ended."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [
            int(each) for thread in threads for each in (thread / "children").read_text().split()
        ]
    except OSError:
        return []


def peak_bytes(pid: int) -> int:
    """Returns the most memory that a process held so far; 0 where it has ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def cpu_seconds(pid: int) -> float:
    """Returns the processor time of a process that runs, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS
