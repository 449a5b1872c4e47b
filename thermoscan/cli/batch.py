"""``thermoscan batch``: the cards, the catalogue and the index of many models."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thermoscan.cli.options import (
    SEVERITIES,
    assumption_options,
    sample_options,
    sha256_option,
    spectra_asked,
    spectra_options,
)
from thermoscan.errors import OptionError, ThermoscanError
from thermoscan.text import printable

if TYPE_CHECKING:
    from thermoscan.batch.candidates import Candidate, LeftOut
    from thermoscan.batch.run import BatchOptions, Outcome
    from thermoscan.batch.tasks import Executor
    from thermoscan.options import SpectraOptions

BATCH_FOLDER = Path("thermoscan-batch")
INTERRUPTED = 130
_STOPPED = "thermoscan: stopped; the same command goes on from here"
_SHOWN_REFUSALS = 20
_MEMORY_SHARE = 0.75
_STATUSES = ("scanned", "refused", "skipped")


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=str))
@click.option(
    "--list",
    "list_file",
    type=click.Path(allow_dash=True, path_type=str),
    metavar="FILE",
    help="Scan the paths and hub ids in FILE instead, one a line; - is standard input.",
)
@click.option(
    "--hub",
    metavar="QUERY",
    help="Scan a hub's models instead: 'author=ORG, library=transformers, limit=100'.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=BATCH_FOLDER,
    show_default=True,
    help="Folder for cards, index and catalogue.",
)
@click.option(
    "--catalogue",
    metavar="PLACE",
    help="SQLite file or postgresql:// URL.  [default: catalogue.sqlite in --out]",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Skip models whose names match, such as 'old/*'. May be repeated.",
)
@click.option("--max-bytes", metavar="SIZE", help="Skip models with larger weights, such as 20GB.")
@click.option(
    "--verify", is_flag=True, help="Read unchanged models again and compare their digests."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processes that scan.  [default: one a core, as far as --memory reaches]",
)
@click.option(
    "--memory",
    metavar="SIZE",
    help="What all workers may take together.  [default: three quarters of all]",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Scan on a Dask cluster: tcp://HOST:8786, or the path of a scheduler file.",
)
@assumption_options
@sample_options
@spectra_options
@sha256_option
@click.option(
    "--fail-on",
    type=click.Choice(list(SEVERITIES)),
    help="Exit with status 1 when a model is refused or has a finding this severe.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print the path of the index alone.")  # fmt: skip
def batch(
    folder: str | None,
    list_file: str | None,
    hub: str | None,
    out: Path,
    catalogue: str | None,
    exclude: tuple[str, ...],
    max_bytes: str | None,
    verify: bool,
    workers: int | None,
    memory: str | None,
    cluster: str | None,
    activation: str | None,
    initialisation: str | None,
    sample: str | None,
    seed: int,
    spectra: bool,
    max_side: int | None,
    shuffle: bool,
    sha256: bool,
    fail_on: str | None,
    quiet: bool,
) -> None:
    """Scans every model in FOLDER, and writes cards, a catalogue and an index of them.

    Run again, it scans what changed. Stopped at any moment and run again, it goes on.
    """
    how = spectra_asked(spectra, max_side, shuffle, seed)
    # Workers start first: they get ready while this process loads the rest.
    with _stopped_cleanly(), _executor(workers, memory, cluster, how) as executor:
        from thermoscan.batch.run import BatchOptions  # noqa: PLC0415 - not for the help
        from thermoscan.cli.outputs import FILES  # noqa: PLC0415
        from thermoscan.options import SampleSize, ScanOptions, size_in_bytes  # noqa: PLC0415

        options = BatchOptions(
            scan=ScanOptions(
                activation=activation,
                initialisation=initialisation,
                sample=None if sample is None else SampleSize.parse(sample),
                seed=seed,
                sha256=sha256,
                spectra=how,
            ),
            files=FILES,
            exclude=exclude,
            most_bytes=None if max_bytes is None else size_in_bytes(max_bytes),
            verify=verify,
        )
        found = _found(folder, list_file, hub)
        outcome, stopped = _run(found, executor, options, out, catalogue, quiet)
    _report(outcome, quiet, stopped)
    if stopped:
        sys.exit(INTERRUPTED)
    if fail_on and _reaches(outcome, fail_on):
        sys.exit(1)


def _run(
    found: Iterator[Candidate | LeftOut],
    executor: Executor,
    options: BatchOptions,
    out: Path,
    catalogue: str | None,
    quiet: bool,
) -> tuple[Outcome, bool]:
    """Scans what was found, into a folder and a catalogue.

    Returns:
        What became of it, and whether it was stopped.
    """
    from thermoscan.batch.cards import DATABASE, BatchFolder  # noqa: PLC0415 - not for the help
    from thermoscan.batch.run import Batch  # noqa: PLC0415
    from thermoscan.catalogue.store import Catalogue  # noqa: PLC0415
    from thermoscan.cli.batch_progress import batch_on_stderr  # noqa: PLC0415

    stopped = False
    with BatchFolder(out) as target, Catalogue.open(catalogue or out / DATABASE) as opened:
        work = Batch(opened, target, options)
        try:
            with batch_on_stderr(quiet) as watcher:
                work.run(found, executor, watcher)
        except KeyboardInterrupt:
            stopped = True
        except ThermoscanError:
            if work.has_found:  # else the index stays as it was
                work.finish()
            raise
        return work.finish(), stopped


def _found(
    folder: str | None, list_file: str | None, hub: str | None
) -> Iterator[Candidate | LeftOut]:
    """Returns what there is to scan, at the place that was given.

    Raises:
        OptionError: ``places``: none was given, or more than one.
    """
    from thermoscan.plugins import collection_for  # noqa: PLC0415 - not for the help

    places = {"": folder, "list:": list_file, "hub:": hub}
    given = [f"{scheme}{name}" for scheme, name in places.items() if name is not None]
    if len(given) != 1:
        reason = "name one of these: a FOLDER, a --list of models, a --hub query"
        raise OptionError("places", reason)
    (place,) = given
    return collection_for(place).candidates(place)


def _executor(
    workers: int | None, memory: str | None, cluster: str | None, spectra: SpectraOptions | None
) -> Executor:
    """Returns what runs the scans: a cluster, or processes of this machine.

    Raises:
        OptionError: ``workers-of-a-cluster``, ``memory-too-small``.
        ClusterError: The cluster is out of reach.
    """
    from thermoscan.options import cores, size_in_bytes  # noqa: PLC0415 - not for the help

    if cluster is not None:
        if workers is not None or memory is not None:
            reason = "a cluster has the workers and the memory that it was started with"
            raise OptionError("workers-of-a-cluster", reason)
        from thermoscan.batch.cluster import ClusterExecutor  # noqa: PLC0415

        return ClusterExecutor(cluster)
    from thermoscan.batch.memory import memory_bytes  # noqa: PLC0415
    from thermoscan.batch.pool import WORKER_BYTES, ProcessExecutor  # noqa: PLC0415

    budget = int(_MEMORY_SHARE * memory_bytes()) if memory is None else size_in_bytes(memory)
    need = WORKER_BYTES + (0 if spectra is None else spectra.matrix_bytes)
    number = workers or max(1, min(cores(), budget // need))
    return ProcessExecutor(number, budget)


@contextmanager
def _stopped_cleanly() -> Iterator[None]:
    """Makes the signal of a scheduler or a service manager mean what Ctrl-C means.

    The first one interrupts, the next ends the process at once: that is safe at any moment, and to
    interrupt what cleans up is not, since a lock may stay held for ever.
    """
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(_number: int, _frame: object) -> None:
        for each in before:
            signal.signal(each, leave)
        raise KeyboardInterrupt

    def leave(_number: int, _frame: object) -> None:
        os.write(sys.stderr.fileno(), f"{_STOPPED}\n".encode())
        os._exit(INTERRUPTED)

    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    except KeyboardInterrupt:  # before it began
        click.echo(_STOPPED, err=True)
        sys.exit(INTERRUPTED)
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:  # else this process is about to end
            for each, handler in before.items():
                signal.signal(each, handler)


def _report(outcome: Outcome, quiet: bool, stopped: bool) -> None:
    """Prints what became of the models: on stdout, and what is not as asked for on stderr."""
    if stopped:
        click.echo(_STOPPED, err=True)
    if quiet:
        click.echo(outcome.index)
        return
    for name, reason in outcome.refused[:_SHOWN_REFUSALS]:
        text = reason if reason.startswith(f"{name}: ") else f"{name}: {reason}"
        click.echo(f"refused  {printable(text, limit=1000)}")
    if len(outcome.refused) > _SHOWN_REFUSALS:
        click.echo(f"refused  {len(outcome.refused) - _SHOWN_REFUSALS} more, which the index lists")
    if outcome.skipped:
        codes = ", ".join(f"{number:,} {code}" for code, number in sorted(outcome.skipped.items()))
        click.echo(f"skipped  {codes}")
    models = ", ".join(f"{outcome.models[each]:,} {each}" for each in _STATUSES)
    run = ", ".join(f"{outcome.run[each]:,} {each}" for each in (*_STATUSES, "unchanged"))
    click.echo(f"Models: {models}")
    click.echo(f"This run: {run}")
    click.echo(f"Index: {outcome.index}")


def _reaches(outcome: Outcome, fail_on: str) -> bool:
    """Says whether a model is refused, or has a finding of this severity or a worse one."""
    severe = any(outcome.severities[each] for each in SEVERITIES[fail_on])
    return severe or outcome.models["refused"] > 0
