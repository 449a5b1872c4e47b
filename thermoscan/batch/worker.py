"""What a worker does with a task: the one road, and an outcome in every case.

Takes a `Task`; gives a `Result`. No error leaves it but those that end the process: one model must
not end a batch.
"""

from __future__ import annotations

import time
from dataclasses import replace

from thermoscan.batch.keys import key_of, manner_of
from thermoscan.batch.tasks import Result, Task, Watch, failed
from thermoscan.card import Card
from thermoscan.checkpoint import Checkpoint, OpenOptions
from thermoscan.errors import ChangedError, HubError, LimitError, ThermoscanError
from thermoscan.plugins import adapter_for, reporter
from thermoscan.scanner import compare, survey

ALONE_BYTES = 256_000_000
"""A model of fewer bytes is read by one thread: its siblings keep the other cores busy."""

# The last is of an adapter, which has to be compared with its base entry by entry.
_SKIPS = frozenset({"adapter-alone", "no-weights", "larger-than-asked", "sample-refused"})
# What may be another time, though nothing that a key knows of has changed.
_PASSING = (ChangedError, HubError)


def perform(task: Task, watch: Watch) -> Result:
    """Scans the model of a task, or says why not.

    Args:
        task: What to scan, and what is known of it.
        watch: Called with the candidate's name, bytes done and bytes in all.
    """
    started = time.perf_counter()
    return replace(_outcome(task, watch), seconds=time.perf_counter() - started)


def _outcome(task: Task, watch: Watch) -> Result:
    key: str | None = None
    try:
        key = _key(task)
        if key == task.known and task.digests is None:
            return _result(task, "unchanged", key=key)
        card = _scan(task, watch)
        if key == task.known and digests_of(card) == task.digests:
            return _result(task, "unchanged", key=key)
        files = {name: reporter(renderer).render(card) for name, renderer in task.files.items()}
        return replace(_result(task, "scanned", key=key), card=card, files=files)
    except ThermoscanError as error:
        status = "skipped" if error.code in _SKIPS else "refused"
        lasting = None if isinstance(error, _PASSING) else key
        if lasting is not None and lasting == task.known:
            return _result(task, "unchanged", key=key)
        return _result(task, status, error.code, str(error), lasting)
    except Exception as error:  # a bug of ours, or of a library: said, and tried again next time
        return failed(task, error)


def _result(
    task: Task,
    status: str,
    code: str | None = None,
    reason: str | None = None,
    key: str | None = None,
) -> Result:
    return Result(task.candidate.name, task.candidate.source, status, code, reason, key)


def digests_of(card: Card) -> dict[str, str]:
    """Returns the digest of each weight file, by its name, where all of it was read."""
    return {file.name: file.digest.text for file in card.model.files if file.digest}


def _key(task: Task) -> str:
    candidate = task.candidate
    limits = task.options.limits
    model = OpenOptions(file=candidate.file, limits=limits)
    fingerprints = [adapter_for(candidate.source).fingerprint(candidate.source, model)]
    if candidate.base is not None:
        base = adapter_for(candidate.base)
        fingerprints.append(base.fingerprint(candidate.base, OpenOptions(limits=limits)))
    return key_of(manner_of(candidate, task.options, task.most_bytes), fingerprints)


def _scan(task: Task, watch: Watch) -> Card:
    candidate = task.candidate
    options = replace(task.options, file=candidate.file)
    if options.spectra is not None:  # each thread needs memory for a matrix of its own
        options = replace(options, workers=1)

    def progress(done: int, total: int) -> None:
        watch(candidate.name, done, total)

    if candidate.base is not None:
        if task.most_bytes is not None:
            of_base = OpenOptions(limits=options.limits)
            with adapter_for(candidate.base).open(candidate.base, of_base) as before:
                _check_size(_bytes(before), task.most_bytes)
        return compare(candidate.base, candidate.source, options, progress)
    adapter = adapter_for(candidate.source)
    if options.opening.download and task.most_bytes is not None:  # before it is downloaded
        with adapter.open(candidate.source, replace(options.opening, download=False)) as listed:
            _check_size(_bytes(listed), task.most_bytes)
    with adapter.open(candidate.source, options.opening) as checkpoint:
        size = _bytes(checkpoint)
        _check_size(size, task.most_bytes)
        if size < ALONE_BYTES:
            options = replace(options, workers=1)
        return survey(checkpoint, options, progress)[1]


def _check_size(size: int, most: int | None) -> None:
    """Refuses weights of more bytes than asked for; those of an adapter are its base's."""
    if most is not None and size > most:
        reason = f"its weights have {size} bytes, more than the {most} asked for"
        raise LimitError("larger-than-asked", reason)


def _bytes(checkpoint: Checkpoint) -> int:
    return sum(file.size for file in checkpoint.files if file.status == "scanned")
