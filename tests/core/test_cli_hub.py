"""The command on models of a hub, as its users expect it: variables, streams, the `hf` command."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.batches import write_long
from support.loopback_hub import LoopbackHub
from support.safetensors_files import write_tensors

from thermoscan import __version__

SCRIPTS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    weights = write_tensors(tmp_path_factory.mktemp("weights") / "w", "a.weight", "b.weight")
    with LoopbackHub() as hub:
        repository = hub.add("org/name", {"model.safetensors": weights.read_bytes()})
        repository.commit({"model.safetensors": weights.read_bytes()}, branch="other")
        hub.add("org/private", {"model.safetensors": weights.read_bytes()}, private=True)
        hub.add_token("hf_reader", "alice", read=("org",))
        yield hub


def environment(hub: LoopbackHub, home: Path, **variables: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith("HF_")}
    ours = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {**inherited, **ours, "HF_HUB_DISABLE_XET": "1", "COLUMNS": "100", **variables}


def run(
    hub: LoopbackHub, folder: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPTS / "thermoscan"), *arguments], cwd=folder, capture_output=True, text=True,
        env=environment(hub, folder / "home", **variables), timeout=120, check=False,
    )  # fmt: skip


def on_a_terminal(
    hub: LoopbackHub, folder: Path, *arguments: str, script: str = "thermoscan", **variables: str
) -> str:
    """Returns what a person sees on stdout and stderr."""
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def watch() -> None:
        try:
            while piece := os.read(ours, 1 << 16):
                seen.append(piece)
        except OSError:  # nobody holds the other end any more
            return

    watcher = threading.Thread(target=watch)
    watcher.start()
    done = subprocess.run(
        [str(SCRIPTS / script), *arguments], cwd=folder, stdout=theirs, stderr=theirs,
        env=environment(hub, folder / "home", TERM="xterm", **variables), timeout=120, check=False,
    )  # fmt: skip
    os.close(theirs)
    watcher.join()
    os.close(ours)
    assert done.returncode == 0
    return b"".join(seen).decode()


_STEPS = """
from thermoscan.cli.progress import steps_on_stderr
with steps_on_stderr(quiet=False) as step:
    step("weights", 1, 2)
"""


def test_the_hub_of_hf_endpoint_is_read_by_range_and_nothing_is_left_in_hf_home(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    before = len(hub.requests)
    done = run(hub, tmp_path, "org/name@other", "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    model = json.loads(done.stdout)["model"]
    assert model["revision"] == hub.repositories["org/name"].branches["other"]
    fetched = [each for each in hub.requests[before:] if each.origin == "content"]
    assert fetched
    assert all(each.range for each in fetched)
    assert not (tmp_path / "home").exists()
    agents = {each.headers["user-agent"].partition(";")[0] for each in hub.requests[before:]}
    assert agents == {f"thermoscan/{__version__}"}


def test_a_download_fills_the_cache_of_hf_home_and_serves_offline(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    online = run(hub, tmp_path, "org/name", "--download", "--json", "-")
    assert online.returncode == 0
    assert list((tmp_path / "home" / "hub" / "models--org--name" / "snapshots").iterdir())
    before = len(hub.requests)
    offline = run(hub, tmp_path, "org/name", "--json", "-", HF_HUB_OFFLINE="1")
    assert len(hub.requests) == before
    layers = [json.loads(each.stdout)["layers"] for each in (online, offline)]
    assert layers[0] == layers[1] != []


def test_spectra_read_a_download_since_they_read_it_twice(hub: LoopbackHub, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "org/name", "--spectra", "--json", "-")
    assert json.loads(done.stdout)["spectra"]["spectra"] == 2, done.stderr
    assert list((tmp_path / "home" / "hub" / "models--org--name" / "snapshots").iterdir())


def test_hf_token_opens_what_it_may_read(hub: LoopbackHub, tmp_path: Path) -> None:
    closed = run(hub, tmp_path, "org/private", "-q")
    assert closed.returncode == 2
    assert "[hub-repository-not-found]" in closed.stderr
    assert run(hub, tmp_path, "org/private", "-q", HF_TOKEN="hf_reader").returncode == 0


def test_a_person_sees_that_a_model_is_opened_and_read(hub: LoopbackHub, tmp_path: Path) -> None:
    seen = on_a_terminal(hub, tmp_path, "org/name")
    assert seen.index("opening") < seen.index("reading") < seen.index("Card:")
    assert "\x1b[3" in seen  # colours


def test_a_person_sees_that_a_model_is_opened_before_the_first_of_many_steps(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    seen = on_a_terminal(hub, tmp_path, "-c", _STEPS, script="python")
    assert seen.index("opening") < seen.index("weights")


def test_no_progress_where_the_hub_is_told_to_show_none(hub: LoopbackHub, tmp_path: Path) -> None:
    seen = on_a_terminal(hub, tmp_path, "org/name", HF_HUB_DISABLE_PROGRESS_BARS="1", NO_COLOR="1")
    assert "Card:" in seen
    assert "opening" not in seen
    assert "\x1b" not in seen


def test_a_quiet_download_shows_no_bars_of_the_hub_either(hub: LoopbackHub, tmp_path: Path) -> None:
    quiet = on_a_terminal(hub, tmp_path, "org/name", "--download", "-q", "--out", "cards")
    assert quiet == "cards\r\n"


def test_a_download_leaves_the_terminal_to_the_hubs_own_bars(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    seen = on_a_terminal(hub, tmp_path, "org/name", "--download")
    assert "reading" in seen
    assert "opening" not in seen


def test_hf_debug_shows_where_an_error_came_from(hub: LoopbackHub, tmp_path: Path) -> None:
    *trace, last = run(hub, tmp_path, "org/missing", HF_DEBUG="1").stderr.splitlines()
    assert "Traceback (most recent call last):" in trace
    assert last.startswith("thermoscan: ")
    assert last.endswith("[hub-repository-not-found]")


def test_the_hubs_own_command_runs_it_once_it_is_registered(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    variables = environment(hub, tmp_path / "hub", HF_HUB_DISABLE_UPDATE_CHECK="1")
    kernels = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    variables |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": kernels}
    variables |= {"PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    recipe = Path(__file__).parents[2] / "docs" / "recipes" / "register-with-hf.sh"
    subprocess.run(["sh", str(recipe)], env=variables, check=True, timeout=60)

    def hf(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "huggingface_hub.cli.hf", "thermoscan", *arguments],
            cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    done = hf("org/name", "--revision", "other", "--json", "-")
    assert done.returncode == 0
    revision = json.loads(done.stdout)["model"]["revision"]
    assert revision == hub.repositories["org/name"].branches["other"]
    wrong = hf("scan", "--wrong")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("Usage: hf thermoscan scan [OPTIONS] MODEL\n")


def test_a_batch_of_a_query_reads_each_model_once(hub: LoopbackHub, tmp_path: Path) -> None:
    weights = write_tensors(tmp_path / "w", "a.weight", rows=7).read_bytes()
    for k in range(5):
        hub.add(f"many/m{k}", {"model.safetensors": weights, "config.json": b"{}"})
    hub.add("many/none", {"README.md": b"no weights"})
    query = ("batch", "--hub", "author=many", "--out", "out")
    first = run(hub, tmp_path, *query)
    assert (first.returncode, first.stderr) == (0, "")
    assert "Models: 5 scanned, 0 refused, 1 skipped" in first.stdout
    before = len(hub.requests)
    again = run(hub, tmp_path, *query)
    assert "This run: 0 scanned, 0 refused, 0 skipped, 6 unchanged" in again.stdout
    asked = [each.path for each in hub.requests[before:]]
    # The commits in the list tell; only of the model without weights is no revision known.
    assert {path for path in asked if "/none" not in path} == {"/api/models"}
    hub.repositories["many/m2"].commit({"model.safetensors": weights[:-4] + b"\1\1\1\1"})
    third = run(hub, tmp_path, *query)
    assert "This run: 1 scanned, 0 refused, 0 skipped, 5 unchanged" in third.stdout


def test_a_batch_with_spectra_downloads_what_it_scans_and_no_more(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    for name, rows in (("small", 30), ("large", 3000)):
        weights = write_tensors(tmp_path / name, "a.weight", rows=rows).read_bytes()
        hub.add(f"spectra/{name}", {"model.safetensors": weights})
    limit = ("--max-bytes", "30kB", "--out", "out", "--spectra")
    query = ("batch", "--hub", "author=spectra", *limit)
    first = run(hub, tmp_path, *query)
    assert "Models: 1 scanned, 0 refused, 1 skipped" in first.stdout, first.stderr
    cache = tmp_path / "home" / "hub"
    assert [each.name for each in cache.glob("models--*")] == ["models--spectra--small"]
    card = json.loads((tmp_path / "out" / "cards" / "spectra--small" / "card.json").read_text())
    assert card["spectra"]["spectra"] == 1
    again = run(hub, tmp_path, *query)
    assert "This run: 0 scanned, 0 refused, 0 skipped, 2 unchanged" in again.stdout
    (tmp_path / "list.txt").write_text("spectra/small\nspectra/large\n")
    listed = run(hub, tmp_path, "batch", "--list", "list.txt", *limit)
    assert "0 scanned, 0 refused, 0 skipped, 2 unchanged" in listed.stdout


def test_a_batch_that_the_hub_fails_is_tried_again_by_the_next_run(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("org/name\norg/private\n")
    listed = ("batch", "--list", "list.txt", "--out", "out")
    closed = run(hub, tmp_path, *listed)
    assert "Models: 1 scanned, 1 refused, 0 skipped" in closed.stdout
    opened = run(hub, tmp_path, *listed, HF_TOKEN="hf_reader")
    assert "This run: 1 scanned, 0 refused, 0 skipped, 1 unchanged" in opened.stdout


def test_a_person_sees_how_many_models_are_done(hub: LoopbackHub, tmp_path: Path) -> None:
    for k in range(3):
        write_tensors(tmp_path / "models" / f"m{k}" / "model.safetensors", "a.weight", rows=k + 2)
    write_long(tmp_path / "models" / "[red]long[/red]" / "model.safetensors")
    seen = on_a_terminal(hub, tmp_path, "batch", "models")
    assert "of 4 models" in seen
    assert "[red]long[/red]" in seen
    assert seen.index("of 4 models") < seen.index("Models: 4 scanned")
