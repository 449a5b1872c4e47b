"""What identifies a source changes with whatever a scan of it depends on, and with nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, snapshot_download
from support.hub_clients import adapter_of
from support.loopback_hub import LoopbackHub
from support.safetensors_files import write_sharded, write_tensors

from thermoscan.checkpoint import Fingerprint, OpenOptions
from thermoscan.errors import LimitError, OptionError, SourceError
from thermoscan.limits import Limits
from thermoscan_adapters.disk import DiskAdapter

CONFIG = b'{"model_type": "bert"}'


def fingerprint(path: Path, file: str | None = None) -> Fingerprint:
    found = DiskAdapter().fingerprint(str(path), OpenOptions(file=file))
    assert found == DiskAdapter().fingerprint(str(path), OpenOptions(file=file))
    assert list(found.files) == sorted(found.files)
    return found


def names(found: Fingerprint) -> set[str]:
    return {name for name, _, _ in found.files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "m"
    for name in ("model.safetensors", "model.fp16.safetensors", "sub/x.pt", "sub/deep/y.pt"):
        write_tensors(folder / name, "a")
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "README.md").write_text("#")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_it_is_made_of_what_a_scan_looks_at(folder: Path) -> None:
    found = fingerprint(folder)
    assert found.revision is None
    assert names(found) == {
        "model.safetensors", "model.fp16.safetensors", "config.json", "sub/x.pt",
    }  # fmt: skip
    path = folder / "model.safetensors"
    status = path.stat()
    mark = f"{status.st_dev:x}-{status.st_ino:x}-{status.st_mtime_ns:x}"
    assert ("model.safetensors", status.st_size, mark) in found.files


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


def replace_by_a_copy(path: Path) -> None:
    """Another file of the same bytes and the same time: only the inode tells."""
    status = path.stat()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(path)


def write_in_place(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"y" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def make_unlike(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "change", [grow, replace_by_a_copy, write_in_place, make_unlike, os.remove]
)
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "sub/x.pt"])
def test_every_change_of_what_matters_changes_it(
    folder: Path, name: str, change: Callable[[Path], None]
) -> None:
    before = fingerprint(folder)
    change(folder / name)
    assert fingerprint(folder) != before


@pytest.mark.parametrize("name", ["new.onnx", "optimizer.pt", "sub/z.bin", "other/model.gguf"])
def test_a_new_file_that_a_card_would_record_changes_it(folder: Path, name: str) -> None:
    before = fingerprint(folder)
    write_tensors(folder / name, "a")
    assert fingerprint(folder) != before


@pytest.mark.parametrize("name", ["README.md", "tokenizer.json", "sub/deep/y.pt", "new.txt"])
def test_what_no_card_depends_on_does_not_change_it(folder: Path, name: str) -> None:
    before = fingerprint(folder)
    (folder / name).write_text("changed")
    assert fingerprint(folder) == before


def test_of_a_file_it_is_made_of_the_file_and_its_configuration(folder: Path) -> None:
    path = folder / "model.fp16.safetensors"
    before = fingerprint(path)
    assert names(before) == {path.name, "config.json"}
    grow(folder / "model.safetensors")
    assert fingerprint(path) == before
    grow(folder / "config.json")
    assert fingerprint(path) != before


def test_of_a_named_file_it_is_made_of_what_lies_beside_it(folder: Path) -> None:
    assert names(fingerprint(folder, "model.fp16.safetensors")) == {
        "model.safetensors", "model.fp16.safetensors", "config.json",
    }  # fmt: skip
    assert names(fingerprint(folder, "sub/x.pt")) == names(fingerprint(folder, "sub/"))
    assert names(fingerprint(folder, "sub")) == {"sub/x.pt"}


def test_shards_count_whatever_they_are_called_and_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "m" / "inner" / "deep").mkdir(parents=True)
    shards = {"one.dat": ("a",), "inner/deep/two.weights": ("b",)}
    write_sharded(tmp_path / "m", shards)
    before = fingerprint(tmp_path / "m")
    assert names(before) == {*shards, "model.safetensors.index.json"}
    index = fingerprint(tmp_path / "m" / "model.safetensors.index.json")
    grow(tmp_path / "m" / "inner" / "deep" / "two.weights")
    assert fingerprint(tmp_path / "m") != before
    assert fingerprint(tmp_path / "m" / "model.safetensors.index.json") != index


def test_components_count_beyond_the_hundredth_folder_and_through_links(tmp_path: Path) -> None:
    for number in range(120):
        (tmp_path / "m" / f"a{number:03}").mkdir(parents=True)
    write_tensors(tmp_path / "m" / "unet" / "x.safetensors", "a")
    (tmp_path / "m" / "unet" / "config.json").write_bytes(CONFIG)
    (tmp_path / "m" / "vae").symlink_to("unet")
    index = {name: ["diffusers", "Model"] for name in ("unet", "vae")}
    (tmp_path / "m" / "model_index.json").write_text(json.dumps(index))
    inner = {f"{each}/{name}" for each in index for name in ("x.safetensors", "config.json")}
    assert names(fingerprint(tmp_path / "m")) == {"model_index.json", *inner}


def test_what_cannot_be_opened_has_its_reason_for_a_mark(folder: Path) -> None:
    os.mkfifo(folder / "pipe.pt")
    (folder / "out.pt").symlink_to("/etc/passwd")
    (folder / "gone.pt").symlink_to("nothing")
    (folder / "model.safetensors.index.json").write_text("{")
    found = {name: (size, mark) for name, size, mark in fingerprint(folder).files}
    assert found["pipe.pt"] == (0, "file-not-regular")
    assert found["out.pt"] == (0, "link-outside")
    assert found["gone.pt"] == (0, "file-not-found")


def test_a_digest_for_a_name_is_believed_in_a_cache_alone(tmp_path: Path) -> None:
    blob = write_tensors(tmp_path / "blobs" / f"{'0' * 64}.safetensors", "a").rename(
        tmp_path / "blobs" / ("0" * 64)
    )
    (tmp_path / "model.safetensors").symlink_to("blobs/" + "0" * 64)
    before = fingerprint(tmp_path)
    write_in_place(blob)
    assert fingerprint(tmp_path) != before


def test_where_a_scan_finds_nothing_there_is_none(folder: Path) -> None:
    for source, file, code in (
        (folder / "x.pt", None, "file-not-found"),
        (folder, "x.pt", "file-not-found"),
        (folder, "x/y.pt", "folder-not-found"),
    ):
        with pytest.raises(SourceError) as caught:
            fingerprint(source, file)
        assert caught.value.code == code
    with pytest.raises(OptionError):
        DiskAdapter().fingerprint(str(folder), OpenOptions(revision="main"))
    with pytest.raises(OptionError):
        fingerprint(folder / "config.json", "x")
    with pytest.raises(LimitError):
        DiskAdapter().fingerprint(str(folder), OpenOptions(limits=Limits(folder_entries=2)))


# On a hub, and in its cache.


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    return write_tensors(tmp_path / "weights", "a").read_bytes()


def test_on_a_hub_it_is_the_commit_and_the_digests_that_the_hub_lists(
    hub: LoopbackHub, tmp_path: Path, weights: bytes
) -> None:
    deep = {"sub/x.pt": b"x", "sub/deep/y.pt": b"y", "README.md": b"#"}
    repository = hub.add("org/m", {"model.safetensors": weights, "config.json": CONFIG, **deep})
    found = adapter_of(hub, tmp_path / "cache").fingerprint("org/m", OpenOptions())
    blob = hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest()
    assert found == Fingerprint(
        repository.branches["main"],
        (
            ("config.json", len(CONFIG), blob),
            ("model.safetensors", len(weights), hashlib.sha256(weights).hexdigest()),
            ("sub/x.pt", 1, hashlib.sha256(b"x").hexdigest()),
        ),
    )
    assert {request.origin for request in hub.requests} == {"hub"}
    assert not any("/resolve/" in request.path for request in hub.requests)


def test_on_a_hub_a_named_file_stands_for_its_folder(
    hub: LoopbackHub, tmp_path: Path, weights: bytes
) -> None:
    files = {f"{where}model.safetensors": weights for where in ("", "a/", "a/b/", "ab/")}
    hub.add("org/m", files)
    adapter = adapter_of(hub, tmp_path / "cache")

    def of(file: str) -> set[str]:
        return names(adapter.fingerprint("org/m", OpenOptions(file=file)))

    assert of("model.safetensors") == {"model.safetensors"}
    assert of("a") == of("a/") == of("a/model.safetensors") == {"a/model.safetensors"}
    assert of("a/b") == {"a/b/model.safetensors"}


def test_the_cache_and_the_hub_agree(hub: LoopbackHub, tmp_path: Path, weights: bytes) -> None:
    hub.add("org/m", {"model.safetensors": weights, "config.json": CONFIG, "README.md": b"#"})
    adapter = adapter_of(hub, tmp_path / "cache")
    listed = adapter.fingerprint("org/m", OpenOptions())
    folder = snapshot_download(
        "org/m", cache_dir=tmp_path / "cache", endpoint=hub.endpoint, token=False
    )
    hub.requests.clear()
    assert adapter.fingerprint("org/m", OpenOptions()) == listed
    assert hub.requests == []
    assert fingerprint(Path(folder)) == listed
    assert adapter.fingerprint("org/m", OpenOptions(download=True)) == listed


def test_it_is_of_the_snapshot_that_a_scan_reads(
    hub: LoopbackHub, tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = hub.add("org/m", {"model.safetensors": weights, "config.json": CONFIG})
    first = repository.branches["main"]
    adapter = adapter_of(hub, tmp_path / "cache")
    snapshot_download("org/m", cache_dir=tmp_path / "cache", endpoint=hub.endpoint, token=False)
    second = repository.commit({"model.safetensors": weights + b" "})
    for options, commit in ((OpenOptions(), first), (OpenOptions(revision=second), second)):
        opened = adapter.fingerprint("org/m", options)
        assert opened.revision == commit
    assert adapter.open("org/m", OpenOptions()).source.revision == first
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert adapter.fingerprint("org/m", OpenOptions()).revision == first


def test_a_cached_model_that_cannot_be_scanned_has_one(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add("org/m", {"model.safetensors": b"broken", "config.json": CONFIG})
    adapter = adapter_of(hub, tmp_path / "cache")
    listed = adapter.fingerprint("org/m", OpenOptions())
    snapshot_download("org/m", cache_dir=tmp_path / "cache", endpoint=hub.endpoint, token=False)
    assert adapter.fingerprint("org/m", OpenOptions()) == listed


def test_what_is_not_on_the_hub_has_none(hub: LoopbackHub, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        adapter_of(hub, tmp_path / "cache").fingerprint("org/none", OpenOptions())
    assert caught.value.code == "hub-repository-not-found"
