"""What a client asks and what it is answered, apart from any socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote


@dataclass(frozen=True)
class FilePart:
    """Bytes of a file on disk, which go from there to the socket without passing through here."""

    path: Path
    start: int
    length: int

    def __len__(self) -> int:
        return self.length

    def read(self) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            return stream.read(self.length)


Body = bytes | FilePart


def split(body: Body, at: int) -> tuple[Body, Body]:
    """Returns the first `at` bytes and the rest."""
    if isinstance(body, bytes):
        return body[:at], body[at:]
    at = min(at, body.length)
    head = FilePart(body.path, body.start, at)
    return head, FilePart(body.path, body.start + at, body.length - at)


@dataclass(frozen=True)
class Request:
    """One request as it came.

    Attributes:
        method: ``GET``, ``HEAD``, ``POST`` ...
        origin: Which of the hub's servers got it: ``hub``, ``content`` or ``elsewhere``.
        path: Still quoted, without the query.
        query: What followed the question mark, or nothing.
        headers: By name in lower case.
    """

    method: str
    origin: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def target(self) -> str:
        """The path with its query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def parts(self) -> tuple[str, ...]:
        # Revisions arrive quoted (refs%2Fpr%2F1): split first, unquote after.
        return tuple(unquote(part) for part in self.path.strip("/").split("/"))

    @property
    def range(self) -> str | None:
        return self.headers.get("range")

    @property
    def token(self) -> str | None:
        """The token that came with it."""
        authorization = self.headers.get("authorization")
        return None if authorization is None else authorization.removeprefix("Bearer ")

    def parameter(self, name: str, default: str = "") -> str:
        return parse_qs(self.query).get(name, [default])[-1]

    def parameters(self, name: str) -> list[str]:
        """Every value of a parameter that may be given several times."""
        return parse_qs(self.query).get(name, [])

    def flag(self, name: str) -> bool:
        return self.parameter(name).lower() in ("1", "true")


@dataclass(frozen=True)
class Delivery:
    """How an answer goes out, where it is not simply sent.

    Attributes:
        raw: Sent in place of the answer; then the connection is closed.
        stall_seconds: How long nothing is sent ...
        stall_after: ... after so many bytes of the body; None: before the answer.
        cut_after: After so many bytes of the body the connection is closed.
    """

    raw: bytes | None = None
    stall_seconds: float = 0.0
    stall_after: int | None = None
    cut_after: int | None = None


@dataclass(frozen=True)
class Answer:
    """A status, headers and a body, whose length is stated unless the headers state another."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = b""
    delivery: Delivery = Delivery()


Answerer = Callable[[Request], Answer]


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def refused(
    status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None
) -> RefusedError:
    """Returns the refusal that states its reason as the hub does: in headers and in the body."""
    # The message may quote what was asked for: a header holds one line of ASCII.
    extra = {"X-Error-Message": message.encode("unicode_escape").decode()}
    if code:
        extra["X-Error-Code"] = code
    return RefusedError(as_json({"error": message}, status, {**extra, **(headers or {})}))


def as_json(
    document: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    body = json.dumps(document).encode()
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, body)
