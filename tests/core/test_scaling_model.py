"""The model of a large scan, against sums by hand, sampled sizes and a run of its workers."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
from scipy.stats import lognorm

from benchmarks.scaling.model import Cost, Site, Sizes, Work, estimate

SIZES = Sizes(median=400e6, spread=1.6)
PLAIN = Work(seconds=Cost(0.5, 1e-9), cpu=Cost(0.2, 0.5e-9), scheduler=0.001, keeping=0.01)


def test_the_mean_size_is_that_of_the_distribution() -> None:
    assert SIZES.mean == pytest.approx(lognorm.mean(SIZES.spread, scale=SIZES.median))


@pytest.mark.parametrize("most", [1e5, 64e6, 400e6, 1e12])
def test_what_a_sample_reads_is_the_mean_of_the_smaller_of_size_and_sample(most: float) -> None:
    drawn = np.random.default_rng(0).lognormal(math.log(SIZES.median), SIZES.spread, 2_000_000)
    expected = np.minimum(drawn, most).mean()
    assert SIZES.mean_up_to(most) == pytest.approx(expected, rel=0.01)


def test_the_largest_model_is_exceeded_by_one_on_average() -> None:
    beyond = lognorm.sf(SIZES.largest(2_000_000), SIZES.spread, scale=SIZES.median)
    assert beyond * 2_000_000 == pytest.approx(1)


def test_one_worker_takes_the_sum_of_its_models() -> None:
    taken = estimate(1000, SIZES, PLAIN, Site(workers=1))
    assert taken.busiest == "workers"
    assert taken.seconds == pytest.approx(1000 * (0.5 + 1e-9 * SIZES.mean))
    assert taken.cpu_seconds == pytest.approx(1000 * (0.2 + 0.5e-9 * SIZES.mean + 0.011))
    assert taken.nbytes == pytest.approx(1000 * SIZES.mean)


@pytest.mark.parametrize("workers", [1, 2, 7, 64])
def test_workers_that_take_the_next_model_when_they_are_free_keep_between_the_bounds(
    workers: int,
) -> None:
    models = 4096
    quantiles = (np.arange(models) + 0.5) / models
    sizes = lognorm.ppf(np.random.default_rng(1).permutation(quantiles), 1.6, scale=400e6)
    seconds = PLAIN.seconds.model + PLAIN.seconds.byte * sizes
    free = [0.0] * workers
    for each in seconds:
        heapq.heappush(free, heapq.heappop(free) + each)
    taken = estimate(models, SIZES, PLAIN, Site(workers))
    busy, longest = taken.stations["workers"], taken.stations["largest model"]
    # The strata's middles miss a little of the tail's mean.
    assert 0.97 * max(busy, float(seconds.max())) <= max(free) <= busy + longest


@pytest.mark.parametrize(
    ("site", "station", "seconds"),
    [
        (Site(10**9), "largest model", 0.5 + 1e-9 * SIZES.largest(10**6)),
        (Site(10**9, rate=1e6), "network", 1e6 * SIZES.mean / 1e6),
        (Site(10**9, limits={"files": 20}), "hub: files", 1e6 * 3 / 20),
        (Site(10**9, limits={"ranges": 1}), "hub: ranges", 1e6 * (2 + 1e-7 * SIZES.mean)),
    ],
)
def test_the_busiest_station_is_the_one_that_is_short(
    site: Site, station: str, seconds: float
) -> None:
    requests = {"files": Cost(3), "ranges": Cost(2, 1e-7)}
    work = Work(PLAIN.seconds, PLAIN.cpu, 0, 0, requests)
    taken = estimate(10**6, SIZES, work, site)
    assert taken.busiest == station
    assert taken.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(("name", "central"), [("scheduler", (0.1, 0)), ("keeping", (0, 0.1))])
def test_what_one_process_does_for_every_model_bounds_the_run(
    name: str, central: tuple[float, float]
) -> None:
    work = Work(PLAIN.seconds, PLAIN.cpu, *central)
    taken = estimate(10**6, SIZES, work, Site(10**9))
    assert (taken.busiest, taken.seconds) == (name, pytest.approx(1e5))


def test_a_worker_waits_for_the_slower_of_its_network_and_its_processor() -> None:
    slow = estimate(1000, SIZES, PLAIN, Site(1, worker_rate=1e8)).seconds
    fast = estimate(1000, SIZES, PLAIN, Site(1, worker_rate=1e12)).seconds
    assert slow == pytest.approx(1000 * (0.5 + SIZES.mean / 1e8))
    assert fast == pytest.approx(1000 * (0.5 + SIZES.mean * 1e-9))


def test_a_sample_reads_and_asks_for_what_it_takes_of_each_model() -> None:
    work = Work(PLAIN.seconds, PLAIN.cpu, 0, 0, {"ranges": Cost(0, 1e-6)}, most_read=64e6, kept=5)
    taken = estimate(1000, SIZES, work, Site(1))
    assert taken.nbytes == pytest.approx(1000 * SIZES.mean_up_to(64e6))
    assert taken.requests["ranges"] == pytest.approx(taken.nbytes * 1e-6)
    assert taken.stations["largest model"] == pytest.approx(0.5 + 0.064)
    assert taken.kept == 5000
