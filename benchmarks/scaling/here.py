"""Tasks that cost little beside what an executor costs, on this machine.

Workers are processes of one thread each. Unchanged models are told by their key; tiny ones, of
4 kB, are scanned and their four files rendered; small ones are those of the
[benchmarks of batches](benchmarks-batch.md). With two workers of a cluster five processes share
two cores: the scheduler, the workers, this one, which gets the results, and the system. The model
is that of the tables below, given the run with one worker, and that all share the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks import data
from benchmarks.report import Row, Section
from benchmarks.scale import Scale
from benchmarks.scaling import executors
from benchmarks.scaling.executors import Bench, Spent, tasks_of
from benchmarks.scaling.model import Cost, Site, Sizes, Work, estimate
from benchmarks.small_models import small_models
from thermoscan.batch.candidates import Candidate
from thermoscan.batch.tasks import Result, Task
from thermoscan.batch.worker import perform
from thermoscan.options import cores

_TINY_SHARE = 10
_WARM_TASKS = 10
_KINDS: dict[str, Callable[[int], AbstractContextManager[Bench]]] = {
    "processes": executors.processes,
    "Dask": executors.cluster,
}


@dataclass(frozen=True, slots=True)
class Here:
    """What was measured.

    Attributes:
        section: For the page.
        spent: Executor, workers, tasks -> what they took.
        typical: The result of a model with as many layers as a language model has.
    """

    section: Section
    spent: dict[tuple[str, int, str], Spent]
    typical: Result


def measure(scale: Scale) -> Here:
    """Runs tasks of three kinds by each executor with one worker and with two."""
    tasks = _tasks(scale)
    spent: dict[tuple[str, int, str], Spent] = {}
    rows: list[Row] = []
    for name, start in _KINDS.items():
        for workers in (1, 2):
            with start(workers) as bench:
                for each in tasks.values():
                    bench.run(each[:_WARM_TASKS])
                for kind, each in tasks.items():
                    spent[name, workers, kind], _ = bench.run(each)
                    rows += _rows(spent, name, workers, kind)
    about = (__doc__ or "").strip()
    section = Section("Measured: workers on this machine", about, tuple(rows))
    (typical,) = tasks_of([Candidate("typical", str(data.llama(scale, scale.layers)))])
    return Here(section, spent, perform(typical, _unwatched))


def _tasks(scale: Scale) -> dict[str, list[Task]]:
    tiny = data.tiny_file()
    size = tiny.stat().st_size
    count = max(scale.tasks // _TINY_SHARE, 2)
    scanned = tasks_of(Candidate(f"tiny-{k}", str(tiny), bytes=size) for k in range(count))
    key = perform(scanned[0], _unwatched).key or ""
    same = [Candidate(f"same-{k}", str(tiny), bytes=size) for k in range(scale.tasks)]
    small = sorted(small_models(scale).glob("org/*/*"))
    return {
        "unchanged": tasks_of(same, dict.fromkeys((each.name for each in same), key)),
        "tiny": scanned,
        "small": tasks_of(
            Candidate(path.parent.name, str(path), bytes=path.stat().st_size) for path in small
        ),
    }


def _rows(
    spent: dict[tuple[str, int, str], Spent], name: str, workers: int, kind: str
) -> Iterator[Row]:
    taken = spent[name, workers, kind]
    each = 1e3 / taken.models
    how = [f"CPU a model: worker {taken.worker_cpu * each:.1f} ms"]
    if taken.scheduler_cpu:
        how.append(f"scheduler {taken.scheduler_cpu * each:.2f} ms")
    how += [f"this process {taken.own_cpu * each:.2f} ms"]
    if kind == "small":
        how.append(f"{taken.nbytes / taken.seconds / 1e9:.2f} GB/s")
    how.append(f"peak {taken.peak_bytes / 1e6:.0f} MB a worker")
    plural = "s" if workers > 1 else ""
    yield Row(
        f"{name}, {workers} worker{plural}, {kind}",
        taken.models / taken.seconds,
        "models/s",
        how="; ".join(how),
    )
    if workers > 1:
        expected = _expected(spent[name, 1, kind], workers)
        yield Row(
            f"{name}, {workers} worker{plural}, {kind}: time / the model's",
            taken.seconds / expected,
            how=f"{taken.seconds:.2f} s against {expected:.2f} s",
        )


def _unwatched(_name: str, _done: int, _total: int) -> None:
    """Looks away."""


def _expected(one: Spent, workers: int) -> float:
    """Returns the seconds that the model gives, from a run with one worker.

    On one machine all processes share its cores, which are one station more.
    """
    work = Work(
        seconds=Cost(one.seconds / one.models),
        cpu=Cost(one.worker_cpu / one.models),
        scheduler=one.scheduler_cpu / one.models,
        keeping=one.own_cpu / one.models,
    )
    modelled = estimate(one.models, Sizes(1.0, 1.0), work, Site(workers)).seconds
    return max(modelled, (one.worker_cpu + one.scheduler_cpu + one.own_cpu) / cores())
