"""The command as a person or a script meets it: exit status, streams, files, what it imports."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.wheels import path_of

from thermoscan.card_io import from_json
from thermoscan.cli.outputs import FILES
from thermoscan.writing import folder_name

SCRIPTS = Path(sys.executable).parent


def run(*arguments: str, cwd: Path, script: str = "thermoscan") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [str(SCRIPTS / script), *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small checkpoint with one NaN in it."""
    generator = torch.Generator().manual_seed(0)
    weights = {f"layers.{k}.weight": torch.randn(64, 64, generator=generator) for k in range(3)}
    weights["layers.1.weight"][3, 5] = torch.nan
    save_file(weights, tmp_path / "broken.safetensors")
    return tmp_path / "broken.safetensors"


def test_a_model_alone_is_scanned(tmp_path: Path) -> None:
    run(str(path_of("minilm")), "-q", cwd=tmp_path)  # compiles the kernel where that was never done
    done = run(str(path_of("minilm")), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "22.7 M" in done.stdout
    folder = tmp_path / "thermoscan-reports" / "model"
    assert sorted(each.name for each in folder.iterdir()) == sorted(FILES)
    assert from_json((folder / "card.json").read_text()).model.architecture == "bert"


def test_json_to_stdout_is_the_card_alone(tmp_path: Path, checkpoint: Path) -> None:
    done = run("scan", str(checkpoint), "--json", "-", cwd=tmp_path)
    assert done.returncode == 0
    assert from_json(done.stdout).model.id == "broken.safetensors"
    assert not (tmp_path / "thermoscan-reports").exists()


def test_spectra_are_in_the_card_where_they_are_asked_for(tmp_path: Path, checkpoint: Path) -> None:
    done = run("scan", str(checkpoint), "--spectra", "--json", "-", cwd=tmp_path)
    card = from_json(done.stdout)
    assert card.spectra is not None and card.spectra.spectra == 3
    assert "Entries that are not finite count as zero in the spectra." in card.notes
    refused = run("scan", str(checkpoint), "--shuffle", cwd=tmp_path)
    assert refused.returncode == 2 and "[without-spectra]" in refused.stderr


def test_sha256_is_that_of_the_whole_file(tmp_path: Path, checkpoint: Path) -> None:
    done = run(str(checkpoint), "--sha256", "--json", "-", cwd=tmp_path)
    (file,) = json.loads(done.stdout)["model"]["files"]
    expected = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert file["digest"] == {"algorithm": "sha256", "value": expected}


def test_a_sample_writes_a_card_that_says_so_and_an_odd_size_is_refused(tmp_path: Path) -> None:
    done = run(str(path_of("minilm")), "--sample", "6%", "--seed", "9", "--json", "-", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    card = from_json(done.stdout)
    assert card.sampling is not None and card.sampling.seed == 9
    assert 0.03 < card.sampling.share <= 0.06
    refused = run(str(path_of("minilm")), "--sample", "some", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "'some' is no size of a sample" in refused.stderr


def test_json_to_a_file_beside_the_cards(tmp_path: Path, checkpoint: Path) -> None:
    done = run(str(checkpoint), "--json", "alone.json", "--out", "cards", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "cards\n")  # quiet: where the cards are
    assert (tmp_path / "alone.json").read_text() == (tmp_path / "cards" / "card.json").read_text()


def test_json_goes_through_a_pipe_that_stays_one(tmp_path: Path, checkpoint: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    done = run(str(checkpoint), "--json", str(pipe), "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    reader.join(timeout=60)
    assert from_json(received[0]).model.id == "broken.safetensors"
    assert pipe.is_fifo()


def test_json_into_a_folder_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    done = run(str(checkpoint), "--json", str(tmp_path / "none" / "a.json"), cwd=tmp_path)
    assert done.returncode == 2
    assert "[output-unwritable]" in done.stderr


@pytest.mark.parametrize(("severity", "status"), [("error", 1), ("warning", 1), (None, 0)])
def test_a_finding_fails_the_command_only_when_asked(
    tmp_path: Path, checkpoint: Path, severity: str | None, status: int
) -> None:
    asked = ["--fail-on", severity] if severity else []
    done = run(str(checkpoint), "-q", *asked, cwd=tmp_path)
    assert done.returncode == status
    card = json.loads((tmp_path / "thermoscan-reports/broken.safetensors/card.json").read_text())
    assert "non-finite" in {each["code"] for each in card["findings"]}


def test_a_healthy_checkpoint_passes_fail_on_error(tmp_path: Path) -> None:
    assert run(str(path_of("minilm")), "-q", "--fail-on", "error", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("./missing.safetensors",), "file-not-found"),
        (("{checkpoint}", "--init", "warm"), "initialisation-unknown"),
        (("{checkpoint}", "--activation", "hot"), "activation-unknown"),
        (("{checkpoint}", "--revision", "main"), "revision-of-a-path"),
    ],
)
def test_unusable_input_is_one_line_on_stderr_and_status_2(
    tmp_path: Path, checkpoint: Path, arguments: tuple[str, ...], code: str
) -> None:
    done = run(*(each.format(checkpoint=checkpoint) for each in arguments), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("<!DOCTYPE html><html>404</html>")
    done = run("./model.safetensors", cwd=tmp_path)
    assert done.returncode == 2
    assert "model.safetensors" in done.stderr
    assert "html-page" in done.stderr


@pytest.mark.parametrize("script", ["thermoscan", "hf-thermoscan"])
def test_both_scripts_explain_themselves(tmp_path: Path, script: str) -> None:
    done = run("--help", cwd=tmp_path, script=script)
    assert done.returncode == 0
    assert "scan" in done.stdout
    assert run("--version", cwd=tmp_path, script=script).stdout.startswith("thermoscan ")


def test_hostile_names_reach_no_output_raw(tmp_path: Path) -> None:
    name = "\x1b[31mred\u202e<script>alert(1)</script>.weight"
    save_file({name: torch.full((8, 8), torch.nan)}, tmp_path / "m.safetensors")
    done = run("m.safetensors", "--out", "cards", cwd=tmp_path)
    assert done.returncode == 0
    everything = (
        done.stdout
        + done.stderr
        + "".join(each.read_text() for each in (tmp_path / "cards").iterdir())
    )
    assert "\x1b" not in everything
    assert "\u202e" not in everything
    page = "".join((tmp_path / "cards" / each).read_text() for each in ("card.html", "profile.svg"))
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("model_id", "folder"),
    [
        ("org/model", "org--model"),
        ("..", "model"),
        ("../../etc/passwd", "etc--passwd"),
        ("con", "con_"),
        ("LPT1.txt", "LPT1.txt_"),
        ("a" * 300, "a" * 100),
        ("päth\x00\n\u202e", "p_th"),
        (".hidden", "hidden"),
        ("C:\\models\\x", "C_--models--x"),
        ("", "model"),
    ],
)
def test_report_folders_have_harmless_names(model_id: str, folder: str) -> None:
    assert folder_name(model_id) == folder


HEAVY = [
    "torch",
    "transformers",
    "pydantic",
    "huggingface_hub",
    "numba",
    "scipy",
    "pandas",
    "safetensors",
]


def imported(code: str, cwd: Path) -> set[str]:
    report = f"{code}\nimport sys; print(*sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", report],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(done.stderr.splitlines())


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "from thermoscan.cli.main import cli\ncli(['--help'], standalone_mode=False)"
    assert imported(code, tmp_path).isdisjoint([*HEAVY, "numpy", "rich", "jinja2", "llvmlite"])


def test_a_scan_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    model = path_of("minilm")
    code = f"from thermoscan.cli.main import cli\ncli([{str(model)!r}], standalone_mode=False)"
    run(str(model), "-q", cwd=tmp_path)  # compiles the kernel where that was never done
    found = imported(code, tmp_path)
    assert found.isdisjoint(
        [*HEAVY, "numpy.ma", "thermoscan_adapters.torch_format", "thermoscan_adapters.hub"]
    )
    assert "numpy" in found
