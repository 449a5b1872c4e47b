"""How a batch goes on, on stderr: a line for all of it and one for each model that is being read.

Takes what `thermoscan.batch.run.Watcher` is told. Silent where nobody watches, as
`thermoscan.cli.progress` is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from thermoscan.batch.tasks import Result
from thermoscan.cli.progress import bars_of_bytes, is_watched
from thermoscan.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from thermoscan.batch.run import Watcher

_LONGEST_NAME = 40


class _Silent:
    """A `Watcher` that says nothing."""

    def found(self, models: int, nbytes: int) -> None:
        """Says nothing."""

    def reading(self, name: str, done: int, total: int) -> None:
        """Says nothing."""

    def ended(self, result: Result, nbytes: int) -> None:
        """Says nothing."""


class _Lines:
    """A `Watcher` that draws progress bars."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._all = bars.add_task("looking for models", total=None)
        self._models = self._ended = 0
        self._bytes = self._done = 0
        self._read: dict[str, tuple[TaskID, int]] = {}

    def found(self, models: int, nbytes: int) -> None:
        """Adds to what there is to do."""
        self._models += models
        self._bytes += nbytes
        self._draw()

    def reading(self, name: str, done: int, total: int) -> None:
        """Moves the line of a model, which appears with its first news."""
        if name not in self._read:
            shown = printable(name, limit=_LONGEST_NAME)
            self._read[name] = (self._bars.add_task(shown, total=total), 0)
        line, _ = self._read[name]
        self._bars.update(line, completed=done, total=total)
        self._read[name] = (line, done)
        self._draw()

    def ended(self, result: Result, nbytes: int) -> None:
        """Removes the line of a model."""
        self._ended += 1
        self._done += nbytes
        if result.name in self._read:
            self._bars.remove_task(self._read.pop(result.name)[0])
        self._draw()

    def _draw(self) -> None:
        reading = sum(done for _, done in self._read.values())
        self._bars.update(
            self._all,
            description=f"{self._ended:,} of {self._models:,} models",
            completed=min(self._done + reading, self._bytes),
            total=self._bytes,
        )


@contextmanager
def batch_on_stderr(quiet: bool) -> Iterator[Watcher]:
    """Yields what to tell how a batch goes on.

    Args:
        quiet: Whether nothing is to be shown.
    """
    if not is_watched(quiet):
        yield _Silent()
        return
    with bars_of_bytes() as bars:
        yield _Lines(bars)
