"""The bytes of a pickle, read forward through a small window.

Takes a file and a range; gives bytes, having made sure before anything is allocated that they exist
and that the range's limit allows them.
"""

from __future__ import annotations

from thermoscan.errors import LimitError, MalformedError
from thermoscan_adapters.folders import OpenFile

_WINDOW = 1 << 18
_LONGEST_LINE = 1 << 10


class PickleStream:
    """Reads a file forward from `position`, which only grows."""

    def __init__(self, file: OpenFile, start: int, end: int, limit: int) -> None:
        """Reads from `start` on, never past `end`, and at most `limit` bytes in all."""
        self._file = file
        self._end = end
        self._limit = limit
        self._stop = min(end, start + limit)
        self._window = b""
        self._at = 0
        self._window_start = start

    @property
    def position(self) -> int:
        """Offset in the file of the next byte."""
        return self._window_start + self._at

    def byte(self) -> int:
        """Returns the next byte."""
        at = self._at
        if at >= len(self._window):
            return self.take(1)[0]
        self._at = at + 1
        return self._window[at]

    def take(self, count: int) -> bytes:
        """Returns the next `count` bytes.

        Raises:
            MalformedError: ``pickle-truncated``: there are not so many.
            LimitError: ``pickle-too-large``: the limit is before them.
        """
        after = self._at + count
        if after > len(self._window):
            self.require(count)
            self._refill(max(count, _WINDOW))
            after = count
        taken = self._window[self._at : after]
        self._at = after
        return taken

    def skip(self, count: int) -> None:
        """Steps over `count` bytes without reading them. Raises what `take` raises."""
        self.require(count)
        if self._at + count <= len(self._window):
            self._at += count
        else:
            self._window_start = self.position + count
            self._window = b""
            self._at = 0

    def line(self) -> bytes:
        """Returns the bytes up to the next newline, which is stepped over and not returned.

        Raises:
            MalformedError: ``pickle-structure``: no newline within 1,024 bytes.
        """
        if len(self._window) - self._at < _LONGEST_LINE:
            self._refill(_WINDOW)
        newline = self._window.find(b"\n", self._at, self._at + _LONGEST_LINE)
        if newline < 0:
            raise MalformedError("pickle-structure", "a name in the pickle has no end")
        line = self._window[self._at : newline]
        self._at = newline + 1
        return line

    def require(self, count: int) -> None:
        """Makes sure that there are `count` more bytes. Raises what `take` raises."""
        if self.position + count > self._end:
            raise MalformedError("pickle-truncated", "its pickle ends in the middle")
        if self.position + count > self._stop:
            raise LimitError(
                "pickle-too-large", f"its pickle is longer than the limit of {self._limit} bytes"
            )

    def _refill(self, size: int) -> None:
        start = self.position
        self._window = self._file.read_at(start, min(size, self._stop - start))
        self._window_start = start
        self._at = 0
