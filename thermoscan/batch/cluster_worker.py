"""What a worker of a cluster runs: a task, and word of how far it is.

Sent to workers by its name, so that each of them needs thermoscan installed, at the same version.
"""

from __future__ import annotations

import time
from dataclasses import replace

from thermoscan.batch.tasks import Result, Task
from thermoscan.batch.worker import perform

_INTERVAL_SECONDS = 0.5


class _AbandonedError(Exception):
    """Nobody waits for this task any more."""


def run(task: Task, topic: str, key: str) -> Result:
    """Performs a task on a worker, with as many threads as the worker has.

    Args:
        task: What to do.
        topic: Of the events that say how far it is: `key`, bytes done, bytes in all.
        key: Dask's name of this run.
    """
    from distributed import get_worker  # noqa: PLC0415 - this machine may do without a cluster

    worker = get_worker()
    spoke = float("-inf")

    def watch(_name: str, done: int, total: int) -> None:
        nonlocal spoke
        now = time.monotonic()
        if now - spoke < _INTERVAL_SECONDS:
            return
        spoke = now
        # Dask ends no thread: who stopped waiting would leave the worker busy to the last byte.
        state = worker.state.tasks.get(key)
        if state is None or state.state == "cancelled":
            raise _AbandonedError
        worker.log_event(topic, [key, done, total])

    options = replace(task.options, workers=worker.state.nthreads)
    return perform(replace(task, options=options), watch)
