"""Folders of pictures and datasets that were saved to disk."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from thermoscan.errors import DataError, ThermoscanError, UnsafeError
from thermoscan.limits import DataLimits
from thermoscan.plugins import data_reader_for
from thermoscan.probe.subject import Examples


@pytest.fixture(autouse=True)
def _quiet() -> None:
    datasets.disable_progress_bars()


def read(path: Path, inputs: int = 1000, **limits: int) -> Examples:
    return data_reader_for(str(path)).read(str(path), inputs, DataLimits(**limits))


def refusal(path: Path, **limits: int) -> ThermoscanError:
    with pytest.raises(ThermoscanError) as caught:
        read(path, **limits)
    return caught.value


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def colours(found: Examples) -> list[tuple[int, ...]]:
    return [each.getpixel((0, 0)) for each in found.pictures]


def test_sub_folders_are_labels_and_take_turns(tmp_path: Path) -> None:
    for k in range(3):
        paint(tmp_path / "cat" / f"{k}.png", (k, 0, 0))
    paint(tmp_path / "dog" / "a.bmp", (9, 0, 0))
    (tmp_path / "dog" / "notes.md").write_text("no picture")
    found = read(tmp_path)
    assert found.labels == ("cat", "dog", "cat", "cat")
    assert colours(found) == [(0, 0, 0), (9, 0, 0), (1, 0, 0), (2, 0, 0)]
    assert read(tmp_path, 2).labels == ("cat", "dog")


def test_pictures_without_a_sub_folder_have_no_label(tmp_path: Path) -> None:
    paint(tmp_path / "b.png", (2, 0, 0))
    paint(tmp_path / "a.png", (1, 0, 0))
    found = read(tmp_path)
    assert (found.labels, found.texts) == ((), ())
    assert colours(found) == [(1, 0, 0), (2, 0, 0)]
    assert found.description == tmp_path.name


def png_that_says(width: int, height: int) -> bytes:
    """A picture of a few bytes that claims to be large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "picture-unreadable"),
        (b"not a picture", "picture-unreadable"),
        (b"%!PS-Adobe-3.0\n(code) show\n", "picture-unreadable"),  # never handed to an interpreter
        (png_that_says(30_000, 30_000), "picture-unreadable"),  # pillow's own bound
        (png_that_says(8_000, 8_000), "picture-too-large"),
        (png_that_says(20, 20)[:-40], "picture-unreadable"),
    ],
)
def test_pictures_that_are_refused(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    error = refusal(tmp_path)
    assert isinstance(error, DataError)
    assert (error.code, error.file) == (code, "x.png")


def test_limits_on_pictures_and_folders(tmp_path: Path) -> None:
    for k in range(5):
        paint(tmp_path / f"{k}.png", (0, 0, 0))
    assert refusal(tmp_path, image_bytes=10).code == "picture-too-large"
    assert refusal(tmp_path, image_pixels=47).code == "picture-too-large"
    assert refusal(tmp_path, folder_entries=4).code == "folder-too-large"
    assert len(read(tmp_path, folder_entries=5, image_pixels=48).pictures) == 5


def test_a_picture_that_is_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    paint(tmp_path / "outside.png", (0, 0, 0))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(UnsafeError):
        read(tmp_path / "in")


def test_an_empty_folder_holds_no_data(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "data-empty"


def saved(folder: Path, columns: dict[str, Any], **features: Any) -> Path:
    table = datasets.Dataset.from_dict(columns)
    for name, feature in features.items():
        table = table.cast_column(name, feature)
    table.save_to_disk(str(folder))
    return folder


def test_a_saved_dataset_of_texts_with_named_labels(tmp_path: Path) -> None:
    columns = {"text": ["a", "b", "c"], "label": [1, 0, 1], "id": [5, 6, 7]}
    saved(tmp_path / "d", columns, label=datasets.ClassLabel(names=["bad", "good"]))
    found = read(tmp_path / "d", 2)
    assert (found.texts, found.labels) == (("a", "b"), ("good", "bad"))


def test_of_several_splits_the_test_split_is_read(tmp_path: Path) -> None:
    splits = {name: datasets.Dataset.from_dict({"text": [name]}) for name in ("train", "test")}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "d"))
    found = read(tmp_path / "d")
    assert (found.texts, found.labels, found.description) == (("test",), (), "d/test")


def test_a_saved_dataset_of_pictures(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((4, 4, 3), k, np.uint8)) for k in (3, 4)]
    saved(tmp_path / "d", {"image": pictures, "label": [0, 1]})
    found = read(tmp_path / "d")
    assert (colours(found), found.labels) == ([(3, 3, 3), (4, 4, 4)], ("0", "1"))


def test_datasets_that_are_refused(tmp_path: Path) -> None:
    assert refusal(saved(tmp_path / "a", {"words": ["a"]})).code == "dataset-columns"
    broken = saved(tmp_path / "b", {"text": ["a"]})
    next(broken.glob("*.arrow")).write_bytes(b"junk")
    assert refusal(broken).code == "dataset-unreadable"
    large = saved(tmp_path / "c", {"text": ["a"]})
    assert refusal(large, file_bytes=100).code == "data-too-large"
    unlabelled = saved(tmp_path / "e", {"text": ["a", "b"], "label": [1, None]})
    assert refusal(unlabelled).code == "label-missing"
    splits = {"other": datasets.Dataset.from_dict({"text": ["a"]})}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "f"))
    assert refusal(tmp_path / "f").code == "dataset-columns"


def test_a_dataset_whose_state_names_a_file_elsewhere_is_not_followed(tmp_path: Path) -> None:
    saved(tmp_path / "secret", {"text": ["secret"]})
    folder = saved(tmp_path / "d", {"text": ["a"]})
    state = json.loads((folder / "state.json").read_text())
    name = state["_data_files"][0]["filename"]
    state["_data_files"][0]["filename"] = f"../secret/{name}"
    (folder / "state.json").write_text(json.dumps(state))
    assert refusal(folder).code == "dataset-unreadable"
