"""transformers, kept quiet and at home: its words, bars and errors end here.

What a library says while it loads a stranger's files is not for the user's terminal: no log line,
no progress bar, no warning. Whatever it raises becomes one `ProbeError`, with the library's own
words only as a hint, shortened and made printable.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from thermoscan.errors import ProbeError, ThermoscanError
from thermoscan.probe.measure import is_out_of_memory
from thermoscan.text import printable

_HINT = 160


@contextmanager
def at_work(code: str, reason: str, file: str | None = None) -> Iterator[None]:
    """Runs a block of the library's; see `quiet` and `mapped`. Lack of memory is an error too."""
    try:
        with quiet(), mapped(code, reason, file):
            yield
    except (RuntimeError, MemoryError):  # all that `mapped` lets pass
        raise ProbeError("out-of-memory", f"{reason}: there is no memory", file=file) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Silences transformers and every warning for one block."""
    import transformers.utils.logging  # noqa: PLC0415 - takes a second

    log: Any = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(logging.CRITICAL)
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


@contextmanager
def mapped(code: str, reason: str, file: str | None = None) -> Iterator[None]:
    """Maps every exception that is not ours to a `ProbeError`.

    Lack of memory passes as it is: who runs batches can make them smaller.
    """
    try:
        yield
    except ThermoscanError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        hint = printable(" ".join(str(error).split()), _HINT)
        said = f"{type(error).__name__}: {hint}" if hint else type(error).__name__
        raise ProbeError(code, f"{reason} ({said})", file=file) from None
