"""The hub adapter against a hub on loopback, through the real client of huggingface_hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from support.loopback_hub import LoopbackHub, Status
from support.safetensors_files import write_sharded, write_tensors

from thermoscan.checkpoint import Checkpoint, OpenOptions, Source
from thermoscan.errors import (
    HubError,
    LimitError,
    MalformedError,
    OptionError,
    SourceError,
    ThermoscanError,
)
from thermoscan.limits import Limits
from thermoscan.plugins import adapter_for
from thermoscan_adapters import hub as module
from thermoscan_adapters.hub import HubAdapter

CONFIG = b'{"model_type": "bert"}'


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def adapter(hub: LoopbackHub, tmp_path: Path) -> HubAdapter:
    return HubAdapter(hub.endpoint, tmp_path / "cache")


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    return write_tensors(tmp_path / "weights", "a", "b").read_bytes()


def open_model(adapter: HubAdapter, source: str, **limits: int) -> Checkpoint:
    return adapter.open(source, OpenOptions(limits=Limits(**limits)))


def refusal(adapter: HubAdapter, source: str, **limits: int) -> ThermoscanError:
    with pytest.raises(ThermoscanError) as caught:
        open_model(adapter, source, **limits)
    return caught.value


def contents(checkpoint: Checkpoint) -> dict[str, bytes]:
    read = {}
    for tensor in checkpoint.tensors:
        buffer = bytearray(tensor.nbytes)
        checkpoint.reader.readinto(tensor.file, tensor.offset, memoryview(buffer))
        read[tensor.name] = bytes(buffer)
    return read


def downloads(hub: LoopbackHub) -> set[str]:
    return {request.path.rsplit("/", 1)[-1] for request in hub.requests if request.method == "GET"}


def test_a_model_is_pinned_downloaded_and_opened(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    files = {"model.safetensors": weights, "config.json": CONFIG, "README.md": b"#"}
    others = {"pytorch_model.bin": b"torch", "sub/x.safetensors": b"x", "tf_model.h5": b"h"}
    repository = hub.add("org/name", files | others)
    checkpoint = open_model(adapter, "org/name")
    assert checkpoint.source == Source("org/name", repository.branches["main"], "hub")
    assert checkpoint.config == {"model_type": "bert"}
    assert contents(checkpoint) == {"a": weights[-48:-24], "b": weights[-24:]}
    records = {record.name: record for record in checkpoint.files}
    assert records["model.safetensors"].sha256 == hashlib.sha256(weights).hexdigest()
    assert {name: record.status for name, record in records.items()} == {
        "model.safetensors": "scanned",
        "pytorch_model.bin": "skipped",
        "tf_model.h5": "skipped",
    }
    assert downloads(hub) == {"name", "model.safetensors", "config.json"}


def test_a_second_scan_downloads_nothing(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    hub.add("org/name", {"model.safetensors": weights, "config.json": CONFIG})
    first = open_model(adapter, "org/name")
    hub.requests.clear()
    assert open_model(adapter, "org/name").tensors == first.tensors
    asked = [(request.method, request.target) for request in hub.requests]
    assert asked == [("GET", "/api/models/org/name?blobs=true")]


def test_a_sharded_model_gets_its_shards_and_no_other_weights(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path
) -> None:
    folder = tmp_path / "sharded"
    write_sharded(folder, {"1.safetensors": ("a",), "2.safetensors": ("b", "c")})
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.add("org/name", files | {"3.safetensors": b"not part of it"})
    checkpoint = open_model(adapter, "org/name")
    assert [tensor.name for tensor in checkpoint.tensors] == ["a", "b", "c"]
    assert downloads(hub) == {"name", *files}
    assert checkpoint.files[-1].code == "not-chosen"


def test_the_commit_is_pinned_when_the_branch_moves_during_the_download(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write_tensors(tmp_path / "old", "old").read_bytes()
    new = write_tensors(tmp_path / "new", "new").read_bytes()
    repository = hub.add("org/name", {"model.safetensors": old})
    before = repository.branches["main"]
    listing = module.list_files

    def list_then_move(*arguments: object) -> module.Listing:
        listed = listing(*arguments)  # type: ignore[arg-type]
        repository.commit({"model.safetensors": new})
        return listed

    monkeypatch.setattr(module, "list_files", list_then_move)
    checkpoint = open_model(adapter, "org/name")
    assert [tensor.name for tensor in checkpoint.tensors] == ["old"]
    assert checkpoint.source.revision == before != repository.branches["main"]


def test_a_revision_can_be_a_branch_a_pull_request_or_a_commit(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path
) -> None:
    old, new = (write_tensors(tmp_path / name, name).read_bytes() for name in ("old", "new"))
    repository = hub.add("org/name", {"model.safetensors": old})
    first = repository.branches["main"]
    second = repository.commit({"model.safetensors": new}, branch="refs/pr/1")
    for source, sha in (
        ("org/name", first),
        ("org/name@main", first),
        ("org/name@refs/pr/1", second),
        (f"org/name@{second}", second),
        (f"{hub.endpoint}/org/name/tree/refs%2Fpr%2F1", second),
    ):
        assert open_model(adapter, source).source.revision == sha
    options = OpenOptions(revision="refs/pr/1")
    assert adapter.open("org/name", options).source.revision == second
    with pytest.raises(OptionError):
        adapter.open("org/name@main", options)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("org/gated", "hub-gated"),
        ("org/missing", "hub-repository-not-found"),
        ("org/open@nope", "hub-revision-not-found"),
        ("org/text", "no-weights"),
        ("org/many", "several-checkpoints"),
        ("https://example.com/org/open", "hub-url"),
    ],
)
def test_what_cannot_be_scanned_says_why(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes, source: str, code: str
) -> None:
    hub.add("org/open", {"model.safetensors": weights})
    hub.add("org/gated", {"model.safetensors": weights}, gated=True)
    hub.add("org/text", {"README.md": b"#"})
    hub.add("org/many", {"a.safetensors": weights, "b.safetensors": weights})
    error = refusal(adapter, source)
    assert (error.code, error.file) == (code, source)
    assert isinstance(error, SourceError)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "hub-token"),
        (403, "hub-token"),
        (404, "hub-answer"),
        (429, "hub-rate-limit"),
        (500, "hub-unavailable"),
        (503, "hub-unavailable"),
    ],
)
def test_a_hub_that_fails_is_reported_by_what_it_answers(
    hub: LoopbackHub, adapter: HubAdapter, status: int, code: str
) -> None:
    hub.fail(Status(status), times=None)
    assert refusal(adapter, "org/name").code == code


def test_a_hub_that_does_not_answer_in_time_is_a_timeout(
    hub: LoopbackHub, adapter: HubAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.1)
    hub.latency_seconds = 1
    assert refusal(adapter, "org/name").code == "hub-timeout"


def test_a_hub_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with LoopbackHub() as gone:
        endpoint = gone.endpoint
    assert refusal(HubAdapter(endpoint, tmp_path), "org/name").code == "hub-unreachable"


def test_a_hub_that_states_no_commit_is_not_trusted(hub: LoopbackHub, adapter: HubAdapter) -> None:
    repository = hub.add("org/name", {"model.safetensors": b""})
    repository.commits["../../evil"] = repository.commits[repository.branches["main"]]
    repository.branches["main"] = "../../evil"
    error = refusal(adapter, "org/name")
    assert (type(error), error.code) == (HubError, "hub-answer")


def test_broken_weights_are_refused_as_on_disk(hub: LoopbackHub, adapter: HubAdapter) -> None:
    hub.add("org/name", {"model.safetensors": b"\x02\0\0\0\0\0\0\0{}x"})
    error = refusal(adapter, "org/name")
    assert (type(error), error.code) == (MalformedError, "header-trailing-bytes")


@pytest.mark.parametrize(
    ("shard", "code"),
    [("gone.safetensors", "index-shard-missing"), ("../../x.safetensors", "index-shard-name")],
)
def test_an_index_that_leads_elsewhere_costs_no_download(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes, shard: str, code: str
) -> None:
    index = json.dumps({"weight_map": {"a": "1.safetensors", "b": shard}}).encode()
    hub.add("org/name", {"model.safetensors.index.json": index, "1.safetensors": weights})
    assert refusal(adapter, "org/name").code == code
    assert "1.safetensors" not in downloads(hub)


def test_small_files_beyond_their_limits_are_not_downloaded(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    hub.add("org/config", {"model.safetensors": weights, "config.json": CONFIG})
    assert open_model(adapter, "org/config", config_bytes=5).config is None
    hub.add("org/index", {"model.safetensors.index.json": b"{" * 100})
    assert refusal(adapter, "org/index", index_bytes=50).code == "index-too-long"
    hub.add("org/files", {f"{i}.txt": b"" for i in range(20)})
    assert refusal(adapter, "org/files", folder_entries=19).code == "folder-too-large"
    assert downloads(hub).isdisjoint({"config.json", "model.safetensors.index.json"})


def test_what_was_scanned_once_opens_offline_and_the_rest_does_not(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/name", {"model.safetensors": weights, "config.json": CONFIG})
    online = open_model(adapter, "org/name")
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    offline = open_model(adapter, "org/name")
    assert (offline.source, offline.tensors) == (online.source, online.tensors)
    assert open_model(adapter, f"org/name@{online.source.revision}").source == online.source
    assert refusal(adapter, "org/name@other").code == "hub-offline-uncached"
    assert refusal(adapter, "org/other").code == "hub-offline-uncached"
    assert hub.requests == []


def test_the_registered_adapter_reads_from_the_hub_of_the_environment(
    hub: LoopbackHub, weights: bytes, tmp_path: Path
) -> None:
    hub.add("org/name", {"model.safetensors": weights})
    code = (
        "from thermoscan.plugins import adapter_for; from thermoscan.checkpoint import OpenOptions;"
        "print(adapter_for('org/name').open('org/name', OpenOptions()).source.revision)"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    assert result.stdout.strip() == hub.repositories["org/name"].branches["main"]


def test_names_go_to_the_hub_only_where_no_path_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(adapter_for("org/name"), HubAdapter)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert not isinstance(adapter_for("org/name"), HubAdapter)
    with pytest.raises(SourceError) as caught:
        adapter_for("a/b/c")
    assert caught.value.code == "source-not-found"


def test_small_files_beside_the_weights_come_from_the_commit_that_was_opened(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    files = {"model.safetensors": weights, "config.json": CONFIG, "vocab.txt": b"old"}
    repository = hub.add("org/name", files | {"tokenizer.py": b"code", "x/vocab.txt": b"deep"})
    checkpoint = open_model(adapter, "org/name")
    repository.commit(files | {"vocab.txt": b"new", "merges.txt": b"new"})
    wanted = ("vocab.txt", "merges.txt")
    folder = adapter.beside("org/name", checkpoint, wanted, 100)
    assert folder.name == checkpoint.source.revision
    assert (folder / "vocab.txt").read_bytes() == b"old"
    assert not (folder / "merges.txt").exists()
    assert "tokenizer.py" not in downloads(hub)
    with pytest.raises(LimitError) as caught:
        adapter.beside("org/name", checkpoint, ("config.json",), 5)
    assert caught.value.code == "file-too-long"


def test_offline_the_cached_files_beside_the_weights_are_used(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/name", {"model.safetensors": weights, "vocab.txt": b"words"})
    checkpoint = open_model(adapter, "org/name")
    folder = adapter.beside("org/name", checkpoint, ("vocab.txt",), 100)
    before = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert adapter.beside("org/name", checkpoint, ("vocab.txt",), 100) == folder
    assert len(hub.requests) == before
