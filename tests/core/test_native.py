"""The cache of compiled kernels: made once, told from its content, never trusted when damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

USE = """
import numpy as np, sys
from thermoscan.dtypes import DType
from thermoscan.tally.accumulate import Accumulator, visit
from thermoscan.tally.geometry import Piece
sums = Accumulator(Piece(0, 1, 2, 3, ("w",), (0, 2)), DType.F32)
visit(sums, np.array([1, 2, 3, 4, 5, 6], np.float32).view(np.uint32), 0)
print(*sums.energy, "numba" in sys.modules)
"""


def use(cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "THERMOSCAN_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", USE], env=environment, capture_output=True, text=True, check=True
    )


def test_a_kernel_is_compiled_once_and_then_loaded_without_the_compiler(tmp_path: Path) -> None:
    first, second = use(tmp_path), use(tmp_path)
    assert first.stdout == "14.0 77.0 True\n"
    assert "compiling the F32 kernel" in first.stderr
    assert (second.stdout, second.stderr) == ("14.0 77.0 False\n", "")


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    use(tmp_path)
    (stored,) = (tmp_path / "kernels").iterdir()
    stored.write_bytes(stored.read_bytes()[:-100])
    assert use(tmp_path).stdout == "14.0 77.0 True\n"
    assert use(tmp_path).stdout == "14.0 77.0 False\n"


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert use(tmp_path / "file" / "folder").stdout == "14.0 77.0 True\n"
