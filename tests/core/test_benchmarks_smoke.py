"""The benchmarks run at tiny sizes, and their parts tell the truth. No figure is held to a time."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from support.memory_checkpoint import FLOATS, encode, random_values
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks import __main__ as program
from benchmarks import catalogue, data, floor, report, spectra, startup, tally, whole
from benchmarks.processes import interleaved, median_ratio, take
from benchmarks.report import Row, Section, Target
from benchmarks.scale import SMALL
from thermoscan.checkpoint import OpenOptions
from thermoscan.plugins import adapter_for


@pytest.fixture(scope="module", autouse=True)
def _own_data(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THERMOSCAN_BENCH_DIR", str(tmp_path_factory.mktemp("bench")))
        yield


def assert_measured(rows: list[Row]) -> None:
    assert rows
    assert all(math.isfinite(row.figure) and row.figure >= 0 for row in rows)
    assert all(row.what and len(row.cells()) == 5 for row in rows)


@pytest.mark.parametrize("dtype", [each for each in FLOATS if each.label in tally.TARGETS])
def test_weights_are_rounded_as_torch_rounds_them(dtype) -> None:
    values = random_values(10_000, scale=0.02)
    values[:4] = torch.tensor([0.0, -0.0, 2.0**-9, -(2.0**-14)])
    content, _ = encode(values, dtype)
    assert data.encode(values.numpy(), dtype.label) == content


def test_a_tensor_file_holds_the_bytes_that_the_scale_says() -> None:
    path = data.tensor_file("F8_E5M2", SMALL)
    with adapter_for(str(path)).open(str(path), OpenOptions()) as checkpoint:
        assert sum(tensor.nbytes for tensor in checkpoint.tensors) == SMALL.tensor_file
        assert {tensor.nbytes for tensor in checkpoint.tensors} == {SMALL.tensor}


def test_the_llama_folder_holds_the_parameters_of_the_model_that_transformers_builds() -> None:
    folder = data.llama(SMALL, SMALL.layers)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    built = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    with adapter_for(str(folder)).open(str(folder), OpenOptions()) as checkpoint:
        assert {tensor.name: tensor.shape for tensor in checkpoint.tensors} == built
        assert len({tensor.file for tensor in checkpoint.tensors}) == data.SHARDS


def test_a_checkpoint_is_made_once() -> None:
    path = data.tensor_file("F16", SMALL)
    before = path.stat().st_mtime_ns
    assert data.tensor_file("F16", SMALL).stat().st_mtime_ns == before
    assert not list(path.parent.glob("*.part"))


def test_the_floors_read_every_byte(tmp_path: Path) -> None:
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path in files:
        path.write_bytes(bytes(floor.STEP + 5))
    assert floor.weight_files(tmp_path) == files
    assert floor.size_of(files) == 2 * (floor.STEP + 5)
    read = Path("/proc/self/io")
    for reading in (floor.warm, floor.cold):
        before = int(read.read_text().split()[1])
        assert reading(files) > 0
        assert int(read.read_text().split()[1]) - before >= floor.size_of(files)


def test_a_process_is_measured_without_the_memory_of_the_one_that_started_it(
    tmp_path: Path,
) -> None:
    mine = np.ones(200 << 20, np.uint8)
    file = tmp_path / "file"
    file.write_bytes(bytes(30 << 20))
    taken = take([sys.executable, "-I", "-S", "-c", f"open({str(file)!r}, 'rb').read()"])
    assert 30e6 < taken.peak_bytes < 100e6 < mine.nbytes
    assert 30 << 20 <= taken.read_bytes < 40 << 20
    assert taken.seconds > 0


def test_a_process_that_fails_stops_the_run_with_what_it_said() -> None:
    with pytest.raises(RuntimeError, match="no such luck"):
        take([sys.executable, "-c", "raise SystemExit('no such luck')"])


def test_sides_take_turns_and_ratios_are_medians_over_the_rounds() -> None:
    calls: list[str] = []
    times = iter([1.0, 2.0, 3.0, 4.0, 9.0, 10.0])

    def side(name: str) -> float:
        calls.append(name)
        return next(times)

    seconds = interleaved({"a": lambda: side("a"), "b": lambda: side("b")}, 3)
    assert calls == ["a", "b"] * 3
    assert seconds == {"a": [1.0, 3.0, 9.0], "b": [2.0, 4.0, 10.0]}
    assert median_ratio(seconds["a"], seconds["b"]) == 0.75


def test_a_target_says_which_side_is_good() -> None:
    assert Target(0.4).met(0.4)
    assert not Target(0.4).met(0.39)
    assert Target(300, at_most=True).met(300)
    assert not Target(300, at_most=True).met(301)


def test_the_page_holds_every_figure_and_no_path_of_this_machine() -> None:
    sections = [
        Section("One", "About one.", (Row("rate", 0.41, target=Target(0.4), how="5 of 12 GB/s"),)),
        Section("Other", "Not measured.", ()),
    ]
    page = report.page("benchmarks.md", sections)
    assert "| rate | 0.41 | at least 0.4 | yes | 5 of 12 GB/s |" in page
    assert "Not measured." in page
    assert str(Path.home()) not in page
    assert str(Path(__file__).parents[2]) not in page
    assert "at least 0.4" in report.table(sections)


def test_the_pass_is_compared_with_its_floor_for_every_type() -> None:
    rows = list(tally.measure(SMALL))
    assert_measured(rows)
    assert [row.what.partition(":")[0] for row in rows] == list(tally.TARGETS)


def test_whole_scans_are_measured() -> None:
    assert_measured(list(whole.measure(SMALL)))


def test_start_up_is_measured_and_nothing_heavy_is_imported() -> None:
    rows = list(startup.measure(SMALL))
    assert_measured(rows)
    assert [row.figure for row in rows if "should not import" in row.what] == [0, 0]


def test_spectra_are_taken_of_every_matrix_and_compared_with_their_floor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spectra, "RATE_SECONDS", 0.0)
    analysis = spectra.our_analysis(data.llama(SMALL, SMALL.layers))
    shapes = Counter((each.rows, each.columns) for each in analysis.spectra)
    embeddings, attention, mlp = 2, 2 * SMALL.layers, 3 * SMALL.layers
    small = SMALL.hidden // 8
    assert shapes == {
        (SMALL.vocabulary, SMALL.hidden): embeddings,
        (SMALL.hidden, SMALL.hidden): attention,
        (SMALL.hidden, small): attention,
        (SMALL.intermediate, SMALL.hidden): mlp,
    }
    assert_measured([spectra.above_floor("tiny", analysis.seconds, analysis.spectra)])


def test_alphas_agree_to_the_digits_of_the_worst_of_the_matrices_that_both_have() -> None:
    ours = [
        spectra.Spectrum(name, 60, 40, 1, alpha)
        for name, alpha in (("a", 2.0), ("b", 4.0), ("c", 3.0), ("d", None))
    ]
    theirs = [
        spectra.Spectrum("a", 60, 40, 1, 2.0),
        spectra.Spectrum("b", 60, 40, 1, 4.0 * (1 + 1e-9)),
        spectra.Spectrum("c", 60, 30, 1, 7.0),
        spectra.Spectrum("d", 60, 40, 1, 5.0),
        spectra.Spectrum("e", 60, 40, 1, 5.0),
    ]
    row = spectra.agreement("tiny", ours, theirs)
    assert row.figure == pytest.approx(9, abs=1e-4)
    assert row.how.startswith("the least of 2 matrices")


def test_a_catalogue_is_filled_and_asked(catalogue_place: str) -> None:
    rows = list(catalogue._measure(catalogue_place, SMALL, lambda: 1_000_000))
    assert_measured(rows)
    answers = {row.what: row.how.partition(" rows")[0] for row in rows}
    assert answers["what is known of every model"] == f"{SMALL.models}"
    assert answers["every entry of the index"] == f"{SMALL.models}"
    assert answers["one model with all its layers"] == f"{SMALL.model_layers}"
    assert answers["the 20 hottest layers of all"] == "20"


def test_a_partial_run_prints_a_table_and_leaves_the_documentation_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program.rivals, "ENVIRONMENTS", tmp_path)
    program.main(["rivals"], tmp_path)
    assert "OTHER TOOLS" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_remote_scans_are_measured_and_a_page_is_written_once_all_of_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "FULL", SMALL)
    program.main(["remote", "tally"], tmp_path)
    assert "THE PASS OVER THE BYTES" in capsys.readouterr().out
    (page,) = tmp_path.iterdir()
    assert page.name == "benchmarks-remote.md"
    cells = [line.split(" | ") for line in page.read_text().splitlines() if "| " in line]
    figures = {row[0].strip("| "): row[1] for row in cells[2:]}
    # A header's page and the tensors beside it are read again where the whole file is tiny.
    assert 1 < float(figures["bytes asked for / bytes of the weight files"]) < 4
    assert float(figures["0 ms: rate / the hub's own client"]) > 0
    assert "0 ms: rate / download, then scan" in figures


def test_the_module_runs_as_a_program() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nothing"],
        capture_output=True, text=True, cwd=root, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no such section: nothing" in done.stderr
