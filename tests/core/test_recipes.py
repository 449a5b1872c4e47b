"""The recipes in docs/recipes do what they say, run as they are against a hub on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from support.loopback_hub import LoopbackHub

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.add_token("hf_alice", "alice", write=("alice",))
        yield hub


@pytest.fixture
def environment(hub: LoopbackHub, tmp_path: Path) -> Mapping[str, str]:
    """Variables of a person who is logged in, with thermoscan and hf on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    hf = programs / "hf"
    hf.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m huggingface_hub.cli.hf "$@"\n')
    hf.chmod(0o755)
    return {
        **{name: os.environ[name] for name in os.environ if not name.startswith("HF_")},
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": "hf_alice",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PATH": f"{programs}:{SCRIPTS}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }


def write_model(folder: Path, *, broken: bool = False) -> Path:
    weights = np.random.default_rng(0).normal(0, 0.02, (64, 64)).astype(np.float32)
    if broken:
        weights[3, 5] = np.nan
    folder.mkdir()
    save_file({"layer.weight": weights}, folder / "model.safetensors")
    (folder / "README.md").write_text("# A model\n")
    return folder


def run(
    environment: Mapping[str, str], folder: Path, *command: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env={**environment, **variables}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("broken", "status"), [(False, 0), (True, 1)])
def test_the_workflow_fails_on_an_error_and_has_a_card_to_keep(
    hub: LoopbackHub, environment: Mapping[str, str], tmp_path: Path, broken: bool, status: int
) -> None:
    folder = write_model(tmp_path / "model", broken=broken)
    hub.add("alice/name", {path.name: path.read_bytes() for path in folder.iterdir()})
    job = yaml.safe_load((RECIPES / "scan-model.yml").read_text())["jobs"]["scan"]
    steps = {step["name"]: step["run"] for step in job["steps"] if "name" in step}
    assert list(steps) == ["install", "scan"]
    done = run(environment, tmp_path, "bash", "-e", "-c", steps["scan"], MODEL="alice/name@main")
    assert done.returncode == status
    (kept,) = [step for step in job["steps"] if step.get("if") == "always()"]
    assert kept["with"]["path"] == "${{ runner.temp }}/cards"
    card = json.loads((tmp_path / "cards" / "card.json").read_text())
    assert ("non-finite" in {each["code"] for each in card["findings"]}) is broken


def test_a_folder_is_uploaded_once_it_was_scanned(
    hub: LoopbackHub, environment: Mapping[str, str], tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "model")
    weights = (folder / "model.safetensors").read_bytes()
    # This hub stores no large file that it does not have.
    repository = hub.add("alice/name", {"model.safetensors": weights})
    script, options = str(RECIPES / "scan-then-upload.sh"), ("--commit-message", "scanned")
    done = run(environment, tmp_path, "sh", script, "alice/name", "model", *options)
    assert done.returncode == 0, done.stderr
    commit = repository.commits[repository.branches["main"]]
    assert set(commit.files) == {"README.md", "model.safetensors"}
    assert commit.title == "scanned"


def test_an_upload_carries_the_report_of_the_scan_before_it(
    hub: LoopbackHub, environment: Mapping[str, str], tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "model")
    weights = (folder / "model.safetensors").read_bytes()
    repository = hub.add("alice/name", {"model.safetensors": weights})
    script = str(RECIPES / "upload-with-report.sh")
    done = run(environment, tmp_path, "sh", script, "alice/name", "model")
    assert done.returncode == 0, done.stderr
    files = repository.commits[repository.branches["main"]].files
    readme = files["README.md"].part(0, files["README.md"].size)
    assert readme.startswith(b"---\ntags:\n- thermoscan\n---\n# A model\n")
    assert b"<!-- thermoscan:start -->" in readme
    assert "thermoscan/card.json" in files


def test_a_folder_with_an_error_is_not_uploaded(
    hub: LoopbackHub, environment: Mapping[str, str], tmp_path: Path
) -> None:
    write_model(tmp_path / "model", broken=True)
    done = run(
        environment, tmp_path, "sh", str(RECIPES / "scan-then-upload.sh"), "alice/new", "model"
    )
    assert done.returncode == 1
    assert done.stderr.endswith("alice/new was not uploaded\n")
    assert hub.requests == []


def test_a_push_with_an_error_is_refused(environment: Mapping[str, str], tmp_path: Path) -> None:
    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        return run(environment, tmp_path / "model", "git", *identity, *arguments)

    folder = write_model(tmp_path / "model")
    run(environment, tmp_path, "git", "init", "--bare", "there.git")
    git("init", "-b", "main")
    hook = folder / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    shutil.copyfile(RECIPES / "pre-push", hook)
    hook.chmod(0o755)
    git("add", ".")
    assert git("commit", "-m", "one").returncode == 0
    assert git("push", "../there.git", "main").returncode == 0
    weights = np.full((8, 8), np.nan, np.float32)
    save_file({"layer.weight": weights}, folder / "model.safetensors")
    git("commit", "-a", "-m", "two")
    refused = git("push", "../there.git", "main")
    assert refused.returncode == 1
    assert "non-finite" in refused.stderr or "NaN" in refused.stderr
    there = run(environment, tmp_path / "there.git", "git", "log", "--format=%s", "main")
    assert there.stdout == "one\n"
    assert git("status", "--porcelain").stdout == ""


def test_what_is_pushed_to_main_is_scanned_at_that_commit(
    hub: LoopbackHub, environment: Mapping[str, str], tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "model")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    repository = hub.add("alice/name", files)
    scanned = repository.branches["main"]
    repository.commit({**files, "README.md": b"# Moved on\n"})
    server = subprocess.Popen(
        [sys.executable, str(RECIPES / "scan_on_push.py"), "cards", "0"], cwd=tmp_path, text=True,
        env={**environment, "WEBHOOK_SECRET": "secret"}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = urlsplit(server.stdout.readline().strip()).netloc
        sent = _payload("refs/heads/main", scanned)
        assert _post(address, sent, "wrong") == 401
        assert _post(address, {"event": {}}, "secret") == 400
        assert _post(address, _payload("refs/pr/1", scanned), "secret") == 204
        assert _post(address, sent, "secret") == 202
        card = tmp_path / "cards" / "alice--name" / scanned / "card.json"
        end = time.monotonic() + 60
        while not card.exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert json.loads(card.read_text())["model"]["revision"] == scanned
    finally:
        server.kill()
        server.communicate()


def _payload(reference: str, commit: str) -> dict[str, object]:
    """What the hub sends, by https://huggingface.co/docs/hub/webhooks."""
    return {
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {"type": "model", "name": "alice/name", "private": False, "headSha": "0" * 40},
        "updatedRefs": [{"ref": reference, "oldSha": "1" * 40, "newSha": commit}],
    }


def _post(address: str, payload: object, secret: str) -> int:
    connection = HTTPConnection(address, timeout=10)
    try:
        headers = {"X-Webhook-Secret": secret, "Content-Type": "application/json"}
        connection.request("POST", "/", json.dumps(payload), headers)
        return connection.getresponse().status
    finally:
        connection.close()
