"""``thermoscan batch``: every model below a folder ends somewhere, and a second run is short."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file
from support.batches import write_long
from support.safetensors_files import write_raw, write_tensors
from support.wheels import path_of

from thermoscan.batch.cards import home_of
from thermoscan.card_io import from_json, to_json
from thermoscan.options import ScanOptions, SpectraOptions
from thermoscan.scanner import scan

SCRIPT = Path(sys.executable).parent / "thermoscan"
CARD_FILES = {"badge.svg", "card.html", "card.json", "profile.svg"}


def environment() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "HF_HUB_OFFLINE": "1"}


def batch(*arguments: object, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a batch to its end, in one worker: each takes a second to come up."""
    return subprocess.run(
        [str(SCRIPT), "batch", "--workers", "1", *map(str, arguments)],
        cwd=cwd, env=environment(), input=given, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip


def files_below(folder: Path) -> dict[str, bytes]:
    """The contents of every file but the catalogue's, by their paths."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("catalogue.sqlite")
    }


def rows_of(folder: Path) -> dict[str, tuple[object, ...]]:
    """What the catalogue says of the last scan of each model, but for when it was."""
    with sqlite3.connect(folder / "catalogue.sqlite") as database:
        database.row_factory = sqlite3.Row
        rows = database.execute(
            "select name, source, status, code, reason, key, card, reduced_temperature, "
            '"order", layers, errors, warnings from scans join models on models.id = model_id '
            "where is_last"
        )
        return {row["name"]: tuple(row) for row in rows}


def layer_rows(folder: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / "catalogue.sqlite") as database:
        return database.execute(
            'select m.name, l.name, l.temperature, l."order", l.digest from layers l '
            "join scans s on s.id = l.scan_id join models m on m.id = s.model_id "
            "where s.is_last order by 1, l.position"
        ).fetchall()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of a few small models, one of them broken and one no model."""
    folder = tmp_path / "models"
    for k in range(6):
        write_tensors(folder / f"m{k}" / "model.safetensors", "a.weight", "b.weight", rows=3 + k)
    (folder / "crepe").mkdir()
    shutil.copy(path_of("crepe-tiny"), folder / "crepe")
    (folder / "broken").mkdir()
    write_raw(folder / "broken" / "model.safetensors", b'{"a": 1}')
    (folder / "notes.txt").write_text("nothing to scan")
    return folder


def test_every_model_becomes_cards_a_row_and_a_line_of_the_index(
    models: Path, tmp_path: Path
) -> None:
    done = batch(models, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    out = tmp_path / "out"
    names = {*(f"m{k}" for k in range(6)), "crepe"}
    rows = rows_of(out)
    assert set(rows) == names | {"broken"}
    assert {name for name, row in rows.items() if row[2] == "scanned"} == names
    assert {path.name for path in (out / "cards").iterdir()} == {home_of(name) for name in names}
    for name in names:
        assert {path.name for path in (out / "cards" / home_of(name)).iterdir()} == CARD_FILES
    page = (out / "index.html").read_text()
    assert "cards/m3/card.html" in page
    assert "Models: 7 scanned, 1 refused, 0 skipped" in done.stdout
    assert "refused  broken: model.safetensors" in done.stdout


def test_a_card_is_that_of_a_scan(models: Path, tmp_path: Path) -> None:
    batch(models, "--out", "out", cwd=tmp_path)
    subprocess.run(
        [str(SCRIPT), str(models / "m2"), "--out", str(tmp_path / "one")],
        env=environment(), check=True, capture_output=True,
    )  # fmt: skip
    assert files_below(tmp_path / "out" / "cards" / "m2") == files_below(tmp_path / "one")


def test_a_second_run_scans_only_what_changed(models: Path, tmp_path: Path) -> None:
    batch(models, "--out", "out", cwd=tmp_path)
    before = files_below(tmp_path / "out")
    again = batch(models, "--out", "out", cwd=tmp_path)
    assert "This run: 0 scanned, 0 refused, 0 skipped, 8 unchanged" in again.stdout
    assert files_below(tmp_path / "out") == before
    write_tensors(models / "m1" / "model.safetensors", "a.weight", "b.weight", rows=20)
    shutil.rmtree(models / "m0")
    third = batch(models, "--out", "out", cwd=tmp_path)
    assert "This run: 1 scanned, 0 refused, 0 skipped, 6 unchanged" in third.stdout
    assert "cards/m0/" not in (tmp_path / "out" / "index.html").read_text()
    fresh = batch(models, "--out", "fresh", cwd=tmp_path)
    assert fresh.returncode == 0
    assert (tmp_path / "fresh/index.html").read_bytes() == (
        tmp_path / "out/index.html"
    ).read_bytes()


def test_other_options_are_another_result(models: Path, tmp_path: Path) -> None:
    batch(models, "--out", "out", cwd=tmp_path)
    again = batch(models, "--out", "out", "--activation", "relu", cwd=tmp_path)
    assert "This run: 7 scanned" in again.stdout


def test_lost_cards_are_written_again(models: Path, tmp_path: Path) -> None:
    batch(models, "--out", "out", cwd=tmp_path)
    before = files_below(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "cards" / "m4")
    again = batch(models, "--out", "out", cwd=tmp_path)
    assert "This run: 1 scanned" in again.stdout
    assert files_below(tmp_path / "out") == before


def test_a_model_that_broke_loses_its_cards_and_says_why(models: Path, tmp_path: Path) -> None:
    batch(models, "--out", "out", cwd=tmp_path)
    write_raw(models / "m5" / "model.safetensors", b'{"a": 1}')
    batch(models, "--out", "out", cwd=tmp_path)
    assert rows_of(tmp_path / "out")["m5"][2] == "refused"
    assert not (tmp_path / "out" / "cards" / "m5").exists()


def test_verify_finds_a_change_that_size_and_time_do_not_show(models: Path, tmp_path: Path) -> None:
    batch(models, "--out", "out", cwd=tmp_path)
    before = rows_of(tmp_path / "out")
    weights = models / "m1" / "model.safetensors"
    stamp = weights.stat()
    content = bytearray(weights.read_bytes())
    content[-2] ^= 0x40
    weights.write_bytes(content)
    os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    trusting = batch(models, "--out", "out", cwd=tmp_path)
    assert "0 scanned, 0 refused, 0 skipped, 8 unchanged" in trusting.stdout
    verified = batch(models, "--out", "out", "--verify", cwd=tmp_path)
    assert "This run: 1 scanned, 0 refused, 0 skipped, 7 unchanged" in verified.stdout
    changed = {name for name, row in rows_of(tmp_path / "out").items() if row != before[name]}
    assert changed == {"m1"}


def test_spectra_are_those_of_a_scan_and_can_be_asked_for(models: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("m0", "m1"):
        weights = {f"{k}.weight": rng.standard_normal((90, 60), np.float32) for k in range(2)}
        save_file(weights, models / name / "model.safetensors")
    shutil.rmtree(models / "broken")
    wanted = ("--spectra", "--max-side", "50", "--shuffle", "--seed", "3")
    done = batch(models, "--out", "out", *wanted, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    expected = []
    options = SpectraOptions(max_side=50, shuffle=True, seed=3)
    for name in rows_of(tmp_path / "out"):
        card = scan(str(models / name), ScanOptions(seed=3, spectra=options))
        text = (tmp_path / "out" / "cards" / name / "card.json").read_text()
        assert from_json(text).layers == from_json(to_json(card)).layers, name
        counted = [(each, each.spectra.counted if each.spectra else None) for each in card.layers]
        expected += [
            (name, layer.name, found.tail.alpha)
            for layer, found in counted
            if found is not None and found.tail is not None and found.tail.alpha > 6
        ]
    asked = ("--catalogue", "out", "--where", "alpha > 6", "--columns", "model.name,name,alpha")
    query = ["catalogue", "query", *asked, "--json", "--sort", "model.name,position"]
    found = subprocess.run(
        [str(SCRIPT), *query], cwd=tmp_path, env=environment(), capture_output=True, check=True
    )
    answer = [tuple(json.loads(line).values()) for line in found.stdout.splitlines()]
    assert [each[:2] for each in answer] == sorted(each[:2] for each in expected)
    assert any(name == "crepe" for name, *_ in answer)
    again = batch(models, "--out", "out", *wanted, cwd=tmp_path)
    assert "0 scanned, 0 refused, 0 skipped, 7 unchanged" in again.stdout
    other = batch(models, "--out", "out", *wanted[:3], cwd=tmp_path)
    assert "This run: 7 scanned" in other.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--shuffle",), "without-spectra"),
        (("--max-side", "9"), "without-spectra"),
        (("--spectra", "--sample", "5%"), "sample-with-spectra"),
    ],
)
def test_options_of_spectra_that_make_no_sense_end_the_batch(
    models: Path, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    done = batch(models, "--out", "out", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr
    assert not (tmp_path / "out" / "index.html").exists()


def test_what_is_excluded_or_too_large_is_skipped_with_the_reason(
    models: Path, tmp_path: Path
) -> None:
    done = batch(models, "--out", "out", "--exclude", "m[12]", "--max-bytes", "1MB", cwd=tmp_path)
    rows = rows_of(tmp_path / "out")
    assert {name: row[3] for name, row in rows.items() if row[2] == "skipped"} == {
        "m1": "excluded", "m2": "excluded", "crepe": "larger-than-asked",
    }  # fmt: skip
    assert "skipped  2 excluded, 1 larger-than-asked\n" in done.stdout
    assert "Models: 4 scanned, 1 refused, 3 skipped" in done.stdout


def test_a_list_is_read_from_a_file_or_from_stdin(models: Path, tmp_path: Path) -> None:
    lines = f"{models / 'm0'}\n\n{models / 'crepe'}\n{tmp_path / 'nowhere'}\n"
    (tmp_path / "list.txt").write_text(lines)
    from_file = batch("--list", "list.txt", "--out", "a", cwd=tmp_path)
    from_stdin = batch("--list", "-", "--out", "b", cwd=tmp_path, given=lines)
    assert from_file.returncode == from_stdin.returncode == 0
    assert "Models: 2 scanned, 1 refused, 0 skipped" in from_file.stdout
    assert files_below(tmp_path / "a") == files_below(tmp_path / "b")


def test_a_run_that_ends_before_it_finds_anything_keeps_the_index(
    models: Path, tmp_path: Path
) -> None:
    batch(models, "--out", "out", "--exclude", "m*", cwd=tmp_path)
    ended = batch("--hub", "author=org", "--out", "out", cwd=tmp_path)
    assert ended.returncode == 2
    assert "cards/crepe/card.html" in (tmp_path / "out" / "index.html").read_text()


def test_a_refusal_names_its_model_once(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / "two" / name).touch()
    done = batch("--list", "-", "--out", "out", cwd=tmp_path, given="two\n")
    assert done.stdout.startswith("refused  two: it holds several checkpoints")


def test_one_place_is_needed_and_no_more(models: Path, tmp_path: Path) -> None:
    for arguments in ((), (models, "--hub", "author=x")):
        done = batch(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "[places]" in done.stderr
        assert done.stdout == ""


def test_fail_on_tells_of_refusals(models: Path, tmp_path: Path) -> None:
    assert batch(models, "--out", "out", "--fail-on", "error", cwd=tmp_path).returncode == 1
    assert batch(models, "--out", "out", "--fail-on", "error", cwd=tmp_path).returncode == 1
    shutil.rmtree(models / "broken")
    assert batch(models, "--out", "out", "--fail-on", "error", cwd=tmp_path).returncode == 0


def test_quiet_prints_the_index_alone(models: Path, tmp_path: Path) -> None:
    done = batch(models, "--out", "out", "-q", cwd=tmp_path)
    assert done.stdout == "out/index.html\n"
    assert done.stderr == ""


def test_names_that_one_folder_name_would_serve_get_two() -> None:
    names = ["a/b", "a--b", "a\nb", "a b", "../a", "a", "CON", "é", "e\u0301", "x" * 300, "\udc80"]
    assert len({home_of(name) for name in names}) == len(names)
    assert all(len(home_of(name)) <= 120 and "/" not in home_of(name) for name in names)


def start(models: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(SCRIPT), "batch", str(models), "--out", str(out)],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """A folder of models, what a batch of them writes, and the seconds that it takes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for k in range(26):
        names = ("a.weight", "b.weight")[: 1 + k % 2]
        write_tensors(folder / "models" / f"m{k}" / "model.safetensors", *names, rows=40 + k)
    write_raw(folder / "models" / "broken.safetensors", b'{"a": 1}')
    started = time.monotonic()
    assert batch(folder / "models", "--out", folder / "out", cwd=folder).returncode == 0
    return folder / "models", folder / "out", time.monotonic() - started


@pytest.mark.parametrize("moment", range(3))
def test_killed_at_any_moment_and_run_again_it_ends_with_the_same_files(
    undisturbed: tuple[Path, Path, float], tmp_path: Path, moment: int
) -> None:
    models, expected, whole = undisturbed
    disturbed = tmp_path / "disturbed"
    chance = random.Random(moment)
    for _ in range(2):
        with start(models, disturbed) as running:
            time.sleep(chance.uniform(0.3, 1.0) * whole)
            workers = psutil.Process(running.pid).children(recursive=True)
            running.kill()
        assert not psutil.wait_procs(workers, timeout=30)[1]
    done = batch(models, "--out", disturbed, cwd=tmp_path)
    assert done.returncode == 0
    assert files_below(disturbed) == files_below(expected)
    assert rows_of(disturbed) == rows_of(expected)
    assert layer_rows(disturbed) == layer_rows(expected)


def test_cards_of_other_options_whose_row_was_never_written_do_not_stand(
    models: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert batch(models / "m0", "--out", out, cwd=tmp_path).returncode == 0
    before, rows = files_below(out), rows_of(out)
    script = tmp_path / "killed_between_card_and_row.py"
    script.write_text(
        "import os\n"
        "from thermoscan.catalogue.store import Catalogue\n"
        "if __name__ == '__main__':\n"
        "    from thermoscan.cli.main import main\n"
        "    Catalogue.record = lambda *_: os._exit(9)\n"
        "    main()\n"
    )
    arguments = ["batch", str(models / "m0"), "--out", str(out), "--activation", "relu"]
    killed = subprocess.run(
        [sys.executable, str(script), *arguments], env=environment(), check=False
    )
    assert killed.returncode == 9
    assert files_below(out) != before
    assert batch(models / "m0", "--out", out, cwd=tmp_path).returncode == 0
    assert files_below(out) == before
    assert rows_of(out) == rows


def test_a_place_that_is_not_there_leaves_the_index_as_it_was(models: Path, tmp_path: Path) -> None:
    batch(models / "m0", "--out", "out", cwd=tmp_path)
    before = files_below(tmp_path / "out")
    for nowhere in ("./nowhere", ""):
        failed = batch(nowhere, "--out", "out", cwd=tmp_path)
        assert failed.returncode == 2
        assert "not-found]" in failed.stderr
    assert files_below(tmp_path / "out") == before


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_ends_at_once_keeps_what_is_done_and_goes_on(
    models: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    write_long(models / "long" / "model.safetensors", 100 << 30)
    out = tmp_path / "out"
    with start(models, out) as running:
        waited = time.monotonic() + 120
        while not (out / "cards" / "m0" / "card.json").exists():
            assert time.monotonic() < waited
            time.sleep(0.05)
        workers = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(sent)
        stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 130
    assert stderr == "thermoscan: stopped; the same command goes on from here\n"
    assert not psutil.wait_procs(workers, timeout=30)[1]
    assert "This run: " in stdout
    assert "cards/m0/card.html" in (out / "index.html").read_text()
    shutil.rmtree(models / "long")
    again = batch(models, "--out", out, cwd=tmp_path)
    assert again.returncode == 0
    batch(models, "--out", tmp_path / "undisturbed", cwd=tmp_path)
    assert files_below(out) == files_below(tmp_path / "undisturbed")


def test_stopped_again_and_again_it_ends_and_goes_on(models: Path, tmp_path: Path) -> None:
    write_long(models / "long" / "model.safetensors", 100 << 30)
    out = tmp_path / "out"
    with start(models, out) as running:
        workers: list[psutil.Process] = []
        waited = time.monotonic() + 120
        while not (out / "cards" / "m0" / "card.json").exists():
            assert time.monotonic() < waited
            time.sleep(0.05)
        workers = psutil.Process(running.pid).children(recursive=True)
        for _ in range(200):
            if running.poll() is None:
                running.send_signal(signal.SIGINT)
                time.sleep(0.005)
        _, stderr = running.communicate(timeout=60)
    # The interpreter itself, at its very end, dies of the signal: 130 too, as a shell says it.
    assert running.returncode in (130, -signal.SIGINT)
    # What Python's resource tracker says of semaphores that it removes may follow.
    assert stderr.startswith("thermoscan: stopped; the same command goes on from here\n")
    assert not psutil.wait_procs(workers, timeout=30)[1]
    again = batch(models, "--out", out, "--exclude", "long", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_a_card_json_reads_back(models: Path, tmp_path: Path) -> None:
    batch(models, "--out", "out", cwd=tmp_path)
    card = json.loads((tmp_path / "out" / "cards" / "m0" / "card.json").read_text())
    row = rows_of(tmp_path / "out")["m0"]
    assert card["summary"]["reduced_temperature"] == pytest.approx(row[7], rel=1e-8)
