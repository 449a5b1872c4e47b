"""Hostile text becomes one visible line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermoscan.errors import MalformedError
from thermoscan.text import printable


@given(st.text(st.characters(exclude_categories=()), max_size=500), st.integers(10, 300))
def test_whatever_comes_in_one_visible_bounded_line_comes_out(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for each in shown)
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name", "plain name"),
        ("tab\there", r"tab\x09here"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\u202eb", r"a\u202eb"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("schön 漢字", "schön 漢字"),
    ],
)
def test_invisible_characters_become_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_name_keeps_both_ends() -> None:
    shown = printable("begin" + "x" * 10_000_000 + "end", limit=40)
    assert shown.startswith("begin")
    assert shown.endswith("end")
    assert len(shown) == 40


def test_an_error_names_file_tensor_and_reason_in_one_line() -> None:
    error = MalformedError("some-code", "it is broken\nbadly", file="a\nb.bin", tensor="w\x07")
    assert str(error) == r"a\x0ab.bin: tensor 'w\x07': it is broken\x0abadly"
    assert error.code == "some-code"
