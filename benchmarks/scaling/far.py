"""Scans by range, the requests of each, and what it is to find that nothing changed.

One worker of this machine, of one thread, scans by range from the tests' own hub, which adds
50 ms to each request. The hub is a process of this machine and speaks plain HTTP: what TLS costs is
not in it. Each run comes twice, and the second is measured. Requests are by kind: to the hub's API;
to the hub for a file, which sends on to where the bytes are; and for a range of bytes there. A
sample is ``--sample 64MB``: the small models are smaller, and read whole.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import data, remote
from benchmarks.report import Row, Section
from benchmarks.scale import Scale
from benchmarks.scaling import executors
from benchmarks.scaling.assumptions import SHARD, SIZES
from benchmarks.scaling.executors import Spent, tasks_of
from benchmarks.scaling.here import Here
from benchmarks.scaling.keeping import Keeping
from benchmarks.scaling.model import Cost, Work
from benchmarks.small_models import small_models
from thermoscan.batch.candidates import Candidate
from thermoscan.batch.tasks import Result
from thermoscan.options import SampleSize
from thermoscan_adapters.hub_collection import HubCollection

LATENCY_MS = 50
SAMPLE = SampleSize.parse("64MB")
KINDS = ("API", "files", "ranges")
_MODELS = 40
_TIMES = 2


@dataclass(frozen=True, slots=True)
class Works:
    """What a model of a hub asks for: every byte, a sample, or to see that it is what it was."""

    whole: Work
    sample: Work
    unchanged: Work


@dataclass(frozen=True, slots=True)
class Far:
    """What was measured: for the page, and to compute with."""

    section: Section
    works: Works


@dataclass(frozen=True, slots=True)
class _Asked:
    """A run over models of a hub: what it took and asked for, of each model on average."""

    spent: Spent
    requests: Mapping[str, float]
    nbytes: float
    results: list[Result] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.spent.seconds / self.spent.models

    @property
    def cpu(self) -> float:
        return self.spent.worker_cpu / self.spent.models


def measure(scale: Scale, here: Here, kept: Keeping) -> Far:
    """Scans small models and a large one by range, a sample of it, and what has not changed."""
    small_folder, large_folder = small_models(scale), data.llama(scale, scale.layers)
    small = _ask(small_folder, None)
    again = _ask(small_folder, None, {each.name: each.key or "" for each in small.results})
    large = _ask(large_folder, None)
    sample = _ask(large_folder, SAMPLE)
    runs = {
        "small models": small,
        "small models, unchanged": again,
        f"a model of {large.nbytes / 1e9:.3g} GB": large,
        f"a sample of {sample.nbytes / 1e6:.3g} MB of it": sample,
    }
    rows = [row for name, run in runs.items() for row in _rows(name, run)]
    scanned, same = here.spent["Dask", 2, "small"], here.spent["Dask", 2, "unchanged"]

    # Where a file is kept is asked for each, however long it is and however much of it is read.
    files = large.requests["files"] / data.SHARDS / SHARD

    def work(second: _Asked, files: Cost, most: float) -> Work:
        return Work(
            seconds=_line(small, second, lambda run: run.seconds),
            cpu=_line(small, second, lambda run: run.cpu),
            scheduler=scanned.scheduler_cpu / scanned.models,
            keeping=kept.scanned + scanned.own_cpu / scanned.models,
            requests={
                "API": Cost(small.requests["API"]),
                "files": files,
                "ranges": _line(small, second, lambda run: run.requests["ranges"]),
            },
            most_read=most,
            kept=kept.disk_bytes,
            sent=kept.result_bytes,
        )

    unchanged = Work(
        seconds=Cost(again.seconds),
        cpu=Cost(again.cpu),
        scheduler=same.scheduler_cpu / same.models,
        keeping=kept.unchanged + same.own_cpu / same.models,
        requests={kind: Cost(again.requests[kind]) for kind in KINDS},
        most_read=0.0,
    )
    one = small.requests["files"]
    works = Works(
        work(large, Cost(one, files), math.inf),
        work(sample, Cost(one + files * SIZES.mean), sample.nbytes),
        unchanged,
    )
    section = Section("Measured: scans of a hub", (__doc__ or "").strip(), tuple(rows))
    return Far(section, works)


def _line(first: _Asked, second: _Asked, value: Callable[[_Asked], float]) -> Cost:
    """Returns the line through two runs, over the bytes that were read; it does not fall."""
    slope = max(0.0, (value(second) - value(first)) / (second.nbytes - first.nbytes))
    return Cost(max(0.0, value(first) - slope * first.nbytes), slope)


def _ask(folder: Path, sample: SampleSize | None, known: Mapping[str, str] | None = None) -> _Asked:
    """Runs the first models of a folder, served as a hub, twice; returns the second run."""
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "log.json"
        with remote.hub(folder, LATENCY_MS, log) as endpoint, _at(endpoint, home):
            found = HubCollection(endpoint).candidates(f"hub:limit={_MODELS}")
            tasks = tasks_of((each for each in found if isinstance(each, Candidate)), known, sample)
            with executors.processes(1) as bench:
                for _ in range(_TIMES):
                    spent, results = bench.run(tasks)
        asked = json.loads(log.read_text())
    kinds = Counter(_kind(each) for each in asked)
    nbytes = sum(_length(each["range"]) for each in asked if _kind(each) == "ranges")
    runs = _TIMES * len(tasks)
    return _Asked(spent, {kind: kinds[kind] / runs for kind in KINDS}, nbytes / runs, results)


def _kind(request: Mapping[str, str]) -> str:
    if request["origin"] == "content":
        return "ranges"
    if request["path"].startswith("/api/models/"):
        return "API"
    return "list" if request["path"].startswith("/api/models") else "files"


def _length(text: str | None) -> int:
    if not text:
        return 0
    first, _, last = text.removeprefix("bytes=").partition("-")
    return int(last) + 1 - int(first)


@contextmanager
def _at(endpoint: str, home: str) -> Iterator[None]:
    """Has the processes that are started meanwhile use a hub and an empty cache."""
    before = dict(os.environ)
    os.environ.update(remote.environment(endpoint, home))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _rows(name: str, run: _Asked) -> Iterator[Row]:
    asked = ", ".join(f"{run.requests[kind]:.3g} {kind}" for kind in KINDS)
    yield Row(
        name,
        run.seconds,
        "s a model",
        how=f"CPU {run.cpu:.3g} s; {run.nbytes / 1e6:.4g} MB; requests: {asked}; "
        f"peak {run.spent.peak_bytes / 1e6:.0f} MB",
    )
