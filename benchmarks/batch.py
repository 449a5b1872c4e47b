"""``thermoscan batch`` of many small models and of a large one, against bare scans of the same.

Small models are single files in mixed formats: safetensors of float32, bfloat16 and float16,
torch's archive and its former pickle, 2 to 40 MB, evenly over the logarithm; the page cache
holds them. A batch is the whole command: it finds them, starts its processes, renders four files
for each, keeps a catalogue and writes an index. The bare loop is one process that calls
`thermoscan.scan` with one thread for each, its imports and its first scan done before, and
renders nothing; times cores. The large model is a bf16 Llama in four shards, read from the disk
each time, alone in a list. Memory is the peak of a process's resident pages.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import data, floor, watching
from benchmarks.processes import THERMOSCAN, interleaved, median_ratio
from benchmarks.processes import scan as single_scan
from benchmarks.report import Row, Target
from benchmarks.scale import Scale
from benchmarks.small_models import small_models
from thermoscan.options import cores

SHARE = 0.8
PEAK_MB = 300.0

_LOOP = """
import sys, time
from thermoscan.options import ScanOptions
from thermoscan.scanner import scan
paths = sys.stdin.read().splitlines()
options = ScanOptions(workers=1)
scan(paths[0], options)
started = time.perf_counter()
for path in paths:
    scan(path, options)
print(time.perf_counter() - started)
"""


def measure(scale: Scale) -> Iterator[Row]:
    """Yields the throughput of batches beside bare scans, and the memory of their processes."""
    runs: list[watching.Family] = []
    yield from _small(scale, runs)
    yield from _large(scale, runs)
    yield Row(
        "peak memory of a worker",
        max(run.children_peak_bytes for run in runs) / 1e6,
        "MB",
        Target(PEAK_MB, at_most=True),
        f"the most of {len(runs)} batches",
    )
    yield Row(
        "peak memory of the process that keeps results",
        max(run.peak_bytes for run in runs) / 1e6,
        "MB",
    )


def _small(scale: Scale, runs: list[watching.Family]) -> Iterator[Row]:
    folder = small_models(scale)
    models = sorted(path for path in folder.glob("org/*/*") if path.is_file())
    size = floor.size_of(models)
    floor.warm(models)
    count = cores()
    _batch([str(folder)], [])  # compiles the kernels that are missing
    seconds = interleaved(
        {
            "batch": lambda: _batch([str(folder)], runs),
            "loop": lambda: _loops(models, 1),
            "loops": lambda: _loops(models, count),
        },
        scale.rounds,
    )
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    yield Row(
        f"{len(models)} small models: throughput / (bare loop x {count} cores)",
        median_ratio(seconds["loop"], seconds["batch"]) / count,
        target=Target(SHARE),
        how=f"{len(models) / middle['batch']:.1f} models/s against "
        f"{len(models) / middle['loop']:.1f} of one loop; {size / 1e9:.2g} GB",
    )
    yield Row(
        f"{count} bare loops at once / (bare loop x {count} cores)",
        median_ratio(seconds["loop"], seconds["loops"]) / count,
        how="what the machine itself has left when all its cores scan",
    )
    yield _again(folder, len(models))


def _again(folder: Path, models: int) -> Row:
    with tempfile.TemporaryDirectory() as out:
        _command([str(folder)], out)
        taken = _command([str(folder)], out).seconds
    return Row(
        "run again, nothing changed", taken / models * 1e3, "ms a model", how=f"{taken:.2f} s"
    )


def _large(scale: Scale, runs: list[watching.Family]) -> Iterator[Row]:
    model = data.llama(scale, scale.large_layers)
    files = floor.weight_files(model)
    size = floor.size_of(files)
    with tempfile.TemporaryDirectory() as temporary:
        only = Path(temporary) / "models.txt"
        only.write_text(f"{model}\n")

        def batched() -> float:
            floor.forget(files)
            return _batch(["--list", str(only)], runs)

        def scanned() -> float:
            floor.forget(files)
            return single_scan(model).seconds

        seconds = interleaved({"batch": batched, "scan": scanned}, scale.rounds)
    rates = [size / statistics.median(seconds[name]) / 1e9 for name in ("batch", "scan")]
    yield Row(
        f"one model of {size / 1e9:.3g} GB: byte rate / that of a single scan",
        median_ratio(seconds["scan"], seconds["batch"]),
        target=Target(SHARE),
        how=f"{rates[0]:.2f} of {rates[1]:.2f} GB/s",
    )


def _batch(models: Sequence[str], runs: list[watching.Family]) -> float:
    """Seconds of a batch into an empty folder."""
    with tempfile.TemporaryDirectory() as out:
        runs.append(_command(models, out))
    return runs[-1].seconds


def _command(models: Sequence[str], out: str) -> watching.Family:
    return watching.run([THERMOSCAN, "batch", *models, "--out", out, "--quiet"])


def _loops(models: list[Path], count: int) -> float:
    """Seconds of the slowest of so many bare loops at once, each over its share of the models."""
    loops = [
        subprocess.Popen(  # noqa: S603 - our own loop
            [sys.executable, "-c", _LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    for number, loop in enumerate(loops):
        assert loop.stdin is not None
        loop.stdin.write("\n".join(map(str, models[number::count])))
        loop.stdin.close()
    taken = []
    for loop in loops:
        assert loop.stdout is not None
        taken.append(float(loop.stdout.read()))
        loop.stdout.close()
        loop.wait()
    return max(taken)
