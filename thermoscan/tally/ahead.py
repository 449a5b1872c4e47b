"""Many short ranges of a tensor, asked for at once: over a network each would wait for its answer.

Takes a reader, a tensor and the ranges that will be read of it; gives a reader that serves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

from thermoscan.checkpoint import ByteReader, Tensor
from thermoscan.tally.layout import lies_together
from thermoscan.tally.stream import READ_BYTES

AT_ONCE = 32
"""Threads that wait for answers."""

_HELD_BYTES = 4 << 20
"""Bytes of a tensor that are held; where more is read of it, its ranges are long by themselves."""


class Ahead:
    """A `thermoscan.checkpoint.ByteReader` for one thread that reads each of some ranges once."""

    def __init__(
        self,
        reader: ByteReader,
        pool: ThreadPoolExecutor,
        tensor: Tensor,
        ranges: Sequence[tuple[int, int]],
    ) -> None:
        """Asks for the ranges, where they are short.

        Args:
            reader: Where the bytes are.
            pool: What waits for them.
            tensor: What is read.
            ranges: Of its bytes in memory order, each the first and one behind the last.
        """
        self._reader = reader
        self._asked: dict[int, Future[bytearray]] = {}
        held = sum(last - first for first, last in ranges)
        longest = max((last - first for first, last in ranges), default=0)
        if held <= _HELD_BYTES and longest <= READ_BYTES and lies_together(tensor):
            self._asked = {
                tensor.offset + first: pool.submit(
                    self._read, tensor.file, tensor.offset + first, last - first
                )
                for first, last in ranges
            }

    def _read(self, file: str, offset: int, length: int) -> bytearray:
        content = bytearray(length)
        self._reader.readinto(file, offset, memoryview(content))
        return content

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        """Fills `buffer` like the reader below."""
        asked = self._asked.pop(offset, None)
        if asked is None:
            self._reader.readinto(file, offset, buffer)
        else:
            buffer[:] = asked.result()

    def expect(self, file: str, offset: int, length: int) -> AbstractContextManager[None]:
        """Passes on what was not asked for."""
        if offset in self._asked:
            return nullcontext()
        return self._reader.expect(file, offset, length)

    def close(self) -> None:
        """Does nothing: the reader below is its owner's to close."""
