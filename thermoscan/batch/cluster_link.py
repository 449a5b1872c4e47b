"""A connection to a Dask scheduler: tasks go out, news comes in.

The news of everything that happens, in the order in which it is heard: workers that come and go,
tasks that end. Foreign exceptions end here.
"""

from __future__ import annotations

import pkgutil
import platform
import queue
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from thermoscan._version import __version__
from thermoscan.batch import cluster_worker
from thermoscan.batch.cluster_connect import client_class, connect, silence
from thermoscan.batch.tasks import Result, Task
from thermoscan.errors import ClusterError

_TICK_SECONDS = 1.0
_SILENT_SECONDS = 15.0
_ANSWER_SECONDS = 30.0
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker is there that runs this version.

    Attributes:
        address: Of the worker.
        threads: That it was started with.
    """

    address: str
    threads: int


@dataclass(frozen=True, slots=True)
class Left:
    """A worker is gone.

    Attributes:
        address: Of the worker.
        expected: Whether it said so before; else it died, or was cut off.
    """

    address: str
    expected: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A task has ended.

    Attributes:
        key: As it was submitted.
        result: What came of it.
    """

    key: str
    result: Result


@dataclass(frozen=True, slots=True)
class Broken:
    """There will be no more news.

    Attributes:
        error: Why.
    """

    error: ClusterError


News: TypeAlias = Joined | Left | Ended | Broken


class Link:
    """Connects; workers that are there are the first news.

    Args:
        address: URL of a scheduler, or path of the file that it wrote.
        seconds: To wait for it.

    Raises:
        OptionError: ``cluster-address``; or distributed is not installed: ``dask-missing``.
        ClusterError: ``cluster-unreachable``: nothing answers there. ``cluster-version``: the
            scheduler or a worker runs another version.
    """

    def __init__(self, address: str, seconds: float) -> None:
        self.address = address
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._futures: dict[str, Any] = {}
        self._gone: set[str] = set()
        self._topic = f"thermoscan-{uuid.uuid4().hex}"
        self._told: Callable[[str, int, int], None] = lambda _key, _done, _total: None
        self._silent_for = 0.0
        client = client_class()
        with ExitStack() as undo:
            undo.enter_context(silence())
            self._client = connect(client, address, seconds)
            undo.callback(self._disconnect)
            self._greet()
            self._undo = undo.pop_all()

    def tell(self, told: Callable[[str, int, int], None]) -> None:
        """Has `told` called, from a thread of Dask's, with a key, bytes done and bytes in all."""
        self._told = told

    def submit(self, key: str, task: Task, address: str) -> None:
        """Sends a task to one worker; if that is lost, the task runs nowhere else."""
        try:
            future = self._client.submit(
                cluster_worker.run,
                task,
                self._topic,
                key,
                key=key,
                workers=[address],
                allow_other_workers=False,
                pure=False,
            )
        except (OSError, RuntimeError) as error:
            raise self._lost(error) from error
        self._futures[key] = future
        self._client.loop.add_callback(self._await, key, future)

    def drop(self, key: str) -> None:
        """Wants no more of a task; where it still runs, it is told to stop."""
        future = self._futures.pop(key)
        with suppress(OSError, RuntimeError):
            future.cancel()

    def listen(self) -> News | None:
        """Returns the next news, or None after a second without.

        Raises:
            ClusterError: ``cluster-lost``: the scheduler is gone, or has not answered for long;
                ``cluster-failed``: a worker could not run what it was sent.
        """
        try:
            news = self._news.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            self._check_alive()
            return None
        self._silent_for = 0.0
        if isinstance(news, Broken):
            raise news.error
        if isinstance(news, Ended):
            self._futures.pop(news.key, None)
        return news

    def close(self) -> None:
        """Leaves the cluster; what still runs for us is told to stop."""
        self._undo.close()

    def _disconnect(self) -> None:
        self._futures.clear()
        # A scheduler that is gone cannot be left in good order.
        with suppress(OSError, RuntimeError):
            self._client.close(timeout=_CLOSE_SECONDS)

    def _greet(self) -> None:
        """Asks who is there, and has what happens from now on told."""
        client = self._client
        try:
            client.subscribe_topic("all", self._on_event)
            client.subscribe_topic(self._topic, self._on_progress)
            scheduler = client.sync(self._versions, client.run_on_scheduler)
            workers = client.sync(self._versions_of, None)
            threads = client.nthreads()
        except (OSError, RuntimeError) as error:
            raise self._lost(error) from error
        _check("the scheduler", scheduler)
        for address, versions in workers.items():
            _check(f"the worker {address}", versions)
        client.sync(self._join, {each: threads[each] for each in threads.keys() & workers.keys()})

    async def _versions(self, run: Callable[..., Any]) -> str:
        """Returns what the scheduler runs, in words."""
        try:
            ours = await run(*_THERMOSCAN)
        except (ImportError, AttributeError) as error:
            ours = error
        return _in_words(ours, await run(*_PYTHON))

    async def _versions_of(self, workers: list[str] | None) -> dict[str, str]:
        """Returns what workers run, in words: by address, without those that do not answer."""
        run = self._client.run
        ours = await run(*_THERMOSCAN, workers=workers, on_error="return")
        pythons = await run(*_PYTHON, workers=workers, on_error="ignore")
        return {each: _in_words(ours[each], pythons[each]) for each in ours.keys() & pythons.keys()}

    def _on_event(self, event: tuple[float, Mapping[str, Any]]) -> None:
        _, message = event
        if message.get("action") == "add-worker":
            self._gone.discard(message["worker"])
            self._client.loop.add_callback(self._admit, message["worker"])
        elif message.get("action") == "remove-worker":
            self._gone.add(message["worker"])
            self._news.put(Left(message["worker"], bool(message.get("expected"))))

    async def _admit(self, address: str) -> None:
        """Makes news of a worker that came later, if it runs this version."""
        with suppress(OSError, KeyError):  # it does not answer any more
            versions = await self._versions_of([address])
            threads = await self._client.nthreads(workers=[address])
            if versions[address] == _OURS:
                await self._join({address: threads[address]})

    async def _join(self, threads: Mapping[str, int]) -> None:
        """Makes news of workers, but not after the news that one left. Runs where that is heard."""
        for address in threads.keys() - self._gone:
            self._news.put(Joined(address, threads[address]))

    def _on_progress(self, event: tuple[float, tuple[str, int, int]]) -> None:
        _, (key, done, total) = event
        self._told(key, done, total)

    async def _await(self, key: str, future: Any) -> None:
        """Turns the end of a task into news."""
        from distributed import CancelledError, KilledWorker  # noqa: PLC0415 - as everywhere here

        try:
            self._news.put(Ended(key, await future))
        except KilledWorker:
            return  # where a scheduler allows no failure; that the worker left is news of its own
        except (CancelledError, OSError) as error:
            self._break(key, self._lost(error))
        except Exception as error:
            reason = f"a worker could not run a task: {type(error).__name__}: {error}"
            self._break(key, ClusterError("cluster-failed", reason, file=self.address))
        finally:
            future.release()

    def _break(self, key: str, error: ClusterError) -> None:
        """Makes the last news of an error, unless it is of a task that is wanted no more."""
        if key in self._futures:
            self._news.put(Broken(error))

    def _check_alive(self) -> None:
        """Asks the scheduler, after a long silence, whether it is still there."""
        self._silent_for += _TICK_SECONDS
        if self._client.status != "running":
            raise self._lost()
        if self._silent_for >= _SILENT_SECONDS:
            self._silent_for = 0.0
            try:
                # Of no worker: the answer is short.
                self._client.sync(
                    self._client.scheduler.ncores, workers=[], callback_timeout=_ANSWER_SECONDS
                )
            except (OSError, RuntimeError, AttributeError) as error:
                raise self._lost(error) from error

    def _lost(self, error: BaseException | None = None) -> ClusterError:
        why = f": {error}" if error is not None and str(error) else ""
        return ClusterError(
            "cluster-lost",
            "the connection to the scheduler is lost; what was done is kept, and the same command "
            f"goes on from there{why}",
            file=self.address,
        )


_THERMOSCAN = (pkgutil.resolve_name, "thermoscan:__version__")
_PYTHON = (platform.python_version,)
"""Functions that every Python has, so that they can be asked of one without thermoscan."""


def _in_words(ours: object, python: str) -> str:
    name = f"thermoscan {ours}" if isinstance(ours, str) else "no thermoscan"
    return f"{name} on Python {'.'.join(python.split('.')[:2])}"


_OURS = _in_words(__version__, platform.python_version())


def _check(who: str, versions: str) -> None:
    if versions != _OURS:
        raise ClusterError("cluster-version", f"{who} runs {versions}, and this is {_OURS}")
