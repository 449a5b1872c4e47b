"""Processes of this machine: the same results, whatever happens to one of them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.resource_tracker
import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from support.batches import task_of, write_long
from support.safetensors_files import write_raw, write_tensors
from support.wheels import path_of

from thermoscan.batch.pool import WORKER_BYTES, ProcessExecutor
from thermoscan.batch.tasks import Result, Task
from thermoscan.batch.worker import perform
from thermoscan.errors import ClusterError, OptionError
from thermoscan.options import ScanOptions, SpectraOptions

MEMORY = 4_000_000_000


def silent(_name: str, _done: int, _total: int) -> None:
    """Hears no news."""


def results_of(tasks: list[Task], workers: int = 2) -> dict[str, Result]:
    with ProcessExecutor(workers, MEMORY) as executor:
        return {result.name: result for result in executor.run(tasks, silent)}


def workers_now() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid}


def wait_until_idle(processes: list[psutil.Process]) -> None:
    before = None
    while before != (now := [process.cpu_times()[:2] for process in processes]):
        before = now
        time.sleep(0.5)


def test_the_results_are_those_of_this_process(tmp_path: Path) -> None:
    paths = [path_of("crepe-tiny"), path_of("fracast"), path_of("silero")]
    paths += [write_tensors(tmp_path / f"{k}.safetensors", "a.weight", rows=k) for k in range(2, 9)]
    paths.append(write_raw(tmp_path / "broken.safetensors", b"[]"))
    tasks = [task_of(path) for path in paths]
    results = results_of(tasks)
    assert len(results) == len(tasks)
    for task in tasks:
        here, there = perform(task, silent), results[task.candidate.name]
        assert (there.status, there.code, there.key) == (here.status, here.code, here.key)
        assert there.files == here.files
        assert there.card == here.card
    assert results["broken.safetensors"].code == "format-unknown"


def test_a_task_whose_worker_is_killed_once_is_run_again(tmp_path: Path) -> None:
    tasks = [task_of(write_long(tmp_path / "long.safetensors"))]
    tasks += [task_of(write_tensors(tmp_path / f"{k}.safetensors", "a.weight")) for k in range(5)]
    killed: list[int] = []

    def kill_once(name: str, _done: int, _total: int) -> None:
        if name == "long.safetensors" and not killed:
            killed.extend(workers_now())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    with ProcessExecutor(2, MEMORY) as executor:
        results = {result.name: result for result in executor.run(tasks, kill_once)}
    assert len(killed) == 2
    assert {result.status for result in results.values()} == {"scanned"}
    assert len(results) == len(tasks)


def test_a_task_that_kills_every_worker_is_refused_and_the_others_are_not(tmp_path: Path) -> None:
    tasks = [task_of(write_long(tmp_path / "long.safetensors"))]
    tasks += [task_of(write_tensors(tmp_path / f"{k}.safetensors", "a.weight")) for k in range(5)]
    kills = 0

    with ProcessExecutor(1, MEMORY) as executor:

        def kill_always(name: str, _done: int, _total: int) -> None:
            nonlocal kills
            if name == "long.safetensors":
                kills += 1
                for pid in workers_now():
                    os.kill(pid, signal.SIGKILL)

        results = {result.name: result for result in executor.run(tasks, kill_always)}
    long = results.pop("long.safetensors")
    assert (long.status, long.code, long.key) == ("refused", "worker-died", None)
    assert kills == 2
    assert {result.status for result in results.values()} == {"scanned"}


def test_workers_that_never_come_up_end_the_run_and_blame_no_model(tmp_path: Path) -> None:
    tasks = [task_of(write_tensors(tmp_path / f"{k}.safetensors", "a.weight")) for k in range(5)]
    multiprocessing.resource_tracker.ensure_running()
    python = multiprocessing.spawn.get_executable()
    multiprocessing.set_executable("/bin/false")
    try:
        with ProcessExecutor(2, MEMORY) as executor:
            results = executor.run(tasks, silent)
            with pytest.raises(ClusterError) as failed:
                next(results)
    finally:
        multiprocessing.set_executable(python)
    assert failed.value.code == "worker-not-started"


def test_workers_that_die_while_they_wait_are_replaced(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", "a.weight")

    def tasks():
        for k in range(3):
            yield task_of(path)
            if k == 1:  # the first of two is idle: nothing was left to take
                before = [psutil.Process(pid) for pid in workers_now()]
                for each in before:
                    each.kill()
                while any(each.status() != psutil.STATUS_ZOMBIE for each in before):
                    time.sleep(0.05)

    with ProcessExecutor(1, MEMORY) as executor:
        assert [each.status for each in executor.run(tasks(), silent)] == ["scanned"] * 3


def test_a_result_that_cannot_be_sent_is_a_refusal(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", "a.weight")
    unsendable = replace(task_of(path), files={"card.json": lambda: None})  # type: ignore[dict-item]
    with ProcessExecutor(1, MEMORY) as executor:
        first, second = executor.run([unsendable, task_of(path)], silent)
    assert (first.status, first.code, first.key) == ("refused", "scanner-failed", None)
    assert second.status == "scanned"


def test_a_bound_that_is_set_already_is_not_raised(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", "a.weight")
    script = tmp_path / "main.py"
    script.write_text(
        "import sys, pathlib, resource\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from support.batches import task_of\n"
        "from thermoscan.batch.pool import ProcessExecutor\n"
        "if __name__ == '__main__':\n"
        "    resource.setrlimit(resource.RLIMIT_DATA, (2_000_000_000, 2_000_000_000))\n"
        "    with ProcessExecutor(1, 4_000_000_000) as executor:\n"
        f"        tasks = [task_of(pathlib.Path({str(path)!r}))]\n"
        "        print([each.status for each in executor.run(tasks, lambda *_: None)])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "['scanned']\n"


def test_a_worker_that_dies_while_it_sends_its_result_is_not_waited_for(tmp_path: Path) -> None:
    # The card of so many layers is longer than a pipe holds, so that sending it waits for us.
    large = write_tensors(tmp_path / "large.safetensors", *(f"l{k}.weight" for k in range(3000)))
    small = write_tensors(tmp_path / "small.safetensors", "a.weight")
    done: list[Result] = []
    with ProcessExecutor(2, MEMORY) as executor:
        for result in executor.run([task_of(large), task_of(small)], silent):
            if not done:
                workers = [psutil.Process(pid) for pid in workers_now()]
                wait_until_idle(workers)
                for each in workers:
                    each.kill()
            done.append(result)
    assert {result.name: result.status for result in done} == {
        "large.safetensors": "scanned", "small.safetensors": "scanned",
    }  # fmt: skip


def test_news_of_a_long_scan_arrives_in_order(tmp_path: Path) -> None:
    news: list[tuple[str, int, int]] = []
    task = task_of(write_long(tmp_path / "long.safetensors"))
    with ProcessExecutor(1, MEMORY) as executor:
        (result,) = executor.run([task], lambda *each: news.append(each))
    assert result.status == "scanned"
    assert news == sorted(news)
    assert news
    assert {(name, total) for name, _, total in news} == {("long.safetensors", 1 << 30)}


def test_tasks_are_taken_as_workers_are_free(tmp_path: Path) -> None:
    taken = 0
    path = write_tensors(tmp_path / "model.safetensors", "a.weight")

    def tasks():
        nonlocal taken
        for _ in range(20):
            taken += 1
            yield task_of(path)

    with ProcessExecutor(2, MEMORY) as executor:
        for done, _ in enumerate(executor.run(tasks(), silent), start=1):
            assert taken <= done + 4
    assert taken == 20


def test_leaving_ends_a_worker_in_the_middle_of_a_scan(tmp_path: Path) -> None:
    task = task_of(write_long(tmp_path / "long.safetensors", 60 << 30))

    def interrupt(_name: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    started = workers_now()
    with pytest.raises(KeyboardInterrupt), ProcessExecutor(1, MEMORY) as executor:
        list(executor.run([task], interrupt))
    assert workers_now() <= started


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    long = write_long(tmp_path / "long.safetensors", 60 << 30)
    script = tmp_path / "main.py"
    script.write_text(
        "import sys, pathlib\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from support.batches import task_of\n"
        "from thermoscan.batch.pool import ProcessExecutor\n"
        "if __name__ == '__main__':\n"
        "    with ProcessExecutor(2, 4_000_000_000) as executor:\n"
        f"        tasks = [task_of(pathlib.Path({str(long)!r}))]\n"
        "        list(executor.run(tasks, lambda *news: print('news', flush=True)))\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        assert main.stdout.readline() == "news\n"
        workers = psutil.Process(main.pid).children(recursive=True)
        assert len(workers) >= 2
        main.kill()
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    assert len(gone) == len(workers)


def test_a_model_that_needs_more_memory_than_a_worker_has_is_refused(tmp_path: Path) -> None:
    # An energy is kept for every row, of which there are as many as entries.
    hungry = write_long(tmp_path / "hungry", 400_000_000, columns=1)
    modest = task_of(write_tensors(tmp_path / "modest.safetensors", "a.weight"))
    with ProcessExecutor(1, WORKER_BYTES) as executor:
        results = {r.name: r for r in executor.run([task_of(hungry), modest], silent)}
    assert (results["hungry"].status, results["hungry"].code) == ("refused", "out-of-memory")
    assert results["modest.safetensors"].status == "scanned"


def test_a_spectrum_that_needs_more_memory_than_a_worker_has_is_refused(tmp_path: Path) -> None:
    options = ScanOptions(spectra=SpectraOptions())
    wide = task_of(write_long(tmp_path / "wide", 4 * 6000**2, columns=6000), options=options)
    modest = task_of(write_tensors(tmp_path / "modest", "a.weight", rows=40), options=options)
    with ProcessExecutor(1, WORKER_BYTES) as executor:
        results = {r.name: r for r in executor.run([wide, modest], silent)}
    assert (results["wide"].status, results["wide"].code) == ("refused", "out-of-memory")
    card = results["modest"].card
    assert card is not None and card.layers[0].spectra is not None
    assert card.layers[0].spectra.matrix is not None


def test_less_memory_than_the_workers_need_is_refused() -> None:
    with pytest.raises(OptionError) as refused:
        ProcessExecutor(4, 4 * WORKER_BYTES - 1)
    assert refused.value.code == "memory-too-small"
