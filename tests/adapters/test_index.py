"""The index of a sharded checkpoint: what it may name, and what its shards must hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thermoscan.errors import LimitError, MalformedError, ThermoscanError, UnsafeError
from thermoscan.limits import Limits
from thermoscan_adapters.files import find_file
from thermoscan_adapters.index import Index, check_shards, read_index

NAME = "model.safetensors.index.json"


def read(folder: Path, document: Any, limits: Limits | None = None) -> Index:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    (folder / NAME).write_bytes(content)
    return read_index(find_file(folder, NAME), limits or Limits())


def test_an_index_gives_its_shards_once_and_in_order(tmp_path: Path) -> None:
    weight_map = {"c": "2.safetensors", "a": "1.safetensors", "b": "1.safetensors"}
    index = read(tmp_path, {"metadata": {"total_size": 12}, "weight_map": weight_map, "x": 0})
    assert index == Index(NAME, weight_map, 12)
    assert index.shards == ("1.safetensors", "2.safetensors")


@pytest.mark.parametrize(
    "shard",
    [
        *("", ".", "..", "../x", "a/../../x", "a/..", "./x", "a//x", "x/"),
        *("/etc/passwd", "C:x", "C:\\x", "c:/x", "\\\\host\\share", "a\\b", "//host/share"),
        *("a\0b", "a\nb", "a\x1b[31m", "a\u202eb", "\ud800"),
    ],
)
def test_a_shard_that_is_no_plain_relative_name_is_refused(tmp_path: Path, shard: str) -> None:
    with pytest.raises(UnsafeError) as caught:
        read(tmp_path, {"weight_map": {"a": "good.safetensors", "b": shard}})
    assert (caught.value.code, caught.value.file) == ("index-shard-name", NAME)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ([], "index-not-object"),
        ({}, "index-weight-map"),
        ({"weight_map": {}}, "index-weight-map"),
        ({"weight_map": ["a"]}, "index-weight-map"),
        ({"weight_map": {"a": 1}}, "index-weight-map"),
        ({"weight_map": {"a": ["x"]}}, "index-weight-map"),
        (b'{"weight_map": {"a": "x", "a": "y"}}', "index-duplicate-key"),
        (b'{"weight_map": {"a": NaN}}', "index-number"),
        (b"not json", "index-syntax"),
        (b"\xff", "index-not-utf8"),
    ],
)
def test_an_index_that_is_no_map_of_names_is_refused(
    tmp_path: Path, document: Any, code: str
) -> None:
    with pytest.raises(MalformedError) as caught:
        read(tmp_path, document)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(index_bytes=20), "index-too-long"),
        (Limits(tensors=2), "index-too-many-tensors"),
        (Limits(shards=2), "index-too-many-shards"),
    ],
)
def test_an_index_beyond_a_limit_is_refused(tmp_path: Path, limits: Limits, code: str) -> None:
    document = {"weight_map": {"a": "1", "b": "2", "c": "3"}}
    with pytest.raises(LimitError) as caught:
        read(tmp_path, document, limits)
    assert caught.value.code == code
    assert len(read(tmp_path, document, Limits(tensors=3, shards=3)).shards) == 3


@pytest.mark.parametrize("metadata", [None, [], {}, {"total_size": "12"}, {"total_size": None}])
def test_an_index_need_not_say_how_much_there_is(tmp_path: Path, metadata: Any) -> None:
    assert read(tmp_path, {"metadata": metadata, "weight_map": {"a": "x"}}).total_size is None


INDEX = Index(NAME, {"a": "1", "b": "2"}, 100)


@pytest.mark.parametrize(
    ("held", "code", "shard", "tensor"),
    [
        ({"1": ["a"], "2": []}, "index-tensor-missing", "2", "b"),
        ({"1": ["a", "b"], "2": []}, "index-tensor-elsewhere", "2", "b"),
        ({"1": ["a", "b"], "2": ["b"]}, "index-tensor-twice", "2", "b"),
        ({"1": ["a", "x"], "2": ["b", "x"]}, "index-tensor-twice", "2", "x"),
    ],
)
def test_shards_that_contradict_the_index_are_refused(
    held: dict[str, list[str]], code: str, shard: str, tensor: str
) -> None:
    with pytest.raises(ThermoscanError) as caught:
        check_shards(INDEX, held, 100)
    assert (caught.value.code, caught.value.file, caught.value.tensor) == (code, shard, tensor)


def test_what_is_odd_and_harmless_is_noted() -> None:
    assert check_shards(INDEX, {"1": ["a"], "2": ["b"]}, 100) == ()
    assert check_shards(replace(INDEX, total_size=None), {"1": ["a"], "2": ["b"]}, 7) == ()
    notes = check_shards(INDEX, {"1": ["a", "extra"], "2": ["b"]}, 96)
    assert notes == (
        f"1 tensors of the shards are not in {NAME}; they were scanned too.",
        f"{NAME} claims 100 bytes of tensors; there are 96.",
    )
