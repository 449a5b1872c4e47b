"""What goes to a worker and what comes back: frozen values that survive a pipe or a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from thermoscan.batch.candidates import Candidate
from thermoscan.card import Card
from thermoscan.options import ScanOptions
from thermoscan.text import printable


@dataclass(frozen=True, slots=True)
class Task:
    """One model to scan.

    Attributes:
        candidate: Which.
        options: Of the scan; its `file` is the candidate's, its `workers` the worker's own choice.
        most_bytes: Weights of more bytes than this are skipped; None for no such bound.
        known: Key of the last result, where that still stands; None where there is none.
        digests: Name of a weight file -> digest in the last card, where every byte is to be read
            again and compared (``--verify``); None where the key is trusted.
        files: Name of a file to write -> name of the reporter that renders it.
    """

    candidate: Candidate
    options: ScanOptions
    most_bytes: int | None
    known: str | None
    digests: Mapping[str, str] | None
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a task.

    Attributes:
        name: Of the candidate.
        source: Of the candidate.
        status: ``"scanned"``; ``"unchanged"``: the last result still stands; ``"refused"``: it
            cannot be read or trusted; ``"skipped"``: it is not to be scanned.
        code: Of a refusal or skip; else None.
        reason: Of a refusal or skip; else None.
        key: What the result may be known by again; None where the next run is to try again.
        card: Where it was scanned; else None.
        files: Name of a file -> its contents, where it was scanned; else empty.
        seconds: That it took.
    """

    name: str
    source: str
    status: str
    code: str | None = None
    reason: str | None = None
    key: str | None = None
    card: Card | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def died(task: Task) -> Result:
    """Returns the refusal of a task whose worker died, and died again."""
    reason = "its worker died twice: it was killed, or ran out of memory"
    return _to_try_again(task, "worker-died", reason)


def failed(task: Task, error: Exception) -> Result:
    """Returns the refusal of a task for which nothing was foreseen: short memory, or a bug."""
    if isinstance(error, MemoryError):
        reason = "it needs more memory than this worker may take"
        return _to_try_again(task, "out-of-memory", reason)
    reason = f"the scanner failed: {type(error).__name__}: {printable(str(error))}"
    return _to_try_again(task, "scanner-failed", reason)


def _to_try_again(task: Task, code: str, reason: str) -> Result:
    return Result(task.candidate.name, task.candidate.source, "refused", code, reason)


Watch = Callable[[str, int, int], None]
"""Called with the name of a candidate, its bytes done and its bytes in all, now and then."""


class Executor(Protocol):
    """Runs tasks, each in some process. A context manager; leaving it ends what still runs."""

    @property
    def workers(self) -> int:
        """How many tasks run at once, now."""
        ...

    def run(self, tasks: Iterable[Task], watch: Watch) -> Iterator[Result]:
        """Yields the result of each task as it ends, in any order; takes tasks as workers are free.

        A task whose worker dies is run once more, and then refused (``worker-died``). The `watch`
        is called from the calling thread, or from one of the executor's own.

        Raises:
            ClusterError: The workers are out of reach.
        """
        ...

    def __enter__(self) -> Executor:
        """Returns itself."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Ends what still runs."""
        ...
