"""Tasks on a real Dask cluster: each worker is a process of its own, and dies when it is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.dask_cluster import DaskCluster, alarm, wait_for
from support.safetensors_files import entry, write_raw
from support.trial_adapter import trial

from thermoscan.batch.candidates import Candidate
from thermoscan.batch.cluster import ClusterExecutor
from thermoscan.batch.tasks import Result, Task
from thermoscan.batch.worker import perform
from thermoscan.errors import ClusterError, OptionError
from thermoscan.options import ScanOptions, SpectraOptions

TIMEOUT = 60
FILES = {"card.json": "json", "profile.svg": "profile"}


@pytest.fixture(autouse=True)
def _no_test_hangs() -> Iterator[None]:
    with alarm(TIMEOUT):
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler; each test starts the workers that it needs, and they end with it."""
    with DaskCluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture
def cluster(home: DaskCluster) -> Iterator[DaskCluster]:
    yield home
    home.stop_workers()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model.safetensors")


def write_model(path: Path, rows: int = 64, seed: int = 0) -> Path:
    weights = np.random.default_rng(seed).standard_normal((rows, 64), dtype=np.float32)
    save_file({"layers.0.weight": weights, "layers.1.weight": weights[::-1].copy()}, path)
    return path


def write_zeros(path: Path, megabytes: int) -> Path:
    """Writes a model whose weights take no room on the disk."""
    size = megabytes << 20
    write_raw(path, {"layers.0.weight": entry("F32", [size // 1024, 256], 0, size)})
    os.truncate(path, path.stat().st_size + size)
    return path


def task(name: str, source: Path | str, **about: object) -> Task:
    """A task on a small model, unless `bytes` says otherwise."""
    candidate = Candidate(name, str(source), bytes=int(about.pop("bytes", 1000)))  # type: ignore[call-overload]
    return replace(Task(candidate, ScanOptions(), None, None, None, FILES), **about)


def run(cluster: DaskCluster, tasks: Iterable[Task]) -> list[Result]:
    """Runs tasks to the end; the results in the order of their names."""
    with ClusterExecutor(cluster.address) as executor:
        return sorted(executor.run(tasks, unwatched), key=lambda result: result.name)


def unwatched(_name: str, _done: int, _total: int) -> None:
    """Looks away."""


def outcomes(results: Iterable[Result]) -> dict[str, str]:
    return {result.name: result.code or result.status for result in results}


def test_results_are_those_of_this_process_whatever_becomes_of_the_model(
    cluster: DaskCluster, tmp_path: Path
) -> None:
    cluster.start_worker()
    cluster.start_worker(threads=2)
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"\xff" * 100)
    whole = [write_model(tmp_path / f"{seed}.safetensors", 64 + seed, seed) for seed in range(6)]
    tasks = [task(path.name, path) for path in [*whole, torn]]
    spectra = ScanOptions(spectra=SpectraOptions(max_side=48, shuffle=True))
    tasks.append(task("spectra", whole[2], options=spectra))
    tasks.append(task("nothing", tmp_path / "nothing.safetensors"))
    tasks.append(task("large", whole[0], most_bytes=10))
    tasks.append(task("known", whole[1], known=perform(tasks[1], unwatched).key))
    here = sorted((perform(each, unwatched) for each in tasks), key=lambda result: result.name)
    there = run(cluster, tasks)
    assert [replace(result, seconds=0) for result in there] == [
        replace(result, seconds=0) for result in here
    ]
    (card,) = [result.card for result in there if result.name == "spectra"]
    assert card is not None and card.spectra is not None and card.spectra.sampled == 2
    assert {result.status for result in there} == {"scanned", "refused", "skipped", "unchanged"}
    assert all(set(result.files) == set(FILES) for result in there if result.status == "scanned")


def test_a_scheduler_is_also_found_by_the_file_that_it_wrote(
    cluster: DaskCluster, model: Path
) -> None:
    cluster.start_worker()
    with ClusterExecutor(str(cluster.file)) as executor:
        assert outcomes(executor.run([task("a", trial("plain", model))], unwatched)) == {
            "a": "scanned"
        }


def test_no_tasks_are_done_without_a_worker(cluster: DaskCluster) -> None:
    assert run(cluster, []) == []


def test_progress_comes_from_the_worker_with_the_name_of_the_model(
    cluster: DaskCluster, tmp_path: Path
) -> None:
    cluster.start_worker()
    path = write_zeros(tmp_path / "long.safetensors", 96)
    seen: list[tuple[str, int, int]] = []
    with ClusterExecutor(cluster.address) as executor:
        slow = task("long", trial("slow", path), bytes=path.stat().st_size)
        assert outcomes(executor.run([slow], lambda *told: seen.append(told))) == {
            "long": "scanned"
        }
    assert len(seen) >= 2
    assert {name for name, _, _ in seen} == {"long"}
    assert {total for _, _, total in seen} == {96 << 20}
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})


def test_tasks_are_taken_as_workers_are_free_and_results_come_as_they_end(
    cluster: DaskCluster, model: Path
) -> None:
    cluster.start_worker()
    taken = []

    def tasks() -> Iterator[Task]:
        for number in range(1000):
            taken.append(number)
            yield task(f"{number}", trial("plain", model))

    most_ahead = 0
    with ClusterExecutor(cluster.address) as executor:
        for count, result in enumerate(executor.run(tasks(), unwatched)):
            assert result.status == "scanned"
            most_ahead = max(most_ahead, len(taken) - count)
            if count == 50:
                break
    assert most_ahead <= 4  # one that runs, one that waits there, one here, the one that came


def test_hundreds_of_tiny_tasks_leave_nothing_on_the_scheduler(
    cluster: DaskCluster, model: Path
) -> None:
    from distributed import Client

    cluster.start_worker()
    cluster.start_worker()
    (first,) = run(cluster, [task("0", trial("plain", model))])
    known = (task(f"{k}", trial("plain", model), known=first.key) for k in range(300))
    with ClusterExecutor(cluster.address) as executor:
        results = list(executor.run(known, unwatched))
        assert {result.status for result in results} == {"unchanged"}
        assert len({result.name for result in results}) == 300
        with Client(cluster.address, set_as_default=False) as client:
            wait_for(lambda: not client.who_has())  # of every task that the scheduler knows


def test_a_model_whose_worker_is_killed_is_scanned_by_another_and_nothing_else_is_lost(
    cluster: DaskCluster, tmp_path: Path, model: Path
) -> None:
    doomed = cluster.start_worker()
    held = write_model(tmp_path / "held.safetensors")
    tasks = [task("held", trial("hold", held)), *plain(model, 20)]
    done = []
    with ClusterExecutor(cluster.address) as executor:
        running = executor.run(tasks, unwatched)

        def kill_in_the_middle() -> None:
            wait_for(Path(f"{held}.held").exists)
            cluster.start_worker()
            doomed.kill()
            Path(f"{held}.go").touch()

        killer = threading.Thread(target=kill_in_the_middle)
        killer.start()
        done = list(running)
        killer.join()
    assert outcomes(done) == dict.fromkeys([each.candidate.name for each in tasks], "scanned")


def plain(model: Path, count: int) -> list[Task]:
    return [task(f"plain-{k:03}", trial("plain", model)) for k in range(count)]


def test_a_model_that_kills_every_worker_has_two_of_them_and_takes_no_other_model_along(
    cluster: DaskCluster, tmp_path: Path, model: Path
) -> None:
    for _ in range(3):
        cluster.start_worker()
    killer = write_model(tmp_path / "killer.safetensors")
    tasks = plain(model, 40)
    tasks.insert(7, task("killer", trial("kill", killer)))
    results = outcomes(run(cluster, tasks))
    assert results.pop("killer") == "worker-died"
    assert results == {f"plain-{k:03}": "scanned" for k in range(40)}
    assert len(set(Path(f"{killer}.killed").read_text().split())) == 2


def test_a_model_that_kills_a_worker_once_is_scanned(
    cluster: DaskCluster, tmp_path: Path, model: Path
) -> None:
    for _ in range(2):
        cluster.start_worker()
    once = write_model(tmp_path / "once.safetensors")
    tasks = [task("once", trial("kill-once", once)), *plain(model, 5)]
    assert set(outcomes(run(cluster, tasks)).values()) == {"scanned"}


def test_models_that_run_beside_a_killer_in_a_worker_of_many_threads_are_scanned(
    cluster: DaskCluster, tmp_path: Path, model: Path
) -> None:
    for _ in range(3):
        cluster.start_worker(threads=4)
    killer = write_model(tmp_path / "killer.safetensors")
    tasks = [task("killer", trial("kill", killer)), *plain(model, 12)]
    results = outcomes(run(cluster, tasks))
    assert results.pop("killer") == "worker-died"
    assert set(results.values()) == {"scanned"}


def test_a_worker_that_joins_late_takes_work(
    cluster: DaskCluster, tmp_path: Path, model: Path
) -> None:
    held = write_model(tmp_path / "held.safetensors")
    # A large one: nothing is sent to wait behind it.
    tasks = [task("held", trial("hold", held), bytes=10**9), *plain(model, 5)]
    with ClusterExecutor(cluster.address) as executor:
        assert executor.workers == 0
        cluster.start_worker()
        running = executor.run(tasks, unwatched)
        timer = threading.Thread(
            target=lambda: (wait_for(Path(f"{held}.held").exists), cluster.start_worker())
        )
        timer.start()
        early = [next(running).name for _ in range(5)]
        assert executor.workers == 2
        Path(f"{held}.go").touch()
        late = [result.name for result in running]
        timer.join()
    assert early == sorted(early)
    assert late == ["held"]


def test_a_worker_that_is_told_to_leave_is_not_blamed_on_its_models(
    cluster: DaskCluster, tmp_path: Path
) -> None:
    held = write_model(tmp_path / "held.safetensors")
    with ClusterExecutor(cluster.address) as executor:
        running = executor.run([task("held", trial("hold", held))], unwatched)
        leaving = [cluster.start_worker()]

        def leave_three_times() -> None:
            for _ in range(3):
                wait_for(Path(f"{held}.held").exists)
                Path(f"{held}.held").unlink()
                cluster.retire_workers()
                leaving.append(cluster.start_worker())
            Path(f"{held}.go").touch()

        stage = threading.Thread(target=leave_three_times)
        stage.start()
        assert outcomes(running) == {"held": "scanned"}
        stage.join()


def test_a_scheduler_that_is_killed_ends_the_run_with_what_was_done_kept(
    tmp_path: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    held = write_model(tmp_path / "held.safetensors")
    folder = tmp_path / "own"
    folder.mkdir()
    with DaskCluster(folder) as cluster:
        cluster.start_worker()
        cluster.start_worker()
        done = []
        with (
            pytest.raises(ClusterError) as caught,
            ClusterExecutor(cluster.address) as executor,
        ):
            large = task("held", trial("hold", held), bytes=10**9)
            for result in executor.run([large, *plain(model, 3)], unwatched):
                done.append(result.name)
                if len(done) == 3:
                    cluster.scheduler.kill()
    assert caught.value.code == "cluster-lost"
    assert "goes on from there" in caught.value.reason
    assert done == ["plain-000", "plain-001", "plain-002"]
    assert capfd.readouterr() == ("", "")


def test_a_scheduler_that_closes_ends_the_run_though_nothing_runs(tmp_path: Path) -> None:
    with DaskCluster(tmp_path) as cluster, ClusterExecutor(cluster.address) as executor:
        closing = threading.Timer(0.2, cluster.scheduler.terminate)
        closing.start()
        with pytest.raises(ClusterError) as caught:
            list(executor.run([task("a", "/nowhere")], unwatched))
        closing.join()
    assert caught.value.code == "cluster-lost"


def test_nothing_at_an_address_is_said_in_the_time_given(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ClusterError) as caught:
        ClusterExecutor("tcp://127.0.0.1:9", connect_seconds=0.5).__enter__()
    assert caught.value.code == "cluster-unreachable"
    assert caught.value.file == "tcp://127.0.0.1:9"
    assert capfd.readouterr() == ("", "")


def test_a_port_that_speaks_something_else_is_unreachable_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(ClusterError) as caught:
            ClusterExecutor(address, connect_seconds=0.5).__enter__()
    assert caught.value.code == "cluster-unreachable"


@pytest.mark.parametrize("scheme", ["tls", "wss"])
def test_an_encrypted_address_without_certificates_is_an_option_that_makes_no_sense(
    scheme: str,
) -> None:
    with pytest.raises(OptionError) as caught:
        ClusterExecutor(f"{scheme}://127.0.0.1:9").__enter__()
    assert caught.value.code == "cluster-tls"


@pytest.mark.parametrize("address", ["localhost", "nowhere.json", "carrier-pigeon://x:1", ""])
def test_what_is_no_address_is_an_option_that_makes_no_sense(address: str) -> None:
    with pytest.raises(OptionError) as caught:
        ClusterExecutor(address, connect_seconds=1).__enter__()
    assert caught.value.code == "cluster-address"


def test_a_file_that_no_scheduler_wrote_is_an_option_that_makes_no_sense(tmp_path: Path) -> None:
    for number, content in enumerate(["{", "[]", '{"id": 1}']):
        path = tmp_path / f"{number}.json"
        path.write_text(content)
        with pytest.raises(OptionError) as caught:
            ClusterExecutor(str(path), connect_seconds=1).__enter__()
        assert caught.value.code == "cluster-address"


def test_without_workers_for_long_the_run_ends(cluster: DaskCluster, model: Path) -> None:
    with (
        pytest.raises(ClusterError) as caught,
        ClusterExecutor(cluster.address, empty_seconds=0.1) as executor,
    ):
        list(executor.run(plain(model, 1), unwatched))
    assert caught.value.code == "cluster-empty"


def test_a_worker_of_another_version_is_refused_at_the_start_and_left_out_later(
    cluster: DaskCluster, tmp_path: Path, model: Path
) -> None:
    other = tmp_path / "thermoscan"
    other.mkdir()
    (other / "__init__.py").write_text('__version__ = "9.9"\n')
    with ClusterExecutor(cluster.address) as executor:
        cluster.start_worker(first_on_path=[tmp_path])
        cluster.wait_for_workers(1)
        cluster.start_worker()
        assert set(outcomes(executor.run(plain(model, 5), unwatched)).values()) == {"scanned"}
        assert executor.workers == 1
    with pytest.raises(ClusterError) as caught:
        ClusterExecutor(cluster.address).__enter__()
    assert caught.value.code == "cluster-version"
    from thermoscan import __version__

    assert "thermoscan 9.9" in caught.value.reason
    assert f"thermoscan {__version__}" in caught.value.reason


def test_a_worker_without_thermoscan_is_refused(cluster: DaskCluster) -> None:
    cluster.start_worker(with_site=False)
    cluster.wait_for_workers(1)
    with pytest.raises(ClusterError) as caught:
        ClusterExecutor(cluster.address).__enter__()
    assert caught.value.code == "cluster-version"
    assert "no thermoscan" in caught.value.reason


_RUN_FOR_LONG = """
import sys
from thermoscan.batch.candidates import Candidate
from thermoscan.batch.cluster import ClusterExecutor
from thermoscan.batch.tasks import Task
from thermoscan.options import ScanOptions
task = Task(Candidate("long", sys.argv[2]), ScanOptions(), None, None, None, {})
try:
    with ClusterExecutor(sys.argv[1]) as executor:
        list(executor.run([task], lambda *_: print("progress", flush=True)))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_its_workers_free_at_once(
    cluster: DaskCluster, tmp_path: Path, model: Path, ending: signal.Signals
) -> None:
    cluster.start_worker()
    path = write_zeros(tmp_path / "long.safetensors", 4096)
    command = [sys.executable, "-c", _RUN_FOR_LONG, cluster.address, trial("slow", path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "progress\n"
        process.send_signal(ending)
        _, said = process.communicate()
    assert process.returncode in {-signal.SIGKILL, 130}
    assert said == ""
    assert outcomes(run(cluster, plain(model, 3))) == {f"plain-{k:03}": "scanned" for k in range(3)}
