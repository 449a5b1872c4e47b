"""Opening untrusted files: every kind of thing that a name can lead to, and files that change."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from thermoscan.errors import (
    ChangedError,
    MalformedError,
    SourceError,
    SourceNotFoundError,
    ThermoscanError,
    UnsafeError,
)
from thermoscan_adapters.files import find_file
from thermoscan_adapters.folders import FilesReader

CONTENT = bytes(range(256)) * 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(CONTENT)
    return folder


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def make_folder(path: Path) -> None:
    path.mkdir()


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "kind", "code"),
    [
        (make_fifo, SourceError, "file-not-regular"),
        (make_socket, SourceError, "file-not-regular"),
        (make_folder, SourceError, "file-not-regular"),
        (link_to("/dev/zero"), UnsafeError, "link-outside"),
        (link_to("/etc/hostname"), UnsafeError, "link-outside"),
        (link_to("../../outside"), UnsafeError, "link-outside"),
        (link_to("bad"), UnsafeError, "link-loop"),
        (link_to("nothing"), SourceNotFoundError, "file-not-found"),
        (lambda path: None, SourceNotFoundError, "file-not-found"),
    ],
    ids=["fifo", "socket", "folder", "device", "absolute", "dots", "loop", "dangling", "missing"],
)
def test_what_is_not_a_plain_file_inside_the_folder_is_refused_at_once(
    folder: Path, make: Callable[[Path], None], kind: type[ThermoscanError], code: str
) -> None:
    (folder.parent.parent / "outside").write_bytes(b"secret")
    make(folder / "bad")
    with pytest.raises(kind) as caught:
        find_file(folder, "bad")
    assert (caught.value.code, caught.value.file) == (code, "bad")


@pytest.mark.skipif(not os.access("/dev/null", os.R_OK), reason="needs a device")
def test_a_device_is_refused_by_what_it_is() -> None:
    with pytest.raises(SourceError, match="it is a device") as caught:
        find_file(Path("/dev"), "null")
    assert caught.value.code == "file-not-regular"


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5000, "weights/x", "../model/\0"])
def test_a_name_that_no_file_can_have_is_not_found(folder: Path, name: str) -> None:
    with pytest.raises(SourceNotFoundError):
        find_file(folder, name)


def test_a_file_without_permission_is_unreadable(unprivileged: Path) -> None:
    path = unprivileged / "secret"
    user = os.geteuid()
    os.seteuid(unprivileged.stat().st_uid)
    path.write_bytes(b"x")
    path.chmod(0)
    os.seteuid(user)
    with pytest.raises(SourceError, match="no permission") as caught:
        find_file(unprivileged, "secret")
    assert caught.value.code == "file-unreadable"


def test_a_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "link").symlink_to("weights")
    file = find_file(folder, "link")
    assert (file.name, file.read_at(1, 3)) == ("link", b"\x01\x02\x03")


def test_links_of_the_hub_cache_lead_to_the_blobs_of_their_own_repository_only(
    tmp_path: Path,
) -> None:
    snapshot = tmp_path / "models--org--name" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for blobs in (tmp_path / "models--org--name" / "blobs", tmp_path / "blobs"):
        blobs.mkdir()
        (blobs / "abc").write_bytes(CONTENT)
    (snapshot / "model").symlink_to("../../blobs/abc")
    (snapshot / "shared").symlink_to("../../../blobs/abc")
    assert find_file(snapshot, "model").size == len(CONTENT)
    with pytest.raises(UnsafeError):
        find_file(snapshot, "shared")
    (tmp_path / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    assert find_file(snapshot, "shared").size == len(CONTENT)


def test_bytes_are_read_where_they_are_asked_for(folder: Path) -> None:
    file = find_file(folder, "weights")
    buffer = bytearray(10)
    FilesReader({"weights": file}).readinto("weights", 250, memoryview(buffer))
    assert bytes(buffer) == CONTENT[250:260] == file.read_at(250, 10)
    assert file.read_at(len(CONTENT), 0) == b""


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (0, 2049), (2048, 1), (2**70, 1)])
def test_a_range_beyond_the_file_is_refused(folder: Path, offset: int, length: int) -> None:
    with pytest.raises(MalformedError) as caught:
        find_file(folder, "weights").read_at(offset, length)
    assert caught.value.code == "file-too-short"


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def grow(path: Path) -> None:
    os.truncate(path, 5000)


def rewrite(path: Path) -> None:
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(1, 1))


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(CONTENT)
    shutil.copystat(path, other)
    other.replace(path)


def remove(path: Path) -> None:
    path.unlink()


def into_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def into_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (truncate, "file-truncated"),
        (grow, "file-changed"),
        (rewrite, "file-changed"),
        (replace, "file-changed"),
        (remove, "file-changed"),
        (into_fifo, "file-changed"),
        (into_link, "file-changed"),
    ],
)
def test_a_file_that_changes_between_two_reads_is_noticed(
    folder: Path, change: Callable[[Path], None], code: str
) -> None:
    file = find_file(folder, "weights")
    file.read_at(0, 10)
    change(folder / "weights")
    with pytest.raises(ChangedError) as caught:
        file.read_at(0, 10)
    assert (caught.value.code, caught.value.file) == (code, "weights")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_a_thousand_files_need_no_thousand_descriptors(folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    files = {f"shard{i}": folder / f"shard{i}" for i in range(1000)}
    for path in files.values():
        path.write_bytes(b"x")
    reader = FilesReader({name: find_file(folder, name) for name in files})
    for name in files:
        reader.readinto(name, 0, memoryview(bytearray(1)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    reader.close()
