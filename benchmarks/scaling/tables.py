"""A hub of two million models, computed from what was measured: time, cost, what breaks first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks.report import Matrix
from benchmarks.scaling.assumptions import (
    LIMITS,
    MODELS,
    PAGE,
    SCHEDULER_RATE,
    SHARD,
    SITE_RATE,
    SIZES,
    WORKER_RATE,
    WORKERS,
)  # fmt: skip
from benchmarks.scaling.far import Works
from benchmarks.scaling.model import Cost, Estimate, Site, Work, estimate

_UNLIMITED = "none"
_BASE = "Enterprise organization"
_SENSITIVITY = (
    ("as assumed", SIZES),
    ("half the median", replace(SIZES, median=SIZES.median / 2)),
    ("twice the median", replace(SIZES, median=SIZES.median * 2)),
    ("narrower", replace(SIZES, spread=1.2)),
    ("wider", replace(SIZES, spread=2.0)),
)


@dataclass(frozen=True, slots=True)
class Prices:
    """What an hour of a core and a terabyte transferred cost, in any currency."""

    cpu_hour: float
    terabyte: float

    def of(self, taken: Estimate) -> float:
        """Returns what a scan costs."""
        return taken.cpu_seconds / 3600 * self.cpu_hour + taken.nbytes / 1e12 * self.terabyte


def tables(works: Works, prices: Prices) -> list[Matrix]:
    """Returns the computed part of the page."""
    listed = replace(works.unchanged, seconds=Cost(0), cpu=Cost(0), scheduler=0.0)
    listed = replace(listed, requests={"API": Cost(1 / PAGE)})
    named = {
        "every byte": works.whole,
        "a sample": works.sample,
        "nothing changed": listed,
        "nothing changed, one by one": works.unchanged,
    }
    return [
        _costs(named, prices),
        *(_times(name, named[name]) for name in list(named)[:3]),
        _limits(named),
        _capacities(works),
        _sensitivity(works),
    ]


def site(workers: int, plan: str = _UNLIMITED) -> Site:
    """Returns so many workers under the limits of a plan of the hub."""
    return Site(
        workers, WORKER_RATE, min(SITE_RATE, workers * WORKER_RATE), SCHEDULER_RATE,
        LIMITS.get(plan, {}),
    )  # fmt: skip


def _costs(named: Mapping[str, Work], prices: Prices) -> Matrix:
    about = f"""Extrapolated. Assumed: {MODELS:,} models, whose sizes are log-normal with a
median of {_size(SIZES.median)} and a spread (standard deviation of the natural logarithm) of
{SIZES.spread}, so that the mean is {_size(SIZES.mean)} and the largest
{_size(SIZES.largest(MODELS))}; {_rate(WORKER_RATE)} for each worker, {_rate(SITE_RATE)} for all,
{_rate(SCHEDULER_RATE)} at the scheduler. Processor time and requests are lines through what was
measured of small and of large models; requests for files are those of files of
{_size(SHARD)}. Nothing is
compressed, refused or retried. "Nothing changed" is a query run again (`--hub`), which believes the
commits in the hub's list, {PAGE:,} models a page; of models in a list of names (`--list`) each is
asked for, one by one. Cost is at {prices.cpu_hour:g} for an hour of a core and
{prices.terabyte:g} for 1 TB transferred, in whatever currency: examples to be replaced
(`--cpu-hour`, `--terabyte`), no prices of anybody."""
    lines = []
    for name, work in named.items():
        taken = estimate(MODELS, SIZES, work, site(1))
        lines.append(
            (
                name,
                f"{taken.cpu_seconds / 3600:,.0f} h",
                _size(taken.nbytes),
                *(
                    f"{taken.requests.get(kind, 0.0) / 1e6:.3g} M"
                    for kind in ("API", "files", "ranges")
                ),
                _size(taken.kept),
                f"{prices.of(taken):,.0f}",
            )
        )
    columns = ("", "CPU", "transferred", "requests: API", "files", "ranges", "kept on disk", "cost")
    return Matrix(
        "Extrapolated: what a hub of 2,000,000 models costs", about, columns, tuple(lines)
    )


def _times(name: str, work: Work) -> Matrix:
    about = f"""Extrapolated. The least that it can take, and what is busy all that time: first
where the hub answers whatever is asked, then within the limits of a published plan ({_BASE}).
Only where workers are the busiest does another worker help."""
    lines = []
    for workers in WORKERS:
        free, held = (estimate(MODELS, SIZES, work, site(workers, p)) for p in (_UNLIMITED, _BASE))
        lines.append(
            (f"{workers:,}", _time(free.seconds), free.busiest, _time(held.seconds), held.busiest)
        )
    columns = ("workers", "no limits", "busiest", "within the plan", "busiest")
    return Matrix(f"Extrapolated: time for {name}", about, columns, tuple(lines))


def _limits(named: Mapping[str, Work]) -> Matrix:
    about = """Extrapolated: the least time that the hub's limits alone leave, for one user,
whatever the number of workers. The limits are those of
https://huggingface.co/docs/hub/rate-limits as it was in September 2025, which may have changed:
Free user 1,000 requests to the API and 5,000 for files in five minutes, Enterprise organization
6,000 and 50,000. No limit is published for ranges, which another host answers."""
    lines = []
    for name, work in named.items():
        times = [
            max(
                MODELS * cost.of(SIZES.mean_up_to(work.most_read)) / limits[kind]
                for kind, cost in work.requests.items()
                if kind in limits
            )
            for limits in LIMITS.values()
        ]
        lines.append((name, *map(_time, times)))
    return Matrix("Extrapolated: the hub's limits", about, ("", *LIMITS), tuple(lines))


def _capacities(works: Works) -> Matrix:
    about = """Extrapolated: how many models a second each station can take, within the hub's
published plan, and how many workers are enough to fill it. The lowest breaks first. The
scheduler and the process that keeps results are one process each, on one core: their figures are
their processor time measured above, and Dask speaks of a few hundred microseconds of the
scheduler for a task (https://distributed.dask.org/en/latest/limitations.html)."""
    lines = []
    for name, work in (("every byte", works.whole), ("a sample", works.sample)):
        taken = estimate(
            MODELS, SIZES, work, replace(site(1), rate=SITE_RATE, limits=LIMITS[_BASE])
        )
        one = MODELS / taken.stations["workers"]
        for station, seconds in sorted(taken.stations.items(), key=lambda each: -each[1]):
            if station not in {"workers", "largest model"} and seconds > 0:
                rate = MODELS / seconds
                lines.append((name, station, f"{rate:,.3g}", f"{rate / one:,.0f}"))
    columns = ("", "station", "models/s", "filled by workers")
    return Matrix("Extrapolated: what breaks first", about, columns, tuple(lines))


def _sensitivity(works: Works) -> Matrix:
    about = """Extrapolated: the assumption that matters most is how large models are. With 1,000
workers and no limits of the hub; the largest model is what one worker reads alone."""
    lines = []
    for what, sizes in _SENSITIVITY:
        whole, sample = (
            estimate(MODELS, sizes, work, site(1_000)) for work in (works.whole, works.sample)
        )
        lines.append(
            (
                what, _size(sizes.median), f"{sizes.spread}", _size(sizes.mean),
                _size(whole.nbytes), f"{_time(whole.seconds)} ({whole.busiest})",
                _time(whole.stations["largest model"]),
                _size(sample.nbytes), f"{_time(sample.seconds)} ({sample.busiest})",
            )
        )  # fmt: skip
    columns = (
        "sizes", "median", "spread", "mean", "every byte", "time", "the largest model", "a sample",
        "time",
    )  # fmt: skip
    return Matrix("Extrapolated: sizes", about, columns, tuple(lines))


def _size(nbytes: float) -> str:
    return _scaled(nbytes, 1000, ("B", "kB", "MB", "GB", "TB", "PB", "EB"))


def _rate(nbytes: float) -> str:
    return f"{nbytes * 8 / 1e9:g} Gbit/s"


def _time(seconds: float) -> str:
    for unit, length in (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def _scaled(value: float, step: int, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if value < step:
            return f"{value:.3g} {unit}"
        value /= step
    return f"{value:.3g} {units[-1]}"
