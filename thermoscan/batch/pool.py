"""Runs tasks on this machine: one process a worker, started anew where it dies.

Takes the number of workers and the memory that they may take together; gives a
`thermoscan.batch.tasks.Executor`. Each worker is a pool of one process, so that the task whose
worker died is known, and no other is touched by it. What a worker may take is enforced by the
system: beyond it an allocation fails, which ends as a refusal. A worker ends with this process,
however that ends: it holds a pipe of which this process alone has the other end.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection

from thermoscan.batch.tasks import Result, Task, Watch, died, failed
from thermoscan.errors import ClusterError, OptionError

WORKER_BYTES = 300_000_000
"""What a worker needs at most for a checkpoint within `thermoscan.limits.Limits`."""

_SECONDS_BETWEEN_NEWS = 0.25
_MOST_STARTS = 3
"""Workers that one slot starts one after the other, if none of them lives to take a task."""

# Started afresh: a fork of a process with threads may hang, and holds what its parent holds.
_CONTEXT = get_context("spawn")


class ProcessExecutor:
    """Worker processes of this machine. See `thermoscan.batch.tasks.Executor`."""

    def __init__(self, workers: int, memory_bytes: int) -> None:
        """Starts the workers.

        Args:
            workers: How many, at least 1.
            memory_bytes: What they may take together; see `WORKER_BYTES`.

        Raises:
            OptionError: ``memory-too-small``: less than what so many workers need.
        """
        share = memory_bytes // workers
        if share < WORKER_BYTES:
            reason = (
                f"a worker needs {WORKER_BYTES} bytes, and {memory_bytes} leave {share} to each "
                f"of {workers}"
            )
            raise OptionError("memory-too-small", reason)
        self._slots = [_Slot(share) for _ in range(workers)]

    @property
    def workers(self) -> int:
        """How many tasks run at once."""
        return len(self._slots)

    def run(self, tasks: Iterable[Task], watch: Watch) -> Iterator[Result]:
        """Yields results as tasks end; see `Executor.run`.

        Raises:
            ClusterError: ``worker-not-started``: no worker process comes up.
        """
        waiting = iter(tasks)
        for slot in self._slots:
            slot.take_next(waiting)
        while busy := [slot for slot in self._slots if slot.future is not None]:
            futures = [slot.future for slot in busy if slot.future is not None]
            wait(futures, timeout=_SECONDS_BETWEEN_NEWS, return_when=FIRST_COMPLETED)
            results = []
            for slot in busy:
                slot.pass_on_news(watch)
                result = slot.result()
                if result is not None:
                    slot.take_next(waiting)
                    results.append(result)
            yield from results

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(self, *exc: object) -> None:
        for slot in self._slots:
            slot.let_go()
        for slot in self._slots:
            slot.end()


class _Slot:
    """One worker: its process, its pipes, and the task that it has."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._task: Task | None = None
        self._died = False
        self._stillborn = 0
        self.future: Future[Result] | None = None
        self._start()

    def _start(self) -> None:
        held, self._life = _CONTEXT.Pipe(duplex=False)
        self._news, told = _CONTEXT.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            1, _CONTEXT, initializer=_begin, initargs=(held, told, self._memory_bytes)
        )
        # The process starts now, not with its first task, and takes its ends of the pipes.
        self._ready = self._pool.submit(os.getpid)
        held.close()
        told.close()

    def _start_anew(self) -> None:
        """Starts another worker in the place of one that is gone.

        Raises:
            ClusterError: ``worker-not-started``.
        """
        self._stillborn = 0 if self._was_ready() else self._stillborn + 1
        self.end()
        if self._stillborn == _MOST_STARTS:
            reason = (
                f"a worker process ended {_MOST_STARTS} times before it was ready; each may take "
                f"{self._memory_bytes} bytes of memory"
            )
            raise ClusterError("worker-not-started", reason)
        self._start()

    def _was_ready(self) -> bool:
        return self._ready.done() and self._ready.exception() is None

    def take_next(self, waiting: Iterator[Task]) -> None:
        """Starts the next of the tasks, if there is one."""
        self._task = next(waiting, None)
        self._died = False
        self.future = self._submit()

    def _submit(self) -> Future[Result] | None:
        while self._task is not None:
            try:
                return self._pool.submit(_work, self._task)
            except BrokenProcessPool:  # it died while it had nothing to do
                self._start_anew()
        return None

    def result(self) -> Result | None:
        """Returns what became of the task, None where it goes on, or is tried again."""
        if self._task is None or self.future is None or not self.future.done():
            return None
        try:
            return self.future.result()
        except BrokenProcessPool:
            is_to_blame = self._was_ready()
            self._start_anew()
            if is_to_blame and self._died:
                return died(self._task)
            self._died |= is_to_blame
            self.future = self._submit()
            return None
        except Exception as error:  # the task or its result did not survive the way
            return failed(self._task, error)

    def pass_on_news(self, watch: Watch) -> None:
        """Tells how far the task is."""
        try:
            while self._news.poll():
                watch(*self._news.recv())
        except (EOFError, OSError):  # it died, which its future says too
            return

    def let_go(self) -> None:
        """Tells the process to end."""
        self._life.close()

    def end(self) -> None:
        """Ends the process at once."""
        self.let_go()
        self._news.close()
        self._pool.shutdown(wait=True, cancel_futures=True)


_told: Connection | None = None


def _begin(held: Connection, told: Connection, memory_bytes: int) -> None:
    """Prepares a worker process."""
    import resource  # noqa: PLC0415 - only a worker needs them

    import thermoscan.batch.worker  # noqa: F401, PLC0415 - now, not when the first task comes

    global _told  # noqa: PLW0603 - what a worker process is told once
    _told = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the worker
    threading.Thread(target=_end_with, args=(held,), daemon=True).start()
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    bound = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def _end_with(held: Connection) -> None:
    """Waits for the other end of a pipe to be closed, and ends this process."""
    held.poll(None)
    os._exit(1)


def _work(task: Task) -> Result:
    """Performs a task in a worker process, and tells now and then how far it is."""
    from thermoscan.batch.worker import perform  # noqa: PLC0415 - the main process scans nothing

    last = time.monotonic()

    def watch(name: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if _told is not None and now - last >= _SECONDS_BETWEEN_NEWS:
            last = now
            _told.send((name, done, total))

    return perform(task, watch)
