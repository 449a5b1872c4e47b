"""What a person waits for on small things, against ``python -c "import numpy"``.

The help, and a scan of MiniLM: 91 MB, its pages in the cache and its kernel compiled before.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import data
from benchmarks.processes import THERMOSCAN, interleaved, median_ratio, scan, take
from benchmarks.report import Row, Target
from benchmarks.scale import Scale

HELP = 2.0
SMALL_SCAN = 6.0
NEVER = (
    "torch", "transformers", "pydantic", "huggingface_hub", "scipy", "pandas", "numba",
    "safetensors", "httpx", "requests", "asyncio",
)  # fmt: skip
"""Modules that no scan of a file on disk needs."""
NOT_FOR_HELP = (*NEVER, "numpy", "llvmlite", "jinja2", "rich", "xxhash")

_LIST_MODULES = """
import contextlib, json, os, sys
from thermoscan.cli import main
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    with contextlib.suppress(SystemExit):
        main()
print(json.dumps(sorted(sys.modules)))
"""


def measure(scale: Scale) -> Iterator[Row]:
    """Yields start-up times as ratios, and how many modules were imported for nothing."""
    model = data.minilm()
    with tempfile.TemporaryDirectory() as empty:
        first = scan(model, THERMOSCAN_CACHE=empty).seconds
    scan(model)
    seconds = interleaved(
        {
            "numpy": lambda: take([sys.executable, "-c", "import numpy"]).seconds,
            "help": lambda: take([THERMOSCAN, "--help"]).seconds,
            "scan": lambda: scan(model).seconds,
        },
        scale.starts,
    )
    for what, name, limit in (
        ("thermoscan --help / import numpy", "help", HELP),
        ("scan of MiniLM / import numpy", "scan", SMALL_SCAN),
    ):
        middle, base = statistics.median(seconds[name]), statistics.median(seconds["numpy"])
        yield Row(
            what,
            median_ratio(seconds[name], seconds["numpy"]),
            target=Target(limit, at_most=True),
            how=f"{middle * 1e3:.0f} ms against {base * 1e3:.0f} ms",
        )
    yield Row("first scan on a machine, its kernel compiled and kept", first, "s")
    yield _needless("--help: modules it should not import", ["--help"], NOT_FOR_HELP)
    with tempfile.TemporaryDirectory() as out:
        arguments = ["scan", str(model), "--out", str(Path(out))]
        yield _needless("scan of MiniLM: modules it should not import", arguments, NEVER)


def imported(arguments: list[str]) -> set[str]:
    """Returns the names of all modules that a ``thermoscan`` command imports."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", _LIST_MODULES, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(done.stdout))


def _needless(what: str, arguments: list[str], unwanted: tuple[str, ...]) -> Row:
    found = sorted(imported(arguments) & set(unwanted))
    return Row(what, len(found), target=Target(0, at_most=True), how=", ".join(found) or "none")
