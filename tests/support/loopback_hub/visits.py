"""A request to one repository, by somebody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from .accounts import Token
from .messages import Answer, Request, as_json
from .store import Repository


@dataclass(frozen=True)
class Visit:
    """What is asked of which repository, with which token, and what links need to be written."""

    request: Request
    repository: Repository
    token: Token | None
    endpoint: str
    page_size: int


def page(items: Sequence[object], request: Request, endpoint: str, size: int) -> Answer:
    """Answers with a page of a list, and says in the header Link where the next one is."""
    start = int(request.parameter("cursor", "0"))
    stop = start + size
    headers = {}
    if stop < len(items):
        query = [pair for pair in parse_qsl(request.query) if pair[0] != "cursor"]
        following = f"{endpoint}{request.path}?{urlencode([*query, ('cursor', stop)])}"
        headers["Link"] = f'<{following}>; rel="next"'
    return as_json(items[start:stop], headers=headers)
