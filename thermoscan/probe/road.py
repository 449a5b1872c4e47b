"""The road of a probe: the scan's, and at its end the same model run on data.

::

    source -> Checkpoint -> ... -> Card          as a scan
                   └-----> Subject -> Readings -> the same card, with what was measured
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from thermoscan.anatomy import Assumptions
from thermoscan.card import Card
from thermoscan.errors import OptionError, ProbeError
from thermoscan.options import ProbeOptions
from thermoscan.plugins import adapter_for, data_reader_for, runner_for
from thermoscan.probe.card import DataReading, Probing, with_probe
from thermoscan.scanner import survey

if TYPE_CHECKING:
    import torch

    from thermoscan.probe.matching import Matching
    from thermoscan.probe.places import Place
    from thermoscan.probe.reading import Reading
    from thermoscan.probe.subject import Examples, Subject, Task

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

_NEEDED = ("torch", "transformers")


def probe(
    source: str, options: ProbeOptions | None = None, progress: Progress | None = None
) -> Card:
    """Scans a checkpoint, runs the model on data, and returns its card.

    Args:
        source: As `thermoscan.scanner.scan` takes it.
        options: What to run it on and how; None for the defaults.
        progress: Called from the calling thread.

    Raises:
        SourceError: There is nothing to scan at this name.
        CheckpointError: There is a checkpoint, and it cannot be trusted.
        ProbeError: The model cannot be run, or torch is not installed.
        DataError: The data cannot be read, or the model cannot be run on it.
        OptionError: An option makes no sense.
    """
    options, progress = options or ProbeOptions(), progress or _silent
    require_torch()
    scan = options.scan
    if scan.sample is not None:
        raise OptionError("sample-refused", "a model that is run is scanned whole")
    Assumptions.stated(scan.activation, scan.initialisation)  # a typing error is told at once
    data = _data(options)
    adapter = adapter_for(source)
    with adapter.open(source, scan.opening) as checkpoint:
        runner = runner_for(checkpoint)
        limit = options.limits.companion_bytes
        folder = adapter.beside(source, checkpoint, runner.companions, limit)
        subject = runner.load(checkpoint, folder, options.device)
        tasks = _tasks(subject, data, options)
        measurement, card = survey(
            checkpoint, scan, lambda done, total: progress("scan", done, total)
        )
    from thermoscan.probe.matching import match  # noqa: PLC0415 - needs torch

    matching = match(measurement, subject.model, subject.prefix)
    probing = _probing(subject, tasks, matching, options, progress)
    return with_probe(card, measurement.anatomy, probing)


def require_torch() -> None:
    """Makes sure that what runs models is installed.

    Raises:
        ProbeError: ``torch-missing``, with the command that installs it.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        reason = (
            f"to run a model, {' and '.join(missing)} must be installed: "
            "pip install 'thermoscan[torch]'"
        )
        raise ProbeError("torch-missing", reason)


def _data(options: ProbeOptions) -> Examples | None:
    if options.data is None:
        return None
    return data_reader_for(options.data).read(options.data, options.inputs, options.limits)


def _tasks(subject: Subject, data: Examples | None, options: ProbeOptions) -> list[Task]:
    """The data as the model takes it; the reference data first, which may be all there is."""
    sets = [subject.sample(options.seed), *([data] if data else [])]
    return [subject.task(each, options.inputs, options.seed) for each in sets]


def _probing(
    subject: Subject,
    tasks: Sequence[Task],
    matching: Matching,
    options: ProbeOptions,
    progress: Progress,
) -> Probing:
    reference, task = tasks[0], tasks[-1]
    places = matching.places
    run = _reading(subject.model, places, task, "run", progress)
    notes = (*subject.notes, *task.notes)
    other = None
    if reference is not task:
        reading = _reading(subject.model, places, reference, "reference data", progress)
        other = DataReading(reference.description, reading, reference.reason)
        more = [note for note in reference.notes if note not in notes]
        notes += tuple(f"Of the reference data: {note}" for note in more)
    copies = tuple(
        _reading(subject.fresh(options.seed + copy), places, task, f"copy {copy}", progress)
        for copy in range(1, options.copies + 1)
    )
    return Probing(
        objective=task.name,
        device=subject.device,
        seed=options.seed,
        run=DataReading(task.description, run, task.reason),
        reference=other,
        copies=copies,
        unmatched=matching.unmatched,
        notes=notes,
    )


def _reading(
    model: torch.nn.Module,
    places: Sequence[Place],
    task: Task,
    title: str,
    progress: Progress,
) -> Reading:
    from thermoscan.probe.measure import measure  # noqa: PLC0415 - needs torch

    done = 0

    def count(examples: int) -> None:
        nonlocal done
        done += examples
        progress(title, done, task.examples)

    return measure(model, places, task.batches, task.objective, count)


def _silent(_title: str, _done: int, _total: int) -> None:
    """Reports nothing."""
