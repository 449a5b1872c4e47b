"""A real Dask cluster on 127.0.0.1: a scheduler and workers, each a process of its own.

By hand, ``PYTHONPATH=tests python -m support.dask_cluster WORKERS`` starts one, prints a line of
JSON, ``address`` and the process ids ``scheduler`` and ``workers``, and ends it with its own input.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from distributed import Client

_TESTS = Path(__file__).parents[1]
_PATIENCE_SECONDS = 30.0


class DaskCluster:
    """A scheduler, and the workers that `start_worker` adds; all of them are killed at the end.

    Workers know the sources of `support.trial_adapter`, as if somebody had installed it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        _install_trial_adapter(folder / "installed")
        self.scheduler = self._start(
            "scheduler", ["--port", "0", "--scheduler-file", str(self.file)]
        )
        wait_for(self.file.exists)

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def start_worker(
        self, threads: int = 1, first_on_path: Sequence[Path] = (), with_site: bool = True
    ) -> subprocess.Popen[bytes]:
        """Starts a worker; returns its process at once.

        Args:
            threads: Of the worker.
            first_on_path: Folders whose modules come before what is installed.
            with_site: Whether it sees thermoscan, which is installed by reference to this folder.
        """
        path = [*map(str, first_on_path), str(self.folder / "installed"), str(_TESTS)]
        if not with_site:
            path += [each for each in sys.path if each.endswith("site-packages")]
        options = ["--nthreads", str(threads), "--no-nanny", "--memory-limit", "0"]
        options += ["--scheduler-file", str(self.file), "--local-directory", str(self.folder)]
        python = [] if with_site else ["-S"]
        return self._start("worker", options, python, PYTHONPATH=os.pathsep.join(path))

    def _start(
        self, role: str, options: list[str], python: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        options += ["--host", "127.0.0.1", "--no-dashboard"]
        log = self.folder / f"{role}-{len(self._processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *python, "-m", f"distributed.cli.dask_{role}", *options],
                cwd=self.folder,  # from the repository's, thermoscan is imported uninstalled
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def stop_workers(self) -> None:
        """Kills the workers, and waits until the scheduler has noticed."""
        for process in self._processes[1:]:
            process.kill()
            process.wait()
        del self._processes[1:]
        self.wait_for_workers(0)

    def wait_for_workers(self, count: int) -> None:
        """Waits until so many workers are there."""
        with Client(self.address, set_as_default=False) as client:
            wait_for(lambda: len(client.nthreads()) == count)

    def retire_workers(self) -> None:
        """Has all workers told to leave."""
        with Client(self.address, set_as_default=False) as client:
            client.retire_workers(list(client.nthreads()))

    def logs(self) -> Mapping[str, str]:
        """Returns what each process wrote."""
        return {path.name: path.read_text() for path in sorted(self.folder.glob("*.log"))}


def wait_for(condition: Callable[[], object], seconds: float = _PATIENCE_SECONDS) -> None:
    """Waits until something is true; fails loudly if it never is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@contextlib.contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """Fails what hangs, with the place where it does."""

    def ring(_signal: int, _frame: object) -> None:
        raise AssertionError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _install_trial_adapter(folder: Path) -> None:
    """Writes what tells a Python that the adapter is installed."""
    about = folder / "trial_adapter-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: trial-adapter\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[thermoscan.adapters]\ntrial = support.trial_adapter:TrialAdapter\n"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, DaskCluster(Path(folder)) as cluster:
        workers = [cluster.start_worker() for _ in range(int(sys.argv[1]))]
        cluster.wait_for_workers(len(workers))
        about = {"address": cluster.address, "scheduler": cluster.scheduler.pid}
        print(json.dumps({**about, "workers": [each.pid for each in workers]}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
