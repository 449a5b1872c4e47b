"""``--file``: which file of a folder is scanned, and what is said of weights in sub-folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.safetensors_files import write_sharded, write_tensors

from thermoscan.checkpoint import Checkpoint, OpenOptions
from thermoscan.errors import OptionError, SourceNotFoundError, ThermoscanError, UnsafeError
from thermoscan_adapters import beside
from thermoscan_adapters.disk import DiskAdapter


def open_path(path: Path, file: str | None = None) -> Checkpoint:
    return DiskAdapter().open(str(path), OpenOptions(file=file))


def refusal(path: Path, file: str | None = None) -> ThermoscanError:
    with pytest.raises(ThermoscanError) as caught:
        open_path(path, file)
    assert str(caught.value).isprintable()
    return caught.value


def names(checkpoint: Checkpoint) -> list[str]:
    return [tensor.name for tensor in checkpoint.tensors]


def statuses(checkpoint: Checkpoint) -> dict[str, tuple[str, str | None]]:
    return {record.name: (record.status, record.code) for record in checkpoint.files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints, and more in two sub-folders."""
    root = tmp_path / "many"
    for name in ("a.safetensors", "b.safetensors", "one/model.safetensors"):
        write_tensors(root / name, f"of.{name[0]}")
    write_tensors(root / "one" / "model.fp16.safetensors", "of.fp16")
    write_sharded(root / "two", {"1.safetensors": ("x",), "2.safetensors": ("y",)})
    (root / "config.json").write_text('{"model_type": "top"}')
    (root / "one" / "config.json").write_text('{"model_type": "inner"}')
    (root / "README.md").write_text("# two models")
    return root


def test_without_a_name_several_checkpoints_are_refused_and_the_way_out_is_said(
    folder: Path,
) -> None:
    error = refusal(folder)
    assert error.code == "several-checkpoints"
    assert error.reason.endswith("--file names one: a.safetensors, b.safetensors")


def test_the_named_file_is_scanned_and_the_others_are_recorded(folder: Path) -> None:
    checkpoint = open_path(folder, "b.safetensors")
    assert names(checkpoint) == ["of.b"]
    assert checkpoint.source.id == "many"
    assert checkpoint.config == {"model_type": "top"}
    assert statuses(checkpoint) == {
        "b.safetensors": ("scanned", None),
        "a.safetensors": ("skipped", "not-chosen"),
    }


@pytest.mark.parametrize(
    ("file", "tensors"),
    [
        ("one/model.fp16.safetensors", ["of.fp16"]),
        ("one/model.safetensors", ["of.o"]),
        ("one", ["of.o"]),
        ("one/", ["of.o"]),
        ("two", ["x", "y"]),
        ("two/model.safetensors.index.json", ["x", "y"]),
        ("two/2.safetensors", ["y"]),
    ],
)
def test_a_file_an_index_or_a_folder_below_may_be_named(
    folder: Path, file: str, tensors: list[str]
) -> None:
    checkpoint = open_path(folder, file)
    assert names(checkpoint) == tensors
    inner = file.partition("/")[0]
    assert checkpoint.config == ({"model_type": "inner"} if inner == "one" else None)
    assert all(record.name.startswith(f"{inner}/") for record in checkpoint.files)
    for tensor in checkpoint.tensors:
        checkpoint.reader.readinto(tensor.file, tensor.offset, memoryview(bytearray(tensor.nbytes)))


def test_an_index_may_be_named_as_a_path(folder: Path) -> None:
    assert names(open_path(folder / "two" / "model.safetensors.index.json")) == ["x", "y"]


@pytest.mark.parametrize("file", ["c.safetensors", "one/x.bin", "three/x.bin", "a.safetensors/x"])
def test_a_name_that_is_not_there_says_what_is(folder: Path, file: str) -> None:
    error = refusal(folder, file)
    assert (type(error), error.code, error.file) == (SourceNotFoundError, "file-not-found", file)
    assert error.reason.endswith("weights are in a.safetensors, b.safetensors, one, two")


@pytest.mark.parametrize(
    "file",
    ["", ".", "..", "../a.safetensors", "one/../../x", "/etc/passwd", "a//b", "C:x", "a\\b", "a\n"],
)
def test_a_name_that_leads_elsewhere_is_refused(folder: Path, file: str) -> None:
    write_tensors(folder.parent / "a.safetensors", "outside")
    error = refusal(folder, file)
    assert (type(error), error.code) == (OptionError, "file-outside")


def test_a_link_out_of_the_folder_is_refused_when_it_is_named(folder: Path) -> None:
    write_tensors(folder.parent / "outside" / "x.safetensors", "w")
    (folder / "file.safetensors").symlink_to(folder.parent / "outside" / "x.safetensors")
    (folder / "out").symlink_to(folder.parent / "outside")
    for file in ("file.safetensors", "out", "out/x.safetensors"):
        error = refusal(folder, file)
        assert (type(error), error.code) == (UnsafeError, "link-outside")


def test_a_name_of_what_is_no_weights_is_refused(folder: Path) -> None:
    assert refusal(folder, "config.json").code == "file-not-weights"
    assert refusal(folder, "README.md").code == "format-unknown"
    (folder / "empty").mkdir()
    assert refusal(folder, "empty").code == "no-weights"


def test_a_file_is_not_looked_for_in_a_file(folder: Path) -> None:
    error = refusal(folder / "a.safetensors", "a.safetensors")
    assert (type(error), error.code) == (OptionError, "file-of-a-file")


def sentence_transformer(root: Path) -> Path:
    write_tensors(root / "model.safetensors", "w")
    for name in ("1_Pooling", "2_Dense", "3_Normalize"):
        (root / name).mkdir()
        (root / name / "config.json").write_text("{}")
    write_tensors(root / "2_Dense" / "model.safetensors", "linear.weight")
    (root / "modules.json").write_text(json.dumps([{"path": "2_Dense"}]))
    return root


def test_weights_in_sub_folders_are_recorded_and_a_note_names_these(tmp_path: Path) -> None:
    root = sentence_transformer(tmp_path)
    (root / "export").mkdir()
    (root / "export" / "model.gguf").write_bytes(b"GGUF" + bytes(60))
    checkpoint = open_path(root)
    assert names(checkpoint) == ["w"]
    assert statuses(checkpoint) == {
        "model.safetensors": ("scanned", None),
        "2_Dense/model.safetensors": ("skipped", "not-chosen"),
        "export/model.gguf": ("refused", "format-gguf"),
    }
    assert checkpoint.notes == (
        "Weights in sub-folders were not scanned, of which --file names one: 2_Dense.",
    )
    assert names(open_path(root, "2_Dense")) == ["linear.weight"]


def test_what_training_left_in_a_sub_folder_is_no_weights(tmp_path: Path) -> None:
    write_tensors(tmp_path / "model.safetensors", "w")
    write_tensors(tmp_path / "checkpoint-5" / "optimizer.safetensors", "state")
    checkpoint = open_path(tmp_path)
    assert statuses(checkpoint) == {
        "model.safetensors": ("scanned", None),
        "checkpoint-5/optimizer.safetensors": ("skipped", "not-weights"),
    }
    assert checkpoint.notes == ()


def test_sub_folders_are_looked_into_one_level_deep_and_not_through_links(tmp_path: Path) -> None:
    root = sentence_transformer(tmp_path / "model")
    write_tensors(root / "deep" / "er" / "model.safetensors", "w")
    (root / "link").symlink_to(root / "2_Dense")
    assert set(statuses(open_path(root))) == {"model.safetensors", "2_Dense/model.safetensors"}


def test_only_so_many_sub_folders_and_files_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "MOST_FOLDERS", 12)
    monkeypatch.setattr(beside, "MOST_FILES", 15)
    write_tensors(tmp_path / "model.safetensors", "w")
    for k in range(20):
        for name in ("a.safetensors", "b.safetensors"):
            write_tensors(tmp_path / f"checkpoint-{k:02}" / name, "w")
    checkpoint = open_path(tmp_path)
    assert len(checkpoint.files) == 1 + 15
    (note,) = checkpoint.notes
    assert "checkpoint-07 and 4 more" in note


@pytest.mark.parametrize("homes", [["weights"], ["x", "y"]])
def test_a_folder_with_weights_in_sub_folders_alone_names_these(
    tmp_path: Path, homes: list[str]
) -> None:
    for home in homes:
        write_tensors(tmp_path / home / "model.safetensors", "w")
    error = refusal(tmp_path)
    assert (type(error), error.code) == (SourceNotFoundError, "no-weights")
    assert error.reason.endswith(f"--file names one: {', '.join(homes)}")
