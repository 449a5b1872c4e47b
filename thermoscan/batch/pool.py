"""Runs tasks on this machine: one process a worker, started anew where it dies.

Takes the number of workers and the memory that they may take together; gives a
`thermoscan.batch.tasks.Executor`. Each worker has one task at a time and a connection of its own,
so that the task whose worker died is known, and no other is touched by it. The pools of the
standard library share their connections, and wait for ever for the rest of a result whose worker
died while it was sent. What a worker may take is enforced by the system: beyond it an allocation
fails, which ends as a refusal. A worker ends with this process, however that ends: it holds a pipe
of which this process alone has the other end.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait

from thermoscan.batch.tasks import Result, Task, Watch, died, failed
from thermoscan.errors import ClusterError, OptionError

WORKER_BYTES = 300_000_000
"""What a worker needs at most for a checkpoint within `thermoscan.limits.Limits`."""

_SECONDS_BETWEEN_NEWS = 0.25
_READY = "ready"
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
        results: list[Result] = []
        for slot in self._slots:
            results += slot.take_next(waiting)
        yield from results
        while busy := [slot for slot in self._slots if slot.is_busy]:
            results = []
            heard = set(wait([slot.connection for slot in busy]))
            for slot in [each for each in busy if each.connection in heard]:
                result = slot.listen(watch)
                if result is not None:
                    results += [result, *slot.take_next(waiting)]
            yield from results

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(self, *exc: object) -> None:
        for slot in self._slots:
            slot.end()


class _Slot:
    """One worker: its process, its connection, and the task that it has."""

    connection: Connection

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._task: Task | None = None
        self._died = False
        self._stillborn = 0
        self._start()

    def _start(self) -> None:
        held, self._life = _CONTEXT.Pipe(duplex=False)
        self.connection, theirs = _CONTEXT.Pipe()
        self._is_ready = False
        self._process = _CONTEXT.Process(
            target=_serve, args=(theirs, held, self._memory_bytes), daemon=True
        )
        self._process.start()
        # The process alone has these ends now: with it goes the connection.
        theirs.close()
        held.close()

    def _start_anew(self) -> None:
        """Starts another worker in the place of one that is gone.

        Raises:
            ClusterError: ``worker-not-started``.
        """
        self._stillborn = 0 if self._is_ready else self._stillborn + 1
        self.end()
        if self._stillborn == _MOST_STARTS:
            reason = (
                f"a worker process ended {_MOST_STARTS} times before it was ready; each may take "
                f"{self._memory_bytes} bytes of memory"
            )
            raise ClusterError("worker-not-started", reason)
        self._start()

    @property
    def is_busy(self) -> bool:
        """Whether it has a task."""
        return self._task is not None

    def take_next(self, waiting: Iterator[Task]) -> list[Result]:
        """Starts the next of the tasks, if there is one; returns refusals of what cannot be sent.

        Raises:
            ClusterError: ``worker-not-started``.
        """
        refused = []
        for task in waiting:
            self._task, self._died = task, False
            try:
                self._send(task)
            except ClusterError:
                raise
            except Exception as error:
                refused.append(failed(task, error))
            else:
                return refused
        self._task = None
        return refused

    def _send(self, task: Task) -> None:
        while True:
            try:
                self.connection.send(task)
            except OSError:  # it died while it had nothing to do
                self._start_anew()
            else:
                return

    def listen(self, watch: Watch) -> Result | None:
        """Hears what the worker says of its task; returns what became of it, None before that."""
        assert self._task is not None
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return self._after_death(self._task)
        except Exception as error:  # the result cannot be rebuilt here
            return failed(self._task, error)
        if isinstance(message, Result):
            return message
        if message == _READY:
            self._is_ready = True
        else:
            watch(*message)
        return None

    def _after_death(self, task: Task) -> Result | None:
        """Runs the task of a worker that died once more, or refuses it."""
        is_to_blame = self._is_ready
        self._start_anew()
        if is_to_blame and self._died:
            return died(task)
        self._died |= is_to_blame
        self._send(task)
        return None

    def end(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.join()
        self.connection.close()
        self._life.close()


def _serve(connection: Connection, held: Connection, memory_bytes: int) -> None:
    """Performs the tasks that come, in a worker process, until no more can come."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the worker
    threading.Thread(target=_end_with, args=(held,), daemon=True).start()

    from thermoscan.batch.worker import perform  # noqa: PLC0415 - the main process scans nothing

    _bound(memory_bytes)
    try:
        connection.send(_READY)
        while True:
            task = connection.recv()
            result = perform(task, _watch(connection))
            try:
                connection.send(result)
            except OSError:
                raise
            except Exception as error:  # it cannot be pickled, or there is no memory for it
                connection.send(failed(task, error))
    except (EOFError, OSError):  # nobody is there any more
        return


def _bound(memory_bytes: int) -> None:
    """Has the system refuse this process more memory."""
    import resource  # noqa: PLC0415 - only a worker needs it

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    bound = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def _end_with(held: Connection) -> None:
    """Waits for the other end of a pipe to be closed, and ends this process."""
    held.poll(None)
    os._exit(1)


def _watch(connection: Connection) -> Watch:
    """Returns what tells the main process now and then how far a task is."""
    last = time.monotonic()

    def watch(name: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_NEWS:
            last = now
            connection.send((name, done, total))

    return watch
