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
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING

from thermoscan.errors import HubError
from thermoscan_adapters.hub_connections import Connections, Link, is_passing
from thermoscan_adapters.hub_errors import error_of_status, hub_errors
from thermoscan_adapters.hub_patience import RETRIED, Patience

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
# What a content network answers where a signed link is too old.
_EXPIRED = frozenset({400, 401, 403, 404, 410})
_STRIDE = 4 << 20
"""Bytes that earn another attempt: a long range may break more often than a short one."""


class LinkedFile:
    """A file behind a link that may expire. Safe to share between threads."""

    def __init__(
        self,
        name: str,
        size: int,
        resolve: Callable[[bool], Link],
        connections: Connections,
        patience: Patience,
    ) -> None:
        """Takes its name for errors, its length, and how it is reached.

        `resolve` gets a link to it; it is told whether an earlier one was refused.
        """
        self.name = name
        self.size = size
        self.connections = connections
        self.patience = patience
        self._resolve = resolve
        self._lock = Lock()
        self._link: Link | None = None

    def link(self, refused: Link | None = None) -> Link:
        """Returns the link; a new one in place of `refused`, got by one thread for all."""
        with self._lock:
            if self._link is None or self._link is refused:
                self._link = self._resolve(refused is not None)
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
        self._response: BaseHTTPResponse | None = None

    def readinto(self, buffer: memoryview) -> None:
        """Fills `buffer` with the next bytes.

        Raises:
            SourceError: See the module's list.
        """
        done = 0
        with hub_errors(self._file.name):
            while done < len(buffer):
                done += self._receive(buffer[done:])

    def skip_to(self, position: int) -> None:
        """Steps over the bytes before `position`."""
        self.readinto(memoryview(bytearray(position - self.position)))

    def close(self) -> None:
        """Gives the connection back, or closes it where bytes are left."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _receive(self, buffer: memoryview) -> int:
        """Reads what comes next into `buffer`; returns how much, 0 where another try is due."""
        from urllib3 import exceptions  # noqa: PLC0415 - only what reads a hub needs it

        if self.position + len(buffer) > self.stop:
            raise ValueError("the range ends before the buffer")
        try:
            if self._response is None:
                self._response = self._ask()
            if self._response is None:
                return 0
            count = self._response.readinto(buffer)
            if not count:
                raise exceptions.ProtocolError("the body is shorter than the range")
        except exceptions.HTTPError as error:
            if not is_passing(error):
                raise
            self._failed(error, {})
            return 0
        self.position += count
        if self.position == self.stop:
            self.close()
        return count

    def _ask(self) -> BaseHTTPResponse | None:
        """Asks for what is left of the range; None where it is to be asked for again."""
        link = self._file.link(self._refused)
        asked = {"Range": f"bytes={self.position}-{self.stop - 1}", "Accept-Encoding": "identity"}
        timeout = self._file.patience.timeout_seconds
        response = self._file.connections.get(link, asked, timeout)
        if response is None:
            raise _not_the_range(self._file.name, "it leads on and on, or out of TLS")
        if response.status in (200, 206):
            self._check(response)
            self._refused = None
            return response
        response.close()
        if response.status in RETRIED:
            self._failed(error_of_status(response.status, self._file.name), response.headers)
        elif response.status not in _EXPIRED:
            raise _not_the_range(self._file.name, f"status {response.status}")
        elif self._refused is not None:
            reason = f"the server that keeps it refuses the hub's link ({response.status})"
            raise HubError("hub-link", f"{reason}; try again later", file=self._file.name)
        else:
            self._refused = link
        return None

    def _check(self, response: BaseHTTPResponse) -> None:
        """Makes sure that an answer is the range that was asked for."""
        headers, length = response.headers, self.stop - self.position
        found = _RANGE.fullmatch(headers.get("Content-Range", ""))
        expected = (str(self.position), str(self.stop - 1))
        if headers.get("Content-Encoding", "identity") != "identity":
            wrong = "it is encoded"
        elif headers.get("Content-Length", str(length)) != str(length):
            wrong = "it has another length"
        elif response.status == 200 and length < self._file.size:
            wrong = "the server knows no ranges"
        elif response.status == 206 and (
            found is None
            or found.group(1, 2) != expected
            or found[3] not in ("*", str(self._file.size))
        ):
            wrong = "it says that it is another one"
        else:
            return
        response.close()
        raise _not_the_range(self._file.name, wrong)

    def _failed(self, error: BaseException, headers: Mapping[str, str]) -> None:
        """Lets go of the connection and waits; raises `error` where enough was tried."""
        self.close()
        self._failures += 1
        earned = (self.position - self._start) // _STRIDE
        self._file.patience.pause(max(self._failures - earned, 1), error, headers)


def _not_the_range(name: str, why: str) -> HubError:
    reason = f"the answer is not the range that was asked for ({why}); --download reads whole files"
    return HubError("hub-range", reason, file=name)
