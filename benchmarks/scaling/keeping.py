"""What a result costs that has come.

The process that keeps results writes four files for each, then a row of the catalogue (SQLite,
on this disk), and the index at the end. Here it is given results that are there already, of tiny
models of one layer, under names of their own, as fast as it takes them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.report import Row, Section
from benchmarks.scale import Scale
from thermoscan.batch.candidates import Candidate
from thermoscan.batch.cards import CARDS, BatchFolder
from thermoscan.batch.run import Batch, BatchOptions
from thermoscan.batch.tasks import Result, Task, Watch
from thermoscan.catalogue.store import Catalogue
from thermoscan.cli.outputs import FILES
from thermoscan.options import ScanOptions

_CATALOGUE = "catalogue.sqlite"


@dataclass(frozen=True, slots=True)
class Keeping:
    """What was measured.

    Attributes:
        section: For the page.
        scanned: Seconds to keep a new result.
        unchanged: Seconds to keep one that says that nothing changed.
        disk_bytes: That a model takes on the disk, its row included.
    """

    section: Section
    scanned: float
    unchanged: float
    disk_bytes: float


class _Replay:
    """An executor that has all results already."""

    workers = 1

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = results

    def run(self, tasks: Iterable[Task], watch: Watch) -> Iterator[Result]:
        for task, result in zip(tasks, self._results, strict=False):
            name, source = task.candidate.name, task.candidate.source
            yield replace(result, name=name, source=source)

    def __enter__(self) -> _Replay:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing runs."""


class _Unwatched:
    def found(self, models: int, nbytes: int) -> None:
        """Looks away."""

    def reading(self, name: str, done: int, total: int) -> None:
        """Looks away."""

    def ended(self, result: Result, nbytes: int) -> None:
        """Looks away."""


def measure(scale: Scale, results: Sequence[Result]) -> Keeping:
    """Keeps as many results as there are tasks, and then as many that say that nothing changed."""
    count = scale.tasks
    scanned = [results[k % len(results)] for k in range(count)]
    unchanged = [Result("", "", "unchanged", key=each.key) for each in scanned]
    with tempfile.TemporaryDirectory() as folder:
        new, index = _keep(Path(folder), scanned)
        cards, catalogue = _bytes_on_disk(Path(folder) / CARDS), _bytes_on_disk(Path(folder))
        same, _ = _keep(Path(folder), unchanged)
    rows = (
        Row("new results", count / new, "models/s", how=f"{new / count * 1e3:.2f} ms each"),
        Row("unchanged", count / same, "models/s", how=f"{same / count * 1e3:.2f} ms each"),
        Row("the index", index / count * 1e3, "ms a model", how=f"{index:.2f} s of {count} models"),
        Row("cards on the disk", cards / count / 1e3, "kB a model", how="whole blocks of the disk"),
        Row(
            "catalogue on the disk",
            (catalogue - cards) / count / 1e3,
            "kB a model",
            how="with the index",
        ),
    )
    section = Section("Measured: keeping results", (__doc__ or "").strip(), rows)
    return Keeping(section, (new + index) / count, same / count, catalogue / count)


def _keep(folder: Path, results: Sequence[Result]) -> tuple[float, float]:
    """Returns the seconds to keep results, and to write the index of them."""
    found = [Candidate(f"org/model-{k:07d}", f"/nowhere/{k}") for k in range(len(results))]
    with Catalogue.open(folder / _CATALOGUE) as catalogue:
        batch = Batch(catalogue, BatchFolder(folder), BatchOptions(ScanOptions(), FILES))
        started = time.perf_counter()
        batch.run(found, _Replay(results), _Unwatched())
        kept = time.perf_counter()
        batch.finish()
        return kept - started, time.perf_counter() - kept


def _bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
