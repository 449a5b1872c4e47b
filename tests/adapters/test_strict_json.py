"""Strict JSON: what RFC 8259 allows is read, everything else is refused with its own code."""

from __future__ import annotations

import json

import pytest

from thermoscan.errors import LimitError, MalformedError
from thermoscan.limits import Limits
from thermoscan_adapters.strict_json import parse_object


def parse(data: bytes) -> dict[str, object]:
    return parse_object(data, Limits(), prefix="index", file="x.json")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        ' \t\r\n{"a" : [1, -2, 3.5e-2, true, false, null, "\\u00e9\\n"]} \n',
        '{"\\ud83d\\ude00": "\U0001f600", "": {}}',
        '{"a": 9223372036854775807, "b": -0, "c": 1E5}',
        '{"a":' + "[" * 63 + "]" * 63 + "}",
    ],
)
def test_valid_documents_are_read_as_the_standard_library_reads_them(text: str) -> None:
    assert parse(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "index-syntax"),
        (b"{", "index-syntax"),
        (b"{} x", "index-syntax"),
        (b"{'a': 1}", "index-syntax"),
        (b'{"a": 1,}', "index-syntax"),
        (b'{"a": [1,]}', "index-syntax"),
        (b'{"a": 01}', "index-syntax"),
        (b'{"a": +1}', "index-syntax"),
        (b'{"a": .5}', "index-syntax"),
        (b'{"a": 0x10}', "index-syntax"),
        (b'{"a": "\x01"}', "index-syntax"),
        (b'{"a": "\\x41"}', "index-syntax"),
        (b'{"a": 1 /* no */}', "index-syntax"),
        (b"{a: 1}", "index-syntax"),
        (b"\xef\xbb\xbf{}", "index-syntax"),
        (b"\xff\xfe{\x00}\x00", "index-not-utf8"),
        (b'{"a": "\xed\xa0\x80"}', "index-not-utf8"),
        (b'{"a": 1, "a": 2}', "index-duplicate-key"),
        (b'{"x": {"a": 1, "\\u0061": 2}}', "index-duplicate-key"),
        (b'{"a": NaN}', "index-number"),
        (b'{"a": -Infinity}', "index-number"),
        (b'{"a": 1e999}', "index-number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "index-number"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "index-nesting"),
        (b'{"a":' * 100_000, "index-nesting"),
        (b"[" * 900_000, "index-nesting"),
        (b"[]", "index-not-object"),
        (b'"a"', "index-not-object"),
    ],
)
def test_each_departure_has_its_code(data: bytes, code: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse(data)
    assert (caught.value.code, caught.value.file) == (code, "x.json")


def test_a_million_keys_are_refused_before_they_are_built() -> None:
    data = b"{" + b",".join(b'"%x":0' % i for i in range(1_000_001)) + b"}"
    with pytest.raises(LimitError) as caught:
        parse(data)
    assert caught.value.code == "index-too-many-values"


def test_an_endless_integer_is_refused() -> None:
    with pytest.raises(MalformedError):
        parse(b'{"a": ' + b"9" * 5_000_000 + b"}")
