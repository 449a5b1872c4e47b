"""Models on a hub are found, pinned and opened; the cache serves what it holds, offline too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants
from support.hub_clients import adapter_of, contents, open_model, refusal
from support.loopback_hub import Call, LoopbackHub, Status
from support.safetensors_files import write_sharded, write_tensors

from thermoscan.checkpoint import OpenOptions, Source
from thermoscan.errors import LimitError, MalformedError, OptionError, SourceError
from thermoscan.plugins import adapter_for
from thermoscan_adapters.hub import CACHED, HubAdapter

CONFIG = b'{"model_type": "bert"}'
DOWNLOAD = OpenOptions(download=True)


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def adapter(hub: LoopbackHub, cache: Path) -> HubAdapter:
    return adapter_of(hub, cache)


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    return write_tensors(tmp_path / "weights", "a", "b").read_bytes()


def files_in(folder: Path) -> set[str]:
    """Returns the names of all files below a folder."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


def asked_for(hub: LoopbackHub) -> set[str]:
    """Returns the names of the files of which bytes were asked for."""
    return {
        request.path.rsplit("/", 1)[-1]
        for request in hub.requests
        if request.method == "GET" and not request.path.startswith("/api/models/")
    }


def test_a_model_is_pinned_and_opened_and_no_file_is_written(
    hub: LoopbackHub, adapter: HubAdapter, cache: Path, weights: bytes
) -> None:
    files = {"model.safetensors": weights, "config.json": CONFIG, "README.md": b"#"}
    others = {"pytorch_model.bin": b"torch", "sub/x.safetensors": b"x", "tf_model.h5": b"h"}
    repository = hub.add("org/name", files | others)
    checkpoint = open_model(adapter)
    assert checkpoint.source == Source("org/name", repository.branches["main"], "hub")
    assert checkpoint.config == {"model_type": "bert"}
    assert contents(checkpoint) == {"a": weights[-48:-24], "b": weights[-24:]}
    records = {record.name: record for record in checkpoint.files}
    assert records["model.safetensors"].sha256 == hashlib.sha256(weights).hexdigest()
    assert {name: record.status for name, record in records.items()} == {
        "model.safetensors": "scanned",
        "pytorch_model.bin": "skipped",
        "sub/x.safetensors": "skipped",
        "tf_model.h5": "skipped",
    }
    assert CACHED not in checkpoint.notes
    assert asked_for(hub) == {"model.safetensors", "config.json"}
    assert files_in(cache) == set()


def test_a_sharded_model_is_read_from_its_shards_and_no_other_weights(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path
) -> None:
    folder = tmp_path / "sharded"
    write_sharded(folder, {"1.safetensors": ("a",), "2.safetensors": ("b", "c")})
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.add("org/name", files | {"3.safetensors": b"not part of it"})
    checkpoint = open_model(adapter)
    assert [tensor.name for tensor in checkpoint.tensors] == ["a", "b", "c"]
    assert asked_for(hub) == set(files)
    assert checkpoint.files[-1].code == "not-chosen"


def test_the_commit_is_pinned_when_the_branch_moves_after_the_first_request(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path
) -> None:
    old = write_tensors(tmp_path / "old", "old").read_bytes()
    new = write_tensors(tmp_path / "new", "new").read_bytes()
    repository = hub.add("org/name", {"model.safetensors": old})
    before = repository.branches["main"]
    hub.fail(Call(lambda: repository.commit({"model.safetensors": new})), path="/tree/")
    checkpoint = open_model(adapter)
    assert contents(checkpoint) == {"old": old[-24:]}
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


def test_broken_weights_are_refused_as_on_disk(hub: LoopbackHub, adapter: HubAdapter) -> None:
    hub.add("org/name", {"model.safetensors": b"\x02\0\0\0\0\0\0\0{}x"})
    error = refusal(adapter, "org/name")
    assert (type(error), error.code) == (MalformedError, "header-trailing-bytes")


def test_small_files_beyond_their_limits_are_not_asked_for(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    hub.add("org/config", {"model.safetensors": weights, "config.json": CONFIG})
    assert open_model(adapter, "org/config", config_bytes=5).config is None
    hub.add("org/index", {"model.safetensors.index.json": b"{" * 100})
    assert refusal(adapter, "org/index", index_bytes=50).code == "index-too-long"
    assert asked_for(hub).isdisjoint({"config.json", "model.safetensors.index.json"})


@pytest.mark.parametrize("status", [404, 503])
def test_a_configuration_that_does_not_come_is_an_error_and_not_a_model_without_one(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes, status: int
) -> None:
    hub.add("org/name", {"model.safetensors": weights, "config.json": CONFIG})
    hub.fail(Status(status), path="config.json", times=None)
    assert refusal(adapter).code == {404: "hub-answer", 503: "hub-unavailable"}[status]


def test_a_download_fills_the_cache_with_what_is_read_and_with_nothing_else(
    hub: LoopbackHub, adapter: HubAdapter, cache: Path, weights: bytes
) -> None:
    files = {"model.safetensors": weights, "config.json": CONFIG, "pytorch_model.bin": b"torch"}
    repository = hub.add("org/name", files)
    checkpoint = adapter.open("org/name", DOWNLOAD)
    assert contents(checkpoint) == {"a": weights[-48:-24], "b": weights[-24:]}
    assert checkpoint.connections == 0
    sha = repository.branches["main"]
    snapshot = cache / "models--org--name" / "snapshots" / sha
    assert files_in(snapshot) == {"model.safetensors", "config.json"}
    assert (cache / "models--org--name" / "refs" / "main").read_text() == sha


def test_a_second_download_asks_for_no_bytes(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    hub.add("org/name", {"model.safetensors": weights, "config.json": CONFIG})
    first = adapter.open("org/name", DOWNLOAD)
    hub.requests.clear()
    assert adapter.open("org/name", DOWNLOAD).tensors == first.tensors
    assert asked_for(hub) == set()


def test_what_the_cache_holds_is_used_without_a_request_and_a_note_says_so(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    repository = hub.add("org/name", {"model.safetensors": weights, "config.json": CONFIG})
    downloaded = adapter.open("org/name", DOWNLOAD)
    repository.commit({"model.safetensors": b"moved on"})
    hub.requests.clear()
    cached = open_model(adapter)
    assert (cached.source, cached.tensors) == (downloaded.source, downloaded.tensors)
    assert contents(cached) == contents(downloaded)
    assert cached.notes == (CACHED,)
    pinned = open_model(adapter, f"org/name@{downloaded.source.revision}")
    assert (pinned.source, pinned.notes) == (downloaded.source, ())
    assert hub.requests == []


def test_a_revision_that_the_cache_does_not_hold_is_read_from_the_hub(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    repository = hub.add("org/name", {"model.safetensors": weights, "config.json": CONFIG})
    adapter.open("org/name", DOWNLOAD)
    sha = repository.commit({"model.safetensors": weights}, branch="other")
    checkpoint = open_model(adapter, "org/name@other")
    assert (checkpoint.source.revision, checkpoint.notes) == (sha, ())


@pytest.mark.parametrize(
    "cached",
    [
        ["config.json"],
        ["config.json", "model.safetensors.index.json", "1.safetensors"],
        ["model.safetensors.index.json", "1.safetensors", "2.safetensors"],
    ],
    ids=["no weights", "a shard is missing", "no configuration"],
)
def test_a_snapshot_that_holds_a_part_is_not_taken_for_the_model(
    hub: LoopbackHub, adapter: HubAdapter, cache: Path, tmp_path: Path, cached: list[str]
) -> None:
    folder = tmp_path / "sharded"
    write_sharded(folder, {"1.safetensors": ("a",), "2.safetensors": ("b",)})
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.add("org/name", files | {"config.json": CONFIG})
    for name in cached:
        HfApi(endpoint=hub.endpoint).hf_hub_download("org/name", name, cache_dir=cache)
    checkpoint = open_model(adapter)
    assert [tensor.name for tensor in checkpoint.tensors] == ["a", "b"]
    assert (checkpoint.config, checkpoint.notes) == ({"model_type": "bert"}, ())


@pytest.mark.parametrize(
    "second", ["pytorch_model.bin", "model.fp16.safetensors", "x.fp16-00001-of-00001.safetensors"]
)
def test_weights_to_which_others_are_preferred_are_not_taken_from_the_cache_unless_they_are_named(
    hub: LoopbackHub, adapter: HubAdapter, cache: Path, weights: bytes, second: str
) -> None:
    files = {"model.safetensors": weights, second: weights, "config.json": CONFIG}
    hub.add("org/name", files)
    for name in (second, "config.json"):
        HfApi(endpoint=hub.endpoint).hf_hub_download("org/name", name, cache_dir=cache)
    checkpoint = open_model(adapter)
    scanned = {record.name: record.status for record in checkpoint.files}
    assert scanned == {"model.safetensors": "scanned", second: "skipped"}
    hub.requests.clear()
    named = adapter.open("org/name", OpenOptions(file=second))
    assert [record.name for record in named.files] == [second]
    assert hub.requests == []


def test_broken_weights_in_the_cache_are_refused_and_not_read_elsewhere(
    hub: LoopbackHub, adapter: HubAdapter, cache: Path, weights: bytes
) -> None:
    hub.add("org/name", {"model.safetensors": weights[:-1], "config.json": CONFIG})
    for name in ("model.safetensors", "config.json"):
        HfApi(endpoint=hub.endpoint).hf_hub_download("org/name", name, cache_dir=cache)
    hub.requests.clear()
    assert isinstance(refusal(adapter), MalformedError)
    assert hub.requests == []


def test_what_was_downloaded_once_opens_offline_and_the_rest_does_not(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/name", {"model.safetensors": weights, "config.json": CONFIG})
    hub.add("org/seen", {"model.safetensors": weights, "config.json": CONFIG})
    online = adapter.open("org/name", DOWNLOAD)
    open_model(adapter, "org/seen")
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    offline = open_model(adapter)
    assert (offline.source, offline.tensors) == (online.source, online.tensors)
    assert offline.notes == (CACHED,)
    assert open_model(adapter, f"org/name@{online.source.revision}").source == online.source
    for source in ("org/name@other", "org/seen", "org/other"):
        assert refusal(adapter, source).code == "hub-offline-uncached"
    assert hub.requests == []


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
    checkpoint = open_model(adapter)
    repository.commit(files | {"vocab.txt": b"new", "merges.txt": b"new"})
    wanted = ("vocab.txt", "merges.txt")
    folder = adapter.beside("org/name", checkpoint, wanted, 100)
    assert folder.name == checkpoint.source.revision
    assert (folder / "vocab.txt").read_bytes() == b"old"
    assert not (folder / "merges.txt").exists()
    assert "tokenizer.py" not in asked_for(hub)
    with pytest.raises(LimitError) as caught:
        adapter.beside("org/name", checkpoint, ("config.json",), 5)
    assert caught.value.code == "file-too-long"


def test_offline_the_cached_files_beside_the_weights_are_used(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/name", {"model.safetensors": weights, "vocab.txt": b"words"})
    checkpoint = open_model(adapter)
    folder = adapter.beside("org/name", checkpoint, ("vocab.txt",), 100)
    before = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert adapter.beside("org/name", checkpoint, ("vocab.txt",), 100) == folder
    assert len(hub.requests) == before
