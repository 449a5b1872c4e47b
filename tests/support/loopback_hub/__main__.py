"""Serves folders of models on loopback: ``python -m support.loopback_hub FOLDER``."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path

from .hub import LoopbackHub


def main() -> None:
    parser = argparse.ArgumentParser(prog="support.loopback_hub", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds folders ORG/NAME, or is org/model itself")
    parser.add_argument("--port", type=int, default=0, help="of the hub; by default a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of each request")
    parser.add_argument("--log", type=Path, help="JSON of all requests, written at the end")
    arguments = parser.parse_args()
    # Where a script runs it in the background, SIGINT may be ignored.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with LoopbackHub(port=arguments.port) as hub, contextlib.suppress(KeyboardInterrupt):
        for repo_id, folder in models(arguments.folder):
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            hub.add(repo_id, {path.relative_to(folder).as_posix(): path for path in paths})
            print(repo_id)
        hub.latency_seconds = arguments.latency_ms / 1000
        print(f"HF_ENDPOINT={hub.endpoint}", flush=True)
        hub.wait()
    if arguments.log is not None:
        asked = [
            {"origin": each.origin, "method": each.method, "path": each.path, "range": each.range}
            for each in hub.requests
        ]
        arguments.log.write_text(json.dumps(asked))


def models(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields each folder ORG/NAME in `folder`; one that holds files itself, as org/model."""
    if any(path.is_file() for path in folder.iterdir()):
        yield "org/model", folder
        return
    for path in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        yield path.relative_to(folder).as_posix(), path


if __name__ == "__main__":
    main()
