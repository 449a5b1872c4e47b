"""The header validator: each rule breaks with its code; valid files read as the library does."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from support.safetensors_files import entry, write_raw
from support.wheels import path_of

from thermoscan.checkpoint import Tensor
from thermoscan.errors import CheckpointError, LimitError, MalformedError, UnsupportedFormatError
from thermoscan.limits import Limits
from thermoscan_adapters import safetensors_format
from thermoscan_adapters.files import find_file
from thermoscan_adapters.safetensors_format import read_safetensors

ONE = {"a": entry("F32", [2], 0, 8)}
SMALL = Limits(header_bytes=5000, tensors=3, dimensions=4, name_bytes=16)


def read(path: Path, limits: Limits = SMALL) -> tuple[Tensor, ...]:
    return read_safetensors(find_file(path.parent, path.name), limits)


def one(**changes: Any) -> dict[str, Any]:
    return {"a": ONE["a"] | changes}


MALFORMED: list[tuple[str, Any, int, str]] = [
    ("a second object", b"{}{}", 0, "header-padding"),
    ("a line break at the end", b"{}\n", 0, "header-padding"),
    ("an empty header", b"", 0, "header-start"),
    ("a space first", b" {}", 0, "header-start"),
    ("a list", b"[]", 0, "header-start"),
    ("a byte order mark", b"\xef\xbb\xbf{}", 0, "header-start"),
    ("not UTF-8", b'{"\xff":{}}', 0, "header-not-utf8"),
    ("a surrogate in UTF-8", b'{"\xed\xa0\x80":{}}', 0, "header-not-utf8"),
    ("half of a pair", b'{"\\ud800":{}}', 0, "header-name"),
    ("no end", b'{"a":', 0, "header-entry"),
    ("no value", b'{"a"}', 0, "header-syntax"),
    ("a comma at the end", json.dumps(ONE).encode()[:-1] + b",}", 8, "header-syntax"),
    ("a control character in a name", b'{"a\n":{}}', 0, "header-syntax"),
    ("an unquoted key", b"{a:{}}", 0, "header-syntax"),
    (
        "a name twice",
        json.dumps(ONE).encode()[:-1] + b"," + json.dumps(one(dtype="I32")).encode()[1:],
        8,
        "header-duplicate-key",
    ),
    ("metadata twice", b'{"__metadata__":{},"__metadata__":{}}', 0, "header-duplicate-key"),
    ("a metadata key twice", b'{"__metadata__":{"a":"","a":""}}', 0, "header-duplicate-key"),
    ("a key of an entry twice", b'{"a":{"dtype":"F32","dtype":"F32"}}', 0, "header-duplicate-key"),
    ("metadata that are a list", b'{"__metadata__":[]}', 0, "header-metadata"),
    ("metadata with a number", {"__metadata__": {"a": 1}}, 0, "header-metadata"),
    ("metadata with null", {"__metadata__": {"a": None}}, 0, "header-metadata"),
    ("metadata that nest", {"__metadata__": {"a": {}}}, 0, "header-metadata"),
    ("an entry that is a number", {"a": 1}, 0, "header-entry"),
    ("an entry that is null", {"a": None}, 0, "header-entry"),
    ("an entry that is a list", {"a": [{}]}, 0, "header-entry"),
    ("an endless entry", b'{"a":{' + b" " * 4096 + b"}}", 0, "header-entry"),
    ("an entry that nests", {"a": {"dtype": {"x": {}}}}, 0, "header-syntax"),
    ("an empty entry", {"a": {}}, 0, "header-entry-keys"),
    ("no dtype", {"a": {"shape": [], "data_offsets": [0, 0]}}, 0, "header-entry-keys"),
    ("a fourth key", one(extra=1), 8, "header-entry-keys"),
    ("a dtype that is a number", one(dtype=1), 8, "header-dtype"),
    ("a dtype that is null", one(dtype=None), 8, "header-dtype"),
    ("an unknown dtype", one(dtype="F33"), 8, "header-dtype-unknown"),
    ("a dtype in lower case", one(dtype="f32"), 8, "header-dtype-unknown"),
    ("a shape that is a number", one(shape=2), 8, "header-shape"),
    ("a shape that is null", one(shape=None), 8, "header-shape"),
    ("a shape with a float", one(shape=[2.0]), 8, "header-number"),
    ("a shape with true", one(shape=[True, 2]), 8, "header-number"),
    ("a shape with text", one(shape=["2"]), 8, "header-number"),
    ("a shape with a list", one(shape=[[2]]), 8, "header-number"),
    ("a negative shape", one(shape=[-2]), 8, "header-number"),
    ("minus zero", b'{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}', 0, "header-number"),
    ("2^63", one(shape=[2**63]), 8, "header-number"),
    ("an integer of 4,000 digits", one(shape=[int("9" * 4000)]), 8, "header-number"),
    ("NaN", one(shape=[math.nan]), 8, "header-number"),
    ("Infinity", one(data_offsets=[0, math.inf]), 8, "header-number"),
    ("a product beyond 2^63", one(shape=[2**32, 2**32]), 8, "header-shape-overflow"),
    ("an overflow before a zero", one(shape=[2**62, 2**62, 0]), 0, "header-shape-overflow"),
    ("offsets that are null", one(data_offsets=None), 8, "header-offsets"),
    ("one offset", one(data_offsets=[8]), 8, "header-offsets"),
    ("three offsets", one(data_offsets=[0, 4, 8]), 8, "header-offsets"),
    ("float offsets", one(data_offsets=[0.0, 8.0]), 8, "header-number"),
    ("boolean offsets", one(shape=[], dtype="U8", data_offsets=[False, True]), 1, "header-number"),
    ("reversed offsets", one(data_offsets=[8, 0]), 8, "header-offsets-reversed"),
    ("a length that does not fit", one(data_offsets=[0, 4]), 4, "header-offsets-length"),
    ("a scalar of two elements", one(shape=[]), 8, "header-offsets-length"),
    ("an overlap", ONE | {"b": entry("F32", [2], 4, 12)}, 12, "header-overlap"),
    ("the same bytes twice", ONE | {"b": entry("F32", [2], 0, 8)}, 8, "header-overlap"),
    ("an empty tensor inside another", ONE | {"b": entry("F32", [0], 4, 4)}, 8, "header-overlap"),
    ("a hole", ONE | {"b": entry("F32", [2], 12, 20)}, 20, "header-hole"),
    ("a hole at the start", {"b": entry("F32", [2], 4, 12)}, 12, "header-hole"),
    ("data past the end", ONE, 7, "header-data-past-end"),
    ("far past the end", {"a": entry("U8", [2**62], 0, 2**62)}, 8, "header-data-past-end"),
    ("trailing bytes", ONE, 9, "header-trailing-bytes"),
    ("bytes without tensors", {}, 1, "header-trailing-bytes"),
]


@pytest.mark.parametrize(
    ("header", "size", "code"), [c[1:] for c in MALFORMED], ids=[c[0] for c in MALFORMED]
)
def test_each_broken_rule_has_its_code(tmp_path: Path, header: Any, size: int, code: str) -> None:
    path = write_raw(tmp_path / "x.safetensors", header, bytes(size))
    with pytest.raises(MalformedError) as caught:
        read(path)
    assert (caught.value.code, caught.value.file) == (code, "x.safetensors")


@pytest.mark.parametrize(
    ("header", "size", "code"),
    [
        (b"{" + b" " * 5000 + b"}", 0, "header-too-long"),
        ({f"t{i}": entry("F32", [0], 0, 0) for i in range(4)}, 0, "header-too-many-tensors"),
        ({"n" * 17: entry("F32", [0], 0, 0)}, 0, "header-name-too-long"),
        ({"é" * 9: entry("F32", [0], 0, 0)}, 0, "header-name-too-long"),
        (one(shape=[2, 1, 1, 1, 1]), 8, "header-dimensions"),
        (one(shape=[2] + [1] * 1000), 8, "header-dimensions"),
    ],
)
def test_each_limit_has_its_code(tmp_path: Path, header: Any, size: int, code: str) -> None:
    with pytest.raises(LimitError) as caught:
        read(write_raw(tmp_path / "x", header, bytes(size)))
    assert caught.value.code == code


def test_too_many_tensors_are_refused_even_when_their_keys_are_escaped(tmp_path: Path) -> None:
    header = json.dumps({f"t{i}": entry("F32", [0], 0, 0) for i in range(4)})
    path = write_raw(tmp_path / "x", header.replace("data_o", "data\\u005fo").encode())
    with pytest.raises(LimitError) as caught:
        read(path)
    assert caught.value.code == "header-too-many-tensors"
    assert len(read(path, replace(SMALL, tensors=4))) == 4


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "header-too-short"),
        (b"1234567", "header-too-short"),
        (b"\x01\0\0\0\0\0\0\0", "header-past-end"),
        (b"\xff" * 8 + b"{}", "header-past-end"),
        (b"\x03\0\0\0\0\0\0\0{}", "header-past-end"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(MalformedError) as caught:
        read(path)
    assert caught.value.code == code


@pytest.mark.parametrize("label", sorted(safetensors_format._NOT_READ))
def test_a_float_that_cannot_be_scanned_is_refused_by_name(tmp_path: Path, label: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"type {label} is not read") as caught:
        read(write_raw(tmp_path / "x", {"a": entry(label, [4], 0, 4)}, bytes(4)))
    assert (caught.value.code, caught.value.tensor) == ("dtype-not-read", "a")


def test_every_code_in_the_table_of_rules_is_raised_by_some_test_and_no_other() -> None:
    documented = {
        word.strip("`.,") for word in (safetensors_format.__doc__ or "").split() if "``" in word
    }
    documented = {word for word in documented if word.startswith("header-")}
    raised = {case[3] for case in MALFORMED} | {
        *("header-too-long", "header-too-many-tensors", "header-name-too-long"),
        *("header-dimensions", "header-too-short", "header-past-end"),
    }
    assert raised == documented


@pytest.mark.parametrize(
    "header",
    [
        b"{}",
        b"{}   ",
        b'{"__metadata__":{"format":"pt"}}',
        b"{ } ",
        b'{ "a" : { "shape" : [ ] ,\n"data_offsets" : [ 0 , 0 ] ,\t"dtype":"F32" } }',
    ],
)
def test_white_space_and_padding_are_read_as_the_library_reads_them(
    tmp_path: Path, header: bytes
) -> None:
    path = write_raw(tmp_path / "x", header.replace(b"[ ]", b"[ 0 ]"))
    assert [tensor.name for tensor in read(path)] == names_by_library(path)


@contextmanager
def temporary(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(content)
        yield path


def names_by_library(path: Path) -> list[str]:
    with safe_open(path, framework="numpy") as opened:
        return list(opened.keys())


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [
        ("minilm", "model.safetensors"),
        ("fracast", "model.safetensors"),
        ("fracast", "model.int8.safetensors"),
        ("silero", "silero_vad_16k.safetensors"),
    ],
)
def test_real_files_read_as_the_library_reads_them(checkpoint: str, name: str) -> None:
    path = path_of(checkpoint) / name
    file = find_file(path.parent, name)
    tensors = read_safetensors(file, Limits())
    assert [tensor.offset for tensor in tensors] == sorted(tensor.offset for tensor in tensors)
    with safe_open(path, framework="numpy") as library:
        assert {tensor.name for tensor in tensors} == set(library.keys())
        for tensor in tensors:
            expected = library.get_tensor(tensor.name)
            assert (tensor.shape, tensor.nbytes) == (expected.shape, expected.nbytes)
            assert file.read_at(tensor.offset, tensor.nbytes) == expected.tobytes()


ARRAYS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda name: name != "__metadata__"),
    st.tuples(
        st.sampled_from(["<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "|u1", "|b1", "<c8"]),
        st.lists(st.integers(0, 4), max_size=4),
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(
    ARRAYS, st.dictionaries(st.text(st.characters(codec="utf-8")), st.text('ab{},:"'), max_size=3)
)
def test_whatever_the_library_writes_is_read_alike(
    arrays: dict[str, tuple[str, list[int]]], metadata: dict[str, str]
) -> None:
    content = save(
        {name: np.ones(shape, dtype) for name, (dtype, shape) in arrays.items()}, metadata or None
    )
    with temporary(content) as path:
        got = {t.name: (t.shape, t.dtype.itemsize) for t in read(path, Limits())}
    assert got == {
        name: (tuple(shape), np.dtype(dtype).itemsize) for name, (dtype, shape) in arrays.items()
    }


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_accepted_the_library_accepts_too(data: st.DataObject) -> None:
    """Flips characters of a valid header: no mutant may pass here that the library refuses."""
    header = bytearray(json.dumps(ONE | {"b": entry("I8", [1, 3], 8, 11)}).encode())
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(header) - 1))
        header[at] = data.draw(st.sampled_from(b'{}[]",:0123456789abF -+.eE\\\n'))
    with temporary(len(header).to_bytes(8, "little") + bytes(header) + bytes(11)) as path:
        try:
            names = {tensor.name for tensor in read(path)}
        except (CheckpointError, UnsupportedFormatError):
            return
        try:
            assert names == set(names_by_library(path))
        except SafetensorError as error:
            pytest.fail(f"accepted, but the library says {error}: {bytes(header)!r}")
