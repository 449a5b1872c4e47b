"""What a result costs that has come.

The process that keeps results writes four files for each, then a row of the catalogue (SQLite,
on this disk), and the index at the end. Here it is given results that are there already, as fast as
it takes them: that of a bf16 Llama of 22 blocks, over and over, under other names.
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

_SHARE = 4
_CATALOGUE = "catalogue.sqlite"


@dataclass(frozen=True, slots=True)
class Keeping:
    """What was measured.

    Attributes:
        section: For the page.
        scanned: Seconds to keep a new result.
        unchanged: Seconds to keep one that says that nothing changed.
        disk_bytes: That a model takes on the disk, its row included.
        result_bytes: Of the files of a result.
    """

    section: Section
    scanned: float
    unchanged: float
    disk_bytes: float
    result_bytes: float


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


def measure(scale: Scale, result: Result) -> Keeping:
    """Keeps a result many times, and then as often that nothing changed."""
    count = max(2, scale.tasks // _SHARE)
    scanned = [result] * count
    unchanged = [Result("", "", "unchanged", key=result.key)] * count
    with tempfile.TemporaryDirectory() as folder:
        new, index = _keep(Path(folder), scanned)
        cards, catalogue = _bytes_on_disk(Path(folder) / CARDS), _bytes_on_disk(Path(folder))
        same, _ = _keep(Path(folder), unchanged)
    rows = (
        Row("new results", count / new, "models/s", how=f"{new / count * 1e3:.2f} ms each"),
        Row("files of a result", _length(result) / 1e3, "kB", how=f"of {_layers(result)} layers"),
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
    return Keeping(section, (new + index) / count, same / count, catalogue / count, _length(result))


def _keep(folder: Path, results: Sequence[Result]) -> tuple[float, float]:
    """Returns the seconds to keep results, and to write the index of them."""
    found = [Candidate(f"org/model-{k:07d}", f"/nowhere/{k}") for k in range(len(results))]
    with BatchFolder(folder) as target, Catalogue.open(folder / _CATALOGUE) as catalogue:
        batch = Batch(catalogue, target, BatchOptions(ScanOptions(), FILES))
        started = time.perf_counter()
        batch.run(found, _Replay(results), _Unwatched())
        kept = time.perf_counter()
        batch.finish()
        return kept - started, time.perf_counter() - kept


def _length(result: Result) -> int:
    return sum(len(text.encode()) for text in result.files.values())


def _layers(result: Result) -> int:
    return len(result.card.layers) if result.card else 0


def _bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
