"""Where things are kept that are made once on a machine: compiled kernels, compiled templates.

The folder is ``$XDG_CACHE_HOME/thermoscan`` (or ``~/.cache/thermoscan``; ``THERMOSCAN_CACHE``
overrides both). It holds code that is loaded again, so it is the user's alone. What cannot be kept
costs time, not correctness.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(part: str) -> Path | None:
    """Returns the folder for one kind of thing, made if need be; None where that cannot be."""
    own = os.environ.get("THERMOSCAN_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        root = Path(own) if own else (Path(base) if base else Path.home() / ".cache") / "thermoscan"
        folder = root / part
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    return folder
