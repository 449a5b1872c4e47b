"""An adapter that puts a process to the test: sources ``trial://WHAT/PATH``, the path absolute.

    plain      as it is
    kill       opening it kills the process, as the kernel does when memory is short
    kill-once  the same, the first time
    hold       opening it makes PATH.held and waits for PATH.go
    slow       each read takes a twentieth of a second, so that 32 MiB take 0.8 s

What is opened then is the checkpoint at PATH.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from thermoscan.checkpoint import ByteReader, Checkpoint, Fingerprint, OpenOptions
from thermoscan.plugins import adapter_for

_SCHEME = "trial://"
_READ_SECONDS = 0.05


def trial(what: str, path: Path) -> str:
    """Returns the source that does this before it is the checkpoint at `path`."""
    return f"{_SCHEME}{what}{path}"


def _parse(source: str) -> tuple[str, str]:
    what, _, path = source.removeprefix(_SCHEME).partition("/")
    return what, f"/{path}"


class TrialAdapter:
    def claims(self, source: str) -> bool:
        return source.startswith(_SCHEME)

    def open(self, source: str, options: OpenOptions) -> Checkpoint:
        what, path = _parse(source)
        killed = Path(f"{path}.killed")
        if what == "kill" or (what == "kill-once" and not killed.exists()):
            with killed.open("a") as file:
                file.write(f"{os.getpid()}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hold":
            Path(f"{path}.held").touch()
            while not Path(f"{path}.go").exists():
                time.sleep(0.01)
        checkpoint = adapter_for(path).open(path, options)
        return (
            replace(checkpoint, reader=_Slow(checkpoint.reader)) if what == "slow" else checkpoint
        )

    def fingerprint(self, source: str, options: OpenOptions) -> Fingerprint:
        path = Path(_parse(source)[1])
        return Fingerprint(None, ((path.name, path.stat().st_size, source),))

    def beside(
        self, source: str, checkpoint: Checkpoint, names: Collection[str], most_bytes: int
    ) -> Path:
        raise AssertionError("a batch needs nothing beside the weights")


class _Slow:
    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        time.sleep(_READ_SECONDS)
        self._reader.readinto(file, offset, buffer)

    def expect(self, file: str, offset: int, length: int) -> AbstractContextManager[None]:
        return self._reader.expect(file, offset, length)

    def close(self) -> None:
        self._reader.close()
