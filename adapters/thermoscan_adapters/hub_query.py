"""Which models of a hub are meant: ``hub:author=ORG, library=transformers, limit=100``.

Takes what the user wrote; gives a `HubQuery`, or says what is wrong with it. Every word is one that
the hub knows, so that it is the hub that chooses and sorts
(https://huggingface.co/docs/huggingface_hub/package_reference/hf_api, ``list_models``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from thermoscan.errors import OptionError
from thermoscan.text import printable

SCHEME = "hub:"
_PAGE = 1000
_MOST = 10_000_000
_LONGEST = 200
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?", re.ASCII)
#: What a list may be sorted by -> what the hub calls it. The highest, or latest, comes first.
_SORTS = {
    "created": "createdAt",
    "downloads": "downloads",
    "likes": "likes",
    "modified": "lastModified",
    "trending": "trendingScore",
}
#: What is to be told of each model.
_TOLD = ("sha", "gated", "disabled", "safetensors")
_KEYS = ("author", "library", "limit", "search", "sort", "tags", "task")
_EXAMPLE = "write, for example, author=ORG, library=transformers, limit=100"


@dataclass(frozen=True, slots=True)
class HubQuery:
    """What is asked of the list of a hub's models.

    Attributes:
        author: Whose models; None for anybody's.
        library: What they are for, such as ``transformers``; None for anything.
        search: Text in their ids; None for any.
        tags: Tags that they all bear.
        task: What they do, such as ``text-classification``; None for anything.
        sort: What the hub calls the order; None for its own.
        limit: The most models; None for all.
    """

    author: str | None = None
    library: str | None = None
    search: str | None = None
    tags: tuple[str, ...] = ()
    task: str | None = None
    sort: str | None = None
    limit: int | None = None

    @property
    def parameters(self) -> str:
        """The query of the URL, with what is to be told of each model."""
        filters = [self.library, *self.tags] if self.library else [*self.tags]
        pairs = [("author", self.author), ("search", self.search), ("pipeline_tag", self.task)]
        pairs += [("filter", each) for each in filters]
        pairs += [("sort", self.sort), ("limit", str(min(self.limit or _PAGE, _PAGE)))]
        pairs += [("expand", each) for each in _TOLD]
        return urlencode([(key, value) for key, value in pairs if value is not None])


def parse_hub_query(place: str) -> HubQuery:
    """Returns the query that `place` is, which begins with ``hub:``.

    Raises:
        OptionError: ``hub-query-empty``, ``hub-query-syntax``, ``hub-query-key``,
            ``hub-query-twice`` or ``hub-query-value``.

    >>> parse_hub_query("hub:author=org, tags=license:mit en, limit=5")
    HubQuery(author='org', library=None, search=None, tags=('license:mit', 'en'), task=None, \
sort=None, limit=5)
    """
    text = place.removeprefix(SCHEME)
    if not text.strip():
        raise OptionError("hub-query-empty", f"it asks for nothing; {_EXAMPLE}", file=place)
    given: dict[str, str] = {}
    for piece in text.split(","):
        key, equals, value = (part.strip() for part in piece.partition("="))
        _check(key, equals, value, given, place)
        given[key] = value
    tags, sort, limit = given.get("tags", ""), given.get("sort"), given.get("limit")
    return HubQuery(
        author=given.get("author"),
        library=given.get("library"),
        search=given.get("search"),
        tags=tuple(tags.split()),
        task=given.get("task"),
        sort=_SORTS[sort] if sort else None,
        limit=int(limit) if limit else None,
    )


def _check(key: str, equals: str, value: str, given: dict[str, str], place: str) -> None:
    """Makes sure of one piece of a query."""
    shown = printable(key, limit=40)
    if not equals:
        raise OptionError("hub-query-syntax", f"'{shown}' has no '='; {_EXAMPLE}", file=place)
    if key not in _KEYS:
        reason = f"the hub is not asked for '{shown}'; there are {', '.join(_KEYS)}"
        raise OptionError("hub-query-key", reason, file=place)
    if key in given:
        raise OptionError("hub-query-twice", f"it says twice what '{key}' is", file=place)
    problem = _problem(key, value)
    if problem:
        reason = f"'{printable(value, limit=40)}' {problem}"
        raise OptionError("hub-query-value", reason, file=place)


def _problem(key: str, value: str) -> str | None:
    """Says why a key cannot have a value; None where it can."""
    if not value or len(value) > _LONGEST or not value.isprintable():
        return f"is no text of 1 to {_LONGEST} characters"
    if key == "limit" and not (value.isascii() and value.isdecimal() and 0 < int(value) <= _MOST):
        return f"is no number of models between 1 and {_MOST:,}"
    if key == "sort" and value not in _SORTS:
        return f"is no order; there are {', '.join(_SORTS)}"
    if key == "author" and not _NAME.fullmatch(value):
        return "is not the name of a user or an organisation"
    return None
