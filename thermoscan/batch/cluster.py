"""Runs tasks on the workers of a Dask cluster.

Dask moves tasks and results, starts and finds workers, and says who left. Which worker has a task
is decided here, by one rule: a worker process scans one model at a time, with the threads that it
has; small models go to it a few at once, so that it never waits for the next. For Dask itself runs
the task of a dead worker again at once elsewhere, as often as the scheduler was set to
(``allowed-failures``), and blames all tasks of that worker alike: one model could take four workers
down, and innocent ones with it. A task that is bound to a worker runs nowhere else until it is sent
again. So it is known what a worker died of: a task that was there is run once more, alone.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from thermoscan._version import __version__
from thermoscan.batch.cluster_link import Ended, Joined, Left, Link
from thermoscan.batch.tasks import Result, Task, Watch, died
from thermoscan.batch.worker import ALONE_BYTES
from thermoscan.errors import ClusterError


@dataclass(frozen=True, slots=True)
class _Run:
    """A task on its way: at which worker, and whether a worker died with it before."""

    task: Task
    address: str
    suspect: bool


@dataclass(slots=True)
class _Seat:
    """A worker: its threads, the keys of what it has, and whether more may come to that."""

    threads: int
    keys: list[str] = field(default_factory=list)
    shared: bool = True

    @property
    def room(self) -> bool:
        # One more than it runs at once is there already when one ends.
        return self.shared and len(self.keys) <= self.threads


class ClusterExecutor:
    """The `Executor` of a Dask cluster.

    Args:
        address: URL of its scheduler, such as ``tcp://HOST:8786``, or path of a scheduler's file.
        connect_seconds: To wait for the scheduler to answer.
        empty_seconds: To wait for a worker, where there is none.
    """

    def __init__(
        self, address: str, *, connect_seconds: float = 30.0, empty_seconds: float = 300.0
    ) -> None:
        self._address = address
        self._connect_seconds = connect_seconds
        self._empty_seconds = empty_seconds

    @property
    def workers(self) -> int:
        """How many workers there are now."""
        return len(self._seats)

    def __enter__(self) -> ClusterExecutor:
        """Connects.

        Raises:
            OptionError: The address makes no sense, or Dask is not installed.
            ClusterError: Nothing answers there, or another version does.
        """
        self._link = Link(self._address, self._connect_seconds)
        self._seats: dict[str, _Seat] = {}
        self._free: set[str] = set()
        self._partly_free: set[str] = set()
        self._runs: dict[str, _Run] = {}
        self._waiting: deque[tuple[Task, bool]] = deque()
        return self

    def __exit__(self, *exc: object) -> None:
        """Leaves the cluster; what still runs is told to stop."""
        self._link.close()

    def run(self, tasks: Iterable[Task], watch: Watch) -> Iterator[Result]:
        """See `Executor.run`; a task whose worker dies is run once more on a worker of its own.

        Raises:
            ClusterError: ``cluster-lost``: the scheduler is gone; ``cluster-empty``: there was no
                worker for long; ``cluster-failed``: a worker could not run what it was sent.
        """

        def told(key: str, done: int, total: int) -> None:
            if run := self._runs.get(key):
                watch(run.task.candidate.name, done, total)

        self._link.tell(told)
        pending = iter(tasks)
        peopled = time.monotonic()
        more = self._fill(pending)
        while more or self._runs:
            results = self._hear()
            more = self._fill(pending)  # before the results are taken, which may last
            yield from results
            if self._seats:
                peopled = time.monotonic()
            elif time.monotonic() - peopled > self._empty_seconds:
                raise self._empty()

    def _hear(self) -> list[Result]:
        """Takes the next news into account; returns the results that it brought."""
        news = self._link.listen()
        if isinstance(news, Joined):
            self._seats.setdefault(news.address, _Seat(news.threads))
            self._mark(news.address)
        elif isinstance(news, Left):
            return self._leave(news)
        elif isinstance(news, Ended):
            return self._end(news)
        return []

    def _fill(self, pending: Iterator[Task]) -> bool:
        """Sends tasks out as long as there is room; says whether some are left to send."""
        while True:
            if not self._waiting:
                task = next(pending, None)
                if task is None:
                    return False
                self._waiting.append((task, False))
            task, suspect = self._waiting[0]
            alone = suspect or not _is_small(task)
            address = next(iter(self._free), None)
            if address is None and not alone:
                address = next(iter(self._partly_free), None)
            if address is None:
                return True
            self._waiting.popleft()
            self._send(_Run(task, address, suspect), alone)

    def _send(self, run: _Run, alone: bool) -> None:
        key = f"thermoscan-{uuid.uuid4().hex}"
        seat = self._seats[run.address]
        seat.keys.append(key)
        seat.shared = not alone
        self._runs[key] = run
        self._mark(run.address)
        self._link.submit(key, run.task, run.address)

    def _end(self, news: Ended) -> list[Result]:
        run = self._runs.pop(news.key, None)
        if run is None:  # its worker left while the result was on the way
            return []
        self._seats[run.address].keys.remove(news.key)
        self._mark(run.address)
        return [news.result]

    def _leave(self, news: Left) -> list[Result]:
        seat = self._seats.pop(news.address, None)
        self._mark(news.address)
        refused = []
        for key in seat.keys if seat else ():
            self._link.drop(key)
            run = self._runs.pop(key)
            if run.suspect and not news.expected:
                refused.append(died(run.task))
            else:
                self._waiting.appendleft((run.task, run.suspect or not news.expected))
        return refused

    def _empty(self) -> ClusterError:
        reason = (
            f"no worker of thermoscan {__version__} was there for {self._empty_seconds:.0f} "
            "seconds; what was done is kept, and the same command goes on from there"
        )
        return ClusterError("cluster-empty", reason, file=self._address)

    def _mark(self, address: str) -> None:
        """Notes whether there is room at a worker, so that none has to be looked for."""
        self._free.discard(address)
        self._partly_free.discard(address)
        seat = self._seats.get(address)
        if seat is not None and not seat.keys:
            self._free.add(address)
        elif seat is not None and seat.room:
            self._partly_free.add(address)


def _is_small(task: Task) -> bool:
    """Says whether a task is over so soon that another may wait behind it."""
    unchanged = task.known is not None and task.digests is None
    return unchanged or 0 < task.candidate.bytes < ALONE_BYTES
