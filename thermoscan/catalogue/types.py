"""Column types: hostile text, JSON as text, moments; the same values back from either database."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

_ESCAPE = "\x10"
_UNSTORABLE = re.compile("[\x00\x10\ud800-\udfff]")
_ESCAPED = re.compile("\x10([0-9a-f]{4})")


def storable(text: str) -> str:
    r"""Returns `text` as both databases can hold it; different texts stay different.

    UTF-8 has no lone surrogates, PostgreSQL's text no NUL: each becomes U+0010 (data link escape)
    and four hexadecimal digits, and so does U+0010 itself. Any other text is stored as it is.

    >>> storable("café/\ud800"), storable("a\x00")
    ('café/\x10d800', 'a\x100000')
    """
    if _UNSTORABLE.search(text) is None:
        return text
    return _UNSTORABLE.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text)


def restored(text: str) -> str:
    r"""Returns the text that `storable` made `text` of.

    >>> restored("café/\x10d800")
    'café/\ud800'
    """
    if _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


class HostileText(TypeDecorator[str]):
    """Any string of Python; see `storable`. Compared and sorted by code point on both databases."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """PostgreSQL would sort by the language of its server."""
        return Text(collation="C") if _is_postgresql(dialect) else Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As stored."""
        return None if value is None else storable(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """As it was given."""
        return None if value is None else restored(value)


class JsonText(TypeDecorator[Any]):
    """JSON as ASCII text, keys sorted, doubles exact; any string of Python comes back from it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """As stored; None is NULL, not ``null``."""
        if value is None:
            return None
        return json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """As it was given, tuples as lists."""
        return None if value is None else json.loads(value)


class Moment(TypeDecorator[datetime]):
    """A moment with its time zone; UTC comes back. SQLite holds the text of its UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """SQLite has no time zones."""
        return dialect.type_descriptor(DateTime(timezone=_is_postgresql(dialect)))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """As stored."""
        if value is None:
            return None
        moment = value.astimezone(timezone.utc)
        return moment if _is_postgresql(dialect) else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC."""
        if value is None or value.tzinfo is not None:
            return value if value is None else value.astimezone(timezone.utc)
        return value.replace(tzinfo=timezone.utc)


def _is_postgresql(dialect: Dialect) -> bool:
    return bool(dialect.name == "postgresql")
