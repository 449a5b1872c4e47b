"""What is assumed of a hub and of a cluster, in bytes and seconds. Nothing here is measured."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.scaling.model import Sizes

MODELS = 2_000_000
SIZES = Sizes(median=400e6, spread=1.6)
SHARD = 5e9
"""Bytes of a file of a model that has several."""

PAGE = 1_000
"""Models on a page of the hub's list."""

WORKERS = (1, 10, 100, 1_000, 10_000)
WORKER_RATE = 125e6
SITE_RATE = 12.5e9
SCHEDULER_RATE = 1.25e9
"""Bytes a second: to a worker, to all of them together, and of results."""

LIMITS: Mapping[str, Mapping[str, float]] = {
    "Free user": {"API": 1_000 / 300, "files": 5_000 / 300},
    "Enterprise organization": {"API": 6_000 / 300, "files": 50_000 / 300},
}
"""Requests a second of one user, from https://huggingface.co/docs/hub/rate-limits as of September
2025, which has them for five minutes."""
