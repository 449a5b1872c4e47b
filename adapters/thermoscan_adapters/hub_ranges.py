"""Byte ranges of a file behind a link: asked for until they are whole, or refused by name.

Takes how to resolve the link of a file whose length is known; gives streams that read forward. An
answer must be exactly the range that was asked for, without an encoding. What is worth another
attempt (no answer in time, a connection that was cut, a body that ends too early, a busy server, an
expired link) is asked for again from the byte where it broke, so that every byte is delivered once.

    hub-range      an answer that is not the range, or a server that knows no ranges
    hub-link       the link is refused even when it is new
    others         see `thermoscan_adapters.hub_errors`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from thermoscan.errors import HubError
from thermoscan_adapters.hub_errors import hub_errors
from thermoscan_adapters.hub_patience import RETRIED, Patience

if TYPE_CHECKING:
    from types import ModuleType

_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
# What a content network answers where a signed link is too old.
_EXPIRED = frozenset({400, 401, 403, 404, 410})
_STRIDE = 4 << 20
"""Bytes that earn another attempt: a long range may break more often than a short one."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a file's bytes are now, and the headers to send there."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class LinkedFile:
    """A file behind a link that may expire. Safe to share between threads."""

    def __init__(
        self, name: str, size: int, resolve: Callable[[], Link], patience: Patience
    ) -> None:
        """Takes its name for errors, its length in bytes, and how to get a link to it."""
        self.name = name
        self.size = size
        self.patience = patience
        self._resolve = resolve
        self._lock = Lock()
        self._link: Link | None = None

    def link(self, stale: Link | None = None) -> Link:
        """Returns the link; a new one in place of `stale`, got by one thread for all."""
        with self._lock:
            if self._link is None or self._link is stale:
                self._link = self._resolve()
            return self._link


class RangeStream:
    """Bytes `start` to `stop` of a file, read forward by one thread; asked for when first read."""

    def __init__(self, file: LinkedFile, start: int, stop: int) -> None:
        self.position = start
        self.stop = stop
        self._file = file
        self._start = start
        self._failures = 0
        self._refused: Link | None = None
        self._response: Any = None
        self._chunks: Iterator[bytes] = iter(())
        self._held = memoryview(b"")

    def readinto(self, buffer: memoryview) -> None:
        """Fills `buffer` with the next bytes.

        Raises:
            SourceError: See the module's list.
        """
        done = 0
        with hub_errors(self._file.name):
            while done < len(buffer):
                piece = self._next(len(buffer) - done)
                buffer[done : done + len(piece)] = piece
                done += len(piece)

    def skip_to(self, position: int) -> None:
        """Steps over the bytes before `position`."""
        with hub_errors(self._file.name):
            while self.position < position:
                self._next(position - self.position)

    def close(self) -> None:
        """Gives the connection back, or closes it where bytes are left."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _next(self, most: int) -> memoryview:
        """Returns the next bytes, at most so many and at least one."""
        while not self._held:
            self._held = memoryview(self._receive())
        piece, self._held = self._held[:most], self._held[most:]
        self.position += len(piece)
        if self.position == self.stop:
            self._finish()
        return piece

    def _receive(self) -> bytes:
        """Returns what the connection brings next, having made one where there is none."""
        httpx = _http_client()
        try:
            if self._response is None and not self._connect(httpx):
                return b""
            chunk = next(self._chunks, b"")
            if not chunk:
                raise httpx.RemoteProtocolError("the body is shorter than the range")
        except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            self._failed(error, {})
            return b""
        if len(chunk) > self.stop - self.position:
            raise _not_the_range(self._file.name, "it is longer")
        return chunk

    def _connect(self, httpx: ModuleType) -> bool:
        """Asks for what is left of the range; says whether an answer that is that has begun."""
        from huggingface_hub.utils import get_session  # type: ignore[attr-defined] # noqa: PLC0415

        link = self._file.link(self._refused)
        client = get_session()
        asked = {"Range": f"bytes={self.position}-{self.stop - 1}", "Accept-Encoding": "identity"}
        timeout = self._file.patience.timeout_seconds
        headers = {**link.headers, **asked}
        request = client.build_request("GET", link.url, headers=headers, timeout=timeout)
        response = client.send(request, stream=True)
        status = response.status_code
        if status in (200, 206):
            self._response, self._chunks, self._refused = response, response.iter_raw(), None
            self._check(response)
            return True
        response.close()
        error = httpx.HTTPStatusError(f"status {status}", request=request, response=response)
        if status in RETRIED:
            self._failed(error, response.headers)
        elif status not in _EXPIRED:
            raise error
        elif self._refused is not None:
            reason = f"the server that keeps it refuses the hub's link ({status}); try again later"
            raise HubError("hub-link", reason, file=self._file.name)
        else:
            self._refused = link
        return False

    def _check(self, response: Any) -> None:
        """Makes sure that an answer is the range that was asked for."""
        headers, length = response.headers, self.stop - self.position
        found = _RANGE.fullmatch(headers.get("content-range", ""))
        expected = (str(self.position), str(self.stop - 1))
        if headers.get("content-encoding", "identity") != "identity":
            wrong = "it is encoded"
        elif headers.get("content-length", str(length)) != str(length):
            wrong = "it has another length"
        elif response.status_code == 200 and length < self._file.size:
            wrong = "the server knows no ranges"
        elif response.status_code == 206 and (
            found is None
            or found.group(1, 2) != expected
            or found[3] not in ("*", str(self._file.size))
        ):
            wrong = "it says that it is another one"
        else:
            return
        self.close()
        raise _not_the_range(self._file.name, wrong)

    def _failed(self, error: BaseException, headers: Mapping[str, str]) -> None:
        """Lets go of the connection and waits; raises `error` where enough was tried."""
        self.close()
        self._failures += 1
        earned = (self.position - self._start) // _STRIDE
        self._file.patience.pause(max(self._failures - earned, 1), error, headers)

    def _finish(self) -> None:
        """Reads the end of the answer, so that the connection can serve again."""
        with suppress(_http_client().TransportError):
            next(self._chunks, None)
        self.close()


def _not_the_range(name: str, why: str) -> HubError:
    reason = f"the answer is not the range that was asked for ({why}); --download reads whole files"
    return HubError("hub-range", reason, file=name)


def _http_client() -> ModuleType:
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined] # noqa: PLC0415

    module: ModuleType = httpx
    return module
