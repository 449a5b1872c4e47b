"""The command ``thermoscan probe``, end to end, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.model_folders import write_model

from thermoscan.card import Probe
from thermoscan.card_io import from_json, missing_reasons
from thermoscan.cli.main import cli
from thermoscan.cli.outputs import FILES

SCRIPTS = Path(sys.executable).parent


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    environment = {
        **os.environ, "NO_COLOR": "1", "COLUMNS": "100", "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return subprocess.run(
        [str(SCRIPTS / "thermoscan"), "probe", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def run_here(*arguments: str) -> Result:
    """The command in this process, where torch is imported already."""
    done = CliRunner().invoke(cli, ["probe", *arguments])
    assert done.stderr == ""
    return done


def card_in(text: str) -> Probe:
    card = from_json(text)
    assert missing_reasons(card) == []
    assert card.probe is not None
    return card.probe


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "gpt2"
    write_model(folder, "gpt2", "ForCausalLM")
    return folder


def test_the_whole_of_it(tmp_path: Path, model: Path) -> None:
    done = run(str(model), "--baseline", "1", "--limit", "6", "--sha256", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "thermoscan-reports" / "gpt2"
    assert sorted(each.name for each in folder.iterdir()) == sorted(FILES)
    card = from_json((folder / "card.json").read_text())
    (file,) = card.model.files
    assert file.digest is not None
    assert file.digest.value == sha256((model / file.name).read_bytes()).hexdigest()
    probe = card.probe
    assert probe is not None
    assert (probe.run.inputs, probe.copies, probe.device) == (6, 1, "cpu")
    assert probe.baseline is not None
    assert probe.reference is None


def write_txt(folder: Path) -> Path:
    path = folder / "a.txt"
    path.write_text("a kettle sings\n\nrain on the roof\n")
    return path


def write_jsonl(folder: Path) -> Path:
    path = folder / "a.jsonl"
    path.write_text('{"text": "a kettle sings"}\n{"text": "rain on the roof"}\n')
    return path


def write_csv(folder: Path) -> Path:
    path = folder / "a.csv"
    path.write_text("text,label\na kettle sings,x\nrain on the roof,y\n")
    return path


def write_dataset(folder: Path) -> Path:
    import datasets

    datasets.disable_progress_bars()
    texts = ["a kettle sings", "rain on the roof"]
    datasets.Dataset.from_dict({"text": texts}).save_to_disk(str(folder / "set"))
    return folder / "set"


def test_every_format_of_data_gives_the_same(tmp_path: Path, model: Path) -> None:
    writers: list[Callable[[Path], Path]] = [write_txt, write_jsonl, write_csv, write_dataset]
    found = []
    for write in writers:
        path = write(tmp_path)
        more = ("--data", str(path), "--limit", "2", "--json", "-")
        probe = card_in(run_here(str(model), *more).stdout)
        assert probe.run.data == path.name
        assert probe.reference is not None
        assert probe.reference.inputs == 2
        found.append((probe.run.inputs, probe.run.positions, probe.run.loss, probe.run.temperature))
    assert found == [found[0]] * 4
    assert found[0][:2] == (2, 13 + 15)


def test_the_same_command_gives_the_same_card_in_every_process(tmp_path: Path, model: Path) -> None:
    arguments = (str(model), "--limit", "3", "--baseline", "1", "--seed", "4", "--json", "-")
    first, second = run(*arguments, cwd=tmp_path), run_here(*arguments)
    assert (first.returncode, first.stderr) == (0, "")
    assert card_in(first.stdout).copies == 1
    assert_alike(json.loads(first.stdout), json.loads(second.stdout))


def assert_alike(one: Any, other: Any, measured: bool = False) -> None:
    """Equal, but for what float32 sums on other addresses or threads round differently."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_alike(one[key], other[key], measured or key == "probe")
    elif isinstance(one, list):
        assert len(one) == len(other)
        for each, twin in zip(one, other, strict=True):
            assert_alike(each, twin, measured)
    elif measured and isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-12)
    else:
        assert one == other


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("./missing",), "file-not-found"),
        (("{model}", "--data", "missing.jsonl"), "file-not-found"),
        (("{model}", "--data", "model.xlsx"), "data-unknown"),
        (("{model}", "--init", "warm"), "initialisation-unknown"),
    ],
)
def test_unusable_input_is_one_line_on_stderr_and_status_2(
    tmp_path: Path, model: Path, arguments: tuple[str, ...], code: str
) -> None:
    done = run(*(each.format(model=model) for each in arguments), "--json", "-", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"[{code}]" in done.stderr


@pytest.mark.parametrize("absent", ["torch", "transformers"])
def test_without_torch_there_is_a_command_that_installs_it(
    tmp_path: Path, model: Path, absent: str
) -> None:
    hide = (
        "import sys; from importlib.abc import MetaPathFinder\n"
        "import importlib.util as u; find = u.find_spec\n"
        f"u.find_spec = lambda name, *a: None if name == {absent!r} else find(name, *a)\n"
        f"sys.argv = ['thermoscan', 'probe', {str(model)!r}]\n"
        "from thermoscan.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'thermoscan[torch]'" in done.stderr
    assert f"{absent} must be installed" in done.stderr
    assert "[torch-missing]" in done.stderr


def test_a_hostile_name_of_a_file_reaches_no_output_raw(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "\x1b[31m<script>alert(1)</script>.txt".replace("/", "∕")
    path.write_text("a kettle sings\n\nrain on the roof\n")
    cards = str(tmp_path / "cards")
    done = run_here(str(model), "--data", str(path), "--out", cards, "--limit", "2")
    assert done.exit_code == 0
    texts = {each.name: each.read_text() for each in (tmp_path / "cards").iterdir()}
    assert "\x1b" not in done.stdout + "".join(texts.values())
    assert "<script>alert" not in texts["card.html"]
    assert json.loads(texts["card.json"])["probe"]["run"]["data"] == path.name
