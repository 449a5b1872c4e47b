"""``thermoscan linear`` as a person or a script meets it, and the tables that it reads."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermoscan.cli import table
from thermoscan.cli.linear import linear
from thermoscan.cli.table import read_table
from thermoscan.errors import ThermoscanError
from thermoscan.theory.losses import LOSSES

SCRIPT = Path(sys.executable).parent / "thermoscan"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), "linear", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Data of three features in ``old.csv``, ``new.csv``, ``signs.csv`` and ``old.npz``."""
    rng = np.random.default_rng(0)
    for name, shift in (("old", 0.0), ("new", 1.0)):
        x = rng.normal(size=(40, 3))
        y = x @ np.array([1.0, -2.0, 0.5 + shift]) + rng.normal(size=40)
        write_csv(tmp_path / f"{name}.csv", x, y)
        np.savez(tmp_path / f"{name}.npz", X=x, y=y)
    np.savez(tmp_path / "narrow.npz", X=x[:, :2], y=y)
    np.savez(tmp_path / "huge.npz", X=x * 1e200, y=y)
    write_csv(tmp_path / "signs.csv", x, np.sign(y))
    write_csv(tmp_path / "classes.csv", x, rng.permutation(np.arange(40) % 4))
    return tmp_path


def write_csv(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    rows = [",".join(map(repr, map(float, (*a, b)))) for a, b in zip(x, y, strict=True)]
    path.write_text("\n".join(["a,b,c,y", *rows, ""]))


def test_json_holds_the_states_of_hand_written_numpy(folder: Path) -> None:
    done = run("old.csv", "--init", "normal(0.5)", "--json", "-", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    arrays = np.load(folder / "old.npz")
    x, y = arrays["X"], arrays["y"]
    w, rss = np.linalg.lstsq(x, y, rcond=None)[:2]
    noise = rss[0] / 37
    entropy = {
        "initial": 1.5 * math.log(2 * math.pi * math.e * 0.25),
        "trained": 0.5
        * np.linalg.slogdet(2 * math.pi * math.e * noise * np.linalg.inv(x.T @ x))[1],
    }
    energy = {"initial": (y**2).mean() + 0.25 * (x**2).sum() / 40, "trained": noise}
    temperature = {"initial": 2 * 0.25 * (x**2).sum() / 120, "trained": 2 * noise / 40}
    for name in ("initial", "trained"):
        assert found[name]["energy"] == pytest.approx(energy[name])
        assert found[name]["entropy"] == pytest.approx(entropy[name])
        assert found[name]["entropy_per_parameter"] == pytest.approx(entropy[name] / 3)
        assert found[name]["temperature"] == pytest.approx(temperature[name])
        assert found[name]["validity"] == "exact"
    expected = (energy["trained"] - energy["initial"]) / (entropy["trained"] - entropy["initial"])
    assert found["training"]["temperature"] == pytest.approx(expected)
    assert w.shape == (found["features"],)


def test_a_refresh_ends_where_training_on_the_newer_data_does(folder: Path) -> None:
    done = run("old.csv", "--refresh", "new.csv", "--json", "-", cwd=folder)
    found = json.loads(done.stdout)
    alone = json.loads(run("new.csv", "--json", "-", cwd=folder).stdout)
    for key in ("energy", "entropy", "temperature"):
        assert found["refreshed"][key] == alone["trained"][key]
    assert found["outdated"]["entropy"] == found["trained"]["entropy"]
    assert found["outdated"]["energy"] > found["refreshed"]["energy"]
    change = found["refreshed"]["energy"] - found["outdated"]["energy"]
    assert found["refresh"]["energy_change"] == pytest.approx(change)


def test_every_null_has_its_reason(folder: Path) -> None:
    for arguments in (["old.csv"], ["signs.csv", "--loss", "bce"], ["old.csv", "--loss", "mae"]):
        found = json.loads(run(*arguments, "--json", "-", cwd=folder).stdout)
        for part in (found, *(v for v in found.values() if isinstance(v, dict) and "reasons" in v)):
            nulls = {key for key, value in part.items() if value is None}
            assert nulls <= set(part["reasons"])


def test_the_summary_says_what_is_exact_and_which_limit_applies(folder: Path) -> None:
    done = run("old.csv", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Training: ΔE = " in done.stdout
    assert "asymptotic" not in done.stdout
    arguments = ["signs.csv", "--loss", "bce", "--init", "normal(1e-3)", "--init", "uniform(2e-3)"]
    done = run(*arguments, cwd=folder)
    assert "initialisation normal(1e-3) and uniform(2e-3)" in done.stdout
    assert "The limit s → 0 applies" in done.stdout
    assert "Asymptotic: outputs are as nearly normal as" in done.stdout
    assert "nats, T* = -" in done.stdout  # a start this narrow gains entropy by training
    done = run("old.csv", "--loss", "mae", cwd=folder)
    assert "Training: none: a trained state needs a spread" in done.stdout


def test_mixed_rules_take_turns_and_softmax_counts_its_classes(folder: Path) -> None:
    arguments = ["--init", "normal(2)", "--init", "normal(3)", "--json", "-"]
    found = json.loads(run("old.csv", *arguments, cwd=folder).stdout)
    expected = 2 * math.log(2) + math.log(3) + 1.5 * math.log(2 * math.pi * math.e)
    assert found["initial"]["entropy"] == pytest.approx(expected)
    found = json.loads(run("classes.csv", "--loss", "softmax", "--json", "-", cwd=folder).stdout)
    assert (found["classes"], found["initial"]["parameters"]) == (4, 12)


def test_json_goes_to_a_file_and_npz_and_csv_agree(folder: Path) -> None:
    outputs = []
    for name in ("old.csv", "old.npz"):
        done = run(name, "--json", "out.json", cwd=folder)
        assert (done.returncode, done.stdout) == (0, "")
        outputs.append(json.loads((folder / "out.json").read_text()))
    assert outputs[0]["initial"] == outputs[1]["initial"]
    assert outputs[0]["training"] == outputs[1]["training"]


def test_the_target_may_be_any_column(folder: Path) -> None:
    (folder / "first.csv").write_text("y,a\n1,2\n3,5\n2,2\n")
    read = read_table(folder / "first.csv", "y")
    assert read.targets.tolist() == [1, 3, 2]
    assert read.inputs.tolist() == [[2], [5], [2]]
    assert (read.target, read.features) == ("y", ("a",))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["missing.csv"], "file-not-found"),
        (["."], "table-format"),
        (["old.csv", "--target", "z"], "target-unknown"),
        (["old.npz", "--target", "y"], "target-of-arrays"),
        (["old.csv", "--loss", "bce"], "data-labels"),
        (["old.csv", "--loss", "softmax"], "data-labels"),
        (["old.csv", "--init", "warm"], "initialisation-unknown"),
        (["old.csv", "--refresh", "old.npz"], "refresh-refused"),
        (["old.npz", "--refresh", "narrow.npz"], "data-shape"),
        (["huge.npz"], "data-overflow"),
    ],
)
def test_unusable_input_is_one_line_on_stderr_and_status_2(
    folder: Path, arguments: list[str], code: str
) -> None:
    done = run(*arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"[{code}]" in done.stderr


def test_the_choices_of_losses_are_those_of_the_theory() -> None:
    (option,) = (each for each in linear.params if each.name == "loss_name")
    assert tuple(option.type.choices) == LOSSES
    assert all(name in option.help for name in LOSSES)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "table-header", "two columns"),
        (b"a\n1\n", "table-header", "two columns"),
        (b"a,a\n1,2\n", "table-header", "its own"),
        (b"a,\n1,2\n", "table-header", "names"),
        (b"1,2\n3,4\n", "table-header", "numbers only"),
        (b"a,b\n", "table-empty", "no row"),
        (b"a,b\n1,2\n1\n", "table-row", "line 3 has 1 cells, not 2"),
        (b"a,b\n1,2\n\n3,4\n", "table-row", "line 3 has 0 cells"),
        (b"a,b\n1,x\n", "table-cell", "line 2, column 'b': 'x' is no finite number"),
        (b"a,b\n1,\n", "table-cell", "'' is no"),
        (b"a,b\n1,nan\n", "table-cell", "'nan'"),
        (b"a,b\n1,1e999\n", "table-cell", "'1e999'"),
        (b"a,b\n1,1_0\n", "table-cell", "'1_0'"),
        ("a,b\n1,\u0661\n".encode(), "table-cell", "no finite number"),
        (b"a,b\n1,\x00\n", "table-cell", "no finite number"),
        (b'a,b\n1,"2\n', "table-syntax", "line"),
        (b'a,b\n1,"2"3\n', "table-syntax", "line 2"),
        (b"a,b\n1,\xff\n", "table-encoding", "UTF-8"),
        (b"a,b\n1," + b"9" * 200_000 + b"\n", "table-syntax", "field larger"),
        (b"a," + ",".join(f"c{n}" for n in range(100_000)).encode(), "table-header", "100,000"),
    ],
)
def test_a_csv_that_breaks_a_rule_is_refused_with_its_place(
    tmp_path: Path, content: bytes, code: str, words: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ThermoscanError) as caught:
        read_table(tmp_path / "t.csv", None)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert "t.csv" in str(caught.value)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfa,b\r\n1, 2.5e0\r\n", b'"a","b"\n"1","2.5"'])
def test_a_spreadsheets_csv_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.CSV").write_bytes(content)
    read = read_table(tmp_path / "t.CSV", None)
    assert (read.features, read.inputs.tolist(), read.targets.tolist()) == (("a",), [[1]], [2.5])


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npz_of_bytes(x: bytes, y: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", x)
        archive.writestr("y.npy", y)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def lying(shape: str) -> bytes:
    return npy(np.ones((2, 2))).replace(
        b"(2, 2), } " + b" " * (len(shape) - 6), f"{shape}, }} ".encode()
    )


ONES = np.ones((2, 1))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "table-syntax"),
        (b"PK\x03\x04junk", "table-syntax"),
        (npz(X=ONES, y=ONES[:, 0])[:-30], "table-syntax"),
        (npz(X=ONES), "table-arrays"),
        (npz(X=ONES, y=ONES[:, 0], z=ONES), "table-arrays"),
        (npz(X=ONES[:, 0], y=ONES[:, 0]), "table-arrays"),
        (npz(X=ONES, y=ONES), "table-arrays"),
        (npz(X=ONES, y=np.ones(3)), "table-arrays"),
        (npz(X=ONES * 1j, y=ONES[:, 0]), "table-arrays"),
        (npz(X=ONES, y=np.array(["a", "b"])), "table-arrays"),
        (npz(X=ONES, y=np.array([None, {}])), "table-arrays"),
        (npz(X=ONES * math.nan, y=ONES[:, 0]), "table-cell"),
        (npz(X=ONES[:0], y=ONES[:0, 0]), "table-empty"),
        (npz_of_bytes(b"no array", npy(ONES[:, 0])), "table-syntax"),
        (npz_of_bytes(npy(ONES)[:-4], npy(ONES[:, 0])), "table-syntax"),
        (npz_of_bytes(npy(ONES) + b"more", npy(ONES[:, 0])), "table-syntax"),
        (npz_of_bytes(lying("(3, 2)"), npy(ONES[:, 0])), "table-syntax"),
        (npz_of_bytes(lying("(999999999, 999)"), npy(ONES[:, 0])), "table-too-large"),
        (npz(X=np.zeros((20_000_000, 1), np.int8), y=np.zeros(1)), "table-too-large"),
    ],
)
def test_an_npz_that_breaks_a_rule_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(ThermoscanError) as caught:
        read_table(tmp_path / "t.npz", None)
    assert caught.value.code == code


def test_arrays_of_any_real_type_and_order_are_read(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(6, dtype=np.int16).reshape(3, 2))
    (tmp_path / "t.npz").write_bytes(npz(X=x, y=np.array([1, 2, 3], dtype=np.float16)))
    read = read_table(tmp_path / "t.npz", None)
    assert read.inputs.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert (read.inputs.dtype, read.targets.tolist()) == (np.float64, [1, 2, 3])


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.csv", "folder.csv"):
        with pytest.raises(ThermoscanError) as caught:
            read_table(tmp_path / name, None)
        assert caught.value.code == "file-not-regular"


def test_a_file_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr(table, "MOST_BYTES", 8)
    assert read_table(tmp_path / "t.csv", None).targets.tolist() == [2]
    (tmp_path / "t.csv").write_text("a,b\n1,22\n")
    with pytest.raises(ThermoscanError) as caught:
        read_table(tmp_path / "t.csv", None)
    assert caught.value.code == "table-too-large"


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200), st.sampled_from(["csv", "npz"]))
def test_any_bytes_give_a_table_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("any") / f"t.{suffix}"
    path.write_bytes(content)
    try:
        read = read_table(path, None)
    except ThermoscanError:
        return
    assert np.isfinite(read.inputs).all()


def test_hostile_names_reach_no_output_raw(folder: Path) -> None:
    bad = "\x1b[31mred\u202e"
    (folder / f"{bad}.csv").write_text(f"a,{bad}\n1,2\n3,5\n4,4\n")
    for arguments in ([], ["--target", "\x1b[31m"], ["--json", "-"]):
        done = run(f"{bad}.csv", *arguments, cwd=folder)
        assert "\x1b" not in done.stdout + done.stderr
        assert "\u202e" not in done.stdout + done.stderr


def test_a_file_that_cannot_be_written_is_one_line_of_error(folder: Path) -> None:
    done = run("old.csv", "--json", "missing/card.json", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("thermoscan: missing/card.json: no file can be written there")
    assert done.stderr.count("\n") == 1
