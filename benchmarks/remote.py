"""Whole scans of a bf16 Llama in four shards by range, against other ways to fetch the same bytes.

The hub is the tests' own, a process on this machine (`tests/support/loopback_hub`), so that client
and server share its cores; what is added of latency is added to every request. All sides are whole
processes, from start to end, taking turns. The hub's client fetches the same ranges at as many
connections with what huggingface_hub itself uses, and drops what comes; the floor does the same
with urllib3 into a buffer. Both know the ranges beforehand, which a scan finds out. Downloading
first is `snapshot_download` to an empty cache, then a scan of what lies there. A sample is
``--sample 64MB``, which gives other figures than a scan does: each with an interval.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks import data, floor
from benchmarks.processes import Taken, interleaved, median_ratio, scan, take
from benchmarks.remote_clients import MODEL
from benchmarks.report import Row, Target
from benchmarks.scale import Scale
from thermoscan_adapters.hub_folder import CONNECTIONS

SHARE = 0.7
PEAK_MB = 350.0
READ_ONCE = 1.01
SAMPLE = "64MB"

_ROOT = Path(__file__).parents[1]
_CLIENTS = str(Path(__file__).with_name("remote_clients.py"))
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


def measure(scale: Scale) -> Iterator[Row]:
    """Yields what a scan by range asks for, its peak memory, and its rate beside other ways."""
    folder = data.llama(scale, scale.layers)
    files = floor.weight_files(folder)
    size = floor.size_of(files)
    floor.warm(files)
    with tempfile.TemporaryDirectory() as temporary:
        log, requests = Path(temporary) / "log.json", Path(temporary) / "requests.json"
        with hub(folder, 0, log) as endpoint:
            first = _scan(endpoint)
        ranges = _ranges(log)
        requests.write_text(json.dumps({"connections": CONNECTIONS, "ranges": ranges}))
        yield Row(
            "bytes asked for / bytes of the weight files",
            sum(last + 1 - first for _, first, last in ranges) / size,
            target=Target(READ_ONCE, at_most=True),
            how=f"{len(ranges)} ranges of {size / 1e9:.1f} GB at {CONNECTIONS} connections",
        )
        peaks = [first.peak_bytes]
        for latency in scale.latencies_ms:
            with hub(folder, latency) as endpoint:
                yield from _compare(endpoint, requests, latency, size, scale.rounds, peaks)
        yield Row(
            "peak memory of a scan by range",
            max(peaks) / 1e6,
            "MB",
            Target(PEAK_MB, at_most=True),
            f"the most of {len(peaks)} scans",
        )


def _compare(
    endpoint: str, requests: Path, latency: int, size: int, rounds: int, peaks: list[int]
) -> Iterator[Row]:
    """Yields the rate of a scan at one latency, and its share of the others' rates."""

    def by_range() -> float:
        taken = _scan(endpoint)
        peaks.append(taken.peak_bytes)
        return taken.seconds

    sides: Mapping[str, Callable[[], float]] = {
        "scan": by_range,
        "client": lambda: _fetch("client", endpoint, requests),
        "floor": lambda: _fetch("floor", endpoint, requests),
        "download": lambda: _download_and_scan(endpoint),
        "sample": lambda: _scan(endpoint, "--sample", SAMPLE).seconds,
    }
    seconds = interleaved(sides, rounds)
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    yield Row(
        f"{latency} ms: scan by range",
        size / middle["scan"] / 1e9,
        "GB/s",
        how=f"{middle['scan']:.2f} s; slowest of {rounds}: {max(seconds['scan']):.2f} s",
    )
    for name, what, target in (
        ("client", "the hub's own client", Target(SHARE)),
        ("floor", "urllib3 alone, the floor", Target(SHARE)),
        ("download", "download, then scan", None),
    ):
        yield Row(
            f"{latency} ms: rate / {what}",
            median_ratio(seconds[name], seconds["scan"]),
            target=target,
            how=f"{middle['scan']:.2f} s against {middle[name]:.2f} s",
        )
    yield Row(
        f"{latency} ms: time of a sample of {SAMPLE} / of the scan",
        median_ratio(seconds["sample"], seconds["scan"]),
        how=f"{middle['sample']:.2f} s",
    )


def _scan(endpoint: str, *options: str) -> Taken:
    """Runs a scan by range with an empty cache."""
    with tempfile.TemporaryDirectory() as home:
        return scan(MODEL, *options, **environment(endpoint, home))


def _fetch(client: str, endpoint: str, requests: Path) -> float:
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, _CLIENTS, client, endpoint, str(requests)]
        return take(command, **environment(endpoint, home)).seconds


def _download_and_scan(endpoint: str) -> float:
    """Seconds of a download to an empty cache, and of a scan of it by another process."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, _CLIENTS, "download", endpoint]
        seconds = take(command, **environment(endpoint, home)).seconds
        (snapshot,) = Path(home).glob("hub/models--*/snapshots/*")
        return seconds + scan(str(snapshot)).seconds


def environment(endpoint: str, home: str) -> dict[str, str]:
    """Returns what makes a process use the hub at `endpoint`, and `home` as its cache."""
    # Telemetry asks once a day which programs are agents; a home of a day has that already.
    without = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {"HF_ENDPOINT": endpoint, "HF_HOME": home, **without}


def _ranges(log: Path) -> list[tuple[str, int, int]]:
    """Returns the ranges of weights that were asked for: file, first and last byte."""
    found = []
    for each in json.loads(log.read_text()):
        if each["origin"] == "content" and each["method"] == "GET":
            asked = _RANGE.fullmatch(each["range"] or "")
            if asked is None:
                raise RuntimeError(f"not a range: {each['range']}")
            found.append((each["path"].rsplit("/", 1)[-1], int(asked[1]), int(asked[2])))
    return found


@contextmanager
def hub(folder: Path, latency_ms: int, log: Path | None = None) -> Iterator[str]:
    """Serves a folder as `MODEL` from a process of its own; yields the hub's URL."""
    command = [sys.executable, "-m", "support.loopback_hub", str(folder)]
    command += ["--latency-ms", str(latency_ms), *(["--log", str(log)] if log else [])]
    with subprocess.Popen(  # noqa: S603 - our own server
        command,
        cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": "tests"},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            yield _endpoint(server)
        finally:
            server.terminate()


def _endpoint(server: subprocess.Popen[str]) -> str:
    for line in server.stdout or ():
        name, _, value = line.strip().partition("=")
        if name == "HF_ENDPOINT":
            return value
    raise RuntimeError("the hub did not start")
