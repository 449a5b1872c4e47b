"""Progress on stderr, and only where a person watches: nothing is written to a pipe or a log.

None either where ``HF_HUB_DISABLE_PROGRESS_BARS`` says so. A command that shows no progress tells
huggingface_hub by that variable, which it reads when it is loaded, to show none of its downloads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from thermoscan.cli.environment import NO_PROGRESS, is_set

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from thermoscan.scanner.measure import Progress

Steps = Callable[[str, int, int], None]
"""As `thermoscan.probe.road.Progress`, which this need not import."""


@contextmanager
def progress_on_stderr(quiet: bool, downloads: bool = False) -> Iterator[Progress | None]:
    """Yields what to call with bytes done and in all; None where nobody watches.

    Args:
        quiet: Whether nothing is to be shown.
        downloads: Whether huggingface_hub may show downloads until the bytes are read.
    """
    if not is_watched(quiet):
        yield None
        return
    bar = bars_of_bytes()
    task = bar.add_task("opening", total=None)

    def read(done: int, total: int) -> None:
        bar.update(task, description="reading", completed=done, total=total)
        bar.start()

    try:
        if not downloads:
            bar.start()
        yield read
    finally:
        bar.stop()


@contextmanager
def steps_on_stderr(quiet: bool) -> Iterator[Steps | None]:
    """Yields what to call with a step, how much of it is done, and how much there is of it."""
    if not is_watched(quiet):
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - not needed without a terminal
    from rich.progress import Progress, TaskID  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        opening = bar.add_task("opening", total=None)
        tasks: dict[str, TaskID] = {}

        def step(title: str, done: int, total: int) -> None:
            bar.update(opening, visible=False)
            if title not in tasks:
                tasks[title] = bar.add_task(title)
            bar.update(tasks[title], completed=done, total=total)

        yield step


def bars_of_bytes() -> Bars:
    """Returns bars on stderr, each with its bytes, their rate and the time that is left."""
    from rich import progress as rich  # noqa: PLC0415 - not needed without a terminal
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich.TextColumn("{task.description}", markup=False),  # a name is no markup
        rich.BarColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    return rich.Progress(*columns, console=Console(stderr=True), transient=True)


def is_watched(quiet: bool) -> bool:
    """Says whether to show progress; tells huggingface_hub where there is to be none."""
    if quiet:
        os.environ.setdefault(NO_PROGRESS, "1")
    return not quiet and sys.stderr.isatty() and not is_set(NO_PROGRESS)
