"""JSON from strangers: RFC 8259 to the letter, and never dearer than its size.

Takes bytes; gives plain values. Refuses what two readers could understand differently or what costs
more memory than it looks: text that is not UTF-8, a byte order mark, a key given twice, ``NaN`` and
``Infinity``, numbers that overflow, integers of more than 19 digits (converting them takes
quadratic time), deep nesting, millions of tiny values.

Two readers share these rules: `parse_object` builds a whole document, `read_members` hands the
members of one large object over one at a time, so that a limit stops it before memory is spent.

Error codes are a prefix that the caller gives (``index``) and a reason: ``-not-utf8``, ``-syntax``,
``-duplicate-key``, ``-number``, ``-nesting``, ``-too-many-values``, ``-not-object``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from thermoscan.errors import LimitError, MalformedError
from thermoscan.limits import Limits
from thermoscan.text import shorten_middle

# A value takes at most about 160 bytes in memory, so that a document stays below 200 MB.
_MAX_VALUES = 1_000_000
_MAX_DIGITS = 19
_STRING = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_COMMA_OR_BRACE = re.compile(r"[ \t\n\r]*([,}])[ \t\n\r]*")


class JsonError(ValueError):
    """Text that is not strict JSON: the second half of an error code, and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


@contextmanager
def json_errors(prefix: str, file: str) -> Iterator[None]:
    """Maps every complaint about JSON that leaves the block to a `MalformedError`."""
    try:
        yield
    except JsonError as error:
        raise MalformedError(f"{prefix}-{error.reason}", error.message, file=file) from None
    except json.JSONDecodeError as error:
        reason = f"it is not valid JSON at character {error.pos}"
        raise MalformedError(f"{prefix}-syntax", reason, file=file) from None
    except RecursionError:
        reason = "its values nest far too deeply"
        raise MalformedError(f"{prefix}-nesting", reason, file=file) from None


def parse_object(data: bytes, limits: Limits, *, prefix: str, file: str) -> dict[str, Any]:
    """Returns the JSON object that `data` is.

    Args:
        data: The whole document; the caller has bounded its length.
        limits: ``nesting`` bounds how deep containers lie in each other.
        prefix: First part of the error codes.
        file: Name of the document, for errors.

    Raises:
        MalformedError: It is not strict JSON, it is not an object, or it nests too deeply.
        LimitError: It holds too many values.
    """
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise LimitError(
            f"{prefix}-too-many-values", f"it holds more than {_MAX_VALUES:,} values", file=file
        )
    with json_errors(prefix, file):
        value = decoder(_integer).decode(decode_utf8(data))
        _check_nesting(value, limits.nesting)
        if not isinstance(value, dict):
            raise JsonError("not-object", "it is not a JSON object")
    return value


def decode_utf8(data: bytes) -> str:
    """Returns `data` as text.

    Raises:
        JsonError: ``not-utf8``, or ``syntax`` for a byte order mark.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError("not-utf8", f"byte {error.start} is not valid UTF-8") from None
    if text.startswith("\ufeff"):
        raise JsonError("syntax", "it starts with a byte order mark")
    return text


def decoder(parse_integer: Callable[[str], int]) -> json.JSONDecoder:
    """Returns a decoder with the strict rules, which turns integer literals by `parse_integer`."""
    return json.JSONDecoder(
        object_pairs_hook=_unique,
        parse_int=parse_integer,
        parse_float=_finite,
        parse_constant=_no_constant,
    )


def read_members(text: str, position: int, read_value: Callable[[str, int], int]) -> int:
    """Reads the object at ``text[position]`` a member at a time.

    Args:
        text: The document.
        position: Index of the object's opening brace.
        read_value: Called with each new key and the index of its value; returns the index behind
            that value. It decides what to keep, and stops the reading by raising.

    Returns:
        The index behind the closing brace.

    Raises:
        JsonError: ``syntax``.
        json.JSONDecodeError: A key is not a valid string.
    """
    if not text.startswith("{", position):
        raise _unexpected(position, "{")
    position = _skip_space(text, position + 1)
    if text.startswith("}", position):
        return position + 1
    while True:
        key, position = read_string(text, position)
        colon = _COLON.match(text, position)
        if colon is None:
            raise _unexpected(position, ":")
        position = read_value(key, colon.end())
        mark = _COMMA_OR_BRACE.match(text, position)
        if mark is None:
            raise _unexpected(position, "a comma or }")
        if mark[1] == "}":
            return mark.end(1)
        position = mark.end()


def read_string(text: str, position: int) -> tuple[str, int]:
    """Returns the string whose opening quote is at ``text[position]``, and the index behind it.

    Raises:
        JsonError: ``syntax``: no string starts here.
        json.JSONDecodeError: It is not a valid string.
    """
    if not text.startswith('"', position):
        raise _unexpected(position, "a quote")
    value: tuple[str, int] = _STRING.raw_decode(text, position)
    return value


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _unexpected(position: int, wanted: str) -> JsonError:
    return JsonError("syntax", f"it is not valid JSON: character {position} should be {wanted}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise JsonError("duplicate-key", f"the key '{shorten_middle(key, 80)}' is given twice")
        members[key] = value
    return members


def _integer(literal: str) -> int:
    if len(literal.lstrip("-")) > _MAX_DIGITS:
        raise JsonError("number", f"it holds an integer of more than {_MAX_DIGITS} digits")
    return int(literal)


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise JsonError("number", "it holds a number that overflows")
    return value


def _no_constant(literal: str) -> NoReturn:
    raise JsonError("number", f"it holds {literal}, which is not a JSON number")


def _check_nesting(value: Any, limit: int) -> None:
    level, depth = [value], 0
    while level:
        containers = [v for v in level if isinstance(v, (dict, list))]
        depth += bool(containers)
        if depth > limit:
            raise JsonError("nesting", f"its values nest more than {limit} deep")
        level = [child for v in containers for child in (v.values() if isinstance(v, dict) else v)]
