"""Executors of a batch, and what their processes take for a number of tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import watching
from thermoscan.batch.candidates import Candidate
from thermoscan.batch.cluster import ClusterExecutor
from thermoscan.batch.memory import memory_bytes
from thermoscan.batch.pool import ProcessExecutor
from thermoscan.batch.tasks import Executor, Result, Task
from thermoscan.cli.outputs import FILES
from thermoscan.options import SampleSize, ScanOptions

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run took.

    Attributes:
        models: Tasks that were run.
        nbytes: Of their weights, as far as the tasks say.
        seconds: From the first task to the last result.
        worker_cpu: Processor seconds of all workers.
        scheduler_cpu: Processor seconds of the scheduler, 0 without one.
        own_cpu: Processor seconds of this process.
        peak_bytes: The most memory that a worker held so far.
    """

    models: int
    nbytes: int
    seconds: float
    worker_cpu: float
    scheduler_cpu: float
    own_cpu: float
    peak_bytes: int


class Bench:
    """An executor and the ids of its processes."""

    def __init__(
        self, executor: Executor, workers: Callable[[], Sequence[int]], scheduler: int | None
    ) -> None:
        self._executor = executor
        self._workers = workers
        self._scheduler = scheduler

    def run(self, tasks: Sequence[Task]) -> tuple[Spent, list[Result]]:
        """Runs tasks.

        Raises:
            RuntimeError: One was refused, so that nothing was measured.
        """
        before = self._cpu()
        started = time.perf_counter()
        results = list(self._executor.run(tasks, lambda _name, _done, _total: None))
        seconds = time.perf_counter() - started
        workers, scheduler, own = (b - a for a, b in zip(before, self._cpu(), strict=True))
        for result in results:
            if result.status not in {"scanned", "unchanged"}:
                raise RuntimeError(f"{result.name}: {result.reason}")
        peak = max(map(watching.peak_bytes, self._workers()))
        nbytes = sum(task.candidate.bytes for task in tasks)
        return Spent(len(results), nbytes, seconds, workers, scheduler, own, peak), results

    def _cpu(self) -> tuple[float, float, float]:
        workers = sum(map(watching.cpu_seconds, self._workers()))
        scheduler = 0.0 if self._scheduler is None else watching.cpu_seconds(self._scheduler)
        return workers, scheduler, time.process_time()


@contextmanager
def processes(workers: int) -> Iterator[Bench]:
    """Gives workers of this machine, started by this process."""
    before = set(watching.children_of(os.getpid()))
    with ProcessExecutor(workers, memory_bytes()) as executor:
        own = set(watching.children_of(os.getpid())) - before
        yield Bench(executor, lambda: sorted(own), None)


@contextmanager
def cluster(workers: int) -> Iterator[Bench]:
    """Gives workers of a Dask cluster on this machine, each a process of one thread."""
    with subprocess.Popen(  # noqa: S603 - our own cluster
        [sys.executable, "-m", "support.dask_cluster", str(workers)],
        cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": "tests"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            about = json.loads(started.stdout.readline() if started.stdout else "")
            with ClusterExecutor(about["address"]) as executor:
                yield Bench(executor, lambda: about["workers"], about["scheduler"])
        finally:
            if started.stdin:
                started.stdin.close()


def tasks_of(
    candidates: Iterable[Candidate],
    known: Mapping[str, str] | None = None,
    sample: SampleSize | None = None,
) -> list[Task]:
    """Returns a task for each candidate, as a batch makes them; one thread scans each.

    Args:
        candidates: The models.
        known: Name -> key of its last result.
        sample: How much of each to read; None for everything.
    """
    options = ScanOptions(workers=1, sample=sample)
    keys = known or {}
    return [Task(each, options, None, keys.get(each.name), None, FILES) for each in candidates]
