r"""Columns packed for a page's script: columnar JSON, gzipped, in base64.

Takes a table's columns; gives one text, which ``assets/table.js`` unpacks. It is built so that
100,000 layers take less than a megabyte:

- names are split into a template with the numbers taken out (``layers.\n.mlp.weight``) and the
  numbers;
- words (roles, shapes, reasons) are indices into a list of the distinct ones;
- a number is three digits in one string and one letter in another: the letter counts the power of
  ten from ``n``, in upper case where the number is negative; a dot stands for null.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from thermoscan.text import printable

# Within 1 % of the size of level 9, at a third of its time.
_LEVEL = 6
_LETTERS = {("+", f"e{power:+03d}"): chr(ord("n") + power) for power in range(-13, 13)} | {
    ("-", f"e{power:+03d}"): chr(ord("N") + power) for power in range(-13, 13)
}
_NUMBER = re.compile(r"(?<!\d)(0|[1-9]\d{0,7})(?!\d)", re.ASCII)


def pack(columns: Mapping[str, Any]) -> str:
    """Returns columns of the functions below, or anything that JSON can hold, as one text."""
    text = json.dumps(columns, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), _LEVEL, mtime=0)).decode("ascii")


def pack_names(names: Iterable[str]) -> dict[str, Any]:
    """Returns a column of printable names, in which a line break can stand for a number."""
    numbers: list[int] = []
    places: dict[str, int] = {}
    rows = []
    for name in names:
        parts = _NUMBER.split(name)
        numbers.extend(map(int, parts[1::2]))
        rows.append(places.setdefault("\n".join(parts[::2]), len(places)))
    return {"words": list(places), "rows": rows, "numbers": numbers}


def pack_words(words: Iterable[str], limit: int) -> dict[str, Any]:
    """Returns a column of words, each made printable and cut to `limit` characters."""
    places: dict[str, int] = {}
    rows = [places.setdefault(word, len(places)) for word in words]
    return {"words": [printable(word, limit) for word in places], "rows": rows}


def pack_numbers(values: Iterable[float | None]) -> dict[str, Any]:
    """Returns a column of numbers, each to three significant digits."""
    packed = [("000", ".") if value is None else _pack_number(value) for value in values]
    return {
        "digits": "".join(digits for digits, _ in packed),
        "letters": "".join(letter for _, letter in packed),
    }


def _pack_number(value: float) -> tuple[str, str]:
    """Values outside of the letters' range are shown as its ends: 0 below 1e-13, 9.99e12 above."""
    text = f"{value:+.2e}"
    letter = _LETTERS.get((text[0], text[5:]))
    if letter is not None:
        return text[1] + text[3:5], letter
    return ("000", "n") if abs(value) < 1 else ("999", _LETTERS[text[0], "e+12"])
