"""Fetches a model from a hub in ways that a scan is compared with: ``CLIENT ENDPOINT [REQUESTS]``.

A program of its own, so that whole processes are compared. REQUESTS is a JSON file: `connections`,
and `ranges`, each with the file's path, its first and its last byte.

    client     huggingface_hub's own HTTP client, each piece dropped as it comes
    floor      urllib3, read into a buffer for each connection, nothing else
    download   `snapshot_download` of everything, whose cache ``HF_HOME`` names
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

MODEL = "org/model"
_PIECE = 2 << 20

Fetch: TypeAlias = Callable[[str, int, int], int]


def _client(endpoint: str, files: set[str]) -> Fetch:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined] # noqa: PLC0415

    urls = {file: hf_hub_url(MODEL, file, endpoint=endpoint) for file in files}
    links = {file: get_hf_file_metadata(url).location for file, url in urls.items()}

    def fetch(file: str, first: int, last: int) -> int:
        headers = {"Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
        with get_session().stream("GET", links[file], headers=headers) as response:
            return sum(len(piece) for piece in response.iter_raw())

    return fetch


def _floor(endpoint: str, files: set[str]) -> Fetch:
    import urllib3  # noqa: PLC0415

    pool = urllib3.PoolManager(maxsize=64)
    local = threading.local()

    def resolve(file: str) -> str:
        url = f"{endpoint}/{MODEL}/resolve/main/{file}"
        return str(pool.request("HEAD", url, redirect=False).headers["Location"])

    links = {file: resolve(file) for file in files}

    def fetch(file: str, first: int, last: int) -> int:
        if not hasattr(local, "buffer"):
            local.buffer = bytearray(_PIECE)
        headers = {"Range": f"bytes={first}-{last}"}
        response: Any = pool.request("GET", links[file], headers=headers, preload_content=False)
        got = 0
        while count := response.readinto(memoryview(local.buffer)[: last + 1 - first - got]):
            got += count
        response.release_conn()
        return got

    return fetch


def _fetch_all(connect: Callable[[str, set[str]], Fetch], endpoint: str, requests: Path) -> None:
    """Fetches all ranges; fails where a byte is missing."""
    asked = json.loads(requests.read_text())
    ranges = asked["ranges"]
    fetch = connect(endpoint, {file for file, _, _ in ranges})
    with ThreadPoolExecutor(asked["connections"]) as pool:
        got = sum(pool.map(lambda each: fetch(*each), ranges))
    missing = sum(last + 1 - first for _, first, last in ranges) - got
    if missing:
        sys.exit(f"{missing} bytes are missing")


def main(client: str, endpoint: str, requests: str = "") -> None:
    """Runs one of the clients."""
    if client == "download":
        from huggingface_hub import snapshot_download  # noqa: PLC0415

        snapshot_download(MODEL, endpoint=endpoint)
    else:
        _fetch_all({"client": _client, "floor": _floor}[client], endpoint, Path(requests))


if __name__ == "__main__":
    main(*sys.argv[1:])
