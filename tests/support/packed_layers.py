"""Unpacks the page's table of layers, written from its description and apart from its code."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any

Number = tuple[float | None, str]


def packed_of(page: str) -> str:
    """Returns the packed table inside a page."""
    found = re.search(r'<script type="text/plain" id="rows">([A-Za-z0-9+/=]*)</script>', page)
    assert found is not None
    return found.group(1)


def decoded(packed: str) -> dict[str, Any]:
    """Returns the columns."""
    columns: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return columns


def names(columns: dict[str, Any]) -> list[str]:
    """Returns every layer's name."""
    numbers = iter(columns["names"]["numbers"])
    templates = words(columns["names"])
    return [re.sub("\n", lambda _: str(next(numbers)), template) for template in templates]


def words(column: dict[str, Any]) -> list[str]:
    """Returns every layer's word."""
    return [column["words"][row] for row in column["rows"]]


def numbers(column: dict[str, Any]) -> list[Number]:
    """Returns every layer's value and the reason where there is none."""
    found: list[Number] = []
    for place, (letter, why) in enumerate(
        zip(column["letters"], words(column["why"]), strict=True)
    ):
        if letter == ".":
            found.append((None, why))
            continue
        digits = column["digits"][3 * place : 3 * place + 3]
        sign = "-" if letter.isupper() else ""
        power = ord(letter.lower()) - ord("n")
        found.append((float(f"{sign}{digits[0]}.{digits[1:]}e{power}"), why))
    return found
