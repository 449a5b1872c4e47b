"""What the pages on batches and scaling are made of: models, processes, results, tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import report, small_models, watching
from benchmarks.scale import SMALL
from benchmarks.scaling import executors, keeping, tables
from benchmarks.scaling.assumptions import LIMITS, MODELS, SIZES, WORKER_RATE, WORKERS
from benchmarks.scaling.far import Works, line
from benchmarks.scaling.model import Cost, Work
from thermoscan.batch.candidates import Candidate
from thermoscan.batch.worker import perform
from thermoscan.checkpoint import OpenOptions
from thermoscan.plugins import adapter_for


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERMOSCAN_BENCH_DIR", str(tmp_path / "bench"))


def test_small_models_come_in_every_format_at_the_sizes_that_are_asked_for() -> None:
    files = sorted(small_models.small_models(SMALL).glob("org/*/*"))
    assert len(files) == SMALL.small_models
    assert {path.name for path in files} == {"model.safetensors", "pytorch_model.bin"}
    least, most = SMALL.model_bytes
    assert all(0.7 * least < path.stat().st_size < 1.3 * most for path in files)
    # An archive, a bare pickle, or the length of a header.
    firsts = {"zip" if path.read_bytes()[:2] == b"PK" else path.suffix for path in files}
    assert firsts == {"zip", ".bin", ".safetensors"}
    labels = set()
    for path in files:
        with adapter_for(str(path)).open(str(path), OpenOptions()) as checkpoint:
            labels |= {tensor.dtype.label for tensor in checkpoint.tensors}
            assert len(checkpoint.tensors) >= 2
    assert labels == {"F32", "BF16", "F16"}


def test_a_process_and_its_children_are_watched_apart() -> None:
    child = "b = bytearray(150 << 20); import time; time.sleep(0.3)"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    taken = watching.run([sys.executable, "-c", parent])
    assert taken.children_peak_bytes > 150 << 20 > taken.peak_bytes > 1 << 20
    assert taken.seconds > 0.3


def test_a_command_that_fails_stops_the_run_with_what_it_said() -> None:
    with pytest.raises(RuntimeError, match="no such luck"):
        watching.run([sys.executable, "-c", "raise SystemExit('no such luck')"])


def test_what_tasks_take_is_counted_and_a_refused_one_measures_nothing(tmp_path: Path) -> None:
    files = sorted(small_models.small_models(SMALL).glob("org/*/*"))[:3]
    tasks = executors.tasks_of(
        Candidate(path.parent.name, str(path), bytes=path.stat().st_size) for path in files
    )
    with executors.processes(1) as bench:
        spent, results = bench.run(tasks)
        with pytest.raises(RuntimeError, match="nothing-there"):
            bench.run(executors.tasks_of([Candidate("nothing-there", str(tmp_path / "none"))]))
    assert spent.models == len(results) == 3
    assert spent.nbytes == sum(path.stat().st_size for path in files)
    assert spent.peak_bytes > 20e6
    assert spent.worker_cpu > 0 == spent.scheduler_cpu


def test_keeping_a_result_is_measured_with_its_files_on_the_disk() -> None:
    (file, *_) = small_models.small_models(SMALL).glob("org/*/*")
    (task,) = executors.tasks_of([Candidate("typical", str(file))])
    result = perform(task, lambda _name, _done, _total: None)
    kept = keeping.measure(SMALL, result)
    assert kept.result_bytes == sum(len(text.encode()) for text in result.files.values())
    assert kept.disk_bytes > kept.result_bytes
    assert kept.scanned > 0 < kept.unchanged


@pytest.mark.parametrize(
    ("first", "second", "model", "byte"),
    [((10, 7), (20, 9), 5, 0.2), ((10, 7), (20, 7), 7, 0), ((10, 1), (20, 40), 0, 2)],
)
def test_a_cost_is_the_line_through_two_runs_and_never_begins_below_nothing(
    first: tuple[float, float], second: tuple[float, float], model: float, byte: float
) -> None:
    found = line(first, second)
    assert (found.model, found.byte) == (pytest.approx(model), pytest.approx(byte))


REQUESTS = {"API": Cost(4), "files": Cost(1), "ranges": Cost(2, 1e-7)}
WHOLE = Work(Cost(0.5, 1e-9), Cost(0.05, 1e-9), 0.001, 0.02, REQUESTS, sent=1e5, kept=1e5)
SAMPLE = Work(Cost(0.5, 1e-8), Cost(0.05, 1e-8), 0.001, 0.02, REQUESTS, most_read=64e6)
SAME = Work(Cost(0.1), Cost(0.01), 0.001, 0.001, {"API": Cost(2)}, most_read=0)


def test_the_tables_hold_what_the_model_says_of_every_number_of_workers() -> None:
    made = {
        each.title: each for each in tables.tables(Works(WHOLE, SAMPLE, SAME), tables.Prices(2, 3))
    }
    assert all(title.startswith("Extrapolated") for title in made)
    costs = {
        line[0]: line for line in made["Extrapolated: what a hub of 2,000,000 models costs"].lines
    }
    hours = MODELS * (0.05 + 1e-9 * SIZES.mean + 0.021) / 3600
    assert costs["every byte"][1] == f"{hours:,.0f} h"
    terabytes = MODELS * SIZES.mean / 1e12
    assert costs["every byte"][-1] == f"{2 * hours + 3 * terabytes:,.0f}"
    assert costs["nothing changed"][3] == "0.002 M"  # a thousand models a page
    assert costs["nothing changed, one by one"][3] == "4 M"
    times = made["Extrapolated: time for every byte"].lines
    assert [line[0] for line in times] == [f"{workers:,}" for workers in WORKERS]
    days = MODELS * (0.5 + SIZES.mean / WORKER_RATE) / 86400
    assert times[0][1:3] == (f"{days:.3g} days", "workers")
    limits = {line[0]: line for line in made["Extrapolated: the hub's limits"].lines}
    slowest = MODELS * 2 / LIMITS["Free user"]["API"] / 86400
    assert limits["nothing changed, one by one"][1] == f"{slowest:.3g} days"


def test_a_page_of_tables_says_what_is_measured_and_what_is_not() -> None:
    computed = tables.tables(Works(WHOLE, SAMPLE, SAME), tables.Prices(1, 1))
    page = report.page("scaling.md", computed)
    assert page.startswith("# Scaling\n")
    for each in computed:
        assert each.about.startswith("Extrapolated")
        assert all(len(line) == len(each.columns) for line in each.lines)
        assert f"## {each.title}\n" in page
