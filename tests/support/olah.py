"""olah, a proxy of the hub by other people, before the loopback hub.

Its own environment is made by ``make .venv-olah/0.5.4``. What it cannot do: revisions that hold a
slash (``refs/pr/1``), the files' sizes in `model_info`, `auth_check`, `list_models`, discussions,
and any write.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.loopback_hub import LoopbackHub

_PYTHON = Path(__file__).parents[2] / ".venv-olah" / "bin" / "python"
_PATIENCE_SECONDS = 60


@contextmanager
def olah(hub: LoopbackHub, folder: Path) -> Iterator[str]:
    """Runs olah before `hub`, with its cache and its output in `folder`; yields its endpoint."""
    assert _PYTHON.exists(), "olah is missing: make .venv-olah/0.5.4"
    port = _free_port()
    at, behind = f"127.0.0.1:{port}", hub.endpoint.removeprefix("http://")
    arguments = f"""
        --host 127.0.0.1 --port {port} --mirror-netloc {at} --mirror-lfs-netloc {at}
        --hf-scheme http --hf-netloc {behind} --hf-lfs-netloc {behind}
        --repos-path repos --log-path logs --metadata-cache-ttl 0
    """.split()  # a time to live of 0: it must ask the hub each time where a branch is
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [_PYTHON, "-m", "olah.server", *arguments],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(port, process, folder / "output")
        yield f"http://{at}"
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"olah does not answer: {output.read_text()}")
