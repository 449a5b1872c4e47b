"""How long a scan of many models takes, and what it costs: a model in closed form.

Operational analysis (P. J. Denning and J. P. Buzen, "The Operational Analysis of Queueing
Network Models", ACM Computing Surveys 10(3), 1978, https://doi.org/10.1145/356733.356735): no run
is shorter than the busiest of its stations is busy. Stations are the workers together; the largest
model, which one worker reads from its first byte to its last; the hub, by kind of request; the
network of the site; the scheduler, for its
work and for the bytes of results; and the one process that keeps results. Where workers are the
busiest, the run takes no longer than their share and the largest model together (R. L. Graham,
"Bounds on Multiprocessing Timing Anomalies", SIAM Journal on Applied Mathematics 17(2), 1969,
https://doi.org/10.1137/0117039).

Everything is linear in the number of models and their bytes. Times in seconds, sizes in bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Sizes:
    """A log-normal distribution of the bytes of models.

    Attributes:
        median: Half of the models are smaller.
        spread: Standard deviation of the natural logarithm.
    """

    median: float
    spread: float

    @property
    def mean(self) -> float:
        """Bytes of a model on average."""
        return self.median * math.exp(self.spread**2 / 2)

    def mean_up_to(self, most: float) -> float:
        """Returns the mean of what is read of a model, which is `most` bytes at most."""
        if math.isinf(most):
            return self.mean
        if most <= 0:
            return 0.0
        above = (math.log(most / self.median)) / self.spread
        return self.mean * _NORMAL.cdf(above - self.spread) + most * (1 - _NORMAL.cdf(above))

    def largest(self, models: int) -> float:
        """Returns the size that one of so many models exceeds on average."""
        return self.median * math.exp(self.spread * _NORMAL.inv_cdf(1 - 1 / models))


@dataclass(frozen=True, slots=True)
class Cost:
    """What grows with the number of models, and what with their bytes.

    Attributes:
        model: For each model.
        byte: For each byte that is read.
    """

    model: float
    byte: float = 0.0

    def of(self, nbytes: float) -> float:
        """Returns the cost of a model of which so many bytes are read."""
        return self.model + self.byte * nbytes


@dataclass(frozen=True, slots=True)
class Work:
    """What one model asks for.

    Attributes:
        seconds: That a worker has it, waiting included.
        cpu: Seconds of a processor of the worker.
        scheduler: Seconds that the scheduler has it.
        keeping: Seconds that the process has it that keeps results.
        requests: Kind of request -> number.
        most_read: Of a model, at most so many bytes are read: a sample; infinite for all.
        kept: Bytes on disk afterwards.
        sent: Bytes of the result, which comes through the scheduler.
    """

    seconds: Cost
    cpu: Cost
    scheduler: float
    keeping: float
    requests: Mapping[str, Cost] = field(default_factory=dict)
    most_read: float = math.inf
    kept: float = 0.0
    sent: float = 0.0


@dataclass(frozen=True, slots=True)
class Site:
    """What there is to work with.

    Attributes:
        workers: That scan, each one model at a time.
        worker_rate: Bytes a second that reach one of them.
        rate: Bytes a second that reach all of them together.
        scheduler_rate: Bytes a second of results that the scheduler passes on.
        limits: Kind of request -> requests a second that the hub answers.
    """

    workers: int
    worker_rate: float = math.inf
    rate: float = math.inf
    scheduler_rate: float = math.inf
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a scan takes.

    Attributes:
        stations: Name -> seconds that it is busy.
        cpu_seconds: Of all workers, the scheduler and the process that keeps results.
        nbytes: That are transferred.
        requests: Kind -> number.
        kept: Bytes on disk.
    """

    stations: Mapping[str, float]
    cpu_seconds: float
    nbytes: float
    requests: Mapping[str, float]
    kept: float

    @property
    def seconds(self) -> float:
        """No run is shorter."""
        return max(self.stations.values())

    @property
    def busiest(self) -> str:
        """The station that makes it last so long."""
        return max(self.stations, key=lambda name: self.stations[name])


def estimate(models: int, sizes: Sizes, work: Work, site: Site) -> Estimate:
    """Returns what a scan of so many models of such sizes takes."""
    read = sizes.mean_up_to(work.most_read)
    longest = min(sizes.largest(models), work.most_read)
    # What is counted comes over the network meanwhile: the slower of both is waited for.
    worker = Cost(work.seconds.model, max(work.seconds.byte, 1 / site.worker_rate))
    requests = {kind: models * cost.of(read) for kind, cost in work.requests.items()}
    stations = {
        "workers": models * worker.of(read) / site.workers,
        "largest model": worker.of(longest),
        "network": models * read / site.rate,
        "scheduler": models * work.scheduler,
        "results": models * work.sent / site.scheduler_rate,
        "keeping": models * work.keeping,
    }
    stations |= {
        f"hub: {kind}": requests[kind] / limit
        for kind, limit in site.limits.items()
        if kind in requests
    }
    central = models * (work.scheduler + work.keeping)
    return Estimate(
        stations, models * work.cpu.of(read) + central, models * read, requests, models * work.kept
    )
