"""What tests of batches share: tasks, and models whose scan takes a while."""

from __future__ import annotations

import json
import os
from pathlib import Path

from thermoscan.batch.candidates import Candidate
from thermoscan.batch.tasks import Task
from thermoscan.cli.outputs import FILES
from thermoscan.options import ScanOptions


def task_of(path: Path, known: str | None = None, options: ScanOptions | None = None) -> Task:
    """Returns the task of scanning what is at `path`, called by its last part."""
    return Task(
        candidate=Candidate(path.name, str(path)),
        options=options or ScanOptions(workers=1),
        most_bytes=None,
        known=known,
        digests=None,
        files=FILES,
    )


def write_long(path: Path, nbytes: int = 1 << 30, columns: int = 1024) -> Path:
    """Writes a checkpoint of zeros that takes seconds to scan, and no room on the disk."""
    rows = nbytes // (4 * columns)
    entry = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [0, rows * 4 * columns]}
    header = {"layer.weight": entry}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + rows * 4 * columns)
    return path
