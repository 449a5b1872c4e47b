"""``thermoscan attach`` and ``badge`` as a person or a script meets them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cards import realistic
from support.loopback_hub import LoopbackHub
from support.safetensors_files import write_tensors

SCRIPT = Path(sys.executable).parent / "thermoscan"
CARD = b"---\nlicense: mit\n---\n# A model\n"


def environment(cwd: Path, **extra: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    home = {"HF_HOME": str(cwd / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {**kept, **home, "COLUMNS": "100", **extra}


def run(
    *arguments: str, cwd: Path, stdin: str | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *arguments],
        cwd=cwd, env=environment(cwd, **extra), input=stdin, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    write_tensors(folder / "model.safetensors", "a", "b")
    (folder / "README.md").write_bytes(CARD)
    return folder


@pytest.fixture
def hub(folder: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.add_token("hf_stranger", "bob", write=("bob",))
        weights = (folder / "model.safetensors").read_bytes()
        hub.add("org/name", {"model.safetensors": weights, "README.md": CARD})
        yield hub


def test_a_folder_is_shown_and_then_written(folder: Path, tmp_path: Path) -> None:
    shown = run("attach", "model", "--diff", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert (folder / "README.md").read_bytes() == CARD
    done = run("attach", "./model", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, shown.stdout)
    assert done.stderr == "Wrote thermoscan/card.json, thermoscan/card.html, README.md.\n"
    assert not (tmp_path / "thermoscan-reports").exists()
    again = run("attach", "./model", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == "Nothing to do: the report is there already, and is the same.\n"
    written = (folder / "README.md").read_bytes()
    (folder / "README.md").write_bytes(CARD)
    subprocess.run(["git", "apply", "-"], input=shown.stdout.encode(), cwd=folder, check=True)
    assert (folder / "README.md").read_bytes() == written


def test_a_pull_request_on_a_hub_from_the_diff_to_nothing_to_do(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    at = {"HF_ENDPOINT": hub.endpoint}
    shown = run("attach", "org/name", cwd=tmp_path, **at)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("--- a/README.md\n+++ b/README.md\n")
    refused = run("attach", "org/name", "--open-pr", cwd=tmp_path, **at)
    assert refused.returncode == 2
    assert "it needs a token; set HF_TOKEN or run `hf auth login` [hub-token]\n" in refused.stderr
    at["HF_TOKEN"] = "hf_stranger"
    opened = run("attach", "org/name", "--open-pr", cwd=tmp_path, **at)
    assert (opened.returncode, opened.stderr) == (0, "")
    assert opened.stdout == f"Opened a pull request: {hub.endpoint}/org/name/discussions/1\n"
    again = run("attach", f"{hub.endpoint}/org/name", "--open-pr", cwd=tmp_path, **at)
    assert (again.returncode, again.stdout) == (0, "")
    said = "Nothing to do: the report is in refs/pr/1 already, and is the same.\n"
    assert again.stderr == said
    denied = run("attach", "org/name", "--commit", cwd=tmp_path, **at)
    assert denied.returncode == 2
    assert "(--open-pr) [hub-read-only]" in denied.stderr


def test_a_card_from_a_pipe_is_attached_where_it_is_of_these_weights(
    folder: Path, tmp_path: Path
) -> None:
    scanned = run("model", "--sha256", "--json", "-", cwd=tmp_path).stdout
    done = run("attach", "./model", "--card", "-", cwd=tmp_path, stdin=scanned)
    assert done.returncode == 0
    assert (folder / "thermoscan" / "card.json").read_text() == scanned
    write_tensors(folder / "model.safetensors", "a", "b", "c")
    refused = run("attach", "./model", "--card", "-", cwd=tmp_path, stdin=scanned)
    assert refused.returncode == 2
    assert refused.stderr.endswith("[weights-differ]\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("attach", "./model", "--open-pr"), "folder-has-no-hub"),
        (("attach", "./model", "--diff", "--commit"), "ways-exclusive"),
        (("attach", "./model", "--revision", "main"), "revision-of-a-path"),
        (("attach", "./model", "--card", "model/README.md"), "card-not-json"),
        (("attach", "./model", "--card", "model/model.safetensors"), "card-not-json"),
        (("attach", "what is this?"), "target-not-found"),
        (("badge",), "badge-of-what"),
        (("badge", "./model", "--out", "model/README.md/badges"), "output-unwritable"),
        (("badge", "./model", "--card", "model/README.md"), "badge-of-what"),
        (("badge", "./model", "--url", "http://x.example/badge.json"), "badge-url"),
    ],
)
def test_what_makes_no_sense_ends_in_one_line_and_status_2(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("thermoscan: ")
    assert done.stderr.endswith(f"[{code}]\n")
    assert done.stderr.count("\n") == 1
    assert (folder / "README.md").read_bytes() == CARD


def test_a_model_card_steers_no_terminal(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_bytes(b"\x1b]0;title\x07\x1b[2Jgone \xe2\x80\xae\n")
    ours, theirs = pty.openpty()
    command = [str(SCRIPT), "attach", "./model", "--diff", "-q"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path), stdout=theirs) as done:
        os.close(theirs)
        shown = _read_all(ours)
    assert done.returncode == 0
    assert b"\\x1b]0;title\\x07\\x1b[2Jgone \\u202e" in shown
    assert b"\x1b" not in shown


def test_a_terminal_that_was_shown_the_diff_is_told_how_to_publish_it(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    command = [str(SCRIPT), "attach", "org/name", "-q"]
    at = environment(tmp_path, HF_ENDPOINT=hub.endpoint)
    with subprocess.Popen(
        command, cwd=tmp_path, env=at, stdout=subprocess.DEVNULL, stderr=theirs
    ) as done:
        os.close(theirs)
        said = _read_all(ours)
    assert done.returncode == 0
    assert said == b"Nothing was changed: --open-pr or --commit would do it.\r\n"


def _read_all(terminal: int) -> bytes:
    said = b""
    while chunk := _read(terminal):
        said += chunk
    os.close(terminal)
    return said


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_why_a_tag_was_not_set_is_told_beside_the_diff(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_bytes(b"---\ntags: {a: b}\n---\n")
    done = run("attach", "./model", cwd=tmp_path)
    assert done.returncode == 0
    note = "The tag was not set, the front matter is as it was: its tags are no list.\n"
    assert done.stderr.startswith(note)
    assert "+<!-- thermoscan:start -->" in done.stdout


def test_a_badge_is_a_line_and_two_files(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(realistic().to_json())
    done = run("badge", "--card", "card.json", "--out", "badges", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "![thermoscan](badge.svg)\n")
    assert done.stderr == "Badge: badges/badge.svg, badges/badge.json\n"
    golden = Path(__file__).parents[1] / "reports" / "goldens" / "badge.svg"
    assert (tmp_path / "badges" / "badge.svg").read_text() == golden.read_text()
    endpoint = json.loads((tmp_path / "badges" / "badge.json").read_text())
    assert endpoint["message"] == "τ 2.62 · look"


def test_a_badge_by_shields_asks_for_the_address_that_was_given(
    folder: Path, tmp_path: Path
) -> None:
    url = "https://huggingface.co/org/name/resolve/main/thermoscan/badge.json?x=1&y=2"
    done = run("badge", "./model", "--url", url, cwd=tmp_path)
    assert done.stdout == (
        "![thermoscan](https://img.shields.io/endpoint?url=https%3A%2F%2Fhuggingface.co%2Forg"
        "%2Fname%2Fresolve%2Fmain%2Fthermoscan%2Fbadge.json%3Fx%3D1%26y%3D2)\n"
    )
    assert (tmp_path / "thermoscan-reports" / "model" / "badge.svg").exists()
